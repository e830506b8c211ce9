"""PSD: as published, step for step; with certificates, in what it promises and what it costs."""

import math
import pickle

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

import saddlelib
from saddlelib import Oracle, Status, Verdict, certify, minimize
from saddlelib.methods import PGD, PSD, CertifiedPSD
from saddlelib.methods.psd import MOST_DOUBLINGS, _shorter, curvature_step
from saddlelib.problems import (
    CoupledQuartic,
    MatrixFactorization,
    Octopus,
    QuadraticSaddle,
    QuarticSaddle,
    SeparableQuartic,
    catalogue,
)
from saddlelib.theory import alpay2025

QUARTIC = QuarticSaddle(gamma=0.5, eigenvalues=[1.0, 2.0])


def algorithm_1(problem, x0, displacements, eta, eps, gamma, T, M, steps):
    """Algorithm 1 of the authors' repository line by line, with the displacements handed in."""
    x, used, path, draws = np.array(x0, dtype=float), 0, [], iter(displacements)
    while len(path) < steps:
        if np.linalg.norm(problem.grad(x)) > eps:
            x = x - eta * problem.grad(x)
            path.append(x)
            continue
        if np.linalg.eigvalsh(problem.hess(x))[0] >= -gamma:
            return path, "stationary"
        if used == M:
            return path, "used"
        used += 1
        x = x + next(draws)
        for _ in range(T):
            x = x - eta * problem.grad(x)
            path.append(x)
    return path[:steps], None


@pytest.mark.parametrize("start", [np.zeros(4), np.array([0.0, 0.3, -0.2, 0.1])])
@pytest.mark.parametrize("numbers, end", [((0.5, 1e-2, 0.05, 1e-3, 90, 5), "stationary"),
                                          ((0.5, 1e-2, 0.05, 1e-3, 3, 4), "used"),
                                          ((0.9, 1e-6, 0.05, 1e-4, 90, 1), "stationary")])
def test_psd_is_algorithm_1_step_for_step(start, numbers, end):
    eta, eps, gamma, r, T, M = numbers
    problem = QuarticSaddle.spread(4, gamma=0.3)
    method, oracle = PSD(*numbers), Oracle(problem)
    state, path, draws = method.init(oracle, start, rng=7), [], []
    while state.finished is None and state.nit < 400:
        state = method.step(oracle, state)
        if state.last_perturbation is not None:
            draws.append(state.last_perturbation)
        if state.finished is None:
            path.append(state.x)
    assert draws and all(np.linalg.norm(xi) <= r for xi in draws)
    expected, how = algorithm_1(problem, start, draws, eta, eps, gamma, T, M, 400)
    assert how == end and len(path) == len(expected)
    np.testing.assert_array_equal(path, expected)
    assert state.finished == "stationary" and ("episodes are used" in state.note) == (end == "used")
    assert len(draws) == state.episodes and (end != "used" or state.episodes == M)


def test_the_published_method_takes_the_published_numbers():
    """T + 2 gradients and two dense Hessians from a saddle: one at x₀, one at x₀ + ξ, T steps."""
    epsilon = 0.05
    k = alpay2025.psd_constants(QUARTIC.lipschitz_grad, QUARTIC.lipschitz_hess, epsilon, 3,
                                -QUARTIC.f_star, 0.1)
    result = minimize(QUARTIC, np.zeros(3), "psd", rule="published", epsilon=epsilon,
                      failure_prob=0.1, rng=0)
    assert result.success and result.nit == k.episode_length
    assert result.njev - result.certificate.njev == k.episode_length + 2 and result.nhev == 2
    assert result.perturbed_at == (0,) and result.state.episodes == 1
    method = PSD.published(lipschitz_grad=QUARTIC.lipschitz_grad, dim=3, epsilon=epsilon,
                           lipschitz_hess=QUARTIC.lipschitz_hess, delta_f=-QUARTIC.f_star,
                           failure_prob=0.1)
    assert (method.step_size, method.curvature_tol, method.perturbation_radius,
            method.episode_length, method.max_episodes) == (
        k.step_size, k.curvature_tol, k.perturbation_radius, k.episode_length, k.max_episodes)
    assert result.state.min_eig == pytest.approx(np.linalg.eigvalsh(QUARTIC.hess(result.x))[0])


def test_spent_episodes_are_told_apart_from_success():
    """The published code returns x in both cases."""
    method, oracle = PSD(0.2, 1e-2, 0.1, 1e-6, 2, 3), Oracle(QUARTIC)
    state = method.init(oracle, np.zeros(3), rng=0)
    while state.finished is None:
        state = method.step(oracle, state)
    assert state.note == "all 3 episodes are used" and oracle.nhev == 4
    result = minimize(QUARTIC, state=state, method="psd", epsilon=1e-2, rng=0)
    assert result.status == Status.SADDLE and not result.success
    assert result.message.endswith("(all 3 episodes are used)")


def test_a_hessian_that_is_not_finite_is_not_a_success():
    result = minimize(QUARTIC.fun, np.zeros(3), "psd", rule="published", jac=QUARTIC.grad,
                      hess=lambda x: np.full((3, 3), np.nan), lipschitz_grad=2.0,
                      lipschitz_hess=4.3, delta_f=1.0, rng=0)
    assert result.status == Status.CANNOT_TELL and result.nit == 0


