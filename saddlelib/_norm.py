"""The Euclidean norm over the whole range of float64."""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg.blas import ddot

__all__ = ["is_finite", "norm"]

# Between these the squares lose nothing: a square that falls below the smallest float is less than
# 1e-34 of the least sum that counts here, and the sum itself is finite.
_LEAST_SQUARE, _LARGEST_SQUARE = 1e-290, np.finfo(float).max


def norm(v) -> float:
    """‖v‖₂ of an array of real numbers of any shape, taken as one vector, without a warning.

    Equal to `numpy.linalg.norm` where the sum of squares stays in range. Where it would leave it,
    the vector is scaled first: the norm is 0 only for the zero vector, and infinite only where an
    entry is or where ‖v‖₂ itself is larger than float64 can hold. It is nan where an entry is.

    Examples
    --------
    >>> from saddlelib._norm import norm
    >>> norm([3.0, 4.0]), norm([1e200, 1e150]), norm([2e-200, 0.0])
    (5.0, 1e+200, 2e-200)
    """
    v = np.asarray(v, dtype=float).ravel()
    square = ddot(v, v) if v.size else 0.0  # which warns of nothing
    if _LEAST_SQUARE <= square <= _LARGEST_SQUARE:
        return math.sqrt(square)
    with np.errstate(all="ignore"):
        largest = float(np.abs(v).max(initial=0.0))
        if largest == 0 or not math.isfinite(largest):
            return math.nan if math.isnan(square) else largest
        exponent = math.frexp(largest)[1] - 1  # a power of two, so that scaling rounds nothing
        v = np.ldexp(v, -exponent)
        return math.sqrt(float(v.dot(v))) * 2.0**exponent


def is_finite(v) -> bool:
    """Whether every entry of a float64 array of shape (d,) is finite.

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib._norm import is_finite
    >>> is_finite(np.array([1e200, 1.0])), is_finite(np.array([np.inf, 1.0]))
    (True, False)
    """
    # Where an entry is not finite, no sum of squares is; and that is sooner computed.
    return math.isfinite(ddot(v, v)) or bool(np.isfinite(v).all())
