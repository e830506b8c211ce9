"""Newton steps that know the order of the floor: what they promise, on every ravine of the book."""

import functools
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der
from thorough import instances

import saddlelib
from saddlelib import Oracle
from saddlelib.loop import Status
from saddlelib.methods import OrderAwareNewton, SafeGDPolyak
from saddlelib.methods.floor import Floor, is_order, part_of_walls
from saddlelib.methods.krylov import NewtonSolve, WallPairs
from saddlelib.problems import (
    ConvexQuartic,
    HomogeneousRavine,
    MatrixFactorization,
    QuadraticSaddle,
    QuadraticSensing,
    RavineRosenbrock,
    TwoNeurons,
)


def seeded(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


class Ravine:
    """½⟨w, Hw⟩ + Σ cᵢ|vᵢ|ᵖ/p with w = u − b(v, v), in turned coordinates: walls that bend."""

    def __init__(self, walls, floors, order=4, condition=30.0, anisotropy=1.0, seed=0, bend=1.0):
        rng = np.random.default_rng(seed)
        self.dim, self.order, self.walls = walls + floors, order, walls
        self.h = np.geomspace(1, 1 / condition, walls)
        bends = rng.standard_normal((walls, floors, floors))
        self.b = bend * (bends + bends.transpose(0, 2, 1)) / (2 * floors)
        self.c = np.geomspace(1, 1 / anisotropy, floors)
        self.turn = np.linalg.qr(rng.standard_normal((self.dim, self.dim)))[0]
        self.start = 0.3 * rng.standard_normal(self.dim)

    def _split(self, x):
        y = self.turn.T @ x
        u, v = y[:self.walls], y[self.walls:]
        return u - np.einsum("kij,i,j->k", self.b, v, v), v

    def fun(self, x):
        w, v = self._split(x)
        return float(0.5 * self.h @ w**2 + self.c @ np.abs(v) ** self.order / self.order)

    def grad(self, x):
        w, v = self._split(x)
        along = (self.c * np.sign(v) * np.abs(v) ** (self.order - 1)
                 - 2 * np.einsum("k,kij,j->i", self.h * w, self.b, v))
        return self.turn @ np.concatenate([self.h * w, along])


G = seeded(5, 20, 2) / 5
PROBLEMS = {
    "x²+y⁴": (ConvexQuartic(), np.ones(2)),
    "Rosenbrock": (RavineRosenbrock(10.0), np.array([0.6, 0.9])),
    "Rosenbrock, a=100": (RavineRosenbrock(100.0), np.array([0.5, 0.8])),
    "order 3": (HomogeneousRavine(3.0), np.ones(2)),
    "order 6": (HomogeneousRavine(6.0), np.ones(2)),
    "convex, κ=100": (ConvexQuartic.spread(20, 100.0), seeded(0, 20) / 2),
    "factorization": (MatrixFactorization(G @ G.T, 2, columns=4), seeded(1, 80) / 5),
    "sensing": (QuadraticSensing.random(12, 1, columns=2, measurements=150, rng=5),
                seeded(2, 24) / 5),
    "two neurons": (TwoNeurons(seeded(3, 15)), seeded(4, 30)),
}
BENT = {
    "bent": Ravine(5, 4, seed=1),
    "bent, order 3": Ravine(5, 3, order=3, seed=2),
    "bent, order 6": Ravine(4, 2, order=6, seed=3),
    "bent, κ=1e4": Ravine(8, 3, condition=1e4, seed=4),
    "bent, anisotropic": Ravine(4, 3, anisotropy=1e3, seed=5),
}
ALL = {**PROBLEMS, **{name: (ravine, ravine.start) for name, ravine in BENT.items()}}


def run(problem, x0, mark=1e-12, calls=4000, **options):
    """The state where f first is at most ``mark``, the run ends or is too dear; and the oracle."""
    oracle = Oracle(problem.fun, jac=problem.grad)
    method = OrderAwareNewton(**options)
    state = method.init(oracle, np.array(x0, float))
    while state.finished is None and state.best[2] > mark and oracle.njev < calls:
        state = method.step(oracle, state)
    return state, oracle


# It arrives ---------------------------------------------------------------------------


@pytest.mark.parametrize("f_star", [0.0, -math.inf, -1.0, 1e-9],
                         ids=["known", "not", "low", "high"])
@pytest.mark.parametrize("name", ALL)
def test_it_gets_down_every_ravine_whatever_it_is_told_of_f_star(name, f_star):
    problem, x0 = ALL[name]
    state, oracle = run(problem, x0, f_star=f_star, calls=2500)
    assert state.best[2] <= 1e-12, (state.finished, state.note, oracle.njev)


# Calls to 1e-12 with f* known, half as many again as when this was written.
CALLS = {"x²+y⁴": 39, "Rosenbrock": 66, "Rosenbrock, a=100": 78, "order 3": 33, "order 6": 53,
         "convex, κ=100": 105, "factorization": 62, "sensing": 83, "two neurons": 42, "bent": 71,
         "bent, order 3": 59, "bent, order 6": 90, "bent, κ=1e4": 104, "bent, anisotropic": 74}


@pytest.mark.parametrize("name", ALL)
def test_calls_to_twelve_digits_stay(name):
    problem, x0 = ALL[name]
    assert run(problem, x0, f_star=0.0)[1].njev <= CALLS[name]


def test_landings_where_the_floor_is_not_convex_settle():
    """Without a settle on what was solved before curvature turned negative it is 126 and more."""
    calls = []
    for seed in range(24):
        ravine = Ravine(6, 3, condition=100.0, anisotropy=1e3, seed=seed)
        calls.append(run(ravine, ravine.start, f_star=0.0)[1].njev)
    assert math.exp(np.mean(np.log(calls))) < 120


def test_calls_to_twenty_digits_stay_where_they_are():
    calls = {name: run(problem, x0, 1e-20, f_star=0.0)[1].njev
             for name, (problem, x0) in ALL.items() if name not in ("sensing", "two neurons")}
    assert math.exp(np.mean(np.log(list(calls.values())))) < 110, calls
    assert max(calls.values()) < 600, calls


@pytest.mark.parametrize("order", [3, 4, 6])
@pytest.mark.parametrize("anisotropy", [1.0, 100.0])
def test_on_a_straight_floor_however_anisotropic_one_jump_takes_off_decades(order, anisotropy):
    ravine = Ravine(3, 3, order=order, anisotropy=anisotropy, bend=0.0, seed=7)
    oracle, method = Oracle(ravine.fun, jac=ravine.grad), OrderAwareNewton(f_star=0.0)
    state, falls = method.init(oracle, ravine.start), []
    while state.best[2] > 1e-24 and oracle.njev < 1000:
        new = method.step(oracle, state)
        if new.kept > state.kept:
            falls.append(new.fun / state.trial.fun)
        state = new
    # A Newton step leaves ((p - 2)/(p - 1))^p of f, an eighth and more.
    assert min(falls) < 1e-2 and state.best[2] <= 1e-24


# What it says of the floor --------------------------------------------------------------


def read_at_the_end(order, seed, known):
    ravine = Ravine(3, 2, order=order, seed=seed)
    told = run(ravine, ravine.start, 1e-20, f_star=0.0 if known else -math.inf)[0].estimates
    assert told["jumps_kept"] >= 1
    return told


@pytest.mark.parametrize("order, known", [(3, True), (3, False), (4, True), (4, False), (6, True)])
def test_it_reads_the_order_and_without_f_star_f_star(order, known):
    told = read_at_the_end(order, order, known)
    assert told["order"] == pytest.approx(order, rel=0.2 if order < 6 else 0.6)
    assert known or abs(told["f_star"]) < 1e-6


def test_order_six_without_f_star_is_read_right_in_most_ravines():
    """Of points far apart some lie where it is not yet 6, and which, rounding decides."""
    seeds = instances(10, 20)
    orders = [read_at_the_end(6, seed, False)["order"] for seed in range(seeds)]
    assert np.median(orders) == pytest.approx(6, rel=0.1)
    assert sum(4.5 < order < 14 for order in orders) >= 0.8 * seeds


def test_a_quadratic_has_no_order_and_is_solved_all_the_same():
    problem = QuadraticSaddle(np.geomspace(1, 1e-2, 12))
    for f_star in (0.0, -math.inf):
        state, oracle = run(problem, seeded(0, 12), 1e-24, f_star=f_star)
        assert state.best[2] <= 1e-24 and oracle.njev <= 200
        assert math.isnan(state.estimates["order"]) and state.jumps <= 1


@pytest.mark.parametrize("told, words", [(1e-3, "is too high"), (-1e-3, "disagrees")])
def test_an_f_star_that_is_wrong_is_given_up_and_the_note_says_so(told, words):
    ravine = BENT["bent"]
    state, _ = run(ravine, ravine.start, 1e-14, f_star=told)
    assert state.best[2] <= 1e-14 and not state.known and words in state.note
    assert f"f_star = {told:.6g}" in state.note


def test_walls_and_floor_are_told_apart_by_curvature():
    values, shares = np.array([1.0, 0.5, 1e-4, 5e-5]), np.array([0.02, 0.02, 0.5, 0.5])
    wall, cut = part_of_walls(values, shares, 0.0, 1.0, None, 0.1)
    assert wall == pytest.approx(0.04) and 5e-5 < 1e-4 < cut < 0.5
    # A cut that was found holds as long as f - f* fits.
    assert part_of_walls(values, shares, 1e-3, 1.0, 0.02 + 0.75, 0.1) == (pytest.approx(0.04), 1e-3)
    # A gap that no floor explains leaves none.
    assert part_of_walls(values, shares, 0.0, 1.0, 10.0, 0.1) == (0.0, 0.0)
    # Walls that this gradient has not seen count, if an earlier one has.
    assert part_of_walls(values[2:], shares[2:], 0.0, 1.0, None, 0.1)[1] > 1e-3
    assert part_of_walls(np.array([1.0, 0.5]), shares[:2], 0.0, 1.0, None, 0.1) == (0.0, 0.0)


@pytest.mark.parametrize("order", [3.0, 4.0, 6.0, 3.5])
def test_two_settled_points_tell_order_and_f_star(order):
    theta, low = 1 - 1 / order, 5.0
    floor = Floor()
    for decrement in (1.0, 1e-2, 1e-4):
        read, floor = floor.compare(low + theta * decrement, decrement)
    assert read == pytest.approx(theta) and floor.order == pytest.approx(order)
    assert floor.f_star == pytest.approx(low, abs=1e-12)


def test_a_jump_that_failed_may_have_been_too_long():
    floor, orders = Floor(order=6.0, f_star=1.0, points=((1.0, 1.0),)), []
    for _ in range(4):
        floor = floor.doubted()
        orders.append(floor.order)
    assert orders == [4.0, 3.0, 2.5, 2.5] and math.isnan(floor.f_star) and floor.points == ()


def test_nothing_is_read_off_a_decrement_that_is_nearly_all_error():
    assert Floor().read(0.75, rough=0.4).order == 4 and Floor().read(0.75, rough=0.6) == Floor()
    before = Floor(points=((2.0, 1.0),))
    assert before.compare(1.25 + 0.0075, 0.01, rough=0.4)[1].f_star < 2
    assert math.isnan(before.compare(1.25 + 0.0075, 0.01, rough=0.6)[1].f_star)


@pytest.mark.parametrize("name", BENT)
def test_after_a_jump_that_failed_a_newton_step_comes_first(name):
    ravine = BENT[name]
    oracle, method = Oracle(ravine.fun, jac=ravine.grad), OrderAwareNewton()
    state = method.init(oracle, ravine.start)
    for _ in range(600):
        new = method.step(oracle, state)
        assert not (state.wait and new.plan is not None and new.plan.kind == "jump")
        assert new.trial is not None or state.trial is None or new.kept > state.kept or new.wait
        state = new


def test_an_order_that_fits_no_floor_is_not_read():
    assert not is_order(0.5) and not is_order(1.0) and not is_order(math.nan)
    assert Floor().read(0.5).order != Floor().read(0.5).order  # nan
    theta, floor = Floor(points=((2.0, 1.0),)).compare(1.5, 0.0)
    assert theta == 0.5 and math.isnan(floor.order)


# What it costs, and what it leaves ------------------------------------------------------


@pytest.mark.parametrize("name", ["Rosenbrock", "factorization", "bent, order 6"])
def test_a_step_asks_for_one_gradient_and_leaves_its_state_alone(name):
    problem, x0 = ALL[name]
    oracle, method = Oracle(problem.fun, jac=problem.grad), OrderAwareNewton(f_star=0.0)
    state = method.init(oracle, x0)
    for _ in range(150):
        before, counts = pickle.dumps(state), (oracle.nfev, oracle.njev)
        new = method.step(oracle, state)
        assert pickle.dumps(state) == before and new.nit == state.nit + 1
        assert oracle.njev - counts[1] <= 1 and oracle.nfev - counts[0] <= 1
        state = new


@pytest.mark.parametrize("stop", [1, 7, 20, 33, 60])
@pytest.mark.parametrize("name", ["Rosenbrock", "bent"])
def test_a_run_that_was_stopped_and_pickled_goes_on_bit_for_bit(name, stop):
    problem, x0 = ALL[name]
    whole = run(problem, x0, 1e-18, f_star=0.0)[0]
    oracle, method = Oracle(problem.fun, jac=problem.grad), OrderAwareNewton(f_star=0.0)
    state = method.init(oracle, np.array(x0, float))
    while state.finished is None and state.best[2] > 1e-18:
        state = method.step(oracle, state)
        if state.nit % stop == 0:
            state = pickle.loads(pickle.dumps(state))
    assert state.nit == whole.nit and np.array_equal(state.x, whole.x)


@pytest.mark.parametrize("f_star", [0.0, -math.inf])
@pytest.mark.parametrize("name", ALL)
def test_the_answer_is_the_best_point_that_was_met(name, f_star):
    problem, x0 = ALL[name]
    met = []

    def fun(x):
        met.append(problem.fun(x))
        return met[-1]

    oracle, method = Oracle(fun, jac=problem.grad), OrderAwareNewton(f_star=f_star)
    state = method.init(oracle, np.array(x0, float))
    for _ in range(120):
        state = method.step(oracle, state)
        x, jac = method.answer(oracle, state)
        assert problem.fun(x) == state.best[2] == min(met)
        assert np.array_equal(jac, problem.grad(x))
        if state.finished:
            break


@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("unit", [1e-3, 1e3])
def test_units_of_f_and_of_x_change_little(scale, unit):
    ravine = BENT["bent"]
    oracle = Oracle(lambda x: scale * ravine.fun(x / unit),
                    jac=lambda x: scale / unit * ravine.grad(x / unit))
    method = OrderAwareNewton(f_star=0.0)
    state = method.init(oracle, unit * ravine.start)
    while state.best[2] > 1e-12 * scale and oracle.njev < 1000:
        state = method.step(oracle, state)
    assert oracle.njev < 3 * run(ravine, ravine.start, f_star=0.0)[1].njev


def test_exact_products_are_asked_for_where_rounding_hides_the_floor_and_not_before():
    inside, least = ConvexQuartic.spread(20, 100.0), {}
    turn, far = np.linalg.qr(seeded(6, 20, 20))[0], 1e3 * seeded(7, 20)
    center = turn @ far  # where the gradient is not better known than to 1e-13
    for products in (None, "exact", "differences"):
        oracle = Oracle(lambda x: inside.fun(turn @ x - center),
                        jac=lambda x: turn.T @ inside.grad(turn @ x - center),
                        hessp=lambda x, v: turn.T @ inside.hvp(turn @ x - center, turn @ v))
        method = OrderAwareNewton(products=products, f_star=0.0)
        state, seen = method.init(oracle, far + seeded(0, 20) / 2), []
        while state.finished is None and state.nit < 2000:
            state = method.step(oracle, state)
            seen.append((state.best[2], oracle.nhvp))
        asked = [f for f, nhvp in seen if nhvp]
        assert bool(asked) == (products != "differences")
        if products is None:
            assert max(asked) < 1e-6
        least[products] = state.best[2]
    assert least[None] <= least["differences"] < 1e-18 and least["exact"] < 1e-18


# How it ends ----------------------------------------------------------------------------


def test_the_rounding_floor_ends_the_run_and_is_named():
    problem, x0 = PROBLEMS["sensing"]
    oracle, method = Oracle(problem), OrderAwareNewton()
    state = method.init(oracle, x0)
    while state.finished is None and state.nit < 20_000:
        state = method.step(oracle, state)
    assert state.finished == "precision" and state.best[2] < 1e-19


@pytest.mark.parametrize("fun, jac, x0, finished", [
    (lambda x: float(x.sum()), lambda x: np.ones(2), np.zeros(2), "unbounded"),
    (lambda x: float(-x @ x), lambda x: -2 * x, np.ones(2), "unbounded"),
    (lambda x: float(x @ x) ** 2, lambda x: np.full(2, math.nan), np.ones(2), "nonfinite"),
    (lambda x: math.inf, lambda x: np.ones(2), np.ones(2), "nonfinite"),
    (lambda x: float(x @ x), lambda x: -2 * x, np.ones(2), "precision"),  # the sign is wrong
    (lambda x: 0.0, lambda x: np.zeros(2), np.ones(2), "stationary"),
], ids=["linear", "concave", "nan", "inf", "wrong sign", "flat"])
def test_what_cannot_go_on_ends(fun, jac, x0, finished):
    oracle, method = Oracle(fun, jac=jac), OrderAwareNewton(f_star=-math.inf)
    state = method.init(oracle, x0)
    for _ in range(3000):
        state = method.step(oracle, state)
        if state.finished:
            break
    assert state.finished == finished and np.isfinite(state.best[0]).all()


@pytest.mark.parametrize("method", [OrderAwareNewton, functools.partial(SafeGDPolyak, 0.01)])
@pytest.mark.parametrize("kind", [np.float32, np.float16, np.int64, np.array])
def test_f_star_may_be_a_number_of_any_kind(method, kind):
    """In the precision of a scalar f − f* would be off, and values of 1e39 no number."""
    problem, x0 = ALL["Rosenbrock"]
    ends = []
    for f_star in (2, kind(2)):
        oracle = Oracle(lambda x: problem.fun(x) + 2, jac=problem.grad)
        chosen = method(f_star=f_star)
        state = chosen.init(oracle, np.array(x0, float))
        for _ in range(40):
            state = chosen.step(oracle, state)
        ends.append(state)
    assert np.array_equal(ends[0].x, ends[1].x) and type(ends[1].f_star) is float


@pytest.mark.parametrize("start", [1.7, 2.0, 3.3])
@pytest.mark.parametrize("f_star", [0.0, -math.inf])
def test_a_jump_onto_a_summit_is_taken_back(f_star, start):
    """u² + v⁴ with a hill of height 5 on the minimizer that the jump aims at."""
    def hill(v):
        t = np.clip(2 - abs(v) / 5e-3, 0, 1)
        slope = -np.sign(v) / 5e-3 * 30 * t**2 * (1 - t) ** 2 if 0 < t < 1 else 0.0
        return 5 * t**3 * (10 - 15 * t + 6 * t * t), 5 * slope

    def fun(x):
        return float(x[0] ** 2 + x[1] ** 4 + hill(x[1])[0])

    oracle = Oracle(fun, jac=lambda x: np.array([2 * x[0], 4 * x[1] ** 3 + hill(x[1])[1]]))
    method = OrderAwareNewton(f_star=f_star, grad_threshold=1e-12)
    state, lowest = method.init(oracle, np.array([0.3, start])), math.inf
    while state.finished is None and state.nit < 2000:
        state = method.step(oracle, state)
        lowest = min(lowest, state.fun)
    assert fun(method.answer(oracle, state)[0]) == state.best[2] <= lowest < 1.1e-8


@pytest.mark.parametrize("f_star", [0.0, -1.0, -math.inf])
def test_where_the_square_of_the_gradient_underflows_the_run_ends(f_star):
    """u² + v¹⁰ becomes 0 at v = 1e-33, where the gradient is 1e-296."""
    oracle = Oracle(lambda x: float(x[0] ** 2 + x[1] ** 10),
                    jac=lambda x: np.array([2 * x[0], 10 * x[1] ** 9]))
    method = OrderAwareNewton(f_star=f_star)
    state = method.init(oracle, np.array([0.6, 0.9]))
    while state.finished is None and state.nit < 2000:
        state = method.step(oracle, state)
    assert state.finished in ("precision", "stationary") and state.best[2] < 1e-30


def test_at_f_star_there_is_nothing_left_to_do():
    oracle, method = Oracle(lambda x: 0.0, jac=lambda x: np.ones(2)), OrderAwareNewton(f_star=0.0)
    state = method.init(oracle, np.ones(2))
    assert state.finished == "stationary" and state.note == "f = f_star"


@pytest.mark.parametrize("options, error, words", [
    (dict(f_star=math.nan), ValueError, "f_star"), (dict(f_star=math.inf), ValueError, "f_star"),
    (dict(f_star="0"), TypeError, "f_star"), (dict(products="some"), ValueError, "products"),
])
def test_bad_options_are_named(options, error, words):
    with pytest.raises(error, match=words):
        OrderAwareNewton(**options)


def test_what_it_cannot_work_with_is_refused_with_a_remedy():
    problem = RavineRosenbrock()
    with pytest.raises(ValueError, match="grad_noise.*psgd"):
        OrderAwareNewton().init(Oracle(problem, grad_noise=0.1, rng=0), np.ones(2))
    with pytest.raises(ValueError, match="hessp"):
        OrderAwareNewton(products="exact").init(Oracle(problem.fun, jac=problem.grad), np.ones(2))


# Its doors ------------------------------------------------------------------------------


def test_it_has_a_name_and_certifies():
    result = saddlelib.minimize(RavineRosenbrock(), [0.6, 0.9], "ravine", epsilon=1e-9)
    assert result.success and result.fun < 1e-12
    assert result.estimates["order"] == pytest.approx(4, rel=0.02)
    plain = saddlelib.minimize(RavineRosenbrock().fun, [0.6, 0.9], "ravine", epsilon=1e-4)
    assert plain.success


def test_inside_the_driver_it_leaves_saddles_and_goes_down_the_ravine():
    problem = MatrixFactorization.from_eigenvalues([0.8, 0.4], 10, rng=0, columns=4)
    own = saddlelib.minimize(problem, np.zeros(40), epsilon=1e-10, rng=0)
    found = saddlelib.minimize(problem, np.zeros(40), epsilon=1e-10, inner="ravine", rng=0)
    assert own.success and found.success and found.estimates["escapes"] >= 1
    assert found.fun < 1e-12 and found.estimates["order"] == pytest.approx(4, rel=0.1)
    again = saddlelib.minimize(problem, np.zeros(40), epsilon=1e-10, inner="ravine", rng=0,
                               inner_options=dict(f_star=-math.inf, products="differences"))
    assert again.success


def test_inside_the_driver_it_hands_over_where_it_gets_no_further():
    problem, x0 = PROBLEMS["sensing"]
    found = saddlelib.minimize(problem, x0, epsilon=1e-30, inner="ravine", rng=0, maxfev=40_000)
    assert found.status == Status.PRECISION and found.state.stalled and found.state.along is None
    assert found.fun < 1e-19


def test_inside_the_driver_it_takes_its_own_options_and_no_others():
    with pytest.raises(TypeError, match="f_star and products"):
        saddlelib.minimize(RavineRosenbrock(), np.ones(2), inner="ravine",
                           inner_options=dict(speed=1))
    with pytest.raises(ValueError, match="f_star"):
        saddlelib.minimize(RavineRosenbrock(), np.ones(2), inner="ravine",
                           inner_options=dict(f_star=math.inf))


def test_a_budget_cuts_it_anywhere_with_the_best_point():
    values = [saddlelib.minimize(RavineRosenbrock(), [0.6, 0.9], "ravine", epsilon=1e-12,
                                 maxiter=steps, certificate=False).fun
              for steps in range(1, 60, instances(4, 1))]
    assert all(b <= a for a, b in zip(values, values[1:], strict=False))
    assert saddlelib.minimize(RavineRosenbrock(), [0.6, 0.9], "ravine", epsilon=1e-12,
                              maxiter=5).status == Status.MAXITER


# Solves ---------------------------------------------------------------------------------


def solved(H, g, walls=None, steps=None):
    solve = NewtonSolve.begin(g, walls)
    for _ in range(steps or len(g)):
        solve.advance(H @ solve.direction)
        if solve.exact:
            break
    return solve


LAMBDA = np.geomspace(1, 1e-2, 8)
H8 = np.linalg.qr(seeded(0, 8, 8))[0]
H8 = H8 @ np.diag(LAMBDA) @ H8.T


def test_the_numbers_of_conjugate_gradients_hold_spectrum_step_and_decrement():
    g = seeded(1, 8)
    solve = solved(H8, g)
    values, shares = solve.spectrum()
    assert values == pytest.approx(LAMBDA, rel=1e-4)
    assert solve.size * solve.s == pytest.approx(-np.linalg.solve(H8, g), rel=1e-6)
    assert solve.size**2 * solve.decrement == pytest.approx(g @ np.linalg.solve(H8, g))
    assert shares.sum() == pytest.approx(solve.decrement)


def test_pairs_of_the_walls_precondition_and_change_no_solution():
    first = solved(H8, seeded(1, 8))
    pairs = first.ritz_pairs(0.05, 20)
    for y, product in pairs:
        assert product == pytest.approx(H8 @ y, rel=1e-8, abs=1e-12)
    walls = WallPairs(20).with_pairs(pairs, 1.0)
    g = seeded(2, 8)
    plain, helped = solved(H8, g, steps=5), solved(H8, g, walls, 5)
    exact = -np.linalg.solve(H8, g)
    error = [np.linalg.norm(s.size * s.s - exact) / np.linalg.norm(exact) for s in (plain, helped)]
    assert error[1] < 1e-6 < error[0]


@pytest.mark.parametrize("size", [1e-200, 1.0, 1e150])
def test_a_solve_knows_no_unit(size):
    g = size * seeded(1, 8)
    solve = solved(H8, g)
    assert solve.size * solve.s == pytest.approx(-np.linalg.solve(H8, g), rel=1e-5)


def test_negative_curvature_ends_a_solve_with_the_step_before():
    H = np.diag([1.0, 0.5, -0.1])
    solve = NewtonSolve.begin(np.ones(3))
    steps = []
    while not solve.negative:
        steps.append(solve.s)
        solve.advance(H @ solve.direction)
    assert np.array_equal(solve.s, steps[-1]) and len(steps) <= 3


def test_a_product_that_is_not_finite_ends_a_solve_without_a_warning():
    solve = NewtonSolve.begin(np.ones(3))
    solve.advance(np.array([math.inf, math.nan, 1.0]))
    assert solve.negative and not solve.gains


def test_where_jumps_fail_again_and_again_it_goes_down_by_l_bfgs():
    """Rosenbrock's function has a curved valley, and an ordinary minimum at its end."""
    oracle = Oracle(lambda x: float(rosen(x)), jac=rosen_der)
    method = OrderAwareNewton(f_star=-math.inf)
    state, begun = method.init(oracle, np.tile([-1.2, 1.0], 10)), 0
    while state.best[2] > 1e-12 and oracle.njev < 1000:
        new = method.step(oracle, state)
        begun += new.descending and not state.descending
        assert new.failed < 3 and new.window >= state.window
        state = new
    assert oracle.njev < 500 and begun >= 1 and state.window > 10


def test_negative_curvature_before_a_floor_is_known_sends_it_down_by_l_bfgs():
    """Far from a minimizer Newton steps are dear: here a double well in each of six variables."""
    bends, back = seeded(9, 6, 6), 0

    def fun(x):
        return float(((x**2 - 1) ** 2).sum() / 4 + 0.3 * np.sin(bends @ x).sum())

    def grad(x):
        return x * (x**2 - 1) + 0.3 * bends.T @ np.cos(bends @ x)

    for seed in range(20):
        oracle, method = Oracle(fun, jac=grad), OrderAwareNewton()
        state = replace(method.init(oracle, 0.1 * seeded(seed, 6)), descending=False)
        for _ in range(40):
            new = method.step(oracle, state)
            if new.descending and not state.descending:
                assert state.trial is None and new.cut == 0 and new.window == state.window
                back += 1
            state = new
    assert back >= 10
