// The figure of the saddle: a map on which two runs start where a reader puts them, and their
// distance and value against the iteration, under what was predicted for them.

import { axes, linear, log } from "./kit/axes.js";
import { figure } from "./kit/figure.js";
import { cached, landscape } from "./kit/landscape.js";
import { clamp, decades, finite, range, short, steps } from "./kit/numbers.js";
import * as model from "./model.js";
import { compute } from "./saddle_map_model.js";

const SNAP = 2; // a pointer within so many pixels of the stable manifold means "on it"
const TALL = 1.05; // the map shows at least so much of y2
const RADII = [0, ...decades(-6, -0.5)]; // below the first lies no perturbation
const RUNS = [["gd", "GD"], ["pgd", "PGD"]];

/* -- words -- */

function outcome({ trace, escape, predicted, kick }, s) {
  if (trace.diverged !== null) return "diverges";
  if (escape === 0) return "starts past the dotted line";
  const told = !s.compact && predicted > 0 && predicted < Infinity ? ` (${s.noise > 0 ? "typically" : "predicted"} ${short(predicted)})` : "";
  if (escape !== null) return `leaves after ${steps(escape)}${told}`;
  if (trace.stopped !== null) return `gives up at step ${trace.stopped}`;
  if (s.stuck && !kick) return "never leaves: it starts on the stable manifold";
  return `stays for ${steps(trace.nit)}${told}`;
}

function summarize(s) {
  const [gd, pgd] = [outcome(s.gd, s), outcome(s.pgd, s)];
  if (gd === "diverges" && pgd === gd) return `Both methods diverge: η = ${short(s.step_size)} is too long a step.`;
  if (s.gd.escape === 0) return "The start is already past the dotted line.";
  const one = !s.pgd.kick && gd === pgd;
  if (one && s.gd.escape === null) return `Without a push both walks are one: GD ${gd}.`;
  if (one) return `Both walks ${gd.replace("leaves", "leave")}; ${s.perturbation_radius > 0 ? "no push was needed" : "r = 0 is no push"}.`;
  if (s.compact) return `Gradient descent ${gd}; with one small push it ${pgd}.`;
  const kicked = s.pgd.kick ? `, perturbed at step ${s.pgd.kick.k},` : "";
  return `GD ${gd}; PGD${kicked} ${pgd}.`;
}

function tell(s) {
  const parts = RUNS.map(([key, name]) => {
    const { trace, escape, predicted, kick } = s[key];
    if (escape === null && trace.stopped !== null) return `${name} returns a point near the saddle: the perturbation did not grow in time.`;
    if (key === "pgd" && !kick && escape !== 0 && trace.diverged === null) {
      return s.perturbation_radius === 0 ? "PGD with r = 0 is GD."
        : `‖∇f‖ never fell to ℓr = ${short(s.parameters.gradThreshold)} near the saddle, so PGD was not perturbed there.`;
    }
    const ratio = escape && trace.diverged === null && predicted > 0 && predicted < Infinity ? `, ratio ${(escape / predicted).toFixed(2)}` : "";
    return `${name} ${outcome(s[key], s)}${ratio}.`;
  });
  if (s.step_size > 2 / s.ell) parts.push(`η is above 2/ℓ = ${short(2 / s.ell)}: no run can settle at a minimizer.`);
  return parts.join(" ");
}

/* -- the map -- */

// Equal scales on both axes, so that a ball is a circle.
function mapFrame({ width, height }, problem) {
  const [left, top, right, bottom] = [36, 8, width - 8, height - 36];
  const scale = Math.min((right - left) / (2 * Math.max(1.1, 1.55 * model.minimizer(problem))),
                         (bottom - top) / (2 * TALL));
  const [cx, cy] = [(left + right) / 2, (top + bottom) / 2];
  return { left, top, right, bottom, scale, reach: (right - left) / (2 * scale), reachY: (bottom - top) / (2 * scale),
           x: (y1) => cx + scale * clamp(y1, -1e4, 1e4), y1: (x) => (x - cx) / scale,
           y: (y2) => cy - scale * clamp(y2, -1e4, 1e4), y2: (y) => (cy - y) / scale };
}

