"""Away from a saddle along its negative curvature: by values, with a fitted quartic."""

from __future__ import annotations

import math

import numpy as np

from .descent import value_of

__all__ = ["escape"]

_UNIT = np.finfo(float).eps / 2
# Lengths grow and shrink by this factor, so often at most.
_FACTOR, _GROWTHS, _CUTS = 4.0, 30, 60
# Four times the length has to be worth this part more.
_GAIN = 0.1
# f has to fall by this part of |λ|t²; ½ is what curvature alone would do.
_PART = 1 / 8
# On lengths beyond so many times slope over curvature, a slope explains no fall by that part.
_SLOPES = 16
# No length beyond, whose square is still a float.
_FARTHEST = 1e150
# A fitted minimizer nearer than this part to the best length is not worth a value.
_NEAR = 0.15


def escape(oracle, state, direction, curvature) -> bool:
    r"""Move a state in place to x + t v with f(x + tv) ≤ f(x) − \|λ\|t²/8; whether one was found.

    t begins at the length of the last escape, else at 2\|λ\|/ρ̂, else at a tenth of ‖x‖. At
    the first escape it grows fourfold as long as f falls by a tenth more, so that a ray along which
    f only approaches a limit is left soon; it shrinks fourfold until f has fallen.
    Then f along v is fitted by f + f′t + λt²/2 + at³ + bt⁴ through the two nearest lengths; its
    minimizer is tried once, and its third derivative is taken into the estimate of ρ. Costs a value
    each, and a gradient.
    """
    x, f = state.x, value_of(oracle, state)
    slope = float(state.jac @ direction)
    v, slope = (-direction, -slope) if slope > 0 else (direction, slope)
    curvature = abs(curvature)
    seen = {}

    def at(t):
        if t not in seen:
            seen[t] = oracle.fun(x + t * v)
        return seen[t]

    def falls(t):  # by curvature, and not for what is left of the slope
        least = 0.0 if curvature * t >= _SLOPES * abs(slope) else slope * t
        enough = _PART * curvature * t * t
        falls = math.isfinite(at(t)) and at(t) < f and at(t) <= f + least - enough
        # By differences the slope has an error; what is left of it is odd in t.
        return falls and (not oracle.differences or at(t) + at(-t) - 2 * f <= -enough)

    t = min(max(_first(state, curvature), _SLOPES * abs(slope) / curvature), _FARTHEST)
    if falls(t):
        for _ in range(0 if state.reach > 0 else _GROWTHS):
            if not (_FACTOR * t <= _FARTHEST and math.isfinite(at(_FACTOR * t))
                    and at(_FACTOR * t) < at(t) - _GAIN * (f - at(t))):
                break
            t *= _FACTOR
    else:
        for _ in range(_CUTS):
            t /= _FACTOR
            if not _PART * curvature * t * t > 4 * _UNIT * (abs(f) + abs(slope) * t):
                return False
            if falls(t):
                break
        else:
            return False
    t = _fitted(state, at, seen, t, f, slope, -curvature)
    state.x = x + t * v
    state.jac, state.value = oracle.grad(state.x), seen[t]
    state.anchor, state.blind = (state.x, state.value, state.jac), 0
    state.reach = state.moved = t
    return True


def _first(state, curvature):
    """The first length to try."""
    if state.reach > 0:
        return state.reach
    if state.lipschitz_hess > 0:
        return 2 * curvature / state.lipschitz_hess
    return 0.1 * (float(np.linalg.norm(state.x)) or 1.0)


def _fitted(state, at, seen, t, f, slope, curvature):
    """t, or the minimizer of the quartic through it and its nearest neighbour, if f is lower."""
    others = [s for s, value in seen.items() if 0 < s != t and math.isfinite(value)]
    if not others:
        return t
    other = min(others, key=lambda s: abs(math.log(s / t)))
    powers = np.array([[s * s * s, s * s * s * s] for s in (t, other)])
    rest = np.array([seen[s] - f - slope * s - curvature * s * s / 2 for s in (t, other)])
    try:
        a, b = np.linalg.solve(powers, rest)
    except np.linalg.LinAlgError:
        return t
    if not math.isfinite(a + b):
        return t
    # |f'''| = |6a + 24bs| along the way; noise in f may make anything of it over short ways.
    third = max(abs(6 * a), abs(6 * a + 24 * b * t))
    state.lipschitz_hess = max(state.lipschitz_hess, min(third, 8 * abs(curvature) / t))
    roots = np.roots([4 * b, 3 * a, curvature, slope])
    roots = roots[np.abs(roots.imag) <= 1e-9 * np.abs(roots)].real
    roots = roots[(roots > t / _FACTOR) & (roots < _FACTOR * t)]
    if not roots.size:
        return t
    model = slope * roots + curvature * roots**2 / 2 + a * roots**3 + b * roots**4
    best = float(roots[model.argmin()])
    better = abs(best / t - 1) > _NEAR and at(best) < seen[t]
    return best if better else t
