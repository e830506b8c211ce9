"""The certificate from samples: what it promises, where it is sharp, and what it costs."""

import math

import numpy as np
import pytest

from saddlelib import Certificate, Oracle, Verdict, certify_samples
from saddlelib.oracle import FiniteSum
from saddlelib.problems import QuarticSaddle, SeparableQuartic

QUARTIC = QuarticSaddle(gamma=0.5, eigenvalues=[1.0, 2.0])
FULL = dict(epsilon=0.1, curvature_tol=1.0)


def signs(n, dim, seed=0):
    """Rows of ±1 whose mean is zero."""
    half = np.random.default_rng(seed).choice([-1.0, 1.0], size=(n // 2, dim))
    return np.concatenate([half, -half])


def bowls(eigenvalues, noise, n=4000, gradient=None, replacement=True, hvps=True):
    """f = ½ xᵀHx + ⟨g, x⟩; the Hessians of its n terms are H ± noise in every coordinate."""
    eigenvalues = np.asarray(eigenvalues, dtype=float)
    tilt = noise * signs(n, eigenvalues.size)
    g = np.zeros(eigenvalues.size) if gradient is None else gradient
    return FiniteSum(lambda x: 0.5 * eigenvalues @ x**2, lambda x, i: (eigenvalues + tilt[i]) * x
                     + g, n, eigenvalues.size, replacement=replacement,
                     hvps=(lambda x, v, i: (eigenvalues + tilt[i]) * v) if hvps else None)


def verdicts(problem, seeds, **options):
    names = [certify_samples(problem, np.zeros(problem.dim), rng=seed, **options).verdict
             for seed in range(seeds)]
    return {verdict: names.count(verdict) for verdict in Verdict}


# The promise --------------------------------------------------------------------------------------

def test_a_saddle_just_beyond_the_threshold_seldom_passes(record_property):
    """λ_min = −γ(1 + 10⁻⁹) along one axis. A deviation t twice too small passes 1 in 15."""
    delta, seeds = 0.02, 400
    problem = bowls([-1 - 1e-9, 3.0, 4.0, 5.0], 2.0)
    seen = verdicts(problem, seeds, failure_prob=delta, hess_batch_size=60, hess_noise=2.0,
                    grad_noise=0.0, **FULL)
    record_property("false passes of 400 at δ = 0.02", seen[Verdict.SOSP])
    assert seen[Verdict.SOSP] <= delta * seeds + 3 * math.sqrt(delta * seeds)
    assert seen[Verdict.NEGATIVE_CURVATURE] <= seeds * 0.8


def test_a_direction_that_the_sample_chose_is_not_believed(record_property):
    """λ_min = −γ(1 − 10⁻⁹) in 200 directions: some sample always looks worse by its luck."""
    delta, seeds = 0.02, 120
    problem = bowls(np.full(200, -1 + 1e-9), 2.0, n=1000)
    seen = verdicts(problem, seeds, failure_prob=delta, hess_batch_size=60, hess_noise=2.0,
                    grad_noise=0.0, **FULL)
    record_property("false saddles of 120 at δ = 0.02", seen[Verdict.NEGATIVE_CURVATURE])
    assert seen[Verdict.NEGATIVE_CURVATURE] <= delta * seeds + 3 * math.sqrt(delta * seeds)


@pytest.mark.parametrize("dim", [1, 50])
@pytest.mark.parametrize("beyond, wrong", [(1 + 1e-9, Verdict.SOSP),
                                           (1 - 1e-9, Verdict.NOT_STATIONARY)])
def test_the_gradient_errs_as_often_as_stated_and_no_more_seldom(dim, beyond, wrong):
    """Gaussian noise: the limits are exact, so at ‖∇f‖ = ε the error has probability δ/2."""
    gradient, delta, seeds = np.zeros(dim), 0.2, 120
    gradient[0] = beyond * 0.1

    class Slope:
        name, lipschitz_hess = "slope", 1.0
        fun = staticmethod(lambda x: gradient @ x + x @ x)

        def grad(self, x):
            return gradient + 2 * x

        def hvp(self, x, v):
            return 2.0 * v

        hess = None
    Slope.dim = dim
    hits = 0
    for seed in range(seeds):
        oracle = Oracle(Slope(), grad_noise=math.sqrt(dim), rng=0)
        hits += certify_samples(oracle, np.zeros(dim), failure_prob=delta, batch_size=1000,
                                rng=seed, **FULL).verdict is wrong
    assert abs(hits - seeds * delta / 2) <= 3.5 * math.sqrt(seeds * 0.1 * 0.9)


@pytest.mark.parametrize("noise_df", [None, 2.5])
@pytest.mark.parametrize("norm, verdict", [(0.04, Verdict.SOSP), (0.16, Verdict.NOT_STATIONARY)])
def test_the_default_batch_tells_half_of_epsilon_from_more_whatever_the_tails(noise_df, norm,
                                                                              verdict):
    problem = SeparableQuartic(20)
    x = problem.minimizers[0].copy()
    hess = problem.hess(x)[0, 0]
    x += norm / math.sqrt(20) / hess * (1 + 0.75 * norm / math.sqrt(20) / hess)
    assert np.linalg.norm(problem.grad(x)) == pytest.approx(norm, rel=0.1)
    wrong = 0
    for seed in range(20):
        oracle = Oracle(problem, grad_noise=1.0, noise_df=noise_df, rng=0)
        seen = certify_samples(oracle, x, epsilon=0.1, curvature_tol=1.0, rng=seed,
                               failure_prob=0.05)
        wrong += seen.verdict not in (verdict, Verdict.CANNOT_TELL)
        assert seen.grad_lower <= seen.grad_norm
    assert wrong <= 3 and seen.verdict is verdict


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize("hvps", [True, False])
def test_minima_pass_and_saddles_do_not(replacement, hvps):
    """By products of single terms and by differences over the same sample, which have no noise."""
    options = dict(hess_noise=2.0, grad_noise=0.0, lipschitz_hess=1e-3, **FULL)
    for eigenvalues, verdict in (([0.5, 1.0, 3.0], Verdict.SOSP),
                                 ([-1.9, 1.0, 3.0], Verdict.NEGATIVE_CURVATURE)):
        problem = bowls(eigenvalues, 2.0, replacement=replacement, hvps=hvps)
        for seed in range(10):
            seen = certify_samples(problem, np.zeros(3), rng=seed, **options)
            assert seen.verdict is verdict, seen
            assert seen.hess_batch_size < problem.size and 0 < seen.hess_error < 0.4
    assert abs(seen.direction[0]) > 0.9 and isinstance(seen, Certificate)


def test_the_bound_is_loose_by_a_third_and_no_more(record_property):
    """What λ_min has to be for half of the samples to pass, against −γ + t, where t is stated."""
    options = dict(failure_prob=0.02, hess_batch_size=1000, hess_noise=1.0, grad_noise=0.0, **FULL)
    one = certify_samples(bowls([5.0, 6.0], 1.0), np.zeros(2), rng=0, **options)
    passes = verdicts(bowls([-1 + one.hess_error, 6.0], 1.0), 60, **options)[Verdict.SOSP]
    assert 12 <= passes <= 48
    # The δ-quantile itself is 2.33 standard deviations; the stated t 3.03.
    assert one.hess_error == pytest.approx(3.03 / math.sqrt(1000), rel=0.01)
    record_property("stated deviation over the true quantile at δ/2 = 0.01", 3.03 / 2.33)


def slope_at(norm, dim=1):
    """A linear function whose gradient has this norm, under a bowl that the look would pass."""
    gradient = np.zeros(dim)
    gradient[0] = norm
    return lambda rng: Oracle(lambda x: gradient @ x + x @ x, jac=lambda x: gradient + 2 * x,
                              hessp=lambda x, v: 2.0 * v, grad_noise=math.sqrt(dim), rng=rng)


def false_passes(seeds, attempts, **options):
    """How many series of certificates, repeated until one passes, end with a false one."""
    oracle, passes = slope_at(0.1 * (1 + 1e-9))(0), 0
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        passes += any(certify_samples(
            oracle, np.zeros(1), batch_size=1000, rng=rng, failure_prob=0.2,
            **{name: value(k) for name, value in options.items()}, **FULL).passed
            for k in range(1, attempts + 1))
    return passes


def test_to_repeat_until_it_passes_spends_delta_each_time_unless_the_attempts_are_counted():
    """Each errs with δ/2 = 0.1 in the gradient: 72 % of 12 in a row, against 9 % with attempt."""
    seeds = 40
    without = false_passes(seeds, 12)
    assert without > 0.2 * seeds + 3.5 * math.sqrt(seeds * 0.2 * 0.8)
    counted = false_passes(seeds, 12, attempt=lambda k: k)
    assert counted <= 0.1 * 12 / 13 * seeds + 3.5 * math.sqrt(seeds * 0.1 * 0.9)


def test_the_shares_of_a_series_add_up_to_its_failure_probability():
    shares = [certify_samples(slope_at(1.0)(0), np.zeros(1), batch_size=10**4, rng=0, attempt=k,
                              failure_prob=0.3, **FULL).failure_prob for k in range(1, 60)]
    assert sum(shares) == pytest.approx(0.3 * 59 / 60) and shares[0] == pytest.approx(0.15)


# The whole range of the noise ---------------------------------------------------------------------

@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("noise_df", [None, 3.0])
@pytest.mark.parametrize("noise", [1e-300, 1e-12, 1e-9, 1e-4, 1.0, 1e5, 1e12, 1e300])
def test_every_noise_has_an_answer_or_a_refusal_that_names_it(noise, noise_df):
    for batch_size in (None, 1, 10**6, 10**18):
        for failure_prob in (1e-250, 1e-2, 0.999):
            def ask(batch_size=batch_size, failure_prob=failure_prob):
                oracle = Oracle(QUARTIC, grad_noise=noise, rng=0, noise_df=noise_df)
                return certify_samples(oracle, [3.0, 3.0, 3.0], epsilon=0.1, rng=0,
                                       batch_size=batch_size, failure_prob=failure_prob)
            if noise_df and batch_size == 10**6 and (failure_prob, noise) != (1e-2, 1.0):
                continue  # a million draws, once is enough
            try:
                seen = ask()
            except ValueError as refusal:
                assert "grad_noise = " in str(refusal) or "noise_df" in str(refusal)
                assert batch_size in (None, 10**18)
                continue
            norm = np.linalg.norm(QUARTIC.grad(np.full(3, 3.0)))
            assert seen.grad_lower <= seen.grad_norm and seen.grad_upper >= 0
            if noise <= 1e-4 and (failure_prob > 1e-3 or not noise_df):
                assert seen.verdict is Verdict.NOT_STATIONARY
            if noise <= 1e-4 and failure_prob < 0.1:
                assert seen.grad_lower <= norm * (1 + 1e-14) <= seen.grad_upper * (1 + 2e-14)


def test_a_sum_of_more_terms_than_memory_is_sampled_and_its_batch_summed_in_parts(monkeypatch):
    rows = []

    def grads(x, i):
        rows.append(i.size)
        return np.ones((i.size, 2)) + np.where(i[:, None] % 2, 1.0, -1.0)
    for replacement in (True, False):
        terms = FiniteSum(lambda x: x.sum(), grads, 10**13, 2, replacement=replacement,
                          hvps=lambda x, v, i: np.tile(v, (i.size, 1)))
        monkeypatch.setattr("saddlelib.sampling._PART", 300)
        oracle = Oracle(terms, rng=0)
        seen = certify_samples(oracle, np.zeros(2), epsilon=0.1, curvature_tol=1.0, rng=0,
                               grad_noise=2.0, hess_noise=0.0, batch_size=2000)
        assert seen.verdict is Verdict.NOT_STATIONARY and seen.nsamples == 2000
        assert sum(rows) == 2000 and abs(seen.grad_norm - math.sqrt(2)) < 0.2
        rows.clear()


def test_the_stated_error_is_that_of_the_tolerance_which_the_median_reached(monkeypatch):
    """A median that is not even tried, the first block mean: the limits are wider, and hold."""
    oracle = Oracle(QUARTIC, grad_noise=1.0, noise_df=3.0, rng=0)
    options = dict(epsilon=0.1, batch_size=4000, failure_prob=1e-3, rng=0)
    good = certify_samples(oracle, np.full(3, 0.5), **options)
    monkeypatch.setattr("saddlelib.sampling.geometric_median", lambda means: means[0].copy())
    poor = certify_samples(oracle, np.full(3, 0.5), **options)
    norm = np.linalg.norm(QUARTIC.grad(np.full(3, 0.5)))
    assert good.grad_upper - good.grad_norm < 0.9 * (poor.grad_upper - poor.grad_norm)
    assert poor.grad_lower <= norm <= poor.grad_upper


# What it costs and what it says -------------------------------------------------------------------

def test_all_terms_are_used_where_nothing_is_stated():
    problem = bowls([0.5, 1.0, 3.0], 2.0, n=500)
    oracle = Oracle(problem)
    seen = certify_samples(oracle, np.zeros(3), rng=0, **FULL)
    assert seen.passed and seen.hess_error == 0 and seen.grad_lower == seen.grad_upper
    assert seen.nsamples == oracle.nsamples == 500 * (seen.nfev + seen.njev + seen.nhvp)
    assert (seen.grad_batch_size, seen.hess_batch_size) == (500, 500)


def test_every_sample_is_counted():
    oracle = Oracle(bowls([0.5, 1.0, 3.0], 2.0))
    seen = certify_samples(oracle, np.zeros(3), rng=0, batch_size=50, grad_noise=1e-3,
                           hess_noise=2.0, hess_batch_size=300, **FULL)
    blocks = seen.njev
    assert seen.nsamples == oracle.nsamples == 50 + 300 * seen.nhvp and blocks >= 1
    assert seen.nfev == seen.nhev == 0


def test_additive_noise_leaves_the_curvature_exact():
    """Every sample has the Hessian of f, so a product costs one sample and has no deviation."""
    oracle = Oracle(QUARTIC, grad_noise=0.1, rng=3)
    before = oracle.rng.bit_generator.state
    seen = certify_samples(oracle, np.zeros(3), epsilon=0.05, rng=0)
    assert seen.verdict is Verdict.NEGATIVE_CURVATURE and seen.hess_error == 0
    assert seen.min_eig == pytest.approx(-0.5) and seen.hess_batch_size == 1
    # Two gradients and two values without noise say that the derivatives are those of f.
    assert (seen.nfev, seen.njev) == (2, 3)
    assert seen.nsamples == seen.grad_batch_size + seen.nhvp + 4
    assert oracle.rng.bit_generator.state == before  # its own draws come from ``rng``
    assert certify_samples(oracle, QUARTIC.minimizers[0], epsilon=0.05, rng=0).passed


def test_more_is_asked_of_a_larger_sample_when_it_cannot_tell():
    problem = bowls([0.5, 1.0, 3.0], 2.0)
    short = dict(hess_noise=2.0, grad_noise=1.0, rng=0, **FULL)
    seen = certify_samples(problem, np.zeros(3), hess_batch_size=10, batch_size=2000, **short)
    assert seen.verdict is Verdict.CANNOT_TELL and "batch_size" in seen.message
    seen = certify_samples(problem, np.zeros(3), hess_batch_size=10, batch_size=4000, **short)
    assert seen.verdict is Verdict.CANNOT_TELL and "raise hess_batch_size" in seen.message
    deep = bowls([-9.0, 1.0, 3.0], 2.0)  # but a deep saddle shows in a few terms
    seen = certify_samples(deep, np.zeros(3), hess_batch_size=10, batch_size=4000, **short)
    assert seen.verdict is Verdict.NEGATIVE_CURVATURE


def test_the_same_rng_gives_the_same_certificate():
    problem = bowls([0.1, 1.0, 3.0], 2.0, replacement=False)
    one, two, other = (certify_samples(problem, np.zeros(3), hess_noise=2.0, rng=rng, **FULL)
                       for rng in (4, 4, 5))
    assert one.min_eig == two.min_eig != other.min_eig and "λ_min in" in repr(one)


def test_what_is_not_finite_cannot_be_told():
    for wrong in ("grads", "hvps"):
        rows = {"grads": lambda x, i: np.zeros((i.size, 2)),
                "hvps": lambda x, v, i: np.tile(v, (i.size, 1))}
        rows[wrong] = lambda *args: np.full((args[-1].size, 2), np.nan)
        problem = FiniteSum(lambda x: 0.0, size=20, dim=2, **rows)
        seen = certify_samples(problem, np.zeros(2), rng=0, **FULL)
        assert seen.verdict is Verdict.CANNOT_TELL and "not finite" in seen.message


@pytest.mark.parametrize("change, words", [
    (dict(batch_size=4001, grad_noise=1.0), "at most the 4000 samples"),
    (dict(batch_size=10), "needs grad_noise"),
    (dict(hess_batch_size=10), "needs hess_noise"),
    (dict(hess_batch_size=4001, hess_noise=1.0), "at most the 4000 samples"),
    (dict(grad_noise=-1.0), "grad_noise"),
    (dict(hess_noise=-1.0), "hess_noise"),
    (dict(hess_std=10**400), "hess_std"),
    (dict(failure_prob=1.0), "failure_prob"),
    (dict(epsilon=0.0), "epsilon"),
    (dict(attempt=0), "attempt"),
    (dict(attempt=10**5, failure_prob=1e-295), "failure_prob = 1e-295 leaves attempt = 100000"),
    (dict(curvature_tol=None), "lipschitz_hess"),
    (dict(problem=Oracle(QUARTIC), grad_noise=1.0), "knows its own"),
])
def test_what_it_cannot_work_with_is_named(change, words):
    good = dict(problem=bowls([0.5, 1.0, 3.0], 2.0), x=np.zeros(3), rng=0, **FULL)
    good.update(change)
    if isinstance(good["problem"], Oracle):
        good["curvature_tol"] = 0.1
    with pytest.raises(ValueError, match=words):
        certify_samples(**good)


def test_derivatives_that_contradict_f_are_named_from_behind_the_noise():
    """−∇f for ∇f: the maximum of f would pass for its minimum, noise or not."""
    def upside_down(sign):
        return Oracle(lambda x: -x @ x, jac=lambda x: sign * 2 * x, grad_noise=0.01, rng=0)
    options = dict(x=np.zeros(3), epsilon=0.1, curvature_tol=0.5, rng=0)
    assert certify_samples(upside_down(1), **options).verdict is Verdict.WRONG_DERIVATIVES
    assert certify_samples(upside_down(-1), **options).verdict is Verdict.NEGATIVE_CURVATURE
    terms = FiniteSum(lambda x: -x @ x, lambda x, i: np.tile(2 * x, (i.size, 1)), 10, 3)
    assert certify_samples(terms, **options).verdict is Verdict.WRONG_DERIVATIVES


def test_the_rounding_of_a_mean_is_part_of_the_limits():
    """Terms of norm 10³ whose mean is zero: what is left of the sum is no slope."""
    spread = np.random.default_rng(0).standard_normal((30, 4)) * 1e3
    spread -= spread.mean(axis=0)
    terms = FiniteSum(lambda x: x @ x / 2, lambda x, i: x + spread[i], 30, 4,
                      hvps=lambda x, v, i: np.tile(v, (i.size, 1)))
    seen = certify_samples(terms, np.zeros(4), epsilon=1e-30, curvature_tol=0.5, rng=0)
    true = np.linalg.norm([math.fsum(column) / 30 for column in spread.T])
    assert seen.grad_norm > 1e-15 and seen.verdict is Verdict.CANNOT_TELL
    assert seen.grad_lower == 0 and true < seen.grad_upper < 1e-11
