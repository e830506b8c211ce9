"""Quartic double wells: separable, coupled, and along one direction only."""

from __future__ import annotations

import numpy as np

from .._arguments import integer, positive
from ._arguments import nonnegative, real_vector
from .base import Problem
from .quadratic import _diagonal
from .region import Box, Slab


class SeparableQuartic(Problem):
    """f(x) = Σ (xᵢ⁴ − xᵢ²), a double well in every coordinate.

    Parameters
    ----------
    dim : int
        d ≥ 1.
    radius : float
        R > 0, the half width of the box |xᵢ| ≤ R where ℓ and ρ hold. The
        minimizers lie in it if R ≥ 1/√2.

    Raises
    ------
    TypeError, ValueError
        For arguments outside these ranges.

    Notes
    -----
    On the box ℓ = max(2, 12R² − 2) and ρ = 24R, both sharp. The stationary
    points have every xᵢ in {0, ±1/√2}: 2ᵈ minimizers (±1/√2, …, ±1/√2) with
    f* = −d/4 and λ_min = 4; every other one is a strict saddle with
    λ_min = −2, the origin (a local maximum) among them. Symmetries:
    permutations and sign flips. `saddles` has one of each class,
    (1/√2, …, 1/√2, 0, …, 0) with k = 0, …, d − 1 leading entries; `minimizers`
    has the positive one.

    Examples
    --------
    >>> f = SeparableQuartic(3)
    >>> f.f_star, f.lipschitz_grad, f.lipschitz_hess, f.saddles.shape
    (-0.75, 10.0, 24.0, (3, 3))
    """

    name = "separable quartic"

    def __init__(self, dim: int, radius: float = 1.0):
        dim = integer("dim", dim)
        self.radius = positive("radius", radius)
        super().__init__(
            dim=dim,
            lipschitz_grad=max(2.0, 12 * self.radius**2 - 2),
            lipschitz_hess=24 * self.radius,
            region=Box(dim, self.radius),
            f_star=-dim / 4,
        )

    def _fun(self, X):
        Q = X**2
        return (Q * (Q - 1)).sum(axis=1)

    def _grad(self, X):
        return X * (4 * X**2 - 2)

    def _hvp(self, X, V):
        return (12 * X**2 - 2) * V

    def _hess(self, X):
        return _diagonal(12 * X**2 - 2)

    def _distance(self, X):
        return np.linalg.norm(np.abs(X) - np.sqrt(0.5), axis=1)

    def _saddles(self):
        return np.sqrt(0.5) * np.tri(self.dim, k=-1), np.full(self.dim, -2.0)

    def _minimizers(self):
        return np.full((1, self.dim), np.sqrt(0.5)), [4.0]

    def _parameters(self):
        return {"dim": self.dim, "radius": self.radius}


