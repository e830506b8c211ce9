"""Ravines computed against ravines known: bases, φ, q, the verdict, and p from a run."""

import itertools
import re
import warnings

import numpy as np
import pytest
import scipy.optimize

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
    # What the message states holds close enough to x: the constant itself may hold nowhere.
    [told] = re.findall(r"≥ (\S+)·distance⁴", found.message)
    assert 0.998 * problem.growth_constant < float(told) < problem.growth_constant


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


# Gradients of functions that were once judged wrongly, at 0, and the verdicts that are not wrong.
# Each has the coordinates u, v or u, v₁, v₂.
YES, NO, UNTOLD = Growth.YES, Growth.NO, Growth.CANNOT_TELL
JUDGED = {
    "u² − |v|^3.5": (lambda x: [2 * x[0], -3.5 * abs(x[1]) ** 2.5 * np.sign(x[1])],
                     2, {NO, UNTOLD}),
    "u² + |v|³": (lambda x: [2 * x[0], 3 * abs(x[1]) * x[1]], 2, {UNTOLD}),
    "u² + v⁴ − |v|^3.9/2": (lambda x: [2 * x[0], 4 * x[1] ** 3 - 1.95 * abs(x[1]) ** 1.9 * x[1]],
                            2, {NO, UNTOLD}),
    "u² + |v|^4.01": (lambda x: [2 * x[0], 4.01 * abs(x[1]) ** 3.01 * np.sign(x[1])],
                      2, {NO, UNTOLD}),
    "u² + v₁⁴ + 2|v₂|^4.05": (
        lambda x: [2 * x[0], 4 * x[1] ** 3, 8.1 * abs(x[2]) ** 3.05 * np.sign(x[2])],
        3, {NO, UNTOLD}),
    "u² + (1000 v)⁴": (lambda x: [2 * x[0], 4e12 * x[1] ** 3], 2, {YES}),
    "u² + v₁⁴ + 6v₁²v₂² + 5v₂⁴ + v₂³": (
        lambda x: [2 * x[0], 4 * x[1] ** 3 + 12 * x[1] * x[2] ** 2,
                   12 * x[1] ** 2 * x[2] + 20 * x[2] ** 3 + 3 * x[2] ** 2], 3, {NO}),
    "u² + v³ + v⁴, times 1e-6": (
        lambda x: [2e-6 * x[0], 3e-6 * x[1] ** 2 + 4e-6 * x[1] ** 3], 2, {NO}),
    "u² + 1e-6 v³ + v⁴": (
        lambda x: [2 * x[0], 3e-6 * x[1] ** 2 + 4 * x[1] ** 3], 2, {NO, UNTOLD}),
    "u² − 5e-7 v² + v⁴": (lambda x: [2 * x[0], -1e-6 * x[1] + 4 * x[1] ** 3], 2, {NO}),
    "u² + v⁶": (lambda x: [2 * x[0], 6 * x[1] ** 5], 2, {NO, UNTOLD}),
    "u² + v₁⁴ + v₂⁶": (lambda x: [2 * x[0], 4 * x[1] ** 3, 6 * x[2] ** 5], 3, {NO, UNTOLD}),
    "‖x‖⁴": (lambda x: 4 * x @ x * x, 3, {YES}),
    "x⁴ − y⁴": (lambda x: [4 * x[0] ** 3, -4 * x[1] ** 3], 2, {NO}),
    "nan beyond 0.01": (lambda x: [2 * x[0], np.sqrt(1e-4 - x[1] ** 2) * x[1] ** 3], 2,
                        {YES, UNTOLD}),
}


def turned(grad, d, seed):
    """The gradient in other coordinates, and where 0 is in them."""
    rng = np.random.default_rng(seed)
    Q, centre = np.linalg.qr(rng.standard_normal((d, d)))[0], rng.standard_normal(d)
    return (lambda x: Q @ np.asarray(grad(Q.T @ (x - centre)))), centre


