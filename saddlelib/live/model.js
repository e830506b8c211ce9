// The computing part of the live figure: no page, no clock, no hidden randomness.
// Every random number comes in as an argument, so one run here and one run of
// saddlelib with the same draws are the same run (tests/live compares them).

/* -- the function on the plane -- */

// f(y1, y2) = -gamma/2 y1^2 + y1^4/4 + lam/2 y2^2: a saddle at 0, minimizers at
// (+-sqrt(gamma), 0), f* = -gamma^2/4.

export function fun(y, { gamma, lam }) {
  const q = y[0] * y[0];
  return q * (q / 4 - gamma / 2) + 0.5 * lam * y[1] * y[1];
}

export function grad(y, { gamma, lam }) {
  return [y[0] * (y[0] * y[0] - gamma), lam * y[1]];
}

// The Hessian is diagonal, so its entries are its eigenvalues.
export function hessEigenvalues(y, { gamma, lam }) {
  return [-gamma + 3 * y[0] * y[0], lam];
}

export const fStar = ({ gamma }) => -0.25 * gamma * gamma;
export const minimizer = ({ gamma }) => Math.sqrt(gamma);

// On |y1| <= sqrt(gamma) the first eigenvalue lies in [-gamma, 2 gamma] and the
// second is lam: there the gradient is Lipschitz with l = max(2 gamma, lam).
export const lipschitzGrad = ({ gamma, lam }) => Math.max(2 * gamma, lam);

// "Left" means half way to a minimizer, measured along the escape direction y1.
export const exitRadius = ({ gamma }) => 0.5 * Math.sqrt(gamma);

/* -- random draws -- */

