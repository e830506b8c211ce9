"""PSGD against the optimizers of its authors' package, on real data near a saddle.

    python benchmarks/optim_peer.py                   three tasks, two starts, two minutes
    python benchmarks/optim_peer.py --samples 2400    half of it

The peer is installed with ``pip install --no-deps --target peer psd-optimizer==0.1.2`` and found
with ``PYTHONPATH=peer``; without it its rows stay away. README.md says what each column means.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import time
from functools import partial

import numpy as np
import torch
from _measure import short, table, versions

from saddlelib import tasks
from saddlelib.optim import PSGD

RATES = [0.1, 0.5, 2.5]  # of methods that step along the gradient
ADAM_RATES = [0.004, 0.02, 0.1]
SEEDS = range(100, 105)
# One setting for all tasks. The peer gets the same threshold, radius and length where it has them.
EPSILON, RADIUS, LENGTH = 0.02, 0.3, 10
HOW_TO = ("psd-optimizer is not installed, so the rows of the peer stay away. To have them:\n"
          "    pip install --no-deps --target peer psd-optimizer==0.1.2\n"
          "    PYTHONPATH=peer python benchmarks/optim_peer.py\n")
HEADER = ["task", "start", "method", "lr", "left", "samples to leave", "ms to leave",
          "loss at the end", "worst"]


def peer():
    """The classes PSDOptimizer and PerturbedAdam of the authors' package, or None."""
    try:
        found = importlib.import_module("psd_optimizer")
    except ImportError:
        return None
    logging.getLogger("psd_optimizer").setLevel(logging.ERROR)  # it warns at each halved rate
    return found.PSDOptimizer, found.PerturbedAdam


def ours() -> dict:
    """The entries of saddlelib and of PyTorch."""
    psgd = partial(PSGD, rule="pairs", check_every=2, window=4, epsilon=EPSILON, curvature_tol=0.1,
                   perturbation_radius=RADIUS, episode_length=LENGTH, lanczos_steps=8)
    return {
        "SGD": tasks.Entry(torch.optim.SGD, RATES),
        "Adam": tasks.Entry(torch.optim.Adam, ADAM_RATES),
        "PSGD": tasks.Entry(psgd, RATES, closure="curvature"),
        "PSGD, no look": tasks.Entry(partial(psgd, curvature_check=False), RATES,
                                     closure="curvature"),
    }


def theirs(classes, dim) -> dict:
    """The entries of the peer: with its defaults, and with the settings that ours has.

    Its perturbation is Gaussian in each number, ours uniform on a ball: r/√d makes them alike.
    """
    psd, adam = classes
    number = RADIUS / np.sqrt(dim)
    return {
        "PSDOptimizer, defaults": tasks.Entry(psd, RATES, closure="loss"),
        "PSDOptimizer": tasks.Entry(partial(psd, epsilon=EPSILON, r=number, T=LENGTH), RATES,
                                    closure="loss"),
        "PerturbedAdam, defaults": tasks.Entry(adam, ADAM_RATES),
        "PerturbedAdam": tasks.Entry(partial(adam, r=number), ADAM_RATES),
    }


def rows(task, entries, start, scale, samples):
    """The rows of one task and one start, as lists of strings."""
    setting = dict(batch_size=64, curvature_batch=64, points=samples // 64 + 1, scale=scale,
                   seeds=SEEDS)
    for name, entry in entries.items():
        result = tasks.race(task, {name: entry}, samples=samples, **setting)
        gone, end = result.leaves(name), result.loss[name][:, -1]
        left, count = int(np.isfinite(gone).sum()), float(np.median(gone))
        never = not np.isfinite(count)
        seconds = [] if never else to_leave(task, entry, result.lr[name], int(count), scale)
        yield [task.name, start, name, f"{result.lr[name]:g}", f"{left}/{len(gone)}",
               "–" if never else short(count), "–" if never else short(1e3 * np.median(seconds)),
               f"{np.median(end):.3f}", f"{end.max():.3f}"]


def to_leave(task, entry, lr, samples, scale):
    """Processor seconds of each run with a budget of so many samples, without its spectator."""
    found = []
    for seed in SEEDS:
        begin = time.process_time()
        tasks.race(task, {"": tasks.Entry(entry.build, [lr], closure=entry.closure)},
                   samples=samples, batch_size=64, curvature_batch=64, points=2, scale=scale,
                   seeds=[seed])
        found.append(time.process_time() - begin)
    return found


def main(samples=4800):
    """Print the table."""
    torch.set_num_threads(1)
    classes = peer()
    if classes is None:
        print(HOW_TO)
    found = []
    for task in (tasks.tanh_network(), tasks.completion(), tasks.autoencoder()):
        entries = ours() | (theirs(classes, task.dim) if classes else {})
        for start, scale in (("near", None), ("at", 0.0)):
            found += rows(task, entries, start, scale, samples)
    print(f"{versions()}, PyTorch {torch.__version__}; {len(SEEDS)} seeds\n\n"
          f"{table(HEADER, found)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=4800)
    main(**vars(parser.parse_args()))
