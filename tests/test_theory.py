"""Constants against the papers, laws against runs."""

import math

import numpy as np
import pytest

from saddlelib.ensemble import first_time, settle
from saddlelib.perturbation import uniform_ball
from saddlelib.problems import MatrixFactorization, Octopus, QuadraticSaddle, QuarticSaddle
from saddlelib.theory import du2017, jin2017, laws

ARGUMENTS = dict(lipschitz_grad=2.0, lipschitz_hess=6.0, epsilon=1e-4, dim=100, delta_f=1.0,
                 failure_prob=0.1)


@pytest.mark.parametrize("c", [1.0, 0.25])
def test_algorithm_2_constants_satisfy_the_identities_of_the_paper(c):
    k = jin2017.pgd_constants(**ARGUMENTS, c=c)
    ell, rho, eps = 2.0, 6.0, 1e-4
    assert k.chi == pytest.approx(3 * math.log(100 * ell * 1.0 / (c * eps**2 * 0.1)))
    assert k.step_size * ell == pytest.approx(c)
    assert k.grad_threshold == pytest.approx(math.sqrt(c) * eps / k.chi**2)
    assert k.perturbation_radius * ell == pytest.approx(k.grad_threshold)
    assert k.decrease_threshold**2 * rho * k.chi**6 == pytest.approx(c**2 * eps**3)
    exact = k.chi * ell / (c**2 * math.sqrt(rho * eps))
    assert exact <= k.episode_length < exact + 1


def test_chi_never_falls_below_twelve():
    mild = jin2017.pgd_constants(1.0, 1.0, 1.0, dim=1, delta_f=1e-9, failure_prob=0.9)
    assert mild.chi == 12


def test_constants_follow_a_change_of_units():
    """f → a f, x → b x: lengths scale with b, gradients with a/b, decreases with a, times not."""
    a, b = 7.0, 0.3
    k = jin2017.pgd_constants(**ARGUMENTS)
    scaled = jin2017.pgd_constants(2.0 * a / b**2, 6.0 * a / b**3, 1e-4 * a / b, 100, a, 0.1)
    assert scaled.chi == pytest.approx(k.chi)
    assert scaled.episode_length == k.episode_length
    assert scaled.perturbation_radius == pytest.approx(b * k.perturbation_radius)
    assert scaled.grad_threshold == pytest.approx(a / b * k.grad_threshold)
    assert scaled.decrease_threshold == pytest.approx(a * k.decrease_threshold)


@pytest.mark.parametrize("change, words", [
    (dict(lipschitz_grad=0.0), "lipschitz_grad"), (dict(lipschitz_hess=0.0), "lipschitz_hess"),
    (dict(epsilon=-1e-3), "epsilon"), (dict(epsilon=1.0), "ℓ²/ρ"), (dict(delta_f=0.0), "delta_f"),
    (dict(failure_prob=1.0), "failure_prob"), (dict(dim=0), "dim"), (dict(c=1.5), "c must"),
])
def test_constants_refuse_what_the_theorem_does_not_cover(change, words):
    with pytest.raises(ValueError, match=words):
        jin2017.pgd_constants(**{**ARGUMENTS, **change})


@pytest.mark.parametrize("c", [1.0, 0.6, 0.4, 0.05])
def test_the_iteration_bound_is_theorem_3_with_its_constant(c):
    """Order ℓΔ_f χ⁴/ε², and max{2/c², 1/c³} of them: descent decides for c > ½, episodes below."""
    k = jin2017.pgd_constants(**ARGUMENTS, c=c)
    unit = k.chi**4 * 2.0 * 1.0 / 1e-8 * max(2 / c**2, 1 / c**3)
    assert unit <= jin2017.iteration_bound(**ARGUMENTS, c=c) <= 1.001 * unit


def test_the_iteration_bound_allows_one_episode_after_the_last_decrease():
    """With Δ_f → 0 nothing is left to lose, and the run ends after one episode."""
    tiny = {**ARGUMENTS, "delta_f": 1e-30}
    assert jin2017.iteration_bound(**tiny) == jin2017.pgd_constants(**tiny).episode_length


