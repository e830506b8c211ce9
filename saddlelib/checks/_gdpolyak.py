"""Answers to the exercises of the chapter on GDPolyak."""

from __future__ import annotations

import math

import numpy as np

from ..methods import GDPolyak, polyak_quotient
from ..oracle import Oracle
from ..problems import RavineRosenbrock
from ..theory import ravine
from ._answers import close, function, number, numbers


def _gdpolyak_1(answer):
    """Growth of the long steps and the factor of f, for order 4 and λ = 2."""
    grows, falls = numbers(answer, "growth of the steps", "factor of f")
    if not close(grows, ravine.step_growth(4.0, 2.0), 1e-3):
        if close(grows, ravine.step_growth(), 2e-3):
            return "The growth: that belongs to λ = 1. With λ = 2, ρ = 1 − 2/4."
        if close(grows, 2, 1e-3):
            return "The growth: that is 1/ρ. The length goes with v to the power −2."
        if close(grows, 0.25, 1e-3):
            return "The growth: upside down. The closer the run, the longer the step."
        return "The growth: the length is proportional to v^(2 − p), and v is multiplied by ρ."
    if close(falls, 1 / 16, 2e-3):
        return "Correct. ρ = ½, so the steps grow by ρ⁻² = 4 and f falls by ρ⁴ = 1/16."
    if close(falls, 0.5, 1e-3):
        return "The first is right. f: that is what happens to the distance. f is its fourth power."
    if close(falls, 16, 1e-3):
        return "The first is right. f: it falls, so its factor is below one."
    if close(falls, 81 / 256, 1e-2):
        return "The first is right. f: 81/256 belongs to λ = 1."
    return "The first is right. f: the distance is multiplied by ρ, and f = cv⁴."


def _gdpolyak_2(answer):
    """The jump of |u| and the short steps that take it back, for 10u² + v⁴ at v = 0.05."""
    jump, steps = numbers(answer, "factor", "short steps")
    right = 1 / (16 * 0.05**2) * 20 - 1
    needed = math.ceil(math.log(right) / math.log(4 / 3))
    if not (close(jump, right, 1e-3) or close(jump, -right, 1e-3)):
        if close(abs(jump), 249, 1e-3):
            return "The factor: μ is the second derivative of 10u², not its coefficient."
        if close(abs(jump), 500, 1e-3):
            return "The factor: nearly. It is 1 − αμ, and the one belongs to it."
        if close(abs(jump), 25, 1e-3):
            return "The factor: 25 is the length of the step. It multiplies u by 1 − 25μ."
        if close(abs(jump), 3999, 1e-2) or close(abs(jump), 7999, 1e-2):
            return "The factor: the step is (f − f*)/‖∇f‖² = v⁴/(4v³)², which is 1/(16v²)."
        return "The factor: the step is α = 1/(16v²) = 25, and u is multiplied by 1 − αμ."
    if steps == needed:
        return f"Correct. (4/3)^{needed - 1} is below 499 and (4/3)^{needed} above."
    if close(steps, math.log(right) / math.log(4 / 3), 2e-3):
        return "The first is right. The steps: there are no parts of a step. Round up."
    if close(steps, right / 0.25, 0.01):
        return "The first is right. The steps: each multiplies by ¾, so the logarithm counts."
    if close(steps, math.log(right) / 0.25, 0.03):
        return "The first is right. The steps: that puts ημ in place of ln(1/(1 − ημ)), which is " \
               "good for small ημ alone."
    return "The first is right. The steps: a short one multiplies u by 1 − ημ = ¾. Solve " \
           "499·(¾)^k ≤ 1."


def _gdpolyak_3(answer):
    """The leading term of the gradients for ε = 1e-5, ημ = 0.1, λ = 1 and 2."""
    one, two = numbers(answer, "λ = 1", "λ = 2")
    right = [ravine.calls(1e-5, 0.1, 1.0, factor=factor) for factor in (1.0, 2.0)]
    log, q, rho = math.log(1e5), math.log(1 / 0.9), math.log(4 / 3)
    if not close(one, right[0], 0.01):
        for value, hint in (
            (log / (q * rho), "λ = 1: the logarithm of 1/ε is squared."),
            (log**2 / (0.1 * rho), "λ = 1: that puts ημ in place of ln(1/(1 − ημ)). Nearly the "
                                   "same, but not within a per cent."),
            (math.log10(1e5) ** 2 / (q * rho), "λ = 1: that mixes logarithms. The square makes it "
                                               "matter which."),
            (16 * right[0], "λ = 1: 10⁻⁵ is the distance already; no fourth power."),
            (right[0] / 2, "λ = 1: (p − 2)/2 is one for p = 4, not a half."),
            (2 * right[0], "λ = 1: p − 2 is still to be halved: lengths that grow have half their "
                           "last as a mean."),
        ):
            if close(one, value, 0.01):
                return hint
        return "λ = 1: put ε = 10⁻⁵, q = 0.9, ρ = ¾ and p = 4 into the theorem."
    if close(two, right[1], 0.01):
        return f"Correct. {right[0]:.0f} and {right[1]:.0f}."
    if close(two, right[0] / 2, 0.01):
        return "The first is right. λ = 2: twice the step is not half the price. ρ is ½ now."
    if close(two, right[0], 0.01):
        return "The first is right. λ = 2: λ comes in through ρ."
    return "The first is right. λ = 2: only ρ changes, to 1 − 2/4."


