"""Answers to the exercises on growth; `test_checks.py` asks what feedback each one gets."""

import math

import numpy as np
import pytest

from saddlelib.checks import check


def slopes(r, f):
    return np.diff(np.log(f)) / np.diff(np.log(r))


def ends(r, f):
    steep = slopes(r, f) >= 3
    return 0.0 if steep[-1] or not steep.any() else r[1:][steep][-1]


def first_below(r, f):
    below = r[1:][slopes(r, f) < 3]
    return below[0] if below.size and slopes(r, f)[-1] < 3 else 0


def crashes_in_a_bowl(r, f):
    steep = slopes(r, f) >= 3
    return 0.0 if steep[-1] else r[1:][steep][-1]


def by_turns(r, f):
    """Takes the end of the run for the end of the ravine where there is none."""
    steep = slopes(r, f) >= 3
    return ends(r, f) if steep.any() else r[-1]


def by_a_loop(r, f):
    for i in range(len(r) - 1, 0, -1):
        if math.log(f[i - 1] / f[i]) >= 3 * math.log(r[i - 1] / r[i]):
            return 0 if i == len(r) - 1 else math.sqrt(r[i] * r[i + 1])
    return 0


def long_step(f, grad, x, f_star, p):
    g = grad(x)
    return x - p * (f(x) - f_star) / (g @ g) * g


def in_place(f, grad, x, f_star, p):
    x -= x - long_step(f, grad, x, f_star, p)
    return x


RIGHT = {
    "growth-1": [(3, 0.5), np.array([3.0, 0.5]), (math.log2(8), 5e-4 / 0.1**3)],
    "growth-2": [25000, 1 / (8 * 0.1 * math.sqrt(0.25e-8))],
    "growth-3": [(-0.75, 0.875), (-3 / 4, 7 / 8), (-0.75, 0.88)],
    "growth-4": [math.sqrt(2), 1.4142, 1.41],
    "growth-5": [ends, by_a_loop, lambda r, f: np.array([ends(r, f)])],
    "growth-6": [3, np.int64(3)],
    "growth-7": [(0.5, 1.0), (1.0, 0.4), (-1.0, 0.4), (4.0, 7.0)],
    "growth-8": [long_step, lambda f, g, x, low, p: (lambda d: x - p * (f(x) - low) / (d @ d) * d)(
        g(x)), lambda f, g, x, low, p: list(long_step(f, g, x, low, p))],
}

