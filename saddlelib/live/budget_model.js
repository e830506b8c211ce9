// The computing part of the budget calculator: the formulas of saddlelib.theory, each under
// the name it has there. A setting is an object with the names of Python's arguments:
// lipschitz_grad, lipschitz_hess, epsilon, failure_prob, delta_f, dim, and gradient_seconds,
// price_per_hour (0 for none).

export const METHODS = ["PGD 2017", "PGD 2021", "PSD", "repaired PSD", "certified PSD"];
// What keeps a bound from being proved as it stands: no bound of these is called the least.
export const OPEN = { PSD: "not proved", "PGD 2017": "if c = 1" };

export const SETTING = ["lipschitz_grad", "lipschitz_hess", "epsilon", "failure_prob", "delta_f", "dim"];

/* -- _numbers -- */

// A value that lies above an integer by rounding alone is that integer.
const whole = (value) => Math.ceil(value * (1 - 2 ** -50));

const curvatureTol = (s) => Math.sqrt(s.lipschitz_hess) * Math.sqrt(s.epsilon);

// The largest accuracy with a meaning, l^2/rho.
export const naturalScale = (s) => (s.lipschitz_grad / s.lipschitz_hess) * s.lipschitz_grad;

/* -- precision -- */

// The distance from x > 0 to the next larger float64. log2 may round up to the next power.
export function ulp(x) {
  let power = 2 ** Math.floor(Math.log2(x));
  if (power > x) power /= 2;
  else if (2 * power <= x) power *= 2;
  return power * 2 ** -52;
}

// Python's f"{x:.{digits}g}".
export function general(x, digits) {
  const [mantissa, exponent] = x.toExponential(digits - 1).split("e");
  const n = Number(exponent);
  const tidy = (words) => (words.includes(".") ? words.replace(/\.?0+$/, "") : words);
  if (n >= -4 && n < digits) return tidy(x.toFixed(Math.max(0, digits - 1 - n)));
  return `${tidy(mantissa)}e${n < 0 ? "-" : "+"}${String(Math.abs(n)).padStart(2, "0")}`;
}

export function decreaseWarning(decrease, value, tested) {
  if (!(decrease < 4 * ulp(value))) return "";
  const what = tested ? `the test for a decrease of ${general(decrease, 2)} cannot be made`
    : `the promised decrease of ${general(decrease, 2)} cannot be seen`;
  return `${what}: float64 resolves f = ${general(value, 6)} to ${general(ulp(value), 2)}`;
}

/* -- jin2017, with c = 1 -- */

export function jin2017(s) {
  const { lipschitz_grad: ell, lipschitz_hess: rho, epsilon, delta_f: height } = s;
  const chi = 3 * Math.max(Math.log(s.dim) + Math.log(ell) + Math.log(height)
    - 2 * Math.log(epsilon) - Math.log(s.failure_prob), 4);
  const gradThreshold = epsilon / chi ** 2;
  const decrease = (epsilon * Math.sqrt(epsilon / rho)) / chi ** 3;
  const episodeLength = whole(chi * (ell / Math.sqrt(rho) / Math.sqrt(epsilon)));
  const descent = 2 * ell * (height / gradThreshold) / gradThreshold;
  const steps = Math.max(descent, (height / decrease) * (episodeLength + 1)) + episodeLength;
  const episodes = height / decrease + 1;
  return { chi, decrease, episodeLength, gradients: steps + episodes, values: 2 * episodes,
           eigenvalues: 0, tested: true };
}

/* -- jin2021 -- */

// The smallest iota >= 1 with iota - 6 log2(iota) >= A: 1 if that will do, else the root beyond
// 6/ln 2, to which Newton's method comes down from the right.
export function smallestIota(s) {
  const { lipschitz_grad: ell, lipschitz_hess: rho, epsilon } = s;
  const log2 = Math.log2;
  const needed = log2(400) + 2 * log2(ell) + log2(s.delta_f) - 2 * log2(epsilon) + 8
    + 0.5 * (log2(s.dim) - log2(rho) - log2(epsilon)) - log2(s.failure_prob);
  const excess = (iota) => needed + 6 * log2(iota) - iota;
  if (excess(1) <= 0) return 1;
  const turn = 6 / Math.LN2;
  let iota = Math.max(2 * (needed + 6 * log2(2 * turn) - turn), 2 * turn);
  for (let i = 0; i < 100; i += 1) {
    const nearer = iota - excess(iota) / (turn / iota - 1);
    if (!(nearer < iota)) break;
    iota = nearer;
  }
  for (let step = ulp(iota); excess(iota) > 0; step *= 2) iota += step; // rounding
  return iota;
}

