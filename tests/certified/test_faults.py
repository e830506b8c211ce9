"""What a fuzzer has found at the front door: no hang, no wrong success, nothing foreign."""

import numpy as np
import pytest

import saddlelib
from saddlelib import Oracle, Status, differences, minimize
from saddlelib.methods import Method, State
from saddlelib.methods.arrival import NOWHERE, progress, stands_still
from saddlelib.problems import QuarticSaddle


def fun(x):
    return x[0]**4 / 4 - x[0]**2 / 2 + x[1]**2


def grad(x):
    return np.array([x[0]**3 - x[0], 2 * x[1]])


def hvp(x, v):
    return np.array([(3 * x[0]**2 - 1) * v[0], 2 * v[1]])


SADDLE = [0.0, 1.0]
DOWN = {"slope": (lambda x: x.sum(), np.ones_like), "maximum": (lambda x: -x @ x, lambda x: -2 * x)}


@pytest.mark.parametrize("method", [None, "CG", "BFGS", "L-BFGS-B", "TNC", "SLSQP", "trust-ncg"])
@pytest.mark.parametrize("down", DOWN)
def test_a_function_without_a_minimum_is_called_so(down, method):
    f, g = DOWN[down]
    run = minimize(f, [0.0, 0.5], method, jac=g, rng=0)
    assert run.status == Status.UNBOUNDED and not run.success and run.nit < 500
    assert np.isfinite(run.fun) and "no minimum" in run.message


@pytest.mark.parametrize("jac", [np.sign, None])
def test_a_descent_that_stands_still_at_a_kink_ends(jac):
    run = minimize(lambda x: np.abs(x).sum(), [0.7, -0.3], jac=jac, rng=0)
    assert run.status in (Status.PRECISION, Status.CANNOT_TELL) and run.nit < 5000


@pytest.mark.parametrize("method", [None, "BFGS", "trust-ncg"])
def test_a_gradient_of_the_wrong_sign_does_not_go_on_for_ever(method):
    run = minimize(fun, [0.2, 1.0], method, jac=lambda x: -grad(x), rng=0)
    assert run.status == Status.WRONG_DERIVATIVES and run.nit < 200


def test_progress_is_a_lower_f_or_a_smaller_gradient():
    x, steep = np.ones(1), np.ones(1)
    record = progress(NOWHERE, x, 1.0, steep, 1.0)
    for _ in range(60):
        record = progress(record, x, np.nan, steep, 1.0)  # f was not asked
    assert stands_still(record)
    assert not stands_still(progress(record, x, 0.9, steep, 1.0))
    assert not stands_still(progress(record, x, np.nan, 0.5 * steep, 1.0))
    assert stands_still(progress(record, x, 1 - 1e-15, steep, 1e-17))  # creeping


def test_no_look_follows_a_rise_of_f_that_nobody_asked_for():
    """The far side of a well is flat: slopes accept it, and a look there would cost."""
    def well(x):
        return 1 - np.exp(-x @ x / 2)

    run = minimize(well, [3.0, 0.0, 0.0], jac=lambda x: np.exp(-x @ x / 2) * x, epsilon=0.02, rng=0)
    assert run.success and run.fun < 1e-3 and run.nfev + run.njev < 60


def test_a_product_of_the_wrong_sign_at_a_minimizer_is_no_saddle():
    for jac in (grad, None):
        run = minimize(fun, SADDLE, jac=jac, hessp=lambda x, v: -hvp(x, v), rng=0)
        assert run.status == Status.WRONG_DERIVATIVES and run.estimates["looks"] < 5


def test_products_are_held_against_values_where_gradients_are_made_of_them():
    for wrong in (lambda x, v: 2 * hvp(x, v), lambda x, v: v):
        assert minimize(fun, SADDLE, hessp=wrong, rng=0).status == Status.WRONG_DERIVATIVES
    assert minimize(fun, SADDLE, hessp=hvp, rng=0).success
    flat = minimize(lambda x: 1 - np.exp(-x @ x / 2), np.zeros(3), hessp=lambda x, v: v, rng=0)
    assert flat.status != Status.WRONG_DERIVATIVES  # f does not move near 0


def test_a_complex_step_that_loses_imaginary_parts_is_seen():
    """|x₀² − 1| has no imaginary part: its slope goes missing, and 0 looks like a minimizer."""
    run = minimize(lambda x: abs(x[0]**2 - 1) + x[1]**2, SADDLE, jac="cs", rng=0)
    assert not run.success


def test_values_that_do_not_move_say_nothing_of_the_gradient():
    """A large constant inside of f: at steps of 10⁻⁸ nothing moves, and ∇f = 0.48 looks like 0."""
    def f(x):
        return np.cos(x + 2 * np.pi * 2.0**30).sum()

    x = np.array([0.5])
    g = differences.gradient(f, x, "2-point")
    true = -np.sin(x + 2 * np.pi * 2.0**30)
    assert np.linalg.norm(g - true) <= differences.error(f, x, g, "2-point", f(x))


class Own(Method):
    """Gradient descent with a fault."""

    step_size = 0.2

    def __init__(self, fault):
        self.fault = fault

    def init(self, oracle, x0, rng=None):
        return None if self.fault == "init" else State(x0, oracle.grad(x0))

    def step(self, oracle, state):
        new = state.copy()
        new.x, new.nit = state.x - self.step_size * state.jac, state.nit + 1
        if self.fault == "in place":
            new.x = state.x
            new.x -= self.step_size * state.jac
        new.jac = oracle.grad(new.x)
        new.nit = {"text": "one", "back": -1}.get(self.fault, new.nit)
        if self.fault == "list":
            new.x = new.x.tolist()
        if self.fault == "column":
            new.jac = new.jac[:, np.newaxis]
        return None if self.fault == "none" else new


