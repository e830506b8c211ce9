"""What a new user writes, line by line, and what he gets."""

import pickle

import numpy as np
import pytest
import scipy.optimize

import saddlelib
from saddlelib import Status, certified, methods
from saddlelib.methods.rules import names
from saddlelib.problems import Octopus, QuarticSaddle

torch = pytest.importorskip("torch")


def fun(x):
    return x[0]**4 / 4 - x[0]**2 / 2 + x[1]**2


def grad(x):
    return np.array([x[0]**3 - x[0], 2 * x[1]])


def hvp(x, v):
    return np.array([(3 * x[0]**2 - 1) * v[0], 2 * v[1]])


SADDLE = [0.0, 1.0]  # gradient descent from here ends in (0, 0)
SOLVERS = ["CG", "BFGS", "Newton-CG", "L-BFGS-B", "TNC", "SLSQP", "trust-ncg", "trust-krylov",
           "trust-constr"]


PRODUCTS = {"Newton-CG", "trust-ncg", "trust-krylov", "trust-constr"}


def at_minimum(result):
    """Certified, and right."""
    assert result.success and result.status == Status.CERTIFIED and result.certificate.passed
    x = np.asarray(result.x)
    assert abs(abs(x[0]) - 1) < 2e-3 and abs(x[1]) < 2e-3
    return result


def test_nothing_else_known():
    result = at_minimum(saddlelib.minimize(fun, SADDLE))
    assert "differences of fun" in result.message


def test_scipys_words():
    result = at_minimum(saddlelib.minimize(fun, SADDLE, jac=grad, hessp=hvp))
    assert result.nhvp > 0


@pytest.mark.parametrize("name", SOLVERS)
def test_a_solver_of_scipys_certified_and_restarted(name):
    assert np.abs(scipy.optimize.minimize(fun, SADDLE, jac=grad, hessp=hvp if name in PRODUCTS
                                          else None, method=name).x[0]) < 1e-6
    at_minimum(saddlelib.minimize(fun, SADDLE, jac=grad, method=name))
    at_minimum(scipy.optimize.minimize(fun, SADDLE, jac=grad, method=certified(name)))
    assert at_minimum(saddlelib.minimize(fun, SADDLE, jac=grad, method=name.upper(), rng=1))


@pytest.mark.parametrize("name", ["dogleg", "trust-exact"])
def test_a_solver_that_needs_hessians_says_so(name):
    def hess(x):
        return np.diag([3 * x[0]**2 - 1, 2.0])
    at_minimum(saddlelib.minimize(fun, [1.2, 1.0], jac=grad, hess=hess, method=name))
    with pytest.raises(ValueError, match="needs hess"):
        saddlelib.minimize(fun, SADDLE, jac=grad, method=name)


def test_options_of_the_inner_solver_reach_it():
    at_minimum(saddlelib.minimize(fun, SADDLE, jac=grad, method="L-BFGS-B",
                                  options=dict(maxcor=3, maxiter=500)))


def test_a_method_object():
    problem = QuarticSaddle(0.5, [1.0])
    pgd = methods.PGD.practical(step_size=0.5, epsilon=1e-3, dim=2,
                                lipschitz_hess=problem.lipschitz_hess)
    result = saddlelib.minimize(problem, [0.0, 1.0], method=pgd, rng=0)
    assert result.success and result.certificate.epsilon == 1e-3


@pytest.mark.parametrize("method", [methods.OrderAwareNewton(), methods.SafeGDPolyak(0.1),
                                    methods.GradientDescent(0.1)], ids=lambda m: type(m).__name__)
def test_a_method_object_that_stops_at_no_gradient_needs_no_epsilon(method):
    """Its grad_threshold is 0; the accuracy of the run is then the default, or what is told."""
    for result in (saddlelib.minimize(fun, [0.5, 1.0], method, jac=grad, maxiter=300),
                   scipy.optimize.minimize(fun, [0.5, 1.0], jac=grad, method=certified(method),
                                           options=dict(maxiter=300)),
                   saddlelib.minimize(fun, [0.5, 1.0], method, jac=grad, maxiter=300, tol=1e-6)):
        assert result.status in (Status.CERTIFIED, Status.PRECISION, Status.MAXITER)
        assert np.linalg.norm(grad(result.x)) < 1e-6


def test_as_in_scipy_with_no_options():
    result = at_minimum(scipy.optimize.minimize(fun, SADDLE, jac=grad, method=certified))
    assert set(result.estimates) >= {"hess_norm", "lipschitz_hess", "curvature_tol"}
    at_minimum(scipy.optimize.minimize(fun, SADDLE, jac=grad, method=certified("trust-krylov")))
    at_minimum(scipy.optimize.minimize(fun, SADDLE, method=certified, tol=1e-3,
                                       options=dict(disp=False, rng=3)))
    at_minimum(scipy.optimize.minimize(lambda x, a: a * fun(x), SADDLE, args=(2.0,),
                                       jac=lambda x, a: a * grad(x), method=certified))
    at_minimum(scipy.optimize.minimize(lambda x: (fun(x), grad(x)), SADDLE, jac=True,
                                       method=certified))
    assert pickle.loads(pickle.dumps(certified("BFGS")))(fun, SADDLE, jac=grad).success


