"""Mini-batches, in their laws and their counts; the methods that live on them."""

import dataclasses
import math
import pickle

import numpy as np
import pytest
from scipy import stats

from saddlelib import Oracle, Status, Verdict, certify_samples, ensemble, minimize
from saddlelib.methods import CNCSGD, PSGD, SGD, CertifiedPSGD, GradientDescent, NoisySGD
from saddlelib.oracle import FiniteSum
from saddlelib.perturbation import uniform_ball
from saddlelib.problems import MonkeySaddle, QuarticSaddle
from saddlelib.theory import alpay2025, jin2021
from saddlelib.theory.noise import TriggerRule, trigger_prob

QUARTIC = QuarticSaddle(gamma=0.5, eigenvalues=[1.0, 2.0])
POINT = np.array([0.3, -0.2, 0.1])
# Offsets of mean zero with a different variance in every direction.
OFFSETS = np.random.default_rng(4).standard_normal((24, 3)) * [1.0, 0.5, 2.0]
OFFSETS -= OFFSETS.mean(axis=0)


def finite_sum(replacement=False, **options):
    """QUARTIC as the mean of 24 terms QUARTIC(x) + ⟨offset, x⟩."""
    return FiniteSum(QUARTIC.fun, lambda x, i: QUARTIC.grad(x) + OFFSETS[i], 24, 3,
                     hvp=QUARTIC.hvp, replacement=replacement, **options)


def noisy(rng=0, **options):
    return Oracle(QUARTIC, grad_noise=0.1, rng=rng, **options)


def run(method, oracle, state, samples):
    """The loop of a user: until the method stops or the next step could break the budget."""
    while state.finished is None and oracle.nsamples + 2 * method.batch_size <= samples:
        state = method.step(oracle, state)
    return state


# The noise models ---------------------------------------------------------------------------------

def test_the_gaussian_draws_are_those_that_always_were():
    """σ/√d times a standard normal vector, and nothing else taken from the generator."""
    oracle, batch, rng = noisy(rng=5), noisy(rng=5), np.random.default_rng(5)
    for _ in range(3):
        expected = QUARTIC.grad(POINT) + rng.standard_normal(3) * (0.1 / 3**0.5)
        assert (oracle.grad(POINT) == expected).all() and (batch.batch_grad(POINT, 1) == expected
                                                           ).all()
    assert oracle.rng.random() == rng.random()


IN_EPOCH = np.cov(OFFSETS.T, ddof=1)  # S²; that of one uniform draw is (n − 1)/n of it
MODELS = {
    "gaussian": (lambda: Oracle(QUARTIC, grad_noise=1.5, rng=1), 1, 1.5**2 / 3 * np.eye(3)),
    "gaussian, B = 9": (lambda: Oracle(QUARTIC, grad_noise=1.5, rng=1), 9, 0.25 / 3 * np.eye(3)),
    "student": (lambda: Oracle(QUARTIC, grad_noise=1.5, noise_df=5, rng=1), 1,
                1.5**2 / 3 * np.eye(3)),
    "student, B = 9": (lambda: Oracle(QUARTIC, grad_noise=1.5, noise_df=5, rng=1), 9,
                       0.25 / 3 * np.eye(3)),
    "replacement": (lambda: Oracle(finite_sum(True), rng=1), 8, IN_EPOCH * 23 / 24 / 8),
    # 8 of 24 without replacement: S²/B · (1 − B/n).
    "epochs": (lambda: Oracle(finite_sum(), rng=1), 8, IN_EPOCH / 8 * (1 - 8 / 24)),
    "epochs, B = 12": (lambda: Oracle(finite_sum(), rng=1), 12, IN_EPOCH / 12 * (1 - 12 / 24)),
}


@pytest.mark.parametrize("model", MODELS)
def test_every_noise_has_mean_zero_and_the_covariance_it_states(model):
    make, batch_size, covariance = MODELS[model]
    oracle, draws = make(), 12_000
    noise = np.array([oracle.batch_grad(POINT, batch_size) for _ in range(draws)])
    noise -= QUARTIC.grad(POINT)
    # In the coordinates where the stated covariance is the identity.
    white = noise @ np.linalg.inv(np.linalg.cholesky(covariance)).T
    assert np.linalg.norm(white.mean(axis=0)) <= 4 * math.sqrt(3 / draws)
    np.testing.assert_allclose(white.T @ white / draws, np.eye(3), atol=0.1)
    assert (oracle.njev, oracle.nsamples) == (draws, draws * batch_size)


@pytest.mark.parametrize("df", [2.5, 5.0])
def test_the_tail_of_the_student_noise_is_that_of_an_f_variable(df):
    oracle = Oracle(QUARTIC, grad_noise=2.0, noise_df=df, rng=3)
    squares = [((oracle.grad(POINT) - QUARTIC.grad(POINT))**2).sum() for _ in range(3000)]
    law = stats.f(3, df, scale=2.0**2 * (df - 2) / df)
    assert stats.kstest(squares, law.cdf).pvalue > 1e-3


def test_a_batch_of_student_noise_is_distributed_as_the_mean_of_its_samples():
    oracle = Oracle(QUARTIC, grad_noise=2.0, noise_df=2.5, rng=3)
    at_once = [np.linalg.norm(oracle.batch_grad(np.zeros(3), 4)) for _ in range(4000)]
    one_by_one = [np.linalg.norm(np.mean([oracle.grad(np.zeros(3)) for _ in range(4)], axis=0))
                  for _ in range(4000)]
    assert stats.ks_2samp(at_once, one_by_one).pvalue > 1e-3


