"""Gradient descent with a constant step."""

from __future__ import annotations

from dataclasses import dataclass

from .._arguments import nonnegative, positive
from .._norm import norm
from .base import Method, State, Wait, gd_step
from .rules import rule

__all__ = ["GradientDescent", "gd_step"]


@rule("gd", "constant", default=True, grad_threshold="epsilon")
@dataclass(frozen=True)
class GradientDescent(Method):
    """x_{k+1} = x_k − η∇f(x_k) until ‖∇f(x_k)‖₂ ≤ grad_threshold.

    Parameters
    ----------
    step_size : float
        η. At most 1/ℓ for a guaranteed decrease of (η/2)‖∇f‖² (Jin et al. 2017, Lemma 9).
    grad_threshold : float
        In the units of the gradient; 0 runs until the gradient vanishes.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> import saddlelib
    >>> from saddlelib.problems import QuarticSaddle
    >>> problem = QuarticSaddle(gamma=0.5, eigenvalues=[1.0])
    >>> descent = GradientDescent(step_size=0.5, grad_threshold=1e-6)
    >>> result = saddlelib.minimize(problem, [0.0, 1.0], descent, rng=0)
    >>> saddlelib.Status(result.status).name, result.nit
    ('SADDLE', 20)
    """

    step_size: float
    grad_threshold: float = 0.0

    def __post_init__(self):
        positive("step_size", self.step_size)
        nonnegative("grad_threshold", self.grad_threshold)

    def init(self, oracle, x0, rng=None) -> State:
        """State at x0; costs one gradient, as every step does."""
        state = State(x=x0, jac=oracle.grad(x0), rng=rng)
        self._judge(state)
        return state

    def waits(self, state) -> Wait:
        """Until the gradient is small."""
        return Wait(grad_threshold=self.grad_threshold)

    def moved(self, state, x, jac, steps=1):
        """Stop where the gradient is small."""
        super().moved(state, x, jac, steps)
        self._judge(state)

    def _judge(self, state):
        if norm(state.jac) <= self.grad_threshold:
            state.finished = "stationary"
