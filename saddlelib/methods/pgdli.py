"""Perturbed gradient descent with local improvement: Algorithm 3 of Jin et al. 2017."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass

from .._arguments import integer, positive
from .._norm import norm
from .base import Method, State
from .gd import gd_step
from .pgd import PGD, PGDState
from .rules import extend

__all__ = ["PGDli", "PGDliState"]


@dataclass(repr=False)
class PGDliState(PGDState):
    """State of `PGDli`.

    Attributes
    ----------
    local : int or None
        Steps of size 1/β taken; None while the search goes on.
    """

    local: int | None = None


@dataclass(frozen=True)
class PGDli(Method):
    r"""Search by `PGD`; from where it stops, descend with the larger step 1/β.

    Algorithm 3 of Jin et al. 2017 (arXiv:1703.00887). Where f is (α, β)-regular around its
    minimizers and the search ends within that region, each local step multiplies the squared
    distance to them by at most 1 − α/β. The paper prints no stopping rule for this phase; here it
    ends after ``local_iterations`` steps or where ‖∇f‖ ≤ ``local_tol``, whichever comes first.

    Parameters
    ----------
    search : PGD
        Algorithm 2, with any numbers. Where it stops for another reason than that it found a
        point ("precision", "nonfinite"), there is no local phase.
    beta : float
        β > 0, in the units of ∇²f.
    local_iterations : int, optional
        At least 0; `theory.jin2017.local_iterations` for a wanted distance.
    local_tol : float, optional
        > 0, in the units of the gradient.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> from saddlelib import Oracle
    >>> from saddlelib.problems import QuarticSaddle
    >>> search = PGD.practical(step_size=0.1, epsilon=1e-2, dim=2, lipschitz_hess=4.0)
    >>> method = PGDli(search, beta=1.0, local_tol=1e-12)
    >>> oracle = Oracle(QuarticSaddle(gamma=0.5, eigenvalues=[1.0]))
    >>> state = method.init(oracle, oracle.problem.saddles[0], rng=0)
    >>> while state.finished is None:
    ...     state = method.step(oracle, state)
    >>> bool(oracle.problem.distance(state.x) < 1e-11)
    True
    """

    search: PGD
    beta: float
    local_iterations: int | None = None
    local_tol: float | None = None

    def __post_init__(self):
        positive("beta", self.beta)
        if self.local_iterations is None and self.local_tol is None:
            raise ValueError("when do the steps of size 1/beta end? Give local_iterations (see "
                             "theory.jin2017.local_iterations) or local_tol, a gradient norm")
        if self.local_iterations is not None:
            integer("local_iterations", self.local_iterations, least=0)
        if self.local_tol is not None:
            positive("local_tol", self.local_tol)

    def init(self, oracle, x0, rng=None) -> PGDliState:
        """State at x0; costs one gradient. ``rng`` is a seed or a Generator."""
        return PGDliState(**vars(self.search.init(oracle, x0, rng)))

    def step(self, oracle, state) -> State:
        """One step of the search, at the cost of `PGD`, or a local one at that of a gradient."""
        if state.local is None:
            new = self.search.step(oracle, state)
            if new.finished == "stationary":
                new.finished, new.local = None, 0
        else:
            new = state.copy()
            new.x = gd_step(state.x, state.jac, 1 / self.beta)
            new.jac = oracle.grad(new.x)
            new.nit, new.local = state.nit + 1, state.local + 1
        if new.local is not None and (
                new.local == self.local_iterations
                or self.local_tol is not None and norm(new.jac) <= self.local_tol):
            new.finished = "stationary"
        return new


def _then_local(build):
    """The same, with the steps of size 1/β of `PGDli` after it where ``beta`` is given."""
    @functools.wraps(build)
    def both(*, beta=None, local_iterations=None, local_tol=None, **numbers):
        if beta is not None:
            return PGDli(build(**numbers), beta, local_iterations, local_tol)
        if local_iterations is not None or local_tol is not None:
            raise ValueError("local_iterations and local_tol are for the steps of size 1/beta that "
                             "follow the search; give beta as well")
        return build(**numbers)
    more = [each for each in inspect.signature(both, follow_wrapped=False).parameters.values()
            if each.kind is each.KEYWORD_ONLY]
    first = inspect.signature(build)
    both.__signature__ = first.replace(parameters=[*first.parameters.values(), *more])
    return both


extend("pgd", _then_local)
