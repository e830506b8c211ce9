"""Constants of PSD against the authors' repository, against each other, and against runs."""

import math

import numpy as np
import pytest

from saddlelib.methods import gd_step
from saddlelib.perturbation import uniform_ball
from saddlelib.problems import QuarticSaddle, SeparableQuartic, catalogue
from saddlelib.theory import alpay2025, laws

FIGURES = dict(lipschitz_grad=10.0, lipschitz_hess=0.1, epsilon=1e-3, dim=10, delta_f=1.0,
               failure_prob=0.1)
OTHER = dict(lipschitz_grad=2.0, lipschitz_hess=6.0, epsilon=0.01, dim=7, delta_f=0.3,
             failure_prob=0.02)


def test_the_setting_of_the_authors_figures_gives_their_numbers():
    k = alpay2025.psd_constants(**FIGURES)
    assert k.step_size == 0.05 and k.perturbation_radius == pytest.approx(0.0125, rel=1e-15)
    assert (k.max_episodes, k.episode_length) == (1_280_000_001, 226_784)
    assert k.decrease == pytest.approx(7.8125e-10) and k.curvature_tol == pytest.approx(0.01)


@pytest.mark.parametrize("dim, steps", [(10, 226_783), (50, 239_659), (100, 245_204),
                                        (500, 258_079), (1000, 263_624)])
def test_the_published_episode_lengths_are_ours_to_the_nearest_whole_step(dim, steps):
    """Their figure rounds (8ℓ/γ) log(16dM/δ) to the nearest integer, their code rounds it up."""
    exact = 8 * 10 / 0.01 * math.log(16 * dim * 1_280_000_001 / 0.1)
    assert round(exact) == steps
    assert alpay2025.psd_constants(**{**FIGURES, "dim": dim}).episode_length == math.ceil(exact)


@pytest.mark.parametrize("setting", [FIGURES, OTHER])
def test_constants_satisfy_the_identities_they_were_chosen_for(setting):
    k = alpay2025.psd_constants(**setting)
    ell, rho, eps, delta_f = (setting[n] for n in ("lipschitz_grad", "lipschitz_hess", "epsilon",
                                                   "delta_f"))
    assert k.curvature_tol**2 == pytest.approx(rho * eps)
    assert 2 * k.step_size * ell == pytest.approx(1)
    assert 8 * rho * k.perturbation_radius == pytest.approx(k.curvature_tol)
    assert k.decrease * 128 * ell == pytest.approx(eps**2)
    # M − 1 episodes may lower f by Δ_f, M − 2 may not: that is why there are M.
    assert (k.max_episodes - 2) * k.decrease < delta_f * (1 + 1e-12)
    assert (k.max_episodes - 1) * k.decrease >= delta_f * (1 - 1e-12)
    exact = 8 * ell / k.curvature_tol * math.log(
        16 * setting["dim"] * k.max_episodes / setting["failure_prob"])
    assert exact * (1 - 1e-12) <= k.episode_length < exact + 1


def test_constants_follow_a_change_of_units():
    """f → a f, x → b x."""
    a, b = 7.0, 0.3
    k = alpay2025.psd_constants(**OTHER)
    scaled = alpay2025.psd_constants(2.0 * a / b**2, 6.0 * a / b**3, 0.01 * a / b, 7, 0.3 * a, 0.02)
    assert scaled.episode_length == k.episode_length and scaled.max_episodes == k.max_episodes
    for name, factor in dict(curvature_tol=a / b**2, step_size=b**2 / a, perturbation_radius=b,
                             decrease=a).items():
        assert getattr(scaled, name) == pytest.approx(factor * getattr(k, name)), name
    assert alpay2025.probe_spacing(6.0 * a / b**3, 0.01 * a / b) == pytest.approx(
        b * alpay2025.probe_spacing(6.0, 0.01))
    assert alpay2025.episode_fixed_point(6.0 * a / b**3, 0.01 * a / b) == pytest.approx(
        b * alpay2025.episode_fixed_point(6.0, 0.01))


@pytest.mark.parametrize("problem", catalogue(), ids=lambda p: p.name)
def test_one_step_lowers_f_by_three_eighths(problem):
    """f(x − ∇f/(2ℓ)) ≤ f(x) − (3/(8ℓ))‖∇f‖²."""
    ell, eps = problem.lipschitz_grad, 0.01
    per_step = 3 / (8 * ell)
    x = problem.region.sample(np.random.default_rng(0), 500)
    g = problem.grad(x)
    after = gd_step(x, g, alpay2025.psd_constants(ell, 1.0, eps, 1, 1.0).step_size)
    both = problem.region.contains(after)
    assert both.any()
    drop = (problem.fun(x) - problem.fun(after))[both]
    assert (drop >= (per_step * (g**2).sum(1) - 1e-12 * np.maximum(1, abs(problem.fun(x))))[both]
            ).all()


