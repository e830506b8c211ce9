"""Is there negative curvature here? Lanczos on lists of tensors, and two kinds of products."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import torch
import torch.distributed as dist

from ..curvature.lanczos import Coefficients, Shift, start_component
from . import _vector as vector

__all__ = ["Products", "Seen", "Source", "can_use_autograd", "quick_dot", "smallest_curvature"]

_SMALL = 1 << 10  # entries; smaller tensors are multiplied together


class Source(enum.IntEnum):
    """Where Hessian-vector products come from."""

    NONE = 0
    AUTOGRAD = 1
    DIFFERENCES = 2


@dataclass(frozen=True)
class Seen:
    """What Lanczos saw.

    Attributes
    ----------
    min_eig, lower : float
        Smallest Ritz value; a lower bound of λ_min that holds with probability 1 − δ.
    negative, certified : bool
        Whether λ_min < −curvature_tol is proven by ``direction``; whether λ_min ≥ −curvature_tol
        is certified.
    direction : list of Tensor
        Unit vector with Rayleigh quotient ``min_eig``.
    """

    min_eig: float
    lower: float
    negative: bool
    certified: bool
    direction: list[torch.Tensor]


class Products:
    r"""v ↦ Hv at the present parameters, by double backward or by differences of gradients.

    Differences are (∇f(x + hv) − ∇f(x − hv))/(2h). Their error is at most ρh/2 + e/h for gradients
    with an error e, least at h = √(2e/ρ); so the error of a product is known.

    Double backward is for what autograd sees as a whole. Where a gradient is None it may have
    passed by autograd, as under re-entrant checkpointing, and its products would be zero: then
    gradients are differenced.

    Parameters
    ----------
    ask : Evaluator
        Entered; on leaving it, parameters and gradients are what they were.
    grads : list of Tensor
        The gradients now.
    lipschitz_hess : float
        ρ > 0.
    known : Tensor or None
        A loss at the parameters whose graph may still be there. None: one is made, if ``ask`` has a
        loss without ``backward``.
    decay : list of float, optional
        For each parameter, what is added to the diagonal of H.
    """

    def __init__(self, ask, grads, lipschitz_hess, known=None, decay=None):
        self.ask, self.params, self.rho = ask, ask.params, lipschitz_hess
        self.decay = decay if decay is not None and any(decay) else None
        self.size, self.grad_norm = max(vector.norm(self.params), 1e-8), vector.norm(grads)
        self.unit = max(torch.finfo(p.dtype).eps for p in self.params) / 2
        self.norm = self.difference_error = 0.0
        self.calls, self.source = 0, Source.DIFFERENCES
        self.graph = self._graph(known) if can_use_autograd(self.params) else None

    def __call__(self, v):
        self.calls += 1
        hv = None
        if self.graph is not None:
            hv = self._double_backward(v)
        if hv is None:
            self.source = Source.DIFFERENCES
            hv = self._difference(v)
        if self.decay is not None:
            vector.add_(hv, [d * u for d, u in zip(self.decay, v, strict=True)])
        self.norm = max(self.norm, vector.norm(hv))
        return hv

    def error(self, steps):
        """E of `saddlelib.curvature.lanczos`: what the products may do to an eigenvalue."""
        return math.sqrt(2 * steps) * (self.difference_error + 16 * self.unit * self.norm)

    def _graph(self, loss):
        """Gradients that can be differentiated again, or None."""
        if self.ask.loss is not None:
            self.ask.calls += 1
            self.ask.random.set()
            with torch.enable_grad():
                loss = self.ask.loss()
        if not (isinstance(loss, torch.Tensor) and loss.requires_grad and loss.numel() == 1):
            return None
        graph = _backward(loss, self.params, create_graph=True)
        # A gradient of a loss that backward was seen to leave out as well is zero.
        unused = self.ask.loss is not None and self.ask.by_autograd and self.ask.unused_checked
        if graph is None or (any(g is None for g in graph) and not unused) or (
                not _twice_differentiable(graph)):
            return None
        self.source = Source.AUTOGRAD
        return graph

    def _double_backward(self, v):
        used = [(g, u) for g, u in zip(self.graph, v, strict=True) if g is not None]
        hv = _backward([g for g, _ in used], self.params, grad_outputs=[u for _, u in used],
                       retain_graph=True)
        if hv is None:
            self.graph = None
            return None
        hv = [torch.zeros_like(u) if h is None else h.detach()
              for h, u in zip(hv, v, strict=True)]
        return vector.scale_(vector.clone(hv), self.ask.sign)

    def _difference(self, v):
        if self.norm == 0.0:  # one wide difference, for the scale of the Hessian
            self.norm = vector.norm(self._central(v, math.sqrt(self.unit) * self.size))
        grad_error = 4 * self.unit * (self.grad_norm + self.norm * self.size)
        h = min(math.sqrt(2 * grad_error / self.rho), self.size)
        h = max(h, 64 * self.unit * self.size)
        self.difference_error = max(self.difference_error, self.rho * h / 2 + grad_error / h)
        return self._central(v, h)

    def _central(self, v, h):
        self.ask.at(v, h)
        plus = self.ask.gradient()[1]
        self.ask.at(v, -h)
        vector.add_(plus, self.ask.gradient()[1], alpha=-1.0)
        return vector.scale_(plus, 1 / (2 * h))


def _backward(outputs, params, **options):
    """`torch.autograd.grad`, or None where the graph is gone or has no second derivative."""
    try:
        with torch.enable_grad():
            return torch.autograd.grad(outputs, params, allow_unused=True, **options)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:
        return None


def _twice_differentiable(graph):
    """Whether autograd knows how all gradients depend on the parameters.

    A function with a backward that is not differentiable ends the graph in a node "Error". Where
    the node leads nowhere autograd does not visit it, and takes the gradient for constant without
    a word. A gradient without a graph belongs to a linear loss or to such a function.
    """
    todo = [g.grad_fn for g in graph if g is not None]
    seen = set(todo)
    while todo:
        node = todo.pop()
        if node is None or "Error" in node.name():
            return False
        new = {after for after, _ in node.next_functions if after is not None} - seen
        seen |= new
        todo += new
    return True


def can_use_autograd(params) -> bool:
    """Whether autograd alone sees the whole loss: on one process, with whole parameters.

    The hooks that add up gradients over ranks work on ``.grad`` and not on what
    `torch.autograd.grad` returns.
    """
    several = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
    return not several and all(a is b for a, b in zip(vector.local(params), params, strict=True))


def smallest_curvature(product, params, curvature_tol, failure_prob, maxiter, seed, counter,
                       resolution=0.05, bound=False) -> Seen:
    """Smallest eigenvalue of the Hessian, as far as it needs to be known.

    Lanczos with full reorthogonalization from a random start, and the theorem of
    `saddlelib.curvature.lanczos`. It stops as soon as it knows on which side of −curvature_tol
    λ_min lies, or how far from it, or that errors of the products hide it, or after ``maxiter``
    products. It keeps one vector for each. With ``bound`` it goes on where λ_min lies below, until
    it is known to ``resolution``·curvature_tol.
    """
    dim = vector.numel(params)
    maxiter = min(maxiter, dim)
    component = start_component(dim, failure_prob)
    basis = [vector.uniform_sphere(params, seed, counter)]
    T, at_tol = Coefficients(), Shift(-curvature_tol)
    for k in range(1, maxiter + 1):
        w = product(basis[-1])
        alpha = float(vector.dot(w, basis[-1]))
        for _ in range(2):  # twice is enough (Kahan; Parlett 1980)
            for q in basis:
                vector.add_(w, q, alpha=-quick_dot(q, w))
        # At k = d nothing is left but rounding.
        beta = vector.norm(w) if k < dim else 0.0
        if not math.isfinite(alpha + beta):
            return Seen(math.nan, -math.inf, False, False, [])
        T.add(alpha, beta)
        at_tol.add(alpha, beta)
        error, low = product.error(k), float(T.smallest())
        certified = T.decides(at_tol, component, error) or (
            k == dim and low - error >= -curvature_tol)
        near = T.at(low - resolution * curvature_tol)
        known = T.decides(near, component) or not bound and low < -curvature_tol - error
        if certified or known or beta == 0 or k == maxiter:
            break
        basis.append(vector.scale_(w, 1 / beta))
    direction = vector.zeros_like(basis[0])
    for q, c in zip(basis, T.ritz_vector().tolist(), strict=True):
        vector.add_(direction, q, alpha=c)
    vector.scale_(direction, 1 / vector.norm(direction))
    if low < -curvature_tol - error:
        # Negative curvature is a fact about one vector: look at it once more, by itself.
        low = float(vector.dot(direction, product(direction)))
    lower = T.lower_bound(component, error, -curvature_tol if certified else -math.inf)
    negative = low < -curvature_tol - error
    return Seen(low, min(lower, low), negative, certified and not negative, direction)


def quick_dot(a, b) -> float:
    """⟨a, b⟩ in the precision of the tensors; several times faster than `vector.dot`.

    For what has errors far larger than rounding, or is corrected anyway.
    """
    plain = all(x is y and x.dtype.itemsize >= 4 for x, y in zip(vector.local(a), a, strict=True))
    if not plain:
        return float(vector.dot(a, b))
    products = [torch.dot(x.reshape(-1), y.reshape(-1)) for x, y in _bundles(a, b)]
    return math.fsum(vector.read(products))


def _bundles(a, b):
    """Pairs of tensors; small ones put together, so that few are multiplied and little is held."""
    waiting = {}
    for x, y in zip(a, b, strict=True):
        if x.numel() >= _SMALL:
            yield x, y
            continue
        found = waiting.setdefault((x.dtype, x.device), [0])
        found[0] += x.numel()
        found.append((x.reshape(-1), y.reshape(-1)))
        if found[0] >= _SMALL:
            yield tuple(map(torch.cat, zip(*found[1:], strict=True)))
            found[:] = [0]
    for found in waiting.values():
        if len(found) > 1:
            yield tuple(map(torch.cat, zip(*found[1:], strict=True)))
