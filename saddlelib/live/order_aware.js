// The order-aware method of a race: saddlelib's methods/order_aware.py with krylov.py, floor.py and
// arrival.py, statement by statement; why each is so is said there. Of it stays behind what a race
// has no use for: exact products, gradients that are not exact, functions without a minimum or with
// one below f*, and the errors of what is read.

const UNIT = 2 ** -53;
const [SHARE, LEAST_SHARE] = [0.1, 0.03];
const [HALF, IN_A_ROW, SETTLES] = [0.5, 4, 5];
const [GAIN, LONGER] = [0.3, 1.3];
const [LOOSE, ON_FLOOR, LAST, FINEST] = [0.15, 0.1, 4, 0.01];
const [EXPLAINED, MOST, ON_WALLS] = [0.9, 400, 1e-3];
const [NOISE, UNSEEN, REACH] = [20, 1e-3, [1e-6, 0.1]];
const [ARMIJO, TRIALS, FAILS] = [1e-4, 40, 3];
const [MEMORY, PAIRS, DOUBTS, FLAT] = [20, 10, 5, 1e-15];
const [WINDOW, FALL, FAILED] = [10, 0.03, 3];
const [APART, SEEN] = [10, 1e-7];
const [THETA, POSSIBLE] = [[0.55, 0.93], [0.5, 0.97]];
const [FIRST_ORDER, FALLEN, ROUND, ROUGH] = [4, 4, 0.05, 0.12];
const [USUAL, TWICE, USELESS, KEPT] = [6, 0.15, 0.5, 6];
const [PATIENCE, SMALLER, VISIBLE, NEAR, CLEAR, STILL] = [50, 0.9, 4, 100, 1e6, 8];

const dot = (a, b) => {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i] * b[i];
  return sum;
};
const norm = (v) => Math.sqrt(dot(v, v));
const times = (a, v) => v.map((e) => a * e);
const plus = (x, a, v) => x.map((e, i) => e + a * v[i]);
const sum = (values) => values.reduce((a, b) => a + b, 0);
const within = (v, [low, high]) => Math.min(Math.max(v, low), high);

/* -- Ritz values -- */

// The eigenvalues of a symmetric tridiagonal matrix, rising, each with its vector: implicit QL, a
// chase of plane rotations from the last row that still hangs together up to the row that is to
// come loose, with Wilkinson's shift (Golub & Van Loan, section 8.3).
export function eigen(diagonal, beside) {
  const n = diagonal.length;
  const [d, e] = [[...diagonal], [...beside, 0]];
  const vectors = d.map((_, i) => new Float64Array(n).fill(1, i, i + 1));
  for (let [top, budget] = [0, 50 * n]; top < n && budget > 0; budget -= 1) {
    let end = top;
    while (end < n - 1 && Math.abs(e[end]) > 2 * UNIT * (Math.abs(d[end]) + Math.abs(d[end + 1]))) end += 1;
    if (end === top) {
      top += 1;
      continue;
    }
    const half = (d[top + 1] - d[top]) / (2 * e[top]);
    let g = d[end] - d[top] + e[top] / (half + (half < 0 ? -1 : 1) * Math.hypot(half, 1));
    let [c, s, taken] = [1, 1, 0];
    for (let i = end - 1; i >= top; i -= 1) {
      const [f, b] = [s * e[i], c * e[i]];
      const size = Math.hypot(f, g);
      [s, c] = size > 0 ? [f / size, g / size] : [0, 1];
      e[i + 1] = size;
      g = d[i + 1] - taken;
      const r = (d[i] - g) * s + 2 * c * b;
      taken = s * r;
      d[i + 1] = g + taken;
      g = c * r - b;
      const [low, high] = [vectors[i], vectors[i + 1]];
      for (let k = 0; k < n; k += 1) {
        const kept = high[k];
        high[k] = s * low[k] + c * kept;
        low[k] = c * low[k] - s * kept;
      }
    }
    d[top] -= taken;
    e[top] = g;
    e[end] = 0;
  }
  return vectors.map((vector, i) => ({ value: d[i], vector })).sort((one, other) => one.value - other.value);
}

/* -- conjugate gradients -- */

// Directions s with Hs, at most so many: like 1/H on their span, `scale` beside it.
class WallPairs {
  constructor(most = MEMORY, scale = 1, pairs = []) {
    Object.assign(this, { most, scale, pairs });
  }

