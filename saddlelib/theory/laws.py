r"""Elementary laws of gradient descent near a strict saddle, derived in chapters 1 and 2.

Along an eigenvector with curvature −γ, one step of size η multiplies the coordinate by 1 + ηγ. From
a_0 the coordinate reaches a after ln(a/a_0)/ln(1 + ηγ) steps. A perturbation uniform on a ball of
radius r in dimension d gives a coordinate of about r/√d, whence the ½ ln d.
"""

from __future__ import annotations

import math

from scipy.special import betaincc, betaincinv

from .._arguments import integer, positive, probability
from ._numbers import representable

__all__ = ["ball_coordinate_quantile", "ball_coordinate_tail", "escape_deadline",
           "escape_probability", "escape_start", "escape_time", "escape_time_slope",
           "quartic_escape_time"]


def escape_time(start, exit, step_size, gamma) -> float:
    """Steps until a coordinate of curvature −γ grows from |start| to |exit| in the linear model.

    ln(exit/start)/ln(1 + ηγ), a real number of steps; infinite when start is 0.

    Parameters
    ----------
    start, exit : float
        Coordinates in the same units: |start| ≥ 0, exit > 0.
    step_size, gamma : float
        η > 0 and γ > 0.

    Returns
    -------
    float
        A number of steps that need not be whole; negative where |start| > exit.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> escape_time(0.25, 1.0, step_size=1.0, gamma=1.0)
    2.0
    """
    growth = _growth(step_size, gamma)
    start, exit = abs(float(start)), positive("exit", exit)
    return math.inf if start == 0 else (math.log(exit) - math.log(start)) / growth


def quartic_escape_time(start, exit, step_size, gamma) -> float:
    r"""An upper bound on `escape_time` for `QuarticSaddle`, whose cubic term slows the escape.

    Gradient descent there is x ← x(1 + ηγ − ηx²), so no step multiplies |x| by more than 1 + ηγ,
    and `escape_time` is a lower bound. But U(x) = |x|/√(1 − x²/γ) grows at least by that factor:
    with h = ηγ, a = 1 − x²/γ and Q = (1 + h)², the claim U(x⁺)² ≥ Q·U(x)² reads

    .. math:: F(a) = (1 + ha)^2\,\big(Q - (Q-1)a\big) - Q \ge 0 .

    F is a cubic that falls from +∞ to −∞, with F(0) = F(1) = 0 and F′(0) = h²(3 + 2h) > 0: its
    third root is negative, so F ≥ 0 on [0, 1]. Hence k ≥ ln(U(exit)/U(start))/ln(1 + ηγ) steps
    suffice, for every η > 0. For exit = √γ/2 and a small start this is ½ ln(4/3)/ln(1 + ηγ) steps
    more than the linear model has.

    Parameters
    ----------
    start, exit : float
        Coordinates in the units of √γ: |start| ≥ 0, and 0 < exit < √γ.
    step_size, gamma : float
        η > 0 and γ > 0.

    Returns
    -------
    float
        A number of steps that need not be whole: infinite when start is 0, and 0 where
        |start| ≥ exit.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> import math
    >>> late = quartic_escape_time(1e-3, 0.5, 0.1, 1.0) - escape_time(1e-3, 0.5, 0.1, 1.0)
    >>> round(late, 3), round(0.5 * math.log(4 / 3) / math.log(1.1), 3)
    (1.509, 1.509)
    """
    growth = _growth(step_size, gamma)
    exit, start = _inside("exit", exit, gamma), abs(float(start))
    if start == 0:
        return math.inf
    if start >= exit:
        return 0.0
    bend = 0.5 * (math.log1p(-start * start / gamma) - math.log1p(-exit * exit / gamma))
    return (math.log(exit) - math.log(start) + bend) / growth


def escape_start(steps, exit, step_size, gamma) -> float:
    """The |x₁| from which `quartic_escape_time` is ``steps`` ≥ 0; exit itself at 0 steps.

    w/√(1 + w²/γ) with w = U(exit)(1 + ηγ)^(−steps).

    Parameters
    ----------
    steps : float
        ≥ 0.
    exit : float
        In (0, √γ).
    step_size, gamma : float
        η > 0 and γ > 0.

    Returns
    -------
    float
        In (0, exit], in the units of exit.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> escape_start(0, 0.5, 0.1, 1.0)
    0.5
    >>> round(quartic_escape_time(escape_start(40, 0.5, 0.1, 1.0), 0.5, 0.1, 1.0), 9)
    40.0
    """
    growth = _growth(step_size, gamma)
    exit, steps = _inside("exit", exit, gamma), float(steps)
    if not steps >= 0:
        raise ValueError(f"steps must be >= 0, got {steps}")
    w = exit / math.sqrt(1 - exit * exit / gamma) * math.exp(-steps * growth)
    return min(w / math.sqrt(1 + w * w / gamma), exit)


