r"""Constants of Jin, Netrapalli, Ge, Kakade & Jordan 2021.

*On Nonconvex Optimization for Machine Learning*, arXiv:1902.04811v2, JACM 68(2): Algorithm 4 (a
perturbed gradient descent with perturbations of radius ηr), equation (6), Theorem 18 and
Lemmas 19-22. Everything depends on one number ι ≥ 1 (iota), which buys probability with time.
Logarithms are natural unless a base is written. The functions whose names begin with psgd, and
`noise_factor`, are about Algorithm 2, perturbed stochastic gradient descent (equation (8), Theorems
16 and 17): x ← x − η(g + ξ) in every step, g a stochastic gradient and ξ of law N(0, (r²/d) I).

Two things to know about the printed text. Its ι = c log(dℓΔ_f/(ρεδ)) changes with the unit of
length (`printed_iota`); the proof only needs the condition that `smallest_iota` solves. And the
proof of Theorem 18 applies Lemma 20 at every perturbation, but Algorithm 4 also perturbs at points
that already are second-order stationary, where Lemma 20 says nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import poch

from .._arguments import integer, positive
from ._numbers import at_most_the_natural_scale, nonnegative, setting, whole

__all__ = ["PGDConstants", "PSGDConstants", "condition", "escape_failure_prob",
           "improve_or_localize", "iteration_bound", "noise_factor", "pgd_constants",
           "printed_iota", "psgd_constants", "psgd_escape_prob", "psgd_iota",
           "psgd_iteration_bound", "smallest_iota", "stuck_fraction"]


@dataclass(frozen=True)
class PGDConstants:
    """The numbers Algorithm 4 and its proof run with; see `pgd_constants`.

    Attributes
    ----------
    iota : float
        ι.
    step_size : float
        η.
    noise_radius : float
        r, in the units of the gradient.
    perturbation_radius : float
        ηr, in the units of x: the perturbation is −ηξ with ξ uniform on the ball of radius r.
    episode_length : int
        𝒯 rounded up to whole steps.
    decrease : float
        ℱ, in the units of f: what the coupled run loses (Lemma 22); a perturbed one loses ℱ/2
        (Lemma 20).
    localization : float
        𝒮, in the units of x: a run that does not lose ℱ stays this near.
    stuck_width : float
        ω, in the units of the gradient: two starts more than ηω apart along the escape direction
        are not both stuck.
    """

    iota: float
    step_size: float
    noise_radius: float
    perturbation_radius: float
    episode_length: int
    decrease: float
    localization: float
    stuck_width: float


def pgd_constants(lipschitz_grad, lipschitz_hess, epsilon, iota) -> PGDConstants:
    r"""Constants of Algorithm 4 for a given ι: Jin et al. 2021, equation (6).

    .. math::
        \eta = \tfrac1\ell,\quad r = \tfrac{\varepsilon}{400\iota^3},\quad
        \mathcal T = \tfrac{\ell}{\sqrt{\rho\varepsilon}}\iota,\quad
        \mathcal F = \tfrac{1}{50\iota^3}\sqrt{\tfrac{\varepsilon^3}{\rho}},\quad
        \mathcal S = \tfrac{1}{4\iota}\sqrt{\tfrac{\varepsilon}{\rho}},\quad
        \omega = 2^{2-\iota}\ell\mathcal S.

    Parameters
    ----------
    lipschitz_grad, lipschitz_hess : float
        ℓ > 0 and ρ > 0.
    epsilon : float
        0 < ε ≤ ℓ²/ρ.
    iota : float
        ι ≥ 1; `smallest_iota` for a wanted probability.

    Returns
    -------
    PGDConstants

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> k = pgd_constants(2.0, 6.0, 1e-4, iota=smallest_iota(2.0, 6.0, 1e-4, 100, 1.0))
    >>> f"{k.iota:.1f} {k.perturbation_radius:.1e} {k.decrease:.1e} {k.episode_length}"
    '96.8 1.4e-13 9.0e-15 7904'
    """
    ell, rho, eps, *_ = setting(lipschitz_grad, lipschitz_hess, epsilon)
    at_most_the_natural_scale(eps, ell, rho, "Jin et al. 2021")
    iota = _iota(iota)
    cube = iota * iota * iota
    localization = math.sqrt(eps / rho) / (4 * iota)
    return PGDConstants(
        iota=iota,
        step_size=1 / ell,
        noise_radius=eps / (400 * cube),
        perturbation_radius=eps / (400 * cube) / ell,
        episode_length=whole("episode_length", ell / math.sqrt(rho) / math.sqrt(eps) * iota),
        decrease=eps * math.sqrt(eps / rho) / (50 * cube),
        localization=localization,
        stuck_width=2.0 ** (2 - iota) * ell * localization,
    )


def escape_failure_prob(lipschitz_grad, lipschitz_hess, epsilon, dim, iota) -> float:
    r"""Most probability that one perturbation at a strict saddle does not help.

    From x̃ with ‖∇f(x̃)‖ ≤ ε and λ_min ≤ −√(ρε), 𝒯 steps from x̃ + ηξ lower f by ℱ/2 except with
    probability (Jin et al. 2021, Lemma 20)

    .. math:: \frac{\ell\sqrt d}{\sqrt{\rho\varepsilon}}\,\iota^2\,2^{8-\iota}.

    A value above 1 promises nothing, which is the case for every ι below 16.

    Parameters
    ----------
    lipschitz_grad, lipschitz_hess, epsilon, iota
        ℓ, ρ, ε and ι as in `pgd_constants`.
    dim : int
        d ≥ 1.

    Returns
    -------
    float
        ≥ 0.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> [escape_failure_prob(1.0, 1.0, 1.0, dim=1, iota=i) for i in (1.0, 16.0, 32.0)]
    [128.0, 1.0, 6.103515625e-05]
    """
    ell, rho, eps, d, *_ = setting(lipschitz_grad, lipschitz_hess, epsilon, dim)
    at_most_the_natural_scale(eps, ell, rho, "Jin et al. 2021")
    iota = _iota(iota)
    scale = ell / math.sqrt(rho) / math.sqrt(eps) * math.sqrt(d)
    rare = 2.0 ** (8 - iota)
    return scale * iota * iota * rare if rare else 0.0


def stuck_fraction(width, radius, dim) -> float:
    r"""Upper bound on the share of a ball that lies in a band, exact for an infinitely thin one.

    A band of width ω across the ball of radius a in dimension d holds at most

    .. math:: \frac{\omega\,\mathrm{Vol}(B^{d-1}(a))}{\mathrm{Vol}(B^d(a))}
        = \frac{\omega}{a\sqrt\pi}\frac{\Gamma(d/2+1)}{\Gamma(d/2+1/2)}
        \le \frac\omega a\sqrt{\frac d\pi}

    of its volume: the step from Lemma 22 to Lemma 20 of Jin et al. 2021.

    Parameters
    ----------
    width, radius : float
        ω > 0 and a > 0, in the same units.
    dim : int
        d ≥ 1.

    Returns
    -------
    float
        More than 1 where the band is wide, which promises nothing.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> stuck_fraction(0.02, 1.0, dim=1)    # a piece of length 0.02 of a line of length 2
    0.01
    """
    width, radius, d = positive("width", width), positive("radius", radius), integer("dim", dim)
    return width / radius * float(poch(d / 2 + 0.5, 0.5)) / math.sqrt(math.pi)


def improve_or_localize(step_size, steps, decrease) -> float:
    r"""How far gradient descent can get for a given decrease of f.

    For η ≤ 1/ℓ and every τ ≤ t (Jin et al. 2021, Lemma 21),

    .. math:: \|x_\tau - x_0\| \le \sqrt{2\eta t\,(f(x_0) - f(x_t))}.

    A run that moves far therefore lowers f; one that does not lower f stays near.

    Parameters
    ----------
    step_size : float
        η > 0.
    steps : int
        t ≥ 1.
    decrease : float
        f(x₀) − f(x_t) ≥ 0.

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
    >>> improve_or_localize(0.5, 100, 0.01)
    1.0
    """
    decrease = float(decrease)
    if not decrease >= 0:
        raise ValueError(f"decrease must be f(x0) - f(x_t) >= 0, got {decrease}; gradient descent "
                         f"with a step of at most 1/ℓ never raises f")
    return math.sqrt(2 * positive("step_size", step_size) * integer("steps", steps) * decrease)


def iteration_bound(lipschitz_grad, lipschitz_hess, epsilon, delta_f, iota) -> float:
    r"""T_tot, the number of steps of Theorem 18 of Jin et al. 2021.

    .. math:: 8\max\Big\{\frac{\Delta_f\mathcal T}{\mathcal F},
              \frac{\Delta_f}{\eta\varepsilon^2}\Big\}
              = 400\,\iota^4\frac{\ell\Delta_f}{\varepsilon^2}.

    With probability at least 1 − δ, at least half of these iterates are ε-second-order stationary;
    the theorem has no stopping rule.

    Parameters
    ----------
    lipschitz_grad, lipschitz_hess, epsilon, iota
        ℓ, ρ, ε and ι as in `pgd_constants`.
    delta_f : float
        Δ_f ≥ f(x₀) − f*, > 0.

    Returns
    -------
    float
        Steps; infinite where float64 overflows.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> iteration_bound(1.0, 1.0, 0.5, delta_f=1.0, iota=2.0)
    25600.0
    """
    ell, rho, eps, _, delta_f, _ = setting(lipschitz_grad, lipschitz_hess, epsilon, 1, delta_f)
    at_most_the_natural_scale(eps, ell, rho, "Jin et al. 2021")
    iota = _iota(iota)
    # The first of the two terms is the larger one for every ι ≥ 1.
    return 400 * (ell / eps) * (delta_f / eps) * iota * iota * iota * iota


def condition(lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, iota) -> float:
    r"""Base-2 logarithm of what the proof of Theorem 18 of Jin et al. 2021 wants to be at most δ.

    .. math:: \log_2\Big(T_{tot}\,\frac{\ell\sqrt d}{\sqrt{\rho\varepsilon}}\,
              \iota^2 2^{8-\iota}\Big).

    It is without units, grows up to ι = 6/ln 2 ≈ 8.7 and falls from there on.

    Parameters
    ----------
    lipschitz_grad, lipschitz_hess, epsilon, iota
        ℓ, ρ, ε and ι as in `pgd_constants`.
    dim : int
        d ≥ 1.
    delta_f : float
        Δ_f ≥ f(x₀) − f*, > 0.

    Returns
    -------
    float
        To be compared with log₂ δ.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> setting = dict(lipschitz_grad=2.0, lipschitz_hess=6.0, epsilon=1e-4, dim=100, delta_f=1.0)
    >>> iota = smallest_iota(**setting, failure_prob=0.125)
    >>> round(condition(**setting, iota=iota), 9)    # log₂ of 0.125
    -3.0
    """
    ell, rho, eps, d, delta_f, _ = setting(lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f)
    at_most_the_natural_scale(eps, ell, rho, "Jin et al. 2021")
    return _offset(ell, rho, eps, d, delta_f) + 6 * math.log2(_iota(iota)) - iota


def smallest_iota(lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob=0.1) -> float:
    r"""The smallest ι ≥ 1 for which the proof of Theorem 18 goes through.

    The proof needs (T_tot ℓ√d/√(ρε)) ι² 2^{8−ι} ≤ δ with T_tot = 400 ι⁴ ℓΔ_f/ε²
    (Jin et al. 2021), in logarithms ι − 6 log₂ ι ≥ A with

    .. math:: A = \log_2\frac{400\,\ell\Delta_f}{\varepsilon^2} + \log_2\frac{\ell\sqrt d}
              {\sqrt{\rho\varepsilon}} + 8 + \log_2\frac1\delta.

    The left side falls up to ι = 6/ln 2 and grows from there on. So ι = 1 is the answer if it
    satisfies the condition, and otherwise the one root beyond 6/ln 2, to which Newton's method
    comes down from the right. ι depends on ratios without units alone: no choice of units
    changes it.

    Parameters
    ----------
    lipschitz_grad, lipschitz_hess : float
        ℓ > 0 and ρ > 0.
    epsilon : float
        0 < ε ≤ ℓ²/ρ.
    dim : int
    delta_f : float
        Δ_f ≥ f(x₀) − f*, > 0.
    failure_prob : float
        δ in (0, 1).

    Returns
    -------
    float
        ι ≥ 1.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> round(smallest_iota(2.0, 6.0, 1e-4, dim=100, delta_f=1.0), 2)
    96.8
    """
    ell, rho, eps, d, delta_f, delta = setting(
        lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob)
    at_most_the_natural_scale(eps, ell, rho, "Jin et al. 2021")
    offset, target = _offset(ell, rho, eps, d, delta_f), math.log2(delta)

    def excess(iota):
        return offset + 6 * math.log2(iota) - iota - target
    if excess(1.0) <= 0:
        return 1.0
    turn = 6 / math.log(2)
    # log₂ ι ≤ log₂ a + (ι/a − 1)/ln 2 at a = 2·turn: the root lies left of where this line says.
    iota = max(2 * (offset - target + 6 * math.log2(2 * turn) - turn), 2 * turn)
    for _ in range(100):
        nearer = iota - excess(iota) / (turn / iota - 1)
        if not nearer < iota:
            break
        iota = nearer
    step = math.ulp(iota)
    while excess(iota) > 0:  # rounding: by an ulp or two
        iota, step = iota + step, 2 * step
    return iota


def printed_iota(lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob=0.1,
                 c=1.0) -> float:
    r"""ι as printed in Jin et al. 2021: c log(dℓΔ_f/(ρεδ)), for comparison only.

    ℓΔ_f/(ρε) is the square of a length, so this number changes by 2c log b when lengths are
    multiplied by b, and it can be negative, while the statement it is made for does not depend on
    units. c is an absolute constant without a printed value. Use `smallest_iota`.

    Parameters
    ----------
    lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob
        ℓ, ρ, ε, d, Δ_f and δ as in `smallest_iota`.
    c : float
        c > 0.

    Returns
    -------
    float
        Any number; it may be negative.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    The same function with lengths in metres and in kilometres (f → f, x → x/1000):

    >>> metres = dict(lipschitz_grad=2.0, lipschitz_hess=6.0, epsilon=1e-4, dim=100, delta_f=1.0)
    >>> kilometres = dict(metres, lipschitz_grad=2e6, lipschitz_hess=6e9, epsilon=1e-1)
    >>> [round(printed_iota(**units), 1) for units in (metres, kilometres)]
    [15.0, 1.2]
    >>> [round(smallest_iota(**units), 1) for units in (metres, kilometres)]
    [96.8, 96.8]
    """
    ell, rho, eps, d, delta_f, delta = setting(
        lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob)
    return positive("c", c) * math.fsum(map(math.log, (d, ell, delta_f, 1 / delta))) \
        - c * (math.log(rho) + math.log(eps))


def noise_factor(lipschitz_grad, lipschitz_hess, epsilon, dim, noise_scale, lipschitz_sample=None,
                 batch_size=1) -> float:
    r"""𝔑, the factor by which noise makes PSGD slower: Jin et al. 2021, equation (8).

    .. math::
        \mathfrak N = 1 + \frac1m\min\Big\{\frac{\sigma^2}{\varepsilon^2}
            + \frac{\tilde\ell^2}{\ell\sqrt{\rho\varepsilon}},\;
            \frac{\sigma^2 d}{\varepsilon^2}\Big\}.

    The first term holds where every stochastic gradient is ℓ̃-Lipschitz (Assumption C there), the
    second always. The factor 1/m for mini-batches is that of Theorem 17, as we recall it.

    Parameters
    ----------
    lipschitz_grad, lipschitz_hess : float
        ℓ > 0 and ρ > 0.
    epsilon : float
        0 < ε ≤ ℓ²/ρ.
    dim : int
    noise_scale : float
        σ ≥ 0 with P(‖g − ∇f‖ ≥ t) ≤ 2 exp(−t²/(2σ²)) for all t (Assumption B): a bound of the
        whole norm, not of a coordinate. `noise.tail_scale` gives it for Gaussian noise.
    lipschitz_sample : float, optional
        ℓ̃ > 0. None: no such constant is known.
    batch_size : int
        m ≥ 1 samples to a gradient.

    Returns
    -------
    float
        𝔑 ≥ 1.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> setting = dict(lipschitz_grad=1.0, lipschitz_hess=1.0, epsilon=0.25, dim=1000)
    >>> noise_factor(**setting, noise_scale=0.5)
    4001.0
    >>> noise_factor(**setting, noise_scale=0.5, lipschitz_sample=2.0)
    13.0
    >>> noise_factor(**setting, noise_scale=0.5, lipschitz_sample=2.0, batch_size=6)
    3.0
    """
    ell, rho, eps, d, *_ = setting(lipschitz_grad, lipschitz_hess, epsilon, dim)
    at_most_the_natural_scale(eps, ell, rho, "Jin et al. 2021")
    relative, m = nonnegative("noise_scale", noise_scale) / eps, integer("batch_size", batch_size)
    excess = relative * relative * d
    if lipschitz_sample is not None:
        tilde = positive("lipschitz_sample", lipschitz_sample)
        scale = (tilde / math.sqrt(rho) / math.sqrt(eps)) * (tilde / ell)
        excess = min(relative * relative + scale, excess)
    return 1 + excess / m


@dataclass(frozen=True)
class PSGDConstants:
    """The numbers Algorithm 2 and its proof run with; see `psgd_constants`.

    Attributes
    ----------
    iota : float
        ι.
    noise_factor : float
        𝔑.
    step_size : float
        η.
    noise_radius : float
        r, in the units of the gradient: √E‖ξ‖².
    perturbation_radius : float
        ηr, in the units of x: √E‖ηξ‖², added in every step.
    episode_length : int
        𝒯 rounded up to whole steps.
    decrease : float
        ℱ, in the units of f.
    localization : float
        𝒮, in the units of x.
    """

    iota: float
    noise_factor: float
    step_size: float
    noise_radius: float
    perturbation_radius: float
    episode_length: int
    decrease: float
    localization: float


def psgd_constants(lipschitz_grad, lipschitz_hess, epsilon, dim, noise_scale, iota,
                   lipschitz_sample=None, batch_size=1) -> PSGDConstants:
    r"""Constants of Algorithm 2 for a given ι: Jin et al. 2021, equation (8).

    .. math::
        \eta = \frac{1}{\iota^9\ell\mathfrak N},\quad
        r = \iota\varepsilon\sqrt{\mathfrak N},\quad
        \mathcal T = \frac{\iota}{\eta\sqrt{\rho\varepsilon}},\quad
        \mathcal F = \frac{1}{\iota^5}\sqrt{\frac{\varepsilon^3}{\rho}},\quad
        \mathcal S = \frac{2}{\iota^2}\sqrt{\frac\varepsilon\rho}.

    Parameters
    ----------
    lipschitz_grad, lipschitz_hess, epsilon, dim, noise_scale, lipschitz_sample, batch_size
        As `noise_factor`.
    iota : float
        ι ≥ 1; `psgd_iota`. The proof wants it large; the published order of η and r is ι = 1.

    Returns
    -------
    PSGDConstants

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> k = psgd_constants(1.0, 1.0, 0.25, dim=10, noise_scale=0.5, iota=2.0)
    >>> k.noise_factor, 1 / k.step_size, k.episode_length, k.decrease
    (41.0, 20992.0, 83968, 0.00390625)
    """
    factor = noise_factor(lipschitz_grad, lipschitz_hess, epsilon, dim, noise_scale,
                          lipschitz_sample, batch_size)
    ell, rho, eps, *_ = setting(lipschitz_grad, lipschitz_hess, epsilon)
    iota = _iota(iota)
    ninth = math.prod([iota] * 9)  # infinite where it overflows; a power would raise
    length = whole("episode_length", ell / math.sqrt(rho) / math.sqrt(eps) * factor * ninth * iota)
    step_size = 1 / (ninth * ell * factor)
    radius = iota * eps * math.sqrt(factor)
    return PSGDConstants(
        iota=iota,
        noise_factor=factor,
        step_size=step_size,
        noise_radius=radius,
        perturbation_radius=step_size * radius,
        episode_length=length,
        decrease=eps * math.sqrt(eps / rho) / iota**5,
        localization=2 * math.sqrt(eps / rho) / (iota * iota),
    )


def psgd_iteration_bound(lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, noise_scale, iota,
                         lipschitz_sample=None, batch_size=1) -> float:
    r"""T_tot, the number of steps of Theorem 16 of Jin et al. 2021, each of m samples.

    .. math:: 100\max\Big\{\frac{\Delta_f\mathcal T}{\mathcal F},
              \frac{\Delta_f}{\eta\varepsilon^2}\Big\}
              = 100\,\iota^{15}\,\frac{\ell\,\mathfrak N\Delta_f}{\varepsilon^2}.

    With probability at least 1 − δ, at least half of these iterates are ε-second-order stationary;
    there is no stopping rule. For small ε the order is ε⁻⁴ with ℓ̃ and dε⁻⁴ without.

    Parameters
    ----------
    lipschitz_grad, lipschitz_hess, epsilon, dim, noise_scale, iota, lipschitz_sample, batch_size
        As `psgd_constants`.
    delta_f : float
        Δ_f ≥ f(x₀) − f*, > 0.

    Returns
    -------
    float
        Steps; infinite where float64 overflows.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> psgd_iteration_bound(1.0, 1.0, 0.5, dim=1, delta_f=1.0, noise_scale=0.5, iota=1.0)
    800.0
    """
    factor = noise_factor(lipschitz_grad, lipschitz_hess, epsilon, dim, noise_scale,
                          lipschitz_sample, batch_size)
    ell, _, eps, _, delta_f, _ = setting(lipschitz_grad, lipschitz_hess, epsilon, 1, delta_f)
    # The first of the two terms is the larger one for every ι ≥ 1.
    return 100 * (ell / eps) * (delta_f / eps) * factor * math.prod([_iota(iota)] * 15)


def psgd_iota(lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, noise_scale, failure_prob=0.1,
              lipschitz_sample=None, batch_size=1, mu=1.0) -> float:
    r"""ι = μ(1 + log Q) for Theorem 16 of Jin et al. 2021, in a form without units.

    .. math:: Q = \frac{d\,\mathfrak N}{\delta}\,\max\Big\{1,
              \frac{\ell\Delta_f}{\varepsilon^2}\Big\}\frac{\ell}{\sqrt{\rho\varepsilon}}.

    The absolute constant μ has no printed value, and the printed logarithm changes with the units
    as that of `printed_iota` does. `psgd_escape_prob` says whether the ι it gives promises
    anything.

    Parameters
    ----------
    lipschitz_grad, lipschitz_hess, epsilon, dim, noise_scale, lipschitz_sample, batch_size
        As `noise_factor`.
    delta_f : float
        Δ_f ≥ f(x₀) − f*, > 0.
    failure_prob : float
        δ in (0, 1).
    mu : float
        μ > 0.

    Returns
    -------
    float
        ι ≥ 1.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> iota = psgd_iota(1.0, 1.0, 0.01, dim=10, delta_f=1.0, noise_scale=0.1)
    >>> round(iota, 1)
    24.0
    """
    factor = noise_factor(lipschitz_grad, lipschitz_hess, epsilon, dim, noise_scale,
                          lipschitz_sample, batch_size)
    ell, rho, eps, d, delta_f, delta = setting(
        lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob)
    log_drop = max(0.0, math.log(ell) + math.log(delta_f) - 2 * math.log(eps))
    log_kappa = math.log(ell) - 0.5 * (math.log(rho) + math.log(eps))
    log_q = math.log(d) + math.log(factor) - math.log(delta) + log_drop + log_kappa
    return max(1.0, positive("mu", mu) * (1 + log_q))


def psgd_escape_prob(constants, dim) -> float:
    r"""What Lemma 25 of Jin et al. 2021 promises for one window of PSGD at a strict saddle.

    From ‖∇f‖ ≤ ε and λ_min ≤ −√(ρε), 𝒯 steps lower f by ℱ with probability at least

    .. math:: \frac13 - 5\,d\,\mathcal T^2\log\Big(
              \frac{\mathcal S\sqrt d}{\eta r}\Big)e^{-\iota},

    and raise it by more than ℱ/10 with probability at most 4 exp(−ι). Never more than one third;
    zero or less promises nothing.

    Parameters
    ----------
    constants : PSGDConstants
        As `psgd_constants` gives them.
    dim : int
        d ≥ 1.

    Returns
    -------
    float
        At most 1/3; −∞ where the logarithm is none.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> def promise(iota):
    ...     return psgd_escape_prob(psgd_constants(1.0, 1.0, 0.01, 10, 0.1, iota), dim=10)
    >>> promise(100.0) > 0, round(promise(150.0), 6)
    (False, 0.333333)
    """
    k, d = constants, integer("dim", dim)
    ratio = k.localization * math.sqrt(d) / k.perturbation_radius
    if not ratio > 1:
        return -math.inf
    log_term = (math.log(5) + math.log(d) + 2 * math.log(k.episode_length)
                + math.log(math.log(ratio)) - k.iota)
    return 1 / 3 - (math.exp(log_term) if log_term < 700 else math.inf)


def _offset(ell, rho, eps, d, delta_f):
    """log₂ of the proof's condition without ι⁶ 2^{−ι}; a sum of logarithms cannot overflow."""
    total = math.log2(400) + math.log2(ell) + math.log2(delta_f) - 2 * math.log2(eps)
    return total + math.log2(ell) + 0.5 * (math.log2(d) - math.log2(rho) - math.log2(eps)) + 8


def _iota(iota):
    iota = positive("iota", iota)
    if iota < 1:
        raise ValueError(f"iota must be at least 1, got {iota}")
    return iota
