r"""How small layers of a deep network leave their saddle, after Rawal & DeWeese 2026.

*A theory of saddle escape in deep nonlinear networks*, arXiv:2605.01288. Only its abstract and a
write-up by its first author were read, so that no theorem of it is cited here; what is derived or
proved here is ours, and says so.

A network is ŷ = W_L s(W_{L−1} ⋯ s(W₁x)), without biases, z_l = W_l s(z_{l−1}), under gradient flow
on the mean of a loss over samples. Two facts of the write-up are made functions: the *imbalance
identity*, `imbalance_rate`, with the classes of activations that follow from it,
`activation_class`; and the *critical depth*: the time of escape depends on ε by the number r of
layers that start at the scale ε, and not by the depth L, `critical_depth_time` and
`critical_depth_law`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq

from .._arguments import integer, positive, probability
from ._numbers import finite_array, representable

__all__ = ["ActivationClass", "activation_class", "activation_excess", "critical_depth_law",
           "critical_depth_time", "imbalance_rate"]

# s' by differences where it is not given: weights of the stencil of order eight and its spacing,
# which is relative, so that no stencil reaches across 0.
_WEIGHTS, _SPACING = np.array([4 / 5, -1 / 5, 4 / 105, -1 / 280]), 1 / 128
# Where φ is measured: at ± each of these.
_GRID = 2.0 ** np.arange(-36, 21)
# φ counts where it is so many times what rounding may make of it; a slope that so many octaves
# have in common, up to this much, is an order.
_CLEAR, _OCTAVES, _SLOPE = 1e3, 4, 0.03
# No term of an order that could be told comes up from below what counts so far in one octave.
_JUMP = 2.0**16
# Layers in `critical_depth_time`; beyond, its integrand is a spike.
_DEEPEST = 10_000


def activation_excess(z, activation, derivative=None) -> np.ndarray:
    """φ(z) = z s'(z) − s(z), which is 0 where s is homogeneous of degree one.

    Parameters
    ----------
    z : array
        Preactivations, of any shape.
    activation : callable
        ``s(z)`` of arrays.
    derivative : callable, optional
        ``s'(z)`` of arrays; otherwise differences of order eight in the scale of each z, which are
        off by some 1e-13 of the size of s where s is smooth in that scale.

    Returns
    -------
    ndarray
        Of the shape of z.

    Raises
    ------
    TypeError, ValueError
        If z holds no finite numbers, or a function does not keep the shape.

    Examples
    --------
    >>> import numpy as np
    >>> z = np.array([-0.1, 0.1])
    >>> activation_excess(z, np.tanh).round(6)    # about −(2/3)z³
    array([ 0.000661, -0.000661])
    >>> activation_excess(z, lambda z: np.maximum(z, 0)).round(12) + 0    # ReLU is homogeneous
    array([0., 0.])
    """
    z = finite_array("z", z)
    s = _called("activation", activation, z)
    if derivative is not None:
        return z * _called("derivative", derivative, z) - s
    slope = np.zeros_like(z)  # z s'(z)
    for k, weight in enumerate(_WEIGHTS, 1):
        ahead, behind = (_called("activation", activation, z * (1 + side * k * _SPACING))
                         for side in (1, -1))
        slope += weight * (ahead - behind) / _SPACING
    return slope - s


def imbalance_rate(weight, backprop, preactivation, activation, derivative=None) -> float:
    r"""dΔ_l/dt = 2 E⟨W_{l+1}ᵀ δ_{l+1}, φ(z_l)⟩, how fast neighbouring layers lose their balance.

    Δ_l = ‖W_{l+1}‖² − ‖W_l‖² (Frobenius), δ_l = ∂ℓ/∂z_l of one sample, and the loss is E ℓ. The
    identity holds for every network without biases, every differentiable loss and every
    differentiable s.

    *Proof* (ours). Gradient flow gives d‖W‖²/dt = −2⟨W, ∂f/∂W⟩ for each layer. Since ∂f/∂W_{l+1} =
    E δ_{l+1} s(z_l)ᵀ, that is −2 E⟨W_{l+1}ᵀδ_{l+1}, s(z_l)⟩ for layer l + 1. Since ∂f/∂W_l =
    E δ_l s(z_{l−1})ᵀ and z_l = W_l s(z_{l−1}), it is −2 E⟨δ_l, z_l⟩ for layer l. And δ_l =
    s'(z_l)∘W_{l+1}ᵀδ_{l+1}, so the difference is 2 E⟨W_{l+1}ᵀδ_{l+1}, z_l s'(z_l) − s(z_l)⟩. ∎

    Parameters
    ----------
    weight : array, shape (d', d)
        W_{l+1}, which leads out of layer l.
    backprop : array, shape (n, d')
        δ_{l+1} of each sample. (Of the mean of ℓ over the samples it is n times the derivative.)
    preactivation : array, shape (n, d)
        z_l of each sample.
    activation, derivative : callable, optional
        s and s', as in `activation_excess`.

    Returns
    -------
    float
        dΔ_l/dt in the time of the flow.

    Raises
    ------
    TypeError, ValueError
        If arrays are not finite or do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> W, delta, z = np.ones((1, 2)), np.ones((3, 1)), np.full((3, 2), 0.1)
    >>> round(imbalance_rate(W, delta, z, np.tanh), 6)    # 2 · 2 · φ(0.1)
    -0.002645
    >>> imbalance_rate(W, delta, z, lambda z: z, np.ones_like)
    0.0
    """
    W, delta, z = (finite_array(name, value, 2) for name, value in (
        ("weight", weight), ("backprop", backprop), ("preactivation", preactivation)))
    if len(delta) != len(z) or W.shape != (delta.shape[1], z.shape[1]):
        raise ValueError(f"weight, backprop and preactivation must have shapes (d', d), (n, d') "
                         f"and (n, d), got {W.shape}, {delta.shape} and {z.shape}")
    excess = activation_excess(z, activation, derivative)
    return 2 * float(np.sum((delta @ W) * excess)) / len(z)


def _called(name, function, z):
    """A function of the user's at z, of the shape of z."""
    if not callable(function):
        raise TypeError(f"{name} must be a callable of arrays, got {function!r}")
    value = np.asarray(function(z), dtype=float)
    if value.shape != z.shape:
        raise ValueError(f"{name} must keep the shape {z.shape} of its argument, got {value.shape}")
    return value


@dataclass(frozen=True)
class ActivationClass:
    """How the excess φ(z) = z s'(z) − s(z) of an activation begins at 0: as c z^q.

    Attributes
    ----------
    letter : {"A", "B", "C", "D"}
        A: φ = 0, layers keep their balance. B: q is odd. C: q is even. D: φ(0) ≠ 0, a
        constant offset, with which 0 is no saddle.
    order : int or None
        q; 0 for D, None for A.
    coefficient : float
        c; −s(0) for D, 0 for A.

    Examples
    --------
    >>> import numpy as np
    >>> activation_class(np.sin, np.cos)
    ActivationClass(letter='B', order=3, coefficient=-0.333333)
    """

    letter: str
    order: int | None
    coefficient: float

    def __repr__(self):
        return (f"ActivationClass(letter={self.letter!r}, order={self.order}, "
                f"coefficient={self.coefficient:.6g})")


def activation_class(activation, derivative=None) -> ActivationClass:
    r"""The class of an activation, measured from its values.

    φ is split into its even and its odd part, and the order of each is its slope
    log₂(φ(2z)/φ(z)) over the least octaves of z at which it stands clear of rounding and has a
    slope; the class is that of the part with the lower order. The classes are those of the
    write-up, near 0: linear maps and ReLU are A, tanh, sin and erf B with q = 3, GELU and Swish C
    with q = 2, the sigmoid D.

    A term that float64 cannot tell from rounding before a later one of the same parity covers it is
    not seen.

    Parameters
    ----------
    activation, derivative : callable
        s, and s' where it is known, as in `activation_excess`.

    Returns
    -------
    ActivationClass

    Raises
    ------
    TypeError
        If a function is no callable of arrays.
    ValueError
        If s is not finite near 0, or φ begins like no term of a smooth function: as \|z\|z, say, or
        differently on the two sides.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.special import expit
    >>> activation_class(lambda z: np.maximum(z, 0.0)).letter
    'A'
    >>> activation_class(lambda z: z * expit(z))    # Swish
    ActivationClass(letter='C', order=2, coefficient=0.25)
    >>> activation_class(expit)
    ActivationClass(letter='D', order=0, coefficient=-0.5)
    """
    offset, noise, *parts = _parts(activation, derivative)
    leading = [_leading(part, noise) for part in parts]
    if leading == [None, None] and offset == 0:
        return ActivationClass("A", None, 0.0)
    slopes = [math.inf if found is None else found[0] for found in leading]
    parity = int(slopes[1] < slopes[0])
    slope, coefficient = leading[parity] or (math.nan, math.nan)
    order = round(slope) if math.isfinite(slope) else -1
    near = abs(slopes[0] - slopes[1]) < 0.5
    if order % 2 != parity or abs(slope - order) > _SLOPE or order in (-1, 1) or near:
        raise ValueError(f"activation must be smooth at 0 or homogeneous of degree one, but the "
                         f"even part of z s'(z) − s(z) begins with the order {slopes[0]:.3g} and "
                         f"the odd part with {slopes[1]:.3g}; it is in none of the classes")
    if (order == 0) != (offset != 0) or order == 0 and abs(coefficient + offset) > 1e-6:
        raise ValueError(f"activation must be continuous at 0, got s(0) = {offset:.6g} beside "
                         f"{-coefficient if order == 0 else 0.0:.6g} in the limit")
    if order == 0:
        return ActivationClass("D", 0, -offset)
    return ActivationClass("C" if parity == 0 else "B", order, coefficient)


def _parts(activation, derivative):
    """s(0), what rounding may make of φ on the grid, and φ's even and odd part there."""
    with np.errstate(all="ignore"):
        excess, size = ([part(side * _GRID) for side in (1, -1)] for part in (
            lambda z: activation_excess(z, activation, derivative),
            lambda z: np.abs(_called("activation", activation, z))))
        offset = _called("activation", activation, np.zeros(1))[0]
        right, left = excess
        largest = np.maximum(*size)
    near = _GRID <= 1
    if not np.isfinite([offset, *right[near], *left[near], *largest[near]]).all():
        raise ValueError("activation must be finite near 0, with its derivative; got inf or NaN "
                         "between -1 and 1")
    # Values that are made of larger ones, as cos z − 1 is, are off by their rounding.
    largest = np.maximum(np.maximum.accumulate(largest), largest[near].max())
    noise = (4 if derivative is not None else 256) * np.finfo(float).eps * largest
    offset = float(offset) if abs(offset) > _CLEAR * noise[0] else 0.0
    return offset, noise, (right + left) / 2, (right - left) / 2


def _leading(part, noise):
    """(slope, coefficient) with which a part of φ begins; None if it is 0 near 0, to rounding."""
    with np.errstate(all="ignore"):
        size = np.abs(part) / (_CLEAR * noise)
        slopes = np.log2(np.abs(part[1:] / part[:-1]))
    clear = size > 1
    if not clear.any() or 0 < (first := clear.argmax()) and size[first] > _JUMP:
        return None
    clear = clear[1:] & clear[:-1]
    for i in range(len(slopes) - _OCTAVES + 1):
        run = slice(i, i + _OCTAVES)
        if clear[run].all() and np.ptp(slopes[run]) < _SLOPE:
            slope = slopes[run].mean()
            ends = np.flatnonzero(np.abs(slopes[i:] - slope) >= _SLOPE)
            run = slice(i, i + ends[0] + 1 if ends.size else None)
            return slope, _limit(part[run], noise[run], _GRID[run], round(slope))
    return math.nan, math.nan


def _limit(part, noise, z, order):
    """lim φ(z)/z^q from a run of octaves, by one step of Richardson's, where it is surest."""
    ratios = part / z**order
    better = (4 * ratios[:-1] - ratios[1:]) / 3  # the next term of a part is z² times this one
    doubt = np.abs(np.diff(ratios)) / 4 + (noise / np.abs(part))[:-1] * np.abs(better)
    return float(better[doubt.argmin()])


def critical_depth_time(eps, r, depth, fraction=0.5, rest=1.0) -> float:
    r"""The time in which r small layers out of L let the loss fall to a fraction of its start.

    The loss is ½(1 − p)² with p = w₁⋯w_L, the flow ẇᵢ = (1 − p)p/wᵢ, and at the start r weights
    are ε and the others are ``rest``. Derived here: every wᵢ² − wⱼ² is conserved, so the r small
    ones stay one number a and the others b = (a² + rest² − ε²)^½. With p = a^r b^{L−r},

    .. math:: \dot a = (1-p)\,a^{r-1}b^{L-r}, \qquad
        \tau = \int_\varepsilon^{a_f} \frac{\mathrm da}{(1-p)\,a^{r-1}b^{L-r}} ,

    by quadrature, where (1 − p)² at a_f is the fraction of what it is at ε.

    Parameters
    ----------
    eps : float
        ε > 0.
    r : int
        1 ≤ r ≤ L.
    depth : int
        L ≥ 1.
    fraction : float
        In [1e-12, 1 − 1e-12].
    rest : float
        The other weights, ≥ ε, with ε^r rest^{L−r} < 1.

    Returns
    -------
    float
        τ > 0, in the time of the flow.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range, or those that send τ out of float64.

    Examples
    --------
    >>> [round(critical_depth_time(1e-3, r, depth=5), 2) for r in (1, 2, 3)]
    [0.29, 6.13, 998.0]
    """
    eps, rest, r, L, fraction = _small_layers(eps, r, depth, fraction, rest)
    start, log_rest = math.log(eps), math.log(rest)

    def log_other(x):  # ln b where ln a = x
        grown = 2 * (x - start)
        more = 2 * start + grown + math.log(-math.expm1(-grown)) if grown > 0 else -math.inf
        return float(np.logaddexp(2 * log_rest, more)) / 2

    def log_product(x):  # ln p
        return r * x + (L - r) * log_other(x)

    if not log_product(start) < -1e-9:
        raise ValueError(f"eps and rest must make the product of the weights less than 1, clear of "
                         f"rounding, got eps = {eps:.6g}, rest = {rest:.6g}; use smaller ones")
    goal = math.log1p(math.sqrt(fraction) * math.expm1(log_product(start)))
    high = start + 1
    while log_product(high) < goal:
        high += 1
    end = brentq(lambda x: log_product(x) - goal, start, high, xtol=1e-15, rtol=1e-15)

    # In ln a, and in units of what it is at the start but for 1 − p.
    def integrand(x):
        powers = (2 - r) * (x - start) - (L - r) * (log_other(x) - log_rest)
        return math.exp(powers) / -math.expm1(log_product(x))

    bend = log_rest - math.log(L) / 2  # where b^{L−r} begins to grow
    knots = (start + 3, start + 30, bend - 1, bend + 1, log_rest, end - 1)
    edges = sorted({start, end, *(x for x in knots if start < x < end)})
    total = sum(quad(integrand, low, high, epsabs=0, epsrel=1e-11, limit=200)[0]
                for low, high in zip(edges[:-1], edges[1:], strict=True))
    return _time((2 - r) * start - (L - r) * log_rest + math.log(total), eps, rest)


def critical_depth_law(eps, r, depth, fraction=0.5, rest=1.0) -> float:
    r"""What `critical_depth_time` is for ε → 0: constant, logarithmic, or a power of ε.

    While a is small, b is ``rest`` and 1 − p is 1, so that ȧ = rest^{L−r} a^{r−1} and

    .. math:: \tau \sim \tau_1, \qquad \frac{\ln(1/\varepsilon)}{\text{rest}^{L-2}}, \qquad
        \frac{\varepsilon^{-(r-2)}}{(r-2)\,\text{rest}^{L-r}}

    for r = 1, r = 2 and r ≥ 3. The orders are those of Rawal & DeWeese (2026), their critical-depth
    law; the prefactors are ours. The depth and the other weights are in the prefactor alone.

    For p itself and r layers of one size, ṗ = r p^{2−2/r}(1 − p) (`saxe2013.rate`), from p₀ = ε^r:
    an exponent above 1 for r ≥ 3, which is why the wait is a power of ε. With the exponent 1 − 1/r,
    which the write-up has, it would be bounded. The exponent of ε is r − 2 nonetheless.

    Parameters
    ----------
    eps, r, depth, fraction, rest
        As in `critical_depth_time`; ε < 1. The fraction matters for r = 1 alone.

    Returns
    -------
    float
        The leading term, in the time of the flow; off by O(1) for r = 2, and by much less than
        itself for r ≥ 3.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range, or those that send τ out of float64.

    Examples
    --------
    >>> [round(critical_depth_law(1e-3, r, depth=5), 2) for r in (1, 2, 3)]
    [0.29, 6.91, 1000.0]
    """
    eps, rest, r, L, fraction = _small_layers(eps, r, depth, fraction, rest)
    if eps >= 1:
        raise ValueError(f"eps must be less than 1, got {eps:.6g}; the law is one for small eps")
    if r == 1:  # the limit itself: eps that small makes no difference
        return critical_depth_time(1e-200, 1, L, fraction, rest)
    if r == 2:
        return _time(math.log(-math.log(eps)) - (L - 2) * math.log(rest), eps, rest)
    return _time((2 - r) * math.log(eps) - (L - r) * math.log(rest) - math.log(r - 2), eps, rest)


def _small_layers(eps, r, depth, fraction, rest):
    r, L = integer("r", r), integer("depth", depth)
    if r > L:
        raise ValueError(f"r must be at most depth = {L}, got {r}; r of the layers are small")
    if L > _DEEPEST:
        raise ValueError(f"depth must be at most {_DEEPEST}, got {L}")
    fraction = probability("fraction", fraction)
    if not 1e-12 <= fraction <= 1 - 1e-12:
        raise ValueError(f"fraction must be 1e-12 or more away from 0 and 1, got {fraction!r}; "
                         f"beyond, rounding covers what is left of the loss")
    eps, rest = positive("eps", eps), positive("rest", rest)
    if r < L and eps > rest:
        raise ValueError(f"eps must be at most rest = {rest:.6g}, got {eps:.6g}; eps is what the "
                         f"small layers are")
    return eps, rest, r, L, fraction


def _time(log, eps, rest):
    """A time from its logarithm, or an error where it leaves float64."""
    return representable("the time", math.exp(log) if log < 709 else math.inf, eps=eps, rest=rest)
