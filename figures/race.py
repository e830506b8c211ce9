"""race.svg: the first state of the live figure of a race, with all its calls."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure
from style import INK, FigureDraws, finish

from saddlelib import Oracle
from saddlelib.figures import COLORS, line
from saddlelib.methods import OrderAwareNewton

METHODS = {"gd": "gradient descent", "nesterov": "Nesterov, restarted", "bb": "Barzilai–Borwein",
           "gdpolyak": "GDPolyak, K = {}", "growing": "GDPolyak, K grows", "lbfgs": "L-BFGS",
           "order": "order-aware"}

FINISHES = (1e-12, 1e-20, 1e-28)


def start(figure):
    """Where all methods start: Rosenbrock's ravine, a little above."""
    draws = FigureDraws(figure.seed)
    return np.array([0.4 + 0.5 * draws.random(), draws.random()])


class _Used(Exception):
    """All calls are used, or f is as small as it gets."""


def _ravine(x, a):
    """x⁴ + a(y − x²)² and its gradient, with the operations of the live figure in their order.

    Methods amplify rounding errors; their counts of calls should be those of the live figure.
    """
    q = x[0] * x[0]
    n = x[1] - q
    wall = 2 * a * n
    return float(q * q + a * (n * n)), np.array([4 * (q * x[0]) - 2 * x[0] * wall, wall])


def _dot(u, v):
    return u[0] * v[0] + u[1] * v[1]


def runs(figure):
    """The value at every oracle call of every method, from one start, and the calls of jumps."""
    found, jumps = {}, []
    for name, method in [("gd", _gd), ("nesterov", _nesterov), ("bb", _bb),
                         ("gdpolyak", _gdpolyak), ("growing", _gdpolyak), ("lbfgs", _lbfgs),
                         ("order", _order)]:
        values = []

        def call(x, values=values):
            value, g = _ravine(x, figure.condition)
            values.append(value)
            if len(values) == figure.maxiter or not 1e-32 < values[-1] < 1e12:
                raise _Used
            return value, g

        growth = figure.growth if name == "growing" else 0.0
        length = 3 + math.ceil(2 * growth) if growth else figure.epoch_length
        options = {_gdpolyak: (length, growth), _order: (jumps,)}.get(method, ())
        try:
            method(start(figure), call, figure.step_size, *options)
        except _Used:
            pass
        found[name] = np.array(values)
    return found, jumps


def calls(found):
    """Per method its calls to each finish; None where it does not get there."""
    return {name: [int(np.argmax(f <= v)) + 1 if f.min() <= v else None for v in FINISHES]
            for name, f in found.items()}


def _gd(x, call, eta):
    while True:
        x = x - eta * call(x)[1]


def _nesterov(x, call, eta):
    y, t = x, 1.0
    while True:
        g = call(y)[1]
        new = y - eta * g
        moved, x = new - x, new
        later = 1.0 if _dot(g, moved) > 0 else (1 + math.sqrt(1 + 4 * t * t)) / 2
        y, t = x + (0 if later == 1 else (t - 1) / later) * moved, later


def _bb(x, call, eta):
    g, step = call(x)[1], eta
    while True:
        new, last = x - step * g, g
        s, x = new - x, new
        g = call(x)[1]
        if _dot(s, g - last) == 0:
            return
        step = _dot(s, s) / abs(_dot(s, g - last))


def _gdpolyak(x, call, eta, length, growth):
    epoch = 0
    while True:
        for _ in range(math.floor(length + epoch * growth)):
            x = x - eta * call(x)[1]
        value, g = call(x)
        m = abs(g).max()
        x, epoch = x - value / m / _dot(g / m, g / m) / m * g, epoch + 1