def test_a_large_batch_of_student_noise_is_drawn_in_parts_that_add_up(monkeypatch):
    ends = []
    for most in (1000, 3):
        monkeypatch.setattr("saddlelib.oracle._DRAWS", most)
        oracle = Oracle(QUARTIC, grad_noise=2.0, noise_df=3, rng=3)
        ends.append(oracle.batch_grad(POINT, 7))
    assert ends[0] == pytest.approx(ends[1], rel=1e-12)


@pytest.mark.parametrize("batch_size", [1, 5, 7, 24])
def test_every_epoch_has_every_sample_once(batch_size):
    oracle, seen = Oracle(finite_sum(), rng=2), []
    while len(seen) < 24 * 35:
        oracle.batch_grad(POINT, batch_size)
        assert oracle.last_batch.size == batch_size
        seen += oracle.last_batch.tolist()
    epochs = np.array(seen[:24 * 35]).reshape(35, 24)
    assert (np.sort(epochs, axis=1) == np.arange(24)).all()
    assert len({tuple(row) for row in epochs}) == 35  # each in an order of its own
    assert oracle.unseen.size == -oracle.nsamples % 24


def test_draws_with_replacement_repeat_samples():
    oracle, repeats = Oracle(finite_sum(True), rng=2), 0
    for _ in range(400):
        oracle.batch_grad(POINT, 24)
        repeats += 24 - np.unique(oracle.last_batch).size
    assert repeats / 400 == pytest.approx(24 * (1 - 1 / 24)**24, rel=0.05)
    assert oracle.unseen is None


def test_counts_are_per_sample_and_exact():
    oracle = Oracle(finite_sum(), rng=0)
    oracle.grad(POINT)
    assert (oracle.njev, oracle.nsamples, oracle.calls) == (1, 24, 1)
    oracle.batch_grad(POINT, 5)
    oracle.batch_grad(POINT, 7)
    assert (oracle.njev, oracle.nsamples, oracle.calls) == (3, 36, 3)
    oracle = noisy()
    oracle.grad(POINT)
    oracle.batch_grad(POINT, 10**7)
    assert (oracle.njev, oracle.nsamples) == (2, 1 + 10**7)
    exact = Oracle(QUARTIC)  # no noise: the mean of equal samples, still paid for
    assert (exact.batch_grad(POINT, 3) == QUARTIC.grad(POINT)).all() and exact.nsamples == 3


def test_values_products_and_hessians_cost_samples_too():
    """1 for a value, gradient or product of one term, d for a Hessian."""
    oracle = Oracle(curved_sum(), rng=0)
    oracle.fun(POINT)
    oracle.hvp(POINT, POINT)
    oracle.grad(POINT)
    assert oracle.nsamples == 3 * 24
    sample = oracle.sample(np.array([0, 3, 3, 7]))
    sample.grad(POINT)
    sample.hvp(POINT, POINT)
    assert oracle.nsamples == 3 * 24 + 2 * 4 and (oracle.njev, oracle.nhvp) == (2, 2)
    plain = Oracle(QUARTIC)
    plain.fun(POINT)
    plain.hvp(POINT, POINT)
    plain.hess(POINT)
    plain.grad(POINT)
    assert plain.nsamples == 1 + 1 + 3 + 1 and plain.calls == 4


SPREADS = np.random.default_rng(9).standard_normal((24, 3, 3))
SPREADS += SPREADS.transpose(0, 2, 1)
SPREADS -= SPREADS.mean(axis=0)


def curved_sum(**options):
    """QUARTIC as the mean of QUARTIC(x) + ⟨offset, x⟩ + ½⟨x, spread x⟩; each Hessian is its own."""
    return FiniteSum(QUARTIC.fun, lambda x, i: QUARTIC.grad(x) + OFFSETS[i] + SPREADS[i] @ x, 24, 3,
                     hvps=lambda x, v, i: QUARTIC.hvp(x, v) + SPREADS[i] @ v, **options)


def test_a_sample_is_one_function_at_every_point():
    oracle, rows = Oracle(curved_sum(), rng=0), np.array([2, 2, 5, 11, 23])
    sample, v = oracle.sample(rows), np.array([1.0, -2.0, 0.5])
    expected = QUARTIC.hess(POINT) + SPREADS[rows].mean(axis=0)
    np.testing.assert_allclose(sample.hvp(POINT, v), expected @ v)
    h = 1e-5
    differences = (sample.grad(POINT + h * v) - sample.grad(POINT - h * v)) / (2 * h)
    np.testing.assert_allclose(differences, expected @ v, atol=1e-8)
    np.testing.assert_allclose(oracle.hvp(POINT, v), QUARTIC.hvp(POINT, v))  # the mean of all
    whole = oracle.sample()
    assert (whole.hvp(POINT, v) == oracle.hvp(POINT, v)).all()
    # Additive noise does not depend on x: the gradients of a sample differ without any.
    noise_free = noisy().sample()
    assert (noise_free.grad(POINT) == QUARTIC.grad(POINT)).all() and noise_free.has_hess
    with pytest.raises(TypeError, match="FiniteSum"):
        noisy().sample(rows)


