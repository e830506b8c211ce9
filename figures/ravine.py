"""ravine.svg: the first state of the live figure of a ball in a ravine, with all its steps."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from style import CONTOUR, INK, SOFT, finish

from saddlelib import Oracle
from saddlelib.figures import COLORS, line
from saddlelib.methods import GDPolyak, GradientDescent, PolyakDescent

NAMES = {"gd": "constant steps", "polyak": "Polyak steps alone", "gdpolyak": "GDPolyak"}



def runs(figure):
    """Per method: its points (maxiter + 1, 2), values, step sizes, and where long steps begin."""
    eta, found = figure.step_size, {}
    for name, method in [("gd", GradientDescent(eta)), ("polyak", PolyakDescent()),
                         ("gdpolyak", GDPolyak(eta, figure.epoch_length))]:
        oracle, points, steps = Oracle(figure.function), [], []
        state = method.init(oracle, np.array(figure.start))
        for _ in range(figure.maxiter + 1):
            points.append(state.x)
            state = method.step(oracle, state)
            steps.append(getattr(state, "last_step", eta))
        found[name] = {"points": np.array(points), "fun": figure.function.fun(np.array(points)),
                       "step": np.array(steps), "jumps": np.flatnonzero(np.array(steps) != eta)}
    return found


def predicted(figure, t):
    """Step and place on the ravine at each long step of GDPolyak, (n, 2), from the first place."""
    found, k, bend = [], figure.epoch_length, 1.0
    while k <= figure.maxiter:
        found.append([k, t])
        t = slide((1 - figure.polyak_factor / 4) * t, figure.epoch_length, figure.step_size, bend)
        k += figure.epoch_length + 1
    return np.array(found)


def slide(t, steps, step_size, bend):
    """Where constant steps lead along the ravine: 1/t² − 8b² ln t grows by 8η a step."""
    target = 1 / t**2 - 8 * bend**2 * np.log(t) + 8 * step_size * steps
    low, high = 1e-12, t
    for _ in range(200):
        middle = (low * high) ** 0.5
        ahead = 1 / middle**2 - 8 * bend**2 * np.log(middle) > target
        low, high = (middle, high) if ahead else (low, middle)
    return middle


def ball(figure):
    """The picture of a live figure in its first state, as a matplotlib Figure."""
    found = runs(figure)
    picture = Figure(figsize=(7.6, 4.2), layout="constrained")
    grid = picture.add_gridspec(3, 2)
    plane = picture.add_subplot(grid[:, 0])
    loss, distance, size = (picture.add_subplot(grid[i, 1]) for i in range(3))

    x, y = np.meshgrid(np.linspace(-1.2, 1.2, 81), np.linspace(-0.55, 1.4, 81))
    values = figure.function.fun(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(x.shape)
    plane.contour(x, y, values, levels=(0.15 * np.arange(1, 17)) ** 4, colors=CONTOUR,
                  linewidths=0.6)
    ravine = np.array([figure.function.ravine(t) for t in np.linspace(-1.15, 1.15, 61)])
    plane.plot(*ravine.T, color=SOFT, linewidth=1, linestyle="dotted")
    long = found["gdpolyak"]["jumps"]
    for name in NAMES:
        few = {"gd": 200, "polyak": 150, "gdpolyak": 300}[name]  # later ones are on the minimizer
        plane.plot(*found[name]["points"][:few].T, **line(name, linewidth=1.1))
        plane.plot(*found[name]["points"][-1], "o", color=COLORS[name], mec="white", markersize=7)
    landed = found["gdpolyak"]["points"][long[:8] + 1]
    plane.plot(*landed.T, "o", color=COLORS["gdpolyak"], mfc="white", markersize=4)
    plane.plot(*figure.start, "o", color=INK, markerfacecolor="w", markersize=8, mew=2)
    plane.text(figure.start[0] - 0.08, figure.start[1], "start", ha="right", va="center")
    plane.set(xlim=(-1.2, 1.2), ylim=(-0.55, 1.4), xticks=[], yticks=[], xlabel="v", ylabel="u",
              title=f"f = v⁴ + {figure.steepness:g}(u − v²)², ravine u = v² dotted")

    k = np.arange(figure.maxiter + 1)
    for name in NAMES:
        style = line(name) | ({"linewidth": 0.6} if name == "polyak" else {})  # it is jagged
        loss.plot(k, found[name]["fun"], **style)
        distance.plot(k, np.linalg.norm(found[name]["points"], axis=1), **style)
        size.plot(k, found[name]["step"], **style | {"linewidth": 0.6})
    size.plot(long, found["gdpolyak"]["step"][long], "o", color=COLORS["gdpolyak"], mfc="white",
              markersize=3)

    at, t = predicted(figure, abs(found["gdpolyak"]["points"][long[0], 0])).T
    start = figure.epoch_length  # where the walls no longer matter
    grown = np.arange(start, figure.maxiter + 1, 25)
    slow = np.array([slide(abs(found["gd"]["points"][start, 0]), i - start, figure.step_size, 1.0)
                     for i in grown])
    dashed = line("theory")
    for axes, of in [(loss, lambda v: v**4), (distance, lambda v: np.hypot(v, v**2))]:
        axes.plot(at, of(t), **dashed)
        axes.plot(grown, of(slow), **dashed)
    size.plot(at, figure.polyak_factor * (1 + 4 * t**2) / (16 * t**2), **dashed)
    loss.text(at[8], t[26] ** 4, "× 81/256\na long step", ha="right", va="bottom")
    for axes, title, ticks in [
        (loss, "loss f − f*", [0, -5, -10, -15]),
        (distance, "distance from the minimizer", [0, -2, -4]),
        (size, "step size, Polyak’s long ones ringed", [0, 3, 6]),
    ]:
        axes.set(yscale="log", xlim=(0, figure.maxiter), title=title)
        axes.set_yticks([10.0**n for n in ticks],
                        labels=["1" if n == 0 else f"10{_raised(n)}" for n in ticks])
        axes.minorticks_off()
        axes.tick_params(labelbottom=axes is size)
    size.set_xlabel("step")
    finish([loss, distance, size])
    handles = [Line2D([], [], **line(name)) for name in [*NAMES, "theory"]]
    picture.legend(handles, [*NAMES.values(), "predicted"], ncols=4, loc="outside upper left",
                   frameon=False)
    return picture


def _raised(n):
    return str(n).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