@pytest.mark.parametrize("name", JUDGED)
def test_what_was_judged_wrongly_is_not_any_more(name):
    grad, d, right = JUDGED[name]
    at = lambda x: np.asarray(grad(x), float)  # noqa: E731
    other, centre = turned(at, d, 1)
    push = np.random.default_rng(2).standard_normal(d)
    for jac, x in ((at, np.zeros(d)), (other, centre), (at, 1e-8 * push),
                   (other, centre + 1e-6 * push)):
        try:
            found = analyze(None, x, jac=jac)
        except ValueError as error:  # of a point that is none of a ravine, or not smooth there
            assert "minimizer" in str(error) and right != {YES}
            continue
        assert found.verdict in right, found
        assert "quadratic" not in found.message


def test_exact_derivatives_do_not_make_it_blind():
    torch = pytest.importorskip("torch")
    for fun, d, right in (
            (lambda x: x[0] ** 2 - torch.abs(x[1]) ** 3.5, 2, {NO, UNTOLD}),
            (lambda x: x[0] ** 2 + torch.abs(x[1]) ** 3, 2, {UNTOLD}),
            (lambda x: x[0] ** 2 + x[1] ** 4 + x[2] ** 6, 3, {NO, UNTOLD}),
            (lambda x: x[0] ** 2 + x[1] ** 4 + x[2] ** 4, 3, {YES})):
        for off in (0.0, 1e-5):
            x = off * np.random.default_rng(1).standard_normal(d)
            found = analyze(torch_derivatives(fun), x)
            assert found.verdict in right, (off, found)


@pytest.mark.parametrize("x", [[1e-4, 1e-8], [3e-3, 9e-6], [-1e-3, 1e-3], [1e-12, 0.0]])
def test_the_point_is_polished_first(x):
    problem = RavineRosenbrock(10.0)
    for derivatives in (dict(fun=problem), dict(fun=None, jac=problem.grad)):
        found = analyze(x=x, **derivatives)
        assert found.verdict is YES and found.constant == pytest.approx(1.0, rel=1e-6)
        assert np.linalg.norm(found.x) <= 1e-9 and problem.fun(found.x) <= problem.fun(x)
        assert found.moved == pytest.approx(np.linalg.norm(x), abs=1e-9)


def test_a_point_far_from_the_minimizer_is_not_taken_there():
    """At a tenth of the length √(L/D⁴f) on the floor of Rosenbrock's ravine."""
    found = analyze(RavineRosenbrock(10.0), [0.1, 0.01])
    assert found.verdict is UNTOLD and "too far" in found.message and found.moved < 0.05


@pytest.mark.parametrize("target", [1e-10, 1e-16])
@pytest.mark.parametrize("columns", [3, 4])
def test_minimizers_that_a_solver_found_are_judged_like_exact_ones(target, columns):
    """With four columns two of them vanish at the minimizer; turning these is no motion there."""
    problem = MatrixFactorization.from_eigenvalues([1.0, 0.6], 3, rng=0, columns=columns)
    x0 = problem.minimizers[0] + 0.1 * np.random.default_rng(0).standard_normal(problem.dim)
    values = []
    found = scipy.optimize.minimize(problem.fun, x0, jac=problem.grad, method="L-BFGS-B",
                                    options=dict(ftol=0, gtol=0, maxiter=3000),
                                    callback=lambda x: values.append(x.copy()))
    x = next((x for x in values if problem.fun(x) <= target), found.x)
    X = x.reshape(problem.factor(x).shape)
    turns = []
    for i, j in itertools.combinations(range(columns), 2):
        A = np.zeros((columns, columns))
        A[i, j], A[j, i] = 1.0, -1.0
        turns.append((X @ A).ravel())
    result = analyze(problem, x, tangents=np.stack(turns, axis=1))
    assert result.verdict is YES
    assert result.constant == pytest.approx(problem.growth_constant, rel=1e-3)


