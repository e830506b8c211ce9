"""Ravines computed against ravines known: bases, φ, q, the verdict, and p from a run."""

import numpy as np
import pytest

from saddlelib import minimize
from saddlelib.problems import (
    ConvexQuartic,
    HomogeneousRavine,
    MatrixFactorization,
    Octopus,
    QuadraticSaddle,
    QuadraticSensing,
    RavineRosenbrock,
    Rosenbrock,
    TwoNeurons,
)
from saddlelib.ravine import Growth, analyze, growth_order, torch_derivatives

ISOLATED = [RavineRosenbrock(10.0), RavineRosenbrock(0.5, bend=-1.0), ConvexQuartic(),
            ConvexQuartic([1.0, 0.2], [1.0, 0.5]), HomogeneousRavine(4.0, dim=4, kernel=2),
            ConvexQuartic([1.0], [1.0, 0.5, 2.0])]


def rotations(problem):
    """The directions of the orbit of `factor(minimizer)` under rotations of its columns."""
    X, k = problem.factor(problem.minimizers[0]), problem.columns
    turns = []
    for i in range(k):
        for j in range(i):
            A = np.zeros((k, k))
            A[i, j], A[j, i] = 1.0, -1.0
            turns.append((X @ A).ravel())
    return np.stack(turns, axis=1)


@pytest.mark.parametrize("problem", ISOLATED, ids=repr)
def test_the_constant_is_the_stated_one(problem):
    found = analyze(problem)
    assert found.verdict is Growth.YES
    assert found.constant == pytest.approx(problem.growth_constant, rel=1e-4)
    assert (found.curvatures[0], found.curvatures[-1]) == pytest.approx(problem.normal_curvature)
    assert found.q(found.direction) == pytest.approx(found.constant, rel=1e-6)
    assert found.q(2 * found.direction) == pytest.approx(16 * found.constant, rel=1e-6)


@pytest.mark.parametrize("problem", [
    MatrixFactorization.from_eigenvalues([1.0, 0.6], 3, rng=0, columns=3),
    MatrixFactorization.from_eigenvalues([1.0], 4, rng=0, columns=2)], ids=repr)
def test_across_an_orbit_of_minimizers_growth_is_asked_for_across_it(problem):
    assert analyze(problem).verdict is not Growth.YES
    found = analyze(problem, tangents=rotations(problem))
    assert found.verdict is Growth.YES
    assert found.constant == pytest.approx(problem.growth_constant, rel=1e-3)


def test_sensing_has_a_ravine_that_is_computed_not_known():
    problem = QuadraticSensing.random(4, 1, columns=2, measurements=60, rng=0)
    with pytest.raises(ValueError, match="saddlelib.ravine can compute one"):
        problem.ravine(0.1)
    found = analyze(problem, tangents=rotations(problem))
    assert found.verdict is Growth.YES
    for t in (3e-2, 1e-2):
        x = found.point(t * found.direction)
        assert problem.fun(x) == pytest.approx(found.constant * t**4, rel=30 * t)
        assert problem.fun(x) < problem.fun(problem.minimizers[0] + t * found.direction)


def test_newton_finds_the_parabola_and_the_gradient_there_is_along_the_kernel():
    problem = RavineRosenbrock(3.0, bend=0.7)
    found = analyze(problem)
    for t in (0.3, -0.05, 0.0):
        np.testing.assert_allclose(found.point([t, 0.0]), [t, 0.7 * t**2], atol=1e-12)
        assert abs(found.range.T @ problem.grad(found.point([t, 0.0]))).max() < 1e-10


@pytest.mark.parametrize("curve, verdict", [
    (0.5, Growth.YES), (0.95, Growth.YES), (1.0, Growth.CANNOT_TELL), (1.05, Growth.NO)])
def test_the_bend_of_the_ravine_is_what_decides(curve, verdict):
    """f = y² − 2b·y·x² + x⁴ has q = 1 − b², with D⁴f/24 = 1 whatever b is."""
    def grad(z):
        x, y = z
        return np.array([-4 * curve * x * y + 4 * x**3, 2 * y - 2 * curve * x**2])

    def hvp(z, v):
        x, y = z
        H = np.array([[12 * x**2 - 4 * curve * y, -4 * curve * x], [-4 * curve * x, 2.0]])
        return H @ v

    for derivatives in (dict(jac=grad, hessp=hvp), dict(jac=grad)):
        found = analyze(None, [0.0, 0.0], **derivatives)
        assert found.verdict is verdict, found
        assert found.constant == pytest.approx(1 - curve**2, abs=1e-5)


def test_third_derivatives_along_the_kernel_rule_a_minimizer_out():
    found = analyze(None, [0.0, 0.0], jac=lambda z: np.array([3 * z[0] ** 2, 2 * z[1]]))
    assert found.verdict is Growth.NO and "third derivative" in found.message


