"""The quadratic saddle."""

from __future__ import annotations

import numpy as np

from ._arguments import real_vector
from .base import Problem
from .region import WholeSpace


class QuadraticSaddle(Problem):
    """f(x) = ½ Σ λᵢ xᵢ², the model of every strict saddle.

    Parameters
    ----------
    eigenvalues : vector (d,)
        λ, finite. If one is negative, f is unbounded below and the origin is a
        strict saddle. If none is, the origin is a minimizer, and so is every
        point that differs from it only where λᵢ = 0.

    Raises
    ------
    TypeError, ValueError
        If `eigenvalues` is not a finite vector.

    Notes
    -----
    ℓ = max |λᵢ| and ρ = 0, both sharp, on the whole space.

    Examples
    --------
    >>> f = QuadraticSaddle([-1.0, 2.0])
    >>> f
    QuadraticSaddle(eigenvalues=[-1, 2])
    >>> float(f.fun([1.0, 1.0])), f.saddle_min_eigs.tolist(), f.lipschitz_grad
    (0.5, [-1.0], 2.0)
    """

    name = "quadratic saddle"

    def __init__(self, eigenvalues):
        self.eigenvalues = real_vector("eigenvalues", eigenvalues)
        dim = self.eigenvalues.size
        super().__init__(
            dim=dim,
            lipschitz_grad=np.abs(self.eigenvalues).max(),
            lipschitz_hess=0.0,
            region=WholeSpace(dim),
            f_star=-np.inf if self._is_saddle else 0.0,
        )

    @property
    def _is_saddle(self):
        return self.eigenvalues.min() < 0

    def _fun(self, X):
        return 0.5 * (self.eigenvalues * X**2).sum(axis=1)

    def _grad(self, X):
        return self.eigenvalues * X

    def _hvp(self, X, V):
        return self.eigenvalues * V + 0.0 * X  # nan at x is nan here too

    def _hess(self, X):
        return _diagonal(self.eigenvalues + 0.0 * X)

    def _distance(self, X):
        if self._is_saddle:
            return super()._distance(X)
        return np.linalg.norm(np.where(self.eigenvalues > 0, X, 0.0 * X), axis=1)

    def _origin(self):
        return np.zeros((1, self.dim)), [self.eigenvalues.min()]

    def _saddles(self):
        return self._origin() if self._is_saddle else super()._saddles()

    def _minimizers(self):
        return super()._minimizers() if self._is_saddle else self._origin()

    def _parameters(self):
        return {"eigenvalues": self.eigenvalues}


def _diagonal(D):
    """Return the matrices (n, d, d) with the rows of D (n, d) on their diagonals."""
    n, d = D.shape
    H = np.zeros((n, d, d))
    H[:, range(d), range(d)] = D
    return H
