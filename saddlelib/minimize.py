"""The one loop: budget, callback, trace, status; and the front doors that people use."""

from __future__ import annotations

import copy
import enum
import functools
import inspect
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import OptimizeResult

from ._arguments import (
    as_point,
    curvature_scale,
    generator,
    integer,
    nonnegative,
    positive,
    probability,
)
from ._norm import norm
from .curvature import Verdict, certify
from .curvature.products import NotSymmetric
from .derivatives import Witness
from .methods import (
    CNCSGD,
    PGD,
    PSD,
    PSGD,
    SGD,
    BacktrackingDescent,
    CertifiedPSD,
    CertifiedPSGD,
    CurvatureSwitch,
    GDPolyak,
    GradientDescent,
    LanczosProbe,
    NoisySGD,
    PGDli,
    PlateauSwitch,
    PolyakDescent,
    PSDProbe,
    RepairedPSD,
    RestartedGDPolyak,
    SafeGDPolyak,
    State,
)
from .oracle import FiniteSum, Oracle
from .sampling import SampleCertificate
from .theory.noise import tail_scale

__all__ = ["Status", "gd", "minimize", "pgd", "psd", "psgd"]


class Status(enum.IntEnum):
    """How a run ended. Only ``CERTIFIED`` is a success."""

    CERTIFIED = 0
    MAXITER = 1
    MAXFEV = 2
    SADDLE = 3
    CANNOT_TELL = 4
    NOT_LOOKED_AT = 5
    NONFINITE = 6
    PRECISION = 7
    INTERRUPTED = 8
    MAXSAMPLES = 9
    BELOW_F_STAR = 10
    VALIDATION = 11
    VACUOUS = 12
    WRONG_DERIVATIVES = 13
    NOT_STATIONARY = 14
    CALLBACK = 99

    @property
    def sentence(self) -> str:
        """What it means, in words."""
        return _SENTENCES[self]


_SENTENCES = {
    Status.CERTIFIED: "Certified: a second-order stationary point.",
    Status.MAXITER: "The budget of iterations is spent.",
    Status.MAXFEV: "The budget of oracle calls is spent.",
    Status.SADDLE: "Stopped at a saddle: the gradient is small, the curvature is negative.",
    Status.CANNOT_TELL: "The gradient is small, but the curvature could not be certified.",
    Status.NOT_LOOKED_AT: "The gradient is small; nobody looked at the curvature.",
    Status.NONFINITE: "A value or gradient was not finite; this is the last finite point known.",
    Status.PRECISION: "float64 cannot carry the test this method makes.",
    Status.MAXSAMPLES: "The budget of samples is spent.",
    Status.INTERRUPTED: "Interrupted from the keyboard.",
    Status.BELOW_F_STAR: "A value below f_star was met, so f_star is too high.",
    Status.VALIDATION: "The validation measure no longer falls; this is where it was least.",
    Status.VACUOUS: "The tolerance allows all curvature that was seen, so the certificate says "
                    "nothing.",
    Status.WRONG_DERIVATIVES: "The derivatives contradict the function.",
    Status.NOT_STATIONARY: "The method stopped where the gradient is larger than epsilon.",
    Status.CALLBACK: "The callback asked to stop.",
}

# Ends of a method that are no stationary point.
_ENDS = {"precision": Status.PRECISION, "nonfinite": Status.NONFINITE,
         "f_star": Status.BELOW_F_STAR, "validation": Status.VALIDATION, "budget": Status.MAXITER}

# What the verdict of a certificate makes of a run; the one that is left is CANNOT_TELL.
_OF_VERDICT = {Verdict.SOSP: Status.CERTIFIED, Verdict.NEGATIVE_CURVATURE: Status.SADDLE,
               Verdict.VACUOUS: Status.VACUOUS, Verdict.NOT_STATIONARY: Status.NOT_STATIONARY,
               Verdict.WRONG_DERIVATIVES: Status.WRONG_DERIVATIVES}
# Ends that say nothing about the point, so that its value does not matter.
_CUT_SHORT = {Status.MAXITER, Status.MAXFEV, Status.MAXSAMPLES, Status.INTERRUPTED,
              Status.CALLBACK}

# How many steps a run takes before it asks again whether its gradients fit its values.
_LISTEN = 64

_TRACEABLE = ("x", "fun", "grad_norm")


class _Rule(NamedTuple):
    """How a method gets its numbers: what builds it, from what, and what a user may add."""

    build: Callable
    numbers: tuple[str, ...]  # of `minimize`; what follows from each of them is in `_build`
    options: tuple[str, ...] = ()
    step: str = ""  # the formula, where the rule sets the step size itself


