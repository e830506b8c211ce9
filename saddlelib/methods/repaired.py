"""Perturbed Saddle-escape Descent with the episode that has a proof."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._arguments import integer, positive
from ..perturbation import uniform_ball
from ..theory import episode
from ..theory.precision import perturbation_warning
from .base import State
from .gd import gd_step

__all__ = ["RepairedPSD", "RepairedPSDState"]


@dataclass(repr=False)
class RepairedPSDState(State):
    """State of `RepairedPSD`.

    Attributes
    ----------
    left : int
        Steps left of the present episode, 0 outside.
    certified : float
        D_t: what the steps of the present episode have lowered f by, at least.
    x_tilde, jac_tilde : ndarray or None
        The point before the last perturbation and its gradient.
    last_perturbation : ndarray or None
        What was added in the last step, if anything.
    perturbed_at : tuple of int
    """

    left: int = 0
    certified: float = 0.0
    x_tilde: np.ndarray | None = None
    jac_tilde: np.ndarray | None = None
    last_perturbation: np.ndarray | None = None
    perturbed_at: tuple[int, ...] = ()


@dataclass(frozen=True)
class RepairedPSD:
    r"""Descend; where the gradient is small, perturb, and let the gradients say if that helped.

    The method of `theory.episode`, at each step:

    1. outside an episode, if ‖∇f(x)‖ ≤ grad_threshold: remember x̃ = x, add ξ uniform on the ball of
       radius ``perturbation_radius``, and begin an episode;
    2. x⁺ = x − η∇f(x);
    3. in an episode, add η(1 − ηℓ/2)‖∇f(x)‖² to D. The episode ends when D ≥ exit_decrease; after
       ``episode_length`` steps without that, return x̃.

    It asks for gradients alone: no value, no Hessian. An episode that ends has lowered f by
    exit_decrease/2 for certain, at a saddle or not. Only a return can be wrong, with the
    probability that `theory.episode` bounds.

    Parameters
    ----------
    step_size, grad_threshold, perturbation_radius, exit_decrease : float
        η, g, r, ℱ, all > 0.
    lipschitz_grad : float
        ℓ, with ηℓ ≤ 1.
    episode_length : int
        T ≥ 1.

    `RepairedPSD.proved` fills them in from the theorem.
    """

    step_size: float
    grad_threshold: float
    perturbation_radius: float
    exit_decrease: float
    lipschitz_grad: float
    episode_length: int

    def __post_init__(self):
        for name in ("step_size", "grad_threshold", "perturbation_radius", "exit_decrease",
                     "lipschitz_grad"):
            positive(name, getattr(self, name))
        integer("episode_length", self.episode_length)
        if self.step_size * self.lipschitz_grad > 1 + 2**-50:
            raise ValueError(f"step_size must be at most 1/ℓ = {1 / self.lipschitz_grad:.6g}, got "
                             f"{self.step_size:.6g}")

    @classmethod
    def proved(cls, lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f,
               failure_prob=0.1) -> RepairedPSD:
        """With the constants that `theory.episode` proves enough, and a step of 1/ℓ."""
        steps = episode.smallest_episode_length(lipschitz_grad, lipschitz_hess, epsilon, dim,
                                                delta_f, failure_prob)
        k = episode.episode_constants(lipschitz_grad, lipschitz_hess, epsilon, dim, steps)
        return cls(k.step_size, k.grad_threshold, k.perturbation_radius, k.exit_decrease,
                   lipschitz_grad, steps)

    def init(self, oracle, x0, rng=None) -> RepairedPSDState:
        """State at x0; costs one gradient. ``rng`` is a seed or a Generator."""
        return RepairedPSDState(x=x0, jac=oracle.grad(x0), rng=np.random.default_rng(rng))

    def step(self, oracle, state) -> RepairedPSDState:
        """One step; costs one gradient, and one more where it perturbs."""
        new = state.copy()
        new.last_perturbation = None
        if state.left == 0 and np.linalg.norm(state.jac) <= self.grad_threshold:
            self._perturb(oracle, new)
        if new.finished is None:
            new.x = gd_step(new.x, new.jac, self.step_size)
            new.nit = state.nit + 1
            if new.left > 0 and self._is_stuck(new):
                new.x, new.jac, new.finished = new.x_tilde, new.jac_tilde, "stationary"
            else:
                new.jac = oracle.grad(new.x)
        return new

    def _is_stuck(self, state) -> bool:
        """Add the last step to D, and say whether the episode has used up its time in vain."""
        gain = self.step_size * (1 - self.step_size * self.lipschitz_grad / 2)
        state.certified += gain * float(state.jac @ state.jac)
        state.left = 0 if state.certified >= self.exit_decrease else state.left - 1
        return state.left == 0 and state.certified < self.exit_decrease

    def _perturb(self, oracle, state):
        xi = uniform_ball(state.rng, state.x.size, self.perturbation_radius)
        state.note = perturbation_warning(self.perturbation_radius, state.x, xi)
        if state.note:
            state.finished = "precision"
            return
        state.x_tilde, state.jac_tilde = state.x, state.jac
        state.x = state.x + xi
        state.jac = oracle.grad(state.x)
        state.last_perturbation, state.certified, state.left = xi, 0.0, self.episode_length
        state.perturbed_at = (*state.perturbed_at, state.nit)
