"""The theorem of certified PSD: each step of its proof, and its numbers against runs."""

import math

import numpy as np
import pytest

from saddlelib import Oracle, Verdict, certify
from saddlelib.curvature import start_overlap
from saddlelib.methods import CertifiedPSD
from saddlelib.methods.psd import MOST_DOUBLINGS
from saddlelib.perturbation import uniform_sphere
from saddlelib.problems import DraggedSaddle, EscapeProfile, catalogue, networks
from saddlelib.theory.certified import MOST_VALUES, certified_bound, look_bound

DELTA = 1e-3


# The look ----------------------------------------------------------------------------------


def orthonormal(alpha, beta, z):
    """p₀(z), …, p_k(z) of the recurrence; the last of ``beta`` belongs to p_k."""
    values, before = [1.0], 0.0
    for a, b, last in zip(alpha, beta, [0.0, *beta], strict=False):
        now = values[-1]
        values.append(((z - a) * now - last * before) / b)
        before = now
    return np.array(values)


def look(spectrum, start, gamma, t):
    """Lanczos from ``start`` until the look of the theorem has its answer: (steps, passed, θ)."""
    d, basis, alpha, beta = len(spectrum), [start], [], []
    for k in range(1, d + 1):
        w = spectrum * basis[-1]
        alpha.append(w @ basis[-1])
        for _ in range(2):
            w = w - np.array(basis).T @ (np.array(basis) @ w)
        beta.append(np.linalg.norm(w))
        low = np.linalg.eigvalsh(np.diag(alpha) + np.diag(beta[:-1], 1) + np.diag(beta[:-1], -1))[0]
        if low < -gamma:
            return k, False, low
        if k == d or beta[-1] < 1e-13:
            return k, low >= -gamma, low

        def known(z, alpha=alpha, beta=beta):
            return (orthonormal(alpha, beta, z)**2).sum() >= 1 / t
        if known(-gamma):
            return k, True, low
        if known(low - gamma / 2):
            return k, False, low
        basis.append(w / beta[-1])
    raise AssertionError


def spectra(ell, gamma, d, rng):
    """In [−ℓ, ℓ], among them those that make a look long: much of it close to its lower end."""
    chebyshev = np.cos(np.pi * (np.arange(d) + 0.5) / d)
    yield -gamma + (ell + gamma) * (1 + chebyshev) / 2
    yield -gamma / 2 + (ell + gamma / 2) * (1 + chebyshev) / 2
    yield np.r_[-1.5 * gamma, (1 + chebyshev[1:]) / 2 * ell]
    yield np.r_[-0.8 * gamma, (1 + chebyshev[1:]) / 2 * ell]
    yield rng.uniform(-ell, ell, d)
    yield np.r_[-gamma, np.full(d - 1, ell)]


@pytest.mark.parametrize("d, gamma", [(3, 0.3), (300, 0.1), (300, 0.01), (600, 0.02), (50, 1.0)])
def test_a_look_has_its_answer_within_the_bound_and_the_bound_is_not_far(d, gamma):
    """Products, whatever the spectrum and the draw; and one spectrum takes more than half of it."""
    rng, ell, longest = np.random.default_rng(d), 1.0, 0
    t = math.pi * DELTA**2 / (2 * d)
    bound = look_bound(ell, gamma, d, DELTA)
    for spectrum in spectra(ell, gamma, d, rng):
        for _ in range(3):
            steps, passed, low = look(spectrum, uniform_sphere(rng, d), gamma, t)
            assert steps <= bound
            assert passed or low < -gamma / 2  # one of the two answers, always
            assert passed == (spectrum.min() >= -gamma) or not passed
            longest = max(longest, steps)
    assert longest > bound / 2


@pytest.mark.parametrize("d", [2, 10, 1000, 10**6])
@pytest.mark.parametrize("delta", [0.5, 1e-2, 1e-8])
def test_the_overlap_of_the_bound_is_less_than_that_of_the_certificate(d, delta):
    """P(v₁² ≤ t) ≤ √(2dt/π): πδ²/(2d) is below the δ-quantile, by a factor of at most π."""
    simple = math.pi * delta**2 / (2 * d)
    assert simple <= start_overlap(d, delta) <= math.pi * simple


