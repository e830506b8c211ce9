"""Newton steps that know the order of the floor, for PyTorch."""

from __future__ import annotations

import enum
import math
from dataclasses import fields, is_dataclass

import numpy as np
import torch

from .._arguments import _number, integer, nonnegative
from .._norm import norm
from ..methods import order_aware as method
from ..methods.floor import Floor
from ..methods.krylov import NewtonSolve, WallPairs
from ..oracle import Oracle
from . import _vector as vector
from ._base import VectorOptimizer

__all__ = ["NewtonStatus", "OrderAwareNewton"]


class NewtonStatus(enum.IntEnum):
    """Where a run of `OrderAwareNewton` stands, or why it ended; see ``message``.

    Examples
    --------
    >>> NewtonStatus.RUNNING.message
    'the run goes on with the next step'
    """

    START = 0
    RUNNING = 1
    STATIONARY = 2
    AT_F_STAR = 3
    PRECISION = 4
    UNBOUNDED = 5
    NONFINITE = 6

    @property
    def message(self) -> str:
        """A sentence."""
        return _MESSAGES[self]


_MESSAGES = {
    NewtonStatus.START: "no step yet",
    NewtonStatus.RUNNING: "the run goes on with the next step",
    NewtonStatus.STATIONARY: "the norm of the gradient is at most epsilon; nothing moves any more",
    NewtonStatus.AT_F_STAR: "the loss is f_star; nothing moves any more",
    NewtonStatus.PRECISION: "the rounding floor: no step lowers the loss by more than its "
                            "rounding; nothing moves any more",
    NewtonStatus.UNBOUNDED: "the loss has fallen so far that it seems to have no minimum; nothing "
                            "moves any more",
    NewtonStatus.NONFINITE: "the gradient is not finite; the parameters stay where they are: go "
                            "back to an earlier state",
}
# Steps of the method for each call of the closure, at most; line searches where rounding swallows
# the step take many.
_IDLE = 200
_ENDED = {None: NewtonStatus.RUNNING, "stationary": NewtonStatus.STATIONARY,
          "precision": NewtonStatus.PRECISION, "unbounded": NewtonStatus.UNBOUNDED,
          "nonfinite": NewtonStatus.NONFINITE}