export function jin2021(s) {
  const { lipschitz_grad: ell, lipschitz_hess: rho, epsilon } = s;
  const iota = smallestIota(s);
  const steps = 400 * (ell / epsilon) * (s.delta_f / epsilon) * iota ** 4;
  const episodeLength = whole((ell / Math.sqrt(rho) / Math.sqrt(epsilon)) * iota);
  // A perturbed run is promised half of what a coupled one loses.
  const decrease = (epsilon * Math.sqrt(epsilon / rho)) / (50 * iota ** 3) / 2;
  return { iota, decrease, episodeLength, gradients: steps + steps / episodeLength, values: 0,
           eigenvalues: 0, tested: false };
}

/* -- alpay2025 -- */

export function alpay2025(s) {
  const { lipschitz_grad: ell, epsilon, delta_f: height } = s;
  const maxEpisodes = 1 + whole(128 * (ell / epsilon) * (height / epsilon));
  const reach = Math.log(16) + Math.log(s.dim) + Math.log(maxEpisodes) - Math.log(s.failure_prob);
  const episodeLength = whole(((8 * ell) / curvatureTol(s)) * reach);
  const descent = 4 * (ell / epsilon) * (height / epsilon);
  return { maxEpisodes, episodeLength, decrease: epsilon * (epsilon / (128 * ell)),
           gradients: descent + maxEpisodes * episodeLength + maxEpisodes, values: 0,
           eigenvalues: maxEpisodes + 1, tested: false };
}

/* -- episode -- */

// Gamma(x + 1/2)/Gamma(x) for x >= 1/2: the asymptotic series from x = 60 on, to which
// R(x) = R(x + 1) x/(x + 1/2) leads from below.
export function gammaRatio(x) {
  let factor = 1;
  for (; x < 60; x += 1) factor *= x / (x + 0.5);
  const u = 1 / x;
  const series = 1 + u * (-1 / 8 + u * (1 / 128 + u * (5 / 1024 + u * (-21 / 32768
    + u * (-399 / 262144 + (u * 869) / 4194304)))));
  return factor * Math.sqrt(x) * series;
}

const LEAST_TIME = 8;

// The constants of an episode of so many steps of size 1/l; `ratio` is gammaRatio((d + 1)/2).
function episodeConstants(s, steps, ratio) {
  const { lipschitz_grad: ell, lipschitz_hess: rho, epsilon } = s;
  const eta = 1 / ell;
  const gamma = curvatureTol(s);
  const length = Math.sqrt(epsilon / rho);
  const tau = eta * gamma * steps;
  const exitDecrease = (epsilon * length) / (13 * tau ** 3);
  const radius = Math.sqrt(exitDecrease / (2 * ell));
  const share = ((2 / tau) * length / radius) * (ratio / Math.sqrt(Math.PI));
  const stuck = Math.exp(Math.min(Math.log(share) - steps * Math.log1p(eta * gamma), 0));
  return { exitDecrease, radius, stuck };
}

export function episode(s) {
  const eta = 1 / s.lipschitz_grad;
  const gamma = curvatureTol(s);
  const ratio = gammaRatio(s.dim / 2 + 0.5);
  const at = (steps) => episodeConstants(s, steps, ratio);
  const enough = (steps) => {
    const { exitDecrease, stuck } = at(steps);
    return (1 + 2 * (s.delta_f / exitDecrease)) * stuck <= s.failure_prob;
  };
  let low = whole(LEAST_TIME / eta / gamma);
  while (eta * gamma * low < LEAST_TIME) low += 1; // rounding
  let high = low;
  if (!enough(low)) {
    do [low, high] = [high, 2 * high]; while (!enough(high));
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (enough(middle)) high = middle;
      else low = middle;
    }
  }
  const k = at(high);
  return { ...k, episodeLength: high, decrease: k.exitDecrease / 2,
           gradients: ((2 * (high + 1)) / k.exitDecrease) * s.delta_f + high + 1, values: 0,
           eigenvalues: 0, tested: false };
}

/* -- certified -- */

