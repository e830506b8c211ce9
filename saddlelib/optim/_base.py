"""What the optimizers share: plain steps, episodes, the look at the curvature, the contract.

All of the state is numbers in ``state`` of the first parameter and tensors in ``state`` of each, so
`state_dict` holds it. Whatever is drawn depends on (seed, counter) alone.
"""

from __future__ import annotations

import enum
import math

import torch
from torch.optim import Optimizer

from .._arguments import curvature_scale, integer, positive, probability
from . import _vector as vector
from ._curvature import Products, Seen, Source, can_use_autograd, smallest_curvature

__all__ = ["DescentOptimizer", "SaddleOptimizer", "Status", "VectorOptimizer", "descend_"]

_LONG = 1 << 40  # steps; a rest is not doubled beyond


class Status(enum.IntEnum):
    """What an optimizer is doing, or why it does no more; the sentence is in ``message``."""

    DESCENDING = 0
    EPISODE = 1
    NO_NEGATIVE_CURVATURE = 2
    NONE_FOUND = 3
    EXHAUSTED = 4
    NONFINITE = 5
    PRECISION = 6

    @property
    def message(self) -> str:
        """A sentence."""
        return _MESSAGES[self]


_MESSAGES = {
    Status.DESCENDING: "plain steps; the gradient was large at the last look",
    Status.EPISODE: "an episode has begun at a small gradient",
    Status.NO_NEGATIVE_CURVATURE: "small gradient, and certified to have no strong negative "
                                  "curvature; plain steps, next look after a rest",
    Status.NONE_FOUND: "small gradient; the products allowed found no strong negative curvature "
                       "and do not prove that there is none; next look after a rest",
    Status.EXHAUSTED: "max_episodes episodes are used; only plain steps from now on",
    Status.NONFINITE: "the gradient is not finite; the parameters stay where they are: lower "
                      "lr, or go back to an earlier state",
    Status.PRECISION: "the perturbation is lost in rounding: perturbation_radius is too small for "
                      "the dtype of the parameters; next look after a rest",
}


@torch.no_grad()
def descend_(params, grads, lr, maximize=False, foreach=True):
    """p ← p − lr·g in place, for lists of tensors: what `torch.optim.SGD` does, bit for bit.

    A pure function of its arguments, to be compiled as a whole if you like. ``lr`` is a number or a
    tensor with one element.

    Examples
    --------
    >>> import torch
    >>> p = torch.ones(2)
    >>> descend_([p], [torch.tensor([1.0, 2.0])], lr=0.5)
    >>> p
    tensor([0.5000, 0.0000])
    """
    if isinstance(lr, torch.Tensor):
        lr = lr.squeeze()
        if torch.compiler.is_compiling():  # reading a number would break the graph
            lr = lr if maximize else -lr
            for p, g in zip(params, grads, strict=True):
                p.add_(g * lr)
            return
    alpha = lr if maximize else -lr
    if foreach:
        torch._foreach_add_(params, grads, alpha=alpha)
    else:
        for p, g in zip(params, grads, strict=True):
            p.add_(g, alpha=alpha)


