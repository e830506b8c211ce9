"""Random directions: uniform on a ball or a sphere, and Gaussian; one vector or a batch."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["gaussian", "uniform_ball", "uniform_sphere"]


def uniform_ball(rng, dim, radius=1.0, size=None) -> np.ndarray:
    r"""Points uniform on the ball of a given radius around 0.

    A Gaussian direction times radius·U^{1/d}, with U uniform on [0, 1].

    Parameters
    ----------
    rng : numpy.random.Generator, or list of m of them
        From a list one point each, the one that each would draw alone, bit for bit.
    dim : int
        d ≥ 1.
    radius : float
        r ≥ 0, in the units of x; for a list also an array of shape (m, 1).
    size : int, optional
        How many points; without it, one point. Not for a list.

    Returns
    -------
    ndarray, shape (d,) or (size, d) or (m, d)

    Examples
    --------
    >>> import numpy as np
    >>> bool(np.linalg.norm(uniform_ball(np.random.default_rng(0), 5, 0.1)) <= 0.1)
    True
    """
    if isinstance(rng, list):
        z, u = np.empty((len(rng), dim)), []
        for row, generator in zip(z, rng, strict=True):
            generator.standard_normal(out=row)
            u.append(generator.random() ** (1.0 / dim))
        return z * (radius / np.sqrt(np.vecdot(z, z))[:, np.newaxis]) * np.array(u)[:, np.newaxis]
    direction = uniform_sphere(rng, dim, radius, size)
    return direction * rng.random(None if size is None else (size, 1)) ** (1.0 / dim)


def uniform_sphere(rng, dim, radius=1.0, size=None) -> np.ndarray:
    """Points uniform on the sphere of a given radius around 0.

    Parameters
    ----------
    rng : numpy.random.Generator
    dim : int
        d ≥ 1.
    radius : float
        r ≥ 0, in the units of x.
    size : int, optional
        How many points; without it, one point.

    Returns
    -------
    ndarray, shape (d,) or (size, d)

    Examples
    --------
    >>> import numpy as np
    >>> points = uniform_sphere(np.random.default_rng(0), 5, 0.1, size=3)
    >>> np.linalg.norm(points, axis=1).round(12).tolist()
    [0.1, 0.1, 0.1]
    """
    z = rng.standard_normal(dim if size is None else (size, dim))
    norm = math.sqrt(z @ z) if size is None else np.linalg.norm(z, axis=-1, keepdims=True)
    return z * (radius / norm)


def gaussian(rng, dim, radius=1.0, size=None) -> np.ndarray:
    """Points of N(0, (radius²/d) I), whose mean squared norm is radius².

    Parameters
    ----------
    rng : numpy.random.Generator
    dim : int
        d ≥ 1.
    radius : float
        √E‖ξ‖² ≥ 0, in the units of x, whatever the dimension.
    size : int, optional
        How many points; without it, one point.

    Returns
    -------
    ndarray, shape (d,) or (size, d)

    Examples
    --------
    >>> import numpy as np
    >>> points = gaussian(np.random.default_rng(0), 4, 2.0, size=10_000)
    >>> round(float((points**2).sum(axis=1).mean()), 1)
    4.0
    """
    return rng.standard_normal(dim if size is None else (size, dim)) * (radius / dim**0.5)
