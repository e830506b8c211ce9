"""PGDli of Jin et al. 2017: what its local phase needs, and its numbers on a factorization."""

import math

import numpy as np
import pytest

from saddlelib.methods import gd_step
from saddlelib.problems import MatrixFactorization
from saddlelib.theory import jin2017

SPECTRUM = [1.0, 0.7, 0.4]


def test_the_accuracy_without_saddles_is_the_smaller_of_two():
    assert jin2017.strict_saddle_epsilon(0.5, 0.2, 4.0) == pytest.approx(0.04 / 4)
    assert jin2017.strict_saddle_epsilon(0.005, 0.2, 4.0) == 0.005


@pytest.mark.parametrize("alpha, beta, zeta, eps", [(0.3, 2.0, 1.0, 1e-4), (1.0, 1.01, 5.0, 1e-9),
                                                    (1e-3, 10.0, 0.2, 0.1)])
def test_the_local_steps_are_the_fewest_that_the_contraction_allows(alpha, beta, zeta, eps):
    n = jin2017.local_iterations(alpha, beta, zeta, eps)
    assert (1 - alpha / beta) ** (n / 2) * zeta <= eps * (1 + 1e-9)
    assert (1 - alpha / beta) ** ((n - 1) / 2) * zeta > eps


def test_the_local_phase_ends_at_its_edges():
    assert jin2017.local_iterations(1.0, 2.0, 0.1, 0.1) == 0
    assert jin2017.local_iterations(2.0, 2.0, 0.1, 0.1) == 0
    assert jin2017.local_iterations(2.0, 2.0, 1.0, 1e-9) == 1
    with pytest.raises(ValueError, match="alpha must be at most beta"):
        jin2017.local_iterations(2.0, 1.0, 1.0, 0.1)
    for bad in [(0.0, 1.0, 1.0, 0.1), (1.0, 2.0, -1.0, 0.1), (1.0, 2.0, 1.0, 0.0)]:
        with pytest.raises(ValueError, match="> 0"):
            jin2017.local_iterations(*bad)


def test_local_improvement_converges_within_its_steps_on_a_factorization():
    """From anywhere within ζ, steps of 1/β contract dist² by 1 − α/β and arrive in time."""
    p = MatrixFactorization.from_eigenvalues(SPECTRUM, n=6)
    k = jin2017.matrix_factorization(1.0, 0.4, p.Gamma)
    (alpha, beta), zeta = k.regularity, k.strict_saddle[2]
    rng = np.random.default_rng(0)
    step = rng.standard_normal((200, p.dim))
    x = p.minimizers[0] + zeta * step / np.linalg.norm(step, axis=1, keepdims=True)
    start, epsilon = p.distance(x).max(), 1e-5
    for _ in range(jin2017.local_iterations(alpha, beta, zeta, epsilon)):
        before = p.distance(x)
        x = gd_step(x, p.grad(x), 1 / beta)
        far = before > 1e-7  # below it the distance is rounding
        assert (p.distance(x)[far] ** 2 <= (1 - alpha / beta) * before[far] ** 2).all()
    assert start <= zeta * (1 + 1e-9) and p.distance(x).max() <= epsilon


def test_the_whole_bound_is_two_phases():
    k = jin2017.matrix_factorization(1.0, 0.4, 4.0)
    theta, gamma, zeta = k.strict_saddle
    bound = jin2017.pgdli_iteration_bound(k.lipschitz_grad, k.lipschitz_hess, k.strict_saddle,
                                          k.regularity, 1e-300, 18, 2.0, 0.05, 0.5)
    first = jin2017.iteration_bound(k.lipschitz_grad, k.lipschitz_hess,
                                    jin2017.strict_saddle_epsilon(theta, gamma, k.lipschitz_hess),
                                    18, 2.0, 0.05, 0.5)
    assert bound == first + jin2017.local_iterations(*k.regularity, zeta, 1e-300) > first


@pytest.mark.parametrize("norm, root", [(0.0, 6.0), (2.9, 6.0), (3.5, 7.0)])
def test_factorization_is_called_with_the_numbers_of_theorem_8(norm, root):
    k = jin2017.factorization_pgdli(norm, 1.0, 0.4, rank=3)
    assert k.Gamma == pytest.approx(root**2)
    assert k.lipschitz_grad == pytest.approx(8 * root**2)
    assert k.lipschitz_hess == pytest.approx(12 * root)
    assert k.epsilon == pytest.approx(0.4**2 / (108 * root))
    assert k.delta_f == pytest.approx(3 * root**4 / 2) and k.beta == 10
    with pytest.raises(ValueError, match="start_norm"):
        jin2017.factorization_pgdli(math.nan, 1.0, 0.4, 3)
    assert jin2017.factorization_pgdli(0.0, 4.0, 0.4, 3).Gamma == pytest.approx(4 * 36)


def test_theorem_8_bounds_f_at_its_start():
    """Δ_f = rΓ²/2 is at least f(U₀) wherever ‖U₀‖² ≤ Γ/4, which is how Γ is chosen."""
    p = MatrixFactorization.from_eigenvalues(SPECTRUM, n=6)
    for x in 2 * np.random.default_rng(1).standard_normal((50, p.dim)):
        norm = np.linalg.norm(x.reshape(6, 3), 2)
        assert p.fun(x) <= jin2017.factorization_pgdli(norm, 1.0, 0.4, 3).delta_f


def test_extreme_settings_neither_overflow_nor_divide_by_zero():
    ordinary = jin2017.pgd_constants(1.0, 1.0, 1e-90, 10, 1.0)
    assert ordinary.chi == pytest.approx(3 * (180 * math.log(10) + math.log(100)))
    assert jin2017.iteration_bound(1.0, 1.0, 1e-90, 10, 1.0) < math.inf
    assert jin2017.iteration_bound(1.0, 1.0, 1e-180, 10, 1.0) == math.inf
    assert jin2017.iteration_bound(1.0, 1.0, 1e-250, 10, 1.0) == math.inf
    with pytest.raises(ValueError, match="episode_length"):
        jin2017.pgd_constants(1e300, 1e-300, 1e-300, 10, 1.0)
