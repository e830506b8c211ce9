"""Whether random directions find negative curvature: a law, and what happens at the same cost."""

import math

import numpy as np
import pytest
from thorough import instances

from saddlelib import Oracle, Verdict, certify
from saddlelib.curvature import lanczos_error, start_overlap
from saddlelib.methods import LanczosProbe, PSDProbe
from saddlelib.perturbation import uniform_sphere
from saddlelib.problems import QuadraticSaddle, QuarticSaddle
from saddlelib.theory import alpay2025

GAMMA = 0.1
EPSILON = 0.01
RHO = GAMMA**2 / EPSILON


def probe(dim, failure_prob=0.1):
    return PSDProbe.published(lipschitz_grad=1.0, lipschitz_hess=RHO, epsilon=EPSILON, dim=dim,
                              failure_prob=failure_prob)


def spectrum(dim, curvature, others):
    return QuadraticSaddle(np.append(-curvature, np.full(dim - 1, others)))


def fired(method, fun, dim, seeds, x=None):
    """In how many of many checks the published probe fires."""
    x, count = np.zeros(dim) if x is None else x, 0
    for seed in range(seeds):
        oracle = Oracle(fun, jac=lambda x: np.zeros(dim))
        count += method.step(oracle, method.init(oracle, x, seed)).finished is None
    return count


def smallest_quotients(method, fun, dim, trials, rng):
    """The smallest second difference of each of many checks at the origin, a batch at a time."""
    m, h = method.probe_count, method.probe_spacing
    V = h * uniform_sphere(rng, dim, size=trials * m)
    q = (fun(V) - 2 * fun(np.zeros((1, dim))) + fun(-V)) / h**2
    return q.reshape(trials, m).min(axis=1)


@pytest.mark.parametrize("dim, factor, others", [
    (2, 2, 0), (10, 2, 0), (20, 2, 0), (50, 2, 0), (10, 10, 10), (50, 10, 10), (5, 10, 100),
    (10, 1.2, 0), (3, 1.05, 0)])
def test_detection_follows_the_beta_law(dim, factor, others):
    """λ_min = −factor·γ, the others at others·γ, at the prescribed number of probes."""
    method, trials = probe(dim), 400
    p = alpay2025.probe_detection_prob(dim, method.probe_count, factor * GAMMA, GAMMA,
                                       others * GAMMA)
    least = smallest_quotients(method, spectrum(dim, factor * GAMMA, others * GAMMA).fun, dim,
                               trials, np.random.default_rng(dim))
    share = (least <= -method.curvature_tol).mean()
    assert abs(share - p) <= 4 * math.sqrt(p * (1 - p) / trials) + 1 / trials


def test_the_method_and_the_batch_are_one_test():
    method, problem = probe(10), spectrum(10, 2 * GAMMA, 0.0)
    p = alpay2025.probe_detection_prob(10, method.probe_count, 2 * GAMMA, GAMMA)
    share = fired(method, problem.fun, 10, 100) / 100
    assert 0.7 < p < 0.9 and abs(share - p) < 0.15


def test_the_law_in_the_cases_that_can_be_done_by_hand():
    law = alpay2025.probe_detection_prob
    # In the plane t = cos² of a uniform angle: P(t ≥ ½) = ½, P(t ≥ ¾) = ⅓.
    assert law(2, 1, 2.0, 1.0) == pytest.approx(1 / 2)
    assert law(2, 1, 3.0, 2.0, others=1.0) == pytest.approx(1 / 3)
    # In space t is the square of a uniform number (Archimedes).
    assert law(3, 1, 4.0, 1.0) == pytest.approx(1 / 2)
    assert law(3, 4, 4.0, 1.0) == pytest.approx(1 - 0.5**4)
    assert law(1, 1, 1.0, 1.0) == 1.0 and law(1, 9, 0.9, 1.0) == 0.0
    assert law(7, 3, 3.0, 1.0, others=-2.0) == 1.0  # every direction reads at most −γ
    assert law(7, 3, 0.5, 1.0) == 0.0
    for bad, words in [(dict(others=-2.0), "others"), (dict(others=math.nan), "others"),
                       (dict(curvature=0.0), "curvature"), (dict(dim=0), "dim"),
                       (dict(probe_count=0), "probe_count"), (dict(curvature_tol=0.0), "tol")]:
        good = dict(dim=3, probe_count=2, curvature=2.0, curvature_tol=1.0)
        with pytest.raises(ValueError, match=words):
            law(**(good | bad))