@pytest.mark.parametrize("seed", range(4))
def test_chebyshev_and_gauss_make_the_sum_as_large_as_the_bound_says(seed):
    """Σ_{j≤k} p_j(θ − γ/2)² ≥ cosh²((k−1) arcosh(1 + γ/(θ_max − θ)))."""
    rng = np.random.default_rng(seed)
    d, gamma = 60, 10 ** rng.uniform(-2, 0)
    spectrum, basis, alpha, beta = rng.uniform(-1, 1, d), [uniform_sphere(rng, d)], [], []
    for k in range(1, 20):
        w = spectrum * basis[-1]
        alpha.append(w @ basis[-1])
        for _ in range(2):
            w = w - np.array(basis).T @ (np.array(basis) @ w)
        beta.append(np.linalg.norm(w))
        basis.append(w / beta[-1])
        ritz = np.linalg.eigvalsh(np.diag(alpha) + np.diag(beta[:-1], 1) + np.diag(beta[:-1], -1))
        if k > 1:
            total = (orthonormal(alpha, beta, ritz[0] - gamma / 2)**2).sum()
            reach = math.acosh(1 + gamma / (ritz[-1] - ritz[0]))
            assert total >= math.cosh((k - 1) * reach)**2


def test_the_bound_of_a_look_grows_as_said():
    """√(ℓ/γ) and a logarithm of d/δ, at most d, free of units."""
    at = lambda gamma, d=10**9, delta=1e-4: look_bound(1.0, gamma, d, delta)  # noqa: E731
    assert at(1e-6) / at(1e-4) == pytest.approx(10, rel=0.01)
    assert at(1e-6, delta=1e-8) - at(1e-6) == pytest.approx(math.log(1e4) / math.sqrt(2e-6),
                                                            rel=1e-3)
    assert at(1e-6) - at(1e-6, d=10**7) == pytest.approx(math.log(10) / math.sqrt(2e-6), rel=1e-3)
    assert look_bound(3e7, 3e5, 10**9, 0.1) == look_bound(1.0, 1e-2, 10**9, 0.1)
    assert [look_bound(1.0, 1e-300, d, 0.1) for d in (1, 2, 10)] == [1, 2, 10]


@pytest.mark.parametrize("share", [0.6, 0.8, 0.99])
def test_a_look_between_the_two_answers_finds_a_direction_all_the_same(share):
    """−γ < λ_min < −γ/2: it may pass, or hand over v; it never has to leave things to chance."""
    gamma, displaced = 0.1, 0
    others = np.linspace(-0.4 * share * gamma, 1, 200)
    for seed in range(10):
        problem = EscapeProfile(share * gamma, others)
        method = rule(problem, gamma**2 / problem.lipschitz_hess)
        oracle = Oracle(problem)
        state = method.init(oracle, np.zeros(problem.dim), seed)
        method._look(oracle, state)
        assert state.left == state.failed == 0
        assert (state.finished == "stationary") == state.certificate.passed != bool(state.episodes)
        if state.episodes:
            displaced += 1
            assert state.min_eig < -gamma / 2
            assert problem.fun(state.x) <= -math.sqrt(1e-2**3) / 12
    assert displaced or share < 0.9


# The sum -----------------------------------------------------------------------------------


def run(method, problem, x0, seed=0, most=3000):
    """Descent steps, displacements, the fall of f, and the oracle of one run; its last state."""
    oracle = Oracle(problem)
    state = method.init(oracle, np.asarray(x0, dtype=float), seed)
    while state.finished is None and state.nit < most:
        state = method.step(oracle, state)
    descents = oracle.njev - 1 - state.episodes - state.certificate_cost[1]
    return descents, state.episodes, problem.fun(x0) - problem.fun(state.x), oracle, state


