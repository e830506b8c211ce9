// The figure of a trigger that reads noisy gradients: six runs on a map, and the norms of many
// mini-batches against the threshold. Gradients are measured in units of epsilon.

import { axes, linear } from "./kit/axes.js";
import { h, swatch } from "./kit/controls.js";
import { figure } from "./kit/figure.js";
import { cached } from "./kit/landscape.js";
import { clamp, decades, range, short } from "./kit/numbers.js";
import { fun, minimizer } from "./model.js";
import { axisOf, chiBelow, chiQuantile, compute, DELTA, DRAWS, drawNoise, drawRuns, EPSILON, lens,
         norms, ownBatch, PROBLEM, RUNS, small, STEPS, thresholdOf, walk } from "./noise_model.js";

const MAP = { x1: 1.4, low: -0.5, high: 1.1 }; // |x1| up to the first, x2 between the others
const SNAP = 6; // pixels from the stable manifold
const ERRORS = ["missed", "false"];

/* -- words -- */

const percent = (x) => (x > 0 && x < 5e-4 ? "< 0.05 %" : x < 1 && x > 0.9995 ? "> 99.95 %"
  : `${(100 * x).toFixed(x === 0 ? 0 : 1)} %`);
const NAMES = { published: "The published rule", calibrated: "The rule that knows d",
                naive: "The naive rule" };
const NEVER = 0.999; // a chance of a miss from which on nobody will see it fire
const keeps = (p) => p.predictedMissed <= DELTA + 1e-9 && p.predictedAlarm <= DELTA + 1e-9;

function summarize(p) {
  const missed = p.predictedMissed > NEVER ? "never fires at the saddle"
    : `misses ${percent(p.predictedMissed)} of saddles`;
  const advice = keeps(p) ? `: both within ${100 * DELTA} %`
    : p.rule === "calibrated" ? `. B must be ${p.needed}`
      : p.batch_size < p.needed ? `. B must be ${p.needed}, t ${short(p.neededThreshold)} ε`
        : `. t must be ${short(thresholdOf({ ...p, rule: "calibrated" }))} ε`;
  return `${NAMES[p.rule]} ${missed}; false alarms ${percent(p.predictedAlarm)}${advice}.`;
}

