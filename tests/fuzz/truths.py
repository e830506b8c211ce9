"""Functions with known value, gradient and Hessian, at any scale and far from the origin."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logsumexp, softmax


class Base(NamedTuple):
    """F(y) with its derivatives, ℓ and ρ near the origin, and points to start from.

    ``fuzz`` bounds what rounding inside the function does to an entry of F' and F''.
    """

    fun: object
    grad: object
    hess: object
    lipschitz_grad: float
    lipschitz_hess: float
    starts: list
    fuzz: float = 0.0


@dataclass(frozen=True)
class Truth:
    """f(x) = a F(s (x − c)) + b. Everything is computed as written: x − c rounds once."""

    name: str
    base: Base
    dim: int
    a: float = 1.0
    s: float = 1.0
    c: float = 0.0
    b: float = 0.0

    def _y(self, x):
        return self.s * (np.asarray(x) - self.c)

    def fun(self, x):
        """f(x); inf or nan where float64 ends. At complex x if the function is in `ANALYTIC`."""
        with np.errstate(all="ignore"):
            if np.iscomplexobj(x):
                return complex(self.a * self.base.fun(self._y(x)) + self.b)
            return float(self.a * self.base.fun(self._y(x)) + self.b)

    def grad(self, x):
        """∇f(x)."""
        with np.errstate(all="ignore"):
            return self.a * self.s * np.asarray(self.base.grad(self._y(x)), dtype=float)

    def hess(self, x):
        """∇²f(x), symmetric."""
        with np.errstate(all="ignore"):
            return self.a * self.s * self.s * np.asarray(self.base.hess(self._y(x)), dtype=float)

    def start(self, rng):
        """A start: a point of the list, that point moved a little, or anywhere near."""
        y = self.base.starts[rng.integers(len(self.base.starts))].astype(float)
        y = y + rng.choice([0.0, 0.0, 1e-6, 0.1, 1.0]) * rng.standard_normal(self.dim)
        return self.c + y / self.s


def quadratic(rng, d):
    """Any spectrum: convex, a saddle, a maximum, flat directions; rotated."""
    low = rng.choice([-1.0, -0.1, -1e-3, 0.0, 1e-3, 1.0])
    spectrum = np.append(low, rng.uniform(max(low, 0.0), 1.0, d - 1))
    if rng.random() < 0.2:
        spectrum = -np.abs(spectrum) - 0.1
    q = np.linalg.qr(rng.standard_normal((d, d)))[0]
    H = (q * spectrum) @ q.T
    H = (H + H.T) / 2
    return Base(lambda y: 0.5 * y @ H @ y, lambda y: H @ y, lambda y: H, 1.0, 1e-3, [np.zeros(d)])


def quartic(rng, d):
    """Σ yᵢ⁴/4 − wᵢyᵢ²/2: a saddle or maximum at 0, minimizers at ±√wᵢ."""
    w = rng.choice([1.0, 0.3, 0.0, -1.0], size=d)
    return Base(lambda y: (y**4 / 4 - w * y**2 / 2).sum(), lambda y: y**3 - w * y,
                lambda y: np.diag(3 * y**2 - w), 5.0, 12.0,
                [np.zeros(d), np.sqrt(np.maximum(w, 0.0))])


def cosine(rng, d):
    """Σ cos(yᵢ + k) with a constant of order one to 10¹⁰ inside: what probes drown in."""
    k = 2 * math.pi * float(2.0 ** rng.integers(0, 31))
    return Base(lambda y: np.cos(y + k).sum(), lambda y: -np.sin(y + k),
                lambda y: np.diag(-np.cos(y + k)), 1.0, 1.0, [np.zeros(d), np.full(d, math.pi)],
                math.ulp(k))


def logistic(rng, d):
    """Mean log(1 + exp(zᵢ·y)) with a little ridge: convex."""
    Z, ridge = rng.standard_normal((2 * d + 3, d)), rng.choice([0.0, 1e-3])
    n = len(Z)

    def hess(y):
        p = expit(Z @ y)
        return (Z.T * (p * (1 - p))) @ Z / n + ridge * np.eye(d)
    return Base(lambda y: np.logaddexp(0, Z @ y).mean() + ridge * y @ y / 2,
                lambda y: Z.T @ expit(Z @ y) / n + ridge * y, hess, 1.0 + d / 4, 1.0 + d,
                [np.zeros(d)])


def log_sum_exp(rng, d):
    """log Σ exp(yᵢ) − mean y: convex, flat along (1, ..., 1)."""
    def hess(y):
        p = softmax(y)
        return np.diag(p) - np.outer(p, p)
    return Base(lambda y: logsumexp(y) - y.mean(), lambda y: softmax(y) - 1 / d, hess, 1.0, 1.0,
                [np.zeros(d)])


def rosenbrock(rng, d):
    """Σ 100 (y_{i+1} − yᵢ²)² + (1 − yᵢ)², or y² for d = 1."""
    if d == 1:
        return quadratic(rng, 1)

    def fun(y):
        return (100 * (y[1:] - y[:-1]**2)**2 + (1 - y[:-1])**2).sum()

    def grad(y):
        g, r = np.zeros(d), y[1:] - y[:-1]**2
        g[:-1] = -400 * y[:-1] * r - 2 * (1 - y[:-1])
        g[1:] += 200 * r
        return g

    def hess(y):
        r = y[1:] - y[:-1]**2
        H = np.zeros((d, d))
        i = np.arange(d - 1)
        H[i, i] = -400 * r + 800 * y[:-1]**2 + 2
        H[i + 1, i + 1] += 200
        H[i, i + 1] = H[i + 1, i] = -400 * y[:-1]
        return H
    return Base(fun, grad, hess, 1500.0, 3000.0, [np.zeros(d), np.ones(d), np.full(d, -0.5)])


def factorization(rng, d):
    """¼‖yyᵀ − M‖²: strict saddles at 0 and at the smaller eigenvectors."""
    q = np.linalg.qr(rng.standard_normal((d, d)))[0]
    M = (q * np.linspace(1.0, 0.1, d)) @ q.T
    M = (M + M.T) / 2
    return Base(lambda y: ((np.outer(y, y) - M)**2).sum() / 4, lambda y: (y @ y) * y - M @ y,
                lambda y: (y @ y) * np.eye(d) + 2 * np.outer(y, y) - M, 5.0, 8.0,
                [np.zeros(d), q[:, -1] * math.sqrt(0.1 if d > 1 else 1.0)])


def plateau(rng, d):
    """1 − exp(−‖y‖²/2): flat far away, with small negative curvature on the way."""
    far = np.zeros(d)
    far[0] = rng.choice([0.5, 3.0, 6.0, 40.0])

    def e(y):
        return math.exp(-min(y @ y / 2, 1e4)) if np.isfinite(y).all() else math.nan
    return Base(lambda y: 1 - e(y), lambda y: e(y) * y,
                lambda y: e(y) * (np.eye(d) - np.outer(y, y)), 1.0, 2.0, [np.zeros(d), far])


def degenerate(rng, d):
    """Points where the Hessian says nothing: monkey saddles, y⁴, −y⁴."""
    kind = rng.integers(3) if d > 1 else rng.integers(1, 3)
    if kind == 0:
        def grad(y):
            g = y**3
            g[:2] = 3 * y[0]**2 - 3 * y[1]**2, -6 * y[0] * y[1]
            return g

        def hess(y):
            H = np.diag(3 * y**2)
            H[:2, :2] = [[6 * y[0], -6 * y[1]], [-6 * y[1], -6 * y[0]]]
            return H
        return Base(lambda y: y[0]**3 - 3 * y[0] * y[1]**2 + (y[2:]**4).sum() / 4, grad, hess,
                    6.0, 12.0, [np.zeros(d)])
    sign = 1.0 if kind == 1 else -1.0
    return Base(lambda y: sign * (y**4).sum() / 4, lambda y: sign * y**3,
                lambda y: sign * np.diag(3 * y**2), 3.0, 6.0, [np.zeros(d), np.ones(d)])


def linear(rng, d):
    """A slope without end."""
    g = rng.standard_normal(d)
    return Base(lambda y: g @ y, lambda y: g + 0 * y, lambda y: np.zeros((d, d)), 1.0, 1.0,
                [np.zeros(d)])


def constant(rng, d):
    """Zero everywhere."""
    return Base(lambda y: 0.0, lambda y: 0 * y, lambda y: np.zeros((d, d)), 1.0, 1.0, [np.zeros(d)])


def unbounded(rng, d):
    """−‖y‖²/2 + Σ sin yᵢ: down without end, faster and faster."""
    return Base(lambda y: -y @ y / 2 + np.sin(y).sum(), lambda y: -y + np.cos(y),
                lambda y: np.diag(-1 - np.sin(y)), 2.0, 1.0, [np.full(d, 0.739085133215160639)])


BASES = [quadratic, quartic, cosine, logistic, log_sum_exp, rosenbrock, factorization, plateau,
         degenerate, linear, constant, unbounded]
# Those that are computed in complex numbers as they are.
ANALYTIC = {base.__name__ for base in (quadratic, quartic, cosine, rosenbrock, factorization,
                                       degenerate, linear, unbounded)}


def draw_truth(rng) -> Truth:
    """A function, its dimension, scales and shift."""
    d = int(rng.choice([1, 2, 3, 5, 10, 40], p=[0.15, 0.25, 0.25, 0.15, 0.15, 0.05]))
    make = BASES[rng.integers(len(BASES))]
    base = make(rng, d)
    a, s, c, b = 1.0, 1.0, 0.0, 0.0
    if rng.random() < 0.4:
        a, s = 10.0 ** rng.uniform(-3, 3, 2)
    elif rng.random() < 0.25:
        a = 10.0 ** rng.uniform(-300, 300)
        s = 10.0 ** rng.uniform(-100, 100) if rng.random() < 0.5 else 1.0
    if rng.random() < 0.2:
        c = 10.0 ** rng.uniform(0, 16)
    if rng.random() < 0.2:
        b = a * 10.0 ** rng.uniform(0, 16)
    return Truth(make.__name__, base, d, float(a), float(s), float(c), float(b))