def test_the_published_rule_is_the_authors_numbers():
    """Their step, radius, T and M, and for the noise their B and trigger, which know no d."""
    known = dict(lipschitz_grad=2.0, lipschitz_hess=4.0, epsilon=0.1, delta_f=0.1)
    for dim in (1, 10, 1000):
        method = PSGD.published(noise_std=0.5, dim=dim, **known)
        k = alpay2025.psd_constants(dim=dim, **known)
        assert (method.batch_size, method.trigger) == pytest.approx(published_batch(0.5, 0.1))
        assert (method.step_size, method.perturbation_radius, method.episode_length,
                method.max_episodes) == (0.25, k.perturbation_radius, k.episode_length,
                                         k.max_episodes)
    smaller = PSGD.published(noise_std=0.5, dim=10, batch_size=8, **known)
    assert smaller.batch_size == 8 and smaller.trigger == pytest.approx(
        0.1 * math.sqrt(1 + 2 * 0.25 / (8 * 0.01)))
    strict = PSGD.published(noise_std=0.5, dim=10, false_positive_prob=1e-3, **known)
    assert strict.batch_size == math.ceil(50 * math.log(2000))


def test_a_finite_sum_asks_for_every_term_once_and_in_rows_that_fit_memory():
    asked = []

    def grads(x, indices):
        asked.append(indices.copy())
        indices[:] = 0  # a function of the user's may write into what it is handed
        x[:] = np.nan
        return np.ones((indices.size, 2)) * asked[-1][:, np.newaxis]

    oracle = Oracle(FiniteSum(lambda x: 0.0, grads, 3000, 2), rng=0)
    assert oracle.grad(np.zeros(2)).tolist() == [1499.5, 1499.5]
    assert (np.concatenate(asked) == np.arange(3000)).all() and max(map(len, asked)) <= 1024
    x = np.zeros(2)
    assert oracle.batch_grad(x, 3000) == pytest.approx([1499.5, 1499.5]) and (x == 0).all()
    assert np.unique(oracle.last_batch).size == 3000


def test_a_finite_sum_is_a_problem_that_minimize_takes():
    result = minimize(finite_sum(lipschitz_grad=2.0, lipschitz_hess=4.3), np.zeros(3), "pgd", rng=0)
    assert result.success and abs(result.x[0]) == pytest.approx(0.5**0.5, abs=1e-2)


# The methods --------------------------------------------------------------------------------------

def algorithm_psgd(problem, x0, rng, noise, eta, B, trigger, r, T, M, most):
    """PSGD of the authors' repository line by line, on one generator; the path and its samples."""
    def ghat(y):
        return problem.grad(y) + rng.standard_normal(y.size) * (noise / (y.size * B)**0.5)

    x, samples, used, path = np.array(x0, dtype=float), 0, 0, []
    while len(path) < most:
        g = ghat(x)
        samples += B
        if np.linalg.norm(g) > trigger:
            x = x - eta * g
            path.append(x)
            continue
        if used >= M:
            return path, samples, used
        used += 1
        y = x + uniform_ball(rng, x.size, r)
        for _ in range(T):
            g = ghat(y)
            samples += B
            y = y - eta * g
            path.append(y)
        x = y
    return path, samples, used


@pytest.mark.parametrize("start", [np.zeros(3), np.array([0.0, 0.3, -0.2])])
@pytest.mark.parametrize("trigger, B, T, M", [(0.05, 8, 13, 4), (0.03, 3, 1, 9), (0.2, 50, 40, 2)])
def test_psgd_is_the_published_algorithm_step_for_step_and_sample_for_sample(start, trigger, B, T,
                                                                             M):
    method = PSGD(0.25, B, trigger, 0.05, T, M)
    oracle, path, fired = noisy(rng=11), [], 0
    state = method.init(oracle, start)
    while state.finished is None and state.nit < 2000:
        state = method.step(oracle, state)
        fired += state.last_perturbation is not None
        if state.finished is None:
            path.append(state.x)
    expected, samples, used = algorithm_psgd(QUARTIC, start, np.random.default_rng(11), 0.1, 0.25,
                                             B, trigger, 0.05, T, M, 2000)
    assert used == M == state.episodes == fired == len(state.perturbed_at)
    np.testing.assert_array_equal(path, expected)
    assert oracle.nsamples == samples == B * oracle.njev and oracle.nfev == 0
    assert state.finished == "stationary" and "nothing is known" in state.note


def test_psgd_never_stops_at_a_minimum_it_kicks():
    """The published rule has no test of curvature: it perturbs minima until M is used."""
    method = PSGD(0.25, 50, 0.1, 0.05, 10, 30)
    oracle = noisy()
    state = run(method, oracle, method.init(oracle, QUARTIC.minimizers[0]), 50_000)
    assert state.episodes == 30 and state.finished == "stationary" and oracle.nsamples < 50_000
    assert set(np.diff(state.perturbed_at)) == {10}  # the next begins right where one ends


@pytest.mark.parametrize("noise_df", [None, 2.5])
def test_psgd_leaves_the_saddle_under_small_noise_whatever_the_seed(noise_df):
    """80 steps after the perturbation; the noise alone, 1e-6, does not get away in that time."""
    perturbed, plain = [], []
    for seed in range(50):
        for method, values in ((PSGD(0.25, 4, 1e-3, 0.1, 80, 5), perturbed),
                               (SGD(0.25, 4), plain)):
            oracle = Oracle(QUARTIC, grad_noise=1e-6, noise_df=noise_df, rng=seed)
            state = run(method, oracle, method.init(oracle, np.zeros(3)), 4 * 83)
            assert oracle.nsamples <= 4 * 83 and state.nit >= 80
            values.append(QUARTIC.fun(state.x))
    assert max(perturbed) < 0.9 * QUARTIC.f_star
    assert min(plain) > 0.01 * QUARTIC.f_star


