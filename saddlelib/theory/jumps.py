r"""Laws of steps that know the order of a floor, derived in chapter 5; not those of a paper.

Near a minimizer with a ravine of growth order p let s = −H⁻¹g be the Newton step and
D = ⟨g, H⁻¹g⟩ the Newton decrement (its square, in the words of some books). On a floor that is
homogeneous of degree p, however anisotropic, Euler's identity makes s = −v/(p − 1) and

.. math:: \theta = (f - f^\star)/D = (p - 1)/p,

so that T = θ/(1 − θ) = p − 1 Newton steps at once, a *jump*, land on the minimizer. On a quadratic
wall θ = ½. `decrement_ratio` and `jump` say what lies between, `settle_exponent` and `settles` how
far a run must come down to the floor before it jumps, `convergence_order` what that is worth, and
`critical_factor` when Polyak's step, which knows the order too, keeps the direction of a run.
"""

from __future__ import annotations

import math

from .._arguments import _number, nonnegative, positive
from . import ravine

__all__ = ["convergence_order", "critical_factor", "decrement_ratio", "jump", "jump_length",
           "kept_direction", "misjudged_jump", "order_of", "safe_share", "settle_exponent",
           "settles", "short_steps"]


def decrement_ratio(order=4.0, wall_share=0.0) -> float:
    r"""θ = (f − f*)/D = (1 + a)/(2a + p/(p − 1)), which is (p − 1)/p on the floor and ½ far off it.

    On a bent ravine the law holds up to terms that vanish at the minimizer.

    Parameters
    ----------
    order : float
        p > 1.
    wall_share : float
        a ≥ 0, the height above the floor over that of the floor: ½⟨u, Hu⟩/h(v) where
        f = ½⟨u, Hu⟩ + h(v). Without units.

    Returns
    -------
    float
        θ in [½, 1) for p ≥ 2.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> decrement_ratio(4.0), decrement_ratio(2.0, wall_share=7.0)
    (0.75, 0.5)
    """
    p, a = _order(order), nonnegative("wall_share", wall_share)
    return (1 + a) / (2 * a + p / (p - 1))


def order_of(ratio) -> float:
    """p = 1/(1 − θ), the order that a ratio θ of `decrement_ratio` shows, for 0 < θ < 1.

    Beside the floor it is too low: `safe_share`. With θ ≥ 1 the decrement does not explain the
    gap, so f* is too low or the point is not settled.

    Parameters
    ----------
    ratio : float
        θ in (0, 1).

    Returns
    -------
    float
        p > 1.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> order_of(0.75)
    4.0
    """
    ratio = _number("ratio", ratio)
    if not 0 < ratio < 1:
        raise ValueError(f"ratio must lie strictly between 0 and 1, got {ratio!r}; outside, f* is "
                         f"wrong or the point is not near a floor of any order")
    return 1 / (1 - ratio)


def jump_length(order=4.0, wall_share=0.0) -> float:
    """T = θ/(1 − θ) Newton steps, with θ = `decrement_ratio`: p − 1 on the floor, 1 on a wall.

    Parameters
    ----------
    order, wall_share : float
        p > 1 and a ≥ 0, as in `decrement_ratio`.

    Returns
    -------
    float
        T > 0, in Newton steps.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> jump_length(4.0), jump_length(6.0)
    (3.0, 5.0)
    """
    p, a = _order(order), nonnegative("wall_share", wall_share)
    return (1 + a) / (1 / (p - 1) + a)


def jump(order=4.0, wall_share=0.0) -> tuple[float, float]:
    r"""By what a jump with the measured θ multiplies u and v in a straight ravine, exactly.

    For f = ½⟨u, Hu⟩ + h(v), h homogeneous of degree p > 1 and a = ``wall_share`` ≥ 0:

    .. math:: u^+ = -\frac{p-2}{1+(p-1)a}\,u,\qquad v^+ = \frac{(p-2)\,a}{1+(p-1)a}\,v .

    A jump from a = 0 lands on the minimizer; a wall share a leaves about (p − 2)a of the distance.

    Parameters
    ----------
    order, wall_share : float
        p > 1 and a ≥ 0, as in `decrement_ratio`.

    Returns
    -------
    (float, float)
        The factors of u, the wall, and of v, the floor.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> [round(factor, 6) for factor in jump(4.0, wall_share=0.1)]
    [-1.538462, 0.153846]
    """
    p, a = _order(order), nonnegative("wall_share", wall_share)
    wall = (2 - p) / (p - 1) / (1 / (p - 1) + a)
    return wall, (p - 2) / (p - 1) * (a / (1 / (p - 1) + a))


