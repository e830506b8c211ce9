"""What the still pictures share: their style, and the random numbers of the live figures."""

from __future__ import annotations

import math

import numpy as np

INK, SOFT, CONTOUR, GRID = "#1b1f24", "#4e5862", "#b9c0c7", "#eceff2"

# The same numbers in, the same file out; text stays text, which is smaller and can be read aloud.
STYLE = {
    "svg.hashsalt": "saddlelib",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.edgecolor": "#dde2e7",
    "axes.labelcolor": INK,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "text.color": INK,
}


class FigureDraws(np.random.Generator):
    """A Generator whose numbers are those of the live figure: mulberry32 and Box-Muller."""

    def __init__(self, seed):
        super().__init__(np.random.PCG64(0))
        self._state = seed % 2**32

    def _uniform(self):
        self._state = (self._state + 0x6D2B79F5) % 2**32
        t = (self._state ^ self._state >> 15) * (self._state | 1) % 2**32
        t ^= (t + (t ^ t >> 7) * (t | 61)) % 2**32
        return (t ^ t >> 14) / 2**32

    def random(self, size=None):
        """One number uniform on [0, 1)."""
        assert size is None
        return self._uniform()

    def standard_normal(self, size=None, *, out=None):
        """Two independent standard normal numbers, into ``out`` if given."""
        out = np.empty(size) if out is None else out
        assert out.shape == (2,)
        radius = math.sqrt(-2 * math.log(1 - self._uniform()))
        angle = 2 * math.pi * self._uniform()
        out[:] = radius * math.cos(angle), radius * math.sin(angle)
        return out


def finish(axes):
    """A grid behind the data of each of several axes."""
    for one in axes:
        one.grid(color=GRID, linewidth=0.6)
        one.set_axisbelow(True)
