"""What a user brings becomes flat float64 callables: any shape, any kind of gradient, its error."""

import functools
import math

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from scipy.optimize import rosen, rosen_der, rosen_hess
from scipy.sparse.linalg import aslinearoperator
from thorough import instances

import saddlelib
from saddlelib import Oracle, Verdict, certify
from saddlelib.curvature.values import SecondDifferences
from saddlelib.doors.objective import objective
from saddlelib.oracle import FiniteSum
from saddlelib.problems import MonkeySaddle

STARTS = {
    "scalar": 0.7, "0-d": np.array(0.7), "vector": [0.3, -1.2], "integers": [1, 2, -3],
    "matrix": np.arange(6.0).reshape(2, 3) / 4, "rows": [[0.5, 1.0], [2.0, -1.0]],
    "cube": np.linspace(-1, 1, 8).reshape(2, 2, 2), "float32": np.float32([0.5, -0.25]),
}
# How far each kind of gradient of f below may be off here.
KINDS = {"callable": 1e-14, True: 1e-14, "2-point": 1e-6, "3-point": 1e-8, "cs": 1e-14,
         None: 1e-6, False: 1e-6}


def f(x, c=1.0):
    return c * np.sum(x**4 / 4 - x**2 / 2)


def df(x, c=1.0):
    return c * (x**3 - x)


def d2f(x, v, c=1.0):
    return c * (3 * x**2 - 1) * v


def given(kind, calls=()):
    """fun and jac for a kind of gradient; ``calls`` hears the shape of every x."""
    def fun(x, c=1.0):
        for call in calls:
            call(x)
        return (f(x, c), df(x, c)) if kind is True else f(x, c)
    return fun, df if kind == "callable" else kind


# --- Shapes and kinds -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("start", STARTS)
def test_values_and_gradients_are_those_of_the_function_in_its_own_shape(start, kind):
    x0, seen = STARTS[start], []
    fun, jac = given(kind, [lambda x: seen.append((type(x), x.shape))])
    found = objective(fun, x0, jac=jac, args=(2.0,))
    x = found.x0
    assert x.dtype == np.float64 and x.shape == (np.size(x0),) and found.shape == np.shape(x0)
    assert np.array_equal(x, np.ravel(x0))
    assert found.oracle.fun(x) == f(np.asarray(x0, float), 2.0)
    assert np.abs(found.oracle.grad(x) - 2 * (x**3 - x)).max() <= 2 * KINDS[kind]
    assert set(seen) == {(np.ndarray, np.shape(x0))}
    back = found.restore(x)
    assert back.shape == np.shape(x0) and np.array_equal(back, x0) and back.dtype == float
    assert not np.shares_memory(back, x)


@pytest.mark.parametrize("start", STARTS)
def test_products_and_hessians_come_in_the_shape_of_x0_too(start):
    x0 = STARTS[start]
    x, shape = np.ravel(x0).astype(float), np.shape(x0)
    v, H = np.cos(np.arange(x.size)), np.diag(3 * x**2 - 1)
    product = objective(f, x0, jac=df, hessp=d2f, args=2.0).oracle.hvp(x, v)
    assert np.array_equal(product, 2 * (3 * x**2 - 1) * v)
    for form in (np.array, lambda H: H.reshape(2 * shape), scipy.sparse.csr_array,
                 scipy.sparse.coo_matrix, aslinearoperator, np.ndarray.tolist):
        oracle = objective(f, x0, jac=df, hess=lambda x, form=form: form(H)).oracle
        assert np.array_equal(oracle.hess(x), H) and oracle.nhev == 1
        assert np.allclose(oracle.hess_operator(x) @ v, H @ v)


SEVERAL = [np.arange(6.0).reshape(2, 3) / 4, np.float32([0.5, -1.0]), np.array(3)]


