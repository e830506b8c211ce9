"""The experiment tables of the authors' repository, rerun: what reproduces and what does not.

Their ``experiments.py`` calls no optimizer; it calls its numbers synthetic and "stand-ins for real
experimental results". Here the methods run, with the functions, dimensions and constants it names.
"""

import numpy as np
import pytest

from saddlelib import Status, minimize
from saddlelib.ensemble import first_time, settle
from saddlelib.methods import PGD
from saddlelib.perturbation import uniform_ball
from saddlelib.problems import QuadraticSaddle, Rosenbrock, SeparableQuartic
from saddlelib.theory import alpay2025

NAMED = dict(lipschitz_grad=10.0, lipschitz_hess=0.1, epsilon=1e-3, failure_prob=0.1)
EPSILON = NAMED["epsilon"]
# dim: episode length of PSD, of PSD-Probe, drop per episode. As printed by their script.
FIGURES = {10: (239_504, 239_574, 9.41e-10), 50: (255_239, 255_347, 9.48e-10),
           100: (247_896, 247_960, 9.28e-10), 500: (271_643, 271_727, 9.23e-10),
           1000: (276_717, 276_790, 9.06e-10)}
# Iterations of GD, PSD, PSD-Probe, PGD; 50 000 is a cap.
TABLE = {"Quartic-10": (50_000, 2340, 2480, 2890), "Quartic-100": (50_000, 4870, 5120, 5950),
         "Rosenbrock-10": (50_000, 3150, 3320, 3780), "Random-100": (50_000, 5420, 5680, 6340)}


def constants(dim):
    return alpay2025.psd_constants(dim=dim, delta_f=1.0, **NAMED)


def second_order_stationary(problem, curvature_tol):
    def reached(x):
        ok = np.linalg.norm(problem.grad(x), axis=1) <= EPSILON
        for i in np.flatnonzero(ok):
            ok[i] = np.linalg.eigvalsh(problem.hess(x[i]))[0] >= -curvature_tol
        return ok
    return reached


@pytest.mark.parametrize("dim, seeds", [(10, 20), (50, 20), (100, 20), (500, 3), (1000, 2)])
def test_an_episode_takes_t_steps_of_which_a_thousandth_are_needed(dim, seeds):
    """The published "measured" lengths differ from T by about 5 %; the loop has no way to."""
    p, k = SeparableQuartic(dim), constants(dim)
    T = k.episode_length
    for published in FIGURES[dim][:2]:
        assert 1.005 < published / T < 1.08
    starts = uniform_ball(np.random.default_rng(dim), dim, k.perturbation_radius, seeds)
    times = first_time(p, starts, second_order_stationary(p, k.curvature_tol),
                       step_size=k.step_size, maxiter=1000)
    assert 80 < times.min() <= times.max() < T / 1000


@pytest.mark.parametrize("dim", FIGURES)
def test_the_drop_of_an_episode_is_a_billion_times_the_published_one(dim):
    """No step after the first 1000 changes a bit, so this is where all T steps lead."""
    p, k = SeparableQuartic(dim), constants(dim)
    starts = uniform_ball(np.random.default_rng(dim), dim, k.perturbation_radius, 5)
    ends, still = settle(p, starts, step_size=k.step_size, maxiter=1000)
    assert still.all() and k.episode_length > 1000
    drop = p.fun(np.zeros(dim)) - p.fun(ends)
    np.testing.assert_allclose(drop, dim / 4, rtol=1e-12)
    assert FIGURES[dim][2] / k.decrease == pytest.approx(1.2, abs=0.05)
    assert (drop / FIGURES[dim][2] > 1e9).all()
    # From a saddle with one negative curvature the drop is ¼, in every dimension.
    ends, still = settle(p, p.saddles[-1] + starts[:2], step_size=k.step_size, maxiter=2000)
    assert still.all() and p.fun(p.saddles[-1]) - p.fun(ends) == pytest.approx(0.25)


def test_a_run_is_the_descent_and_then_every_step_of_the_episode():
    """The count that the figure shows, at constants that make it short: T + 2 gradients."""
    p = SeparableQuartic(10)
    run = minimize(p, np.zeros(10), "psd", rule="published", delta_f=1.0, rng=0,
                   **(NAMED | dict(lipschitz_hess=24.0, epsilon=0.05)))
    T = alpay2025.psd_constants(10.0, 24.0, 0.05, 10, 1.0, 0.1).episode_length
    assert run.success and run.nit == T and run.njev - run.certificate.njev == T + 2


def problems():
    eigenvalues = np.random.default_rng(1).uniform(0.5, 1.5, 100)
    return {"Quartic-10": (SeparableQuartic(10), 10.0),
            "Quartic-100": (SeparableQuartic(100), 10.0),
            "Random-100": (QuadraticSaddle(eigenvalues), 10.0)}


