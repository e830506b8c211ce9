"""Faults in derivatives are seen and named, and right derivatives are never accused."""

import re

import matplotlib
import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der, rosen_hess_prod
from thorough import instances

import saddlelib
from saddlelib import Oracle, Status, check_derivatives
from saddlelib.derivatives import Witness, contradiction, unit_of
from saddlelib.oracle import FiniteSum
from saddlelib.problems import MatrixFactorization, SeparableQuartic, catalogue, networks, ravines

matplotlib.use("Agg")

X = np.random.default_rng(3).standard_normal(6)


def f(x):
    return np.sum(x**4) / 4 + x @ x


def g(x):
    return x**3 + 2 * x


def hv(x, v):
    return (3 * x**2 + 2) * v


# --- check_derivatives --------------------------------------------------------------------------


def test_slopes_of_right_derivatives_are_two_and_three():
    check = check_derivatives(f, g, X, hessp=hv, rng=0)
    assert check.ok is True
    assert abs(check.slopes["gradient"] - 2) < 0.05 and abs(check.slopes["product"] - 3) < 0.05
    low, high = check.windows["gradient"]
    assert low < 1e-5 and high > 1e-3  # many decades down to rounding


@pytest.mark.parametrize("problem", catalogue() + ravines() + networks(),
                         ids=lambda p: repr(p)[:40])
def test_every_problem_has_its_own_derivatives(problem):
    check = check_derivatives(problem, np.random.default_rng(1).standard_normal(problem.dim), rng=0)
    assert check.ok is True, check.message


@pytest.mark.parametrize("problem", catalogue(), ids=lambda p: repr(p)[:40])
def test_no_problem_has_the_derivatives_of_another(problem):
    x = np.random.default_rng(1).standard_normal(problem.dim)
    one = np.eye(problem.dim)[0]
    for grad in (lambda x: -problem.grad(x), lambda x: 2 * problem.grad(x), lambda x: 0 * x,
                 lambda x: problem.grad(x) + 0.1 * x, lambda x: problem.grad(x) + 0.1 * one):
        assert check_derivatives(problem.fun, grad, x, rng=0).ok is False
    for factor in (-1.0, 0.0, 1.001, 2.0):
        assert check_derivatives(problem.fun, problem.grad, x, rng=0, hessp=lambda x, v, c=factor:
                                 c * problem.hvp(x, v)).ok is False


def test_counts_are_those_that_the_docstring_states():
    oracle = Oracle(f, jac=g, hessp=hv)
    check = check_derivatives(oracle, X, rng=0, directions=3)
    assert (check.nfev, check.njev, check.nhvp, check.nhev) == (41 * 3 + 8, 13, 4, 0)
    assert (oracle.nfev, oracle.njev, oracle.nhvp, oracle.nhev) == (41 * 3 + 8, 13, 4, 0)
    check = check_derivatives(f, g, X, hess=lambda x: np.diag(3 * x**2 + 2), rng=0, directions=2)
    assert check.ok and (check.nfev, check.njev, check.nhev) == (90, 9, 1)
    check = check_derivatives(f, lambda x: g(x) + X, X, rng=0, directions=3)
    assert check.ok is False and check.nfev == 41 * 3 + 8 + 2 * 3 + 10 + 2 * 6 and check.njev == 1


@pytest.mark.parametrize(("factor", "words"), [
    (-1.0, "so the gradient has the wrong sign."),
    (2.0, "wrong scale: it has to be multiplied by 0.5."),
    (-0.25, "wrong scale and sign: it has to be multiplied by -4."),
    (1.01, "multiplied by 0.99.")])
def test_a_sign_and_a_scale_are_named(factor, words):
    check = check_derivatives(f, lambda x: factor * g(x), X, rng=0)
    assert check.ok is False and check.message.endswith(words)
    assert abs(check.slopes["gradient"] - 1) < 0.1 and "in all 8 directions" in check.message


