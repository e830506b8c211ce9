"""Constants of Jin, Ge, Netrapalli, Kakade & Jordan 2017.

*How to Escape Saddle Points Efficiently*, arXiv:1703.00887: Algorithm 2 (perturbed gradient
descent), Theorem 3, and the constants of symmetric matrix factorization. Logarithms are natural.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .._arguments import integer, positive, probability

__all__ = ["FactorizationConstants", "PGDConstants", "iteration_bound", "matrix_factorization",
           "pgd_constants"]


@dataclass(frozen=True)
class PGDConstants:
    """The numbers Algorithm 2 runs with; see `pgd_constants`."""

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
    ell = positive("lipschitz_grad", lipschitz_grad)
    rho = positive("lipschitz_hess", lipschitz_hess)
    eps = positive("epsilon", epsilon)
    delta_f = positive("delta_f", delta_f)
    delta = probability("failure_prob", failure_prob)
    d = integer("dim", dim)
    c = positive("c", c)
    if c > 1:
        raise ValueError(f"c must be at most 1, so that the step c/ℓ decreases f; got {c}")
    if eps > ell**2 / rho:
        raise ValueError(f"epsilon must be at most ℓ²/ρ = {ell**2 / rho:.3g} (Theorem 3), got "
                         f"{eps:.3g}; a larger ε asks for less than ‖∇²f‖ ≤ ℓ already gives")
    chi = 3 * max(math.log(d * ell * delta_f / (c * eps**2 * delta)), 4.0)
    return PGDConstants(
        chi=chi,
        step_size=c / ell,
        perturbation_radius=math.sqrt(c) / chi**2 * eps / ell,
        grad_threshold=math.sqrt(c) / chi**2 * eps,
        decrease_threshold=c / chi**3 * math.sqrt(eps**3 / rho),
        episode_length=math.ceil(chi / c**2 * ell / math.sqrt(rho * eps)),
    )


def iteration_bound(lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob=0.1,
                    c=1.0) -> float:
    r"""Most iterations of Algorithm 2 on the event that its two lemmas hold throughout.

    A step outside an episode lowers f by at least η g_thres²/2, an episode that does not end the
    run lowers it by at least f_thres in t_thres steps, so the run ends within

    .. math:: \Delta_f \max\Big\{\frac{2}{\eta g_{thres}^2}, \frac{t_{thres}}{f_{thres}}\Big\}
              + t_{thres} = O\Big(\frac{\ell\Delta_f}{\varepsilon^2}\chi^4\Big),

    which is Theorem 3 with its constant written out. Arguments as `pgd_constants`; an iteration is
    one gradient.
    """
    k = pgd_constants(lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob, c)
    per_unit = max(2 / (k.step_size * k.grad_threshold**2), k.episode_length / k.decrease_threshold)
    return float(delta_f * per_unit + k.episode_length)


@dataclass(frozen=True)
class FactorizationConstants:
    """Constants of ½‖UUᵀ − M‖² on ‖U‖² < Γ; see `matrix_factorization`."""

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

    ``sigma_max`` and ``sigma_min`` are σ₁ and σ_r, the largest and smallest nonzero eigenvalue of
    M; Γ ≥ σ₁.
    """
    s1, sr = positive("sigma_max", sigma_max), positive("sigma_min", sigma_min)
    Gamma = positive("Gamma", Gamma)
    if sr > s1:
        raise ValueError(f"sigma_min must be at most sigma_max = {s1}, got {sr}")
    if Gamma < s1:
        raise ValueError(f"Gamma must be at least sigma_max = {s1}, got {Gamma}")
    return FactorizationConstants(8 * Gamma, 12 * math.sqrt(Gamma),
                                  (sr**1.5 / 24, sr / 3, sr**0.5 / 3), (2 * sr / 3, 10 * s1))
