"""Answers to the exercises of the chapter on noisy gradients."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import chdtr, erf

from ..methods import SGD
from ..oracle import FiniteSum, Oracle
from ..theory import alpay2025, jin2021, noise
from ._answers import close, function, number, numbers


def _psgd_1(answer):
    """E‖ĝ‖² and the batch whose noise adds one per cent, for ‖∇f‖ = 3, σ = 2, d = 400."""
    square, batch = numbers(answer, "mean square", "batch size")
    right = noise.mean_square(3.0, 2.0, 400, 64)
    if not close(square, right, 1e-3):
        if close(square, 9 + 4 / 64, 1e-3):
            return "E‖ĝ‖²: the dimension is missing. All 400 coordinates are noisy, and their " \
                   "variances add up."
        if close(square, 9 + 2 * 400 / 64, 1e-3):
            return "E‖ĝ‖²: that adds σ. The variance of a coordinate is σ²."
        if close(square, right - 9, 1e-3):
            return "E‖ĝ‖²: that is the noise alone. ‖∇f‖² is in it, too."
        if close(square, math.sqrt(right), 1e-3):
            return "E‖ĝ‖²: that is its root. The formula speaks of the square."
        if close(square, 64, 1e-3):
            return "E‖ĝ‖²: that is (‖∇f‖ + σ√(d/B))². Squares add up, because the mixed term " \
                   "has mean zero."
        return "E‖ĝ‖²: put the numbers into ‖∇f‖² + σ²d/B."
    if batch == math.ceil(1600 / 0.09):
        return "Correct. 9 + 25 = 34, and 1600/B ≤ 0.09 from B = 17778 on."
    if close(batch, 1600 / 0.09, 1e-3):
        return f"The first is right. The batch: nearly. B samples with B an integer and " \
               f"1600/B ≤ 0.09; for yours it is {1600 / batch:.6f}."
    if close(batch, 1600 / 9e-4, 1e-3):
        return "The first is right. The batch: that keeps the root mean square of the noise to " \
               "one per cent of ‖∇f‖. Asked is one per cent of the square."
    if close(batch, 4 / 0.09, 0.03):
        return "The first is right. The batch: the dimension is missing."
    return "The first is right. The batch: solve σ²d/B ≤ ‖∇f‖²/100 for B."


def _psgd_2(answer):
    """The first dimension where the published trigger fires with probability below one half."""
    answer = number(answer)
    batch = alpay2025.batch_size(10.0, 1.0)
    trigger = alpay2025.batch_trigger(10.0, 1.0, batch)

    def fires(dim):
        return noise.trigger_prob(trigger, 0.0, 10.0, dim, batch)
    right = next(d for d in range(1, 51) if fires(d) < 0.5)
    if answer == right:
        return f"Correct. It fires with probability {fires(right):.2f} there, and with " \
               f"{fires(right - 1):.2f} one dimension below."
    if answer != int(answer) or answer < 1:
        return "A dimension is a whole number, at least 1."
    if answer == 2:
        return "Two is how many dimensions the raised threshold allows for. It fires nearly " \
               "always there."
    if answer == next(d for d in range(1, 51) if fires(d) < 0.9):
        return "That is where it first misses more than δ. Asked is more than one half."
    says = f"In {answer:g} dimensions it fires with probability {fires(int(answer)):.2g}."
    return says + (" Go on." if answer < right else " It is silent earlier.")


def _psgd_3(answer):
    """P(‖ĝ‖ ≤ t) at a stationary point: χ²_d at B t²/σ²."""
    answer = function(answer, "(threshold, noise_std, dim, batch_size)")
    for t, sigma, d, b in [(1.0, 10.0, 5, 600), (0.7, 2.0, 30, 200), (2.0, 3.0, 2, 3),
                           (0.3, 0.5, 12, 40)]:
        got = number(answer(t, sigma, d, b))
        u = b * (t / sigma) ** 2
        if math.isclose(got, chdtr(d, u), rel_tol=1e-6):
            continue
        for value, hint in (
            (1 - chdtr(d, u), "That is the probability that it is silent."),
            (chdtr(d, math.sqrt(u)), "Square the norm: χ² is the law of ‖z‖²."),
            (chdtr(d, u / b), "The batch size is missing: the mean of B samples has the variance "
                              "σ²/B."),
            (chdtr(d, u / math.sqrt(b)), "That divides σ² by √B. The variance of a mean of B is "
                                         "σ²/B; √B belongs to σ."),
            (chdtr(d, u * sigma), "That divides by σ. The variance of a coordinate is σ²."),
            (chdtr(d, u * d), "That spreads σ² over the d coordinates. Here σ belongs to each "
                              "one."),
            (erf(math.sqrt(u / 2)), "That is the law of one coordinate. The norm has d of them."),
        ):
            if math.isclose(got, value, rel_tol=1e-6):
                return hint
        if not 0 <= got <= 1:
            return f"A probability lies between 0 and 1; yours says {got:.3g}."
        return f"For t = {t:g}, σ = {sigma:g}, d = {d}, B = {b} yours says {got:.3g}; " \
               f"P(‖z‖² ≤ Bt²/σ²) is {chdtr(d, u):.3g}."
    return "Correct. The test fires where χ²_d ≤ Bt²/σ²."


def _psgd_4(answer):
    """Steps that twice the noise saves at η = 0.5, γ = 0.1."""
    answer, growth = number(answer), math.log(1.05)
    right = math.log(2) / growth
    if close(answer, right, 5e-3) or answer in (math.floor(right), math.ceil(right)) \
            and not close(answer, math.log(2) / 0.05, 5e-3):
        return f"Correct. ln 2/ln 1.05 = {right:.1f}, however large the noise was."
    if close(answer, math.log(2) / 0.05, 5e-3):
        return "That is ln 2/(ηγ), the time of the gradient flow. One step multiplies by 1 + ηγ, " \
               "so divide by ln(1 + ηγ)."
    if close(answer, math.log(4) / growth, 5e-3):
        return "That is four times the noise. A quarter of the batch has four times the variance."
    if close(answer, math.log(2) / math.log(1.1), 5e-3):
        return "The step size is missing: a step multiplies by 1 + ηγ, not by 1 + γ."
    if close(answer, math.log10(2) / growth, 5e-3):
        return "You mixed logarithms: log₁₀ above and ln below. Use the same one twice."
    if answer < 0:
        return "More noise leaves sooner. Answer with the number of steps saved, which is positive."
    return "Solve (1 + ηγ)^k = 2 for k."


def _psgd_5(answer):
    """The batch for which 𝔑 = 2, without and with Lipschitz stochastic gradients."""
    plain, smooth = numbers(answer, "m without ℓ̃", "m with ℓ̃")
    s = dict(lipschitz_grad=1.0, lipschitz_hess=1.0, epsilon=0.1, dim=20, noise_scale=0.5)
    right = jin2021.noise_factor(**s) - 1, jin2021.noise_factor(**s, lipschitz_sample=2.0) - 1
    if not close(plain, right[0], 1e-4):
        if close(plain, right[0] + 1, 1e-4):
            return "Without ℓ̃: that is 𝔑 at m = 1. When is 1 + c/m = 2?"
        if close(plain, 25, 1e-3):
            return "Without ℓ̃: the dimension is missing, σ_J²d/ε²."
        if close(plain, 100, 1e-3):
            return "Without ℓ̃: σ_J/ε comes in as its square."
        if close(plain, right[1], 0.02):
            return "Without ℓ̃ the second term of the minimum is all there is."
        return "Without ℓ̃: 𝔑 = 1 + (σ_J²d/ε²)/m. Put in the numbers and solve 𝔑 = 2."
    if close(smooth, right[1], 5e-3) or smooth == math.ceil(right[1]):
        return f"Correct. c is {right[0]:.0f} without the constant and {right[1]:.1f} with it. " \
               "Samples go with m + c."
    if close(smooth, right[0], 1e-3):
        return "The first is right. With ℓ̃: the minimum takes the smaller of two terms."
    if close(smooth, 25, 1e-3):
        return "The first is right. With ℓ̃: the part ℓ̃²/(ℓ√(ρε)) is missing."
    if close(smooth, 25 + 2 / math.sqrt(0.1), 5e-3):
        return "The first is right. With ℓ̃: it comes in as its square."
    if close(smooth, 25 + 4 / 0.1, 5e-3):
        return "The first is right. With ℓ̃: divide by √(ρε), a curvature, not by ρε."
    return "The first is right. With ℓ̃: c = σ_J²/ε² + ℓ̃²/(ℓ√(ρε))."


def _three_weights():
    """Mean of (a u v w − b)²/2 over 200 pairs."""
    rng = np.random.default_rng(7)
    a = rng.standard_normal(200)
    b = a + 0.5 * rng.standard_normal(200)

    def grads(x, i):
        u, v, w = x
        return np.outer((a[i] * u * v * w - b[i]) * a[i], (v * w, u * w, u * v))
    return FiniteSum(lambda x: 0.5 * np.mean((a * x.prod() - b) ** 2), grads, size=200, dim=3)


def _psgd_6(answer):
    """A start from which SGD on three weights ends at the origin in every run."""
    start = np.array(numbers(answer, "u", "v", "w"))
    if not ((np.abs(start) >= 0.5) & (np.abs(start) <= 1)).all():
        return "Each of the three between ½ and 1 in size, of either sign."
    ends = []
    for seed in range(2):
        oracle, method = Oracle(_three_weights(), rng=seed), SGD(0.1, batch_size=50)
        state = method.init(oracle, start)
        for _ in range(400):
            state = method.step(oracle, state)
        ends.append(np.abs(state.x).max())
    if max(ends) <= 0.05:
        return "Correct. Noise moves the run to and fro along the line, and never off it."
    if np.ptp(np.abs(start)) <= 1e-9 * np.abs(start).max():
        return "On this line every sample's gradient points along the line, which is right. But " \
               "uvw is positive here, and SGD goes out to a minimizer. Which signs turn it round?"
    if start.prod() < 0:
        return "The signs are right: SGD sets out for the origin. But the three differ in size, " \
               f"and |u|² − |v|² hardly changes on the way. The run ends {max(ends):.2f} away."
    return "SGD goes out to a minimizer from here. Look at the gradient of a sample, " \
           "a(auvw − b)·(vw, uw, uv): when is it a multiple of (u, v, w)?"


def _psgd_7(answer):
    """Batch and threshold for σ = 5, d = 200, s = 1.5, δ = 0.05 with at most 900 samples."""
    batch, threshold = numbers(answer, "batch_size", "threshold")
    if not (batch >= 1 and batch == int(batch)):
        return "The batch size is a whole number, at least 1."
    if batch > 900:
        return f"{batch:.0f} samples; the budget is 900. A rule that needs so many knows less " \
               "about the noise than you do."
    if not 0 < threshold < math.inf:
        return "The threshold is positive and finite."
    missed = noise.missed_trigger_prob(threshold, 0.0, 5.0, 200, int(batch))
    false = noise.trigger_prob(threshold, 1.5, 5.0, 200, int(batch))
    typical = 5.0 * math.sqrt(200 / batch)
    if missed <= 0.05 and false <= 0.05:
        return f"Correct. Missed {missed:.3f}, false alarms {false:.3f}, {batch:.0f} samples."
    if missed > 0.05 and false > 0.05:
        return f"Missed {missed:.2f} and false {false:.2f}: no threshold helps this batch. Take " \
               "more samples."
    if missed > 0.05:
        low = " That is below σ√(d/B), the usual norm where the gradient is zero." \
            if threshold < typical else ""
        return f"It misses {missed:.2f} of the stationary points, with {false:.2g} false alarms: " \
               f"raise the threshold.{low}"
    return f"It raises {false:.2f} false alarms, with {missed:.2g} missed: lower the threshold."


CHECKS = {
    "psgd-1": _psgd_1,
    "psgd-2": _psgd_2,
    "psgd-3": _psgd_3,
    "psgd-4": _psgd_4,
    "psgd-5": _psgd_5,
    "psgd-6": _psgd_6,
    "psgd-7": _psgd_7,
}
