r"""Walls and floor of a ravine, told apart by curvature; and the order of the floor."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .._norm import norm

__all__ = ["FIRST_ORDER", "Floor", "is_order", "part_of_walls"]

# Walls and floor lie at least so far apart in curvature.
_APART = 10.0
# A Ritz value counts if it holds this part of the decrement.
_SEEN = 1e-7
# θ of orders from 2.2 to 14, and what it can be where D is not known well.
_THETA, _POSSIBLE = (0.55, 0.93), (0.5, 0.97)
# What an order is taken for before one was read off.
FIRST_ORDER = 4.0
# Two settled points tell an order if D has fallen so many times between them.
_FALLEN = 4.0
# How far from an integer an order still is that integer: read with f*, and without.
_ROUND, _ROUGH = 0.05, 0.12
# An integer up to this is believed at once; any other number when it comes twice, nearly.
_USUAL, _TWICE = 6, 0.15
# From a decrement that is less certain than this nothing is read.
_USELESS = 0.5
# Settled points and orders that are kept.
_KEPT = 6


def is_order(theta) -> bool:
    """Whether θ = (f − f*)/D is that of a floor of order 2.2 to 14; a quadratic has ½."""
    return _THETA[0] < theta < _THETA[1]


def part_of_walls(values, shares, cut, largest, gap, share):
    r"""Tell walls from floor in a spectrum.

    Parameters
    ----------
    values, shares : ndarray, shape (k,)
        Ritz values, falling, and what each contributes to the decrement D = Σ shares.
    cut : float
        The curvature between walls and floor that was found before; 0 for none.
    largest : float
        The largest curvature seen so far: walls that this spectrum need not show.
    gap : float or None
        f − f* where it is known.
    share : float
        The part of D up to which walls are small, so that the rest has to be a floor's.

    Returns
    -------
    wall, cut : float
        Σ shares of the walls, and the new cut, 0 where there is no floor to be seen.
    """
    total = shares.sum()
    kept = shares > _SEEN * total
    values, shares = values[kept], shares[kept]
    if not values.size:  # the decrement has under- or overflowed
        return 0.0, 0.0

    def possible(wall):
        if gap is None or wall >= total or 0.5 * wall > share * (total - wall):
            return True
        return _POSSIBLE[0] < (gap - 0.5 * wall) / (total - wall) < _POSSIBLE[1]

    if cut > 0:
        wall = float(shares[values >= cut].sum())
        if possible(wall):
            return wall, cut
    if largest > _APART * values[0]:
        values, shares = np.append(largest, values), np.append(0.0, shares)
    steps = values[:-1] / values[1:]
    for j in np.argsort(-steps)[:3]:
        wall = float(shares[:j + 1].sum())
        if steps[j] >= _APART and possible(wall):
            return wall, math.sqrt(values[j]) * math.sqrt(values[j + 1])
    return 0.0, 0.0


@dataclass(frozen=True)
class Floor:
    r"""What is known of the floor, of order p.

    Attributes
    ----------
    order : float
        p as last read off; nan before.
    f_star : float
        f* as estimated from two settled points; nan before, and where f* is told.
    orders, minima : tuple of (float, float)
        The last values of p and f* that were read off, with what the error of the decrement, as far
        as its solve shows it, makes of them.
    points : tuple of (float, float)
        f at the bottom, and the floor's part of D, where the run had settled.
    distance, slope, curvature : float
        ‖x − x*‖, ‖∇f‖ and ⟨s, Hs⟩/‖s‖² where it last had settled; nan before.
    """

    order: float = math.nan
    f_star: float = math.nan
    orders: tuple = ()
    minima: tuple = ()
    points: tuple = ()
    distance: float = math.nan
    slope: float = math.nan
    curvature: float = math.nan

    @property
    def likely(self) -> float:
        """The order, or what it is taken for."""
        return self.order if self.order > 1 else FIRST_ORDER

    def away(self, slope) -> float:
        """How far the minimizer is from a point on the floor with that ‖∇f‖."""
        return self.distance * min(1.0, slope / self.slope) ** (1 / (self.likely - 1))

    def at(self, s, slope, decrement) -> Floor:
        """The floor from a settled point with the Newton step s."""
        size = norm(s)
        if not size > 0:
            return self
        return replace(self, distance=size * (self.likely - 1), slope=slope,
                       curvature=decrement / size / size)

    @property
    def estimates(self) -> dict:
        """The last readings of p and f*, each with its error; nan for none.

        The error is twice how far the reading before was from it, or what the solve explains, if
        that is more; nan after one reading.
        """
        (order, order_error), (f_star, f_star_error) = map(_last, (self.orders, self.minima))
        return dict(order=order, order_error=order_error, f_star=f_star, f_star_error=f_star_error)

    def read(self, theta, rough=0.0) -> Floor:
        """With the order 1/(1 − θ), if θ is that of a floor; an integer where it is close.

        ``rough`` is the relative error of the decrement.
        """
        if not is_order(theta) or rough > _USELESS:
            return self
        order = 1 / (1 - theta)
        return replace(self, order=_rounded(order, _ROUND), orders=self._with(order, rough))

    def _with(self, order, rough):
        return (*self.orders, (order, order * (order - 1) * rough))[-_KEPT:]  # dp = p²dθ

    def compare(self, value, decrement, rough=0.0):
        r"""θ at a settled point, from this and an earlier one, and the floor with it added.

        θ = (f_a − f_b)/(D_a − D_b) needs no f*, and gives it: f* = f_b − θD_b. Where no earlier
        point is far enough above, θ is that of the likely order.
        """
        points = (*self.points, (value, decrement))[-_KEPT:]
        for before, larger in reversed(self.points):
            if larger > _FALLEN * decrement and before > value and rough < _USELESS:
                theta = (before - value) / (larger - decrement)
                return self._from(theta, value, decrement, rough, points)
        return 1 - 1 / self.likely, replace(self, points=points)

    def _from(self, theta, value, decrement, rough, points):
        if theta <= _THETA[0]:
            return 0.5, replace(self, points=points)
        if not is_order(theta):
            return 1 - 1 / self.likely, replace(self, points=points)
        order = _rounded(1 / (1 - theta), _ROUGH)
        orders = self._with(1 / (1 - theta), rough)
        whole = order == round(order) <= _USUAL
        now, last = orders[-1][0], self.orders[-1][0] if self.orders else math.inf
        twice = abs(last - now) < _TWICE * now
        if not (whole or twice):
            return 1 - 1 / self.likely, replace(self, points=points, orders=orders)
        theta = 1 - 1 / order
        f_star = value - theta * decrement
        return theta, replace(self, points=points, orders=orders, order=order, f_star=f_star,
                              minima=(*self.minima, (f_star, 2 * decrement * rough))[-_KEPT:])

    def doubted(self) -> Floor:
        """After a jump that failed: it may have been too long, so the order may be lower."""
        order = max(2.5, 0.5 * (self.order + 2)) if self.order > 1 else self.order
        return replace(self, order=order, f_star=math.nan, points=())


def _last(readings):
    if not readings:
        return math.nan, math.nan
    (now, error), before = readings[-1], readings[-2][0] if len(readings) > 1 else math.nan
    return now, max(2 * abs(now - before), error) if math.isfinite(before) else math.nan


def _rounded(order, close):
    whole = float(round(order))
    return whole if abs(order - whole) < close * whole else order
