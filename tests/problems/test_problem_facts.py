"""Every fact that a problem states, checked on one table of problems."""

import pickle
from itertools import product

import numpy as np
import pytest

from saddlelib.problems import (
    ConvexQuartic,
    CoupledQuartic,
    DeepLinear,
    DeepNetwork,
    DiagonalNetwork,
    DraggedSaddle,
    EscapeProfile,
    HomogeneousRavine,
    MatrixFactorization,
    MonkeySaddle,
    Octopus,
    Problem,
    QuadraticSaddle,
    QuadraticSensing,
    QuarticSaddle,
    RavineRosenbrock,
    Rosenbrock,
    SeparableQuartic,
    TwoNeurons,
    catalogue,
    networks,
    ravines,
)

PROBLEMS = [
    *catalogue(),
    QuadraticSaddle([3.0, 0.0, 0.5]),
    SeparableQuartic(1, radius=0.2),
    SeparableQuartic(5, radius=2.0),
    CoupledQuartic(2, coupling=3.0, radius=1.5),
    CoupledQuartic(6, coupling=0.0),
    QuarticSaddle(1.7, [0.2, 3.0]),
    MonkeySaddle(radius=3.0),
    Octopus(1),
    Octopus(2, L=0.5, gamma=2.0, tau=0.7),
    Octopus(6, L=1.5, gamma=0.4, tau=1.3),
    MatrixFactorization([[2.0]]),
    MatrixFactorization.from_eigenvalues([2.0], 4, rng=1),
    MatrixFactorization.from_eigenvalues([2.0, 0.5], 2, rng=2, Gamma=2.0),
    MatrixFactorization.from_eigenvalues([1.0, 1.0, 0.3], 4),
    Rosenbrock(2, radius=1.5),
    Rosenbrock(7),
    EscapeProfile(0.3, []),
    EscapeProfile(1.0, [0.0, 1.0], lipschitz_hess=3.0),
    EscapeProfile(0.3, [1.0], gradient=[0.03, 0.2], lipschitz_grad=2.0),
    EscapeProfile(0.3, [0.5], gradient=[-0.09, 0.0]),
    EscapeProfile(0.8, [0.5], gradient=[0.9, -0.1]),
    EscapeProfile(0.3, [-0.3, 1.0], gradient=[0.01, 0.01, 0.0]),
    DraggedSaddle(0.3, pull=1.0, lipschitz_grad=0.9, lipschitz_hess=2.0),
    DraggedSaddle(0.5, pull=0.05, lipschitz_grad=4.0),
    *ravines(),
    ConvexQuartic(),
    ConvexQuartic.spread(5, condition=30.0, kernel=4),
    RavineRosenbrock(0.5, bend=-1.0),
    RavineRosenbrock(2.0, bend=0.0, radius=2.0),
    HomogeneousRavine(3.0, dim=4, kernel=3, curvature=0.3),
    HomogeneousRavine(5.5, radius=1.5),
    MatrixFactorization.from_eigenvalues([1.0], 2, columns=3),
    QuadraticSensing.random(4, 2, columns=2, measurements=30, rng=1),
    TwoNeurons([1.0, 2.0], radius=1.0),
    *networks(),
    DeepLinear.from_modes([2.0], 3, width=2),
    DeepLinear([[1.0, -2.0, 0.5], [0.3, 1.0, 0.0]], 2, width=1),
    DeepLinear([[1.5, 0.0]], 4, width=1, radius=2.0),
    DeepNetwork.random("gelu", (2, 2, 2, 1), samples=4, rng=1, radius=1.0),
    DeepNetwork.random("sigmoid", (2, 2, 1), samples=4, rng=2),
    DiagonalNetwork([[1.0, 2.0], [0.0, 1.0], [3.0, 0.0]], [1.0, -1.0, 2.0], radius=2.0),
]
WITHOUT_DISTANCE = DeepLinear, DiagonalNetwork  # their minimizers are surfaces
every_problem = pytest.mark.parametrize("problem", PROBLEMS, ids=repr)


def spectral_norm(H):
    return np.abs(np.linalg.eigvalsh(H)).max(axis=-1)


def points(problem, n=60, seed=0):
    return problem.region.sample(seed, n)


def central_difference(values, X, h):
    """Return (values(X + h e_j) − values(X − h e_j)) / 2h, with j as the last axis."""
    steps = h * np.eye(X.shape[1])
    return np.stack([(values(X + e) - values(X - e)) / (2 * h) for e in steps], axis=-1)


