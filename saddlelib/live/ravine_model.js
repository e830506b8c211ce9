// The computing part of the figures of ravines: no page, no clock, no randomness.
// The arithmetic is that of saddlelib's methods, step by step (tests/live compares them).

/* -- the functions -- */

// f = t^4 + alpha (w - bend t^2)^2: t runs along the ravine w = bend t^2, and w - bend t^2 up its
// walls, whose curvature is mu = 2 alpha. `swap`: the first coordinate is w, the second t.
export const FAMILY = {
  straight: () => ({ alpha: 1, bend: 0, swap: true }),
  rosenbrock: (a) => ({ alpha: a, bend: 1, swap: false }),
  parabola: () => ({ alpha: 0.5, bend: -1, swap: false }),
};
export const functionOf = ({ problem, steepness }) => FAMILY[problem](steepness);

// The level line f = size^4, at a from 0 to 2 pi: t = size sin a, and then w in closed form.
export function levelPoint({ alpha, bend }, size, a) {
  const t = size * Math.sin(a);
  return [t, bend * t * t + size * size * Math.cos(a) * Math.sqrt((1 + Math.sin(a) ** 2) / alpha)];
}

// (f - f*) / |g|^2 without overflow or underflow on the way.
export function polyakQuotient(gap, g) {
  let largest = 0;
  for (const v of g) largest = Math.max(largest, Math.abs(v));
  let square = 0;
  for (const v of g) square += (v / largest) * (v / largest);
  return gap / largest / square / largest;
}

/* -- the runs -- */

// One gradient a step: t, the distance n = w - bend t^2 from the ravine, f and the length of the
// step taken from there. `long` marks the steps of Polyak; gradient descent has none, Polyak's
// method no others, GDPolyak one after K + i growth short steps of epoch i.
export function run(method, { alpha, bend, swap }, s) {
  const size = s.maxiter + 1;
  const out = { method, nit: 0, ended: null, jumps: [], swap, bend,
                t: new Float64Array(size), n: new Float64Array(size), f: new Float64Array(size),
                step: new Float64Array(size) };
  let [w, t] = swap ? s.start : [s.start[1], s.start[0]];
  let [left, epoch] = [method === "polyak" ? 0 : s.epoch_length, 0];
  for (let k = 0; ; k += 1) {
    const n = w - bend * (t * t);
    const q = t * t;
    const f = q * q + alpha * (n * n);
    const wall = 2 * alpha * n;
    const g = [4 * (q * t) - 2 * bend * t * wall, wall];
    Object.assign(out, { nit: k });
    [out.t[k], out.n[k], out.f[k], out.step[k]] = [t, n, f, NaN];
    if (!(Math.abs(t) + Math.abs(w) < 1e6)) out.ended = "diverged";
    else if (g[0] === 0 && g[1] === 0) out.ended = "stationary";
    if (out.ended || k === s.maxiter) return out;
    let length = s.step_size;
    if (method !== "gd" && left < 1) {
      const gap = f - s.f_star_error;
      if (gap <= 0) {
        out.ended = gap < 0 ? "f_star" : "stationary";
        return out;
      }
      length = Math.min(s.polyak_factor * polyakQuotient(gap, g), Number.MAX_VALUE);
      out.jumps.push(k);
      epoch += 1;
      left = method === "polyak" ? 0 : s.epoch_length + Math.floor(epoch * s.growth);
    } else left -= 1;
    out.step[k] = length;
    t -= length * g[0];
    w -= length * g[1];
  }
}

/* -- what should happen -- */

// The place on the ravine after k constant steps: the gradient flow along the curve,
// (1 + 4 bend^2 t^2) t' = -4 eta t^3, solved for ln t by Newton's method. On a straight ravine
// 1/t^2 grows by 8 eta a step.
export function slide(t, k, eta, bend) {
  if (t === 0) return 0;
  const b = 8 * bend * bend;
  const straight = 1 / (t * t) + 8 * eta * k;
  const target = straight - b * Math.log(t);
  // It is farther out than on a straight ravine, and from there the method climbs to it.
  let s = -0.5 * Math.log(straight);
  for (let i = 0; i < 60; i += 1) {
    const e = Math.exp(-2 * s);
    const move = (e - b * s - target) / (2 * e + b);
    s += move;
    if (!(Math.abs(move) > 1e-13)) break;
  }
  return Math.exp(s);
}

// While the short steps slide down a bent ravine they stay this far beside it.
const lag = ({ alpha, bend }, t) => (4 * bend * t ** 4) / alpha;

// GDPolyak by two numbers, the place t on the ravine and the distance n from where a slide would
// be, from the first long step on. There f = t^4, and the gradient is along the tangent and as long
// as 4 t^3 / sqrt(1 + 4 bend^2 t^2). So a long step takes t to |1 - (lambda/4)(1 - error/t^4)| t,
// and n grows by |1 - mu length| and by what the ravine bends away. K short steps take n times |1 - eta mu|^K and let t slide. The rules hold
// until the walls' gradient mu n exceeds the ravine's 4 t^3 as a long step begins, or until
// t^4 is so small that the error in f* decides.
export function predict({ alpha, bend }, s, trace) {
  const mu = 2 * alpha;
  const shrink = Math.abs(1 - s.step_size * mu);
  const { polyak_factor: lambda, f_star_error: error, step_size: eta } = s;
  const walls = (t, n) => mu * n > 4 * t ** 3;
  const aside = (k) => Math.abs(trace.n[k] - lag({ alpha, bend }, trace.t[k]));
  const first = trace.jumps.findIndex((k) => !walls(Math.abs(trace.t[k]), aside(k)));
  const found = { first, at: [], t: [], n: [], step: [], floor: null, why: null };
  if (first < 0) return { ...found, why: "walls" };
  let k = trace.jumps[first];
  let [t, n] = [Math.abs(trace.t[k]), aside(k)];
  const least = error > 0 ? error : (lambda * -error) / (8 - lambda);
  for (let epoch = first + 1; k <= s.maxiter && t > 1e-60; epoch += 1) {
    const f = t ** 4;
    if (walls(t, n)) return { ...found, floor: f, why: "walls" };
    if (error !== 0 && f <= least) return { ...found, floor: least, why: error > 0 ? "high" : "low" };
    const moved = (lambda / 4) * (1 - error / f) * t;
    const length = (moved * (1 + 4 * bend * bend * t * t)) / (4 * t * t * t);
    found.at.push(k);
    found.t.push(t);
    found.n.push(n + Math.abs(lag({ alpha, bend }, t)));
    found.step.push(length);
    const many = s.epoch_length + Math.floor(epoch * s.growth);
    n = (n * Math.abs(1 - mu * length) + Math.abs(bend) * moved * moved) * shrink ** many;
    t = slide(Math.abs(t - moved), many, eta, bend);
    k += many + 1;
  }
  return found;
}

// Of GDPolyak's long steps, before the floor: how many times nearer to the minimizer one leads, and
// how many times longer the next one is; medians.
export function measure(trace, { first, floor }) {
  const used = trace.jumps.filter((k, i) =>
    k < trace.nit && trace.f[k] > 3 * (floor ?? 0) && i > 0 && first >= 0 && i >= first);
  const middle = (values) => (values.length ? values.sort((a, b) => a - b)[values.length >> 1] : NaN);
  return {
    contraction: middle(used.map((k) => Math.abs(trace.t[k + 1] / trace.t[k]))),
    growth: middle(used.slice(1).map((k, i) => trace.step[k] / trace.step[used[i]]).slice(-9)),
    count: used.length,
  };
}
