"""Long and short steps: what each method promises, and what it does when f* or f is not as told."""

import functools
import math
import pickle

import numpy as np
import pytest
from thorough import instances

from saddlelib import Oracle, Status, minimize
from saddlelib.methods import (
    BacktrackingDescent,
    CurvatureSwitch,
    GDPolyak,
    GradientDescent,
    PlateauSwitch,
    PolyakDescent,
    RestartedGDPolyak,
    SafeGDPolyak,
    polyak_quotient,
)
from saddlelib.methods.gdpolyak import secant_curvature
from saddlelib.problems import (
    ConvexQuartic,
    HomogeneousRavine,
    MatrixFactorization,
    QuarticSaddle,
    RavineRosenbrock,
    TwoNeurons,
)
from saddlelib.theory import ravine

ROSENBROCK, X0 = RavineRosenbrock(10.0), np.array([1.09705, 0.53275])
HALF, HALF0 = RavineRosenbrock(0.5, bend=-1.0), np.array([0.3, 0.3])
RULES = {
    "constant": ("gd", dict(rule="constant")), "backtracking": ("gd", dict(rule="backtracking")),
    "polyak": ("gd", dict(rule="polyak")), "capped": ("gd", dict(rule="polyak", cap=2.0)),
    "safe": ("gdpolyak", {}),
    "published": ("gdpolyak", dict(rule="published", epoch_length=30)),
    "growing": ("gdpolyak", dict(rule="published", epoch_length=5, growth=2.0)),
    "restarts": ("gdpolyak", dict(rule="restarts", epoch_length=10, epochs=12, restarts=6,
                                  f_star=-0.1)),
    "curvature": ("gdpolyak", dict(rule="curvature")),
    "plateau": ("gdpolyak", dict(rule="plateau")),
}
every_rule = pytest.mark.parametrize("rule", RULES)
STEPS = {"polyak", "capped"}  # set their step themselves


def run(method, problem, x0, least, most=6000):
    """Gradients until f ≤ least at the iterate, or inf; and the last state."""
    oracle = Oracle(problem)
    state = method.init(oracle, np.array(x0, float))
    with np.errstate(over="ignore", invalid="ignore"):
        while oracle.njev < most and state.finished is None:
            if problem.fun(state.x) <= least:
                return oracle.njev, state
            state = method.step(oracle, state)
    return (oracle.njev if problem.fun(state.x) <= least else math.inf), state


def through(rule, problem=ROSENBROCK, x0=X0, **options):
    method, chosen = RULES[rule]
    step = {} if rule in STEPS else dict(step_size=0.0125)
    return minimize(problem, x0, method, rng=0, **{**step, **chosen, **options})


# The quotient -------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1.0, 1e150])
def test_the_quotient_survives_gradients_whose_square_does_not(scale):
    g = scale * np.array([3.0, -4.0])
    assert polyak_quotient(25 * scale, g) == pytest.approx(1 / scale)
    assert polyak_quotient(-scale, g) < 0
    assert np.isnan(polyak_quotient(1.0, 0 * g)) and np.isnan(polyak_quotient(1.0, g * np.inf))
    assert polyak_quotient(1e300, np.array([1e-300])) == math.inf


def test_polyak_descends_to_where_the_square_of_the_gradient_underflows():
    least, _ = run(PolyakDescent(factor=2.0), HomogeneousRavine(4.0), [0.0, 1.0], 1e-290)
    assert least < 300


# The rates ----------------------------------------------------------------------


def test_a_long_step_contracts_by_3_4_and_grows_by_16_9_and_f_by_81_256():
    """On f = x⁴ + a(y − x²)² with K = 2 and η = 1/(2a), where short steps reach the ravine."""
    oracle, method = Oracle(ROSENBROCK), GDPolyak(0.05, 2)
    state = method.init(oracle, np.array([0.1, 0.01]))
    seen = []
    for _ in range(40):
        for _ in range(3):
            state = method.step(oracle, state)
        seen.append((state.x[0], state.last_step, state.x[1] - state.x[0] ** 2))
    x, step, off = np.array(seen[20:]).T
    np.testing.assert_allclose(x[1:] / x[:-1], ravine.contraction(), atol=1e-3)
    np.testing.assert_allclose(step[1:] / step[:-1], ravine.step_growth(), atol=5e-3)
    np.testing.assert_allclose(off / x**2, -1 / 9, rtol=1e-2)


