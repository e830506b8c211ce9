"""Losses of torch: gradients and Hessian-vector products by autograd, in the dtype of the tensors.

x is a tensor, or the parameters of a module. Between the flat float64 points of the methods and
torch stand copies alone: what torch computes, it computes in its own dtype and on its own device.
"""

from __future__ import annotations

import inspect

import numpy as np

from .._arguments import as_point
from .arrays import Arrays

try:
    import torch

    from ..optim._curvature import _backward, _twice_differentiable
except ImportError as error:
    raise ImportError(
        "jac=\"torch\" needs torch, which saddlelib does not install by itself: "
        "pip install saddlelib[torch]") from error

__all__ = ["form"]

_NO_SECOND = ("torch has no second derivatives of this loss, so Hessian-vector products come from "
              "differences of its gradient")


def form(x0, jac):
    """The form of x0, and the kind of gradient: "torch" unless the user says another."""
    tensors = list(x0) if isinstance(x0, (list, tuple)) else []
    if isinstance(x0, torch.nn.Module) or any(isinstance(t, torch.Tensor) for t in tensors):
        if jac not in (None, "torch"):
            raise ValueError(f'jac must be "torch" or left out where x0 is made of parameters, got '
                             f'{jac!r}')
        return _Parameters(x0), "torch"
    return _Tensor(x0), jac or "torch"


def _plain(value):
    """A tensor as a NumPy array; anything else as it is."""
    if not isinstance(value, torch.Tensor):
        return value
    value = value.detach().cpu()
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy()


def _unit(tensors):
    """The coarsest unit of rounding among real tensors."""
    return max(torch.finfo(t.dtype).eps for t in tensors) / 2


class _Tensor(Arrays):
    """x0 as one tensor; an array is taken for a float64 tensor on the CPU and comes back as one."""

    def __init__(self, x0):
        self.tensor = x0 if isinstance(x0, torch.Tensor) else None
        if self.tensor is not None and not (self.tensor.is_floating_point()
                                            or self.tensor.dtype in _WHOLE):
            raise TypeError(f"x0 must hold real numbers, got a tensor of {self.tensor.dtype}")
        super().__init__(_plain(x0))
        real = self.tensor is not None and self.tensor.is_floating_point()
        self.dtype = self.tensor.dtype if real else torch.float64
        self.device = "cpu" if self.tensor is None else self.tensor.device
        self.unit = torch.finfo(self.dtype).eps / 2

    plain = staticmethod(_plain)

    def point(self, x):
        """A flat point as a tensor of its own."""
        return super().point(torch.tensor(x, dtype=self.dtype, device=self.device))

    def restore(self, x):
        """A flat point as a tensor like x0, or as an array where x0 was one."""
        if self.tensor is None:
            return Arrays.point(self, np.array(x))
        return self.point(x)

    def leaves(self, x):
        """The tensors that x is made of, as leaves of a graph."""
        return [self.point(x).requires_grad_()]

    def loss(self, fun, leaves, args):
        """The loss, and gradients where ``fun`` computed them itself, else None."""
        return fun(leaves[0], *args), None

    def fresh(self, leaves):
        """Whether the leaves hold still what they held."""
        return True

    def functions(self, fun, jac, hess, hessp, args) -> dict:
        """As for arrays, with ∇f, and ∇²f·v where neither products nor Hessians are given."""
        if jac != "torch":
            return super().functions(fun, jac, hess, hessp, args)
        functions = super().functions(fun, None, hess, hessp, args)
        graph = _Autograd(self, fun, args)
        functions |= dict(fun=lambda x: graph.fun(x), jac=lambda x: graph.grad(x))
        if hess is None and hessp is None and graph.has_second(self.x0):
            functions["hessp"] = lambda x, v: graph.hvp(x, v)
        elif hess is None and hessp is None:
            self.notes.append(_NO_SECOND)
        return functions


_WHOLE = {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}


class _Parameters(_Tensor):
    """The parameters of a module, or a list of them, that require a gradient.

    The function writes nothing but their values, and ``.grad`` is left as it was.
    """

    def __init__(self, x0):
        self.module = x0 if isinstance(x0, torch.nn.Module) else None
        tensors = list(x0 if self.module is None else x0.parameters())
        for i, t in enumerate(tensors):
            if not (isinstance(t, torch.Tensor) and t.is_leaf):
                raise TypeError(f"x0[{i}] must be a parameter, got {type(t).__name__}; stack plain "
                                f"numbers into one tensor")
        self.given = self.module or tensors
        self.params = [t for t in dict.fromkeys(tensors) if t.requires_grad]
        if not self.params:
            raise ValueError("x0 has no tensor that requires a gradient; call requires_grad_() on "
                             "the parameters to minimize over, or stack numbers into one tensor")
        self.notes, self.unit = [], _unit(self.params)
        self.x0 = as_point("x0", np.concatenate([
            _plain(p).astype(float).reshape(-1) for p in self.params]))
        self.shape, self.versions = self.x0.shape, None

    def point(self, x):
        """The parameters, which now hold x."""
        at = 0
        with torch.no_grad():
            for p in self.params:
                part = torch.from_numpy(np.array(x[at:at + p.numel()])).reshape(p.shape)
                p.copy_(part)
                at += p.numel()
        return self.params

    def shapes(self):
        """The shapes of the parameters."""
        return tuple(tuple(p.shape) for p in self.params)

    def restore(self, x):
        """The module, or the list of parameters, with x in it."""
        self.point(x)
        return self.given

    def like(self, g):
        """A flat gradient in tensors like the parameters."""
        parts = torch.from_numpy(np.array(g)).split([p.numel() for p in self.params])
        return [part.reshape(p.shape).to(p) for part, p in zip(parts, self.params, strict=True)]

    def leaves(self, x):
        """The parameters themselves."""
        self.point(x)
        self.versions = [p._version for p in self.params]
        return self.params

    def fresh(self, leaves):
        """Whether nobody has written to the parameters since; their graph is worthless else."""
        return self.versions == [p._version for p in leaves]

    def loss(self, fun, leaves, args):
        """The loss; a closure may also have called ``backward``, as torch's optimizers want it."""
        kept = [p.grad for p in leaves]
        for p in leaves:
            p.grad = None
        try:
            takes = _takes_one_more(fun, len(args))
            value = fun(self.given, *args) if takes else fun(*args)
            grads = [p.grad for p in leaves]
        finally:
            for p, g in zip(leaves, kept, strict=True):
                p.grad = g
        return value, grads if any(g is not None for g in grads) else None

    def functions(self, fun, jac, hess, hessp, args) -> dict:
        """By autograd alone."""
        for name, given in (("hess", hess), ("hessp", hessp)):
            if given is not None:
                raise ValueError(f"{name} must be left out where x0 is made of parameters, got "
                                 f"{given!r}; autograd has the products")
        return super().functions(fun, jac, hess, hessp, args)


