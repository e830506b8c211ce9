"""What every method carries from step to step, and what it tells a loop over many runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..perturbation import uniform_ball
from ..theory.precision import perturbation_survives, perturbation_warning
from .rules import declared

__all__ = ["Method", "State", "Wait", "asks", "gd_step", "not_finite",
           "perturb"]


@dataclass(repr=False)
class State:
    """Everything a run needs to go on: pickle it, and the run continues bit for bit.

    Attributes
    ----------
    x, jac : ndarray, shape (d,)
        The iterate and the gradient there.
    nit : int
        Steps taken.
    rng : numpy.random.Generator or None
    finished : str or None
        Why the method itself stopped: "stationary", "precision", "nonfinite" (a value it
        needed), or None while it runs.
    note : str
        The numbers behind ``finished``.
    delta_f : float or None
        Δ_f at the start, where the numbers of the method were made from it: a run that goes on
        elsewhere goes on with the same numbers.
    shape : tuple of int or None
        The shape of x as the user's functions know it; None for that of ``x``.

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib import Oracle
    >>> from saddlelib.methods import GradientDescent
    >>> from saddlelib.problems import QuadraticSaddle
    >>> oracle, descent = Oracle(QuadraticSaddle([2.0])), GradientDescent(step_size=0.25)
    >>> state = descent.step(oracle, descent.init(oracle, np.array([1.0])))
    >>> state, state.x, state.jac
    (State(nit=1, finished=None), array([0.5]), array([1.]))
    """

    x: np.ndarray
    jac: np.ndarray
    nit: int = 0
    rng: Any = None
    finished: str | None = None
    note: str = ""
    delta_f: float | None = None
    shape: tuple[int, ...] | None = None

    def copy(self) -> State:
        """The same state once more, arrays shared: what a step fills in anew."""
        new = object.__new__(type(self))  # several times faster than dataclasses.replace
        new.__dict__.update(self.__dict__)
        return new

    def __repr__(self) -> str:
        return f"{type(self).__name__}(nit={self.nit}, finished={self.finished!r})"


class Wait(NamedTuple):
    """How long a method takes plain gradient steps without looking.

    It looks again after the step that is number ``steps``, or that arrives where
    ‖∇f‖₂ ≤ grad_threshold, or where ‖x − anchor‖₂ ≥ radius, whichever comes first.

    Attributes
    ----------
    steps : float
        ≥ 1; infinite where nothing depends on them.
    grad_threshold : float
        In the units of the gradient; −inf where nothing depends on it.
    anchor : ndarray, shape (d,), or None
        The point from which ``radius`` is measured.
    radius : float
        In the units of x; infinite where nothing depends on it.

    Examples
    --------
    >>> from saddlelib.methods import GradientDescent
    >>> GradientDescent(step_size=0.1, grad_threshold=1e-3).waits(None).grad_threshold
    0.001
    """

    steps: float = math.inf
    grad_threshold: float = -math.inf
    anchor: np.ndarray | None = None
    radius: float = math.inf


class Method:
    """What all methods share: a look around, then a plain gradient step of length ``step_size``.

    A method adds ``init(oracle, x0, rng)`` and `look`. One that says in `waits` how long it will
    not look again runs from many starts at once as fast as gradient descent does. A method whose
    steps are of another kind overrides `step`. What makes it of numbers it declares with
    `methods.rule`.

    Attributes
    ----------
    step_size : float
        η of the plain steps.

    Examples
    --------
    >>> class TenSteps(Method):
    ...     step_size = 0.25
    ...     def init(self, oracle, x0, rng=None):
    ...         return State(x=x0, jac=oracle.grad(x0), rng=rng)
    ...     def look(self, oracle, state):
    ...         state.finished = "stationary" if state.nit == 10 else None
    >>> import saddlelib
    >>> saddlelib.minimize(lambda x: x @ x, [1.0], TenSteps(), jac=lambda x: 2 * x).nit
    10
    """

    step_size: float

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        declared(cls)

    def step(self, oracle, state) -> State:
        """One step, which leaves ``state`` as it was: `look`, then x − η∇f(x)."""
        new = state.copy()
        radius = self.look(oracle, new)
        if radius is not None:
            perturb([new], [radius])
        if new.finished is None:
            if new.jac is None:
                new.jac = oracle.grad(new.x)
            x = gd_step(new.x, new.jac, self.step_size)
            self.moved(new, x, oracle.grad(x))
        return new

    def look(self, oracle, state) -> float | None:
        """Do in place what comes before a plain step, for example stop.

        A number that is returned is the radius for `perturb`. Where a look changes x itself,
        ``jac`` may be None: the gradient is then computed for the step.
        """

    def moved(self, state, x, jac, steps=1):
        """Bring a state in place to x, where so many plain steps led, with its gradient."""
        state.x, state.jac = x, jac
        state.nit += steps

    def waits(self, state) -> Wait:
        """The plain steps from here, after a look, until the next look that can do anything."""
        return Wait(steps=1)


def asks(steps) -> bool:
    """Whether an episode asks for f after so many steps: after 1, 2, 4, 8, … of them."""
    return steps > 0 and steps & (steps - 1) == 0


def perturb(states, radii):
    """Add to each state in place a ξ uniform on the ball of its radius, from its own generator.

    The states have ``last_perturbation`` and ``perturbed_at``. Where float64 swallows ξ, or a
    coordinate of it (`theory.precision.perturbation_survives`), a state stays where it is, is
    finished ("precision"), and its note says why.
    """
    x = np.array([state.x for state in states])
    spread = np.array(radii)[:, np.newaxis]
    xi = uniform_ball([state.rng for state in states], x.shape[1], spread)
    survives = perturbation_survives(x, xi, spread).tolist()
    for state, radius, moved, step, ok in zip(states, radii, x + xi, xi, survives, strict=True):
        if ok:
            state.x, state.jac, state.last_perturbation = moved, None, step
            state.perturbed_at = (*state.perturbed_at, state.nit)
        else:
            state.finished, state.note = "precision", perturbation_warning(radius, state.x, step)


def not_finite(state, what, step_size=None):
    """End a run at a value that is not finite: which, after which step, and what may help."""
    where = "the start" if state.nit == 0 else f"the point after step number {state.nit}"
    remedy = "; give a start where f is finite" if state.nit == 0 else (
        "" if step_size is None else f"; a step_size below {step_size:.3g} may help")
    state.finished, state.note = "nonfinite", f"{what} at {where}{remedy}"


def gd_step(x, grad, step_size):
    """x − η∇f(x), for a number, one point (d,) or a batch (n, d).

    Parameters
    ----------
    x, grad : float, or ndarray, shape (d,) or (n, d)
        The point, or a batch, and the gradient there.
    step_size : float
        η.

    Returns
    -------
    float or ndarray
        In the shape of x.

    Examples
    --------
    >>> gd_step(2.0, 1.0, step_size=0.5)
    1.5
    """
    step = step_size * grad
    # The product has no other reader, so a batch is written there instead of into new memory.
    return np.subtract(x, step, out=step) if isinstance(step, np.ndarray) else x - step
