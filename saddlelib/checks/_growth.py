"""Answers to the exercises of the chapter on fourth-order growth."""

from __future__ import annotations

import math

import numpy as np

from ..problems import ConvexQuartic
from ._numbers import array, function, returned
from ._table import Exercise, equal, first, near, part, term, whole


def _growth_1():
    """Growth order and constant of f = r³/2, from its values at r = 0.1 and 0.05."""
    p, c = part(0), part(1)
    high, low = (0.1, 5e-4), (0.05, 6.25e-5)
    order = math.log(high[1] / low[1]) / math.log(high[0] / low[0])
    constant = high[1] / high[0] ** order
    return Exercise(("p", "c"), [
        *first(near(p, order, 1e-3), "p: ", [
            (near(p, 1 / order, 1e-3), "that is the slope of the distance against f. Put ln f "
                                       "above and ln of the distance below."),
            (near(p, high[1] / low[1], 1e-3), "that is the ratio of the two values. Hold it "
                                              "against the ratio of the distances."),
            (near(p, -order, 1e-3), "the size is right. Both differences of logarithms have the "
                                    "same sign."),
            (near(p, math.log(high[1]) / math.log(high[0]), 5e-3),
             "that is ln f/ln r at one point, which is p only where c = 1. Take the slope between "
             "two points."),
        ], "divide the two equations f = c·rᵖ; the constant drops out."),
        *first(near(c, constant, 1e-3), "p is right. c: ", [
            (near(c, high[1] / high[0] ** 4, 1e-3), "that is f/r⁴ at r = 0.1. Divide by rᵖ, with "
                                                    "your p."),
            (near(c, high[1], 1e-3), "that is f at r = 0.1. Divide it by 0.1ᵖ."),
            (near(c, 1 / constant, 1e-3), "that is its inverse."),
        ], "solve f = c·rᵖ at either of the points."),
    ], "Correct. 5·10⁻⁴ = ½·0.1³ and 6.25·10⁻⁵ = ½·0.05³: cubic growth.")


def _growth_2():
    """Constant steps of 0.1 until v⁴/4 is below 1e-8 on the ravine of 5u² + v⁴/4."""
    x, constant = part(0), ConvexQuartic([5.0], [0.25]).growth_constant

    def steps(c, gap):
        return 1 / (8 * 0.1 * math.sqrt(c * gap))
    right = steps(constant, 1e-8)
    return Exercise(("steps",), [
        (near(x, right), f"Correct. {right:.0f} steps for eight digits, and a hundred times as "
                         "many for twelve."),
        (x <= 0, "A number of steps is positive."),
        (near(x, steps(1.0, 1e-8)), "That is for c = 1. Here the growth constant is ¼."),
        (near(x, 2 * right), "1/v² grows by 8cη a step, not by 4cη: the square of 1 − 4cηv² is "
                             "1 − 8cηv²."),
        (x > 1e9, "That brings the distance to 10⁻⁸. Asked is f, and f = ¼v⁴."),
        (near(x, right * 0.1), "The step size is missing: steps of 0.1 need ten times as many as "
                               "steps of 1."),
        (x < 1000, "That is how long a linear rate would take, or less. On order 4 the number of "
                   "steps grows like 1/√f, not like a logarithm."),
    ], "Put c = ¼, η = 0.1 and f = 10⁻⁸ into f = 1/(64 c η² k²) and solve for k.")


def _growth_3():
    """Ravine and form of f = 2u² + 3uv² + 2v⁴."""
    bend, form = part(0), part(1)
    return Exercise(("c₂", "c₄"), [
        *first(near(bend, -3 / 4), "c₂: ", [
            (near(bend, 3 / 4, 1e-3), "the size is right. 3uv² pushes u to the negative side."),
            (near(bend, -6 / 4, 1e-3), "that is −β(v)/H. The formula has a factor ½, because "
                                       "β(v) = D³f[v, v, ·] is twice the coefficient of u."),
            (near(bend, -3 / 8, 1e-3), "your β(v) is 3v². β(v) = D³f[v, v, ·] differentiates "
                                       "3uv² twice in v, which makes it 6v²."),
        ], "for a fixed v, which u makes 2u² + 3uv² least?"),
        *first(near(form, 2 - 9 / 8), "c₂ is right. c₄: ", [
            (near(form, 2, 1e-3), "that is f along u = 0. On the ravine f is lower."),
            (near(form, 2 + 9 / 8, 1e-3), "the second term is subtracted. A wall can only help f "
                                          "to be lower."),
            (near(form, 2 - 9 / 4, 1e-3), "that takes ¼ for ⅛. It would make 0 no minimizer at "
                                          "all."),
            (near(form, 2 - 9 / 32, 1e-3), "your β(v) is 3v². β(v) = D³f[v, v, ·] is 6v²."),
            (near(form, 48 - 9 / 8, 1e-3), "D⁴f[v⁴] of 2v⁴ is 48, and the formula divides it by "
                                           "24."),
        ], "put u = −¾v² into f."),
    ], "Correct. f = 2(u + ¾v²)² + ⅞v⁴.")