def _takes_one_more(fun, count):
    """Whether fun needs one positional argument more than ``count``: the module."""
    try:
        parameters = inspect.signature(fun).parameters.values()
    except (TypeError, ValueError):
        return False
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in kinds and p.default is p.empty for p in parameters) > count


class _Autograd:
    """f, ∇f and ∇²f·v at flat points; the graph of the last point is kept."""

    def __init__(self, form, fun, args):
        self.form, self.function, self.args = form, fun, args
        self.x = self.leaves = None

    def _at(self, x):
        """Build the graph of the loss at x, unless it is there."""
        if self.x is not None and np.array_equal(x, self.x) and self.form.fresh(self.leaves):
            return
        self.x = None
        self.leaves = self.form.leaves(x)
        with torch.enable_grad():
            self.loss, self.own = self.form.loss(self.function, self.leaves, self.args)
        _check_loss(self.loss, self.own)
        self.g = self.slopes = None
        self.x = x.copy()

    def fun(self, x):
        """f(x), in the dtype of the loss."""
        self._at(x)
        return _plain(self.loss)

    def grad(self, x):
        """∇f(x), shape (d,); zero for what the loss does not depend on."""
        self._at(x)
        if self.g is None:
            self.g = self._flat(self.own or torch.autograd.grad(
                self.loss, self.leaves, retain_graph=True, allow_unused=True))
        return self.g

    def has_second(self, x):
        """Whether autograd has second derivatives at x, as far as its graph tells.

        A backward that may be done once marks what it returns only where that depends on something
        that requires a gradient; else it is taken for a constant without a word. So the graph is
        looked at once more, with a factor of the loss that requires one.
        """
        self._at(x)
        if self.own is not None:
            return False
        factor = torch.ones_like(self.loss).requires_grad_()
        marked = _backward(self.loss, self.leaves, create_graph=True, grad_outputs=factor)
        self.slopes = _backward(self.loss, self.leaves, create_graph=True)
        return all(slopes is not None and _twice_differentiable(slopes)
                   for slopes in (marked, self.slopes))

    def hvp(self, x, v):
        """∇²f(x)v, shape (d,), by a second backward pass."""
        self._at(x)
        if self.slopes is None:
            self.slopes = torch.autograd.grad(self.loss, self.leaves, create_graph=True,
                                              allow_unused=True)
        used = [(g, u) for g, u in zip(self.slopes, self._parts(v), strict=True)
                if g is not None and g.requires_grad]
        if not used:
            return np.zeros(x.size)
        return self._flat(torch.autograd.grad(
            [g for g, _ in used], self.leaves, [u for _, u in used], retain_graph=True,
            allow_unused=True))

    def _parts(self, v):
        """v in tensors like the leaves."""
        parts = torch.from_numpy(v.copy()).split([leaf.numel() for leaf in self.leaves])
        return [part.reshape(leaf.shape).to(leaf)
                for part, leaf in zip(parts, self.leaves, strict=True)]

    def _flat(self, tensors):
        """Tensors like the leaves as one array, in the widest of their dtypes."""
        return np.concatenate([
            np.zeros(leaf.numel(), _plain(leaf).dtype) if t is None else _plain(t).reshape(-1)
            for t, leaf in zip(tensors, self.leaves, strict=True)])


def _check_loss(loss, own):
    """Refuse what autograd cannot start from."""
    if not isinstance(loss, torch.Tensor):
        raise TypeError(f'with jac="torch" fun must return the loss as a tensor, got '
                        f'{type(loss).__name__}; leave out .item(), float() and NumPy')
    if loss.numel() != 1:
        raise ValueError(f"fun must return one number, got a tensor of shape {tuple(loss.shape)}; "
                         f"take its sum or its mean")
    if own is None and not loss.requires_grad:
        raise ValueError("the loss that fun returns has no graph: it does not depend on x, or "
                         ".detach(), .data, torch.no_grad() or NumPy cut the graph")
