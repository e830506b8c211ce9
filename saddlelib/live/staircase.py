"""How long a deep network waits at its saddles, by how many of its layers begin small."""

from __future__ import annotations

import math

import traitlets
from scipy.optimize import brentq

from ..theory import rawal2026
from ._parts import Count, LiveFigure, Number, script, style

__all__ = ["ModeStaircase"]


class ModeStaircase(LiveFigure):
    r"""Three modes of a deep network rise one after the other, and the loss goes down in steps.

    The network learns a matrix with the singular values 1, ``mode_ratio`` and its square, from an
    aligned start: r of the L layers are ε times a diagonal of ones, the others are that diagonal.
    Each mode is then alone. Its strength is p = w₁⋯w_L, or p = w_L s(w_{L−1}⋯s(w₁)) with an
    activation s, where the first r weights are small; and its flow is that of ½(m − p)². The figure
    integrates this flow and marks when p = m/2. Dashed is the prediction of the linear network,
    made before the run: `theory.rawal2026.critical_depth_time` for gradient flow, and for Muon,
    where w′ = 1 until the mode has arrived, the root of (ε + t)^r (1 + t)^{L−r} = m/2.

    All traits are synchronized: setting one in Python moves the figure, and moving the figure sets
    it in Python.

    Parameters
    ----------
    small_layers : int
        r in [1, 6]; of L layers L at most are small.
    eps : float
        ε in [1e-4, 0.5].
    depth : int
        L in [2, 6].
    mode_ratio : float
        Each strength over the one before, in [0.3, 0.95].
    activation : str
        "linear", "tanh", "sin", "swish" or "sigmoid".
    flow : str
        "gradient" or "muon".
    log_time : bool
        Whether the axis of time is logarithmic.

    Attributes
    ----------
    measured_times : list or None
        The time at which each mode is half way in the run, None for a mode that begins beyond. None
        until the figure is shown.

    Raises
    ------
    traitlets.TraitError
        If a trait is given a value outside these ranges; the message names them.
    TypeError
        If there is no trait of that name.

    Examples
    --------
    >>> figure = ModeStaircase(eps=1e-2)
    >>> figure
    ModeStaircase(small_layers=3, eps=0.01, depth=3)
    >>> [round(t, 1) for t in figure.predicted_times]    # about 1/(εm)
    [99.1, 197.9, 394.6]
    >>> figure.flow = "muon"
    >>> [round(t, 2) for t in figure.predicted_times]
    [0.78, 0.62, 0.49]
    """

    _esm = script("staircase")
    _css = style()

    _inputs = ("small_layers", "eps", "depth", "mode_ratio", "activation", "flow", "log_time")
    _always_shown = ("small_layers", "eps", "depth")

    small_layers = Count(3, 1, 6).tag(sync=True)
    eps = Number(1e-3, 1e-4, 0.5).tag(sync=True)
    depth = Count(3, 2, 6).tag(sync=True)
    mode_ratio = Number(0.5, 0.3, 0.95).tag(sync=True)
    activation = traitlets.Enum(["linear", "tanh", "sin", "swish", "sigmoid"],
                                "linear").tag(sync=True)
    flow = traitlets.Enum(["gradient", "muon"], "gradient").tag(sync=True)
    log_time = traitlets.Bool(False).tag(sync=True)

    measured_times = traitlets.List(None, allow_none=True).tag(sync=True)

    @property
    def modes(self) -> list[float]:
        """The singular values that the modes grow to, the largest first."""
        return [1.0, self.mode_ratio, self.mode_ratio**2]

    @property
    def start(self) -> list[float]:
        """The L weights of each mode at the start."""
        r = min(self.small_layers, self.depth)
        return [self.eps] * r + [1.0] * (self.depth - r)

    @property
    def predicted_times(self) -> list[float | None]:
        """When each mode of the linear network is half way; None for one that begins beyond."""
        return [self._predicted(m) for m in self.modes]

    def _predicted(self, m):
        L, r = self.depth, min(self.small_layers, self.depth)
        begins = self.eps**r
        if begins >= m / 2:
            return None
        if self.flow == "muon":
            return brentq(lambda t: (self.eps + t) ** r * (1 + t) ** (L - r) - m / 2, 0, 1,
                          xtol=1e-14)
        # With w = m^(1/L) v the mode grows to 1, in a time that is m^(2 − 2/L) times as long.
        unit = m ** (1 / L)
        fraction = (0.5 / (1 - begins / m)) ** 2
        return rawal2026.critical_depth_time(self.eps / unit, r, L, fraction,
                                             1 / unit) / m ** (2 - 2 / L)

    @property
    def leading_times(self) -> list[float | None]:
        """The leading terms of these times for ε → 0; None where they do not depend on ε."""
        r = min(self.small_layers, self.depth)
        if self.flow == "muon" or r == 1:
            return [None] * 3
        wait = math.log(1 / self.eps) if r == 2 else self.eps ** (2 - r) / (r - 2)
        return [wait / m for m in self.modes]