class VectorOptimizer(Optimizer):
    """The contract with torch: groups, state, gradients and their scale, one vector of parameters.

    Settings are of the whole vector of parameters, except those in ``_of_group``.
    """

    # A GradScaler then hands over its scale, so that a closure under it can be refused.
    _step_supports_amp_scaling = True
    _of_group = frozenset()
    # Of the ranks that share a batch, over which the loss is averaged; None for all.
    process_group = None

    def add_param_group(self, param_group):
        """Add a group; what it may set itself is in ``_of_group``."""
        if self.param_groups:  # which may have been loaded, and then defaults are not theirs
            for key in self._shared():
                param_group.setdefault(key, self.param_groups[0][key])
        super().add_param_group(param_group)
        try:
            self._check_group(self.param_groups[-1])
        except (TypeError, ValueError):
            self.param_groups.pop()
            raise
        for p in self.param_groups[-1]["params"]:
            self.state.setdefault(p, {})  # torch.distributed.checkpoint asks for all or for none

    def _shared(self):
        """The names of the settings of the whole vector; torch itself adds to ``defaults``."""
        return (self.defaults.keys() & self.param_groups[0].keys()) - self._of_group

    def _check_group(self, group):
        for key in self._shared():
            value = self.param_groups[0][key]
            if group[key] != value:
                raise ValueError(f"{key} is a setting of the whole vector of parameters: every "
                                 f"group must have the same, got {value!r} and {group[key]!r}")
        for p in group["params"]:
            if not p.is_floating_point():
                raise TypeError(f"parameters must be real floating-point tensors, got {p.dtype}; "
                                f"of a complex tensor optimize torch.view_as_real")

    @property
    def _scalars(self):
        return self.state[self.param_groups[0]["params"][0]]

    def _gather(self):
        """(group, parameters with a gradient, their gradients) of each group."""
        work = []
        for group in self.param_groups:
            params, grads = [], []
            for p in group["params"]:
                g = p.grad
                if g is not None:
                    if g.layout is not torch.strided:
                        raise RuntimeError(f"{type(self).__name__} needs dense gradients, got "
                                           f"{g.layout}; set sparse=False in the embedding")
                    params.append(p)
                    grads.append(g)
            if params:
                work.append((group, params, grads))
        if not work:
            raise RuntimeError("no parameter has a gradient: call loss.backward() before step(), "
                               "or give step() a closure that does")
        return work

    def _evaluate(self, s, closure):
        """Evaluate a closure; what it returns, which has to be something."""
        s["closure_calls"] += 1
        with torch.enable_grad():
            loss = closure()
        if loss is None:
            raise RuntimeError("the closure returned None; let it end with `return loss`")
        return loss

    def _value(self, settings, loss):
        """The loss of the whole batch, with the sign of a loss to minimize."""
        if not isinstance(loss, torch.Tensor):
            device = self.param_groups[0]["params"][0].device
            loss = torch.tensor(float(loss), dtype=torch.float64, device=device)
        if loss.numel() != 1:
            raise TypeError(f"the loss must be one number, got shape {tuple(loss.shape)}; take its "
                            f"mean or sum")
        value = float(vector.mean_over_ranks(loss.detach().double(), self.process_group))
        return -value if settings["maximize"] else value

    def _grad_scale(self, closure):
        """What the gradients of a GradScaler have to be multiplied with; 0 to skip the step."""
        if not hasattr(self, "found_inf"):
            return 1.0
        scale, found = getattr(self, "grad_scale", None), self.found_inf
        if closure is not None:
            del self.grad_scale, self.found_inf  # the scaler does not come to it
            raise RuntimeError("a closure cannot be used with a GradScaler: it would compute "
                               "scaled gradients. Call scaler.step(optimizer) after backward, "
                               "without a closure, or use bfloat16, which needs no scaler")
        if float(found) != 0.0:
            return 0.0
        return 1.0 if scale is None else 1.0 / float(scale)


class DescentOptimizer(VectorOptimizer):
    """Plain steps p ← p − lr·g, with an ``lr`` for each group."""

    _update = staticmethod(descend_)
    _of_group = frozenset(["lr", "foreach"])

    def add_param_group(self, param_group):
        """Add a group; it may set ``lr`` and ``foreach``, all else is of the whole vector."""
        super().add_param_group(param_group)

    def _check_group(self, group):
        _check_lr(group["lr"])
        super()._check_group(group)

    def compile(self, **options):
        """From now on run the update of the parameters, `descend_`, through `torch.compile`.

        ``options`` are those of `torch.compile`. What decides about looks and episodes stays
        Python, also where a whole training step is compiled. With a schedule let ``lr`` be a
        tensor: a new number would be compiled anew. The last digits may differ.
        """
        self._update = torch.compile(descend_, **options)

    def _descend(self, settings, work):
        for group, params, grads in work:
            self._update(params, grads, group["lr"], settings["maximize"],
                         group["foreach"] is not False)


