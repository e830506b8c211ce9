"""Update rules against the papers: step for step, and in what they guarantee."""

import math
import pickle

import numpy as np
import pytest
from thorough import instances

from saddlelib import Oracle, Status, minimize
from saddlelib.methods import PGD, GradientDescent, PGDli, PSDProbe, gd_step
from saddlelib.perturbation import gaussian, uniform_ball, uniform_sphere
from saddlelib.problems import MatrixFactorization, QuarticSaddle, catalogue, networks
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


@pytest.mark.parametrize("problem", catalogue() + networks(), ids=lambda p: p.name)
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
@pytest.mark.parametrize("c, gamma, usual, thorough", [(1.0, 0.1, 10, 30), (0.1, 0.5, 1, 3)])
def test_the_constants_of_2017_escape_within_their_window(dim, c, gamma, usual, thorough):
    """From a strict saddle, f falls by f_thres within t_thres steps in every one of many trials.

    Lemma 10 promises probability 1 − (dℓ/√(ρε))e^{−χ}, which is above 1 − 10⁻³ here.
    """
    problem = QuarticSaddle.spread(dim, gamma)
    ell, rho = problem.lipschitz_grad, problem.lipschitz_hess
    epsilon = gamma**2 / rho
    method = PGD.jin2017(lipschitz_grad=ell, lipschitz_hess=rho, epsilon=epsilon, dim=dim,
                         delta_f=gamma**2 / 4, failure_prob=0.1, c=c)
    chi = jin2017.pgd_constants(ell, rho, epsilon, dim, gamma**2 / 4, 0.1, c).chi
    assert dim * ell / gamma * math.exp(-chi) < 1e-3
    rng, oracle = np.random.default_rng(dim), Oracle(problem)
    for _ in range(instances(usual, thorough)):
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


def test_every_number_of_a_rule_of_thumb_is_what_its_docstring_says():
    """η and ε as given, r = S/20, 0.1 √(ε³/ρ), ⌈ln(100 S√d/r)/ln(1 + ηγ)⌉."""
    eta, epsilon, rho, dim = 0.1, 1e-2, 4.0, 50
    method = PGD.practical(step_size=eta, epsilon=epsilon, dim=dim, lipschitz_hess=rho)
    assert (method.step_size, method.grad_threshold, method.wait) == (eta, epsilon, False)
    assert method.perturbation_radius == pytest.approx(math.sqrt(epsilon / rho) / 20)
    assert method.decrease_threshold == pytest.approx(0.1 * math.sqrt(epsilon**3 / rho))
    exact = math.log(2000 * math.sqrt(dim)) / math.log(1 + eta * math.sqrt(rho * epsilon))
    assert exact <= method.episode_length < exact + 1


def test_a_test_is_only_made_after_a_perturbation():
    """With ``wait`` t − t_noise = t_thres also holds at t = t_thres, before there is any x̃."""
    method = PGD(0.5, 1e-3, 1e-2, 1e-4, 6, wait=True)
    oracle = Oracle(QuarticSaddle.spread(4, gamma=0.3))
    state = method.init(oracle, np.zeros(4), rng=0)
    for _ in range(7):
        state = method.step(oracle, state)
    assert oracle.nfev == 0 and state.nit == 7 and not state.x.any()
    assert method.step(oracle, state).perturbed_at == (7,)


# PGDli: Algorithm 3 of Jin et al. 2017

SPECTRUM = [1.0, 0.7, 0.4]
FACTORS = MatrixFactorization.from_eigenvalues(SPECTRUM, n=6)
LEMMA_7 = jin2017.matrix_factorization(max(SPECTRUM), min(SPECTRUM), FACTORS.Gamma)


def practical(problem, epsilon):
    return PGD.practical(step_size=1 / problem.lipschitz_grad, epsilon=epsilon, dim=problem.dim,
                         lipschitz_hess=problem.lipschitz_hess)


