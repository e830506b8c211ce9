"""Answers to the exercises of the chapter on saddles."""

from __future__ import annotations

import math
import warnings

import numpy as np
import scipy.optimize

from ..curvature import Verdict, certify
from ..doors import minimize
from ..problems import CoupledQuartic, QuarticSaddle
from ..theory import laws
from ._answers import close, function, number


def _saddles_1(answer):
    """f(x, y) = x² + y³ at the origin."""
    kinds = ("minimizer", "strict saddle", "degenerate saddle", "not stationary")
    if not isinstance(answer, str) or answer.lower() not in kinds:
        return f"Choose one of {', '.join(map(repr, kinds))}."
    return {
        "degenerate saddle": "Correct. The Hessian is diag(2, 0): nothing below zero, yet f falls "
                             "along −y.",
        "minimizer": "The Hessian has no negative eigenvalue, but that is not enough: walk along "
                     "the y axis to both sides and look at f.",
        "strict saddle": "Strict means λ_min < 0. Work out the second derivative in y at the "
                         "origin.",
        "not stationary": "Both partial derivatives, 2x and 3y², vanish at the origin.",
    }[answer.lower()]


def _saddles_2(answer):
    """The curvature tolerance for ρ = 9, ε = 1e-4."""
    answer = number(answer)
    if close(answer, 0.03):
        return "Correct. √(ρε) = √(9 · 10⁻⁴) = 0.03."
    if close(answer, -0.03):
        return "The size is right. The threshold √(ρε) is a positive number; λ_min is held " \
               "against its negative."
    if close(answer, 9e-4):
        return "That is ρε. A curvature is its square root."
    if close(answer, 1e-4):
        return "That is ε, the tolerance for the gradient. Curvature has other units: use ρ too."
    if close(answer, 0.01):
        return "That is √ε. It leaves out ρ, so it would change with the units of x."
    return "Put ρ = 9 and ε = 10⁻⁴ into √(ρε)."


def _saddles_3(answer):
    """Steps from 1e-6 to 1 at η = 0.5, γ = 0.2."""
    answer = number(answer)
    exact = laws.escape_time(1e-6, 1.0, 0.5, 0.2)
    if answer in (exact, math.ceil(exact)) or close(answer, exact, 1e-3):
        return "Correct. ln(10⁶)/ln(1.1) is a little under 145 steps."
    if abs(answer - math.log(1e6) / 0.1) < 1.5:
        return "That is ln(10⁶)/(ηγ), the time of the gradient flow. One step multiplies by " \
               "1 + ηγ, so divide by ln(1 + ηγ)."
    if abs(answer - math.log(1e6) / math.log(1.2)) < 1.5:
        return "That grows by 1 + γ a step. The step size belongs into it: 1 + ηγ."
    if abs(answer - math.log10(1e6) / math.log(1.1)) < 1.5:
        return "You mixed logarithms: log₁₀ above and ln below. Use the same one twice."
    if answer < 0:
        return "A negative number of steps: exchange start and exit in the logarithm."
    return "Solve 10⁻⁶ · (1 + ηγ)^k = 1 for k."


def _saddles_4(answer):
    """The largest stable step when the Hessian has eigenvalues −0.5 and 4."""
    answer = number(answer)
    if close(answer, 0.5):
        return "Correct. |1 − 4η| < 1 exactly when η < 2/4; the negative eigenvalue sets no limit."
    if close(answer, 0.25):
        return "1/ℓ is where the guaranteed decrease is largest. The coordinate still shrinks " \
               "beyond it: where does |1 − 4η| reach 1?"
    if close(answer, 4.0):
        return "That is 2/γ with the negative curvature γ = 0.5. Along that direction f falls at " \
               "any step; look at the other eigenvalue."
    if close(answer, 2 / 4.5):
        return "Do not add the two curvatures: each coordinate lives by itself."
    return "For each eigenvalue λ the coordinate is multiplied by 1 − ηλ."