const MOST_VALUES = 31;

// Lanczos steps of one look that may fail with the probability e^logDelta.
export function lookBound(ell, gamma, dim, logDelta) {
  const u = 1 / (1 + ell / gamma);
  const growth = Math.log1p(u + Math.sqrt(u) * Math.sqrt(2 + u));
  const steps = (0.5 * (Math.log(8 / Math.PI) + Math.log(dim)) - logDelta) / growth;
  return steps >= dim - 1 ? dim : 1 + Math.ceil(steps);
}

export function certified(s) {
  const { lipschitz_grad: ell, lipschitz_hess: rho, epsilon, delta_f: height } = s;
  const decrease = (epsilon * Math.sqrt(epsilon / rho)) / 12;
  const displacements = height / decrease;
  const looks = displacements + 1;
  const moves = Math.max(2 * (ell / epsilon) * (height / epsilon), displacements);
  const known = lookBound(ell, curvatureTol(s), s.dim,
    Math.log(s.failure_prob) - Math.log(looks) - Math.log(looks + 1));
  const lookProducts = 1 + Math.min(s.dim, Math.floor((11 * known) / 10));
  const products = looks * lookProducts;
  return { decrease, lookProducts, products, gradients: 1 + moves + 2 * products,
           values: 1 + MOST_VALUES * moves, eigenvalues: 0, tested: true };
}

/* -- budget -- */

const THEORIES = [jin2017, jin2021, alpay2025, episode, certified];

// Gradients that each theory asks for, in the order of METHODS.
export function gradients(s) {
  return THEORIES.map((theory) => theory(s).gradients);
}

// The rows of saddlelib.theory.budget.budget, or null beyond the natural scale.
export function budget(s) {
  if (s.epsilon > naturalScale(s)) return null;
  return THEORIES.map((theory, i) => {
    const k = theory(s);
    const seconds = (k.gradients + k.values) * s.gradient_seconds;
    return { method: METHODS[i], gradients: k.gradients, values: k.values,
             eigenvalues: k.eigenvalues, seconds,
             money: s.price_per_hour > 0 ? (seconds / 3600) * s.price_per_hour : null,
             warning: decreaseWarning(k.decrease, s.delta_f, k.tested) };
  });
}

const UNITS = [["years", 365.25 * 86400], ["days", 86400], ["h", 3600], ["min", 60], ["s", 1],
               ["ms", 1e-3]];

export function duration(seconds) {
  if (seconds === Infinity) return "more than 1e300 years";
  const [unit, size] = UNITS.find(([, least]) => seconds >= least) ?? UNITS.at(-1);
  return `${count(seconds / size)} ${unit}`;
}

export function count(number) {
  if (number === null) return "–";
  if (number === Infinity) return "> 1e308";
  if (number >= 10 && number < 1e5) {
    return Number(number.toPrecision(2)).toFixed(0).replace(/\B(?=(\d{3})+$)/g, ",");
  }
  return general(number, 2);
}

/* -- what the figure shows -- */

// The curves, over the accuracies of the slider that have a meaning.
const CURVE = Array.from({ length: 17 }, (_, i) => -i / 2);

// Rows whose bounds are proved, the smallest first.
export const proved = (rows) =>
  rows.filter(({ method }) => !OPEN[method]).sort((a, b) => a.gradients - b.gradients);

// The rows with what runs at this very setting took, the curves, and by how much an epsilon ten
// times smaller multiplies each bound.
export function compute(s) {
  const largest = naturalScale(s);
  const rows = budget(s);
  const runs = s.runs.filter((run) => SETTING.every((name) => run[name] === s[name]));
  const taken = Object.assign({}, ...runs.map((run) => run.taken));
  for (const row of rows ?? []) row.taken = taken[row.method] ?? null;
  const curve = CURVE.filter((x) => 10 ** x <= largest)
    .map((x) => [x, gradients({ ...s, epsilon: 10 ** x }).map(Math.log10)]);
  const finer = rows && gradients({ ...s, epsilon: s.epsilon / 10 }).map((n, i) => n / rows[i].gradients);
  const most = Math.max(12, ...(rows ?? []).map((row) => Math.log10(row.gradients)));
  return { ...s, largest, rows, finer, curve, least: rows && proved(rows)[0], decades: 3 * Math.ceil(Math.min(most, 300) / 3) };
}
