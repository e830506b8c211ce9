// The live figure of a race of methods. Its state lives in the widget's model (get, set, on, off
// and save_changes, nothing else).

import * as model from "./model.js";
import * as order_aware from "./order_aware.js";
import * as page from "./page.js";
import * as ravine_model from "./ravine_model.js";

const { button, clamp, decades, h, niceStep, powerOfTen, short } = page;

const STATE = ["problem", "condition", "epoch_length", "maxiter", "seed", "log_calls"];
const FINISHES = [1e-12, 1e-20, 1e-28];
const ENTRANTS = { gd: "gradient descent", nesterov: "Nesterov, restarted", bb: "Barzilai–Borwein",
                   gdpolyak: "GDPolyak", growing: "GDPolyak, K grows", lbfgs: "L-BFGS",
                   order: "order-aware" };
const DASHES = { nesterov: [9, 3], bb: [3, 3], lbfgs: [9, 3, 2, 3] };
const BROAD = new Set(["growing", "order"]);
const COURSES = {
  rosenbrock: ["x⁴ + a(y − x²)², a = κ", "Rosenbrock’s ravine"],
  convex: ["convex quartic, 10 variables", "The convex quartic"],
  factorization: ["matrix factorization, a column too many", "The factorization"],
};
const PACE = 400; // calls of each method in the first frame, so that it stays a frame
const BOTTOM = 1e-33;
const COLOURS = "bg ink soft line gd nesterov bb gdpolyak growing lbfgs order law floor";

/* -- the race -- */

function enter(s) {
  const course = ravine_model.courseOf(s);
  const uniform = model.mulberry32(s.seed);
  const x0 = course.start(uniform);
  const racers = Object.keys(ENTRANTS).map((name) => new ravine_model.Racer(
    name, course, s, x0, name === "order" ? order_aware.orderAware : null));
  // Where the minimizer is not 0 a gradient is known up to nu = eps L |x*|, and |grad f| ~ f^(3/4).
  const floor = course.norm ? (2 ** -52 * course.top * course.norm) ** (4 / 3) : null;
  return { ...s, course, x0, racers, floor, growth: ravine_model.growthOf(course), reached: 0 };
}

function advance(p, until) {
  for (const racer of p.racers) racer.advance(until);
  p.reached = until;
}

// What the near-linear law says of GDPolyak with growing K: each long step multiplies f by 81/256.
function predict({ racers, floor }) {
  const { jumps, f, n } = racers.find(({ name }) => name === "growing");
  const told = jumps.filter((k) => k < n).map((k, i) => [k + 1, f[jumps[0]] * (81 / 256) ** i]);
  return told.filter(([, v]) => v > (floor ?? BOTTOM));
}

// The table after so many calls: of each method its calls to the finishes and its least value, the
// one that is farthest first.
function ranking({ racers }, head) {
  const rows = racers.map((racer) => {
    const n = Math.min(racer.n, head);
    let least = Infinity;
    for (let i = 0; i < n; i += 1) if (racer.f[i] < least) least = racer.f[i];
    return { name: racer.name, least, calls: ravine_model.callsTo({ f: racer.f, n }, FINISHES),
             failed: racer.failed && n === racer.n };
  });
  const passed = ({ calls }) => calls.filter((c) => c !== null).length;
  return rows.sort((a, b) => passed(b) - passed(a)
    || (passed(a) ? a.calls[passed(a) - 1] - b.calls[passed(b) - 1] : a.least - b.least));
}

/* -- sentences -- */

const nameOf = (name, p) => (name === "gdpolyak" ? `GDPolyak, K = ${p.epoch_length}` : ENTRANTS[name]);
const jumpsBefore = ({ racers }, n) => racers.find(({ name }) => name === "order").jumps.filter((k) => k < n).length;
const list = (words) => words.join(", ").replace(/, (?=[^,]*$)/, " and ");
const finish = (v) => powerOfTen(Math.round(Math.log10(v)));

