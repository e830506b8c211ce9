"""Muon: its polar factors, what its steps do not depend on, and how its runs begin and end."""

import math
import pickle

import numpy as np
import pytest
import scipy.linalg

from saddlelib import Oracle, Status, minimize
from saddlelib.ensemble import run
from saddlelib.methods import GradientDescent, Muon, polar_factor
from saddlelib.problems import MatrixFactorization, MonkeySaddle, QuadraticSensing, catalogue

RNG = np.random.default_rng(0)
SHAPES = [(3, 3), (2, 5), (5, 2), (1, 4), (4, 1)]
WAYS = pytest.mark.parametrize("polar", ["newton-schulz", "exact"])
BOUNDED = [p for p in catalogue() if np.isfinite(p.f_star) and len(p.saddles)]
TARGET = RNG.standard_normal((4, 3))


def orthogonal(n, rng=1):
    return np.linalg.qr(np.random.default_rng(rng).standard_normal((n, n)))[0]


def product(target):
    """½‖PQ − target‖² of flat points, and its gradient; P has three columns."""
    m, n = target.shape

    def split(x):
        return x[:3 * m].reshape(m, 3), x[3 * m:].reshape(3, n)

    def fun(x):
        P, Q = split(x)
        return 0.5 * float(np.sum((P @ Q - target) ** 2))

    def grad(x):
        P, Q = split(x)
        E = P @ Q - target
        return np.concatenate([(E @ Q.T).ravel(), (P.T @ E).ravel()])
    return fun, grad, ((m, 3), (3, n))


def path(method, fun, grad, x, steps):
    oracle = Oracle(fun, jac=grad)
    states = [method.init(oracle, x)]
    for _ in range(steps):
        states.append(method.step(oracle, states[-1]))
    assert oracle.njev == steps + 1 and oracle.nfev == 0  # a step costs one gradient
    return np.array([state.x for state in states])


# Polar factors ------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [1e-300, 1e-9, 1.0, 1e300])
def test_the_exact_factor_is_that_of_the_polar_decomposition_at_any_scale(shape, scale):
    G = np.random.default_rng(2).standard_normal(shape)
    assert np.abs(polar_factor(scale * G, "exact") - scipy.linalg.polar(G)[0]).max() < 1e-12


@pytest.mark.parametrize("rank", [0, 1, 2])
@pytest.mark.parametrize("shape", [(4, 4), (3, 6), (6, 3)])
def test_the_exact_factor_of_a_matrix_without_full_rank_has_its_rank(shape, rank):
    G = RNG.standard_normal((shape[0], rank)) @ RNG.standard_normal((rank, shape[1]))
    factor = polar_factor(G, "exact")
    wanted = [1.0] * rank + [0.0] * (3 - rank)
    assert np.linalg.svd(factor, compute_uv=False)[:3] == pytest.approx(wanted, abs=1e-12)
    stretch = factor.T @ G
    assert np.abs(factor @ stretch - G).max() < 1e-12 and np.abs(stretch - stretch.T).max() < 1e-12
    assert np.linalg.eigvalsh(stretch).min() > -1e-12


def after_five(sigma):
    """What five steps of Newton and Schulz make of a singular value of a matrix of norm 1."""
    return abs(polar_factor(np.diag([sigma, math.sqrt(1 - sigma**2)]))[0, 0])


