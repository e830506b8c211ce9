// The computing part of the figures of ravines: no page, no clock; random starts from a seed.
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

/* -- a race of methods: its problems -- */

// One oracle call is one value and one gradient. Vectors are typed arrays, changed in place.

// Each has a dimension, `evaluate(x, g)` that returns f and fills g, the short step eta, mu and L
// (the positive curvatures at the minimizer), and |x*|; f* is 0.
const COURSES = {
  rosenbrock: (a) => ({
    dim: 2, eta: Math.min(0.125 / a, 0.05), mu: 2 * a, top: 2 * a, norm: 0,
    start: (u) => [0.4 + 0.5 * u(), u()],
    evaluate(x, g) {
      const q = x[0] * x[0];
      const n = x[1] - q;
      const wall = 2 * a * n;
      g[0] = 4 * (q * x[0]) - 2 * x[0] * wall;
      g[1] = wall;
      return q * q + a * (n * n);
    },
  }),
  // Half the sum of h u^2 with five h from 1 to 1/condition, and a quarter of the sum of five v^4.
  convex(condition) {
    const h = Array.from({ length: 5 }, (_, i) => condition ** (-i / 4));
    return {
      dim: 10, eta: 0.5, mu: 1 / condition, top: 1, norm: 0,
      start: (u) => Array.from({ length: 10 }, () => 2 * u() - 1),
      evaluate(x, g) {
        let [quadratic, quartic] = [0, 0];
        for (let i = 0; i < 5; i += 1) {
          const [u, v] = [x[i], x[i + 5]];
          g[i] = h[i] * u;
          g[i + 5] = v * v * v;
          quadratic += g[i] * u;
          quartic += g[i + 5] * v;
        }
        return quadratic / 2 + quartic / 4;
      },
    };
  },
  // Half of |U U' - diag(1, 1/condition, 0, 0, 0)|^2, U with one column more than that needs.
  factorization(condition) {
    const [n, k] = [5, 3];
    const r = new Float64Array(n * n);
    return {
      dim: n * k, eta: 0.1, mu: 2 / condition, top: 4, norm: Math.sqrt(1 + 1 / condition),
      start: (u) => Array.from({ length: n * k }, () => u() - 0.5),
      evaluate(x, g) {
        let sum = 0;
        for (let i = 0; i < n; i += 1) {
          for (let j = 0; j <= i; j += 1) {
            let v = i !== j || i > 1 ? 0 : i === 0 ? -1 : -1 / condition;
            for (let c = 0; c < k; c += 1) v += x[i * k + c] * x[j * k + c];
            r[i * n + j] = v;
            r[j * n + i] = v;
            sum += i === j ? v * v : 2 * (v * v);
          }
        }
        for (let i = 0; i < n; i += 1) {
          for (let c = 0; c < k; c += 1) {
            let v = 0;
            for (let j = 0; j < n; j += 1) v += r[i * n + j] * x[j * k + c];
            g[i * k + c] = 2 * v;
          }
        }
        return sum / 2;
      },
    };
  },
};
export const courseOf = ({ problem, condition }) => COURSES[problem](condition);

/* -- a race of methods: the methods -- */

const dot = (a, b) => {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i] * b[i];
  return sum;
};
const add = (x, a, d) => { // x + a d, in place
  for (let i = 0; i < x.length; i += 1) x[i] += a * d[i];
};
const minus = (a, b) => a.map((v, i) => v - b[i]);

// How many short steps each epoch needs more than the last: 2 ln(4/3) / ln(1/q), q = |1 - eta mu|.
// To twelve digits: a whole number should not become the one below it by rounding.
export const growthOf = ({ eta, mu }) =>
  Number(((2 * Math.log(4 / 3)) / -Math.log(Math.abs(1 - eta * mu))).toPrecision(12));