def flat(parts):
    return np.concatenate([np.ravel(part) for part in parts])


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_of_arrays_of_several_shapes_is_a_point_of_such_lists(kind):
    seen = []

    def fun(x, c=1.0):
        seen.append([part.shape for part in x])
        value = sum(f(part, c) for part in x)
        return (value, df_of(x, c)) if kind is True else value

    def df_of(x, c=1.0):
        return [df(part, c) for part in x]
    found = objective(fun, SEVERAL, jac=df_of if kind == "callable" else kind, args=(2.0,))
    x = flat(SEVERAL).astype(float)
    assert found.x0.tolist() == x.tolist() and found.shape == (9,)
    assert found.shapes == ((2, 3), (2,), ())
    assert found.oracle.fun(x) == pytest.approx(f(x, 2.0))
    assert np.abs(found.oracle.grad(x) - df(x, 2.0)).max() <= 40 * KINDS[kind]
    assert seen and all(shapes == [(2, 3), (2,), ()] for shapes in seen)
    for back in (found.restore(x), found.restore_like(x)):
        assert [part.shape for part in back] == [(2, 3), (2,), ()]
        assert flat(back).tolist() == x.tolist() and not any(np.shares_memory(p, x) for p in back)


def test_products_and_hessians_of_a_list_of_arrays_come_as_lists_and_flat():
    x, v = flat(SEVERAL).astype(float), np.cos(np.arange(9))
    given = dict(fun=lambda x: sum(map(f, x)), x0=SEVERAL, jac=lambda x: list(map(df, x)))
    product = objective(**given, hessp=lambda x, v: list(map(d2f, x, v))).oracle.hvp(x, v)
    np.testing.assert_array_equal(product, d2f(x, v))
    hess = objective(**given, hess=lambda x: np.diag(3 * flat(x) ** 2 - 1)).oracle.hess(x)
    np.testing.assert_array_equal(hess @ v, d2f(x, v))


def test_a_run_over_a_list_of_arrays_ends_in_one_and_goes_on_with_one():
    parts = SEVERAL[:2]
    options = dict(fun=lambda x: sum(map(f, x)), jac=lambda x: list(map(df, x)), rng=0)
    whole = saddlelib.minimize(x0=parts, **options)
    assert whole.success and [part.shape for part in whole.x] == [(2, 3), (2,)]
    assert np.abs(np.abs(flat(whole.x)) - 1).max() < 1e-3
    assert [part.shape for part in whole.jac] == [(2, 3), (2,)]
    one = saddlelib.minimize(x0=parts, **options, method="gd", step_size=0.1, maxiter=9)
    part = saddlelib.minimize(x0=parts, **options, method="gd", step_size=0.1, maxiter=4)
    rest = saddlelib.minimize(x0=parts, state=part.state, **options, method="gd", step_size=0.1,
                              maxiter=5)
    assert flat(rest.x).tolist() == flat(one.x).tolist()


@pytest.mark.parametrize("answer", [lambda x: x[:1], lambda x: [x[1], x[0]], flat, lambda x: 1.0,
                                    lambda x: None, lambda x: [[1.0, [2.0]], x[1]]])
def test_a_gradient_that_is_no_list_like_x0_is_refused_with_the_shapes(answer):
    found = objective(lambda x: sum(map(f, x)), SEVERAL[:2], jac=answer)
    with pytest.raises(ValueError, match=r"jac must return arrays of shapes \[\(2, 3\), \(2,\)\]"):
        found.oracle.grad(found.x0)
    with pytest.raises(TypeError, match=r"x0\[1\] must hold real numbers"):
        objective(f, [np.ones(2), np.array(["a"])])


@pytest.mark.parametrize("start", STARTS)
def test_the_matrices_of_an_array_are_its_last_two_axes(start):
    wanted = {"matrix": ((2, 3),), "rows": ((2, 2),), "cube": ((2, 2),) * 2}
    assert objective(f, STARTS[start]).shapes == wanted.get(start)


