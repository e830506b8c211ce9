r"""Laws of long and short steps in a ravine, derived in chapters 4 and 5; not those of a paper.

Near a minimizer with a ravine of growth order p, write v for the coordinate along the ravine and w
for the distance to it. A short step of η takes w to (1 − ημ)w, with μ the least positive eigenvalue
of the Hessian, and hardly moves v. A step of λ times Polyak's takes v to (1 − λ/p)v, and, being of
length λv^{2−p}/(cp²) where f = cvᵖ along the ravine, multiplies w by about λμv^{2−p}/(cp²).
"""

from __future__ import annotations

import math

from .._arguments import positive

__all__ = ["calls", "contraction", "floor", "growth", "rounding_floor", "step_growth"]


def contraction(order=4.0, factor=1.0) -> float:
    """ρ = |1 − λ/p|, by which a long step multiplies v.

    >>> contraction(), contraction(3.0), contraction(4.0, factor=2.0)
    (0.75, 0.6666666666666667, 0.5)
    """
    return abs(1 - positive("factor", factor) / positive("order", order))


def step_growth(order=4.0, factor=1.0) -> float:
    """ρ^{2−p}, by which long steps grow from epoch to epoch.

    >>> step_growth() == 16 / 9, step_growth(3.0)
    (True, 1.4999999999999998)
    """
    return contraction(order, factor) ** (2 - order)


def growth(step_size, mu, order=4.0, factor=1.0) -> float:
    r"""(p − 2) ln(1/ρ)/ln(1/q), q = |1 − ημ|: how many short steps each epoch needs more.

    Each epoch the long step multiplies w by ρ^{2−p} more than in the epoch before, and this many
    more short steps take that back.

    >>> round(growth(0.0125, 20.0), 12)
    2.0
    """
    rate = _rate(step_size, mu)
    return (order - 2) * math.log(1 / contraction(order, factor)) / math.log(1 / rate)


def calls(distance_ratio, step_size, mu, order=4.0, factor=1.0) -> float:
    r"""The leading term of the gradients that a near-linear run needs to shrink v by a ratio ε.

    .. math:: N = \frac{p-2}{2}\,\frac{\ln^2(1/\varepsilon)}{\ln(1/q)\,\ln(1/\rho)} :

    ln(1/ε)/ln(1/ρ) epochs, whose lengths grow by `growth`. The next term is the number of epochs
    times the length of the first.

    >>> round(calls(1e-7, 0.0125, 20.0))
    3139
    """
    log = math.log(1 / positive("distance_ratio", distance_ratio))
    rho = contraction(order, factor)
    return (order - 2) / 2 * log**2 / (math.log(1 / _rate(step_size, mu)) * math.log(1 / rho))


def floor(step_size, mu, epoch_length, straight=True) -> float:
    r"""How fast the floor of f under epochs of fixed length K falls with K, for order 4: a scale.

    q^{4K} where the ravine is straight and q^{2K} where it is curved, up to a constant. An epoch
    multiplies w by q^K/v², again up to a constant, so w shrinks while v² > q^K and grows below. On
    a curved ravine every long step makes a new w of about v², so growth ends the descent at once:
    f = v⁴ = q^{2K}. On a straight one w first has to win back what it lost, which by symmetry (in
    the logarithm of v) takes until v = q^K: f = q^{4K}. A heuristic; the constant is measured.

    >>> floor(0.1, 2.0, 50) / floor(0.1, 2.0, 51) == 0.8**-4
    True
    """
    return _rate(step_size, mu) ** ((4 if straight else 2) * epoch_length)


def rounding_floor(scale, order=4.0, eps=2.0**-52) -> float:
    r"""ν^{p/(p−1)}, where rounding ends the descent of f when the minimizer is not 0: a scale.

    ν = eps·L‖x*‖ is the error of a gradient, ``scale`` = L‖x*‖, and ‖∇f‖ ~ v^{p−1} has to be above
    it. Where x* = 0 the error shrinks with x, and there is no such floor.

    >>> f"{rounding_floor(1.0):.0e}"
    '1e-21'
    """
    return (eps * positive("scale", scale)) ** (order / (order - 1))


def _rate(step_size, mu):
    rate = abs(1 - positive("step_size", step_size) * positive("mu", mu))
    if not 0 < rate < 1:
        raise ValueError(f"step_size·mu must lie in (0, 2) and differ from 1, got {step_size * mu}")
    return rate