def states_of(method, problem, x0, seed=0):
    oracle = Oracle(problem)
    states = [method.init(oracle, x0, seed)]
    while states[-1].finished is None and states[-1].nit < 20_000:
        states.append(method.step(oracle, states[-1]))
    return states, oracle


def test_pgdli_is_its_search_and_then_steps_of_one_over_beta():
    problem, beta = QuarticSaddle(gamma=0.5, eigenvalues=[1.0]), 3.0
    search = practical(problem, 1e-2)
    alone, counted = states_of(search, problem, np.zeros(2), 5)
    both, oracle = states_of(PGDli(search, beta, local_iterations=7), problem, np.zeros(2), 5)
    for one, other in zip(alone, both, strict=False):
        np.testing.assert_array_equal(one.x, other.x)
    x = alone[-1].x
    for state in both[len(alone):]:
        x = x - problem.grad(x) / beta
        np.testing.assert_allclose(state.x, x, rtol=1e-15)
        np.testing.assert_array_equal(state.jac, problem.grad(state.x))
    end = both[-1]
    assert len(both) == len(alone) + 7 and end.local == 7 and end.finished == "stationary"
    assert end.nit == alone[-1].nit + 7 and end.last_perturbation is None
    assert (oracle.nfev, oracle.njev) == (counted.nfev, counted.njev + 7)


@pytest.mark.parametrize("start", range(3))
def test_local_improvement_from_a_saddle_converges_at_the_rate_of_theorem_5(start):
    """The search ends within ζ; from there dist² falls by 1 − α/β a step, to 10⁻⁷ in time."""
    (alpha, beta), zeta = LEMMA_7.regularity, LEMMA_7.strict_saddle[2]
    epsilon = jin2017.strict_saddle_epsilon(*LEMMA_7.strict_saddle[:2], FACTORS.lipschitz_hess)
    steps = jin2017.local_iterations(alpha, beta, zeta, 1e-7)
    states, oracle = states_of(PGDli(practical(FACTORS, epsilon), beta, steps), FACTORS,
                               FACTORS.saddles[start], start)
    local = [s for s in states if s.local is not None]
    distance = np.array([FACTORS.distance(s.x) for s in local])
    assert distance[0] <= zeta and len(local) == 1 + steps and distance[-1] <= 1e-7
    far = distance[:-1] > 1e-7  # below it the distance is rounding
    assert (distance[1:][far] <= math.sqrt(1 - alpha / beta) * distance[:-1][far]).all()
    assert oracle.njev == 1 + states[-1].nit + len(states[-1].perturbed_at)
    # A step of the search is 1/ℓ, more than seven times as short.
    assert FACTORS.lipschitz_grad > 7 * beta


@pytest.mark.parametrize("seed", range(4))
def test_all_iterates_stay_in_the_ball_of_theorem_8(seed):
    """‖U_t‖² ≤ Γ with √Γ = 2 max{‖U₀‖, 3√σ₁}, with the numbers of Theorem 8 throughout."""
    rng = np.random.default_rng(seed)
    x0 = 10.0 ** rng.uniform(-3, 1) * rng.standard_normal(FACTORS.dim)
    k = jin2017.factorization_pgdli(np.linalg.norm(FACTORS.factor(x0), 2), 1.0, 0.4, rank=3)
    result = minimize(FACTORS, x0, "pgd", rule="jin2017", beta=k.beta, local_iterations=20, rng=0,
                      epsilon=k.epsilon, lipschitz_grad=k.lipschitz_grad, delta_f=k.delta_f,
                      lipschitz_hess=k.lipschitz_hess, maxiter=1500, trace="x")
    norms = np.linalg.norm(FACTORS.factor(result.trace["x"]), 2, axis=(1, 2))
    assert (norms**2 <= k.Gamma).all() and result.status == Status.MAXITER
    # Not by far: gradient descent never leaves the ball of half the radius.
    assert norms.max() <= max(norms[0], math.sqrt(k.Gamma) / 2)


