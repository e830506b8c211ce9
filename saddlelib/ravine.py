r"""The ravine at a degenerate minimizer, and whether f grows there like the fourth power.

Let x be a minimizer with Hessian H, U its range and V its kernel. For v in V the equation
P_U∇f(x + u + v) = 0 has one small solution u = φ(v); the ravine is {x + φ(v) + v}. With
T(v) = P_U D³f[v, v, ·] and the pseudoinverse H† (proof in chapter 4),

.. math:: f(x + \varphi(v) + v) = f(x) + q(v) + O(\|v\|^5), \qquad
          q(v) = \tfrac1{24} D^4f[v^4] - \tfrac18 \langle T(v), H^\dagger T(v)\rangle,

and f grows like the fourth power of the distance exactly if q > 0 on V without 0.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize_scalar

from ._arguments import as_point, positive

__all__ = ["Growth", "Ravine", "analyze", "growth_order", "torch_derivatives"]


class Growth(enum.Enum):
    """Whether f − f(x) ≥ c·distance⁴ near a minimizer, for some c > 0."""

    YES = "fourth-order growth"
    NO = "no fourth-order growth"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, repr=False)
class Ravine:
    """What `analyze` found.

    Attributes
    ----------
    x : ndarray, shape (d,)
    range, kernel : ndarray, shape (d, r) and (d, m)
        Orthonormal bases of U and V, in V without the given tangents.
    curvatures : ndarray, shape (r,)
        The positive eigenvalues of H: μ is the first, L the last.
    verdict : Growth
    constant : float
        The least q on the unit sphere of V that was found; nan where V is 0. With at most two
        directions in V it is the least there is, to rounding; with more it comes from a search, and
        "yes" is then an observation.
    error : float
        How far the estimates of q are from each other.
    direction : ndarray or None
        Where ``constant`` was found, shape (d,).
    message : str
    """

    x: np.ndarray
    range: np.ndarray
    kernel: np.ndarray
    curvatures: np.ndarray
    verdict: Growth
    constant: float
    error: float
    direction: np.ndarray | None
    message: str
    _derivatives: object = field(compare=False)

    def __repr__(self):
        return f"Ravine({self.verdict.value}: {self.message})"

    def q(self, v) -> float:
        """q(v) for v in V, shape (d,)."""
        return _form(self._derivatives, self.x, self.range, self.curvatures, self._of_kernel(v))[0]

    def point(self, v, tol=1e-12, maxiter=50) -> np.ndarray:
        """x + φ(v) + v for v in V, by Newton's method; raises ValueError where that fails."""
        v = self._of_kernel(v)
        given, U = self._derivatives, self.range
        base = given.grad(self.x)
        if v.any() and U.size:
            T, _, _ = given.third_fourth(self.x, v)
            u = -0.5 * (U.T @ T) / self.curvatures  # φ to second order
        else:
            u = np.zeros(U.shape[1])
        size = float(np.linalg.norm(v))
        for _ in range(maxiter):
            y = self.x + U @ u + v
            step = np.linalg.solve(U.T @ given.hess_times(y, U), U.T @ (given.grad(y) - base))
            u = u - step
            if not np.isfinite(u).all() or np.linalg.norm(u) > 10 * size + 1e-300:
                break
            if np.linalg.norm(step) <= tol * (np.linalg.norm(u) + size**2):
                return self.x + U @ u + v
        raise ValueError(f"Newton's method finds no ravine at a distance of {size:.3g}; give a "
                         f"smaller v")

    def _of_kernel(self, v):
        v = as_point("v", v)
        if v.size != self.x.size:
            raise ValueError(f"v must have {self.x.size} coordinates, got {v.size}")
        off = v - self.kernel @ (self.kernel.T @ v)
        if np.linalg.norm(off) > 1e-8 * np.linalg.norm(v):
            raise ValueError("v must lie in the kernel of the Hessian; project it with "
                             "kernel @ (kernel.T @ v)")
        return v


