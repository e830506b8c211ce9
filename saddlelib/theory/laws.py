r"""Elementary laws of gradient descent near a strict saddle, derived in chapter 1.

Along an eigenvector with curvature −γ, one step of size η multiplies the coordinate by 1 + ηγ. From
a_0 the coordinate reaches a after ln(a/a_0)/ln(1 + ηγ) steps. A perturbation uniform on a ball of
radius r in dimension d gives a coordinate of about r/√d, whence the ½ ln d.
"""

from __future__ import annotations

import math

from scipy.special import betaincc, betaincinv

from .._arguments import integer, positive, probability

__all__ = ["ball_coordinate_quantile", "ball_coordinate_tail", "escape_time", "escape_time_slope"]


def escape_time(start, exit, step_size, gamma) -> float:
    """Steps until a coordinate of curvature −γ grows from |start| to |exit| in the linear model.

    ln(exit/start)/ln(1 + ηγ), a real number of steps; infinite when start is 0.

    Examples
    --------
    >>> escape_time(0.25, 1.0, step_size=1.0, gamma=1.0)
    2.0
    """
    growth = math.log1p(positive("step_size", step_size) * positive("gamma", gamma))
    start, exit = abs(float(start)), positive("exit", exit)
    return math.inf if start == 0 else math.log(exit / start) / growth


def escape_time_slope(step_size, gamma) -> float:
    """Extra steps per unit of ln d when the perturbation radius is kept: ½/ln(1 + ηγ)."""
    return 0.5 / math.log1p(positive("step_size", step_size) * positive("gamma", gamma))


def ball_coordinate_quantile(dim, radius, prob=0.5) -> float:
    """The ``prob``-quantile of |ξ₁| for ξ uniform on the ball of a radius in dimension d.

    ξ₁²/r² follows Beta(1/2, (d+1)/2), because the ball of dimension d is the projection of the
    sphere of dimension d + 2. For large d the median is near 0.674 r/√d.

    Examples
    --------
    >>> round(ball_coordinate_quantile(1, 2.0), 12)    # uniform on [−2, 2]
    1.0
    """
    q = betaincinv(0.5, 0.5 * (integer("dim", dim) + 1), probability("prob", prob))
    return positive("radius", radius) * math.sqrt(q)


def ball_coordinate_tail(dim, radius, threshold) -> float:
    """P(|ξ₁| ≥ threshold) for ξ uniform on the ball of a radius in dimension d.

    By rotation the same for |⟨ξ, u⟩| with any unit vector u. ``radius`` > 0 and ``threshold`` ≥ 0
    in the same units; the law is that of `ball_coordinate_quantile`.

    Examples
    --------
    >>> ball_coordinate_tail(1, 2.0, 0.5)    # uniform on [−2, 2]
    0.75
    """
    radius, threshold = positive("radius", radius), float(threshold)
    if not threshold >= 0:
        raise ValueError(f"threshold must be >= 0, got {threshold}")
    share = min(threshold / radius, 1.0)
    return float(betaincc(0.5, 0.5 * (integer("dim", dim) + 1), share * share))
