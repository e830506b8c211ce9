// The race of the methods down a ravine, counted in oracle calls.

import { axes, linear, log } from "./kit/axes.js";
import { table } from "./kit/controls.js";
import { figure } from "./kit/figure.js";
import { decades, plural, powerOfTen, range, short } from "./kit/numbers.js";
import { advance, BOTTOM, compute, ENTRANTS, FINISHES, headOf, jumpsBefore, leastOf, placeWords, predict, ranking,
         stairs } from "./race_model.js";

const COURSES = {
  rosenbrock: ["x⁴ + a(y − x²)²", "Rosenbrock’s ravine"],
  convex: ["convex quartic, 10 variables", "the convex quartic"],
  factorization: ["matrix factorization, a column too many", "the factorization"],
};
const SHORT = { nesterov: "Nesterov", bb: "Barzilai–Borwein", growing: "K grows", gd: "gradient descent" };
const PIECE = 7; // milliseconds of a frame in which calls are made

/* -- sentences -- */

const nameOf = (name, p) => (name === "gdpolyak" ? `GDPolyak, K = ${p.epoch_length}` : ENTRANTS[name]);
const list = (words) => words.join(", ").replace(/, (?=[^,]*$)/, " and ");
const finish = (v) => powerOfTen(Math.round(Math.log10(v)));
const last = ({ calls }) => calls.findLastIndex((c) => c !== null);
const rowsOf = (p, head) => Object.fromEntries(ranking(p, head).map((row) => [row.name, row]));

function summarize(p, at) {
  const head = headOf(p, at);
  if (head === 0) return "All methods stand at the start; nobody has made a call.";
  const [first] = ranking(p, head);
  const i = last(first);
  if (i < 0) return `After ${plural(head, "oracle call")} nobody is at ${finish(FINISHES[0])}; least: ${nameOf(first.name, p)}.`;
  const by = rowsOf(p, head);
  const came = ({ calls, least, failed }) =>
    (calls[i] !== null ? String(calls[i]) : failed ? "diverges" : `at ${short(least, 2)}`);
  // Besides the first the three that the reader may have bet on.
  const others = [["order", "order-aware"], ["lbfgs", "L-BFGS"]].filter(([name]) => name !== first.name)
    .map(([name, words]) => `${words} ${came(by[name])}; `).join("");
  return `To ${finish(FINISHES[i])}: ${SHORT[first.name] ?? ENTRANTS[first.name]} ${first.calls[i]} calls; ${others}`
    + `GDPolyak ${came(by.gdpolyak)} (fixed K), ${came(by.growing)} (growing K).`;
}

function tell(p, at) {
  const head = headOf(p, at);
  if (head === 0) return "";
  const parts = [];
  const rows = ranking(p, head);
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
  const by = rowsOf(p, head);
  const does = (name) => {
    const i = last(by[name]);
    return i < 0 ? `is at ${short(by[name].least, 2)}` : `needs ${by[name].calls[i]} calls to ${finish(FINISHES[i])}`;
  };
  parts.push(`GDPolyak with K = ${p.epoch_length} ${does("gdpolyak")}.`);
  const law = last(by.growing) < 0 ? null : predict(p).find(([, v]) => v <= FINISHES[last(by.growing)]);
  parts.push(`With K growing by ${short(p.growth, 2)} an epoch it ${does("growing")}${law ? ` (predicted ${law[0]})` : ""}.`);
  const jumps = jumpsBefore(p, by.order.calls[last(by.order)] ?? head).length;
  parts.push(`The order-aware method ${does("order")}, with ${plural(jumps, "jump")}.`);
  parts.push(by.gd.failed ? "Gradient descent diverges." : `Gradient descent is at ${short(by.gd.least, 2)}.`);
  if (p.floor) parts.push(`For GDPolyak rounding is predicted to end the descent near ${finish(p.floor)}.`);
  return parts.join(" ");
}

/* -- the plot -- */

