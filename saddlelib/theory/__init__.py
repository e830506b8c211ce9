"""What the papers promise: explicit constants and laws, one file per paper.

`certified` says what certified PSD, our default, is sure to need. `budget` turns the promises into
time and money, `precision` says where float64 cannot keep them, `noise` what a test on a
mini-batch gradient can tell, `concentration` how far the mean of a sample is from the mean of all,
`ravine` how long and short steps share the work where the minimizer is degenerate, and `jumps`
what steps can do there that know the order of growth. `rawal2026`, `saxe2013`, `pesme2023` and
`muon` say how deep networks leave their saddles from a small start.
"""

from . import (
    alpay2025,
    budget,
    certified,
    concentration,
    du2017,
    episode,
    jin2017,
    jin2021,
    jumps,
    laws,
    muon,
    noise,
    pesme2023,
    precision,
    ravine,
    rawal2026,
    saxe2013,
)

__all__ = ["alpay2025", "budget", "certified", "concentration", "du2017", "episode", "jin2017",
           "jin2021", "jumps", "laws", "muon", "noise", "pesme2023", "precision", "ravine",
           "rawal2026", "saxe2013"]