def certified(problem=QUARTIC, epsilon=1e-3, **options):
    return CertifiedPSD.practical(step_size=1 / problem.lipschitz_grad, epsilon=epsilon,
                                  dim=problem.dim, lipschitz_hess=problem.lipschitz_hess,
                                  **options)


def test_the_practical_numbers_are_the_scales_of_the_problem():
    k = CertifiedPSD.practical(step_size=0.5, epsilon=1e-2, dim=50, lipschitz_hess=4.0)
    gamma, scale = 0.2, 0.05
    assert k.curvature_tol == pytest.approx(gamma) and k.exit_radius == pytest.approx(scale)
    published = alpay2025.psd_constants(1.0, 4.0, 1e-2, 50, 1.0).perturbation_radius
    assert k.perturbation_radius == pytest.approx(published) == pytest.approx(scale / 8)
    assert k.decrease_threshold**2 == pytest.approx(0.01 * 1e-2**3 / 4.0)
    exact = np.log(100 * 8 * 50**0.5) / np.log1p(0.5 * gamma)
    assert exact <= k.episode_length < exact + 1
    assert k.lipschitz_hess == 4.0
    bare = CertifiedPSD(0.1, 0.1, 0.1, 0.1, 0.2, 0.1, 5)
    for defaults in (k, bare):
        assert defaults.patience == 3 and defaults.failure_prob == 1e-4 and defaults.use_direction
        assert defaults.line_search
    wide = CertifiedPSD.practical(step_size=0.5, epsilon=1e-2, dim=5, curvature_tol=0.2,
                                  perturbation_radius=0.3)
    assert wide.exit_radius == 0.6 and wide.lipschitz_hess is None


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("offset", [0.0, 2e-4, -2e-4])
def test_the_known_direction_is_taken_downhill_with_the_guaranteed_decrease(offset, seed):
    """f falls by at least (2/3)|λ|³/ρ² in one displacement of length 2|λ|/ρ."""
    method, oracle = certified(line_search=False), Oracle(QUARTIC)
    x0 = np.array([offset, 0.0, 0.0])
    moved = method.step(oracle, method.init(oracle, x0, rng=seed))
    step, v, curvature = moved.last_perturbation, moved.certificate.direction, -moved.min_eig
    assert v @ QUARTIC.hvp(x0, v) == pytest.approx(-curvature) and curvature > method.curvature_tol
    assert abs(step @ v) == pytest.approx(np.linalg.norm(step))
    assert np.linalg.norm(step) == pytest.approx(2 * curvature / QUARTIC.lipschitz_hess)
    assert step @ QUARTIC.grad(x0) < 0 or offset == 0
    drop = QUARTIC.fun(x0) - QUARTIC.fun(x0 + step)
    assert drop >= 2 / 3 * curvature**3 / QUARTIC.lipschitz_hess**2
    assert moved.left == 0 and moved.nit == 1 and moved.perturbed_at == (0,)
    assert oracle.nfev == 2 and oracle.njev == 3


def test_the_guaranteed_decrease_is_attained_by_the_cubic():
    """f = −|λ|x²/2 + ρ|x|³/6 at 2|λ|/ρ: no constant larger than 1/6 could be asked for."""
    curvature, rho = 0.5, 3.0
    t = 2 * curvature / rho
    assert curvature * t**2 / 2 - rho * t**3 / 6 == pytest.approx(curvature * t**2 / 6)


def test_one_value_is_enough_for_a_displacement_that_meets_the_guarantee():
    """The cubic that attains it, with ρ a thousandth too large: the first length is taken."""
    method = CertifiedPSD.practical(step_size=0.1, epsilon=1e-3, dim=2, lipschitz_hess=3.003,
                                    line_search=False)
    oracle = Oracle(lambda x: -x[0]**2 / 4 + abs(x[0])**3 / 2 + x[1]**2 / 4,
                    jac=lambda x: np.array([-x[0] / 2 + 1.5 * abs(x[0]) * x[0], x[1] / 2]),
                    hessp=lambda x, v: np.array([(3 * abs(x[0]) - 0.5) * v[0], v[1] / 2]))
    state = method.step(oracle, method.init(oracle, np.zeros(2), rng=0))
    assert np.linalg.norm(state.last_perturbation) == pytest.approx(1 / 3.003)
    assert oracle.nfev == 2


def test_a_direction_that_does_not_lower_f_gives_way_to_chance():
    """Lengths are tried down to the radius of the perturbation, one value each."""
    method, oracle = certified(), Oracle(lambda x: 0.0, jac=QUARTIC.grad, hessp=QUARTIC.hvp)
    state = method.step(oracle, method.init(oracle, np.zeros(3), rng=0))
    assert state.left == method.episode_length - 1
    assert np.linalg.norm(state.last_perturbation) <= method.perturbation_radius
    longest = 2 * 0.5 / QUARTIC.lipschitz_hess
    assert oracle.nfev == 2 + int(np.log2(longest / method.perturbation_radius))


