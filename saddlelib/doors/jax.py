"""Functions of JAX: gradients and Hessian-vector products by automatic differentiation."""

from __future__ import annotations

import numpy as np

from .arrays import Arrays

__all__ = ["form"]


def form(x0):
    """x0 for functions of JAX. Raises ImportError where there is no JAX."""
    try:
        import jax
    except ImportError as error:
        raise ImportError('jac="jax" needs JAX: pip install jax') from error
    return _Jax(x0, jax)


class _Jax(Arrays):
    """Functions get JAX arrays of the shape of x0; answers are NumPy arrays in float64.

    JAX computes in float32 unless it is told otherwise, and `Oracle` notices it in what comes back.
    """

    def __init__(self, x0, jax):
        super().__init__(x0 if x0 is None else np.asarray(x0))
        self.jax = jax
        if not jax.config.jax_enable_x64:
            self.notes.append('JAX computes in float32; jax.config.update("jax_enable_x64", True) '
                              "before anything else makes it float64")

    def point(self, x):
        """A flat point as a JAX array."""
        return self.jax.numpy.asarray(super().point(x))

    def restore(self, x):
        """A flat point in the shape of x0, a NumPy array."""
        return super().point(np.array(x))

    def functions(self, fun, jac, hess, hessp, args) -> dict:
        """As for arrays, with ∇f, and ∇²f·v where neither products nor Hessians are given."""
        slope = self.jax.grad(fun)
        if hess is None and hessp is None:
            def hessp(x, v, *args):
                return self.jax.jvp(lambda x: slope(x, *args), (x,), (v,))[1]
        return super().functions(fun, slope, hess, hessp, args)
