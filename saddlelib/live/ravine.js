// The figure of the ravine: three ways down from one start, on a map and against the step. Dashed is
// what was predicted for them.

import { axes, linear, log, logCounts } from "./kit/axes.js";
import { figure } from "./kit/figure.js";
import { cached } from "./kit/landscape.js";
import { clamp, decades, finite, range, short, steps } from "./kit/numbers.js";
import { compute, mapFrame, METHODS, panelsOf, scaleAt } from "./ravine_ball_model.js";
import { levelPoint } from "./ravine_model.js";

const REACH = 1.5; // how far the start may be from 0 in each coordinate
const NAMES = Object.keys(METHODS);
// What the map shows, and what a change of the function sets.
const PLACES = {
  straight: { window: [-1.2, 1.2, -1.2, 1.2], names: ["u", "v"], words: "u² + v⁴",
              ravine: "u = 0", set: { start: [0.9, 0.9], step_size: 0.1, epoch_length: 40 } },
  rosenbrock: { window: [-1.2, 1.2, -0.55, 1.4], names: ["v", "u"], words: "v⁴ + a(u − v²)²",
                ravine: "u = v²", set: { start: [0.6, 0.9], step_size: 0.025, epoch_length: 30 } },
  parabola: { window: [-1.2, 1.2, -1.4, 0.7], names: ["v", "u"], words: "½(u + v²)² + v⁴",
              ravine: "u = −v²", set: { start: [0.6, 0.3], step_size: 0.5, epoch_length: 30 } },
};

/* -- words -- */

const least = (run) => run.f.subarray(0, run.nit + 1).reduce((a, b) => (b < a ? b : a), Infinity);
const best = (run) => short(least(run), 2);

function summarize({ runs, prediction, shown, maxiter }) {
  const parts = NAMES.filter((name) => shown.includes(name)).map((name) => {
    const words = { gd: "constant steps", polyak: "Polyak steps", gdpolyak: "GDPolyak" }[name];
    return `${words} ${runs[name].ended === "diverged" ? (name === "gdpolyak" ? "diverges" : "diverge")
      : name === "gd" ? short(runs.gd.f[runs.gd.nit], 2) : best(runs[name])}`;
  });
  if (!parts.length) return "No method is shown.";
  const walls = runs.gd.ended === "diverged" ? "η is too long" : prediction.at.length < 3 ? "its K is too small" : "the walls win";
  const why = { low: "; it was told too low an f*", high: "; it was told too high an f*",
                walls: `; ${walls}` }[prediction.why];
  return `f after ${steps(maxiter)}: ${parts.join(", ")}${(shown.includes("gdpolyak") && why) || ""}.`;
}

function tell(p) {
  const { runs, prediction, measured, polyak_factor: factor } = p;
  const parts = [];
  const shown = (name) => p.shown.includes(name);
  if (shown("gd")) {
    const { gd } = runs;
    if (gd.ended === "diverged") parts.push(`Constant steps diverge: η = ${short(p.step_size)} is too long here.`);
    else {
      const told = p.slow ? `, predicted ${short(p.slow(gd.nit) ** 4, 2)}` : "";
      parts.push(`Constant steps: f = ${short(gd.f[gd.nit], 2)} after ${steps(gd.nit)}${told}.`);
    }
  }
  if (shown("polyak")) {
    const { polyak } = runs;
    parts.push(polyak.ended === "diverged" ? `Polyak steps alone diverge after ${steps(polyak.nit)}.`
      : polyak.ended === "f_star" ? `Polyak steps alone end at step ${polyak.nit}, at a value below the f* they were told.`
      : `Polyak steps alone: at best ${best(polyak)}.`);
  }
  if (shown("gdpolyak")) {
    const run = runs.gdpolyak;
    const told = run.ended === "diverged" ? ` before it diverges at step ${run.nit}` : "";
    parts.push(`GDPolyak: f = ${best(run)}${told}.`);
    if (measured.count > 2) {
      parts.push(`A long step multiplies the distance by ${short(measured.contraction)} `
        + `(predicted ${short(Math.abs(1 - factor / 4))})`
        + (Number.isFinite(measured.growth) && factor < 4
          ? `, and the next step size is ${short(measured.growth)} times as large (${short((1 - factor / 4) ** -2)}).` : "."));
    }
    if (runs.gd.ended === "diverged" && prediction.why === "walls") {
      parts.push(`η = ${short(p.step_size)} is too long for the walls, whatever K is.`);
    } else if (prediction.at.length < 3 && prediction.why === "walls") {
      parts.push(`K = ${p.epoch_length} is too small for this η: the walls still rule when a long step comes.`);
    } else if (prediction.why === "walls") {
      parts.push(`Then long steps throw it up the walls by more than ${p.epoch_length} short ones bring `
        + `back: predicted at f ≈ ${short(prediction.floor, 2)}.`);
    } else if (prediction.why === "low") {
      parts.push(`The f* it is told is too low: below f = ${short(prediction.floor, 2)} every long step is predicted to overshoot.`);
    } else if (prediction.why === "high") {
      parts.push(`The f* it is told is too high: it ends there, at ${short(prediction.floor, 2)}.`);
    } else if (!run.ended && p.epoch_length > p.maxiter / 15) {
      parts.push(`With so large a K only ${run.jumps.length} long steps fit into ${p.maxiter}.`);
    }
  }
  return parts.join(" ");
}