@pytest.mark.parametrize("fault, words", [
    ("init", "init of Own must return a .*State"), ("none", "step of Own must return a .*State"),
    ("list", "step of Own .* x is a float64"), ("column", "step of Own .* jac is a float64"),
    ("text", "nit.*'one'"), ("back", "nit.*-1"), ("in place", "must leave the state")])
def test_a_method_of_ones_own_hears_what_its_step_did_wrong(fault, words):
    with pytest.raises((TypeError, ValueError), match=words):
        minimize(fun, [0.3, 1.0], method=Own(fault), jac=grad)


@pytest.mark.parametrize("told, words", [("x", "what method hands"), ([1.0, 2, 3], "what method")])
def test_a_solver_of_ones_own_hears_what_its_callback_was_given(told, words):
    def solver(fun, x0, callback=None, **options):
        callback(told)
    with pytest.raises((TypeError, ValueError), match=words) as caught:
        minimize(fun, SADDLE, solver, jac=grad)
    assert any("raised by method" in note for note in caught.value.__notes__)


def test_a_solver_that_catches_all_exceptions_is_stopped_all_the_same():
    def stubborn(fun, x0, callback=None, **options):
        while True:
            try:
                callback(x0)
            except Exception:
                pass
    assert minimize(fun, SADDLE, stubborn, jac=grad, rng=0).success


@pytest.mark.parametrize("options", [dict(zork=3), dict(norm="a")])
def test_options_that_scipy_does_not_know_are_named(options):
    with pytest.raises(TypeError, match=f"BFGS does not take the options .*{next(iter(options))}"):
        minimize(fun, SADDLE, "BFGS", jac=grad, options=options)


def test_words_of_no_use_are_refused_by_name():
    with pytest.raises(TypeError, match="options must have names as keys, got 1"):
        minimize(fun, SADDLE, jac=grad, options={1: 2})
    with pytest.raises(ValueError, match="constraints are not supported"):
        minimize(fun, SADDLE, jac=grad, constraints=[[1.0], [1.0, 2.0]])
    with pytest.raises(ValueError, match="bounds are not supported"):
        minimize(fun, SADDLE, jac=grad, bounds=np.array(1.0))
    with pytest.raises(ValueError, match="rows of different lengths"):
        minimize(lambda x: (fun(x), [[1.0], [1.0, 2.0]]), SADDLE, jac=True)
    with pytest.raises(ValueError, match="fun must return one number"):
        Oracle(lambda x: [[1.0], [1.0, 2.0]], jac="cs").grad(np.zeros(1))


def test_a_run_of_one_number_goes_on_from_its_state():
    def f(x):
        assert np.shape(x) == ()
        return (x**2 - 1)**2
    part = minimize(f, 0.0, jac=lambda x: 4 * x * (x**2 - 1), rng=0, maxiter=1)
    assert minimize(f, jac=lambda x: 4 * x * (x**2 - 1), state=part.state).success


def test_what_a_cut_asks_for_does_not_change_the_run():
    problem = QuarticSaddle(0.5, [1.0])
    whole = minimize(problem, [0.4, 3.0], rng=0)
    part = minimize(problem, [0.4, 3.0], rng=0, maxiter=1)
    while part.status == Status.MAXITER:
        part = minimize(problem, state=part.state, maxiter=1)
    np.testing.assert_array_equal(part.x, whole.x)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_the_units_of_f_do_not_matter(scale):
    run = minimize(lambda x: scale * fun(x), SADDLE, jac=lambda x: scale * grad(x),
                   epsilon=1e-3 * scale, rng=0)
    assert run.success and abs(abs(run.x[0]) - 1) < 1e-3


def test_beyond_the_edge_where_f_is_no_number_a_descent_turns_back():
    """log is NaN for x < 0, and its derivative is not."""
    def f(x):
        with np.errstate(all="ignore"):
            return float(x[0] - np.log(x[0]))
    run = saddlelib.minimize(f, [20.0], jac=lambda x: 1 - 1 / x, rng=0)
    assert run.success and abs(run.x[0] - 1) < 2e-3


@pytest.mark.parametrize("fun, jac", [
    (lambda x: -x @ x, lambda x: 2 * x), (lambda x: x @ x, lambda x: -2 * x),
    (lambda x: np.cos(x).sum(), np.sin), (lambda x: np.cosh(x).sum(), lambda x: -np.sinh(x))])
@pytest.mark.parametrize("scale", [1e-2, 1.0, 3.0])
def test_a_gradient_of_the_wrong_sign_is_named_as_what_it_is(fun, jac, scale):
    result = minimize(fun, scale * np.array([0.5, 0.8]), jac=jac, rng=0)
    assert result.status == Status.WRONG_DERIVATIVES and "wrong sign" in result.message


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_where_all_curvatures_are_equal_no_seed_leaves_it_undecided(scale):
    """A Hessian that is a multiple of the identity ends Lanczos after one product."""
    def fun(x):
        return scale * (x[0] ** 4 / 4 - x[0] ** 2 / 2 + x[1] ** 2)

    for seed in range(60):
        assert minimize(fun, [0.0, 1.0], rng=seed).success, seed
