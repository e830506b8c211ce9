// The live figure of one escape episode, and of many. Its state lives in the
// widget's model (get, set, on, off and save_changes, nothing else).

import * as model from "./model.js";
import * as page from "./page.js";

const { button, clamp, decades, h, niceStep, steps } = page;

const STATE = ["dim", "gamma", "step_factor", "perturbation_radius", "failure_prob", "runs",
               "seed", "draw", "on_manifold"];
const FIRST_PACE = 20; // runs a frame as the page opens, slow enough to watch
const NEXT_PACE = 100; // and after each change
const BUDGET = 2e6; // steps of all runs in a frame, so that it stays a frame
const BAND = [0.05, 0.5, 0.95];
const PLOT = { left: 44, right: 12, top: 24, bottom: 36 }; // margins in pixels

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
function coordinateBelow(s, dim) {
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
function coordinateQuantile(prob, dim) {
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
function drawCoordinates({ seed, dim, runs }) {
  const uniform = model.mulberry32(seed);
  const k = (dim + 1) / 2 - 1 / 3;
  const width = 1 / Math.sqrt(9 * k);
  const next = () => {
    for (;;) {
      const [z, n] = model.normalPair(uniform);
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
function escapeTime(x1, { gamma, stepSize, exit }) {
  if (x1 === 0) return Infinity;
  let [x, k] = [Math.abs(x1), 0];
  for (; x < exit; k += 1) x -= stepSize * (x * (x * x - gamma));
  return k;
}

// Everything that follows from the state without running anything; the names and the formulas
// are those of saddlelib.theory.laws and alpay2025.
function predict(s) {
  const { gamma, dim, perturbation_radius: radius, failure_prob: delta } = s;
  const ell = Math.max(2 * gamma, 1);
  const stepSize = s.step_factor / ell;
  const exit = model.exitRadius(s);
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
  return { ...p, x1, escape, kmax, bin: Math.max(1, niceStep(kmax, 60)) };
}

// The escape times of the runs, counted as they come.
class Batch {
  constructor(p, coordinates) {
    Object.assign(this, { p, coordinates, done: 0, times: new Float64Array(coordinates.length) });
  }

  get complete() {
    return this.done === this.times.length;
  }

  // At most `count` more runs, fewer if they would take too many steps for one frame.
  grow(count, budget = BUDGET) {
    const until = Math.min(this.times.length, this.done + count);
    for (let steps = 0; this.done < until && steps < budget; this.done += 1) {
      const x1 = this.p.perturbation_radius * this.coordinates.at(this.done);
      // A start of exactly 0 has probability 0; the generator's numbers are finite in number.
      this.times[this.done] = escapeTime(x1 || 1e-300, this.p);
      steps += this.times[this.done];
    }
  }

  median() {
    const sorted = this.times.slice(0, this.done).sort();
    const half = this.done >> 1;
    return this.done % 2 ? sorted[half] : 0.5 * (sorted[half - 1] + sorted[half]);
  }

  late(deadline) {
    let n = 0;
    for (let i = 0; i < this.done; i += 1) n += this.times[i] > deadline;
    return n / this.done;
  }
}

/* -- numbers and sentences -- */

// A size as in 1e5, without the plus of its exponent.
const short = (x, digits) => page.short(x, digits).replace("e+", "e");
const percent = (x) => `${short(100 * x)} %`;
const times = (ratio) => (ratio < 9.95 ? ratio.toFixed(1) : short(ratio, 2));

function summarize(p) {
  const { escape, deadline, episodeLength, theoryDeadline } = p;
  const parts = [];
  if (escape === Infinity) {
    parts.push("This run starts on the stable manifold, x₁ = 0: it never leaves. "
      + "A draw from the ball does so with probability 0.");
  } else if (escape === 0) {
    parts.push(`This run starts at |x₁| = ${short(p.x1)}, beyond the exit.`);
  } else {
    parts.push(`This run starts at |x₁| = ${short(p.x1, 2)} and is out after ${steps(escape)}`
      + `${escape > deadline ? ", too late" : ""}.`);
  }
  if (deadline === 0) parts.push(`All but ${percent(p.failure_prob)} of the runs start outside.`);
  else {
    parts.push(`All but ${percent(p.failure_prob)} of the runs must be out by step ${deadline}; `
      + `the published T is ${steps(episodeLength)}, ${times(episodeLength / deadline)} times that.`);
  }
  const later = deadline - theoryDeadline;
  if (later !== 0) {
    parts.push(`With theory’s r = ${short(p.theoryRadius)} it would be step ${theoryDeadline}: `
      + `this r ${later > 0 ? "costs" : "saves"} ${steps(Math.abs(later))}.`);
  }
  return parts.join(" ");
}

function measured(p, batch) {
  const n = batch.done;
  if (n === 0) return ["median: no run yet", "late: no run yet"];
  const [median, late] = [batch.median(), batch.late(p.deadline)];
  const error = Math.sqrt((1 - p.failure_prob) / (n * p.failure_prob));
  const ratio = p.median > 0 ? ` = ${(median / p.median).toFixed(2)}` : "";
  return [
    `median: ${short(median, 4)} measured / ${p.median} predicted${ratio}`,
    `late: ${percent(late)} measured / δ = ${short(p.failure_prob)}: `
      + `${(late / p.failure_prob).toFixed(2)} ± ${error.toFixed(2)}`,
  ];
}

/* -- colours and a pen -- */

const COLOURS = "bg ink soft line run law band late";
const penOn = (canvas, size, colours) => page.penOn(canvas, size, colours, 4);

// The box of a plot: steps across, `low` to `high` upwards.
function frameOf({ width, height }, kmax, low, high) {
  const { left, top } = PLOT;
  const [right, bottom] = [width - PLOT.right, height - PLOT.bottom];
  return { left, right, top, bottom,
           x: (k) => left + ((right - left) * k) / kmax,
           y: (v) => clamp(bottom - ((bottom - top) * (v - low)) / (high - low), -1e4, 1e4) };
}

function drawAxes({ path, text, colours }, { left, right, top, bottom, x }, p, title) {
  const tick = niceStep(p.kmax, (right - left) / 70);
  for (let k = 0; k <= p.kmax; k += tick) {
    path([[x(k), top], [x(k), bottom]], colours.line);
    text(String(k), x(k), bottom + 15, { align: "center" });
  }
  path([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]], colours.line);
  const ink = { colour: colours.ink };
  text(title, 2, 14, ink);
  text("step t", (left + right) / 2, bottom + 31, { ...ink, align: "center" });
}

// The deadline stands at the same step in both plots.
function drawDeadline({ path, text, colours }, { right, top, bottom, x }, p, words, y, wide) {
  const at = x(p.deadline);
  path([[at, top], [at, bottom]], colours.ink, { width: 1.75 });
  const roomy = right - at > wide;
  text(words, at + (roomy ? 6 : -6), y, { colour: colours.ink, align: roomy ? "left" : "right" });
}

function drawRun(pen, size, p) {
  const { colours, path, text, fill, disc, inside } = pen;
  const log = (x) => Math.log10(Math.max(x, 1e-300));
  const least = Math.min(p.band[0], p.latest, p.x1 || Infinity);
  const [low, high] = [log(least) - (p.x1 > 0 ? 0.35 : 1), log(Math.sqrt(p.gamma)) + 0.35];
  const frame = frameOf(size, p.kmax, low, high);
  const { left, right, top, bottom, x, y } = frame;
  drawAxes(pen, frame, p, "|x₁|, the escape coordinate, log scale");
  for (let n = Math.floor(high), by = Math.ceil((high - low) / 7); n >= low; n -= by) {
    path([[left, y(n)], [right, y(n)]], colours.line);
    text(page.powerOfTen(n), left - 5, y(n) + 4, { align: "right" });
  }
  const samples = Array.from({ length: 121 }, (_, i) => (i / 120) * p.kmax);
  const curve = (from) => samples.map((t) => [x(t), y(log(p.after(from, t)))]);
  inside(frame, () => {
    fill([...curve(p.band[2]), ...curve(p.band[0]).reverse()], colours.band);
    path(curve(p.band[1]), colours.law, { width: 1.75, dash: [6, 4] });
    if (p.latest !== p.band[0]) path(curve(p.latest), colours.law, { dash: [2, 3] });
  });
  path([[left, y(log(p.exit))], [right, y(log(p.exit))]], colours.soft, { dash: [2, 4] });
  text("exit √γ/2", left + 5, y(log(p.exit)) - 6);
  drawDeadline(pen, frame, p, `all but ${percent(p.failure_prob)} out by ${p.deadline}`,
               bottom - 46, 150);

  // The published length, where the axis reaches it and as an arrow where it does not.
  const ink = { colour: colours.ink, align: "right" };
  const ratio = p.deadline > 0 ? `, ${times(p.episodeLength / p.deadline)}×` : "";
  if (p.episodeLength <= p.kmax) {
    const at = x(p.episodeLength);
    path([[at, top], [at, bottom]], colours.late, { width: 1.75 });
    text(`published T = ${p.episodeLength}${ratio}`, at - 6, bottom - 10, ink);
  } else {
    const [tip, at] = [right - 3, bottom - 13];
    path([[tip - 16, at], [tip, at]], colours.ink, { width: 1.75 });
    path([[tip - 6, at - 5], [tip, at], [tip - 6, at + 5]], colours.ink, { width: 1.75 });
    text("published T", tip - 1, bottom - 24, ink);
    text(p.episodeLength + ratio, tip - 21, bottom - 9, ink);
  }

  if (p.x1 === 0) {
    text("x₁ = 0 for ever ↓", left + 5, bottom - 9, { colour: colours.ink });
    return;
  }
  // As many points as can be told apart.
  const every = Math.max(1, Math.floor(p.kmax / 600));
  const points = [];
  let out = p.x1;
  for (let k = 0, v = p.x1; k <= p.kmax; k += 1) {
    if (k % every === 0 || k === p.escape) points.push([x(k), y(log(v))]);
    if (k === p.escape) out = v;
    v -= p.stepSize * (v * (v * v - p.gamma));
  }
  inside(frame, () => path(points, colours.run, { width: 2.5 }));
  if (p.escape <= p.kmax) disc(x(p.escape), y(log(out)), 4.5, colours.bg, colours.run, 2.5);
}

function drawHistogram(pen, size, p, batch) {
  const { c, colours, path, text, fill } = pen;
  const count = Math.ceil(p.kmax / p.bin);
  const [all, late] = [new Float64Array(count), new Float64Array(count)];
  let beyond = 0;
  for (let i = 0; i < batch.done; i += 1) {
    const [t, j] = [batch.times[i], Math.floor(batch.times[i] / p.bin)];
    if (j >= count) beyond += 1;
    else {
      all[j] += 1;
      late[j] += t > p.deadline;
    }
  }
  // The share of each bin, from the number of starts that need so many steps.
  const left = Array.from({ length: count + 1 }, (_, j) => (j ? p.inside(j * p.bin - 1) : 1));
  const law = Array.from(all, (_, j) => left[j] - left[j + 1]);
  const most = 1.18 * p.runs * Math.max(...law);
  const frame = frameOf(size, p.kmax, 0, most);
  const { x, y, right, top, bottom } = frame;
  drawAxes(pen, frame, p, `${batch.done} escapes, ${p.bin === 1 ? "per step" : `in bins of ${p.bin} steps`}`);
  const tick = Math.max(1, niceStep(most, 4));
  for (let n = 0; n <= most; n += tick) {
    path([[frame.left, y(n)], [right, y(n)]], colours.line);
    text(String(n), frame.left - 5, y(n) + 4, { align: "right" });
  }
  pen.inside(frame, () => {
    const gap = (x(p.bin) - x(0)) > 4 ? 0.5 : 0;
    for (let j = 0; j < count; j += 1) {
      const [from, wide] = [x(j * p.bin) + gap, x((j + 1) * p.bin) - x(j * p.bin) - 2 * gap];
      for (const [n, colour] of [[all[j], colours.run], [late[j], colours.late]]) {
        c.fillStyle = colour;
        c.fillRect(from, y(n), wide, bottom - y(n));
      }
    }
    const line = [];
    law.forEach((share, j) => {
      const v = y(share * batch.done);
      line.push([x(j * p.bin), v], [x((j + 1) * p.bin), v]);
    });
    path(line, colours.bg, { width: 4 });
    path(line, colours.law, { width: 1.75 });
  });
  drawDeadline(pen, frame, p, `out by ${p.deadline}`, top + 28, 80);
  if (p.escape <= p.kmax) {
    const at = x(p.escape + 0.5);
    fill([[at, top + 11], [at - 6, top + 1], [at + 6, top + 1]], colours.run);
  }
  if (beyond) text(`${beyond} later →`, right - 4, bottom - 8, { align: "right" });
}

/* -- the page -- */

const NOTES = [
  "f(x) = −(γ/2)x₁² + x₁⁴/4 + ½ Σ λᵢxᵢ² with λᵢ in [0.1, 1] has a saddle at 0, where the run starts "
  + "plus a point ξ that is uniform in the ball of radius r. Then come steps of gradient descent; the "
  + "run is out when |x₁| ≥ √γ/2.",
  "Near the saddle a step multiplies x₁ by 1 + ηγ. Farther out it is a little less, but "
  + "x₁/√(1 − x₁²/γ) grows at least by that factor in every step, so a run cannot be later than the "
  + "curves say. The band holds the middle 90 % of the starts, the dashed curve is their median; "
  + "the curve from the δ-quantile of |ξ₁| meets the exit at the deadline.",
  "The published T is PSD’s episode length, as in the authors’ repository, with ρ = 6√γ, ε = γ²/ρ "
  + "(so that √(ρε) = γ), Δf = γ²/4 and the d and δ of the sliders; its η is 1/(2ℓ), and ℓ = "
  + "max(2γ, 1). Theory’s r is its γ/(8ρ). Pink bars are runs that miss the deadline; the triangle "
  + "marks the run of the other plot.",
];

function render({ model: widget, el }) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let [size, colours, current, batch, coordinates] = [null, null, null, null, null];
  let [drawnOf, batchOf] = ["", ""]; // what the coordinates and the batch belong to
  let [paused, seen, pace] = [false, false, FIRST_PACE];

  const { read, write, publish, invalidate, begin } =
    page.loop(widget, { state: STATE, name: "episode", draw });

  const canvas = (name) => h("canvas", { role: "img", "data-testid": name });
  const [runCanvas, histogram] = [canvas("run"), canvas("histogram")];
  const summary = page.status("ee");
  const readout = h("p", { class: "ee-readout", "data-testid": "readout" });

  const sliders = [];
  function slider(name, label, values, words = short) {
    const { input, box, show: put } = page.slider("ee", label, { min: 0, step: 1,
                                                                max: values.length - 1 });
    input.addEventListener("input", () => write({ [name]: values[input.valueAsNumber] }));
    sliders.push((s) => put(page.stopOf(values, s[name]), words(s[name])));
    return box;
  }
  const radius = (factor) => () =>
    write({ perturbation_radius: clamp(factor * current.theoryRadius, 1e-9, 1) });
  const play = button("pause", () => {
    if (batch.complete) {
      batchOf = "";
      paused = false;
      pace = FIRST_PACE;
    } else paused = !paused;
    invalidate();
  });
  const key = (name, words) => h("li", { class: `ee-key-${name}` }, words);
  const root = h("div", { class: "escape-episode", role: "group",
                          "aria-label": "When is the run out, and by when must it be?" },
    h("ul", { class: "ee-legend" }, key("run", "gradient descent"),
      key("law", "predicted"), key("band", "predicted, 5 % to 95 %"), key("late", "late runs")),
    h("div", { class: "ee-views" }, h("div", {}, runCanvas), h("div", {}, histogram)),
    h("div", { class: "ee-measured" }, readout, play), summary.node,
    h("div", { class: "ee-presets", role: "group", "aria-label": "presets" },
      button("another draw", () => write({ draw: (read().draw + 1) % 2 ** 31, on_manifold: false })),
      button("theory's r", radius(1)), button("ten times smaller", radius(0.1)),
      button("ten times larger", radius(10)),
      button("on the stable manifold", () => write({ on_manifold: true }))),
    h("div", { class: "ee-sliders" },
      slider("dim", "dimension d", [2, 3, 4, 5, 6, 8, ...decades(1, 6, { per: 10 })],
             (d) => (d < 1e5 ? String(d) : short(d))),
      slider("gamma", "curvature γ", decades(-2, 0)),
      slider("step_factor", "step size ηℓ", Array.from({ length: 20 }, (_, i) => (i + 1) / 20)),
      slider("perturbation_radius", "perturbation radius r", decades(-8, 0)),
      slider("failure_prob", "late fraction δ", [...decades(-4, -0.35), 0.5])),
    h("p", { class: "ee-caption" }, "The coordinates do not meet, so x₁ alone decides, and its "
      + "start has an exact law: |ξ₁|²/r² ~ Beta(½, (d+1)/2). That is why a run in dimension 10⁶ "
      + "costs no more than one in dimension 2."),
    page.notes("ee", NOTES));
  page.quiet(root);
  el.append(root);

  function layout() {
    const width = runCanvas.parentElement.clientWidth;
    if (width < 100) return false; // hidden: a closed tab, a folded cell
    const wide = root.classList.toggle("ee-wide", root.clientWidth >= 640);
    size = { ratio: devicePixelRatio, width: runCanvas.parentElement.clientWidth,
             height: wide ? 330 : 270 };
    for (const { style } of [runCanvas, histogram]) {
      Object.assign(style, { width: `${size.width}px`, height: `${size.height}px` });
    }
    return true;
  }

  function draw() {
    if (size?.ratio !== devicePixelRatio && !layout()) return false;
    colours ??= page.palette(root, "ee", COLOURS);
    const s = read();
    const drawing = [s.seed, s.dim, s.runs].join();
    if (drawing !== drawnOf) coordinates = drawCoordinates(s);
    drawnOf = drawing;
    current = show(predict(s), coordinates);
    const name = [drawing, s.gamma, s.step_factor, s.perturbation_radius].join();
    if (name !== batchOf) {
      if (batchOf !== "") pace = NEXT_PACE;
      batch = new Batch(current, coordinates);
    }
    batchOf = name;
    if (calm.matches) batch.grow(Infinity);
    else if (seen && !paused) batch.grow(pace);
    // Without motion nobody watches it grow: it is shown when it is complete.
    const shown = calm.matches && !batch.complete ? new Batch(current, []) : batch;

    drawRun(penOn(runCanvas, size, colours), size, current);
    drawHistogram(penOn(histogram, size, colours), size, current, shown);
    for (const update of sliders) update(s);
    readout.replaceChildren(...measured(current, shown).map((words) => h("span", {}, words)));
    runCanvas.setAttribute("aria-label", "The escape coordinate of one run on a log scale against "
      + "the step, under its predicted band, with the exit and the deadline.");
    histogram.setAttribute("aria-label", "Histogram of the escape times of many runs with the "
      + "predicted distribution drawn over it.");
    play.hidden = calm.matches;
    play.textContent = batch.complete ? "grow again" : paused ? "play" : "pause";
    summary.say(summarize(current));
    const done = batch.complete;
    publish({ escape: Number.isFinite(current.escape) ? current.escape : null,
              measured_median: done ? batch.median() : null,
              measured_late: done ? batch.late(current.deadline) : null });
    if (!done && (calm.matches || (seen && !paused))) invalidate();
    return true;
  }

  // It grows only while somebody can watch.
  const watched = new IntersectionObserver((entries) => {
    seen = entries.at(-1).isIntersecting;
    invalidate();
  }, { threshold: 0.3 });
  watched.observe(histogram);
  calm.addEventListener("change", invalidate);
  const end = begin(root, { layout, rethemed: () => {
    colours = null;
    invalidate();
  } });

  return () => {
    end();
    watched.disconnect();
    calm.removeEventListener("change", invalidate);
    summary.stop();
  };
}

export { Batch, coordinateBelow, coordinateQuantile, drawCoordinates, escapeTime, predict, show,
         summarize };
export default { render };
