"""PSD's descent phase and its episodes: each statement of the authors' repository, settled.

Lemmas are numbered as in the authors' appendix; see `saddlelib.theory.alpay2025`. The escape
profile and the dragged saddle are the problems that leave an episode the least to gain.
"""

import math

import numpy as np
import pytest
from scipy.special import erfc

from saddlelib.ensemble import first_time
from saddlelib.methods import gd_step
from saddlelib.perturbation import uniform_ball
from saddlelib.problems import DraggedSaddle, EscapeProfile, catalogue
from saddlelib.theory import alpay2025, jin2017, jin2021, laws

FIGURES = dict(lipschitz_grad=10.0, lipschitz_hess=0.1, epsilon=1e-3, dim=10, delta_f=1.0,
               failure_prob=0.1)
SEEDS = 1000


# The descent phase -------------------------------------------------------------------------


@pytest.mark.parametrize("problem", [p for p in catalogue() if np.isfinite(p.f_star)],
                         ids=lambda p: p.name)
def test_descent_steps_stay_below_their_bound_by_two_orders(problem, record_property):
    """16ℓΔ_f/(7ε²) on every problem with a minimum, from 50 starts."""
    ell, eps = problem.lipschitz_grad, 1e-3 * problem.lipschitz_grad
    x = problem.region.sample(np.random.default_rng(3), 50)
    steps = first_time(problem, x, lambda x: np.linalg.norm(problem.grad(x), axis=1) <= eps,
                       step_size=1 / (2 * ell), maxiter=2000)
    bound = [alpay2025.descent_bound(ell, eps, delta_f, refined=True)
             for delta_f in problem.fun(x) - problem.f_star]
    slack = np.array(bound) / steps
    assert (slack > 100).all()
    record_property(f"descent bound over steps, {problem.name}", f"at least {slack.min():.0f}")


def washboard(x, ell, eps):
    """−f′: between ε at every multiple of ε/(2ℓ) and ¾ε in between, with slope ±ℓ."""
    phase = np.mod(x, eps / (2 * ell))
    return eps - ell * np.minimum(phase, eps / (2 * ell) - phase)


@pytest.mark.parametrize("dim", [1, 3])
def test_a_washboard_attains_the_sharp_bound(dim):
    """Each step of ε/(2ℓ) meets the gradient ε again and lowers f by only (7/16)ε²/ℓ; the last one,
    after which it need not, by (3/8)ε²/ℓ. Along a line of any space, too.
    """
    ell, eps, steps = 2.0, 0.5, 4096  # powers of two: the iterates meet the crests exactly
    x, along = np.zeros(dim), np.eye(dim)[-1]
    for _ in range(steps):
        assert washboard(x @ along, ell, eps) == eps
        x = gd_step(x, -washboard(x @ along, ell, eps) * along, 1 / (2 * ell))
    end, crest = x @ along, (steps - 1) * eps / (2 * ell)
    fine = (np.arange(16 * steps) + 0.5) / (16 * steps) * end
    ramp = np.where(fine < crest, washboard(fine, ell, eps), eps - ell * (fine - crest))
    drop = ramp.mean() * end  # the midpoints add up the linear pieces exactly
    slope = np.abs(np.diff(ramp)) / np.diff(fine)
    assert slope.max() <= ell * (1 + 1e-9) and ramp.min() > eps / 2
    assert drop == pytest.approx(((steps - 1) * 7 / 16 + 3 / 8) * eps**2 / ell, rel=1e-9)
    assert alpay2025.descent_bound(ell, eps, drop, refined=True) == pytest.approx(steps, rel=1e-9)
    assert alpay2025.descent_bound(ell, eps, drop) / steps == pytest.approx(7 / 4, rel=1e-3)
    three_eighths = drop / (3 / 8 * eps**2 / ell)  # what the least drop of a step alone would allow
    assert three_eighths / steps == pytest.approx(7 / 6, rel=1e-3)


# Lemma 7.1: the lucky component ------------------------------------------------------------


def test_the_lucky_component_has_nearly_half_the_probability_in_every_dimension():
    """The law falls from 0.592 at d = 1 to erfc(½) = 0.4795: 1/12 is loose by 5.7 to 7.1."""
    law = np.array([laws.ball_coordinate_tail(d, 1.0, alpay2025.marginal_threshold(d, 1.0))
                    for d in range(1, 10_001)])
    assert (np.diff(law) < 0).all()
    assert law[0] == pytest.approx(1 - 1 / math.sqrt(6))
    assert law[-1] == pytest.approx(erfc(0.5), rel=2e-4) and law[-1] > erfc(0.5)
    loose = law / alpay2025.MARGINAL_PROB
    assert 5.75 < loose.min() and loose.max() < 7.11


