"""One seed, one call: a true function, a fault in what is handed over, arguments, a door."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import scipy.optimize

import saddlelib
from saddlelib import Oracle, certify, certify_samples, minimize
from saddlelib.oracle import FiniteSum

from . import front
from .truths import Truth, draw_truth

# What a call may have wrong with it, and how often.
FAMILIES = {
    "nothing wrong": 0.3, "extreme arguments": 0.14, "wrong types": 0.1, "wrong gradient": 0.1,
    "wrong products": 0.1, "not finite": 0.08, "wrong returns": 0.04, "raises": 0.05,
    "float32 gradient": 0.045, "rough gradient": 0.045,
}
_SCALES = ("perturbation_radius", "episode_length", "decrease_threshold")
# (method, rule, options that a fault may hit)
RULES = [
    ("gd", "constant", ()), ("gd", "backtracking", ()), ("gd", "polyak", ("factor", "cap")),
    ("pgd", "practical", _SCALES), ("pgd", "jin2017", ("c",)), ("pgd", "jin2021", ("iota",)),
    ("psd", "practical", (*_SCALES, "exit_radius", "patience")), ("psd", "published", ()),
    ("psd", "repaired", ()), ("psd", "probe", ()), ("psd", "lanczos-probe", ("probe_count",)),
    ("psgd", "practical", (*_SCALES, "batch_size", "check_failure_prob", "hess_noise",
                           "sample_noise")),
    ("psgd", "published", ("batch_size", "false_positive_prob")), ("psgd", "jin2021", ("iota",)),
    ("sgd", None, ("batch_size",)), ("cnc-sgd", None, ("large_step", "interval")),
    ("gdpolyak", "safe", ("factor", "gain", "plateau", "guard", "patience")),
    ("gdpolyak", "published", ("epochs", "growth", "factor")),
    ("gdpolyak", "restarts", ("restarts",)), ("gdpolyak", "curvature", ("tolerance", "guard")),
    ("gdpolyak", "plateau", ("order", "plateau")), ("ravine", "order", ("f_star",)),
]
FROM_PAPERS = {"jin2017", "jin2021", "published", "repaired", "probe"}
# Of all calls these many go through the front door, with families of its own; the rest as these do.
FRONT = 1 / 3
DOORS = {"minimize": 0.5, "scipy": 0.12, "certify": 0.2, "certify_samples": 0.08, "resume": 0.1}
EXTREME = [1e-300, 1e-200, 1e-160, 1e-30, 1e-9, 1e9, 1e30, 1e160, 1e200, 1e300]
TYPES = [None, "a", [1.0], 1j, math.nan, math.inf, -1.0, 0, True, 10**400, b"1", {}, np.ones(2),
         2.5, [[1.0], [1.0, 2.0]], object, -1, np.array(1.0), (), "fun", -10**400]


class Planted(Exception):
    """What a function of the user's raises."""


@dataclass
class Call:
    """Everything about one call, and `run`."""

    seed: int
    family: str
    truth: Truth
    door: str
    fault: str = ""
    method: str = ""
    rule: str | None = None
    x0: object = None
    arguments: dict = field(default_factory=dict)
    planted: BaseException | None = None
    grad_error: float = 0.0  # how far a fault that is no fault may move ‖∇f‖
    noise: float = 0.0
    derivatives: int = 0  # 1: hvp is given; 2: hess is
    options: tuple = ()  # of the rule
    front: front.Front | None = None  # how the front door is opened

    def functions(self) -> dict:
        """Fresh fun, grad and what there is of hvp and hess; counters of faults begin anew."""
        return _functions(self)

    def run(self):
        """The result or certificate."""
        if self.door == "front":
            return front.run(self)
        parts, more = self.functions(), dict(self.arguments)
        fun = parts.pop("fun")
        if self.door == "certify":
            return certify(fun, self.x0, **parts, **more)
        if self.door == "certify_samples":
            return certify_samples(self.sampled(parts, fun), self.x0, **more)
        if self.door == "scipy":
            given = dict(jac=parts["jac"], hessp=parts.get("hessp"), hess=parts.get("hess"))
            args, callback = more.pop("args", ()), more.pop("callback", None)
            return scipy.optimize.minimize(
                fun, self.x0, args=args, callback=callback, method=getattr(saddlelib, self.method),
                options=more, **given)
        if self.door == "resume":
            first = minimize(fun, self.x0, self.method, **parts, **{**more, "maxiter": 3})
            return minimize(fun, None, self.method, state=first.state, **parts, **more)
        return minimize(fun, self.x0, self.method, **parts, **more)

    def spread(self):
        """∇fᵢ − ∇f of the 30 terms of `sampled`, one a row."""
        rows = np.random.default_rng(self.seed).standard_normal((30, self.truth.dim))
        return (rows - rows.mean(0)) * 1e-3 * abs(self.truth.a * self.truth.s)

    def sampled(self, parts, fun):
        """The problem of certify_samples: a sum of 30 terms, or an oracle with noise."""
        if self.noise:
            return Oracle(fun, grad_noise=self.noise, rng=self.seed, **parts)
        spread = self.spread()
        grad, hvp, t = parts["jac"], parts.get("hessp"), self.truth

        def grads(x, i):
            g = grad(x)
            right = isinstance(g, np.ndarray) and g.dtype.kind == "f" and g.shape == (t.dim,)
            return g + spread[i] if right else g
        return FiniteSum(fun, grads, 30, self.truth.dim, hvps=hvp and (
            lambda x, v, i: np.tile(hvp(x, v), (i.size, 1))))