function tell(p) {
  const parts = [];
  const [missed, alarm] = [p.predictedMissed, p.predictedAlarm];
  parts.push(`${NAMES[p.rule]} fires at ‖ĝ‖ ≤ ${short(p.threshold)} ε. `
    + `At the saddle itself the noise of ${p.dim === 1 ? "one coordinate" : `${p.dim} coordinates`} `
    + `makes ‖ĝ‖ about ${short(p.s * Math.sqrt(p.dim))} ε: `
    + (missed > NEVER ? "it never fires there."
      : missed < DELTA ? `it fires there in ${percent(1 - missed)} of the tries.`
        : `it misses the saddle in ${percent(missed)} of the tries.`));
  if (alarm > DELTA) parts.push(`False alarms: ${percent(alarm)}.`);
  if (keeps(p)) parts.push(`Both errors stay within ${100 * DELTA} %.`);
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

const counted = (n, predicted) =>
  `${n} of ${DRAWS} = ${percent(n / DRAWS)} counted / ${percent(predicted)} predicted`;

/* -- the map -- */

// What a step or a try was, as a shape, so that colour is not alone.
function mark({ disc, path, fill }, kind, x, y, size = 3.5) {
  if (kind === "right") disc(x, y, size, "minimizer", "minimizer", 1);
  else if (kind === "between") disc(x, y, size - 1, "bg", "minimizer");
  else if (kind === "silent") disc(x, y, size - 1.5, "soft", "soft", 0);
  else if (kind === "missed") {
    path([[x - size, y - size], [x + size, y + size], [x, y], [x - size, y + size], [x + size, y - size]],
         "missed", { width: size / 2 });
  } else {
    const triangle = [[x, y - size - 2], [x + size + 1.5, y + size], [x - size - 1.5, y + size]];
    path([...triangle, triangle[0]], "bg", { width: 2 });
    fill(triangle, "false");
  }
}

const bare = (low, high) => ({ ...linear(low, high), ticks: null }); // a scale without ticks

const isFlat = ({ dim }) => dim === 1; // has no x2: there every run has a row of its own
const plotOf = (pen, p) => axes(pen, { left: 1, right: pen.width - 1, top: 24, bottom: pen.height - 22 },
  { x: bare(-MAP.x1, MAP.x1), y: isFlat(p) ? bare(RUNS, 0) : bare(MAP.low, MAP.high) });

// What stands on the map before a run has made a step.
function drawGround(pen, p) {
  const [flat, plot] = [isFlat(p), plotOf(pen, p)];
  const dotted = { width: 1, dash: [2, 4] };
  const halves = (piece) => [1, -1].map((side) => piece.map(([a, b]) => [a, side * b]));
  for (const piece of small(1, p.dim, MAP.x1)) {
    if (flat) plot.band(piece.map(([a]) => [a, 0]), piece.map(([a]) => [a, RUNS]), "good", 1);
    else plot.band(...halves(piece), "good", 1);
  }
  for (let level = -0.2; level < 1.2 && !flat; level += 0.1) {
    for (const piece of lens((x1) => (2 * (level - fun([x1, 0], PROBLEM))) / PROBLEM.lam, MAP.x1)) {
      for (const half of halves(piece)) plot.line(half, "contour");
    }
  }
  for (const piece of small(p.grad_norm, p.dim, MAP.x1)) {
    if (!flat) for (const half of halves(piece)) plot.line(half, "false", dotted);
    else for (const [a] of [piece[0], piece.at(-1)]) if (Math.abs(a) < MAP.x1) plot.down(a, "false", dotted);
  }
  plot.down(0, "soft", dotted);
}

function drawMap(pen, p, step, ground, marked) {
  ground(pen, [p.dim, p.grad_norm], p);
  const [flat, plot] = [isFlat(p), plotOf(pen, p)];
  const [zero, { frame }] = [flat ? RUNS / 2 : 0, plot];
  p.plot = plot;
  const places = p.runs.map((run, j) => run.slice(0, step + 1).map(({ x1, x2 }) => [x1, flat ? j + 0.5 : x2]));
  for (const points of places) plot.line(points, "sgd", { width: 1.25 });
  plot.within(() => {
    for (const kind of marked ? ["missed", "between", "right", "false"] : []) {
      places.forEach((points, j) => points.forEach(([a, b], k) => {
        if (p.runs[j][k].kind === kind) mark(pen, kind, plot.x(a), plot.y(b), 3);
      }));
    }
  });
  for (const points of places) plot.dot(...points.at(-1), 4.5, "sgd", "bg", 1.5);
  for (const end of [-1, 1]) plot.dot(end * minimizer(PROBLEM), zero, 4, "bg", "soft", 2);
  const ink = { colour: "ink" };
  pen.text(flat ? "six runs of SGD in one coordinate, a row each" : "six runs of SGD, by x₁ and x₂", 2, 14, ink);
  pen.text("x₁, the escape direction", (frame.left + frame.right) / 2, frame.bottom + 15, { align: "center" });
  pen.text("minimizer", plot.x(1), plot.y(zero) + 24, { align: "center" });
  if (flat) return;
  pen.text("‖∇f‖ ≤ ε", plot.x(0) + 8, plot.y(-EPSILON / PROBLEM.lam) + 16, ink);
  const low = p.grad_norm * EPSILON;
  if (low < -0.9 * MAP.low) pen.text(`‖∇f‖ = ${short(p.grad_norm)} ε`, plot.x(0) + 8, plot.y(-low) + 14, { ...ink, free: true });
}

/* -- the histograms -- */

function drawHistograms(pen, p, step) {
  const { low, high, edges, panels } = p.bars;
  const [left, right, top, gap] = [12, pen.width - 12, 84, 26];
  const tall = (pen.height - top - gap - 36) / 2;
  const large = `‖∇f‖ = ${short(p.grad_norm)} ε`;
  const [ink, long] = [{ colour: "ink" }, pen.width >= 420];
  const titles = [long ? "at the saddle, ‖∇f‖ = 0: it should fire" : "at the saddle",
                  long ? `where ${large}: it should be silent` : `at ${large}`];
  let plot = null;
  const cut = (from, to) => [["bg", 5], ["ink", 2]].forEach(([name, width]) => // not through words
    pen.line(plot.x(p.threshold), from, plot.x(p.threshold), to, name, { width }));
  panels.forEach(({ counts, law, most, wrong: [begin, end] }, i) => {
    const [from, wrong] = [top + i * (tall + gap), (j) => j >= begin && j < end];
    plot = axes(pen, { left, right, top: from, bottom: from + tall }, { x: linear(low, high), y: bare(0, most), labels: i === 1,
      gap: [60, 26], xTitle: i === 1 ? "norm ‖ĝ‖ of a mini-batch gradient, in units of ε" : "" });
    plot.histogram(edges, counts, "sgd", (j) => !wrong(j));
    plot.histogram(edges, counts, ERRORS[i], wrong);
    plot.stairs(edges, law, "law");
    cut(from, from + tall);
  });
  // The runs at this step, with the same threshold.
  const [strip, at] = [50, plot.x(p.threshold)];
  pen.line(left, strip, right, strip, "line");
  cut(strip - 12, strip + 12);
  p.runs.forEach((run, j) => {
    if (run[step]) mark(pen, run[step].kind, clamp(plot.x(run[step].seen), left, right), strip + (j - 2.5) * 2.4, 4);
  });
  const label = `fires ← t = ${short(p.threshold)} ε → silent`;
  const half = pen.c.measureText(label).width / 2;
  pen.text(label, clamp(at, left + half, right - half), 13, { ...ink, align: "center" });
  pen.text(`the six runs at step ${step}`, left + 1, 34, ink);
  titles.forEach((words, i) => pen.text(words, left + 1, top + i * (tall + gap) - 6, ink));
}

/* -- the page -- */

const tidy = (x) => clamp(Math.round(x), 1, 1e6);
// What changes, or null where that would change nothing.
const changed = (s, to) => (Object.keys(to).some((key) => s[key] !== to[key]) ? to : null);
const SETTING = { rule: "published", noise: 10, grad_norm: 2, batch_size: 600 };
const PRESETS = {
  "fifty coordinates": (s) => changed(s, { ...SETTING, dim: 50 }),
  "one coordinate": (s) => changed(s, { ...SETTING, dim: 1 }),
  "a batch that knows d": (s) => changed(s, { rule: "calibrated", batch_size: tidy(ownBatch({ ...s, rule: "calibrated" })) }),
  "a quarter of the batch": (s) => changed(s, { batch_size: tidy(s.batch_size / 4) }),
};

export { axisOf, chiBelow, chiQuantile, compute, drawNoise, drawRuns, norms, ownBatch, summarize, tell, thresholdOf, walk };
export default figure({
  name: "noise", title: "Does the trigger see the saddle through the noise?",
  state: ["rule", "batch_size", "dim", "noise", "grad_norm", "start", "seed"],
  compute, summarize, tell, guess: true, presets: PRESETS,
  morePresets: { "its own batch": (s) => changed(s, { batch_size: tidy(ownBatch(s)) }),
                 "new draws": (s) => ({ seed: (s.seed + 1) % 2 ** 31 }) },
  results: ({ missed, alarms }) => ({ measured_missed: missed / DRAWS, measured_false: alarms / DRAWS }),
  legend: () => [["sgd", "runs of SGD"], ["sgd", "right answers", { bar: true }], ["law", "predicted", { dash: [] }],
    ["minimizer", "fires where ‖∇f‖ ≤ ε", { mark: "disc" }], ["minimizer", "fires a little farther out", { mark: "ring" }],
    ["missed", "missed saddle", { mark: "cross" }], ["false", "false alarm", { mark: "triangle" }]],
  views: ({ root, widget, write, now }) => {
    const round = (v, low, high) => Number(clamp(v, low, high).toPrecision(12));
    const move = (a, b) => write({ start: [round(a, -MAP.x1, MAP.x1), round(b, MAP.low, MAP.high)] });
    const where = ({ start: [a, b], dim }) => `x₁ = ${short(a)}${dim > 1 ? `, x₂ = ${short(b)}` : ", one coordinate"}`;
    const lines = ERRORS.map(() => h("span"));
    const ground = cached(drawGround);
    return [{
      name: "map", height: (width, wide) => (wide ? 400 : 310), // whose marks wait for the guess, too
      draw: (...given) => drawMap(...given, ground, !root.classList.contains("lf-guess")),
      drag: { label: "start of the runs", move, point: () => widget.get("start"),
        drop(x, y) {
          const { plot, dim, start } = now();
          move(Math.abs(x - plot.x(0)) <= SNAP ? 0 : plot.atX(x), dim > 1 ? plot.atY(y) : start[1]);
        },
        place: (p) => ({ x: p.plot.x(p.start[0]), y: p.plot.y(p.dim > 1 ? p.start[1] : 1), frame: p.plot.frame,
                         value: p.start[0], reach: MAP.x1, words: where(p) }) },
      words: (p) => "Map of f with the saddle and the minimizers, where the gradient is small, and six runs of SGD "
        + `from ${where(p)}, marked where the rule fires or fails.`,
    }, {
      name: "histogram", draw: drawHistograms, height: (width, wide) => (wide ? 362 : 340),
      words: () => "Histograms of the norm of a mini-batch gradient at the saddle and where the gradient is large, "
        + "the predicted law over them, and the threshold.",
    }, {
      name: "readout",
      node: h("p", { class: "lf-readout", "data-testid": "readout" }, ...lines),
      update(p) {
        [["missed saddles: ", p.missed, p.predictedMissed], ["false alarms: ", p.alarms, p.predictedAlarm]]
          .forEach(([words, n, predicted], i) => {
            const text = ` ${words}${counted(n, predicted)}`;
            if (lines[i].textContent !== text) lines[i].replaceChildren(swatch(ERRORS[i], { bar: true }), text);
          });
      },
    }];
  },
  player: { waits: true, label: "step", last: () => STEPS, next: (at) => at + 0.5 },
  beside: (make) => [make.slider("dim", "dimension d", decades(0, 3, { tidy: Math.round }), String),
                     make.slider("batch_size", "batch size B", decades(0, 5, { tidy: Math.round }), String)],
  more: (make) => [
    make.radios("rule", "threshold", { published: "published", calibrated: "knows d", naive: "naive, t = ε" }),
    make.slider("noise", "noise σ", decades(0, 1.5), (x) => `${short(x)} ε`),
    make.slider("grad_norm", "large gradient ‖∇f‖", range(45, (i) => (12 + 2 * i) / 10), (x) => `${short(x)} ε`)],
  caption: "Six runs of SGD pass a saddle; a cross is a step there at which the trigger is silent, a disc one at which "
    + "it fires. The histograms show ‖ĝ‖ of many mini-batches at the saddle and where the gradient is large: the "
    + "threshold should part them.",
  notes: [
    "Map: f(x) = −x₁²/2 + x₁⁴/4 + ½(x₂² + … + x_{d}²) and six runs of SGD with η = 0.05. Every step "
    + "sees ĝ = ∇f + noise of law N(0, (σ²/B) I). The marks say what the rule would do; it never "
    + "looks at the curvature, so it fires at the minimizers too. The other coordinates start at 0, "
    + "and their noise adds to ‖∇f‖; shade and dotted line are for those that stay there. ε = 0.2.",
    `Histograms: ${DRAWS} mini-batch gradients at a stationary point and ${DRAWS} where ‖∇f‖ is as the `
    + "slider says; the line is the predicted law, ‖ĝ‖√B/σ is noncentral chi with d degrees of "
    + "freedom. Striped bars are missed saddles, checked ones false alarms.",
    "Published (authors’ repository): t = ε√(1 + 2σ²/(Bε²)) with B = ⌈(2σ²/ε²) ln(2/δ)⌉. Knows d: t "
    + "half way between the 1 − δ quantile of ‖ĝ‖ at the saddle and the δ quantile at the large "
    + "gradient; the smallest B for which the first is not above the second. Naive: t = ε. δ = 0.1.",
  ],
});
