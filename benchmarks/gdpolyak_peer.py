"""GDPolyak: oracle calls against the authors' loop and other first-order methods, and time a call.

    python benchmarks/gdpolyak_peer.py                   all rows, several minutes
    python benchmarks/gdpolyak_peer.py --problems Rosenbrock half
    python benchmarks/gdpolyak_peer.py --times           only the times at d = 10⁴
    python benchmarks/gdpolyak_peer.py --torch           only the two optimizers of PyTorch

README.md says what each column means.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
import scipy.optimize
from _measure import median, short, table, versions

from saddlelib import Oracle, minimize
from saddlelib.methods import (
    CurvatureSwitch,
    GDPolyak,
    GradientDescent,
    OrderAwareNewton,
    PlateauSwitch,
    PolyakDescent,
    PrecGD,
    SafeGDPolyak,
    ScaledGD,
)
from saddlelib.problems import (
    ConvexQuartic,
    MatrixFactorization,
    QuadraticSensing,
    RavineRosenbrock,
    TwoNeurons,
)

MARKS = (1e-12, 1e-20, 1e-28)
SHARES = (1.0, 0.4, 0.15)
HEADER = ["method", "calls to 1e-12", "1e-20", "1e-28", "least f"]


class _Spent(Exception):
    pass


class Counter:
    """f, ∇f and ∇²f·v of a problem, with the call at which f first was at most each of `MARKS`.

    One call is f and ∇f at one point, whichever of the two is asked for, in whichever order; the
    same question once more is a new call. A product by differences of gradients is one call, since
    it asks for ∇f at a point of its own; an exact product is two, and a Hessian d products.
    ``to_last`` ends the run at the last mark, or at the one that it names.
    """

    def __init__(self, problem, budget, to_last=False):
        self.problem, self.budget = problem, budget
        self.end = MARKS.index(MARKS[-1] if to_last is True else to_last) if to_last else None
        self.dim, self.name, self.f_star = problem.dim, problem.name, problem.f_star
        self.lipschitz_grad, self.lipschitz_hess = problem.lipschitz_grad, problem.lipschitz_hess
        self.calls, self.least, self.hits = 0, math.inf, [math.inf] * len(MARKS)
        self.last, self.asked, self.value = None, set(), math.nan

    def _spend(self, calls):
        there = self.end is not None and self.hits[self.end] < math.inf
        if self.calls + calls > self.budget or there:
            raise _Spent
        self.calls += calls

    def _call(self, x, what):
        if self.last is not None and what not in self.asked and np.array_equal(x, self.last):
            self.asked.add(what)
            return
        self._spend(1)
        self.last, self.asked, self.value = np.array(x), {what}, self.problem.fun(x)
        if self.value < self.least:
            self.least = self.value
            for i, mark in enumerate(MARKS):
                if self.value <= mark and self.hits[i] == math.inf:
                    self.hits[i] = self.calls

    def fun(self, x):
        """f(x); a new call unless the last one was at x."""
        self._call(x, "fun")
        return self.value

    def grad(self, x):
        """∇f(x), likewise."""
        self._call(x, "grad")
        return self.problem.grad(x)

    def hvp(self, x, v):
        """∇²f(x) v: two calls."""
        self._spend(2)
        return self.problem.hvp(x, v)

    def hess(self, x):
        """∇²f(x): 2d calls."""
        self._spend(2 * self.dim)
        return self.problem.hess(x)

    def again(self, x):
        """(f, ∇f) at x, a new call in any case."""
        self.last = None
        return self.fun(x), self.grad(x)


def official(f, x, step_size, K, epochs):
    """The authors' loop, call by call: every short step is followed by a call to look for NaN.

    github.com/damek/GDPolyak, run_GDPolyak with one restart. Returns the recorded steps.
    """
    recorded = 0
    for _ in range(epochs):
        for _ in range(K):
            _, grad = f.again(x)
            x = x - step_size * grad
            recorded += 1
            if np.isnan(f.again(x)[0]):
                break
        loss, grad = f.again(x)
        if np.isnan(loss) or not np.linalg.norm(grad):
            break
        length = loss / np.linalg.norm(grad) ** 2
        _, grad = f.again(x)
        x = x - length * grad
        recorded += 1
    return recorded


def with_method(method):
    """A run of a method of saddlelib, until the budget is spent or it ends."""
    def run(f, x):
        oracle = Oracle(f)
        state = method.init(oracle, x)
        while state.finished is None and f.hits[-1] == math.inf:
            state = method.step(oracle, state)
    return run


def barzilai_borwein(f, x, step_size):
    """The long steps ⟨s, s⟩/⟨s, y⟩, from a first short one; no line search."""
    grad = f.grad(x)
    length = step_size
    while np.isfinite(grad).all() and grad.any():
        new = x - length * grad
        new_grad = f.grad(new)
        s, y = new - x, new_grad - grad
        length = s @ s / (s @ y) if s @ y > 0 else step_size
        x, grad = new, new_grad


def nesterov(f, x, step_size):
    """Nesterov's momentum, restarted where it points uphill (O'Donoghue & Candès 2015)."""
    y, age = x, 1.0
    while True:
        grad = f.grad(y)
        if not (np.isfinite(grad).all() and grad.any()):
            return
        new = y - step_size * grad
        if grad @ (new - x) > 0:
            age, y = 1.0, new
        else:
            older, age = age, (1 + math.sqrt(1 + 4 * age**2)) / 2
            y = new + (older - 1) / age * (new - x)
        x = new


def lbfgs(f, x, _):
    """SciPy's L-BFGS with ten pairs, with its own stopping tests off.

    Its line search gives up near the rounding floor of differences of f; it is then begun anew from
    where it stopped, without pairs, as long as that lowers f.
    """
    least = math.inf
    while True:
        found = scipy.optimize.minimize(
            f.fun, x, jac=f.grad, method="L-BFGS-B",
            options=dict(maxcor=10, ftol=0, gtol=0, maxiter=10**6, maxfun=10**6))
        if not found.fun < least:
            return
        least, x = found.fun, found.x


def problems():
    """Name → problem, start, η, and K and the number of epochs of the authors' settings."""
    rng = np.random.default_rng(3407)

    def unit(*shape):
        x = rng.standard_normal(shape)
        return x / np.linalg.norm(x)

    G = unit(50, 2)
    return {
        "x²+y⁴": (ConvexQuartic(), np.ones(2), 0.1, 100, 100),
        "Rosenbrock": (RavineRosenbrock(10.0), np.array([1.09705415, 0.53275344]), 0.0125, 100, 50),
        "half": (RavineRosenbrock(0.5, bend=-1.0), np.full(2, 0.3), 1.0, 20, 50),
        "convex, κ=10": (ConvexQuartic.spread(50, 10.0), rng.standard_normal(50) / 2, 0.5, 200, 50),
        "convex, κ=100": (ConvexQuartic.spread(50, 100.0), rng.standard_normal(50) / 2, 0.5, 1000,
                          50),
        "factorization": (MatrixFactorization(G @ G.T, 2, columns=4), unit(200), 0.25, 300, 50),
        "sensing": (QuadraticSensing.random(100, 2, columns=4, measurements=1000, rng=3407),
                    unit(400), 0.05, 300, 50),
        "two neurons": (TwoNeurons(rng.standard_normal(100)), rng.standard_normal(200), 1.5, 100,
                        25),
    }


