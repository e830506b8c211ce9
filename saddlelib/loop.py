"""The one loop: it lets a method step, keeps the budget, and says how the run ended."""

from __future__ import annotations

import enum
from typing import NamedTuple

import numpy as np

from ._norm import is_finite
from .curvature.products import NotSymmetric
from .methods import State

__all__ = ["Budget", "End", "Status", "check", "run"]


class Status(enum.IntEnum):
    """How a run ended. Only ``CERTIFIED`` is a success.

    Attributes
    ----------
    CERTIFIED
        The point is second-order stationary, except with the probability that was asked for.
    MAXITER, MAXFEV, MAXSAMPLES
        The budget of steps, of oracle calls or of samples is spent.
    SADDLE
        The gradient is small, and some direction curves down by more than is allowed.
    CANNOT_TELL
        The gradient is small, and the curvature could not be certified.
    NOT_LOOKED_AT
        The gradient is small, and nobody looked at the curvature.
    NONFINITE
        A value or a gradient was not finite.
    PRECISION
        float64 cannot carry the test that the method makes.
    INTERRUPTED, CALLBACK
        From the keyboard, or by the callback.
    BELOW_F_STAR
        A value below ``f_star`` was met.
    VALIDATION
        The validation measure no longer falls.
    VACUOUS
        The tolerance allows all the curvature that was seen, so that no point could fail.
    WRONG_DERIVATIVES
        The derivatives contradict the function.
    NOT_STATIONARY
        The method stopped where the gradient is larger than ε.
    UNBOUNDED
        f has fallen so far that it seems to have no minimum.

    Examples
    --------
    >>> Status.SADDLE.sentence
    'Stopped at a saddle: the gradient is small, the curvature is negative.'
    """

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
    UNBOUNDED = 15
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
    Status.UNBOUNDED: "f has fallen so far that it seems to have no minimum.",
    Status.CALLBACK: "The callback asked to stop.",
}

# How many steps a run takes before it asks again whether its gradients fit its values.
_LISTEN = 64
# A method may look around without counting that as a step, but not for ever.
_MOST_IDLE = 100
_FLOAT = np.dtype(float)


class Budget(NamedTuple):
    """What one run may spend: steps, oracle calls and samples, the last two None for any.

    Attributes
    ----------
    maxiter : int
        Most steps, ≥ 0.
    maxfev : int or None
        Most oracle calls of all kinds.
    maxsamples : int or None
        Most samples.

    Examples
    --------
    >>> from saddlelib import Oracle
    >>> oracle = Oracle(lambda x: x @ x, jac=lambda x: 2 * x)
    >>> Budget(maxiter=10).spent(oracle, steps=9), Budget(maxiter=10).spent(oracle, steps=10)
    (None, <Status.MAXITER: 1>)
    """

    maxiter: int
    maxfev: int | None = None
    maxsamples: int | None = None

    def spent(self, oracle, steps) -> Status | None:
        """Which budget is spent, if any."""
        if steps >= self.maxiter:
            return Status.MAXITER
        if self.maxfev is not None and oracle.calls >= self.maxfev:
            return Status.MAXFEV
        if self.maxsamples is not None and oracle.nsamples >= self.maxsamples:
            return Status.MAXSAMPLES
        return None


class End(NamedTuple):
    """How a run ended.

    Attributes
    ----------
    status : Status or None
        None where the method stopped by itself.
    state, before, start : State
        The last state, the one before it, and the first.
    wrong : str
        What the derivatives were seen to contradict, "" if nothing.
    """

    status: Status | None
    state: State
    before: State
    start: State
    wrong: str = ""


