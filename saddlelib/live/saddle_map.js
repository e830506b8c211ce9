// The live figure. Its state lives in the widget's model (get, set, on, off and
// save_changes, nothing else), so the same module runs in Jupyter, where the model
// talks to Python, and on a static page, where it talks to nobody.

import * as model from "./model.js";
import * as page from "./page.js";

const { clamp, h, niceStep, penOn, powerOfTen, short, steps } = page;

const STATE = ["start", "gamma", "lam", "step_size", "perturbation_radius", "noise", "seed",
               "maxiter"];
const BOUND = 1e3; // an iterate this far out is not coming back
const LOG_FLOOR = -12; // the lowest power of ten that the distance plot shows
const SNAP = 2; // a pointer within so many pixels of the stable manifold means "on it"
const COLOURS = "bg ink soft line gd pgd law saddle minimizer low high contour zero";
const PLOT = { left: 46, right: 12, top: 22, gap: 38, bottom: 34 }; // margins in pixels

// The stops of the radius slider; below the first lies no perturbation.
const RADII = [0, ...page.decades(-6, -0.5)];

/* -- the two runs, and what was predicted for them -- */

function compute(s) {
  const problem = { gamma: s.gamma, lam: s.lam };
  const exit = model.exitRadius(problem);
  const ell = model.lipschitzGrad(problem);
  const common = { problem, x0: s.start, stepSize: s.step_size, maxiter: s.maxiter,
                   perturbationRadius: s.perturbation_radius, sigma: s.noise, bound: BOUND };
  const parameters = model.pgdParameters(common);
  // Both runs meet the same noise, so they part only where PGD perturbs.
  const normal = () => {
    const uniform = model.mulberry32(s.seed);
    return () => model.normalPair(uniform);
  };
  const ball = model.ballFrom(s.seed);
  const judge = (trace, kick) => {
    const law = { y1: (kick?.to ?? s.start)[0], k0: kick?.k ?? 0, stepSize: s.step_size,
                  gamma: s.gamma, sigma: s.noise, exit };
    return { trace, kick, law, escape: model.measuredEscape(trace, exit),
             predicted: model.predictedEscape(law) };
  };
  const gd = judge(model.runGD({ ...common, normal: normal() }));
  const trace = model.runPGD({ ...common, ...parameters, normal: normal(), ball });
  // The prediction starts at the last perturbation before the escape, if there is one.
  const escape = model.measuredEscape(trace, exit) ?? Infinity;
  const pgd = judge(trace, trace.perturbations.filter((p) => p.k < escape).at(-1));

  // The plots reach past the last thing that happens, to a round number.
  let last = 20;
  for (const run of [gd, pgd]) {
    const end = run.trace.diverged ?? run.trace.stopped
      ?? (run.escape === null ? s.maxiter : run.escape + 40);
    last = Math.max(last, end, run.predicted <= s.maxiter ? run.predicted : 0);
  }
  const stuck = s.start[0] === 0 && s.noise === 0; // nothing more happens to GD
  if (stuck && pgd.trace.stopped !== null) last = pgd.trace.stopped;
  const tick = niceStep(last * 1.08, 5);
  const kmax = Math.min(s.maxiter, Math.ceil((last * 1.08) / tick) * tick);
  return { ...s, problem, exit, ell, gd, pgd, stuck, parameters, kmax };
}

/* -- what happened, in words -- */

function outcome(name, { trace, escape, predicted, kick }, s) {
  if (trace.diverged !== null) {
    return s.step_size > 2 / s.ell
      ? `${name} diverges: η = ${short(s.step_size)} is above 2/ℓ = ${short(2 / s.ell)}.`
      : `${name} diverges: η = ${short(s.step_size)} is too long a step this far out.`;
  }
  if (escape === 0) return `${name} starts beyond the exit.`;
  if (escape !== null) {
    const told = predicted > 0 && predicted < Infinity
      ? ` (${s.noise > 0 ? "typically" : "predicted"} ${predicted.toFixed(1)}, ratio ${(escape / predicted).toFixed(2)})` : "";
    return `${name} leaves after ${steps(escape)}${told}.`;
  }
  if (trace.stopped !== null) {
    return `${name} stops at step ${trace.stopped} and returns a point near the saddle: `
      + "the perturbation did not grow in time.";
  }
  if (s.stuck && !kick) {
    return `${name} never leaves: it started exactly on the stable manifold.`;
  }
  const told = predicted < Infinity ? ` (predicted ${short(predicted)})` : "";
  return `${name} is still near the saddle after ${steps(trace.nit)}${told}.`;
}

