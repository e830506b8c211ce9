"""A list of tensors as one vector: plain tensors, replicas of DDP, DTensor parameters of FSDP2.

A plain tensor is whole, and the same on every rank where there are several. A `DTensor` is a part:
its norms and inner products go over all ranks that hold a shard, and every rank must ask for them.
What a function returns is then the same number on every rank, bit for bit.
"""

from __future__ import annotations

import math
import sys

import numpy as np
import torch
import torch.distributed as dist

__all__ = ["add_", "clone", "copy_", "cut", "dot", "flat", "gaussian", "like", "local",
           "mean_over_ranks", "norm", "numel", "read", "scale_", "uniform_ball", "uniform_sphere",
           "zeros_like"]

# On a CPU, torch sums in the dtype of its input, in so few lanes that the norm of 10⁷ equal float32
# numbers is off by 1 in 100. Sums of this many numbers are right to 1 in 10⁴ at worst.
_BLOCK = 1 << 14
# Numbers drawn at once, so that a draw does not depend on how the vector is cut into tensors.
_DRAW = 1 << 12


def _dtensor():
    """The class DTensor, or None while nobody has imported it: its import takes seconds."""
    module = sys.modules.get("torch.distributed.tensor")
    return getattr(module, "DTensor", None)


def local(tensors) -> list[torch.Tensor]:
    """What this rank holds of each tensor; shares its memory.

    Examples
    --------
    >>> import torch
    >>> x = torch.ones(3)
    >>> local([x])[0] is x
    True
    """
    kind = _dtensor()
    if kind is None:
        return list(tensors)
    with torch.no_grad():
        return [t.to_local() if isinstance(t, kind) else t for t in tensors]


def _split(tensors):
    """Indices of the tensors by what their sums go over: {(): whole ones, (mesh, dims): shards}."""
    kind = _dtensor()
    if kind is None:
        return {(): range(len(tensors))}
    found = {}
    for i, t in enumerate(tensors):
        key = ()
        if isinstance(t, kind):
            if any(p.is_partial() for p in t.placements):
                raise ValueError(f"tensor {i} has the placements {t.placements}: a partial sum has "
                                 "no norm; call redistribute on it first")
            dims = tuple(k for k, p in enumerate(t.placements) if not p.is_replicate())
            key = (t.device_mesh, dims) if dims else ()
        found.setdefault(key, []).append(i)
    return found


def _gathered(value, key):
    """The values that all shards contribute to one number, in the same order on every rank."""
    values = [value]
    mesh, dims = key
    for dim in dims:
        group = mesh.get_group(dim)
        mine = torch.tensor(values, dtype=torch.float64, device=mesh.device_type)
        parts = [torch.empty_like(mine) for _ in range(dist.get_world_size(group))]
        dist.all_gather(parts, mine, group=group)
        values = torch.cat(parts).tolist()
    return values


def _blocks(t):
    """A tensor as flat pieces that a CPU sums well; itself elsewhere."""
    if t.device.type != "cpu" or t.numel() <= _BLOCK:
        return (t,)
    return t.reshape(-1).split(_BLOCK)


def _norm_of_whole(tensors):
    """The norm of plain tensors as a float."""
    pieces = [piece for t in tensors for piece in _blocks(t.detach())]
    if not pieces:
        return 0.0
    # torch sums halves in single precision if asked, and then takes no doubles in the same call.
    halves = [t for t in pieces if t.dtype.itemsize < 4]
    others = [t for t in pieces if t.dtype.itemsize >= 4]
    norms = read([*(torch._foreach_norm(halves, 2, torch.float32) if halves else ()),
                  *(torch._foreach_norm(others, 2) if others else ())])
    value = math.hypot(*norms)
    # Squares that leave the range of the dtype: each tensor once more, in units of its largest.
    low = 1e-150 if all(t.dtype.itemsize == 8 for t in pieces) else 1e-15
    if low < value < math.inf or math.isnan(value):
        return value
    norms = []
    for piece in pieces:
        largest = float(piece.abs().max()) if piece.numel() else 0.0
        if largest == 0.0 or not math.isfinite(largest):
            norms.append(largest)
        else:
            norms.append(largest * float(torch.linalg.vector_norm(piece.double() / largest)))
    return math.hypot(*norms)


