"""Laws of the norm of a noisy gradient, the rules made from them, and the robust mean."""

import math
import subprocess
import sys

import numpy as np
import pytest
from scipy.optimize import brentq, minimize
from scipy.special import ndtr, ndtri
from scipy.stats import binom, chi2

from saddlelib.oracle import Oracle
from saddlelib.problems import QuarticSaddle
from saddlelib.theory import alpay2025, noise
from saddlelib.theory.concentration import norm_limits

DIMS = [1, 2, 5, 10, 20, 50]
LARGE_DIMS = [*DIMS, 100, 1000, 10_000]


def draw_norms(rng, trials, grad_norm, sigma, dim, batch):
    """‖ĝ‖ by its definition, coordinate by coordinate."""
    gradient = rng.standard_normal(dim)
    gradient *= grad_norm / np.linalg.norm(gradient)
    return np.concatenate([
        np.linalg.norm(gradient + sigma / math.sqrt(batch) * rng.standard_normal((part, dim)),
                       axis=1) for part in np.diff(np.linspace(0, trials, 6, dtype=int))])


def agree(hits, trials, prob, deviations=4.5):
    """A count within so many standard deviations, and one more, of what a probability predicts."""
    return abs(hits - trials * prob) <= deviations * math.sqrt(trials * prob * (1 - prob)) + 1


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("grad_norm", [0.0, 0.7, 3.0])
def test_the_norm_follows_its_law(dim, grad_norm):
    sigma, batch, trials = 2.0, 3, 40_000
    norms = draw_norms(np.random.default_rng(dim), trials, grad_norm, sigma, dim, batch)
    square = noise.mean_square(grad_norm, sigma, dim, batch)
    assert np.mean(norms**2) == pytest.approx(square, abs=4.5 * np.std(norms**2) / trials**0.5)
    for share in (0.6, 0.9, 1.0, 1.2):
        t = share * math.sqrt(square)
        prob = noise.trigger_prob(t, grad_norm, sigma, dim, batch)
        assert agree((norms <= t).sum(), trials, prob)
        assert noise.missed_trigger_prob(t, grad_norm, sigma, dim, batch) == pytest.approx(
            1 - prob, abs=1e-12)


@pytest.mark.parametrize("dim", DIMS)
def test_the_published_trigger_stops_firing_at_stationary_points(dim):
    """B knows no d: with the authors' noise and δ = 0.1 the test is silent for d ≥ 20."""
    sigma, eps, trials = 10.0, 1.0, 40_000
    batch = alpay2025.batch_size(sigma, eps)
    t = alpay2025.batch_trigger(sigma, eps, batch)
    prob = noise.trigger_prob(t, 0.0, sigma, dim, batch)
    norms = draw_norms(np.random.default_rng(dim), trials, 0.0, sigma, dim, batch)
    assert agree((norms <= t).sum(), trials, prob)
    # For large σ/ε, B = 2 ln(2/δ) σ²/ε²: what is left of the rule is a number.
    assert prob == pytest.approx(chi2.cdf(2 * math.log(20) + 2, dim), rel=0.03)
    low, high = {1: (.99, 1), 2: (.97, .99), 5: (.82, .87), 10: (.35, .39), 20: (.004, .012),
                 50: (0, 1e-6)}[dim]
    assert low <= prob <= high


@pytest.mark.parametrize("dim", [1, 2, 5, 10, 100, 1000])
def test_the_published_rule_for_the_total_variance_holds_in_every_dimension(dim):
    """σ² = E‖noise‖²: at a stationary point it fires with P(χ²_d ≤ dq), q = 2 + 2 ln(2/δ)."""
    sigma, eps = 10.0, 1.0
    total = sigma * math.sqrt(dim)
    batch = alpay2025.batch_size(total, eps)
    t = alpay2025.batch_trigger(total, eps, batch)
    prob = noise.trigger_prob(t, 0.0, sigma, dim, batch)
    q = 2 * math.log(20) + 2
    assert prob == pytest.approx(chi2.cdf(dim * q, dim), rel=1e-4)
    assert prob >= max(0.9949, 1 - math.exp(-dim * (math.sqrt(q) - 1)**2 / 2))
    assert noise.trigger_prob(t, 2 * eps, sigma, dim, batch) <= 0.0193
    norms = draw_norms(np.random.default_rng(dim), 2000, 2 * eps, sigma, dim, batch)
    assert agree((norms <= t).sum(), 2000, noise.trigger_prob(t, 2 * eps, sigma, dim, batch))


@pytest.mark.parametrize("dim", [2, 10])
def test_a_noisy_oracle_draws_from_the_law(dim):
    problem = QuarticSaddle.spread(dim, gamma=0.5)
    sigma, batch, trials = 0.3, 4, 3000
    oracle = Oracle(problem, rng=np.random.default_rng(1),
                    grad_noise=noise.minibatch_noise(sigma * math.sqrt(dim), batch))
    x = np.full(dim, 0.2)
    norm = np.linalg.norm(problem.grad(x))
    t = math.sqrt(noise.mean_square(norm, sigma, dim, batch))
    hits = sum(np.linalg.norm(oracle.grad(x)) <= t for _ in range(trials))
    assert agree(hits, trials, noise.trigger_prob(t, norm, sigma, dim, batch))


