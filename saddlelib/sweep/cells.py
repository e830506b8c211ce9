"""What a sweep is made of: cells, their identity and their random numbers.

A cell is one value of every axis and one seed. Its identity is a hash of these, of the name of what
is run and of its version; its generator comes from the axes chosen by ``share`` and from nothing
else. So neither depends on the order of the work, on who does it, or on what else the grid holds.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import itertools
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from .. import ensemble
from .._arguments import integer
from ..loop import Status

__all__ = ["COLUMNS", "Grid", "Identity", "Pair", "as_cell", "readable"]

_RESERVED = {"seed", "rng", "key", "status", "message", "seconds", "attempt"}
_LARGEST = 10**9  # cells of a sweep
_MOST = 2**53  # whole numbers up to here are floats, too


def label_of(name, value):
    """The value of an axis as it stands in a table and in a hash: a number, word, bool or None."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        try:
            value.encode("utf8")
        except UnicodeEncodeError as error:
            raise ValueError(f"grid[{name!r}] holds {value!r}, which is no text: {error}") from None
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int) and not -2**63 <= value < 2**63:
        raise ValueError(f"grid[{name!r}] holds an integer of more than 64 bits, {value!r}")
    if isinstance(value, (int, float)):
        if isinstance(value, float) and math.isnan(value):
            raise ValueError(f"grid[{name!r}] holds NaN, which equals nothing, itself included")
        return int(value) if abs(value) <= _MOST and value == math.floor(value) else value
    raise TypeError(f"grid[{name!r}] holds {value!r}; values of an axis are numbers, words, bools "
                    f"or None, and anything else gets a name: {name!r}: {{'its name': it, ...}}")


@dataclass(frozen=True)
class Axis:
    """Its name, its values as labels, and what a cell is given for each."""

    name: str
    labels: list
    values: list


def _axis(name, values):
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"grid's axes are named like arguments, got {name!r}")
    if name in _RESERVED:
        raise ValueError(f"no axis can be called {name!r}; seeds go into seeds=...")
    if isinstance(values, (str, bytes, set, frozenset)) or not hasattr(values, "__iter__"):
        raise TypeError(f"grid[{name!r}] must be a list of values, got {values!r}; a single value "
                        f"is a list of one")
    if isinstance(values, Mapping):
        labels, values = list(values), list(values.values())
    else:
        labels = values = [label_of(name, value) for value in values]
    labels = [label_of(name, label) for label in labels]
    if not labels:
        raise ValueError(f"grid[{name!r}] is empty")
    if len({_text(label) for label in labels}) < len(labels):
        seen = set()
        twice = next(label for label in labels if _text(label) in seen or seen.add(_text(label)))
        raise ValueError(f"grid[{name!r}] holds {twice!r} twice")
    return Axis(name, labels, values)


def _text(*parts):
    return json.dumps(parts, ensure_ascii=True, separators=(",", ":")).encode()


class Grid:
    """All cells: the product of the axes, with the seeds innermost.

    Cell number i is seed ``i % len(seeds)`` of point ``i // len(seeds)``.
    """

    def __init__(self, axes, seeds, share=None):
        if not isinstance(axes, Mapping):
            raise TypeError(f"grid must be a dictionary {{axis: values}}, got {axes!r}")
        self.axes = [_axis(name, values) for name, values in axes.items()]
        self.seeds = _seeds(seeds)
        self.names = [axis.name for axis in self.axes]
        known = {*self.names, "seed"}
        self.share = sorted(known if share is None else _words(share))
        if unknown := sorted({*self.share} - known):
            raise ValueError(f"share names {unknown}, which are no axes; there are "
                             f"{sorted(known)}")
        self._shape = [len(axis.labels) for axis in self.axes]
        self.size = math.prod(self._shape) * len(self.seeds)
        if self.size > _LARGEST:
            raise ValueError(f"grid and seeds make {self.size} cells; a sweep has at most "
                             f"{_LARGEST}")

    def point(self, number):
        """The labels of a point, and what a cell is given there, both by axis."""
        at = np.unravel_index(number, self._shape) if self._shape else ()
        pairs = [(axis, int(i)) for axis, i in zip(self.axes, at, strict=True)]
        return ({axis.name: axis.labels[i] for axis, i in pairs},
                {axis.name: axis.values[i] for axis, i in pairs})

    def points(self):
        """The labels of all points, one after the other."""
        for labels in itertools.product(*(axis.labels for axis in self.axes)):
            yield dict(zip(self.names, labels, strict=True))


