// The figure of one escape episode, under the curves that were predicted for it, and of many.

import { curve, compute, count } from "./episode_model.js";
import { axes, linear, log } from "./kit/axes.js";
import { h } from "./kit/controls.js";
import { figure } from "./kit/figure.js";
import { clamp, decades, finite, plural, range, short, steps } from "./kit/numbers.js";

/* -- numbers and sentences -- */

const number = (x, digits) => short(x, digits).replace("e+", "e"); // 1e5
const percent = (x) => `${number(100 * x)} %`;
const times = (ratio) => (ratio < 9.95 ? ratio.toFixed(1) : number(ratio, 2));
const least = (p) => `all but ${percent(p.failure_prob)}`;

function summarize(p) {
  const { escape, deadline, episodeLength } = p;
  if (escape === Infinity) {
    return "On the stable manifold, x₁ = 0, a run never leaves. A draw lands there with probability 0.";
  }
  const ratio = deadline > 0 ? `, ${times(episodeLength / deadline)} times that` : "";
  const run = escape === 0 ? "Starts beyond the exit" : `Out after ${steps(escape)}`;
  return `${run}${escape > deadline ? ", too late" : ""}; ${least(p)} are out by ${deadline}; `
    + `published T: ${episodeLength}${ratio}.`;
}

function tell(p) {
  const { escape, deadline, episodeLength, theoryDeadline } = p;
  const parts = [];
  if (escape === Infinity) {
    parts.push("This run starts on the stable manifold, x₁ = 0: it never leaves. "
      + "A draw from the ball does so with probability 0.");
  } else if (escape === 0) {
    parts.push(`This run starts at |x₁| = ${number(p.x1)}, beyond the exit.`);
  } else {
    parts.push(`This run starts at |x₁| = ${number(p.x1, 2)} and is out after ${steps(escape)}`
      + `${escape > deadline ? ", too late" : ""}.`);
  }
  if (deadline === 0) parts.push(`All but ${percent(p.failure_prob)} of the runs start outside.`);
  else {
    parts.push(`All but ${percent(p.failure_prob)} of the runs must be out by step ${deadline}; `
      + `the published T is ${steps(episodeLength)}, ${times(episodeLength / deadline)} times that.`);
  }
  const later = deadline - theoryDeadline;
  if (later !== 0) {
    parts.push(`With theory’s r = ${number(p.theoryRadius)} it would be step ${theoryDeadline}: `
      + `this r ${later > 0 ? "costs" : "saves"} ${steps(Math.abs(later))}.`);
  }
  return parts.join(" ");
}

function measured(p, { n, median, share }) {
  if (n === 0) return ["median: no run yet", "late: no run yet"];
  const error = Math.sqrt((1 - p.failure_prob) / (n * p.failure_prob));
  const ratio = p.median > 0 ? ` = ${(median / p.median).toFixed(2)}` : "";
  return [
    `median: ${number(median, 4)} measured / ${p.median} predicted${ratio}`,
    `late: ${percent(share)} measured / ${percent(p.failure_prob)} predicted = `
      + `${(share / p.failure_prob).toFixed(2)} ± ${error.toFixed(2)}`,
  ];
}

/* -- the pictures -- */

const frameOf = ({ width, height }) => ({ left: 46, right: width - 12, top: 24, bottom: height - 36 });
const stepsOf = ({ kmax }) => linear(0, kmax, { words: String });

// The deadline stands at the same step in both plots.
function drawDeadline(pen, plot, p, words, y) {
  plot.down(p.deadline, "ink", { width: 1.75 });
  const [at, wide] = [plot.x(p.deadline), pen.c.measureText(words).width + 10];
  const roomy = plot.frame.right - at > wide;
  pen.text(words, at + (roomy ? 6 : -6), y, { colour: "ink", align: roomy ? "left" : "right" });
}

