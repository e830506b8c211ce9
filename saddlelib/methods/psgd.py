"""Mini-batch gradients: plain steps, perturbed ones as published, and as a person would want it."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from .._arguments import curvature_scale, integer, positive, probability
from .._norm import norm
from ..curvature import Verdict
from ..oracle import FiniteSum
from ..perturbation import gaussian
from ..sampling import SampleCertificate, certify_samples
from ..theory import alpay2025, jin2021
from ..theory._numbers import nonnegative
from ..theory.noise import (
    COVERED_RESIDUAL,
    MOST,
    TriggerRule,
    block_sizes,
    bounded_rule,
    calibrated_rule,
    count,
    geometric_median,
    median_residual,
    minibatch_noise,
    robust_rule,
)
from .base import Method, State, asks, gd_step, perturb
from .psd import curvature_step
from .rules import rule

__all__ = ["CNCSGD", "PSGD", "SGD", "CertifiedPSGD", "CertifiedPSGDState", "NoisySGD", "PSGDState",
           "SGDState"]

# Verdicts that no perturbation would change.
_OVER = {Verdict.SOSP, Verdict.VACUOUS, Verdict.WRONG_DERIVATIVES}
_CHECKS = {"calibrated": calibrated_rule, "bounded": bounded_rule, "robust": robust_rule}


@dataclass(repr=False)
class SGDState(State):
    """State of `SGD` and `CNCSGD`; its ``jac`` is a mini-batch gradient at x.

    Attributes
    ----------
    unseen : ndarray or None
        The indices of a `FiniteSum` that are left of the present epoch. With ``rng`` they fix all
        later mini-batches, on whichever oracle.
    """

    unseen: np.ndarray | None = None


@rule("sgd", "constant", default=True)
@dataclass(frozen=True)
class SGD(Method):
    """x_{k+1} = x_k − ηĝ(x_k), with ĝ a mini-batch gradient; never stops.

    Parameters
    ----------
    step_size : float
        η > 0.
    batch_size : int
        B ≥ 1, the samples in a mini-batch; at most n for a `FiniteSum` of n terms.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib import Oracle
    >>> from saddlelib.problems import QuarticSaddle
    >>> oracle, method = Oracle(QuarticSaddle(), grad_noise=0.1, rng=0), SGD(0.5, batch_size=16)
    >>> state = method.init(oracle, np.zeros(2))
    >>> while oracle.nsamples + method.batch_size <= 1000:
    ...     state = method.step(oracle, state)
    >>> state.nit, oracle.njev, oracle.nsamples
    (61, 62, 992)
    """

    step_size: float
    batch_size: int

    def __post_init__(self):
        positive("step_size", self.step_size)
        integer("batch_size", self.batch_size)

    def init(self, oracle, x0, rng=None) -> SGDState:
        """State at x0; costs one mini-batch, as every step does.

        ``rng``, a seed or a Generator, is the source of the noise and of the mini-batches; without
        it they come from the generator of the oracle.
        """
        if rng is None and oracle.rng is not None:
            rng = oracle.rng
        state = self._state(x=x0, jac=None, rng=np.random.default_rng(rng))
        self.draw(oracle, state)
        return state

    def step(self, oracle, state) -> SGDState:
        """One step, along the mini-batch gradient of the state; draws the next one."""
        new = state.copy()
        if self.move(oracle, new):
            self.draw(oracle, new)
        return new

    def move(self, oracle, state) -> bool:
        """Do in place what comes before the next mini-batch; False where the method has stopped."""
        self.look(oracle, state)
        if state.finished is None:
            state.x = gd_step(state.x, state.jac, self._length(state))
            state.nit += 1
        return state.finished is None

    _state = SGDState

    def _length(self, state):
        return self.step_size

    def draw(self, oracle, state):
        """Fill in a new mini-batch gradient at x; the state brings its randomness to the oracle."""
        oracle.rng, oracle.unseen = state.rng, state.unseen
        state.jac = oracle.batch_grad(state.x, self.batch_size)
        state.unseen = oracle.unseen


@rule("cnc-sgd", "constant", default=True)
@dataclass(frozen=True)
class CNCSGD(SGD):
    """`SGD` whose every ``interval``-th step is larger, after Daneshmand et al. 2018.

    arXiv:1803.05999, CNC-SGD. There is no perturbation: the noise of the gradient itself has to
    have a part along the negative curvature. Never stops. Their constants are not here, because we
    have read no more than the abstract.

    Parameters
    ----------
    step_size, batch_size : float, int
        η and B, as for `SGD`.
    large_step : float
        r ≥ η, the length of step numbers t_thres, 2 t_thres, … as a multiple of the gradient.
    interval : int
        t_thres ≥ 1.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib import Oracle
    >>> from saddlelib.problems import QuarticSaddle
    >>> oracle = Oracle(QuarticSaddle(), grad_noise=0.1, rng=0)
    >>> method = CNCSGD(step_size=0.1, batch_size=1, large_step=1.0, interval=50)
    >>> state = method.init(oracle, np.zeros(2))
    >>> for _ in range(500):
    ...     state = method.step(oracle, state)
    >>> bool(abs(state.x[0]) > 0.15)
    True
    """

    large_step: float
    interval: int

    def __post_init__(self):
        super().__post_init__()
        if positive("large_step", self.large_step) < self.step_size:
            raise ValueError(f"large_step must be at least step_size = {self.step_size:.3g}, got "
                             f"{self.large_step:.3g}")
        integer("interval", self.interval)

    def _length(self, state):
        return self.large_step if (state.nit + 1) % self.interval == 0 else self.step_size


@dataclass(frozen=True)
class NoisySGD(SGD):
    r"""`SGD` with Gaussian noise in every step: x⁺ = x − η(ĝ(x) + ξ), ξ ~ N(0, (r²/d) I).

    Algorithm 2 of Jin et al. 2021, their PSGD. Never stops: Theorem 16 there promises that half of
    its iterates are second-order stationary, not which. ``jac`` of the state is ĝ(x) + ξ.

    Parameters
    ----------
    step_size, batch_size : float, int
        η and the samples in a mini-batch, as for `SGD`.
    noise_radius : float
        r > 0, in the units of the gradient.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> method = NoisySGD.jin2021(lipschitz_grad=1.0, lipschitz_hess=1.0, epsilon=0.25, dim=10,
    ...                           noise_scale=0.5, iota=2.0)
    >>> method.noise_radius
    3.2015621187164243
    """

    noise_radius: float

    def __post_init__(self):
        super().__post_init__()
        positive("noise_radius", self.noise_radius)

    @rule("psgd", "jin2021", step="1/(ι⁹ℓ𝔑)")
    @classmethod
    def jin2021(cls, *, lipschitz_grad, lipschitz_hess, epsilon, dim, noise_scale, batch_size=1,
                iota=None, delta_f=None, failure_prob=0.1, lipschitz_sample=None) -> NoisySGD:
        """With the constants of equation (8) there, `theory.jin2021.psgd_constants`; never stops.

        Without ``iota``, ``delta_f`` and ``failure_prob`` give it by `theory.jin2021.psgd_iota`.
        """
        constants = dict(lipschitz_grad=lipschitz_grad, lipschitz_hess=lipschitz_hess,
                         epsilon=epsilon, dim=dim, noise_scale=noise_scale,
                         lipschitz_sample=lipschitz_sample)
        if iota is None:
            iota = jin2021.psgd_iota(batch_size=batch_size, delta_f=delta_f,
                                     failure_prob=failure_prob, **constants)
        k = jin2021.psgd_constants(batch_size=batch_size, iota=iota, **constants)
        return cls(k.step_size, batch_size, k.noise_radius)

    def draw(self, oracle, state):
        """Fill in ĝ(x) + ξ."""
        super().draw(oracle, state)
        state.jac = state.jac + gaussian(state.rng, state.x.size, self.noise_radius)


@dataclass(repr=False)
class PSGDState(SGDState):
    """State of `PSGD`.

    Attributes
    ----------
    episodes : int
        Episodes begun.
    left : int
        Steps left of the present episode, 0 outside.
    last_perturbation : ndarray or None
        What was added in the last step, if anything.
    perturbed_at : tuple of int
    """

    episodes: int = 0
    left: int = 0
    last_perturbation: np.ndarray | None = None
    perturbed_at: tuple[int, ...] = ()


@dataclass(frozen=True)
class PSGD(SGD):
    r"""Descend along mini-batch gradients; where one of them is small, perturb.

    The stochastic variant in the authors' repository of Alpay & Alakkad 2025. With ĝ the mean of B
    samples, at step t:

    1. outside an episode, if ‖ĝ(x_t)‖ ≤ trigger: add ξ uniform on the ball of radius
       ``perturbation_radius``, and begin an episode of exactly ``episode_length`` steps, during
       which nothing is looked at; after ``max_episodes`` of them return x_t;
    2. x_{t+1} = x_t − ηĝ(x_t).

    **It has no stopping rule and gives no certificate.** Nothing ever looks at the curvature, so a
    minimum is perturbed like a saddle, again and again. The only end is that all M episodes are
    used, which says nothing about the point, and the authors' M grows like ε⁻². Give every run a
    budget of samples, ``oracle.nsamples``, and certify where it ends.

    The authors take B = max(1, ⌈(2σ²/ε²) ln(2/δ_fp)⌉) and trigger = ε√(1 + 2σ²/(Bε²)), without the
    dimension. Their repository reads σ² in two ways. Its code adds noise of variance σ² to *each
    coordinate* (``grad_noise`` = σ√d). The mean of B samples then has the norm σ√(d/B), about, at a
    stationary point: in high dimension the trigger seldom fires there, and then this is `SGD`. One
    of its documents prints E‖ĝ‖² = ‖∇f‖² + σ²/B, where σ² is the *total* variance
    (``grad_noise`` = σ). Then the rule holds in every dimension, and asks for d times the batch for
    the same noise. `PSGD.published` can be run either way.

    Parameters
    ----------
    step_size, batch_size : float, int
        η and B, as for `SGD`.
    trigger, perturbation_radius : float
        In the units of the gradient and of x, both > 0.
    episode_length, max_episodes : int
        T ≥ 1 and M ≥ 1.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Notes
    -----
    `PSGD.published` fills them in from the authors' formulas.

    Examples
    --------
    >>> method = PSGD(step_size=0.5, batch_size=16, trigger=0.1, perturbation_radius=0.01,
    ...               episode_length=50, max_episodes=3)
    >>> import numpy as np
    >>> from saddlelib import Oracle
    >>> from saddlelib.problems import QuarticSaddle
    >>> oracle = Oracle(QuarticSaddle(), grad_noise=0.1, rng=0)
    >>> state = method.init(oracle, np.zeros(2))
    >>> while state.finished is None:
    ...     state = method.step(oracle, state)
    >>> state.episodes, state.note
    (3, 'all 3 episodes are used; nothing is known about the curvature')
    """

    trigger: float
    perturbation_radius: float
    episode_length: int
    max_episodes: int

    def __post_init__(self):
        super().__post_init__()
        for name in ("trigger", "perturbation_radius"):
            positive(name, getattr(self, name))
        for name in ("episode_length", "max_episodes"):
            integer(name, getattr(self, name))

    @rule("psgd", "published", step="1/(2ℓ)", without=("total_noise",))
    @classmethod
    def published(cls, *, lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob=0.1,
                  noise_std=None, total_noise=None, batch_size=None,
                  false_positive_prob=0.1) -> PSGD:
        """With the authors' constants, `theory.alpay2025.psd_constants`; no certificate.

        Their σ is whichever of the first two is given, and this is how it is read.

        Parameters
        ----------
        noise_std : float, optional
            σ ≥ 0 as the standard deviation of one coordinate of one sample, as their code has it;
            ``grad_noise``/√d of an `Oracle`.
        total_noise : float, optional
            σ ≥ 0 as the root mean square of the norm of the noise of one sample, as one of their
            documents has it; the ``grad_noise`` of an `Oracle`.
        batch_size : int, optional
            B; `theory.alpay2025.batch_size` by default.
        false_positive_prob : float
            δ_fp in (0, 1), for B.

        Examples
        --------
        The same noise, read in both ways:

        >>> constants = dict(lipschitz_grad=2.0, lipschitz_hess=4.0, epsilon=0.1, dim=16,
        ...                  delta_f=0.1)
        >>> for sigma in dict(noise_std=0.5), dict(total_noise=2.0):
        ...     method = PSGD.published(**sigma, **constants)
        ...     print(method.batch_size, round(method.trigger, 3), method.episode_length)
        150 0.115 398
        2397 0.115 398
        """
        if (noise_std is None) == (total_noise is None):
            raise ValueError(f"give σ either as noise_std (of one coordinate) or as total_noise "
                             f"(of the whole vector), got noise_std = {noise_std} and "
                             f"total_noise = {total_noise}")
        sigma = total_noise if noise_std is None else noise_std
        k = alpay2025.psd_constants(lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f,
                                    failure_prob)
        if batch_size is None:
            batch_size = alpay2025.batch_size(sigma, epsilon, false_positive_prob)
        trigger = alpay2025.batch_trigger(sigma, epsilon, batch_size)
        return cls(k.step_size, batch_size, trigger, k.perturbation_radius, k.episode_length,
                   k.max_episodes)

    _state = PSGDState

    def look(self, oracle, state):
        """Costs a mini-batch more where it perturbs."""
        state.last_perturbation = None
        if state.left == 0 and norm(state.jac) <= self.trigger:
            self._begin(oracle, state)
        state.left = max(state.left - 1, 0)  # for the step that comes now

    def _begin(self, oracle, state):
        if state.episodes >= self.max_episodes:
            state.finished = "stationary"
            state.note = (f"all {self.max_episodes} episodes are used; nothing is known about the "
                          f"curvature")
            return
        perturb([state], [self.perturbation_radius])
        if state.finished is None:
            state.episodes += 1
            state.left = self.episode_length
            self.draw(oracle, state)


@dataclass(repr=False)
class CertifiedPSGDState(PSGDState):
    """State of `CertifiedPSGD`.

    Attributes
    ----------
    certificate : SampleCertificate or None
        The last one, or the one of the best point where the run has ended there.
    certificates, checks : int
        How many there were, and how many re-checks before them.
    next_look : int
        The step before which the next re-check is not affordable.
    failed, undecided : int
        Episodes in a row that did not lower f, and certificates that could not tell the gradient.
    anchor, f_anchor : ndarray, float
        The point before the last perturbation, and its value.
    best, f_best, best_certificate : ndarray, float, SampleCertificate
        Of the points looked at, the one with the smallest value.
    """

    certificate: SampleCertificate | None = None
    certificates: int = 0
    checks: int = 0
    next_look: int = 0
    failed: int = 0
    undecided: int = 0
    anchor: np.ndarray | None = None
    f_anchor: float = math.nan
    best: np.ndarray | None = None
    f_best: float = math.inf
    best_certificate: SampleCertificate | None = None


@dataclass(frozen=True)
class CertifiedPSGD(SGD):
    r"""SGD that looks before it perturbs, leaves saddles downhill, and stops where it is certified.

    It departs from `PSGD` in six ways.

    - *The trigger knows the dimension.* E‖ĝ‖² = ‖∇f‖² + v/B, with v = E‖noise of one sample‖²; so
      the trigger is √((3ε/4)² + v/B).
    - *It is checked again.* Where the gradient of a step is below the trigger, a batch by
      ``check`` decides, which is right at ‖∇f‖ ≤ ε/2 and at ‖∇f‖ ≥ ε with a stated probability.
      After K samples for a look that led nowhere, the next one comes K/B steps later at the
      earliest, so false alarms at most double the samples of the steps.
    - *Then the curvature is looked at*, by `saddlelib.certify_samples`. The k-th certificate is its
      ``attempt`` k and may fail with probability δ/(k(k+1)); these add up to at most δ. If it
      passes, the method stops.
    - *A saddle is left along its direction* of negative curvature, with the sign that the estimate
      of the gradient gives, by `methods.psd.curvature_step`. Where no direction is known the
      perturbation and the episode are those of `PSGD`; an episode that does not lower f by
      ``decrease_threshold`` is taken back, and one that has, and whose gradient is small again,
      is over: after 1, 2, 4, 8, … steps it asks for f there.
    - *The step fits the noise.* A step of η ≤ 1/ℓ lowers f by ½η(‖∇f‖² − ηℓv/B) in the mean, so
      `practical` sees to ηℓv/B ≤ ε²/8.
    - *It gives up honestly.* After ``patience`` episodes that failed, or certificates that could
      not tell the gradient, it returns the best point it looked at, with the certificate there.

    Values of f are asked for where a saddle is left: once before, and once for every length that is
    tried. They are exact; those of a `FiniteSum` cost n samples each.

    Parameters
    ----------
    step_size, batch_size : float, int
        η and B, as for `SGD`.
    trigger : float
        In the units of the gradient.
    check : TriggerRule
        Batch, threshold and blocks of the second look at the gradient.
    epsilon, curvature_tol, perturbation_radius, decrease_threshold : float
        All > 0.
    episode_length : int
    failure_prob : float
        δ in (0, 1).
    lipschitz_hess : float, optional
        ρ; γ²/ε by default. Differences of gradients need it.
    grad_noise, hess_noise : float, optional
        For the certificate of a `FiniteSum`, as `certify_samples`.
    patience : int

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Notes
    -----
    `CertifiedPSGD.practical` fills them in from the noise and the scales of the problem.

    Examples
    --------
    >>> import saddlelib
    >>> from saddlelib.problems import QuarticSaddle
    >>> problem = QuarticSaddle(gamma=0.5, eigenvalues=[1.0])
    >>> method = CertifiedPSGD.practical(step_size=0.2, epsilon=0.1, dim=2, sample_noise=0.1,
    ...                                  lipschitz_hess=4.3)
    >>> result = saddlelib.minimize(problem, [0.0, 0.0], method, grad_noise=0.1, rng=0)
    >>> result.success, result.state.certificates > 0
    (True, True)
    """

    trigger: float
    check: TriggerRule
    epsilon: float
    curvature_tol: float
    perturbation_radius: float
    decrease_threshold: float
    episode_length: int
    failure_prob: float = 1e-2
    lipschitz_hess: float | None = None
    grad_noise: float | None = None
    hess_noise: float | None = None
    patience: int = 3

    _state = CertifiedPSGDState

    def __post_init__(self):
        super().__post_init__()
        for name in ("trigger", "epsilon", "curvature_tol", "perturbation_radius",
                     "decrease_threshold"):
            positive(name, getattr(self, name))
        integer("episode_length", self.episode_length)
        integer("patience", self.patience)
        probability("failure_prob", self.failure_prob)

    @rule("psgd", "practical", default=True)
    @classmethod
    def practical(cls, *, step_size, epsilon, dim, sample_noise, lipschitz_hess=None,
                  curvature_tol=None, failure_prob=1e-2, population=None, replacement=False,
                  batch_size=None, check="robust", check_failure_prob=0.1, hess_noise=None,
                  perturbation_radius=None, episode_length=None, decrease_threshold=None,
                  patience=3) -> CertifiedPSGD:
        r"""With numbers a person can choose; the rest follows the noise and the scales.

        Parameters
        ----------
        step_size : float
            1/ℓ; the step is shorter where the batch is too small for it.
        sample_noise : float
            √v ≥ 0, the root mean square of the noise of one sample's gradient: a bound of it at
            every point where the run looks. Noise that would need 2⁶³ samples is refused.
        population : int, optional
            n of a `FiniteSum`: no batch is larger, and then its error is zero.
        replacement : bool
            Of the `FiniteSum`.
        batch_size : int, optional
            B; ⌈8v/ε²⌉ by default, at most n.
        check : {"calibrated", "bounded", "robust"}
            The rule of `theory.noise` for the second look: for noise N(0, (v/d) I), for Gaussian
            noise of at most this variance in every direction, or for any noise with this v.
        check_failure_prob : float
            Of that rule, in (0, 1/2); down to 1e-6 where its batch would be smaller than B.
        hess_noise : float, optional
            As `certify_samples`.

        epsilon, dim, lipschitz_hess, curvature_tol, failure_prob, patience
            As in `CertifiedPSD.practical`.
        perturbation_radius, episode_length, decrease_threshold : optional
            As there: with S = ε/γ, r = S/8, and an episode has the steps in which all but about one
            perturbation in a hundred grow from r/√d to S.

        Examples
        --------
        >>> method = CertifiedPSGD.practical(step_size=0.5, epsilon=0.1, dim=100, sample_noise=1.0,
        ...                                  lipschitz_hess=4.0, check="calibrated")
        >>> method.batch_size, round(method.trigger, 4), method.check.batch_size
        (800, 0.0829, 447)
        """
        step_size, epsilon = positive("step_size", step_size), positive("epsilon", epsilon)
        sample_noise, dim = nonnegative("sample_noise", sample_noise), count("dim", dim)
        population = None if population is None else count("population", population)
        rho, gamma = curvature_scale(None, epsilon, lipschitz_hess, curvature_tol)
        if batch_size is None:
            ratio = sample_noise / epsilon
            samples = 8 * (ratio * ratio)
            if population is None and not samples < MOST:
                raise ValueError(f"sample_noise = {sample_noise} needs a batch_size of 2**63 or "
                                 f"more samples for epsilon = {epsilon}; use a larger epsilon, or "
                                 f"give the batch_size")
            batch_size = max(1, math.ceil(min(samples, MOST - 1)))
            batch_size = batch_size if population is None else min(batch_size, population)
        noise = minibatch_noise(sample_noise, batch_size, None if replacement else population)
        if noise > 0:
            step_size *= min(1.0, min(epsilon / noise, 3.0)**2 / 8)
        if not step_size > 0:
            raise ValueError(f"batch_size = {batch_size} leaves noise of {noise:.1e} in a "
                             f"gradient, so far above epsilon = {epsilon} that no step is short "
                             f"enough; use a larger batch_size, or leave it out")
        if check not in _CHECKS:
            raise ValueError(f"check must be {' or '.join(map(repr, _CHECKS))}, got {check!r}")
        size = sample_noise if check == "robust" else sample_noise / math.sqrt(dim)

        def look(halvings):
            return cls._second_look(check, size, dim, epsilon,
                                    check_failure_prob / 2**halvings, population)
        # A check of no more samples than a step says nothing new.
        most = max(0, math.ceil(math.log2(probability("check_failure_prob", check_failure_prob))
                                - math.log2(1e-6)))
        halvings = bisect_left(range(most), True, key=lambda n: look(n).batch_size >= batch_size)
        rule = look(halvings)
        scale = epsilon / gamma
        r = scale / 8 if perturbation_radius is None else positive(
            "perturbation_radius", perturbation_radius)
        if episode_length is None:
            reach = math.log(100 * max(scale / r, 2.0) * math.sqrt(dim))
            growth = math.log1p(step_size * gamma)
            if not reach < growth * MOST:
                raise ValueError(f"batch_size = {batch_size} leaves noise of {noise:.1e} in a "
                                 f"gradient, and with step_size = {step_size:.1e} an episode would "
                                 f"not end; use a larger batch_size, step_size or curvature_tol")
            episode_length = math.ceil(reach / growth)
        if decrease_threshold is None:
            decrease_threshold = 0.1 * epsilon * scale
        return cls(step_size, batch_size, math.hypot(0.75 * epsilon, noise), rule, epsilon, gamma,
                   r, decrease_threshold, episode_length, failure_prob, rho or None,
                   sample_noise if population is not None else None, hess_noise, patience)

    @staticmethod
    def _second_look(check, noise, dim, epsilon, failure_prob, population):
        numbers = (noise,) if check == "robust" else (noise, dim)
        try:
            rule = _CHECKS[check](*numbers, epsilon, 0.5 * epsilon, failure_prob)
        except ValueError:
            if population is None:
                raise
            rule = None
        if population is not None and (rule is None or rule.batch_size >= population):
            return TriggerRule(population, 0.75 * epsilon)  # all terms have no noise
        return rule

    def step(self, oracle, state) -> CertifiedPSGDState:
        """One step; costs a mini-batch, and where the gradient is small what its looks take."""
        new = state.copy()
        new.last_perturbation = None
        if (new.left == 0 and new.nit >= new.next_look
                and norm(new.jac) <= self.trigger):
            self._look(oracle, new)
        if new.finished is not None:
            return new
        new.x = gd_step(new.x, new.jac, self.step_size)
        new.nit += 1
        if new.left > 0:
            new.left -= 1
            if new.left == 0 or self._may_have_left(new):
                self._judge(oracle, new)
        self.draw(oracle, new)
        return new

    def _look(self, oracle, state):
        """Stop at a certified point, leave a saddle, or go on where the gradient is not small."""
        before = oracle.nsamples
        oracle.rng, oracle.unseen = state.rng, state.unseen
        state.checks += 1
        g, told = self._estimate(oracle, state.x)
        state.unseen = oracle.unseen
        if not told or norm(g) <= self.check.threshold:
            self._certify(oracle, state, g)
        if state.last_perturbation is None:
            state.next_look = state.nit + math.ceil((oracle.nsamples - before) / self.batch_size)

    def _estimate(self, oracle, x):
        """ĝ, and whether its error is what the check allows for; else the certificate decides."""
        rule = self.check
        if rule.batch_size == oracle.samples_of_f > 1:
            return oracle.grad(x), True
        means = [oracle.batch_grad(x, size) for size in block_sizes(rule.batch_size, rule.blocks)]
        if len(means) == 1 or not np.isfinite(means).all():
            return np.mean(means, axis=0), True
        g = geometric_median(means)
        return g, median_residual(means, g) <= COVERED_RESIDUAL

    def _certify(self, oracle, state, g):
        state.certificates += 1
        k = state.certificates
        stated = dict(grad_noise=self.grad_noise, hess_noise=self.hess_noise)
        seen = certify_samples(
            oracle, state.x, epsilon=self.epsilon, curvature_tol=self.curvature_tol,
            failure_prob=self.failure_prob, attempt=k, lipschitz_hess=self.lipschitz_hess,
            rng=state.rng, recheck=False,
            **(stated if isinstance(oracle.problem, FiniteSum) else {}))
        state.certificate = seen
        if seen.verdict in _OVER or not np.isfinite(seen.grad_norm):
            state.finished = "stationary"
        elif seen.verdict is Verdict.NOT_STATIONARY:
            pass
        elif seen.verdict is Verdict.CANNOT_TELL and seen.grad_upper > self.epsilon:
            state.undecided += 1
            if state.undecided >= self.patience:
                self._give_up(state, f"{state.undecided} certificates could not tell the gradient")
        else:
            self._leave(oracle, state, g, seen)

    def _leave(self, oracle, state, g, seen):
        """From here, along a direction if one is known, else by an episode."""
        value = oracle.fun(state.x)
        if not value >= state.f_best:
            state.best, state.f_best, state.best_certificate = state.x, value, seen
        if state.failed >= self.patience:
            self._give_up(state, f"{state.failed} episodes in a row did not lower f")
            return
        step = None
        if seen.verdict is Verdict.NEGATIVE_CURVATURE:
            rho = self.lipschitz_hess or self.curvature_tol * (self.curvature_tol / self.epsilon)
            step, _ = curvature_step(oracle, state.x, value, g, seen, rho,
                                     shortest=self.perturbation_radius, double=False)
        if step is not None:
            state.x, state.last_perturbation = state.x + step, step
            state.perturbed_at = (*state.perturbed_at, state.nit)
            state.failed = state.undecided = 0
        else:
            state.anchor, state.f_anchor = state.x, value
            perturb([state], [self.perturbation_radius])
            state.left = self.episode_length
        if state.finished is None:
            state.episodes += 1
            self.draw(oracle, state)

    def _may_have_left(self, state) -> bool:
        """Whether to ask for f in an episode: its gradient is small, and not where it began."""
        return (asks(state.nit - state.perturbed_at[-1]) and norm(state.jac) <= self.trigger
                and norm(state.x - state.anchor) > self.perturbation_radius)

    def _judge(self, oracle, state):
        """An episode that has paid is over; one that did not is taken back, if f did not fall."""
        value = oracle.fun(state.x)
        if value <= state.f_anchor - self.decrease_threshold:
            state.left = state.failed = state.undecided = 0
            return
        if state.left > 0:
            return
        state.failed += 1
        if not value < state.f_anchor:
            state.x = state.anchor

    def _give_up(self, state, note):
        state.finished, state.note = "stationary", note
        if state.best is not None:
            state.x, state.certificate = state.best, state.best_certificate
