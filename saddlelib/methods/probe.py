"""Curvature without a Hessian: random second differences as published, and Lanczos for as much."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from .._arguments import integer, positive
from .._norm import norm
from ..oracle import Oracle
from ..perturbation import uniform_sphere
from ..theory import alpay2025
from ..theory.precision import float64_can_resolve, perturbation_warning
from .base import Method, State, not_finite
from .gd import gd_step
from .psd import CertifiedPSD
from .rules import rule

__all__ = ["LanczosProbe", "PSDProbe", "PSDProbeState"]


@dataclass(repr=False)
class PSDProbeState(State):
    """State of `PSDProbe`.

    Attributes
    ----------
    checks : int
        Checks of the curvature so far, each of 2m + 1 values.
    min_quotient : float
        The smallest second difference of the last check; nan before.
    last_perturbation : ndarray or None
        What was added in the last step, if anything.
    perturbed_at : tuple of int
    """

    checks: int = 0
    min_quotient: float = math.nan
    last_perturbation: np.ndarray | None = None
    perturbed_at: tuple[int, ...] = ()


@dataclass(frozen=True)
class PSDProbe(Method):
    r"""Descend; where the gradient is small, probe the curvature along random directions.

    PSD-Probe of the authors' repository of Alpay & Alakkad 2025: the header of its code, and
    Lemma 4.1 and Corollary 4.2 of its appendix. A step is one of two:

    1. if ‖∇f(x)‖ > epsilon: x ← x − η∇f(x);
    2. otherwise draw ``probe_count`` unit vectors v, uniform on the sphere, and take

       .. math:: q(v) = \frac{f(x+hv) - 2f(x) + f(x-hv)}{h^2},\quad h = \text{probe\_spacing}.

       If the smallest q is at most −curvature_tol: x ← x + r v for its v, with
       r = ``perturbation_radius`` and the sign v came with. Otherwise return x.

    A return says that m random directions saw nothing. Where one eigenvalue of many is negative
    they see nothing with probability near one, `theory.alpay2025.probe_detection_prob`;
    `LanczosProbe` finds it for no more evaluations.

    Parameters
    ----------
    step_size, epsilon, curvature_tol, perturbation_radius, probe_spacing : float
        η, ε, γ, r, h, all > 0.
    probe_count : int
        m ≥ 1.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Notes
    -----
    `PSDProbe.published` fills them in from the authors' formulas.

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib import Oracle
    >>> from saddlelib.problems import QuadraticSaddle
    >>> method = PSDProbe.published(lipschitz_grad=1.0, lipschitz_hess=1.0, epsilon=0.01, dim=50)
    >>> oracle = Oracle(QuadraticSaddle(np.append(-1.0, np.ones(49))))
    >>> state = method.step(oracle, method.init(oracle, np.zeros(50), rng=0))
    >>> state.finished, state.note              # at a saddle of curvature −10γ
    ('stationary', 'the smallest of 144 random second differences was 0.619')
    """

    step_size: float
    epsilon: float
    curvature_tol: float
    perturbation_radius: float
    probe_spacing: float
    probe_count: int

    def __post_init__(self):
        for name in ("step_size", "epsilon", "curvature_tol", "perturbation_radius",
                     "probe_spacing"):
            positive(name, getattr(self, name))
        integer("probe_count", self.probe_count)

    @rule("psd", "probe", step="1/(2ℓ)")
    @classmethod
    def published(cls, *, lipschitz_grad, lipschitz_hess, epsilon, dim, failure_prob=0.1
                  ) -> PSDProbe:
        """With the authors' constants: η = 1/(2ℓ), γ = √(ρε), r = γ/(8ρ), and their h and m."""
        scale = alpay2025.probe_spacing(lipschitz_hess, epsilon)
        return cls(1 / (2 * positive("lipschitz_grad", lipschitz_grad)), epsilon,
                   epsilon / scale, scale / 8, scale, alpay2025.probe_count(dim, failure_prob))

    def init(self, oracle, x0, rng=None) -> PSDProbeState:
        """State at x0; costs one gradient. ``rng`` is a seed or a Generator."""
        return PSDProbeState(x=x0, jac=oracle.grad(x0), rng=np.random.default_rng(rng))

    def step(self, oracle, state) -> PSDProbeState:
        """One step; costs one gradient, and 2m + 1 values where the gradient is small."""
        new = state.copy()
        new.last_perturbation = None
        if norm(state.jac) > self.epsilon:
            new.x = gd_step(state.x, state.jac, self.step_size)
        else:
            self._look(oracle, new)
        if new.finished is None:
            new.jac = oracle.grad(new.x)
            new.nit = state.nit + 1
        return new

    def _look(self, oracle, state):
        h, m = self.probe_spacing, self.probe_count
        directions = uniform_sphere(state.rng, state.x.size, size=m)
        value = oracle.fun(state.x)
        # Lists, because a generator would make a StopIteration of fun into another error.
        ahead, behind = [np.array([oracle.fun(state.x + s * v) for v in directions])
                         for s in (h, -h)]
        with np.errstate(all="ignore"):
            quotients = (ahead - 2 * value + behind) / h / h
        state.checks += 1
        state.min_quotient = float(quotients.min())
        if not float64_can_resolve(self.curvature_tol * h * h, value):
            state.finished = "precision"
            state.note = (f"second differences at spacing {h:.2g} cannot see a curvature of "
                          f"{self.curvature_tol:.2g}: float64 resolves f = {value:.6g} to "
                          f"{math.ulp(value):.2g}")
        elif not math.isfinite(state.min_quotient):
            not_finite(state, "a value for a second difference is not finite", self.step_size)
        elif state.min_quotient > -self.curvature_tol:
            state.finished = "stationary"
            state.note = (f"the smallest of {m} random second differences was "
                          f"{state.min_quotient:.3g}")
        else:
            step = self.perturbation_radius * directions[quotients.argmin()]
            state.note = perturbation_warning(self.perturbation_radius, state.x, step)
            if state.note:
                state.finished = "precision"
                return
            state.x, state.last_perturbation = state.x + step, step
            state.perturbed_at = (*state.perturbed_at, state.nit)