def analyze(fun, x=None, *, jac=None, hessp=None, tangents=None, rank_tol=1e-6, spacing=1e-3,
            starts=200, rng=0) -> Ravine:
    """Find the ravine at a minimizer and decide on fourth-order growth.

    Parameters
    ----------
    fun : Problem, callable or None
        A plain function needs ``jac``, and takes ``hessp`` if there is one; its values are not
        looked at, so that None will do. Or what `torch_derivatives` returns.
    x : array_like, shape (d,), optional
        The minimizer; the first that the problem lists by default.
    jac, hessp : callable, optional
        ``jac(x) -> (d,)``, ``hessp(x, v) -> (d,)``. Third and fourth derivatives are central
        differences of Hessian-vector products, or of gradients, at ``spacing`` and at twice that;
        where the two disagree the verdict is "cannot tell".
    tangents : array_like, shape (d, s), optional
        Directions along which the minimizers form a manifold, for example those of rotations.
        Growth is then asked for across them.
    rank_tol : float
        Eigenvalues below rank_tol·L count as 0.
    spacing : float
        Of the differences, in units of x.
    starts : int
        Of the search for the least q, where V has more than two dimensions.
    rng : int or Generator

    Raises
    ------
    TypeError, ValueError
        Naming the argument; also where x is not stationary, or the Hessian has a negative
        eigenvalue there.

    Examples
    --------
    >>> from saddlelib.problems import RavineRosenbrock
    >>> found = analyze(RavineRosenbrock(10.0))
    >>> found.verdict is Growth.YES, round(found.constant, 6)
    (True, 1.0)
    >>> found.point([0.1, 0.0]).round(9).tolist()
    [0.1, 0.01]
    """
    positive("rank_tol", rank_tol), positive("spacing", spacing)
    if x is None:
        if not len(getattr(fun, "minimizers", ())):
            raise ValueError("give x, the minimizer to look at")
        x = fun.minimizers[0]
    x = as_point("x", x)
    given = _derivatives(fun, jac, hessp, spacing)
    H = given.hess_times(x, np.eye(x.size))
    values, vectors = np.linalg.eigh((H + H.T) / 2)
    top = max(float(values[-1]), 0.0)
    if top == 0 or values[0] < -rank_tol * top:
        raise ValueError(f"x is no minimizer with a ravine: the Hessian has eigenvalues from "
                         f"{values[0]:.3g} to {values[-1]:.3g}")
    slope = float(np.linalg.norm(given.grad(x)))
    if slope > 1e-6 * top * (1 + np.linalg.norm(x)):
        raise ValueError(f"x is not stationary: ‖∇f(x)‖ = {slope:.3g}; give the minimizer itself")
    steep = values > rank_tol * top
    U, curvatures, V = vectors[:, steep], values[steep], vectors[:, ~steep]
    if tangents is not None:
        V = _without(V, tangents)
    make = lambda verdict, c, err, v, said: Ravine(  # noqa: E731
        x, U, V, curvatures, verdict, c, err, v, said, given)
    if V.shape[1] == 0:
        return make(Growth.YES, math.nan, 0.0, None, "quadratic growth: the kernel is 0")
    form = lambda w: _form(given, x, U, curvatures, V @ w)  # noqa: E731
    w = _least(form, V.shape[1], starts, np.random.default_rng(rng))
    c, err, cubic, rough = form(w)
    verdict, said = _judge(c, err, cubic, rough, V.shape[1], starts)
    return make(verdict, c, err, V @ w, said)


def growth_order(run, f_star=0.0, x_star=None) -> float:
    r"""Estimate p from a run: on the ravine f − f* ∝ distance^p, and beside it f is larger.

    The slope of ln(f − f*) against ln ‖x − x*‖ on the lower convex hull of the points of the run,
    as a median. Without x* the best point stands for it; then the points after f − f* has come
    within a factor of 10⁶ of its end are left out, and p comes out a few per cent too small.

    Parameters
    ----------
    run : OptimizeResult or pair
        What `saddlelib.minimize` returns with ``trace=("x", "fun")``, or (points, values).
    f_star : float
    x_star : array_like, shape (d,), optional

    Raises
    ------
    ValueError
        Where what is left of the values above f* spans fewer than four decades.

    Examples
    --------
    >>> import saddlelib
    >>> from saddlelib.problems import HomogeneousRavine
    >>> run = saddlelib.minimize(HomogeneousRavine(5.0), [1.0, 1.0], "gdpolyak", step_size=0.2,
    ...                          epsilon=1e-20, trace=("x", "fun"), certificate=False)
    >>> round(growth_order(run, x_star=[0.0, 0.0]), 1)
    5.0
    """
    if hasattr(run, "trace"):
        if not run.trace or not {"x", "fun"} <= set(run.trace):
            raise ValueError('run has no trace of both; say trace=("x", "fun")')
        points, values = run.trace["x"], run.trace["fun"]
    else:
        points, values = run
    points, gap = np.asarray(points, float), np.asarray(values, float) - f_star
    if points.ndim != 2 or len(points) != len(gap):
        raise ValueError(f"points must be (n, d) for n values, got {points.shape} and {gap.shape}")
    good = np.isfinite(gap) & (gap > 0)
    end = int(np.argmin(np.where(good, gap, np.inf)))
    if x_star is None:
        x_star = points[end]
        good[np.flatnonzero(good & (gap <= 1e6 * gap[end]))[0]:] = False
    distance = np.linalg.norm(points - np.asarray(x_star, float), axis=1)
    good &= distance > 0
    a, b = np.log10(distance[good]), np.log10(gap[good])
    if a.size < 8 or np.ptp(b) < 4:
        raise ValueError("the run spans fewer than four decades of f − f*, those near its end not "
                         "counted; let it go on, or give x_star or f_star")
    slopes, widths = _lower_hull(a, b)
    order = np.argsort(slopes)
    middle = np.searchsorted(np.cumsum(widths[order]), widths.sum() / 2)
    return float(slopes[order][middle])