def _lbfgs(x, call, eta):
    value, g = call(x)
    pairs = []
    while True:
        d, alphas = -g, []
        for s, z, rho in pairs:
            alphas.append(rho * _dot(s, d))
            d = d - alphas[-1] * z
        d = d * (1 / (pairs[0][2] * _dot(pairs[0][1], pairs[0][1])) if pairs else eta)
        for (s, z, rho), alpha in zip(reversed(pairs), reversed(alphas), strict=True):
            d = d + (alpha - rho * _dot(z, d)) * s
        step, slope = 1.0, _dot(d, g)
        while (tried := call(x + step * d))[0] > value + 1e-4 * step * slope:
            step /= 2
        new = x + step * d
        s, z = new - x, tried[1] - g
        if _dot(s, z) > 1e-10 * math.sqrt(_dot(s, s) * _dot(z, z)):
            pairs = [(s, z, 1 / _dot(s, z)), *pairs][:10]
        x, (value, g) = new, tried


def _order(x, call, eta, jumps):
    at, found, calls = None, None, 0

    def both(x):  # a value and the gradient at one point are one call
        nonlocal at, found, calls
        if at is None or (x != at).any():
            calls += 1
            at, found = x.copy(), call(x)
        return found

    oracle = Oracle(lambda x: both(x)[0], jac=lambda x: both(x)[1])
    method = OrderAwareNewton(f_star=0.0)
    run = method.init(oracle, x)
    while run.finished is None:
        if run.plan and run.plan.kind == "jump" and not run.descending:
            jumps.append(calls + 1)  # where it lands
        run = method.step(oracle, run)


def race(figure):
    """The picture of a live figure in its first state, as a matplotlib Figure."""
    picture = Figure(figsize=(7.6, 3.6), layout="constrained")
    plot, table = picture.subplots(1, 2, width_ratios=[11, 10])
    found, landings = runs(figure)
    counted = calls(found)
    for name in METHODS:
        best = np.minimum.accumulate(found[name])
        kept = np.flatnonzero(np.diff(best, prepend=np.inf) < 0)
        # On the axis of the calls nobody sees more than this.
        kept = kept[np.unique(np.round(60 * np.log(kept + 1)), return_index=True)[1]]
        plot.step([*(kept + 1), best.size], [*best[kept], best[-1]], where="post", **line(name))
        plot.plot(best.size, best[-1], "o", color=COLORS[name], markersize=5)
    length, k, jumps = 3 + math.ceil(2 * figure.growth), 0, []
    while (k := k + math.floor(length + len(jumps) * figure.growth) + 1) <= found["growing"].size:
        jumps.append(k)
    law = found["growing"][jumps[0] - 1] * (81 / 256) ** np.arange(len(jumps))
    plot.plot(jumps, law, **line("theory"))
    least = np.minimum.accumulate(found["order"])
    plot.plot(landings, least[np.array(landings) - 1], "o", color=COLORS["order"], mfc="white",
              markersize=5)
    for value in FINISHES:
        plot.axhline(value, color=INK, linewidth=0.9)
        plot.text(1.2, 2 * value, f"finish {_ten(value)}", va="bottom")
    plot.set(xscale="log", yscale="log", xlim=(1, figure.maxiter), ylim=(1e-33, 10),
             title="least f − f* so far", xlabel="oracle calls: a value and a gradient each")
    powers = [10.0**e for e in range(0, -33, -8)]
    plot.set_yticks(powers, labels=[_ten(v) for v in powers])
    plot.minorticks_off()
    finish([plot])

    table.axis("off")
    columns = [0.0, 0.64, 0.79, 0.94]
    head = ["calls to the finish", *map(_ten, FINISHES)]
    order = sorted(METHODS, key=lambda m: [-sum(c is not None for c in counted[m]),
                                           max([c or 0 for c in counted[m]]), found[m].min()])
    rows = [(INK, head)] + [
        (COLORS[m], [METHODS[m].format(figure.epoch_length),
                     *("–" if c is None else str(c) for c in counted[m])]) for m in order]
    for i, (colour, cells) in enumerate(rows):
        for x, cell in zip(columns, cells, strict=True):
            table.text(x + (0 if x == 0 else 0.07), 0.93 - 0.1 * i, cell, color=colour,
                       ha="left" if x == 0 else "right", transform=table.transAxes)
    table.text(0, 0.05, "Black dashes: the nearly linear law,\nf times 81/256 at each long step.",
               transform=table.transAxes)
    return picture


def _ten(value):
    power = round(math.log10(value))
    raised = str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return "1" if power == 0 else f"10{raised}"
