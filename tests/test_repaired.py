"""The method of the episode theorem: what it promises holds in every run, at saddles or not."""

import math
import pickle

import numpy as np
import pytest

from saddlelib import Oracle, certify
from saddlelib.curvature import Verdict
from saddlelib.methods import RepairedPSD
from saddlelib.problems import (
    CoupledQuartic,
    MonkeySaddle,
    QuadraticSaddle,
    QuarticSaddle,
    SeparableQuartic,
)
from saddlelib.theory import episode

PROBLEMS = [SeparableQuartic(3), CoupledQuartic(4), QuarticSaddle.spread(10, gamma=0.3),
            QuadraticSaddle([1.0, 0.1]), MonkeySaddle()]
EPSILON = 1e-3


def rule(problem, failure_prob=0.1, delta_f=1.0):
    return RepairedPSD.proved(problem.lipschitz_grad, problem.lipschitz_hess or 1.0, EPSILON,
                              problem.dim, delta_f, failure_prob)


def states(problem, method, x0, seed=0, most=20_000):
    oracle = Oracle(problem)
    found = [method.init(oracle, np.array(x0, dtype=float), seed)]
    while found[-1].finished is None and found[-1].nit < most:
        found.append(method.step(oracle, found[-1]))
        if not problem.region.contains(found[-1].x):
            break
    return found, oracle


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
def test_every_episode_that_ends_has_lowered_f_by_half_of_what_it_certified(problem):
    method = rule(problem)
    ended = 0
    for seed in range(5):
        run, _ = states(problem, method, np.zeros(problem.dim), seed)
        for old, new in zip(run, run[1:], strict=False):
            if new.x_tilde is not None and new.left == 0 and old.left + (
                    new.last_perturbation is not None) > 0 and new.finished is None:
                assert new.certified >= method.exit_decrease
                assert problem.fun(new.x) <= problem.fun(new.x_tilde) - method.exit_decrease / 2
                ended += 1
    assert ended or problem.name in ("quadratic saddle", "monkey saddle")


def test_it_leaves_every_strict_saddle_and_returns_second_order_stationary_points():
    for problem in PROBLEMS[:3]:
        for x0 in problem.saddles:
            run, _ = states(problem, rule(problem), x0, seed=3)
            assert run[-1].finished == "stationary"
            seen = certify(problem, run[-1].x, epsilon=EPSILON, rng=0)
            assert seen.verdict is Verdict.SOSP
            assert np.linalg.norm(run[-1].jac) <= rule(problem).grad_threshold


def test_it_returns_the_point_before_the_perturbation_after_exactly_t_steps_at_a_minimizer():
    problem = QuadraticSaddle([1.0, 0.5])
    method = RepairedPSD.proved(1.0, 1.0, EPSILON, 2, 1.0)
    run, oracle = states(problem, method, [0.0, 0.0])
    assert run[-1].finished == "stationary" and not run[-1].x.any() and not run[-1].jac.any()
    assert run[-1].nit == method.episode_length
    assert oracle.njev == 1 + method.episode_length  # x̃, then y₀ … y_{T−1}
    assert (oracle.nfev, oracle.nhvp, oracle.nhev) == (0, 0, 0)


@pytest.mark.parametrize("problem", PROBLEMS[:3], ids=lambda p: p.name)
def test_gradients_are_one_a_step_and_one_a_perturbation_and_within_the_bound(problem):
    delta_f = problem.fun(np.zeros(problem.dim)) - problem.f_star
    run, oracle = states(problem, rule(problem, delta_f=delta_f), np.zeros(problem.dim))
    last = run[-1]
    assert oracle.njev == last.nit + len(last.perturbed_at)  # the stuck end saves the last one
    assert oracle.njev <= episode.iteration_bound(
        problem.lipschitz_grad, problem.lipschitz_hess, EPSILON, problem.dim, delta_f)