def test_three_eighths_is_attained_and_one_quarter_is_a_rounding():
    ell, x = 3.0, 0.7
    f = lambda x: ell * x**2 / 2  # noqa: E731
    drop = f(x) - f(x - ell * x / (2 * ell))
    assert drop == pytest.approx(3 / 8 * (ell * x)**2 / ell)
    # One step is all that this drop allows; the printed count allows one and a half.
    assert alpay2025.descent_bound(ell, ell * x, drop, refined=True) == pytest.approx(1)
    assert alpay2025.descent_bound(ell, ell * x, drop) == pytest.approx(1.5)


def waves(dim, rng, pieces=6):
    """Σ c cos(w·x + b) with Σ |c| ‖w‖² = 1, so that ∇f is 1-Lipschitz in every dimension."""
    w = rng.normal(size=(pieces, dim)) * 10 ** rng.uniform(-1, 1)
    c, b = rng.normal(size=pieces), rng.uniform(0, 6, pieces)
    c /= (abs(c) * (w**2).sum(axis=1)).sum()
    return lambda x: np.cos(x @ w.T + b) @ c, lambda x: -(np.sin(x @ w.T + b) * c) @ w


@pytest.mark.parametrize("dim", [1, 2, 5, 30])
def test_a_step_pays_seven_sixteenths_and_what_the_gradient_grows_back(dim):
    """f(x) − f(x⁺) ≥ (1/ℓ)((7/16)‖g‖² + ⟨g⁺, g⁺ − g⟩/4), tight where the curvature is ±ℓ."""
    rng = np.random.default_rng(dim)
    for _ in range(30):
        f, df = waves(dim, rng)
        x = 3 * rng.normal(size=(300, dim))
        g = df(x)
        after = x - g / 2
        back = df(after)
        owed = 7 / 16 * (g**2).sum(1) + (back * (back - g)).sum(1) / 4
        assert (f(x) - f(after) >= owed - 1e-14).all()
    for signs in (np.ones(dim), -np.ones(dim), rng.choice([-1.0, 1.0], dim)):
        x = rng.normal(size=dim)  # f = ½ Σ ± x²
        g = signs * x
        back = signs * (x - g / 2)
        owed = 7 / 16 * (g @ g) + back @ (back - g) / 4
        assert signs @ (x**2 - (x - g / 2)**2) / 2 == pytest.approx(owed)


@pytest.mark.parametrize("dim", [2, 10])
def test_descents_in_many_dimensions_stay_within_sixteen_sevenths(dim):
    """N ≤ 1/7 + (16/7)ℓΔ/ε² with Δ what this descent has lowered f by, for every part of it."""
    rng, closest = np.random.default_rng(dim), np.inf
    for _ in range(40):
        f, df = waves(dim, rng)
        x, path, norms = rng.normal(size=dim), [], []
        for _ in range(60):
            g = df(x)
            path.append(f(x))
            norms.append(np.linalg.norm(g))
            x = x - g / 2
        for first in range(0, 50, 7):
            for last in range(first + 1, 60, 11):
                eps = min(norms[first:last])
                if eps > 1e-6:
                    allowed = alpay2025.descent_bound(1.0, eps, path[first] - path[last],
                                                      refined=True)
                    assert last - first <= allowed * (1 + 1e-9)
                    closest = min(closest, allowed / (last - first))
    assert closest < 1.3


def test_a_descent_in_phases_may_lose_a_seventh_of_a_step_in_each():
    bound = alpay2025.descent_bound(2.0, 0.1, 3.0, refined=True)
    assert bound == pytest.approx(1 / 7 + 16 / 7 * 2.0 * 3.0 / 0.01)
    eight = alpay2025.descent_bound(2.0, 0.1, 3.0, refined=True, phases=8)
    assert eight == pytest.approx(bound + 1)
    assert alpay2025.descent_bound(2.0, 0.1, 3.0, phases=8) == pytest.approx(2400)


