"""The default of `saddlelib.minimize` against psd and against SciPy with certificate and restart.

    python benchmarks/front_door.py                   all rows, five seeds
    python benchmarks/front_door.py --largest 100     small rows only
    python benchmarks/front_door.py --seeds 1

Every method gets the same functions, counted, and the same question: from exactly a saddle to a
point with ‖∇f‖₂ ≤ ε and λ_min ≥ −γ. The default is told ε and γ and nothing else; psd is told ℓ and
ρ, and SciPy's restarts are told ρ. README.md says what each column means.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

import certificates
import numpy as np
import scipy.optimize
import unseen
from _measure import equivalents, in_turns, median, short, table, versions
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

import saddlelib
from saddlelib.methods.psd import curvature_step
from saddlelib.problems import MatrixFactorization, Octopus, QuarticSaddle, SeparableQuartic

EPSILON, FAILURE_PROB = unseen.EPSILON, 1e-4
MOST_RESTARTS, MOST_STEPS = 100, 20_000
ARPACK_TOL = 0.1
DENSE = 1000  # largest d whose Hessian is assembled to see whether an answer is right
# BFGS keeps a d × d matrix and multiplies two such in every step.
LARGEST_BFGS = 500


@dataclass(frozen=True)
class Task:
    """A problem, its start at a saddle, and what methods may be told of it."""

    name: str
    problem: object
    x0: np.ndarray
    curvature_tol: float

    @property
    def dim(self) -> int:
        """d."""
        return self.x0.size


class Counted:
    """The functions of a problem, and how often they were called."""

    def __init__(self, problem, products=True):
        self.problem, self.products = problem, products
        self.nfev = self.njev = self.nhvp = 0
        self.last = None

    def fun(self, x):
        """f(x)."""
        self.nfev += 1
        return self.problem.fun(x)

    def grad(self, x):
        """∇f(x), which is kept as ``last``."""
        self.njev += 1
        self.last = self.problem.grad(x)
        return self.last

    @property
    def hessp(self):
        """v ↦ ∇²f(x) v, or None where a method is to do without."""
        return self._product if self.products else None

    def _product(self, x, v):
        self.nhvp += 1
        return self.problem.hvp(x, v)


@dataclass(frozen=True)
class End:
    """Where a run ended, whether it calls that certified, and the cost up to there."""

    x: np.ndarray
    certified: bool
    cost: float  # gradients + 2·products + values/2


def end(x, certified, counted):
    """The end of a run, with its cost."""
    calls = equivalents(counted.njev, counted.nhvp)
    return End(np.asarray(x), bool(certified), calls + counted.nfev / 2)


# The methods: each takes a task, whether there are products, and a seed

def run_default(task, products, seed):
    """What a user writes who knows derivatives and no constant."""
    f = Counted(task.problem, products)
    r = saddlelib.minimize(f.fun, task.x0, jac=f.grad, hessp=f.hessp, epsilon=EPSILON,
                           curvature_tol=task.curvature_tol, failure_prob=FAILURE_PROB, rng=seed)
    return end(r.x, r.success, f)


def run_psd(task, products, seed):
    """The practical PSD, which has to be told ℓ and ρ."""
    f, p = Counted(task.problem, products), task.problem
    r = saddlelib.minimize(f.fun, task.x0, "psd", jac=f.grad, hessp=f.hessp, epsilon=EPSILON,
                           curvature_tol=task.curvature_tol, failure_prob=FAILURE_PROB, rng=seed,
                           lipschitz_grad=p.lipschitz_grad, lipschitz_hess=p.lipschitz_hess)
    return end(r.x, r.success, f)


def _options(method, dim, counted):
    """What makes a solver of SciPy's stop at ‖∇f‖₂ ≤ ε, and nowhere before."""
    if method == "BFGS":
        return dict(options=dict(gtol=EPSILON, norm=2, maxiter=MOST_STEPS))
    if method != "L-BFGS-B":
        return dict(hessp=counted.hessp, options=dict(gtol=EPSILON, maxiter=MOST_STEPS))

    def stop(intermediate_result):
        # L-BFGS-B knows ‖·‖_∞ only. Its last gradient is that of the new point.
        if np.linalg.norm(counted.last) <= EPSILON:
            raise StopIteration

    return dict(callback=stop, options=dict(gtol=EPSILON / dim**0.5, ftol=0.0, maxiter=MOST_STEPS,
                                            maxfun=10 * MOST_STEPS))


