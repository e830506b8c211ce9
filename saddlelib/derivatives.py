r"""Do f, its gradient and its Hessian-vector products belong together?

Three looks, from the most thorough to the cheapest. `check_derivatives` is for the user, before
anything runs: it follows the remainders of Taylor's formula down to rounding. `contradiction` is
for a certificate that is about to pass, and costs a value and a gradient. `Witness` watches a run
and asks for nothing.

Taylor's formula along a unit vector v says, where ∇f and ∇²f are right and Lipschitz,

.. math:: r_1(h) = |f(x+hv) - f(x) - h\,g^\top v| = O(h^2), \qquad
          r_2(h) = |f(x+hv) - f(x) - h\,g^\top v - \tfrac{h^2}{2}\, v^\top H v| = O(h^3). \tag{1}

In a picture with logarithmic axes these are lines of slope 2 and 3 until rounding takes over; one
less where a derivative is wrong (Boumal 2023, An Introduction to Optimization on Smooth Manifolds,
sections 4.8 and 6.8; the checks of Manopt and Pymanopt).
"""

from __future__ import annotations

import copy
import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from ._arguments import as_point, integer, positive
from ._norm import norm
from .oracle import Oracle
from .perturbation import uniform_sphere

__all__ = ["DerivativeCheck", "Witness", "check_derivatives", "contradiction"]

_UNIT = float(np.finfo(np.float64).eps) / 2
_UNIT32 = float(np.finfo(np.float32).eps) / 2


def unit_of(*arrays) -> float:
    """Unit of rounding that numbers show: that of float32 where all of them are float32 numbers.

    Numbers with no more than 12 significant bits, such as 0 or −4, say nothing; without any other
    it is that of float64.

    Examples
    --------
    >>> import numpy as np
    >>> unit_of([0.1, -4.0]), unit_of(np.float32([0.1, -4.0]))
    (1.1102230246251565e-16, 5.960464477539063e-08)
    """
    single = False
    with np.errstate(over="ignore"):
        for array in arrays:
            array = np.asarray(array, dtype=float)
            if bool((array.astype(np.float32) != array).any()):
                return _UNIT
            bits = 4096 * np.frexp(array)[0]
            single = single or bool((bits != np.rint(bits)).any())
    return _UNIT32 if single else _UNIT


# --- A contradiction at one point ---------------------------------------------------------------

# Where the fit of `_Line.values_contradict` looks, in units of the step, and how far it has to be
# from what the gradients say: in standard errors (6 degrees of freedom: by chance once in 10⁶),
# against what they say, and against the smallest gap between two values.
_GRID = np.array([-1.0, -0.4, -0.15, -0.05, 0.0, 0.05, 0.15, 0.4, 1.0])
_ERRORS, _GROSS, _GAPS = 20.0, 0.25, 6.0
# Where gradients are looked at besides 0 and 1: not at −1 or 1/2, which symmetry would make agree.
_BACK, _MIDDLE = -0.7, 0.45
_LOOKS = 4
# A product that is smaller has lost digits to underflow.
_UNDERFLOW = 1e-290
# A shorter line begins so many units of rounding from x, or at this part of the length of interest.
_NEAREST, _PART = 100, 0.01
# Slopes below this part of ε do not matter: sums of large terms leave such in rounding.
_NOTHING = 1e-9


def contradiction(oracle, x, g, b, hb, curvature_scale, rho=None, value=None, *, epsilon=None,
                  length=None, hvp_error=0.0) -> str:
    """What f, ∇f and the product Hb say against one another at x; "" when nothing does.

    It looks along the line x + tb. The values have to change as the gradients at both ends say, and
    the gradient as Hb says, if products are given. What it looks for is gross: a wrong sign, a
    wrong scale (by 1.5 or more), a term that is missing in the gradient or in the product. A first
    look takes f and ∇f at x + hb. Only when it is suspicious does a second look decide, which
    speaks when the *given* gradients are linear in t to within a tenth on [−h, h] and agree with
    Hb, the values have no more than a twentieth of the deviation as noise around a parabola,
    measured in the nine that it takes, and the deviation is more than a quarter of what the
    gradients say. A product is accused when differences of gradients from h down to some hundred
    units of rounding agree with each other and not with it. So a function that is not smooth on the
    scale h, is noisy, or is too flat to be seen is not accused. The one exception is a right
    product of a Hessian that changes below the resolution of the gradients, such as that of
    |x|²/2 + cos(ωx)/ω² with ω‖x‖ > 10¹² (10⁴ in float32), or with ω > 10¹² at x = 0, where there is
    no other length than 1 if Hb = 0: there ``rho`` is needed to know better.

    The step is the least at which values and gradients stand out from rounding: with u the unit of
    rounding that they show, h = max{√(2·10⁶ u(|f| + ‖g‖‖x‖ + ‖H‖‖x‖²/2)/|b·Hb|), 10⁻⁵‖x‖, …}.

    Parameters
    ----------
    oracle : Oracle
        One with noise in its gradients is never accused.
    x, g, b, hb : ndarray, shape (d,)
        The point, ∇f(x), a unit vector, and ∇²f(x)b, given or by differences of gradients.
    curvature_scale : float
        ‖H‖, or a lower bound of it such as the largest Ritz value; ≥ 0.
    rho : float, optional
        ρ. It excuses a product that differs by no more than the Hessian may change within the
        shortest step; and ‖H‖/ρ is a length where x = 0.
    value : float, optional
        f(x), if it is known already.
    epsilon : float, optional
        The slope that matters. Where the step is so long that curvature would hide it, there is one
        more value and gradient at a step where it shows, if rounding leaves one.
    length : float, optional
        The length that matters: a suspicion is followed from there down to a hundredth of it where
        the gradients are not linear on the step, as they may be where x or f(x) is a large number.
        Where rounding of x leaves no step of that length, nothing is said.
    hvp_error : float
        What Hb may be off, ‖·‖₂: so much is no contradiction.

    Returns
    -------
    str
        Counted by the oracle: 1 value and 1 gradient (and f(x) without ``value``) when there is no
        suspicion, and the same once more for ``epsilon``. With one, 7 values and 2 gradients more,
        or 2 to 10 gradients for given products; and, a few times, 8 values and 3 gradients more
        where the step turns out to be too short for the values or too long for the gradients.

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib import Oracle
    >>> x, b = np.zeros(2), np.array([0.6, 0.8])
    >>> contradiction(Oracle(lambda x: x @ x, jac=lambda x: 2 * x), x, 2 * x, b, 2 * b, 2.0)
    ''
    >>> upside_down = Oracle(lambda x: -x @ x, jac=lambda x: 2 * x)
    >>> print(contradiction(upside_down, x, 2 * x, b, 2 * b, 2.0)[:53])
    fun and jac contradict each other along a random line
    """
    if oracle.grad_noise or not np.isfinite(hb).all():
        return ""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
        line = _Line(oracle, x, g, b, hb, curvature_scale, rho, value, length)
        if line.underflows() or not line.finite(line.step, line.value(0.0)):
            return ""
        if length is not None and _NEAREST * _UNIT * norm(x) > length:
            return ""  # every step leaves the part of f that matters
        line.error = hvp_error
        suspect = line.given and not 0 < norm(hb) < _UNDERFLOW and line.product_suspect()
        found = _product_contradicts(line, rho) if suspect else ""
        if found:
            return found
        for one in line.where_slopes_show(epsilon):
            found = _values_contradict(one, epsilon) if one.values_suspect() else ""
            if found:
                return found
        return ""