def test_the_law_for_one_and_two_dimensions_in_closed_form():
    for t in (0.1, 1.0, 3.0):
        inside = 0.5 * (math.erf((t - 0.8) * 2 / 1.5 / 2**0.5) + math.erf((t + 0.8) * 2 / 1.5
                                                                           / 2**0.5))
        assert noise.trigger_prob(t, 0.8, 1.5, 1, 4) == pytest.approx(inside, rel=1e-12)
        outside = math.exp(-4 * t * t / (2 * 1.5**2))
        assert noise.missed_trigger_prob(t, 0.0, 1.5, 2, 4) == pytest.approx(outside, rel=1e-12)


def test_a_missed_trigger_of_tiny_probability_is_not_rounded_to_zero():
    assert noise.missed_trigger_prob(20.0, 0.0, 1.0, 2, 1) == pytest.approx(math.exp(-200))
    assert noise.trigger_prob(20.0, 0.0, 1.0, 2, 1) == 1


def test_the_probability_to_fire_falls_with_the_gradient_and_the_dimension():
    for dim in (1, 7, 1000):
        t = math.sqrt(dim)
        probs = [noise.trigger_prob(t, g, 1.0, dim, 1) for g in np.linspace(0, 5, 30)]
        assert (np.diff(probs) < 0).all()
    probs = [noise.trigger_prob(2.0, 0.5, 1.0, d, 1) for d in range(1, 30)]
    assert (np.diff(probs) < 0).all()


def test_without_noise_the_test_says_what_it_sees():
    assert noise.trigger_prob(1.0, 1.0, 0.0, 5, 3) == 1 == noise.missed_trigger_prob(
        1.0, 1.1, 0.0, 5, 3)
    assert noise.trigger_prob(1.0, 1.1, 0.0, 5, 3) == 0 == noise.missed_trigger_prob(
        1.0, 1.0, 0.0, 5, 3)
    for rule in (noise.calibrated_rule(0.0, 5, 2.0, 1.0), noise.bounded_rule(0.0, 5, 2.0, 1.0),
                 noise.robust_rule(0.0, 2.0, 1.0)):
        assert rule == noise.TriggerRule(1, 1.5, 1)


@pytest.mark.parametrize("rule", [noise.calibrated_rule, noise.bounded_rule])
@pytest.mark.parametrize("dim", LARGE_DIMS)
@pytest.mark.parametrize("delta", [0.1, 1e-3])
@pytest.mark.parametrize("low, high, sigma", [(0.0, 2.0, 10.0), (1.0, 2.0, 3.0), (0.0, 2.0, 0.1)])
def test_the_rules_keep_both_promises_in_every_dimension(rule, dim, delta, low, high, sigma):
    r = rule(sigma, dim, high, low, delta)
    setting = dict(noise_std=sigma, dim=dim, batch_size=r.batch_size)
    for share in (0.0, 0.5, 1.0):
        assert noise.missed_trigger_prob(r.threshold, share * low, **setting) <= delta * (1 + 1e-9)
    for factor in (1.0, 1.1, 3.0):
        assert noise.trigger_prob(r.threshold, factor * high, **setting) <= delta * (1 + 1e-9)


@pytest.mark.parametrize("dim", [1, 10, 100, 3000])
def test_drawn_gradients_see_the_promises_kept(dim):
    trials, sigma, delta = (2000 if dim == 3000 else 20_000), 4.0, 0.1
    r = noise.calibrated_rule(sigma, dim, 2.0, failure_prob=delta)
    rng = np.random.default_rng(dim)
    missed = (draw_norms(rng, trials, 0.0, sigma, dim, r.batch_size) > r.threshold).sum()
    alarms = (draw_norms(rng, trials, 2.0, sigma, dim, r.batch_size) <= r.threshold).sum()
    spread = 4.5 * math.sqrt(trials * delta)
    # Kept, and not by much: no smaller batch would do.
    assert trials * delta * 0.7 - spread <= missed <= trials * delta + spread
    assert trials * delta * 0.7 - spread <= alarms <= trials * delta + spread


