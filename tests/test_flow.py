"""The gradient flow: exact solutions, times of events, and an end with a reason for every run."""

import math
import re

import numpy as np
import pytest

from saddlelib.flow import METHODS, gradient_flow, loss_falls, mode_reaches
from saddlelib.problems import QuadraticSaddle, QuarticSaddle

every_method = pytest.mark.parametrize("method", METHODS)


def product(w):
    """½(1 − w₁w₂)²."""
    return (1 - w[0] * w[1])**2 / 2


def product_grad(w):
    return -(1 - w[0] * w[1]) * w[::-1]


@every_method
def test_the_flow_of_a_quadratic_saddle_is_a_sum_of_exponentials(method):
    saddle = QuadraticSaddle([-1.0, -0.5, 2.0])
    start = np.array([1e-9, 1e-3, 1.0])
    run = gradient_flow(saddle, start, 10.0, rtol=1e-6, method=method)
    exact = start * np.exp(np.array([1.0, 0.5, -2.0]) * 10)
    assert run.ending == "t_max" and run.success and run.t[-1] == 10
    np.testing.assert_allclose(run.x[:2], exact[:2], rtol=1e-3)
    assert abs(run.x[2]) < 1e-7


def test_a_small_start_is_resolved_as_well_as_a_large_one():
    """The default atol is in proportion to the start: its scale changes neither steps nor ratio."""
    counts = []
    for size in (1.0, 1e-8, 1e-200):
        run = gradient_flow(lambda x: -x, [size, 3 * size], 10.0)
        np.testing.assert_allclose(run.x, np.array([1, 3]) * size * math.exp(10), rtol=1e-7)
        counts.append(run.nfev)
    assert len(set(counts)) == 1


def test_the_loss_falls_by_the_square_of_the_gradient():
    f = QuarticSaddle.spread(4)
    start = np.array([1e-3, 0.5, -0.4, 0.3])
    run = gradient_flow(f, start, 30.0, t_eval=np.linspace(0, 30, 3001))
    values = f.fun(run.y.T)
    assert (np.diff(values) <= 1e-12).all()
    speed = (f.grad(run.y.T)**2).sum(axis=1)
    assert np.trapezoid(speed, run.t) == pytest.approx(values[0] - values[-1], rel=1e-4)


@every_method
def test_an_event_is_found_at_its_time_and_ends_the_flow_where_it_is_terminal(method):
    """u' = 2u(1 − u) for u = w₁w₂ and w₁ = w₂."""
    eps = 1e-4
    def time(u):
        return math.log(u * (1 - eps**2) / (eps**2 * (1 - u))) / 2
    events = [mode_reaches(lambda w: w[0] * w[1], 0.1),
              loss_falls(product, [eps, eps], 0.25, terminal=False),
              mode_reaches(lambda w: w[0] * w[1], 0.9, terminal=True),
              loss_falls(product, [eps, eps], 1e-6)]
    run = gradient_flow(product_grad, [eps, eps], 100.0, events, method=method, rtol=1e-6)
    half = 1 - 0.5 * (1 - eps**2)
    for found, exact in zip(run.t_events, [time(0.1), time(half), time(0.9)], strict=False):
        assert found == pytest.approx([exact], rel=1e-4)
    assert run.t_events[3].size == 0 and (run.ending, run.status) == ("event", 1)
    assert run.t[-1] == run.t_events[2][0] and run.x == pytest.approx([0.9**0.5] * 2, rel=1e-4)
    assert run.message.startswith("a mode reaches 0.9 at t = 10.")


def test_an_event_looks_one_way():
    """A loss that rises through its level is no fall, a mode that sinks no arrival."""
    events = [mode_reaches(lambda x: x[0], 0.5), loss_falls(lambda x: x @ x, [1.0], 0.25)]
    assert [e.size for e in gradient_flow(lambda x: x, [1.0], 2.0, events).t_events] == [0, 1]
    events = [mode_reaches(lambda x: x[0], 2.0), loss_falls(lambda x: x @ x, [1.0], 0.25)]
    assert [e.size for e in gradient_flow(lambda x: -x, [0.1], 5.0, events).t_events] == [1, 0]


def test_an_event_of_your_own_and_the_least_value_of_a_problem():
    def crossing(t, x):
        return x[0] - 2
    crossing.terminal = True
    run = gradient_flow(lambda x: -x, [1.0], 5.0, crossing)
    assert run.t_events[0] == pytest.approx([math.log(2)]) and run.message.startswith("event 0 at")
    f = QuarticSaddle.spread(2)    # f* < 0 = f at the saddle
    run = gradient_flow(f, [1e-3, 0.0], 1e3, loss_falls(f, [1e-3, 0.0], 0.5))
    assert f.fun(run.x) - f.f_star == pytest.approx(-f.f_star / 2, rel=1e-4)