// Everything on the map that does not depend on the runs.
function drawLandscape(pen, frame, { problem, exit, compact }) {
  const { c, line, text, disc } = pen;
  const { left, top, right, bottom, x, y, reach, reachY } = frame;
  const low = model.fStar(problem);
  const high = Math.max(model.fun([0, reachY], problem), -low);
  // Evenly spaced in depth below 0, quadratically above, where f is steep.
  const levels = [...[0.95, 0.8, 0.6, 0.4, 0.2].map((m) => m * low), ...range(compact ? 22 : 9, (m) => high * ((m + 1) / 9) ** 2)];
  landscape(pen, frame, { fun: (a, b) => model.fun([a, b], problem), atX: frame.y1, atY: frame.y2, low, high,
                          levels: [...levels.map((v) => [v, "contour"]), [0, "zero"]] });
  pen.inside(frame, () => {
    line(x(0), top, x(0), bottom, "soft", { width: 1.5 });
    const star = model.minimizer(problem);
    const name = { align: "center", colour: "ink", halo: "low" };
    for (const side of [-1, 1]) {
      line(x(side * exit), top, x(side * exit), bottom, "soft", { dash: [2, 4] });
      text("exit", x(side * exit) + 18 * side, bottom - 6, { align: "center", halo: "low" });
      disc(x(side * star), y(0), 5, "minimizer", "bg");
      text("minimizer", x(side * star), y(0) + 22, name);
    }
    text("saddle", x(0) + 27, y(0) + (star * frame.scale < 84 ? 38 : 22), name);
    c.save();
    c.translate(x(0) - 6, bottom - 70);
    c.rotate(-Math.PI / 2);
    text("stable manifold", 0, 0, { align: "center", halo: "low" });
    c.restore();
  });
  axes(pen, frame, { x: linear(-reach, reach), y: linear(-reachY, reachY), gap: [70, 80], xTitle: "y₁, the escape direction" });
  text("y₂", 2, top + 12, { colour: "ink" });
}

function drawTrajectory({ path, dots }, frame, { trace }, name, width) {
  const at = (k) => [frame.x(trace.y1[k]), frame.y(trace.y2[k])];
  const points = range(trace.nit + 1, at);
  const jumps = [...trace.perturbations].reverse();
  for (const { k, to } of jumps) points.splice(k + 1, 0, [frame.x(to[0]), frame.y(to[1])]);
  path(points, name, { width });
  let last = [NaN, NaN]; // iterates as dots, as long as they can be told apart
  const apart = (p) => !(Math.hypot(p[0] - last[0], p[1] - last[1]) < 2 * width + 2) && (last = p);
  dots(points.filter(apart), width * 0.6 + 1, name);
}

function drawMap(pen, s, cursor, background) {
  const frame = mapFrame(pen, s.problem);
  background(pen, s.problem, frame, s);
  s.frame = frame;
  const [{ c, disc, line, text }, { x, y }] = [pen, frame];
  pen.inside(frame, () => {
    for (const [name, width] of [["gd", 4], ["pgd", 1.75]]) drawTrajectory(pen, frame, s[name], name, width);
    pen.diamond(x(0), y(0), 6, "saddle");
    if (s.pgd.kick && s.perturbation_radius > 0) {
      const { from, to, k } = s.pgd.kick;
      const [px, py, r] = [x(from[0]), y(from[1]), frame.scale * s.perturbation_radius];
      disc(px, py, Math.max(r, 1), null, "pgd");
      disc(x(to[0]), y(to[1]), 2.5, "pgd", "bg", 1);
      const away = Math.max(r, 10) * 0.75;
      line(px + away, py - away, px + away + 14, py - away - 14, "ink");
      const words = s.compact ? "push" : `perturbed, k = ${k}`; // on a phone it begins further left
      const at = Math.min(px + away + 16, frame.right - c.measureText(words).width - 4);
      text(words, at, py - away - 16, { colour: "ink", halo: "low" });
    }
    for (const [name] of RUNS) {
      const { trace, escape } = s[name];
      const ring = (k, ...look) => disc(x(trace.y1[k]), y(trace.y2[k]), ...look);
      if (escape > 0) ring(escape, 4.5, "bg", name, 2.5);
      if (trace.returned && !s.compact) pen.square(x(trace.returned[0]), y(trace.returned[1]), 9, null, name);
      if (cursor !== null) ring(Math.min(cursor, trace.nit), 6, name, "ink", 2);
    }
  });
}

/* -- the plots against the iteration -- */