function summarize(p, rows, head) {
  const parts = [];
  const winners = []; // each with the finishes in a row to which it is first
  FINISHES.forEach((value, i) => {
    const [best] = rows.filter((row) => row.calls[i] !== null).sort((a, b) => a.calls[i] - b.calls[i]);
    if (best && winners.at(-1)?.name !== best.name) winners.push({ name: best.name, values: [], calls: [] });
    if (best) winners.at(-1).values.push(finish(value));
    if (best) winners.at(-1).calls.push(best.calls[i]);
  });
  const told = winners.map(({ name, values, calls }) =>
    `${list(values)}: ${nameOf(name, p)} after ${list(calls)} calls`);
  parts.push(told.length ? `First to ${told.join("; to ")}.` : `After ${head} calls nobody is at ${finish(FINISHES[0])}.`);
  const by = Object.fromEntries(rows.map((row) => [row.name, row]));
  const farthest = (name) => by[name].calls.findLastIndex((c) => c !== null);
  const at = (name) => {
    const i = farthest(name);
    return i < 0 ? `is at ${short(by[name].least, 2)}` : `needs ${by[name].calls[i]} calls to ${finish(FINISHES[i])}`;
  };
  parts.push(`GDPolyak with K = ${p.epoch_length} ${at("gdpolyak")}.`);
  const last = farthest("growing");
  const law = last < 0 ? null : predict(p).find(([, v]) => v <= FINISHES[last]);
  parts.push(`With K growing by ${short(p.growth, 2)} an epoch it ${at("growing")}${law ? ` (predicted ${law[0]})` : ""}.`);
  const n = jumpsBefore(p, by.order.calls[farthest("order")] ?? head);
  parts.push(`The order-aware method ${at("order")}, with ${n} jump${n === 1 ? "" : "s"}.`);
  parts.push(by.gd.failed ? "Gradient descent diverges." : `Gradient descent is at ${short(by.gd.least, 2)}.`);
  if (p.floor) parts.push(`For GDPolyak rounding is predicted to end the descent near ${finish(p.floor)}.`);
  return parts.join(" ");
}

/* -- the plot -- */

function drawRace(pen, { width, height }, p, head) {
  const { c, colours, path, text, line, disc } = pen;
  const [left, right, top, bottom] = [44, width - 8, 24, height - 34];
  const all = p.maxiter;
  const x = p.log_calls ? (n) => left + ((right - left) * Math.log(n)) / Math.log(all)
    : (n) => left + ((right - left) * (n - 1)) / (all - 1);
  const high = 10 ** Math.ceil(Math.log10(Math.max(...p.racers.map(({ f }) => f[0]), 1)));
  const y = (v) => clamp(top + ((bottom - top) * Math.log(high / v)) / Math.log(high / BOTTOM), top - 50, bottom + 1);
  for (let e = 0; e >= -32; e -= 4) {
    line(left, y(10 ** e), right, y(10 ** e), colours.line);
    text(powerOfTen(e), left - 5, y(10 ** e) + 4, { align: "right" });
  }
  const stops = p.log_calls ? [1, 10, 100, 1000, 10000].filter((n) => n <= all)
    : Array.from({ length: 8 }, (_, i) => (i + 1) * niceStep(all, 5)).filter((n) => n <= all);
  for (const n of stops) {
    line(x(n), top, x(n), bottom, colours.line);
    text(String(n), x(n), bottom + 15, { align: x(n) > right - 18 ? "right" : "center" });
  }
  const frame = { left, right, top, bottom };
  pen.inside(frame, () => {
    if (p.floor) {
      c.fillStyle = colours.floor;
      c.fillRect(left, y(p.floor), right - left, bottom - y(p.floor));
    }
    for (const value of FINISHES) line(left, y(value), right, y(value), colours.soft, { width: 1.5 });
    for (const { name, f, n: used, jumps } of p.racers) {
      const n = Math.min(used, head);
      const landings = new Set(name === "order" ? jumps : []);
      const [points, marks] = [[], []];
      let [least, lastX] = [Infinity, -1];
      for (let i = 0; i < n; i += 1) {
        if (landings.has(i)) marks.push([x(i + 1), y(Math.max(Math.min(f[i], least), 1e-40))]);
        if (!(f[i] < least)) continue;
        const at = x(i + 1);
        if (points.length) points.push([at, y(least)]);
        least = f[i];
        // What is within half a pixel is one point.
        if (at - lastX < 0.5 && points.length > 2) points.splice(-1, 1);
        points.push([at, y(Math.max(least, 1e-40))]);
        lastX = at;
      }
      if (!points.length) continue;
      points.push([x(n), y(Math.max(least, 1e-40))]);
      path(points, colours[name], { width: BROAD.has(name) ? 3 : 2, dash: DASHES[name] ?? [] });
      for (const mark of marks) disc(...mark, 4, colours.bg, colours[name], 2);
      disc(...points.at(-1), 4, colours[name], colours.bg, 1.5);
    }
    const law = predict(p).filter(([n]) => n <= head).map(([n, v]) => [x(n), y(v)]);
    path(law, colours.law, { width: 1.25, dash: [4, 4] });
  });
  pen.box(frame, colours.line);
  for (const value of FINISHES) text(`finish ${finish(value)}`, left + 6, y(value) - 5, { colour: colours.ink });
  if (p.floor) text("below the rounding floor, predicted", left + 6, y(p.floor) + 14, { colour: colours.ink });
  text(`least f − f* so far, after ${head} oracle calls`, left, 14, { colour: colours.ink });
  text("oracle calls: a value and a gradient each", (left + right) / 2, bottom + 30, { align: "center" });
}

