"""What deep networks share: activations, layers as one flat point, and derivatives by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import erf, expit, ndtr

from ._arguments import each, real_array
from .region import Region


@dataclass(frozen=True)
class Activation:
    """s with s′ and s″, and suprema of |s|, |s′|, |s″| and |s‴|, rounded up in the fifth digit."""

    value: Callable
    slope: Callable
    bend: Callable
    bounds: tuple[float, float, float, float]


def _normal(z):
    return np.exp(-z * z / 2) / np.sqrt(2 * np.pi)


def _erf_slope(z):
    return 2 / np.sqrt(np.pi) * np.exp(-z * z)


def _tanh_slope(z):
    return 1 - np.tanh(z) ** 2


def _sigmoid_slope(z):
    return expit(z) * expit(-z)


def _swish_bend(z):
    return _sigmoid_slope(z) * (2 + z * (1 - 2 * expit(z)))


ACTIVATIONS = {
    "erf": Activation(erf, _erf_slope, lambda z: -2 * z * _erf_slope(z),
                      (1.0, 1.12838, 0.96789, 2.25676)),
    "gelu": Activation(lambda z: z * ndtr(z), lambda z: ndtr(z) + z * _normal(z),
                       lambda z: (2 - z * z) * _normal(z),
                       (np.inf, 1.12891, 0.79789, 0.77877)),
    "linear": Activation(lambda z: z, np.ones_like, np.zeros_like, (np.inf, 1.0, 0.0, 0.0)),
    "relu": Activation(lambda z: np.maximum(z, 0.0), lambda z: (z > 0).astype(float),
                       np.zeros_like, (np.inf, 1.0, np.inf, np.inf)),
    "sigmoid": Activation(expit, _sigmoid_slope, lambda z: _sigmoid_slope(z) * (1 - 2 * expit(z)),
                          (1.0, 0.25, 0.09623, 0.125)),
    "sin": Activation(np.sin, np.cos, lambda z: -np.sin(z), (1.0, 1.0, 1.0, 1.0)),
    "swish": Activation(lambda z: z * expit(z), lambda z: expit(z) + z * _sigmoid_slope(z),
                        _swish_bend, (np.inf, 1.09984, 0.5, 0.30819)),
    "tanh": Activation(np.tanh, _tanh_slope, lambda z: -2 * np.tanh(z) * _tanh_slope(z),
                       (1.0, 1.0, 0.76981, 2.0)),
}


@dataclass(frozen=True)
class LayerBall(Region):
    """The layers W₁, …, W_L between the given widths with ‖W_l‖₂ ≤ radius each."""

    widths: tuple[int, ...]
    radius: float

    def _describe(self):
        return (f"the layers ||W_l|| <= {self.radius:g} between the widths "
                f"{'-'.join(map(str, self.widths))}, in ℝ^{self.dim}")

    def _contains(self, X):
        # The singular value decomposition refuses NaN and infinities.
        finite = np.isfinite(X).all(axis=-1)
        X = np.where(finite[..., np.newaxis], X, 0.0)
        norms = [np.linalg.norm(W, ord=2, axis=(-2, -1)) for W in split(X, self.widths)]
        return finite & (np.max(norms, axis=0) <= self.radius)

    def _sample(self, rng, n):
        layers = split(rng.standard_normal((n, self.dim)), self.widths)
        for W in layers:
            # The last factor keeps rounding from pushing a point over the boundary.
            size = self.radius * rng.uniform(size=n) ** (1 / W[0].size) * (1 - 1e-14)
            W *= (size / np.linalg.norm(W, ord=2, axis=(1, 2)))[:, np.newaxis, np.newaxis]
        return flat(layers)


def shapes(widths) -> list[tuple[int, int]]:
    """(d_l, d_{l−1}) for l = 1, …, L."""
    return list(zip(widths[1:], widths[:-1], strict=True))


def split(X, widths) -> list[np.ndarray]:
    """The matrices (…, d_l, d_{l−1}) of points (…, d), as views where X is contiguous."""
    ends = np.cumsum([rows * columns for rows, columns in shapes(widths)])
    parts = np.split(X, ends[:-1], axis=-1)
    return [part.reshape(*X.shape[:-1], *shape)
            for part, shape in zip(parts, shapes(widths), strict=True)]


def flat(layers) -> np.ndarray:
    """The points (…, d) of matrices (…, d_l, d_{l−1})."""
    return np.concatenate(
        [W.reshape(*W.shape[:-2], W.shape[-2] * W.shape[-1]) for W in layers], axis=-1)


def _transposed(A):
    return np.swapaxes(A, -1, -2)


class Layered:
    """f(W₁, …, W_L) = c/2·‖W_L s(W_{L−1} ⋯ s(W₁X)) − Y‖²_F for a `Problem` to inherit from.

    The columns of X are inputs, those of Y targets; c is 1 or 1 over their number.
    """

    def _set_layers(self, widths, activation, inputs, targets, share):
        self.widths, self.depth = tuple(widths), len(widths) - 1
        self.shapes = tuple(shapes(self.widths))
        self.activation = activation
        self._inputs, self._targets, self._share = inputs, targets, share

    @property
    def _s(self) -> Activation:
        return ACTIVATIONS[self.activation]  # by name, as functions cannot always be pickled

    def unpack(self, x) -> list[np.ndarray]:
        """Return the matrices [W₁, …, W_L] of a point x (d,) or of a batch (n, d).

        W_l has the shape (d_l, d_{l−1}) or (n, d_l, d_{l−1}), with the widths d. Raises as `fun`
        does.
        """
        return split(self._points(x), self.widths)

    def pack(self, matrices) -> np.ndarray:
        """Return the point (d,) of matrices W₁, …, W_L, or the batch (n, d) of stacks of them.

        It undoes `unpack`. Raises TypeError for entries that are no real numbers and ValueError
        for another number of matrices or other shapes.
        """
        layers = [real_array("matrices", W) for W in each("matrices", matrices)]
        found = [W.shape for W in layers]
        batch = found[0][:-2] if found else ()
        if len(batch) > 1 or found != [(*batch, *shape) for shape in shapes(self.widths)]:
            raise ValueError(f"matrices must have the shapes {shapes(self.widths)}, or all of them "
                             f"with one axis more in front, got {found}")
        return flat(layers)

    def imbalance(self, x) -> np.ndarray:
        """Return Δ_l = ‖W_{l+1}‖²_F − ‖W_l‖²_F for l = 1, …, L − 1, (L − 1,) or (n, L − 1).

        Gradient flow conserves it where s is linear or ReLU. Raises as `fun` does.
        """
        squares = [(W**2).sum(axis=(-2, -1)) for W in self.unpack(x)]
        return np.diff(np.stack(squares, axis=-1), axis=-1)

    def _forward(self, layers):
        """Z_l = W_l A_{l−1} for l = 1, …, L, and A₀ = X, A_l = s(Z_l) for l < L."""
        before, after = [layers[0] @ self._inputs], [self._inputs]
        for W in layers[1:]:
            after.append(self._s.value(before[-1]))
            before.append(W @ after[-1])
        return before, after

    def _backward(self, layers, before):
        """D_l, the derivatives of f in Z_l, for l = 1, …, L."""
        found = [self._share * (before[-1] - self._targets)]
        for W, Z in zip(layers[:0:-1], before[-2::-1], strict=True):
            found.append(self._s.slope(Z) * (_transposed(W) @ found[-1]))
        return found[::-1]

    def _fun(self, X):
        E = self._forward(split(X, self.widths))[0][-1] - self._targets
        return self._share / 2 * (E.reshape(len(X), self._targets.size) ** 2).sum(axis=1)

    def _grad(self, X):
        layers = split(X, self.widths)
        before, after = self._forward(layers)
        inner = self._backward(layers, before)
        return flat([D @ _transposed(A) for D, A in zip(inner, after, strict=True)])

    def _hvp(self, X, V):
        """Differentiate `_forward` and `_backward` along V; a d marks what is differentiated."""
        layers, directions = split(X, self.widths), split(V, self.widths)
        before, after = self._forward(layers)
        inner = self._backward(layers, before)
        d_before, d_after = [directions[0] @ self._inputs], [np.zeros_like(self._inputs)]
        for W, dW, Z, A in zip(layers[1:], directions[1:], before, after[1:], strict=False):
            d_after.append(self._s.slope(Z) * d_before[-1])
            d_before.append(dW @ A + W @ d_after[-1])
        d_inner = [self._share * d_before[-1]]
        for i in range(self.depth - 2, -1, -1):
            W, dW, D = (_transposed(layers[i + 1]), _transposed(directions[i + 1]), inner[i + 1])
            d_inner.append(self._s.bend(before[i]) * d_before[i] * (W @ D)
                           + self._s.slope(before[i]) * (dW @ D + W @ d_inner[-1]))
        d_inner.reverse()
        return flat([dD @ _transposed(A) + D @ _transposed(dA) for D, dD, A, dA
                     in zip(inner, d_inner, after, d_after, strict=True)])
