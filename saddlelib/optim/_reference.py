"""Plain twins of the optimizers: one vector, the notation of the paper, nothing else.

They are there to be read, and the tests hold the optimizers and `saddlelib.methods` against them,
step for step, in the parameters and in the state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["GDPolyakReference", "PSDReference", "PSGDReference", "QuickPSDReference"]


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
    arrives : bool
        Whether an episode is over where the gradient has been large and is small again.

    Attributes
    ----------
    steps, episodes : int
        Steps taken and episodes begun.
    left, next_look, after : int
        Steps left of the episode, the step of the next look, and how long to wait after an episode.
    pause : int or None
        The last rest after a look in vain.
    away : bool
        Whether the gradient has been large in this episode.
    min_eig : float
        λ_min at the last look; nan before.
    finished : bool
        Whether it has stopped.

    Examples
    --------
    >>> import numpy as np
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
    arrives: bool = False
    away: bool = False
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
        elif self.left > 0 and self.arrives:
            self.listen(g)
        if self.finished:
            return
        self.x = self.x - self.eta * g
        self.steps += 1
        if self.left > 0:
            self.left -= 1
            if self.left == 0:
                self.over()

    def listen(self, g):
        """In an episode: has the gradient been large, is it small again?"""
        if self.left % self.every == 0:
            self.heard(np.linalg.norm(g) <= self.epsilon)

    def heard(self, small):
        """The last step of the episode is the one at a small gradient that was large before."""
        if not small:
            self.away = True
        elif self.away:
            self.left = 1

    def over(self):
        """When to look after an episode."""
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
        self.episodes, self.left, self.after, self.away = self.episodes + 1, self.T, 0, False
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
class QuickPSDReference:
    """The quick rule of `PSD`: kick first, and go back where the loss has not fallen.

    Parameters
    ----------
    x : ndarray, shape (d,)
    eta, epsilon : float
        η and ε.
    T : int
        Steps of an episode.
    rest : int
        Steps to the next look after one in vain; then twice as many, and so on.
    every : int
        Steps from one look to the next.

    Attributes
    ----------
    steps, kept, undone : int
        Steps taken, episodes kept and episodes taken back.
    left, next_look : int
        Steps left of the episode, and the step of the next look.
    pause, rung, proven, away, before
        How long it rests, how far the next kick goes, and what the present episode has shown: see
        `step`.

    Examples
    --------
    >>> import numpy as np
    >>> twin = QuickPSDReference(np.zeros(1), eta=0.5, epsilon=1e-3)
    >>> for _ in range(60):
    ...     twin.step(lambda x: float(x[0] ** 4 / 4 - x[0] ** 2 / 2), lambda x: x**3 - x,
    ...               lambda k: np.array([0.1]) * 2**k, lambda x: None)
    >>> twin.x.round(6).tolist(), twin.kept, twin.undone
    ([1.0], 1, 0)
    """

    x: np.ndarray
    eta: float
    epsilon: float
    T: int = 10
    rest: int = 100
    every: int = 50
    steps: int = 0
    left: int = 0
    rung: int = 0
    kept: int = 0
    undone: int = 0
    next_look: int = 0
    pause: int | None = None
    before: np.ndarray | None = None
    away: bool = False
    proven: bool = False

    def step(self, fun, grad, draw, look):
        """One step. ``draw(k)`` is ξ of rung k; ``look(x)`` a move along negative curvature."""
        g = grad(self.x)
        if self.left > 0:
            if np.linalg.norm(g) > self.epsilon:
                self.away = True
            elif self.away:
                self.left = 1
        elif self.before is not None:
            if not self.judge(fun):
                return self.end()
        elif self.steps >= self.next_look:
            self.next_look = self.steps + self.every
            if np.linalg.norm(g) > self.epsilon:
                self.pause = self.rest if self.proven else self.pause
                self.rung, self.proven = 0, False
            elif self.at_small_gradient(fun, draw, look):
                return self.end()
        self.x = self.x - self.eta * g
        if self.left > 0:
            self.left -= 1
            self.next_look = self.next_look if self.left else self.steps + 1
        return self.end()

    def end(self):
        """Count."""
        self.steps += 1

    def at_small_gradient(self, fun, draw, look):
        """Whether the perturbation took the place of the step."""
        self.next_look = self.steps + 1
        if self.proven:
            return self.wait()
        if self.rung >= 4:
            move = look(self.x)
            if move is None:
                return self.wait()
            self.rung, self.left = 5, 1
            self.before, self.x, self.away = self.x, self.x + move, False
            return True
        xi = draw(self.rung)
        f, there, back = fun(self.x), fun(self.x + xi), fun(self.x - xi)
        self.rung += 1
        if not min(there, back) - f <= abs(f) / 4:
            self.rung = 4
            return False
        self.before, self.x = self.x, self.x + (xi if there <= back else -xi)
        self.left, self.away = self.T, False
        return True

    def judge(self, fun):
        """Whether the episode stays."""
        before, self.before, self.next_look = self.before, None, self.steps + 1
        old = fun(before)
        if fun(self.x) < old - 8 * np.finfo(float).eps * abs(old):
            self.kept, self.rung, self.proven = self.kept + 1, 0, True
            return True
        self.x, self.undone = before, self.undone + 1
        if self.rung > 4:
            self.wait()
        return False

    def wait(self):
        """Look again later."""
        pause = self.rest if self.pause is None else self.pause
        self.next_look, self.pause = self.steps + max(1, pause), 2 * pause
        self.rung, self.proven = 0, False
        return False


@dataclass
class PSGDReference(PSDReference):
    """`PSDReference` from mini-batches: ``grad(x)`` is a new ĝ(x) each time.

    Parameters
    ----------
    trigger : float, optional
        ‖ĝ(x)‖ ≤ trigger, as published and as in `saddlelib.methods.PSGD`. None: the mean of
        ⟨ĝ(x_k), ĝ(x_{k+1})⟩ over ``W`` pairs is ≤ ε².
    W : int
    x, eta, epsilon, gamma, T, M, rest, every, arrives
        As for `PSDReference`.

    Attributes
    ----------
    inner, pairs, first
        Of the estimate: the sum of the inner products, how many, and the first gradient of a pair.

    Notes
    -----
    ``min_eig=None`` in `step` for the published method, which never looks at the curvature.

    Examples
    --------
    >>> import numpy as np
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

    def listen(self, g):
        """The same, from a full window of pairs."""
        if self.steps >= self.next_look:
            small = self.small(g)
            if self.first is None and self.pairs == 0:
                self.heard(small)

    def over(self):
        """When to look after an episode, with pairs of its own."""
        super().over()
        self.first, self.pairs, self.inner = None, 0, 0.0

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


