"""What each theory asks for before a run: evaluations, time and money.

A theorem that bounds the number of gradients, times the cost of one gradient on this machine, is a
promise about time. `budget` makes it for every method at once, beside what runs took; the numbers
are upper bounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .._arguments import positive
from . import alpay2025, certified, episode, jin2017, jin2021
from .precision import decrease_warning

__all__ = ["Budget", "BudgetTable", "budget", "duration"]

_UNITS = [("ms", 1e-3), ("s", 1.0), ("min", 60.0), ("h", 3600.0), ("days", 86400.0),
          ("years", 365.25 * 86400.0)]


@dataclass(frozen=True)
class Budget:
    """What one method's theory asks for; a row of `budget`.

    Attributes
    ----------
    method : str
    source : str
        Where the bound comes from.
    promise : str
        What holds when the budget is spent, with the probability asked for.
    gradients : float
        Gradients, at most; infinite beyond the range of float64.
    values : float
        Values of f, at most.
    eigenvalues : float
        Smallest eigenvalues of a Hessian, at most.
    seconds : float
        Time for all of them.
    money : float or None
        In the currency of ``price_per_hour``; None without a price.
    warning : str
        What float64 cannot carry of this method, or "".
    taken : float or None
        Gradients that a run took.
    """

    method: str
    source: str
    promise: str
    gradients: float
    values: float
    eigenvalues: float
    seconds: float
    money: float | None
    warning: str
    taken: float | None = None

    @property
    def times(self) -> float | None:
        """How many times more gradients the theory asks for than the run took."""
        return None if self.taken is None else self.gradients / self.taken


@dataclass(frozen=True)
class BudgetTable:
    """The rows of `budget`; prints as a table, one method a line, warnings below.

    Attributes
    ----------
    rows : tuple of Budget
        In the order of `budget`; ``table["PSD"]`` is one of them by its method.

    Examples
    --------
    >>> table = budget(10.0, 0.1, 1e-3, dim=10, delta_f=1.0, gradient_seconds=1e-5)
    >>> len(table), table["PSD"].source
    (5, "authors' repository of Alpay & Alakkad 2025")
    """

    rows: tuple[Budget, ...]

    def __iter__(self):
        return iter(self.rows)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, method) -> Budget:
        for row in self.rows:
            if row.method == method:
                return row
        raise KeyError(f"no method {method!r}; there are {[row.method for row in self.rows]}")

    def __str__(self) -> str:
        lines = [("method", "gradients", "values", "eigenvalues", "time", "money", "taken",
                  "times")]
        lines += [(row.method, _count(row.gradients), _count(row.values), _count(row.eigenvalues),
                   duration(row.seconds), _count(row.money), _count(row.taken), _count(row.times))
                  for row in self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
                for line in lines]
        text += [f"{row.method}: {row.warning}" for row in self.rows if row.warning]
        return "\n".join(text)


def budget(lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob=0.1, *,
           gradient_seconds, price_per_hour=None, value_seconds=None, eigenvalue_seconds=0.0,
           c=1.0, fun_scale=None, taken=None) -> BudgetTable:
    r"""Evaluations, time and money that the theories of PGD and PSD ask for.

    The rows, all for the same (ℓ, ρ, ε, d, Δ_f, δ):

    - "PGD 2017": `jin2017.iteration_bound`. An episode adds two values of f and one gradient, and
      there are at most Δ_f/f_thres + 1 of them.
    - "PGD 2021": T_tot of `jin2021.iteration_bound` at `jin2021.smallest_iota`, and one more
      gradient every 𝒯 steps.
    - "PSD": `alpay2025.iteration_bound`, one more gradient an episode and M + 1 eigenvalues.
    - "repaired PSD": `episode.iteration_bound`, gradients alone.
    - "certified PSD": `certified.certified_bound`, the default rule of `psd`. A Hessian-vector
      product counts as two gradients, which is what a difference of gradients takes.

    Parameters
    ----------
    lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob
        ℓ, ρ, ε ≤ ℓ²/ρ, d, Δ_f, δ as in `jin2017.pgd_constants`.
    gradient_seconds : float
        Measured time of one gradient, in seconds, > 0.
    price_per_hour : float, optional
        > 0, in any currency.
    value_seconds : float, optional
        Time of one value of f; that of a gradient by default, which is not less.
    eigenvalue_seconds : float
        Time of one smallest eigenvalue, ≥ 0. At the default 0 the time of PSD leaves them out.
    c : float
        Of PGD 2017, in (0, 1].
    fun_scale : float, optional
        \|f\| where the method compares values; Δ_f by default. Rounding is relative to it.
    taken : dict, optional
        Gradients that runs took, by method: ``{"PSD": 42}``.

    Returns
    -------
    BudgetTable

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> table = budget(10.0, 0.1, 1e-3, dim=10, delta_f=1.0, gradient_seconds=1e-5,
    ...                price_per_hour=2.0, taken={"PSD": 226_786})
    >>> print(table)
    method         gradients   values  eigenvalues           time    money    taken    times
    PGD 2017           3e+14  4.8e+09            0       95 years  1.7e+06        –        –
    PGD 2021         3.1e+17        0            0  100,000 years  1.7e+09        –        –
    PSD              2.9e+14        0      1.3e+09       92 years  1.6e+06  2.3e+05  1.3e+09
    repaired PSD     3.1e+14        0            0       98 years  1.7e+06        –        –
    certified PSD    2.3e+07  6.2e+08            0          1.8 h      3.6        –        –
    """
    c, delta_f = positive("c", c), positive("delta_f", delta_f)
    gradient_seconds = positive("gradient_seconds", gradient_seconds)
    value_seconds = gradient_seconds if value_seconds is None else positive(
        "value_seconds", value_seconds)
    eigenvalue_seconds = float(eigenvalue_seconds)
    if not (eigenvalue_seconds >= 0 and math.isfinite(eigenvalue_seconds)):
        raise ValueError(f"eigenvalue_seconds must be a finite number >= 0, got "
                         f"{eigenvalue_seconds}")
    if price_per_hour is not None:
        price_per_hour = positive("price_per_hour", price_per_hour)
    fun_scale = delta_f if fun_scale is None else positive("fun_scale", fun_scale)
    taken = dict(taken or {})
    for name, gradients in taken.items():
        taken[name] = positive(f"taken[{name!r}]", gradients)
    given = (lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob)

    def row(method, source, promise, gradients, values, eigenvalues, decrease, tested):
        seconds = (gradients * gradient_seconds + values * value_seconds
                   + (eigenvalues * eigenvalue_seconds if eigenvalue_seconds else 0.0))
        money = None if price_per_hour is None else seconds / 3600 * price_per_hour
        return Budget(method, source, promise, gradients, values, eigenvalues, seconds, money,
                      decrease_warning(decrease, fun_scale, tested), taken.pop(method, None))

    k = jin2017.pgd_constants(*given, c)
    episodes = (delta_f / k.decrease_threshold if k.decrease_threshold else math.inf) + 1
    rows = [row("PGD 2017", "Jin et al. 2017, Theorem 3",
                "has returned a second-order stationary point",
                jin2017.iteration_bound(*given, c) + episodes, 2 * episodes, 0.0,
                k.decrease_threshold, True)]

    iota = jin2021.smallest_iota(*given)
    k = jin2021.pgd_constants(lipschitz_grad, lipschitz_hess, epsilon, iota)
    steps = jin2021.iteration_bound(lipschitz_grad, lipschitz_hess, epsilon, delta_f, iota)
    rows.append(row("PGD 2021", "Jin et al. 2021, Theorem 18",
                    "half of the iterates are second-order stationary, no test says which",
                    steps + steps / k.episode_length, 0.0, 0.0, k.decrease / 2, False))

    k = alpay2025.psd_constants(*given)
    rows.append(row("PSD", "authors' repository of Alpay & Alakkad 2025",
                    "has returned a second-order stationary point",
                    alpay2025.iteration_bound(*given) + float(k.max_episodes), 0.0,
                    float(k.max_episodes) + 1, k.decrease, False))
    steps = episode.smallest_episode_length(*given)
    k = episode.episode_constants(lipschitz_grad, lipschitz_hess, epsilon, dim, steps)
    rows.append(row("repaired PSD", "chapter 2", "has returned a second-order stationary point",
                    episode.iteration_bound(*given), 0.0, 0.0, k.decrease, False))
    k = certified.certified_bound(*given)
    rows.append(row("certified PSD", "chapter 2", "has returned a second-order stationary point",
                    k.gradients + 2 * k.products, k.values, 0.0, k.decrease, True))
    if taken:
        raise ValueError(f"taken must name some of {', '.join(r.method for r in rows)}, got "
                         f"{', '.join(map(repr, taken))}")
    return BudgetTable(tuple(rows))


def duration(seconds) -> str:
    """A time in the unit in which people say it.

    Parameters
    ----------
    seconds : float
        ≥ 0; infinite for what float64 cannot hold.

    Returns
    -------
    str
        A number of two digits, and the unit.

    Raises
    ------
    ValueError
        If ``seconds`` is negative or no number.

    Examples
    --------
    >>> [duration(s) for s in (0.0042, 90.0, 2e5, 4e12, float("inf"))]
    ['4.2 ms', '1.5 min', '2.3 days', '1.3e+05 years', 'more than 1e300 years']
    """
    seconds = float(seconds)
    if not seconds >= 0:
        raise ValueError(f"seconds must be >= 0, got {seconds}")
    if seconds == math.inf:
        return "more than 1e300 years"
    unit, size = next(((u, s) for u, s in reversed(_UNITS) if seconds >= s), _UNITS[0])
    return f"{_count(seconds / size)} {unit}"


def _count(number) -> str:
    if number is None:
        return "–"
    if number == math.inf:
        return "> 1e308"
    if 10 <= number < 1e5:
        return f"{float(f'{number:.2g}'):,.0f}"
    return f"{number:.2g}"
