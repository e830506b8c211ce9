"""Feedback for the exercises: right, not answered yet, or what the answer suggests went wrong.

>>> from saddlelib import checks
>>> checks.check("saddles-2", 0.03)
saddles-2: Correct. √(3ε) = 0.3 at ε = 0.3²/3 = 0.03. So neither is wrong.
>>> checks.check("saddles-2", "9e-2")
saddles-2: Not yet. That is γ². Divide it by ρ.

Each exercise is a table of answers and what to say to them. `box` shows it as a form that answers
on a page without a kernel, too.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from . import _deep, _gdpolyak, _growth, _patience, _psd, _psgd, _saddles
from ._numbers import NoAnswerError

__all__ = ["Feedback", "box", "check", "exercises"]

_CHECKS = {**_saddles.CHECKS, **_psd.CHECKS, **_psgd.CHECKS, **_growth.CHECKS,
           **_gdpolyak.CHECKS, **_deep.CHECKS}
_ENDLESS = "Your function has not come to an end within half a minute. Does every loop in it end?"


@dataclass(frozen=True)
class Feedback:
    """What `check` says; true when the answer is correct.

    Attributes
    ----------
    exercise : str
        The name of the exercise.
    correct : bool
    message : str
        What to say to the reader.

    Examples
    --------
    >>> feedback = check("saddles-2", 0.03)
    >>> bool(feedback), feedback.exercise
    (True, 'saddles-2')
    """

    exercise: str
    correct: bool
    message: str

    def __bool__(self) -> bool:
        return self.correct

    def __repr__(self) -> str:
        return f"{self.exercise}: {self.message}"


@functools.cache
def _table(exercise):
    if exercise not in _CHECKS:
        raise ValueError(f"exercise must be one of {', '.join(_CHECKS)}, got {exercise!r}")
    return _CHECKS[exercise]()


def check(exercise, answer) -> Feedback:
    """Judge an answer.

    Parameters
    ----------
    exercise : str
        One of `exercises()`.
    answer : object
        A number, several numbers, a word or a function, as the exercise asks. A number is whatever
        ``float`` takes, and texts such as "5/2" and "10^-4". None means not answered yet. A
        function that has not ended after half a minute is stopped.

    Returns
    -------
    Feedback

    Raises
    ------
    ValueError
        If there is no such exercise.

    Examples
    --------
    >>> check("saddles-2", 0.03)
    saddles-2: Correct. √(3ε) = 0.3 at ε = 0.3²/3 = 0.03. So neither is wrong.
    """
    table = _table(exercise)
    if answer is None:
        return Feedback(exercise, False, "Not answered yet. Replace None by your answer.")
    try:
        message = _patience.in_time(lambda: table.message(answer), _ENDLESS) if table.code \
            else table.message(answer)
    except NoAnswerError as error:
        message = str(error)
    except (Exception, SystemExit) as error:  # a reader's function may fail in any way
        message = f"{type(error).__name__}: {error}"
    if message.startswith(("Correct.", "Not answered yet")):
        return Feedback(exercise, message.startswith("Correct."), message)
    return Feedback(exercise, False, f"Not yet. {message}")


def box(exercise):
    """A form for the answer, with the feedback of `check`; it also works without a kernel.

    Needs ``saddlelib[live]``.

    Parameters
    ----------
    exercise : str
        One of `exercises()`.

    Returns
    -------
    AnswerBox
        For an exercise that wants code, a line that says where the code runs.

    Raises
    ------
    ValueError
        If there is no such exercise.
    ImportError
        If anywidget is not installed.

    Examples
    --------
    >>> box("saddles-2")
    AnswerBox('saddles-2')
    """
    from ..live.answers import AnswerBox

    return AnswerBox(exercise=_table(exercise).to_json(exercise))


def exercises() -> tuple[str, ...]:
    """Names of all exercises.

    Returns
    -------
    tuple of str
        In the order of the chapters.

    Examples
    --------
    >>> exercises()[0]
    'saddles-1'
    """
    return tuple(_CHECKS)