  withPairs(fresh, largest) {
    const added = fresh.map(([s, y]) => ({ s, y, weight: 1 / dot(s, y) }));
    return new WallPairs(this.most, largest > 0 ? 1 / largest : this.scale,
                         [...this.pairs, ...added].slice(-this.most));
  }

  apply(r) {
    const parts = [];
    for (const { s, y, weight } of this.pairs.slice().reverse()) {
      parts.unshift(weight * dot(s, r));
      r = plus(r, -parts[0], y);
    }
    r = times(this.scale, r);
    this.pairs.forEach(({ s, y, weight }, i) => {
      r = plus(r, parts[i] - weight * dot(y, r), s);
    });
    return r;
  }
}

// Hs = -g from s = 0, in units of |g|, one product at a time.
class NewtonSolve {
  constructor(grad, walls) {
    const size = norm(grad);
    const residual = times(-1 / size, grad);
    const direction = walls ? walls.apply(residual) : residual;
    const square = dot(residual, direction);
    Object.assign(this, {
      size, residual, direction, square, walls, first: square, dual: residual, s: times(0, grad),
      before: null, decrement: 0, gains: [], lengths: [], ratios: [], pairs: [], squares: [],
      curvature: NaN, least: Infinity, largest: 0, crossed: null, enough: 0, negative: false, exact: false,
      found: null,
    });
  }

  advance(product) {
    const d = this.direction;
    const form = dot(d, product);
    const size = dot(d, this.dual) * (this.walls?.scale ?? 1);
    this.curvature = size > 0 ? form / size : NaN;
    this.largest = Math.max(this.largest, this.walls ? norm(product) / norm(d) : this.curvature);
    if (!(Number.isFinite(this.curvature) && this.curvature > FLAT * this.largest)) {
      this.negative = true;
      return;
    }
    this.least = Math.min(this.least, this.curvature);
    const alpha = this.square / form;
    this.before = this.s;
    this.s = plus(this.s, alpha, d);
    this.residual = plus(this.residual, -alpha, product);
    this.decrement += alpha * this.square;
    this.gains.push(alpha * this.square);
    this.pairs.push([d, product]);
    this.squares.push(this.square);
    const z = this.walls ? this.walls.apply(this.residual) : this.residual;
    const square = dot(this.residual, z);
    const ratio = square / this.square;
    this.lengths.push(alpha);
    this.ratios.push(ratio);
    this.exact = !(square > 0);
    if (this.exact) return;
    this.direction = plus(z, ratio, d);
    this.dual = plus(this.residual, ratio, this.dual);
    this.square = square;
  }

  ritz() {
    const [alpha, beta] = [this.lengths, this.ratios];
    return this.found ??= eigen(alpha.map((a, i) => 1 / a + (i ? beta[i - 1] / alpha[i - 1] : 0)),
                 alpha.slice(1).map((_, i) => Math.sqrt(beta[i]) / alpha[i]));
  }

  // Ritz values, falling, and what each contributes to the decrement.
  spectrum() {
    return this.ritz().slice().reverse().map(({ value, vector }) => ({
      value: value / (this.walls?.scale ?? 1), share: (this.first * vector[0] ** 2) / value }));
  }

  ritzPairs(cut) {
    const scale = this.walls?.scale ?? 1;
    const rows = this.pairs.map(([d, product], i) => (i === 0 ? [d, product]
      : [plus(d, -this.ratios[i - 1], this.pairs[i - 1][0]),
         plus(product, -this.ratios[i - 1], this.pairs[i - 1][1])]));
    return this.ritz().filter(({ value }) => value / scale >= cut).slice(-MEMORY)
      .map(({ vector }) => [0, 1].map((which) => rows.reduce((all, row, i) =>
        plus(all, ((-1) ** i * vector[i]) / Math.sqrt(this.squares[i]), row[which]), times(0, this.s))));
  }
}

/* -- walls and floor -- */

const isOrder = (theta) => THETA[0] < theta && theta < THETA[1];

function rounded(order, close) {
  const whole = Math.round(order);
  return Math.abs(order - whole) < close * whole ? whole : order;
}

