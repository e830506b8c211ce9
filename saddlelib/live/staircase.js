// The figure of a network's birth: the strengths of its modes rise one after the other, and the loss
// goes down its staircase from saddle to saddle.

import { axes, linear, log } from "./kit/axes.js";
import { table } from "./kit/controls.js";
import { figure } from "./kit/figure.js";
import { decades, powerOfTen, range, short, superscript } from "./kit/numbers.js";
import { compute, FRAMES, lossOf, strengthsAt, timeOf } from "./staircase_model.js";

/* -- words -- */

// A time, which may be 10¹⁷.
function time(t) {
  if (t === null || t < 1e5) return t === null ? "–" : short(t);
  const [digits, power] = t.toExponential(2).split("e+");
  return `${Number(digits)}·10${superscript(Number(power))}`;
}
const ratio = (x) => (x === null ? "–" : x < 0.1 ? short(x, 2) : x.toFixed(2));
const list = (words) => words.join(", ").replace(/, (?=[^,]*$)/, " and ");
const NAMES = ["m₁", "m₂", "m₃"];
const COLOURS = ["mode1", "mode2", "mode3"];

function summarize(p) {
  const ratios = p.ratios.map(ratio);
  const start = `Gradient ${short(p.gradient, 1)} at the start.`;
  if (p.measured.every((t) => t === null)) return `${start} Every mode begins half way or beyond: it leaves no saddle.`;
  const [rise, beyond] = [0, 1].map((no) => range(3).filter((i) => Number(p.measured[i] === null) === no));
  const of = (all) => list(rise.map((i) => all[i]));
  const rest = beyond.length ? `; ${list(beyond.map((i) => NAMES[i]))} ${beyond.length > 1 ? "begin" : "begins"} beyond` : "";
  const half = `Half way at ${of(p.measured.map(time))}`;
  if (p.ratios.every((r) => r === null)) return `${start} ${half}; nothing was predicted.`;
  // A prediction that is right says less than what the start does.
  if (p.later !== null && ratios.every((r) => r === "1.00")) {
    const times = p.later < 100 ? p.later.toPrecision(3) : short(p.later);
    const late = p.small_layers === 2 ? `${time(p.measured[0] * (1 - 1 / p.later))} later than` : `${times} times as late as`;
    return `${start} ${half}; m₁ ${late} from 10ε.`;
  }
  const told = rise.length > 1 && rise.every((i) => ratios[i] === ratios[rise[0]]) ? `each ${ratios[rise[0]]}` : of(ratios);
  return `${start} ${half}: ${told} times predicted${rest}.`;
}

const COUNTS = { 3: "Three", 4: "Four", 5: "Five", 6: "Six" };
function lawOf({ flow, r, depth }) {
  if (flow === "muon") {
    return "Muon moves every weight at the pace 1, however small the gradient: the smallest mode arrives first, and ε "
      + "hardly matters.";
  }
  if (r === 1) return "One small layer: the wait does not depend on ε.";
  if (r === 2) return "Two small layers: the wait is about ln(1/ε)/m; ten times smaller, and it is 2.3/m longer.";
  const wait = `ε${superscript(2 - r)}/${r === 3 ? "m" : `(${r - 2}m)`}`;
  return `${COUNTS[r]} small layers: the wait is about ${wait}; ten times smaller, and it is ${10 ** (r - 2)} times longer.`
    + (depth > r ? ` That there are ${depth} layers in all hardly matters.` : "");
}
const CHANGES = {
  linear: () => "",
  tanh: () => "tanh begins like the linear map, so that the law holds while the weights are small.",
  sin: () => "The sine begins like the linear map, so that the law holds while the weights are small.",
  swish: ({ depth }) => `Swish halves a small signal, and does so ${depth === 2 ? "once" : `${depth - 1} times`}: the wait `
    + `is up to ${2 ** (depth - 1)} times longer, with the same power of ε.`,
  sigmoid: () => "The sigmoid is ½ at 0: a network with small weights is at no saddle, and the law does not hold.",
};

function tell(p) {
  const [begins, ...others] = p.plateaus.map((v) => short(v));
  return [...(p.activation === "sigmoid" ? []
    : [lawOf(p), `The loss is ${begins} at the saddle with no mode learned, ${others.join(" and ")} at those with one and two.`]),
          CHANGES[p.activation](p), `Predicted half way: ${list(p.expected.map(time))}.`].filter(Boolean).join(" ");
}

