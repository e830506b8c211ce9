// The budget calculator. Its state lives in the widget's model (get, set, on, off and
// save_changes, nothing else), so the same module runs in Jupyter and on a static page.

import * as budget_model from "./budget_model.js";
import * as page from "./page.js";

const { decades, fill, h, powerOfTen } = page;

const SETTING = ["lipschitz_grad", "lipschitz_hess", "epsilon", "failure_prob", "delta_f", "dim"];
const STATE = [...SETTING, "gradient_seconds", "price_per_hour", "runs"];
const AUTHORS = { lipschitz_grad: 10, lipschitz_hess: 0.1, epsilon: 1e-3, failure_prob: 0.1,
                  delta_f: 1, dim: 10 };

const SLIDERS = {
  lipschitz_grad: ["ℓ of the gradient", decades(-2, 4)],
  lipschitz_hess: ["ρ of the Hessian", decades(-3, 4)],
  epsilon: ["accuracy ε", decades(-8, 0)],
  failure_prob: ["failure chance δ", decades(-6, -0.3)],
  delta_f: ["height Δf", decades(-4, 4)],
  dim: ["dimension d", decades(0, 9, { tidy: Math.round })],
  gradient_seconds: ["one gradient", decades(-9, 2)],
  price_per_hour: ["one hour costs", [0, ...decades(-2, 3)]],
};

/* -- numbers as a person writes them -- */

// 1.3e+05 becomes 1.3·10⁵, 1e+05 becomes 10⁵, and what is one stands in the singular.
const pretty = (words) => words
  .replace(/(\d)e([+-]\d+)/g, (_, digit, n) => `${digit}·10${page.superscript(Number(n))}`)
  .replace(/(^|[^.\d])1·10/g, "$110").replace(/^1 (day|year)s$/, "1 $1").replace(/-/g, "−");
const number = (x) => pretty(budget_model.count(x));
const short = (x) => pretty(budget_model.general(x, x >= 1e3 && x < 1e5 ? 5 : 3));

// Also the units below a millisecond.
function time(seconds) {
  const [unit, size] = [["ns", 1e-9], ["µs", 1e-6]].find(([, least]) => seconds < 999.5 * least)
    ?? [null, 1];
  return unit ? `${number(seconds / size)} ${unit}` : pretty(budget_model.duration(seconds));
}

/* -- what is asked for, and what runs took -- */

// The curves, over the accuracies of the slider that have a meaning.
const CURVE = Array.from({ length: 17 }, (_, i) => -i / 2);

function compute(s) {
  const largest = budget_model.naturalScale(s);
  const rows = budget_model.budget(s);
  const runs = s.runs.filter((run) => SETTING.every((name) => run[name] === s[name]));
  const taken = Object.assign({}, ...runs.map((run) => run.taken));
  for (const row of rows ?? []) row.taken = taken[row.method] ?? null;
  const curve = CURVE.filter((x) => 10 ** x <= largest)
    .map((x) => [x, budget_model.gradients({ ...s, epsilon: 10 ** x }).map(Math.log10)]);
  const finer = rows && budget_model.gradients({ ...s, epsilon: s.epsilon / 10 })
    .map((n, i) => n / rows[i].gradients);
  const most = Math.max(12, ...(rows ?? []).map((row) => Math.log10(row.gradients)));
  return { ...s, largest, rows, finer, curve, decades: 3 * Math.ceil(Math.min(most, 300) / 3) };
}

function summarize(s) {
  if (!s.rows) {
    return `ε = ${short(s.epsilon)} is above ℓ²/ρ = ${short(s.largest)}: there the condition on `
      + "the Hessian holds everywhere, and no theory has anything to promise. Make ε or ρ smaller, "
      + "or ℓ larger.";
  }
  const sorted = [...s.rows].sort((a, b) => a.gradients - b.gradients);
  const [least, most] = [sorted[0], sorted.at(-1)];
  const money = least.money === null ? "" : ` at a cost of ${number(least.money)}`;
  const parts = [`${least.method} asks for the least: ${number(least.gradients)} gradients, `
    + `${time(least.seconds)}${money}. ${most.method} asks for `
    + `${number(most.gradients / least.gradients)} times as many.`];
  const ran = s.rows.filter((row) => row.taken !== null);
  if (ran.length) {
    const longest = ran.reduce((a, b) => (a.taken > b.taken ? a : b));
    parts.push(ran.length === 1 ? `A run of ${longest.method} took ${took(longest, " gradients")}.`
      : `Of the runs the longest took ${number(longest.taken)} gradients, `
        + `${time(longest.taken * s.gradient_seconds)}.`);
  } else if (s.runs.length) {
    parts.push("No run was made at this setting; the last buttons lead to some.");
  }
  return parts.join(" ");
}

