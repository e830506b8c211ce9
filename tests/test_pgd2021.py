"""Algorithm 4 of Jin et al. 2021: step for step, its numbers, its escapes, and our stopping rule.

The printed perturbation is −ηξ. A ball is symmetric, so its sign is no fact about the method, and
no test here holds it.
"""

import math
import pickle

import numpy as np
import pytest

from saddlelib import Oracle, Status, minimize
from saddlelib.methods import PGD, gd_step
from saddlelib.perturbation import uniform_ball
from saddlelib.problems import CoupledQuartic, QuarticSaddle, SeparableQuartic
from saddlelib.theory import jin2021

QUARTIC = QuarticSaddle(gamma=0.5, eigenvalues=[1.0, 2.0])
SADDLE = np.zeros(3)


def method_for(problem, epsilon, iota, **options):
    return PGD.jin2021(lipschitz_grad=problem.lipschitz_grad, epsilon=epsilon,
                       lipschitz_hess=problem.lipschitz_hess, iota=iota, **options)


def run(method, problem, x0, seed=0, steps=20_000):
    """All states of one run, and the oracle that counted it."""
    oracle = Oracle(problem)
    states = [method.init(oracle, np.array(x0, dtype=float), seed)]
    while states[-1].finished is None and states[-1].nit < steps:
        states.append(method.step(oracle, states[-1]))
    return states, oracle


def algorithm_4(problem, x0, displacements, eta, eps, T, steps):
    """The printed algorithm line by line, with the displacements handed in."""
    x, t_perturb, path, draws = np.array(x0, dtype=float), 0, [], iter(displacements)
    for t in range(steps):
        if np.linalg.norm(problem.grad(x)) <= eps and t - t_perturb > T:
            x = x + next(draws)
            t_perturb = t
        x = x - eta * problem.grad(x)
        path.append(x)
    return path


@pytest.mark.parametrize("start", [[0.0, 0.0, 0.0], [0.0, 0.3, -0.2], [1e-3, 0.0, 0.5]])
@pytest.mark.parametrize("epsilon, iota", [(1e-2, 3.0), (3e-2, 20.0)])
def test_as_printed_it_is_algorithm_4_step_for_step_and_never_stops(start, epsilon, iota):
    method = method_for(QUARTIC, epsilon, iota, wait=True, stop=False)
    k = jin2021.pgd_constants(QUARTIC.lipschitz_grad, QUARTIC.lipschitz_hess, epsilon, iota)
    states, oracle = run(method, QUARTIC, start, seed=7, steps=5 * k.episode_length)
    draws = [s.last_perturbation for s in states if s.last_perturbation is not None]
    assert len(draws) >= 3 and all(np.linalg.norm(xi) <= k.perturbation_radius for xi in draws)
    expected = algorithm_4(QUARTIC, start, draws, k.step_size, epsilon, k.episode_length,
                           5 * k.episode_length)
    np.testing.assert_array_equal([s.x for s in states[1:]], expected)
    assert states[-1].finished is None and oracle.nfev == 0
    assert oracle.njev == 1 + states[-1].nit + len(draws)
    assert states[-1].perturbed_at[0] > k.episode_length


@pytest.mark.parametrize("wait", [False, True])
def test_waiting_costs_one_episode_and_changes_nothing_else(wait):
    """At a stationary point perturbations come every 𝒯 + 1 steps, first at 0 or at 𝒯 + 1."""
    method = method_for(QUARTIC, 1e-1, 20.0, wait=wait, stop=False)
    T = method.episode_length
    states, _ = run(method, QUARTIC, QUARTIC.minimizers[0], steps=4 * (T + 1))
    assert states[-1].perturbed_at == tuple((T + 1) * k for k in range(wait, 4))


@pytest.mark.parametrize("iota", [1.0, 7.3, 40.0])
@pytest.mark.parametrize("ell, rho, epsilon", [(2.0, 6.0, 1e-2), (10.0, 0.1, 1e-3)])
def test_the_numbers_are_those_of_equation_6(ell, rho, epsilon, iota):
    """η = 1/ℓ, ηr = ε/(400ι³ℓ), 𝒯 = ιℓ/√(ρε), and ℱ/2 = √(ε³/ρ)/(100ι³) for the test."""
    method = PGD.jin2021(lipschitz_grad=ell, lipschitz_hess=rho, epsilon=epsilon, iota=iota)
    assert method.step_size == pytest.approx(1 / ell)
    assert method.perturbation_radius == pytest.approx(epsilon / (400 * iota**3 * ell))
    assert method.grad_threshold == epsilon
    assert method.decrease_threshold == pytest.approx(math.sqrt(epsilon**3 / rho) / 100 / iota**3)
    exact = iota * ell / math.sqrt(rho * epsilon)
    assert exact * (1 - 1e-12) <= method.episode_length < exact + 1
    assert not method.wait


