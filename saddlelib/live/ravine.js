// The live figure of a ball in a ravine: gradient descent with constant steps, with Polyak's, and
// GDPolyak. Its state lives in the widget's model (get, set, on, off and save_changes, nothing
// else).

import * as ravine_model from "./ravine_model.js";
import * as page from "./page.js";

const { button, clamp, decades, h, niceStep, powerOfTen, short, steps } = page;

const STATE = ["problem", "steepness", "start", "step_size", "epoch_length", "growth",
               "polyak_factor", "f_star_error", "maxiter", "shown", "distance", "log_steps",
               "follow"];
const METHODS = { gd: "constant steps", polyak: "Polyak steps alone", gdpolyak: "GDPolyak" };
const REACH = 1.5; // how far the start may be from 0 in each coordinate
const WIDTH = { gd: 3, polyak: 1, gdpolyak: 2.25 };
const LEAST = -40; // the smallest power of ten that a plot shows
const COLOURS = "bg ink soft line gd polyak gdpolyak law contour shade";
// What the map shows, and what a change of the function sets.
const PLACES = {
  straight: { window: [-1.2, 1.2, -1.2, 1.2], names: ["x", "y"], words: "x² + y⁴",
              ravine: "x = 0", set: { start: [0.9, 0.9], step_size: 0.1, epoch_length: 40 } },
  rosenbrock: { window: [-1.2, 1.2, -0.55, 1.4], names: ["x", "y"], words: "x⁴ + a(y − x²)²",
                ravine: "y = x²", set: { start: [0.6, 0.9], step_size: 0.025, epoch_length: 30 } },
  parabola: { window: [-1.2, 1.2, -1.4, 0.7], names: ["u", "v"], words: "½(v + u²)² + u⁴",
              ravine: "v = −u²", set: { start: [0.6, 0.3], step_size: 0.5, epoch_length: 30 } },
};

/* -- everything that is shown -- */

function compute(s) {
  const f = ravine_model.functionOf(s);
  const runs = Object.fromEntries(Object.keys(METHODS).map((name) => [name, ravine_model.run(name, f, s)]));
  const prediction = ravine_model.predict(f, s, runs.gdpolyak);
  const measured = ravine_model.measure(runs.gdpolyak, prediction);
  // The constant steps are predicted from where the walls no longer matter.
  const from = runs.gd.f.findIndex((v, k) =>
    k > 0 && 2 * f.alpha * Math.abs(runs.gd.n[k]) < Math.abs(runs.gd.t[k]) ** 3 * 4);
  const slow = (k) => ravine_model.slide(Math.abs(runs.gd.t[from]), k - from, s.step_size, f.bend);
  return { ...s, f, runs, prediction, measured, slow: from < 0 || from > runs.gd.nit ? null : slow,
           from };
}

/* -- numbers and sentences -- */

const least = (run) => run.f.subarray(0, run.nit + 1).reduce((a, b) => (b < a ? b : a), Infinity);
const best = (run) => short(least(run), 2);

