r"""Well known methods of gradients alone, to compare GDPolyak with."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .._arguments import positive
from .._norm import norm
from .base import Method, State, gd_step

__all__ = ["BarzilaiBorwein", "MomentumState", "NesterovRestart"]


@dataclass(repr=False)
class MomentumState(State):
    """State of `NesterovRestart` and `BarzilaiBorwein`.

    Attributes
    ----------
    before : ndarray or None
        The point that the last short step led to (Nesterov), or the point before x.
    before_jac : ndarray or None
        The gradient at the point before x (Barzilai & Borwein).
    age : float
        t of Nesterov's recursion, 1 after a restart.
    restarts : int
        How often the momentum pointed uphill, or the curvature was not positive.
    """

    before: np.ndarray | None = None
    before_jac: np.ndarray | None = None
    age: float = 1.0
    restarts: int = 0


class _Peer(Method):
    """Start and stop of the methods of this file; every step costs one gradient."""

    def __post_init__(self):
        positive("step_size", self.step_size)

    def init(self, oracle, x0, rng=None) -> MomentumState:
        """State at x0; costs one gradient."""
        state = MomentumState(x=x0, jac=oracle.grad(x0), rng=rng, before=x0)
        self._judge(state)
        return state

    def moved(self, state, x, jac, steps=1):
        """Stop where the gradient is small."""
        super().moved(state, x, jac, steps)
        self._judge(state)

    def _judge(self, state):
        if norm(state.jac) <= self.grad_threshold:
            state.finished = "stationary"


@dataclass(frozen=True)
class BarzilaiBorwein(_Peer):
    r"""x − (⟨s, s⟩/⟨s, y⟩)·∇f(x) with s and y the last differences of points and of gradients.

    The long step of Barzilai & Borwein, "Two-point step size gradient methods", IMA J. Numer. Anal.
    8, 1988, without a line search. The first step is η∇f, and so is every step where ⟨s, y⟩ ≤ 0.

    Parameters
    ----------
    step_size : float
        η > 0.
    grad_threshold : float
        Stops where ‖∇f‖ is at most that.

    Examples
    --------
    >>> from saddlelib import Oracle
    >>> from saddlelib.problems import QuadraticSaddle
    >>> oracle, method = Oracle(QuadraticSaddle([2.0, 2.0])), BarzilaiBorwein(0.1)
    >>> state = method.init(oracle, np.array([1.0, 1.0]))
    >>> state = method.step(oracle, method.step(oracle, state))
    >>> bool(np.abs(state.x).max() < 1e-15), state.nit
    (True, 2)
    """

    step_size: float
    grad_threshold: float = 0.0

    def step(self, oracle, state) -> MomentumState:
        """One step, which leaves ``state`` as it was."""
        new = state.copy()
        length = self.step_size
        if state.before_jac is not None:
            s, y = state.x - state.before, state.jac - state.before_jac
            if s @ y > 0:
                length = float(s @ s / (s @ y))
            else:
                new.restarts += 1
        new.before, new.before_jac = state.x, state.jac
        x = gd_step(state.x, state.jac, length)
        self.moved(new, x, oracle.grad(x))
        return new


@dataclass(frozen=True)
class NesterovRestart(_Peer):
    r"""Nesterov's accelerated gradient method, restarted where its momentum points uphill.

    y⁺ = x − η∇f(x), x⁺ = y⁺ + ((t − 1)/t⁺)(y⁺ − y) with t⁺ = (1 + √(1 + 4t²))/2; where
    ⟨∇f(x), y⁺ − y⟩ > 0, x⁺ = y⁺ and t⁺ = 1. O'Donoghue & Candès, "Adaptive restart for accelerated
    gradient schemes", Found. Comput. Math. 15, 2015, with the test on gradients.

    Parameters
    ----------
    step_size : float
        η > 0, at most 1/ℓ.
    grad_threshold : float
        Stops where ‖∇f‖ is at most that.

    Examples
    --------
    >>> from saddlelib import Oracle
    >>> from saddlelib.problems import QuadraticSaddle
    >>> oracle, method = Oracle(QuadraticSaddle([1.0, 0.01])), NesterovRestart(1.0)
    >>> state = method.init(oracle, np.array([1.0, 1.0]))
    >>> for _ in range(200):
    ...     state = method.step(oracle, state)
    >>> bool(np.linalg.norm(state.x) < 1e-4), state.restarts > 0
    (True, True)
    """

    step_size: float
    grad_threshold: float = 0.0

    def step(self, oracle, state) -> MomentumState:
        """One step, which leaves ``state`` as it was."""
        new = state.copy()
        new.before = gd_step(state.x, state.jac, self.step_size)
        ahead = new.before - state.before
        if state.jac @ ahead > 0:
            new.age, x = 1.0, new.before
            new.restarts += 1
        else:
            new.age = (1 + math.sqrt(1 + 4 * state.age**2)) / 2
            x = new.before + (state.age - 1) / new.age * ahead
        self.moved(new, x, oracle.grad(x))
        return new