def read(numbers) -> list[float]:
    """0-dim tensors as floats; one copy from each device.

    Examples
    --------
    >>> import torch
    >>> read([torch.tensor(0.5), torch.tensor(2)])
    [0.5, 2.0]
    """
    devices = {}
    for i, x in enumerate(numbers):
        devices.setdefault(x.device, []).append(i)
    values = [0.0] * len(numbers)
    for indices in devices.values():
        for i, value in zip(indices, torch.stack([numbers[i] for i in indices]).tolist(),
                            strict=True):
            values[i] = value
    return values


def norm(a) -> float:
    """‖a‖₂ of a list of tensors as one vector; over all shards.

    Squares neither overflow nor vanish: the result is finite wherever the norm fits into a float64.
    It is nan or inf if an entry is. Raises `ValueError` for a DTensor that is a partial sum.

    Examples
    --------
    >>> import torch
    >>> norm([torch.tensor([3e200], dtype=torch.float64), torch.tensor(4e20), torch.ones(0)])
    3e+200
    >>> norm([torch.full((4,), 1e30)]) == 2 * float(torch.tensor(1e30))
    True
    """
    a = list(a)
    parts, values = local(a), []
    for key, indices in _split(a).items():
        value = _norm_of_whole([parts[i] for i in indices])
        values += _gathered(value, key) if key else [value]
    return math.hypot(*values)


def dot(a, b) -> torch.Tensor:
    """⟨a, b⟩ as a 0-dim float64 tensor; over all shards.

    Products and sums are in float64, whatever the dtype. Raises `ValueError` where the lists do not
    match.

    Examples
    --------
    >>> import torch
    >>> dot([torch.ones(2), torch.ones(3)], [torch.ones(2), torch.full((3,), 2.0)])
    tensor(8., dtype=torch.float64)
    """
    a, b = list(a), list(b)
    if len(a) != len(b) or any(x.shape != y.shape for x, y in zip(a, b, strict=False)):
        raise ValueError("a and b must be lists of tensors of the same shapes")
    groups = _split(a)
    if groups != _split(b):
        raise ValueError("a and b must be sharded in the same way; call redistribute on one")
    left, right = local(a), local(b)
    total, device = 0.0, left[0].device if left else None
    for key, indices in groups.items():
        part = 0.0
        for i in indices:
            x, y = left[i].detach(), right[i].detach()
            for u, v in zip(_blocks(x), _blocks(y), strict=True):
                part = part + torch.dot(u.reshape(-1).double(), v.reshape(-1).double()).to(device)
        if key:
            part = sum(_gathered(float(part), key))
        total = total + part
    return torch.as_tensor(total, dtype=torch.float64, device=device)


def numel(tensors) -> int:
    """The length of the whole vector, over all shards.

    Examples
    --------
    >>> import torch
    >>> numel([torch.ones(2, 3), torch.tensor(1.0)])
    7
    """
    return sum(t.numel() for t in tensors)


@torch.no_grad()
def add_(a, b, alpha=1.0):
    """a ← a + alpha·b; returns a.

    Examples
    --------
    >>> import torch
    >>> add_([torch.ones(2)], [torch.ones(2)], alpha=-0.5)
    [tensor([0.5000, 0.5000])]
    """
    torch._foreach_add_(local(a), local(b), alpha=alpha)
    return a


@torch.no_grad()
def scale_(a, factor):
    """a ← factor·a; returns a.

    Examples
    --------
    >>> import torch
    >>> scale_([torch.ones(2)], 3.0)
    [tensor([3., 3.])]
    """
    torch._foreach_mul_(local(a), factor)
    return a


