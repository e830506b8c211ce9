"""What the optimizers share: plain steps, and the contract with torch.

All of the state is numbers in ``state`` of the first parameter and tensors in ``state`` of each, so
`state_dict` holds it. Whatever is drawn depends on (seed, counter) alone.
"""

from __future__ import annotations

import math
import warnings

import torch
from torch.optim import Optimizer

from .._arguments import nonnegative
from . import _vector as vector

__all__ = ["DescentOptimizer", "VectorOptimizer", "check_lr", "descend_"]


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

    Attributes
    ----------
    loss : callable or None
        Returns the loss of the present mini-batch, without ``backward``. No part of `state_dict`,
        of a pickle or of a copy, which belongs to other parameters: give it again there.
    process_group
        Of the ranks that share a batch, over which the loss is averaged; None for all.
    """

    # A GradScaler then hands over its scale, so that a closure under it can be refused.
    _step_supports_amp_scaling = True
    _of_group = frozenset()
    # What other optimizers take and these do not: to ignore it would be another training.
    _refused = ("weight_decay", "momentum", "nesterov")
    process_group = None
    loss = None

    def __init__(self, params, defaults, loss=None):
        if loss is not None and not callable(loss):
            raise TypeError(f"loss must be a function without arguments that returns the loss of "
                            f"the present mini-batch, got {type(loss).__name__}")
        super().__init__(params, defaults)
        self.loss = loss
        self._complete()  # now: a distributed checkpoint asks a fresh optimizer what to load

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:  # saved before a setting was there
            for key, value in self.defaults.items():
                if key != "differentiable":  # which torch adds to what was loaded, and nowhere else
                    group.setdefault(key, value)
        self._complete()

    def state_dict(self):
        """As every optimizer's."""
        self._complete()
        return super().state_dict()

    def add_param_group(self, param_group):
        """Add a group; what it may set itself is in ``_of_group``."""
        # The first group may have been loaded, and then defaults are not its settings.
        if self.param_groups and isinstance(param_group, dict):
            for key in self._shared():
                param_group.setdefault(key, self.param_groups[0][key])
        super().add_param_group(param_group)
        try:
            self._check_group(self.param_groups[-1])
        except (TypeError, ValueError):
            self.param_groups.pop()
            raise
        for p in self.param_groups[-1]["params"]:
            self._prepare(p, self.param_groups[-1])

    def _prepare(self, p, group):
        """The state of a parameter; now, as torch.distributed.checkpoint asks for all or none."""
        return self.state.setdefault(p, {})

    def _shared(self):
        """The names of the settings of the whole vector; torch itself adds to ``defaults``."""
        return (self.defaults.keys() & self.param_groups[0].keys()) - self._of_group

    def _check_group(self, group):
        for key in self._shared():
            value = self.param_groups[0][key]
            if group[key] != value:
                raise ValueError(f"{key} is a setting of the whole vector of parameters: every "
                                 f"group must have the same, got {value!r} and {group[key]!r}")
        for key in self._refused:
            if key not in self.defaults and group.get(key):
                raise ValueError(f"{type(self).__name__} has no {key}, and a group with "
                                 f"{key}={group[key]!r} would be trained without; leave it out")
        for p in group["params"]:
            if not p.is_floating_point():
                raise TypeError(f"parameters must be real floating-point tensors, got {p.dtype}; "
                                f"of a complex tensor optimize torch.view_as_real")

    # State that is numbers, of the first parameter ----------------------------

    @property
    def _scalars(self):
        first = next((p for group in self.param_groups for p in group["params"]), None)
        s = {} if first is None else self.state.setdefault(first, {})
        if "steps" not in s:
            self._complete()
            s.update(self._fresh() if first is None else {})
        return s

    def _fresh(self) -> dict:
        """The numbers of a run that begins."""
        raise NotImplementedError

    def _complete(self):
        """State for every parameter, and no other, whatever has happened to it from outside.

        Frameworks put other tensors in the place of parameters, users clear ``state``, and states
        saved by an earlier version lack what it did not know.
        """
        now = [p for group in self.param_groups for p in group["params"]]
        if not now:
            return
        fresh, known, found = self._fresh(), set(now), {}
        for p in list(self.state):
            if isinstance(p, torch.Tensor) and p not in known:
                gone = self.state.pop(p)
                found.update((k, gone[k]) for k in fresh if k in gone)
        for group in self.param_groups:
            for p in group["params"]:
                self._prepare(p, group)
        first = self.state[now[0]]
        for p in now[1:]:  # which was the first before another was put in front of it
            found.update((k, self.state[p].pop(k)) for k in fresh if k in self.state[p])
        for key, value in {**fresh, **found}.items():
            first.setdefault(key, value)

    def _tensor(self, p, key):
        """A tensor like p in its state; the parameter may have been moved or converted since."""
        state = self.state[p]
        kept = state.get(key)
        if kept is None or kept.shape != p.shape:
            state[key] = p.detach().clone()
        elif kept.dtype != p.dtype or kept.device != p.device:
            state[key] = kept.to(p.device, p.dtype)
        return state[key]

    # Gradients and losses -----------------------------------------------------

    def _gather(self, scale=1.0):
        """(group, parameters with a gradient, their gradients) of each group that has some."""
        work = []
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            grads = [p.grad for p in params]
            for p, g in zip(params, grads, strict=True):
                if g.layout is not torch.strided:
                    raise RuntimeError(f"{type(self).__name__} needs dense gradients, got "
                                       f"{g.layout}; set sparse=False in the embedding")
                if p not in self.state:  # it was put in the place of another
                    self._complete()
            if params:
                if scale != 1.0:
                    torch._foreach_mul_(grads, scale)
                work.append((group, params, grads))
        return work

    def _evaluate(self, s, closure):
        """Evaluate a closure; what it returns."""
        s["closure_calls"] += 1
        with torch.enable_grad():
            return closure()

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

    def _say_once(self, text):
        """Warn, but not a second time of the same."""
        said = self.__dict__.setdefault("_said", set())
        if text not in said:
            said.add(text)
            warnings.warn(text, stacklevel=4)


