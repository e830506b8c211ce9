"""Perturbed Saddle-escape Descent with the episode that has a proof."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .._arguments import integer, positive
from ..perturbation import uniform_ball
from ..theory import episode
from ..theory.precision import perturbation_warning
from .base import Method, State
from .gd import gd_step
from .rules import rule

__all__ = ["RepairedPSD", "RepairedPSDState"]

# What a step may lose by rounding, as a share, before it counts as lost.
_SLACK = 1e-6


@dataclass(repr=False)
class RepairedPSDState(State):
    """State of `RepairedPSD`.

    Attributes
    ----------
    left : int
        Steps left of the present episode, 0 outside.
    certified : float
        D_t: what the moves of the present episode have lowered f by, at least.
    unrounded : float
        What the same gradients would certify if no step had been rounded.
    x_tilde, jac_tilde : ndarray or None
        The point before the last perturbation and its gradient.
    last_perturbation : ndarray or None
        What was added in the last step, if anything.
    perturbed_at : tuple of int
    """

    left: int = 0
    certified: float = 0.0
    unrounded: float = 0.0
    x_tilde: np.ndarray | None = None
    jac_tilde: np.ndarray | None = None
    last_perturbation: np.ndarray | None = None
    perturbed_at: tuple[int, ...] = ()


@dataclass(frozen=True)
class RepairedPSD(Method):
    r"""Descend; where the gradient is small, perturb, and let the gradients say if that helped.

    The method of `theory.episode`, at each step:

    1. outside an episode, if ‖∇f(x)‖ ≤ grad_threshold: remember x̃ = x, add ξ uniform on the ball of
       radius ``perturbation_radius``, and begin an episode;
    2. x⁺ = x − η∇f(x);
    3. in an episode, add −⟨∇f(x), s⟩ − (ℓ/2)‖s‖² to D, where s = x⁺ − x is the move that float64
       has made of the step; without rounding this is η(1 − ηℓ/2)‖∇f(x)‖². The episode ends when
       D ≥ exit_decrease; after ``episode_length`` steps without that, return x̃.

    It asks for gradients alone: no value, no Hessian. An episode that ends has lowered f by
    exit_decrease/2 for certain, at a saddle or not. Only a return can be wrong, with the
    probability that `theory.episode` bounds.

    The method stops and says so ("precision") where float64 swallows a coordinate of ξ; where a
    step outside an episode is rounded until it is worth less than one at the threshold should be,
    so that the bound on the number of steps would be lost; and where an episode has not succeeded,
    but would have if its steps had not been rounded.

    Parameters
    ----------
    step_size, grad_threshold, perturbation_radius, exit_decrease : float
        η, g, r, ℱ, all > 0.
    lipschitz_grad : float
        ℓ, with ηℓ ≤ 1.
    episode_length : int
        T ≥ 1.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Notes
    -----
    `RepairedPSD.proved` fills them in from the theorem.

    Examples
    --------
    >>> import saddlelib
    >>> from saddlelib.problems import QuarticSaddle
    >>> problem = QuarticSaddle(gamma=0.5, eigenvalues=[1.0])
    >>> method = RepairedPSD.proved(1.0, 4.3, epsilon=0.05, dim=2, delta_f=0.07)
    >>> result = saddlelib.minimize(problem, [0.0, 0.0], method, rng=0)
    >>> result.success, result.perturbed_at[0]
    (True, 0)
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

    @rule("psd", "repaired", step="1/ℓ")
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
            x, jac = new.x, new.jac
            new.x = gd_step(x, jac, self.step_size)
            new.nit = state.nit + 1
            worth = episode.certified_move(jac, new.x - x, self.lipschitz_grad)
            self._count(new, worth, float(jac @ jac))
            if new.finished is None:
                new.jac = oracle.grad(new.x)
        return new

    def _count(self, state, worth, slope):
        """Judge the step that was just made by what its move is ``worth``; slope is ‖∇f‖²."""
        if state.left > 0:
            state.certified += worth
            state.unrounded += self.step_size * (1 - self.step_size * self.lipschitz_grad / 2
                                                 ) * slope
            state.left = 0 if state.certified >= self.exit_decrease else state.left - 1
            if state.left == 0 and state.certified < self.exit_decrease:
                self._give_up(state)
        elif worth < (1 - _SLACK) * 0.5 * self.step_size * self.grad_threshold**2:
            state.finished = "precision"
            state.note = (f"a step of {self.step_size * math.sqrt(slope):.2g} is lost when added "
                          f"to x: float64 resolves its coordinates to "
                          f"{np.spacing(np.abs(state.x).max()):.2g}")

    def _give_up(self, state):
        """Return x̃, and say why: the episode is stuck, or rounding has kept it from moving."""
        rounded = state.unrounded >= self.exit_decrease
        state.finished = "precision" if rounded else "stationary"
        if rounded:
            state.note = (f"an episode lowered f by {state.certified:.2g} for certain instead of "
                          f"{state.unrounded:.2g}, because its steps were rounded: float64 "
                          f"resolves the coordinates of x to "
                          f"{np.spacing(np.abs(state.x).max()):.2g}")
        state.x, state.jac = state.x_tilde, state.jac_tilde

    def _perturb(self, oracle, state):
        xi = uniform_ball(state.rng, state.x.size, self.perturbation_radius)
        state.note = perturbation_warning(self.perturbation_radius, state.x, xi)
        if state.note:
            state.finished = "precision"
            return
        state.x_tilde, state.jac_tilde = state.x, state.jac
        state.x = state.x + xi
        rise = -episode.certified_move(state.jac, state.x - state.x_tilde, self.lipschitz_grad)
        # Without rounding a perturbation raises f by less than this half, and D begins at 0.
        state.certified = min(0.0, 0.5 * self.exit_decrease - rise)
        state.jac = oracle.grad(state.x)
        state.last_perturbation, state.left = xi, self.episode_length
        state.unrounded = 0.0
        state.perturbed_at = (*state.perturbed_at, state.nit)
