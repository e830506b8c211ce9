"""Constants of Jin et al. 2021 against the paper, against each other, and against runs."""

import math

import numpy as np
import pytest

from saddlelib.perturbation import uniform_ball
from saddlelib.problems import QuarticSaddle, catalogue
from saddlelib.theory import jin2021

SETTINGS = [(2.0, 6.0, 1e-4, 1.0), (10.0, 0.1, 1e-3, 17.5), (1.0, 1.0, 1.0, 90.25)]
WHOLE = dict(lipschitz_grad=2.0, lipschitz_hess=6.0, epsilon=1e-4, dim=100, delta_f=1.0,
             failure_prob=0.1)


def in_other_units(setting, f, x):
    """The same problem after f → f·f and x → x·x."""
    return dict(setting, lipschitz_grad=setting["lipschitz_grad"] * f / x**2,
                lipschitz_hess=setting["lipschitz_hess"] * f / x**3,
                epsilon=setting["epsilon"] * f / x, delta_f=setting["delta_f"] * f)


@pytest.mark.parametrize("ell, rho, eps, iota", SETTINGS)
def test_constants_are_those_of_equation_6(ell, rho, eps, iota):
    k = jin2021.pgd_constants(ell, rho, eps, iota)
    assert k.iota == iota
    assert k.step_size * ell == pytest.approx(1)
    assert k.noise_radius * 400 * iota**3 == pytest.approx(eps)
    assert k.perturbation_radius == pytest.approx(k.step_size * k.noise_radius)
    assert k.decrease**2 * (50 * iota**3) ** 2 == pytest.approx(eps**3 / rho)
    assert k.localization**2 * 16 * iota**2 == pytest.approx(eps / rho)
    assert k.stuck_width == pytest.approx(4 * 2**-iota * ell * k.localization)
    exact = ell / math.sqrt(rho * eps) * iota
    assert exact * (1 - 1e-12) <= k.episode_length < exact + 1


@pytest.mark.parametrize("ell, rho, eps, iota", SETTINGS)
def test_constants_fit_together_as_the_proof_needs_them(ell, rho, eps, iota):
    """A run that loses less than ℱ in 𝒯 steps stays within 4𝒮/5; the perturbation adds no 𝒮/5."""
    k = jin2021.pgd_constants(ell, rho, eps, iota)
    exact = ell / math.sqrt(rho * eps) * iota
    assert math.sqrt(2 * k.step_size * exact * k.decrease) == pytest.approx(0.8 * k.localization)
    assert k.perturbation_radius < 0.2 * k.localization
    assert jin2021.improve_or_localize(k.step_size, k.episode_length, k.decrease) == pytest.approx(
        0.8 * k.localization, rel=0.5 / k.episode_length + 1e-12)


@pytest.mark.parametrize("dim", [1, 2, 10, 1000, 10**6])
def test_the_failure_probability_is_the_volume_of_the_stuck_band(dim):
    """400 from r, ω/4ℓ from 𝒮 and √(d/π) from the ball make 226√d, which the paper rounds to 2⁸."""
    ell, rho, eps, iota = 2.0, 6.0, 1e-3, 40.0
    k = jin2021.pgd_constants(ell, rho, eps, iota)
    promised = jin2021.escape_failure_prob(ell, rho, eps, dim, iota)
    rounded = k.stuck_width / k.noise_radius * math.sqrt(dim / math.pi)
    assert rounded / promised == pytest.approx(400 / math.sqrt(math.pi) / 256)
    exact = jin2021.stuck_fraction(k.stuck_width, k.noise_radius, dim)
    assert exact <= rounded
    if dim >= 1000:  # Γ(d/2 + 1)/Γ(d/2 + 1/2) tends to √(d/2)
        assert exact / rounded == pytest.approx(math.sqrt(0.5), rel=1e-3)


@pytest.mark.parametrize("dim", [1, 2, 7, 50])
def test_a_thin_band_holds_the_share_of_the_ball_that_the_formula_says(dim):
    xi = uniform_ball(np.random.default_rng(dim), dim, 3.0, 200_000)[:, 0]
    width = 0.06 * 3.0 / math.sqrt(dim)
    share = jin2021.stuck_fraction(width, 3.0, dim)
    assert np.mean(abs(xi) <= width / 2) == pytest.approx(share, rel=0.04)
    assert share <= width / 3.0 * math.sqrt(dim / math.pi)


def test_t_tot_is_the_maximum_that_the_proof_takes():
    ell, rho, eps, iota, delta_f = 2.0, 6.0, 1e-4, 20.0, 0.3
    k = jin2021.pgd_constants(ell, rho, eps, iota)
    exact = ell / math.sqrt(rho * eps) * iota
    t_tot = 8 * max(delta_f * exact / k.decrease, delta_f / (k.step_size * eps**2))
    assert jin2021.iteration_bound(ell, rho, eps, delta_f, iota) == pytest.approx(t_tot)