def _product_contradicts(line, rho):
    """The second look at a product: the shortest step at which it is right says that it is."""
    whole = line
    if line.stated and line.step > line.stated:  # beyond, f may be as different as it likes
        line = line.with_step(line.stated)
    lines = line.ever_closer()[::-1] + line.longer()
    for one in lines:
        if not one.product_suspect():
            if one.quotient(1.0).any() or one is lines[-1]:
                return ""
            continue  # nothing moved, which says nothing
        found = one.product_contradicts(rho, last=one is lines[-1])
        if found:
            # Gradients that move only beyond the stated length: shorter steps may be lost in them.
            lost = not one.quotient(1.0).any() and whole.quotient(1.0).any()
            return "" if lost else found
    return ""


def _values_contradict(line, epsilon):
    """The second look at the values, on the line and on others where that one is no good."""
    wide = line
    for left in reversed(range(_LOOKS)):
        found = wide.values_contradict(epsilon, last=left == 0)
        if found:
            return found
        if not wide.blur:
            break
        # Constants inside of f may make it rougher than its value lets one think.
        before, wide = wide, wide.wider()
        if math.isinf(before.blur) and wide._parabola() is None:
            # Values that did not move, and now do: the grain of f shows in them.
            return before.values_contradict(epsilon, grain=wide.grain())
    if line._parabola() is not None:  # the step is not too long for the gradients
        return ""
    for near in line.ever_closer()[1:]:
        found = near.values_contradict(epsilon)
        if found:
            return found
    return ""