/* -- the plots -- */

const xOf = (p) => (p.log_time ? log(p.first, p.end, { words: (e) => (e === 1 ? "10" : powerOfTen(e)) })
  : linear(0, p.end, { words: (t) => short(t / 10 ** p.unit) }));
const unitOf = (p) => (p.unit && !p.log_time ? `time t of the flow, in units of ${powerOfTen(p.unit)}` : "time t of the flow");

// Pixels from the left end of a plot to where a time is, at which something is sampled.
const columns = (plot, now) => {
  const { left, right } = plot.frame;
  const last = Math.min(right, plot.x(now));
  return [...range(Math.max(0, Math.ceil(last - left)), (i) => left + i), last];
};

function drawStrengths(pen, p, at) {
  const now = timeOf(p, at);
  const frame = { left: 34, right: pen.width - 10, top: 24, bottom: pen.height - 36 };
  const plot = axes(pen, frame, { x: xOf(p), y: linear(0, 1.12), gap: [64, 40], xTitle: unitOf(p),
    title: `strengths of the modes at t = ${time(now)}` });
  const { left, right, top } = frame;
  p.modes.forEach((s, i) => {
    plot.across(s, "edge", { width: 1, dash: [1, 4] });
    if (p.expected[i] !== null) plot.down(p.expected[i], "law");
  });
  const xs = columns(plot, now);
  const strengths = xs.map((x) => strengthsAt(p, plot.atX(x)));
  p.modes.forEach((_, i) => plot.within(() => pen.path(xs.map((x, j) => [x, plot.y(strengths[j][i])]), COLOURS[i])));
  p.modes.forEach((s, i) => {
    pen.text(`${NAMES[i]} = ${short(s)}`, left + 5, plot.y(s) - 5, { colour: "ink", free: true });
    plot.dot(now, strengths.at(-1)[i], 4, COLOURS[i], "bg", 1.5);
    const half = p.measured[i];
    if (half === null || half > now) return;
    plot.dot(half, s / 2, 5, "bg", COLOURS[i], 2.5);
    if (p.ratios[i] === null) return;
    const [x, late] = [plot.x(half), plot.x(half) > (left + right) / 2];
    pen.text(`ratio ${ratio(p.ratios[i])}`, x + (late ? -9 : 9), plot.y(s / 2) + 4, { colour: "ink", align: late ? "right" : "left", free: true });
  });
  if (p.expected.some((t) => t > p.end)) {
    pen.text("predicted: far beyond this axis →", right - 4, top + 14, { colour: "ink", align: "right" });
  }
}

const LEARNED = ["saddle: no mode learned", "one mode learned", "two modes learned"];

function drawLoss(pen, p, at) {
  const now = timeOf(p, at);
  const frame = { left: 44, right: pen.width - 10, top: 24, bottom: pen.height - 36 };
  const plot = axes(pen, frame, { x: xOf(p), y: log(1e-3 * p.plateaus.at(-1), 3 * p.plateaus[0]), gap: [64, 30],
    xTitle: unitOf(p), title: `loss ½Σ(m − p)², at t = ${time(now)}` });
  for (const v of p.plateaus) plot.across(v, "edge", { width: 1, dash: [1, 4] });
  const xs = columns(plot, now);
  const losses = xs.map((x) => lossOf(p.modes, strengthsAt(p, plot.atX(x))));
  plot.within(() => pen.path(xs.map((x, j) => [x, plot.y(losses[j])]), "ink", { width: 2.5, dash: [] }));
  plot.dot(now, losses.at(-1), 4, "ink", "bg", 1.5);
  // The words stand where the loss is not: that of Muon, or on a logarithmic axis, falls at the right.
  const place = p.flow === "muon" || p.log_time ? [frame.left + 5, "left"] : [frame.right - 5, "right"];
  p.plateaus.forEach((v, i) => pen.text(LEARNED[i], place[0], plot.y(v) - 5, { colour: "ink", align: place[1], free: true }));
}

/* -- the page -- */