def published_batch(sigma, epsilon, false_alarm=0.1):
    batch_size = max(1, math.ceil(2 * sigma**2 / epsilon**2 * math.log(2 / false_alarm)))
    return batch_size, epsilon * math.sqrt(1 + 2 * sigma**2 / (batch_size * epsilon**2))


def test_the_published_trigger_stops_firing_at_a_stationary_point_as_the_dimension_grows(
        record_property):
    """B and the trigger know no d, so P(‖ĝ‖ ≤ trigger) = P(χ²_d ≤ Bε²/σ² + 2), from 1 to 0."""
    sigma, epsilon, seeds, rates = 1.0, 0.5, 400, {}
    batch_size, trigger = published_batch(sigma, epsilon)
    for dim in (2, 5, 10, 20, 50):
        problem = QuarticSaddle.spread(dim)
        method = PSGD(0.1, batch_size, trigger, 0.1, 5, 5)
        fired = 0
        for seed in range(seeds):
            oracle = Oracle(problem, grad_noise=sigma * dim**0.5, rng=seed)
            fired += method.step(oracle, method.init(oracle, np.zeros(dim))).episodes
        rates[dim] = fired / seeds
        p = stats.chi2.cdf(batch_size * epsilon**2 / sigma**2 + 2, dim)
        assert abs(rates[dim] - p) <= 4 * math.sqrt(p * (1 - p) / seeds) + 1 / seeds
    assert list(rates.values()) == sorted(rates.values(), reverse=True)
    assert rates[2] > 0.95 and rates[20] < 0.05 and rates[50] == 0
    record_property("how often the published trigger fires at a stationary point, by d", rates)


def test_sgd_is_sgd():
    oracle, rng = Oracle(QUARTIC, grad_noise=0.1, rng=3), np.random.default_rng(3)
    state, x = SGD(0.2, 4).init(oracle, POINT), POINT
    for _ in range(20):
        x = x - 0.2 * (QUARTIC.grad(x) + rng.standard_normal(3) * (0.1 / (3 * 4)**0.5))
        state = SGD(0.2, 4).step(oracle, state)
        assert (state.x == x).all()
    assert state.finished is None and oracle.nsamples == 21 * 4


def test_cnc_sgd_takes_every_so_many_steps_a_larger_one():
    method, oracle = CNCSGD(0.1, 4, 0.7, 3), noisy()
    state, lengths = method.init(oracle, POINT), []
    for _ in range(12):
        new = method.step(oracle, state)
        lengths.append(np.linalg.norm(new.x - state.x) / np.linalg.norm(state.jac))
        state = new
    assert lengths == pytest.approx(4 * [0.1, 0.1, 0.7]) and oracle.nsamples == 13 * 4
    same = [m.init(noisy(rng=8), POINT) for m in (CNCSGD(0.1, 4, 0.1, 3), SGD(0.1, 4))]
    oracles = noisy(), noisy()
    for _ in range(9):
        same = [m.step(o, s) for m, o, s in zip((CNCSGD(0.1, 4, 0.1, 3), SGD(0.1, 4)), oracles,
                                                same, strict=True)]
    assert (same[0].x == same[1].x).all()


def test_cnc_sgd_leaves_where_the_noise_has_a_part_along_the_curvature_and_only_there():
    """It adds nothing of its own: without noise along x₁ the saddle keeps it."""
    method = CNCSGD(0.2, 1, 0.8, 10)
    for direction, leaves in (([1.0, 1.0, 1.0], True), ([0.0, 1.0, 1.0], False)):
        rows = 1e-2 * np.outer([1.0, -1.0], direction)
        problem = FiniteSum(QUARTIC.fun, lambda x, i, rows=rows: QUARTIC.grad(x) + rows[i], 2, 3)
        for seed in range(10):
            oracle = Oracle(problem, rng=seed)
            state = run(method, oracle, method.init(oracle, np.zeros(3)), 400)
            assert (QUARTIC.fun(state.x) < 0.8 * QUARTIC.f_star) == leaves
            assert leaves or state.x[0] == 0