// A method asks `call(x, g)` for f and the gradient, and yields after every call.
const RACERS = {
  * gd(x, call, { eta }) {
    const g = new Float64Array(x.length);
    for (;;) {
      call(x, g);
      yield;
      add(x, -eta, g);
    }
  },
  // With the restart of O'Donoghue and Candes: where the step goes uphill, momentum is forgotten.
  * nesterov(x, call, { eta }) {
    const [g, y, moved] = [new Float64Array(x.length), x.slice(), new Float64Array(x.length)];
    for (let t = 1; ;) {
      call(y, g);
      yield;
      for (let i = 0; i < x.length; i += 1) {
        const next = y[i] - eta * g[i];
        moved[i] = next - x[i];
        x[i] = next;
      }
      const uphill = dot(g, moved) > 0;
      const later = uphill ? 1 : (1 + Math.sqrt(1 + 4 * t * t)) / 2;
      const beta = uphill ? 0 : (t - 1) / later;
      for (let i = 0; i < x.length; i += 1) y[i] = x[i] + beta * moved[i];
      t = later;
    }
  },
  // The long step of Barzilai and Borwein, |s|^2 / |<s, z>|; the first one is short.
  * bb(x, call, { eta }) {
    let [g, last] = [new Float64Array(x.length), new Float64Array(x.length)];
    const s = new Float64Array(x.length);
    for (let step = NaN; ;) {
      [g, last] = [last, g];
      call(x, g);
      yield;
      let [square, turn] = [0, 0];
      for (let i = 0; i < x.length; i += 1) {
        square += s[i] * s[i];
        turn += s[i] * (g[i] - last[i]);
      }
      step = Number.isNaN(step) ? eta : square / Math.abs(turn);
      if (!(step > 0 && step < Infinity)) return;
      for (let i = 0; i < x.length; i += 1) {
        const next = x[i] - step * g[i];
        s[i] = next - x[i];
        x[i] = next;
      }
    }
  },
  * gdpolyak(x, call, { eta }, { length, growth, jumps }) {
    const g = new Float64Array(x.length);
    for (let epoch = 0; ; epoch += 1) {
      for (let k = Math.floor(length + epoch * growth); k > 0; k -= 1) {
        call(x, g);
        yield;
        add(x, -eta, g);
      }
      jumps.push(call.count());
      const f = call(x, g);
      yield;
      add(x, -polyakQuotient(f, g), g);
    }
  },
  // L-BFGS with ten pairs; halves its step until f falls as Armijo asks, and ends where it cannot.
  * lbfgs(x, call, { eta }) {
    let g = new Float64Array(x.length);
    let f = call(x, g);
    yield;
    for (const pairs = []; ;) {
      const d = g.map((v) => -v);
      const alphas = [];
      for (const { s, z, rho } of pairs) {
        alphas.push(rho * dot(s, d));
        add(d, -alphas.at(-1), z);
      }
      const scale = pairs.length ? 1 / (pairs[0].rho * dot(pairs[0].z, pairs[0].z)) : eta;
      for (let i = 0; i < d.length; i += 1) d[i] *= scale;
      for (let i = pairs.length - 1; i >= 0; i -= 1) {
        const { s, z, rho } = pairs[i];
        add(d, alphas[i] - rho * dot(z, d), s);
      }
      const slope = dot(d, g);
      if (!(slope < 0)) return;
      const [next, turned] = [new Float64Array(x.length), new Float64Array(x.length)];
      let fell = Infinity;
      for (let [step, tries] = [1, 0]; ; [step, tries] = [step / 2, tries + 1]) {
        for (let i = 0; i < x.length; i += 1) next[i] = x[i] + step * d[i];
        fell = call(next, turned);
        yield;
        if (fell <= f + 1e-4 * step * slope) break;
        if (tries === 40) return;
      }
      const [s, z] = [minus(next, x), minus(turned, g)];
      const sz = dot(s, z);
      if (sz > 1e-10 * Math.sqrt(dot(s, s) * dot(z, z))) {
        pairs.unshift({ s, z, rho: 1 / sz });
        if (pairs.length > 10) pairs.pop();
      }
      [x, f, g] = [next, fell, turned];
    }
  },
};

// A run that can be continued: f at each of its `n` calls, and `jumps`, the calls from which long
// steps are made. It ends where f is as small as 1e-32, where its method ends, and after maxiter
// calls; and it has failed where f is not a number or beyond 1e12. A `method` from elsewhere does
// not fail there: it judges itself what it tries.
export class Racer {
  constructor(name, course, { maxiter, epoch_length: length }, x0, method = null) {
    Object.assign(this, { name, n: 0, done: false, failed: false, jumps: [], judges: method !== null,
                          f: new Float64Array(maxiter) });
    const call = (x, g) => {
      this.f[this.n] = course.evaluate(x, g);
      this.n += 1;
      return this.f[this.n - 1];
    };
    call.count = () => this.n;
    const growth = growthOf(course);
    const own = name === "growing" ? { length: 3 + Math.ceil(2 * growth), growth } : { length, growth: 0 };
    method ??= RACERS[name === "growing" ? "gdpolyak" : name];
    this.method = method(Float64Array.from(x0), call, course, { ...own, jumps: this.jumps });
  }

  // Until it has used so many calls or ends.
  advance(until) {
    while (!this.done && this.n < until) {
      const { done } = this.method.next();
      const f = this.f[this.n - 1];
      this.failed = !this.judges && !(f < 1e12);
      this.done = done || this.failed || this.n === this.f.length || f <= 1e-32;
    }
  }
}