function took({ gradients, taken }, what = "") {
  const times = gradients / taken;
  return `${number(taken)}${what}, ${times >= 1 ? `${number(times)} times fewer`
    : `${number(1 / times)} times more`}`;
}

/* -- the page -- */

const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

function slider(name, [label, values]) {
  const { input, box, show } = page.slider("bc", label, { min: 0, step: 1,
                                                             max: values.length - 1 });
  const words = (value) => (name === "gradient_seconds" ? time(value)
    : name === "price_per_hour" && !value ? "no price" : short(value));
  return { name, input, box, value: () => values[input.valueAsNumber],
           show: (value) => show(page.stopOf(values, value), words(value)) };
}

// One row: name, numbers, bar, and what a run took. The rows keep their height, so that the
// sliders below stay where they are.
function bar(method, i) {
  const [gradients, seconds, money, warning, run] =
    Array.from({ length: 5 }, () => h("span"));
  const unseen = (words) => h("span", { class: "bc-unseen" }, words);
  const track = h("div", { class: "bc-track", "aria-hidden": "true" },
                  h("div", { class: "bc-bar" }), h("div", { class: "bc-mark" }));
  const node = h("li", { class: `bc-row bc-m${i}` },
    h("div", { class: "bc-line" }, h("b", {}, method),
      h("span", {}, gradients, unseen(" gradients,")), seconds,
      h("span", {}, unseen(", costs "), money)), track,
    h("div", { class: "bc-more" }, run, warning));
  const show = (row, s) => {
    gradients.textContent = row ? number(row.gradients) : "–";
    seconds.textContent = row ? time(row.seconds) : "–";
    money.textContent = number(row?.money ?? null);
    warning.textContent = row?.warning ? "⚠ float64" : "";
    run.textContent = row && row.taken !== null ? `a run took ${took(row)}` : "";
    const at = (n) => `${100 * Math.min(1, Math.max(0, Math.log10(n) / s.decades))}%`;
    track.children[0].style.width = row ? at(row.gradients) : "0";
    track.children[1].style.left = row && row.taken !== null ? at(row.taken) : "";
    track.children[1].hidden = !(row && row.taken !== null);
    track.style.backgroundSize = `${300 / s.decades}% 100%`;
  };
  return { node, show };
}

const CLOCK = [["1 s", 1], ["1 day", 86400], ["1 year", 365.25 * 86400]];

function drawAxes(top, bottom, s, width) {
  const at = (power) => `left: ${(100 * power) / s.decades}%`;
  const end = (n) => (n === s.decades ? "; transform: translateX(-100%)" : "");
  const every = 3 * Math.ceil((46 * s.decades) / (3 * width));
  const powers = Array.from({ length: Math.floor(s.decades / every) + 1 }, (_, i) => every * i);
  bottom.replaceChildren(...powers.map((n) => h("span", { style: at(n) + end(n) }, powerOfTen(n))));
  let taken = -Infinity;
  top.replaceChildren(...CLOCK.flatMap(([words, seconds]) => {
    const power = Math.log10(seconds / s.gradient_seconds);
    const x = (width * power) / s.decades;
    if (power < 0 || x > width - 20 || x - taken < 44) return [];
    taken = x;
    return [h("span", { style: at(power) }, words)];
  }));
}