def test_what_grows_like_the_sixth_power_or_the_third_is_not_told():
    sixth = analyze(HomogeneousRavine(6.0))
    assert sixth.verdict is Growth.CANNOT_TELL and abs(sixth.constant) < 1e-3
    third = analyze(TwoNeurons([1.0, 0.5]), tangents=[[1.0], [0.5], [-1.0], [-0.5]])
    assert third.verdict is Growth.CANNOT_TELL and "four times differentiable" in third.message


def test_a_nondegenerate_minimizer_grows_quadratically():
    found = analyze(Rosenbrock(2))
    assert found.verdict is Growth.YES and found.kernel.shape == (2, 0)
    assert "quadratic" in found.message and np.isnan(found.constant)


def test_convexity_makes_the_ravine_straight_to_second_order():
    """D³f[v, v, u] = 0 where H ≥ 0 on both sides; a bent ravine has a Hessian that is not."""
    convex = analyze(ConvexQuartic([1.0, 0.3], [1.0, 0.5]))
    t = 0.1
    direction = convex.direction
    off = convex.point(t * direction) - t * direction
    assert np.linalg.norm(off) < 1e-10
    for bent in (RavineRosenbrock(10.0), RavineRosenbrock(0.5, bend=-1.0)):
        near = np.array([[0.0, s * 1e-3] for s in (-1, 1)])
        assert np.linalg.eigvalsh(bent.hess(near)).min() < 0
        third = analyze(bent)
        assert np.linalg.norm(third.point([t, 0.0]) - [t, 0.0]) > 0.9 * t**2


def test_autograd_and_differences_agree():
    torch = pytest.importorskip("torch")
    for a in (0.5, 10.0):
        exact = analyze(torch_derivatives(lambda x, a=a: x[0]**4 + a * (x[1] - x[0]**2)**2),
                        [0.0, 0.0])
        assert exact.constant == pytest.approx(1.0, rel=1e-12) and exact.verdict is Growth.YES
        np.testing.assert_allclose(exact.point([0.2, 0.0]), [0.2, 0.04], atol=1e-12)
    assert analyze(torch_derivatives(lambda x: torch.sum(x**2)), [0.0, 0.0]).kernel.size == 0


@pytest.mark.parametrize("problem, x0, eta", [
    (RavineRosenbrock(10.0), [1.09705, 0.53275], 0.0125), (HomogeneousRavine(3.0), [1.0, 1.0], 0.2),
    (HomogeneousRavine(6.0), [1.0, 1.0], 0.15), (TwoNeurons([1.0, 0.5]), [0.3, 1.0, 0.9, -0.2], 1.0)
], ids=repr)
def test_the_order_of_growth_shows_in_a_run(problem, x0, eta):
    run = minimize(problem, x0, "gdpolyak", step_size=eta, epsilon=1e-14, certificate=False,
                   maxiter=1500, trace=("x", "fun"))
    assert growth_order(run) == pytest.approx(problem.growth_order, rel=0.08)
    if not isinstance(problem, TwoNeurons):  # its minimizers are a segment
        found = growth_order(run, x_star=problem.minimizers[0])
        assert found == pytest.approx(problem.growth_order, rel=0.03)
    pair = run.trace["x"], run.trace["fun"]
    assert growth_order(pair) == growth_order(run)


def test_bad_input_is_named():
    f = RavineRosenbrock()
    for call, error, words in (
        (lambda: analyze(f, [0.1, 0.1]), ValueError, "not stationary|no minimizer"),
        (lambda: analyze(QuadraticSaddle([-1.0, 1.0]), [0.0, 0.0]), ValueError, "no minimizer"),
        (lambda: analyze(Octopus(2), [0.0]), ValueError, "shape|minimizer"),
        (lambda: analyze(None, [0.0]), TypeError, "jac must be a function"),
        (lambda: analyze(QuadraticSaddle([-1.0, 1.0])), ValueError, "give x"),
        (lambda: analyze(f, rank_tol=0), ValueError, "rank_tol"),
        (lambda: analyze(f, tangents=[[0.0], [1.0]]), ValueError, "tangents must lie in"),
        (lambda: analyze(f, tangents=[1.0]), ValueError, "tangents must be"),
        (lambda: analyze(f).point([0.0, 1.0]), ValueError, "v must lie in the kernel"),
        (lambda: analyze(f).q([1.0]), ValueError, "v must have 2"),
        (lambda: growth_order((np.eye(2), [1.0, 1.0])), ValueError, "four decades"),
        (lambda: growth_order(minimize(f, [0.1, 0.1], "gd", step_size=0.01)), ValueError,
         "no trace"),
    ):
        with pytest.raises(error, match=words):
            call()
