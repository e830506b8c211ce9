"""The episode theorem: every inequality that its proof uses, and its probability against counts."""

import math

import numpy as np
import pytest

from saddlelib.methods import gd_step
from saddlelib.perturbation import uniform_ball
from saddlelib.problems import CoupledQuartic, QuadraticSaddle, QuarticSaddle, SeparableQuartic
from saddlelib.theory import episode, jin2021
from saddlelib.theory.episode import (
    certified_decrease,
    episode_constants,
    iteration_bound,
    smallest_episode_length,
)

SETTINGS = [(1.0, 1.0, 1.0), (10.0, 0.1, 1e-3), (2.0, 6.0, 1e-4), (3.0, 0.5, 0.2),
            (100.0, 0.01, 0.01)]
CASES = [(*setting, time, share) for setting in SETTINGS for time in (8.0, 20.0, 60.0)
         for share in (1.0, 0.3)]


def made(ell, rho, eps, time, share, dim=10):
    eta = share / ell
    steps = math.ceil(time / (eta * math.sqrt(rho * eps)))
    return episode_constants(ell, rho, eps, dim, steps, eta)


@pytest.mark.parametrize("case", CASES)
def test_the_drift_of_the_hessian_along_a_stuck_episode_stays_below_a_third(case):
    # η Σ ρ‖y_s − x̃‖ with ‖y_s − x̃‖ ≤ r + √(2ηs ℱ): the coupling needs at most 1/3 of it.
    ell, rho, eps, *_ = case
    k = made(*case)
    s = np.arange(k.episode_length)
    far = k.perturbation_radius + np.sqrt(2 * k.step_size * s * k.exit_decrease)
    drift = k.step_size * rho * far.sum()
    assert 0.25 < drift <= 1 / 3  # and no more than a quarter of it is given away
    assert far.max() <= k.localization
    assert k.localization < 1.3 * (far.max() + k.step_size * eps)


@pytest.mark.parametrize("case", CASES)
def test_a_perturbation_raises_f_by_at_most_half_of_what_an_episode_certifies(case):
    k = made(*case)
    rise = k.grad_threshold * k.perturbation_radius + case[0] * k.perturbation_radius**2 / 2
    assert rise <= k.exit_decrease / 2
    assert k.decrease == k.exit_decrease / 2
    assert case[0] * k.perturbation_radius**2 / 2 == pytest.approx(k.exit_decrease / 4)


@pytest.mark.parametrize("case", CASES)
def test_a_gradient_spent_on_descent_pays_as_much_as_one_spent_on_an_episode(case):
    k = made(*case)
    assert k.step_size / 2 * k.grad_threshold**2 == pytest.approx(
        k.decrease / (k.episode_length + 1))
    assert k.grad_threshold <= case[2] / (3 * k.time**2)
    assert k.grad_threshold >= case[2] / (4 * k.time**2) * math.sqrt(
        k.episode_length / (k.episode_length + 1))


@pytest.mark.parametrize("case", CASES)
def test_two_starts_a_width_apart_would_have_to_leave_the_ball_they_are_stuck_in(case):
    # ½(1 + ηγ)^T ω = 2·localization: the end of the coupling argument.
    k = made(*case)
    growth = math.exp(k.episode_length * math.log1p(k.step_size * k.curvature_tol))
    assert 0.5 * growth * k.stuck_width == pytest.approx(2 * k.localization)
    assert k.failure_prob == pytest.approx(
        min(1.0, jin2021.stuck_fraction(k.stuck_width, k.perturbation_radius, 10)))


def test_the_constants_follow_a_change_of_units():
    # Lengths × b, values × v: ℓ × v/b², ρ × v/b³, ε × v/b.
    ell, rho, eps, steps = 3.0, 0.5, 0.02, 900
    b, v = 1e3, 1e-2
    one = episode_constants(ell, rho, eps, 7, steps)
    two = episode_constants(ell * v / b**2, rho * v / b**3, eps * v / b, 7, steps)
    units = dict(curvature_tol=v / b**2, step_size=b**2 / v, episode_length=1, time=1,
                 exit_decrease=v, decrease=v, perturbation_radius=b, grad_threshold=v / b,
                 localization=b, stuck_width=b, failure_prob=1)
    for name, unit in units.items():
        assert getattr(two, name) == pytest.approx(getattr(one, name) * unit), name


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("dim, delta_f, delta",
                         [(1, 1.0, 0.1), (100, 50.0, 1e-3), (10**6, 1e-3, 0.5)])