def test_the_catalogue_has_every_problem_once():
    kinds = [type(problem) for problem in catalogue()]
    more = [type(problem) for problem in ravines() + networks() if type(problem) not in kinds]
    assert sorted(map(repr, kinds + more)) == sorted(map(repr, Problem.__subclasses__()))
    names = {problem.name for problem in catalogue() + ravines() + networks()}
    assert len(names) == len(kinds + more)
    assert all(problem.growth_order > 2 for problem in ravines())


@every_problem
def test_gradient_is_the_derivative_of_fun(problem):
    X = points(problem)
    difference = central_difference(problem.fun, X, 1e-5)
    assert np.abs(problem.grad(X) - difference).max() < 1e-6 * (1 + problem.lipschitz_grad)


@every_problem
def test_hessian_is_the_derivative_of_the_gradient(problem):
    X = points(problem)
    difference = central_difference(problem.grad, X, 1e-5)
    error = np.abs(problem.hess(X) - difference).max()
    assert error < 1e-6 * (problem.lipschitz_grad + problem.lipschitz_hess)


@every_problem
def test_hessian_is_symmetric_and_gives_the_hessian_vector_product(problem):
    X = points(problem)
    H, V = problem.hess(X), np.random.default_rng(1).standard_normal(X.shape)
    ell = problem.lipschitz_grad
    assert np.abs(H - H.transpose(0, 2, 1)).max() <= 1e-14 * ell
    np.testing.assert_allclose(problem.hvp(X, V), np.einsum("nij,nj->ni", H, V), atol=1e-13 * ell)


@every_problem
def test_a_batch_is_its_points_one_by_one(problem):
    X = points(problem)
    V = X[::-1].copy()
    for method in (problem.fun, problem.grad, problem.hess, problem.distance):
        np.testing.assert_array_equal(method(X), [method(x) for x in X])
    singles = [problem.hvp(x, v) for x, v in zip(X, V, strict=True)]
    np.testing.assert_array_equal(problem.hvp(X, V), singles)


@every_problem
def test_memory_order_and_dtype_of_the_input_do_not_matter(problem):
    X = points(problem).astype(np.float32)
    expected = problem.grad(X.astype(np.float64))
    np.testing.assert_array_equal(problem.grad(X), expected)
    np.testing.assert_array_equal(problem.grad(np.asfortranarray(X)), expected)
    np.testing.assert_array_equal(problem.grad(X.tolist()), expected)


def test_a_long_batch_adds_up_as_its_points_do_in_either_memory_order():
    problem = SeparableQuartic(200)
    X = points(problem, n=50)
    singles = [problem.fun(x) for x in X]
    np.testing.assert_array_equal(problem.fun(X), singles)
    np.testing.assert_array_equal(problem.fun(np.asfortranarray(X)), singles)


@every_problem
def test_shapes(problem):
    d = problem.dim
    X = points(problem, n=3)
    assert problem.fun(X[0]).shape == problem.distance(X[0]).shape == ()
    assert problem.grad(X[0]).shape == problem.hvp(X[0], X[1]).shape == (d,)
    assert problem.hess(X[0]).shape == (d, d)
    for n in (0, 1, 3):
        B = X[:n]
        assert problem.fun(B).shape == problem.distance(B).shape == (n,)
        assert problem.grad(B).shape == problem.hvp(B, B).shape == (n, d)
        assert problem.hess(B).shape == (n, d, d)


@every_problem
def test_saddles_and_minimizers_are_stationary_with_the_stated_eigenvalue(problem):
    for where, min_eigs in [
        (problem.saddles, problem.saddle_min_eigs),
        (problem.minimizers, problem.minimizer_min_eigs),
    ]:
        assert where.shape == (len(min_eigs), problem.dim)
        size = problem.lipschitz_grad * (1 + np.linalg.norm(where, axis=1))
        assert (np.linalg.norm(problem.grad(where), axis=1) <= 1e-14 * size).all()
        found = np.linalg.eigvalsh(problem.hess(where))[:, 0]
        np.testing.assert_allclose(found, min_eigs, atol=1e-13 * problem.lipschitz_grad)


@every_problem
def test_degenerate_means_no_negative_curvature(problem):
    assert problem.degenerate.tolist() == [bool(e >= 0) for e in problem.saddle_min_eigs]
    flat = problem.name == "monkey saddle" or getattr(problem, "depth", 2) > 2
    assert problem.degenerate.all() == (flat or not len(problem.saddles))


