"""Twelve problems for the default of `saddlelib.minimize` that nobody looked at while making it.

They were chosen once, before the default was first run on them: the kinds from a list of what
people minimize, sizes and data as they came to mind. None was changed, taken out or put in because
of what a method did on it. Keep it that way: a rule that is tuned on these has no test left. For
tuning there are `saddlelib.problems` and `outside`, with which this file shares kinds and no data.

Gradients and products are written by hand. Each problem starts exactly at a saddle or a maximum:
its gradient vanishes there by a symmetry or in closed form, up to rounding (below 10⁻¹² in norm; on
Wood's function by Newton steps), and λ_min < −γ. What the methods are told is informed as in
`outside`: ℓ and ρ from power iterations along a descent, and γ = √(ρε) with ε = 10⁻³, except on
Wood's function, whose ρ of several thousand would make γ larger than the curvature of its saddle.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from outside import Outside

EPSILON = 1e-3


@dataclass(frozen=True, eq=False)
class Unseen(Outside):
    """An objective, its start at a saddle, and its tolerance γ where it is not √(ρε)."""

    product: Callable
    tolerance: float | None = None

    def hvp(self, x, v) -> np.ndarray:
        """∇²f(x) v, shape (d,)."""
        return self.product(x, v)

    @property
    def curvature_tol(self) -> float:
        """γ > 0."""
        return self.tolerance or math.sqrt(self.lipschitz_hess * EPSILON)


def problems(largest=2000):
    """The problems with d ≤ ``largest``, by d."""
    made = (make() for make in (
        wood, mixture, tensor, points_on_the_sphere, sketching, signs_on_the_circle,
        phase_retrieval, tanh_network, max_cut, linear_network, dictionary, completion))
    return [p for p in made if p.dim <= largest]


# Small

def wood():
    """Wood's function from its saddle, with λ_min = −0.12 where ‖∇²f‖ is about 1000; γ = 0.05."""
    def grad(x):
        a, b, c, d = x
        return np.array([400 * a * (a * a - b) + 2 * (a - 1),
                         200 * (b - a * a) + 20.2 * (b - 1) + 19.8 * (d - 1),
                         360 * c * (c * c - d) + 2 * (c - 1),
                         180 * (d - c * c) + 20.2 * (d - 1) + 19.8 * (b - 1)])

    def fun(x):
        a, b, c, d = x
        return (100 * (b - a * a)**2 + (1 - a)**2 + 90 * (d - c * c)**2 + (1 - c)**2
                + 10.1 * ((b - 1)**2 + (d - 1)**2) + 19.8 * (b - 1) * (d - 1))

    def hess(x):
        a, b, c, d = x
        return np.array([[1200 * a * a - 400 * b + 2, -400 * a, 0, 0],
                         [-400 * a, 220.2, 0, 19.8],
                         [0, 0, 1080 * c * c - 360 * d + 2, -360 * c],
                         [0, 19.8, -360 * c, 200.2]])

    saddle = np.array([-1.0, 1.0, -1.0, 1.0])
    for _ in range(20):
        saddle = saddle - np.linalg.solve(hess(saddle), grad(saddle))
    return Unseen("Wood, from its saddle", fun, grad, saddle, lambda x, v: hess(x) @ v, 0.05)


def mixture(n=5, m=240):
    """−mean log density of four Gaussians in R⁵ with weights 0.4 to 0.1, all at the mean.

    There every point has the same shares, so that the gradients add up to a multiple of the sum of
    (mean − data).
    """
    rng = np.random.default_rng(101)
    centers = 2.5 * rng.standard_normal((4, n))
    data = centers[rng.integers(4, size=m)] + rng.standard_normal((m, n))
    weights = np.array([0.4, 0.3, 0.2, 0.1])

    def shares(x):
        gaps = x.reshape(4, 1, n) - data
        logs = np.log(weights)[:, None] - 0.5 * (gaps * gaps).sum(-1)
        total = np.logaddexp.reduce(logs)
        return np.exp(logs - total), gaps, total

    def grad(x):
        share, gaps, _ = shares(x)
        return (share[..., None] * gaps).sum(1).ravel() / m

    def product(x, v):
        share, gaps, _ = shares(x)
        z = v.reshape(4, 1, n)
        moved = -(gaps * z).sum(-1)
        change = share * (moved - (share * moved).sum(0))
        return (change[..., None] * gaps + share[..., None] * z).sum(1).ravel() / m

    return Unseen("mixture of four", lambda x: -shares(x)[2].sum() / m, grad,
                  np.tile(data.mean(0), 4), product)


