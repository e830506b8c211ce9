r"""What the default rule of `psd` is sure to need: a complexity theorem for certified PSD.

The theorem is proved on the page of chapter 2. The method is `methods.CertifiedPSD` with the step
size 1/ℓ: it descends while ‖∇f‖ > ε, and where the gradient is small it looks at the curvature by
randomized Lanczos. With γ = √(ρε), a look ends with one of two answers. Either it says
λ_min ≥ −γ, and the run is over; the k-th look says so wrongly with probability at most
δ/(k(k+1)). Or it hands over a unit vector v with vᵀ∇²f v < −γ/2, and the run is displaced along it.

Let ∇f be ℓ-Lipschitz, ∇²f be ρ-Lipschitz, f bounded below, Δ_f ≥ f(x₀) − inf f and 0 < ε ≤ ℓ²/ρ.
In exact arithmetic, with exact products, N descent steps and J displacements satisfy

.. math:: \frac{\varepsilon^2}{2\ell}\,N
          + \frac1{12}\sqrt{\frac{\varepsilon^3}\rho}\,J \;\le\; \Delta_f,               \tag{1}

in every run, and a look knows its answer after at most k_max Hessian-vector products
with

.. math:: k_{\max} = \min\Big\{d,\; 1 + \Big\lceil\frac{\ln(\sqrt{8d/\pi}\,/\,\delta_k)}
          {\operatorname{arcosh}(1+\gamma/(\ell+\gamma))}\Big\rceil\Big\}
          = O\Big(\sqrt{\ell/\gamma}\,\ln(d/\delta_k)\Big),\qquad
          \delta_k = \frac\delta{k(k+1)}.                                                \tag{2}

(`certify` asks for it after every step up to the 20th, then whenever there are a tenth more, and
confirms a direction by one more product: at most 1.1 k_max + 1.) What is returned has ‖∇f‖ ≤ ε and,
except with probability δ, λ_min ≥ −γ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .._arguments import integer, positive, probability
from ._numbers import at_most_the_natural_scale, setting

__all__ = ["MOST_VALUES", "CertifiedBound", "certified_bound", "look_bound"]

MOST_VALUES = 31
"""Most values of f that one descent step or one displacement asks for: one, and 30 halvings or
doublings (`methods.psd.MOST_DOUBLINGS`)."""


@dataclass(frozen=True)
class CertifiedBound:
    """What a run of certified PSD takes at most; see `certified_bound`.

    Attributes
    ----------
    descent_steps, displacements : float
        The largest N and the largest J that (1) allows, each when the other is 0.
    moves : float
        The largest N + J.
    looks : float
        Certificates: one more than displacements.
    products_per_look : int
        1.1 k_max + 1 of the last look, or d + 1 if that is less: Lanczos steps until the answer is
        asked for, and one product that confirms the direction.
    gradients : float
        1 + N + J, the products not included.
    products : float
        Hessian-vector products.
    values : float
        Values of f.
    decrease : float
        √(ε³/ρ)/12, in the units of f: what a displacement lowers f by at least.
    """

    descent_steps: float
    displacements: float
    moves: float
    looks: float
    products_per_look: int
    gradients: float
    products: float
    values: float
    decrease: float


def look_bound(lipschitz_grad, curvature_tol, dim, failure_prob) -> int:
    r"""k_max of (2): Lanczos steps after which a look has its answer, whatever the draw.

    Let p₀, p₁, … be the orthonormal polynomials of the start. The look knows that
    λ_min ≥ z, except with probability δ, as soon as Σ_{j≤k} p_j(z)² ≥ 1/t, where t = πδ²/(2d) is a
    squared overlap with the eigenvector that a uniform start exceeds with probability ≥ 1 − δ.
    With θ the smallest Ritz value, it stops when this holds at z = θ − γ/2, or at z = −γ ≤ θ, or
    when θ < −γ. Before that all Ritz values lie in [−γ, ℓ], and Chebyshev's polynomial of degree
    k − 1 on that interval shows that the sum at θ − γ/2 is at least
    cosh²((k−1) arcosh(1 + γ/(ℓ+γ))).

    Parameters
    ----------
    lipschitz_grad, curvature_tol : float
        ℓ > 0 and γ > 0.
    dim : int
        After d steps everything is known, whatever d is.
    failure_prob : float
        δ in (0, 1) of this look.

    Returns
    -------
    int
        K ≤ d.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> [look_bound(1.0, 0.01, d, 1e-4) for d in (10, 10**4, 10**8)]
    [10, 103, 136]
    """
    ell, gamma = positive("lipschitz_grad", lipschitz_grad), positive("curvature_tol",
                                                                      curvature_tol)
    d, delta = integer("dim", dim), probability("failure_prob", failure_prob)
    return _look_bound(ell, gamma, d, math.log(delta))


def _look_bound(ell, gamma, d, log_delta) -> int:
    u = 1 / (1 + ell / gamma)
    growth = math.log1p(u + math.sqrt(u) * math.sqrt(2 + u))  # arcosh(1 + u)
    reach = 0.5 * (math.log(8 / math.pi) + math.log(d)) - log_delta
    steps = reach / growth if growth else math.inf
    return d if steps >= d - 1 else 1 + math.ceil(steps)


def certified_bound(lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob=1e-4
                    ) -> CertifiedBound:
    r"""What a run of certified PSD takes at most: gradients, products and values of f.

    By (1), N ≤ 2ℓΔ_f/ε², J ≤ 12Δ_f√(ρ/ε³), and N + J is at most the larger of the two. There is
    one look more than there are displacements. Each of the N + J moves takes one gradient and at
    most `MOST_VALUES` values; x₀ takes one of each. What `certify` spends besides, to check the
    derivatives that it is given, is not counted.

    Two hypotheses concern the run and not the function: the step size is 1/ℓ, and a look may take
    k_max Lanczos steps (`certify` allows min(2d, 2000), so one of d and k_max has to be at most
    2000).

    Parameters
    ----------
    lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob
        ℓ, ρ, ε ≤ ℓ²/ρ, d, Δ_f ≥ f(x₀) − inf f, δ.

    Returns
    -------
    CertifiedBound
        Infinite numbers where float64 overflows.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> k = certified_bound(10.0, 0.1, 1e-3, dim=10, delta_f=1.0)
    >>> f"{k.descent_steps:.2g} {k.displacements:.2g} {k.products_per_look} {k.products:.2g}"
    '2e+07 1.2e+05 11 1.3e+06'
    """
    ell, rho, eps, d, delta_f, delta = setting(
        lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob)
    at_most_the_natural_scale(eps, ell, rho, "the theorem of certified PSD")
    gamma, decrease = math.sqrt(rho) * math.sqrt(eps), eps * math.sqrt(eps / rho) / 12
    steps = 2 * (ell / eps) * (delta_f / eps)
    displacements = delta_f / decrease if decrease else math.inf
    looks, moves = displacements + 1, max(steps, displacements)
    known = _look_bound(ell, gamma, d, math.log(delta) - math.log(looks)
                              - math.log(looks + 1)) if gamma else d
    products = 1 + min(d, 11 * known // 10)
    return CertifiedBound(
        descent_steps=steps, displacements=displacements, moves=moves, looks=looks,
        products_per_look=products, gradients=1 + moves, products=looks * products,
        values=1 + MOST_VALUES * moves, decrease=decrease)