// What changes, or null where that would change nothing.
const changed = (s, to) => (Object.keys(to).some((key) => s[key] !== to[key]) ? to : null);
const SETTING = { flow: "gradient", activation: "linear", eps: 1e-3 };
const EPS = [...decades(-4, -0.35), 0.5];
const PRESETS = {
  "three small layers": (s) => changed(s, { ...SETTING, depth: 3, small_layers: 3 }),
  "two layers": (s) => changed(s, { ...SETTING, depth: 2, small_layers: 2 }),
  "ten times smaller start": (s) => changed(s, { eps: Math.max(Number((s.eps / 10).toPrecision(2)), EPS[0]) }),
  Muon: (s) => changed(s, { flow: "muon" }),
};
const MORE_PRESETS = {
  "three of six layers": (s) => changed(s, { ...SETTING, depth: 6, small_layers: 3 }),
  "a sigmoid": (s) => changed(s, { activation: "sigmoid", flow: "gradient" }),
};

export { compute, summarize, tell };
export default figure({
  name: "staircase", title: "How long does a deep network wait at its saddles?",
  state: ["small_layers", "eps", "depth", "mode_ratio", "activation", "flow", "log_time"],
  compute, summarize, tell, guess: true, presets: PRESETS, morePresets: MORE_PRESETS,
  results: ({ r, measured }) => ({ small_layers: r, measured_times: measured }),
  legend: () => [...COLOURS.map((colour, i) => [colour, `mode ${NAMES[i]}`]), ["law", "half way, predicted"]],
  views: () => {
    const { node, update } = table({ caption: "When each mode is half way",
                                     head: ["mode", "time", "predicted", "ratio", "law for small ε"] });
    return [{
      name: "strengths", draw: drawStrengths, height: (_, wide) => (wide ? 420 : 300),
      words: () => "The strengths of three modes against time: each rests near 0 and then rises to its own height; dashed "
        + "lines show when it was predicted to be half way.",
    }, {
      name: "loss", draw: drawLoss, height: (_, wide) => (wide ? 260 : 220),
      words: () => "The loss against time on a logarithmic axis, a step down for every mode, with the losses of the saddles.",
    }, {
      node,
      update: (p) => update(p.modes.map((s, i) => [COLOURS[i], `${NAMES[i]}\u00a0=\u00a0${short(s)}`,
        ...[p.measured[i], p.expected[i]].map(time), ratio(p.ratios[i]), time(p.law[i])])),
    }];
  },
  player: { waits: true, label: "time", last: () => FRAMES, next: (at) => at + 1, words: (at, p) => time(timeOf(p, at)) },
  beside: (make) => [make.slider("small_layers", "small layers r", ({ depth }) => range(depth, (i) => i + 1), String),
                     make.slider("eps", "scale ε", EPS)],
  more: (make) => [
    make.slider("depth", "depth L", range(5, (i) => i + 2), String),
    make.slider("mode_ratio", "ratio of strengths", range(14, (i) => (30 + 5 * i) / 100)),
    make.radios("flow", "flow", { gradient: "gradient flow", muon: "Muon" }),
    make.radios("activation", "activation", { linear: "none, linear", tanh: "tanh", sin: "sine", swish: "Swish", sigmoid: "sigmoid" }),
    make.check("log_time", "log axis for time")],
  caption: "Under gradient flow modes rise one after the other, and the loss rests at a saddle before each. How long depends "
    + "on how many layers begin small: with three the wait is a power of 1/ε, with two a logarithm. Under Muon all rise together.",
  notes: [
    "The network W_{L}⋯W₁ learns a matrix with the singular values m₁ = 1, m₂ and m₃. It begins aligned: r layers are ε times "
    + "a diagonal of ones, the others 1 times it. Then each mode is alone, its strength is p = w₁⋯w_{L}, and w′ is the "
    + "gradient of −½(m − p)². The loss is the sum over the modes.",
    "Predicted: the time of half the strength in the linear network, the integral of da/((m − p)a^{r−1}b^{L−r}) from ε on; b² − a² "
    + "is conserved (a: small layers, b: others). The law is its leading term for ε → 0: ln(1/ε)/m for r = 2, "
    + "ε^{−(r−2)}/((r − 2)m) from r = 3 on. Rings mark the half way of the run, which knows nothing of it.",
    "With an activation the mode is the chain p = w_{L} s(w_{L−1}⋯s(w₁)), the first r weights are small, and the prediction is still "
    + "that of the linear network: the ratio shows what the activation changes.",
    "Muon steps along the polar factor of the gradient, which for these diagonal layers has the entries ±1: w′ = 1 until the mode has "
    + "arrived. With two small layers it is half way at √(m/2) − ε. Five Newton–Schulz steps only approximate that factor.",
  ],
});