def test_a_missing_term_is_named_with_its_coordinates():
    check = check_derivatives(f, lambda x: g(x) - 3 * np.eye(6)[2], X, rng=0)
    assert check.ok is False
    assert "a term is missing or wrong, most in coordinate 2 " in check.message
    far = np.random.default_rng(0).standard_normal(1000)
    large = int(np.argmax(np.abs(g(far))))
    check = check_derivatives(f, lambda x: g(x) * (1 - 0.5 * np.eye(1000)[large]), far, rng=0)
    assert f"most in coordinate {large} " in check.message and "20 of the 1000" in check.message
    assert check.nfev <= 41 * 3 + 8 + 2 * 3 + 10 + 40
    ridge = check_derivatives(lambda x: f(x) + 0.05 * x @ x, g, X, rng=0)
    assert ridge.ok is False and "the ratio varies" in ridge.message


@pytest.mark.parametrize(("wrong", "words"), [
    (lambda x, v: -hv(x, v), "the product has the wrong sign"),
    (lambda x, v: 2 * hv(x, v), "multiplied by 0.5"),
    (lambda x, v: 0 * v, "the product is zero where it should not be"),
    (lambda x, v: hv(x, v) + v, "a term of the product is missing or wrong"),
    (lambda x, v: hv(x, v) + 0.1 * np.roll(v, 1), "It is not symmetric"),
    (lambda x, v: hv(x, v) * (1 + 0.1 * np.abs(v).sum()), "It is not linear")])
def test_wrong_products_are_named(wrong, words):
    check = check_derivatives(f, g, X, hessp=wrong, rng=0)
    assert check.ok is False and words in check.message and "falls like h^2: right" in check.message
    assert check.slopes["product"] < 2.3  # as without any product


def test_symmetry_and_linearity_are_seen_where_differences_are_too_rough_to_say():
    """Gradients with noise: their differences say nothing, the products themselves do."""
    def wild(x):
        return g(x) + 1e3 * np.sin(1e14 * x)

    check = check_derivatives(f, wild, X, hessp=lambda x, v: hv(x, v) + np.roll(v, 1), rng=0)
    assert check.ok is False and "It is not symmetric" in check.message


def test_quadratic_and_linear_functions_have_no_remainder():
    b = np.arange(1.0, 7.0)
    linear = check_derivatives(lambda x: b @ x + 2, lambda x: b, X, hessp=lambda x, v: 0 * v, rng=0)
    assert linear.ok is True and np.isinf(linear.slopes["gradient"])
    quadratic = check_derivatives(lambda x: x @ x, lambda x: 2 * x, X, hessp=lambda x, v: 2 * v,
                                  rng=0)
    assert quadratic.ok is True and np.isinf(quadratic.slopes["product"])
    assert abs(quadratic.slopes["gradient"] - 2) < 0.05
    constant = check_derivatives(lambda x: 2.0, lambda x: 0 * x, X, rng=0)
    assert constant.ok is True and "does not change" in constant.message
    assert check_derivatives(lambda x: b @ x, lambda x: 1.1 * b, X, rng=0).ok is False


def test_a_large_constant_hides_what_is_smaller_than_its_rounding():
    assert check_derivatives(lambda x: 1e8 + f(x), g, X, rng=0).ok is True
    assert check_derivatives(lambda x: 1e8 + f(x), lambda x: -g(x), X, rng=0).ok is False
    for grad in (g, lambda x: -g(x)):
        hidden = check_derivatives(lambda x: 1e18 + f(x), grad, X, rng=0)
        assert hidden.ok is None and hidden.message.startswith("Cannot tell")


def test_float32_is_judged_by_its_own_rounding():
    def f32(x):
        return f(np.float32(x))

    def g32(x):
        return g(np.float32(x))

    x = X.astype(np.float32)
    right = check_derivatives(f32, g32, x, rng=0,
                              hessp=lambda x, v: hv(np.float32(x), np.float32(v)))
    assert right.ok is True and right.noise > 1e-9
    assert check_derivatives(f32, lambda x: -g32(x), x, rng=0).ok is False
    assert check_derivatives(f, g32, X, rng=0).ok is True
    hidden = check_derivatives(lambda x: 0.1 * float(f32(x)), lambda x: 0.1 * g(x), X, rng=0)
    assert hidden.ok is True and hidden.noise > 1e-9  # measured: the dtype does not show it


def test_at_a_stationary_point_it_looks_beside_it():
    right = check_derivatives(f, g, 0 * X, hessp=hv, rng=0)
    assert right.ok is True and right.message.startswith("At a point near x, which is stationary")
    assert 0 < np.linalg.norm(right.x) < 0.11
    doubled = check_derivatives(f, lambda x: 2 * g(x), 0 * X, rng=0)
    assert doubled.ok is False and "multiplied by 0.5" in doubled.message


