r"""∇f from values of f alone: SciPy's differences, and how far off they may be.

Three kinds, with the spacings h of SciPy, which grow with a coordinate beyond 1 and with the unit
of rounding u of what ``fun`` returns (Nocedal & Wright 2006, Numerical Optimization, section 8.1;
Squire & Trapp 1998, SIAM Review 40, 110-112):

.. math:: \frac{f(x+he_i)-f(x)}{h},\qquad \frac{f(x+he_i)-f(x-he_i)}{2h},\qquad
          \frac{\operatorname{Im} f(x+\mathrm i he_i)}{h}

for "2-point", "3-point" and "cs". To leading order they are off by h∂ᵢᵢf/2, h²∂ᵢᵢᵢf/6 and
−h²∂ᵢᵢᵢf/6, and the first two by the rounding 2σ/h and σ/h of values that are off by at most σ.
`error` measures the first by doing it again at 3h, where it is 3 or 9 times as large, and σ from
fourth differences along a line, as do Moré & Wild (2011, SIAM J. Sci. Comput. 33, 1292-1314).
"""

from __future__ import annotations

import math

import numpy as np

from ._norm import norm

__all__ = ["KINDS", "error", "gradient", "noise", "spacing"]

KINDS = ("2-point", "3-point", "cs")
"""The kinds of differences, as SciPy calls them."""

_FACTOR = 3.0  # of the second spacing in `error`
_ORDER = {"2-point": 1, "3-point": 2, "cs": 2}
_UNIT = 2.0**-53
# Lines that are tried, each ten times as wide as the one before, where values do not move.
_WIDER = 7
# Values along the line on which noise is measured, and what a fourth difference of noise σ is.
_LINE, _FOURTH = 9, math.sqrt(70)


def spacing(x, kind, unit=_UNIT) -> np.ndarray:
    """h for every coordinate, shape (d,): (2u)^½ max(1, |xᵢ|), or (2u)^⅓ for "3-point".

    Those of SciPy, without its sign: a gradient that looks back where xᵢ < 0 jumps at 0.

    Parameters
    ----------
    x : ndarray, shape (d,)
    kind : {"2-point", "3-point", "cs"}
    unit : float
        u, the unit of rounding of the values; that of float64 by default.

    Returns
    -------
    ndarray, shape (d,)
        In the units of x.

    Examples
    --------
    >>> import numpy as np
    >>> spacing(np.array([0.0, -4.0]), "2-point") == 2.0**-26 * np.array([1, 4])
    array([ True,  True])
    """
    relative = (2 * unit)**(1 / 3 if kind == "3-point" else 1 / 2)
    return relative * np.maximum(1.0, np.abs(x))


def gradient(fun, x, kind, value=None, unit=_UNIT, factor=1.0) -> np.ndarray:
    """∇f(x) by differences, shape (d,), from d values, 2d for "3-point", and f(x) for "2-point".

    Parameters
    ----------
    fun : callable
        ``fun(x) -> float``, and for "cs" ``fun(z) -> complex`` at complex z.
    x : ndarray, shape (d,)
    kind : {"2-point", "3-point", "cs"}
    value : float, optional
        f(x), which saves a value for "2-point".
    unit : float
        u, the unit of rounding of the values.
    factor : float
        The spacings are so many times the usual ones.

    Returns
    -------
    ndarray, shape (d,)

    Raises
    ------
    StopIteration
        Where ``fun`` does, which SciPy's loops would swallow.

    Examples
    --------
    >>> import numpy as np
    >>> gradient(lambda x: x @ x, np.array([1.0, 2.0]), "3-point").round(8)
    array([2., 4.])
    """
    from scipy.optimize._numdiff import approx_derivative  # no public name of SciPy's has all three

    if kind == "2-point" and value is None:
        value = fun(x)
    value = 0.0 if value is None else value  # "3-point" and "cs" do not look at it
    stopped = []

    def unstoppable(x):
        """SciPy's loops would end at a StopIteration of the user's and leave the rest unset."""
        try:
            return fun(x)
        except StopIteration as error:
            stopped.append(error)
            raise _Stopped from error
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            return approx_derivative(unstoppable, x, kind, f0=value,
                                     abs_step=factor * spacing(x, kind, unit))
    except _Stopped:
        raise stopped[0] from None


class _Stopped(Exception):
    """A StopIteration on its way through loops."""


def noise(fun, x, width, v=None) -> float:
    """The standard deviation of the rounding of f near x, from 9 values on a line of this width.

    Parameters
    ----------
    fun : callable
        ``fun(x) -> float``.
    x : ndarray, shape (d,)
    width : float
        Length of the line, in the units of x.
    v : ndarray, shape (d,), optional
        Direction of the line; a random one by default, the same in every call.

    Returns
    -------
    float
        In the units of f; infinite where values are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> sigma = noise(lambda x: float(np.float32(np.cos(x).sum())), np.ones(2), width=1e-3)
    >>> 1e-9 < sigma < 1e-7    # values in float32 are off by about 1e-8
    True
    """
    v = np.random.default_rng(0).standard_normal(x.size) if v is None else v
    line = np.linspace(-0.5, 0.5, _LINE) * width
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.array([fun(x + t * (v / norm(v))) for t in line])
        fourth = np.diff(values, 4) / _FOURTH
        size = norm(fourth) / math.sqrt(fourth.size)
    return size if math.isfinite(size) else math.inf


def _grain(fun, x, width) -> float:
    """`noise` on a line of this width, or on the first one so wide that f moves at all."""
    for _ in range(_WIDER):
        sigma = noise(fun, x, width)
        if sigma > 0:
            return sigma
        width *= 10
    return 0.0


def error(fun, x, g, kind, value, unit=_UNIT) -> float:
    """‖g − ∇f(x)‖₂ at most, for g = `gradient` (fun, x, kind, value, unit).

    Costs one more gradient, and for "2-point" and "3-point" nine values; or some times nine where f
    does not move over the spacings, which says nothing of how it is rounded.

    Parameters
    ----------
    fun, x, kind, value, unit
        As `gradient`; ``value`` is f(x).
    g : ndarray, shape (d,)
        What `gradient` gave for them.

    Returns
    -------
    float
        In the units of the gradient; infinite where nothing bounds it.

    Examples
    --------
    >>> import numpy as np
    >>> f, x = (lambda x: float(np.cos(x).sum())), np.array([0.5, 1.0])
    >>> g = gradient(f, x, "2-point")
    >>> bool(np.linalg.norm(g + np.sin(x)) <= error(f, x, g, "2-point", f(x)) < 1e-6)
    True
    """
    order = _ORDER[kind]
    off = norm(gradient(fun, x, kind, value, unit, _FACTOR) - g)
    if kind == "cs":  # off by rounding, as an exact one, and by next to nothing else
        return 2 * off + 4 * unit * norm(g)
    h = spacing(x, kind, unit)
    sigma = max(2 * unit * abs(value), 3 * _grain(fun, x, float(h.max())))
    bound = 1.5 * off / (_FACTOR**order - 1) + (2 / order) * sigma * norm(1 / h)
    return bound if math.isfinite(bound) else math.inf
