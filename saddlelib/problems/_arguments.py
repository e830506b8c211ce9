"""What problems are made of and are asked about, beyond the checks of the whole library."""

from __future__ import annotations

import numpy as np

from .._arguments import positive


def nonnegative(name: str, value) -> float:
    """Return `value` as a finite float >= 0."""
    if np.ndim(value) == 0 and value == 0:
        return 0.0
    try:
        return positive(name, value)
    except ValueError:
        raise ValueError(f"{name} must be a finite number >= 0, got {value!r}") from None


def real_array(name: str, value) -> np.ndarray:
    """Return `value` as a float64 array, refusing what is not real and numeric."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(
            f"{name} is not a rectangular array ({error}); pass rows of equal length"
        ) from None
    if array.dtype.kind not in "iuf":
        raise TypeError(
            f"{name} must hold real numbers, got dtype {array.dtype}; convert it to float64 first"
        )
    return np.asarray(array, dtype=np.float64)


def real_vector(name: str, value) -> np.ndarray:
    """Return a read-only float64 copy of a finite, non-empty vector."""
    array = real_array(name, value)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(
            f"{name} must be a vector with at least one entry, got shape "
            f"{array.shape}; pass a flat sequence of numbers"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {value!r}; remove NaN and inf")
    return frozen(array)


def each(name: str, values) -> list:
    """Return what a sequence holds, refusing what is none."""
    try:
        return list(values)
    except TypeError:
        raise TypeError(f"{name} must be a sequence, got {values!r}") from None


def frozen(array) -> np.ndarray:
    """Return a read-only float64 copy."""
    array = np.array(array, dtype=np.float64)
    array.flags.writeable = False
    return array
