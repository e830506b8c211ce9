"""Derivatives along lines with errors that hold, and the way to a degenerate minimizer."""

import math

import numpy as np
import pytest

from saddlelib.problems import RavineRosenbrock
from saddlelib.ravine import torch_derivatives
from saddlelib.ravine.derivatives import Differences, settled
from saddlelib.ravine.polish import floor, gain, look, rounding

C = np.array([1.0, -0.5, 2.0])


def waves(products, scale=1.0):
    """Σ cᵢ sin(xᵢ + i) by gradients, with products or without."""
    shift = np.arange(3)
    return Differences(lambda x: scale * C * np.cos(x + shift),
                       (lambda x, v: -scale * C * np.sin(x + shift) * v) if products else None)


def exact(x, w, k):
    """The k-th derivative of the sum along w, without one w."""
    at = x + np.arange(3)
    return C * [np.cos(at), -np.sin(at), -np.cos(at), np.sin(at)][(k - 1) % 4] * w ** (k - 1)


@pytest.mark.parametrize("products", [False, True])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_stated_errors_of_derivatives_hold_and_are_small(products, scale):
    x, W = np.array([0.3, -1.0, 2.0]), np.eye(3)[:2] * [[0.6], [1.0]] + [[0, 0, 0.8], [0, 0, 0]]
    given = settled(waves(products, scale), x, W, np.eye(3), 4)
    jets = given.jets(x, W)
    for k, most in ((2, 1e-9), (3, 1e-7), (4, 1e-4)):
        value, error = jets.seen(k, np.eye(3))
        true = scale * np.array([exact(x, w, k) for w in W])
        assert (np.abs(value - true) <= error).all()
        assert np.linalg.norm(error) <= most * np.linalg.norm(true)


@pytest.mark.parametrize("power, share", [(3.0, 0.3), (3.5, 0.2), (3.9, 0.03)])
@pytest.mark.parametrize("products", [False, True])
def test_a_derivative_that_does_not_exist_has_a_large_error(power, share, products):
    p = power
    given = Differences(lambda x: p * np.abs(x) ** (p - 2) * x,
                        (lambda x, v: p * (p - 1) * np.abs(x) ** (p - 2) * v) if products else None)
    given = settled(given, np.zeros(1), np.eye(1), np.eye(1), 4)
    value, error = given.jets(np.zeros(1), np.eye(1)).seen(4, np.eye(1))
    assert error[0, 0] > share * abs(value[0, 0])


def test_autograd_gives_the_same_derivatives():
    torch = pytest.importorskip("torch")
    c, shift = torch.tensor(C), torch.arange(3)
    given = torch_derivatives(lambda x: torch.sum(c * torch.sin(x + shift)))
    x, w = np.array([0.3, -1.0, 2.0]), np.array([0.6, 0.0, 0.8])
    jets = given.jets(x, w[None])
    for k in (2, 3, 4):
        value, error = jets.seen(k, np.eye(3))
        np.testing.assert_allclose(value[0], exact(x, w, k), atol=float(error.max()))
        assert 0 < error.max() < 1e-12
    np.testing.assert_allclose(given.grad(x), exact(x, w, 1))
    np.testing.assert_allclose(given.times(x, w), exact(x, w, 2))


def test_heights_come_from_gradients():
    problem = RavineRosenbrock(3.0, bend=0.7)
    given = Differences(problem.grad)
    x, y = np.array([0.2, -0.1]), np.array([-0.4, 0.3])
    assert gain(given, x, y) == pytest.approx(problem.fun(y) - problem.fun(x), rel=1e-12)
    down = floor(given, np.array([0.3, 0.2]), np.array([[0.0], [1.0]]), np.array([6.0]), 1e-15)
    np.testing.assert_allclose(down, [0.3, 0.7 * 0.09], atol=1e-12)


def test_rounding_is_measured():
    rng = np.random.default_rng(0)
    noisy = Differences(lambda x: 2 * x + 1e-9 * rng.standard_normal(3))
    assert 1e-9 < rounding(noisy, np.ones(3), 2.0, 1e-6, rng) < 3e-8
    assert rounding(Differences(lambda x: 2 * x), np.ones(3), 2.0, 1e-6, rng) < 1e-14


def test_the_form_is_that_of_the_floor_of_a_bent_ravine():
    """f = y² − 2b·y·x² + x⁴: T = −4b on x, the curvature is 2, and q = 1 − b²."""
    def grad(z):
        x, y = z
        return np.array([-4 * 0.6 * x * y + 4 * x**3, 2 * y - 2 * 0.6 * x**2])
    here = look(Differences(grad), np.zeros(2), 1)
    assert here.form == pytest.approx([1 - 0.36], rel=1e-9)
    assert np.abs(here.bend) == pytest.approx(4 * 0.6, rel=1e-9)
    assert here.curvatures == pytest.approx([2.0]) and math.isfinite(here.errors[2])
