"""Answers to the exercises of the chapter on GDPolyak."""

from __future__ import annotations

import math

import numpy as np

from ..problems import ConvexQuartic, MatrixFactorization, RavineRosenbrock
from ..theory import ravine
from ._numbers import array, function
from ._table import Exercise, equal, first, near, part, term, whole, within

FIRST = "The first is right. "


def _gdpolyak_1():
    """Growth of the long steps and the factor of f, for order 4 and λ = 2."""
    grows, falls = part(0), part(1)
    right, factor = ravine.step_growth(4.0, 2.0), ravine.contraction(4.0, 2.0)
    published = ravine.contraction(4.0, 1.0)
    return Exercise(("growth of the steps", "factor of f"), [
        *first(near(grows, right, 1e-3), "The growth: ", [
            (near(grows, ravine.step_growth(), 2e-3), "that belongs to λ = 1. With λ = 2, "
                                                      "1 − λ/p = 1 − 2/4."),
            (near(grows, 1 / factor, 1e-3), "that is 1/(1 − λ/p). The length goes with v to "
                                            "the power −2."),
            (near(grows, 1 / right, 1e-3), "upside down. The closer the run, the longer the step."),
        ], "the length is proportional to v^(2 − p), and v is multiplied by 1 − λ/p."),
        *first(near(falls, factor**4), f"{FIRST}f: ", [
            (near(falls, factor, 1e-3), "that is what happens to the distance. f is its fourth "
                                        "power."),
            (near(falls, factor**-4, 1e-3), "it falls, so its factor is below one."),
            (near(falls, published**4), "81/256 belongs to λ = 1."),
        ], "the distance is multiplied by 1 − λ/p, and f = cv⁴."),
    ], "Correct. 1 − λ/p = ½, so the steps grow by (½)⁻² = 4 and f falls by (½)⁴ = 1/16.")


def _gdpolyak_2():
    """The jump of |u| and the short steps that take it back, for 10u² + v⁴ at v = 0.05."""
    jump, steps = abs(part(0)), part(1)
    length, mu, shrinks = 1 / (16 * 0.05**2), 20.0, 1 - 0.0125 * 20.0
    right = length * mu - 1
    exact = math.log(right) / -math.log(shrinks)
    needed = math.ceil(exact)
    return Exercise(("factor", "short steps"), [
        *first(near(jump, right, 1e-3), "The factor: ", [
            (near(jump, length * mu / 2 - 1, 1e-3), "μ is the second derivative of 10u², not its "
                                                    "coefficient."),
            (near(jump, length * mu, 1e-3), "nearly. It is 1 − αμ, and the one belongs to it."),
            (near(jump, length, 1e-3), f"{length:g} is the length of the step. It multiplies u by "
                                       f"1 − {length:g}μ."),
            (near(jump, 8 * length * mu - 1) | near(jump, 16 * length * mu - 1),
             "the step is (f − f*)/‖∇f‖² = v⁴/(4v³)², which is 1/(16v²)."),
        ], f"the step is α = 1/(16v²) = {length:g}, and u is multiplied by 1 − αμ."),
        *first(equal(steps, needed), f"{FIRST}The steps: ", [
            (near(steps, exact, 2e-3) | equal(steps, needed - 1), "there are no parts of a step. "
                                                                  "Round up."),
            (near(steps, right / (1 - shrinks)), "each multiplies by ¾, so the logarithm counts."),
            (near(steps, math.log(right) / (1 - shrinks), 0.03),
             "that puts ημ in place of ln(1/(1 − ημ)), which is good for small ημ alone."),
        ], f"a short one multiplies u by 1 − ημ = ¾. Solve {right:g}·(¾)^k ≤ 1."),
    ], f"Correct. (4/3)^{needed - 1} is below {right:g} and (4/3)^{needed} above.")


# Gradients of GDPolyak on Rosenbrock's ravine until ten digits of the distance are won, as in the
# table of the chapter, with η = 0.0125 and with half of it.
TEN_DIGITS = 6707, 14502