def test_descent_phases_are_shorter_than_their_bound():
    p, eps = SeparableQuartic(5), 0.05
    for x in p.region.sample(np.random.default_rng(3), 20):
        steps, delta_f = 0, p.fun(x) - p.f_star
        while np.linalg.norm(p.grad(x)) > eps:
            x, steps = gd_step(x, p.grad(x), 1 / (2 * p.lipschitz_grad)), steps + 1
        assert 0 < steps <= alpay2025.descent_bound(p.lipschitz_grad, eps, delta_f, refined=True)


def test_the_total_is_descent_and_every_step_of_every_episode():
    k = alpay2025.psd_constants(**OTHER)
    assert alpay2025.iteration_bound(**OTHER) == pytest.approx(
        4 * 2.0 * 0.3 / 0.01**2 + k.max_episodes * k.episode_length)


def test_the_total_grows_like_the_five_halves_power_of_accuracy():
    """M T √ρ ε^{5/2}/(ℓ²Δ_f) = 1024 log(16dM/δ): ε^(−5/2), not the ε^(−2) of each factor's M."""
    for eps in (1e-3, 1e-5, 1e-7):
        s = {**FIGURES, "epsilon": eps}
        k = alpay2025.psd_constants(**s)
        total = alpay2025.iteration_bound(**s) * 0.1**0.5 * eps**2.5 / 10.0**2
        assert total == pytest.approx(1024 * math.log(16 * 10 * k.max_episodes / 0.1), rel=1e-3)


@pytest.mark.parametrize("dim", [1, 2, 3, 10, 100, 1000])
def test_the_marginal_of_the_ball_is_lemma_7_1(dim):
    """E⟨ξ, u⟩² = r²/(d+2), so the threshold is √(E Z²/2); 1/12 is a fifth of the probability."""
    r, n = 0.3, 20_000
    z = uniform_ball(np.random.default_rng(dim), dim, r, n)[:, 0]
    threshold = alpay2025.marginal_threshold(dim, r)
    assert np.mean(z**2) / 2 == pytest.approx(threshold**2, rel=0.05)
    assert np.mean(z**4) == pytest.approx(3 * r**4 / ((dim + 2) * (dim + 4)), rel=0.12)
    exact = laws.ball_coordinate_tail(dim, r, threshold)
    assert np.mean(abs(z) >= threshold) == pytest.approx(exact, abs=0.015)
    paley_zygmund = (dim + 4) / (12 * (dim + 2))
    assert alpay2025.MARGINAL_PROB < paley_zygmund < exact
    assert 0.479 < exact < 0.593
    if dim == 1000:
        assert alpay2025.MARGINAL_PROB == pytest.approx(paley_zygmund, rel=0.002)


def test_the_tail_of_a_ball_coordinate_inverts_its_quantile():
    for dim in (1, 4, 300):
        at = laws.ball_coordinate_quantile(dim, 2.0, 0.3)
        assert laws.ball_coordinate_tail(dim, 2.0, at) == pytest.approx(0.7)
    assert laws.ball_coordinate_tail(3, 2.0, 5.0) == 0 and laws.ball_coordinate_tail(3, 2.0, 0) == 1


@pytest.mark.parametrize("setting", [FIGURES, OTHER])
def test_the_lower_bound_of_the_episode_proof_is_vacuous_from_every_start(setting):
    """(A.2) iterated from the edge of the ball, and from the edge of the trust region, sinks."""
    k, ell, eps = (alpay2025.psd_constants(**setting), setting["lipschitz_grad"],
                   setting["epsilon"])

    def bound(z):
        return (1 + k.curvature_tol / (2 * ell)) * z - 33 * eps / (64 * ell)
    fixed = alpay2025.episode_fixed_point(setting["lipschitz_hess"], eps)
    assert fixed == pytest.approx(8.25 * k.perturbation_radius)
    assert bound(fixed) == pytest.approx(fixed, rel=1e-12)
    assert bound(1.001 * fixed) > 1.001 * fixed and bound(0.999 * fixed) < 0.999 * fixed
    for start in (k.perturbation_radius, 2 * k.perturbation_radius):
        z, steps = start, 0
        while z > 0:
            assert bound(z) < z
            z, steps = bound(z), steps + 1
        assert steps < 0.05 * k.episode_length  # empty long before the episode is over