def rule(problem, epsilon, kind=CertifiedPSD, **options):
    k = CertifiedPSD.practical(
        step_size=1 / problem.lipschitz_grad, epsilon=epsilon, dim=problem.dim,
        lipschitz_hess=problem.lipschitz_hess, **options)
    return kind(**vars(k))


def spent(problem, epsilon, descents, displacements):
    """The left side of (1)."""
    ell, rho = problem.lipschitz_grad, problem.lipschitz_hess
    return epsilon**2 / (2 * ell) * descents + math.sqrt(epsilon**3 / rho) / 12 * displacements


BOUNDED = [p for p in catalogue() + networks() if np.isfinite(p.f_star) and p.lipschitz_hess]


@pytest.mark.parametrize("problem", BOUNDED, ids=lambda p: p.name)
@pytest.mark.parametrize("share", [0.03, 0.3])
def test_every_run_stays_within_every_number_of_the_theorem(problem, share):
    epsilon = share**2 * problem.lipschitz_grad**2 / problem.lipschitz_hess  # γ = share·ℓ
    method = rule(problem, epsilon)
    starts = [*problem.saddles[:2], *problem.region.sample(np.random.default_rng(0), 2)]
    for seed, x0 in enumerate(starts):
        delta_f = max(problem.fun(x0) - problem.f_star, 1e-12)
        descents, displacements, fall, oracle, state = run(method, problem, x0, seed)
        k = certified_bound(problem.lipschitz_grad, problem.lipschitz_hess, epsilon, problem.dim,
                            delta_f)
        seen = state.certificate
        assert state.finished == "stationary" and seen.min_eig_lower >= -seen.curvature_tol
        assert seen.grad_norm <= epsilon
        assert spent(problem, epsilon, descents, displacements) <= fall + 1e-12 <= delta_f + 2e-12
        assert descents <= k.descent_steps and displacements <= k.displacements
        assert state.certificates == displacements + 1 <= k.looks
        values = oracle.nfev - state.certificate_cost[0]
        assert values <= 1 + MOST_VALUES * (descents + displacements) <= k.values
        assert oracle.nhvp <= k.products_per_look * state.certificates <= k.products
        assert 1 + descents + displacements <= k.gradients


class Shorter(CertifiedPSD):
    """A mutation: a tenth of the displacement."""

    def _displace(self, oracle, state, seen):
        x = state.x
        moved = super()._displace(oracle, state, seen)
        state.x = x + 0.1 * (state.x - x)
        state.jac, state.value = oracle.problem.grad(state.x), oracle.problem.fun(state.x)
        return moved


class Careless(CertifiedPSD):
    """A mutation: a descent step that is not asked what it gives."""

    def _descend(self, oracle, state):
        state.x = state.x - 1.999 * self.step_size * state.jac
        state.jac, state.value = oracle.grad(state.x), oracle.problem.fun(state.x)


@pytest.mark.parametrize("kind, kept", [(CertifiedPSD, True), (Shorter, False), (Careless, False)])
def test_each_move_pays_its_share_and_a_mutated_one_does_not(kind, kept):
    """(1) move by move, where ℓ and ρ hold on the whole space and curvature ends as soon as it can.

    The profile has λ_min just below −γ, the dragged saddle a slope beside it. One start has a
    gradient just above ε across the full curvature ℓ.
    """
    holds, displaced = True, 0
    for problem in (EscapeProfile(0.1, [1.0]), EscapeProfile(0.1, [0.0, 1.0]),
                    DraggedSaddle(0.1, pull=0.25)):
        epsilon = 0.99 * problem.gamma**2 / problem.lipschitz_hess
        method = rule(problem, epsilon, kind)
        short = 1.01 * epsilon * np.eye(problem.dim)[-1]
        for start in (np.zeros(problem.dim), np.full(problem.dim, 0.4), short):
            oracle = Oracle(problem)
            state = method.init(oracle, start, 1)
            for _ in range(50):
                if state.finished is not None:
                    break
                before = oracle.njev - state.certificate_cost[1]
                new = method.step(oracle, state)
                jumps = new.episodes - state.episodes
                moves = oracle.njev - new.certificate_cost[1] - before
                displaced += jumps
                cost = spent(problem, epsilon, moves - jumps, jumps)
                holds &= problem.fun(state.x) - problem.fun(new.x) >= cost * (1 - 1e-12)
                state = new
    assert displaced >= 3
    assert holds == kept


