r"""Laws of Muon on a matrix factorization, and what its Newton-Schulz iteration does.

Muon steps along the polar factor of the gradient: UVᵀ where ∇f = USVᵀ. Its flow on

.. math:: f(P, Q) = \tfrac12\lVert PQ - M\rVert_F^2, \qquad P\in\mathbb R^{n\times k},\;
    Q\in\mathbb R^{k\times m},

is Ṗ = polar((M − PQ)Qᵀ), Q̇ = polar(Pᵀ(M − PQ)). Rhee, Simon & Karkada 2026 (arXiv:2606.30509, of
which only the abstract was read) say that this flow has no slow passage from saddle to saddle, that
smaller modes converge first, and that it conserves √(PᵀP) − √(QQᵀ) *once the weights are aligned
with each other and the target*. The derivation and the times here are ours.

*Derivation.* Let M = Σ mᵢuᵢvᵢᵀ, and let the weights be aligned: P = Σ pᵢuᵢrᵢᵀ, Q = Σ qᵢrᵢvᵢᵀ with
orthonormal rᵢ and pᵢ, qᵢ > 0. Then (M − PQ)Qᵀ = Σ (mᵢ − pᵢqᵢ)qᵢuᵢrᵢᵀ, whose polar factor is
Σ uᵢrᵢᵀ as long as each pᵢqᵢ < mᵢ; likewise for Q. So

.. math:: \dot p_i = \dot q_i = 1

until the mode has arrived: every mode grows at the same pace, and pᵢ − qᵢ, the eigenvalues of
√(PᵀP) − √(QQᵀ) = Σ (pᵢ − qᵢ)rᵢrᵢᵀ, are conserved. Before the weights are aligned they are not.
Gradient flow has ṗᵢ = (mᵢ − pᵢqᵢ)qᵢ instead, so that a small mode multiplies itself.

The flow takes the polar factor for exact. The optimizer computes it by five steps of an iteration
with the polynomial of `newton_schulz`, on the gradient divided by its Frobenius norm
(``torch.optim.Muon``; K. Jordan's ``muon.py``): `newton_schulz_band` is what it makes of the
singular values, and modes that are too small beside the largest are not brought up to it.
"""

from __future__ import annotations

import math

import numpy as np

from .._arguments import _number, integer, nonnegative, positive, probability
from . import saxe2013
from ._numbers import finite_array

