"""What an answer has to be: one number, however it is written, or a function."""

from __future__ import annotations

import math
import re

import numpy as np

WORDS = {
    "empty": "Not answered yet.",
    "missing": "Not answered yet: {} is empty.",
    "number": "This exercise wants a number such as 0.03, 3e-2, 5/2 or 10^-4, not {}.",
    "comma": "Write numbers without a comma: 0.5 with a point, and 25000 without a separator.",
    "finite": "The answer is a finite real number.",
    "choose": "Choose one of {}.",
}

_DIGITS = r"\d(?:_?\d)*"
_LITERAL = re.compile(rf"(?:{_DIGITS}\.?(?:{_DIGITS})?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?",
                      re.ASCII)
_ENDLESS = re.compile(r"[+-]?(?:inf(?:inity)?|nan)", re.IGNORECASE)
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_LONGEST = 60


class NoAnswerError(Exception):
    """What was given cannot be judged; the message says why."""


def number(answer, finite=True) -> float:
    """The answer as a float: whatever ``float`` takes, and strings as `parse` reads them.

    Arrays and tensors count if they have one element; a bool does not.
    """
    if isinstance(answer, str):
        return parse(answer)
    if hasattr(answer, "item") and getattr(answer, "size", None) in (1, ()) or callable(
            getattr(answer, "numel", None)) and answer.numel() == 1:
        answer = answer.item()
    try:
        if isinstance(answer, bool) or hasattr(answer, "__len__") and not isinstance(answer, bytes):
            raise TypeError
        value = float(answer)
    except OverflowError:
        value = math.inf
    except (TypeError, ValueError):
        raise NoAnswerError(WORDS["number"].format(repr(answer))) from None
    if finite and not math.isfinite(value):
        raise NoAnswerError(WORDS["finite"])
    return value


def parse(text) -> float:
    """The finite number that a text stands for; answers.js reads in the same way.

    Literals of Python, and of them products, quotients, powers and roots: ``3e-2``, ``8/27``,
    ``10^-4``, ``3·10⁻²``, ``√2``. A minus may be typographic.

    >>> parse(" .03 "), parse("8/27") == 8 / 27, parse("−10^-4"), parse("3·10⁻²")
    (0.03, True, -0.0001, 0.03)
    """
    plain = re.sub(r"[−–]", "-", text.strip())
    plain = re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+", lambda found: "^" + found[0].translate(_RAISED), plain)
    plain = re.sub(r"[×·⋅]", "*", plain.replace("**", "^").replace("sqrt", "√"))
    if not plain:
        raise NoAnswerError(WORDS["empty"])
    value = math.inf if _ENDLESS.fullmatch(plain) else _value(plain)
    if value is None:
        comma = "," in plain and any(_value(plain.replace(",", other)) is not None
                                     for other in (".", ""))
        raise NoAnswerError(WORDS["comma"] if comma else WORDS["number"].format(f"“{text}”"))
    if not math.isfinite(value):
        raise NoAnswerError(WORDS["finite"])
    return value


def _value(plain):
    """The value of a text, or None if it is none."""
    try:
        value, rest = _product(plain) if len(plain) <= _LONGEST else (None, "")
    except SyntaxError:
        return None
    return None if rest.strip() else value


def _product(text):
    value, text = _factor(text)
    while text[:1] in ("*", "/"):
        sign, (other, text) = text[0], _factor(text[1:])
        value = value * other if sign == "*" else divide(value, other)
    return value, text


def _factor(text):
    text = text.lstrip()
    if text[:1] in ("-", "+", "√"):
        value, rest = _factor(text[1:])
        if text[0] == "√":
            return math.sqrt(value) if value >= 0 else math.nan, rest
        return -value if text[0] == "-" else value, rest
    base, rest = _atom(text)
    rest = rest.lstrip()
    if rest[:1] != "^":
        return base, rest
    power, rest = _factor(rest[1:])
    return _power(base, power), rest


def _atom(text):
    if text[:1] == "(":
        value, rest = _product(text[1:])
        rest = rest.lstrip()
        if rest[:1] != ")":
            raise SyntaxError
        return value, rest[1:].lstrip()
    found = _LITERAL.match(text)
    if not found:
        raise SyntaxError
    return float(found[0]), text[found.end():].lstrip()


def _power(base, power):
    if base == 10 and power == int(power if math.isfinite(power) else 0.5) and abs(power) < 999:
        return float(f"1e{int(power)}")  # exactly what is written
    try:
        return math.pow(base, power)
    except (OverflowError, ValueError):
        return math.nan if base < 0 else math.inf


def divide(a, b) -> float:
    """a/b, infinite or nan where b is zero."""
    return a / b if b else math.copysign(math.inf, a) if a else math.nan


def function(answer, signature):
    """The answer, if it can be called."""
    if not callable(answer):
        raise NoAnswerError(f"This exercise wants a function {signature}, not {answer!r}.")
    return answer


def given(value):
    """What a reader's function gave, if anything."""
    if value is None or value is ...:
        raise NoAnswerError("Not answered yet: the function returns nothing.")
    return value


def array(value) -> np.ndarray:
    """The real numbers that a reader's function gave, as one array."""
    try:
        numbers = np.asarray(given(value))
        if numbers.dtype.kind != "c":
            return numbers.astype(float)
    except (TypeError, ValueError):  # such as a point and a number beside it
        pass
    kind = f"a tuple of {len(value)}" if isinstance(value, tuple) else type(value).__name__
    raise NoAnswerError(f"Return one array of real numbers and nothing else, not {kind}.")


def returned(value) -> float:
    """The number that a reader's function gave, which need not be finite."""
    return number(given(value), finite=False)
