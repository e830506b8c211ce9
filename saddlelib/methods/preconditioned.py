r"""Gradient descent on a factor X (n × k) with the metric of XᵀX: ScaledGD and PrecGD.

For f(X) = φ(XXᵀ) the curvature along a move Z scales with XᵀX. Plain gradient descent feels the
small singular values of X; both methods divide them out from the right.

Sources. Tong, Ma & Chi, "Accelerating ill-conditioned low-rank matrix estimation via scaled
gradient descent", arXiv:2005.08898: of theirs we have read the authors' code for matrix sensing
(github.com/Titan-Tong/ScaledGD, matrix/MS.m), which has two factors and η = 0.5. Zhang, Fattahi &
Zhang, "Preconditioned gradient descent for over-parameterized nonconvex matrix factorization",
NeurIPS 2021, arXiv:2504.09708: the abstract, which has η_k = √f(X_k), and summaries of the body,
which give the step. The papers start near a solution; neither method looks whether a step lowers f.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .._arguments import _number, integer, nonnegative, positive
from .base import not_finite
from .polyak import PolyakState, ValueMethod, told_f_star
from .rules import rule

__all__ = ["PrecGD", "PreconditionedState", "ScaledGD"]


@dataclass(repr=False)
class PreconditionedState(PolyakState):
    """State of `PrecGD` and `ScaledGD`.

    Attributes
    ----------
    damping : float or None
        The η that was added to XᵀX in the last step; None before it.
    """

    damping: float | None = None


class _Preconditioned(ValueMethod):
    """x − factor·∇f(X)(XᵀX + ηI)⁻¹, with X from x row by row."""

    columns: int
    factor: float

    def _start(self, oracle, x0, rng, f_star):
        if x0.size % self.columns:
            raise ValueError(f"columns must divide the number of unknowns, {x0.size}, got "
                             f"{self.columns}; x is a factor of so many columns, row by row")
        state = PreconditionedState(x=x0, jac=oracle.grad(x0), rng=rng, f_star=f_star)
        self.stop(state)
        return state

    def _spectrum(self, state):
        """(squared singular values, right singular vectors, ∇f on these), for the metric."""
        # Singular values of X, because those of XᵀX lose all digits below √ε_mach of the largest.
        _, s, right = np.linalg.svd(state.x.reshape(-1, self.columns), full_matrices=True)
        squares = np.zeros(self.columns)  # with fewer rows than columns the others are zero
        squares[:s.size] = s * s
        return squares, right, state.jac.reshape(-1, self.columns) @ right.T

    def _move(self, oracle, state, squares, right, grad):
        x = state.x - self.factor * ((grad / squares) @ right).ravel()
        if not np.isfinite(x).all():
            state.finished = "nonfinite"
            state.note = (f"a step of factor = {self.factor:.3g} leads out of the range of "
                          f"floats; a smaller factor may help")
            return
        self.moved(state, x, oracle.grad(x))


@rule("gd", "scaledgd", step="factor·∇f(X)(XᵀX)⁻¹", grad_threshold="epsilon")
@dataclass(frozen=True)
class ScaledGD(_Preconditioned):
    r"""X − factor·∇f(X)(XᵀX)⁻¹, the ScaledGD of Tong, Ma & Chi 2021 for one symmetric factor.

    With as many columns as the rank of the solution its rate does not depend on the condition of
    the solution. With more, XᵀX becomes singular on the way, and the step too long in the spare
    columns: only damping (`PrecGD`) has a guarantee there. A step costs one gradient.

    Parameters
    ----------
    columns : int
        k ≥ 1, the columns of X; x has n·k entries, row by row.
    factor : float
        The step, > 0, without unit where f is ½‖XXᵀ − M‖² or a sum that is close to it; for c
        times that, divide by c.
    grad_threshold : float
        Stops where ‖∇f‖ is at most that.

    Raises
    ------
    TypeError, ValueError
        For arguments outside these ranges, and where k does not divide the number of unknowns.

    Notes
    -----
    Where a singular value of X is zero to rounding the run ends
    ("nonfinite").

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib import Oracle
    >>> from saddlelib.problems import MatrixFactorization
    >>> f = MatrixFactorization(np.diag([4.0, 0.01]))
    >>> oracle, method = Oracle(f), ScaledGD(columns=2)
    >>> state = method.init(oracle, f.minimizers[0] + 0.02)
    >>> for _ in range(40):
    ...     state = method.step(oracle, state)
    >>> bool(f.fun(state.x) < 1e-20)
    True
    """

    columns: int
    factor: float = 0.25
    grad_threshold: float = 0.0

    def __post_init__(self):
        integer("columns", self.columns)
        positive("factor", self.factor)
        nonnegative("grad_threshold", self.grad_threshold)

    def init(self, oracle, x0, rng=None) -> PreconditionedState:
        """State at x0; costs one gradient, as every step does."""
        return self._start(oracle, x0, rng, None)

    def step(self, oracle, state) -> PreconditionedState:
        """One step; none where XᵀX is singular."""
        new = state.copy()
        if not np.isfinite(new.jac).all():
            not_finite(new, "the gradient")
            return new
        squares, right, grad = self._spectrum(new)
        # Below this a computed singular value is rounding, and its step goes anywhere.
        noise = np.finfo(float).eps * max(new.x.size // self.columns, self.columns)
        if squares.min() <= noise**2 * squares.max():
            new.finished = "nonfinite"
            new.note = "XᵀX is singular; take rule='precgd', or a start of full column rank"
            return new
        new.damping = 0.0
        self._move(oracle, new, squares, right, grad)
        return new


@rule("gd", "precgd", step="factor·∇f(X)(XᵀX + ηI)⁻¹, η = damping·√(f − f*)",
      grad_threshold="epsilon")
@dataclass(frozen=True)
class PrecGD(_Preconditioned):
    r"""X − factor·∇f(X)(XᵀX + ηI)⁻¹, the PrecGD of Zhang, Fattahi & Zhang 2021.

    .. math:: \eta = \text{damping}\cdot\sqrt{f(X) - f^*}

    is of the size of ‖XXᵀ − M‖, which is what keeps the rate linear with more columns than the
    rank of M. A step costs one value and one gradient, at the same point.

    Parameters
    ----------
    columns : int
        k ≥ 1, the columns of X; x has n·k entries, row by row.
    factor : float
        The step, > 0, without unit where f is ½‖XXᵀ − M‖² or a sum that is close to it; for c
        times that, divide by c.
    damping : float
        > 0; 1 in the paper, whose f is ‖XXᵀ − M‖² or its like. For c times f, divide by √c.
    f_star : float, optional
        f*; what the problem states by default. Where a value below it is met the run ends
        ("f_star"). ``-inf`` says that it is not known: η is then ``damping`` times
        ‖∇f(X)(XᵀX + η₋I)^(-½)‖, with η₋ that of the step before (at first ‖X‖²/k). That norm is of
        the size of ‖XXᵀ − M‖ too, and for c times f grows by c. This form is ours.
    grad_threshold : float
        Stops where ‖∇f‖ is at most that.

    Raises
    ------
    TypeError, ValueError
        For arguments outside these ranges, and where k does not divide the number of unknowns.

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib import Oracle
    >>> from saddlelib.problems import MatrixFactorization
    >>> f = MatrixFactorization(np.diag([1.0, 0.5, 0.0, 0.0]), columns=3)
    >>> oracle, method = Oracle(f), PrecGD(columns=3)
    >>> state = method.init(oracle, np.random.default_rng(0).standard_normal(12) / 3)
    >>> for _ in range(100):
    ...     state = method.step(oracle, state)
    >>> bool(f.fun(state.x) < 1e-15)
    True
    """

    columns: int
    factor: float = 0.25
    damping: float = 1.0
    f_star: float | None = None
    grad_threshold: float = 0.0

    def __post_init__(self):
        integer("columns", self.columns)
        positive("factor", self.factor)
        positive("damping", self.damping)
        nonnegative("grad_threshold", self.grad_threshold)
        if self.f_star is not None and not _number("f_star", self.f_star) < math.inf:
            raise ValueError(f"f_star must be a number, -inf to do without, got {self.f_star!r}")

    def init(self, oracle, x0, rng=None) -> PreconditionedState:
        """State at x0; costs one gradient."""
        f_star = self.f_star
        if f_star is None and oracle.problem is None:
            raise ValueError("η needs f_star, the least value of f; give it, or -inf where it is "
                             "not known")
        return self._start(oracle, x0, rng, told_f_star(f_star, oracle))

    def step(self, oracle, state) -> PreconditionedState:
        """One step; none where f is not above f*."""
        new = state.copy()
        gap = self.gap(oracle, new)
        if new.finished is None and not (math.isfinite(new.fun) and np.isfinite(new.jac).all()):
            not_finite(new, f"f = {new.fun}")
        elif new.finished is None and gap == 0:
            new.finished, new.note = "stationary", "f = f_star"
        if new.finished is not None:
            return new
        squares, right, grad = self._spectrum(new)
        new.damping = self.damping * (math.sqrt(gap) if math.isfinite(gap)
                                      else self._local_norm(new, squares, grad))
        self._move(oracle, new, squares + new.damping, right, grad)
        return new

    def _local_norm(self, state, squares, grad):
        """‖∇f(X)(XᵀX + η₋I)^(-½)‖."""
        before = squares.mean() if state.damping is None else state.damping
        # X = 0 has no size; its gradient is zero for f = φ(XXᵀ), and any other is left as it is.
        metric = squares + (before or 1.0)
        return float(np.linalg.norm(grad / np.sqrt(metric)))
