// What the figure of a network's birth computes: the flow of each mode of a deep network from a start
// with small layers, the times that the linear law predicts, and the loss on its way down.

import { range } from "./kit/numbers.js";

export const MODES = 3;
export const FRAMES = 240; // of the player
const SETTLED = 1e-4; // of its strength that a mode still lacks where its run ends
const NEAR = 0.01; // what it lacks where it looks as if it had arrived
const RTOL = 1e-7; // of a step of the integrator

/* -- the network -- */

const sigmoid = (z) => 1 / (1 + Math.exp(-z));
// s and s' of each activation.
export const ACTIVATIONS = {
  linear: [(z) => z, () => 1],
  tanh: [Math.tanh, (z) => 1 - Math.tanh(z) ** 2],
  sin: [Math.sin, Math.cos],
  swish: [(z) => z * sigmoid(z), (z) => sigmoid(z) * (1 + z * sigmoid(-z))],
  sigmoid: [sigmoid, (z) => sigmoid(z) * sigmoid(-z)],
};

// p = w_L s(w_{L-1} ... s(w_1)), what one mode of the network does, as a function of w that also
// writes the gradient of p into g.
export function chain(L, activation) {
  const [value, slope] = ACTIVATIONS[activation];
  const [inputs, slopes] = [new Float64Array(L + 1).fill(1), new Float64Array(L).fill(1)];
  return (w, g) => {
    for (let l = 0; l < L - 1; l += 1) {
      const z = w[l] * inputs[l];
      inputs[l + 1] = value(z);
      slopes[l] = slope(z);
    }
    for (let l = L - 1, back = 1; l >= 0; l -= 1) {
      back *= slopes[l];
      g[l] = back * inputs[l];
      back *= w[l];
    }
    return w[L - 1] * inputs[L - 1];
  };
}

// w' of gradient flow on the half square of s - p, or of Muon's, which takes the polar factor of the
// gradient: of a diagonal matrix these are the signs. Writes w' into `out` and returns p and p'.
function field({ flow, activation, depth: L }, s) {
  const [strength, g] = [chain(L, activation), new Float64Array(L)];
  return (w, out) => {
    const p = strength(w, g);
    let rate = 0;
    for (let l = 0; l < L; l += 1) {
      out[l] = flow === "muon" ? Math.sign(g[l]) * Math.sign(s - p) : (s - p) * g[l];
      rate += g[l] * out[l];
    }
    return { p, rate };
  };
}

/* -- the integrator: Dormand and Prince, of order five, with steps that suit the smallest weight -- */