// The published length, where the axis reaches it and as an arrow where it does not.
function drawPublished(pen, plot, { episodeLength, deadline, kmax }) {
  const { right, bottom } = plot.frame;
  const ink = { colour: "ink", align: "right" };
  const ratio = deadline > 0 ? `, ${times(episodeLength / deadline)}×` : "";
  if (episodeLength <= kmax) {
    plot.down(episodeLength, "late", { width: 1.75 });
    pen.text(`published T = ${episodeLength}${ratio}`, plot.x(episodeLength) - 6, bottom - 10, ink);
    return;
  }
  const [tip, at] = [right - 3, bottom - 13];
  pen.line(tip - 16, at, tip, at, "ink", { width: 1.75 });
  pen.path([[tip - 6, at - 5], [tip, at], [tip - 6, at + 5]], "ink", { width: 1.75 });
  pen.text("published T", tip - 1, bottom - 24, ink);
  pen.text(episodeLength + ratio, tip - 21, bottom - 9, ink);
}

function drawRun(pen, p) {
  const lowest = Math.min(p.band[0], p.latest, p.x1 || Infinity) * 10 ** (p.x1 > 0 ? -0.35 : -1);
  const plot = axes(pen, frameOf(pen), { x: stepsOf(p), y: log(Math.max(lowest, 1e-300), Math.sqrt(p.gamma) * 10 ** 0.35),
    title: "|x₁|, the escape coordinate, log scale", xTitle: "step t", gap: [70, 34] });
  const { left, bottom } = plot.frame;
  plot.band(curve(p, p.band[0]), curve(p, p.band[2]), "band");
  plot.line(curve(p, p.band[1]), "law", { width: 1.75 });
  if (p.latest !== p.band[0]) plot.line(curve(p, p.latest), "law", { width: 1, dash: [2, 3] });
  plot.across(p.exit, "soft", { dash: [2, 4] });
  pen.text("exit √γ/2", left + 5, plot.y(p.exit) - 6);
  drawDeadline(pen, plot, p, `${least(p)} out by ${p.deadline}`, bottom - 46);
  drawPublished(pen, plot, p);
  if (p.x1 === 0) {
    pen.text("x₁ = 0 for ever ↓", left + 5, bottom - 9, { colour: "ink" });
    return;
  }
  plot.line(p.points, "gd");
  if (p.escape <= p.kmax) plot.dot(p.escape, p.out, 4.5, "bg", "gd", 2.5);
}

function drawHistogram(pen, p, at) {
  const { n, all, late, beyond } = counted(p, at);
  const most = 1.36 * Math.max(...p.law); // words stand above
  const plot = axes(pen, frameOf(pen), { x: stepsOf(p), y: linear(0, most, { words: percent }), xTitle: "step t",
    title: `${n} escapes, shares ${p.bin === 1 ? "of each step" : `in bins of ${p.bin} steps`}`, gap: [70, 60] });
  const { top, right } = plot.frame;
  if (n > 0) {
    plot.histogram(p.edges, all, "gd");
    plot.histogram(p.edges, late, "late");
  }
  plot.stairs(p.edges, p.law, "law");
  drawDeadline(pen, plot, p, `out by ${p.deadline}`, top + 28);
  if (p.escape <= p.kmax) {
    const px = plot.x(p.escape + 0.5);
    pen.fill([[px, top + 11], [px - 6, top + 1], [px + 6, top + 1]], "gd");
  }
  if (beyond) pen.text(`${plural(beyond, "run")} later →`, right - 4, top + 42, { align: "right" });
}

/* -- the page -- */

// What has run, of what may be shown.
const reached = (p, at) => Math.min(at, p.batch.done);
function counted(p, at) {
  const n = reached(p, at);
  if (p.counts?.n !== n) p.counts = count(p, n);
  return p.counts;
}

const radius = (factor) => (s) => {
  const r = clamp((factor * Math.sqrt(s.gamma)) / 48, 1e-9, 1);
  return Math.abs(r / s.perturbation_radius - 1) < 1e-9 ? null : { perturbation_radius: r };
};