@pytest.mark.parametrize("dim", LARGE_DIMS[:-1])
def test_both_errors_of_every_rule_are_as_predicted(dim, record_property):
    """Counted over drawn gradients against the law, at ∇f = 0 and at ‖∇f‖ = 2ε, for δ = 0.1."""
    sigma, eps, trials = 4.0, 1.0, 600 if dim > 100 else 3000
    batch = alpay2025.batch_size(sigma, eps)
    rules = {"published": noise.TriggerRule(batch, alpay2025.batch_trigger(sigma, eps, batch)),
             "calibrated": noise.calibrated_rule(sigma, dim, 2 * eps),
             "bounded": noise.bounded_rule(sigma, dim, 2 * eps),
             "robust": noise.robust_rule(sigma * math.sqrt(dim), 2 * eps)}
    rng, errors = np.random.default_rng(dim), {}
    for name, rule in rules.items():
        b, t = rule.batch_size, rule.threshold
        missed = (draw_norms(rng, trials, 0.0, sigma, dim, b) > t).sum()
        alarms = (draw_norms(rng, trials, 2 * eps, sigma, dim, b) <= t).sum()
        errors[name] = float(missed) / trials, float(alarms) / trials
        assert agree(missed, trials, noise.missed_trigger_prob(t, 0.0, sigma, dim, b))
        assert agree(alarms, trials, noise.trigger_prob(t, 2 * eps, sigma, dim, b))
    record_property(f"missed and false triggers, d = {dim}", errors)
    bound = 0.1 + 4.5 * math.sqrt(0.09 / trials)
    assert all(max(errors[name]) <= bound for name in ("calibrated", "bounded", "robust"))
    assert errors["published"][1] < 0.03
    assert (errors["published"][0] > 0.1) == (dim >= 5)


@pytest.mark.parametrize("dim", [1, 3, 30, 1000, 10_000])
@pytest.mark.parametrize("low", [0.0, 1.0])
@pytest.mark.parametrize("delta", [0.1, 0.01])
def test_the_calibrated_batch_is_the_smallest(dim, low, delta):
    """With one sample less, a threshold that fires often enough below sounds too often above."""
    sigma, high = 5.0, 2.0
    b = noise.calibrated_rule(sigma, dim, high, low, delta).batch_size - 1
    least, most = 0.0, 100 * sigma * math.sqrt(dim)
    for _ in range(200):
        middle = (least + most) / 2
        if noise.missed_trigger_prob(middle, low, sigma, dim, b) > delta:
            least = middle
        else:
            most = middle
    assert noise.trigger_prob(most, high, sigma, dim, b) > delta


def test_how_the_rules_grow_with_the_dimension():
    """√d with the constant 2√2 z σ²/s² if the noise is known, d if only a bound is."""
    sigma, z = 10.0, 1.2815515655446004
    for dim in (10**4, 10**6):
        calibrated = noise.calibrated_rule(sigma, dim, 2.0).batch_size
        assert calibrated == pytest.approx(2 * math.sqrt(2 * dim) * z * 25, rel=3 / dim**0.5)
        bounded = noise.bounded_rule(sigma, dim, 2.0).batch_size
        assert bounded == pytest.approx(dim * 25, rel=5 / dim**0.5)
    for dim in LARGE_DIMS:
        calibrated, bounded = (rule(sigma, dim, 2.0).batch_size
                               for rule in (noise.calibrated_rule, noise.bounded_rule))
        assert calibrated <= bounded
        assert bounded > chi2.isf(0.1, dim) * 25  # no rule for every smaller noise needs less


@pytest.mark.parametrize("dim", [100, 10_000])
def test_the_calibrated_rule_wants_the_noise_to_be_known(dim):
    """σ² larger by √(2/d): the missed triggers of one standard deviation. The other rule stays."""
    sigma = 10.0
    r = noise.calibrated_rule(sigma, dim, 2.0)
    actual = sigma * math.sqrt(1 + math.sqrt(2 / dim))
    assert noise.missed_trigger_prob(r.threshold, 0.0, actual, dim, r.batch_size) > 0.3
    less = sigma * math.sqrt(1 - 2 * math.sqrt(2 / dim))
    assert noise.trigger_prob(r.threshold, 2.0, less, dim, r.batch_size) > 0.5
    r = noise.bounded_rule(sigma, dim, 2.0)
    for actual in sigma * np.linspace(0, 1, 21):
        assert noise.missed_trigger_prob(r.threshold, 0.0, actual, dim, r.batch_size) <= 0.1
        assert noise.trigger_prob(r.threshold, 2.0, actual, dim, r.batch_size) <= 0.1


def test_the_bounded_rule_holds_for_noise_of_any_shape():
    dim, sigma, trials = 12, 3.0, 20_000
    r = noise.bounded_rule(sigma, dim, 2.0, 1.0)
    rng = np.random.default_rng(0)
    shapes = [np.ones(dim), np.eye(dim)[0], np.linspace(0, 1, dim), np.geomspace(1e-3, 1, dim)]
    for shape in shapes:
        for g, errs in ((1.0, lambda norms: norms > r.threshold),
                        (2.0, lambda norms: norms <= r.threshold)):
            for axis in (0, dim - 1):
                draws = rng.standard_normal((trials, dim)) * shape * sigma / r.batch_size**0.5
                draws[:, axis] += g
                wrong = errs(np.linalg.norm(draws, axis=1)).sum()
                assert wrong <= 0.1 * trials + 4.5 * math.sqrt(0.09 * trials)


