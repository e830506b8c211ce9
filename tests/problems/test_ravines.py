"""Degenerate minimizers: how f grows along the ravine and off it, and two neurons to 60 digits."""

import mpmath
import numpy as np
import pytest

from saddlelib.problems import (
    ConvexQuartic,
    HomogeneousRavine,
    MatrixFactorization,
    QuadraticSensing,
    RavineRosenbrock,
    TwoNeurons,
    ravines,
)

CLOSED = [p for p in ravines() if p.growth_constant is not None] + [
    ConvexQuartic(), ConvexQuartic.spread(6, 40.0), RavineRosenbrock(0.5, bend=-1.0),
    HomogeneousRavine(3.0), MatrixFactorization.from_eigenvalues([1.0, 0.3], 4, columns=8),
    TwoNeurons([0.1, 2.0, 0.0])]
closed = pytest.mark.parametrize("problem", CLOSED, ids=repr)
SENSING = QuadraticSensing.random(6, 1, columns=2, measurements=60, rng=3)


def kernel(problem):
    """Orthonormal bases of the kernel and the range of the Hessian at the minimizer."""
    values, vectors = np.linalg.eigh(problem.hess(problem.minimizers[0]))
    flat = values < 1e-9 * values[-1]
    return vectors[:, flat], vectors[:, ~flat], values[~flat]


@closed
def test_f_grows_like_the_stated_power_with_the_stated_constant(problem):
    t = np.array([1e-2, 1e-3])
    points = problem.ravine(t)
    values, p = problem.fun(points), problem.growth_order
    assert np.log10(values[0] / values[1]) == pytest.approx(p, abs=0.02)
    np.testing.assert_allclose(values, problem.growth_constant * t**p, rtol=2e-2)
    np.testing.assert_allclose(problem.distance(points), t, rtol=1e-4)
    np.testing.assert_array_equal(problem.ravine(1e-3), points[1])


@closed
def test_no_direction_grows_more_slowly(problem):
    """Over random points near the ravine, and over all the ravine's directions."""
    rng, r = np.random.default_rng(0), 1e-3
    flat, steep, _ = kernel(problem)
    v = rng.standard_normal((4000, flat.shape[1]))
    v *= r / np.linalg.norm(v, axis=1, keepdims=True)
    u = rng.standard_normal((4000, steep.shape[1])) * r ** rng.uniform(1, 3, (4000, 1))
    X = problem.minimizers[0] + v @ flat.T + u @ steep.T
    distance = problem.distance(X)
    far = distance > 1e-4  # from non-isolated minimizers a sample may be at no distance at all
    lower = problem.growth_constant * distance**problem.growth_order
    assert far.any() and (problem.fun(X)[far] >= 0.97 * lower[far]).all()


@closed
def test_the_gradient_on_the_ravine_is_along_it(problem):
    """‖P_U ∇f‖ ≪ ‖P_V ∇f‖ for the range U and the kernel V of the Hessian."""
    flat, steep, _ = kernel(problem)
    g = problem.grad(problem.ravine(1e-3))
    assert np.linalg.norm(steep.T @ g) < 5e-3 * np.linalg.norm(flat.T @ g)


@pytest.mark.parametrize("problem", [*CLOSED, SENSING], ids=repr)
def test_mu_and_l_are_the_extreme_positive_eigenvalues(problem):
    _, _, values = kernel(problem)
    mu, top = problem.normal_curvature
    assert mu == pytest.approx(values[0], rel=1e-9) and top == pytest.approx(values[-1], rel=1e-9)


@pytest.mark.parametrize("p", [3.0, 4.0, 6.5])
@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_polyak_on_the_homogeneous_ravine_contracts_by_1_minus_factor_over_p(p, factor):
    problem = HomogeneousRavine(p, dim=4, kernel=3)
    x = np.append(0.0, np.random.default_rng(0).standard_normal(3))
    g = problem.grad(x)
    new = x - factor * problem.fun(x) / (g @ g) * g
    np.testing.assert_allclose(new, (1 - factor / p) * x, rtol=1e-13)
    curvature = g @ problem.hvp(x, g) / (g @ g)
    assert problem.fun(x) * curvature / (g @ g) == pytest.approx((p - 1) / p)


def test_too_many_columns_are_what_makes_the_minimizer_degenerate():
    for columns, order in ((2, 2.0), (3, 4.0)):
        f = MatrixFactorization.from_eigenvalues([1.0, 0.5], 4, rng=0, columns=columns)
        g = QuadraticSensing.random(4, 2, columns=columns, measurements=40, rng=0)
        assert f.growth_order == g.growth_order == order
    assert MatrixFactorization.from_eigenvalues([1.0], 1, columns=2).growth_order == 2


@pytest.mark.parametrize("problem", [
    SENSING, MatrixFactorization.from_eigenvalues([1.0, 0.6], 5, rng=0, columns=4)], ids=repr)
