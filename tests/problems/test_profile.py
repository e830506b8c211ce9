"""What the escape profile and the dragged saddle were built for."""

import numpy as np
import pytest

from saddlelib.methods import gd_step
from saddlelib.problems import DraggedSaddle, EscapeProfile


def test_the_profile_is_the_integral_of_its_curvature():
    """Between 0 and s, φ(s) = ∫ (s − t) min(ℓ, −γ + ρ|t|) dt, on both sides of the kink."""
    gamma, ell, rho = 0.4, 1.5, 0.7
    problem = EscapeProfile(gamma, [], lipschitz_grad=ell, lipschitz_hess=rho)
    for s in (0.3, -1.0, 2.0 * gamma / rho, 2.6, 2.8, -7.0):
        t = (np.arange(200_000) + 0.5) / 200_000 * abs(s)
        curvature = np.minimum(ell, rho * t - gamma)
        value = ((abs(s) - t) * curvature).mean() * abs(s)
        slope = np.sign(s) * curvature.mean() * abs(s)
        assert problem.fun([s]) == pytest.approx(value, rel=1e-7)
        assert problem.grad([s])[0] == pytest.approx(slope, rel=1e-7)


def test_no_function_with_the_same_constants_is_above_the_profile():
    """φ″ is the largest that ρ and ℓ allow, so any other function gives a descent more to gain."""
    gamma, ell, rho = 0.4, 1.0, 2.0
    profile = EscapeProfile(gamma, [], lipschitz_grad=ell, lipschitz_hess=rho)
    s = np.linspace(-2, 2, 401)[:, np.newaxis]
    for a in (0.5, 1.0, 3.0):  # γ(a⁻²)(cos(as) − 1) has ρ = γa and ℓ = γ
        if gamma * a <= rho:
            assert (gamma * (np.cos(a * s[:, 0]) - 1) / a**2 <= profile.fun(s) + 1e-15).all()


def test_the_depth_of_the_profile_is_two_thirds_of_gamma_cubed():
    gamma, rho = 0.3, 2.0
    problem = EscapeProfile(gamma, [0.5], lipschitz_hess=rho)
    assert problem.f_star == pytest.approx(-2 / 3 * gamma**3 / rho**2)
    assert problem.minimizers[:, 0].tolist() == pytest.approx([2 * gamma / rho, -2 * gamma / rho])


def test_a_pull_along_the_escape_direction_tilts_the_profile():
    """Below γ²/(2ρ) a saddle remains, on the side to which the gradient points; above it none."""
    gamma, rho = 0.3, 1.0
    edge = gamma**2 / (2 * rho)
    for g in (0.9 * edge, -0.9 * edge):
        problem = EscapeProfile(gamma, [1.0], gradient=[g, 0.0])
        assert np.sign(problem.saddles[0, 0]) == np.sign(g) == -np.sign(problem.minimizers[0, 0])
        assert -gamma < problem.saddle_min_eigs[0] < 0
    assert len(EscapeProfile(gamma, [1.0], gradient=[1.1 * edge, 0.0]).saddles) == 0


def test_a_pull_along_a_flat_direction_leaves_nothing_stationary():
    problem = EscapeProfile(0.3, [0.0], gradient=[0.0, 0.1])
    assert problem.f_star == -np.inf and not len(problem.saddles) and not len(problem.minimizers)


@pytest.mark.parametrize("pull", [0.1, 0.5, 1.0])
def test_the_trap_is_a_local_minimizer_at_the_stated_depth(pull):
    problem = DraggedSaddle(0.2, pull, lipschitz_hess=3.0)
    assert np.linalg.norm(problem.grad(problem.trap)) < 1e-16
    H = problem.hess(problem.trap)
    assert H[0, 0] == pytest.approx(0.02) and np.linalg.eigvalsh(H)[0] > 0
    assert problem.trap_drop == pytest.approx(-problem.fun(problem.trap))
    assert problem.trap_drop == pytest.approx(pull * 0.2**2 / 3 * problem.trap[1] / 2)
    assert np.linalg.norm(problem.grad(np.zeros(2))) == pytest.approx(pull * 0.2**2 / 3)
    assert problem.f_star < -problem.trap_drop


def test_from_the_line_gradient_descent_ends_in_the_trap_and_beside_it_in_a_well():
    problem = DraggedSaddle(0.2, 0.5)
    x = np.array([[0.0, 0.0], [0.05, 0.0], [-0.05, 0.0]])
    for _ in range(1500):
        x = gd_step(x, problem.grad(x), 0.5)
    assert np.linalg.norm(x[0] - problem.trap) < 1e-6
    assert (problem.distance(x[1:]) < 1e-6).all() and x[1, 0] > 0 > x[2, 0]


def test_nine_eighths_bounds_the_third_derivative_and_is_nearly_reached():
    theta = np.linspace(0, np.pi, 200_001)
    alpha, s = np.arccos(np.sqrt(2 / 3)), np.sqrt(1 / 3)
    sums = (np.abs(np.cos(theta - alpha)) ** 3 + np.abs(np.cos(theta + alpha)) ** 3
            + 2 * s**3 * np.abs(np.sin(theta)) ** 3)
    # The sum changes by at most 12 per radian, so the grid is fine enough.
    assert 0.98 * 9 / 8 < sums.max() < 9 / 8 - 12 * np.pi / 200_000
