r"""What a test on the norm of a mini-batch gradient can tell, and how large the batch must be.

A mini-batch gradient is ĝ = ∇f(x) + ζ, ζ the mean of the noise of B independent samples. Two
numbers measure the noise of one sample, and they are not the same:

* ``noise_std``, σ: the standard deviation of each coordinate, where the law of ζ is
  N(0, (σ²/B) I). This is the σ of the code in the repository of Alpay & Alakkad 2025.
* ``total_noise``, √v: the root mean square of the norm, E‖noise of one sample‖² = v, whatever the
  law. For the law above √v = σ√d. `Oracle.grad_noise` of a mini-batch is `minibatch_noise` of it.
  This is the σ of a document in the same repository; see `alpay2025.batch_size`.

The test says that the gradient is small, it *fires*, where ‖ĝ‖ ≤ t. It errs in two ways. A false
alarm: it fires where ‖∇f‖ is large. A missed trigger: it is silent where ‖∇f‖ is small. A rule
(`TriggerRule`) is a batch size with a threshold that keep both below δ. Three rules, by what is
known about the noise, with what they cost where the gradient is either 0 or at least s:

=====================  =========================================  ==========================
rule                   what it needs                              samples for large d
=====================  =========================================  ==========================
`calibrated_rule`      the law N(0, σ²I), with this σ             ~ √d σ²/s²
`bounded_rule`         a Gaussian law with covariance ≤ σ²I       ~ d σ²/s²
`robust_rule`          E‖noise‖² ≤ v                              ~ ln(1/δ) v/s² (v is dσ² here)
=====================  =========================================  ==========================

Every probability here comes from one law, `trigger_prob`, over the whole range of float64. Where a
rule would need a batch of 2⁶³ samples or more, it refuses and says what would help.

The derivations are ours unless another source is named. Logarithms are natural.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import betaincinv, chdtri, ndtr, ndtri

from .._arguments import integer, positive, probability
from ._numbers import nonnegative, whole

__all__ = ["TriggerRule", "best_blocks", "block_sizes", "bounded_rule", "calibrated_rule",
           "geometric_median", "geometric_median_of_means", "mean_square", "median_of_means_error",
           "median_residual", "minibatch_noise", "missed_trigger_prob", "robust_rule", "tail_scale",
           "trigger_prob"]

MEDIAN_TOL = 1e-6
"""`geometric_median` stops where `median_residual` is this small."""

COVERED_RESIDUAL = 1e-3
"""The rules and `median_of_means_error` by default allow for a `median_residual` up to this."""

MOST = 2**63
"""Batches, dimensions and populations are below this, the range of a 64-bit integer."""

# Where the shift or the dimension is as large as this, the law is that of the saddle point.
_FAR_SHIFT, _MANY_DIMS = 1e3, 10**6
# Shifts in standard deviations beyond this are this: squares of it are still numbers.
_FARTHEST = 1e140


@dataclass(frozen=True)
class TriggerRule:
    """Fire where the estimate of the gradient from a mini-batch is at most the threshold.

    Attributes
    ----------
    batch_size : int
        B, in samples.
    threshold : float
        t, in the units of the gradient.
    blocks : int
        The estimate is the mean for 1, else `geometric_median_of_means` with this many blocks.

    Examples
    --------
    >>> TriggerRule(batch_size=100, threshold=0.5)
    TriggerRule(batch_size=100, threshold=0.5, blocks=1)
    """

    batch_size: int
    threshold: float
    blocks: int = 1


def minibatch_noise(total_noise, batch_size, population=None) -> float:
    r"""√E‖ζ‖² of the mean of B samples, what `Oracle.grad_noise` takes.

    √(v/B) for independent samples, which is sampling with replacement; for B of n samples without
    replacement

    .. math:: \sqrt{\frac vB\,\frac{n-B}{n-1}},

    because the noises of two samples sum to zero over all n and so are correlated by −1/(n−1).

    Parameters
    ----------
    total_noise : float
        √v ≥ 0: the root mean square of the noise of one sample; over the n of a finite sum.
    batch_size : int
        B ≥ 1.
    population : int, optional
        n ≥ B. None: with replacement.

    Returns
    -------
    float
        √E‖ζ‖² ≥ 0.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range; a batch larger than the population.

    Examples
    --------
    >>> [minibatch_noise(6.0, batch) for batch in (1, 4, 9)]
    [6.0, 3.0, 2.0]
    >>> [minibatch_noise(6.0, batch, population=9) for batch in (1, 9)]
    [6.0, 0.0]
    """
    total, b = nonnegative("total_noise", total_noise), count("batch_size", batch_size)
    if population is None:
        return total / math.sqrt(b)
    n = count("population", population)
    if b > n:
        raise ValueError(f"batch_size must be at most population = {n} without replacement, "
                         f"got {b}")
    return total * math.sqrt((n - b) / (b * max(n - 1, 1)))


def mean_square(grad_norm, noise_std, dim, batch_size) -> float:
    r"""E‖ĝ‖² = ‖∇f‖² + σ²d/B: the noise biases the square of the norm upward.

    The cross term 2⟨∇f, ζ⟩ has mean zero, and E‖ζ‖² = dσ²/B. It needs no more of the law of ζ.

    Parameters
    ----------
    grad_norm, noise_std : float
        ‖∇f‖ ≥ 0 and σ ≥ 0, in the units of the gradient.
    dim, batch_size : int
        d ≥ 1 and B ≥ 1.

    Returns
    -------
    float
        In the square of the units of the gradient.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range, or where the square leaves the range of float64.

    Examples
    --------
    >>> mean_square(3.0, noise_std=2.0, dim=100, batch_size=10)
    49.0
    """
    norm, sigma, d, b = _setting(grad_norm, noise_std, dim, batch_size)
    square = norm * norm + sigma * (sigma / b * d)
    if not math.isfinite(square):
        raise ValueError(f"the square of the norm is beyond float64 for grad_norm = {norm}, "
                         f"noise_std = {sigma} and dim = {d}; use larger units of the gradient")
    return square


def trigger_prob(threshold, grad_norm, noise_std, dim, batch_size) -> float:
    r"""P(‖ĝ‖ ≤ t) for ζ of law N(0, (σ²/B) I): exact.

    B‖ĝ‖²/σ² is the square of the length of a standard normal vector shifted by √B∇f/σ: noncentral
    chi-square with d degrees of freedom and noncentrality B‖∇f‖²/σ²,

    .. math:: P(\|\hat g\| \le t)
              = F_{\chi'^2_d(B\|\nabla f\|^2/\sigma^2)}\Big(\frac{Bt^2}{\sigma^2}\Big).

    It falls as ‖∇f‖ grows. Where ‖∇f‖ is large this is the probability of a false alarm.

    No series for this law reaches far: SciPy's takes longer and longer, and from a noncentrality
    of 10¹¹ on what it returns is wrong. From √B‖∇f‖/σ = 10³ or d = 10⁶ on we take the saddle-point
    approximation (Barndorff-Nielsen's r*, see `_saddle_point`). The relative error of the smaller
    of P and 1 − P is at most 4·10⁻⁹ there, of either sign, for probabilities down to 10⁻³⁰⁰; so the
    law jumps by no more than this at the switch-over. It falls as the inverse cube of the shift and
    as d^(−3/2). Below 10³ SciPy's series loses the tails below about 10⁻⁴⁰, and the approximation
    takes over with an error of at most a fifth of them. (Measured against the closed forms for
    d = 1 and 3 in 420 digits, and against SciPy.) So that no error breaks a promise,
    `calibrated_rule` and `concentration.norm_limits` ask for a δ that is smaller by 10⁻⁸ δ, and for
    δ ≤ 10⁻³⁹ by a fifth, which moves a limit by less than σ/(50√B).

    Parameters
    ----------
    threshold : float
        t > 0.
    grad_norm : float
        ‖∇f‖ ≥ 0.
    noise_std : float
        σ ≥ 0, the standard deviation of one coordinate of one sample. 0: no noise.
    dim, batch_size : int
        d ≥ 1 and B ≥ 1.

    Returns
    -------
    float
        A probability; 0 and 1 included.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    The published rule of Alpay & Alakkad at an exact stationary point:

    >>> from saddlelib.theory import alpay2025
    >>> B = alpay2025.batch_size(10.0, 1.0)
    >>> t = alpay2025.batch_trigger(10.0, 1.0, B)
    >>> [round(trigger_prob(t, 0.0, 10.0, d, B), 3) for d in (1, 2, 5, 10, 20, 50)]
    [0.995, 0.982, 0.844, 0.371, 0.008, 0.0]
    """
    t, norm, sigma, d, b = positive("threshold", threshold), *_setting(
        grad_norm, noise_std, dim, batch_size)
    tau = sigma / math.sqrt(b)
    return _below(*_place(t, norm, tau), d) if tau > 0 else float(norm <= t)


def missed_trigger_prob(threshold, grad_norm, noise_std, dim, batch_size) -> float:
    """P(‖ĝ‖ > t) = 1 − `trigger_prob`, without cancellation.

    Parameters
    ----------
    threshold, grad_norm, noise_std, dim, batch_size
        As `trigger_prob`.

    Returns
    -------
    float
        A probability; 0 and 1 included.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> import math
    >>> round(-2 * math.log(missed_trigger_prob(20.0, 0.0, 1.0, dim=2, batch_size=1)), 9)
    400.0
    """
    t, norm, sigma, d, b = positive("threshold", threshold), *_setting(
        grad_norm, noise_std, dim, batch_size)
    tau = sigma / math.sqrt(b)
    return _above(*_place(t, norm, tau), d) if tau > 0 else float(norm > t)


def tail_scale(noise_std, dim) -> float:
    r"""A σ_J for which Gaussian noise N(0, σ²I) satisfies Assumption B of Jin et al. 2021.

    .. math:: P(\|\zeta\| \ge t) \le 2\exp\Big(-\frac{t^2}{2\sigma_J^2}\Big)
              \text{ for all } t \ge 0,\quad \sigma_J = \frac{\sigma}{\sqrt{1 - 2^{-2/d}}}.

    By Markov's inequality for exp(a‖ζ‖²/σ²), whose mean (1 − 2a)^{−d/2} is 2 at a = (1 −
    2^{−2/d})/2. For large d it is σ√(d/(2 ln 2)) = 0.85 σ√d. For the mean of B samples divide by
    √B. In return, every noise with Assumption B has E‖ζ‖² ≤ 2(1 + ln 2)σ_J², the integral of
    min(1, 2 exp(−u/(2σ_J²))).

    Parameters
    ----------
    noise_std : float
        σ ≥ 0.
    dim : int
        d ≥ 1.

    Returns
    -------
    float
        σ_J ≥ 0, in the units of σ.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> round(tail_scale(1.0, dim=2), 6), round(tail_scale(1.0, dim=10**6), 3)
    (1.414214, 849.322)
    """
    scale = nonnegative("noise_std", noise_std) / math.sqrt(
        -math.expm1(-2 * math.log(2) / count("dim", dim)))
    if not math.isfinite(scale):
        raise ValueError(f"noise_std = {noise_std} is too large for float64 in dim = {dim}; use "
                         f"larger units of the gradient")
    return scale


def calibrated_rule(noise_std, dim, silent_above, fire_below=0.0, failure_prob=0.1) -> TriggerRule:
    r"""The smallest batch whose gradient norm tells small from large, for noise of known size.

    With noise N(0, (σ²/B) I), the rule keeps two promises: P(fires) ≥ 1 − δ wherever
    ‖∇f‖ ≤ a (``fire_below``), and P(fires) ≤ δ wherever ‖∇f‖ ≥ s (``silent_above``).

    P(fires) falls as ‖∇f‖ grows (`trigger_prob`), so both are decided at a and at s. A threshold t
    keeps them if and only if t₁ ≤ t ≤ t₂ with

    .. math:: P(\|\hat g\| \le t_1 \mid a) = 1 - \delta,\quad
              P(\|\hat g\| \le t_2 \mid s) = \delta;

    we take the middle. If B samples can, then so can B + 1: leave one out. And the test by the norm
    is then at least as good, because the noncentral chi-square law has a monotone likelihood ratio
    in its noncentrality, so that this test is the most powerful one that does not look at
    directions (Neyman & Pearson). So bisection finds the smallest B, at most the one of
    `bounded_rule`.

    The threshold allows for the bias σ²d/B; what is left is its fluctuation, which grows as √d
    only. For a = 0, d → ∞ and δ < ½, B tends to 2√(2d) Φ⁻¹(1−δ) σ²/s²: the squared norm times B/σ²
    has means d and d + Bs²/σ² and standard deviations close to √(2d). The other side of it: an
    error in σ² of the relative size √(2/d) moves the squared norm by one standard deviation, and
    the promises are lost. Where σ is known less well, use `bounded_rule`.

    Parameters
    ----------
    noise_std : float
        σ ≥ 0, the standard deviation of one coordinate of one sample.
    dim : int
    silent_above : float
        s > a.
    fire_below : float
        a ≥ 0; 0 speaks of stationary points alone.
    failure_prob : float
        δ in (0, 1/2).

    Returns
    -------
    TriggerRule

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> [calibrated_rule(10.0, d, silent_above=2.0).batch_size for d in (1, 10, 100, 10_000)]
    [215, 435, 1065, 9226]
    """
    sigma, d = nonnegative("noise_std", noise_std), count("dim", dim)
    a, s, delta = _gap(fire_below, silent_above, failure_prob)
    most = bounded_rule(sigma, d, s, a, delta).batch_size
    careful = _careful(delta)
    if sigma == 0:
        return TriggerRule(1, _middle(a, s))

    def margins(b):
        """How far t₁ lies above a and t₂ above s, which may be less than a rounding of them."""
        tau = sigma / math.sqrt(b)
        return (tau * _quantile(_shift(a, tau), d, careful, upper=True),
                tau * _quantile(_shift(s, tau), d, careful, upper=False))

    def room(b):
        """Not negative where b samples can."""
        least, largest = margins(b)
        return (s - a - (least - largest)) / (s - a)

    # Close to the place where there is no room to spare; then by whole numbers.
    guess = math.floor(math.exp(_root(lambda log_b: room(math.exp(log_b)), 0.0, math.log(most))))
    too_few, enough = max(0, guess - 1 - guess // 10**12), min(most, guess + 2 + guess // 10**12)
    if room(enough) < 0:
        too_few, enough = enough, most
    elif too_few and room(too_few) >= 0:
        too_few, enough = 0, too_few
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        too_few, enough = (too_few, middle) if room(middle) >= 0 else (middle, enough)
    least, largest = margins(enough)
    return TriggerRule(enough, _middle(a, s) + 0.5 * (least + largest))


def bounded_rule(noise_std, dim, silent_above, fire_below=0.0, failure_prob=0.1) -> TriggerRule:
    r"""A batch that keeps the promises of `calibrated_rule` for every smaller Gaussian noise too.

    Let the noise of a sample be Gaussian with any covariance whose largest eigenvalue is at most
    σ². With q² the 1 − δ quantile of chi-square with d degrees of freedom and z = Φ⁻¹(1 − δ),

    .. math:: B = \Big\lceil\frac{\sigma^2}{(s-a)^2}(q + z)^2\Big\rceil .

    *Fires below a:* ζ has the law of a symmetric matrix of norm at most σ/√B times a standard
    normal vector, so ‖ĝ‖ ≤ a + qσ/√B with probability at least 1 − δ. *Silent above s:* if
    ‖ĝ‖ ≤ t then also ⟨ĝ, ∇f⟩/‖∇f‖ ≤ t, which is Gaussian with mean at least s and a standard
    deviation of at most σ/√B; so this has probability at most δ if t ≤ s − zσ/√B. A threshold with
    both exists if and only if (q + z)σ/√B ≤ s − a; we take the middle of the possible ones.

    B grows as d. It has to, for a = 0: the threshold must be at least qσ/√B for the largest noise
    and below s for none, so B > q²σ²/s².

    Parameters
    ----------
    noise_std, dim, silent_above, fire_below, failure_prob
        As `calibrated_rule`; σ² is the largest eigenvalue of the covariance.

    Returns
    -------
    TriggerRule

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> [bounded_rule(10.0, d, silent_above=2.0).batch_size for d in (1, 10, 100, 10_000)]
    [215, 697, 3702, 261049]
    """
    sigma, d = nonnegative("noise_std", noise_std), count("dim", dim)
    a, s, delta = _gap(fire_below, silent_above, failure_prob)
    q, z = _noise_quantile(d, delta), float(-ndtri(delta))
    ratio = sigma / (s - a) * (q + z)
    b = max(1, math.ceil(_finite(ratio * ratio, "noise_std", sigma)))
    deviation = sigma / math.sqrt(b)
    return TriggerRule(b, _middle(a, s) + 0.5 * (q - z) * deviation)


def robust_rule(total_noise, silent_above, fire_below=0.0, failure_prob=0.1, blocks=None
                ) -> TriggerRule:
    r"""A batch that keeps the promises of `calibrated_rule` for every noise of bounded variance.

    Only E‖noise of one sample‖² ≤ v is needed: any tails, any dependence of the coordinates. If the
    estimate errs by at most (s − a)/2, the threshold (a + s)/2 decides rightly. With one block the
    estimate is the mean, and Chebyshev's inequality gives B = ⌈4v/(δ(s−a)²)⌉. With k blocks it is
    `geometric_median_of_means`, and `median_of_means_error` gives a B that grows as ln(1/δ) instead
    of 1/δ. ``blocks=None`` takes the number of blocks with the smallest B: one for δ = 0.1, more
    for small δ; see `best_blocks`.
    The rule covers medians whose `median_residual` is at most `COVERED_RESIDUAL`.

    Parameters
    ----------
    total_noise : float
        √v ≥ 0; σ√d for noise of standard deviation σ in each coordinate.
    silent_above, fire_below, failure_prob : float
        As `calibrated_rule`.
    blocks : int, optional
        k ≥ 1.

    Returns
    -------
    TriggerRule

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> for delta in (0.1, 0.001):
    ...     print(robust_rule(10.0, 2.0, failure_prob=delta),
    ...           robust_rule(10.0, 2.0, failure_prob=delta, blocks=1).batch_size)
    TriggerRule(batch_size=1000, threshold=1.0, blocks=1) 1000
    TriggerRule(batch_size=19005, threshold=1.0, blocks=5) 100000
    """
    total = nonnegative("total_noise", total_noise)
    a, s, delta = _gap(fire_below, silent_above, failure_prob)
    relative = 2 * total / (s - a)

    def size(k):
        ratio = relative * _inflation(k, delta, COVERED_RESIDUAL)
        samples = ratio * ratio
        return k * max(1, whole("batch_size", samples)) if samples < MOST else math.inf
    k = best_blocks(size, delta) if blocks is None else count("blocks", blocks)
    return TriggerRule(_finite(size(k), "total_noise", total), _middle(a, s), k)


def best_blocks(cost, failure_prob, most=None) -> int:
    """The number of blocks k ≤ ``most`` with the smallest cost(k).

    The cost is to fall and rise like the batch of `robust_rule`, which is smallest below
    k = 3.1 ln(1/δ). From 300 on every hundredth number is tried, and all next to the best of them.

    Parameters
    ----------
    cost : callable
        ``cost(k) -> float``.
    failure_prob : float
        δ in (0, 1).
    most : int, optional
        Largest k that is allowed.

    Returns
    -------
    int
        k ≥ 1.

    Examples
    --------
    >>> best_blocks(lambda k: median_of_means_error(1.0, 10_000, k, 1e-9), 1e-9)
    49
    """
    reach = 11 + math.ceil(-3.5 * math.log(failure_prob))
    reach = reach if most is None else min(reach, most)
    tried = list(range(1, min(reach, 300) + 1))
    while tried[-1] < reach:
        tried.append(min(tried[-1] + tried[-1] // 100, reach))
    best = min(tried, key=cost)
    near = best // 100
    return min(range(best - near, min(best + near, reach) + 1), key=cost)


def median_of_means_error(total_noise, batch_size, blocks, failure_prob=0.1,
                          residual=COVERED_RESIDUAL) -> float:
    r"""How far `geometric_median_of_means` is from the mean, except with probability δ.

    For B independent samples with E‖noise‖² ≤ v in k blocks of at least n = ⌊B/k⌋,

    .. math:: \min_{0\le j<k/2} C_j\sqrt{\frac{v}{n\,p_j}},\quad
              P(\mathrm{Bin}(k, p_j) > j) = \delta,\quad
              C_j = \frac1{\sqrt{1-c_j^2}},\ c_j = \frac{\alpha+\tau}{1-\alpha},\
              \alpha = \frac jk,

    over the j with c_j < 1. τ is the `median_residual` of the point y that stands for the median,
    as large as it may be: no iteration has to succeed for the bound to hold. For τ = 0, the median
    itself, C_j is (1 − α)/√(1 − 2α). For τ ≥ 1 nothing is known, and the error is infinite; as it
    is where it leaves the range of float64.

    *Proof.* By Chebyshev's inequality a block mean is further than r = √(v/(n p)) from the mean z
    with probability at most p. The blocks are independent, so with p = p_j at most j are, except
    with probability δ. Let D = ‖y − z‖ > r, and let e be the unit vector from y to z. F, the sum of
    the distances to the block means, is convex, and g is the one of its subgradients at y with the
    smallest norm, which is kτ. The directional derivative of F at y towards z is then at least
    ⟨g, e⟩ ≥ −kτ. But a block mean within r of z is seen from y at an angle to z whose cosine is at
    least √(1 − r²/D²), and approached at this rate; each of the at most j others retreats at a rate
    of at most 1. (A block mean at y itself is further than r from z and one of these others.) So
    the derivative is at most −(k − j)√(1 − r²/D²) + j. Together √(1 − r²/D²) ≤ (α + τ)/(1 − α),
    which is D ≤ C_j r; and where D ≤ r this holds anyhow. ∎

    The step from blocks to median is Lemma 2.1 of Minsker, *Geometric median and robust estimation
    in Banach spaces*, Bernoulli 21 (2015), as we recall it. He takes α = 7/18, p = 1/10 and
    k = ⌊3.5 ln(1/δ)⌋ + 1 and finds 11 √(v ln(1.4/δ)/B); the minimum here is smaller.

    Parameters
    ----------
    total_noise : float
        √v ≥ 0.
    batch_size, blocks : int
        B ≥ k ≥ 1.
    failure_prob : float
        δ in (0, 1/2).
    residual : float
        τ ≥ 0; `COVERED_RESIDUAL` where it is not known yet. One block has none.

    Returns
    -------
    float
        In the units of the gradient; infinite where nothing is promised.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> round(median_of_means_error(1.0, 10_000, blocks=1, failure_prob=0.01), 12)
    0.1
    """
    total, b = nonnegative("total_noise", total_noise), count("batch_size", batch_size)
    k, delta = count("blocks", blocks), _below_half(failure_prob)
    if k > b:
        raise ValueError(f"blocks must be at most batch_size = {b}, got {k}")
    if total == 0:
        return 0.0
    return total / math.sqrt(b // k) * _inflation(k, delta, nonnegative("residual", residual))


def block_sizes(batch_size, blocks) -> list[int]:
    """The sizes of k blocks of B samples together, which differ by at most 1.

    Parameters
    ----------
    batch_size, blocks : int
        B ≥ k ≥ 1.

    Returns
    -------
    list of k ints
        The larger ones first.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> block_sizes(11, 3)
    [4, 4, 3]
    """
    b, k = count("batch_size", batch_size), count("blocks", blocks)
    if k > b:
        raise ValueError(f"blocks must be at most batch_size = {b}, got {k}")
    least, larger = divmod(b, k)
    return [least + 1] * larger + [least] * (k - larger)


def geometric_median_of_means(samples, blocks) -> np.ndarray:
    """The geometric median of the means of k blocks of consecutive samples.

    Its error is `median_of_means_error`, if the samples are independent or in random order.

    Parameters
    ----------
    samples : array_like, shape (B, d)
        Gradients of single samples.
    blocks : int
        1 ≤ k ≤ B; the sizes of the blocks differ by at most 1. k = 1 is the mean.

    Returns
    -------
    ndarray, shape (d,)

    Raises
    ------
    TypeError, ValueError
        On another shape, entries that are not finite, or more blocks than samples.

    Examples
    --------
    >>> geometric_median_of_means([[0.0], [2.0], [1.0], [1.0], [1e9], [1.0]], blocks=3)
    array([1.])
    """
    samples, k = _points("samples", samples), integer("blocks", blocks)
    if k > len(samples):
        raise ValueError(f"blocks must be at most the number of samples = {len(samples)}, got {k}")
    return geometric_median([part.mean(axis=0) for part in np.array_split(samples, k)])


def geometric_median(points, maxiter=1000) -> np.ndarray:
    r"""The point with the smallest sum of distances to the given ones, or what came close to it.

    A given point is the minimizer if and only if the sum of the unit vectors towards the others is
    no longer than its multiplicity. If none is, Weiszfeld's iteration

    .. math:: y \leftarrow \frac{\sum_i x_i/\|x_i - y\|}{\sum_i 1/\|x_i - y\|}

    starts next to the best of them, by the step of Vardi & Zhang 2000. It lowers the sum of the
    distances in every step, so it meets none of the points again. A step of Newton's method takes
    its place where that halves the residual. It ends where `median_residual` is at most
    `MEDIAN_TOL`, or after ``maxiter`` iterations: near the middle of an even number of points that
    are almost on one line the sum is nearly flat, and the iteration slow. How close it came is
    `median_residual` of what is returned, and `median_of_means_error` holds for any.

    Parameters
    ----------
    points : array_like, shape (k, d)
    maxiter : int
        Most iterations.

    Returns
    -------
    ndarray, shape (d,)

    Raises
    ------
    TypeError, ValueError
        On another shape, no points, or entries that are not finite.

    Examples
    --------
    >>> geometric_median([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1e9, 0.0]])
    array([0., 0.])
    """
    points, maxiter = _points("points", points), integer("maxiter", maxiter)
    # Centred, for points far from zero and close together; scaled, against overflow of squares.
    unit = _power_of_two(points)
    x = points / unit
    centre = np.median(x, axis=0)
    x = x - centre
    scale = float(np.abs(x).max())
    if scale == 0:
        return points[0].copy()
    x = x / scale
    sums = [np.linalg.norm(x - y, axis=1).sum() for y in x]
    best = int(np.argmin(sums))
    toward, pull, here = _pull(x, x[best])
    length = np.linalg.norm(toward)
    if length <= here:
        return points[best].copy()
    # In coordinates of the span of the points, where they have no more than k.
    basis = np.linalg.qr(x.T)[0] if len(x) < x.shape[1] else np.eye(x.shape[1])
    y = x[best] + (1 - here / length) * toward / pull
    y = basis @ _minimize_distances(x @ basis, y @ basis, maxiter)
    return unit * (centre + scale * y)


def _minimize_distances(x, y, maxiter):
    toward, pull, _ = _pull(x, y)
    for _ in range(maxiter):
        length = np.linalg.norm(toward)
        if length <= MEDIAN_TOL * len(x):
            break
        if x.size * x.shape[1] <= 10**6:
            step = _newton_step(x, y, toward)
            there = _pull(x, y + step)
            if np.linalg.norm(there[0]) + there[2] <= 0.5 * length:
                y, (toward, pull, _) = y + step, there
                continue
        y = y + toward / pull
        toward, pull, _ = _pull(x, y)
    return y


def _newton_step(x, y, toward):
    """Of the sum of the distances, whose Hessian is Σ (I − uuᵀ)/‖xᵢ − y‖, kept invertible."""
    offset = x - y
    distance = np.maximum(np.linalg.norm(offset, axis=1), 1e-150)
    unit = offset / distance[:, np.newaxis]
    weight = 1 / distance
    hess = -(unit.T * weight) @ unit
    hess.flat[::len(hess) + 1] += weight.sum() * (1 + 1e-12)
    return np.linalg.solve(hess, toward)


def median_residual(points, y) -> float:
    r"""τ: how far y is from being the geometric median of k points; 0 for the median itself.

    kτ is the smallest norm of a subgradient, at y, of the sum F of the distances to the points:

    .. math:: k\tau = \max\Big(0, \Big\|\sum_{x_i\ne y}\frac{x_i-y}{\|x_i-y\|}\Big\| - \#\{i:
              x_i = y\}\Big).

    It is at most 1, and needs no knowledge of how y was found; rounding included.

    Parameters
    ----------
    points : array_like, shape (k, d)
    y : array_like, shape (d,)

    Returns
    -------
    float
        τ in [0, 1].

    Raises
    ------
    TypeError, ValueError
        On another shape, no points, or entries that are not finite.

    Examples
    --------
    >>> median_residual([[0.0], [1.0], [2.0]], [1.0]), median_residual([[0.0], [1.0]], [3.0])
    (0.0, 1.0)
    """
    points = _points("points", points)
    y = _points("y", np.asarray(y)[np.newaxis])[0]
    if y.size != points.shape[1]:
        raise ValueError(f"y must have {points.shape[1]} coordinates like the points, got {y.size}")
    unit = max(_power_of_two(points), _power_of_two(y))
    offset = points / unit - y / unit
    scale = float(np.abs(offset).max())
    if scale == 0:
        return 0.0
    toward, _, here = _pull(offset / scale, np.zeros(y.size))
    return float(max(0.0, np.linalg.norm(toward) - here) / len(points))


def _power_of_two(points):
    """Of the size of the largest entry: to divide by it rounds nothing."""
    largest = max(float(np.abs(points).max()), np.finfo(float).tiny)
    return math.ldexp(1.0, math.frexp(largest)[1] - 1)


def _pull(x, y):
    """The sum of the unit vectors from y to the points, of 1/distance, and how many are at y."""
    offset = x - y
    distance = np.linalg.norm(offset, axis=1)
    away = distance > 1e-150  # closer than this is at y, and 1/distance remains a number
    weight = 1 / distance[away]
    return weight @ offset[away], weight.sum(), len(x) - np.count_nonzero(away)


def _inflation(k, delta, residual):
    """min over j of C_j/√p_j, see `median_of_means_error`."""
    j = np.arange((k + 1) // 2)
    if k > 400:  # the best j/k is about 0.39, as in Minsker's choice
        j = j[int(0.3 * k):]
    alpha = j / k
    cosine = (alpha + (residual if k > 1 else 0)) / (1 - alpha)
    square = (1 - cosine * cosine) * betaincinv(j + 1, k - j, delta)
    largest = float(np.max(square, where=cosine < 1, initial=0.0))
    return 1 / math.sqrt(largest) if largest > 0 else math.inf


# The law of ‖ĝ‖ in units of τ = σ/√B: the length of a standard normal vector shifted by m. A place
# is x with ‖ĝ‖ = m + x, because m may be so large that m + x is m.

def _shift(norm, tau):
    return min(norm / tau, _FARTHEST)


def _place(threshold, norm, tau):
    """(x, m) for the threshold."""
    x = (threshold - norm) / tau
    return min(max(x, -_FARTHEST), _FARTHEST), _shift(norm, tau)


def _below(x, m, d):
    """P(‖z + m e‖ ≤ m + x) for standard normal z in d dimensions."""
    if m + x <= 0 or x < -100:
        return 0.0
    prob = _series("cdf", x, m, d)
    return float(ndtr(_saddle_point(x, m, d))) if prob is None else prob


def _above(x, m, d):
    """P(‖z + m e‖ > m + x)."""
    if m + x <= 0 or x < -100:
        return 1.0
    prob = _series("sf", x, m, d)
    return float(ndtr(-_saddle_point(x, m, d))) if prob is None else prob


def _series(tail, x, m, d):
    """The probability by the series of SciPy, None where it fails."""
    if m >= _FAR_SHIFT or d >= _MANY_DIMS or x > 1e4:
        return None
    try:
        prob = float(getattr(_noncentral(), tail)((m + x) * (m + x), d, m * m))
    except OverflowError:
        return None
    least = 1e-300 if m < 1 else 1e-200 if m < 10 else 1e-40
    return min(prob, 1.0) if prob > least else None


def _saddle_point(x, m, d):
    r"""r* with P(‖z + m e‖ ≤ m + x) ≈ Φ(r*), after Barndorff-Nielsen.

    K(s) = m²s/(1 − 2s) − (d/2) ln(1 − 2s) generates the cumulants of the square. K′(s) = (m + x)²
    at 1/(1 − 2s) = w = 1 + e, which solves m²w² + dw = (m + x)². With h(e) = (e − ln(1 + e))/e²,

    .. math:: r = e\sqrt{m^2 + d\,h(e)},\quad q = s\sqrt{K''(s)} = e\sqrt{m^2w + \tfrac d2},\quad
              r^* = r + \frac1r\ln\frac qr .

    In this form nothing cancels, and r* is smooth at e = 0, the mean of the square.
    """
    if x > 1e12:  # beyond ‖z‖ for every dimension below 2⁶³
        return math.inf
    u, square = m + x, m * m
    reach = d + math.hypot(d, 2 * m * u)
    e = 2 * (x * (2 * m + x) - d) / (2 * square + reach)
    if abs(e) < 0.01:
        h = 1 / 2 - e * (1 / 3 - e * (1 / 4 - e * (1 / 5 - e * (1 / 6 - e * (1 / 7 - e / 8)))))
        k = 1 / 3 - e * (1 / 4 - e * (1 / 5 - e * (1 / 6 - e * (1 / 7 - e / 8))))
    else:
        w = 2 * u * (u / reach)
        if not w > 0:
            return -math.inf
        h = (e - math.log(w)) / (e * e)
        k = (0.5 - h) / e
    inner = square + d * h
    grow = (square + d * k) / inner  # (q/r)² = 1 + e·grow
    lift = 0.5 * math.log1p(max(e * grow, -1 + 2**-50)) / e if e else 0.5 * grow
    return e * math.sqrt(inner) + lift / math.sqrt(inner)


def _quantile(m, d, delta, upper):
    """The x above which ‖z + m e‖ is m + x with probability δ (upper), or below which it is."""
    z = -float(ndtri(delta))
    prob, sign = (_above, 1) if upper else (_below, -1)

    def score(x):
        return sign * (_normal_score(prob(x, m, d)) - z)
    # m + ⟨z, e⟩ and m + ‖z‖ bound the length from both sides; the score rises with x.
    return _root(score, max(sign * z, -m), _reach(d, delta))


def _reach(d, delta):
    """What ‖z‖ exceeds with probability at most δ (Laurent & Massart 2000, Lemma 1)."""
    log = -math.log(delta)
    return math.sqrt(d + 2 * math.sqrt(d * log) + 2 * log)


def _noise_quantile(d, delta):
    """What ‖z‖ exceeds with probability δ; SciPy's chi-square loses its tails from d = 10⁸ on."""
    if d < _MANY_DIMS:
        return math.sqrt(chdtri(d, delta))
    return _quantile(0.0, d, _careful(delta), upper=True)


