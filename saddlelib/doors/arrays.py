"""A point of any shape, and what follows for the functions of it."""

from __future__ import annotations

import math

import numpy as np

from .._arguments import _array, as_point

__all__ = ["Arrays", "SeveralArrays", "are_several"]


class Arrays:
    """x0 as an array of some shape, and what follows for the functions of it.

    Attributes
    ----------
    x0 : ndarray, shape (d,), or None
    shape : tuple of int, or None where nothing is known
    unit : float
        The unit of rounding that the form itself brings.
    notes : list of str
    """

    unit = 0.0

    def __init__(self, x0):
        self.notes, self.x0, self.shape = [], None, None
        if x0 is not None:
            array = _array("x0", x0)
            self.x0, self.shape = as_point("x0", array.reshape(-1)), array.shape

    def shapes(self):
        """Shapes of the matrices that x0 consists of: itself, or each x0[i]; None for a vector."""
        if self.shape is None or len(self.shape) < 2:
            return None
        return math.prod(self.shape[:-2]) * (self.shape[-2:],)

    def point(self, x):
        """A flat point as the user's functions take it."""
        return x if self.shape is None else x.reshape(self.shape)

    def plain(self, value):
        """What a function returned, as NumPy takes it."""
        return value

    def restore(self, x):
        """A flat point as the answer that the user gets."""
        return self.point(np.array(x))

    def like(self, g):
        """A flat gradient in the same form."""
        return self.restore(g)

    def functions(self, fun, jac, hess, hessp, args) -> dict:
        """Functions of flat points for `Oracle`, from those of points in this form."""
        def flat_fun(x):
            value = fun(self.point(x), *args)
            if jac is True and isinstance(value, (tuple, list)) and len(value) == 2:
                return self.plain(value[0]), self.flat("the gradient that fun returns", value[1])
            return self.plain(value)

        functions = dict(fun=flat_fun, jac=jac)
        if callable(jac):
            functions["jac"] = lambda x: self.flat("jac", jac(self.point(x), *args))
        if hessp is not None:
            functions["hessp"] = lambda x, v: self.flat(
                "hessp", hessp(self.point(x), self.point(v), *args))
        if hess is not None:
            functions["hess"] = lambda x: self.square(hess(self.point(x), *args), x.size)
        return functions

    def flat(self, name, value):
        """A gradient or product in the shape of x0 as a flat array, or an error that says both."""
        value = self.plain(value)
        if self.shape is None or len(self.shape) == 1:
            return value  # the oracle looks at it
        try:
            array = np.asarray(value)
        except ValueError:
            return value
        if array.shape != self.shape and not array.size == 1 == self.x0.size:
            raise ValueError(f"{name} must return shape {self.shape} like x0, got {array.shape}")
        return array.reshape(-1)

    def square(self, value, dim):
        """A Hessian of shape (d, d), also where rows and columns have the shape of x0."""
        value = self.plain(value)
        shape = getattr(value, "shape", None)
        if self.shape is not None and len(self.shape) != 1 and shape == 2 * self.shape:
            return np.reshape(value, (dim, dim))
        return value


def are_several(x0) -> bool:
    """Whether x0 is a list of arrays that cannot be stacked into one, as theirs are two shapes."""
    return (isinstance(x0, (list, tuple)) and all(isinstance(a, np.ndarray) for a in x0)
            and len({a.shape for a in x0}) > 1)


class SeveralArrays(Arrays):
    """x0 as a list of arrays of several shapes; functions take and return such lists."""

    def __init__(self, x0):
        parts = [_array(f"x0[{i}]", a) for i, a in enumerate(x0)]
        super().__init__(np.concatenate([a.reshape(-1) for a in parts]))
        self.parts = tuple(a.shape for a in parts)

    def shapes(self):
        """The shapes of the arrays."""
        return self.parts

    def point(self, x):
        """A flat point as a list of arrays."""
        ends = np.cumsum([math.prod(shape) for shape in self.parts])
        return [part.reshape(shape) for part, shape in
                zip(np.split(x, ends[:-1]), self.parts, strict=True)]

    def flat(self, name, value):
        """A list of arrays as a flat one, or an error that says which shapes are wanted."""
        try:
            arrays = [np.asarray(part) for part in value]
        except (TypeError, ValueError):
            arrays = []
        if tuple(a.shape for a in arrays) != self.parts:
            got = [a.shape for a in arrays] or repr(value)
            raise ValueError(f"{name} must return arrays of shapes {list(self.parts)} like x0, got "
                             f"{got}")
        return np.concatenate([a.reshape(-1) for a in arrays])
