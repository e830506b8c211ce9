r"""∇²f(x) from values of f alone, as one matrix with an error that is measured.

In a few dimensions a whole Hessian of second differences,

.. math:: H_{ij} = \frac{f(x{+}he_i{+}he_j) + f(x{-}he_i{-}he_j) - f(x{+}he_i) - f(x{-}he_i)
          - f(x{+}he_j) - f(x{-}he_j) + 2f(x)}{2h^2},

takes d² + d values (Nocedal & Wright 2006, Numerical Optimization, section 8.1), as many as about d
gradients by differences, and is exact for polynomials of degree three. It is symmetric, and the
products with it are exact: so Lanczos sees H = ∇²f + D with one fixed D, every eigenvalue is off by
‖D‖₂ at most (Weyl), and its E is ‖D‖₂ however many steps there are, since Σ(vᵀDqⱼ)² ≤ ‖Dv‖² for
orthonormal qⱼ.

‖D‖₂ has three parts. Rounding σ of the values makes entries of √10 σ/(2h²) in the mean, and rows
that share a value; (2d + 4)σ/h² bounds both. Derivatives of fourth order make O(h²): doing the
diagonal again at 2h measures it, where it is 4 times as large. And for what neither sees, second
differences along random unit vectors w are held against wᵀHw: E(wᵀDw)² = (2‖D‖_F² + (tr D)²)/
(d(d + 2)), so d² times their mean square is ‖D‖_F² at least, in the mean. The spacing is the one at
which rounding costs a hundredth of the tolerance, or less where the diagonal asks for it.
"""

from __future__ import annotations

import math

import numpy as np

from .. import differences
from .._norm import norm
from ..perturbation import uniform_sphere
from .products import Products

__all__ = ["MOST", "SecondDifferences"]

# In more dimensions differences of gradients are tried, which need no matrix.
MOST = 100
_UNIT = 2.0**-53
# The part of the tolerance that rounding may cost; and the largest spacing, as a part of the length
# on which curvature of the tolerance can be lost: what lies beyond says nothing about H here.
_PART, _LARGEST = 0.01, 0.1
# A usual spacing of second differences, u^¼ to a factor: SciPy's own for ∇f are as bold.
_USUAL = 1e-4
# Random directions on which the whole is tested, and spacings that are tried.
_TESTS, _TRIES = 8, 3
# Where x + h is rounded by more than this part of h nothing is known.
_ASTRAY = 0.1