__all__ = ["COEFFICIENTS", "escape_time", "gradient_escape_time", "imbalance", "newton_schulz",
           "newton_schulz_band"]

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""a, b and c of the polynomial of `newton_schulz`, those of ``torch.optim.Muon``."""


def imbalance(P, Q) -> np.ndarray:
    r"""√(PᵀP) − √(QQᵀ), which the flow of Muon conserves once the weights are aligned.

    Gradient flow conserves PᵀP − QQᵀ, from any start. The derivation is that of this module.

    Parameters
    ----------
    P : array, shape (n, k)
    Q : array, shape (k, m)
        The factors of PQ.

    Returns
    -------
    ndarray, shape (k, k)
        Symmetric.

    Raises
    ------
    TypeError, ValueError
        If P and Q are no finite matrices that have a product.

    Examples
    --------
    >>> import numpy as np
    >>> imbalance(3 * np.eye(2), 2 * np.eye(2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    P, Q = finite_array("P", P, 2), finite_array("Q", Q, 2)
    if P.shape[1] != len(Q):
        raise ValueError(f"P and Q must have a product PQ, got shapes {P.shape} and {Q.shape}")
    return _root_of_gram(P) - _root_of_gram(Q.T)


def _root_of_gram(A):
    """√(AᵀA), from the singular values of A themselves."""
    _, s, Vt = np.linalg.svd(A, full_matrices=False)
    return (Vt.T * s) @ Vt


def escape_time(m, start=0.0, fraction=0.9) -> float:
    r"""√(fm) − ε, the time in which the flow of Muon takes a mode from ε² to the fraction f of m.

    With pᵢ = qᵢ = ε at the start, pᵢ = ε + t, and pᵢqᵢ = fm at this time, with no logarithm of ε in
    it. All modes go at once, so that the smallest arrives first.

    Parameters
    ----------
    m : float
        The singular value m > 0 of M.
    start : float
        ε ≥ 0, the singular value of both factors; ε² ≤ fm.
    fraction : float
        f in (0, 1).

    Returns
    -------
    float
        ≥ 0; times the learning rate 1, so divided by it in steps.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> [round(escape_time(m), 3) for m in (4.0, 1.0, 0.25)]
    [1.897, 0.949, 0.474]
    """
    m, f, eps = positive("m", m), probability("fraction", fraction), _start(start, m, fraction)
    return max(math.sqrt(f) * math.sqrt(m) - eps, 0.0)


def gradient_escape_time(m, start, fraction=0.9) -> float:
    r"""The time in which gradient flow takes a mode from ε² to the fraction f of m.

    .. math:: t = \frac1{2m}\ln\frac{f\,(m-\varepsilon^2)}{\varepsilon^2\,(1-f)}
        = \frac{\ln(1/\varepsilon)}m + O(1),

    `saxe2013.escape_time` of two layers. The largest mode arrives first, and every mode waits for
    ln(1/ε).

    Parameters
    ----------
    m : float
        The singular value m > 0 of M.
    start : float
        ε > 0, the singular value of both factors; ε² ≤ fm.
    fraction : float
        f in (0, 1).

    Returns
    -------
    float
        ≥ 0, in the time of the flow of ½‖PQ − M‖².

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> [round(gradient_escape_time(1.0, eps), 1) for eps in (1e-2, 1e-4, 1e-6)]
    [5.7, 10.3, 14.9]
    """
    m, f = positive("m", m), probability("fraction", fraction)
    eps = _start(positive("start", start), m, f)
    if eps**2 < np.finfo(float).tiny:
        raise ValueError(f"start must have a square that float64 can hold, got {start!r}")
    return saxe2013.escape_time(m, eps**2, max(f * m, eps**2))


def _start(start, m, fraction):
    eps, arrived = nonnegative("start", start), math.sqrt(fraction) * math.sqrt(m)
    if eps > arrived * (1 + 1e-12):
        raise ValueError(f"start must be at most (fraction·m)^½ = {arrived:.6g}, got {start!r}; "
                         f"beyond, the mode has arrived already")
    return eps


def newton_schulz(sigma, steps=5, coefficients=COEFFICIENTS):
    """What the Newton-Schulz iteration of Muon makes of singular values σ.

    Each step is X ← aX + (bA + cA²)X with A = XXᵀ, which takes every singular value to
    aσ + bσ³ + cσ⁵ and keeps the singular vectors.

    Parameters
    ----------
    sigma : float or array
        Singular values of what goes in: 0 ≤ σ ≤ 1 after the division by the Frobenius norm.
    steps : int
        From 0 to 99, as in ``torch.optim.Muon``.
    coefficients : (float, float, float)
        a, b and c.

    Returns
    -------
    ndarray
        Of the shape of sigma.

    Raises
    ------
    TypeError, ValueError
        Naming the argument.

    Examples
    --------
    >>> newton_schulz([1.0, 0.1, 1e-2, 1e-3, 1e-4]).round(2).tolist()
    [0.7, 0.71, 0.7, 0.47, 0.05]
    """
    steps, (a, b, c) = _steps(steps), _coefficients(coefficients)
    sigma = finite_array("sigma", sigma)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(steps):
            square = sigma * sigma
            sigma = sigma * (a + square * (b + square * c))
    return sigma


def newton_schulz_band(steps=5, coefficients=COEFFICIENTS, least=1e-2) -> tuple[float, float]:
    """The least and the largest of what `newton_schulz` makes of σ in [least, 1].

    Exact but for rounding: a polynomial takes an interval to the interval between its least and its
    largest value there, at an end or where its derivative, of degree two in σ², is 0; and the next
    step takes that whole interval.

    Parameters
    ----------
    steps : int
        From 0 to 99, as in ``torch.optim.Muon``.
    coefficients : (float, float, float)
        a, b and c of `newton_schulz`.
    least : float
        In (0, 1].

    Returns
    -------
    (float, float)

    Raises
    ------
    TypeError, ValueError
        Naming the argument.

    Examples
    --------
    >>> [round(bound, 3) for bound in newton_schulz_band()]
    [0.682, 1.134]
    >>> [round(bound, 3) for bound in newton_schulz_band(least=1e-4)]
    [0.048, 1.202]
    """
    steps, (a, b, c) = _steps(steps), _coefficients(coefficients)
    low, high = positive("least", least), 1.0
    if low > high:
        raise ValueError(f"least must be at most 1, the largest singular value, got {least!r}")
    squares = np.roots([5 * c, 3 * b, a])
    roots = [sign * math.sqrt(z.real) for z in squares for sign in (-1, 1)
             if abs(z.imag) <= 1e-12 * abs(z) and z.real > 0]
    for _ in range(steps):
        ends = [low, high, *(x for x in roots if low < x < high)]
        values = newton_schulz(ends, 1, (a, b, c))
        low, high = float(values.min()), float(values.max())
    return low, high


def _steps(steps):
    steps = integer("steps", steps, least=0)
    if steps >= 100:
        raise ValueError(f"steps must be less than 100, got {steps}")
    return steps


def _coefficients(coefficients):
    numbers = tuple(coefficients) if np.iterable(coefficients) else ()
    if len(numbers) != 3:
        raise ValueError(f"coefficients must be three numbers a, b, c, got {coefficients!r}")
    numbers = tuple(_number("coefficients", number) for number in numbers)
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"coefficients must be finite, got {coefficients!r}")
    return numbers