# Columns of the factor, and c: f is close to c times ½‖XXᵀ − M‖², for sensing in expectation.
FACTORS = {"factorization": (4, 1.0), "sensing": (4, 8.0)}


def order_aware():
    """Name → run of the order-aware method: f* as stated, not known, and with exact products."""
    return {
        "**order-aware**": with_method(OrderAwareNewton()),
        "order-aware, f* unknown": with_method(OrderAwareNewton(f_star=-math.inf)),
        "order-aware, exact products": with_method(OrderAwareNewton(products="exact")),
    }


def preconditioned(columns, c):
    """Name → run of the methods for factors; ``c`` as in `FACTORS`."""
    return {
        "ScaledGD": with_method(ScaledGD(columns, 0.25 / c)),
        "PrecGD": with_method(PrecGD(columns, 0.25 / c, c**-0.5)),
        "PrecGD, f* unknown": with_method(PrecGD(columns, 0.25 / c, 1 / c, f_star=-math.inf)),
    }


def methods(step_size, K, epochs, factor=None):
    """Name → run(counter, x0), in the order of the table; ``factor`` as in `FACTORS`."""
    return {
        **order_aware(),
        "the authors' loop, their K": lambda f, x: official(f, x, step_size, K, epochs),
        "GDPolyak, their K, no second call": with_method(GDPolyak(step_size, K)),
        "**safe GDPolyak**": with_method(SafeGDPolyak(step_size)),
        "safe, f* unknown": with_method(SafeGDPolyak(step_size, f_star=-math.inf)),
        "curvature switch, λ = 2": with_method(CurvatureSwitch(step_size, factor=2.0)),
        "plateau, λ = 2": with_method(PlateauSwitch(step_size, factor=2.0)),
        "Polyak": with_method(PolyakDescent()),
        "gradient descent": with_method(GradientDescent(step_size)),
        "Barzilai-Borwein": lambda f, x: barzilai_borwein(f, x, step_size),
        "Nesterov, restarted": lambda f, x: nesterov(f, x, step_size),
        **(preconditioned(*factor) if factor else {}),
        "L-BFGS (10)": lambda f, x: lbfgs(f, x, step_size),
    }