class SecondDifferences(Products):
    """Products with a Hessian of second differences of values.

    Parameters
    ----------
    oracle : Oracle
        Of the values; it knows how they are rounded.
    x : ndarray, shape (d,)
    scale : float
        The length on which curvature of the size of the tolerance can be lost, γ/ρ or ε/γ.
    tol : callable
        γ as a function of ‖H‖.
    stated : float or None
        The error of a product, where the caller states it.
    hess_norm : float
        ‖H‖ as far as it is known before.
    """

    remedy = "; they are second differences of values of fun, so give jac for smaller ones"

    def __init__(self, oracle, x, scale, tol, stated=None, hess_norm=0.0):
        super().__init__("fun", stated)
        self.oracle, self.fun, self.x = oracle, oracle.fun, x
        self.scale, self.tol, self.hess_norm = scale, tol, hess_norm
        self.matrix = None

    def __call__(self, v):
        """Hv."""
        if self.matrix is None:
            with np.errstate(all="ignore"):
                self._build()
        return self._seen(self.matrix @ v)

    def compare(self, difference, step, dim):
        """Nothing to learn: the matrix is symmetric."""

    def one(self) -> float:
        """‖D‖₂, which bounds the error of a product with a unit vector."""
        return self.stated if self.stated is not None else self.off + 16 * _UNIT * self.norm

    def error(self, steps) -> float:
        """The same for all steps together; see above."""
        return self.one()

    errors = error

    def closer(self, v):
        """vᵀHv from two values a third of the spacing away."""
        h = self.h / 3
        return self._along(v, h), 2 * (self.one() + 4 * self.sigma / h / h)

    def _build(self):
        self.value = self.fun(self.x)
        unknown = self.hess_norm == 0 and self.tol(0.0) != self.tol(1.0)
        self.wanted = _PART * self.tol(self._size() if unknown else self.hess_norm)
        self._choose_spacing()
        h, x = self.h, self.x
        once = np.array([self._there(i) for i in range(x.size)])  # f(x + heᵢ), f(x − heᵢ)
        pairs = np.add.outer(once.sum(axis=1), once.sum(axis=1)) - 2 * self.value
        H = np.diag(once.sum(axis=1) - 2 * self.value) / h / h
        for i in range(x.size):
            for j in range(i):
                both = sum(self._there(i, j))
                H[i, j] = H[j, i] = (both - pairs[i, j]) / 2 / h / h
        self.matrix = H
        self.off = self._error(once)

    def _choose_spacing(self):
        """The shortest step at which rounding is small, or less if ∂⁴f asks for it."""
        dim, far = self.x.size, float(np.abs(self.x).max())
        # Where x and f have usual sizes this is what rounding asks for; h² shows if it is too far.
        usual = _USUAL * max(1.0, far)
        largest = max(_LARGEST * self.scale, usual)
        self.sigma = self.unit * abs(self.value)
        for _ in range(2):  # noise is measured on a line that is short for the spacing
            wanted = math.sqrt(2 * dim * self.sigma / self.wanted) if self.wanted > 0 else math.inf
            least = max(min(1e-3 * largest, usual), 1e3 * _UNIT * far)
            self.h = min(max(wanted, least), max(largest, least))
            measured = 2 * differences.noise(self.fun, self.x, 0.1 * self.h)
            if measured <= self.sigma or not math.isfinite(measured):
                break
            self.sigma = measured
        for _ in range(_TRIES):
            self.bent = self._bent()
            if not self.bent > max(self.wanted, self._rounding()):
                break
            # Where O(h²) meets O(h⁻²); not at once, because more than h² may be in it.
            self.h *= max((self._rounding() / self.bent)**0.25, 0.1)

    def _size(self):
        """Some ‖Hw‖ at least, for a tolerance that depends on it: |wᵀHw| along random w."""
        h = 0.01 * _LARGEST * self.scale
        sizes = [abs(self._along(w, h)) for w in uniform_sphere(
            np.random.default_rng(1), self.x.size, 1.0, _TESTS)]
        return max(sizes) if math.isfinite(max(sizes)) else 0.0

    def _rounding(self):
        return (2 * self.x.size + 4) * self.sigma / self.h / self.h

    def _bent(self):
        """What derivatives of fourth order do to the diagonal, ‖·‖₂ of it as a vector."""
        near, far = ([(sum(self._there(i, times=k)) - 2 * self.value) / (k * self.h) / (k * self.h)
                      for i in range(self.x.size)] for k in (1, 2))
        off = norm(np.array(far) - np.array(near)) / 3
        return off if math.isfinite(off) else math.inf

    def _error(self, once):
        x, h, rng = self.x, self.h, np.random.default_rng(0)
        self.sigma = max(self.sigma, self.unit * float(np.abs(once).max()))
        tested = [w @ self.matrix @ w - self._along(w, h)
                  for w in uniform_sphere(rng, x.size, 1.0, _TESTS)]
        tested = x.size * norm(np.array(tested)) / math.sqrt(_TESTS)
        astray = 2 * _UNIT * float(np.abs(x).max()) / h
        # Twice what was measured, as few directions may be lucky, and few coordinates.
        off = (self._rounding() + 2 * (self.bent + tested) + self._hidden(once)
               + 2 * astray * norm(self.matrix))
        return off if math.isfinite(off) and astray < _ASTRAY else math.inf

    def _hidden(self, once):
        """Curvature along coordinates that did not move f at all, on a step that is long enough.

        Either there is none, or the steps were lost among larger numbers inside of f.
        """
        frozen = (once == self.value).all(axis=1)
        if not frozen.any():
            return 0.0
        move = self.scale * frozen
        change = max(abs(self.fun(self.x + sign * move) - self.value) for sign in (-1, 1))
        length = norm(move)
        return 2 * (change / length / length) if length > 0 else math.inf

    def _there(self, *coordinates, times=1):
        """f a step ahead and a step behind along one coordinate or two."""
        move = np.zeros(self.x.size)
        move[list(coordinates)] = times * self.h
        return self.fun(self.x + move), self.fun(self.x - move)

    def _along(self, w, h):
        """The second difference along a unit vector."""
        return (self.fun(self.x + h * w) - 2 * self.value + self.fun(self.x - h * w)) / h / h