def by_certify(task, counted, oracle, r, looks, rng):
    """Whether SciPy's answer passes `saddlelib.certify`, and what that saw."""
    seen = saddlelib.certify(
        oracle, r.x, epsilon=EPSILON, curvature_tol=task.curvature_tol, grad_at_x=r.jac, rng=rng,
        lipschitz_hess=task.problem.lipschitz_hess, resolution=0.5, recheck=False,
        failure_prob=FAILURE_PROB / (looks * (looks + 1)))
    return seen.passed, seen.min_eig + seen.hvp_error, seen


def by_arpack(task, counted, oracle, r, looks, rng):
    """The same without saddlelib: the least eigenvalue by ARPACK, through SciPy's `eigsh`.

    Products are the given ones, or forward differences of the gradient at SciPy's spacing. A tenth
    of the tolerance is asked for, and no probability is known with which it fails.
    """
    x, g = r.x, r.jac
    h = 2**-26 * max(1.0, np.linalg.norm(x))

    def product(v):
        v = np.ravel(v)
        if counted.hessp is not None:
            return counted.hessp(x, v)
        size = np.linalg.norm(v)
        return (counted.grad(x + h / size * v) - g) * (size / h)

    if x.size <= 2:  # ARPACK wants more
        values, vectors = np.linalg.eigh(np.array([product(e) for e in np.eye(x.size)]))
    else:
        operator = LinearOperator((x.size, x.size), matvec=product, dtype=float)
        try:
            values, vectors = eigsh(operator, k=1, which="SA", tol=ARPACK_TOL,
                                    v0=rng.standard_normal(x.size))
        except ArpackError:
            return False, math.nan, None
    seen = SimpleNamespace(min_eig=float(values[0]), direction=vectors[:, 0])
    return seen.min_eig >= -task.curvature_tol, seen.min_eig, seen


def run_scipy(task, products, seed, method, look=by_certify):
    """SciPy, a certificate, an escape along its direction; again, until it passes.

    Certificates, their probabilities and the escape are those of `saddlelib.methods.CertifiedPSD`,
    or the certificate is ARPACK's. A solver that stops early where the gradient is large begins
    anew from there.
    """
    f, x, rho, looks = Counted(task.problem, products), task.x0, task.problem.lipschitz_hess, 0
    oracle, rng = saddlelib.Oracle(f.fun, jac=f.grad, hessp=f.hessp), np.random.default_rng(seed)
    for _ in range(MOST_RESTARTS):
        r = scipy.optimize.minimize(f.fun, x, jac=f.grad, method=method,
                                    **_options(method, task.dim, f))
        if not np.linalg.norm(r.jac) <= EPSILON:
            if r.nit == 0 or not np.isfinite(r.fun):
                return end(r.x, False, f)
            x = r.x
            continue
        looks += 1
        passed, least, seen = look(task, f, oracle, r, looks, rng)
        if passed or not least < -0.5 * task.curvature_tol:
            return end(r.x, passed, f)
        step, _ = curvature_step(oracle, r.x, r.fun, r.jac, seen, rho)
        if step is None:
            return end(r.x, False, f)
        x = r.x + step
    return end(r.x, False, f)


@dataclass(frozen=True)
class Entry:
    """A column: how to run it, with products or not, and up to which d."""

    name: str
    run: Callable
    products: bool = True
    largest: float = math.inf
    scipy: bool = True
    alone: bool = False  # without anything of saddlelib's that decides


METHODS = (
    Entry("default", run_default, scipy=False),
    Entry("default, gradients", run_default, False, scipy=False),
    Entry("psd", run_psd, scipy=False),
    Entry("psd, gradients", run_psd, False, scipy=False),
    Entry("trust-ncg", partial(run_scipy, method="trust-ncg")),
    Entry("trust-krylov", partial(run_scipy, method="trust-krylov")),
    Entry("L-BFGS-B", partial(run_scipy, method="L-BFGS-B")),
    Entry("L-BFGS-B, gradients", partial(run_scipy, method="L-BFGS-B"), False),
    Entry("BFGS", partial(run_scipy, method="BFGS"), largest=LARGEST_BFGS),
    Entry("BFGS, gradients", partial(run_scipy, method="BFGS"), False, LARGEST_BFGS),
    Entry("L-BFGS-B, ARPACK", partial(run_scipy, method="L-BFGS-B", look=by_arpack), alone=True),
    Entry("L-BFGS-B, ARPACK, gradients",
          partial(run_scipy, method="L-BFGS-B", look=by_arpack), False, alone=True),
)


