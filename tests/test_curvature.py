"""The certificate: the bound is sharp, the probability is kept, rounding is admitted."""

import math
import tracemalloc

import numpy as np
import pytest

import saddlelib
from saddlelib import Oracle, Verdict, certify
from saddlelib.curvature import lanczos_error, start_overlap
from saddlelib.problems import MonkeySaddle, QuarticSaddle, catalogue


def quadratic(eigenvalues):
    """½ Σ λᵢ xᵢ² as three plain functions: axis-aligned, so a fixed start could miss it."""
    eigenvalues = np.asarray(eigenvalues, dtype=float)
    return dict(problem=lambda x: 0.5 * x @ (eigenvalues * x), grad=lambda x: eigenvalues * x,
                hvp=lambda x, v: eigenvalues * v)


def smallest_ritz(mu, weights, k):
    """θ_k of diag(mu) from the start with squared coordinates ``weights``, by plain projection."""
    start = np.sqrt(weights)
    basis, _ = np.linalg.qr(np.stack([mu**j * start for j in range(k)], axis=1))
    return np.linalg.eigvalsh(basis.T @ (mu[:, None] * basis))[0]


@pytest.mark.parametrize("k", range(1, 7))
@pytest.mark.parametrize("t", [0.3, 0.01, 1e-4])
def test_the_lanczos_bound_is_attained(k, t):
    """A spectrum on the extreme points of T_{2k−1} reaches the bound: no smaller one is true."""
    eps = lanczos_error(k, t)
    z = np.cos(np.arange(k) * np.pi / (2 * k - 1))
    mu = np.concatenate([[0.0], eps + (1 - eps) * z**2])
    angle = (2 * k - 1) * np.arccos(z)
    p = np.concatenate([[np.sinh((2 * k - 1) * math.atanh(math.sqrt(eps))) / math.sqrt(eps)],
                        np.cos(angle) / (z * math.sqrt(1 - eps))])
    p[0] *= (-1) ** (k - 1)  # T_{2k−1}(ia)/(ia) has this sign
    # Weights that make p stationary for the Rayleigh quotient: Σ w (μ − ε) p q = 0 for deg q < k.
    rows = np.array([(mu[1:] - eps) * p[1:] * mu[1:] ** j for j in range(k)])
    rhs = np.array([t * eps * p[0] * (1.0 if j == 0 else 0.0) for j in range(k)])
    weights = np.concatenate([[t], np.linalg.solve(rows, rhs)])
    assert (weights > 0).all() and weights.sum() == pytest.approx(1, rel=1e-6)
    assert smallest_ritz(mu, weights, k) == pytest.approx(eps, rel=1e-5)


def test_the_lanczos_bound_holds_for_any_spectrum_and_start():
    rng = np.random.default_rng(1)
    for _ in range(300):
        d = rng.integers(2, 12)
        mu = np.sort(rng.random(d) ** rng.choice([0.2, 1, 5]))
        mu = (mu - mu[0]) / (mu[-1] - mu[0])
        weights = rng.dirichlet(np.full(d, rng.choice([0.05, 0.5, 5])))
        for k in range(1, d):
            bound = lanczos_error(k, weights[0])
            assert smallest_ritz(mu, weights, k) <= bound * (1 + 1e-6) + 1e-8


@pytest.mark.parametrize("dim", [2, 3, 10, 300])
@pytest.mark.parametrize("failure_prob", [0.5, 0.05])
def test_a_uniform_start_overlaps_less_than_t_with_probability_delta(dim, failure_prob):
    n = 20_000
    z = np.random.default_rng(dim).standard_normal((n, dim))
    missed = np.mean(z[:, 0] ** 2 / (z**2).sum(1) < start_overlap(dim, failure_prob))
    sigma = math.sqrt(failure_prob * (1 - failure_prob) / n)
    assert abs(missed - failure_prob) < 4 * sigma