@pytest.mark.parametrize("scale", [1e-6, 0.3, 1e9])
def test_the_rules_follow_a_change_of_units(scale):
    for rule, args in ((noise.calibrated_rule, (3.0, 20)), (noise.bounded_rule, (3.0, 20)),
                       (noise.robust_rule, (3.0,))):
        here = rule(*args, 2.0, 0.5, 0.01)
        there = rule(scale * args[0], *args[1:], scale * 2.0, scale * 0.5, 0.01)
        assert there.threshold == pytest.approx(scale * here.threshold)
        assert there.blocks == here.blocks
        assert abs(there.batch_size - here.batch_size) <= here.blocks  # rounding up, by rounding
    assert noise.trigger_prob(scale * 3, scale * 2, scale * 5, 7, 9) == pytest.approx(
        noise.trigger_prob(3, 2, 5, 7, 9))


def test_the_noise_of_a_finite_sum_with_and_without_replacement():
    rng = np.random.default_rng(0)
    data = rng.standard_t(3, size=(20, 3))
    data -= data.mean(axis=0)
    total = math.sqrt((data**2).sum(axis=1).mean())
    for batch in (1, 5, 19, 20):
        picks = np.argsort(rng.random((20_000, 20)), axis=1)[:, :batch]
        square = (data[picks].mean(axis=1) ** 2).sum(axis=1)
        assert noise.minibatch_noise(total, batch, 20) ** 2 == pytest.approx(
            square.mean(), abs=1e-12 + 4.5 * square.std() / 20_000**0.5)
        square = (data[rng.integers(20, size=(20_000, batch))].mean(axis=1) ** 2).sum(axis=1)
        assert noise.minibatch_noise(total, batch) ** 2 == pytest.approx(
            square.mean(), abs=4.5 * square.std() / 20_000**0.5)
    assert noise.minibatch_noise(2.0, 1, 1) == 0


@pytest.mark.parametrize("dim", LARGE_DIMS)
def test_gaussian_noise_has_the_tails_of_assumption_b(dim):
    sigma = 0.7
    scale = noise.tail_scale(sigma, dim)
    t = sigma * math.sqrt(dim) * np.linspace(0.01, 4, 400)
    tail = chi2.sf((t / sigma) ** 2, dim)
    assert (tail <= 2 * np.exp(-(t**2) / (2 * scale**2)) * (1 + 1e-9)).all()
    smaller = 2 * np.exp(-(t**2) / (2 * (0.5 * scale) ** 2))
    assert (tail > smaller).any()
    assert dim * sigma**2 <= 2 * (1 + math.log(2)) * scale**2
    if dim >= 100:
        assert scale == pytest.approx(sigma * math.sqrt(dim / (2 * math.log(2))), rel=1 / dim)


# The whole range of float64.

def law_in_three_dimensions(place, shift):
    """P(‖z + m e‖ ≤ m + x) and its complement for d = 3, in closed form."""
    u = shift + place
    density = math.exp(-place * place / 2) - math.exp(-(u + shift)**2 / 2)
    density /= math.sqrt(2 * math.pi)
    far = ndtr(-(u + shift))
    return ndtr(place) - far - density / shift, ndtr(-place) + far + density / shift


@pytest.mark.parametrize("shift", [2.0, 50.0, 999.0, 1001.0, 1e5, 1e8, 1e12])
def test_the_law_is_that_of_the_closed_form_on_both_sides_of_the_switch_over(shift):
    """Beyond a shift of 10³ by the saddle point, which errs by less than 4e-9 of the tail."""
    for place in (-8.0, -3.0, -1.0, 0.0, 0.5, 2.0, 6.0, 9.0):
        if shift + place <= 0:
            continue
        below, above = law_in_three_dimensions(place, shift)
        grad_norm, threshold = shift * 2.0**-20, (shift + place) * 2.0**-20
        setting = dict(noise_std=2.0**-20, dim=3, batch_size=1)
        tolerance = 4e-9 + 1e-15 * shift * (1 + abs(place))  # of the threshold's own rounding
        if place > -8 or shift > 2:
            assert noise.trigger_prob(threshold, grad_norm, **setting) == pytest.approx(
                below, rel=tolerance)
        assert noise.missed_trigger_prob(threshold, grad_norm, **setting) == pytest.approx(
            above, rel=tolerance)


