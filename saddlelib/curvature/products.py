r"""v ↦ ∇²f(x)v in the way an oracle can, with an error that is measured.

Given products and Hessians
---------------------------
Their rounding is taken as 16 units of the largest ‖Hv‖ seen, or as what the caller states. Lanczos
compares, at no cost, entries that symmetry makes equal: qᵢᵀHqⱼ is known from step i when step j
computes it. For products with errors of norm e, the entries of step j differ in norm by at most
e(1 + √j), and for isotropic ones by e√(2(j−1)/d) in the mean; both measure e. Where they differ by
more than any rounding explains, what was given is no Hessian.

Differences of gradients
------------------------
At a spacing h along a unit vector v the two differences

.. math:: F = \frac{\nabla f(x+hv) - \nabla f(x)}{h},\qquad
          C = \frac{\nabla f(x+hv) - \nabla f(x-hv)}{2h}

have two errors: that of the curvature that changes along the way, and the noise σ of the gradients
over h. Neither has to be guessed. With a second and a third difference of the gradient,

.. math:: \Delta_2 = g(h) - 2g(0) + g(-h),\qquad
          \Delta_3 = \tfrac14 g(3h) - \tfrac32 g(h) + 2g(0) - \tfrac34 g(-h),

the change of curvature makes errors of ‖Δ₂‖/(2h) in F and ‖Δ₃‖/(6h) in C to leading order. Pure
noise makes ‖Δ₂‖ = √6 σ and ‖Δ₃‖ = 2.6 σ in the mean, where the errors are √2 σ/h = 0.58‖Δ₂‖/h and
σ/(√2 h) = 0.27‖Δ₃‖/h. Rounding of an odd function is the same at h and at −h; it makes an error
that is as large as ‖Δ₃‖/h, because 3h is no power of two of h. So ‖Δ₂‖/h bounds the error of F and
‖Δ₃‖/h that of C, whichever of them dominates. Three gradients along the start of Lanczos measure
this; spacings a factor of ten apart are tried until the error is small enough or no longer falls.
Later products are watched by the symmetry of their entries, like given ones.

One direction does not see everything, so four things are added.

- Where terms have been rounded before they cancel, few digits are left, and Δ₃ may vanish by
  chance. All that is left are multiples of a power of two, the *grain*; half of it counts as noise.
- A coordinate of ∇f that does not change at all has no curvature, or the steps were lost among
  larger numbers inside of ∇f, as in float32 with a large xᵢ. One longer step along all coordinates
  of this kind tells which. What it finds counts as an error, because no product will ever show it.
- Where curvature changes along few coordinates only, a random direction hardly sees the change. So
  before a point passes, the direction of least curvature is looked at from a tenth of the spacing.
- Before a gradient is called asymmetric, its noise is measured at three more spacings.

What remains unseen is a structure of f finer than the tenth of the spacing, that is 10⁻⁵ of the
length ε/γ or γ/ρ where the first spacing will do: the inside of a kink, or a ripple.

A step is not exactly hv: x + hv is rounded, by up to half a unit in the last place of each
coordinate. The step that is made is known exactly, and what it differs from hv by is counted, times
the largest curvature seen. Where it differs by more than a tenth, the differences say nothing about
v, and their error is infinite.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .._norm import norm

__all__ = ["Differences", "Given", "NotSymmetric", "Products"]

_UNIT = np.finfo(float).eps / 2
# Entries that symmetry makes equal may differ by this part of ‖H‖ before it is called asymmetry:
# a product with two correct digits passes.
_ASYMMETRY = 0.01
# Spacings of differences: the ratio between two that are tried, and how many are at most; and a
# jump where the relative error is so large that the order of magnitude must be wrong.
_RATIO, _TRIES, _JUMP, _DOUBTFUL = 10.0, 7, 1e-3, 1e-2
# The first spacing, as a part of the length on which curvature of the tolerance can be lost: there
# the change of curvature costs 10⁻⁸ of the tolerance where the next derivative is as large as ρ.
_FIRST = 1e-4
# And the largest: what lies beyond says nothing about the Hessian here.
_LARGEST = 0.1
# Lengths below this, or above its inverse, leave float64 no room for what is made of them.
_NEAREST = 1e-250
# Where x + hv is rounded by more than this part of h, what was seen is not the curvature along v.
_ASTRAY = 0.1
# Where a parabola through three gradients is tested: the worst to be met by fractions.
_BETWEEN = (math.sqrt(5) - 1) / 2
# In so few dimensions one third difference may be small by chance.
_FEW = 3
# Forward differences are tried where their error is at most so many times what is wanted at worst.
_BLOCKED = 30


class NotSymmetric(ValueError):
    """Products or gradients that cannot belong to a function: their Hessian is not symmetric."""


class Products:
    """What all have in common: the size of the products, and what symmetry says of their errors.

    Attributes
    ----------
    norm : float
        The largest ‖Hv‖ of a unit vector v so far: a lower bound of ‖H‖.
    can_refine : bool
        Whether `refine` can make the errors smaller.
    """

    can_refine = False
    oracle = None  # which knows how what it returns is rounded
    noise = 0.0  # of a gradient, where it was measured
    remedy = ""  # what to do about errors that are too large, in words
    assumed = False  # whether the error is one that is still to be measured; see `settle`
    doubtful = False  # whether they are less symmetric than their error explains; see `refine`
    allowed = math.inf  # what the next product may be off, where a choice is to be had

    def __init__(self, name, stated):
        self.name, self.stated, self.norm = name, stated, 0.0
        # √Σ of the squares of what differs, what it proves at least, and how many entries.
        self._root, self._least, self._entries = 0.0, 0.0, 0

    @property
    def unit(self) -> float:
        """The unit of rounding of a product that is given."""
        return _UNIT if self.oracle is None else self.oracle.unit

    def _seen(self, hv):
        size = norm(hv)
        self.norm = max(self.norm, size if math.isfinite(size) else 0.0)
        return hv

    def refine(self) -> bool:
        """Make products with smaller errors from here on, if there are any; else say False."""
        return False

    def settle(self):
        """Measure an error that was ``assumed`` so far: before a point passes because of it."""

    def exactly(self, v):
        """The most exact product there is, for a vector that a verdict rests on."""
        return self(v)

    def compare(self, difference, step, dim):
        """Take in how much the entries of this step differ from what symmetry says.

        Raises `NotSymmetric` where no error of the products explains it, and more exact ones are
        not to be had.
        """
        if self._exceeds(difference, step):
            self._measure_again()
            self.doubtful = self._exceeds(difference, step)
            if self.doubtful and not self.can_refine:
                raise NotSymmetric(self._complaint(difference))
        # The basis is orthogonal to rounding, so that much is no fault of the products.
        excess = max(0.0, difference - 8 * _UNIT * self.norm * math.sqrt(step))
        self._least = max(self._least, excess / (1 + math.sqrt(step)))
        self._root = math.hypot(self._root, excess * math.sqrt(dim / 2))
        self._entries += step - 1

    def _exceeds(self, difference, step):
        if not difference > _ASYMMETRY * self.norm:
            return False
        return difference > 4 * (1 + math.sqrt(step)) * self.one()

    def _measure_again(self):
        """Before a complaint: see whether the error has been underestimated."""

    def closer(self, v):
        """vᵀHv in another way, to within how much; (NaN, ∞) where there is none."""
        return math.nan, math.inf

    def one(self) -> float:
        """A bound of the error of one product with a unit vector."""
        if self.stated is not None:
            return self.stated
        measured = 2 * self._root / math.sqrt(self._entries) if self._entries > 2 else 0.0
        return max(self._own(), measured, self._least)

    def errors(self, steps) -> np.ndarray:
        """Bounds eⱼ of the errors of the first k products of this iteration, shape (k,)."""
        return np.full(steps, self.one())

    def error(self, steps) -> float:
        """E = √(2Σeⱼ²) of `curvature.lanczos` after k steps."""
        return math.sqrt(2 * steps) * self.one()

    def _complaint(self, difference):
        return (f"{self.name} is not symmetric: ⟨u, Hv⟩ and ⟨v, Hu⟩ differ by {difference:.2g}, "
                f"where ‖Hv‖ is {self.norm:.2g}. A Hessian is symmetric and linear in v; "
                f"check {self.name}, or state its error as hvp_error if it is noisy")


class Given(Products):
    """Products that the user gives, as a function of v."""

    def __init__(self, product, name, stated, oracle=None):
        super().__init__(name, stated)
        self.product, self.oracle = product, oracle

    def __call__(self, v):
        """Hv."""
        return self._seen(self.product(v))

    def _own(self):
        return 16 * self.unit * self.norm


class _Try(NamedTuple):
    """What differences at one spacing say; see `Differences`."""

    spacing: float
    error: float
    second: float
    noise: float
    product: np.ndarray
    misstep: float
    frozen: np.ndarray

    @property
    def relative(self):
        """The error as a part of the product; infinite where the product is zero."""
        size = norm(self.product)
        return self.error / size if 0 < size < math.inf else math.inf


def _grain(gradients):
    """‖·‖ of the largest powers of two that divide each coordinate of all gradients, and which of
    the coordinates do not change at all; those have no part in the first.

    Where terms are rounded before they cancel, as in (g + C) − C, or in float32, what is left are
    multiples of a grain that is much larger than that of float64.
    """
    mantissa, exponent = np.frexp(gradients)
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    grains = np.where(gradients == 0, math.inf, np.ldexp(1.0 * (whole & -whole), exponent - 53))
    frozen = (gradients == gradients[0]).all(axis=0)
    return norm(np.where(frozen, 0.0, grains.min(axis=0))), frozen


def _chance(dim):
    """What an error that was measured once is multiplied by: in few dimensions it may be luck.

    The norm of d independent numbers is below 1/160 of its mean with a probability of about 1/160
    for d = 1, and below 1/41 of it with one of 1/2100 for d = 2.
    """
    return 1 + 160 / dim**2


def _quality(one):
    """What is less for a better spacing.

    The relative error: far out, where a gradient no longer grows, every difference is small, and so
    is its error, which says nothing about the Hessian here. Where every product is zero, the widest
    spacing says most.
    """
    return one.relative, one.error, -one.spacing


class Differences(Products):
    """Differences of gradients along v, at a spacing where their error is known to be small.

    Parameters
    ----------
    grad : callable
    x, g : ndarray, shape (d,)
        The point and the gradient there.
    scale : float
        The length on which curvature of the size of the tolerance can be lost, γ/ρ = ε/γ.
    wanted : float or callable
        An error of a product that is small enough, also as a function of ‖H‖ as far as it is known.
    stated : float or None
        The error of a product, where the caller states it.
    grad_error : tuple of 2 float, or None
        (a, r) where the caller states that a gradient g has an error of at most a + r‖g‖.
    """

    def __init__(self, grad, x, g, scale, wanted, stated=None, grad_error=None):
        super().__init__("jac", stated)
        self.grad, self.x, self.g, self.grad_error = grad, x, g, grad_error
        self.wanted = wanted if callable(wanted) else lambda size: wanted
        scale = min(max(scale, _NEAREST), 1 / _NEAREST)
        self.first, self.largest = _FIRST * scale, _LARGEST * scale
        self.step = self.forward = math.nan  # spacings of C and F; NaN: F is not used
        self.noise = 0.0  # of a gradient, ‖·‖₂
        self._error = {"central": math.inf, "forward": math.inf}
        self.misstep, self.hidden, self.measured, self.thirds = 0.0, 0.0, False, []
        self.probed = None

    @property
    def can_refine(self):
        """Whether forward differences are in use, so that central ones are to be had."""
        return not math.isnan(self.forward)

    def refine(self):
        """Go over to central differences."""
        if not self.can_refine:
            return False
        self.forward, self._root, self._least, self._entries = math.nan, 0.0, 0.0, 0
        self.doubtful = False
        self.misstep = 0.0  # that of the shorter steps
        return True

    def __call__(self, v):
        """Hv; the first v is the direction along which the errors are measured."""
        if self.probed is None:
            self._probe(v)
        if np.array_equal(v, self.probed):  # the central difference is there already
            return self.product
        return self._seen(self._central(v) if math.isnan(self.forward) else self._forward(v))

    def one(self):
        """As for all products, but nobody's word counts where x + hv could not be reached."""
        return super().one() if self.misstep <= _ASTRAY else math.inf

    def exactly(self, v):
        """The central difference."""
        return self._central(v)

    def closer(self, v):
        """vᵀHv by one gradient a tenth of the spacing away.

        Where curvature is confined to few directions, the start may have seen nothing of how it
        changes.
        """
        h, misstep = self.step / _RATIO, self.misstep
        quotient = float(v @ (self._at(h, v) - self.g)) / h
        off = 2 * (_RATIO * self._error["central"] + self.misstep * self.norm)
        self.misstep = misstep
        return quotient, off

    def _measure_again(self):
        """Noise in few coordinates may cancel in Δ₃ by chance, but not at several spacings."""
        if self.measured:
            return
        self.measured, h = True, self.step
        for factor in (0.1, 0.3, 0.6):
            self.step = factor * h
            off = norm(self._central(self.probed) - self.product)
            self._error = {kind: max(error, off) for kind, error in self._error.items()}
        self.step = h

    def _own(self):
        kind = "central" if math.isnan(self.forward) else "forward"
        return self._error[kind] + self.hidden + (self.misstep + 16 * _UNIT) * self.norm

    def _complaint(self, difference):
        return (f"jac is not the gradient of a function here: the differences of jac along u and "
                f"v make ⟨u, Hv⟩ and ⟨v, Hu⟩ differ by {difference:.2g}, where ‖Hv‖ is "
                f"{self.norm:.2g}. Check jac; `saddlelib.check_derivatives` says more")

    def _at(self, h, v):
        """The gradient at x + hv, as nearly as x + hv can be reached."""
        moved = self.x + h * v
        self.misstep = max(self.misstep, norm((moved - self.x) / h - v))
        return self.grad(moved)

    def _central(self, v):
        return (self._at(self.step, v) - self._at(-self.step, v)) / (2 * self.step)

    def _forward(self, v):
        return (self._at(self.forward, v) - self.g) / self.forward

    def _probe(self, v):
        """Find a spacing along v at which differences are exact enough, or the best there is."""
        best = self._search(v)
        if v.size <= _FEW and best.error > self._enough(best) / _FEW:
            best = self._look_behind(best, v)
        self.hidden = self._hidden(best.frozen, v)
        if self.hidden > 0:  # the longest step may be long enough to see it
            wide = self._try(self.largest, v)
            if wide.relative <= _DOUBTFUL and wide.frozen.sum() < best.frozen.sum():
                best, self.hidden = wide, self._hidden(wide.frozen, v)
        self.probed, self.product, self.step = v.copy(), best.product, best.spacing
        self.misstep, self._error["central"] = best.misstep, best.error
        self.noise = self._stated_noise() or best.noise / 2.6
        self._seen(best.product)
        if math.isfinite(best.error):
            self._plan_forward(best)

    def _hidden(self, frozen, v):
        """Curvature along coordinates whose part of the gradient did not change at all.

        Either there is none, or the steps were lost among larger numbers inside of ∇f. One step as
        long as curvature can be lost on, along each of these coordinates, tells which.
        """
        if not frozen.any():
            return 0.0
        move = self.largest / _LARGEST * np.where(frozen, np.copysign(1.0, v), 0.0)
        moved = self.x + move
        change = norm((self.grad(moved) - self.g)[frozen]) / norm(move)
        return change if math.isfinite(change) else math.inf

    def _search(self, v):
        """The best of several spacings: first for the order of magnitude, then up, then down."""
        best = self._try(self.first, v)
        for factor in (_JUMP, 1 / _JUMP):
            if best.relative > _DOUBTFUL:
                best = min(best, self._try(factor * self.first, v), key=_quality)
        for ratio in (_RATIO, 1 / _RATIO):
            while len(self.thirds) < _TRIES:
                if best.error <= self._enough(best) and best.relative <= _DOUBTFUL:
                    return best
                h = ratio * best.spacing
                other = self._try(h, v) if h < self.largest else None
                if other is None or not _quality(other) < _quality(best):
                    break
                best = other
        return best

    def _enough(self, one):
        """The error that is small enough by what is known of ‖H‖ then."""
        return self.wanted(max(self.norm, norm(one.product)))

    def _try(self, h, v, ahead=None):
        """What differences at a spacing h say; ``ahead`` is the gradient at x + hv if known."""
        self.misstep = 0.0
        ahead = self._at(h, v) if ahead is None else ahead
        behind, far = self._at(-h, v), self._at(3 * h, v)
        second = norm(ahead - 2 * self.g + behind)
        third = norm(0.25 * far - 1.5 * ahead + 2 * self.g - 0.75 * behind)
        product = (ahead - behind) / (2 * h)
        if v.size == 1:
            third = max(third, self._off_parabola(h, v, ahead, behind))
        grain, frozen = _grain(np.array([self.g, ahead, behind, far]))
        # What was noise on a shorter way is noise here as well.
        third = max([third, grain / 2, *(seen for way, seen in self.thirds if way < h)])
        self.thirds.append((h, third))
        noise = _chance(v.size) * max(third, self._stated_noise())
        error = noise / h + self.misstep * norm(product)
        known = math.isfinite(error) and self.misstep <= _ASTRAY
        return _Try(h, error if known else math.inf, second, noise, product, self.misstep, frozen)

    def _off_parabola(self, h, v, ahead, behind):
        """How far a gradient in between is from the parabola through those at −h, 0 and h.

        In one dimension a constant inside of ∇f may round h to a whole number of its units. Then
        3h is the triple of it and Δ₃ sees nothing; no such number fits 0.618 h as well.
        """
        part = _BETWEEN
        odd, even = (ahead - behind) / 2, (ahead - 2 * self.g + behind) / 2
        return norm(self._at(part * h, v) - self.g - part * odd - part * part * even)

    def _look_behind(self, one, v):
        """The same with a third difference to the other side: one alone may vanish by chance."""
        h = one.spacing
        ahead, behind, far = self._at(h, v), self._at(-h, v), self._at(-3 * h, v)
        third = norm(0.25 * far - 1.5 * behind + 2 * self.g - 0.75 * ahead)
        noise = max(one.noise, _chance(v.size) * third)
        error = noise / h + self.misstep * norm(one.product)
        return one._replace(error=max(one.error, error) if math.isfinite(error) else math.inf,
                            noise=noise)

    def _stated_noise(self):
        if self.grad_error is None:
            return 0.0
        absolute, relative = self.grad_error
        return absolute + relative * norm(self.g)

    def _plan_forward(self, best):
        """Use forward differences where they are nearly as exact as wanted: they cost half."""
        change = best.second / self.step / self.step  # of the curvature along v, at most
        enough = max(_BLOCKED * self._enough(best), self._error["central"])
        for h in (self.step, math.sqrt(2 * self.noise / change) if change > 0 else 0.0):
            # What was measured at one spacing says little about others that are far from it.
            near = 0 < h <= min(_RATIO * self.step, self.largest)
            error = change * h + 2 * self.noise / h if near else math.inf
            if error <= enough:
                self.forward, self._error["forward"] = h, error
                return
