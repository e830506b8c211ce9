r"""GDPolyak that needs no epoch length, takes no harm from a wrong f*, and never loses ground."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .._arguments import _number, integer, positive
from .._norm import norm
from .base import not_finite
from .gdpolyak import GDPolyakState, secant_curvature
from .polyak import ValueMethod, polyak_quotient
from .rules import rule

__all__ = ["SafeGDPolyak", "SafeState"]

_EPS = float(np.finfo(float).eps)
_LEAST = float(np.finfo(float).smallest_subnormal)


@dataclass(repr=False)
class SafeState(GDPolyakState):
    """State of `SafeGDPolyak`.

    Attributes
    ----------
    step_size : float
        The present η, halved where short steps alone raised f.
    taken : int
        Short steps since the last long one.
    least, look_at, most : float
        Short steps before a look because κ is still, the same for the next look alone, and at the
        latest.
    checkpoint : tuple or None
        x, ∇f and f before the long step that is on trial, and the gap it was made for.
    accepted, rejected, in_a_row, raised, blind : int
        Long steps that helped, that did not, and those since the last that helped; looks that found
        that short steps raised f; looks in a row at which κ was lost in rounding.
    mistrust : int
        Looks in a row at which f* disagreed with the curvature; None once f* is given up.
    reference, long_curvature : float
        κ at the last long step that helped, doubled with every wait since, and at the last one.
    best_measure : float
        The least value of ``validation``, at ``measured_x`` with the gradient ``measured_jac``.
    worse : int
        Looks since then.
    """

    step_size: float = 0.0
    taken: int = 0
    least: float = 2.0
    look_at: float = 0.0
    most: float = 0.0
    checkpoint: tuple | None = None
    accepted: int = 0
    rejected: int = 0
    in_a_row: int = 0
    raised: int = 0
    blind: int = 0
    mistrust: int | None = 0
    reference: float = math.inf
    long_curvature: float = math.nan
    best_measure: float = math.inf
    measured_x: np.ndarray | None = None
    measured_jac: np.ndarray | None = None
    worse: int = 0


@rule("gdpolyak", "safe", default=True, grad_threshold="epsilon")
@dataclass(frozen=True)
class SafeGDPolyak(ValueMethod):
    r"""Short steps, a look, and a long step where it is safe; taken back where it did not help.

    After every short step x − η∇f(x) the secant curvature κ along the gradient is known. The method
    *looks*, at the price of one value, when κ has stopped falling, which means that the gradient
    points along the ravine, or after ``most`` short steps. At a look:

    1. *Did the last long step help?* It did if f fell by ``gain`` of the gap it was made for. If
       not, x goes back to where it was before, and the next look waits half as long again. (f just
       after the jump says nothing: across a curved ravine it may rise although the step was good.)
    2. *Is a long step safe now?* On a ravine of order p the quotient of Polyak is (p − 1)/p of 1/κ,
       which lies between ½ and 1. So the step is λα with α the quotient, if 0.4 ≤ ακ ≤ 1.5, else
       there is none; where f* is not known α = 0.75/κ, if κ is not above what it was at the last
       long step. An α that is worth no more than ``guard`` short steps is not taken. Where κ drowns
       in rounding, f* alone has to do.

    f* that is too low makes α too large, and f* that is too high makes it too small or negative;
    both are caught by the interval. A value below f*, or three long waits in which f* and κ never
    agreed, make the method go on without f*; the note says so. The answer is the best point whose
    value it has seen.

    The run ends "precision" at the rounding floor: where long steps fail and the gradient or the
    gap is as small as rounding makes it, or where a short step no longer changes x.

    Parameters
    ----------
    step_size : float
        η > 0, at most 1/ℓ; halved where short steps alone raise f.
    f_star : float, optional
        f*; what the problem states by default. -inf to do without.
    factor : float
        λ > 0; below 2p, or a long step leads away from the minimizer.
    gain, plateau : float
        In (0, 1).
    guard : float
        How many short steps a long one has to be worth.
    grad_threshold : float
        Stops where ‖∇f‖ is at most that.
    validation : callable, optional
        ``validation(x) -> float``, asked at every look that accepts. Where it has not fallen for
        ``patience`` looks the run ends ("validation") with the point where it was least.
    patience : int
    """

    step_size: float
    f_star: float | None = None
    factor: float = 2.0
    gain: float = 0.2
    plateau: float = 0.05
    guard: float = 10.0
    grad_threshold: float = 0.0
    validation: Callable | None = None
    patience: int = 5

    def __post_init__(self):
        for name in ("step_size", "factor", "gain", "plateau", "guard"):
            positive(name, getattr(self, name))
        if self.validation is not None and not callable(self.validation):
            raise TypeError(f"validation must be a function of x, got {self.validation!r}")
        integer("patience", self.patience)
        if self.f_star is not None and not _number("f_star", self.f_star) < math.inf:
            raise ValueError(f"f_star must be a number, -inf to do without, got {self.f_star!r}")

    def init(self, oracle, x0, rng=None) -> SafeState:
        """State at x0; costs one gradient and one value. Every step costs a gradient."""
        f_star = self.f_star
        if f_star is None:
            f_star = -math.inf if oracle.problem is None else oracle.problem.f_star
        state = SafeState(x=x0, jac=oracle.grad(x0), rng=rng, f_star=f_star, most=_MOST,
                          step_size=self.step_size, mistrust=0 if f_star > -math.inf else None)
        if np.isfinite(state.jac).all():
            self.value(oracle, state)
            self.stop(state)
        return state

    def step(self, oracle, state) -> SafeState:
        """One step, short or long; no gradient where a look ends the run or takes a step back."""
        new = state.copy()
        length = None
        if self._time_to_look(new):
            length = self._look(oracle, new)
            if new.finished is not None:
                return new
        if length is not None:
            new.checkpoint = (new.x, new.jac, new.fun, self._gap(new, length))
            new.long_curvature = new.curvature
            self.move(oracle, new, length)
            new.epochs += 1
            new.curvature = new.last_curvature = math.nan
        else:
            old, x = new.jac, new.x
            self.move(oracle, new, new.step_size)
            new.taken += 1
            new.last_curvature = new.curvature
            new.curvature = secant_curvature(old, new.jac, new.step_size)
            if new.finished is None and new.taken % 8 == 2 and np.array_equal(x, new.x):
                self._end(oracle, new, "precision", "a short step no longer changes x")
            elif math.isfinite(new.curvature) and new.taken % 8:
                return new  # a κ that is finite has seen a finite gradient
        if not (np.isfinite(new.x).all() and np.isfinite(new.jac).all()):
            self._back(oracle, new, "a step left the finite numbers")
        return new

    def answer(self, oracle, state):
        """The best point met, with its gradient; costs a value where x is not known to be worse."""
        if state.finished == "validation":
            return state.x, state.jac
        if np.isfinite(state.x).all():
            self.value(oracle, state)
        return (state.x, state.jac) if state.best_x is None else (state.best_x, state.best_jac)

    # When to look ----------------------------------------------------------

    def _time_to_look(self, state):
        if state.taken >= state.most:
            return True
        if state.taken < max(state.least, state.look_at) or not state.curvature > 0:
            return False
        return self._still(state) and 1 / state.curvature > self.guard * state.step_size

    def _still(self, state):
        last = state.last_curvature  # zero where both gradients round to the same
        return abs(state.curvature - last) <= self.plateau * abs(last)

    # What to do at a look --------------------------------------------------

    def _look(self, oracle, state):
        """Judge the last long step, and return the length of the next or None."""
        value = self.value(oracle, state)
        if state.checkpoint is not None:
            before, gap = state.checkpoint[2:]
            if not before - value >= self.gain * gap:
                self._back(oracle, state, "long steps no longer lower f")
                return None
            state.accepted += 1
            state.in_a_row = state.blind = 0
            state.reference = state.long_curvature
            state.least = max(2.0, 0.8 * state.least)
        elif not value <= state.best_fun:
            self._back(oracle, state, "short steps raise f")
            return None
        state.checkpoint = None
        self._validate(state)
        if state.finished is not None:
            return None
        slow = state.taken >= state.most
        alpha = self._alpha(oracle, state, slow)
        if alpha is not None and alpha > self.guard * state.step_size:
            state.taken, state.look_at = 0, 0.0
            state.most = max(_MOST, 0.9 * state.most)
            return min(self.factor * alpha, np.finfo(float).max)
        state.look_at = 1.25 * state.taken + 1
        if slow:
            state.taken, state.look_at, state.most = 0, 0.0, 1.5 * state.most
            state.reference *= 2
        if state.blind >= _FAILURES:
            self._end(oracle, state, "precision", "the curvature cannot be told from rounding")
        return None

    def _alpha(self, oracle, state, slow):
        """The quotient of Polyak, as far as the curvature bears it out, or None."""
        kappa = state.curvature
        if state.fun < state.f_star and state.mistrust is not None:
            self._give_up(state, "is too high")
        if state.mistrust is None:
            # A κ above that of the last long step is not of the ravine, but of a wall that the
            # long step ran into.
            along = self._still(state) and kappa <= 2 * state.reference
            if (along or slow) and not self._credible(state) and self._drowned(oracle, state):
                state.blind += 1
                return None
            return 0.75 / kappa if along and kappa > 0 else None
        quotient = polyak_quotient(state.fun - state.f_star, state.jac)
        if not self._credible(state):
            return quotient  # κ is noise: f* has to do
        if _LOW <= quotient * kappa <= _HIGH:
            state.mistrust = 0
            return quotient
        # Either the gradient is not along the ravine yet, or f* is wrong. In the first case short
        # steps change the gradient soon.
        if slow and self._still(state) and state.step_size * kappa < 0.01:
            state.mistrust += 1
            if state.mistrust >= _DOUBTS:
                self._give_up(state, "disagrees with the curvature")
        return None

    def _give_up(self, state, why):
        state.mistrust, state.note = None, f"f_star = {state.f_star:.6g} {why}"

    def _credible(self, state):
        """Whether κ is well above what rounding could make of two equal gradients."""
        size = norm(state.jac)
        noise = _EPS * (size + norm(state.x) / state.step_size)
        return state.step_size * state.curvature * size >= 16 * noise

    def _drowned(self, oracle, state):
        """Whether κ is no more than what moving x to the next floats does; costs a gradient."""
        change = oracle.grad(np.nextafter(state.x, np.inf)) - state.jac
        size = norm(state.jac)
        along = abs(float(change / size @ (state.jac / size)))
        return not state.step_size * state.curvature > along

    def _gap(self, state, length):
        """What a long step is made for: α‖∇f‖², where α is right the gap itself."""
        return length / self.factor * float(state.jac @ state.jac)

    def _validate(self, state):
        if self.validation is None:
            return
        measure = _number("what validation returns", self.validation(state.x.copy()))
        if measure < state.best_measure:
            state.best_measure, state.worse = measure, 0
            state.measured_x, state.measured_jac = state.x, state.jac
        else:
            state.worse += 1
        if state.worse >= self.patience:
            state.x, state.jac, state.fun = state.measured_x, state.measured_jac, None
            state.finished = "validation"
            state.note = f"the validation measure was least at {state.best_measure:.6g}"

    def _back(self, oracle, state, why):
        """Return to the checkpoint, or to the best point, and wait longer there; or end the run."""
        if state.checkpoint is not None:
            state.x, state.jac, state.fun, _ = state.checkpoint
            state.rejected += 1
            state.in_a_row += 1
            state.least = 1.5 * max(state.least, state.taken) + 1
            state.most = max(state.most, 1.5 * state.least)
        elif state.best_x is not None:
            state.x, state.jac, state.fun = state.best_x, state.best_jac, state.best_fun
            state.raised += 1
            state.step_size = max(state.step_size / 2, _LEAST)
        else:
            not_finite(state, f"f = {state.fun} or ∇f is not finite", state.step_size)
            return
        state.checkpoint, state.finished = None, None
        state.taken, state.look_at = 0, 0.0
        state.curvature = state.last_curvature = math.nan
        if oracle.fun(state.x) != state.fun:
            raise ValueError("fun gives two values at one point; a long step can only be judged "
                             "where fun is deterministic: fix its randomness")
        noise = 8 * _EPS * norm(state.x) / self.step_size
        gap = abs(state.fun - state.f_star) if state.mistrust is not None else math.inf
        if state.in_a_row + state.raised >= _FAILURES and (
                norm(state.jac) <= noise or gap <= 8 * _EPS * abs(state.fun)):
            self._end(oracle, state, "precision", why)

    def _end(self, oracle, state, finished, why):
        state.x, state.jac = self.answer(oracle, state)
        state.fun, state.finished = state.best_fun, finished
        state.note = f"{why}: the rounding floor, f = {state.fun:.3g}" + (
            f"; {state.note}" if state.note else "")


_LOW, _HIGH = 0.4, 1.5
_DOUBTS, _FAILURES, _MOST = 3, 3, 20.0
