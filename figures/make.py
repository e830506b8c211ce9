"""Make the pictures of this folder: ``python figures/make.py``.

Most are the first state of a live figure, for readers without scripts; four are the story of the
book, and one has the questions that lead to a method.
"""

from __future__ import annotations

from pathlib import Path

import budget
import episode
import ladder
import matplotlib
import noise
import race
import ravine
import saddle_map
import staircase
import story
from style import STYLE

from saddlelib.live import (
    BudgetCalculator,
    EscapeEpisode,
    MethodRace,
    ModeStaircase,
    NoisyTrigger,
    RavineBall,
    SaddleMap,
)

HERE = Path(__file__).resolve().parent
PICTURES = {
    "saddle-map.svg": lambda: saddle_map.saddle_map(SaddleMap()),
    "episode.svg": lambda: episode.episode(EscapeEpisode()),
    "noise.svg": lambda: noise.trigger(NoisyTrigger()),
    "ravine.svg": lambda: ravine.ball(RavineBall()),
    "race.svg": lambda: race.race(MethodRace()),
    "staircase.svg": lambda: staircase.staircase(ModeStaircase()),
    "budget.svg": lambda: budget.bars(BudgetCalculator()),
}
DRAWN = {"story-saddle.svg": story.saddle, "story-noise.svg": story.noise,
         "story-ravine.svg": story.ravine, "story-staircase.svg": story.staircase,
         "which-method.svg": ladder.ladder}


def main(folder=HERE):
    """Write every picture into a folder and return their paths."""
    paths = []
    with matplotlib.rc_context(STYLE):
        for name, draw in PICTURES.items():
            paths.append(Path(folder) / name)
            draw().savefig(paths[-1], metadata={"Date": None, "Creator": None})
    for name, draw in DRAWN.items():
        paths.append(Path(folder) / name)
        paths[-1].write_text(draw(), encoding="utf-8")
    return paths


if __name__ == "__main__":
    for made in main():
        print(made.name)
