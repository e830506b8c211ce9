"""Laws of Du, Jin, Lee, Jordan, Póczos & Singh 2017, *Gradient Descent Can Take Exponential Time*.

arXiv:1705.10412. The octopus itself is `saddlelib.problems.Octopus`.
"""

from __future__ import annotations

import math

from .._arguments import positive
from ._numbers import representable

__all__ = ["exit_time_ratio"]


def exit_time_ratio(step_size, L, gamma) -> float:
    r"""Each saddle of the octopus takes this many times longer to leave than the one before.

    While x_i grows by 1 + 2ηγ a step, every later coordinate shrinks by 1 − 2ηL, so that x_{i+1}
    starts its growth smaller by that many steps of shrinking:

    .. math:: \frac{t_{i+1}}{t_i} \to 1 + \frac{\ln\frac{1}{1-2\eta L}}{\ln(1+2\eta\gamma)}.

    As η → 0 this is (L + γ)/γ, the ratio of Du et al. (2017). Derived here.

    Parameters
    ----------
    step_size : float
        η in (0, 1/(2L)).
    L, gamma : float
        Curvatures of the octopus: L > 0 along the coordinates that wait, −γ < 0 along the one that
        leaves.

    Returns
    -------
    float
        More than 1.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> round(exit_time_ratio(0.25, L=1.0, gamma=1.0), 2), round(exit_time_ratio(1e-6, 1., 1.), 2)
    (2.71, 2.0)
    """
    eta, L, gamma = positive("step_size", step_size), positive("L", L), positive("gamma", gamma)
    if 2 * eta * L >= 1:
        raise ValueError(f"step_size must be below 1/(2L) = {0.5 / L:.3g}, got {eta}")
    growth = representable("ln(1 + 2ηγ)", math.log1p(2 * eta * gamma), step_size=eta, gamma=gamma)
    return 1 - math.log1p(-2 * eta * L) / growth