def test_a_displacement_that_is_too_long_is_halved_until_f_falls():
    method = CertifiedPSD.practical(step_size=0.1, epsilon=1e-3, dim=3, lipschitz_hess=0.01,
                                    line_search=False)
    oracle = Oracle(QUARTIC)
    state = method.step(oracle, method.init(oracle, np.zeros(3), rng=0))
    x, curvature = state.last_perturbation, -state.min_eig
    halvings = np.log2(2 * curvature / 0.01 / np.linalg.norm(x))
    assert halvings == pytest.approx(round(halvings)) and halvings > 3
    assert oracle.nfev == 2 + round(halvings)
    enough = curvature * (x @ x) / 6
    assert QUARTIC.fun(x) <= -enough and QUARTIC.fun(2 * x) > -4 * enough


@pytest.mark.parametrize("rho", [4.3, 40.0, 0.01])
def test_the_displacement_is_doubled_as_long_as_f_falls(rho):
    """One value for every length tried, whatever ρ was believed to be."""
    method = CertifiedPSD.practical(step_size=0.1, epsilon=1e-3, dim=3, lipschitz_hess=rho)
    oracle, x0 = Oracle(QUARTIC), np.array([2e-4, 0.0, 0.0])
    state = method.init(oracle, x0, rng=0)
    method._look(oracle, state)
    step, curvature = state.last_perturbation, -state.min_eig
    doublings = np.log2(np.linalg.norm(step) / (2 * curvature / rho))
    assert doublings == pytest.approx(round(doublings))
    assert QUARTIC.fun(x0 + step) == state.value < QUARTIC.fun(x0 + step / 2)
    assert QUARTIC.fun(x0 + 2 * step) >= state.value
    # f(x0), the lengths that were too long, the first good one, those after it, one too far.
    assert oracle.nfev == 3 + abs(round(doublings)) and oracle.njev == 2
    assert (rho > 10) == (doublings >= 4) and (rho < 1) == (doublings < -5)


def test_doubling_ends_where_f_has_no_bottom():
    saddle = QuadraticSaddle([-1.0, 1.0])
    result = minimize(saddle, np.zeros(2), "psd", curvature_tol=0.1, lipschitz_hess=1.0, maxiter=1,
                      rng=0)
    assert result.status == Status.MAXITER and np.isfinite(result.x).all()
    assert np.linalg.norm(result.state.last_perturbation) == pytest.approx(2 * 2.0**MOST_DOUBLINGS)
    assert MOST_DOUBLINGS < result.nfev < MOST_DOUBLINGS + 10


def test_a_displacement_onto_the_next_saddle_is_a_step_of_its_own():
    """On this octopus 128 times 2|λ|/ρ is 4τ, where the next saddle is: nothing to descend."""
    octopus = Octopus(4)
    result = minimize(octopus, np.zeros(4), "psd", rng=0)
    assert result.success and result.fun == pytest.approx(octopus.f_star)
    assert result.nit == result.state.episodes == 4
    assert result.njev - result.certificate.njev == 1 + 4
    assert result.perturbed_at == (0, 1, 2, 3)
    # f(x0), then for each 2|λ|/ρ, seven doublings and one too far, at last f of the result.
    assert result.nfev - result.certificate.nfev == 1 + 4 * 9 + 1


SMOOTH = [p for p in catalogue() if p.name in (
    "quartic saddle", "separable quartic", "coupled quartic", "matrix factorization", "octopus")]


@pytest.mark.parametrize("problem", SMOOTH, ids=lambda p: p.name)
def test_every_step_lowers_f_by_what_the_step_size_guarantees(problem):
    """f(x_{k+1}) ≤ f(x_k) − ‖∇f(x_k)‖²/(2ℓ), so there are at most 2ℓΔf/ε² steps; most are longer.

    The region may be left on the way, which the test above f does not need.
    """
    method, longer, steps = certified(problem), 0, 0
    for start in problem.region.sample(np.random.default_rng(3), 5):
        oracle = Oracle(problem)
        state = method.init(oracle, start, rng=0)
        f_start, descents = problem.fun(start), 0
        while np.linalg.norm(state.jac) > method.epsilon and descents < 300:
            new = method.step(oracle, state)
            promised = 0.5 * method.step_size * (state.jac @ state.jac)
            moved = np.linalg.norm(new.x - state.x) / np.linalg.norm(state.jac)
            if moved >= method.step_size * (1 - 1e-9):
                assert problem.fun(new.x) <= problem.fun(state.x) - promised
            assert new.value == problem.fun(new.x) < problem.fun(state.x)
            longer += moved > 1.01 * method.step_size
            state, descents = new, descents + 1
        assert descents <= 2 * (f_start - problem.f_star) / (method.step_size * method.epsilon**2)
        assert np.linalg.norm(state.jac) <= method.epsilon
        assert oracle.njev == 1 + descents and oracle.nhvp == 0
        steps += descents
    assert longer > 0.4 * steps


def bowl(eigenvalues):
    """½ Σ λᵢ xᵢ² as plain functions."""
    h = np.asarray(eigenvalues, dtype=float)
    return dict(fun=lambda x: 0.5 * x @ (h * x), jac=lambda x: h * x, hessp=lambda x, v: h * v)