class OrderAwareNewton(VectorOptimizer):
    r"""Newton's method that settles on the floor of a ravine, reads its order, and jumps along it.

    **Idea.** Where a loss grows like the p-th power of the distance in some directions and
    quadratically in all others, p − 1 Newton steps at once lead along the floor of that ravine to
    its end, and p can be read off: it is 1/(1 − θ), θ the quotient of f − f* and the Newton
    decrement. So there is neither a step size to choose nor a length of epochs.

    **Update.** It is `saddlelib.methods.OrderAwareNewton`, step by step: conjugate gradients for
    the Newton step s, each product with the Hessian one difference of gradients,

    .. math:: \nabla^2 f(x)\, d \approx \bigl(\nabla f(x + h d) - \nabla f(x)\bigr)/h,

    then the part of s on the walls alone until those hold little of f − f*, then a jump by
    (p − 1) s, which is taken back if f has not fallen by enough once the run has settled again.
    Elsewhere it takes Newton steps with a line search, and before all of that it goes down by
    L-BFGS as long as that is fast. Each product and each trial point is one call of the closure.

    **How to use.** As `torch.optim.LBFGS`: ``optimizer.step(closure)`` with the usual closure. A
    step calls it ``max_eval`` times, wherever the method then is, and the next step goes on from
    there. The first call of each step is at the parameters as they are, to see that the loss is
    still what it was; on parameters that somebody has changed a new run begins. Between steps the
    parameters hold the best point the run went to, so the loss never rises from step to step. Their
    ``grad`` is that of the last call; `counts` has the norm at the best point. When the run has
    ended, ``counts["status"]`` says why, and a step calls the closure once. There is no ``lr``, and
    so no schedule.

    **Where it runs.** The closure runs where the parameters are; the method itself on the host, in
    NumPy and float64, with one copy of the gradient from the device for each call. It keeps two
    vectors there for each product of the solve under way, at most 800, and 40 for the walls. All of
    it is in ``state_dict()``, and a loaded run goes on bit for bit. Under DistributedDataParallel
    the loss is averaged over the ranks, or those of ``optimizer.process_group``, and all do the
    same; sharded parameters are refused.

    **Caveats.** For full-batch losses that are the same at each call: overparameterized
    factorizations, small networks fitted to the end, physics-informed losses. No dropout, no batch
    normalization in training mode, no mini-batch of its own for each call. Orders are read off
    differences, of gradients and of losses. In float64 these tell walls and floor apart down to the
    rounding floor. In float32 a product by differences is right to three digits at best, and to
    none where the floor's curvature is less than about 10⁻⁷ of the largest: from there the steps
    are those of a Newton method with a line search, orders and f* are guesses, and the run ends at
    the rounding floor of float32, PRECISION. Half precision shows no order and is refused; under
    autocast the loss has no more digits than that. A saddle is left as by any Newton method with a
    line search, along the gradient where curvature is negative, and is not certified not to be one.

    Parameters
    ----------
    params : iterable
        Parameters; one group.
    f_star : float, optional
        Least value of the loss (the greatest with ``maximize``), or a bound beyond it. None: not
        known. One that the run contradicts is given up, and ``counts["note"]`` says so.
    epsilon : float
        Ends where ‖∇f‖₂ ≤ epsilon; at least 0.
    max_eval : int
        Calls of the closure in one step, at least 3.
    maximize : bool

    Raises
    ------
    TypeError, ValueError
        Naming the setting outside its range; for a second group, and parameters in half precision,
        complex ones and sharded ones.

    References
    ----------
    As `saddlelib.methods.OrderAwareNewton`; chapter 5 derives and proves it.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([0.5, 0.5], dtype=torch.float64, requires_grad=True)
    >>> optimizer = OrderAwareNewton([x], f_star=0.0)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = x[0] ** 4 + 10 * (x[1] - x[0] ** 2) ** 2
    ...     loss.backward()
    ...     return loss
    >>> for _ in range(3):
    ...     loss = optimizer.step(closure)
    >>> loss.item() < 1e-20, round(optimizer.counts["order"]), optimizer.counts["closure_calls"]
    (True, 4, 75)
    """

    def __init__(self, params, *, f_star=None, epsilon=0.0, max_eval=25, maximize=False):
        if f_star is not None and not math.isfinite(_number("f_star", f_star)):
            raise ValueError(f"f_star must be a finite number, or None where it is not known, got "
                             f"{f_star!r}")
        super().__init__(params, {
            "f_star": None if f_star is None else float(f_star),
            "epsilon": nonnegative("epsilon", epsilon),
            # Two of the first step are for the start.
            "max_eval": integer("max_eval", max_eval, least=3), "maximize": bool(maximize)})

    def _fresh(self):
        return {"steps": 0, "closure_calls": 0, "run": None}

    def add_param_group(self, param_group):
        """The one group of the constructor; a second one raises `ValueError`."""
        if self.param_groups:
            raise ValueError("OrderAwareNewton has one group of parameters, as no setting can "
                             "differ between groups; give all parameters in one list")
        super().add_param_group(param_group)

    def _check_group(self, group):
        super()._check_group(group)
        for p in group["params"]:
            if p.dtype.itemsize < 4:
                raise TypeError(f"parameters must be float64 or float32, got {p.dtype}, whose "
                                f"differences show no curvature; convert them with .double()")
            if vector.local([p])[0] is not p:
                raise TypeError("parameters must be whole tensors, got a DTensor: the method runs "
                                "on the host with all of the vector; take GDPolyak for shards")

    @property
    def counts(self) -> dict:
        """What the run has cost so far and what is known, by name.

        ``steps``, calls of `step`; ``closure_calls``; ``status``, a `NewtonStatus`, and ``note``,
        the numbers behind it; ``loss`` and ``grad_norm`` at the best point, where the parameters
        are; ``jumps``, and ``jumps_kept``, those that won what they were made for; ``order`` of the
        floor as last read off, and ``f_star`` as told while it is believed, or else as estimated;
        ``order_error`` and ``f_star_error``, twice how far the reading before was from the last;
        nan for what was not read off, or not twice.
        """
        s = self._scalars
        found = {"steps": s["steps"], "closure_calls": s["closure_calls"],
                 "status": NewtonStatus.START, "note": "", "loss": math.inf, "grad_norm": math.nan,
                 "jumps": 0, "jumps_kept": 0, "order": math.nan, "order_error": math.nan,
                 "f_star": math.nan, "f_star_error": math.nan}
        run = _unpacked(s["run"])
        sign = -1.0 if self.param_groups[0]["maximize"] else 1.0
        if run is None:
            return found | {"loss": sign * math.inf}
        found |= {k: v for k, v in run.estimates.items() if k in found}
        if run.known:
            found["f_star"] = run.f_star
        status = _ENDED[run.finished]
        if status is NewtonStatus.STATIONARY and run.fun == run.f_star:
            status = NewtonStatus.AT_F_STAR
        _, jac, fun = run.best
        return found | {"status": status, "note": run.note, "loss": sign * fun,
                        "grad_norm": norm(jac), "f_star": sign * found["f_star"]}

    def load_state_dict(self, state_dict):
        """Load a state; the run in it stays as it is, in float64 on the host."""
        super().load_state_dict(state_dict)
        # torch brings tensors to the dtype and device of the parameters.
        first = state_dict["param_groups"][0]["params"][0]
        self._scalars["run"] = state_dict["state"].get(first, {}).get("run")

    @torch._disable_dynamo
    @torch.no_grad()
    def step(self, closure):
        """Go on for ``max_eval`` calls of the closure; returns the loss at the parameters then.

        Parameters
        ----------
        closure : callable
            Clears the gradients, computes the loss, calls ``backward`` and returns the loss.

        Returns
        -------
        Tensor or float
            As the closure returns it, without a graph.

        Raises
        ------
        TypeError
            Without a closure.
        RuntimeError
            Where the loss at the parameters is not finite or not what it was before, no parameter
            has a gradient, a gradient is sparse, or the closure returns nothing. The parameters
            then hold the best point met, as after any exception that the closure raises.
        """
        if not callable(closure):
            raise TypeError(f"step() needs a closure, since the loss is evaluated at points that "
                            f"are not known before, got {type(closure).__name__}")
        self._grad_scale(closure)
        s, settings = self._scalars, self.param_groups[0]
        end = s["closure_calls"] + settings["max_eval"]
        f_star = -math.inf if settings["f_star"] is None else settings["f_star"]
        if settings["maximize"] and f_star > -math.inf:
            f_star = -f_star
        newton = method.OrderAwareNewton(f_star, "differences", settings["epsilon"])
        loss = _Loss(self, closure)
        before, run = self._run_at(loss.here), None
        try:
            value, _ = loss(loss.here)
            if not math.isfinite(value):
                raise RuntimeError(f"the loss is {loss.sign * value}; the parameters are "
                                   f"unchanged; start where it is finite")
            oracle = Oracle(loss, jac=True)
            oracle.unit = loss.unit
            found = newton.init(oracle, loss.here) if before is None else before
            self._compare(s, loss, value, found)
            run = found
            for _ in range(_IDLE * settings["max_eval"]):
                if run.finished is not None or s["closure_calls"] >= end:
                    break
                with np.errstate(over="ignore", invalid="ignore"):
                    run = newton.step(oracle, run)
        finally:
            best = loss.start if run is None else vector.like(run.best[0], loss.params)
            vector.copy_(loss.params, best)
            if run is not None:
                s["run"] = _packed(run)
        s["steps"] += 1
        return loss.returned(run.best[2])

    def _run_at(self, here):
        """The run that has led to these parameters; None where they are others."""
        run = _unpacked(self._scalars["run"])
        if run is None or run.finished == "nonfinite" or run.x.size != here.size:
            return None
        params = _movable(self.param_groups[0])
        rounded = vector.flat(vector.like(run.best[0], params))
        return run if np.array_equal(rounded, here) else None

    @staticmethod
    def _compare(s, loss, value, run):
        """The loss has to be what it was at the same point, but for rounding of what it began with.

        Else the run is forgotten.
        """
        before, first = run.best[2], run.begun[0]
        if not abs(value - before) <= 128 * loss.unit * max(abs(before), first):
            s["run"] = None
            raise RuntimeError(
                f"the loss is {loss.sign * value:.6g} where it was {loss.sign * before:.6g} "
                f"before: orders can only be read off a loss that is deterministic. Use the same "
                f"data at each call, and fix dropout and other randomness, or take another "
                f"optimizer. The next step begins a new run")