function drawRace(pen, p, at) {
  const head = headOf(p, at);
  const frame = { left: 46, right: pen.width - 8, top: 24, bottom: pen.height - 36 };
  const high = 10 ** Math.ceil(Math.log10(Math.max(...p.racers.map(({ f }) => f[0]), 1)));
  const plot = axes(pen, frame, { y: log(BOTTOM, high), gap: [64, 40],
    x: p.log_calls ? log(1, p.maxiter, { words: (e) => String(10 ** e) }) : linear(0, p.maxiter, { words: String }),
    title: `least f − f* so far, after ${plural(head, "oracle call")}`,
    xTitle: "oracle calls: a value and a gradient each" });
  const { left, right, bottom } = frame;
  if (p.floor) pen.block({ left, right, top: plot.y(p.floor), bottom }, "floor", 0.7);
  const taken = FINISHES.map((value) => {
    const [y, words] = [plot.y(value), `finish ${finish(value)}`];
    plot.across(value, "soft", { width: 1.5 });
    pen.text(words, left + 6, y - 5, { colour: "ink" });
    return { x0: left + 4, x1: left + 10 + pen.c.measureText(words).width, y0: y - 16, y1: y - 2 };
  });
  if (p.floor) pen.text("GDPolyak’s rounding floor, predicted", left + 6, plot.y(p.floor) + 14, { colour: "ink" });
  const running = p.racers.filter(({ n }) => Math.min(n, head) > 0);
  const callsAt = (column) => plot.atX(left + column) + 1e-6;
  const ways = running.map((racer) => stairs(racer, head, callsAt, right - left)
    .map(([column, v]) => [left + column, plot.y(v)]));
  const ends = running.map((racer) => ({ x: plot.x(Math.min(racer.n, head)),
    y: Math.min(plot.y(leastOf(racer, head)), bottom) }));
  plot.within(() => running.forEach(({ name }, i) => pen.path([...ways[i], [ends[i].x, ways[i].at(-1)[1]]], name)));
  for (const k of jumpsBefore(p, head)) plot.dot(k + 1, leastOf(p.racers.at(-1), k + 1), 4, "bg", "order", 2);
  plot.line(predict(p).filter(([n]) => n <= head), "law", { width: 1.25 });
  running.forEach(({ name }, i) => pen.disc(ends[i].x, ends[i].y, 4, name, "bg", 1.5));
  if (head > 4) drawNames(pen, p, running, ends, ways, frame, taken); // before that they stand on one spot
}

// Each line is named at its end, where there is room for it.
function drawNames(pen, p, running, ends, ways, frame, taken) {
  const words = running.map(({ name }) => (name === "gdpolyak" ? `K = ${p.epoch_length}` : SHORT[name] ?? ENTRANTS[name]));
  const places = placeWords(ends.map((end, i) => ({ ...end, wide: pen.c.measureText(words[i]).width })), ways, frame, taken);
  places.forEach((place, i) => {
    if (!place) return;
    const { x, y, wide } = { ...ends[i], wide: place.box.x1 - place.box.x0 };
    const near = place.x > x ? place.x - 2 : place.x + wide - 2;
    if (Math.abs(place.y - 4 - y) > 14) pen.line(x, y, near, place.y - 4, running[i].name, { width: 1, dash: [] });
    pen.text(words[i], place.x, place.y, { colour: "ink" });
  });
}

/* -- the page -- */

const PRESETS = {
  "steep walls": { problem: "rosenbrock", condition: 200, epoch_length: 100, maxiter: 10000 },
  "ill-conditioned": { problem: "convex", condition: 20, epoch_length: 600, maxiter: 50000 },
  "K too small": { problem: "rosenbrock", condition: 10, epoch_length: 20, maxiter: 10000 },
  "a rounding floor": { problem: "factorization", condition: 2, epoch_length: 150, maxiter: 10000 },
};
const MORE_PRESETS = {
  "the published setting": { problem: "rosenbrock", condition: 10, epoch_length: 100, maxiter: 10000 },
  "well-conditioned": { problem: "convex", condition: 1, epoch_length: 30, maxiter: 10000 },
};

