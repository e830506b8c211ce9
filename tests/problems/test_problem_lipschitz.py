"""ℓ and ρ against an adversary: a search for the worst point of the region.

The search must not find more than the problem states. Where a docstring calls
the constant sharp, it must find nearly all of it.
"""

import numpy as np
import pytest
from thorough import instances

from saddlelib.problems import (
    ConvexQuartic,
    CoupledQuartic,
    DeepLinear,
    DiagonalNetwork,
    DraggedSaddle,
    EscapeProfile,
    HomogeneousRavine,
    MatrixFactorization,
    MonkeySaddle,
    Octopus,
    QuadraticSaddle,
    QuadraticSensing,
    QuarticSaddle,
    RavineRosenbrock,
    Rosenbrock,
    SeparableQuartic,
    TwoNeurons,
)

SHARP = [
    QuadraticSaddle([-3.0, 1.0]),
    SeparableQuartic(3),
    SeparableQuartic(2, radius=0.3),
    CoupledQuartic(4, coupling=0.5),
    CoupledQuartic(2, coupling=2.0, radius=0.4),
    QuarticSaddle(0.1, [0.02, 0.1]),
    QuarticSaddle(0.2, [1.0, 0.1]),
    MonkeySaddle(radius=2.0),
    Octopus(1, L=1.0, gamma=2.0),
    Octopus(2),
    Octopus(3, L=1.5, gamma=0.5, tau=0.8),
    Octopus(2, L=0.2, gamma=2.0, tau=2.0),
    EscapeProfile(0.2, [0.3], gradient=[0.1, 0.2], lipschitz_hess=2.0),
    DraggedSaddle(0.2, pull=0.7, lipschitz_grad=0.8),
    ConvexQuartic([1.0, 0.2], [1.0, 0.5]),
    ConvexQuartic([3.0], [0.2], radius=0.5),
    RavineRosenbrock(0.5, bend=-1.0, radius=0.3),
    RavineRosenbrock(10.0),
    HomogeneousRavine(3.5, dim=3, kernel=2, radius=0.8),
    DeepLinear([[1.0]], 2),
    DeepLinear([[0.5]], 3, radius=0.9),
    DiagonalNetwork([[2.0]], [1.0]),
]
FACTORIZATIONS = [
    MatrixFactorization([[2.0]]),
    MatrixFactorization.from_eigenvalues([1.0], 3, rng=0, Gamma=4.0),
    MatrixFactorization.from_eigenvalues([1.0, 0.5], 2, rng=1, Gamma=1.0),
    MatrixFactorization.from_eigenvalues([1.0], 2, columns=2),
]


def spectral_norm(H):
    return np.abs(np.linalg.eigvalsh(H)).max(axis=-1)


def climb(score, contains, start, rng, rounds):
    """Return the largest score that a random local search from `start` reaches."""
    best, step = score(start), np.full(len(start), 0.5)
    size = np.abs(start).max()
    for _ in range(rounds):
        mask = rng.uniform(size=start.shape) < 0.5
        trial = start + size * step[:, np.newaxis] * mask * rng.standard_normal(start.shape)
        value = np.where(contains(trial), score(trial), -np.inf)
        better = value > best
        start[better], best[better] = trial[better], value[better]
        step = np.clip(step * np.where(better, 1.5, 0.9), 1e-4, 0.5)
    return best.max()


def worst_curvature(problem, rounds=250):
    X = problem.region.sample(0, 2000)
    score = lambda X: spectral_norm(problem.hess(X))  # noqa: E731
    start = X[np.argsort(-score(X))[:30]]
    return climb(score, problem.region.contains, start, np.random.default_rng(1), rounds)


def worst_third_derivative(problem, rounds=250, h=1e-5):
    """Climb over points x and directions z; the ends x ± hz must be in the region."""
    d = problem.dim

    def ends(P):
        Z = P[:, d:] / np.linalg.norm(P[:, d:], axis=1, keepdims=True)
        return P[:, :d] + h * Z, P[:, :d] - h * Z

    def score(P):
        A, B = ends(P)
        return spectral_norm(problem.hess(A) - problem.hess(B)) / (2 * h)

    def contains(P):
        A, B = ends(P)
        return problem.region.contains(A) & problem.region.contains(B)

    rng = np.random.default_rng(2)
    X = problem.region.sample(rng, 3000)
    P = np.concatenate([X, rng.standard_normal(X.shape)], axis=1)
    P = P[contains(P)]
    return climb(score, contains, P[np.argsort(-score(P))[:30]], rng, rounds)


@pytest.mark.parametrize("problem", SHARP, ids=repr)
def test_both_constants_are_sharp(problem):
    ell, rho = worst_curvature(problem), worst_third_derivative(problem)
    assert 0.98 * problem.lipschitz_grad <= ell <= problem.lipschitz_grad * (1 + 1e-9)
    # Rounding in the difference of two Hessians, 2e-5 apart, is the absolute part.
    noise = 1e-9 * problem.lipschitz_grad
    assert 0.98 * problem.lipschitz_hess <= rho + noise
    assert rho <= problem.lipschitz_hess * (1 + 1e-9) + noise


@pytest.mark.parametrize("problem", FACTORIZATIONS, ids=repr)
def test_factorization_constants_hold_rho_is_sharp_and_ell_has_the_stated_slack(problem):
    smallest = np.linalg.eigvalsh(problem.matrix)[0]
    sharp = 6 * problem.Gamma - 2 * smallest
    ell, rho = worst_curvature(problem), worst_third_derivative(problem)
    assert 0.98 * sharp <= ell <= sharp * (1 + 1e-9) < problem.lipschitz_grad
    assert 0.98 * problem.lipschitz_hess <= rho <= problem.lipschitz_hess * (1 + 1e-6)


@pytest.mark.parametrize("problem", [Rosenbrock(3), Rosenbrock(5), Rosenbrock(3, radius=2.0)],
                         ids=repr)
def test_bounds_from_the_rows_hold_with_little_slack(problem):
    """Gershgorin: neither constant of Rosenbrock's function is sharp, both are close."""
    ell, rho = worst_curvature(problem), worst_third_derivative(problem)
    assert 0.8 * problem.lipschitz_grad <= ell <= problem.lipschitz_grad
    assert 0.8 * problem.lipschitz_hess <= rho <= problem.lipschitz_hess


@pytest.mark.parametrize("problem, slack", [
    (QuadraticSensing.random(3, 1, columns=2, measurements=20, rng=0), (3.0, 4.0)),
    (TwoNeurons([1.0, 0.0]), (3.0, 6.0))], ids=repr)
def test_bounds_of_overparameterized_models_hold_with_the_stated_slack(problem, slack):
    rounds = instances(60, 250)  # a bound with slack is met long before the climb is over
    ell, rho = worst_curvature(problem, rounds), worst_third_derivative(problem, rounds)
    assert problem.lipschitz_grad / slack[0] <= ell <= problem.lipschitz_grad
    assert problem.lipschitz_hess / slack[1] <= rho <= problem.lipschitz_hess