def _normal_score(prob):
    """−Φ⁻¹(P), which is nearly linear in x and in m where P itself is flat."""
    return min(max(-float(ndtri(prob)), -40.0), 40.0)


def _root(rising, low, high):
    """Where a rising function passes zero between two places, or the one that it is beyond."""
    if not low < high or rising(low) >= 0:
        return low
    if rising(high) <= 0:
        return high
    return float(brentq(rising, low, high, xtol=1e-13, rtol=1e-14, maxiter=200, disp=False))


def _careful(delta):
    """A δ that makes up for the errors of the law, see `trigger_prob`."""
    return delta * (1 - (1e-8 if delta > 1e-39 else 0.2))


def _points(name, points):
    points = np.asarray(points)
    if points.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold real numbers, got dtype {points.dtype}")
    if points.ndim != 2 or points.size == 0:
        raise ValueError(f"{name} must have shape (number, d), both >= 1, got {points.shape}")
    points = points.astype(float)
    if not np.isfinite(points).all():
        raise ValueError(f"{name} must be finite, got {np.count_nonzero(~np.isfinite(points))} "
                         f"non-finite entries")
    return points


def _setting(grad_norm, noise_std, dim, batch_size):
    return (nonnegative("grad_norm", grad_norm), nonnegative("noise_std", noise_std),
            count("dim", dim), count("batch_size", batch_size))