@pytest.mark.parametrize("factor, others", [(2, 0), (10, 10), (10, 100), (100, 1)])
def test_the_number_of_probes_needed_grows_exponentially_with_the_dimension(factor, others):
    """p ≤ (1 − s)^((d−1)/2), and the prescribed m grows like log d."""
    s = (1 + others) / (factor + others)
    for d in (2, 3, 5, 10, 50, 200):
        one = alpay2025.probe_detection_prob(d, 1, factor, 1.0, others)
        assert 0 < one <= (1 - s) ** ((d - 1) / 2) * (1 + 1e-12)
    m = alpay2025.probe_count(200)
    assert alpay2025.probe_detection_prob(200, m, 2.0, 1.0) < 1e-25
    assert alpay2025.probe_detection_prob(50, alpay2025.probe_count(50), 2.0, 1.0) < 1e-6


@pytest.mark.parametrize("dim", [2, 3, 10])
def test_at_minus_gamma_the_probe_never_fires(dim):
    """vᵀHv ≥ −γ with equality on a set of measure zero; and the quartic term only adds."""
    method = probe(dim)
    assert alpay2025.probe_detection_prob(dim, method.probe_count, GAMMA, GAMMA) == 0.0
    quadratic = spectrum(dim, GAMMA, 0.0)
    quartic = QuarticSaddle(GAMMA, np.ones(dim - 1))
    rng = np.random.default_rng(0)
    for problem in (quadratic, quartic):
        least = smallest_quotients(method, problem.fun, dim, 500, rng)
        assert (least > -method.curvature_tol).all()
    assert fired(method, quadratic.fun, dim, 50) == 0


def cubic(curvature):
    """−λx₁²/2 + ρ|x₁|³/6 + ½ Σ_{i>1} xᵢ²: its Hessian is ρ-Lipschitz, λ_min = −λ at 0."""
    def fun(x):
        a = np.abs(x[..., 0])
        return (-curvature * a**2 / 2 + RHO * a**3 / 6
                + (x[..., 1:] ** 2).sum(axis=-1) / 2)

    def grad(x):
        g = x.copy()
        g[0] = -curvature * x[0] + RHO * x[0] * abs(x[0]) / 2
        return g
    return fun, grad


@pytest.mark.parametrize("dim", [1, 2, 5])
@pytest.mark.parametrize("factor, seen", [(1.0, False), (1.1, False), (1.33, False), (1.34, True)])
def test_between_gamma_and_four_thirds_of_it_no_direction_sees_the_saddle(dim, factor, seen):
    """q(v) ≥ −λ + γ/3 > −γ for every v: not the draw is unlucky, the threshold is."""
    fun, grad = cubic(factor * GAMMA)
    method = probe(dim)
    h = method.probe_spacing
    along = np.zeros((2, dim))
    along[:, 0] = h, -h
    quotient = (fun(along).sum() - 2 * fun(np.zeros(dim))) / h**2
    assert quotient == pytest.approx(-(factor - 1 / 3) * GAMMA)
    assert (quotient <= -GAMMA) == seen
    if not seen:
        least = smallest_quotients(method, fun, dim, 300, np.random.default_rng(1))
        assert (least > -GAMMA).all()
    if factor > 1:  # gradients of the same function do see it
        found = certify(fun, np.zeros(dim), jac=grad, epsilon=EPSILON, lipschitz_hess=RHO,
                        failure_prob=0.1, rng=0)
        assert found.verdict is Verdict.NEGATIVE_CURVATURE


def test_and_a_point_that_is_second_order_stationary_may_be_left():
    """With −ρ|x|³/6 the reading is γ/3 too low: at λ_min = −2γ/3 the probe fires in d = 1."""
    fun = lambda x: -GAMMA * 0.67 * x[0] ** 2 / 2 - RHO * abs(x[0]) ** 3 / 6  # noqa: E731
    assert fired(probe(1), fun, 1, 20) == 20


def sound(dim, failure_prob=0.1):
    return LanczosProbe.practical(step_size=0.5, epsilon=EPSILON, dim=dim, lipschitz_hess=RHO,
                                  failure_prob=failure_prob)


