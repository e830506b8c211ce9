"""Three generations of constants against what an escape takes, and against float64."""

import math

import numpy as np
import pytest

from saddlelib.ensemble import first_time
from saddlelib.perturbation import uniform_ball
from saddlelib.problems import EscapeProfile, QuarticSaddle
from saddlelib.theory import alpay2025, jin2017, jin2021, laws
from saddlelib.theory.precision import float64_can_resolve, perturbation_warning

FIGURES = dict(lipschitz_grad=10.0, lipschitz_hess=0.1, epsilon=1e-3, dim=10, delta_f=1.0)


def constants(generation, ell, rho, eps, dim, delta_f):
    """(step size, radius in x, window, decrease) of one generation."""
    if generation == "psd":
        k = alpay2025.psd_constants(ell, rho, eps, dim, delta_f)
        return k.step_size, k.perturbation_radius, k.episode_length, k.decrease
    if generation == "2021":
        iota = jin2021.smallest_iota(ell, rho, eps, dim, delta_f)
        k = jin2021.pgd_constants(ell, rho, eps, iota)
        return k.step_size, k.perturbation_radius, k.episode_length, k.decrease / 2
    k = jin2017.pgd_constants(ell, rho, eps, dim, delta_f, c=0.1 if "c" in generation else 1.0)
    return k.step_size, k.perturbation_radius, k.episode_length, k.decrease_threshold


@pytest.mark.parametrize("kappa, share", [(math.sqrt(10), 0.154), (10.0, 0.121), (30.0, 0.098),
                                          (100.0, 0.079)])
def test_psd_needs_a_small_share_of_its_episode(kappa, share, record_property):
    """The promised drop comes after 15 % of T (κ = 3) to 8 % (κ = 100), all but 1 in 1000 times.

    The law: |ξ₁| grows to √(2 ε²/(128ℓγ)) = r/√κ, where γx₁²/2 is the promised drop.
    """
    problem = EscapeProfile(1 / kappa, [])
    k = alpay2025.psd_constants(1.0, 1.0, kappa**-2, 1, kappa**-3)
    exit = math.sqrt(2 * k.decrease / k.curvature_tol)
    assert exit == pytest.approx(k.perturbation_radius / math.sqrt(kappa))
    starts = uniform_ball(np.random.default_rng(0), 1, k.perturbation_radius, 20_000)
    steps = first_time(problem, starts, lambda x: problem.fun(x) <= -k.decrease,
                       step_size=k.step_size, maxiter=k.episode_length)
    assert np.isfinite(steps).all()
    for prob, off in ((0.01, 0.08), (0.001, 0.12)):
        unlucky = laws.ball_coordinate_quantile(1, k.perturbation_radius, prob)
        law = laws.escape_time(unlucky, exit, k.step_size, k.curvature_tol)
        assert np.quantile(steps, 1 - prob) == pytest.approx(law, rel=off)
    assert law / k.episode_length == pytest.approx(share, rel=0.01)
    record_property(f"κ = {kappa:.3g}: share of T that 999 of 1000 need",
                    f"{np.quantile(steps, 0.999) / k.episode_length:.3f}")


@pytest.mark.parametrize("dim, factor", [(1, 4.35), (10, 4.55), (1000, 4.85)])
def test_even_at_the_failure_probability_asked_for_t_is_more_than_four_times_too_long(dim, factor):
    """In the linear model, to leave 2r except with probability δ/M."""
    k = alpay2025.psd_constants(**{**FIGURES, "dim": dim}, failure_prob=0.1)
    unlucky = laws.ball_coordinate_quantile(dim, k.perturbation_radius, 0.1 / k.max_episodes)
    law = laws.escape_time(unlucky, 2 * k.perturbation_radius, k.step_size, k.curvature_tol)
    assert k.episode_length / law == pytest.approx(factor, rel=2e-3)


def test_the_logarithm_of_the_dimension_costs_a_half_where_the_generations_pay_more():
    """Steps per unit of ln d over the law's ½/ln(1+ηγ), as γ/ℓ → 0: PSD 8, 2017 6, 2021 1.44."""
    ell = rho = 1.0
    eps, delta_f = 1e-6, 1e-9
    paid = {}
    for generation in ("psd", "2017", "2021"):
        eta, _, first, _ = constants(generation, ell, rho, eps, 10**3, delta_f)
        _, _, last, _ = constants(generation, ell, rho, eps, 10**9, delta_f)
        law = laws.escape_time_slope(eta, math.sqrt(rho * eps))
        paid[generation] = (last - first) / math.log(10**6) / law
    # d enters ι by log₂ √d, and ι − 6 log₂ ι is what grows by it, whence a little more than 1.44.
    assert paid == pytest.approx({"psd": 8.0, "2017": 6.0, "2021": 1 / math.log(2)}, rel=0.15)
    assert paid["psd"] == pytest.approx(8.0, rel=2e-3)
    assert paid["2017"] == pytest.approx(6.0, rel=2e-3)


@pytest.mark.parametrize("generation, dims, low, high", [
    ("2017", (2, 100, 1000), 3.9, 5.2), ("2017, c = 0.1", (2, 100), 50, 64),
    ("2021", (2, 100, 1000), 3.7, 5.2)])
def test_pgd_budgets_hold_with_a_factor_of_four_or_of_c_squared(generation, dims, low, high,
                                                               record_property):
    """From the saddle of the quartic with γ = √(ρε) = 0.1 to the decrease of each theory."""
    for d in dims:
        problem = QuarticSaddle.spread(d, gamma=0.1)
        ell, rho = problem.lipschitz_grad, problem.lipschitz_hess
        eta, radius, window, decrease = constants(generation, ell, rho, 0.01 / rho, d, 0.0025)
        starts = uniform_ball(np.random.default_rng(d), d, radius, 100)
        steps = first_time(problem, starts, lambda x, p=problem, f=decrease: p.fun(x) <= -f,
                           step_size=eta, maxiter=window)
        assert (steps <= window).all()
        assert low < window / np.median(steps) < high
        record_property(f"{generation}, d = {d}", f"window {window}, median {np.median(steps):.0f},"
                        f" worst {steps.max():.0f}")


def wall(passes):
    """The largest ε at which `passes(ε)` fails."""
    low, high = 1e-14, 1e-1
    assert passes(high) and not passes(low)
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high


@pytest.mark.parametrize("generation, sees, moves", [
    ("psd", 4.77e-7, None), ("2017", 1.76e-6, 1.5e-9), ("2021", 3.67e-5, 2.98e-5)])
def test_the_wall_of_float64(generation, sees, moves, record_property):
    """Below which ε the decrease drowns in f = 1, and the perturbation in x = 1 (ℓ=2, ρ=6, d=100).

    PSD's radius is of order √(ε/ρ) and stays visible.
    """
    def numbers(eps):
        return constants(generation, 2.0, 6.0, eps, 100, 1.0)

    def visible(eps):
        xi = numbers(eps)[1] * uniform_ball(np.random.default_rng(0), 100)
        return not perturbation_warning(numbers(eps)[1], np.ones(100), xi)
    found = wall(lambda eps: float64_can_resolve(numbers(eps)[3], 1.0))
    assert numbers(found)[3] == pytest.approx(4 * 2**-52, rel=1e-6)
    assert found == pytest.approx(sees, rel=0.01)
    if moves is None:
        assert visible(1e-14)
    else:
        assert wall(visible) == pytest.approx(moves, rel=0.1)
    record_property(f"float64 wall of {generation}", f"decrease {found:.1e}" + (
        "" if moves is None else f", perturbation {wall(visible):.1e}"))
