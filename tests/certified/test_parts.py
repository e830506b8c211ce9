"""The parts of the driver by themselves: memory, escape, estimates, products, answers."""

import numpy as np
import pytest

from saddlelib import Oracle
from saddlelib.certified import Certified, CertifiedState
from saddlelib.certified.descent import noticed
from saddlelib.certified.escape import escape
from saddlelib.certified.inner import _Round
from saddlelib.certified.memory import Memory
from saddlelib.curvature.lanczos import lanczos
from saddlelib.curvature.sparing import Scales, Sparing
from saddlelib.problems import MatrixFactorization

FACTORS = MatrixFactorization.from_eigenvalues([1.0, 0.8, 0.5], n=14, rng=0)


def at(oracle, x, **known):
    x = np.array(x, dtype=float)
    return CertifiedState(x=x, jac=oracle.grad(x), rng=np.random.default_rng(0), **known)


def test_the_memory_is_that_of_the_recursion_of_bfgs():
    """H ← (I − syᵀ/sᵀy) H (I − ysᵀ/sᵀy) + ssᵀ/sᵀy from τI, over the pairs that are kept."""
    rng, dim = np.random.default_rng(0), 30
    A = rng.standard_normal((dim, dim))
    A = A @ A.T / dim + np.eye(dim)
    memory, pairs = Memory(), []
    for _ in range(95):
        s = rng.standard_normal(dim)
        pairs.append((s, A @ s))
        memory = memory.add(*pairs[-1])
        kept = pairs[-20:]
        s, y = kept[-1]
        H = s @ y / (y @ y) * np.eye(dim)
        for s, y in kept:
            V = np.eye(dim) - np.outer(y, s) / (s @ y)
            H = V.T @ H @ V + np.outer(s, s) / (s @ y)
        g = rng.standard_normal(dim)
        np.testing.assert_allclose(memory.direction(g), -H @ g, rtol=1e-8, atol=1e-10)
    assert len(memory) == 20


@pytest.mark.parametrize("s, y", [([1.0, 0], [-1.0, 0]), ([1.0, 0], [0.0, 1]), ([0.0, 0], [0.0, 0]),
                                  ([1.0, 0], [np.nan, 0]), ([1.0, 0], [np.inf, 0])])
def test_pairs_without_positive_curvature_are_not_kept(s, y):
    memory = Memory()
    assert memory.add(np.array(s), np.array(y)) is memory


@pytest.mark.parametrize("tilt", [-0.1, 0.0, 0.1])
def test_an_escape_goes_downhill_to_where_f_is_least_along_the_direction(tilt):
    """f = t⁴/4 − t²/2 + tilt·t: the side that the slope points down to has the lower well."""
    oracle = Oracle(lambda x: float(x[0]**4 / 4 - x[0]**2 / 2 + tilt * x[0]),
                    jac=lambda x: x**3 - x + tilt)
    for sign in (-1.0, 1.0):
        for reach in (0.0, 0.01, 100.0):
            state = at(oracle, [0.0], reach=reach)
            assert escape(oracle, state, np.array([sign]), -1.0)
            wells = [root.real for root in np.roots([1, 0, -1, tilt]) if abs(root.real) > 0.5]
            assert tilt == 0 or state.x[0] * tilt < 0
            if reach == 0:
                assert min(abs(state.x[0] - well) for well in wells) < 0.1
            assert state.value == oracle.fun(state.x) <= -state.reach**2 / 8
            assert 0.5 < state.lipschitz_hess < 30 or reach > 0


def test_an_escape_has_to_lower_f_by_curvature_and_not_by_what_is_left_of_the_slope():
    """A slope of 10⁻³ where a curvature of −1 was said to be."""
    oracle = Oracle(lambda x: -1e-3 * float(x[0]), jac=lambda x: np.full(1, -1e-3))
    assert not escape(oracle, at(oracle, [0.0]), np.array([1.0]), -1.0)


def test_there_is_no_escape_along_positive_curvature():
    oracle = Oracle(lambda x: float(x @ x), jac=lambda x: 2 * x)
    state = at(oracle, [0.0, 0.0])
    assert not escape(oracle, state, np.array([1.0, 0.0]), -1.0)
    np.testing.assert_array_equal(state.x, 0)