def _gap(fire_below, silent_above, failure_prob):
    a, s = nonnegative("fire_below", fire_below), positive("silent_above", silent_above)
    if not s > a:
        raise ValueError(f"silent_above must be larger than fire_below = {a}, got {s}; no test "
                         f"both fires and is silent")
    if s - a < 1e-12 * s or s < 1e-300:
        raise ValueError(f"silent_above = {s} is too close to fire_below = {a}: float64 does not "
                         f"hold a threshold between them; use a wider gap, a larger epsilon or "
                         f"larger units of the gradient")
    return a, s, _below_half(failure_prob)


def _middle(a, s):
    return a + 0.5 * (s - a)


def _below_half(failure_prob):
    delta = probability("failure_prob", failure_prob)
    if not delta < 0.5:
        raise ValueError(f"failure_prob must be below 1/2, got {delta}; a coin does as well")
    return delta


def _finite(samples, name, noise):
    if not samples < MOST:
        much = f"{samples:.1e}" if math.isfinite(samples) else "2**63 or more"
        raise ValueError(f"{name} = {noise} needs a batch_size of {much} samples; use a smaller "
                         f"noise, a wider gap between fire_below and silent_above, or a larger "
                         f"failure_prob")
    return samples


def count(name, value) -> int:
    """An int from 1 to 2⁶³ − 1, or an error that names the argument."""
    number = integer(name, value)
    if not number < MOST:
        raise ValueError(f"{name} must be below 2**63, got {float(min(number, 10**300)):.1e}")
    return number


def _noncentral():
    # Here and not above: scipy.stats takes longer to import than the rest of saddlelib.
    from scipy.stats import ncx2
    return ncx2
