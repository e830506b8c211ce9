"""What some answers lead to, small enough for a page to work out as well: runs and probabilities.

answers.js has the same functions; `tests/test_checks.py` compares the two.
"""

from __future__ import annotations

import functools
import math
import sys

from scipy.special import chdtr, chndtr


@functools.lru_cache(64)
def leave(starts, radius, step_size, gamma, depth, window) -> int:
    """How many of some starts get ``depth`` below a quartic saddle within a window.

    By gradient descent on −γx²/2 + x⁴/4 from ``radius`` times each start: the other coordinates of
    `saddlelib.problems.QuarticSaddle` have long decayed by then.
    """
    count = 0
    for start in starts:
        x, k = radius * start, 0
        while x * x * (gamma / 2 - x * x / 4) < depth and k < window:
            x, k = x + step_size * x * (gamma - x * x), k + 1
        count += x * x * (gamma / 2 - x * x / 4) >= depth
    return count


@functools.lru_cache(64)
def race(first, growth, factor, what) -> float:
    """A run of `saddlelib.methods.GDPolyak` down Rosenbrock's ravine from (0.6, 0.9), η = 0.04.

    "arrived": the gradients until f ≤ 10⁻²⁴, inf if that takes more than 700. "best": the least f
    within 300 gradients. Products alone, so that a page comes to the same bits: some of these runs
    are chaotic.
    """
    x, y, left, epochs, best = 0.6, 0.9, first, 0, math.inf
    for calls in range(1, 700):
        off = y - x * x
        f = x * x * (x * x) + 10 * (off * off)
        if calls <= 300 and f < best:
            best = f
        if f <= 1e-24:
            return calls if what == "arrived" else best
        along, across = 4 * (x * x * x) - 2 * x * (20 * off), 20 * off
        largest = max(abs(along), abs(across))
        if not (0 < largest < math.inf and f < math.inf):
            break
        step = 0.04
        if left >= 1:
            left -= 1
        else:
            a, b = along / largest, across / largest
            step = min(factor * (f / largest / (a * a + b * b) / largest), sys.float_info.max)
            epochs += 1
            left = first + math.floor(min(epochs * growth, sys.float_info.max))
        x, y = x - step * along, y - step * across
    return math.inf if what == "arrived" else best


OPERATIONS = {
    "leave": leave,
    "race": race,
    # P(χ²_d ≤ x), and the same for the squared length of a vector whose mean has the square c.
    "chi2": lambda d, x: float(chdtr(d, x)),
    "ncx2": lambda d, c, x: float(chndtr(x, d, c)),
}
