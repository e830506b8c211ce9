"""Cells for the tests of sweeps, which other processes import or get by value."""

import os
import signal
import sys
import time

import numpy as np

from saddlelib.methods import PGD
from saddlelib.problems import QuarticSaddle
from saddlelib.sweep import Pair

GRID = {"size": [1, 2.5, 4], "word": ["a", "b"], "flag": [True, False]}


def plain(size, word, flag, rng):
    """Numbers of every kind, and luck."""
    return {"sum": size + rng.random(), "twice": 2 * word, "not": not flag, "whole": len(word)}


def slow(size, word, flag, rng):
    """As plain, and a thousandth of a second."""
    time.sleep(1e-3)
    return plain(size, word, flag, rng)


def misbehaving(what, rng):
    """One of the things that cells do."""
    if what == "raises":
        raise KeyError("lost")
    if what == "exits":
        sys.exit(3)
    if what == "nan":
        return {"value": np.nan, "more": 1}
    if what == "inf":
        return {"value": np.inf, "more": 1}
    if what == "list":
        return {"value": [1, 2]}
    if what == "own":
        return {"seed": 3}
    if what == "sleeps":
        time.sleep(30)
    if what == "loops":
        while True:
            try:
                time.sleep(0.01)
            except Exception:
                pass
    if what == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    return {"value": 1.0, "more": 1}


def dying(folder, size, rng):
    """Ends its worker the first time that some of its numbers come up."""
    mark = os.path.join(folder, f"{size}")
    if size % 7 == 0 and not os.path.exists(mark):
        open(mark, "x").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return size + rng.random()


def saddle(d):
    """The problem of an escape."""
    return QuarticSaddle.spread(d)


def pgd(d, radius):
    """Its method."""
    return PGD(step_size=1.0, perturbation_radius=radius, grad_threshold=1e-3,
               decrease_threshold=1e-6, episode_length=500)


def left(x):
    """Whether points have left."""
    return abs(x[:, 0]) > 0.2


ESCAPE = Pair(saddle, pgd, maxiter=2000, until=left, batch=40)
ESCAPES = {"d": [2, 10], "radius": [1e-6, 1e-3]}
