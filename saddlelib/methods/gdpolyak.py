r"""GDPolyak: many short gradient steps, then one long step of Polyak, again and again.

Davis, Drusvyatskiy & Jiang, "Gradient descent with adaptive stepsize converges (nearly) linearly
under fourth-order growth", arXiv:2409.19791. We have read the abstract and the authors' code
(github.com/damek/GDPolyak), not the body of the paper; `GDPolyak` and `RestartedGDPolyak` are that
code, and the rest is ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .._arguments import integer, positive
from .base import not_finite
from .polyak import PolyakState, ValueMethod, known_f_star, polyak_quotient
from .rules import rule

__all__ = ["CurvatureSwitch", "GDPolyak", "GDPolyakState", "PlateauSwitch", "RestartedGDPolyak"]


@dataclass(repr=False)
class GDPolyakState(PolyakState):
    """State of `GDPolyak` and its variants.

    Attributes
    ----------
    left : float
        Short steps left before the next long one.
    epochs : int
        Long steps taken.
    restarts : int
        Restarts made.
    start_x, start_jac : ndarray or None
        Where a restart begins.
    curvature, last_curvature : float
        κ of the last two short steps, nan where there is none.
    """

    left: float = 0
    epochs: int = 0
    restarts: int = 0
    start_x: np.ndarray | None = None
    start_jac: np.ndarray | None = None
    curvature: float = math.nan
    last_curvature: float = math.nan


@rule("gdpolyak", "published", grad_threshold="epsilon")
@dataclass(frozen=True)
class GDPolyak(ValueMethod):
    r"""Epochs of K steps x − η∇f(x) and one step x − λ(f(x) − f*)/‖∇f(x)‖²·∇f(x).

    An epoch costs K + 1 gradients and one value. The short steps lead to the ravine, the long one
    runs down it. With a fixed K the run stalls: each long step multiplies what is left of the
    distance to the ravine by about 1/‖x − x*‖², and K short steps take off no more than (1 − ημ)^K
    (`theory.ravine.floor`). A ``growth`` as in `theory.ravine.growth` keeps the rate near-linear.

    Parameters
    ----------
    step_size : float
        η > 0.
    epoch_length : int
        K ≥ 0 short steps in the first epoch; 0 with no growth is Polyak's method.
    f_star : float, optional
        f*; what the problem states by default. Where a value below it is met the run ends
        ("f_star").
    factor : float
        λ > 0, below 2p for growth of order p. With f* too low by δ the step is that of
        λ(1 + δ/(f − f*)), so it leads away from the minimizer once f − f* ≤ λδ/(2p − λ).
    growth : float
        Epoch i (from 0) has ⌊K + i·growth⌋ short steps.
    epochs : int, optional
        I: stop after so many long steps ("budget").
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
    >>> from saddlelib.problems import RavineRosenbrock
    >>> oracle, method = Oracle(RavineRosenbrock()), GDPolyak(0.0125, 30, epochs=20)
    >>> state = method.init(oracle, np.array([0.5, 0.5]))
    >>> while state.finished is None:
    ...     state = method.step(oracle, state)
    >>> state.nit, oracle.njev, oracle.nfev, bool(np.linalg.norm(state.x) < 3e-3)
    (620, 621, 20, True)
    """

    step_size: float
    epoch_length: int
    f_star: float | None = None
    factor: float = 1.0
    growth: float = 0.0
    epochs: int | None = None
    grad_threshold: float = 0.0

    def __post_init__(self):
        positive("step_size", self.step_size)
        integer("epoch_length", self.epoch_length, least=0)
        positive("factor", self.factor)
        if self.growth != 0:
            positive("growth", self.growth)
        if self.epochs is not None:
            integer("epochs", self.epochs)

    def init(self, oracle, x0, rng=None) -> GDPolyakState:
        """State at x0; costs one gradient, as every step does. Long steps cost a value."""
        state = GDPolyakState(x=x0, jac=oracle.grad(x0), rng=rng, left=self.epoch_length,
                              f_star=known_f_star(self.f_star, oracle))
        self.stop(state)
        return state

    def step(self, oracle, state) -> GDPolyakState:
        """One step, short or long."""
        new = state.copy()
        if new.left >= 1:
            self.move(oracle, new, self.step_size)
            new.left -= 1
            return new
        length = self._long(oracle, new)
        if new.finished is None:
            self.move(oracle, new, length)
            new.epochs += 1
            new.left = self.epoch_length + math.floor(
                min(new.epochs * self.growth, np.finfo(float).max))
            if new.epochs == self.epochs and new.finished is None:
                self._used_up(oracle, new)
        return new

    def _long(self, oracle, state):
        gap = self.gap(oracle, state)
        if state.finished is None and not math.isfinite(gap):
            not_finite(state, f"f = {state.fun}", self.step_size)
        elif state.finished is None and gap == 0:
            state.finished, state.note = "stationary", "f = f_star"
        return min(self.factor * polyak_quotient(gap, state.jac), np.finfo(float).max)

    def _used_up(self, oracle, state):
        state.finished, state.note = "budget", f"all {self.epochs} epochs are used"


@rule("gdpolyak", "restarts", without=("factor", "growth"), grad_threshold="epsilon")
@dataclass(frozen=True)
class RestartedGDPolyak(GDPolyak):
    r"""`GDPolyak` from the start again and again, with a better guess of f* each time.

    From a lower bound f̂ of f*, a run takes I epochs with half the step of Polyak,
    (f − f̂)/(2‖∇f‖²); then f̂ becomes the mean of f̂ and of the least value met so far, and the next
    run begins where the first did. The restarts are those of the authors' code, after Hazan and
    Kakade, "Revisiting the Polyak step size", arXiv:1905.00313. The value of the point that the
    last step of a run leads to does not count for the guess, as there. The answer is the best point
    whose value was asked for, whatever ends the run; x itself only where the gradient there is at
    most ``grad_threshold``.

    Parameters
    ----------
    step_size, epoch_length, grad_threshold
        As for `GDPolyak`.
    epochs, restarts : int
        I and the number of runs.
    f_star : float
        The lower bound to begin with. A value below it ends the run ("f_star").
    factor, growth
        Not used: 1 and 0.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> import saddlelib
    >>> from saddlelib.problems import RavineRosenbrock
    >>> method = RestartedGDPolyak(0.0125, 30, f_star=-1.0, epochs=10, restarts=5)
    >>> result = saddlelib.minimize(RavineRosenbrock(), [0.5, 0.5], method, certificate=False)
    >>> result.fun < 1e-3
    True
    """

    epochs: int = 20
    restarts: int = 10

    def __post_init__(self):
        super().__post_init__()
        integer("restarts", self.restarts)
        if self.factor != 1 or self.growth != 0:
            raise ValueError("restarts take half the step of Polyak and epochs of one length; "
                             "leave factor and growth out")

    def init(self, oracle, x0, rng=None) -> GDPolyakState:
        """State at x0; costs one gradient. Every step costs a value and a gradient."""
        state = super().init(oracle, x0, rng)
        state.start_x, state.start_jac = state.x, state.jac
        return state

    def step(self, oracle, state) -> GDPolyakState:
        """One step, short or long, or a restart where a run is over or diverges."""
        state = state.copy()
        if np.isnan(self.value(oracle, state)):
            self._used_up(oracle, state)
            return state
        new = super().step(oracle, state)
        if not (np.isfinite(new.x).all() and np.isfinite(new.jac).all()):
            self._used_up(oracle, new)
        return new

    def answer(self, oracle, state):
        """The best point met, with its gradient; costs a value where x has none yet."""
        if state.finished == "stationary":
            return state.x, state.jac
        return self.best(oracle, state)

    def _long(self, oracle, state):
        return super()._long(oracle, state) / 2

    def _used_up(self, oracle, state):
        state.restarts += 1
        if state.restarts == self.restarts:
            state.x, state.jac, state.fun = state.best_x, state.best_jac, state.best_fun
            state.finished, state.note = "budget", f"all {self.restarts} restarts are used"
            return
        state.f_star = (state.best_fun + state.f_star) / 2
        state.x, state.jac, state.fun = state.start_x, state.start_jac, None
        state.left, state.epochs = self.epoch_length, 0


@rule("gdpolyak", "curvature", grad_threshold="epsilon")
@dataclass(frozen=True)
class CurvatureSwitch(ValueMethod):
    r"""Short steps until the gradient points along the ravine, then one long step of Polyak.

    A short step shows the curvature κ = ⟨g, g − g⁺⟩/(η‖g‖²) along the gradient. Where f grows like
    the p-th power of the distance along a ravine, ακ = (p − 1)/p there, with α the quotient of
    Polyak; on the way into the ravine ακ ≈ ½, and α is as small as a short step; in between,
    where a long step would be thrown far off, ακ ≫ 1. So a step of λα is taken when α ≥ guard·η and
    ακ ≤ tolerance, and after it at least one short step. Neither K nor p is needed.

    Parameters
    ----------
    step_size, f_star, factor, grad_threshold
        As for `GDPolyak`.
    tolerance : float
        c ≥ 1.
    guard : float
        How many short steps a long one has to be worth.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib import Oracle
    >>> from saddlelib.problems import RavineRosenbrock
    >>> oracle, method = Oracle(RavineRosenbrock()), CurvatureSwitch(0.0125)
    >>> state = method.init(oracle, np.array([0.5, 0.5]))
    >>> while method.value(oracle, state) > 1e-12:
    ...     state = method.step(oracle, state)
    >>> state.nit < 1000
    True
    """

    step_size: float
    f_star: float | None = None
    factor: float = 1.0
    tolerance: float = 1.5
    guard: float = 10.0
    grad_threshold: float = 0.0

    def __post_init__(self):
        for name in ("step_size", "factor", "tolerance", "guard"):
            positive(name, getattr(self, name))

    def init(self, oracle, x0, rng=None) -> GDPolyakState:
        """State at x0; costs one gradient. Every step costs a gradient and at most one value."""
        state = GDPolyakState(x=x0, jac=oracle.grad(x0), rng=rng, f_star=self._f_star(oracle))
        self.stop(state)
        return state

    def _f_star(self, oracle):
        return known_f_star(self.f_star, oracle)

    def step(self, oracle, state) -> GDPolyakState:
        """One step, short or long."""
        new = state.copy()
        length = self._long(oracle, new)
        if new.finished is not None:
            return new
        if length is None:
            old = new.jac
            self.move(oracle, new, self.step_size)
            new.last_curvature = new.curvature
            new.curvature = secant_curvature(old, new.jac, self.step_size)
        else:
            self.move(oracle, new, min(length, np.finfo(float).max))
            new.curvature = new.last_curvature = math.nan
            new.epochs += 1
        return new

    def _long(self, oracle, state):
        if not math.isfinite(state.curvature):
            return None
        gap = self.gap(oracle, state)
        if state.finished is None and gap == 0:
            state.finished, state.note = "stationary", "f = f_star"
        if state.finished is not None:
            return None
        quotient = polyak_quotient(gap, state.jac)
        settled = quotient * state.curvature <= self.tolerance
        return self.factor * quotient if quotient >= self.guard * self.step_size and settled else (
            None)


@rule("gdpolyak", "plateau", without=("f_star", "tolerance"), grad_threshold="epsilon")
@dataclass(frozen=True)
class PlateauSwitch(CurvatureSwitch):
    r"""As `CurvatureSwitch`, with a long step of λ(p − 1)/(pκ), which needs no f*.

    On a ravine of order p that is λ times the step of Polyak. It is taken when κ, which falls while
    the gradient turns into the ravine, changes by less than ``plateau`` in a short step. κ is a
    difference of gradients, and drowns in rounding sooner than the quotient of Polyak does. On a
    wall of curvature μ it changes by a part ημ at most, so where ημ is small walls pass as ravines;
    `SafeGDPolyak` without f* tells them apart.

    Parameters
    ----------
    step_size, factor, guard, grad_threshold
        As for `CurvatureSwitch`; λ < p.
    order : float
        p > 1; 4 by default. A wrong p only changes λ.
    plateau : float
        In (0, 1).
    f_star, tolerance
        Not used: f_star has to be None.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib import Oracle
    >>> from saddlelib.problems import RavineRosenbrock
    >>> oracle, method = Oracle(RavineRosenbrock()), PlateauSwitch(0.0125)
    >>> state = method.init(oracle, np.array([0.5, 0.5]))
    >>> while oracle.problem.fun(state.x) > 1e-12:
    ...     state = method.step(oracle, state)
    >>> state.nit < 1000, oracle.nfev
    (True, 0)
    """

    order: float = 4.0
    plateau: float = 0.05

    def __post_init__(self):
        super().__post_init__()
        if positive("order", self.order) <= 1:
            raise ValueError(f"order must be above 1, got {self.order!r}")
        positive("plateau", self.plateau)
        if self.f_star is not None:
            raise ValueError("the plateau rule uses no f_star; leave it out, or take "
                             "rule='curvature'")

    def _f_star(self, oracle):
        return None

    def _long(self, oracle, state):
        if not state.curvature > 0:
            return None
        last = state.last_curvature
        still = abs(state.curvature - last) <= self.plateau * abs(last)
        length = (self.order - 1) / (self.order * state.curvature)
        long_enough = length > self.guard * self.step_size
        return self.factor * length if still and long_enough else None


def secant_curvature(old, new, step_size) -> float:
    """κ = ⟨g, g − g⁺⟩/(η‖g‖²), the curvature along g that a step of η has seen."""
    with np.errstate(invalid="ignore", over="ignore"):  # the new gradient may not be finite
        square, change = float(old @ old), float(old @ (old - new))
        if not 1e-290 < square < 1e290:  # under- or overflow: once more, scaled
            largest = float(np.abs(old).max())
            if largest == 0 or not math.isfinite(largest):
                return math.nan
            old = old / largest
            square, change = float(old @ old), float(old @ (old - new / largest))
    scale = step_size * square
    return change / scale if scale > 0 else change / square / step_size