def test_what_two_points_say_of_rho_is_the_third_derivative_of_a_cubic():
    state = CertifiedState(x=np.zeros(1), jac=np.zeros(1))
    f, g = (lambda t: 7 * t**3 + t), (lambda t: np.array([21 * t**2 + 1.0]))
    noticed(state, np.array([1.0]), f(1.0), g(1.0), np.array([1.5]), f(1.5), g(1.5))
    assert state.lipschitz_hess == pytest.approx(42)
    far = np.array([1.0 + 1e-9])
    noticed(state, np.array([1.0]), f(1.0), g(1.0), far, f(far[0]), g(far[0]))
    assert state.lipschitz_hess == pytest.approx(42)  # rounding says nothing


def test_the_products_of_a_round_are_those_of_the_scaled_function():
    x = np.random.default_rng(1).standard_normal(FACTORS.dim)
    oracle = Oracle(FACTORS.fun, jac=FACTORS.grad)
    game = _Round(Certified.default(epsilon=1e-3), oracle, at(oracle, x))
    rng = np.random.default_rng(2)
    z, v = 0.1 * rng.standard_normal((2, x.size))
    y = game.origin + game.scale * z
    value, slope = game(z)
    assert value == FACTORS.fun(y)
    np.testing.assert_allclose(slope, game.scale * FACTORS.grad(y))
    exact = game.scale**2 * FACTORS.hvp(y, v)
    np.testing.assert_allclose(game.product(z, v), exact, atol=1e-5 * np.linalg.norm(exact))


def test_a_run_that_is_cut_short_answers_with_the_lower_of_two_points():
    oracle = Oracle(lambda x: float(x @ x), jac=lambda x: 2 * x)
    low, high = np.array([1.0]), np.array([2.0])
    method = Certified.default(epsilon=1e-3)
    for here, there, best in ((low, high, low), (high, low, low)):
        state = at(oracle, here, anchor=(there, oracle.fun(there), oracle.grad(there)))
        x, jac = method.answer(oracle, state)
        assert x == best and jac == 2 * best


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("hopeful, exact, told", [(True, False, 1.0), (True, True, 1.0),
                                                  (False, False, 1.0), (False, False, 1e-7)])
def test_products_that_spare_gradients_are_as_exact_as_they_say(hopeful, exact, told, seed):
    """At a minimizer, also where ρ is 10⁷ times what was seen of it before."""
    import scipy.optimize
    start = np.random.default_rng(seed).standard_normal(FACTORS.dim)
    x = scipy.optimize.minimize(FACTORS.fun, start, jac=FACTORS.grad, tol=1e-7).x
    oracle, true = Oracle(FACTORS, rng=0), []
    H, gamma = FACTORS.hess(x), 0.1
    product = Sparing(oracle.grad, x, oracle.grad(x), lambda size: 1e-8,
                      Scales(np.linalg.norm(H, 2), told * FACTORS.lipschitz_hess, 1e-3 / gamma),
                      (lambda v: oracle.hvp(x, v)) if exact else None, hopeful)

    def watched(v, call=Sparing.__call__):
        hv = call(product, v)
        true.append(np.linalg.norm(hv - H @ v))
        return hv

    class Watched(Sparing):
        __call__ = staticmethod(watched)
    product.__class__ = Watched
    seen = lanczos(product, x.size, gamma, 1e-4, np.random.default_rng(seed), 100, 0.5)
    stated = product.errors(seen.steps)
    true = np.array(true[-seen.steps:])
    assert seen.end == "passed" and seen.lower <= np.linalg.eigvalsh(H)[0] <= seen.min_eig + 1e-6
    assert np.mean(true <= stated) >= 0.9 and (true <= 3 * stated).all()
    assert stated.max() < 1e-5 * np.linalg.norm(H, 2)
    if hopeful:  # the look costs hardly more than a gradient for each of its steps
        assert oracle.njev + 2 * oracle.nhvp <= 2 * seen.steps + 8


def test_an_assumed_error_is_measured_before_anything_rests_on_it():
    """Where ρ seemed to be tiny, the spacing is long and the assumed error far too small."""
    x = np.random.default_rng(0).standard_normal(FACTORS.dim)
    H, b = FACTORS.hess(x), np.ones(x.size) / x.size**0.5
    product = Sparing(FACTORS.grad, x, FACTORS.grad(x), lambda size: 1e-8,
                      Scales(np.linalg.norm(H, 2), 1e-7, 0.01))
    off = np.linalg.norm(product(b) - H @ b)
    assert product.assumed and product.one() < 0.1 * off
    product.settle()
    assert not product.assumed and off < product.one() < 10 * off