def _movable(group):
    return [p for p in group["params"] if p.requires_grad]


class _Loss:
    """x ↦ (f, ∇f), which puts x into the parameters and calls the closure once."""

    noted = True  # what the closure raises needs no note of a function that nobody gave

    def __init__(self, optimizer, closure):
        self.optimizer, self.closure = optimizer, closure
        self.settings = optimizer.param_groups[0]
        self.params = _movable(self.settings)
        if not self.params:
            raise RuntimeError("no parameter requires a gradient; call requires_grad_() on those "
                               "to optimize")
        self.start = vector.clone(self.params)
        self.here = vector.flat(self.params)
        self.sign = -1.0 if self.settings["maximize"] else 1.0
        self.unit = max(torch.finfo(p.dtype).eps for p in self.params) / 2
        self.like = None

    def __call__(self, x):
        """f and ∇f at x (d,)."""
        vector.copy_(self.params, vector.like(x, self.params))
        loss = self.optimizer._evaluate(self.optimizer._scalars, self.closure)
        if loss is None:
            raise RuntimeError("the closure returned None; let it end with `return loss`")
        if isinstance(loss, torch.Tensor):
            self.like = loss.detach()
            if loss.is_floating_point():
                self.unit = max(self.unit, torch.finfo(loss.dtype).eps / 2)
        value = self.optimizer._value(self.settings, loss)
        if not self.optimizer._gather():  # which raises for gradients that are sparse
            raise RuntimeError("no parameter has a gradient: let the closure call loss.backward()")
        grad = self.sign * vector.flat([torch.zeros_like(p) if p.grad is None else p.grad
                                        for p in self.params])
        return value, grad

    def returned(self, value):
        """A value as the closure returns it."""
        value *= self.sign
        return value if self.like is None else torch.full_like(self.like, value)


# A state as dictionaries, tensors and numbers, which torch.load takes without executing anything.

_KINDS = {kind.__name__: kind for kind in (method.OrderAwareState, method.Trial, method.Plan,
                                           NewtonSolve, WallPairs, Floor)}


def _packed(value):
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if is_dataclass(value) or hasattr(value, "_fields"):
        names = [f.name for f in fields(value)] if is_dataclass(value) else value._fields
        return {"kind": type(value).__name__,
                "fields": {name: _packed(getattr(value, name)) for name in names}}
    if isinstance(value, (list, tuple)):
        return type(value)(_packed(v) for v in value)
    return value.item() if isinstance(value, np.generic) else value


def _unpacked(value):
    if isinstance(value, torch.Tensor):
        return value.numpy(force=True)
    if isinstance(value, dict):
        return _KINDS[value["kind"]](**{k: _unpacked(v) for k, v in value["fields"].items()})
    if isinstance(value, (list, tuple)):
        return type(value)(_unpacked(v) for v in value)
    return value