def _gdpolyak_4(answer):
    """The gap below which a bound that is too low by 1e-6 drives the run out."""
    one, two = numbers(answer, "λ = 1", "λ = 2")
    if not close(one, 1e-6 / 7, 0.02):
        if close(one, 1e-6, 1e-3):
            return "λ = 1: at gap = δ the factor is 2, which is fine, even better than one."
        if close(one, 7e-6, 1e-3):
            return "λ = 1: upside down. Where the gap is much larger than δ, the error is harmless."
        if close(one, 1e-6 / 3, 0.02):
            return "λ = 1: there the step goes exactly to the minimizer. It may overshoot by as " \
                   "much again."
        if close(one, 1e-6 / 8, 0.02):
            return "λ = 1: nearly. The factor is 1 + δ/gap, and the one counts."
        return "λ = 1: the factor is λ' = 1 + δ/gap, and |1 − λ'/4| passes one at λ' = 8."
    if close(two, 1e-6 / 3, 0.02):
        return "Correct. δ/7 and δ/3: the longer step is the more delicate one."
    if close(two, 2e-6 / 7, 0.02):
        return "The first is right. λ = 2: not simply twice. 2(1 + δ/gap) = 8 is to be solved."
    if close(two, 0.5e-6 / 7, 0.02):
        return "The first is right. λ = 2: longer steps leave earlier, at a larger gap."
    return "The first is right. λ = 2: solve 2(1 + δ/gap) = 8."


def _gdpolyak_5(answer):
    """The order that ακ = 2/3 belongs to, and its factor of f per epoch."""
    p, factor = numbers(answer, "order", "factor of f")
    if not close(p, 3, 5e-3):
        if close(p, 1.5, 5e-3):
            return "The order: solve (p − 1)/p = 2/3, not 1/p = 2/3."
        if close(p, 4, 5e-3):
            return "The order: 4 would show ακ = ¾."
        if close(p, 2, 5e-3):
            return "The order: 2 would show ακ = ½, a bowl."
        return "The order: solve (p − 1)/p = 2/3."
    if close(factor, 8 / 27, 0.01):
        return "Correct. p = 3 and (2/3)³ = 0.296, the true rate of the two neurons."
    if close(factor, 2 / 3, 0.01):
        return "The first is right. The factor: that is what happens to the distance."
    if close(factor, 0.159, 0.01):
        return "The first is right. The factor: 0.159 is what rounding makes of it."
    if close(factor, (2 / 3) ** 4, 0.01):
        return "The first is right. The factor: f is the third power of the distance here."
    if close(factor, 81 / 256, 0.01):
        return "The first is right. The factor: 81/256 belongs to order 4."
    return "The first is right. The factor: ρ = 1 − 1/p, and f = cv^p."


def _gdpolyak_6(answer):
    """α = gap/‖g‖² for gradients of any size."""
    answer = function(answer, "(gap, grad)")
    base = np.array([3.0, -4.0, 12.0])
    with np.errstate(all="ignore"):
        for gap, g in ((2.0, base), (0.5, -base)):
            got, right = number(answer(gap, g.copy())), polyak_quotient(gap, g)
            if math.isclose(got, right, rel_tol=1e-9):
                continue
            size = float(np.linalg.norm(g))
            for value, hint in (
                (gap / size, "The norm is squared: α‖g‖ would be the length, α is not."),
                (gap * size**2, "Divide by the square, do not multiply."),
                (right * 12, "One division by the largest entry is missing: ‖g‖² = m²‖g/m‖²."),
                (right / 12, "One division by the largest entry too many: ‖g‖² = m²‖g/m‖²."),
                (right * 144, "That is gap/‖g/m‖². Divide by m², in two goes."),
                (-right, "The sign: the quotient is positive for a positive gap."),
            ):
                if math.isclose(got, value, rel_tol=1e-9):
                    return hint
            return f"For gap = {gap:g} and g = {g} yours says {got:.6g}; gap/‖g‖² is {right:.6g}."
        for scale in (1e-200, 1e-155, 1e155, 1e200):
            gap = 1e-250 if scale < 1 else 1e250
            got, right = number(answer(gap, scale * base)), polyak_quotient(gap, scale * base)
            if not math.isclose(got, right, rel_tol=1e-9):
                what = "underflows to 0" if scale < 1 else "overflows"
                return f"Right for gradients of ordinary size. At {scale:g} a square {what} on " \
                       f"the way: yours says {got:.3g}, right is {right:.3g}."
    return "Correct. No square of a small or large number is ever formed."