def test_the_length_of_one_descent_is_tried_first_in_the_next():
    """It outlives a displacement: on this octopus every arm takes one step, the first one two."""
    result = minimize(Octopus(10, L=1.5), np.zeros(10), "psd", rng=0)
    assert result.success and result.state.episodes == 10
    assert result.nit == 11 and result.njev - result.certificate.njev == 1 + 10 + 11


@pytest.mark.parametrize("h, longer", [([0.2, 1.0], True), ([-0.9, 1.0], False)])
def test_the_second_step_is_the_short_one_of_barzilai_and_borwein(h, longer):
    """⟨Δx, Δ∇f⟩/‖Δ∇f‖² = ⟨g, Hg⟩/‖Hg‖² for a quadratic, with g the gradient before; or η."""
    h, eta, x0 = np.array(h), 0.5, np.array([1.0, 1.0])
    method = CertifiedPSD.practical(step_size=eta, epsilon=1e-6, dim=2, lipschitz_hess=1.0)
    oracle = Oracle(**bowl(h))
    first = method.step(oracle, method.init(oracle, x0, rng=0))
    np.testing.assert_array_equal(first.x, x0 - eta * h * x0)
    assert (oracle.nfev, oracle.njev) == (2, 2)
    second = method.step(oracle, first)
    length = (h * x0) @ (h**2 * x0) / ((h**2 * x0) @ (h**2 * x0))
    assert length > 0 and (length > 1.2 * eta) == longer
    np.testing.assert_allclose(second.x, first.x - max(length, eta) * h * first.x, rtol=1e-14)
    assert (oracle.nfev, oracle.njev) == (3, 3)


def test_no_step_is_tried_that_is_more_than_a_billion_times_as_long():
    """2³⁰ η, so that 30 halvings lead back to η: on a plain the shorter step of Barzilai & Borwein
    would be as long as the curvature is small."""
    method = CertifiedPSD.practical(step_size=0.5, epsilon=1e-30, dim=1, curvature_tol=1.0)
    oracle = Oracle(**bowl([1e-15]))
    state = method.step(oracle, method.init(oracle, np.array([1.0]), rng=0))
    assert state.trial == 0.5 * 2.0**MOST_DOUBLINGS


def test_without_positive_curvature_the_next_step_is_four_times_longer():
    method = CertifiedPSD.practical(step_size=0.5, epsilon=1e-6, dim=2, lipschitz_hess=1.0)
    oracle = Oracle(**bowl([-1.0, -0.5]))
    states = [method.init(oracle, np.array([1.0, 1.0]), rng=0)]
    for _ in range(4):
        states.append(method.step(oracle, states[-1]))
    lengths = [np.linalg.norm(b.x - a.x) / np.linalg.norm(a.jac)
               for a, b in zip(states, states[1:], strict=False)]
    np.testing.assert_allclose(lengths, [0.5, 2.0, 8.0, 32.0], rtol=1e-12)
    assert oracle.nfev == 5


@pytest.mark.parametrize("factor, values", [(3.0, 2), (400.0, 4)])
def test_a_step_that_is_too_long_shrinks_to_the_minimizer_of_a_parabola(factor, values):
    """For a quadratic the parabola is exact; a length falls at most to its tenth at a time."""
    h, x0 = np.array([1.0, 4.0]), np.array([1.0, 1.0])
    method = CertifiedPSD.practical(step_size=0.25, epsilon=1e-6, dim=2, lipschitz_hess=1.0)
    g, oracle = h * x0, Oracle(**bowl(h))
    best = (g @ g) / (g @ (h * g))
    state = method.init(oracle, x0, rng=0)
    state.trial = factor * best
    new = method.step(oracle, state)
    np.testing.assert_allclose(new.x, x0 - best * g, rtol=1e-12)
    assert oracle.nfev == 1 + values


def test_a_wrong_lipschitz_constant_does_not_make_f_rise():
    """With η ten times too long plain steps diverge; the line search halves until f falls."""
    h = np.array([1.0, 10.0])
    method = CertifiedPSD.practical(step_size=1.0, epsilon=1e-4, dim=2, lipschitz_hess=1.0)
    oracle = Oracle(**bowl(h))
    state = method.init(oracle, np.array([1.0, 1.0]), rng=0)
    while state.finished is None:
        new = method.step(oracle, state)
        assert new.finished or bowl(h)["fun"](new.x) < bowl(h)["fun"](state.x)
        state = new
    assert state.certificate.passed and state.nit < 200
    plain = minimize(**bowl(h), x0=np.ones(2), method="psd", line_search=False, step_size=1.0,
                     lipschitz_hess=1.0, rng=0, maxiter=20)
    assert np.linalg.norm(plain.x) > 1e9


def test_where_f_cannot_be_read_the_step_is_eta():
    hidden = dict(bowl([1.0, 4.0]), fun=lambda x: 1e20 + 0.5 * x @ (np.array([1.0, 4.0]) * x))
    method = CertifiedPSD.practical(step_size=0.25, epsilon=1e-6, dim=2, lipschitz_hess=1.0)
    oracle, x = Oracle(**hidden), np.array([1.0, 1.0])
    state = method.init(oracle, x, rng=0)
    for _ in range(5):
        state = method.step(oracle, state)
        x = x - 0.25 * np.array([1.0, 4.0]) * x
    np.testing.assert_array_equal(state.x, x)


