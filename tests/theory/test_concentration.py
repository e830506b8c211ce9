"""The mean of a sample: no deviation is more frequent than stated, and not by far less."""

import math

import numpy as np
import pytest
from scipy.stats import binom, hypergeom, ncx2

from saddlelib.theory import concentration
from saddlelib.theory.concentration import mean_batch_size, mean_error, norm_limits

DELTAS = [0.1, 1e-3, 1e-12]


def two_point_tail(b, v, t):
    """P(mean > t) for B draws of the variable with the values 1 and −v, mean 0 and variance v."""
    p = v / (1 + v)
    return float(binom.sf(math.floor(b * (t + v) / (1 + v) + 1e-9), b, p))


@pytest.mark.parametrize("delta", DELTAS)
@pytest.mark.parametrize("std", [1.0, 0.3, 0.05])
@pytest.mark.parametrize("b", [1, 7, 50, 400, 10_000])
def test_the_worst_variable_keeps_the_bound_and_is_within_a_factor_of_it(b, std, delta):
    """The law with two values, exactly. At δ = 1e-12 an error of √2 in t is one of 1e5 in the
    probability, far more than the factor 60 that is lost here."""
    t = mean_error(1.0, b, delta, std=std)
    tail = two_point_tail(b, std**2, t)
    assert tail <= delta
    if b * std**2 * t > 20 and t < 0.9:  # enough ones for the lattice not to matter
        assert tail >= delta / 60


def test_one_number_is_hoeffdings_and_below_bernsteins():
    for b in (10, 100, 1000):
        for delta in DELTAS:
            log = math.log(1 / delta)
            assert mean_error(1.0, b, delta) <= math.sqrt(2 * log / b)  # E e^{θX} ≤ e^{θ²/2}
            for std in (1.0, 0.1):
                bernstein = (log / 3 + math.sqrt(log**2 / 9 + 2 * log * b * std**2)) / b
                assert mean_error(1.0, b, delta, std=std) <= bernstein


@pytest.mark.parametrize("dim", [1, 10, 100, 1000])
@pytest.mark.parametrize("delta", [0.1, 1e-6])
def test_the_largest_of_many_independent_directions_keeps_the_bound(dim, delta):
    """A diagonal matrix of d independent signs, exactly: d and not a constant has to be there."""
    b = 2000
    t = mean_error(1.0, b, delta, dim=dim)
    one = two_point_tail(b, 1.0, t)
    prob = -math.expm1(dim * math.log1p(-one))
    assert delta / 60 <= prob <= delta
    if dim > 30:  # without ln d it fails
        low = two_point_tail(b, 1.0, mean_error(1.0, b, delta))
        assert -math.expm1(dim * math.log1p(-low)) > 4 * delta


def test_few_directions_in_a_large_space_cost_no_dimension():
    """X = ±v vᵀ with v one of two coordinates: tr E X²/V = 2, in any d."""
    for delta in (0.01, 1e-9):
        few = [mean_error(1.0, 5000, delta, dim=d, intrinsic_dim=2.0, std=2**-0.5)
               for d in (10**3, 10**9)]
        assert few[0] == few[1] < mean_error(1.0, 5000, delta, dim=10**3, std=2**-0.5)
        # λ_max = the larger of two sums; each term has the values 1, −1, 0 with ¼, ¼, ½.
        rng = np.random.default_rng(0)
        counts = rng.multinomial(5000, [0.25] * 4, size=20_000)
        largest = np.maximum(counts[:, 0] - counts[:, 1], counts[:, 2] - counts[:, 3]) / 5000
        assert (largest >= few[0]).mean() <= 1.5 * max(delta, 1e-4)
    assert mean_error(1.0, 100, 0.1, dim=4, intrinsic_dim=4.0) <= mean_error(1.0, 100, 0.1, dim=4)


