"""What chapter 4 proves about growth, ravines and Polyak's step, on the library's own code."""

from itertools import permutations

import numpy as np
import pytest

from saddlelib import Oracle
from saddlelib.methods import GradientDescent, PolyakDescent
from saddlelib.problems import ConvexQuartic, HomogeneousRavine, RavineRosenbrock
from saddlelib.ravine import Growth, analyze


def run(problem, method, x0, steps):
    oracle = Oracle(problem)
    state = method.init(oracle, np.asarray(x0, float))
    points, lengths = [state.x], []
    for _ in range(steps):
        state = method.step(oracle, state)
        points.append(state.x)
        lengths.append(getattr(state, "last_step", 0.0))
    return np.array(points), np.array(lengths)


@pytest.mark.parametrize("order", [3.0, 4.0, 6.0])
@pytest.mark.parametrize("eta", [0.05, 0.5])
def test_constant_steps_stay_below_the_crawl_and_approach_it(order, eta):
    v0, c = 0.9, 1 / order
    points, _ = run(HomogeneousRavine(order), GradientDescent(eta), [0.0, v0], 4000)
    k = np.arange(4001)
    law = (v0 ** (2 - order) + order * (order - 2) * c * eta * k) ** (-1 / (order - 2))
    ratio = points[:, 1] / law
    assert ratio.max() <= 1 + 1e-12
    assert ratio[-1] > 0.97


def test_the_crawl_on_a_bent_floor_comes_to_the_law_as_slowly_as_estimated():
    """1/v² grows by 8η/(1 + 4v²) a step, so f is above the law by (1 + 4 ln w/w)², w = 8ηk."""
    problem, eta = RavineRosenbrock(10.0), 0.0125
    values = problem.fun(run(problem, GradientDescent(eta), [0.6, 0.9], 10_000)[0])
    above = []
    for k in (1000, 3000, 10_000):
        w = 8 * eta * k
        ratio = values[k] * 64 * eta**2 * k**2
        above.append(ratio)
        assert ratio == pytest.approx((1 + 4 * np.log(w) / w) ** 2, rel=0.01)
    assert above[0] > above[1] > above[2] > 1


@pytest.mark.parametrize("order, slope", [(2.0, 1 / 2), (3.0, 2 / 3), (4.0, 3 / 4), (6.0, 5 / 6)])
def test_the_slope_of_the_gradient_shows_the_order_without_the_minimizer(order, slope):
    """On a straight floor soon; far out on a bent one it is less."""
    problem = ConvexQuartic([1.0], [1.0]) if order == 2 else HomogeneousRavine(order)
    start = [0.7, 0.0] if order == 2 else [0.7, 0.9]
    points = run(problem, GradientDescent(0.1), start, 400)[0][150 if order > 2 else 10:]
    gradients = [np.linalg.norm(problem.grad(x)) for x in points]
    seen = np.polyfit(np.log(problem.fun(points)), np.log(gradients), 1)[0]
    assert seen == pytest.approx(slope, abs=0.005)


@pytest.mark.parametrize("first, last, low, high", [
    (0, 6, 1.2, 1.6), (10, 101, 0.55, 0.65), (1000, 3001, 0.73, 0.75)])
def test_the_slope_of_the_gradient_on_a_bent_floor_rises_to_that_of_order_four(
        first, last, low, high):
    problem = RavineRosenbrock(10.0)
    points = run(problem, GradientDescent(0.0125), [0.6, 0.9], last)[0][first:last]
    gradients = [np.linalg.norm(problem.grad(x)) for x in points]
    assert low < np.polyfit(np.log(problem.fun(points)), np.log(gradients), 1)[0] < high


def test_what_saves_a_run_with_too_large_steps_is_a_wall_that_is_softer_on_one_side():
    """Beside 2u² + 2u³ + u⁴/2, the wall of the surplus column, its even and its odd part."""
    def after(slope, eta=0.51):
        u = 0.01
        for _ in range(5000):
            u -= eta * slope(u)
            if abs(u) > 100:
                break
        return abs(u)
    assert 0.05 < after(lambda u: 4 * u + 6 * u**2 + 2 * u**3) < 0.1
    assert 0.05 < after(lambda u: 4 * u + 6 * u**2) < 0.1
    assert after(lambda u: 4 * u + 2 * u**3) > 100 and after(lambda u: 4 * u) > 100


