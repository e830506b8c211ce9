// What the figure of a noisy trigger computes: the law of the norm of a mini-batch gradient, the
// rules of the threshold, draws that do not use that law, and runs. Gradients are measured in units
// of epsilon.

import { clamp, niceStep, range } from "./kit/numbers.js";
import { exitRadius, grad, mulberry32, normalPair } from "./model.js";

export const DELTA = 0.1; // the failure probability of every rule
export const DRAWS = 2000; // mini-batch gradients counted at each of the two points
export const RUNS = 6;
export const STEPS = 120;
export const EPSILON = 0.2; // in the units of f on the map
export const PROBLEM = { gamma: 1, lam: 1 };
const ETA = 0.05;
const BOUND = 100; // a run that is farther away has diverged

/* -- the noncentral chi law -- */

// ln Gamma(x) for x > 0: Stirling's series, from 15 on as it is.
function logGamma(x) {
  let [at, shift] = [x, 0];
  for (; at < 15; at += 1) shift += Math.log(at);
  return (at - 0.5) * Math.log(at) - at + 0.5 * Math.log(2 * Math.PI) + tail(at) - shift;
}
const tail = (a) => (1 / 12 - (1 / 360 - 1 / 1260 / (a * a)) / (a * a)) / a;

// y^a e^-y / Gamma(a + 1); for whole a the Poisson probability. Large a without cancellation.
function weight(a, y) {
  if (y === 0) return a === 0 ? 1 : 0;
  if (a < 15) return Math.exp(a * Math.log(y) - y - logGamma(a + 1));
  const u = (y - a) / a;
  return Math.exp(a * (Math.log1p(u) - u) - tail(a)) / Math.sqrt(2 * Math.PI * a);
}

// The regularized incomplete gamma function P(a, y): its series for y below a + 1, the continued
// fraction of 1 - P by Lentz's method above.
function gammaBelow(a, y) {
  if (y <= 0) return 0;
  const first = weight(a, y);
  if (first === 0) return y > a ? 1 : 0;
  if (y < a + 1) {
    let [term, total] = [1, 1];
    for (let n = 1; term > 1e-17 * total; n += 1) {
      term *= y / (a + n);
      total += term;
    }
    return first * total;
  }
  let b = y + 1 - a;
  let [c, d] = [1e300, 1 / b];
  let value = d;
  for (let n = 1; n < 1e5; n += 1) {
    const an = n * (a - n);
    b += 2;
    d = 1 / (b + an * d);
    c = b + an / c;
    value *= c * d;
    if (Math.abs(c * d - 1) < 1e-15) break;
  }
  return 1 - first * a * value;
}

// P(|g + z| <= x) for a standard normal z in R^dim and |g|^2 = lambda: the mixture of gamma laws
// with Poisson weights, summed where the weights are. P(a + 1, y) = P(a, y) - weight(a, y).
// The norm is 1-Lipschitz in z: it hardly ever is 9 beyond its mean, which the root of its mean
// square exceeds by less than 1.
export function chiBelow(x, dim, lambda) {
  const middle = Math.sqrt(dim + lambda);
  if (x <= Math.max(0, middle - 10)) return 0;
  if (x >= middle + 9) return 1;
  const [y, mu] = [(x * x) / 2, lambda / 2];
  const wide = 7.5 * Math.sqrt(mu) + 30;
  const [low, high] = [Math.max(0, Math.floor(mu - wide)), mu === 0 ? 0 : Math.ceil(mu + wide)];
  const a = dim / 2 + low;
  let [share, step, below, sum] = [weight(low, mu), weight(a, y), gammaBelow(a, y), 0];
  for (let j = low; j <= high; j += 1) {
    sum += share * below;
    below = Math.max(0, below - step);
    step *= y / (dim / 2 + j + 1);
    share *= mu / (j + 1);
  }
  return clamp(sum, 0, 1);
}

// Where a rising function is 0: false position, and every third time a bisection.
function rootOf(rising, high, low = 0) {
  let [below, above, x] = [rising(low), rising(high), low];
  while (above < 0) [low, high, below, above] = [high, 2 * high, above, rising(2 * high)];
  for (let i = 1; i < 150 && high - low > 1e-13 * high; i += 1) {
    x = i % 3 ? high - (above * (high - low)) / (above - below) : (low + high) / 2;
    const value = rising(x);
    if (Math.abs(value) < 1e-14) break;
    if (value < 0) [low, below] = [x, value];
    else [high, above] = [x, value];
  }
  return x;
}
export function chiQuantile(prob, dim, lambda) {
  const middle = Math.sqrt(dim + lambda);
  return rootOf((x) => chiBelow(x, dim, lambda) - prob, middle + 9, Math.max(0, middle - 10));
}

