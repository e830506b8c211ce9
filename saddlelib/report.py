"""What a run comes to: the final certificate, the status, the sentence with its numbers."""

from __future__ import annotations

import copy

import numpy as np
from scipy.optimize import OptimizeResult

from ._norm import norm
from .curvature import Verdict, certify
from .curvature.products import NotSymmetric
from .loop import Status
from .methods import SGD
from .sampling import SampleCertificate

__all__ = ["Result", "report"]

# Ends of a method that are no stationary point.
_ENDS = {"precision": Status.PRECISION, "nonfinite": Status.NONFINITE,
         "f_star": Status.BELOW_F_STAR, "validation": Status.VALIDATION, "budget": Status.MAXITER,
         "unbounded": Status.UNBOUNDED}
# What the verdict of a certificate makes of a run; the one that is left is CANNOT_TELL.
_OF_VERDICT = {Verdict.SOSP: Status.CERTIFIED, Verdict.NEGATIVE_CURVATURE: Status.SADDLE,
               Verdict.VACUOUS: Status.VACUOUS, Verdict.NOT_STATIONARY: Status.NOT_STATIONARY,
               Verdict.WRONG_DERIVATIVES: Status.WRONG_DERIVATIVES}
# Ends that say nothing about the point, so that its value does not matter.
_CUT_SHORT = {Status.MAXITER, Status.MAXFEV, Status.MAXSAMPLES, Status.INTERRUPTED,
              Status.CALLBACK}
# What a result that is printed leaves out: for machines, or the same for every run of this kind.
_UNPRINTED = {"state", "nsamples"}


class Result(OptimizeResult):
    """SciPy's result; printed, it shows what this run has and leaves out what it has not."""

    def __repr__(self):
        shown = {name: value for name, value in self.items()
                 if value is not None and name not in _UNPRINTED and not _is_empty(value)}
        calls = sum(self.get(name, 0) for name in ("nfev", "njev", "nhvp", "nhev"))
        if self.get("nsamples", 0) > calls and not self.get("nhev"):
            shown["nsamples"] = self.nsamples
        return repr(OptimizeResult(shown))


def _is_empty(value):
    return isinstance(value, (tuple, list, dict, str)) and len(value) == 0


def is_exact(oracle, method) -> bool:
    """Whether the gradients of the run are those of f, with no noise and no mini-batch."""
    return not (oracle.grad_noise or isinstance(method, SGD))


def report(oracle, method, goal, end, *, certificate=True, resumed=False) -> Result:
    """The result of a run, after a look at the curvature where the method has stopped by itself.

    Parameters
    ----------
    oracle : Oracle
    method : object with ``init`` and ``step``
    goal : Goal
        What the run had to find.
    end : End
        As `loop.run` returns it.
    certificate : bool
        Whether to pay for a certificate that the method has not made already.
    resumed : bool
        Whether the run began with the state of an earlier one.

    Returns
    -------
    Result
    """
    exact = is_exact(oracle, method)
    oracle.witness = None
    seen, note, state = None, end.state.note, end.state
    x, jac = state.x, state.jac
    if hasattr(method, "answer"):  # a method that may stand worse than it stood before
        with np.errstate(over="ignore", invalid="ignore"):
            x, jac = method.answer(oracle, state)
    status = end.status
    if end.wrong:
        status, note = Status.WRONG_DERIVATIVES, end.wrong
    elif status is Status.NONFINITE:
        note = _too_long(method, state)
    elif status is None and state.finished in _ENDS:
        status = _ENDS[state.finished]
    elif status is None:
        if exact and resumed and _came_with(end.start, jac):
            _check_function(oracle, x, jac, goal.epsilon)
        try:
            trusted = exact and type(method).__module__.startswith("saddlelib.")
            seen = _seen(oracle, goal, state, x, jac if trusted else None, exact, certificate)
            status = Status.NOT_LOOKED_AT if seen is None else _OF_VERDICT.get(
                seen.verdict, Status.CANNOT_TELL)
        except NotSymmetric as error:
            status, note = Status.WRONG_DERIVATIVES, str(error)
    value = oracle.fun(x)
    if not (np.isfinite(value) or status in _CUT_SHORT):
        status, seen = Status.NONFINITE, None  # a certificate would be of another point
        note = note or (f"f = {value} where the method stopped, after step {state.nit}"
                        f"{_shorter(method)}")
        x, jac, value = _last_finite(oracle, (x, jac, value), (end.before, end.start))
    return _result(oracle, state, status, seen, note, x, jac, value)


