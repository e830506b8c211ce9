// The budget calculator: what each theory asks for as bars and a table, how it grows as the accuracy
// shrinks, and beside it what runs took.

import { axes, linear, log } from "./kit/axes.js";
import { h, table } from "./kit/controls.js";
import { figure } from "./kit/figure.js";
import { clamp, decades, powerOfTen, superscript } from "./kit/numbers.js";
import { compute, count, duration, general, METHODS, OPEN, SETTING } from "./budget_model.js";

const STATE = [...SETTING, "gradient_seconds", "price_per_hour", "runs"];
const AUTHORS = { lipschitz_grad: 10, lipschitz_hess: 0.1, epsilon: 1e-3, failure_prob: 0.1,
                  delta_f: 1, dim: 10 };
const SECONDS = 1e-5; // of one gradient, before a run has measured it
const COLOURS = { "PGD 2017": "pgd", "PGD 2021": "pgd2021", PSD: "psd", "repaired PSD": "repaired",
                  "certified PSD": "certified" };
const FINEST = 8; // the smallest accuracy of the curves, as a power of a tenth
const CLOCK = [["1 s", 1], ["1 day", 86400], ["1 year", 365.25 * 86400]];

/* -- numbers as a person writes them -- */

// 1.3e+05 becomes 1.3·10⁵, 1e+05 becomes 10⁵, and what is one stands in the singular.
const pretty = (words) => words
  .replace(/(\d)e([+-]\d+)/g, (_, digit, n) => `${digit}·10${superscript(Number(n))}`)
  .replace(/(^|[^.\d])1·10/g, "$110").replace(/^1 (day|year)s$/, "1 $1").replace(/-/g, "−");
const number = (x) => pretty(count(x));
const short = (x) => pretty(general(x, x >= 1e3 && x < 1e5 ? 5 : 3));
const money = (x) => (x === null ? "–" : `$${number(x)}`);

// Also the units below a millisecond.
function time(seconds) {
  const [unit, size] = [["ns", 1e-9], ["µs", 1e-6]].find(([, least]) => seconds < 999.5 * least)
    ?? [null, 1];
  return unit ? `${number(seconds / size)} ${unit}` : pretty(duration(seconds));
}

/* -- words -- */

const named = (method) => (OPEN[method] ? `${method}, ${OPEN[method]}` : method);

function took({ gradients, taken }, what = "") {
  const times = gradients / taken;
  return `${number(taken)}${what}, ${times >= 1 ? `${number(times)} times fewer`
    : `${number(1 / times)} times more`}`;
}

function summarize(s) {
  if (!s.rows) {
    return `ε = ${short(s.epsilon)} is above ℓ²/ρ = ${short(s.largest)}: no theory promises anything there.`;
  }
  const { least } = s;
  const most = Math.max(...s.rows.map((row) => row.taken ?? 0));
  const cost = least.money === null ? "" : `, cost ${money(least.money)}`;
  return `Of the proved bounds, ${least.method} asks for least: ${number(least.gradients)} gradients, `
    + `${time(least.seconds)}${cost}.${most ? ` Runs took at most ${number(most)}.` : ""}`;
}

function tell(s) {
  if (!s.rows) {
    return `ε = ${short(s.epsilon)} is above ℓ²/ρ = ${short(s.largest)}: there the condition on `
      + "the Hessian holds everywhere, and no theory has anything to promise. Make ε or ρ smaller, "
      + "or ℓ larger.";
  }
  const { least } = s;
  const most = s.rows.reduce((a, b) => (a.gradients > b.gradients ? a : b));
  const cost = least.money === null ? "" : ` at a cost of ${money(least.money)}`;
  const parts = [`Of the bounds that are proved ${least.method} asks for the least: ${number(least.gradients)} `
    + `gradients, ${time(least.seconds)}${cost}. ${most.method} asks for `
    + `${number(most.gradients / least.gradients)} times as many.`];
  const ran = s.rows.filter((row) => row.taken !== null);
  for (const row of ran) parts.push(`A run of ${row.method} took ${took(row, " gradients")}.`);
  if (s.runs.length && !ran.length) {
    parts.push("No run was made at this setting; the buttons with names of runs lead to some.");
  }
  for (const row of s.rows) if (row.warning) parts.push(`⚠ ${row.method}: ${pretty(row.warning)}.`);
  return parts.join(" ");
}

/* -- the bars -- */

