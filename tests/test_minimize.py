"""The front doors: what they return, what they cost, and what they refuse."""

import pickle
import re

import numpy as np
import pytest
import scipy.optimize
from thorough import instances

import saddlelib
from saddlelib import Oracle, SampleCertificate, Status, Verdict, minimize
from saddlelib.oracle import FiniteSum
from saddlelib.problems import (
    DraggedSaddle,
    MatrixFactorization,
    MonkeySaddle,
    QuadraticSaddle,
    QuarticSaddle,
    SeparableQuartic,
    catalogue,
    networks,
)

QUARTIC = QuarticSaddle(gamma=0.5, eigenvalues=[1.0, 2.0])
BOUNDED = [p for p in catalogue() + networks() if np.isfinite(p.f_star) and len(p.saddles)]
# Of two of them ones with a smaller condition number: the rules of papers take fewer steps there.
MILD = [MatrixFactorization.from_eigenvalues([1.0, 0.8], 3, rng=0), DraggedSaddle(0.3, pull=0.25)]
RULES = [("gd", {}), ("pgd", {}), ("pgd", dict(rule="jin2017")),
         ("pgd", dict(rule="jin2021")), ("pgd", dict(beta=100.0, local_iterations=5)), ("psd", {}),
         ("psd", dict(use_direction=False)), ("psd", dict(rule="published")),
         ("psd", dict(rule="repaired")), ("psgd", {})]
NAMES = ["gd", "pgd", "pgd-jin2017", "pgd-jin2021", "pgdli", "psd", "psd-random", "psd-published",
         "psd-repaired", "psgd"]


def epsilon_for(problem):
    """An ε at which every saddle of the problem is seen: √(ρε) is 0.9 of its curvature."""
    return (0.9 * max(problem.saddle_min_eigs)) ** 2 / problem.lipschitz_hess


@pytest.mark.parametrize("problem", instances(
    [p for p in BOUNDED if p.name not in {mild.name for mild in MILD}] + MILD, BOUNDED),
    ids=lambda p: p.name)
@pytest.mark.parametrize("method, options", RULES, ids=NAMES)
def test_every_method_on_every_problem_tells_the_truth(problem, method, options):
    """From a saddle: gd stops there and says so, the others end without negative curvature."""
    epsilon = min(epsilon_for(problem), 0.05)
    x0 = problem.saddles[0]
    result = minimize(problem, x0, method, epsilon=epsilon, rng=3, maxiter=50_000, **options)
    eigenvalue = np.linalg.eigvalsh(problem.hess(result.x))[0]
    tol = np.sqrt(problem.lipschitz_hess * epsilon)
    if method == "gd":
        assert not result.success and result.status == Status.SADDLE and result.nit == 0
        assert result.certificate.verdict is Verdict.NEGATIVE_CURVATURE and eigenvalue < -tol
    else:
        assert result.success and result.status == Status.CERTIFIED
        assert np.linalg.norm(problem.grad(result.x)) <= epsilon and eigenvalue >= -tol
        assert result.fun < problem.fun(x0) and result.certificate.passed
        assert result.perturbed_at[0] == 0
    assert result.fun == problem.fun(result.x)
    np.testing.assert_array_equal(result.jac, problem.grad(result.x))
    assert result.message.startswith(Status(result.status).sentence)


class Counting:
    """A problem that keeps its own books."""

    def __init__(self, problem):
        self.problem, self.count = problem, dict.fromkeys(("fun", "grad", "hvp", "hess"), 0)

    def __getattr__(self, name):
        value = getattr(self.problem, name)
        if name not in self.count:
            return value

        def counted(*args):
            self.count[name] += 1
            return value(*args)
        return counted


@pytest.mark.parametrize("method, options", RULES, ids=NAMES)
@pytest.mark.parametrize("trace", [(), ("fun", "x", "grad_norm")])
def test_every_call_is_counted_those_of_the_certificate_too(method, options, trace):
    books = Counting(QUARTIC)
    result = minimize(books, np.zeros(3), method, rng=0, trace=trace, epsilon=0.02, **options)
    assert (result.nfev, result.njev, result.nhvp, result.nhev) == tuple(books.count.values())
    assert result.nhvp >= result.certificate.nhvp > 0
    # The start, every step, and where it stops; "gd" and "repaired" stop with a step.
    stop = method != "gd" and options.get("rule") != "repaired"
    for rows in (result.trace or {}).values():
        assert len(rows) == result.nit + 1 + stop


def test_the_trace_is_what_was_asked_for():
    result = minimize(QUARTIC, [0.1, 1.0, 1.0], "gd", trace=("x", "fun", "grad_norm"), rng=0)
    x = result.trace["x"]
    assert x.shape == (result.nit + 1, 3) and (x[-1] == result.x).all()
    np.testing.assert_array_equal(result.trace["fun"], QUARTIC.fun(x))
    assert result.trace["grad_norm"] == pytest.approx(np.linalg.norm(QUARTIC.grad(x), axis=1))
    assert minimize(QUARTIC, np.ones(3), "gd", rng=0).trace is None


def plain(problem):
    return dict(fun=problem.fun, jac=problem.grad, hessp=problem.hvp)


@pytest.mark.parametrize("method", [saddlelib.gd, saddlelib.pgd, saddlelib.psd, saddlelib.psgd])
def test_scipys_door_leads_to_the_same_run(method):
    options = dict(epsilon=1e-3, lipschitz_grad=QUARTIC.lipschitz_grad,
                   lipschitz_hess=QUARTIC.lipschitz_hess, rng=5)
    through = scipy.optimize.minimize(x0=np.zeros(3), method=method, options=options,
                                      **plain(QUARTIC))
    direct = minimize(QUARTIC, np.zeros(3), method.__name__, epsilon=1e-3, rng=5)
    assert isinstance(through, scipy.optimize.OptimizeResult)
    for name in ("x", "fun", "jac", "nit", "nfev", "njev", "nhvp", "status", "success", "message"):
        assert np.array_equal(getattr(through, name), getattr(direct, name)), name
    assert through.certificate.min_eig == direct.certificate.min_eig


