"""PSD-Probe: as published, step for step; and its sound twin, in what it asks for and spends."""

import pickle

import numpy as np
import pytest

from saddlelib import Oracle, Status, Verdict, certify, minimize
from saddlelib.curvature.products import Differences
from saddlelib.methods import CertifiedPSD, LanczosProbe, PSDProbe
from saddlelib.problems import QuadraticSaddle, QuarticSaddle, SeparableQuartic
from saddlelib.theory import alpay2025

QUARTIC = QuarticSaddle(gamma=0.5, eigenvalues=[1.0, 2.0])
CONSTANTS = dict(lipschitz_grad=QUARTIC.lipschitz_grad, lipschitz_hess=QUARTIC.lipschitz_hess,
                 epsilon=1e-3)


def run(method, oracle, x0, rng, steps=2000):
    states = [method.init(oracle, np.array(x0, dtype=float), rng)]
    while states[-1].finished is None and len(states) <= steps:
        states.append(method.step(oracle, states[-1]))
    return states


def psd_probe(problem, x0, rng, eta, eps, gamma, r, h, m):
    """The header of the authors' code line by line."""
    x, path = np.array(x0, dtype=float), []
    while True:
        if np.linalg.norm(problem.grad(x)) > eps:
            x = x - eta * problem.grad(x)
            path.append(x)
            continue
        best = np.inf
        for v in rng.standard_normal((m, x.size)):
            v = v * (1 / np.linalg.norm(v))
            q = (problem.fun(x + h * v) - 2 * problem.fun(x) + problem.fun(x - h * v)) / h**2
            if q < best:
                best, direction = q, v
        if not best <= -gamma:
            return path, best
        x = x + r * direction
        path.append(x)


@pytest.mark.parametrize("start", [np.zeros(3), np.array([0.0, 0.3, -0.2])])
@pytest.mark.parametrize("numbers", [(0.4, 1e-2, 0.05, 0.01, 0.02, 20),
                                     (0.9, 1e-3, 0.02, 0.003, 0.05, 30)])
def test_psd_probe_is_the_published_loop_step_for_step(start, numbers):
    method, oracle = PSDProbe(*numbers), Oracle(QUARTIC)
    states = run(method, oracle, start, 7)
    expected, quotient = psd_probe(QUARTIC, start, np.random.default_rng(7), *numbers)
    np.testing.assert_array_equal([s.x for s in states[1:-1]], expected)
    last = states[-1]
    assert last.finished == "stationary" and last.nit == len(expected) and len(expected) > 15
    assert last.min_quotient == pytest.approx(quotient, abs=1e-12) and last.min_quotient > 0
    assert f"{numbers[-1]} random second differences was" in last.note
    # Every check costs 2m + 1 values, every step a gradient.
    moved = [s for s in states if s.last_perturbation is not None]
    assert last.checks == len(moved) + 1 == len(last.perturbed_at) + 1 > 1
    assert oracle.nfev == last.checks * (2 * numbers[-1] + 1)
    assert oracle.njev == last.nit + 1 and oracle.nhvp == oracle.nhev == 0
    for s in moved:
        assert np.linalg.norm(s.last_perturbation) == pytest.approx(numbers[3])


def test_the_published_numbers_are_those_of_the_theory():
    method = PSDProbe.published(dim=3, failure_prob=0.02, **CONSTANTS)
    k = alpay2025.psd_constants(dim=3, delta_f=1.0, failure_prob=0.02, **CONSTANTS)
    assert method.epsilon == 1e-3
    for name in ("step_size", "curvature_tol", "perturbation_radius"):
        assert getattr(method, name) == pytest.approx(getattr(k, name), rel=1e-14), name
    assert method.probe_spacing == alpay2025.probe_spacing(QUARTIC.lipschitz_hess, 1e-3)
    assert method.probe_count == alpay2025.probe_count(3, 0.02)
    default = PSDProbe.published(dim=3, **CONSTANTS)
    assert default.probe_count == alpay2025.probe_count(3, 0.1) < method.probe_count


