r"""Constants of Perturbed Saddle-escape Descent (PSD), Alpay & Alakkad 2025.

arXiv:2508.16540v1. Its abstract gives the orders of growth. The constants here are those of the
authors' repository, github.com/farukalpay/PSD: the code of 22 August 2025 and ``docs/APPENDIX.md``
of 23 August 2025, whose numbering of lemmas we use. We have not read the body of the paper, so
nothing here is quoted as the paper's. Logarithms are natural.

The algorithm: descend by x ← x − ∇f(x)/(2ℓ) while ‖∇f(x)‖ > ε. Where the gradient is small,
return x if λ_min(∇²f(x)) ≥ −γ; else add ξ uniform on the ball of radius r and take T more steps, an
*episode*; at most M episodes.

What is known about the proof, held by the tests: the descent lemma is correct; the marginal of the
ball (Lemma 7.1) is correct but gives probability 1/12 where 1 − δ/M is needed; and the lower bound
that the episode lemma rests on is empty, see `episode_fixed_point`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import betaincc

from .._arguments import integer, positive, probability
from ._numbers import nonnegative, setting, whole

__all__ = ["MARGINAL_PROB", "PSDConstants", "batch_size", "batch_trigger", "descent_bound",
           "episode_fixed_point", "iteration_bound", "marginal_threshold", "probe_count",
           "probe_detection_prob", "probe_error", "probe_spacing", "psd_constants"]

MARGINAL_PROB = 1 / 12
"""What Lemma 7.1 of the authors' appendix promises: P(|⟨ξ, u⟩| ≥ `marginal_threshold`) ≥ 1/12."""


@dataclass(frozen=True)
class PSDConstants:
    """The numbers PSD runs with; see `psd_constants`.

    Attributes
    ----------
    curvature_tol : float
        γ = √(ρε).
    step_size : float
        η.
    perturbation_radius : float
        r, in the units of x.
    max_episodes : int
        M.
    episode_length : int
        T, in steps.
    decrease : float
        What one episode is said to lower f by.
    """

    curvature_tol: float
    step_size: float
    perturbation_radius: float
    max_episodes: int
    episode_length: int
    decrease: float


def psd_constants(lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob=0.1
                  ) -> PSDConstants:
    r"""Constants of PSD as in the authors' repository.

    .. math::
        \gamma = \sqrt{\rho\varepsilon},\quad \eta = \tfrac{1}{2\ell},\quad
        r = \tfrac{\gamma}{8\rho},\quad
        M = 1 + \Big\lceil\tfrac{128\,\ell\Delta_f}{\varepsilon^2}\Big\rceil,\quad
        T = \Big\lceil\tfrac{8\ell}{\gamma}\log\tfrac{16\,dM}{\delta}\Big\rceil.

    An episode from a point with ‖∇f‖ ≤ ε and λ_min ≤ −γ is said to lower f by ε²/(128ℓ), except
    with probability δ/M (Lemma 3.3 of the authors' appendix). M follows from it: M − 1 such
    decreases add up to Δ_f.

    Parameters
    ----------
    lipschitz_grad, lipschitz_hess : float
        ℓ > 0 and ρ > 0.
    epsilon : float
        ε > 0. Beyond ℓ²/ρ, where γ > ℓ, no point has λ_min < −γ and no episode takes place.
    dim : int
    delta_f : float
        Δ_f ≥ f(x₀) − inf f, > 0.
    failure_prob : float
        δ in (0, 1).

    Returns
    -------
    PSDConstants

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    The setting of the authors' figures:

    >>> k = psd_constants(10.0, 0.1, 1e-3, dim=10, delta_f=1.0, failure_prob=0.1)
    >>> k.step_size, k.max_episodes, k.episode_length
    (0.05, 1280000001, 226784)
    """
    ell, rho, eps, d, delta_f, delta = setting(
        lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob)
    gamma = math.sqrt(rho) * math.sqrt(eps)
    episodes = 1 + whole("max_episodes", 128 * (ell / eps) * (delta_f / eps))
    reach = math.log(16) + math.log(d) + math.log(episodes) - math.log(delta)
    return PSDConstants(
        curvature_tol=gamma,
        step_size=1 / (2 * ell),
        perturbation_radius=gamma / (8 * rho),
        max_episodes=episodes,
        episode_length=max(1, whole("episode_length", 8 * (ell / gamma) * reach)),
        decrease=eps * (eps / (128 * ell)),
    )


