r"""Which saddles a diagonal linear network passes, and when: Pesme & Flammarion 2023.

*Saddle-to-saddle dynamics in diagonal linear networks*, arXiv:2304.00488. The abstract was read:
the limit of the flow for a vanishing start jumps from saddle to saddle, by a recursive algorithm
like that of the Lasso path, and ends at an interpolator of least ℓ₁ norm. The algorithm here is
from memory, not from the paper's text; that it is right is measured, by tests against the flow.

The network is β = u∘v, the flow that of

.. math:: F(u, v) = L(u\circ v), \qquad L(\beta) = \frac1{2n}\lVert X\beta - y\rVert^2,

from u = √2 α 1, v = 0. Since u² − v² is conserved, (d/dt) arsinh(β/α²) = −2∇L(β): so

.. math:: \beta = \alpha^2\sinh(2z), \qquad z = -\int_0^t \nabla L(\beta)\,\mathrm dt,

and a coordinate is of the size of 1 where z is about ± ln(1/α). In the time τ = t/ln(1/α) and with
s = z/ln(1/α), as α → 0, a coordinate is 0 where \|sᵢ\| < 1, and may be positive where sᵢ = 1 and
negative where sᵢ = −1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from .._arguments import integer
from ._numbers import finite_array

__all__ = ["Jumps", "jumps"]

# A gradient below this times the first one is 0, and two times this near are one.
_ZERO = 1e-9


@dataclass(frozen=True)
class Jumps:
    """The limit of the flow for α → 0: it rests at a saddle, jumps, and rests at the next.

    Attributes
    ----------
    times : ndarray, shape (k,)
        When it jumps, in units of ln(1/α), rising.
    saddles : ndarray, shape (k + 1, d)
        β between the jumps; the first is 0, the last a minimizer of L.
    losses : ndarray, shape (k + 1,)
        L at the saddles, falling.

    Examples
    --------
    >>> path = jumps([[1.0, 0.0], [0.0, 1.0]], [2.0, -1.0])
    >>> path.times.tolist(), path.losses.tolist()
    ([1.0, 2.0], [1.25, 0.25, 0.0])
    """

    times: np.ndarray
    saddles: np.ndarray
    losses: np.ndarray


def jumps(X, y, max_jumps=1000) -> Jumps:
    r"""The times at which the flow jumps as α → 0, and the saddles between, from X and y.

    With τ = 0, β = 0, s = 0, while ∇L(β) ≠ 0: wait for the least δ > 0 at which some
    sᵢ − δ∂ᵢL(β) with ∂ᵢL(β) ≠ 0 is ± 1, let τ ← τ + δ, s ← s − δ∇L(β), and jump to the minimizer
    of L among the β with βᵢ ≥ 0 where sᵢ = 1, βᵢ ≤ 0 where sᵢ = −1, and βᵢ = 0 elsewhere. The first
    jump is at 1/‖∇L(0)‖_∞. A minimizer is by SciPy's `scipy.optimize.nnls`.

    It is unique, and so is what follows, if the columns of X are in general position.

    Parameters
    ----------
    X : array, shape (n, d)
    y : array, shape (n,)
    max_jumps : int
        Most jumps; an error after more.

    Returns
    -------
    Jumps

    Raises
    ------
    TypeError, ValueError
        Naming the argument; also if columns of X that are active together depend on each other.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.8]])
    >>> path = jumps(X, X @ [2.0, 0.0, 0.5])
    >>> path.times.round(3).tolist(), path.saddles[-1].round(3).tolist()
    ([1.0, 2.5], [1.8, 0.4, 0.0])
    """
    X, y = _data(X, y)
    most, n, d = integer("max_jumps", max_jumps), *X.shape
    beta, s, gradient = np.zeros(d), np.zeros(d), -X.T @ y / n
    times, saddles, losses = [0.0], [beta], [y @ y / (2 * n)]
    # What rounding leaves of a gradient that is 0, coordinate by coordinate.
    zero = _ZERO * np.abs(gradient).max()
    while (moving := np.abs(gradient) > zero).any():
        if len(times) > most:
            raise ValueError(f"X and y make more than max_jumps = {most} jumps; if that is not "
                             f"plausible, two columns of X may be one: leave one out")
        wait = np.full(d, np.inf)
        goal = -np.sign(gradient[moving])
        wait[moving] = (s[moving] - goal) / gradient[moving]
        delta = wait.min()
        reached = wait <= delta * (1 + _ZERO)
        s = np.where(moving, s - delta * gradient, s)
        s[reached] = -np.sign(gradient[reached])
        beta = _constrained(X, y, s)
        residual = X @ beta - y
        gradient = X.T @ residual / n
        gradient[beta != 0] = 0.0
        times.append(times[-1] + delta)
        saddles.append(beta)
        losses.append(residual @ residual / (2 * n))
    return Jumps(np.array(times[1:]), np.array(saddles), np.array(losses))


def _constrained(X, y, s):
    """The minimizer of L with the signs of those s that are ± 1, and 0 where it is neither."""
    active = np.flatnonzero(np.abs(s) == 1)
    if np.linalg.matrix_rank(X[:, active]) < active.size:
        raise ValueError(f"X must have columns in general position, but {active.tolist()}, which "
                         f"are active together, depend on each other; leave one of them out")
    beta = np.zeros(X.shape[1])
    beta[active] = s[active] * nnls(X[:, active] * s[active], y)[0]
    return beta + 0.0  # no −0


def _data(X, y):
    X, y = finite_array("X", X, 2), finite_array("y", y, 1)
    if len(y) != len(X):
        raise ValueError(f"X and y must have shapes (n, d) and (n,), got {X.shape} and {y.shape}")
    return X, y
