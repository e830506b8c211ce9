"""noise.svg: the first state of the live figure of a noisy trigger, with all its steps.

The function, the laws and the rule are those of saddlelib; only the random numbers are drawn as
the live figure draws them, so that both show the same runs and the same mini-batches.
"""

from __future__ import annotations

import math

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from style import CONTOUR, INK, SOFT, FigureDraws, finish

from saddlelib.figures import COLORS
from saddlelib.methods.base import gd_step
from saddlelib.problems import QuarticSaddle
from saddlelib.theory import noise as theory

SGD, LAW, RIGHT, FALSE, MISSED = (COLORS["gd"], COLORS["theory"], COLORS["minimizer"],
                                  COLORS["pgd"], COLORS["missed"])
DRAWS, RUNS, STEPS = 2000, 6, 120
STEP_SIZE, EPSILON = 0.05, 0.2


def _normal_and(draws, rest):
    """One coordinate and the squared length of ``rest`` more, by Marsaglia & Tsang (2000)."""
    k = rest / 2 - 1 / 3
    while True:
        z, n = draws.standard_normal(2)
        if rest < 2:
            return z, rest * n * n
        v, u = (1 + n / math.sqrt(9 * k)) ** 3, 1 - draws.random()
        if v > 0 and math.log(u) < 0.5 * n * n + k * (1 - v + math.log(v)):
            return z, 2 * k * v


def norms(figure):
    """‖ĝ‖/ε of the mini-batches, (2, DRAWS): where ∇f = 0, and where ‖∇f‖ is ``grad_norm``."""
    draws, s = FigureDraws(figure.seed), figure.noise / math.sqrt(figure.batch_size)
    found = [[math.sqrt((norm + s * z) ** 2 + s * s * rest)
              for z, rest in (_normal_and(draws, figure.dim - 1) for _ in range(DRAWS))]
             for norm in (0.0, figure.grad_norm)]
    return np.array(found)


def runs(figure):
    """x₁, x₂, ‖∇f‖/ε and ‖ĝ‖/ε of every step of every run, (RUNS, STEPS + 1, 4); for d ≥ 3."""
    draws = FigureDraws(figure.seed + 0x9E3779B9)
    noise = EPSILON * figure.noise / math.sqrt(figure.batch_size)
    # The third coordinate is the length of all others: f looks the same in their directions.
    problem, found = QuarticSaddle(1.0, [1.0, 1.0]), []
    for _ in range(RUNS):
        x, points = np.array([*figure.start, 0.0]), []
        for _ in range(STEPS + 1):
            z1, z2 = draws.standard_normal(2)
            along, square = _normal_and(draws, figure.dim - 3)
            g, across = problem.grad(x), noise * math.sqrt(square)
            seen = g + noise * np.array([z1, z2, along])
            points.append([x[0], x[1], np.linalg.norm(g) / EPSILON,
                           math.hypot(*seen, across) / EPSILON])
            x = gd_step(x, seen, STEP_SIZE)
            x[2] = math.hypot(x[2], STEP_SIZE * across)
        found.append(points)
    return np.array(found)