def test_the_guarantee_of_a_displacement_is_that_of_half_the_tolerance():
    """(2/3)(γ/2)³/ρ² = √(ε³/ρ)/12, attained by a cubic whose curvature is −γ/2."""
    rho, eps = 3.0, 0.02
    gamma = math.sqrt(rho * eps)
    k = certified_bound(10.0, rho, eps, 5, 1.0)
    assert k.decrease == pytest.approx(2 / 3 * (gamma / 2)**3 / rho**2)
    t = gamma / rho
    assert gamma / 2 * t**2 / 2 - rho * t**3 / 6 == pytest.approx(k.decrease)


def test_the_numbers_fit_together():
    ell, rho, eps, d, delta_f, delta = 10.0, 0.1, 1e-3, 10**6, 2.0, 1e-2
    k = certified_bound(ell, rho, eps, d, delta_f, delta)
    assert k.descent_steps == pytest.approx(2 * ell * delta_f / eps**2)
    assert k.displacements == pytest.approx(12 * delta_f * math.sqrt(rho / eps**3))
    assert k.looks == k.displacements + 1
    assert k.gradients == 1 + max(k.descent_steps, k.displacements)
    last = delta / (k.looks * (k.looks + 1))
    steps = look_bound(ell, math.sqrt(rho * eps), d, last)
    assert k.products_per_look == math.floor(1.1 * steps) + 1
    assert k.products == k.looks * k.products_per_look
    assert k.values == 1 + MOST_VALUES * k.moves and MOST_VALUES == MOST_DOUBLINGS + 1
    assert sum(1 / (n * (n + 1)) for n in range(1, 1000)) < 1  # of δ, over all looks
    b, v = 1e3, 1e-2  # units of length and of f
    other = certified_bound(ell * v / b**2, rho * v / b**3, eps * v / b, d, delta_f * v, delta)
    for name, unit in dict(descent_steps=1, displacements=1, looks=1, products_per_look=1,
                           gradients=1, products=1, values=1, decrease=v).items():
        assert getattr(other, name) == pytest.approx(unit * getattr(k, name), rel=1e-9), name


def test_the_total_is_of_order_epsilon_to_the_minus_two():
    """Products add ε^(−3/2 − 1/4) and a logarithm, less than the descent for small ε."""
    totals = [certified_bound(1.0, 1.0, eps, 10**9, 1.0) for eps in (1e-6, 1e-8)]
    assert totals[1].gradients / totals[0].gradients == pytest.approx(1e4, rel=1e-6)
    assert 10**3.5 < totals[1].products / totals[0].products < 1.5 * 10**3.5


def test_a_pass_at_half_resolution_is_the_pass_of_the_certificate():
    """The method asks for no more than the theorem, and its pass is a certificate as any other."""
    problem = EscapeProfile(0.1, [1.0, 0.3])
    method = rule(problem, 0.01)
    *_, state = run(method, problem, np.zeros(3))
    again = certify(problem, state.x, epsilon=0.01, rng=1)
    assert state.certificate.verdict is again.verdict is Verdict.SOSP


@pytest.mark.parametrize("change, named", [
    (dict(lipschitz_grad=0.0), "lipschitz_grad"), (dict(lipschitz_hess=-1.0), "lipschitz_hess"),
    (dict(epsilon=1e9), "ℓ²/ρ"), (dict(dim=0), "dim"), (dict(delta_f=math.nan), "delta_f"),
    (dict(failure_prob=1.0), "failure_prob")])
def test_what_the_theorem_does_not_cover_is_named(change, named):
    good = dict(lipschitz_grad=1.0, lipschitz_hess=1.0, epsilon=0.01, dim=3, delta_f=1.0)
    with pytest.raises(ValueError, match=named):
        certified_bound(**(good | change))
