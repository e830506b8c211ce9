"""Answers to the exercises of the chapter on fourth-order growth."""

from __future__ import annotations

import math

import numpy as np

from ..problems import ConvexQuartic
from ._answers import close, function, number, numbers


def _growth_1(answer):
    """Growth order and constant of f = r³/2, from its values at r = 0.1 and 0.05."""
    order, constant = numbers(answer, "p", "c")
    if not close(order, 3, 1e-3):
        if close(order, 1 / 3, 1e-3):
            return "p: that is the slope of the distance against f. Put ln f above and ln of the " \
                   "distance below."
        if close(order, 8, 1e-3):
            return "p: 8 is the ratio of the two values. The distances have the ratio 2; which " \
                   "power of 2 is 8?"
        if close(order, -3, 1e-3):
            return "p: the size is right. Both differences of logarithms have the same sign."
        if close(order, math.log(5e-4) / math.log(0.1), 5e-3):
            return "p: that is ln f/ln r at one point, which is p only where c = 1. Take the " \
                   "slope between two points."
        return "p: f falls by 8 where the distance halves."
    if close(constant, 0.5, 1e-3):
        return "Correct. 5·10⁻⁴ = ½·0.1³ and 6.25·10⁻⁵ = ½·0.05³: cubic growth."
    if close(constant, 5, 1e-3):
        return "p is right. c: that is f/r⁴ at r = 0.1. Divide by rᵖ, with your p."
    if close(constant, 5e-4, 1e-3):
        return "p is right. c: that is f at r = 0.1. Divide it by 0.1ᵖ."
    if close(constant, 2, 1e-3):
        return "p is right. c: that is its inverse."
    return "p is right. c: solve f = c·rᵖ at either of the points."


def _growth_2(answer):
    """Constant steps of 0.1 until v⁴/4 is below 1e-8 on the ravine of 5u² + v⁴/4."""
    answer = number(answer)
    constant = ConvexQuartic([5.0], [0.25]).growth_constant

    def steps(c, gap):
        return 1 / (8 * 0.1 * math.sqrt(c * gap))
    right = steps(constant, 1e-8)
    if close(answer, right):
        return f"Correct. {right:.0f} steps for eight digits, and a hundred times as many for " \
               "twelve."
    if answer <= 0:
        return "A number of steps is positive."
    if close(answer, steps(1.0, 1e-8)):
        return "That is for c = 1. Here the growth constant is ¼."
    if close(answer, 2 * right):
        return "1/v² grows by 8cη a step, not by 4cη: the square of 1 − 4cηv² is 1 − 8cηv²."
    if close(answer, right**2 / constant, 0.05) or answer > 1e12:
        return "That brings the distance to 10⁻⁸. Asked is f, and f = ¼v⁴."
    if close(answer, right * 0.1):
        return "The step size is missing: steps of 0.1 need ten times as many as steps of 1."
    if answer < 1000:
        return "That is how long a linear rate would take, or less. On order 4 the number of " \
               "steps grows like 1/√f, not like a logarithm."
    return "Put c = ¼, η = 0.1 and f = 10⁻⁸ into f = 1/(64 c η² k²) and solve for k."


def _growth_3(answer):
    """Ravine and form of f = 2u² + 3uv² + 2v⁴."""
    bend, form = numbers(answer, "bend", "q")
    if not close(bend, -0.75, 1e-3):
        if close(bend, 0.75, 1e-3):
            return "b: the size is right. 3uv² pushes u to the negative side."
        if close(bend, -1.5, 1e-3):
            return "b: that is −T/H. The formula has a factor ½, because T = D³f[v, v, ·] is " \
                   "twice the coefficient of uv²."
        if close(bend, -0.375, 1e-3):
            return "b: your T is 3. T = D³f[v, v, ·] differentiates 3uv² twice in v, which makes " \
                   "it 6."
        return "b: for a fixed v, which u makes 2u² + 3uv² least?"
    if close(form, 0.875, 1e-3):
        return "Correct. f = 2(u + ¾v²)² + ⅞v⁴."
    if close(form, 2, 1e-3):
        return "b is right. q: that is f along u = 0. On the ravine f is lower."
    if close(form, 2 + 9 / 8, 1e-3):
        return "b is right. q: the second term is subtracted. A wall can only help f to be lower."
    if close(form, 2 - 9 / 4, 1e-3):
        return "b is right. q: that takes ¼ for ⅛. It would make 0 no minimizer at all."
    if close(form, 2 - 9 / 32, 1e-3):
        return "b is right. q: your T is 3. T = D³f[v, v, ·] is 6."
    if close(form, 48 - 9 / 8, 1e-3):
        return "b is right. q: D⁴f[v⁴] of 2v⁴ is 48, and the formula divides it by 24."
    return "b is right. q: put u = −¾v² into f."


def _growth_4(answer):
    """The least a at which ½u² + a·u(v² − w²) + (v² + w²)² loses its fourth-order growth."""
    answer = number(answer)
    right = math.sqrt(2)
    if close(answer, right, 1e-3):
        return "Correct. q = (v² + w²)² − ½a²(v² − w²)², and on the axes it is 1 − ½a²."
    if close(answer, 2, 1e-3):
        return "That is a². It is a that was asked."
    if close(answer, math.sqrt(8), 1e-3):
        return "Your T is a(v² − w²). T = D³f[v, v, ·] is twice that."
    if close(answer, 1, 1e-3):
        return "H is 1, since ½u² has the second derivative 1; that makes ⅛⟨T, H†T⟩ = " \
               "½a²(v² − w²)²."
    if close(answer, -right, 1e-3):
        return "The size is right. The growth does not depend on the sign of a; give the " \
               "positive one."
    if answer <= 0:
        return "At a = 0 the growth is of order 4. Give the positive bound."
    worst = 1 - answer**2 / 2
    return f"For your a the form is {worst:.3g} at (v, w) = (1, 0). Where is that zero?"