def tensor(n=40, active=6):
    """−⅓ Σ wⱼ(aⱼ·x)³ + ¼‖x‖⁴ with orthonormal aⱼ and 1 ≤ wⱼ ≤ 2, from between six of them.

    With x = Σ cⱼaⱼ the gradient vanishes where cⱼ is 0 or ‖x‖²/wⱼ. If six are not 0, five
    directions have the curvature −‖x‖², and ‖x‖⁻² = Σ wⱼ⁻² over the six.
    """
    rng = np.random.default_rng(102)
    a = np.linalg.qr(rng.standard_normal((n, n)))[0]
    w = rng.uniform(1, 2, n)
    size = 1 / (w[:active]**-2.0).sum()

    def grad(x):
        return (x @ x) * x - a.T @ (w * (a @ x)**2)

    def product(x, v):
        return (x @ x) * v + 2 * (x @ v) * x - a.T @ (2 * w * (a @ x) * (a @ v))

    return Unseen("tensor of order three", lambda x: 0.25 * (x @ x)**2 - w @ (a @ x)**3 / 3, grad,
                  (size / w[:active]) @ a[:active], product)


def points_on_the_sphere(n=16):
    """−Σ log ‖pᵢ − pⱼ‖ over n, with p = x/‖x‖, from a regular polygon on the equator and poles.

    Turns and reflections that map the points to themselves leave no direction for a gradient.
    """
    def parts(x):
        rows = x.reshape(n, 3)
        length = np.sqrt((rows * rows).sum(1, keepdims=True))
        p = rows / length
        gaps = p[:, None] - p
        s = (gaps * gaps).sum(-1) + np.eye(n)
        slope = -(gaps / s[..., None]).sum(1) / n
        return p, length, gaps, s, slope

    def tangent(p, slope):
        return slope - (slope * p).sum(1, keepdims=True) * p

    def grad(x):
        p, length, _, _, slope = parts(x)
        return (tangent(p, slope) / length).ravel()

    def product(x, v):
        p, length, gaps, s, slope = parts(x)
        z = v.reshape(n, 3)
        stretch = (p * z).sum(1, keepdims=True) / length
        turn = tangent(p, z) / length
        change = turn[:, None] - turn
        bend = 2 * (gaps * change).sum(-1) / s**2
        bent = -(change / s[..., None] - bend[..., None] * gaps).sum(1) / n
        whole = (tangent(p, bent) - (slope * turn).sum(1, keepdims=True) * p
                 - (slope * p).sum(1, keepdims=True) * turn)
        return ((whole - tangent(p, slope) * stretch) / length).ravel()

    angle = 2 * np.pi * np.arange(n - 2) / (n - 2)
    ring = np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1)
    return Unseen("Thomson, logarithmic", lambda x: -np.log(parts(x)[3]).sum() / (4 * n), grad,
                  np.vstack([ring, [[0, 0, 1], [0, 0, -1]]]).ravel(), product)


def sketching(n=30, rank=3, m=400):
    """Σ(‖Xᵀaᵢ‖² − yᵢ)²/(4m), a covariance matrix from its quadratic forms, from 0."""
    rng = np.random.default_rng(103)
    a = rng.standard_normal((m, n))
    y = ((a @ rng.standard_normal((n, rank)) / n**0.5)**2).sum(1)

    def parts(x):
        image = a @ x.reshape(n, rank)
        return image, (image * image).sum(1) - y

    def grad(x):
        image, r = parts(x)
        return (a.T @ (r[:, None] * image)).ravel() / m

    def product(x, v):
        image, r = parts(x)
        moved = a @ v.reshape(n, rank)
        change = 2 * (image * moved).sum(1)
        return (a.T @ (change[:, None] * image + r[:, None] * moved)).ravel() / m

    return Unseen("covariance sketching", lambda x: (parts(x)[1]**2).sum() / (4 * m), grad,
                  np.zeros(n * rank), product)


# From d = 100 on

def signs_on_the_circle(n=120, wrong=0.2):
    """−Σ sᵢⱼ cos(θᵢ − θⱼ)/n with signs sᵢⱼ of which a fifth are wrong, from equal angles."""
    rng = np.random.default_rng(104)
    truth = np.where(rng.random(n) < 0.5, 1.0, -1.0)
    s = np.triu(np.outer(truth, truth) * np.where(rng.random((n, n)) < wrong, -1, 1), 1) / n
    s = s + s.T

    def gaps(x):
        return x[:, None] - x

    def product(x, v):
        w = s * np.cos(gaps(x))
        return w.sum(1) * v - w @ v

    return Unseen("synchronization of signs", lambda x: -0.5 * (s * np.cos(gaps(x))).sum(),
                  lambda x: (s * np.sin(gaps(x))).sum(1), np.zeros(n), product)


