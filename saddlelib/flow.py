r"""The gradient flow x' = −∇f(x), by SciPy's integrators: what small steps of any method follow.

`gradient_flow` hands −∇f to `scipy.integrate.solve_ivp` and sees to three things that a flow out
of a saddle needs: tolerances that resolve a small start, an end for every run, by a budget of
gradients and wherever a number is not finite, and a sentence about how it ended. `loss_falls` and
`mode_reaches` are events, which give the times of escape.
"""

from __future__ import annotations

import numpy as np
from scipy import integrate

from ._arguments import _number, as_gradient, as_point, integer, positive, probability
from ._norm import is_finite
from .problems import Problem

__all__ = ["METHODS", "gradient_flow", "loss_falls", "mode_reaches"]

METHODS = ("RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA")
"""The integrators, by SciPy's names."""

# How a run may end before its time, as `gradient_flow` says it.
_SAID = {
    "budget": "the budget of {most} gradients is spent at t = {t:.6g}; raise max_gradients, loosen "
              "rtol, or end earlier by t_max or a terminal event",
    "not finite": "the gradient or the point is not finite beyond t = {t:.6g}: the flow leaves "
                  "every bound, or the gradient is not defined there",
    "step size": "no step from t = {t:.6g} on is short enough for rtol and atol: the flow may "
                 "leave every bound there, or the gradient may jump; {why}",
}
# SciPy raises a smaller rtol to this, with a warning.
_LEAST_RTOL = 100 * np.finfo(float).eps


def gradient_flow(problem, x0, t_max, events=None, *, rtol=1e-8, atol=None, method="DOP853",
                  max_gradients=100_000, t_eval=None, dense_output=False):
    r"""Integrate x' = −∇f(x) from x0 until t_max or a terminal event.

    For the long waits near saddles and the short moves between them the explicit methods with
    their adaptive steps do well. Far beyond an arrival, where λt is large for the largest
    curvature λ, use "LSODA" or another implicit one.

    Parameters
    ----------
    problem : Problem or callable
        A problem of `saddlelib.problems`, or its gradient ``grad(x) -> (d,)``. Any other vector
        field is as good: the flow of Muon has the orthogonalized gradient here.
    x0 : array, shape (d,)
    t_max : float
        > 0 and finite.
    events : callable or list of callables, optional
        ``event(t, x) -> float``, zero where the event is, as SciPy takes them: `loss_falls`,
        `mode_reaches` or your own, with its attributes ``terminal`` and ``direction``.
    rtol : float
        Relative tolerance of a step, in [2.2e-14, 1).
    atol : float, optional
        Absolute tolerance > 0; by default rtol times the least \|x0ᵢ\| > 0, or rtol at x0 = 0. A
        larger one than the start lets noise of the integrator grow out of the saddle.
    method : str
        One of `METHODS`.
    max_gradients : int
        Most gradients, up to one step more; the run then ends with status −1.
    t_eval : array, optional
        Times at which x is stored; all steps by default.
    dense_output : bool
        Whether ``sol(t)`` is wanted.

    Returns
    -------
    scipy.integrate.OdeResult
        That of ``solve_ivp``: ``t`` (m,), ``y`` (d, m), ``t_events``, ``y_events``, ``sol``,
        ``status`` (0: t_max, 1: a terminal event, −1: neither), ``success`` and ``message``, a
        sentence. ``nfev`` counts all gradients; new are ``x``, the last point (d,), and ``ending``:
        "t_max", "event", "budget", "not finite" or "step size".

    Raises
    ------
    TypeError, ValueError
        Naming the argument and the remedy.

    Examples
    --------
    >>> import numpy as np
    >>> def grad(x):    # of ½(1 − x₁x₂)²
    ...     return -(1 - x[0] * x[1]) * x[::-1]
    >>> run = gradient_flow(grad, [1e-3, 1e-3], 100.0)
    >>> run.ending, run.x.round(6).tolist()
    ('t_max', [1.0, 1.0])
    >>> half = loss_falls(lambda x: (1 - x[0] * x[1])**2, [1e-3, 1e-3], 0.5)
    >>> run = gradient_flow(grad, [1e-3, 1e-3], 100.0, half)
    >>> run.ending, round(float(run.t_events[0][0]), 2)    # ln(1/1e-3) = 6.91
    ('event', 6.47)
    """
    grad, x0 = _of("problem", problem, "grad"), _start(x0, problem)
    t_max = positive("t_max", t_max)
    rtol, atol = _tolerances(rtol, atol, x0)
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    field = _Field(grad, x0, integer("max_gradients", max_gradients))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        run = integrate.solve_ivp(field, (0.0, t_max), x0, _bounded(method, field), t_eval,
                                  dense_output, events, rtol=rtol, atol=atol)
    return _told(run, field, events)