def _result(oracle, state, status, seen, note, x, jac, value):
    said = [seen and seen.message, note]
    return Result(
        x=x, fun=value, jac=jac, nit=state.nit, nfev=oracle.nfev, njev=oracle.njev,
        nhvp=oracle.nhvp, nhev=oracle.nhev, nsamples=oracle.nsamples, status=int(status),
        success=status == Status.CERTIFIED,
        message=" ".join([status.sentence, *(f"({numbers})" for numbers in said if numbers)]),
        certificate=seen, estimates=getattr(state, "estimates", None), state=state,
        perturbed_at=getattr(state, "perturbed_at", ()))


def _seen(oracle, goal, state, x, jac, exact, asked):
    """The certificate that decides: the method's own, or one that is made now if ``asked``.

    ``jac`` is ∇f(x) where a method of ours has it from f; what others say of it is not believed.
    """
    seen = _own(state, goal)
    if not (exact or isinstance(seen, SampleCertificate)):
        seen = None
    # What a method took for a saddle it left to f to say; here f is asked for the last time.
    doubtful = seen is not None and seen.verdict is Verdict.NEGATIVE_CURVATURE
    if not asked or seen is not None and not (doubtful and oracle.samples_of_f == 1):
        return seen
    oracle.grad_noise = 0.0
    last = certify(oracle, x, epsilon=goal.epsilon, failure_prob=goal.failure_prob,
                   curvature_tol=goal.curvature_tol, lipschitz_hess=goal.lipschitz_hess,
                   rng=_fork(state.rng), grad_at_x=jac)
    return last if seen is None or last.verdict is Verdict.WRONG_DERIVATIVES else seen


def _own(state, goal):
    """The certificate a method stopped with, if it answers the goal of this run."""
    seen = getattr(state, "certificate", None)
    if seen is None or seen.epsilon != goal.epsilon:
        return None
    if goal.curvature_tol is not None and seen.curvature_tol != goal.curvature_tol:
        return None
    return seen if seen.failure_prob <= goal.failure_prob else None


def _came_with(state, jac):
    """Whether this very gradient is one of those that a state remembers."""
    fields = vars(state).values()
    inner = (part for field in fields if isinstance(field, tuple) for part in field)
    return any(jac is field for field in (*fields, *inner))


def _check_function(oracle, x, jac, epsilon):
    """Refuse a stop at a gradient of another function; costs a gradient."""
    off = norm(oracle.grad(x) - jac)
    if not off <= 1e-6 * norm(jac) + 1e-9 * epsilon:
        raise ValueError(f"state is of a run on another function: the gradient where it stops "
                         f"differs by {off:.3g} from the one it remembers; begin anew there with "
                         f"x0=state.x")


def _too_long(method, state):
    """Why a run may have left the finite numbers, with the step to blame."""
    if not np.isfinite(state.jac).all():
        return "the gradient at the start"
    return f"the step after number {state.nit}{_shorter(method)}"


def _shorter(method):
    """The remedy, where the method has a step that is told."""
    step_size = getattr(method, "step_size", None)
    return "" if step_size is None else f"; a step_size below {step_size:.3g} may help"


def _last_finite(oracle, end, earlier):
    """x, ∇f and f of the latest of these that has a finite f; else of the end all the same."""
    for state in earlier:
        if not np.array_equal(state.x, end[0]):
            value = oracle.fun(state.x)
            if np.isfinite(value) and np.isfinite(state.jac).all():
                return state.x, state.jac, value
    return end


def _fork(rng):
    """A generator for the certificate that leaves the stream of the run untouched."""
    return np.random.default_rng(copy.deepcopy(rng).integers(2**63, size=4))
