"""The driver that asks for no constants: certified ends, at what cost, and what it promises."""

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from saddlelib import Oracle, Status, Verdict, minimize
from saddlelib.certified import SOLVERS, Certified
from saddlelib.problems import (
    MatrixFactorization,
    Octopus,
    QuarticSaddle,
    Rosenbrock,
    SeparableQuartic,
)

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import outside  # noqa: E402

sys.path.pop(0)

EPSILON = 1e-3
CATALOGUE = {
    "quartic": QuarticSaddle.spread(10), "separable": SeparableQuartic(dim=12),
    "factorization": MatrixFactorization.from_eigenvalues([1.0, 0.5], n=12, rng=0),
    "octopus": Octopus(5)}
OUTSIDE = {name: getattr(outside, name)() for name in (
    "phase_retrieval", "kuramoto", "thomson", "tanh_network", "wood", "himmelblau", "mixture",
    "sensing", "rosenbrock")}
PROBLEMS = {**{name: (p, np.zeros(p.dim)) for name, p in CATALOGUE.items()},
            **{name: (p, p.x0) for name, p in OUTSIDE.items()}}


def well(x):
    """A saddle at 0, minimizers at (±1, 0)."""
    return x[0]**4 / 4 - x[0]**2 / 2 + x[1]**2


def well_grad(x):
    return np.array([x[0]**3 - x[0], 2 * x[1]])


def rosenbrock(x):
    return 100 * (x[1] - x[0]**2)**2 + (1 - x[0])**2


def rosenbrock_grad(x):
    return np.array([-400 * x[0] * (x[1] - x[0]**2) - 2 * (1 - x[0]), 200 * (x[1] - x[0]**2)])


def states(oracle, method, x0, rng=0, most=2000):
    """All states of a run, one after the other."""
    found = [method.init(oracle, np.array(x0, dtype=float), rng)]
    while found[-1].finished is None and len(found) <= most:
        found.append(method.step(oracle, found[-1]))
    return found


def assert_true(problem, certificate, x):
    """What a certificate says, by all eigenvalues of the Hessian."""
    values = np.linalg.eigvalsh(problem.hess(x))
    assert certificate.verdict is Verdict.SOSP
    assert np.linalg.norm(problem.grad(x)) <= EPSILON
    assert certificate.min_eig_lower <= values[0] + 1e-9 * abs(values).max()
    assert values[0] >= -certificate.curvature_tol
    assert certificate.curvature_tol <= 0.1 * abs(values).max() * (1 + 1e-9)
    assert certificate.min_eig >= values[0] - certificate.hvp_error


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("hvp", [False, True])
def test_every_run_ends_certified_and_the_certificate_is_true(name, hvp):
    problem, x0 = PROBLEMS[name]
    for seed in range(3):
        result = minimize(problem.fun, x0, jac=problem.grad, hessp=problem.hvp if hvp else None,
                          epsilon=EPSILON, rng=seed)
        assert result.success, result.message
        assert_true(problem, result.certificate, result.x)
        assert result.fun == problem.fun(result.x) <= problem.fun(x0)


@pytest.mark.parametrize("inner", [name for name in SOLVERS.values()])
@pytest.mark.parametrize("name", ["quartic", "factorization", "octopus", "kuramoto", "himmelblau"])
def test_every_solver_of_scipy_is_certified_and_leaves_saddles(inner, name):
    problem, x0 = PROBLEMS[name]
    result = minimize(problem.fun, x0, jac=problem.grad, hess=problem.hess, method=inner,
                      epsilon=EPSILON, rng=0)
    assert result.success, result.message
    assert_true(problem, result.certificate, result.x)
    assert result.state.escapes >= 1 and result.nit > result.state.looks


def test_a_solver_of_the_users_own_runs_inside():
    import scipy.optimize

    def mine(fun, x0, args=(), **words):
        options = {name: words[name] for name in ("jac", "callback")}
        options["callback"] = options["callback"] and (lambda x: words["callback"](x))
        return scipy.optimize.minimize(fun, x0, args, method="CG", **options)
    result = minimize(well, [0.0, 1.0], jac=well_grad, method=mine, rng=0)
    assert result.success and abs(result.x[0]) == pytest.approx(1, abs=1e-3)


