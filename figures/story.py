"""story-*.svg: the book in four pictures, for the first page.

Every point is an iterate of saddlelib. The pictures stand inside the page, where its style sheet
gives each class a colour by day and by night; elsewhere they have these, on white paper.
"""

from __future__ import annotations

import contourpy
import numpy as np

from saddlelib import Oracle
from saddlelib.figures import COLORS
from saddlelib.methods import PGD, SGD, GDPolyak, GradientDescent
from saddlelib.problems import DeepLinear, QuarticSaddle, RavineRosenbrock

WIDTH, HEIGHT = 300, 220
LOOKS = {
    "paper": 'fill="#fff"',
    "level": 'fill="none" stroke="#dde2e7"',
    "way": f'fill="none" stroke="{COLORS["gdpolyak"]}" stroke-width="1.2"',
    "trail": f'fill="none" stroke="{COLORS["gd"]}" stroke-width="1.2"',
    "hop": f'fill="none" stroke="{COLORS["gdpolyak"]}" stroke-width="1.8"',
        "cure": f'fill="{COLORS["gdpolyak"]}"',
    "pushed": f'fill="none" stroke="{COLORS["pgd"]}" stroke-width="1.2"',
    "push": f'fill="{COLORS["pgd"]}"',
    "goal": f'fill="{COLORS["gdpolyak"]}"',
    "stuck": f'fill="{COLORS["gd"]}"',
    "start": 'fill="#fff" stroke="#1b1f24" stroke-width="2"',
}


def iterates(method, oracle, start, steps, seed=0):
    """The points of a run, (steps + 1, 2)."""
    state = method.init(oracle, np.array(start), np.random.default_rng(seed))
    points = [state.x]
    for _ in range(steps):
        state = method.step(oracle, state)
        points.append(state.x)
    return np.array(points)


class Panel:
    """A window of the plane as an SVG of 300 by 220 units, with the level lines of a problem."""

    def __init__(self, problem, x, y, title):
        self.x, self.y = x, y
        self.parts = [f'<svg class="story" viewBox="0 0 {WIDTH} {HEIGHT}" '
                      f'width="{WIDTH}" height="{HEIGHT}" role="img" '
                      f'xmlns="http://www.w3.org/2000/svg"><title>{title}</title>']
        self.group("paper", [f'<rect width="{WIDTH}" height="{HEIGHT}"/>'])
        if problem is not None:
            self.levels(problem)

    def levels(self, problem):
        """Level lines, denser where the ground is low."""
        x, y = self.x, self.y
        gx, gy = np.meshgrid(np.linspace(*x, 61), np.linspace(*y, 45))
        values = problem.fun(np.stack([gx.ravel(), gy.ravel()], axis=1)).reshape(gx.shape)
        depth = values - values.min()
        lines = contourpy.contour_generator(gx, gy, depth)
        self.paths([line for share in np.linspace(0.04, 1, 13) ** 2
                    for line in lines.lines(share * depth.max())], "level")

    def pixels(self, points):
        """Points of the plane as units of the picture."""
        points = np.atleast_2d(points)
        across = (points[:, 0] - self.x[0]) / (self.x[1] - self.x[0]) * WIDTH
        down = (self.y[1] - points[:, 1]) / (self.y[1] - self.y[0]) * HEIGHT
        return np.stack([across, down], axis=1).round(1)

    def group(self, kind, shapes):
        """Shapes that look alike."""
        self.parts += [f'<g class="story-{kind}" {LOOKS[kind]}>', *shapes, "</g>"]

    def paths(self, lines, kind):
        """A line through each list of points."""
        joined = [" ".join(f"{a:g},{b:g}" for a, b in self.pixels(points)) for points in lines]
        self.group(kind, [f'<polyline points="{points}"/>' for points in joined])

    def dots(self, points, kind, radius=2.6):
        """A disc at each of the points."""
        self.group(kind, [f'<circle cx="{a:g}" cy="{b:g}" r="{radius}"/>'
                          for a, b in self.pixels(points)])

    def hops(self, pairs, sag):
        """A bowed arrow from one point to another, for each pair; it sags by a share of its way."""
        lines, heads = [], []
        for a, b in (self.pixels(pair) for pair in pairs):
            middle = (a + b) / 2 + sag * (b - a)[::-1] * [-1, 1]
            along = (b - middle) / np.linalg.norm(b - middle)
            foot, side = b - 8 * along, 3.5 * along[::-1] * [-1, 1]
            numbers = (f"{u:.1f},{v:.1f}" for u, v in (a, middle, foot))
            lines.append('<path d="M{} Q{} {}"/>'.format(*numbers))
            corners = (f"{u:.1f},{v:.1f}" for u, v in (b, foot + side, foot - side))
            heads.append('<path d="M{} {} {}z"/>'.format(*corners))
        self.group("hop", lines)
        self.group("cure", heads)

    def words(self, point, text, align="start"):
        """A word beside a point."""
        (a, b), = self.pixels(point)
        self.parts.append(f'<text x="{a:g}" y="{b:g}" text-anchor="{align}" '
                          f'font-family="sans-serif" font-size="13">{text}</text>')

    def __str__(self):
        return "\n".join([*self.parts, "</svg>\n"])