// The walls' part of the decrement and the curvature between walls and floor, 0 for none.
function partOfWalls(spectrum, cut, largest, gap) {
  const total = sum(spectrum.map(({ share }) => share));
  let kept = spectrum.filter(({ share }) => share > SEEN * total);
  if (!kept.length) return [0, 0];
  const possible = (wall) => {
    if (gap === null || wall >= total || 0.5 * wall > SHARE * (total - wall)) return true;
    const theta = (gap - 0.5 * wall) / (total - wall);
    return POSSIBLE[0] < theta && theta < POSSIBLE[1];
  };
  if (cut > 0) {
    const wall = sum(kept.filter(({ value }) => value >= cut).map(({ share }) => share));
    if (possible(wall)) return [wall, cut];
  }
  if (largest > APART * kept[0].value) kept = [{ value: largest, share: 0 }, ...kept];
  const steps = kept.slice(1).map(({ value }, j) => ({ j, step: kept[j].value / value }));
  for (const { j, step } of steps.sort((a, b) => b.step - a.step).slice(0, 3)) {
    const wall = sum(kept.slice(0, j + 1).map(({ share }) => share));
    if (step >= APART && possible(wall)) return [wall, Math.sqrt(kept[j].value) * Math.sqrt(kept[j + 1].value)];
  }
  return [0, 0];
}

class Floor {
  order = NaN;
  fStar = NaN;
  last = NaN; // as it was read, before it became an integer
  points = [];
  distance = NaN;
  slope = NaN;
  curvature = NaN;

  get likely() {
    return this.order > 1 ? this.order : FIRST_ORDER;
  }

  away(slope) {
    return this.distance * Math.min(1, slope / this.slope) ** (1 / (this.likely - 1));
  }

  at(s, slope, decrement) {
    const size = norm(s);
    if (!(size > 0)) return;
    Object.assign(this, { distance: size * (this.likely - 1), slope, curvature: decrement / size / size });
  }

  // `rough` is the relative error of the decrement.
  read(theta, rough) {
    if (!isOrder(theta) || rough > USELESS) return;
    this.last = 1 / (1 - theta);
    this.order = rounded(this.last, ROUND);
  }

  // (f - f*)/D without f*, from this point and an earlier one.
  compare(value, decrement, rough) {
    const earlier = this.points.findLast(([before, larger]) =>
      larger > FALLEN * decrement && before > value && rough < USELESS);
    this.points = [...this.points, [value, decrement]].slice(-KEPT);
    const likely = 1 - 1 / this.likely;
    if (!earlier) return likely;
    const theta = (earlier[0] - value) / (earlier[1] - decrement);
    if (theta <= THETA[0]) return 0.5;
    if (!isOrder(theta)) return likely;
    const [last, now] = [this.last, 1 / (1 - theta)];
    const order = rounded(now, ROUGH);
    this.last = now;
    if (!(order === Math.round(order) && order <= USUAL || Math.abs(last - now) < TWICE * now)) return likely;
    this.order = order;
    this.fStar = value - (1 - 1 / order) * decrement;
    return 1 - 1 / order;
  }

  doubted() {
    if (this.order > 1) this.order = Math.max(2.5, 0.5 * (this.order + 2));
    Object.assign(this, { fStar: NaN, points: [] });
  }
}

/* -- the method -- */

// It says at which `point` it wants f and the gradient next, and is told them by `hear`, until it
// is `finished`.
class OrderAware {
  constructor(x, fun, jac, fStar) {
    Object.assign(this, {
      x, fun, jac, fStar, moved: Math.max(1e-3, 0.1 * norm(x)), best: { x, fun, jac }, solve: null,
      plan: null, trial: null, pairs: new WallPairs(PAIRS), cut: 0, hessNorm: 0, floor: new Floor(), gap: NaN,
      firstGap: NaN, height: Infinity, settles: 0, inARow: 0, wait: false, fails: 0, doubts: 0,
      descending: true, levels: [], window: WINDOW, failed: 0, record: { first: NaN, lowest: Infinity, slope: Infinity, since: 0 },
      finished: false,
    });
    this.stop();
  }

  get point() {
    if (!this.plan && this.descending) this.descend();
    if (this.plan) return plus(this.x, this.plan.length, this.plan.s);
    this.solve ??= new NewtonSolve(this.jac, this.cut > 0 && this.pairs.pairs.length ? this.pairs : null);
    this.h = this.difference() / norm(this.solve.direction);
    return plus(this.x, this.h, this.solve.direction);
  }

