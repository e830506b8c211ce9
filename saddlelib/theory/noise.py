r"""What a test on the norm of a mini-batch gradient can tell, and how large the batch must be.

A mini-batch gradient is ĝ = ∇f(x) + ζ, ζ the mean of the noise of B independent samples. Two
numbers measure the noise of one sample, and they are not the same:

* ``noise_std``, σ: the standard deviation of each coordinate, where the law of ζ is
  N(0, (σ²/B) I). This is what the repository of Alpay & Alakkad 2025 adds, and its σ.
* ``total_noise``, √v: the root mean square of the norm, E‖noise of one sample‖² = v, whatever the
  law. For the law above √v = σ√d. `Oracle.grad_noise` of a mini-batch is `minibatch_noise` of it.

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

The derivations are ours unless another source is named. Logarithms are natural.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv, chdtri, ndtri

from .._arguments import integer, positive, probability
from ._numbers import nonnegative, whole

__all__ = ["TriggerRule", "bounded_rule", "calibrated_rule", "geometric_median",
           "geometric_median_of_means", "mean_square", "median_of_means_error", "minibatch_noise",
           "missed_trigger_prob", "robust_rule", "tail_scale", "trigger_prob"]

MEDIAN_TOL = 1e-6
"""`geometric_median` stops where the mean of the unit vectors to the points is this short."""


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
    total, b = nonnegative("total_noise", total_noise), integer("batch_size", batch_size)
    if population is None:
        return total / math.sqrt(b)
    n = integer("population", population)
    if b > n:
        raise ValueError(f"batch_size must be at most population = {n} without replacement, "
                         f"got {b}")
    return total * math.sqrt((n - b) / (b * max(n - 1, 1)))


def mean_square(grad_norm, noise_std, dim, batch_size) -> float:
    r"""E‖ĝ‖² = ‖∇f‖² + σ²d/B: the noise biases the square of the norm upward.

    The cross term 2⟨∇f, ζ⟩ has mean zero, and E‖ζ‖² = dσ²/B. It needs no more of the law of ζ.
    ``grad_norm`` = ‖∇f‖ ≥ 0 and ``noise_std`` = σ ≥ 0 in the units of the gradient, d, B ≥ 1.

    Examples
    --------
    >>> mean_square(3.0, noise_std=2.0, dim=100, batch_size=10)
    49.0
    """
    norm, sigma, d, b = _setting(grad_norm, noise_std, dim, batch_size)
    return norm * norm + sigma * sigma / b * d


def trigger_prob(threshold, grad_norm, noise_std, dim, batch_size) -> float:
    r"""P(‖ĝ‖ ≤ t) for ζ of law N(0, (σ²/B) I): exact.

    B‖ĝ‖²/σ² is the square of the length of a standard normal vector shifted by √B∇f/σ: noncentral
    chi-square with d degrees of freedom and noncentrality B‖∇f‖²/σ²,

    .. math:: P(\|\hat g\| \le t)
              = F_{\chi'^2_d(B\|\nabla f\|^2/\sigma^2)}\Big(\frac{Bt^2}{\sigma^2}\Big).

    It falls as ‖∇f‖ grows. Where ‖∇f‖ is large this is the probability of a false alarm.

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
    if sigma == 0:
        return float(norm <= t)
    return float(_noncentral().cdf(b * (t / sigma) ** 2, d, b * (norm / sigma) ** 2))


def missed_trigger_prob(threshold, grad_norm, noise_std, dim, batch_size) -> float:
    """P(‖ĝ‖ > t) = 1 − `trigger_prob`, without cancellation; the arguments are the same.

    Examples
    --------
    >>> round(-2 * math.log(missed_trigger_prob(20.0, 0.0, 1.0, dim=2, batch_size=1)), 9)
    400.0
    """
    t, norm, sigma, d, b = positive("threshold", threshold), *_setting(
        grad_norm, noise_std, dim, batch_size)
    if sigma == 0:
        return float(norm > t)
    return float(_noncentral().sf(b * (t / sigma) ** 2, d, b * (norm / sigma) ** 2))


def tail_scale(noise_std, dim) -> float:
    r"""A σ_J for which Gaussian noise N(0, σ²I) satisfies Assumption B of Jin et al. 2021.

    .. math:: P(\|\zeta\| \ge t) \le 2\exp\Big(-\frac{t^2}{2\sigma_J^2}\Big)
              \text{ for all } t \ge 0,\quad \sigma_J = \frac{\sigma}{\sqrt{1 - 2^{-2/d}}}.

    By Markov's inequality for exp(a‖ζ‖²/σ²), whose mean (1 − 2a)^{−d/2} is 2 at
    a = (1 − 2^{−2/d})/2. For large d it is σ√(d/(2 ln 2)) = 0.85 σ√d. For the mean of B samples
    divide by √B. In return, every noise with Assumption B has E‖ζ‖² ≤ 2(1 + ln 2)σ_J², the integral
    of min(1, 2 exp(−u/(2σ_J²))). ``noise_std`` = σ ≥ 0, d ≥ 1.

    Examples
    --------
    >>> round(tail_scale(1.0, dim=2), 6), round(tail_scale(1.0, dim=10**6), 3)
    (1.414214, 849.322)
    """
    return nonnegative("noise_std", noise_std) / math.sqrt(
        -math.expm1(-2 * math.log(2) / integer("dim", dim)))


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
    directions (Neyman & Pearson). So bisection finds the smallest B, from the one of `bounded_rule`
    downward.

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
    sigma, d = nonnegative("noise_std", noise_std), integer("dim", dim)
    a, s, delta = _gap(fire_below, silent_above, failure_prob)
    most = bounded_rule(sigma, d, s, a, delta).batch_size
    if sigma == 0:
        return TriggerRule(1, (a + s) / 2)
    law = _noncentral()

    def thresholds(b):
        least = law.isf(delta, d, b * (a / sigma) ** 2)
        return float(least), float(law.ppf(delta, d, b * (s / sigma) ** 2))

    too_few, enough = 0, most
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        least, largest = thresholds(middle)
        too_few, enough = (too_few, middle) if least <= largest else (middle, enough)
    least, largest = (math.sqrt(q / enough) * sigma for q in thresholds(enough))
    return TriggerRule(enough, (least + largest) / 2)


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
    and below s for none, so B > q²σ²/s². Arguments and errors as `calibrated_rule`.

    Examples
    --------
    >>> [bounded_rule(10.0, d, silent_above=2.0).batch_size for d in (1, 10, 100, 10_000)]
    [215, 697, 3702, 261049]
    """
    sigma, d = nonnegative("noise_std", noise_std), integer("dim", dim)
    a, s, delta = _gap(fire_below, silent_above, failure_prob)
    q, z = math.sqrt(chdtri(d, delta)), float(-ndtri(delta))
    b = max(1, math.ceil(_finite((sigma / (s - a) * (q + z)) ** 2)))
    deviation = sigma / math.sqrt(b)
    return TriggerRule(b, (a + q * deviation + s - z * deviation) / 2)


def robust_rule(total_noise, silent_above, fire_below=0.0, failure_prob=0.1, blocks=None
                ) -> TriggerRule:
    r"""A batch that keeps the promises of `calibrated_rule` for every noise of bounded variance.

    Only E‖noise of one sample‖² ≤ v is needed: any tails, any dependence of the coordinates. If the
    estimate errs by at most (s − a)/2, the threshold (a + s)/2 decides rightly. With one block the
    estimate is the mean, and Chebyshev's inequality gives B = ⌈4v/(δ(s−a)²)⌉. With k blocks it is
    `geometric_median_of_means`, and `median_of_means_error` gives a B that grows as ln(1/δ) instead
    of 1/δ. ``blocks=None`` takes the number of blocks with the smallest B: one for δ = 0.1, more
    for small δ.

    Parameters
    ----------
    total_noise : float
        √v ≥ 0; σ√d for noise of standard deviation σ in each coordinate.
    silent_above, fire_below, failure_prob : float
        As `calibrated_rule`.
    blocks : int, optional
        k ≥ 1.

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
    TriggerRule(batch_size=18930, threshold=1.0, blocks=5) 100000
    """
    total = nonnegative("total_noise", total_noise)
    a, s, delta = _gap(fire_below, silent_above, failure_prob)
    if blocks is None:
        # The best number is below 3 ln(1/δ); the search goes beyond.
        candidates = range(1, 11 + math.ceil(10 * math.log(1 / delta)))
    else:
        candidates = [integer("blocks", blocks)]
    relative = 2 * total / (s - a)
    sizes = {k: k * max(1, whole("batch_size", _finite((relative * _inflation(k, delta)) ** 2)))
             for k in candidates}
    k = min(sizes, key=sizes.get)
    return TriggerRule(sizes[k], (a + s) / 2, k)


def median_of_means_error(total_noise, batch_size, blocks, failure_prob=0.1) -> float:
    r"""How far `geometric_median_of_means` is from the mean, except with probability δ.

    For B independent samples with E‖noise‖² ≤ v in k blocks of at least n = ⌊B/k⌋,

    .. math:: \min_{0\le j<k/2} C_j\sqrt{\frac{v}{n\,p_j}},\quad
              P(\mathrm{Bin}(k, p_j) > j) = \delta,\quad
              C_j = \frac{1-\alpha}{\sqrt{1-2\alpha}},\ \alpha = \frac jk.

    *Proof.* By Chebyshev's inequality a block mean is further than r = √(v/(n p)) from the mean z
    with probability at most p. The blocks are independent, so with p = p_j at most j are, except
    with probability δ. Let then y be a minimizer of the sum F of the distances to the block means,
    and D = ‖y − z‖ > r. A block mean within r of z is seen from y at an angle to z whose cosine is
    at least √(1 − r²/D²). So the derivative of F at y towards z is at most
    −(k − j)√(1 − r²/D²) + j. It is not negative; hence √(1 − r²/D²) ≤ α/(1 − α), which is
    D ≤ C_j r. (Where the smallest subgradient of F has norm kτ instead of 0, α/(1 − α) becomes
    (α + τ)/(1 − α); the value returned has τ = `MEDIAN_TOL`.)

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

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> round(median_of_means_error(1.0, 10_000, blocks=1, failure_prob=0.01), 12)
    0.1
    """
    total, b = nonnegative("total_noise", total_noise), integer("batch_size", batch_size)
    k, delta = integer("blocks", blocks), _below_half(failure_prob)
    if k > b:
        raise ValueError(f"blocks must be at most batch_size = {b}, got {k}")
    return total / math.sqrt(b // k) * _inflation(k, delta)


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
    RuntimeError
        As `geometric_median`.

    Examples
    --------
    >>> geometric_median_of_means([[0.0], [2.0], [1.0], [1.0], [1e9], [1.0]], blocks=3)
    array([1.])
    """
    samples, k = _points("samples", samples), integer("blocks", blocks)
    if k > len(samples):
        raise ValueError(f"blocks must be at most the number of samples = {len(samples)}, got {k}")
    return geometric_median([part.mean(axis=0) for part in np.array_split(samples, k)])


def geometric_median(points, maxiter=10_000) -> np.ndarray:
    r"""The point with the smallest sum of distances to the given ones.

    A given point is the minimizer if and only if the sum of the unit vectors towards the others is
    no longer than its multiplicity. If none is, Weiszfeld's iteration

    .. math:: y \leftarrow \frac{\sum_i x_i/\|x_i - y\|}{\sum_i 1/\|x_i - y\|}

    starts next to the best of them, by the step of Vardi & Zhang 2000. It lowers the sum of the
    distances in every step, so it meets none of the points again. It ends where the mean of the
    unit vectors to the points is shorter than `MEDIAN_TOL`.

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
    RuntimeError
        If ``maxiter`` iterations are not enough.

    Examples
    --------
    >>> geometric_median([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1e9, 0.0]])
    array([0., 0.])
    """
    points, maxiter = _points("points", points), integer("maxiter", maxiter)
    # Centred, for points far from zero and close together; scaled, against overflow of squares.
    centre = np.median(points, axis=0)
    scale = float(np.abs(points - centre).max())
    if scale == 0:
        return points[0].copy()
    x = (points - centre) / scale
    best, least = 0, math.inf
    for i in range(len(x)):
        total = np.linalg.norm(x - x[i], axis=1).sum()
        if total < least:
            best, least = i, total
    y = x[best]
    toward, pull, here = _pull(x, y)
    length = np.linalg.norm(toward)
    if length <= here:
        return points[best].copy()
    y = y + (1 - here / length) * toward / pull
    for _ in range(maxiter):
        toward, pull, _ = _pull(x, y)
        if np.linalg.norm(toward) <= MEDIAN_TOL * len(x):
            return centre + scale * y
        y = y + toward / pull
    raise RuntimeError(f"the geometric median of {len(x)} points did not come within "
                       f"{MEDIAN_TOL:.0e} in {maxiter} iterations; raise maxiter, or change the "
                       f"number of points by one")


def _pull(x, y):
    """The sum of the unit vectors from y to the points, of 1/distance, and how many are at y."""
    offset = x - y
    distance = np.linalg.norm(offset, axis=1)
    away = distance > 0
    weight = 1 / distance[away]
    return weight @ offset[away], weight.sum(), len(x) - np.count_nonzero(away)


def _inflation(k, delta):
    """min over j of C_j/√p_j, see `median_of_means_error`."""
    j = np.arange((k + 1) // 2)
    alpha = j / k
    cosine = (alpha + (MEDIAN_TOL if k > 1 else 0)) / (1 - alpha)
    return float(np.min(1 / np.sqrt((1 - cosine * cosine) * betaincinv(j + 1, k - j, delta))))


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
            integer("dim", dim), integer("batch_size", batch_size))


def _gap(fire_below, silent_above, failure_prob):
    a, s = nonnegative("fire_below", fire_below), positive("silent_above", silent_above)
    if not s > a:
        raise ValueError(f"silent_above must be larger than fire_below = {a}, got {s}; no test "
                         f"both fires and is silent")
    return a, s, _below_half(failure_prob)


def _below_half(failure_prob):
    delta = probability("failure_prob", failure_prob)
    if not delta < 0.5:
        raise ValueError(f"failure_prob must be below 1/2, got {delta}; a coin does as well")
    return delta


def _finite(samples):
    if not samples < 2.0**63:
        raise ValueError(f"batch_size would be {samples:.1e} samples; use a smaller noise or a "
                         f"wider gap between fire_below and silent_above")
    return samples


def _noncentral():
    # Here and not above: scipy.stats takes longer to import than the rest of saddlelib.
    from scipy.stats import ncx2
    return ncx2