# Lemma 3.3: what one episode buys ----------------------------------------------------------


def episode(problem, kappa, n=SEEDS, enough=math.inf):
    """Run n episodes from the origin with the published constants.

    Gradient descent never raises f, so a run may stop where the drop is large enough. Returns the
    constants, √(ε³/ρ), the drops, the step at which each run first kept the promise, whether each
    left the trust region 2r, and the last points.
    """
    ell, rho = problem.lipschitz_grad, problem.lipschitz_hess
    eps = (ell / kappa) ** 2 / rho
    scale = eps * math.sqrt(eps / rho)
    k = alpay2025.psd_constants(ell, rho, eps, problem.dim, delta_f=scale)
    x = uniform_ball(np.random.default_rng(problem.dim), problem.dim, k.perturbation_radius, n)
    f0 = problem.fun(np.zeros(problem.dim))
    kept, left = np.full(n, np.inf), np.zeros(n, dtype=bool)
    for step in range(k.episode_length):
        if step < 50 or step % 8 == 0:
            drop = f0 - problem.fun(x)
            kept = np.where(drop >= k.decrease, np.minimum(kept, step), kept)
            left |= np.linalg.norm(x, axis=1) > 2 * k.perturbation_radius
            if (drop >= enough * scale).all():
                break
        x = gd_step(x, problem.grad(x), k.step_size)
    return k, scale, f0 - problem.fun(x), kept, left, x


def profiles(kappa):
    """Other curvatures all ℓ, 0, spread and −γ; gradient 0, ε along x₁, ε across it (ℓ = ρ = 1)."""
    gamma = 1 / kappa
    for d in (1, 2, 10, 100) if kappa < 10 else (1, 2, 10):
        spectra = [np.ones(d - 1), np.zeros(d - 1), np.geomspace(gamma / 10, 1, d - 1),
                   np.full(d - 1, -gamma)]
        for spectrum in spectra[:1] if d == 1 else spectra:
            for along in (None, 0, -1) if d > 1 else (None, 0):
                gradient = np.zeros(d)
                if along is not None:
                    gradient[along] = gamma**2
                yield EscapeProfile(gamma, spectrum, gradient=gradient)


@pytest.mark.parametrize("kappa", [math.sqrt(10), 10.0, 30.0])
def test_every_episode_on_a_profile_keeps_the_promise_and_leaves_the_trust_region(
        kappa, record_property):
    """1000 seeds each: no drop below ε²/(128ℓ), the smallest near ⅔√(ε³/ρ), 85 κ times more.

    ⅔√(ε³/ρ) is the depth of the profile, so where the gradient is zero and nothing else curves
    down no run can do better: the scale √(ε³/ρ) is the right one and ε²/(128ℓ) is not.
    """
    least, slowest, n = math.inf, 0.0, 0
    for problem in profiles(kappa):
        k, scale, drop, kept, left, _ = episode(problem, kappa, enough=0.66)
        assert scale / k.decrease == pytest.approx(128 * kappa)
        assert (drop >= k.decrease).all() and left.all()
        if np.isfinite(problem.f_star) and not problem.gradient.any():
            assert (drop <= 2 / 3 * scale * (1 + 1e-12)).all()
        least, slowest, n = (min(least, drop.min() / scale), max(slowest, kept.max()
                             / k.episode_length), n + len(drop))
    assert 0.66 <= least < 0.67
    assert slowest < 0.25
    record_property(f"{n} episodes at κ = {kappa:.3g}",
                    f"least drop {least:.3f} √(ε³/ρ), slowest {slowest:.3f} T")


@pytest.mark.parametrize("kappa", [10.0, 30.0])
def test_a_slope_that_drags_the_iterate_away_costs_a_factor_of_three(kappa, record_property):
    """Gradient ε/4: the unlucky end in the trap, ⅕√(ε³/ρ) below; still 25 κ times the promise."""
    problem = DraggedSaddle(1 / kappa, pull=0.25)
    k, scale, drop, _, left, x = episode(problem, kappa)
    trapped = np.linalg.norm(x - problem.trap, axis=1) < 0.3 / kappa
    assert (drop >= k.decrease).all() and left.all()
    assert 5 < trapped.sum() < 50
    assert drop.min() == pytest.approx(problem.trap_drop, rel=0.01)  # one may still be on the way
    assert drop.min() / scale == pytest.approx(0.2, rel=0.02)
    assert drop.min() / k.decrease == pytest.approx(25.7 * kappa, rel=0.02)
    assert drop[~trapped].min() > 2 / 3 * scale
    record_property(f"dragged at κ = {kappa:g}", f"least drop {drop.min() / scale:.3f} √(ε³/ρ), "
                    f"{trapped.sum()} of {SEEDS} in the trap")