@pytest.mark.parametrize("dim", [2, 50, 1000])
@pytest.mark.parametrize("factor, others", [(2, 0), (10, 10), (10, 100)])
def test_lanczos_detects_at_no_more_evaluations(dim, factor, others):
    """The same saddles, the same m: found with probability 1 − δ, for a few gradients.

    Two clusters tempt the Lanczos iteration to stop early; at δ = 0.1 it now and then does.
    """
    problem = spectrum(dim, factor * GAMMA, others * GAMMA)
    m = alpay2025.probe_count(dim)
    assert sound(dim).probe_count == m
    for failure_prob, seeds in [(0.1, 100), (1e-4, 20)]:
        method, found, cost = sound(dim, failure_prob), 0, 0
        for seed in range(seeds):
            oracle = Oracle(problem)
            state = method.step(oracle, method.init(oracle, np.zeros(dim), seed))
            found += state.certificate.verdict is Verdict.NEGATIVE_CURVATURE
            cost = max(cost, state.certificate.njev)
        assert found >= (1 - failure_prob) * seeds and cost < 0.05 * (2 * m + 1)


def test_lanczos_keeps_its_promise_on_a_spread_spectrum():
    """d = 200, λ_min = −2γ under a spread of others up to 100γ: of 60 checks at most δ fail."""
    problem = QuadraticSaddle(np.append(-2 * GAMMA, np.linspace(0, 100 * GAMMA, 199)))
    method, found, cost = sound(200), 0, 0
    for seed in range(60):
        oracle = Oracle(problem)
        state = method.step(oracle, method.init(oracle, np.zeros(200), seed))
        found += state.certificate.verdict is Verdict.NEGATIVE_CURVATURE
        cost = max(cost, state.certificate.njev)
    assert found >= 54 and cost <= 2 * method.probe_count + 1
    blind = smallest_quotients(probe(200), problem.fun, 200, 20, np.random.default_rng(0))
    assert (blind > 0).all()


def test_m_minus_13_steps_resolve_one_five_hundredth_of_the_spread():
    """The proposition of `LanczosProbe`, and each step of its proof."""
    worst = 0.0
    assert alpay2025.probe_count(1, 1 - 1e-12) == 45  # no m is smaller
    for d in (1, 2, 3, 5, 10, 100, 10**4, 10**6):
        for delta in (0.99, 0.5, 0.1, 1e-2, 1e-4, 1e-8):
            m, t = alpay2025.probe_count(d, delta), start_overlap(d, delta / 2)
            assert t >= math.pi * delta**2 / (8 * d) * (1 - 1e-9) and m >= 45
            assert math.acosh(t**-0.5) <= math.log(16 * d / delta) <= m / 16
            error = lanczos_error(m - 13, t)
            assert error <= math.tanh(m / 16 / (2 * m - 27)) ** 2 < 1 / 500
            worst = max(worst, error)
    assert worst > 1 / 5000  # a tenth of what is promised is not far off


def test_the_budget_finds_one_eigenvalue_hidden_below_a_spread_of_five_hundred():
    """-γ - s/500 below Chebyshev's points in [-γ, -γ + s]: of the starts at most δ fail in time."""
    starts, found = instances(20, 40), {}
    d, m = 500, alpay2025.probe_count(500)
    others = (1 + np.cos(np.pi * (np.arange(d - 1) + 0.5) / (d - 1))) / 2
    for factor in (500, 100_000):
        problem = QuadraticSaddle(np.append(-GAMMA - 10 / factor, -GAMMA + 10 * others))
        verdicts = [certify(problem, np.zeros(d), epsilon=EPSILON, curvature_tol=GAMMA,
                            failure_prob=0.1, maxiter=m - 13, resolution=1e-9, rng=seed).verdict
                    for seed in range(starts)]
        found[factor] = verdicts.count(Verdict.NEGATIVE_CURVATURE)
    assert found[500] >= 0.9 * starts and found[100_000] < starts / 2


def test_without_a_choice_of_sign_the_displacement_may_go_up_seven_times_what_it_can_gain():
    """At ‖∇f‖ = ε: +7γr² or −9γr² by the toss of a coin, where −γr² is what curvature gives."""
    dim, curvature = 2, 2 * GAMMA
    method = probe(dim)
    r, tilt = method.perturbation_radius, np.array([EPSILON, 0.0])
    problem = spectrum(dim, curvature, 1.0)
    oracle = Oracle(lambda x: problem.fun(x) + tilt @ x,
                    jac=lambda x: problem.grad(x) + tilt * (1 - 1e-12))
    change = []
    for seed in range(100):
        state = method.step(oracle, method.init(oracle, np.zeros(dim), seed))
        assert state.last_perturbation is not None
        change.append((oracle.fun(state.x) - oracle.fun(np.zeros(dim))) / (GAMMA * r**2))
    change = np.array(change)
    assert 35 <= (change > 0).sum() <= 65
    assert 6.5 < change.max() < 7.1 and -9.1 < change.min() < -8.5