// Gradients against the accuracy, both on log scales, the accuracy falling to the right.
function drawCurves(root, s, width, height) {
  const [left, right, top, bottom] = [40, width - 12, 10, height - 38];
  const known = s.curve.flatMap(([, ys]) => ys).filter(Number.isFinite);
  const low = Math.floor(Math.min(...known, 0));
  const high = 3 * Math.ceil(Math.max(...known, low + 20) / 3);
  const x = (power) => left + ((right - left) * power) / CURVE.at(-1);
  const y = (power) => bottom - ((bottom - top) * (power - low)) / (high - low);
  const words = (text, px, py, attributes = {}) =>
    svg("text", { x: px, y: py, ...attributes }, ...[text].flat());
  const line = (x0, y0, x1, y1, name) => svg("line", { x1: x0, y1: y0, x2: x1, y2: y1, class: name });
  const parts = [];
  for (let n = 0; n <= high; n += 6) {
    parts.push(line(left, y(n), right, y(n), "bc-grid"),
               words(powerOfTen(n), left - 5, y(n) + 4, { "text-anchor": "end" }));
  }
  for (let n = 0; n >= CURVE.at(-1); n -= 2) {
    parts.push(line(x(n), top, x(n), bottom, "bc-grid"),
               words(powerOfTen(n), x(n), bottom + 15, { "text-anchor": "middle" }));
  }
  parts.push(words("accuracy ε, smaller to the right", (left + right) / 2, height - 5,
                   { "text-anchor": "middle", class: "bc-title" }));
  // Two slopes to compare with, from one point.
  for (const [name, slope, shift] of [["−5/2", 2.5, -5], ["−2", 2, 15]]) {
    const far = CURVE.at(-1) * 0.8;
    parts.push(line(x(0), y(low), x(far), y(low - slope * far), "bc-guide"),
      words(["ε", svg("tspan", { dy: -5, "font-size": 10 }, name)], x(far) + 3,
            y(low - slope * far) + shift + 2));
  }
  budget_model.METHODS.forEach((_, i) => {
    const points = s.curve.filter(([, ys]) => Number.isFinite(ys[i]))
      .map(([power, ys]) => `${x(power).toFixed(1)},${y(ys[i]).toFixed(1)}`);
    parts.push(svg("polyline", { points: points.join(" "), class: `bc-curve bc-m${i}` }));
  });
  const now = Math.log10(s.epsilon);
  if (now <= 0 && now >= CURVE.at(-1)) {
    parts.push(line(x(now), top, x(now), bottom, "bc-now"));
    (s.rows ?? []).forEach(({ gradients, taken }, i) => {
      const dot = (n, tag, of) => parts.push(svg(tag, { ...of(x(now), y(Math.log10(n))),
                                                        class: `bc-dot bc-m${i}` }));
      if (Number.isFinite(gradients)) dot(gradients, "circle", (cx, cy) => ({ cx, cy, r: 4 }));
      if (taken !== null) {
        dot(taken, "path", (px, py) => ({ d: `M${px},${py - 6}l6,6l-6,6l-6,-6z` }));
      }
    });
  }
  fill(root, { viewBox: `0 0 ${width} ${height}`, width, height }).replaceChildren(...parts);
}

const NOTES = [
  "Every row is an upper bound that its theory proves or claims, for the same ℓ, ρ, ε, δ, Δf and "
  + "d: ∇f is ℓ-Lipschitz, ∇²f is ρ-Lipschitz, and the start lies at most Δf above the infimum. "
  + "The point asked for has ‖∇f‖ ≤ ε and λ_min(∇²f) ≥ −√(ρε), except with probability δ. The "
  + "theories are made for ε ≤ ℓ²/ρ.",
  "PGD 2017: Theorem 3 of Jin et al. 2017 with c = 1; its time counts the values of f too, each "
  + "as one gradient. PGD 2021: Theorem 18 of Jin et al. 2021 with the smallest ι of its proof; "
  + "half of its iterates are such points, and no test says which. PSD: the authors’ repository; "
  + "its smallest eigenvalues are not counted. Repaired PSD: the episode theorem of this chapter. "
  + "Certified PSD: the default rule and the theorem of this chapter about it; a product "
  + "of the Hessian counts as two gradients, and its time counts the values of f too.",
  "A diamond marks what a run took, where one was made at exactly this setting. “⚠ float64” "
  + "says that rounding of f, where f is as large as Δf, hides the decrease that an episode promises.",
];