def spectra(rng, tol, side):
    """Random spectra with λ_min at −tol(1 + side): families that defeat careless certificates."""
    low = -tol * (1 + side)
    family = rng.integers(6)
    d = int(rng.integers(2, 60))
    if family == 0:      # one negative eigenvalue, the rest spread evenly
        rest = np.linspace(0, 1, d - 1)
    elif family == 1:    # the rest clustered at two places
        rest = rng.choice([0.5, 1.0], d - 1) + 1e-9 * rng.random(d - 1)
    elif family == 2:    # a cluster just above the threshold
        rest = -tol + tol * 0.02 * rng.random(d - 1) + 0.0
        rest[rest < low] = low
    elif family == 3:    # many negative eigenvalues
        rest = low + rng.random(d - 1) * (1 - low)
    elif family == 4:    # where Lanczos is slowest: extreme points of Chebyshev polynomials
        rest = low + (1 - low) * (0.02 + 0.98 * np.cos(np.arange(d - 1) * np.pi / (2 * d)) ** 2)
    else:                # a huge largest eigenvalue
        rest = np.concatenate([rng.random(d - 2), [1e4]]) if d > 2 else np.array([1e4])
    return rng.permutation(np.concatenate([[low], rest]))


def test_no_more_false_passes_than_promised_in_ten_thousand_instances():
    rng = np.random.default_rng(2)
    tol, failure_prob, n = 0.1, 0.1, 10_000
    sides = np.array([1e-9, 1e-3, 0.03, 0.3, 3.0, -1e-9, -1e-3, -0.03, -0.9])
    false_pass = false_alarm = saddles = passes = told = 0
    for _ in range(n):
        side = rng.choice(sides)
        eigenvalues = spectra(rng, tol, side)
        saddle = eigenvalues.min() < -tol
        verdict = certify(**quadratic(eigenvalues), x=np.zeros(eigenvalues.size), epsilon=1e-3,
                          curvature_tol=tol, failure_prob=failure_prob, rng=rng).verdict
        saddles += saddle
        false_pass += saddle and verdict is Verdict.SOSP
        false_alarm += not saddle and verdict is Verdict.NEGATIVE_CURVATURE
        passes += not saddle and verdict is Verdict.SOSP
        told += verdict is not Verdict.CANNOT_TELL
    assert false_alarm == 0
    assert false_pass <= failure_prob * saddles
    # It is of use as well: it passes most good points and answers nearly always.
    assert passes > 0.65 * (n - saddles)
    assert told > 0.8 * n


def test_the_lower_bound_covers_as_often_as_it_says():
    """λ_min ≥ min_eig_lower at every length of the iteration, with probability ≥ 1 − δ."""
    rng = np.random.default_rng(3)
    failure_prob, n = 0.3, 1500
    for d, maxiter in [(3, 2), (30, 4), (30, 8), (200, 10)]:
        eigenvalues = -1 + 2 * np.cos(np.arange(d) * np.pi / (2 * d)) ** 2
        eigenvalues[-1] = -1.0
        below = sum(
            certify(**quadratic(eigenvalues), x=np.zeros(d), epsilon=1.0, curvature_tol=5.0,
                    resolution=1e-9, maxiter=maxiter, failure_prob=failure_prob, rng=rng
                    ).min_eig_lower > -1 + 1e-9 for _ in range(n))
        assert below <= failure_prob * n


@pytest.mark.parametrize("failure_prob", [0.6, 0.1])
def test_the_lower_bound_is_sharp_after_one_step_in_the_plane(failure_prob):
    """There only the end at λ_min can fail, which has δ/2 of the probability, and nearly all of it.

    After one step from b the bound is β₁/√t = s|b₁b₂|/√t against the truth s b₂²: it fails when
    b₁² < t b₂².
    """
    n = 4000
    t = start_overlap(2, failure_prob / 2)
    expected = 2 / math.pi * math.atan(math.sqrt(t))
    assert 0.8 * failure_prob / 2 < expected < failure_prob / 2
    rng = np.random.default_rng(8)
    fails = sum(certify(**quadratic([-1.0, 1.0]), x=np.zeros(2), epsilon=1.0, curvature_tol=5.0,
                        maxiter=1, failure_prob=failure_prob, rng=rng).min_eig_lower > -1 + 1e-9
                for _ in range(n))
    assert abs(fails / n - expected) < 4 * math.sqrt(expected / n)