def _gdpolyak_3():
    """Predicted and then counted gradients for ten digits, with the step and with half of it."""
    whole_step, half = part(0), part(1)
    seven, q, q_half = 3351, math.log(4 / 3), math.log(8 / 7)
    near_by = near(whole_step, TEN_DIGITS[0], 0.05)
    return Exercise(("ten digits", "with half the step"), [
        *first(near_by, "Ten digits: ", [
            (near(whole_step, seven * 10 / 7, 0.02), "that would be a linear rate. Here the count "
                                                     "grows with the square of the digits."),
            (near(whole_step, seven * (10 / 7) ** 4, 0.02), "the digits are those of the distance "
                                                            "already, so the square will do."),
            (near(whole_step, seven + 3, 1e-2), "three digits more cost more than that. The count "
                                                "grows with the square of the digits."),
            (near(whole_step, 100 * (math.log(10) / q) ** 2 / 2, 0.02),
             "(p − 2)/2 is one for p = 4, not a half."),
        ], "7 digits took 3351, and n digits take about n² times a constant."),
        *first(near(half, TEN_DIGITS[1], 0.05), "The first is close. Half the step: ", [
            (near(half, whole_step, 0.02), "a shorter step takes back less: ln(1/(1 − ημ)) is "
                                           "smaller."),
            (near(half, 2 * whole_step, 0.01), "a little more than twice: ln(1/(1 − ημ)) falls "
                                               "from 0.288 to 0.134."),
            (near(half, 4 * whole_step, 0.05), "η stands in one of the two logarithms only."),
            (near(half, whole_step / 2, 0.05), "half the step does not save gradients."),
            (near(half, whole_step * (q / q_half) ** 2, 0.02), "the logarithm of 1/(1 − ημ) "
                                                               "stands there once, not squared."),
        ], "ημ is 0.125 in place of 0.25. Put it into ln(1/(1 − ημ))."),
    ], f"Correct. The runs take {TEN_DIGITS[0]} and {TEN_DIGITS[1]} gradients.")


def _long_step(answer):
    """Polyak's step from two gradients in a row, on round floors of several orders."""
    answer = function(answer, "(x, g_old, g, eta, p)")
    for order, constant, start in [(4.0, 0.5, [0.3, -0.2]), (3.0, 2.0, [0.1, 0.2, -0.4]),
                                   (6.0, 5.0, [0.5, 0.1, 0.2, -0.3]), (2.5, 1.0, [0.7])]:
        minimizer = 0.5 + np.arange(len(start))  # which nobody can guess
        off = np.array(start)
        size = np.linalg.norm(off)
        g_old = constant * order * size ** (order - 2) * off
        eta = 0.002 / (constant * order * (order - 1) * size ** (order - 2))
        off = off - eta * g_old
        size = np.linalg.norm(off)
        g, x = constant * order * size ** (order - 2) * off, minimizer + off
        mine = x.copy()
        got = array(answer(mine, g_old.copy(), g.copy(), eta, order))
        if got.shape != x.shape:
            return f"The next point has the shape of x, {x.shape}, but yours has shape " \
                   f"{got.shape}."
        if not np.linalg.norm(got - minimizer - (1 - 1 / order) * off) <= 0.01 * size:
            return _wrong_step(order, x, off, g_old, eta, got)
        if not np.array_equal(mine, x):
            return "The point is right, but x itself has changed: “x -= …” writes into the " \
                   "caller's array. Return a new one."
    return "Correct. On floors of order 2.5, 3, 4 and 6 it leaves 1 − 1/p of the distance, as if " \
           "it knew f*."


def _wrong_step(p, x, off, g_old, eta, got):
    """What a step that is not Polyak's may have forgotten."""
    if np.allclose(abs(got), abs(off) / p, 0.02):
        return "That is the step alone. The next point is x minus the step."
    size = off @ off
    part = (x - got) @ off / size  # of the way to the minimizer, which is 1
    if not np.linalg.norm(x - got - part * off) <= 1e-6 * (1 + abs(part)) * np.sqrt(size):
        return "Off the line through x along the gradient. Which direction has Polyak's step?"
    for value, hint in (
        (0.0, "That is x again. The next point is x minus the step."),
        (-1 / p, "The sign: that goes up. The next point is x minus the step."),
        (1 / (p - 1), "One over the curvature is Newton's step along the gradient. Polyak's "
                      "quotient is θ_g over the curvature, with θ_g = (p − 1)/p."),
        (1 / (p * (p - 1)), "θ_g is (p − 1)/p on a round floor, not 1/p."),
        (p / (p - 1) ** 2, "(p − 1)/p upside down: the quotient is θ_g over the curvature."),
        (0.75 / (p - 1), "¾ belongs to order 4. Here the order is an argument."),
        (1 / (p * eta), "Your curvature lacks eta: g_old − g is eta times the Hessian times "
                        "g_old."),
        (1 / (p * (g_old @ g_old)), "The curvature along g is divided by ‖g‖², as in θ_g."),
    ):
        if math.isclose(part, value, rel_tol=0.02, abs_tol=1e-9):
            return hint
    return f"For p = {p:g} your step goes {part:.3g} of the way to the minimizer, where Polyak's " \
           f"goes 1/p."