def _then_local(build):
    """The same, with the steps of size 1/β of `PGDli` after it where ``beta`` is given."""
    def build_both(beta=None, local_iterations=None, local_tol=None, **numbers):
        if beta is not None:
            return PGDli(build(**numbers), beta, local_iterations, local_tol)
        if local_iterations is not None or local_tol is not None:
            raise ValueError("local_iterations and local_tol are for the steps of size 1/beta that "
                             "follow the search; give beta as well")
        return build(**numbers)
    return build_both


_SCALES = ("step_size", "epsilon", "dim", "curvature_tol")
_CONSTANTS = ("lipschitz_grad", "lipschitz_hess", "epsilon", "dim", "delta_f", "failure_prob")
_EPISODE = ("perturbation_radius", "episode_length", "decrease_threshold")
_SAMPLING = ("sample_noise", "population", "replacement")
_LOCAL = ("beta", "local_iterations", "local_tol")
_SHORT = ("step_size", "epsilon")


def _on_values(method):
    """The same, with ε as the gradient norm at which it stops."""
    return lambda epsilon, **numbers: method(grad_threshold=epsilon, **numbers)


# The first rule of a method is its default. A new rule is one line here and one in the docstring.
_RULES = {
    "gd": {
        "constant": _Rule(lambda step_size, epsilon: GradientDescent(step_size, epsilon), _SHORT),
        "backtracking": _Rule(_on_values(BacktrackingDescent), _SHORT),
        "polyak": _Rule(_on_values(PolyakDescent), ("epsilon",), ("f_star", "factor", "cap"),
                        "(f − f*)/‖∇f‖²"),
    },
    "gdpolyak": {
        "safe": _Rule(_on_values(SafeGDPolyak), _SHORT,
                      ("f_star", "factor", "gain", "plateau", "guard", "validation", "patience")),
        "published": _Rule(_on_values(GDPolyak), _SHORT,
                           ("epoch_length", "epochs", "f_star", "factor", "growth")),
        "restarts": _Rule(_on_values(RestartedGDPolyak), _SHORT,
                          ("epoch_length", "epochs", "f_star", "restarts")),
        "curvature": _Rule(_on_values(CurvatureSwitch), _SHORT,
                           ("f_star", "factor", "tolerance", "guard")),
        "plateau": _Rule(_on_values(PlateauSwitch), _SHORT,
                         ("factor", "guard", "order", "plateau")),
    },
    "pgd": {
        "practical": _Rule(_then_local(PGD.practical), _SCALES, (*_EPISODE, *_LOCAL)),
        "jin2017": _Rule(_then_local(PGD.jin2017), _CONSTANTS, ("c", *_LOCAL), "c/ℓ"),
        "jin2021": _Rule(_then_local(PGD.jin2021), _CONSTANTS, ("iota", "wait", "stop", *_LOCAL),
                         "1/ℓ"),
    },
    "psd": {
        "practical": _Rule(CertifiedPSD.practical, (*_SCALES, "lipschitz_hess", "failure_prob"),
                           (*_EPISODE, "exit_radius", "use_direction", "line_search",
                            "patience")),
        "published": _Rule(PSD.published, _CONSTANTS, (), "1/(2ℓ)"),
        "repaired": _Rule(RepairedPSD.proved, _CONSTANTS, (), "1/ℓ"),
        "probe": _Rule(PSDProbe.published, tuple(n for n in _CONSTANTS if n != "delta_f"), (),
                       "1/(2ℓ)"),
        "lanczos-probe": _Rule(
            LanczosProbe.practical, (*_SCALES, "lipschitz_hess", "failure_prob"),
            (*_EPISODE, "exit_radius", "use_direction", "patience", "probe_count")),
    },
    "sgd": {None: _Rule(SGD, ("step_size",), ("batch_size",))},
    "cnc-sgd": {None: _Rule(CNCSGD, ("step_size",), ("batch_size", "large_step", "interval"))},
    "psgd": {
        "practical": _Rule(
            CertifiedPSGD.practical,
            (*_SCALES, "lipschitz_hess", "failure_prob", *_SAMPLING),
            (*_EPISODE, "batch_size", "check", "check_failure_prob", "hess_noise", "patience")),
        "published": _Rule(PSGD.published, (*_CONSTANTS, "noise_std"),
                           ("batch_size", "false_positive_prob"), "1/(2ℓ)"),
        "jin2021": _Rule(NoisySGD.jin2021, (*_CONSTANTS, "noise_scale"),
                         ("batch_size", "iota", "lipschitz_sample"), "1/(ι⁹ℓ𝔑)"),
    },
}
# A rule that asks for one of these can be told ``sample_noise``.
_NOISES = {"sample_noise", "noise_std", "noise_scale"}


