"""Perturbed gradient descent: one rule for the algorithms of Jin et al. 2017 and 2021."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .._arguments import curvature_scale, integer, positive
from .._norm import norm
from ..theory import jin2017, jin2021
from ..theory.precision import decrease_warning
from .base import Method, State, Wait, asks, not_finite
from .rules import rule

__all__ = ["PGD", "PGDState"]


@dataclass(repr=False)
class PGDState(State):
    """State of `PGD`.

    Attributes
    ----------
    t_noise : int
        Step of the last perturbation; before the first, −episode_length − 1, or 0 with ``wait``.
    x_tilde, f_tilde, jac_tilde : ndarray, float, ndarray
        The point before the last perturbation, its value and its gradient.
    f_asked : float
        f where the episode last asked whether it has done its work, inf before.
    last_perturbation : ndarray or None
        What was added in the last step, if anything.
    perturbed_at : tuple of int
    """

    t_noise: int = 0
    x_tilde: np.ndarray | None = None
    f_tilde: float = math.nan
    jac_tilde: np.ndarray | None = None
    f_asked: float = math.inf
    last_perturbation: np.ndarray | None = None
    perturbed_at: tuple[int, ...] = ()


@dataclass(frozen=True)
class PGD(Method):
    r"""Gradient descent that adds one small random displacement where the gradient is small.

    Algorithm 2 of Jin et al. 2017 (arXiv:1703.00887). At step t, with g = ∇f(x_t):

    1. if ‖g‖ ≤ grad_threshold and t − t_noise > episode_length: remember x̃ = x_t, set t_noise = t,
       and add ξ uniform on the ball of radius ``perturbation_radius`` (added to x, not times η);
    2. if t − t_noise = episode_length and f(x_t) − f(x̃) > −decrease_threshold: return x̃, the
       point *before* the perturbation;
    3. x_{t+1} = x_t − η∇f(x_t).

    Algorithm 4 of Jin et al. 2021 is the same with its own numbers, without 2, and with ``wait``.

    Where float64 cannot carry the test of 2, or swallows ξ, the method stops and says so
    ("precision"). Where a value that the test needs is not finite it stops at the last point with
    a finite one ("nonfinite").

    Parameters
    ----------
    step_size, perturbation_radius, grad_threshold, decrease_threshold : float
        η, r, g_thres, f_thres, all > 0. With ``decrease_threshold=None`` step 2 is left out: the
        method never stops, and asks for no values.
    episode_length : int
        t_thres ≥ 1.
    wait : bool
        Whether no perturbation comes before step episode_length + 1.
    early : bool
        Whether an episode ends where its point has arrived, which is looked at after 1, 2, 4, 8, …
        steps: ‖g‖ ≤ g_thres again, farther from x̃ than the perturbation goes, f has fallen by
        ``decrease_threshold``, and by less than that since half the steps. The next one then begins
        at once. The papers let an episode go on.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Notes
    -----
    `PGD.jin2017` and `PGD.jin2021` fill them in from the papers, `PGD.practical` from the scales
    of the problem.

    Examples
    --------
    >>> import saddlelib
    >>> from saddlelib.problems import QuarticSaddle
    >>> problem = QuarticSaddle(gamma=0.5, eigenvalues=[1.0])
    >>> pgd = PGD.practical(step_size=0.5, epsilon=1e-3, dim=2, lipschitz_hess=4.3)
    >>> result = saddlelib.minimize(problem, [0.0, 0.0], pgd, rng=0)
    >>> result.success, result.perturbed_at[0]
    (True, 0)
    """

    step_size: float
    perturbation_radius: float
    grad_threshold: float
    decrease_threshold: float | None
    episode_length: int
    wait: bool = False
    early: bool = False

    def __post_init__(self):
        for name in ("step_size", "perturbation_radius", "grad_threshold"):
            positive(name, getattr(self, name))
        if self.decrease_threshold is not None:
            positive("decrease_threshold", self.decrease_threshold)
        integer("episode_length", self.episode_length)

    @rule("pgd", "jin2017", step="c/ℓ")
    @classmethod
    def jin2017(cls, *, lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f, failure_prob=0.1,
                c=1.0) -> PGD:
        """With the constants of Jin et al. 2017, `theory.jin2017.pgd_constants`.

        ``delta_f`` is an upper bound of f(x0) − f*, and ``failure_prob`` the δ of the theorem.
        """
        k = jin2017.pgd_constants(lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f,
                                  failure_prob, c)
        return cls(k.step_size, k.perturbation_radius, k.grad_threshold, k.decrease_threshold,
                   k.episode_length)

    @rule("pgd", "jin2021", step="1/ℓ")
    @classmethod
    def jin2021(cls, *, lipschitz_grad, lipschitz_hess, epsilon, dim=None, delta_f=None,
                failure_prob=0.1, iota=None, wait=False, stop=True) -> PGD:
        r"""Algorithm 4 of Jin et al. 2021 (arXiv:1902.04811v2) with equation (6), and a stop.

        η = 1/ℓ, perturbations ηξ with ξ uniform on the ball of radius r, hence of radius ηr in x,
        wherever ‖∇f‖ ≤ ε and the last one is more than 𝒯 steps ago. ι is `jin2021.smallest_iota`
        of all the arguments, or given; ``dim``, ``delta_f`` and ``failure_prob`` are for the
        former alone.

        Two things are ours. The printed algorithm has no stopping rule: Theorem 18 says that half
        of the first T_tot iterates are ε-second-order stationary, not which. Here f is looked at
        𝒯 steps after a perturbation at x̃, and where it has not fallen by ℱ/2 the method returns
        x̃. Every other episode lowers f by ℱ/2 in the 𝒯 + 1 steps before the next may begin, and
        every step outside by ηε²/2 (Lemma 19), so the run ends, whatever is drawn, within

        .. math:: \Delta_f\max\Big\{\frac{2(\mathcal T+1)}{\mathcal F},
                  \frac{2}{\eta\varepsilon^2}\Big\} + \mathcal T \approx
                  \tfrac14 T_{tot} + \mathcal T

        steps and 1 + 2Δ_f/ℱ perturbations. At a strict saddle each of these stops the run with
        probability at most `jin2021.escape_failure_prob` (Lemma 20). With the smallest ι the sum
        of these is at most δ wherever ℓΔ_f ≥ ε²/300. A perturbation at a point that is second-order
        stationary does no harm: the run stops there, or goes on lower. ``stop=False`` leaves the
        test out, as printed.

        The printed algorithm sets t_perturb = 0, so that even at a saddle 𝒯 + 1 steps pass before
        the first perturbation. No lemma needs that. Here the first one comes as soon as the
        gradient is small; ``wait=True`` is as printed.

        >>> PGD.jin2021(lipschitz_grad=1.0, lipschitz_hess=1.0, epsilon=0.25, iota=32.0)
        ... # doctest: +NORMALIZE_WHITESPACE
        PGD(step_size=1.0, perturbation_radius=1.9073486328125e-08, grad_threshold=0.25,
            decrease_threshold=3.814697265625e-08, episode_length=64, wait=False,
            early=False)
        """
        if (iota is None) == (delta_f is None):
            raise ValueError("give iota, or delta_f ≥ f(x0) − f* for the smallest iota that the "
                             "proof allows, not both")
        if iota is None:
            iota = jin2021.smallest_iota(lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f,
                                         failure_prob)
        k = jin2021.pgd_constants(lipschitz_grad, lipschitz_hess, epsilon, iota)
        return cls(k.step_size, k.perturbation_radius, epsilon, k.decrease / 2 if stop else None,
                   k.episode_length, wait)

    @rule("pgd", "practical", default=True)
    @classmethod
    def practical(cls, *, step_size, epsilon, dim, lipschitz_hess=None, curvature_tol=None,
                  perturbation_radius=None, episode_length=None, decrease_threshold=None) -> PGD:
        r"""With numbers a person can choose; what is left out follows the scales of the problem.

        With γ = √(ρε) and the length S = √(ε/ρ) = ε/γ on which curvature −γ can be lost:
        r = S/20; episode_length = ⌈ln(100 S√d/r)/ln(1 + ηγ)⌉, the steps in which all but about one
        perturbation in a hundred grow from r/√d to S; decrease_threshold = 0.1 √(ε³/ρ) = 0.1 ε²/γ.
        Episodes end early. These are rules of thumb, not a theorem; the certificate at the end is
        what counts.
        """
        step_size, epsilon = positive("step_size", step_size), positive("epsilon", epsilon)
        _, gamma = curvature_scale(None, epsilon, lipschitz_hess, curvature_tol)
        scale = epsilon / gamma
        if not 0 < scale * epsilon < math.inf:
            raise ValueError(f"epsilon = {epsilon:.3g} and curvature_tol = {gamma:.3g} are too far "
                             f"apart for float64: a decrease is of the order of epsilon²/"
                             f"curvature_tol; rescale x and f")
        r = scale / 20 if perturbation_radius is None else positive(
            "perturbation_radius", perturbation_radius)
        if episode_length is None:
            reach = max(math.log(100 * math.sqrt(dim)) + math.log(scale / r), 1.0)
            growth = math.log1p(step_size * gamma)
            if not (growth > 0 and math.isfinite(reach / growth)):
                raise ValueError(f"step_size = {step_size:.3g} and curvature_tol = {gamma:.3g} "
                                 f"make an endless episode; give larger ones, or episode_length")
            episode_length = math.ceil(reach / growth)
        if decrease_threshold is None:
            decrease_threshold = 0.1 * epsilon * scale
        return cls(step_size, r, epsilon, decrease_threshold, episode_length, early=True)

    def init(self, oracle, x0, rng=None) -> PGDState:
        """State at x0; costs one gradient. ``rng`` is a seed or a Generator."""
        return PGDState(x=x0, jac=oracle.grad(x0), rng=np.random.default_rng(rng),
                        t_noise=0 if self.wait else -self.episode_length - 1)

    def look(self, oracle, state) -> float | None:
        """Ask for a perturbation, or judge an episode; costs a value for each test."""
        state.last_perturbation = None
        since = state.nit - state.t_noise
        if (self.early and since < self.episode_length and asks(since)
                and self._has_arrived(oracle, state)):
            since = self.episode_length + 1
        if since > self.episode_length and norm(state.jac) <= self.grad_threshold:
            return self._begin(oracle, state)
        if since == self.episode_length and state.x_tilde is not None:
            self._judge(oracle, state)
        return None

    def waits(self, state) -> Wait:
        """Until the episode is over; after it, until the gradient is small."""
        since = state.nit - state.t_noise
        left = self.episode_length - since
        if self.early and left > 0:
            left = min(left, (1 << since.bit_length()) - since)
        return Wait(steps=left) if left > 0 else Wait(grad_threshold=self.grad_threshold)

    def _has_arrived(self, oracle, state) -> bool:
        """Whether f has fallen and falls no longer; costs a value, if that may be."""
        if (self.decrease_threshold is None or norm(state.jac) > self.grad_threshold
                or norm(state.x - state.x_tilde) <= self.perturbation_radius):
            return False
        before, state.f_asked = state.f_asked, oracle.fun(state.x)
        return (state.f_asked - state.f_tilde <= -self.decrease_threshold
                and state.f_asked - before > -self.decrease_threshold)

    def _begin(self, oracle, state) -> float | None:
        """Begin an episode at x̃ = x, with the radius of its perturbation, if it can be judged."""
        value = math.nan
        if self.decrease_threshold is not None:
            value = oracle.fun(state.x)
            if not math.isfinite(value):
                not_finite(state, f"∇f is small and f = {value}", self.step_size)
                return None
            state.note = decrease_warning(self.decrease_threshold, value)
            if state.note:
                state.finished = "precision"
                return None
        state.x_tilde, state.f_tilde, state.jac_tilde = state.x, value, state.jac
        state.t_noise, state.f_asked = state.nit, math.inf
        return self.perturbation_radius

    def _judge(self, oracle, state):
        """Return x̃ where the episode has not lowered f."""
        if self.decrease_threshold is None:
            return
        value = oracle.fun(state.x)
        if not math.isfinite(value):
            not_finite(state, f"the episode ends with f = {value}", self.step_size)
        elif value - state.f_tilde > -self.decrease_threshold:
            state.finished = "stationary"
        if state.finished is not None:
            state.x, state.jac = state.x_tilde, state.jac_tilde