@pytest.mark.parametrize("scale", [1e-150, 1e-30, 1e30, 1e100])
def test_units_do_not_matter(scale):
    def check(fun, grad, product, x):
        return check_derivatives(fun, grad, x, hessp=product, rng=0)

    assert check(lambda x: scale * f(x), lambda x: scale * g(x),
                 lambda x, v: scale * hv(x, v), X).ok is True
    assert check(lambda x: f(x / scale), lambda x: g(x / scale) / scale,
                 lambda x, v: hv(x / scale, v) / scale / scale, scale * X).ok is True


def test_what_is_not_smooth_or_not_finite_cannot_be_told():
    kink = check_derivatives(lambda x: np.abs(x).sum(), np.sign, 0 * X, rng=0)
    assert kink.ok is None and "a kink" in kink.message
    rough = check_derivatives(lambda x: np.sum(np.abs(x)**1.5),
                              lambda x: 1.5 * np.sign(x) * np.abs(x)**0.5, 0 * X, rng=0)
    assert rough.ok is None and "not Lipschitz" in rough.message
    assert check_derivatives(lambda x: np.nan, g, X, rng=0).message == (
        "Cannot tell: fun is not finite at x.")
    assert "jac is not finite" in check_derivatives(f, lambda x: x * np.inf, X, rng=0).message
    lost = check_derivatives(lambda x: f(x) if (x == X).all() else np.nan, g, X, rng=0)
    assert lost.ok is None and "give a smaller scale" in lost.message
    nan = check_derivatives(f, g, X, hessp=lambda x, v: v * np.nan, rng=0)
    assert nan.ok is None and "hessp: it is not finite" in nan.message
    flat = check_derivatives(lambda x: 3.1, g, X, rng=0)
    assert flat.ok is False and "does fun use what it is given?" in flat.message
    far = check_derivatives(lambda x: float(np.float32(np.cos(100 * x).sum())),
                            lambda x: np.float32(-100 * np.sin(100 * x)), X + 1e4, rng=0)
    assert far.ok is None  # float32 does not resolve the waves there, and the steps leap over them
    near = check_derivatives(lambda x: np.sum(np.maximum(x - X, 0)**2 + x),
                             lambda x: 2 * np.maximum(x - X, 0) + 1, X,
                             hessp=lambda x, v: 2 * (x > X) * v, rng=0)
    assert near.ok is None and "Cannot tell about hessp" in near.message
    small = check_derivatives(lambda x: x @ x / 2 + 1e-14 * np.cos(1e7 * x).sum(),
                              lambda x: x - 1e-7 * np.sin(1e7 * x), X,
                              hessp=lambda x, v: v - np.cos(1e7 * x) * v, rng=0)
    assert small.ok is not False
    jumps = check_derivatives(lambda x: f(x) + float(x[0] > X[0]), g, X, rng=0)
    assert jumps.ok is None and "jumps" in jumps.message


def test_bad_input_is_refused_by_name():
    with pytest.raises(TypeError, match="x must be a point"):
        check_derivatives(f, g)
    with pytest.raises(TypeError, match="jac must be a function"):
        check_derivatives(f, None, X)
    with pytest.raises(ValueError, match="x must be finite"):
        check_derivatives(f, g, X * np.nan)
    with pytest.raises(ValueError, match="directions must be at least 2"):
        check_derivatives(f, g, X, directions=1)
    with pytest.raises(ValueError, match="scale must be a finite number > 0"):
        check_derivatives(f, g, X, scale=0.0)
    with pytest.raises(ValueError, match="are noisy"):
        check_derivatives(Oracle(f, jac=g, grad_noise=1.0, rng=0), X)
    with pytest.raises(TypeError, match="brings its own derivatives"):
        check_derivatives(Oracle(f, jac=g), g, X)


def test_a_finite_sum_is_checked_as_a_whole():
    data = np.arange(6.0).reshape(3, 2)
    mean = FiniteSum(lambda x: 0.5 * ((x - data)**2).sum(1).mean(), lambda x, i: x - data[i],
                     size=3, dim=2, hvps=lambda x, v, i: np.tile(v, (i.size, 1)))
    assert check_derivatives(mean, np.ones(2), rng=0).ok is True


