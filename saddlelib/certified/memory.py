"""The curvature that L-BFGS remembers, kept from round to round."""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dtrtrs

__all__ = ["Memory"]

# Pairs that are kept, at most one more than there are variables, and rows of the buffers.
_PAIRS, _ROWS = 20, 40
# A pair whose cosine is below this says nothing of curvature.
_FLAT = 1e-8


class Memory:
    r"""The last m = 20 pairs s = Δx, y = Δ∇f, and the inverse Hessian that L-BFGS makes of them.

    With S, Y of shape (m, d), R the upper triangle of SYᵀ, D its diagonal and τ = sᵀy/yᵀy of the
    last pair, the direction is (Byrd, Nocedal & Schnabel 1994, Math. Program. 63, 129-156, (3.13))

    .. math:: Hg = \tau g + S^T R^{-T}\big((D + \tau YY^T) R^{-1} Sg - \tau Yg\big)
                   - \tau Y^T R^{-1} Sg .

    It is never changed: `add` returns another one, so a state that holds it stays as it was. Both
    share two buffers as long as the pair comes into a row that is still free.

    Examples
    --------
    >>> import numpy as np
    >>> memory = Memory()
    >>> for s in np.eye(2):
    ...     memory = memory.add(s, np.array([1.0, 4.0]) * s)
    >>> memory.direction(np.ones(2))
    array([-1.  , -0.25])
    """

    def __init__(self):
        self.steps = self.changes = None  # the buffers, of shape (_ROWS, d)
        self.filled = [0]  # rows in use, known to all who share the buffers
        self.first = self.last = 0
        self.products = self.squares = np.empty((0, 0))  # R and YYᵀ
        self.scale = 1.0

    def __len__(self):
        return self.last - self.first

    def add(self, s, y) -> Memory:
        """With one pair more, or as it is where the pair shows no positive curvature."""
        sy, yy = float(s.dot(y)), float(y.dot(y))
        if not (sy * sy > _FLAT**2 * yy * float(s.dot(s)) and sy > 0 and 0 < yy < np.inf):
            return self
        new = object.__new__(Memory)
        new.__dict__.update(self.__dict__)
        new.first = max(self.first, self.last + 1 - min(_PAIRS, s.size + 1))
        kept = slice(new.first, self.last)
        if self.steps is None or self.last == _ROWS or self.filled[0] != self.last:
            buffers = np.empty((2, _ROWS, s.size))
            if self.steps is not None:
                buffers[0, :kept.stop - kept.start] = self.steps[kept]
                buffers[1, :kept.stop - kept.start] = self.changes[kept]
            new.steps, new.changes = buffers
            new.first, kept = 0, slice(0, kept.stop - kept.start)
        new.last = kept.stop + 1
        new.filled = self.filled if new.steps is self.steps else [0]
        new.filled[0] = new.last
        new.steps[kept.stop], new.changes[kept.stop] = s, y
        rows, size, known = slice(new.first, new.last), len(new), len(self)
        old = slice(known - (size - 1), known)
        new.products = np.zeros((size, size), order="F")  # as LAPACK wants it
        new.products[:-1, :-1] = self.products[old, old]
        new.products[:, -1] = new.steps[rows].dot(y)
        new.squares = np.empty((size, size))
        new.squares[:-1, :-1] = self.squares[old, old]
        new.squares[:, -1] = new.squares[-1] = new.changes[rows].dot(y)
        new.scale = sy / yy
        return new

    def direction(self, g) -> np.ndarray:
        """−Hg."""
        s, y = self.steps[self.first:self.last], self.changes[self.first:self.last]
        scale, upper = self.scale, self.products
        # `dot` is the same as @ here, and sooner there.
        p = dtrtrs(upper, s.dot(g))[0]
        q = upper.diagonal() * p + scale * (self.squares.dot(p) - y.dot(g))
        q = dtrtrs(upper, q, trans=1)[0]
        return scale * (p.dot(y) - g) - q.dot(s)
