"""Update rules against the papers: step for step, and in what they guarantee."""

import math

import numpy as np
import pytest

from saddlelib import Oracle
from saddlelib.methods import PGD, GradientDescent
from saddlelib.perturbation import gaussian, uniform_ball, uniform_sphere
from saddlelib.problems import QuarticSaddle, catalogue
from saddlelib.theory import jin2017


def algorithm_2(problem, x0, displacements, eta, g_thres, f_thres, t_thres, steps):
    """Algorithm 2 of Jin et al. 2017 line by line, with the displacements handed in."""
    x, t_noise, kept, path = np.array(x0, dtype=float), -t_thres - 1, None, []
    draws = iter(displacements)
    for t in range(steps):
        if np.linalg.norm(problem.grad(x)) <= g_thres and t - t_noise > t_thres:
            kept, t_noise = x, t
            x = kept + next(draws)
        if t - t_noise == t_thres and problem.fun(x) - problem.fun(kept) > -f_thres:
            return path, kept
        x = x - eta * problem.grad(x)
        path.append(x)
    return path, None


@pytest.mark.parametrize("start", [np.zeros(4), np.array([0.0, 0.3, -0.2, 0.1]),
                                   np.array([1e-3, 0.0, 0.0, 0.5])])
@pytest.mark.parametrize("numbers", [(0.5, 1e-2, 1e-3, 1e-4, 40), (0.9, 1e-3, 5e-2, 1e-6, 7)])
def test_pgd_is_algorithm_2_step_for_step(start, numbers):
    eta, r, g_thres, f_thres, t_thres = numbers
    problem = QuarticSaddle.spread(4, gamma=0.3)
    method, oracle = PGD(*numbers), Oracle(problem)
    state = method.init(oracle, start, rng=7)
    path, draws = [], []
    while state.finished is None and state.nit < 400:
        state = method.step(oracle, state)
        if state.last_perturbation is not None:
            draws.append(state.last_perturbation)
        if state.finished is None:
            path.append(state.x)
    assert draws and all(np.linalg.norm(xi) <= r for xi in draws)
    expected, returned = algorithm_2(problem, start, draws, eta, g_thres, f_thres, t_thres, 400)
    assert len(path) == len(expected)
    np.testing.assert_array_equal(path, expected)
    if returned is not None:
        np.testing.assert_array_equal(state.x, returned)
    assert (state.finished == "stationary") == (returned is not None)


def test_pgd_returns_the_point_before_the_perturbation_and_its_gradient():
    problem = QuarticSaddle(gamma=0.5, eigenvalues=[1.0])
    x = problem.minimizers[0]
    method = PGD(0.5, 1e-3, 1e-6, 1e-8, 10)
    oracle = Oracle(problem)
    state = method.init(oracle, x, rng=0)
    while state.finished is None:
        state = method.step(oracle, state)
    assert (state.x == x).all() and np.linalg.norm(state.jac) <= 1e-6
    assert state.nit == 10 and state.perturbed_at == (0,)
    assert oracle.nfev == 2  # once before the perturbation, once to judge it


@pytest.mark.parametrize("problem", [p for p in catalogue()], ids=lambda p: p.name)
def test_one_step_of_gradient_descent_decreases_as_the_descent_lemma_says(problem):
    """f(x⁺) ≤ f(x) − (η/2)‖∇f‖² for η ≤ 1/ℓ (Jin et al. 2017, Lemma 9), where ℓ holds."""
    rng = np.random.default_rng(0)
    for eta in (1 / problem.lipschitz_grad, 0.3 / problem.lipschitz_grad):
        method, oracle = GradientDescent(eta), Oracle(problem)
        for x in problem.region.sample(rng, 200):
            state = method.init(oracle, x)
            after = method.step(oracle, state)
            both = problem.region.contains(np.stack([x, after.x]))
            if both.all():
                drop = problem.fun(x) - problem.fun(after.x)
                promised = eta / 2 * (state.jac @ state.jac)
                assert drop >= promised - 1e-12 * max(1, abs(problem.fun(x)))


@pytest.mark.parametrize("dim", [2, 10, 100])
@pytest.mark.parametrize("c", [1.0, 0.1])
def test_the_constants_of_2017_escape_within_their_window(dim, c):
    """From a strict saddle, f falls by f_thres within t_thres steps in every one of many trials.

    Lemma 10 promises probability 1 − (dℓ/√(ρε))e^{−χ}, which is above 1 − 10⁻³ here.
    """
    gamma = 0.1
    problem = QuarticSaddle.spread(dim, gamma)
    ell, rho = problem.lipschitz_grad, problem.lipschitz_hess
    epsilon = gamma**2 / rho
    method = PGD.jin2017(lipschitz_grad=ell, lipschitz_hess=rho, epsilon=epsilon, dim=dim,
                         delta_f=gamma**2 / 4, failure_prob=0.1, c=c)
    chi = jin2017.pgd_constants(ell, rho, epsilon, dim, gamma**2 / 4, 0.1, c).chi
    assert dim * ell / gamma * math.exp(-chi) < 1e-3
    rng, oracle = np.random.default_rng(dim), Oracle(problem)
    for _ in range(30 if c == 1 else 3):
        state = method.init(oracle, np.zeros(dim), rng)
        for _ in range(method.episode_length):
            state = method.step(oracle, state)
        assert problem.fun(state.x) <= -method.decrease_threshold
        assert state.perturbed_at[0] == 0


@pytest.mark.parametrize("dim", [1, 2, 10, 200])
def test_the_ball_is_uniform(dim):
    """E ξ₁² = r²/(d+2) and P(‖ξ‖ ≤ s r) = s^d."""
    n, r = 20_000, 0.3
    xi = uniform_ball(np.random.default_rng(1), dim, r, n)
    norms = np.linalg.norm(xi, axis=1)
    assert norms.max() <= r
    assert np.mean(xi[:, 0] ** 2) == pytest.approx(r**2 / (dim + 2), rel=0.05)
    assert np.mean(norms <= r * 0.5 ** (1 / dim)) == pytest.approx(0.5, abs=0.015)


def test_sphere_and_gaussian_have_the_radius_they_are_given():
    rng = np.random.default_rng(2)
    assert np.linalg.norm(uniform_sphere(rng, 7, 0.2, 50), axis=1) == pytest.approx(0.2)
    assert abs(uniform_sphere(rng, 3, 1.0, 20_000).mean(0)).max() < 0.02
    assert np.mean((gaussian(rng, 50, 0.2, 4000) ** 2).sum(1)) == pytest.approx(0.04, rel=0.02)
    assert uniform_ball(rng, 4).shape == uniform_sphere(rng, 4).shape == gaussian(rng, 4).shape


@pytest.mark.parametrize("change, error, words", [
    (dict(step_size=0.0), ValueError, "step_size"),
    (dict(perturbation_radius=-1.0), ValueError, "perturbation_radius"),
    (dict(grad_threshold=np.inf), ValueError, "grad_threshold"),
    (dict(decrease_threshold=np.nan), ValueError, "decrease_threshold"),
    (dict(episode_length=0), ValueError, "episode_length"),
    (dict(episode_length=1.5), TypeError, "episode_length"),
])
def test_numbers_out_of_range_are_named(change, error, words):
    good = dict(step_size=0.1, perturbation_radius=0.1, grad_threshold=0.1,
                decrease_threshold=0.1, episode_length=5)
    with pytest.raises(error, match=words):
        PGD(**{**good, **change})
