"""A table for each exercise: what it asks for, and what to say to which answer.

Conditions and the numbers in messages are terms: trees of lists, which Python and the page evaluate
alike. They are written as formulas of the parts of the answer,

>>> x = part(0)
>>> near(x, 0.03) & (x > 0)
["all", ["near", ["part", 0], 0.03, 0.01], ["<", 0, ["part", 0]]]

and a term inside an f-string becomes a place that each answer fills with its own number.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal, localcontext

from . import _laws
from ._numbers import WORDS, NoAnswerError, divide, number


class Term:
    """A number or a truth that depends on the answer."""

    def __init__(self, node):
        self.node = node

    def __repr__(self) -> str:
        return json.dumps(self.node, ensure_ascii=False)

    def __format__(self, spec) -> str:
        return f"⟦{spec or '.6g'}|{self!r}⟧"

    def __bool__(self) -> bool:
        raise TypeError("a term is true or false for an answer only; join terms with &, | and ~")

    def __invert__(self):
        return term("not", self)

    def __abs__(self):
        return term("abs", self)

    def __neg__(self):
        return term("-", 0, self)


def _binary(name, swap=False):
    return lambda self, other: term(name, *((other, self) if swap else (self, other)))


for _method, _name in {"add": "+", "sub": "-", "mul": "*", "truediv": "/"}.items():
    setattr(Term, f"__{_method}__", _binary(_name))
    setattr(Term, f"__r{_method}__", _binary(_name, swap=True))
for _method, _name, _swap in (("lt", "<", False), ("gt", "<", True), ("le", "<=", False),
                              ("ge", "<=", True), ("and", "all", False), ("or", "any", False)):
    setattr(Term, f"__{_method}__", _binary(_name, _swap))


def term(name, *of) -> Term:
    """A term of others; numbers and lists of numbers stand for themselves."""
    return Term([name, *(x.node if isinstance(x, Term) else _plain(x) for x in of)])


def _plain(x):
    """Python's own numbers in place of NumPy's, and whole ones as ints, for a short JSON."""
    if isinstance(x, str):
        return x
    if hasattr(x, "__len__"):
        return ["list", *map(_plain, x)]
    return int(x) if float(x).is_integer() and abs(x) < 2**53 else float(x)


def part(i) -> Term:
    """Number ``i`` of the answer, or its word."""
    return term("part", i)


def near(x, value, rel=0.01) -> Term:
    """Whether x is within a share ``rel`` of a value."""
    return term("near", x, value, rel)


def within(x, value, distance) -> Term:
    """Whether x is no farther than a distance from a value."""
    return abs(x - value) <= distance


def equal(x, value) -> Term:
    """Whether x is a value exactly; also for words."""
    return term("is", x, value)


def whole(x) -> Term:
    """Whether x is a whole number."""
    return term("whole", x)


def first(right, name, hints, last) -> list:
    """Rows for one part of several: hints while it is not right, and silence when it is.

    ``name`` goes before each hint, for what was right before and for the part itself.
    """
    rows = [(term("all", ~right, row), f"{name}{hint}") for row, hint in hints]
    return [*rows, (~right, f"{name}{last}")]


_OPERATIONS = {
    "list": lambda *x: x,  # a tuple, which a cache can keep
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": divide,
    "abs": abs,
    "sqrt": lambda a: math.sqrt(a) if a >= 0 else math.nan,
    "log": lambda a: math.log(a) if a > 0 else -math.inf if a == 0 else math.nan,
    "ceil": lambda a: math.ceil(a) if math.isfinite(a) else a,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    "is": lambda a, b: a == b,
    "near": lambda a, b, rel: math.isclose(a, b, rel_tol=rel),
    "whole": lambda a: math.isfinite(a) and a == int(a),
    "not": lambda a: not a,
    **_laws.OPERATIONS,
}


def evaluate(node, parts):
    """The value of a term's tree for the parts of an answer."""
    if not isinstance(node, list):
        return node
    name, *of = node
    if name == "part":
        return parts[of[0]]
    if name in ("all", "any"):
        return {"all": all, "any": any}[name](evaluate(x, parts) for x in of)
    return _OPERATIONS[name](*(evaluate(x, parts) for x in of))