class _Line:
    """f and ∇f at x + tau·h·b, each asked for once."""

    def __init__(self, oracle, x, g, b, hb, curvature_scale, rho, value, length=None):
        # Up the parabola, where slope and curvature do not cancel.
        sign = -1.0 if float(g @ b) * float(b @ hb) < 0 else 1.0
        self.oracle, self.x, self.b, self.hb = oracle, x, sign * b, sign * hb
        self.error = 0.0  # of Hb, as stated
        self.blur = 0.0  # what a deviation has to exceed, if it is that which hides it
        self.values = {} if value is None else {0.0: float(value)}
        self.grads = {0.0: g}
        self.given = oracle.has_hvp or oracle.has_hess
        self.step, self.stated = self._step(g, float(curvature_scale), rho), length

    def _step(self, g, scale, rho):
        self.unit = unit = unit_of(self.value(0.0), g)
        size, slope = norm(self.x), norm(g)
        curvature = abs(float(self.b @ self.hb))
        scale = max(scale, norm(self.hb))
        noise_f = unit * (abs(self.value(0.0)) + slope * size + 0.5 * scale * size * size)
        self.noise_f = noise_f
        self.noise_g = unit * (slope + scale * size)
        single = unit > _UNIT
        length = size
        if size == 0:  # what else has the units of x: √(|f|/‖H‖), ‖H‖/ρ
            length = math.sqrt(abs(self.value(0.0)) / scale) if scale > 0 else 1.0
            length = min(length or 1.0, scale / rho if rho and scale > 0 else 1.0, 1.0)
        self.length = length
        least = [(1e-3 if single else 1e-5) * length, (1e3 if single else 1e4) * unit * size]
        if curvature > 0:
            least.append(math.sqrt(2 * (1e3 if single else 1e6) * noise_f / curvature))
            least.append(1e3 * self.noise_g / curvature)
        return max(least)

    def wider(self):
        """The same with a step so long that a parabola of the stated curvature shows in the blur.

        Only f(x) and ∇f(x) are known then.
        """
        seen = _GROSS * abs(self.slope(1.0) - self.slope(0.0)) / 2
        factor = math.sqrt(100 * self.blur / seen) if seen > 0 else math.inf
        return self.with_step(
            self.step * (min(max(factor, 10.0), 1e8) if math.isfinite(factor) else 300.0))

    def with_step(self, step):
        """The same line and another step; only f(x) and ∇f(x) are known then."""
        other = copy.copy(self)
        other.blur, other.step = 0.0, step
        other.values, other.grads = {0.0: self.values[0.0]}, {0.0: self.grads[0.0]}
        return other

    def ever_closer(self):
        """This line, and shorter ones, as far as rounding and the length that matters let one."""
        size, product = norm(self.x), norm(self.hb)
        part = _PART * (self.stated or self.length)
        low = max(_NEAREST * _UNIT * size,
                  _NEAREST * self.noise_g / product if product > 0 else 0.0,
                  part if part < self.step else 1e-10 * self.step, 1e-290)
        if not low < 0.5 * self.step:
            return [self]
        ratio = max(10.0, (self.step / low) ** (1 / _LOOKS))
        steps = [max(self.step / ratio**k, low) for k in range(1, _LOOKS + 1)]
        return [self, *(self.with_step(step) for step in dict.fromkeys(steps))]

    def longer(self):
        """The line as long as what matters, if this one is shorter."""
        long = _PART * (self.stated or 0.0)
        return [self.with_step(long)] if long > 2 * self.step else []

    def where_slopes_show(self, epsilon):
        """This line, and one so short that curvature does not hide a slope ε, if it takes one."""
        product = norm(self.hb)
        if epsilon is None or not 0 < epsilon < self.step * product:
            return [self]
        step = max(0.1 * (epsilon / product), math.sqrt(2e3 * (self.noise_f / product)),
                   _NEAREST * _UNIT * norm(self.x))
        return [self, self.with_step(step)] if step < 0.5 * self.step else [self]

    def underflows(self):
        """Whether what Hb says of the change of f or ∇f is too small for float64."""
        small = float(np.finfo(float).tiny) / _UNIT
        return any(0 < number < small for number in (
            self.step * norm(self.hb), self.step * (self.step * abs(float(self.b @ self.hb)))))

    @staticmethod
    def finite(*arrays):
        return all(np.isfinite(array).all() for array in arrays)

    def value(self, tau):
        if tau not in self.values:
            x = self.x if tau == 0 else self.x + tau * self.step * self.b
            self.values[tau] = self.oracle.fun(x)
        return self.values[tau]

    def grad(self, tau):
        if tau not in self.grads:
            self.grads[tau] = self.oracle.grad(self.x + tau * self.step * self.b)
        return self.grads[tau]

    def slope(self, tau):
        """h ∇f(x + τhb)·b: the change of f for τ → τ + 1, to first order."""
        return self.step * float(self.grad(tau) @ self.b)

    # --- values against gradients ---

    def values_suspect(self):
        there, back = self.slope(1.0), self.slope(0.0)
        change = self.value(1.0) - self.value(0.0)
        if not self.finite(there, back, change):
            return True
        said = max(abs(there) + abs(back), 2 * abs(change)) / 2
        floor = 8 * self.unit * max(abs(self.value(0.0)), abs(self.value(1.0)))
        return abs(change - (there + back) / 2) > 0.2 * said + floor

    def grain(self):
        """The smallest gap between two of the values; infinite where all are the same."""
        f = np.array([self.value(tau) for tau in _GRID])
        return float(np.diff(np.unique(f)).min(initial=math.inf)) if self.finite(f) else math.inf

    def values_contradict(self, epsilon=None, last=False, grain=None):
        """``last``: values that do not move against a slope are not put down to a short step.

        ``grain``: that of f, where it was seen on a longer step.
        """
        epsilon = epsilon or 0.0
        said = self._parabola()
        if said is None:
            return ""
        slope, curvature = said
        f = np.array([self.value(tau) for tau in _GRID])
        if not self.finite(f):
            return ""
        powers = _GRID[:, np.newaxis] ** np.arange(3)
        off = f - f[4] - slope * _GRID - 0.5 * curvature * _GRID**2
        unit = np.abs(off).max() or 1.0  # so that no square overflows
        off = off / unit
        fit, *_ = np.linalg.lstsq(powers, off)
        variance = np.sum((off - powers @ fit) ** 2) / 6
        errors = unit * np.sqrt(variance * np.diag(np.linalg.inv(powers.T @ powers)))
        fit = unit * fit
        # Where values do not move they are a staircase, or constant.
        gap = self.grain()
        steep = abs(slope) > max(abs(curvature), 0.1 * epsilon * self.step)
        if steep and math.isinf(gap):
            gap = 0.0 if last else gap if grain is None else grain
        blur = np.maximum(_ERRORS * errors[1:],
                          max(_GAPS * gap, 64 * unit_of(f) * np.abs(f).max()))
        size, gross = np.abs(fit[1:]), _GROSS * (abs(slope) + abs(curvature) / 2)
        gross = max(gross, _NOTHING * epsilon * self.step)
        if not (size > np.maximum(blur, gross)).any():
            self.blur = float(blur.max()) if (blur > gross).any() else 0.0
            return ""
        return self._words(slope, curvature, slope + fit[1], curvature + 2 * fit[2])

    def _parabola(self):
        """Slope and curvature in τ that the gradients state, if they are linear in τ; or None."""
        slope = self.slope(0.0)
        curvature = (self.slope(1.0) - self.slope(_BACK)) / (1.0 - _BACK)
        # A list: inside a generator a StopIteration of the user would come out as another error.
        bend = max([abs(self.slope(tau) - slope - tau * curvature)
                    for tau in (1.0, _BACK, _MIDDLE)])
        size = max(abs(slope), abs(curvature))
        expected = self.step * (self.step * float(self.b @ self.hb))
        if curvature == 0 != expected:  # too short for the gradients
            return None
        if not (self.finite(size, bend) and bend <= 0.1 * size
                and abs(curvature - expected) <= 0.2 * max(
                    size, self.step * (self.step * norm(self.hb)))):
            return None
        return slope, curvature

    def _words(self, slope, curvature, true_slope, true_curvature):
        h = self.step
        ratio = _common_ratio([true_slope, 0.5 * true_curvature], [slope, 0.5 * curvature])
        return (f"fun and jac contradict each other along a random line through x: within "
                f"h = {h:.2g} the values of fun change with slope {true_slope / h:.3g} and "
                f"curvature {true_curvature / h / h:.3g}, where jac states {slope / h:.3g} and "
                f"{curvature / h / h:.3g}; {_fault('the gradient', ratio)}")

    # --- products against gradients ---

    def quotient(self, tau):
        return (self.grad(tau) - self.grad(0.0)) / (tau * self.step)

    def product_suspect(self):
        return not _close(self.quotient(1.0), self.hb, 0.2)

    def product_contradicts(self, rho, last=True):
        """Whether the differences of gradients agree with each other, over many steps, and not Hb.

        The shortest step is the one at which rounding is some hundredths of the quotient, so that a
        function that changes on a scale between the two is not accused. Gradients that do not move
        at all mean something only on the ``last``, the longest step.
        """
        ahead, length = self.quotient(1.0), norm(self.quotient(1.0))
        size = norm(self.x)
        if length == 0 and not last or size == 0 and length == 0 and not self.stated:
            return ""  # the step may be nothing in the units of x
        noise = max(self.noise_g, self.unit * length * size)
        short = max(50 * noise / length if length > 0 else 0.0, _NEAREST * _UNIT * size,
                    1e-13 * (self.stated or self.length))
        if not short <= 0.05 * self.step:
            return ""
        behind = self.quotient(_BACK)
        told = norm(self.hb)
        if not self.finite(ahead, behind) or not _close(ahead, behind, 0.1, told):
            return ""
        if any(_close(d, self.hb, _GROSS) for d in (ahead, behind)):
            return ""
        # From the shortest step on up to the one where constants inside of ∇f no longer hide it.
        while True:
            near = self.quotient(short / self.step)
            if not self.finite(near) or _close(near, self.hb, _GROSS):
                return ""
            if _close(ahead, near, 0.1, told):
                # Curvature that grows towards x may be as large at x as was told.
                if norm(near) > 1.01 * length and not _close(ahead, near, 0.1):
                    return ""
                break
            short *= 10
            if not short <= 0.05 * self.step:
                return ""
        if norm(near - self.hb) <= self.error + (4 * rho * short if rho else 0.0):
            return ""  # so much is stated, or the Hessian may change within the shortest step
        kind = "hessp" if self.oracle.has_hvp else "hess"
        ratio = _common_ratio((ahead + behind) / 2, self.hb)
        return (f"jac and {kind} contradict each other: differences of the gradient along a "
                f"random unit vector b give ‖Hb‖ = {length:.3g} and b·Hb = {self.b @ ahead:.3g}, "
                f"where {kind} states {norm(self.hb):.3g} and {self.b @ self.hb:.3g}; "
                f"{_fault('the product', ratio)}")


