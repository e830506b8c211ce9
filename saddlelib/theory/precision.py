"""Where float64 ends: decreases and perturbations that theory asks for and rounding swallows."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["decrease_warning", "float64_can_resolve", "perturbation_survives",
           "perturbation_warning"]


def float64_can_resolve(decrease, value) -> bool:
    """Whether a decrease of f can be told from rounding where f = ``value``.

    It has to be at least 4 units in the last place of ``value``: two values with a rounding error
    of one unit each differ by up to 2 without cause. True where ``value`` is not finite, which is
    another matter.

    Parameters
    ----------
    decrease, value : float
        A decrease > 0 and a value of f, in the same units.

    Returns
    -------
    bool

    Examples
    --------
    >>> float64_can_resolve(1e-12, 1.0), float64_can_resolve(1e-12, 1e5)
    (True, False)
    """
    value = float(value)
    return not math.isfinite(value) or not decrease < 4 * math.ulp(value)


def decrease_warning(decrease, value, tested=True) -> str:
    """What to tell the user when `float64_can_resolve` is false, with the numbers; else "".

    Parameters
    ----------
    decrease, value : float
        As `float64_can_resolve`.
    tested : bool
        Whether the method looks at the decrease, or its theory alone promises it.

    Returns
    -------
    str
        One line without a full stop, or "".

    Examples
    --------
    >>> decrease_warning(1e-17, 1.0)
    'the test for a decrease of 1e-17 cannot be made: float64 resolves f = 1 to 2.2e-16'
    """
    if float64_can_resolve(decrease, value):
        return ""
    what = (f"the test for a decrease of {decrease:.2g} cannot be made" if tested else
            f"the promised decrease of {decrease:.2g} cannot be seen")
    return f"{what}: float64 resolves f = {value:.6g} to {math.ulp(value):.2g}"


def perturbation_survives(x, xi, radius):
    """Whether adding ξ to x keeps every coordinate of it; for vectors (d,) or batches (m, d).

    An escape may depend on one coordinate alone, so each has to be kept: rounding may change it by
    at most half of itself. Only where float64 resolves the coordinate of x to (r/√d)/16 or finer,
    r/√d being the size of a coordinate of the ball of radius r, may one get lost: there it is
    small by chance, as one in forty is.

    Parameters
    ----------
    x, xi : ndarray, shape (d,) or (m, d)
        The point, and the perturbation ξ.
    radius : float or ndarray, shape (m, 1)
        r > 0, of the ball that ξ was drawn from.

    Returns
    -------
    bool or ndarray, shape (m,)
        One answer for each row.

    Examples
    --------
    >>> import numpy as np
    >>> x, xi = np.array([1.0, 1e16]), np.array([[0.1, 2.0], [1e-17, 2.0], [1.0, 0.1]])
    >>> [perturbation_survives(x, step, 2.0).tolist() for step in xi]
    [True, True, False]
    """
    lost = np.abs((x + xi) - x - xi)
    fine = np.spacing(np.abs(x)) <= radius / math.sqrt(np.shape(xi)[-1]) / 16
    return ((lost <= 0.5 * np.abs(xi)) | fine).all(axis=-1)


def perturbation_warning(radius, x, xi) -> str:
    """What to tell the user when `perturbation_survives` is false; else "".

    Parameters
    ----------
    radius : float
        r > 0, of the ball that ξ was drawn from.
    x, xi : ndarray, shape (d,)
        The point, and the perturbation ξ.

    Returns
    -------
    str
        One line without a full stop, or "".

    Examples
    --------
    >>> import numpy as np
    >>> perturbation_warning(1e-17, np.ones(2), np.array([6e-18, 8e-18]))[-43:]
    'float64 resolves its coordinates to 2.2e-16'
    """
    if perturbation_survives(x, xi, radius):
        return ""
    return (f"a perturbation of radius {radius:.2g} is lost when added to x: float64 resolves its "
            f"coordinates to {np.spacing(np.abs(x).max()):.2g}")