ENDS = {  # a field that comes to nothing: gradient, start, and how the flow may end
    "blows up at t = 1/2": (lambda x: -x**3, [1.0], {"step size", "not finite", "budget"}),
    "grows beyond float64": (lambda x: -1e3 * x, [1.0], {"not finite", "budget"}),
    "is nan beyond 2": (lambda x: np.where(x > 2, np.nan, -x), [1.0], {"not finite"}),
    "is nan at the start": (lambda x: np.nan * x, [1.0], {"not finite"}),
    "is infinite beyond 2": (lambda x: np.where(x > 2, -np.inf, -x), [1.0],
                             {"not finite", "budget"}),
    "jumps": (lambda x: np.sign(x - 2), [1.0], {"step size", "budget"}),
    "is too large to square": (lambda x: 1e300 * x, [1.0], {"step size", "not finite", "budget"}),
    "overflows": (lambda x: -1e200 * x**2, [1e200], {"not finite"}),
}


@pytest.mark.parametrize("method", ["RK23", "DOP853", "Radau", "BDF", "LSODA"])
@pytest.mark.parametrize("field", ENDS)
def test_a_flow_that_comes_to_nothing_ends_and_says_so(field, method):
    grad, start, endings = ENDS[field]
    run = gradient_flow(grad, start, 1e3, method=method, max_gradients=1500)
    assert run.ending in endings and run.status == -1 and not run.success
    assert np.isfinite(run.x).all() and np.isfinite(run.y).all() and run.t.size == run.y.shape[1]
    assert run.nfev <= 1500 + 600    # the budget, and a step
    said = float(re.search(r"t = (\S+?)[;:]? ", run.message)[1])
    assert said == pytest.approx(run.t[-1], rel=1e-5) or method == "LSODA"
    if run.ending == "budget":
        assert "raise max_gradients" in run.message


@every_method
def test_a_budget_keeps_what_was_reached(method):
    full = gradient_flow(product_grad, [1e-3, 1e-3], 15.0, rtol=1e-6, method=method)
    part = gradient_flow(product_grad, [1e-3, 1e-3], 15.0, rtol=1e-6, method=method,
                         max_gradients=60)
    assert part.ending == "budget" and 60 <= part.nfev <= 60 + 40 < full.nfev
    count = part.t.size
    np.testing.assert_array_equal(part.y, full.y[:, :count])
    np.testing.assert_array_equal(part.x, part.y[:, -1])


def test_times_that_were_not_reached_are_left_out():
    run = gradient_flow(lambda x: -x, [1.0], 1e3, t_eval=[0.0, 1.0, 900.0], max_gradients=200,
                        dense_output=True)
    assert run.ending == "budget" and run.t.tolist() == [0.0, 1.0]
    assert run.y[0] == pytest.approx([1, math.e], rel=1e-7) and run.sol(0.5) > 1.6
    none = gradient_flow(lambda x: np.nan * x, [1.0], 1.0, t_eval=[0.5])
    assert none.t.size == 0 and none.y.shape == (1, 0)


def test_a_gradient_that_changes_its_point_or_raises_is_seen():
    def careless(x):
        x *= -1
        return x
    assert gradient_flow(careless, [1.0], 1.0).x == pytest.approx([math.e])

    def broken(x):
        raise ValueError("mine")
    for method in METHODS:
        with pytest.raises(ValueError, match="mine"):
            gradient_flow(broken, [1.0], 1.0, method=method)


@pytest.mark.parametrize("change, error, words", [
    (dict(problem=3), TypeError, "problem must be a Problem or a callable"),
    (dict(x0=[[1.0]]), ValueError, "x0 must be one point"),
    (dict(x0=[np.nan]), ValueError, "x0 must be finite"),
    (dict(problem=QuarticSaddle.spread(3)), ValueError, "x0 must have 3 coordinates"),
    (dict(t_max=math.inf), ValueError, "t_max must be a finite number > 0"),
    (dict(rtol=1e-16), ValueError, "rtol must be at least"), (dict(rtol=2.0), ValueError, "rtol"),
    (dict(atol=-1.0), ValueError, "atol"), (dict(method="Euler"), ValueError, "method must be one"),
    (dict(max_gradients=0), ValueError, "max_gradients"),
    (dict(problem=lambda x: [1.0, 2.0]), ValueError, "the gradient must have shape"),
])
def test_bad_arguments_are_named(change, error, words):
    with pytest.raises(error, match=words):
        gradient_flow(**(dict(problem=lambda x: x, x0=[1.0], t_max=1.0) | change))


@pytest.mark.parametrize("make, error, words", [
    (lambda: loss_falls(1, [1.0], 0.5), TypeError, "fun must be"),
    (lambda: loss_falls(lambda x: -1.0, [1.0], 0.5), ValueError, "x0 must have a loss above"),
    (lambda: loss_falls(product, [0.0, 0.0], 1.0), ValueError, "fraction"),
    (lambda: loss_falls(product, [0.0, 0.0], 0.5, terminal=3), TypeError, "terminal"),
    (lambda: mode_reaches(1, 1.0), TypeError, "mode"),
    (lambda: mode_reaches(product, math.nan), ValueError, "level"),
])
def test_bad_events_are_named(make, error, words):
    with pytest.raises(error, match=words):
        make()
