"""Matrix factorization: all stationary points, rotations, and the Procrustes distance."""

from itertools import combinations

import numpy as np
import pytest

from saddlelib.problems import MatrixFactorization
from saddlelib.theory import laws

SIGMA = [3.0, 2.0, 0.5]


def rotation(rng, r):
    Q, R = np.linalg.qr(rng.standard_normal((r, r)))
    return Q * np.sign(np.diag(R))


@pytest.fixture
def problem():
    return MatrixFactorization.from_eigenvalues(SIGMA, 5, rng=0)


def test_the_matrix_has_the_given_eigenvalues(problem):
    found = np.linalg.eigvalsh(problem.matrix)[::-1]
    np.testing.assert_allclose(found, [*SIGMA, 0, 0], atol=1e-14)
    np.testing.assert_allclose(problem.eigenvalues, SIGMA)
    assert np.abs(problem.matrix - np.diag(np.diag(problem.matrix))).max() > 0.1
    unrotated = MatrixFactorization.from_eigenvalues(SIGMA, 5)
    np.testing.assert_array_equal(unrotated.matrix, np.diag([*SIGMA, 0, 0]))


def test_both_constructors_make_the_same_problem(problem):
    twin = MatrixFactorization(problem.matrix, rank=3, Gamma=27.0)
    X = problem.region.sample(1, 20)
    np.testing.assert_array_equal(twin.fun(X), problem.fun(X))
    assert repr(twin) == repr(problem) == "MatrixFactorization(n=5, rank=3, Gamma=27)"


def test_fun_is_half_the_squared_frobenius_norm_and_rows_come_first(problem):
    U = np.arange(15.0).reshape(5, 3)
    expected = 0.5 * np.linalg.norm(U @ U.T - problem.matrix, "fro") ** 2
    assert problem.fun(U.ravel()) == pytest.approx(expected, rel=1e-14)
    np.testing.assert_array_equal(problem.factor(U.ravel()), U)
    np.testing.assert_array_equal(problem.factor([U.ravel()] * 2), [U, U])


def test_hessian_vector_product_is_the_formula_of_the_docstring(problem):
    rng = np.random.default_rng(2)
    U, Z = rng.standard_normal((2, 5, 3))
    expected = 2 * ((U @ Z.T + Z @ U.T) @ U + (U @ U.T - problem.matrix) @ Z)
    np.testing.assert_allclose(problem.hvp(U.ravel(), Z.ravel()), expected.ravel(), atol=1e-12)


def test_every_choice_of_fewer_eigenvectors_is_a_strict_saddle_as_stated(problem):
    rng = np.random.default_rng(3)
    root = problem.factor(problem.minimizers[0])
    for size in range(3):
        for chosen in combinations(range(3), size):
            U = np.zeros((5, 3))
            U[:, chosen] = root[:, chosen]
            x = (U @ rotation(rng, 3)).ravel()
            assert np.linalg.norm(problem.grad(x)) < 1e-13
            left_out = max(s for i, s in enumerate(SIGMA) if i not in chosen)
            smallest = np.linalg.eigvalsh(problem.hess(x))[0]
            assert smallest == pytest.approx(-2 * left_out, rel=1e-12)


def test_the_listed_saddles_take_the_largest_eigenvalues_first(problem):
    np.testing.assert_allclose(problem.saddle_min_eigs, [-6.0, -4.0, -1.0], rtol=1e-14)
    left = [0.5 * sum(s**2 for s in SIGMA[k:]) for k in range(3)]
    np.testing.assert_allclose(problem.fun(problem.saddles), left, rtol=1e-13)


def test_distance_is_zero_at_all_rotations_of_a_minimizer(problem):
    rng = np.random.default_rng(4)
    U = problem.factor(problem.minimizers[0])
    images = np.array([(U @ rotation(rng, 3)).ravel() for _ in range(200)])
    assert problem.distance(images).max() < 1e-13
    assert np.abs(problem.fun(images)).max() < 1e-26
    X = problem.region.sample(rng, 200)
    turned = (problem.factor(X) @ rotation(rng, 3)).reshape(200, 15)
    np.testing.assert_allclose(problem.distance(turned), problem.distance(X), rtol=1e-13)