def test_distance_is_that_to_the_nearest_rotation_of_the_truth(problem):
    """The columns may be turned, the rows may not."""
    rng = np.random.default_rng(1)
    truth = problem.factor(problem.minimizers[0])
    turn = np.linalg.qr(rng.standard_normal((problem.columns, problem.columns)))[0]
    tilt = np.linalg.qr(rng.standard_normal((problem.n, problem.n)))[0]
    assert problem.distance((truth @ turn).ravel()) < 1e-14
    assert problem.fun((truth @ turn).ravel()) < 1e-28
    tilted = (tilt @ truth).ravel()
    assert problem.distance(tilted) > 0.3 and problem.fun(tilted) > 0.1
    x = problem.region.sample(2, 1)[0]
    angles = [np.linalg.qr(rng.standard_normal((problem.columns,) * 2))[0] for _ in range(3000)]
    tried = min(np.linalg.norm(x - (truth @ Q).ravel()) for Q in angles)
    assert problem.distance(x) <= tried < 1.5 * problem.distance(x)


def test_sensing_measures_the_difference_of_two_squares():
    problem = QuadraticSensing.random(4, 1, columns=2, measurements=7, rng=0)
    X = np.random.default_rng(0).standard_normal((4, 2))
    G = problem.truth
    residuals = [np.trace((X @ X.T - G @ G.T) @ (np.outer(a, a) - np.outer(b, b)))
                 for a, b in zip(problem.a, problem.b, strict=True)]
    assert problem.fun(X.ravel()) == pytest.approx(np.mean(np.square(residuals)), rel=1e-12)


def neurons_in_60_digits(problem, x):
    """f and ∇f of `TwoNeurons` with mpmath, from cosines, as the formula stands."""
    with mpmath.workdps(60):
        d = problem.target.size
        w = [[mpmath.mpf(float(c)) for c in part] for part in (x[:d], x[d:], problem.target)]

        def dot(a, b):
            return mpmath.fsum(p * q for p, q in zip(a, b, strict=True))

        def pair(a, b):
            na, nb = mpmath.sqrt(dot(a, a)), mpmath.sqrt(dot(b, b))
            cos = dot(a, b) / (na * nb)
            theta = mpmath.acos(min(cos, mpmath.mpf(1)))
            psi = mpmath.sin(theta) - theta * cos
            off = [q - cos * nb * p / na for p, q in zip(a, b, strict=True)]
            grad = [nb * psi * p / na - theta * o for p, o in zip(a, off, strict=True)]
            return na * nb * psi, grad

        u = [a + b - c for a, b, c in zip(*w, strict=True)]
        s12, g12 = pair(w[0], w[1])
        s1, g1 = pair(w[0], w[2])
        s2, g2 = pair(w[1], w[2])
        g21 = pair(w[1], w[0])[1]
        two_pi = 2 * mpmath.pi
        value = dot(u, u) / 4 + (s12 - s1 - s2) / two_pi
        first = [h / 2 + (p - q) / two_pi for h, p, q in zip(u, g12, g1, strict=True)]
        second = [h / 2 + (p - q) / two_pi for h, p, q in zip(u, g21, g2, strict=True)]
        return float(value), np.array([float(c) for c in first + second])


@pytest.mark.parametrize("share", [0.5, 0.2])
@pytest.mark.parametrize("t", [1.0, 1e-2, 1e-4, 1e-6, 1e-9, 1e-12])
def test_two_neurons_keep_their_digits_as_the_angle_goes_to_zero(t, share):
    rng = np.random.default_rng(4)
    problem = TwoNeurons(rng.standard_normal(7))
    v = problem.target
    e = rng.standard_normal(7)
    e -= (e @ v) / (v @ v) * v
    x = np.concatenate([share * v + t * e, (1 - share) * v - t * e])
    value, grad = neurons_in_60_digits(problem, x)
    assert problem.fun(x) == pytest.approx(value, rel=5e-14, abs=0)
    assert np.linalg.norm(problem.grad(x) - grad) <= 5e-14 * np.linalg.norm(grad)


def test_two_neurons_are_the_expectation_they_stand_for():
    problem = TwoNeurons([0.5, -1.0])
    z = np.random.default_rng(0).standard_normal((400_000, 2))
    x = np.array([1.0, 0.3, -0.4, 0.8])
    output = np.maximum(z @ x[:2], 0) + np.maximum(z @ x[2:], 0) - np.maximum(z @ problem.target, 0)
    assert problem.fun(x) == pytest.approx(0.5 * np.mean(output**2), rel=1e-2)
    opposite = np.array([0.5, -1.0, -0.5, 1.0])  # the angles 0 and π
    assert problem.fun(opposite) == pytest.approx(0.25 * 1.25, rel=1e-12)
    for minimizer in ([0.25, -0.5, 0.25, -0.5], [0.5, -1.0, 0.0, 0.0]):
        assert problem.distance(minimizer) == 0
    assert problem.distance([1.0, -2.0, 0.0, 0.0]) == pytest.approx(np.hypot(0.5, 1.0))