def minimize(fun, x0=None, method="gd", *, epsilon=1e-3, curvature_tol=None, failure_prob=1e-4,
             step_size=None, lipschitz_grad=None, lipschitz_hess=None, jac=None, hessp=None,
             hess=None, args=(), grad_noise=0.0, noise_df=None, rng=None, maxiter=100_000,
             maxfev=None, maxsamples=None, callback=None, trace=(), certificate=True, state=None,
             **options) -> OptimizeResult:
    r"""Minimize a smooth function by a first-order method and say whether that succeeded.

    The run ends when the method stops, when a budget is spent, when the callback says so, or when
    something is not finite. If the method stopped, `saddlelib.certify` decides between success and
    a saddle.

    Parameters
    ----------
    fun : Problem, FiniteSum or callable
        A `saddlelib.problems.Problem`, a `saddlelib.oracle.FiniteSum`, or ``fun(x, *args)``
        together with ``jac``.
    x0 : array_like, shape (d,)
        The start. Leave it out when ``state`` is given.
    method : {"gd", "pgd", "psd", "psgd", "sgd", "cnc-sgd", "gdpolyak"}
        Gradient descent, perturbed gradient descent (Jin et al. 2017 and 2021), or Perturbed
        Saddle-escape Descent (Alpay & Alakkad 2025). Those with an "s" before "gd" take mini-batch
        gradients: perturbed stochastic gradient descent, and without perturbations. "gdpolyak" is
        gradient descent with long steps along ravines (Davis, Drusvyatskiy & Jiang 2024).
    epsilon : float
        ε > 0: the wanted gradient norm.
    curvature_tol : float, optional
        √(ρε) by default: how negative the smallest eigenvalue may be.
    failure_prob : float
        δ in (0, 1): most probability that the certificate passes a point that is not second-order
        stationary; for a rule from a paper also the δ of its formulas.
    step_size : float, optional
        η; 1/ℓ by default. The rules from the papers set it themselves.
    lipschitz_grad, lipschitz_hess : float, optional
        ℓ and ρ; what the problem states by default.
    jac, hessp, hess, args : optional
        Derivatives of a plain function, as for `saddlelib.Oracle`. The certificate uses ``hessp``,
        else ``hess``, else differences of gradients.
    grad_noise : float
        σ: adds N(0, (σ²/d) I) to every gradient of the run. The certificate sees none of it, except
        that of "psgd", which works from noisy gradients.
    noise_df : float, optional
        Student's t with so many degrees of freedom instead of the Gaussian, as in `Oracle`.
    rng : int or numpy.random.Generator, optional
        The same ``rng`` gives the same run.
    maxiter, maxfev : int, optional
        Most steps of this call; most oracle calls of all kinds before the certificate.
    maxsamples : int, optional
        Most samples before the certificate, counted as `Oracle.nsamples`. Budgets are compared
        before every step; the last step may go beyond.
    callback : callable, optional
        ``callback(intermediate_result)`` or ``callback(xk)`` after every step, as in SciPy;
        raising ``StopIteration`` ends the run. The first form costs one value a step.
    trace : iterable of {"x", "fun", "grad_norm"}, or None for none
        What to record at the start and after every step; "fun" costs one value a step.
        ``result.trace`` is a dictionary of arrays, or None when nothing was asked for.
    certificate : bool
        False pays for none once the method has stopped; such a run reports success only where the
        method, like "psd", already had to certify the point to decide what to do.
    state : optional
        ``result.state`` of an earlier run on the same function with the same method: go on from
        there. A run that stops where the state already was costs one gradient more, to see that it
        is the same function.
    **options
        ``rule`` and what belongs to it. For "pgd" (`methods.PGD`):

        - "practical" (default): ``perturbation_radius, episode_length, decrease_threshold``;
        - "jin2017", Algorithm 2 of Jin et al. 2017: ``c, delta_f``;
        - "jin2021", Algorithm 4 of Jin et al. 2021 with a stopping rule: ``delta_f`` or ``iota``,
          ``wait, stop``;
        - each with ``beta`` and ``local_iterations`` or ``local_tol``: steps of size 1/beta after
          it, which is Algorithm 3 of Jin et al. 2017 (`methods.PGDli`).

        For "psd":

        - "practical" (default, `methods.CertifiedPSD`): the same three, ``exit_radius,
          use_direction, line_search, patience``;
        - "published" (`methods.PSD`), the authors' algorithm, which needs ``hess``: ``delta_f``;
        - "repaired" (`methods.RepairedPSD`), gradients alone, with the constants that chapter 2
          proves: ``delta_f``;
        - "probe" (`methods.PSDProbe`), their Hessian-free variant, which may return a saddle;
        - "lanczos-probe" (`methods.LanczosProbe`), its sound form, gradients alone: the options of
          "practical" and ``probe_count``.

        For "psgd", each with ``batch_size`` and ``sample_noise``, which is √E‖noise of the gradient
        of one sample‖², ``grad_noise`` where that is given:

        - "practical" (default, `methods.CertifiedPSGD`): ``check, check_failure_prob, hess_noise,
          perturbation_radius, episode_length, decrease_threshold, patience``; it stops where it has
          certified the point from samples, or says that it cannot tell;
        - "published" (`methods.PSGD`), the authors' algorithm, which stops only when all its
          episodes are used: ``delta_f, false_positive_prob``;
        - "jin2021" (`methods.NoisySGD`), Algorithm 2 of Jin et al. 2021, which never stops:
          ``delta_f`` or ``iota``, ``lipschitz_sample``.

        For "sgd" and "cnc-sgd", which never stop: ``batch_size``, and ``large_step, interval`` for
        the second (`methods.CNCSGD`).

        For "gd":

        - "constant" (default): steps of ``step_size``;
        - "backtracking" (`methods.BacktrackingDescent`): Armijo's rule from ``step_size`` on;
        - "polyak" (`methods.PolyakDescent`): Polyak's step with ``f_star, factor, cap``.

        For "gdpolyak", where ``f_star`` is that of the problem if it is left out:

        - "safe" (default, `methods.SafeGDPolyak`): ``f_star, factor, gain, plateau, guard,
          validation, patience``, none of which needs tuning;
        - "published" (`methods.GDPolyak`): ``epoch_length, epochs, f_star, factor, growth``;
        - "restarts" (`methods.RestartedGDPolyak`): ``epoch_length, epochs, restarts``, and
          ``f_star`` is a lower bound;
        - "curvature" (`methods.CurvatureSwitch`): ``f_star, factor, tolerance, guard``;
        - "plateau" (`methods.PlateauSwitch`), without f*: ``factor, guard, order, plateau``.

        ``delta_f`` is an upper bound of f(x0) − f*, taken from the problem where it is left out.

    Returns
    -------
    scipy.optimize.OptimizeResult
        ``x, fun, jac, nit, nfev, njev, nhvp, nhev, nsamples, status, success, message, certificate,
        trace, state, perturbed_at``. Counts include the certificate; ``certificate`` is None when
        the curvature was not looked at. ``jac`` is the last gradient the method saw: with noise
        where the run has noise, and of a mini-batch with "psgd", "sgd" and "cnc-sgd". Where f is
        not finite at the end, ``x`` is the point before it, or the start, if f is finite there.

    Raises
    ------
    TypeError, ValueError
        Naming the argument and the remedy. What ``fun``, its derivatives or ``callback`` raise
        passes through as it is, with notes that say from where and after which step.

    Examples
    --------
    >>> import saddlelib
    >>> from saddlelib.problems import QuarticSaddle
    >>> problem = QuarticSaddle(gamma=0.5, eigenvalues=[1.0])
    >>> saddlelib.minimize(problem, [0.0, 1.0], method="gd", rng=0).message  # doctest: +ELLIPSIS
    'Stopped at a saddle: the gradient is small, the curvature is negative. (...λ_min ≤ -0.5...)'
    >>> saddlelib.minimize(problem, [0.0, 1.0], method="pgd", rng=0).message  # doctest: +ELLIPSIS
    'Certified: a second-order stationary point. (‖∇f‖ = ...; λ_min ...)'
    """
    rng = generator("rng", rng)
    noisy = nonnegative("grad_noise", grad_noise) > 0
    drawn = noisy or isinstance(fun, FiniteSum)
    oracle = Oracle(fun, jac=jac, hessp=hessp, hess=hess, args=args, grad_noise=grad_noise,
                    rng=rng if drawn else None, noise_df=noise_df)
    known = oracle.problem
    epsilon = positive("epsilon", epsilon)
    failure_prob = probability("failure_prob", failure_prob)
    budget = _Budget(integer("maxiter", maxiter, least=0),
                     None if maxfev is None else integer("maxfev", maxfev),
                     None if maxsamples is None else integer("maxsamples", maxsamples))
    record = _Trace(trace)
    notify = _notifier(callback)
    if not isinstance(certificate, (bool, np.bool_)):
        raise TypeError(f"certificate must be True or False, got {certificate!r}")
    if state is not None and not isinstance(state, State):
        raise TypeError(f"state must be result.state of an earlier run, got {state!r}")
    if (x0 is None) == (state is None):
        raise ValueError("give x0 to start a run, or state to go on with one, not both")
    point = as_point("x0", x0 if state is None else state.x, known)
    name, rule = _rule(method, options)
    if certificate or "curvature_tol" in rule.numbers:
        lipschitz_hess, curvature_tol = curvature_scale(
            known, epsilon, lipschitz_hess, curvature_tol)
    elif lipschitz_hess is None and known is not None:
        lipschitz_hess = known.lipschitz_hess
    if lipschitz_grad is None and known is not None:
        lipschitz_grad = known.lipschitz_grad
    given = dict(step_size=step_size, epsilon=epsilon, dim=point.size, failure_prob=failure_prob,
                 curvature_tol=curvature_tol, lipschitz_grad=lipschitz_grad,
                 lipschitz_hess=lipschitz_hess, delta_f=options.pop("delta_f", None))
    if _NOISES & set(rule.numbers):
        given.update(_noise(oracle, point.size, options.pop("sample_noise", None)))
    algorithm = _build(name, rule, oracle, point, state, given, options)

    if state is None:
        state = algorithm.init(oracle, point, rng)
    else:
        state = copy.deepcopy(state)
        if drawn:
            oracle.rng = state.rng
    # The gradient of a mini-batch is no gradient of f, whether or not noise was added to it.
    exact = not (noisy or isinstance(algorithm, SGD))
    if given["delta_f"] is not None:
        state.delta_f = given["delta_f"]
    start = state
    oracle.witness = Witness() if exact else None
    status, state, before, wrong = _run(algorithm, oracle, state, budget, record, notify)
    oracle.witness = None
    seen, note, (x, jac) = None, state.note, (state.x, state.jac)
    if hasattr(algorithm, "answer"):  # a method that may stand worse than it stood before
        with np.errstate(over="ignore", invalid="ignore"):
            x, jac = algorithm.answer(oracle, state)
    if wrong:
        status, note = Status.WRONG_DERIVATIVES, wrong
    elif status is Status.NONFINITE:
        note = _too_long(algorithm, state)
    elif status is None and state.finished in _ENDS:
        status = _ENDS[state.finished]
    elif status is None:
        status = Status.NOT_LOOKED_AT
        if exact and x0 is None and _came_with(start, jac):
            _check_function(oracle, x, jac, epsilon)
        seen = _own_certificate(state, epsilon, curvature_tol, failure_prob)
        if not (exact or isinstance(seen, SampleCertificate)):
            seen = None
        # What a method took for a saddle it left to f to say; here f is asked for the last time.
        doubtful = seen is not None and seen.verdict is Verdict.NEGATIVE_CURVATURE
        if certificate and (seen is None or doubtful and oracle._sum is None):
            oracle.grad_noise = 0.0
            try:
                last = certify(oracle, x, epsilon=epsilon, failure_prob=failure_prob,
                               curvature_tol=curvature_tol, lipschitz_hess=lipschitz_hess,
                               rng=_fork(state.rng), grad_at_x=jac if exact else None)
                seen = last if seen is None or last.verdict is Verdict.WRONG_DERIVATIVES else seen
            except NotSymmetric as error:
                seen, status, note = None, Status.WRONG_DERIVATIVES, str(error)
        if seen is not None:
            status = _OF_VERDICT.get(seen.verdict, Status.CANNOT_TELL)
    value = oracle.fun(x)
    if not (np.isfinite(value) or status in _CUT_SHORT):
        status, seen = Status.NONFINITE, None  # a certificate would be of another point
        note = note or f"f = {value} where the method stopped"
        x, jac, value = _last_finite(oracle, (x, jac, value), (before, start))
    said = [seen and seen.message, note]
    return OptimizeResult(
        x=x, fun=value, jac=jac, nit=state.nit, nfev=oracle.nfev, njev=oracle.njev,
        nhvp=oracle.nhvp, nhev=oracle.nhev, nsamples=oracle.nsamples, status=int(status),
        success=status == Status.CERTIFIED,
        message=" ".join([status.sentence, *(f"({numbers})" for numbers in said if numbers)]),
        certificate=seen, trace=record.arrays(), state=state,
        perturbed_at=getattr(state, "perturbed_at", ()))


