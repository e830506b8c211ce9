"""Sets on which a problem's Lipschitz constants hold."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Region(ABC):
    """A set that can be described, tested for membership and sampled.

    Samples fill the region without following any particular law.

    Parameters
    ----------
    dim : int
        d, of the space that it lies in.

    Examples
    --------
    >>> from saddlelib.problems import SeparableQuartic
    >>> region = SeparableQuartic(2).region
    >>> region.description, region.contains([[0.5, -1.0], [0.0, 1.1]]).tolist()
    ('the box |x_i| <= 1 in ℝ^2', [True, False])
    >>> region.sample(0, 5).shape
    (5, 2)
    """

    dim: int

    @property
    def description(self) -> str:
        """The set in words and symbols."""
        return self._describe()

    def contains(self, X) -> np.ndarray:
        """Return whether points (…, d) lie in the region, as booleans (…)."""
        return self._contains(np.asarray(X, dtype=np.float64))

    def sample(self, rng, n: int) -> np.ndarray:
        """Return `n` points (n, d) of the region."""
        return self._sample(np.random.default_rng(rng), n)

    def sample_pairs(self, rng, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Return two arrays (n, d); the segment between matching rows stays inside."""
        return self._sample_pairs(np.random.default_rng(rng), n)

    @abstractmethod
    def _describe(self): ...

    @abstractmethod
    def _contains(self, X): ...

    @abstractmethod
    def _sample(self, rng, n): ...

    def _sample_pairs(self, rng, n):
        """Draw the ends independently, which is right in a convex region."""
        return self._sample(rng, n), self._sample(rng, n)

    def __str__(self):
        return self.description


@dataclass(frozen=True)
class WholeSpace(Region):
    """All of ℝᵈ, sampled by standard normal points."""

    def _describe(self):
        return f"the whole space ℝ^{self.dim}"

    def _contains(self, X):
        return np.isfinite(X).all(axis=-1)

    def _sample(self, rng, n):
        return rng.standard_normal((n, self.dim))


@dataclass(frozen=True)
class Box(Region):
    """The box |xᵢ| ≤ radius, sampled uniformly.

    >>> Box(2, 1.0).contains([[0.5, -1.0], [0.0, 1.1]])
    array([ True, False])
    """

    radius: float

    def _describe(self):
        return f"the box |x_i| <= {self.radius:g} in ℝ^{self.dim}"

    def _contains(self, X):
        return (np.abs(X) <= self.radius).all(axis=-1)

    def _sample(self, rng, n):
        return rng.uniform(-self.radius, self.radius, (n, self.dim))


@dataclass(frozen=True)
class Slab(Region):
    """The slab |x₁| ≤ radius; the other coordinates are free, and sampled as normals."""

    radius: float

    def _describe(self):
        return f"the slab |x_1| <= {self.radius:g} in ℝ^{self.dim}"

    def _contains(self, X):
        return (np.abs(X[..., 0]) <= self.radius) & np.isfinite(X).all(axis=-1)

    def _sample(self, rng, n):
        X = rng.standard_normal((n, self.dim))
        X[:, 0] = rng.uniform(-self.radius, self.radius, n)
        return X


@dataclass(frozen=True)
class Ball(Region):
    """The Euclidean ball ‖x‖ ≤ radius, sampled uniformly."""

    radius: float

    def _describe(self):
        return f"the ball ||x|| <= {self.radius:g} in ℝ^{self.dim}"

    def _contains(self, X):
        return np.linalg.norm(X, axis=-1) <= self.radius

    def _sample(self, rng, n):
        X = rng.standard_normal((n, self.dim))
        # The last factor keeps rounding from pushing a point over the boundary.
        size = self.radius * rng.uniform(size=n) ** (1 / self.dim) * (1 - 1e-14)
        return X * (size / np.linalg.norm(X, axis=1))[:, np.newaxis]


@dataclass(frozen=True)
class BallAround(Region):
    """The Euclidean ball ‖x − center‖ ≤ radius, sampled uniformly; center is a tuple of floats."""

    radius: float
    center: tuple[float, ...]

    def _describe(self):
        return f"the ball ||x - c|| <= {self.radius:g} in ℝ^{self.dim} around its minimizer c"

    def _contains(self, X):
        return np.linalg.norm(X - np.array(self.center), axis=-1) <= self.radius

    def _sample(self, rng, n):
        return np.array(self.center) + Ball(self.dim, self.radius * (1 - 1e-14))._sample(rng, n)
