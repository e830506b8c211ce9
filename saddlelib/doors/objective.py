"""From what a user has, a function and its start of any shape, to an oracle of flat points."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import HessianUpdateStrategy

from .._arguments import as_point
from ..differences import KINDS
from ..oracle import Oracle, noted
from .arrays import Arrays, SeveralArrays, are_several

__all__ = ["Objective", "objective", "only_says_form"]


@dataclass(frozen=True)
class Objective:
    """A user's objective as the methods take it.

    Attributes
    ----------
    oracle : Oracle
        Counts; its points are flat float64 arrays of shape (d,).
    x0 : ndarray, shape (d,), or None
        The start, a copy.
    restore : callable
        ``restore(x)`` is a flat point in the form of the user's x0: an array of its shape, a tensor
        of its shape, dtype and device, or the module or its parameters, which are written.
    restore_like : callable
        The same for a gradient or a direction, which is written nowhere.
    shape : tuple of int
        That of x0; (d,) where x0 is made of parameters, or of arrays of several shapes.
    said : tuple of str
        What is known before anything is called.
    shapes : tuple of tuple of int, or None
        The shapes of the matrices or arrays that x0 consists of, where its form says it.
    """

    oracle: Oracle
    x0: np.ndarray | None
    restore: Callable
    restore_like: Callable
    shape: tuple[int, ...] | None
    said: tuple[str, ...] = ()
    shapes: tuple[tuple[int, ...], ...] | None = None

    def notes(self) -> tuple[str, ...]:
        """What a user should know of the derivatives and their precision, in sentences.

        What `Oracle.notes` says is seen in what the functions return, so that it grows in a run.
        """
        return (*self.said, *self.oracle.notes)


def objective(fun, x0, args=(), jac=None, hess=None, hessp=None, *, grad_noise=0.0, noise_df=None,
              rng=None) -> Objective:
    """The oracle of a user's problem, its start as a flat point, and the way back.

    Functions of the user's are called with x, and v, in the form of ``x0``.

    Parameters
    ----------
    fun : Problem, FiniteSum or callable
        ``fun(x, *args) -> float``. With the parameters of a torch module, a function without
        arguments, or one of the module.
    x0 : array_like of any shape, list of arrays, Tensor, Module or parameters
        Numbers of any real dtype, which become float64. None for a run that goes on from a state:
        functions then get flat points.
    args : tuple, optional
        Extra arguments of all functions; what is no tuple counts as the only one, as in SciPy.
    jac : callable, True, "2-point", "3-point", "cs", "torch" or "jax", optional
        ``jac(x, *args)``, the gradient in the shape of x0. True: ``fun`` returns (f, gradient). A
        number of points: `saddlelib.differences` of values. "torch" and "jax": ∇f and ∇²f·v by
        automatic differentiation. None or False: "torch" or "jax" where x0 is of these, else
        "2-point" as in SciPy.
    hess : callable, optional
        ``hess(x, *args)``, (d, d) or twice the shape of x0: an array, a sparse one or a
        LinearOperator. SciPy's "2-point", "3-point" and "cs" are taken for None: products come
        from differences anyhow.
    hessp : callable, optional
        ``hessp(x, v, *args)``, ∇²f(x)v in the shape of x0.
    grad_noise, noise_df, rng : optional
        As for `saddlelib.Oracle`.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and the remedy; what has the wrong shape is said when the
        function is called.
    ImportError
        Where "torch" or "jax" is asked for and is not there.

    Examples
    --------
    >>> import numpy as np
    >>> found = objective(lambda x: (x**2).sum(), [[1, 2], [3, 4]], jac=lambda x: 2 * x)
    >>> found.x0, found.oracle.grad(found.x0)
    (array([1., 2., 3., 4.]), array([2., 4., 6., 8.]))
    >>> found.restore(found.x0)
    array([[1., 2.],
           [3., 4.]])
    >>> objective(lambda x: x**2, 3.0).notes()
    ('the gradient comes from 2-point differences of fun',)
    """
    noise = dict(grad_noise=grad_noise, noise_df=noise_df, rng=rng)
    if not callable(fun):
        x0 = x0 if x0 is None else as_point("x0", x0, fun if hasattr(fun, "dim") else None)
        given = dict(jac=jac or None, hessp=hessp, hess=_hess(hess))
        return Objective(Oracle(fun, **given, args=args, **noise), x0, np.array, np.array,
                         None if x0 is None else x0.shape)
    args = args if isinstance(args, tuple) else (args,)
    hess = _hess(hess)
    for name, given in (("hess", hess), ("hessp", hessp)):
        if given is not None and not callable(given):
            raise TypeError(f"{name} must be a function or None, got {given!r}")
    form, jac = _form(x0, _jac(jac))
    functions = form.functions(
        noted("fun", fun), noted("jac", jac) if callable(jac) else jac, noted("hess", hess),
        noted("hessp", hessp), args)
    for function in functions.values():
        if callable(function):
            function.noted = True  # what it says itself of shapes was raised by nobody else
    oracle = Oracle(**functions, **noise)
    oracle.unit = max(oracle.unit, form.unit)
    return Objective(oracle, form.x0, form.restore, form.like, form.shape, tuple(form.notes),
                     form.shapes())


def _jac(jac):
    """The kind of gradient, with None for whatever fits x0."""
    if jac is None or jac is False or jac is True or callable(jac):
        return jac or None
    if isinstance(jac, str) and jac in (*KINDS, "torch", "jax"):
        return jac
    wanted = ", ".join(f'"{kind}"' for kind in (*KINDS, "torch"))
    raise (ValueError if isinstance(jac, str) else TypeError)(
        f'jac must be a function, True where fun returns (f, gradient), {wanted} or "jax", got '
        f'{jac!r}')


def _hess(hess):
    """A function, or None for what SciPy lets one say instead of it."""
    if hess is None or hess is False or isinstance(hess, str) and hess in KINDS:
        return None
    if isinstance(hess, HessianUpdateStrategy):
        raise TypeError(f"hess must be a function or None, got {type(hess).__name__}(): updates "
                        f"along steps say nothing certain of the curvature at a point; leave hess "
                        f"out, and products with it come from differences of the gradient")
    return hess


def _form(x0, jac):
    """What x0 is made of, and the kind of gradient."""
    if hasattr(x0, "__next__"):  # as of Module.parameters()
        x0 = list(x0)
    if jac == "torch" or is_torch(x0):
        from . import torch
        return torch.form(x0, jac)
    if jac == "jax" or jac is None and _is_jax(x0):
        from . import jax
        return jax.form(x0), "jax"
    if are_several(x0):
        return SeveralArrays(x0), jac or "2-point"
    return Arrays(x0), jac or "2-point"


def is_torch(x0):
    """Whether x0 is of torch, which is not imported for the question."""
    torch = sys.modules.get("torch")
    if torch is None:
        return False
    first = x0[0] if isinstance(x0, (list, tuple)) and x0 else x0
    return isinstance(first, (torch.Tensor, torch.nn.Module))


def only_says_form(x0):
    """Whether x0 says beside a state in which form functions take the point of the state."""
    return is_torch(x0) or are_several(x0)


def _is_jax(x0):
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(x0, jax.Array)