function summarize(s) {
  const { gd, pgd } = s;
  const parts = [`From (${s.start.map((v) => short(v)).join(", ")}):`];
  if (gd.trace.diverged !== null && pgd.trace.diverged !== null) {
    return `${parts[0]} ${outcome("GD", gd, s).replace("GD diverges", "both methods diverge")}`;
  }
  parts.push(outcome("GD", gd, s));
  if (s.perturbation_radius === 0) parts.push("PGD with r = 0 is GD.");
  else if (pgd.kick) parts.push(outcome(`PGD, perturbed at step ${pgd.kick.k},`, pgd, s));
  else if (pgd.escape === 0) parts.push("So does PGD.");
  else {
    parts.push("PGD does the same: ‖∇f‖ never fell to "
      + `ℓr = ${short(s.parameters.gradThreshold)} near the saddle, so it was not perturbed there.`);
  }
  if (s.step_size > 2 / s.ell) {
    parts.push(`η is above 2/ℓ = ${short(2 / s.ell)}: no run can settle at a minimizer.`);
  }
  return parts.join(" ");
}

/* -- the map -- */

// Equal scales on both axes, so that a ball is a circle.
function mapFrame(width, height, problem) {
  const [left, top, right, bottom] = [36, 8, width - 8, height - 36];
  const reach = Math.max(1.1, 1.55 * model.minimizer(problem));
  const scale = (right - left) / (2 * reach);
  const [cx, cy] = [(left + right) / 2, (top + bottom) / 2];
  return { left, top, right, bottom, reach, scale, reachY: (bottom - top) / (2 * scale),
           x: (y1) => cx + scale * clamp(y1, -1e4, 1e4), y1: (x) => (x - cx) / scale,
           y: (y2) => cy - scale * clamp(y2, -1e4, 1e4), y2: (y) => (cy - y) / scale };
}

// One level curve by marching squares; crossings of an edge by linear interpolation.
function contour({ c, stroke }, frame, values, columns, cell, level, colour) {
  c.beginPath();
  const corners = [[0, 0], [1, 0], [1, 1], [0, 1]];
  for (let n = 0; n + columns < values.length; n += 1) {
    // Most cells are not crossed; to see that first keeps the first frame quick.
    const below = (values[n] < level) + (values[n + 1] < level)
      + (values[n + columns] < level) + (values[n + columns + 1] < level);
    if (below === 0 || below === 4 || n % columns === columns - 1) continue;
    const [i, j] = [n % columns, Math.floor(n / columns)];
    const v = corners.map(([a, b]) => values[n + a + b * columns] - level);
    let pen = "moveTo";
    for (let e = 0; e < 4; e += 1) {
      const [p, q, w] = [corners[e], corners[(e + 1) % 4], v[(e + 1) % 4]];
      if ((v[e] < 0) === (w < 0)) continue;
      const t = v[e] / (v[e] - w);
      c[pen](frame.left + cell * (i + p[0] + t * (q[0] - p[0])),
             frame.top + cell * (j + p[1] + t * (q[1] - p[1])));
      pen = pen === "moveTo" ? "lineTo" : "moveTo";
    }
  }
  stroke(colour);
}

