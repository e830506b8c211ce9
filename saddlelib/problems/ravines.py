"""Functions with a degenerate minimizer, whose ravine is known in closed form."""

from __future__ import annotations

import numpy as np

from .._arguments import integer, positive
from ._arguments import real_vector
from .base import Problem
from .quadratic import _diagonal
from .region import Ball, Box


class ConvexQuartic(Problem):
    """f(u, v) = Σ λᵢuᵢ² + Σ cⱼvⱼ⁴, convex, quadratic in some directions and quartic in the rest.

    Parameters
    ----------
    quadratic, quartic : vectors
        λ and c, finite and positive. The coordinates u come first.
    radius : float
        R > 0, the half width of the box |xᵢ| ≤ R where ℓ and ρ hold.

    Raises
    ------
    TypeError, ValueError
        For arguments outside these ranges.

    Notes
    -----
    The default is x² + y⁴.

    The only stationary point is the minimizer 0, with f* = 0. The ravine is the
    straight {u = 0}; growth order 4, growth constant 1/Σ(1/cⱼ), along the
    direction with vⱼ² proportional to 1/cⱼ. μ = 2 min λ, L = 2 max λ. On the box
    ℓ = max(2 max λ, 12 max c R²) and ρ = 24 max c R, both sharp.

    Examples
    --------
    >>> f = ConvexQuartic()
    >>> float(f.fun([3.0, 2.0])), f.growth_order, f.normal_curvature
    (25.0, 4.0, (2.0, 2.0))
    """

    name = "convex quartic"

    def __init__(self, quadratic=(1.0,), quartic=(1.0,), radius: float = 1.0):
        self.quadratic, self.quartic = (real_vector(name, value) for name, value in
                                        (("quadratic", quadratic), ("quartic", quartic)))
        for name in ("quadratic", "quartic"):
            if getattr(self, name).min() <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}; a zero "
                                 f"would make the minimizers a subspace")
        lam, c = self.quadratic, self.quartic
        self.radius = R = positive("radius", radius)
        dim = lam.size + c.size
        self._lam = np.concatenate([lam, np.zeros(c.size)])
        self._c = np.concatenate([np.zeros(lam.size), c])
        self.growth_order, self.growth_constant = 4.0, float(1 / (1 / c).sum())
        self.normal_curvature = (float(2 * lam.min()), float(2 * lam.max()))
        super().__init__(dim=dim, lipschitz_grad=max(2 * lam.max(), 12 * c.max() * R**2),
                         lipschitz_hess=24 * c.max() * R, region=Box(dim, R), f_star=0.0)

    @classmethod
    def spread(cls, dim: int, condition: float, kernel: int | None = None):
        """Return ½Σ hᵢuᵢ² + ¼Σ vⱼ⁴, with h from 1 down to 1/condition in equal ratios.

        There are ``kernel`` directions v, half of `dim` by default. Needs 1 ≤ kernel < dim and
        condition ≥ 1; raises TypeError or ValueError otherwise.

        >>> f = ConvexQuartic.spread(6, condition=100.0)
        >>> f.quadratic.round(3).tolist(), f.normal_curvature
        ([0.5, 0.05, 0.005], (0.01, 1.0))
        """
        dim = integer("dim", dim, least=2)
        kernel = dim // 2 if kernel is None else integer("kernel", kernel)
        if kernel >= dim:
            raise ValueError(f"kernel must be less than dim = {dim}, got {kernel}")
        if positive("condition", condition) < 1:
            raise ValueError(f"condition must be at least 1, got {condition!r}")
        return cls(np.geomspace(1.0, 1 / condition, dim - kernel) / 2, np.full(kernel, 0.25))

    def _fun(self, X):
        Q = X**2
        return (Q * (self._lam + self._c * Q)).sum(axis=1)

    def _grad(self, X):
        return X * (2 * self._lam + 4 * self._c * X**2)

    def _hvp(self, X, V):
        return (2 * self._lam + 12 * self._c * X**2 + 0.0 * X) * V

    def _hess(self, X):
        return _diagonal(2 * self._lam + 12 * self._c * X**2 + 0.0 * X)

    def _distance(self, X):
        return np.linalg.norm(X, axis=1)

    def _minimizers(self):
        return np.zeros((1, self.dim)), [0.0]

    def _ravine(self, t):
        slow = np.concatenate([np.zeros(self.quadratic.size), 1 / np.sqrt(self.quartic)])
        return t * (slow / np.linalg.norm(slow))

    def _parameters(self):
        return {"quadratic": self.quadratic, "quartic": self.quartic, "radius": self.radius}


