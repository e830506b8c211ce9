"""What each theory asks for, in gradients, time and money: the budget calculator of chapter 2."""

from __future__ import annotations

import traitlets

from ..theory.budget import BudgetTable, budget
from ._parts import Count, LiveFigure, Number, real, script, style

__all__ = ["BudgetCalculator"]

METHODS = ("PGD 2017", "PGD 2021", "PSD", "repaired PSD", "certified PSD")
_SETTING = ("lipschitz_grad", "lipschitz_hess", "epsilon", "failure_prob", "delta_f", "dim")


class _Runs(traitlets.List):
    """Measured runs as dicts of one shape, or an error that says which one is wrong and why."""

    def validate(self, obj, value):
        try:
            return [self._run(obj, dict(run)) for run in value]
        except (TypeError, ValueError):
            raise traitlets.TraitError(
                f"runs must be a list of dicts with the keys name, {', '.join(_SETTING)} and "
                f"taken, got {value!r}") from None

    @staticmethod
    def _run(obj, run):
        missing = {"name", "taken", *_SETTING} - set(run)
        unknown = set(run) - {"name", "taken", "gradient_seconds", *_SETTING}
        name = run.get("name")
        if missing or unknown or not (isinstance(name, str) and name):
            raise traitlets.TraitError(
                f"a run has a name, {', '.join(_SETTING)}, taken and, if measured, "
                f"gradient_seconds; {name!r} lacks {sorted(missing)}, has {sorted(unknown)} beside")
        traits = obj.traits()
        checked = {"name": name}
        for key in (*_SETTING, "gradient_seconds"):
            if key in run:
                checked[key] = traits[key].validate(obj, run[key])
        taken = dict(run["taken"])
        if not taken or not set(taken) <= set(METHODS):
            raise traitlets.TraitError(f"taken of the run {name!r} must name some of "
                                       f"{', '.join(METHODS)}, got {sorted(map(str, taken))}")
        checked["taken"] = {method: real(f"taken[{method!r}]", n) for method, n in taken.items()}
        if not all(n > 0 for n in checked["taken"].values()):
            raise traitlets.TraitError(f"taken of the run {name!r} must be gradients > 0, "
                                       f"got {taken}")
        return checked


class BudgetCalculator(LiveFigure):
    r"""Bars of the gradients that each theory asks for, with sliders for what it is asked for.

    The rows are those of `saddlelib.theory.budget.budget`, computed in the page by the same
    formulas; the bound of PSD is marked "not proved", and no such bound is called the least. Beside
    them stands how each bound grows as ε shrinks. Where a run of ``runs`` was made at the present
    setting, a mark says how many gradients it took.

    All traits are synchronized: setting one in Python moves the figure, and moving the figure sets
    it in Python. Beyond ε = ℓ²/ρ no theory promises anything, and the figure says so.

    Parameters
    ----------
    lipschitz_grad, lipschitz_hess, delta_f : float
        ℓ, ρ and Δ_f, each in [10⁻⁶, 10⁶].
    epsilon : float
        ε in [10⁻⁹, 10⁶].
    failure_prob : float
        δ in [10⁻⁹, 0.9].
    dim : int
        d in [1, 10⁹].
    gradient_seconds : float
        Time of one gradient, in seconds, in [10⁻¹², 10⁶]. A value of f counts as much.
    price_per_hour : float
        In [0, 10⁶], in any currency; 0 for no price.
    runs : list of dict
        Runs to compare with, each ``{"name": …, "lipschitz_grad": …, "lipschitz_hess": …,
        "epsilon": …, "failure_prob": …, "delta_f": …, "dim": …, "taken": {method: gradients}}``
        and, if measured, ``"gradient_seconds"``. Each becomes a button with its name. The methods
        are "PGD 2017", "PGD 2021", "PSD", "repaired PSD" and "certified PSD".

    Raises
    ------
    traitlets.TraitError
        If a trait is given a value outside these ranges; the message names them.
    TypeError
        If there is no trait of that name.

    Examples
    --------
    >>> figure = BudgetCalculator(epsilon=0.01)
    >>> figure
    BudgetCalculator(epsilon=0.01)
    >>> f'{figure.table["PSD"].gradients:.1e}'
    '7.7e+11'
    """

    _esm = script("budget")
    _css = style()

    _inputs = (*_SETTING, "gradient_seconds", "price_per_hour", "runs")

    # The setting of the authors' figures, where every constant of PSD is printed.
    lipschitz_grad = Number(10.0, 1e-6, 1e6).tag(sync=True)
    lipschitz_hess = Number(0.1, 1e-6, 1e6).tag(sync=True)
    epsilon = Number(1e-3, 1e-9, 1e6).tag(sync=True)
    failure_prob = Number(0.1, 1e-9, 0.9).tag(sync=True)
    delta_f = Number(1.0, 1e-6, 1e6).tag(sync=True)
    dim = Count(10, 1, 10**9).tag(sync=True)
    gradient_seconds = Number(1e-5, 1e-12, 1e6).tag(sync=True)
    price_per_hour = Number(2.0, 0, 1e6).tag(sync=True)
    runs = _Runs().tag(sync=True)

    @property
    def table(self) -> BudgetTable:
        """The rows of the figure as it stands; raises ValueError where ε > ℓ²/ρ."""
        setting = {name: getattr(self, name) for name in _SETTING}
        taken = {}
        for run in self.runs:
            if all(run[name] == setting[name] for name in _SETTING):
                taken |= run["taken"]
        return budget(**setting, gradient_seconds=self.gradient_seconds,
                      price_per_hour=self.price_per_hour or None, taken=taken)