def is_front(seed) -> bool:
    """Whether the call of a seed goes through the front door."""
    return bool(np.random.default_rng(seed).random() < FRONT)


def draw(seed) -> Call:
    """The call that belongs to a seed."""
    rng, new = np.random.default_rng(seed), is_front(seed)
    rng.random()
    families = front.FAMILIES if new else FAMILIES
    family = str(rng.choice(list(families), p=np.array(list(families.values()))
                            / sum(families.values())))
    truth = draw_truth(rng)
    door = "front" if new else str(rng.choice(list(DOORS), p=list(DOORS.values())))
    call = Call(seed, family, truth, door)
    with np.errstate(all="ignore"):
        call.x0 = truth.start(rng)
        if new:
            front.draw(call, rng)
            _look_on(call, rng)
            if family in ("extreme arguments", "wrong types"):
                _spoil(call, rng)
        else:
            _arguments(call, rng)
    kinds = _KINDS.get(family)
    if kinds is not None:
        call.fault = str(rng.choice(kinds))
    if family == "raises" or call.fault == "raises":
        call.planted = [Planted("mine"), StopIteration("mine"), StopIteration(), ValueError("mine"),
                        ZeroDivisionError("mine"), AttributeError("mine"), GeneratorExit("mine"),
                        OverflowError("mine"), MemoryError("mine")][rng.integers(9)]
    if family == "float32 gradient":
        call.grad_error = math.inf  # set by the judge from the true gradient
    if family == "rough gradient":
        size = 10.0 ** rng.uniform(-12, -4) * abs(truth.a * truth.s)
        call.fault, call.grad_error = repr(size), size * math.sqrt(truth.dim) / 2
    return call


# Arguments ---------------------------------------------------------------

def _arguments(call, rng):
    t, more = call.truth, call.arguments
    unit = abs(t.a * t.s)  # of the gradient
    more["epsilon"] = unit * 10.0 ** rng.uniform(-4, -0.5)
    ell = t.base.lipschitz_grad * unit * t.s
    rho = t.base.lipschitz_hess * unit * t.s * t.s * 10.0 ** rng.normal(0, 0.3)
    how = rng.integers(3)
    if how != 1:
        more["lipschitz_hess"] = rho
    if how != 0:
        more["curvature_tol"] = unit * t.s * 10.0 ** rng.uniform(-4, -0.3)
    more["failure_prob"] = float(rng.choice([1e-4, 0.1, 0.5, 1e-12]))
    more["rng"] = int(rng.integers(1000))
    call.derivatives = int(rng.integers(3))
    if call.door in ("certify", "certify_samples"):
        if call.door == "certify_samples":
            call.noise = 0.0 if rng.random() < 0.5 else 0.1 * more["epsilon"]
            if not call.noise:
                more["grad_noise"] = 3e-3 * unit * math.sqrt(t.dim)
            more["failure_prob"] = max(more["failure_prob"], 1e-4)
    else:
        _for_a_run(call, rng, ell)
    if call.family in ("extreme arguments", "wrong types"):
        _spoil(call, rng)