def test_two_short_steps_hold_the_rate_and_one_does_not():
    """η = 1/(2a): one step leaves a multiplier 8a/9 of w/x², attracting only for a < 9/8."""
    for a, settled in ((0.5, -1 / (9 - 8 * 0.5)), (10.0, None)):
        oracle, method = Oracle(RavineRosenbrock(a)), GDPolyak(1 / (2 * a), 1)
        state = method.init(oracle, np.array([0.1, 0.01]))
        for _ in range(40):
            state = method.step(oracle, state)
        x, y = state.x
        if settled is not None:
            assert (y - x**2) / x**2 == pytest.approx(settled, rel=0.02)
        else:
            assert abs(x) > 10 * 0.1 * 0.75**20


def test_growing_epochs_follow_the_near_linear_law_within_5_per_cent():
    """N = 3139 + the first lengths, for f ≤ 1e-28; slopes 1 and 4 need more."""
    def spent(slope, most):
        return run(GDPolyak(0.0125, 5, growth=slope), ROSENBROCK, X0, 1e-28, most)[0]

    slope = ravine.growth(0.0125, 20.0)
    epochs = math.log(1e7) / math.log(1 / ravine.contraction())
    law = ravine.calls(1e-7, 0.0125, 20.0) + 5 * epochs
    least = spent(2.0, 4000)
    assert slope == pytest.approx(2.0) and least == pytest.approx(law, rel=0.05)
    assert all(spent(other, least / 0.8) == math.inf for other in (1.0, 4.0))


@pytest.mark.parametrize("problem, x0, eta, lengths, straight", [
    (ConvexQuartic(), [1.0, 1.0], 0.1, (40, 50, 60), True),
    (ROSENBROCK, X0, 0.0125, (20, 30, 40), False)], ids=["straight", "curved"])
def test_a_fixed_length_stalls_at_a_floor_that_falls_as_predicted(problem, x0, eta, lengths,
                                                                 straight):
    floors = []
    for K in lengths:
        oracle, method = Oracle(problem), GDPolyak(eta, K)
        state, best = method.init(oracle, np.array(x0)), math.inf
        for _ in range(4000):
            state = method.step(oracle, state)
            best = min(best, problem.fun(state.x))
        floors.append(best)
    mu = problem.normal_curvature[0]
    decades = np.polyfit(lengths, np.log10(floors), 1)[0]
    law = math.log10(ravine.floor(eta, mu, 1, straight))
    assert decades == pytest.approx(law, rel=0.15)


def test_the_number_of_epochs_or_their_length_sets_the_error():
    """min{K, I}: more of the one does not help beyond the other."""
    def best(K, epochs):
        return min(f for i, f in enumerate(seen[K]) if i < epochs * (K + 1))

    seen = {}
    for K, epochs in ((40, 80), (80, 50)):
        oracle, method = Oracle(ROSENBROCK), GDPolyak(0.0125, K, epochs=epochs)
        state, seen[K] = method.init(oracle, X0), []
        while state.finished is None:
            state = method.step(oracle, state)
            seen[K].append(ROSENBROCK.fun(state.x))
    assert best(80, 25) > 1e-3 * best(40, 25) and best(40, 80) > 1e-3 * best(40, 40)
    assert best(80, 50) < 1e-6 * min(best(40, 80), best(80, 25))


def test_polyak_alone_and_short_steps_alone_are_left_far_behind():
    _, polyak = run(PolyakDescent(), ROSENBROCK, X0, 0.0, 2000)
    _, short = run(GradientDescent(0.0125), ROSENBROCK, X0, 0.0, 2000)
    assert run(SafeGDPolyak(0.0125), ROSENBROCK, X0, 1e-20, 2000)[0] < 1000
    assert ROSENBROCK.fun(polyak.x) > 1e-13 and ROSENBROCK.fun(short.x) > 1e-7


@functools.cache
def published():
    """Calls of the published length."""
    return run(GDPolyak(0.0125, 100), ROSENBROCK, X0, 1e-12)[0]


@pytest.mark.parametrize("method", [
    CurvatureSwitch(0.0125), CurvatureSwitch(0.0125, factor=2.0),
    PlateauSwitch(0.0125, factor=2.0), SafeGDPolyak(0.0125), GDPolyak(0.0125, 5, growth=2.0)],
    ids=repr)
def test_adaptive_epochs_need_a_third_of_the_calls_of_the_published_length(method):
    assert published() == 2021 and run(method, ROSENBROCK, X0, 1e-12)[0] < published() / 2.9


def test_the_curvature_along_the_ravine_gives_the_step_of_polyak_without_f_star():
    """(f − f*)κ/‖g‖² = (p − 1)/p."""
    for problem, p in ((ROSENBROCK, 4), (TwoNeurons([1.0, 0.5]), 3), (HALF, 4)):
        x = problem.ravine(1e-3)
        for _ in range(200):  # short steps to the path that they follow beside the ravine
            x = x - 0.9 / problem.normal_curvature[1] * problem.grad(x)
        g = problem.grad(x)
        kappa = g @ problem.hvp(x, g) / (g @ g)
        assert problem.fun(x) * kappa / (g @ g) == pytest.approx((p - 1) / p, rel=0.02)