def test_x0_is_copied_and_a_function_may_write_into_what_it_gets():
    def rude(x):
        value = f(x)
        x[:] = 7
        return value
    x0 = np.array([0.5, 2.0])
    found = objective(rude, x0, jac="2-point")
    found.oracle.grad(found.x0)
    assert x0.tolist() == found.x0.tolist() == [0.5, 2.0]
    found.x0[0] = 3
    assert x0[0] == 0.5


def test_problems_and_finite_sums_pass_through():
    found = objective(MonkeySaddle(), [0.5, 1])
    assert found.oracle.problem.name == MonkeySaddle().name and found.notes() == ()
    assert found.x0.dtype == float and found.restore(found.x0) is not found.x0
    data = np.arange(6.0).reshape(3, 2)
    mean = FiniteSum(lambda x: 0.0, lambda x, i: x - data[i], size=3, dim=2)
    assert objective(mean, np.zeros(2), rng=0).oracle.problem is mean
    with pytest.raises(TypeError, match="brings its own derivatives"):
        objective(MonkeySaddle(), [0.5, 1], jac="2-point")
    with pytest.raises(ValueError, match="must have 2 coordinates"):
        objective(MonkeySaddle(), [0.5])


def test_without_a_start_functions_take_flat_points():
    found = objective(f, None, jac=df)
    assert found.x0 is None and found.shape is None
    assert np.array_equal(found.restore(np.ones(3)), np.ones(3))
    assert found.oracle.grad(np.array([2.0, 1.0])).tolist() == [6, 0]


# --- Counts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind, values", [("2-point", 4), ("3-point", 6), ("cs", 3)])
def test_every_value_of_a_gradient_by_differences_is_counted(kind, values):
    calls = []
    oracle = objective(lambda x: calls.append(1) or f(x), [0.1, 0.2, 0.3], jac=kind).oracle
    oracle.grad(np.array([0.1, 0.2, 0.3]))
    assert (oracle.nfev, oracle.njev, len(calls)) == (values, 1, values)
    oracle.fun(np.ones(3))
    oracle.grad(np.ones(3))  # "2-point" knows f there
    assert oracle.nfev == len(calls) == 2 * values + (kind != "2-point")


def test_one_call_gives_value_and_gradient_at_each_of_the_last_two_points():
    calls = []
    oracle = Oracle(lambda x: calls.append(1) or (f(x), df(x)), jac=True)
    a, b = np.ones(2), np.zeros(2)
    for x in (a, b, a, b):
        oracle.fun(x)
        oracle.grad(x.copy())
    assert (oracle.nfev, oracle.njev, len(calls)) == (4, 4, 2)
    oracle.fun(np.full(2, 2.0))
    oracle.grad(a)
    assert len(calls) == 4


def test_a_gradient_buffer_that_is_used_again_does_no_harm():
    buffer = np.zeros(2)

    def both(x):
        buffer[:] = df(x)
        return f(x), buffer
    oracle = objective(both, [0.5, 2.0], jac=True).oracle
    oracle.fun(np.array([0.5, 2.0]))
    oracle.fun(np.array([3.0, 3.0]))
    assert np.array_equal(oracle.grad(np.array([0.5, 2.0])), df(np.array([0.5, 2.0])))


# --- The error of differences ---------------------------------------------------------------------


def functions(seed, dim):
    """f, ∇f, ∇²f and a point: a cubic, waves, a constant; on scales of x and f of their own."""
    rng = np.random.default_rng(seed)
    A, K = rng.standard_normal((dim, dim)), rng.standard_normal((3, dim))
    A, K = (A + A.T) * 10.0**rng.uniform(-1, 2), K * 10.0**rng.uniform(-1, 0.5)
    c, constant = 10.0**rng.uniform(-2, 2), rng.choice([0.0, 1.0, 100.0])
    x = rng.standard_normal(dim) * rng.choice([0.0, 1.0, 30.0])
    return (lambda x: x @ A @ x / 2 + c * np.sin(K @ x).sum() + constant,
            lambda x: A @ x + c * K.T @ np.cos(K @ x),
            lambda x: A - c * (K.T * np.sin(K @ x)) @ K, x)


