"""Small problems after what people report of optimizers: an answer that is wrong, late or missing.

A case is a function, its gradient, a start, and the truth: what a right answer is, by construction
and by the eigenvalues of the dense Hessian. `CASES` has them by name. The docstring of each builder
says what kind of report it stands for. `judge` says of a run whether its word can be believed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["CASES", "Case", "OUTCOMES", "dense_hessian", "eigenvalues", "family", "informed",
           "judge"]

EPSILON = 1e-3  # what every method is asked for
# The gradient is held to so many times what was asked: which norm a method tests decides nothing.
_SLACK = 10
# Negative curvature down to this part of ‖H‖ is forgiven, where a case says nothing else.
_FORGIVEN = 1e-2

OUTCOMES = {
    "right": "says success, and it is one",
    "wrong": "says success where there is slope, negative curvature, or the derivatives lie",
    "flat": "says success where second derivatives cannot see that it is no minimum",
    "honest": "says no success, and there is none",
    "missed": "says no success at a right answer",
}


@dataclass(frozen=True)
class Case:
    """One problem with its truth.

    Attributes
    ----------
    name, report : str
        ``report`` is the kind of complaint in a sentence.
    right : str
        What a right answer is.
    fun, grad : callable
        As a user would give them, mistakes included.
    x0 : ndarray, shape (d,)
    level : float
        Right answers have f ≤ level: below every saddle and plateau, at or above every minimum that
        is to be accepted. −∞ where there is no minimum.
    true_grad : callable
        ∇f; differs from ``grad`` where the report is of a wrong one.
    smooth : bool
        Whether ∇f and ∇²f exist at the answer; if not, the level alone decides.
    curvature : float or None
        How negative λ_min of a right answer may be, absolute.
    either : bool
        Whether "no success" is as right an answer as success.
    constants : (float, float) or None
        ℓ and ρ that someone who knows the problem would give; None where nobody knows any, NaN for
        those that `informed` finds by sampling.
    reach : float
        Half the width of the box around the start where they are sampled.
    """

    name: str
    report: str
    right: str
    fun: Callable
    grad: Callable
    x0: np.ndarray
    level: float
    true_grad: Callable
    smooth: bool = True
    curvature: float | None = None
    either: bool = False
    constants: tuple | None = (math.nan, math.nan)
    reach: float = 1.0


CASES: dict[str, Case] = {}


def case(name, right, *, level, **truth):
    """Register what the function returns, (fun, grad, x0) or (fun, grad, x0, true_grad)."""
    def register(build):
        fun, grad, x0, *rest = build()
        CASES[name] = Case(name, build.__doc__.strip(), right, fun, grad, np.array(x0, dtype=float),
                           level, rest[0] if rest else grad, **truth)
        return build
    return register


# Truth

def dense_hessian(grad, x):
    """∇²f(x) from central differences of the gradient, shape (d, d), made symmetric."""
    x = np.asarray(x, dtype=float)
    with np.errstate(all="ignore"):
        h = 6e-6 * np.maximum(1.0, np.abs(x))
        columns = [(grad(x + e) - grad(x - e)) / (2 * e.sum()) for e in np.diag(h)]
    columns = np.array(columns, dtype=float)
    return 0.5 * (columns + columns.T)


def eigenvalues(case, x):
    """Those of ∇²f(x) in ascending order, by the true gradient; NaN where it is not finite."""
    hessian = dense_hessian(case.true_grad, x)
    if not np.isfinite(hessian).all():
        return np.full(len(hessian), np.nan)
    return np.linalg.eigvalsh(hessian)


def judge(case, x, success) -> str:
    """One of `OUTCOMES` for a run that ended at x and said ``success``."""
    x = np.asarray(x, dtype=float)
    with np.errstate(all="ignore"):
        low = bool(np.isfinite(x).all() and case.fun(x) <= case.level)
        second_order = _second_order(case, x)
    right = low and second_order
    if success:
        return "right" if right else "flat" if second_order and case.smooth else "wrong"
    return "missed" if right and not case.either else "honest"


def _second_order(case, x) -> bool:
    """Whether slope and curvature at x are those of a minimum, to a tolerance."""
    if not case.smooth:
        return bool(np.isfinite(x).all())
    slope = np.abs(case.true_grad(x)).max()
    if not slope <= _SLACK * EPSILON:
        return False
    spectrum = eigenvalues(case, x)
    largest = max(abs(spectrum[0]), abs(spectrum[-1]))
    allowed = _FORGIVEN * largest if case.curvature is None else case.curvature
    # Differences of gradients cannot tell less than this from nothing.
    return bool(spectrum[0] >= -max(allowed, 1e-9))


def informed(case, points=40):
    """ℓ and ρ of a user who knows the problem: sampled around the start where not written down.

    None where nobody could know any: there is no ρ > 0, or none is finite.
    """
    if case.constants is None:
        return None
    if not math.isnan(case.constants[0]):
        return case.constants
    rng = np.random.default_rng(0)
    spots = case.x0 + case.reach * rng.uniform(-1, 1, (points, case.x0.size))
    hessians = [dense_hessian(case.true_grad, spot) for spot in (case.x0, *spots)]
    if not np.isfinite(hessians).all():
        return None
    size = max(np.linalg.norm(one, 2) for one in hessians)
    change = max(np.linalg.norm(one - hessians[0], 2) / np.linalg.norm(spot - case.x0)
                 for one, spot in zip(hessians[1:], spots, strict=True))
    return (float(size), float(change)) if change > 1e-6 * size else None


# Starts that a symmetry holds fast

@case("two angles", "f = −1", level=-0.999, constants=(1.0, math.sqrt(2)))
def _two_angles():
    """Two rotation angles start exactly equal, and rounding decides whether descent ever leaves."""
    def fun(x):
        return np.sin(x[0]) * np.sin(x[1])

    def grad(x):
        return np.array([np.cos(x[0]) * np.sin(x[1]), np.sin(x[0]) * np.cos(x[1])])
    return fun, grad, [0.01, 0.01]


def quartic(curvatures, scale=1.0):
    """½ Σ cᵢxᵢ² + ¼ Σ xᵢ⁴ and its gradient, times ``scale``."""
    c = np.array(curvatures, dtype=float)
    return (lambda x: scale * (0.5 * c @ x**2 + 0.25 * np.sum(x**4)),
            lambda x: scale * (c * x + x**3))


@case("downhill along an axis", "f = −0.276", level=-0.27)
def _axis():
    """The only way down is a coordinate axis, which a probe from a fixed vector never sees."""
    return *quartic([1.0, -1.05]), np.zeros(2)


def family(dim, seed):
    """Diagonal saddles with one negative curvature at a random place: fun, grad, x0, curvatures."""
    rng = np.random.default_rng(seed)
    c = rng.uniform(0.5, 1.5, dim)
    c[rng.integers(dim)] *= -1
    return *quartic(c), np.zeros(dim), c


@case("staircase", "f = −70.9, two saddles below the start", level=-70.0, curvature=0.1,
      reach=0.5)
def _staircase():
    """A saddle below a saddle: one escape is not enough, and a second made it worse."""
    def fun(z):
        x, y = z
        return (0.9 * (x**4 / 4 - x**2 / 2) + 0.5 * y**2 * (2000 - 2000.9 * x**2)
                + 500 * y**4 * (1 + x**6))

    def grad(z):
        x, y = z
        return np.array([0.9 * (x**3 - x) - 2000.9 * x * y**2 + 3000 * x**5 * y**4,
                         y * (2000 - 2000.9 * x**2) + 2000 * y**3 * (1 + x**6)])
    return fun, grad, np.zeros(2)


WEAK = 3.9e-4


@case("weak curvature across a symmetry", "(1, 1), to any tolerance above 2·10⁻⁴", level=1e-4,
      constants=(0.5, 1.0))
def _weak():
    """Symmetric data: the gradient across is exactly zero, and the curvature there is −4·10⁻⁴."""
    def fun(x):
        s, a = (x[0] + x[1]) / 2, (x[0] - x[1]) / 2
        return 0.5 * (s - 1)**2 - 0.5 * WEAK * a**2 + 0.25 * a**4

    def grad(x):
        s, a = (x[0] + x[1]) / 2, (x[0] - x[1]) / 2
        ds, da = s - 1, -WEAK * a + a**3
        return np.array([ds + da, ds - da]) / 2
    return fun, grad, [2.0, 2.0]


@case("nearly on the ridge", "f = −0.0025", level=-2.4e-3)
def _nearly():
    """The start is off the ridge by 10⁻⁶: every gradient on the way is already small enough."""
    return *quartic([1.0, -0.1]), [1e-6, 1e-6]


@case("at the top", "any point of the sphere", level=0.01)
def _top():
    """The start is a maximum, and the solver says that it has converged after no iteration."""
    return (lambda x: 0.25 * (x @ x - 1)**2, lambda x: (x @ x - 1) * x, np.zeros(5))


@case("particles on one spot", "spread out, f = 0.80", level=0.85)
def _particles():
    """Points that repel each other start in the same place and stay together."""
    count = 4

    def pairs(x):
        p = x.reshape(count, 2)
        away = p[:, np.newaxis] - p
        return p, away, np.exp(-0.5 * np.sum(away**2, axis=2))

    def fun(x):
        p, _, near = pairs(x)
        return 0.5 * (near.sum() - count) + 0.05 * np.sum(p**2)

    def grad(x):
        p, away, near = pairs(x)
        return (0.1 * p - np.einsum("ij,ijk->ik", near, away)).ravel()
    return fun, grad, np.zeros(2 * count)


@case("mixture of equal components", "means near −2 and 2", level=2.2, reach=2.0)
def _mixture():
    """All components of a mixture start at the same mean, so they share every point for ever."""
    rng = np.random.default_rng(1)
    data = np.concatenate([rng.normal(-2, 1, 30), rng.normal(2, 1, 30)])

    def logs(means):
        return -0.5 * (data[:, np.newaxis] - means)**2 - 0.5 * math.log(2 * math.pi) - math.log(2)

    def fun(means):
        return -np.mean(np.logaddexp(*logs(means).T))

    def grad(means):
        terms = logs(means)
        share = np.exp(terms - np.logaddexp(*terms.T)[:, np.newaxis])
        return np.mean(share * (means - data[:, np.newaxis]), axis=0)
    return fun, grad, [0.3, 0.3]


@case("average of all answers", "one choice in each row", level=-1.0, reach=3.0)
def _average():
    """A soft choice starts undecided, in the middle of all answers, where no choice has a slope."""
    rows, choices, decay = 3, 4, 0.01

    def soft(x):
        z = x.reshape(rows, choices)
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def fun(x):
        return -0.5 * np.sum(soft(x)**2) + 0.5 * decay * x @ x

    def grad(x):
        p = soft(x)
        return (p * (np.sum(p * p, axis=1, keepdims=True) - p)).ravel() + decay * x
    return fun, grad, np.zeros(rows * choices)


@case("max-cut from equal rows", "the vectors of a pentagon, f = −2.02", level=-2.0)
def _max_cut():
    """A low-rank relaxation of max-cut starts with all vectors equal: no cut, and no slope."""
    nodes, rank = 5, 3
    after = np.roll(np.arange(nodes), -1)

    def fun(x):
        v = x.reshape(nodes, rank)
        u = v / np.linalg.norm(v, axis=1, keepdims=True)
        return 0.5 * np.sum(u * u[after])

    def grad(x):
        v = x.reshape(nodes, rank)
        size = np.linalg.norm(v, axis=1, keepdims=True)
        u = v / size
        pull = 0.5 * (u[after] + u[np.argsort(after)])
        return ((pull - np.sum(pull * u, axis=1, keepdims=True) * u) / size).ravel()
    return fun, grad, np.tile([1.0, 0.0, 0.0], nodes)


# Zeros at the start of products

@case("low-rank adapter from zero", "f = 0, three saddles below the start", level=0.01,
      constants=(8.0, 12.0))
def _adapter():
    """Both factors of a low-rank update start at zero, and training does nothing at all."""
    m, n, r = 12, 9, 3
    rng = np.random.default_rng(3)
    u, v = (np.linalg.qr(rng.normal(size=(size, r)))[0] for size in (m, n))
    target = u @ np.diag([2.0, 1.0, 0.5]) @ v.T

    def split(x):
        return x[:m * r].reshape(m, r), x[m * r:].reshape(r, n)

    def fun(x):
        b, a = split(x)
        return 0.5 * np.sum((b @ a - target)**2)

    def grad(x):
        b, a = split(x)
        rest = b @ a - target
        return np.concatenate([(rest @ a.T).ravel(), (b.T @ rest).ravel()])
    return fun, grad, np.zeros(r * (m + n))


@case("attention from zero", "a sharp pattern, f < 1", level=1.0, reach=2.0)
def _attention():
    """Queries and keys start at zero, so that neither has a gradient."""
    tokens, width, rank, decay = 5, 3, 2, 0.01
    rng = np.random.default_rng(2)
    features = rng.normal(size=(tokens, width)) * 2
    wanted = np.roll(np.eye(tokens), 1, axis=1)

    def split(x):
        return x.reshape(2, width, rank)

    def logs(x):
        q, k = split(x)
        scores = features @ q @ (features @ k).T
        scores = scores - scores.max(axis=1, keepdims=True)
        return scores - np.log(np.sum(np.exp(scores), axis=1, keepdims=True))

    def fun(x):
        return -np.sum(wanted * logs(x)) / tokens + 0.5 * decay * x @ x

    def grad(x):
        q, k = split(x)
        slope = features.T @ ((np.exp(logs(x)) - wanted) / tokens) @ features
        return np.concatenate([(slope @ k).ravel(), (slope.T @ q).ravel()]) + decay * x
    return fun, grad, np.zeros(2 * width * rank)


@case("phase retrieval from zero", "plus or minus the signal", level=1e-3, reach=1.5)
def _phase():
    """A signal is sought from squares of measurements; the start at zero has no slope."""
    rng = np.random.default_rng(4)
    rows, signal = rng.normal(size=(60, 4)), np.array([1.0, -0.5, 0.3, 0.8])
    seen = (rows @ signal)**2

    def fun(x):
        return 0.25 * np.mean(((rows @ x)**2 - seen)**2)

    def grad(x):
        y = rows @ x
        return rows.T @ ((y * y - seen) * y) / len(seen)
    return fun, grad, np.zeros(4)


def product(start):
    """½ (1 − Π wᵢ)² and its gradient."""
    def rest(w):
        return np.array([np.prod(np.delete(w, i)) for i in range(len(w))])
    return (lambda w: 0.5 * (1 - np.prod(w))**2, lambda w: (np.prod(w) - 1) * rest(w), start)


@case("plateau before the cliff", "f = 0", level=0.01)
def _plateau():
    """The loss is flat for thousands of steps and then drops: a product of small factors."""
    return product(np.full(4, 0.1))


@case("deep product from zero", "f = 0", level=0.01)
def _deep():
    """Three layers start at zero: no slope, and no curvature either."""
    return product(np.zeros(3))


@case("tensor from zero", "the component, f = 0", level=0.01)
def _tensor():
    """A component of a tensor of third order is sought from zero, where f is flat to order 2."""
    a = np.array([0.6, 0.0, 0.8])
    return (lambda x: 0.5 * ((x @ x)**3 - 2 * (a @ x)**3 + 1),
            lambda x: 3 * (x @ x)**2 * x - 3 * (a @ x)**2 * a, np.zeros(3))


INPUTS = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
TARGETS = -INPUTS[:, 0] * INPUTS[:, 1]


def exclusive_or(start):
    """Mean squared error of two tanh units; W (2×2), b (2), v (2), c as one vector."""
    def parts(p):
        h = np.tanh(INPUTS @ p[:4].reshape(2, 2).T + p[4:6])
        return h, p[6:8], h @ p[6:8] + p[8] - TARGETS

    def fun(p):
        return 0.5 * np.mean(parts(p)[2]**2)

    def grad(p):
        h, v, off = parts(p)
        back = off[:, np.newaxis] * v * (1 - h**2) / 4
        return np.concatenate([(back.T @ INPUTS).ravel(), back.sum(0), h.T @ off / 4, [off.mean()]])
    return fun, grad, start


@case("exclusive or from zero", "f = 0; second derivatives see no way down", level=0.45)
def _xor_zero():
    """All weights start at zero, and the network answers 0.5 for ever."""
    return exclusive_or(np.zeros(9))


@case("exclusive or from equal units", "f < 0.3", level=0.3)
def _xor_equal():
    """Two hidden units start the same, so that they stay the same and the network is too small."""
    return exclusive_or([0.5, 0.5, 0.5, 0.5, 0.3, 0.3, 0.4, 0.4, 0.0])


# Flat places

@case("flat far field", "f = −1", level=-0.9, constants=(3.0, 6.0))
def _far_field():
    """A needle in a plain: far from the minimum there is no slope and no curvature."""
    def bell(z):
        return np.exp(-np.sum((z - np.pi)**2))

    def fun(z):
        return -np.cos(z[0]) * np.cos(z[1]) * bell(z)

    def grad(z):
        c, s, away = np.cos(z), np.sin(z), 2 * (z - np.pi)
        return c[::-1] * bell(z) * (s + away * c)
    return fun, grad, [-1.0, 8.0]


@case("saturated unit", "f = 0; the start looks like a minimum", level=0.01, constants=(1.0, 0.2))
def _saturated():
    """One unit is saturated by a large weight, the others are fine, and the loss stays high."""
    def unit(w):
        return 1 / (1 + np.exp(-w))

    def fun(x):
        return 0.5 * (unit(x[0]) - 0.2)**2 + 0.5 * x[1]**2

    def grad(x):
        s = unit(x[0])
        return np.array([(s - 0.2) * s * (1 - s), x[1]])
    return fun, grad, [40.0, 1.0]


@case("dead units", "f = 0", level=0.01, constants=None)
def _dead():
    """All rectified units are switched off for all data: f is constant around the start."""
    data = np.linspace(0.5, 2.0, 8)

    def parts(p):
        w, b, v = p.reshape(3, 2)
        inside = data[:, np.newaxis] * w + b
        h = np.maximum(inside, 0)
        return inside > 0, h, v, h @ v - data

    def fun(p):
        return 0.5 * np.mean(parts(p)[3]**2)

    def grad(p):
        on, h, v, off = parts(p)
        back = off[:, np.newaxis] * v * on / data.size
        return np.concatenate([data @ back, back.sum(0), h.T @ off / data.size])
    return fun, grad, [-1.0, -0.5, -0.1, -0.2, 1.0, 0.5]


@case("constant function", "any point; that it is flat is as right", level=1.0, either=True,
      constants=None)
def _constant():
    """Nothing depends on the parameters, by mistake or for these data."""
    return lambda x: 1.0, np.zeros_like, [1.0, 2.0]


@case("monkey saddle", "f = −6.75", level=-6.7)
def _monkey():
    """A point without slope and without curvature, from which three ways lead down."""
    def fun(z):
        x, y = z
        return x**3 - 3 * x * y**2 + 0.25 * (x * x + y * y)**2

    def grad(z):
        x, y = z
        return np.array([3 * x * x - 3 * y * y, -6 * x * y]) + (x * x + y * y) * z
    return fun, grad, np.zeros(2)


@case("quartic minimum", "0, where the Hessian is zero", level=1e-3)
def _quartic_minimum():
    """A minimum without curvature: steps get shorter and shorter, and nothing confirms it."""
    return *quartic(np.zeros(3)), np.ones(3)


# Scales and lengths

def rosenbrock(scale=1.0):
    """The banana valley and its gradient, times ``scale``."""
    def fun(z):
        x, y = z
        return scale * ((1 - x)**2 + 100 * (y - x * x)**2)

    def grad(z):
        x, y = z
        return scale * np.array([2 * (x - 1) - 400 * x * (y - x * x), 200 * (y - x * x)])
    return fun, grad


@case("overflow from a far start", "f = 0", level=1e-2, constants=(1e4, 2.5e4))
def _overflow():
    """A scaled valley from a far start: after a few steps x is (nan, nan)."""
    return *rosenbrock(10.0), [10.0, 15.0]


@case("banana valley", "f = 0; the control", level=1e-3, reach=0.5)
def _banana():
    """Nothing is wrong here: whoever always says that there is no success is not honest either."""
    return *rosenbrock(), [-1.2, 1.0]


@case("four variables, tiny negative curvature", "f = 0", level=1.0, curvature=0.05, reach=0.5)
def _wood():
    """At a saddle the curvature is −0.12, which is next to nothing beside a largest of 950."""
    def fun(z):
        a, b, c, d = z
        return (100 * (b - a * a)**2 + (1 - a)**2 + 90 * (d - c * c)**2 + (1 - c)**2
                + 10.1 * ((b - 1)**2 + (d - 1)**2) + 19.8 * (b - 1) * (d - 1))

    def grad(z):
        a, b, c, d = z
        return np.array([-400 * a * (b - a * a) - 2 * (1 - a),
                         200 * (b - a * a) + 20.2 * (b - 1) + 19.8 * (d - 1),
                         -360 * c * (d - c * c) - 2 * (1 - c),
                         180 * (d - c * c) + 20.2 * (d - 1) + 19.8 * (b - 1)])
    saddle = np.array([-0.97, 0.95, -0.97, 0.95])
    for _ in range(8):  # Newton's method
        saddle = saddle - np.linalg.solve(dense_hessian(grad, saddle), grad(saddle))
    return fun, grad, saddle


@case("units too small", "f = −2.5·10⁻⁷", level=-2.4e-7)
def _small_units():
    """In the units of the user every gradient is below the tolerance, at any point."""
    return *quartic([-1.0, 1.0], scale=1e-6), [0.5, 0.5]


@case("large constant", "f − 10¹⁰ = 0", level=1e10 + 1e-2, reach=0.5)
def _large_constant():
    """An energy with a large offset: a relative test of its decrease passes at once."""
    fun, grad = rosenbrock()
    return lambda z: 1e10 + fun(z), grad, [-1.2, 1.0]


# No minimum

@case("no minimum below a saddle", "none", level=-math.inf, constants=(1.0, 1.0))
def _bottomless():
    """f is unbounded below, and the only stationary point is a saddle on the way of descent."""
    signs = np.array([1.0, -1.0])
    return lambda x: 0.5 * signs @ x**2, lambda x: signs * x, [1.0, 0.0]


@case("likelihood that collapses", "none", level=-math.inf, reach=0.5)
def _collapse():
    """A normal law is fitted to a single value: its variance goes to zero, f to −∞."""
    def fun(p):
        return p[1] + 0.5 * np.exp(-2 * p[1]) * (p[0] - 1)**2

    def grad(p):
        shrunk = np.exp(-2 * p[1]) * (p[0] - 1)
        return np.array([shrunk, 1 - shrunk * (p[0] - 1)])
    return fun, grad, [0.0, 0.0]


@case("answer at infinity", "a loss near 0; that it is flat there is as right", level=0.05,
      either=True, reach=2.0)
def _separable():
    """Logistic regression on separable data: the weights grow for ever, the warnings too."""
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(30, 3))
    rows *= np.sign(rows @ [1.0, -1.0, 0.5])[:, np.newaxis]

    def fun(w):
        return np.mean(np.logaddexp(0, -rows @ w))

    def grad(w):
        return -rows.T @ np.exp(-np.logaddexp(0, rows @ w)) / len(rows)
    return fun, grad, np.zeros(3)


# What the user hands over is not what it seems

@case("kink", "0", level=1e-2, smooth=False, constants=None)
def _kink():
    """An absolute value: the gradient jumps at the minimum and is never small."""
    return (lambda x: abs(x[0]) + 0.5 * x[1]**2, lambda x: np.array([np.sign(x[0]), x[1]]),
            [1.3, 1.0])


@case("values in single precision", "f = 0", level=1e-3, reach=0.5)
def _single_values():
    """f comes from float32: line searches see steps where there is a slope."""
    fun, grad = rosenbrock()
    return lambda z: float(np.float32(fun(z))), grad, [-1.2, 1.0]


@case("gradient in single precision", "f = −1.25", level=-1.2)
def _single_gradient():
    """The gradient comes from float32, and differences of it are mostly rounding."""
    fun, grad = quartic(-np.ones(5))
    return (fun, lambda x: np.float32(grad(np.float32(x))), [0.0, 0.0, 0.5, -0.4, 0.3], grad)


@case("gradient of the wrong sign", "0, but not with this gradient", level=1e-3)
def _wrong_sign():
    """The gradient has the wrong sign, as of a function that was to be maximized."""
    c = np.array([1.0, 4.0])
    return (lambda x: 0.5 * c @ x**2 + 0.05 * np.sum(x**4), lambda x: -c * x - 0.2 * x**3,
            [1.0, 1.0], lambda x: c * x + 0.2 * x**3)


@case("forgotten term", "f = −0.667, but not with this gradient", level=-0.66, constants=(2.0, 1.0))
def _forgotten():
    """A term is missing in the gradient, which then vanishes at a point where f has a slope."""
    return (lambda x: 0.5 * x @ x + 0.5 * x[0] * x[1] - x[0],
            lambda x: np.array([x[0] - 1, x[1] + 0.5 * x[0]]), [0.0, 1.0],
            lambda x: np.array([x[0] + 0.5 * x[1] - 1, x[1] + 0.5 * x[0]]))


@case("edge of the domain", "f = 1", level=1.01, constants=(1.0, 2.0))
def _edge():
    """Beyond a line f is not a number, and long steps end there."""
    def fun(x):
        return x[0] - np.log(x[0]) + 0.5 * x[1]**2

    def grad(x):
        return np.array([1 - 1 / x[0], x[1]])
    return fun, grad, [20.0, 1.0]