def saddle():
    """Gradient descent waits at a saddle; with one small push it leaves."""
    problem, start = QuarticSaddle(0.5, [1.0]), (1e-5, 0.85)
    panel = Panel(problem, (-0.95, 0.95), (-0.55, 1.0), "Gradient descent comes down a ridge and "
                  "stops at a saddle; a small push leads it to a minimizer.")
    stuck = iterates(GradientDescent(0.12), Oracle(problem), start, 60)
    pushed = iterates(PGD(0.12, 0.02, 0.02, None, 400), Oracle(problem), stuck[-1], 120, seed=4)
    panel.paths([stuck], "trail")
    panel.paths([pushed], "pushed")
    panel.dots(pushed[::3], "push", 2.2)
    panel.dots(stuck[::2], "stuck")
    panel.dots(start, "start", 5)
    panel.words((0.06, -0.02), "saddle")
    return str(panel)


def noise():
    """Mini-batches shake the iterate: off the ridge, and past the minimizer."""
    problem, start = QuarticSaddle(0.5, [1.0]), (0.0, 0.85)
    panel = Panel(problem, (-0.95, 0.95), (-0.55, 1.0), "With noisy gradients the path trembles: "
                  "it leaves the ridge by itself and then never comes to rest.")
    oracle = Oracle(problem, grad_noise=1.1, rng=0)
    shaken = iterates(SGD(0.06, 4), oracle, start, 260, seed=11)
    panel.paths([shaken], "trail")
    panel.dots(shaken[::3], "stuck", 2)
    panel.dots(start, "start", 5)
    return str(panel)


def ravine():
    """In a ravine short steps crawl, and one long step in forty does not."""
    problem, start = RavineRosenbrock(10.0), (0.85, 0.5)
    panel = Panel(problem, (-0.18, 1.0), (-0.2, 0.665), "Gradient descent falls into a ravine and "
                  "crawls along it; a few long steps lead down to the minimizer.")
    slow = iterates(GradientDescent(0.01), Oracle(problem), start, 200)
    quick = iterates(GDPolyak(0.01, 40, f_star=0.0, factor=2.0), Oracle(problem), start, 200)
    panel.paths([slow], "trail")
    panel.dots(slow[::6], "stuck", 2)
    panel.paths([quick[k:k + 41] for k in (41, 82, 123)], "way")
    panel.dots(quick[41::6], "cure", 1.6)
    panel.hops([quick[k:k + 2] for k in (40, 81, 122)], 0.3)
    panel.dots(start, "start", 5)
    panel.dots((0, 0), "goal", 4)
    panel.words((0.02, -0.09), "minimizer")
    panel.words((0.4, 0.35), "a long step", "end")
    return str(panel)


def staircase():
    """A deep network from small weights waits at three saddles; from larger ones it waits less."""
    problem, scales, steps = DeepLinear.from_modes([1.0, 0.7, 0.5], depth=3), (0.05, 0.15), 450
    panel = Panel(None, (-22, 472), (-0.17, 1.02), "The loss of a deep network falls in three "
                  "stairs, with a long wait before each; from larger weights the waits are short.")
    rests = [*problem.fun(problem.saddles), 0]
    panel.paths([[(0, loss), (steps, loss)] for loss in rests], "level")
    slow, quick = (problem.fun(iterates(GradientDescent(0.1), Oracle(problem),
                                        problem.start(scale, aligned=True), steps))
                   for scale in scales)
    step = np.arange(steps + 1)
    for losses, kind, radius in ((quick, "cure", 2.2), (slow, "stuck", 2.2)):
        panel.dots(np.stack([step, losses], axis=1)[::3], kind, radius)
    panel.words((0, 0.93), "loss")
    panel.words((steps, -0.12), "steps", "end")
    return str(panel)