def _seeds(seeds):
    if isinstance(seeds, (int, np.integer)) and not isinstance(seeds, bool):
        if seeds > _LARGEST:
            raise ValueError(f"seeds must be at most {_LARGEST}, got {seeds}")
        return np.arange(integer("seeds", seeds))
    try:
        found = [integer("seeds", seed, least=0) for seed in seeds]
    except TypeError:
        raise TypeError(f"seeds must be a number of seeds or a list of integers >= 0, got "
                        f"{seeds!r}") from None
    if not found or len(set(found)) < len(found) or max(found) > 2**63 - 1:
        raise ValueError("seeds must be different integers below 2**63, at least one")
    return np.array(found)


def _words(share):
    words = not isinstance(share, str) and hasattr(share, "__iter__")
    if not words or not all(isinstance(name, str) for name in share):
        raise TypeError(f"share must be a list of axes, as in ('problem', 'seed'), got {share!r}")
    return set(share)


class Identity:
    """Keys and generators of the cells of one point."""

    def __init__(self, name, version, labels, share):
        told = sorted(labels.items())
        self._key = hashlib.blake2b(_text(name, version, told), digest_size=8)
        shared = [pair for pair in told if pair[0] in share]
        self._stream = hashlib.blake2b(_text(shared), digest_size=16)
        self._by_seed = "seed" in share

    def keys(self, seeds) -> np.ndarray:
        """One 64-bit number for each seed."""
        return np.array([int.from_bytes(_then(self._key, seed), "little")
                         for seed in np.asarray(seeds).tolist()], dtype=np.uint64)

    def rng(self, seed) -> np.random.Generator:
        """The generator of a cell, always from its beginning."""
        words = np.frombuffer(_then(self._stream, int(seed) if self._by_seed else ""), np.uint32)
        return np.random.default_rng(words)


def _then(digest, seed):
    digest = digest.copy()
    digest.update(b"|%a" % seed)
    return digest.digest()


# What is run -----------------------------------------------------------------------------------


class _Function:
    """A function of the axes that gives a number or a dictionary of numbers, called cell by cell.
    """

    batch = 1

    def __init__(self, function):
        self.function = function
        self.name = getattr(function, "__qualname__", type(function).__name__)
        parameters = _parameters(function)
        self.wants_seed = parameters is None or "seed" in parameters
        self.source = _source(function)

    def row(self, values, seed, rng):
        """What one cell gives, by column."""
        seed = {"seed": seed} if self.wants_seed else {}
        found = self.function(**values, **seed, rng=rng)
        if not isinstance(found, Mapping):
            found = {"value": found}
        row = {_name(name): _scalar(name, value) for name, value in found.items()}
        if clash := sorted(row.keys() & (_RESERVED | values.keys())):
            raise ValueError(f"the cell gives {clash}, which are columns of the sweep's own")
        return row


def _name(name):
    """The name of a column."""
    name = str(name)
    if not 0 < len(name) <= 100 or name != readable(name):
        raise ValueError(f"the cell gives a column the name {readable(name)[:100]!r}; names are "
                         f"text of 1 to 100 characters")
    return name


def readable(text):
    """Text that every file can hold."""
    return text.encode("utf8", "backslashreplace").decode("utf8")


def _scalar(name, value):
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, int) and not -2**63 <= value < 2**63:
        value = float(value)
    if isinstance(value, str):
        value = readable(value)
    if not isinstance(value, (bool, int, float, str)):
        raise TypeError(f"the cell gives a {type(value).__name__} for {name!r}; a column holds "
                        f"numbers, bools or words")
    return value


COLUMNS = {"reached", "nit", "nfev", "njev", "nhvp", "nhev", "fun", "grad_norm", "end"}


