"""A frugal look around a point: is there a way down that the gradient does not show?

Directions come from the curvature, where it is negative, and at a degenerate saddle from chance;
lengths come from the loss. Nothing here has a unit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.linalg import eigh_tridiagonal

from . import _vector as vector
from ._curvature import quick_dot

__all__ = ["Found", "agrees", "look", "sizes_of"]

_PRODUCTS, _FEW = 16, 6  # most Hessian-vector products of a look, and among silent parameters
_VALUES = 8  # most values along one direction
_START = 0.7  # of an initialization: at its full size, what a random network says costs too much
_STEPS = 8  # most steps down from a draw
_NOTABLE = 0.01  # a fall by this share of the loss ends a look at once


@dataclass
class Found:
    """What a look saw.

    Attributes
    ----------
    value : float
        The loss.
    grad_norm : float
    min_eig, error : float
        The least Ritz value of the Hessian of the mini-batch, and what it may be off by.
    fall : float
        By how much the loss falls along the move; 0 where there is none.
    slope : float
        |⟨∇f, move⟩|.
    move : list of Tensor or None
    curved : bool
        Whether the move follows negative curvature; if not, it was drawn.
    """

    value: float
    grad_norm: float
    min_eig: float = math.nan
    error: float = math.inf
    fall: float = 0.0
    slope: float = 0.0
    move: list | None = None
    curved: bool = False


def sizes_of(params) -> list[float]:
    """For each tensor the size of one of its numbers after an initialization, 1/√fan-in.

    Examples
    --------
    >>> import torch
    >>> sizes_of([torch.zeros(3, 4), torch.zeros(16), torch.zeros(()), torch.zeros(0, 3)])
    [0.5, 0.25, 1.0, 1.0]
    """
    fans = [p.numel() // p.shape[0] if p.ndim > 1 and p.shape[0] else p.numel() for p in params]
    return [max(1, fan) ** -0.5 for fan in fans]


@dataclass
class _Place:
    """The point of a look, and the scales there."""

    ask: object
    value: float
    grad: list
    sizes: list
    noise: float = 0.0
    walls: list = field(default_factory=list)

    def __post_init__(self):
        params = self.ask.params
        self.eps = max(torch.finfo(p.dtype).eps for p in params)
        self.length = math.sqrt(sum(s * s * p.numel()
                                    for s, p in zip(self.sizes, params, strict=True)))
        self.h = math.sqrt(self.eps) * max(vector.norm(params), self.length)
        self.hear(self.ask.noise + self.eps * abs(self.value))

    def hear(self, difference):
        """Values that differ by so little differ by rounding."""
        self.noise = max(self.noise, 4 * difference)

    def product(self, v, sign=1.0):
        """Hv by one difference; what its value adds tells how loud rounding is."""
        h = sign * self.h
        self.ask.at(v, h)
        value, hv = self.ask.gradient()
        vector.scale_(vector.add_(hv, self.grad, alpha=-1.0), 1 / h)
        bend = value - self.value - h * quick_dot(v, self.grad)
        self.hear(abs(bend - 0.5 * h * h * quick_dot(v, hv)))
        return hv

    def central(self, v):
        """(Hv, what a one-sided difference is off by), from either side."""
        plus, minus = self.product(v), self.product(v, -1.0)
        off = 0.5 * vector.norm(vector.add_(vector.clone(plus), minus, alpha=-1.0))
        return vector.scale_(vector.add_(plus, minus), 0.5), off

    def fall(self, v, t):
        """(fall of f along t·v, whether it is beyond what slope and rounding explain)."""
        self.ask.at(v, t)
        fall = self.value - self.ask.value()
        return fall, fall > 2 * abs(t * quick_dot(v, self.grad)) + self.noise


def look(ask, sizes, seed, counter) -> Found:
    """Look for a way down; at most some forty evaluations, often ten.

    Parameters
    ----------
    ask : Evaluator
        In its ``with``.
    sizes : list of float
        `sizes_of` the parameters.
    seed, counter : int
        Not negative; they decide about all that is drawn.

    Raises
    ------
    Unusable
        Where the loss, asked a second time, is another.
    """
    value, grad = ask.gradient()
    found = Found(value, vector.norm(grad))
    if not (math.isfinite(value) and math.isfinite(found.grad_norm)):
        return found
    ask.check(value)
    place = _Place(ask, value, grad, sizes)
    draws = iter(range(8 * counter, 8 * counter + 8))
    # Where some parameters have no gradient at all and others have, look among the former first:
    # a draw elsewhere would undo what is learned, and other curvature would drown theirs.
    silent = _silent(grad)
    silent = silent if found.grad_norm > 0 and vector.norm(silent) > 0 else None
    for mask, most in ([] if silent is None else [(silent, _FEW)]) + [(None, _PRODUCTS)]:
        _down(place, found, _lanczos(place, seed, next(draws), most, mask))
        # A short way down is worth comparing with another.
        if found.move is None or found.fall < _NOTABLE * abs(value):
            _begin_anew(place, found, seed, next(draws), mask)
        if found.move is not None and found.fall >= _NOTABLE * abs(value):
            break
    if found.move is not None:
        found.slope = abs(quick_dot(found.move, grad))
    return found


def agrees(ask, move, parts=(1.0,)) -> tuple[float, float, float]:
    """The first of some parts of a move along which this loss falls; 0 if along none.

    Returns (part, the fall, |slope|). The fall has to be beyond what slope and rounding explain. A
    convex loss f never does that: f(x) − f(x + m) ≤ |⟨∇f(x), m⟩|, and twice that is asked for.
    """
    ask.at()
    value, grad = ask.gradient()
    whole = abs(quick_dot(move, grad))
    eps = max(torch.finfo(p.dtype).eps for p in ask.params)
    for part in parts:
        ask.at(move, part)
        fall = value - ask.value()
        if fall > 2 * part * whole + 4 * eps * abs(value):
            return part, fall, part * whole
    return 0.0, fall, part * whole


def _lanczos(place, seed, counter, most, mask=None):
    """Ritz values, increasing, their vectors as columns of coefficients, basis, and the error."""
    q = vector.uniform_sphere(place.ask.params, seed, counter)
    if mask is not None:
        q = _masked(q, mask)
        size = vector.norm(q)
        if size == 0.0:
            return None
        vector.scale_(q, 1 / size)
    basis, alpha, beta = [q], [], []
    for k in range(min(most, vector.numel(q))):
        if k == 0:
            w, off = place.central(q)
        else:
            w = place.product(basis[-1])
        if mask is not None:
            w = _masked(w, mask)
        alpha.append(quick_dot(w, basis[-1]))
        for _ in range(2):
            for b in basis:
                vector.add_(w, b, alpha=-quick_dot(b, w))
        beta.append(vector.norm(w))
        if not math.isfinite(alpha[-1] + beta[-1]):
            return None
        theta, y = eigh_tridiagonal(alpha, beta[:k]) if k else (np.array(alpha), np.ones((1, 1)))
        error = max(2 * off,
                    8 * math.sqrt(place.eps) * max(abs(theta[0]), abs(theta[-1]), beta[-1]))
        residual = beta[-1] * abs(y[-1, 0])
        if beta[-1] <= error or theta[0] < -error and residual <= -0.3 * theta[0]:
            break
        basis.append(vector.scale_(w, 1 / beta[-1]))
    return theta, y, basis[:len(alpha)], error


def _silent(grad):
    """1 for every number whose derivative is exactly 0, else 0."""
    mask = vector.zeros_like(grad)
    for part, g in zip(vector.local(mask), vector.local(grad), strict=True):
        part.copy_(g == 0)
    return mask


def _masked(v, mask):
    torch._foreach_mul_(vector.local(v), vector.local(mask))
    return v


def _combined(basis, y):
    v = vector.zeros_like(basis[0])
    for q, c in zip(basis, y.tolist(), strict=True):
        vector.add_(v, q, alpha=c)
    return v


def _down(place, found, seen):
    """Along the least Ritz vector, if its curvature is negative; keep the walls for later."""
    if seen is None:
        return
    theta, y, basis, error = seen
    if not found.min_eig <= theta[0]:
        found.min_eig, found.error = float(theta[0]), error
    place.walls = [_combined(basis, y[:, j]) for j in np.flatnonzero(theta > error)]
    if theta[0] >= -error:
        return
    v = _combined(basis, y[:, 0])
    if quick_dot(v, place.grad) > 0:
        vector.scale_(v, -1.0)
    fall, t = _along(place, v, float(theta[0]))
    if t is not None and fall > found.fall:
        found.fall, found.move, found.curved = fall, vector.scale_(v, t), True


def _along(place, v, curvature):
    """(fall, length) of the best point seen along v, by f(t) ≈ f − |curvature|t²/2 + ct⁴."""
    best, t = (0.0, None), place.length / 4
    for _ in range(_VALUES):
        fall, real = place.fall(v, t)
        if not math.isfinite(fall):
            t /= 16
            continue
        if real and fall > best[0]:
            best = fall, t
        # The fourth-order term that explains this value, and the least value with it.
        c = (-fall - 0.5 * curvature * t * t) / t**4
        new = math.sqrt(-curvature / (4 * c)) if c > 0 else 4 * t
        new = min(max(new, t / 16), 4 * t)
        if best[1] is not None and (abs(math.log(new / t)) < 0.3 or fall < best[0]):
            break
        t = new
    return best


def _begin_anew(place, found, seed, counter, mask):
    """Draw an initialization around here, across no wall, and take a few steps down from it.

    At a saddle that is degenerate no direction has curvature, and none near it goes down visibly;
    but the loss has a slope at the distance of an initialization, as it has in any training.
    """
    ask = place.ask
    y = vector.gaussian(ask.params, seed, counter,
                        _START * math.sqrt(vector.numel(ask.params)))
    for part, size in zip(vector.local(y), place.sizes, strict=True):
        part.mul_(size)
    if mask is not None:
        _masked(y, mask)
    for wall in place.walls:
        vector.add_(y, wall, alpha=-quick_dot(wall, y))

    def at(y):
        ask.at(y)
        value, grad = ask.gradient()
        return value, grad if mask is None else _masked(grad, mask)

    value, grad = at(y)
    rise, size = abs(value - place.value), vector.norm(grad)
    if not math.isfinite(value) or not 0 < size < math.inf:
        return
    step = 0.25 * vector.norm(y) / size
    for _ in range(_STEPS):
        fall = place.value - value
        if fall > max(place.noise + 2 * abs(quick_dot(y, place.grad)), found.fall):
            found.fall, found.move, found.curved = fall, y, False
            if fall > 0.5 * rise:
                break
        z = vector.add_(vector.clone(y), grad, alpha=-step)
        new, slope = at(z)
        if not new < value:
            step /= 4
            continue
        # As long as Barzilai and Borwein 1988 have it from the change of the gradient.
        bend = quick_dot(vector.add_(vector.clone(grad), slope, alpha=-1.0), grad) / step
        size = quick_dot(grad, grad)
        step = min(4 * step, size / bend) if bend > 0 else 2 * step
        y, value, grad = z, new, slope
