"""The box into which a reader writes an answer: a form that judges by a table, without a kernel."""

from __future__ import annotations

import re
from pathlib import Path

import anywidget
import traitlets

__all__ = ["AnswerBox"]

_FILE = Path(__file__)


class AnswerBox(anywidget.AnyWidget):
    """A form for the answer to an exercise, and what its table says to the answer.

    `saddlelib.checks.box` makes one.

    Parameters
    ----------
    exercise : dict
        What an exercise asks for, and what to say to which answer.
    """

    # A page carries the text of the module; who wants its comments has the file.
    _esm = re.sub(r"^ *//.*\n", "", _FILE.with_suffix(".js").read_text(encoding="utf-8"),
                  flags=re.MULTILINE)
    _css = _FILE.with_suffix(".css").read_text(encoding="utf-8")

    exercise = traitlets.Dict().tag(sync=True)

    def __repr__(self) -> str:
        return f"AnswerBox({self.exercise.get('name')!r})"
