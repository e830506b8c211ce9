r"""How far the mean of a sample is from the mean of all, with a stated failure probability.

For numbers and for symmetric matrices, from a bound on what one sample can be off. X₁, …, X_B are
independent copies of a symmetric d×d matrix X with E X = 0, ‖X‖ ≤ L and E X² ⪯ V I; d = 1 is the
scalar case, V = L² where nothing better is known. `mean_error` inverts

.. math:: P\Big(\lambda_{\max}\Big(\frac1B\sum_i X_i\Big) \ge t\Big)
          \le d\,\exp\big(-B\,\mathrm{kl}(p_t, p_0)\big),\quad
          p_t = \frac{V + tL}{V + L^2},                                                      \tag{1}

with kl(p, q) = p ln(p/q) + (1 − p) ln((1 − p)/(1 − q)).

*Proof.* Let Y be the variable with two values, L and −V/L, and mean 0: it has variance V. Let q be
the parabola that touches e^{θx} at −V/L and meets it at L. Then e^{θx} ≤ q(x) for x ≤ L, so
E e^{θX} ⪯ E q(X) ⪯ E q(Y) I = E e^{θY} I. The trace of E exp(θ Σ Xᵢ) is at most the trace of
exp(Σ ln E e^{θXᵢ}) (Tropp 2012, *User-friendly tail bounds for sums of random matrices*, Found.
Comput. Math. 12, Lemma 3.4, which rests on Lieb's theorem), here d (E e^{θY})^B. With Markov's
inequality, P ≤ d e^{−θBt} (E e^{θY})^B, and the best θ gives (1): the exponent of a binomial. ∎

It is smaller than Bernstein's bound d exp(−Bt²/(2(V + Lt/3))) and than Hoeffding's; for d = 1 it is
Theorem 3 of Hoeffding (1963, J. Amer. Statist. Assoc. 58, 13-30).

*Few directions.* If X varies in few directions, r = tr E X²/V can be much smaller than d. With
φ = (e^{θL} − θL − 1)/L² and ψ(u) = e^u − u − 1, for every θ > 0,

.. math:: P(\ldots) \le r\,\frac{e^{B\varphi V} - 1}{\psi(\theta B t)}.                      \tag{2}

*Proof.* ψ ≥ 0 rises on u > 0 and E tr Σ Xᵢ = 0, so P ψ(θBt) ≤ E tr ψ(θ Σ Xᵢ) =
E tr exp(θ Σ Xᵢ) − d. As e^{θx} ≤ 1 + θx + φx² for x ≤ L, this is at most tr(exp(Bφ E X²) − I), and
e^a − 1 ≤ (a/A)(e^A − 1) for 0 ≤ a ≤ A = BφV. ∎  (The idea is Minsker's and Tropp's: *An
introduction to matrix concentration inequalities*, 2015, chapter 7, as we recall it.)

*Without replacement* from n terms with mean zero both hold too: E tr exp of the sum is not larger
than with replacement (Gross & Nesme 2010, arXiv:1001.2738, as we recall it). And the mean over B
terms is −(n − B)/B times that over the others, so the bound for those, n − B in number, serves as
well. At B = n it is zero.
"""

from __future__ import annotations

import math

from scipy.optimize import brentq, minimize_scalar
from scipy.special import kl_div

from .._arguments import integer, positive, probability
from ._numbers import nonnegative
from .noise import missed_trigger_prob, trigger_prob

__all__ = ["mean_batch_size", "mean_error", "norm_limits"]


def mean_error(bound, batch_size, failure_prob, *, dim=1, std=None, intrinsic_dim=None,
               population=None) -> float:
    """The t that the largest eigenvalue of the mean of B samples exceeds with probability ≤ δ.

    One-sided: the same t bounds how far the smallest eigenvalue falls short. See (1) and (2).

    Parameters
    ----------
    bound : float
        L ≥ 0 with ‖X‖ ≤ L for every sample.
    batch_size : int
        B ≥ 1.
    failure_prob : float
        δ in (0, 1).
    dim : int
        d; 1 for numbers, and for the quadratic form of the mean with one fixed unit vector.
    std : float, optional
        √V ≤ L with E X² ⪯ V I; L by default.
    intrinsic_dim : float, optional
        r ≥ tr E X²/V, at least 1. The smaller of (1) and (2) is returned.
    population : int, optional
        n: the samples are drawn without replacement from n. None: with replacement.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> [round(mean_error(1.0, B, 0.01, dim=100), 3) for B in (10, 100, 1000)]
    [1.0, 0.422, 0.136]
    >>> [round(mean_error(1.0, B, 0.01, dim=100, population=1000), 3) for B in (100, 900, 1000)]
    [0.422, 0.047, 0.0]
    >>> round(mean_error(1.0, 100, 0.01, dim=10**6, std=0.1, intrinsic_dim=2.0), 3)
    0.047
    """
    bound, b = nonnegative("bound", bound), integer("batch_size", batch_size)
    delta, d = probability("failure_prob", failure_prob), integer("dim", dim)
    std = bound if std is None else nonnegative("std", std)
    if std > bound:
        raise ValueError(f"std must be at most bound = {bound}, got {std}")
    if intrinsic_dim is not None and not positive("intrinsic_dim", intrinsic_dim) >= 1:
        raise ValueError(f"intrinsic_dim must be at least 1, got {intrinsic_dim}")
    if std == 0:
        return 0.0

    def with_replacement(b):
        error = _ambient(bound, std, b, math.log(d) - math.log(delta))
        if intrinsic_dim is not None:
            error = min(error, _intrinsic(bound, std, b, math.log(intrinsic_dim / delta)))
        return error

    if population is None:
        return with_replacement(b)
    n = integer("population", population)
    if b > n:
        raise ValueError(f"batch_size must be at most population = {n} without replacement, got "
                         f"{b}")
    if b == n:
        return 0.0
    return min(with_replacement(b), (n - b) / b * with_replacement(n - b))


