"""Gradient descent with a constant step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .base import State

__all__ = ["GradientDescent", "gd_step"]


def gd_step(x, grad, step_size):
    """x − η∇f(x), for one point (d,) or a batch (n, d)."""
    return x - step_size * grad


@dataclass(frozen=True)
class GradientDescent:
    """x_{k+1} = x_k − η∇f(x_k) until ‖∇f(x_k)‖₂ ≤ grad_threshold.

    Parameters
    ----------
    step_size : float
        η. At most 1/ℓ for a guaranteed decrease of (η/2)‖∇f‖² (Jin et al. 2017, Lemma 9).
    grad_threshold : float
        In the units of the gradient; 0 runs until the gradient vanishes.
    """

    step_size: float
    grad_threshold: float = 0.0

    def init(self, oracle, x0, rng=None) -> State:
        """State at x0; costs one gradient."""
        return self._judge(State(x=x0, jac=oracle.grad(x0), rng=rng))

    def step(self, oracle, state) -> State:
        """One step; costs one gradient."""
        new = state.copy()
        new.x = gd_step(state.x, state.jac, self.step_size)
        new.jac = oracle.grad(new.x)
        new.nit = state.nit + 1
        return self._judge(new)

    def _judge(self, state):
        if np.linalg.norm(state.jac) <= self.grad_threshold:
            state.finished = "stationary"
        return state
