"""Many runs at once: the same methods, with the plain steps of all runs taken together."""

from __future__ import annotations

import contextlib
import copy
import gc
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ._arguments import as_point, integer, positive
from .loop import Status
from .methods import SGD, Method, State, Wait, gd_step
from .methods.base import perturb
from .oracle import Oracle

__all__ = ["Runs", "first_time", "run", "settle"]

# Numbers of one array of a chunk of rows: with the few arrays a step works on, it fits the cache of
# one core.
_CHUNK = 40_000

# Why plain steps end.
_LOOK, _UNTIL, _NONFINITE, _STILL = 1, 2, 3, 4

# Where the gradients stand in a row of counts.
_NJEV = 1

_RUNNING = None  # beside the values of Status
_ENDS = {"precision": Status.PRECISION, "nonfinite": Status.NONFINITE}


@dataclass(frozen=True, repr=False)
class Runs:
    """How n runs ended: for every row what `saddlelib.minimize` says without a certificate.

    Attributes
    ----------
    x, jac : ndarray, shape (n, d)
        The last points and the gradients there.
    fun : ndarray, shape (n,)
    nit, nfev, njev, nhvp, nhev : ndarray of int, shape (n,)
        Steps and oracle calls of each row; ``nfev`` includes ``fun``.
    status : ndarray of int, shape (n,)
        Values of `saddlelib.Status`; ``CALLBACK`` where ``until`` stopped the row.
    finished : ndarray of str, shape (n,)
        Why the method itself stopped, "" where it did not.
    reached : ndarray of float, shape (n,)
        The step at which ``until`` first held; inf where it did not.
    perturbed_at : list of tuple of int
    states : list of State
        ``saddlelib.minimize(problem, state=states[i], ...)`` goes on with row i.
    """

    x: np.ndarray
    jac: np.ndarray
    fun: np.ndarray
    nit: np.ndarray
    nfev: np.ndarray
    njev: np.ndarray
    nhvp: np.ndarray
    nhev: np.ndarray
    status: np.ndarray
    finished: np.ndarray
    reached: np.ndarray
    perturbed_at: list
    states: list

    def __len__(self):
        return len(self.x)

    def __repr__(self):
        ends, counts = np.unique(self.status, return_counts=True)
        said = ", ".join(f"{m} {Status(s).name}" for s, m in zip(ends, counts, strict=True))
        return f"Runs({len(self)} rows: {said})" if said else "Runs(0 rows)"


def run(problem, starts, method, *, seeds=None, maxiter, until=None, grad_noise=0.0,
        noise_df=None) -> Runs:
    """Run one method from many starts: what a loop over single runs gives, sooner.

    Row i is the single run from ``starts[i]`` with ``rng=seeds[i]``, to rounding: the gradients
    come from batches. Plain steps of all rows are taken together, and so are perturbations; where a
    method looks around (see `methods.Wait`), its own ``look`` decides for each row. A method with
    steps of another kind takes them row by row.

    Parameters
    ----------
    problem : Problem
    starts : ndarray, shape (n, d), or (d,), or sequence of State
        The starts; or one start for all ``seeds``; or the ``states`` of earlier runs, to go on.
    method : Method
        One of `saddlelib.methods`.
    seeds : sequence of n int or numpy.random.Generator, optional
        Fresh ones by default. States bring their own.
    maxiter : int
        Most steps of each row in this call.
    until : callable, optional
        Maps points (m, d) to booleans (m,); a row stops at its first iterate, the start included,
        where that is True.
    grad_noise, noise_df : float, optional
        The noise of `Oracle`, for the methods that take mini-batches: `methods.SGD` and its kin.
        Every row draws from its own generator. Such a row has taken njev times B samples.

    Returns
    -------
    Runs

    Raises
    ------
    TypeError, ValueError
        Naming the argument and the remedy.

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib.methods import PGD
    >>> from saddlelib.problems import QuarticSaddle
    >>> problem = QuarticSaddle.spread(10)
    >>> pgd = PGD.practical(step_size=1.0, epsilon=1e-3, dim=10, lipschitz_hess=1.9)
    >>> runs = run(problem, np.zeros(10), pgd, seeds=range(50), maxiter=2000,
    ...            until=lambda x: abs(x[:, 0]) > 0.2)
    >>> len(runs), bool(np.isfinite(runs.reached).all())
    (50, True)
    """
    if isinstance(method, type) or not (hasattr(method, "init") and hasattr(method, "step")):
        raise TypeError(f"method must be an object of saddlelib.methods, for example "
                        f"GradientDescent(step_size=0.1), got {method!r}")
    maxiter = integer("maxiter", maxiter, least=0)
    if grad_noise != 0 and not isinstance(method, SGD):
        raise ValueError(f"grad_noise is for methods that take mini-batches, as SGD and PSGD do, "
                         f"got {type(method).__name__}; loop over saddlelib.minimize")
    states, oracle = _begin(problem, starts, method, seeds, grad_noise, noise_df)
    batch = _Batch(problem, method, oracle, states, maxiter, until)
    with np.errstate(over="ignore", invalid="ignore"):
        rows = batch.begin()
        while rows:
            rows = batch.running(batch.step(rows))
    return _runs(problem, states, oracle.counts, batch.status, batch.reached)


