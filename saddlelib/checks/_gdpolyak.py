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


def _gdpolyak_3():
    """The leading term of the gradients for five digits, ημ = 0.1, λ = 1 and 2."""
    one, two = part(0), part(1)
    right = [ravine.calls(1e-5, 0.1, 1.0, factor=factor) for factor in (1.0, 2.0)]
    log, q, rho = math.log(1e5), math.log(1 / 0.9), math.log(4 / 3)
    return Exercise(("λ = 1", "λ = 2"), [
        *first(near(one, right[0]), "λ = 1: ", [
            (near(one, log / (q * rho)), "the logarithm of 10⁵ is squared."),
            (near(one, log**2 / (0.1 * rho)), "that puts ημ in place of ln(1/(1 − ημ)). Nearly "
                                              "the same, but not within a per cent."),
            (near(one, 5**2 / (q * rho)), "that mixes logarithms. The square makes it matter "
                                          "which."),
            (near(one, 16 * right[0]), "10⁻⁵ is the distance already; no fourth power."),
            (near(one, right[0] / 2), "(p − 2)/2 is one for p = 4, not a half."),
            (near(one, 2 * right[0]), "p − 2 is still to be halved: lengths that grow have half "
                                      "their last as a mean."),
        ], "put n = 5, 1 − ημ = 0.9, 1 − λ/p = ¾ and p = 4 into the theorem."),
        *first(near(two, right[1]), f"{FIRST}λ = 2: ", [
            (near(two, right[0] / 2), "twice the step is not half the price. 1 − λ/p is ½ now."),
            (near(two, right[0]), "λ comes in through 1 − λ/p."),
        ], "only 1 − λ/p changes, to ½."),
    ], f"Correct. {right[0]:.0f} and {right[1]:.0f}.")


def _gdpolyak_4():
    """The gap below which a bound that is too low by 1e-6 drives the run out."""
    one, two, delta = part(0), part(1), 1e-6
    right = [delta * factor / (8 - factor) for factor in (1, 2)]
    return Exercise(("λ = 1", "λ = 2"), [
        *first(near(one, right[0], 0.02), "λ = 1: ", [
            (near(one, delta, 1e-3), "at gap = e⋆ the factor is 2, which is fine, even better than "
                                     "one."),
            (near(one, 7 * delta, 1e-3), "upside down. Where the gap is much larger than e⋆, "
                                         "the error is harmless."),
            (near(one, delta / 3, 0.02), "there the step goes exactly to the minimizer. It may "
                                         "overshoot by as much again."),
            (near(one, delta / 8, 0.02), "nearly. The factor is 1 + e⋆/gap, and the one counts."),
        ], "the factor is λ' = 1 + e⋆/gap, and |1 − λ'/4| passes one at λ' = 8."),
        *first(near(two, right[1], 0.02), f"{FIRST}λ = 2: ", [
            (near(two, 2 * right[0], 0.02), "not simply twice. 2(1 + e⋆/gap) = 8 is to be solved."),
            (near(two, right[0] / 2, 0.02), "longer steps leave earlier, at a larger gap."),
        ], "solve 2(1 + e⋆/gap) = 8."),
    ], "Correct. e⋆/7 and e⋆/3: the longer step is the more delicate one.")


def _gdpolyak_5():
    """The order that θ_g = 2/3 belongs to, and its factor of f per epoch."""
    p, factor = part(0), part(1)
    order, rho = 3, ravine.contraction(3.0)
    return Exercise(("order", "factor of f"), [
        *first(near(p, order, 5e-3), "The order: ", [
            (near(p, 1.5, 5e-3), "solve (p − 1)/p = 2/3, not 1/p = 2/3."),
            (near(p, 4, 5e-3), "4 would show θ_g = ¾."),
            (near(p, 2, 5e-3), "2 would show θ_g = ½, a bowl."),
        ], "solve (p − 1)/p = 2/3."),
        *first(near(factor, rho**order, 0.015), f"{FIRST}The factor: ", [
            (near(factor, rho), "that is what happens to the distance."),
            (near(factor, 0.159), "0.159 is what rounding makes of it."),
            (near(factor, rho**4), "f is the third power of the distance here."),
            (near(factor, ravine.contraction(4.0) ** 4), "81/256 belongs to order 4."),
        ], "the distance is multiplied by 1 − 1/p, and f = cv^p."),
    ], f"Correct. p = 3 and (2/3)³ = {rho**order:.3f}.")


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
    "gdpolyak-4": _gdpolyak_4,
    "gdpolyak-5": _gdpolyak_5,
    "gdpolyak-7": _gdpolyak_7,
    "gdpolyak-8": _gdpolyak_8,
    "gdpolyak-9": lambda: Exercise(("descend(call, x, eta, K, more, epochs)",), code=_descend),
}