def test_scipys_conventions_jac_true_args_tol_and_integers():
    def both(x, scale):
        return scale * QUARTIC.fun(x), scale * QUARTIC.grad(x)
    result = scipy.optimize.minimize(
        both, [0, 1, 0], args=(2.0,), jac=True, method=saddlelib.pgd, tol=1e-2,
        options=dict(step_size=0.2, lipschitz_hess=2 * QUARTIC.lipschitz_hess, rng=0))
    assert result.success and result.nhvp == 0 and result.certificate.epsilon == 1e-2
    for extra in (dict(bounds=[(0, 1)] * 3), dict(constraints={"type": "eq", "fun": sum})):
        with pytest.raises(ValueError, match="not supported"):
            scipy.optimize.minimize(QUARTIC.fun, np.zeros(3), jac=QUARTIC.grad,
                                    method=saddlelib.pgd, **extra)
    by_values = scipy.optimize.minimize(
        QUARTIC.fun, np.zeros(3), method=saddlelib.pgd, tol=1e-2,
        options=dict(step_size=0.2, lipschitz_hess=QUARTIC.lipschitz_hess, rng=0))
    assert by_values.success and "differences of fun" in by_values.message


def test_both_kinds_of_callback_and_stopiteration():
    seen = []

    def classic(xk):
        seen.append(xk)

    def modern(intermediate_result):
        seen.append(intermediate_result)
        if intermediate_result.nit == 4:
            raise StopIteration

    start = [0.1, 1.0, 1.0]
    result = minimize(QUARTIC, start, "gd", callback=classic, rng=0)
    assert len(seen) == result.nit and (seen[-1] == result.x).all()
    seen.clear()
    result = minimize(QUARTIC, start, "gd", callback=modern, rng=0)
    assert result.status == Status.CALLBACK == 99 and not result.success and result.nit == 4
    assert [r.nit for r in seen] == [1, 2, 3, 4]
    assert all(r.fun == QUARTIC.fun(r.x) for r in seen)


def test_a_callback_that_raises_is_heard_and_says_when():
    def broken(xk):
        raise ZeroDivisionError("mine")
    with pytest.raises(ZeroDivisionError, match="mine") as info:
        minimize(QUARTIC, np.ones(3), "gd", callback=broken, rng=0)
    assert info.value.__notes__ == ["raised by the callback", "after step 1"]
    with pytest.raises(TypeError, match="callback"):
        minimize(QUARTIC, np.ones(3), "gd", callback=3)


def test_what_callbacks_do_to_their_argument_does_not_matter():
    def vandal(intermediate_result):
        intermediate_result.x[:] = np.nan
    kept = minimize(QUARTIC, np.ones(3), "gd", callback=vandal, rng=0)
    assert (kept.x == minimize(QUARTIC, np.ones(3), "gd", rng=0).x).all()


@pytest.mark.parametrize("noise", [0.0, 1e-3])
@pytest.mark.parametrize("method, options", RULES[1:], ids=NAMES[1:])
def test_a_run_cut_short_goes_on_bit_for_bit(method, options, noise):
    options = dict(method=method, rng=11, epsilon=1e-2, grad_noise=noise, **options)
    whole = minimize(QUARTIC, [0.0, 0.3, 0.1], maxiter=300, **options)
    part = minimize(QUARTIC, [0.0, 0.3, 0.1], maxiter=4, **options)
    assert part.status == Status.MAXITER and part.nit == 4 and not part.success
    state = pickle.loads(pickle.dumps(part.state))
    while part.status == Status.MAXITER and part.nit < 300:
        part = minimize(QUARTIC, state=state, maxiter=min(29, 300 - part.nit), **options)
        state = part.state
    assert part.nit == whole.nit and (part.x == whole.x).all() and part.status == whole.status
    assert part.perturbed_at == whole.perturbed_at


def test_going_on_leaves_the_old_state_as_it_was():
    part = minimize(QUARTIC, np.zeros(3), "pgd", rng=1, maxiter=0)
    first, second = (minimize(QUARTIC, state=part.state, method="pgd") for _ in range(2))
    assert part.state.nit == 0 and (first.x == second.x).all()


def test_the_keyboard_ends_a_run_without_losing_it():
    calls = iter(range(10**6))

    def grad(x):
        if next(calls) == 20:
            raise KeyboardInterrupt
        return QUARTIC.grad(x)
    result = minimize(QUARTIC.fun, [0.1, 1.0, 1.0], "gd", jac=grad, hessp=QUARTIC.hvp,
                      step_size=0.1, curvature_tol=0.1)
    assert result.status == Status.INTERRUPTED and result.nit == 19 and not result.success
    again = minimize(QUARTIC, method="gd", state=result.state, step_size=0.1, curvature_tol=0.1)
    assert again.success


def test_the_same_rng_gives_the_same_run_and_another_another():
    runs = [minimize(QUARTIC, np.zeros(3), "pgd", rng=rng) for rng in (1, 1, 2)]
    assert (runs[0].x == runs[1].x).all() and (runs[0].x != runs[2].x).any()


