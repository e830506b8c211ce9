"""A trigger that reads noisy gradients, its missed saddles and false alarms: a live figure."""

from __future__ import annotations

import math

import traitlets

from ..theory import alpay2025, noise
from ._parts import Count, LiveFigure, Number, Point, script, style

__all__ = ["NoisyTrigger"]


class NoisyTrigger(LiveFigure):
    r"""Runs of SGD near a saddle, and ‖ĝ‖ of many mini-batches against a threshold.

    A mini-batch gradient is ĝ = ∇f + N(0, (σ²/B) I), and the trigger of PSGD fires where ‖ĝ‖ ≤ t.
    Gradients are measured in units of ε. The figure counts two errors over seeded draws that do
    not use the law of ‖ĝ‖, and draws that law (`theory.noise.trigger_prob`) over them: *missed*,
    the trigger is silent where ∇f = 0; *false alarm*, it fires where ‖∇f‖ is ``grad_norm``. The
    rules of the threshold, with δ = 0.1:

    * "published": ε√(1 + 2σ²/(Bε²)), `theory.alpay2025.batch_trigger`;
    * "calibrated": half way between the 1 − δ quantile of ‖ĝ‖ where ∇f = 0 and the δ quantile
      where ‖∇f‖ is ``grad_norm``, as `theory.noise.calibrated_rule`, for any B;
    * "naive": ε.

    The map shows f = −x₁²/2 + x₁⁴/4 + ½(x₂² + … + x_d²) with ε = 0.2, and on it six runs of SGD
    with step size 0.05, marked where the rule would fire. Of the other coordinates, which start at
    0, only the length matters, so a run in dimension 1000 costs no more than one in dimension 3.

    All traits are synchronized: setting one in Python moves the figure, and moving the figure sets
    it in Python.

    Parameters
    ----------
    rule : str
        "published", "calibrated" or "naive".
    batch_size : int
        B in [1, 10⁶].
    dim : int
        d in [1, 1000].
    noise : float
        σ/ε in [1, 100]: the standard deviation of one coordinate of one sample.
    grad_norm : float
        ‖∇f‖/ε in [1, 10] of the point where the trigger should be silent.
    start : sequence of two floats
        x₁ and x₂ of the runs, in [−1.4, 1.4]; one coordinate has no x₂.
    seed : int
        In [0, 2³¹ − 1]: names all draws.

    Attributes
    ----------
    measured_missed, measured_false : float or None
        The counted fractions of both errors. None until the figure is shown.

    Raises
    ------
    traitlets.TraitError
        If a trait is given a value outside these ranges; the message names them.
    TypeError
        If there is no trait of that name.

    Examples
    --------
    >>> figure = NoisyTrigger(dim=50)
    >>> figure
    NoisyTrigger(rule='published', batch_size=600, dim=50)
    >>> round(figure.threshold, 2), round(figure.predicted_missed, 3)
    (1.15, 1.0)
    >>> figure.rule = "calibrated"
    >>> figure.batch_size = figure.own_batch
    >>> figure.batch_size, round(figure.predicted_missed, 2), round(figure.predicted_false, 2)
    (797, 0.1, 0.1)
    """

    _esm = script("noise")
    _css = style()

    failure_prob = 0.1

    _inputs = ("rule", "batch_size", "dim", "noise", "grad_norm", "start", "seed")
    _always_shown = ("rule", "batch_size", "dim")

    rule = traitlets.Enum(["published", "calibrated", "naive"], "published").tag(sync=True)
    batch_size = Count(600, 1, 10**6).tag(sync=True)
    dim = Count(50, 1, 1000).tag(sync=True)
    noise = Number(10.0, 1, 100).tag(sync=True)
    grad_norm = Number(2.0, 1, 10).tag(sync=True)
    start = Point([0.0, 0.9], 1.4).tag(sync=True)
    seed = Count(3, 0, 2**31 - 1).tag(sync=True)

    measured_missed = traitlets.Float(None, allow_none=True).tag(sync=True)
    measured_false = traitlets.Float(None, allow_none=True).tag(sync=True)

    @property
    def threshold(self) -> float:
        """t/ε of the rule for this batch, whether or not it is large enough."""
        if self.rule == "naive":
            return 1.0
        if self.rule == "published":
            return alpay2025.batch_trigger(self.noise, 1.0, self.batch_size)
        from scipy.stats import chi, ncx2  # takes longer to import than the rest of this room

        deviation = self.noise / math.sqrt(self.batch_size)
        above = chi.ppf(1 - self.failure_prob, self.dim)
        below = math.sqrt(ncx2.ppf(self.failure_prob, self.dim, (self.grad_norm / deviation) ** 2))
        return deviation * (above + below) / 2

    @property
    def own_batch(self) -> int:
        """B that the rule asks for; the naive rule asks for the published one."""
        if self.rule == "calibrated":
            return noise.calibrated_rule(self.noise, self.dim, self.grad_norm,
                                         failure_prob=self.failure_prob).batch_size
        return alpay2025.batch_size(self.noise, 1.0, self.failure_prob)

    @property
    def predicted_missed(self) -> float:
        """P(‖ĝ‖ > t) where ∇f = 0."""
        return noise.missed_trigger_prob(self.threshold, 0.0, self.noise, self.dim,
                                         self.batch_size)

    @property
    def predicted_false(self) -> float:
        """P(‖ĝ‖ ≤ t) where ‖∇f‖ is ``grad_norm``."""
        return noise.trigger_prob(self.threshold, self.grad_norm, self.noise, self.dim,
                                  self.batch_size)