def draws(usual, thorough, tightest):
    """Seeds, among them the tightest: of all ``thorough`` the errors nearest to their bounds."""
    return sorted({*range(instances(usual, thorough)), *tightest})


@pytest.mark.parametrize("kind, times, tightest", [
    ("2-point", 3, [216, 287, 206, 79]), ("3-point", 3, [69, 247, 57, 128]),
    ("cs", 30, [112, 156, 251, 200])])
def test_the_error_of_a_gradient_is_bounded_and_not_by_much(kind, times, tightest):
    ratios = []
    for seed in draws(60, 300, tightest):
        fun, grad, _, x = functions(seed, 1 + seed % 12)
        oracle = Oracle(fun, jac=kind)
        g = oracle.grad(x)
        rounding = 2.0**-50 * (np.linalg.norm(g) + np.linalg.norm(x))  # of the exact gradient
        off = max(np.linalg.norm(g - grad(x)) - 100 * rounding * (kind == "cs"), 0.0)
        ratios.append(off / oracle.grad_error(x, g))
    assert max(ratios) <= 1
    if kind != "cs":
        assert max(ratios) > 1 / times


def test_a_complex_step_that_is_too_long_for_the_function_is_noticed():
    for k in (1e6, 3e6, 1e7):
        oracle = Oracle(lambda x, k=k: np.sin(k * x[0] + 1) / k, jac="cs")
        g = oracle.grad(np.zeros(1))
        assert 1 / 30 < abs(g[0] - np.cos(1)) / oracle.grad_error(np.zeros(1), g) <= 1


def test_a_witness_learns_nothing_from_gradients_that_are_made_of_the_values():
    heard = []

    class Hears:
        def saw(self, x, f=None, g=None):
            heard.append(x)
    for kind, times in ((df, 2), ("2-point", 0), ("cs", 0)):
        oracle = Oracle(f, jac=kind)
        oracle.witness = Hears()
        oracle.fun(np.ones(2))
        oracle.grad(np.ones(2))
        assert len(heard) == times
        heard.clear()


@pytest.mark.parametrize("dim, usual, thorough, tightest", [
    (1, 120, 1200, [823, 649, 48, 832]), (2, 120, 1200, [1064, 896, 68, 941]),
    (3, 120, 1200, [884, 56, 315, 600]), (8, 40, 320, [290, 164, 200, 129]),
    (30, 8, 40, [17, 6, 38, 24])])
def test_the_error_of_a_hessian_from_values_is_bounded_and_not_by_much(
        dim, usual, thorough, tightest):
    ratios = []
    for seed in draws(usual, thorough, tightest):
        fun, _, hess, x = functions(seed, dim)
        products = SecondDifferences(Oracle(fun, jac="2-point"), x, 10.0**-(seed % 4),
                                     lambda size: 0.1)
        products(np.ones(dim) / math.sqrt(dim))
        ratios.append(np.linalg.norm(products.matrix - hess(x), 2) / products.one())
    assert max(ratios) <= 1
    assert max(ratios) > 1 / 4


def test_noise_of_the_values_is_seen_in_both_errors():
    noise = np.random.default_rng(0)

    def rough(x):
        return f(x) + 1e-9 * noise.standard_normal()
    x = np.array([1.0, -1.0, 1.0, 1.0])
    for seed in range(20):
        x = np.random.default_rng(seed).choice([-1.0, 1.0], 4)
        oracle = Oracle(rough, jac="3-point")
        g = oracle.grad(x)
        assert np.linalg.norm(g - df(x)) <= oracle.grad_error(x, g) < 100 * 1e-9 / 6e-6
        products = SecondDifferences(oracle, x, 1.0, lambda size: 0.1)
        products(np.ones(4) / 2)
        assert np.linalg.norm(products.matrix - 2 * np.eye(4), 2) <= products.one() < 0.1


