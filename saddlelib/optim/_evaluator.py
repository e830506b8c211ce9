"""What a look asks of a loss, and how everything is afterwards what it was.

A look evaluates the loss of the present mini-batch at other points. Training must not notice: on
leaving, parameters, gradients, the buffers of batch normalization and all random generators are
what they were, bit for bit.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import math
import random
import sys
import types

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parameter import is_lazy

from . import _vector as vector

__all__ = ["Evaluator", "Generators", "Skipped", "Unusable", "leaves", "modules_of"]

_SYNC = "require_forward_param_sync"
_MOST = 4000  # objects that the search for modules opens


class Unusable(RuntimeError):
    """The loss cannot be asked again: it returned nothing, or not the same twice."""


class Skipped(Unusable):
    """The loss returned None, as a training step does that skips a mini-batch."""


class Evaluator:
    r"""The loss of one mini-batch and its gradient, at any point.

    Every evaluation sees the same random numbers, so that dropout is the same function each time.
    The gradient comes from `torch.autograd.grad` where that sees all of it. It does not under
    re-entrant checkpointing, nor do the hooks of many machines see it; then it comes from
    ``backward``, and gradients that other optimizers own are put aside.

    On many machines f is the mean over ranks, and so is the gradient of tensors that are whole: a
    loss may go past DistributedDataParallel, as by ``model.module``. Every rank has to ask.

    Use it in a ``with``; nested or after an exception too, leaving puts everything back.

    Parameters
    ----------
    params : list of Tensor
        Those that move, and whose gradients are asked for.
    loss : callable, optional
        Returns the loss without ``backward``.
    closure : callable, optional
        In its place: clears the gradients, calls ``backward`` and returns the loss.
    process_group
        Of the ranks that share a batch.
    sign : float
        −1 to see −f.
    known : Tensor, optional
        A loss that the closure returned before; its graph names the tensors it differentiates.

    Attributes
    ----------
    calls : int
        Evaluations made.
    noise : float
        The largest difference seen between two values at one point.
    """

    def __init__(self, params, loss=None, closure=None, *, process_group=None, sign=1.0,
                 known=None):
        if (loss is None) == (closure is None):
            raise ValueError("give exactly one of loss (without backward) and closure (with it)")
        self.params, self.loss, self.closure = list(params), loss, closure
        self.process_group, self.sign, self.known = process_group, sign, known
        self.calls, self.noise = 0, 0.0
        self.whole = [a is b for a, b in zip(vector.local(self.params), self.params, strict=True)]
        self.ranks = (dist.get_world_size(process_group)
                      if dist.is_available() and dist.is_initialized() else 1)
        self.by_autograd = loss is not None and all(self.whole) and self.ranks == 1
        self.unused_checked = False

    def __enter__(self):
        self.start = None
        with contextlib.ExitStack() as self.exits:
            self._begin_to_keep()
            self.exits = self.exits.pop_all()  # nothing was raised: only on leaving
        return self

    def _begin_to_keep(self):
        self.exits.callback(self._put_back_params)
        self.grads, self.buffers = {}, {}
        self.exits.callback(self._put_back_grads)
        self.exits.callback(self._put_back_buffers)
        self._put_aside(self.params)
        self.random = Generators({p.device for p in self.params})
        self.exits.callback(self.random.set)
        modules = modules_of(self.loss or self.closure)
        self._know(modules)
        mine = {id(p) for module in modules for p in module.parameters()}
        if not all(id(p) in mine for p in self.params):  # some run that the search has not found
            self._listen()
        if isinstance(self.known, torch.Tensor):
            self._put_aside(leaves(self.known))

    def __exit__(self, *exception):
        self.exits.close()

    def at(self, v=None, t=1.0):
        """Parameters ← start + t·v; without ``v`` the start."""
        if self.start is None:
            self.start = vector.clone(self.params)
        vector.copy_(self.params, self.start)
        if v is not None:
            vector.add_(self.params, v, alpha=t)

    def value(self) -> float:
        """f at the present parameters; the mean over ranks."""
        if self.closure is not None:
            return self.gradient()[0]
        self._begin()
        try:
            with torch.no_grad():
                loss = self.loss()
        except RuntimeError as error:  # a loss that differentiates something itself
            if "does not require grad" not in str(error):
                raise
            self.random.set()
            with torch.enable_grad():
                loss = self.loss()
        return self.number(loss)

    def gradient(self) -> tuple[float, list[torch.Tensor]]:
        """f and ∇f at the present parameters, as new tensors; zero where nothing depends on one."""
        self._begin()
        with torch.enable_grad():
            if self.closure is not None:
                value = self.number(self.closure())
                found = [p.grad for p in self.params]
            else:
                value, found = self._differentiate()
        found = [torch.zeros_like(p, requires_grad=False) if g is None else g.detach().clone()
                 for p, g in zip(self.params, found, strict=True)]
        self._clear()
        self.average(found)
        return value, found if self.sign == 1.0 else vector.scale_(found, self.sign)

    def check(self, value) -> None:
        """Ask for f at the start once more: `Unusable` if it is not the ``value`` it was."""
        if self.start is not None:
            self.at()
        again = self.value()
        if not math.isfinite(value) or not math.isfinite(again):
            return
        self.noise = max(self.noise, abs(again - value))
        if abs(again - value) > 1e-3 * max(abs(value), abs(again)):
            raise Unusable(
                f"the loss is {value:.6g} and, asked again at the same parameters, {again:.6g}: it "
                f"has to be that of the present mini-batch each time it is called, and a closure "
                f"has to clear the gradients")

    def number(self, loss, graph=False) -> float:
        """A loss as f, the mean over ranks; `Unusable` on all of them where it is none on one.

        With ``graph`` it has to depend on the parameters as well: a number without a graph would
        pass for a gradient of zero, and a rank without a backward let the others wait in theirs.
        """
        why, value = None, math.nan
        if loss is None:
            why = "the loss returned None; let it end with `return loss`"
        elif isinstance(loss, torch.Tensor) and loss.numel() != 1:
            why = (f"the loss must be one number, got shape {tuple(loss.shape)}; take its mean or "
                   f"sum")
        elif graph and not (isinstance(loss, torch.Tensor) and loss.requires_grad):
            why = "the loss depends on no parameter; let it be what backward() is called on"
        else:
            loss = loss.detach() if isinstance(loss, torch.Tensor) else loss
            value = float(getattr(loss, "full_tensor", lambda: loss)())
        if self.ranks > 1:
            both = torch.tensor([value, why is not None], dtype=torch.float64,
                                device=self.params[0].device)
            value, failed = vector.mean_over_ranks(both, self.process_group).tolist()
            if failed and why is None:
                why = (f"on {round(failed * self.ranks)} of {self.ranks} ranks the loss returned "
                       f"no number; let it end with `return loss` on each")
        if why is not None:
            raise (Skipped if loss is None and self.ranks == 1 else Unusable)(why)
        return self.sign * value

    def average(self, grads) -> None:
        """Tensors like the parameters ← their mean over ranks; shards stay, no other has them."""
        if self.ranks == 1:
            return
        kinds = {}
        for g, whole in zip(grads, self.whole, strict=True):
            if whole:
                kinds.setdefault((g.dtype, g.device), []).append(g)
        for same in kinds.values():
            mean = vector.mean_over_ranks(torch.cat([g.reshape(-1) for g in same]),
                                          self.process_group)
            for g, part in zip(same, mean.split([g.numel() for g in same]), strict=True):
                g.copy_(part.view(g.shape))

    # Evaluations.

    def _begin(self):
        self.calls += 1
        self._reshard()
        self._put_back_buffers()  # a loss may depend on them, as under spectral normalization
        torch.clear_autocast_cache()  # where a step is made under autocast: copies of the weights
        self.random.set()
        self._clear()

    def _clear(self):
        for p, *_ in self.grads.values():
            p.grad = None

    def _reshard(self):
        """Let FSDP2 gather the parameters anew.

        It keeps what it gathered for a forward until there is a backward, and would not see that
        parameters have moved.
        """
        kind = getattr(sys.modules.get("torch.distributed.fsdp"), "FSDPModule", None)
        if kind is not None:
            for module, *_ in self.buffers.values():
                if isinstance(module, kind):
                    module.reshard()

    def _differentiate(self):
        """f, and its gradient with None where there is none."""
        loss = self.loss()
        value = self.number(loss, graph=True)
        if self.by_autograd:
            asked = [i for i, p in enumerate(self.params) if p.requires_grad]
            try:
                got = torch.autograd.grad(loss, [self.params[i] for i in asked], allow_unused=True)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError:  # such as re-entrant checkpointing, which forbids it
                got = None
            if got is not None:
                found = dict(zip(asked, got, strict=True))
                found = [found.get(i) for i in range(len(self.params))]
                if self.unused_checked or all(g is not None for g in got):
                    return value, found
            # A tensor that nothing depends on, or a gradient that autograd does not see?
            self.random.set()
            loss = self.loss()
            by_backward = self._backward(loss)
            self.unused_checked = True
            self.by_autograd = got is not None and all(
                (a is None) == (b is None) for a, b in zip(found, by_backward, strict=True))
            return value, by_backward
        return value, self._backward(loss)

    def _backward(self, loss):
        self._put_aside(leaves(loss))
        loss.backward()
        return [p.grad for p in self.params]

    # What is put aside.

    def _put_aside(self, tensors):
        """Keep the gradients of tensors, and clear them."""
        for p in tensors:
            if id(p) not in self.grads:
                # A view, as DistributedDataParallel makes of its buckets, is written over.
                view = p.grad is not None and p.grad._is_view()
                self.grads[id(p)] = p, p.grad, p.grad.clone() if view else None
                p.grad = None

    def _know(self, modules):
        """Keep the buffers and gradients of modules, before they run."""
        for module in modules:
            for part in module.modules():
                if id(part) in self.buffers:
                    continue
                kept = {name: (b, None if b is None or is_lazy(b) else b.detach().clone())
                        for name, b in part._buffers.items()}
                # DistributedDataParallel sends no buffers after a forward without gradient.
                self.buffers[id(part)] = part, kept, getattr(part, _SYNC, None)
                self._put_aside(p for p in part.parameters(recurse=False)
                                if not is_lazy(p) and p.is_leaf)

    def _listen(self):
        """Learn of modules from PyTorch as they begin to run."""
        def hook(module, inputs):
            if id(module) not in self.buffers:
                self._know([module])

        handle = nn.modules.module.register_module_forward_pre_hook(hook)
        self.exits.callback(handle.remove)

    def _put_back_params(self):
        if self.start is not None:
            vector.copy_(self.params, self.start)
        torch.clear_autocast_cache()
        self._reshard()

    def _put_back_grads(self):
        with torch.no_grad():
            for p, g, was in self.grads.values():
                if was is not None:
                    g.copy_(was)
                p.grad = g

    def _put_back_buffers(self):
        with torch.no_grad():
            for module, kept, sync in self.buffers.values():
                if sync is not None:
                    setattr(module, _SYNC, sync)
                for name, (buffer, was) in kept.items():
                    if was is not None:  # always: batch_norm does not raise _version
                        _write(buffer, was)
                    module._buffers[name] = buffer  # some replace the tensor


def _write(tensor, values):
    """tensor ← values, also of a tensor whose numbers share their memory, as after `expand`."""
    if tensor.layout is torch.strided:
        for dim, stride in enumerate(tensor.stride()):
            if stride == 0:
                tensor, values = tensor.narrow(dim, 0, min(1, tensor.shape[dim])), values.narrow(
                    dim, 0, min(1, tensor.shape[dim]))
    with torch.inference_mode() if tensor.is_inference() else contextlib.nullcontext():
        tensor.copy_(values)


class Generators:
    """The states of torch's, NumPy's and Python's generators."""

    def __init__(self, devices):
        self.cuda = [d for d in devices if d.type == "cuda"]
        self.states = (torch.get_rng_state(), np.random.get_state(), random.getstate(),  # noqa: NPY002
                       [torch.cuda.get_rng_state(d) for d in self.cuda])

    def seed(self, seed, counter):
        """Begin all of them anew; each pair is another, independent stream."""
        mixed = int(np.random.SeedSequence((seed, counter)).generate_state(1)[0])
        torch.default_generator.manual_seed(mixed)
        np.random.seed(mixed)  # noqa: NPY002
        random.seed(mixed)
        for device in self.cuda:
            torch.cuda.default_generators[device.index].manual_seed(mixed)

    def set(self):
        """Put them all back."""
        cpu, numpy, python, cuda = self.states
        torch.set_rng_state(cpu)
        np.random.set_state(numpy)  # noqa: NPY002
        random.setstate(python)
        for device, state in zip(self.cuda, cuda, strict=True):
            torch.cuda.set_rng_state(state, device)