# The rows

def known(problem):
    """A problem of the library, from its saddle at 0."""
    name = problem.name
    if isinstance(problem, MatrixFactorization):
        name = f"{name} {problem.n}×{problem.rank}"
    return Task(name, problem, np.zeros(problem.dim), math.sqrt(problem.lipschitz_hess * EPSILON))


def tasks(largest=10_000):
    """The 26 rows, those with d ≤ ``largest``."""
    ours = [*map(QuarticSaddle.spread, (2, 10, 100, 1000, 10_000)),
            *map(SeparableQuartic, (10, 100, 1000)),
            *(MatrixFactorization.from_eigenvalues(np.linspace(1.0, 0.5, rank), n=n, rng=0)
              for n, rank in ((20, 2), (100, 3), (300, 5))),
            *map(Octopus, (4, 8, 12))]
    return [known(p) for p in ours if p.dim <= largest] + [
        Task(p.name, p, p.x0, p.curvature_tol) for p in unseen.problems(largest)]


def place(task):
    """The name of a row."""
    return f"{task.name}, d = {task.dim}"


def is_right(task, x):
    """Whether x answers the question, by the exact Hessian, up to rounding."""
    if not np.linalg.norm(task.problem.grad(x)) <= EPSILON * (1 + 1e-9):
        return False
    least = certificates.min_eig(task.problem, x, DENSE)
    return bool(least >= -task.curvature_tol - 1e-9 * task.problem.lipschitz_grad)


@dataclass(frozen=True)
class Cell:
    """What a method took on a problem: medians over the runs that end certified, and rightly so."""

    cost: float
    seconds: float
    right: int
    wrong: int
    runs: int

    @property
    def complete(self) -> bool:
        """Whether all runs ended certified, and rightly so."""
        return self.right == self.runs

    def __str__(self):
        if not self.right:
            return f"none certified{self._wrong}"
        some = "" if self.complete else f"; {self.right} of {self.runs}{self._wrong}"
        return f"{short(self.cost)}; {short(1e3 * self.seconds)} ms{some}"

    @property
    def _wrong(self):
        return f", {self.wrong} wrong" if self.wrong else ""


def cell(task, found):
    """The cell for a list of (`End`, seconds)."""
    claimed = [(e, seconds) for e, seconds in found if e.certified]
    right = [(e.cost, seconds) for e, seconds in claimed if is_right(task, e.x)]
    cost, seconds = map(median, zip(*right, strict=True)) if right else (math.inf, math.inf)
    return Cell(cost, seconds, len(right), len(claimed) - len(right), len(found))


def row(task, seeds):
    """A dictionary of cells by the name of the method, for the methods that can be run."""
    here = {m.name: m for m in METHODS if task.dim <= m.largest}
    found = in_turns({name: partial(m.run, task, m.products) for name, m in here.items()}, seeds)
    return {name: cell(task, runs) for name, runs in found.items()}


# What it comes to

