"""Feedback for the exercises: right, not answered yet, or what the answer suggests went wrong.

>>> from saddlelib import checks
>>> checks.check("saddles-2", 0.03)
saddles-2: Correct. √(ρε) = √(9 · 10⁻⁴) = 0.03.
>>> checks.check("saddles-2", 9e-4)
saddles-2: Not yet. That is ρε. A curvature is its square root.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import _gdpolyak, _growth, _psd, _psgd, _saddles

__all__ = ["Feedback", "check", "exercises"]

_CHECKS = {**_saddles.CHECKS, **_psd.CHECKS, **_psgd.CHECKS, **_growth.CHECKS,
           **_gdpolyak.CHECKS}


@dataclass(frozen=True)
class Feedback:
    """What `check` says; true when the answer is correct."""

    exercise: str
    correct: bool
    message: str

    def __bool__(self) -> bool:
        return self.correct

    def __repr__(self) -> str:
        return f"{self.exercise}: {self.message}"


def check(exercise, answer) -> Feedback:
    """Judge an answer.

    Parameters
    ----------
    exercise : str
        One of `exercises()`.
    answer : object
        A number, a word or a function, as the exercise asks. None means not answered yet.

    Raises
    ------
    ValueError
        If there is no such exercise.
    """
    if exercise not in _CHECKS:
        raise ValueError(f"exercise must be one of {', '.join(_CHECKS)}, got {exercise!r}")
    if answer is None:
        return Feedback(exercise, False, "Not answered yet. Replace None by your answer.")
    try:
        message = _CHECKS[exercise](answer)
    except Exception as error:  # a reader's function may fail in any way
        return Feedback(exercise, False, f"Not yet. {type(error).__name__}: {error}")
    correct = message.startswith("Correct")
    return Feedback(exercise, correct, message if correct else f"Not yet. {message}")


def exercises() -> tuple[str, ...]:
    """Names of all exercises."""
    return tuple(_CHECKS)
