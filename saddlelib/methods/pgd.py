"""Perturbed gradient descent: Algorithm 2 of Jin et al. 2017, with its numbers left open."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .._arguments import curvature_scale, integer, positive
from ..perturbation import uniform_ball
from ..theory import jin2017
from ..theory.precision import decrease_warning, perturbation_warning
from .base import State
from .gd import gd_step

__all__ = ["PGD", "PGDState"]


@dataclass(repr=False)
class PGDState(State):
    """State of `PGD`.

    Attributes
    ----------
    t_noise : int
        Step of the last perturbation, −episode_length − 1 before the first.
    x_tilde, f_tilde, jac_tilde : ndarray, float, ndarray
        The point before the last perturbation, its value and its gradient.
    last_perturbation : ndarray or None
        What was added in the last step, if anything.
    perturbed_at : tuple of int
    """

    t_noise: int = 0
    x_tilde: np.ndarray | None = None
    f_tilde: float = math.nan
    jac_tilde: np.ndarray | None = None
    last_perturbation: np.ndarray | None = None
    perturbed_at: tuple[int, ...] = ()


@dataclass(frozen=True)
class PGD:
    r"""Gradient descent that adds one small random displacement where the gradient is small.

    Algorithm 2 of Jin et al. 2017 (arXiv:1703.00887). At step t, with g = ∇f(x_t):

    1. if ‖g‖ ≤ grad_threshold and t − t_noise > episode_length: remember x̃ = x_t, set t_noise = t,
       and add ξ uniform on the ball of radius ``perturbation_radius`` (added to x, not times η);
    2. if t − t_noise = episode_length and f(x_t) − f(x̃) > −decrease_threshold: return x̃, the
       point *before* the perturbation;
    3. x_{t+1} = x_t − η∇f(x_t).

    Parameters
    ----------
    step_size, perturbation_radius, grad_threshold, decrease_threshold : float
        η, r, g_thres, f_thres, all > 0.
    episode_length : int
        t_thres ≥ 1.

    `PGD.jin2017` fills them in from the paper, `PGD.practical` from the scales of the problem.
    """

    step_size: float
    perturbation_radius: float
    grad_threshold: float
    decrease_threshold: float
    episode_length: int

    def __post_init__(self):
        for name in ("step_size", "perturbation_radius", "grad_threshold", "decrease_threshold"):
            positive(name, getattr(self, name))
        integer("episode_length", self.episode_length)

    @classmethod
    def jin2017(cls, **constants) -> PGD:
        """With the constants of the paper; takes what `theory.jin2017.pgd_constants` takes."""
        k = jin2017.pgd_constants(**constants)
        return cls(k.step_size, k.perturbation_radius, k.grad_threshold, k.decrease_threshold,
                   k.episode_length)

    @classmethod
    def practical(cls, *, step_size, epsilon, dim, lipschitz_hess=None, curvature_tol=None,
                  perturbation_radius=None, episode_length=None, decrease_threshold=None) -> PGD:
        r"""With numbers a person can choose; what is left out follows the scales of the problem.

        With γ = √(ρε) and the length S = √(ε/ρ) = ε/γ on which curvature −γ can be lost:
        r = S/20; episode_length = ⌈ln(100 S√d/r)/ln(1 + ηγ)⌉, the steps in which all but about one
        perturbation in a hundred grow from r/√d to S; decrease_threshold = 0.1 √(ε³/ρ) = 0.1 ε²/γ.
        These are rules of thumb, not a theorem; the certificate at the end is what counts.
        """
        step_size, epsilon = positive("step_size", step_size), positive("epsilon", epsilon)
        _, gamma = curvature_scale(None, epsilon, lipschitz_hess, curvature_tol)
        scale = epsilon / gamma
        r = scale / 20 if perturbation_radius is None else positive(
            "perturbation_radius", perturbation_radius)
        if episode_length is None:
            reach = max(math.log(100 * scale * math.sqrt(dim) / r), 1.0)
            episode_length = math.ceil(reach / math.log1p(step_size * gamma))
        if decrease_threshold is None:
            decrease_threshold = 0.1 * epsilon**2 / gamma
        return cls(step_size, r, epsilon, decrease_threshold, episode_length)

    def init(self, oracle, x0, rng=None) -> PGDState:
        """State at x0; costs one gradient. ``rng`` is a seed or a Generator."""
        return PGDState(x=x0, jac=oracle.grad(x0), rng=np.random.default_rng(rng),
                        t_noise=-self.episode_length - 1)

    def step(self, oracle, state) -> PGDState:
        """One step; costs one gradient, and a value and a gradient more where it perturbs."""
        new = state.copy()
        new.last_perturbation = None
        since = state.nit - state.t_noise
        if since > self.episode_length and np.linalg.norm(state.jac) <= self.grad_threshold:
            self._perturb(oracle, new)
            since = 0
        if since == self.episode_length:
            if oracle.fun(new.x) - new.f_tilde > -self.decrease_threshold:
                new.x, new.jac, new.finished = new.x_tilde, new.jac_tilde, "stationary"
        if new.finished is None:
            new.x = gd_step(new.x, new.jac, self.step_size)
            new.jac = oracle.grad(new.x)
            new.nit = state.nit + 1
        return new

    def _perturb(self, oracle, state):
        x, value = state.x, oracle.fun(state.x)
        state.note = decrease_warning(self.decrease_threshold, value)
        if not state.note:
            xi = uniform_ball(state.rng, x.size, self.perturbation_radius)
            state.note = perturbation_warning(self.perturbation_radius, x, xi)
        if state.note:
            state.finished = "precision"
            return
        moved = x + xi
        state.x_tilde, state.f_tilde, state.jac_tilde = x, value, state.jac
        state.x, state.jac = moved, oracle.grad(moved)
        state.last_perturbation, state.t_noise = xi, state.nit
        state.perturbed_at = (*state.perturbed_at, state.nit)
