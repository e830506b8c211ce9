r"""Symmetric forms of degree k in m variables, and the least value of a quartic one on the sphere.

A form p is held by the vector b of its coefficients in the monomials
:math:`\sqrt{n_\alpha}v^\alpha` with :math:`n_\alpha = k!/\alpha!`. Then ‖b‖ is the Frobenius norm
of the symmetric tensor (the norm of Bombieri), and :math:`|p(v)| \le \|b\|\,\|v\|^k`: an error of
the coefficients bounds that of the values. With z(v) the scaled monomials of degree two,
‖z(v)‖ = ‖v‖², a quartic form is :math:`z^\top Gz` for an affine space of matrices G, its Gram
matrices. Where one of them has least eigenvalue g,

.. math:: q(v) = z(v)^\top G\,z(v) \ge g\,\|v\|^4,

which proves a bound from below. The best g is that of the largest t for which q − t‖v‖⁴ is a sum
of squares; in up to three variables it is the least value of q itself (Hilbert 1888), beyond it
may be smaller. The maps between G and b have orthonormal rows, so that ADMM for the semidefinite
program (Wen, Goldfarb & Yin 2010, Math. Program. Comput. 2, 203-230) needs one eigendecomposition
a step.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

__all__ = ["Least", "Rows", "exponents", "features", "fit", "from_gram", "gradient_rows", "least",
           "on_subspace", "rows_of", "tensor"]

_UNIT = np.finfo(float).eps


@functools.lru_cache(maxsize=64)
def exponents(m, degree):
    """Exponents α of the monomials, shape (n, m), and the numbers n_α, shape (n,)."""
    rows = [np.bincount(c, minlength=m)
            for c in itertools.combinations_with_replacement(range(m), degree)]
    alpha = np.array(rows, int).reshape(len(rows), m)
    counts = [math.factorial(degree) / math.prod(math.factorial(k) for k in row) for row in rows]
    return alpha, np.array(counts)


def features(v, degree) -> np.ndarray:
    """√n_α v^α at v of shape (..., m), shape (..., n)."""
    v = np.asarray(v, float)
    alpha, counts = exponents(v.shape[-1], degree)
    powers = np.stack([v**k for k in range(degree + 1)], axis=-1)
    out = np.broadcast_to(np.sqrt(counts), (*v.shape[:-1], counts.size)).copy()
    for i in range(v.shape[-1]):
        out *= powers[..., i, alpha[:, i]]
    return out


def gradient_rows(W, degree) -> np.ndarray:
    """Rows that make P[w, ..., w, ·] of b: shape (N, m, n) for directions W of shape (N, m)."""
    W = np.asarray(W, float)
    m = W.shape[1]
    alpha, counts = exponents(m, degree)
    powers = np.stack([W**k for k in range(degree + 1)], axis=-1)
    rows = np.empty((len(W), m, counts.size))
    for j in range(m):
        lower = alpha.copy()
        lower[:, j] = np.maximum(lower[:, j] - 1, 0)
        part = np.broadcast_to(np.sqrt(counts) * alpha[:, j] / degree, (len(W), counts.size)).copy()
        for i in range(m):
            part *= powers[:, i, lower[:, i]]
        rows[:, j] = part
    return rows


class Rows(NamedTuple):
    """What fits coefficients to data: the matrix A, its pseudoinverse and least singular value."""

    matrix: np.ndarray
    inverse: np.ndarray
    least: float


def rows_of(A) -> Rows:
    """What `fit` needs of a matrix of full column rank."""
    left, sizes, right = np.linalg.svd(np.asarray(A, float), full_matrices=False)
    return Rows(A, (right.T / sizes) @ left.T, float(sizes[-1]))


def fit(rows, Y, E) -> tuple[np.ndarray, float]:
    """b with A b ≈ Y, and a bound of its error in ‖·‖ where Y is off by E (in norm or by entry).

    What the fit leaves of Y counts as error as well: no such form explains it.
    """
    b = rows.inverse @ Y
    rest = float(np.linalg.norm(Y - rows.matrix @ b))
    return b, float(max(np.linalg.norm(E), rest) / rows.least)


@functools.lru_cache(maxsize=32)
def _pairs(m):
    """For every pair of monomials of degree two: the quartic one, and √(n_α n_β/n_γ)."""
    two, n2 = exponents(m, 2)
    four, n4 = exponents(m, 4)
    place = {tuple(row): i for i, row in enumerate(four)}
    index = np.array([[place[tuple(a + b)] for b in two] for a in two])
    return index, np.sqrt(n2[:, None] * n2[None, :] / n4[index]), n4.size


def from_gram(G, m) -> np.ndarray:
    """The coefficients of z(v)ᵀG z(v)."""
    index, weight, n = _pairs(m)
    return np.bincount(index.ravel(), (weight * G).ravel(), minlength=n)


def _to_gram(b, m):
    """The Gram matrix of least norm; `from_gram` has orthonormal rows, so this is its transpose."""
    index, weight, _ = _pairs(m)
    return weight * b[index]


@functools.lru_cache(maxsize=64)
def _tensor_index(m, degree):
    """Where the entries of the full tensor are in b, and 1/√n_α."""
    alpha, counts = exponents(m, degree)
    place = {tuple(row): i for i, row in enumerate(alpha)}
    index = np.empty((m,) * degree, int)
    for c in itertools.product(range(m), repeat=degree):
        index[c] = place[tuple(np.bincount(c, minlength=m))]
    return index, 1 / np.sqrt(counts)[index]


def tensor(b, m, degree) -> np.ndarray:
    """The full symmetric tensor P with P[v, ..., v] = the form, shape (m,) * degree."""
    index, weight = _tensor_index(m, degree)
    return b[index] * weight


def on_subspace(b, basis) -> np.ndarray:
    """The coefficients of w ↦ q(basis w), for a basis of shape (m, k)."""
    m, k = basis.shape
    T = tensor(b, m, 4)
    for _ in range(4):
        T = np.tensordot(T, basis, axes=(0, 0))
    alpha, counts = exponents(k, 4)
    places = [np.repeat(np.arange(k), row) for row in alpha]
    return np.array([T[tuple(p)] for p in places]) * np.sqrt(counts)


# The least value on the sphere -----------------------------------------------------------


class Least(NamedTuple):
    """lower ≤ least q on the unit sphere ≤ upper = q(direction); and how that is known."""

    lower: float
    upper: float
    direction: np.ndarray
    how: str


def least(b, m, rng, starts=200, budget=None) -> Least:
    """The least value of a quartic form on the unit sphere of ℝᵐ, between two bounds.

    One variable: there is one value. Two: at the real roots of a quartic equation in the tangent,
    which are all candidates. Three and more: a local search from ``starts`` points gives ``upper``,
    a Gram matrix ``lower``, both checked against rounding. ``budget`` is the number of
    eigendecompositions.
    """
    size = float(np.linalg.norm(b))
    if not math.isfinite(size):
        return Least(-math.inf, math.nan, np.eye(m)[0], "not finite")
    if m == 1:
        return Least(float(b[0]), float(b[0]), np.ones(1), "exact")
    if size == 0:
        return Least(0.0, 0.0, np.eye(m)[0], "exact")
    if m == 2:
        angle = _angles(b / size)
        W = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        values = features(W, 4) @ b
        i = int(np.argmin(values))
        return Least(float(values[i]) - 50 * _UNIT * size, float(values[i]), W[i], "exact")
    direction = _search(b / size, m, starts, rng)
    upper = float(features(direction, 4) @ b)
    if budget is None:
        budget = 4000 if m <= 6 else 1000
    lower = size * _sum_of_squares(b / size, m, upper / size, budget)
    return Least(min(lower, upper), upper, direction, "sum of squares")


def _angles(b):
    """Every angle where q(cos, sin) may be least: real parts of all roots of dq/dθ, and a grid."""
    _, counts = exponents(2, 4)
    c = b * np.sqrt(counts)  # of x⁴, x³y, x²y², xy³, y⁴
    # x ∂q/∂y − y ∂q/∂x with y = t x, highest power of t first.
    poly = np.array([-c[3], 4 * c[4] - 2 * c[2], 3 * c[3] - 3 * c[1], 2 * c[2] - 4 * c[0], c[1]])
    keep = np.abs(poly) > 1e-300
    roots = np.roots(poly[np.argmax(keep):]) if keep.any() else np.zeros(0)
    # Large tangents are better seen from the other axis.
    other = np.roots(poly[::-1][np.argmax(keep[::-1]):]) if keep.any() else np.zeros(0)
    grid = np.linspace(0, math.pi, 64, endpoint=False)
    return np.concatenate([np.arctan(roots.real), math.pi / 2 - np.arctan(other.real), grid])


def _search(b, m, starts, rng):
    """A unit vector where q is small: the best of local searches. It proves nothing below."""
    T = tensor(b, m, 4).reshape(m, -1)
    W = rng.standard_normal((starts, m))
    W = np.concatenate([np.eye(m), W / np.linalg.norm(W, axis=1, keepdims=True)])
    W = W[np.argsort(features(W, 4) @ b)[:max(8, starts // 10)]]

    def value(w):
        r = np.linalg.norm(w)
        v = w / r
        first = T @ np.einsum("i,j,k->ijk", v, v, v).ravel()
        q = first @ v
        return q, 4 * (first - q * v) / r

    found = [minimize(value, w, jac=True, method="BFGS", options=dict(gtol=1e-12, maxiter=200)).x
             for w in W]
    found = [w / np.linalg.norm(w) for w in found]
    return min(found, key=lambda w: float(features(w, 4) @ b))


def _sum_of_squares(b, m, upper, budget):
    """The largest g that was found with q = zᵀGz, G ⪰ g; what rounding may hide is taken off."""
    n = m * (m + 1) // 2
    unit = from_gram(np.eye(n), m)
    square = float(unit @ unit)

    def proved(G):
        G = G + _to_gram(b - from_gram(G, m), m)
        lost = np.linalg.norm(b - from_gram(G, m)) + 10 * n * _UNIT * np.linalg.norm(G)
        return float(np.linalg.eigvalsh(G)[0]) - lost

    rho, t = 1.0, upper
    Z = X = _to_gram(b - t * unit, m)
    dual, best = np.zeros((n, n)), proved(_to_gram(b, m))
    for k in range(budget):
        P = Z - dual
        off = b - from_gram(P, m)
        t = (1 / rho + unit @ off) / square
        X = P + _to_gram(off - t * unit, m)
        mixed = 1.6 * X - 0.6 * Z
        values, vectors = np.linalg.eigh(mixed + dual)
        before = Z
        Z = (vectors * np.maximum(values, 0)) @ vectors.T
        dual = dual + mixed - Z
        if k % 10 == 9:
            best = max(best, proved(X + t * np.eye(n)))
            if best >= upper - 1e-7 * abs(upper) - 1e-12:
                break
            primal, moved = np.linalg.norm(X - Z), rho * np.linalg.norm(Z - before)
            if primal < 1e-13 and moved < 1e-13:
                break
            if k % 50 == 49:
                turn = 2.0 if primal > 5 * moved else 0.5 if moved > 5 * primal else 1.0
                rho, dual = rho * turn, dual / turn
    return best