// mulberry32: a 32-bit generator, enough for a picture and the same everywhere.
export function mulberry32(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// Two independent standard normals from two uniforms (Box-Muller).
export function normalPair(uniform) {
  const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
  const angle = 2 * Math.PI * uniform();
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

// Uniform on the unit ball of R^d: a normal vector gives the direction, and the
// d-th root of one uniform number the length.
export function uniformBall(normals, uniform) {
  const norm = Math.hypot(...normals);
  const length = Math.pow(uniform, 1 / normals.length);
  return normals.map((z) => (length * z) / norm);
}

// Draws for PGD, in a stream apart from that of the noise with the same seed.
export function ballFrom(seed) {
  const uniform = mulberry32(seed + 0x9e3779b9);
  return () => uniformBall(normalPair(uniform), uniform());
}

/* -- the methods -- */

export const gdStep = (x, g, stepSize) => [x[0] - stepSize * g[0], x[1] - stepSize * g[1]];

const norm = (v) => Math.hypot(v[0], v[1]);

// Noise N(0, sigma^2/2 I), so that its mean squared length is sigma^2; `normal()`
// gives the next pair of standard normals.
const perCoordinate = (sigma) => sigma / Math.SQRT2;

function noisyGrad(x, problem, sigma, normal) {
  const g = grad(x, problem);
  if (sigma > 0) {
    const z = normal();
    g[0] += perCoordinate(sigma) * z[0];
    g[1] += perCoordinate(sigma) * z[1];
  }
  return g;
}

// y1[k], y2[k], f[k] for k = 0..nit. `diverged` is the first k whose iterate is
// not finite or longer than `bound`; the record ends there.
class Trace {
  constructor(maxiter, problem, bound) {
    Object.assign(this, { problem, bound, nit: 0, diverged: null });
    this.y1 = new Float64Array(maxiter + 1);
    this.y2 = new Float64Array(maxiter + 1);
    this.f = new Float64Array(maxiter + 1);
    this.perturbations = []; // { k, from, to }
    this.stopped = null; // the k at which the method's own rule ended the run
    this.returned = null; // the point it then hands back
  }

  record(k, x) {
    this.nit = k;
    this.y1[k] = x[0];
    this.y2[k] = x[1];
    this.f[k] = fun(x, this.problem);
    if (!(norm(x) <= this.bound)) this.diverged = k;
    return this.diverged === null;
  }

  distance(k) {
    return Math.hypot(this.y1[k], this.y2[k]);
  }
}

// Gradient descent: x_{k+1} = x_k - eta (grad f(x_k) + noise).
export function runGD({ problem, x0, stepSize, maxiter, sigma = 0, normal = null,
                        bound = Infinity }) {
  const trace = new Trace(maxiter, problem, bound);
  let x = x0;
  for (let k = 0; trace.record(k, x) && k < maxiter; k += 1) {
    x = gdStep(x, noisyGrad(x, problem, sigma, normal), stepSize);
  }
  return trace;
}

// Perturbed gradient descent, Algorithm 2 of Jin et al. (2017), with free
// parameters. `ball()` gives the next draw, uniform on the unit ball.
export function runPGD({ problem, x0, stepSize, perturbationRadius, gradThreshold,
                         decreaseThreshold, episodeLength, maxiter, ball,
                         sigma = 0, normal = null, bound = Infinity }) {
  const trace = new Trace(maxiter, problem, bound);
  let x = x0;
  let tNoise = -episodeLength - 1;
  let xTilde = null;
  let fTilde = NaN;
  for (let k = 0; trace.record(k, x) && k < maxiter; k += 1) {
    let g = noisyGrad(x, problem, sigma, normal);
    if (norm(g) <= gradThreshold && k - tNoise > episodeLength) {
      const u = ball();
      xTilde = x;
      fTilde = fun(x, problem);
      tNoise = k;
      x = [x[0] + perturbationRadius * u[0], x[1] + perturbationRadius * u[1]];
      trace.perturbations.push({ k, from: xTilde, to: x });
      g = noisyGrad(x, problem, sigma, normal);
    }
    if (k - tNoise === episodeLength && fun(x, problem) - fTilde > -decreaseThreshold) {
      trace.stopped = k;
      trace.returned = xTilde;
      break;
    }
    x = gdStep(x, g, stepSize);
  }
  return trace;
}

// What PGD needs beside eta and r. The threshold l r is the paper's own ratio
// (g_thres = l r). Half way to a minimizer f has dropped by 7/64 gamma^2, so 1/16
// gamma^2 is a drop that every escape makes. The window lets the part of the
// perturbation along y1 grow to sqrt(gamma) unless that part is among the
// `failureProb` smallest: P(|u1| <= t) <= 4 t / pi for u uniform on the disc.
export function pgdParameters({ problem, stepSize, perturbationRadius, failureProb = 0.01 }) {
  const smallest = (Math.PI / 4) * failureProb * perturbationRadius;
  const growth = Math.log1p(stepSize * problem.gamma);
  return {
    gradThreshold: lipschitzGrad(problem) * perturbationRadius,
    decreaseThreshold: (problem.gamma * problem.gamma) / 16,
    episodeLength: smallest > 0
      ? Math.max(1, Math.ceil(Math.log(Math.sqrt(problem.gamma) / smallest) / growth))
      : 1,
  };
}

/* -- what should happen, and what did -- */

// Near the saddle y1 obeys y1 <- q y1 - eta (noise), q = 1 + eta gamma. Its root
// mean square, j steps after it was |y1|, is sqrt((|y1|^2 + s^2) q^(2j) - s^2) with
// s^2 = eta^2 (sigma^2/2) / (q^2 - 1). Without noise this is the law |y1| q^j.
function law({ y1, stepSize, gamma, sigma = 0 }) {
  const logq = Math.log1p(stepSize * gamma);
  const s2 = (stepSize * perCoordinate(sigma)) ** 2 / Math.expm1(2 * logq);
  return { logq, s2, a2: y1 * y1 + s2 };
}

export function predictedSize(j, options) {
  const { logq, s2, a2 } = law(options);
  return s2 > 0
    ? Math.sqrt(Math.max(0, a2 * Math.exp(2 * j * logq) - s2))
    : Math.abs(options.y1) * Math.exp(j * logq);
}

// k0 + ln(exit / |y1|) / ln(1 + eta gamma) without noise; Infinity if y1 is 0.
export function predictedEscape({ k0 = 0, exit, ...options }) {
  if (Math.abs(options.y1) >= exit) return k0;
  const { logq, s2, a2 } = law(options);
  const growth = s2 > 0 ? 0.5 * Math.log((exit * exit + s2) / a2)
    : Math.log(exit / Math.abs(options.y1));
  return k0 + growth / logq;
}

// First k with |y1| >= exit, or null.
export function measuredEscape(trace, exit) {
  for (let k = 0; k <= trace.nit; k += 1) {
    if (Math.abs(trace.y1[k]) >= exit) return k;
  }
  return null;
}
