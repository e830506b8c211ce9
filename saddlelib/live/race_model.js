// What the race of the methods computes: seven methods from one start, call by call, their table, and
// what is predicted of one of them.

import { decades, range } from "./kit/numbers.js";
import { mulberry32 } from "./model.js";
import { orderAware } from "./order_aware.js";
import { courseOf, growthOf, Racer } from "./ravine_model.js";

export const FINISHES = [1e-12, 1e-20, 1e-28];
export const BOTTOM = 1e-33; // of the plot
export const ENTRANTS = { gd: "gradient descent", nesterov: "Nesterov, restarted", bb: "Barzilai–Borwein",
                          gdpolyak: "GDPolyak", growing: "GDPolyak, K grows", lbfgs: "L-BFGS",
                          order: "order-aware" };

// At the start: nobody has made a call, but those to whom nothing is new keep theirs. `best` of a
// racer is its least value after each of its calls.
export function compute(s, earlier = null) {
  const course = courseOf(s);
  const uniform = mulberry32(s.seed);
  const x0 = course.start(uniform);
  const same = ["problem", "condition", "maxiter", "seed"].every((key) => earlier?.[key] === s[key]);
  const racers = Object.keys(ENTRANTS).map((name, i) => (same && name !== "gdpolyak" ? earlier.racers[i]
    : Object.assign(new Racer(name, course, s, x0, name === "order" ? orderAware : null),
                    { best: new Float64Array(s.maxiter), known: 0 })));
  // Where the minimizer is not 0 a gradient is known up to nu = eps L |x*|, and |grad f| ~ f^(3/4).
  const floor = course.norm ? (2 ** -52 * course.top * course.norm) ** (4 / 3) : null;
  const stops = [...new Set([...decades(0, Math.log10(s.maxiter), { tidy: Math.round }), s.maxiter])];
  return { ...s, course, x0, racers, floor, stops, growth: growthOf(course), reached: 0, done: false };
}

// All of them until they have made so many calls or are at their end.
export function advance(p, until) {
  for (const racer of p.racers) {
    racer.advance(until);
    const { best, f, n } = racer;
    for (; racer.known < n; racer.known += 1) {
      const [v, before] = [f[racer.known], racer.known ? best[racer.known - 1] : Infinity];
      best[racer.known] = v < before ? v : before;
    }
  }
  p.reached = until;
  p.done = p.racers.every((racer) => racer.done);
}

// The calls that can be shown of those that are asked for; all of them where no `at` is given.
export const headOf = (p, at = Infinity) => Math.min(at, p.done ? p.maxiter : p.reached);
export const leastOf = ({ best, n }, head) => (Math.min(n, head) > 0 ? best[Math.min(n, head) - 1] : Infinity);

// The first of its calls with a value of at most v; null where it has none among the first n.
function callTo({ best }, n, v) {
  let [low, high] = [0, n];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (best[middle] <= v) high = middle;
    else low = middle + 1;
  }
  return low < n ? low + 1 : null;
}

// The table after so many calls: of each method its calls to the finishes and its least value, the
// one that is farthest first.
export function ranking({ racers }, head) {
  const rows = racers.map((racer) => {
    const n = Math.min(racer.n, head);
    return { name: racer.name, least: leastOf(racer, head), failed: racer.failed && n === racer.n,
             calls: FINISHES.map((v) => callTo(racer, n, v)) };
  });
  const passed = ({ calls }) => calls.filter((c) => c !== null).length;
  return rows.sort((a, b) => passed(b) - passed(a)
    || (passed(a) ? a.calls[passed(a) - 1] - b.calls[passed(b) - 1] : a.least - b.least));
}

const racerOf = ({ racers }, wanted) => racers.find(({ name }) => name === wanted);
export const jumpsBefore = (p, n) => racerOf(p, "order").jumps.filter((k) => k < n);

// What the near-linear law says of GDPolyak with growing K: each long step multiplies f by 81/256.
export function predict(p) {
  const { jumps, f, n } = racerOf(p, "growing");
  const told = jumps.filter((k) => k < n).map((k, i) => [k + 1, f[jumps[0]] * (81 / 256) ** i]);
  return told.filter(([, v]) => v > (p.floor ?? BOTTOM));
}

// The way down of a racer as stairs on an axis with so many columns, [column, least value], of which
// `callsAt` says how many calls each stands for.
export function stairs({ best, n }, head, callsAt, columns) {
  const last = Math.min(n, head);
  const points = [];
  let before = null;
  for (let i = 0; i <= columns && last > 0; i += 1) {
    const k = Math.floor(callsAt(i));
    const v = best[Math.min(Math.max(k, 1), last) - 1];
    if (before !== null && v !== before) points.push([i, before]);
    if (v !== before) points.push([i, v]);
    before = v;
    if (k >= last) break;
  }
  return points;
}

// Where the words beside the ends of lines stand, so that none covers another and few a line or a dot:
// each of `ends` is {x, y, wide}, `lines` are stairs in pixels, and what comes back is {x, y} of the
// left end of the base line of each.
export function placeWords(ends, lines, { left, right, top, bottom }, taken = []) {
  const boxes = [...taken];
  const covers = (a, others) => {
    let n = 0;
    for (const b of others) n += a.x0 < b.x1 && b.x0 < a.x1 && a.y0 < b.y1 && b.y0 < a.y1;
    return n;
  };
  const steps = lines.flatMap((line) => line.slice(1).map(([x, y], i) => ({
    x0: Math.min(x, line[i][0]) - 1, x1: Math.max(x, line[i][0]) + 1,
    y0: Math.min(y, line[i][1]) - 1, y1: Math.max(y, line[i][1]) + 1 })));
  const dots = ends.map(({ x, y }) => ({ x0: x - 5, x1: x + 5, y0: y - 5, y1: y + 5 }));
  const order = range(ends.length).sort((i, j) => ends[i].x - ends[j].x || ends[i].y - ends[j].y);
  const found = [];
  for (const i of order) {
    const { x, y, wide } = ends[i];
    let [least, chosen] = [Infinity, null];
    for (const up of [0, 1, -1, 2, -2, ...range(13, (j) => j + 3)]) { // the nearest first
      for (const side of [7, -7 - wide]) {
        const place = { x: x + side, y: y + 4 - 13 * up };
        const box = { x0: place.x - 2, x1: place.x + wide + 2, y0: place.y - 11, y1: place.y + 3 };
        if (box.x0 < left || box.x1 > right || box.y0 < top || box.y1 > bottom) continue;
        let cost = 3 * Math.abs(up) + 60 * covers(box, boxes) + 20 * covers(box, dots);
        if (cost < least) cost += Math.min(12, 4 * covers(box, steps));
        if (cost < least) [least, chosen] = [cost, { ...place, box }];
      }
    }
    if (chosen) boxes.push(chosen.box);
    found[i] = chosen;
  }
  return found;
}
