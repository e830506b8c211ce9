r"""How deep linear networks learn, after Saxe, McClelland & Ganguli 2013.

*Exact solutions to the nonlinear dynamics of learning in deep linear neural networks*,
arXiv:1312.6120. The equations are stated from memory, with the factors of
the loss that this book uses derived here: gradient flow dW/dt = −∂f/∂W on

.. math:: f = \tfrac12\lVert W_L\cdots W_1 - M\rVert_F^2, \qquad M = U\,\mathrm{diag}(s)\,V^T,

from a start that is *aligned* and *balanced*: W₁ = R₂ diag(w) Vᵀ, W_l = R_{l+1} diag(w) R_lᵀ, W_L =
U diag(w) R_Lᵀ, with orthonormal columns in each R_l. The flow keeps that form, so that each mode
goes its own way: w' = w^{L−1}(s − w^L). Its *strength* u = w^L obeys

.. math:: \dot u = L\,w^{L-1}\,\dot w = L\,u^{2-2/L}\,(s-u),

which is the equation of the paper with its time constant τ = 1. A small mode of two layers doubles
every ln 2/(2s); with more layers it doubles the more slowly the smaller it is. The time of escape
is about ln(s/u₀)/(2s) for two layers and u₀^{−(L−2)/L}/((L − 2)s) for L ≥ 3.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.integrate import quad

from .._arguments import integer, positive
from ._numbers import finite_array, nonnegative, representable

__all__ = ["escape_time", "rate", "strength"]


def rate(u, s, depth=2) -> float:
    """du/dt = L u^{2−2/L} (s − u), how fast the strength of a mode grows.

    Parameters
    ----------
    u : float
        The strength u ≥ 0.
    s : float
        The singular value s > 0 of M that it grows to.
    depth : int
        L ≥ 1, the number of weight matrices.

    Returns
    -------
    float
        Negative where u > s.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> rate(0.5, s=1.0), round(rate(0.125, s=1.0, depth=3), 6)    # 3 · (1/2)⁴ · 7/8
    (0.5, 0.164062)
    """
    u, s, L = nonnegative("u", u), positive("s", s), integer("depth", depth)
    try:
        found = L * u ** (2 - 2 / L) * (s - u)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise ValueError(f"u = {u:.3g} makes the rate leave the range of float64; use a smaller "
                         f"one")
    return found


def strength(t, s, u0):
    r"""u(t) of a mode of two layers, s/(1 + (s/u₀ − 1)e^{−2st}).

    It solves u' = 2u(s − u): a sigmoid with its middle at t = ln(s/u₀ − 1)/(2s). The paper writes
    s e^{2st/τ}/(e^{2st/τ} − 1 + s/u₀), the same.

    Parameters
    ----------
    t : float or array
        Times ≥ 0.
    s : float
        The singular value s > 0.
    u0 : float
        The strength u₀ > 0 at t = 0.

    Returns
    -------
    ndarray
        Of the shape of t.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> strength([0.0, 5.0, 10.0], s=1.0, u0=1e-4).round(4).tolist()
    [0.0001, 0.6878, 1.0]
    """
    t, s, u0 = finite_array("t", t), positive("s", s), positive("u0", u0)
    if (t < 0).any():
        raise ValueError(f"t must be at least 0 everywhere, got {t.min():.6g}; the law holds "
                         f"forward from u0")
    with np.errstate(over="ignore", under="ignore"):
        return s / (np.exp(math.log(s) - math.log(u0) - 2 * s * t) - np.expm1(-2 * s * t))


def escape_time(s, u0, uf, depth=2) -> float:
    r"""The time in which the strength of a mode grows from u₀ to u_f.

    For two layers

    .. math:: t = \frac1{2s}\ln\frac{u_f\,(s-u_0)}{u_0\,(s-u_f)},

    and in general, with y = ln(u/(s − u)), for which y' = s u'/(u(s − u)),

    .. math:: t = \frac1{sL}\int_{y(u_0)}^{y(u_f)} u(y)^{2/L-1}\,\mathrm dy ,

    by quadrature; the integrand is bounded by its values at the ends. Where u is far below s it is
    a power of u, so for L ≥ 3 and u₀ → 0 the time is u₀^{−(L−2)/L}/((L − 2)s): with u₀ = ε^L,
    ε^{−(L−2)}/((L − 2)s).

    Parameters
    ----------
    s : float
        The singular value s > 0.
    u0, uf : float
        Strengths 0 < u₀ ≤ u_f < s.
    depth : int
        L ≥ 1, the number of weight matrices.

    Returns
    -------
    float
        ≥ 0, in the time of the flow of the loss ½‖W_L⋯W₁ − M‖².

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> round(escape_time(1.0, 1e-6, 0.5), 3)    # ln(1e6)/2
    6.908
    >>> round(escape_time(1.0, 1e-9, 0.5, depth=3), 1)    # ε = 1e-3: about 1/ε
    999.1
    """
    s, L = positive("s", s), integer("depth", depth)
    u0, uf = positive("u0", u0), positive("uf", uf)
    if not u0 <= uf < s:
        raise ValueError(f"u0 and uf must satisfy u0 <= uf < s = {s:.6g}, got u0 = {u0:.6g} and "
                         f"uf = {uf:.6g}; a mode takes for ever to reach s itself")
    if L == 1:
        return math.log1p(-u0 / s) - math.log1p(-uf / s)
    start, end = (math.log(u) - math.log(s) - math.log1p(-u / s) for u in (u0, uf))
    if L == 2:
        return (end - start) / (2 * s)
    # The strengths in units of s, the integrand in units of its value at the start, where it is
    # largest: it falls like e^{power y} as long as u is far below s.
    power, first = 2 / L - 1, _log_share(start)
    knots = (start - 1 / power, start - 20 / power, 0.0)
    edges = sorted({start, end, *(y for y in knots if start < y < end)})
    total = sum(quad(lambda y: math.exp(power * (_log_share(y) - first)), a, b, epsabs=0,
                     epsrel=1e-12, limit=200)[0]
                for a, b in zip(edges[:-1], edges[1:], strict=True))
    if total == 0:  # u₀ = u_f
        return 0.0
    log = math.log(total) + power * (first + math.log(s)) - math.log(s) - math.log(L)
    return representable("the time", math.exp(log) if log < 709 else math.inf, s=s, u0=u0)


def _log_share(y):
    """ln(u/s) where ln(u/(s − u)) = y."""
    return -math.log1p(math.exp(-y)) if y > -700 else y