def test_across_a_curved_ravine_f_rises_although_the_step_is_good():
    """f⁺/f = (81 + 49a)/256 from a point on the ravine: the reason to settle before judging."""
    for a in (1.0, 10.0):
        f = RavineRosenbrock(a)
        x = f.ravine(1e-3)
        g = f.grad(x)
        new = x - polyak_quotient(f.fun(x), g) * g
        assert f.fun(new) / f.fun(x) == pytest.approx((81 + 49 * a) / 256, rel=1e-4)
        assert new[0] == pytest.approx(0.75e-3, rel=1e-5)


# Safety -------------------------------------------------------------------------

FACTOR = MatrixFactorization.from_eigenvalues([0.8, 0.4], 20, rng=0, columns=4)
START = np.random.default_rng(1).standard_normal(FACTOR.dim) / 9
CASES = {"Rosenbrock": (ROSENBROCK, X0, 0.0125), "half": (HALF, HALF0, 1.0),
         "convex": (ConvexQuartic(), np.array([1.0, 1.0]), 0.1), "factor": (FACTOR, START, 0.25),
         "spread": (ConvexQuartic.spread(20, 10.0), np.linspace(-1, 1, 20), 0.5),
         "neurons": (TwoNeurons(np.arange(1.0, 5.0)), np.sin(np.arange(8.0)), 1.5)}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("error", instances(
    [-math.inf, -1e-3, 0.0, 1e-3], [-math.inf, -1e-3, -1e-6, 0.0, 1e-6, 1e-3]))
def test_safe_arrives_whatever_f_star_it_is_told(name, error):
    problem, x0, eta = CASES[name]
    calls, state = run(SafeGDPolyak(eta, f_star=error), problem, x0, 1e-12, 4000)
    assert calls < 2500
    if error > 0 and state.f_star == -math.inf:
        assert "f_star" in state.note


def test_a_wrong_f_star_ends_or_stalls_the_published_method():
    too_high = minimize(ROSENBROCK, X0, "gdpolyak", rule="published", epoch_length=50,
                        step_size=0.0125, f_star=1e-6, epsilon=1e-12, rng=0)
    assert too_high.status == Status.BELOW_F_STAR and not too_high.success
    assert "smaller f_star" in too_high.message and too_high.fun < 1e-6
    _, low = run(GDPolyak(0.0125, 100, f_star=-1e-6), ROSENBROCK, X0, 1e-12, 5000)
    assert not np.isfinite(low.x).all() or ROSENBROCK.fun(low.x) > 1e-9


@pytest.mark.parametrize("name", CASES)
def test_the_answer_of_safe_is_the_best_point_that_it_saw(name):
    problem, x0, eta = CASES[name]
    seen = []

    class Watching:
        def __getattr__(self, attribute):
            return getattr(problem, attribute)

        def fun(self, x):
            seen.append(problem.fun(x))
            return seen[-1]

    for most in (1, 7, 40, 150):
        seen.clear()
        result = minimize(Watching(), x0, "gdpolyak", step_size=eta, epsilon=1e-30, rng=0,
                          maxiter=most, certificate=False)
        assert result.fun == min(seen) == problem.fun(result.x)
        np.testing.assert_array_equal(result.jac, problem.grad(result.x))


def test_safe_may_stand_worse_than_it_stood_and_then_answers_with_the_better_point():
    oracle, method = Oracle(ROSENBROCK), SafeGDPolyak(0.0125, factor=9.0)  # 9 > 2p: too long
    state, worse, best = method.init(oracle, X0), 0, math.inf
    for _ in range(300):
        state = method.step(oracle, state)
        x, jac = method.answer(oracle, state.copy())
        best = min(best, state.best_fun)
        assert ROSENBROCK.fun(x) <= min(best, ROSENBROCK.fun(state.x))
        np.testing.assert_array_equal(jac, ROSENBROCK.grad(x))
        worse += ROSENBROCK.fun(state.x) > ROSENBROCK.fun(x)
    assert worse > 3


def test_safe_stops_at_the_rounding_floor_and_says_so():
    result = minimize(FACTOR, START, "gdpolyak", step_size=0.25, epsilon=1e-30, rng=0,
                      maxiter=5000)
    assert result.status == Status.PRECISION and not result.success and result.nit < 4000
    assert "rounding floor" in result.message and result.fun < 1e-20


