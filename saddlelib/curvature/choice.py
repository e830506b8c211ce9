"""Which Hessian-vector products there are to be had, and which of them to take."""

from __future__ import annotations

from .products import Differences, Given
from .sparing import Sparing
from .values import MOST, SecondDifferences

__all__ = ["products", "sparing"]

# An error of γc over this leaves room for 100 steps even where θ = 0 has all the weight.
_MARGIN = 30
# In so few dimensions given products are as cheap as differences that have to be checked.
_FEW = 3


def products(oracle, x, g, curvature_tol, scale, component, *, hvp_error=None, grad_error=None,
             hess_norm=0.0):
    """The best products there are: ``hvp``, else ``hess``, else differences of gradients.

    Where gradients are differences of values themselves and d is small, second differences.
    ``scale`` is the length on which curvature of the size of the tolerance can be lost, and
    ``component`` the c of `curvature.lanczos`; differences are made as exact as it asks for.
    ``curvature_tol`` may be a function of ‖H‖; ``hess_norm`` is what is known of that.
    """
    if oracle.has_hvp:
        return Given(lambda v: oracle.hvp(x, v), "hessp", hvp_error, oracle)
    if oracle.has_hess:
        matrix = oracle.hess_operator(x)
        return Given(lambda v: matrix @ v, "hess", hvp_error, oracle)
    tol = curvature_tol if callable(curvature_tol) else lambda size: curvature_tol
    if oracle.by_values and x.size <= MOST:
        return SecondDifferences(oracle, x, scale, tol, hvp_error, hess_norm)
    found = Differences(oracle.grad, x, g, scale, wanted(curvature_tol, component), hvp_error,
                        grad_error)
    found.oracle = oracle
    if oracle.by_values:
        found.remedy = SecondDifferences.remedy.replace("second differences", "differences")
    return found


def wanted(curvature_tol, component):
    """The error of a product that is small enough, as a function of ‖H‖."""
    tol = curvature_tol if callable(curvature_tol) else lambda size: curvature_tol
    return lambda size: tol(size) * component / _MARGIN


def sparing(oracle, x, g, curvature_tol, component, known, *, hopeful=False, grad_error=None):
    """Those that cost least for who knows the function already; see `curvature.sparing`.

    Where gradients are made of values, or d is small, that is what `products` takes.
    """
    given = oracle.has_hvp or oracle.has_hess
    if x.size <= _FEW and oracle.has_hvp or oracle.differences and (
            given or oracle.by_values and x.size <= MOST):
        return products(oracle, x, g, curvature_tol, known.length, component,
                        grad_error=grad_error, hess_norm=known.hess_norm)
    exact = (lambda v: oracle.hvp(x, v)) if oracle.has_hvp else None
    found = Sparing(oracle.grad, x, g, wanted(curvature_tol, component), known, exact, hopeful,
                    grad_error)
    found.oracle = oracle
    return found