def _close(a, b, within, size=0.0):
    """Whether ‖a − b‖ is at most that part of the largest norm, or of ``size``."""
    return norm(a - b) <= within * max(norm(a), norm(b), size)


def _common_ratio(true, stated):
    """The c with true ≈ c·stated, up to a tenth of true − stated; nan where there is none."""
    true, stated = np.ravel(true), np.ravel(stated)
    size = max(norm(true), norm(stated))
    if not stated.any() or size == 0:
        return math.inf
    true, stated = true / size, stated / size
    square = float(stated @ stated)
    if square == 0:  # next to nothing was stated
        return math.inf
    ratio = float(true @ stated) / square
    return ratio if norm(true - ratio * stated) <= 0.1 * norm(true - stated) else math.nan


def _fault(what, ratio):
    """In words: what a common ratio true/stated of all numbers means."""
    if math.isnan(ratio):
        return f"a term of {what} is missing or wrong"
    if abs(ratio + 1) < 0.05:
        return f"{what} has the wrong sign"
    if math.isinf(ratio):
        return f"{what} is zero where it should not be"
    if abs(ratio) < 1e-6:
        return f"{what} should be zero"
    sign = " and sign" if ratio < 0 else ""
    return f"{what} has the wrong scale{sign}: it has to be multiplied by {ratio:.3g}"


# --- A contradiction along a run ----------------------------------------------------------------


# Pairs that count; after twice as many, one pair in so many is looked at.
_WATCHED, _SELDOM = 64, 32


class Witness:
    """Compares the values that a run sees with its gradients; asks the oracle for nothing.

    For two points in a row with value and gradient, s = x₁ − x₀, the trapezoid
    T = (g₀ + g₁)·s/2 is f₁ − f₀ to within R = |(g₁ − g₀)·s|, even R/2 where the slope along the
    segment is monotone. A pair *speaks* when R ≤ |T|/2 and |T| is at least 10⁴ units of rounding
    of what was added up. The rule of `verdict`: at least ``least`` pairs speak, and of the last 64
    that did at least nine in ten have (f₁ − f₀)/T within 10 % of one and the same number, which is
    negative, or off 1 by a factor of 1.8 or more. So a wrong sign or scale is noticed. Steps that
    leap over the structure of f, where the trapezoid means nothing, have no common ratio, and a
    missing term has none either: `contradiction` sees that.

    Parameters
    ----------
    least : int
        Pairs that have to speak, ≥ 1.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> witness = Witness()
    >>> for k in range(9):
    ...     x = 0.9**k * np.ones(2)
    ...     witness.saw(x, f=-x @ x, g=2 * x)
    >>> print(witness.verdict()[:64])
    fun and jac contradict each other along the run: in 8 of 8 steps
    """

    def __init__(self, least=8):
        self.least = integer("least", least)
        # Points with a value and no gradient yet, and the other way round.
        self._valued, self._sloped = deque(maxlen=3), deque(maxlen=3)
        self._last, self._count = None, 0
        self._pairs = deque(maxlen=_WATCHED)  # (change of f, trapezoid)

    def saw(self, x, f=None, g=None) -> None:
        """A point of the run, shape (d,), and what is known there: a value, a gradient, or both.

        The value and the gradient of one point may come separately, with up to two others between.
        Neither array may be written to afterwards.
        """
        if f is None:
            f = self._known(self._valued, x)
        elif g is None:
            g = self._known(self._sloped, x)
        if f is None:
            self._sloped.append((x, g))
        elif g is None:
            self._valued.append((x, float(f)))
        else:
            now = x, float(f), g
            self._count += 1
            counts = self._count < 2 * _WATCHED or self._count % _SELDOM < 2
            if counts and self._last is not None and not np.array_equal(x, self._last[0]):
                with np.errstate(over="ignore", invalid="ignore"):
                    self._compare(*self._last, *now)
            self._last = now

    @staticmethod
    def _known(points, x):
        """What is known at x of the points, if it is one of them."""
        for point, known in points:
            if point is x or point[0] == x[0] and np.array_equal(point, x):
                return known
        return None

    def _compare(self, x0, f0, g0, x1, f1, g1):
        s = x1 - x0
        change, said = f1 - f0, float((g0 + g1).dot(s)) / 2
        bound = abs(float((g1 - g0).dot(s)))
        if not (said and bound <= 0.5 * abs(said)):
            return
        summed = max(abs(f0), abs(f1)) + norm(g1) * norm(x1)
        unit = max(unit_of([f0, f1]), unit_of(g0, g1))
        if math.isfinite(change + said + bound + summed) and abs(said) >= 1e4 * unit * summed:
            self._pairs.append((change, said))

    def verdict(self) -> str:
        """The contradiction in a sentence with its numbers; "" when there is none."""
        if len(self._pairs) < self.least:
            return ""
        ratios = np.array([change / said for change, said in self._pairs])
        ratio = float(np.median(ratios))
        agree = np.count_nonzero(np.abs(ratios - ratio) <= 0.1 * abs(ratio))
        if 1 / 1.8 < ratio < 1.8 or abs(ratio) < 0.05 or agree < 0.9 * ratios.size:
            return ""
        change, said = self._pairs[-1]
        return (f"fun and jac contradict each other along the run: in {agree} of {ratios.size} "
                f"steps fun changed by {ratio:.3g} times what the gradients say, at last by "
                f"{change:.3g} where they say {said:.3g}; {_fault('the gradient', ratio)}")