@dataclass
class GDPolyakReference:
    """Short steps and long ones, as `saddlelib.methods.GDPolyak` and `GDPolyak`.

    Parameters
    ----------
    x : ndarray, shape (d,)
    eta, factor : float
        η and λ.
    K : int
        Short steps of the (first) epoch.
    f_star : float, optional
        None: not known, for ``safe`` only.
    safe : bool
        False: as published. True: judge long steps where an epoch ends, and adapt K.
    growth, gain, guard : float
        As for `GDPolyak`.

    Attributes
    ----------
    epochs, left : int
        Long steps taken, and short steps left before the next one.
    value, least, last, taken, before, kappa, long_kappa, look_kappa
        What the last looks have seen: values, points, gradients and curvatures; see `step`.
    early, doubted, rejected
        How looks have ended, which decides how long the next one waits.

    Examples
    --------
    >>> import numpy as np
    >>> twin = GDPolyakReference(np.array([1.0]), eta=0.1, K=1, f_star=0.0)
    >>> for _ in range(2):                        # x⁴: one short step, then x ← (3/4)x
    ...     twin.step(lambda x: float(x[0] ** 4), lambda x: 4 * x**3)
    >>> twin.x.round(6).tolist(), twin.epochs
    ([0.45], 1)
    """

    x: np.ndarray
    eta: float
    K: int
    f_star: float | None
    factor: float = 1.0
    safe: bool = False
    growth: float = 0.0
    gain: float = 0.2
    guard: float = 10.0
    left: int | None = None
    epochs: int = 0
    rejected: int = 0
    taken: int = 0
    last: np.ndarray | None = None
    kappa: float = math.nan
    early: float = math.nan
    long_kappa: float = math.nan
    look_kappa: float | None = None
    value: float = math.inf
    least: float = math.inf
    before: tuple | None = None
    doubted: bool = False

    def step(self, fun, grad):
        """One step, short, long or back."""
        f, g = fun(self.x), grad(self.x)
        self.least = min(self.least, f)
        self.left = self.K if self.left is None else self.left
        if self.last is not None:
            self.kappa = self.last @ (self.last - g) / (self.eta * (self.last @ self.last))
            if self.left == max(1, self.K // 5):
                self.early = self.kappa
        self.last = g
        if self.left > 0:
            self.x, self.left, self.taken = self.x - self.eta * g, self.left - 1, self.taken + 1
            return
        if self.before is not None and not self.helped(f):
            return
        length = self.long(f, g)
        self.value = f
        if length is None:
            self.x, self.taken = self.x - self.eta * g, self.taken + 1
        else:
            if self.safe:
                self.before = self.x, f, length / self.factor * (g @ g)
            self.x, self.last = self.x - length * g, None
            self.taken, self.epochs, self.look_kappa = 0, self.epochs + 1, None
        self.left = math.floor(self.K + (0 if self.safe else self.epochs * self.growth))

    def helped(self, f):
        """Judge the last long step; x goes back where it did not help."""
        x, value, gap = self.before
        self.before = None
        if value - f >= self.gain * gap:
            self.K = max(2, math.floor(0.8 * self.K))
            return True
        self.x, self.value, self.last, self.rejected = x, value, None, self.rejected + 1
        self.long_kappa, self.look_kappa = math.nan, None
        self.left = self.K = math.ceil(1.5 * max(self.K, self.taken)) + 1
        self.taken = 0
        return False

    def long(self, f, g):
        """The length of a long step, or None where it is not safe or not known."""
        if self.f_star is not None and self.least < self.f_star:
            if not self.safe:
                return None
            self.f_star = None
        alpha = None if self.f_star is None else (f - self.f_star) / (g @ g)
        if not self.safe:
            return self.factor * alpha
        if f > self.value:
            return None
        earlier = [self.early] + ([] if self.look_kappa is None else [self.look_kappa])
        still = all(abs(self.kappa / kappa - 1) <= 0.05 for kappa in earlier)
        self.look_kappa = self.kappa
        if alpha is not None and 0.4 <= alpha * self.kappa <= 1.5:
            self.doubted = False
        elif alpha is not None and self.taken < max(20, 2 * self.K):
            return None
        elif still and 0 < self.kappa * self.guard * self.eta < 0.75:
            self.doubted, alpha = alpha is not None, 0.75 / self.kappa
            if self.kappa > 0.8 * self.long_kappa:
                self.K = math.ceil(1.5 * self.K) + 1
            self.long_kappa = self.kappa
        else:
            return None
        return self.factor * alpha if alpha > self.guard * self.eta else None