def double_well(x):
    return x[0]**4 / 4 - x[0]**2 / 2 + x[1]**2


def factorization(n):
    A = np.random.default_rng(0).standard_normal((n, 2))
    A = A @ A.T
    return lambda x: ((x.reshape(n, 2) @ x.reshape(n, 2).T - A)**2).sum() / 4


@pytest.mark.parametrize("kind", ["2-point", "3-point", "cs"])
@pytest.mark.parametrize("fun, x, tol, verdict", [
    (rosen, np.ones(2), 0.3, "SOSP"), (rosen, np.ones(10), 0.3, "SOSP"),
    (rosen, np.ones(60), 0.3, "SOSP"), (double_well, [1, 0], 0.08, "SOSP"),
    (double_well, [0, 0], 0.08, "NEGATIVE_CURVATURE"),
    (factorization(10), np.zeros(20), 0.1, "NEGATIVE_CURVATURE")])
def test_values_alone_are_enough_for_a_certificate(kind, fun, x, tol, verdict):
    seen = certify(fun, x, jac=kind, epsilon=1e-3, curvature_tol=tol, rng=0)
    assert seen.verdict.name == verdict
    assert kind == "cs" or seen.nfev < np.size(x)**2 + 15 * np.size(x) + 80


@pytest.mark.parametrize("fun, x0", [
    (rosen, [-1.2, 1.0]), (rosen, np.full(10, -0.5)), (double_well, [0.0, 1.0]),
    (lambda X: factorization(10)(X.ravel()), np.zeros((10, 2)))])
@pytest.mark.parametrize("jac", [None, "2-point", "3-point"])
def test_a_function_and_a_start_are_enough_for_the_default(fun, x0, jac):
    result = saddlelib.minimize(fun, x0, jac=jac, rng=0)
    assert result.success and result.x.shape == result.jac.shape == np.shape(x0)
    assert "differences of fun" in result.message


def test_no_verdict_on_values_alone_is_wrong():
    """Rotated quadratics and quartics with constants that swallow digits, in float32, noisy."""
    told, calls = {}, instances(100, 250)
    for seed in range(calls):
        rng = np.random.default_rng(seed)
        d = int(rng.integers(1, 9))
        Q = np.linalg.qr(rng.standard_normal((d, d)))[0]
        lam = rng.standard_normal(d) * 10.0**rng.uniform(-3, 1, d)
        B = rng.standard_normal((d, d)) * 10.0**rng.uniform(-2, 1)
        constant, kind = rng.choice([0, 1, 1e3, 1e6]), rng.choice(["2-point", "3-point"])
        inside, single, size = rng.integers(2), rng.integers(4) == 0, 10.0**rng.uniform(-3, 3)
        x0 = rng.standard_normal(d) * rng.choice([0, 1, 100])

        def fun(x, Q=Q, lam=lam, B=B, constant=constant, size=size, x0=x0, inside=inside,
                single=single):
            z = x - x0
            value = size * (lam @ (Q.T @ z)**2 / 2 + ((B @ z)**3).sum() / 6
                            + ((B @ z)**4).sum() / 24) + constant
            value = value - constant if inside else value
            return np.float32(value) if single else value
        tol = size * 10.0**rng.uniform(-4, 0)
        seen = certify(fun, x0, jac=str(kind), epsilon=1e-3 * size, curvature_tol=tol, rng=seed)
        right = size * lam.min() >= -tol
        told[seen.verdict, bool(right)] = told.get((seen.verdict, bool(right)), 0) + 1
    assert (Verdict.SOSP, False) not in told and (Verdict.NEGATIVE_CURVATURE, True) not in told
    assert not {verdict for verdict, _ in told} & {Verdict.NOT_STATIONARY,
                                                  Verdict.WRONG_DERIVATIVES}
    assert told[Verdict.SOSP, True] >= 0.06 * calls
    assert told[Verdict.NEGATIVE_CURVATURE, False] >= 0.4 * calls


