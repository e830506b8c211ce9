"""Rosenbrock's function: no strict saddle on the way, and slow all the same."""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh_tridiagonal, solveh_banded

from .._arguments import integer, positive
from .base import Problem
from .region import Box


class Rosenbrock(Problem):
    """f(x) = Σ_{i<d} (100 (xᵢ₊₁ − xᵢ²)² + (1 − xᵢ)²), a long curved valley.

    Parameters
    ----------
    dim : int
        d ≥ 2.
    radius : float
        R > 0, the half width of the box |xᵢ| ≤ R where ℓ and ρ hold. The
        minimizer lies in it if R ≥ 1.

    Raises
    ------
    TypeError, ValueError
        For arguments outside these ranges.

    Notes
    -----
    The Hessian is tridiagonal, and so is its derivative along a unit vector u,
    with 2400 xᵢuᵢ − 400 uᵢ₊₁ on the diagonal and −400 uᵢ beside it. The sums of
    absolute values of their rows (Gershgorin) give, on the box,
    ℓ = 1200R² + 1200R + 202 and ρ = √((2400R + 400)² + 2·400²): bounds, not
    sharp. `minimizers` has the only one, (1, …, 1), with f* = 0; its λ_min is
    computed numerically. For d ≥ 4 there are other stationary points, among
    them a local minimizer near (−1, 1, …, 1), `local_minimizer`, known
    numerically alone; `saddles` lists none.

    Examples
    --------
    >>> f = Rosenbrock(2)
    >>> float(f.fun([-1.0, 1.0])), f.minimizers.tolist(), f.lipschitz_grad
    (4.0, [[1.0, 1.0]], 2602.0)
    """

    name = "Rosenbrock"

    def __init__(self, dim: int, radius: float = 1.0):
        dim = integer("dim", dim, least=2)
        self.radius = R = positive("radius", radius)
        super().__init__(
            dim=dim,
            lipschitz_grad=1200 * R**2 + 1200 * R + 202,
            lipschitz_hess=np.sqrt((2400 * R + 400) ** 2 + 2 * 400**2),
            region=Box(dim, R),
            f_star=0.0,
        )

    @property
    def local_minimizer(self) -> np.ndarray:
        """The local minimizer near (−1, 1, …, 1), shape (d,), to rounding; needs d ≥ 4.

        Newton's method from there. Raises ValueError for d < 4.

        >>> Rosenbrock(4).local_minimizer.round(3).tolist()
        [-0.776, 0.613, 0.382, 0.146]
        """
        if self.dim < 4:
            raise ValueError(f"dim must be at least 4 for a second minimizer, got {self.dim}")
        x = np.ones(self.dim)
        x[0] = -1.0
        for _ in range(100):
            g, (diagonal, beside) = self.grad(x), _tridiagonal(x[np.newaxis])
            # A shift keeps the matrix positive definite where the Hessian is not.
            low = eigh_tridiagonal(diagonal[0], beside[0], eigvals_only=True, select="i",
                                   select_range=(0, 0))[0]
            bands = np.vstack([diagonal[0] + max(0.0, 0.1 - low), np.append(beside[0], 0.0)])
            step = solveh_banded(bands, g, lower=True)
            while self.fun(x - step) > self.fun(x) and np.abs(step).max() > 1e-12:
                step = step / 2
            x = x - step
            if np.abs(step).max() <= 1e-12:
                break
        return x

    def _fun(self, X):
        A, B = X[:, :-1], X[:, 1:]
        return (100 * (B - A**2) ** 2 + (1 - A) ** 2).sum(axis=1)

    def _grad(self, X):
        A, valley = X[:, :-1], X[:, 1:] - X[:, :-1] ** 2
        G = np.zeros_like(X)
        G[:, :-1] = -400 * A * valley - 2 * (1 - A)
        G[:, 1:] += 200 * valley
        return G

    def _hvp(self, X, V):
        diagonal, beside = _tridiagonal(X)
        H = diagonal * V
        H[:, :-1] += beside * V[:, 1:]
        H[:, 1:] += beside * V[:, :-1]
        return H

    def _hess(self, X):
        diagonal, beside = _tridiagonal(X)
        d = self.dim
        H = np.zeros((len(X), d, d))
        H[:, range(d), range(d)] = diagonal
        H[:, range(d - 1), range(1, d)] = H[:, range(1, d), range(d - 1)] = beside
        return H

    def _distance(self, X):
        return np.linalg.norm(X - 1, axis=1)

    def _minimizers(self):
        point = np.ones((1, self.dim))
        diagonal, beside = _tridiagonal(point)
        return point, eigh_tridiagonal(diagonal[0], beside[0], eigvals_only=True, select="i",
                                       select_range=(0, 0))

    def _parameters(self):
        return {"dim": self.dim, "radius": self.radius}


def _tridiagonal(X):
    """Return the diagonals (n, d) and the entries beside them (n, d − 1) of the Hessians."""
    diagonal = np.zeros_like(X)
    diagonal[:, :-1] = 1200 * X[:, :-1] ** 2 - 400 * X[:, 1:] + 2
    diagonal[:, 1:] += 200
    return diagonal, -400 * X[:, :-1]