def test_the_smallest_episode_is_enough_and_one_step_less_is_not(setting, dim, delta_f, delta):
    def failure(steps):
        k = episode_constants(*setting, dim, steps)
        return (1 + 2 * delta_f / k.exit_decrease) * k.failure_prob
    steps = smallest_episode_length(*setting, dim, delta_f, delta)
    assert failure(steps) <= delta
    try:
        assert failure(steps - 1) > delta
    except ValueError:  # then τ = 8 is what holds it up
        assert steps == math.ceil(8 * setting[0] / math.sqrt(setting[1] * setting[2]) * (1 - 1e-12))


def test_a_longer_episode_is_less_likely_to_be_stuck_from_the_least_time_on():
    for ell, rho, eps in SETTINGS:
        first = math.ceil(episode.LEAST_TIME * ell / math.sqrt(rho * eps) * (1 + 1e-12))
        values = []
        for steps in np.unique(np.geomspace(first, 20 * first, 60).astype(int)):
            k = episode_constants(ell, rho, eps, 10**12, int(steps))
            values.append(math.log(k.time**3) + math.log(k.stuck_width / k.perturbation_radius))
        assert (np.diff(values) < 0).all()


def test_the_bound_grows_like_one_over_epsilon_squared_but_for_logarithms():
    # 26 τ⁴ ℓΔ_f/ε², and τ grows by less than 6 for a factor of ten in ε.
    for eps in 10.0 ** np.arange(-2, -8, -1):
        arguments = (1.0, 1.0, eps, 10, 1.0)
        k = episode_constants(1.0, 1.0, eps, 10, smallest_episode_length(*arguments))
        assert iteration_bound(*arguments) * eps**2 == pytest.approx(26 * k.time**4, rel=0.05)
        tighter = smallest_episode_length(1.0, 1.0, eps / 10, 10, 1.0)
        assert tighter * math.sqrt(eps / 10) - k.time < 6


@pytest.mark.parametrize("problem", [QuadraticSaddle([-0.4, 0.2, 1.0]), QuarticSaddle(0.3, [1.0]),
                                     SeparableQuartic(3), CoupledQuartic(4, coupling=0.5)],
                         ids=lambda p: p.name)
@pytest.mark.parametrize("share", [1.0, 0.4])
def test_the_certified_decrease_is_never_more_than_the_real_one(problem, share):
    rng, eta = np.random.default_rng(0), share / problem.lipschitz_grad
    for _ in range(20):
        x = start = uniform_ball(rng, problem.dim, 0.3)
        norms = []
        for _ in range(30):
            g = problem.grad(x)
            norms.append(np.linalg.norm(g))
            x = gd_step(x, g, eta)
        drop = problem.fun(start) - problem.fun(x)
        assert certified_decrease(norms, eta, problem.lipschitz_grad) <= drop + 1e-15


def test_the_certified_decrease_is_the_real_one_along_the_largest_curvature():
    problem, x = QuadraticSaddle([2.0]), np.array([1.5])
    for eta in (0.5, 0.2):
        drop = problem.fun(x) - problem.fun(gd_step(x, problem.grad(x), eta))
        assert certified_decrease(np.abs(problem.grad(x)), eta, 2.0) == pytest.approx(drop)


def stuck(problem, starts, k):
    """Which starts certify less than ℱ in T steps."""
    gain = k.step_size * (1 - k.step_size * problem.lipschitz_grad / 2)
    x, total = starts, np.zeros(len(starts))
    for _ in range(k.episode_length):
        g = problem.grad(x)
        total += gain * (g**2).sum(axis=1)
        x = gd_step(x, g, k.step_size)
    return total < k.exit_decrease