# --- The check before a run ---------------------------------------------------------------------

# Steps of `check_derivatives` in units of `scale`: four to a decade.
_STEPS = 10.0 ** np.linspace(-10, 0, 41)
_COORDINATES = 20


@dataclass(frozen=True)
class DerivativeCheck:
    """The answer of `check_derivatives`.

    Attributes
    ----------
    ok : bool or None
        True: right as far as the numbers go; False: wrong; None: cannot tell.
    message : str
        What is right, wrong or not to be known, in sentences with numbers.
    slopes : dict
        Of the remainders (1) in a logarithmic picture: "gradient" (2 when right) and, with
        products, "product" (3 when right). Infinite where there is nothing but rounding, nan where
        no stretch of the steps has a slope of its own.
    windows : dict
        The steps (lowest, highest) between which each slope was fitted, or None.
    steps : ndarray, shape (m,)
        h, in the units of x, ascending.
    remainders : dict
        r₁ as "gradient" and r₂ as "product", shape (directions, m) each.
    noise : float
        Standard deviation of the rounding of f near x, measured.
    x : ndarray, shape (d,)
        Where it was looked: near the x that was given where that is stationary.
    nfev, njev, nhvp, nhev : int
        What the check cost.
    """

    ok: bool | None
    message: str
    slopes: dict
    windows: dict
    steps: np.ndarray
    remainders: dict
    noise: float
    x: np.ndarray
    nfev: int
    njev: int
    nhvp: int
    nhev: int

    def plot(self, ax=None):
        """The remainders against the step, with lines of the slopes that are right; the Axes."""
        from . import figures  # matplotlib, which nothing else here needs
        return figures.taylor_remainders(self, ax)

    def __repr__(self) -> str:
        return f"DerivativeCheck(ok={self.ok}: {self.message})"


def check_derivatives(fun, jac=None, x=None, *, hessp=None, hess=None, args=(), rng=None,
                      directions=3, scale=None) -> DerivativeCheck:
    r"""Are the gradient and the Hessian-vector products those of f? With words if they are not.

    Along random unit vectors v the remainders (1) of this module are followed from h = ``scale``
    down to rounding, which is measured. The slope of the gradient's remainder has to be 2 at least.
    Where it is 1 the gradient is wrong, and differences of values say in which way: a sign, a
    scale, or a missing term and the coordinates in which it is largest. A product is held against
    central differences of the gradient, and has to be symmetric and linear.

    "Right" means that g·v agrees with the values to within a hundredth at least; the message has
    the number. A relative error of less than 10⁻⁵ is not told from a gradient that was computed in
    single precision. A right function that changes on a scale which rounding hides may be accused:
    it is not the function that its values show. At a point where ∇f vanishes a gradient of the
    wrong scale looks right too; there the check moves on to a point at a tenth of ``scale``, and
    says so.

    Parameters
    ----------
    fun : callable or Problem or FiniteSum or Oracle
        ``fun(x, *args) -> float``. Whatever brings its own derivatives makes ``jac`` superfluous:
        ``check_derivatives(problem, x)``.
    jac : callable
        ``jac(x, *args) -> (d,)``, the gradient.
    x : array_like, shape (d,)
        A point in general position is best: not a stationary one.
    hessp, hess : callable, optional
        ``hessp(x, v, *args) -> (d,)``, ``hess(x, *args) -> (d, d)``; with both, hessp is looked at.
    rng : numpy.random.Generator or int, optional
        For the directions; fresh entropy by default.
    directions : int
        At least 2.
    scale : float, optional
        The longest step, in the units of x: over this length f should change noticeably.
        Default: ‖x‖, or 1 where x = 0.
    args : tuple, optional
        Further arguments of the functions.

    Returns
    -------
    DerivativeCheck
        Counted by the oracle: with k directions 41k + 8 values (up to 21 more where rounding is
        hard to measure), 1 gradient, and for products 4k gradients and k + 1 products, or one
        Hessian. To find out what is wrong costs 2k + 10 values and 2·min(d, 20) more for a
        gradient, and 2k gradients for products; a stationary x doubles what came before.

    Raises
    ------
    TypeError, ValueError
        Naming the argument and the remedy.

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib import check_derivatives
    >>> f = lambda x: x[0]**4 / 4 - x[0]**2 / 2 + x[1]**2
    >>> df = lambda x: np.array([x[0]**3 - x[0], 2 * x[1]])
    >>> check_derivatives(f, df, [0.5, 1.0], rng=0).ok
    True
    >>> check_derivatives(f, lambda x: -df(x), [0.5, 1.0], rng=0).message[-35:]
    'so the gradient has the wrong sign.'
    """
    if jac is not None and x is None and not callable(jac):
        jac, x = None, jac  # check_derivatives(problem, x)
    if x is None:
        raise TypeError("x must be a point of shape (d,), got None; say where to look")
    if isinstance(fun, Oracle):
        if any(given is not None for given in (jac, hessp, hess)):
            raise TypeError("an Oracle brings its own derivatives; leave jac, hessp, hess out")
        if fun.grad_noise:
            raise ValueError(f"the gradients of this Oracle are noisy, grad_noise = "
                             f"{fun.grad_noise}; check one without noise")
        oracle = fun
    else:
        oracle = Oracle(fun, jac=jac, hessp=hessp, hess=hess, args=args)
    x = as_point("x", x, oracle.problem)
    directions = integer("directions", directions, least=2)
    if scale is None:
        scale = norm(x) or 1.0
    scale = positive("scale", scale)
    rng = np.random.default_rng(rng)
    before = oracle.nfev, oracle.njev, oracle.nhvp, oracle.nhev
    with np.errstate(all="ignore"):  # what is not finite is an answer
        check = _Check(oracle, x, scale, rng, directions)
        ok, words = check.gradient()
        if ok is None and check.stationary:
            moved = _Check(oracle, x + uniform_sphere(rng, x.size, 0.1 * scale), scale, rng,
                           directions)
            ok, words = moved.gradient()
            if not moved.stationary:
                check = moved
                words = f"At a point near x, which is stationary: {words}"
        if oracle.has_hvp or oracle.has_hess:
            right, more = check.products(ok)
            ok = False if ok is False or right is False else (ok and right)
            words = f"{words} {more}"
    after = oracle.nfev, oracle.njev, oracle.nhvp, oracle.nhev
    return DerivativeCheck(ok, words, check.slopes, check.windows, check.steps, check.remainders,
                           check.noise, check.x, *(b - a for a, b in zip(before, after,
                                                                        strict=True)))


