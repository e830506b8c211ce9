"""Answers to the exercises of the chapter on PSD theory."""

from __future__ import annotations

import math

import numpy as np

from ..ensemble import first_time
from ..perturbation import uniform_ball
from ..problems import QuarticSaddle
from ..theory import alpay2025, jin2017, jin2021, laws, precision
from ._answers import close, function, number, numbers


def _psd_1(answer):
    """γ, η and r of PSD for ℓ = 5, ρ = 4, ε = 0.01."""
    gamma, eta, r = numbers(answer, "γ", "η", "r")
    k = alpay2025.psd_constants(5.0, 4.0, 0.01, dim=1, delta_f=1.0)
    right = (k.curvature_tol, k.step_size, k.perturbation_radius)
    if not close(gamma, right[0]):
        if close(gamma, 0.04):
            return "γ: that is ρε. A curvature is its square root."
        if close(gamma, 0.1):
            return "γ: that is √ε. Without ρ it would change with the units of x."
        return "γ: put ρ = 4 and ε = 0.01 into √(ρε)."
    if not close(eta, right[1]):
        if close(eta, 0.2):
            return "γ is right. η: that is 1/ℓ, the step of PGD. PSD takes half of it."
        return "γ is right. η: PSD takes the step 1/(2ℓ)."
    if not close(r, right[2]):
        if close(r, 0.025):
            return "γ and η are right. r: that is γ/8, a curvature. Divide by ρ to get a length."
        if close(r, 0.05):
            return "γ and η are right. r: that is γ/ρ = √(ε/ρ), the length on which the " \
                   "curvature γ can be lost. The ball is an eighth of it."
        if close(r, 0.01 / 8):
            return "γ and η are right. r: that is ε/8. An ε is a slope: √(ε/ρ) is the length."
        return "γ and η are right. r: put γ and ρ into γ/(8ρ)."
    return "Correct. γ = √(ρε) = 0.2, η = 1/(2ℓ) = 0.1, r = γ/(8ρ) = ⅛√(ε/ρ) = 0.00625."


def _psd_2(answer):
    """Steps from r/√d to γ/ρ = 8r at η = 0.1, γ = 0.2, d = 10⁶."""
    answer = number(answer)
    exact = laws.escape_time(1 / (8 * math.sqrt(1e6)), 1.0, 0.1, 0.2)
    growth = math.log(1.02)
    if answer in (exact, math.ceil(exact)) or close(answer, exact, 1e-3):
        return "Correct. ln(8√d)/ln(1 + ηγ) is a little under 454 steps; √d has three quarters " \
               "of them."
    if close(answer, math.log(8e3) / 0.02, 2e-3):
        return "That is ln(8√d)/(ηγ), the time of the gradient flow. One step multiplies by " \
               "1 + ηγ, so divide by ln(1 + ηγ)."
    if close(answer, math.log(8e6) / growth, 2e-3):
        return "That starts at r/d. A coordinate of a point of the ball is about r/√d."
    if close(answer, math.log(8) / growth, 0.01):
        return "That starts at r, as if the whole perturbation pointed along the escape " \
               "direction. Its share of it is about r/√d."
    if close(answer, math.log(1e3) / growth, 2e-3):
        return "That ends at r, the edge of the ball. The exit is at γ/ρ, eight times as far."
    if close(answer, math.log10(8e3) / growth, 2e-3):
        return "You mixed logarithms: log₁₀ above and ln below. Use the same one twice."
    if answer < 0:
        return "A negative number of steps: exchange start and exit in the logarithm."
    return "Solve (r/√d)(1 + ηγ)^k = 8r for k; r drops out."


def _psd_3(answer):
    """The exponents of 1/ε in M·T and in PGD's bound."""
    a, b = numbers(answer, "exponent for PSD", "exponent for PGD")
    if a < 0 or b < 0:
        return "Both bounds grow as ε falls. Give the exponents of 1/ε, which are positive."
    if (a, b) == (2.5, 2):
        return "Correct. M has 2 and T another ½, by way of 1/γ = 1/√(ρε)."
    if (a, b) == (2, 2.5):
        return "These are the two exponents, in the wrong order: M·T first, PGD second."
    if a == 2:
        return "M·T: that is M alone. T is not free of ε either: look at its factor 1/γ."
    if a == 0.5:
        return "M·T: that is T alone. There are up to M episodes of T steps each."
    if a == 1:
        return "M·T: exponents of factors add up, they do not multiply."
    if a == 3:
        return "M·T: T has 1/γ, and γ = √(ρε) is the square root of ε."
    if a == 2.5 and b == 4:
        return "M·T is right. PGD: 4 is the power of the logarithm. Logarithms are left out."
    if a == 2.5:
        return "M·T is right. PGD: t_thres/f_thres goes like ε^(-1/2)/ε^(3/2)."
    return "M goes like 1/ε². How does T = (8ℓ/γ) log(…) go, with γ = √(ρε)?"