def phase_retrieval(n=64, m=384):
    """Σ(|aᵢ·z|² − yᵢ)²/(4m) for complex z, as real and imaginary parts, from 0."""
    rng = np.random.default_rng(105)
    re, im = rng.standard_normal((2, m, n)) / 2**0.5
    a = np.block([[re, -im], [im, re]])
    y = ((a @ rng.standard_normal(2 * n) / (2 * n)**0.5).reshape(2, m)**2).sum(0)

    def parts(x):
        image = (a @ x).reshape(2, m)
        return image, (image * image).sum(0) - y

    def grad(x):
        image, r = parts(x)
        return a.T @ (r * image).ravel() / m

    def product(x, v):
        image, r = parts(x)
        moved = (a @ v).reshape(2, m)
        return a.T @ (2 * (image * moved).sum(0) * image + r * moved).ravel() / m

    return Unseen("phase retrieval, complex", lambda x: (parts(x)[1]**2).sum() / (4 * m), grad,
                  np.zeros(2 * n), product)


def tanh_network(n=8, hidden=12, out=2, m=150):
    """mean ‖V tanh(Wa + b) + c − y‖²/2 from W = b = V = 0 and c = mean y."""
    rng = np.random.default_rng(106)
    a = rng.standard_normal((n, m))
    y = rng.standard_normal((out, 4)) @ np.tanh(rng.standard_normal((4, n)) @ a / 2)
    y = y + 0.1 * rng.standard_normal((out, m))
    cuts = np.cumsum([hidden * n, hidden, out * hidden])

    def split(x):
        w, b, v, c = np.split(x, cuts)
        return w.reshape(hidden, n), b[:, None], v.reshape(out, hidden), c[:, None]

    def forward(x):
        w, b, v, c = split(x)
        t = np.tanh(w @ a + b)
        return v, t, v @ t + c - y

    def joined(w, b, v, c):
        return np.concatenate([w.ravel(), b, v.ravel(), c]) / m

    def grad(x):
        v, t, r = forward(x)
        back = (v.T @ r) * (1 - t * t)
        return joined(back @ a.T, back.sum(1), r @ t.T, r.sum(1))

    def product(x, z):
        v, t, r = forward(x)
        dw, db, dv, dc = split(z)
        dt = (1 - t * t) * (dw @ a + db)
        dr = dv @ t + v @ dt + dc
        back = (dv.T @ r + v.T @ dr) * (1 - t * t) - 2 * (v.T @ r) * t * dt
        return joined(back @ a.T, back.sum(1), dr @ t.T + r @ dt.T, dr.sum(1))

    start = np.concatenate([np.zeros(cuts[-1]), y.mean(1)])
    return Unseen("tanh network, biases", lambda x: 0.5 * (forward(x)[2]**2).sum() / m, grad, start,
                  product)


def max_cut(n=90, rank=4, penalty=9.0):
    """½⟨W, VVᵀ⟩ + (9/4) Σ(‖vᵢ‖² − 1)² for a circulant graph of degree six, from equal rows.

    W of a regular graph maps equal rows v to 6v, and 6v + 9(‖v‖² − 1)v = 0 where ‖v‖² = 1/3.
    """
    gap = (np.arange(n)[:, None] - np.arange(n)) % n
    w = np.isin(np.minimum(gap, n - gap), (1, 4, 17)).astype(float)

    def parts(x):
        v = x.reshape(n, rank)
        return v, penalty * ((v * v).sum(1, keepdims=True) - 1)

    def fun(x):
        v, excess = parts(x)
        return 0.5 * (v * (w @ v)).sum() + (excess * excess).sum() / (4 * penalty)

    def grad(x):
        v, excess = parts(x)
        return (w @ v + excess * v).ravel()

    def product(x, z):
        v, excess = parts(x)
        z = z.reshape(n, rank)
        return (w @ z + excess * z + 2 * penalty * (v * z).sum(1, keepdims=True) * v).ravel()

    start = np.zeros((n, rank))
    start[:, 0] = (1 - w[0].sum() / penalty)**0.5
    return Unseen("max-cut, circulant", fun, grad, start.ravel(), product)