@pytest.mark.parametrize("delta", [0.1, 1e-3, 1e-9])
@pytest.mark.parametrize("b", [5, 100, 500, 900, 990, 999])
def test_without_replacement_the_bound_holds_exactly_counted(b, delta):
    """n/2 terms are 1 and n/2 are −1: the ones in the sample are hypergeometric."""
    n = 1000
    t = mean_error(1.0, b, delta, population=n)
    ones = math.ceil(b * (1 + t) / 2 + 1e-6)
    assert hypergeom.sf(ones - 1, n, n // 2, b) <= delta
    assert t <= mean_error(1.0, b, delta)
    assert mean_error(1.0, n, delta, population=n) == 0.0


def test_the_batch_is_the_smallest():
    for population in (None, 3000):
        for wanted in (0.3, 0.05, 0.011, 2.0):
            b = mean_batch_size(wanted, 1.0, 0.01, dim=30, population=population)
            options = dict(dim=30, population=population)
            assert mean_error(1.0, b, 0.01, **options) <= wanted
            assert b == 1 or mean_error(1.0, b - 1, 0.01, **options) > wanted
    assert mean_batch_size(1e-9, 1.0, 0.01, population=7) == 7


def test_errors_have_the_units_of_the_bound():
    for options in ({}, dict(dim=9, intrinsic_dim=3.0), dict(population=90)):
        one = mean_error(1.0, 40, 0.01, std=0.3, **options)
        assert mean_error(1e8, 40, 0.01, std=0.3e8, **options) == pytest.approx(1e8 * one)
    assert mean_error(0.0, 3, 0.1) == mean_error(1.0, 3, 0.1, std=0.0) == 0.0


@pytest.mark.parametrize("dim", [1, 2, 10, 50, 1000])
@pytest.mark.parametrize("norm", [0.3, 2.0, 30.0])
def test_the_limits_of_a_norm_fail_with_exactly_the_stated_probability(dim, norm):
    """P(upper < ‖∇f‖) = P(‖ĝ‖ ≤ its δ-quantile) = δ: so at the quantile the limit is ‖∇f‖."""
    sigma, b, delta = 1.5, 4, 0.03
    law = ncx2(dim, b * (norm / sigma)**2)
    quantile = math.sqrt(law.ppf(delta) / b) * sigma
    assert norm_limits(quantile, sigma, dim, b, delta)[1] == pytest.approx(norm, rel=1e-6)
    quantile = math.sqrt(law.isf(delta) / b) * sigma
    assert norm_limits(quantile, sigma, dim, b, delta)[0] == pytest.approx(norm, rel=1e-6)


def test_a_small_norm_has_the_limits_zero():
    assert norm_limits(1e-3, 1.0, 100, 1, 0.01) == (0.0, 0.0)
    assert norm_limits(3.0, 0.0, 100, 1, 0.01) == (3.0, 3.0)
    assert norm_limits(10.0, 1.0, 100, 1, 0.01)[0] == 0.0


@pytest.mark.parametrize("noise_std", [1e-300, 1e-12, 1e-9, 1e-6, 1e-4])
def test_the_limits_of_a_norm_far_above_the_noise_are_those_of_a_gaussian(noise_std):
    """‖ĝ‖ ∓ zσ/√B up to the bias (d − 1)σ²/(2B‖∇f‖), although the noise may be below a rounding."""
    z, norm, dim = 2.3263478740408408, 26.0, 40
    lower, upper = norm_limits(norm, noise_std, dim, 4, 0.01)
    bias = (dim - 1) * noise_std**2 / (8 * norm)
    assert lower == pytest.approx(norm - z * noise_std / 2 - bias, abs=1e-14 + 1e-6 * noise_std)
    assert upper == pytest.approx(norm + z * noise_std / 2 - bias, abs=1e-14 + 1e-6 * noise_std)


def test_limits_at_a_tiny_failure_probability_are_those_of_37_deviations():
    lower, upper = norm_limits(1e6, 1.0, 3, 1, 1e-300)
    assert 37.0 < 1e6 - lower < 37.2 and 37.0 < upper - 1e6 < 37.2
    assert mean_error(1.0, 10**6, 1e-300) == pytest.approx(math.sqrt(2 * 300 * math.log(10)) / 1e3,
                                                           rel=1e-3)


@pytest.mark.parametrize("std", [1e-3, 1e-8, 1e-12, 1e-100])
def test_a_tiny_variance_has_an_error_between_those_of_chebyshev_and_bernstein(std):
    """(1) for one sample of variance V: above the t that a two-point law attains with δ itself."""
    for delta in (0.1, 1e-6):
        for few in (None, 2.0):
            error = mean_error(1.0, 1, delta, dim=10, std=std, intrinsic_dim=few)
            assert error >= std * math.sqrt((1 - delta) / delta) or error == 1
            log = math.log(10 / delta)
            bernstein = log / 3 + math.sqrt(log**2 / 9 + 2 * log * std**2)
            assert error <= min(1.0, bernstein)
        cantelli = std * math.sqrt((1 - delta) / delta)
        assert mean_error(1.0, 1, delta, std=std) <= max(1.0, 3 * cantelli)


@pytest.mark.parametrize("delta", [0.5, 0.01, 1e-9])
@pytest.mark.parametrize("std", [1.0, 0.1, 1e-3, 1e-6])
@pytest.mark.parametrize("b", [1, 100, 10**6])
def test_the_error_for_few_directions_solves_its_inequality_and_no_smaller_one_does(b, std, delta):
    """(2) at its best θ, found by trying many: the probability stated for t is δ, not more."""
    few, v = 1.5, std**2
    t = mean_error(1.0, b, delta, dim=2**62, std=std, intrinsic_dim=few)

    def psi(u):
        return np.where(u < 1e-3, u * u / 2 + u**3 / 6, np.expm1(u) - u)

    def prob(t):
        theta = np.geomspace(1e-8, 600, 20_001)
        theta = theta[(b * v * psi(theta) < 600) & (theta * b * t < 600)]
        return float(np.min(few * np.expm1(b * v * psi(theta)) / psi(theta * b * t)))
    if t < 1 and t < mean_error(1.0, b, delta, dim=2**62, std=std):
        assert prob(t) == pytest.approx(delta, rel=1e-3)
    else:
        assert t == 1 or prob(t) >= delta


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bound", [0.0, 1e-300, 1e-12, 1.0, 1e160, 1e300])
def test_every_number_is_answered_or_refused_by_name(bound):
    rng = np.random.default_rng(0)
    for delta in (1e-300, 1e-9, 0.1, 0.999):
        for share in (1.0, 1e-3, 1e-12, 1e-200):
            for few in (None, 1.0, 1e5, 1e300):
                b, d = int(10.0**rng.integers(0, 19)), int(10.0**rng.integers(0, 7))
                law = dict(dim=d, std=share * bound, intrinsic_dim=few)
                for population in (None, 2 * b):
                    error = mean_error(bound, b, delta, population=population, **law)
                    assert 0 <= error <= bound
                if few is None or delta == 0.1:
                    wanted = float(rng.choice([1e-300, 1e-6, 0.1, 2.0])) * max(bound, 1.0)
                    try:
                        enough = mean_batch_size(wanted, bound, delta, **law)
                    except ValueError as refusal:
                        assert "ask for less" in str(refusal)
                        continue
                    assert mean_error(bound, enough, delta, **law) <= wanted


@pytest.mark.parametrize("call, words", [
    (lambda: norm_limits(1.0, 1.0, 3, 1, 0.5), "below 1/2"),
    (lambda: mean_error(-1.0, 1, 0.1), "bound"),
    (lambda: mean_error(1.0, 0, 0.1), "batch_size"),
    (lambda: mean_error(1.0, 1, 0.1, std=2.0), "std must be at most"),
    (lambda: mean_error(1.0, 1, 0.1, intrinsic_dim=0.5), "intrinsic_dim"),
    (lambda: mean_error(1.0, 5, 0.1, population=4), "population = 4"),
    (lambda: mean_error(1.0, 5, 1.0), "failure_prob"),
    (lambda: mean_batch_size(0.0, 1.0, 0.1), "error"),
    (lambda: mean_batch_size(1e-300, 1.0, 0.1), "ask for less"),
    (lambda: norm_limits(0.0, 1.0, 3, 1, 0.1), "observed"),
])
def test_what_is_out_of_range_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
    assert concentration.__doc__