def misjudged_jump(order=4.0, error_share=0.0) -> float:
    r"""px/(1 + (p − 1)x), by which a jump multiplies v when f* is wrong by x times the gap.

    On a floor that is homogeneous of degree p. The jump comes closer if and only if −1/(2p − 1) <
    x < 1. For x ≤ −1/(p − 1) the measured θ is 1 or more and there is no jump.

    Parameters
    ----------
    order : float
        p > 1.
    error_share : float
        x = (f̂ − f*)/(f − f*) > −1/(p − 1), with the value f̂ that the run takes for f*: positive
        where it is too high.

    Returns
    -------
    float
        The factor of v; negative where the jump goes too far.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> round(misjudged_jump(4.0, 0.01), 4), misjudged_jump(4.0, 1.0)
    (0.0388, 1.0)
    """
    p, x = _order(order), _number("error_share", error_share)
    if not (math.isfinite(x) and (p - 1) * x > -1):
        raise ValueError(f"error_share must be a finite number above -1/(order - 1), got {x!r}; "
                         f"below, the measured ratio is not less than 1, and f* is too low")
    return p / (p - 1) * (x / (1 / (p - 1) + x))


def safe_share(order=4.0) -> float:
    """1/((p − 1)(2p − 5)): below this wall share, `order_of` rounds to the right integer p ≥ 3.

    For straight walls: there `order_of` shows p − (p − 1)(p − 2)a/(1 + (p − 1)a).

    Parameters
    ----------
    order : float
        p ≥ 3.

    Returns
    -------
    float
        A wall share in (0, ½].

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> safe_share(3.0), round(safe_share(6.0), 4)
    (0.5, 0.0286)
    """
    p = _order(order, least=3)
    return 1 / (p - 1) / (2 * p - 5)


def settle_exponent(order=4.0, smoothness=1.0) -> float:
    """β = max{2(p − 2 + σ)/p, 1 + σ/p}: jump as soon as W ≤ K(f − f*)^β, for any K > 0.

    W is the height above the floor that a Newton step on the walls alone sees. A constant share W
    ≤ K(f − f*) is not enough for p > 4.

    Parameters
    ----------
    order : float
        p ≥ 3.
    smoothness : float
        σ in (0, 2): the floor is h_p + O(|v|^{p + σ}), also when differentiated twice.

    Returns
    -------
    float
        β in (1, 2).

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> settle_exponent(4.0), settle_exponent(3.0, smoothness=0.5)
    (1.5, 1.1666666666666667)
    """
    p, nu = _order(order, least=3), _smoothness(smoothness)
    return max(2 * (1 - (2 - nu) / p), 1 + nu / p)


def settles(order=4.0, bend=2.0, smoothness=1.0) -> int:
    r"""How many Newton steps on the walls a run needs after a jump to be ready for the next.

    After a jump from a distance r the distance to the floor is w = O(r^e), e = min(k, pβ/2). A
    step on the walls takes e to min(2e, e + 2(1 + σ), p(1 + σ)), and r^{(1 + σ)pβ/2} is wanted:
    the count where a jump gains its order and no more. β is `settle_exponent`.

    Parameters
    ----------
    order, smoothness : float
        p and σ as in `settle_exponent`.
    bend : float
        k ≥ 2 where the floor is u = O(|v|ᵏ); infinite for a straight one.

    Returns
    -------
    int
        ≥ 0.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> import math
    >>> [settles(p) for p in (3.0, 4.0, 6.0, 8.0)], settles(6.0, bend=math.inf)
    ([1, 2, 3, 4], 2)
    """
    p, nu = _order(order, least=3), _smoothness(smoothness)
    goal, e = _exponents(p, bend, nu)
    for count in range(1000):
        if e >= (1 + nu) * goal * (1 - 1e-12):
            return count
        e = min(2 * e, e + 2 * (1 + nu), p * (1 + nu))
    raise ValueError(f"order = {p:.3g} is too large to count settles; use a smaller one")


def short_steps(distance_ratio, step_size, mu, order=4.0, bend=2.0, smoothness=1.0) -> float:
    r"""The leading term of the gradients where short steps settle and jumps shrink v by a ratio ε.

    .. math:: N = \frac{(1+\sigma)p\beta/2 - e}{\sigma}\cdot\frac{\ln(1/\varepsilon)}{\ln(1/q)},
        \qquad q = |1 - \eta\mu| :

    linear in ln(1/ε), where `ravine.calls` has its square. For σ = 1 and k = 2 the first factor is
    2(p − 2). Exponents are those of `settles`. The solves of the jumps, O(ln ln(1/ε)), are not
    counted.

    Parameters
    ----------
    distance_ratio : float
        ε in (0, 1).
    step_size, mu : float
        η and μ as in `ravine.calls`.
    order, bend, smoothness : float
        p, k and σ as in `settles`.

    Returns
    -------
    float
        Gradients.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> from saddlelib.theory import ravine
    >>> round(short_steps(1e-7, 0.0125, 20.0)), round(ravine.calls(1e-7, 0.0125, 20.0))
    (224, 3139)
    """
    p, nu = _order(order, least=3), _smoothness(smoothness)
    goal, e = _exponents(p, bend, nu)
    log = -math.log(positive("distance_ratio", distance_ratio))
    return ((1 + nu) * goal - e) / nu * log / -math.log(ravine.rate(step_size, mu))


