"""Problems from outside the library, for the benchmarks: none of them is in `saddlelib.problems`.

Each is a function of x in R^d with its gradient written by hand. Nearly all start at a saddle, at a
maximum, or at a point that a symmetry keeps gradient steps from leaving. Every gradient is made of
analytic functions alone, so that products with the Hessian come exact from complex steps,

    ∇²f(x) v = Im ∇f(x + i h v)/h + O(h²),    h = 10⁻³⁰,

in which nothing is subtracted (Squire & Trapp 1998, SIAM Review 40, 110-112).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import scipy.optimize

_STEP = 1e-30


@dataclass(frozen=True, eq=False)
class Outside:
    """An objective with its start; ``grad`` also takes complex points."""

    name: str
    fun: Callable
    grad: Callable
    x0: np.ndarray

    @property
    def dim(self) -> int:
        """d."""
        return self.x0.size

    def hvp(self, x, v) -> np.ndarray:
        """∇²f(x) v, shape (d,), exact up to rounding."""
        return self.grad(x + 1j * _STEP * v).imag / _STEP

    def hess(self, x) -> np.ndarray:
        """∇²f(x), shape (d, d), from d products; symmetric."""
        columns = np.array([self.hvp(x, e) for e in np.eye(self.dim)])
        return (columns + columns.T) / 2

    @cached_property
    def path(self) -> list[np.ndarray]:
        """Points that a descent from near the start passes: where the constants should hold."""
        rng, points = np.random.default_rng(0), [self.x0]
        start = self.x0 + 0.1 * rng.standard_normal(self.dim) / self.dim**0.5
        scipy.optimize.minimize(self.fun, start, jac=self.grad, method="L-BFGS-B",
                                callback=lambda x: points.append(x.copy()),
                                options=dict(gtol=1e-4, maxiter=200))
        return [points[i] for i in sorted({*np.linspace(0, len(points) - 1, 8).astype(int)})]

    @cached_property
    def lipschitz_grad(self) -> float:
        """ℓ, informed: the largest |eigenvalue| of ∇²f that a power iteration finds on the path."""
        return max(_power(lambda v, x=x: self.hvp(x, v), self.dim, 20) for x in self.path)

    @cached_property
    def lipschitz_hess(self) -> float:
        """ρ, informed: the norm of the third derivative that a power iteration finds on the path.

        ‖∇³f(x)‖ = max ‖∇³f(x)[v, v]‖ over unit v, as ∇³f is symmetric (Banach 1938).
        """
        def third(x, v, h=1e-4):
            return (self.hvp(x + h * v, v) - self.hvp(x - h * v, v)) / (2 * h)

        return max(_power(lambda v, x=x: third(x, v), self.dim, 10) for x in self.path)


def _power(image, dim, steps):
    """The largest ‖image(v)‖ over the unit vectors v that a power iteration meets."""
    v, largest = np.random.default_rng(1).standard_normal(dim), 0.0
    for _ in range(steps):
        v = image(v / np.linalg.norm(v))
        size = float(np.linalg.norm(v))
        if size == 0:
            break
        largest = max(largest, size)
    return largest


def problems(largest=2000):
    """Every problem with d ≤ ``largest``."""
    return [p for p in (make() for make in _MAKERS) if p.dim <= largest]


_MAKERS = []


def _listed(**larger):
    """Put a problem on the list as it comes, and once more with these sizes."""
    def enter(make):
        _MAKERS.append(make)
        if larger:
            _MAKERS.append(partial(make, **larger))
        return make
    return enter


def _unit(rows):
    """Every row over its length, and the lengths."""
    length = np.sqrt((rows * rows).sum(-1, keepdims=True))
    return rows / length, length


def _tangent(unit, length, slope):
    """The gradient with respect to rows, from that with respect to the rows over their lengths."""
    return (slope - (slope * unit).sum(-1, keepdims=True) * unit) / length


def _logistic(z):
    """1/(1 + e^{−z})."""
    return 0.5 * (1 + np.tanh(z / 2))


def _orthogonal(rng, n):
    return np.linalg.qr(rng.standard_normal((n, n)))[0]


# Low rank: sensing, completion, factorization

@_listed(n=200, m=1200)
def phase_retrieval(n=20, m=120):
    """Σ((aᵢ·x)² − yᵢ)²/(4m) from 0."""
    rng = np.random.default_rng(1)
    a, truth = rng.standard_normal((m, n)), rng.standard_normal(n) / n**0.5
    y = (a @ truth)**2
    return Outside("phase retrieval", lambda x: (((a @ x)**2 - y)**2).sum() / (4 * m),
                   lambda x: a.T @ (((a @ x)**2 - y) * (a @ x)) / m, np.zeros(n))


@_listed()
def blind_deconvolution(n=12, m=80):
    """Σ((aᵢ·x)(bᵢ·y) − cᵢ)²/(2m) from 0."""
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, m, n))
    c = (a @ _unit(rng.standard_normal(n))[0]) * (b @ _unit(rng.standard_normal(n))[0])

    def grad(z):
        ax, by = a @ z[:n], b @ z[n:]
        r = (ax * by - c) / m
        return np.concatenate([a.T @ (r * by), b.T @ (r * ax)])

    return Outside("blind deconvolution",
                   lambda z: (((a @ z[:n]) * (b @ z[n:]) - c)**2).sum() / (2 * m),
                   grad, np.zeros(2 * n))


def _symmetric_low_rank(name, n, rank, loss, slope, x0):
    """Σ loss(XXᵀ) for X of shape (n, rank); ``slope`` is the symmetric matrix of derivatives."""
    def grad(x):
        x = x.reshape(n, rank)
        return (2 * slope(x @ x.T) @ x).ravel()

    def fun(x):
        x = x.reshape(n, rank)
        return float(loss(x @ x.T).sum())

    return Outside(name, fun, grad, x0.ravel())


def _low_rank(rng, n, rank):
    """A matrix of that rank with eigenvalues from 1 down to ½, and its leading eigenvector."""
    u = _orthogonal(rng, n)[:, :rank]
    return (u * np.linspace(1, 0.5, rank)) @ u.T, u[:, 0]


@_listed(n=150, rank=6)
def completion(n=40, rank=3):
    """¼‖P_Ω(XXᵀ − M)‖² with 60 % of the entries, from 0."""
    rng = np.random.default_rng(3)
    m, seen = _low_rank(rng, n, rank)[0], np.triu(rng.random((n, n)) < 0.6)
    seen = (seen | seen.T).astype(float)
    return _symmetric_low_rank("completion", n, rank, lambda p: seen * (p - m)**2 / 4,
                               lambda p: seen * (p - m) / 2, np.zeros((n, rank)))


@_listed(n=100, rank=3)
def robust_pca(n=30, rank=2, width=0.05):
    """Pseudo-Huber loss of XXᵀ − M, where a tenth of the entries of M are spoiled, from 0."""
    rng = np.random.default_rng(4)
    spoiled = np.triu(rng.random((n, n)) < 0.1) * rng.standard_normal((n, n))
    m = _low_rank(rng, n, rank)[0] + spoiled + spoiled.T
    return _symmetric_low_rank(
        "robust PCA", n, rank, lambda p: width**2 * (np.sqrt(1 + ((p - m) / width)**2) - 1),
        lambda p: (p - m) / np.sqrt(1 + ((p - m) / width)**2), np.zeros((n, rank)))


@_listed(n=200, rank=6)
def equal_columns(n=30, rank=4):
    """¼‖XXᵀ − M‖² from equal columns that add up to the leading eigenvector: a saddle."""
    m, first = _low_rank(np.random.default_rng(5), n, rank)
    return _symmetric_low_rank("low rank, equal columns", n, rank, lambda p: (p - m)**2 / 4,
                               lambda p: (p - m) / 2, np.outer(first, np.full(rank, rank**-0.5)))


@_listed()
def orthogonality(n=10):
    """¼‖XXᵀ − I‖² for X of shape (n, n), from 0: every eigenvalue is −1."""
    eye = np.eye(n)
    return _symmetric_low_rank("orthogonality", n, n, lambda p: (p - eye)**2 / 4,
                               lambda p: (p - eye) / 2, np.zeros((n, n)))


@_listed(n=40, rank=3, m=500)
def sensing(n=12, rank=2, m=80):
    """Σ(⟨Aᵢ, XXᵀ⟩ − bᵢ)²/(4m) from 0."""
    rng = np.random.default_rng(6)
    a = rng.standard_normal((m, n, n))
    a = (a + a.transpose(0, 2, 1)).reshape(m, -1) / 2
    b = a @ _low_rank(rng, n, rank)[0].ravel()

    def grad(x):
        x = x.reshape(n, rank)
        return ((a.T @ (a @ (x @ x.T).ravel() - b)).reshape(n, n) @ x).ravel() / m

    def fun(x):
        x = x.reshape(n, rank)
        return ((a @ (x @ x.T).ravel() - b)**2).sum() / (4 * m)

    return Outside("matrix sensing", fun, grad, np.zeros(n * rank))


def _chain(name, shapes, x0, data, targets):
    """Linear network: ‖W_L … W₁ data − targets‖²/2 over the number of samples."""
    cuts, m = np.cumsum([a * b for a, b in shapes])[:-1], data.shape[1]

    def layers(x):
        return [w.reshape(s) for w, s in zip(np.split(x, cuts), shapes, strict=True)]

    def forward(weights):
        seen = [data]
        for w in weights:
            seen.append(w @ seen[-1])
        return seen

    def grad(x):
        weights = layers(x)
        seen = forward(weights)
        back, slopes = (seen[-1] - targets) / m, []
        for w, before in zip(weights[::-1], seen[-2::-1], strict=True):
            slopes.append((back @ before.T).ravel())
            back = w.T @ back
        return np.concatenate(slopes[::-1])

    return Outside(name, lambda x: ((forward(layers(x))[-1] - targets)**2).sum() / (2 * m),
                   grad, np.concatenate([np.ravel(w) for w in x0]))


@_listed()
def asymmetric(n=180, m=120, rank=5):
    """½‖XYᵀ − M‖² for 180 × 120 matrices, from 0."""
    rng = np.random.default_rng(7)
    u, v = _orthogonal(rng, n)[:, :rank], _orthogonal(rng, m)[:, :rank]
    target = (u * np.linspace(1, 0.5, rank)) @ v.T * m  # m: the loss is the mean over the columns
    return _chain("factorization XYᵀ", [(rank, m), (n, rank)],
                  [np.zeros((rank, m)), np.zeros((n, rank))], np.eye(m) * m**0.5, target / m**0.5)


@_listed(n=30, hidden=20, m=200)
def linear_network(n=10, hidden=8, m=60):
    """Two layers, from 0."""
    rng = np.random.default_rng(8)
    data = rng.standard_normal((n, m))
    targets = rng.standard_normal((5, n)) @ data / n**0.5 + 0.1 * rng.standard_normal((5, m))
    return _chain("linear network, 2 layers", [(hidden, n), (5, hidden)],
                  [np.zeros((hidden, n)), np.zeros((5, hidden))], data, targets)


@_listed()
def deep_linear_network(n=6, m=60):
    """Three layers, from (0, I, 0)."""
    rng = np.random.default_rng(9)
    data = rng.standard_normal((n, m))
    targets = rng.standard_normal((n, n)) @ data / n**0.5
    zero = np.zeros((n, n))
    return _chain("linear network, 3 layers", [(n, n)] * 3, [zero, np.eye(n), zero], data, targets)


@_listed()
def adapter(n=12, rank=2, m=60):
    """A low-rank correction BA of a fixed matrix, both factors 0."""
    rng = np.random.default_rng(10)
    data = rng.standard_normal((n, m))
    targets = _unit(rng.standard_normal((n, 1)).T)[0].T @ rng.standard_normal((1, n)) @ data
    return _chain("low-rank adapter", [(rank, n), (n, rank)],
                  [np.zeros((rank, n)), np.zeros((n, rank))], data, targets)


@_listed(n=100)
def scaling(n=15):
    """Σ(‖pᵢ − pⱼ‖² − D²ᵢⱼ)²/(4n) over pairs in the plane, all points at 0."""
    rng = np.random.default_rng(11)

    def squares(p):
        gaps = p[:, None] - p
        return (gaps * gaps).sum(-1), gaps

    wanted = squares(rng.standard_normal((n, 2)))[0]

    def grad(x):
        s, gaps = squares(x.reshape(n, 2))
        return ((s - wanted)[..., None] * gaps).sum(1).ravel() / n

    return Outside("multidimensional scaling",
                   lambda x: ((squares(x.reshape(n, 2))[0] - wanted)**2).sum() / (8 * n),
                   grad, np.zeros(2 * n))


@_listed()
def dictionary(n=8, m=40, weight=0.05, width=0.1):
    """‖Y − DC‖²/2 with a smoothed ℓ₁ norm of the code C and a small square of D, from 0."""
    rng = np.random.default_rng(12)
    code = rng.standard_normal((n, m)) * (rng.random((n, m)) < 0.3)
    y, cut = _orthogonal(rng, n) @ code / m**0.5, n * n

    def split(x):
        return x[:cut].reshape(n, n), x[cut:].reshape(n, m)

    def fun(x):
        d, c = split(x)
        smooth = (np.sqrt(c * c + width**2) - width).sum()
        return 0.5 * ((d @ c - y)**2).sum() + weight * (smooth / m + 0.5 * (d * d).sum())

    def grad(x):
        d, c = split(x)
        r = d @ c - y
        return np.concatenate([(r @ c.T + weight * d).ravel(),
                               (d.T @ r + weight / m * c / np.sqrt(c * c + width**2)).ravel()])

    return Outside("dictionary learning", fun, grad, np.zeros(cut + n * m))


@_listed(n=400, m=150)
def signed_squares(n=50, m=30):
    """‖A(u² − v²) − b‖²/(2m), sparse regression by its over-parametrization, from 0."""
    rng = np.random.default_rng(13)
    a = rng.standard_normal((m, n))
    b = a @ (rng.standard_normal(n) * (np.arange(n) < 4))

    def grad(x):
        g = 2 * a.T @ (a @ (x[:n]**2 - x[n:]**2) - b) / m
        return np.concatenate([g * x[:n], -g * x[n:]])

    return Outside("sparse regression by squares",
                   lambda x: ((a @ (x[:n]**2 - x[n:]**2) - b)**2).sum() / (2 * m),
                   grad, np.zeros(2 * n))


# Spheres and angles

def _weights(rng, n, degree):
    w = np.triu(rng.random((n, n)) < degree / n, 1).astype(float)
    return w + w.T


@_listed(n=150, rank=6)
def max_cut(n=40, rank=4, penalty=4.0):
    """Burer-Monteiro: ½⟨W, VVᵀ⟩ and a penalty that makes the rows unit vectors, from 0."""
    w = _weights(np.random.default_rng(14), n, 6) / 2

    def grad(x):
        v = x.reshape(n, rank)
        return (w @ v + penalty * ((v * v).sum(1, keepdims=True) - 1) * v).ravel()

    def fun(x):
        v = x.reshape(n, rank)
        return 0.5 * (v * (w @ v)).sum() + penalty / 4 * (((v * v).sum(1) - 1)**2).sum()

    return Outside("max-cut, penalty", fun, grad, np.zeros(n * rank))


@_listed()
def max_cut_rows(n=20, rank=3):
    """Burer-Monteiro on rows over their lengths, from the partition that cuts nothing."""
    w = _weights(np.random.default_rng(15), n, 6)

    def grad(x):
        v, length = _unit(x.reshape(n, rank))
        return _tangent(v, length, w @ v).ravel()

    def fun(x):
        v = _unit(x.reshape(n, rank))[0]
        return 0.5 * (v * (w @ v)).sum()

    return Outside("max-cut, unit rows", fun, grad, np.tile(np.eye(rank)[0], n))


@_listed()
def tensor(n=10):
    """−¼Σ(aⱼ·x)⁴ + ½‖x‖⁴ − ½‖x‖² from the middle of all orthogonal components aⱼ: a saddle."""
    a = _orthogonal(np.random.default_rng(16), n)
    return Outside("tensor, one component",
                   lambda x: 0.5 * (x @ x)**2 - 0.5 * x @ x - 0.25 * ((a @ x)**4).sum(),
                   lambda x: (2 * (x @ x) - 1) * x - a.T @ (a @ x)**3,
                   a.sum(0) / (2 * n - 1)**0.5)


@_listed()
def tensor_sum(n=8, rank=3):
    """¼‖Σ xᵢ⊗⁴ − Σ aᵢ⊗⁴‖² from equal components."""
    a = _orthogonal(np.random.default_rng(17), n)[:rank]

    def grad(x):
        x = x.reshape(rank, n)
        return (2 * ((x @ x.T)**3 @ x - (x @ a.T)**3 @ a)).ravel()

    def fun(x):
        x = x.reshape(rank, n)
        return 0.25 * (((x @ x.T)**4).sum() - 2 * ((x @ a.T)**4).sum() + rank)

    return Outside("tensor, all components", fun, grad, np.tile(a.sum(0) / rank**0.5, rank))


@_listed()
def independent_components(n=6, m=300):
    """−mean log(2 cosh 2s)/2 for a whitened mixture s along x/‖x‖, from between all sources."""
    rng = np.random.default_rng(18)
    s = rng.uniform(-1, 1, (n, m))
    s -= s.mean(1, keepdims=True)
    mix = _orthogonal(rng, n)
    z = mix @ np.linalg.solve(np.linalg.cholesky(s @ s.T / m), s)

    def grad(x):
        u, length = _unit(x)
        return _tangent(u, length, -z @ np.tanh(2 * (u @ z)) / m)

    return Outside("independent components",
                   lambda x: -np.logaddexp(t := 2 * (_unit(x)[0] @ z), -t).sum() / (2 * m),
                   grad, mix.sum(1) / n**0.5)


@_listed(n=200)
def synchronization(n=30):
    """−Σ cos(θᵢ − θⱼ − φᵢⱼ)/n on consistent φ, a third of the angles off by π: a saddle."""
    rng = np.random.default_rng(19)
    truth = rng.uniform(-np.pi, np.pi, n)
    w = _weights(rng, n, n / 2) / n
    return _angles("phase synchronization", w, truth[:, None] - truth,
                   truth + np.pi * (np.arange(n) < n // 3))


@_listed()
def kuramoto(n=40):
    """Oscillators on a circle, each coupled to three on both sides, in opposite phases."""
    gap = np.abs(np.arange(n)[:, None] - np.arange(n))
    gap = np.minimum(gap, n - gap)
    return _angles("Kuramoto", ((gap > 0) & (gap <= 3)).astype(float), np.zeros((n, n)),
                   np.pi * (np.arange(n) % 2))


def _angles(name, w, offset, x0):
    def gaps(x):
        return x[:, None] - x - offset

    return Outside(name, lambda x: -0.5 * (w * np.cos(gaps(x))).sum(),
                   lambda x: (w * np.sin(gaps(x))).sum(1), x0)


def _pairs(p):
    """Squared distances with ones on the diagonal, and differences."""
    gaps = p[:, None] - p
    return (gaps * gaps).sum(-1) + np.eye(len(p)), gaps


@_listed()
def thomson(n=12):
    """Charges on the sphere, Σ 1/‖pᵢ − pⱼ‖ over n, from a regular polygon on the equator."""
    def grad(x):
        p, length = _unit(x.reshape(n, 3))
        s, gaps = _pairs(p)
        return _tangent(p, length, -(gaps * (s**-1.5)[..., None]).sum(1) / n).ravel()

    angle = 2 * np.pi * np.arange(n) / n
    return Outside("Thomson",
                   lambda x: ((_pairs(_unit(x.reshape(n, 3))[0])[0]**-0.5).sum() - n) / (2 * n),
                   grad, np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1).ravel())


@_listed()
def cluster(n=7, soft=0.3):
    """4(s⁻⁶ − s⁻³) with s = ‖pᵢ − pⱼ‖² + 0.3, from the flat hexagon of least energy."""
    def grad(x):
        s, gaps = _pairs(x.reshape(n, 3))
        s = s + soft
        return ((3 * s**-4 - 6 * s**-7)[..., None] * 8 * gaps).sum(1).ravel()

    def fun(x):
        s = _pairs(x.reshape(n, 3))[0] + soft
        return 2 * ((s**-6 - s**-3) * (1 - np.eye(n))).sum()

    angle = np.pi / 3 * np.arange(6)
    ring = np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1)
    flat = np.vstack([ring, np.zeros(3)]).ravel()
    size = scipy.optimize.minimize_scalar(lambda a: fun(a * flat), bounds=(0.8, 1.5),
                                          options=dict(xatol=1e-9)).x
    return Outside("Lennard-Jones", fun, grad, size * flat)


# Learning

@_listed(n=20, hidden=30, m=300)
def tanh_network(n=6, hidden=8, m=80):
    """mean (v·tanh(Wa) − y)²/2 from 0."""
    rng = np.random.default_rng(20)
    a = rng.standard_normal((n, m))
    y, cut = np.tanh(rng.standard_normal(n) @ a), n * hidden

    def forward(x):
        w, v = x[:cut].reshape(hidden, n), x[cut:]
        t = np.tanh(w @ a)
        return v, t, v @ t - y

    def grad(x):
        v, t, r = forward(x)
        return np.concatenate([((v[:, None] * (1 - t * t) * r) @ a.T).ravel(), t @ r]) / m

    return Outside("tanh network", lambda x: 0.5 * (forward(x)[2]**2).sum() / m,
                   grad, np.zeros(cut + hidden))


@_listed()
def softplus_network(n=4, hidden=5, m=60):
    """mean (Σⱼ softplus(wⱼ·a) − y)²/2 with ridge 0.001, from equal neurons."""
    rng = np.random.default_rng(21)
    a = rng.standard_normal((n, m))
    y = np.logaddexp(0, rng.standard_normal((3, n)) @ a).sum(0)

    def slope(z, r):
        return (_logistic(z) * r) @ a.T / m

    def grad(x):
        z = x.reshape(hidden, n) @ a
        # log(1 + eᶻ), written for complex z.
        return slope(z, np.log1p(np.exp(z)).sum(0) - y).ravel() + 1e-3 * x

    def fun(x):
        r = np.logaddexp(0, x.reshape(hidden, n) @ a).sum(0) - y
        return 0.5 * r @ r / m + 0.5e-3 * x @ x

    return Outside("softplus network", fun, grad, np.tile(rng.standard_normal(n) / n, hidden))


@_listed()
def xor():
    """Exclusive or by three equal sigmoid neurons under a sigmoid output, with ridge 0.001."""
    a = np.array([[-1, -1, 1, 1], [-1, 1, -1, 1], [1, 1, 1, 1.0]])
    y = np.array([0, 1, 1, 0.0])

    def forward(x):
        s = _logistic(x[:9].reshape(3, 3) @ a)
        return s, x[9:12], x[9:12] @ (2 * s - 1) + x[12]

    def grad(x):
        s, v, z = forward(x)
        r = (_logistic(z) - y) / 4
        return np.concatenate([((2 * v[:, None] * s * (1 - s) * r) @ a.T).ravel(),
                               (2 * s - 1) @ r, [r.sum()]]) + 1e-3 * x

    def fun(x):
        z = forward(x)[2]
        return (np.logaddexp(0, z) - y * z).mean() + 0.5e-3 * x @ x

    return Outside("exclusive or", fun, grad, np.concatenate([np.ones(9), np.zeros(4)]))


@_listed()
def mixture(k=3, m=90):
    """−mean log density of k equal Gaussians in the plane, all means at the mean of the data."""
    rng = np.random.default_rng(22)
    data = 3 * np.array([[1, 0], [-0.5, 0.8], [-0.5, -0.8]])[np.arange(m) % 3]
    data = data + rng.standard_normal((m, 2))

    def exponents(x):
        gaps = x.reshape(k, 1, 2) - data
        return -0.5 * (gaps * gaps).sum(-1), gaps

    def grad(x):
        e, gaps = exponents(x)
        share = np.exp(e - e.real.max(0))
        return ((share / share.sum(0))[..., None] * gaps).sum(1).ravel() / m

    return Outside("Gaussian mixture",
                   lambda x: -np.logaddexp.reduce(exponents(x)[0]).sum() / m + np.log(k),
                   grad, np.tile(data.mean(0), k))


def _classes(seed, n, m):
    """Features times their labels, two classes of equal size."""
    rng = np.random.default_rng(seed)
    labels = np.where(np.arange(m) % 2, 1.0, -1.0)
    return (rng.standard_normal((m, n)) + 0.3 * labels[:, None]) * labels[:, None]


@_listed()
def logistic(n=20, m=100):
    """Logistic regression with ridge 0.001 on balanced labels, from 0: convex."""
    a = _classes(23, n, m)
    return Outside("logistic regression",
                   lambda w: np.logaddexp(0, -a @ w).mean() + 0.5e-3 * w @ w,
                   lambda w: -a.T @ _logistic(-a @ w) / m + 1e-3 * w, np.zeros(n))


@_listed(n=300, m=1000)
def logistic_nonconvex(n=20, m=100, weight=0.02):
    """The same with the nonconvex regularizer 0.02 Σ w²/(1 + w²), from 0."""
    a = _classes(24, n, m)
    return Outside("logistic, nonconvex",
                   lambda w: np.logaddexp(0, -a @ w).mean() + weight * (w**2 / (1 + w**2)).sum(),
                   lambda w: -a.T @ _logistic(-a @ w) / m + 2 * weight * w / (1 + w**2)**2,
                   np.zeros(n))


# Physics

def _wells(name, shape, stiffness):
    """¼(u² − 1)² with half the squared differences of neighbours on a torus, from 0."""
    def pull(u):
        return stiffness * sum(2 * u - np.roll(u, 1, axis) - np.roll(u, -1, axis)
                               for axis in range(u.ndim))

    def fun(x):
        u = x.reshape(shape)
        return 0.25 * ((u * u - 1)**2).sum() + 0.5 * (u * pull(u)).sum()

    def grad(x):
        u = x.reshape(shape)
        return (u * (u * u - 1) + pull(u)).ravel()

    return Outside(name, fun, grad, np.zeros(int(np.prod(shape))))


@_listed()
def cahn_hilliard_line(n=2000):
    """Double wells on a circle."""
    return _wells("double wells, circle", (n,), 2.0)


@_listed()
def cahn_hilliard(n=20):
    """Double wells on a torus."""
    return _wells("double wells, torus", (n, n), 1.0)


@_listed(n=200, turns=50)
def ginzburg_landau(n=40, turns=10, stiffness=0.3):
    """¼(|ψ|² − 1)² with |differences|²/2 of a complex ψ on a circle, from a wave of ten turns."""
    def pull(u):
        return stiffness * (2 * u - np.roll(u, 1, 1) - np.roll(u, -1, 1))

    def fun(x):
        u = x.reshape(2, n)
        return 0.25 * (((u * u).sum(0) - 1)**2).sum() + 0.5 * (u * pull(u)).sum()

    def grad(x):
        u = x.reshape(2, n)
        return (u * ((u * u).sum(0) - 1) + pull(u)).ravel()

    angle = 2 * np.pi * turns / n
    size = (1 - 2 * stiffness * (1 - np.cos(angle)))**0.5
    wave = size * np.stack([np.cos(angle * np.arange(n)), np.sin(angle * np.arange(n))])
    return Outside("Ginzburg-Landau", fun, grad, wave.ravel())


@_listed(n=1000)
def frenkel_kontorova(n=50):
    """½ Σ(xᵢ₊₁ − xᵢ)² of a closed chain on 1 + cos, from the tops of it all."""
    return Outside("Frenkel-Kontorova",
                   lambda x: 0.5 * ((np.roll(x, -1) - x)**2).sum() + (1 + np.cos(x)).sum(),
                   lambda x: 2 * x - np.roll(x, 1) - np.roll(x, -1) - np.sin(x), np.zeros(n))


@_listed()
def toda(n=50):
    """A closed Toda chain Σ(e^{xᵢ₊₁ − xᵢ} − 1), pinned by double wells, from 0."""
    def grad(x):
        e = np.exp(np.roll(x, -1) - x)
        return np.roll(e, 1) - e + x * (x * x - 1)

    return Outside("Toda, double wells",
                   lambda x: (np.exp(np.roll(x, -1) - x) - 1).sum() + 0.25 * ((x * x - 1)**2).sum(),
                   grad, np.zeros(n))


@_listed()
def potential_game(n=15):
    """xᵀAy + ¼(‖x‖⁴ + ‖y‖⁴), a bilinear game whose players share one potential, from 0."""
    a = _orthogonal(np.random.default_rng(25), n) * np.linspace(0.2, 1, n)

    def grad(z):
        x, y = z[:n], z[n:]
        return np.concatenate([a @ y + (x @ x) * x, a.T @ x + (y @ y) * y])

    return Outside("bilinear game",
                   lambda z: z[:n] @ a @ z[n:] + 0.25 * ((z[:n] @ z[:n])**2 + (z[n:] @ z[n:])**2),
                   grad, np.zeros(2 * n))


# Test functions

@_listed()
def wood():
    """Wood's function from its usual start, which leads past a saddle with λ_min = −0.12."""
    def grad(x):
        a, b, c, d = x
        return np.array([-400 * a * (b - a * a) - 2 * (1 - a),
                         200 * (b - a * a) + 20.2 * (b - 1) + 19.8 * (d - 1),
                         -360 * c * (d - c * c) - 2 * (1 - c),
                         180 * (d - c * c) + 20.2 * (d - 1) + 19.8 * (b - 1)])

    def fun(x):
        a, b, c, d = x
        return (100 * (b - a * a)**2 + (1 - a)**2 + 90 * (d - c * c)**2 + (1 - c)**2
                + 10.1 * ((b - 1)**2 + (d - 1)**2) + 19.8 * (b - 1) * (d - 1))

    return Outside("Wood", fun, grad, np.array([-3.0, -1.0, -3.0, -1.0]))