  hear(x, fun, jac) {
    if (this.plan) this.tried(x, fun, jac);
    else this.advance(times(1 / this.h, plus(jac, -1, this.jac)));
  }

  // The descent before

  descend() {
    const level = this.known && this.fun > this.fStar ? Math.sqrt(this.fun - this.fStar) : norm(this.jac);
    this.levels = [...this.levels, level].slice(-this.window - 1);
    if (this.levels.length > this.window && Math.min(...this.levels) > FALL * this.levels[0]) {
      Object.assign(this, { descending: false, pairs: new WallPairs() });
    } else {
      this.step(this.pairs.pairs.length ? this.pairs.apply(times(-1, this.jac)) : this.farther());
    }
  }

  step(s, length = 1, kind = "newton", tries = 0) {
    this.plan = { kind, s, length, tries };
  }

  farther() {
    const length = Math.max(2 * this.moved, 1e-3 * norm(this.x));
    return times(-length / norm(this.jac), this.jac);
  }

  keepPair(s, y) {
    if (dot(s, y) > 1e-10 * norm(s) * norm(y)) {
      this.pairs = this.pairs.withPairs([[s, y]], dot(y, y) / dot(s, y));
      this.hessNorm = Math.max(this.hessNorm, norm(y) / norm(s));
    }
  }

  // One product

  difference() {
    const { floor, hessNorm } = this;
    let [distance, curvature] = [this.moved, UNSEEN * hessNorm];
    if (floor.curvature > 0) [distance, curvature] = [floor.away(norm(this.jac)), floor.curvature];
    const noise = NOISE * UNIT * hessNorm * norm(this.x);
    const length = curvature > 0 ? Math.sqrt((noise * distance) / curvature) : 0;
    return within(length, REACH.map((part) => part * distance));
  }

  advance(product) {
    const { solve } = this;
    solve.advance(product);
    const why = this.whyOver(solve);
    if (why === null) return;
    this.solve = null;
    if (why === "stale") {
      this.pairs = new WallPairs();
      return;
    }
    this.hessNorm = Math.max(this.hessNorm, solve.largest);
    this.decide(solve, why);
  }

  whyOver(solve) {
    if (solve.negative) return "negative";
    const [square, n] = [solve.size ** 2, solve.gains.length];
    if (solve.crossed === null && solve.curvature < this.cut) {
      solve.crossed = solve.decrement - solve.gains.at(-1);
      if (n > 1 && this.hasToSettle(0.5 * solve.crossed * square)) return "walls";
      if (n === 1 && solve.walls && this.trial && !this.won()) return "stale";
    }
    if (solve.exact || n >= MOST) return "done";
    const [rest, gap] = [dot(solve.residual, solve.residual), this.gapNow()];
    if (this.cut > 0 && solve.crossed === null) {
      return rest <= ON_WALLS * this.cut * solve.decrement ? "done" : null;
    }
    const wall = solve.crossed ?? 0;
    const floor = solve.decrement - wall;
    const part = solve.crossed === null ? LOOSE : ON_FLOOR * Math.max(FINEST, this.shrunk(gap, (p) => 2 / p));
    if (!(n > LAST && Math.max(...solve.gains.slice(-LAST)) <= part * floor
          || rest <= part * floor * solve.least)) return null;
    solve.enough ||= 2 * n + 4;
    if (!this.known || gap === null || n >= solve.enough || rest <= 1e-10) return "done";
    return gap <= (EXPLAINED * floor + 0.5 * wall) * square ? "done" : null;
  }

  get known() {
    return this.fStar > -Infinity;
  }

  gapNow() {
    const fStar = this.known ? this.fStar : this.floor.fStar;
    return this.fun > fStar ? this.fun - fStar : null;
  }

  shrunk(gap, power) {
    if (gap === null || !(this.firstGap > 0)) return 1;
    return Math.min(1, gap / this.firstGap) ** power(this.floor.likely);
  }

  hasToSettle(height) {
    if (this.inARow >= IN_A_ROW || !(height < HALF * this.height)) return false;
    const gap = this.gapNow() ?? this.gap;
    if (!(gap > 0)) return true;
    return height > SHARE * Math.max(LEAST_SHARE, this.shrunk(gap, (p) => 1 - 2 / p)) * gap;
  }

