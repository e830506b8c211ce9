"""episode.svg: the first state of the live figure of an escape episode, with all its runs.

The runs and the laws are those of saddlelib; only the random numbers are drawn as
the live figure draws them, so that both show the same runs.
"""

from __future__ import annotations

import math

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from style import INK, SOFT, FigureDraws, finish

from saddlelib.ensemble import first_time
from saddlelib.figures import COLORS
from saddlelib.problems import QuarticSaddle

GD, LAW, LATE, BAND = COLORS["gd"], COLORS["theory"], COLORS["saddle"], "#d3dae1"


def starts(figure):
    """The |ξ₁| of every run, (runs,): Z/√(Z² + χ²_{d+1}), with χ² by Marsaglia & Tsang (2000)."""
    draws, found = FigureDraws(figure.seed), []
    k = (figure.dim + 1) / 2 - 1 / 3
    while len(found) < figure.runs:
        z, n = draws.standard_normal(2)
        v, u = (1 + n / math.sqrt(9 * k)) ** 3, 1 - draws.random()
        if v > 0 and math.log(u) < 0.5 * n * n + k * (1 - v + math.log(v)):
            found.append(abs(z) / math.sqrt(z * z + 2 * k * v))
    return figure.perturbation_radius * np.array(found)


def runs(figure):
    """The starts, and the step at which each run is out; the other coordinates stay at 0."""
    x1 = starts(figure)
    times = first_time(QuarticSaddle(figure.gamma, [1.0]), np.column_stack([x1, 0 * x1]),
                       lambda x: abs(x[:, 0]) >= figure.exit_radius,
                       step_size=figure.step_size, maxiter=100_000)
    return x1, times


def episode(figure, kmax=260, width=5):
    """The picture of a live figure in its first state, as a matplotlib Figure."""
    x1, times = runs(figure)
    deadline, length = figure.deadline, figure.psd.episode_length
    picture = Figure(figsize=(7.6, 3.3), layout="constrained")
    one, many = picture.subplots(1, 2)

    k = np.arange(kmax + 1)
    low, middle, high = np.array([figure.envelope(t) for t in k]).T
    one.fill_between(k, low, high, color=BAND, linewidth=0)
    one.plot(k, middle, color=LAW, linewidth=1.4, linestyle="--")
    x = [x1[figure.draw]]
    while len(x) <= kmax:
        x.append(x[-1] - figure.step_size * x[-1] * (x[-1] ** 2 - figure.gamma))
    one.plot(k, x, color=GD, linewidth=2.2)
    out = int(times[figure.draw])
    one.plot(out, x[out], "o", color=GD, markerfacecolor="white", markersize=7, markeredgewidth=2)
    one.axhline(figure.exit_radius, color=SOFT, linewidth=0.9, linestyle=":")
    one.text(4, figure.exit_radius * 1.08, "exit √γ/2", color=SOFT)
    one.set(yscale="log", xlim=(0, kmax), ylim=(low[0] / 2.2, 2.2 * math.sqrt(figure.gamma)),
            title="|x₁|, the escape coordinate, log scale", xlabel="step t")
    exponents = [-4, -3, -2, -1]
    one.set_yticks([10.0**n for n in exponents], labels=["10⁻⁴", "10⁻³", "10⁻²", "10⁻¹"])
    one.minorticks_off()
    floor = low[0] / 1.7
    one.text(deadline - 5, 3 * floor, f"all but {100 * figure.failure_prob:g} %\nout by {deadline}",
             ha="right", va="center")
    one.text(kmax - 4, floor, f"published T\n{length}, {length / deadline:.1f}× →", ha="right",
             va="bottom")

    edges = np.arange(0, kmax + width, width)
    bins, percent = np.floor(times / width) * width + width / 2, 100 / figure.runs
    for chosen, colour in [(times <= deadline, GD), (times > deadline, LATE)]:
        bottom = percent * np.histogram(bins[times > deadline], edges)[0] if colour == GD else 0
        many.bar(edges[:-1], percent * np.histogram(bins[chosen], edges)[0], 0.9 * width,
                 align="edge", bottom=bottom, color=colour, linewidth=0)
    out_before = [0.0] + [figure.escape_probability(e - 1) for e in edges[1:]]
    many.stairs(100 * np.diff(out_before), edges, color=LAW, linewidth=1.4)
    many.set(xlim=(0, kmax), title=f"{figure.runs} escapes, shares in bins of {width} steps",
             xlabel="step t")
    many.set_yticks([0, 5, 10], labels=["0 %", "5 %", "10 %"])
    late = np.mean(times > deadline)
    many.text(deadline + 5, 0.93, f"out by {deadline}", transform=many.get_xaxis_transform())
    many.text(deadline + 5, 0.62, f"late: {100 * late:.1f} %\nmedian: {np.median(times):g}\n"
              f"predicted: {figure.predicted_median}", transform=many.get_xaxis_transform())
    for axes in (one, many):
        axes.axvline(deadline, color=INK, linewidth=1.4)
    finish([one, many])
    handles = [matplotlib.lines.Line2D([], [], color=GD, linewidth=2.2),
               matplotlib.lines.Line2D([], [], color=LAW, linewidth=1.4, linestyle="--"),
               matplotlib.patches.Patch(color=BAND), matplotlib.patches.Patch(color=LATE)]
    picture.legend(handles, ["gradient descent", "predicted", "predicted, 5 % to 95 %",
                             "late runs"], ncols=4, loc="outside upper left", frameon=False)
    return picture