def test_theorem_8_runs_in_float64_on_the_smallest_factorization():
    """M = e₁e₁ᵀ from U₀ = 0 with the theorem's own numbers: two episodes, then the local phase.

    The steps are those of two full episodes and little more, 10⁻¹³ of the bound.
    """
    k = jin2017.factorization_pgdli(0.0, 1.0, 1.0, rank=1)
    problem = MatrixFactorization.from_eigenvalues([1.0], n=2, Gamma=k.Gamma)
    lemmas = jin2017.matrix_factorization(1.0, 1.0, k.Gamma)
    steps = jin2017.local_iterations(*lemmas.regularity, lemmas.strict_saddle[2], 1e-9)

    def grad(x):  # of ½‖xxᵀ − e₁e₁ᵀ‖²; a dozen times faster than that of the general problem
        s = 2 * (x @ x)
        return np.array([(s - 2) * x[0], s * x[1]])
    for x in np.random.default_rng(0).standard_normal((5, 2)):
        assert grad(x) == pytest.approx(problem.grad(x))
    given = (k.lipschitz_grad, k.lipschitz_hess, k.epsilon, 2, k.delta_f, 0.1)
    names = ("lipschitz_grad", "lipschitz_hess", "epsilon", "dim", "delta_f", "failure_prob")
    method = PGDli(PGD.jin2017(**dict(zip(names, given, strict=True))), k.beta, steps)
    oracle = Oracle(problem.fun, jac=grad)
    state = method.init(oracle, np.zeros(2), 0)
    while state.finished is None:
        state = method.step(oracle, state)
    T = method.search.episode_length
    result = minimize(problem, state=state, method=method, epsilon=k.epsilon)
    assert result.success and result.perturbed_at == (0, T + 1)
    assert result.nit == 2 * T + 1 + steps < 1e-13 * jin2017.iteration_bound(*given)
    assert problem.distance(result.x) <= 1e-9


@pytest.mark.parametrize("where", ["search", "local"])
def test_pgdli_is_cut_anywhere_and_goes_on_bit_for_bit(where):
    problem = QuarticSaddle(gamma=0.5, eigenvalues=[1.0])
    options = dict(method="pgd", beta=2.0, local_iterations=30, epsilon=1e-2)
    whole = minimize(problem, np.zeros(2), rng=3, **options)
    switch = whole.nit - 30
    for cut in ((0, 1, switch // 2, switch) if where == "search" else (switch + 1, whole.nit - 1)):
        part = minimize(problem, np.zeros(2), rng=3, maxiter=cut, **options)
        assert part.status == Status.MAXITER and part.nit == cut
        assert (part.state.local is None) == (where == "search")
        rest = minimize(problem, state=pickle.loads(pickle.dumps(part.state)), **options)
        assert (rest.x == whole.x).all() and rest.nit == whole.nit and rest.success
        assert rest.perturbed_at == whole.perturbed_at and rest.state.local == 30


def test_the_local_phase_ends_at_whichever_comes_first():
    problem = QuarticSaddle(gamma=0.5, eigenvalues=[1.0])
    x, search = problem.minimizers[0] + [0.0, 1e-3], practical(problem, 1e-2)
    # The second coordinate, which is the gradient, halves with every step: 10⁻³/2⁷ < 10⁻⁵.
    for numbers, local in ((dict(local_iterations=0), 0), (dict(local_tol=1.0), 0),
                           (dict(local_iterations=4, local_tol=1e-30), 4),
                           (dict(local_iterations=99, local_tol=1e-5), 7)):
        assert states_of(PGDli(search, 2.0, **numbers), problem, x)[0][-1].local == local


def test_too_small_a_beta_never_looks_like_success():
    problem = QuarticSaddle(gamma=0.5, eigenvalues=[1.0])
    for steps, status in ((3, Status.NOT_STATIONARY), (2000, Status.NONFINITE)):
        result = minimize(problem, [0.3, 0.9], "pgd", rng=0, beta=0.2, local_iterations=steps)
        assert result.status == status and not result.success
        assert np.isfinite(result.x).all() and np.isfinite(result.jac).all()


def test_where_the_search_gives_up_there_is_no_local_phase():
    problem = QuarticSaddle(gamma=0.5, eigenvalues=[1.0])
    for fun, status in ((lambda x: 1e16, Status.PRECISION), (lambda x: np.nan, Status.NONFINITE)):
        result = minimize(fun, np.zeros(2), "pgd", jac=problem.grad, hessp=problem.hvp, rng=0,
                          step_size=0.5, lipschitz_hess=4.0, beta=1.0, local_iterations=5)
        assert result.status == status and result.state.local is None and result.nit == 0


def test_a_gradient_step_takes_numbers_points_and_batches():
    assert gd_step(1.0, 4.0, 0.25) == 0.0
    x, g = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[4.0, 0.0], [0.0, 4.0]])
    moved = gd_step(x, g, 0.25)
    assert moved.tolist() == [[0.0, 2.0], [3.0, 3.0]] and x[0, 0] == 1.0 and g[0, 0] == 4.0
    assert gd_step(x[0], g[0], 0.25).tolist() == [0.0, 2.0]


