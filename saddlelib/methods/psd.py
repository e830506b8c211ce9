"""Perturbed Saddle-escape Descent: as published by its authors, and as a person would want it."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass

import numpy as np

from .._arguments import curvature_scale, integer, positive, probability
from ..curvature import Certificate, Verdict, certify
from ..perturbation import uniform_ball
from ..theory import alpay2025
from ..theory._numbers import representable
from ..theory.precision import decrease_warning, float64_can_resolve, perturbation_warning
from .base import Method, State, Wait, asks, not_finite
from .gd import gd_step
from .rules import rule

__all__ = ["PSD", "CertifiedPSD", "CertifiedPSDState", "PSDState", "curvature_step"]

# How often a displacement along negative curvature is doubled at most: where f is unbounded below
# the end is the budget's and not the largest float's.
MOST_DOUBLINGS = 30
# The longest displacement that is tried: its square is still a float.
_FARTHEST = 1e150
# How much longer the next step is tried where the last one showed no positive curvature.
_GROWTH = 4.0
# An η that was too long before is doubled after so many steps in a row of twice its length that
# lowered f as an η of their length does.
_TRUSTED = 8
# After an episode whose steps made f rise, η is this much shorter.
_CUT = 0.25
# A step is tried at most this many times as long as η, so that it needs a bounded number of values.
_LONGEST = 2.0**MOST_DOUBLINGS
# A look need not know λ_min better than this share of γ: it then passes x, or its direction has a
# curvature below −γ/2, which is enough to go on. The theorem of `theory.certified` rests on it.
_RESOLUTION = 0.5
# What a look may say for the run to go on; at any other point there is nothing left to do.
_GOES_ON = (Verdict.NEGATIVE_CURVATURE, Verdict.CANNOT_TELL)
# Below this fraction of η a step is no longer halved: the gradient is wrong, and not the step.
_SHORTEST = 1e-9


@dataclass(repr=False)
class PSDState(State):
    """State of `PSD`.

    Attributes
    ----------
    episodes : int
        Episodes begun.
    left : int
        Steps left of the present episode, 0 outside.
    min_eig : float
        λ_min where the method last looked; nan before.
    last_perturbation : ndarray or None
        What was added in the last step, if anything.
    perturbed_at : tuple of int
    """

    episodes: int = 0
    left: int = 0
    min_eig: float = math.nan
    last_perturbation: np.ndarray | None = None
    perturbed_at: tuple[int, ...] = ()


@dataclass(frozen=True)
class PSD(Method):
    r"""Descend; where the gradient is small, look at the smallest eigenvalue, and perturb.

    Algorithm 1 of the authors' repository of Alpay & Alakkad 2025. At step t, outside an episode:

    1. if ‖∇f(x_t)‖ ≤ epsilon and λ_min(∇²f(x_t)) ≥ −curvature_tol: return x_t;
    2. if ‖∇f(x_t)‖ ≤ epsilon otherwise: add ξ uniform on the ball of radius
       ``perturbation_radius``, and begin an episode of exactly ``episode_length`` steps, during
       which neither f nor ∇f is looked at; after ``max_episodes`` of them return x_t, which then
       is known to be a saddle, and the note of the state says so.

    Every step is x_{t+1} = x_t − η∇f(x_t). The eigenvalue is that of a dense Hessian: d² numbers
    and O(d³) operations each time.

    Parameters
    ----------
    step_size, epsilon, curvature_tol, perturbation_radius : float
        η, ε, γ, r, all > 0.
    episode_length, max_episodes : int
        T ≥ 1 and M ≥ 1.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Notes
    -----
    `PSD.published` fills them in from the authors' formulas.

    Examples
    --------
    >>> import saddlelib
    >>> from saddlelib.problems import QuarticSaddle
    >>> problem = QuarticSaddle(gamma=0.5, eigenvalues=[1.0])
    >>> psd = PSD(step_size=0.5, epsilon=1e-3, curvature_tol=0.05, perturbation_radius=1e-2,
    ...           episode_length=60, max_episodes=5)
    >>> result = saddlelib.minimize(problem, [0.0, 0.0], psd, rng=0)
    >>> result.success, result.nhev
    (True, 2)
    """

    step_size: float
    epsilon: float
    curvature_tol: float
    perturbation_radius: float
    episode_length: int
    max_episodes: int

    def __post_init__(self):
        for name in ("step_size", "epsilon", "curvature_tol", "perturbation_radius"):
            positive(name, getattr(self, name))
        integer("episode_length", self.episode_length)
        integer("max_episodes", self.max_episodes)

    @rule("psd", "published", step="1/(2ℓ)")
    @classmethod
    def published(cls, *, lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f,
                  failure_prob=0.1) -> PSD:
        """With the authors' constants, `theory.alpay2025.psd_constants`; needs Hessians.

        ``delta_f`` is an upper bound of f(x0) − f*.
        """
        k = alpay2025.psd_constants(lipschitz_grad, lipschitz_hess, epsilon, dim, delta_f,
                                    failure_prob)
        return cls(k.step_size, epsilon, k.curvature_tol, k.perturbation_radius,
                   k.episode_length, k.max_episodes)

    def init(self, oracle, x0, rng=None) -> PSDState:
        """State at x0; costs one gradient. ``rng`` is a seed or a Generator."""
        if not oracle.has_hess:
            raise ValueError("PSD as published needs hess, for its exact smallest eigenvalue; give "
                             "hess, or use CertifiedPSD (rule='practical'), which needs none")
        return PSDState(x=x0, jac=oracle.grad(x0), rng=np.random.default_rng(rng))

    def look(self, oracle, state):
        """Costs a Hessian, and a gradient more where it perturbs."""
        state.last_perturbation = None
        if state.left == 0 and np.linalg.norm(state.jac) <= self.epsilon:
            self._look(oracle, state)

    def waits(self, state) -> Wait:
        """Until the episode is over; outside, until the gradient is small."""
        return Wait(steps=state.left) if state.left > 0 else Wait(grad_threshold=self.epsilon)

    def moved(self, state, x, jac, steps=1):
        """Count down the steps of the episode."""
        super().moved(state, x, jac, steps)
        state.left = max(state.left - steps, 0)

    def _look(self, oracle, state):
        hess = oracle.hess(state.x)
        state.min_eig = (float(np.linalg.eigvalsh(hess)[0]) if np.isfinite(hess).all()
                         else math.nan)
        if math.isnan(state.min_eig):
            state.finished, state.note = "stationary", "the Hessian is not finite"
        elif state.min_eig >= -self.curvature_tol:
            state.finished = "stationary"
        elif state.episodes >= self.max_episodes:
            state.finished = "stationary"
            state.note = f"all {self.max_episodes} episodes are used"
        else:
            _perturb(oracle, state, self.perturbation_radius)
            state.left = self.episode_length


@dataclass(repr=False)
class CertifiedPSDState(PSDState):
    """State of `CertifiedPSD`.

    Attributes
    ----------
    anchor, f_anchor, jac_anchor : ndarray, float, ndarray
        The point before the last perturbation, its value and its gradient.
    failed : int
        Episodes in a row that came back to their anchor.
    certificate : Certificate or None
        The last one.
    certificates : int
        How many there were.
    certificate_cost : tuple of 4 int
        Values, gradients, Hessian-vector products and Hessians that all of them took.
    value : float
        f(x) where the line search knows it, else nan.
    trial : float or None
        The step that the line search tries next, as a multiple of the gradient; None for
        ``step_size``.
    step_size : float
        What stands for η from here on: η, or less where f has shown that η is too long.
    held : int
        Steps in a row that twice this length would have served as well.
    launch, f_launch : ndarray, float
        Where the last episode began, beside its anchor, and f there; nan where nobody asked.
    slope : float
        ‖∇f‖ where the episode last asked whether it has done its work, 0 before.
    """

    anchor: np.ndarray | None = None
    f_anchor: float = math.nan
    jac_anchor: np.ndarray | None = None
    failed: int = 0
    certificate: Certificate | None = None
    certificates: int = 0
    certificate_cost: tuple[int, int, int, int] = (0, 0, 0, 0)
    value: float = math.nan
    trial: float | None = None
    step_size: float = math.nan
    held: int = 0
    launch: np.ndarray | None = None
    f_launch: float = math.nan
    slope: float = 0.0


@dataclass(frozen=True)
class CertifiedPSD(Method):
    r"""PSD with a certificate for its eigenvalue, the direction it finds, and episodes that end.

    It departs from `PSD` in five ways.

    - The curvature comes from `saddlelib.certify`: Hessian-vector products or differences of
      gradients, with a stated failure probability. The k-th certificate may fail with probability
      δ/(k(k+1)); these add up to at most δ.
    - A look either passes x or finds a unit vector v with curvature λ < −γ/2: it stops as soon as
      it knows λ_min to within γ/2. The episode is then one displacement t v with the sign that
      makes ⟨∇f, t v⟩ ≤ 0. At \|t\| = 2\|λ\|/ρ a ρ-Lipschitz Hessian guarantees

      .. math:: f(x + tv) \le f(x) - \tfrac16|\lambda|t^2 = f(x) - \tfrac23|\lambda|^3/\rho^2 ;

      where this fails, ρ was too small, and t is halved until f(x + tv) ≤ f(x) − \|λ\|t²/6. With
      ``line_search`` t is doubled as long as that lowers f further, for one value each.
    - Where no direction is known, because errors of the products or the budget of the look came
      first (or ``use_direction`` is false), the perturbation is that of `PSD`,
      and its episode ends as soon as f is seen to have fallen by ``decrease_threshold``. f is asked
      for ``exit_radius`` away from the start. Nearer to it, but farther than the perturbation goes,
      it is asked for after 1, 2, 4, 8, … steps, if the gradient there is larger than ε, or less
      than it was at half the steps, so that the point has arrived somewhere.
    - An episode that does not lower f by ``decrease_threshold`` in ``episode_length`` steps goes
      back to its start, or stays where f is lower. After ``patience`` of them in a row the method
      stops, and the certificate says at what.
    - With ``line_search`` a step outside an episode is x − s∇f(x). The first s is η, a later one
      the shorter step of Barzilai & Borwein (1988, IMA J. Numer. Anal. 8, 141-148),
      ⟨Δx, Δ∇f⟩/‖Δ∇f‖², from the step of this kind before, or 4 times that step's s where it showed
      curvature ≤ 0, η where these are less, and 2³⁰ η where they are more. It has to give what
      η = 1/ℓ guarantees,

      .. math:: f(x - s\nabla f(x)) \le f(x) - \tfrac12\eta\|\nabla f(x)\|^2 ,

      or s shrinks to the minimizer of the parabola through what is known, at least to s/2, down to
      η; so N_descent ≤ 2ℓΔf/ε² holds for these steps too. Where η itself falls short, ℓ is wrong
      there, and s is halved until f falls by ½ s‖∇f(x)‖². This s is remembered: it stands for η
      from then on, and doubles when steps of twice its length have given what they should 8 times
      in a row. An episode whose steps make f rise begins anew with steps of a quarter. Where
      rounding hides such a decrease, and where gradients are noisy, the step is η.

    Parameters
    ----------
    step_size, epsilon, curvature_tol, perturbation_radius, exit_radius, decrease_threshold : float
        All > 0.
    episode_length : int
        Most steps of an episode.
    failure_prob : float
        δ in (0, 1).
    lipschitz_hess : float, optional
        ρ for the displacement; γ²/ε by default, which is ρ when γ = √(ρε). Differences of gradients
        need it.
    use_direction : bool
    patience : int
    line_search : bool
        False keeps the step at η and the displacement at 2\|λ\|/ρ: fewer values, more gradients.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Notes
    -----
    `CertifiedPSD.practical` fills them in from the scales of the problem. `theory.certified` bounds
    what a run takes when η = 1/ℓ, in exact arithmetic.

    Examples
    --------
    >>> import saddlelib
    >>> from saddlelib.problems import QuarticSaddle
    >>> problem = QuarticSaddle(gamma=0.5, eigenvalues=[1.0])
    >>> psd = CertifiedPSD.practical(step_size=1.0, epsilon=1e-3, dim=2, lipschitz_hess=4.3)
    >>> result = saddlelib.minimize(problem, [0.0, 0.0], psd, rng=0)
    >>> result.success, result.certificate.verdict.name
    (True, 'SOSP')
    """

    step_size: float
    epsilon: float
    curvature_tol: float
    perturbation_radius: float
    exit_radius: float
    decrease_threshold: float
    episode_length: int
    failure_prob: float = 1e-4
    lipschitz_hess: float | None = None
    use_direction: bool = True
    patience: int = 3
    line_search: bool = True

    def __post_init__(self):
        for name in ("step_size", "epsilon", "curvature_tol", "perturbation_radius", "exit_radius",
                     "decrease_threshold"):
            positive(name, getattr(self, name))
        integer("episode_length", self.episode_length)
        integer("patience", self.patience)
        probability("failure_prob", self.failure_prob)
        if self.exit_radius <= self.perturbation_radius:
            raise ValueError(f"exit_radius must be larger than perturbation_radius = "
                             f"{self.perturbation_radius:.3g}, got {self.exit_radius:.3g}")

    @rule("psd", "practical", default=True)
    @classmethod
    def practical(cls, *, step_size, epsilon, dim, lipschitz_hess=None, curvature_tol=None,
                  failure_prob=1e-4, perturbation_radius=None, exit_radius=None,
                  episode_length=None, decrease_threshold=None, use_direction=True,
                  patience=3, line_search=True) -> CertifiedPSD:
        r"""With numbers a person can choose; what is left out follows the scales of the problem.

        ``step_size``, ``epsilon`` and ``dim`` are needed, and ``lipschitz_hess`` or
        ``curvature_tol``; ``failure_prob, use_direction, patience, line_search`` are as for the
        class. Lengths and numbers of an episode, ``perturbation_radius, exit_radius,
        episode_length, decrease_threshold``:

        With γ = √(ρε) and the length S = √(ε/ρ) = ε/γ on which curvature −γ can be lost:
        r = S/8, which is the authors' γ/(8ρ); exit_radius = S, or 2r if that is more;
        decrease_threshold = 0.1 √(ε³/ρ) = 0.1 ε²/γ; episode_length =
        ⌈ln(100 exit_radius √d/r)/ln(1 + ηγ)⌉, the steps in which all but about one perturbation in
        a hundred grow from r/√d to the exit radius. Rules of thumb, not a theorem; the certificate
        at the end is what counts.
        """
        step_size, epsilon = positive("step_size", step_size), positive("epsilon", epsilon)
        rho, gamma = curvature_scale(None, epsilon, lipschitz_hess, curvature_tol)
        given = dict(epsilon=epsilon) | ({} if not rho else dict(lipschitz_hess=rho)) | (
            {} if curvature_tol is None else dict(curvature_tol=gamma))
        gamma = representable("the curvature √(ρε)", gamma, **given)
        scale = representable("the length ε/γ", epsilon / gamma, **given)
        r = scale / 8 if perturbation_radius is None else positive(
            "perturbation_radius", perturbation_radius)
        exit_radius = representable("exit_radius", max(scale, 2 * r), perturbation_radius=r, **given
                                    ) if exit_radius is None else positive("exit_radius",
                                                                           exit_radius)
        if episode_length is None:
            reach = (math.log(100) + math.log(exit_radius) + 0.5 * math.log(integer("dim", dim))
                     - math.log(r))
            growth = representable("ln(1 + ηγ)", math.log1p(step_size * gamma),
                                   step_size=step_size, **given)
            episode_length = math.ceil(representable(
                "episode_length", max(reach, 1.0) / growth, step_size=step_size, **given))
        if decrease_threshold is None:
            decrease_threshold = representable("decrease_threshold", 0.1 * epsilon * scale, **given)
        return cls(step_size, epsilon, gamma, r, exit_radius, decrease_threshold, episode_length,
                   failure_prob, rho or None, use_direction, patience,
                   line_search)

    def init(self, oracle, x0, rng=None) -> CertifiedPSDState:
        """State at x0; costs one gradient. ``rng`` is a seed or a Generator."""
        return CertifiedPSDState(x=x0, jac=oracle.grad(x0), rng=np.random.default_rng(rng),
                                 step_size=self.step_size)

    def step(self, oracle, state) -> CertifiedPSDState:
        """One step; costs one gradient, and with ``line_search`` one value, seldom more.

        Where the gradient is small it also costs a certificate, one value, and one gradient and a
        few values for the displacement, which is all of the step if it leads to a small gradient;
        in an episode one value a step beyond the exit radius.
        """
        new = state.copy()
        new.last_perturbation = None
        if state.left == 0 and np.linalg.norm(state.jac) <= self.epsilon:
            self._look(oracle, new)
        if new.finished is not None:
            return new
        new.nit = state.nit + 1
        if new.left > 0:
            new.left -= 1
            self._plain(oracle, new)
            self._judge(oracle, new)
        elif np.linalg.norm(new.jac) > self.epsilon:  # else the displacement was the step
            if self.line_search and not oracle.grad_noise:
                self._descend(oracle, new)
            else:
                self._plain(oracle, new)
        return new

    def _plain(self, oracle, state):
        """x − η∇f(x), without a look at f."""
        state.x = gd_step(state.x, state.jac, state.step_size)
        state.jac = oracle.grad(state.x)
        state.value, state.trial = math.nan, None

    def _descend(self, oracle, state):
        """A step along −∇f, as long as f says that it may be, and never worse than η promises."""
        x, jac, eta = state.x, state.jac, state.step_size
        value = oracle.fun(x) if math.isnan(state.value) else state.value
        slope = float(jac @ jac)
        length, short = eta if state.trial is None else state.trial, False
        while (length > _SHORTEST * self.step_size and math.isfinite(value)
               and float64_can_resolve(0.5 * min(length, eta) * slope, value)):
            moved = gd_step(x, jac, length)
            state.value = oracle.fun(moved)
            if state.value <= value - 0.5 * min(length, eta) * slope:
                full = state.value <= value - 0.5 * length * slope
                self._remember(state, length, full, short)
                break
            short = short or length <= eta and math.isfinite(state.value)
            length = _shorter(length, eta, value, slope, state.value)
        else:
            length, moved, state.value = eta, gd_step(x, jac, eta), math.nan
        state.x, state.jac = moved, oracle.grad(moved)
        change = jac - state.jac  # ∇f(x) − ∇f(x − s∇f(x)), that is s∇²f·∇f to first order
        curved = float(change @ jac)
        square = float(change @ change)  # it may underflow where its product with ∇f does not
        trial = length * curved / square if curved > 0 and square > 0 else _GROWTH * length
        eta = state.step_size
        least = eta if eta == self.step_size else _SHORTEST * eta  # no bound if η was too long
        state.trial = min(max(least, trial), _LONGEST * eta)

    def _remember(self, state, length, full, short):
        """What stands for η after a step of ``length`` that lowered f, in ``full`` or not."""
        eta = state.step_size
        state.held = state.held + 1 if full and length >= 2 * eta else 0
        if short:
            state.step_size = length
        elif state.held >= _TRUSTED and eta < self.step_size:
            state.step_size, state.held = min(2 * eta, self.step_size), 0

    def _look(self, oracle, state):
        """Stop at a certified point; else leave it, along a direction if one is known."""
        count = state.certificates + 1
        with _noiseless(oracle) as noisy:
            jac = oracle.grad(state.x) if noisy else state.jac
            seen = self._certify(oracle, state, jac, self.failure_prob / (count * (count + 1)))
        state.certificate, state.certificates = seen, count
        state.certificate_cost = tuple(a + b for a, b in zip(
            state.certificate_cost, (seen.nfev, seen.njev, seen.nhvp, seen.nhev), strict=True))
        state.min_eig = seen.min_eig
        if noisy and seen.verdict is Verdict.NOT_STATIONARY:
            state.jac = jac  # which the noise hid: on with it
            return
        if seen.verdict not in _GOES_ON or not np.isfinite(seen.min_eig):
            state.finished = "stationary"
            return
        if state.failed >= self.patience:
            state.finished = "stationary"
            state.note = f"{state.failed} episodes in a row did not lower f"
            return
        state.anchor, state.jac_anchor = state.x, state.jac
        state.f_anchor = oracle.fun(state.x) if math.isnan(state.value) else state.value
        if not math.isfinite(state.f_anchor):
            not_finite(state, f"∇f is small and f = {state.f_anchor}", state.step_size)
            return
        known = seen.min_eig < -0.5 * self.curvature_tol - seen.hvp_error
        if known and self.use_direction and self._displace(oracle, state, seen):
            state.failed = 0
            return
        state.note = decrease_warning(self.decrease_threshold, state.f_anchor)
        if state.note:
            state.finished = "precision"
            return
        self._launch(oracle, state)

    def _launch(self, oracle, state):
        """Perturb, and begin an episode as much longer as its steps are shorter than η."""
        _perturb(oracle, state, self.perturbation_radius)
        state.launch, state.f_launch, state.slope = state.x, math.nan, 0.0
        state.left = math.ceil(self.episode_length * (self.step_size / state.step_size))

    def _certify(self, oracle, state, jac, failure_prob, **options):
        return certify(oracle, state.x, epsilon=self.epsilon, curvature_tol=self.curvature_tol,
                       failure_prob=failure_prob, lipschitz_hess=self.lipschitz_hess,
                       resolution=_RESOLUTION, rng=state.rng, grad_at_x=jac, recheck=False,
                       **options)

    def _displace(self, oracle, state, seen) -> bool:
        """Move along the direction of negative curvature if that lowers f; say whether it did."""
        rho = self.lipschitz_hess or self.curvature_tol * (self.curvature_tol / self.epsilon)
        step, value = curvature_step(oracle, state.x, state.f_anchor, state.jac, seen, rho,
                                     shortest=self.perturbation_radius, double=self.line_search)
        if step is None:
            return False
        _move(oracle, state, step, state.x + step)
        state.value = value
        return True

    def _judge(self, oracle, state):
        """End the episode where it has done its work, or has had its time."""
        moved = np.linalg.norm(state.x - state.anchor)
        if not (state.left == 0 or moved >= self.exit_radius or self._may_be_done(state, moved)):
            if not math.isfinite(state.jac.sum()):
                self._shorten(oracle, state)
            return
        state.value = oracle.fun(state.x)
        if state.value <= state.f_anchor - self.decrease_threshold:
            state.left = state.failed = 0
        elif self._rose(oracle, state) and self._shorten(oracle, state):
            pass
        elif state.left == 0:
            state.failed += 1
            if not state.value < state.f_anchor:
                state.x, state.jac = state.anchor, state.jac_anchor
                state.value = state.f_anchor

    def _may_be_done(self, state, moved) -> bool:
        """Now and then: the gradient is no longer small, or, small again, it shrinks."""
        if not asks(state.nit - state.perturbed_at[-1]):
            return False
        before, state.slope = state.slope, float(np.linalg.norm(state.jac))
        return moved > self.perturbation_radius and (state.slope > self.epsilon
                                                     or state.slope < before)

    def _rose(self, oracle, state) -> bool:
        """Whether f is higher than where the episode began, as no steps of 1/ℓ can make it."""
        if not state.f_anchor <= state.value < math.inf:
            return False
        if math.isnan(state.f_launch):
            state.f_launch = oracle.fun(state.launch)
        return not state.value <= state.f_launch + self.decrease_threshold

    def _shorten(self, oracle, state) -> bool:
        """Once more from the anchor, with shorter steps; whether there are any."""
        if not self.line_search or oracle.grad_noise or (
                state.step_size <= _SHORTEST * self.step_size):
            return False
        state.x, state.jac, state.value = state.anchor, state.jac_anchor, state.f_anchor
        state.step_size *= _CUT
        self._launch(oracle, state)
        return True


def curvature_step(oracle, x, value, jac, certificate, lipschitz_hess, *, shortest=0.0,
                   double=True):
    r"""The displacement t v of `CertifiedPSD` along the direction of a certificate, and f there.

    Parameters
    ----------
    oracle : Oracle
    x, jac : ndarray, shape (d,)
        The point and its gradient, for the sign of t.
    value : float
        f(x).
    certificate : Certificate
        With λ = ``min_eig`` < 0 and v = ``direction``, whatever its verdict.
    lipschitz_hess : float
        ρ ≥ 0. \|t\| starts at 2\|λ\|/ρ and is halved until f falls by \|λ\|t²/6.
    shortest : float
        Where that needs a \|t\| below this, or f cannot show it, (None, nan) is returned.
    double : bool
        Whether t is doubled as long as f falls, `MOST_DOUBLINGS` times at most.

    Notes
    -----
    Each length costs one value.

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib import Oracle, certify
    >>> from saddlelib.problems import QuarticSaddle
    >>> oracle, x = Oracle(QuarticSaddle(0.25, [1.0])), np.zeros(2)
    >>> seen = certify(oracle, x, epsilon=1e-3, rng=0)
    >>> step, value = curvature_step(oracle, x, 0.0, x, seen, oracle.problem.lipschitz_hess)
    >>> abs(step).round(3).tolist(), round(value, 4)      # the minimizer is at (0.5, 0)
    ([0.333, 0.0], -0.0108)
    """
    curvature = -certificate.min_eig
    sign = -1.0 if certificate.direction @ jac > 0 else 1.0
    length = min(2 * curvature / lipschitz_hess, _FARTHEST) if lipschitz_hess > 0 else _FARTHEST
    step = None
    while step is None:
        decrease = curvature * length * length / 6
        if (length < shortest or not math.isfinite(value)
                or not float64_can_resolve(decrease, value)):
            return None, math.nan
        trial = (sign * length) * certificate.direction
        reached = oracle.fun(x + trial)
        if reached <= value - decrease:
            step = trial
        length /= 2
    for _ in range(MOST_DOUBLINGS if double else 0):
        further = oracle.fun(x + 2 * step)
        if not (further < reached and math.isfinite(further)):
            break
        step, reached = 2 * step, further
    return step, reached


def _shorter(length, step_size, value, slope, reached):
    """The next length to try when ``length`` led to f = ``reached``."""
    if length <= step_size:
        return 0.5 * length
    excess = reached - value + slope * length  # of the parabola over its tangent
    fitted = 0.5 * slope * length * length / excess if 0 < excess < math.inf else 0.0
    return max(step_size, min(max(fitted, 0.1 * length), 0.5 * length))


def _perturb(oracle, state, radius):
    """Add ξ uniform on a ball, unless float64 swallows it."""
    xi = uniform_ball(state.rng, state.x.size, radius)
    state.note = perturbation_warning(radius, state.x, xi)
    if state.note:
        state.finished = "precision"
    else:
        _move(oracle, state, xi, state.x + xi)


def _move(oracle, state, step, moved):
    state.x, state.jac, state.last_perturbation = moved, oracle.grad(moved), step
    state.episodes += 1
    state.perturbed_at = (*state.perturbed_at, state.nit)


@contextlib.contextmanager
def _noiseless(oracle):
    """A certificate speaks about the function: it sees none of the noise of the run."""
    noise, oracle.grad_noise = oracle.grad_noise, 0.0
    try:
        yield noise > 0
    finally:
        oracle.grad_noise = noise