def test_safe_takes_back_a_step_that_did_not_help_and_waits_longer():
    """A long step that is forty times too long, on a ravine where κ says nothing of it."""
    oracle, method = Oracle(ROSENBROCK), SafeGDPolyak(0.0125, factor=30.0)
    state, back = method.init(oracle, X0), 0
    for _ in range(1500):
        new = method.step(oracle, state)
        if new.rejected > state.rejected:
            back += 1
            assert new.least > state.least and new.best_fun <= state.best_fun
        state = new
    assert back > 2 and state.best_fun < 1e-3


def bent(walls, across, condition, seed):
    """½Σ hₖwₖ² + ¼Σ vᵢ⁴ with w = u − B[v, v], turned: μ/L = 1/condition off a bent ravine."""
    rng = np.random.default_rng([seed, walls, across])
    h = np.geomspace(1.0, 1 / condition, walls)
    B = rng.standard_normal((walls, across, across)) / (2 * across)
    B = B + B.transpose(0, 2, 1)
    Q = np.linalg.qr(rng.standard_normal((walls + across,) * 2))[0]

    def parts(x):
        v = Q[:, walls:].T @ x
        return Q[:, :walls].T @ x - B @ v @ v, v

    def fun(x):
        w, v = parts(x)
        return float(h @ w**2 / 2 + (v**4).sum() / 4)

    def grad(x):
        w, v = parts(x)
        slope = h * w
        return Q @ np.concatenate([slope, v**3 - 2 * np.einsum("k,kij,j", slope, B, v)])
    return fun, grad, 0.3 * rng.standard_normal(walls + across)


def to_the_mark(fun, grad, x0, method, most, mark=1e-12):
    """Gradients until a value that was asked for is ≤ mark, or inf; the state there."""
    oracle = Oracle(fun, jac=grad)
    state = method.init(oracle, np.array(x0, float))
    while state.finished is None and oracle.njev < most and state.best_fun > mark:
        state = method.step(oracle, state)
    return (oracle.njev if state.best_fun <= mark else math.inf), state


# η = 1/L for all; budgets are twice what is needed here, which rounding may change.
TABLE = [(name, share, (4000 if name == "spread" else 1500) / share) for name in CASES
         for share in instances((1.0, 0.15), (1.0, 0.4, 0.15))]


@pytest.mark.parametrize("f_star", [0.0, -math.inf])
@pytest.mark.parametrize("name, share, most", TABLE)
def test_safe_arrives_with_short_steps_too_and_never_halves_them(name, share, most, f_star):
    problem, x0, eta = CASES[name]
    method = SafeGDPolyak(share * eta, f_star=f_star)
    calls, state = to_the_mark(problem.fun, problem.grad, x0, method, most)
    assert calls < most and state.raised == 0 and state.step_size == share * eta
    assert state.note == "" or f_star == 0.0 and "disagrees" in state.note


@pytest.mark.parametrize("f_star", [0.0, -math.inf])
@pytest.mark.parametrize("condition, seed", instances(
    [(30.0, 0), (100.0, 1)], [(walls, seed) for walls in (30.0, 100.0) for seed in range(3)]))
def test_safe_arrives_where_the_walls_are_slow(condition, seed, f_star):
    fun, grad, x0 = bent(5, 4, condition, seed)
    calls, state = to_the_mark(fun, grad, x0, SafeGDPolyak(0.5, f_star=f_star), 200 * condition)
    assert calls < 200 * condition and state.raised == 0


def test_a_short_step_is_not_halved_because_a_long_one_was_taken_back():
    """A trial may be lower than where it began, and yet no help; short steps start above it."""
    result = minimize(RavineRosenbrock(10), [0.6, 0.9], "gdpolyak", step_size=0.002, epsilon=1e-18,
                      maxiter=12_000, certificate=False)
    assert result.state.rejected > 0 and result.state.raised == 0 and result.fun < 1e-20


@pytest.mark.parametrize("condition", [10.0, 100.0])
def test_walls_as_slow_as_one_likes_do_not_make_safe_forget_a_right_f_star(condition):
    """In one short step κ changes by a part ημ at most, whatever it is."""
    problem = ConvexQuartic.spread(20, condition)
    method, oracle = SafeGDPolyak(0.5), Oracle(problem)
    state = method.init(oracle, np.linspace(-1, 1, 20))
    while state.best_fun > 1e-12 and oracle.njev < 150 * condition:
        state = method.step(oracle, state)
        assert state.f_star == 0.0
    assert state.best_fun <= 1e-12 and not state.doubted and state.note == ""