// Everything on the map that does not depend on the runs.
function drawLandscape(pen, frame, { problem, exit }) {
  const { c, colours, line, text, disc } = pen;
  const { left, top, right, bottom, x, y } = frame;
  const cell = 4;
  const [columns, rows] = [right - left, bottom - top].map((l) => Math.ceil(l / cell) + 1);
  const values = Float64Array.from({ length: columns * rows }, (_, n) =>
    model.fun([frame.y1(left + cell * (n % columns)),
               frame.y2(top + cell * Math.floor(n / columns))], problem));
  const low = model.fStar(problem);
  const high = model.fun([0, frame.reachY], problem);

  const shade = Object.assign(document.createElement("canvas"), { width: columns, height: rows });
  const image = shade.getContext("2d").createImageData(columns, rows);
  const [dark, light] = [colours.low, colours.high].map((hex) =>
    [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
  values.forEach((v, n) => {
    const t = Math.sqrt(clamp((v - low) / (high - low), 0, 1));
    image.data.set([...dark.map((d, b) => d + t * (light[b] - d)), 255], 4 * n);
  });
  shade.getContext("2d").putImageData(image, 0, 0);

  pen.inside(frame, () => {
    c.drawImage(shade, left - cell / 2, top - cell / 2, columns * cell, rows * cell);
    // Evenly spaced in depth below 0, quadratically above, where f is steep.
    const levels = [0.95, 0.8, 0.6, 0.4, 0.2].map((m) => m * low);
    for (let m = 1; m <= 9; m += 1) levels.push(high * (m / 9) ** 2);
    for (const level of levels) contour(pen, frame, values, columns, cell, level, colours.contour);
    contour(pen, frame, values, columns, cell, 0, colours.zero);

    line(x(0), top, x(0), bottom, colours.soft, { width: 1.5 });
    const star = model.minimizer(problem);
    const name = { align: "center", colour: colours.ink, halo: colours.low };
    for (const side of [-1, 1]) {
      const at = x(side * exit);
      line(at, top, at, bottom, colours.soft, { dash: [2, 4] });
      text("exit", at + 18 * side, bottom - 6, { align: "center", halo: colours.low });
      disc(x(side * star), y(0), 5, colours.minimizer, colours.bg);
      text("minimizer", x(side * star), y(0) + 22, name);
    }
    text("saddle", x(0) + 27, y(0) + (star * frame.scale < 84 ? 38 : 22), name);
    c.translate(x(0) - 6, bottom - 70);
    c.rotate(-Math.PI / 2);
    text("stable manifold", 0, 0, { align: "center", halo: colours.low });
  });
  pen.box(frame, colours.line);
  for (let v = -2; v <= 2; v += 0.5) {
    if (Math.abs(v) < frame.reach) text(short(v), x(v), bottom + 15, { align: "center" });
    if (Math.abs(v) < frame.reachY) text(short(v), left - 6, y(v) + 4, { align: "right" });
  }
  text("y₁, the escape direction", x(0), bottom + 31, { align: "center", colour: colours.ink });
  text("y₂", 2, top + 12, { colour: colours.ink });
}

function drawTrajectory({ c, path }, frame, { trace }, colour, width) {
  const at = (k) => [frame.x(trace.y1[k]), frame.y(trace.y2[k])];
  const points = [];
  for (let k = 0; k <= trace.nit; k += 1) points.push(at(k));
  const jumps = [...trace.perturbations].reverse();
  for (const { k, to } of jumps) points.splice(k + 1, 0, [frame.x(to[0]), frame.y(to[1])]);
  path(points, colour, { width });
  // Iterates as dots, as long as they can be told apart.
  c.fillStyle = colour;
  let last = [NaN, NaN];
  for (let k = 0; k <= trace.nit; k += 1) {
    const p = at(k);
    if (Math.hypot(p[0] - last[0], p[1] - last[1]) < 2 * width + 2) continue;
    last = p;
    c.beginPath();
    c.arc(...p, width * 0.6 + 1, 0, 2 * Math.PI);
    c.fill();
  }
}

function drawRuns(pen, frame, s, cursor) {
  const { c, colours, disc, line, text } = pen;
  const { x, y } = frame;
  const runs = [[s.gd, colours.gd, 4], [s.pgd, colours.pgd, 1.75]];
  pen.inside(frame, () => {
    for (const [run, colour, width] of runs) drawTrajectory(pen, frame, run, colour, width);
    c.fillStyle = colours.saddle;
    c.beginPath();
    for (const [dx, dy] of [[0, -6], [6, 0], [0, 6], [-6, 0], [0, -6]]) {
      c.lineTo(x(0) + dx, y(0) + dy);
    }
    c.fill();
    pen.stroke(colours.bg);
    if (s.pgd.kick && s.perturbation_radius > 0) {
      const { from, to, k } = s.pgd.kick;
      const [px, py, r] = [x(from[0]), y(from[1]), frame.scale * s.perturbation_radius];
      disc(px, py, Math.max(r, 1), null, colours.pgd);
      disc(x(to[0]), y(to[1]), 2.5, colours.pgd, colours.bg, 1);
      const away = Math.max(r, 10) * 0.75;
      line(px + away, py - away, px + away + 14, py - away - 14, colours.ink);
      text(`perturbed, k = ${k}`, px + away + 16, py - away - 16,
           { colour: colours.ink, halo: colours.low });
    }
    for (const [{ trace, escape }, colour] of runs) {
      const ring = (k, ...style) => disc(x(trace.y1[k]), y(trace.y2[k]), ...style);
      if (escape > 0) ring(escape, 4.5, colours.bg, colour, 2.5);
      if (trace.returned) {
        c.strokeStyle = colour;
        c.lineWidth = 2;
        c.strokeRect(x(trace.returned[0]) - 9, y(trace.returned[1]) - 9, 18, 18);
      }
      if (cursor !== null) ring(Math.min(cursor, trace.nit), 6, colour, colours.ink, 2);
    }
  });
}

/* -- the plots against the iteration -- */

function plotFrames(width, height, s) {
  const [left, right] = [PLOT.left, width - PLOT.right];
  const usable = height - PLOT.top - PLOT.gap - PLOT.bottom;
  const panel = (top, tall, low, high) => ({ left, right, top, bottom: top + tall, low, high,
    x: (k) => left + ((right - left) * k) / s.kmax,
    y: (v) => clamp(top + (tall * (high - v)) / (high - low), -1e4, 1e4) });

  let [lowest, highest] = [s.exit, 2 * s.exit];
  for (const { trace, law } of [s.gd, s.pgd]) {
    for (let k = 0; k <= Math.min(trace.nit, s.kmax); k += 1) {
      lowest = Math.min(lowest, trace.distance(k));
      highest = Math.max(highest, trace.distance(k));
    }
    if (law.k0 <= s.kmax && law.y1 !== 0) lowest = Math.min(lowest, Math.abs(law.y1));
  }
  const floor = clamp(Math.floor(Math.log10(lowest + 1e-300) - 0.15), LOG_FLOOR, -2);
  const ceiling = clamp(Math.log10(highest) + 0.2, 0.3, Math.log10(BOUND));
  // f from a little below f* to as far above the saddle: the fall to the saddle is cut off.
  const depth = -model.fStar(s.problem);
  return [panel(PLOT.top, 0.6 * usable, floor, ceiling),
          panel(PLOT.top + 0.6 * usable + PLOT.gap, 0.4 * usable, -1.25 * depth, 0.75 * depth)];
}

const upTo = (n, point) => Array.from({ length: n + 1 }, (_, i) => point(i));

function drawPlots(pen, width, height, s, cursor) {
  const { c, colours, line, text, disc, path, inside } = pen;
  const panels = plotFrames(width, height, s);
  const [distance, value] = panels;
  const { right } = value;
  const runs = [[s.gd, colours.gd, 4, "GD"], [s.pgd, colours.pgd, 1.75, "PGD"]];
  const title = { colour: colours.ink };
  const vertical = (k, colour, style) => {
    for (const p of panels) line(p.x(k), p.top, p.x(k), p.bottom, colour, style);
  };

  const decades = Math.ceil((distance.high - distance.low) / 6);
  for (let p = Math.floor(distance.high); p >= distance.low; p -= decades) {
    line(distance.left, distance.y(p), right, distance.y(p), colours.line);
    text(powerOfTen(p), distance.left - 5, distance.y(p) + 4, { align: "right" });
  }
  const tick = niceStep(s.kmax, (right - value.left) / 70);
  for (let k = 0; k <= s.kmax; k += tick) {
    vertical(k, colours.line);
    text(String(k), value.x(k), value.bottom + 15, { align: "center" });
  }
  for (const p of panels) pen.box(p, colours.line);
  const levels = [["saddle", 0, colours.saddle], ["f*", model.fStar(s.problem), colours.minimizer]];
  for (const [name, level, colour] of levels) {
    line(value.left, value.y(level), right, value.y(level), colour, { width: 1.5 });
    text(name, value.left - 5, value.y(level) + 4, { align: "right" });
  }
  const exitY = distance.y(Math.log10(s.exit));
  line(distance.left, exitY, right, exitY, colours.soft, { dash: [2, 4] });
  text("exit", right - 4, exitY + 14, { align: "right" });
  text("distance from the saddle ‖y‖, log scale", distance.left, 14, title);
  text("function value f", value.left, value.top - 8, title);
  text("iteration k", (value.left + right) / 2, value.bottom + 31, { ...title, align: "center" });

  const views = ({ trace }) => [[distance, (k) => Math.log10(trace.distance(k) + 1e-300)],
                                [value, (k) => trace.f[k]]];
  for (const [run, colour, thick] of runs) {
    for (const [panel, of] of views(run)) {
      inside(panel, () => path(upTo(Math.min(run.trace.nit, s.kmax + 1),
        (k) => [panel.x(k), panel.y(of(k))]), colour, { width: thick }));
    }
  }

  // The prediction over the run: the law of |y1| up to the exit, and the time it names.
  // PGD has one of its own only once it was perturbed.
  let taken = Infinity;
  const labels = [];
  for (const [{ law, predicted, kick }, , , name] of [...runs].reverse()) {
    if ((name === "PGD" && !kick) || predicted <= law.k0 || (law.y1 === 0 && !law.sigma)) continue;
    const end = Math.min(predicted, s.kmax) - law.k0;
    inside(distance, () => path(upTo(60, (m) => [distance.x(law.k0 + (m / 60) * end),
      distance.y(Math.log10(model.predictedSize((m / 60) * end, law) + 1e-300))]),
      colours.law, { width: 1.75, dash: [6, 4] }));
    if (predicted > s.kmax) continue;
    vertical(predicted, colours.law, { width: 1.5, dash: [6, 4] });
    const words = `${name} predicted ${predicted.toFixed(0)}`;
    const [x, wide] = [distance.x(predicted), c.measureText(words).width];
    const at = x + wide + 8 < right ? x + 5 : x - wide - 5;
    labels.push([words, at, distance.bottom - (Math.abs(at - taken) < wide + 10 ? 22 : 8), title]);
    taken = at;
  }
  for (const label of labels) text(...label);
  if (s.gd.trace.diverged !== null && s.pgd.trace.diverged !== null) {
    text("diverges", right - 4, value.top + 16, { ...title, align: "right" });
  }

  if (cursor !== null) vertical(cursor, colours.ink);
  for (const [run, colour, , name] of runs) {
    const { stopped, nit, f } = run.trace;
    const dot = (k, ...style) => {
      for (const [panel, of] of views(run)) {
        inside(panel, () => disc(panel.x(k), panel.y(of(k)), ...style));
      }
    };
    if (run.escape > 0) dot(run.escape, 4.5, colours.bg, colour, 2.5);
    if (stopped !== null && stopped <= s.kmax) {
      const [x, y] = [value.x(stopped), value.y(f[stopped])];
      c.fillStyle = colour;
      c.fillRect(x - 4, y - 4, 8, 8);
      text(`${name} stops`, Math.min(x, right - 34), y - 10, { ...title, align: "center" });
    }
    if (cursor !== null) dot(Math.min(cursor, nit), 5, colour, colours.ink, 2);
  }
}

/* -- the page -- */

const NOTES = [
  "f(y) = −(γ/2)y₁² + y₁⁴/4 + (λ/2)y₂² has a saddle at 0 and minimizers at (±√γ, 0). A run has left "
  + "when |y₁| ≥ √γ/2. Near the saddle a step multiplies y₁ by 1 + ηγ, so from step k₀ on that takes "
  + "ln(½√γ/|y₁|) / ln(1 + ηγ) steps; with noise, the root mean square of y₁ is predicted.",
  "For |y₁| ≤ √γ the eigenvalues −γ + 3y₁² and λ of the Hessian are at most ℓ = max(2γ, λ) in size: "
  + "theory’s η is 1/ℓ. PGD adds a point uniform in the disc of radius r where ‖∇f‖ ≤ ℓr. It stops "
  + "when f has not dropped by γ²/16 in the window in which 99 of 100 perturbations escape.",
  page.DRAG_KEYS,
];

function render({ model: widget, el }) {
  const { read, write, publish, invalidate, begin } =
    page.loop(widget, { state: STATE, name: "saddle-map", draw });
  const initial = read();
  let cursor = null; // the iteration that all three views mark
  let size = null;
  let colours = null;
  let current = null; // what the last frame drew
  let landscapeKey = "";

  const mapCanvas = h("canvas", { role: "img", "data-testid": "map" });
  const plotCanvas = h("canvas", { role: "img", "data-testid": "plots", "aria-label":
    "Distance from the saddle on a log scale, and function value, against the iteration, with the "
    + "predicted escape drawn over both runs." });
  const landscape = document.createElement("canvas");
  const handle = h("div", { "data-testid": "start", class: "sm-start", tabindex: "0",
    role: "slider", "aria-label": "start of both runs", "aria-roledescription": "point on the map",
    "aria-description": page.DRAG_KEYS });
  const map = h("div", { class: "sm-map" }, mapCanvas, handle);
  const eta = page.slider("sm", "step size η");
  const radius = page.slider("sm", "perturbation radius r",
                             { min: 0, max: RADII.length - 1, step: 1 });
  const sigma = page.slider("sm", "gradient noise σ", { min: 0, max: 0.2, step: 0.002 });
  const scrub = page.slider("sm", "iteration k", { min: 0, step: 1 });
  const readout = h("p", { class: "sm-readout", "data-testid": "readout" });
  const summary = page.status("sm");
  const button = (words, action) => page.button(words, () => write(action(read())));
  const key = (name, words) => h("li", { class: `sm-key-${name}` }, words);
  const root = h("div", { class: "saddle-map", role: "group",
                          "aria-label": "How long until gradient descent leaves a saddle?" },
    h("ul", { class: "sm-legend" }, key("gd", "gradient descent (GD)"),
      key("pgd", "perturbed gradient descent (PGD)"), key("law", "predicted |y₁|")),
    h("div", { class: "sm-views" }, map,
      h("div", { class: "sm-side" }, plotCanvas, scrub.box, readout)),
    summary.node,
    h("div", { class: "sm-sliders" }, eta.box, radius.box, sigma.box),
    h("div", { class: "sm-presets", role: "group", "aria-label": "presets" },
      button("exactly on the stable manifold", ({ start }) => ({ start: [0, start[1]] })),
      button("10× nearer to it", ({ start }) => ({ start: [start[0] / 10, start[1]] })),
      button("theory's η", (s) => ({ step_size: 1 / model.lipschitzGrad(s) })),
      button("too large", (s) => ({ step_size: 2.2 / s.lam })),
      button("new noise", ({ seed }) => ({ seed: (seed + 1) % 2 ** 31 })),
      button("start over", () => initial)),
    page.notes("sm", NOTES));
  page.quiet(root);
  el.append(root);

  function layout() {
    if (map.clientWidth < 100) return false; // hidden: a closed tab, a folded cell
    const wide = root.classList.toggle("sm-wide", root.clientWidth >= 640);
    const [mapWidth, sideWidth] = [map.clientWidth, plotCanvas.parentElement.clientWidth];
    const mapHeight = Math.min(Math.round(mapWidth * 0.96) + 12, 460);
    const sideHeight = wide ? Math.max(mapHeight - 80, 260) : 320;
    size = { ratio: devicePixelRatio, mapWidth, mapHeight, sideWidth, sideHeight };
    Object.assign(mapCanvas.style, { width: `${mapWidth}px`, height: `${mapHeight}px` });
    Object.assign(plotCanvas.style, { width: `${sideWidth}px`, height: `${sideHeight}px` });
    return true;
  }

  function draw() {
    if (size?.ratio !== devicePixelRatio && !layout()) return false;
    colours ??= page.palette(root, "sm", COLOURS);
    const { mapWidth, mapHeight, sideWidth, sideHeight, ratio } = size;
    const mapSize = { width: mapWidth, height: mapHeight, ratio };
    const plotSize = { width: sideWidth, height: sideHeight, ratio };
    current = compute(read());
    if (cursor !== null) cursor = Math.min(cursor, current.kmax);
    current.frame = mapFrame(mapWidth, mapHeight, current.problem);

    const name = [mapWidth, mapHeight, ratio, current.gamma, current.lam, colours.bg].join();
    if (name !== landscapeKey) {
      drawLandscape(penOn(landscape, mapSize, colours), current.frame, current);
      landscapeKey = name;
    }
    const pen = penOn(mapCanvas, mapSize, colours);
    pen.c.drawImage(landscape, 0, 0, mapWidth, mapHeight);
    drawRuns(pen, current.frame, current, cursor);
    drawPlots(penOn(plotCanvas, plotSize, colours), sideWidth, sideHeight, current, cursor);
    showState();
    const { gd, pgd } = current;
    const finite = (x) => (Number.isFinite(x) ? x : null);
    publish({ escape_gd: gd.escape, escape_pgd: pgd.escape, predicted: finite(gd.predicted),
              predicted_pgd: pgd.kick ? finite(pgd.predicted) : null });
    return true;
  }

  function showState() {
    const { start, step_size: step, perturbation_radius: r, noise, lam, frame: f } = current;
    handle.style.left = `${clamp(f.x(start[0]), f.left, f.right)}px`;
    handle.style.top = `${clamp(f.y(start[1]), f.top, f.bottom)}px`;
    handle.classList.toggle("sm-left", start[0] > 0.2);
    const where = `y₁ = ${short(start[0])}, y₂ = ${short(start[1])}`;
    const aria = { valuemin: -f.reach, valuemax: f.reach, valuenow: start[0], valuetext: where };
    for (const [name, v] of Object.entries(aria)) handle.setAttribute(`aria-${name}`, v);
    mapCanvas.setAttribute("aria-label", "Contour map of f with the saddle, the minimizers, the "
      + `stable manifold and the path of each method from ${where}.`);

    const top = Number((2.4 / lam).toPrecision(2));
    Object.assign(eta.input, { min: top / 240, max: top, step: top / 240 });
    eta.show(step, short(step));
    radius.show(page.stopOf(RADII, r), short(r));
    sigma.show(noise, short(noise));
    scrub.input.max = current.kmax;
    scrub.show(cursor ?? 0, String(cursor ?? 0));
    readout.replaceChildren(...["gd", "pgd"].map((name) => {
      const { trace } = current[name];
      const k = Math.min(cursor ?? 0, trace.nit);
      return h("span", { class: `sm-key-${name}` },
               `${name.toUpperCase()} ‖y‖ = ${short(trace.distance(k))}, f = ${short(trace.f[k])}`);
    }));
    summary.say(summarize(current));
  }

  const onInput = ({ input }, action) =>
    input.addEventListener("input", () => action(input.valueAsNumber));
  const look = (k) => {
    cursor = k;
    invalidate();
  };
  onInput(eta, (v) => write({ step_size: Number(v.toPrecision(12)) }));
  onInput(radius, (i) => write({ perturbation_radius: RADII[i] }));
  onInput(sigma, (v) => write({ noise: v }));
  onInput(scrub, look);
  plotCanvas.addEventListener("pointermove", ({ offsetX }) => {
    const t = (offsetX - PLOT.left) / (size.sideWidth - PLOT.left - PLOT.right);
    look(Math.round(clamp(t, 0, 1) * current.kmax));
  });

  function moveTo(y1, y2) {
    const { reach, reachY } = current.frame;
    const tidy = (v, limit) => Number(clamp(v, -limit, limit).toPrecision(12));
    root.classList.add("sm-moved");
    write({ start: [tidy(y1, reach), tidy(y2, reachY)] });
  }

  page.draggable(handle, mapCanvas, { point: () => widget.get("start"), move: moveTo, drop(x, y) {
    const { frame: f } = current;
    moveTo(Math.abs(x - f.x(0)) <= SNAP ? 0 : f.y1(x), f.y2(y));
  } });

  const end = begin(root, { layout, rethemed: () => {
    colours = null;
    invalidate();
  } });

  return () => {
    end();
    summary.stop();
  };
}

export { compute, summarize };
export default { render };
