r"""Conjugate gradients for a Newton step, one product at a time, and the spectrum they see."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import eigh_tridiagonal

from .._norm import norm

__all__ = ["NewtonSolve", "WallPairs"]

# Curvature below this part of the largest is not told from zero.
_FLAT = 1e-15


@dataclass
class WallPairs:
    r"""Directions s with Hs from earlier solves: an operator like H⁻¹ on their span (Morales &
    Nocedal 2000), and ``scale`` times the identity beside it.

    Attributes
    ----------
    most : int
        Pairs kept; the oldest go first.
    scale : float
        Of the order of 1/‖H‖.
    pairs : tuple of (ndarray, ndarray, float)
        s, Hs and 1/⟨s, Hs⟩.
    """

    most: int
    scale: float = 1.0
    pairs: tuple = ()

    def with_pairs(self, new, largest) -> WallPairs:
        """These and new ones, given as (s, Hs); ``largest`` is ‖H‖."""
        added = tuple((s, y, 1 / float(s @ y)) for s, y in new)
        scale = 1 / largest if largest > 0 else self.scale
        return WallPairs(self.most, scale, (self.pairs + added)[-self.most:])

    def __call__(self, r):
        """The operator, applied to a vector (d,): the two loops of L-BFGS."""
        r, parts = r.copy(), []
        for s, y, weight in reversed(self.pairs):
            part = weight * float(s @ r)
            parts.append(part)
            r -= part * y
        r *= self.scale
        for (s, y, weight), part in zip(self.pairs, reversed(parts), strict=True):
            r += (part - weight * float(y @ r)) * s
        return r


@dataclass(repr=False)
class NewtonSolve:
    r"""Conjugate gradients on Hs = −g from s = 0, after `advance` was given so many products Hd.

    The gradient is scaled to length 1 on the way, so that no square of it under- or overflows.
    With a preconditioner M curvatures are those of M^½HM^½, in units of H: divided by the scale of
    M. So they are curvatures of H where M knows nothing, and about ‖H‖ where it knows H.

    Attributes
    ----------
    size : float
        ‖g‖; ``s``, ``before`` and ``residual`` are in units of it, ``decrement`` and ``gains`` in
        units of its square.
    s : ndarray, shape (d,)
        The step so far.
    before : ndarray, shape (d,)
        The step before the last product.
    decrement : float
        −⟨g, s⟩, which grows with every product; where s is the Newton step, the decrement
        ⟨g, H⁻¹g⟩.
    gains : list of float
        By how much each product made it grow.
    crossed : float or None
        What the decrement was when the first direction fell below the walls; None before.
    curvature, least, largest : float
        Of the last direction; of all; and ‖Hd‖/‖d‖ or the curvature where that is larger.
    negative : bool
        Whether the last direction had none, or a product was not finite; s is then as before.
    exact : bool
        Whether the residual is 0.
    """

    size: float
    s: np.ndarray
    residual: np.ndarray
    direction: np.ndarray
    dual: np.ndarray  # M⁻¹ times the direction
    square: float  # ⟨residual, M residual⟩
    first: float
    walls: WallPairs | None
    before: np.ndarray | None = None
    decrement: float = 0.0
    gains: list = field(default_factory=list)
    lengths: list = field(default_factory=list)
    ratios: list = field(default_factory=list)
    pairs: list = field(default_factory=list)
    squares: list = field(default_factory=list)
    curvature: float = math.nan
    least: float = math.inf
    largest: float = 0.0
    crossed: float | None = None
    enough: int = 0
    negative: bool = False
    exact: bool = False

    @classmethod
    def begin(cls, grad, walls=None) -> NewtonSolve:
        """Nothing done yet; ``walls`` is the preconditioner, None for none."""
        size = norm(grad)
        residual = -grad / size
        direction = residual if walls is None else walls(residual)
        square = float(residual @ direction)
        return cls(size, np.zeros_like(grad), residual, direction, residual, square, square, walls)

    def copy(self) -> NewtonSolve:
        """The same once more; lists of numbers copied, arrays shared."""
        new = object.__new__(type(self))
        new.__dict__.update({name: value.copy() if isinstance(value, list) else value
                             for name, value in self.__dict__.items()})
        return new

    def advance(self, product):
        """One iteration, in place, from H times ``direction``."""
        d = self.direction
        with np.errstate(all="ignore"):  # the product may not be finite
            form = float(d @ product)
        size = float(d @ self.dual)
        if self.walls is not None:
            size *= self.walls.scale
        self.curvature = form / size if size > 0 else math.nan
        length = norm(d)
        self.largest = max(self.largest, self.curvature if self.walls is None else
                           norm(product) / length)
        if not (math.isfinite(self.curvature) and self.curvature > _FLAT * self.largest):
            self.negative = True
            return
        self.least = min(self.least, self.curvature)
        alpha = self.square / form
        self.before = self.s
        self.s = self.s + alpha * d
        self.residual = self.residual - alpha * product
        self.decrement += alpha * self.square
        self.gains.append(alpha * self.square)
        self.pairs.append((d, product))
        self.squares.append(self.square)
        z = self.residual if self.walls is None else self.walls(self.residual)
        square = float(self.residual @ z)
        self.lengths.append(alpha)
        self.ratios.append(square / self.square)
        if not square > 0:
            self.exact = True
            return
        self.direction = z + (square / self.square) * d
        self.dual = self.residual + (square / self.square) * self.dual
        self.square = square

    def _ritz(self):
        """Ritz values, in units of H, and the vectors of the tridiagonal matrix: rising."""
        alpha, beta = np.array(self.lengths), np.array(self.ratios[:-1])
        diagonal = 1 / alpha
        diagonal[1:] += beta / alpha[:-1]
        return eigh_tridiagonal(diagonal, np.sqrt(beta) / alpha[:-1])

    def spectrum(self):
        """Ritz values, falling, and what each contributes to the decrement: two arrays.

        From the tridiagonal matrix that the numbers of conjugate gradients make up (Golub & Van
        Loan, section 11.3): no product and no vector more.
        """
        values, vectors = self._ritz()
        with np.errstate(all="ignore"):  # rounding may make a value zero
            shares = self.first * vectors[0] ** 2 / values
        scale = 1.0 if self.walls is None else self.walls.scale
        return values[::-1] / scale, shares[::-1]

    def ritz_pairs(self, cut, most):
        """(y, Hy) for Ritz vectors with a value of at least ``cut``, the largest values last."""
        values, vectors = self._ritz()
        scale = 1.0 if self.walls is None else self.walls.scale
        chosen = np.flatnonzero(values / scale >= cut)[-most:]
        d, product = (np.array(rows) for rows in zip(*self.pairs, strict=True))
        back = np.array(self.ratios[:-1])[:, np.newaxis]
        z, hz = d.copy(), product.copy()
        z[1:] -= back * d[:-1]
        hz[1:] -= back * product[:-1]
        weights = (vectors / np.sqrt(self.squares)[:, np.newaxis] *
                   (-1.0) ** np.arange(len(d))[:, np.newaxis])[:, chosen]
        return list(zip(weights.T @ z, weights.T @ hz, strict=True))
