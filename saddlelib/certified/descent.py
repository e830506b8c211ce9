"""L-BFGS that watches slopes: one gradient a step, and a value now and then."""

from __future__ import annotations

import math

import numpy as np

from .._norm import norm
from ..derivatives import unit_of
from .memory import Memory

__all__ = ["descend", "first_length", "has_risen", "lowest", "noticed", "value_of"]

_UNIT = np.finfo(float).eps / 2
# A step is taken where its end is less steep, up or down, than this part of its start.
_STEEP = 0.9
# Without a value only where the trapezoids of the slopes say that f has fallen by this part of what
# the first slope promises, and for at most so many steps.
_CERTAIN, _BLIND = 0.25, 12
# A step that rounding swallows grows by this factor.
_LOST = 16.0
# How many times a step grows before f is asked.
_UNASKED = 3
# So many steps are taken by values after slopes have led up; twice as many every time.
_CAUTIOUS, _LONG = 5, 10**6
_ARMIJO = 1e-4
_TRIALS, _EXPANSIONS = 40, 12
# Decreases of f below so many units of rounding are not to be seen in its values.
_HIDDEN = 1e3
# The spacing of the one difference of gradients that a run begins with, as a part of ‖x‖.
_FIRST = 1e-5
# Changes of a gradient that are rounding, as a part of it; and where it is made of values.
_NOISE = 1e-13, 1e-7
# A direction with a smaller cosine to −∇f is no descent.
_LEAST_COSINE = 1e-12


def value_of(oracle, state) -> float:
    """f(x), asked for once; infinite where it is not a number, as NaN says that nobody asked."""
    if math.isnan(state.value):
        state.value = _asked(oracle, state.x)
    return state.value


def _asked(oracle, x):
    value = oracle.fun(x)
    return math.inf if math.isnan(value) else value


def noticed(state, x0, f0, g0, x1, f1, g1) -> None:
    """What two points with value and gradient say of ρ.

    The trapezoid (g₀ + g₁)·s/2 differs from f₁ − f₀ by at most ρ‖s‖³/12.
    """
    s = x1 - x0
    n = norm(s)
    if not n > 0:
        return
    off = abs(0.5 * float((g0 + g1) @ s) - (f1 - f0))
    blur = 8 * (abs(f0) + abs(f1)) + 4 * (norm(g0) + norm(g1)) * n
    cube = n * n * n
    if off > 10 * _UNIT * blur and cube > 0 and off > 10 * unit_of(g0, g1, [f0, f1]) * blur:
        rho = 12 * off / cube
        if math.isfinite(rho):
            state.lipschitz_hess = max(state.lipschitz_hess, rho)


def descend(oracle, state) -> bool:
    """One step of L-BFGS in place; whether there was one that f or its slopes allowed.

    Without values, where ``state.cautious`` is 0, a step is accepted by its slopes, and f is asked
    every few steps. If it has not fallen by then, the state returns to the last point that was
    known to be lower, forgets its pairs, and is cautious for some steps: f decides them. Where
    gradients are differences of values, f costs next to nothing and decides every step.
    """
    fresh, cautious = False, bool(state.cautious or oracle.differences)
    while True:
        if state.anchor is None:
            state.anchor = (state.x, value_of(oracle, state), state.jac)
        direction, slope = _direction(oracle, state, fresh)
        search = _by_values if cautious else _by_slopes
        if slope < 0:
            found = search(oracle, state, direction, slope)
            if found is not None and not _is_same(found[0], state.x):
                state.cautious -= state.cautious > 0
                _arrive(oracle, state, *found)
                return True
        if len(state.memory):  # the pairs may be to blame
            state.memory = Memory()
        elif not cautious:
            _go_back(oracle, state)
            cautious = True
        elif not fresh:  # or what is known of the curvature
            fresh = True
        else:
            return False


def _is_same(x, other):
    """Whether two points are equal, of which mostly the first coordinate tells that they are not.
    """
    return x[0] == other[0] and np.array_equal(x, other)


def _direction(oracle, state, fresh=False):
    """Where to, and the slope there; −∇f over the curvature where no pairs are known."""
    g = state.jac
    if len(state.memory):
        direction = state.memory.direction(g)
        slope = float(g.dot(direction))
        if slope < -_LEAST_COSINE * norm(g) * norm(direction):
            return direction, slope
        state.memory = Memory()
    direction = -first_length(oracle, state, fresh) * g
    return direction, float(g @ direction)


def first_length(oracle, state, fresh=False):
    """1/‖H‖; before it is known, or with ``fresh``, over the curvature along ∇f by one difference.

    So long is a step along −∇f that f allows, as a multiple of it.
    """
    slope, curvature = norm(state.jac), state.hess_norm
    if fresh or not curvature > 0:
        h = _FIRST * ((fresh and state.moved) or norm(state.x) or 1.0)
        seen = norm(oracle.grad(state.x - (h / slope) * state.jac) - state.jac) / h
        if math.isfinite(seen):
            curvature = seen
            state.hess_norm = max(state.hess_norm, seen)
    length = 1 / curvature if curvature > 0 else math.inf
    if state.straight and not state.cautious:  # and steps may grow from one to the next
        length = max(length, state.moved / slope)
    return length if length < math.inf else (norm(state.x) or 1.0) / slope