def test_budgets_end_runs_and_never_look_like_success():
    for budget, status in [(dict(maxiter=3), Status.MAXITER), (dict(maxfev=5), Status.MAXFEV)]:
        result = minimize(QUARTIC, [1e-3, 1.0, 1.0], "pgd", rng=0, **budget)
        assert result.status == status and not result.success and result.certificate is None
        assert result.njev + result.nfev <= 8
    nowhere = minimize(QUARTIC, np.ones(3), "gd", maxiter=0, rng=0)
    assert nowhere.nit == 0 and nowhere.status == Status.MAXITER


def test_without_a_certificate_there_is_no_success():
    result = minimize(QUARTIC, QUARTIC.minimizers[0], "gd", certificate=False, rng=0)
    assert result.status == Status.NOT_LOOKED_AT and not result.success
    assert result.certificate is None and result.nhvp == 0


def test_a_certificate_that_the_method_had_to_pay_for_is_used_all_the_same():
    """"psd" looks at the curvature to decide whether to perturb; nothing is paid on top of that."""
    asked, unasked = (minimize(QUARTIC, np.zeros(3), "psd", rng=0, certificate=certificate)
                      for certificate in (True, False))
    assert unasked.success and unasked.certificate is unasked.state.certificate
    assert (asked.x == unasked.x).all() and asked.nhvp == unasked.nhvp
    noisy = minimize(QUARTIC, np.zeros(3), "psd", rng=0, certificate=False, grad_noise=1e-9)
    assert noisy.status == Status.NOT_LOOKED_AT and noisy.certificate is None
    one = minimize(QUARTIC, np.zeros(3), "psd", rng=0, certificate=False, use_direction=False,
                   episode_length=1)
    assert one.status == Status.SADDLE and not one.success


def test_a_state_goes_on_with_a_rule_that_knows_no_delta_f():
    part = minimize(QUARTIC, np.ones(3), "pgd", rule="jin2017", rng=0, maxiter=1)
    assert part.state.delta_f == QUARTIC.fun(np.ones(3)) - QUARTIC.f_star
    assert minimize(QUARTIC, state=part.state, method="pgd").success
    # And one that began without gets its own from where the rule was first asked for.
    part = minimize(QUARTIC, [0.3, 1.0, 1.0], "pgd", rng=0, maxiter=1)
    whole = minimize(QUARTIC, state=part.state, method="pgd", rule="jin2017")
    half = minimize(QUARTIC, state=part.state, method="pgd", rule="jin2017", maxiter=3)
    rest = minimize(QUARTIC, state=half.state, method="pgd", rule="jin2017")
    assert half.state.delta_f == rest.state.delta_f == whole.state.delta_f
    assert (rest.x == whole.x).all() and part.state.delta_f is None


def test_a_certificate_that_cannot_tell_is_no_success():
    wide = QuadraticSaddle(np.append(0.0, np.geomspace(1e-7, 1e3, 299)))
    result = minimize(wide, np.zeros(300), "gd", epsilon=1e-3, curvature_tol=1e-8, rng=0)
    assert result.status == Status.CANNOT_TELL and not result.success
    assert "error" in result.message


@pytest.mark.parametrize("method", ["gd", "pgd"])
@pytest.mark.parametrize("which", ["grad", "x"])
def test_what_is_not_finite_ends_the_run_at_the_last_finite_point(method, which):
    if which == "grad":
        def grad(x):
            return QUARTIC.grad(x) if x[1] > 0.5 else np.array([0.0, np.nan, 0.0])
        result = minimize(QUARTIC.fun, [0.1, 1.0, 1.0], method, jac=grad, hessp=QUARTIC.hvp,
                          step_size=0.1, curvature_tol=0.1, rng=0)
        assert result.x[1] > 0.5
    else:
        result = minimize(MonkeySaddle(), [-1.0, 0.1], method, step_size=0.5, rng=0)
    assert result.status == Status.NONFINITE and not result.success
    assert np.isfinite(result.x).all() and np.isfinite(result.jac).all() and result.nit > 0


def test_a_start_with_an_infinite_gradient_is_returned_as_it_is():
    result = minimize(QUARTIC.fun, np.ones(3), "gd", jac=lambda x: np.full(3, np.inf),
                      hessp=QUARTIC.hvp, step_size=0.1, curvature_tol=0.1)
    assert result.status == Status.NONFINITE and result.nit == 0


def test_a_decrease_that_float64_cannot_see_is_said_with_its_numbers():
    shifted = dict(jac=QUARTIC.grad, hessp=QUARTIC.hvp, lipschitz_grad=2.0, lipschitz_hess=4.3)
    result = minimize(lambda x: 1.0 + QUARTIC.fun(x), np.zeros(3), "pgd", rule="jin2017",
                      epsilon=1e-7, delta_f=1.0, rng=0, **shifted)
    assert result.status == Status.PRECISION and not result.success and result.nit == 0
    assert "f = 1 to 2.2e-16" in result.message


def test_a_perturbation_that_float64_cannot_see_is_said_with_its_numbers():
    far = np.array([0.0, 1e9, 1e9])
    flat = dict(jac=lambda x: QUARTIC.grad(x - far), hessp=lambda x, v: QUARTIC.hvp(x - far, v))
    result = minimize(lambda x: QUARTIC.fun(x - far), far, "pgd", step_size=0.5,
                      curvature_tol=0.3, epsilon=1e-3, perturbation_radius=1e-9, rng=0, **flat)
    assert result.status == Status.PRECISION and "1.2e-07" in result.message


DOUBLE_WELL = dict(jac=lambda x: np.array([x[0]**3 - x[0], 2 * x[1]]), step_size=0.2,
                   lipschitz_hess=6.0, rng=0)


def double_well(x):
    return x[0]**4 / 4 - x[0]**2 / 2 + x[1]**2


