r"""Is x a second-order stationary point? A certificate from samples of the terms of f.

What one sample can be off is what the user states: √v = ``grad_noise`` with
E‖∇fᵢ(x) − ∇f(x)‖² ≤ v and L = ``hess_noise`` with ‖∇²fᵢ(x) − ∇²f(x)‖ ≤ L for every i. Where nothing
is stated, all terms are used, and there is no error.

Let H be ∇²f(x), and H_S the mean Hessian of a sample S of B terms. H_S is one symmetric matrix: all
products use the same S, so Lanczos bounds its smallest eigenvalue from below as for any matrix.
From H_S to H it takes no bound in all directions. Let v be the unit vector with vᵀHv = λ_min(H). It
does not depend on S, so vᵀ(H_S − H)v is the mean of B numbers of mean zero in [−L, L], and with
their t from `theory.concentration.mean_error`, except with probability δ,

.. math:: \lambda_{\min}(H_S) \le v^\top H_S v \le \lambda_{\min}(H) + t.

So λ_min(H) ≥ λ_min(H_S) − t, with a t that knows no dimension. The dimension comes in on the other
side: λ_min(H_S) may lie below λ_min(H), by as much as a bound for matrices allows. That makes no
verdict wrong, but it may keep the certificate from passing; so the default B does depend on d. And
a direction that Lanczos found in S fits S better than H: its curvature is measured once more on a
fresh sample, where it is a fixed vector and the same t holds.

*Repetition.* δ is for one certificate. Whoever repeats until one passes spends δ every time: among
K of them one errs with a probability of up to Kδ, and the one that passes may be that one. With
``attempt`` = k the k-th certificate takes δ/(k(k+1)). As Σ 1/(k(k+1)) = 1, all of them together,
however many, err with probability at most δ, and the price is a logarithm of k.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ._arguments import (
    as_point,
    curvature_scale,
    generator,
    integer,
    nonnegative,
    positive,
    probability,
)
from ._norm import norm
from .curvature.certificate import (
    Certificate,
    Slope,
    Verdict,
    counts,
    doubt,
    judge,
    length_scale,
)
from .curvature.choice import products
from .curvature.lanczos import Look, lanczos, start_component
from .oracle import Oracle
from .perturbation import uniform_sphere
from .theory.concentration import mean_batch_size, mean_error, norm_limits
from .theory.noise import (
    MEDIAN_TOL,
    best_blocks,
    block_sizes,
    calibrated_rule,
    geometric_median,
    median_of_means_error,
    median_residual,
    minibatch_noise,
    robust_rule,
)

__all__ = ["SampleCertificate", "certify_samples"]

# Of curvature_tol, for ‖H_S − H‖: twice this and something for Lanczos fit below it.
_SHARE = 0.4
# Indices that are drawn, with replacement, at once.
_PART = 2**20
_UNIT = 2.0**-53


@dataclass(frozen=True, repr=False)
class SampleCertificate(Certificate):
    """The answer of `certify_samples`.

    ``grad_norm`` is that of the estimate of ∇f(x), and ``min_eig`` the curvature along
    ``direction`` on the last sample that was asked.

    Attributes
    ----------
    grad_lower, grad_upper : float
        Limits of ‖∇f(x)‖.
    hess_error : float
        t: how far the curvature of a sample along a fixed direction may be off; 0 for all terms.
    grad_batch_size, hess_batch_size : int
        The samples of the gradient, and of every Hessian-vector product.
    nsamples : int
        What the certificate cost, as `Oracle.nsamples`.
    """

    grad_lower: float
    grad_upper: float
    hess_error: float
    grad_batch_size: int
    hess_batch_size: int
    nsamples: int


def certify_samples(problem, x, *, epsilon, failure_prob=1e-2, curvature_tol=None,
                    lipschitz_hess=None, batch_size=None, grad_noise=None, hess_batch_size=None,
                    hess_noise=None, hess_std=None, intrinsic_dim=None, rng=None, maxiter=None,
                    resolution=0.05, hvp_error=None, attempt=None, recheck=True
                    ) -> SampleCertificate:
    r"""Decide from samples whether x is an (ε, √(ρε))-second-order stationary point.

    The promise: whatever the function and the point, the verdict is wrong with probability at most
    ``failure_prob``, over the draws of the samples and the start of the Lanczos iteration. Each of
    `Verdict.SOSP`, `Verdict.NOT_STATIONARY` and `Verdict.NEGATIVE_CURVATURE` states a fact that
    could be wrong; `Verdict.CANNOT_TELL` states none, and its message names what would help. δ is
    shared equally among the gradient, the Lanczos iteration and the deviation of the Hessian, as
    far as they are sources of error here.

    The promise is for one call. To repeat it, at one point with fresh samples or at one point after
    another, until it passes, spends δ each time: number the calls by ``attempt`` = 1, 2, … and all
    of them together err with probability at most δ.

    Parameters
    ----------
    problem : Oracle or FiniteSum
        A `saddlelib.oracle.FiniteSum` or an `Oracle` of one, or an `Oracle` that adds noise. The
        noise of the latter is known to it and does not depend on x: every sample has the Hessian
        ∇²f(x), and ``grad_noise`` and ``hess_noise`` are not asked for. Products of a sample come
        from ``hvps`` of the sum, else from differences of gradients over the same sample, which
        need ``lipschitz_hess`` to hold for the mean of every sample.
    x : array_like, shape (d,)
    epsilon, curvature_tol, lipschitz_hess : float
        As `certify`.
    failure_prob : float
        δ in (0, 1).
    batch_size : int, optional
        Samples for the gradient. Default: enough to tell ε/2 from ε; all terms if there are fewer,
        or if ``grad_noise`` is None.
    grad_noise : float, optional
        √v ≥ 0, for a `FiniteSum`. Only this second moment is needed: the estimate is the mean or
        the geometric median of means, whichever has the smaller stated error.
    hess_batch_size : int, optional
        B. Default: so that ‖H_S − H‖ is at most 0.4 of ``curvature_tol``, and a point without
        negative curvature can pass; all terms if there are fewer, or if ``hess_noise`` is None.
    hess_noise : float, optional
        L ≥ 0, for a `FiniteSum`.
    hess_std, intrinsic_dim : float, optional
        As ``std`` and ``intrinsic_dim`` of `theory.concentration.mean_error`, where they are known;
        the second is for the default of ``hess_batch_size`` alone.
    rng : numpy.random.Generator or int, optional
        For all samples and the start; fresh entropy by default.
    maxiter, resolution, hvp_error, recheck
        As `certify`. f is asked where an `Oracle` adds noise, which is no part of f, and where
        products of all terms are used anyway.
    attempt : int, optional
        k ≥ 1: this is the k-th of a series of certificates that share ``failure_prob``. It takes
        δ/(k(k+1)), the ``failure_prob`` of the answer, whether those before it passed or not. None:
        the only one; it takes δ.

    Returns
    -------
    SampleCertificate

    Raises
    ------
    TypeError, ValueError
        Naming the argument and the remedy.

    Examples
    --------
    A thousand functions whose mean is a saddle of curvature −1; single ones differ by 2:

    >>> import numpy as np
    >>> from saddlelib import certify_samples
    >>> from saddlelib.oracle import FiniteSum
    >>> tilt = np.tile([2.0, -2.0], 500)[:, np.newaxis]
    >>> H = np.array([-1.0, 1.0, 3.0])
    >>> terms = FiniteSum(lambda x: 0.5 * H @ x**2, lambda x, i: (H + tilt[i]) * x, 1000, 3,
    ...                   hvps=lambda x, v, i: (H + tilt[i]) * v)
    >>> seen = certify_samples(terms, np.zeros(3), epsilon=0.1, curvature_tol=0.5, grad_noise=0.0,
    ...                        hess_noise=2.0, rng=0)
    >>> seen.verdict.name, seen.hess_batch_size
    ('NEGATIVE_CURVATURE', 659)
    """
    oracle = problem if isinstance(problem, Oracle) else Oracle(problem)
    x = as_point("x", x, oracle.problem)
    epsilon = positive("epsilon", epsilon)
    failure_prob = _share_of(probability("failure_prob", failure_prob), attempt)
    lipschitz_hess, gamma = curvature_scale(
        oracle.problem, epsilon, lipschitz_hess, curvature_tol)
    maxiter = min(2 * x.size, 2000) if maxiter is None else integer("maxiter", maxiter)
    resolution, rng = positive("resolution", resolution), generator("rng", rng)
    hvp_error, hess_noise, hess_std = (
        None if number is None else nonnegative(name, number)
        for name, number in dict(hvp_error=hvp_error, hess_noise=hess_noise, hess_std=hess_std
                                 ).items())
    if oracle._sum is None and (grad_noise is not None or hess_noise is not None):
        raise ValueError("grad_noise and hess_noise are for a FiniteSum; an Oracle that adds noise "
                         "knows its own")
    before = (*counts(oracle), oracle.nsamples)
    gradient = _Gradient(oracle, x.size, epsilon, batch_size, grad_noise)
    hessian = _Hessian(oracle, x.size, gamma, hess_batch_size, hess_noise, hess_std, intrinsic_dim)
    share = failure_prob / (1 + (not gradient.exact) + (not hessian.exact))
    gradient.plan(share)
    hessian.plan(share)

    g, lower, upper = gradient.estimate(x, rng, share)
    look = product = None
    if lower <= epsilon and np.isfinite(g).all():
        look, product = hessian.look(x, rng, share, length_scale(epsilon, gamma, lipschitz_hess),
                                     hvp_error, maxiter, resolution)
        # The terms of ∇f(x) may be as large as Hx, of which they are the change from 0.
        extra = max(4 * _UNIT * product.norm * norm(x), product.noise)
        lower, upper = max(0.0, lower - extra), upper + extra
    slope = Slope() if not np.isfinite(g).all() else Slope(
        lower, upper, f"‖∇f‖ in [{lower:.3g}, {upper:.3g}] against ε = {epsilon:.3g}",
        f"{gradient.batch_size} samples; raise batch_size to know more")
    verdict, message = judge(epsilon, gamma, failure_prob, slope, look, product, hessian.error)
    doubtful = verdict is Verdict.SOSP or recheck and verdict is not Verdict.CANNOT_TELL
    if doubtful and (oracle._sum is None or look and hessian.whole):
        verdict, message = _doubt(verdict, message, oracle, x, g, gradient, hessian, look, rng,
                                  epsilon, lipschitz_hess)
    if verdict is Verdict.CANNOT_TELL and look is not None and not hessian.exact:
        message += f", on {hessian.batch_size} samples; raise hess_batch_size to know more"
    seen = (math.nan, -math.inf, gamma, np.full(x.size, np.nan), np.empty(0), failure_prob, 0, 0.0,
            0.0)
    if look is not None:
        seen = (look.min_eig, look.lower - hessian.error, gamma, look.direction, look.ritz_values,
                failure_prob, look.steps, look.error, product.norm)
    cost = (after - b for after, b in zip((*counts(oracle), oracle.nsamples), before, strict=True))
    *calls, nsamples = cost
    return SampleCertificate(
        verdict, message, norm(g), epsilon, *seen, *calls, lower, upper, hessian.error,
        gradient.batch_size, hessian.batch_size, nsamples)


def _doubt(verdict, message, oracle, x, g, gradient, hessian, look, rng, epsilon, rho):
    """As `certificate.doubt`, on f itself: where noise is added, or all terms are used anyway.

    A value of a `FiniteSum` costs all its terms, which a certificate from fewer is there to save.
    """
    length = length_scale(epsilon, hessian.gamma, rho)
    noise, oracle.grad_noise = oracle.grad_noise, 0.0
    try:
        g = g if gradient.whole else oracle.grad(x)
        if look is None:
            look = hessian.glance(x, g, rng, length)
        return doubt(verdict, message, oracle, x, g, look, norm(look.first), epsilon, length, rho)
    finally:
        oracle.grad_noise = noise


def _share_of(failure_prob, attempt):
    """δ/(k(k+1)) for the k-th of a series; they add up to δ."""
    if attempt is None:
        return failure_prob
    k = integer("attempt", attempt)
    if k > 10**9:
        raise ValueError(f"attempt must be at most 10**9, got {k}; begin a new series")
    share = failure_prob / (k * (k + 1))
    if share < 1e-300:
        raise ValueError(f"failure_prob = {failure_prob} leaves attempt = {k} a share of "
                         f"{share:.1e}, which is next to nothing in float64; give a larger one")
    return share


class _Gradient:
    """An estimate of ∇f(x) with limits of its norm: how many samples, and of which law."""

    def __init__(self, oracle, dim, epsilon, batch_size, grad_noise):
        self.oracle, self.dim, self.epsilon = oracle, dim, epsilon
        self.terms, self.blocks, self.rounding = oracle._sum, 1, 0.0
        self.batch_size = None if batch_size is None else integer("batch_size", batch_size)
        if self.terms is None:
            self.noise = oracle.grad_noise
            self.exact = self.whole = self.noise == 0
            self.batch_size = 1 if self.exact else self.batch_size
            return
        n = self.terms.size
        if self.batch_size is not None and self.batch_size > n:
            raise ValueError(f"batch_size must be at most the {n} samples there are, got "
                             f"{self.batch_size}; leave it out to use all of them where needed")
        if grad_noise is None and self.batch_size not in (None, n):
            raise ValueError("a mini-batch gradient needs grad_noise to state its error: √v with "
                             "E‖∇fᵢ − ∇f‖² ≤ v; give grad_noise, or leave batch_size out to use "
                             "all terms")
        self.noise = None if grad_noise is None else nonnegative("grad_noise", grad_noise)
        self.whole = self.noise is None or self.batch_size == n
        self.exact = self.whole or self.noise == 0

    @property
    def gaussian(self):
        return self.terms is None and self.oracle.noise_df is None

    def plan(self, failure_prob):
        """Fill in the batch size and the number of blocks."""
        if self.exact:
            self.batch_size = self.oracle.samples_of_f if self.whole else self.batch_size or 1
        elif self.batch_size is None:
            self._plan_batch(failure_prob)
        elif not self.gaussian:
            self.blocks = best_blocks(lambda k: self._error(k, failure_prob), failure_prob,
                                      self.batch_size)

    def _plan_batch(self, failure_prob):
        """Enough samples to tell ε/2 from ε."""
        gap = self.epsilon, 0.5 * self.epsilon, failure_prob
        whole = self.terms is not None
        try:
            if self.gaussian:
                std = self.noise / math.sqrt(self.dim)
                rule = calibrated_rule(std, self.dim, *gap)
            else:
                rule = robust_rule(self.noise, *gap)
        except ValueError as why:
            if not whole:
                raise ValueError(f"with grad_noise = {self.noise} no batch tells epsilon/2 from "
                                 f"epsilon = {self.epsilon}: {why}; or give batch_size") from None
            rule = None  # but all terms together have no noise
        if whole and (rule is None or rule.batch_size >= self.terms.size):
            self.exact = self.whole = True
            self.batch_size = self.terms.size
        else:
            self.batch_size, self.blocks = rule.batch_size, rule.blocks

    def _error(self, blocks, failure_prob, **residual):
        """The stated error; blocks are drawn with replacement: they have to be independent."""
        if blocks == 1:
            free = self.terms is None or self.terms.replacement
            noise = minibatch_noise(self.noise, self.batch_size,
                                    None if free else self.terms.size)
            return noise / math.sqrt(failure_prob)
        return median_of_means_error(self.noise, self.batch_size, blocks, failure_prob, **residual)

    def estimate(self, x, rng, failure_prob):
        """ĝ and the limits of ‖∇f(x)‖, rounding included; each fails with probability ≤ δ."""
        if self.whole:
            g = self._mean(x)
            return g, *self._rounded(norm(g), norm(g), norm(g))
        sizes = block_sizes(self.batch_size, self.blocks)
        if self.terms is None:
            kept, self.oracle.rng = self.oracle.rng, rng
            means = [self.oracle.batch_grad(x, size) for size in sizes]
            self.oracle.rng = kept
        else:
            means = [self._mean_of_terms(x, size, rng) for size in sizes]
        if self.blocks == 1 or not np.isfinite(means).all():
            g, residual = means[0] if self.blocks == 1 else np.mean(means, axis=0), 0.0
        else:
            g = geometric_median(means)
            residual = median_residual(means, g)
        length = norm(g)
        if not math.isfinite(length):
            return g, math.nan, math.nan
        if self.gaussian and length > 0:
            return g, *self._rounded(length, *norm_limits(
                length, self.noise / math.sqrt(self.dim), self.dim, self.batch_size, failure_prob))
        # With the tolerance that the median reached, and room for the rounding of it.
        error = self._error(self.blocks, failure_prob, residual=residual + MEDIAN_TOL)
        return g, *self._rounded(length, length - error, length + error)

    def _rounded(self, length, lower, upper):
        """The limits with room for the rounding of the sum that the gradient is."""
        error = max(self.rounding, 4 * _UNIT * length)
        return max(0.0, lower - error), upper + error

    def _mean(self, x, indices=None):
        g = self.oracle.sample(indices).grad(x)
        if self.terms is not None:
            self.rounding = max(self.rounding, self.terms.rounding)
        return g

    def _mean_of_terms(self, x, size, rng):
        """In parts where the draws are independent: memory does not grow with the batch."""
        if not (self.terms.replacement or self.blocks > 1):
            return self._mean(x, _draw(self.terms, size, rng, False))
        return sum([part / size * self._mean(x, _draw(self.terms, part, rng, True))
                    for part in block_sizes(size, -(-size // _PART))])


class _Hessian:
    """The Hessian of a sample of the terms, and how far it may be from that of all."""

    def __init__(self, oracle, dim, gamma, batch_size, bound, std, intrinsic_dim):
        self.oracle, self.terms, self.gamma, self.error = oracle, oracle._sum, gamma, 0.0
        self.batch_size = None if batch_size is None else integer("hess_batch_size", batch_size)
        n = oracle.samples_of_f
        if self.terms is None or bound == 0:
            self.exact, self.batch_size = True, self.batch_size or 1
            self.whole = self.terms is None
            return
        if self.batch_size is not None and self.batch_size > n:
            raise ValueError(f"hess_batch_size must be at most the {n} samples there are, got "
                             f"{self.batch_size}")
        if bound is None and self.batch_size not in (None, n):
            raise ValueError("the Hessian of a sample needs hess_noise to state its error: L with "
                             "‖∇²fᵢ − ∇²f‖ ≤ L; give hess_noise, or leave hess_batch_size out to "
                             "use all terms")
        self.exact = self.whole = bound is None or self.batch_size == n
        self.law = dict(std=std, population=None if self.terms.replacement else n)
        self.bound, self.dim, self.intrinsic_dim = bound, dim, intrinsic_dim

    def plan(self, failure_prob):
        """Fill in the batch size and the deviation along a fixed direction."""
        if not self.exact:
            if self.batch_size is None:
                self.batch_size = min(self.terms.size, mean_batch_size(
                    _SHARE * self.gamma, self.bound, failure_prob, dim=self.dim,
                    intrinsic_dim=self.intrinsic_dim, **self.law))
            self.exact = self.whole = self.batch_size == self.terms.size
        if not self.exact:
            self.error = mean_error(self.bound, self.batch_size, failure_prob, **self.law)
        elif self.whole:
            self.batch_size = self.oracle.samples_of_f

    def look(self, x, rng, failure_prob, scale, hvp_error, maxiter, resolution):
        """What Lanczos sees in a sample, and the products that it asked for."""
        deep = self.gamma + 2 * self.error
        # A sample too small to certify can still find a saddle that is deep enough.
        tol = self.gamma - self.error if self.error < self.gamma else deep
        options = scale, start_component(x.size, failure_prob), hvp_error
        product = self._product(x, rng, *options)
        look = lanczos(product, x.size, tol, failure_prob, rng, maxiter, resolution, deep)
        if look.min_eig < -self.gamma and not self.exact:
            # The direction was chosen on the first sample: a fresh one has no part in it.
            fresh = self._product(x, rng, *options)
            with np.errstate(over="ignore", invalid="ignore"):
                low = float(look.direction @ fresh(look.direction))
            look = replace(look, min_eig=low, error=fresh.one())
        return look, product

    def glance(self, x, g, rng, scale):
        """One product with ∇²f(x) along a random direction, as the start of a `Look`."""
        b = uniform_sphere(rng, x.size)
        with np.errstate(over="ignore", invalid="ignore"):
            hb = products(self.oracle, x, g, self.gamma, scale, 1.0)(b)
        return Look(math.nan, -math.inf, b, 1, math.nan, "budget", b, hb, np.empty(0))

    def _product(self, x, rng, scale, component, hvp_error):
        sample = self.oracle.sample(None if self.whole else _draw(
            self.terms, self.batch_size, rng, self.terms.replacement))
        by_differences = not (sample.has_hvp or sample.has_hess)
        return products(sample, x, sample.grad(x) if by_differences else None, self.gamma, scale,
                        component, hvp_error=hvp_error)


def _draw(terms, size, rng, replacement):
    """Indices of a sample of its own, apart from the epochs of a run."""
    return rng.integers(terms.size, size=size) if replacement else \
        rng.choice(terms.size, size=size, replace=False)
