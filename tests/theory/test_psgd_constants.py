"""Constants of two stochastic methods: PSGD of Jin et al. 2021 and that of Alpay & Alakkad."""

import math

import numpy as np
import pytest

from saddlelib.problems import QuarticSaddle
from saddlelib.theory import alpay2025, jin2021
from saddlelib.theory.noise import tail_scale

S = dict(lipschitz_grad=2.0, lipschitz_hess=6.0, epsilon=1e-2, dim=30, noise_scale=0.05)
SMOOTH = dict(S, lipschitz_sample=5.0)
MIXED = dict(SMOOTH, batch_size=3)


def in_other_units(setting, f, x):
    """The same problem after f → f·f and x → x·x."""
    units = dict(lipschitz_grad=f / x**2, lipschitz_sample=f / x**2, lipschitz_hess=f / x**3,
                 epsilon=f / x, noise_scale=f / x, delta_f=f)
    return {name: value * units.get(name, 1) for name, value in setting.items()}


@pytest.mark.parametrize("scale", [0.05, 1.0])
def test_the_noise_factor_is_that_of_equation_8(scale):
    s = dict(S, noise_scale=scale)
    without = scale**2 * 30 / 1e-4
    kappa = 2.0 / math.sqrt(6.0 * 1e-2)
    smooth = scale**2 / 1e-4 + (5.0 / 2.0) ** 2 * kappa
    assert jin2021.noise_factor(**s) == pytest.approx(1 + without)
    assert jin2021.noise_factor(**s, lipschitz_sample=5.0) == pytest.approx(
        1 + min(smooth, without))
    assert jin2021.noise_factor(**s, lipschitz_sample=1e9) == pytest.approx(1 + without)
    for m in (1, 2, 17):
        assert jin2021.noise_factor(**s, batch_size=m) == pytest.approx(1 + without / m)
        assert jin2021.noise_factor(**s, batch_size=m, lipschitz_sample=5.0) == pytest.approx(
            1 + min(smooth, without) / m)


def test_without_noise_the_factor_is_one():
    for extra in ({}, dict(lipschitz_sample=5.0), dict(batch_size=9)):
        assert jin2021.noise_factor(**dict(S, noise_scale=0.0), **extra) == 1


def test_smooth_samples_make_the_factor_free_of_the_dimension():
    high = [jin2021.noise_factor(**dict(SMOOTH, dim=d)) for d in (10**3, 10**6)]
    assert high[0] == high[1]
    high = [jin2021.noise_factor(**dict(S, dim=d)) - 1 for d in (10**3, 10**6)]
    assert high[1] == pytest.approx(1000 * high[0])


@pytest.mark.parametrize("setting", [S, SMOOTH, MIXED])
@pytest.mark.parametrize("iota", [1.0, 7.5])
def test_constants_are_those_of_equation_8(setting, iota):
    k = jin2021.psgd_constants(**setting, iota=iota)
    ell, rho, eps = (setting[n] for n in ("lipschitz_grad", "lipschitz_hess", "epsilon"))
    factor = jin2021.noise_factor(**setting)
    assert (k.iota, k.noise_factor) == (iota, factor)
    assert k.step_size * iota**9 * ell * factor == pytest.approx(1)
    assert k.noise_radius**2 == pytest.approx(iota**2 * eps**2 * factor)
    assert k.perturbation_radius == pytest.approx(k.step_size * k.noise_radius)
    exact = iota / (k.step_size * math.sqrt(rho * eps))
    assert exact * (1 - 1e-12) <= k.episode_length < exact + 1
    assert k.decrease**2 * iota**10 == pytest.approx(eps**3 / rho)
    assert k.localization**2 * iota**4 == pytest.approx(4 * eps / rho)


@pytest.mark.parametrize("setting", [S, MIXED])
def test_t_tot_is_the_maximum_that_the_proof_takes(setting):
    delta_f = 0.3
    for iota in (1.0, 3.0):
        k = jin2021.psgd_constants(**setting, iota=iota)
        exact = iota / (k.step_size * math.sqrt(6.0 * 1e-2))
        t_tot = 100 * max(delta_f * exact / k.decrease, delta_f / (k.step_size * 1e-4))
        assert jin2021.psgd_iteration_bound(**setting, delta_f=delta_f, iota=iota) == pytest.approx(
            t_tot)
    assert jin2021.psgd_iteration_bound(**setting, delta_f=1.0, iota=1e40) == math.inf


@pytest.mark.parametrize("extra, factor", [({}, 1000), (dict(lipschitz_sample=5.0), 1)])
def test_the_bound_grows_as_the_fourth_power_of_the_accuracy(extra, factor):
    setting = dict(S, dim=1000, delta_f=1.0, iota=1.0, **extra)
    steps = [jin2021.psgd_iteration_bound(**dict(setting, epsilon=eps)) for eps in (1e-9, 1e-10)]
    assert steps[1] / steps[0] == pytest.approx(1e4, rel=1e-3)
    assert steps[1] == pytest.approx(100 * 2.0 * 0.05**2 * factor * 1e40, rel=1e-3)


