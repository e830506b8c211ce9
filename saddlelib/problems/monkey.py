"""The monkey saddle, which is degenerate."""

from __future__ import annotations

import numpy as np

from .._arguments import positive
from .base import Problem
from .region import Ball


class MonkeySaddle(Problem):
    """f(x, y) = x³ − 3xy², whose only stationary point has a zero Hessian.

    Parameters
    ----------
    radius : float
        R > 0, the radius of the disc where ℓ and ρ hold.

    Raises
    ------
    TypeError, ValueError
        For a radius that is not positive and finite.

    Notes
    -----
    At (x, y) the eigenvalues of the Hessian are ±6‖(x, y)‖. So ℓ = 6R on the
    disc, and ρ = 6 with equality for every pair of points. The origin is a
    degenerate saddle: λ_min = 0, yet f takes both signs around it and is
    unbounded below. Second-order conditions cannot tell it from a minimizer.

    Examples
    --------
    >>> f = MonkeySaddle()
    >>> f.degenerate.tolist(), f.hess([0.0, 0.0]).any(), f.fun([-0.1, 0.0]) < 0
    ([True], np.False_, np.True_)
    """

    name = "monkey saddle"

    def __init__(self, radius: float = 1.0):
        self.radius = positive("radius", radius)
        super().__init__(
            dim=2,
            lipschitz_grad=6 * self.radius,
            lipschitz_hess=6.0,
            region=Ball(2, self.radius),
            f_star=-np.inf,
        )

    def _fun(self, X):
        x, y = X.T
        return x * (x**2 - 3 * y**2)

    def _grad(self, X):
        x, y = X.T
        return np.stack([3 * (x**2 - y**2), -6 * x * y], axis=1)

    def _hvp(self, X, V):
        x, y = X.T
        v, w = V.T
        return np.stack([6 * (x * v - y * w), -6 * (y * v + x * w)], axis=1)

    def _hess(self, X):
        x, y = 6 * X.T
        return np.stack([x, -y, -y, -x], axis=1).reshape(-1, 2, 2)

    def _saddles(self):
        return np.zeros((1, 2)), [0.0]

    def _parameters(self):
        return {"radius": self.radius}