def _growth_5(answer):
    """The slope of ln(f − f*) against ln r."""
    answer = function(answer, "(distances, gaps)")
    for order, constant, radii in [(4.0, 3.0, [0.1, 0.01, 0.05, 0.001]), (2.0, 0.5, [1e-3, 0.2]),
                                   (3.0, 20.0, [0.5, 1e-2, 1e-5, 0.1, 1e-3])]:
        r = np.array(radii)
        gaps = constant * r**order
        got = answer(r, gaps)
        if isinstance(got, (tuple, list, np.ndarray)) and np.size(got) == 2:
            return "That gives two numbers, the slope and the intercept. Return the slope alone."
        got = number(got.item() if isinstance(got, np.ndarray) and got.size == 1 else got)
        if math.isclose(got, order, rel_tol=1e-6):
            continue
        for value, hint in (
            (1 / order, "That is the slope of ln r against ln f. Exchange them."),
            (-order, "The sign is wrong: f falls when r does."),
            (np.polyfit(r, gaps, 1)[0], "Take the logarithms first, of both."),
            (np.polyfit(r, np.log(gaps), 1)[0], "Take the logarithm of the distances, too."),
            (np.polyfit(np.log(r), gaps, 1)[0], "Take the logarithm of the values, too."),
            (math.log(constant), "That is ln c, the intercept. The order is the slope."),
            (np.mean(np.log(gaps) / np.log(r)), "That is ln f/ln r, which is p only where c = 1."),
        ):
            if math.isclose(got, value, rel_tol=1e-6):
                return hint
        return f"f = {constant:g}·r^{order:g} gives {got:.4g} with yours."
    return "Correct. On exact powers it gives the power, whatever c is."


def _growth_6(answer):
    """The first k whose Polyak step on 5u² + v⁴ from v = 1 is longer than 2/L."""
    answer, wall = number(answer), 2 / ConvexQuartic([5.0], [1.0]).normal_curvature[1]

    def step(k):
        v = 0.75**k
        return v**4 / (4 * v**3) ** 2
    right = next(k for k in range(50) if step(k) > wall)
    if answer == right:
        return f"Correct. Step {right} is {step(right):.3f}, and the wall allows {wall:g}."
    if close(answer, math.log(3.2) / math.log(16 / 9), 5e-3):
        return "Nearly: that solves the equation. The first whole k above it was asked."
    if answer < 0 or answer != int(answer):
        return "k is a whole number, at least 0."
    if answer == 2:
        return f"Nearly. Step 2 is {step(2):.4f}, just short of {wall:g}."
    if answer == 1:
        return "Step 1 is longer than 1/L = 0.1. A step on a wall of curvature L diverges beyond " \
               "2/L."
    if answer == 5:
        return "That lets the steps grow by 4/3. v shrinks by ¾, and the step goes with 1/v²."
    if answer == 4:
        return "That is for L = 5. The second derivative of 5u² is 10."
    if answer == 0:
        return "The first step is 1/16, which the wall can take."
    return f"Step k is (16/9)ᵏ/16, and 2/L is {wall:g}."


def _growth_7(answer):
    """b, c that make ½u² + cu²v² − b·uv³ + v⁴ convex near 0, with |b| ≥ ½."""
    b, c = numbers(answer, "b", "c")
    if not (math.isfinite(b) and math.isfinite(c)):
        return "Both numbers have to be finite."
    if abs(b) < 0.5:
        return f"The ravine is u = {b:g}·v³ + …, and {abs(b):g} is less than ½."
    least = 3 * b * b / 8
    if close(c, least, 1e-12):
        return "Nearly: there the leading part of the determinant is zero along a line, and the " \
               "rest makes it negative. Take a larger c."
    if c > least:
        return f"Correct. The ravine bends like {b:g}·v³, and the leading part of the " \
               f"determinant is positive, because c > 3b²/8 = {least:.4g}."
    # A direction in which 12v² − 6buv + 2cu² is negative; for c > 0 the worst.
    u, v = (3 * b, 2 * c) if c > 0 else (4.0, b)
    u, v = 0.01 * np.array([u, v]) / math.hypot(u, v)
    mixed = 4 * c * u * v - 3 * b * v * v
    curved = 12 * v * v + 2 * c * u * u - 6 * b * u * v
    hess = np.array([[1 + 2 * c * v * v, mixed], [mixed, curved]])
    lowest = float(np.linalg.eigvalsh(hess)[0])
    return f"The ravine bends enough. But f is not convex: at (u, v) = ({u:.4f}, {v:.4f}) the " \
           f"smallest eigenvalue is {lowest:.2g}. Near 0 look at 12v² − 6b·uv + 2cu²."


CHECKS = {
    "growth-1": _growth_1,
    "growth-2": _growth_2,
    "growth-3": _growth_3,
    "growth-4": _growth_4,
    "growth-5": _growth_5,
    "growth-6": _growth_6,
    "growth-7": _growth_7,
}