def test_factorization_constants_are_those_of_the_problem():
    p = MatrixFactorization.from_eigenvalues([1.0, 0.7, 0.4], n=6, Gamma=4.0)
    k = jin2017.matrix_factorization(1.0, 0.4, 4.0)
    assert (p.lipschitz_grad, p.lipschitz_hess) == (k.lipschitz_grad, k.lipschitz_hess)
    assert k.strict_saddle == pytest.approx((0.4**1.5 / 24, 0.4 / 3, 0.4**0.5 / 3))
    assert k.regularity == pytest.approx((0.8 / 3, 10.0))
    for bad in [(1.0, 2.0, 4.0), (1.0, 0.4, 0.5), (0.0, 0.4, 1.0)]:
        with pytest.raises(ValueError):
            jin2017.matrix_factorization(*bad)


def test_factorization_constants_follow_the_scale_of_the_matrix():
    """M → aM is U → √a U and f → a² f: curvatures and Γ scale with a, lengths with √a."""
    a = 5.0
    k, scaled = (jin2017.matrix_factorization(s, 0.4 * s, 3 * s) for s in (1.0, a))
    assert scaled.lipschitz_grad == pytest.approx(a * k.lipschitz_grad)
    assert scaled.lipschitz_hess == pytest.approx(a**0.5 * k.lipschitz_hess)
    powers = np.array([a**1.5, a, a**0.5])
    assert scaled.strict_saddle == pytest.approx(powers * k.strict_saddle)
    assert scaled.regularity == pytest.approx(a * np.array(k.regularity))
    one = jin2017.matrix_factorization(2.0, 2.0, 2.0)  # one eigenvalue, the smallest region
    assert one.lipschitz_grad == 16 and one.regularity == pytest.approx((4 / 3, 20))


def test_factorization_is_a_strict_saddle_function_with_the_printed_constants():
    """At every U: ‖∇f‖ ≥ θ, or λ_min ≤ −γ, or a minimizer within ζ (Jin et al. 2017, Lemma 7)."""
    p = MatrixFactorization.from_eigenvalues([1.0, 0.7, 0.4], n=6)
    theta, gamma, zeta = jin2017.matrix_factorization(1.0, 0.4, p.Gamma).strict_saddle
    rng = np.random.default_rng(0)
    near = p.saddles[rng.integers(len(p.saddles), size=400)]
    points = np.concatenate([p.region.sample(rng, 300),
                             near + 0.05 * rng.standard_normal(near.shape)])
    for x in points:
        assert (np.linalg.norm(p.grad(x)) >= theta
                or np.linalg.eigvalsh(p.hess(x))[0] <= -gamma or p.distance(x) <= zeta)


def test_factorization_is_regular_near_its_minimizers_with_the_printed_constants():
    """⟨∇f, U − P(U)⟩ ≥ (α/2)‖U − P(U)‖² + ‖∇f‖²/(2β) within ζ (Jin et al. 2017, Lemma 7)."""
    p = MatrixFactorization.from_eigenvalues([1.0, 0.7, 0.4], n=6)
    constants = jin2017.matrix_factorization(1.0, 0.4, p.Gamma)
    (alpha, beta), zeta = constants.regularity, constants.strict_saddle[2]
    rng, W = np.random.default_rng(1), p.minimizers[0].reshape(6, 3)
    for _ in range(2000):
        step = rng.standard_normal((6, 3))
        U = W + zeta * rng.random() * step / np.linalg.norm(step)
        left, _, right = np.linalg.svd(W.T @ U)
        away = U - W @ left @ right
        assert np.linalg.norm(away) == pytest.approx(p.distance(U.ravel()))
        g = p.grad(U.ravel()).reshape(6, 3)
        assert (g * away).sum() >= alpha / 2 * (away**2).sum() + (g**2).sum() / (2 * beta)


def test_growth_at_a_quadratic_saddle_is_the_law_exactly():
    problem = QuadraticSaddle([-0.3, 1.0])
    starts = np.array([[1e-2, 0.5], [1e-5, -1.0], [-1e-7, 0.0]])
    times = first_time(problem, starts, lambda x: abs(x[:, 0]) >= 1.0, step_size=0.7, maxiter=999)
    law = [laws.escape_time(a, 1.0, 0.7, 0.3) for a in starts[:, 0]]
    assert (times == np.ceil(law)).all()
    assert laws.escape_time(0.0, 1.0, 0.7, 0.3) == math.inf


