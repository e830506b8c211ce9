"""ScaledGD and PrecGD: their steps, what their rates do not depend on, and how they end."""

import math

import numpy as np
import pytest

from saddlelib import Oracle, minimize
from saddlelib.methods import GradientDescent, PrecGD, ScaledGD
from saddlelib.problems import MatrixFactorization, QuadraticSensing

EXACT = MatrixFactorization.from_eigenvalues([1.0, 0.5, 0.2], 8, rng=0)
SPARE = MatrixFactorization.from_eigenvalues([1.0, 0.5], 8, rng=0, columns=4)
SENSING = QuadraticSensing.random(8, 1, columns=3, measurements=80, rng=0)
EVERY = [ScaledGD(4, 0.3), PrecGD(4, 0.3, damping=0.7), PrecGD(4, 0.3, f_star=-math.inf)]


def start(problem, scale, rng=1):
    return problem.minimizers[0] + scale * np.random.default_rng(rng).standard_normal(problem.dim)


def steps_to(method, problem, x, mark, most=3000):
    """Steps until f ≤ mark, inf where not met."""
    oracle = Oracle(problem)
    state = method.init(oracle, x)
    for step in range(most):
        if problem.fun(state.x) <= mark:
            return step
        state = method.step(oracle, state)
        if state.finished:
            break
    return step + 1 if problem.fun(state.x) <= mark else math.inf


def spare_start():
    """A start of SPARE, whose minimizers have two columns."""
    x = np.random.default_rng(3).standard_normal(SPARE.dim)
    return x / np.linalg.norm(x)


@pytest.mark.parametrize("method", EVERY, ids=lambda m: f"{type(m).__name__} {m!r}"[-24:])
def test_a_step_is_the_gradient_times_the_inverse_of_the_damped_gram_matrix(method):
    x, oracle = spare_start(), Oracle(SPARE)
    first = method.init(oracle, x)
    state = method.step(oracle, first)
    X, G = x.reshape(8, 4), SPARE.grad(x).reshape(8, 4)
    gram = X.T @ X
    eta = {ScaledGD: lambda: 0.0,
           PrecGD: lambda: method.damping * SPARE.fun(x) ** 0.5}[type(method)]()
    if getattr(method, "f_star", None) is not None:
        metric = np.linalg.inv(gram + np.trace(gram) / 4 * np.eye(4))
        eta = math.sqrt(np.trace(G @ metric @ G.T))
    assert state.damping == pytest.approx(eta, rel=1e-12)
    wanted = X - 0.3 * G @ np.linalg.inv(gram + eta * np.eye(4))
    assert np.abs(state.x - wanted.ravel()).max() < 1e-12
    assert (first.x == x).all() and first.damping is None  # a step leaves its state as it was


@pytest.mark.parametrize("method", EVERY, ids=lambda m: type(m).__name__)
def test_a_turned_factor_takes_turned_steps(method):
    turn = np.linalg.qr(np.random.default_rng(5).standard_normal((4, 4)))[0]
    x, oracle = spare_start(), Oracle(SPARE)
    y = (x.reshape(8, 4) @ turn).ravel()
    a, b = method.init(oracle, x), method.init(oracle, y)
    for _ in range(5):
        a, b = method.step(oracle, a), method.step(oracle, b)
    assert np.abs((a.x.reshape(8, 4) @ turn).ravel() - b.x).max() < 1e-12


@pytest.mark.parametrize("make, calls", [
    (lambda: ScaledGD(4), (0, 7)), (lambda: PrecGD(4), (6, 7)),
    (lambda: PrecGD(4, f_star=-math.inf), (6, 7))])
def test_a_step_costs_a_gradient_and_precgd_a_value_at_the_same_point(make, calls):
    oracle, method = Oracle(SPARE), make()
    state = method.init(oracle, spare_start())
    for _ in range(6):
        state = method.step(oracle, state)
    assert (oracle.nfev, oracle.njev) == calls and oracle.nhvp == 0


def test_without_spare_columns_the_rate_does_not_feel_the_condition():
    needed, plain = {}, {}
    for kappa in (1.0, 1e2, 1e4):
        problem = MatrixFactorization.from_eigenvalues([1.0, 1 / kappa], 6, rng=0)
        x = problem.minimizers[0] * 1.05
        x = x + 0.02 / kappa**0.5 * np.random.default_rng(2).standard_normal(x.size)
        # Relative to the smallest part of M, which a small f would not see.
        mark = 1e-12 / kappa**2
        needed[kappa] = steps_to(ScaledGD(2), problem, x, mark)
        plain[kappa] = steps_to(GradientDescent(0.25), problem, x, mark)
    assert max(needed.values()) <= min(needed.values()) + 12
    assert plain[1e2] > 20 * needed[1e2] and plain[1e4] == math.inf


@pytest.mark.parametrize("problem, columns, c", [(SPARE, 4, 1.0), (SENSING, 3, 8.0)])
@pytest.mark.parametrize("f_star", [None, -math.inf])
def test_with_spare_columns_precgd_is_linear_where_gradient_descent_is_not(
        problem, columns, c, f_star):
    damping = 1 / (math.sqrt(c) if f_star is None else c)
    method = PrecGD(columns, 0.25 / c, damping=damping, f_star=f_star)
    x = start(problem, 0.1)
    marks = [steps_to(method, problem, x, mark) for mark in (1e-8, 1e-14, 1e-20, 1e-26)]
    pieces = np.diff(marks)
    assert pieces.max() <= 1.25 * pieces.min() + 5
    assert steps_to(GradientDescent(0.25 / c), problem, x, 1e-14, most=5000) == math.inf