@pytest.mark.parametrize("gamma", [0.5, 0.1])
def test_yet_an_episode_lowers_f_by_far_more_than_promised(gamma):
    """200 seeds at the saddle of the quartic: the drop is of order √(ε³/ρ), not ε²/(128ℓ)."""
    p = QuarticSaddle.spread(10, gamma)
    ell, rho = p.lipschitz_grad, p.lipschitz_hess
    eps = gamma**2 / rho
    k = alpay2025.psd_constants(ell, rho, eps, p.dim, gamma**2 / 4)
    x = uniform_ball(np.random.default_rng(0), p.dim, k.perturbation_radius, 200)
    for _ in range(k.episode_length):
        x = gd_step(x, p.grad(x), k.step_size)
    drop = -p.fun(x)
    scale = eps * math.sqrt(eps / rho)
    assert (drop >= k.decrease).all()
    assert scale / k.decrease == pytest.approx(128 * ell / gamma)
    assert drop.min() >= scale / 2


def test_probe_counts_and_spacing_are_the_authors():
    assert [alpay2025.probe_count(d) for d in (10, 100, 1000)] == [119, 155, 192]
    exact = 16 * math.log(16 * 7 / 0.02)
    assert exact <= alpay2025.probe_count(7, 0.02) < exact + 1
    h = alpay2025.probe_spacing(6.0, 0.01)
    assert h**2 * 6.0 == pytest.approx(0.01)
    assert alpay2025.probe_error(6.0, h) == pytest.approx(math.sqrt(6.0 * 0.01) / 3)


def second_difference(f, x, v, h):
    return (f(x + h * v) - 2 * f(x) + f(x - h * v)) / h**2


@pytest.mark.parametrize("problem", catalogue(), ids=lambda p: p.name)
def test_a_second_difference_is_off_by_at_most_a_third(problem):
    """|q − vᵀ∇²f v| ≤ ρh/3 (Lemma 4.1 of the authors' appendix), where ρ holds."""
    rng, h, seen = np.random.default_rng(2), 0.02, 0
    for x in problem.region.sample(rng, 200):
        v = rng.standard_normal(problem.dim)
        v /= np.linalg.norm(v)
        if problem.region.contains(np.stack([x + h * v, x - h * v])).all():
            q = second_difference(problem.fun, x, v, h)
            rounding = 16 * np.spacing(max(abs(problem.fun(x)), 1.0)) / h**2
            error = abs(q - v @ problem.hvp(x, v))
            bound = problem.lipschitz_hess and alpay2025.probe_error(problem.lipschitz_hess, h)
            assert error <= bound + rounding
            seen += 1
    assert seen > 50


def test_the_third_is_attained():
    rho, h = 2.5, 0.1
    f = lambda x: rho * abs(x) ** 3 / 6  # noqa: E731
    assert second_difference(f, 0.0, 1.0, h) == pytest.approx(alpay2025.probe_error(rho, h))


@pytest.mark.parametrize("change, words", [
    (dict(lipschitz_grad=0.0), "lipschitz_grad"), (dict(lipschitz_hess=0.0), "lipschitz_hess"),
    (dict(epsilon=-1.0), "epsilon"), (dict(dim=0), "dim"), (dict(delta_f=math.inf), "delta_f"),
    (dict(failure_prob=0.0), "failure_prob"), (dict(epsilon=1e-200), "max_episodes"),
])
def test_numbers_out_of_range_are_named(change, words):
    with pytest.raises(ValueError, match=words):
        alpay2025.psd_constants(**{**FIGURES, **change})


@pytest.mark.parametrize("call, words", [
    (lambda: alpay2025.descent_bound(1.0, 0.0, 1.0), "epsilon"),
    (lambda: alpay2025.marginal_threshold(0, 1.0), "dim"),
    (lambda: alpay2025.marginal_threshold(2, 0.0), "radius"),
    (lambda: alpay2025.episode_fixed_point(0.0, 1.0), "lipschitz_hess"),
    (lambda: alpay2025.probe_count(3, 1.0), "failure_prob"),
    (lambda: alpay2025.probe_spacing(1.0, math.nan), "epsilon"),
    (lambda: alpay2025.probe_error(1.0, 0.0), "spacing"),
    (lambda: laws.ball_coordinate_tail(3, 1.0, -0.1), "threshold"),
])
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_the_default_failure_probability_is_one_in_ten_everywhere():
    """The authors' default, kept for every paper so that their numbers can be compared."""
    import inspect

    from saddlelib.theory import budget, jin2017, jin2021
    for function in (alpay2025.psd_constants, alpay2025.iteration_bound, alpay2025.probe_count,
                     jin2017.pgd_constants, jin2017.iteration_bound, jin2017.pgdli_iteration_bound,
                     jin2021.smallest_iota, jin2021.printed_iota, budget.budget):
        assert inspect.signature(function).parameters["failure_prob"].default == 0.1