@torch.no_grad()
def copy_(a, b):
    """a ← b; returns a.

    Examples
    --------
    >>> import torch
    >>> copy_([torch.zeros(2)], [torch.ones(2)])
    [tensor([1., 1.])]
    """
    torch._foreach_copy_(local(a), local(b))
    return a


def cut(whole, like) -> torch.Tensor:
    """A tensor that every rank has, as another of its shape is cut; itself where that is not cut.

    Examples
    --------
    >>> import torch
    >>> x = torch.ones(3)
    >>> cut(x, torch.zeros(3)) is x
    True
    """
    kind = _dtensor()
    if kind is None or not isinstance(like, kind) or isinstance(whole, kind) or (
            whole.shape != like.shape):
        return whole
    from torch.distributed.tensor import distribute_tensor

    # Every rank has it, so nothing needs to be sent.
    return distribute_tensor(whole, like.device_mesh, like.placements, src_data_rank=None)


def zeros_like(tensors) -> list[torch.Tensor]:
    """Zeros of the same shape, dtype, device and placement.

    Examples
    --------
    >>> import torch
    >>> zeros_like([torch.ones(2)])
    [tensor([0., 0.])]
    """
    return [torch.zeros_like(t, requires_grad=False) for t in tensors]


def clone(tensors) -> list[torch.Tensor]:
    """Detached copies.

    Examples
    --------
    >>> import torch
    >>> clone([torch.ones(2, requires_grad=True)])
    [tensor([1., 1.])]
    """
    return [t.detach().clone() for t in tensors]


def flat(tensors) -> np.ndarray:
    """One float64 vector (d,) on the host, of its own memory; the tensors are whole.

    Examples
    --------
    >>> import torch
    >>> flat([torch.ones(1, 2), torch.tensor(3.0)])
    array([1., 1., 3.])
    """
    return torch.cat([t.detach().reshape(-1).to("cpu", torch.float64) for t in tensors]).numpy()


def like(x, tensors) -> list[torch.Tensor]:
    """A float64 vector (d,) as tensors of the shapes, dtypes and devices of the given ones.

    Raises `ValueError` where d is not their length.

    Examples
    --------
    >>> import numpy as np, torch
    >>> like(np.arange(3.0), [torch.ones(1, 2), torch.tensor(1.0)])
    [tensor([[0., 1.]]), tensor(2.)]
    """
    if x.size != numel(tensors):
        raise ValueError(f"x has {x.size} numbers, and the tensors {numel(tensors)}")
    parts = torch.from_numpy(x.copy()).split([t.numel() for t in tensors])
    return [part.reshape(t.shape).to(t) for part, t in zip(parts, tensors, strict=True)]


class _Normals:
    """Standard normal numbers from (seed, counter), in an order that no list of tensors changes."""

    def __init__(self, seed, counter):
        if seed < 0 or counter < 0:
            raise ValueError(f"seed and counter must not be negative, got {seed} and {counter}")
        # Neighbouring pairs give unrelated streams.
        mixed = int(np.random.SeedSequence((int(seed), int(counter))).generate_state(1, "u8")[0])
        self.generator = torch.Generator().manual_seed(mixed)
        self.buffer = torch.empty(0, dtype=torch.float64)
        self.square = 0.0

    def uniform(self):
        return float(torch.rand((), dtype=torch.float64, generator=self.generator))

    def fill(self, flat):
        """Fill a flat tensor with the next numbers; their squares join ``square``."""
        at = 0
        while at < flat.numel():
            if not self.buffer.numel():
                self.buffer = torch.randn(_DRAW, dtype=torch.float64, generator=self.generator)
            take = min(self.buffer.numel(), flat.numel() - at)
            now, self.buffer = self.buffer[:take], self.buffer[take:]
            flat[at:at + take] = now
            self.square += float(now @ now)
            at += take

    def like(self, t):
        """A tensor like t; a shard of it if t is one. All of it is in memory for a moment."""
        # Not the dtype of t: to float16 the numbers go only once, with their final length.
        full = torch.empty(t.shape, dtype=torch.promote_types(t.dtype, torch.float32))
        self.fill(full.view(-1))
        return cut(full, t).to(t.device)