def trigger(figure, width=0.1):
    """The picture of a live figure in its first state, as a matplotlib Figure."""
    t = figure.threshold
    picture = Figure(figsize=(7.6, 3.6), layout="constrained")
    grid = picture.add_gridspec(2, 2)
    plane = picture.add_subplot(grid[:, 0])
    saddle = picture.add_subplot(grid[0, 1])
    large = picture.add_subplot(grid[1, 1], sharex=saddle)

    problem = QuarticSaddle(1.0, [1.0])
    x, y = np.meshgrid(np.linspace(-1.4, 1.4, 57), np.linspace(-0.5, 1.1, 33))
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    plane.contour(x, y, problem.fun(points).reshape(x.shape), levels=np.arange(-0.2, 0.7, 0.15),
                  colors=CONTOUR, linewidths=0.5, linestyles="solid")
    size = np.linalg.norm([problem.grad(p) for p in points], axis=1).reshape(x.shape) / EPSILON
    plane.contourf(x, y, size, levels=[0, 1], colors=["#e3f1ec"])
    plane.contour(x, y, size, levels=[figure.grad_norm], colors=[FALSE], linewidths=0.9,
                  linestyles="dotted")
    walked = runs(figure)
    for run in walked:
        plane.plot(*run[:, :2].T, color=SGD, linewidth=0.9)
    x1, x2, true, seen = walked.reshape(-1, 4).T
    fires, small = seen <= t, true <= 1
    for chosen, style in [
        (~fires & small & (abs(x1) < 0.5), {"marker": "x", "color": MISSED}),
        (fires & ~small & (true < figure.grad_norm), {"marker": "o", "color": RIGHT, "mfc": "w"}),
        (fires & small, {"marker": "o", "color": RIGHT}),
        (fires & (true >= figure.grad_norm), {"marker": "^", "color": FALSE}),
    ]:
        plane.plot(x1[chosen], x2[chosen], linestyle="", markersize=3.2, **style)
    plane.plot(*figure.start, "o", color=INK, markerfacecolor="w", markersize=8, mew=2)
    plane.text(0.09, figure.start[1], "start", va="center")
    plane.text(0.05, -0.29, "‖∇f‖ ≤ ε")
    plane.text(0.05, -0.49, f"‖∇f‖ = {figure.grad_norm:g} ε")
    plane.set(xlim=(-1.4, 1.4), ylim=(-0.5, 1.1), title="six runs of SGD, by x₁ and x₂",
              xlabel="x₁, the escape direction", xticks=[], yticks=[])

    values = norms(figure)
    first = -math.ceil(t / width)
    edges = t + width * np.arange(first, math.ceil((values.max() - t) / width) + 1)
    told = [("at the saddle, ‖∇f‖ = 0: it should fire", 0.0, MISSED, "////"),
            (f"where ‖∇f‖ = {figure.grad_norm:g} ε: it should be silent", figure.grad_norm, FALSE,
             "xxxx")]
    for axes, found, (title, norm, colour, hatch) in zip([saddle, large], values, told,
                                                         strict=True):
        counts = np.histogram(found, edges)[0]
        wrong = (edges[:-1] >= t - 1e-9) == (norm == 0)
        kept = {"width": width, "align": "edge", "edgecolor": "white", "linewidth": 0.5}
        axes.bar(edges[:-1][~wrong], counts[~wrong], color=SGD, **kept)
        axes.bar(edges[:-1][wrong], counts[wrong], color=colour, hatch=hatch, **kept)
        below = [theory.trigger_prob(e, norm, figure.noise, figure.dim, figure.batch_size)
                 if e > 0 else 0.0 for e in edges]
        axes.stairs(DRAWS * np.diff(below), edges, color=LAW, linewidth=1.3)
        axes.axvline(t, color=INK, linewidth=1.6)
        axes.set(title=title, yticks=[], xlim=(0, edges[-1]))
    missed, false = np.mean(values[0] > t), np.mean(values[1] <= t)
    saddle.text(t + 0.05, 0.95, f"missed\n{100 * missed:.1f} %\npredicted:\n"
                f"{100 * figure.predicted_missed:.1f} %", va="top",
                transform=saddle.get_xaxis_transform())
    large.text(0.01, 0.95, f"false alarms\n{100 * false:.1f} %\n"
               f"predicted:\n{100 * figure.predicted_false:.1f} %", va="top",
               transform=large.transAxes)
    large.text(t + 0.05, 0.95, f"silent above\n{t:.2f} ε", va="top",
               transform=large.get_xaxis_transform())
    saddle.tick_params(labelbottom=False)
    large.set_xlabel("norm ‖ĝ‖ of a mini-batch gradient, in units of ε")
    finish([saddle, large])

    line, patch = matplotlib.lines.Line2D, matplotlib.patches.Patch
    handles = [line([], [], color=SGD, linewidth=1.5), patch(facecolor=SGD, edgecolor="w"),
               line([], [], color=LAW, linewidth=1.3),
               line([], [], color=RIGHT, marker="o", linestyle="", markersize=4),
               patch(facecolor=MISSED, hatch="////", edgecolor="w"),
               patch(facecolor=FALSE, hatch="xxxx", edgecolor="w")]
    picture.legend(handles, ["runs of SGD", "right answers", "predicted",
                             "fires where ‖∇f‖ ≤ ε", "missed saddle", "false alarm"], ncols=6,
                   loc="outside upper left", frameon=False, columnspacing=0.9, handlelength=1.4,
                   handletextpad=0.4, labelcolor=SOFT)
    return picture
