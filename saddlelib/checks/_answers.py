"""What an answer has to be, and when it is near enough."""

from __future__ import annotations

import math

import numpy as np


def close(answer, value, rel=0.01):
    """Whether the answer is within a share ``rel`` of the value."""
    return math.isclose(answer, value, rel_tol=rel)


def number(answer) -> float:
    """The answer as a float; anything but one number, a bool among them, is a TypeError."""
    if isinstance(answer, bool) or not isinstance(answer, (int, float, np.integer, np.floating)):
        raise TypeError(f"this exercise wants a number, got {answer!r}")
    return float(answer)


def numbers(answer, *names) -> tuple[float, ...]:
    """The answer as one float for each name."""
    try:
        values = tuple(answer)
    except TypeError:
        values = ()
    if len(values) != len(names) or isinstance(answer, str):
        raise TypeError(f"this exercise wants {len(names)} numbers ({', '.join(names)}), got "
                        f"{answer!r}")
    return tuple(map(number, values))


def function(answer, signature):
    """The answer, if it can be called."""
    if not callable(answer):
        raise TypeError(f"this exercise wants a function {signature}, got {answer!r}")
    return answer
