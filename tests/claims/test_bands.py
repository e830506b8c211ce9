"""How wide the band of perturbations that do not help really is, and who spends time where."""

import numpy as np
import pytest

from saddlelib import Oracle
from saddlelib.methods import PGD
from saddlelib.problems import QuarticSaddle
from saddlelib.theory import jin2017, jin2021


def band(decrease, steps, step_size, gamma):
    """Width of the starts on −γx²/2 from which so many steps lower f by less than ``decrease``."""
    return 2 * np.sqrt(2 * decrease / (gamma * np.expm1(2 * steps * np.log1p(step_size * gamma))))


@pytest.mark.parametrize("gamma", [0.1, 0.5])
@pytest.mark.parametrize("dim", [2, 10, 1000])
def test_the_thin_band_of_2017_is_far_thinner_than_its_bound(gamma, dim):
    # Lemma 11 as we quote it: at most δr/(2√d) wide.
    ell, rho, delta = max(1.0, 2 * gamma), 6 * gamma**0.5, 0.1
    k = jin2017.pgd_constants(ell, rho, gamma**2 / rho, dim, gamma**2 / 4, delta)
    width = band(k.decrease_threshold, k.episode_length, k.step_size, gamma)
    assert width <= 1e-3 * delta * k.perturbation_radius / (2 * np.sqrt(dim))


@pytest.mark.parametrize("iota, least, most", [(16, 3e2, 3e3), (32, 4e4, 4e5), (64, 5e8, 5e9)])
def test_the_band_of_2021_is_thinner_than_its_bound_by_two_to_the_power_of_its_length(
        iota, least, most):
    # ηω = 4·2^(−ι)𝒮 where the run has e^(−ι): a factor that doubles with every 1/log₂(e/2) of ι.
    gamma = 0.1
    rho = 6 * gamma**0.5
    k = jin2021.pgd_constants(2.0, rho, gamma**2 / rho, iota)
    width = band(k.decrease, k.episode_length, k.step_size, gamma)
    assert least < k.step_size * k.stuck_width / width < most


@pytest.mark.parametrize("iota, stuck", [(4.0, True), (8.0, True), (16.0, False)])
def test_at_iota_eight_and_below_the_whole_ball_of_2021_is_stuck(iota, stuck):
    gamma = 0.1
    rho = 6 * gamma**0.5
    k = jin2021.pgd_constants(2.0, rho, gamma**2 / rho, iota)
    width = band(k.decrease, k.episode_length, k.step_size, gamma)
    assert bool(width > 2 * k.perturbation_radius) is stuck


@pytest.mark.parametrize("seed", range(3))
def test_most_iterates_of_algorithm_4_are_second_order_stationary_long_before_t_tot(seed):
    # Theorem 18 says half of T_tot iterates; T_tot is above 10⁹, so we look at 5000.
    problem = QuarticSaddle.spread(10, gamma=0.3)
    ell, rho = problem.lipschitz_grad, problem.lipschitz_hess
    epsilon = 0.15**2 / rho
    setting = dict(lipschitz_grad=ell, lipschitz_hess=rho, epsilon=epsilon)
    iota = jin2021.smallest_iota(**setting, dim=10, delta_f=-problem.f_star)
    assert jin2021.iteration_bound(**setting, delta_f=-problem.f_star, iota=iota) > 1e9
    method, oracle = PGD.jin2021(**setting, iota=iota, stop=False), Oracle(problem)
    state = method.init(oracle, np.zeros(10), seed)
    good = 0
    for _ in range(5000):
        curvature = min(3 * state.x[0] ** 2 - problem.gamma, problem.eigenvalues.min())
        good += np.linalg.norm(state.jac) <= epsilon and curvature >= -np.sqrt(rho * epsilon)
        state = method.step(oracle, state)
    assert good > 2500