def test_the_median_coordinate_of_the_ball_is_the_law():
    for dim in (1, 2, 30, 1000):
        xi = uniform_ball(np.random.default_rng(dim), dim, 2.0, 20_000)[:, 0]
        law = laws.ball_coordinate_quantile(dim, 2.0)
        assert np.median(abs(xi)) == pytest.approx(law, rel=0.04)
    assert laws.ball_coordinate_quantile(10**6, 1.0) * 1000 == pytest.approx(0.6745, rel=1e-3)


@pytest.mark.parametrize("gamma", [0.1, 0.5])
def test_escape_takes_half_a_log_of_the_dimension_more(gamma):
    eta = 1 / max(2 * gamma, 1.0)
    means, dims = [], [10, 100, 1000, 10_000]
    for dim in dims:
        xi = uniform_ball(np.random.default_rng(dim), dim, 1e-4, 1000)
        # The other coordinates neither help nor hinder: follow the escaping one.
        line = QuarticSaddle(gamma, [1.0])
        times = first_time(line, xi[:, :2], lambda x, g=gamma: abs(x[:, 0]) >= g**0.5 / 2,
                           step_size=eta, maxiter=10_000)
        means.append(np.mean(times))
    slope = np.polyfit(np.log(dims), means, 1)[0]
    assert slope == pytest.approx(laws.escape_time_slope(eta, gamma), rel=0.06)


@pytest.mark.parametrize("eta, gamma", [(0.5, 0.1), (0.05, 1.0), (1.0, 0.5), (0.25, 2.0)])
def test_the_quartic_escape_lies_between_the_linear_law_and_its_bound(eta, gamma):
    """Both are attained to a step: the bound is the sharper the smaller ηγ is."""
    exit, starts = math.sqrt(gamma) / 2, np.geomspace(1e-12, 0.99, 400) * math.sqrt(gamma) / 2
    times = first_time(QuarticSaddle(gamma, [1.0]), np.column_stack([starts, starts]),
                       lambda x: abs(x[:, 0]) >= exit, step_size=eta, maxiter=9999)
    least = np.array([laws.escape_time(a, exit, eta, gamma) for a in starts])
    most = np.array([laws.quartic_escape_time(a, exit, eta, gamma) for a in starts])
    assert (np.ceil(least - 1e-9) <= times).all() and (times <= np.ceil(most + 1e-9)).all()
    assert (most - times).max() < 0.4
    delay = 0.5 * math.log(4 / 3) / math.log1p(eta * gamma)
    assert most[0] - least[0] == pytest.approx(delay)
    assert laws.quartic_escape_time(exit, exit, eta, gamma) == 0
    assert laws.quartic_escape_time(0, exit, eta, gamma) == math.inf
    back = [laws.escape_start(t, exit, eta, gamma) for t in most]
    np.testing.assert_allclose(back, starts, rtol=1e-9)


def test_the_step_in_the_other_coordinate_grows_for_every_step_size():
    # U(x) = |x|/√(1 − x²/γ), the claim in the proof of the bound, where a step stays inside.
    gamma, x = 0.3, np.linspace(1e-3, 1, 999)[:-1] * math.sqrt(0.3)
    for h in (1e-3, 0.1, 0.5, 1.0, 1.5):
        after = abs(x * (1 + h - h * x**2 / gamma))
        inside = after < math.sqrt(gamma)
        growth = ((after / x) * np.sqrt((1 - x**2 / gamma) / abs(1 - after**2 / gamma)))[inside]
        assert (growth >= (1 + h) * (1 - 1e-12)).all(), h


@pytest.mark.parametrize("dim", [2, 100])
def test_all_but_delta_are_out_by_the_deadline(dim):
    eta, gamma, exit, delta = 0.5, 0.1, math.sqrt(0.1) / 2, 0.05
    deadline = laws.escape_deadline(delta, dim, 0.01, exit, eta, gamma)
    law = [laws.escape_probability(k, dim, 0.01, exit, eta, gamma)
           for k in (deadline - 1, deadline)]
    assert law[0] < 1 - delta <= law[1]
    xi = uniform_ball(np.random.default_rng(dim), dim, 0.01, 20_000)[:, :2]
    times = first_time(QuarticSaddle(gamma, [1.0]), xi, lambda x: abs(x[:, 0]) >= exit,
                       step_size=eta, maxiter=9999)
    for k in (deadline - 60, deadline - 30, deadline, deadline + 20):
        predicted = laws.escape_probability(k, dim, 0.01, exit, eta, gamma)
        # Four standard errors, and the bound is less than half a step late.
        slack = predicted - laws.escape_probability(k - 0.4, dim, 0.01, exit, eta, gamma)
        error = 4 * math.sqrt(predicted * (1 - predicted) / 20_000)
        assert -error <= np.mean(times <= k) - predicted <= slack + error
    assert laws.escape_deadline(delta, dim, 100.0, exit, eta, gamma) == 0