def test_without_iota_it_is_the_smallest_that_the_proof_allows():
    constants = dict(lipschitz_grad=2.0, lipschitz_hess=6.0, epsilon=1e-3)
    problem = dict(dim=50, delta_f=3.0, failure_prob=0.01)
    iota = jin2021.smallest_iota(**constants, **problem)
    assert PGD.jin2021(**constants, **problem) == PGD.jin2021(**constants, iota=iota)


@pytest.mark.parametrize("seed", range(40))
def test_the_stops_at_saddles_add_up_to_less_than_delta(seed):
    """(1 + 2Δ_f/ℱ) perturbations × Lemma 20 ≤ δ at the smallest ι, where ℓΔ_f ≥ ε²/300."""
    rng = np.random.default_rng(seed)
    ell, rho = 10.0 ** rng.uniform(-3, 3, 2)
    epsilon = ell**2 / rho * 10.0 ** rng.uniform(-6, 0)
    delta_f = epsilon**2 / (300 * ell) * 10.0 ** rng.uniform(0, 8)
    dim, delta = int(10.0 ** rng.uniform(0, 6)), 10.0 ** rng.uniform(-6, -0.1)
    iota = jin2021.smallest_iota(ell, rho, epsilon, dim, delta_f, delta)
    drop = jin2021.pgd_constants(ell, rho, epsilon, iota).decrease
    each = jin2021.escape_failure_prob(ell, rho, epsilon, dim, iota)
    assert (1 + 2 * delta_f / drop) * each <= delta


@pytest.mark.parametrize("problem", [QUARTIC, SeparableQuartic(3), CoupledQuartic(4)],
                         ids=lambda p: p.name)
@pytest.mark.parametrize("iota", [2.0, 20.0])
def test_every_run_ends_within_its_bound_whatever_is_drawn(problem, iota):
    """Δ_f max{2(𝒯+1)/ℱ, 2ℓ/ε²} + 𝒯 steps and 1 + 2Δ_f/ℱ perturbations, from anywhere."""
    epsilon = 0.02
    method = method_for(problem, epsilon, iota)
    starts = np.vstack([problem.saddles[:2], 0.3 * problem.region.sample(
        np.random.default_rng(1), 4)])
    for seed, x0 in enumerate(starts):
        states, oracle = run(method, problem, x0, seed)
        end, delta_f, T = states[-1], problem.fun(x0) - problem.f_star, method.episode_length
        drop = 2 * method.decrease_threshold
        assert end.finished == "stationary"
        assert end.nit <= delta_f * max(2 * (T + 1) / drop,
                                        2 * problem.lipschitz_grad / epsilon**2) + T
        assert len(end.perturbed_at) <= 1 + 2 * delta_f / drop
        # It is the point before the last perturbation, with its own gradient.
        np.testing.assert_array_equal(end.x, states[end.perturbed_at[-1]].x)
        np.testing.assert_array_equal(end.jac, problem.grad(end.x))
        assert np.linalg.norm(end.jac) <= epsilon and end.nit == end.perturbed_at[-1] + T
        # One value before each perturbation and one to judge it; one gradient at x0, each step
        # and each perturbation.
        assert oracle.nfev == 2 * len(end.perturbed_at)
        assert oracle.njev == 1 + end.nit + len(end.perturbed_at)
        for begin in end.perturbed_at[:-1]:
            assert (problem.fun(states[begin + T].x) - problem.fun(states[begin].x)
                    <= -method.decrease_threshold)


def fails(problem, method, n, rng):
    """How many of n perturbations at the origin, a saddle, have not lowered f by ℱ/2 after 𝒯."""
    x = uniform_ball(rng, problem.dim, method.perturbation_radius, n)
    for _ in range(method.episode_length):
        x = gd_step(x, problem.grad(x), method.step_size)
    return np.count_nonzero(problem.fun(x) > -method.decrease_threshold)