class _Check:
    """One look at one point; the steps, the values at them, and what they say."""

    def __init__(self, oracle, x, scale, rng, directions):
        self.oracle, self.x, self.scale, self.rng = oracle, x, scale, rng
        self.steps = scale * _STEPS
        self.v = uniform_sphere(rng, x.size, 1.0, directions)
        self.f, self.g = oracle.fun(x), oracle.grad(x)
        self.stationary = False
        self.slopes, self.windows, self.remainders, self.noise = {}, {}, {}, math.nan

    def gradient(self):
        """Whether ∇f is right (True, False or None), and why."""
        self.slopes["gradient"], self.windows["gradient"] = math.nan, None
        self.remainders["gradient"] = np.full((len(self.v), self.steps.size), math.nan)
        if not (math.isfinite(self.f) and np.isfinite(self.g).all()):
            what = "fun" if not math.isfinite(self.f) else "jac"
            return None, f"Cannot tell: {what} is not finite at x."
        self.unit = max(unit_of(self.f, self.g), unit_of(self.g))
        self.noise = self._noise()
        points = self.x + self.steps[:, np.newaxis] * self.v[:, np.newaxis]  # (k, m, d)
        self.moves = points - self.x
        self.values = np.array([[self.oracle.fun(p) for p in line] for line in points])
        self.linear = self.moves @ self.g
        r = np.abs(self.values - self.f - self.linear)
        self.remainders["gradient"] = r
        if np.isfinite(r).all(axis=0).sum() < 8:
            return None, (f"Cannot tell: fun is finite at few points within {self.scale:.2g} of x; "
                          f"give a smaller scale.")
        self.floor = (4 * self.noise + 4 * self.unit * np.abs(self.linear).max(axis=0)
                      + 2 * unit_of(self.values) * np.abs(self.values).max(axis=0))
        still = (self.values == self.f).all(axis=0)
        if still.all() and self.g.any():
            return self._does_not_move()
        if still.any():  # a staircase: nothing is seen below the width of its steps
            self.floor[:np.flatnonzero(still)[-1] + 1] = math.inf
        slope, window = _asymptotic_slope(self.steps, _rms(r), self.floor)
        self.slopes["gradient"] = slope
        self.windows["gradient"] = window and tuple(self.steps[i] for i in window)
        return self._judge_gradient(slope, window, r)

    def _noise(self):
        """Standard deviation of f's rounding from a table of differences of eight values.

        Moré & Wild (2011, SIAM J. Sci. Comput. 33, 1292-1314), with the fourth differences.
        """
        size = max(norm(self.x), 1e-3 * self.scale)
        least = self.unit * abs(self.f)
        for factor in (1e3, 1e5, 1e7, 1e9):
            step = factor * self.unit * size
            if step > 1e-3 * self.scale:
                break
            f = np.array([self.f] + [self.oracle.fun(self.x + j * step * self.v[0])
                                     for j in range(1, 8)])
            if np.ptp(f) > 0 or abs(7 * step * self.g @ self.v[0]) <= 8 * least:
                fourth = np.diff(f, 4)
                measured = math.sqrt(np.mean(fourth**2) / 70)  # (4!)²/8!
                return max(measured, least) if math.isfinite(measured) else least
        return least

    def _does_not_move(self):
        said = float(np.abs(self.linear).max())
        seen = said > 1e3 * _UNIT32 * abs(self.f) + float(np.finfo(np.float32).tiny)
        words = (f"fun does not change at all within {self.scale:.2g} of x, where jac says that "
                 f"it changes by {said:.2g}")
        if seen:
            return False, f"Wrong: {words}; does fun use what it is given?"
        return None, f"Cannot tell: {words}; give a larger scale, or another x."

    def _judge_gradient(self, slope, window, r):
        stated = float(np.sqrt(np.mean((self.v @ self.g) ** 2)))
        known = np.isfinite(r).all(axis=0)
        errors = np.maximum(_rms(r), self.floor) / self.steps
        error = float(np.min(errors[known], initial=math.inf))
        if not (stated > 0 or np.ptp(self.values[:, known]) > 0):
            return True, "The gradient is zero, and f does not change at all."
        relative = error / stated if stated > 0 else math.inf
        line = f"The remainder of the gradient falls like h^{slope:.3g}"
        if math.isinf(slope):
            line = "The remainder of the gradient is nothing but rounding"
        if math.isnan(slope) or slope < 0.75:
            return None, (f"Cannot tell: the remainder of the gradient follows no power of h; f "
                          f"jumps, or its rounding of about {self.noise:.1g} hides it.")
        if slope >= 1.75:
            if relative <= 1e-2:
                return True, f"{line}: right, to within {relative:.1g} of its size."
            self.stationary = True
            return None, (f"Cannot tell: {line[0].lower()}{line[1:]}, but with a rounding of "
                          f"{self.noise:.1g} in f its size along a random direction, {stated:.2g}, "
                          f"is only known to within {error:.1g}; choose another x"
                          f"{' or scale' if self.noise > 0 else ''}.")
        if slope > 1.25:
            return None, (f"Cannot tell: {line[0].lower()}{line[1:]}, neither like h, as if it "
                          f"were wrong, nor like h²: ∇f is not Lipschitz near x. Choose another "
                          f"x.")
        if relative <= 64 * self.unit:
            return True, f"{line}, but only by {relative:.1g} of its size, which is its rounding."
        if relative <= 1e-5:
            return None, (f"Cannot tell: {line[0].lower()}{line[1:]} and it differs from the "
                          f"values by {relative:.1g} of its size: a small term that is missing, or "
                          f"single precision inside of jac.")
        if relative <= 0.05 and self.steps[window[0]] > 1e-7 * self.scale:
            return None, (f"Cannot tell: {line[0].lower()}{line[1:]} and it differs from the "
                          f"values by {relative:.1g} of its size; but below h = "
                          f"{self.steps[window[0]]:.1g} rounding hides whether that is a term that "
                          f"is missing, or f changes on a smaller scale.")
        return self._diagnosis(line, window)

    def _diagnosis(self, line, window):
        """What is wrong with a gradient whose remainder falls like h."""
        j = min(window[0] + 2, window[1])
        h = self.steps[j]
        back = np.array([self.oracle.fun(self.x - move) for move in self.moves[:, j]])
        ahead = self.values[:, j]
        sided = np.abs(ahead + back - 2 * self.f) / 2
        wrong = self.remainders["gradient"][:, j]
        if _rms(sided[:, np.newaxis])[0] > 0.2 * _rms(wrong[:, np.newaxis])[0]:
            return None, (f"Cannot tell: f has a kink at x: its slopes ahead and behind, "
                          f"{(ahead[0] - self.f) / h:.3g} and {(self.f - back[0]) / h:.3g} along "
                          f"a random direction, differ. Choose another x.")
        wide = min(j + 2, self.steps.size - 1)
        rates = (ahead - back) / (2 * h)
        others = (self.values[:, wide] - [self.oracle.fun(self.x - move)
                                          for move in self.moves[:, wide]]) / (2 * self.steps[wide])
        # Smooth values have rates, and change the more the longer the step is.
        upper = slice((window[0] + window[1]) // 2 - 1, window[1] + 1)
        changes = np.maximum(_rms(self.values - self.f)[upper], 1e-3 * self.noise)
        leaps = np.polyfit(np.log(self.steps[upper]), np.log(changes), 1)[0] < 0.5
        if leaps or not norm(rates - others) <= 0.3 * norm(rates) + self.floor[j] / h:
            return None, (f"Cannot tell: where values stand out from rounding, at h = {h:.1g}, "
                          f"they are not smooth: their rates of change, {rates[0]:.3g} and "
                          f"{others[0]:.3g} at {self.steps[wide]:.1g}, differ. Give another scale.")
        more = uniform_sphere(self.rng, self.x.size, 1.0, 5)
        true = np.concatenate([rates, [self._quotient(v, h) for v in more]])
        stated = np.concatenate([self.v @ self.g, more @ self.g])
        words = (f"{line} instead of h²: wrong. Along a random direction f changes at the rate "
                 f"{true[0]:.3g}, and g·v is {stated[0]:.3g}")
        ratio = _common_ratio(true, stated)
        if not math.isnan(ratio):
            return False, (f"{words}; the ratio is {ratio:.3g} in all {true.size} directions, so "
                           f"{_fault('the gradient', ratio)}.")
        return False, f"{words}; the ratio varies: {self._coordinates(h)}."

    def _quotient(self, v, h):
        return (self.oracle.fun(self.x + h * v) - self.oracle.fun(self.x - h * v)) / (2 * h)

    def _coordinates(self, h):
        """The coordinates in which g is off most, of 20: the largest of g, and random ones."""
        d = self.x.size
        some = np.arange(d)
        if d > _COORDINATES:
            large = np.argsort(-np.abs(self.g))[:_COORDINATES // 2]
            rest = np.setdiff1d(some, large)
            some = np.concatenate([large, self.rng.choice(rest, _COORDINATES - large.size, False)])
        true = np.array([self._quotient(np.eye(1, d, i)[0], h) for i in some])
        off = np.abs(true - self.g[some])
        worst = [k for k in np.argsort(-off)[:3] if off[k] > 0.1 * off.max()]
        named = ", ".join(f"{some[k]} ({true[k]:.3g} by differences, {self.g[some[k]]:.3g} by jac)"
                          for k in worst)
        count = np.count_nonzero(off > 0.1 * off.max())
        looked = f"{some.size} of the {d}" if d > some.size else f"all {d}"
        return (f"a term is missing or wrong, most in coordinate{'s' * (len(worst) > 1)} {named}; "
                f"of {looked} coordinates {count} {'is' if count == 1 else 'are'} off as much as a "
                f"tenth of that")

    # --- products ---

    def products(self, gradient_ok):
        """Whether the products are right (True, False or None), and why."""
        self.slopes["product"], self.windows["product"] = math.nan, None
        self.remainders["product"] = np.full((len(self.v), self.steps.size), math.nan)
        if self.oracle.has_hvp:
            self.kind, product = "hessp", lambda v: self.oracle.hvp(self.x, v)
        else:
            matrix = self.oracle.hess(self.x)
            self.kind, product = "hess", lambda v: matrix @ v
        hv = np.array([product(v) for v in self.v])
        if not (np.isfinite(hv).all() and np.isfinite(self.g).all()):
            return None, f"Cannot tell about {self.kind}: it is not finite at x."
        if gradient_ok:
            self._second_remainder(hv)
        differences, error = self._gradient_differences()
        right, words = self._against_differences(hv, differences, error)
        if right is False and gradient_ok is None:
            right, words = None, f"Cannot tell for sure, but it seems that {words}"
        form = self._form(product, hv)
        if form and right is not False:
            return False, f"{self.kind} is wrong. {form}"
        if not right:
            return right, f"{words} {form}".strip()
        slope = self.slopes["product"]
        power = (f"the remainder with it falls like h^{slope:.3g}" if math.isfinite(slope) else
                 "the remainder with it is nothing but rounding" if math.isinf(slope) else "")
        off = norm(hv - differences) / (norm(hv) or 1.0)
        agrees = f"it agrees with differences of the gradient to within {off:.1g} of its size"
        return True, f"{self.kind} is right: {'; '.join(filter(None, (power, agrees)))}."

    def _second_remainder(self, hv):
        squares = np.vecdot(self.moves, hv[:, np.newaxis])  # s·Hv, and s = hv
        r = np.abs(self.values - self.f - self.linear - 0.5 * self.steps * squares)
        self.remainders["product"] = r
        slope, window = _asymptotic_slope(self.steps, _rms(r), self.floor)
        self.slopes["product"] = slope
        self.windows["product"] = window and tuple(self.steps[i] for i in window)

    def _gradient_differences(self):
        """Central differences of ∇f along the directions, (k, d), and their error, measured.

        The error is what a step four times as long and the two halves of the difference disagree
        by: the halves differ where ∇f has a kink.
        """
        h = self.scale * self.unit ** (1 / 3) / 4
        wide, _ = self._central(4 * h)
        narrow, halves = self._central(h)
        error = norm(wide - narrow)
        return narrow, max(error, halves if halves > 0.1 * norm(narrow) + error else 0.0)

    def _central(self, h):
        ahead, behind = [np.array([self.oracle.grad(self.x + sign * h * v) for v in self.v])
                         for sign in (1, -1)]
        return (ahead - behind) / (2 * h), norm(ahead + behind - 2 * self.g) / (2 * h)

    def _against_differences(self, hv, differences, error):
        h = self.scale * self.unit ** (1 / 3) / 4
        off, size = norm(hv - differences), max(norm(hv), norm(differences))
        rounding = 100 * self.unit * norm(self.g) / h
        if size == 0 or (off <= error and self.slopes["product"] > 2.75):
            return True, ""
        if not (error <= 0.1 * norm(differences) + rounding and size > rounding):
            return None, (f"Cannot tell about {self.kind}: differences of the gradient have an "
                          f"error of {max(error, rounding):.1g}, and the products a size of "
                          f"{size:.2g}.")
        allowed = max(10 * error, (1e-4 if self.unit == _UNIT else 1e-2) * size)
        if off <= allowed:
            return True, ""
        if self._smaller_scale(hv, differences):
            return None, (f"Cannot tell about {self.kind}: the gradient changes on a scale that is "
                          f"smaller than h = {h:.1g}, the step of its differences; give a smaller "
                          f"scale, or another x.")
        ratio = _common_ratio(differences, hv)
        return False, (f"{self.kind} is wrong: differences of the gradient along random unit "
                       f"vectors v give v·Hv = {self.v[0] @ differences[0]:.3g}, where it says "
                       f"{self.v[0] @ hv[0]:.3g}, and differ by {off / size:.2g} of its size; "
                       f"{_fault('the product', ratio)}.")

    def _smaller_scale(self, hv, differences):
        """Whether a step near rounding sides with the products, or the longest sees what h misses.

        The second is for gradients that do not change at all within h.
        """
        length = norm(differences)
        if length == 0:
            return bool((self.oracle.grad(self.x + self.scale * self.v[0]) != self.g).any())
        size = norm(self.x)
        short = max(50 * self.unit * (norm(self.g) / length + size), 1e3 * _UNIT * size,
                    1e-13 * self.scale)
        near, _ = self._central(short)
        return norm(near - hv) < 0.5 * norm(differences - hv)


    def _form(self, product, hv):
        """What keeps the products from being symmetric and linear, in words; "" if nothing does."""
        a, b = 0.75, -1.5
        size, words = max(map(norm, hv)), []
        # 2e-5 of the size, and 7e-3 for float32: products may come from differences.
        allowed = self.unit**0.3 * size
        one, other = float(self.v[0] @ hv[1]), float(self.v[1] @ hv[0])
        if not abs(one - other) <= allowed:
            words.append(f"It is not symmetric: v·Hw = {one:.3g} and w·Hv = {other:.3g}.")
        off = norm(product(a * self.v[0] + b * self.v[1]) - a * hv[0] - b * hv[1])
        if not off <= allowed:
            words.append(f"It is not linear in v: H(av + bw) and aHv + bHw differ by {off:.2g}, "
                         f"where ‖Hv‖ is {size:.2g}.")
        return " ".join(words)


def _rms(rows):
    """Root mean square over the directions, shape (m,)."""
    return np.sqrt(np.mean(np.square(rows), axis=0))


def _asymptotic_slope(steps, r, floor):
    """Slope of log r against log h on the lowest stretch that has one, and its ends; see (1).

    The stretch begins as close above 20 times the floor of rounding as it can, has at least five
    steps (a decade), is as long as the slope over half a decade stays within a quarter of its
    median, and is infinite where nothing stands out from rounding.
    """
    clear = np.isfinite(r) & (r > 20 * floor)
    if clear.sum() < 5:
        return (math.inf if not clear.any() else math.nan), None
    x, y = np.log10(steps), np.log10(np.where(clear, r, 1.0))
    local = np.where(clear[2:] & clear[1:-1] & clear[:-2], (y[2:] - y[:-2]) / (x[2:] - x[:-2]),
                     np.nan)
    for start in range(local.size - 2):
        end = start
        while end < local.size and np.all(
                np.abs(local[start:end + 1] - np.median(local[start:end + 1])) <= 0.25):
            end += 1
        if end - start >= 3:
            last = end + 1  # local[i] looks at the steps i to i + 2
            slope = np.polyfit(x[start:last + 1], y[start:last + 1], 1)[0]
            return float(slope), (start, last)
    return math.nan, None