class _Batch:
    """The rows of a run, by their numbers: where they stand, and how they end."""

    def __init__(self, problem, method, oracle, states, maxiter, until):
        self.problem, self.method, self.oracle = problem, method, oracle
        self.states, self.until = states, until
        self.last = [state.nit + maxiter for state in states]
        self.status, self.reached = [_RUNNING] * len(states), np.full(len(states), np.inf)
        self.step = self._look_and_descend
        if type(method).step is SGD.step:
            self.step = self._noisy
        elif type(method).step is not Method.step:
            self.step = self._one_by_one

    def begin(self) -> list:
        """The rows that take a first step."""
        for i, state in enumerate(self.states):
            if not np.isfinite(state.jac).all():
                self.status[i] = Status.NONFINITE
        rows = range(len(self.states))
        self.ask_until(rows)
        return self.running(rows)

    def ask_until(self, rows):
        """End the rows at whose points the condition holds."""
        rows = [i for i in rows if self.status[i] is _RUNNING]
        if self.until is not None and rows:
            met = _mask(self.until, _stack(self.states, rows, "x"))
            for i in np.array(rows)[met].tolist():
                self.status[i], self.reached[i] = Status.CALLBACK, self.states[i].nit

    def running(self, rows) -> list:
        """Those of the rows that go on, as the loop of `minimize` decides."""
        on = []
        for i in rows:
            if self.status[i] is not _RUNNING:
                continue
            if self.states[i].finished is not None:
                self.status[i] = _ENDS.get(self.states[i].finished, Status.NOT_LOOKED_AT)
            elif self.states[i].nit >= self.last[i]:
                self.status[i] = Status.MAXITER
            else:
                on.append(i)
        return on

    # Each of these takes the rows on, by one step or by many, and returns those it has taken on.

    def _noisy(self, rows):
        _step_noisy(self.problem, self.method, rows, self.states, self.oracle, self.status)
        self.ask_until(rows)
        return rows

    def _one_by_one(self, rows):
        for i in rows:
            new = self.method.step(self.oracle, self.states[i])
            self.oracle.charge(i)
            if np.isfinite(new.x).all() and np.isfinite(new.jac).all():
                self.states[i] = new
            else:
                self.status[i] = Status.NONFINITE
        self.ask_until(rows)
        return rows

    def _look_and_descend(self, rows):
        before = {i: self.states[i] for i in rows}
        _look(self.problem, self.method, rows, self.states, self.oracle)
        rows = self.running(rows)
        for i, steps, why in _advance(self.problem, self.method, rows, self.states, self.last,
                                      self.until):
            self.oracle.counts[i][_NJEV] += steps
            if why == _UNTIL:
                self.status[i], self.reached[i] = Status.CALLBACK, self.states[i].nit
            elif why == _NONFINITE:
                self.oracle.counts[i][_NJEV] += 1
                self.status[i] = Status.NONFINITE
                if not steps:
                    self.states[i] = before[i]
        return rows