def test_many_dimensions_follow_the_law_of_chi_square():
    """By Wilson & Hilferty's cube root, whose error falls as 1/d; SciPy's series fails from 10⁸."""
    for dim in (10**6, 10**9, 10**12, 10**18):
        width = math.sqrt(2 / (9 * dim))
        for deviations in (-5, -1, 0.1, 3, 6):
            square = dim * (1 - width * width + deviations * width)**3
            t, setting = math.sqrt(square), dict(noise_std=1.0, dim=dim, batch_size=1)
            law = noise.trigger_prob if deviations < 0 else noise.missed_trigger_prob
            assert law(t, 0.0, **setting) == pytest.approx(
                ndtr(-abs(deviations)), rel=1e-4 if dim == 10**6 else 2e-6 * dim**0.5 / 1e6 + 1e-6)
    at_the_mean = noise.trigger_prob(1000.0, 0.0, 1.0, 10**6, 1)  # where r = 0
    assert at_the_mean == pytest.approx(chi2.cdf(1e6, 10**6), rel=1e-8)
    rule = noise.bounded_rule(1.0, 10**9, 1.0, failure_prob=1e-7)
    assert noise.missed_trigger_prob(rule.threshold, 0.0, 1.0, 10**9, rule.batch_size) <= 1e-7


def test_the_law_runs_on_through_the_switch_over_of_the_shift_and_of_the_dimension():
    """A step of one dimension or of 10⁻⁶ of the shift is small; what changes there is smaller."""
    for deviations in (-4.0, -1.0, 1.0, 4.0):
        law = noise.trigger_prob if deviations < 0 else noise.missed_trigger_prob
        for probs in ([law(m + deviations, m, 1.0, 7, 1) for m in 1000 + 1e-6 * np.arange(-4, 4)],
                      [law(math.sqrt(d) + deviations / 2, 0.0, 1.0, d, 1)
                       for d in range(10**6 - 4, 10**6 + 4)]):
            bends = np.diff(probs, 2) / probs[0]
            assert np.abs(bends).max() <= 1e-8


@pytest.mark.parametrize("gap", [0.5, 1e-3, 1e-5, 1e-8])
def test_the_calibrated_rule_is_exact_for_small_relative_gaps(gap):
    """For d = 1, far from zero, ‖ĝ‖ is Gaussian: B = ⌈(2zσ/(s − a))²⌉, the threshold the middle."""
    z = 1.2815515655446004
    rule = noise.calibrated_rule(3.0, 1, 1.0, 1.0 - gap)
    width = 1.0 - (1.0 - gap)
    assert rule.batch_size == pytest.approx((2 * z * 3.0 / width)**2, rel=1e-6, abs=1)
    assert rule.threshold == pytest.approx(1.0 - width / 2, abs=1e-9 * gap)
    for dim in (1, 50):
        rule = noise.calibrated_rule(3.0, dim, 1.0, 1.0 - gap)
        if gap <= 1e-5:
            assert rule.batch_size == pytest.approx((2 * z * 3.0 / width)**2, rel=1e-7)
        deviation = 3.0 / math.sqrt(rule.batch_size)
        bias = 9.0 * (dim - 1) / (2 * rule.batch_size)
        if gap <= 1e-3:
            assert rule.threshold == pytest.approx(1.0 - width / 2 + bias, abs=0.01 * deviation)


def test_promises_are_kept_at_noise_far_below_a_rounding_of_the_gradient():
    for sigma in (1e-300, 1e-12, 1e-9, 1e-7, 1e-4):
        rule = noise.calibrated_rule(sigma, 100, silent_above=1.0, fire_below=0.5)
        assert rule.batch_size == 1 and rule.threshold == pytest.approx(0.75, abs=1e-4)
        assert noise.trigger_prob(rule.threshold, 0.5, sigma, 100, 1) == 1
        assert noise.trigger_prob(rule.threshold, 1.0, sigma, 100, 1) == 0


@pytest.mark.parametrize("delta", [1e-20, 1e-50, 1e-300])
def test_a_tiny_failure_probability_has_finite_rules(delta):
    z = float(-ndtri(delta))
    one = noise.calibrated_rule(1.0, 1, 1.0, 0.5, delta)
    assert one.batch_size == pytest.approx((4 * z)**2, rel=0.01)
    robust = noise.robust_rule(1.0, 1.0, failure_prob=delta)
    assert robust.batch_size < 250 * math.log(1 / delta) and robust.blocks > 10
    assert noise.median_of_means_error(1.0, robust.batch_size, robust.blocks, delta) <= 0.5