class SaddleOptimizer(DescentOptimizer):
    """The loop of a step; a subclass says in `_look` when the gradient counts as small."""

    def __init__(self, params, defaults):
        super().__init__(params, defaults)
        groups = self.param_groups
        if defaults["episode_length"] is None:
            length = _episode_length(defaults, min(float(group["lr"]) for group in groups),
                                     sum(vector.numel(group["params"]) for group in groups))
            for settings in (defaults, *groups):
                settings["episode_length"] = length
        # Now and not in the first step: a loaded state then finds everything in its place.
        self._scalars.update({
            "steps": 0, "closure_calls": 0, "hvp": 0, "looks": 0, "checks": 0, "episodes": 0,
            "draws": 0, "left": 0, "away": 0, "next_look": 0, "pause": defaults["rest"], "after": 0,
            "status": int(Status.DESCENDING), "source": int(Source.NONE), "grad_norm": math.nan,
            "min_eig": math.nan, "min_eig_lower": math.nan})

    @property
    def counts(self) -> dict:
        """What the run has cost so far and what the last look saw, by name.

        ``steps``, calls of `step`; ``closure_calls`` of either closure; ``hvp``, Hessian-vector
        products; ``looks`` at the norm of the gradient; ``checks`` of the curvature; ``episodes``;
        ``left``, steps left of the present episode; ``status``, a `Status`; ``grad_norm``, the
        estimate of the last look; ``min_eig`` and ``min_eig_lower``, an upper and a lower bound of
        λ_min from the last check; ``hvp_by``, where its products came from: "autograd",
        "differences" (two calls of the closure each) or "none" if no check could be made.
        """
        s = self._scalars
        names = ("steps", "closure_calls", "hvp", "looks", "checks", "episodes", "left",
                 "grad_norm", "min_eig", "min_eig_lower")
        return {**{name: s[name] for name in names}, "status": Status(s["status"]),
                "hvp_by": Source(s["source"]).name.lower()}

    @torch._disable_dynamo
    @torch.no_grad()
    def step(self, closure=None, curvature_closure=None):
        """One step; returns the loss of the closure, if there is one.

        Parameters
        ----------
        closure : callable, optional
            Clears the gradients, computes the loss, calls ``backward`` and returns the loss.
            Without it the gradients that the parameters have are used.
        curvature_closure : callable, optional
            Computes a loss and returns it, without ``backward``. Called only where the gradient is
            small, to look at the curvature: give it a larger batch. Without ``closure`` it is the
            only way to look.

        Raises
        ------
        RuntimeError
            Where no parameter has a gradient, a gradient is sparse, or the closure returns nothing
            or a loss that is not finite. The parameters are then what they were.
        """
        scale = self._grad_scale(closure)
        if scale == 0.0:
            return None
        s, settings = self._scalars, self.param_groups[0]
        loss = None if closure is None else self._loss(s, closure)
        work = self._gather()
        if scale != 1.0:
            for _, _, grads in work:
                torch._foreach_mul_(grads, scale)
        move = True
        if s["left"] > 0:
            move = self._listen(s, settings, work)
        elif s["steps"] >= s["next_look"]:
            move = self._look_around(s, settings, work, loss, closure, curvature_closure)
            if s["left"] > 0 and closure is not None:
                work = self._gather()  # the gradient at the perturbed point
        if move:
            self._descend(settings, work)
            if s["left"] > 0:
                s["left"] -= 1
                if s["left"] == 0:
                    self._over(s)
        s["steps"] += 1
        return loss

    def _loss(self, s, closure):
        """Evaluate a closure; its loss, if it can be used."""
        loss = self._evaluate(s, closure)
        value = float(loss.detach() if isinstance(loss, torch.Tensor) else loss)
        if not math.isfinite(value):
            raise RuntimeError(f"the closure returned a loss of {value}; the parameters are "
                               f"unchanged; lower lr, or look at the last mini-batch")
        return loss

    def _listen(self, s, settings, work):
        """Look at the gradient now and then in an episode; whether a plain step is to follow."""
        if s["left"] % settings["check_every"] != 0:
            return True
        if not self._finite(s, work):
            return False
        self._has_arrived(s, s["grad_norm"] <= settings["epsilon"])
        return True

    def _has_arrived(self, s, small):
        """Let an episode end whose gradient has been large and is small again."""
        if not small:
            s["away"] = 1
        elif s.get("away", 0):
            s["left"] = 1

    def _over(self, s):
        """What follows on an episode."""
        s["next_look"] = s["steps"] + 1 + s["after"]

    def _finite(self, s, work):
        """Whether the gradients are finite; if not, an episode is over."""
        s["grad_norm"] = vector.norm([g for _, _, grads in work for g in grads])
        s["looks"] += 1
        return math.isfinite(s["grad_norm"]) or self._hold(s)

    def _hold(self, s):
        """Stay here until the gradient is finite."""
        s["status"], s["left"], s["next_look"] = int(Status.NONFINITE), 0, s["steps"] + 1
        return False

    def _rest(self, s, status):
        """Look again after a pause, which doubles each time until a saddle is found."""
        s["status"], s["next_look"] = int(status), s["steps"] + max(1, s["pause"])
        s["pause"] = min(2 * s["pause"], _LONG)
        return True

    def _look(self, s, settings, params, grads):
        """Whether the gradient counts as small; None where it is not finite. Sets next_look."""
        raise NotImplementedError

    def _look_around(self, s, settings, work, loss, closure, curvature_closure):
        """Look, and begin an episode at a saddle; whether a plain step is to follow."""
        params = [p for _, ps, _ in work for p in ps]
        grads = [g for _, _, gs in work for g in gs]
        small = self._look(s, settings, params, grads)
        s["looks"] += 1
        if small is None:
            return self._hold(s)
        if not small:
            s["status"] = int(Status.DESCENDING)
            return True
        seen = self._check(s, settings, params, grads, loss, closure, curvature_closure)
        if seen is not None and not seen.negative:
            return self._rest(s, Status.NO_NEGATIVE_CURVATURE if seen.certified
                              else Status.NONE_FOUND)
        most = settings["max_episodes"]
        if most is not None and s["episodes"] >= most:
            s["status"], s["next_look"] = int(Status.EXHAUSTED), _LONG
            return True
        return self._kick(s, settings, params, grads, seen, closure)

    def _check(self, s, settings, params, grads, loss, closure, curvature_closure) -> Seen | None:
        """The curvature here; None where nobody looks."""
        if not settings["curvature_check"] or closure is curvature_closure is None:
            s["source"] = int(Source.NONE)
            return None
        own = curvature_closure is not None

        def evaluate(backward):
            s["closure_calls"] += 1
            with torch.enable_grad():
                found = curvature_closure() if own else closure()
                if found is None:
                    raise RuntimeError("the closure returned None; let it end with `return loss`")
                if own and backward:
                    found.backward()
            return found

        by_autograd = can_use_autograd(params)
        if own and by_autograd:
            loss = evaluate(False)
        if not (by_autograd and isinstance(loss, torch.Tensor) and loss.requires_grad):
            loss = None
        s["checks"] += 1
        s["draws"] += 1
        with Products(params, grads, evaluate, loss, settings["lipschitz_hess"],
                      -1.0 if settings["maximize"] else 1.0) as product:
            # The k-th check may fail with probability δ/(k(k+1)); these add up to at most δ.
            seen = smallest_curvature(
                product, params, settings["curvature_tol"],
                settings["failure_prob"] / (s["checks"] * (s["checks"] + 1)),
                settings["lanczos_steps"], settings["seed"], s["draws"])
        s["hvp"] += product.calls
        s["source"] = int(product.source)
        s["min_eig"], s["min_eig_lower"] = seen.min_eig, seen.lower
        return seen

    def _kick(self, s, settings, params, grads, seen, closure):
        """Begin an episode; whether its first plain step follows at once."""
        s["draws"] += 1
        radius = settings["perturbation_radius"]
        if settings["escape"] == "direction" and seen is not None:
            slope = float(vector.dot(grads, seen.direction)) * (-1 if settings["maximize"] else 1)
            xi = vector.scale_(seen.direction, -radius if slope > 0 else radius)
        else:
            xi = vector.uniform_ball(params, radius, settings["seed"], s["draws"])
        before = vector.clone(params)
        vector.add_(params, xi)
        # What rounding left of ξ; at least half of it, or nothing has happened.
        lost = vector.add_(vector.add_(vector.clone(params), before, alpha=-1.0), xi, alpha=-1.0)
        if not vector.norm(lost) <= 0.5 * vector.norm(xi):
            vector.copy_(params, before)
            return self._rest(s, Status.PRECISION)
        if closure is not None:
            try:
                self._loss(s, closure)
            except Exception:
                vector.copy_(params, before)
                raise
        s["episodes"] += 1
        s["left"], s["status"] = settings["episode_length"], int(Status.EPISODE)
        s["away"] = 0
        if seen is None:  # nobody knows whether this was a saddle: rest ever longer
            s["after"], s["pause"] = s["pause"], min(2 * s["pause"], _LONG)
        else:
            s["after"], s["pause"] = 0, settings["rest"]
        return closure is not None