@pytest.mark.parametrize("method", ["gd", "pgd", "psd"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_success_needs_a_finite_value(method, value):
    """Where the gradient is small f is not finite; the point before it is the last finite one."""
    def fun(x):
        return value if np.linalg.norm(DOUBLE_WELL["jac"](x)) < 1e-2 else double_well(x)
    result = minimize(fun, [0.5, 1.0], method, **DOUBLE_WELL)
    assert result.status == Status.NONFINITE and not result.success
    assert result.fun == double_well(result.x) and np.isfinite(result.fun)
    assert result.certificate is None and "λ_min" not in result.message
    np.testing.assert_array_equal(result.jac, DOUBLE_WELL["jac"](result.x))


def test_where_f_is_finite_nowhere_the_end_is_returned_and_says_so():
    result = minimize(lambda x: np.nan, [0.5, 1.0], "gd", **DOUBLE_WELL)
    assert result.status == Status.NONFINITE and np.isnan(result.fun) and result.nit > 5
    assert "f = nan" in result.message
    budget = minimize(lambda x: np.nan, [0.5, 1.0], "gd", maxiter=2, **DOUBLE_WELL)
    assert budget.status == Status.MAXITER and budget.nit == 2 and not budget.success


def test_a_start_whose_value_is_infinite_does_not_matter_once_it_is_left():
    def fun(x):
        return np.inf if x[1] > 0.9 else double_well(x)
    for method in ("gd", "psd"):
        assert minimize(fun, [0.5, 1.0], method, **DOUBLE_WELL).success


def test_a_run_that_leaves_the_finite_numbers_names_its_step():
    result = minimize(MonkeySaddle(), [-1.0, 0.1], "gd", step_size=0.5, rng=0)
    assert f"the step after number {result.nit}; a step_size below 0.5 may help" in result.message
    assert np.isfinite(result.fun) and np.isfinite(result.jac).all()


@pytest.mark.parametrize("error", [StopIteration, StopIteration("mine"), ValueError("mine"),
                                   AttributeError("mine"), ZeroDivisionError("mine")])
@pytest.mark.parametrize("name", ["fun", "jac", "hessp"])
@pytest.mark.parametrize("method", ["gd", "psd", "pgd", "psgd"])
def test_what_a_function_raises_gets_out_as_it_is_and_says_from_where(method, name, error):
    parts = dict(fun=QUARTIC.fun, jac=QUARTIC.grad, hessp=QUARTIC.hvp)
    error, good, calls = error if isinstance(error, Exception) else error(), parts[name], []

    def broken(*arguments):
        calls.append(1)
        if len(calls) > (3 if name == "jac" else 0):
            raise error
        return good(*arguments)
    parts[name] = broken
    with pytest.raises(type(error)) as info:
        minimize(parts.pop("fun"), [0.1, 1.0, 1.0], method, step_size=0.2, lipschitz_hess=4.3,
                 rng=0, **parts)
    assert info.value is error and f"raised by {name}" in error.__notes__
    if name == "jac":
        assert "after step 2" in error.__notes__


def test_a_stopiteration_of_fun_is_not_taken_for_that_of_the_callback():
    def fun(x):
        return next(iter(()))

    def modern(intermediate_result):
        raise AssertionError("asked although fun raised")
    for callback in (modern, None):
        with pytest.raises(StopIteration):
            minimize(fun, np.ones(3), "gd", jac=QUARTIC.grad, hessp=QUARTIC.hvp, step_size=0.2,
                     lipschitz_hess=4.3, callback=callback)
    with pytest.raises(StopIteration):
        minimize(fun, np.ones(3), "gd", jac=QUARTIC.grad, hessp=QUARTIC.hvp, step_size=0.2,
                 lipschitz_hess=4.3, trace="fun", callback=lambda xk: None)


def test_terms_say_that_they_raised_and_only_once():
    def grads(x, i):
        raise LookupError("no data")
    terms = FiniteSum(QUARTIC.fun, grads, 10, 3)
    with pytest.raises(LookupError) as info:
        Oracle(terms, rng=0).grad(np.ones(3))
    assert info.value.__notes__ == ["raised by grads"]


def test_success_needs_the_two_norm_of_the_gradient():
    """At d = 400 the largest entry can be 20 times smaller than the norm."""
    p = SeparableQuartic(400)
    result = minimize(p, np.full(400, 0.6), "gd", epsilon=1e-2, rng=0)
    assert result.success and np.linalg.norm(result.jac) <= 1e-2


def test_noise_is_counted_as_noise_and_kept_out_of_the_certificate():
    result = minimize(QUARTIC, np.zeros(3), "gd", grad_noise=0.05, epsilon=0.08, rng=2,
                      curvature_tol=0.05, maxiter=2000)
    assert result.certificate is None or result.certificate.grad_norm == pytest.approx(
        np.linalg.norm(QUARTIC.grad(result.x)))
    oracle = Oracle(QUARTIC, grad_noise=0.3, rng=0)
    noise = np.array([oracle.grad(np.ones(3)) - QUARTIC.grad(np.ones(3)) for _ in range(4000)])
    assert np.mean((noise**2).sum(1)) == pytest.approx(0.09, rel=0.05)
    assert oracle.last_noise == pytest.approx(noise[-1])


STOCHASTIC = [("psgd", {}), ("psgd", dict(rule="published", batch_size=8)),
              ("psgd", dict(rule="jin2021", iota=1.0)), ("sgd", dict(batch_size=8)),
              ("cnc-sgd", dict(batch_size=8, large_step=0.8, interval=10))]
STOCHASTIC_NAMES = ["practical", "published", "jin2021", "sgd", "cnc"]
SPREAD = 0.02 * np.array([[1.0, 1.0, 1.0], [-1.0, 1.0, -1.0], [1.0, -1.0, -1.0], [-1.0, -1.0, 1.0]])
TERMS = FiniteSum(QUARTIC.fun, lambda x, i: QUARTIC.grad(x) + np.tile(SPREAD, (25, 1))[i], 100, 3,
                  hvps=lambda x, v, i: np.tile(QUARTIC.hvp(x, v), (i.size, 1)),
                  lipschitz_grad=QUARTIC.lipschitz_grad, lipschitz_hess=QUARTIC.lipschitz_hess,
                  f_star=QUARTIC.f_star)
NOISE = dict(epsilon=0.03, rng=4)


@pytest.mark.parametrize("method, options", STOCHASTIC, ids=STOCHASTIC_NAMES)
@pytest.mark.parametrize("sum_", [False, True], ids=["noise", "terms"])
def test_budgets_are_in_samples_and_a_spent_one_is_no_success(method, options, sum_):
    options = dict(step_size=None if "rule" in options else 0.3, **options, **NOISE)
    if method == "psgd":
        options.update(sample_noise=0.04)
    if not sum_:
        options.update(grad_noise=0.03)
    problem, of_f = (TERMS, 100) if sum_ else (QUARTIC, 1)
    result = minimize(problem, [0.2, 1.0, 1.0], method, maxsamples=120, **options)
    assert result.status == Status.MAXSAMPLES and not result.success
    assert result.certificate is None and result.nit > 0 and "samples" in result.message
    assert result.nsamples - of_f >= 120  # the value at the end is counted, and not of the budget
    shorter = minimize(problem, [0.2, 1.0, 1.0], method, maxiter=result.nit - 1, **options)
    assert shorter.nsamples - of_f < 120


ON_TERMS = dict(sample_noise=0.02 * 3**0.5, hess_noise=0.0)


@pytest.mark.parametrize("problem, replacement, more", [
    (QUARTIC, None, dict(grad_noise=0.1)), (QUARTIC, None, dict(grad_noise=0.1, noise_df=3)),
    (TERMS, False, ON_TERMS), (TERMS, True, ON_TERMS)],
    ids=["Gaussian noise", "noise of three moments", "terms", "terms with replacement"])
@pytest.mark.parametrize("check", ["calibrated", "bounded", "robust"])
def test_psgd_ends_certified_on_noise_and_on_terms(check, problem, replacement, more):
    if problem is TERMS:
        problem.replacement = replacement
    result = minimize(problem, np.zeros(3), "psgd", check=check, **NOISE, **more)
    assert result.success and result.certificate is result.state.certificate
    assert isinstance(result.certificate, SampleCertificate)
    assert np.linalg.norm(QUARTIC.grad(result.x)) <= 0.03 and abs(result.x[0]) > 0.5
    assert result.perturbed_at[0] == 0 and result.nsamples > result.certificate.nsamples
    assert result.certificate.failure_prob <= 1e-4 / 6  # the second of the run


def test_a_mini_batch_gradient_never_reaches_the_certificate():
    """Four terms whose gradients cancel: any one of them looks stationary 0.2 from the minimum."""
    x = QUARTIC.minimizers[0] + [0.02, 0.0, 0.0]
    slope = QUARTIC.grad(x)
    terms = FiniteSum(QUARTIC.fun, lambda y, i: QUARTIC.grad(y) - np.where(
        i[:, np.newaxis] < 50, slope, -slope), 100, 3, hvp=QUARTIC.hvp, lipschitz_hess=4.3,
        lipschitz_grad=2.0, f_star=QUARTIC.f_star)
    result = minimize(terms, x, "psgd", rule="published", epsilon=0.5 * np.linalg.norm(slope),
                      sample_noise=np.linalg.norm(slope), batch_size=1, delta_f=1e-9, rng=1,
                      maxiter=100_000, curvature_tol=0.3)
    assert result.status in (Status.CERTIFIED, Status.CANNOT_TELL)
    assert result.certificate.grad_norm == pytest.approx(np.linalg.norm(QUARTIC.grad(result.x)))
    assert result.certificate.grad_norm != pytest.approx(np.linalg.norm(result.jac))


@pytest.mark.parametrize("method, options", STOCHASTIC, ids=STOCHASTIC_NAMES)
def test_a_stochastic_run_on_terms_goes_on_bit_for_bit(method, options):
    if method == "psgd":
        options = dict(sample_noise=0.02 * 3**0.5, **options)
    options = dict(method=method, step_size=None if "rule" in options else 0.3, **NOISE, **options)
    whole = minimize(TERMS, np.zeros(3), maxiter=60, **options)
    part = minimize(TERMS, np.zeros(3), maxiter=3, **options)
    while part.status == Status.MAXITER and part.nit < 60:
        state = pickle.loads(pickle.dumps(part.state))
        part = minimize(TERMS, state=state, maxiter=min(7, 60 - part.nit), **options)
    assert part.nit == whole.nit and (part.x == whole.x).all() and part.status == whole.status


@pytest.mark.parametrize("change, words", [
    (dict(), "give sample_noise"),
    (dict(sample_noise=-1.0), "sample_noise"),
    (dict(sample_noise=0.1, batch_size=101), "at most.*100"),
    (dict(sample_noise=0.1, check="guess"), "'calibrated' or 'bounded' or 'robust'"),
    (dict(sample_noise=0.1, rule="published"), "sets step_size"),
    (dict(method="sgd", batch_size=101), "at most the 100 samples"),
    (dict(sample_noise=0.1, maxsamples=0), "maxsamples"),
    (dict(sample_noise=0.1, grad_noise=0.1), "mini-batches"),
    (dict(fun=QUARTIC, grad_noise=0.2, sample_noise=0.1), "at least grad_noise"),
    (dict(fun=QUARTIC, noise_df=3), "grad_noise > 0"),
])
def test_what_a_stochastic_method_cannot_work_with_is_named(change, words):
    good = dict(fun=TERMS, x0=np.ones(3), method="psgd", step_size=0.3, epsilon=0.03, rng=0)
    with pytest.raises(ValueError, match=words):
        minimize(**{**good, **change})
    with pytest.raises(TypeError, match="no option momentum.*sample_noise"):
        minimize(TERMS, np.ones(3), "psgd", momentum=0.9)


GOOD = dict(fun=QUARTIC.fun, x0=np.ones(3), method="gd", jac=QUARTIC.grad, hessp=QUARTIC.hvp,
            step_size=0.2, lipschitz_hess=4.3)


@pytest.mark.parametrize("change, error, words", [
    (dict(x0=[]), ValueError, "x0"),
    (dict(x0=[1.0, np.nan, 0.0]), ValueError, "x0 must be finite"),
    (dict(x0=[1.0, np.inf, 0.0]), ValueError, "x0 must be finite"),
    (dict(x0=np.ones(3) * 1j), TypeError, "x0"),
    (dict(x0=["1", "2", "3"]), TypeError, "x0"),
    (dict(x0=None), ValueError, "x0"),
    (dict(epsilon=-1e-3), ValueError, "epsilon"),
    (dict(epsilon=np.inf), ValueError, "epsilon"),
    (dict(epsilon=[1e-3]), TypeError, "epsilon"),
    (dict(step_size=0.0), ValueError, "step_size"),
    (dict(step_size=None), ValueError, "lipschitz_grad"),
    (dict(method="pgd", lipschitz_hess=0.0), ValueError, "curvature_tol"),
    (dict(method="pgd", lipschitz_hess=None), ValueError, "curvature_tol"),
    (dict(failure_prob=2.0), ValueError, "failure_prob"),
    (dict(method="adam"), ValueError, "method"),
    (dict(method="pgd", rule="magic"), ValueError, "'practical' or 'jin2017' or 'jin2021'"),
    (dict(rule="practical"), ValueError, "rule must be 'constant' or 'polyak' or 'backtracking'"),
    (dict(radius=1.0), TypeError, "'gd' with rule 'constant' has no option radius; it takes none"),
    (dict(method="pgd", beta=0.0, local_tol=1e-9), ValueError, "beta must be a finite number > 0"),
    (dict(method="pgd", beta=1.0), ValueError, "local_iterations .* or local_tol"),
    (dict(method="pgd", local_tol=1e-9), ValueError, "give beta"),
    (dict(method="pgd", local_iterations=9), ValueError, "give beta"),
    (dict(method="pgd", beta=1.0, local_tol=-1.0), ValueError, "local_tol"),
    (dict(method="pgd", beta=1.0, local_iterations=1.5), TypeError, "local_iterations"),
    (dict(method="pgd", beta=1.0, local_iterations=-1), ValueError, "local_iterations"),
    (dict(method="psd", rule="jin2017"), ValueError, "'practical' or 'published'.*got 'jin2017'"),
    (dict(method="psd", c=1.0), TypeError, "exit_radius"),
    (dict(method="psd", exit_radius=1e-9), ValueError, "exit_radius"),
    (dict(method="psd", patience=0), ValueError, "patience"),
    (dict(method="psd", rule="published"), ValueError, "1/\\(2ℓ\\)"),
    (dict(method="psd", rule="published", step_size=None), ValueError, "lipschitz_grad"),
    (dict(method="psd", rule="published", step_size=None, lipschitz_grad=2.0), ValueError,
     "delta_f"),
    (dict(method="psd", rule="published", step_size=None, lipschitz_grad=2.0, delta_f=1.0),
     ValueError, "needs hess"),
    (dict(momentum=0.9), TypeError, "momentum"),
    (dict(method="pgd", c=1.0), TypeError, "perturbation_radius"),
    (dict(method="pgd", perturbation_radius=-1.0), ValueError, "perturbation_radius"),
    (dict(method="pgd", episode_length=0), ValueError, "episode_length"),
    (dict(method="pgd", rule="jin2017"), ValueError, "step_size"),
    (dict(method="pgd", rule="jin2017", step_size=None), ValueError, "lipschitz_grad"),
    (dict(method="pgd", rule="jin2017", step_size=None, lipschitz_grad=2.0), ValueError, "delta_f"),
    (dict(maxiter=-1), ValueError, "maxiter"),
    (dict(maxiter=1e3), TypeError, "maxiter"),
    (dict(maxfev=0), ValueError, "maxfev"),
    (dict(trace=("loss",)), ValueError, "trace"),
    (dict(jac=lambda x: np.zeros(2)), ValueError, "jac must return shape"),
    (dict(jac=lambda x: np.zeros((3, 1))), ValueError, "jac must return shape"),
    (dict(jac=lambda x: "no"), TypeError, "jac must return real"),
    (dict(fun=lambda x: x, method="pgd", x0=np.zeros(3)), ValueError, "fun must return one"),
    (dict(fun="f"), TypeError, "fun must be"),
    (dict(grad_noise=-1.0), ValueError, "grad_noise"),
    (dict(grad_noise="a"), TypeError, "grad_noise"),
    (dict(grad_noise=0.1, noise_df="a"), TypeError, "noise_df"),
    (dict(rng="a"), TypeError, "rng"),
    (dict(rng=-1), TypeError, "rng"),
    (dict(x0=[[1.0], [1.0, 2.0]]), ValueError, "x0"),
    (dict(x0=[10**400] * 3), TypeError, "x0"),
    (dict(epsilon=10**400), ValueError, "epsilon"),
    (dict(epsilon=[[1.0], [1.0, 2.0]]), TypeError, "epsilon"),
    (dict(epsilon=np.complex64(1.0)), TypeError, "epsilon"),
    (dict(step_size=True), TypeError, "step_size"),
    (dict(lipschitz_hess=np.nan), ValueError, "lipschitz_hess"),
    (dict(method=["gd"]), ValueError, "method"),
    (dict(rule=["constant"]), ValueError, "rule"),
    (dict(trace=3), TypeError, "trace"),
    (dict(trace=[["x"]]), ValueError, "trace"),
    (dict(certificate="no"), TypeError, "certificate"),
    (dict(x0=None, state=3), TypeError, "state"),
    (dict(jac=lambda x: [[1.0], [1.0, 2.0]]), ValueError, "jac must return real"),
    (dict(rule="polyak", f_star="a", step_size=None), TypeError, "f_star"),
    (dict(method="gdpolyak", f_star="a"), TypeError, "f_star"),
    (dict(method="gdpolyak", validation=lambda x: "a"), TypeError, "validation"),
    (dict(method="psgd", grad_noise=0.1, sample_noise="a"), TypeError, "sample_noise"),
    (dict(method="psd", epsilon=1e300), ValueError, "epsilon = 1e\\+300"),
    (dict(method="pgd", epsilon=1e300), ValueError, "epsilon = 1e\\+300"),
    (dict(method="pgd", epsilon=1e-300), ValueError, "epsilon = 1e-300"),
    (dict(method="psd", step_size=1e-300, lipschitz_hess=1e-30), ValueError, "step_size = 1e-300"),
    (dict(method="pgd", step_size=1e-300, lipschitz_hess=1e-30), ValueError, "step_size = 1e-300"),
    (dict(method="psd", perturbation_radius=1e300, exit_radius=1e-160), ValueError,
     "leaves the range of float64|exit_radius must be larger"),
    (dict(method="psd", rule="repaired", step_size=None, lipschitz_grad=4e152, delta_f=5e195,
          lipschitz_hess=1e132, epsilon=3e169), ValueError, "epsilon = 3e\\+169.*grad_threshold"),
])
def test_bad_input_is_named_with_its_remedy(change, error, words):
    with pytest.raises(error, match=words):
        minimize(**{**GOOD, **change})


@pytest.mark.parametrize("method", ["gd", "pgd", "psd"])
@pytest.mark.parametrize("maxiter", [2, 1000])
def test_the_state_of_another_function_is_no_success_of_this_one(method, maxiter):
    """f and f + x₁/10 have different gradients everywhere."""
    known = dict(step_size=0.2, lipschitz_hess=6.0)
    first = minimize(double_well, [0.5, 1.0], method, maxiter=maxiter, **DOUBLE_WELL)
    assert first.success == (maxiter == 1000)
    tilted = dict(method=method, state=first.state, **known,
                  jac=lambda x: DOUBLE_WELL["jac"](x) + [0.1, 0.0])
    if first.success:
        with pytest.raises(ValueError, match="state is of a run on another function.*x0=state.x"):
            minimize(lambda x: double_well(x) + 0.1 * x[0], **tilted)
    else:  # the first step is one of the old function, and the rest makes up for it
        end = minimize(lambda x: double_well(x) + 0.1 * x[0], **tilted)
        assert end.success and np.linalg.norm(tilted["jac"](end.x)) <= 1e-3
    again = minimize(double_well, method=method, state=first.state, jac=DOUBLE_WELL["jac"],
                     **known)
    assert again.success and again.nit >= first.nit


def test_a_state_of_another_method_is_refused_by_name():
    state = minimize(QUARTIC, np.ones(3), "gd", rng=0, maxiter=1).state
    for method in ("pgd", "psd", "gdpolyak"):
        with pytest.raises(TypeError, match="state must be that of an earlier run.*State has no"):
            minimize(QUARTIC, state=state, method=method)


def test_an_attribute_that_a_function_misses_is_the_functions_own_affair():
    with pytest.raises(AttributeError, match="missing") as info:
        minimize(lambda x: x.missing, np.ones(3), "gd", jac=QUARTIC.grad, hessp=QUARTIC.hvp,
                 step_size=0.2, lipschitz_hess=4.3, trace="fun")
    assert "raised by fun" in info.value.__notes__


def test_no_trace_can_be_said_in_three_ways():
    for trace in (None, (), []):
        assert minimize(QUARTIC, np.ones(3), "gd", rng=0, trace=trace).trace is None


def test_a_threshold_is_right_where_its_square_leaves_float64():
    """√(ρε) with ρε = 1e-330 and 1e330, which float64 holds as 0 and as infinity."""
    from saddlelib._arguments import curvature_scale
    assert curvature_scale(None, 1e-168, 1e-162, None)[1] == pytest.approx(1e-165, rel=1e-14)
    assert curvature_scale(None, 1e170, 1e160, None)[1] == pytest.approx(1e165, rel=1e-14)
    assert curvature_scale(None, 1e-3, 6.0, None)[1] == np.sqrt(6.0 * 1e-3)


def test_gradients_whose_squares_overflow_are_large_and_those_that_vanish_are_small():
    """f = a x²/2 at a = 1e-200 and 1e200: the norm of ∇f is neither 0 nor infinite."""
    for a in (1e-200, 1e200):
        for method, options in (("gd", {}), ("gd", dict(rule="backtracking")), ("pgd", {}),
                                ("gdpolyak", {})):
            result = minimize(lambda x, a=a: a * x @ x / 2, [1.0, 2.0], method, rng=0,
                              jac=lambda x, a=a: a * x, hessp=lambda x, v, a=a: a * v, maxiter=200,
                              epsilon=1e-2 * a, step_size=0.5 / a, curvature_tol=0.1 * a,
                              certificate=False, **options)
            assert np.linalg.norm(result.x) <= 1e-2 and result.nit >= 1, (a, method, options)


def test_a_mini_batch_of_a_heavy_tail_that_would_take_hours_is_refused():
    oracle = Oracle(QUARTIC, grad_noise=1.0, noise_df=3.0, rng=0)
    with pytest.raises(ValueError, match="batch_size must be at most 2e\\+07"):
        oracle.batch_grad(np.ones(3), 10**12)
    gauss = Oracle(QUARTIC, grad_noise=1.0, rng=0)
    assert gauss.batch_grad(np.ones(3), 10**200) == pytest.approx(QUARTIC.grad(np.ones(3)))
    with pytest.raises(ValueError, match="batch_size"):
        gauss.batch_grad(np.ones(3), 10**400)


def test_a_message_carries_the_numbers_of_its_certificate():
    for start, words in ((np.zeros(3), "λ_min"), (QUARTIC.minimizers[0], "‖∇f‖")):
        result = minimize(QUARTIC, start, "gd", rng=0)
        assert result.message == (f"{Status(result.status).sentence} "
                                  f"({result.certificate.message})")
        assert words in result.message


def test_every_verdict_has_a_status_and_only_sosp_is_a_success():
    from saddlelib.report import _OF_VERDICT
    assert [verdict for verdict, status in _OF_VERDICT.items() if status == Status.CERTIFIED] == [
        Verdict.SOSP]
    assert set(Verdict) - set(_OF_VERDICT) == {Verdict.CANNOT_TELL}


def test_a_problem_knows_its_dimension_and_brings_its_own_derivatives():
    with pytest.raises(ValueError, match="3 coordinates"):
        minimize(QUARTIC, np.zeros(4), "gd")
    with pytest.raises(TypeError, match="its own derivatives"):
        minimize(QUARTIC, np.zeros(3), "gd", jac=QUARTIC.grad)
    with pytest.raises(ValueError, match="no finite f"):
        minimize(MonkeySaddle(), np.zeros(2), "pgd", rule="jin2017")


def test_user_functions_may_reuse_buffers_and_write_into_their_argument():
    buffer = np.empty(3)

    def grad(x):
        buffer[:] = QUARTIC.grad(x)
        x[:] = 0
        return buffer
    rough = minimize(QUARTIC.fun, np.ones(3), "gd", jac=grad, hessp=QUARTIC.hvp, step_size=0.2,
                     lipschitz_hess=4.3, rng=0)
    assert (rough.x == minimize(QUARTIC, np.ones(3), "gd", step_size=0.2, rng=0).x).all()


@pytest.mark.parametrize("trace", [(), ("fun",)])
def test_a_result_prints(trace):
    result = minimize(QUARTIC, np.zeros(3), "pgd", rng=0, trace=trace)
    assert "Certified" in repr(result) and "certificate: Certificate(SOSP" in repr(result)


def test_every_status_has_a_sentence_and_only_one_is_success():
    assert len({status.sentence for status in Status}) == len(Status)
    assert all(status.sentence.endswith(".") for status in Status)


def test_student_noise_of_so_many_degrees_of_freedom_is_gaussian_at_no_cost():
    """With ν = 10³⁰ and 10⁷ samples the mean of all 1/χ² is 1/ν to rounding; none is drawn."""
    student = Oracle(QUARTIC, grad_noise=1.0, noise_df=1e30, rng=0)
    gauss = Oracle(QUARTIC, grad_noise=1.0, rng=0)
    x = np.ones(3)
    np.testing.assert_allclose(student.batch_grad(x, 10**7), gauss.batch_grad(x, 10**7), rtol=1e-14)
    assert student.rng.bit_generator.state == gauss.rng.bit_generator.state


@pytest.mark.parametrize("method, options", [
    ("pgd", {}), ("psd", {}), ("psd", dict(rule="lanczos-probe")),
    ("gdpolyak", dict(rule="published", f_star=-1.0, epoch_length=3, epochs=5))],
    ids=["pgd", "psd", "lanczos-probe", "gdpolyak"])
@pytest.mark.parametrize("where", ["the start; give a start", "the point after step number"])
def test_what_is_not_finite_is_said_with_its_step_and_a_remedy(method, options, where):
    """f is nan where x₁ < 1: at the start, or after some steps."""
    end = 9.0 if "start" in where else 1.0
    x0 = [1e-4, 0.0] if "start" in where and method != "gdpolyak" else [5.0, 0.5]
    result = minimize(lambda x: 0.5 * x @ x if x[0] > end else np.nan, x0, method, jac=lambda x: x,
                      step_size=0.1, lipschitz_hess=1.0, rng=0, **options)
    assert result.status == Status.NONFINITE and not result.success
    if not (method == "gdpolyak" and "start" in where):  # it asks for no value before step 3
        assert where in result.message
    assert "start" in where or re.search("a step_size below 0.1 may help", result.message)


def test_backtracking_says_where_f_is_not_finite():
    result = minimize(lambda x: np.nan, [5.0, 0.5], "gd", rule="backtracking", jac=lambda x: x,
                      step_size=0.1, certificate=False)
    assert "f = nan at the start; give a start where f is finite" in result.message
