"""What the chapter on GDPolyak proves: the rate, wrong f*, the curvature, accepted steps."""

import math

import numpy as np
import pytest

import saddlelib
from saddlelib import Oracle
from saddlelib.methods import GDPolyak, PolyakDescent, SafeGDPolyak
from saddlelib.problems import (
    ConvexQuartic,
    HomogeneousRavine,
    MatrixFactorization,
    RavineRosenbrock,
)
from saddlelib.theory import ravine


def epochs(problem, method, x0, most):
    """States before each long step, gradients spent there, and all points."""
    oracle = Oracle(problem)
    state, rows, points = method.init(oracle, np.array(x0, float)), [], []
    while oracle.njev < most and state.finished is None:
        new = method.step(oracle, state)
        points.append(state.x)
        if new.epochs > state.epochs:
            rows.append((state.x, oracle.njev - 1, new.last_step))
        state = new
    return rows, points


@pytest.mark.parametrize("order, factor", [(3.0, 1.0), (3.0, 2.0), (4.0, 1.0), (4.0, 2.0),
                                           (6.0, 2.0)])
def test_on_a_straight_ravine_the_law_of_the_growing_epochs_is_linear_per_epoch(order, factor):
    """‖v_i‖ within ½ and 2 of ρ^i‖v_0‖, the wall's slope falls below any share of the floor's."""
    problem = HomogeneousRavine(order, dim=4, kernel=2)
    slope, rho = ravine.growth(0.3, 1.0, order, factor), ravine.contraction(order, factor)
    v0 = 0.3 if order > 3 else 0.01  # small enough that short steps hardly move v
    first = math.ceil(12 + slope * math.log(1 / v0) / math.log(1 / rho))
    rows, points = epochs(problem, GDPolyak(0.3, first, factor=factor, growth=slope),
                          [0.6 * v0, -0.6 * v0, 0.0, v0], 4000)
    assert len(rows) > 20
    v = np.array([np.linalg.norm(x[2:]) for x, _, _ in rows])
    wall = np.array([np.linalg.norm(x[:2]) for x, _, _ in rows]) / v ** (order - 1)
    ratio = v / (v0 * rho ** np.arange(len(v)))
    assert (0.5 <= ratio).all() and (ratio <= 2).all()
    assert (wall[1:] <= wall[:-1]).all() and wall[-1] < 1e-6
    epsilon = 2 * np.linalg.norm(rows[-1][0])
    spent = next(i for i, x in enumerate(points) if np.linalg.norm(x) <= epsilon)
    extra = first * math.log(1 / epsilon) / math.log(1 / rho)
    law = ravine.calls(epsilon, 0.3, 1.0, order, factor)
    assert law < spent < law + 1.1 * extra


def test_epochs_that_grow_more_slowly_lose_the_floor_and_the_walls_do_not_matter_otherwise():
    """Walls of 1 to 1/10: with two thirds of the law's slope the wall wins back the gradient."""
    problem = ConvexQuartic(np.geomspace(0.05, 0.5, 8), [0.25])
    mu, top = problem.normal_curvature
    slope = ravine.growth(0.9 / top, mu)
    least = {}
    for share in (1.0, 0.6):
        method = GDPolyak(0.9 / top, 60, growth=share * slope)
        rows, _ = epochs(problem, method, np.full(9, 0.3), 12_000)
        wall = [np.linalg.norm(x[:8]) / abs(x[8]) ** 3 for x, _, _ in rows]
        least[share] = abs(rows[-1][0][8]) / 0.75 ** len(rows)
        assert (wall[-1] < wall[2]) == (share == 1.0)
    assert least[1.0] == pytest.approx(0.3 / 0.75, rel=1) and least[0.6] > 10


def test_a_long_step_in_a_straight_ravine_is_what_the_proposition_says():
    """With a wall as steep as the floor: the factors with (1 + a)/(1 + e²)."""
    H, c, p, factor = np.array([2.0, 0.7]), 0.25, 4.0, 1.3
    problem = ConvexQuartic(H / 2, [c])
    for v in (0.5, 0.05):
        u = np.array([0.6, -0.8]) * 2 * c * p * v ** (p - 1)
        e = np.linalg.norm(H * u) / (c * p * v ** (p - 1))
        a = u @ (H * u) / 2 / (c * v**p)
        alpha = (1 + a) / (1 + e**2) / (c * p**2 * v ** (p - 2))
        oracle, method = Oracle(problem), PolyakDescent(factor=factor)
        new = method.step(oracle, method.init(oracle, np.append(u, v))).x
        np.testing.assert_allclose(new[:2], (1 - factor * alpha * H) * u, rtol=1e-10)
        assert new[2] == pytest.approx((1 - factor / p * (1 + a) / (1 + e**2)) * v, rel=1e-12)


