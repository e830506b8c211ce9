"""How a formula becomes a number of steps."""

from __future__ import annotations

import math

import numpy as np

from .._arguments import integer, nonnegative, positive, probability

__all__ = ["at_most_the_natural_scale", "finite_array", "nonnegative", "setting", "whole"]


def whole(name, value) -> int:
    """``value`` rounded up, or an error that says what left the range of float64.

    A value that lies above an integer by rounding alone is that integer: 128·10/(10⁻³)² is
    1 280 000 000, whichever way the division rounds.
    """
    if not math.isfinite(value):
        raise ValueError(f"{name} is larger than float64 can hold; use a larger epsilon or a "
                         f"smaller delta_f")
    return math.ceil(value * (1 - 2**-50))


def representable(what, value, **given) -> float:
    """``value`` as a float > 0, or an error that says which arguments send it out of float64."""
    try:
        number = float(value)
    except OverflowError:  # of an int
        number = math.inf
    if 0 < number < math.inf:
        return number
    numbers = " and ".join(f"{name} = {argument:.3g}" for name, argument in given.items())
    raise ValueError(f"{numbers} make {what} {'0' if number == 0 else 'infinite'} in float64; use "
                     f"numbers nearer to 1, by other units of x or f")


def finite_array(name, value, ndim=None) -> np.ndarray:
    """A float64 array of finite numbers, not empty, or an error that names the argument."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"{name} must be one array, got rows of different lengths") from None
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, got shape {array.shape}")
    if array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite and not empty, got shape {array.shape}")
    return array.astype(float)


def setting(lipschitz_grad, lipschitz_hess, epsilon, dim=1, delta_f=1.0, failure_prob=0.1):
    """(ℓ, ρ, ε, d, Δ_f, δ), checked."""
    return (positive("lipschitz_grad", lipschitz_grad), positive("lipschitz_hess", lipschitz_hess),
            positive("epsilon", epsilon), integer("dim", dim), positive("delta_f", delta_f),
            probability("failure_prob", failure_prob))


def at_most_the_natural_scale(epsilon, ell, rho, source):
    """Refuse ε > ℓ²/ρ, where √(ρε) > ℓ and ‖∇²f‖ ≤ ℓ already gives the curvature condition."""
    largest = ell / rho * ell
    if epsilon > largest:
        raise ValueError(f"epsilon must be at most ℓ²/ρ = {largest:.3g} ({source}), got "
                         f"{epsilon:.3g}; a larger ε asks for less than ‖∇²f‖ ≤ ℓ already gives")