  // What to do after a solve

  decide(solve, why) {
    const [square, size] = [solve.size ** 2, solve.size];
    const crossed = square * (solve.crossed ?? 0);
    if (!solve.gains.length) {
      this.choose("newton", this.farther());
      return;
    }
    let [s, D] = [times(size, solve.s), square * solve.decrement];
    let settle = why === "done" && this.cut > 0 && solve.crossed === null;
    if (why === "walls") [settle, s, D] = [true, times(size, solve.before), crossed];
    else if (why === "negative" && this.cut > 0 && this.trial) {
      settle = solve.crossed === null || this.hasToSettle(0.5 * crossed);
    }
    if (settle) {
      this.remember(solve);
      this.height = 0.5 * D;
      this.choose("settle", s);
      return;
    }
    const [wall, floor] = this.look(solve, why, D, crossed);
    const rest = (dot(solve.residual, solve.residual) * square) / solve.least;
    const rough = floor > 0 ? rest / floor : 0;
    if (why === "negative" && !this.trial && this.cut === 0) {
      this.descendAgain();
    } else this.remember(solve);
    this.choose("newton", s, wall, floor, rough);
  }

  look(solve, why, D, crossed) {
    const gap = this.known ? this.gapNow() : null;
    const last = sum(solve.gains.slice(-LAST)) * solve.size ** 2;
    const converged = why === "done" || solve.gains.length > LAST && last <= 0.1 * (D - crossed)
      || gap !== null && D > crossed && isOrder((gap - 0.5 * crossed) / (D - crossed));
    if (gap !== null && why === "done") this.doubt(gap > D);
    if (!(converged && D > 0 && D < Infinity)) return [0, 0];
    const spectrum = solve.spectrum();
    for (const one of spectrum) one.share *= solve.size ** 2;
    let [wall, cut] = partOfWalls(spectrum, this.cut, solve.walls ? 0 : this.hessNorm, gap);
    if (solve.walls && cut !== this.cut) [wall, cut] = [0, 0];
    this.cut = cut;
    if (cut > 0) return [wall, 0.5 * wall <= SHARE * (D - wall) ? D - wall : 0];
    return [0, gap !== null && isOrder(gap / D) ? D : 0];
  }

  remember(solve) {
    this.pairs = this.cut > 0 ? this.pairs.withPairs(solve.ritzPairs(this.cut), solve.largest) : new WallPairs();
  }

  choose(kind, s, wall = 0, floor = 0, rough = 0) {
    if (this.trial) {
      if (this.won()) Object.assign(this, { trial: null, settles: 0, failed: 0 });
      else if (kind !== "settle" || this.settles >= SETTLES) {
        this.takeBack();
        return;
      }
    }
    this.step(s, 1, kind);
    if (kind === "settle") return;
    Object.assign(this, { inARow: 0, height: Infinity });
    if (floor > 0) {
      const theta = this.theta(s, wall, floor, rough);
      const length = this.length(theta);
      if (length > LONGER && !this.wait) {
        this.trial = { x: this.x, jac: this.jac, fun: this.fun, moved: this.moved, s, expected: theta * floor };
        this.settles = 0;
        this.step(s, length, "jump");
        return;
      }
    }
    this.wait = false;
  }

  theta(s, wall, floor, rough) {
    const [value, gap] = [this.fun - 0.5 * wall, this.gapNow()];
    this.floor.at(s, norm(this.jac), floor);
    let theta = NaN;
    if (this.known) {
      if (gap !== null) theta = (gap - 0.5 * wall) / floor;
      if (this.cut > 0) this.floor.read(theta, rough);
      this.gap = gap ?? NaN;
    } else {
      theta = this.floor.compare(value, floor, rough);
      this.gap = theta * floor;
    }
    if (!(this.firstGap > 0)) this.firstGap = this.gap;
    return theta;
  }

  length(theta) {
    if (!isOrder(theta)) return 1;
    const read = this.cut > 0 || !this.known ? this.floor.order : NaN;
    return (read > 1 ? read : 1 / (1 - theta)) - 1;
  }

  doubt(unexplained) {
    this.doubts = unexplained ? this.doubts + 1 : 0;
    if (this.doubts >= DOUBTS) Object.assign(this, { fStar: -Infinity, gap: NaN });
  }