def _gdpolyak_7():
    """Rosenbrock's ravine from (0.6, 0.9) with η = 0.04: f ≤ 1e-24 in 300 gradients."""
    length, growth, factor = part(0), part(1), part(2)
    arrived, best = (term("race", length, growth, factor, what) for what in ("arrived", "best"))
    # theory.ravine.growth with order 4: 2 ln(1/ρ)/ln(1/q).
    rho, q = abs(1 - factor / 4), math.log(1 / ravine.rate(0.04, 20.0))
    law = term("log", rho) * (-2 / q)
    late, bounded = arrived > 1000, factor < 4
    reached = f"The best f in 300 gradients is {best:.0e}."
    return Exercise(("epoch_length", "growth", "factor"), [
        (~whole(length) | (length < 0), "The epoch length is a whole number, at least 0."),
        ((growth < 0) | (factor <= 0), "The growth is at least 0, and the factor positive."),
        (factor >= 8, "With λ ≥ 2p = 8 a long step leads away from the minimizer."),
        (arrived <= 300, f"Correct. {arrived} gradients."),
        ((factor <= 1.25) & ~late,
         f"It takes {arrived} gradients. The lengths are well chosen; λ is what makes the epochs "
         "few."),
        (bounded & (growth < 0.7 * law) & late,
         f"{reached} The epochs grow too slowly for λ = {factor}: the law asks for {law:.2g} short "
         "steps more each."),
        (bounded & (growth > 1.8 * law),
         f"{reached} The epochs grow too fast: {law:.2g} short steps more each would do."),
        (length > 15,
         f"{reached} The first epochs are longer than needed; start with a few short steps."),
    ], f"{reached} Take λ = 2 or 3, and the growth that the law gives for it.")


def _gdpolyak_8():
    """Order, jump and what one Newton step leaves, for f − f* = 2e-6 and D = 2.4e-6."""
    p, jump, left = part(0), part(1), part(2)
    theta = 2e-6 / 2.4e-6
    order = 1 / (1 - theta)
    two = "The first two are right. The distance: "
    return Exercise(("order", "Newton steps", "part of the distance"), [
        *first(near(p, order, 5e-3), "The order: ", [
            (near(p, theta, 5e-3), "that is θ. On the floor it is (p − 1)/p."),
            (near(p, 1 / theta, 5e-3), "D/(f − f*) is p/(p − 1). Solve for p."),
            (near(p, order - 1, 5e-3), "nearly. θ/(1 − θ) = 5 is the jump, p − 1."),
            (near(p, 1 + theta, 5e-3), "not 1 + θ. Solve (p − 1)/p = θ."),
            (near(p, 2, 5e-3), "a bowl of order 2 would show θ = ½."),
            (near(p, 4, 5e-3), "4 would show θ = ¾."),
        ], "θ = 2/2.4, and (p − 1)/p = θ on the floor."),
        *first(near(jump, order - 1, 5e-3), f"{FIRST}The jump: ", [
            (near(jump, order, 5e-3), "one less. A Newton step is −v/(p − 1)."),
            (near(jump, 1 / (order - 1), 5e-3), "upside down. One step goes a fifth of the way."),
            (near(jump, 1, 5e-3), "one step would do if f were quadratic."),
        ], "θ/(1 − θ), or p − 1."),
        *first(near(left, 1 - 1 / (order - 1), 5e-3), two, [
            (within(left, 1 / (order - 1), 5e-3), "that is what it takes away."),
            (within(left, theta, 5e-3), "that is what a step of Polyak leaves, 1 − 1/p. Newton's "
                                        "is −v/(p − 1)."),
            (within(left, (1 - 1 / (order - 1)) ** order, 5e-3),
             "that is what is left of f. The distance was asked for."),
            (within(left, 0, 5e-3), "that is a jump. A single step does not arrive."),
        ], "one step takes 1/(p − 1) of it."),
    ], "Correct. θ = 5/6: order 6, five steps at once, and one alone leaves 4/5.")


class _Calls:
    """A problem as one function that gives f and ∇f, and counts how often it is asked."""

    def __init__(self, problem):
        self.problem, self.count = problem, 0

    def __call__(self, x):
        self.count += 1
        return float(self.problem.fun(x)), self.problem.grad(x)


def _descent(call, x, eta, lengths, *, before=False, scale=1.0, power=2, stale=False):
    """Epochs of so many short steps and a long one: as it is meant, or with a common mistake."""
    f = g = None
    for length in lengths:
        for long in ([True] + [False] * length if before else [False] * length + [True]):
            if not (long and stale and g is not None):
                f, g = call(x)
            x = x - (scale * f / np.linalg.norm(g) ** power if long else eta) * g
    return x


