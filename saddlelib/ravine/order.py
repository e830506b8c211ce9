"""The order of growth of a function from the points of a run."""

from __future__ import annotations

import math

import numpy as np

from .._arguments import _number, as_point

__all__ = ["Order", "growth_order"]


class Order(float):
    """The order p as a float, with an interval: ``value``, ``low`` and ``high``.

    The interval holds the slopes of three parts of the run, from early to late, and where they
    would go if they went on to change as they did last. It is what the run shows, and no
    confidence interval: p may lie outside where the run has not come down to the floor.

    Parameters
    ----------
    value, low, high : float
        The estimate, and the ends of the interval.

    Examples
    --------
    >>> p = Order(3.98, 3.9, 4.1)
    >>> f"{p:.1f}", p.low <= 4.0 <= p.high, p
    ('4.0', True, Order(3.98, low=3.9, high=4.1))
    """

    def __new__(cls, value, low, high):  # noqa: D102
        order = super().__new__(cls, value)
        order.low, order.high = float(low), float(high)
        return order

    @property
    def value(self):
        """The estimate as a plain float."""
        return float(self)

    def __repr__(self):
        return f"Order({float(self):.6g}, low={self.low:.6g}, high={self.high:.6g})"

    def __reduce__(self):
        return Order, (float(self), self.low, self.high)


def growth_order(run, f_star=0.0, x_star=None) -> Order:
    r"""Estimate p from a run: on the ravine f − f* ∝ distance^p, and beside it f is larger.

    The slope of ln(f − f*) against ln ‖x − x*‖ on the lower convex hull of the points of the run,
    as a median. Without x* the best point stands for it; then the points after f − f* has come
    within a factor of 10⁶ of its end are left out, and p comes out a few per cent too small.

    Parameters
    ----------
    run : OptimizeResult or pair
        What `saddlelib.minimize` returns with ``trace=("x", "fun")``, or (points, values).
    f_star : float
        The least value. One that is wrong by δ shows where f − f* comes down to δ.
    x_star : array_like, shape (d,), optional

    Returns
    -------
    Order
        A float, with an interval as ``low`` and ``high``.

    Raises
    ------
    TypeError, ValueError
        For arguments of another kind, by name. Where what is left of the values above f* spans
        fewer than four decades, where values are below f*, or where f − f* levels off while the
        points come closer to x*.

    Examples
    --------
    >>> import saddlelib
    >>> from saddlelib.problems import HomogeneousRavine
    >>> run = saddlelib.minimize(HomogeneousRavine(5.0), [1.0, 1.0], "gdpolyak", step_size=0.2,
    ...                          epsilon=1e-20, trace=("x", "fun"), certificate=False)
    >>> p = growth_order(run, x_star=[0.0, 0.0])
    >>> round(p, 1), p.low <= 5.0 <= p.high
    (5.0, True)
    """
    points, values = _trace(run)
    if not math.isfinite(f_star := _number("f_star", f_star)):
        raise ValueError(f"f_star must be finite, got {f_star!r}; give the least value")
    if x_star is not None and (x_star := as_point("x_star", x_star)).size != points.shape[1]:
        raise ValueError(f"x_star must have {points.shape[1]} coordinates, got {x_star.size}")
    gap = values - f_star
    # Rounding makes values of f* out of smaller ones, and no more.
    lost = 1e-14 * max(abs(f_star), float(np.nanmin(np.abs(values), initial=np.inf)))
    if np.nanmin(gap, initial=np.inf) < -lost - 1e-300:
        raise ValueError(f"values of the run are below f_star = {f_star!r} by up to "
                         f"{-np.nanmin(gap):.2g}; give the least value")
    good = np.isfinite(gap) & (gap > 0)
    if not good.any():
        raise ValueError("no value of the run is above f_star; give the points before it arrived")
    end = int(np.argmin(np.where(good, gap, np.inf)))
    known = x_star is not None
    if not known:
        x_star = points[end]
        good[np.flatnonzero(good & (gap <= 1e6 * gap[end]))[0]:] = False
    distance = np.linalg.norm(points - x_star, axis=1)
    good &= np.isfinite(distance) & (distance > 0)
    a, b = np.log10(distance[good]), np.log10(gap[good])
    if a.size < 8 or np.ptp(b) < 4:
        raise ValueError("the run spans fewer than four decades of f − f*, those near its end not "
                         "counted; let it go on, or give x_star or f_star")
    slopes, widths = _lower_hull(a, b)
    if known and widths[slopes < 1].sum() > 0.05 * widths.sum():
        raise ValueError(f"f − f* levels off near {10.0 ** b.min():.2g} while the points come "
                         f"closer to x*: f_star is too small by about as much, or x_star is wrong")
    value = _median(slopes, widths)
    parts = _parts(a, b)
    return Order(value, min([value, *parts]), max([value, *parts]))


def _trace(run):
    """Points (n, d) and values (n,) of a result or a pair."""
    if hasattr(run, "trace"):
        if not run.trace or not {"x", "fun"} <= set(run.trace):
            raise ValueError('run has no trace of both; say trace=("x", "fun")')
        run = run.trace["x"], run.trace["fun"]
    try:
        points, values = (np.asarray(part, float) for part in run)
    except (TypeError, ValueError):
        raise TypeError("run must be a result with a trace, or a pair of points (n, d) and values "
                        f"(n,), got {type(run).__name__}") from None
    if points.ndim != 2 or len(points) != len(values):
        raise ValueError(f"points must be (n, d) for n values, got {points.shape} and "
                         f"{values.shape}")
    return points, values


def _median(slopes, widths):
    order = np.argsort(slopes)
    middle = np.searchsorted(np.cumsum(widths[order]), widths.sum() / 2)
    return float(slopes[order][middle])


def _parts(a, b):
    """Slopes of three thirds of the decades of f − f*, from early to late, and what would be next.

    Of the lowest points alone: where a run leaves the floor and comes back, the points between say
    nothing about it.
    """
    edges = np.linspace(b.max(), b.min(), 4)
    found = []
    for high, low in zip(edges[:-1], edges[1:], strict=True):
        inside = (b <= high) & (b >= low)
        if np.count_nonzero(inside) >= 3 and np.ptp(a[inside]) > 0.05:
            slopes, widths = _lower_hull(a[inside], b[inside])
            if widths.size:
                found.append(_median(slopes, widths))
    if len(found) > 1:
        found.append(2 * found[-1] - found[-2])
    return found


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
