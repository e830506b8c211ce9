r"""Products for a driver, which knows the function already and wants few gradients.

In the theorem of `curvature.lanczos` an error of product j counts with a weight \|wⱼ\|, which
falls as the Lanczos polynomials grow, by (5) there: where the first products have to be exact to
10⁻⁹, the last ones need three digits. (Products that may become worse and worse are
known for solving equations; van den Eshof & Sleijpen 2004, SIAM J. Matrix Anal. Appl. 26, 125-153.)
So the first products are central differences, or given ones, for two gradients each, and all later
ones forward differences, for one.

Where a direction of negative curvature is expected, which proves itself, all are forward
differences from the start, and their error is measured only if x should pass after all.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .._norm import norm
from ..derivatives import unit_of
from .products import _ASYMMETRY, Differences

__all__ = ["Scales", "Sparing"]

_UNIT = np.finfo(float).eps / 2
# A product with a relative error above this is none.
_DOUBTFUL = 1e-2
# Where x + hv is rounded by more than this part of h, what was seen is not the curvature along v.
_ASTRAY = 0.1
# The shortest spacing that is begun with, where ρ is known, as a part of the first of a search.
_SHORT = 1e-3
# In so few dimensions the space is used up soon, which asks for no more than the Ritz value.
_SOON = 12
# In so few dimensions one third difference may be small by chance.
_FEW = 3
# ‖∇³f[v, v]‖ was measured along two vectors at least; for the others it is taken so much larger.
_OTHERS = 1.5
# Before a forward difference has been checked it may be worse than it should be by this factor.
_UNSEEN = 4.0
# By so much the later products are more exact where an iteration has to be done again.
_STRICTER = 16.0
# What rounding of x + hv makes of a step, as a part of u‖x‖: errors uniform in a cell.
_ROUNDED = 0.3


class Scales(NamedTuple):
    """What is known of a function before a look.

    Attributes
    ----------
    hess_norm, lipschitz_hess : float
        ‖H‖ and ρ near x, as far as they have been seen; 0 where nothing has.
    length : float
        On which curvature of the size of the tolerance can be lost.
    """

    hess_norm: float = 0.0
    lipschitz_hess: float = 0.0
    length: float = 1.0


class Sparing(Differences):
    """Products that cost one gradient where that will do; see the head of this file.

    Parameters
    ----------
    grad, x, g, wanted, grad_error
        As for `Differences`.
    known : Scales
    exact : callable, optional
        v ↦ Hv as it is given, in place of central differences.
    hopeful : bool
        Whether x is expected to pass; else a direction of negative curvature is expected.

    Notes
    -----
    `allowed` is to be set before each product: what it may be off.
    """

    def __init__(self, grad, x, g, wanted, known, exact=None, hopeful=False, grad_error=None):
        super().__init__(grad, x, g, known.length, wanted, grad_error=grad_error)
        self.known, self.exact = known, exact
        self.phase = "mixed" if hopeful and x.size > _SOON else "forward"
        self.strict = 1.0  # by what factor later products are more exact than `allowed`
        self._restart()

    def _restart(self):
        self._root, self._least, self._entries, self.misstep = 0.0, 0.0, 0, 0.0
        self.doubtful = False
        self.forward, self.probed, self.hidden, self.assumed = math.nan, None, 0.0, False
        self.kinds = []  # whether the products of this iteration are forward differences
        self.change = 0.0  # the largest ‖∇³f[v, v]‖ that was measured
        self._astray = self._least_forward = 0.0
        self._own_forward, self._checked = math.inf, 0

    @property
    def can_refine(self):
        """Whether some products are, or may be, forward differences."""
        return self.phase != "precise"

    def refine(self):
        """From forward differences to mixed products, stricter ones, and at last precise ones."""
        if not self.can_refine:
            return False
        if self.phase == "mixed":
            self.phase = "mixed" if self.strict == 1 else "precise"
            self.strict = _STRICTER
        else:
            self.phase = "mixed"
        self._restart()
        return True

    def __call__(self, v):
        """Hv, as exact as it has to be."""
        first = self.probed is None
        if self.phase == "forward":
            if not first:
                return self._one_gradient(v)
            if self._begin(v):
                self.kinds.append(True)
                return self.product
            self.phase, self.thirds = "mixed", []
        if first:
            self._first(v)
            self.kinds.append(False)
            return self.product
        doubt = self.strict * (1.0 if self._checked > 2 else _UNSEEN)
        if self.phase == "mixed" and doubt * self._forward_error() <= self.allowed:
            return self._one_gradient(v)
        self.kinds.append(False)
        return self._seen(self._precise(v))

    # --- forward differences alone ---

    def _begin(self, v):
        """At the spacing that is best by what is known, else at the first that a search tries.

        Whether it will do: the error that is assumed has to be small against the product.
        """
        size, slope, rho = norm(self.x), norm(self.g), self.known.lipschitz_hess
        h = self._guess()
        ahead = self._at(h, v)
        product = (ahead - self.g) / h
        curved = max(norm(product), self.known.hess_norm)
        noise = max(unit_of(ahead, self.g) * (slope + curved * size), self._stated_noise())
        error = (rho or curved / (self.first * 1e4)) * h + 2 * noise / h
        if not (error <= _DOUBTFUL * curved < math.inf and self.misstep <= _DOUBTFUL):
            self.misstep = 0.0
            return False
        self.step = self.forward = h
        self.probed, self.product, self.assumed, self._ahead = v.copy(), product, True, ahead
        self._own_forward = self._error["central"] = error
        self._seen(product)
        return True

    def _guess(self):
        """The spacing at which ρ and rounding add as much to a forward difference."""
        rho = self.known.lipschitz_hess
        noise = max(unit_of(self.g) * (norm(self.g) + self.known.hess_norm * norm(self.x)),
                    self._stated_noise())
        best = math.sqrt(2 * noise / rho) if rho > 0 else self.first
        return min(max(best, _SHORT * self.first), self.largest)

    def settle(self):
        """Measure the error that was assumed; costs two gradients."""
        if not self.assumed:
            return
        self.assumed, v, h, misstep = False, self.probed, self.forward, self.misstep
        one = self._try(h, v, self._ahead)
        if v.size <= _FEW:
            one = self._look_behind(one, v)
        self.misstep = max(misstep, self.misstep)
        self.hidden = self._hidden(one.frozen, v)
        self.noise = self._stated_noise() or one.noise / 2.6
        self._error["central"] = one.error
        self._own_forward = (one.second + one.noise) / h

    # --- precise products first ---

    def _first(self, v):
        """A precise product, and what it says of forward differences."""
        if self.exact is None:
            self._probe(v)
            return
        self.probed, self.product = v.copy(), self._seen(self.exact(v))
        self.noise = unit_of(self.g) * (norm(self.g) + self.norm * norm(self.x))
        self.forward = self.step = self._guess()
        self._error["central"] = 0.0
        self._compare_with_exact(v, self.product)

    def _precise(self, v):
        if self.exact is not None:
            hv = self.exact(v)
            if self.phase == "mixed" and self._checked < 2:
                self._compare_with_exact(v, hv)
            return hv
        h = self.step
        ahead, behind = self._at(h, v), self._at(-h, v)
        self._saw_change(norm(ahead - 2 * self.g + behind))
        return (ahead - behind) / (2 * h)

    def _compare_with_exact(self, v, hv):
        """A forward difference where the product is known: what it is off."""
        off = norm(self._step_ahead(v) - hv)
        before = self._own_forward if self._checked else 0.0
        self._own_forward, self._checked = max(before, 2 * off), self._checked + 1

    def _plan_forward(self, best):
        """After the search along the start."""
        self._saw_change(best.second)

    def _saw_change(self, second):
        """Take a second difference in, and choose the spacing of forward differences anew."""
        self.change = max(self.change, second / self.step / self.step)
        if self._checked > 1:
            return
        self._checked += self.change > 0
        rho, noise = _OTHERS * self.change, 2.6 * self.noise
        rounded = _ROUNDED * _UNIT * norm(self.x) * self.norm
        h = math.sqrt(2 * (noise + rounded) / rho) if rho > 0 else self.step
        self.forward = h = min(max(h, 1e-6 * self.step), 10 * self.step, self.largest)
        self._own_forward = rho * h / 2 + (noise + rounded) / h

    def _one_gradient(self, v):
        self.kinds.append(True)
        if self.phase == "mixed" and self.exact is None and self._checked < 3:
            return self._seen(self._both_sides(v))
        return self._seen(self._step_ahead(v))

    def _step_ahead(self, v):
        """The forward difference; what rounding makes of its step counts by itself."""
        before, self.misstep = self.misstep, 0.0
        product = self._forward(v)
        self._astray, self.misstep = max(self._astray, self.misstep), before
        return product

    def _both_sides(self, v):
        """The first one at this spacing is made from both sides: so its error is measured."""
        h, before, self.misstep = self.forward, self.misstep, 0.0
        ahead, behind = self._at(h, v), self._at(-h, v)
        second = norm(ahead - 2 * self.g + behind) / h
        self._own_forward, self._checked = max(self._own_forward, second), 3
        self._astray, self.misstep = max(self._astray, self.misstep), before
        return (ahead - behind) / (2 * h)

    # --- errors ---

    def _forward_error(self):
        """Of one forward difference, at most."""
        if self.phase == "forward":
            return super().one()
        if not self._astray <= _ASTRAY:
            return math.inf
        rounding = (self._astray + 16 * _UNIT) * self.norm
        return max(self._own_forward + self.hidden + rounding, self._least_forward)

    def _own(self):
        if self.phase != "forward" and self.exact is not None:
            return 16 * self.unit * self.norm
        own = self._own_forward if self.phase == "forward" else self._error["central"]
        return own + self.hidden + (self.misstep + 16 * _UNIT) * self.norm

    def errors(self, steps):
        """Those of the precise products and of the forward differences."""
        kinds, one = self.kinds[:steps], self.one()
        forward = self._forward_error() if any(kinds) else 0.0
        return np.array([forward if kind else one for kind in kinds])

    def error(self, steps):
        """E = √(2Σeⱼ²)."""
        return math.sqrt(2) * norm(self.errors(steps))

    def compare(self, difference, step, dim):
        """Forward differences are not isotropic: what is certain of theirs counts alone."""
        if self.phase == "forward" or not any(self.kinds):
            super().compare(difference, step, dim)
            return
        kept = self._root, self._least, self._entries
        super().compare(difference, step, dim)
        self._least_forward = max(self._least_forward, self._least)
        self._root, self._least, self._entries = kept

    def _exceeds(self, difference, step):
        if not difference > _ASYMMETRY * self.norm:
            return False
        one = max(self.one(), self._forward_error() if self.kinds[-1] else 0.0)
        return difference > 4 * (1 + math.sqrt(step)) * one

    def exactly(self, v):
        """The given product, or the central difference."""
        return self.exact(v) if self.exact is not None else self._central(v)

    def closer(self, v):
        """A given product needs no second look."""
        if self.exact is not None and self.phase != "forward":
            return math.nan, math.inf
        return super().closer(v)

    def _measure_again(self):
        if self.exact is None and self.phase != "forward":
            super()._measure_again()

    def _complaint(self, difference):
        name = "hessp" if self.exact is not None and self.phase != "forward" else "jac"
        return (f"{name} is not that of a function here: ⟨u, Hv⟩ and ⟨v, Hu⟩ differ by "
                f"{difference:.2g}, where ‖Hv‖ is {self.norm:.2g}. Check {name}; "
                f"`saddlelib.check_derivatives` says more")
