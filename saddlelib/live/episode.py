"""One escape episode under its predicted envelope, and many: the live figure of chapter 2."""

from __future__ import annotations

import math

import traitlets

from ..problems import QuarticSaddle
from ..theory import laws
from ..theory.alpay2025 import PSDConstants, psd_constants
from ._parts import Count, LiveFigure, Number, script, style

__all__ = ["EscapeEpisode"]


class EscapeEpisode(LiveFigure):
    r"""A run that starts at a saddle plus a perturbation, and the histogram of many such runs.

    The function is `saddlelib.problems.QuarticSaddle` in dimension d with λᵢ in [0.1, 1]: curvature
    −γ along x₁ and ℓ = max(2γ, 1). The start is ξ, uniform on the ball of radius r, and the method
    gradient descent with step size η. A run is *out* when |x₁| ≥ √γ/2. Its coordinates do not meet,
    so the figure follows x₁ alone; ξ₁²/r² has its exact law Beta(1/2, (d+1)/2).

    Over the run stands the predicted envelope (5 % to 95 % of the starts), over the histogram the
    predicted distribution, both from `saddlelib.theory.laws`; and beside the step by which all but
    a fraction δ are out, the episode length T of PSD for the same problem.

    All traits are synchronized: setting one in Python moves the figure, and moving the figure sets
    it in Python.

    Parameters
    ----------
    dim : int
        d in [2, 10⁶].
    gamma : float
        γ in [0.01, 2].
    step_factor : float
        ηℓ in [0.05, 1]; PSD has 1/2.
    perturbation_radius : float
        r in [1e-9, 1], in the units of x. The figure begins with PSD's γ/(8ρ) = √γ/48.
    failure_prob : float
        δ in [1e-6, 0.5].
    runs : int
        How many runs the histogram has in the end, in [100, 20000].
    seed : int
        In [0, 2³¹ − 1]: names the draws of all runs.
    draw : int
        Which of the runs, counted from 0 and modulo ``runs``, is the one shown, in [0, 2³¹ − 1].
    on_manifold : bool
        Whether the run shown starts with ξ₁ = 0 instead.

    Attributes
    ----------
    escape : float or None
        The step at which the run shown is out; None if never, and until the figure is shown.
    measured_median, measured_late : float or None
        The median escape time of all runs, and the fraction of them not out at ``deadline``. None
        while the histogram grows.

    Raises
    ------
    traitlets.TraitError
        If a trait is given a value outside these ranges; the message names them.
    TypeError
        If there is no trait of that name.

    Examples
    --------
    >>> figure = EscapeEpisode(dim=1000)
    >>> figure
    EscapeEpisode(dim=1000)
    >>> figure.predicted_median, figure.deadline, figure.psd.episode_length
    (147, 196, 1763)
    """

    _esm = script("episode")
    _css = style()

    _inputs = ("dim", "gamma", "step_factor", "perturbation_radius", "failure_prob", "runs", "seed",
               "draw", "on_manifold")

    dim = Count(100, 2, 10**6).tag(sync=True)
    gamma = Number(0.1, 0.01, 2).tag(sync=True)
    step_factor = Number(0.5, 0.05, 1).tag(sync=True)
    perturbation_radius = Number(math.sqrt(0.1) / 48, 1e-9, 1).tag(sync=True)
    failure_prob = Number(0.05, 1e-6, 0.5).tag(sync=True)
    runs = Count(4000, 100, 20000).tag(sync=True)
    seed = Count(8, 0, 2**31 - 1).tag(sync=True)
    draw = Count(0, 0, 2**31 - 1).tag(sync=True)
    on_manifold = traitlets.Bool(False).tag(sync=True)

    escape = traitlets.Float(None, allow_none=True).tag(sync=True)
    measured_median = traitlets.Float(None, allow_none=True).tag(sync=True)
    measured_late = traitlets.Float(None, allow_none=True).tag(sync=True)

    @property
    def problem(self) -> QuarticSaddle:
        """The function; its vector of λ has d − 1 entries."""
        return QuarticSaddle.spread(self.dim, self.gamma)

    @property
    def lipschitz_grad(self) -> float:
        """ℓ = max(2γ, 1)."""
        return max(2 * self.gamma, 1.0)

    @property
    def step_size(self) -> float:
        """η = ``step_factor``/ℓ."""
        return self.step_factor / self.lipschitz_grad

    @property
    def exit_radius(self) -> float:
        """√γ/2: a run is out when |x₁| is at least this."""
        return 0.5 * math.sqrt(self.gamma)

    @property
    def psd(self) -> PSDConstants:
        """PSD's constants for this problem: ρ = 6√γ, ε = γ²/ρ (so that √(ρε) = γ), Δ_f = γ²/4."""
        rho = 6 * math.sqrt(self.gamma)
        return psd_constants(self.lipschitz_grad, rho, self.gamma**2 / rho, self.dim,
                             self.gamma**2 / 4, self.failure_prob)

    @property
    def deadline(self) -> int:
        """The step by which all but a fraction δ are out; see `laws.escape_deadline`."""
        return self._out_by(self.failure_prob)

    @property
    def predicted_median(self) -> int:
        """The step by which half of the runs are out."""
        return self._out_by(0.5)

    def envelope(self, steps) -> tuple[float, float, float]:
        """The 5 %, 50 % and 95 % quantile of |x₁| after ``steps`` ≥ 0 steps, as predicted.

        U⁻¹(U(a)(1 + ηγ)^steps) from each quantile a of |ξ₁|, where U(x) = x/√(1 − x²/γ) as in
        `laws.quartic_escape_time`; near the saddle that is a(1 + ηγ)^steps.
        """
        factor = math.exp(steps * math.log1p(self.step_size * self.gamma))
        found = []
        for prob in (0.05, 0.5, 0.95):
            a = laws.ball_coordinate_quantile(self.dim, self.perturbation_radius, prob)
            w = a / math.sqrt(max(1 - a * a / self.gamma, 1e-12)) * factor
            found.append(w / math.sqrt(1 + w * w / self.gamma))
        return tuple(found)

    def escape_probability(self, steps) -> float:
        """The predicted fraction of runs that are out after ``steps`` steps."""
        return laws.escape_probability(steps, self.dim, self.perturbation_radius, self.exit_radius,
                                       self.step_size, self.gamma)

    def _out_by(self, failure_prob):
        return laws.escape_deadline(failure_prob, self.dim, self.perturbation_radius,
                                    self.exit_radius, self.step_size, self.gamma)