@every_problem
def test_no_saddle_is_a_minimizer(problem):
    """A little way along some direction, f is lower than at the saddle."""
    z = np.random.default_rng(3).standard_normal((4000, problem.dim))
    for saddle in problem.saddles:
        eigenvectors = np.linalg.eigh(problem.hess(saddle))[1].T
        near = saddle + 1e-2 * np.concatenate([eigenvectors, z])
        assert problem.fun(near).min() < problem.fun(saddle) - 1e-7


@every_problem
def test_f_star_is_the_value_at_the_minimizers_and_below_all_others(problem):
    if problem.f_star == -np.inf:
        assert len(problem.minimizers) == 0
        if isinstance(problem, DeepNetwork):  # bounded, with a minimum that nobody knows
            assert problem.fun(points(problem)).min() > 0
            return
        far = problem.fun(1e3 * np.random.default_rng(4).standard_normal((500, problem.dim)))
        assert far.min() < -1e4
        return
    scale = 1e-13 * (1 + abs(problem.f_star))
    np.testing.assert_allclose(problem.fun(problem.minimizers), problem.f_star, atol=scale)
    assert len(problem.minimizers) >= 1
    X = points(problem, n=8000, seed=5)
    near = problem.minimizers[0] + 1e-3 * X[:4000]
    assert problem.fun(X).min() >= problem.f_star
    assert problem.fun(near).min() >= problem.f_star - scale


@every_problem
def test_minimizers_lie_in_the_region_and_have_distance_zero(problem):
    if not len(problem.minimizers):
        assert np.isnan(problem.distance(points(problem))).all()
    elif repr(problem) != "SeparableQuartic(dim=1, radius=0.2)":  # a region on purpose too small
        shrunk = problem.minimizers * (1 - 1e-12)  # a minimizer may lie on the boundary
        assert problem.region.contains(shrunk).all()
        if not isinstance(problem, WITHOUT_DISTANCE):
            assert (problem.distance(problem.minimizers) < 1e-14).all()


@every_problem
def test_distance_is_1_lipschitz_and_at_most_that_to_a_listed_minimizer(problem):
    if not len(problem.minimizers):
        return
    if isinstance(problem, WITHOUT_DISTANCE):
        assert np.isnan(problem.distance(points(problem))).all()
        return
    X, Y = points(problem, seed=6), points(problem, seed=7)
    change = np.abs(problem.distance(X) - problem.distance(Y))
    assert (change <= np.linalg.norm(X - Y, axis=1) * (1 + 1e-12)).all()
    listed = np.linalg.norm(X[:, np.newaxis] - problem.minimizers, axis=2).min(axis=1)
    assert (problem.distance(X) <= listed * (1 + 1e-12)).all()


@pytest.mark.parametrize(
    "problem",
    [p for p in PROBLEMS if p.dim <= 6 and isinstance(p, (SeparableQuartic, CoupledQuartic))]
    + [Octopus(4), QuarticSaddle(1.7, [0.2, 3.0])],
    ids=repr,
)
def test_distance_is_the_least_over_all_sign_patterns(problem):
    signs = np.array(list(product([1.0, -1.0], repeat=problem.dim)))
    images = signs * np.abs(problem.minimizers[0])
    # Of all sign patterns, those that give f* are the minimizers.
    images = images[np.isclose(problem.fun(images), problem.f_star, rtol=1e-12)]
    X = 1.5 * problem.region.sample(8, 200)
    brute = np.linalg.norm(X[:, np.newaxis] - images, axis=2).min(axis=1)
    np.testing.assert_allclose(problem.distance(X), brute, rtol=1e-12)
    assert problem.distance(images).max() < 1e-14


def test_distance_of_a_quadratic_ignores_its_flat_directions():
    problem = QuadraticSaddle([3.0, 0.0, 0.5])
    assert problem.distance([3.0, 7.0, 4.0]) == 5.0
    assert problem.fun([0.0, 7.0, 0.0]) == problem.f_star == 0.0


@pytest.mark.parametrize("dim", [4, 5, 7, 10, 30])
def test_rosenbrock_has_a_second_minimizer_from_dimension_4_on(dim):
    problem = Rosenbrock(dim)
    x = problem.local_minimizer
    assert x[0] < 0 and (x[1:] > 0).all() and problem.region.contains(x)
    assert np.linalg.norm(problem.grad(x)) < 1e-12 * problem.lipschitz_grad
    assert np.linalg.eigvalsh(problem.hess(x))[0] > 0.1 and problem.fun(x) > 3.5
    with pytest.raises(ValueError, match="dim must be at least 4"):
        Rosenbrock(3).local_minimizer  # noqa: B018