class _Budget(NamedTuple):
    """What one call may spend: steps, oracle calls and samples, the last two None for any."""

    maxiter: int
    maxfev: int | None
    maxsamples: int | None

    def spent(self, oracle, steps) -> Status | None:
        """Which budget is spent, if any."""
        if steps >= self.maxiter:
            return Status.MAXITER
        if self.maxfev is not None and oracle.calls >= self.maxfev:
            return Status.MAXFEV
        if self.maxsamples is not None and oracle.nsamples >= self.maxsamples:
            return Status.MAXSAMPLES
        return None


def _run(algorithm, oracle, state, budget, record, notify):
    """Step until the method stops (None) or the run ends: status, last two states, contradiction.

    The last is "" unless the derivatives were seen to contradict each other or the function.
    """
    status, before, first, wrong = None, state, state.nit, ""
    record(oracle, state)
    if not np.isfinite(state.jac).all():
        return Status.NONFINITE, state, before, wrong
    try:
        while status is None and state.finished is None and not wrong:
            status = budget.spent(oracle, state.nit - first)
            if status is not None:
                break
            with np.errstate(over="ignore", invalid="ignore"):
                new = algorithm.step(oracle, state)
            if not (np.isfinite(new.x).all() and np.isfinite(new.jac).all()):
                status = Status.NONFINITE
                break
            before, state = state, new
            record(oracle, state)
            if notify is not None and notify(oracle, state):
                status = Status.CALLBACK
            if state.nit % _LISTEN == 0:
                wrong = _contradicted(oracle)
    except NotSymmetric as error:
        wrong = str(error)
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
    except Exception as error:
        if isinstance(error, AttributeError) and isinstance(error.obj, State):
            raise TypeError(f"state must be that of an earlier run of the same method and rule; "
                            f"this {type(state).__name__} has no {error.name!r}") from None
        error.add_note(f"after step {state.nit}")
        raise
    return status, state, before, wrong or _contradicted(oracle)