def test_every_call_is_counted_and_the_looks_say_what_they_cost():
    problem, x0 = PROBLEMS["factorization"]
    calls = dict(fun=0, jac=0)

    def fun(x):
        calls["fun"] += 1
        return problem.fun(x)

    def jac(x):
        calls["jac"] += 1
        return problem.grad(x)
    oracle = Oracle(fun, jac=jac)
    last = states(oracle, Certified.default(epsilon=EPSILON), x0)[-1]
    assert (oracle.nfev, oracle.njev) == (calls["fun"], calls["jac"])
    assert last.looks == last.escapes + 1 and last.certificate_cost[1] < oracle.njev
    assert last.certificate.failure_prob == pytest.approx(1e-4 / (last.looks * (last.looks + 1)))


@pytest.mark.parametrize("name, most", [
    ("quartic", 34), ("factorization", 46), ("octopus", 36), ("kuramoto", 72),
    ("phase_retrieval", 60), ("himmelblau", 32), ("tanh_network", 80)])
def test_what_a_run_from_the_saddle_costs(name, most, record_property):
    """Gradients and half a value each; the median of five seeds."""
    problem, x0 = PROBLEMS[name]
    costs = []
    for seed in range(5):
        oracle = Oracle(problem.fun, jac=problem.grad)
        states(oracle, Certified.default(epsilon=EPSILON), x0, seed)
        costs.append(oracle.njev + 0.5 * oracle.nfev)
    record_property(f"equivalents from the saddle, {name}", float(np.median(costs)))
    assert np.median(costs) <= most


def test_rosenbrock_needs_no_constant_and_few_gradients():
    result = minimize(rosenbrock, [-1.2, 1.0], jac=rosenbrock_grad, rng=0)
    assert result.success and result.njev <= 70 and result.nfev <= 12
    np.testing.assert_allclose(result.x, 1, atol=1e-2)
    known = Rosenbrock(2).hess(result.x)
    assert result.estimates["hess_norm"] >= 0.9 * np.linalg.eigvalsh(known)[-1]


