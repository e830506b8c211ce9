"""A ball in a ravine: constant steps, Polyak's steps and GDPolyak, a live figure."""

from __future__ import annotations

import traitlets

from ..problems import ConvexQuartic, Problem, RavineRosenbrock
from ._parts import Count, LiveFigure, Number, Point, script, style

__all__ = ["RavineBall"]

METHODS = ["gd", "polyak", "gdpolyak"]


class RavineBall(LiveFigure):
    r"""Level lines of a function with a ravine, and three ways to go down it from a start.

    The ways are gradient descent with constant steps η, Polyak's method, and GDPolyak: epochs of K
    short steps η∇f and one long step λ(f − f*)/‖∇f‖²·∇f. Beside the map stand the loss, the
    distance and the step size against the step, on log axes. Dashed is what is predicted:

    * along the ravine a constant step adds 8η to 1/v² (a little less on a bent one), so that the
      distance falls like 1/√(8ηk);
    * a long step multiplies v by 1 − λ/4, so with λ = 1 the distance by 3/4 and the next long step
      by 16/9;
    * a long step multiplies the distance from the ravine by |1 − λμ/(16v²)| and K short ones by
      |1 − ημ|ᴷ; where the slope of the walls exceeds that of the ravine the prediction ends.

    The functions are those of ``problem``: "straight" u² + v⁴, "rosenbrock" v⁴ + a(u − v²)² and
    "parabola" ½(u + v²)² + v⁴. All traits are synchronized: setting one in Python moves the
    figure, and moving the figure sets it in Python.

    Parameters
    ----------
    problem : str
        "straight", "rosenbrock" or "parabola".
    steepness : float
        a in [1, 100] of "rosenbrock".
    start : sequence of two floats
        In [−1.5, 1.5].
    step_size : float
        η in [1e-4, 2].
    epoch_length : int
        K in [0, 500]; with 0 and no growth GDPolyak is Polyak's method.
    growth : float
        In [0, 10]: epoch i (from 0) has ⌊K + i·growth⌋ short steps.
    polyak_factor : float
        λ in [0.1, 8].
    f_star_error : float
        In [−1, 1]: what the methods believe of f* = 0. A run that meets a lower value as it
        computes a long step ends there.
    maxiter : int
        Steps of every run, in [10, 5000].
    shown : list of str
        Which of "gd", "polyak" and "gdpolyak" are drawn.
    distance : str
        "minimizer" or "ravine": to what the second plot measures.
    log_steps : bool
        Whether the axis of the steps is logarithmic.
    follow : bool
        Whether the map zooms in with GDPolyak.

    Attributes
    ----------
    best : float or None
        The least value of GDPolyak.
    measured_contraction : float or None
        The median factor by which its long steps change the coordinate along the ravine.
    predicted_floor : float or None
        The value where its steps are predicted to fail, if that is within ``maxiter`` steps. All
        three are None until the figure is shown.

    Raises
    ------
    traitlets.TraitError
        If a trait is given a value outside these ranges; the message names them.
    TypeError
        If there is no trait of that name.

    Examples
    --------
    >>> figure = RavineBall(epoch_length=8)
    >>> figure
    RavineBall(problem='rosenbrock', epoch_length=8)
    >>> figure.function.ravine(0.5).tolist()
    [0.5, 0.25]
    >>> figure.problem = "straight"
    >>> float(figure.function.fun([3.0, 2.0]))
    25.0
    """

    _esm = script("ravine")
    _css = style()

    _inputs = ("problem", "steepness", "start", "step_size", "epoch_length", "growth",
               "polyak_factor", "f_star_error", "maxiter", "shown", "distance", "log_steps",
               "follow")
    _always_shown = ("problem", "epoch_length")

    problem = traitlets.Enum(["straight", "rosenbrock", "parabola"], "rosenbrock").tag(sync=True)
    steepness = Number(10.0, 1, 100).tag(sync=True)
    start = Point([0.6, 0.9], 1.5).tag(sync=True)
    step_size = Number(0.025, 1e-4, 2).tag(sync=True)
    epoch_length = Count(30, 0, 500).tag(sync=True)
    growth = Number(0.0, 0, 10).tag(sync=True)
    polyak_factor = Number(1.0, 0.1, 8).tag(sync=True)
    f_star_error = Number(0.0, -1, 1).tag(sync=True)
    maxiter = Count(1000, 10, 5000).tag(sync=True)
    shown = traitlets.List(traitlets.Enum(METHODS), METHODS).tag(sync=True)
    distance = traitlets.Enum(["minimizer", "ravine"], "minimizer").tag(sync=True)
    log_steps = traitlets.Bool(False).tag(sync=True)
    follow = traitlets.Bool(False).tag(sync=True)

    best = traitlets.Float(None, allow_none=True).tag(sync=True)
    measured_contraction = traitlets.Float(None, allow_none=True).tag(sync=True)
    predicted_floor = traitlets.Float(None, allow_none=True).tag(sync=True)

    @property
    def function(self) -> Problem:
        """The function; its ravine is ``function.ravine``."""
        if self.problem == "straight":
            return ConvexQuartic()
        if self.problem == "rosenbrock":
            return RavineRosenbrock(self.steepness)
        return RavineRosenbrock(0.5, bend=-1.0)