def descent_bound(lipschitz_grad, epsilon, delta_f, refined=False, phases=1) -> float:
    r"""Most steps of 1/(2ℓ) with ‖∇f‖ > ε: 4ℓΔ_f/ε², or the sharp 16ℓΔ_f/(7ε²) + phases/7.

    A step of 1/(2ℓ) lowers f by (3/(8ℓ))‖∇f‖² (Lemma 3.2 of the authors' appendix; it follows from
    f(x⁺) ≤ f(x) − η(1 − ℓη/2)‖∇f‖²), which gives 8ℓΔ_f/(3ε²). The authors round it up to
    4ℓΔ_f/ε². With g and g⁺ the gradients before and after the step,

    .. math:: f(x) - f(x^+) \ge \frac1\ell\Big(\frac7{16}\|g\|^2
              + \frac14\langle g^+, g^+ - g\rangle\Big),

    and over the steps of one descent this adds up to N − 1/7 ≤ 16ℓΔ/(7ε²), where Δ is what they
    lower f by (ours; the appendix of chapter 2 has the proof). It holds in every dimension, and a
    function of one variable attains it.

    Parameters
    ----------
    lipschitz_grad, epsilon, delta_f : float
        ℓ, ε and Δ_f, all > 0.
    refined : bool
        Whether to return the sharp bound.
    phases : int
        Descents that the steps belong to, ≥ 1; each may lose one seventh of a step.

    Returns
    -------
    float
        A number of steps that need not be whole.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Notes
    -----
    All of them together lower f by at most Δ_f if nothing between two descents raises f.

    Examples
    --------
    >>> round(descent_bound(10.0, 1e-3, 1.0)), round(descent_bound(10.0, 1e-3, 1.0, refined=True))
    (40000000, 22857143)
    """
    ell, eps = positive("lipschitz_grad", lipschitz_grad), positive("epsilon", epsilon)
    steps = (ell / eps) * (positive("delta_f", delta_f) / eps)
    phases = integer("phases", phases)
    return 16 / 7 * steps + phases / 7 if refined else 4.0 * steps


def iteration_bound(lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob=0.1
                    ) -> float:
    r"""Steps of PSD if every episode takes place: 4ℓΔ_f/ε² + M·T.

    .. math:: M\,T \approx \frac{1024\,\ell^2\Delta_f}{\rho^{1/2}\varepsilon^{5/2}}
              \log\frac{16\,dM}{\delta},

    a factor of about 256 (ℓ/γ) log above the descent steps: of order ε^(−5/2), where Theorem 3 of
    Jin et al. 2017 has ε^(−2). The abstract gives the two factors, not their product. A step is
    one gradient. Besides, PSD asks for up to M + 1 smallest eigenvalues.

    Parameters
    ----------
    lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob
        ℓ, ρ, ε, d, Δ_f and δ as in `psd_constants`.

    Returns
    -------
    float
        Gradients.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> f"{iteration_bound(10.0, 0.1, 1e-3, dim=10, delta_f=1.0):.2e}"
    '2.90e+14'
    """
    k = psd_constants(lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob)
    steps = float(k.max_episodes) * float(k.episode_length)
    return descent_bound(lipschitz_grad, epsilon, delta_f) + steps


def marginal_threshold(dim, radius) -> float:
    r"""r/√(2(d+2)): a component of ξ, uniform on the ball, is at least this with probability 1/12.

    Lemma 7.1 of the authors' appendix. With Z = ⟨ξ, u⟩, E Z² = r²/(d+2) and
    E Z⁴ = 3r⁴/((d+2)(d+4)), the inequality of Paley & Zygmund at ½ E Z² gives

    .. math:: P\Big(Z^2 \ge \frac{r^2}{2(d+2)}\Big) \ge \frac14\,\frac{(E Z^2)^2}{E Z^4}
              = \frac{d+4}{12(d+2)} \ge \frac1{12}.

    The probability itself is `laws.ball_coordinate_tail` there, between 0.48 and 0.6.

    Parameters
    ----------
    dim : int
        d ≥ 1.
    radius : float
        r > 0.

    Returns
    -------
    float
        In the units of the radius.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> from saddlelib.theory import laws
    >>> [round(laws.ball_coordinate_tail(d, 1.0, marginal_threshold(d, 1.0)), 3) for d in (1, 1000)]
    [0.592, 0.48]
    """
    return positive("radius", radius) / math.sqrt(2 * (integer("dim", dim) + 2))


