"""Ravines that nobody looked at while making the order-aware method: calls to 1e-12, 1e-20, 1e-28.

    python benchmarks/unseen_ravines.py --processes 2              all rows and methods
    python benchmarks/unseen_ravines.py --rows 6 --instances 1     six rows, spread over the kinds
    python benchmarks/unseen_ravines.py --kinds curved tensor --methods L-BFGS order-aware

Kinds, sizes and scales were chosen once, before the method was first run on them; data and starts
are drawn by seed. None was changed, taken out or put in because of what a method did on it. Keep it
that way: a rule that is tuned on these has no test left. README.md says what each column means.

f* = 0 is attained exactly, in closed form. On curved, convex and Rosenbrock ravines the minimizer
is 0 and f a sum of powers, so float64 shows every value down to 1e-300. Elsewhere f is a sum of
squares of differences that round at about 1e-16: values of 1e-28 can be shown, but their gradients
have few right digits, so a method may fail at that mark by rounding alone.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import Pool

import numpy as np
import scipy.optimize
from _measure import short, table, versions
from gdpolyak_peer import (
    MARKS,
    barzilai_borwein,
    count,
    lbfgs,
    order_aware,
    preconditioned,
    with_method,
)
from outside import Outside, _power

from saddlelib.methods import GDPolyak, SafeGDPolyak
from saddlelib.problems import (
    ConvexQuartic,
    MatrixFactorization,
    QuadraticSensing,
    RavineRosenbrock,
    TwoNeurons,
)

BUDGET = 20_000
PEER = "L-BFGS (10)"


@dataclass(frozen=True, eq=False)
class Ravine(Outside):
    """An objective with f* = 0, whose products come from complex steps; ℓ and ρ are not stated."""

    f_star = 0.0
    lipschitz_grad = lipschitz_hess = None


@dataclass(frozen=True, eq=False)
class Instance:
    """A problem, its start and a minimizer, K of the published GDPolyak, and what factors need."""

    problem: object
    x0: np.ndarray
    minimizer: np.ndarray
    epoch_length: int = 300
    factor: tuple | None = None

    @property
    def step_size(self) -> float:
        """η = 1/L, with L the largest |eigenvalue| of ∇²f at the start and at the minimizer."""
        def most(x):
            return _power(lambda v: self.problem.hvp(x, v), x.size, 30)

        return 1 / max(most(self.x0), most(self.minimizer))


@dataclass(frozen=True)
class Row:
    """Instances of one kind and size: ``make(rng)`` draws one with its start."""

    kind: str
    name: str
    make: Callable

    def instance(self, seed) -> Instance:
        """The instance of a seed; the same for the same name and seed."""
        return self.make(np.random.default_rng([seed, *self.name.encode()]))


def rotation(rng, n):
    """Q (n, n), orthogonal."""
    return np.linalg.qr(rng.standard_normal((n, n)))[0]


# Curved ravines

def floor(kind, order, weights):
    """(h, ∇h) of degree ``order`` on w, with h from 1 down to the ratio of the weights on axes.

    elliptic: (Σ a w²)^(p/2)/p with a = c^(2/p). separable: Σ c|w|^p/p. mixed: separable of order
    four and ½ Σ √(c c₊) w² w₊², with w₊ the next coordinate, round about.
    """
    c, p = weights, order
    if kind == "elliptic":
        a = c**(2 / p)
        return (lambda w: (a * w * w).sum()**(p / 2) / p,
                lambda w: (a * w * w).sum()**(p / 2 - 1) * a * w)

    def power(w):  # c|w|^(p-1) sign w, also for complex w near the real line
        return c * w * (w * w)**(p / 2 - 1)

    if kind == "separable":
        return lambda w: (power(w) * w).sum() / p, power
    between = 0.5 * np.sqrt(c * np.roll(c, -1))

    def mixed(w):
        s = w * w
        return (c * s * s).sum() / 4 + (between * s * np.roll(s, -1)).sum()

    def slope(w):
        s = w * w
        return power(w) + 2 * w * (between * np.roll(s, -1) + np.roll(between * s, 1))

    return mixed, slope


def curved(rng, walls, along, condition, order, anisotropy, kind):
    """½ Σ h(u − B(v, v))² + floor(v), with h from 1 to 1/condition, in turned coordinates."""
    turn, inner = rotation(rng, walls + along), rotation(rng, along)
    h = np.geomspace(1, 1 / condition, walls) if walls > 1 else np.ones(1)
    weights = np.geomspace(1, 1 / anisotropy, along) if along > 1 else np.ones(1)
    bend = rng.standard_normal((walls, along, along))
    bend = bend + bend.transpose(0, 2, 1)
    size = rng.uniform(0.5, 1, walls) / np.linalg.norm(bend, axis=(1, 2))
    bend = size[:, None, None] * bend
    flat, slope = floor(kind, order, weights)

    def parts(x):
        y = turn @ x
        u, v = y[:walls], y[walls:]
        return u - (bend @ v) @ v, v

    def fun(x):
        off, v = parts(x)
        return 0.5 * (h * off * off).sum() + flat(inner @ v)

    def grad(x):
        off, v = parts(x)
        pull = h * off
        along_v = inner.T @ slope(inner @ v) - 2 * np.tensordot(pull, bend, 1) @ v
        return turn.T @ np.concatenate([pull, along_v])

    v = rng.standard_normal(along)
    start = np.concatenate([0.5 * rng.standard_normal(walls) / walls**0.5,
                            0.7 * v / np.linalg.norm(v)])
    x0 = turn.T @ start
    return Instance(Ravine("curved", fun, grad, x0), x0, np.zeros(x0.size),
                    int(np.clip(5 * condition, 20, 1000)))


# Models with more parts than their data

def tanh_network(rng, inputs, teacher, hidden, samples):
    """½ mean (Σ vⱼ tanh⟨wⱼ, a⟩ − y)² with the labels of a network of fewer units."""
    a = rng.standard_normal((inputs, samples))
    w_true, v_true = rng.standard_normal((teacher, inputs)), np.sign(rng.standard_normal(teacher))
    y = v_true @ np.tanh(w_true @ a)
    cut = hidden * inputs

    def parts(x):
        w, v = x[:cut].reshape(hidden, inputs), x[cut:]
        t = np.tanh(w @ a)
        return v, t, v @ t - y

    def grad(x):
        v, t, r = parts(x)
        back = (v[:, None] * r) * (1 - t * t)
        return np.concatenate([(back @ a.T).ravel(), t @ r]) / samples

    minimizer = np.zeros(cut + hidden)
    minimizer[:teacher * inputs], minimizer[cut:cut + teacher] = w_true.ravel(), v_true
    x0 = minimizer + 0.3 * rng.standard_normal(minimizer.size)
    return Instance(Ravine("tanh network", lambda x: 0.5 * (parts(x)[2]**2).mean(), grad, x0), x0,
                    minimizer)


def symmetric_tensor(rng, n, rank, terms):
    """½‖Σ aⱼ⊗aⱼ⊗aⱼ − T‖² with T a sum of fewer terms."""
    truth = np.zeros((terms, n))
    truth[:rank] = rng.standard_normal((rank, n))
    truth[:rank] /= np.linalg.norm(truth[:rank], axis=1, keepdims=True)

    def build(f):
        return np.einsum("ji,jk,jl->ikl", f, f, f)

    target = build(truth)

    def grad(x):
        f = x.reshape(terms, n)
        return 3 * np.einsum("ikl,jk,jl->ji", build(f) - target, f, f).ravel()

    x0 = truth.ravel() + 0.2 * rng.standard_normal(truth.size)
    problem = Ravine("symmetric tensor", lambda x: 0.5 * (
        (build(x.reshape(terms, n)) - target)**2).sum(), grad, x0)
    return Instance(problem, x0, truth.ravel())


def tensor(rng, shape, rank, terms):
    """½‖Σ aⱼ⊗bⱼ⊗cⱼ − T‖² with T a sum of fewer terms."""
    cuts = np.cumsum([terms * n for n in shape[:2]])
    truth = [np.zeros((terms, n)) for n in shape]
    for f in truth:
        f[:rank] = rng.standard_normal((rank, f.shape[1]))
        f[:rank] /= np.linalg.norm(f[:rank], axis=1, keepdims=True)

    def split(x):
        return [f.reshape(terms, n) for f, n in zip(np.split(x, cuts), shape, strict=True)]

    def build(a, b, c):
        return np.einsum("ji,jk,jl->ikl", a, b, c)

    target = build(*truth)

    def grad(x):
        a, b, c = split(x)
        r = build(a, b, c) - target
        return np.concatenate([np.einsum("ikl,jk,jl->ji", r, b, c).ravel(),
                               np.einsum("ikl,ji,jl->jk", r, a, c).ravel(),
                               np.einsum("ikl,ji,jk->jl", r, a, b).ravel()])

    minimizer = np.concatenate([f.ravel() for f in truth])
    x0 = minimizer + 0.2 * rng.standard_normal(minimizer.size)
    problem = Ravine("tensor", lambda x: 0.5 * ((build(*split(x)) - target)**2).sum(), grad, x0)
    return Instance(problem, x0, minimizer)


# Problems of the library, of other sizes

def factorization(rng, n, rank, columns, condition):
    """½‖UUᵀ − GGᵀ‖² with spare columns; G is a minimizer to the last digit."""
    G = rotation(rng, n)[:, :rank] * np.geomspace(1, 1 / condition, rank)**0.5
    problem = MatrixFactorization(G @ G.T, rank, columns=columns)
    x0 = rng.standard_normal(problem.dim)
    spare = np.zeros((n, columns - rank))
    return Instance(problem, x0 / np.linalg.norm(x0), np.hstack([G, spare]).ravel(),
                    factor=(columns, 1.0))


def sensing(rng, n, rank, columns, measurements):
    """Quadratic measurements of a matrix, with spare columns."""
    problem = QuadraticSensing.random(n, rank, columns=columns, measurements=measurements, rng=rng)
    x0 = rng.standard_normal(problem.dim)
    return Instance(problem, x0 / np.linalg.norm(x0), problem.minimizers[0],
                    factor=(columns, 8.0))


def neurons(rng, n):
    """Two neurons that learn one, from near its halves."""
    problem = TwoNeurons(rng.standard_normal(n))
    away = rng.standard_normal(2 * n)
    x0 = problem.minimizers[0] + 0.25 * np.linalg.norm(problem.target) * (
        away / np.linalg.norm(away))
    return Instance(problem, x0, problem.minimizers[0], 100)


def convex(rng, n, condition, kernel):
    """½ Σ h u² + ¼ Σ v⁴."""
    return Instance(ConvexQuartic.spread(n, condition, kernel), rng.standard_normal(n) / 2,
                    np.zeros(n), int(np.clip(5 * condition, 20, 1000)))


def rosenbrock(rng, a, bend):
    """x⁴ + a(y − bx²)²."""
    return Instance(RavineRosenbrock(a, bend), rng.standard_normal(2), np.zeros(2), 100)


CURVED = [  # walls, floor, condition, order, anisotropy, shape of the floor
    (1, 1, 1, 3, 1, "elliptic"), (1, 1, 1, 6, 1, "elliptic"), (2, 1, 10, 4, 1, "elliptic"),
    (2, 2, 100, 3, 30, "elliptic"), (3, 2, 1e3, 4, 100, "mixed"), (4, 4, 30, 6, 10, "elliptic"),
    (5, 3, 1e4, 4, 10, "elliptic"), (6, 2, 100, 3, 1e3, "separable"),
    (8, 4, 1e3, 6, 1, "separable"), (10, 6, 10, 4, 1e3, "mixed"), (12, 1, 1e4, 3, 1, "elliptic"),
    (20, 3, 100, 6, 100, "elliptic"), (30, 10, 30, 4, 30, "separable"),
    (40, 6, 300, 4, 10, "mixed"), (40, 6, 30, 3, 10, "elliptic"),
]


def rows():
    """All rows, kind by kind."""
    made = [("curved", f"{w}+{v}, κ={c:g}, order {p}, anisotropy {s:g}, {kind}", curved,
             (w, v, c, p, s, kind)) for w, v, c, p, s, kind in CURVED]
    made += [("network", f"{n}-{hidden} tanh of {teacher}, {m} samples", tanh_network,
              (n, teacher, hidden, m))
             for n, teacher, hidden, m in ((3, 1, 3, 60), (4, 2, 5, 120), (6, 2, 4, 150),
                                           (10, 1, 3, 200))]
    made += [("tensor", f"symmetric {n}³, {k} terms of {r}", symmetric_tensor, (n, r, k))
             for n, r, k in ((4, 1, 2), (6, 2, 3), (8, 3, 5))]
    made += [("tensor", f"{'×'.join(map(str, n))}, {k} terms of {r}", tensor, (n, r, k))
             for n, r, k in (((5, 5, 5), 1, 2), ((4, 6, 8), 2, 3), ((7, 7, 7), 2, 4))]
    made += [("factorization", f"{n}×{k} of rank {r}, condition {c:g}", factorization, (n, r, k, c))
             for n, r, k, c in ((30, 1, 3, 1), (60, 3, 6, 1), (24, 2, 8, 10), (100, 2, 3, 3))]
    made += [("sensing", f"{n}×{k} of rank {r}, {m} measurements", sensing, (n, r, k, m))
             for n, r, k, m in ((15, 1, 3, 120), (30, 2, 4, 400), (50, 1, 2, 500))]
    made += [("neurons", f"d={n}", neurons, (n,)) for n in (4, 25, 300)]
    made += [("convex", f"d={n}, κ={c:g}, kernel {k}", convex, (n, c, k))
             for n, c, k in ((6, 1e4, 1), (20, 1e3, 10), (80, 30, 20), (200, 300, 100))]
    made += [("Rosenbrock", f"a={a:g}, b={b:g}", rosenbrock, (a, b))
             for a, b in ((3, 1), (100, 1), (30, -0.5))]
    return [Row(kind, name, lambda rng, make=make, told=told: make(rng, *told))
            for kind, name, make, told in made]


def trust_ncg(f, x):
    """SciPy's trust-region Newton-CG, products by differences, with its stopping test off.

    It takes no note of the order of a floor: what it saves is due to Newton steps alone. (SciPy's
    Newton-CG stops where a curvature is below 7e-16, which is near 1e-11 on such floors.)
    """
    at = {}

    def grad(x):
        at["x"], at["grad"] = x.copy(), f.grad(x)
        return at["grad"]

    def product(x, v):  # asked for at the point of the last gradient
        h = 1e-7 * max(np.linalg.norm(x), 1e-8) / np.linalg.norm(v)
        known = at["grad"] if np.array_equal(at["x"], x) else grad(x)
        return (f.grad(x + h * v) - known) / h

    scipy.optimize.minimize(f.fun, x, jac=grad, hessp=product, method="trust-ncg",
                            options=dict(gtol=0, maxiter=10**6))


def methods(instance):
    """Name → run(counter, x0); what applies to the instance."""
    eta = instance.step_size
    return {
        PEER: lambda f, x: lbfgs(f, x, eta),
        **order_aware(),
        "safe GDPolyak": with_method(SafeGDPolyak(eta)),
        "GDPolyak": with_method(GDPolyak(eta, instance.epoch_length)),
        "trust-ncg": trust_ncg,
        "Barzilai-Borwein": lambda f, x: barzilai_borwein(f, x, eta),
        **(preconditioned(*instance.factor) if instance.factor else {}),
    }


@lru_cache(maxsize=2)
def _instance(number, seed):
    return rows()[number].instance(seed)


def measure(job):
    """(number of the row, seed, method → calls to each mark) of one instance."""
    number, seed, wanted, budget = job
    instance = _instance(number, seed)
    found = {}
    for name, run in methods(instance).items():
        if not wanted or name == PEER or any(word.lower() in name.lower() for word in wanted):
            found[name] = count(run, instance.problem, instance.x0, budget, to_last=True)[0]
    return number, seed, found


# What it comes to

def geometric_mean(values):
    """exp of the mean logarithm."""
    return math.exp(sum(map(math.log, values)) / len(values))


def summary(found, kinds, budget):
    """Rows of a table: method, kind, runs, and for each mark what its calls are of L-BFGS's.

    A mark that one of the two missed counts with the budget, and one that both missed does not
    count. In brackets are those that both reached. ``found`` maps (row, seed) to method → calls,
    ``kinds`` gives the kind of a row.
    """
    names = list(dict.fromkeys(name for each in found.values() for name in each))
    lines = []
    for kind in ["all", *dict.fromkeys(kinds[number] for number, _ in found)]:
        for name in names:
            runs = [each for (number, _), each in found.items()
                    if name in each and kind in (kinds[number], "all")]
            if runs:
                lines.append([name, kind, str(len(runs)),
                              *(_cell(runs, name, i, budget) for i in range(len(MARKS)))])
    return lines


def _cell(runs, name, mark, budget):
    ratios, both, misses, wins = [], [], 0, 0
    for each in runs:
        calls, peer = each[name][mark], each[PEER][mark]
        misses += calls == math.inf
        wins += calls == min(hits[mark] for hits in each.values()) < math.inf
        if max(calls, peer) < math.inf:
            both.append(calls / peer)
        if min(calls, peer) < math.inf:
            ratios.append(min(calls, budget) / min(peer, budget))
    if not ratios:
        return f"–, {misses} missed"
    mean_of_both = f"{geometric_mean(both):.2f}" if both else "–"
    return (f"{geometric_mean(ratios):.2f} ({mean_of_both}), worst {max(ratios):.2f}, "
            f"{misses} missed, {wins} won")


def _calls(hits):
    return " / ".join(short(hit) if hit < math.inf else "–" for hit in hits)


def chosen(limit=None, kinds=None):
    """Numbers of the rows of these kinds, at most ``limit`` of them, spread evenly."""
    numbers = [i for i, row in enumerate(rows()) if not kinds or row.kind in kinds]
    if limit is None or limit >= len(numbers):
        return numbers
    return [numbers[i * len(numbers) // limit] for i in range(limit)]


def main(limit=None, kinds=None, methods=None, instances=2, budget=BUDGET, processes=1):
    """Print a table of each kind as its runs end, and the summary."""
    numbers, made = chosen(limit, kinds), rows()
    jobs = [(number, seed, methods, budget) for number in numbers for seed in range(instances)]
    print(f"{versions()}; budget {short(budget)} calls; {len(numbers)} rows with {instances} "
          f"instances each; calls to {' / '.join(f'{mark:.0e}' for mark in MARKS)}\n")
    found, by_kind = {}, defaultdict(list)
    with Pool(processes) as pool:
        for number, seed, each in pool.imap(measure, jobs):
            found[number, seed] = each
            by_kind[made[number].kind].append((number, seed))
            if len(by_kind[made[number].kind]) == sum(made[n].kind == made[number].kind
                                                      for n, *_ in jobs):
                _print_kind(made, by_kind[made[number].kind], found)
    kinds = [row.kind for row in made]
    header = ["method", "kind", "runs", *(f"{mark:.0e}" for mark in MARKS)]
    print("### Calls over those of L-BFGS\n")
    print(table(header, summary(found, kinds, budget)))
    return found


def _print_kind(made, keys, found):
    names = list(dict.fromkeys(name for key in keys for name in found[key]))
    lines = [[f"{made[number].name}, {seed}",
              *(_calls(found[number, seed].get(name, [math.inf] * len(MARKS))) for name in names)]
             for number, seed in keys]
    print(f"### {made[keys[0][0]].kind}\n\n{table(['row, seed', *names], lines)}\n", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, dest="limit")
    parser.add_argument("--kinds", nargs="+")
    parser.add_argument("--methods", nargs="+", help="parts of names; L-BFGS runs in any case")
    parser.add_argument("--instances", type=int, default=2)
    parser.add_argument("--budget", type=int, default=BUDGET)
    parser.add_argument("--processes", type=int, default=1)
    main(**vars(parser.parse_args()))
