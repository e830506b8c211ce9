r"""Newton steps that know the order of the floor: down a ravine in a few jumps."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from .._arguments import _number
from .._norm import norm
from .arrival import NOWHERE, falls_for_ever, progress, stands_still
from .base import Method, State, not_finite
from .floor import Floor, is_order, part_of_walls
from .krylov import NewtonSolve, WallPairs
from .polyak import told_f_star
from .rules import rule

__all__ = ["OrderAwareNewton", "OrderAwareState"]

# All of these were chosen on other ravines than those of benchmarks/unseen_ravines.py.
# The part of D that walls may hold before a jump; after a few jumps less, but not less than this
# part of it.
_SHARE, _LEAST_SHARE = 0.1, 0.03
# A settle has to halve the height of the walls, and four in a row are enough; five after a jump.
_HALF, _IN_A_ROW, _SETTLES = 0.5, 4, 5
# A jump is kept that won this part of what it was made for.
_GAIN = 0.3
# A jump is longer than a Newton step by at least this.
_LONGER = 1.3
# A solve ends when each of the last gains is below this part of D: on the way, and on the floor,
# where it becomes a hundredth of that with the gap.
_LOOSE, _ON_FLOOR, _LAST, _FINEST = 0.15, 0.1, 4, 0.01
# With f* known D has to explain the gap, f − f* ≤ 0.9 D, unless twice the products do not help.
_EXPLAINED = 0.9
# No solve takes more products; on walls alone it ends where the rest is worth this part of D.
_MOST, _ON_WALLS = 400, 1e-3
# Products by differences: rounding of a gradient in units of ‖H‖‖x‖, the least curvature that has
# to be seen before a floor was, in units of ‖H‖, and bounds of the length in units of ‖x − x*‖.
_NOISE, _UNSEEN, _REACH = 20.0, 1e-3, (1e-6, 0.1)
# Exact products, where there are any, once rounding holds this part of the floor's curvature.
_LOST = 0.1
# Line search: Armijo's constant, trials of one step, steps that may fail.
_ARMIJO, _TRIALS, _FAILS = 1e-4, 40, 3
# How far two values of f at one place may be apart by rounding.
_ROUNDING = 1e-14
# Pairs of the preconditioner, and of the descent before.
_MEMORY, _PAIRS = 20, 10
# The descent is over when in so many steps √(f − f*), without f* ‖∇f‖, has not fallen to this part.
# After three jumps in a row that failed it begins again, and must be slow for twice as long.
_WINDOW, _FALL, _FAILED = 10, 0.03, 3
# f* is given up after so many solves in a row with f − f* > D.
_DOUBTS = 5


class Trial(NamedTuple):
    """Where a jump began, the Newton step there, and what the jump was made for."""

    x: np.ndarray
    jac: np.ndarray
    fun: float
    moved: float
    s: np.ndarray
    expected: float


class Plan(NamedTuple):
    """The step that is tried next, x + length·s: "settle" (on walls), "jump" or "newton"."""

    kind: str
    s: np.ndarray
    length: float = 1.0
    tries: int = 0


@dataclass(repr=False)
class OrderAwareState(State):
    """State of `OrderAwareNewton`.

    Attributes
    ----------
    fun, best : float and tuple of (ndarray, ndarray, float)
        f(x); and the best point with its gradient and value.
    f_star : float
        f* as told; -inf where it is not known, or was given up.
    solve, plan : NewtonSolve and Plan, or None
        The solve that is under way, or the step that is tried next.
    trial : Trial or None
        The jump that has not proved itself yet.
    pairs : WallPairs
        The preconditioner; while it descends, those of L-BFGS.
    cut, hess_norm : float
        The curvature between walls and floor, 0 where none is known; the largest one seen.
    floor : Floor
        What is known of the floor.
    gap, first_gap : float
        f − f* as far as it is known at the last settled point, and at the first.
    moved : float
        Length of the last step.
    height : float
        Of the walls, at the last settle.
    settles, in_a_row : int
        Settles since the jump on trial, and since the last other step.
    wait : bool
        Whether a jump has failed, so that a Newton step comes before the next.
    fails, doubts, jumps, kept, failed : int
        Line searches that failed; solves in a row that contradict f*; jumps, and those that
        won what they were made for; those that failed since one did.
    descending, levels, window : bool, tuple of float, int
        Whether the run goes down by L-BFGS; √(f − f*) or ‖∇f‖ at its last points; how many of its
        steps have to be slow.
    record, begun : tuple
        As in `methods.arrival`.
    """

    fun: float = math.nan
    f_star: float = -math.inf
    best: tuple | None = None
    solve: NewtonSolve | None = None
    plan: Plan | None = None
    trial: Trial | None = None
    pairs: WallPairs = field(default_factory=lambda: WallPairs(_PAIRS))
    cut: float = 0.0
    hess_norm: float = 0.0
    floor: Floor = field(default_factory=Floor)
    gap: float = math.nan
    first_gap: float = math.nan
    moved: float = 0.0
    height: float = math.inf
    settles: int = 0
    in_a_row: int = 0
    wait: bool = False
    fails: int = 0
    doubts: int = 0
    jumps: int = 0
    kept: int = 0
    failed: int = 0
    descending: bool = True
    levels: tuple = ()
    window: int = _WINDOW
    record: tuple = NOWHERE
    begun: tuple | None = None

    @property
    def known(self) -> bool:
        """Whether f* is known."""
        return self.f_star > -math.inf

    @property
    def estimates(self) -> dict:
        """Order and f* of the floor, each with its error; nan for what was not read."""
        return dict(**self.floor.estimates, hess_norm=self.hess_norm, jumps=self.jumps,
                    jumps_kept=self.kept)


@rule("ravine", "order", default=True, step="p − 1 Newton steps", grad_threshold="epsilon")
@dataclass(frozen=True)
class OrderAwareNewton(Method):
    r"""Newton's method that settles on the floor of a ravine, reads its order, and jumps along it.

    Let s be the Newton step, Hs = −∇f, and D = −⟨∇f, s⟩ the Newton decrement. On a floor that is
    homogeneous of degree p, however anisotropic, (f − f*)/D = (p − 1)/p, and p − 1 Newton steps at
    once land on its minimizer; on walls, which are quadratic, that quotient is ½
    (`theory.jumps`, proof in chapter 5). A run goes down by L-BFGS as long as that is fast. Then
    the method repeats:

    1. *Solve* by conjugate gradients, each product one difference of gradients. The numbers that
       they produce hold the curvatures they have met. Where these fall apart into walls and floor
       the cut between them is kept, and the Ritz vectors of the walls precondition the next solves.
    2. *Settle* with the part of s on the walls, until they hold a small part of f − f*.
    3. *Jump* by p − 1 Newton steps. p is read off (f − f*)/D; without f* off two settled points,
       (f_a − f_b)/(D_a − D_b), and before there are two it is taken for 4. The landing may be
       higher than the start, as a floor that bends runs into its walls. So a jump is judged when
       the run has settled again, and taken back if f has not fallen by 0.3 of what it was made
       for.

    Elsewhere, and after a jump that failed, it takes Newton steps with a line search on f. Settling
    and jumping converge quadratically, with exact solves, on a smooth floor whose Hessian is
    positive definite off the minimizer (Theorem A5.1 of the book).

    A step of the method is one product or one trial point: one gradient, for a trial point also one
    value. f* may be known, bounded from below, or unknown: a told f* that the run contradicts is
    given up, and the note says so. The answer is the best point met. A run ends "precision" where
    float64 shows no way down, "unbounded" where f falls for ever.

    Parameters
    ----------
    f_star : float, optional
        f*, or a lower bound; what the problem states by default. -inf to do without.
    products : str, optional
        "differences" or "exact", which needs ``hessp``. By default differences until rounding hides
        the floor's curvature from them, and from there exact ones if there are any: one costs about
        two gradients.
    grad_threshold : float
        Stops where ‖∇f‖ is at most that.

    Raises
    ------
    TypeError, ValueError
        Naming the argument and the remedy; also for noisy gradients, in `init`.

    References
    ----------
    Conjugate gradients in Newton's method: Dembo & Steihaug, "Truncated-Newton algorithms for
    large-scale unconstrained optimization", Math. Programming 26 (1983). Preconditioners from
    earlier solves: Morales & Nocedal, "Automatic preconditioning by limited memory quasi-Newton
    updating", SIAM J. Optim. 10 (2000).

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib import Oracle
    >>> from saddlelib.problems import RavineRosenbrock
    >>> oracle, method = Oracle(RavineRosenbrock()), OrderAwareNewton()
    >>> state = method.init(oracle, np.array([0.6, 0.9]))
    >>> while state.best[2] > 1e-20:
    ...     state = method.step(oracle, state)
    >>> state.floor.order, oracle.njev < 60
    (4.0, True)
    """

    f_star: float | None = None
    products: str | None = None
    grad_threshold: float = 0.0

    def __post_init__(self):
        if self.f_star is not None and not _number("f_star", self.f_star) < math.inf:
            raise ValueError(f"f_star must be a number, -inf to do without, got {self.f_star!r}")
        if self.products not in (None, "differences", "exact"):
            raise ValueError(f"products must be 'differences', 'exact' or None for what is needed, "
                             f"got {self.products!r}")

    def init(self, oracle, x0, rng=None) -> OrderAwareState:
        """State at x0; costs one gradient and one value."""
        if oracle.grad_noise:
            raise ValueError("the order of a floor cannot be read off noisy gradients, got "
                             f"grad_noise = {oracle.grad_noise:.3g}; use method='psgd'")
        if self.products == "exact" and not oracle.has_hvp:
            raise ValueError("products='exact' needs hessp; give it, or leave products out")
        f_star = told_f_star(self.f_star, oracle)
        state = OrderAwareState(x=x0, jac=oracle.grad(x0), rng=rng, fun=oracle.fun(x0),
                                f_star=f_star, moved=max(1e-3, 0.1 * norm(x0)))
        state.best = (state.x, state.jac, state.fun)
        slope = norm(state.jac)
        state.begun = max(abs(state.fun), slope * state.moved), slope
        if not (math.isfinite(state.fun) and np.isfinite(state.jac).all()):
            not_finite(state, f"f = {state.fun} or ∇f is not finite")
        else:
            self._stop(state)
        return state

    def step(self, oracle, state) -> OrderAwareState:
        """One product or one trial point, which leaves ``state`` as it was."""
        new = state.copy()
        if state.finished is not None:
            return new
        new.nit += 1
        if new.plan is None and new.descending:
            self._descend(new)
        if new.plan is None:
            self._advance(oracle, new)
        else:
            self._try(oracle, new)
        return new

    def answer(self, oracle, state):
        """The best point met, with its gradient."""
        return state.best[:2]

    # The descent before ------------------------------------------------------

    def _descend(self, state):
        """Plan a step of L-BFGS, or end the descent where it has become slow."""
        level = norm(state.jac)
        if state.fun > state.f_star > -math.inf:
            level = math.sqrt(state.fun - state.f_star)
        state.levels = (*state.levels, level)[-state.window - 1:]
        if len(state.levels) > state.window and min(state.levels) > _FALL * state.levels[0]:
            state.descending, state.pairs = False, WallPairs(_MEMORY)
        else:
            known = state.pairs.pairs
            s = state.pairs(-state.jac) if known else self._farther(state)
            state.plan = Plan("newton", s)

    @staticmethod
    def _descend_again(state):
        state.descending, state.levels, state.pairs = True, (), WallPairs(_PAIRS)

    @staticmethod
    def _farther(state):
        """Down the gradient, where no curvature ends the step: farther than the last one went."""
        length = max(2 * state.moved, 1e-3 * norm(state.x))
        return -state.jac * (length / norm(state.jac))

    @staticmethod
    def _keep_pair(state, s, y):
        if s @ y > 1e-10 * norm(s) * norm(y):
            size = norm(y)
            with np.errstate(over="ignore"):
                largest = float(y @ y) / float(s @ y)
            if not 0 < largest < math.inf:
                largest = size / float(s @ (y / size))
            state.pairs = state.pairs.with_pairs([(s, y)], largest)
            state.hess_norm = max(state.hess_norm, size / norm(s))

    # One product -----------------------------------------------------------

    def _advance(self, oracle, state):
        """One product of the solve, which begins here if there is none, and what follows it."""
        if state.solve is None:
            walls = state.pairs if state.cut > 0 and state.pairs.pairs else None
            state.solve = NewtonSolve.begin(state.jac, walls)
        else:
            state.solve = state.solve.copy()
        solve = state.solve
        solve.advance(self._product(oracle, state, solve.direction))
        why = self._why_over(state, solve)
        if why is None:
            return
        state.solve = None
        if why == "stale":
            state.pairs = WallPairs(_MEMORY)
        else:
            state.hess_norm = max(state.hess_norm, solve.largest)
            self._decide(state, solve, why)

    def _product(self, oracle, state, d):
        """∇²f(x)·d, by a difference whose length weighs rounding against the change of ∇²f."""
        distance, curvature = state.moved, _UNSEEN * state.hess_norm
        if state.floor.curvature > 0:
            distance, curvature = state.floor.away(norm(state.jac)), state.floor.curvature
        noise = _NOISE * oracle.unit * state.hess_norm * norm(state.x)
        noise = max(noise, oracle.grad_error(state.x, state.jac) or 0.0)
        length = math.sqrt(noise * distance / curvature) if curvature > 0 else 0.0
        length = min(max(length, _REACH[0] * distance), _REACH[1] * distance)
        lost = self.products is None and oracle.has_hvp and noise > _LOST * curvature * length
        if self.products == "exact" or lost:
            return oracle.hvp(state.x, d)
        h = length / norm(d)
        with np.errstate(all="ignore"):  # what is not finite ends the solve
            return (oracle.grad(state.x + h * d) - state.jac) / h

    def _why_over(self, state, solve):
        """Why the solve ends here: "negative", "walls", "stale" pairs, "done"; None where not."""
        if solve.negative:
            return "negative"
        square, n = solve.size * solve.size, len(solve.gains)
        if solve.crossed is None and solve.curvature < state.cut:
            solve.crossed = solve.decrement - solve.gains[-1]
            if n > 1 and self._has_to_settle(state, 0.5 * solve.crossed * square):
                return "walls"
            if n == 1 and solve.walls is not None and state.trial is not None and (
                    not self._won(state)):
                return "stale"  # after a jump walls hold nearly all of f, and this shows none
        if solve.exact or n >= _MOST:
            return "done"
        rest, gap = float(solve.residual @ solve.residual), self._gap(state)
        if state.cut > 0 and solve.crossed is None:
            return "done" if rest <= _ON_WALLS * state.cut * solve.decrement else None
        wall = solve.crossed or 0.0
        floor = solve.decrement - wall
        part = _LOOSE if solve.crossed is None else (
            _ON_FLOOR * max(_FINEST, self._shrunk(state, gap, lambda p: 2 / p)))
        if not (n > _LAST and max(solve.gains[-_LAST:]) <= part * floor
                or rest <= part * floor * solve.least):
            return None
        solve.enough = solve.enough or 2 * n + 4
        if not state.known or gap is None or n >= solve.enough or rest <= 1e-10:
            return "done"
        explained = (_EXPLAINED * floor + 0.5 * wall) * square
        return "done" if gap <= explained else None

    def _gap(self, state):
        """f − f*, where f* is known or estimated; else None."""
        f_star = state.f_star if state.known else state.floor.f_star
        return state.fun - f_star if state.fun > f_star else None

    def _shrunk(self, state, gap, power):
        """(gap/first gap)^power(p), at most 1."""
        if gap is None or not state.first_gap > 0:
            return 1.0
        return min(1.0, gap / state.first_gap) ** power(state.floor.likely)

    def _has_to_settle(self, state, height):
        """Whether walls of this height forbid a jump, and settling lowers them still."""
        if state.in_a_row >= _IN_A_ROW or not height < _HALF * state.height:
            return False
        gap = self._gap(state)
        if gap is None:
            gap = state.gap
        if not gap > 0:
            return True
        share = max(_LEAST_SHARE, self._shrunk(state, gap, lambda p: 1 - 2 / p))
        return height > _SHARE * share * gap

    # What to do after a solve ------------------------------------------------

    def _decide(self, state, solve, why):
        """Judge the jump on trial and plan the next step."""
        square, size = solve.size * solve.size, solve.size
        crossed = square * (solve.crossed or 0.0)
        if not solve.gains:
            s = self._farther(state)
            self._plan(state, "newton", s)
            return
        s, D = size * solve.s, square * solve.decrement
        settle = why == "done" and state.cut > 0 and solve.crossed is None
        if why == "walls":
            settle, s, D = True, size * solve.before, crossed
        elif why == "negative" and state.cut > 0 and state.trial is not None:
            settle = solve.crossed is None or self._has_to_settle(state, 0.5 * crossed)
        if settle:
            self._remember(state, solve)
            state.height = 0.5 * D
            self._plan(state, "settle", s)
            return
        wall, floor = self._look(state, solve, why, D, crossed)
        rest = float(solve.residual @ solve.residual) * square / solve.least
        rough = rest / floor if floor > 0 else 0.0
        if why == "negative" and state.trial is None and state.cut == 0:  # still far off
            self._descend_again(state)
        else:
            self._remember(state, solve)
        self._plan(state, "newton", s, wall, floor, rough)

    def _look(self, state, solve, why, D, crossed):
        """D of the walls and of the floor, the latter 0 where the run has not settled on one."""
        gap = self._gap(state) if state.known else None
        last = sum(solve.gains[-_LAST:]) * solve.size * solve.size
        converged = why == "done" or len(solve.gains) > _LAST and last <= 0.1 * (D - crossed)
        if not converged and gap is not None and D > crossed:
            converged = is_order((gap - 0.5 * crossed) / (D - crossed))
        if gap is not None and why == "done":
            self._doubt(state, gap > D)
        if not (converged and 0 < D < math.inf):
            return 0.0, 0.0
        values, shares = solve.spectrum()
        shares = shares * solve.size * solve.size
        if solve.walls is None:
            wall, state.cut = part_of_walls(values, shares, state.cut, state.hess_norm, gap, _SHARE)
        else:  # the spectrum of a preconditioned matrix shows no new cut
            wall, cut = part_of_walls(values, shares, state.cut, 0.0, gap, _SHARE)
            wall, state.cut = (wall, cut) if cut == state.cut else (0.0, 0.0)
        if state.cut > 0:
            return wall, D - wall if 0.5 * wall <= _SHARE * (D - wall) else 0.0
        return 0.0, D if gap is not None and is_order(gap / D) else 0.0

    def _remember(self, state, solve):
        """Keep Ritz vectors of the walls for the next solves; forget all where there is no cut."""
        if state.cut > 0:
            new = solve.ritz_pairs(state.cut, _MEMORY)
            state.pairs = state.pairs.with_pairs(new, solve.largest)
        else:
            state.pairs = WallPairs(_MEMORY)

    def _plan(self, state, kind, s, wall=0.0, floor=0.0, rough=0.0):
        """The next step, once the jump on trial has been judged."""
        if state.trial is not None:
            if self._won(state):
                state.kept += 1
                state.trial, state.settles, state.failed = None, 0, 0
            elif kind != "settle" or state.settles >= _SETTLES:
                self._take_back(state)
                return
        if kind == "settle":
            state.plan = Plan("settle", s)
            return
        state.in_a_row, state.height = 0, math.inf
        if floor > 0:
            theta = self._theta(state, s, wall, floor, rough)
            length = self._length(state, theta)
            if length > _LONGER and not state.wait:
                state.trial = Trial(state.x, state.jac, state.fun, state.moved, s, theta * floor)
                state.jumps, state.settles = state.jumps + 1, 0
                state.plan = Plan("jump", s, length)
                return
        state.wait = False
        state.plan = Plan("newton", s)

    def _theta(self, state, s, wall, floor, rough):
        """(f − f*)/D of the floor at a settled point; the floor is known better afterwards."""
        value, gap = state.fun - 0.5 * wall, self._gap(state)
        state.floor = state.floor.at(s, norm(state.jac), floor)
        if state.known:
            theta = math.nan if gap is None else (gap - 0.5 * wall) / floor
            if state.cut > 0:
                state.floor = state.floor.read(theta, rough)
            state.gap = math.nan if gap is None else gap
        else:
            theta, state.floor = state.floor.compare(value, floor, rough)
            state.gap = theta * floor
        if not state.first_gap > 0:
            state.first_gap = state.gap
        return theta

    @staticmethod
    def _length(state, theta):
        """p − 1, in Newton steps; 1 where there is no order."""
        if not is_order(theta):
            return 1.0
        read = state.floor.order if state.cut > 0 or not state.known else math.nan
        return (read if read > 1 else 1 / (1 - theta)) - 1

    @staticmethod
    def _doubt(state, unexplained):
        """Give up an f* below all that Newton decrements explain."""
        state.doubts = state.doubts + 1 if unexplained else 0
        if state.doubts >= _DOUBTS:
            state.note = f"f_star = {state.f_star:.6g} disagrees with the Newton decrement"
            state.f_star, state.gap = -math.inf, math.nan

    def _won(self, state):
        """Whether the jump on trial has lowered f by enough of what it was made for."""
        return state.fun <= state.trial.fun - _GAIN * state.trial.expected

    def _take_back(self, state):
        """Return to where the jump began, if f is lower there, and take a Newton step instead."""
        trial, state.trial = state.trial, None
        state.wait, state.height, state.settles, state.in_a_row = True, math.inf, 0, 0
        state.cut, state.pairs, state.floor = 0.0, WallPairs(_MEMORY), state.floor.doubted()
        state.plan, state.failed = None, state.failed + 1
        if state.failed >= _FAILED:
            state.failed, state.window = 0, 2 * state.window
            self._descend_again(state)
        if not state.fun < trial.fun:
            state.x, state.jac, state.fun, state.moved = trial[:4]
            state.plan = Plan("newton", trial.s)

    # Trying a point ----------------------------------------------------------

    def _try(self, oracle, state):
        plan = state.plan
        x = state.x + plan.length * plan.s
        fun, jac = oracle.fun(x), oracle.grad(x)
        finite = math.isfinite(fun) and np.isfinite(jac).all()
        if finite and plan.kind == "jump":
            self._arrive(state, x, jac, fun, norm(plan.s))
        elif finite and plan.kind == "settle" and fun < state.fun:
            state.settles, state.in_a_row = state.settles + 1, state.in_a_row + 1
            self._arrive(state, x, jac, fun, max(norm(plan.s), 1e-3 * state.moved))
        elif plan.kind != "newton" and state.trial is not None:
            self._take_back(state)
        else:
            self._search(state, plan, x, jac, fun, finite)

    def _search(self, state, plan, x, jac, fun, finite):
        """Accept what lowers f enough, else a shorter step; and end where no step does."""
        slope, t = float(state.jac @ plan.s), plan.length
        if slope >= 0:
            down = -state.jac / max(state.hess_norm, norm(state.jac))
            if state.jac @ down < 0:
                state.plan = Plan("newton", down)
            else:  # the product has underflown
                self._fail(state)
            return
        # Strictly: where rounding swallows the step the sum is f itself.
        if finite and fun < state.fun and fun <= state.fun + _ARMIJO * t * slope:
            state.fails = 0
            if state.descending:
                self._keep_pair(state, x - state.x, jac - state.jac)
            self._arrive(state, x, jac, fun, norm(x - state.x))
            return
        if plan.tries < _TRIALS:
            bend = 2 * (fun - state.fun - t * slope)
            best = -slope * t * t / bend if 0 < bend < math.inf else 0.1 * t
            state.plan = Plan("newton", plan.s, min(max(best, 0.1 * t), 0.5 * t), plan.tries + 1)
            return
        self._fail(state)

    def _fail(self, state):
        """No step along this direction lowers f: one more solve, or the end."""
        state.fails += 1
        state.descending, state.pairs = False, WallPairs(_MEMORY)
        state.plan, state.cut, state.moved = None, 0.0, 0.1 * state.moved
        state.floor = Floor(order=state.floor.order, orders=state.floor.orders)
        if state.fails >= _FAILS:
            self._end(state, "precision", "no step lowers f by more than its rounding")

    def _arrive(self, state, x, jac, fun, moved):
        state.x, state.jac, state.fun, state.moved, state.plan = x, jac, fun, moved, None
        if fun < state.best[2]:
            state.best = (x, jac, fun)
        if fun < state.f_star:
            state.note = f"f_star = {state.f_star:.6g} is too high"
            state.f_star, state.gap = -math.inf, math.nan
        state.record = progress(state.record, *state.best[::2], state.best[1], moved)
        if state.trial is not None and self._flat_and_higher(state):
            self._take_back(state)
            return
        self._stop(state)
        if state.finished is None and stands_still(state.record):
            self._end(state, "precision", "f and ‖∇f‖ stand still")

    def _flat_and_higher(self, state):
        """Whether a jump has led to where ∇f is small and f, by more than its rounding, is not."""
        rise = state.fun - state.trial.fun
        return norm(state.jac) <= self.grad_threshold and rise > _ROUNDING * abs(state.fun)

    def _stop(self, state):
        if norm(state.jac) <= self.grad_threshold:
            state.best = (state.x, state.jac, state.fun)
            state.finished = "stationary"
        elif state.fun == state.f_star:
            self._end(state, "stationary", "f = f_star")
        elif falls_for_ever(state, state.fun, self.grad_threshold):
            self._end(state, "unbounded", f"f = {state.fun:.3g}")

    def _end(self, state, finished, why):
        state.finished = finished
        state.note = f"{why}; {state.note}" if state.note else why