SIZES = [0.0, 1e-300, 1e-160, 1e-12, 1e-9, 1e-4, 1.0, 1e5, 1e12, 1e160, 1e300]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("sigma", SIZES)
def test_every_number_is_answered_or_refused_by_name(sigma):
    """No other error, no warning, no nan; the loops inside have bounds, so the sweep ends."""
    def answer(call, *args, **options):
        try:
            given = call(*args, **options)
        except ValueError as refusal:
            assert any(word in str(refusal) for word in (
                "noise", "grad_norm", "batch_size", "too close", "below 1/2")), refusal
            return
        numbers = np.atleast_1d(getattr(given, "threshold", given))
        assert all(number >= 0 for number in numbers), (call, args, given)
        assert all(number < math.inf for number in numbers) or call is noise.median_of_means_error
    rng = np.random.default_rng(0)
    for dim in (1, 2, 1000, 10**6):
        for delta in (1e-300, 1e-9, 0.1, 0.999):
            batch, high = int(10.0**rng.integers(0, 19)), float(rng.choice(SIZES[1:]))
            low = float(rng.choice([0.0, 0.5, 1 - 1e-5, 1 - 1e-13])) * high
            threshold = high * float(rng.choice([0.5, 1.0, 1 + 1e-9]))
            for law in (noise.trigger_prob, noise.missed_trigger_prob):
                answer(law, threshold, low, sigma, dim, batch)
            answer(noise.mean_square, high, sigma, dim, batch)
            answer(noise.minibatch_noise, sigma, batch, 2 * batch)
            answer(noise.tail_scale, sigma, dim)
            answer(noise.calibrated_rule, sigma, dim, high, low, delta)
            answer(noise.bounded_rule, sigma, dim, high, low, delta)
            answer(noise.robust_rule, sigma, high, low, delta)
            answer(noise.median_of_means_error, sigma, batch, min(batch, 30), delta)
            answer(norm_limits, threshold, sigma, dim, batch, delta)


# The robust mean.

@pytest.mark.parametrize("k, dim, ratio", [(8, 2, 1e3), (4, 2, 1e3), (8, 5, 1e6), (50, 3, 1e3),
                                           (9, 40, 1e9)])