def settings_of(given) -> dict:
    """What a user gave, checked, for ``defaults``; an episode_length of None is filled in later."""
    _check_lr(given["lr"])
    if given["escape"] not in ("ball", "direction"):
        raise ValueError(f"escape must be 'ball' or 'direction', got {given['escape']!r}")
    if given["escape"] == "direction" and not given["curvature_check"]:
        raise ValueError("escape='direction' needs the direction that curvature_check finds; set "
                         "curvature_check=True or escape='ball'")
    least = {"episode_length": 1, "max_episodes": 1, "lanczos_steps": 1, "rest": 0,
             "check_every": 1, "seed": 0}
    numbers = {name: integer(name, given[name], least=n) for name, n in least.items()
               if given[name] is not None or name not in ("episode_length", "max_episodes")}
    return {**given, **_scales(given), **numbers,
            "failure_prob": probability("failure_prob", given["failure_prob"]),
            "curvature_check": bool(given["curvature_check"]), "maximize": bool(given["maximize"])}


def _scales(given) -> dict:
    """ε, γ, ρ and r: what is left out follows from the others."""
    epsilon, rho, radius = (given[name] for name in ("epsilon", "lipschitz_hess",
                                                     "perturbation_radius"))
    epsilon = positive("epsilon", epsilon)
    if given["curvature_tol"] is None and rho is None:
        rho = 1.0
    rho, gamma = curvature_scale(None, epsilon, rho, given["curvature_tol"])
    return {"epsilon": epsilon, "curvature_tol": gamma,
            "lipschitz_hess": rho or gamma * gamma / epsilon,
            "perturbation_radius": positive(
                "perturbation_radius", epsilon / (8 * gamma) if radius is None else radius)}


def _check_lr(lr):
    if isinstance(lr, torch.Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not 0.0 <= float(lr) < math.inf:
        raise ValueError(f"Invalid learning rate: {lr}")


def _episode_length(settings, lr, dim):
    """Steps in which all but about one perturbation in a hundred grow from r/√d to ε/γ."""
    if lr <= 0:
        raise ValueError("episode_length follows from lr, which is 0 in a group; give it")
    radius, gamma = settings["perturbation_radius"], settings["curvature_tol"]
    far = max(settings["epsilon"] / gamma, 2 * radius)
    return math.ceil(math.log(100 * far * math.sqrt(dim) / radius) / math.log1p(lr * gamma))