def test_the_certified_decrease_of_an_episode_is_the_sum_over_its_gradients():
    problem, method = SeparableQuartic(3), rule(SeparableQuartic(3))
    run, _ = states(problem, method, np.zeros(3), seed=1)
    pairs = [(old, new) for old, new in zip(run, run[1:], strict=False) if old.left > 0 < new.left]
    assert len(pairs) > 5
    for old, new in pairs:
        gain = episode.certified_decrease([np.linalg.norm(old.jac)], method.step_size,
                                          method.lipschitz_grad)
        assert new.certified == pytest.approx(old.certified + gain, rel=1e-12, abs=0)


def test_returns_of_a_saddle_are_as_rare_as_promised():
    # ρ = γ²/ε makes the curvature just the one that has to be seen; an episode is as short as
    # it may be, so that failures can be counted.
    problem = QuadraticSaddle([-1.0, 0.0, 0.0])
    steps = math.ceil(8 * 2 / 1.0)
    k = episode.episode_constants(2.0, 1.0, 1.0, 3, steps)
    method = RepairedPSD(k.step_size, k.grad_threshold, k.perturbation_radius, k.exit_decrease,
                         2.0, steps)
    failed = 0
    for seed in range(1000):
        oracle = Oracle(problem)
        state = method.init(oracle, np.zeros(3), seed)
        for _ in range(steps):
            state = method.step(oracle, state)
            if state.finished or state.left == 0:
                break
        failed += state.finished == "stationary"
    assert k.failure_prob < 0.2
    assert 0 < failed / 1000 <= k.failure_prob


def test_a_run_goes_on_bit_for_bit_from_the_middle_of_an_episode():
    problem, method = SeparableQuartic(3), rule(SeparableQuartic(3))
    run, _ = states(problem, method, np.zeros(3), seed=1)
    oracle = Oracle(problem)
    state = method.init(oracle, np.zeros(3), 1)
    for _ in range(5):
        state = method.step(oracle, state)
    assert state.left > 0
    state = pickle.loads(pickle.dumps(state))
    while state.finished is None:
        state = method.step(oracle, state)
    assert state.nit == run[-1].nit and (state.x == run[-1].x).all()


def test_a_perturbation_that_float64_swallows_ends_the_run_with_that_word():
    problem = QuadraticSaddle([-1.0, 0.0])
    method = RepairedPSD(0.5, 1e300, 1e-20, 1e-3, 2.0, 10)
    state = method.step(Oracle(problem), method.init(Oracle(problem), np.ones(2), 0))
    assert state.finished == "precision" and "float64" in state.note


def far_bowl(epsilon):
    """.015 (x − X)² where float64 resolves X to about a quarter of r; the method with ℓ = ρ = 1."""
    method = RepairedPSD.proved(1.0, 1.0, epsilon, 1, 1.0)
    far = 2.0 ** math.floor(math.log2(method.perturbation_radius / 4 * 2**52))
    unit = np.spacing(far)
    assert 1 / 8 < unit / method.perturbation_radius <= 1 / 4
    return method, far, unit, Oracle(lambda x: 0.015 * float((x[0] - far)**2),
                                     jac=lambda x: 0.03 * (x - far))


def test_steps_that_rounding_has_lost_count_for_nothing():
    """Their gradients alone would have certified a success, with f higher than before."""
    method, far, _, oracle = far_bowl(1e-5)
    ends = {"precision": 0, "stationary": 0}
    would_succeed = 0
    for seed in range(6):
        state = method.init(oracle, np.array([far]), seed)
        before = oracle.njev
        while state.finished is None and state.nit <= method.episode_length:
            state = method.step(oracle, state)
            if state.left or state.finished:
                assert state.certified <= 1e-30  # the bowl is flat for float64: no move is made
        assert (state.x == far).all() and oracle.njev - before <= method.episode_length
        ends[state.finished] += 1
        if state.unrounded >= method.exit_decrease:
            would_succeed += 1
            assert state.finished == "precision" and "steps were rounded" in state.note
    assert would_succeed > 1 and ends["precision"] >= would_succeed


