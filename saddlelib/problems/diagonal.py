"""Diagonal linear networks: least squares in the products of pairs of weights."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from .._arguments import integer, positive
from ._arguments import each, frozen, real_array, real_vector
from .base import Problem
from .region import Box


class DiagonalNetwork(Problem):
    """f(u, v) = (1/2n)‖X(u∘v) − y‖² with the entrywise product ∘; a point is (u, v).

    Parameters
    ----------
    design : array (n, p)
        X.
    target : vector (n,)
        y, with Xᵀy ≠ 0.
    radius : float, optional
        R, the bound of `region`, {|uᵢ| ≤ R, |vᵢ| ≤ R}, at least the largest coordinate of the
        minimizer, and by default twice that.

    Raises
    ------
    TypeError, ValueError
        For arguments outside these ranges.

    Notes
    -----
    Let β = u∘v, K = XᵀX/n and g = Kβ − Xᵀy/n, the gradient of least squares. A point is stationary
    if uᵢgᵢ = vᵢgᵢ = 0 for all i: with S the set of i where uᵢ or vᵢ is not 0, β is a least-squares
    solution on the columns of S. There the Hessian is positive semidefinite in the coordinates of
    S, apart from which it has the eigenvalues ±gᵢ for the pair uᵢ, vᵢ of each other i. So the point
    is a minimizer if g = 0 and else a strict saddle, with λ_min = −max |gᵢ|. `stationary` makes the
    one with |uᵢ| = |vᵢ| and the β of least norm.

    `saddles` has those that orthogonal matching pursuit goes through: S begins empty, and the
    column with the largest |gᵢ| joins, until g = 0. `minimizers` has the stationary point of all
    columns; f* is what least squares leaves, and λ_min = 0 along (u, −v).

    With κ = λ_max(K), along unit directions (p, q) the derivatives of β are at most √2·R and
    2‖p∘q‖ ≤ 1, also in the sum of absolute values; so ℓ = 2κR² + max_i (R² Σⱼ|Kᵢⱼ| + |(Xᵀy/n)ᵢ|)
    and ρ = 3√2·κR, both sharp if X has orthogonal columns and the same i has the largest of each.

    Gradient flow from u = √2·α, v = 0 keeps uᵢ² − vᵢ² = 2α². As α → 0 it jumps from saddle to
    saddle at times in proportion to ln(1/α): Pesme and Flammarion, "Saddle-to-saddle dynamics in
    diagonal linear networks", 2023, arXiv:2304.00488.

    Examples
    --------
    >>> f = DiagonalNetwork([[1.0, 0.0], [0.0, 1.0]], [4.0, -1.0])
    >>> f.saddles.tolist(), f.saddle_min_eigs.tolist()
    ([[0.0, 0.0, 0.0, 0.0], [2.0, 0.0, 2.0, 0.0]], [-2.0, -0.5])
    >>> f.minimizers.tolist(), f.f_star
    ([[2.0, 1.0, 2.0, -1.0]], 0.0)
    """

    name = "diagonal network"

    def __init__(self, design, target, radius: float | None = None):
        X, y = real_array("design", design), real_vector("target", target)
        if X.ndim != 2 or X.size == 0 or not np.isfinite(X).all():
            raise ValueError(f"design must be a finite, non-empty matrix, got shape {X.shape}")
        if len(X) != y.size:
            raise ValueError(f"design must have a row for each of the {y.size} entries of target, "
                             f"got shape {X.shape}")
        n, p = X.shape
        self.design, self.target = frozen(X), y
        self.samples, self.features = n, p
        with np.errstate(over="ignore", invalid="ignore"):
            self._gram, self._pull = X.T @ X / n, X.T @ y / n
        if not (np.isfinite(self._gram).all() and np.isfinite(self._pull).all()):
            raise ValueError("design and target make f leave the range of float64; use other units")
        if not self._pull.any():
            raise ValueError("target must not be orthogonal to all columns of design; the origin "
                             "would be a minimizer")
        best = self.stationary(range(p))
        least = np.abs(best).max()
        self.radius = R = positive("radius", 2 * least if radius is None else radius)
        if R < least:
            raise ValueError(f"radius must be at least {least:.6g}, the largest coordinate of the "
                             f"minimizer, got {radius!r}")
        kappa = np.linalg.norm(X, ord=2) ** 2 / n
        slope = (R**2 * np.abs(self._gram).sum(axis=1) + np.abs(self._pull)).max()
        left = np.linalg.norm(X @ (best[:p] * best[p:]) - y)
        interpolates = left <= 1e-14 * p * np.linalg.norm(y)
        super().__init__(
            dim=2 * p, lipschitz_grad=2 * kappa * R**2 + slope,
            lipschitz_hess=3 * np.sqrt(2) * kappa * R, region=Box(2 * p, R),
            f_star=0.0 if interpolates else left**2 / (2 * n))

    def predictor(self, x) -> np.ndarray:
        """Return β = u∘v, (p,), or (batch, p); raises as `fun` does.

        >>> DiagonalNetwork([[1.0, 1.0]], [1.0]).predictor([1.0, 2.0, 3.0, 4.0])
        array([3., 8.])
        """
        X = self._points(x)
        return X[..., :self.features] * X[..., self.features:]

    def start(self, alpha: float) -> np.ndarray:
        """Return the start u = √2·α·(1, …, 1), v = 0, where β = 0.

        `alpha` is α > 0. Raises TypeError or ValueError otherwise.

        >>> DiagonalNetwork([[1.0, 1.0]], [1.0]).start(0.1).round(3)
        array([0.141, 0.141, 0.   , 0.   ])
        """
        alpha = positive("alpha", alpha)
        return np.repeat([np.sqrt(2) * alpha, 0.0], self.features)

    def stationary(self, support) -> np.ndarray:
        """Return the stationary point (2p,) with uᵢ = vᵢ = 0 for i outside `support`.

        β is the least-squares solution of least norm on these columns, and vᵢ = ±uᵢ with uᵢ ≥ 0.
        `support` has different integers from 0 to p − 1, and may be empty. Raises TypeError or
        ValueError otherwise.

        >>> DiagonalNetwork([[1.0, 0.0], [0.0, 1.0]], [4.0, -1.0]).stationary([1]).tolist()
        [0.0, 1.0, 0.0, -1.0]
        """
        chosen = [integer("each of support", i, least=0) for i in each("support", support)]
        if len(set(chosen)) < len(chosen) or max(chosen, default=0) >= self.features:
            raise ValueError(f"support must have different integers below {self.features}, the "
                             f"columns of design, got {support!r}")
        beta = np.zeros(self.features)
        if chosen:
            beta[chosen] = np.linalg.lstsq(self.design[:, chosen], self.target)[0]
        root = np.sqrt(np.abs(beta))
        return np.concatenate([root, np.sign(beta) * root])

    @cached_property
    def pursuit(self) -> tuple[int, ...]:
        """The columns in the order in which matching pursuit takes them, as in `saddles`."""
        chosen, floor = [], 1e-12 * np.abs(self._pull).max()
        while len(chosen) < self.features:
            slopes = np.abs(self._slopes(self.stationary(chosen)[np.newaxis])[2][0])
            slopes[chosen] = 0.0
            if slopes.max() <= floor:
                break
            chosen.append(int(slopes.argmax()))
        return tuple(chosen)

    def _left(self, u, v):
        """X(u∘v) − y."""
        return _times(self.design, u * v) - self.target

    def _slopes(self, X):
        """u, v and g."""
        u, v = X[:, :self.features], X[:, self.features:]
        return u, v, _times(self.design.T, self._left(u, v)) / self.samples

    def _fun(self, X):
        left = self._left(X[:, :self.features], X[:, self.features:])
        return (left**2).sum(axis=1) / (2 * self.samples)

    def _grad(self, X):
        u, v, g = self._slopes(X)
        return np.concatenate([v * g, u * g], axis=1)

    def _hvp(self, X, V):
        u, v, g = self._slopes(X)
        du, dv = V[:, :self.features], V[:, self.features:]
        dg = _times(self._gram, du * v + u * dv)
        return np.concatenate([dv * g + v * dg, du * g + u * dg], axis=1)

    def _saddles(self):
        points = np.array([self.stationary(self.pursuit[:k]) for k in range(len(self.pursuit))])
        return points, -np.abs(self._slopes(points)[2]).max(axis=1)

    def _minimizers(self):
        return self.stationary(range(self.features))[np.newaxis], [0.0]

    def _parameters(self):
        return {"samples": self.samples, "features": self.features, "radius": self.radius}


def _times(A, rows):
    """A times each row, in the same order of sums for one row as for many."""
    return (A @ rows[:, :, np.newaxis])[:, :, 0]