function render({ model: widget, el }) {
  let width = 0;
  const { read, write, invalidate, begin } =
    page.loop(widget, { state: STATE, name: "budget", draw });

  const bars = budget_model.METHODS.map(bar);
  const [clock, axis] = ["bc-axis bc-clock", "bc-axis"].map((name) =>
    h("div", { class: name, "aria-hidden": "true" }));
  const curves = svg("svg", { role: "img", "data-testid": "curves" });
  const finer = budget_model.METHODS.map((method, i) => {
    const value = h("b");
    return { value, node: h("li", { class: `bc-m${i}` }, `${method} × `, value) };
  });
  const summary = page.status("bc");
  const warnings = h("ul", { class: "bc-warnings", "data-testid": "warnings" });
  const sliders = Object.entries(SLIDERS).map(([name, given]) => slider(name, given));
  const presets = h("div", { class: "bc-presets", role: "group", "aria-label": "settings" });
  const left = h("div", { class: "bc-bars" }, h("p", { class: "bc-title" },
    "gradients at most, on a log scale, and how long they take"), clock,
    h("div", { class: "bc-line bc-head", "aria-hidden": "true" },
      ...["", "gradients", "time", "cost"].map((words) => h("span", {}, words))),
    h("ul", { class: "bc-rows", "data-testid": "rows" }, ...bars.map(({ node }) => node)), axis);
  const right = h("div", { class: "bc-side" },
    h("p", { class: "bc-title" }, "gradients at most, as ε shrinks"), curves,
    h("p", { class: "bc-title" }, "an ε ten times smaller multiplies them by"),
    h("ul", { class: "bc-legend" }, ...finer.map(({ node }) => node)));
  const root = h("div", { class: "budget-calculator", role: "group", "aria-label":
    "How many gradients, how much time and money does each theory ask for?" },
    h("div", { class: "bc-views" }, left, right), summary.node,
    h("div", { class: "bc-sliders" }, ...sliders.map(({ box }) => box)), presets, warnings,
    page.notes("bc", NOTES));
  el.append(root);

  function showPresets() {
    const given = widget.get("runs").map((run) => [run.name, run]);
    presets.replaceChildren(...[["the authors’ figure", AUTHORS], ...given].map(([name, to]) => {
      const names = STATE.filter((key) => key !== "runs" && key in to);
      return page.button(name, () =>
        write(Object.fromEntries(names.map((key) => [key, to[key]]))));
    }));
    page.quiet(root);
  }

  function layout() {
    if (root.clientWidth < 100) return false; // hidden: a closed tab, a folded cell
    root.classList.toggle("bc-wide", root.clientWidth >= 640);
    width = right.clientWidth;
    return true;
  }

  function draw() {
    if (!width && !layout()) return false;
    const current = compute(read());
    const { rows } = current;
    bars.forEach(({ show }, i) => show(rows?.[i], current));
    drawAxes(clock, axis, current, left.clientWidth);
    drawCurves(curves, current, width, root.classList.contains("bc-wide") ? 250 : 220);
    curves.setAttribute("aria-label", "Gradients that each theory asks for against the accuracy, "
      + `on log scales, with the slopes −2 and −5/2 and the present ε = ${short(current.epsilon)}.`);
    finer.forEach(({ value }, i) => {
      value.textContent = rows ? number(current.finer[i]) : "–";
    });
    warnings.replaceChildren(...(rows ?? []).filter((row) => row.warning).map((row) =>
      h("li", {}, `⚠ ${row.method}: ${pretty(row.warning)}`)));
    for (const { name, show } of sliders) show(current[name]);
    root.classList.toggle("bc-empty", !rows);
    summary.say(summarize(current));
    return true;
  }

  for (const { name, input, value } of sliders) {
    input.addEventListener("input", () => write({ [name]: value() }));
  }
  widget.on("change:runs", showPresets);
  showPresets();
  const end = begin(root, { layout });

  return () => {
    widget.off("change:runs", showPresets);
    end();
    summary.stop();
  };
}

export { AUTHORS, compute, summarize, time };
export default { render };