@pytest.mark.parametrize("order", [3.0, 4.0, 5.0])
@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_a_bound_too_low_leads_away_below_its_gap_and_not_above(order, factor):
    problem, delta = HomogeneousRavine(order), 1e-6
    for side in (0.98, 1.02):
        gap = side * factor * delta / (2 * order - factor)
        v = (order * gap) ** (1 / order)
        oracle, method = Oracle(problem), PolyakDescent(f_star=-delta, factor=factor)
        new = method.step(oracle, method.init(oracle, np.array([0.0, v])))
        assert (abs(new.x[1]) > v) == (side < 1)


def test_quotient_times_curvature_between_the_bounds_of_cauchy_and_of_kantorovich():
    rng = np.random.default_rng(0)
    H = np.array([1.0, 3.0, 10.0])
    upper = (1 + 10) ** 2 / (8 * 10)

    def product(u):
        g = H * u
        return (u @ g / 2) / (g @ g) * (g @ (H * g)) / (g @ g)

    seen = np.array([product(u) for u in rng.standard_normal((2000, 3)) / H**1.5])
    assert (0.5 - 1e-12 <= seen).all() and (seen <= upper + 1e-12).all()
    # The bound is attained where H^½z, z = H^½u, has equal parts along the ends of the spectrum.
    assert product(np.array([1.0, 0.0, 1.0]) / np.sqrt(H**3)) <= upper
    z = np.array([10.0, 0.0, 1.0]) ** 0.5
    assert product(z / np.sqrt(H)) == pytest.approx(upper)
    for p in (3.0, 4.0, 6.0):
        f, v = HomogeneousRavine(p, dim=3, kernel=2), np.array([0.0, 0.03, 0.04])
        g = f.grad(v)
        kappa = g @ f.hvp(v, g) / (g @ g)
        assert f.fun(v) / (g @ g) * kappa == pytest.approx((p - 1) / p)


@pytest.mark.parametrize("factor", [2.0, 0.2])  # with 0.2 a step in the ravine gains 0.185
@pytest.mark.parametrize("problem, x0, eta", [
    (RavineRosenbrock(10.0), [1.1, 0.5], 0.0125), (ConvexQuartic(), [1.0, 1.0], 0.1),
    (RavineRosenbrock(100.0), [0.5, 0.9], 0.00125)], ids=str)
def test_an_accepted_step_lowers_the_gap_by_a_fifth_and_a_rejected_one_leaves_no_trace(
        problem, x0, eta, factor):
    oracle, method = Oracle(problem), SafeGDPolyak(eta, factor=factor)
    state, accepted = method.init(oracle, np.array(x0)), 0
    while oracle.njev < 1500 and state.finished is None:
        new = method.step(oracle, state)
        if new.accepted > state.accepted:
            accepted += 1
            assert problem.fun(state.x) <= 0.8 * state.checkpoint[2]
        if new.rejected > state.rejected:
            np.testing.assert_allclose(new.x, state.checkpoint[0] - (
                new.step_size * state.checkpoint[1] if new.taken else 0), rtol=1e-12)
        state = new
    assert accepted > 10 or factor < 1


@pytest.mark.parametrize("m, epsilon, sees", [(1e-3, 1e-5, False), (1e-3, 1e-8, True),
                                              (1e-6, 1e-9, False)])
def test_a_look_sees_the_saddle_of_an_almost_surplus_column_if_2m_exceeds_what_it_allows(
        m, epsilon, sees):
    """Two columns of diag(1, m): the curvature at (1, 0) is −2m, and √(ρε) is allowed."""
    problem = MatrixFactorization(np.diag([1.0, m]), columns=2)
    saddle = np.array([1.0, 0.0, 0.0, 0.0])
    assert np.linalg.eigvalsh(problem.hess(saddle))[0] == pytest.approx(-2 * m)
    assert sees == (2 * m > math.sqrt(problem.lipschitz_hess * epsilon))
    look = saddlelib.certify(problem, saddle, epsilon=epsilon, rng=0)
    assert look.verdict.name == ("NEGATIVE_CURVATURE" if sees else "SOSP")
    run = saddlelib.minimize(problem, saddle, inner="ravine", epsilon=epsilon, rng=0)
    assert run.success
    assert abs(run.x[3]) == pytest.approx(math.sqrt(m) if sees else 0, abs=1e-4)
    alone = saddlelib.minimize(problem, saddle, "ravine", epsilon=epsilon, rng=0)
    assert alone.success != sees and alone.x[3] == 0