@pytest.mark.parametrize("dim", [2, 10, 100])
def test_perturbations_fail_no_more_often_than_lemma_20_allows(dim):
    """√(ρε) = γ, the least curvature that counts; and where ι is small, none of them helps."""
    n, gamma = 2000, 0.1
    problem = QuarticSaddle.spread(dim, gamma)
    ell, rho = problem.lipschitz_grad, problem.lipschitz_hess
    epsilon = gamma**2 / rho
    bound = jin2021.escape_failure_prob(ell, rho, epsilon, dim, 28.0)
    rng = np.random.default_rng(dim)
    assert bound < 0.1
    assert fails(problem, method_for(problem, epsilon, 28.0), n, rng) <= bound * n
    assert jin2021.escape_failure_prob(ell, rho, epsilon, dim, 4.0) > 1
    assert fails(problem, method_for(problem, epsilon, 4.0), 100, rng) == 100


def test_a_run_stops_at_a_saddle_no_more_often_than_lemma_20_allows():
    """The method itself, 100 seeds: at ι = 28 every run goes on, at ι = 4 every run stops."""
    gamma = 0.3
    problem = QuarticSaddle.spread(4, gamma)
    epsilon = gamma**2 / problem.lipschitz_hess

    def stops(iota):
        method = method_for(problem, epsilon, iota)
        ends = (run(method, problem, np.zeros(4), seed, method.episode_length + 1)[0][-1]
                for seed in range(100))
        return sum(end.finished is not None for end in ends)
    assert stops(28.0) <= 100 * jin2021.escape_failure_prob(
        problem.lipschitz_grad, problem.lipschitz_hess, epsilon, 4, 28.0) < 1
    assert stops(4.0) == 100


@pytest.mark.parametrize("options", [dict(), dict(iota=25.0), dict(wait=True)])
def test_the_front_door_gives_the_same_run_and_counts_it(options):
    epsilon = 0.02
    result = minimize(QUARTIC, SADDLE, "pgd", rule="jin2021", epsilon=epsilon, failure_prob=0.1,
                      rng=4, **options)
    numbers = dict(options)
    if "iota" not in options:
        numbers |= dict(dim=3, delta_f=-QUARTIC.f_star, failure_prob=0.1)
    method = PGD.jin2021(lipschitz_grad=QUARTIC.lipschitz_grad, epsilon=epsilon,
                         lipschitz_hess=QUARTIC.lipschitz_hess, **numbers)
    states, oracle = run(method, QUARTIC, SADDLE, seed=4)
    assert result.success and (result.x == states[-1].x).all() and result.nit == states[-1].nit
    assert result.perturbed_at == states[-1].perturbed_at
    seen = result.certificate
    assert result.njev - seen.njev == oracle.njev
    # The result; f(x0) for Δ_f.
    assert result.nfev - seen.nfev == oracle.nfev + 1 + ("iota" not in options)
    assert QUARTIC.distance(result.x) < 0.1


@pytest.mark.parametrize("wait", [False, True])
def test_without_the_stop_only_a_budget_ends_it(wait):
    result = minimize(QUARTIC, SADDLE, "pgd", rule="jin2021", epsilon=0.02, rng=0, stop=False,
                      wait=wait, maxiter=2000)
    assert result.status == Status.MAXITER and not result.success and result.nit == 2000