def test_safe_hears_f_star_again_after_it_has_disagreed():
    problem = ConvexQuartic.spread(20, 10.0)
    oracle, method = Oracle(problem), SafeGDPolyak(0.075)
    state = method.init(oracle, np.linspace(-1, 1, 20))
    state.doubted, state.note = True, "f_star = 0 disagrees with the curvature"
    while state.best_fun > 1e-8 and oracle.njev < 5000:
        state = method.step(oracle, state)
    assert not state.doubted and state.note == "" and state.best_fun <= 1e-8


def test_safe_stops_where_f_is_f_star():
    """1 + f is 1 to the last digit long before ∇f is 0."""
    result = minimize(lambda x: 1 + ROSENBROCK.fun(x), X0, "gdpolyak", jac=ROSENBROCK.grad,
                      step_size=0.0125, f_star=1.0, epsilon=1e-30, maxiter=3000,
                      certificate=False)
    assert result.state.finished == "stationary" and result.state.note == "f = f_star"
    assert result.fun == 1.0 and result.nit < 1500 and ROSENBROCK.fun(result.x) < 1e-15


def test_a_guess_of_f_star_that_is_the_value_at_the_start_does_not_stop_it():
    result = minimize(ROSENBROCK, X0, "gdpolyak", step_size=0.0125, f_star=ROSENBROCK.fun(X0),
                      epsilon=1e-9, certificate=False, maxiter=3000)
    assert result.fun < 1e-10 and "is too high" in result.message


def test_a_long_step_to_a_flat_place_that_is_higher_is_taken_back():
    """x⁴ up to 1, from there a slope that fades: ∇f is small far out, where f is above 1."""
    def fun(x):
        return float(x[0] ** 4 if abs(x[0]) < 1 else 2 - np.exp(4 - 4 * abs(x[0])))

    def grad(x):
        return 4 * x**3 if abs(x[0]) < 1 else np.sign(x) * 4 * np.exp(4 - 4 * abs(x))
    result = minimize(fun, [0.5], "gdpolyak", jac=grad, step_size=0.02, factor=200.0, f_star=0.0,
                      epsilon=1e-5, certificate=False, maxiter=5000)
    assert result.state.rejected > 0 and result.fun <= fun([0.5])


# λ ------------------------------------------------------------------------------