def convergence_order(smoothness=1.0, f_star_known=True) -> float:
    """The order of "settle, then jump": 1 + σ, or (1 + √(1 + 4σ))/2 without f*.

    A Q-order of the distance along the floor, and of the gap, per jump; an R-order if f* is not
    known and θ is (f_a − f_b)/(D_a − D_b) of the last two settled points.

    Parameters
    ----------
    smoothness : float
        σ of `settle_exponent`, in (0, 2), or 2, which is measured and not proved.
    f_star_known : bool
        Whether the run knows f*.

    Returns
    -------
    float
        More than 1.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> convergence_order(), round(convergence_order(f_star_known=False), 3)
    (2.0, 1.618)
    """
    nu = _smoothness(smoothness, most=2)
    return 1 + nu if f_star_known else (1 + math.sqrt(1 + 4 * nu)) / 2


def critical_factor(curvature_ratio, order=4.0) -> float:
    """λ = 2p²/(Λ/h + p), below which Polyak's step keeps the direction in which h is least.

    With a larger factor a run turns away from e, and loses the factor `ravine.contraction` per
    step.

    Parameters
    ----------
    curvature_ratio : float
        Λ/h ≥ p: the largest eigenvalue of ∇²h(e) across the unit vector e, over h(e), where h is
        least on the unit sphere.
    order : float
        p > 1.

    Returns
    -------
    float
        λ in (0, p].

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> critical_factor(12.0), critical_factor(20.0)  # a sum of fourth powers; K = 10 below
    (2.0, 1.3333333333333333)
    """
    p, ratio = _order(order), _curvature_ratio(curvature_ratio, order)
    return 2 * p / (ratio / p + 1)


def kept_direction(curvature_ratio, order=4.0, factor=1.0) -> bool:
    """Whether a step of λ times Polyak's, 0 < λ < p, brings a run closer to the least direction.

    To first order the angle to e is multiplied by (1 − λΛ/(p²h))/(1 − λ/p) per step, so it shrinks
    if and only if p < Λ/h < p(2p − λ)/λ.

    Parameters
    ----------
    curvature_ratio, order : float
        Λ/h and p as in `critical_factor`.
    factor : float
        λ in (0, p).

    Returns
    -------
    bool

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> K = 10.0  # v₁⁴ + K v₁²v₂² + v₂⁴ has Λ/h = 2K for K ≥ 2
    >>> kept_direction(2 * K, factor=1.0), kept_direction(2 * K, factor=2.0)
    (True, False)
    """
    p, factor = _order(order), positive("factor", factor)
    if factor >= p:
        raise ValueError(f"factor must be less than order = {order:.3g}, got {factor!r}: from "
                         f"there on a step goes to the other side")
    ratio = _curvature_ratio(curvature_ratio, p)
    return p < ratio and factor < critical_factor(ratio, p)


def _order(order, least=1.0) -> float:
    p = positive("order", order)
    if not p > 1 or p < least:
        bound = "more than 1" if least == 1 else f"at least {least}"
        raise ValueError(f"order must be {bound}, got {order!r}")
    return p


def _exponents(order, bend, smoothness):
    """What w has to come down to before a jump, and where a jump leaves it, as powers of r."""
    bend = _number("bend", bend)
    if not bend >= 2:
        raise ValueError(f"bend must be at least 2, got {bend!r}: a floor that is tangent to the "
                         f"kernel is O(|v|^2)")
    goal = order * settle_exponent(order, smoothness) / 2
    return goal, min(bend, goal)


def _smoothness(smoothness, most=None) -> float:
    nu = positive("smoothness", smoothness)
    if nu >= 2 and nu != most:
        raise ValueError(f"smoothness must be less than 2, got {smoothness!r}; a smoother floor "
                         f"has every smaller value too")
    return nu


def _curvature_ratio(curvature_ratio, order) -> float:
    ratio = positive("curvature_ratio", curvature_ratio)
    if ratio < order * (1 - 1e-12):
        raise ValueError(f"curvature_ratio must be at least order = {order:.3g} where h is least "
                         f"on the sphere, got {curvature_ratio!r}")
    return ratio