@pytest.mark.parametrize("a", [0.5, 25 / 7, 10.0, 100.0])
@pytest.mark.parametrize("bend", [1.0, -2.0])
def test_a_long_step_from_a_bent_floor_multiplies_f_by_the_stated_factor(a, bend):
    problem = RavineRosenbrock(a, bend=bend)
    (x, y), _ = run(problem, PolyakDescent(), problem.ravine(0.2), 1)
    assert y[0] / x[0] == pytest.approx(0.75, rel=1e-12)
    assert problem.fun(y) / problem.fun(x) == pytest.approx((81 + 49 * a * bend**2) / 256)


@pytest.mark.parametrize("mu, c", [(2.0, 1.0), (20.0, 0.3)])
@pytest.mark.parametrize("theta", [0.2, 0.7, 1.2, 2.0, 2.9])
def test_beside_a_straight_floor_a_step_of_polyak_doubles_the_angle(mu, c, theta):
    """With an error of order v²."""
    problem, scale = ConvexQuartic([mu / 2], [c]), np.sqrt(2 * c / mu)
    errors = []
    for v in (1e-2, 1e-3):
        points, lengths = run(problem, PolyakDescent(), [scale * v**2 / np.tan(theta), v], 1)
        w, v = points[1]
        errors.append(abs(w / (scale * v**2) - 1 / np.tan(2 * theta)))
        assert mu * lengths[0] == pytest.approx(1 / (2 * np.cos(theta) ** 2), rel=0.02)
    assert errors[1] < 0.011 * errors[0] + 1e-9 and errors[0] < 0.1


@pytest.mark.parametrize("problem", [ConvexQuartic(), RavineRosenbrock(10.0)])
def test_a_third_of_polyaks_steps_is_longer_than_the_walls_can_take(problem):
    """The law of the doubled angle, and 1/v grows by √(2c/3μ) a step; the runs are chaotic."""
    mu, grown, late = problem.normal_curvature[0], [], []
    for start in np.linspace(0.4, 0.9, 8):
        points, lengths = run(problem, PolyakDescent(), [0.6, start], 1000)
        late.append(lengths[300:])
        grown.append(1 / abs(points[-1] @ analyze(problem).kernel[:, 0]) / 1000)
    for s in (1.0, 2.0, 20.0):
        law = 2 / np.pi * np.arcsin(1 / np.sqrt(2 * s))
        assert np.mean(np.concatenate(late) > s / mu) == pytest.approx(law, rel=0.08)
    rate = np.sqrt(2 * problem.growth_constant / (3 * mu))
    assert np.mean(grown) == pytest.approx(rate, rel=0.2)


@pytest.mark.parametrize("rng", range(3))
def test_polyak_on_a_convex_ravine_comes_closer_within_its_bound(rng):
    problem = ConvexQuartic.spread(6, condition=20.0)
    x0 = np.random.default_rng(rng).uniform(-0.4, 0.4, 6)
    radius = np.linalg.norm(x0)
    ell = max(problem.normal_curvature[1], 12 * 0.25 * (2 * radius) ** 2)
    points, _ = run(problem, PolyakDescent(), x0, 600)
    distance, c = problem.distance(points), problem.growth_constant
    assert (np.diff(distance) < 0).all()
    k = np.arange(2, 601, 2)
    assert (distance[k] ** 2 <= 2 * ell / (c * k)).all()
    best = np.minimum.accumulate(problem.fun(points))
    assert (best[k - 1] <= 16 * ell**2 / (c * k**2)).all()