def test_exit_times_of_the_octopus_grow_by_the_predicted_ratio():
    """Measured with the discrete step; the continuous ratio (L + γ)/γ would be 2, not 2.71."""
    L, gamma, eta = 1.0, 1.0, 0.25
    problem = Octopus(6, L=L, gamma=gamma)
    starts = np.random.default_rng(0).uniform(-1, 1, (300, 6))
    exits = np.array([first_time(problem, starts, lambda x, i=i: abs(x[:, i]) >= 2 * math.e,
                                 step_size=eta, maxiter=6000) for i in range(5)])
    stay = np.diff(np.median(exits, axis=1))
    ratio = du2017.exit_time_ratio(eta, L, gamma)
    assert ratio == pytest.approx(2.71, abs=0.005)
    assert stay[-1] / stay[-2] == pytest.approx(ratio, rel=0.05)
    with pytest.raises(ValueError, match="1/\\(2L\\)"):
        du2017.exit_time_ratio(0.5, L, gamma)


@pytest.mark.parametrize("eta, L, gamma", [(0.1, 2.0, 0.7), (0.9, 0.5, 3.0), (1e-3, 40.0, 0.2)])
def test_what_one_step_shrinks_the_ratio_grows_back(eta, L, gamma):
    """(1 − 2ηL)(1 + 2ηγ)^(ratio − 1) = 1, so units of time drop out."""
    ratio = du2017.exit_time_ratio(eta, L, gamma)
    assert (1 - 2 * eta * L) * (1 + 2 * eta * gamma) ** (ratio - 1) == pytest.approx(1, rel=1e-9)
    assert du2017.exit_time_ratio(eta / 8, 8 * L, 8 * gamma) == pytest.approx(ratio)
    for too_large in (0.5 / L, 0.6 / L):
        with pytest.raises(ValueError, match="step_size"):
            du2017.exit_time_ratio(too_large, L, gamma)


def test_float64_stops_gradient_descent_on_the_octopus_for_good():
    """At rest at a saddle: no run at d = 6, most at d = 7, all at d = 8; the others arrive."""
    stuck = []
    for dim in (6, 7, 8):
        problem = Octopus(dim)
        starts = np.random.default_rng(dim).uniform(-1, 1, (200, dim))
        points, still = settle(problem, starts, step_size=0.25, maxiter=4000)
        away = problem.distance(points) > 1
        assert still.all() and (problem.distance(points[~away]) < 1e-9).all()
        assert (abs(points[away]).min(axis=1) == 5e-324).all()
        assert (np.linalg.eigvalsh(problem.hess(points[away]))[:, 0] < -1).all()
        stuck.append(away.mean())
    assert stuck[0] == 0 and 0.8 < stuck[1] < 1 and stuck[2] == 1


def test_a_run_that_still_moves_is_not_called_still():
    points, still = settle(QuadraticSaddle([0.5]), np.ones((1, 1)), step_size=1.0, maxiter=3)
    assert points[0, 0] == 0.125 and not still[0]


@pytest.mark.parametrize("call, words", [
    (lambda: laws.escape_time(1.0, 0.0, 0.1, 0.1), "exit"),
    (lambda: laws.escape_time(1.0, 1.0, -0.1, 0.1), "step_size"),
    (lambda: laws.ball_coordinate_quantile(0, 1.0), "dim"),
    (lambda: laws.ball_coordinate_quantile(3, 1.0, 1.0), "prob"),
    (lambda: laws.quartic_escape_time(0.1, 1.0, 0.1, 1.0), "exit must be less than"),
    (lambda: laws.escape_start(-1, 0.5, 0.1, 1.0), "steps"),
    (lambda: laws.escape_deadline(1.0, 3, 0.1, 0.5, 0.1, 1.0), "failure_prob"),
    (lambda: first_time(QuadraticSaddle([-1.0, 1.0]), np.zeros(2), abs, step_size=1, maxiter=3),
     "starts"),
])
def test_laws_name_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()
