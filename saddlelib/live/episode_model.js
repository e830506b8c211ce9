// What the figure of an episode computes: the law of a run's start, one run, many runs, and what is
// predicted of them.

import { niceStep, range } from "./kit/numbers.js";
import { exitRadius, mulberry32, normalPair } from "./model.js";

const BUDGET = 5e5; // steps of all runs at once: a few milliseconds
const BAND = [0.05, 0.5, 0.95];

/* -- the law of the first coordinate of a point of the ball -- */

// Gamma(b + 1/2) / Gamma(b): the asymptotic series from b = 40 on, below it by recursion.
function gammaRatio(b) {
  let [at, shift] = [b, 1];
  for (; at < 40; at += 1) shift *= at / (at + 0.5);
  const z = 1 / at;
  const far = z * (-399 / 262144 + (z * 869) / 4194304);
  const tail = z * (5 / 1024 + z * (-21 / 32768 + far));
  return shift * Math.sqrt(at) * (1 + z * (-1 / 8 + z * (1 / 128 + tail)));
}

// |xi_1| / r has the density c (1 - s^2)^(b - 1) on [0, 1], with b = (d + 1)/2.
const density = (dim) => {
  const b = (dim + 1) / 2;
  return { b, c: (2 * gammaRatio(b)) / Math.sqrt(Math.PI) };
};

// P(|xi_1| < s r), a regularized incomplete beta function with parameters 1/2 and b, by the
// series whose terms are all positive, in s^2 or in 1 - s^2, whichever is smaller.
export function coordinateBelow(s, dim) {
  if (s >= 1) return 1;
  const { b, c } = density(dim);
  const x = s * s;
  const decay = b * Math.log1p(-x);
  if (decay < -45) return 1; // what is missing is below the rounding of 1
  const lead = c * s * Math.exp(decay);
  const sum = (ratio) => {
    let [term, total] = [1, 1];
    for (let n = 0; term > 1e-17 * total && n < 10000; n += 1) {
      term *= ratio(n);
      total += term;
    }
    return total;
  };
  return x <= 0.5 ? lead * sum((n) => ((b + 0.5 + n) * x) / (1.5 + n))
    : 1 - (lead / (2 * b)) * sum((n) => ((b + 0.5 + n) * (1 - x)) / (b + 1 + n));
}

// Its inverse. The law is concave, so Newton's method from 0 climbs to the answer.
export function coordinateQuantile(prob, dim) {
  const { b, c } = density(dim);
  let s = 0;
  for (let i = 0; i < 100; i += 1) {
    const slope = c * Math.exp((b - 1) * Math.log1p(-s * s));
    const step = (prob - coordinateBelow(s, dim)) / slope;
    s = Math.min(s + step, 1 - 1e-16);
    if (!(Math.abs(step) > 1e-15 * s)) break;
  }
  return s;
}

// Draws of xi_1 / r that do not use that law: the ball of dimension d is the projection of the
// sphere of dimension d + 2, so xi_1 = Z / sqrt(Z^2 + chi^2_{d+1}). The chi-square is twice a
// gamma variate, by the method of Marsaglia & Tsang (2000).
// They are made one by one when first asked for, so that a slider need not wait for all.
export function drawCoordinates({ seed, dim, runs }) {
  const uniform = mulberry32(seed);
  const k = (dim + 1) / 2 - 1 / 3;
  const width = 1 / Math.sqrt(9 * k);
  const next = () => {
    for (;;) {
      const [z, n] = normalPair(uniform);
      const v = (1 + width * n) ** 3;
      const u = 1 - uniform();
      if (v > 0 && Math.log(u) < 0.5 * n * n + k * (1 - v + Math.log(v))) {
        return z / Math.sqrt(z * z + 2 * k * v);
      }
    }
  };
  const made = [];
  return { length: runs, at(i) {
    while (made.length <= i) made.push(next());
    return made[i];
  } };
}

/* -- the run, and what is predicted for it -- */

// Steps until |x1| reaches the exit; visit(x, k) sees every iterate on the way. Infinity at 0.
export function escapeTime(x1, { gamma, stepSize, exit }) {
  if (x1 === 0) return Infinity;
  let [x, k] = [Math.abs(x1), 0];
  for (; x < exit; k += 1) x -= stepSize * (x * (x * x - gamma));
  return k;
}

