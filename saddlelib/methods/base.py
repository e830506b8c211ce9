"""What every method carries from step to step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["State"]


@dataclass(repr=False)
class State:
    """Everything a run needs to go on: pickle it, and the run continues bit for bit.

    Attributes
    ----------
    x, jac : ndarray, shape (d,)
        The iterate and the gradient there.
    nit : int
        Steps taken.
    rng : numpy.random.Generator or None
    finished : str or None
        Why the method itself stopped: "stationary", "precision", "nonfinite" (a value it
        needed), or None while it runs.
    note : str
        The numbers behind ``finished``.
    delta_f : float or None
        Δ_f at the start, where the numbers of the method were made from it: a run that goes on
        elsewhere goes on with the same numbers.
    """

    x: np.ndarray
    jac: np.ndarray
    nit: int = 0
    rng: Any = None
    finished: str | None = None
    note: str = ""
    delta_f: float | None = None

    def copy(self) -> State:
        """The same state once more, arrays shared: what a step fills in anew."""
        new = object.__new__(type(self))  # several times faster than dataclasses.replace
        new.__dict__.update(self.__dict__)
        return new

    def __repr__(self) -> str:
        return f"{type(self).__name__}(nit={self.nit}, finished={self.finished!r})"