def episode_fixed_point(lipschitz_hess, epsilon) -> float:
    r"""Where the lower bound in the proof of the episode lemma stands still: (33/32) ε/γ = 8.25 r.

    The authors' appendix bounds the component along the escape direction from below by

    .. math:: |z_{t+1}| \ge \Big(1 + \frac{\gamma}{2\ell}\Big)|z_t|
              - \frac{33\,\varepsilon}{64\,\ell}

    ((A.2) there). The right side exceeds |z_t| only beyond its fixed point (33/32) ε/γ. But an
    episode starts within r = ε/(8γ), and the bound is claimed within the trust region 2r. So from
    every start it falls below zero and says nothing.

    Parameters
    ----------
    lipschitz_hess, epsilon : float
        ρ > 0 and ε > 0.

    Returns
    -------
    float
        In the units of x.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> k = psd_constants(10.0, 0.1, 1e-3, dim=10, delta_f=1.0)
    >>> round(episode_fixed_point(0.1, 1e-3) / k.perturbation_radius, 12)
    8.25
    """
    rho, eps = positive("lipschitz_hess", lipschitz_hess), positive("epsilon", epsilon)
    return 33 / 32 * math.sqrt(eps / rho)


def probe_count(dim, failure_prob=0.1) -> int:
    """m = ⌈16 log(16 d/δ)⌉, the random directions of one check of PSD-Probe.

    Each costs two values, and all share f(x): 2m + 1 values a check. From the authors' repository.

    Parameters
    ----------
    dim : int
        d ≥ 1.
    failure_prob : float
        δ in (0, 1).

    Returns
    -------
    int
        m ≥ 1.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> [probe_count(d) for d in (10, 100, 1000)]
    [119, 155, 192]
    """
    d, delta = integer("dim", dim), probability("failure_prob", failure_prob)
    return whole("probe_count", 16 * (math.log(16) + math.log(d) - math.log(delta)))


def probe_spacing(lipschitz_hess, epsilon) -> float:
    """h = √(ε/ρ), in the units of x: the spacing of the second differences of PSD-Probe.

    From the authors' code. Their appendix prints h = ε/ρ, which has other units; only the square
    root makes `probe_error` γ/3, as the appendix goes on to say.

    Parameters
    ----------
    lipschitz_hess, epsilon : float
        ρ > 0 and ε > 0.

    Returns
    -------
    float
        h > 0.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> probe_spacing(0.25, 0.01)
    0.2
    """
    rho, eps = positive("lipschitz_hess", lipschitz_hess), positive("epsilon", epsilon)
    return math.sqrt(eps / rho)


def probe_error(lipschitz_hess, spacing) -> float:
    r"""ρh/3: the largest error of a second difference as a curvature.

    For a unit vector v (Lemma 4.1 of the authors' appendix),

    .. math:: \Big|\frac{f(x+hv) - 2f(x) + f(x-hv)}{h^2} - v^\top\nabla^2 f(x)\,v\Big|
              \le \frac{\rho h}{3}.

    It is attained by f = ρ|x|³/6. At h = `probe_spacing` it is γ/3, so where λ_min = −γ the probe
    may read −2γ/3: the test for a reading of at most −γ then misses the saddle.

    Parameters
    ----------
    lipschitz_hess : float
        ρ > 0.
    spacing : float
        h > 0, in the units of x.

    Returns
    -------
    float
        In the units of a curvature.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> probe_error(0.25, spacing=6.0)
    0.5
    """
    return positive("lipschitz_hess", lipschitz_hess) * positive("spacing", spacing) / 3


