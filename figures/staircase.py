"""staircase.svg: the first state of the live figure of a network's birth, at the end of its time.

The flow is that of `saddlelib.problems.DeepLinear`, by SciPy's integrator.
"""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from style import INK, SOFT, finish

from saddlelib.figures import COLORS
from saddlelib.flow import gradient_flow, mode_reaches
from saddlelib.problems import DeepLinear

MODES = [(COLORS["mode1"], 2.6), (COLORS["mode2"], 2.1), (COLORS["mode3"], 1.6)]
NAMES = ["m₁", "m₂", "m₃"]


def flow(figure, end):
    """The strengths of the modes as a function of time, and when each is half way."""
    problem = DeepLinear.from_modes(figure.modes, figure.depth)
    start = problem.pack([w * np.eye(len(figure.modes)) for w in figure.start])
    events = [mode_reaches(lambda x, i=i: problem.strengths(x)[i], s / 2)
              for i, s in enumerate(figure.modes)]
    run = gradient_flow(problem, start, end, events, method="LSODA", dense_output=True)
    return (lambda t: problem.strengths(run.sol(t).T).T), [t[0] for t in run.t_events]


def staircase(figure):
    """The picture of a live figure in its first state, as a matplotlib Figure."""
    expected, s = figure.predicted_times, np.array(figure.modes)
    end = 1.07 * max(expected)
    strengths, half = flow(figure, end)
    t = np.sort(np.concatenate([np.linspace(0, end, 200),
                                *(h + np.linspace(-60, 60, 121) for h in half)]))
    p = strengths(t)

    picture = Figure(figsize=(7.6, 3.6), layout="constrained")
    grid = picture.add_gridspec(2, 2, height_ratios=[3, 2])
    rise, loss = picture.add_subplot(grid[:, 0]), picture.add_subplot(grid[0, 1])
    table = picture.add_subplot(grid[1, 1])
    for i, (colour, width) in enumerate(MODES):
        rise.axvline(expected[i], color=INK, linewidth=1.2, linestyle="--")
        rise.plot(t, p[i], color=colour, linewidth=width)
        rise.plot(half[i], s[i] / 2, "o", color=colour, markerfacecolor="white", markersize=7,
                  markeredgewidth=2)
        late = expected[i] > end / 2
        rise.text(half[i] + (-0.03 if late else 0.03) * end, s[i] / 2,
                  f"ratio {half[i] / expected[i]:.2f}", va="center", ha="right" if late else "left",
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})
        rise.text(0.01 * end, s[i] + 0.015, f"{NAMES[i]} = {s[i]:g}")
    rise.set(xlim=(0, end), ylim=(0, 1.12), title="strengths of the modes",
             xlabel="time t of the flow")

    loss.plot(t, 0.5 * ((s[:, np.newaxis] - p) ** 2).sum(axis=0), color=INK, linewidth=1.8)
    plateaus = [0.5 * (s[k:] ** 2).sum() for k in range(3)]
    for value, words in zip(plateaus, ["saddle: no mode learned", "one mode learned",
                                       "two modes learned"], strict=True):
        loss.axhline(value, color=SOFT, linewidth=0.9, linestyle=":")
        loss.text(0.98 * end, 1.15 * value, words, ha="right")
    loss.set(yscale="log", xlim=(0, end), ylim=(1e-3 * plateaus[-1], 3 * plateaus[0]),
             title="loss ½Σ(m − p)²", xlabel="time t of the flow")
    loss.set_yticks([1e-4, 1e-2, 1], labels=["10⁻⁴", "10⁻²", "1"])
    loss.minorticks_off()
    finish([rise, loss])

    table.axis("off")
    columns = [0.38, 0.59, 0.76, 1.0]
    rows = [(INK, "half way", ["time", "predicted", "ratio", "law, small ε"])] + [
        (colour, f"{name} = {mode:g}", [_three(a), _three(b), f"{a / b:.2f}", _three(law)])
        for (colour, _), name, mode, a, b, law in zip(MODES, NAMES, s, half, expected,
                                                      figure.leading_times, strict=True)]
    for i, (colour, name, cells) in enumerate(rows):
        table.text(0, 0.85 - 0.25 * i, name, color=colour, transform=table.transAxes)
        for x, cell in zip(columns, cells, strict=True):
            table.text(x, 0.85 - 0.25 * i, cell, ha="right", transform=table.transAxes)

    handles = [Line2D([], [], color=colour, linewidth=width) for colour, width in MODES]
    picture.legend([*handles, Line2D([], [], color=INK, linewidth=1.2, linestyle="--")],
                   [*(f"mode {name}" for name in NAMES), "half way, predicted"], ncols=4,
                   loc="outside upper left", frameon=False, labelcolor=SOFT)
    return picture


def _three(value):
    """Three significant digits, as the live figure writes them."""
    return f"{round(value, 2 - math.floor(math.log10(value))):g}"