def leaves(loss) -> list[torch.Tensor]:
    """The leaf tensors whose ``.grad`` the ``backward`` of a loss adds to.

    Examples
    --------
    >>> import torch
    >>> x, y = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    >>> [t is x for t in leaves((x * y.detach()).sum())]
    [True]
    """
    found, todo = [], [loss.grad_fn] if loss.grad_fn is not None else []
    seen = set(todo)
    while todo:
        node = todo.pop()
        if hasattr(node, "variable"):
            found.append(node.variable)
        new = {after for after, _ in node.next_functions if after is not None} - seen
        seen |= new
        todo += new
    return found


def modules_of(function) -> list[nn.Module]:
    """The modules that a function can reach by its closure, its globals and the object it is of.

    A bounded search; it opens functions, partial functions, containers and plain objects.

    Examples
    --------
    >>> from torch import nn
    >>> model = nn.Linear(2, 2)
    >>> [m is model for m in modules_of(lambda: model(1))]
    [True]
    """
    found, seen, todo = [], set(), collections.deque([function])
    while todo and len(seen) < _MOST:
        thing = todo.popleft()
        if id(thing) in seen or isinstance(thing, (str, bytes, int, float, type, torch.Tensor,
                                                   np.ndarray, types.ModuleType)):
            continue
        seen.add(id(thing))
        if isinstance(thing, nn.Module):
            found.append(thing)
        else:
            todo.extend(_parts(thing))
    return found


def _parts(thing):
    """What one object refers to, as far as a loss may use it."""
    if isinstance(thing, functools.partial):
        return [thing.func, *thing.args, *thing.keywords.values()]
    if isinstance(thing, types.MethodType):
        return [thing.__self__, thing.__func__]
    if isinstance(thing, types.FunctionType):
        cells = []
        for cell in thing.__closure__ or ():
            with contextlib.suppress(ValueError):  # not filled yet
                cells.append(cell.cell_contents)
        return [*cells, *(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {}).values(),
                *_named_globals(thing.__code__, thing.__globals__),
                *([thing.__wrapped__] if hasattr(thing, "__wrapped__") else ())]
    if isinstance(thing, dict):
        return list(thing.values())[:100]
    if isinstance(thing, (list, tuple)):
        return thing[:100]
    inside = getattr(thing, "__dict__", None)
    return list(inside.values())[:100] if isinstance(inside, dict) else []


def _named_globals(code, names):
    """The globals that a piece of code mentions, and those of the functions it defines."""
    found = [names[name] for name in code.co_names if name in names]
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found += _named_globals(constant, names)
    return found
