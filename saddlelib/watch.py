"""What looks on while a run goes: the trace, the callback, lines now and then, a bar."""

from __future__ import annotations

import functools
import inspect

import numpy as np
from scipy.optimize import OptimizeResult

from ._norm import norm

__all__ = ["Watch"]

_TRACEABLE = ("x", "fun", "grad_norm")


class Watch:
    """Called after every step; says whether the callback asks to stop.

    Parameters
    ----------
    trace : iterable of {"x", "fun", "grad_norm"}, str or None
    callback : callable or None
        ``callback(intermediate_result)`` or ``callback(xk)``.
    disp, progress : bool
        A printed line after steps 0, 1, 2, 5, 10, 20, 50, …; a bar of tqdm.
    restore : callable, optional
        What makes of x, shape (d,), what the user knows as x.

    Raises
    ------
    TypeError, ValueError
        Naming the argument; ImportError where tqdm is missing for ``progress``.

    Examples
    --------
    >>> import saddlelib
    >>> run = saddlelib.minimize(lambda x: x @ x, [1.0], "gd", jac=lambda x: 2 * x, step_size=0.25,
    ...                          trace=("fun",), maxiter=2)
    >>> run.trace["fun"].tolist()    # what a watch has recorded
    [1.0, 0.25, 0.0625]
    """

    def __init__(self, trace=(), callback=None, disp=False, progress=False, restore=None):
        for name, flag in (("disp", disp), ("progress", progress)):
            if not isinstance(flag, (bool, int, np.bool_)):
                raise TypeError(f"{name} must be True or False, got {flag!r}")
        self.rows = {name: [] for name in _names(trace)}
        self.restore = restore or np.copy
        self.notify = _notifier(callback, self.restore)
        self.shown = [part() for part, wanted in ((_Lines, disp), (_Bar, progress)) if wanted]
        self.begun = False

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for part in self.shown:
            part.close()

    def __call__(self, oracle, state) -> bool:
        """Look at a state; whether to stop. The state at the start is not for the callback."""
        for name, rows in self.rows.items():
            rows.append(state.x if name == "x" else oracle.fun(state.x) if name == "fun"
                        else norm(state.jac))
        for part in self.shown:
            part(oracle, state)
        begun, self.begun = self.begun, True
        return begun and self.notify is not None and self.notify(oracle, state)

    def trace(self, shape=(-1,)) -> dict | None:
        """A dictionary of arrays, None where nothing was asked for; points in this shape."""
        if not self.rows:
            return None
        rows = {name: np.array(rows) for name, rows in self.rows.items()}
        if "x" in rows:
            rows["x"] = rows["x"].reshape(len(rows["x"]), *shape)
        return rows


def _names(trace):
    try:
        names = (trace,) if isinstance(trace, str) else () if trace is None else tuple(trace)
    except TypeError:
        raise TypeError(f"trace must name some of {_TRACEABLE}, got {trace!r}") from None
    for name in names:
        if not isinstance(name, str) or name not in _TRACEABLE:
            raise ValueError(f"trace must name some of {_TRACEABLE}, got {name!r}")
    return names


def _notifier(callback, restore):
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
                x=restore(state.x), fun=oracle.fun(state.x), jac=restore(state.jac),
                nit=state.nit, nfev=oracle.nfev, njev=oracle.njev))
        else:
            asked = functools.partial(callback, restore(state.x))
        try:
            asked()
        except StopIteration:
            return True
        except Exception as error:
            error.add_note("raised by the callback")
            raise
        return False
    return notify


class _Lines:
    """A line after steps 0, 1, 2, 5, 10, 20, 50, …: what it costs is one value a line."""

    def __init__(self):
        self.next = 0
        print(f"{'step':>8} {'f(x)':>15} {'‖∇f(x)‖':>11} {'calls':>9}")

    def __call__(self, oracle, state):
        if state.nit < self.next:
            return
        while self.next <= state.nit:
            digit = int(str(self.next)[0])
            self.next = max(1, self.next * 5 // 2 if digit == 2 else 2 * self.next)
        print(f"{state.nit:8d} {oracle.fun(state.x):15.8g} {norm(state.jac):11.3g} "
              f"{oracle.calls:9d}")

    def close(self):
        """Nothing is left open."""


class _Bar:
    """The bar of tqdm, with the gradient norm beside it."""

    def __init__(self):
        try:
            from tqdm.auto import tqdm
        except ImportError:
            raise ImportError("progress=True needs tqdm: pip install 'saddlelib[progress]'; or use "
                              "disp=True") from None
        self.bar = tqdm(unit=" steps")

    def __call__(self, oracle, state):
        self.bar.set_postfix_str(f"‖∇f‖ = {norm(state.jac):.2g}", refresh=False)
        self.bar.update(state.nit - self.bar.n)

    def close(self):
        """Leave the bar as it stands."""
        self.bar.close()
