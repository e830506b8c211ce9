r"""GDPolyak without an epoch length: it judges its long steps, and takes back what did no good."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .._arguments import _number, integer, positive
from .._norm import norm
from .base import not_finite
from .gdpolyak import GDPolyakState, secant_curvature
from .polyak import ValueMethod, polyak_quotient, told_f_star
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
        Short steps before a look because κ is still, before κ is compared again, and before a look
        at the latest. ``last_curvature`` is the κ of the last comparison.
    checkpoint : tuple
        x, ∇f and f at the last look, and what the long step that began there is to gain, 0 where
        short ones follow; one that is on trial has all its short steps behind it.
    accepted, rejected, in_a_row, raised, blind : int
        Long steps that helped, that did not, and those since the last that helped; looks that found
        that short steps raised f; looks in a row at which κ was lost in rounding.
    doubted : bool
        Whether the last long step was one that the curvature asked for, and f* did not.
    long_curvature : float
        κ where the last long step of 0.75λ/κ began, nan where that was taken back.
    begun : float
        The scale of f at the start, the larger of |f| and η‖∇f‖².
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
    checkpoint: tuple = ()
    accepted: int = 0
    rejected: int = 0
    in_a_row: int = 0
    raised: int = 0
    blind: int = 0
    doubted: bool = False
    long_curvature: float = math.nan
    begun: float = math.nan
    best_measure: float = math.inf
    measured_x: np.ndarray | None = None
    measured_jac: np.ndarray | None = None
    worse: int = 0


@rule("gdpolyak", "safe", default=True, grad_threshold="epsilon")
@dataclass(frozen=True)
class SafeGDPolyak(ValueMethod):
    r"""Short steps, a look, and a long step where it is safe; taken back where it did not help.

    After every short step x − η∇f(x) the secant curvature κ along the gradient is known. The method
    *looks*, at the price of one value, when κ has changed by less than ``plateau`` in the last
    fifth of the short steps since the last long one, or after ``most`` of them. (One step says
    nothing: on a wall of curvature μ it changes κ by no more than a part ημ.) At a look:

    1. *Did the last long step help?* It did if f fell by ``gain`` of the gap it was made for. If
       not, x goes back to where it was before, and the next look waits half as long again. (f just
       after the jump says nothing: across a curved ravine it may rise although the step was good.)
       Short steps alone must not raise f above what it was where they began; else η is halved.
    2. *Is a long step safe now?* On a ravine of order p the quotient of Polyak is (p − 1)/p of 1/κ,
       which lies between ½ and 1. So the step is λα with α the quotient, if 0.4 ≤ ακ ≤ 1.5. Where
       f* is not known, or disagrees with κ at the end of a whole wait, α = 0.75/κ, if κ is still.
       An α that is worth no more than ``guard`` short steps is not taken. Where κ drowns in
       rounding, f* alone has to do.
    3. *Was that a ravine?* Down a ravine κ falls. Where a step of 0.75λ/κ helped, and at the next
       one κ is what it was, they go down a wall that is still falling: looks wait half as long
       again.

    f* that is too low makes α too large, and f* that is too high makes it too small or negative;
    both are caught by the interval. f* is given up for good only where a value below it is met.
    Where it disagrees with the curvature the curvature decides, and f* is heard again at the next
    look; the note says so. The answer is the best point whose value it has seen.

    The run ends "stationary" where f = f* and no short step can show that f* is too high;
    "precision" at the rounding floor, where long steps fail and the gradient or the gap is as small
    as rounding makes it, or where a short step no longer changes x; and "unbounded" where that
    happens far below where f began and on a slope that explains all of f, or where f has fallen to
    −10⁵⁰ times its scale. Where gradients are equal to the last digit each long step goes twice as
    far as the last.

    Parameters
    ----------
    step_size : float
        η > 0, at most 1/ℓ; halved where short steps alone raise f.
    f_star : float, optional
        f*; what the problem states by default. -inf to do without.
    factor : float
        λ > 0, below 2p, or a long step leads away from the minimizer. A step turns x into the
        direction of least growth, and keeps it there, only if ν < p(2p − λ)/λ, where ν is the
        curvature of the floor across that direction over its height at distance 1. λ = 2 is
        critical for Σ|vᵢ|ᵖ, of every order; 1.9 is below, and costs 7 % in the number of steps on a
        floor that is the same in all directions.
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

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    Three times too short a step costs time, and nothing else:

    >>> import numpy as np
    >>> from saddlelib import Oracle
    >>> from saddlelib.problems import RavineRosenbrock
    >>> for step_size in (0.0125, 0.004):
    ...     oracle, method = Oracle(RavineRosenbrock()), SafeGDPolyak(step_size)
    ...     state = method.init(oracle, np.array([0.5, 0.5]))
    ...     while state.best_fun > 1e-12:
    ...         state = method.step(oracle, state)
    ...     print(round(oracle.njev, -2), state.raised)
    500 0
    1400 0
    """

    step_size: float
    f_star: float | None = None
    factor: float = 1.9
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
        f_star = told_f_star(self.f_star, oracle)
        state = SafeState(x=x0, jac=oracle.grad(x0), rng=rng, f_star=f_star, most=_MOST,
                          step_size=self.step_size)
        self._check_in(state, math.inf)
        if np.isfinite(state.jac).all():
            value, size = self.value(oracle, state), norm(state.jac)
            if math.isfinite(value):
                self._check_in(state, value)
            state.begun = max(abs(value), size * (self.step_size * size), _LEAST)
            self.stop(state)
        return state

    def step(self, oracle, state) -> SafeState:
        """One step, short or long; no gradient where a look ends the run or takes a step back."""
        new = state.copy()
        length = self._look_if_due(oracle, new)
        if new.finished is not None:
            return new
        if length is not None:
            # What the step is made for is α‖∇f‖², where α is right the gap itself.
            self._check_in(new, new.fun, length / self.factor * float(new.jac @ new.jac))
            self.move(oracle, new, length)
            new.epochs += 1
            self._wait(new)
        else:
            old, x = new.jac, new.x
            self.move(oracle, new, new.step_size)
            new.taken += 1
            new.curvature = secant_curvature(old, new.jac, new.step_size)
            if new.finished is None and new.taken % 8 == 2 and np.array_equal(x, new.x):
                self._end(oracle, new, "a short step no longer changes x")
        before, promise = new.checkpoint[2:]
        if new.finished == "stationary" and promise and not self.value(oracle, new) <= before:
            self._back(oracle, new, "long steps lead to where ∇f is small and f is not")
        if math.isfinite(new.curvature) and new.taken % 8:
            return new  # a κ that is finite has seen a finite gradient
        if not (np.isfinite(new.x).all() and np.isfinite(new.jac).all()):
            self._back(oracle, new, "a step left the finite numbers")
        return new

    def answer(self, oracle, state):
        """The best point met, with its gradient; costs a value where x is not known to be worse."""
        if state.finished == "validation":
            return state.x, state.jac
        return self.best(oracle, state)

    # When to look ----------------------------------------------------------

    def _look_if_due(self, oracle, state):
        """The length of a long step, or None."""
        slow = state.taken >= state.most
        if not slow and state.taken < max(2.0, state.look_at):
            return None
        kappa, last = state.curvature, state.last_curvature  # zero where gradients round to one
        still = abs(kappa - last) <= self.plateau * abs(last)
        state.last_curvature, state.look_at = kappa, 1.25 * state.taken + 1
        settled = still and state.taken >= state.least
        if slow or settled and 0 < kappa * self.guard * state.step_size < 1:
            return self._look(oracle, state, still, slow)
        return None

    @staticmethod
    def _wait(state):
        state.taken, state.look_at = 0, 0.0
        state.curvature = state.last_curvature = math.nan

    @staticmethod
    def _check_in(state, value, promise=0.0):
        state.checkpoint = (state.x, state.jac, value, promise)

    # What to do at a look --------------------------------------------------

    def _look(self, oracle, state, still, slow):
        """Judge what was done since the last look; the length of a long step, or None."""
        value = self.value(oracle, state)
        before, promise = state.checkpoint[2:]
        if not before - value >= self.gain * promise:
            self._back(oracle, state,
                       "long steps no longer lower f" if promise else "short steps raise f")
            return None
        if value < -_FAR * state.begun:
            self._end(oracle, state, "f has fallen to 1e50 times its scale")
            return None
        if promise:
            state.accepted += 1
            state.in_a_row = 0
            state.least = max(2.0, 0.8 * state.least)
        alpha = self._alpha(oracle, state, still, slow)
        self._check_in(state, value)
        if state.finished is None:
            self._validate(state)
        if state.finished is not None:
            return None
        if alpha is not None and alpha > self.guard * state.step_size:
            state.most = max(_MOST, 0.9 * state.most)
            return min(self.factor * alpha, np.finfo(float).max)
        if slow:
            state.most *= 1.5
            self._wait(state)
        if state.blind >= _FAILURES:
            self._end(oracle, state, "the curvature cannot be told from rounding")
        return None

    @staticmethod
    def _longer(state, wait):
        state.least = 1.5 * wait + 1
        state.most = max(state.most, 1.5 * state.least)

    def _alpha(self, oracle, state, still, slow):
        """The quotient of Polyak, as far as the curvature bears it out, or None."""
        kappa, credible = state.curvature, self._credible(state)
        if state.fun < state.f_star:
            state.note, state.f_star = f"f_star = {state.f_star:.6g} is too high", -math.inf
        known = state.f_star > -math.inf
        if state.fun == state.f_star and self._lowest(state):
            state.finished, state.note = "stationary", "f = f_star"
            return None
        if known and (credible or not state.doubted):
            quotient = polyak_quotient(state.fun - state.f_star, state.jac)
            # Where κ is noise f* has to do.
            if not credible or _LOW <= quotient * kappa <= _HIGH:
                if state.doubted:
                    state.doubted, state.note = False, ""
                state.blind = 0
                return quotient
            # Either the gradient is not along the ravine yet, or f* is wrong.
            if not slow:
                return None
        if not credible and (not still or self._drowned(oracle, state)):
            if abs(kappa) * state.step_size <= _EPS and self._fell_along_a_line(state):
                fall = state.checkpoint[2] - state.fun
                return polyak_quotient(2 * fall / self.factor, state.jac)  # twice as far
            state.blind += 1
            return None
        if not (still and 0 < kappa * self.guard * state.step_size < 0.75):
            return None
        if known:
            state.doubted = True
            state.note = (f"f_star = {state.f_star:.6g} disagrees with the curvature at the last "
                          "long step")
        state.blind = 0
        if kappa > _FELL * state.long_curvature:
            self._longer(state, state.least)
        state.long_curvature = kappa
        return 0.75 / kappa

    def _lowest(self, state):
        """Whether no short step could lower f by more than its rounding."""
        size = norm(state.jac)
        return size * (state.step_size * size) <= 8 * _EPS * abs(state.fun)

    def _fell_along_a_line(self, state):
        """Whether f has fallen since the last look by all that the slope there promised."""
        x, jac, before, _ = state.checkpoint
        fall = before - state.fun
        return fall >= _LINE * float(jac @ (x - state.x)) and fall > 8 * _EPS * abs(state.fun)

    def _credible(self, state):
        """Whether |κ| is well above what rounding could make of two equal gradients."""
        size = norm(state.jac)
        noise = _EPS * (size + norm(state.x) / state.step_size)
        return state.step_size * abs(state.curvature) * size >= 16 * noise

    def _drowned(self, oracle, state):
        """Whether |κ| is no more than what moving x to the next floats does; costs a gradient."""
        change = oracle.grad(np.nextafter(state.x, np.inf)) - state.jac
        size = norm(state.jac)
        along = abs(float(change / size @ (state.jac / size)))
        return not state.step_size * abs(state.curvature) > along

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
        """Return to the last look, and wait longer or step shorter there; or end the run."""
        if not math.isfinite(state.checkpoint[2]):
            not_finite(state, f"f = {state.fun} or ∇f is not finite", state.step_size)
            return
        x, jac, fun, promise = state.checkpoint
        if promise:
            state.rejected += 1
            state.in_a_row += 1
            self._longer(state, max(state.least, state.taken))
            state.long_curvature = math.nan
        else:
            state.raised += 1
            state.step_size = max(state.step_size / 2, _LEAST)
        state.x, state.jac, state.fun, state.finished = x, jac, fun, None
        self._check_in(state, fun)
        self._wait(state)
        if oracle.fun(x) != fun:
            raise ValueError("fun gives two values at one point; a long step can only be judged "
                             "where fun is deterministic: fix its randomness")
        noise = 8 * _EPS * norm(x) / self.step_size
        gap = math.inf if state.doubted else fun - state.f_star
        if state.in_a_row + state.raised >= _FAILURES and (
                norm(jac) <= noise or gap <= 8 * _EPS * abs(fun)):
            self._end(oracle, state, why)

    def _end(self, oracle, state, why):
        """The rounding floor; or none in sight, where f has fallen far and is steep still."""
        self.value(oracle, state)
        fall = max(0.0, -state.fun)
        endless = fall > _FAR * state.begun or (
            _VERY * state.begun < fall <= 10 * norm(state.jac) * norm(state.x))
        state.x, state.jac = self.answer(oracle, state)
        state.fun, state.finished = state.best_fun, "unbounded" if endless else "precision"
        where = "f seems to have no minimum" if endless else "the rounding floor"
        state.note = f"{why}: {where}, f = {state.fun:.3g}" + (
            f"; {state.note}" if state.note else "")


_LOW, _HIGH = 0.4, 1.5
_FAILURES, _MOST = 3, 20.0
_FELL, _LINE = 0.8, 0.9
_VERY, _FAR = 1e8, 1e50
