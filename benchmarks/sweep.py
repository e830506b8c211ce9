"""What a sweep costs on top of its runs, by engine: cells per second, in turns with the ensemble.

An engine of two workers is held against two ensembles at once, which share memory and caches as its
workers do; all of its time counts, from the first cell to the table.

    python benchmarks/sweep.py [--rows 100000] [--dim 100] [--workers 2] [--repeat 3]
    python benchmarks/sweep.py --record      writes sweep.json, too, for the page on clusters

The cell is one escape of PGD from the saddle of `QuarticSaddle`. Seconds are wall-clock time; the
engines are up before it counts. Dask and Ray take part where they are installed.
"""

import argparse
import contextlib
import json
import statistics
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import joblib
import numpy as np
from _measure import short, table, versions

from saddlelib import ensemble
from saddlelib.methods import PGD
from saddlelib.problems import QuarticSaddle
from saddlelib.sweep import Pair, sweep

RECORD = Path(__file__).with_suffix(".json")


def problem(d):
    """A saddle with one direction of descent."""
    return QuarticSaddle.spread(d)


def method(d):
    """Its escape."""
    return PGD.practical(step_size=1.0, epsilon=1e-3, dim=d, lipschitz_hess=1.9)


def has_left(x):
    """Whether points are out."""
    return np.abs(x[:, 0]) > 0.2


def alone(dim, begin, rows):
    """The same runs without a sweep."""
    for first in range(begin, begin + rows, 1000):
        ensemble.run(problem(dim), np.zeros(dim), method(dim), maxiter=2000, until=has_left,
                     seeds=range(first, min(first + 1000, begin + rows)))


def at_once(dim, rows, workers):
    """Seconds of so many runs without a sweep, in one process or several at once."""
    shares = [rows // workers] * workers
    if workers == 1:
        return seconds_of(alone, dim, 0, *shares)
    with joblib.parallel_config("loky", n_jobs=workers, inner_max_num_threads=1):
        return seconds_of(joblib.Parallel(), (joblib.delayed(alone)(dim, i * rows, share)
                                              for i, share in enumerate(shares)))


@contextlib.contextmanager
def dask(workers):
    """A local cluster of Dask, as the engine.

    Its own setting lets workers give memory back at every free, which halves the speed of such
    cells; here they keep it.
    """
    import dask as settings
    from distributed import Client, LocalCluster
    keep = {f"MALLOC_{name}_THRESHOLD_": 2**27 for name in ("MMAP", "TRIM")}
    with settings.config.set({"distributed.nanny.pre-spawn-environ": keep}), \
            LocalCluster(n_workers=workers, threads_per_worker=1,
                         dashboard_address=None) as cluster, \
            Client(cluster), joblib.parallel_config("dask"):
        yield


@contextlib.contextmanager
def ray_(workers):
    """Ray on this machine, as the engine."""
    import ray
    from ray.util.joblib import register_ray
    ray.init(num_cpus=workers, include_dashboard=False, logging_level="error")
    register_ray()
    try:
        with joblib.parallel_config("ray"):
            yield
    finally:
        ray.shutdown()


def engines(workers):
    """Name → a context in which one engine is up, and no other, which would take its time."""
    found = {"one process": lambda: joblib.parallel_config("loky", n_jobs=1),
             f"joblib, {workers} processes": lambda: joblib.parallel_config(
                 "loky", n_jobs=workers, inner_max_num_threads=1)}
    if find_spec("distributed"):
        found[f"Dask, {workers} workers"] = lambda: dask(workers)
    if find_spec("ray"):
        found[f"Ray, {workers} workers"] = lambda: ray_(workers)
    return found


def seconds_of(function, *arguments, **options):
    """Wall-clock seconds of a call."""
    began = time.perf_counter()
    function(*arguments, **options)
    return time.perf_counter() - began


def main():
    """Print one row for each engine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("rows", 100_000), ("dim", 100), ("workers", 2), ("repeat", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--record", action="store_true")
    sizes = parser.parse_args()
    cell = Pair(problem, method, maxiter=2000, until=has_left)
    took, bare = {}, {1: [], sizes.workers: []}
    for _ in range(sizes.repeat):
        for workers, times in bare.items():
            at_once(sizes.dim, 1000 * workers, workers)  # warm
            share = max(1000 * workers, sizes.rows // 2)
            times.append(at_once(sizes.dim, share, workers) / share)
        for name, context in engines(sizes.workers).items():
            with context():
                for rows in (4000, sizes.rows):  # the first one warms it
                    with tempfile.TemporaryDirectory() as folder:
                        one = seconds_of(sweep, cell, {"d": [sizes.dim]}, folder, seeds=rows)
            took.setdefault(name, []).append(one / sizes.rows)
    base = {workers: statistics.median(times) for workers, times in bare.items()}
    rows = []
    for name, times in took.items():
        middle = statistics.median(times)
        many = 1 if name == "one process" else sizes.workers
        rows.append({"engine": name, "cells": round(1 / middle),
                     "overhead": round(middle / base[many] - 1, 3)})
    print(versions())
    for workers, seconds in base.items():
        print(f"ensemble.run alone, {workers} at once: {short(1 / seconds)} cells a second, "
              f"d = {sizes.dim}")
    print(table(["engine", "cells a second", "time over that of as many ensembles"],
                [[row["engine"], short(row["cells"]), f"{row['overhead']:+.1%}"] for row in rows]))
    if sizes.record:
        found = {"versions": versions(), "d": sizes.dim, "cells of a run": sizes.rows,
                 "alone": {str(workers): round(1 / seconds) for workers, seconds in base.items()},
                 "rows": rows}
        RECORD.write_text(json.dumps(found, indent=1) + "\n", "utf8")


if __name__ == "__main__":
    main()
