"""Answers to the exercises of the chapter on noisy gradients."""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy.special import chdtri

from ..problems import QuarticSaddle
from ..theory import noise
from ._numbers import array, function
from ._table import Exercise, equal, first, near, part, term, whole

FIRST = "The first is right. "


def _psgd_1():
    """E‖ĝ‖² and the batch whose noise adds one per cent, for ‖∇f‖ = 3, σ = 2, d = 400."""
    square, batch = part(0), part(1)
    right, total, one_percent = noise.mean_square(3.0, 2.0, 400, 64), 2.0**2 * 400, 3.0**2 / 100
    smallest = math.ceil(total / one_percent)
    return Exercise(("E‖ĝ‖²", "B"), [
        *first(near(square, right, 1e-3), "E‖ĝ‖²: ", [
            (near(square, 9 + 4 / 64, 1e-3), "the dimension is missing. All 400 coordinates are "
                                             "noisy, and their variances add up."),
            (near(square, 9 + 2 * 400 / 64, 1e-3), "that adds σ. The variance of a coordinate is "
                                                   "σ²."),
            (near(square, right - 9, 1e-3), "that is the noise alone. ‖∇f‖² is in it, too."),
            (near(square, math.sqrt(right), 1e-3), "that is its root. The formula speaks of the "
                                                   "square."),
            (near(square, (3 + 2 * math.sqrt(400 / 64)) ** 2, 1e-3),
             "that is (‖∇f‖ + σ√(d/B))². Squares add up, because the mixed term has mean zero."),
        ], "put the numbers into ‖∇f‖² + σ²d/B."),
        *first(equal(batch, smallest), f"{FIRST}The batch: ", [
            (near(batch, smallest, 1e-3),
             f"nearly. B is the smallest whole number with {total:.0f}/B ≤ {one_percent:g}; for "
             f"yours that is {total / batch:.6g}."),
            (near(batch, total / 9e-4, 1e-3),
             "that keeps the root mean square of the noise to one per cent of ‖∇f‖. Asked is one "
             "per cent of the square."),
            (near(batch, 4 / one_percent, 0.03), "the dimension is missing."),
        ], "solve σ²d/B ≤ ‖∇f‖²/100 for B."),
    ], f"Correct. 9 + 25 = {right:g}, and {total:.0f}/B ≤ {one_percent:g} from B = {smallest} on.")


def _psgd_3():
    """By how many per cent σ may be larger than told before half of the saddles are missed."""
    x, d = part(0), 50
    rule = noise.calibrated_rule(0.3, d, 0.2)
    ratio = rule.batch_size * rule.threshold**2 / 0.3**2
    off = math.sqrt(ratio / chdtri(d, 0.5))
    right, mean = 100 * (off - 1), 100 * (math.sqrt(ratio / d) - 1)
    many = noise.calibrated_rule(0.3, 1000, 0.2)
    there = many.threshold * math.sqrt(many.batch_size / chdtri(1000, 0.5)) / 0.3 - 1
    return Exercise(("per cent",), [
        (near(x, right, 0.03), f"Correct. {right:.0f} per cent, which is not much to know about "
                               f"noise; in a thousand coordinates it is {100 * there:.0f}."),
        (near(x, right / 100, 0.03), "That is a share. Answer in per cent."),
        (near(x, off, 0.01) | near(x, 100 * off, 0.01), "That is the new σ over the old one. How "
                                                        "much larger is it?"),
        (near(x, 100 * (off**2 - 1), 0.03), "That is how much larger the variance may be. Take "
                                            "the root."),
        (near(x, 0.3 * off, 0.01), "That is σ itself. By how many per cent is it above 0.3?"),
        (near(x, mean, 0.02), "Nearly: d is the mean of χ²_d. Half of it lies above the median, "
                              "which is about d − 2/3."),
        (x < 0, "A larger σ misses more, so the answer is positive."),
    ], "Solve Bt²/σ² = d − 2/3 for σ, and compare it with 0.3.")


def _psgd_4():
    """Steps that twice the noise saves at η = 0.5, γ = 0.1."""
    x, growth = part(0), math.log(1.05)
    right = math.log(2) / growth
    return Exercise(("steps",), [
        (near(x, right, 5e-3) | equal(x, math.floor(right)) | equal(x, math.ceil(right)),
         f"Correct. ln 2/ln 1.05 = {right:.1f}, however large the noise was."),
        (near(x, math.log(2) / 0.05, 5e-3),
         "That is ln 2/(ηγ), the time of the gradient flow. One step multiplies by 1 + ηγ, so "
         "divide by ln(1 + ηγ)."),
        (near(x, math.log(4) / growth, 5e-3),
         "That is four times the noise. A quarter of the batch has four times the variance."),
        (near(x, math.log(2) / math.log(1.1), 5e-3),
         "The step size is missing: a step multiplies by 1 + ηγ, not by 1 + γ."),
        (near(x, math.log10(2) / growth, 5e-3),
         "You mixed logarithms: log₁₀ above and ln below. Use the same one twice."),
        (x < 0, "More noise leaves sooner. Answer with the number of steps saved, which is "
                "positive."),
    ], "Solve (1 + ηγ)^k = 2 for k.")


