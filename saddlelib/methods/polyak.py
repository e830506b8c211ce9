r"""Gradient descent whose step size follows a rule: backtracking, or the step of Polyak."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .._arguments import _number, positive
from .._norm import norm
from .base import Method, State, gd_step, not_finite
from .rules import rule

__all__ = ["BacktrackingDescent", "PolyakDescent", "PolyakState", "polyak_quotient", "told_f_star"]


def polyak_quotient(gap, grad) -> float:
    r"""(f − f*)/‖∇f‖², the step of Polyak 1969, without overflow or underflow on the way.

    ‖∇f‖² of a gradient below about 1e-162 is zero in float64. With m the largest entry of the
    gradient the quotient is (gap/m)/(m‖∇f/m‖²), where only the last division can leave the range.
    Infinite where that overflows; nan where the gradient is zero or not finite.

    Parameters
    ----------
    gap : float
        f − f*.
    grad : ndarray, shape (d,)
        ∇f.

    Returns
    -------
    float
        A multiple of the gradient.

    Examples
    --------
    >>> import numpy as np
    >>> polyak_quotient(1e-200, np.array([3e-150, 4e-150])), polyak_quotient(1.0, np.zeros(2))
    (4e+98, nan)
    """
    largest = float(np.abs(grad).max())
    if largest == 0 or not math.isfinite(largest):
        return math.nan
    scaled = grad / largest
    with np.errstate(over="ignore", under="ignore"):
        return float(np.float64(gap) / largest / float(scaled @ scaled) / largest)


def known_f_star(f_star, oracle) -> float:
    """f* as given, else what the problem states; a clear error where neither is finite."""
    if f_star is None and oracle.problem is not None:
        f_star = oracle.problem.f_star
    if f_star is None or not math.isfinite(_number("f_star", f_star)):
        raise ValueError(f"the step of Polyak needs f_star, the least value of f, got {f_star}; "
                         f"give it, or take rule='restarts' with a lower bound, or rule='plateau' "
                         f"or 'safe', which need none")
    return float(f_star)


def told_f_star(f_star, oracle) -> float:
    """f* as given, else what the problem states, as a float64; -inf where it is not known."""
    if f_star is None and oracle.problem is not None:
        f_star = oracle.problem.f_star
    # A scalar of another precision would draw all it is compared with down to its own.
    return -math.inf if f_star is None else float(f_star)


@dataclass(repr=False)
class PolyakState(State):
    """State of the methods that look at values.

    Attributes
    ----------
    fun : float or None
        The value at x, where it has been asked for.
    f_star : float or None
        f*, or what stands for it.
    last_step : float
        The length of the last step, as a multiple of the gradient.
    best_x, best_jac, best_fun : ndarray, ndarray, float
        The best point whose value was asked for.
    """

    fun: float | None = None
    f_star: float | None = None
    last_step: float = 0.0
    best_x: np.ndarray | None = None
    best_jac: np.ndarray | None = None
    best_fun: float = math.inf


class ValueMethod(Method):
    """What the methods that look at values share: values asked for once, and the best point."""

    grad_threshold = 0.0

    def value(self, oracle, state) -> float:
        """f(x) of a state, asked for at most once; remembers the best."""
        if state.fun is None:
            state.fun = oracle.fun(state.x)
            if state.fun < state.best_fun:
                state.best_x, state.best_jac, state.best_fun = state.x, state.jac, state.fun
        return state.fun

    def best(self, oracle, state):
        """The best point whose value was asked for, x among them, and ∇f there."""
        if np.isfinite(state.x).all():
            self.value(oracle, state)
        return (state.x, state.jac) if state.best_x is None else (state.best_x, state.best_jac)

    def gap(self, oracle, state) -> float:
        """f(x) − f*, and the end of the run where that is negative: f_star was too high."""
        gap = self.value(oracle, state) - state.f_star
        if gap < 0:
            state.finished = "f_star"
            state.note = (f"f = {state.fun:.6g} is below f_star = {state.f_star:.6g}; give a "
                          f"smaller f_star")
        return gap

    def move(self, oracle, state, length):
        """x − length·∇f in place, with the gradient there."""
        x = gd_step(state.x, state.jac, length)
        self.moved(state, x, oracle.grad(x))
        state.last_step = length

    def moved(self, state, x, jac, steps=1):
        """Forgets the value, and stops where the gradient is small."""
        super().moved(state, x, jac, steps)
        state.fun = None
        self.stop(state)

    def stop(self, state):
        """Stop where the gradient is at most ``grad_threshold``, or zero."""
        if norm(state.jac) <= self.grad_threshold:
            state.finished = "stationary"


@rule("gd", "polyak", step="(f − f*)/‖∇f‖²", grad_threshold="epsilon")
@dataclass(frozen=True)
class PolyakDescent(ValueMethod):
    r"""x − min(λ(f(x) − f*)/‖∇f(x)‖², cap)·∇f(x), the step of Polyak 1969.

    On a function that is homogeneous of degree p a step shortens x if λ < 2p, and multiplies it by
    1 − λ/p if the function is isotropic too. In a ravine it fails: it bounces between the walls,
    and converges sublinearly.

    Parameters
    ----------
    f_star : float, optional
        f*; what the problem states by default. Where a value below it is met the run ends
        ("f_star").
    factor : float
        λ > 0, below 2p.
    cap : float
        Most step, ``inf`` for none. Any finite cap makes the step constant in the end, where the
        growth is of order p > 2.
    grad_threshold : float
        Stops where ‖∇f‖ is at most that.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib import Oracle
    >>> from saddlelib.problems import HomogeneousRavine
    >>> oracle, method = Oracle(HomogeneousRavine(4.0)), PolyakDescent()
    >>> state = method.init(oracle, np.array([0.0, 1.0]))
    >>> [float(method.step(oracle, state).x[1]) for _ in range(2)]
    [0.75, 0.75]
    """

    f_star: float | None = None
    factor: float = 1.0
    cap: float = math.inf
    grad_threshold: float = 0.0

    def __post_init__(self):
        positive("factor", self.factor)
        if self.cap != math.inf:
            positive("cap", self.cap)

    def init(self, oracle, x0, rng=None) -> PolyakState:
        """State at x0; costs one gradient. A step costs one value and one gradient."""
        state = PolyakState(x=x0, jac=oracle.grad(x0), rng=rng,
                            f_star=known_f_star(self.f_star, oracle))
        self.stop(state)
        return state

    def step(self, oracle, state) -> PolyakState:
        """One step; none where f is below f*."""
        new = state.copy()
        gap = self.gap(oracle, new)
        if new.finished is None:
            if not math.isfinite(gap):
                not_finite(new, f"f = {new.fun}")
            elif gap == 0:
                new.finished, new.note = "stationary", "f = f_star"
            else:
                length = self.factor * polyak_quotient(gap, new.jac)
                self.move(oracle, new, min(length, self.cap, np.finfo(float).max))
        return new


@rule("gd", "backtracking", grad_threshold="epsilon")
@dataclass(frozen=True)
class BacktrackingDescent(ValueMethod):
    r"""x − η∇f(x) with η halved until f falls by η/2·‖∇f‖², and doubled after every step.

    Armijo's rule with constant ½; it accepts every η ≤ 1/ℓ. Ends where f(x) is not finite
    ("nonfinite").

    Parameters
    ----------
    step_size : float
        The first η to try.
    grad_threshold : float
        Stops where ‖∇f‖ is at most that, and ("precision") where no η is accepted.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> import saddlelib
    >>> from saddlelib.problems import QuarticSaddle
    >>> problem = QuarticSaddle(gamma=0.5, eigenvalues=[1.0])
    >>> method = BacktrackingDescent(step_size=100.0, grad_threshold=1e-6)
    >>> saddlelib.minimize(problem, [0.1, 1.0], method, rng=0).success
    True
    """

    step_size: float
    grad_threshold: float = 0.0

    def __post_init__(self):
        positive("step_size", self.step_size)

    def init(self, oracle, x0, rng=None) -> PolyakState:
        """State at x0; costs one gradient and one value."""
        state = PolyakState(x=x0, jac=oracle.grad(x0), rng=rng, last_step=self.step_size / 2)
        self.value(oracle, state)
        self.stop(state)
        return state

    def step(self, oracle, state) -> PolyakState:
        """One step: one gradient and as many values as η are tried."""
        new = state.copy()
        value, length = self.value(oracle, new), min(2 * new.last_step, np.finfo(float).max)
        if not math.isfinite(value):
            not_finite(new, f"f = {value}", new.last_step)
            return new
        size = norm(new.jac)
        while True:  # ends, because a length that is halved often enough no longer moves x
            trial = PolyakState(x=gd_step(new.x, new.jac, length), jac=None)
            if np.array_equal(trial.x, new.x):
                new.finished = "precision"
                new.note = f"no step that float64 can tell from 0 lowers f = {value:.6g}"
                return new
            trial_value = oracle.fun(trial.x)
            if trial_value <= value - length / 2 * size * size:
                break
            length /= 2
        self.moved(new, trial.x, oracle.grad(trial.x))
        new.last_step, new.fun = length, trial_value
        if trial_value < new.best_fun:
            new.best_x, new.best_jac, new.best_fun = new.x, new.jac, trial_value
        return new
