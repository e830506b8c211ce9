"""Mini-batch gradients: plain steps, perturbed episodes as published, and larger steps at times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._arguments import integer, positive
from ..theory import alpay2025
from .base import Method, State, gd_step, perturb

__all__ = ["CNCSGD", "PSGD", "SGD", "PSGDState", "SGDState"]


@dataclass(repr=False)
class SGDState(State):
    """State of `SGD` and `CNCSGD`; its ``jac`` is a mini-batch gradient at x.

    Attributes
    ----------
    unseen : ndarray or None
        The indices of a `FiniteSum` that are left of the present epoch. With ``rng`` they fix all
        later mini-batches, on whichever oracle.
    """

    unseen: np.ndarray | None = None


@dataclass(frozen=True)
class SGD(Method):
    """x_{k+1} = x_k − ηĝ(x_k), with ĝ a mini-batch gradient; never stops.

    Parameters
    ----------
    step_size : float
        η > 0.
    batch_size : int
        B ≥ 1, the samples in a mini-batch; at most n for a `FiniteSum` of n terms.

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib import Oracle
    >>> from saddlelib.problems import QuarticSaddle
    >>> oracle, method = Oracle(QuarticSaddle(), grad_noise=0.1, rng=0), SGD(0.5, batch_size=16)
    >>> state = method.init(oracle, np.zeros(2))
    >>> while oracle.nsamples + method.batch_size <= 1000:
    ...     state = method.step(oracle, state)
    >>> state.nit, oracle.njev, oracle.nsamples
    (61, 62, 992)
    """

    step_size: float
    batch_size: int

    def __post_init__(self):
        positive("step_size", self.step_size)
        integer("batch_size", self.batch_size)

    def init(self, oracle, x0, rng=None) -> SGDState:
        """State at x0; costs one mini-batch, as every step does.

        ``rng``, a seed or a Generator, is the source of the noise and of the mini-batches; without
        it they come from the generator of the oracle.
        """
        if rng is None and oracle.rng is not None:
            rng = oracle.rng
        state = self._state(x=x0, jac=None, rng=np.random.default_rng(rng))
        self._draw(oracle, state)
        return state

    def step(self, oracle, state) -> SGDState:
        """One step, along the mini-batch gradient of the state; draws the next one."""
        new = state.copy()
        self.look(oracle, new)
        if new.finished is None:
            new.x = gd_step(new.x, new.jac, self._length(new))
            new.nit += 1
            self._draw(oracle, new)
        return new

    _state = SGDState

    def _length(self, state):
        return self.step_size

    def _draw(self, oracle, state):
        """A new mini-batch gradient at x; the state brings its randomness to the oracle."""
        oracle.rng, oracle.unseen = state.rng, state.unseen
        state.jac = oracle.batch_grad(state.x, self.batch_size)
        state.unseen = oracle.unseen


@dataclass(frozen=True)
class CNCSGD(SGD):
    """`SGD` whose every ``interval``-th step is larger, after Daneshmand et al. 2018.

    arXiv:1803.05999, CNC-SGD. There is no perturbation: the noise of the gradient itself has to
    have a part along the negative curvature. Never stops. Their constants are not here, because we
    have read no more than the abstract.

    Parameters
    ----------
    step_size, batch_size : float, int
        η and B, as for `SGD`.
    large_step : float
        r ≥ η, the length of step numbers t_thres, 2 t_thres, … as a multiple of the gradient.
    interval : int
        t_thres ≥ 1.
    """

    large_step: float
    interval: int

    def __post_init__(self):
        super().__post_init__()
        if positive("large_step", self.large_step) < self.step_size:
            raise ValueError(f"large_step must be at least step_size = {self.step_size:.3g}, got "
                             f"{self.large_step:.3g}")
        integer("interval", self.interval)

    def _length(self, state):
        return self.large_step if (state.nit + 1) % self.interval == 0 else self.step_size


@dataclass(repr=False)
class PSGDState(SGDState):
    """State of `PSGD`.

    Attributes
    ----------
    episodes : int
        Episodes begun.
    left : int
        Steps left of the present episode, 0 outside.
    last_perturbation : ndarray or None
        What was added in the last step, if anything.
    perturbed_at : tuple of int
    """

    episodes: int = 0
    left: int = 0
    last_perturbation: np.ndarray | None = None
    perturbed_at: tuple[int, ...] = ()


@dataclass(frozen=True)
class PSGD(SGD):
    r"""Descend along mini-batch gradients; where one of them is small, perturb.

    The stochastic variant in the authors' repository of Alpay & Alakkad 2025. With ĝ the mean of B
    samples, at step t:

    1. outside an episode, if ‖ĝ(x_t)‖ ≤ trigger: add ξ uniform on the ball of radius
       ``perturbation_radius``, and begin an episode of exactly ``episode_length`` steps, during
       which nothing is looked at; after ``max_episodes`` of them return x_t;
    2. x_{t+1} = x_t − ηĝ(x_t).

    **It has no stopping rule and gives no certificate.** Nothing ever looks at the curvature, so a
    minimum is perturbed like a saddle, again and again. The only end is that all M episodes are
    used, which says nothing about the point, and the authors' M grows like ε⁻². Give every run a
    budget of samples, ``oracle.nsamples``, and certify where it ends.

    For noise of variance σ² in *each coordinate* of a sample (``grad_noise`` = σ√d), the authors
    take B = max(1, ⌈(2σ²/ε²) ln(2/δ_fp)⌉) and trigger = ε√(1 + 2σ²/(Bε²)), without the dimension.
    The mean of B samples has the norm σ√(d/B), about, at a stationary point: in high dimension the
    trigger seldom fires there, and then this is `SGD`.

    Parameters
    ----------
    step_size, batch_size : float, int
        η and B, as for `SGD`.
    trigger, perturbation_radius : float
        In the units of the gradient and of x, both > 0.
    episode_length, max_episodes : int
        T ≥ 1 and M ≥ 1.

    `PSGD.published` fills them in from the authors' formulas.
    """

    trigger: float
    perturbation_radius: float
    episode_length: int
    max_episodes: int

    def __post_init__(self):
        super().__post_init__()
        for name in ("trigger", "perturbation_radius"):
            positive(name, getattr(self, name))
        for name in ("episode_length", "max_episodes"):
            integer(name, getattr(self, name))

    @classmethod
    def published(cls, *, noise_std, batch_size=None, false_positive_prob=0.1,
                  **constants) -> PSGD:
        """With the authors' constants; takes what `theory.alpay2025.psd_constants` takes, and more.

        Parameters
        ----------
        noise_std : float
            σ ≥ 0, the standard deviation of one coordinate of one sample; ``grad_noise``/√d.
        batch_size : int, optional
            B; `theory.alpay2025.batch_size` by default.
        false_positive_prob : float
            δ_fp in (0, 1), for B.

        Examples
        --------
        >>> method = PSGD.published(noise_std=0.5, lipschitz_grad=2.0, lipschitz_hess=4.0,
        ...                         epsilon=0.1, dim=10, delta_f=0.1)
        >>> method.batch_size, round(method.trigger, 3), method.episode_length
        (150, 0.115, 386)
        """
        k = alpay2025.psd_constants(**constants)
        epsilon = constants["epsilon"]
        if batch_size is None:
            batch_size = alpay2025.batch_size(noise_std, epsilon, false_positive_prob)
        trigger = alpay2025.batch_trigger(noise_std, epsilon, batch_size)
        return cls(k.step_size, batch_size, trigger, k.perturbation_radius, k.episode_length,
                   k.max_episodes)

    _state = PSGDState

    def look(self, oracle, state):
        """Costs a mini-batch more where it perturbs."""
        state.last_perturbation = None
        if state.left == 0 and np.linalg.norm(state.jac) <= self.trigger:
            self._begin(oracle, state)
        state.left = max(state.left - 1, 0)  # for the step that comes now

    def _begin(self, oracle, state):
        if state.episodes >= self.max_episodes:
            state.finished = "stationary"
            state.note = (f"all {self.max_episodes} episodes are used; nothing is known about the "
                          f"curvature")
            return
        perturb([state], [self.perturbation_radius])
        if state.finished is None:
            state.episodes += 1
            state.left = self.episode_length
            self._draw(oracle, state)