@pytest.mark.parametrize("f_scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("x_scale", [1e-3, 1.0, 1e3])
def test_the_verdict_does_not_depend_on_units(f_scale, x_scale):
    for curve, verdict in ((0.9, YES), (1.1, NO)):
        def grad(z, curve=curve):
            x, y = z / x_scale
            g = np.array([-4 * curve * x * y + 4 * x**3, 2 * y - 2 * curve * x**2])
            return f_scale / x_scale * g

        for off in (0.0, 1e-4):
            found = analyze(None, x_scale * off * np.array([1.0, -1.0]), jac=grad)
            assert found.verdict is verdict, found
            assert found.constant == pytest.approx((1 - curve**2) * f_scale / x_scale**4, rel=1e-4)


def test_walls_that_look_flat_are_kept_and_a_floor_that_looks_curved_is_not():
    """At a distance r an eigenvalue of size r² is none, and one of 1e-8 at the minimizer is."""
    def grad(z, mu):
        u, w, v = z
        return np.array([2 * u, mu * w, 4 * v**3])
    for x in (np.zeros(3), np.array([1e-3, 1e-3, 1e-3]), np.array([0.0, 0.0, 3e-2])):
        found = analyze(None, x, jac=lambda z: grad(z, 1e-7))
        assert found.verdict is YES and found.kernel.shape == (3, 1)
        assert found.curvatures == pytest.approx([1e-7, 2.0], rel=1e-6)
        assert found.constant == pytest.approx(1.0, rel=1e-6)


def test_tangents_along_which_f_changes_are_refused():
    grad = lambda x: np.array([2 * x[0], -4 * x[1] ** 3, 4 * x[2] ** 3])  # noqa: E731
    with pytest.raises(ValueError, match="not constant along tangents"):
        analyze(None, np.zeros(3), jac=grad, tangents=[[0.0], [1.0], [0.0]])
    with pytest.raises(ValueError, match="not constant along tangents"):
        analyze(None, np.zeros(3), jac=lambda x: np.abs(grad(x)) * np.sign(x),
                tangents=[[0.0], [1.0], [1.0]])
    flat = analyze(None, np.zeros(3), jac=lambda x: grad(x) * [1, 0, 1],
                   tangents=[[0.0], [1.0], [0.0]])
    assert flat.verdict is YES and flat.kernel.shape == (3, 1)


def test_tangents_that_are_off_by_a_hundredth_are_refused():
    problem = MatrixFactorization.from_eigenvalues([1.0], 4, rng=0, columns=2)
    right = rotations(problem)
    analyze(problem, tangents=right)
    for off in (1e-2, 0.1):
        for k in analyze(problem).kernel.T:
            with pytest.raises(ValueError, match="not constant along tangents"):
                analyze(problem, tangents=right / np.linalg.norm(right) + off * k[:, None])


def test_a_yes_in_many_directions_is_proved():
    """q = (Σ ±vᵢ²)² + c‖v‖⁴ has its least value c on a cone; below 0 f falls there."""
    sign = np.array([1.0, -1.0, 1.0, -1.0, 1.0])
    for c, verdict in ((0.05, YES), (-0.05, NO)):
        def grad(x, c=c):
            v = x[1:]
            return np.concatenate([[2 * x[0]], 4 * (sign @ v**2) * sign * v + 4 * c * (v @ v) * v])
        found = analyze(None, np.full(6, 1e-5), jac=grad)
        assert found.verdict is verdict
        assert found.constant == pytest.approx(c, rel=1e-6)
        if verdict is YES:
            assert found.lower == pytest.approx(c, rel=1e-4) and "sum of squares" in found.message
            assert found.error < 1e-3 * c and found.resolution < 1e-5


def test_a_positive_form_that_is_no_sum_of_squares_is_not_told():
    def grad(x):
        w, a, b, c = v = x[1:]
        g = np.array([4 * w**3 - 4 * a * b * c, 2 * a * (b * b + c * c) - 4 * w * b * c,
                      2 * b * (a * a + c * c) - 4 * w * a * c,
                      2 * c * (a * a + b * b) - 4 * w * a * b])
        return np.concatenate([[2 * x[0]], g + 4e-3 * (v @ v) * v])
    found = analyze(None, np.zeros(5), jac=grad)
    assert found.verdict is UNTOLD and "proves only" in found.message
    assert found.constant == pytest.approx(1e-3, rel=1e-3) and found.lower < 0


def test_a_kernel_of_too_many_dimensions_is_not_told():
    found = analyze(ConvexQuartic([1.0], np.ones(15)))
    assert found.verdict is UNTOLD and "15 dimensions" in found.message


def test_numbers_that_are_not_finite_never_make_a_yes():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for bad in (np.nan, np.inf):
            with pytest.raises(ValueError, match="not finite"):
                analyze(None, [0.0, 0.0], jac=lambda x, bad=bad: np.array([bad, 0.0]))
            with pytest.raises(ValueError, match="not finite"):
                analyze(None, [0.0, 0.0], jac=lambda x: np.zeros(2),
                        hessp=lambda x, v, bad=bad: np.full(2, bad))
            grad = lambda x, bad=bad: np.array(  # noqa: E731
                [2 * x[0], 4 * x[1] ** 3 if abs(x[1]) < 1e-9 else bad])
            try:
                assert analyze(None, [0.0, 0.0], jac=grad).verdict is UNTOLD
            except ValueError as error:
                assert "finite" in str(error)


def test_bad_input_is_named():
    f = RavineRosenbrock()
    for call, error, words in (
        (lambda: analyze(f, [0.1, 0.1]), ValueError, "not stationary|no minimizer"),
        (lambda: analyze(QuadraticSaddle([-1.0, 1.0]), [0.0, 0.0]), ValueError, "no minimizer"),
        (lambda: analyze(Octopus(2), [0.0]), ValueError, "shape|minimizer"),
        (lambda: analyze(None, [0.0]), TypeError, "jac must be a function"),
        (lambda: analyze(QuadraticSaddle([-1.0, 1.0])), ValueError, "give x"),
        (lambda: analyze(None, [0.0, 0.0], jac=lambda x: 0.0), ValueError, "what jac returns"),
        (lambda: analyze(None, [0.0, 0.0], jac=lambda x: np.zeros(3)), ValueError, "what jac"),
        (lambda: analyze(None, [0.0], jac=lambda x: x + 0j), TypeError, "what jac returns"),
        (lambda: analyze(None, [0.0], jac=lambda x: None), TypeError, "what jac returns"),
        (lambda: analyze(None, [0.0, 0.0], jac=f.grad, hessp=lambda x, v: None), TypeError,
         "what hessp returns"),
        (lambda: analyze(f, spacing=1e300), ValueError, "spacing near 1"),
        (lambda: analyze(None, [1e100], jac=lambda x: x - 1e100), ValueError, "range of float64"),
        (lambda: analyze(f, rank_tol=0), ValueError, "rank_tol"),
        (lambda: analyze(f, tangents=[[0.0], [1.0]]), ValueError, "tangents must lie in"),
        (lambda: analyze(f, tangents=[1.0]), ValueError, "tangents must be"),
        (lambda: analyze(f).point([0.0, 1.0]), ValueError, "v must lie in the kernel"),
        (lambda: analyze(f).q([1.0]), ValueError, "v must have 2"),
        (lambda: growth_order((np.eye(2), [1.0, 1.0])), ValueError, "four decades"),
        (lambda: growth_order((np.eye(2), [1.0, 1.0]), f_star="0"), TypeError, "f_star"),
        (lambda: growth_order((np.eye(2), [1.0, 1.0]), f_star=-np.inf), ValueError, "f_star"),
        (lambda: growth_order((np.eye(2), [1.0, 1.0]), x_star=[0.0]), ValueError, "x_star must"),
        (lambda: growth_order(5), TypeError, "run must be"),
        (lambda: growth_order(([[1.0, 2.0], [3.0]], [1.0, 1.0])), TypeError, "run must be"),
        (lambda: growth_order(minimize(f, [0.1, 0.1], "gd", step_size=0.01)), ValueError,
         "no trace"),
    ):
        with pytest.raises(error, match=words):
            call()
