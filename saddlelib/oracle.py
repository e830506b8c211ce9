"""Every value, gradient, Hessian-vector product and Hessian passes through here and is counted."""

from __future__ import annotations

import numpy as np

__all__ = ["Oracle"]


class Oracle:
    r"""Counts what is asked of an objective, and checks what comes back.

    Parameters
    ----------
    problem : Problem or callable
        A `saddlelib.problems.Problem`, or ``fun(x, *args) -> float``.
    grad, hvp, hess : callable, optional
        For a plain function: ``grad(x, *args) -> (d,)``, ``hvp(x, v, *args) -> (d,)`` and
        ``hess(x, *args) -> (d, d)``. Only ``grad`` is required.
    args : tuple, optional
        Extra arguments of all four functions.
    grad_noise : float, optional
        σ ≥ 0. Every gradient gets an independent draw of N(0, (σ²/d) I) added, so that
        E‖noise‖² = σ² in every dimension. The last draw is kept as ``last_noise``.
    rng : numpy.random.Generator or int, optional
        Where the noise comes from. Required when ``grad_noise`` > 0.

    Attributes
    ----------
    nfev, njev, nhvp, nhev : int
        Values, gradients, Hessian-vector products and Hessians asked for so far.

    Raises
    ------
    TypeError
        If a function is missing or not callable, or returns something that is not real numbers.
    ValueError
        If a function returns the wrong shape, or ``grad_noise`` is negative or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib import Oracle
    >>> oracle = Oracle(lambda x: x @ x, grad=lambda x: 2 * x)
    >>> oracle.fun(np.ones(3)), oracle.grad(np.ones(3)), (oracle.nfev, oracle.njev)
    (3.0, array([2., 2., 2.]), (1, 1))
    """

    def __init__(self, problem, *, grad=None, hvp=None, hess=None, args=(), grad_noise=0.0,
                 rng=None):
        if callable(problem):
            if not callable(grad):
                raise TypeError(
                    f"grad (jac in scipy.optimize.minimize) must be a function that returns the "
                    f"gradient, got {grad!r}; the methods here are first-order methods"
                )
            for name, given in (("hvp", hvp), ("hess", hess)):
                if given is not None and not callable(given):
                    raise TypeError(f"{name} must be a function or None, got {given!r}")
            args = args if isinstance(args, tuple) else (args,)
            # Copies: a function of the user's may write into what it is handed.
            self._fun = lambda x: problem(x.copy(), *args)
            self._grad = lambda x: grad(x.copy(), *args)
            self._hvp = hvp and (lambda x, v: hvp(x.copy(), v.copy(), *args))
            self._hess = hess and (lambda x: hess(x.copy(), *args))
            self.problem = None
        elif all(hasattr(problem, name) for name in ("fun", "grad", "hvp", "hess", "dim")):
            if grad is not None or hvp is not None or hess is not None:
                raise TypeError("a Problem brings its own derivatives; leave grad, hvp, hess out")
            self._fun, self._grad = problem.fun, problem.grad
            self._hvp, self._hess = problem.hvp, problem.hess
            self.problem = problem
        else:
            raise TypeError(
                f"problem must be a saddlelib Problem or a function fun(x), got {problem!r}"
            )
        grad_noise = float(grad_noise)
        if not (grad_noise >= 0 and np.isfinite(grad_noise)):
            raise ValueError(f"grad_noise must be a finite number >= 0, got {grad_noise}")
        if grad_noise > 0 and rng is None:
            raise ValueError("grad_noise > 0 needs rng, a seed or a numpy Generator")
        self.grad_noise = grad_noise
        self.rng = None if rng is None else np.random.default_rng(rng)
        self.last_noise = None
        self.nfev = self.njev = self.nhvp = self.nhev = 0

    @property
    def has_hvp(self) -> bool:
        """Whether Hessian-vector products are given."""
        return self._hvp is not None

    @property
    def has_hess(self) -> bool:
        """Whether Hessians are given."""
        return self._hess is not None

    @property
    def calls(self) -> int:
        """All oracle calls so far, of every kind."""
        return self.nfev + self.njev + self.nhvp + self.nhev

    def fun(self, x) -> float:
        """Value at one point x of shape (d,)."""
        self.nfev += 1
        value = self._fun(x)
        if type(value) in (float, np.float64):
            return float(value)
        value = _real("fun", value)
        if value.size != 1:
            raise ValueError(f"fun must return one number, got an array of shape {value.shape}")
        return float(value.reshape(()))

    def grad(self, x) -> np.ndarray:
        """Gradient at one point x of shape (d,), with noise when the oracle is noisy."""
        self.njev += 1
        g = _vector("grad", self._grad(x), x.shape)
        if self.grad_noise:
            self.last_noise = self.rng.standard_normal(x.size) * (self.grad_noise / x.size**0.5)
            g = g + self.last_noise
        return g

    def hvp(self, x, v) -> np.ndarray:
        """Hessian at x times v, both of shape (d,)."""
        if self._hvp is None:
            raise TypeError("no hvp was given")
        self.nhvp += 1
        return _vector("hvp", self._hvp(x, v), x.shape)

    def hess(self, x) -> np.ndarray:
        """Hessian at x, shape (d, d)."""
        if self._hess is None:
            raise TypeError("no hess was given")
        self.nhev += 1
        h = _real("hess", self._hess(x))
        if h.shape != (x.size, x.size):
            raise ValueError(f"hess must return shape {(x.size, x.size)}, got {h.shape}")
        return h


def _vector(name, value, shape):
    value = _real(name, value)
    if value.shape != shape:
        raise ValueError(
            f"{name} must return shape {shape} like x, got {value.shape}; "
            f"flatten the parameters and the {name} in the same order"
        )
    return value


def _real(name, value):
    """A float64 copy; a copy, because functions of users reuse their buffers."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must return real numbers, got dtype {array.dtype}")
    return np.array(array, dtype=float)
