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
# After a step that is fewer units of rounding of x it has to be this much; and where x has hardly
# moved at all, a lower f is none.
_NEAR, _CLEAR, _STILL = 100, 1e6, 8
# No function with a minimum is known to fall so many times as far as it was high, or as ε allows.
_FAR = 1e50
# The record of a descent that begins.
NOWHERE = (math.nan, math.inf, math.inf, 0)


def progress(record, x, value, jac, moved):
    """The record after a step: first f, lowest f, smallest ‖∇f‖, and steps since one was new."""
    first, lowest, slope, since = record
    first = value if math.isnan(first) else first
    now = norm(jac)
    lower = value < lowest and _is_visible(first, lowest, x, value, moved)  # False if nobody asked
    if lower or now < _SMALLER * slope:
        return first, value if lower else lowest, min(slope, now), 0
    return first, lowest, slope, since + 1


def _is_visible(first, lowest, x, value, moved):
    """Whether f has fallen by more than its rounding."""
    grain = _UNIT * norm(x)
    units = _VISIBLE if moved > _NEAR * grain else _CLEAR if moved > _STILL * grain else math.inf
    # Next to all that f has fallen, rounding of that is nothing.
    return value < lowest - units * _UNIT * (max(abs(value), first - value) or 1.0)


def stands_still(record) -> bool:
    """Whether steps pass and neither f nor ‖∇f‖ falls: at a kink, or by wrong derivatives."""
    return record[3] >= _PATIENCE


def falls_for_ever(state, value, epsilon) -> bool:
    """Whether f = ``value`` is so low that there seems to be no minimum.

    It is held against the size of f where the run began: the larger of |f| and g²/‖H‖, which is
    what a slope g is worth, the smaller of ε and ‖∇f‖; that of ε where both are 0.
    """
    high, slope = state.begun
    size = state.hess_norm
    worth = [g * (g / size) if size > 0 else 0.0 for g in (min(epsilon, slope), epsilon)]
    high = max(high, worth[0]) or worth[1]
    return value < -_FAR * high < 0  # false where f was not asked