def test_larger_batches_save_steps_but_no_samples():
    steps = [jin2021.psgd_iteration_bound(**dict(S, batch_size=m), delta_f=1.0, iota=2.0)
             for m in (1, 2, 5, 50, 5000)]
    assert (np.diff(steps) < 0).all()
    assert (np.diff(np.array(steps) * [1, 2, 5, 50, 5000]) > 0).all()


@pytest.mark.parametrize("f, x", [(7.0, 0.3), (1e9, 1.0), (1.0, 1e-3)])
def test_constants_follow_a_change_of_units(f, x):
    k = jin2021.psgd_constants(**MIXED, iota=3.0)
    m = jin2021.psgd_constants(**in_other_units(MIXED, f, x), iota=3.0)
    assert m.episode_length == pytest.approx(k.episode_length, rel=1e-12, abs=1)
    for name, factor in dict(noise_factor=1, step_size=x**2 / f, noise_radius=f / x,
                             perturbation_radius=x, decrease=f, localization=x).items():
        assert getattr(m, name) == pytest.approx(factor * getattr(k, name)), name
    whole = dict(MIXED, delta_f=0.7)
    for call in (jin2021.psgd_iota, lambda **s: jin2021.psgd_iteration_bound(**s, iota=2.0)):
        assert call(**in_other_units(whole, f, x)) == pytest.approx(call(**whole))
    assert jin2021.psgd_escape_prob(m, 30) == pytest.approx(jin2021.psgd_escape_prob(k, 30))


def test_iota_is_the_logarithm_of_theorem_16_and_at_least_one():
    s = dict(S, delta_f=0.7, failure_prob=0.02)
    q = (30 * jin2021.noise_factor(**S) / 0.02 * max(1, 2.0 * 0.7 / 1e-4)
         * 2.0 / math.sqrt(6.0 * 1e-2))
    assert jin2021.psgd_iota(**s) == pytest.approx(1 + math.log(q))
    assert jin2021.psgd_iota(**s, mu=3.0) == pytest.approx(3 * (1 + math.log(q)))
    assert jin2021.psgd_iota(**s, mu=1e-9) == 1
    small = dict(s, delta_f=1e-9)  # ℓΔ_f < ε²: the maximum is 1
    assert jin2021.psgd_iota(**small) == pytest.approx(1 + math.log(q / (2.0 * 0.7 / 1e-4)))


def test_the_escape_probability_is_that_of_lemma_25():
    for iota in (110.0, 125.0, 140.0):
        k = jin2021.psgd_constants(**S, iota=iota)
        ratio = k.localization * math.sqrt(30) / (k.step_size * k.noise_radius)
        lost = 5 * 30 * float(k.episode_length) ** 2 * math.log(ratio) * math.exp(-iota)
        assert jin2021.psgd_escape_prob(k, 30) == pytest.approx(1 / 3 - lost, abs=1e-9)
    probs = [jin2021.psgd_escape_prob(jin2021.psgd_constants(**S, iota=i), 30)
             for i in np.linspace(60, 200, 30)]
    assert (np.diff(probs) >= 0).all() and probs[0] < 0 < probs[-1] <= 1 / 3


def test_what_lemma_25_asks_for_no_machine_can_do():
    """The smallest ι with a promise makes T_tot a number of steps beyond 10³⁰; ι = 1 promises none.
    """
    iota = next(i for i in np.arange(1.0, 300.0)
                if jin2021.psgd_escape_prob(jin2021.psgd_constants(**S, iota=i), 30) > 0)
    assert 60 < iota < 140
    assert jin2021.psgd_iteration_bound(**S, delta_f=1.0, iota=iota) > 1e30
    assert jin2021.psgd_escape_prob(jin2021.psgd_constants(**S, iota=1.0), 30) < 0


def test_half_of_the_iterates_are_second_order_stationary_already_at_iota_1():
    """Algorithm 2 from the saddle itself, with Gaussian noise, in 20 runs of T_tot steps."""
    problem = QuarticSaddle(gamma=1.0, eigenvalues=[1.0])
    ell, rho = problem.lipschitz_grad, problem.lipschitz_hess
    eps, sigma = 1 / (4 * rho), 1 / (16 * rho)
    setting = dict(lipschitz_grad=ell, lipschitz_hess=rho, epsilon=eps, dim=2,
                   noise_scale=tail_scale(sigma, 2))
    k = jin2021.psgd_constants(**setting, iota=1.0)
    steps = int(jin2021.psgd_iteration_bound(**setting, delta_f=0.25, iota=1.0))
    deviation = math.hypot(sigma, k.noise_radius / math.sqrt(2))  # of g − ∇f and of ξ together
    rng, x = np.random.default_rng(0), np.zeros((20, 2))
    path = k.step_size * deviation * rng.standard_normal((steps, 20, 2))
    for noise in path:
        start, x = x, x - k.step_size * problem.grad(x) - noise
        noise[:] = start
    small = np.linalg.norm(problem.grad(path.reshape(-1, 2)), axis=1).reshape(steps, 20) <= eps
    good = (small & (3 * path[:, :, 0] ** 2 - 1 >= -math.sqrt(rho * eps))).sum(axis=0)
    assert (good >= 0.5 * steps).all()
    assert (abs(x[:, 0]) > 0.5).all()


