"""A race of the methods down a ravine, counted in oracle calls: a live figure."""

from __future__ import annotations

import numpy as np
import traitlets

from ..problems import ConvexQuartic, MatrixFactorization, Problem, RavineRosenbrock
from ..theory import ravine
from ._parts import Count, LiveFigure, Number, script, style

__all__ = ["MethodRace"]


class MethodRace(LiveFigure):
    r"""Seven methods from one start, their least value against oracle calls, and a ranked table.

    One call is one value and one gradient. The methods are gradient descent, Nesterov's with
    restarts, Barzilai and Borwein's, GDPolyak with K short steps an epoch and with growing K,
    L-BFGS with ten pairs, and `methods.OrderAwareNewton`; the first two and GDPolyak share
    ``step_size``. The finishes are f − f* = 10⁻¹², 10⁻²⁰ and 10⁻²⁸. Dashed is the near-linear law
    of GDPolyak with growing K: f times 81/256 at each long step. Rings mark the jumps of the
    order-aware method.

    All traits are synchronized: setting one in Python moves the figure, and moving the figure sets
    it in Python.

    Parameters
    ----------
    problem : str
        "rosenbrock" x⁴ + a(y − x²)², "convex" `ConvexQuartic` in ten dimensions, or
        "factorization", `MatrixFactorization` of a 5 × 5 matrix of rank two by three columns.
    condition : float
        In [1, 1000]: the steepness a of Rosenbrock's ravine, which has no condition number,
        and the condition number κ of the walls of the other two.
    epoch_length : int
        K in [1, 2000].
    maxiter : int
        Oracle calls of each method, in [100, 50000].
    seed : int
        In [0, 2³¹ − 1]: names the start.
    log_calls : bool
        Whether the axis of the calls is logarithmic.

    Attributes
    ----------
    finished : bool
        Whether all methods are at their end.
    calls : dict or None
        Of each method its calls to the three finishes, None for one that it did not reach. None
        until the race has finished.

    Raises
    ------
    traitlets.TraitError
        If a trait is given a value outside these ranges; the message names them.
    TypeError
        If there is no trait of that name.

    Examples
    --------
    >>> figure = MethodRace(condition=10.0)
    >>> figure
    MethodRace(problem='rosenbrock', condition=10.0)
    >>> figure.step_size, figure.growth
    (0.0125, 2.0)
    """

    _esm = script("race")
    _css = style()

    _inputs = ("problem", "condition", "epoch_length", "maxiter", "seed", "log_calls")
    _always_shown = ("problem", "condition")

    problem = traitlets.Enum(["rosenbrock", "convex", "factorization"], "rosenbrock").tag(sync=True)
    condition = Number(10.0, 1, 1000).tag(sync=True)
    epoch_length = Count(100, 1, 2000).tag(sync=True)
    maxiter = Count(10000, 100, 50000).tag(sync=True)
    seed = Count(2, 0, 2**31 - 1).tag(sync=True)
    log_calls = traitlets.Bool(True).tag(sync=True)

    finished = traitlets.Bool(False).tag(sync=True)
    calls = traitlets.Instance(dict, allow_none=True).tag(sync=True)

    @property
    def function(self) -> Problem:
        """The function, with its μ and L in ``function.normal_curvature``."""
        if self.problem == "rosenbrock":
            return RavineRosenbrock(self.condition)
        if self.problem == "convex":
            return ConvexQuartic.spread(10, self.condition)
        return MatrixFactorization(np.diag([1.0, 1 / self.condition, 0.0, 0.0, 0.0]), columns=3)

    @property
    def step_size(self) -> float:
        """η of the short steps."""
        if self.problem == "rosenbrock":
            return min(0.125 / self.condition, 0.05)
        return 0.5 if self.problem == "convex" else 0.1

    @property
    def growth(self) -> float:
        """Short steps that each epoch has more than the last: `theory.ravine.growth`.

        To twelve digits: a whole number should not become the one below it by rounding.
        """
        return float(f"{ravine.growth(self.step_size, self.function.normal_curvature[0]):.12g}")
