// What the figure of the ravine computes: three runs, what was predicted for them, and the curves
// of its plots.

import { clamp } from "./kit/numbers.js";
import { functionOf, measure, predict, run, slide } from "./ravine_model.js";

export const METHODS = { gd: "constant steps", polyak: "Polyak steps alone", gdpolyak: "GDPolyak" };

export function compute(s) {
  const f = functionOf(s);
  const runs = Object.fromEntries(Object.keys(METHODS).map((name) => [name, run(name, f, s)]));
  const prediction = predict(f, s, runs.gdpolyak);
  const measured = measure(runs.gdpolyak, prediction);
  // The constant steps are predicted from where the walls no longer matter.
  const from = runs.gd.f.findIndex((v, k) =>
    k > 0 && 2 * f.alpha * Math.abs(runs.gd.n[k]) < Math.abs(runs.gd.t[k]) ** 3 * 4);
  const slow = (k) => slide(Math.abs(runs.gd.t[from]), k - from, s.step_size, f.bend);
  return { ...s, f, runs, prediction, measured, slow: from < 0 || from > runs.gd.nit ? null : slow,
           from };
}

// How far from 0 GDPolyak has been in the epoch before step k, in units where the level is t^4.
export function scaleAt({ runs: { gdpolyak: run }, epoch_length: length }, k) {
  const to = Math.min(k, run.nit);
  let size = 1e-30;
  for (let j = Math.max(0, to - length - 1); j <= to; j += 1) {
    size = Math.max(size, Math.abs(run.t[j]), Math.sqrt(Math.abs(run.n[j])) / 2);
  }
  return Math.min(1, 1.7 * size);
}

export function panelsOf(p) {
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

/* -- the map -- */

// A point drawn at scale s: t in units of s and the coordinate across in units of s^2. In these
// units the function is s^4 times itself, so that level lines look the same at every scale.
export function mapFrame({ width, height }, [x0, x1, y0, y1], { swap }, scale) {
  const [left, right, top, bottom] = [1, width - 1, 22, height - 20];
  const [st, sw] = [scale, scale * scale]; // of t and of the coordinate across
  const [sx, sy] = swap ? [sw, st] : [st, sw];
  const x = (v) => clamp(left + ((right - left) * (v / sx - x0)) / (x1 - x0), -1e4, 1e4);
  const y = (v) => clamp(bottom - ((bottom - top) * (v / sy - y0)) / (y1 - y0), -1e4, 1e4);
  return { left, right, top, bottom, sx, sy, st, sw, x, y,
           at: (t, w) => (swap ? [x(w), y(t)] : [x(t), y(w)]),
           atX: (px) => sx * (x0 + ((x1 - x0) * (px - left)) / (right - left)),
           atY: (py) => sy * (y0 + ((y1 - y0) * (bottom - py)) / (bottom - top)) };
}
