"""Constants of Jin, Ge, Netrapalli, Kakade & Jordan 2017.

*How to Escape Saddle Points Efficiently*, arXiv:1703.00887: Algorithm 2 (perturbed gradient
descent), Theorem 3, Algorithm 3 (the same with local improvement, PGDli), and the constants of
symmetric matrix factorization. Logarithms are natural. *Recalled* marks a statement in our words,
without its text before us.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .._arguments import integer, positive
from ._numbers import at_most_the_natural_scale, representable, setting, whole

__all__ = ["FactorizationConstants", "PGDConstants", "PGDliConstants", "factorization_pgdli",
           "iteration_bound", "local_iterations", "matrix_factorization", "pgd_constants",
           "pgdli_iteration_bound", "strict_saddle_epsilon"]


@dataclass(frozen=True)
class PGDConstants:
    """The numbers Algorithm 2 runs with; see `pgd_constants`.

    Attributes
    ----------
    chi : float
        χ, the logarithm that all the others are made with.
    step_size : float
        η.
    perturbation_radius : float
        r, in the units of x.
    grad_threshold : float
        g_thres, in the units of the gradient: where a perturbation may come.
    decrease_threshold : float
        f_thres, in the units of f: what an episode has to lower f by.
    episode_length : int
        t_thres, in steps.
    """

    chi: float
    step_size: float
    perturbation_radius: float
    grad_threshold: float
    decrease_threshold: float
    episode_length: int


def pgd_constants(lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob=0.1,
                  c=1.0) -> PGDConstants:
    r"""Constants of Algorithm 2 of Jin et al. 2017.

    .. math::
        \chi = 3\max\{\log\tfrac{d\ell\Delta_f}{c\varepsilon^2\delta}, 4\},\quad
        \eta = \tfrac{c}{\ell},\quad r = \tfrac{\sqrt c}{\chi^2}\tfrac{\varepsilon}{\ell},\quad
        g_{thres} = \tfrac{\sqrt c}{\chi^2}\varepsilon,\quad
        f_{thres} = \tfrac{c}{\chi^3}\sqrt{\tfrac{\varepsilon^3}{\rho}},\quad
        t_{thres} = \tfrac{\chi}{c^2}\tfrac{\ell}{\sqrt{\rho\varepsilon}}.

    Parameters
    ----------
    lipschitz_grad, lipschitz_hess : float
        ℓ > 0 and ρ > 0.
    epsilon : float
        0 < ε ≤ ℓ²/ρ, the range of Theorem 3.
    dim : int
    delta_f : float
        Δ_f ≥ f(x₀) − f*, > 0.
    failure_prob : float
        δ in (0, 1).
    c : float
        In (0, 1]. Theorem 3 holds for c ≤ c_max, an absolute constant; the paper gives no number.

    Returns
    -------
    PGDConstants
        ``episode_length`` is t_thres rounded up to a whole number of steps; r is a radius in x.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> k = pgd_constants(2.0, 6.0, 1e-4, dim=100, delta_f=1.0)
    >>> f"{k.perturbation_radius:.1e} {k.decrease_threshold:.1e} {k.episode_length}"
    '8.2e-09 8.6e-13 6374'
    """
    ell, rho, eps, d, delta_f, delta = setting(
        lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob)
    c = positive("c", c)
    if c > 1:
        raise ValueError(f"c must be at most 1, so that the step c/ℓ decreases f; got {c}")
    at_most_the_natural_scale(eps, ell, rho, "Theorem 3")
    # Products of powers leave the range of float64 long before their logarithms do.
    chi = 3 * max(math.log(d) + math.log(ell) + math.log(delta_f) - math.log(c)
                  - 2 * math.log(eps) - math.log(delta), 4.0)
    return PGDConstants(
        chi=chi,
        step_size=c / ell,
        perturbation_radius=math.sqrt(c) / chi**2 * eps / ell,
        grad_threshold=math.sqrt(c) / chi**2 * eps,
        decrease_threshold=c / chi**3 * (eps * math.sqrt(eps / rho)),
        episode_length=whole("episode_length",
                             chi / c / c * (ell / math.sqrt(rho) / math.sqrt(eps))),
    )


def iteration_bound(lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob=0.1,
                    c=1.0) -> float:
    r"""Most iterations of Algorithm 2 on the event that its two lemmas hold throughout.

    A step outside an episode lowers f by at least η g_thres²/2, an episode that does not end the
    run lowers it by at least f_thres in t_thres steps. One more step follows before the next
    perturbation may come, so that an episode takes t_thres + 1 steps, and the run ends within

    .. math:: \Delta_f \max\Big\{\frac{2}{\eta g_{thres}^2}, \frac{t_{thres}+1}{f_{thres}}\Big\}
              + t_{thres} = O\Big(\frac{\ell\Delta_f}{\varepsilon^2}\chi^4\Big),

    which is Theorem 3 with its constant written out. An iteration is one gradient.

    Parameters
    ----------
    lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob, c
        ℓ, ρ, ε, d, Δ_f, δ and c as in `pgd_constants`.

    Returns
    -------
    float
        Gradients; infinite where float64 overflows.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> f"{iteration_bound(2.0, 6.0, 1e-4, dim=100, delta_f=1.0):.1e}"
    '1.5e+16'
    """
    k = pgd_constants(lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob, c)
    if k.decrease_threshold == 0:
        return math.inf  # below the smallest float64
    delta_f = float(delta_f)  # NumPy's floats would warn where they overflow
    descent = 2 / k.step_size * (delta_f / k.grad_threshold) / k.grad_threshold
    episodes = delta_f / k.decrease_threshold * (k.episode_length + 1)
    return max(descent, episodes) + k.episode_length


def strict_saddle_epsilon(theta, gamma, lipschitz_hess) -> float:
    r"""ε̃ = min{θ, γ²/ρ}: the accuracy at which a strict-saddle function has no saddles left.

    In a (θ, γ, ζ)-strict saddle function every point has ‖∇f‖ ≥ θ, or λ_min ≤ −γ, or a minimizer
    within ζ. A point with ‖∇f‖ < ε̃ and λ_min > −√(ρε̃) ≥ −γ can only be of the last kind (Jin et
    al. 2017, Corollary 4; recalled).

    Parameters
    ----------
    theta : float
        θ > 0, in the units of ∇f.
    gamma : float
        γ > 0, in the units of ∇²f.
    lipschitz_hess : float
        ρ > 0.

    Returns
    -------
    float
        ε̃, in the units of ∇f.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> strict_saddle_epsilon(theta=0.5, gamma=0.2, lipschitz_hess=4.0)
    0.010000000000000002
    """
    gamma, rho = positive("gamma", gamma), positive("lipschitz_hess", lipschitz_hess)
    return min(positive("theta", theta), gamma / rho * gamma)


def local_iterations(alpha, beta, zeta, epsilon) -> int:
    r"""Steps of size 1/β that bring a point from within ζ of the minimizers to within ε of them.

    Where f is (α, β)-regular, or α-strongly convex and β-smooth, one step x⁺ = x − ∇f(x)/β gives
    dist(x⁺)² ≤ (1 − α/β) dist(x)², because

    .. math:: \mathrm{dist}(x^+)^2 \le \|x - P(x)\|^2
        - \tfrac2\beta\langle\nabla f(x), x - P(x)\rangle
        + \tfrac1{\beta^2}\|\nabla f(x)\|^2
        \le \Big(1 - \frac\alpha\beta\Big)\|x - P(x)\|^2 ,

    so that 2 ln(ζ/ε)/(−ln(1 − α/β)) steps suffice: the term (β/α) log(ζ/ε) of Theorem 5 of
    Jin et al. 2017 (recalled) with its constant. Derived here.

    Parameters
    ----------
    alpha, beta : float
        0 < α ≤ β, in the units of ∇²f.
    zeta, epsilon : float
        ζ > 0 and ε > 0, in the units of x.

    Returns
    -------
    int
        A number of steps; 0 where ε ≥ ζ.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> local_iterations(1.0, 2.0, zeta=1.0, epsilon=1e-3)    # the squared distance halves
    20
    """
    alpha, beta = positive("alpha", alpha), positive("beta", beta)
    zeta, epsilon = positive("zeta", zeta), positive("epsilon", epsilon)
    if alpha > beta:
        raise ValueError(f"alpha must be at most beta = {beta}, got {alpha}")
    if epsilon >= zeta:
        return 0
    if alpha == beta:
        return 1
    return whole("local_iterations",
                 2 * (math.log(zeta) - math.log(epsilon)) / representable(
                     "the rate", -math.log1p(-alpha / beta), alpha=alpha, beta=beta))


def pgdli_iteration_bound(lipschitz_grad, lipschitz_hess, strict_saddle, regularity, epsilon, dim,
                          delta_f, failure_prob=0.1, c=1.0) -> float:
    r"""Most iterations of PGDli (Algorithm 3 of Jin et al. 2017) until x is ε-close to a minimizer.

    PGDli runs Algorithm 2 with ε̃ = `strict_saddle_epsilon`, then steps of size 1/β. With the
    constants of `iteration_bound` and `local_iterations` written out, Theorem 5 (recalled) reads

    .. math:: O\Big(\frac{\ell\Delta_f}{\tilde\varepsilon^2}\log^4
              \frac{d\ell\Delta_f}{\tilde\varepsilon^2\delta}
              + \frac\beta\alpha\log\frac\zeta\varepsilon\Big).

    Parameters
    ----------
    strict_saddle : (float, float, float)
        θ, γ, ζ.
    regularity : (float, float)
        α, β, within ζ of the minimizers.
    epsilon : float
        ε > 0, the wanted *distance*, in the units of x.
    lipschitz_grad, lipschitz_hess, dim, delta_f, failure_prob, c
        ℓ, ρ, d, Δ_f, δ and c as in `pgd_constants`.

    Returns
    -------
    float
        Gradients; infinite where float64 overflows.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> k = matrix_factorization(1.0, 0.5, Gamma=1.0)
    >>> bound = pgdli_iteration_bound(k.lipschitz_grad, k.lipschitz_hess, k.strict_saddle,
    ...                               k.regularity, 1e-6, dim=20, delta_f=1.0)
    >>> f"{bound:.1e}"
    '3.5e+13'
    """
    theta, gamma, zeta = strict_saddle
    first = iteration_bound(lipschitz_grad, lipschitz_hess,
                            strict_saddle_epsilon(theta, gamma, lipschitz_hess), dim, delta_f,
                            failure_prob, c)
    return first + local_iterations(*regularity, zeta, epsilon)


@dataclass(frozen=True)
class FactorizationConstants:
    """Constants of ½‖UUᵀ − M‖² on ‖U‖² < Γ; see `matrix_factorization`.

    Attributes
    ----------
    lipschitz_grad, lipschitz_hess : float
        ℓ and ρ.
    strict_saddle : (float, float, float)
        θ, γ and ζ, in the units of ∇f, of ∇²f and of U.
    regularity : (float, float)
        α and β, in the units of ∇²f.
    """

    lipschitz_grad: float
    lipschitz_hess: float
    strict_saddle: tuple[float, float, float]
    regularity: tuple[float, float]


def matrix_factorization(sigma_max, sigma_min, Gamma) -> FactorizationConstants:
    r"""Constants of symmetric low-rank factorization as printed in Jin et al. 2017, Lemmas 6 and 7.

    On ‖U‖² < Γ the function is 8Γ-smooth with a 12√Γ-Lipschitz Hessian. Everywhere it is a
    (θ, γ, ζ)-strict saddle with θ = σ_r^{3/2}/24, γ = σ_r/3, ζ = σ_r^{1/2}/3: at every U the
    gradient is at least θ, or λ_min ≤ −γ, or a minimizer lies within ζ. Within ζ of the minimizers
    it is (α, β)-regular with α = 2σ_r/3, β = 10σ₁:
    ⟨∇f(U), U − P(U)⟩ ≥ (α/2)‖U − P(U)‖² + ‖∇f(U)‖²/(2β).

    Parameters
    ----------
    sigma_max, sigma_min : float
        σ₁ ≥ σ_r > 0, the largest and the smallest nonzero eigenvalue of M.
    Gamma : float
        Γ ≥ σ₁.

    Returns
    -------
    FactorizationConstants

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> k = matrix_factorization(1.0, 0.5, Gamma=1.0)
    >>> k.lipschitz_grad, k.lipschitz_hess, round(k.strict_saddle[1], 4), k.regularity[1]
    (8.0, 12.0, 0.1667, 10.0)
    """
    s1, sr = positive("sigma_max", sigma_max), positive("sigma_min", sigma_min)
    Gamma = positive("Gamma", Gamma)
    if sr > s1:
        raise ValueError(f"sigma_min must be at most sigma_max = {s1}, got {sr}")
    if Gamma < s1:
        raise ValueError(f"Gamma must be at least sigma_max = {s1}, got {Gamma}")
    return FactorizationConstants(8 * Gamma, 12 * math.sqrt(Gamma),
                                  (sr**1.5 / 24, sr / 3, sr**0.5 / 3), (2 * sr / 3, 10 * s1))


@dataclass(frozen=True)
class PGDliConstants:
    """What PGDli is called with on a matrix factorization; see `factorization_pgdli`.

    Attributes
    ----------
    Gamma : float
        Γ, in the units of M.
    lipschitz_grad, lipschitz_hess : float
        ℓ and ρ.
    epsilon : float
        ε̃, in the units of the gradient.
    delta_f : float
        Δ_f, in the units of f.
    beta : float
        β, in the units of ∇²f.
    """

    Gamma: float
    lipschitz_grad: float
    lipschitz_hess: float
    epsilon: float
    delta_f: float
    beta: float


def factorization_pgdli(start_norm, sigma_max, sigma_min, rank) -> PGDliConstants:
    r"""Arguments of PGDli in Theorem 8 of Jin et al. 2017 (recalled), from U₀ and M's spectrum.

    .. math:: \sqrt\Gamma = 2\max\{\|U_0\|, 3\sqrt{\sigma_1}\},\quad \ell = 8\Gamma,\quad
        \rho = 12\sqrt\Gamma,\quad \tilde\varepsilon = \frac{\sigma_r^2}{108\sqrt\Gamma},
        \quad \Delta_f = \tfrac12 r\Gamma^2,\quad \beta = 10\sigma_1.

    ε̃ is `strict_saddle_epsilon` of the constants in `matrix_factorization`.

    Parameters
    ----------
    start_norm : float
        ‖U₀‖₂ ≥ 0.
    sigma_max, sigma_min : float
        σ₁ ≥ σ_r > 0, the largest and the smallest nonzero eigenvalue of M.
    rank : int
        r ≥ 1, the number of columns of U.

    Returns
    -------
    PGDliConstants

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> k = factorization_pgdli(0.0, sigma_max=1.0, sigma_min=0.5, rank=3)
    >>> k.Gamma, k.lipschitz_grad, k.lipschitz_hess, k.delta_f, k.beta
    (36.0, 288.0, 72.0, 1944.0, 10.0)
    """
    norm = float(start_norm)
    if not (norm >= 0 and math.isfinite(norm)):
        raise ValueError(f"start_norm must be a finite number >= 0, got {start_norm!r}")
    root = 2 * max(norm, 3 * math.sqrt(positive("sigma_max", sigma_max)))
    given = dict(start_norm=norm, sigma_max=float(sigma_max))
    Gamma = representable("Γ", root * root, **given)
    delta_f = representable("Δ_f", float(integer("rank", rank)) * Gamma * Gamma / 2, **given)
    k = matrix_factorization(sigma_max, sigma_min, Gamma)
    for name, constant in zip("θγ", k.strict_saddle, strict=False):
        representable(name, constant, sigma_min=float(sigma_min))
    epsilon = strict_saddle_epsilon(*k.strict_saddle[:2], k.lipschitz_hess)
    return PGDliConstants(Gamma, k.lipschitz_grad, k.lipschitz_hess, epsilon, delta_f,
                          k.regularity[1])