def _psd_4(answer):
    """P(|⟨ξ, u⟩| ≥ r/√(2(d+2))) in dimension 10."""
    answer, d = number(answer), 10
    threshold = alpay2025.marginal_threshold(d, 1.0)
    exact = laws.ball_coordinate_tail(d, 1.0, threshold)
    if close(answer, exact, 5e-3):
        return f"Correct. {exact:.3f}, six times the 1/12 of the lemma, and still far from 1 − δ/M."
    if close(answer, alpay2025.MARGINAL_PROB, 5e-3):
        return "1/12 is what the lemma promises. The question is what happens."
    if close(answer, (d + 4) / (12 * (d + 2)), 5e-3):
        return "That is the inequality of Paley and Zygmund, a lower bound. " \
               "`laws.ball_coordinate_tail` has the law itself."
    if close(answer, 1 - exact, 5e-3):
        return "That is the probability of the opposite, |⟨ξ, u⟩| below the threshold."
    if close(answer, exact / 2, 5e-3):
        return "That counts one sign of ⟨ξ, u⟩. Both lead away from the saddle."
    if close(answer, laws.ball_coordinate_tail(d, 1.0, math.sqrt(2) * threshold), 5e-3):
        return "That is the threshold r/√(d+2). The 2 under the root is missing."
    if close(answer, laws.ball_coordinate_tail(d - 2, 1.0, threshold), 5e-3):
        return "That is a point of the sphere. PSD draws from the ball, which is less spread out."
    if close(answer, math.erfc(0.5), 5e-3):
        return "That is the limit of many dimensions, where √d ξ₁/r is normal. Ten are few."
    if not 0 <= answer <= 1:
        return "A probability lies between 0 and 1."
    return "Ask `laws.ball_coordinate_tail(10, r, threshold)` with threshold r/√(2(10+2))."


def _psd_5(answer):
    """Improve or localize: √(2ηtΔ)."""
    answer = function(answer, "(step_size, steps, decrease)")
    for eta, steps, drop in [(0.05, 40, 0.3), (0.3, 7, 2.0), (0.01, 1000, 0.0), (2.0, 3, 1e-6)]:
        got = number(answer(eta, steps, drop))
        want = jin2021.improve_or_localize(eta, steps, drop)
        if close(got, want, 1e-9) or got == want:
            continue
        if close(got, want**2, 1e-9):
            return "That is the square of the distance. Take the root."
        if close(got, want / math.sqrt(2), 1e-9):
            return "A factor √2 is missing: the descent lemma gives η/2 · ‖∇f‖² a step."
        if close(got, want / math.sqrt(steps), 1e-9):
            return "The number of steps is missing. By Cauchy and Schwarz it comes in as √t."
        if close(got, want * math.sqrt(steps), 1e-9):
            return "That is the triangle inequality with every step as long as the longest could " \
                   "be. Cauchy and Schwarz give √t instead of t."
        if close(got, want / math.sqrt(eta), 1e-9):
            return "The step size is missing: a small step does not get far."
        if close(got, want * math.sqrt(eta), 1e-9):
            return "The power of η is too high: a step is η∇f, and Σ‖∇f‖² ≤ 2Δ/η. What is η²/η?"
        return f"For η = {eta:g}, t = {steps} and a decrease of {drop:g} yours says {got:.4g}; " \
               f"√(2 η t · decrease) is {want:.4g}."
    return "Correct. Whoever moved far has lowered f, and whoever has not lowered f is near."


def _psd_6(answer):
    """The decrease that an episode's gradients certify: η(1 − ηℓ/2) Σ ‖∇f‖²."""
    answer = function(answer, "(grad_norms, step_size, lipschitz_grad)")
    rng = np.random.default_rng(0)
    for eta, ell in [(0.1, 5.0), (0.2, 5.0), (0.03, 1.0)]:
        norms = rng.uniform(0.1, 2.0, 6)
        got = number(answer(norms.copy(), eta, ell))
        used, factor = norms[:-1], eta * (1 - eta * ell / 2)
        if close(got, factor * (used**2).sum(), 1e-9):
            continue
        for each, also in [(used, ""), (norms, " And leave out the last gradient: no step was "
                                               "taken from there.")]:
            squares = (each**2).sum()
            if close(got, factor * squares, 1e-9):
                return "The last gradient belongs to the point that the episode has reached. No " \
                       "step was taken from there: leave it out."
            if close(got, eta * squares, 1e-9):
                return "The factor 1 − ηℓ/2 is missing: the curvature gives back up to ηℓ/2 of " \
                       "what the slope promises." + also
            if close(got, eta / 2 * squares, 1e-9):
                return "η/2 is the factor for η = 1/ℓ. In general it is η(1 − ηℓ/2)." + also
            if close(got, (1 - eta * ell / 2) * squares, 1e-9):
                return "The step size in front is missing: η(1 − ηℓ/2)." + also
            if close(got, factor * each.sum(), 1e-9):
                return "Square the norms: a step lowers f by its slope times its length." + also
            if close(got, factor * each.sum() ** 2, 1e-9):
                return "First square, then add. The square of the sum is larger." + also
        if close(got, factor * used[-1] ** 2, 1e-9):
            return "That is what the last step certifies. Add up all steps of the episode."
        return f"For the norms {np.array2string(norms, precision=2)}, η = {eta:g} and ℓ = " \
               f"{ell:g} yours says {got:.3g}, but {factor * (used**2).sum():.3g} is certified."
    return "Correct. No value of f is needed, so rounding of f does not touch this test."