def _growth_4():
    """The least s at which ½u² + s·u(v₁² − v₂²) + (v₁² + v₂²)² loses fourth-order growth."""
    x, right = part(0), math.sqrt(2)
    worst = 1 - x * x / 2
    return Exercise(("s",), [
        (near(x, right, 5e-3), "Correct. Q = (v₁² + v₂²)² − ½s²(v₁² − v₂²)², and on the axes it "
                               "is 1 − ½s²."),
        (near(x, right**2, 1e-3), "That is s². It is s that was asked."),
        (near(x, 2 * right, 1e-3), "Your β(v) is s(v₁² − v₂²). β(v) = D³f[v, v, ·] is twice that."),
        (near(x, right / math.sqrt(2), 1e-3), "H is 1, since ½u² has the second derivative 1; that "
                                              "makes ⅛⟨b, H†b⟩ = ½s²(v₁² − v₂²)²."),
        (near(x, -right, 1e-3), "The size is right. The growth does not depend on the sign of s; "
                                "give the positive one."),
        (x <= 0, "At s = 0 the growth is of order 4. Give the positive bound."),
    ], f"For your s the form is {worst:.3g} at v = (1, 0). Where is that zero?")


def _ravines():
    """Distances and gaps of runs that leave a ravine, and between which two distances.

    None for those that stay in one or were never in one.
    """
    r = np.geomspace(0.5, 1e-5, 300)
    steps = np.geomspace(1, 1e-4, 200)
    # A wall of slope 2, the floor of slope 4, and a bowl.
    slopes = np.where((steps[1:] < 0.3) & (steps[1:] > 0.01), 4.0, 2.0)
    wall = np.exp(np.cumsum([0.0, *(slopes * np.diff(np.log(steps)))]))
    for distances, gaps in ((r, r**2 * (r + 0.02) ** 2 / 2), (r, 3 * r**4),
                            (r[:100], r[:100] ** 2 * (r[:100] + 2e-4) ** 2), (steps, wall),
                            (r, r**2 / 2)):
        steep = np.diff(np.log(gaps)) / np.diff(np.log(distances)) >= 3
        falls = steep.any() and not steep[-1]
        yield distances, gaps, np.flatnonzero(steep)[-1] if falls else None


def _ends(answer):
    """Where the order that a run shows falls from 4 to 2, for good."""
    answer = function(answer, "(distances, gaps)")
    for distances, gaps, last in _ravines():
        bowl = gaps[0] < 3 * gaps[-1] * (distances[0] / distances[-1]) ** 2
        try:
            got = answer(distances.copy(), gaps.copy())
        except (IndexError, ValueError) as error:
            if not bowl:
                raise
            return f"Right so far, but in a bowl no slope is as large as 3, and there your " \
                   f"function ends with {type(error).__name__}. Return 0 then."
        if np.size(got) > 1:
            return f"That gives {np.size(got)} numbers. Return one: the distance at which the " \
                   "slope falls below 3 for the last time."
        got = returned(got)
        if last is None and got == 0:
            continue
        if bowl:
            return "Right so far, but one of the runs is in a bowl from the start, and no slope " \
                   f"is as large as 3. Return 0 for it; yours says {got:.3g}."
        if last is None:
            return "One of the runs has a slope of 3 and more to its end. Return 0 for it; yours " \
                   f"says {got:.3g}."
        near_by = distances[last:last + 3]
        if near_by[-1] <= got <= near_by[0]:
            continue
        logs = np.log(distances), np.log(gaps)
        for hit, hint in (
            (got in range(last, last + 3), "That is a position in the arrays. Return the distance "
                                           "that stands there."),
            (gaps[last + 2] <= got <= gaps[last], "That is f − f* at the right place. Return the "
                                                  "distance there."),
            (math.isclose(got, np.polyfit(*logs, 1)[0], rel_tol=1e-6),
             "That is one slope for the whole run. Take the slopes between neighbours."),
            (got >= distances[2], "That is where the run begins, on a wall, where the slope is 2 "
                                  "as well. Look for the last place with a slope of 3 or more."),
            (got == 0, "This run does turn. Is your slope that of ln(f − f*) against ln r?"),
        ):
            if hit:
                return hint
        return f"A run turns at the distance {near_by[1]:.3g}; yours says {got:.3g}."
    return "Correct. It finds the end of the ravine behind a wall, too, and says 0 where there " \
           "is none, in a bowl as well."


