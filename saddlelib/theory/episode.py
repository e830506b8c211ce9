r"""A proved episode: constants of a perturbation that pays, and of a run that knows when to stop.

The theorem is proved in the appendix of chapter 2. It starts from Lemmas 19-22 of Jin, Netrapalli,
Ge, Kakade & Jordan 2021 (arXiv:1902.04811v2) and differs in two things: how far an episode has come
is read off its own gradients, and a perturbation at a point that already is second-order stationary
costs nothing that the proof has to argue away.

Let ∇f be ℓ-Lipschitz, ∇²f be ρ-Lipschitz, η ≤ 1/ℓ, 0 < ε ≤ ℓ²/ρ and γ = √(ρε). For a number of
steps T with τ = ηγT ≥ 8 let

.. math::
    \mathcal F = \frac{1}{13\,\tau^3}\sqrt{\frac{\varepsilon^3}{\rho}},\qquad
    r = \sqrt{\frac{\mathcal F}{2\ell}},\qquad
    g = \sqrt{\frac{\mathcal F}{\eta(T+1)}} \le \frac{\varepsilon}{3\tau^2},\qquad
    \omega = \frac{2}{\tau}\sqrt{\frac\varepsilon\rho}\,(1+\eta\gamma)^{-T}.          \tag{1}

Descend while ‖∇f(x)‖ > g. An *episode* at x̃ with ‖∇f(x̃)‖ ≤ g draws ξ uniform on the ball of radius
r and takes gradient steps from y₀ = x̃ + ξ. After t steps the descent lemma certifies the decrease

.. math:: D_t = \eta\Big(1 - \frac{\eta\ell}{2}\Big)\sum_{s<t}\|\nabla f(y_s)\|^2
          \;\le\; f(y_0) - f(y_t).                                                   \tag{2}

The episode *succeeds* at the first t ≤ T with D_t ≥ ℱ, and then f(y_t) ≤ f(x̃) − ℱ/2. If there is
no such t it is *stuck*, and x̃ is returned.

In float64 a step need not be the one that was asked for. A move s from y lowers f by at least

.. math:: f(y) - f(y+s) \;\ge\; -\langle\nabla f(y), s\rangle - \frac\ell2\|s\|^2         \tag{3}

whatever s is, and at s = −η∇f(y) this is the term of (2). So the method adds up (3) for the move
that was made, and begins below 0 where (3) allows the rounded perturbation a rise of more than ℱ/2.
What a success says and the bound on the gradients then hold in float64 as well, but for the
rounding of the gradients and of these sums.

Where λ_min(∇²f(x̃)) ≤ −γ, starts that are stuck lie, on every line along the escape direction, in
one interval of length ω, so an episode there is stuck with probability at most
ω Vol(B^{d−1}(r))/Vol(B^d(r)), in exact arithmetic. With Δ_f ≥ f(x₀) − inf f there are at most
1 + 2Δ_f/ℱ episodes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .._arguments import integer, positive
from ._numbers import at_most_the_natural_scale, representable, setting, whole
from .jin2021 import stuck_fraction

__all__ = ["EpisodeConstants", "certified_decrease", "certified_move", "episode_constants",
           "iteration_bound", "smallest_episode_length"]

LEAST_TIME = 8.0
"""Least τ = ηγT of the theorem; from here on a longer episode is less likely to be stuck."""


@dataclass(frozen=True)
class EpisodeConstants:
    """The numbers of one episode; see `episode_constants`.

    Attributes
    ----------
    curvature_tol : float
        γ = √(ρε).
    step_size : float
        η.
    episode_length : int
        T, in steps.
    time : float
        τ = ηγT.
    exit_decrease : float
        ℱ, in the units of f: the episode succeeds when its gradients certify this much.
    decrease : float
        ℱ/2: what a successful episode lowers f by, the perturbation included.
    perturbation_radius : float
        r, in the units of x.
    grad_threshold : float
        g, in the units of ∇f: where an episode may begin.
    localization : float
        An episode that is stuck stays this near to x̃; in the units of x.
    stuck_width : float
        ω, in the units of x.
    failure_prob : float
        Most probability that an episode at a strict saddle is stuck; at most 1.
    """

    curvature_tol: float
    step_size: float
    episode_length: int
    time: float
    exit_decrease: float
    decrease: float
    perturbation_radius: float
    grad_threshold: float
    localization: float
    stuck_width: float
    failure_prob: float


def episode_constants(lipschitz_grad, lipschitz_hess, epsilon, dim, episode_length,
                      step_size=None) -> EpisodeConstants:
    r"""The constants (1) of this module for an episode of T steps.

    Parameters
    ----------
    lipschitz_grad, lipschitz_hess : float
        ℓ > 0 and ρ > 0.
    epsilon : float
        0 < ε ≤ ℓ²/ρ.
    dim : int
    episode_length : int
        T with ηγT ≥ 8; `smallest_episode_length` for a wanted probability.
    step_size : float, optional
        0 < η ≤ 1/ℓ; 1/ℓ by default.

    Returns
    -------
    EpisodeConstants

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> k = episode_constants(10.0, 0.1, 1e-3, dim=10, episode_length=30_000)
    >>> f"{k.time:.0f} {k.exit_decrease:.1e} {k.perturbation_radius:.1e} {k.failure_prob:.1e}"
    '30 2.8e-10 3.8e-06 2.2e-10'
    """
    ell, rho, eps, d, *_ = setting(lipschitz_grad, lipschitz_hess, epsilon, dim)
    at_most_the_natural_scale(eps, ell, rho, "the episode theorem")
    steps = integer("episode_length", episode_length)
    eta = _step(step_size, ell)
    given = dict(lipschitz_grad=ell, lipschitz_hess=rho, epsilon=eps)
    gamma, length = math.sqrt(rho) * math.sqrt(eps), math.sqrt(eps) / math.sqrt(rho)
    growth = representable("ηγ", eta * gamma, step_size=eta, **given)
    tau = growth * representable("episode_length", steps, episode_length=steps)
    if tau < LEAST_TIME:
        raise ValueError(f"episode_length must be at least {LEAST_TIME:g}/(ηγ) = "
                         f"{LEAST_TIME / growth:.6g}, got {steps}")
    exit_decrease = representable("the certified decrease", eps * length / tau / tau / tau / 13,
                                  **given)
    r = representable("perturbation_radius", math.sqrt(exit_decrease / ell / 2), **given)
    threshold = representable("grad_threshold", math.sqrt(exit_decrease / (steps + 1) / eta),
                              **given)
    growth = steps * math.log1p(growth)
    width = 2 / tau * length * math.exp(-growth)
    # The two factors of the probability separately: the width alone may leave the range of float64.
    stuck = math.exp(min(math.log(stuck_fraction(2 / tau * length, r, d)) - growth, 0.0))
    return EpisodeConstants(
        curvature_tol=gamma, step_size=eta, episode_length=steps, time=tau,
        exit_decrease=exit_decrease, decrease=exit_decrease / 2, perturbation_radius=r,
        grad_threshold=threshold,
        localization=length / (2 * tau), stuck_width=width, failure_prob=stuck)


def smallest_episode_length(lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f,
                            failure_prob=0.1, step_size=None) -> int:
    r"""The smallest T with ηγT ≥ 8 for which all episodes together fail with probability ≤ δ.

    At most 1 + 2Δ_f/ℱ episodes take place, each stuck at a strict saddle with probability at most
    p: the condition is (1 + 2Δ_f/ℱ)·p ≤ δ. Beyond τ = 8 its left side falls with T, so bisection
    finds the answer.

    Parameters
    ----------
    lipschitz_grad, lipschitz_hess, epsilon, dim, step_size
        ℓ, ρ, ε, d and η as in `episode_constants`.
    delta_f : float
        Δ_f ≥ f(x₀) − f*, > 0.
    failure_prob : float
        δ in (0, 1).

    Returns
    -------
    int
        T, in steps.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> smallest_episode_length(10.0, 0.1, 1e-3, dim=10, delta_f=1.0)
    33066
    """
    ell, rho, eps, d, delta_f, delta = setting(
        lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob)
    at_most_the_natural_scale(eps, ell, rho, "the episode theorem")
    eta = _step(step_size, ell)

    def enough(steps):
        k = episode_constants(ell, rho, eps, d, steps, eta)
        return (1 + 2 * (delta_f / k.exit_decrease)) * k.failure_prob <= delta
    growth = eta * (math.sqrt(rho) * math.sqrt(eps))
    low = whole("episode_length", LEAST_TIME / growth if growth else math.inf)
    if growth * low < LEAST_TIME:
        low += 1 + (low >> 48)  # rounding, by one step or by the last bits of very many
    if enough(low):
        return low
    high = 2 * low
    while not enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def iteration_bound(lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob=0.1,
                    step_size=None) -> float:
    r"""Most gradients of a run that returns a second-order stationary point with probability 1 − δ.

    A gradient step outside episodes lowers f by at least (η/2)g² = ℱ/(2(T+1)), an episode that
    succeeds by ℱ/2 with at most T + 1 gradients, and the one that is stuck ends the run:

    .. math:: \frac{2(T+1)}{\mathcal F}\,\Delta_f + T + 1
              \;\approx\; \frac{26\,\tau^4}{\eta\ell}\,\frac{\ell\Delta_f}{\varepsilon^2}.

    The bound holds in every run, not only with probability 1 − δ.

    Parameters
    ----------
    lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob, step_size
        As `smallest_episode_length`.

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
    '3.11e+14'
    """
    steps = smallest_episode_length(lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f,
                                    failure_prob, step_size)
    k = episode_constants(lipschitz_grad, lipschitz_hess, epsilon, dim, steps, step_size)
    return 2 * float(steps + 1) / k.exit_decrease * float(delta_f) + float(steps + 1)


def certified_decrease(grad_norms, step_size, lipschitz_grad) -> float:
    r"""D_t of (2): what t gradient steps lower f by at least, from the t gradients they used.

    η(1 − ηℓ/2) Σ ‖∇f(y_s)‖², which needs no value of f and no difference of values, so that
    rounding of f does not touch it. Where the steps themselves are rounded, `certified_move` says
    what each of them is worth.

    Parameters
    ----------
    grad_norms : sequence of t floats
        ‖∇f‖ at the points that the steps left from.
    step_size : float
        0 < η ≤ 1/ℓ.
    lipschitz_grad : float
        ℓ > 0.

    Returns
    -------
    float
        In the units of f.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> certified_decrease([0.5, 0.25], step_size=0.5, lipschitz_grad=2.0)
    0.078125
    """
    ell = positive("lipschitz_grad", lipschitz_grad)
    eta = _step(step_size, ell)
    return eta * (1 - eta * ell / 2) * math.fsum(float(g) * float(g) for g in grad_norms)


def certified_move(jac, move, lipschitz_grad) -> float:
    r"""What the move s from a point with the gradient ``jac`` lowers f by at least; (3).

    −⟨∇f, s⟩ − (ℓ/2)‖s‖², from the descent lemma, for any s: also for a step that float64 has
    rounded to something else, or to nothing. It is largest at s = −∇f/ℓ.

    Parameters
    ----------
    jac, move : ndarray, shape (d,)
        ∇f, and the move s.
    lipschitz_grad : float
        ℓ > 0.

    Returns
    -------
    float
        In the units of f; negative where the lemma allows f to rise.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> certified_move(np.array([0.5]), np.array([-0.25]), lipschitz_grad=2.0)
    0.0625
    >>> certified_move(np.array([0.5]), np.array([0.0]), lipschitz_grad=2.0) == 0
    True
    """
    ell = positive("lipschitz_grad", lipschitz_grad)
    return float(-(move @ jac) - 0.5 * ell * (move @ move))


def _step(step_size, ell):
    if step_size is None:
        return 1 / ell
    eta = positive("step_size", step_size)
    if eta * ell > 1 + 2**-50:
        raise ValueError(f"step_size must be at most 1/ℓ = {1 / ell:.6g}, got {eta:.6g}")
    return eta
