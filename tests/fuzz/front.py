"""Calls of the front door: no constants, any solver, any kind of gradient, any shape of x0."""

from __future__ import annotations

import contextlib
import functools
import io
from dataclasses import dataclass

import numpy as np
import scipy.optimize

import saddlelib
from saddlelib import minimize
from saddlelib.methods import Method, State

from .truths import ANALYTIC

# What a call through this door may have wrong with it, and how often.
FAMILIES = {
    "nothing wrong": 0.42, "extreme arguments": 0.06, "wrong types": 0.08, "wrong gradient": 0.08,
    "wrong products": 0.06, "not finite": 0.06, "wrong returns": 0.03, "raises": 0.04,
    "float32 gradient": 0.03, "rough gradient": 0.02, "lying solver": 0.06, "lying method": 0.06,
}
INNER = ("CG", "BFGS", "Newton-CG", "L-BFGS-B", "TNC", "SLSQP", "dogleg", "trust-ncg",
         "trust-exact", "trust-krylov", "trust-constr")
KINDS = (None, "2-point", "3-point", "cs")
# Families that need the gradient as a function.
_TOLD = ("wrong gradient", "wrong products", "float32 gradient", "rough gradient", "lying method")
# Families whose functions are true and say the same at every call.
EXACT = ("nothing wrong", "extreme arguments")
OTHERS = ["maxiter", "maxfev", "trace", "callback", "certificate", "state", "method", "jac", "hess",
          "hessp", "bounds", "constraints", "disp", "options"]


@dataclass
class Front:
    """How the door is opened.

    Attributes
    ----------
    by : {"minimize", "scipy"}
    jac : {"told", True, None, "2-point", "3-point", "cs"}
    shape : tuple of int
        Of x0.
    accuracy : {"epsilon", "gtol", "tol"}
    in_options : bool
        Whether keywords come as ``options``.
    check : {"", "budget", "pieces"}
        What else is promised: see `judge`.
    """

    by: str
    jac: object
    shape: tuple
    accuracy: str
    in_options: bool
    check: str