function drawPlots(pen, s, cursor) {
  const [left, right, bottom] = [s.compact ? 52 : 46, pen.width - 12, pen.height - 34];
  const split = s.compact ? -12 : 24 + 0.56 * (bottom - 60); // the small one has the lower plot alone
  const x = linear(0, s.kmax, { words: String });
  const known = ({ trace }) => range(Math.min(trace.nit, s.kmax) + 1);
  const sizes = RUNS.flatMap(([name]) => known(s[name]).map((k) => s[name].trace.distance(k)));
  const laws = RUNS.map(([name]) => s[name].law).filter((law) => law.k0 <= s.kmax && law.y1 !== 0);
  const least = Math.min(s.exit, ...laws.map((law) => Math.abs(law.y1)), sizes.reduce((a, b) => Math.min(a, b)));
  const most = sizes.reduce((a, b) => Math.max(a, b), 2 * s.exit);
  const floor = clamp(Math.floor(Math.log10(least + 1e-300) - 0.15), -12, -2);
  const distance = s.compact ? null : axes(pen, { left, right, top: 24, bottom: split }, { x, labels: false,
    y: log(10 ** floor, clamp(10 ** 0.2 * most, 2, 1e3)), title: "distance from the saddle ‖y‖, log scale" });
  // f from a little below f* to as far above the saddle: the fall to the saddle is cut off.
  const depth = -model.fStar(s.problem);
  const value = axes(pen, { left, right, top: split + 36, bottom }, { x, xTitle: "iteration k",
    y: { ...linear(-1.25 * depth, 0.75 * depth), ticks: null }, title: s.compact ? "height f" : "function value f" });
  for (const [name, level, colour] of [["saddle", 0, "saddle"], [s.compact ? "bottom" : "f*", -depth, "minimizer"]]) {
    value.across(level, colour, { width: 1.5 });
    pen.text(name, left - 5, value.y(level) + 4, { align: "right" });
  }
  distance?.across(s.exit, "soft", { dash: [2, 4] });
  if (distance) pen.text("exit", right - 4, distance.y(s.exit) + 14, { align: "right" });
  const both = ({ trace }, act) => [[distance, (k) => trace.distance(k)], [value, (k) => trace.f[k]]]
    .slice(distance ? 0 : 1).forEach((given) => act(...given));
  for (const [name, width] of [["gd", 4], ["pgd", 1.75]]) {
    both(s[name], (plot, of) => plot.line(known(s[name]).map((k) => [k, of(k)]), name, { width }));
  }
  // The law of |y1| up to the exit, and the time it names; PGD has its own once it was perturbed.
  for (const [key, name] of distance ? [...RUNS].reverse() : []) {
    const { law, predicted, kick } = s[key];
    if ((key === "pgd" && !kick) || predicted <= law.k0 || (law.y1 === 0 && !law.sigma)) continue;
    const end = Math.min(predicted, s.kmax) - law.k0;
    distance.line(range(61, (m) => [law.k0 + (m / 60) * end, model.predictedSize((m / 60) * end, law)]), "law");
    if (predicted > s.kmax) continue;
    for (const plot of [distance, value]) plot.down(predicted, "law");
    const words = `${name} predicted ${predicted.toFixed(0)}`; // an arrow says which line is meant
    const [px, wide] = [distance.x(predicted), pen.c.measureText(`← ${words}`).width];
    const roomy = px + wide + 8 < right;
    pen.text(roomy ? `← ${words}` : `${words} →`, px + (roomy ? 3 : -3), split - 8, { colour: "ink", align: roomy ? "left" : "right", free: true });
  }
  for (const [name, words] of RUNS) {
    const { trace, escape } = s[name];
    const dot = (k, ...style) => both(s[name], (plot, of) => plot.dot(k, of(k), ...style));
    if (escape > 0) dot(escape, 4.5, "bg", name, 2.5);
    if (!s.compact && trace.stopped !== null && trace.stopped <= s.kmax) {
      const [px, py] = [value.x(trace.stopped), value.y(trace.f[trace.stopped])];
      pen.square(px, py, 4, name);
      pen.text(`${words} stops`, Math.min(px, right - 34), py - 10, { colour: "ink", align: "center" });
    }
    if (cursor !== null) dot(Math.min(cursor, trace.nit), 5, name, "ink", 2);
  }
  if (cursor !== null) for (const plot of distance ? [distance, value] : [value]) plot.down(cursor, "ink");
  s.plot = value;
}

/* -- the page -- */

const tidy = (v, limit) => Number(clamp(v, -limit, limit).toPrecision(12));

