"""Gradient descent from many starts at once, by the same update rule."""

from __future__ import annotations

import numpy as np

from ._arguments import integer, positive
from .methods import gd_step

__all__ = ["first_time", "settle"]


def first_time(problem, starts, reached, *, step_size, maxiter) -> np.ndarray:
    """First step of gradient descent at which each start satisfies a condition.

    Parameters
    ----------
    problem : Problem
    starts : ndarray, shape (n, d)
    reached : callable
        Maps points (m, d) to booleans (m,).
    step_size : float
        η.
    maxiter : int

    Returns
    -------
    ndarray of float, shape (n,)
        A whole number of steps, or inf where ``maxiter`` steps did not suffice or where a step
        changed no bit of the point, so that no later one will.

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib.problems import QuadraticSaddle
    >>> starts = np.array([[0.25, 0.0], [0.0, 1.0]])
    >>> first_time(QuadraticSaddle([-1.0, 1.0]), starts, lambda x: abs(x[:, 0]) >= 1,
    ...            step_size=1.0, maxiter=100)
    array([ 2., inf])
    """
    points, step_size, maxiter = _arguments(problem, starts, step_size, maxiter)
    times = np.full(len(points), np.inf)
    running = np.arange(len(points))
    for step in range(maxiter + 1):
        done = np.asarray(reached(points), dtype=bool)
        if done.any():
            times[running[done]] = step
            running, points = running[~done], points[~done]
        if not len(running) or step == maxiter:
            break
        moved = gd_step(points, problem.grad(points), step_size)
        alive = (moved != points).any(axis=1)  # a step that changes nothing is the last one
        running, points = running[alive], moved[alive]
    return times


def settle(problem, starts, *, step_size, maxiter) -> tuple[np.ndarray, np.ndarray]:
    """Where gradient descent comes to rest in float64: a step that changes no bit.

    Parameters
    ----------
    problem : Problem
    starts : ndarray, shape (n, d)
    step_size : float
        η.
    maxiter : int

    Returns
    -------
    points : ndarray, shape (n, d)
        The last iterates.
    still : ndarray of bool, shape (n,)
        Whether the next step changes nothing; False where ``maxiter`` steps did not suffice.

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib.problems import QuadraticSaddle
    >>> settle(QuadraticSaddle([1.0]), np.array([[3.0]]), step_size=1.0, maxiter=5)
    (array([[0.]]), array([ True]))
    """
    points, step_size, maxiter = _arguments(problem, starts, step_size, maxiter)
    for step in range(maxiter + 1):
        moved = gd_step(points, problem.grad(points), step_size)
        still = (moved == points).all(axis=1)
        if still.all() or step == maxiter:
            return points, still
        points = moved


def _arguments(problem, starts, step_size, maxiter):
    step_size, maxiter = positive("step_size", step_size), integer("maxiter", maxiter, least=0)
    points = np.array(starts, dtype=float)
    if points.ndim != 2 or points.shape[1] != problem.dim:
        raise ValueError(f"starts must have shape (n, {problem.dim}), got {points.shape}")
    return points, step_size, maxiter