def displayed(iota, lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob):
    """(T_tot ℓ√d/√(ρε)) ι² 2^{8−ι}, as printed."""
    t_tot = jin2021.iteration_bound(lipschitz_grad, lipschitz_hess, epsilon, delta_f, iota)
    return (t_tot * lipschitz_grad * math.sqrt(dim) / math.sqrt(lipschitz_hess * epsilon)
            * iota**2 * 2 ** (8 - iota))


def random_settings(n):
    rng = np.random.default_rng(0)
    for _ in range(n):
        ell, delta_f = 10 ** rng.uniform(-3, 3, 2)
        rho = 10 ** rng.uniform(-3, 3)
        yield dict(lipschitz_grad=ell, lipschitz_hess=rho,
                   epsilon=ell**2 / rho * 10 ** rng.uniform(-8, 0), dim=int(10**rng.uniform(0, 6)),
                   delta_f=delta_f, failure_prob=10 ** rng.uniform(-9, -0.01))


def test_the_smallest_iota_satisfies_the_displayed_condition_and_no_smaller_one_does():
    seen = 0
    for s in random_settings(300):
        iota, delta = jin2021.smallest_iota(**s), s["failure_prob"]
        assert displayed(iota, **s) <= delta * (1 + 1e-9)
        if iota == 1:
            continue
        seen += 1
        for smaller in (iota * (1 - 1e-6), *np.linspace(1, iota, 50)[:-1]):
            assert displayed(smaller, **s) > delta
        rest = {name: value for name, value in s.items() if name != "failure_prob"}
        assert 2 ** jin2021.condition(**rest, iota=iota) == pytest.approx(displayed(iota, **s))
        assert jin2021.condition(**rest, iota=iota) <= math.log2(delta)  # no rounding upwards
    assert seen > 250


def test_iota_is_one_where_the_condition_holds_at_once():
    tiny = dict(lipschitz_grad=1.0, lipschitz_hess=1.0, epsilon=1.0, dim=1)
    limit = 0.5 / (400 * 2**7)  # 400 Δ_f 2⁷ = δ at ι = 1
    assert jin2021.smallest_iota(**tiny, delta_f=0.999 * limit, failure_prob=0.5) == 1
    assert jin2021.smallest_iota(**tiny, delta_f=1.001 * limit, failure_prob=0.5) > 6 / math.log(2)


@pytest.mark.parametrize("f, x", [(1.0, 1e-3), (1e9, 1.0), (7.0, 0.3), (1e80, 1e60)])
def test_the_smallest_iota_has_no_units_and_the_printed_one_has(f, x):
    other = in_other_units(WHOLE, f, x)
    assert jin2021.smallest_iota(**other) == pytest.approx(jin2021.smallest_iota(**WHOLE))
    moved = jin2021.printed_iota(**other, c=3.0) - jin2021.printed_iota(**WHOLE, c=3.0)
    assert moved == pytest.approx(6 * math.log(x), abs=1e-9)


def test_the_printed_iota_is_what_is_printed_and_can_be_negative():
    s = WHOLE
    assert jin2021.printed_iota(**s) == pytest.approx(math.log(100 * 2.0 / (6.0 * 1e-4 * 0.1)))
    assert jin2021.printed_iota(**in_other_units(s, 1.0, 1e-4)) < 0


def test_constants_follow_a_change_of_units():
    f, x = 7.0, 0.3
    other = in_other_units(WHOLE, f, x)
    k, m = (jin2021.pgd_constants(s["lipschitz_grad"], s["lipschitz_hess"], s["epsilon"], 20.0)
            for s in (WHOLE, other))
    assert m.episode_length == k.episode_length
    for name, factor in dict(step_size=x**2 / f, noise_radius=f / x, perturbation_radius=x,
                             decrease=f, localization=x, stuck_width=f / x).items():
        assert getattr(m, name) == pytest.approx(factor * getattr(k, name)), name


@pytest.mark.parametrize("problem", catalogue(), ids=lambda p: p.name)
def test_runs_improve_or_localize(problem):
    """‖x_τ − x₀‖² ≤ 2ηt(f(x₀) − f(x_t)) for every τ ≤ t, where ℓ holds (Lemma 21)."""
    eta = 1 / problem.lipschitz_grad
    for x0 in problem.region.sample(np.random.default_rng(0), 20):
        x, path = x0, [x0]
        for t in range(1, 40):
            x = x - eta * problem.grad(x)
            path.append(x)
            if not problem.region.contains(np.array(path)).all():
                break
            drop = max(problem.fun(x0) - problem.fun(x), 0.0)
            bound = jin2021.improve_or_localize(eta, t, drop + 1e-13 * abs(problem.fun(x0)))
            assert np.linalg.norm(np.array(path) - x0, axis=1).max() <= bound * (1 + 1e-9)