def probe_detection_prob(dim, probe_count, curvature, curvature_tol, others=0.0) -> float:
    r"""Probability that one of m random directions reads at most −γ, for one negative eigenvalue.

    Where the Hessian is constant with the eigenvalues −λ, μ, …, μ, a second difference is
    vᵀHv = μ − (λ + μ)t with t = v₁². For v uniform on the sphere t follows Beta(½, (d−1)/2), so one
    direction reads at most −γ with probability p, and one of m independent ones with

    .. math:: 1 - (1-p)^m,\quad p = P\Big(t \ge \frac{\gamma+\mu}{\lambda+\mu}\Big)
              = 1 - I_{(\gamma+\mu)/(\lambda+\mu)}\big(\tfrac12, \tfrac{d-1}2\big).

    At λ = γ, μ > −γ, and d ≥ 2 this is zero: vᵀHv ≥ −γ, with equality for v = ±e₁ alone. In
    general p ≤ (1−s)^{(d−1)/2} with s = (γ+μ)/(λ+μ), because t = s + (1−s)u turns the integral of
    the density from s to 1 into (1−s)^{(d−1)/2} times one that u ≤ t bounds by 1. So where μ > −γ,
    which makes s > 0, the m that finds the saddle grows exponentially with d. Ours; the authors'
    appendix (Corollary 4.2) says that m = O(log(d/δ)) directions are enough.

    Parameters
    ----------
    dim, probe_count : int
        d ≥ 1 and m ≥ 1.
    curvature, curvature_tol : float
        λ > 0 and γ > 0.
    others : float
        μ > −λ, the other eigenvalues.

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
    >>> [round(probe_detection_prob(d, probe_count(d), 2.0, 1.0), 3) for d in (2, 10, 20)]
    [1.0, 0.834, 0.043]
    >>> probe_detection_prob(3, 100, 1.0, 1.0)
    0.0
    """
    d, m = integer("dim", dim), integer("probe_count", probe_count)
    curvature = positive("curvature", curvature)
    gamma, others = positive("curvature_tol", curvature_tol), float(others)
    if not -curvature < others < math.inf:
        raise ValueError(f"others must be a finite number > -curvature = {-curvature}, "
                         f"got {others}")
    share = (gamma + others) / (curvature + others)
    if d == 1:
        return float(share <= 1)
    one = float(betaincc(0.5, 0.5 * (d - 1), min(max(share, 0.0), 1.0)))
    return 1.0 if one == 1 else -math.expm1(m * math.log1p(-one))


def batch_size(noise_std, epsilon, failure_prob=0.1) -> int:
    r"""B = max(1, ⌈(2σ²/ε²) ln(2/δ)⌉), the mini-batch of PSGD, the authors' stochastic variant.

    From the authors' repository, which reads σ in two ways. B is the number for which
    2 exp(−Bε²/(2σ²)) ≤ δ, the two-sided tail of one Gaussian number of variance σ²/B.

    * *Coordinate*, as in its code, which adds noise of law N(0, (σ²/B) I): σ is the standard
      deviation of one coordinate of one sample, as in `noise`. The test of PSGD reads the norm of
      all d coordinates, about σ√(d/B), and B does not know d: see `noise.trigger_prob`.
    * *Total*, as in ``docs/section_1_5_extension.md``, which prints E‖ĝ‖² = ‖∇f‖² + σ²/B: σ is the
      root mean square of the norm, ``total_noise`` of `noise`. For the same noise it is √d times
      as large and B d times, and the test is right in every dimension.

    Parameters
    ----------
    noise_std : float
        σ ≥ 0 of either reading, in the units of the gradient.
    epsilon : float
        ε > 0.
    failure_prob : float
        δ in (0, 1), there the probability of a false positive.

    Returns
    -------
    int
        B ≥ 1.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> [batch_size(sigma, 1.0) for sigma in (0.0, 1.0, 10.0)]
    [1, 6, 600]
    """
    ratio = nonnegative("noise_std", noise_std) / positive("epsilon", epsilon)
    delta = probability("failure_prob", failure_prob)
    return max(1, whole("batch_size", 2 * ratio * ratio * (math.log(2) - math.log(delta))))


def batch_trigger(noise_std, epsilon, batch_size) -> float:
    r"""ε√(1 + 2σ²/(Bε²)): PSGD starts an episode where the mini-batch gradient is at most this.

    From the authors' repository. The square adds 2σ²/B to ε². In the coordinate reading of σ
    (`batch_size`) the noise adds σ²d/B to the mean of ‖ĝ‖² (`noise.mean_square`), and the test
    allows for the noise of two dimensions; in the total reading the noise adds σ²/B, and the test
    allows for twice of it.

    Parameters
    ----------
    noise_std : float
        σ ≥ 0 of either reading.
    epsilon : float
        ε > 0.
    batch_size : int
        B ≥ 1.

    Returns
    -------
    float
        In the units of the gradient.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> batch_trigger(4.0, 3.0, batch_size=2)
    5.0
    """
    noise = nonnegative("noise_std", noise_std) * math.sqrt(2 / integer("batch_size", batch_size))
    return math.hypot(positive("epsilon", epsilon), noise)