def test_distance_is_the_least_over_rotations_and_reflections():
    problem = MatrixFactorization.from_eigenvalues([2.0, 0.5], 4, rng=5)
    a = np.linspace(0, 2 * np.pi, 4001)
    rotations = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]).transpose(2, 0, 1)
    everything = np.concatenate([rotations, rotations * [1, -1]])
    images = (problem.factor(problem.minimizers[0]) @ everything).reshape(-1, 8)
    for x in problem.region.sample(6, 40):
        brute = np.linalg.norm(x - images, axis=1).min()
        assert brute * (1 - 1e-5) - 1e-3 <= problem.distance(x) <= brute + 1e-14


@pytest.mark.parametrize("n, smallest", [(1, 0.0), (2, 0.5), (4, 0.0)])
def test_the_largest_curvature_is_reached_along_the_smallest_eigenvector(n, smallest):
    """λ_max = 6Γ − 2λ_min(M) at U = √Γ a bᵀ, a the last eigenvector of M."""
    sigma = [2.0, 0.5][: min(n, 2)]
    problem = MatrixFactorization.from_eigenvalues(sigma, n, rng=7, Gamma=5.0)
    smallest = sigma[-1] if n <= 2 else 0.0
    a = np.linalg.eigh(problem.matrix)[1][:, 0]
    U = np.sqrt(5.0) * np.outer(a, np.eye(problem.rank)[0])
    largest = np.linalg.eigvalsh(problem.hess(U.ravel()))[-1]
    assert largest == pytest.approx(6 * 5.0 - 2 * smallest, rel=1e-12)
    assert largest < problem.lipschitz_grad == 8 * 5.0


def test_two_points_on_one_ray_reach_rho(problem):
    direction = np.outer(np.eye(5)[4], np.eye(3)[0]).ravel()
    near, far = np.sqrt(problem.Gamma) * np.array([0.999, 1.0])[:, np.newaxis] * direction
    bend = np.linalg.norm(problem.hess(far) - problem.hess(near), ord=2)
    assert bend / np.linalg.norm(far - near) > 0.999 * problem.lipschitz_hess


def test_gradient_descent_from_near_zero_stays_in_the_region_and_finds_a_minimizer():
    problem = MatrixFactorization.from_eigenvalues(SIGMA, 5, rng=0, Gamma=3.1)
    X = 1e-3 * np.random.default_rng(8).standard_normal((10, 15))
    for _ in range(1000):
        X = X - problem.grad(X) / problem.lipschitz_grad
        assert problem.region.contains(X).all()
    assert problem.distance(X).max() < 1e-6


def test_a_matrix_with_rounding_noise_keeps_its_rank():
    rng = np.random.default_rng(9)
    A = rng.standard_normal((30, 4))
    problem = MatrixFactorization(A @ A.T)
    assert (problem.n, problem.rank, problem.dim) == (30, 4, 120)
    assert problem.fun(problem.minimizers[0]) < 1e-24


@pytest.mark.parametrize("m", [0.4, 0.1, 0.025])
@pytest.mark.parametrize("push", [1e-3, 1e-9])
def test_a_second_column_is_learned_in_the_time_of_the_quartic_saddle(m, push):
    """From (1, push) on the diagonal, √2 b follows the quartic saddle of curvature −2m exactly."""
    problem = MatrixFactorization(np.diag([1.0, m]), columns=2, Gamma=2.0)
    x, eta, steps = np.array([1.0, 0, 0, push]), 1 / 16, 0
    while x[3] < np.sqrt(m) / 2:
        x, steps = x - eta * problem.grad(x), steps + 1
    assert x[0] == 1 and not x[1:3].any()
    way = np.sqrt(2) * push, np.sqrt(2 * m) / 2, eta, 2 * m
    assert laws.escape_time(*way) <= steps < 1 + laws.quartic_escape_time(*way)