@pytest.mark.parametrize("lie", [lambda x: np.nan, lambda x: -x @ x])
def test_a_line_search_that_never_succeeds_ends(lie):
    """Values that are not numbers, or belong to another function: the step is η after all."""
    method = CertifiedPSD.practical(step_size=0.25, epsilon=1e-6, dim=2, lipschitz_hess=1.0)
    oracle, x = Oracle(lie, jac=lambda x: x), np.array([1.0, 1.0])
    state = method.step(oracle, method.init(oracle, x, rng=0))
    np.testing.assert_array_equal(state.x, 0.75 * x)
    assert oracle.njev == 2 and oracle.nfev < 40 and np.isnan(state.value)


@pytest.mark.parametrize("options", [{}, dict(use_direction=False), dict(line_search=False),
                                     dict(use_direction=False, episode_length=1)], ids=str)
def test_a_value_that_the_state_carries_is_the_value_of_its_point(options):
    """Also after an episode that went back, and where the method last knew another point's."""
    method, oracle = certified(**options), Oracle(QUARTIC)
    state, known = method.init(oracle, np.array([0.0, 0.01, 0.01]), rng=0), 0
    while state.finished is None:
        state = method.step(oracle, state)
        known += not np.isnan(state.value)
        assert np.isnan(state.value) or state.value == QUARTIC.fun(state.x)
    assert (known > 0) == method.line_search or options.get("use_direction") is False


def test_noisy_gradients_are_followed_without_a_look_at_f():
    options = dict(x0=[0.0, 0.3, 0.1], method="psd", grad_noise=1e-3, rng=5, maxiter=6,
                   certificate=False)
    with_search, without = (minimize(QUARTIC, **options, line_search=b) for b in (True, False))
    assert (with_search.x == without.x).all() and with_search.nfev == without.nfev == 1


@pytest.mark.parametrize("problem", SMOOTH, ids=lambda p: p.name)
def test_the_line_search_never_passes_a_better_point(problem):
    for seed in range(3):
        result = minimize(problem, problem.saddles[0], "psd", rng=seed, trace="fun", maxiter=500)
        assert result.success and (np.diff(result.trace["fun"])[:-1] < 0).all()  # the last looks


def test_the_line_search_pays_with_values_and_saves_gradients():
    for p in (SeparableQuartic(100), CoupledQuartic(10), MatrixFactorization.from_eigenvalues(
            [1.0, 0.7, 0.4], n=6)):
        fast, plain = (minimize(p, np.zeros(p.dim), "psd", rng=0, line_search=b)
                       for b in (True, False))
        assert fast.success and plain.success
        assert 3 * (fast.njev - 2) < plain.njev - 2 and fast.nfev < 2 * fast.njev + 10


def test_a_line_search_can_be_cut_anywhere():
    """The state has the value and the length: nothing is computed twice, nothing is lost."""
    p, x0 = CoupledQuartic(10), np.full(10, 1e-5)
    whole = minimize(p, x0, "psd", rng=3)
    assert whole.nit > 8
    part = minimize(p, x0, "psd", rng=3, maxiter=1)
    counts = np.array([part.nfev, part.njev, part.nhvp])
    while part.status == Status.MAXITER:
        state = pickle.loads(pickle.dumps(part.state))
        part = minimize(p, state=state, method="psd", maxiter=1)
        counts += part.nfev, part.njev, part.nhvp
    assert (part.x == whole.x).all() and part.nit == whole.nit
    # Every call says f of where it ends, and one that stops where it began looks at the gradient.
    assert tuple(counts - [part.nit, 1, 0]) == (whole.nfev - 0, whole.njev, whole.nhvp)


def episode(problem, method, x0, seed):
    """Run until the first episode is over; the states of the episode."""
    oracle = Oracle(problem)
    states = [method.step(oracle, method.init(oracle, x0, rng=seed))]
    while states[-1].left:
        states.append(method.step(oracle, states[-1]))
    return states, oracle


