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
    refused = isinstance(value, (bool, np.bool_, str, bytes, complex, np.complexfloating))
    if refused or isinstance(value, (list, tuple)) or np.ndim(value) != 0:
        raise TypeError(f"{name} must be a real number, got {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} is larger than float64 can hold") from None
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a real number, got {value!r}") from None


def generator(name, rng) -> np.random.Generator:
    """A generator from a seed, a generator or None, or an error that names the argument."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a seed (an integer >= 0), a numpy Generator or None, "
                        f"got {rng!r}") from None


def as_point(name, x, problem=None) -> np.ndarray:
    """A finite float64 copy of shape (d,), or an error that names the argument."""
    point = _array(name, x)
    if point.ndim != 1 or point.size == 0:
        raise ValueError(f"{name} must be one point of shape (d,) with d >= 1, got {point.shape}")
    if problem is not None and point.size != problem.dim:
        raise ValueError(f"{name} must have {problem.dim} coordinates for {problem.name}, "
                         f"got {point.size}")
    if not np.isfinite(point).all():
        raise ValueError(f"{name} must be finite, got {np.count_nonzero(~np.isfinite(point))} "
                         f"non-finite coordinates")
    return point


def as_gradient(name, g, x) -> np.ndarray:
    """A float64 copy of the shape of x, finite or not, or an error that names the argument."""
    g = _array(name, g)
    if g.shape != x.shape:
        raise ValueError(f"{name} must have shape {x.shape} like x, got {g.shape}")
    return g


def _array(name, value) -> np.ndarray:
    """A float64 copy of an array of real numbers, or an error that names the argument."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"{name} must be one array of shape (d,), got rows of different "
                         f"lengths") from None
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    with np.errstate(over="ignore"):  # a long double may be too large
        return np.array(array, dtype=float)


def curvature_scale(problem, epsilon, lipschitz_hess, curvature_tol):
    """ρ (or None) and √(ρε) > 0 from what is known, or an error that says what is missing."""
    if lipschitz_hess is None and problem is not None:
        lipschitz_hess = problem.lipschitz_hess
    if lipschitz_hess is not None:
        lipschitz_hess = nonnegative("lipschitz_hess", lipschitz_hess)
    if curvature_tol is not None:
        return lipschitz_hess, positive("curvature_tol", curvature_tol)
    if lipschitz_hess is None:
        raise ValueError("how much negative curvature is allowed? Give lipschitz_hess (ρ, for the "
                         "threshold √(ρε)) or curvature_tol (the threshold itself)")
    if lipschitz_hess == 0:
        raise ValueError("lipschitz_hess = 0 makes the threshold √(ρε) zero, which no finite "
                         "number of Hessian-vector products can certify; give curvature_tol > 0")
    square = lipschitz_hess * epsilon
    if 1e-290 < square < math.inf:
        return lipschitz_hess, math.sqrt(square)
    return lipschitz_hess, math.sqrt(lipschitz_hess) * math.sqrt(epsilon)  # always in range