def _lower_hull(a, b):
    """Slopes and widths of the lower convex hull of the points (a, b)."""
    hull = []
    for point in sorted(zip(a.tolist(), b.tolist(), strict=True)):
        while len(hull) > 1 and ((hull[-1][0] - hull[-2][0]) * (point[1] - hull[-2][1])
                                 <= (hull[-1][1] - hull[-2][1]) * (point[0] - hull[-2][0])):
            hull.pop()
        hull.append(point)
    da, db = np.diff(np.array(hull), axis=0).T
    return db[da > 0] / da[da > 0], da[da > 0]


def torch_derivatives(fun):
    """Exact derivatives of ``fun(tensor) -> scalar`` by autograd, for `analyze`; imports torch.

    Examples
    --------
    >>> given = torch_derivatives(lambda x: x[0]**4 + 10 * (x[1] - x[0]**2)**2)
    >>> analyze(given, [0.0, 0.0]).verdict.value
    'fourth-order growth'
    """
    return _Autograd(fun)


# Derivatives ------------------------------------------------------------------------


def _derivatives(fun, jac, hessp, spacing):
    if isinstance(fun, _Autograd):
        return fun
    if fun is not None and not callable(fun):
        jac, hessp = fun.grad, fun.hvp
    if not callable(jac):
        raise TypeError(f"jac must be a function that returns the gradient, got {jac!r}")
    return _Differences(jac, hessp, spacing)


@dataclass(frozen=True)
class _Differences:
    gradient: Callable
    product: Callable | None
    spacing: float

    def grad(self, x):
        return np.asarray(self.gradient(x), float)

    def hess_times(self, x, columns):
        if self.product is not None:
            return np.stack([np.asarray(self.product(x, v), float) for v in columns.T], axis=1)
        t = 0.1 * self.spacing
        return np.stack([(self.grad(x + t * v) - self.grad(x - t * v)) / (2 * t)
                         for v in columns.T], axis=1)

    def third_fourth(self, x, v):
        """D³f[v, v, ·], D⁴f[v⁴], and how far the latter is from that at twice the spacing."""
        size = float(np.linalg.norm(v))
        third, fourth = self._at(x, v / size, 4 * self.spacing)
        _, coarse = self._at(x, v / size, 8 * self.spacing)
        noise = 1e-14 * np.abs(fourth)
        return third * size**2, fourth * size**4, (abs(fourth - coarse) + noise) * size**4

    def _at(self, x, v, t):
        if self.product is not None:
            plus, here, minus = [np.asarray(self.product(y, v), float)
                                 for y in (x + t * v, x, x - t * v)]
            return (plus - minus) / (2 * t), float(v @ (plus - 2 * here + minus)) / t**2
        t = 4 * t
        far, plus, here, minus, back = [self.grad(x + k * t * v) for k in (2, 1, 0, -1, -2)]
        return (plus - 2 * here + minus) / t**2, float(
            v @ (far - 2 * plus + 2 * minus - back)) / (2 * t**3)