def test_a_run_of_psd_probe_can_be_cut_anywhere():
    method = PSDProbe.published(dim=3, **CONSTANTS)
    whole = run(method, Oracle(QUARTIC), np.zeros(3), 3)
    for cut in (0, 1, len(whole) // 2):
        state = pickle.loads(pickle.dumps(run(method, Oracle(QUARTIC), np.zeros(3), 3, cut)[-1]))
        oracle = Oracle(QUARTIC)
        while state.finished is None:
            state = method.step(oracle, state)
        np.testing.assert_array_equal(state.x, whole[-1].x)
        assert (state.nit, state.checks) == (whole[-1].nit, whole[-1].checks)


def test_psd_probe_says_where_float64_ends():
    method = PSDProbe.published(dim=3, **CONSTANTS)
    high = Oracle(lambda x: 1e12 + QUARTIC.fun(x), jac=QUARTIC.grad)
    state = run(method, high, np.zeros(3), 0)[-1]
    assert state.finished == "precision" and state.nit == 0
    assert "cannot see a curvature of 0.065" in state.note and "float64 resolves" in state.note
    far = np.full(3, 1e9)
    away = Oracle(lambda x: QUARTIC.fun(x - far), jac=lambda x: QUARTIC.grad(x - far))
    swallowed = PSDProbe(0.4, 1e-3, 0.05, 1e-9, 0.02, 20)
    state = run(swallowed, away, far, 0)[-1]
    assert state.finished == "precision" and "1.2e-07" in state.note
    np.testing.assert_array_equal(state.x, far)


def test_psd_probe_stops_where_values_are_not_finite():
    method = PSDProbe.published(dim=3, **CONSTANTS)
    state = run(method, Oracle(lambda x: np.nan, jac=QUARTIC.grad), np.zeros(3), 0)[-1]
    assert state.finished == "nonfinite" and state.nit == 0 and "not finite" in state.note


def lanczos(problem=QUARTIC, **options):
    options = dict(step_size=1 / (2 * problem.lipschitz_grad), epsilon=1e-3, dim=problem.dim,
                   lipschitz_hess=problem.lipschitz_hess, failure_prob=0.1) | options
    return LanczosProbe.practical(**options)


@pytest.mark.parametrize("start", [np.zeros(3), np.array([2e-4, 0.3, -0.2])])
def test_lanczos_probe_is_certified_psd_that_knows_gradients_alone(start):
    """Given every derivative it does what `CertifiedPSD` does with the gradient, bit for bit."""
    sound = lanczos()
    options = {k: v for k, v in vars(sound).items() if k != "probe_count"}
    rich, poor = Oracle(QUARTIC), Oracle(QUARTIC.fun, jac=QUARTIC.grad)
    ours = run(sound, rich, start, 5)
    twin = run(CertifiedPSD(**options), poor, start, 5)
    np.testing.assert_array_equal([s.x for s in ours], [s.x for s in twin])
    assert (rich.nfev, rich.njev) == (poor.nfev, poor.njev) and rich.nhvp == rich.nhev == 0
    assert ours[-1].certificate.passed and ours[-1].certificates == ours[-1].episodes + 1 >= 1
    seen = {s.certificates: s.certificate.njev for s in ours if s.certificate is not None}
    assert ours[-1].certificate_cost == (2, sum(seen.values()), 0, 0) and seen[1] > 0


def test_lanczos_probe_has_the_budget_of_the_published_probe():
    assert lanczos().probe_count == alpay2025.probe_count(3, 0.1)
    assert lanczos(failure_prob=1e-3).probe_count == alpay2025.probe_count(3, 1e-3)
    assert lanczos(probe_count=5).probe_count == 5 and lanczos().failure_prob == 0.1
    assert LanczosProbe.practical(step_size=0.1, epsilon=0.1, dim=4, lipschitz_hess=1.0
                                  ).failure_prob == 1e-4


@pytest.mark.parametrize("m", [14, 20, 60])
def test_a_check_never_takes_more_than_2m_plus_1_gradients(m):
    """A hard spectrum uses the whole budget, and then the answer is that it cannot tell."""
    hard = QuadraticSaddle(np.append(-1e-3, np.geomspace(1e-3, 1.0, 400)))
    method = LanczosProbe.practical(step_size=0.5, epsilon=1e-3, dim=401, curvature_tol=5e-4,
                                    probe_count=m, failure_prob=0.1)
    oracle = Oracle(hard)
    state = method.step(oracle, method.init(oracle, np.zeros(401), rng=0))
    seen = state.certificate
    assert seen.iterations == m - 13 and m - 13 < seen.njev <= 2 * m + 1
    assert seen.verdict is Verdict.CANNOT_TELL and state.left > 0 and state.finished is None


def test_no_search_for_a_spacing_takes_more_than_27_gradients():
    """Whatever the gradient: right, rough, flat, not finite, and on every scale of the function."""
    rng = np.random.default_rng(3)
    for scale in 10.0 ** np.arange(-12, 13, 3):
        for noise in (0.0, 1e-8, 1.0, np.nan):
            def grad(x, scale=scale, noise=noise):
                return np.sin(x / scale) + noise * rng.standard_normal(4)
            oracle = Oracle(lambda x: 0.0, jac=grad)
            product = Differences(oracle.grad, np.ones(4), np.ones(4), scale=1.0, wanted=1e-12)
            with np.errstate(all="ignore"):
                product(np.full(4, 0.5))
            assert oracle.njev <= 27


def test_lanczos_probe_leaves_a_saddle_that_psd_probe_returns():
    """The separable quartic in d = 100 where one curvature of a hundred is negative."""
    p = SeparableQuartic(100)
    constants = dict(lipschitz_grad=10.0, lipschitz_hess=24.0, epsilon=1e-3)
    probe = PSDProbe.published(dim=100, **constants)
    # With two clusters of eigenvalues Lanczos errs as often as it may.
    sound = lanczos(p, failure_prob=1e-6, probe_count=probe.probe_count)
    for seed in range(5):
        oracle = Oracle(p)
        blind = run(probe, oracle, p.saddles[-1], seed)[-1]
        assert blind.finished == "stationary" and blind.nit == 0 and blind.min_quotient > 0
        assert certify(p, blind.x, epsilon=1e-3, rng=0).verdict is Verdict.NEGATIVE_CURVATURE
        counted = Oracle(p)
        states = run(sound, counted, p.saddles[-1], seed)
        assert p.distance(states[-1].x) < 1e-3 and states[-1].certificate.passed
        values = [p.fun(s.x) for s in states]
        assert (np.diff(values) <= 1e-12).all()  # the better point is kept, at every step
        first = states[1].certificate
        assert first.njev < 0.2 * oracle.nfev and counted.nhvp == counted.nhev == 0


@pytest.mark.parametrize("seed", range(4))
def test_the_displacement_of_lanczos_probe_goes_downhill(seed):
    x0 = np.array([2e-4 * (-1) ** seed, 0.0, 0.0])
    method = lanczos()
    state = method.step(Oracle(QUARTIC), method.init(Oracle(QUARTIC), x0, rng=seed))
    assert state.last_perturbation @ QUARTIC.grad(x0) < 0
    assert QUARTIC.fun(x0 + state.last_perturbation) < QUARTIC.fun(x0)


@pytest.mark.parametrize("change, error, words", [
    (dict(step_size=0.0), ValueError, "step_size"),
    (dict(epsilon=np.nan), ValueError, "epsilon"),
    (dict(curvature_tol=-1.0), ValueError, "curvature_tol"),
    (dict(perturbation_radius=0.0), ValueError, "perturbation_radius"),
    (dict(probe_spacing=np.inf), ValueError, "probe_spacing"),
    (dict(probe_count=0), ValueError, "probe_count"),
    (dict(probe_count=2.0), TypeError, "probe_count"),
])
def test_numbers_out_of_range_are_named(change, error, words):
    good = dict(step_size=0.1, epsilon=0.1, curvature_tol=0.1, perturbation_radius=0.1,
                probe_spacing=0.1, probe_count=3)
    PSDProbe(**good)
    with pytest.raises(error, match=words):
        PSDProbe(**{**good, **change})


def test_lanczos_probe_names_what_is_out_of_range():
    with pytest.raises(ValueError, match="probe_count must be at least 2, got 1"):
        lanczos(probe_count=1)
    with pytest.raises(ValueError, match="failure_prob"):
        lanczos(failure_prob=1.0)
    with pytest.raises(ValueError, match="lipschitz_grad"):
        PSDProbe.published(dim=3, **{**CONSTANTS, "lipschitz_grad": 0.0})


def test_minimize_tells_what_each_probe_returned():
    """Same saddle: the published probe ends at it and does not call that a success."""
    p = SeparableQuartic(50)
    kept = minimize(p, p.saddles[-1], "psd", rule="probe", failure_prob=0.1, rng=0)
    m = alpay2025.probe_count(50)
    assert kept.status == Status.SADDLE and not kept.success and kept.nit == 0
    assert f"(the smallest of {m} random second differences was" in kept.message
    assert kept.nfev == 2 * m + 2 + 2  # for result.fun, and for f against its derivatives
    left = minimize(p, p.saddles[-1], "psd", rule="lanczos-probe", failure_prob=0.1, rng=0)
    assert left.success and left.nhvp == left.nhev == 0 and p.distance(left.x) < 1e-3
    assert left.certificate is left.state.certificate
    few = minimize(p, p.saddles[-1], "psd", rule="lanczos-probe", failure_prob=0.1, rng=0,
                   probe_count=4)
    assert few.state.certificates > 1 and all(
        few.state.certificate_cost[i] == 0 for i in (2, 3))
    with pytest.raises(ValueError, match="rule='probe' sets step_size"):
        minimize(p, p.saddles[-1], "psd", rule="probe", step_size=0.1)
    nan = minimize(lambda x: np.nan, np.zeros(3), "psd", rule="probe", jac=QUARTIC.grad,
                   lipschitz_grad=2.0, lipschitz_hess=4.3, rng=0)
    assert nan.status == Status.NONFINITE and not nan.success