def with_optimizer(make, scale=1.0):
    """A run of a torch optimizer made by ``make(params, f_star)`` on ``scale`` times f.

    Each call of the closure is a call, whether it asks for something new or not.
    """
    import torch  # here, since the rest of this file does without

    def run(f, x):
        x = torch.nn.Parameter(torch.from_numpy(x))
        optimizer = make([x], f.f_star)

        def closure():
            value, grad = f.again(x.detach().numpy().copy())
            x.grad = torch.from_numpy(scale * grad)
            return scale * value
        while f.hits[0] == math.inf:  # the budget ends it, too
            optimizer.step(closure)
    return run


def optimizers():
    """Name → run of `torch.optim.LBFGS` and of the order-aware optimizer, f* known and not."""
    import torch

    from saddlelib.optim import OrderAwareNewton

    def lbfgs(params, f_star):
        return torch.optim.LBFGS(params, max_iter=10**6, max_eval=10**6, tolerance_grad=0,
                                 tolerance_change=0, history_size=10,
                                 line_search_fn="strong_wolfe")
    return {
        "LBFGS": with_optimizer(lbfgs),
        "LBFGS on 10¹²f": with_optimizer(lbfgs, 1e12),
        "OrderAwareNewton": with_optimizer(lambda p, f: OrderAwareNewton(p, f_star=f)),
        "OrderAwareNewton, f* unknown": with_optimizer(lambda p, f: OrderAwareNewton(p)),
    }


def in_torch(names=None, budget=20_000):
    """Calls of the closure to 1e-12 by optimizers of PyTorch, over those of the better LBFGS."""
    rows, logs = [], []
    for name, (problem, x0, *_) in problems().items():
        if names and name not in names:
            continue
        calls = [count(run, problem, x0, budget)[0][0] for run in optimizers().values()]
        # LBFGS drops pairs below 1e-10, whatever the scale of f, which 10¹²f is above.
        ratios = [min(c, budget) / min(*calls[:2], budget) for c in calls[2:]]
        logs.append(np.log(ratios))
        rows.append([name, *(short(c) if c < math.inf else "–" for c in calls),
                     *(f"{r:.2f}" for r in ratios)])
    mean = [f"{r:.2f}" for r in np.exp(np.mean(logs, axis=0))]
    rows.append(["geometric mean", *[""] * 4, *mean])
    return table(["closure calls to 1e-12", *optimizers(), "ratio", "ratio, f* unknown"], rows)


def count(run, problem, x0, budget, to_last=False):
    """Calls to each mark (inf where not met), and the least f."""
    counter = Counter(problem, budget, to_last)
    try:
        with np.errstate(all="ignore"):
            run(counter, x0.copy())
    except _Spent:
        pass
    return counter.hits, counter.least


def row(name, run, problem, x0, budget):
    """One row of a table, as strings."""
    hits, least = count(run, problem, x0, budget)
    return [name, *(short(hit) if hit < math.inf else "–" for hit in hits), f"{least:.0e}"]


def shorter(problem, x0, step_size, share, f_star=None, budget=80_000):
    """Calls of the safe method to 1e-12 with ``share`` of η, inf where not met; its last state."""
    counter = Counter(problem, budget)
    oracle, method = Oracle(counter), SafeGDPolyak(share * step_size, f_star=f_star)
    state = method.init(oracle, x0.copy())
    try:
        with np.errstate(all="ignore"):
            while state.finished is None and counter.hits[0] == math.inf:
                state = method.step(oracle, state)
    except _Spent:
        pass
    return counter.hits[0], state