@pytest.mark.parametrize("inner", ["l-bfgs", "BFGS"])
def test_a_state_that_was_pickled_goes_on_bit_for_bit(inner):
    problem, x0 = PROBLEMS["octopus"]
    method = Certified.default(epsilon=EPSILON, inner=inner)
    oracle = Oracle(problem.fun, jac=problem.grad)
    whole = [method.init(oracle, x0, 0)]
    pickled = [pickle.dumps(whole[0])]
    while whole[-1].finished is None:
        whole.append(method.step(oracle, whole[-1]))
        pickled.append(pickle.dumps(whole[-1]))
    for k in range(0, len(whole), 1 + len(whole) // 12):
        state = pickle.loads(pickled[k])
        for later in whole[k + 1:]:
            state = method.step(oracle, state)
            np.testing.assert_array_equal(state.x, later.x)
            np.testing.assert_array_equal(state.jac, later.jac)
        assert state.certificate.message.split(";")[0] == (
            whole[-1].certificate.message.split(";")[0])


def test_a_step_leaves_its_state_as_it_was():
    problem, x0 = PROBLEMS["phase_retrieval"]
    oracle, method = Oracle(problem.fun, jac=problem.grad), Certified.default(epsilon=EPSILON)
    whole = states(oracle, method, x0)
    before = [pickle.dumps(state) for state in whole]
    for k in (len(whole) // 3, len(whole) // 2):  # other futures of the same past
        other = method.step(oracle, whole[k])
        other.x = other.x + 1e-3
        other.jac = oracle.grad(other.x)
        for _ in range(3):
            other = method.step(oracle, other)
    for state, pickled in zip(whole, before, strict=True):
        kept = pickle.loads(pickled)
        np.testing.assert_array_equal(state.x, kept.x)
        if len(state.memory):
            np.testing.assert_array_equal(state.memory.direction(state.jac),
                                          kept.memory.direction(kept.jac))


@pytest.mark.parametrize("name", ["quartic", "factorization", "octopus", "kuramoto", "wood",
                                  "thomson", "himmelblau"])
def test_more_budget_never_gives_a_worse_answer(name):
    problem, x0 = PROBLEMS[name]
    for seed in range(2):
        lowest, succeeded = problem.fun(x0), False
        for maxiter in [*range(0, 40, 3), 50, 80, 120, 2000]:
            result = minimize(problem.fun, x0, jac=problem.grad, epsilon=EPSILON, rng=seed,
                              maxiter=maxiter)
            assert result.fun <= lowest + 1e-12 * abs(lowest)
            assert result.success >= succeeded
            lowest, succeeded = result.fun, result.success
        assert succeeded


@pytest.mark.parametrize("scale_f, scale_x", [(2.0**20, 1.0), (2.0**-30, 1.0), (1.0, 2.0**10),
                                              (2.0**7, 2.0**-12)])
@pytest.mark.parametrize("name", ["kuramoto", "wood", "himmelblau", "tanh_network"])
def test_other_units_make_the_same_run(name, scale_f, scale_x):
    """By powers of two, which round nothing: f(x/s)·a with ε·a/s takes the same path."""
    problem, x0 = PROBLEMS[name]
    x0 = x0 + 0.1 * np.random.default_rng(3).standard_normal(x0.size)
    paths = []
    for a, s in ((1.0, 1.0), (scale_f, scale_x)):
        oracle = Oracle(lambda x, a=a, s=s: a * problem.fun(x / s),
                        jac=lambda x, a=a, s=s: a / s * problem.grad(x / s))
        run = states(oracle, Certified.default(epsilon=EPSILON * a / s), s * x0)
        paths.append((np.array([state.x / s for state in run]), oracle.njev, oracle.nfev,
                      run[-1].certificate.curvature_tol / a * s**2))
    assert paths[0][1:3] == paths[1][1:3]
    np.testing.assert_allclose(paths[0][0], paths[1][0], rtol=1e-9, atol=1e-12)
    assert paths[0][3] == pytest.approx(paths[1][3])


@pytest.mark.parametrize("wrong", [
    lambda x: -rosenbrock_grad(x), lambda x: 3 * rosenbrock_grad(x),
    lambda x: 0.5 * rosenbrock_grad(x), lambda x: rosenbrock_grad(x) + 0.1,
    lambda x: rosenbrock_grad(x) * [1, 0], lambda x: rosenbrock_grad(x)[::-1]])
def test_a_gradient_of_another_function_is_no_success(wrong):
    result = minimize(rosenbrock, [-1.2, 1.0], jac=wrong, rng=0, maxiter=3000)
    assert not result.success
    assert result.status in (Status.WRONG_DERIVATIVES, Status.PRECISION, Status.MAXITER)


@pytest.mark.parametrize("fun, jac, x0", [
    (lambda x: -x @ x, lambda x: -2 * x, [0.5, 1.0]),
    (lambda x: -x @ x, lambda x: -2 * x, [0.0, 0.0]),
    (lambda x: x.sum(), np.ones_like, [1.0, 2.0]),
    (lambda x: -np.exp(x[0]), lambda x: -np.exp(x), [1.0]),
    (lambda x: x[0]**3 - 3 * x[0] * x[1]**2,
     lambda x: np.array([3 * x[0]**2 - 3 * x[1]**2, -6 * x[0] * x[1]]), [0.0, 0.0])])
def test_a_function_without_a_lowest_value_ends_soon_at_a_finite_point(fun, jac, x0):
    with np.errstate(all="ignore"):
        result = minimize(fun, x0, jac=jac, rng=0)
        assert result.status in (Status.NONFINITE, Status.UNBOUNDED)
        assert result.nit < 200 and result.njev < 2000
        assert np.isfinite(result.x).all() and np.isfinite(result.fun)
        assert result.fun <= fun(np.array(x0))


def test_plateaus_are_called_flat():
    result = minimize(lambda x: 3.0, [1.0, 2.0], jac=np.zeros_like, rng=0)
    assert result.status == Status.VACUOUS and "flat" in result.message


def test_where_f_is_not_finite_no_step_goes():
    def fun(x):
        return x[0] - np.log(x[0]) if x[0] > 0 else np.nan
    result = minimize(fun, [1e-3], jac=lambda x: 1 - 1 / x if x[0] > 0 else np.full(1, np.nan),
                      rng=0)
    assert result.success and result.x[0] == pytest.approx(1, abs=1e-3)


def test_an_accuracy_beyond_rounding_ends_with_the_numbers():
    """f + 10¹⁰ loses the last digits of f, and a rounded x those of the gradient."""
    shift = 1e8

    def jac(x):
        return well_grad(x - shift)
    result = minimize(lambda x: well(x - shift), [shift + 0.4, shift + 1], jac=jac, epsilon=1e-13,
                      rng=0, maxiter=5000)
    assert not result.success and result.nit < 5000
    assert result.status in (Status.PRECISION, Status.CANNOT_TELL)
    assert "1e-13" in result.message


def test_gradients_of_float32_are_measured():
    def jac(x):
        return (x**3 - x).astype(np.float32)
    for seed in range(5):
        result = minimize(lambda x: float((x**4 / 4 - x**2 / 2).sum()), [0, 0.1, 0, 0, 0], jac=jac,
                          rng=seed)
        assert result.success, result.message
        least = (3 * result.x**2 - 1).min()
        seen = result.certificate
        assert seen.min_eig_lower - 1e-9 <= least <= seen.min_eig + seen.hvp_error


def test_noisy_gradients_are_refused_with_the_method_that_takes_them():
    with pytest.raises(ValueError, match="grad_noise.*psgd"):
        minimize(CATALOGUE["quartic"], np.zeros(10), grad_noise=0.1, rng=0)


@pytest.mark.parametrize("bad, error, said", [
    (dict(epsilon=0.0), ValueError, "epsilon"), (dict(epsilon="1"), TypeError, "epsilon"),
    (dict(epsilon=1e-3, curvature_tol=-1.0), ValueError, "curvature_tol"),
    (dict(epsilon=1e-3, failure_prob=1.0), ValueError, "failure_prob"),
    (dict(epsilon=1e-3, inner="newton"), ValueError, "inner must be .*L-BFGS-B.*'newton'"),
    (dict(epsilon=1e-3, inner=3), ValueError, "inner must be"),
    (dict(epsilon=1e-3, inner_options=3), TypeError, "inner_options"),
    (dict(epsilon=1e-3, inner_options=dict(maxcor=3)), TypeError, "inner_options maxcor")])
def test_bad_values_are_named(bad, error, said):
    with pytest.raises(error, match=said):
        Certified.default(**bad)


def test_solvers_that_need_a_hessian_say_so():
    for inner in ("dogleg", "trust-exact"):
        with pytest.raises(ValueError, match=f"{inner} needs hess"):
            minimize(well, [0.0, 1.0], jac=well_grad, method=inner, rng=0)


def test_a_budget_and_a_callback_stop_a_solver_of_scipys_within_its_round():
    problem, x0 = PROBLEMS["phase_retrieval"]
    for words in (dict(maxiter=9), dict(maxfev=40)):
        result = minimize(problem.fun, x0, jac=problem.grad, method="CG", rng=0, **words)
        assert not result.success and 2 < result.nit <= 10
    seen = []

    def callback(x):
        seen.append(x)
        if len(seen) == 6:
            raise StopIteration
    result = minimize(problem.fun, x0, jac=problem.grad, method="CG", rng=0, callback=callback)
    assert result.status == Status.CALLBACK and len(seen) == 6