def linear_network(n=27, hidden=10, out=18, learned=3):
    """½ tr (VW − A)C(VW − A)ᵀ from the saddle at which three of the components are learned.

    With the leading eigenvectors U of ACAᵀ it is V = U, W = UᵀA, all else 0 (Baldi & Hornik 1989).
    """
    rng = np.random.default_rng(107)
    turn = np.linalg.qr(rng.standard_normal((n, n)))[0]
    c = (turn * np.linspace(1, 0.3, n)) @ turn.T
    a = rng.standard_normal((out, n)) / n**0.5
    u = np.linalg.eigh(a @ c @ a.T)[1][:, ::-1][:, :learned]
    cut = out * hidden

    def split(x):
        return x[:cut].reshape(out, hidden), x[cut:].reshape(hidden, n)

    def joined(v, w):
        return np.concatenate([v.ravel(), w.ravel()])

    def fun(x):
        v, w = split(x)
        e = v @ w - a
        return 0.5 * ((e @ c) * e).sum()

    def grad(x):
        v, w = split(x)
        e = (v @ w - a) @ c
        return joined(e @ w.T, v.T @ e)

    def product(x, z):
        (v, w), (dv, dw) = split(x), split(z)
        e, de = (v @ w - a) @ c, (dv @ w + v @ dw) @ c
        return joined(de @ w.T + e @ dw.T, dv.T @ e + v.T @ de)

    v, w = np.zeros((out, hidden)), np.zeros((hidden, n))
    v[:, :learned], w[:learned] = u, u.T @ a
    return Unseen("linear network, half learned", fun, grad, joined(v, w), product)


def dictionary(n=10, atoms=14, m=60, weight=0.01, width=0.05):
    """½‖DC − Y‖² + 0.01 (Σ w log cosh(C/w) + ‖D‖²/2) with more atoms than dimensions, from 0."""
    rng = np.random.default_rng(108)
    code = rng.standard_normal((atoms, m)) * (rng.random((atoms, m)) < 0.2)
    truth = rng.standard_normal((n, atoms))
    y, cut = truth / np.linalg.norm(truth, axis=0) @ code / m**0.5, n * atoms

    def split(x):
        return x[:cut].reshape(n, atoms), x[cut:].reshape(atoms, m)

    def joined(d, c):
        return np.concatenate([d.ravel(), c.ravel()])

    def fun(x):
        d, c = split(x)
        smooth = width * (np.logaddexp(c / width, -c / width) - np.log(2)).sum()
        return 0.5 * ((d @ c - y)**2).sum() + weight * (smooth + 0.5 * (d * d).sum())

    def grad(x):
        d, c = split(x)
        r = d @ c - y
        return joined(r @ c.T + weight * d, d.T @ r + weight * np.tanh(c / width))

    def product(x, z):
        (d, c), (dd, dc) = split(x), split(z)
        r, dr = d @ c - y, dd @ c + d @ dc
        bend = weight / width * (1 - np.tanh(c / width)**2)
        return joined(dr @ c.T + r @ dc.T + weight * dd, dd.T @ r + d.T @ dr + bend * dc)

    return Unseen("dictionary, overcomplete", fun, grad, np.zeros(cut + atoms * m), product)


def completion(n=260, m=140, rank=5, seen=0.3, ridge=0.01):
    """½‖P_Ω(XYᵀ − M)‖² + 0.005(‖X‖² + ‖Y‖²) with 30 % of the entries, from 0."""
    rng = np.random.default_rng(109)
    left, right = (np.linalg.qr(rng.standard_normal((k, rank)))[0] for k in (n, m))
    known, cut = (rng.random((n, m)) < seen).astype(float), n * rank
    target = known * ((left * np.linspace(1, 0.5, rank)) @ right.T)

    def split(x):
        return x[:cut].reshape(n, rank), x[cut:].reshape(m, rank)

    def joined(x, y):
        return np.concatenate([x.ravel(), y.ravel()])

    def fun(z):
        x, y = split(z)
        return 0.5 * ((known * (x @ y.T) - target)**2).sum() + 0.5 * ridge * z @ z

    def grad(z):
        x, y = split(z)
        r = known * (x @ y.T) - target
        return joined(r @ y, r.T @ x) + ridge * z

    def product(z, v):
        (x, y), (dx, dy) = split(z), split(v)
        r, dr = known * (x @ y.T) - target, known * (dx @ y.T + x @ dy.T)
        return joined(dr @ y + r @ dy, dr.T @ x + r.T @ dx) + ridge * v

    return Unseen("completion, rectangular", fun, grad, np.zeros(cut + m * rank), product)