def test_small_spare_columns_throw_scaledgd_and_not_precgd():
    x = SENSING.minimizers[0].reshape(8, 3)
    away = np.random.default_rng(0).standard_normal(x.shape) / 5
    away[:, 1:] *= 1e-6
    x = (x + away).ravel()
    damped = steps_to(PrecGD(3, 0.25 / 8, 8**-0.5), SENSING, x, 1e-12)
    plain = steps_to(ScaledGD(3, 0.25 / 8), SENSING, x, 1e-12)
    assert damped < 150 and plain > 5 * damped
    state = ScaledGD(3, 0.25 / 8).init(Oracle(SENSING), x)
    state = ScaledGD(3, 0.25 / 8).step(Oracle(SENSING), state)
    assert SENSING.fun(state.x) > 100 * SENSING.fun(x)  # the step is far too long


def test_a_scaled_function_with_scaled_numbers_takes_the_same_steps():
    x = spare_start()
    for f_star, damping in ((0.0, 1 / 3), (-math.inf, 1 / 9)):
        one = PrecGD(4, f_star=f_star)
        other = PrecGD(4, 0.25 / 9, damping=damping, f_star=f_star)
        plain = Oracle(SPARE)
        scaled = Oracle(lambda x: 9 * SPARE.fun(x), jac=lambda x: 9 * SPARE.grad(x))
        a, b = one.init(plain, x), other.init(scaled, x)
        for _ in range(5):
            a, b = one.step(plain, a), other.step(scaled, b)
        assert np.abs(a.x - b.x).max() < 1e-12


def test_more_columns_than_rows():
    wide = MatrixFactorization(np.diag([1.0, 0.5]), columns=3)
    x = np.random.default_rng(0).standard_normal(6) / 2
    assert steps_to(PrecGD(3), wide, x, 1e-20) < 300
    state = ScaledGD(3).step(Oracle(wide), ScaledGD(3).init(Oracle(wide), x))
    assert state.finished == "nonfinite" and "singular" in state.note and (state.x == x).all()


@pytest.mark.parametrize("k", [2, 4])
def test_columns_that_depend_on_each_other_end_scaledgd_where_it_began(k):
    """The least singular value is then 1e-17 instead of 0, and a step of it 1e17 long."""
    X = np.random.default_rng(0).standard_normal((SPARE.dim // k, k))
    X[:, 1] = X[:, 0] + (X[:, 2] if k > 2 else 0)
    oracle, method = Oracle(SPARE), ScaledGD(k)
    state = method.step(oracle, method.init(oracle, X.ravel()))
    assert "singular" in state.note and (state.x == X.ravel()).all()


def test_both_have_a_name_and_stop_where_the_gradient_is_small():
    for rule in ("scaledgd", "precgd"):
        result = minimize(EXACT, start(EXACT, 0.02), "gd", rule=rule, columns=3, epsilon=1e-6,
                          rng=0)
        assert result.success and np.linalg.norm(result.jac) <= 1e-6


def test_at_the_minimum_and_below_f_star_a_run_ends():
    x = SPARE.minimizers[0]
    oracle = Oracle(SPARE)
    flat = PrecGD(4).init(oracle, np.zeros(SPARE.dim))
    assert flat.finished == "stationary"  # the gradient vanishes
    high = PrecGD(4, f_star=10.0)
    state = high.step(oracle, high.init(oracle, 1.01 * x))
    assert state.finished == "f_star" and "smaller f_star" in state.note
    long = PrecGD(4, factor=1e200)
    state = long.init(oracle, 1.01 * x)
    while state.finished is None:
        state = long.step(oracle, state)
    assert state.finished == "nonfinite" and np.isfinite(state.x).all()


@pytest.mark.parametrize("make, error, words", [
    (lambda: ScaledGD(0), ValueError, "columns"),
    (lambda: PrecGD(2.5), TypeError, "columns"),
    (lambda: PrecGD(2, factor=-1.0), ValueError, "factor"),
    (lambda: PrecGD(2, damping=0.0), ValueError, "damping"),
    (lambda: ScaledGD(2, grad_threshold=-1.0), ValueError, "grad_threshold"),
    (lambda: PrecGD(3).init(Oracle(MatrixFactorization(np.eye(2), columns=2)), np.ones(4)),
     ValueError, "columns must divide the number of unknowns, 4, got 3"),
    (lambda: minimize(lambda x: float(x @ x), np.ones(4), "gd", jac=lambda x: 2 * x,
                      rule="precgd", columns=2), ValueError, "f_star.*-inf"),
    (lambda: PrecGD(2, f_star=math.nan), ValueError, "f_star must be.*-inf to do without"),
    (lambda: PrecGD(2, f_star=True), TypeError, "f_star"),
    (lambda: minimize(EXACT, np.ones(24), "gd", rule="scaledgd"), TypeError, "needs columns")])
def test_bad_input_is_refused_by_name(make, error, words):
    with pytest.raises(error, match=words):
        make()