const presets = { ...PRESETS, ...MORE_PRESETS };
export { compute, presets as PRESETS, summarize, tell };
export default figure({
  name: "race", title: "Which method gets down first?",
  state: ["problem", "condition", "epoch_length", "maxiter", "seed", "log_calls"],
  computed: ["problem", "condition", "epoch_length", "maxiter", "seed"],
  compute, summarize, tell, guess: true, presets: PRESETS,
  morePresets: { ...MORE_PRESETS, "another start": ({ seed }) => ({ seed: (seed + 1) % 2 ** 31 }) },
  // Calls are made when somebody can watch, for a few milliseconds of every frame.
  go(p, at, { play }) {
    const wanted = play.started ? Math.min(at, p.maxiter) : 0;
    const until = performance.now() + PIECE;
    while (!p.done && p.reached < wanted && performance.now() < until) advance(p, Math.min(wanted, p.reached + 20));
    return !p.done && p.reached < wanted;
  },
  results: (p) => ({ finished: p.done,
    calls: p.done ? Object.fromEntries(ranking(p, Infinity).map(({ name, calls }) => [name, calls])) : null }),
  legend: () => [["law", "GDPolyak with growing K, predicted"]],
  views: () => {
    const { node, update } = table({ caption: "Oracle calls to each finish",
                                     head: ["method", ...FINISHES.map(finish), "least f"] });
    return [{
      name: "race", draw: drawRace, height: (_, wide) => (wide ? 420 : 320),
      words: ({ problem }) => `Least value so far of seven methods on ${COURSES[problem][1]} against oracle calls, with `
        + "three finish lines; the table says who reached which.",
    }, {
      node,
      update: (p, at) => update(ranking(p, headOf(p, at)).map(({ name, calls, least, failed }) => [name, nameOf(name, p),
        ...calls.map((n) => (n === null ? "–" : String(n))),
        failed ? "diverged" : least < Infinity ? short(least, 2) : "–"])),
    }];
  },
  player: { waits: true, label: "oracle calls", verb: "race", start: 1, last: ({ maxiter }) => maxiter, stops: ({ stops }) => stops,
            next: (at) => Math.max(at + 1, Math.round(1.025 * at)) },
  beside: (make) => [make.slider("epoch_length", "short steps per epoch K", decades(0, 3, { tidy: Math.round }), String),
                     make.slider("condition", "steepness a", decades(0, 3, { per: 10 }), short, { hidden: ({ problem }) => problem !== "rosenbrock" }),
                     make.slider("condition", "condition number κ", decades(0, 3, { per: 10 }), short, { hidden: ({ problem }) => problem === "rosenbrock" })],
  more: (make) => [
    make.radios("problem", "problem", Object.fromEntries(Object.entries(COURSES).map(([name, [words]]) => [name, words]))),
    make.check("log_calls", "log axis for calls"),
    make.slider("maxiter", "oracle calls in all", [500, 1000, 2000, 5000, 10000, 20000, 50000], String)],
  caption: "Rings mark the jumps of the order-aware method. Dashed: GDPolyak with growing K as predicted from its first long "
    + "step on, where it may not have come down to the floor yet; from there on both fall alike. A K that is too small stalls.",
  notes: [
    "Every method starts at the same point and pays one call for one value and one gradient; the plot "
    + "shows the least value that it has met. f* is 0 and known. The short step η, also that of gradient "
    + "descent and Nesterov’s method, is a quarter to half of 1/L: min(1/(8a), 1/20), 1/2 and 1/10 for the three problems.",
    "GDPolyak: K short steps, then one of Polyak’s. Where K grows, it grows by 2 ln(4/3)/ln(1/q) an epoch, with "
    + "q = 1 − ημ, which takes back what each long step adds to the distance from the ravine; μ is known here. The dashed "
    + "line is the near-linear law: f times 81/256 at each long step, from the first on. At that step the walls may still "
    + "hold most of f, which the next short steps take away: then the run falls faster at first. Between steep walls that "
    + "bend, long steps throw it so high that the first epochs do not bring it down to the floor: then it falls more slowly.",
    "Order-aware: L-BFGS as long as it is fast; then conjugate gradients for the Newton step s, where each product with the "
    + "Hessian is a difference of two gradients and costs one call; steps along s on the walls alone, until these are "
    + "low; and a jump of p − 1 Newton steps. The order p of the floor is read off (f − f*)/⟨−∇f, s⟩ = (p − 1)/p. There is no η, K or μ to choose. Rings mark "
    + "the jumps. One may land higher, on a wall; it is taken back if f is not lower once the walls are.",
    "Rosenbrock’s ravine has one wall, of curvature 2a, and no condition number. κ is, for the convex quartic "
    + "½Σ hᵢuᵢ² + ¼Σ vᵢ⁴, the ratio of the five hᵢ, from 1 to 1/κ; for the factorization ½‖UUᵀ − M‖² the ratio of the two eigenvalues of M, 1 and 1/κ, where U has three columns.",
    "Barzilai and Borwein: ‖s‖²/|⟨s, z⟩|, no line search. Nesterov restarts where its step goes uphill. L-BFGS is a simple one of "
    + "our own, not SciPy’s: it keeps ten pairs and halves its step by Armijo’s rule; the calls of that search count. The rounding floor is (εL‖x*‖)^{4/3}, "
    + "ε = 2⁻⁵²; other methods can go below it.",
  ],
});