class RavineRosenbrock(Problem):
    """f(x, y) = x⁴ + a(y − bx²)², whose ravine is the parabola y = bx².

    Parameters
    ----------
    a : float
        a > 0, the steepness of the walls.
    bend : float
        b, finite. With b = 0 the function is convex and the ravine straight; a = ½ and b = −1 is
        ½(y + x²)² + x⁴.
    radius : float
        R > 0, the half width of the box where ℓ and ρ hold.

    Raises
    ------
    TypeError, ValueError
        For arguments outside these ranges.

    Notes
    -----
    The only stationary point is the minimizer 0, with f* = 0, growth order 4 and
    growth constant 1: on the ravine f = x⁴. μ = L = 2a. On the box every entry of
    the Hessian is largest in modulus at the corner (R, −bR/|b|), which makes
    ℓ = (A + C)/2 + √((A − C)²/4 + B²) sharp, with A = 12(1 + ab²)R² + 4a|b|R,
    B = 4a|b|R and C = 2a. With P = 24(1 + ab²)R and Q = 4a|b| the third
    derivative along a unit vector (c, s) is at most max c²(Pc + 3Qs) = ρ, which
    is sharp as well.

    Examples
    --------
    >>> f = RavineRosenbrock(10.0)
    >>> float(f.fun([0.5, 0.25])), f.normal_curvature, f.ravine(0.5).tolist()
    (0.0625, (20.0, 20.0), [0.5, 0.25])
    """

    name = "Rosenbrock's ravine"
    growth_order, growth_constant = 4.0, 1.0

    def __init__(self, a: float = 10.0, bend: float = 1.0, radius: float = 1.0):
        self.a, self.radius = a, R = positive("a", a), positive("radius", radius)
        self.bend = float(real_vector("bend", np.atleast_1d(bend))[0])
        b = abs(self.bend)
        self.normal_curvature = (2 * a, 2 * a)
        A, B, C = 12 * (1 + a * b**2) * R**2 + 4 * a * b * R, 4 * a * b * R, 2 * a
        P, Q = 24 * (1 + a * b**2) * R, 4 * a * b
        t = 2 * Q / (P + np.sqrt(P**2 + 8 * Q**2))  # the slope s/c of the worst direction
        super().__init__(dim=2, lipschitz_grad=(A + C) / 2 + np.sqrt((A - C) ** 2 / 4 + B**2),
                         lipschitz_hess=(P + 3 * Q * t) / (1 + t**2) ** 1.5,
                         region=Box(2, R), f_star=0.0)

    def _fun(self, X):
        x, y = X.T
        return x**4 + self.a * (y - self.bend * x**2) ** 2

    def _grad(self, X):
        x, y = X.T
        wall = 2 * self.a * (y - self.bend * x**2)
        return np.stack([4 * x**3 - 2 * self.bend * x * wall, wall], axis=1)

    def _hess(self, X):
        x, y = X.T
        a, b = self.a, self.bend
        xx = 12 * x**2 + 8 * a * b**2 * x**2 - 4 * a * b * (y - b * x**2)
        xy = -4 * a * b * x
        return np.stack([xx, xy, xy, 2 * a + 0 * y], axis=1).reshape(-1, 2, 2)

    def _hvp(self, X, V):
        return (self._hess(X) * V[:, np.newaxis, :]).sum(axis=2)

    def _distance(self, X):
        return np.linalg.norm(X, axis=1)

    def _minimizers(self):
        return np.zeros((1, 2)), [0.0]

    def _ravine(self, t):
        return np.concatenate([t, self.bend * t**2], axis=1)

    def _parameters(self):
        return {"a": self.a, "bend": self.bend, "radius": self.radius}


