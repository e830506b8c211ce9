"""saddle-map.svg: the first state of the live figure of chapter 1.

The runs are those of saddlelib; only the random numbers are drawn as the live figure draws them,
so that both show the same perturbation.
"""

from __future__ import annotations

import math

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from style import CONTOUR, INK, SOFT, FigureDraws, finish

from saddlelib import Oracle
from saddlelib.figures import COLORS
from saddlelib.methods import GradientDescent
from saddlelib.theory.laws import escape_time

GD, PGD, LAW, SADDLE, MINIMIZER = (COLORS[n] for n in "gd pgd theory saddle minimizer".split())


def run(method, figure, rng=None):
    """Iterates (nit + 1, 2) and the last state of a method from the start of a figure."""
    oracle = Oracle(figure.problem)
    state = method.init(oracle, np.array(figure.start), rng)
    points = [state.x]
    while state.nit < figure.maxiter and state.finished is None:
        state = method.step(oracle, state)
        if state.finished is None:
            points.append(state.x)
    return np.array(points), state


def runs(figure):
    """What the figure shows: per method its iterates, last state, escape and predicted escape."""
    exit = 0.5 * math.sqrt(figure.gamma)
    shown = {}
    for name, method, rng in [
        ("GD", GradientDescent(figure.step_size), None),
        ("PGD", figure.method, FigureDraws(figure.seed + 0x9E3779B9)),
    ]:
        points, state = run(method, figure, rng)
        left = np.flatnonzero(np.abs(points[:, 0]) >= exit)
        escape = int(left[0]) if left.size else None
        k0, y1 = 0, figure.start[0]
        if name == "PGD":
            k0 = [k for k in state.perturbed_at if escape is None or k < escape][-1]
            # The first step from the perturbed point p is p - eta grad f(p): its y1 is undone.
            y1 = _before(points[k0 + 1, 0], figure)
        shown[name] = {
            "points": points,
            "state": state,
            "escape": escape,
            "k0": k0,
            "y1": y1,
            "predicted": k0 + escape_time(y1, exit, figure.step_size, figure.gamma),
        }
    return shown


def _before(y1, figure):
    """The y₁ that one step of gradient descent takes to a given one, near the saddle."""
    eta, gamma = figure.step_size, figure.gamma
    roots = np.roots([-eta, 0, 1 + eta * gamma, -y1])
    return float(min(roots.real[np.abs(roots.imag) < 1e-12], key=abs))