@pytest.mark.parametrize("units", [3, 200, 10_000])
def test_a_descent_that_rounding_has_stopped_ends_instead_of_going_on_for_ever(units):
    """Within its bound, which every step that was made has paid for."""
    method, far, unit, oracle = far_bowl(1e-5)
    x0 = np.array([far + units * unit])
    state, path = method.init(oracle, x0, 0), [x0]
    while state.finished is None and state.nit < 1000:
        state = method.step(oracle, state)
        path.append(state.x)
    assert state.finished == "precision" and "lost when added to x" in state.note
    assert np.linalg.norm(state.jac) > method.grad_threshold
    fall = oracle.fun(x0) - oracle.fun(state.x)
    paid = 0.5 * method.step_size * method.grad_threshold**2
    assert (state.nit - 1) * paid * (1 - 1e-6) <= fall and (path[-1] == path[-2]).all()


@pytest.mark.parametrize("grid", [1 / 2, 1 / 8, 1 / 64])
def test_an_episode_that_succeeds_has_lowered_f_by_half_also_where_everything_is_rounded(grid):
    """A saddle at X, where float64 resolves x to a share of r/√d; the differences x − X are exact.
    """
    method = RepairedPSD.proved(1.0, 1.0, 0.01, 2, 1.0)
    far = 2.0 ** math.floor(math.log2(grid * method.perturbation_radius / math.sqrt(2) * 2**52))
    h, succeeded = np.array([-1.0, 1.0]), 0
    oracle = Oracle(lambda x: float(h @ (x - far)**2) / 2, jac=lambda x: h * (x - far))
    for seed in range(40):
        state = method.init(oracle, np.array([far, far]), seed)
        for _ in range(method.episode_length):
            state = method.step(oracle, state)
            if state.finished or state.left == 0:
                break
        if state.finished is None:
            succeeded += 1
            assert oracle.fun(state.x) <= -method.exit_decrease / 2
        else:
            assert state.finished == "precision" and "perturbation" in state.note
    assert succeeded > 5


def test_a_perturbation_that_rises_more_than_half_has_to_be_earned_back():
    """As with numbers that are not those of the theorem: a radius up to four times too long."""
    problem, half = QuadraticSaddle([1.0, 1.0]), 8e-6
    method = RepairedPSD(1.0, 1e-3, 16e-3, 2 * half, 1.0, 5)
    longer = 0
    for seed in range(20):
        state = method.step(Oracle(problem), method.init(Oracle(problem), np.zeros(2), seed))
        rise = problem.fun(state.last_perturbation)
        longer += rise > half
        assert state.certified == pytest.approx(min(rise, half))  # back at the minimizer
        assert state.left > 0  # no success: f is where it was
    assert 0 < longer < 20


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
def test_the_worth_of_a_move_is_never_more_than_what_it_lowers_f_by(problem):
    """Rounded to a coarse grid, lost, or sent astray: −⟨g, s⟩ − (ℓ/2)‖s‖² holds for any move."""
    rng, ell, positive = np.random.default_rng(0), problem.lipschitz_grad, 0
    for x in problem.region.sample(rng, 200):
        g = problem.grad(x)
        step = -g / ell
        grid = np.abs(step).max() / rng.choice([0.5, 3.0, 100.0])
        for s in (step, grid * np.round(step / grid), 0 * step, rng.normal(size=x.size) * 0.1):
            if problem.region.contains(x + s):
                worth = episode.certified_move(g, s, ell)
                assert worth <= problem.fun(x) - problem.fun(x + s) + 1e-13
                positive += worth > 0
    assert positive > 200


@pytest.mark.parametrize("change, named", [
    (dict(step_size=1.0), "step_size"), (dict(grad_threshold=0.0), "grad_threshold"),
    (dict(exit_decrease=-1.0), "exit_decrease"), (dict(episode_length=0), "episode_length"),
    (dict(perturbation_radius=np.nan), "perturbation_radius")])
def test_bad_numbers_are_named(change, named):
    good = dict(step_size=0.5, grad_threshold=1e-3, perturbation_radius=1e-3, exit_decrease=1e-6,
                lipschitz_grad=2.0, episode_length=10)
    with pytest.raises(ValueError, match=named):
        RepairedPSD(**(good | change))
