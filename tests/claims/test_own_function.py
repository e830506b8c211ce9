"""Chapter 1, "Your own function": what the default does, and what it says about itself."""

import numpy as np
import pytest
import scipy.optimize

from saddlelib import Oracle, certify, minimize
from saddlelib.certified import Certified
from saddlelib.certified.descent import noticed
from saddlelib.problems import MatrixFactorization, Octopus, QuarticSaddle, Rosenbrock

TOWNS = np.random.default_rng(0).uniform(0, 1, (8, 2))
ONE_SPOT = np.zeros((8, 2))


def squared_distances(X):
    return ((X[:, None] - X) ** 2).sum(axis=2)


def misfit(X):
    return ((squared_distances(X) - squared_distances(TOWNS)) ** 2).sum() / 4


def slope(X):
    gap = squared_distances(X) - squared_distances(TOWNS)
    return 2 * (gap.sum(axis=1)[:, None] * X - gap @ X)


FLAT = dict(fun=lambda x: misfit(x.reshape(8, 2)), jac=lambda x: slope(x.reshape(8, 2)).ravel())


FIVE = ("CG", "BFGS", "L-BFGS-B", "Newton-CG", "SLSQP")


def test_one_spot_is_a_strict_saddle_where_solvers_stop_with_success():
    columns = [(slope(1e-5 * e.reshape(8, 2)) - slope(-1e-5 * e.reshape(8, 2))).ravel() / 2e-5
               for e in np.eye(16)]
    assert (slope(ONE_SPOT) == 0).all() and np.linalg.eigvalsh(columns)[0] < -10
    for name in (*FIVE, "TNC"):
        run = scipy.optimize.minimize(x0=ONE_SPOT.ravel(), method=name, **FLAT)
        assert run.success and run.fun == misfit(ONE_SPOT), name


@pytest.mark.parametrize("words", [{}, dict(jac=slope), dict(jac=slope, method="BFGS"),
                                   dict(jac=slope, method="trust-krylov"),
                                   *(dict(jac=slope, method=name)
                                     for name in FIVE if name != "BFGS")],
                         ids=lambda words: words.get("method", "gradient" if words else "values"))
def test_a_map_is_found_without_any_constant(words):
    for seed in range(20 if "method" not in words else 5):
        run = minimize(misfit, ONE_SPOT, rng=seed, **words)
        assert run.success and run.x.shape == (8, 2)
        assert abs(squared_distances(run.x) - squared_distances(TOWNS)).max() < 5e-3


def test_the_trapezoid_never_shows_more_than_the_true_lipschitz_constant():
    """And a cubic attains it."""
    rng = np.random.default_rng(1)
    problem = QuarticSaddle(0.5, [1.0])

    def shown(f, g, x0, x1):
        state = Certified.default(epsilon=1e-3).init(Oracle(f, jac=g), x0)
        noticed(state, x0, f(x0), g(x0), x1, f(x1), g(x1))
        return state.lipschitz_hess
    seen = [shown(problem.fun, problem.grad, *problem.region.sample(rng, 2)) for _ in range(500)]
    assert 0.5 * problem.lipschitz_hess < max(seen) <= problem.lipschitz_hess * (1 + 1e-6)
    for rho in (1e-3, 1.0, 1e3):
        cubic = shown(lambda x, rho=rho: rho / 6 * x[0]**3,
                      lambda x, rho=rho: rho / 2 * x**2, *rng.standard_normal((2, 1)))
        assert cubic == pytest.approx(rho, rel=1e-6)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("problem, x0", [
    (QuarticSaddle.spread(20, 0.1), np.zeros(20)), (Octopus(4), np.full(4, 1e-3)),
    (MatrixFactorization.from_eigenvalues([1.0, 0.7, 0.4], n=8, rng=0), np.zeros(24)),
    (Rosenbrock(2), np.array([-1.2, 1.0]))], ids=lambda value: getattr(value, "name", ""))
def test_an_estimated_tolerance_is_a_part_of_the_curvature_seen(problem, x0, unit):
    for seed in range(3):
        run = minimize(lambda x: unit * problem.fun(x), x0, jac=lambda x: unit * problem.grad(x),
                       epsilon=1e-3 * unit, rng=seed)
        seen = run.certificate
        assert run.success and seen.curvature_tol == run.estimates["curvature_tol"]
        part = seen.curvature_tol / seen.hess_norm
        assert 1e-4 * (1 - 1e-6) <= part <= 0.1 * (1 + 1e-6)
        assert seen.hess_norm <= run.estimates["hess_norm"]
        # And the point passes for whoever asks again with that tolerance and exact products.
        assert certify(problem, run.x, epsilon=1e-3, curvature_tol=seen.curvature_tol / unit,
                       rng=seed).passed


def test_the_estimated_tolerance_reaches_its_limits_and_no_further():
    """A tenth where √(ρε) would be more, and 10⁻⁴ on a quadratic, whose ρ is zero."""
    run = minimize(lambda x: (x**4 / 4 - x**2 / 2).sum(), np.zeros(3),
                   jac=lambda x: x**3 - x, epsilon=0.1, rng=0)  # an escape shows ρ
    wide = run.certificate
    assert run.success and (run.estimates["lipschitz_hess"] * 0.1)**0.5 > 0.1 * wide.hess_norm
    assert wide.curvature_tol == pytest.approx(0.1 * wide.hess_norm, rel=0.02)
    stiff = np.array([1.0, 5.0, 40.0])
    run = minimize(lambda x: x @ (stiff * x) / 2, np.ones(3), jac=lambda x: stiff * x, rng=0)
    strict = run.certificate
    assert run.success and strict.curvature_tol == pytest.approx(1e-4 * strict.hess_norm, rel=0.1)