const STAGES = [[], [1 / 5], [3 / 40, 9 / 40], [44 / 45, -56 / 15, 32 / 9],
  [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
  [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
  [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84]];
const ERRORS = [71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40];

// (w, h) => the weights after a step h from w, p and p' there, and the error of the step in units of
// the tolerance, which is relative down to the weight `least`: some pass through 0.
function stepper(f, L, least) {
  const k = STAGES.map(() => new Float64Array(L));
  return (w, h) => {
    const next = Float64Array.from(w);
    let [told, error] = [null, 0];
    for (let stage = 0; stage < STAGES.length; stage += 1) {
      const row = STAGES[stage];
      for (let l = 0; l < L; l += 1) {
        let sum = 0;
        for (let j = 0; j < row.length; j += 1) sum += row[j] * k[j][l];
        next[l] = w[l] + h * sum;
      }
      told = f(next, k[stage]);
    }
    for (let l = 0; l < L; l += 1) {
      let sum = 0;
      for (let j = 0; j < ERRORS.length; j += 1) sum += ERRORS[j] * k[j][l];
      error = Math.max(error, Math.abs(h * sum) / (RTOL * Math.max(Math.abs(w[l]), Math.abs(next[l]), least)));
    }
    return { next, ...told, error };
  };
}

// Where a rising function is 0 between low and high: false position, and every third time a bisection.
function rootOf(rising, low, high) {
  let [below, above, x] = [rising(low), rising(high), high];
  for (let i = 1; i < 100 && below < 0 && high - low > 1e-13 * Math.abs(high); i += 1) {
    x = i % 3 ? high - (above * (high - low)) / (above - below) : (low + high) / 2;
    const value = rising(x);
    if (Math.abs(value) < 1e-13) break;
    if (value < 0) [low, below] = [x, value];
    else [high, above] = [x, value];
  }
  return x;
}

// One mode from its start until it has nearly come to s: its strengths p and their rates at the times
// t of the steps, and the time at which it is half way, null for one that begins beyond.
export function grow(state, s, w0) {
  const L = w0.length;
  const f = field({ ...state, depth: L }, s);
  const step = stepper(f, L, Math.min(...w0) / 10);
  const slope = new Float64Array(L);
  let [w, t, { p, rate }] = [w0, 0, f(w0, slope)];
  const run = { s, t: [0], p: [p], rate: [rate], half: null };
  const [below, begins] = [Math.sign(s - p), p < s / 2];
  let h = 0.01 * Math.min(...w0.map((v, l) => v / Math.abs(slope[l])));
  for (let n = 0; n < 20000 && Math.abs(s - p) > SETTLED * s; n += 1) {
    const to = step(w, h);
    // Muon's flow ends where it arrives: no step may cross s.
    if (!(to.error <= 1) || below * (to.p - s) > SETTLED * s) {
      h *= to.error > 1 ? Math.max(0.2, 0.9 * to.error ** -0.2) : 0.5;
      continue;
    }
    if (begins && run.half === null && to.p >= s / 2) {
      run.half = t + rootOf((part) => step(w, part).p - s / 2, 0, h);
    }
    [w, t, p] = [to.next, t + h, to.p];
    run.t.push(t);
    run.p.push(p);
    run.rate.push(to.rate);
    h *= Math.min(4, 0.9 * Math.max(to.error, 1e-10) ** -0.2);
  }
  return run;
}

// p at a time, by Hermite's cubic between two steps.
export function strengthAt({ t, p, rate }, time) {
  let [low, high] = [0, t.length - 1];
  if (time >= t[high]) return p[high];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (t[middle] <= time) low = middle;
    else high = middle;
  }
  const h = t[high] - t[low];
  const u = h > 0 ? (time - t[low]) / h : 0;
  const cubic = (1 + 2 * u) * (1 - u) ** 2 * p[low] + u * u * (3 - 2 * u) * p[high]
    + h * u * (1 - u) * ((1 - u) * rate[low] - u * rate[high]);
  return Math.min(Math.max(cubic, Math.min(p[low], p[high])), Math.max(p[low], p[high]));
}

/* -- predictions: those of the linear network, before any run -- */

// The time in which r weights eps and the others 1 make half of s. Of gradient flow the integral of
// da / ((s - p) a^{r-1} b^{L-r}), with b^2 - a^2 conserved, by Simpson's rule in ln a; of Muon's, by
// which every weight grows by 1 in a unit of time, a root. Null where p is there at the start.
export function predicted({ flow, eps }, r, L, s) {
  if (eps ** r >= s / 2) return null;
  if (flow === "muon") return rootOf((t) => (eps + t) ** r * (1 + t) ** (L - r) - s / 2, 0, 1);
  const other = (a) => Math.sqrt(1 + a * a - eps * eps);
  const product = (a) => a ** r * other(a) ** (L - r);
  const start = Math.log(eps);
  const end = rootOf((x) => product(Math.exp(x)) - s / 2, start, 1);
  const n = 600;
  const terms = range(n + 1, (i) => {
    const a = Math.exp(start + ((end - start) * i) / n);
    return ((i === 0 || i === n ? 1 : i % 2 ? 4 : 2) * a * a) / ((s - product(a)) * product(a));
  });
  return ((end - start) / (3 * n)) * terms.reduce((sum, v) => sum + v, 0);
}

// Its leading term for eps -> 0; null where that does not depend on eps.
export function leading({ flow, eps }, r, s) {
  if (flow === "muon" || r === 1) return null;
  return r === 2 ? Math.log(1 / eps) / s : eps ** (2 - r) / ((r - 2) * s);
}

/* -- what is drawn -- */

// Loss of strengths, one for each of the modes.
export const lossOf = (modes, strengths) => modes.reduce((sum, s, i) => sum + 0.5 * (s - strengths[i]) ** 2, 0);

// The length of the gradient of the loss where every mode has the weights w.
function gradientAt({ activation }, modes, w) {
  const g = new Float64Array(w.length);
  const p = chain(w.length, activation)(w, g);
  return Math.hypot(...modes.map((s) => s - p)) * Math.hypot(...g);
}

// Everything that the figure shows.
export function compute(state) {
  const { depth: L, eps, mode_ratio: ratio } = state;
  const r = Math.min(state.small_layers, L);
  const modes = range(MODES, (i) => ratio ** i);
  const w0 = Float64Array.from(range(L, (l) => (l < r ? eps : 1)));
  const runs = modes.map((s) => grow(state, s, w0));
  const expected = modes.map((s) => predicted(state, r, L, s));
  const measured = runs.map(({ half }) => half);
  const ratios = measured.map((t, i) => (t === null || expected[i] === null ? null : t / expected[i]));
  // How much later the first mode is than from a start ten times larger, where the figure has one.
  const larger = eps <= 0.05 ? grow(state, modes[0], w0.map((w, l) => (l < r ? 10 * w : w))).half : null;
  // The axis ends a little after the last mode has come near; a prediction far beyond it is not shown.
  const settled = Math.max(...runs.map(({ s, t, p }) => t[p.findIndex((v) => Math.abs(s - v) <= NEAR * s)]));
  const shown = expected.filter((t) => t !== null && t < 2 * settled);
  const end = 1.06 * Math.max(settled, ...shown);
  const times = [...measured, ...shown].filter((t) => t > 0);
  const unit = end >= 1e4 ? Math.floor(Math.log10(end)) : 0; // the axis counts 10^unit
  return { ...state, r, modes, runs, measured, expected, ratios, end, unit,
           later: larger === null ? null : measured[0] / larger,
           law: modes.map((s) => leading(state, r, s)),
           first: Math.min(end / 10, ...times) / 10, // where a logarithmic axis begins
           gradient: gradientAt(state, modes, w0),
           plateaus: range(MODES, (i) => lossOf(modes, modes.map((s, j) => (j < i ? s : 0)))) };
}

// The strengths of all modes at a time.
export const strengthsAt = (p, time) => p.runs.map((run) => strengthAt(run, time));

// The time of a frame of the player, on the axis that is shown.
export const timeOf = ({ end, first, log_time: log }, frame = FRAMES) => (log
  ? first * (end / first) ** (frame / FRAMES) : (end * frame) / FRAMES);