def test_one_negative_eigenvalue_among_a_hundred_thousand_needs_no_square_array():
    d = 100_000
    eigenvalues = np.ones(d)
    eigenvalues[77_777] = -0.2
    tracemalloc.start()
    seen = certify(**quadratic(eigenvalues), x=np.zeros(d), epsilon=1e-3, curvature_tol=0.1, rng=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen.verdict is Verdict.NEGATIVE_CURVATURE
    assert np.argmax(abs(seen.direction)) == 77_777
    assert seen.nhvp < 50 and peak < 100 * 8 * d


@pytest.mark.parametrize("problem", catalogue(), ids=lambda p: p.name)
def test_verdicts_at_the_known_points(problem):
    rho = problem.lipschitz_hess or 1.0
    if not isinstance(problem, MonkeySaddle):
        for x, low in zip(problem.saddles, problem.saddle_min_eigs, strict=True):
            epsilon = (0.5 * low) ** 2 / rho
            seen = certify(problem, x, epsilon=epsilon, lipschitz_hess=rho, rng=1)
            assert seen.verdict is Verdict.NEGATIVE_CURVATURE
            assert low - 1e-9 <= seen.min_eig <= -np.sqrt(rho * epsilon)
            curved = seen.direction @ problem.hess(x) @ seen.direction
            assert curved == pytest.approx(seen.min_eig, abs=1e-9)
    for x in problem.minimizers:
        seen = certify(problem, x, epsilon=1e-4, lipschitz_hess=rho, rng=1)
        assert seen.passed and seen.min_eig_lower >= -seen.curvature_tol


def test_a_degenerate_saddle_passes_because_the_definition_lets_it():
    seen = certify(MonkeySaddle(), [0.0, 0.0], epsilon=1e-6, rng=0)
    assert seen.verdict is Verdict.SOSP and abs(seen.min_eig) < 1e-12


@pytest.mark.parametrize("problem", catalogue(), ids=lambda p: p.name)
def test_differences_of_gradients_keep_their_stated_error(problem):
    rng = np.random.default_rng(5)
    rho = problem.lipschitz_hess
    for x in problem.region.sample(rng, 20):
        exact = np.linalg.eigvalsh(problem.hess(x))[0]
        seen = certify(problem.fun, x, grad=problem.grad, epsilon=1e-3, lipschitz_hess=rho,
                       curvature_tol=1e-4, resolution=1e-6, failure_prob=1e-9, rng=rng)
        assert seen.nhvp == 0 and seen.njev > 0
        assert seen.min_eig >= exact - seen.hvp_error
        assert seen.min_eig_lower <= exact + 1e-12


def test_a_given_hessian_serves_as_well():
    p = QuarticSaddle(gamma=0.5, eigenvalues=[1.0, 2.0])
    seen = certify(p.fun, np.zeros(3), grad=p.grad, hess=p.hess, epsilon=1e-3,
                   lipschitz_hess=p.lipschitz_hess, rng=0)
    assert seen.verdict is Verdict.NEGATIVE_CURVATURE and (seen.nhev, seen.nhvp) == (1, 0)


def test_noise_in_the_products_is_admitted_instead_of_hidden():
    rng = np.random.default_rng(6)
    f = quadratic(np.linspace(-0.05, 1, 40))
    exact = f["hvp"]
    f["hvp"] = lambda x, v: exact(x, v) + 0.02 * rng.standard_normal(40) / np.sqrt(40)
    for tol in (0.04, 0.06):
        seen = certify(**f, x=np.zeros(40), epsilon=1e-3, curvature_tol=tol, hvp_error=0.03, rng=1)
        assert seen.verdict is Verdict.CANNOT_TELL and "error" in seen.message
    seen = certify(**f, x=np.zeros(40), epsilon=1e-3, curvature_tol=1.0, hvp_error=0.03, rng=1)
    assert seen.passed


def test_an_epsilon_below_the_rounding_of_the_gradient_is_not_decided():
    f = dict(problem=lambda x: 0.5 * (x[0] - 1) ** 2, grad=lambda x: x - 1, hvp=lambda x, v: v)
    x = np.array([1 + 2.3e-16])
    seen = certify(**f, x=x, epsilon=2e-16, curvature_tol=0.1, rng=0)
    assert seen.verdict is Verdict.CANNOT_TELL and "rounding" in seen.message


def test_a_large_gradient_is_not_stationary_and_the_curvature_is_still_told():
    seen = certify(**quadratic([-1.0, 2.0]), x=[1.0, 1.0], epsilon=1e-3, curvature_tol=0.1, rng=0)
    assert seen.verdict is Verdict.NOT_STATIONARY and seen.min_eig == pytest.approx(-1)


def test_the_cost_is_the_oracles_and_the_same_rng_gives_the_same_answer():
    oracle = Oracle(**quadratic(np.linspace(-0.01, 1, 50)))
    seen = certify(oracle, np.zeros(50), epsilon=1e-3, curvature_tol=0.1, rng=4)
    assert (seen.nfev, seen.njev, seen.nhvp) == (oracle.nfev, oracle.njev, oracle.nhvp)
    assert seen.nfev == 0 and seen.njev == 1 and seen.nhvp == seen.iterations
    again = certify(oracle, np.zeros(50), epsilon=1e-3, curvature_tol=0.1, rng=4)
    assert again.min_eig == seen.min_eig and (again.direction == seen.direction).all()


def test_a_spent_budget_never_passes():
    seen = certify(**quadratic(np.linspace(0, 1, 500)), x=np.zeros(500), epsilon=1e-3,
                   curvature_tol=1e-3, maxiter=5, rng=0)
    assert seen.verdict is Verdict.CANNOT_TELL and "maxiter" in seen.message


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_functions_that_are_not_finite_cannot_be_told(value):
    f = quadratic([1.0, 2.0])
    for name in ("grad", "hvp"):
        broken = dict(f, **{name: lambda *_: np.full(2, value)})
        seen = certify(**broken, x=[0.0, 0.0], epsilon=1e-3, curvature_tol=0.1, rng=0)
        assert seen.verdict is Verdict.CANNOT_TELL and "finite" in seen.message


GOOD = dict(quadratic([1.0, 2.0]), x=[0.0, 0.0], epsilon=1e-3, curvature_tol=0.1)


@pytest.mark.parametrize("change, error, words", [
    (dict(epsilon=-1.0), ValueError, "epsilon"),
    (dict(epsilon=0.0), ValueError, "epsilon"),
    (dict(epsilon=np.nan), ValueError, "epsilon"),
    (dict(epsilon="small"), TypeError, "epsilon"),
    (dict(curvature_tol=0.0), ValueError, "curvature_tol"),
    (dict(curvature_tol=None), ValueError, "lipschitz_hess"),
    (dict(curvature_tol=None, lipschitz_hess=0.0), ValueError, "curvature_tol"),
    (dict(lipschitz_hess=-1.0), ValueError, "lipschitz_hess"),
    (dict(failure_prob=0.0), ValueError, "failure_prob"),
    (dict(failure_prob=1.0), ValueError, "failure_prob"),
    (dict(maxiter=0), ValueError, "maxiter"),
    (dict(maxiter=2.5), TypeError, "maxiter"),
    (dict(x=[0.0, np.nan]), ValueError, "x must be finite"),
    (dict(x=[[0.0, 0.0]]), ValueError, "shape"),
    (dict(x=[1j, 0]), TypeError, "real"),
    (dict(x=["a", "b"]), TypeError, "real"),
    (dict(grad=None), TypeError, "grad"),
    (dict(grad=lambda x: np.zeros(3)), ValueError, "grad must return shape"),
    (dict(hvp=lambda x, v: 1.0), ValueError, "hvp must return shape"),
    (dict(hvp=None), ValueError, "lipschitz_hess"),
    (dict(hvp=3), TypeError, "hvp"),
    (dict(problem=3), TypeError, "problem"),
    (dict(hvp_error=-1.0), ValueError, "hvp_error"),
])
def test_bad_input_is_named_with_its_remedy(change, error, words):
    with pytest.raises(error, match=words):
        saddlelib.certify(**{**GOOD, **change})
