"""Whether a descent still gets anywhere: it may stand still, or fall without end."""

from __future__ import annotations

import math

from .._norm import norm

__all__ = ["NOWHERE", "falls_for_ever", "progress", "stands_still"]

_UNIT = 2.0**-53
# So many steps in a row may pass without a lower f, or a gradient smaller by a tenth.
_PATIENCE, _SMALLER = 50, 0.9
# A decrease of f that is more than its rounding.
_VISIBLE = 4
# No function with a minimum is known to fall so many times as far as it was high, or as ε allows.
_FAR = 1e50
# The record of a descent that begins.
NOWHERE = (math.inf, math.inf, 0)


def progress(record, value, jac):
    """The record after a step: lowest f, smallest ‖∇f‖, and the steps since one of them was new."""
    lowest, slope, since = record
    now = norm(jac)
    lower = value < lowest - _VISIBLE * _UNIT * abs(value)  # false where f was not asked
    if lower or now < _SMALLER * slope:
        return value if lower else lowest, min(slope, now), 0
    return lowest, slope, since + 1


def stands_still(record) -> bool:
    """Whether steps pass and neither f nor ‖∇f‖ falls: at a kink, or by wrong derivatives."""
    return record[2] >= _PATIENCE


def falls_for_ever(state, value, epsilon) -> bool:
    """Whether f = ``value`` is so low that there seems to be no minimum.

    ``state.high`` is the size of f where the run began: the larger of |f| and g²/‖H‖, which is what
    a slope g is worth, the smaller of ε and ‖∇f‖; that of ε where both are 0. It has the units of f.
    """
    if math.isnan(value):
        return False
    if math.isnan(state.high):
        size = state.hess_norm
        worth = [g * (g / size) for g in (min(epsilon, norm(state.jac)), epsilon) if size > 0]
        state.high = max([abs(value), *worth[:1]]) or max(worth, default=0.0)
    return value < -_FAR * state.high < 0