  descendAgain() {
    Object.assign(this, { descending: true, levels: [], pairs: new WallPairs(PAIRS) });
  }

  won() {
    return this.fun <= this.trial.fun - GAIN * this.trial.expected;
  }

  takeBack() {
    const { x, jac, fun, moved, s } = this.trial;
    Object.assign(this, {
      trial: null, plan: null, wait: true, settles: 0, inARow: 0, height: Infinity, cut: 0, pairs: new WallPairs(),
    });
    this.floor.doubted();
    this.failed += 1;
    if (this.failed >= FAILED) {
      Object.assign(this, { failed: 0, window: 2 * this.window });
      this.descendAgain();
    }
    if (this.fun < fun) return;
    Object.assign(this, { x, jac, fun, moved });
    this.step(s);
  }

  // Trying a point

  tried(x, fun, jac) {
    const { plan } = this;
    const finite = Number.isFinite(fun) && jac.every(Number.isFinite);
    if (finite && plan.kind === "jump") this.arrive(x, fun, jac, norm(plan.s));
    else if (finite && plan.kind === "settle" && fun < this.fun) {
      this.settles += 1;
      this.inARow += 1;
      this.arrive(x, fun, jac, Math.max(norm(plan.s), 1e-3 * this.moved));
    } else if (plan.kind !== "newton" && this.trial) this.takeBack();
    else this.search(plan, x, fun, jac, finite);
  }

  search({ s, length: t, tries }, x, fun, jac, finite) {
    const slope = dot(this.jac, s);
    if (slope >= 0) this.step(times(-1 / Math.max(this.hessNorm, norm(this.jac)), this.jac));
    else if (finite && fun < this.fun && fun <= this.fun + ARMIJO * t * slope) {
      const moved = plus(x, -1, this.x);
      this.fails = 0;
      if (this.descending) this.keepPair(moved, plus(jac, -1, this.jac));
      this.arrive(x, fun, jac, norm(moved));
    } else if (tries < TRIALS) {
      const bend = 2 * (fun - this.fun - t * slope);
      const best = bend > 0 && bend < Infinity ? (-slope * t * t) / bend : 0.1 * t;
      this.step(s, within(best, [0.1 * t, 0.5 * t]), "newton", tries + 1);
    } else {
      const { order, last } = this.floor;
      this.fails += 1;
      Object.assign(this, { plan: null, cut: 0, moved: 0.1 * this.moved, descending: false,
                            pairs: new WallPairs(), floor: Object.assign(new Floor(), { order, last }) });
      this.finished = this.fails >= FAILS;
    }
  }

  arrive(x, fun, jac, moved) {
    Object.assign(this, { x, fun, jac, moved, plan: null });
    if (fun < this.best.fun) this.best = { x, fun, jac };
    this.progress(moved);
    this.stop();
    this.finished ||= this.record.since >= PATIENCE;
  }

  progress(moved) {
    const { record, best } = this;
    if (Number.isNaN(record.first)) record.first = best.fun;
    const grain = UNIT * norm(best.x);
    const units = moved > NEAR * grain ? VISIBLE : moved > STILL * grain ? CLEAR : Infinity;
    const high = Math.max(Math.abs(best.fun), record.first - best.fun) || 1;
    const lower = best.fun < record.lowest - units * UNIT * high;
    const now = norm(best.jac);
    const since = lower || now < SMALLER * record.slope ? 0 : record.since + 1;
    if (lower) record.lowest = best.fun;
    if (since === 0) record.slope = Math.min(record.slope, now);
    record.since = since;
  }

  stop() {
    this.finished = norm(this.jac) === 0 || this.fun === this.fStar;
  }
}

// The method as a race wants it: it asks `call(x, g)` for f and the gradient, and yields after every
// call. `jumps` are the calls at which jumps land; fStar is f*, -Infinity for unknown.
export const orderAware = function* (x, call, course, { jumps, fStar = 0 }) {
  let g = new Float64Array(x.length);
  const run = new OrderAware(x, call(x, g), g, fStar);
  yield;
  while (!run.finished) {
    const at = run.point;
    if (run.plan?.kind === "jump") jumps.push(call.count());
    g = new Float64Array(x.length);
    run.hear(at, call(at, g), g);
    yield;
  }
};