def _descend(answer):
    """GDPolyak with growing epochs, from a function that is paid for by the call."""
    answer = function(answer, "(call, x, eta, K, more, epochs)")
    courses = (
        (ConvexQuartic(), [0.7, 0.6], 0.1, 3, 1.6, 4),
        (RavineRosenbrock(10.0), [0.8, 0.5], 0.0125, 4, 2.0, 3),
        (MatrixFactorization(np.diag([1.0, 0.5, 0.0]), columns=3),
         [0.7, 0.1, 0.2, -0.1, 0.5, 0.1, 0.3, 0.2, 0.4], 0.06, 2, 0.6, 5),
    )
    with np.errstate(all="ignore"):
        for problem, start, eta, K, more, epochs in courses:
            lengths = [math.floor(K + i * more) for i in range(epochs)]
            call, x = _Calls(problem), np.array(start)
            got = array(answer(call, x, eta, K, more, epochs))
            if got.shape != x.shape:
                return f"Return the last point, of shape {x.shape}; yours has shape {got.shape}."
            right = _descent(_Calls(problem), np.array(start), eta, lengths)
            if not np.allclose(got, right, rtol=1e-9, atol=1e-12):
                return _wrong_descent(problem, np.array(start), eta, K, more, epochs, got)
            if (x != start).any():
                return "The points are right, but your function changes the start that it is " \
                       "given. Write x = x − …, which makes a new array, in place of x −= …."
            if call.count != sum(lengths) + epochs:
                return f"The point is right, but it took {call.count} calls where " \
                       f"{sum(lengths) + epochs} do. Ask once at each point from which you " \
                       "step, and take both numbers from that call."
    return "Correct. The right points, one call for each step, and none at the last point."


def _wrong_descent(problem, x, eta, K, more, epochs, got):
    """Which mistake leads to the point that a function gave."""
    if not np.isfinite(got).all():
        return "The point that yours returns is not finite. Does every step go downhill? It is " \
               "x − …, against the gradient."
    lengths = [math.floor(K + i * more) for i in range(epochs)]
    for mistaken, options, hint in (
        (lengths, {"scale": -1.0}, "Your long steps go uphill: they are x − …, too."),
        (lengths, {"scale": 0.0}, "The long steps are missing: one at the end of each epoch."),
        ([0] * epochs, {}, "The short steps are missing: that is Polyak's method."),
        (lengths, {"before": True}, "Your epochs begin with the long step. Go down to the floor "
                                    "first, then along it."),
        (lengths, {"power": 1}, "The norm in the long step is squared: f/‖∇f‖²."),
        (lengths, {"power": 0}, "The long step is f/‖∇f‖² times the gradient; yours does not "
                                "divide."),
        (lengths, {"stale": True}, "Your long step takes f and ∇f from the point before the last "
                                   "short step. Call again where it begins."),
        (lengths, {"scale": 0.5}, "Your long step is half as long as Polyak's, f/‖∇f‖²."),
        ([K] * epochs, {}, "Your epochs do not grow: epoch i has ⌊K + i·more⌋ short steps."),
        ([math.floor(K + (i + 1) * more) for i in range(epochs)], {},
         "Epochs are counted from 0: the first has K short steps."),
        ([K + i * math.floor(more) for i in range(epochs)], {},
         "Round down at the end, not before: ⌊K + i·more⌋, not K + i·⌊more⌋."),
        ([math.ceil(K + i * more) for i in range(epochs)], {}, "Round down, not up."),
        ([round(K + i * more) for i in range(epochs)], {}, "Round down, not to the nearest."),
        (lengths[:-1], {}, f"One epoch is missing: {epochs} are wanted."),
        ([*lengths, math.floor(K + epochs * more)], {}, f"One epoch too many: {epochs} are "
                                                        "wanted."),
        ([n - 1 for n in lengths], {}, "Every epoch has one short step too few: K of them, and "
                                       "then the long one."),
    ):
        if np.allclose(got, _descent(_Calls(problem), x, eta, mistaken, **options), rtol=1e-6,
                       atol=1e-9):
            return hint
    return f"On {problem.name} with K = {K}, more = {more} and {epochs} epochs it ends at " \
           f"{np.array2string(got, precision=3)}. An epoch is ⌊K + i·more⌋ steps x − η∇f(x), and " \
           "then one step x − f/‖∇f‖²·∇f."


CHECKS = {
    "gdpolyak-1": _gdpolyak_1,
    "gdpolyak-2": _gdpolyak_2,
    "gdpolyak-3": _gdpolyak_3,
    "gdpolyak-4": lambda: Exercise(("long_step(x, g_old, g, eta, p)",), code=_long_step),
    "gdpolyak-7": _gdpolyak_7,
    "gdpolyak-8": _gdpolyak_8,
    "gdpolyak-9": lambda: Exercise(("descend(call, x, eta, K, more, epochs)",), code=_descend),
}