class HomogeneousRavine(Problem):
    """f(u, v) = ½λ‖u‖² + ‖v‖ᵖ/p, which grows like the p-th power along {u = 0}.

    Parameters
    ----------
    order : float
        p ≥ 3, so that the Hessian is Lipschitz.
    dim, kernel : int
        The dimensions of x = (u, v), and of v; 1 ≤ kernel < dim.
    curvature : float
        λ > 0.
    radius : float
        R > 0, the radius of the ball where ℓ and ρ hold.

    Raises
    ------
    TypeError, ValueError
        For arguments outside these ranges.

    Notes
    -----
    The only stationary point is the minimizer 0, with f* = 0. The ravine is
    {u = 0}, with growth order p and growth constant 1/p; there a step of Polyak
    multiplies v by 1 − 1/p. μ = L = λ. On the ball ℓ = max(λ, (p − 1)Rᵖ⁻²) and
    ρ = (p − 1)(p − 2)Rᵖ⁻³, both sharp.

    Examples
    --------
    >>> f = HomogeneousRavine(3.0)
    >>> v = f.ravine(1.0)
    >>> (v - f.fun(v) / (f.grad(v) @ f.grad(v)) * f.grad(v)).round(3).tolist()
    [0.0, 0.667]
    """

    name = "homogeneous ravine"

    def __init__(self, order: float = 4.0, dim: int = 2, kernel: int = 1, curvature: float = 1.0,
                 radius: float = 1.0):
        self.growth_order = p = positive("order", order)
        if p < 3:
            raise ValueError(f"order must be at least 3, got {order!r}; below it the Hessian is "
                             f"not Lipschitz")
        dim, self.kernel = integer("dim", dim, least=2), integer("kernel", kernel)
        if self.kernel >= dim:
            raise ValueError(f"kernel must be less than dim = {dim}, got {kernel}")
        self.curvature = lam = positive("curvature", curvature)
        self.radius = R = positive("radius", radius)
        self.growth_constant, self.normal_curvature = 1 / p, (lam, lam)
        super().__init__(dim=dim, lipschitz_grad=max(lam, (p - 1) * R ** (p - 2)),
                         lipschitz_hess=(p - 1) * (p - 2) * R ** (p - 3),
                         region=Ball(dim, R), f_star=0.0)

    def _split(self, X):
        cut = self.dim - self.kernel
        return X[:, :cut], X[:, cut:]

    def _fun(self, X):
        U, V = self._split(X)
        p = self.growth_order
        return self.curvature / 2 * (U**2).sum(axis=1) + np.linalg.norm(V, axis=1) ** p / p

    def _grad(self, X):
        U, V = self._split(X)
        r = np.linalg.norm(V, axis=1, keepdims=True)
        return np.concatenate([self.curvature * U, r ** (self.growth_order - 2) * V], axis=1)

    def _hvp(self, X, Z):
        (U, V), (ZU, ZV) = self._split(X), self._split(Z)
        p, r = self.growth_order, np.linalg.norm(V, axis=1, keepdims=True)
        unit = V / np.where(r == 0, 1.0, r)
        along = (p - 2) * (unit * ZV).sum(axis=1, keepdims=True) * unit
        return np.concatenate([self.curvature * ZU + 0 * U, r ** (p - 2) * (ZV + along)], axis=1)

    def _distance(self, X):
        return np.linalg.norm(X, axis=1)

    def _minimizers(self):
        return np.zeros((1, self.dim)), [0.0]

    def _ravine(self, t):
        return t * np.eye(self.dim)[-1]

    def _parameters(self):
        return {"order": self.growth_order, "dim": self.dim, "kernel": self.kernel,
                "curvature": self.curvature, "radius": self.radius}