def _root(grad, guess):
    """A stationary point near a guess."""
    return scipy.optimize.root(grad, guess, tol=1e-13).x


@_listed()
def rosenbrock(n=10):
    """The chained Rosenbrock function from near its second minimizer, (−1, 1, …, 1)."""
    def grad(x):
        r = x[1:] - x[:-1]**2
        g = np.zeros_like(x)
        g[:-1] = -400 * r * x[:-1] - 2 * (1 - x[:-1])
        g[1:] += 200 * r
        return g

    return Outside("Rosenbrock, 10",
                   lambda x: (100 * (x[1:] - x[:-1]**2)**2 + (1 - x[:-1])**2).sum(),
                   grad, np.where(np.arange(n) == 0, -1.0, 1.0))


@_listed()
def beale():
    """Beale's function from (1, 1); from its saddle (0, 1) a descent may end at infinity."""
    c, powers = np.array([1.5, 2.25, 2.625]), np.array([1, 2, 3])

    def grad(x):
        r = c - x[0] + x[0] * x[1]**powers
        return 2 * np.array([r @ (x[1]**powers - 1), r @ (x[0] * powers * x[1]**(powers - 1))])

    return Outside("Beale", lambda x: ((c - x[0] + x[0] * x[1]**powers)**2).sum(),
                   grad, np.array([1.0, 1.0]))


@_listed()
def himmelblau():
    """Himmelblau's function from its maximum."""
    def grad(x):
        p, q = x[0]**2 + x[1] - 11, x[0] + x[1]**2 - 7
        return np.array([4 * p * x[0] + 2 * q, 2 * p + 4 * q * x[1]])

    return Outside("Himmelblau",
                   lambda x: (x[0]**2 + x[1] - 11)**2 + (x[0] + x[1]**2 - 7)**2,
                   grad, _root(grad, [-0.27, -0.92]))


@_listed()
def styblinski_tang(n=10):
    """½ Σ(x⁴ − 16x² + 5x) from its maximum."""
    def grad(x):
        return 2 * x**3 - 16 * x + 2.5

    return Outside("Styblinski-Tang", lambda x: 0.5 * (x**4 - 16 * x**2 + 5 * x).sum(),
                   grad, _root(grad, np.full(n, 0.157)))


@_listed()
def cosines(n=20, offset=200 * np.pi):
    """Σ wᵢ cos xᵢ far from the origin, from maxima at 200π."""
    w = np.linspace(0.2, 2, n)
    return Outside("cosines at 200π", lambda x: w @ np.cos(x), lambda x: -w * np.sin(x),
                   np.full(n, offset))
