"""The methods that GDPolyak is compared with do what their papers say."""

import numpy as np
import pytest

from saddlelib import Oracle
from saddlelib.methods.peers import BarzilaiBorwein, NesterovRestart
from saddlelib.problems import QuadraticSaddle, RavineRosenbrock

EIGENVALUES = np.geomspace(1e-3, 1.0, 30)
BOWL = QuadraticSaddle(EIGENVALUES)
BOTH = pytest.mark.parametrize("kind", [BarzilaiBorwein, NesterovRestart])


def run(method, problem, x0, steps):
    oracle = Oracle(problem)
    states = [method.init(oracle, np.array(x0, float))]
    for _ in range(steps):
        states.append(method.step(oracle, states[-1]))
    assert oracle.njev == steps + 1 and oracle.nfev == 0
    return states


def test_two_steps_of_barzilai_and_borwein_end_on_a_quadratic_of_one_curvature():
    last = run(BarzilaiBorwein(0.3), QuadraticSaddle([0.5] * 3), [1.0, -2.0, 3.0], 2)[-1]
    assert np.abs(last.x).max() < 1e-15


def test_a_step_of_barzilai_and_borwein_is_a_mean_of_inverse_curvatures():
    states = run(BarzilaiBorwein(0.5), BOWL, np.ones(30), 60)
    for older, old, new in zip(states, states[1:], states[2:], strict=False):
        s = old.x - older.x
        expected = old.x - (s @ s) / (s @ (EIGENVALUES * s)) * EIGENVALUES * old.x
        np.testing.assert_allclose(new.x, expected, rtol=1e-6, atol=1e-12)
        length = (s @ s) / (s @ (EIGENVALUES * s))
        assert 1 <= length * (1 + 1e-9) and length <= 1000 * (1 + 1e-9)


def test_a_negative_curvature_makes_a_short_step_again():
    hill = QuadraticSaddle([-1.0, -0.5])
    states = run(BarzilaiBorwein(0.1), hill, [1.0, 1.0], 3)
    assert states[-1].restarts == 2
    np.testing.assert_allclose(states[-1].x, [1.1**3, 1.05**3])


def test_nesterov_without_a_restart_is_the_textbook_recursion():
    states = run(NesterovRestart(1.0), BOWL, np.ones(30), 12)
    assert states[-1].restarts == 0
    y, x, t = np.ones(30), np.ones(30), 1.0
    for state in states[1:]:
        new, older, t_old = x - EIGENVALUES * x, y, t
        t = (1 + np.sqrt(1 + 4 * t**2)) / 2
        x, y = new + (t_old - 1) / t * (new - older), new
        np.testing.assert_allclose(state.x, x, rtol=1e-13)
        gap = BOWL.fun(y) - BOWL.f_star  # the bound 2‖x₀ − x*‖²/(η(k + 1)²)
        assert gap <= 2 * 30 / (state.nit + 1) ** 2


def test_restarts_make_nesterov_linear_where_the_plain_method_is_slow():
    states = run(NesterovRestart(1.0), BOWL, np.ones(30), 1500)
    gaps = np.array([BOWL.fun(state.x) for state in states])
    assert states[-1].restarts > 3 and gaps[-1] < 1e-20
    plain = BOWL.fun(np.ones(30) * (1 - EIGENVALUES) ** 1500)
    assert gaps[-1] < 1e-10 * plain
    for old, new in zip(states, states[1:], strict=False):
        if new.restarts > old.restarts:
            assert old.jac @ (new.before - old.before) > 0 and new.age == 1
            np.testing.assert_array_equal(new.x, new.before)


@BOTH
def test_they_descend_into_a_ravine_and_stop_at_the_threshold(kind):
    method = kind(0.0125, grad_threshold=1e-6)
    oracle = Oracle(RavineRosenbrock())
    state = method.init(oracle, np.array([0.6, 0.9]))
    while state.finished is None and state.nit < 6000:
        state = method.step(oracle, state)
    assert state.finished == "stationary" and np.linalg.norm(state.jac) <= 1e-6
    assert method.init(oracle, np.zeros(2)).finished == "stationary"


@BOTH
def test_a_step_leaves_the_state_before_it_and_a_bad_step_size_is_named(kind):
    states = run(kind(0.1), BOWL, np.ones(30), 5)
    again = kind(0.1).step(Oracle(BOWL), states[3])
    np.testing.assert_array_equal(again.x, states[4].x)
    with pytest.raises(ValueError, match="step_size"):
        kind(0.0)