@pytest.mark.parametrize("dim", [1, 10, 1000])
def test_read_as_the_total_variance_the_published_rule_holds_in_every_dimension(dim):
    """σ² = E‖noise‖²: it fires at stationary points and not at 2ε, with d times the batch."""
    constants = dict(lipschitz_grad=2.0, lipschitz_hess=4.0, epsilon=0.1, dim=dim, delta_f=0.1)
    total = 3.0
    method = PSGD.published(total_noise=total, **constants)
    setting = dict(noise_std=total / math.sqrt(dim), dim=dim, batch_size=method.batch_size)
    assert trigger_prob(method.trigger, 0.0, **setting) >= 0.9949
    assert trigger_prob(method.trigger, 0.2, **setting) <= 0.0193
    by_coordinate = PSGD.published(noise_std=total / math.sqrt(dim), **constants)
    assert method.batch_size == pytest.approx(dim * by_coordinate.batch_size, rel=1e-2 * dim)
    assert PSGD.published(noise_std=total, **constants) == method  # only the reading differs
    oracle = Oracle(QuarticSaddle.spread(dim + 1, gamma=0.5), grad_noise=total, rng=0)
    fired = sum(np.linalg.norm(oracle.batch_grad(np.zeros(dim + 1), method.batch_size))
                <= method.trigger for _ in range(60))
    assert fired >= 58


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("check", ["calibrated", "bounded", "robust"])
def test_a_method_for_every_noise_is_made_or_refused_by_name(check):
    """Whatever the noise: numbers in order, or an error that says which one is to blame."""
    for noise in (0.0, 1e-300, 1e-160, 1e-12, 1e-9, 1.0, 1e3, 1e9, 1e160, 1e300):
        for batch_size in (None, 7):
            for population in (None, 10**13):
                try:
                    method = certified(3, noise, 0.1, batch_size=batch_size, check=check,
                                       population=population)
                except ValueError as refusal:
                    assert "noise" in str(refusal) or "batch_size" in str(refusal)
                    assert noise >= 1e3
                    continue
                assert math.isfinite(method.trigger) and 0 < method.step_size <= 0.25
                assert method.check.threshold > 0 and method.episode_length >= 1


def test_a_huge_check_makes_no_array_of_its_size():
    """10¹³ samples of additive noise cost one draw of their mean."""
    method = dataclasses.replace(certified(3, 0.1, 0.03, check="calibrated"),
                                 check=TriggerRule(10**13, 0.02))
    oracle = Oracle(QUARTIC, grad_noise=0.1, rng=0)
    state = method.init(oracle, QUARTIC.minimizers[0])
    while state.checks == 0:
        state = method.step(oracle, state)
    assert oracle.nsamples > 10**13 and state.certificate.passed


def test_heavy_tails_refuse_a_batch_that_no_one_can_draw():
    oracle = Oracle(QUARTIC, grad_noise=0.1, noise_df=3.0, rng=0)
    with pytest.raises(ValueError, match="batch_size must be at most 2e\\+07 where noise_df"):
        oracle.batch_grad(POINT, 10**13)
    assert oracle.nsamples == oracle.njev == 0


@pytest.mark.parametrize("noise", [1e-300, 1e-12, 1e-9, 1e-4])
def test_small_noise_ends_certified_like_none(noise):
    def fun(x):
        return x[0]**4 / 4 - x[0]**2 / 2 + x[1]**2
    result = minimize(fun, [0.0, 1.0], "psgd", jac=lambda x: np.array([x[0]**3 - x[0], 2 * x[1]]),
                      grad_noise=noise, step_size=0.2, lipschitz_hess=6.0, rng=0, maxiter=500)
    assert result.success and abs(abs(result.x[0]) - 1) < 1e-2


def test_the_certificates_of_a_run_are_the_attempts_of_one_series():
    method = certified(3, 0.3, 0.03)
    for seed in range(3):
        oracle = Oracle(QUARTIC, grad_noise=0.3, rng=seed)
        state = method.init(oracle, np.zeros(3))
        while state.finished is None and state.nit < 2000:
            state = method.step(oracle, state)
            if state.certificate is not None:
                k = state.certificates
                assert state.certificate.failure_prob == pytest.approx(1e-2 / (k * (k + 1)))
        assert state.certificates >= 2


def certified(dim, noise, epsilon, **options):
    """Without a look at the problem: what `practical` makes of its scales."""
    return CertifiedPSGD.practical(step_size=0.25, epsilon=epsilon, dim=dim, sample_noise=noise,
                                   lipschitz_hess=4.3, **options)


@pytest.mark.parametrize("dim", [2, 20, 100])
@pytest.mark.parametrize("check, noise_df", [("calibrated", None), ("robust", 3.0)])
def test_certified_psgd_leaves_the_saddle_and_stops_at_a_minimum(dim, check, noise_df):
    """At the noise where the published trigger is silent for d = 100."""
    problem = QuarticSaddle.spread(dim, gamma=0.5)
    for seed in range(4):
        oracle = Oracle(problem, grad_noise=0.3, noise_df=noise_df, rng=seed)
        method = certified(dim, 0.3, 0.03, check=check)
        state = method.init(oracle, np.zeros(dim))
        while state.finished is None and state.nit < 3000:
            state = method.step(oracle, state)
        assert state.finished == "stationary" and state.certificate.passed
        assert np.linalg.norm(problem.grad(state.x)) <= 0.03
        assert np.linalg.eigvalsh(problem.hess(state.x))[0] > 0 and state.episodes == 1


def test_the_step_of_certified_psgd_keeps_the_floor_of_the_noise():
    """ηℓv/B ≤ ε²/8: by the batch where none is given, else by the step."""
    for noise in (0.01, 1.0, 30.0):
        for batch_size in (None, 7):
            method = certified(10, noise, 0.1, batch_size=batch_size)
            floor = method.step_size / 0.25 * noise**2 / method.batch_size
            assert floor <= 0.1**2 / 8 * (1 + 1e-9) and method.step_size <= 0.25
            assert batch_size or method.step_size == 0.25
            assert method.trigger == pytest.approx(math.sqrt(
                0.075**2 + noise**2 / method.batch_size))
    whole = certified(10, 30.0, 0.1, population=50)
    assert whole.batch_size == 50 and whole.step_size == 0.25 and whole.check.batch_size == 50


