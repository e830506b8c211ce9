"""A saddle on the plane and two runs from one start: the live figure of chapter 1."""

from __future__ import annotations

import math

import traitlets

from ..methods import PGD
from ..problems import QuarticSaddle
from ._parts import Count, LiveFigure, Number, Point, script, style

__all__ = ["SaddleMap"]


class SaddleMap(LiveFigure):
    r"""A map of a strict saddle on which two runs start from one point that a reader can drag.

    The function is `saddlelib.problems.QuarticSaddle` on the plane,
    f(y) = −γ/2·y₁² + y₁⁴/4 + λ/2·y₂². Gradient descent and perturbed gradient descent (Algorithm 2
    of Jin et al. 2017) start from ``start``; beside the map stand the distance ‖y‖ from the saddle,
    on a log scale, and f, against the iteration, with the predicted escape drawn over them. A run
    has *left* when |y₁| ≥ √γ/2.

    All traits are synchronized: setting one in Python moves the figure, and moving the figure sets
    it in Python. Lengths are in the units of y.

    Parameters
    ----------
    start : sequence of two floats
        (y₁, y₂), each in [−3, 3]. The map itself shows |y₁| ≤ max(1.1, 1.55 √γ).
    gamma, lam : float
        γ in (0, 2] and λ in (0, 10].
    step_size : float
        η in (0, 100].
    perturbation_radius : float
        r in [0, 1]; with 0 perturbed gradient descent is gradient descent.
    noise : float
        σ in [0, 1]: every gradient has a draw of N(0, (σ²/2) I) added.
    seed : int
        In [0, 2³¹ − 1]: names the draws of the noise and of the perturbation.
    maxiter : int
        Steps of each run, in [1, 20000].
    compact : bool
        Whether only f stands beside the map, with two sliders and one sentence.

    Attributes
    ----------
    escape_gd, escape_pgd : float or None
        First step at which a run has left; None if it has not, and until the figure is shown.
    predicted, predicted_pgd : float or None
        k₀ + ln(½√γ/|y₁|)/ln(1 + ηγ) with y₁ at step k₀: the start for gradient descent, the last
        perturbation before the escape for PGD. None where no escape is predicted.

    Raises
    ------
    traitlets.TraitError
        If a trait is given a value outside these ranges; the message names them.
    TypeError
        If there is no trait of that name.

    Examples
    --------
    >>> figure = SaddleMap(start=[0.01, 0.5], step_size=0.2)
    >>> figure
    SaddleMap(start=[0.01, 0.5], step_size=0.2)
    >>> figure.problem.lipschitz_grad
    1.0
    """

    _esm = script("saddle_map")
    _css = style()

    _inputs = ("start", "gamma", "lam", "step_size", "perturbation_radius", "noise", "seed",
               "maxiter", "compact")
    _always_shown = ("start",)

    start = Point([1e-6, 0.9], 3).tag(sync=True)
    gamma = Number(0.5, 0, 2, open_low=True).tag(sync=True)
    lam = Number(1.0, 0, 10, open_low=True).tag(sync=True)
    step_size = Number(0.1, 0, 100, open_low=True).tag(sync=True)
    perturbation_radius = Number(0.05, 0, 1).tag(sync=True)
    noise = Number(0.0, 0, 1).tag(sync=True)
    seed = Count(7, 0, 2**31 - 1).tag(sync=True)
    maxiter = Count(1000, 1, 20000).tag(sync=True)
    compact = traitlets.Bool(False).tag(sync=True)

    escape_gd = traitlets.Float(None, allow_none=True).tag(sync=True)
    escape_pgd = traitlets.Float(None, allow_none=True).tag(sync=True)
    predicted = traitlets.Float(None, allow_none=True).tag(sync=True)
    predicted_pgd = traitlets.Float(None, allow_none=True).tag(sync=True)

    @property
    def problem(self) -> QuarticSaddle:
        """The function on the map."""
        return QuarticSaddle(self.gamma, [self.lam])

    @property
    def method(self) -> PGD:
        r"""PGD as the figure runs it.

        g_thres = ℓr, the paper's own ratio; f_thres = γ²/16, a drop that every escape makes, since
        f has dropped by 7γ²/64 where |y₁| = √γ/2; and the window ⌈ln(√γ/(πr/400))/ln(1 + ηγ)⌉ in
        which |y₁| grows to √γ, except for the at most one in a hundred perturbations with
        |ξ₁| < πr/400. Raises ValueError if ``perturbation_radius`` is 0.

        >>> SaddleMap().method.episode_length
        154
        """
        if self.perturbation_radius == 0:
            raise ValueError("perturbation_radius = 0 perturbs nothing: the figure's PGD is then "
                             "gradient descent; set it above 0")
        smallest = math.pi / 4 * 0.01 * self.perturbation_radius
        growth = math.log1p(self.step_size * self.gamma)
        return PGD(
            step_size=self.step_size,
            perturbation_radius=self.perturbation_radius,
            grad_threshold=max(2 * self.gamma, self.lam) * self.perturbation_radius,
            decrease_threshold=self.gamma**2 / 16,
            episode_length=max(1, math.ceil(math.log(math.sqrt(self.gamma) / smallest) / growth)),
        )