def _for_a_run(call, rng, ell):
    more = call.arguments
    rules = [row for row in RULES if call.door != "scipy" or row[0] in ("gd", "pgd", "psd", "psgd")]
    weights = np.array([3.0 if row[1] in ("practical", "constant", "safe") else 1.0
                        for row in rules])
    call.method, call.rule, call.options = rules[rng.choice(len(rules), p=weights / weights.sum())]
    if call.rule is not None:
        more["rule"] = call.rule
    if call.rule in FROM_PAPERS and call.method != "gdpolyak":
        more.update(lipschitz_grad=ell, lipschitz_hess=more.get("lipschitz_hess", ell))
        if call.rule != "probe":
            more["delta_f"] = abs(call.truth.a) * 10.0
    elif call.rule not in ("polyak", "order"):
        more["step_size"] = 10.0 ** rng.uniform(-1, 0.3) / ell if ell else math.inf
    if call.method in ("psgd", "sgd", "cnc-sgd"):
        more["grad_noise"] = more["epsilon"] * 10.0 ** rng.uniform(-9, 0.5)
        if rng.random() < 0.1:
            # Every sample of a heavy tail is drawn: who asks for 10⁹ of them waits for them.
            more["noise_df"], more["maxsamples"] = 3.0, 10**7
        more["failure_prob"] = max(more["failure_prob"], 1e-4)
    elif rng.random() < 0.05:
        more["grad_noise"] = 0.01 * more["epsilon"]
    if call.method == "gdpolyak":
        if call.rule in ("published", "restarts"):
            more["epoch_length"] = int(rng.integers(0, 30))
        if call.rule in ("published", "restarts", "curvature") or rng.random() < 0.5:
            if call.rule != "plateau":
                more["f_star"] = call.truth.b - abs(call.truth.a) * rng.choice([0.0, 1.0, 100.0])
    if call.rule == "polyak" or call.rule == "order" and rng.random() < 0.5:
        more["f_star"] = call.truth.b - abs(call.truth.a)
    more["maxiter"] = int(rng.choice([0, 3, 50, 400, 400, 1500]))
    if rng.random() < 0.2:
        more["maxfev"] = int(rng.integers(1, 100))
    if rng.random() < 0.2:
        more["trace"] = [(), "fun", ("x", "grad_norm"), None][rng.integers(4)]
    _look_on(call, rng)
    if rng.random() < 0.1 and call.door != "scipy":
        more["certificate"] = False


def _look_on(call, rng):
    if rng.random() < 0.15:
        call.arguments["callback"] = _callback(rng.integers(2), rng.integers(1, 30))


def _callback(modern, stop):
    left = [stop]

    def count():
        left[0] -= 1
        if left[0] == 0:
            raise StopIteration

    def classic(xk):
        count()

    def with_result(intermediate_result):
        assert intermediate_result.jac.shape == intermediate_result.x.shape
        count()
    return with_result if modern else classic


def _spoil(call, rng):
    """One to three arguments become extreme or of the wrong type."""
    numbers = ["epsilon", "curvature_tol", "lipschitz_hess", "failure_prob"]
    others = ["rng"]
    if call.door in ("certify", "certify_samples"):
        numbers += ["resolution", "hvp_error"]
        others += ["maxiter"]
        if call.door == "certify_samples":
            numbers += ["grad_noise", "hess_noise"]
            others += ["batch_size", "hess_batch_size"]
        else:
            others += ["jac"]
    elif call.door == "front":
        others += front.OTHERS
    else:
        numbers += ["step_size", "lipschitz_grad", "grad_noise", "noise_df", *call.options]
        others += ["maxiter", "maxfev", "maxsamples", "trace", "callback", "certificate", "state",
                   "method", "rule"]
    types = call.family == "wrong types"
    for _ in range(rng.integers(1, 3)):
        names = [*numbers, *others, "x0", "args"] if types else numbers
        name = names[rng.integers(len(names))]
        if types:
            value = TYPES[rng.integers(len(TYPES))]
        else:
            value = EXTREME[rng.integers(len(EXTREME))]
            if name in ("episode_length", "patience", "batch_size", "epochs", "restarts",
                        "interval", "probe_count"):
                value = int(min(value, 1e6)) + 1
        ones = isinstance(value, np.ndarray) and value.ndim == 1 or (
            isinstance(value, list) and value == [1.0])
        if name == "jac" and ones and len(value) == call.truth.dim:
            continue  # a wrong gradient and no wrong type
        if name == "maxiter" and isinstance(value, int) and value > 1500:
            value = 1500 + value % 1500  # who asks for 10¹⁹ steps gets them
        if name == "x0":
            call.x0 = value
        elif name == "method" and call.door != "front":
            call.method = value if call.door != "scipy" else call.method
        elif name == "state" and call.door == "resume":
            pass
        elif name == "failure_prob" and not types:
            call.arguments[name] = [1e-300, 1e-200, 1e-16, 1 - 1e-16, 5e-324][rng.integers(5)]
        else:
            call.arguments[name] = value
        call.fault += f"{name}={value!r:.20} "


# Functions ----------------------------------------------------------------

_KINDS = {
    "wrong gradient": ["sign", "scale", "missing", "offset"],
    "wrong products": ["nonsymmetric", "nonlinear", "sign", "scale", "zero", "noise"],
    "not finite": [f"{what} {value} {when}" for what in ("fun", "jac", "hessp")
                   for value in ("nan", "inf", "-inf") for when in ("near", "far", "later")],
    "wrong returns": [f"{what} {kind}" for what in ("fun", "jac", "hessp")
                      for kind in ("shape", "list", "object", "none", "text", "ragged",
                                   "complex", "longdouble")],
    "raises": [f"{what} {when}" for what in ("fun", "jac", "hessp") for when in (1, 2, 9)],
    "lying solver": front.SOLVERS, "lying method": front.METHODS,
}