# Equivalents of psd in version 0.1.0 with products and without, medians of five seeds, by this
# script: what the default was to be held against, whatever becomes of psd.
BEFORE = {
    "quartic saddle, d = 2": (22, 23),
    "quartic saddle, d = 10": (48, 39),
    "quartic saddle, d = 100": (64.5, 47),
    "quartic saddle, d = 1000": (72, 51),
    "quartic saddle, d = 10000": (76.5, 52.5),
    "separable quartic, d = 10": (29, 31),
    "separable quartic, d = 100": (43, 45),
    "separable quartic, d = 1000": (51.5, 57.5),
    "matrix factorization 20×2, d = 40": (48.5, 45.5),
    "matrix factorization 100×3, d = 300": (51.5, 44.5),
    "matrix factorization 300×5, d = 1500": (70.5, 86.5),
    "octopus, d = 4": (52, 63),
    "octopus, d = 8": (98, 121),
    "octopus, d = 12": (144, 191),
    "Wood, from its saddle, d = 4": (37647, 37668),
    "mixture of four, d = 20": (32.5, 32.5),
    "tensor of order three, d = 40": (34, 35),
    "Thomson, logarithmic, d = 48": (116, 108),
    "covariance sketching, d = 90": (131, 157),
    "synchronization of signs, d = 120": (52.5, 44.5),
    "phase retrieval, complex, d = 128": (145.5, 172.5),
    "tanh network, biases, d = 134": (656, 766.5),
    "max-cut, circulant, d = 360": (279.5, 291.5),
    "linear network, half learned, d = 450": (177, 221),
    "dictionary, overcomplete, d = 980": (727.5, 766.5),
    "completion, rectangular, d = 2000": (96.5, 121.5),
}


@dataclass(frozen=True)
class Result:
    """A row with its task."""

    task: Task
    cells: dict[str, Cell]

    def least(self, names, what):
        """The least cost or time among the methods all of whose runs are certified, else nan."""
        return min((getattr(c, what) for name, c in self.cells.items()
                    if name in names and c.complete), default=math.nan)


def names(products=None, scipy=None, alone=None):
    """Names of the methods with or without products, of SciPy's or ours, or of SciPy's alone."""
    return [m.name for m in METHODS if products in (None, m.products) and scipy in (None, m.scipy)
            and alone in (None, m.alone)]


def compare(results, own, others, what="cost"):
    """One line: own over the least of the others, as a geometric mean, with its exceptions."""
    return _line({place(r.task): (r.least([own], what), r.least(others, what)) for r in results})


def against_before(results, own, products):
    """The same against what the psd of version 0.1.0 took, with products or without."""
    return _line({place(r.task): (r.least([own], "cost"), BEFORE[place(r.task)][not products])
                  for r in results})


def _line(pairs):
    """Ratios of pairs in words; nan is a method that is not certified in all its runs."""
    pairs = {name: pair for name, pair in pairs.items() if not math.isnan(pair[1])}
    ratios = {name: a / b for name, (a, b) in pairs.items() if not math.isnan(a)}
    if not ratios:
        return "not measured"
    above = [f"{name}: {short(ratio)}" for name, ratio in ratios.items() if ratio > 1]
    above += [f"{name}: not certified" for name in pairs if name not in ratios]
    values = list(ratios.values())
    return (f"geometric mean {short(math.exp(np.log(values).mean()))} over {len(values)} rows, "
            f"median {short(median(values))}, largest {short(max(values))}; above 1: "
            f"{', '.join(above) or 'none'}")


def summary(results):
    """Lines that hold the default, with products and without, against psd and the best of SciPy."""
    large = [r for r in results if r.task.dim >= 100]
    lines = []
    for products, own, psd in ((True, "default", "psd"),
                               (False, "default, gradients", "psd, gradients")):
        alike, every = names(products, True, False), names(scipy=True, alone=False)
        said = {psd: compare(results, own, [psd]),
                f"{psd} of version 0.1.0": against_before(results, own, products),
                "best of SciPy with the same derivatives": compare(results, own, alike),
                "best of SciPy of all columns": compare(results, own, every),
                "best of SciPy with SciPy's own eigenvalues": compare(results, own,
                                                                      names(alone=True)),
                "fastest of SciPy of all columns, time, d ≥ 100":
                    compare(large, own, every, "seconds")}
        lines += [f"- {own} / {other}: {words}" for other, words in said.items()]
    return "\n".join(lines)


def report(largest=10_000, seeds=5):
    """The table and the summary."""
    results = [Result(task, row(task, seeds)) for task in tasks(largest)]
    header = ["problem", "d", "γ", *names()]
    rows = [[r.task.name, str(r.task.dim), short(r.task.curvature_tol),
             *(str(r.cells.get(name, "–")) for name in names())] for r in results]
    return f"{table(header, rows)}\n\n{summary(results)}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--largest", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    print(f"{versions()}; median of {given.seeds}\n\n{report(given.largest, given.seeds)}")
