"""The driver: from any start to a certified point, with nothing known of the function."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .._arguments import positive, probability
from .._norm import norm
from ..curvature import Certificate, Verdict
from ..curvature.certificate import Question, estimated_tol
from ..curvature.sparing import Scales
from ..methods.arrival import NOWHERE, falls_for_ever, progress, stands_still
from ..methods.base import Method, State
from ..methods.floor import Floor
from ..methods.order_aware import OrderAwareState
from ..methods.rules import rule
from .along import follow
from .descent import descend, has_risen, lowest, value_of
from .escape import escape
from .inner import OWN, RAVINE, checked, solve
from .memory import Memory

__all__ = ["Certified", "CertifiedState"]

_UNIT = np.finfo(float).eps / 2
# An estimated tolerance lies between these parts of the largest curvature seen.
_FLOOR, _CAP = 1e-4, 0.1
# A look need not know λ_min better than this part of γ.
_RESOLUTION = 0.5
# Where the error of a gradient decides about ε, the descent goes on to this part of it.
_FURTHER = 0.25


@dataclass(repr=False)
class CertifiedState(State):
    """State of `Certified`.

    Attributes
    ----------
    value : float
        f(x) where it is known, else NaN.
    anchor : tuple of (ndarray, float, ndarray) or None
        The last point of this descent whose value is known, with value and gradient: no value that
        was seen is lower.
    trail : tuple of (ndarray, ndarray) or None
        The point before x, with its gradient, where its value is not known.
    memory : Memory
        The pairs of L-BFGS.
    cautious, alarm : int
        How many steps more f is asked at every step, since slopes alone have led up; and how many
        it was at the last such alarm.
    blind : int
        Steps since f was asked.
    straight : bool
        Whether the last step met no curvature that would end it.
    overflowed : bool
        Whether a step was tried that led to numbers that are not finite.
    stalled : bool
        Whether a solver of SciPy's has stopped above ε, so that the own descent goes on.
    further : bool
        Whether the descent goes on below ε, as the error of a gradient decides there.
    hess_norm, lipschitz_hess : float
        The largest ‖H‖ and ρ that were seen; 0 before.
    record : tuple of (float, float, float, int)
        First and lowest f and least ‖∇f‖ of this descent, and the steps since one was new.
    begun : tuple of (float, float) or None
        |f| and ‖∇f‖ where the run began.
    reach, moved : float
        Lengths of the last escape and of the last step; 0 before.
    certificate : Certificate or None
        That of the last look.
    along : OrderAwareState or None
        Where inner="ravine" has got to.
    floor : Floor or None
        What that knows of the floor of the ravine.
    looks, escapes : int
    certificate_cost : tuple of 4 int
        Values, gradients, Hessian-vector products and Hessians of all looks.
    """

    value: float = math.nan
    anchor: tuple | None = None
    trail: tuple | None = None
    memory: Memory = field(default_factory=Memory)
    cautious: int = 0
    alarm: int = 0
    blind: int = 0
    straight: bool = False
    overflowed: bool = False
    stalled: bool = False
    further: bool = False
    hess_norm: float = 0.0
    lipschitz_hess: float = 0.0
    record: tuple[float, float, float, int] = NOWHERE
    begun: tuple[float, float] | None = None
    reach: float = 0.0
    moved: float = 0.0
    certificate: Certificate | None = None
    along: OrderAwareState | None = None
    floor: Floor | None = None
    looks: int = 0
    escapes: int = 0
    certificate_cost: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def estimates(self) -> dict:
        """What the run has found out about the function, for the result."""
        seen, floor = self.certificate, self.floor
        known = {} if floor is None else floor.estimates
        return dict(**known, hess_norm=self.hess_norm, lipschitz_hess=self.lipschitz_hess,
                    curvature_tol=math.nan if seen is None else seen.curvature_tol,
                    looks=self.looks, escapes=self.escapes)


@dataclass(frozen=True)
class Certified(Method):
    r"""Descend by any solver, look at the curvature, leave a saddle along it, and go on.

    A step is one iteration of the descent; one look with what follows from it; or, with a solver
    of SciPy's inside, one run of that solver.

    1. Where ‖∇f(x)‖ > ε: descend. The own descent is L-BFGS with a memory of ten pairs that lives
       through looks and escapes; see `certified.descent`.
    2. Else look: the certificate of `saddlelib.certify`, from forward differences of gradients at
       first. The k-th may fail with probability δ/(k(k+1)); these add up to at most δ. If x passes,
       the run is over.
    3. If there is a direction with curvature below −γ/2, leave along it (`certified.escape`), to
       where f is lower. As a look either passes x or finds such a direction, every round ends.

    No constant of the function has to be known. What is needed is estimated on the way:

    - ‖H‖ from the products of the looks and the pairs of L-BFGS;
    - ρ as the largest 12\|(∇f(x₀) + ∇f(x₁))·s/2 − (f(x₁) − f(x₀))\|/‖s‖³ over s = x₁ − x₀ along
      the run, and from the third derivative along the escapes;
    - γ, where it is not given, as √(ρε), but at least 10⁻⁴‖H‖ and at most ‖H‖/10: so no
      certificate is vacuous, and none asks for more than differences can show. Only where ‖H‖‖x‖
      is below 10⁻⁶ε, so that ε sees neither slope nor curvature, is the answer that f is flat.

    Parameters
    ----------
    epsilon : float
        ε > 0.
    curvature_tol : float, optional
        γ > 0; estimated by default.
    failure_prob : float
        δ in (0, 1), of the whole run.
    inner : str or callable
        "l-bfgs" for the own descent, "ravine" for `methods.OrderAwareNewton`, the name of a solver
        of SciPy's, or a function that `scipy.optimize.minimize` takes as its ``method``.
    inner_options : dict, optional
        For a solver of SciPy's; f_star and products for "ravine".

    Raises
    ------
    TypeError, ValueError
        Naming the argument and the remedy; also for noisy gradients, in `init`.

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib import Oracle
    >>> f = lambda x: x[0]**4 / 4 - x[0]**2 / 2 + x[1]**2
    >>> oracle = Oracle(f, jac=lambda x: np.array([x[0]**3 - x[0], 2 * x[1]]))
    >>> method = Certified.default(epsilon=1e-3)
    >>> state = method.init(oracle, np.array([0.0, 1.0]), rng=0)
    >>> while state.finished is None:
    ...     state = method.step(oracle, state)
    >>> abs(state.x).round(3).tolist(), state.certificate.passed, state.escapes
    ([1.0, 0.0], True, 1)
    """

    epsilon: float
    curvature_tol: float | None = None
    failure_prob: float = 1e-4
    inner: str | Callable = OWN
    inner_options: dict | None = None

    def __post_init__(self):
        positive("epsilon", self.epsilon)
        if self.curvature_tol is not None:
            positive("curvature_tol", self.curvature_tol)
        probability("failure_prob", self.failure_prob)
        object.__setattr__(self, "inner", checked(self.inner, self.inner_options))

    @rule("certified", "default", default=True)
    @classmethod
    def default(cls, *, epsilon, curvature_tol=None, failure_prob=1e-4, inner=OWN,
                inner_options=None) -> Certified:
        """Descend, look, leave saddles, go on: no constant of the function is needed.

        ``inner`` is "l-bfgs", "ravine", the name of a solver of SciPy's that takes a gradient, or a
        function like those; ``inner_options`` are the options of that solver. What is left out of
        ε, γ, δ is estimated or has a default; see `Certified`.
        """
        return cls(epsilon, curvature_tol, failure_prob, inner, inner_options)

    def init(self, oracle, x0, rng=None) -> CertifiedState:
        """State at x0; costs one gradient. ``rng`` is a seed or a Generator."""
        if oracle.grad_noise:
            raise ValueError("the certified driver needs exact gradients, got grad_noise = "
                             f"{oracle.grad_noise:.3g}; use method='psgd', which works from noisy "
                             f"ones")
        return CertifiedState(x=x0, jac=oracle.grad(x0), rng=np.random.default_rng(rng))

    def step(self, oracle, state) -> CertifiedState:
        """One step, which leaves ``state`` as it was."""
        new = state.copy()
        if state.finished is not None:
            return new
        new.nit = state.nit + 1
        if new.begun is None:  # every kind of step asks for f here
            new.begun = abs(value_of(oracle, new)), norm(new.jac)
        if self._has_arrived(state):
            self._look(oracle, new)
        elif self.inner == RAVINE and not state.stalled:
            new.stalled = not follow(self, oracle, new)
        elif self.inner == OWN or state.stalled:
            went = descend(oracle, new)
            new.record = progress(new.record, new.x, new.value, new.jac, new.moved)
            if not went or stands_still(new.record):
                self._give_up(oracle, new)
        else:
            new.nit = state.nit
            solve(self, oracle, new)
            new.stalled, new.record = not self._has_arrived(new), NOWHERE
        if new.finished is None and falls_for_ever(new, new.value, self.epsilon):
            new.finished, new.note = "unbounded", f"f = {new.value:.3g}"
        return new

    def answer(self, oracle, state):
        """x and ∇f(x) of the best point known: for a run that has been cut short."""
        if state.anchor is None or state.anchor[0] is state.x:
            return state.x, state.jac
        if state.finished is not None and math.isfinite(state.value):
            return state.x, state.jac
        x, _, jac = lowest(oracle, state.copy())  # what is asked here is not for the next run
        return x, jac

    def goal(self, state) -> float:
        """What ‖∇f‖ has to come down to: ε, or less where a gradient's error decides there."""
        return self.epsilon * (_FURTHER if state.further else 1.0)

    def _has_arrived(self, state):
        slope, goal = norm(state.jac), self.goal(state)
        if not slope <= goal:
            return False
        rounding = 8 * _UNIT * (slope + state.hess_norm * norm(state.x))
        return slope + (rounding if rounding < 0.5 * goal else 0.0) <= goal

    def _look(self, oracle, state):
        """Stop at a certified point; else leave it."""
        if has_risen(oracle, state):  # and what follows would ask for f in any case
            return
        if self._ask(oracle, state):
            return
        # No answer, or a direction that does not lead down: once more, with all that there is.
        if self._ask(oracle, state, careful=True):
            return
        seen = state.certificate
        state.finished = "stationary"
        if seen.verdict is Verdict.NEGATIVE_CURVATURE:
            state.note = "f shows no decrease along the direction of negative curvature"

    def _ask(self, oracle, state, careful=False) -> bool:
        """One look and what follows; whether the run now knows how to go on or where it is."""
        seen = self._certify(oracle, state, careful)
        if seen.verdict in (Verdict.SOSP, Verdict.VACUOUS, Verdict.WRONG_DERIVATIVES):
            state.finished = "stationary"
            return True
        if seen.min_eig < -_RESOLUTION * seen.curvature_tol - seen.hvp_error:
            if not math.isfinite(value_of(oracle, state)):
                state.finished, state.note = "nonfinite", f"f = {state.value} at a saddle"
                return True
            if escape(oracle, state, seen.direction, seen.min_eig):
                state.escapes += 1
                state.record = NOWHERE
                state.stalled = state.further = False
                return True
            return False
        # The curvature is known to be fine: it is the error of the gradient that ε is lost in.
        fine = seen.min_eig_lower >= -seen.curvature_tol
        if fine and not state.further and seen.grad_norm > _FURTHER * self.epsilon:
            state.further = True
            return True
        return False

    def _certify(self, oracle, state, careful):
        count = state.looks + 1
        question = Question(
            self.epsilon, self._tolerance(state), self.failure_prob / (count * (count + 1)),
            maxiter=min(2 * state.x.size, 2000), resolution=_RESOLUTION, recheck=careful,
            known=self._scales(state), deep=lambda tol: _RESOLUTION * tol, confirm=careful,
            measure=careful, hopeful=state.moved > 0)
        seen = question.ask(oracle, state.x, state.jac, state.rng,
                            None if math.isnan(state.value) else state.value)
        state.certificate, state.looks = seen, count
        state.certificate_cost = tuple(a + b for a, b in zip(
            state.certificate_cost, (seen.nfev, seen.njev, seen.nhvp, seen.nhev), strict=True))
        if math.isfinite(seen.hess_norm):
            state.hess_norm = max(state.hess_norm, seen.hess_norm)
        return seen

    def _tolerance(self, state):
        """γ, or what it is as a function of ‖H‖ as far as that is known."""
        if self.curvature_tol is not None:
            return self.curvature_tol
        scale = math.sqrt(state.lipschitz_hess) * math.sqrt(self.epsilon)
        return estimated_tol(_FLOOR, _CAP, scale, self.epsilon, state.x)

    def _scales(self, state):
        """What is known for differences: ‖H‖, ρ, and a length on which curvature can be lost."""
        rho = state.lipschitz_hess
        if self.curvature_tol is not None:
            length = self.epsilon / self.curvature_tol
        elif rho > 0:
            length = math.sqrt(self.epsilon) / math.sqrt(rho)
        else:
            length = 0.1 * (state.moved or norm(state.x) or 1.0)
        return Scales(state.hess_norm, rho, length)

    def _give_up(self, oracle, state):
        """Where nothing leads down and ‖∇f‖ > ε: the derivatives are wrong, or float64 ends."""
        slope, value = norm(state.jac), value_of(oracle, state)
        if state.overflowed:
            state.finished = "nonfinite"
            state.note = (f"‖∇f‖ = {slope:.3g}, f = {value:.6g}, and all that leads further down "
                          f"leads where f or ∇f is not finite; f may be unbounded below")
            return
        state.moved = 0.0  # steps that were cut down to nothing are no length to look around on
        seen = self._certify(oracle, state, careful=True)
        if seen.verdict is Verdict.WRONG_DERIVATIVES:
            state.finished = "stationary"
            return
        state.finished = "precision"
        state.note = (f"‖∇f‖ = {slope:.3g} is above ε = {self.epsilon:.3g}, and no step lowers "
                      f"f = {value:.6g} by what rounding would show")