@pytest.mark.parametrize("ratio, batch", [(0, 1), (1, 6), (10, 60), (100, 600)])
def test_the_published_batches(ratio, batch):
    """⌈(2σ²/ε²) ln 20⌉ for δ = 0.1; the 4σ²/ε² of the published table is δ = 2/e² = 0.27."""
    sigma = math.sqrt(ratio) * 0.3
    assert alpay2025.batch_size(sigma, 0.3) == batch
    if ratio:
        assert alpay2025.batch_size(sigma, 0.3, failure_prob=2 * math.exp(-2)) == pytest.approx(
            4 * ratio, abs=1)  # rounding up, of a number that is whole
    exact = 2 * ratio * math.log(2 / 0.1)
    assert exact <= batch < exact + 1 or ratio == 0


def test_the_published_batch_is_the_smallest_with_the_tail_of_one_coordinate():
    for sigma, eps, delta in ((3.0, 0.2, 0.1), (1.0, 1.0, 1e-4), (0.7, 0.01, 0.5)):
        b = alpay2025.batch_size(sigma, eps, delta)
        assert 2 * math.exp(-b * eps**2 / (2 * sigma**2)) <= delta
        assert 2 * math.exp(-(b - 1) * eps**2 / (2 * sigma**2)) > delta


def test_the_published_trigger_adds_the_noise_of_two_dimensions():
    for sigma, eps, b in ((3.0, 0.2, 7), (1e-9, 1e-3, 1), (1e200, 1e190, 5)):
        t = alpay2025.batch_trigger(sigma, eps, b)
        assert (t / eps) ** 2 == pytest.approx(1 + 2 * (sigma / eps) ** 2 / b)
    assert alpay2025.batch_trigger(0.0, 0.2, 3) == pytest.approx(0.2)


def test_the_published_rule_has_no_units():
    for scale in (1e-7, 0.37, 1e12):
        assert alpay2025.batch_size(3.3 * scale, 0.7 * scale) == alpay2025.batch_size(3.3, 0.7)
        assert alpay2025.batch_trigger(3.3 * scale, 0.7 * scale, 5) == pytest.approx(
            scale * alpay2025.batch_trigger(3.3, 0.7, 5))


@pytest.mark.parametrize("call, error, words", [
    (lambda: jin2021.noise_factor(**dict(S, epsilon=1.0)), ValueError, "ℓ²/ρ"),
    (lambda: jin2021.noise_factor(**dict(S, noise_scale=-1.0)), ValueError, "noise_scale"),
    (lambda: jin2021.noise_factor(**dict(S, noise_scale="1")), TypeError, "noise_scale"),
    (lambda: jin2021.noise_factor(**S, lipschitz_sample=0.0), ValueError, "lipschitz_sample"),
    (lambda: jin2021.noise_factor(**S, batch_size=1.5), TypeError, "batch_size"),
    (lambda: jin2021.psgd_constants(**S, iota=0.5), ValueError, "iota"),
    (lambda: jin2021.psgd_constants(**S, iota=1e40), ValueError, "episode_length"),
    (lambda: jin2021.psgd_iteration_bound(**S, delta_f=0.0, iota=1.0), ValueError, "delta_f"),
    (lambda: jin2021.psgd_iota(**S, delta_f=1.0, failure_prob=1.0), ValueError, "failure_prob"),
    (lambda: jin2021.psgd_iota(**S, delta_f=1.0, mu=0.0), ValueError, "mu"),
    (lambda: jin2021.psgd_escape_prob(jin2021.psgd_constants(**S, iota=2.0), 0), ValueError,
     "dim"),
    (lambda: alpay2025.batch_size(-1.0, 1.0), ValueError, "noise_std"),
    (lambda: alpay2025.batch_size(1.0, 1.0, 0.0), ValueError, "failure_prob"),
    (lambda: alpay2025.batch_size(1e200, 1e-200), ValueError, "batch_size"),
    (lambda: alpay2025.batch_trigger(1.0, 0.0, 1), ValueError, "epsilon"),
    (lambda: alpay2025.batch_trigger(1.0, 1.0, 0), ValueError, "batch_size"),
])
def test_what_the_constants_do_not_cover_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