class DescentOptimizer(VectorOptimizer):
    """Plain steps p ← p − lr·g, with an ``lr`` for each group.

    g is the gradient of the loss and of ``weight_decay``·‖p‖²/2, as for `torch.optim.SGD`.
    """

    _update = staticmethod(descend_)
    _of_group = frozenset(["lr", "foreach", "weight_decay"])

    def add_param_group(self, param_group):
        """Add a group; it may set ``lr``, ``weight_decay`` and ``foreach``, all else is shared."""
        super().add_param_group(param_group)

    def _check_group(self, group):
        check_lr(group["lr"])
        nonnegative("weight_decay", group["weight_decay"])
        super()._check_group(group)

    def compile(self, **options):
        """From now on run the update of the parameters, `descend_`, through `torch.compile`.

        ``options`` are those of `torch.compile`. What decides about looks and episodes stays
        Python, also where a whole training step is compiled. With a schedule let ``lr`` be a
        tensor: a new number would be compiled anew. The last digits may differ.
        """
        self._update = torch.compile(descend_, **options)

    def _gather(self, scale=1.0):
        """The same, with the gradient of the decay in it."""
        return [(group, params, self._decayed(group, params, grads))
                for group, params, grads in super()._gather(scale)]

    @staticmethod
    def _decayed(group, params, grads):
        decay = group["weight_decay"]
        if decay == 0:
            return grads
        return list(torch._foreach_add(grads, params,
                                       alpha=-decay if group["maximize"] else decay))

    @staticmethod
    def _penalty(work):
        """Σ weight_decay·‖p‖²/2, what the loss to minimize has more."""
        return sum(group["weight_decay"] * vector.norm(params) ** 2 / 2
                   for group, params, _ in work if group["weight_decay"] != 0)

    def _descend(self, settings, work):
        for group, params, grads in work:
            self._update(params, grads, group["lr"], settings["maximize"],
                         group["foreach"] is not False)


def check_lr(lr):
    if isinstance(lr, torch.Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not 0.0 <= float(lr) < math.inf:
        raise ValueError(f"Invalid learning rate: {lr}")