def loss_falls(fun, x0, fraction, terminal=True):
    """The event where f − f* has fallen to this fraction of what it is at x0.

    Parameters
    ----------
    fun : Problem or callable
        A problem, which knows its f*, or ``fun(x) -> float`` with f* = 0.
    x0 : array, shape (d,)
        The start.
    fraction : float
        In (0, 1).
    terminal : bool
        Whether the flow ends there.

    Returns
    -------
    callable
        ``event(t, x)``, for `gradient_flow`.

    Raises
    ------
    TypeError, ValueError
        Naming the argument; also where f(x0) − f* is not a number > 0.

    Examples
    --------
    >>> from saddlelib.problems import QuarticSaddle
    >>> f = QuarticSaddle.spread(2)
    >>> run = gradient_flow(f, [1e-6, 0.0], 1e3, loss_falls(f, [1e-6, 0.0], 0.5))
    >>> run.ending
    'event'
    """
    value, x0 = _of("fun", fun, "fun"), _start(x0, fun)
    f_star = float(fun.f_star) if isinstance(fun, Problem) else 0.0
    gap = float(value(x0)) - f_star
    if not 0 < gap < np.inf:
        raise ValueError(f"x0 must have a loss above f* = {f_star:.6g}, got a gap of {gap:.6g}; "
                         f"give a callable that is fun minus its least value")
    level = f_star + probability("fraction", fraction) * gap
    return _event(lambda t, x: float(value(x)) - level, terminal, direction=-1,
                  said=f"the loss falls to {fraction:g} of its start")


def mode_reaches(mode, level, terminal=False):
    """The event where a number that belongs to x, the strength of a mode, rises to a level.

    Parameters
    ----------
    mode : callable
        ``mode(x) -> float``: a coordinate, a singular value, or uᵀWv of a product of weights.
    level : float
        Finite.
    terminal : bool
        Whether the flow ends there.

    Returns
    -------
    callable
        ``event(t, x)``, for `gradient_flow`.

    Raises
    ------
    TypeError, ValueError
        Naming the argument.

    Examples
    --------
    >>> run = gradient_flow(lambda x: -x, [1.0], 5.0, mode_reaches(lambda x: x[0], 2.0))
    >>> round(float(run.t_events[0][0]), 6)    # ln 2
    0.693147
    """
    if not callable(mode):
        raise TypeError(f"mode must be a callable of x, got {mode!r}")
    level = _number("level", level)
    if not np.isfinite(level):
        raise ValueError(f"level must be finite, got {level!r}")
    return _event(lambda t, x: float(mode(x)) - level, terminal, direction=1,
                  said=f"a mode reaches {level:g}")


def _event(event, terminal, direction, said):
    if not isinstance(terminal, (bool, np.bool_)):
        raise TypeError(f"terminal must be True or False, got {terminal!r}")
    event.terminal, event.direction, event.said = bool(terminal), direction, said
    return event


def _of(name, thing, part):
    """A function of a problem, or one that was given itself."""
    if isinstance(thing, Problem):
        return getattr(thing, part)
    if not callable(thing):
        raise TypeError(f"{name} must be a Problem or a callable of x, got {thing!r}")
    return thing


def _start(x0, thing):
    return as_point("x0", x0, thing if isinstance(thing, Problem) else None)


def _tolerances(rtol, atol, x0):
    rtol = probability("rtol", rtol)
    if rtol < _LEAST_RTOL:
        raise ValueError(f"rtol must be at least {_LEAST_RTOL:.2g}, the rounding of a step, got "
                         f"{rtol!r}")
    if atol is None:
        return rtol, rtol * float(np.abs(x0[x0 != 0]).min(initial=1.0))
    return rtol, positive("atol", atol)


class _Field:
    """−∇f as SciPy calls it: it counts, and knows whether what it said was finite."""

    def __init__(self, grad, x0, most):
        self.grad, self.most, self.count = grad, most, 0
        self.finite, self.ending, self.x = True, None, x0

    def __call__(self, t, x):
        self.count += 1
        g = as_gradient("the gradient", self.grad(x.copy()), x)
        self.finite = self.finite and is_finite(g)
        return -g


def _bounded(method, field):
    """SciPy's integrator, which also ends where the budget is spent or a number is not finite."""
    base = getattr(integrate, method)

    class Bounded(base):
        def _step_impl(self):
            if self.t == 0 and not field.finite:  # of the start itself, or of steps to measure one
                return self._ends("not finite")
            if field.count >= field.most:
                return self._ends("budget")
            field.finite = True
            try:
                done, message = super()._step_impl()
            except ValueError as error:  # of an implicit method's factorization
                if "infs or NaNs" not in str(error):
                    raise
                return self._ends("not finite")
            if done and is_finite(self.y):
                field.x = self.y
                return done, message
            return self._ends("step size" if field.finite and not done else "not finite", message)

        def _ends(self, ending, message=None):
            field.ending = ending
            return False, _SAID[ending].format(most=field.most, t=self.t, why=message)

    return Bounded


def _told(run, field, events):
    """What SciPy hands back, with how the flow ended."""
    run.nfev, run.ending = field.count, field.ending or ("t_max", "event")[run.status]
    run.t, run.x = np.asarray(run.t), field.x
    run.y = np.reshape(run.y, (field.x.size, run.t.size))
    if run.ending == "event":
        ended = [(times[-1], -i) for i, times in enumerate(run.t_events) if times.size
                 and getattr(_listed(events)[i], "terminal", False)]
        t, which = max(ended)
        run.x = run.y_events[-which][-1]
        said = getattr(_listed(events)[-which], "said", f"event {-which}")
        run.message = f"{said} at t = {t:.6g}, which ends the flow"
    elif run.ending == "t_max":
        run.message = "the flow has come to t_max"
    return run


def _listed(events):
    return [events] if callable(events) else list(events)