def _contradicted(oracle):
    """What the values and gradients of the run say against each other; "" if nothing."""
    return "" if oracle.witness is None else oracle.witness.verdict()


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


def _too_long(algorithm, state):
    """Why a run may have left the finite numbers, with the step to blame."""
    if not np.isfinite(state.jac).all():
        return "the gradient at the start"
    step_size = getattr(algorithm, "step_size", None)
    remedy = "" if step_size is None else f"; a step_size below {step_size:.3g} may help"
    return f"the step after number {state.nit}{remedy}"


def _last_finite(oracle, end, earlier):
    """x, ∇f and f of the latest of these that has a finite f; else of the end all the same."""
    for state in earlier:
        if not np.array_equal(state.x, end[0]):
            value = oracle.fun(state.x)
            if np.isfinite(value) and np.isfinite(state.jac).all():
                return state.x, state.jac, value
    return end


def gd(fun, x0, args=(), jac=None, hess=None, hessp=None, bounds=None, constraints=(),
       callback=None, **options) -> OptimizeResult:
    """Gradient descent for ``scipy.optimize.minimize(..., method=saddlelib.gd)``; see `pgd`."""
    return _from_scipy("gd", fun, x0, args, jac, hess, hessp, bounds, constraints, callback,
                       options)


def pgd(fun, x0, args=(), jac=None, hess=None, hessp=None, bounds=None, constraints=(),
        callback=None, **options) -> OptimizeResult:
    """Perturbed gradient descent for ``scipy.optimize.minimize(..., method=saddlelib.pgd)``.

    ``options`` are the keyword arguments of `saddlelib.minimize`: at least ``step_size`` (or
    ``lipschitz_grad``) and ``lipschitz_hess`` or ``curvature_tol``. SciPy's ``tol`` is ``epsilon``.

    Examples
    --------
    >>> import numpy as np, saddlelib
    >>> from scipy.optimize import minimize
    >>> f = lambda x: x[0]**4 / 4 - x[0]**2 / 2 + x[1]**2
    >>> df = lambda x: np.array([x[0]**3 - x[0], 2 * x[1]])
    >>> result = minimize(f, [0.0, 1.0], jac=df, method=saddlelib.pgd,
    ...                   options=dict(step_size=0.2, lipschitz_hess=6.0, rng=0))
    >>> result.success, float(abs(result.x[0]).round(3))
    (True, 1.0)
    """
    return _from_scipy("pgd", fun, x0, args, jac, hess, hessp, bounds, constraints, callback,
                       options)


