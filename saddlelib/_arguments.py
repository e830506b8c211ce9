"""What arguments have to be, said once for the whole library."""

from __future__ import annotations

import math

import numpy as np


def positive(name, value) -> float:
    """A finite float > 0, or an error that names the argument."""
    number = _number(name, value)
    if not (number > 0 and math.isfinite(number)):
        raise ValueError(f"{name} must be a finite number > 0, got {value!r}")
    return number


def nonnegative(name, value) -> float:
    """A finite float >= 0, or an error that names the argument."""
    number = _number(name, value)
    if not (number >= 0 and math.isfinite(number)):
        raise ValueError(f"{name} must be a finite number >= 0, got {value!r}")
    return number


def probability(name, value) -> float:
    """A float in (0, 1), or an error that names the argument."""
    number = _number(name, value)
    if not 0 < number < 1:
        raise ValueError(f"{name} must lie strictly between 0 and 1, got {value!r}")
    return number


def integer(name, value, least=1) -> int:
    """An int >= least, or an error that names the argument."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)


def _number(name, value) -> float:
    if isinstance(value, (bool, str, bytes, complex)) or np.ndim(value) != 0:
        raise TypeError(f"{name} must be a real number, got {value!r}")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a real number, got {value!r}") from None


def as_point(name, x, problem=None) -> np.ndarray:
    """A finite float64 copy of shape (d,), or an error that names the argument."""
    point = np.asarray(x)
    if point.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold real numbers, got dtype {point.dtype}")
    if point.ndim != 1 or point.size == 0:
        raise ValueError(f"{name} must be one point of shape (d,) with d >= 1, got {point.shape}")
    if problem is not None and point.size != problem.dim:
        raise ValueError(f"{name} must have {problem.dim} coordinates for {problem.name}, "
                         f"got {point.size}")
    point = np.array(point, dtype=float)
    if not np.isfinite(point).all():
        raise ValueError(f"{name} must be finite, got {np.count_nonzero(~np.isfinite(point))} "
                         f"non-finite coordinates")
    return point


def curvature_scale(problem, epsilon, lipschitz_hess, curvature_tol):
    """ρ (or None) and √(ρε) > 0 from what is known, or an error that says what is missing."""
    if lipschitz_hess is None and problem is not None:
        lipschitz_hess = problem.lipschitz_hess
    if lipschitz_hess is not None:
        lipschitz_hess = _number("lipschitz_hess", lipschitz_hess)
        if not (lipschitz_hess >= 0 and math.isfinite(lipschitz_hess)):
            raise ValueError(f"lipschitz_hess must be a finite number >= 0, got {lipschitz_hess}")
    if curvature_tol is not None:
        return lipschitz_hess, positive("curvature_tol", curvature_tol)
    if lipschitz_hess is None:
        raise ValueError("how much negative curvature is allowed? Give lipschitz_hess (ρ, for the "
                         "threshold √(ρε)) or curvature_tol (the threshold itself)")
    if lipschitz_hess == 0:
        raise ValueError("lipschitz_hess = 0 makes the threshold √(ρε) zero, which no finite "
                         "number of Hessian-vector products can certify; give curvature_tol > 0")
    return lipschitz_hess, math.sqrt(lipschitz_hess) * math.sqrt(epsilon)