/* -- the page -- */

const PRESETS = {
  "the published setting": { problem: "rosenbrock", condition: 10, epoch_length: 100, maxiter: 10000 },
  "K too small": { problem: "rosenbrock", condition: 10, epoch_length: 20, maxiter: 10000 },
  "well-conditioned": { problem: "convex", condition: 1, epoch_length: 30, maxiter: 10000 },
  "ill-conditioned": { problem: "convex", condition: 20, epoch_length: 600, maxiter: 50000 },
  "steep walls": { problem: "rosenbrock", condition: 200, epoch_length: 100, maxiter: 10000 },
  "a rounding floor": { problem: "factorization", condition: 2, epoch_length: 150, maxiter: 10000 },
};

const NOTES = [
  "Every method starts at the same point and pays one call for one value and one gradient; the plot "
  + "shows the least value that it has met. f* is 0 and known. The short step η, also that of gradient "
  + "descent and Nesterov’s method, is a quarter to half of 1/L: min(1/(8a), 1/20), 1/2 and 1/10 for the three problems.",
  "GDPolyak: K short steps, then one of Polyak’s. Where K grows, it grows by 2 ln(4/3)/ln(1/q) an epoch, with "
  + "q = 1 − ημ, which takes back what each long step adds to the distance from the ravine; μ is known here. The dashed "
  + "line is the near-linear law: f times 81/256 at each long step.",
  "Order-aware: L-BFGS as long as it is fast; then conjugate gradients for the Newton step s, where each product with the "
  + "Hessian is a difference of two gradients and costs one call; steps along s on the walls alone, until these are low; and a jump of p − 1 Newton "
  + "steps. The order p of the floor is read off (f − f*)/⟨−∇f, s⟩ = (p − 1)/p. There is no η, K or μ to choose. Rings mark "
  + "the jumps. One may land higher, on a wall; it is taken back if f is not lower once the walls are.",
  "κ is a of the first function; for the convex quartic ½Σ hᵢuᵢ² + ¼Σ vᵢ⁴ the ratio of the five hᵢ, from 1 to "
  + "1/κ; for the factorization ½‖UUᵀ − M‖² the ratio of the two eigenvalues of M, 1 and 1/κ, where U has three columns.",
  "Barzilai and Borwein: ‖s‖²/|⟨s, z⟩|, no line search. Nesterov restarts where its step goes uphill. L-BFGS keeps "
  + "ten pairs and halves its step by Armijo’s rule; the calls of that search count. The rounding floor is (εL‖x*‖)^{4/3}, ε = 2⁻⁵²; other "
  + "methods can go below it.",
];

let figures = 0;

