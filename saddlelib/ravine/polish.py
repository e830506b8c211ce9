r"""From a point near a degenerate minimizer to the minimizer, and the derivatives there.

Newton's method finds the walls quadratically, but along a floor of order p it leaves the share
(p − 2)/(p − 1) of the distance, and where the gradient drowns in rounding it stops, a distance of
about the cube root of the unit away. The higher derivatives see further. With the eigenvectors of
the Hessian at x as U and V, the height h of the floor over V has D²h = P_V H, and, where
P_U∇f = 0, D³h = D³f on V and D⁴h = D⁴f − 3⟨T, H†T⟩ symmetrized. At the minimizer of a floor of
order four D³h = 0, and

.. math:: D^4h[w, \cdot, \cdot, \cdot] = -D^3h

in the sense of least squares is Newton's step there: it converges quadratically where q is
positive.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from . import form

__all__ = ["MOST", "Local", "blind", "descend", "floor", "gain", "hessian", "look", "rounding",
           "settle_cubic", "settle_quartic"]

# A form of degree four in more variables has too many coefficients.
MOST = 14
_UNIT = np.finfo(float).eps
_GAUSS = np.polynomial.legendre.leggauss(10)


@dataclass(frozen=True)
class Local:
    """The derivatives at a point that decide, in orthonormal bases U of the walls and V.

    ``slope`` is ∇f, ``second``, ``third`` and ``form`` are the coefficients of D²h, D³h and
    q = D⁴h/24 over V (see `form`), each with a bound of its error in norm; ``bend`` are those of T,
    shape (n, r). ``reach`` is how far from x the derivatives were looked at.
    """

    x: np.ndarray
    U: np.ndarray
    V: np.ndarray
    curvatures: np.ndarray
    slope: np.ndarray
    second: np.ndarray
    third: np.ndarray
    form: np.ndarray
    bend: np.ndarray
    errors: tuple
    reach: float

    @property
    def m(self):
        """The dimension of V."""
        return self.V.shape[1]

    @property
    def finite(self):
        """Whether all of it is."""
        return all(np.isfinite(a).all() for a in (self.slope, self.second, self.third, self.form,
                                                  self.curvatures, np.array(self.errors)))

    def hessian(self):
        """P_V H on V, shape (m, m)."""
        return form.tensor(self.second, self.m, 2)

    def flatness(self, noise, doubt=0.0):
        """What of D²h may be no curvature: its error ten times, and what is unknown about x.

        x may be off by ``doubt`` along the kernel, and across it by what ``noise`` of the gradient
        leaves unseen.
        """
        across = float(np.linalg.norm(self.bend / self.curvatures)) if self.U.size else 0.0
        return (10 * (self.errors[0] + noise * across) + 12 * np.linalg.norm(self.form) * doubt**2)


def hessian(given, x):
    """H, symmetric, and a matrix that says how far off it may be, both (d, d)."""
    eye = np.eye(x.size)
    if given.exact or given.product is not None:
        H = given.hess_times(x, eye)
        return (H + H.T) / 2, H - H.T
    jets = given.jets(x, eye)
    H, other = jets.second, jets.other[0]
    noise = jets.noise[0] * eye
    return (H + H.T) / 2, (H - other + H.T - other.T) / 2 + noise


def rounding(given, x, top, step, rng) -> float:
    """How far ∇f(x) may be off by rounding, from fourth differences along short lines."""
    spread = 0.0
    for _ in range(2):
        v = rng.standard_normal(x.size)
        v *= step / np.linalg.norm(v)
        rows = np.diff([given.grad(x + k * v) for k in range(-3, 4)], n=4, axis=0)
        spread = max(spread, float(np.linalg.norm(rows, axis=1).max()))
    return 3 * spread / math.sqrt(70) + 4 * _UNIT * top * float(np.linalg.norm(x))


@functools.lru_cache(maxsize=3)
def _plan(m):
    """Unit directions of ℝᵐ that determine forms of degree two to four, and what fits them.

    Fits of H, D³h and D⁴h along V, and of a linear and a quadratic map into U.
    """
    if m == 1:
        W = np.ones((1, 1))
    elif m == 2:
        angle = np.pi * (np.arange(6) + 0.3) / 6
        W = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    else:
        need = max(m * (m + 1) // 2, math.comb(m + 3, 4) // m)
        W = np.random.default_rng(m).standard_normal((int(1.5 * need) + 4, m))
        W /= np.linalg.norm(W, axis=1, keepdims=True)
    along = [form.gradient_rows(W, k).reshape(-1, math.comb(m + k - 1, k)) for k in (2, 3, 4)]
    return W, *(form.rows_of(A) for A in (*along, W, form.features(W, 2)))


def look(given, x, m, before=None) -> Local:
    """The derivatives at x, with the m least curved directions as V.

    ``before`` is a V to which the new one is turned as near as it can be.
    """
    H, _ = hessian(given, x)
    if not np.isfinite(H).all():
        return blind(given, x, m)
    values, vectors = np.linalg.eigh(H)
    U, curvatures, V = vectors[:, m:], values[m:], vectors[:, :m]
    if before is not None:
        left, _, right = np.linalg.svd(V.T @ before)
        V = V @ (left @ right)
    W, *_, linear, _ = _plan(m)
    for turns in range(3):
        jets = given.jets(x, W @ V.T)
        if not all(np.isfinite(a).all() for a in jets[:3]):
            return blind(given, x, m)
        # U and V belong to the Hessian of differences at another spacing: turn V until none of it
        # is left in U.
        mixed = linear.inverse @ (jets.second @ U) / curvatures
        tilt = float(np.linalg.norm(mixed))
        if not tilt >= 1e-10 or turns == 2:
            break
        V = np.linalg.qr(V - U @ mixed.T)[0]
        U = np.linalg.qr(np.concatenate([V, U], axis=1))[0][:, m:]
        A = U.T @ H @ U
        curvatures, turn = np.linalg.eigh((A + A.T) / 2)
        U = U @ turn
    return _fitted(given, x, (U, V, curvatures), jets, tilt)


def _fitted(given, x, bases, jets, tilt):
    U, V, curvatures = bases
    m, found, errors = V.shape[1], [], []
    _, *along, _, quadratic = _plan(m)
    for k, rows in zip((2, 3, 4), along, strict=True):
        Y, E = jets.seen(k, V)
        b, error = form.fit(rows, Y.ravel(), E.ravel())
        found.append(b), errors.append(error)
    second, third, fourth = found
    bend, lost = np.zeros((m * (m + 1) // 2, 0)), 0.0
    q = fourth / 24
    if U.size:
        T, E = jets.seen(3, U)
        bend, off = form.fit(quadratic, T, E)
        gram = (bend / curvatures) @ bend.T / 8
        q = q - form.from_gram(gram, m)
        weight = np.linalg.norm(bend / np.sqrt(curvatures))
        lost = 2 * weight * off / math.sqrt(curvatures[0]) + off**2 / curvatures[0]
        lost = lost / 8 + 1e-12 * np.linalg.norm(gram) * curvatures[-1] / curvatures[0]
    # Turned by an angle, a quartic form changes by four times as much of its size, and so do T
    # and D⁴f; twice that, to be sure.
    sizes = np.linalg.norm(fourth) / 24 + np.linalg.norm(fourth / 24 - q)
    errors[2] = errors[2] / 24 + lost + 8 * tilt * sizes
    return Local(x, U, V, curvatures, given.grad(x), second, third, q, bend, tuple(errors),
                 given.spacing)


def blind(given, x, m) -> Local:
    """A point at which nothing is known."""
    nan, d = np.full(1, math.nan), x.size
    return Local(x, np.zeros((d, d - m)), np.eye(d)[:, :m], np.full(d - m, math.nan), given.grad(x),
                 nan, nan, nan, nan, (math.nan,) * 3, given.spacing)


def descend(given, x, noise, limit, budget=40):
    """Newton's method on ∇f = 0 from x, while the gradient falls; not further than ``limit``.

    Directions of no positive curvature wait. Slow directions take three steps at once where that
    brings the gradient down further, as it does on a floor of order four; and as the floor bends,
    the walls are corrected before the gradients are compared.
    """
    start, g = x, given.grad(x)
    for _ in range(budget):
        size = np.linalg.norm(g)
        H = given.hess_times(x, np.eye(x.size)) if size > noise else np.full(1, math.nan)
        if not np.isfinite(H).all():
            break
        values, vectors = np.linalg.eigh((H + H.T) / 2)
        use = values > 1e-15 * abs(values).max()
        step = np.where(use, -(vectors.T @ g) / np.where(use, values, 1.0), 0.0)
        slow = (values <= 0.05 * values[-1]) & (np.abs(step) >= 0.1 * np.abs(step).max())
        walls = use & ~slow
        best = None
        for trial in (np.where(slow, 3.0, 1.0) * step, 3.0 * step, step, step / 4, step / 32):
            y = floor(given, x + vectors @ trial, vectors[:, walls], values[walls], noise, steps=2)
            new = given.grad(y)
            new_size = np.linalg.norm(new)
            if new_size < 0.95 * size and np.linalg.norm(y - start) <= limit and (
                    best is None or new_size < best[0]):
                best = new_size, y, new
            elif best is not None:
                break
        if best is None:
            break
        _, x, g = best
    return x


def floor(given, x, U, curvatures, noise, steps=4):
    """Down the walls to P_U∇f = 0 by Newton's method with the curvatures of U held."""
    size = math.inf
    for _ in range(steps):
        parts = U.T @ given.grad(x)
        new = float(np.linalg.norm(parts))
        if not new < 0.5 * size or new <= 0.1 * noise:
            break
        x, size = x - U @ (parts / curvatures), new
    return x


