"""The base class of all problems."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import ClassVar

import numpy as np

from ._arguments import frozen, real_array
from .region import Region

# A diverging run overflows to inf and then to nan. That is for the loop that
# runs it to notice, once, and not for every product on the way to warn about.
_quiet = np.errstate(over="ignore", invalid="ignore")


class Problem(ABC):
    """An objective f: ℝᵈ → ℝ that knows its own facts.

    `fun`, `grad`, `hvp` and `hess` take one point (d,) or a batch (n, d) and
    return a scalar or (n,), (d,) or (n, d), (d,) or (n, d), (d, d) or
    (n, d, d). NaN and infinities pass through without a warning.

    A subclass implements `_fun`, `_grad`, `_hvp` and, where it has a faster
    form, `_hess`, on float64 batches (n, d) that are already checked.

    Parameters
    ----------
    dim : int
        The dimension d.
    lipschitz_grad, lipschitz_hess : float
        ℓ and ρ: ‖∇f(x) − ∇f(y)‖ ≤ ℓ‖x − y‖ and
        ‖∇²f(x) − ∇²f(y)‖ ≤ ρ‖x − y‖ (spectral norm) whenever the segment
        between x and y lies in `region`.
    region : Region
        The set where ℓ and ρ hold.
    f_star : float
        The global minimum, −inf where f is unbounded below or the minimum is not known.

    Attributes
    ----------
    name : str
        A short name in lower case.
    growth_order : float or None
        p, where the minimizer is degenerate: f − f* ≍ distance^p along the ravine. None where the
        problem does not say.
    growth_constant : float or None
        c, the largest with f − f* ≥ (c − o(1)) distance^p near `minimizers[0]`.
    normal_curvature : (float, float) or None
        μ and L, the least and the largest positive eigenvalue of the Hessian at `minimizers[0]`.
    shapes : tuple of (int, int), or None
        (rows, columns) of the matrices that x consists of, one after the other and each row by
        row; None where x is no more than a vector.

    Examples
    --------
    >>> from saddlelib.problems import QuadraticSaddle
    >>> f = QuadraticSaddle([-1.0, 2.0])
    >>> f.grad([1.0, 1.0]), f.hvp([1.0, 1.0], [0.0, 1.0])
    (array([-1.,  2.]), array([0., 2.]))
    >>> f.fun([[1.0, 0.0], [0.0, 1.0]])    # a batch of two points
    array([-0.5,  1. ])
    """

    name: ClassVar[str]
    growth_order: float | None = None
    growth_constant: float | None = None
    normal_curvature: tuple[float, float] | None = None
    shapes: tuple[tuple[int, int], ...] | None = None

    def __init__(
        self,
        *,
        dim: int,
        lipschitz_grad: float,
        lipschitz_hess: float,
        region: Region,
        f_star: float,
    ):
        self.dim = dim
        self.lipschitz_grad = float(lipschitz_grad)
        self.lipschitz_hess = float(lipschitz_hess)
        self.region = region
        self.f_star = float(f_star)

    # What a subclass implements -------------------------------------------

    @abstractmethod
    def _fun(self, X): ...

    @abstractmethod
    def _grad(self, X): ...

    @abstractmethod
    def _hvp(self, X, V): ...

    def _hess(self, X):
        n, d = X.shape
        columns = self._hvp(np.repeat(X, d, axis=0), np.tile(np.eye(d), (n, 1)))
        return columns.reshape(n, d, d)

    def _distance(self, X):
        return np.full(len(X), np.nan)

    def _saddles(self):
        """Return the points (k, d) and their smallest Hessian eigenvalues (k,)."""
        return np.empty((0, self.dim)), np.empty(0)

    def _minimizers(self):
        """Return the points (m, d) and their smallest Hessian eigenvalues (m,)."""
        return np.empty((0, self.dim)), np.empty(0)

    def _parameters(self) -> dict:
        """Return the constructor arguments that `repr` shows."""
        return {"dim": self.dim}

    # What everybody calls --------------------------------------------------

    def fun(self, x):
        """Return f(x).

        Raises TypeError for entries that are not real numbers and ValueError
        for a shape other than (d,) or (n, d).
        """
        X = self._points(x)
        if X.ndim == 1:
            return self._quietly(self._fun, X[np.newaxis])[0]
        return self._quietly(self._fun, X)

    def grad(self, x):
        """Return ∇f(x), in the shape of x; raises as `fun` does."""
        X = self._points(x)
        if X.ndim == 1:
            return self._quietly(self._grad, X[np.newaxis])[0]
        return self._quietly(self._grad, X)

    def hvp(self, x, v):
        """Return ∇²f(x)·v for v in the shape of x; raises as `fun` does."""
        X, V = self._points(x), self._points(v, "v")
        if X.shape != V.shape:
            raise ValueError(
                f"v must have the shape of x, {X.shape}, got {V.shape}; "
                "pass one direction for each point"
            )
        if X.ndim == 1:
            return self._quietly(self._hvp, X[np.newaxis], V[np.newaxis])[0]
        return self._quietly(self._hvp, X, V)

    def hess(self, x):
        """Return the dense ∇²f(x), (d, d) or (n, d, d); raises as `fun` does."""
        X = self._points(x)
        if X.ndim == 1:
            return self._quietly(self._hess, X[np.newaxis])[0]
        return self._quietly(self._hess, X)

    def distance(self, x):
        """Return the Euclidean distance to the set of all global minimizers.

        It is in closed form, a scalar or (n,), and nan where there is no
        minimizer or no such form. Raises as `fun` does.
        """
        X = self._points(x)
        if X.ndim == 1:
            return self._quietly(self._distance, X[np.newaxis])[0]
        return self._quietly(self._distance, X)

    def ravine(self, t):
        """Return the points (…, d) of the ravine at the parameters t ≥ 0 (…), from minimizers[0].

        It leaves the minimizer along the direction in which f grows least, and t is the distance
        to first order. Raises ValueError where the problem states no ravine.
        """
        t = real_array("t", t)
        return self._ravine(t.ravel()[:, np.newaxis]).reshape(*t.shape, self.dim)

    def _ravine(self, t):
        raise ValueError(f"{self!r} states no ravine; saddlelib.ravine can compute one")

    # The facts -------------------------------------------------------------
    # Built on first use: some problems have d classes of saddles, hence d×d
    # numbers, which a run in dimension 10⁵ must not have to store.

    @cached_property
    def _saddle_facts(self):
        return tuple(frozen(array) for array in self._saddles())

    @cached_property
    def _minimizer_facts(self):
        return tuple(frozen(array) for array in self._minimizers())

    @property
    def saddles(self) -> np.ndarray:
        """Stationary points that are not minimizers, (k, d), read-only.

        The list has at least one point of each symmetry class that the class
        docstring names. "Saddle" has the meaning of the optimization
        literature: a local maximum with λ_min < 0 counts as a strict saddle.
        """
        return self._saddle_facts[0]

    @property
    def saddle_min_eigs(self) -> np.ndarray:
        """λ_min of the Hessian at each of `saddles`, (k,), read-only."""
        return self._saddle_facts[1]

    @property
    def degenerate(self) -> np.ndarray:
        """Whether each of `saddles` is degenerate (λ_min ≥ 0), booleans (k,)."""
        return self.saddle_min_eigs >= 0

    @property
    def minimizers(self) -> np.ndarray:
        """Global minimizers, at least one of each symmetry class, (m, d), read-only."""
        return self._minimizer_facts[0]

    @property
    def minimizer_min_eigs(self) -> np.ndarray:
        """λ_min of the Hessian at each of `minimizers`, (m,), read-only."""
        return self._minimizer_facts[1]

    def __repr__(self):
        arguments = ", ".join(f"{k}={_show(v)}" for k, v in self._parameters().items())
        return f"{type(self).__name__}({arguments})"

    # Checks ----------------------------------------------------------------

    @staticmethod
    @_quiet
    def _quietly(method, *arrays):
        return method(*arrays)

    def _points(self, x, name: str = "x") -> np.ndarray:
        # The first test spares the usual input, a float64 array, the full check.
        if type(x) is not np.ndarray or x.dtype != np.float64:
            x = real_array(name, x)
        shape = x.shape
        if not 1 <= len(shape) <= 2 or shape[-1] != self.dim:
            raise ValueError(
                f"{name} has shape {shape}; {self!r} wants one point ({self.dim},) "
                f"or a batch (n, {self.dim})"
            )
        # One memory order, so that a batch adds up in the order of its rows.
        return np.ascontiguousarray(x)


def _show(value) -> str:
    """Write a constructor argument so that the last digits of rounding do not show."""
    if isinstance(value, np.ndarray):
        with np.printoptions(threshold=6, edgeitems=2, formatter={"float": _show}):
            return np.array2string(value, separator=", ")
    return f"{value:.6g}" if isinstance(value, float) else repr(value)