export { compute, summarize, tell };
export default figure({
  name: "saddle-map", title: "How long until gradient descent leaves a saddle?", compact: true,
  state: ["start", "gamma", "lam", "step_size", "perturbation_radius", "noise", "seed", "maxiter", "compact"],
  compute, summarize, tell, guess: true,
  results: ({ gd, pgd }) => ({ escape_gd: gd.escape, escape_pgd: pgd.escape, predicted: finite(gd.predicted),
                               predicted_pgd: pgd.kick ? finite(pgd.predicted) : null }),
  legend: (make, { compact }) => (compact ? [["gd", "gradient descent"], ["pgd", "the same, pushed where the slope is small"]]
    : [["gd", "gradient descent (GD)"], ["pgd", "perturbed gradient descent (PGD)"], ["law", "predicted |y₁|"]]),
  views: ({ widget, write, now, play, compact }) => {
    const background = cached(drawLandscape);
    const move = (y1, y2) => write({ start: [tidy(y1, Math.min(3, now().frame.reach)), tidy(y2, now().frame.reachY)] });
    return [{
      name: "map", draw: (...given) => drawMap(...given, background), drag: { label: "start of both runs", move, point: () => widget.get("start"),
        drop: (x, y) => move(Math.abs(x - now().frame.x(0)) <= SNAP ? 0 : now().frame.y1(x), now().frame.y2(y)),
        place: ({ start: [a, b], frame }) => ({ x: frame.x(a), y: frame.y(b), frame, value: a, reach: frame.reach,
                                                words: `y₁ = ${short(a)}, y₂ = ${short(b)}` }) },
      height: (width, wide) => (wide ? Math.min(0.96 * width + 12, 480) : compact ? clamp(0.96 * width, 300, 480) : 320),
      words: ({ start: [a, b] }) => "Contour map of f with the saddle, the minimizers, the stable manifold and "
        + `the path of each method from y₁ = ${short(a)}, y₂ = ${short(b)}.`,
    }, {
      name: "plots", draw: drawPlots, height: (width, wide) => (wide ? Math.min(0.96 * width + 12, 480) : compact ? 200 : 330),
      hover: (x) => play.go(Math.round(clamp(now().plot.atX(x), 0, now().kmax))),
      words: () => (compact ? "Height of both walks against the iteration: a fall, a level stretch at the saddle, a fall."
        : "Distance from the saddle on a log scale, and function value, against the iteration, with the predicted escape drawn over both runs."),
    }];
  },
  player: { label: "iteration k", play: false, last: ({ kmax }) => kmax },
  beside: (make) => [
    make.slider("step_size", "step size η", ({ lam }) => range(240, (i) => Number((((i + 1) / 240) * Number((2.4 / lam)
      .toPrecision(2))).toPrecision(12)))),
    make.slider("perturbation_radius", "perturbation radius r", RADII)],
  more: (make) => [make.slider("noise", "gradient noise σ", range(101, (i) => i / 500))],
  presets: {
    "exactly on the stable manifold": ({ start: [a, b] }) => (a === 0 ? null : { start: [0, b] }),
    "10× nearer to it": ({ start: [a, b] }) => (a === 0 ? null : { start: [a / 10, b] }),
    "too large a step": (s) => ({ step_size: 2.2 / s.lam }),
    "another draw": ({ seed, noise, perturbation_radius: r }) => (noise || r ? { seed: (seed + 1) % 2 ** 31 } : null),
  },
  morePresets: { "theory's η": (s) => ({ step_size: 1 / model.lipschitzGrad(s) }) },
  caption: "Drag the start: the nearer it is to the stable manifold, the longer gradient descent stays. A push "
    + "keeps the wait short wherever the run began, and may cost a few steps where it would have been short anyway.",
  notes: [
    "f(y) = −(γ/2)y₁² + y₁⁴/4 + (λ/2)y₂² has a saddle at 0 and minimizers at (±√γ, 0). A run has left "
    + "when |y₁| ≥ √γ/2. Near the saddle a step multiplies y₁ by 1 + ηγ, so from step k₀ on that takes "
    + "ln(½√γ/|y₁|) / ln(1 + ηγ) steps; with noise, the root mean square of y₁ is predicted.",
    "For |y₁| ≤ √γ the eigenvalues −γ + 3y₁² and λ of the Hessian are at most ℓ = max(2γ, λ) in size: "
    + "theory’s η is 1/ℓ. PGD adds a point uniform in the disc of radius r, the circle, where ‖∇f‖ ≤ ℓr. It "
    + "stops, at the square, when f has not dropped by γ²/16 in the window in which 99 of 100 perturbations escape.",
  ],
});
