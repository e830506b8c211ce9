// The live figure of a trigger that reads noisy gradients. Its state lives in the widget's model
// (get, set, on, off and save_changes, nothing else). Gradients are measured in units of epsilon.

import * as model from "./model.js";
import * as page from "./page.js";

const { button, clamp, decades, h, niceStep, short } = page;

const STATE = ["rule", "batch_size", "dim", "noise", "grad_norm", "start", "seed"];
const DELTA = 0.1; // the failure probability of every rule
const DRAWS = 2000; // mini-batch gradients counted at each of the two points
const RUNS = 6;
const STEPS = 120;
const ETA = 0.05;
const EPSILON = 0.2; // in the units of f on the map
const PROBLEM = { gamma: 1, lam: 1 };
const MAP = { x1: 1.4, low: -0.5, high: 1.1 }; // |x1| up to the first, x2 between the others
const BOUND = 100; // a run that is farther away has diverged
const PLOT = { left: 12, right: 12, top: 84, gap: 26, bottom: 36 }; // in pixels
const SNAP = 6; // pixels from the stable manifold

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
function chiBelow(x, dim, lambda) {
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
function chiQuantile(prob, dim, lambda) {
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
const ownBatch = ({ rule, dim, noise, grad_norm: norm }) => (rule === "calibrated"
  ? least((calibration(dim).lambda * noise * noise) / (norm * norm))
  : least(2 * noise * noise * Math.log(2 / DELTA)));

function thresholdOf({ rule, dim, noise, batch_size: batch, grad_norm: norm }) {
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
    const [z, n] = model.normalPair(uniform);
    if (rest < 2) return [z, rest * n * n];
    const v = (1 + n / Math.sqrt(9 * k)) ** 3;
    const u = 1 - uniform();
    if (v > 0 && Math.log(u) < 0.5 * n * n + k * (1 - v + Math.log(v))) return [z, 2 * k * v];
  }
}

// Of every mini-batch its noise along the gradient and the squared length of the rest: they serve
// every size of noise, so that a slider moves the same draws.
function drawNoise({ seed, dim }) {
  const uniform = model.mulberry32(seed);
  const many = (n) => Array.from({ length: n }, () => normalAnd(dim - 1, uniform));
  return [many(DRAWS), many(DRAWS)];
}

// The same for every step of every run: x1, x2, and the part of all other coordinates along and
// across where they stand.
function drawRuns({ seed, dim }) {
  const uniform = model.mulberry32(seed + 0x9e3779b9);
  return Array.from({ length: RUNS }, () => Array.from({ length: STEPS + 1 }, () =>
    [...model.normalPair(uniform), ...(dim > 2 ? normalAnd(dim - 3, uniform) : [0, 0])]));
}

const norms = (draws, norm, s) =>
  Float64Array.from(draws, ([z, rest]) => Math.sqrt((norm + s * z) ** 2 + s * s * rest));

// SGD from the start; the other coordinates begin at 0. Because f looks the same in all
// directions of them, their length R tells all: along them the gradient is R and a normal number,
// across them noise alone. `size` is the true gradient, `seen` that of the mini-batch, in epsilon.
function walk(draws, s, { dim, start }, { threshold, grad_norm: norm }) {
  const noise = s * EPSILON;
  let [x1, x2, r] = [start[0], dim > 1 ? start[1] : 0, 0];
  const points = [];
  for (const [z1, z2, along, across] of draws) {
    const g = model.grad([x1, x2], PROBLEM);
    const rest = PROBLEM.lam * r;
    const seen = [g[0] + noise * z1, dim > 1 ? g[1] + noise * z2 : 0, rest + noise * along];
    const size = Math.hypot(...g, rest) / EPSILON;
    const seenSize = Math.hypot(...seen, noise * Math.sqrt(across)) / EPSILON;
    const fires = seenSize <= threshold;
    const near = size <= 1 && Math.abs(x1) < model.exitRadius(PROBLEM);
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

// Everything that the figure shows.
function compute(state, draws, runDraws) {
  const { noise, batch_size: batch, dim, grad_norm: norm } = state;
  const s = noise / Math.sqrt(batch);
  const threshold = thresholdOf(state);
  const [atSaddle, atLarge] = [norms(draws[0], 0, s), norms(draws[1], norm, s)];
  const count = (values, hit) => values.reduce((n, v) => n + hit(v), 0);
  const below = (t, at) => chiBelow(t / s, dim, (at / s) ** 2);
  const p = { ...state, s, threshold, atSaddle, atLarge, below };
  const runs = runDraws.map((one) => walk(one, s, state, p));
  const needed = ownBatch({ ...state, rule: "calibrated" });
  return {
    ...p, runs, needed,
    neededThreshold: thresholdOf({ ...state, rule: "calibrated", batch_size: needed }),
    missed: count(atSaddle, (v) => v > threshold), predictedMissed: 1 - below(threshold, 0),
    alarms: count(atLarge, (v) => v <= threshold), predictedAlarm: below(threshold, norm),
    near: runs.filter((run) => run.some((x) => x.near)).length,
    noticed: runs.filter((run) => run.some((x) => x.near && x.fires)).length,
  };
}

/* -- numbers and sentences -- */

const percent = (x) => (x > 0 && x < 5e-4 ? "< 0.05 %" : x < 1 && x > 0.9995 ? "> 99.95 %"
  : `${(100 * x).toFixed(1)} %`);
const NAMES = { published: "The published rule", calibrated: "The rule that knows d",
                naive: "The naive rule" };

function summarize(p) {
  const parts = [];
  const [missed, alarm] = [p.predictedMissed, p.predictedAlarm];
  const promised = missed <= DELTA + 1e-9 && alarm <= DELTA + 1e-9;
  parts.push(`${NAMES[p.rule]} fires at ‖ĝ‖ ≤ ${short(p.threshold)} ε. `
    + `At the saddle itself the noise of ${p.dim === 1 ? "one coordinate" : `${p.dim} coordinates`} `
    + `makes ‖ĝ‖ about ${short(p.s * Math.sqrt(p.dim))} ε: `
    + (missed > 0.999 ? "it never fires there."
      : missed < DELTA ? `it fires there in ${percent(1 - missed)} of the tries.`
        : `it misses the saddle in ${percent(missed)} of the tries.`));
  if (alarm > DELTA) parts.push(`False alarms: ${percent(alarm)}.`);
  if (promised) parts.push(`Both errors stay within ${100 * DELTA} %.`);
  else if (p.batch_size < p.needed) {
    parts.push(`For errors of ${100 * DELTA} % at most, B must be ${p.needed}, `
      + `with the threshold ${short(p.neededThreshold)} ε.`);
  } else {
    parts.push(`The batch is large enough; the threshold is wrong: B = ${p.needed} with `
      + `${short(p.neededThreshold)} ε would do.`);
  }
  const came = p.near === RUNS ? "All" : `${p.near || "None"} of the`;
  const heard = p.noticed === p.near ? "each" : p.noticed === 0 ? "none" : p.noticed;
  parts.push(`${came} ${RUNS} runs came close to the saddle`
    + (p.near === 0 ? "." : `; sooner or later it fired there for ${heard} of them.`));
  return parts.join(" ");
}

const counted = (n, predicted) => `${n} of ${DRAWS} = ${percent(n / DRAWS)} counted / `
  + `${percent(predicted)} predicted`;

/* -- colours and a pen -- */

const COLOURS = "bg ink soft line run law right missed false small contour";

// What a step or a try was, as a shape, so that colour is not alone.
function mark({ c, disc, colours }, kind, x, y, size = 3.5) {
  if (kind === "right") disc(x, y, size, colours.right, colours.bg, 1);
  else if (kind === "between") disc(x, y, size - 1, colours.bg, colours.right, 1.5);
  else if (kind === "silent") disc(x, y, size - 1.5, colours.soft, colours.soft, 0);
  else {
    c.beginPath();
    if (kind === "missed") {
      for (const turn of [1, -1]) {
        c.moveTo(x - size, y - turn * size);
        c.lineTo(x + size, y + turn * size);
      }
    } else {
      c.moveTo(x, y - size - 2);
      c.lineTo(x + size + 1.5, y + size);
      c.lineTo(x - size - 1.5, y + size);
      c.closePath();
      c.fillStyle = colours.false;
      c.fill();
    }
    Object.assign(c, { strokeStyle: kind === "missed" ? colours.missed : colours.bg,
                       lineWidth: kind === "missed" ? size / 2 : 1 });
    c.stroke();
  }
}

// Both halves of x2 = +-sqrt(h(x1)), in pieces of the axis on which h is not negative.
function lens(frame, h) {
  const pieces = [];
  const at = (i) => MAP.x1 * (i / 200 - 1.01);
  for (let i = 0, before = -1; i <= 404; i += 1) {
    const [x1, square] = [at(i), h(at(i))];
    const root = at(i - 1) + (x1 - at(i - 1)) * (before / (before - square));
    if (square >= 0 && before < 0) pieces.push([[], []]);
    if (square >= 0 !== before >= 0) for (const half of pieces.at(-1)) half.push([frame.x(root), frame.y(0)]);
    if (square >= 0) {
      pieces.at(-1)[0].push([frame.x(x1), frame.y(Math.sqrt(square))]);
      pieces.at(-1)[1].push([frame.x(x1), frame.y(-Math.sqrt(square))]);
    }
    before = square;
  }
  return pieces;
}

function mapFrame({ width, height }) {
  const [left, right, top, bottom] = [1, width - 1, 24, height - 22];
  const tall = MAP.high - MAP.low;
  return { left, right, top, bottom,
           x: (x1) => left + ((right - left) * (x1 / MAP.x1 + 1)) / 2,
           y: (x2) => top + ((bottom - top) * (MAP.high - x2)) / tall,
           x1: (x) => MAP.x1 * ((2 * (x - left)) / (right - left) - 1),
           x2: (y) => MAP.high - (tall * (y - top)) / (bottom - top) };
}

function drawMap(pen, frame, p, step) {
  const { colours, path, text, fill, disc, inside, line } = pen;
  const { left, right, top, bottom } = frame;
  const g1 = (x1) => model.grad([x1, 0], PROBLEM)[0];
  const flat = p.dim === 1;
  const zero = flat ? (top + bottom) / 2 : frame.y(0);
  // Where |grad f| is at most c; a strip for each run where there is no x2.
  const small = (c) => lens(frame, (x1) => {
    const square = ((c * EPSILON) ** 2 - g1(x1) ** 2) / PROBLEM.lam ** 2;
    return flat && square >= 0 ? 4 : square;
  });
  inside(frame, () => {
    for (const [over, under] of small(1)) fill([...over, ...under.reverse()], colours.small);
    if (!flat) {
      for (let level = -0.2; level < 1.2; level += 0.1) {
        const at = (x1) => (2 * (level - model.fun([x1, 0], PROBLEM))) / PROBLEM.lam;
        for (const piece of lens(frame, at)) for (const half of piece) path(half, colours.contour);
      }
    }
    for (const piece of small(p.grad_norm)) {
      for (const half of flat ? [] : piece) path(half, colours.false, { dash: [2, 4] });
      if (!flat) continue;
      for (const end of [0, -1]) {
        const x = piece[0].at(end)[0];
        if (x > left + 1 && x < right - 1) line(x, top, x, bottom, colours.false, { dash: [2, 4] });
      }
    }
    line(frame.x(0), top, frame.x(0), bottom, colours.soft, { dash: [2, 4] });
    const row = (j) => top + ((bottom - top) * (j + 0.5)) / RUNS;
    const places = p.runs.map((run, j) => run.slice(0, step + 1).map((x) =>
      [clamp(frame.x(x.x1), -1e4, 1e4), flat ? row(j) : clamp(frame.y(x.x2), -1e4, 1e4)]));
    for (const points of places) path(points, colours.run, { width: 1.25 });
    for (const kind of ["missed", "between", "right", "false"]) {
      places.forEach((points, j) => points.forEach(([x, y], k) => {
        if (p.runs[j][k].kind === kind) mark(pen, kind, x, y, 3);
      }));
    }
    for (const points of places) {
      if (points.length) disc(...points.at(-1), 4.5, colours.run, colours.bg, 1.5);
    }
    for (const end of [-1, 1]) {
      disc(frame.x(end * model.minimizer(PROBLEM)), zero, 4, colours.bg, colours.soft, 2);
    }
  });
  pen.box(frame, colours.line);
  const ink = { colour: colours.ink };
  text(flat ? "six runs of SGD in one coordinate, a row each" : "six runs of SGD, by x₁ and x₂",
       2, 14, ink);
  text("x₁, the escape direction", (left + right) / 2, bottom + 15, { align: "center" });
  if (!flat) {
    text("‖∇f‖ ≤ ε", frame.x(0) + 8, frame.y(-EPSILON / PROBLEM.lam) + 16, ink);
    const low = p.grad_norm * EPSILON;
    if (low < -0.9 * MAP.low) {
      text(`‖∇f‖ = ${short(p.grad_norm)} ε`, frame.x(0) + 8, frame.y(-low) + 14, ink);
    }
  }
  text("minimizer", frame.x(1), zero + 24, { align: "center" });
}

// Parallel lines through what is clipped; both ways for a false alarm.
function hatch({ c, colours }, { left, right, top, bottom }, ways) {
  c.beginPath();
  for (const way of ways) {
    const tall = bottom - top;
    for (let x = left - tall; x < right + tall; x += 7) {
      c.moveTo(x, way > 0 ? bottom : top);
      c.lineTo(x + tall, way > 0 ? top : bottom);
    }
  }
  Object.assign(c, { strokeStyle: colours.bg, lineWidth: 1.5 });
  c.stroke();
}

// The range of the axis: both laws and the threshold, and 0 unless that is far away.
function axisOf({ s, dim, grad_norm: norm, threshold }) {
  const middle = s * Math.sqrt(dim);
  const high = Math.max(Math.hypot(norm, middle) + 3.5 * s, 1.15 * threshold);
  const lowest = Math.min(threshold, Math.max(0, middle - 4 * s), 0.9 * high);
  const low = lowest - 0.25 * (high - lowest);
  return { low: low < 0.35 * high ? 0 : low, high };
}

function drawHistogram(pen, { width, height }, p, step) {
  const { c, colours, path, text, line } = pen;
  const { low, high } = axisOf(p);
  const [left, right] = [PLOT.left, width - PLOT.right];
  const tall = (height - PLOT.top - PLOT.gap - PLOT.bottom) / 2;
  const x = (v) => clamp(left + ((right - left) * (v - low)) / (high - low), -1e4, 1e4);
  const bin = niceStep(high - low, 50);
  // The threshold is an edge, so that no bin is on both sides.
  const first = Math.max(-Math.ceil(p.threshold / bin), Math.floor((low - p.threshold) / bin));
  const bins = Math.ceil((high - p.threshold) / bin) - first;
  const edge = (j) => Math.max(0, p.threshold + (first + j) * bin);
  const ink = { colour: colours.ink };
  const words = width < 420;
  const panels = [
    [p.atSaddle, 0, PLOT.top, "missed", (j) => first + j >= 0, [1],
     words ? "at the saddle" : "at the saddle, ‖∇f‖ = 0: it should fire"],
    [p.atLarge, p.grad_norm, PLOT.top + tall + PLOT.gap, "false", (j) => first + j < 0, [1, -1],
     words ? `at ‖∇f‖ = ${short(p.grad_norm)} ε`
       : `where ‖∇f‖ = ${short(p.grad_norm)} ε: it should be silent`],
  ];
  const bottom = PLOT.top + 2 * tall + PLOT.gap;
  const tick = niceStep(high - low, (right - left) / 60);
  for (let v = tick * Math.ceil(low / tick - 1e-9); v <= high; v += tick) {
    for (const [, , top] of panels) line(x(v), top, x(v), top + tall, colours.line);
    text(short(v), x(v), bottom + 15, { align: "center" });
  }
  for (const [values, at, top, error, wrong, ways, title] of panels) {
    const frame = { left, right, top, bottom: top + tall };
    const counts = new Float64Array(bins);
    for (const v of values) {
      // Rounding must not move a draw across the threshold.
      const j = Math.floor((v - p.threshold) / bin) - first;
      if (j >= 0 && j < bins) counts[v > p.threshold ? Math.max(j, -first) : Math.min(j, -first - 1)] += 1;
    }
    const inside = Array.from({ length: bins + 1 }, (_, j) => p.below(edge(j), at));
    const law = Array.from(counts, (_, j) => DRAWS * (inside[j + 1] - inside[j]));
    const most = 1.12 * Math.max(...law, ...counts);
    const y = (n) => frame.bottom - (tall * n) / most;
    const bars = (chosen) => {
      c.beginPath();
      counts.forEach((n, j) => {
        if (chosen(j) && n) c.rect(x(edge(j)) + 0.5, y(n), x(edge(j + 1)) - x(edge(j)) - 1, frame.bottom - y(n));
      });
    };
    pen.inside(frame, () => {
      bars((j) => !wrong(j));
      c.fillStyle = colours.run;
      c.fill();
      bars(wrong);
      c.fillStyle = colours[error];
      c.fill();
      c.save();
      c.clip();
      hatch(pen, frame, ways);
      c.restore();
      const curve = law.flatMap((n, j) => [[x(edge(j)), y(n)], [x(edge(j + 1)), y(n)]]);
      path(curve, colours.bg, { width: 4 });
      path(curve, colours.law, { width: 1.75 });
    });
    pen.box(frame, colours.line);
  }
  // The runs at this step, with the same threshold.
  const strip = 50;
  line(left, strip, right, strip, colours.line);
  const at = x(p.threshold);
  line(at, 18, at, bottom, colours.bg, { width: 5 });
  line(at, 18, at, bottom, colours.ink, { width: 2 });
  p.runs.forEach((run, j) => {
    if (!run[step]) return;
    const { seen, kind } = run[step];
    mark(pen, kind, clamp(x(seen), left, right), strip + (j - 2.5) * 2.4, 4);
  });
  const label = `fires ← t = ${short(p.threshold)} ε → silent`;
  const half = c.measureText(label).width / 2;
  text(label, clamp(at, left + half, right - half), 13, { ...ink, align: "center" });
  text(`the six runs at step ${step}`, left + 1, 34, ink);
  for (const [, , top, , , , title] of panels) text(title, left + 1, top - 6, ink);
  text("norm ‖ĝ‖ of a mini-batch gradient, in units of ε", (left + right) / 2, bottom + 31,
       { ...ink, align: "center" });
}

/* -- the page -- */

const PRESETS = {
  "one coordinate: the published rule works":
    { rule: "published", dim: 1, noise: 10, grad_norm: 2, batch_size: 600 },
  "fifty coordinates: it never fires":
    { rule: "published", dim: 50, noise: 10, grad_norm: 2, batch_size: 600 },
};

const NOTES = [
  "Left: f(x) = −x₁²/2 + x₁⁴/4 + ½(x₂² + … + x_d²) and six runs of SGD with η = 0.05. Every step "
  + "sees ĝ = ∇f + noise of law N(0, (σ²/B) I). The marks say what the rule would do; it never "
  + "looks at the curvature, so it fires at the minimizers too. The other coordinates start at 0, "
  + "and their noise adds to ‖∇f‖; shade and dotted line are for those that stay there. ε = 0.2.",
  `Right: ${DRAWS} mini-batch gradients at a stationary point and ${DRAWS} where ‖∇f‖ is as the `
  + "slider says; the line is the predicted law, ‖ĝ‖√B/σ is noncentral chi with d degrees of "
  + "freedom. Striped bars are missed saddles, checked ones false alarms.",
  "Published (authors’ repository): t = ε√(1 + 2σ²/(Bε²)) with B = ⌈(2σ²/ε²) ln(2/δ)⌉. Knows d: t "
  + "half way between the 1 − δ quantile of ‖ĝ‖ at the saddle and the δ quantile at the large "
  + "gradient; the smallest B for which the first is not above the second. Naive: t = ε. δ = 0.1.",
  page.DRAG_KEYS,
];

let figures = 0;

function render({ model: widget, el }) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const initial = {};
  let [size, colours, current, currentOf] = [null, null, null, ""];
  let [draws, runDraws, drawnOf] = [null, null, ""];
  let [step, playing, started, seen] = [STEPS, false, false, false];

  const { read, write, publish, invalidate, begin } =
    page.loop(widget, { state: STATE, name: "noise", draw });
  Object.assign(initial, read());

  const canvas = (name) => h("canvas", { role: "img", "data-testid": name });
  const [mapCanvas, histogram] = [canvas("map"), canvas("histogram")];
  const handle = h("div", { "data-testid": "start", class: "nt-start", tabindex: "0",
    role: "slider", "aria-label": "start of the runs", "aria-roledescription": "point on the map",
    "aria-description": page.DRAG_KEYS });
  const map = h("div", { class: "nt-map" }, mapCanvas, handle);
  const summary = page.status("nt");
  const readout = h("p", { class: "nt-readout", "data-testid": "readout" });

  const sliders = [];
  function slider(name, label, values, words = short) {
    const { input, box, show } = page.slider("nt", label, { min: 0, step: 1,
                                                            max: values.length - 1 });
    input.addEventListener("input", () => write({ [name]: values[input.valueAsNumber] }));
    sliders.push((s) => show(page.stopOf(values, s[name]), words(s[name])));
    return box;
  }
  const scrub = page.slider("nt", "step", { min: 0, max: STEPS, step: 1 });
  scrub.input.addEventListener("input", () => {
    [step, playing] = [scrub.input.valueAsNumber, false];
    invalidate();
  });
  const play = button("play", () => {
    playing = !playing;
    if (playing && step >= STEPS) step = 0;
    invalidate();
  });

  const radios = Object.entries({ published: "published", calibrated: "knows d", naive: "naive, t = ε" })
    .map(([rule, words]) => {
      const input = h("input", { type: "radio", value: rule });
      input.addEventListener("change", () => write({ rule }));
      return { rule, input, box: h("label", {}, input, words) };
    });
  // Buttons of one group move by the arrows; each figure on a page has a group of its own.
  const group = `nt-rule-${figures += 1}`;
  for (const { input } of radios) input.name = group;

  const key = (name, words) => h("li", { class: `nt-key-${name}` }, words);
  const tidy = (x) => clamp(Math.round(x), 1, 1e6);
  const root = h("div", { class: "noisy-trigger", role: "group",
                          "aria-label": "Does the trigger see the saddle through the noise?" },
    h("ul", { class: "nt-legend" }, key("run", "SGD, and right answers"),
      key("law", "predicted"), key("right", "fires where ‖∇f‖ ≤ ε"), key("between", "fires a little farther out"),
      key("missed", "missed saddle"),
      key("false", "false alarm")),
    h("div", { class: "nt-views" },
      h("div", {}, map, h("div", { class: "nt-play" }, scrub.box, play)),
      h("div", {}, histogram, readout)),
    summary.node,
    h("div", { class: "nt-presets", role: "group", "aria-label": "presets" },
      ...Object.entries(PRESETS).map(([words, to]) => button(words, () => write(to))),
      button("a batch that knows d", () => {
        const to = { ...read(), rule: "calibrated" };
        write({ rule: "calibrated", batch_size: tidy(ownBatch(to)) });
      }),
      button("a quarter of the batch", () => write({ batch_size: tidy(read().batch_size / 4) })),
      button("new draws", () => write({ seed: (read().seed + 1) % 2 ** 31 })),
      button("start over", () => write(initial))),
    h("div", { class: "nt-rules", role: "radiogroup", "aria-label": "rule of the threshold" },
      h("span", {}, "threshold:"), ...radios.map(({ box }) => box),
      button("its own batch", () => write({ batch_size: tidy(ownBatch(read())) }))),
    h("div", { class: "nt-sliders" },
      slider("batch_size", "batch size B", decades(0, 5, { tidy: Math.round }), String),
      slider("dim", "dimension d", decades(0, 3, { tidy: Math.round }), String),
      slider("noise", "noise σ", decades(0, 1.5), (x) => `${short(x)} ε`),
      slider("grad_norm", "large gradient ‖∇f‖", Array.from({ length: 45 }, (_, i) => (12 + 2 * i) / 10),
             (x) => `${short(x)} ε`)),
    page.notes("nt", NOTES));
  page.quiet(root);
  el.append(root);

  function layout() {
    const width = map.clientWidth;
    if (width < 100) return false; // hidden: a closed tab, a folded cell
    const wide = root.classList.toggle("nt-wide", root.clientWidth >= 640);
    size = { ratio: devicePixelRatio, width: map.clientWidth,
             height: wide ? 400 : 340 };
    for (const { style } of [mapCanvas, histogram]) {
      Object.assign(style, { width: `${size.width}px`, height: `${size.height}px` });
    }
    return true;
  }

  function draw() {
    if (size?.ratio !== devicePixelRatio && !layout()) return false;
    colours ??= page.palette(root, "nt", COLOURS);
    const s = read();
    const drawing = [s.seed, s.dim].join();
    if (drawing !== drawnOf) [draws, runDraws] = [drawNoise(s), drawRuns(s)];
    drawnOf = drawing;
    const name = JSON.stringify(s);
    if (name !== currentOf) current = compute(s, draws, runDraws);
    currentOf = name;
    if (playing && seen) step = Math.min(STEPS, step + 0.5);
    if (step >= STEPS) playing = false;

    const shown = Math.floor(step);
    current.frame = mapFrame(size);
    drawMap(page.penOn(mapCanvas, size, colours), current.frame, current, shown);
    drawHistogram(page.penOn(histogram, size, colours), size, current, shown);
    showState(shown);
    publish({ measured_missed: current.missed / DRAWS, measured_false: current.alarms / DRAWS });
    if (playing && seen) invalidate();
    return true;
  }

  function showState(shown) {
    const { start, frame: f, dim } = current;
    handle.style.left = `${clamp(f.x(start[0]), f.left, f.right)}px`;
    handle.classList.toggle("nt-left", start[0] > 0.2);
    handle.style.top = `${dim > 1 ? clamp(f.y(start[1]), f.top, f.bottom) : (f.top + f.bottom) / 2}px`;
    const where = `x₁ = ${short(start[0])}${dim > 1 ? `, x₂ = ${short(start[1])}` : ""}`;
    const aria = { valuemin: -MAP.x1, valuemax: MAP.x1, valuenow: start[0], valuetext: where };
    for (const [name, v] of Object.entries(aria)) handle.setAttribute(`aria-${name}`, v);
    mapCanvas.setAttribute("aria-label", "Map of f with the saddle and the minimizers, where the "
      + `gradient is small, and six runs of SGD from ${where}, marked where the rule fires or fails.`);
    histogram.setAttribute("aria-label", "Histograms of the norm of a mini-batch gradient at the "
      + "saddle and where the gradient is large, the predicted law over them, and the threshold.");
    for (const update of sliders) update(current);
    for (const { rule, input } of radios) input.checked = rule === current.rule;
    scrub.show(shown, String(shown));
    play.hidden = calm.matches;
    play.textContent = playing ? "pause" : "play";
    readout.replaceChildren(
      h("span", { class: "nt-key-missed" }, `missed: ${counted(current.missed, current.predictedMissed)}`),
      h("span", { class: "nt-key-false" }, `false alarms: ${counted(current.alarms, current.predictedAlarm)}`));
    summary.say(summarize(current));
  }

  function moveTo(x1, x2) {
    const round = (v, low, high) => Number(clamp(v, low, high).toPrecision(12));
    root.classList.add("nt-moved");
    write({ start: [round(x1, -MAP.x1, MAP.x1), round(x2, MAP.low, MAP.high)] });
  }

  page.draggable(handle, mapCanvas, { point: () => widget.get("start"), move: moveTo, drop(x, y) {
    const { frame: f, dim, start } = current;
    moveTo(Math.abs(x - f.x(0)) <= SNAP ? 0 : f.x1(x), dim > 1 ? f.x2(y) : start[1]);
  } });

  // The runs walk once, when somebody can watch.
  const watched = new IntersectionObserver((entries) => {
    seen = entries.at(-1).isIntersecting;
    if (seen && !started && !calm.matches) [step, playing] = [0, true];
    started ||= seen;
    invalidate();
  }, { threshold: 0.3 });
  watched.observe(mapCanvas);
  const calmed = () => {
    if (calm.matches) [step, playing] = [STEPS, false];
    invalidate();
  };
  calm.addEventListener("change", calmed);
  const end = begin(root, { layout, rethemed: () => {
    colours = null;
    invalidate();
  } });

  return () => {
    end();
    watched.disconnect();
    calm.removeEventListener("change", calmed);
    summary.stop();
  };
}

export { axisOf, chiBelow, chiQuantile, compute, drawNoise, drawRuns, norms, ownBatch, summarize,
         thresholdOf, walk };
export default { render };