def _saddles_5(answer):
    """A Hessian-vector product for the coupled quartic."""
    if not callable(answer):
        raise TypeError("this exercise wants a function hvp(x, v)")
    problem, rng = CoupledQuartic(6, coupling=0.1), np.random.default_rng(0)
    for _ in range(5):
        x, v = rng.standard_normal((2, 6))
        got, want = np.asarray(answer(x.copy(), v.copy()), dtype=float), problem.hvp(x, v)
        if got.shape != (6,):
            return f"The product has the shape of v, (6,), but yours has shape {got.shape}. " \
                   "Multiply by v before you return."
        if not np.allclose(got, want, rtol=1e-8, atol=1e-10):
            if np.allclose(got, (12 * x**2 - 2) * v):
                return "The quartic part is right. The coupling 0.1 Σ xᵢxⱼ adds 0.1 (Σⱼvⱼ − vᵢ)."
            if np.allclose(got, (12 * x**2 - 2) * v + 0.1 * v.sum()):
                return "Almost: the coupling has no diagonal, so vᵢ itself must be left out of " \
                       "the sum."
            if np.allclose(got, (4 * x**2 - 2) * v + 0.1 * (v.sum() - v)):
                return "The second derivative of x⁴ is 12x², not 4x²."
            if np.allclose(got, problem.grad(v)):
                return "That is the gradient at v. The product depends on x and is linear in v."
            return "Differentiate the gradient 4xᵢ³ − 2xᵢ + 0.1 Σ_{j≠i} xⱼ in the direction v."
    return "Correct. And it costs about as much as one gradient, at any dimension."


def _saddles_6(answer):
    """A perturbation radius and a window for d = 1000."""
    try:
        radius, window = answer
    except (TypeError, ValueError):
        raise TypeError("this exercise wants a pair (perturbation_radius, episode_length)") \
            from None
    problem = QuarticSaddle.spread(1000, gamma=0.1)
    escaped = sum(minimize(problem, np.zeros(1000), "pgd", epsilon=1e-3, curvature_tol=0.05,
                           perturbation_radius=radius, episode_length=window, rng=seed,
                           maxiter=2000, certificate=False).fun < problem.f_star / 2
                  for seed in range(20))
    if escaped == 20 and window > 200:
        return f"All 20 runs leave, but each waits {window} steps before it believes in a " \
               "minimizer. Stay within 200."
    if escaped == 20 and radius > 0.1:
        return f"All 20 runs leave, but a radius of {radius:g} is a third of the way to the " \
               "minimizer: at a minimizer it would undo the work of many steps. Stay within 0.1."
    if escaped == 20:
        return "Correct. All 20 runs leave the saddle."
    needed = laws.escape_time(laws.ball_coordinate_quantile(1000, radius, 0.05), 0.1, 1.0, 0.1)
    return f"{escaped} of 20 runs leave. From a radius of {radius:g} in 1000 dimensions the slow " \
           f"ones need about {needed:.0f} steps; your window is {window}."


def _saddles_7(answer):
    """A function on which BFGS stops at a strict saddle, and the default does not."""
    fun, origin = function(answer, "f(x)"), np.zeros(2)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of functions that overflow far out
        alone = scipy.optimize.minimize(fun, origin, method="BFGS")
        if not alone.success:
            return f"BFGS itself reports no success from the origin: {alone.message} Give it a " \
                   "point where the gradient vanishes."
        seen = certify(fun, alone.x, epsilon=1e-3, jac="2-point", rng=0)
        default = minimize(fun, origin, rng=0, maxfev=10_000)
    where = "({:.3g}, {:.3g})".format(*(alone.x.round(6) + 0.0))
    if seen.passed:
        return f"BFGS reports success at {where}, and it is right: no curvature there is below " \
               "zero. Which second derivatives make a saddle?"
    if seen.verdict is not Verdict.NEGATIVE_CURVATURE:
        return f"BFGS stops at {where}, but its curvature is not clearly below zero. A strict " \
               "saddle has a second derivative that is negative."
    if not default.success:
        return f"BFGS is caught at {where}. But the default finds no minimum either: does f rise " \
               "again far out, in every direction?"
    return f"Correct. BFGS reports success at the saddle {where}; the default goes on to " \
           f"f = {default.fun:.3g}, and has a certificate there."


CHECKS = {
    "saddles-1": _saddles_1,
    "saddles-2": _saddles_2,
    "saddles-3": _saddles_3,
    "saddles-4": _saddles_4,
    "saddles-5": _saddles_5,
    "saddles-6": _saddles_6,
    "saddles-7": _saddles_7,
}