@dataclass(frozen=True)
class Pair:
    """A problem and a method as a cell: all seeds of a point run together by `ensemble.run`.

    Parameters
    ----------
    problem : Problem or callable
        The objective, or a function of axes that returns it, such as
        ``lambda d: QuarticSaddle.spread(d)``.
    method : Method or callable
        The method, or a function of axes, and of ``problem``, that returns it.
    maxiter : int
        Most steps of a run.
    start : ndarray of shape (d,), or callable, optional
        The start; or a function of ``rng``, of axes and of ``problem`` that returns one start. By
        default the first saddle that the problem knows. What ``start`` leaves of ``rng`` is the
        method's, so methods that share a generator share their starts.
    until : callable, optional
        ``until(x)`` as in `ensemble.run`, points (m, d) to booleans (m,); axes and ``problem`` may
        be among its arguments.

    name : str
        What is hashed for the identity of cells, beside axes and version.
    batch : int
        Most seeds that run together. Fewer need less memory: a run at a time holds a few arrays of
        ``batch`` points.

    Raises
    ------
    TypeError, ValueError
        Naming the argument; what goes wrong at a point of the grid is a row there.

    Notes
    -----
    A function asks for what it wants by the names of its arguments. The columns are ``reached``
    (the step at which ``until`` first held, inf where it did not), ``nit``, ``nfev``, ``njev``,
    ``nhvp``, ``nhev``, ``fun``, ``grad_norm`` and ``end``, the name of a `saddlelib.Status`.

    Examples
    --------
    >>> from saddlelib.methods import PGD
    >>> from saddlelib.problems import QuarticSaddle
    >>> escape = Pair(problem=lambda d: QuarticSaddle.spread(d),
    ...               method=lambda d, radius: PGD(step_size=1.0, perturbation_radius=radius,
    ...                                            grad_threshold=1e-3, decrease_threshold=1e-6,
    ...                                            episode_length=500),
    ...               until=lambda x: abs(x[:, 0]) > 0.2, maxiter=2000)
    >>> escape.name
    'Pair'
    """

    problem: object
    method: object
    maxiter: int
    start: object = None
    until: Callable | None = None
    name: str = "Pair"
    batch: int = 1000

    def __post_init__(self):
        integer("maxiter", self.maxiter, least=0)
        integer("batch", self.batch)
        if self.until is not None and not callable(self.until):
            raise TypeError(f"until must be a function of points (m, d), got {self.until!r}")
        for name in ("problem", "method"):
            if isinstance(getattr(self, name), (str, bytes)) or getattr(self, name) is None:
                raise TypeError(f"{name} must be one of saddlelib.{name}s or a function of axes "
                                f"that returns it, got {getattr(self, name)!r}")

    @property
    def source(self):
        """The text of what is run, to notice a change."""
        return "\n".join(_source(part) for part in (self.problem, self.method, self.start,
                                                    self.until)) + f"\n{self.maxiter}"

    def rows(self, values, rngs):
        """The columns of the cells of a point."""
        problem = _asked(self.problem, values) if not hasattr(self.problem, "grad") else \
            self.problem
        given = {**values, "problem": problem}
        method = self.method if hasattr(self.method, "step") else _asked(self.method, given)
        starts = np.array([self._start(problem, given, rng) for rng in rngs])
        until = self.until and _closed(self.until, given)
        runs = ensemble.run(problem, starts, method, seeds=rngs, maxiter=self.maxiter,
                            until=until)
        return {"reached": runs.reached, "nit": runs.nit, "nfev": runs.nfev, "njev": runs.njev,
                "nhvp": runs.nhvp, "nhev": runs.nhev, "fun": runs.fun,
                "grad_norm": np.linalg.norm(runs.jac, axis=1),
                "end": np.array([Status(status).name.lower() for status in runs.status])}

    def _start(self, problem, given, rng):
        if callable(self.start):
            return _asked(self.start, {**given, "rng": rng})
        if self.start is not None:
            return self.start
        if not len(problem.saddles):
            raise ValueError(f"{problem.name} knows no saddle to start from; give start=...")
        return problem.saddles[0]


def _parameters(function):
    """The names of its arguments; None where it takes any."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some of NumPy's own have no signature
        return set()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return {p.name for p in parameters if p.kind is not p.VAR_POSITIONAL}


def _wanted(function, given):
    parameters = _parameters(function)
    return given if parameters is None else {name: given[name] for name in given
                                             if name in parameters}


def _asked(function, given):
    return function(**_wanted(function, given))


def _closed(function, given):
    """The function of points alone, whatever its first argument is called."""
    first = next(iter(inspect.signature(function).parameters), None)
    rest = _wanted(function, {k: v for k, v in given.items() if k != first})
    return lambda x: function(x, **rest)


def _source(part):
    if isinstance(part, functools.partial):
        return f"{_source(part.func)}{part.args}{part.keywords}"
    try:
        return inspect.getsource(part) if callable(part) else repr(part)
    except (OSError, TypeError):
        return getattr(part, "__qualname__", type(part).__qualname__)


def as_cell(cell, grid):
    """A function of the axes of a grid or a `Pair`, or an error that names the argument."""
    if isinstance(cell, Pair):
        if clash := sorted(COLUMNS & {*grid.names}):
            raise ValueError(f"grid's axes {clash} have names of columns that a Pair gives")
        return cell
    if isinstance(cell, tuple) and len(cell) == 2:
        raise TypeError("cell is a tuple; a problem and a method are "
                        "Pair(problem, method, maxiter=...)")
    if not callable(cell) or isinstance(cell, type):
        raise TypeError(f"cell must be a function of the axes and rng, or a Pair, got {cell!r}")
    parameters = _parameters(cell)
    if parameters and (missing := [*sorted({*grid.names, "rng"} - parameters)]):
        raise TypeError(f"cell takes no argument {missing[0]!r}; it is called with every axis of "
                        f"the grid and with rng")
    return _Function(cell)