def trap_exponent(problem):
    """∫ of the growth rate along x₁ while it is positive: ln of the total amplification.

    On x₁ = 0 the slope carries x₂ = D(1 − e^{−τ}), τ = ληt, and the curvature along x₁ is
    −γ(1 − 1.1 x₂/D); so the integral is γ/λ (1 + 0.1 ln(1/11)).
    """
    stiffness = problem.hess(np.zeros(2))[1, 1]
    return problem.gamma / stiffness * (1 + 0.1 * math.log(1 / 11))


def test_the_share_in_the_trap_falls_exponentially_as_its_drop_falls_to_zero(record_property):
    """ln(share) falls like −1.22/pull, and the drop is 0.8 pull √(ε³/ρ): the logarithm is real.

    An episode with one perturbation can promise no more than about √(ε³/ρ)/ln(1/δ′).
    """
    pulls, kappa, n = (0.5, 0.35, 0.25), 10.0, 4000
    shares, exponents = [], []
    for pull in pulls:
        problem = DraggedSaddle(1 / kappa, pull)
        *_, x = episode(problem, kappa, n)
        shares.append((np.linalg.norm(x - problem.trap, axis=1) < 0.1 / kappa).mean())
        exponents.append(trap_exponent(problem))
        assert exponents[-1] == pytest.approx(1.22 / pull, rel=2e-3)
    for i in (0, 1):
        measured = math.log(shares[i] / shares[i + 1])
        assert measured == pytest.approx(exponents[i + 1] - exponents[i], rel=0.25)
    record_property("share in the trap", ", ".join(
        f"{s:.4f} at pull {p}" for s, p in zip(shares, pulls, strict=True)))


# Where the published proof stops -----------------------------------------------------------


def test_without_a_gradient_the_proof_would_need_at_most_five_dimensions():
    """At ∇f = 0 the remainder ρ‖z‖²/2 ≤ 2ρr² alone puts the fixed point at r/4."""
    k = alpay2025.psd_constants(**FIGURES)
    r, gamma, rho = k.perturbation_radius, k.curvature_tol, FIGURES["lipschitz_hess"]
    fixed = rho / 2 * (2 * r) ** 2 / gamma  # where ηγz = ηρ(2r)²/2
    assert fixed == pytest.approx(r / 4)
    enough = [d for d in range(1, 100) if alpay2025.marginal_threshold(d, r) > fixed * (1 + 1e-9)]
    assert enough == [1, 2, 3, 4, 5]


def test_one_perturbation_is_drawn_where_the_argument_needs_hundreds():
    """(11/12)ⁿ ≤ δ/M takes 267 independent perturbations at the authors' constants."""
    k = alpay2025.psd_constants(**FIGURES)
    wanted = FIGURES["failure_prob"] / k.max_episodes
    n = math.log(wanted) / math.log(1 - alpay2025.MARGINAL_PROB)
    assert math.ceil(n) == 268
    # Even the true probability of the lucky component would ask for dozens.
    law = laws.ball_coordinate_tail(10, 1.0, alpay2025.marginal_threshold(10, 1.0))
    assert 30 < math.log(wanted) / math.log(1 - law) < 40


def test_the_three_totals_have_the_stated_powers_of_accuracy():
    """Apart from logarithms: PSD ε^(−5/2), both generations of PGD ε^(−2)."""
    totals = {"psd": [], "2017": [], "2021": []}
    accuracies = np.geomspace(1e-3, 1e-8, 6)
    for eps in accuracies:
        s = {**FIGURES, "epsilon": eps}
        iota = jin2021.smallest_iota(**s)
        episodes = alpay2025.psd_constants(**s).max_episodes
        totals["psd"].append(alpay2025.iteration_bound(**s) / math.log(16 * 10 * episodes / 0.1))
        totals["2017"].append(jin2017.iteration_bound(**s) / jin2017.pgd_constants(**s).chi ** 4)
        totals["2021"].append(jin2021.iteration_bound(10.0, 0.1, eps, 1.0, iota) / iota**4)
    power = {name: np.polyfit(np.log(accuracies), np.log(y), 1)[0] for name, y in totals.items()}
    assert power == pytest.approx({"psd": -2.5, "2017": -2.0, "2021": -2.0}, abs=1e-4)
