"""Diagonal networks: a saddle for every set of columns, and what gradient flow conserves."""

from itertools import combinations

import numpy as np
import pytest

from saddlelib.problems import DiagonalNetwork


def problem(n=4, p=5, seed=0):
    rng = np.random.default_rng(seed)
    return DiagonalNetwork(rng.standard_normal((n, p)), rng.standard_normal(n))


def test_fun_is_least_squares_in_the_products():
    f, rng = problem(), np.random.default_rng(1)
    u, v = rng.standard_normal((2, 5))
    x = np.concatenate([u, v])
    np.testing.assert_array_equal(f.predictor(x), u * v)
    np.testing.assert_array_equal(f.predictor([x, x]), [u * v, u * v])
    left = f.design @ (u * v) - f.target
    assert f.fun(x) == pytest.approx(left @ left / 8, rel=1e-13)


@pytest.mark.parametrize("n, p", [(4, 5), (6, 4)])
def test_every_set_of_columns_has_a_stationary_point_with_the_stated_curvature(n, p):
    f, minimizers = problem(n, p), 0
    for size in range(p + 1):
        for chosen in combinations(range(p), size):
            x = f.stationary(chosen)
            outside = [i for i in range(p) if i not in chosen]
            assert not x[outside].any() and not x[np.add(outside, p).astype(int)].any()
            np.testing.assert_array_equal(np.abs(x[:p]), np.abs(x[p:]))
            assert np.abs(f.grad(x)).max() < 1e-13
            slopes = f.design.T @ (f.design @ f.predictor(x) - f.target) / n
            lowest = np.linalg.eigvalsh(f.hess(x))[0]
            assert lowest == pytest.approx(-np.abs(slopes).max(), abs=1e-12)
            minimizers += lowest > -1e-12
    assert minimizers == (6 if n < p else 1)  # with four columns or more every y is met


@pytest.mark.parametrize("n, p", [(4, 5), (6, 4), (3, 30)])
def test_saddles_are_those_of_matching_pursuit(n, p):
    f = problem(n, p, seed=2)
    assert len(f.pursuit) == len(f.saddles) == min(n, p)
    for k, (x, lowest) in enumerate(zip(f.saddles, f.saddle_min_eigs, strict=True)):
        np.testing.assert_array_equal(x, f.stationary(f.pursuit[:k]))
        slopes = np.abs(f.design.T @ (f.design @ f.predictor(x) - f.target) / n)
        assert slopes.argmax() == f.pursuit[k]
        assert lowest == pytest.approx(-slopes.max(), rel=1e-12)
    assert (np.diff(f.fun(f.saddles)) < 0).all() and f.fun(f.saddles[-1]) > f.f_star


def test_f_star_is_what_least_squares_leaves_and_zero_where_it_leaves_nothing():
    f = problem(6, 4)
    left = np.linalg.lstsq(f.design, f.target)[1][0]
    assert f.f_star == pytest.approx(left / 12, rel=1e-12) and f.f_star > 0.01
    assert problem(4, 5).f_star == 0.0
    exact = DiagonalNetwork(f.design, f.design @ [1.0, 0.0, -2.0, 0.0])
    assert exact.f_star == 0.0 and exact.pursuit[0] in (0, 2)
    np.testing.assert_allclose(exact.predictor(exact.minimizers[0]), [1, 0, -2, 0], atol=1e-14)


def test_gradient_flow_keeps_the_difference_of_squares():
    f = problem()
    X = np.random.default_rng(3).standard_normal((10, 10))
    G = f.grad(X)
    np.testing.assert_allclose(X[:, :5] * G[:, :5], X[:, 5:] * G[:, 5:], atol=1e-14)
    start = f.start(0.1)
    np.testing.assert_allclose(start[:5] ** 2 - start[5:] ** 2, 0.02, rtol=1e-14)
    assert not f.predictor(start).any()


def test_from_a_small_start_the_plateaus_are_listed_saddles_and_the_times_grow_like_a_logarithm():
    f, times = DiagonalNetwork([[1.0, 0.0], [0.0, 1.0]], [4.0, -1.0]), []
    for alpha in (1e-3, 1e-6):
        x, met, steps = f.start(alpha), set(), []
        for step in range(3000):
            met |= set(np.flatnonzero(np.linalg.norm(f.saddles - x, axis=1) < 0.05).tolist())
            if len(steps) < 2 and abs(f.predictor(x)[len(steps)]) > [2.0, 0.5][len(steps)]:
                steps.append(step)
            x = x - 0.05 * f.grad(x)
        assert met == {0, 1} and f.fun(x) < 1e-12
        times.append(steps)
    assert np.divide(*times[::-1]) == pytest.approx([2.0, 2.0], rel=0.1)


def test_both_constants_are_attained_for_orthogonal_columns():
    f = DiagonalNetwork(np.diag([2.0, 1.0]), [3.0, 0.5], radius=1.5)
    x, z = np.array([1.5, 0.0, -1.5, 0.0]), np.array([1.0, 0.0, -1.0, 0.0]) / np.sqrt(2)
    assert z @ f.hvp(x, z) == pytest.approx(f.lipschitz_grad, rel=1e-14)
    third = z @ (f.hvp(x + 1e-4 * z, z) - f.hvp(x - 1e-4 * z, z)) / 2e-4
    assert abs(third) == pytest.approx(f.lipschitz_hess, rel=1e-8)


@pytest.mark.parametrize("call, error, words", [
    (lambda f: f.start(0.0), ValueError, "alpha must .* > 0, got 0.0"),
    (lambda f: f.stationary([5]), ValueError, "support must have different integers below 5"),
    (lambda f: f.stationary([1, 1]), ValueError, "support must have different integers"),
    (lambda f: f.stationary([-1]), ValueError, "each of support must be at least 0"),
    (lambda f: f.stationary(2), TypeError, "support must be a sequence, got 2"),
    (lambda f: f.stationary([0.5]), TypeError, "each of support must be an integer"),
    (lambda f: f.predictor([1.0]), ValueError, r"x has shape \(1,\)")])
def test_bad_arguments_of_methods_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call(problem())