def time_per_call(problem, x0, step_size, steps=200, rounds=7):
    """(ms of a gradient, ms of a step of the safe method, of one in `minimize`), medians."""
    method, oracle = SafeGDPolyak(step_size), Oracle(problem)
    state = method.init(oracle, x0)
    for _ in range(50):  # into the ravine, where looks and long steps are as frequent as later
        state = method.step(oracle, state)
    found = {"gradient": [], "step": [], "minimize": []}
    for _ in range(rounds):
        begin = time.process_time()
        for _ in range(steps):
            problem.grad(state.x)
        found["gradient"].append(time.process_time() - begin)
        now, calls = state, oracle.njev
        begin = time.process_time()
        for _ in range(steps):
            now = method.step(oracle, now)
        found["step"].append((time.process_time() - begin) * steps / (oracle.njev - calls))
        begin = time.process_time()
        minimize(problem, state=state, method="gdpolyak", step_size=step_size, epsilon=1e-300,
                 maxiter=steps, certificate=False)
        found["minimize"].append(time.process_time() - begin)
    return {name: 1e3 * median(seconds) / steps for name, seconds in found.items()}


class _Timed:
    """A problem whose functions remember how long they took, in seconds of processor time."""

    def __init__(self, problem):
        self.dim, self.name, self.f_star = problem.dim, problem.name, problem.f_star
        self.lipschitz_grad, self.lipschitz_hess = problem.lipschitz_grad, problem.lipschitz_hess
        self.seconds, self.calls = 0.0, 0
        for name in ("fun", "grad", "hvp", "hess"):
            setattr(self, name, self._timed(getattr(problem, name)))

    def _timed(self, function):
        def timed(*arguments):
            begin = time.process_time()
            value = function(*arguments)
            self.seconds += time.process_time() - begin
            self.calls += 1
            return value
        return timed


def time_beside_calls(method, problem, x0, calls=300, rounds=5):
    """Time of steps over the time of the functions that they call; the median of some rounds."""
    found = []
    for _ in range(rounds):
        timed = _Timed(problem)
        oracle, begin = Oracle(timed), time.process_time()
        state = method.init(oracle, x0)
        while timed.calls < calls and state.finished is None:
            state = method.step(oracle, state)
        found.append((time.process_time() - begin) / timed.seconds)
    return median(found)


def large():
    """Problems with 10⁴ unknowns, with a start and η."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 1000, 2500))
    G = rng.standard_normal((2500, 2)) / 70
    x0 = rng.standard_normal(10**4) / 100
    return {
        "sensing, 2500×4, 1000 measurements": (QuadraticSensing(a, b, G, 4), x0, 0.01),
        "convex quartic": (ConvexQuartic.spread(10**4, 10.0), x0 * 50, 0.5),
    }


def main(names=None, budget=20_000, only_times=False, only_torch=False):
    """Print the tables."""
    print(f"{versions()}; budget {short(budget)} calls\n")
    if only_torch:
        print(in_torch(names, budget))
        return
    if only_times:
        print(times())
        return
    for name, (problem, x0, step_size, K, epochs) in problems().items():
        if names and name not in names:
            continue
        rows = [row(method, run, problem, x0, max(budget, 2 * (K + 1) * epochs)
                    if "loop" in method else budget)
                for method, run in methods(step_size, K, epochs, FACTORS.get(name)).items()]
        print(f"### {name}\n\n{table(HEADER, rows)}\n", flush=True)
    rows = []
    for name, (problem, x0, step_size, _, _) in problems().items():
        if names and name not in names:
            continue
        found = [shorter(problem, x0, step_size, share, f_star)
                 for f_star in (None, -math.inf) for share in SHARES]
        rows.append([name, *(short(calls) if calls < math.inf else "–" for calls, _ in found),
                     str(sum(state.raised for _, state in found))])
    header = ["safe, calls to 1e-12", *(f"{share:g} η{known}" for known in ("", ", no f*")
                                        for share in SHARES), "η halved"]
    print(f"{table(header, rows)}\n", flush=True)
    if names:
        return
    print(times())


def times():
    """The table of times at d = 10⁴."""
    header = ["d = 10⁴", "gradient, ms", "step, ms", "in minimize, ms", "step / gradient",
              "minimize / gradient", "order-aware: steps / their calls"]
    rows = []
    for name, (problem, x0, step_size) in large().items():
        ms = time_per_call(problem, x0, step_size)
        rows.append([name, *(f"{ms[k]:.3g}" for k in ms),
                     *(f"{ms[k] / ms['gradient']:.2f}" for k in ("step", "minimize")),
                     f"{time_beside_calls(OrderAwareNewton(), problem, x0):.2f}"])
    return table(header, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", nargs="+", dest="names")
    parser.add_argument("--budget", type=int, default=20_000)
    parser.add_argument("--times", action="store_true", dest="only_times")
    parser.add_argument("--torch", action="store_true", dest="only_torch")
    main(**vars(parser.parse_args()))
