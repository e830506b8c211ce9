"""p from the points of a run: a float with an interval, and errors where the run cannot show it."""

import pickle

import numpy as np
import pytest

from saddlelib import minimize
from saddlelib.problems import ConvexQuartic, HomogeneousRavine, RavineRosenbrock
from saddlelib.ravine import Order, growth_order


def run(problem, x0, eta, maxiter=1500, rule="curvature"):
    found = minimize(problem, x0, "gdpolyak", rule=rule, step_size=eta, epsilon=1e-14,
                     certificate=False, maxiter=maxiter, trace=("x", "fun"))
    return found.trace["x"], found.trace["fun"]


@pytest.mark.parametrize("problem, x0, eta", [
    (RavineRosenbrock(10.0), [1.09705, 0.53275], 0.0125), (HomogeneousRavine(3.0), [1.0, 1.0], 0.2),
    (HomogeneousRavine(5.0), [1.0, 1.0], 0.2), (HomogeneousRavine(6.0), [1.0, 1.0], 0.15)],
    ids=repr)
def test_the_interval_holds_the_order(problem, x0, eta):
    found = growth_order(run(problem, x0, eta), x_star=problem.minimizers[0])
    assert found.low <= problem.growth_order + 1e-3 and problem.growth_order - 1e-3 <= found.high
    assert found.low <= found.value <= found.high and found.high - found.low < 0.6


@pytest.mark.parametrize("kappa", [1e3, 1e4])
def test_bad_walls_make_the_interval_wide(kappa):
    """A run that does not come down to the floor of a convex function shows no order."""
    problem = ConvexQuartic.spread(10, kappa)
    x0 = 0.3 * np.random.default_rng(0).standard_normal(10)
    points = run(problem, x0, 0.9, 5000, "safe")
    found = growth_order(points, x_star=np.zeros(10))
    assert found.low <= 4.0 <= found.high and found.high - found.low > 1
    with pytest.raises(ValueError, match="four decades"):
        growth_order(points)


@pytest.mark.parametrize("wrong", [1e-9, 1e-12])
def test_a_wrong_least_value_is_named_or_shows_in_the_interval(wrong):
    problem = RavineRosenbrock(10.0)
    points = run(problem, [1.09705, 0.53275], 0.0125)
    with pytest.raises(ValueError, match="below f_star"):
        growth_order(points, f_star=wrong)
    with pytest.raises(ValueError, match="levels off near 1e-"):
        growth_order(points, f_star=-wrong, x_star=[0.0, 0.0])
    try:
        found = growth_order(points, f_star=-wrong)
    except ValueError as error:
        assert "four decades" in str(error)
    else:
        assert found.low <= 4.0 <= found.high


def test_an_order_is_a_float():
    found = Order(3.98, 3.9, 4.1)
    assert f"{found:.1f}" == "4.0" and found + 1 == 4.98 and float(found) == found.value == 3.98
    assert round(found, 1) == 4.0 and np.isclose(found, 3.98)
    again = pickle.loads(pickle.dumps(found))
    assert (again, again.low, again.high) == (3.98, 3.9, 4.1) and "low=3.9" in repr(again)


def test_points_that_are_not_finite_are_left_out():
    problem = HomogeneousRavine(4.0)
    x, f = run(problem, [1.0, 1.0], 0.2)
    clean = growth_order((x, f), x_star=[0.0, 0.0])
    x, f = x.copy(), f.copy()
    f[::7], x[3] = np.nan, np.inf
    assert growth_order((x, f), x_star=[0.0, 0.0]) == pytest.approx(clean, abs=0.05)
    with pytest.raises(ValueError, match="no value of the run"):
        growth_order((np.zeros((3, 2)), np.zeros(3)))