def _ambient(bound, std, b, log_ratio):
    """(1), solved for t."""
    v = (std / bound) ** 2  # in units of L
    rest, target = v / (1 + v), log_ratio / b

    def excess(t):
        p = (v + t) / (1 + v)
        return float(kl_div(p, rest) + kl_div(1 - p, 1 - rest)) - target
    return bound * (brentq(excess, 0.0, 1.0, xtol=1e-14) if excess(1.0) > 0 else 1.0)


def _intrinsic(bound, std, b, log_ratio):
    """(2), solved for t, with a θ that is nearly the best; every θ gives a bound."""
    v = (std / bound) ** 2

    def error(log_theta):
        theta = math.exp(log_theta)
        a = b * v * _psi(theta)
        log_k = log_ratio + (math.log(math.expm1(a)) if a < 700 else a)
        u = brentq(lambda u: _log_psi(u) - log_k, 1e-12, max(log_k, 0.0) + 3)
        return u * (1 + 1e-9) / (theta * b)
    best = minimize_scalar(error, bounds=(-10.0, 3.0), method="bounded")
    return bound * min(float(best.fun), 1.0)


def _psi(u):
    return math.expm1(u) - u if u > 1e-3 else u * u * (0.5 + u * (1 / 6 + u / 24))


def _log_psi(u):
    return math.log(_psi(u)) if u < 700 else u


def mean_batch_size(error, bound, failure_prob, *, dim=1, std=None, intrinsic_dim=None,
                    population=None) -> int:
    """The smallest B with `mean_error` at most ``error`` > 0; never more than ``population``.

    Examples
    --------
    >>> mean_batch_size(0.1, 1.0, 0.01, dim=100)
    1839
    >>> mean_batch_size(0.1, 1.0, 0.01, dim=100, population=1000)
    718
    """
    error = positive("error", error)

    def enough(b):
        return mean_error(bound, b, failure_prob, dim=dim, std=std, intrinsic_dim=intrinsic_dim,
                          population=population) <= error
    high = 1
    while not enough(high):
        if population is not None and 2 * high >= population:
            low, high = high, population
            break
        low, high = high, 2 * high
        if high > 2**62:
            raise ValueError(f"an error of {error} needs more than {high} samples; ask for less")
    else:
        if high == 1:
            return 1
        low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def norm_limits(observed, noise_std, dim, batch_size, failure_prob) -> tuple[float, float]:
    r"""Limits of ‖∇f‖ where ‖ĝ‖ = ``observed`` was seen under Gaussian noise: each fails with ≤ δ.

    ĝ has the law N(∇f, (σ²/B) I) of `noise.trigger_prob`, which falls as ‖∇f‖ grows. The upper
    limit is where so small a ‖ĝ‖ has probability δ, the lower one where so large a ‖ĝ‖ has, and
    zero where there is no such place. The width is about σ(d/B)^¼ at ∇f = 0 and 2zσ/√B far from it.

    Parameters
    ----------
    observed : float
        ‖ĝ‖ > 0.
    noise_std, dim, batch_size
        As `noise.trigger_prob`.
    failure_prob : float
        δ in (0, 1/2), for each of the two.

    Examples
    --------
    >>> [round(limit, 2) for limit in norm_limits(12.0, 1.0, 100, 1, 0.01)]
    [2.47, 9.81]
    """
    norm, delta = positive("observed", observed), probability("failure_prob", failure_prob)
    sigma = nonnegative("noise_std", noise_std)
    if sigma == 0:
        return norm, norm
    scale = sigma / math.sqrt(integer("batch_size", batch_size))

    def seen(prob):
        return lambda norm_of_grad: prob(norm, norm_of_grad, noise_std, dim, batch_size) - delta
    small, large = seen(trigger_prob), seen(missed_trigger_prob)
    upper = 0.0 if small(0.0) <= 0 else brentq(small, 0.0, norm + 40 * scale, rtol=1e-9)
    lower = 0.0 if large(0.0) >= 0 else brentq(large, 0.0, norm + scale, rtol=1e-9)
    return float(lower), float(upper)