def polynomial(seed, fourth):
    """∇f, and H, D³f, D⁴f at 0 with a kernel of dimension two, turned at random."""
    rng = np.random.default_rng(seed)
    H = np.diag([7.0, 3.0, 1.0, 0.0, 0.0])
    D3, D4 = (np.mean([t.transpose(p) for p in permutations(range(t.ndim))], axis=0)
              for t in (rng.standard_normal((5,) * 3), rng.standard_normal((5,) * 4)))
    D3[3:, 3:, 3:] = 0
    for i in (3, 4):
        for j in (3, 4):
            for place in set(permutations((i, i, j, j))):
                D4[place] += fourth
    Q = np.linalg.qr(rng.standard_normal((5, 5)))[0]

    def fun(x):
        y = Q.T @ x
        return y @ (H / 2 + D3 @ y / 6 + D4 @ y @ y / 24) @ y

    def grad(x):
        y = Q.T @ x
        return Q @ ((H + D3 @ y / 2 + D4 @ y @ y / 6) @ y)
    return fun, grad, Q, D3, D4


@pytest.mark.parametrize("seed", range(3))
def test_the_decomposition_theorem_on_random_polynomials(seed):
    fun, grad, Q, D3, D4 = polynomial(seed, 6.0)
    found, curvatures = analyze(None, np.zeros(5), jac=grad), np.array([7.0, 3.0, 1.0])
    assert found.curvatures == pytest.approx([1.0, 3.0, 7.0], rel=1e-6)
    rng = np.random.default_rng(seed)
    for angle in rng.uniform(0, np.pi, 3):
        y = np.array([0, 0, 0, np.cos(angle), np.sin(angle)])
        T, v = (D3 @ y @ y)[:3], Q @ y
        q = D4 @ y @ y @ y @ y / 24 - T @ (T / curvatures) / 8
        assert found.q(v) == pytest.approx(q, rel=1e-5)
        bend = Q[:, :3] @ (-T / curvatures / 2)
        off, rest = [], []
        for t in (0.02, 0.01):
            x = found.point(t * v)
            off.append(np.linalg.norm(x - t * v - t**2 * bend))
            rest.append(abs(fun(x) - t**4 * q))
            wall = found.range @ rng.standard_normal((3, 50)) * t**2
            rise = np.array([fun(x + w) - fun(x) for w in wall.T])
            rise /= (wall**2).sum(axis=0) / 2
            assert 0.8 < rise.min() and rise.max() < 7.6
        assert off[1] < off[0] / 6 and rest[1] < rest[0] / 20
    # Part 4: no point of a small sphere is lower than the least q says.
    assert found.verdict is Growth.YES
    for t in (0.02, 0.01):
        around = np.concatenate([np.cos(np.linspace(0, np.pi, 100))[:, None],
                                 np.sin(np.linspace(0, np.pi, 100))[:, None]], axis=1)
        floor = [found.point(t * found.kernel @ a) for a in around]
        points = [*floor, *(t * rng.standard_normal((200, 5)))]
        least = min(fun(z) / np.linalg.norm(z) ** 4 for z in points)
        assert least == pytest.approx(found.constant, rel=0.05)


def test_where_the_form_is_negative_there_is_no_minimizer():
    fun, grad, *_ = polynomial(0, -6.0)
    found = analyze(None, np.zeros(5), jac=grad)
    assert found.verdict is Growth.NO
    assert fun(found.point(0.02 * found.direction)) < 0


@pytest.mark.parametrize("seed", range(3))
def test_convexity_makes_the_ravine_straight(seed):
    """φ(v) = O(‖v‖³) where f is convex, and O(‖v‖²) on Rosenbrock's ravine."""
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, 4)), rng.standard_normal((6, 4))
    soft = analyze(None, np.zeros(4),
                   jac=lambda x: a.T @ np.tanh(a @ x) + 4 * b.T @ (b @ x) ** 3)
    bent = analyze(RavineRosenbrock(10.0))
    for found, power in ((soft, 3), (bent, 2)):
        v = found.kernel @ np.ones(found.kernel.shape[1])
        off = [np.linalg.norm(found.point(t * v) - t * v) for t in (4e-3, 2e-3)]
        assert np.log2(off[0] / off[1]) == pytest.approx(power, abs=0.1)
    assert soft.verdict is Growth.YES