def run(oracle, method, state, budget, watch) -> End:
    """Step until the method stops, a budget is spent, the watch says so, or numbers run out.

    Parameters
    ----------
    oracle : Oracle
    method : object with ``init`` and ``step``
    state : State
        That of ``method.init``, or of an earlier run.
    budget : Budget
    watch : callable
        ``watch(oracle, state) -> bool`` after every step, and before the first: whether to stop.

    Returns
    -------
    End

    Raises
    ------
    TypeError, ValueError
        Where a step returns what is no state, or writes into the one that it was given. What the
        functions of the oracle raise passes through, with a note that says after which step.

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib import Oracle
    >>> from saddlelib.methods import GradientDescent
    >>> oracle = Oracle(lambda x: x @ x, jac=lambda x: 2 * x)
    >>> descent = GradientDescent(step_size=0.25)
    >>> start = descent.init(oracle, np.ones(2))
    >>> end = run(oracle, descent, start, Budget(maxiter=3), lambda oracle, state: False)
    >>> end.status, end.state.nit, end.state.x.tolist()
    (<Status.MAXITER: 1>, 3, [0.125, 0.125])
    """
    progress = _Progress(oracle, state, budget, watch)
    start = before = state
    step = f"step of {type(method).__name__}"
    watch(oracle, state)
    if not is_finite(state.jac):
        return End(Status.NONFINITE, state, state, start)
    status, wrong = None, ""
    try:
        while status is None and state.finished is None and not wrong:
            status = progress.spent()
            if status is not None:
                break
            with np.errstate(over="ignore", invalid="ignore"):
                new = method.step(oracle, state)
            check(step, new, state)
            if not (is_finite(new.x) and is_finite(new.jac)):
                status = Status.NONFINITE
                break
            before, state = state, new
            status = progress.made(state)
            if state.nit % _LISTEN == 0:
                wrong = _contradicted(oracle)
    except NotSymmetric as error:
        wrong = str(error)
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
    except Exception as error:
        _explain(error, state)
        raise
    finally:
        oracle.report = None
    return End(status, state, before, start, wrong or _contradicted(oracle))


def check(name, new, state):
    """Refuse what is no state, or not one after ``state``; nobody writes into its arrays later.

    Parameters
    ----------
    name : str
        Who returned it, for the message.
    new : object
        What has to be a state: ``x`` and ``jac`` are float64 arrays of one shape, ``nit`` is an
        int.
    state : State
        The one before it.

    Raises
    ------
    TypeError, ValueError
        Saying what is wrong with it.

    Examples
    --------
    >>> check("step of Mine", None, None)
    Traceback (most recent call last):
    TypeError: step of Mine must return a saddlelib.methods.State, got None
    """
    if not isinstance(new, State):
        raise TypeError(f"{name} must return a saddlelib.methods.State, got {new!r}")
    shape = np.shape(state.x)
    for part in ("x", "jac"):
        array = getattr(new, part, None)
        if not (isinstance(array, np.ndarray) and array.dtype == _FLOAT and array.shape == shape):
            raise TypeError(f"{name} must return a state whose {part} is a float64 array of shape "
                            f"{shape}, got {array!r}")
        array.flags.writeable = False
    if not isinstance(new.nit, (int, np.integer)) or new.nit < state.nit:
        raise ValueError(f"{name} must return a state whose nit, the steps so far, is an integer "
                         f"that does not fall, got {new.nit!r} after {state.nit}")


class _Progress:
    """Counts the steps and shows them to the watch, also those that a method takes within one."""

    def __init__(self, oracle, state, budget, watch):
        self.oracle, self.budget, self.watch = oracle, budget, watch
        self.first = self.last = state.nit
        self.idle, self.stopped, self.reported = 0, None, None
        oracle.report = self.report

    def spent(self):
        steps = self.last - self.first + max(0, self.idle - _MOST_IDLE)
        return self.budget.spent(self.oracle, steps)

    def made(self, state) -> Status | None:
        """After a step of the method; why to stop, if so."""
        self.idle = self.idle + 1 if state.nit <= self.last else 0
        self.last = state.nit
        if self.stopped is None and state.nit != self.reported:
            self._show(state)
        return self.stopped

    def report(self, state) -> bool:
        """Within a step: an iterate of a solver that has a loop of its own. Whether to stop."""
        self.last = self.reported = state.nit
        self._show(state)
        self.stopped = self.stopped or self.spent()
        return self.stopped is not None

    def _show(self, state):
        if self.watch(self.oracle, state):
            self.stopped = Status.CALLBACK


def _explain(error, state):
    """Say where an exception came from; a state of another method is an error of its own."""
    if isinstance(error, AttributeError) and isinstance(error.obj, State):
        raise TypeError(f"state must be that of an earlier run of the same method and rule; "
                        f"this {type(state).__name__} has no {error.name!r}") from None
    if isinstance(error, ValueError) and str(error).endswith("read-only"):
        raise ValueError("step of a method must leave the state that it is given as it was; "
                         "begin with new = state.copy() and new.x = ..., not with "
                         "new.x -= ...") from error
    error.add_note(f"after step {state.nit}")


def _contradicted(oracle):
    """What the values and gradients of the run say against each other; "" if nothing."""
    return "" if oracle.witness is None else oracle.witness.verdict()