def test_the_same_rng_gives_the_same_check_and_a_repr_that_says_it():
    one, other = (check_derivatives(f, g, X, rng=5) for _ in range(2))
    np.testing.assert_array_equal(one.remainders["gradient"], other.remainders["gradient"])
    assert repr(one) == f"DerivativeCheck(ok=True: {one.message})"


def test_the_picture_draws_the_remainders_and_the_slopes_they_should_have():
    check = check_derivatives(f, g, X, hessp=hv, rng=0)
    ax = check.plot()
    assert ax.get_xscale() == ax.get_yscale() == "log" and ax.get_xlabel() and ax.get_ylabel()
    dashed = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert len(ax.lines) == 6 + 2
    for line, power in zip(dashed, (2, 3), strict=True):
        h, r = np.log(line.get_xydata()).T
        np.testing.assert_allclose(np.diff(r) / np.diff(h), power)
    drawn = np.concatenate([line.get_ydata() for line in ax.lines if line not in dashed])
    assert np.nanmax(drawn) == max(r.max() for r in check.remainders.values())
    assert check_derivatives(f, lambda x: -g(x), X, rng=0).plot(ax) is ax
    matplotlib.pyplot.close("all")


# --- contradiction ------------------------------------------------------------------------------


def direction(rng, dim):
    v = rng.standard_normal(dim)
    return v / np.linalg.norm(v)


def ask(fun, grad, product, x, rng, **options):
    """What `contradiction` says, and what it cost; with product=None, Hb is a difference."""
    oracle, b = Oracle(fun, jac=grad, hessp=product), direction(rng, x.size)
    h = 1e-6 * max(np.linalg.norm(x), 1e-8)
    hb = product(x, b) if product else (grad(x + h * b) - grad(x - h * b)) / (2 * h)
    words = contradiction(oracle, x, grad(x), b, hb, 2 * np.linalg.norm(hb), **options)
    return words, oracle


def logistic(rng):
    a, y = rng.standard_normal((20, 5)), rng.choice([-1, 1], 20)

    def sigma(x):
        return 1 / (1 + np.exp(y * (a @ x)))

    return (lambda x: np.mean(np.logaddexp(0, -y * (a @ x))) + 0.05 * x @ x,
            lambda x: -a.T @ (y * sigma(x)) / 20 + 0.1 * x,
            lambda x, v: a.T @ (sigma(x) * (1 - sigma(x)) * (a @ v)) / 20 + 0.1 * v)


QUARTIC = SeparableQuartic(5)
FACTORS = MatrixFactorization.from_eigenvalues([1.0, 0.7, 0.4], 5, rng=0)
SPREAD = np.logspace(-3, 0, 50)
# f, ∇f, ∇²f·v and a minimizer away from 0, where a ridge term shows.
MINIMA = {
    "bowl": (lambda x: (x - 1) @ (x - 1), lambda x: 2 * (x - 1), lambda x, v: 2 * v, np.ones(3)),
    "condition 1000": (lambda x: SPREAD @ (x - 2)**2 / 2, lambda x: SPREAD * (x - 2),
                       lambda x, v: SPREAD * v, np.full(50, 2.0)),
    "quartic": (QUARTIC.fun, QUARTIC.grad, QUARTIC.hvp, QUARTIC.minimizers[0]),
    "rosenbrock": (rosen, rosen_der, rosen_hess_prod, np.ones(6)),
    "factorization": (FACTORS.fun, FACTORS.grad, FACTORS.hvp, FACTORS.minimizers[0]),
    "cosine at 64": (lambda x: -np.cos(x).sum(), np.sin, lambda x, v: np.cos(x) * v,
                     np.full(4, 20 * np.pi)),
    "constant 1e6": (lambda x: 1e6 + (x - 1) @ (x - 1), lambda x: 2 * (x - 1),
                     lambda x, v: 2 * v, np.ones(3)),
    "float32": (lambda x: float(np.float32((x - 1) @ (x - 1) + 1.1)),
                lambda x: np.float32(2.2 * (x - 1)), lambda x, v: np.float32(2.2 * v), np.ones(3)),
}