def draw(call, rng):
    """The way through the door, and the arguments."""
    t, more = call.truth, call.arguments
    unit = abs(t.a * t.s)
    if rng.random() < 0.8:
        more["epsilon"] = unit * 10.0 ** rng.uniform(-4, -0.5)
    if rng.random() < 0.3:
        more["curvature_tol"] = unit * t.s * 10.0 ** rng.uniform(-4, -0.3)
    if rng.random() < 0.1:
        more["lipschitz_hess"] = t.base.lipschitz_hess * unit * t.s * t.s
    if rng.random() < 0.3:
        more["failure_prob"] = float(rng.choice([0.1, 0.5, 1e-12]))
    more["rng"] = int(rng.integers(1000))
    if rng.random() < 0.5:
        more["maxiter"] = int(rng.choice([0, 1, 3, 20, 400]))
    if rng.random() < 0.2:
        more["maxfev"] = int(rng.integers(1, 100))
    if rng.random() < 0.1:
        more["trace"] = ["fun", ("x", "grad_norm"), ("x", "fun", "grad_norm")][rng.integers(3)]
    if rng.random() < 0.1:
        more["certificate"] = False
    call.derivatives = int(rng.choice([0, 0, 1, 2]))
    call.method = None if rng.random() < 0.6 else str(rng.choice([*INNER, "certified"]))
    kinds = [kind for kind in KINDS if kind != "cs" or t.base and t.name in ANALYTIC]
    told = call.family in _TOLD or rng.random() < 0.5
    jac = ["told", True][int(rng.random() < 0.2)] if told else kinds[rng.integers(len(kinds))]
    by = "scipy" if rng.random() < 0.25 and call.family != "lying method" else "minimize"
    shapes = [(t.dim,), (t.dim,), (t.dim, 1), (1, t.dim)]
    shapes += [()] if t.dim == 1 else [(2, t.dim // 2)] if t.dim % 2 == 0 else []
    shape = shapes[rng.integers(len(shapes))] if by == "minimize" else (t.dim,)
    call.front = Front(by, jac, shape, str(rng.choice(["epsilon", "gtol", "tol"])),
                       rng.random() < 0.2, str(rng.choice(["", "", "budget", "pieces"])))


def run(call, **change):
    """The result of a call, with some arguments changed."""
    front = call.front
    parts, more = _shaped(call), {**call.arguments, **change}
    x0 = call.x0
    if isinstance(x0, np.ndarray) and x0.size == call.truth.dim:
        x0 = x0.reshape(front.shape)
    if "epsilon" in more:
        more[front.accuracy] = more.pop("epsilon")
    method = _method(call)
    parts.update({name: more.pop(name) for name in ("jac", "hess", "hessp", "method")
                  if name in more})
    if "method" in parts:
        method = parts.pop("method")
    fun = parts.pop("fun")
    if more.get("state") is not None and "x0" not in more and isinstance(more["state"], State):
        x0 = None
    with contextlib.redirect_stdout(io.StringIO()):
        if front.by == "scipy":
            method = (saddlelib.certified if method is None else saddlelib.certified(method))
            known = {name: more.pop(name) for name in (
                "args", "bounds", "constraints", "tol", "callback") if name in more}
            return scipy.optimize.minimize(fun, x0, method=method, options=more, **parts, **known)
        if front.in_options and "options" not in more:
            return minimize(fun, x0, method, **parts, options=more)
        return minimize(fun, x0, method, **parts, **more)


def again(call, parts):
    """What `certify` takes of this door: flat functions, the same kind of gradient."""
    if call.front is not None and call.front.jac not in ("told", True):
        parts["jac"] = call.front.jac or "2-point"
    return parts


def _shaped(call):
    """The functions, of points in the shape of x0, and the gradient in the form that was drawn."""
    parts, front = call.functions(), call.front
    fun, grad, shape = parts["fun"], parts["jac"], front.shape
    right = isinstance(call.x0, np.ndarray) and call.x0.size == call.truth.dim

    def flat(x):
        assert not right or x.shape == shape, "x is not in the shape of x0"
        return np.asarray(x).reshape(-1)

    def back(g):
        good = isinstance(g, np.ndarray) and g.shape == (call.truth.dim,)
        return g.reshape(shape) if good and right else g

    def shaped_fun(x, *args):
        return fun(flat(x), *args)

    def shaped_grad(x, *args):
        return back(grad(flat(x), *args))

    shaped = dict(fun=shaped_fun, jac=shaped_grad)
    if front.jac is True:
        shaped = dict(fun=lambda x, *args: (shaped_fun(x, *args), shaped_grad(x, *args)), jac=True)
    elif front.jac != "told":
        shaped["jac"] = front.jac
    if "hessp" in parts:
        hvp = parts["hessp"]
        shaped["hessp"] = lambda x, v, *args: back(hvp(flat(x), flat(v), *args))
    if "hess" in parts:
        hess = parts["hess"]
        shaped["hess"] = lambda x, *args: hess(flat(x), *args)
    return shaped


def _method(call):
    if call.family == "lying solver":
        return functools.partial(_solver, call.fault, call.planted)
    if call.family == "lying method":
        t = call.truth
        ell = abs(t.a) * t.s * t.s * t.base.lipschitz_grad or 1.0
        return Own(call.fault, 0.5 / ell, float(call.arguments.get("epsilon", 1e-3)), call.planted)
    return call.method


# Solvers that lie ----------------------------------------------------------

SOLVERS = ["honest", "deaf", "garbage", "none", "raises", "stands", "nan", "shape", "text",
           "swallows", "buffer", "elsewhere", "up", "reads nothing", "far", "stops"]


def _solver(kind, planted, fun, x0, args=(), jac=None, callback=None, **options):
    """A function as `scipy.optimize.minimize` takes it for ``method``."""
    x, seen = np.array(x0, dtype=float), callback
    if kind == "deaf":
        def seen(x):
            pass
    elif kind == "swallows":
        def seen(x):
            with contextlib.suppress(Exception):
                callback(x)
    if kind == "raises":
        raise planted
    if kind == "stops":
        raise StopIteration
    if kind in ("garbage", "none"):
        return "a minimum" if kind == "garbage" else None
    told = {"nan": lambda: x + np.nan, "shape": lambda: np.ones(x.size + 1), "text": lambda: "x",
            "elsewhere": lambda: x + 0.1, "far": lambda: x + 1e200}.get(kind, lambda: x)
    endless = kind == "stands"
    for _ in range(10**9 if endless else 300):
        if not endless and kind != "reads nothing":
            g = jac(x, *args)
            step = (-0.2 if kind == "up" else 0.2) * g
            if kind == "buffer":
                x -= step
                g[:] = 0.0
            else:
                x = x - step
        seen(told())
    return scipy.optimize.OptimizeResult(x=x + 1.0, fun=-np.inf, success=True)


# Methods that lie ----------------------------------------------------------

METHODS = ["honest", "no nit", "nan x", "shape of x", "shape of jac", "x list", "jac none",
           "step none", "in place", "array in place", "finished true", "finished text",
           "finished early", "nit back", "nit text", "raises", "old jac", "no jac", "init none",
           "ints", "float32", "never", "zero jac"]


class Own(Method):
    """Gradient descent of a user's own, with a fault."""

    def __init__(self, kind, step_size, epsilon, planted):
        self.kind, self.step_size, self.epsilon, self.planted = kind, step_size, epsilon, planted

    def init(self, oracle, x0, rng=None):
        if self.kind == "init none":
            return None
        x0 = x0.tolist() if self.kind == "x list" else x0
        return State(x0, oracle.grad(np.array(x0)), rng=rng)

    def step(self, oracle, state):
        kind = self.kind
        if kind == "raises" and state.nit == 2:
            raise self.planted
        if kind == "step none":
            return None
        new = state if kind == "in place" else state.copy()
        if kind == "array in place":
            new.x -= self.step_size * state.jac
        else:
            new.x = state.x - self.step_size * state.jac
        new.nit = {"no nit": state.nit, "nit back": state.nit - 1, "nit text": "one"}.get(
            kind, state.nit + 1)
        new.jac = state.jac if kind == "old jac" else oracle.grad(new.x)
        if np.linalg.norm(new.jac) <= self.epsilon and kind != "never":
            new.finished = "stationary"
        late = new.nit == 3
        if kind == "zero jac" and late:
            new.jac, new.finished = 0 * new.jac, "stationary"
        elif kind == "nan x" and late:
            new.x = np.nan * new.x
        elif kind == "shape of x" and late:
            new.x = np.ones(new.x.size + 1)
        elif kind == "shape of jac" and late:
            new.jac = new.jac[:, np.newaxis]
        elif kind == "jac none":
            new.jac = None
        elif kind == "no jac":
            del new.jac
        elif kind in ("finished true", "finished text", "finished early") and late:
            new.finished = {"finished true": True, "finished text": "hooray"}.get(
                kind, "stationary")
        elif kind == "ints":
            new.x = new.x.astype(int)
        elif kind == "float32":
            new.x = new.x.astype(np.float32)
        return new
