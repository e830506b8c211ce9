"""Is x a second-order stationary point? A certificate by randomized Lanczos."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .._arguments import (
    as_gradient,
    as_point,
    curvature_scale,
    generator,
    integer,
    nonnegative,
    positive,
    probability,
)
from .._norm import norm
from ..derivatives import contradiction
from ..differences import noise
from ..oracle import Oracle
from .choice import products, sparing
from .lanczos import lanczos, start_component
from .products import Differences
from .sparing import Scales

__all__ = ["Certificate", "Question", "Verdict", "certify"]

_UNIT = np.finfo(float).eps / 2
# Gradients that `contradiction` asks for where nothing is suspect; and the part of a product that
# it has to be off to be called wrong.
_UNSUSPECTED, _OFF = 2, 0.6
# Gradients by differences are held against products where their error is this part of what matters.
_ROUGH = 0.01
# Second differences of values accuse a product that is off by a part of it, where they agree to
# another at so many spacings in a row, three times as long each, and rounding makes less of them;
# none is shorter than so many units of x.
_IN_A_ROW, _SPACINGS, _AGREE, _UNITS, _GROSS = 3, 12, 0.2, 1e4, 0.35
# A product that is smaller has lost digits to underflow; lengths in units of ‖x‖ that mean little.
_LEAST, _FAR = 1e-290, 1e3
# Where no tolerance is known: γ as a part of ‖H‖, and the length for differences as one of ‖x‖.
_PART, _NEAR = 1e-2, 0.1
_UNSEEN = 1e-6


class Verdict(enum.Enum):
    """What a certificate says, with a sentence each. Only ``SOSP`` is a success.

    Examples
    --------
    >>> Verdict.SOSP.value
    'second-order stationary: small gradient, no strong negative curvature'
    """

    SOSP = "second-order stationary: small gradient, no strong negative curvature"
    NOT_STATIONARY = "not stationary: the gradient is larger than epsilon"
    NEGATIVE_CURVATURE = "a saddle: a direction of strong negative curvature is attached"
    VACUOUS = "vacuous: the tolerance allows more curvature than there is, so nothing was tested"
    WRONG_DERIVATIVES = "the derivatives contradict the function, so nothing can be said about it"
    CANNOT_TELL = "cannot tell: rounding, noise or the budget decides, not the function"


@dataclass(frozen=True)
class Certificate:
    """The answer of `certify`.

    Attributes
    ----------
    verdict : Verdict
    message : str
        The verdict with its numbers.
    grad_norm, epsilon : float
        ‖∇f(x)‖₂ and the ε it was held against.
    min_eig : float
        Smallest Ritz value: an upper bound of λ_min up to ``hvp_error``.
    min_eig_lower : float
        λ_min is at least this, with probability at least 1 − ``failure_prob``.
    curvature_tol : float
        The threshold √(ρε): negative curvature down to −curvature_tol is allowed.
    direction : ndarray, shape (d,)
        Unit vector with Rayleigh quotient ``min_eig``.
    ritz_values : ndarray, shape (k,)
        The eigenvalues of H on the k directions that Lanczos took, in ascending order.
    failure_prob : float
    iterations : int
        Lanczos steps.
    hvp_error : float
        What errors of the Hessian-vector products may do to an eigenvalue, an absolute error.
    hess_norm : float
        The largest ‖Hv‖ of a unit vector that was seen: a lower bound of ‖H‖.
    nfev, njev, nhvp, nhev : int
        What this certificate cost.
    """

    verdict: Verdict
    message: str
    grad_norm: float
    epsilon: float
    min_eig: float
    min_eig_lower: float
    curvature_tol: float
    direction: np.ndarray
    ritz_values: np.ndarray
    failure_prob: float
    iterations: int
    hvp_error: float
    hess_norm: float
    nfev: int
    njev: int
    nhvp: int
    nhev: int

    @property
    def passed(self) -> bool:
        """Whether x is certified as an (ε, √(ρε))-second-order stationary point."""
        return self.verdict is Verdict.SOSP

    def plot(self, ax=None):
        """The Ritz values against the tolerance (`figures.ritz_values`); the Axes."""
        from .. import figures  # matplotlib, which nothing else here needs
        return figures.ritz_values(self, ax)

    def __repr__(self) -> str:
        return f"Certificate({self.verdict.name}: {self.message})"


def certify(fun, x, *, epsilon, failure_prob=1e-4, curvature_tol=None, lipschitz_hess=None,
            jac=None, hessp=None, hess=None, args=(), rng=None, maxiter=None, resolution=0.05,
            hvp_error=None, grad_error=None, grad_at_x=None, recheck=True) -> Certificate:
    r"""Decide whether x is an (ε, √(ρε))-second-order stationary point.

    That is ‖∇f(x)‖₂ ≤ ε and λ_min(∇²f(x)) ≥ −√(ρε) (Nesterov & Polyak 2006; Jin et al. 2017).
    Only Hessian-vector products are used; memory is (iterations + 2)·d numbers.

    The promise: if λ_min < −curvature_tol, the verdict is `Verdict.SOSP` with probability at most
    ``failure_prob``, whatever the function, over the draw of the start of the Lanczos iteration.
    It passes as soon as the orthonormal Lanczos polynomials say so,

    .. math:: \Big(\sum_{j\le k} p_j(-\gamma)^2\Big)^{-1/2}
              + \sqrt{2k}\,e\,\|(T_k+\gamma)^{-1}e_1\| < c ,

    with γ = ``curvature_tol``, T_k the tridiagonal matrix so far, e the error of a product, and c
    the δ-quantile of a component of a uniform unit vector: the theorem of
    `saddlelib.curvature.lanczos`. ``min_eig_lower`` is the lowest number that this cannot exclude.
    The verdict `Verdict.NEGATIVE_CURVATURE` is not a matter of chance: the direction is there and
    its Rayleigh quotient has been computed once more. A tolerance above the largest curvature that
    was seen tests nothing, and that is `Verdict.VACUOUS`. Before a point passes, f has to be finite
    there. Before anything at all is said of a point, f, ∇f and the products have to belong together
    as far as `derivatives.contradiction` can see; else the verdict is `Verdict.WRONG_DERIVATIVES`.

    Repeating it until it passes spends ``failure_prob`` every time; δ/(k(k+1)) for the k-th try
    keeps the sum at δ.

    Parameters
    ----------
    fun : Problem or callable or Oracle
        With a plain function, give ``jac``, its gradient or what `Oracle` takes for it, and
        ``hessp`` or ``hess`` if there is one. Without them, Hv comes from differences of gradients
        whose error is measured: one gradient a product where that is exact enough, two where not,
        some for the measurement, mostly three, and one more before a point passes. They see no
        structure of f that is finer than 10⁻⁵ ε/curvature_tol. Where gradients are differences of
        values, and d ≤ 100, ∇²f comes from some d² + 5d values; see `saddlelib.curvature.values`.
    x : array_like, shape (d,)
    jac, hessp, hess : optional
        The derivatives of a plain function, as `Oracle` takes them.
    args : tuple
        Extra arguments of plain functions.
    epsilon : float
        ε > 0, in the units of the gradient.
    failure_prob : float
        δ in (0, 1). The cost grows with ln(1/δ) only.
    curvature_tol : float, optional
        √(ρε) > 0 by default, with ρ = ``lipschitz_hess`` or what the problem states; where nobody
        knows ρ, 1/100 of the largest ‖Hv‖ of a unit vector that is seen.
    lipschitz_hess : float, optional
        ρ ≥ 0.
    rng : numpy.random.Generator or int, optional
        For the start; fresh entropy by default.
    maxiter : int, optional
        Most Lanczos steps in all, min(2d, 2000) by default. One run takes at most d of them; what
        it leaves is for a second run from the same start with more exact differences of gradients,
        where the first ones were not exact enough.
    resolution : float
        Stop with `Verdict.CANNOT_TELL` when λ_min is known to within resolution·curvature_tol and
        that still straddles the threshold.
    hvp_error : float, optional
        e, ‖error‖₂ of one product with a unit vector. It is believed. Default: what is measured,
        at least 16 units of rounding of the largest ‖Hv‖ seen.
    grad_error : float or (float, float), optional
        ‖error‖₂ of a gradient g, absolute or as (absolute, relative), that is a + r‖g‖. It is
        believed. Default: a few units of rounding of the terms of g for the comparison with ε, in
        the dtype of what was returned; what `Oracle.grad_error` measures where gradients are
        differences of values; and what is measured for differences of gradients.
    grad_at_x : ndarray, shape (d,), optional
        ∇f(x), when the caller has it already.
    recheck : bool
        False for a caller who looks at f himself where a point does not pass: only one that passes
        is then held against f. A point that is no saddle costs 2 values and 1 gradient otherwise.

    Returns
    -------
    Certificate

    Raises
    ------
    TypeError, ValueError
        Naming the argument and the remedy; also where products, or differences of what is given as
        a gradient, are not symmetric, as those of every function are.

    Examples
    --------
    >>> import numpy as np, saddlelib
    >>> f = lambda x: x[0]**4 / 4 - x[0]**2 / 2 + x[1]**2
    >>> df = lambda x: np.array([x[0]**3 - x[0], 2 * x[1]])
    >>> saddlelib.certify(f, [0., 0.], jac=df, epsilon=1e-3, lipschitz_hess=6., rng=0).verdict.name
    'NEGATIVE_CURVATURE'
    >>> saddlelib.certify(f, [1., 0.], jac=df, epsilon=1e-3, lipschitz_hess=6., rng=0).verdict.name
    'SOSP'
    """
    oracle = fun if isinstance(fun, Oracle) else Oracle(
        fun, jac=jac, hessp=hessp, hess=hess, args=args)
    x = as_point("x", x, oracle.problem)
    epsilon = positive("epsilon", epsilon)
    failure_prob = probability("failure_prob", failure_prob)
    known, rho = None, getattr(oracle.problem, "lipschitz_hess", None)
    if curvature_tol is None and lipschitz_hess is None and rho is None:
        curvature_tol = estimated_tol(_PART, _PART, 0.0, epsilon, x)
        known = Scales(length=_NEAR * (norm(x) or 1.0))
    else:
        lipschitz_hess, curvature_tol = curvature_scale(
            oracle.problem, epsilon, lipschitz_hess, curvature_tol)
    maxiter = min(2 * x.size, 2000) if maxiter is None else integer("maxiter", maxiter)
    resolution, grad_error = positive("resolution", resolution), _grad_error(grad_error)
    hvp_error = None if hvp_error is None else nonnegative("hvp_error", hvp_error)
    rng, g = generator("rng", rng), None if grad_at_x is None else as_gradient(
        "grad_at_x", grad_at_x, x)
    return Question(epsilon, curvature_tol, failure_prob, lipschitz_hess, maxiter, resolution,
                    hvp_error, grad_error, recheck, known, measure=True).ask(oracle, x, g, rng)


def estimated_tol(low, high, scale, epsilon, x):
    """γ as a function of ‖H‖ for who knows no other: ``scale``, but within low‖H‖ and high‖H‖.

    Where ‖H‖ max(‖x‖, 1) is below 10⁻⁶ε, ε sees neither slope nor curvature, and a part of next to
    nothing would let a plain pass for a minimum. Then γ is larger than ‖H‖, which says: flat.
    """
    unseen = max(_UNSEEN * epsilon / max(1.0, norm(x)), _LEAST)
    return lambda size: unseen if size <= unseen else max(min(max(scale, low * size), high * size),
                                                          _LEAST)


@dataclass(frozen=True)
class Question:
    """What `certify` asks, with all arguments in their final form, and how a driver asks it.

    Parameters
    ----------
    curvature_tol : float or callable
        Also a function of the largest ‖Hv‖ that was seen, > 0.
    known : Scales, optional
        What a run knows already; needed where ``curvature_tol`` is a function.
    measure : bool
        Whether the errors of differences are measured from the start all the same.
    hopeful : bool
        Whether x is expected to pass; see `curvature.sparing`.
    deep : float or callable, optional
        As for `lanczos`: curvature below −deep is enough to leave x.
    confirm : bool
        Whether a direction of negative curvature is looked at once more; False for a caller who
        asks f.
    """

    epsilon: float
    curvature_tol: float | Callable
    failure_prob: float
    lipschitz_hess: float | None = None
    maxiter: int = 2000
    resolution: float = 0.05
    hvp_error: float | None = None
    grad_error: tuple | None = None
    recheck: bool = True
    known: Scales | None = None
    deep: float | Callable | None = None
    confirm: bool = True
    measure: bool = False
    hopeful: bool = False

    def ask(self, oracle, x, g=None, rng=None, value=None) -> Certificate:
        """The certificate at x, with ∇f(x) and f(x) if they are known."""
        return _answer(self, oracle, x, g, rng, value)


def _products(question, oracle, x, g, scale, component, grad_error):
    """Those that cost least where a driver asks, else the best there are."""
    tol, known = question.curvature_tol, question.known
    if known is None or question.measure:
        return products(oracle, x, g, tol, scale, component, hvp_error=question.hvp_error,
                        grad_error=grad_error, hess_norm=0.0 if known is None else known.hess_norm)
    return sparing(oracle, x, g, tol, component, known, hopeful=question.hopeful,
                   grad_error=grad_error)


def _answer(question, oracle, x, g, rng, value):
    before = counts(oracle)
    epsilon, failure_prob = question.epsilon, question.failure_prob
    grad_error, rho, tol = question.grad_error, question.lipschitz_hess, question.curvature_tol
    g = oracle.grad(x) if g is None else g
    grad_norm = norm(g)
    look, product = None, None
    if np.isfinite(g).all():
        measured = grad_error is None and oracle.differences
        if measured:
            grad_error = oracle.grad_error(x, g), 0.0
        component = start_component(x.size, failure_prob)
        scale = (length_scale(epsilon, tol, rho) if question.known is None
                 else question.known.length)
        product = _products(question, oracle, x, g, scale, component, grad_error)
        look = lanczos(product, x.size, tol, failure_prob, rng, question.maxiter,
                       question.resolution, question.deep, question.confirm)
        tol = look.tol
        error = 0.0 if grad_error is None else grad_error[0] + grad_error[1] * grad_norm
        if grad_error is None or measured:
            error = max(error, _rounding(x, grad_norm, product, oracle.unit))
        slope = Slope(grad_norm - error, grad_norm + error,
                      f"‖∇f‖ = {grad_norm:.3g} against ε = {epsilon:.3g}",
                      f"within the error {error:.1g} of the gradient{_why(oracle)}")
    else:
        slope, tol = Slope(), math.nan if callable(tol) else tol
    verdict, message = judge(epsilon, tol, failure_prob, slope, look, product)
    if verdict is Verdict.SOSP or question.recheck and verdict is not Verdict.CANNOT_TELL:
        if question.known is not None and product.norm > 0:  # beyond, f may be another function
            scale = min(scale, epsilon / product.norm)
        verdict, message = doubt(verdict, message, oracle, x, g, look, product.norm, epsilon, scale,
                                 rho, question.hvp_error or 0.0, value)
    cost = [b - a for a, b in zip(before, counts(oracle), strict=True)]
    if verdict is Verdict.SOSP:
        message += f"; from {_spent(cost)}"
    known = (math.nan, -math.inf, tol, np.full(x.size, np.nan), np.empty(0), failure_prob, 0,
             math.nan, 0.0) if look is None else (
        look.min_eig, look.lower, tol, look.direction, look.ritz_values, failure_prob, look.steps,
        look.error, product.norm)
    return Certificate(verdict, message, grad_norm, epsilon, *known, *cost)


@dataclass(frozen=True)
class Slope:
    """What is known of ‖∇f(x)‖: limits, the numbers in words, and why the limits are not closer."""

    lower: float = math.nan
    upper: float = math.nan
    words: str = "the gradient is not finite"
    doubt: str = ""


def judge(epsilon, curvature_tol, failure_prob, slope, look, product, deviation=0.0):
    """The verdict and its numbers in words, from what was seen.

    ``look`` is None where nobody looked at the curvature; ``deviation`` is how far the Hessian that
    was looked at may be from ∇²f along a fixed direction. A comparison with NaN is false, and what
    passes has passed every one of them.
    """
    if math.isnan(slope.lower):
        return Verdict.CANNOT_TELL, slope.words
    if slope.lower > epsilon:
        return Verdict.NOT_STATIONARY, slope.words
    if look is None or math.isnan(look.min_eig):
        return Verdict.CANNOT_TELL, "a Hessian-vector product is not finite"
    above = look.min_eig + deviation
    most = above + look.error  # a Ritz value of products with errors is no bound without them
    eig = f"λ_min in [{look.lower - deviation:.4g}, {most:.4g}] against −{curvature_tol:.4g}"
    if most < -curvature_tol:
        return (Verdict.NEGATIVE_CURVATURE,
                f"λ_min ≤ {most:.4g} < −{curvature_tol:.4g}")
    if not slope.upper <= epsilon:
        return Verdict.CANNOT_TELL, f"{slope.words}: {slope.doubt}"
    if 0 < product.norm < _LEAST:
        return Verdict.CANNOT_TELL, (f"the curvature, {product.norm:.2g}, has lost digits to "
                                     f"underflow; use smaller units of x or larger ones of f")
    if look.lower - deviation >= -curvature_tol:
        if not curvature_tol < (1 - 64 * _UNIT) * product.norm + deviation:
            return Verdict.VACUOUS, f"{slope.words}; {_vacuous(curvature_tol, product.norm)}"
        return Verdict.SOSP, (f"{slope.words}; {eig} except with probability {failure_prob:.2g}"
                              f"{_allowance(curvature_tol, look, above)}")
    remedy = product.remedy if look.end == "errors" else ""
    return Verdict.CANNOT_TELL, f"{eig}{_REASONS[look.end].format(look=look)}{remedy}"


_REASONS = {
    "errors": ": the Hessian-vector products have an error of {look.error:.2g}",
    "resolved": " after {look.steps} Lanczos steps; lower resolution to know more",
    "budget": " after {look.steps} Lanczos steps; raise maxiter to know more",
    "negative": ": the direction of negative curvature did not stand a second look",
    "passed": " after {look.steps} Lanczos steps",
}


def _allowance(curvature_tol, look, above):
    """What to say of negative curvature that the tolerance allows."""
    if not above < -max(look.error, 1e-3 * curvature_tol):
        return ""
    return (f"; negative curvature within the tolerance, which exceeds it by a factor of "
            f"{curvature_tol / -above:.2g}")


def _vacuous(curvature_tol, largest):
    """What to say where the tolerance exceeds all curvature."""
    if largest > 1e-3 * curvature_tol:
        return (f"the curvature tolerance {curvature_tol:.3g} is larger than the largest curvature "
                f"seen, {largest:.3g}, so no point could fail; lower epsilon or curvature_tol")
    factor = f"{curvature_tol / largest:.2g} times" if largest > 0 else "infinitely many times"
    return (f"flat: neither slope nor curvature here; the curvature tolerance {curvature_tol:.3g} "
            f"is {factor} the largest curvature seen, {largest:.2g}")


def doubt(verdict, message, oracle, x, g, look, hess_norm, epsilon, length, rho, hvp_error=0.0,
          value=None):
    """The last questions before anything is said: is f finite, and do the derivatives belong to f?

    ``g`` is ∇f(x) without noise; ``look`` has a direction b and Hb; ``value`` is f(x) if known.
    """
    value = oracle.fun(x) if value is None else value
    if not math.isfinite(value):
        passes = verdict is Verdict.SOSP
        return (Verdict.CANNOT_TELL, f"f(x) = {value} is not finite") if passes else (
            verdict, message)
    if oracle.by_values:  # the gradient is that of f, or of what rounding left of it
        return verdict, message
    if oracle.differences and not oracle.grad_error(x, g) <= _ROUGH * min(
            max(norm(g), epsilon), hess_norm * length):
        given = oracle.has_hvp or oracle.has_hess
        wrong = _by_values(oracle, x, look, value, hvp_error) if given else ""
        return (Verdict.WRONG_DERIVATIVES, wrong) if wrong else (verdict, message)
    before = oracle.njev
    wrong = contradiction(oracle, x, g, look.start, look.first, hess_norm, rho, value,
                          epsilon=epsilon, length=length, hvp_error=hvp_error)
    if oracle.differences in ("2-point", "3-point") and wrong.startswith("fun and jac"):
        wrong = ""  # of values and of differences of them
    if not wrong and oracle.njev > before + _UNSUSPECTED and (oracle.has_hvp or oracle.has_hess):
        wrong = _by_differences(oracle, x, g, look, length, rho, hvp_error)
    return (Verdict.WRONG_DERIVATIVES, wrong) if wrong else (verdict, message)


def _by_values(oracle, x, look, value, hvp_error):
    """A given product where gradients are differences, held against second differences of f.

    At three spacings in a row they have to agree with each other and not with it.
    """
    b, told = look.start, float(look.start @ look.first)
    if not _LEAST < abs(told) < math.inf:
        return ""
    sigma, least = oracle.unit * abs(value), _UNITS * _UNIT * norm(x)
    h = max(math.sqrt(4 / _AGREE * sigma / abs(told)), least) or _FAR * _UNIT
    seen, name = [], "hessp" if oracle.has_hvp else "hess"
    for _ in range(_SPACINGS):
        bend = oracle.fun(x + h * b) - 2 * value + oracle.fun(x - h * b)
        q = bend / h / h
        if not (math.isfinite(q) and abs(q - told) > _GROSS * max(abs(q), abs(told)) + hvp_error):
            return ""
        sigma = max(sigma, 2 * noise(oracle.fun, x, h, b))
        clear = 4 * sigma / h / h <= _AGREE * abs(q) and q != 0
        seen, h = [*seen[1 - _IN_A_ROW:], q] if clear else [], 3 * h
        if len(seen) == _IN_A_ROW and max(seen) - min(seen) <= _AGREE * max(map(abs, seen)):
            return (f"fun and {name} contradict each other: second differences of fun along a "
                    f"random unit vector b give b·Hb = {q:.3g}, where {name} states {told:.3g}")
    return ""


def _by_differences(oracle, x, g, look, length, rho, hvp_error):
    """A given product that was suspect, held against differences that measure their error.

    Two of them, at spacings ten times apart, have to agree with each other and not with it: a
    length ε/γ that means nothing leads to differences from far away.
    """
    told, name = norm(look.first), "hessp" if oracle.has_hvp else "hess"
    meant = length <= _FAR * max(norm(x), 1.0)  # and not the ε/γ of an ε that means nothing
    if oracle.grad_noise or not (meant and _LEAST < told < math.inf):
        return ""
    with np.errstate(all="ignore"):
        product = Differences(oracle.grad, x, g, length, 0.05 * told)
        seen = [product(look.start),
                Differences(oracle.grad, x, g, length / 10, 0.05 * told)(look.start)]
        error = 4 * product.one() + (hvp_error or 0.0) + (4 * rho * product.step if rho else 0.0)
    sizes = [norm(hv) for hv in seen]
    if not _LEAST < min(sizes) <= max(sizes) < math.inf:
        return ""  # nothing moved, which may be for want of digits, or too much
    size = _OFF * max(told, *sizes)
    apart = [norm(a - b) for a, b in ((seen[0], look.first), (seen[1], look.first), seen)]
    if not (size + error < apart[0] < math.inf and size < apart[1] and apart[2] < 0.4 * size):
        return ""
    return (f"jac and {name} contradict each other: differences of the gradient along a random "
            f"unit vector b give ‖Hb‖ = {norm(seen[0]):.3g} and b·Hb = {look.start @ seen[0]:.3g}, "
            f"where {name} states {told:.3g} and {look.start @ look.first:.3g}")


def _grad_error(value):
    """(absolute, relative) or None."""
    if value is None:
        return None
    pair = value if isinstance(value, tuple) and len(value) == 2 else (value, 0.0)
    return tuple(nonnegative("grad_error", part) for part in pair)


def _rounding(x, grad_norm, product, unit):
    """A gradient is a sum of products; its rounding is a few units of what was summed."""
    return max(4 * unit * (grad_norm + product.norm * norm(x)), product.noise)


def _why(oracle):
    """Why a gradient may have an error that matters, and what to do about it."""
    if oracle.differences == "2-point":
        return ', which is made of differences of fun; give jac, or jac="3-point"'
    if oracle.differences:
        return ", which is made of differences of fun; give jac"
    return "" if oracle.unit == _UNIT else ", which is rounded to less than float64"


def length_scale(epsilon, curvature_tol, lipschitz_hess):
    """The length on which curvature of the size of the tolerance can be lost, γ/ρ or ε/γ."""
    scale = epsilon / curvature_tol
    return min(scale, curvature_tol / lipschitz_hess) if lipschitz_hess else scale


def counts(oracle):
    """Values, gradients, products and Hessians so far."""
    return oracle.nfev, oracle.njev, oracle.nhvp, oracle.nhev


def _spent(cost):
    names = ("value", "gradient", "Hessian-vector product", "Hessian")
    return ", ".join(f"{n} {name}{'s' * (n > 1)}" for n, name in zip(cost, names, strict=True) if n)
