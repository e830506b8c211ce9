"""What came of a call, held against the true function: dense eigenvalues, norms, values."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import math
import re
import signal
import traceback
import warnings
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.stats import binom

import saddlelib
from saddlelib import Status, certify, certify_samples, minimize
from saddlelib.methods.rules import CONSTANTS

from . import front, promises
from .calls import RULES, draw
from .lies import SHARE, visible

# A call that takes longer hangs.
LIMIT = 5.0
# The repetitions of a certificate may take longer.
JUDGING = 30.0
_UNIT = 2.0**-53
# A certificate that fails by chance is drawn again so often; more failures than all but one in a
# thousand repetitions would have at its failure probability are wrong.
_AGAIN, _CHANCE = 100, 1e-3

# Families whose derivatives are those of no function, or of another one.
LIARS = ("wrong gradient", "wrong products")
NOT_VISIBLE = "not visible"  # a wrong answer to a lie that nobody could see: see `lies.visible`
PROBLEMS = ("wrong success", "wrong verdict", "false interval", "broken promise", "hang",
            "foreign exception", "warning")


@dataclass
class Outcome:
    """How one call ended, and what is wrong with that."""

    seed: int
    family: str
    end: str
    problems: list = field(default_factory=list)  # (one of PROBLEMS, what exactly)


class _Hang(BaseException):
    pass


@contextlib.contextmanager
def _alarm(seconds):
    def ring(*_):
        raise _Hang
    old = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def look_at(seed, ran=lambda: None) -> Outcome:
    """Draw the call of a seed, run it and judge it; ``ran`` is told when it has run."""
    call = draw(seed)
    seen = Outcome(seed, call.family, "")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            with _alarm(LIMIT):
                result = call.run()
        except _Hang:
            seen.end = "hang"
            seen.problems.append(("hang", _where_of(call)))
            return seen
        except BaseException as error:
            seen.end = _exception(call, error, seen)
            result = None
    ran()
    for warning in warned:
        where = "/".join(warning.filename.split("/")[-2:])
        seen.problems.append(("warning", f"{warning.message} ({where}:{warning.lineno})"))
    if result is not None:
        try:
            with _alarm(JUDGING):
                _judge(call, result, seen)
        except _Hang:
            seen.problems.append(("hang", f"while repeated: {_where_of(call)}"))
    return seen


def _where_of(call):
    way = "" if call.front is None else f"{call.front.by} jac={call.front.jac} "
    return f"{call.door} {way}{call.method} {call.rule or ''} {call.fault}"


# Exceptions ----------------------------------------------------------------

def _names():
    functions = minimize, certify, certify_samples, saddlelib.Oracle, saddlelib.oracle.FiniteSum
    names = set(itertools.chain(*(inspect.signature(f).parameters for f in functions)))
    names |= set(itertools.chain(*(row[2] for row in RULES))) | {"epoch_length", "rule"}
    names |= set(CONSTANTS)
    return names - {"x", "problem", "size", "dim"} | {
        "problem", "x must", "step of", "init of", "what method"}


_NAMED = re.compile(r"\b(" + "|".join(sorted(_names(), key=len, reverse=True)) + r")\b")


def _exception(call, error, seen):
    if error is call.planted:
        said = ("raised by", "after step")
        if isinstance(error, Exception) and not any(
                note.startswith(said) for note in getattr(error, "__notes__", ())):
            seen.problems.append(("foreign exception", "no note says which function raised"))
        return "its own exception"
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1]
    outside = re.search(r"/(numpy|scipy|contextlib)\b", last.filename.split("saddlelib")[-1])
    ours = max((i for i, frame in enumerate(frames) if "/saddlelib/" in frame.filename), default=0)
    if any("/fuzz/" in frame.filename for frame in frames[ours + 1:]) and any(
            note.startswith("raised by") for note in getattr(error, "__notes__", ())):
        return "its own exception"  # of a function, or of NumPy's that it called
    if isinstance(error, (ValueError, TypeError)) and _NAMED.search(str(error)) and not outside:
        return "named error"
    if any(isinstance(given, type) for given in call.arguments.values()) and any(
            note.startswith("raised by") for note in getattr(error, "__notes__", ())):
        return "named error"  # of a class that takes no such arguments
    by_scipy = call.door == "scipy" or call.front is not None and call.front.by == "scipy"
    if by_scipy and not any("/saddlelib/" in frame.filename for frame in frames):
        return "refused by SciPy"
    where = "/".join(last.filename.split("/")[-2:])
    seen.problems.append(("foreign exception", f"{type(error).__name__}: {str(error)[:80]} "
                                               f"({where}:{last.lineno})"))
    return "foreign exception"


# Answers ----------------------------------------------------------------

@dataclass
class Truths:
    """The true numbers at x, with what floating point cannot tell.

    The functions handed over compute the same floating-point operations as the truth does, so
    that a norm is known to 1e-6 of ε and a few units of itself. Only a gradient that is given in
    float32, or with an error of stated size, gets its own error on top, and the cosine with a large
    constant inside what that constant costs. An eigenvalue is known to 64 d units of ‖H‖.
    """

    fun: float
    norm: float
    min_eig: float
    grad_slack: float
    eig_slack: float
    size: float  # ‖H‖


def _truths(call, x):
    t = call.truth
    g, H = t.grad(x), t.hess(x)
    norm = math.hypot(*g)
    scale = float(np.abs(H).max())
    if scale and math.isfinite(scale):
        eigs = np.linalg.eigvalsh(H / scale) * scale
        min_eig, size = float(eigs[0]), float(np.abs(eigs).max())
    else:
        min_eig, size = (0.0, 0.0) if scale == 0 else (math.nan, math.nan)
    error = call.grad_error
    if call.family == "float32 gradient":
        error = 2.0**-24 * norm + t.dim * 1e-45
    rough = t.base.fuzz * abs(t.a * t.s)
    # What underflows in float32 is zero, at all steps shorter than a tenth of what F varies on.
    if call.family == "float32 gradient":
        rough += 1e-44
    return Truths(t.fun(x), norm, min_eig, error + 8 * _UNIT * norm + rough * math.sqrt(t.dim),
                  64 * t.dim * _UNIT * size + rough * abs(t.s) * t.dim, size)


def _judge(call, result, seen):
    if isinstance(result, saddlelib.Certificate):
        seen.end = result.verdict.name
        _verdict(call, result, np.array(call.x0, dtype=float), seen, False)
        return
    seen.end = Status(result.status).name
    fault = seen.problems.append
    if result.success != (result.status == Status.CERTIFIED):
        fault(("wrong success", "success and status disagree"))
    if not np.isfinite(result.x).all():
        fault(("wrong verdict", "x is not finite"))
    if result.success and not math.isfinite(result.fun):
        fault(("wrong success", "f is not finite"))
    if result.success and (result.certificate is None or not result.certificate.passed):
        fault(("wrong success", "there is no certificate"))
    if result.certificate is not None:
        _verdict(call, result.certificate, np.ravel(result.x), seen, result.success)
    if call.door == "front":
        for what in promises.broken(call, result):
            fault(("broken promise", f"{what}: {_where_of(call)}"))


def _asked(call):
    """ε and √(ρε) as the call states them, in extended precision; None where it does not."""
    epsilon = call.arguments.get("epsilon")
    epsilon = 1e-3 if epsilon is None else epsilon
    tol = call.arguments.get("curvature_tol")
    if tol is None and call.arguments.get("lipschitz_hess") is not None:
        tol = np.sqrt(np.longdouble(call.arguments["lipschitz_hess"]) * np.longdouble(epsilon))
    return float(epsilon), None if tol is None else float(tol)


def _verdict(call, cert, x, seen, success):
    if np.size(x) != call.truth.dim:
        return  # of an x0 of another length, at which the functions are no longer each other's
    truth, (epsilon, tol), name = _truths(call, x), _asked(call), cert.verdict.name
    if _denies_noise(call):
        truth.grad_slack = math.inf
    tol = cert.curvature_tol if tol is None else tol
    fault = seen.problems.append
    kind = "wrong success" if success or name == "SOSP" else "wrong verdict"
    if name == "WRONG_DERIVATIVES" and not (_excused(call, x) or front.too_coarse(call)):
        fault(("wrong verdict", f"falsely accused: {_where_of(call)}"))
    if call.family in LIARS and not visible(call, x, cert):
        kind = NOT_VISIBLE
    if front.too_coarse(call):
        return
    large = not truth.norm <= epsilon * (1 + 1e-6) + truth.grad_slack
    small = truth.norm < epsilon * (1 - 1e-6) - truth.grad_slack
    curved = not truth.min_eig >= -tol * (1 + 1e-6) - truth.eig_slack
    flat = truth.min_eig > -tol * (1 - 1e-6) + truth.eig_slack
    if name == "SOSP":
        if large and not _by_chance(call, cert, x, lambda c: c.verdict.name == "SOSP"):
            fault((kind, f"gradient: {_where_of(call)}"))
        if curved and not _by_chance(call, cert, x, lambda c: c.verdict.name == "SOSP"):
            fault((kind, f"curvature: {_where_of(call)}"))
    elif name == "NOT_STATIONARY" and small or name == "NEGATIVE_CURVATURE" and flat:
        if not _by_chance(call, cert, x, lambda c: c.verdict is cert.verdict):
            fault((kind, f"{name}: {_where_of(call)}"))
    if call.family in LIARS or _cannot_know(call, truth, epsilon, tol):
        return  # an interval is one of what was told
    if truth.min_eig < cert.min_eig_lower - truth.eig_slack - 1e-6 * abs(cert.min_eig_lower) \
            and not _by_chance(call, cert, x, lambda c: truth.min_eig < c.min_eig_lower
                               - truth.eig_slack - 1e-6 * abs(c.min_eig_lower)):
        fault((NOT_VISIBLE if _luck(call, cert, truth) else "false interval", _where_of(call)))


def _denies_noise(call):
    """Whether ``grad_noise`` says that the terms of a sum differ by less than they do."""
    stated = call.arguments.get("grad_noise")
    if call.door != "certify_samples" or call.noise or stated is None:
        return False
    spread = call.spread() / abs(call.truth.a * call.truth.s)
    return stated < math.sqrt((spread**2).sum() / len(spread)) * abs(call.truth.a * call.truth.s)


def _luck(call, cert, truth):
    """Whether rough gradients in at most three dimensions explain an interval that is too short.

    The error of a difference is measured by two others. In so few dimensions all of them are a few
    random numbers, of which any may be small: a hundred times too small is luck.
    """
    gap = cert.min_eig_lower - truth.min_eig
    return (call.family == "rough gradient" and call.truth.dim <= 3
            and gap <= 100 * cert.hvp_error)


def _cannot_know(call, truth, epsilon, tol):
    """Whether what the caller says of differences of gradients makes them blind.

    They take their steps from min(ε/γ, γ/ρ), the length on which curvature can be lost. Where that
    is 10⁶ times the length on which F varies, F is another function out there; where it is less
    than the unit of rounding of a constant inside of F', no step moves F' at all. And central
    differences keep at best two thirds of the digits: who states an error of a product below that
    part of ‖H‖ is believed, and wrong.
    """
    if front.too_coarse(call):
        return True
    if not (call.derivatives == 0 or call.door == "certify_samples"):
        return False
    rho, stated = call.arguments.get("lipschitz_hess"), call.arguments.get("hvp_error")
    rho = None if call.door == "front" else rho  # which finds its own
    if tol == 0:
        return False
    length = (min(epsilon / tol, tol / rho) if rho else epsilon / tol) * abs(call.truth.s)
    return (length > 1e6 or length <= call.truth.base.fuzz
            or stated is not None and stated < _UNIT ** (2 / 3) * truth.size)


def _excused(call, x):
    """Whether derivatives may be called wrong: they are, or float32 has nothing left of them."""
    if call.family == "float32 gradient":
        # The smallest float32 is 1.4e-45, and above 1e-37 there are all digits.
        return math.hypot(*call.truth.grad(x)) < 1e-30
    return call.family in (*LIARS, "rough gradient")


def _by_chance(call, cert, x, wrong):
    """Whether the failure probability explains it: the same question with fresh randomness.

    A lie is looked for along one random line, and one that is visible may be missed on a few.
    """
    failures = 1 + sum([wrong(again) for again in _again(call, cert, x)])
    allowed = max(cert.failure_prob, 1 - SHARE if call.family in LIARS else 0.0)
    return binom.sf(failures - 1, _AGAIN + 1, allowed) > _CHANCE


def _again(call, cert, x):
    """The certificates of the same question with fresh randomness."""
    if call.family == "raises":  # which did not happen
        call = replace(call, family="nothing wrong")
    parts, given = call.functions(), call.arguments
    fun = parts.pop("fun")
    asked = dict(epsilon=cert.epsilon, curvature_tol=cert.curvature_tol,
                 failure_prob=cert.failure_prob, lipschitz_hess=given.get("lipschitz_hess"))
    for seed in range(_AGAIN):
        with contextlib.suppress(ValueError):  # NotSymmetric, or an x0 of another length
            if call.door == "certify_samples":
                yield certify_samples(call.sampled(dict(parts), fun), x, **{**given, "rng": seed})
            elif call.door == "certify":
                yield certify(fun, x, **parts, **{**given, "rng": seed})
            elif isinstance(cert, saddlelib.SampleCertificate):
                oracle = saddlelib.Oracle(fun, **parts, rng=seed, grad_noise=given["grad_noise"],
                                          noise_df=given.get("noise_df"))
                yield certify_samples(oracle, x, rng=seed, **asked)
            else:
                yield certify(fun, x, **front.again(call, parts), rng=seed, **asked)