def settle_quartic(given, x, m, noise, budget=6):
    """Where D³h vanishes: the derivatives there, how far x may be off, and q's last change.

    None where the steps leave the neighbourhood that was looked at.
    """
    start, moved, changed = x, math.inf, 0.0
    H, _ = hessian(given, x)
    if np.isfinite(H).all():
        values, vectors = np.linalg.eigh(H)
        x = floor(given, x, vectors[:, m:], values[m:], noise)
    here = look(given, x, m)
    for _ in range(budget):
        if not here.finite:
            return here, math.nan, math.nan
        step, doubt = _quartic_step(here)
        length = float(np.linalg.norm(step))
        if length > here.reach or np.linalg.norm(here.x - start) > 2 * here.reach:
            return None, math.nan, math.nan
        if length <= max(doubt, 1e-9 * here.reach, 4 * _UNIT * np.linalg.norm(x)):
            return here, max(doubt, length), changed
        if length > 0.5 * moved:  # no order four: q itself changes as much
            return here, length, changed
        moved = length
        bend = here.U @ (here.bend.T @ form.features(step, 2) / -2 / here.curvatures)
        y = floor(given, here.x + here.V @ step + bend, here.U, here.curvatures, noise)
        after = look(given, y, m, here.V)
        changed = float(np.linalg.norm(after.form - here.form)) if after.finite else math.nan
        here = after
    return here, moved, changed