def faults(fun, grad, product, x, curvature):
    """Name, and f, ∇f, ∇²f·v with that fault."""
    yield "sign", lambda x: -fun(x), grad, product
    yield "gradient doubled", lambda x: fun(x) / 2, grad, product
    yield "gradient halved", lambda x: 2 * fun(x), grad, product
    yield "ridge missing", lambda x: fun(x) + 0.05 * curvature * x @ x, grad, product
    for name, factor in (("zero", 0.0), ("sign of the", -1.0), ("double", 2.0)):
        yield f"{name} product", fun, grad, lambda x, v, c=factor: c * product(x, v)


@pytest.mark.parametrize("name", MINIMA)
def test_faults_at_a_minimum_are_noticed(name, record_property):
    """In many directions and points; with products, and with differences of gradients."""
    fun, grad, product, minimizer = MINIMA[name]
    rough = name == "constant 1e6"  # so large that 1 % may be missed
    seeds, missed = instances(100 if rough else 20, 200), {}
    curvature = float(np.mean([np.linalg.norm(product(minimizer, e))
                               for e in np.eye(minimizer.size)]))
    for kind, *wrong in faults(fun, grad, product, minimizer, curvature):
        for given in (True, False):
            if "product" in kind and not given:
                continue
            rng = np.random.default_rng(7)
            for _ in range(seeds):
                x = minimizer + rng.choice([0.0, 1e-8, 1e-5]) * rng.standard_normal(minimizer.size)
                said, _ = ask(*wrong[:2], wrong[2] if given else None, x, rng)
                missed[kind] = missed.get(kind, 0) + (not said)
    record_property(f"faults missed at {name}, of {seeds}", missed)
    allowed = 0.02 * seeds if rough else 0  # of twice as many
    assert max(missed.values()) <= allowed, missed


def test_what_is_wrong_is_said():
    rng = np.random.default_rng(0)
    fun, grad, product, x = MINIMA["rosenbrock"]
    x = x + 1e-6
    assert ask(lambda x: -fun(x), grad, None, x, rng)[0].endswith("the gradient has the wrong sign")
    assert "multiplied by 0.5" in ask(lambda x: fun(x) / 2, grad, None, x, rng)[0]
    assert "a term of the gradient is missing" in ask(lambda x: fun(x) + x @ x, grad, None, x,
                                                      rng)[0]
    said = ask(fun, grad, lambda x, v: -product(x, v), x, rng)[0]
    assert said.startswith("jac and hessp contradict") and said.endswith("product has the wrong "
                                                                        "sign")
    assert "is zero where" in ask(fun, grad, lambda x, v: 0 * v, x, rng)[0]