function render({ model: widget, el }) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let [size, colours, current, currentOf] = [null, null, null, ""];
  let [head, playing, started, seen] = [Infinity, false, false, false];
  let [tableOf, rows] = ["", []];

  const { read, write, publish, invalidate, begin } =
    page.loop(widget, { state: STATE, name: "race", draw });
  const initial = read();

  const plot = h("canvas", { role: "img", "data-testid": "race" });
  const holder = h("div", {}, plot);
  const body = h("tbody");
  const table = h("table", { "data-testid": "table" },
    h("caption", {}, "Oracle calls to each finish"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "method"),
      ...FINISHES.map((v) => h("th", { scope: "col" }, finish(v))), h("th", { scope: "col" }, "least f"))),
    body);
  const summary = page.status("mr");

  const sliders = [];
  function slider(name, label, values, words = short) {
    const { input, box, show } = page.slider("mr", label, { min: 0, step: 1, max: values.length - 1 });
    input.addEventListener("input", () => write({ [name]: values[input.valueAsNumber] }));
    sliders.push((s) => show(page.stopOf(values, s[name]), words(s[name])));
    return box;
  }
  let stops = [1];
  const scrub = page.slider("mr", "oracle calls", { min: 0, max: 1, step: 1 });
  scrub.input.addEventListener("input", () => {
    [head, playing] = [stops[scrub.input.valueAsNumber], false];
    invalidate();
  });
  const play = button("race", () => {
    playing = !playing;
    if (playing && head >= current.maxiter) head = 1;
    invalidate();
  });
  figures += 1;
  const radios = Object.entries(COURSES).map(([problem, [words]]) => {
    const input = h("input", { type: "radio", name: `mr-problem-${figures}`, value: problem });
    input.addEventListener("change", () => write({ problem }));
    return { problem, input, box: h("label", {}, input, words) };
  });
  const axis = h("input", { type: "checkbox" });
  axis.addEventListener("change", () => write({ log_calls: axis.checked }));

  const root = h("div", { class: "method-race", role: "group", "aria-label": "Which method gets down first?" },
    h("div", { class: "mr-views" },
      h("div", {}, holder, h("div", { class: "mr-play" }, scrub.box, play)),
      h("div", {}, table, summary.node)),
    h("div", { class: "mr-presets", role: "group", "aria-label": "presets" },
      ...Object.entries(PRESETS).map(([words, to]) => button(words, () => write(to))),
      button("another start", () => write({ seed: (read().seed + 1) % 2 ** 31 })),
      button("start over", () => write(initial))),
    h("div", { class: "mr-choice", role: "radiogroup", "aria-label": "problem" },
      h("span", {}, "problem:"), ...radios.map(({ box }) => box)),
    h("div", { class: "mr-choice" }, h("label", {}, axis, h("span", {}, "log axis for calls"))),
    h("div", { class: "mr-sliders" },
      slider("epoch_length", "short steps per epoch K", decades(0, 3, { tidy: Math.round }), String),
      slider("condition", "condition number κ", decades(0, 3, { per: 10 })),
      slider("maxiter", "oracle calls in all", [500, 1000, 2000, 5000, 10000, 20000, 50000], String)),
    page.notes("mr", NOTES));
  page.quiet(root);
  el.append(root);

  function layout() {
    if (holder.clientWidth < 100) return false; // hidden: a closed tab, a folded cell
    const wide = root.classList.toggle("mr-wide", root.clientWidth >= 640);
    size = { ratio: devicePixelRatio, width: holder.clientWidth, height: wide ? 480 : 320 };
    Object.assign(plot.style, { width: `${size.width}px`, height: `${size.height}px` });
    return true;
  }

  function draw() {
    if (size?.ratio !== devicePixelRatio && !layout()) return false;
    colours ??= page.palette(root, "mr", COLOURS);
    const s = read();
    const { log_calls: log, ...given } = s;
    const name = JSON.stringify(given);
    if (name !== currentOf) {
      current = enter(given);
      stops = [...new Set([...decades(0, Math.log10(s.maxiter), { tidy: Math.round }), s.maxiter])];
    }
    currentOf = name;
    current.log_calls = log;
    if (playing && seen) head = Math.min(s.maxiter, Math.max(head + 1, Math.round(1.025 * head)));
    if (head >= s.maxiter) [head, playing] = [Infinity, false];
    const wanted = Math.min(s.maxiter, head);
    if (current.reached < wanted) advance(current, Math.min(wanted, current.reached + Math.max(PACE, Math.round(current.reached / 10))));
    const shown = Math.min(wanted, current.reached);
    const done = current.racers.every((racer) => racer.done);

    drawRace(page.penOn(plot, size, colours), size, current, shown);
    rows = ranking(current, shown);
    showState(s, shown);
    publish({ finished: done });
    if (done && !playing) {
      const calls = Object.fromEntries(ranking(current, Infinity).map((row) => [row.name, row.calls]));
      if (JSON.stringify(widget.get("calls")) !== JSON.stringify(calls)) publish({ calls });
    }
    if (shown < wanted && !done || (playing && seen)) invalidate();
    return true;
  }

  function showState(s, shown) {
    plot.setAttribute("aria-label", `Least value so far of seven methods on ${COURSES[s.problem][0]} against `
      + "oracle calls, with three finish lines; the table says who reached which.");
    for (const update of sliders) update(s);
    for (const { problem, input } of radios) input.checked = problem === s.problem;
    axis.checked = s.log_calls;
    scrub.input.max = stops.length - 1;
    scrub.show(page.stopOf(stops, shown), String(shown));
    play.hidden = calm.matches;
    play.textContent = playing ? "pause" : "race";
    const cells = rows.map((row) => [row.name, nameOf(row.name, current),
      ...row.calls.map((n) => (n === null ? "–" : String(n))), row.failed ? "diverged" : short(row.least, 2)]);
    if (JSON.stringify(cells) !== tableOf) {
      tableOf = JSON.stringify(cells);
      body.replaceChildren(...cells.map(([name, words, ...rest]) => h("tr", { class: `mr-key-${name}` },
        h("th", { scope: "row" }, words), ...rest.map((cell) => h("td", {}, cell)))));
    }
    summary.say(summarize(current, rows, shown));
  }

  // They start when somebody can watch.
  const watched = new IntersectionObserver((entries) => {
    seen = entries.at(-1).isIntersecting;
    if (seen && !started && !calm.matches) [head, playing] = [1, true];
    started ||= seen;
    invalidate();
  }, { threshold: 0.3 });
  watched.observe(plot);
  const calmed = () => {
    if (calm.matches) [head, playing] = [Infinity, false];
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

export { PRESETS, advance, enter, predict, ranking, summarize };
export default { render };