def _gdpolyak_7(answer):
    """Rosenbrock's ravine from (0.6, 0.9) with η = 0.04: f ≤ 1e-24 in 300 gradients."""
    first, growth, factor = numbers(answer, "epoch_length", "growth", "factor")
    if first != int(first) or first < 0:
        return "The epoch length is a whole number, at least 0."
    if growth < 0 or not 0 < factor < math.inf:
        return "The growth is at least 0, and the factor positive."
    if factor >= 8:
        return "With λ ≥ 2p = 8 a long step leads away from the minimizer."
    problem = RavineRosenbrock(10.0)
    oracle, method = Oracle(problem), GDPolyak(0.04, int(first), growth=growth, factor=factor)
    state = method.init(oracle, np.array([0.6, 0.9]))
    best, limit, arrived = math.inf, 300, None
    with np.errstate(all="ignore"):
        while oracle.njev < 700 and state.finished is None and np.isfinite(state.x).all():
            f = problem.fun(state.x)
            best = min(best, f) if oracle.njev <= limit else best
            if f <= 1e-24:
                arrived = oracle.njev
                break
            state = method.step(oracle, state)
    if arrived is not None and arrived <= limit:
        return f"Correct. {arrived} gradients."
    law = ravine.growth(0.04, 20.0, factor=factor) if factor < 4 else math.inf
    reached = f"The best f in {limit} gradients is {best:.0e}."
    if factor <= 1.25 and arrived is not None:
        return f"It takes {arrived} gradients. The lengths are well chosen; λ is what makes the " \
               "epochs few."
    if growth < 0.7 * law and arrived is None:
        return f"{reached} The epochs grow too slowly for λ = {factor:g}: the law asks for " \
               f"{law:.2g} short steps more each."
    if growth > 1.8 * law:
        return f"{reached} The epochs grow too fast: {law:.2g} short steps more each would do."
    if first > 15:
        return f"{reached} The first epochs are longer than needed; start with a few short steps."
    return f"{reached} Take λ = 2 or 3, and the growth that the law gives for it."


def _gdpolyak_8(answer):
    """Order, jump and what one Newton step leaves, for f − f* = 2e-6 and D = 2.4e-6."""
    p, jump, left = numbers(answer, "order", "Newton steps", "part of the distance")
    if not close(p, 6, 5e-3):
        for value, hint in (
            (5 / 6, "The order: that is θ. On the floor it is (p − 1)/p."),
            (1.2, "The order: D/(f − f*) is p/(p − 1). Solve for p."),
            (5, "The order: nearly. θ/(1 − θ) = 5 is the jump, p − 1."),
            (11 / 6, "The order: not 1 + θ. Solve (p − 1)/p = θ."),
            (2, "The order: a bowl of order 2 would show θ = ½."),
            (4, "The order: 4 would show θ = ¾."),
        ):
            if close(p, value, 5e-3):
                return hint
        return "The order: θ = 2/2.4, and (p − 1)/p = θ on the floor."
    if not close(jump, 5, 5e-3):
        if close(jump, 6, 5e-3):
            return "The first is right. The jump: one less. A Newton step is −v/(p − 1)."
        if close(jump, 0.2, 5e-3):
            return "The first is right. The jump: upside down. One step goes a fifth of the way."
        if close(jump, 1, 5e-3):
            return "The first is right. The jump: one step would do if f were quadratic."
        return "The first is right. The jump: θ/(1 − θ), or p − 1."
    if close(left, 0.8, 5e-3):
        return "Correct. θ = 5/6: order 6, five steps at once, and one alone leaves 4/5."
    for value, hint in (
        (0.2, "that is what it takes away."),
        (5 / 6, "that is what a step of Polyak leaves, 1 − 1/p. Newton's is −v/(p − 1)."),
        (0.8**6, "that is what is left of f. The distance was asked for."),
        (0, "that is a jump. A single step does not arrive."),
    ):
        if abs(left - value) < 5e-3:
            return f"The first two are right. The distance: {hint}"
    return "The first two are right. The distance: one step takes 1/(p − 1) of it."


CHECKS = {
    "gdpolyak-1": _gdpolyak_1,
    "gdpolyak-2": _gdpolyak_2,
    "gdpolyak-3": _gdpolyak_3,
    "gdpolyak-4": _gdpolyak_4,
    "gdpolyak-5": _gdpolyak_5,
    "gdpolyak-6": _gdpolyak_6,
    "gdpolyak-7": _gdpolyak_7,
    "gdpolyak-8": _gdpolyak_8,
}