class CoupledQuartic(Problem):
    """f(x) = Σ (xᵢ⁴ − xᵢ²) + c Σ_{i<j} xᵢxⱼ, double wells that see each other.

    Parameters
    ----------
    dim : int
        d ≥ 2, even. Only then can the signs of a minimizer balance, which is
        what puts it in closed form.
    coupling : float
        c ≥ 0.
    radius : float
        R > 0, the half width of the box |xᵢ| ≤ R where ℓ and ρ hold. The
        minimizers lie in it if R ≥ √(2 + c)/2.

    Raises
    ------
    TypeError, ValueError
        For arguments outside these ranges.

    Notes
    -----
    With S = Σxᵢ, f = Σ (xᵢ⁴ − (1 + c/2) xᵢ²) + (c/2) S². Both parts are least
    where half of the xᵢ are m = √(2 + c)/2 and half are −m, so these points
    are global minimizers (all of them if c > 0): f* = −d (1 + c/2)²/4,
    λ_min = 4 + 2c. On the box ℓ = max(2 + c, 12R² − 2 + c(d − 1)) and ρ = 24R,
    both sharp. Symmetries: permutations and the flip of all signs. `saddles`
    has the classes with S = 0: k entries m, k entries −m, the rest 0, for
    k = 0, …, d/2 − 1, all strict with λ_min = −2 − c. Others, with S ≠ 0, can
    exist. `minimizers` has one point.

    Examples
    --------
    >>> f = CoupledQuartic(4, coupling=2.0)
    >>> f.f_star, f.lipschitz_grad, f.minimizers.tolist()
    (-4.0, 16.0, [[1.0, 1.0, -1.0, -1.0]])
    """

    name = "coupled quartic"

    def __init__(self, dim: int, coupling: float = 0.1, radius: float = 1.0):
        dim = integer("dim", dim, least=2)
        if dim % 2:
            raise ValueError(
                f"dim must be even, got {dim}: the minimizers are in closed form only "
                f"if half of the signs can be +; pass {dim - 1} or {dim + 1}"
            )
        self.coupling = c = nonnegative("coupling", coupling)
        self.radius = positive("radius", radius)
        self._well = np.sqrt(2 + c) / 2
        super().__init__(
            dim=dim,
            lipschitz_grad=max(2 + c, 12 * self.radius**2 - 2 + c * (dim - 1)),
            lipschitz_hess=24 * self.radius,
            region=Box(dim, self.radius),
            f_star=-dim * (1 + c / 2) ** 2 / 4,
        )

    def _fun(self, X):
        Q, c = X**2, self.coupling
        return (Q * (Q - (1 + c / 2))).sum(axis=1) + c / 2 * X.sum(axis=1) ** 2

    def _grad(self, X):
        c = self.coupling
        return X * (4 * X**2 - (2 + c)) + c * X.sum(axis=1, keepdims=True)

    def _hvp(self, X, V):
        c = self.coupling
        return (12 * X**2 - (2 + c)) * V + c * V.sum(axis=1, keepdims=True)

    def _hess(self, X):
        return _diagonal(12 * X**2 - (2 + self.coupling)) + self.coupling

    def _distance(self, X):
        if self.coupling == 0:  # then every choice of signs is a minimizer
            return np.linalg.norm(np.abs(X) - self._well, axis=1)
        # The nearest balanced signs: + for the larger half of the coordinates.
        above = np.sort(X, axis=1) - self._well * self._balanced_signs(self.dim // 2)
        return np.linalg.norm(above, axis=1)

    def _balanced_signs(self, k):
        """Return k entries −1, then zeros, then k entries 1."""
        order = np.arange(self.dim)
        return 1.0 * (order >= self.dim - k) - 1.0 * (order < k)

    def _saddles(self):
        half = self.dim // 2
        points = [self._balanced_signs(k)[::-1] for k in range(half)]
        return self._well * np.array(points), np.full(half, -2 - self.coupling)

    def _minimizers(self):
        point = self._well * self._balanced_signs(self.dim // 2)[::-1]
        return point[np.newaxis], [4 + 2 * self.coupling]

    def _parameters(self):
        return {"dim": self.dim, "coupling": self.coupling, "radius": self.radius}


class QuarticSaddle(Problem):
    """f(x) = −γ/2·x₁² + x₁⁴/4 + ½ Σ λᵢ xᵢ₊₁², a strict saddle between two minimizers.

    Parameters
    ----------
    gamma : float
        γ > 0: the curvature at the saddle is −γ along x₁.
    eigenvalues : vector (d − 1,)
        λ, finite and positive: the curvatures along x₂, …, x_d.

    Raises
    ------
    TypeError, ValueError
        For arguments outside these ranges.

    Notes
    -----
    On the slab |x₁| ≤ √γ, where gradient descent stays, ℓ = max(2γ, max λᵢ)
    and ρ = 6√γ, both sharp. The origin is the only saddle. `minimizers` has
    all: (√γ, 0, …, 0) and (−√γ, 0, …, 0), with f* = −γ²/4 and
    λ_min = min(2γ, min λᵢ).

    Examples
    --------
    >>> f = QuarticSaddle(0.25, [1.0, 2.0])
    >>> f.dim, f.lipschitz_grad, f.lipschitz_hess, f.minimizers.tolist()
    (3, 2.0, 3.0, [[0.5, 0.0, 0.0], [-0.5, 0.0, 0.0]])
    """

    name = "quartic saddle"

    def __init__(self, gamma: float = 0.1, eigenvalues=(1.0,)):
        self.gamma = positive("gamma", gamma)
        self.eigenvalues = real_vector("eigenvalues", eigenvalues)
        if self.eigenvalues.min() <= 0:
            raise ValueError(
                f"eigenvalues must be positive, got {eigenvalues!r}; "
                "the one negative curvature is -gamma"
            )
        dim = 1 + self.eigenvalues.size
        # x₁ has its own terms; 0 keeps it out of the quadratic part.
        self._quadratic = np.concatenate([[0.0], self.eigenvalues])
        super().__init__(
            dim=dim,
            lipschitz_grad=max(2 * self.gamma, self.eigenvalues.max()),
            lipschitz_hess=6 * np.sqrt(self.gamma),
            region=Slab(dim, float(np.sqrt(self.gamma))),
            f_star=-(self.gamma**2) / 4,
        )

    @classmethod
    def spread(cls, dim: int, gamma: float = 0.1, low: float = 0.1, high: float = 1.0):
        """Return the problem of dimension `dim` with λ evenly spaced in [low, high].

        λ falls from `high` to `low`; `dim` = 2 has λ = `high` alone, so that
        ℓ is the same in every dimension. Needs dim ≥ 2 and 0 < low ≤ high;
        raises TypeError or ValueError otherwise.

        >>> QuarticSaddle.spread(4, gamma=0.1)
        QuarticSaddle(gamma=0.1, eigenvalues=[1, 0.55, 0.1])
        """
        dim = integer("dim", dim, least=2)
        low, high = positive("low", low), positive("high", high)
        if low > high:
            raise ValueError(f"low must not exceed high, got low={low!r}, high={high!r}; swap them")
        return cls(gamma, np.linspace(high, low, dim - 1))

    def _fun(self, X):
        q = X[:, 0] ** 2
        return q * (q / 4 - self.gamma / 2) + 0.5 * (self._quadratic * X**2).sum(axis=1)

    def _grad(self, X):
        G = self._quadratic * X
        G[:, 0] += X[:, 0] * (X[:, 0] ** 2 - self.gamma)
        return G

    def _hvp(self, X, V):
        H = self._quadratic * V + 0.0 * X  # nan at x is nan here too
        H[:, 0] += (3 * X[:, 0] ** 2 - self.gamma) * V[:, 0]
        return H

    def _hess(self, X):
        D = self._quadratic + 0.0 * X
        D[:, 0] += 3 * X[:, 0] ** 2 - self.gamma
        return _diagonal(D)

    def _distance(self, X):
        X = X.copy()
        X[:, 0] = np.abs(X[:, 0]) - np.sqrt(self.gamma)
        return np.linalg.norm(X, axis=1)

    def _saddles(self):
        return np.zeros((1, self.dim)), [-self.gamma]

    def _minimizers(self):
        points = np.zeros((2, self.dim))
        points[:, 0] = np.sqrt(self.gamma), -np.sqrt(self.gamma)
        return points, np.full(2, min(2 * self.gamma, self.eigenvalues.min()))

    def _parameters(self):
        return {"gamma": self.gamma, "eigenvalues": self.eigenvalues}
