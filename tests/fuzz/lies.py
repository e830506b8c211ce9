"""Which wrong derivatives can be seen at all: the one criterion for what the judge lets pass.

f, ∇f and Hv are looked at along a line x + tb. What can be seen there are a change of f against
what the gradients say, and a change of the gradient against what the product says. A lie is visible
when on at least `SHARE` of random lines there is a step h, longer than `_STEPS` units of rounding
of x and shorter than `_SMOOTH` of the length on which F varies, at which

- the deviation is more than `_GROSS` of what is said. The library promises to see a quarter; with
  less, a function that changes along the way would be accused as well;
- and more than `_VALUES` (`_GRADIENTS`) units of rounding of what was added up: the nine values of
  a fit, or a difference of two gradients, have to show a parabola in it, and who looks does not
  know the best h.

Two limits are set by others. A change below the least normal number over a unit of rounding has no
53 bits left for its errors; where h(∇²f)b or h²bᵀ(∇²f)b is that small, nothing is looked at. And
a product is looked at no further away than min(ε/γ, γ/ρ), the length that matters to the caller.

A certificate from some of the terms of a sum never asks for f, which costs all of them.
"""

from __future__ import annotations

import math

import numpy as np

from saddlelib import SampleCertificate

_LINES, SHARE, _GROSS = 64, 0.95, 0.35
_STEPS, _SMOOTH = 1e3, 0.05
_VALUES, _GRADIENTS = 1e4, 1e3
_UNIT = 2.0**-53
_LEAST = float(np.finfo(float).tiny) / _UNIT


def visible(call, x, cert) -> bool:
    """Whether the lie of this call is visible at x."""
    if isinstance(cert, SampleCertificate) and not call.noise and call.door == "certify_samples" \
            and cert.nfev == 0:
        return False
    with np.errstate(all="ignore"):
        lines = np.random.default_rng(0).standard_normal((_LINES, call.truth.dim))
        try:
            look = _Lie(call, x, cert)
        except np.linalg.LinAlgError:  # of numbers that are not finite
            return False
        return np.mean([look.seen(b / np.linalg.norm(b)) for b in lines]) >= SHARE


class _Lie:
    """What is true and what is told at x, in units of a and s so that nothing underflows."""

    def __init__(self, call, x, cert):
        t, parts = call.truth, call.functions()
        self.call, self.x, self.t, self.parts = call, x, t, parts
        unit = t.a * t.s
        self.g, self.told = t.grad(x) / unit, np.asarray(parts["jac"](x)) / unit
        self.H = t.hess(x) / unit / t.s
        self.J = self._jacobian()
        size = float(np.linalg.norm(x * t.s))
        scale = max(np.linalg.norm(self.H, 2), np.linalg.norm(self.J, 2))
        slope = max(np.linalg.norm(self.g), np.linalg.norm(self.told))
        self.noise_g = _UNIT * (slope + scale * size) + t.base.fuzz
        self.noise_f = (_UNIT * (abs(t.fun(x) / t.a) + slope * size + scale * size * size / 2)
                        + t.base.fuzz)
        self.steps = np.geomspace(max(_STEPS * _UNIT * size, 1e-12), _SMOOTH, 20)
        self.resolved = _STEPS * _UNIT * size < _SMOOTH
        if size == 0:  # what has the units of x then, √(|f|/‖H‖) or 1, may be far out
            with np.errstate(all="ignore"):
                length = math.sqrt(abs(t.fun(x) / t.a) / scale) / abs(t.s) if scale > 0 else 1.0
            self.resolved = 1e-5 * min(length or 1.0, 1.0) * abs(t.s) < _SMOOTH
        # The length up to which a product is looked at.
        rho, length = call.arguments.get("lipschitz_hess"), math.inf
        if cert is not None:
            length = cert.epsilon / cert.curvature_tol
            length = min(length, cert.curvature_tol / rho) if rho else length
        self.reach = min(_SMOOTH, length * abs(t.s))
        self.nearest = _STEPS * _UNIT * size

    def _jacobian(self):
        """Of the told gradient, by what is wrong with it."""
        if self.call.family != "wrong gradient":
            return self.H
        if self.call.fault == "sign":
            return -self.H
        if self.call.fault == "offset":
            return self.H
        return self.H * (np.divide(self.told, self.g, where=self.g != 0,
                                   out=np.ones_like(self.g)))[:, np.newaxis]

    def seen(self, b):
        if not self.resolved:
            return False
        h, J = self.steps, self.J
        slope, bend = (self.told - self.g) @ b, b @ (J - self.H) @ b
        off = np.abs(h * slope + h * h / 2 * bend)
        said = h * abs(self.told @ b) + h * h / 2 * abs(b @ J @ b)
        by_values = (off > _GROSS * said) & (off > _VALUES * self.noise_f) & ~self._underflows(h, b)
        return bool(by_values.any()) or self._product_seen(b)

    def _underflows(self, h, b):
        """Whether a change of the gradient or of f along b is next to nothing in float64."""
        unit, Jb = self.t.a * self.t.s, self.J @ b
        first, second = np.abs(h * np.linalg.norm(Jb) * unit), np.abs(h * h * (b @ Jb) * self.t.a)
        return (0 < first) & (first < _LEAST) | (0 < second) & (second < _LEAST)

    def _product_seen(self, b):
        unit = self.t.a * self.t.s * self.t.s
        if "hessp" in self.parts:
            told = self.parts["hessp"](self.x, b) / unit
        elif "hess" in self.parts:
            told = self.parts["hess"](self.x) @ b / unit
        else:
            return False
        true = self.J @ b
        off = float(np.linalg.norm(true - told))
        said = max(np.linalg.norm(true), np.linalg.norm(told))
        h = self.reach
        return (self.nearest < h and off > _GROSS * said and off * h > _GRADIENTS * self.noise_g
                and math.isfinite(off) and not self._underflows(h, b))