@contextlib.contextmanager
def _collector_paused():
    """No search for cyclic garbage: the states made here stay, and it would find them each time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@_collector_paused()
def _step_noisy(problem, method, rows, states, oracle, status):
    """One step of every row; the gradients under the noise come from one batch."""
    new = {i: states[i].copy() for i in rows}
    moved = []
    for i in rows:
        if method.move(oracle, new[i]):
            moved.append(i)
        oracle.charge(i)
    if moved:
        for i, jac in zip(moved, problem.grad(_stack(new, moved, "x")), strict=True):
            oracle.at, oracle.jac = new[i].x, jac
            method.draw(oracle, new[i])
            oracle.charge(i)
        oracle.at = oracle.jac = None
    for i in rows:
        if np.isfinite(new[i].x).all() and np.isfinite(new[i].jac).all():
            states[i] = new[i]
        else:
            status[i] = Status.NONFINITE


@_collector_paused()
def _look(problem, method, rows, states, oracle):
    """Let every row look; values, perturbations and the gradients after them come in batches."""
    values = [None] * len(rows)
    if len(rows) > 1 and type(method).look is not Method.look:
        values = problem.fun(_stack(states, rows, "x")).tolist()
    perturbed, radii = [], []
    for i, value in zip(rows, values, strict=True):
        states[i] = new = states[i].copy()
        oracle.at, oracle.value = new.x, value
        radius = method.look(oracle, new)
        oracle.charge(i)
        if radius is not None:
            perturbed.append(new)
            radii.append(radius)
    oracle.at = oracle.value = None
    if perturbed:
        perturb(perturbed, radii)
    moved = [i for i in rows if states[i].jac is None]
    if moved:
        for i, jac in zip(moved, problem.grad(_stack(states, moved, "x")), strict=True):
            states[i].jac = jac
            oracle.counts[i][_NJEV] += 1


def _advance(problem, method, rows, states, last, until):
    """Take plain steps from the rows until each wants to look; yields (row, steps, why)."""
    if not rows:
        return
    waits = [method.waits(states[i]) for i in rows]
    most = [last[i] - states[i].nit for i in rows]
    ends = _descend(problem, _stack(states, rows, "x"), _stack(states, rows, "jac"),
                    method.step_size, waits, most, until)
    for i, x, jac, steps, why in zip(rows, *ends[:2], *map(np.ndarray.tolist, ends[2:]),
                                     strict=True):
        if steps > 1 and getattr(states[i], "last_perturbation", None) is not None:
            states[i].last_perturbation = None
        if steps:
            method.moved(states[i], x, jac, steps)
        yield i, steps, why


def _stack(states, rows, name):
    return np.array([getattr(states[i], name) for i in rows])


class _Oracle(Oracle):
    """The oracle of all rows; may know f or ∇f at one array already, from a batch.

    ``counts`` has [nfev, njev, nhvp, nhev] for each row.
    """

    at = value = jac = None

    def __init__(self, problem, rows, grad_noise=0.0, noise_df=None):
        super().__init__(problem, grad_noise=grad_noise, noise_df=noise_df, rng=0)
        alone = self._grad  # every state brings its own generator in place of this one
        self._grad = lambda x: alone(x) if x is not self.at or self.jac is None else self.jac
        self.counts = [[0, 0, 0, 0] for _ in range(rows)]

    def charge(self, row):
        """Put down to a row what was asked since the last time."""
        counts = self.counts[row]
        counts[0] += self.nfev
        counts[_NJEV] += self.njev
        counts[2] += self.nhvp
        counts[3] += self.nhev
        self.nfev = self.njev = self.nhvp = self.nhev = 0

    def fun(self, x) -> float:
        """f(x)."""
        if x is not self.at or self.value is None:
            return super().fun(x)
        self.nfev += 1
        return self.value


@_collector_paused()
def _begin(problem, starts, method, seeds, grad_noise, noise_df):
    """The first state of every row, and the oracle, which has counted what they cost."""
    if not hasattr(problem, "dim"):
        raise TypeError(f"problem must be a saddlelib Problem, which takes batches, got "
                        f"{problem!r}; loop over saddlelib.minimize for a plain function")
    if isinstance(starts, Sequence) and starts and isinstance(starts[0], State):
        if seeds is not None:
            raise ValueError("states bring their own random generators; leave seeds out")
        for state in starts:
            as_point("starts", state.x, problem)
        return (copy.deepcopy(list(starts)),
                _Oracle(problem, len(starts), grad_noise, noise_df))
    seeds = seeds if seeds is None else list(seeds)
    if seeds is not None and np.ndim(starts) == 1:
        starts = np.tile(starts, (len(seeds), 1))
    points = _points(problem, starts)
    if seeds is None:
        seeds = [None] * len(points)
    elif len(seeds) != len(points):
        raise ValueError(f"seeds must have one entry for each of the {len(points)} starts, got "
                         f"{len(seeds)}")
    if not np.isfinite(points).all():
        raise ValueError("starts must be finite")
    states, oracle = [], _Oracle(problem, len(points), grad_noise, noise_df)
    rows = zip(points, problem.grad(points), seeds, strict=True)
    for i, (oracle.at, oracle.jac, seed) in enumerate(rows):
        states.append(method.init(oracle, oracle.at, np.random.default_rng(seed)))
        oracle.charge(i)
    oracle.at = oracle.jac = None
    return states, oracle


def _runs(problem, states, counts, status, reached):
    shape = (len(states), problem.dim)
    x = np.array([state.x for state in states]).reshape(shape)
    nfev, njev, nhvp, nhev = np.array(counts, dtype=int).reshape(-1, 4).T.copy()
    return Runs(
        x=x, jac=np.array([state.jac for state in states]).reshape(shape), fun=problem.fun(x),
        nit=np.array([state.nit for state in states], dtype=int), nfev=nfev + 1, njev=njev,
        nhvp=nhvp, nhev=nhev, status=np.array(status, dtype=int),
        finished=np.array([state.finished or "" for state in states], dtype=str), reached=reached,
        perturbed_at=[getattr(state, "perturbed_at", ()) for state in states], states=states)


def _descend(problem, x, jac, step_size, waits, most, until=None, still=False):
    """Take plain steps from every row as long as its wait says.

    ``waits`` and ``most`` have one entry for each row: a `Wait`, and a number of steps ≥ 1 that
    ends it in any case. With ``still`` a row also ends where the next step changes no bit of it,
    and a row that would become non-finite ends at its last finite point.

    Returns the points, their gradients, the steps taken and why they ended.
    """
    n, dim = x.shape
    points, grads, why = np.empty_like(x), np.empty_like(x), np.zeros(n, dtype=np.int8)
    steps = np.minimum([wait.steps for wait in waits], most).astype(np.int64)
    # A hair too early does no harm: the method looks, and waits again.
    threshold = np.array([wait.grad_threshold for wait in waits]) * (1 + 1e-12)
    radius = np.array([wait.radius for wait in waits]) * (1 - 1e-12)
    if radius.min(initial=np.inf) < np.inf:
        anchors = np.array([at if wait.anchor is None else wait.anchor
                            for at, wait in zip(x, waits, strict=True)])
    begin, last = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    # While gradients are finite, points stay finite, short of such step sizes.
    watch_x = not (step_size < 1e100 and np.abs(x).max(initial=0) < 1e300)
    begun = min(n, max(1, _CHUNK // dim))
    rows, alive = np.arange(begun), np.ones(begun, dtype=bool)
    X, G, k, living, changed = x[rows], jac[rows], 0, begun, True
    while living:
        if changed:
            end, small, far = begin[rows] + steps[rows], threshold[rows], radius[rows]
            sees_grad, sees_distance = small.max() > -np.inf, far.min() < np.inf
            first_end, changed = end.min(), False
        k += 1
        last_X, last_G = X, G
        X = gd_step(X, G, step_size)
        G = problem.grad(X)
        stop = np.zeros(len(rows), dtype=np.int8)
        if k >= first_end:
            stop[end <= k] = _LOOK
        if sees_grad:
            # Squares of what has nearly vanished are subnormal and slow: only where they decide.
            near = (np.abs(G).max(axis=1) <= small).nonzero()[0]
            if len(near):
                stop[near[np.linalg.norm(G[near], axis=1) <= small[near]]] = _LOOK
        if sees_distance:
            stop[np.linalg.norm(X - anchors[rows], axis=1) >= far] = _LOOK
        if until is not None:
            stop[_mask(until, X)] = _UNTIL
        if still:
            stop[(X == last_X).all(axis=1)] = _STILL
        if watch_x or not math.isfinite(G.sum()):
            lost = ~(np.isfinite(X).all(axis=1) & np.isfinite(G).all(axis=1))
            X, G = (np.where(lost[:, np.newaxis], *pair) for pair in ((last_X, X), (last_G, G)))
            stop[lost] = _NONFINITE
        gone = (stop * alive).nonzero()[0]
        if len(gone):
            ended = rows[gone]
            points[ended], grads[ended], why[ended], last[ended] = X[gone], G[gone], stop[gone], k
            alive[gone], living = False, living - len(gone)
            if living <= 0.9 * len(rows):  # until then they cost less than this
                changed, free = True, (~alive).nonzero()[0]
                more = np.arange(begun, min(n, begun + len(free)))
                if len(more):  # the next rows take the places of those that ended
                    begun, free = begun + len(more), free[:len(more)]
                    X, G = X.copy(), G.copy()  # whatever the problem still holds of them
                    rows[free], X[free], G[free], alive[free] = more, x[more], jac[more], True
                    begin[more] = k
                living += len(more)
                if living < len(rows):
                    rows, X, G, alive = rows[alive], X[alive], G[alive], alive[alive]
    return points, grads, last - begin - (why >= _NONFINITE), why


def first_time(problem, starts, reached, *, step_size, maxiter) -> np.ndarray:
    """First step of gradient descent at which each start satisfies a condition.

    Parameters
    ----------
    problem : Problem
    starts : ndarray, shape (n, d)
    reached : callable
        Maps points (m, d) to booleans (m,).
    step_size : float
        η.
    maxiter : int

    Returns
    -------
    ndarray of float, shape (n,)
        A whole number of steps, or inf where ``maxiter`` steps did not suffice or where a step
        changed no bit of the point, so that no later one will.

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib.problems import QuadraticSaddle
    >>> starts = np.array([[0.25, 0.0], [0.0, 1.0]])
    >>> first_time(QuadraticSaddle([-1.0, 1.0]), starts, lambda x: abs(x[:, 0]) >= 1,
    ...            step_size=1.0, maxiter=100)
    array([ 2., inf])
    """
    points = _points(problem, starts)
    met = _mask(reached, points)
    times = np.where(met, 0.0, np.inf)
    _, _, steps, why = _gradient_descent(problem, points[~met], step_size, maxiter, reached)
    times[~met] = np.where(why == _UNTIL, steps, np.inf)
    return times


def settle(problem, starts, *, step_size, maxiter) -> tuple[np.ndarray, np.ndarray]:
    """Where gradient descent comes to rest in float64: a step that changes no bit.

    Parameters
    ----------
    problem : Problem
    starts : ndarray, shape (n, d)
    step_size : float
        η.
    maxiter : int

    Returns
    -------
    points : ndarray, shape (n, d)
        The last iterates.
    still : ndarray of bool, shape (n,)
        Whether the next step changes nothing; False where ``maxiter`` steps did not suffice.

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib.problems import QuadraticSaddle
    >>> settle(QuadraticSaddle([1.0]), np.array([[3.0]]), step_size=1.0, maxiter=5)
    (array([[0.]]), array([ True]))
    """
    points, jac, _, _ = _gradient_descent(problem, _points(problem, starts), step_size, maxiter)
    return points, (gd_step(points, jac, step_size) == points).all(axis=1)


def _gradient_descent(problem, points, step_size, maxiter, until=None):
    """Plain steps from every row until it is still; what `_descend` returns."""
    step_size, maxiter = positive("step_size", step_size), integer("maxiter", maxiter, least=0)
    jac, n = problem.grad(points), len(points)
    if maxiter == 0:
        return points, jac, np.zeros(n, dtype=int), np.zeros(n, dtype=int)
    with np.errstate(over="ignore", invalid="ignore"):
        return _descend(problem, points, jac, step_size, [Wait()] * n, [maxiter] * n, until, True)


def _mask(condition, points):
    return np.asarray(condition(points), dtype=bool)


def _points(problem, starts):
    """A copy of the starts as floats."""
    points = np.array(starts, dtype=float)
    if points.ndim != 2 or points.shape[1] != problem.dim:
        raise ValueError(f"starts must have shape (n, {problem.dim}), got {points.shape}")
    return points