/* -- the rules -- */

// What the calibrated rule needs of the law, by dimension: the quantile at a stationary point and
// the noncentrality lambda = B |grad f|^2 / sigma^2 from which on that quantile is rarely reached.
const known = new Map();
function calibration(dim) {
  if (!known.has(dim)) {
    const quantile = chiQuantile(1 - DELTA, dim, 0);
    known.set(dim, { quantile,
                     lambda: rootOf((x) => DELTA - chiBelow(quantile, dim, x), 8 * Math.sqrt(dim)) });
  }
  return known.get(dim);
}

const least = (x) => Math.max(1, Math.ceil(x * (1 - 2 ** -50)));
export const ownBatch = ({ rule, dim, noise, grad_norm: norm }) => (rule === "calibrated"
  ? least((calibration(dim).lambda * noise * noise) / (norm * norm))
  : least(2 * noise * noise * Math.log(2 / DELTA)));

export function thresholdOf({ rule, dim, noise, batch_size: batch, grad_norm: norm }) {
  const s = noise / Math.sqrt(batch);
  if (rule === "naive") return 1;
  if (rule === "published") return Math.hypot(1, s * Math.SQRT2);
  return (s * (calibration(dim).quantile + chiQuantile(DELTA, dim, (norm / s) ** 2))) / 2;
}

/* -- draws, which do not use that law -- */

// A coordinate z and the squared length of `rest` more coordinates of a standard normal vector,
// that is twice a gamma variate, by the method of Marsaglia & Tsang (2000): as cheap in dimension
// 1000 as in 3.
function normalAnd(rest, uniform) {
  const k = rest / 2 - 1 / 3;
  for (;;) {
    const [z, n] = normalPair(uniform);
    if (rest < 2) return [z, rest * n * n];
    const v = (1 + n / Math.sqrt(9 * k)) ** 3;
    const u = 1 - uniform();
    if (v > 0 && Math.log(u) < 0.5 * n * n + k * (1 - v + Math.log(v))) return [z, 2 * k * v];
  }
}

// Of every mini-batch its noise along the gradient and the squared length of the rest: they serve
// every size of noise, so that a slider moves the same draws.
export function drawNoise({ seed, dim }) {
  const uniform = mulberry32(seed);
  const many = (n) => range(n, () => normalAnd(dim - 1, uniform));
  return [many(DRAWS), many(DRAWS)];
}

// The same for every step of every run: x1, x2, and the part of all other coordinates along and
// across where they stand.
export function drawRuns({ seed, dim }) {
  const uniform = mulberry32(seed + 0x9e3779b9);
  return range(RUNS, () => range(STEPS + 1, () =>
    [...normalPair(uniform), ...(dim > 2 ? normalAnd(dim - 3, uniform) : [0, 0])]));
}

export const norms = (draws, norm, s) =>
  Float64Array.from(draws, ([z, rest]) => Math.sqrt((norm + s * z) ** 2 + s * s * rest));

// SGD from the start; the other coordinates begin at 0. Because f looks the same in all
// directions of them, their length R tells all: along them the gradient is R and a normal number,
// across them noise alone. `size` is the true gradient, `seen` that of the mini-batch, in epsilon.
export function walk(draws, s, { dim, start }, { threshold, grad_norm: norm }) {
  const noise = s * EPSILON;
  let [x1, x2, r] = [start[0], dim > 1 ? start[1] : 0, 0];
  const points = [];
  for (const [z1, z2, along, across] of draws) {
    const g = grad([x1, x2], PROBLEM);
    const rest = PROBLEM.lam * r;
    const seen = [g[0] + noise * z1, dim > 1 ? g[1] + noise * z2 : 0, rest + noise * along];
    const size = Math.hypot(...g, rest) / EPSILON;
    const seenSize = Math.hypot(...seen, noise * Math.sqrt(across)) / EPSILON;
    const fires = seenSize <= threshold;
    const near = size <= 1 && Math.abs(x1) < exitRadius(PROBLEM);
    const kind = fires ? (size <= 1 ? "right" : size < norm ? "between" : "false")
      : near ? "missed" : "silent";
    points.push({ x1, x2, size, seen: seenSize, fires, near, kind });
    x1 -= ETA * seen[0];
    x2 -= ETA * seen[1];
    r = Math.hypot(r - ETA * seen[2], ETA * noise * Math.sqrt(across));
    if (!(Math.hypot(x1, x2, r) <= BOUND)) break;
  }
  return points;
}