@pytest.mark.parametrize("name", ["Quartic-10", "Quartic-100", "Random-100"])
def test_no_run_from_a_random_start_meets_a_saddle_so_all_methods_are_gradient_descent(name):
    """Gradient descent needs 30 to 300 iterations where the table has a cap of 50 000."""
    p, ell = problems()[name]
    starts = np.random.default_rng(0).uniform(-0.5, 0.5, (5, p.dim))
    for seed, x0 in enumerate(starts):
        plain = minimize(p, x0, "gd", step_size=1 / (2 * ell), epsilon=EPSILON,
                         lipschitz_hess=0.1, rng=seed)
        psd = minimize(p, x0, "psd", rule="published", delta_f=1.0, rng=seed, **NAMED)
        probe = minimize(p, x0, "psd", rule="probe", rng=seed, **NAMED)
        assert plain.success and psd.success and probe.success
        assert 30 < plain.nit == psd.nit == probe.nit < 300
        np.testing.assert_array_equal(psd.x, plain.x)
        np.testing.assert_array_equal(probe.x, plain.x)
        assert psd.nhev == 1 and not psd.perturbed_at and not probe.perturbed_at
        assert probe.nfev - probe.certificate.nfev == 2 * alpay2025.probe_count(p.dim) + 2
        assert TABLE[name][0] > 150 * plain.nit and TABLE[name][1] > 15 * psd.nit


def test_a_saddle_on_the_way_would_cost_a_whole_episode():
    """Table and figure exclude each other: 2340 in all against one episode of 226 784."""
    for name, dim in [("Quartic-10", 10), ("Quartic-100", 100)]:
        assert constants(dim).episode_length > 40 * TABLE[name][1]


def test_gradient_descent_is_stuck_only_where_it_starts_at_a_saddle():
    p = SeparableQuartic(10)
    stuck = minimize(p, np.zeros(10), "gd", step_size=0.05, epsilon=EPSILON, rng=0)
    assert stuck.nit == 0 and stuck.status == Status.SADDLE
    starts = np.random.default_rng(5).uniform(-0.5, 0.5, (200, 10))
    times = first_time(p, starts, lambda x: p.distance(x) < 1e-3, step_size=0.05, maxiter=2000)
    assert np.isfinite(times).all()


def test_the_random_quadratic_has_no_saddle():
    p = problems()["Random-100"][0]
    assert len(p.saddles) == 0 and p.minimizer_min_eigs[0] >= 0.5


def test_rosenbrock_is_far_from_done_at_the_published_counts():
    """PSD is gradient descent here too, and after 3780 steps of the table's 3150 it goes on."""
    p = Rosenbrock(10)
    for seed in range(2):
        x0 = np.random.default_rng(seed).uniform(-0.5, 0.5, 10)
        run = minimize(p, x0, "psd", rule="published", delta_f=1.0, rng=seed, maxiter=3780,
                       **(NAMED | dict(lipschitz_grad=p.lipschitz_grad)))
        assert run.status == Status.MAXITER and not run.perturbed_at
        assert np.linalg.norm(run.jac) > 50 * EPSILON and p.distance(run.x) > 0.5


def test_rosenbrock_diverges_with_the_named_constant():
    """ℓ = 10 is a hundredth of the curvature there."""
    p, x0 = Rosenbrock(10), np.full(10, 0.3)
    assert np.linalg.eigvalsh(p.hess(x0))[-1] > 10 * NAMED["lipschitz_grad"]
    with np.errstate(all="ignore"):
        run = minimize(p, x0, "gd", step_size=0.05, epsilon=EPSILON, rng=0)
    assert run.status == Status.NONFINITE and run.nit < 20


@pytest.mark.parametrize("dim", [10, 100])
def test_psd_probe_returns_the_saddle_of_their_quartic_that_psd_leaves(dim):
    """One negative curvature of d: −2, the others 4, γ = 0.01."""
    p, m, kept, seeds = SeparableQuartic(dim), alpay2025.probe_count(dim), 0, 40
    for seed in range(seeds):
        run = minimize(p, p.saddles[-1], "psd", rule="probe", certificate=False, rng=seed,
                       maxiter=1, **NAMED)
        kept += run.nit == 0
    law = 1 - alpay2025.probe_detection_prob(dim, m, 2.0, constants(dim).curvature_tol, 4.0)
    assert abs(kept / seeds - law) < 0.2 and (kept == seeds or dim == 10)
    sound = minimize(p, p.saddles[-1], "psd", rule="lanczos-probe", step_size=0.05, rng=0, **NAMED)
    assert sound.success and p.distance(sound.x) < 1e-3


def test_pgd_adds_one_window_to_the_descent():
    """What the chapter adds without running it: at a minimizer PGD waits once, in full."""
    p = SeparableQuartic(10)
    x0 = np.random.default_rng(0).uniform(-0.5, 0.5, 10)
    options = dict(step_size=0.05, epsilon=EPSILON, rng=0)
    plain, pgd = minimize(p, x0, "gd", **options), minimize(p, x0, "pgd", **options)
    wait = PGD.practical(step_size=0.05, epsilon=EPSILON, dim=10,
                         curvature_tol=np.sqrt(24.0 * EPSILON)).episode_length
    assert pgd.success and pgd.nit == plain.nit + wait > plain.nit + 500