class _Floor:
    """f* + c‖x − m‖ᵖ, which counts how often it is asked."""

    def __init__(self, order, constant, f_star, minimizer):
        self.order, self.constant, self.f_star = order, constant, f_star
        self.minimizer, self.calls = minimizer, {"f": 0, "grad": 0}

    def fun(self, x):
        self.calls["f"] += 1
        return self.f_star + self.constant * np.linalg.norm(x - self.minimizer) ** self.order

    def grad(self, x):
        self.calls["grad"] += 1
        off = x - self.minimizer
        return self.order * self.constant * np.linalg.norm(off) ** (self.order - 2) * off


def _long_step(answer):
    """Polyak's step with λ = p, on floors of several orders in several dimensions."""
    answer = function(answer, "(f, grad, x, f_star, p)")
    for order, constant, f_star, start in [(4.0, 0.5, 0.0, [0.3, -0.2]),
                                           (3.0, 2.0, 1.5, [0.1, 0.2, -0.4]),
                                           (2.0, 1.0, -3.0, [0.7]),
                                           (6.0, 5.0, 0.25, [0.5, 0.1, 0.2, -0.3])]:
        x, minimizer = np.array(start), 0.5 + np.arange(len(start))  # which nobody can guess
        x += minimizer
        floor, mine = _Floor(order, constant, f_star, minimizer), x.copy()
        got = array(answer(floor.fun, floor.grad, mine, f_star, order))
        if got.shape != x.shape:
            return f"The next point has the shape of x, {x.shape}, but yours has shape " \
                   f"{got.shape}."
        if not np.linalg.norm(got - minimizer) <= 1e-9 * np.linalg.norm(x):
            return _wrong_step(floor, x, got)
        if not np.array_equal(mine, x):
            return "The point is right, but x itself has changed: “x -= …” writes into the " \
                   "caller's array. Return a new one."
        for name, calls in floor.calls.items():
            if calls > 1:
                return f"The point is right, but {name} was asked {calls} times. Each call may " \
                       f"cost minutes: keep its answer in a variable."
    return "Correct. It arrives at once on floors of order 2, 3, 4 and 6, with one call of each."


def _wrong_step(floor, x, got):
    """What a step that does not arrive may have forgotten."""
    off = x - floor.minimizer
    p, size = floor.order, float(np.linalg.norm(off))
    gap = floor.fun(x) - floor.f_star
    if np.allclose(got, off) or np.allclose(got, -off):
        return "That is the step alone. The next point is x minus the step."
    part = float((x - got) @ off) / size**2  # of the way to the minimizer, which is 1
    if not np.linalg.norm(x - got - part * off) <= 1e-9 * size:
        return "Off the line through x along the gradient. Which direction has Polyak's step?"
    for value, hint in (
        (0.0, "That is x again. The next point is x minus the step."),
        (-1.0, "The sign: that goes up. The next point is x minus the step."),
        (-1 / p, "The sign: that goes up. The next point is x minus the step."),
        (1 / p, f"That is Polyak's own step, λ = 1. For p = {p:g} it leaves 1 − 1/p of the "
                "distance. Which λ leaves nothing?"),
        (1 / p**2, "λ upside down: 1 − λ/p is zero for λ = p, not for λ = 1/p."),
        ((gap + floor.f_star) / gap, "The numerator is f(x) − f_star; you took f(x) alone."),
        (p * gap / size, "Divide by ‖g‖², the square of the norm."),
        (4 / p, "Right for p = 4 alone. Here the order is an argument."),
    ):
        if math.isclose(part, value, rel_tol=1e-9, abs_tol=1e-12):
            return hint
    return f"For p = {p:g} your step goes {part:.3g} of the way to the minimizer, as with " \
           f"λ = {part * p:.3g}. Which λ makes 1 − λ/p zero?"