def _psgd_6():
    """A start from which SGD on three weights ends at the origin in every run."""
    u, v, w = (abs(part(i)) for i in range(3))
    sizes = [(1 / 2 <= size) & (size <= 1) for size in (u, v, w)]
    alike = near(u, v, 1e-9) & near(u, w, 1e-9) & near(v, w, 1e-9)
    away = part(0) * part(1) * part(2) > 0
    return Exercise(("u", "v", "w"), [
        (~term("all", *sizes), "Each of the three between ½ and 1 in size, of either sign."),
        (alike & away,
         "On this line every sample's gradient points along the line, which is right. But uvw is "
         "positive here, and SGD goes out to a minimizer. Which signs turn it round?"),
        (alike, "Correct. Noise moves the run to and fro along the line, and never off it."),
        (~away,
         "The signs are right: SGD sets out for the origin. But the three differ in size, and "
         "|u|² − |v|² hardly changes on the way. So the smallest passes zero before the others "
         "arrive; then uvw is positive, and the run goes out to a minimizer."),
    ], "SGD goes out to a minimizer from here. Look at the gradient of a sample, "
       "a(auvw − b)·(vw, uw, uv): when is it a multiple of (u, v, w)?")


def _psgd_7():
    """Batch and threshold for σ = 5, d = 200, s = 1.5, δ = 0.05 with at most 900 samples."""
    batch, threshold, sigma, dim, slope, delta = part(0), part(1), 5.0, 200, 1.5, 0.05
    scaled = threshold * threshold * batch / sigma**2
    missed = 1 - term("chi2", dim, scaled)
    false = term("ncx2", dim, slope**2 / sigma**2 * batch, scaled)
    misses = f"It misses {missed:.3f} of the stationary points, with {false:.2g} false alarms: " \
             "raise the threshold."
    return Exercise(("batch_size", "threshold"), [
        (~whole(batch) | (batch < 1), "The batch size is a whole number, at least 1."),
        (batch > 900, f"{batch:.0f} samples; the budget is 900. A rule that needs so many knows "
                      "less about the noise than you do."),
        (threshold <= 0, "The threshold is positive."),
        ((missed <= delta) & (false <= delta),
         f"Correct. Missed {missed:.3f}, false alarms {false:.3f}, {batch:.0f} samples."),
        ((missed > delta) & (false > delta),
         f"Missed {missed:.2f} and false {false:.2f}: no threshold helps this batch. Take more "
         "samples."),
        ((missed > delta) & (scaled < dim),
         f"{misses} That is below σ√(d/B), the usual norm where the gradient is zero."),
        (missed > delta, misses),
    ], f"It raises {false:.3f} false alarms, with {missed:.2g} missed: lower the threshold.")


def _psgd_8():
    """Steps of 64 between looks of 256 samples and 12 products that take two per cent of all."""
    x, batch, share = part(0), 256, 0.02
    look = batch * (1 + 2 * 12)

    def between(samples):
        return samples * (1 - share) / share / 64
    right = between(look)
    return Exercise(("steps",), [
        (near(x, right, 5e-3), f"Correct. A look takes {look} samples, and {right:.0f} steps take "
                               f"{right * 64:.0f}."),
        (near(x, look / share / 64, 5e-3), "Nearly: that is two per cent of the samples of the "
                                           "steps. The look itself is one part of all samples."),
        (near(x, look / 64, 5e-3), "After so many steps half of all samples go into looks."),
        (near(x, between(batch * 12), 5e-3) | near(x, between(batch * 13), 5e-3),
         "A product costs two gradients, and the gradient itself is needed."),
        (near(x, between(batch * 24), 5e-3), "The gradient of the larger batch is missing."),
        (near(x, right * 64, 5e-3), "Those are the samples. A step takes 64 of them."),
        (x < 0, "A number of steps is positive."),
    ], "Count the samples L of a look; then L ≤ 0.02 (64 k + L).")


def _psgd_9():
    """Slopes of the completion task with U at zero: V of standard normal entries, and V zero."""
    from ..tasks import completion  # which needs torch and scikit-learn

    x, both, task = part(0), part(1), completion()
    left, right = task.shapes
    v = np.random.default_rng(0).normal(size=right)
    slope = float(np.linalg.norm(task.grad(np.concatenate([np.zeros(left).ravel(), v.ravel()]))))
    return Exercise(("V random", "V zero"), [
        ((x < 0) | (both < 0), "A norm is not negative."),
        *first(near(x, slope, 0.011), "V random: ", [
            (equal(x, 0), "only the gradient in V is zero: U is."),
            (near(x, slope**2, 5e-3), "that is the square of the norm."),
            (near(x, slope / 2, 5e-3), "the loss is a sum of squares, without a factor ½: its "
                                       "gradient in U is −2MV."),
        ], "flatten the list of the two factors, U first, and take the norm of `task.grad` there."),
        *first(both < 1e-9, f"{FIRST}V zero: ", [],
               "each gradient is a product with the other factor."),
    ], f"Correct. {slope:.2f}: not small, so one zero factor is no trap. Two are.")