def test_ordinary_points_have_a_median_and_the_residual_it_reached(k, dim, ratio):
    """Almost on one line: between the two in the middle the sum of the distances is nearly flat."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        points = rng.standard_normal((k, dim)) * np.geomspace(1, 1 / ratio, dim)
        residual = noise.median_residual(points, noise.geometric_median(points))
        assert residual <= noise.COVERED_RESIDUAL


def test_the_residual_is_the_slope_of_the_sum_of_the_distances():
    points = np.random.default_rng(2).standard_normal((7, 3))
    for y in (np.array([0.3, -0.2, 0.9]), points[4], np.array([1e6, 0.0, 0.0])):
        def total(z):
            return np.linalg.norm(points - z, axis=1).sum()
        directions = np.random.default_rng(3).standard_normal((4000, 3))
        directions /= np.linalg.norm(directions, axis=1)[:, None]
        slope = min((total(y + 1e-6 * v) - total(y)) / 1e-6 for v in directions)
        residual = noise.median_residual(points, y)
        assert residual == pytest.approx(max(0.0, -slope / 7), abs=5e-3)
    assert noise.median_residual([[1e300, 0.0], [-1e300, 1e300]], [0.0, 0.0]) < 1


def test_a_median_that_was_stopped_early_has_a_larger_stated_error_that_covers_it():
    """From one far block, which is where the iteration must not stay: the error says so."""
    rng = np.random.default_rng(1)
    for k in (5, 8, 21):
        errors = []
        for share in (0.0, 0.3, 0.6, 0.9):
            for _ in range(20):
                means = rng.standard_normal((k, 4)) / 2  # v = 1 in each block
                median = noise.geometric_median(means)
                y = median + share * (means[0] - median) * (means[0] != median).any()
                residual = noise.median_residual(means, y)
                stated = noise.median_of_means_error(1.0, k, k, 0.05, residual=residual)
                assert np.linalg.norm(y) <= stated
                errors.append((residual, stated))
        errors.sort()
        assert (np.diff([stated for _, stated in errors]) >= 0).all()
    assert noise.median_of_means_error(1.0, 9, 9, 0.05, residual=1.0) == math.inf
    assert noise.median_of_means_error(1.0, 9, 1, 0.05, residual=0.5) == pytest.approx(
        noise.median_of_means_error(1.0, 9, 1, 0.05))


@pytest.mark.parametrize("tau", [0.0, 0.05, 0.3])
def test_the_error_of_a_point_with_a_residual_is_attained(tau):
    """As the next but one test, where the far blocks pull with τ more: the cosine is α + τ."""
    k, j, r = 10, 2, 1.0
    cosine = (j / k + tau) / (1 - j / k)
    reach = r / math.sqrt(1 - cosine * cosine)
    touch = [r * r / reach, r * math.sqrt(1 - (r / reach)**2)]
    near = [[touch[0], sign * touch[1]] for sign in (1, -1)] * ((k - j) // 2)
    points = near + [[1e9, 0.0]] * j
    assert noise.median_residual(points, [reach, 0.0]) == pytest.approx(tau, abs=1e-6)


def test_block_sizes_are_those_of_an_array_that_is_split():
    for batch, blocks in ((11, 3), (12, 4), (7, 7), (5, 1)):
        parts = np.array_split(np.arange(batch), blocks)
        assert noise.block_sizes(batch, blocks) == [part.size for part in parts]
    assert sum(noise.block_sizes(10**18, 7)) == 10**18  # and makes no array


@pytest.mark.parametrize("k, dim", [(3, 2), (8, 3), (25, 10), (6, 40)])
def test_the_geometric_median_has_the_smallest_sum_of_distances(k, dim):
    points = np.random.default_rng(k).standard_t(1.5, size=(k, dim))

    def total(y):
        return np.linalg.norm(points - y, axis=1).sum()
    y = noise.geometric_median(points)
    other = minimize(total, points.mean(axis=0), method="BFGS", options=dict(gtol=1e-9)).fun
    assert total(y) <= other * (1 + 1e-10)


def test_the_geometric_median_in_one_dimension_is_a_median():
    for points in ([3.0], [1.0, 2.0], [5.0, -1.0, 2.0], [0.0, 0.0, 7.0, 8.0, 9.0]):
        y = noise.geometric_median(np.array(points)[:, None])
        middle = sorted(points)[(len(points) - 1) // 2: len(points) // 2 + 1]
        assert middle[0] <= y[0] <= middle[-1]


def test_the_geometric_median_moves_with_its_points():
    rng = np.random.default_rng(3)
    points = rng.standard_t(2, size=(9, 4))
    turn, _ = np.linalg.qr(rng.standard_normal((4, 4)))
    y = noise.geometric_median(points)
    for scale in (1e-12, 1.0, 1e12):
        moved = noise.geometric_median(scale * (points @ turn + 10.0))
        assert moved == pytest.approx(scale * (y @ turn + 10.0), rel=1e-5)
    assert noise.geometric_median(points[::-1]) == pytest.approx(y, rel=1e-4)


def test_points_close_together_and_far_from_zero_have_a_geometric_median():
    """Next to 2⁵⁰ float64 counts in quarters; unit vectors to a rounded y would be useless."""
    points = np.array([[0, 0], [3, 1], [1, 4], [-2, 2]], dtype=float)
    y = noise.geometric_median(points)
    assert noise.geometric_median(points + 2.0**50) - 2.0**50 == pytest.approx(y, abs=0.125)


@pytest.mark.parametrize("k, j", [(10, 4), (9, 3), (8, 2), (101, 49)])
def test_the_step_from_blocks_to_median_is_attained(k, j):
    """j far points drag the median to C_j r if the others lie where it touches their circle."""
    r, alpha = 1.0, j / k
    reach = (1 - alpha) / math.sqrt(1 - 2 * alpha) * r
    touch = [r * r / reach, r * math.sqrt(1 - (r / reach) ** 2)]
    near = [[touch[0], sign * touch[1]] for sign in (1, -1)] * ((k - j) // 2)
    y = noise.geometric_median(near + [[1e3, 0.0]] * j)
    assert np.linalg.norm(y) == pytest.approx(reach, rel=1e-4)


def test_the_error_is_that_of_the_best_split_into_good_and_bad_blocks():
    total, batch, k, delta = 3.0, 700, 7, 0.02
    error = noise.median_of_means_error(total, batch, k, delta, residual=0.0)
    best = math.inf
    for j in range(4):
        p = brentq(lambda p, j=j: binom.sf(j, k, p) - delta, 1e-9, 0.9)
        reach = (1 - j / k) / math.sqrt(1 - 2 * j / k)
        best = min(best, reach * total / math.sqrt(batch / k * p))
    assert error == pytest.approx(best, rel=1e-5)


def test_the_error_is_below_that_of_minsker_for_his_number_of_blocks():
    for delta in (0.1, 0.01, 1e-4, 1e-8):
        k = math.floor(3.5 * math.log(1 / delta)) + 1
        ours = noise.median_of_means_error(1.0, 1000 * k, k, delta)
        assert ours <= 11 * math.sqrt(math.log(1.4 / delta) / (1000 * k))


def test_one_block_is_chebyshev_and_the_rule_takes_the_cheapest_number():
    for delta in (0.3, 0.1, 1e-3, 1e-6):
        rule = noise.robust_rule(10.0, 2.0, 1.0, delta)
        assert noise.robust_rule(10.0, 2.0, 1.0, delta, blocks=1).batch_size == math.ceil(
            400 / delta * (1 - 1e-12))
        sizes = [noise.robust_rule(10.0, 2.0, 1.0, delta, blocks=k).batch_size
                 for k in range(1, math.ceil(20 * math.log(1 / delta)) + 20)]
        assert rule.batch_size == min(sizes) == sizes[rule.blocks - 1]
        assert noise.median_of_means_error(10.0, rule.batch_size, rule.blocks, delta) <= 0.5 * (
            1 + 1e-12)
    assert noise.robust_rule(10.0, 2.0).blocks == 1 < noise.robust_rule(
        10.0, 2.0, failure_prob=0.01).blocks
    growth = [noise.robust_rule(10.0, 2.0, failure_prob=d).batch_size for d in (1e-6, 1e-12)]
    assert growth[1] < 2.5 * growth[0]  # ln(1/δ) doubles


def test_chebyshev_is_attained_by_a_rare_large_error():
    """±s with probability δ/2 each and zero otherwise: v = δs², and ‖ζ‖ ≥ s with probability δ."""
    s, delta = 3.0, 0.05
    assert noise.median_of_means_error(math.sqrt(delta) * s, 1, 1, delta) == pytest.approx(s)


@pytest.mark.parametrize("dim", [1, 10, 50])
def test_heavy_tails_meet_the_promises_of_the_robust_rule(dim):
    """Student's t with 2.2 degrees of freedom: finite variance, no third moment."""
    total, delta = math.sqrt(dim * 11.0), 0.005
    high = 0.7 * total
    rule = noise.robust_rule(total, high, failure_prob=delta)
    assert rule.blocks > 1
    rng = np.random.default_rng(dim)
    wrong = 0
    for _ in range(200):
        draws = rng.standard_t(2.2, size=(rule.batch_size, dim))
        y = noise.geometric_median_of_means(draws, rule.blocks)
        wrong += np.linalg.norm(y) > rule.threshold
        y[0] += high
        wrong += np.linalg.norm(y) <= rule.threshold
    assert wrong <= 400 * delta