function drawBars(pen, s) {
  const frame = { left: 2, right: pen.width - 2, top: 40, bottom: pen.height - 20 };
  const plot = axes(pen, frame, { x: log(1, 10 ** s.decades), y: { of: (v) => v }, gap: [46, 20] });
  const [wide, ink] = [pen.width >= 420, { colour: "ink" }];
  pen.text(`gradients at most${wide ? ", on a log scale" : ""}, and how long they take`, 2, 14, ink);
  let free = -Infinity;
  for (const [words, seconds] of CLOCK) {
    const at = seconds >= s.gradient_seconds ? plot.x(seconds / s.gradient_seconds) : Infinity;
    if (at > frame.right - 20 || at - free < 44) continue;
    free = at;
    pen.text(words, at, 32, { align: "center" });
    pen.line(at, 35, at, 42, "edge");
  }
  const tall = (frame.bottom - frame.top) / METHODS.length;
  const thick = clamp(tall - 42, 12, 24);
  (s.rows ?? []).forEach((row, i) => {
    const top = frame.top + i * tall + (tall - thick - 34) / 2;
    const bar = { left: frame.left, right: plot.x(row.gradients), top: top + 19, bottom: top + 19 + thick };
    pen.bars([bar], COLOURS[row.method]);
    pen.text(named(row.method), frame.left + 4, top + 13, ink);
    const cost = wide && row.money !== null ? `, ${money(row.money)}` : "";
    pen.text(`${number(row.gradients)}${wide ? " gradients" : ""}, ${time(row.seconds)}${cost}`, frame.right - 4,
             top + 13, { align: "right", ...ink });
    const run = row.taken === null ? "" : `a run took ${took(row)}`;
    pen.text([run, row.warning && "⚠ float64"].filter(Boolean).join("; "), frame.left + 4, top + 32 + thick);
    if (row.taken !== null) pen.diamond(plot.x(Math.max(1, row.taken)), (bar.top + bar.bottom) / 2, 8, "ink");
  });
}

/* -- the curves: gradients times ε² against the accuracy, on log scales, the accuracy falling to the right -- */

function drawCurves(pen, s) {
  const times = (power, y) => y + 2 * power; // of two logarithms
  const known = s.curve.flatMap(([power, ys]) => ys.map((y) => times(power, y))).filter(Number.isFinite);
  const low = 3 * Math.floor((Math.min(3, ...known) - 0.5) / 3); // no curve on the edge
  const frame = { left: 40, right: pen.width - 12, top: 24, bottom: pen.height - 38 };
  const plot = axes(pen, frame, { x: linear(0, FINEST, { words: (n) => powerOfTen(-n) }),
    y: linear(low, 3 * Math.ceil(Math.max(low + 6, ...known) / 3), { words: powerOfTen }), gap: [50, 26],
    title: "gradients at most, times ε²",
    xTitle: "accuracy ε, smaller to the right" });
  // Two powers to compare with, from one point above the lowest curve; that of ε⁻² is level here.
  const lowest = s.curve.map(([power, ys]) => times(power, Math.min(...ys))).filter(Number.isFinite);
  const [from, far] = [Math.max(low, ...lowest) + 1, FINEST * 0.6];
  for (const [words, slope] of [["like ε⁻²·⁵", 0.5], ["like ε⁻²", 0]]) {
    plot.line([[0.2, from], [far, from + slope * (far - 0.2)]], "edge", { dash: [2, 4] });
    pen.text(words, plot.x(far) + 4, plot.y(from + slope * (far - 0.2)) + 4);
  }
  METHODS.forEach((method, i) => plot.line(s.curve.filter(([, ys]) => Number.isFinite(ys[i]))
    .map(([power, ys]) => [-power, times(power, ys[i])]), COLOURS[method]));
  const now = -Math.log10(s.epsilon);
  if (now < 0 || now > FINEST) return;
  plot.down(now, "ink");
  for (const row of s.rows ?? []) {
    const at = (gradients) => times(-now, Math.log10(gradients));
    if (Number.isFinite(row.gradients)) plot.dot(now, at(row.gradients), 4, COLOURS[row.method], "ink");
  }
}

/* -- the page -- */

const TABLE = { caption: "What each theory asks for", head: ["method", "gradients", "time", "cost", "a run took"] };
const rowsOf = ({ rows }) => METHODS.map((method, i) => [null,
  `${named(method)}${rows?.[i].warning ? " ⚠" : ""}`, ...(rows ? [number(rows[i].gradients), time(rows[i].seconds),
    money(rows[i].money), number(rows[i].taken)] : ["–", "–", "–", "–"])]);