def test_errors_that_are_too_large_name_the_remedy():
    noise = np.random.default_rng(0)
    rough = functools.partial(lambda x: double_well(x) + 1e-5 * noise.standard_normal())
    slope = certify(rough, [1, 0], jac="2-point", epsilon=1e-3, curvature_tol=0.1, rng=0)
    assert slope.verdict in (Verdict.CANNOT_TELL, Verdict.NOT_STATIONARY)
    flat = certify(lambda x: rosen(x), np.ones(150), jac="2-point", epsilon=1e-3,
                   curvature_tol=0.3, rng=0)
    assert flat.verdict is Verdict.CANNOT_TELL
    assert "differences of values of fun, so give jac" in flat.message
    narrow = certify(lambda x: 1e6 + double_well(x), [1, 0], jac="2-point", epsilon=1e-3,
                     curvature_tol=0.1, rng=0)
    assert narrow.verdict is Verdict.CANNOT_TELL
    assert 'differences of fun; give jac, or jac="3-point"' in narrow.message


def test_a_coordinate_that_is_lost_in_a_constant_is_no_flat_one():
    seen = certify(lambda x: (1e6 - x[0]**2 / 2) - 1e6 + x[1]**2, [0, 0], jac="3-point",
                   epsilon=1e-3, curvature_tol=0.1, rng=0)
    assert not seen.passed


# --- Precision ------------------------------------------------------------------------------------


def test_what_answers_in_float32_is_noticed_and_believed_less():
    def fun32(x):
        return np.float32(double_well(x))

    def jac32(x):
        return np.float32([x[0]**3 - x[0], 2 * x[1]])
    found = objective(fun32, np.float32([1, 0]), jac=jac32)
    assert found.x0.dtype == float and found.notes() == () and found.oracle.unit == 2.0**-53
    found.oracle.fun(found.x0)
    found.oracle.grad(found.x0)
    assert found.oracle.unit == 2.0**-24
    assert len(found.notes()) == 1 and found.notes()[0].startswith("fun and jac answer in float32")
    near = np.array([1.0, 0.0])
    assert certify(double_well, near, jac=jac32, epsilon=1e-3, curvature_tol=0.1, rng=0).passed
    seen = certify(double_well, near, jac=jac32, epsilon=1e-8, curvature_tol=0.1, rng=0)
    assert seen.verdict is Verdict.CANNOT_TELL and "rounded to less than float64" in seen.message
    exact = certify(double_well, near, jac=lambda x: jac32(x).astype(float), epsilon=1e-3,
                    curvature_tol=0.1, hessp=lambda x, v: np.float32([2 * v[0], 2 * v[1]]), rng=0)
    assert exact.hvp_error >= 2 * 16 * 2.0**-24


def test_single_values_are_differenced_on_a_step_that_they_can_show():
    x = np.array([0.3, -1.2, 2.0])
    for kind, most in (("2-point", 2.0), ("3-point", 0.05)):
        oracle = Oracle(lambda x: np.float32(rosen(x)), jac=kind)
        oracle.fun(x)
        g = oracle.grad(x)
        off = np.linalg.norm(g - rosen_der(x))
        assert off <= oracle.grad_error(x, g) < most * 100 and off < most


# --- Words ----------------------------------------------------------------------------------------


NOT_REAL = "must hold real numbers|must be one array"


