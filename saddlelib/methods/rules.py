"""How a method declares itself: its name, its rules, and what each of them has to be told.

A rule is whatever makes a method out of numbers: a class, or a class method such as
`methods.PGD.practical`. It is declared where it stands, with `rule`; its signature says the rest.
Parameters with the name of one of the `CONSTANTS` come from the problem, from what the user told,
or from both; all others are options of the user's.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, replace

__all__ = ["CONSTANTS", "Rule", "declared", "extend", "find", "names", "rule", "show_options"]

# What a problem or a user can state, with its symbol.
CONSTANTS = {
    "step_size": "η", "lipschitz_grad": "ℓ", "lipschitz_hess": "ρ", "epsilon": "ε", "dim": "d",
    "curvature_tol": "γ", "failure_prob": "δ", "delta_f": "Δ_f", "sample_noise": "√v",
    "noise_std": "σ", "noise_scale": "σ_J", "population": "n", "replacement": "",
    "shapes": "",
}

_TABLE: dict[str, dict[str, Rule]] = {}


@dataclass(frozen=True)
class Rule:
    """One way to make a method.

    Attributes
    ----------
    method, name : str
        As in ``minimize(method=..., rule=...)``.
    build : callable
        Takes the constants and options by keyword and returns the method.
    step : str
        The formula, where the rule sets the step size itself; "" else.
    aliases : dict
        Parameters of ``build`` that are a constant by another name.
    without : tuple of str
        Parameters of ``build`` that are not offered.

    Examples
    --------
    >>> found = find("psd", "published")
    >>> str(found), found.requires("lipschitz_grad"), found.step
    ("'psd' with rule 'published'", True, '1/(2ℓ)')
    """

    method: str
    name: str
    build: Callable
    step: str = ""
    aliases: dict = field(default_factory=dict)
    without: tuple = ()

    @functools.cached_property
    def parameters(self) -> dict:
        """The parameters of ``build`` that are offered, by name."""
        signature = inspect.signature(self.build)
        return {name: parameter for name, parameter in signature.parameters.items()
                if name not in self.without}

    @functools.cached_property
    def constants(self) -> dict:
        """Parameter of ``build`` → constant, for those that are a constant."""
        named = {name: self.aliases.get(name, name) for name in self.parameters}
        return {name: constant for name, constant in named.items() if constant in CONSTANTS}

    @functools.cached_property
    def options(self) -> tuple:
        """What the user may add."""
        return tuple(name for name in self.parameters if name not in self.constants)

    def requires(self, parameter) -> bool:
        """Whether ``build`` cannot do without it."""
        return self.parameters[parameter].default is inspect.Parameter.empty

    def __str__(self):
        return f"{self.method!r} with rule {self.name!r}"


def rule(method, name, *, default=False, step="", without=(), **aliases):
    """Declare a class, or a class method of a `Method`, as a rule of ``method``.

    Parameters
    ----------
    method, name : str
        As in ``minimize(method=..., rule=...)``.
    default : bool
        Whether it is the one that is taken where no rule is named.
    step : str
        The formula, where the rule sets the step size itself.
    without : tuple of str
        Parameters that are not offered.
    **aliases : str
        Which parameter is a constant by another name, as in ``grad_threshold="epsilon"``.

    Returns
    -------
    callable
        Takes the class or the class method and hands it back.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> from saddlelib.methods import find
    >>> find("gd", "constant").options, find("pgd").name
    ((), 'practical')
    """
    def declare(made):
        says = dict(method=method, name=name, step=step, aliases=aliases, without=tuple(without))
        if isinstance(made, type):
            _enter(Rule(build=made, **says), default)
        else:
            made.__func__.declares = (says, default)  # until its class exists
        return made
    return declare


def declared(cls):
    """Enter the rules among the class methods of a class; `Method` does so for each of its kind."""
    for attribute, made in vars(cls).items():
        says, default = getattr(getattr(made, "__func__", None), "declares", (None, False))
        if says is not None:
            _enter(Rule(build=getattr(cls, attribute), **says), default)


def _enter(entry, default):
    rules = _TABLE.setdefault(entry.method, {})
    if default:  # comes first
        _TABLE[entry.method] = {entry.name: entry, **rules}
    else:
        rules[entry.name] = entry


def extend(method, change):
    """Put ``change(build)`` in the place of every ``build`` of a method."""
    for name, entry in _TABLE[method].items():
        _TABLE[method][name] = replace(entry, build=change(entry.build))


def names() -> list:
    """The names of all methods."""
    return list(_TABLE)


def find(method, name=None) -> Rule:
    """The rule of that name, the default one for None.

    Parameters
    ----------
    method, name : str
        As in ``minimize(method=..., rule=...)``.

    Returns
    -------
    Rule

    Raises
    ------
    ValueError
        For a name that nobody has declared.

    Examples
    --------
    >>> find("psd").name, find("psd", "published").step
    ('practical', '1/(2ℓ)')
    """
    rules = _TABLE.get(method)
    if rules is None:
        raise ValueError(f"method must be {either(_TABLE)}, got {method!r}")
    name = next(iter(rules)) if name is None else name
    if not isinstance(name, str) or name not in rules:
        raise ValueError(f"rule must be {either(rules)} for method {method!r}, got {name!r}")
    return rules[name]


def either(names) -> str:
    """'a' or 'b' or 'c'."""
    return " or ".join(map(repr, names))


def show_options(method=None, rule=None) -> None:
    """Print the methods, the rules of one of them, or what one rule takes and where it is from.

    Parameters
    ----------
    method, rule : str, optional
        As in `saddlelib.minimize`.

    Raises
    ------
    ValueError
        For a name that nobody has declared.

    Examples
    --------
    >>> from saddlelib import show_options
    >>> show_options("gd")                                          # doctest: +ELLIPSIS
    'gd'
      rule 'constant' (the default): x_{k+1} = x_k − η∇f(x_k) until ‖∇f(x_k)‖₂ ≤ grad_threshold.
      rule 'polyak': x − min(λ(f(x) − f*)/‖∇f(x)‖², cap)·∇f(x), the step of Polyak 1969.
      rule 'backtracking': x − η∇f(x) with η halved until f falls by η/2·‖∇f‖², ...
    """
    if rule is not None:
        found = find(method, rule)
        told = ", ".join(dict.fromkeys(found.constants.values()))
        print(f"{found}\n\nconstants: {told}\noptions: {', '.join(found.options) or 'none'}\n\n"
              f"{inspect.getdoc(found.build)}")
        return
    for name in names() if method is None else [method]:
        find(name)
        print(repr(name))
        for i, (each, found) in enumerate(_TABLE[name].items()):
            summary = (inspect.getdoc(found.build) or "").split("\n")[0]
            print(f"  rule {each!r}{' (the default)' if i == 0 else ''}: {summary}")