// A button for each run, and one for the setting of the authors; at most four are beside the plot.
function presetsOf({ runs }) {
  const given = runs.map(({ name, ...run }) => [name, Object.fromEntries(STATE.filter((key) => key in run)
    .map((key) => [key, run[key]]))]);
  return [["the authors’ figure", { ...AUTHORS, gradient_seconds: SECONDS }], ...given];
}

export { AUTHORS, compute, summarize, tell, time };
export default figure({
  name: "budget", title: "How many gradients, how much time and money does each theory ask for?",
  state: STATE, compute, summarize, tell, guess: true,
  presets: (s) => Object.fromEntries(presetsOf(s).slice(0, 4)),
  morePresets: (s) => Object.fromEntries(presetsOf(s).slice(4)),
  legend: () => METHODS.map((method) => [COLOURS[method], named(method)]),
  views: () => {
    const finer = h("p", { class: "lf-readout", "data-testid": "finer" });
    const shown = table(TABLE);
    return [{
      // As high as what stands beside them, so that no control moves when a cell takes one line more.
      name: "bars", draw: drawBars, height: (width, wide) => (wide ? 480 + 0.9 * Math.max(0, 500 - width) : 312),
      words: () => "Bars of the gradients that each theory asks for, on a log scale, with a diamond for what a run "
        + "took; the table has their numbers.",
    }, {
      name: "curves", draw: drawCurves, height: (width, wide) => (wide ? 236 : 220),
      words: (s) => "Gradients that each theory asks for, times the square of the accuracy, against the accuracy, on log "
        + `scales, with the powers −2 (level) and −5/2 and the present ε = ${short(s.epsilon)}.`,
    }, {
      name: "finer", node: finer,
      update(s) {
        const words = `An ε ten times smaller multiplies them by: ${METHODS.map((method, i) =>
          `${method} ${s.finer ? number(s.finer[i]) : "–"}`).join(", ")}.`;
        if (finer.textContent !== words) finer.textContent = words;
      },
    }, { name: "table", node: shown.node, update: (s) => shown.update(rowsOf(s)) }];
  },
  beside: (make) => [make.slider("epsilon", "accuracy ε", decades(-8, 0), short),
                     make.slider("dim", "dimension d", decades(0, 9, { tidy: Math.round }), short)],
  more: (make) => [
    make.slider("lipschitz_grad", "ℓ of the gradient", decades(-2, 4), short),
    make.slider("lipschitz_hess", "ρ of the Hessian", decades(-3, 4), short),
    make.slider("failure_prob", "failure chance δ", decades(-6, -0.3), short),
    make.slider("delta_f", "height Δf", decades(-4, 4), short),
    make.slider("gradient_seconds", "one gradient", decades(-9, 2), time),
    make.slider("price_per_hour", "one hour costs", [0, ...decades(-2, 3)], (x) => (x ? `$${short(x)}` : "no price"))],
  caption: "Bars are upper bounds, not what happens: a diamond marks what a run took, where one was made at this "
    + "setting. The published bound of PSD has a gap in its proof; the bound of repaired PSD is proved.",
  notes: [
    "Every row is an upper bound that its theory proves or claims, for the same ℓ, ρ, ε, δ, Δf and "
    + "d: ∇f is ℓ-Lipschitz, ∇²f is ρ-Lipschitz, and the start lies at most Δf above the infimum. "
    + "The point asked for has ‖∇f‖ ≤ ε and λ_{min}(∇²f) ≥ −√(ρε), except with probability δ. The "
    + "theories are made for ε ≤ ℓ²/ρ.",
    "PGD 2017: Theorem 3 of Jin et al. 2017 with c = 1, where the theorem holds for some c that nobody has named; "
    + "its time counts the values of f too, each as one gradient. PGD 2021: Theorem 18 of Jin et al. 2021 with the smallest ι of its proof; "
    + "half of its iterates are such points, and no test says which. PSD: the authors’ repository, not proved; "
    + "its smallest eigenvalues are not counted. Repaired PSD: Theorem A2.2, in the appendix of this chapter. "
    + "Certified PSD: the default rule and Theorem 2.1 of this chapter; a product "
    + "of the Hessian counts as two gradients, and its time counts the values of f too.",
    "A dollar stands for the currency in which you gave the price of an hour. "
    + "A diamond marks what a run took, where one was made at exactly this setting. “⚠ float64” "
    + "says that rounding of f, where f is as large as Δf, hides the decrease that an episode promises.",
  ],
});