def test_newton_schulz_brings_singular_values_of_two_decades_near_one_and_not_smaller_ones():
    found = [after_five(sigma) for sigma in np.geomspace(0.01, 1.0, 1000)]
    assert 0.68 <= min(found) < 0.69 and 1.13 < max(found) <= 1.14
    assert after_five(1e-4) == pytest.approx(0.0485, abs=5e-5)
    assert after_five(1e-9) == pytest.approx(3.4445**5 * 1e-9, rel=1e-9)
    assert after_five(1.067e-3) == pytest.approx(0.5, rel=2e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_newton_schulz_maps_singular_values_by_its_quintic_and_keeps_the_vectors(shape):
    G = np.random.default_rng(3).standard_normal(shape)
    a, b, c = coefficients = (2.0, -1.5, 0.5)  # of the classical kind: to 1 itself
    U, s, Vt = np.linalg.svd(G, full_matrices=False)
    s /= np.linalg.norm(s)
    for steps in (0, 1, 2, 60):
        found = polar_factor(G, ns_steps=steps, coefficients=coefficients)
        values = s
        for _ in range(steps):
            values = a * values + b * values**3 + c * values**5
        assert np.abs(found - (U * values) @ Vt).max() < 1e-13
    assert np.abs(found - polar_factor(G, "exact")).max() < 1e-12


def test_a_gradient_below_the_floor_of_the_norm_keeps_its_size():
    G = np.full((2, 2), 0.5)
    assert polar_factor(1e-9 * G, ns_steps=0) == pytest.approx(1e-2 * G)
    assert polar_factor(1e-9 * G, ns_steps=0, norm_floor=1e-12) == pytest.approx(G)
    assert not polar_factor(0 * G).any()


# What a step does not depend on -------------------------------------------------------------


@WAYS
def test_a_turned_problem_takes_turned_steps(polar):
    """Of P, Q and M: the rows of P and the columns of Q each by a rotation of their own."""
    left, middle, right = orthogonal(4), orthogonal(3, 2), orthogonal(3, 3)
    fun, grad, shapes = product(TARGET)
    turned_fun, turned_grad, _ = product(left @ TARGET @ right)
    x = 0.3 * np.random.default_rng(5).standard_normal(21)
    P, Q = x[:12].reshape(4, 3), x[12:].reshape(3, 3)
    turned = np.concatenate([(left @ P @ middle).ravel(), (middle.T @ Q @ right).ravel()])
    method = Muon(shapes, 0.03, weight_decay=0.1, polar=polar)
    a = path(method, fun, grad, x, 15)[-1]
    b = path(method, turned_fun, turned_grad, turned, 15)[-1]
    assert np.abs(a - x).max() > 0.1
    assert np.abs(left @ a[:12].reshape(4, 3) @ middle - b[:12].reshape(4, 3)).max() < 1e-10
    assert np.abs(middle.T @ a[12:].reshape(3, 3) @ right - b[12:].reshape(3, 3)).max() < 1e-10


@WAYS
@pytest.mark.parametrize("scale", [2.0**-12, 2.0**30])
def test_a_multiple_of_the_function_takes_the_same_steps(polar, scale):
    """To the last bit where the factor is a power of two, also separately for each matrix."""
    fun, grad, shapes = product(TARGET)
    x = 0.3 * np.random.default_rng(6).standard_normal(21)
    method, parts = Muon(shapes, polar=polar), np.where(np.arange(21) < 12, scale, 1.0)
    once = path(method, fun, grad, x, 12)
    np.testing.assert_array_equal(once, path(
        method, lambda x: scale * fun(x), lambda x: scale * grad(x), x, 12))
    np.testing.assert_array_equal(once, path(method, fun, lambda x: parts * grad(x), x, 12))


@pytest.mark.parametrize("adjust, factors", [
    (None, (math.sqrt(8 / 3), 1.0)), ("original", (math.sqrt(8 / 3), 1.0)), ("off", (1.0, 1.0)),
    ("match_rms_adamw", (0.2 * math.sqrt(8), 0.2 * math.sqrt(5)))])
def test_the_first_step_has_the_spectral_norm_that_adjust_says(adjust, factors):
    G = RNG.standard_normal(39)
    method = Muon([(8, 3), (3, 5)], 0.1, polar="exact", adjust=adjust)
    moved = path(method, lambda x: float(G @ x), lambda x: G, np.zeros(39), 1)[-1]
    for part, shape, factor in zip((moved[:24], moved[24:]), method.shapes, factors, strict=True):
        s = np.linalg.svd(part.reshape(shape), compute_uv=False)
        assert s == pytest.approx(np.full(3, 0.1 * factor))
    assert G @ moved < 0


def test_of_a_row_and_of_one_number_the_factor_is_the_direction():
    g = np.array([3.0, -4.0, 12.0])
    assert polar_factor([g], "exact")[0] == pytest.approx(g / 13)
    moved = path(Muon([(1, 1)] * 3, 0.1, polar="exact"), lambda x: float(g @ x),
                 lambda x: g, np.zeros(3), 1)[-1]
    assert moved == pytest.approx(-0.1 * np.sign(g))  # sign descent


# From saddle to saddle ----------------------------------------------------------------------


MODES = np.array([4.0, 2.25, 1.0, 0.25])


def times(method, scale, marks, steps):
    """When each mode of PQ has come to its mark, for a small random start."""
    U, V = orthogonal(4, 8), orthogonal(4, 9)
    M = (U * MODES) @ V.T

    def grad(x):
        P, Q = x.reshape(2, 4, 4)
        E = P @ Q - M
        return np.concatenate([(E @ Q.T).ravel(), (P.T @ E).ravel()])
    x = scale * np.random.default_rng(4).standard_normal(32)
    P, Q = path(method, lambda x: 0.0, grad, x, steps).reshape(-1, 2, 4, 4).transpose(1, 0, 2, 3)
    strengths = ((U.T @ P) * (Q @ V).transpose(0, 2, 1)).sum(axis=2)
    assert (strengths[-1] >= marks).all()
    return method.step_size * np.argmax(strengths >= marks, axis=0)


@pytest.mark.parametrize("scale", [1e-4, 1e-6])
def test_every_mode_is_learned_at_the_root_of_its_size_from_however_small_a_start(scale):
    """0.9 mᵢ at time √(0.9 mᵢ): the smaller modes come first, and the start does not matter."""
    method = Muon([(4, 4)] * 2, 0.002, momentum=0.0, polar="exact", adjust="off")
    found = times(method, scale, 0.9 * MODES, 1000)
    assert found == pytest.approx(np.sqrt(0.9 * MODES), rel=0.02)


def test_gradient_descent_waits_for_every_mode_the_longer_the_smaller_the_start():
    """From 10⁻⁶ instead of 10⁻⁴ the largest comes ln(100)/m₁ later."""
    late, early = (times(GradientDescent(0.002), scale, np.array([3.6, -9, -9, -9]), 2500)[0]
                   for scale in (1e-6, 1e-4))
    assert late - early == pytest.approx(math.log(100) / 4, rel=0.02)


# Beginnings ---------------------------------------------------------------------------------


def test_the_shapes_are_those_of_x0_wherever_it_has_some():
    fun, grad, shapes = product(TARGET)
    x = 0.1 * np.random.default_rng(7).standard_normal(21)
    wanted = path(Muon(shapes, 0.05), fun, grad, x, 8)[-1]

    def flat(parts):
        return np.concatenate([part.ravel() for part in parts])

    def several(parts):
        return fun(flat(parts)), [grad(flat(parts))[:12].reshape(4, 3),
                                  grad(flat(parts))[12:].reshape(3, 3)]
    options = dict(method="muon", step_size=0.05, maxiter=8, jac=True)
    given = [x[:12].reshape(4, 3), x[12:].reshape(3, 3)]
    result = minimize(several, given, **options)
    assert [part.shape for part in result.x] == [(4, 3), (3, 3)]
    np.testing.assert_array_equal(flat(result.x), wanted)
    part = minimize(several, given, **{**options, "maxiter": 3})
    rest = minimize(several, given, state=part.state, **{**options, "maxiter": 5})
    np.testing.assert_array_equal(flat(rest.x), wanted)
    told = minimize(fun, x, **{**options, "jac": grad}, shapes=shapes)
    np.testing.assert_array_equal(told.x, wanted)


@pytest.mark.parametrize("x0, shapes", [(np.ones((2, 3)), [(2, 3)]),
                                        (np.ones((4, 2, 3)), [(2, 3)] * 4),
                                        ([np.ones((2, 3))] * 2, [(2, 3)] * 2),
                                        (np.ones((2, 2, 3, 1)), [(3, 1)] * 4)])
def test_an_array_is_a_matrix_or_a_stack_of_matrices(x0, shapes):
    scales = np.arange(1.0, 1 + np.size(x0)).reshape(np.shape(x0))
    options = dict(jac=lambda x: scales * x, step_size=0.01, maxiter=4)
    seen = minimize(lambda x: float(np.sum(scales * x * x) / 2), x0, "muon", **options)
    told = minimize(lambda x: float(np.sum(scales * x * x) / 2), x0, "muon", **options,
                    shapes=shapes)
    np.testing.assert_array_equal(seen.x, told.x)
    other = minimize(lambda x: float(np.sum(scales * x * x) / 2), x0, "muon", **options,
                     shapes=[(1, np.size(x0))])
    assert (other.x != told.x).any()


@pytest.mark.parametrize("problem", [MatrixFactorization.from_eigenvalues([1.0, 0.5], 4, rng=0),
                                     QuadraticSensing.random(5, 1, columns=2, measurements=30,
                                                             rng=0)], ids=lambda p: p.name)
def test_a_problem_of_matrices_says_its_shapes(problem):
    x = np.random.default_rng(0).standard_normal(problem.dim)
    stated = minimize(problem, x, "muon", maxiter=5)
    told = minimize(problem, x, Muon([problem.factor(x).shape]), maxiter=5)
    np.testing.assert_array_equal(stated.x, told.x)


def test_without_a_step_size_it_is_that_of_muon_and_not_one_over_the_lipschitz_constant():
    problem = MatrixFactorization.from_eigenvalues([1.0, 0.5], 4, rng=0)
    default = minimize(problem, np.ones(8), "muon", maxiter=3)
    np.testing.assert_array_equal(
        default.x, minimize(problem, np.ones(8), "muon", maxiter=3, step_size=0.02).x)


# Ends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", BOUNDED, ids=lambda p: p.name)
def test_on_every_problem_it_tells_the_truth(problem):
    """At a saddle it stops and says so; from beside it, it leaves, to wherever it then says."""
    options = dict(shapes=problem.shapes or [(1, problem.dim)], rng=0)
    saddle = problem.saddles[0]
    epsilon = min((0.5 * max(problem.saddle_min_eigs)) ** 2 / problem.lipschitz_hess, 0.05)
    at = minimize(problem, saddle, "muon", epsilon=epsilon, **options)
    assert at.status == Status.SADDLE and at.nit == 0 and not at.success
    beside = saddle + 1e-6 * np.random.default_rng(1).standard_normal(problem.dim)
    away = minimize(problem, beside, "muon", epsilon=1e-9, maxiter=150, **options)
    assert away.nit == 150 and away.status == Status.MAXITER and not away.success
    height = problem.fun(saddle) - problem.f_star
    assert problem.fun(saddle) - away.fun > 2e-3 * height


def test_a_run_ends_where_the_gradient_is_small_and_else_with_its_budget():
    Q = orthogonal(3)
    options = dict(jac=lambda X: X, polar="exact", momentum=0.0, step_size=0.25, rng=0)
    end = minimize(lambda X: float(np.sum(X * X) / 2), 0.75 * Q, "muon", **options)
    assert end.success and end.nit == 3 and np.abs(end.x).max() < 1e-12
    # From beside it the steps of constant length go to and fro across the minimum for ever.
    for budget, status in ((dict(maxiter=50), Status.MAXITER), (dict(maxfev=50), Status.MAXFEV)):
        end = minimize(lambda X: float(np.sum(X * X) / 2), 0.6 * Q, "muon", **options, **budget)
        assert end.status == status and not end.success
        assert np.linalg.norm(end.x, 2) == pytest.approx(0.1 if end.nit % 2 == 0 else 0.15)


@WAYS
def test_numbers_that_run_out_end_a_run_with_a_finite_point(polar):
    end = minimize(MonkeySaddle(), [-1.0, 0.1], "muon", shapes=[(1, 2)], step_size=1e154,
                   polar=polar)
    assert end.status == Status.NONFINITE and np.isfinite(end.x).all()
    method = Muon([(1, 2)], polar=polar)
    state = method.init(Oracle(lambda x: math.nan, jac=lambda x: x * math.nan), np.ones(2))
    after = method.step(None, state)
    assert after.finished == "nonfinite" and "the gradient at the start" in after.note
    wild = minimize(MonkeySaddle(), [-1.0, 0.1], "muon", shapes=[(1, 2)], ns_steps=99,
                    coefficients=(9.0, 9.0, 9.0))
    assert wild.status == Status.NONFINITE and (wild.x == [-1.0, 0.1]).all()


@WAYS
def test_a_run_cut_short_goes_on_bit_for_bit_and_a_step_leaves_its_state(polar):
    fun, grad, shapes = product(TARGET)
    x = 0.1 * np.random.default_rng(7).standard_normal(21)
    method = Muon(shapes, 0.05, polar=polar)
    wanted = path(method, fun, grad, x, 12)[-1]
    part = minimize(fun, x, method, jac=grad, maxiter=5)
    state = pickle.loads(pickle.dumps(part.state))
    kept = state.buffer.copy()
    once, again = (method.step(Oracle(fun, jac=grad), state) for _ in range(2))
    np.testing.assert_array_equal(state.buffer, kept)
    np.testing.assert_array_equal(once.x, again.x)
    np.testing.assert_array_equal(once.buffer, again.buffer)
    rest = minimize(fun, jac=grad, method=method, state=state, maxiter=7)
    np.testing.assert_array_equal(rest.x, wanted)


def test_many_starts_at_once_are_the_single_runs():
    problem = MatrixFactorization.from_eigenvalues([1.0, 0.5], 4, rng=0)
    starts = np.random.default_rng(3).standard_normal((3, problem.dim))
    method = Muon(problem.shapes)
    many = run(problem, starts, method, maxiter=9)
    for row, x in zip(many.x, starts, strict=True):
        assert row == pytest.approx(minimize(problem, x, method, maxiter=9).x, rel=1e-12)


F = dict(fun=lambda x: float(np.sum(x * x)), jac=lambda x: 2 * x)


@pytest.mark.parametrize("make, error, words", [
    (lambda: minimize(**F, x0=np.ones(4), method="muon"), ValueError,
     "give shapes.*x0 as a matrix"),
    (lambda: minimize(**F, x0=np.ones(4), method="muon", shapes=[(2, 3)]), ValueError,
     "shapes must make up the 4 unknowns of x0"),
    (lambda: minimize(**F, x0=np.ones(4), method="gd", step_size=0.1, shapes=[(2, 2)]), TypeError,
     "no option shapes"),
    (lambda: minimize(**F, x0=np.ones(4), method=Muon([(2, 2)]), shapes=[(2, 2)]), TypeError,
     "leave shapes out"),
    (lambda: Muon((2, 3)), TypeError, r"pairs \(rows, columns\), one for each.*got \(2, 3\)"),
    (lambda: Muon("ab"), TypeError, "shapes must be pairs"),
    (lambda: Muon([]), ValueError, "at least one"),
    (lambda: Muon([(5,)]), ValueError, r"write a vector of n entries as \(1, n\)"),
    (lambda: Muon([(2, 0)]), ValueError, "shapes must be at least 1"),
    (lambda: Muon([(2, 1.5)]), TypeError, "shapes must be an integer"),
    (lambda: Muon([(1, 2)], 0.0), ValueError, "step_size"),
    (lambda: Muon([(1, 2)], momentum=1.0), ValueError, "momentum must be.*below 1"),
    (lambda: Muon([(1, 2)], momentum=-0.1), ValueError, "momentum"),
    (lambda: Muon([(1, 2)], nesterov=1), TypeError, "nesterov must be True or False"),
    (lambda: Muon([(1, 2)], weight_decay=-1.0), ValueError, "weight_decay"),
    (lambda: Muon([(1, 2)], polar="svd"), ValueError, "polar must be 'newton-schulz' or 'exact'"),
    (lambda: Muon([(1, 2)], ns_steps=100), ValueError, "ns_steps must be at most 99"),
    (lambda: Muon([(1, 2)], ns_steps=-1), ValueError, "ns_steps"),
    (lambda: Muon([(1, 2)], coefficients=(1.0, 2.0)), TypeError, "coefficients must be three"),
    (lambda: Muon([(1, 2)], coefficients=(1.0, 2.0, math.inf)), ValueError, "coefficients"),
    (lambda: Muon([(1, 2)], adjust="none"), ValueError, "adjust must be None or 'original'"),
    (lambda: Muon([(1, 2)], norm_floor=0.0), ValueError, "norm_floor"),
    (lambda: Muon([(1, 2)], grad_threshold=-1.0), ValueError, "grad_threshold"),
    (lambda: polar_factor(np.ones(3)), ValueError, r"one matrix.*got shape \(3,\)"),
    (lambda: polar_factor([[math.nan]]), ValueError, "G must be finite"),
    (lambda: polar_factor([["a"]]), TypeError, "G must hold real numbers"),
    (lambda: polar_factor([[1.0]], "fast"), ValueError, "how must be"),
    (lambda: polar_factor([[1.0]], ns_steps=1.5), TypeError, "ns_steps"),
])
def test_bad_input_is_refused_by_name(make, error, words):
    with pytest.raises(error, match=words):
        make()