@dataclass(frozen=True)
class LanczosProbe(CertifiedPSD):
    r"""PSD-Probe made sound: `CertifiedPSD` that asks for gradients alone, on the same budget.

    Curvature comes from `saddlelib.certify` with differences of gradients, even where products or
    Hessians are given. With ``probe_count`` = m, one check takes at most m − 13 Lanczos steps, and
    at least one. So it takes at most 2m + 1 gradients where m ≥ 14, as many as `PSDProbe` takes
    values: 27 to find a spacing of the differences, two for each further step where one is not
    exact enough, and two to look at a direction once more. All else is `CertifiedPSD`:
    the sign of the displacement, its length 2\|λ\|/ρ, the better point kept, the failure
    probability split over the certificates.

    At the authors' m = ⌈16 log(16 d/δ)⌉ that is enough, in every dimension: where

    .. math:: \lambda_{\max} - \lambda_{\min} \le 500\,(-\lambda_{\min} - \gamma),

    the smallest Ritz value after m − 13 steps is below −γ with probability at least 1 − δ, for
    exact products. *Proof.* P(v₁² ≤ t) ≤ √(2dt/π) for a uniform unit vector, so the start has
    squared overlap at least t = πδ²/(8d) except with probability δ/2, and arcosh(1/√t) ≤ ½ ln(4/t)
    = ½ ln(32d/(πδ²)) ≤ ln(16d/δ) ≤ m/16. By (3) of `saddlelib.curvature.lanczos` the relative
    error is at most tanh²((m/16)/(2m − 27)) < 1/500: m is an integer above 16 ln 16 > 44. ∎

    Where the spread is larger, the budget may end a check without an answer. Then the method
    perturbs at random, ``patience`` times, and its certificate says that it cannot tell.

    Parameters
    ----------
    probe_count : int
        m ≥ 2.
    step_size, epsilon, curvature_tol, perturbation_radius, exit_radius, decrease_threshold
        As for `CertifiedPSD`.
    episode_length, failure_prob, lipschitz_hess, use_direction, patience, line_search
        As for `CertifiedPSD`.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Notes
    -----
    `LanczosProbe.practical` fills them in.

    Examples
    --------
    >>> import saddlelib
    >>> from saddlelib.problems import QuarticSaddle
    >>> problem = QuarticSaddle(gamma=0.5, eigenvalues=[1.0])
    >>> probe = LanczosProbe.practical(step_size=1.0, epsilon=1e-3, dim=2, lipschitz_hess=4.3)
    >>> result = saddlelib.minimize(problem, [0.0, 0.0], probe, rng=0)
    >>> result.success, result.nhvp
    (True, 0)
    """

    probe_count: int = dataclasses.field(kw_only=True)

    def __post_init__(self):
        super().__post_init__()
        integer("probe_count", self.probe_count, least=2)

    @rule("psd", "lanczos-probe")
    @classmethod
    def practical(cls, *, step_size, epsilon, dim, lipschitz_hess=None, curvature_tol=None,
                  failure_prob=1e-4, probe_count=None, perturbation_radius=None,
                  exit_radius=None, episode_length=None, decrease_threshold=None,
                  use_direction=True, patience=3) -> LanczosProbe:
        """`CertifiedPSD.practical` with a budget of gradients for each look at the curvature.

        Parameters
        ----------
        step_size, epsilon, dim, lipschitz_hess, curvature_tol, failure_prob
            η, ε, d, ρ, γ and δ, as there.
        probe_count : int, optional
            m; `theory.alpay2025.probe_count` by default.
        perturbation_radius, exit_radius, episode_length, decrease_threshold
            Of the episodes without a direction, as there.
        use_direction, patience
            As there.
        """
        k = CertifiedPSD.practical(step_size=step_size, epsilon=epsilon, dim=dim,
                                   lipschitz_hess=lipschitz_hess, curvature_tol=curvature_tol,
                                   failure_prob=failure_prob, exit_radius=exit_radius,
                                   perturbation_radius=perturbation_radius,
                                   episode_length=episode_length,
                                   decrease_threshold=decrease_threshold,
                                   use_direction=use_direction, patience=patience)
        if probe_count is None:
            probe_count = alpay2025.probe_count(dim, failure_prob)
        return cls(**vars(k), probe_count=probe_count)

    def _certify(self, oracle, state, jac, failure_prob):
        return super()._certify(_GradientsAlone(oracle), state, jac, failure_prob,
                                maxiter=max(1, self.probe_count - _OVERHEAD))


# What a check spends on finding a spacing and on a second look, in Lanczos steps of two gradients.
_OVERHEAD = 13


class _GradientsAlone(Oracle):
    """The same oracle, counts and all, that says it has neither products nor Hessians."""

    has_hvp = has_hess = False

    def __init__(self, oracle):
        self.__dict__ = oracle.__dict__