def psd(fun, x0, args=(), jac=None, hess=None, hessp=None, bounds=None, constraints=(),
        callback=None, **options) -> OptimizeResult:
    """Perturbed Saddle-escape Descent for ``scipy.optimize.minimize(..., method=saddlelib.psd)``.

    ``options`` as for `pgd`; ``rule="published"`` needs ``hess`` and ``delta_f`` as well.

    Examples
    --------
    >>> import numpy as np, saddlelib
    >>> from scipy.optimize import minimize
    >>> f = lambda x: x[0]**4 / 4 - x[0]**2 / 2 + x[1]**2
    >>> df = lambda x: np.array([x[0]**3 - x[0], 2 * x[1]])
    >>> result = minimize(f, [0.0, 1.0], jac=df, method=saddlelib.psd,
    ...                   options=dict(step_size=0.2, lipschitz_hess=6.0, rng=0))
    >>> result.success, float(abs(result.x[0]).round(3))
    (True, 1.0)
    """
    return _from_scipy("psd", fun, x0, args, jac, hess, hessp, bounds, constraints, callback,
                       options)


def psgd(fun, x0, args=(), jac=None, hess=None, hessp=None, bounds=None, constraints=(),
         callback=None, **options) -> OptimizeResult:
    """Perturbed SGD for ``scipy.optimize.minimize(..., method=saddlelib.psgd)``; see `pgd`.

    The noise is that of ``grad_noise`` among the ``options``. A sum over data goes to
    `saddlelib.minimize` itself, as a `saddlelib.oracle.FiniteSum`.

    Examples
    --------
    >>> import numpy as np, saddlelib
    >>> from scipy.optimize import minimize
    >>> f = lambda x: x[0]**4 / 4 - x[0]**2 / 2 + x[1]**2
    >>> df = lambda x: np.array([x[0]**3 - x[0], 2 * x[1]])
    >>> result = minimize(f, [0.0, 1.0], jac=df, method=saddlelib.psgd,
    ...                   options=dict(step_size=0.2, lipschitz_hess=6.0, epsilon=0.05,
    ...                                grad_noise=0.5, rng=0))
    >>> result.success, float(abs(result.x[0]).round(1))
    (True, 1.0)
    """
    return _from_scipy("psgd", fun, x0, args, jac, hess, hessp, bounds, constraints, callback,
                       options)