@pytest.mark.parametrize("change, kind, message", [
    (dict(jac="4-point"), ValueError, "jac must be a function.*got '4-point'"),
    (dict(jac=3), TypeError, "jac must be a function.*got 3"),
    (dict(jac=[1.0]), TypeError, r"jac must be a function.*got \[1.0\]"),
    (dict(hess="BFGS"), TypeError, "hess must be a function or None, got 'BFGS'"),
    (dict(hess=scipy.optimize.BFGS()), TypeError, r"BFGS\(\): updates along steps.*leave hess out"),
    (dict(hess=scipy.optimize.SR1()), TypeError, r"SR1\(\)"),
    (dict(hess=1), TypeError, "hess must be a function or None, got 1"),
    (dict(hessp="2-point"), TypeError, "hessp must be a function or None, got '2-point'"),
    (dict(x0="here"), TypeError, NOT_REAL),
    (dict(x0=[1, 2j]), TypeError, NOT_REAL),
    (dict(x0=[[1, 2], [3]]), ValueError, NOT_REAL),
    (dict(x0=[]), ValueError, "x0 must be one point"),
    (dict(x0=[[1.0, np.nan]]), ValueError, "x0 must be finite, got 1"),
    (dict(x0=[True, False]), TypeError, NOT_REAL),
    (dict(fun=3), TypeError, "fun must be a function"),
    (dict(fun=None), TypeError, "fun must be a function"),
    (dict(grad_noise=-1), ValueError, "grad_noise must be a finite number >= 0"),
    (dict(grad_noise=1.0), ValueError, "grad_noise > 0 needs rng"),
    (dict(noise_df=5), ValueError, "noise_df is the shape"),
    (dict(grad_noise=1.0, rng="seed"), TypeError, "rng must be a seed"),
])
def test_bad_arguments_are_named_with_their_value_and_remedy(change, kind, message):
    with pytest.raises(kind, match=message):
        objective(**dict(dict(fun=f, x0=[0.5, 1.0], jac=df), **change))


@pytest.mark.parametrize("ask, change, kind, message", [
    ("grad", dict(jac=lambda x: x.ravel()), ValueError,
     r"jac must return shape \(2, 3\) like x0, got \(6,\)"),
    ("grad", dict(jac=lambda x: x.T), ValueError, r"jac .* \(2, 3\) like x0, got \(3, 2\)"),
    ("grad", dict(jac=lambda x: [[1, 2], [3]]), ValueError, "jac must return real numbers"),
    ("grad", dict(jac=lambda x: x + 1j), TypeError, "jac must return real numbers, got dtype"),
    ("grad", dict(jac=lambda x: None), ValueError, r"jac must return shape \(2, 3\)"),
    ("hvp", dict(hessp=lambda x, v: x[0]), ValueError,
     r"hessp must return shape \(2, 3\) like x0, got \(3,\)"),
    ("hess", dict(hess=lambda x: np.eye(5)), ValueError, r"hess must return shape \(6, 6\)"),
    ("hess", dict(hess=lambda x: aslinearoperator(np.eye(5))), ValueError, r"\(6, 6\), got"),
    ("fun", dict(fun=lambda x: x), ValueError, "fun must return one number, got an array of"),
    ("fun", dict(fun=lambda x: (f(x), df(x))), TypeError, "got a pair.*say jac=True"),
    ("fun", dict(jac=True), TypeError, "jac=True fun must return a pair.*got float64; give jac"),
    ("grad", dict(fun=lambda x: (1.0, x.ravel()), jac=True), ValueError,
     r"the gradient that fun returns must return|must return shape \(2, 3\)"),
    ("grad", dict(fun=lambda x: float(np.abs(x).sum()), jac="cs"), TypeError,
     'jac="cs" needs a fun that computes with complex numbers.*take "3-point"'),
    ("grad", dict(fun=lambda x: x, jac="cs"), ValueError, "one number"),
])
def test_what_functions_return_is_checked_under_the_users_names(ask, change, kind, message):
    found = objective(**dict(dict(fun=f, x0=np.ones((2, 3)), jac=df), **change))
    more = (found.x0,) if ask == "hvp" else ()
    with pytest.raises(kind, match=message):
        getattr(found.oracle, ask)(found.x0, *more)