def escape_probability(steps, dim, radius, exit, step_size, gamma) -> float:
    """P(|x₁| reaches exit within ``steps`` steps) from ξ uniform on the ball around the saddle.

    Gradient descent on `QuarticSaddle` in dimension d, started at the saddle plus ξ. Its
    coordinates do not meet, so only ξ₁ counts, and |ξ₁| ≥ `escape_start` is enough by
    `quartic_escape_time`: the true probability is at least this. By `escape_time` it is at most
    P(|ξ₁| ≥ exit (1 + ηγ)^(−steps)).

    Parameters
    ----------
    steps : float
        ≥ 0.
    dim : int
        d ≥ 1.
    radius : float
        r > 0, of the ball that ξ is drawn from.
    exit : float
        In (0, √γ), in the units of the radius.
    step_size, gamma : float
        η > 0 and γ > 0.

    Returns
    -------
    float
        A lower bound, in [0, 1].

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range, as `escape_start` and `ball_coordinate_tail` do.

    Examples
    --------
    >>> round(escape_probability(114, 100, 0.01, 0.15, 0.5, 0.1), 2)
    0.51
    """
    return ball_coordinate_tail(dim, radius, escape_start(steps, exit, step_size, gamma))


def escape_deadline(failure_prob, dim, radius, exit, step_size, gamma) -> int:
    """The first step by which all but a fraction δ of the perturbations are out.

    The smallest integer k ≥ 0 with `escape_probability` ≥ 1 − δ: `quartic_escape_time` from the
    δ-quantile of |ξ₁|, rounded up. It grows like (½ ln d + ln(1/(rδ)))/ln(1 + ηγ).

    Parameters
    ----------
    failure_prob : float
        δ in (0, 1).
    dim : int
        d ≥ 1.
    radius : float
        r > 0, of the ball that ξ is drawn from.
    exit : float
        In (0, √γ), in the units of the radius.
    step_size, gamma : float
        η > 0 and γ > 0.

    Returns
    -------
    int
        A number of steps ≥ 0.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> escape_deadline(0.05, 100, 0.01, 0.15, 0.5, 0.1)
    163
    """
    start = ball_coordinate_quantile(dim, radius, probability("failure_prob", failure_prob))
    representable("the start", start, failure_prob=failure_prob, radius=radius)
    return math.ceil(quartic_escape_time(start, exit, step_size, gamma))


def _inside(name, value, gamma) -> float:
    value = positive(name, value)
    if not value * value < gamma:
        raise ValueError(f"{name} must be less than √γ = {math.sqrt(gamma):.3g}, where the "
                         f"minimizer is, got {value!r}; √γ/2 is half way")
    return value


def _growth(step_size, gamma) -> float:
    """ln(1 + ηγ), the rate per step, which has to be more than 0 in float64."""
    eta, gamma = positive("step_size", step_size), positive("gamma", gamma)
    return representable("ln(1 + ηγ)", math.log1p(eta * gamma), step_size=eta, gamma=gamma)


def escape_time_slope(step_size, gamma) -> float:
    """Extra steps per unit of ln d when the perturbation radius is kept: ½/ln(1 + ηγ).

    Parameters
    ----------
    step_size, gamma : float
        η > 0 and γ > 0.

    Returns
    -------
    float
        Steps for each factor of e in the dimension.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> round(escape_time_slope(0.5, 0.1), 1)    # ten times the dimension: this times ln 10
    10.2
    """
    return 0.5 / _growth(step_size, gamma)


def ball_coordinate_quantile(dim, radius, prob=0.5) -> float:
    """The ``prob``-quantile of |ξ₁| for ξ uniform on the ball of a radius in dimension d.

    ξ₁²/r² follows Beta(1/2, (d+1)/2), because the ball of dimension d is the projection of the
    sphere of dimension d + 2. For large d the median is near 0.674 r/√d.

    Parameters
    ----------
    dim : int
        d ≥ 1.
    radius : float
        r > 0.
    prob : float
        In (0, 1); the median by default.

    Returns
    -------
    float
        In (0, r), in the units of the radius.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> round(ball_coordinate_quantile(1, 2.0), 12)    # uniform on [−2, 2]
    1.0
    """
    q = betaincinv(0.5, 0.5 * (integer("dim", dim) + 1), probability("prob", prob))
    return positive("radius", radius) * math.sqrt(q)


def ball_coordinate_tail(dim, radius, threshold) -> float:
    """P(|ξ₁| ≥ threshold) for ξ uniform on the ball of a radius in dimension d.

    By rotation the same for |⟨ξ, u⟩| with any unit vector u. The law is that of
    `ball_coordinate_quantile`.

    Parameters
    ----------
    dim : int
        d ≥ 1.
    radius, threshold : float
        r > 0 and the threshold ≥ 0, in the same units.

    Returns
    -------
    float
        A probability; 0 from threshold = r on.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

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