# The mistakes that one makes in PSGD, and what is right.
_SLIPS = {"sign": 1, "pushes": True, "within": False, "stale": False, "back": "unless it fell"}


def _walk(*asked, **slips):
    """PSGD that takes back what has not helped, or with one of the mistakes that one makes."""
    grad, loss, push, x, eta, t, T, steps = asked
    sign, pushes, within, stale, back = (_SLIPS | slips).values()
    left = 0
    for _ in range(steps):
        g = grad(x)
        if pushes and (left == 0 or within) and np.linalg.norm(g) <= t:
            before, x, left = x, x + push(), T
            g = g if stale else grad(x)
        x, left = x - sign * eta * g, left - 1
        if left == 0 and (back == "always" or back != "never" and loss(x) >= loss(before)):
            x = before
        left = max(left, 0)
    return x


def _runs_with_pushes():
    """Where a run of PSGD shows what it does: on a slope, at a minimum, at a saddle."""
    rng = np.random.default_rng(7)
    problem = QuarticSaddle.spread(4, gamma=0.5)
    across, along = np.array([0.0, 0.02, -0.01, 0.02]), np.array([0.02, 0.01, 0.0, -0.01])
    for name, x, pushes, length, steps in (
        ("on a slope", np.array([0.1, 0.9, 0.8, -0.9]), [along], 5, 4),
        ("on a slope that no coordinate has alone", 0.035 / np.diag(problem.hess(0 * across)),
         [along], 5, 3),
        ("at a minimum", problem.minimizers[0], [along, -across, across], 6, 18),
        ("at a saddle", np.zeros(4), [along], 40, 43),
        ("at a saddle whose first push fails", np.zeros(4), [across, along], 30, 62),
    ):
        yield name, problem, x + 0.0, pushes, 0.2 + 0.1 * rng.random(), 0.05, length, steps


def _end(walk, run, longer=0, more=0, **mistake):
    """Where a walk ends on a run, with episodes that are longer and more steps than it should."""
    _, problem, x, pushes, eta, t, length, steps = run
    following = itertools.cycle(pushes)
    return walk(problem.grad, problem.fun, lambda: next(following).copy(), x.copy(), eta, t,
                length + longer, steps + more, **mistake)


def _with_a_way_back(answer):
    """PSGD by hand, on runs without noise whose every point is known."""
    answer = function(answer, "(grad, loss, push, x, eta, t, T, steps)")
    for run in _runs_with_pushes():
        got, right = array(_end(answer, run)), _end(_walk, run)
        if got.shape != right.shape:
            return f"Return the last point, of shape {right.shape}; yours has shape {got.shape}."
        if np.allclose(got, right, rtol=1e-9, atol=1e-12):
            continue
        for mistake, hint in (
            (dict(sign=-1), "Your steps go up: x ← x − ηĝ."),
            (dict(pushes=False), "Nothing is ever pushed. Where ‖ĝ‖ ≤ t and no episode is under "
                                 "way, add push()."),
            (dict(within=True), "It pushes within an episode, too. An episode has T steps in "
                                "which nothing is tested."),
            (dict(back="never"),
             "It never goes back, or goes back to where the push had led. Where the loss has not "
             "fallen by the end of an episode, return to the point before the push. Beware: "
             "x += push() would change what you remembered."),
            (dict(back="always"), "It goes back in any case. Where the loss has fallen, stay."),
            (dict(stale=True), "The first step of an episode takes the gradient from before the "
                               "push. Ask for a fresh one."),
            (dict(longer=1), "An episode has exactly T steps; yours has one more."),
            (dict(longer=-1), "An episode has exactly T steps; yours has one fewer."),
            (dict(more=1), "That is one step more than `steps`."),
            (dict(more=-1), "That is one step fewer than `steps`."),
        ):
            if np.allclose(got, _end(_walk, run, **mistake), rtol=1e-9, atol=1e-12):
                return hint
        return f"Started {run[0]} it ends {np.linalg.norm(got - right):.2g} away from where it " \
               "should. Follow the run by hand: test, push, T steps, compare."
    return "Correct. It keeps the pushes that help and takes back those that do not."


CHECKS = {
    "psgd-1": _psgd_1,
    "psgd-3": _psgd_3,
    "psgd-4": _psgd_4,
    "psgd-6": _psgd_6,
    "psgd-7": _psgd_7,
    "psgd-8": _psgd_8,
    "psgd-9": _psgd_9,
    "psgd-10": lambda: Exercise(("psgd_back(grad, loss, push, x, eta, t, T, steps)",),
                                code=_with_a_way_back),
}
