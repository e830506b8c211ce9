"""Models with more parameters than the truth needs: quadratic sensing, and two neurons for one."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.linalg import eigh

from .._arguments import integer, positive
from ._arguments import frozen, real_array, real_vector
from .base import Problem
from .region import Ball, BallAround


class QuadraticSensing(Problem):
    """f(X) = (1/m) Σ (‖Xᵀaᵢ‖² − ‖Xᵀbᵢ‖² − yᵢ)² for X ∈ ℝⁿˣᵏ, flattened row by row.

    The measurements are those of a matrix GGᵀ with G ∈ ℝⁿˣʳ: yᵢ = ‖Gᵀaᵢ‖² − ‖Gᵀbᵢ‖².

    Parameters
    ----------
    a, b : arrays (m, n)
        The vectors of the measurements Aᵢ = aᵢaᵢᵀ − bᵢbᵢᵀ.
    truth : array (n, r)
        G, of rank r.
    columns : int, optional
        k ≥ r, the columns of X; r by default.
    radius : float, optional
        R, by default 2‖G‖_F: the Frobenius ball where ℓ and ρ hold. R ≥ ‖G‖_F has the minimizers.

    Raises
    ------
    TypeError, ValueError
        For arguments outside these ranges.

    Notes
    -----
    f* = 0 at [G, 0]·Q with Q orthogonal, and `distance` is the Procrustes
    distance to these points. They are all minimizers if ⟨Aᵢ, S⟩ = 0 for all i
    holds for no S ≠ 0 of the form XXᵀ − GGᵀ; that is so for enough measurements,
    and the problem takes it for granted. Then the growth order is 4 if k > r and
    n > r, else 2; μ and L are computed from the Hessian. With
    β = λ_max of (1/m) Σ vec(Aᵢ)vec(Aᵢ)ᵀ the ball has
    ℓ = 4β(2R² + √(R⁴ + ‖GGᵀ‖²)) and ρ = 24βR: bounds, not sharp.

    Examples
    --------
    >>> f = QuadraticSensing.random(6, 1, columns=2, measurements=40, rng=0)
    >>> f.dim, f.growth_order, float(f.fun(f.minimizers[0]))
    (12, 4.0, 0.0)
    """

    name = "quadratic sensing"

    def __init__(self, a, b, truth, columns: int | None = None, radius: float | None = None):
        a, b, G = real_array("a", a), real_array("b", b), real_array("truth", truth)
        for name, array in (("a", a), ("b", b), ("truth", G)):
            if array.ndim != 2 or array.size == 0 or not np.isfinite(array).all():
                raise ValueError(f"{name} must be a finite, non-empty matrix, got shape "
                                 f"{array.shape}")
        if a.shape != b.shape or a.shape[1] != len(G):
            raise ValueError(f"a and b must be (m, n) for a truth of n rows, got {a.shape}, "
                             f"{b.shape} and {G.shape}")
        n, r = G.shape
        if np.linalg.matrix_rank(G) < r:
            raise ValueError(f"truth must have full column rank {r}; leave out dependent columns")
        self.columns = k = r if columns is None else integer("columns", columns)
        if k < r:
            raise ValueError(f"columns must be at least {r}, the columns of truth, got {columns!r}")
        self.n, self.rank, self.measurements, self.shapes = n, r, len(a), ((n, k),)
        self.a, self.b = frozen(a), frozen(b)
        self.truth = frozen(np.hstack([G, np.zeros((n, k - r))]))
        self._y = np.zeros(len(a))
        self._y = self._values(self.truth[np.newaxis])[2][0]
        self.growth_order = 4.0 if min(k, n) > r else 2.0
        self.radius = R = positive("radius", 2 * np.linalg.norm(G) if radius is None else radius)
        if R < np.linalg.norm(G):
            raise ValueError(f"radius must be at least {np.linalg.norm(G):.6g}, the norm of truth, "
                             f"got {radius!r}")
        gram = (a @ a.T) ** 2 - (a @ b.T) ** 2 - (b @ a.T) ** 2 + (b @ b.T) ** 2
        beta = eigh(gram, eigvals_only=True, subset_by_index=[len(a) - 1] * 2)[0] / len(a)
        super().__init__(
            dim=n * k,
            lipschitz_grad=4 * beta * (2 * R**2 + np.sqrt(R**4 + np.linalg.norm(G @ G.T) ** 2)),
            lipschitz_hess=24 * beta * R, region=Ball(n * k, R), f_star=0.0)

    @classmethod
    def random(cls, n: int, rank: int, *, columns: int, measurements: int, rng=None):
        """Return the problem with standard normal aᵢ and bᵢ and a normal G of norm 1.

        >>> QuadraticSensing.random(5, 1, columns=3, measurements=30, rng=0)
        QuadraticSensing(n=5, rank=1, columns=3, measurements=30)
        """
        n, rank = integer("n", n), integer("rank", rank)
        rng = np.random.default_rng(rng)
        G = rng.standard_normal((n, rank))
        a, b = rng.standard_normal((2, integer("measurements", measurements), n))
        return cls(a, b, G / np.linalg.norm(G), columns)

    @property
    def normal_curvature(self):
        """μ and L: the least and the largest positive eigenvalue of the Hessian at the truth."""
        eigenvalues = np.linalg.eigvalsh(self.hess(self.minimizers[0]))
        return float(eigenvalues[eigenvalues > 1e-9 * eigenvalues[-1]][0]), float(eigenvalues[-1])

    def factor(self, x) -> np.ndarray:
        """Return the matrices X, (n, k) or (batch, n, k), of flat points x."""
        X = self._points(x)
        return X.reshape(*X.shape[:-1], self.n, self.columns)

    def _values(self, X):
        A, B = self.a @ X, self.b @ X
        return A, B, (A**2).sum(axis=2) - (B**2).sum(axis=2) - self._y

    def _residual(self, X):
        return self._values(X.reshape(-1, self.n, self.columns))

    def _fun(self, X):
        return (self._residual(X)[2] ** 2).sum(axis=1) / self.measurements

    def _grad(self, X):
        A, B, r = self._residual(X)
        G = self.a.T @ (r[:, :, np.newaxis] * A) - self.b.T @ (r[:, :, np.newaxis] * B)
        return (4 / self.measurements) * G.reshape(X.shape)

    def _hvp(self, X, V):
        A, B, r = self._residual(X)
        Z = V.reshape(-1, self.n, self.columns)
        ZA, ZB = self.a @ Z, self.b @ Z
        change = 2 * ((A * ZA).sum(axis=2) - (B * ZB).sum(axis=2))
        r, change = r[:, :, np.newaxis], change[:, :, np.newaxis]
        H = self.a.T @ (change * A + r * ZA) - self.b.T @ (change * B + r * ZB)
        return (4 / self.measurements) * H.reshape(X.shape)

    def _hess(self, X):
        H = []
        for A, B, r in zip(*self._residual(X), strict=True):
            J = np.einsum("mi,mk->mik", self.a, A) - np.einsum("mi,mk->mik", self.b, B)
            J = J.reshape(self.measurements, self.dim)
            S = (self.a.T * r) @ self.a - (self.b.T * r) @ self.b
            H.append((4 / self.measurements) * (2 * J.T @ J + np.kron(S, np.eye(self.columns))))
        return np.array(H).reshape(-1, self.dim, self.dim)

    def _distance(self, X):
        U = X.reshape(-1, self.n, self.columns)
        overlap = self.truth.T @ U
        finite = np.isfinite(overlap).all(axis=(1, 2), keepdims=True)
        P, _, Q = np.linalg.svd(np.where(finite, overlap, 0.0))
        return np.linalg.norm(U - self.truth @ (P @ Q), axis=(1, 2))

    def _minimizers(self):
        point = self.truth.reshape(1, self.dim)
        return point, np.linalg.eigvalsh(self.hess(point))[:, 0]

    def _parameters(self):
        return {"n": self.n, "rank": self.rank, "columns": self.columns,
                "measurements": self.measurements}


class TwoNeurons(Problem):
    r"""Two ReLU neurons learn one, on Gaussian inputs, with the expectation in closed form.

    f(w₁, w₂) = ½E([⟨w₁, z⟩]₊ + [⟨w₂, z⟩]₊ − [⟨v, z⟩]₊)² with z standard normal, which is

    .. math:: \tfrac14\|w_1+w_2-v\|^2 + \tfrac1{2\pi}\,(s(w_1,w_2) - s(w_1,v) - s(w_2,v)),
              \qquad s(a, b) = \|a\|\,\|b\|\,(\sin\theta - \theta\cos\theta),

    with θ the angle of a and b. x = (w₁, w₂).

    Parameters
    ----------
    target : vector (d,)
        v ≠ 0, d ≥ 2.
    radius : float, optional
        R < ‖v‖/2, by default ‖v‖/4: the ball around (v/2, v/2) where ℓ and ρ hold.

    Raises
    ------
    TypeError, ValueError
        For arguments outside these ranges.

    Notes
    -----
    The angles are not computed from cosines, which lose everything below about 1e-8, but from the
    perpendicular part of one vector to the other, whose products are taken in twice the precision,
    and sin θ − θ cos θ from its series: f and ∇f keep nearly all digits however small the angles.

    The minimizers are (αv, (1 − α)v), 0 ≤ α ≤ 1, with f* = 0; `minimizers` has α = ½. The Hessian
    there has the eigenvalues μ = L = 1 and 0. Where w₁ = αv + te, w₂ = (1 − α)v − te with e ⊥ v of
    length 1, f = t³/(3πα(1 − α)‖v‖) + O(t⁴): the growth order is 3, and the growth constant at
    α = ½ is √2/(3π‖v‖). f is twice differentiable where no neuron is 0, and not four times. With
    m = ‖v‖/2 − R, M = ‖v‖/2 + R and angles of at most φ = arcsin(2R/‖v‖) to v, hence 2φ between
    the neurons, the Hessian of s has a block (β/α) sin θ (I − ââᵀ + p̂p̂ᵀ), with α = ‖a‖ and β = ‖b‖,
    and a mixed one of norm at most θ + ½ + sin²θ; its third derivative is at most 3.06β/α² in the
    first argument alone and 3.83/α where it is mixed. That makes the stated ℓ and ρ, which are
    bounds and not sharp.

    Examples
    --------
    >>> f = TwoNeurons([2.0, 0.0])
    >>> f.growth_order, f.normal_curvature, float(f.fun(f.minimizers[0]))
    (3.0, (1.0, 1.0), 0.0)
    >>> bool(abs(f.fun(f.ravine(1e-6)) / (f.growth_constant * 1e-18) - 1) < 1e-9)
    True
    """

    name = "two neurons"
    growth_order, normal_curvature = 3.0, (1.0, 1.0)

    def __init__(self, target, radius: float | None = None):
        self.target = v = real_vector("target", target)
        if v.size < 2 or not v.any():
            raise ValueError(f"target must be a vector of two entries or more, not zero, got "
                             f"{target!r}")
        size = float(np.linalg.norm(v))
        self.radius = R = positive("radius", size / 4 if radius is None else radius)
        if R >= size / 2:
            raise ValueError(f"radius must be less than half the norm of target, {size / 2:.6g}, "
                             f"got {radius!r}; a neuron could be zero")
        self.growth_constant = float(np.sqrt(2) / (3 * np.pi * size))
        low, high, phi = size / 2 - R, size / 2 + R, np.arcsin(2 * R / size)
        both = min(2 * phi, np.pi)
        sine = np.sin(min(both, np.pi / 2))
        ell = 2 * high / low * sine + both + 0.5 + sine**2 + 2 * size / low * np.sin(phi)
        rho = 3.06 * high / low**2 + 3 * 3.83 / np.sqrt(2) / low + 3.06 * size / low**2
        super().__init__(dim=2 * v.size, lipschitz_grad=1 + ell / (2 * np.pi),
                         lipschitz_hess=rho / (2 * np.pi),
                         region=BallAround(2 * v.size, R, tuple(np.tile(v / 2, 2).tolist())),
                         f_star=0.0)

    def _neurons(self, X):
        d = self.target.size
        return X[:, :d], X[:, d:], np.broadcast_to(self.target, (len(X), d))

    @staticmethod
    def _excess(w1, w2, v):
        """w₁ + w₂ − v, with the rounding error of the sum put back."""
        total = w1 + w2
        back = total - w1
        return (total - v) + ((w1 - (total - back)) + (w2 - back))

    def _fun(self, X):
        w1, w2, v = self._neurons(X)
        s = _Pair(w1, w2).value() - _Pair(w1, v).value() - _Pair(w2, v).value()
        return (self._excess(w1, w2, v) ** 2).sum(axis=1) / 4 + s / (2 * np.pi)

    def _grad(self, X):
        w1, w2, v = self._neurons(X)
        half, pair = self._excess(w1, w2, v) / 2, _Pair(w1, w2)
        first = half + (pair.grad() - _Pair(w1, v).grad()) / (2 * np.pi)
        second = half + (pair.swapped().grad() - _Pair(w2, v).grad()) / (2 * np.pi)
        return np.concatenate([first, second], axis=1)

    def _hvp(self, X, V):
        w1, w2, v = self._neurons(X)
        z1, z2, still = V[:, : v.shape[1]], V[:, v.shape[1]:], np.zeros_like(v)
        half, pair = (z1 + z2) / 2, _Pair(w1, w2)
        first = half + (pair.hvp(z1, z2) - _Pair(w1, v).hvp(z1, still)) / (2 * np.pi)
        second = half + (pair.swapped().hvp(z2, z1) - _Pair(w2, v).hvp(z2, still)) / (2 * np.pi)
        return np.concatenate([first, second], axis=1)

    def _distance(self, X):
        w1, w2, v = self._neurons(X)
        share = 0.5 + ((w1 - w2) * v).sum(axis=1) / (2 * (v**2).sum(axis=1))
        share = np.clip(share, 0.0, 1.0)[:, np.newaxis]
        return np.hypot(np.linalg.norm(w1 - share * v, axis=1),
                        np.linalg.norm(w2 - (1 - share) * v, axis=1))

    def _minimizers(self):
        return np.tile(self.target / 2, 2)[np.newaxis], [0.0]

    def _ravine(self, t):
        i = np.argsort(np.abs(self.target))[-2:]
        e = np.zeros(self.target.size)
        e[i] = self.target[i[1]], -self.target[i[0]]
        e /= np.linalg.norm(e) * np.sqrt(2)
        return np.concatenate([self.target / 2 + t * e, self.target / 2 - t * e], axis=1)

    def _parameters(self):
        return {"target": self.target, "radius": self.radius}


class _Pair:
    """s(a, b) of `TwoNeurons` for rows of a and b, with its derivatives in a."""

    def __init__(self, a, b):
        self.a, self.b = a, b
        self.size_a, self.size_b = (np.linalg.norm(w, axis=1, keepdims=True) for w in (a, b))
        self.along = (a * b).sum(axis=1, keepdims=True)

    @cached_property
    def a_off(self):
        return _perpendicular(self.a, self.b)

    @cached_property
    def b_off(self):
        return _perpendicular(self.b, self.a)

    @cached_property
    def theta(self):
        return np.arctan2(np.linalg.norm(self.b_off, axis=1, keepdims=True),
                          self.along / _nonzero(self.size_a))

    def swapped(self):
        """The same pair with the derivatives in b."""
        other = _Pair(self.b, self.a)
        other.a_off, other.b_off, other.theta = self.b_off, self.a_off, self.theta
        return other

    def value(self):
        return (self.size_a * self.size_b * _sin_minus(self.theta))[:, 0]

    def grad(self):
        """‖b‖(sin θ − θ cos θ) a/‖a‖ − θ p, with p the part of b perpendicular to a."""
        return (self.size_b * _sin_minus(self.theta) / _nonzero(self.size_a) * self.a
                - self.theta * self.b_off)

    def hvp(self, da, db):
        """The derivative of `grad` along (da, db)."""
        size_a, size_b, theta = _nonzero(self.size_a), _nonzero(self.size_b), self.theta
        unit, psi = self.a / size_a, _sin_minus(theta)
        turn_a = self.b_off / _nonzero(np.linalg.norm(self.b_off, axis=1, keepdims=True))
        turn_b = self.a_off / _nonzero(np.linalg.norm(self.a_off, axis=1, keepdims=True))
        dot = lambda p, q: (p * q).sum(axis=1, keepdims=True)  # noqa: E731
        d_theta = -dot(turn_a, da) / size_a - dot(turn_b, db) / size_b
        d_unit = (da - dot(unit, da) * unit) / size_a
        d_off = (db - (dot(db, unit) + dot(self.b, d_unit)) * unit
                 - self.along / size_a * d_unit)
        return ((dot(self.b, db) / size_b * psi + size_b * theta * np.sin(theta) * d_theta) * unit
                + size_b * psi * d_unit - d_theta * self.b_off - theta * d_off)


def _nonzero(size):
    return np.where(size == 0, 1.0, size)


def _perpendicular(a, b):
    """The part of each row of a perpendicular to that of b, to the last digits of itself."""
    square = _nonzero((b**2).sum(axis=1, keepdims=True))
    c = (a * b).sum(axis=1, keepdims=True) / square
    product = c * b
    # Dekker's product: what rounding took from c·b, in full.
    c_high, b_high = (w * 134217729.0 - (w * 134217729.0 - w) for w in (c, b))
    c_low, b_low = c - c_high, b - b_high
    lost = ((c_high * b_high - product) + c_high * b_low + c_low * b_high) + c_low * b_low
    rest = (a - product) - lost
    return rest - (rest * b).sum(axis=1, keepdims=True) / square * b


_SERIES = np.array([2 * k * (-1.0) ** (k + 1) / np.prod(np.arange(1.0, 2 * k + 2))
                    for k in range(1, 12)])


def _sin_minus(theta):
    """sin θ − θ cos θ = θ³/3 − θ⁵/30 + …, without cancellation where θ is small."""
    series = (_SERIES * theta ** (2 * np.arange(_SERIES.size))).sum(axis=1, keepdims=True)
    return np.where(theta < 1, series * theta**3, np.sin(theta) - theta * np.cos(theta))