def _functions(call):
    t, rng = call.truth, np.random.default_rng(call.seed + 1)
    H0 = t.hess

    def fun(x, *args):
        return t.fun(x)

    def grad(x, *args):
        return t.grad(x)

    def hvp(x, v, *args):
        with np.errstate(all="ignore"):
            return H0(x) @ v

    def hess(x, *args):
        return H0(x)

    if call.family == "wrong gradient":
        grad = _wrong_gradient(call.fault, t, rng)
    elif call.family == "wrong products":
        hvp, hess = _wrong_products(call.fault, t, rng)
    elif call.family == "float32 gradient":
        def grad(x, *args):
            with np.errstate(all="ignore"):
                return t.grad(x).astype(np.float32)
    elif call.family == "rough gradient":
        size = float(call.fault)

        def grad(x, *args):
            bits = np.ascontiguousarray(x, dtype=float).view(np.uint64)
            mixed = (bits ^ (bits >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15)
            return t.grad(x) + size * ((mixed >> np.uint64(11)) / 2.0**53 - 0.5)
    parts = dict(fun=fun, jac=grad)
    if call.derivatives == 1 or call.family == "wrong products" and call.derivatives != 2:
        parts["hessp"] = hvp
    if call.derivatives == 2 or (call.rule, str(call.method)) == ("published", "psd"):
        parts["hess"] = hess
    if call.family in ("not finite", "wrong returns", "raises"):
        name, *rest = call.fault.split()
        by_values = call.front is not None and call.front.jac not in ("told", True)
        name = name if name in parts else "hess" if "hess" in parts else "jac"
        name = "fun" if name == "jac" and by_values else name
        parts[name] = _AFTER[call.family](call, parts[name], *rest)
    return parts


@np.errstate(all="ignore")
def _wrong_gradient(kind, t, rng):
    factor = rng.choice([1e-3, 0.3, 0.9, 1.5, 100.0])
    j, offset = rng.integers(t.dim), rng.standard_normal(t.dim) * t.a * t.s

    def grad(x, *args):
        g = t.grad(x)
        with np.errstate(all="ignore"):
            if kind == "sign":
                return -g
            if kind == "scale":
                return factor * g
            if kind == "offset":
                return g + offset
        g[j] = 0.0
        return g
    return grad


def _wrong_products(kind, t, rng):
    d, unit = t.dim, t.a * t.s * t.s
    skew, factor = rng.standard_normal((d, d)), rng.choice([1e-3, 0.3, 3.0, 1e3])

    def hess(x, *args):
        H = t.hess(x)
        with np.errstate(all="ignore"):
            return {"nonsymmetric": H + np.triu(skew, 1) * unit, "sign": -H, "zero": 0 * H,
                    "scale": factor * H, "nonlinear": abs(H),
                    "noise": H + rng.standard_normal((d, d)) * unit}[kind]

    def hvp(x, v, *args):
        with np.errstate(all="ignore"):
            if kind == "nonlinear":
                return t.hess(x) @ v + unit * v * v
            if kind == "noise":
                return t.hess(x) @ v + unit * rng.standard_normal(d)
            return hess(x) @ v
    return hvp, hess


def _not_finite(call, function, value, when):
    t, calls, value = call.truth, [0], float(value)

    def broken(x, *more):
        calls[0] += 1
        size = np.abs(t._y(x)).max()
        met = {"near": size < 1, "far": size > 2, "later": calls[0] > 3}[when]
        good = function(x, *more)
        if not met:
            return good
        if np.ndim(good) == 0:
            return value
        good = np.array(good)
        good.flat[0] = value
        return good
    return broken


def _wrong_returns(call, function, kind):
    def broken(*arguments):
        good = np.asarray(function(*arguments))
        with np.errstate(all="ignore"):
            return {"shape": lambda: np.stack([good, good]),
                    "list": lambda: good.tolist(),
                    "object": lambda: good.astype(object), "none": lambda: None,
                    "text": lambda: "1.0", "ragged": lambda: [[1.0], [1.0, 2.0]],
                    "complex": lambda: good * 1j,
                    "longdouble": lambda: good * np.longdouble(10.0) ** 3000}[kind]()
    return broken


def _raises(call, function, when):
    calls = [0]

    def broken(*arguments):
        calls[0] += 1
        if calls[0] >= int(when):
            raise call.planted
        return function(*arguments)
    return broken


_AFTER = {"not finite": _not_finite, "wrong returns": _wrong_returns, "raises": _raises}
