"""Plain twins of the optimizers: one vector, the notation of the paper, nothing else.

They are there to be read, and the tests hold the optimizers and `saddlelib.methods` against them,
step for step, in the parameters and in the state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["PSDReference", "PSGDReference"]


@dataclass
class PSDReference:
    """Algorithm 1 of the authors' repository, as `saddlelib.methods.PSD` and `PSD`.

    Parameters
    ----------
    x : ndarray, shape (d,)
    eta, epsilon, gamma : float
        η, ε and γ.
    T : int
        Steps of an episode.
    M : int, optional
        Most episodes.
    rest : int, optional
        None: stop where there is no strong negative curvature. Else go on, and look again after
        ``rest`` steps, then after twice as many, and so on.
    every : int
        Steps from one look to the next.

    Examples
    --------
    >>> twin = PSDReference(np.zeros(2), eta=0.1, epsilon=1e-3, gamma=0.1, T=200)
    >>> while not twin.finished:
    ...     twin.step(lambda x: np.array([x[0] ** 3 - x[0], 2 * x[1]]),
    ...               lambda x: min(3 * x[0] ** 2 - 1, 2.0), lambda: np.array([1e-3, 1e-3]))
    >>> twin.x.round(6).tolist(), twin.steps, twin.episodes
    ([1.0, 0.0], 200, 1)
    """

    x: np.ndarray
    eta: float
    epsilon: float
    gamma: float
    T: int
    M: int | None = None
    rest: int | None = None
    every: int = 1
    steps: int = 0
    left: int = 0
    episodes: int = 0
    next_look: int = 0
    pause: int | None = None
    after: int = 0
    min_eig: float = math.nan
    finished: bool = False

    def step(self, grad, min_eig, draw):
        """One step. ``grad(x)`` is ∇f(x), ``min_eig(x)`` is λ_min, ``draw()`` is ξ."""
        g = grad(self.x)
        if self.left == 0 and self.steps >= self.next_look and self.small(g):
            g = self.at_small_gradient(g, grad, min_eig, draw)
        if self.finished:
            return
        self.x = self.x - self.eta * g
        self.steps += 1
        if self.left > 0:
            self.left -= 1
            if self.left == 0:
                self.next_look = self.steps + self.after

    def small(self, g):
        """‖∇f(x)‖ ≤ ε."""
        self.next_look = self.steps + self.every
        return np.linalg.norm(g) <= self.epsilon

    def at_small_gradient(self, g, grad, min_eig, draw):
        """Stop, rest, or x ← x + ξ; the gradient for the step that follows."""
        if min_eig is not None:
            self.min_eig = min_eig(self.x)
            if self.min_eig >= -self.gamma:
                self.wait()
                return g
        if self.M is not None and self.episodes >= self.M:
            self.finished, self.next_look = self.rest is None, 1 << 40
            return g
        self.x = self.x + draw()
        self.episodes, self.left, self.after = self.episodes + 1, self.T, 0
        if min_eig is not None:
            self.pause = self.rest
        elif self.rest is not None:  # blind: rest ever longer
            self.after = self.rest if self.pause is None else self.pause
            self.pause = 2 * self.after
        return grad(self.x)

    def wait(self):
        """There is no saddle here."""
        if self.rest is None:
            self.finished = True
            return
        pause = self.rest if self.pause is None else self.pause
        self.next_look, self.pause = self.steps + max(1, pause), 2 * pause


@dataclass
class PSGDReference(PSDReference):
    """`PSDReference` from mini-batches: ``grad(x)`` is a new ĝ(x) each time.

    Parameters
    ----------
    trigger : float, optional
        ‖ĝ(x)‖ ≤ trigger, as published and as in `saddlelib.methods.PSGD`. None: the mean of
        ⟨ĝ(x_k), ĝ(x_{k+1})⟩ over ``W`` pairs is ≤ ε².
    W : int

    ``min_eig=None`` in `step` for the published method, which never looks at the curvature.

    Examples
    --------
    >>> twin = PSGDReference(np.zeros(1), eta=0.1, epsilon=0.1, gamma=0.1, T=5, trigger=0.3)
    >>> twin.step(lambda x: x + 0.2, None, lambda: np.array([0.5]))
    >>> twin.x.round(6).tolist(), twin.left     # 0.5 − 0.1·0.7
    ([0.43], 4)
    """

    trigger: float | None = None
    W: int = 10
    first: np.ndarray | None = None
    inner: float = 0.0
    pairs: int = 0

    def small(self, g):
        """Whether ∇f(x) seems small."""
        self.next_look = self.steps + self.every
        if self.trigger is not None:
            return np.linalg.norm(g) <= self.trigger
        if self.first is None:
            self.first, self.next_look = g, self.steps + 1
            return False
        self.inner, self.pairs, self.first = self.inner + self.first @ g, self.pairs + 1, None
        self.next_look = self.steps + max(self.every - 1, 1)
        if self.pairs < self.W:
            return False
        mean, self.inner, self.pairs = self.inner / self.W, 0.0, 0
        return mean <= self.epsilon**2