class _Autograd:
    def __init__(self, fun):
        import torch

        self.torch, self.fun = torch, fun

    def _tower(self, x, v, depth):
        """∇f, and the gradients of its derivatives along v, up to the given depth."""
        torch = self.torch
        x = torch.tensor(np.asarray(x, float), dtype=torch.float64, requires_grad=True)
        v = torch.tensor(np.asarray(v, float), dtype=torch.float64)
        scalar, rows = self.fun(x), []
        for _ in range(depth):
            g = None
            if scalar.requires_grad:
                g, = torch.autograd.grad(scalar, x, create_graph=True, allow_unused=True)
            g = torch.zeros_like(x) if g is None else g
            rows.append(g.detach().numpy())
            scalar = g @ v
        return rows

    def grad(self, x):
        return self._tower(x, np.zeros(len(x)), 1)[0]

    def hess_times(self, x, columns):
        return np.stack([self._tower(x, v, 2)[1] for v in columns.T], axis=1)

    def third_fourth(self, x, v):
        _, _, third, fourth = self._tower(x, v, 4)
        return third, float(fourth @ v), 1e-13 * abs(float(fourth @ v))


# The form q -------------------------------------------------------------------------


def _form(given, x, U, curvatures, v):
    """q(v), its error, |D³f[v³]|, and whether the estimates of D⁴f[v⁴] disagree."""
    if not np.any(v):
        return 0.0, 0.0, 0.0, False
    third, fourth, err = given.third_fourth(x, v)
    T = U.T @ third
    bend = float(T @ (T / curvatures)) / 8
    noise = 1e-9 * curvatures[-1] * float(np.linalg.norm(v)) ** 4
    rough = err > 0.1 * abs(fourth) + 1e3 * noise
    return fourth / 24 - bend, err / 24 + noise, abs(float(third @ v)), rough


def _least(form, m, starts, rng):
    """A unit vector of ℝᵐ where q is least: exact for m ≤ 2, a search beyond."""
    if m == 1:
        return np.ones(1)
    if m == 2:
        # q on the circle is a trigonometric polynomial of degree 4 with period π.
        def value(angle):
            return form(np.array([math.cos(angle), math.sin(angle)]))[0]
        grid = np.linspace(0, math.pi, 33)
        best = grid[int(np.argmin([value(angle) for angle in grid]))]
        found = minimize_scalar(value, bounds=(best - 0.1, best + 0.1), method="bounded",
                                options=dict(xatol=1e-9))
        return np.array([math.cos(found.x), math.sin(found.x)])
    W = rng.standard_normal((starts, m))
    W = np.concatenate([W / np.linalg.norm(W, axis=1, keepdims=True), np.eye(m)])
    W = W[np.argsort([form(w)[0] for w in W])[:3]]
    best = [(form(w)[0], w) for w in W]
    for i, (value, w) in enumerate(best):
        size = 0.5
        for _ in range(40 * m):
            trial = w + size * rng.standard_normal(m) / math.sqrt(m)
            trial /= np.linalg.norm(trial)
            new = form(trial)[0]
            if new < value:
                value, w, size = new, trial, min(1.0, 1.5 * size)
            else:
                size = max(1e-5, 0.9 * size)
        best[i] = (value, w)
    return min(best, key=lambda pair: pair[0])[1]


def _judge(c, err, cubic, rough, m, starts):
    if rough:
        return Growth.CANNOT_TELL, ("the differences at two spacings disagree: f may not be four "
                                    "times differentiable here")
    if cubic > max(1e-5, 1e3 * err):
        return Growth.NO, f"the third derivative along the kernel is {cubic:.3g}: no minimizer"
    if c < -10 * err:
        return Growth.NO, f"q = {c:.3g} in one direction: f falls along the ravine"
    if c <= 10 * err:
        return Growth.CANNOT_TELL, (f"q = {c:.3g} ± {err:.1g} in one direction: zero as far as "
                                    f"the differences show; if it is, f grows more slowly there")
    how = "" if m <= 2 else f", the least of a search from {starts} starts"
    return Growth.YES, f"f − f* ≥ {c:.4g}·distance⁴ near x{how}"


def _without(V, tangents):
    T = np.asarray(tangents, float)
    if T.ndim != 2 or len(T) != len(V):
        raise ValueError(f"tangents must be (d, s) with d = {len(V)}, got shape {T.shape}")
    left, sizes, _ = np.linalg.svd(T, full_matrices=False)
    left = left[:, sizes > 1e-9 * sizes.max()] if sizes.size and sizes.max() > 0 else left[:, :0]
    if np.linalg.norm(left - V @ (V.T @ left)) > 1e-6 * max(1, left.shape[1]):
        raise ValueError("tangents must lie in the kernel of the Hessian: f is constant along them")
    rest = V - left @ (left.T @ V)
    left, sizes, _ = np.linalg.svd(rest, full_matrices=False)
    return left[:, sizes > 0.5]
