r"""Laws of long and short steps in a ravine, derived in chapters 4 and 5; not those of a paper.

Near a minimizer with a ravine of growth order p, write v for the coordinate along the ravine and w
for the distance to it. A short step of η takes w to (1 − ημ)w, with μ the least positive eigenvalue
of the Hessian, and hardly moves v. A step of λ times Polyak's takes v to (1 − λ/p)v, and, being of
length λv^{2−p}/(cp²) where f = cvᵖ along the ravine, multiplies w by about λμv^{2−p}/(cp²).
"""

from __future__ import annotations

import math

from .._arguments import positive

__all__ = ["calls", "contraction", "floor", "growth", "rate", "rounding_floor", "step_growth"]


def contraction(order=4.0, factor=1.0) -> float:
    """ρ = |1 − λ/p|, by which a long step multiplies v.

    Parameters
    ----------
    order, factor : float
        p > 0 and λ > 0.

    Returns
    -------
    float
        ≥ 0; a long step shrinks v where this is less than 1.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> contraction(), contraction(3.0), contraction(4.0, factor=2.0)
    (0.75, 0.6666666666666667, 0.5)
    """
    return abs(1 - positive("factor", factor) / positive("order", order))


def step_growth(order=4.0, factor=1.0) -> float:
    """ρ^{2−p}, by which long steps grow from epoch to epoch.

    Parameters
    ----------
    order, factor : float
        p > 0 and 0 < λ < 2p, λ ≠ p.

    Returns
    -------
    float
        More than 1 for p > 2.

    Raises
    ------
    ValueError
        If a long step does not shrink v, or the growth leaves the range of float64.

    Examples
    --------
    >>> step_growth() == 16 / 9, step_growth(3.0)
    (True, 1.4999999999999998)
    """
    _shrinking(order, factor)
    try:
        return contraction(order, factor) ** (2 - order)
    except OverflowError:
        raise ValueError(f"order = {order:.3g} and factor = {factor:.3g} make the growth leave the "
                         f"range of float64; use a smaller order") from None


def growth(step_size, mu, order=4.0, factor=1.0) -> float:
    r"""(p − 2) ln(1/ρ)/ln(1/q), q = |1 − ημ|: how many short steps each epoch needs more.

    Each epoch the long step multiplies w by ρ^{2−p} more than in the epoch before, and this many
    more short steps take that back.

    Parameters
    ----------
    step_size, mu : float
        η > 0 and μ > 0 with 0 < ημ < 2, ημ ≠ 1.
    order, factor : float
        p > 0 and 0 < λ < 2p, λ ≠ p.

    Returns
    -------
    float
        Steps an epoch; it need not be whole.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> round(growth(0.0125, 20.0), 12)
    2.0
    """
    q = rate(step_size, mu)
    return (order - 2) * _shrinking(order, factor) / -math.log(q)


def calls(distance_ratio, step_size, mu, order=4.0, factor=1.0) -> float:
    r"""The leading term of the gradients that a near-linear run needs to shrink v by a ratio ε.

    .. math:: N = \frac{p-2}{2}\,\frac{\ln^2(1/\varepsilon)}{\ln(1/q)\,\ln(1/\rho)} :

    ln(1/ε)/ln(1/ρ) epochs, whose lengths grow by `growth`. The next term is the number of epochs
    times the length of the first.

    Parameters
    ----------
    distance_ratio : float
        ε in (0, 1).
    step_size, mu, order, factor : float
        As `growth`.

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
    >>> round(calls(1e-7, 0.0125, 20.0))
    3139
    """
    log = -math.log(positive("distance_ratio", distance_ratio))
    return (order - 2) / 2 * log**2 / (-math.log(rate(step_size, mu)) * _shrinking(order, factor))


def floor(step_size, mu, epoch_length, straight=True) -> float:
    r"""How fast the floor of f under epochs of fixed length K falls with K, for order 4: a scale.

    q^{4K} where the ravine is straight and q^{2K} where it is curved, up to a constant. An epoch
    multiplies w by q^K/v², again up to a constant, so w shrinks while v² > q^K and grows below. On
    a curved ravine every long step makes a new w of about v², so growth ends the descent at once:
    f = v⁴ = q^{2K}. On a straight one w first has to win back what it lost, which by symmetry (in
    the logarithm of v) takes until v = q^K: f = q^{4K}. A heuristic; the constant is measured.

    Parameters
    ----------
    step_size, mu : float
        η > 0 and μ > 0 with 0 < ημ < 2, ημ ≠ 1.
    epoch_length : int
        K ≥ 0.
    straight : bool
        Whether the ravine is straight.

    Returns
    -------
    float
        A scale of f in (0, 1], without units.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> floor(0.1, 2.0, 50) / floor(0.1, 2.0, 51) == 0.8**-4
    True
    """
    return rate(step_size, mu) ** ((4 if straight else 2) * epoch_length)


def rounding_floor(scale, order=4.0, eps=2.0**-52) -> float:
    r"""ν^{p/(p−1)}, where rounding ends the descent of f when the minimizer is not 0: a scale.

    ν = eps·L‖x*‖ is the error of a gradient, ``scale`` = L‖x*‖, and ‖∇f‖ ~ v^{p−1} has to be above
    it. Where x* = 0 the error shrinks with x, and there is no such floor.

    Parameters
    ----------
    scale : float
        L‖x*‖ > 0.
    order : float
        p > 1.
    eps : float
        The relative error of a number, > 0; that of float64 by default.

    Returns
    -------
    float
        A scale of f.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> f"{rounding_floor(1.0):.0e}"
    '1e-21'
    """
    if not (1 < order < math.inf):
        raise ValueError(f"order must be more than 1, got {order}")
    nu = positive("eps", eps) * positive("scale", scale)
    try:
        return nu ** (order / (order - 1))
    except OverflowError:
        raise ValueError(f"scale = {scale:.3g} and order = {order:.3g} make the floor leave the "
                         f"range of float64; use a smaller scale") from None


def _shrinking(order, factor):
    """ln(1/ρ) > 0, or an error."""
    rho = contraction(order, factor)
    if not 0 < rho < 1:
        raise ValueError(f"factor/order must lie in (0, 2) and differ from 1 and 0 in float64, so "
                         f"that a long step shrinks v, got {factor} and {order}")
    return -math.log(rho)


def rate(step_size, mu) -> float:
    """q = |1 − ημ|, by which a short step multiplies the distance to the floor.

    Parameters
    ----------
    step_size, mu : float
        η > 0 and μ > 0 with 0 < ημ < 2, ημ ≠ 1.

    Returns
    -------
    float
        In (0, 1).

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> rate(0.0125, 20.0)
    0.75
    """
    q = abs(1 - positive("step_size", step_size) * positive("mu", mu))
    if not 0 < q < 1:
        raise ValueError(f"step_size·mu must lie in (0, 2) and differ from 1, got {step_size * mu}")
    return q