@pytest.mark.parametrize("dim", [1, 3, 30])
@pytest.mark.parametrize("kappa, time", [(2.0, 9.0), (10.0, 8.0)])
def test_episodes_are_stuck_as_seldom_as_proved_and_not_much_more_seldom(dim, kappa, time):
    # λ_min = −γ exactly and nothing else bends: nothing but the escape direction helps.
    gamma, rho = 1.0, 1.0
    eps = gamma**2 / rho
    problem = QuadraticSaddle(np.r_[-gamma, np.zeros(dim - 1)] if dim > 1 else [-gamma])
    problem.lipschitz_grad = kappa
    k = episode_constants(kappa, rho, eps, dim, math.ceil(time * kappa / gamma))
    starts = uniform_ball(np.random.default_rng(1), dim, k.perturbation_radius, 30_000)
    share = stuck(problem, starts, k).mean()
    assert share <= k.failure_prob
    assert share >= k.failure_prob / 25  # a factor of two in ℱ, r or ω comes out of this window


@pytest.mark.parametrize("kappa, window", [(2.0, (0.05, 0.4)), (10.0, (0.05, 0.4))])
def test_the_band_of_stuck_starts_is_narrower_than_its_bound_by_a_known_factor(kappa, window):
    # On −γx²/2, D_T = ½γ(1 − ηℓ/2)·((1+ηγ)^{2T} − 1)/(1 + ηγ/2)·x₀²: the band has a closed form.
    k = episode_constants(kappa, 1.0, 1.0, 1, math.ceil(12 * kappa))
    grow = math.expm1(2 * k.episode_length * math.log1p(k.step_size))
    edge = math.sqrt(k.exit_decrease * (2 + k.step_size) / ((1 - 0.5) * grow))
    problem = QuadraticSaddle([-1.0])
    problem.lipschitz_grad = kappa
    assert stuck(problem, np.array([[0.99 * edge], [1.01 * edge]]), k).tolist() == [True, False]
    assert window[0] < 2 * edge / k.stuck_width < window[1]


@pytest.mark.parametrize("gamma", [0.1, 0.5])
@pytest.mark.parametrize("slope", [0.0, 1.0, -1.0])
def test_a_bent_valley_and_a_slope_do_not_break_the_bound(gamma, slope):
    # Curvature that is lost on the way, and a gradient of size g at the point.
    class Tilted(QuarticSaddle):
        def _grad(self, X):
            return super()._grad(X) + self.tilt

    dim = 5
    problem = Tilted(gamma, np.full(dim - 1, 0.2))
    rho = problem.lipschitz_hess
    problem.lipschitz_grad = ell = max(problem.lipschitz_grad, 2 * gamma)
    k = episode_constants(ell, rho, gamma**2 / rho, dim, math.ceil(9 * ell / gamma))
    problem.tilt = np.r_[slope * k.grad_threshold, np.zeros(dim - 1)]
    starts = uniform_ball(np.random.default_rng(2), dim, k.perturbation_radius, 20_000)
    assert stuck(problem, starts, k).mean() <= k.failure_prob


@pytest.mark.parametrize("change, named", [
    (dict(episode_length=10), "episode_length"), (dict(episode_length=0.5), "episode_length"),
    (dict(epsilon=1e9), "epsilon"), (dict(step_size=2.0), "step_size"),
    (dict(lipschitz_hess=0.0), "lipschitz_hess"), (dict(dim=0), "dim")])
def test_bad_arguments_are_named(change, named):
    good = dict(lipschitz_grad=1.0, lipschitz_hess=1.0, epsilon=0.01, dim=3, episode_length=200)
    with pytest.raises((ValueError, TypeError), match=named):
        episode_constants(**(good | change))


@pytest.mark.parametrize("epsilon", [1e-36, 1e-60, 1e-120])
def test_episodes_longer_than_float64_can_count_end_the_search_all_the_same(epsilon):
    steps = smallest_episode_length(1.0, 1.0, epsilon, 10, 1.0)
    assert 100 < steps * math.sqrt(epsilon) < 2000  # τ, a logarithm
    with pytest.raises(ValueError, match="epsilon"):
        smallest_episode_length(1.0, 1.0, 1e-250, 10, 1.0)