function summarize(p) {
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
          ? `, and the next is ${short(measured.growth)} times as long (${short((1 - factor / 4) ** -2)}).` : "."));
    }
    if (prediction.at.length < 3 && prediction.why === "walls") {
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

// A point drawn at scale s: t in units of s and the coordinate across in units of s^2. In these
// units the function is s^4 times itself, so that level lines look the same at every scale.
function mapFrame({ width, height }, p, scale) {
  const { window: [x0, x1, y0, y1] } = PLACES[p.problem];
  const [left, right, top, bottom] = [1, width - 1, 22, height - 20];
  const [sx, sy] = p.f.swap ? [scale * scale, scale] : [scale, scale * scale];
  return { left, right, top, bottom, sx, sy,
           x: (v) => clamp(left + ((right - left) * (v / sx - x0)) / (x1 - x0), -1e4, 1e4),
           y: (v) => clamp(bottom - ((bottom - top) * (v / sy - y0)) / (y1 - y0), -1e4, 1e4),
           atX: (x) => sx * (x0 + ((x1 - x0) * (x - left)) / (right - left)),
           atY: (y) => sy * (y0 + ((y1 - y0) * (bottom - y)) / (bottom - top)) };
}

// How far from 0 GDPolyak has been in the epoch before step k, in units where the level is t^4.
function scaleAt({ runs: { gdpolyak: run }, epoch_length: length }, k) {
  const to = Math.min(k, run.nit);
  let size = 1e-30;
  for (let j = Math.max(0, to - length - 1); j <= to; j += 1) {
    size = Math.max(size, Math.abs(run.t[j]), Math.sqrt(Math.abs(run.n[j])) / 2);
  }
  return Math.min(1, 1.7 * size);
}

function drawMap(pen, frame, p, step) {
  const { c, colours, path, text, disc, inside } = pen;
  const { f: { bend, swap } } = p;
  const [st, sw] = swap ? [frame.sy, frame.sx] : [frame.sx, frame.sy];
  const at = (t, w) => (swap ? [frame.x(w), frame.y(t)] : [frame.x(t), frame.y(w)]);
  inside(frame, () => {
    for (let i = 16; i > 0; i -= 1) { // the widest first
      const line = Array.from({ length: 97 }, (_, j) => {
        const [t, w] = ravine_model.levelPoint(p.f, 0.15 * i, (2 * Math.PI * j) / 96);
        return at(st * t, sw * w);
      });
      c.globalAlpha = 0.07;
      pen.fill(line, colours.shade);
      c.globalAlpha = 1;
      path(line, colours.contour);
    }
    const ravine = Array.from({ length: 81 }, (_, i) => {
      const t = (i - 40) / 25;
      return at(st * t, sw * bend * t * t);
    });
    path(ravine, colours.soft, { width: 1.5, dash: [2, 4] });
    for (const name of Object.keys(METHODS)) {
      if (!p.shown.includes(name)) continue;
      const run = p.runs[name];
      const to = Math.min(step, run.nit);
      // While zoomed in, what happened long ago is far away.
      const first = p.follow ? Math.max(0, to - 3 * p.epoch_length) : 0;
      const points = [];
      for (let k = first; k <= to; k += 1) points.push(at(run.t[k], run.n[k] + bend * run.t[k] ** 2));
      path(points, colours[name], { width: WIDTH[name] });
      if (name !== "gdpolyak") for (const point of points.slice(0, 400)) disc(...point, 1.2, colours[name], colours[name], 1);
      else {
        for (const k of run.jumps) {
          if (k >= first && k < to) disc(...points[k + 1 - first], 2.5, colours.bg, colours[name], 1.5);
        }
      }
    }
    disc(...at(0, 0), 3, colours.ink, colours.bg, 1);
    for (const name of Object.keys(METHODS)) {
      if (!p.shown.includes(name)) continue;
      const run = p.runs[name];
      const k = Math.min(step, run.nit);
      if (Number.isFinite(run.f[k])) disc(...at(run.t[k], run.n[k] + bend * run.t[k] ** 2), 6, colours[name], colours.bg, 2);
    }
  });
  pen.box(frame, colours.line);
  const place = PLACES[p.problem];
  const unit = (v) => (v < 1 ? ` in ${short(v, 2)}` : "");
  text(`f = ${place.words.replace("a(", `${short(p.steepness)}(`)}, ravine ${place.ravine} dotted`, 2, 14,
       { colour: colours.ink });
  text(`${place.names[0]}${unit(frame.sx)}`, (frame.left + frame.right) / 2, frame.bottom + 14, { align: "center" });
  text(`${place.names[1]}${unit(frame.sy)}`, frame.left + 5, frame.top + 15);
}

/* -- the plots -- */

// A panel: log10 of a quantity against the step, on an axis that holds what is finite of it.
function drawPanel(pen, box, p, step, { title, lines, laws, marks = [], floor = null, highest, thick }) {
  const { colours, path, text, line, disc } = pen;
  const log = (v) => (v > 0 && v < Infinity ? Math.log10(v) : NaN);
  let [low, high] = [Infinity, -Infinity];
  for (const [, values, nit] of lines) {
    for (let k = 0; k <= nit; k += 1) {
      const v = log(values[k]);
      if (v < low) low = v;
      if (v > high) high = v;
    }
  }
  for (const points of laws) for (const [, v] of points) low = Math.min(low, log(v) || low);
  if (!(low < Infinity)) [low, high] = [-1, 0];
  low = Math.max(LEAST, Math.floor(low - 0.2));
  high = Math.max(low + 2, Math.min(highest, Math.ceil(high + 0.2)));
  const { left, right, top, bottom } = box;
  const [all, wide] = [p.maxiter, right - left];
  const x = p.log_steps ? (k) => left + (wide * Math.log10(Math.max(k, 0) + 1)) / Math.log10(all + 1)
    : (k) => left + (wide * k) / all;
  const y = (v) => clamp(bottom - ((bottom - top) * (v - low)) / (high - low), top - 1e3, bottom + 1e3);
  const tick = Math.max(1, niceStep(high - low, (bottom - top) / 24));
  for (let v = tick * Math.ceil(low / tick); v <= high; v += tick) {
    line(left, y(v), right, y(v), colours.line);
    text(powerOfTen(v), left - 4, y(v) + 4, { align: "right" });
  }
  const stops = p.log_steps ? [1, 10, 100, 1000].filter((k) => k < all)
    : Array.from({ length: 12 }, (_, i) => i * niceStep(all, wide / 60)).filter((k) => k <= all);
  for (const k of stops) {
    line(x(k), top, x(k), bottom, colours.line);
    if (box.last) text(String(k), x(k), bottom + 14, { align: x(k) > right - 14 ? "right" : "center" });
  }
  pen.inside(box, () => {
    for (const [name, values, nit] of lines) {
      const points = [];
      const to = Math.min(step, nit);
      for (let k = 0; k <= to; k += 1) {
        const v = log(values[k]);
        if (!Number.isNaN(v)) points.push([x(k), y(v)]);
      }
      path(points, colours[name], { width: thick ?? WIDTH[name] });
      const v = log(values[to]);
      if (!Number.isNaN(v)) disc(x(to), y(v), 3.5, colours[name], colours.bg, 1);
    }
    for (const [k, v] of marks) if (k <= step) disc(x(k), y(log(v)), 2.2, colours.bg, colours.gdpolyak, 1.5);
    for (const points of laws) {
      const curve = points.map(([k, v]) => [x(k), y(log(v))]).filter(([, v]) => !Number.isNaN(v));
      path(curve, colours.law, { width: 1.25, dash: [5, 5] });
    }
    if (floor) {
      const at = y(log(floor.value));
      line(x(floor.k), at, right, at, colours.law, { width: 1.5, dash: [2, 4] });
      text(floor.words, right - 4, at < top + 20 ? at + 14 : at - 5, { align: "right", colour: colours.ink });
    }
  });
  pen.box(box, colours.line);
  text(title, left, top - 6, { colour: colours.ink });
}

function panelsOf(p) {
  const { runs, prediction, shown, maxiter } = p;
  const chosen = Object.keys(METHODS).filter((name) => shown.includes(name));
  const lines = (of) => chosen.map((name) => [name, of(runs[name]), runs[name].nit]);
  const to = (values, of) => values.map((v, i) => [prediction.at[i], of(v)]);
  const [gd, dashed] = [shown.includes("gd") && p.slow, shown.includes("gdpolyak")];
  const slow = (of) => {
    const points = [];
    for (let i = 0; i <= 80; i += 1) {
      const k = Math.round((p.from + 1) * ((maxiter + 1) / (p.from + 1)) ** (i / 80)) - 1;
      const linear = Math.round(p.from + ((maxiter - p.from) * i) / 80);
      const at = p.log_steps ? k : linear;
      points.push([at, of(p.slow(at))]);
    }
    return points;
  };
  const laws = (own, of) => [...(gd && of ? [slow(of)] : []), ...(dashed ? [own] : [])];
  const floorAt = (of) => (dashed && prediction.floor && prediction.first >= 0 ? {
    value: of(prediction.floor), k: prediction.at.at(-1) ?? 0,
    words: { walls: "predicted: the walls win", low: "predicted: it overshoots", high: "the f* it is told" }[prediction.why],
  } : null);
  const offRavine = p.distance === "ravine";
  const distance = (run) => Float64Array.from(run.t, (t, k) =>
    (offRavine ? Math.abs(run.n[k]) : Math.hypot(t, run.n[k] + run.bend * t * t)));
  // A place on the ravine is sqrt(t^2 + w^2) from the minimizer.
  const out = (t) => Math.hypot(t, p.f.bend * t * t);
  return [
    { title: "loss f − f*", lines: lines((run) => run.f), highest: 4,
      laws: laws(to(prediction.t, (t) => t ** 4), (t) => t ** 4), floor: floorAt((f) => f) },
    { title: offRavine ? "distance from the ravine" : "distance from the minimizer", highest: 4,
      lines: lines(distance), laws: offRavine ? laws(to(prediction.n, (n) => n)) : laws(to(prediction.t, out), out),
      floor: offRavine ? null : floorAt((f) => f ** 0.25) },
    { title: "step size, Polyak’s long ones ringed", highest: 40,
      lines: lines((run) => run.step.map(Math.abs)), thick: 0.75,
      marks: dashed ? runs.gdpolyak.jumps.map((k) => [k, runs.gdpolyak.step[k]]) : [],
      laws: laws(to(prediction.step, (a) => a)) },
  ];
}

/* -- the page -- */

const STORY = { problem: "rosenbrock", steepness: 10, start: [0.6, 0.9], step_size: 0.025,
                epoch_length: 30, growth: 0, polyak_factor: 1, f_star_error: 0, maxiter: 1000,
                follow: false };
const PRESETS = {
  "constant steps crawl": { ...STORY, shown: ["gd"] },
  "Polyak alone bounces": { ...STORY, shown: ["gd", "polyak"] },
  "K too small": { ...STORY, epoch_length: 8, shown: ["gd", "gdpolyak"] },
  "K right: steps grow": { ...STORY, shown: ["gd", "polyak", "gdpolyak"] },
  "K too large": { ...STORY, epoch_length: 120, shown: ["gd", "gdpolyak"] },
  "K that grows": { ...STORY, epoch_length: 6, growth: 0.9, shown: ["gd", "gdpolyak"] },
  "f* a little too low": { ...STORY, f_star_error: -1e-10, shown: ["gd", "gdpolyak"] },
};

const KEYS = "Keys at the start: arrows, with Shift for bigger and Alt or Ctrl for finer steps; Page "
  + "Down and Page Up divide and multiply its first coordinate by ten, Home makes it 0.";
const NOTES = [
  "All functions are t⁴ + α(w − bt²)². The ravine is w = bt²; along it f = t⁴, across it the "
  + "curvature is μ = 2α. Each run takes one gradient per step. GDPolyak takes K short steps η∇f, "
  + "then one long step λ(f − f*)/‖∇f‖² ∇f, where f* is off by the error of the slider.",
  "Predicted, dashed, derived for these functions: a constant step adds 8η to 1/t² (on a bent ravine a "
  + "little less), so the distance falls like 1/√(8ηk). A long step multiplies t by 1 − λ/4: 3/4 for "
  + "λ = 1, so f falls by 81/256 and the next step is 16/9 as long. It multiplies the distance n from the ravine "
  + "by |1 − λμ/(16t²)|, and a short step by |1 − ημ|; besides, whatever slides down a bent ravine keeps 4bt⁴/α aside. The dashed line begins at the first long step and "
  + "ends where these rules say that the walls’ slope μn passes the ravine’s 4t³.",
  "Too low an f* makes the long steps too long; predicted to overshoot where f < λ|error|/(8 − λ). A "
  + "run that meets a value below the f* it is told ends.",
  "Distance from the ravine is measured across it, |w − bt²|. The zoom follows GDPolyak: t is drawn "
  + "in units of s and w in units of s². In these units f is s⁴ times itself, so the landscape repeats, "
  + "and a constant step covers less and less of it.",
  KEYS,
];

let figures = 0;

function render({ model: widget, el }) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let [size, colours, current, currentOf] = [null, null, null, ""];
  let [step, playing, started, seen] = [Infinity, false, false, false];

  const { read, write, publish, invalidate, begin } =
    page.loop(widget, { state: STATE, name: "ravine", draw });
  const initial = read();

  const canvas = (name) => h("canvas", { role: "img", "data-testid": name });
  const [mapCanvas, plots] = [canvas("map"), canvas("plots")];
  const handle = h("div", { "data-testid": "start", class: "rb-start", tabindex: "0",
    role: "slider", "aria-label": "start of the runs", "aria-roledescription": "point on the map",
    "aria-description": KEYS });
  const map = h("div", { class: "rb-map" }, mapCanvas, handle);
  const summary = page.status("rb");

  const sliders = [];
  function slider(name, label, values, words = short, { nearest = page.stopOf } = {}) {
    const { input, box, show } = page.slider("rb", label, { min: 0, step: 1, max: values.length - 1 });
    input.addEventListener("input", () => write({ [name]: values[input.valueAsNumber] }));
    sliders.push((s) => {
      show(nearest(values, s[name]), words(s[name]));
      box.hidden = name === "steepness" && s.problem !== "rosenbrock";
    });
    return box;
  }
  const closest = (values, x) => values.reduce((b, v, i) => (Math.abs(v - x) < Math.abs(values[b] - x) ? i : b), 0);
  const sizes = Array.from({ length: 13 }, (_, i) => Number(`1e${i - 14}`));
  const errors = [...sizes.map((v) => -v).reverse(), 0, ...sizes];

  const scrub = page.slider("rb", "step", { min: 0, max: 1, step: 1 });
  scrub.input.addEventListener("input", () => {
    [step, playing] = [scrub.input.valueAsNumber, false];
    invalidate();
  });
  const play = button("play", () => {
    playing = !playing;
    if (playing && step >= current.maxiter) step = 0;
    invalidate();
  });

  const checks = [];
  function check(words, on, to, attributes = {}) {
    const input = h("input", { type: "checkbox" });
    input.addEventListener("change", () => write(to(input.checked)));
    checks.push((s) => { input.checked = on(s); });
    return h("label", attributes, input, h("span", {}, words));
  }
  function radios(name, label, options) {
    const group = `rb-${name}-${figures}`;
    return h("div", { class: "rb-choice", role: "radiogroup", "aria-label": label },
      h("span", {}, `${label}:`), ...Object.entries(options).map(([value, [words, set]]) => {
        const input = h("input", { type: "radio", name: group, value });
        input.addEventListener("change", () => write({ [name]: value, ...set }));
        checks.push((s) => { input.checked = s[name] === value; });
        return h("label", {}, input, words);
      }));
  }
  figures += 1; // buttons of one group move by the arrows; each figure on a page has its own
  const methods = Object.entries(METHODS).map(([name, words]) => check(words,
    (s) => s.shown.includes(name),
    (on) => ({ shown: Object.keys(METHODS).filter((m) => (m === name ? on : read().shown.includes(m))) }),
    { class: `rb-key-${name}` }));

  const root = h("div", { class: "ravine-ball", role: "group", "aria-label": "How does a ball get down a ravine?" },
    h("div", { class: "rb-legend", role: "group", "aria-label": "runs" }, ...methods,
      h("span", { class: "rb-key-law" }, "predicted")),
    h("div", { class: "rb-views" },
      h("div", {}, map, h("div", { class: "rb-play" }, scrub.box, play)),
      h("div", {}, plots)),
    summary.node,
    h("div", { class: "rb-presets", role: "group", "aria-label": "presets" },
      ...Object.entries(PRESETS).map(([words, to]) => button(words, () => {
        if (step < current.maxiter && !playing) step = Infinity;
        write(to);
      })),
      button("start over", () => write(initial))),
    radios("problem", "function", Object.fromEntries(Object.entries(PLACES).map(([name, { words, set }]) => [name, [words, set]]))),
    h("div", { class: "rb-choice" },
      radios("distance", "distance from", { minimizer: ["the minimizer"], ravine: ["the ravine"] }),
      check("log axis for steps", (s) => s.log_steps, (on) => ({ log_steps: on })),
      check("zoom with the ball", (s) => s.follow, (on) => ({ follow: on }))),
    h("div", { class: "rb-sliders" },
      slider("step_size", "short step η", decades(-3, 0.3)),
      slider("epoch_length", "short steps per epoch K", [...Array.from({ length: 40 }, (_, i) => i), ...decades(1.6, 2.5, { tidy: Math.round })], String, { nearest: closest }),
      slider("growth", "K grows per epoch by", Array.from({ length: 31 }, (_, i) => i / 10), short, { nearest: closest }),
      slider("polyak_factor", "Polyak factor λ", Array.from({ length: 15 }, (_, i) => 0.5 + i / 4), short, { nearest: closest }),
      slider("f_star_error", "error in f*", errors,
             (v) => (v === 0 ? "none" : `${short(v)}, too ${v < 0 ? "low" : "high"}`), { nearest: closest }),
      slider("maxiter", "steps in all", [100, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 4000], String),
      slider("steepness", "walls a", decades(0, 2))),
    page.notes("rb", NOTES));
  page.quiet(root);
  el.append(root);

  function layout() {
    if (map.clientWidth < 100) return false; // hidden: a closed tab, a folded cell
    const wide = root.classList.toggle("rb-wide", root.clientWidth >= 640);
    const width = map.clientWidth;
    const of = (height) => ({ ratio: devicePixelRatio, width, height });
    size = { ratio: devicePixelRatio, map: of(wide ? 424 : 300), plots: of(wide ? 470 : 430) };
    for (const [{ style }, { height }] of [[mapCanvas, size.map], [plots, size.plots]]) {
      Object.assign(style, { width: `${width}px`, height: `${height}px` });
    }
    return true;
  }

  function draw() {
    if (size?.ratio !== devicePixelRatio && !layout()) return false;
    colours ??= page.palette(root, "rb", COLOURS);
    const s = read();
    const name = JSON.stringify(s);
    if (name !== currentOf) current = compute(s);
    currentOf = name;
    if (playing && seen) step = Math.min(s.maxiter, step + Math.max(0.5, s.maxiter / 600));
    if (step >= s.maxiter) [step, playing] = [Infinity, false];

    const shown = Math.min(s.maxiter, Math.floor(step));
    const scale = s.follow ? scaleAt(current, shown) : 1;
    current.frame = mapFrame(size.map, current, scale);
    drawMap(page.penOn(mapCanvas, size.map, colours), current.frame, current, shown);
    const pen = page.penOn(plots, size.plots, colours);
    const { width, height } = size.plots;
    const tall = (height - 20) / 3;
    panelsOf(current).forEach((panel, i) => drawPanel(pen, {
      left: 42, right: width - 6, top: 22 + i * tall, bottom: (i + 1) * tall - 2, last: i === 2,
    }, current, shown, panel));
    showState(shown, scale);
    const { gdpolyak } = current.runs;
    publish({ measured_contraction: Number.isFinite(current.measured.contraction) ? current.measured.contraction : null,
              best: least(gdpolyak), predicted_floor: current.prediction.floor });
    if (playing && seen) invalidate();
    return true;
  }

  function showState(shown, scale) {
    const { start, frame: f, problem } = current;
    const [a, b] = PLACES[problem].names;
    handle.hidden = scale < 1;
    handle.style.left = `${clamp(f.x(start[0]), f.left, f.right)}px`;
    handle.classList.toggle("rb-left", start[0] > 0.2);
    handle.style.top = `${clamp(f.y(start[1]), f.top, f.bottom)}px`;
    const where = `${a} = ${short(start[0])}, ${b} = ${short(start[1])}`;
    const aria = { valuemin: -REACH, valuemax: REACH, valuenow: start[0], valuetext: where };
    for (const [name, v] of Object.entries(aria)) handle.setAttribute(`aria-${name}`, v);
    mapCanvas.setAttribute("aria-label", `Level lines of ${PLACES[problem].words} with its ravine, and the `
      + `runs from ${where}: constant steps, Polyak steps, and GDPolyak, whose long steps are ringed.`);
    plots.setAttribute("aria-label", "Three plots on log axes against the step: the loss, the distance and "
      + "the step size of the runs, with the predicted slopes dashed.");
    for (const update of [...sliders, ...checks]) update(current);
    scrub.input.max = current.maxiter;
    scrub.show(shown, String(shown));
    play.hidden = calm.matches;
    play.textContent = playing ? "pause" : "play";
    summary.say(summarize(current));
  }

  function moveTo(x, y) {
    const round = (v) => Number(clamp(v, -REACH, REACH).toPrecision(12));
    root.classList.add("rb-moved");
    write({ start: [round(x), round(y)] });
  }
  page.draggable(handle, mapCanvas, { point: () => widget.get("start"), move: moveTo, drop(x, y) {
    if (current.frame.sx === 1 && current.frame.sy === 1) moveTo(current.frame.atX(x), current.frame.atY(y));
  } });

  // The balls roll once, when somebody can watch.
  const watched = new IntersectionObserver((entries) => {
    seen = entries.at(-1).isIntersecting;
    if (seen && !started && !calm.matches) [step, playing] = [0, true];
    started ||= seen;
    invalidate();
  }, { threshold: 0.3 });
  watched.observe(mapCanvas);
  const calmed = () => {
    if (calm.matches) [step, playing] = [Infinity, false];
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

export { PRESETS, compute, panelsOf, scaleAt, summarize };
export default { render };