export { compute, count, summarize, tell };
export default figure({
  name: "episode", title: "When is the run out, and by when must it be?",
  state: ["dim", "gamma", "step_factor", "perturbation_radius", "failure_prob", "runs", "seed", "draw", "on_manifold"],
  compute, summarize, tell, guess: true,
  // Runs are made when somebody can watch, a few milliseconds at a time.
  go: (p, at, { play }) => play.started && p.batch.grow(at),
  results: (p, at) => {
    const { n, median, share } = counted(p, at);
    const done = n === p.runs;
    return { escape: finite(p.escape), measured_median: done ? median : null, measured_late: done ? share : null };
  },
  legend: () => [["gd", "gradient descent"], ["law", "predicted"], ["band", "predicted, 5 % to 95 %", { bar: true }],
                 ["late", "late runs", { bar: true }]],
  views: () => {
    const readout = h("p", { class: "lf-readout", "data-testid": "readout" });
    return [{
      name: "run", draw: drawRun, height: (_, wide) => (wide ? 340 : 270),
      words: (p) => "The escape coordinate of one run on a log scale against the step, under its predicted band, "
        + `with the exit and the deadline, step ${p.deadline}.`,
    }, {
      name: "histogram", draw: drawHistogram, height: (_, wide) => (wide ? 300 : 250),
      words: (p) => "Histogram of the escape times of many runs with the predicted distribution drawn over it; "
        + `half are predicted to be out by step ${p.median}.`,
    }, {
      node: readout,
      update: (p, at) => readout.replaceChildren(...measured(p, counted(p, at)).map((words) => h("span", {}, words))),
    }];
  },
  player: { waits: true, label: "runs", slide: false, verb: "grow", last: ({ runs }) => runs, next: (at, { runs }) => at + runs / 200 },
  beside: (make) => [
    make.slider("perturbation_radius", "perturbation radius r", decades(-8, 0)),
    make.slider("dim", "dimension d", [2, 3, 4, 5, 6, 8, ...decades(1, 6, { per: 10 })],
                (d) => (d < 1e5 ? String(d) : number(d)))],
  more: (make) => [
    make.slider("gamma", "curvature γ", decades(-2, 0)),
    make.slider("step_factor", "step size ηℓ", range(20, (i) => (i + 1) / 20)),
    make.slider("failure_prob", "late fraction δ", [...decades(-4, -0.35), 0.5])],
  presets: {
    "another draw": ({ draw }) => ({ draw: (draw + 1) % 2 ** 31, on_manifold: false }),
    "ten times smaller": radius(0.1), "ten times larger": radius(10),
    "on the stable manifold": (s) => (s.on_manifold ? null : { on_manifold: true }),
  },
  morePresets: { "theory's r": radius(1) },
  caption: "The band and the curves were there before the runs. All but a few are out by the first mark; the published "
    + "T waits many times as long.",
  notes: [
    "f(x) = −(γ/2)x₁² + x₁⁴/4 + ½ Σ λᵢxᵢ² with λᵢ in [0.1, 1] has a saddle at 0, where the run starts "
    + "plus a point ξ that is uniform in the ball of radius r. Then come steps of gradient descent; the "
    + "run is out when |x₁| ≥ √γ/2. The coordinates do not meet, so x₁ alone decides, and its "
    + "start has an exact law: |ξ₁|²/r² ~ Beta(½, (d+1)/2). That is why a run in dimension 10⁶ "
    + "costs no more than one in dimension 2.",
    "Near the saddle a step multiplies x₁ by 1 + ηγ. Farther out it is a little less, but "
    + "x₁/√(1 − x₁²/γ) grows at least by that factor in every step, so a run cannot be later than the "
    + "curves say. The band holds the middle 90 % of the starts, the dashed curve is their median; "
    + "the curve from the δ-quantile of |ξ₁| meets the exit at the deadline.",
    "The published T is PSD’s episode length, as in the authors’ repository, with ρ = 6√γ, ε = γ²/ρ "
    + "(so that √(ρε) = γ), Δf = γ²/4 and the d and δ of the sliders; its η is 1/(2ℓ), and ℓ = "
    + "max(2γ, 1). Theory’s r is its γ/(8ρ). Pink bars are runs that miss the deadline; the triangle "
    + "marks the run of the other plot.",
  ],
});