def factors(coupling, lam, steps=400):
    """Factors of |v| in steps of Polyak on v₁⁴ + K v₁²v₂² + v₂⁴ from 100 starts, in the end."""
    v = np.random.default_rng(0).uniform(0.2, 1.0, (2, 100))
    logs = []
    for _ in range(steps):
        a, b = v
        g = np.array([4 * a**3 + 2 * coupling * a * b**2, 4 * b**3 + 2 * coupling * a**2 * b])
        v = v - lam * (a**4 + coupling * a**2 * b**2 + b**4) / (g**2).sum(axis=0) * g
        length = np.linalg.norm(v, axis=0)
        v, logs = v / length, [*logs, np.log(length)]
    return np.exp(np.mean(logs[steps // 4:], axis=0))


def test_the_default_of_lambda_is_below_critical_where_the_terms_are_separate():
    """ν/h = p(p − 1) across the diagonal of Σ|vᵢ|ᵖ, which is p(2p − λ)/λ for λ = 2."""
    lam = SafeGDPolyak(0.1).factor
    for p in (3, 4, 6):
        assert p * (p - 1) < p * (2 * p - lam) / lam
        assert p * (p - 1) == pytest.approx(p * (2 * p - 2.0) / 2.0)


@pytest.mark.parametrize("coupling, default, critical", [
    (0, 0.525, 0.500), (2, 0.525, 0.500), (10, 0.639, 0.632), (30, 0.733, 0.715),
    (1000, 0.967, 0.988)])
def test_what_lambda_costs_on_floors_that_differ_by_direction(coupling, default, critical):
    for lam, expected in ((SafeGDPolyak(0.1).factor, default), (2.0, critical)):
        assert np.median(factors(coupling, lam)) == pytest.approx(expected, abs=0.006)


def test_safe_halves_a_step_that_is_too_long_for_the_start():
    problem, x0 = RavineRosenbrock(10.0), np.array([3.0, -3.0])
    assert not np.isfinite(run(GDPolyak(0.05, 50), problem, x0, 1e-12, 300)[1].x).all()
    calls, state = run(SafeGDPolyak(0.05), problem, x0, 1e-12, 5000)
    assert calls < 5000 and state.raised > 0 and state.step_size < 0.05


def test_safe_refuses_a_function_that_is_not_deterministic():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="two values at one point.*deterministic"):
        minimize(lambda x: ROSENBROCK.fun(x) + rng.random(), X0, "gdpolyak", jac=ROSENBROCK.grad,
                 step_size=0.0125, epsilon=1e-20, certificate=False, maxiter=3000)


def test_early_stopping_hands_out_the_point_where_the_validation_was_least():
    goal = ROSENBROCK.ravine(0.05)
    measure = lambda x: float(np.linalg.norm(x - goal))  # noqa: E731
    seen = []
    result = minimize(ROSENBROCK, X0, "gdpolyak", step_size=0.0125, epsilon=1e-20, rng=0,
                      validation=lambda x: seen.append(measure(x)) or seen[-1], patience=3)
    assert result.status == Status.VALIDATION and not result.success
    assert measure(result.x) == min(seen) and seen.index(min(seen)) == len(seen) - 4


# Unknown f* -----------------------------------------------------------------------


def test_restarts_take_half_the_step_of_polyak_to_the_guess():
    oracle, method = Oracle(ROSENBROCK), RestartedGDPolyak(0.0125, 3, f_star=-1.0)
    state = method.init(oracle, X0)
    for _ in range(3):
        state = method.step(oracle, state)
    whole = polyak_quotient(ROSENBROCK.fun(state.x) + 1, state.jac)
    assert method.step(oracle, state).last_step == pytest.approx(whole / 2, rel=1e-12)


def test_restarts_halve_the_distance_of_the_guess_to_f_star_and_keep_the_best():
    oracle = Oracle(ROSENBROCK)
    method = RestartedGDPolyak(0.0125, 20, f_star=-1.0, epochs=10, restarts=8)
    state = method.init(oracle, X0)
    guesses = [state.f_star]
    while state.finished is None:
        state = method.step(oracle, state)
        if state.f_star != guesses[-1]:
            guesses.append(state.f_star)
            np.testing.assert_array_equal(state.x, X0)
    assert len(guesses) == 8 and state.restarts == 8
    assert (np.diff(guesses) > 0).all() and guesses[-1] <= state.best_fun
    assert guesses[1] == pytest.approx(-0.5, abs=0.01)
    assert ROSENBROCK.fun(state.x) == state.best_fun < 1e-4
    assert oracle.njev <= 8 * 10 * 21 + 1  # runs that diverge end before


@pytest.mark.parametrize("most", [5, 18, 60, 131, 200])
def test_restarts_answer_with_the_best_point_whatever_ends_them(most):
    seen = []

    def fun(x):
        seen.append(ROSENBROCK.fun(x))
        return seen[-1]

    result = minimize(fun, X0, "gdpolyak", jac=ROSENBROCK.grad, rule="restarts", step_size=0.0125,
                      epoch_length=10, epochs=12, restarts=6, f_star=-0.1, epsilon=1e-12,
                      maxiter=most, certificate=False)
    assert result.status == Status.MAXITER and result.fun == min(seen)
    np.testing.assert_array_equal(result.jac, ROSENBROCK.grad(result.x))


# What all share -------------------------------------------------------------------


@every_rule
def test_every_rule_ends_certified_where_the_gradient_is_small(rule):
    result = through(rule, HALF, HALF0, epsilon=1e-3, curvature_tol=0.1)
    if rule == "restarts":  # a budget that is spent is no success
        assert result.status == Status.MAXITER and "all 6 restarts are used" in result.message
        return
    assert result.success and np.linalg.norm(result.jac) <= 1e-3
    assert result.fun == HALF.fun(result.x)


@every_rule
def test_a_run_goes_on_from_its_pickled_state(rule):
    options = dict(epsilon=1e-9, certificate=False)
    whole = through(rule, maxiter=170, **options)
    part = through(rule, maxiter=61, **options)
    state = pickle.loads(pickle.dumps(part.state))
    rest = through(rule, x0=None, state=state, maxiter=109, **options)
    np.testing.assert_array_equal(rest.state.x, whole.state.x)
    assert rest.nit == whole.nit and rest.fun == whole.fun


@every_rule
def test_a_step_leaves_the_state_before_it_as_it_was(rule):
    part = through(rule, maxiter=45, certificate=False, epsilon=1e-9)
    before = pickle.dumps(part.state)
    again = [through(rule, x0=None, state=part.state, maxiter=30, certificate=False, epsilon=1e-9)
             for _ in range(2)]
    assert pickle.dumps(part.state) == before
    np.testing.assert_array_equal(again[0].x, again[1].x)


@every_rule
def test_a_zero_gradient_away_from_the_minimum_is_told_from_success(rule):
    result = through(rule, QuarticSaddle(0.5, [1.0]), np.zeros(2))
    assert result.nit == 0 and result.status == Status.SADDLE and not result.success


def test_gradients_per_epoch_are_exactly_k_plus_1_and_one_value():
    oracle, method = Oracle(ROSENBROCK), GDPolyak(0.0125, 17, epochs=9)
    state = method.init(oracle, X0)
    while state.finished is None:
        state = method.step(oracle, state)
    assert (oracle.njev, oracle.nfev, state.nit) == (9 * 18 + 1, 9, 9 * 18)


def test_backtracking_lowers_f_by_armijo_at_every_step():
    oracle, method = Oracle(ROSENBROCK), BacktrackingDescent(1.0)
    state = method.init(oracle, X0)
    for _ in range(100):
        new = method.step(oracle, state)
        drop = ROSENBROCK.fun(state.x) - ROSENBROCK.fun(new.x)
        assert drop >= new.last_step / 2 * (state.jac @ state.jac) * (1 - 1e-9) > 0
        state = new
    assert oracle.njev == 101


def test_a_cap_turns_the_step_into_a_constant_one():
    oracle, method = Oracle(HomogeneousRavine(4.0)), PolyakDescent(cap=3.0)
    state = method.init(oracle, np.array([0.0, 0.5]))
    steps = []
    for _ in range(12):
        state = method.step(oracle, state)
        steps.append(state.last_step)
    assert steps[0] < 3 and steps[-1] == 3.0 and max(steps) == 3.0


@pytest.mark.parametrize("change, error, words", [
    (dict(method="gdpolyak", rule="published"), TypeError, "epoch_length"),
    (dict(method="gdpolyak", rule="published", epoch_length=-1), ValueError, "epoch_length must"),
    (dict(method="gdpolyak", rule="published", epoch_length=2.5), TypeError, "epoch_length must"),
    (dict(method="gdpolyak", rule="published", epoch_length=5, epochs=0), ValueError, "epochs"),
    (dict(method="gdpolyak", rule="published", epoch_length=5, growth=-1.0), ValueError, "growth"),
    (dict(method="gdpolyak", rule="restarts", epoch_length=5, restarts=0), ValueError, "restarts"),
    (dict(method="gdpolyak", rule="plateau", order=1.0), ValueError, "order must be above 1"),
    (dict(method="gdpolyak", rule="curvature", tolerance=0.0), ValueError, "tolerance"),
    (dict(method="gdpolyak", factor=0.0), ValueError, "factor"),
    (dict(method="gdpolyak", validation=3), TypeError, "validation must be a function"),
    (dict(method="gdpolyak", patience=0), ValueError, "patience"),
    (dict(method="gdpolyak", f_star=math.nan), ValueError, "f_star must be a number"),
    (dict(method="gdpolyak", epoch_length=3), TypeError, "has no option epoch_length"),
    (dict(method="gd", rule="polyak", cap=-1.0), ValueError, "cap"),
    (dict(method="gd", rule="polyak", step_size=0.1), ValueError, "sets step_size"),
    (dict(method="gdpolyak", rule="published", epoch_length=5, f_star=-math.inf), ValueError,
     "needs f_star"),
])
def test_bad_options_are_named(change, error, words):
    step = {} if change.get("rule") == "polyak" else dict(step_size=0.1)
    with pytest.raises(error, match=words):
        minimize(ROSENBROCK, X0, rng=0, **{**step, **change})


def test_a_plain_function_has_to_say_what_f_star_is():
    plain = dict(jac=HALF.grad, epsilon=1e-5, certificate=False, step_size=0.5, x0=HALF0)
    with pytest.raises(ValueError, match="needs f_star.*'restarts'.*'safe'"):
        minimize(HALF.fun, method="gdpolyak", rule="published", epoch_length=9, **plain)
    for options in (dict(), dict(rule="plateau"), dict(rule="curvature", f_star=0.0)):
        result = minimize(HALF.fun, method="gdpolyak", **options, **plain)
        assert result.status == Status.NOT_LOOKED_AT and result.nit < 200


@pytest.mark.parametrize("dim, f_star", [(2, None), (3, None), (2, -5.0)])
def test_a_plane_has_no_rounding_floor(dim, f_star):
    """Both gradients are equal and κ is 0, at every step: each long step goes twice as far."""
    known = {} if f_star is None else dict(f_star=f_star)
    result = minimize(lambda x: float(x.sum()), np.zeros(dim), "gdpolyak", jac=np.ones_like,
                      step_size=0.125, epsilon=1e-3, certificate=False, maxiter=3000, **known)
    assert result.status == Status.UNBOUNDED and not result.success and result.fun < -1e14
    assert "rounding floor" not in result.message
    assert f_star is None or "f_star = -5 is too high" in result.message


@pytest.mark.parametrize("fun, jac", [
    (lambda x: -x @ x, lambda x: -2 * x), (lambda x: -(x**3).sum(), lambda x: -3 * x**2),
    (lambda x: x[0] + x[1] ** 2 / 2, lambda x: np.array([1.0, x[1]]))],
    ids=["-x²", "-x³", "x + y²"])
def test_a_fall_without_end_is_no_rounding_floor(fun, jac):
    result = minimize(lambda x: float(fun(x)), [0.5, 1.0], "gdpolyak", jac=jac, step_size=0.5,
                      epsilon=1e-9, certificate=False, maxiter=20_000)
    assert result.status == Status.UNBOUNDED and result.fun < -1e8


def test_short_steps_leave_a_saddle_where_f_star_is_not_known():
    """κ = −1 is curvature, and not rounding: f falls from −1e-18 to −¼."""
    result = minimize(lambda x: float(x[0] ** 4 / 4 - x[0] ** 2 / 2), [1e-9], "gdpolyak",
                      jac=lambda x: x**3 - x, step_size=0.01, epsilon=1e-10, certificate=False,
                      maxiter=6000)
    assert result.fun == pytest.approx(-0.25) and result.status != Status.UNBOUNDED


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("edge, status", [(0.0, Status.NONFINITE), (0.99, Status.NOT_LOOKED_AT)])
def test_a_start_without_a_finite_value_ends_the_run_or_is_left(bad, edge, status):
    """Short steps may lead to where f is finite before the first look; else the run ends there."""
    result = minimize(lambda x: bad if abs(x[0]) > edge else float(x[0] ** 4), [1.0], "gdpolyak",
                      jac=lambda x: 4 * x**3, step_size=0.02, epsilon=1e-6, certificate=False,
                      maxiter=3000)
    assert result.status == status and not result.success


def test_no_long_step_begins_where_the_curvature_is_negative():
    """Near a saddle the quotient of a right f* is 10¹⁷, and κ = −1 speaks against it."""
    oracle = Oracle(lambda x: float(x[0] ** 4 / 4 - x[0] ** 2 / 2), jac=lambda x: x**3 - x)
    method = SafeGDPolyak(0.01, f_star=-0.25)
    state = method.init(oracle, np.array([1e-9]))
    while abs(state.x[0]) < 0.5:
        assert state.epochs == 0
        state = method.step(oracle, state)
    assert state.nit == pytest.approx(math.log(0.5e9) / math.log(1.01), rel=0.02)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("scale", [1e-250, 1e-150, 1e150, 1e250])
def test_no_rule_divides_by_a_square_that_left_float64(rule, scale):
    """f = scale·x₁⁴/4 + scale·x₂²/2: every rule ends with a status, and f never rose."""
    method, options = RULES[rule]
    options = {name: value * scale if name in ("f_star", "cap") and np.isfinite(value) else value
               for name, value in options.items()}

    def fun(x):
        return scale * (x[0]**4 / 4 + x[1]**2 / 2)
    known = {} if rule in ("constant", "backtracking", "restarts", "plateau") else dict(f_star=0.0)
    result = minimize(fun, [1.0, 1.0], method, epsilon=1e-8 * scale, step_size=None if rule in (
        "polyak", "capped") else 0.2 / scale, certificate=False, maxiter=300, rng=0,
        jac=lambda x: scale * np.array([x[0]**3, x[1]]), **{**known, **options})
    assert np.isfinite(result.x).all() and result.fun <= fun([1.0, 1.0])
    assert result.status in (Status.NOT_LOOKED_AT, Status.MAXITER, Status.PRECISION)


def test_steps_so_short_that_their_product_vanishes_have_a_curvature():
    """κ = ⟨g, g − g⁺⟩/(η‖g‖²) with η = 1e-200 and ‖g‖² = 1e-140 is 1/η where g⁺ = 0."""
    g = np.array([1e-70, 0.0])
    assert secant_curvature(g, 0 * g, 1e-200) == pytest.approx(1e200)


def test_an_epoch_that_grows_without_bound_is_long_and_no_error():
    oracle = Oracle(lambda x: float(x @ x), jac=lambda x: 2 * x)
    method = GDPolyak(0.1, 1, f_star=0.0, growth=1.7e308, factor=0.1)
    state = method.init(oracle, np.ones(2))
    for _ in range(5):
        state = method.step(oracle, state)
        state.epochs *= 2  # as if there had been more
    assert state.epochs >= 1 and 1e308 < state.left < math.inf


def test_a_step_is_never_halved_to_zero():
    """With a gradient of the wrong sign every short step raises f, however short it is."""
    result = minimize(lambda x: float(x[0]), [1e-10], "gdpolyak", step_size=1e-322, epsilon=1.0,
                      jac=lambda x: np.array([-1e308]), certificate=False, maxiter=400)
    assert result.status == Status.MAXITER and result.x == [1e-10] and result.state.raised > 8
    assert result.state.step_size == 5e-324
