r"""Second to fourth derivatives of f along lines: by differences at a spacing found, or exact.

Along x + tw the gradient has the odd and even parts

.. math:: \frac{g(t)-g(-t)}{2t} = D^2 + \frac{t^2}{6}D^4 + \frac{t^4}{120}D^6 + \dots,\qquad
          \frac{g(t)-2g(0)+g(-t)}{t^2} = D^3 + \frac{t^2}{12}D^5 + \dots

with :math:`D^k = D^kf(x)[w, \dots, w, \cdot\,]`, and ∇²f(x + tw)w such parts with D², D⁴/2 and D³.
At t = s, s/2, s/4 and s/8 the first three and the last three each determine a polynomial of degree
two in t². The first gives the estimate, and the second, which sees another scale, says how far off
it is, by truncation, by rounding or because f has no such derivative.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

__all__ = ["Autograd", "Differences", "Jets", "settled", "torch_derivatives"]

_UNIT = np.finfo(float).eps
_NODES = 0.5 ** np.arange(4)
# Spacings that are tried: nine decades about 1, and about the size of x where that is another.
# Below this disagreement no spacing is better than another: where terms of ∇f cancel, the smallest
# show nothing any more, and agree in that.
_GOOD = 1e-7
_SPACINGS = 10.0 ** np.arange(-9, 3.1, 0.75)


class Jets(NamedTuple):
    """D²f[w, ·], D³f[w, w, ·] and D⁴f[w, w, w, ·] for N directions, each of shape (N, d).

    ``other`` are second estimates of the same, ``noise`` what rounding may hide of each, in norm.
    """

    second: np.ndarray
    third: np.ndarray
    fourth: np.ndarray
    other: tuple
    noise: tuple

    def seen(self, k, basis):
        """The k-th derivative in the columns of a basis, and how far off it may be, by entry."""
        value, other = (self.second, self.third, self.fourth)[k - 2], self.other[k - 2]
        # The second estimate is off by a 64th of what the first is, where that is truncation.
        off = 1.5 * np.abs((value - other) @ basis)
        return value @ basis, off + self.noise[k - 2] / math.sqrt(max(1, basis.shape[1]))


def _rows(nodes):
    """Weights that give the coefficients of 1, t², t⁴ from values at three nodes."""
    return np.linalg.inv(np.stack([nodes**0, nodes**2, nodes**4], axis=1))


_COARSE, _FINE = _rows(_NODES[:3]), _rows(_NODES[1:])


def _pair(parts):
    """The first two coefficients in (t/s)², from parts of shape (4, ...): coarse and fine."""
    return [np.tensordot(rows[:2], parts[part], axes=(1, 0))
            for rows, part in ((_COARSE, slice(0, 3)), (_FINE, slice(1, 4)))]


@dataclass(frozen=True)
class Differences:
    """Derivatives from ∇f alone, or from ∇f and products ∇²f·v.

    ``spacing`` is t = s of `jets`, ``near`` that of `times`. Numbers inside ∇f are taken to
    change by as much as ``stiff``, the largest curvature, times a step, even where they cancel.
    """

    gradient: object
    product: object = None
    spacing: float = 0.1
    near: float = 1e-2
    stiff: float = 0.0
    exact = False

    def grad(self, x):
        """∇f(x), shape (d,), finite or not."""
        with np.errstate(all="ignore"):
            return np.asarray(self.gradient(x), float)

    def times(self, x, v):
        """∇²f(x)v where products are given, else by a difference of fourth order."""
        with np.errstate(all="ignore"):
            if self.product is not None:
                return np.asarray(self.product(x, v), float)
            s = self.near
            far, half = [(self.grad(x + t * v) - self.grad(x - t * v)) / (2 * t)
                         for t in (s, s / 2)]
            return (4 * half - far) / 3

    def hess_times(self, x, columns):
        """∇²f(x) times the columns of a (d, k) array, shape (d, k)."""
        return np.stack([self.times(x, v) for v in columns.T], axis=1)

    def jets(self, x, W) -> Jets:
        """The derivatives along unit directions W of shape (N, d)."""
        with np.errstate(all="ignore"):
            s = self.spacing
            made = [self._along(x, w, s) for w in W]
            second, third, fourth = ([np.stack([m[i][k] for m in made]) for i in range(2)]
                                     for k in range(3))
            largest = max(m[2] for m in made)
        inside = self.stiff * (s if self.product is None else 1.0)
        unit = 4 * _UNIT * max(largest, inside)
        power = 1 if self.product is None else 0
        noise = [unit * c / s ** (k + power) for k, c in ((0, 4), (1, 30), (2, 200))]
        return Jets(second[0], third[0], fourth[0], (second[1], third[1], fourth[1]), tuple(noise))

    def _along(self, x, w, s):
        t = s * _NODES
        ask = self.grad if self.product is None else lambda y: np.asarray(self.product(y, w), float)
        plus, minus = (np.stack([ask(x + sign * k * w) for k in t]) for sign in (1, -1))
        here, column = ask(x), t[:, np.newaxis]
        largest = max(np.linalg.norm(plus, axis=1).max(), np.linalg.norm(minus, axis=1).max())
        odd, even = (plus - minus) / (2 * column), (plus - 2 * here + minus) / column**2
        odd, even = _pair(odd), _pair(even)
        if self.product is None:
            return ([odd[0][0], even[0][0], 6 * odd[0][1] / s**2],
                    [odd[1][0], even[1][0], 6 * odd[1][1] / s**2], largest)
        return ([here, odd[0][0], even[0][0]], [here, odd[1][0], even[1][0]], largest)


def settled(given, x, W, basis, order, preferred=None):
    """``given`` with the spacing at which derivatives up to ``order`` along W are seen best.

    Seen in the columns of ``basis``. The measure is how far two estimates disagree, in units of
    what the gradient changes by; among spacings that are as good, the one nearest to a twentieth of
    ‖x‖, or to ``preferred``. Exact derivatives are returned as they are.
    """
    if given.exact:
        return given
    size = float(np.linalg.norm(x))
    tries = _SPACINGS if size == 0 or 1e-3 < size < 1e3 else np.concatenate(
        [_SPACINGS, size * _SPACINGS[4:]])
    target = preferred if preferred is not None else 0.05 * (size if size > 0.1 else 1.0)
    marks = []
    with np.errstate(all="ignore"):
        for s in [*tries, target]:
            trial = replace(given, spacing=float(s))
            marks.append(_disagreement(trial.jets(x, W), basis, order, float(s)))
    marks = np.array(marks)
    marks[np.isnan(marks)] = math.inf
    if not np.isfinite(marks).any():
        return replace(given, spacing=float(target))
    good = np.flatnonzero(marks <= max(30 * marks.min(), _GOOD))
    away = np.abs(np.log([*tries, target])[good] - math.log(target))
    return replace(given, spacing=float([*tries, target][good[int(np.argmin(away))]]))


def _disagreement(jets, basis, order, s):
    off = change = 0.0
    for k in range(2, order + 1):
        value, error = jets.seen(k, basis)
        scale = s ** (k - 1) / math.factorial(k - 1)
        off += scale * float(np.linalg.norm(error))
        change += scale * float(np.linalg.norm(value))
    return off / change if change > 0 else math.inf


def torch_derivatives(fun):
    """Exact derivatives of ``fun(tensor) -> scalar`` by autograd, for `analyze`; imports torch.

    Parameters
    ----------
    fun : callable
        ``fun(x) -> Tensor`` of one number, for x a tensor of float64 of shape (d,).

    Returns
    -------
    object
        What `analyze` takes as its ``fun``.

    Examples
    --------
    >>> from saddlelib.ravine import analyze
    >>> given = torch_derivatives(lambda x: x[0]**4 + 10 * (x[1] - x[0]**2)**2)
    >>> analyze(given, [0.0, 0.0]).verdict.value
    'fourth-order growth'
    """
    return Autograd(fun)


class Autograd:
    """Derivatives of a function of a tensor, exact to rounding."""

    exact = True
    spacing = 0.05

    def __init__(self, fun):
        import torch

        self.torch, self.fun = torch, fun

    def _tower(self, x, v, depth):
        """∇f, and the gradients of its derivatives along v, up to the given depth."""
        torch = self.torch
        x = torch.tensor(np.asarray(x, float), dtype=torch.float64, requires_grad=True)
        v = torch.tensor(np.asarray(v, float), dtype=torch.float64)
        scalar, rows = self.fun(x), []
        for _ in range(depth):
            g = None
            if scalar.requires_grad:
                g, = torch.autograd.grad(scalar, x, create_graph=True, allow_unused=True)
            g = torch.zeros_like(x) if g is None else g
            rows.append(g.detach().numpy())
            scalar = g @ v
        return rows

    def grad(self, x):
        """∇f(x), shape (d,)."""
        return self._tower(x, np.zeros(len(x)), 1)[0]

    def times(self, x, v):
        """∇²f(x)v, shape (d,)."""
        return self._tower(x, v, 2)[1]

    def hess_times(self, x, columns):
        """∇²f(x) times the columns of a (d, k) array, shape (d, k)."""
        return np.stack([self.times(x, v) for v in columns.T], axis=1)

    def jets(self, x, W) -> Jets:
        """The derivatives along unit directions W of shape (N, d)."""
        rows = [self._tower(x, w, 4) for w in W]
        second, third, fourth = (np.stack([r[k] for r in rows]) for k in (1, 2, 3))
        sizes = [float(np.linalg.norm(a, axis=1).max()) for a in (second, third, fourth)]
        size = float(np.linalg.norm(x))
        # Rounding of the sums, and of x, which shifts each derivative by the next one.
        noise = (40 * _UNIT * (sizes[0] + size * sizes[1]),
                 40 * _UNIT * (sizes[1] + size * sizes[2]), 100 * _UNIT * sizes[2])
        return Jets(second, third, fourth, (second, third, fourth), noise)