def shown(x, spec) -> str:
    """A number in the words of ``spec``, ".3g", ".0f" or ".1e"; halves go away from zero.

    >>> shown(0.125, ".2g"), shown(2.5, ".0f"), shown(144.0, ".6g"), shown(1e-7, ".2g")
    ('0.13', '3', '144', '1e-07')
    """
    digits, kind = int(spec[1:-1]), spec[-1]
    if isinstance(x, str) or not math.isfinite(x):
        return str(x)
    x += 0.0  # no minus before a zero
    with localcontext(rounding=ROUND_HALF_UP, prec=400):
        if kind == "f":
            return f"{Decimal(x):.{digits}f}"
        places = digits - (kind == "g")
        mantissa, exponent = f"{Decimal(x):.{places}e}".split("e")
        exponent = exponent if x else 0
        if kind == "g" and -4 <= int(exponent) < digits:
            plain = f"{Decimal(x):.{places - int(exponent)}f}"
            return plain.rstrip("0").rstrip(".") if "." in plain else plain
    if kind == "g" and "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent):+03d}"


def pieces(message) -> list:
    """A message as texts and, between them, pairs of a spec and a term's tree."""
    found = re.split(r"⟦(\.\d[gfe])\|(.*?)⟧", message)
    places = [[spec, json.loads(node)] for spec, node in zip(found[1::3], found[2::3], strict=True)]
    joined = [x for pair in zip(found[::3], [*places, ""], strict=True) for x in pair]
    return [x for x in joined if x]


@dataclass(frozen=True)
class Exercise:
    """What an exercise asks for, and its answers.

    Attributes
    ----------
    asks : tuple of str
        A name for each number; one name for a choice; the signature for code.
    rows : list of (Term, str)
        What to say where a condition holds: the first that holds counts. A message that begins
        with "Correct." belongs to a right answer.
    last : str
        What to say where none holds.
    choices : tuple of str
        The words among which to choose.
    code : callable
        For an exercise that wants code: maps the answer to a message.
    """

    asks: tuple[str, ...]
    rows: list = field(default_factory=list)
    last: str = ""
    choices: tuple[str, ...] = ()
    code: Callable | None = None

    @property
    def kind(self) -> str:
        """What the answer is: "choice", "number", "numbers" or "code"."""
        if self.code:
            return "code"
        return "choice" if self.choices else "number" if len(self.asks) == 1 else "numbers"

    def read(self, answer) -> list:
        """The parts of an answer; NoAnswerError if it has not what it takes."""
        if self.choices:
            word = " ".join(answer.split()).lower() if isinstance(answer, str) else answer
            if word == "":
                raise NoAnswerError(WORDS["empty"])
            if not isinstance(word, str) or word not in self.choices:
                listed = ", ".join(f"“{choice}”" for choice in self.choices)
                raise NoAnswerError(WORDS["choose"].format(listed))
            return [word]
        if len(self.asks) == 1:
            return [number(answer)]
        try:
            given = [] if isinstance(answer, (str, bytes, dict, set)) else list(answer)
        except TypeError:
            given = []
        if len(given) != len(self.asks):
            raise NoAnswerError(f"This exercise wants {len(self.asks)} numbers "
                                f"({', '.join(self.asks)}), not {answer!r}.")
        return self._numbers(given)

    def _numbers(self, given):
        empty = [isinstance(one, str) and not one.strip() or one is None for one in given]
        if all(empty):
            raise NoAnswerError(WORDS["empty"])
        if any(empty):
            raise NoAnswerError(WORDS["missing"].format(self.asks[empty.index(True)]))
        values = []
        for name, one in zip(self.asks, given, strict=True):
            try:
                values.append(number(one))
            except NoAnswerError as error:
                raise NoAnswerError(f"{name}: {error}") from None
        return values

    def place(self, answer) -> int:
        """Which row answers; the number of rows stands for the last hint."""
        parts = self.read(answer)
        return next((i for i, (row, _) in enumerate(self.rows) if evaluate(row.node, parts)),
                    len(self.rows))

    def message(self, answer) -> str:
        """What to say to an answer, "Correct. …" if it is right."""
        if self.code:
            return self.code(answer)
        parts, texts = self.read(answer), [*(text for _, text in self.rows), self.last]
        return "".join(piece if isinstance(piece, str) else
                       shown(evaluate(piece[1], parts), piece[0])
                       for piece in pieces(texts[self.place(answer)]))

    def to_json(self, name) -> dict:
        """All that the page needs to answer like `message`."""
        return {"name": name, "kind": self.kind, "asks": list(self.asks),
                "choices": list(self.choices), "words": WORDS,
                "rows": [[row.node, pieces(text)] for row, text in self.rows],
                "last": pieces(self.last)}