def test_a_function_as_inner_solver():
    """Like those that SciPy takes as ``method``."""
    def descend(fun, x0, args=(), jac=None, callback=None, **options):
        x = x0
        for _ in range(200):
            x = x - 0.2 * jac(x)
            callback(x)
        return scipy.optimize.OptimizeResult(x=x, fun=fun(x), jac=jac(x), nit=200, success=True)
    at_minimum(saddlelib.minimize(fun, SADDLE, jac=grad, method=descend))


def test_a_loss_of_torch():
    start = torch.tensor(SADDLE, dtype=torch.float64)
    result = at_minimum(saddlelib.minimize(fun, start, jac="torch"))
    assert isinstance(result.x, torch.Tensor) and result.nhvp > 0
    assert "torch" not in str(result.message) or result.success


def test_the_parameters_of_a_model():
    """From zero, where plain training does not move: a product of two layers."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2, bias=False),
                                torch.nn.Linear(2, 3, bias=False)).double()
    for p in model.parameters():
        torch.nn.init.zeros_(p)
    inputs = torch.randn(40, 3, dtype=torch.float64)
    targets = inputs @ torch.diag(torch.tensor([2.0, 1.0, 0.0], dtype=torch.float64))

    def loss():
        return ((model(inputs) - targets)**2).mean()
    result = saddlelib.minimize(loss, model.parameters(), jac="torch", rng=0)
    assert result.success and loss().item() == pytest.approx(result.fun) and result.fun < 1e-4
    assert result.estimates["escapes"] >= 1


@pytest.mark.parametrize("jac", [None, "2-point", "3-point", "cs", grad])
def test_a_start_of_any_shape_comes_back_in_it(jac):
    def shaped(f):
        return lambda x: f(np.asarray(x).reshape(2))
    start = np.array(SADDLE).reshape(2, 1)
    gradient = (lambda x: grad(x.reshape(2)).reshape(2, 1)) if callable(jac) else jac
    result = saddlelib.minimize(shaped(fun), start, jac=gradient, rng=0, trace="x")
    assert result.success and result.x.shape == result.jac.shape == (2, 1)
    assert result.trace["x"].shape == (result.nit + 1, 2, 1)


def test_one_number_is_a_point_too():
    result = saddlelib.minimize(lambda x: (x**2 - 1)**2, 0.0, rng=0)
    assert result.success and np.shape(result.x) == () and abs(abs(result.x) - 1) < 1e-3


def test_float32_is_answered_in_float64_and_said():
    result = saddlelib.minimize(lambda x: np.float32(fun(x)), np.array(SADDLE, dtype=np.float32),
                                jac=lambda x: grad(x).astype(np.float32), rng=0)
    at_minimum(result)
    assert result.x.dtype == np.float64 and "float32" in result.message


@pytest.mark.parametrize("words", [dict(bounds=[(0, 1)] * 2),
                                   dict(constraints={"type": "eq", "fun": sum})])
def test_bounds_and_constraints_are_refused_with_a_hint(words):
    with pytest.raises(ValueError, match="are not supported.*substitute"):
        saddlelib.minimize(fun, SADDLE, **words)


def test_epsilon_tol_and_gtol_are_one_accuracy():
    runs = [saddlelib.minimize(fun, SADDLE, jac=grad, rng=0, **words) for words in (
        dict(epsilon=1e-6), dict(tol=1e-6), dict(gtol=1e-6), dict(options=dict(gtol=1e-6)),
        dict(gtol=1e-6, tol=1e-6))]
    assert {run.certificate.epsilon for run in runs} == {1e-6}
    assert len({run.x.tobytes() for run in runs}) == 1
    with pytest.raises(ValueError, match="one accuracy"):
        saddlelib.minimize(fun, SADDLE, tol=1e-3, gtol=1e-4)
    with pytest.raises(TypeError, match="maxiter is given twice"):
        saddlelib.minimize(fun, SADDLE, maxiter=3, options=dict(maxiter=4))
    with pytest.raises(TypeError, match="options must be a dictionary"):
        saddlelib.minimize(fun, SADDLE, options=[])


@pytest.mark.parametrize("method", [None, "L-BFGS-B", "trust-ncg"])
def test_the_callback_and_the_trace_see_every_iterate(method):
    seen = []
    result = saddlelib.minimize(fun, SADDLE, method, jac=grad, rng=0, callback=seen.append,
                                trace=("x", "fun"))
    assert len(seen) == len(result.trace["x"]) - 1 > 2
    assert (np.array(seen) == result.trace["x"][1:]).all()

    def stop(xk):
        if len(seen) >= count + 2:
            raise StopIteration
        seen.append(xk)
    count = len(seen)
    ended = saddlelib.minimize(fun, SADDLE, method, jac=grad, rng=0, callback=stop)
    assert ended.status == Status.CALLBACK and not ended.success


# SciPy's trust-krylov reads memory that nobody has written to, so it is not the same run twice.
@pytest.mark.parametrize("method", [None, "L-BFGS-B", "BFGS", "trust-ncg"])
def test_a_larger_budget_is_never_worse(method):
    problem = Octopus(4)
    last = np.inf
    for maxfev in (2, 5, 11, 23, 47, 95, 400):
        result = saddlelib.minimize(problem.fun, np.full(4, 1e-3), method, jac=problem.grad, rng=0,
                                    maxfev=maxfev)
        assert result.fun <= last
        assert result.success or result.status == Status.MAXFEV
        last = result.fun
    assert result.success


def test_a_run_in_pieces_is_the_run():
    problem = Octopus(4)
    whole = saddlelib.minimize(problem, np.zeros(4), rng=0)
    part = saddlelib.minimize(problem, np.zeros(4), rng=0, maxiter=0)
    while not part.success:
        state = pickle.loads(pickle.dumps(part.state))
        part = saddlelib.minimize(problem, state=state, maxiter=1)
    assert (part.x == whole.x).all() and part.nit == whole.nit


def test_lines_and_a_bar(capsys):
    pytest.importorskip("tqdm")
    saddlelib.minimize(fun, SADDLE, jac=grad, rng=0)
    quiet = capsys.readouterr()
    assert quiet.out == quiet.err == ""
    result = saddlelib.minimize(fun, SADDLE, jac=grad, rng=0, disp=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["step", "f(x)", "‖∇f(x)‖", "calls"]
    assert [int(line.split()[0]) for line in lines[1:-1]][:4] == [0, 1, 2, 5][:len(lines) - 2]
    assert lines[-1] == result.message
    saddlelib.minimize(fun, SADDLE, jac=grad, rng=0, progress=True)
    assert "steps" in capsys.readouterr().err


def test_a_result_prints_what_the_run_has():
    plain = repr(saddlelib.minimize(fun, SADDLE, jac=grad, rng=0))
    assert "Certified: a second-order stationary point" in plain and "curvature_tol" in plain
    for absent in ("nsamples", "trace", "state", "perturbed_at"):
        assert absent not in plain
    noisy = saddlelib.minimize(QuarticSaddle(), np.zeros(2), "sgd", step_size=0.1, batch_size=7,
                               grad_noise=0.1, maxiter=3, rng=0, trace="fun")
    assert "nsamples" in repr(noisy) and "trace" in repr(noisy) and noisy.nsamples > 0


@pytest.mark.parametrize("change, error, words", [
    (dict(jac="4-point"), ValueError, "jac must be.*4-point"),
    (dict(jac=3), TypeError, "jac must be.*3"),
    (dict(hessp=3), TypeError, "hessp must be.*3"),
    (dict(hess="BFGS"), TypeError, "hess must be.*BFGS"),
    (dict(method="adam"), ValueError, "method must be None.*L-BFGS-B.*adam"),
    (dict(epsilon=0.0), ValueError, "epsilon must be.*0.0"),
    (dict(tol=-1.0), ValueError, "must be.*-1.0"),
    (dict(curvature_tol=0.0), ValueError, "curvature_tol must be.*0.0"),
    (dict(failure_prob=1.5), ValueError, "failure_prob must.*1.5"),
    (dict(maxiter=-1), ValueError, "maxiter must be.*-1"),
    (dict(maxfev=0), ValueError, "maxfev must be.*0"),
    (dict(maxsamples=0), ValueError, "maxsamples must be.*0"),
    (dict(x0=[np.nan, 1.0]), ValueError, "x0 must be finite"),
    (dict(x0="a"), TypeError, "x0 must"),
    (dict(fun=3), TypeError, "fun must be.*3"),
    (dict(disp="yes"), TypeError, "disp must be.*yes"),
    (dict(progress="yes"), TypeError, "progress must be.*yes"),
    (dict(callback=3), TypeError, "callback must be.*3"),
    (dict(step_size=0.1), ValueError, "leave step_size out"),
    (dict(grad_noise=0.1), ValueError, "grad_noise.*psgd"),
    (dict(delta_f=1.0), TypeError, "no option delta_f"),
    (dict(method="gd"), ValueError, "give step_size.*method=None"),
    (dict(nonsense=1), TypeError, "no option nonsense"),
    (dict(rng="a"), TypeError, "rng must be"),
    (dict(certificate=None), TypeError, "certificate must be.*None"),
])
def test_bad_values_are_named_with_the_remedy(change, error, words):
    with pytest.raises(error, match=words):
        saddlelib.minimize(**{**dict(fun=fun, x0=SADDLE, jac=grad, rng=0), **change})


def test_the_default_needs_no_name():
    assert "certified" in names()
    by_name = saddlelib.minimize(fun, SADDLE, "certified", jac=grad, rng=0)
    assert (by_name.x == saddlelib.minimize(fun, SADDLE, jac=grad, rng=0).x).all()