def test_false_alarms_cost_no_more_than_the_steps():
    """A trigger that always fires, on a slope: looks that lead nowhere are as dear as the steps."""
    slope = Oracle(lambda x: x[0], jac=lambda x: np.array([1.0, 0.0]), grad_noise=0.5, rng=0)
    method = CertifiedPSGD(0.1, 10, 100.0, TriggerRule(400, 0.5), 0.5, 1.0, 0.1, 1e-3, 10)
    state = method.init(slope, np.zeros(2))
    for _ in range(2000):
        state = method.step(slope, state)
    assert state.checks == pytest.approx(2000 / 40, abs=1) and state.certificates == 0
    assert slope.nsamples <= 2.05 * 10 * 2001


def test_certified_psgd_on_terms_whose_hessians_differ_looks_at_some_of_them():
    """From the saddle to a certified minimum; no product of the certificate needs all the terms."""
    problem, n = QuarticSaddle.spread(10, gamma=0.5), 4000
    rng = np.random.default_rng(0)
    tilt, offset = rng.uniform(-1, 1, (n // 2, 10)), 0.1 * rng.standard_normal((n // 2, 10))
    tilt, offset = np.concatenate([tilt, -tilt]), np.concatenate([offset, -offset])
    terms = FiniteSum(problem.fun, lambda x, i: problem.grad(x) + offset[i] + tilt[i] * x, n, 10,
                      hvps=lambda x, v, i: problem.hvp(x, v) + tilt[i] * v,
                      lipschitz_hess=problem.lipschitz_hess, lipschitz_grad=3.0)
    noise = math.sqrt((np.linalg.norm(offset + 0.8 * tilt, axis=1)**2).mean())
    for seed in range(3):
        result = minimize(terms, np.zeros(10), "psgd", epsilon=0.03, curvature_tol=0.25, rng=seed,
                          sample_noise=noise, hess_noise=1.0, failure_prob=0.01)
        assert result.success and result.certificate.hess_batch_size < n
        assert np.linalg.norm(problem.grad(result.x)) <= 0.03 and abs(result.x[0]) > 0.5
        assert result.perturbed_at == (0,) and result.nsamples < 40 * n


def test_certified_psgd_gives_up_with_the_best_point_it_looked_at():
    """A bowl, and a stated deviation of its Hessians that no sample of 2 can meet."""
    method = certified(3, 0.0, 0.05, batch_size=1, patience=2)
    flat = FiniteSum(lambda x: 0.05 * x @ x, lambda x, i: np.tile(0.1 * x, (i.size, 1)), 24, 3,
                     hvps=lambda x, v, i: np.tile(0.1 * v, (i.size, 1)))
    stuck = dataclasses.replace(method, hess_noise=50.0, grad_noise=0.0)
    seen = certify_samples(flat, np.full(3, 0.1), epsilon=0.05, curvature_tol=0.4, rng=0,
                           grad_noise=0.0, hess_noise=50.0, hess_batch_size=2)
    assert seen.verdict is Verdict.CANNOT_TELL
    oracle, state = Oracle(flat, rng=0), None

    def blind(*args, **options):
        return certify_samples(*args, **{**options, "hess_batch_size": 2})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("saddlelib.methods.psgd.certify_samples", blind)
        state = stuck.init(oracle, np.full(3, 0.1))
        while state.finished is None and state.nit < 2000:
            state = stuck.step(oracle, state)
        at_rest = stuck.init(oracle, np.zeros(3))
        while at_rest.failed == 0:
            at_rest = stuck.step(oracle, at_rest)
    assert at_rest.episodes == 1 and (at_rest.x == 0).all()  # an episode that went up is taken back
    assert state.finished == "stationary" and "did not lower f" in state.note
    assert not state.certificate.passed and state.failed == 2
    assert flat.fun(state.x) == state.f_best <= flat.fun(np.full(3, 0.1))


def test_the_noise_of_2021_is_added_in_every_step():
    method, oracle, rng = NoisySGD(0.2, 4, 0.7), noisy(rng=3), np.random.default_rng(3)
    state, x = method.init(oracle, POINT), POINT
    for _ in range(20):
        g = QUARTIC.grad(x) + rng.standard_normal(3) * (0.1 / (3 * 4)**0.5)
        x = x - 0.2 * (g + rng.standard_normal(3) * (0.7 / 3**0.5))
        state = method.step(oracle, state)
        np.testing.assert_allclose(state.x, x, rtol=1e-12)
    assert oracle.nsamples == 21 * 4 and state.finished is None
    numbers = dict(lipschitz_grad=2.0, lipschitz_hess=4.0, epsilon=0.1, dim=3, noise_scale=0.2)
    k = jin2021.psgd_constants(**numbers, iota=2.0, batch_size=5)
    assert NoisySGD.jin2021(**numbers, iota=2.0, batch_size=5) == NoisySGD(
        k.step_size, 5, k.noise_radius)
    iota = jin2021.psgd_iota(**numbers, delta_f=1.0)
    assert NoisySGD.jin2021(**numbers, delta_f=1.0).step_size == pytest.approx(
        jin2021.psgd_constants(**numbers, iota=iota).step_size)


ORACLES = {"gaussian": lambda rng: Oracle(QUARTIC, grad_noise=1e-2, rng=rng),
           "student": lambda rng: Oracle(QUARTIC, grad_noise=1e-2, noise_df=3, rng=rng),
           "epochs": lambda rng: Oracle(small_sum(False), rng=rng),
           "replacement": lambda rng: Oracle(small_sum(True), rng=rng)}


def small_sum(replacement):
    return FiniteSum(QUARTIC.fun, lambda x, i: QUARTIC.grad(x) + 1e-2 * OFFSETS[i], 24, 3,
                     replacement=replacement)


@pytest.mark.parametrize("model", ORACLES)
@pytest.mark.parametrize("method", [
    SGD(0.25, 5), CNCSGD(0.25, 5, 1.0, 4), PSGD(0.25, 5, 0.05, 0.1, 9, 50), NoisySGD(0.25, 5, 0.1),
    CertifiedPSGD(0.1, 5, 0.1, TriggerRule(6, 0.1, 3), 0.05, 1.0, 0.2, 1e-3, 9, grad_noise=0.04,
                  lipschitz_hess=4.3)],
    ids=lambda method: type(method).__name__)
def test_a_pickled_state_goes_on_bit_for_bit_in_an_episode_and_in_an_epoch(method, model):
    """On another oracle, whose own generator has other numbers."""
    oracle = ORACLES[model](3)
    state, path, saved = method.init(oracle, np.zeros(3), rng=7), [], []
    for _ in range(40):
        saved.append((pickle.dumps(state), oracle.nsamples))
        state = method.step(oracle, state)
        path.append((state.x, state.jac))
    mid_epoch = mid_episode = 0
    for at, (blob, before) in enumerate(saved):
        new = pickle.loads(blob)
        mid_epoch += new.unseen is not None and 0 < new.unseen.size < 24
        mid_episode += 0 < getattr(new, "left", 0) < 9
        other, x0 = ORACLES[model](99), new.x.copy()
        for x, jac in path[at:at + 12]:
            new = method.step(other, new)
            assert (new.x == x).all() and (new.jac == jac).all()
        assert (pickle.loads(blob).x == x0).all()
        assert at or other.nsamples + before <= oracle.nsamples
    assert mid_epoch or model != "epochs"
    assert mid_episode or not isinstance(method, PSGD)


@pytest.mark.parametrize("noise_df", [None, 3.0])
@pytest.mark.parametrize("method", [
    SGD(0.25, 5), CNCSGD(0.25, 5, 1.0, 4), PSGD(0.25, 5, 0.05, 0.1, 9, 3), NoisySGD(0.25, 5, 0.1),
    certified(3, 0.05, 0.05)], ids=lambda method: type(method).__name__)
def test_many_noisy_runs_at_once_are_the_single_runs(method, noise_df):
    noise = dict(grad_noise=0.05, noise_df=noise_df)
    many = ensemble.run(QUARTIC, np.zeros(3), method, seeds=range(6), maxiter=60, **noise)
    for row in range(6):
        oracle = Oracle(QUARTIC, rng=99, **noise)
        state = method.init(oracle, np.zeros(3), rng=row)
        while state.finished is None and state.nit < 60:
            state = method.step(oracle, state)
        np.testing.assert_allclose(many.x[row], state.x, atol=1e-10)
        assert many.perturbed_at[row] == getattr(state, "perturbed_at", ())
        assert (many.nit[row], many.njev[row]) == (state.nit, oracle.njev)
        assert many.nfev[row] == oracle.nfev + 1 and many.finished[row] == (state.finished or "")
    with pytest.raises(ValueError, match="take mini-batches"):
        ensemble.run(QUARTIC, np.zeros(3), GradientDescent(0.1), seeds=[0], maxiter=3, **noise)


def test_a_step_leaves_the_state_before_it_alone():
    method, oracle = PSGD(0.25, 5, 0.05, 0.1, 9, 50), ORACLES["epochs"](3)
    state = method.init(oracle, np.zeros(3))
    for _ in range(30):
        before = (state.x.copy(), state.jac.copy(), state.unseen.copy(), state.left, state.episodes)
        new = method.step(oracle, state)
        after = (state.x, state.jac, state.unseen, state.left, state.episodes)
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
        state = new


def test_without_rng_a_run_takes_the_generator_of_its_oracle():
    ends = []
    for _ in range(2):
        oracle = noisy(rng=21)
        ends.append(run(SGD(0.2, 2), oracle, SGD(0.2, 2).init(oracle, POINT), 50).x)
    assert (ends[0] == ends[1]).all()


def test_a_perturbation_that_float64_swallows_ends_the_run_and_says_so():
    far = np.array([0.0, 1e9, 1e9])
    oracle = Oracle(lambda x: QUARTIC.fun(x - far), jac=lambda x: QUARTIC.grad(x - far))
    method = PSGD(0.25, 2, 1e-3, 1e-9, 5, 5)
    state = method.step(oracle, method.init(oracle, far, rng=0))
    assert state.finished == "precision" and state.episodes == 0 and oracle.njev == 1


GOOD_SUM = dict(fun=lambda x: 0.0, grads=lambda x, i: np.zeros((i.size, 3)), size=24, dim=3)


@pytest.mark.parametrize("call, error, words", [
    (lambda: Oracle(finite_sum(), rng=0).batch_grad(POINT, 25), ValueError, "24 samples.*25"),
    (lambda: SGD(0.1, 25).init(Oracle(finite_sum(True), rng=0), POINT), ValueError, "batch_size"),
    (lambda: Oracle(finite_sum()).batch_grad(POINT, 5), ValueError, "rng"),
    (lambda: noisy().batch_grad(POINT, 0), ValueError, "batch_size"),
    (lambda: noisy().batch_grad(POINT, 2.0), TypeError, "batch_size"),
    (lambda: Oracle(QUARTIC, grad_noise=-0.1, rng=0), ValueError, "grad_noise"),
    (lambda: noisy(noise_df=2), ValueError, "noise_df.*variance"),
    (lambda: noisy(noise_df=math.inf), ValueError, "noise_df"),
    (lambda: Oracle(QUARTIC, noise_df=5), ValueError, "grad_noise > 0"),
    (lambda: Oracle(QUARTIC, grad_noise=1.0, noise_df=5), ValueError, "rng"),
    (lambda: Oracle(finite_sum(), grad_noise=0.1, rng=0), ValueError, "mini-batches"),
    (lambda: FiniteSum(**{**GOOD_SUM, "grads": None}), TypeError, "grads"),
    (lambda: FiniteSum(**GOOD_SUM, hvp=3), TypeError, "hvp"),
    (lambda: FiniteSum(**{**GOOD_SUM, "size": 0}), ValueError, "size"),
    (lambda: FiniteSum(**{**GOOD_SUM, "dim": 2}).grad(np.zeros(2)), ValueError, "row of 2"),
    (lambda: FiniteSum(**{**GOOD_SUM, "grads": lambda x, i: np.zeros(3)}).grad(POINT), ValueError,
     "one row"),
    (lambda: FiniteSum(**GOOD_SUM, hvps=3), TypeError, "hvps"),
    (lambda: FiniteSum(**GOOD_SUM, hvps=lambda x, v, i: v).hvp(POINT, POINT), ValueError,
     "hvps must return one row"),
    (lambda: Oracle(finite_sum()).sample(np.arange(3)).hvp(POINT, POINT), TypeError, "hvps"),
    (lambda: PSGD.published(noise_std=-1.0, lipschitz_grad=1.0, lipschitz_hess=1.0, epsilon=0.1,
                            dim=2, delta_f=1.0), ValueError, "noise_std"),
    (lambda: PSGD.published(noise_std=1.0, total_noise=1.0, lipschitz_grad=1.0, lipschitz_hess=1.0,
                            epsilon=0.1, dim=2, delta_f=1.0), ValueError, "noise_std.*total_noise"),
    (lambda: SGD(0.0, 1), ValueError, "step_size"),
    (lambda: SGD(0.1, 1.5), TypeError, "batch_size"),
    (lambda: CNCSGD(0.1, 1, 0.05, 3), ValueError, "large_step"),
    (lambda: CNCSGD(0.1, 1, 0.5, 0), ValueError, "interval"),
    (lambda: PSGD(0.1, 1, -1.0, 0.1, 5, 5), ValueError, "trigger"),
    (lambda: NoisySGD(0.1, 1, 0.0), ValueError, "noise_radius"),
    (lambda: certified(3, 0.1, 0.1, patience=0), ValueError, "patience"),
    (lambda: certified(3, 0.1, 0.1, check="no"), ValueError, "check must be"),
    (lambda: certified(3, -0.1, 0.1), ValueError, "sample_noise"),
    (lambda: PSGD(0.1, 1, 0.1, 0.0, 5, 5), ValueError, "perturbation_radius"),
    (lambda: PSGD(0.1, 1, 0.1, 0.1, 0, 5), ValueError, "episode_length"),
    (lambda: PSGD(0.1, 1, 0.1, 0.1, 5, 0), ValueError, "max_episodes"),
])
def test_bad_input_is_an_error_that_names_it(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_a_batch_that_is_refused_costs_nothing_and_draws_nothing():
    oracle = Oracle(finite_sum(), rng=0)
    with pytest.raises(ValueError):
        oracle.batch_grad(POINT, 25)
    assert oracle.njev == oracle.nsamples == 0 and oracle.unseen is None
    assert oracle.rng.random() == np.random.default_rng(0).random()


def test_a_flat_point_ends_the_run_and_is_no_success():
    """At the monkey saddle all curvature is zero, and no episode makes the tolerance a test."""
    run = minimize(MonkeySaddle(), [0.0, 0.0], "psgd", grad_noise=1e-3, epsilon=1e-2,
                   step_size=0.05, rng=0, maxsamples=10**6)
    assert run.status == Status.VACUOUS and not run.success and run.state.episodes == 0


@pytest.mark.parametrize("arrived", [True, False])
def test_an_episode_of_the_practical_rule_ends_when_its_point_has_arrived(arrived):
    """A value says so where the gradient is small beyond the perturbation, not after 10⁵ steps."""
    oracle = Oracle(QUARTIC, grad_noise=1e-3, rng=0)
    method = CertifiedPSGD.practical(step_size=0.2, epsilon=0.05, dim=3, sample_noise=1e-3,
                                     lipschitz_hess=4.3, episode_length=10**5)
    state = method.init(oracle, QUARTIC.minimizers[0] if arrived else np.zeros(3), rng=0)
    state.anchor, state.f_anchor, state.perturbed_at = np.zeros(3), 0.0, (0,)
    state.left, state.failed = method.episode_length, 1
    new = method.step(oracle, state)
    assert (new.left, new.failed) == ((0, 0) if arrived else (10**5 - 1, 1))
    assert oracle.nfev == arrived