def _from_scipy(method, fun, x0, args, jac, hess, hessp, bounds, constraints, callback, options):
    if bounds is not None:
        raise ValueError("bounds are not supported: these methods are for unconstrained problems")
    if np.any(constraints):
        raise ValueError("constraints are not supported: these methods are for unconstrained "
                         "problems")
    if "tol" in options:
        options = {"epsilon": options["tol"], **options}
        del options["tol"]
    for name in ("disp", "return_all"):
        options.pop(name, None)
    return minimize(fun, x0, method, jac=jac, hessp=hessp, hess=hess if callable(hess) else None,
                    args=args, callback=callback, **options)


def _rule(method, options):
    """Name and row of the table, after a look at whether the options belong to it."""
    rules = _RULES.get(method) if isinstance(method, str) else None
    if rules is None:
        raise ValueError(f"method must be {_either(_RULES)}, got {method!r}")
    name = None if None in rules else options.pop("rule", next(iter(rules)))
    if not isinstance(name, (str, type(None))) or name not in rules:
        raise ValueError(f"rule must be {_either(rules)}, got {name!r}")
    rule = rules[name]
    known = (*rule.options, *(("delta_f",) if "delta_f" in rule.numbers else ()),
             *(("sample_noise",) if _NOISES & set(rule.numbers) else ()))
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise TypeError(f"{method}{f' with rule {name!r}' if name else ''} has no option "
                        f"{', '.join(unknown)}; it takes {', '.join(known) or 'none'}")
    return name, rule


def _either(names):
    return " or ".join(map(repr, names))


def _build(name, rule, oracle, x0, state, given, options):
    """The method with its numbers filled in; those that were missing are added to ``given``."""
    if "step_size" not in rule.numbers:
        if given["step_size"] is not None:
            raise ValueError(f"rule={name!r} sets step_size = {rule.step} itself; leave step_size "
                             f"out")
    elif given["step_size"] is None:
        if given["lipschitz_grad"] is None:
            raise ValueError("give step_size, or lipschitz_grad (ℓ) for a step of 1/ℓ")
        given["step_size"] = 1 / positive("lipschitz_grad", given["lipschitz_grad"])
    else:
        given["step_size"] = positive("step_size", given["step_size"])
    if "lipschitz_grad" in rule.numbers and (given["lipschitz_grad"] is None
                                             or given["lipschitz_hess"] is None):
        raise ValueError(f"rule={name!r} needs lipschitz_grad (ℓ) and lipschitz_hess (ρ)")
    if ("delta_f" in rule.numbers and given["delta_f"] is None
            and options.get("iota") is None):  # Δ_f is only there to find ι
        given["delta_f"] = (_delta_f(name, oracle, x0) if state is None or state.delta_f is None
                            else state.delta_f)  # that of the start, not of here
    return _built(rule, {number: given[number] for number in rule.numbers}, options)