@pytest.mark.parametrize("dim", [2, 10, 100])
def test_a_random_episode_ends_when_it_is_out_and_down(dim):
    p = QuarticSaddle.spread(dim, gamma=0.1)
    method = certified(p, epsilon=0.05**2 / p.lipschitz_hess, use_direction=False)
    for seed in range(20):
        states, oracle = episode(p, method, np.zeros(dim), seed)
        radius = method.perturbation_radius
        assert np.linalg.norm(states[0].last_perturbation) <= radius
        assert len(states) < method.episode_length and states[-1].failed == 0
        assert p.fun(states[-1].x) <= -method.decrease_threshold
        slope = [0.0, *(np.linalg.norm(s.jac) for s in states)]
        asked = [k for k, s in enumerate(states, 1) if np.linalg.norm(s.x) >= method.exit_radius
                 or k in (1, 2, 4, 8, 16, 32, 64, 128) and np.linalg.norm(s.x) > radius
                 and (slope[k] > method.epsilon or slope[k] < slope[k // 2])]
        # Not a step later than it could: where f was asked for before, it was not low enough.
        assert asked[-1] == len(states)
        assert all(p.fun(states[k - 1].x) > -method.decrease_threshold for k in asked[:-1])
        assert oracle.nfev == 1 + len(asked) and oracle.njev == 2 + len(states)


def test_an_episode_in_vain_goes_back_and_patience_ends():
    method = certified(use_direction=False, episode_length=1)
    oracle, x0 = Oracle(QUARTIC), np.array([0.0, 1e-4, 0.0])
    state, seen = method.init(oracle, x0, rng=0), 0
    while state.finished is None:
        state = method.step(oracle, state)
        seen += 1
        if QUARTIC.fun(state.x) == QUARTIC.fun(x0):
            np.testing.assert_array_equal(state.x, x0)
            np.testing.assert_array_equal(state.jac, QUARTIC.grad(x0))
        assert QUARTIC.fun(state.x) <= QUARTIC.fun(x0)  # the better point is kept
    assert state.failed == 3 and state.episodes == 3 and state.certificates == 4
    result = minimize(QUARTIC, x0, "psd", use_direction=False, episode_length=1, rng=0)
    assert result.status == Status.SADDLE and not result.success
    assert "3 episodes in a row did not lower f" in result.message


def uphill(downhill, **options):
    """A saddle of curvature 100, and a method with steps of 2.1/100."""
    steep = QuadraticSaddle([-downhill, 100.0])
    return steep, CertifiedPSD.practical(step_size=0.021, epsilon=1e-3, dim=2, use_direction=False,
                                         curvature_tol=downhill / 2, **options)


def test_an_uphill_episode_is_taken_back():
    """With too long a step the episode ends uphill; the method returns to where it began."""
    states, _ = episode(*uphill(1e-3, episode_length=40, line_search=False), np.zeros(2), 0)
    assert np.abs(states[-2].x).max() > 0 and states[-1].failed == 1
    np.testing.assert_array_equal(states[-1].x, np.zeros(2))
    np.testing.assert_array_equal(states[-1].jac, np.zeros(2))


def test_an_episode_that_runs_uphill_begins_anew_with_shorter_steps():
    """Its length grows as its steps shrink, so that it still gets as far, and it counts once."""
    steep, method = uphill(1.0)
    states, _ = episode(steep, method, np.zeros(2), 0)
    again = next(s for s in states if s.step_size < method.step_size)
    assert again.step_size == method.step_size / 4 and again.left == 4 * method.episode_length
    np.testing.assert_array_equal(again.x, again.anchor + again.last_perturbation)
    assert states[-1].failed == 0 and steep.fun(states[-1].x) <= -method.decrease_threshold
    assert len({s.step_size for s in states}) == 2


@pytest.mark.parametrize("step_size", [0.2, 1e5])
def test_no_length_of_a_step_makes_the_run_leave_the_finite_numbers(step_size):
    """Blind episodes with steps of up to 10⁸/ℓ, where plain ones overflow within a few steps."""
    h = np.array([-0.5, 2000.0, 2000.0])

    def run(**options):
        with np.errstate(all="ignore"):
            return minimize(lambda x: 0.5 * x @ (h * x) + 0.25 * (x**4).sum(), np.zeros(3), "psd",
                            jac=lambda x: h * x + x**3, step_size=step_size, lipschitz_hess=4.0,
                            use_direction=False, rng=0, **options)
    assert run().success and run().nit < 20_000
    assert not run(line_search=False).success


@pytest.mark.parametrize("start", [[-1.2, 1.0], [0.0, 0.0], [2.0, -3.0], [1.5] * 10])
def test_a_step_that_was_too_long_is_remembered(start):
    """Rosenbrock's ℓ is about 2500: η from 1/2500 to 1000 costs at most twice the same."""
    def cost(step_size):
        with np.errstate(over="ignore"):
            run = minimize(rosen, np.array(start), "psd", jac=rosen_der, step_size=step_size,
                           lipschitz_hess=2400.0, rng=0)
        assert run.success
        return run.njev, run.nfev
    right = np.array(cost(4e-4))
    for step_size in (0.01, 0.2, 1e3):
        assert (cost(step_size) <= 2 * right).all()


def test_a_step_that_was_too_long_may_grow_again_up_to_eta():
    """Steep before, flat now: 8 steps that would bear twice the length double it, no fewer."""
    method = CertifiedPSD.practical(step_size=1.0, epsilon=1e-3, dim=1, curvature_tol=1e-3)
    oracle = Oracle(lambda x: -x[0], jac=lambda x: np.array([-1.0]))
    state = method.init(oracle, np.array([0.0]), rng=0)
    state.step_size, state.trial = 0.25, 0.5
    seen = []
    for _ in range(20):
        state = method.step(oracle, state)
        seen.append(state.step_size)
        state.trial = 2 * state.step_size
    assert seen == 7 * [0.25] + 8 * [0.5] + 5 * [1.0]


def test_a_value_that_is_not_finite_says_nothing_about_the_length():
    """A step of 1.9 < 1/ℓ = 2 leaves the domain of f, half of it does not; 1.9 stands for η."""
    method = CertifiedPSD.practical(step_size=1.9, epsilon=1e-6, dim=1, lipschitz_hess=1.0)
    oracle = Oracle(lambda x: 0.25 * (x[0] - 1)**2 if x[0] > 1.04 else math.nan,
                    jac=lambda x: 0.5 * (x - 1))
    state = method.step(oracle, method.init(oracle, np.array([1.5]), rng=0))
    assert state.x[0] == pytest.approx(1.5 - 0.95 * 0.25) and state.step_size == 1.9


def weak(x):
    """A public report's: symmetric data, and curvature −2·10⁻⁴ beside a curvature of ½."""
    s, a = (x[0] + x[1]) / 2, (x[0] - x[1]) / 2
    return 0.5 * (s - 1)**2 - 1.95e-4 * a**2 + 0.25 * a**4


def weak_grad(x):
    s, a = (x[0] + x[1]) / 2, (x[0] - x[1]) / 2
    along, across = s - 1, a**3 - 3.9e-4 * a
    return np.array([along + across, along - across]) / 2


@pytest.mark.parametrize("line_search, most", [(True, 5000), (False, 11_000)])
def test_an_episode_ends_when_its_point_has_arrived(line_search, most):
    """At the tolerance 10⁻⁵ an episode has 703,123 steps; this one is at its end after 10,748."""
    result = minimize(weak, [2.0, 2.0], "psd", jac=weak_grad, step_size=1.0, epsilon=1e-6,
                      curvature_tol=1e-5, lipschitz_hess=2.0, rng=0, line_search=line_search)
    assert result.success and result.nit < most
    assert result.fun < -3.9e-4**2 / 4 + 1e-8


def test_an_episode_of_pgd_ends_when_its_point_has_arrived_and_a_published_one_does_not():
    """The second episode is the one that ends the run: it lowers nothing."""
    def perturbed_at(**options):
        result = minimize(weak, [2.0, 2.0], "pgd", jac=weak_grad, step_size=1.0, epsilon=1e-6,
                          lipschitz_hess=2.0, rng=0, certificate=False, **options)
        return result.state.perturbed_at, result.state
    early, state = perturbed_at(curvature_tol=3e-5, episode_length=40_000,
                                perturbation_radius=0.0125)
    assert early == (20, 20 + 2**15) and state.finished and state.x is state.x_tilde
    early = PGD.practical(step_size=1.0, epsilon=1e-6, dim=2, curvature_tol=3e-5)
    assert early.early and not PGD(*list(vars(early).values())[:5]).early
    assert not PGD.jin2021(lipschitz_grad=1.0, lipschitz_hess=1.0, epsilon=0.25, iota=9.0).early


@pytest.mark.parametrize("use_direction", [True, False])
@pytest.mark.parametrize("problem", [SeparableQuartic(10), CoupledQuartic(10),
                                     MatrixFactorization.from_eigenvalues([1.0, 0.7, 0.4], n=6)],
                         ids=lambda p: p.name)
def test_every_certificate_is_paid_from_one_failure_probability(problem, use_direction):
    result = minimize(problem, problem.saddles[0], "psd", epsilon=1e-3, failure_prob=0.01, rng=4,
                      use_direction=use_direction)
    state = result.state
    assert result.success and result.certificate is state.certificate
    assert state.certificates == state.episodes + 1 >= 2
    assert result.certificate.failure_prob == pytest.approx(
        0.01 / (state.certificates * (state.certificates + 1)))
    # What is not certificate is one gradient at x0, one a step, one a perturbation.
    # The last certificate also asks whether f and its derivatives belong together.
    assert state.certificate_cost == (2, 1, result.nhvp, 0)
    assert result.njev - 1 == 1 + result.nit + state.episodes


def test_another_question_gets_its_own_certificate():
    part = minimize(QUARTIC, np.zeros(3), "psd", rng=0)
    assert part.success
    for change in (dict(epsilon=2e-3), dict(curvature_tol=1e-3), dict(failure_prob=1e-9)):
        again = minimize(QUARTIC, state=part.state, method="psd", **change)
        assert again.certificate is not None and again.nhvp > 0
        assert again.certificate.failure_prob == change.get("failure_prob", 1e-4)
    same = minimize(QUARTIC, state=part.state, method="psd")
    assert same.success and same.nhvp == 0


def test_certified_psd_needs_fewer_gradients_than_the_published_one():
    """Same saddle, same ε: the published method pays for T steps whatever happens."""
    p = SeparableQuartic(10)
    ours = minimize(p, np.zeros(10), "psd", rng=0)
    theirs = minimize(p, np.zeros(10), "psd", rule="published", failure_prob=0.1, delta_f=1.0,
                      rng=0)
    assert ours.success and theirs.success
    T = alpay2025.psd_constants(10.0, 24.0, 1e-3, 10, 1.0).episode_length
    # What the authors' code needs on this problem.
    assert theirs.njev - theirs.certificate.njev == T + 2 == 14_641
    assert theirs.njev > 250 * (ours.njev + 2 * ours.nhvp)


def test_plain_functions_are_enough():
    """No Hessian and no product: differences of gradients certify, and are counted as gradients."""
    result = minimize(QUARTIC.fun, np.zeros(3), "psd", jac=QUARTIC.grad, rng=0,
                      lipschitz_grad=QUARTIC.lipschitz_grad, lipschitz_hess=QUARTIC.lipschitz_hess)
    cost = result.state.certificate_cost
    assert result.success and result.nhvp == result.nhev == 0 < cost[1]
    assert result.njev == 1 + result.nit + result.state.episodes + cost[1]


@pytest.mark.parametrize("use_direction", [True, False])
def test_a_decrease_that_float64_cannot_see_is_said(use_direction):
    result = minimize(lambda x: 1e16 + QUARTIC.fun(x), np.zeros(3), "psd", jac=QUARTIC.grad,
                      hessp=QUARTIC.hvp, lipschitz_grad=2.0, lipschitz_hess=4.3, rng=0,
                      use_direction=use_direction)
    assert result.status == Status.PRECISION and not result.success and result.nit == 0
    assert "float64 resolves f = 1e+16" in result.message


@pytest.mark.parametrize("rule", ["practical", "published"])
def test_a_perturbation_that_float64_swallows_is_said(rule):
    far = np.array([0.0, 1e9, 1e9])
    options = (dict(rule=rule, lipschitz_grad=2.0, delta_f=1.0) if rule == "published" else
               dict(use_direction=False, step_size=0.5, perturbation_radius=1e-9))
    result = minimize(lambda x: QUARTIC.fun(x - far), far, "psd", rng=0, epsilon=1e-17
                      if rule == "published" else 1e-3, jac=lambda x: QUARTIC.grad(x - far),
                      hess=lambda x: QUARTIC.hess(x - far), lipschitz_hess=4.3, **options)
    assert result.status == Status.PRECISION and "1.2e-07" in result.message


def test_noise_reaches_the_steps_and_not_the_certificates():
    result = minimize(QUARTIC.fun, np.zeros(3), "psd", jac=QUARTIC.grad, grad_noise=1e-3,
                      epsilon=5e-3, lipschitz_grad=2.0, lipschitz_hess=4.3, rng=1, maxiter=3000)
    assert result.status in (Status.CERTIFIED, Status.CANNOT_TELL)
    if result.certificate.verdict is not Verdict.NOT_STATIONARY:
        assert result.state.certificate.hvp_error < 1e-4  # noise would show as 10 or more
    assert result.certificate is not result.state.certificate
    assert result.certificate.grad_norm == pytest.approx(np.linalg.norm(QUARTIC.grad(result.x)))


@pytest.mark.parametrize("method, options", [("psd", dict(use_direction=False)),
                                             ("psd", dict(rule="published"))])
def test_a_run_can_be_cut_inside_an_episode(method, options):
    whole = minimize(QUARTIC, np.zeros(3), method, rng=3, epsilon=1e-2, **options)
    part = minimize(QUARTIC, np.zeros(3), method, rng=3, epsilon=1e-2, maxiter=5, **options)
    assert part.state.left > 0
    state = pickle.loads(pickle.dumps(part.state))
    rest = minimize(QUARTIC, state=state, method=method, epsilon=1e-2, **options)
    assert (rest.x == whole.x).all() and rest.nit == whole.nit and rest.success


@pytest.mark.parametrize("method, change, error, words", [
    (PSD, dict(step_size=0.0), ValueError, "step_size"),
    (PSD, dict(epsilon=np.nan), ValueError, "epsilon"),
    (PSD, dict(curvature_tol=-1.0), ValueError, "curvature_tol"),
    (PSD, dict(perturbation_radius=0.0), ValueError, "perturbation_radius"),
    (PSD, dict(episode_length=0), ValueError, "episode_length"),
    (PSD, dict(max_episodes=1.5), TypeError, "max_episodes"),
    (CertifiedPSD, dict(step_size=-1.0), ValueError, "step_size"),
    (CertifiedPSD, dict(decrease_threshold=0.0), ValueError, "decrease_threshold"),
    (CertifiedPSD, dict(exit_radius=0.1), ValueError, "larger than perturbation_radius"),
    (CertifiedPSD, dict(episode_length=0), ValueError, "episode_length"),
    (CertifiedPSD, dict(failure_prob=1.0), ValueError, "failure_prob"),
    (CertifiedPSD, dict(patience=0), ValueError, "patience"),
])
def test_numbers_out_of_range_are_named(method, change, error, words):
    good = dict(step_size=0.1, epsilon=0.1, curvature_tol=0.1, perturbation_radius=0.1,
                episode_length=5)
    good |= dict(max_episodes=3) if method is PSD else dict(exit_radius=0.2, decrease_threshold=0.1)
    method(**good)
    with pytest.raises(error, match=words):
        method(**{**good, **change})


def test_the_front_door_is_there():
    assert saddlelib.psd.__name__ == "psd" and "psd" in saddlelib.__all__


def test_a_displacement_knows_its_length_at_the_ends_of_float64():
    """ρ that underflowed to 0 asks for the longest step, which is halved until f falls."""
    p = QuarticSaddle(0.25, [1.0])
    oracle, x = Oracle(p), np.zeros(2)
    seen = certify(oracle, x, epsilon=1e-3, rng=0)
    step, value = curvature_step(oracle, x, 0.0, x, seen, 0.0)
    assert value < 0 and np.isfinite(step).all()
    assert _shorter(4.0, 1.0, 2.0, 1.0, -2.0) == 1.0  # no parabola over the tangent: no division