def _psd_7(answer):
    """Step, radius and length for 20 episodes at a saddle in 1000 dimensions."""
    names = ("step_size", "perturbation_radius", "episode_length")
    eta, radius, length = numbers(answer, *names)
    if not all(0 < value < math.inf for value in (eta, radius, length)):
        return "All three are positive and finite."
    if length != int(length):
        return "The length of an episode is a whole number of steps."
    problem = QuarticSaddle.spread(1000, gamma=0.01)
    if eta > 1 / problem.lipschitz_grad:
        return f"A step of {eta:g} is beyond 1/ℓ = {1 / problem.lipschitz_grad:g}. Nothing in " \
               "this chapter says that f falls there."
    rise = problem.lipschitz_grad * radius**2 / 2
    if rise > -problem.f_star:
        return f"A radius of {radius:g} may raise f by ℓr²/2 = {rise:.2g}, which is more than " \
               f"the whole descent of {-problem.f_star:.2g} that lies ahead."
    if 20 * length > 25_000:
        return f"20 episodes of {length:g} steps take {20 * length:g} gradients; the budget is " \
               "25000."
    starts = uniform_ball(np.random.default_rng(0), problem.dim, radius, 20)
    times = first_time(problem, starts, lambda x: problem.fun(x) <= problem.f_star / 2,
                       step_size=eta, maxiter=int(length))
    left = np.isfinite(times).sum()
    if left == 20:
        return f"Correct. All 20 leave within {times.max():.0f} steps."
    # Half of f* is reached at √γ·√(1 − √½); one start in 200 is slower than this.
    half_way = math.sqrt(0.01 * (1 - math.sqrt(0.5)))
    needed = laws.escape_time(laws.ball_coordinate_quantile(1000, radius, 0.005), half_way, eta,
                              0.01)
    return f"{left} of 20 leave. With a step of {eta:g} from a radius of {radius:g} the slow " \
           f"ones need about {needed:.0f} steps; your episode has {length:g}."


def _psd_8(answer):
    """The first ε = 10⁻ᵏ at which float64 cannot carry the test of PGD 2017."""
    answer, powers = number(answer), [10.0**-k for k in range(1, 17)]

    def threshold(epsilon):
        return jin2017.pgd_constants(2.0, 6.0, epsilon, dim=100, delta_f=1.0).decrease_threshold

    def seen(decrease):
        return precision.float64_can_resolve(decrease, 1.0)
    right = next(eps for eps in powers if not seen(threshold(eps)))
    if close(answer, right):
        return f"Correct. f_thres is {threshold(right):.1e} there, and 4 units in the last place " \
               f"of 1 are {4 * math.ulp(1.0):.1e}."
    if close(abs(answer), -math.log10(right)):
        return "That is the right power. Answer with ε itself."
    if close(answer, next(eps for eps in powers if threshold(eps) < math.ulp(1.0))):
        return "There f_thres is below one unit in the last place. Two values of f with a " \
               "rounding error of one unit each differ by up to two without cause, so " \
               "`precision.float64_can_resolve` wants four."
    if close(answer, next(eps for eps in powers if not seen(eps * math.sqrt(eps / 6.0)))):
        return "That is where √(ε³/ρ) gets lost. f_thres is smaller by χ³."
    if not any(close(answer, eps) for eps in powers):
        return "Answer with a power of ten below 1, such as 1e-3."
    if answer > right:
        return f"At ε = {answer:.0e} f_thres is {threshold(answer):.1e}, which float64 still " \
               "resolves near f = 1. Go on."
    return "An earlier power of ten already fails. Start at 1e-3 and go down."


CHECKS = {
    "psd-1": _psd_1,
    "psd-2": _psd_2,
    "psd-3": _psd_3,
    "psd-4": _psd_4,
    "psd-5": _psd_5,
    "psd-6": _psd_6,
    "psd-7": _psd_7,
    "psd-8": _psd_8,
}