def test_values_that_are_rougher_than_they_seem_get_longer_steps():
    """1 − cos x near 0 is rounded like 1, not like its own value: a first step sees nothing."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        x = 1e-8 * rng.standard_normal(4)
        said, oracle = ask(lambda x: -np.sum(1 - np.cos(x)), np.sin, None, x, rng)
        assert "fun and jac contradict" in said and "sign" in said and oracle.nfev > 9
        said, oracle = ask(lambda x: np.sum(1 - np.cos(x)), np.sin, None, x, rng)
        assert said == "" and oracle.nfev <= 2 + 7 + 3 * 8 and oracle.njev <= 2 + 1 + 2 + 3 * 3


def test_it_costs_a_value_and_a_gradient_where_nothing_is_suspicious():
    for fun, grad, product, x in MINIMA.values():
        for options, values in (({}, 2), ({"value": fun(x)}, 1)):
            said, oracle = ask(fun, grad, product, x, np.random.default_rng(0), **options)
            assert said == "" and (oracle.nfev, oracle.njev) == (values, 1)


def right(rng):
    """A function, its gradient, its product and a point, drawn from all that may be mistaken."""
    dim = int(rng.choice([1, 2, 3, 10, 100, 1000], p=[0.2, 0.25, 0.25, 0.2, 0.08, 0.02]))
    eigenvalues = 10.0**rng.uniform(-4, 1, dim) * rng.choice([1, 1, -1], dim)
    near = rng.choice([0, 1e-12, 1e-8, 1e-3, 1]) * rng.standard_normal(dim)
    centre = rng.choice([0, 1, 1e8]) * rng.standard_normal(dim)
    omega = 10.0**rng.uniform(-1, 3)
    kinds = {
        "quadratic": (lambda x: eigenvalues @ (x - centre)**2 / 2,
                      lambda x: eigenvalues * (x - centre), lambda x, v: eigenvalues * v),
        "quartic": (lambda x: np.sum((x - centre)**4), lambda x: 4 * (x - centre)**3,
                    lambda x, v: 12 * (x - centre)**2 * v),
        "cubic kink": (lambda x: np.sum(np.abs(x - centre)**3),
                       lambda x: 3 * (x - centre) * np.abs(x - centre),
                       lambda x, v: 6 * np.abs(x - centre) * v),
        "kink 1.5": (lambda x: np.sum(np.abs(x - centre)**1.5),
                     lambda x: 1.5 * np.sign(x - centre) * np.abs(x - centre)**0.5,
                     lambda x, v: np.where(x == centre, 0, 0.75 / np.sqrt(np.abs(x - centre)
                                                                         + 1e-300)) * v),
        "hinge": (lambda x: np.sum(np.maximum(x - centre, 0)**2) / 2 + x @ x / 20,
                  lambda x: np.maximum(x - centre, 0) + x / 10,
                  lambda x, v: (x > centre) * v + v / 10),
        "ripple": (lambda x: x @ x / 2 + np.cos(omega * x).sum() / omega**1.5,
                   lambda x: x - np.sin(omega * x) / omega**0.5,
                   lambda x, v: v - omega**0.5 * np.cos(omega * x) * v),
        "cosine": (lambda x: -np.cos(x).sum(), np.sin, lambda x, v: np.cos(x) * v),
        "linear": (lambda x: eigenvalues @ x + omega, lambda x: eigenvalues, lambda x, v: 0 * v),
        "constant": (lambda x: omega, lambda x: 0 * x, lambda x, v: 0 * v),
        "logistic": logistic(rng),
        "rosenbrock": (rosen, rosen_der, rosen_hess_prod),
    }
    kind = rng.choice(list(kinds))
    fun, grad, product = kinds[kind]
    if kind == "rosenbrock":
        near, centre = np.resize(near, max(dim, 2)), np.ones(max(dim, 2))
    elif kind == "logistic":
        near, centre = np.resize(near, 5), np.zeros(5)
    elif kind == "ripple":  # resolved by the gradients, or `rho` has to tell
        centre, omega = np.zeros(dim), min(omega, 30.0)
    elif kind == "cosine":
        centre = np.full(dim, rng.choice([0, 64.0, 1e4]))
    return kind, fun, grad, product, centre + near


def disguised(rng, fun, grad, product, x):
    """The same with rounding, noise, a constant, or units that hide what it is."""
    how = rng.choice(["", "constant", "noise", "noisy gradient", "float32", "float32 inside",
                      "float32 scaled", "units of f", "units of x"])
    big = 10.0**rng.integers(-140, 140)
    return how, *{
        "": (fun, grad, product, x),
        "constant": (lambda x: fun(x) + 1e8, grad, product, x),
        "noise": (lambda x: fun(x) * (1 + 1e3 * 1.1e-16 * rng.standard_normal()), grad, product, x),
        "noisy gradient": (fun, lambda x: grad(x) * (1 + 1e-10 * rng.standard_normal(x.size)),
                           product, x),
        "float32": (lambda x: float(np.float32(fun(x))), lambda x: np.float32(grad(x)),
                    lambda x, v: np.float32(product(x, v)), x),
        "float32 inside": (lambda x: float(np.float32(fun(np.float32(x).astype(float)))),
                           lambda x: np.float32(grad(np.float32(x).astype(float))), None, x),
        "float32 scaled": (lambda x: 0.1 * float(np.float32(fun(x))),
                           lambda x: 0.1 * grad(x), lambda x, v: 0.1 * product(x, v), x),
        "units of f": (lambda x: big * fun(x), lambda x: big * grad(x),
                       lambda x, v: big * product(x, v), x),
        "units of x": (lambda x: fun(x / big), lambda x: grad(x / big) / big,
                       lambda x, v: product(x / big, v) / big / big, x * big),
    }[how]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_check_never_calls_right_derivatives_wrong():
    rng, answers = np.random.default_rng(0), []
    while len(answers) < instances(60, 500):
        kind, *function = right(rng)
        how, fun, grad, product, x = disguised(rng, *function)
        if x.size > 100 or (kind == "ripple" and "float32" in how) or (
                how == "units of x" and not x.any()):  # its scale has to be given
            continue
        check = check_derivatives(fun, grad, x, hessp=product, rng=rng)
        assert check.ok is not False, (kind, how, x.size, check.message)
        answers.append(check.ok)
    assert answers.count(True) > 0.7 * len(answers)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_right_derivatives_are_never_accused():
    rng, asked, times = np.random.default_rng(0), 0, instances(3000, 12_000)
    for _ in range(times):
        kind, *function = right(rng)
        how, fun, grad, product, x = disguised(rng, *function)
        product = product if rng.random() < 0.6 else None
        if not (np.isfinite(grad(x)).all() and np.isfinite(fun(x))):
            continue
        said, _ = ask(fun, grad, product, x, rng, rho=rng.choice([None, 1e-6, 1.0, 1e6]))
        asked += 1
        assert said == "", (kind, how, x.size, said)
    assert asked > 0.8 * times


def test_noise_and_what_is_not_finite_are_no_contradiction():
    x, b = np.ones(2), np.array([0.6, 0.8])
    noisy = Oracle(lambda x: -x @ x, jac=lambda x: 2 * x, grad_noise=1.0, rng=0)
    assert contradiction(noisy, x, 2 * x, b, 2 * b, 2.0) == "" and noisy.calls == 0
    lost = Oracle(lambda x: np.nan, jac=lambda x: 2 * x)
    assert contradiction(lost, x, 2 * x, b, 2 * b, 2.0) == ""
    wall = Oracle(lambda x: x @ x if (x == 1).all() else np.inf, jac=lambda x: 2 * x)
    assert contradiction(wall, x, 2 * x, b, 2 * b, 2.0) == ""


def test_rho_excuses_a_hessian_that_changes_below_the_resolution():
    """At 1, x²/2 + cos(ωx)/ω² with ω = 10¹⁵: no difference of gradients sees its Hessian, 0."""
    omega, x = 2 * np.pi * 1.6e14, np.ones(1)
    args = (lambda x: float(x @ x) / 2, lambda x: x - np.sin(omega * x) / omega,
            lambda x, v: v - np.cos(omega * x) * v)
    assert ask(*args, x, np.random.default_rng(0))[0] != ""
    assert ask(*args, x, np.random.default_rng(0), rho=omega)[0] == ""


def test_the_unit_of_rounding_is_read_off_the_numbers():
    single = np.float32(np.random.default_rng(0).random(5))
    assert unit_of(single, single.astype(float)) == 2.0**-24
    assert unit_of(single, np.array([0.1])) == unit_of(-4.0, np.zeros(3)) == 2.0**-53


# --- Witness ------------------------------------------------------------------------------------


def watched(monkeypatch, *args, **options):
    """A run of `minimize` whose oracle has a witness: the result and the verdict."""
    witness = Witness()

    class Watched(Oracle):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            self.witness = witness

    import importlib
    monkeypatch.setattr(importlib.import_module("saddlelib.doors.objective"), "Oracle", Watched)
    return saddlelib.minimize(*args, **options), witness.verdict()


def test_a_run_with_a_gradient_of_the_wrong_sign_is_seen(monkeypatch):
    result, said = watched(monkeypatch, lambda x: -x @ x, [0.5, 1.0], "psd", jac=lambda x: 2 * x,
                           step_size=0.2, lipschitz_hess=6.0, rng=0)
    assert result.status == Status.WRONG_DERIVATIVES and not result.success
    assert "the gradient has the wrong sign" in result.message


@pytest.mark.parametrize("method", ["gd", "pgd", "psd", "gdpolyak"])
def test_ordinary_runs_are_never_accused(monkeypatch, method):
    rng = np.random.default_rng(0)
    for problem in catalogue():
        for step in (0.5, 1.0, 3.0):
            x0 = rng.standard_normal(problem.dim)
            said = watched(monkeypatch, problem, x0, method, maxiter=100, curvature_tol=0.1,
                           step_size=step / problem.lipschitz_grad, trace="fun", rng=0)[1]
            assert said == "", (problem, method, step)


def test_steps_that_leap_over_the_structure_of_f_are_no_evidence():
    for seed in range(instances(60, 200)):
        rng = np.random.default_rng(seed)
        omega, step = 10.0**rng.uniform(-1, 1, 2), 10.0**rng.uniform(-2, 2)
        witness, x = Witness(), rng.standard_normal(2)
        for _ in range(100):
            slope = x / 10 + omega * np.sin(omega * x)
            witness.saw(x, f=x @ x / 20 - np.cos(omega * x).sum(), g=slope)
            x = x - step * slope
        assert witness.verdict() == "", seed


def test_a_witness_pairs_values_and_gradients_of_the_same_point():
    def run(factor, order):
        witness = Witness()
        for k in range(9):
            x = 0.9**k * np.ones(2)
            for what in order:
                if what == "f":
                    witness.saw(x, f=x @ x)
                elif what == "g":
                    witness.saw(x, g=2 * factor * x)
                else:
                    witness.saw(x + k + 1.0, f=0.0)  # a trial that led nowhere
        return witness.verdict()

    for order in ("fg", "gf", "ftg", "gtf", "fttg", "fgfg"):
        assert run(1.0, order) == "", order
        assert run(2.0, order).endswith("multiplied by 0.5"), order
        assert run(-1.0, order).endswith("wrong sign"), order


def test_a_witness_speaks_from_eight_steps_on_and_costs_nothing():
    oracle = Oracle(lambda x: x @ x, jac=lambda x: -x)
    oracle.witness = Witness()
    for k in range(9):
        assert oracle.witness.verdict() == ""
        x = 0.9**k * np.ones(2)
        oracle.grad(x)
        oracle.fun(x)
    assert re.search("in 8 of 8 steps", oracle.witness.verdict())
    assert (oracle.nfev, oracle.njev) == (9, 9)


@pytest.mark.parametrize("name", ["fun", "jac", "hessp"])
@pytest.mark.parametrize("ask", [check_derivatives, saddlelib.certify])
def test_a_stopiteration_gets_out_as_it_is_at_whichever_call(ask, name):
    """The values contradict the gradients, so that every question is asked."""
    error, left = StopIteration("mine"), 0

    def breaking(function):
        def broken(*arguments):
            nonlocal left
            left -= 1
            if left < 0:
                raise error
            return function(*arguments)
        return broken
    known = dict(epsilon=100.0, curvature_tol=1.0) if ask is saddlelib.certify else {}
    for calls in range(1000):
        parts, left = dict(fun=lambda x: -f(x), jac=g, hessp=hv), calls
        parts[name] = breaking(parts[name])
        try:
            ask(parts.pop("fun"), x=X, rng=0, **parts, **known)
        except StopIteration as out:
            assert out is error
        else:
            break
    assert 0 < calls < 999


def test_a_product_is_not_accused_of_a_length_on_which_no_gradient_moves():
    """A constant inside of ∇f swallows every step of γ/ρ = 10⁻³⁰, and no step that is longer."""
    slope = 1 / np.cosh(0.1) ** 2
    right = dict(jac=lambda x: np.tanh(x + 0.1) - np.tanh(0.1), hessp=lambda x, v: slope * v)
    wrong = dict(jac=lambda x: np.zeros(3), hessp=lambda x, v: slope * v)
    for parts, told in ((right, "SOSP"), (wrong, "WRONG_DERIVATIVES")):
        def fun(x):
            return np.sum(np.log(np.cosh(x + 0.1)) - np.tanh(0.1) * x) + 1e10
        seen = saddlelib.certify(fun, np.zeros(3), epsilon=1e-30,
                                 curvature_tol=0.9, lipschitz_hess=1e30, rng=0, **parts)
        assert seen.verdict.name == told


@pytest.mark.parametrize("linear, told", [(False, "WRONG_DERIVATIVES"), (True, "NOT_STATIONARY")])
def test_values_that_do_not_move_against_a_slope_until_the_gradient_bends(linear, told):
    """∇f = 1 − 30x³ at x = 0, where f has no linear term, or one with a large constant inside."""
    def fun(x):
        return -30 * np.sum(x**4) / 4 + 12345678.9 + (np.sum((x + 1e12) - 1e12) if linear else 0.0)
    seen = saddlelib.certify(fun, np.zeros(5), jac=lambda x: 1.0 - 30 * x**3,
                             hessp=lambda x, v: -90 * x**2 * v, epsilon=1e-3,
                             lipschitz_hess=180.0, rng=0)
    assert seen.verdict.name == told