/* -- the map -- */

// The function, without the runs.
function drawGround(pen, p) {
  const { at, st, sw } = p.frame;
  pen.inside(p.frame, () => {
    for (let i = 16; i > 0; i -= 1) { // the widest first
      const line = range(97, (j) => levelPoint(p.f, 0.15 * i, (2 * Math.PI * j) / 96)).map(([t, w]) => at(st * t, sw * w));
      pen.fill(line, "shade", 0.07);
      pen.path(line, "contour");
    }
    pen.path(range(81, (i) => (i - 40) / 25).map((t) => at(st * t, sw * p.f.bend * t * t)), "soft", { width: 1.5, dash: [2, 4] });
  });
}

function drawMap(pen, p, step, ground) {
  p.scale = p.follow ? scaleAt(p, step) : 1;
  p.frame = mapFrame(pen, PLACES[p.problem].window, p.f, p.scale);
  ground(pen, [p.problem, p.steepness, p.scale], p);
  const { path, text, disc } = pen;
  const { frame, frame: { at } } = p;
  const place = (run, k) => at(run.t[k], run.n[k] + p.f.bend * run.t[k] ** 2);
  pen.inside(frame, () => {
    const shown = NAMES.filter((name) => p.shown.includes(name)).map((name) => [name, p.runs[name]]);
    for (const [name, run] of shown) {
      const to = Math.min(step, run.nit);
      // While zoomed in, what happened long ago is far away.
      const first = p.follow ? Math.max(0, to - 3 * p.epoch_length) : 0;
      const points = range(to + 1 - first, (i) => place(run, first + i));
      path(points, name);
      if (name !== "gdpolyak") pen.dots(points.slice(0, 400), 1.7, name);
      else for (const k of run.jumps) if (k >= first && k < to) disc(...points[k + 1 - first], 2.5, "bg", name, 1.5);
    }
    disc(...at(0, 0), 3, "ink", "bg", 1);
    for (const [name, run] of shown) {
      const k = Math.min(step, run.nit);
      if (Number.isFinite(run.f[k])) disc(...place(run, k), 6, name, "bg", 2);
    }
  });
  pen.box(frame);
  const { words, ravine, names } = PLACES[p.problem];
  const unit = (v) => (v < 1 ? ` in ${short(v, 2)}` : "");
  text(`f = ${words.replace("a(", `${short(p.steepness)}(`)}, ravine ${ravine} dotted`, 2, 14, { colour: "ink" });
  text(`${names[0]}${unit(frame.sx)}`, (frame.left + frame.right) / 2, frame.bottom + 14, { align: "center" });
  text(`${names[1]}${unit(frame.sy)}`, frame.left + 5, frame.top + 15);
}

/* -- the plots -- */

// A panel: a quantity on a log axis against the step, on an axis that holds what is finite of it.
function drawPanel(pen, box, p, step, { title, lines, laws, marks = [], floor = null, highest, thick }) {
  let [low, high] = [Infinity, -Infinity];
  const holds = (v) => { if (v > 0 && v < Infinity) [low, high] = [Math.min(low, v), Math.max(high, v)]; };
  for (const [, values, nit] of lines) for (let k = 0; k <= nit; k += 1) holds(values[k]);
  const most = high;
  for (const points of laws) for (const [, v] of points) holds(v);
  if (!(low < Infinity)) [low, high] = [0.1, 1];
  low = Math.max(-40, Math.floor(Math.log10(low) - 0.2)); // the smallest power of ten of a plot
  high = Math.max(low + 2, Math.min(highest, Math.ceil(Math.log10(most > 0 ? most : high) + 0.2)));
  const plot = axes(pen, box, { title, labels: box.last, gap: [60, 24], y: log(10 ** low, 10 ** high),
    x: p.log_steps ? logCounts(p.maxiter) : linear(0, p.maxiter, { words: String }) });
  const drawn = ([, v]) => v > 0 && v < Infinity;
  for (const [name, values, nit] of lines) {
    const to = Math.min(step, nit);
    const points = range(to + 1, (k) => [k, values[k]]).filter(drawn);
    plot.line(points, name, thick ? { width: thick } : {});
    if (drawn([0, values[to]])) plot.dot(to, values[to], 3.5, name, "bg", 1);
  }
  for (const [k, v] of marks) if (k <= step) plot.dot(k, v, 2.2, "bg", "gdpolyak", 1.5);
  const seen = (point) => drawn(point) && point[0] <= step;
  for (const points of laws) plot.line(points.filter(seen), "law", { width: 1.25 });
  if (!floor) return;
  plot.across(floor.value, "law", { dash: [2, 4] }, floor.k);
  const at = plot.y(floor.value);
  if (at < box.bottom + 20) pen.text(floor.words, box.right - 4, at < box.top + 20 ? at + 14 : at - 5, { align: "right", colour: "ink" });
}

function drawPlots(pen, p, step) {
  const tall = (pen.height - 20) / 3;
  panelsOf(p).forEach((panel, i) => drawPanel(pen, { left: 42, right: pen.width - 6, top: 22 + i * tall,
    bottom: (i + 1) * tall - 2, last: i === 2 }, p, step, panel));
}

/* -- the page -- */

const STORY = { problem: "rosenbrock", steepness: 10, start: [0.6, 0.9], step_size: 0.025,
                epoch_length: 30, growth: 0, polyak_factor: 1, f_star_error: 0, maxiter: 1000,
                follow: false };
const PRESETS = {
  "constant steps": { ...STORY, shown: ["gd"] },
  "Polyak alone bounces": { ...STORY, shown: ["gd", "polyak"] },
  "K too small": { ...STORY, epoch_length: 8, shown: ["gd", "gdpolyak"] },
  "K right": { ...STORY, shown: ["gd", "polyak", "gdpolyak"] },
};
const MORE_PRESETS = {
  "K too large": { ...STORY, epoch_length: 120, shown: ["gd", "gdpolyak"] },
  "K that grows": { ...STORY, epoch_length: 6, growth: 0.9, shown: ["gd", "gdpolyak"] },
  "f* a little too low": { ...STORY, f_star_error: -1e-10, shown: ["gd", "gdpolyak"] },
};
const SIZES = range(13, (i) => Number(`1e${i - 14}`));
const COUNTS = [...range(40), ...decades(1.6, 2.5, { tidy: Math.round })];

const presets = { ...PRESETS, ...MORE_PRESETS };
export { compute, panelsOf, presets as PRESETS, scaleAt, summarize, tell };
export default figure({
  name: "ravine", title: "How does a ball get down a ravine?",
  state: ["problem", "steepness", "start", "step_size", "epoch_length", "growth", "polyak_factor",
          "f_star_error", "maxiter", "shown", "distance", "log_steps", "follow"],
  computed: ["problem", "steepness", "start", "step_size", "epoch_length", "growth", "polyak_factor",
             "f_star_error", "maxiter"],
  compute, summarize, tell, guess: true, presets: PRESETS, morePresets: MORE_PRESETS,
  results: ({ runs, measured, prediction }) => ({ best: least(runs.gdpolyak),
    measured_contraction: finite(measured.contraction), predicted_floor: prediction.floor }),
  legend: (make) => make.legend("shown", METHODS, ["law", "predicted"]),
  views: ({ widget, write, now }) => {
    const round = (v) => Number(clamp(v, -REACH, REACH).toPrecision(12));
    const move = (x, y) => write({ start: [round(x), round(y)] });
    const ground = cached(drawGround);
    return [{
      name: "map", draw: (...given) => drawMap(...given, ground), height: (width, wide) => (wide ? clamp(0.85 * width, 300, 470) : 300),
      drag: { label: "start of the runs", move, point: () => widget.get("start"),
        drop: (x, y) => { if (now().scale === 1) move(now().frame.atX(x), now().frame.atY(y)); },
        place: ({ frame, scale, problem, start: [a, b] }) => ({ x: frame.x(a), y: frame.y(b), frame, value: a,
          reach: REACH, hidden: scale < 1, words: `${PLACES[problem].names[0]} = ${short(a)}, ${PLACES[problem].names[1]} = ${short(b)}` }) },
      words: ({ problem, start: [a, b] }) => `Level lines of ${PLACES[problem].words} with its ravine, and the runs `
        + `from (${short(a)}, ${short(b)}): constant steps, Polyak steps, and GDPolyak, whose long steps are ringed.`,
    }, {
      name: "plots", draw: drawPlots, height: (width, wide) => (wide ? clamp(0.85 * width + 46, 346, 516) : 430),
      words: () => "Three plots on log axes against the step: the loss, the distance and the step size of the "
        + "runs, with the predicted slopes dashed.",
    }];
  },
  player: { waits: true, label: "step", last: ({ maxiter }) => maxiter, next: (at, { maxiter }) => at + Math.max(0.5, maxiter / 600) },
  beside: (make) => [make.slider("epoch_length", "short steps per epoch K", COUNTS, String),
                     make.slider("step_size", "short step η", decades(-3, 0.3))],
  more: (make) => [
    make.radios("problem", "function", Object.fromEntries(Object.entries(PLACES).map(([name, { words, set }]) => [name, [words, set]]))),
    make.radios("distance", "distance from", { minimizer: "the minimizer", ravine: "the ravine" }),
    make.check("log_steps", "log axis for steps"), make.check("follow", "zoom with the ball"),
    make.slider("growth", "K grows per epoch by", range(31, (i) => i / 10)),
    make.slider("polyak_factor", "Polyak factor λ", range(15, (i) => 0.5 + i / 4)),
    make.slider("f_star_error", "error in f*", [...SIZES.map((v) => -v).reverse(), 0, ...SIZES],
                (v) => (v === 0 ? "none" : `${short(v)}, too ${v < 0 ? "low" : "high"}`)),
    make.slider("maxiter", "steps in all", [100, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 4000], String),
    make.slider("steepness", "walls a", decades(0, 2), short, { hidden: ({ problem }) => problem !== "rosenbrock" })],
  caption: "Constant steps slow down for ever. GDPolyak’s long steps, ringed, grow as it comes nearer, as long as its K "
    + "short ones bring it back to the ravine.",
  notes: [
  "All functions are v⁴ + a(u − bv²)². The ravine is u = bv²; along it f = v⁴, across it the "
  + "curvature is μ = 2a. Each run takes one gradient per step. GDPolyak takes K short steps η∇f, "
  + "then one long step λ(f − f*)/‖∇f‖² ∇f, where f* is off by the error of the slider.",
  "Predicted, dashed, derived for these functions: a constant step adds 8η to 1/v² (on a bent ravine a "
  + "little less), so the distance falls like 1/√(8ηk). A long step multiplies v by 1 − λ/4: 3/4 for "
  + "λ = 1, so f falls by 81/256 and the next step size is 16/9 times as large. It multiplies the distance n from the ravine "
  + "by |1 − λμ/(16v²)|, and a short step by |1 − ημ|; besides, whatever slides down a bent ravine keeps 4bv⁴/a aside. The dashed line begins at the first long step and "
  + "ends where these rules say that the walls’ slope μn passes the ravine’s 4v³.",
  "Too low an f* makes the long steps too long; predicted to overshoot where f < λ|error|/(8 − λ). A "
  + "run that meets a value below the f* it is told ends.",
  "Distance from the ravine is measured across it, |u − bv²|. The zoom follows GDPolyak: v is drawn "
  + "in units of s and u in units of s². In these units f is s⁴ times itself, so the landscape repeats, "
  + "and a constant step covers less and less of it.",
  ],
});