def test_a_run_is_cut_anywhere_in_an_episode_and_goes_on_bit_for_bit():
    options = dict(method="pgd", rule="jin2021", epsilon=0.02)
    start = [1e-3, 0.4, -0.2]
    whole = minimize(QUARTIC, start, rng=9, **options)
    T = whole.perturbed_at[-1] - whole.perturbed_at[-2] - 1
    first = whole.perturbed_at[0]
    assert whole.success and first > 0
    for cut in (0, first, first + 1, first + T // 2, first + T, first + T + 1, whole.nit):
        part = minimize(QUARTIC, start, rng=9, maxiter=cut, **options)
        assert part.status == Status.MAXITER and part.nit == cut
        rest = minimize(QUARTIC, state=pickle.loads(pickle.dumps(part.state)), **options)
        # Constants come from f at the start, not from f where the run goes on.
        assert rest.state.delta_f == whole.state.delta_f
        assert (rest.x == whole.x).all() and rest.nit == whole.nit and rest.success
        assert rest.perturbed_at == whole.perturbed_at


def test_a_state_of_one_rule_goes_on_with_another():
    """Outside an episode, that is: the perturbation inside one has the size of its own rule."""
    part = minimize(QUARTIC, [0.0, 1.0, 1.0], "pgd", rule="jin2021", epsilon=0.02, rng=0, maxiter=1)
    assert part.perturbed_at == ()
    for options in (dict(rule="jin2017"), dict(), dict(rule="jin2021", iota=20.0)):
        assert minimize(QUARTIC, state=part.state, method="pgd", epsilon=0.02, **options).success


@pytest.mark.parametrize("shift, note", [(1.0, "f = 1 to 2.2e-16"), (-50.0, "f = -50 to 7.1e-15")])
def test_a_test_that_float64_cannot_carry_is_not_made(shift, note):
    """ℱ/2 = 3·10⁻¹⁷ here: at f = 1 the outcome of the test would be rounding."""
    result = minimize(lambda x: shift + QUARTIC.fun(x), SADDLE, "pgd", rule="jin2021",
                      jac=QUARTIC.grad, hessp=QUARTIC.hvp, lipschitz_grad=2.0, lipschitz_hess=4.3,
                      epsilon=1e-5, delta_f=1.0, rng=0)
    assert result.status == Status.PRECISION and not result.success and result.nit == 0
    assert note in result.message and result.perturbed_at == ()


def test_a_perturbation_that_float64_swallows_is_said():
    far = np.array([1e6, 1e6, 1e6])
    result = minimize(lambda x: QUARTIC.fun(x - far), far, "pgd", rule="jin2021", epsilon=0.02,
                      jac=lambda x: QUARTIC.grad(x - far),
                      hessp=lambda x, v: QUARTIC.hvp(x - far, v), lipschitz_grad=2.0,
                      lipschitz_hess=4.3, delta_f=1.0, rng=0)
    assert result.status == Status.PRECISION and "1.2e-10" in result.message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("from_value", [1, 2, 3])
def test_a_value_that_is_not_finite_ends_the_run_before_it(value, from_value):
    """The 1st value is asked for before the perturbation, the 2nd to judge it, the 3rd again."""
    count = iter(range(1, 10**6))

    def fun(x):
        return QUARTIC.fun(x) if next(count) < from_value else value
    result = minimize(fun, SADDLE, "pgd", rule="jin2021", jac=QUARTIC.grad, hessp=QUARTIC.hvp,
                      lipschitz_grad=2.0, lipschitz_hess=4.3, epsilon=0.02, delta_f=1.0, rng=0)
    assert result.status == Status.NONFINITE and not result.success
    assert len(result.perturbed_at) == from_value // 2
    if from_value < 3:  # at the saddle, or back at it: the last point with a value
        assert (result.x == SADDLE).all() and (result.jac == 0).all()


def test_a_gradient_that_is_not_finite_inside_an_episode_ends_at_the_last_finite_point():
    count = iter(range(10**6))

    def grad(x):
        return QUARTIC.grad(x) if next(count) < 12 else np.full(3, np.nan)
    result = minimize(QUARTIC.fun, SADDLE, "pgd", rule="jin2021", jac=grad, hessp=QUARTIC.hvp,
                      lipschitz_grad=2.0, lipschitz_hess=4.3, epsilon=0.02, delta_f=1.0, rng=0)
    assert result.status == Status.NONFINITE and np.isfinite(result.jac).all()
    assert result.nit == 10 and result.njev == 13 and result.perturbed_at == (0,)


PLAIN = dict(fun=QUARTIC.fun, x0=SADDLE, method="pgd", rule="jin2021", jac=QUARTIC.grad,
             hessp=QUARTIC.hvp, lipschitz_grad=2.0, lipschitz_hess=4.3, delta_f=1.0)


@pytest.mark.parametrize("change, error, words", [
    (dict(step_size=0.1), ValueError, "sets step_size = 1/ℓ itself; leave step_size out"),
    (dict(lipschitz_grad=None), ValueError, "'jin2021' needs lipschitz_grad"),
    (dict(lipschitz_hess=None, curvature_tol=0.1), ValueError, "needs .*lipschitz_hess"),
    (dict(delta_f=None), ValueError, "needs delta_f"),
    (dict(iota=20.0), ValueError, "not both"),
    (dict(iota=0.5, delta_f=None), ValueError, "iota must be at least 1"),
    (dict(epsilon=2.0), ValueError, "epsilon must be at most ℓ²/ρ"),
    (dict(c=1.0), TypeError, "no option c; it takes iota, wait, stop"),
    (dict(perturbation_radius=1.0), TypeError, "no option perturbation_radius"),
])
def test_bad_input_is_named_with_its_remedy(change, error, words):
    with pytest.raises(error, match=words):
        minimize(**{**PLAIN, **change})