def test_the_listed_points_of_the_separable_quartic_are_all_up_to_symmetry():
    problem = SeparableQuartic(4)
    stationary = np.array(list(product([-np.sqrt(0.5), 0.0, np.sqrt(0.5)], repeat=4)))
    assert np.abs(problem.grad(stationary)).max() < 1e-15
    classes = {tuple(row) for row in -np.sort(-np.abs(stationary), axis=1)}
    listed = {tuple(row) for row in np.concatenate([problem.saddles, problem.minimizers])}
    assert classes == listed


@every_problem
def test_the_region_contains_its_samples_and_no_nan(problem):
    region = problem.region
    X = points(problem, n=1000, seed=9)
    X1, X2 = region.sample_pairs(9, 1000)
    t = np.random.default_rng(9).uniform(size=(1000, 1))
    for inside in (X, X1, X2, X1 + t * (X2 - X1)):
        assert inside.shape == (1000, problem.dim)
        assert region.contains(inside).all()
    assert region.contains(X[0]) == np.True_
    X[:, -1] = np.nan
    assert not region.contains(X).any()
    assert str(region) == region.description
    np.testing.assert_array_equal(region.sample(9, 5), region.sample(np.random.default_rng(9), 5))


@every_problem
def test_lipschitz_constants_hold_for_sampled_pairs(problem):
    X, Y = problem.region.sample_pairs(10, 4000)
    # Near pairs see the derivative, far pairs the whole region.
    t = 10 ** np.random.default_rng(10).uniform(-4, 0, size=(4000, 1))
    Y = X + t * (Y - X)
    gap = np.linalg.norm(X - Y, axis=1)
    change = np.linalg.norm(problem.grad(X) - problem.grad(Y), axis=1)
    ell, rho = problem.lipschitz_grad, problem.lipschitz_hess
    assert (change <= ell * (gap * (1 + 1e-9) + 1e-13)).all()
    bend = spectral_norm(problem.hess(X) - problem.hess(Y))
    assert (bend <= rho * gap * (1 + 1e-9) + 1e-12 * ell).all()


@every_problem
def test_nan_and_overflow_pass_through_without_a_warning(problem):
    x = points(problem, n=2)
    for position in range(problem.dim):
        bad = x.copy()
        bad[0, position] = np.nan
        assert np.isnan(problem.fun(bad)[0]) and np.isfinite(problem.fun(bad)[1])
        assert np.isnan(problem.grad(bad)[0, position])
        assert np.isnan(problem.hess(bad)[0]).any() and np.isfinite(problem.hess(bad)[1]).all()
        assert np.isnan(problem.hvp(bad, x)[0]).any()
        assert np.isnan(problem.distance(bad)[0])
    for size in (1e200, np.inf):
        huge = np.full(problem.dim, size)
        assert not np.isfinite(problem.fun(huge))
        problem.grad(huge), problem.hvp(huge, huge), problem.hess(huge), problem.distance(huge)


@every_problem
def test_inputs_stay_as_they_were_and_facts_cannot_be_changed(problem):
    x, v = points(problem, n=2)
    before = x.copy(), v.copy()
    problem.fun(x), problem.hess(x), problem.distance(x)
    for result in (problem.grad(x), problem.hvp(x, v)):
        result[...] = 7.0
    np.testing.assert_array_equal([x, v], before)
    for facts in (problem.saddles, problem.minimizers, problem.saddle_min_eigs):
        with pytest.raises(ValueError, match="read-only"):
            facts[...] = 0.0


@every_problem
def test_a_problem_survives_pickling(problem):
    copy = pickle.loads(pickle.dumps(problem))
    assert repr(copy) == repr(problem)
    X = points(problem)
    np.testing.assert_array_equal(copy.fun(X), problem.fun(X))
    assert copy.region == problem.region


@pytest.mark.parametrize(
    "make",
    [
        lambda d: QuadraticSaddle(np.linspace(-1, 1, d)),
        lambda d: SeparableQuartic(d),
        lambda d: CoupledQuartic(d),
        lambda d: QuarticSaddle.spread(d),
        lambda d: Octopus(d),
        lambda d: Rosenbrock(d),
        lambda d: ConvexQuartic.spread(d, condition=10.0),
        lambda d: HomogeneousRavine(3.5, dim=d),
        lambda d: TwoNeurons(np.ones(d // 2)),
        lambda d: EscapeProfile(0.1, np.linspace(0, 1, d - 1)),
    ],
)
def test_dimension_100000_needs_no_square_array(make):
    problem = make(10**5)
    x = problem.region.sample(0, 1)[0]
    products = problem.fun(x), problem.grad(x).sum(), problem.hvp(x, x).sum(), problem.distance(x)
    assert np.isfinite(products[:3]).all()