def _built(rule, numbers, options):
    """The method; where what its formulas make of the numbers is out of range, that is said."""
    try:
        return rule.build(**numbers, **options)
    except (OverflowError, ZeroDivisionError) as error:
        why = str(error)
    except ValueError as error:
        name, why = str(error).split(" must be ")[0], str(error)
        out_of_range = name.isidentifier() and name not in {**numbers, **options}
        if not out_of_range and why != "math domain error":
            raise
    told = ", ".join(f"{name} = {value:.3g}" for name, value in numbers.items()
                     if isinstance(value, (int, float)) and not isinstance(value, bool))
    raise ValueError(f"what the method makes of {told} leaves the range of float64 ({why}); "
                     f"rescale x and f, or choose values nearer to 1")


def _noise(oracle, dim, sample_noise):
    """√v of one sample in the forms that the rules take it, and how many samples there are."""
    terms = oracle.problem if isinstance(oracle.problem, FiniteSum) else None
    if sample_noise is None:
        if terms is not None:
            raise ValueError("give sample_noise, the root mean square √E‖∇fᵢ − ∇f‖² of the noise "
                             "of one term, for the batch sizes and the trigger")
        sample_noise = oracle.grad_noise
    elif terms is None and nonnegative("sample_noise", sample_noise) < oracle.grad_noise:
        raise ValueError(f"sample_noise must be at least grad_noise = {oracle.grad_noise}, the "
                         f"noise of this run, got {sample_noise}")
    std = nonnegative("sample_noise", sample_noise) / np.sqrt(dim)
    return dict(sample_noise=sample_noise, noise_std=std, noise_scale=tail_scale(std, dim),
                population=None if terms is None else terms.size,
                replacement=terms is not None and terms.replacement)


def _delta_f(name, oracle, x0):
    f_star = -np.inf if oracle.problem is None else oracle.problem.f_star
    delta_f = oracle.fun(x0) - f_star
    if not np.isfinite(delta_f):
        raise ValueError(f"rule={name!r} needs delta_f, an upper bound of f(x0) − f*; "
                         "this problem states no finite f*")
    return max(delta_f, np.finfo(float).tiny)


def _own_certificate(state, epsilon, curvature_tol, failure_prob):
    """The certificate a method stopped with, if it answers the question of this run."""
    seen = getattr(state, "certificate", None)
    asked = seen is not None and (seen.epsilon, seen.curvature_tol) == (epsilon, curvature_tol)
    return seen if asked and seen.failure_prob <= failure_prob else None


class _Trace:
    def __init__(self, names):
        try:
            names = (names,) if isinstance(names, str) else () if names is None else tuple(names)
        except TypeError:
            raise TypeError(f"trace must name some of {_TRACEABLE}, got {names!r}") from None
        for name in names:
            if not isinstance(name, str) or name not in _TRACEABLE:
                raise ValueError(f"trace must name some of {_TRACEABLE}, got {name!r}")
        self.rows = {name: [] for name in names}

    def __call__(self, oracle, state):
        for name, rows in self.rows.items():
            if name == "x":
                rows.append(state.x)
            elif name == "fun":
                rows.append(oracle.fun(state.x))
            else:
                rows.append(norm(state.jac))

    def arrays(self):
        if not self.rows:
            return None  # an empty dictionary breaks the repr of SciPy's OptimizeResult
        return {name: np.array(rows) for name, rows in self.rows.items()}


def _notifier(callback):
    """SciPy's two kinds of callback as one function of (oracle, state)."""
    if callback is None:
        return None
    if not callable(callback):
        raise TypeError(f"callback must be a function, got {callback!r}")
    try:
        wants_result = set(inspect.signature(callback).parameters) == {"intermediate_result"}
    except (TypeError, ValueError):
        wants_result = False

    def notify(oracle, state):
        """Whether the callback asks to stop. A StopIteration of ``fun`` is none of its own."""
        if wants_result:
            asked = functools.partial(callback, intermediate_result=OptimizeResult(
                x=state.x.copy(), fun=oracle.fun(state.x), jac=state.jac.copy(), nit=state.nit,
                nfev=oracle.nfev, njev=oracle.njev))
        else:
            asked = functools.partial(callback, state.x.copy())
        try:
            asked()
        except StopIteration:
            return True
        except Exception as error:
            error.add_note("raised by the callback")
            raise
        return False
    return notify


def _fork(rng):
    """A generator for the certificate that leaves the stream of the run untouched."""
    return np.random.default_rng(copy.deepcopy(rng).integers(2**63, size=4))