def test_a_few_broken_samples_spoil_the_mean_and_not_the_median_of_means():
    rng = np.random.default_rng(5)
    draws = rng.standard_normal((900, 6))
    draws[[7, 450]] = 1e12
    assert np.linalg.norm(draws.mean(axis=0)) > 1e9
    y = noise.geometric_median_of_means(draws, 9)
    assert np.linalg.norm(y) < 1
    assert noise.geometric_median_of_means(draws[:7], 1) == pytest.approx(draws[:7].mean(axis=0))


def test_scipy_stats_is_imported_only_where_it_is_used():
    code = ("import sys, saddlelib.theory.noise as n; early = 'scipy.stats' in sys.modules; "
            "n.trigger_prob(1.0, 0.0, 1.0, 2, 1); print(early, 'scipy.stats' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


@pytest.mark.parametrize("call, error, words", [
    (lambda: noise.trigger_prob(0.0, 0.0, 1.0, 2, 1), ValueError, "threshold"),
    (lambda: noise.trigger_prob(1.0, -1.0, 1.0, 2, 1), ValueError, "grad_norm"),
    (lambda: noise.missed_trigger_prob(1.0, 0.0, math.nan, 2, 1), ValueError, "noise_std"),
    (lambda: noise.mean_square(1.0, 1.0, 2.0, 1), TypeError, "dim"),
    (lambda: noise.mean_square(1.0, 1.0, 2, 0), ValueError, "batch_size"),
    (lambda: noise.mean_square("1", 1.0, 2, 1), TypeError, "grad_norm"),
    (lambda: noise.minibatch_noise(1.0, 6, 5), ValueError, "population = 5"),
    (lambda: noise.calibrated_rule(1.0, 2, 1.0, 1.0), ValueError, "silent_above"),
    (lambda: noise.bounded_rule(1.0, 2, 1.0, failure_prob=0.5), ValueError, "below 1/2"),
    (lambda: noise.bounded_rule(1e12, 2, 1e-12), ValueError, "wider gap"),
    (lambda: noise.calibrated_rule(1e200, 2, 1e-200), ValueError, "wider gap"),
    (lambda: noise.robust_rule(1e12, 1e-12), ValueError, "wider gap"),
    (lambda: noise.robust_rule(1.0, 1.0, blocks=0), ValueError, "blocks"),
    (lambda: noise.median_of_means_error(1.0, 4, 5), ValueError, "batch_size = 4"),
    (lambda: noise.geometric_median_of_means(np.zeros((4, 2)), 5), ValueError, "samples = 4"),
    (lambda: noise.geometric_median(np.zeros(4)), ValueError, "shape"),
    (lambda: noise.geometric_median([[1.0, math.inf]]), ValueError, "finite"),
    (lambda: noise.geometric_median([["a"]]), TypeError, "real numbers"),
    (lambda: noise.median_residual([[0.0], [1.0]], [0.0, 1.0]), ValueError, "y must have 1"),
    (lambda: noise.block_sizes(3, 4), ValueError, "batch_size = 3"),
    (lambda: noise.trigger_prob(1.0, 0.0, 1.0, 2**63, 1), ValueError, "dim must be below"),
    (lambda: noise.calibrated_rule(1.0, 2, 1.0, 1.0 - 1e-13), ValueError, "too close"),
    (lambda: noise.calibrated_rule(1e300, 2, 1.0), ValueError, "noise_std = 1e.300 .*wider gap"),
    (lambda: noise.mean_square(1e200, 1.0, 2, 1), ValueError, "grad_norm = 1e.200"),
    (lambda: noise.tail_scale(1e300, 10**18), ValueError, "noise_std = 1e.300"),
])
def test_what_the_laws_do_not_cover_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