/* -- what is drawn -- */

// The range of the axis: both laws and the threshold, and 0 unless that is far away.
export function axisOf({ s, dim, grad_norm: norm, threshold }) {
  const middle = s * Math.sqrt(dim);
  const high = Math.max(Math.hypot(norm, middle) + 3.5 * s, 1.15 * threshold);
  const lowest = Math.min(threshold, Math.max(0, middle - 4 * s), 0.9 * high);
  const low = lowest - 0.25 * (high - lowest);
  return { low: low < 0.35 * high ? 0 : low, high };
}

// Both histograms over the same edges, of which one is the threshold, so that no bin is on both
// sides: what was counted in each bin, what the law predicts, which bins (from, to) are errors, and
// the first bin beyond the threshold.
export function histograms(p) {
  const { low, high } = axisOf(p);
  const bin = niceStep(high - low, 50);
  const first = Math.max(-Math.ceil(p.threshold / bin), Math.floor((low - p.threshold) / bin));
  const bins = Math.ceil((high - p.threshold) / bin) - first;
  const edges = range(bins + 1, (j) => Math.max(0, p.threshold + (first + j) * bin));
  const panel = (values, at, wrong) => {
    const counts = new Float64Array(bins);
    for (const v of values) {
      // Rounding must not move a draw across the threshold.
      const j = Math.floor((v - p.threshold) / bin) - first;
      if (j >= 0 && j < bins) counts[v > p.threshold ? Math.max(j, -first) : Math.min(j, -first - 1)] += 1;
    }
    const inside = edges.map((edge) => p.below(edge, at));
    const law = Array.from(counts, (_, j) => DRAWS * (inside[j + 1] - inside[j]));
    return { counts, law, wrong, most: 1.12 * Math.max(...law, ...counts) };
  };
  return { low, high, edges, beyond: -first,
           panels: [panel(p.atSaddle, 0, [-first, bins]), panel(p.atLarge, p.grad_norm, [0, -first])] };
}

// The upper half of x2^2 = h(x1), in pieces of the axis on which h is not negative; the lower half
// mirrors it. `reach` is how far x1 goes.
export function lens(h, reach) {
  const pieces = [];
  const at = (i) => reach * (i / 200 - 1.01);
  for (let i = 0, before = -1; i <= 404; i += 1) {
    const [x1, square] = [at(i), h(at(i))];
    const root = at(i - 1) + (x1 - at(i - 1)) * (before / (before - square));
    if (square >= 0 && before < 0) pieces.push([]);
    if (square >= 0 !== before >= 0) pieces.at(-1).push([root, 0]);
    if (square >= 0) pieces.at(-1).push([x1, Math.sqrt(square)]);
    before = square;
  }
  return pieces;
}

// Where |grad f| is at most c, in one coordinate of any x2.
export const small = (c, dim, reach) => lens((x1) => {
  const square = ((c * EPSILON) ** 2 - grad([x1, 0], PROBLEM)[0] ** 2) / PROBLEM.lam ** 2;
  return dim === 1 && square >= 0 ? 4 : square;
}, reach);

// Everything that the figure shows. Draws of `earlier` serve again where seed and dim are the same.
export function compute(state, earlier = null) {
  const { noise, batch_size: batch, dim, seed, grad_norm: norm } = state;
  const { draws, runDraws } = earlier?.dim === dim && earlier.seed === seed ? earlier
    : { draws: drawNoise(state), runDraws: drawRuns(state) };
  const s = noise / Math.sqrt(batch);
  const threshold = thresholdOf(state);
  const [atSaddle, atLarge] = [norms(draws[0], 0, s), norms(draws[1], norm, s)];
  const count = (values, hit) => values.reduce((n, v) => n + hit(v), 0);
  const below = (t, at) => chiBelow(t / s, dim, (at / s) ** 2);
  const p = { ...state, draws, runDraws, s, threshold, atSaddle, atLarge, below };
  const runs = runDraws.map((one) => walk(one, s, state, p));
  const needed = ownBatch({ ...state, rule: "calibrated" });
  return {
    ...p, runs, needed, bars: histograms(p),
    neededThreshold: thresholdOf({ ...state, rule: "calibrated", batch_size: needed }),
    missed: count(atSaddle, (v) => v > threshold), predictedMissed: 1 - below(threshold, 0),
    alarms: count(atLarge, (v) => v <= threshold), predictedAlarm: below(threshold, norm),
    near: runs.filter((run) => run.some((x) => x.near)).length,
    noticed: runs.filter((run) => run.some((x) => x.near && x.fires)).length,
  };
}