def _quartic_step(here):
    """The step to D³h = 0, and its uncertainty."""
    D4 = 24 * form.tensor(here.form, here.m, 4).reshape(-1, here.m)
    D3 = form.tensor(here.third, here.m, 3).ravel()
    left, sizes, right = np.linalg.svd(D4, full_matrices=False)
    keep = sizes > max(240 * here.errors[2], 1e-9 * sizes[0])
    if not keep.any():
        return np.zeros(here.m), 0.0
    step = -right[keep].T @ (left[:, keep].T @ D3 / sizes[keep])
    return step, float(here.errors[1] / sizes[keep][-1])


def settle_cubic(given, x, m, noise, budget=3):
    """Where D²h vanishes and D³h does not, if there is such a point: (derivatives, uncertainty)."""
    here = look(given, x, m)
    for _ in range(budget):
        if not here.finite:
            return None, math.nan
        D3 = form.tensor(here.third, here.m, 3).reshape(-1, here.m)
        left, sizes, right = np.linalg.svd(D3, full_matrices=False)
        keep = sizes > max(10 * here.errors[1], 1e-3 * sizes[0])
        if not keep.any():
            return None, math.nan
        H = here.hessian().ravel()
        step = -right[keep].T @ (left[:, keep].T @ H / sizes[keep])
        doubt = float(here.errors[0] / sizes[keep][-1])
        if np.linalg.norm(step) > here.reach:
            return None, math.nan
        if np.linalg.norm(step) <= max(2 * doubt, 4 * _UNIT * np.linalg.norm(x)):
            break
        y = floor(given, here.x + here.V @ step, here.U, here.curvatures, noise)
        here = look(given, y, m, here.V)
    return here, doubt


def gain(given, x, y) -> float:
    """f(y) − f(x) by a quadrature of ⟨∇f, y − x⟩ along the segment."""
    nodes, weights = _GAUSS
    return float(sum(w / 2 * (given.grad(x + (1 + t) / 2 * (y - x)) @ (y - x))
                     for t, w in zip(nodes, weights, strict=True)))