def _draw(params, seed, counter, length):
    params = list(params)
    if not numel(params):
        raise ValueError("params has no entries: there is nothing to perturb")
    for i, t in enumerate(params):
        if not t.dtype.is_floating_point:
            raise ValueError(f"params[{i}] has dtype {t.dtype}; a perturbation needs real numbers")
    normals = _Normals(seed, counter)
    share = normals.uniform()
    drawn = [normals.like(t) for t in params]
    scale_(drawn, length(share, numel(params), math.sqrt(normals.square)))
    return [z.to(t.dtype) for z, t in zip(drawn, params, strict=True)]


def uniform_ball(params, radius, seed, counter) -> list[torch.Tensor]:
    """A vector uniform on the ball of a given radius around 0, in tensors like ``params``.

    It depends on (radius, seed, counter) and the length of the vector alone: every rank draws the
    same, however the vector is cut into tensors and shards, and float32 tensors get the rounded
    numbers of float64 ones. It comes from a generator of its own on the CPU.

    Parameters
    ----------
    params : list of Tensor
        Only shape, dtype, device and placement matter.
    radius : float
        r ≥ 0, in the units of the parameters.
    seed, counter : int
        Not negative. Each pair is a new, independent draw.

    Raises
    ------
    ValueError
        If there is nothing to draw, or a dtype is not real.

    Examples
    --------
    >>> import torch
    >>> x = uniform_ball([torch.ones(4, 2), torch.ones(3)], 0.1, seed=0, counter=1)
    >>> norm(x) <= 0.1, [tuple(t.shape) for t in x]
    (True, [(4, 2), (3,)])
    >>> torch.equal(torch.cat([t.ravel() for t in x]), uniform_ball([torch.ones(11)], 0.1, 0, 1)[0])
    True
    """
    return _draw(params, seed, counter, lambda u, dim, norm: radius * u ** (1.0 / dim) / norm)


def uniform_sphere(params, seed, counter, radius=1.0) -> list[torch.Tensor]:
    """A vector uniform on the sphere around 0; promises and arguments as `uniform_ball`.

    Examples
    --------
    >>> import torch
    >>> round(norm(uniform_sphere([torch.ones(5), torch.ones(2, 2)], seed=0, counter=0)), 6)
    1.0
    """
    return _draw(params, seed, counter, lambda u, dim, norm: radius / norm)


def gaussian(params, seed, counter, radius=1.0) -> list[torch.Tensor]:
    """A vector of N(0, (radius²/d) I), whose mean squared norm is radius²; as `uniform_ball`.

    Examples
    --------
    >>> import torch
    >>> gaussian([torch.ones(2, 2)], seed=0, counter=0)[0].shape
    torch.Size([2, 2])
    """
    return _draw(params, seed, counter, lambda u, dim, norm: radius / math.sqrt(dim))


def mean_over_ranks(tensor, group=None) -> torch.Tensor:
    """The mean of the tensors of all ranks, the same on each, bit for bit; itself on one rank.

    For losses, and for gradients and Hessian-vector products from `torch.autograd.grad`, which the
    hooks of DDP do not see. A new tensor on more than one rank. Every rank of the group has to call
    it; one that does not ends the others after the time-out of the group.

    Examples
    --------
    >>> import torch
    >>> mean_over_ranks(torch.tensor(2.0))
    tensor(2.)
    """
    if not (dist.is_available() and dist.is_initialized()):
        return tensor
    size = dist.get_world_size(group)
    if size == 1:
        return tensor
    # Gloo has no mean. Dividing first keeps half precision from overflowing.
    mean = tensor.detach() / size
    dist.all_reduce(mean, group=group)
    return mean
