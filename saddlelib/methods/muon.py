r"""Muon: steps along the polar factor of the momentum, matrix by matrix.

Source. Jordan, "Muon: an optimizer for hidden layers in neural networks", 2024,
https://kellerjordan.github.io/posts/muon/, in the form of ``torch.optim.Muon``, whose code we have
read and whose every option is here. PyTorch rounds the matrices of the Newton–Schulz iteration to
bfloat16; here all is float64, and that is the only difference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .._arguments import _array, _number, integer, nonnegative, positive
from .._norm import is_finite, norm
from ..theory.muon import COEFFICIENTS
from .base import Method, State, not_finite
from .rules import rule

__all__ = ["Muon", "MuonState", "polar_factor"]

_POLAR = ("newton-schulz", "exact")
_ADJUST = (None, "original", "match_rms_adamw", "off")


@dataclass(repr=False)
class MuonState(State):
    """State of `Muon`.

    Attributes
    ----------
    buffer : ndarray, shape (d,)
        B, the mean of the gradients so far with weights that fall by β a step.
    """

    buffer: np.ndarray | None = None


def polar_factor(G, how="newton-schulz", *, ns_steps=5, coefficients=COEFFICIENTS,
                 norm_floor=1e-7) -> np.ndarray:
    r"""UVᵀ for G = UΣVᵀ, the matrix with the singular vectors of G and all singular values 1.

    "exact" takes it from the singular value decomposition. "newton-schulz" approaches it with
    products of matrices alone: from X = G/‖G‖_F, ``ns_steps`` times

    .. math:: X \leftarrow aX + (bA + cA^2)X,\qquad A = XX^\top,

    which sends every singular value σ to aσ + bσ³ + cσ⁵ and leaves the singular vectors as they
    are. With the coefficients of Jordan (see the head of the module) five steps bring every σ of X
    between 0.01 and 1 to between 0.68 and 1.14, not to 1; a smaller one is multiplied by at most
    a⁵ ≈ 485.

    Parameters
    ----------
    G : array_like, shape (m, n)
        Finite.
    how : {"newton-schulz", "exact"}
        "exact" leaves singular values at zero that are zero to rounding: G of rank r has r
        singular vectors, and the answer r singular values 1.
    ns_steps : int
        From 0 to 99.
    coefficients : tuple of 3 floats
        a, b and c.
    norm_floor : float
        > 0: "newton-schulz" divides by this where ‖G‖_F is smaller. It is PyTorch's ``eps``.

    Returns
    -------
    ndarray, shape (m, n)

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside these ranges.

    Examples
    --------
    >>> import numpy as np
    >>> G = np.array([[0.0, -3.0], [0.5, 0.0]])
    >>> polar_factor(G, "exact")
    array([[ 0., -1.],
           [ 1.,  0.]])
    >>> np.linalg.svd(polar_factor(G), compute_uv=False).round(2)
    array([1.04, 0.71])
    """
    G = _array("G", G)
    if G.ndim != 2 or G.size == 0:
        raise ValueError(f"G must be one matrix of shape (m, n), got shape {G.shape}; write a "
                         f"vector as G[np.newaxis]")
    if not np.isfinite(G).all():
        raise ValueError("G must be finite, got NaN or inf; remove them")
    _one_of("how", how, _POLAR)
    return _polar(G, how, _steps(ns_steps), _three(coefficients),
                  positive("norm_floor", norm_floor))


@rule("muon", "constant", default=True, grad_threshold="epsilon")
@dataclass(frozen=True)
class Muon(Method):
    r"""X − η·a·polar(B) for every matrix X of x, with B the momentum of its gradient.

    .. math::
        B^+ = \beta B + (1 - \beta)\nabla f(X),\qquad
        X^+ = (1 - \eta\lambda)X - \eta\,a\,
        \operatorname{polar}\bigl(\beta B^+ + (1 - \beta)\nabla f(X)\bigr)

    with Nesterov's momentum, and polar(B⁺) without. The polar factor (`polar_factor`) has no size,
    so that a step depends on the direction of the gradient alone: η has the unit of x, and every
    singular direction moves by about η a step, whether the gradient is large or small there. A
    step costs one gradient.

    Parameters
    ----------
    shapes : sequence of pairs of int
        (rows, columns) of the matrices that x consists of, one after the other and each row by
        row. `saddlelib.minimize` sees them where ``x0`` is a matrix, a list of matrices, or made
        of parameters of torch that are matrices. A vector is a matrix of one row; its polar
        factor is the vector over its norm.
    step_size : float
        η > 0, in the unit of x; 0.02 is Jordan's. It stays as it is, so that the iterates end up
        going to and fro over a distance of about η.
    momentum : float
        β, 0 ≤ β < 1.
    nesterov : bool
        Whether the last gradient counts once more.
    weight_decay : float
        λ ≥ 0, apart from the gradient. It moves the points at which the run can rest.
    polar : {"newton-schulz", "exact"}
        See `polar_factor`, also for the next two and ``norm_floor``.
    ns_steps : int
        From 0 to 99; for "newton-schulz".
    coefficients : tuple of 3 floats
        For "newton-schulz".
    adjust : {None, "original", "match_rms_adamw", "off"}
        The factor a of an (m, n) matrix: √max(1, m/n), 0.2√max(m, n), or 1. None, as in PyTorch,
        is "original"; "off" is ours.
    norm_floor : float
        > 0; PyTorch's ``eps``.
    grad_threshold : float
        Stops where ‖∇f‖₂ is at most that; 0 where the gradient vanishes.

    Raises
    ------
    TypeError, ValueError
        For arguments outside these ranges, and where the shapes do not make up x.

    Examples
    --------
    The saddle at zero is left in few steps, however near it the run begins. There the gradient is
    small, and ``epsilon`` has to be smaller:

    >>> import numpy as np
    >>> from saddlelib import minimize
    >>> M = np.diag([3.0, 2.0, 1.0])
    >>> def f(x):
    ...     P, Q = x
    ...     return 0.5 * np.sum((P @ Q - M)**2), np.stack([(P @ Q - M) @ Q.T, P.T @ (P @ Q - M)])
    >>> x0 = 1e-6 * np.random.default_rng(0).standard_normal((2, 3, 3))
    >>> result = minimize(f, x0, "muon", jac=True, step_size=0.01, epsilon=1e-9, maxiter=300)
    >>> P, Q = result.x
    >>> bool(np.abs(P @ Q - M).max() < 0.1)
    True
    """

    shapes: tuple
    step_size: float = 0.02
    momentum: float = 0.95
    nesterov: bool = True
    weight_decay: float = 0.0
    polar: str = "newton-schulz"
    ns_steps: int = 5
    coefficients: tuple = COEFFICIENTS
    adjust: str | None = None
    norm_floor: float = 1e-7
    grad_threshold: float = 0.0

    def __post_init__(self):
        object.__setattr__(self, "shapes", _pairs(self.shapes))
        object.__setattr__(self, "coefficients", _three(self.coefficients))
        positive("step_size", self.step_size)
        if not nonnegative("momentum", self.momentum) < 1:
            raise ValueError(f"momentum must be at least 0 and below 1, got {self.momentum!r}")
        if not isinstance(self.nesterov, (bool, np.bool_)):
            raise TypeError(f"nesterov must be True or False, got {self.nesterov!r}")
        nonnegative("weight_decay", self.weight_decay)
        _one_of("polar", self.polar, _POLAR)
        _steps(self.ns_steps)
        _one_of("adjust", self.adjust, _ADJUST)
        positive("norm_floor", self.norm_floor)
        nonnegative("grad_threshold", self.grad_threshold)

    def init(self, oracle, x0, rng=None) -> MuonState:
        """State at x0 with B = 0; costs one gradient."""
        size = sum(m * n for m, n in self.shapes)
        if size != x0.size:
            raise ValueError(f"shapes must make up the {x0.size} unknowns of x0, got {self.shapes} "
                             f"with {size} entries; give one (rows, columns) for each matrix")
        state = MuonState(x=x0, jac=oracle.grad(x0), rng=rng, buffer=np.zeros(x0.size))
        self._judge(state)
        return state

    def step(self, oracle, state) -> MuonState:
        """One step, which leaves ``state`` as it was."""
        new = state.copy()
        if not is_finite(new.jac):
            not_finite(new, "the gradient")
            return new
        new.buffer = state.buffer + (1 - self.momentum) * (state.jac - state.buffer)
        along = new.buffer
        if self.nesterov:
            along = state.jac + self.momentum * (new.buffer - state.jac)
        x = (1 - self.step_size * self.weight_decay) * state.x
        x -= self.step_size * self._direction(along)
        self.moved(new, x, oracle.grad(x))
        return new

    def moved(self, state, x, jac, steps=1):
        """Stop where the gradient is small."""
        super().moved(state, x, jac, steps)
        self._judge(state)

    def _direction(self, along):
        """a·polar of every matrix of a flat vector, flat."""
        parts, at = [], 0
        for m, n in self.shapes:
            G = along[at:at + m * n].reshape(m, n)
            factor = _polar(G, self.polar, self.ns_steps, self.coefficients, self.norm_floor)
            parts.append(self._factor(m, n) * factor.ravel())
            at += m * n
        return np.concatenate(parts)

    def _factor(self, m, n):
        if self.adjust == "off":
            return 1.0
        if self.adjust == "match_rms_adamw":
            return 0.2 * math.sqrt(max(m, n))
        return math.sqrt(max(1, m / n))

    def _judge(self, state):
        if norm(state.jac) <= self.grad_threshold:
            state.finished = "stationary"


def _polar(G, how, ns_steps, coefficients, norm_floor):
    if how == "exact":
        U, s, Vt = np.linalg.svd(G, full_matrices=False)
        # Below this a singular value is rounding, and its vectors are any.
        kept = s > np.finfo(float).eps * max(G.shape) * s[0]
        return U[:, kept] @ Vt[kept]
    a, b, c = coefficients
    X = (G if G.shape[0] <= G.shape[1] else G.T) / max(norm(G), norm_floor)
    for _ in range(ns_steps):
        A = X @ X.T
        X = a * X + (b * A + c * (A @ A)) @ X
    return X if G.shape[0] <= G.shape[1] else X.T


def _pairs(shapes) -> tuple:
    """Pairs of int as tuples, or an error that names them."""
    if not isinstance(shapes, (tuple, list)) or not all(
            isinstance(shape, (tuple, list)) for shape in shapes):
        raise TypeError(f"shapes must be pairs (rows, columns), one for each matrix, as in "
                        f"((20, 10), (5, 20)), got {shapes!r}")
    if not shapes or any(len(shape) != 2 for shape in shapes):
        raise ValueError(f"shapes must be pairs (rows, columns), at least one, got {shapes!r}; "
                         f"write a vector of n entries as (1, n), or leave it to another method")
    return tuple((integer("shapes", m), integer("shapes", n)) for m, n in shapes)


def _three(coefficients) -> tuple:
    """a, b and c as floats, or an error that names them."""
    if not isinstance(coefficients, (tuple, list)) or len(coefficients) != 3:
        raise TypeError(f"coefficients must be three numbers (a, b, c), got {coefficients!r}")
    numbers = tuple(_number("coefficients", value) for value in coefficients)
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"coefficients must be finite, got {coefficients!r}")
    return numbers


def _steps(ns_steps) -> int:
    if integer("ns_steps", ns_steps, least=0) > 99:
        raise ValueError(f"ns_steps must be at most 99, as in PyTorch, got {ns_steps}")
    return ns_steps


def _one_of(name, value, offered):
    if value not in offered:
        raise ValueError(f"{name} must be {' or '.join(map(repr, offered))}, got {value!r}")