def _growth_6():
    """The first k whose Polyak step size on 5u² + v⁴ from v = 1 is above 2/L."""
    x, top = part(0), ConvexQuartic([5.0], [1.0]).normal_curvature[1]
    wall = 2 / top

    def step(k):
        v = 0.75**k
        return v**4 / (4 * v**3) ** 2

    def beyond(bound, growth=16 / 9):
        return next(k for k in range(50) if step(0) * growth**k > bound)
    right = beyond(wall)
    return Exercise(("k",), [
        (equal(x, right), f"Correct. Step {right} is {step(right):.3f}, and the wall allows "
                          f"{wall:g}."),
        (near(x, math.log(wall / step(0)) / math.log(16 / 9), 5e-3),
         "Nearly: that solves the equation. The first whole k above it was asked."),
        ((x < 0) | ~whole(x), "k is a whole number, at least 0."),
        (equal(x, right - 1), f"Nearly. Step {right - 1} is {step(right - 1):.4f}, just short of "
                              f"{wall:g}."),
        (equal(x, beyond(1 / top)), "Step 1 is larger than 1/L = 0.1. On a wall of curvature L "
                                    "steps diverge beyond 2/L."),
        (equal(x, beyond(wall, 4 / 3)), "That lets the steps grow by 4/3. v shrinks by ¾, and the "
                                        "step goes with 1/v²."),
        (equal(x, beyond(2 / 5)), "That is for L = 5. The second derivative of 5u² is 10."),
        (equal(x, 0), "The first step is 1/16, which the wall can take."),
    ], f"Step k is (16/9)ᵏ/16, and 2/L is {wall:g}.")


def _growth_7():
    """c₃, c that make ½u² + cu²v² − c₃uv³ + v⁴ convex near 0, with |c₃| ≥ ½."""
    b, c = part(0), part(1)
    least = b * b * 3 / 8

    def lowest(u, v):
        """The worst direction, scaled to 0.01, and the smaller eigenvalue of the Hessian there."""
        size = term("sqrt", u * u + v * v) * 100
        u, v = u / size, v / size
        first, mixed = 1 + 2 * c * v * v, 4 * c * u * v - 3 * b * v * v
        last = 12 * v * v + 2 * c * u * u - 6 * b * u * v
        half = term("sqrt", (first - last) * (first - last) + 4 * mixed * mixed)
        return f"The ravine bends enough. But f is not convex: at (u, v) = ({u:.4f}, {v:.4f}) " \
               f"the smallest eigenvalue is {(first + last - half) / 2:.2g}. Near 0 look at " \
               "12v² − 6c₃uv + 2cu²."
    return Exercise(("c₃", "c"), [
        (abs(b) < 0.5, f"The ravine is u = {b}·v³ + …, and {abs(b)} is less than ½."),
        (near(c, least, 1e-12),
         "Nearly: there the leading part of the determinant is zero along a line, and the rest "
         "makes it negative. Take a larger c."),
        (c > least, f"Correct. The ravine bends like {b}·v³, and the leading part of the "
                    f"determinant is positive, because c > 3c₃²/8 = {least:.4g}."),
        # Where 12v² − 6buv + 2cu² is negative; for c > 0 the worst direction.
        (c > 0, lowest(3 * b, 2 * c)),
    ], lowest(4 + 0 * b, b))


CHECKS = {
    "growth-1": _growth_1,
    "growth-2": _growth_2,
    "growth-3": _growth_3,
    "growth-4": _growth_4,
    "growth-5": lambda: Exercise(("ends(distances, gaps)",), code=_ends),
    "growth-6": _growth_6,
    "growth-7": _growth_7,
    "growth-8": lambda: Exercise(("long_step(f, grad, x, f_star, p)",), code=_long_step),
}