def test_gradients_of_one_variable_may_be_one_number_in_any_brackets():
    for x0 in (0.5, [0.5], [[0.5]]):
        for answer in (3.0, [3.0], [[3.0]]):
            if np.shape(x0) == (1,) and np.shape(answer) != (1,):
                continue  # (d,) has one form
            oracle = objective(lambda x: 3 * x, x0, jac=lambda x, a=answer: a).oracle
            assert oracle.grad(np.array([0.5])).tolist() == [3]


@pytest.mark.parametrize("error", [ValueError("mine"), StopIteration("mine"), KeyError("mine")],
                         ids=repr)
@pytest.mark.parametrize("where, jac", [("fun", df), ("fun", "2-point"), ("fun", "cs"),
                                        ("fun", True), ("jac", df), ("hessp", df)])
def test_what_functions_raise_passes_with_the_name_of_the_function(where, jac, error):
    error = type(error)(*error.args)

    def broken(*arguments):
        raise error
    parts = dict(dict(fun=f, jac=jac, hessp=d2f), **{where: broken})
    oracle = objective(x0=np.ones((2, 2)), **parts).oracle
    ask = {"fun": oracle.grad if isinstance(jac, str) else oracle.fun, "jac": oracle.grad,
           "hessp": lambda x: oracle.hvp(x, x)}[where]
    with pytest.raises(type(error)) as caught:
        ask(np.ones(4))
    assert caught.value is error and f"raised by {where}" in error.__notes__
    assert sum(note.startswith("raised by") for note in error.__notes__) == 1


@pytest.mark.parametrize("kind", ["2-point", "3-point", "cs"])
def test_a_stopiteration_in_the_midst_of_differences_gets_out(kind):
    calls = []

    def stops(x):
        calls.append(1)
        if len(calls) == 3:
            raise StopIteration("mine")
        return f(x)
    with pytest.raises(StopIteration, match="mine"):
        Oracle(stops, jac=kind).grad(np.ones(4))
    assert len(calls) == 3


def test_a_function_that_cannot_take_complex_numbers_is_told_why_it_got_them():
    oracle = Oracle(lambda x: math.fsum(x.tolist()), jac="cs")
    with pytest.raises(TypeError) as caught:
        oracle.grad(np.ones(2))
    assert any('"3-point" does not' in note for note in caught.value.__notes__)


def test_scipys_words_for_hess_mean_differences_and_only_functions_are_called():
    for word in ("2-point", "3-point", "cs", None, False):
        assert not objective(rosen, [1.0, 1.0], jac=rosen_der, hess=word).oracle.has_hess
    assert objective(rosen, [1.0, 1.0], jac=rosen_der, hess=rosen_hess).oracle.has_hess


def test_a_hessian_that_is_sparse_or_an_operator_stays_one_in_the_certificate():
    d = 20_000
    lam = np.linspace(0.5, 2, d)
    for hess in (lambda x: scipy.sparse.diags_array(lam),
                 lambda x: scipy.sparse.linalg.LinearOperator((d, d), matvec=lambda v: lam * v)):
        seen = certify(lambda x: lam @ x**2 / 2, np.zeros(d), jac=lambda x: lam * x, hess=hess,
                       epsilon=1e-3, curvature_tol=0.1, rng=0)
        assert seen.passed and seen.nhev == 1


def test_a_gradient_made_of_the_values_is_never_said_to_contradict_them():
    step = functools.partial(lambda x: np.floor(1e3 * double_well(x)) / 1e3)
    seen = certify(step, [1.0, 0.0], jac="2-point", epsilon=1e-3, curvature_tol=0.1, rng=0)
    assert seen.verdict is not Verdict.WRONG_DERIVATIVES and not seen.passed