# A typical mistake, and words that only its own hint contains.
WRONG = {
    "growth-1": [((1 / 3, 0.5), "against f"), ((8, 0.5), "ratio of the two"),
                 ((-3, 0.5), "same sign"), ((3.301, 0.5), "only where c = 1"),
                 ((4, 5), "drops out"), ((3, 5), "f/r⁴"), ((3, 5e-4), "that is f at"),
                 ((3, 2), "inverse"), ((3, 7), "either of the points"), (3, "2 numbers")],
    "growth-2": [(12500, "growth constant is ¼"), (50000, "not by 4cη"),
                 (2500, "step size is missing"), (5e16, "brings the distance"),
                 (184, "linear rate"), (-25000, "positive"),
                 (77777, "solve for k"), ("many", "wants a number")],
    "growth-3": [((0.75, 0.875), "negative side"), ((-1.5, 0.875), "twice the coefficient"),
                 ((-0.375, 0.875), "differentiates"), ((2, 2), "which u makes"),
                 ((-0.75, 2), "along u = 0"), ((-0.75, 3.125), "is subtracted"),
                 ((-0.75, -0.25), "¼ for ⅛"), ((-0.75, 1.71875), "D³f[v, v, ·] is 6v²."),
                 ((-0.75, 46.875), "divides it by 24"), ((-0.75, 5), "put u"),
                 (0.875, "2 numbers")],
    "growth-4": [(2, "That is s²"), (2.8284, "Your β(v)"), (1, "H is 1"), (-1.4142, "sign of s"),
                 (0, "positive bound"), (5, "-11.5"), (1.3, "0.155"),
                 ("root 2", "wants a number")],
    "growth-5": [(lambda r, f: np.polyfit(np.log(r), np.log(f), 1)[0], "for the whole run"),
                 (slopes, "299 numbers"),
                 (lambda r, f: np.flatnonzero(slopes(r, f) >= 3)[-1], "position in the arrays"),
                 (lambda r, f: f[np.flatnonzero(slopes(r, f) >= 3)[-1]], "f − f* at the right"),
                 (lambda r, f: r[np.flatnonzero(slopes(r, f) >= 3)[-1] + 1], "Return 0 for it"),
                 (first_below, "on a wall"), (crashes_in_a_bowl, "ends with IndexError"),
                 (by_turns, "in a bowl from the start"),
                 (lambda r, f: 0, "This run does turn"),
                 (lambda r, f: ends(r, f) / 2, "yours says"),
                 (lambda r: 4, "<lambda>() takes"),
                 (4, "function")],
    "growth-6": [(2.0216, "solves the equation"), (2, "just short"), (1, "1/L"), (5, "grow by 4/3"),
                 (4, "L = 5"), (0, "1/16, which"), (17, "(16/9)ᵏ"),
                 (2.5, "whole number")],
    "growth-7": [((0.3, 1.0), "less than ½"), ((2.0, 1.5), "Nearly"),
                 ((1.0, 0.2), "(0.0099, 0.0013)"), ((1.0, -1.0), "is -0.00026"),
                 ((1.0, 0.0), "is -7.1e-05"), ((0.5, math.inf), "finite"), (0.5, "2 numbers")],
    "growth-8": [(lambda f, g, x, low, p: long_step(f, g, x, low, 1), "Polyak's own step"),
                 (lambda f, g, x, low, p: long_step(f, g, x, low, -p), "goes up"),
                 (lambda f, g, x, low, p: x - long_step(f, g, x, low, p), "the step alone"),
                 (lambda f, g, x, low, p: long_step(f, g, x, low, p) - x, "the step alone"),
                 (lambda f, g, x, low, p: x, "x again"),
                 (lambda f, g, x, low, p: 0 * x, "Off the line"),
                 (lambda f, g, x, low, p: (long_step(f, g, x, low, p), 1), "a tuple of 2"),
                 (lambda f, g, x, low, p: long_step(f, g, x, low, p) + 0j, "real numbers"),
                 (lambda f, g, x, low, p: long_step(f, g, x, 0.0, p), "you took f(x) alone"),
                 (lambda f, g, x, low, p: long_step(f, g, x, low, 1 / p), "upside down"),
                 (lambda f, g, x, low, p: long_step(f, g, x, low, 4), "p = 4 alone"),
                 (lambda f, g, x, low, p: x - p * (f(x) - low) / np.linalg.norm(g(x)) * g(x),
                  "the square of the norm"),
                 (lambda f, g, x, low, p: long_step(f, g, x, low, p / 2), "0.5 of the way"),
                 (lambda f, g, x, low, p: x - np.sign(g(x)), "Off the line"),
                 (lambda f, g, x, low, p: np.linalg.norm(x), "shape"),
                 (lambda f, g, x, low, p: x - p * (f(x) - low) / (g(x) @ g(x)) * g(x),
                  "grad was asked 3 times"),
                 (in_place, "caller's array"), (lambda f, g, x, low, p: None, "returns nothing"),
                 (lambda x: x, "takes 1 positional"), (4, "function")],
}


@pytest.mark.parametrize("b", [0.5, -0.5, 1.0, 3.0])
def test_the_bound_of_the_last_exercise_separates_convex_from_not(b):
    """Above the bound and only there the Hessian is positive definite on a small circle."""
    def least(c, radius=1e-3):
        angle = np.linspace(0, 2 * np.pi, 20_001)
        u, v = radius * np.cos(angle), radius * np.sin(angle)
        uu, vv = 1 + 2 * c * v**2, 12 * v**2 + 2 * c * u**2 - 6 * b * u * v
        uv = 4 * c * u * v - 3 * b * v**2
        return ((uu + vv) / 2 - np.sqrt((uu - vv) ** 2 / 4 + uv**2)).min()

    bound = 3 * b * b / 8
    for share in (0.5, 0.9, 1.1, 2.0):
        answer = b, share * bound
        assert (least(answer[1]) > 0) == (share > 1) == bool(check("growth-7", answer))