def test_improve_or_localize_is_attained_by_one_step_into_the_minimizer_of_a_parabola():
    x0, ell = 0.7, 3.0
    assert jin2021.improve_or_localize(1 / ell, 1, ell * x0**2 / 2) == pytest.approx(x0)


@pytest.mark.parametrize("dim", [2, 10, 100])
def test_perturbed_runs_lose_half_of_f_within_the_window(dim):
    """Lemma 20 at a strict saddle: f falls by ℱ/2 in 𝒯 steps; here in each of 200 trials."""
    problem = QuarticSaddle.spread(dim, gamma=0.1)
    ell, rho = problem.lipschitz_grad, problem.lipschitz_hess
    epsilon = 0.1**2 / rho
    iota = jin2021.smallest_iota(ell, rho, epsilon, dim, 0.1**2 / 4, 0.1)
    assert jin2021.escape_failure_prob(ell, rho, epsilon, dim, iota) < 1e-4
    k = jin2021.pgd_constants(ell, rho, epsilon, iota)
    x = -k.step_size * uniform_ball(np.random.default_rng(dim), dim, k.noise_radius, 200)
    for _ in range(k.episode_length):
        x = x - k.step_size * problem.grad(x)
    assert (problem.fun(x) <= -k.decrease / 2).all()


@pytest.mark.parametrize("iota", [16.0, 32.0])
def test_two_starts_more_than_the_stuck_width_apart_are_not_both_stuck(iota):
    """Lemma 22: of two runs ηr₀ apart along the escape direction, r₀ > ω, one loses ℱ."""
    problem = QuarticSaddle(gamma=0.1, eigenvalues=[1.0])
    ell, rho = problem.lipschitz_grad, problem.lipschitz_hess
    k = jin2021.pgd_constants(ell, rho, 0.1**2 / rho, iota)
    gap = 1.01 * k.step_size * k.stuck_width
    rng = np.random.default_rng(1)
    first = uniform_ball(rng, 2, 0.5 * k.perturbation_radius, 300)
    first[:100, 0] = -gap * rng.random(100)  # astride of the stable manifold, where it is hardest
    starts = np.concatenate([first, first + [gap, 0.0]])
    x = starts
    for _ in range(k.episode_length):
        x = x - k.step_size * problem.grad(x)
    change = (problem.fun(x) - problem.fun(starts)).reshape(2, -1)
    assert (change.min(axis=0) <= -k.decrease).all()


def test_the_promise_of_lemma_20_is_empty_below_iota_16():
    for iota in np.linspace(1, 15.99, 100):
        assert jin2021.escape_failure_prob(1.0, 1.0, 1.0, 1, iota) > 1
    assert jin2021.escape_failure_prob(1.0, 1.0, 0.25, 9, 18.0) == pytest.approx(
        2 * 3 * 18**2 / 2**10)


@pytest.mark.parametrize("call, words", [
    (lambda: jin2021.pgd_constants(2.0, 6.0, 1.0, 2.0), "ℓ²/ρ"),
    (lambda: jin2021.pgd_constants(2.0, 6.0, 1e-3, 0.5), "iota must be at least 1"),
    (lambda: jin2021.pgd_constants(2.0, 0.0, 1e-3, 2.0), "lipschitz_hess"),
    (lambda: jin2021.escape_failure_prob(2.0, 6.0, 1.0, 2, 2.0), "ℓ²/ρ"),
    (lambda: jin2021.escape_failure_prob(2.0, 6.0, 1e-3, 0, 2.0), "dim"),
    (lambda: jin2021.condition(2.0, 6.0, 1.0, 2, 1.0, 2.0), "ℓ²/ρ"),
    (lambda: jin2021.smallest_iota(2.0, 6.0, 1.0, 2, 1.0), "ℓ²/ρ"),
    (lambda: jin2021.smallest_iota(2.0, 6.0, 1e-3, 2, 1.0, 1.0), "failure_prob"),
    (lambda: jin2021.iteration_bound(2.0, 6.0, 1e-3, 0.0, 2.0), "delta_f"),
    (lambda: jin2021.iteration_bound(2.0, 6.0, 1.0, 1.0, 2.0), "ℓ²/ρ"),
    (lambda: jin2021.improve_or_localize(0.1, 3, -1.0), "decrease"),
    (lambda: jin2021.improve_or_localize(0.1, 3, math.nan), "decrease"),
    (lambda: jin2021.stuck_fraction(0.0, 1.0, 3), "width"),
    (lambda: jin2021.printed_iota(2.0, 6.0, 1e-3, 2, 1.0, c=0.0), "c must"),
    (lambda: jin2021.pgd_constants(1e300, 1e-300, 1e-300, 2.0), "episode_length"),
])
def test_what_the_theory_does_not_cover_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
