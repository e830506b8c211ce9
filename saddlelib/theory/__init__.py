"""What the papers promise: explicit constants and laws, one file per paper.

`budget` turns the promises into time and money, `precision` says where float64 cannot keep them,
and `noise` what a test on a mini-batch gradient can tell.
"""

from . import alpay2025, budget, du2017, episode, jin2017, jin2021, laws, noise, precision

__all__ = ["alpay2025", "budget", "du2017", "episode", "jin2017", "jin2021", "laws", "noise",
           "precision"]