def saddle_map(figure):
    """The picture of a live figure in its first state, as a matplotlib Figure."""
    problem, shown = figure.problem, runs(figure)
    picture = Figure(figsize=(7.6, 3.9), layout="constrained")
    grid = picture.add_gridspec(2, 2, width_ratios=[1.1, 1], height_ratios=[1.5, 1])
    plane = picture.add_subplot(grid[:, 0], aspect="equal")
    distance = picture.add_subplot(grid[0, 1])
    value = picture.add_subplot(grid[1, 1], sharex=distance)

    x, y = np.meshgrid(np.linspace(-1.1, 1.1, 56), np.linspace(-1.05, 1.05, 54))
    f = problem.fun(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(x.shape)
    depth, top = -problem.f_star, problem.fun(np.array([0, 1.05]))
    levels = [-depth * m for m in (0.95, 0.8, 0.6, 0.4, 0.2)]
    levels += [top * (m / 9) ** 2 for m in range(10)]
    plane.contour(x, y, f, levels=sorted(levels), colors=CONTOUR, linewidths=0.8)
    plane.axvline(0, color=SOFT, linewidth=1.2)
    exit = 0.5 * math.sqrt(figure.gamma)
    for side in (-exit, exit):
        plane.axvline(side, color=SOFT, linewidth=0.8, linestyle=":")
    plane.text(exit + 0.03, -1.0, "exit", color=SOFT)
    plane.text(-0.04, -0.6, "stable manifold", rotation=90, ha="right", va="center", color=SOFT)
    plane.set(xlabel="y₁, the escape direction", ylabel="y₂", xticks=[-1, -0.5, 0, 0.5, 1],
              yticks=[-1, -0.5, 0, 0.5, 1])

    kmax = 400
    for name, colour, width in [("GD", GD, 3.0), ("PGD", PGD, 1.3)]:
        part = shown[name]
        points, escape = part["points"][: kmax + 1], part["escape"]
        k = np.arange(len(points))
        for axes, data in [
            (plane, points.T),
            (distance, (k, np.linalg.norm(points, axis=1))),
            (value, (k, problem.fun(points))),
        ]:
            axes.plot(*data, color=colour, linewidth=width, label=name)
            axes.plot(*(d[escape] for d in data), "o", color=colour, markerfacecolor="white",
                      markersize=6, markeredgewidth=1.8)
        law = np.array([part["k0"], part["predicted"]])
        distance.plot(law, [abs(part["y1"]), exit], color=LAW, linewidth=1.3, linestyle="--")
        for axes in (distance, value):
            axes.axvline(part["predicted"], color=LAW, linewidth=1, linestyle="--")
        distance.text(part["predicted"] + 6, 1.6e-7,
                      f"{name} leaves at {escape},\npredicted {part['predicted']:.0f}",
                      va="bottom", fontsize=8, linespacing=1.3)

    plane.plot(*figure.start, "o", color=INK, markerfacecolor="white", markersize=9,
               markeredgewidth=2.4, zorder=5)
    plane.text(0.09, figure.start[1], "start", va="center")
    plane.plot(*problem.minimizers.T, "o", color=MINIMIZER, markersize=6, zorder=5)
    plane.plot(0, 0, "D", color=SADDLE, markersize=6, zorder=5)
    plane.text(0.08, -0.15, "saddle")
    for y1 in problem.minimizers[:, 0]:
        plane.text(y1, -0.15, "minimizer", ha="center")
    kick = shown["PGD"]["state"].perturbed_at[0]
    at = shown["PGD"]["points"][kick]
    plane.add_patch(matplotlib.patches.Circle(at, figure.perturbation_radius, fill=False,
                                              edgecolor=PGD, linewidth=1.2, zorder=6))
    plane.annotate(f"perturbed, k = {kick}", at, xytext=(0.14, 0.2),
                   arrowprops={"arrowstyle": "-", "color": INK, "shrinkB": 6})

    distance.axhline(exit, color=SOFT, linewidth=0.8, linestyle=":")
    distance.text(kmax - 4, exit * 0.6, "exit", color=SOFT, ha="right", va="top")
    distance.set(yscale="log", ylim=(1e-7, 3), xlim=(0, kmax),
                 title="distance from the saddle ‖y‖, log scale")
    distance.set_yticks([1e-6, 1e-4, 1e-2, 1], labels=["10⁻⁶", "10⁻⁴", "10⁻²", "1"])
    distance.minorticks_off()
    distance.tick_params(labelbottom=False)
    for level, colour in [(0, SADDLE), (problem.f_star, MINIMIZER)]:
        value.axhline(level, color=colour, linewidth=1, zorder=1)
    value.set(ylim=(-1.25 * depth, 0.75 * depth), xlabel="iteration k", title="function value f")
    value.set_yticks([0, problem.f_star], labels=["saddle", "f*"])
    finish([distance, value])
    lines, labels = distance.get_legend_handles_labels()
    names = {"GD": "gradient descent (GD)", "PGD": "perturbed gradient descent (PGD)"}
    lines.append(matplotlib.lines.Line2D([], [], color=LAW, linewidth=1.3, linestyle="--"))
    picture.legend(lines, [*(names[label] for label in labels), "predicted |y₁|"], ncols=3,
                   loc="outside upper left", frameon=False)
    return picture