# Where float64 ends

def test_backtracking_ends_where_the_value_is_not_finite_and_never_hangs():
    """A slope without end doubles the step until float64 ends; a nan has no decrease."""
    down = minimize(lambda x: -x[0], [0.0], "gd", rule="backtracking", jac=lambda x: -np.ones(1),
                    hessp=lambda x, v: 0 * v, step_size=1.0, curvature_tol=1.0, maxiter=5000)
    assert down.status in (Status.NONFINITE, Status.PRECISION) and np.isfinite(down.x).all()
    assert down.nfev < 10_000
    for value in (np.nan, np.inf, -np.inf):
        end = minimize(lambda x, value=value: value, [1.0], "gd", rule="backtracking",
                       jac=lambda x: x, hessp=lambda x, v: v, step_size=1.0, curvature_tol=1.0)
        assert end.status == Status.NONFINITE and end.nit == 0 and end.nfev < 10


@pytest.mark.parametrize("scale", [1e-200, 1e-160, 1e160, 1e200])
def test_small_gradients_are_told_from_zero_at_every_scale(scale):
    """‖∇f‖ = 5·scale against thresholds 1 % on either side of it."""
    oracle = Oracle(lambda x: 0.0, jac=lambda x: scale * np.array([3.0, 4.0]))
    for factor, finished in ((4.95, None), (5.05, "stationary")):
        state = GradientDescent(1.0, factor * scale).init(oracle, np.zeros(2))
        assert state.finished == finished


def test_numbers_that_no_float64_holds_are_refused_by_name():
    sizes = dict(step_size=0.1, dim=2)
    with pytest.raises(ValueError, match="epsilon = 1e\\+200 and curvature_tol = 1e-100"):
        PGD.practical(epsilon=1e200, curvature_tol=1e-100, **sizes)
    with pytest.raises(ValueError, match="endless episode.*episode_length"):
        PGD.practical(epsilon=1e-3, curvature_tol=1e-20, step_size=1e-300, dim=2)
    with pytest.raises(ValueError, match="step_size"):
        GradientDescent(0.0)
    with pytest.raises(TypeError, match="grad_threshold"):
        GradientDescent(1.0, "a")


@pytest.mark.parametrize("spacing, finished", [(1e-200, "precision"), (1e200, "stationary")])
def test_second_differences_at_spacings_whose_squares_leave_float64_have_an_end(spacing, finished):
    """(‖hv‖ − 2·0 + ‖hv‖)/h² is 2/h; below 1e-162 no float64 holds the difference γh²."""
    method = PSDProbe(0.1, 1.0, 1.0, 0.1, spacing, 4)
    oracle = Oracle(lambda x: math.hypot(*x), jac=lambda x: 0 * x)
    state = method.step(oracle, method.init(oracle, np.zeros(3), rng=0))
    assert state.finished == finished and state.min_quotient == pytest.approx(2 / spacing)
