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
e^a − 1 ≤ (a/A)(e^A − 1) for 0 ≤ a ≤ A = BφV. ∎  As θ → 0 it is Chebyshev's rV/(Bt²).
(The idea is Minsker's and Tropp's: *An introduction to matrix concentration inequalities*, 2015,
chapter 7, as we recall it.)

*Without replacement* from n terms with mean zero both hold too: E tr exp of the sum is not larger
than with replacement (Gross & Nesme 2010, arXiv:1001.2738, as we recall it). And the mean over B
terms is −(n − B)/B times that over the others, so the bound for those, n − B in number, serves as
well. At B = n it is zero.
"""

from __future__ import annotations

import math

from scipy.optimize import minimize_scalar
from scipy.special import ndtri

from .._arguments import positive, probability
from ._numbers import nonnegative
from .noise import (
    _above,
    _below,
    _below_half,
    _careful,
    _normal_score,
    _reach,
    _root,
    count,
)

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
        √V ≤ L with E X² ⪯ V I; L by default. 10⁻¹⁵⁰ L stands for anything smaller.
    intrinsic_dim : float, optional
        r ≥ tr E X²/V, at least 1. The smaller of (1) and (2) is returned.
    population : int, optional
        n: the samples are drawn without replacement from n. None: with replacement.

    Returns
    -------
    float
        t in [0, L].

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
    bound, b = nonnegative("bound", bound), count("batch_size", batch_size)
    delta, d = probability("failure_prob", failure_prob), count("dim", dim)
    std = bound if std is None else nonnegative("std", std)
    if std > bound:
        raise ValueError(f"std must be at most bound = {bound}, got {std}")
    if intrinsic_dim is not None and not positive("intrinsic_dim", intrinsic_dim) >= 1:
        raise ValueError(f"intrinsic_dim must be at least 1, got {intrinsic_dim}")
    if std == 0:
        return 0.0
    v = max(std / bound, 1e-150) ** 2  # in units of L

    def with_replacement(b):
        error = _ambient(v, b, math.log(d) - math.log(delta))
        if intrinsic_dim is not None:
            error = min(error, _intrinsic(v, b, math.log(intrinsic_dim) - math.log(delta)))
        return bound * error

    if population is None:
        return with_replacement(b)
    n = count("population", population)
    if b > n:
        raise ValueError(f"batch_size must be at most population = {n} without replacement, got "
                         f"{b}")
    if b == n:
        return 0.0
    return min(with_replacement(b), (n - b) / b * with_replacement(n - b))


def _ambient(v, b, log_ratio):
    """(1), solved for t in units of L. In ln t, because t may be tiny; nothing cancels.

    With p = p_t and q = p₀ the differences p/q − 1 and (1 − p)/(1 − q) − 1 are t/v and −t, so
    (1 + v) kl(p, q) = v h(t/v) + h(−t) with h(r) = (1 + r) ln(1 + r) − r.
    """
    target = (1 + v) * (log_ratio / b)

    def excess(log_t):
        t = math.exp(log_t)
        return v * _entropy(t / v) + _entropy(-t) - target
    if excess(0.0) <= 0:
        return 1.0
    # v h(t/v) + h(−t) ≥ t²/(2(v + t/3)) (Bernstein), so the root is below this; and above v h(t/v),
    # h(−t) ≤ t²/v from r²/2 ≥ h(r), so it is above that.
    high = target / 3 + math.sqrt(target * target / 9 + 2 * target * v)
    low = math.sqrt(0.5 * target * v)
    return math.exp(min(_safe_root(excess, math.log(low), math.log(high)), 0.0))


def _entropy(r):
    """h(r) = (1 + r) ln(1 + r) − r for r ≥ −1, without cancellation."""
    if abs(r) < 0.01:
        return r * r * (1 / 2 - r * (1 / 6 - r * (1 / 12 - r * (1 / 20 - r * (1 / 30 - r / 42)))))
    return 1.0 if r <= -1 else (1 + r) * math.log1p(r) - r


def _safe_root(rising, low, high):
    """A place where a rising function of a logarithm has passed zero, and not by much."""
    return _root(rising, low, high + 1e-9) + 1e-11


def _intrinsic(v, b, log_ratio):
    """(2), solved for t in units of L, with a θ that is nearly the best; every θ gives a bound."""
    # The best θ is near that of the exponent of (1) for variance v, ln(1 + t/v).
    around = math.log(math.log1p(_ambient(v, b, max(log_ratio, 1.0)) / v))

    def error(log_theta):
        theta = math.exp(log_theta)
        log_a = math.log(b) + math.log(v) + _log_psi(theta)
        a = math.exp(min(log_a, 300.0))
        level = log_ratio + (log_a if a < 1e-10 else a if a > 700 else math.log(math.expm1(a)))

        def excess(log_u):
            return _log_psi(math.exp(log_u)) - level
        # u²/2 ≤ ψ(u) ≤ u²e^u/2; and u ≤ ln ψ + 1 from ln ψ = 1 on.
        high = 0.5 * (math.log(2) + level) if level < 1 else math.log(level + 1)
        low = high - 1 if level < 1 else math.log(level)
        # Beyond the bound itself it says nothing; an infinity would confuse the search.
        return min(math.exp(min(_safe_root(excess, low, high) - log_theta, 50.0)) / b, 2.0)
    best = minimize_scalar(error, bounds=(around - 3, around + 3), method="bounded",
                           options=dict(maxiter=60))
    chebyshev = math.exp(0.5 * (log_ratio + math.log(v) - math.log(b)))  # the limit θ → 0
    return min(float(best.fun), chebyshev, 1.0)


def _log_psi(u):
    """ln(e^u − u − 1)."""
    if u > 700:
        return u
    if u > 1e-3:
        return math.log(math.expm1(u) - u)
    return 2 * math.log(u) + math.log(0.5 + u * (1 / 6 + u / 24))


def mean_batch_size(error, bound, failure_prob, *, dim=1, std=None, intrinsic_dim=None,
                    population=None) -> int:
    """The smallest B with `mean_error` at most ``error`` > 0; never more than ``population``.

    Parameters
    ----------
    error : float
        > 0, in the units of ``bound``.
    bound, failure_prob, dim, std, intrinsic_dim, population
        As `mean_error`.

    Returns
    -------
    int
        B ≥ 1.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range, or where no B below 2⁶² is enough.

    Examples
    --------
    >>> mean_batch_size(0.1, 1.0, 0.01, dim=100)
    1839
    >>> mean_batch_size(0.1, 1.0, 0.01, dim=100, population=1000)
    718
    """
    error = positive("error", error)
    population = None if population is None else count("population", population)

    def enough(b):
        return mean_error(bound, b, failure_prob, dim=dim, std=std, intrinsic_dim=intrinsic_dim,
                          population=population) <= error
    most = 2**62 if population is None else population
    high = 1
    while high < most and not enough(high):
        high = min(2 * high, most)
    if high == 2**62 and not enough(high):
        raise ValueError(f"error = {error} needs more than 2**62 samples for bound = {bound}; "
                         f"ask for less")
    low = high // 2  # not enough, or zero
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

    Returns
    -------
    (float, float)
        The lower and the upper limit, both ≥ 0.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> [round(limit, 2) for limit in norm_limits(12.0, 1.0, 100, 1, 0.01)]
    [2.47, 9.81]
    """
    norm, delta = positive("observed", observed), _below_half(failure_prob)
    sigma, d = nonnegative("noise_std", noise_std), count("dim", dim)
    tau = sigma / math.sqrt(count("batch_size", batch_size))
    if tau == 0:
        return norm, norm
    # In y = (‖ĝ‖ − ‖∇f‖)/τ, because the noise may be smaller than a rounding of the norm.
    furthest = min(norm / tau, 1e140)
    delta = _careful(delta)
    z = -float(ndtri(delta))

    def score(y, prob):
        return _normal_score(prob(y, furthest - y, d)) - z
    # ⟨ĝ, ∇f⟩/‖∇f‖ ≤ ‖ĝ‖ ≤ ‖∇f‖ + ‖ζ‖ bounds both of them.
    most = min(_reach(d, delta), furthest)
    lower = _root(lambda y: score(y, _above), -z, most)
    upper = _root(lambda y: -score(y, _below), -z, most)
    return max(0.0, norm - lower * tau), max(0.0, norm - upper * tau)