def _by_slopes(oracle, state, direction, slope):
    """(x, f or NaN, ∇f, whether f has surely fallen) of a step whose end is not steep, or None.

    ``low`` is the longest step that still leads down steeply, ``high`` the shortest one too far.
    """
    t, high, grown, found = 1.0, math.inf, 0, None
    low, at_low, fallen = 0.0, slope, 0.0  # and what the trapezoids say of f there
    for _ in range(_TRIALS):
        x = state.x + t * direction
        if _is_same(x, state.x):  # the step is lost in rounding
            if t < 1:
                break
            t *= _LOST
            continue
        g = oracle.grad(x)
        there = float(g.dot(direction))
        finite = math.isfinite(there)
        state.overflowed = state.overflowed or not finite
        if not (finite and there <= -_STEEP * slope):  # too far
            high = t
            if found is not None and (not finite or grown > 1):
                return found  # far enough
            fitted = (t - low) * at_low / (at_low - there) if finite else 0.0
            t = low + min(max(fitted, 0.1 * (high - low)), 0.5 * (high - low))
            continue
        change = fallen + 0.5 * (t - low) * (at_low + there)
        found = (x, math.nan, g, change <= _CERTAIN * t * slope)
        if there < _STEEP * slope and high == math.inf and grown < _EXPANSIONS:
            if grown and grown % _UNASKED == 0 and not oracle.fun(x) < state.anchor[1]:
                return found[:3] + (False,)  # slopes lead astray, which f will say once more
            low, at_low, fallen, grown = t, there, change, grown + 1
            t *= 2 if there > slope else 4
            continue
        return found
    return found


def _by_values(oracle, state, direction, slope):
    """The same by Armijo's rule, or by slopes where rounding hides the decrease of f."""
    t, best, grown = 1.0, None, 0
    f = value_of(oracle, state)
    for _ in range(_TRIALS):
        x = state.x + t * direction
        value = oracle.fun(x)
        state.overflowed = state.overflowed or not math.isfinite(value)
        hidden = abs(t * slope) < _HIDDEN * _UNIT * abs(f)
        falls = value <= f + _ARMIJO * t * slope or hidden and value <= f + 10 * _UNIT * abs(f)
        if falls and math.isfinite(value):
            g = oracle.grad(x)
            there = float(g.dot(direction))
            if math.isfinite(there) and not (hidden and abs(there) > abs(slope)):
                best = (x, value, g, True)
                if not there < _STEEP * slope or grown == _EXPANSIONS:
                    return best
                grown += 1
                t *= 2 if there > slope else 4
                continue
        if best is not None:
            return best
        excess = value - f - slope * t
        fitted = -0.5 * slope * t * t / excess if 0 < excess < math.inf else 0.0
        t = min(max(fitted, 0.1 * t), 0.5 * t)
    return best


def _arrive(oracle, state, x, value, g, sure):
    """Take the step that was found, unless f says that it led up."""
    state.blind += 1
    if math.isnan(value) and not (sure and state.blind < _BLIND):
        value = _asked(oracle, x)
    s, y = x - state.x, g - state.jac
    if not math.isnan(value):
        x0, f0, g0 = state.anchor
        hidden = abs(float(g0 @ (x - x0))) < _HIDDEN * _UNIT * abs(f0)
        falls = value < f0 or hidden and value <= f0 + 10 * _UNIT * abs(f0)
        if not (falls and math.isfinite(value)):
            state.overflowed = state.overflowed or not math.isfinite(value)
            _go_back(oracle, state)
            return
        noticed(state, x0, f0, g0, x, value, g)
        state.anchor, state.blind = (x, value, g), 0
    # Between the last known value and x there may be one lower than both.
    blind = math.isnan(state.value) and state.anchor[0] is not state.x
    state.trail = (state.x, state.jac) if blind else None
    known, curved, change = state.memory, float(s.dot(y)), norm(y)
    if change > _NOISE[oracle.differences in ("2-point", "3-point")] * norm(g):
        state.memory = known.add(s, y)
    else:  # what changed is noise
        known = state.memory = Memory()
        curved = 0.0
    state.straight = state.memory is known  # the slope did not rise along this step
    if curved > 0:
        state.hess_norm = max(state.hess_norm, min(change * (change / curved), 1e300))
    state.x, state.jac, state.value, state.moved = x, g, value, norm(s)


def _go_back(oracle, state):
    """To the lowest of the last points, and on from there with values."""
    state.anchor, state.trail = lowest(oracle, state), None
    state.x, state.value, state.jac = state.anchor
    state.memory, state.blind = Memory(), 0
    state.alarm = min(2 * state.alarm, _LONG) or _CAUTIOUS
    state.cautious = state.alarm


def lowest(oracle, state) -> tuple:
    """(x, f, ∇f) where f is lowest: here, at the point before, or at the last of known value."""
    if state.anchor[0] is state.x:
        return state.anchor
    last = (state.x, value_of(oracle, state), state.jac)
    if not -math.inf < last[1] <= state.anchor[1] and state.trail is not None:
        x, jac = state.trail
        last = (x, oracle.fun(x), jac)
    return last if -math.inf < last[1] <= state.anchor[1] else state.anchor


def has_risen(oracle, state) -> bool:
    """Whether f is higher than it was, after steps that did not ask; then the state goes back."""
    value = value_of(oracle, state)
    if state.anchor is None or state.anchor[0] is state.x:
        return False
    f = state.anchor[1]
    if value - f <= 10 * _UNIT * abs(f):  # false where f is no number
        return False
    _go_back(oracle, state)
    return True
