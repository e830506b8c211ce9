r"""Newton steps that know the order of the floor: down a ravine in a few jumps."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from .._arguments import _number
from .._norm import norm
from .base import Method, State, not_finite
from .krylov import NewtonSolve, WallPairs
from .rules import rule

__all__ = ["OrderAwareNewton", "OrderAwareState"]

_UNIT = np.finfo(float).eps / 2

# Tuned on other ravines than those that benchmarks/unseen_ravines.py reports.
_GAP = 10.0            # walls and floor lie so far apart in curvature
_SHARE = 0.1           # the part of the gap that walls may hold at a jump
_LEAST_SHARE = 0.03    # of that, however small the gap has become
_SETTLES = 5           # settling steps after a jump at most
_LOOSE, _FLOOR = 0.15, 0.1   # errors of the decrement: on the way, and on the floor
_EXPLAINED = 0.9       # f - f* is explained by the decrement below this quotient
_GAIN = 0.3            # a jump is kept that won this part of what it was made for
_MOST = 400            # products of a solve
_LAST = 4              # gains that have to be small
_NOISE, _UNSEEN = 20.0, 1e-3
_REACH = 1e-6          # length of a difference, in units of the distance to the minimizer
_APART = 4.0
_USUAL = 6
_FIRST_ORDER = 4.0     # what a floor is taken for before anything is known
_ORDERS = 0.55, 0.93   # theta of orders 2.2 to 14
_FAILS = 3
_WAIT = 2
_MEMORY = 20


class Trial(NamedTuple):
    """Where a jump began, what it was made for, and the Newton step there."""

    x: np.ndarray
    jac: np.ndarray
    fun: float
    s: np.ndarray
    expected: float
    moved: float


class Plan(NamedTuple):
    """A step that is about to be tried: x + length·s."""

    kind: str  # "walls", "jump", "newton"
    s: np.ndarray
    length: float = 1.0
    tries: int = 0


@dataclass(repr=False)
class OrderAwareState(State):
    fun: float = math.nan
    f_star: float = -math.inf
    best: tuple | None = None
    solve: NewtonSolve | None = None
    plan: Plan | None = None
    trial: Trial | None = None
    pairs: WallPairs | None = None
    cut: float = 0.0
    top: float = 0.0
    moved: float = 0.0
    floor: tuple | None = None   # distance, ‖∇f‖ and curvature where the floor was last seen
    order: float = math.nan
    candidate: float = math.nan
    guess: float = math.nan      # f* estimated
    last_gap: float = math.nan
    first_gap: float = math.nan
    settled: tuple = ()
    walls: int = 0
    last_wall: float = math.inf
    settles: int = 0
    skip: int = 0
    back: int = 1
    fails: int = 0
    jumps: int = 0
    kept: int = 0


@rule("ravine", "order", default=True, grad_threshold="epsilon")
@dataclass(frozen=True)
class OrderAwareNewton(Method):
    f_star: float | None = None
    products: str | None = None
    grad_threshold: float = 0.0

    def init(self, oracle, x0, rng=None) -> OrderAwareState:
        f_star = self.f_star
        if f_star is None:
            f_star = -math.inf if oracle.problem is None else oracle.problem.f_star
        state = OrderAwareState(x=x0, jac=oracle.grad(x0), rng=rng, f_star=f_star,
                                moved=max(1e-3, 0.1 * norm(x0)),
                                pairs=WallPairs(_MEMORY))
        state.fun = oracle.fun(x0)
        state.best = (state.x, state.jac, state.fun)
        self._stop(state)
        return state

    def answer(self, oracle, state):
        return state.best[:2]

    def step(self, oracle, state) -> OrderAwareState:
        new = state.copy()
        if state.finished is not None:
            return new
        new.nit += 1
        if new.plan is None:
            self._iterate(oracle, new)
        else:
            self._try(oracle, new)
        return new

    # Solving ---------------------------------------------------------------

    def _iterate(self, oracle, state):
        solve = state.solve
        if solve is None:
            walls = state.pairs if state.cut and state.pairs.pairs else None
            solve = NewtonSolve.begin(state.jac, walls)
        else:
            solve = solve.copy()
        state.solve = solve
        solve.advance(self._product(oracle, state, solve.direction))
        why = self._over(state, solve)
        if why == "stale":
            state.pairs, state.solve = WallPairs(_MEMORY), None
        elif why is not None:
            state.solve = None
            self._decide(oracle, state, solve, why)

    def _product(self, oracle, state, d):
        if self.products == "exact":
            return oracle.hvp(state.x, d)
        h = self._reach(state) / norm(d)
        return (oracle.grad(state.x + h * d) - state.jac) / h

    def _reach(self, state):
        distance, curvature = state.moved, _UNSEEN * state.top
        if state.floor is not None:
            away, slope, curvature = state.floor
            power = 1 / ((state.order if state.order > 1 else _FIRST_ORDER) - 1)
            distance = away * min(1.0, norm(state.jac) / slope) ** power
        noise = _NOISE * _UNIT * state.top * norm(state.x)
        best = math.sqrt(noise * distance / curvature) if curvature > 0 else 0.0
        return min(max(best, _REACH * distance), 0.1 * distance)

    def _gap(self, state):
        """f − f*, None where it is not known."""
        f_star = state.f_star if state.f_star > -math.inf else state.guess
        return state.fun - f_star if state.fun > f_star else None

    def _shrunk(self, state, gap, power):
        if gap is None or not state.first_gap > 0:
            return 1.0
        order = state.order if state.order > 1 else _FIRST_ORDER
        return min(1.0, gap / state.first_gap) ** power(order)

    def _unsettled(self, state, wall):
        gap = self._gap(state)
        if gap is None and state.last_gap > 0:
            gap = state.last_gap
        if state.walls >= 4 or not wall < 0.5 * state.last_wall:
            return False
        if gap is None:
            return True
        return wall > _SHARE * gap * max(_LEAST_SHARE, self._shrunk(state, gap, lambda p: 1 - 2 / p))

    def _over(self, state, solve):
        if solve.negative:
            return "negative"
        square, n = solve.size**2, len(solve.gains)
        if state.cut and solve.crossed is None and solve.curvature < state.cut:
            solve.crossed = solve.decrement - solve.gains[-1]
            if n > 1 and self._unsettled(state, 0.5 * solve.crossed * square):
                return "walls"
            if n == 1 and solve.walls is not None and state.trial is not None and (
                    state.fun > state.trial.fun - _GAIN * state.trial.expected):
                return "stale"
        if solve.exact or n >= _MOST:
            return "done"
        rest = float(solve.residual @ solve.residual)
        if state.cut and solve.crossed is None:
            return "done" if rest <= 1e-3 * state.cut * solve.decrement else None
        wall = solve.crossed or 0.0
        floor = solve.decrement - wall
        gap = self._gap(state)
        part = _LOOSE if solve.crossed is None else (
            _FLOOR * max(0.01, self._shrunk(state, gap, lambda p: 2 / p)))
        if not (n > _LAST and max(solve.gains[-_LAST:]) <= part * floor
                or rest <= part * floor * solve.least):
            return None
        if state.f_star == -math.inf or gap is None or rest <= 1e-10:
            return "done"
        solve.enough = solve.enough or 2 * n + 4
        if n >= solve.enough:
            return "done"
        return "done" if gap / square - 0.5 * wall <= _EXPLAINED * floor else None

    # Deciding --------------------------------------------------------------

    def _decide(self, oracle, state, solve, why):
        state.top = max(state.top, solve.largest)
        square = solve.size**2
        if not solve.gains:
            s = -state.jac * (state.moved / solve.size)
            state.plan = Plan("newton", s)
            self._judge(state, "full", s)
            return
        kind = "full"
        s, D, wall = solve.size * solve.s, square * solve.decrement, 0.0
        gap = self._gap(state)
        known = state.f_star > -math.inf
        if why == "walls":
            kind, s, D = "walls", solve.size * solve.before, square * solve.crossed
        elif why == "done" and state.cut and solve.crossed is None:
            kind = "walls"
        elif why == "negative" and state.cut and state.trial is not None and (
                solve.crossed is None or self._unsettled(state, 0.5 * solve.crossed * square)):
            kind = "walls"
        settled, theta = False, math.nan
        if kind == "full":
            converged = why == "done" or len(solve.gains) > _LAST and (
                sum(solve.gains[-_LAST:]) <= 0.1 * (solve.decrement - (solve.crossed or 0)))
            if not converged and known and gap is not None:
                c = square * (solve.crossed or 0)
                converged = D > c and _ORDERS[0] < (gap - 0.5 * c) / (D - c) < 0.9
            if converged:
                wall = self._split(state, solve, D, gap)
            if state.cut and wall < D and converged:
                settled = 0.5 * wall <= _SHARE * (D - wall)
            elif not state.cut and known and gap is not None and converged:
                wall = 0.0
                settled = _ORDERS[0] < gap / D < _ORDERS[1]
        if state.cut:
            new = [(d, y) for d, y in solve.ritz_pairs(state.cut, _MEMORY) if d @ y > 0]
            state.pairs = state.pairs.with_pairs(new, max(solve.largest, 0.0))
        else:
            state.pairs = WallPairs(_MEMORY)
        if kind == "walls":
            state.last_wall = 0.5 * D
        if self._judge(state, kind, s):
            return
        if kind == "walls":
            state.plan = Plan("walls", s)
            return
        state.walls, state.last_wall = 0, math.inf
        length = 1.0
        if settled:
            order = state.order if state.order > 1 else _FIRST_ORDER
            state.floor = (norm(s) * (order - 1), norm(state.jac), (D - wall) / float(s @ s))
            theta = self._theta(state, D - wall, wall, gap, known)
            length = self._length(state, theta)
        if length > 1.3 and state.skip == 0:
            state.trial = Trial(state.x, state.jac, state.fun, s, theta * (D - wall), state.moved)
            state.jumps += 1
            state.settles = 0
            state.plan = Plan("jump", s, length)
            return
        state.skip = max(0, state.skip - 1)
        state.plan = Plan("newton", s)

    def _split(self, state, solve, D, gap):
        """The part of D that belongs to the walls; chooses the cut where there is none."""
        values, shares = solve.spectrum()
        shares = shares * solve.size**2
        seen = shares > 1e-7 * D
        values, shares = values[seen], shares[seen]
        known = state.f_star > -math.inf and gap is not None
        wall = 0.0
        if state.cut:
            wall = float(shares[values >= state.cut].sum())
            if known and wall < D and 0.5 * wall < _SHARE * D and not (
                    0.5 < (gap - 0.5 * wall) / (D - wall) < 0.97):
                state.cut = 0.0
        if state.cut or solve.walls is not None:
            return wall if state.cut else 0.0
        if values[0] < state.top / _GAP:
            values, shares = np.append(state.top, values), np.append(0.0, shares)
        ratios = values[:-1] / values[1:]
        for j in np.argsort(-ratios)[:3]:
            if ratios[j] < _GAP:
                break
            wall = float(shares[:j + 1].sum())
            if known and 0.5 * wall <= _SHARE * (D - wall) and not (
                    0.5 < (gap - 0.5 * wall) / (D - wall) < 0.97):
                continue
            state.cut = math.sqrt(values[j] * values[j + 1])
            return wall
        return 0.0

    def _theta(self, state, floor, wall, gap, known):
        value = state.fun - 0.5 * wall
        if known:
            theta = math.nan if gap is None else (gap - 0.5 * wall) / floor
        else:
            theta = math.nan
            for before, larger in reversed(state.settled):
                if larger > _APART * floor and before > value:
                    theta = (before - value) / (larger - floor)
                    if _ORDERS[0] < theta < _ORDERS[1]:
                        order = 1 / (1 - theta)
                        whole = abs(order - round(order)) < 0.12 * round(order)
                        sure = abs(order - state.candidate) < 0.15 * order
                        state.candidate = order
                        if whole:
                            order = float(round(order))
                        if not (whole and order <= _USUAL or sure):
                            order = math.nan
                        theta = 1 - 1 / order
                        state.guess = value - theta * floor
                    elif theta <= _ORDERS[0]:
                        theta = 0.5  # a quadratic
                    else:
                        theta = math.nan
                    break
            state.settled = (*state.settled, (value, floor))[-6:]
            if math.isnan(theta):
                theta = 1 - 1 / (state.order if state.order > 1 else _FIRST_ORDER)
        state.last_gap = theta * floor if not known else (gap if gap is not None else math.nan)
        if not state.first_gap > 0:
            state.first_gap = state.last_gap
        return theta

    def _length(self, state, theta):
        if not _ORDERS[0] < theta < _ORDERS[1]:
            return 1.0
        order = 1 / (1 - theta)
        state.order = order
        if abs(order - round(order)) < 0.05 * round(order):
            order = float(round(order))
        return order - 1

    def _judge(self, state, kind, s) -> bool:
        """Whether the jump on trial is kept, goes on, or is taken back; True where a plan is made."""
        trial = state.trial
        if trial is None:
            return False
        if state.fun <= trial.fun - _GAIN * trial.expected:
            state.kept += 1
            state.trial, state.back, state.settles = None, 1, 0
            return False
        if kind == "walls" and state.settles < _SETTLES:
            return False
        self._take_back(state)
        return True

    def _take_back(self, state):
        trial = state.trial
        state.trial = None
        state.skip, state.back, state.settles = state.back, min(2 * state.back, _WAIT), 0
        state.walls, state.last_wall = 0, math.inf
        state.settled, state.guess = (), math.nan
        state.cut, state.pairs = 0.0, WallPairs(_MEMORY)
        if state.order > 1:
            state.order = max(2.5, 0.5 * (state.order + 2))
        if state.fun < trial.fun:
            return
        state.x, state.jac, state.fun, state.moved = trial.x, trial.jac, trial.fun, trial.moved
        state.plan = Plan("newton", trial.s)

    # Trying ----------------------------------------------------------------

    def _try(self, oracle, state):
        plan = state.plan
        x = state.x + plan.length * plan.s
        fun, jac = oracle.fun(x), oracle.grad(x)
        finite = math.isfinite(fun) and np.isfinite(jac).all()
        if plan.kind == "jump" and finite:
            self._arrive(state, x, jac, fun, norm(plan.s))
        elif plan.kind == "walls" and finite and fun < state.fun:
            state.settles += 1
            state.walls += 1
            self._arrive(state, x, jac, fun, max(norm(plan.s), 1e-3 * state.moved))
        elif plan.kind == "newton":
            self._search(state, plan, x, jac, fun, finite)
        elif state.trial is not None:
            self._take_back(state)
            if state.plan is plan:
                state.plan = None
        else:
            state.plan = Plan("newton", plan.s)
            self._search(state, state.plan, x, jac, fun, finite)

    def _search(self, state, plan, x, jac, fun, finite):
        slope = float(state.jac @ plan.s)
        if slope >= 0:
            state.plan = Plan("newton", -state.jac / max(state.top, 1e-300))
            return
        if finite and fun <= state.fun + 1e-4 * plan.length * slope:
            state.fails = 0
            self._arrive(state, x, jac, fun, norm(x - state.x))
            return
        t = plan.length
        bend = 2 * (fun - state.fun - t * slope)
        best = -slope * t * t / bend if math.isfinite(bend) and bend > 0 else 0.1 * t
        t = min(max(best, 0.1 * t), 0.5 * t)
        if plan.tries < 40:
            state.plan = Plan("newton", plan.s, t, plan.tries + 1)
            return
        state.fails += 1
        state.plan, state.cut = None, 0.0
        state.moved *= 0.1
        state.settled, state.guess = (), math.nan
        if state.fails >= _FAILS:
            state.finished, state.note = "precision", "no step lowers f"

    def _arrive(self, state, x, jac, fun, moved):
        state.x, state.jac, state.fun, state.moved, state.plan = x, jac, fun, moved, None
        if fun < state.best[2]:
            state.best = (x, jac, fun)
        self._stop(state)

    def _stop(self, state):
        if norm(state.jac) <= self.grad_threshold:
            state.finished = "stationary"
