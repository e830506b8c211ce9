"""budget.svg: the first state of the budget calculator.

The gradients that each theory asks for in the setting of the authors' figures, and how they grow
as ε shrinks: times ε², so that what grows like ε⁻² is level.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from style import INK, SOFT, finish

from saddlelib.figures import COLORS
from saddlelib.live import BudgetCalculator
from saddlelib.theory.budget import duration

LOOK = {"PGD 2017": (COLORS["pgd"], "-"), "PGD 2021": (COLORS["pgd2021"], "--"),
        "PSD": (COLORS["psd"], "-"), "repaired PSD": (COLORS["repaired"], "--"),
        "certified PSD": (COLORS["certified"], ":")}

NOTES = {"PSD": ", not proved", "PGD 2017": ", if c = 1"}
_UP = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power(number):
    """2.9e+14 as 2.9·10¹⁴."""
    digits, exponent = f"{number:.1e}".split("e")
    return digits if not int(exponent) else f"{digits}·10{str(int(exponent)).translate(_UP)}"


def said(seconds):
    """A time as the live figure says it."""
    number, unit = duration(seconds).split()
    return f"{power(float(number)) if 'e+' in number else number} {unit}"


def bars(figure):
    """The picture of a calculator, as a matplotlib Figure."""
    table = figure.table
    picture = Figure(figsize=(7.6, 4.0), layout="constrained")
    left, right = picture.subplots(1, 2, width_ratios=[1.35, 1])
    for i, row in enumerate(table):
        colour, line = LOOK[row.method]
        left.barh(-i, row.gradients, left=1, height=0.4, color=colour if line == "-" else "white",
                  edgecolor=colour, linestyle=line, linewidth=2)
        left.text(1, -i + 0.27, f"{row.method}{NOTES.get(row.method, '')}: "
                  f"{power(row.gradients)} gradients, {said(row.seconds)}, "
                  f"\\${power(row.money)}", va="bottom", fontsize=8)
    left.set(xscale="log", xlim=(1, 1e18), yticks=[], ylim=(0.3 - len(table), 0.75),
             title="gradients at most, log scale")
    left.set_xticks([10.0**n for n in range(0, 19, 3)],
                    labels=["1", *(f"10{str(n).translate(_UP)}" for n in range(3, 19, 3))])

    setting = {name: getattr(figure, name) for name in (
        "lipschitz_grad", "lipschitz_hess", "failure_prob", "delta_f", "dim", "gradient_seconds")}
    epsilons = np.logspace(0, -8, 17)
    asked = [BudgetCalculator(epsilon=e, **setting).table for e in epsilons]
    for row in table:
        colour, line = LOOK[row.method]
        level = [e**2 * t[row.method].gradients for e, t in zip(epsilons, asked, strict=True)]
        right.plot(epsilons, level, line, color=colour, label=row.method)
        right.plot(figure.epsilon, figure.epsilon**2 * row.gradients, "o", color=colour,
                   markeredgecolor=INK, markersize=5)
    right.axvline(figure.epsilon, color=INK, linewidth=0.8)
    for slope, name in [(0, "like ε$^{-2}$"), (-0.5, "like ε$^{-5/2}$")]:
        right.plot(epsilons[:10], 1e3 * epsilons[:10]**slope, ":", color=SOFT, linewidth=1)
        right.text(epsilons[9] * 0.7, 1e3 * epsilons[9]**slope, name, va="center")
    right.set(xscale="log", yscale="log", xlim=(1, 1e-8), ylim=(1, 1e18),
              title="gradients at most, times ε²",
              xlabel="accuracy ε, smaller to the right")
    right.set_xticks([10.0**-n for n in range(0, 9, 2)],
                     labels=["1", *(f"10⁻{str(n).translate(_UP)}" for n in range(2, 9, 2))])
    right.set_yticks([10.0**n for n in range(0, 19, 6)],
                     labels=["1", *(f"10{str(n).translate(_UP)}" for n in range(6, 19, 6))])
    right.legend(frameon=False, fontsize=7.5)
    for axes in (left, right):
        axes.minorticks_off()
    finish([left, right])
    return picture