// Everything that follows from the state without running anything; the names and the formulas
// are those of saddlelib.theory.laws and alpay2025.
export function predict(s) {
  const { gamma, dim, perturbation_radius: radius, failure_prob: delta } = s;
  const ell = Math.max(2 * gamma, 1);
  const stepSize = s.step_factor / ell;
  const exit = exitRadius(s);
  const growth = Math.log1p(stepSize * gamma);
  // U(x) = x / sqrt(1 - x^2/gamma) grows by at least 1 + eta gamma in a step.
  const u = (x) => x / Math.sqrt(Math.max(1 - (x * x) / gamma, 1e-12));
  const after = (x, steps) => {
    const w = u(x) * Math.exp(steps * growth);
    return w / Math.sqrt(1 + (w * w) / gamma);
  };
  const time = (x) => (x >= exit ? 0 : Math.log(u(exit) / u(x)) / growth);
  const start = (prob, r = radius) => r * coordinateQuantile(prob, dim);
  const inside = (steps) => coordinateBelow(Math.min(after(exit, -steps), exit) / radius, dim);

  const rho = 6 * Math.sqrt(gamma);
  const epsilon = (gamma * gamma) / rho;
  const whole = (x) => Math.ceil(x * (1 - 2 ** -50));
  const episodes = 1 + whole(128 * (ell / epsilon) * ((gamma * gamma) / 4 / epsilon));
  const reach = Math.log(16) + Math.log(dim) + Math.log(episodes) - Math.log(delta);
  const theoryRadius = gamma / (8 * rho);
  return {
    ...s, ell, stepSize, exit, after, time, inside, theoryRadius,
    band: BAND.map((prob) => start(prob)),
    latest: start(delta),
    deadline: Math.ceil(time(start(delta))),
    median: Math.ceil(time(start(0.5))),
    end: time(start(Math.min(0.003, delta))), // where the axis may stop
    theoryDeadline: Math.ceil(time(start(delta, theoryRadius))),
    episodeLength: whole(((8 * ell) / gamma) * reach),
  };
}

// The run that is shown, and an axis that holds it and the deadline, to a round number.
function show(p, coordinates) {
  const x1 = p.on_manifold ? 0
    : Math.abs(p.perturbation_radius * coordinates.at(p.draw % coordinates.length));
  const escape = escapeTime(x1, p);
  const last = Math.max(10, p.end, p.deadline, escape < 3 * p.deadline ? escape : 0) * 1.06;
  const tick = niceStep(last, 20);
  const kmax = Math.ceil(last / tick) * tick;
  const bin = Math.max(1, niceStep(kmax, 60));
  const edges = range(Math.ceil(kmax / bin) + 1, (j) => j * bin);
  // The share of each bin, from the number of starts that need so many steps.
  const left = edges.map((k) => (k ? p.inside(k - 1) : 1));
  return { ...p, x1, escape, kmax, bin, edges, law: edges.slice(1).map((_, j) => left[j] - left[j + 1]) };
}

// Its points, as many as can be told apart, and where it is as it leaves.
export function track({ x1, escape, kmax, stepSize, gamma }) {
  const every = Math.max(1, Math.floor(kmax / 600));
  const found = { points: [], out: x1 };
  for (let [k, x] = [0, x1]; k <= kmax; k += 1) {
    if (k % every === 0 || k === escape) found.points.push([k, x]);
    if (k === escape) found.out = x;
    x -= stepSize * (x * (x * x - gamma));
  }
  return found;
}

// Where runs from one place are, as predicted.
export const curve = ({ after, kmax }, from) =>
  range(121, (i) => (i / 120) * kmax).map((t) => [t, after(from, t)]);

// The escape times of the runs, in the order of their draws, counted as they come.
export class Batch {
  constructor(p, coordinates) {
    Object.assign(this, { p, coordinates, done: 0, times: new Float64Array(coordinates.length) });
  }

  // Until there are `count`, or until they have taken as many steps as suit one frame.
  grow(count, budget = BUDGET) {
    const until = Math.min(this.times.length, count);
    for (let steps = 0; this.done < until && steps < budget; this.done += 1) {
      const x1 = this.p.perturbation_radius * this.coordinates.at(this.done);
      // A start of exactly 0 has probability 0; the generator's numbers are finite in number.
      this.times[this.done] = escapeTime(x1 || 1e-300, this.p);
      steps += this.times[this.done];
    }
    return this.done < until;
  }
}

// Of the first n runs: their median, how many are late, and their shares of the bins.
export function count({ batch, deadline, bin, edges }, n) {
  const times = batch.times.slice(0, n);
  const [all, late] = [new Float64Array(edges.length - 1), new Float64Array(edges.length - 1)];
  let [after, beyond] = [0, 0];
  for (const t of times) {
    const j = Math.floor(t / bin);
    after += t > deadline;
    if (j >= all.length) beyond += 1;
    else {
      all[j] += 1 / n;
      if (t > deadline) late[j] += 1 / n;
    }
  }
  times.sort();
  const half = n >> 1;
  const median = n % 2 ? times[half] : 0.5 * (times[half - 1] + times[half]);
  return { n, all, late, beyond, share: after / n, median };
}

// What was drawn, and what ran, stays as long as it would be the same again.
export function compute(s, earlier = null) {
  const drawn = [s.seed, s.dim, s.runs].join();
  const coordinates = earlier?.drawn === drawn ? earlier.coordinates : drawCoordinates(s);
  const p = show(predict(s), coordinates);
  const made = [drawn, s.gamma, s.step_factor, s.perturbation_radius].join();
  const batch = earlier?.made === made ? earlier.batch : new Batch(p, coordinates);
  return { ...p, ...track(p), drawn, coordinates, made, batch };
}
