"""Experiments over a grid, on a laptop overnight or a cluster, interrupted and gone on with.

>>> import tempfile
>>> def cell(c, rng):
...     return {"twice": 2 * c, "luck": rng.random()}
>>> with tempfile.TemporaryDirectory() as folder:
...     swept = sweep(cell, {"c": [1, 2, 3]}, folder, seeds=2, parallel=1)
...     table = collect(folder, kind="numpy")
>>> swept
Swept(6 of 6 cells: 6 ok)
>>> table["twice"].tolist()
[2, 2, 4, 4, 6, 6]
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._arguments import integer, positive
from .cells import Grid, Pair, as_cell
from .engine import find, hand_out, keys_of, workers
from .store import Store, collect, here
from .work import Job, run_task

_TRYING = 10.0  # seconds of a dry run

__all__ = ["Pair", "Plan", "Swept", "collect", "sweep"]


@dataclass(frozen=True)
class Swept:
    """What is there after a sweep.

    Attributes
    ----------
    folder : str
    cells, done : int
        Cells of the grid (of this shard), and how many of them have a row.
    counts : dict
        How many rows have each status.
    seconds : float
        How long this call took.
    new : int
        Rows that this call has added.
    trouble : str
        Why rows could not be written, "" where all were.
    """

    folder: str
    cells: int
    done: int
    counts: dict
    seconds: float
    new: int
    trouble: str = ""

    def __repr__(self):
        said = _ends(self.counts) or "none done"
        trouble = f"; rows could not be written: {self.trouble}" if self.trouble else ""
        return f"Swept({self.done} of {self.cells} cells: {said}{trouble})"

    def table(self, **options):
        """`collect` of the folder."""
        return collect(self.folder, **options)


@dataclass(frozen=True)
class Plan:
    """What a sweep would do.

    Attributes
    ----------
    cells, done : int
        Cells of the grid (of this shard), and how many of them are there already.
    seconds : float
        Estimated time for the rest, on ``workers`` workers; from a few cells that were run.
    size : float
        Bytes on disk for the rest, at most: the few cells stand in small parts, which pack worse.
    workers : int
    tried : int
        Cells that were run for the estimate; their rows are not kept.
    counts : dict
        How many of these have each status.
    """

    cells: int
    done: int
    seconds: float
    size: float
    workers: int
    tried: int
    counts: dict

    def __str__(self):
        ends = _ends(self.counts) or "none run"
        return (f"{self.cells} cells, {self.done} done; the rest takes about "
                f"{_said(self.seconds)} on {self.workers} workers and at most "
                f"{self.size / 1e6:.3g} MB "
                f"(from {self.tried} cells: {ends})")


def _ends(counts):
    """How many are well, then the others."""
    ends = sorted(counts.items(), key=lambda end: (end[0] != "ok", end[0]))
    return ", ".join(f"{n} {status}" for status, n in ends)


def _said(seconds):
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} seconds"


def sweep(cell, grid, folder, *, seeds=1, share=None, version="1", parallel=None, timeout=None,
          retry=(), shard=None, progress=False, dry_run=False) -> Swept | Plan:
    """Run a cell for every value of every axis and every seed; skip what is there.

    The same call, given again, goes on where the last one ended, however it ended. Whatever a cell
    does is a row with a status and never the end of the sweep. The table does not depend on the
    number of workers, on the order of the work or on interruptions.

    Parameters
    ----------
    cell : callable or Pair
        ``cell(**axes, rng)``, and ``seed`` where it has such an argument, gives a number or a
        dictionary of numbers, bools and words; or a problem and a method, as a `Pair`, whose seeds
        run together through `ensemble.run`.
    grid : dict
        Of every axis the values: numbers, words, bools or None. A dictionary {name: object} in
        place of a list hands the objects to the cell, and shows the names. Cells of a task share
        an object, so a cell that changes one has to copy it first.
    folder : str or Path
        Where the rows go; made where it is not there. One folder holds one sweep.
    seeds : int or sequence of int
        So many seeds, 0, 1, 2, ..., or these.
    share : sequence of str, optional
        The axes, "seed" among them, from which a cell's generator comes; cells that agree in
        these draw the same numbers. ``share=("problem", "seed")`` lets methods share starts. By
        default all axes, so all cells are independent.
    version : str
        Part of the identity of cells: after a change of the cell a new version runs all anew.
    parallel : int, optional
        Workers. By default what `joblib.parallel_config` says, and there also which engine works
        (Dask, Ray); else a process for every core. 1 works in this process.
    timeout : float, optional
        Most seconds of a cell; one that takes longer has status "timeout".
    retry : str or sequence of str
        Which rows to try again: "failed" for all that are not "ok", or some of "error",
        "timeout", "killed" and "nonfinite".
    shard : str or (int, int), optional
        "2/5": only the second of five parts of the cells, for array jobs of a batch system. All
        may write into one folder.
    progress : bool
        A bar of tqdm: cells, rate and time left.
    dry_run : bool
        Run a few cells, keep nothing, and return a `Plan`.

    Returns
    -------
    Swept, or Plan for a dry run

    Raises
    ------
    TypeError, ValueError
        Naming the argument and the remedy; also where the folder holds another sweep.
    ImportError
        Where joblib, or tqdm for ``progress``, is missing.

    Warns
    -----
    UserWarning
        Where the text of the cell is another than that of the rows in the folder, and its version
        is not; where a part is damaged.

    Notes
    -----
    A kill costs at most the last 20 seconds of work of every worker. Keys of cells have 64 bits: of
    10⁶ cells two are the same with probability 3·10⁻⁸.

    Examples
    --------
    >>> import tempfile
    >>> def cell(size, word, rng):
    ...     return {"length": size * len(word), "luck": rng.random()}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     grid = {"size": [1, 2, 3], "word": ["a", "bc"]}
    ...     first = sweep(cell, grid, folder, seeds=5, parallel=1)
    ...     more = sweep(cell, grid, folder, seeds=8, parallel=1)
    >>> first, more.new
    (Swept(30 of 30 cells: 30 ok), 18)
    """
    grid = Grid(grid, seeds, share)
    cell, folder = as_cell(cell, grid), _folder(folder)
    if not isinstance(version, str):
        raise TypeError(f"version must be a word, got {version!r}")
    timeout = None if timeout is None else positive("timeout", timeout)
    if parallel is not None and parallel != -1:
        parallel = integer("parallel", parallel)
    job = Job(cell, grid, version, folder, secrets.token_hex(6), timeout)
    retry, shard = _retry(retry), _shard(shard)
    store = Store(folder)
    if not dry_run:
        store.make()
        _known(store, job)
    cells = _of_shard(job, shard)
    pending, attempts = _pending(job, cells, store, retry)
    if dry_run:
        return _plan(job, cells, pending, workers(parallel))
    return _run(job, cells, pending, attempts, parallel, store, progress, shard)


def _folder(folder):
    """The whole path: workers may stand elsewhere."""
    if not isinstance(folder, (str, os.PathLike)) or not os.fspath(folder):
        raise TypeError(f"folder must be a path, got {folder!r}")
    return str(Path(folder).absolute())


def _retry(retry):
    if isinstance(retry, str):
        retry = [retry]
    if not isinstance(retry, (list, tuple, set, frozenset)):
        raise TypeError(f"retry must be a word or a list of words, got {retry!r}")
    words = list(retry)
    known = ["error", "timeout", "killed", "nonfinite"]
    for word in words:
        if word not in [*known, "failed"]:
            raise ValueError(f"retry must be 'failed' or some of {known}, got {word!r}")
    return set(known if "failed" in words else words)


def _shard(shard):
    if shard is None:
        return (1, 1)
    try:
        i, n = (integer("shard", int(word) if isinstance(word, str) else word, least=0)
                for word in (shard.split("/") if isinstance(shard, str) else shard))
    except (AttributeError, TypeError, ValueError):
        raise ValueError(f"shard must be like '2/5', got {shard!r}") from None
    if not 1 <= i <= n:
        raise ValueError(f"shard must be one of 1/{n} to {n}/{n}, got {i}/{n}")
    return (i, n)


def _of_shard(job, shard):
    """The numbers of a shard's cells, in order; batches stay together."""
    cells, (i, n) = np.arange(job.grid.size), shard
    if n == 1:
        return cells
    return cells[job.batch(cells) % n == i - 1]


def _known(store, job):
    """Put down what the sweep is; refuse another one's folder."""
    axes = {axis.name: axis.labels for axis in job.grid.axes}
    told = {"cell": job.cell.name, "version": job.version, "share": job.grid.share,
            "source": job.cell.source, "axes": axes}
    known = store.peek()
    if known is not None:
        for name in ("cell", "share"):
            if known[name] != told[name]:
                raise ValueError(f"folder holds a sweep with {name} {known[name]!r}, and not "
                                 f"{told[name]!r}; take another folder")
        if list(known["axes"]) != list(axes):
            raise ValueError(f"folder holds a sweep over {list(known['axes'])}, and not over "
                             f"{list(axes)}; take another folder")
        if known["source"] != told["source"] and known["version"] == told["version"]:
            warnings.warn("the text of the cell has changed since rows of this version were "
                          "written; they are kept. Give another version to run all anew",
                          stacklevel=4)
    store.know(told)


def _pending(job, cells, store, retry):
    """The cells that have no row or one to be tried again, and the numbers of their attempts."""
    keys, status, attempt = store.done()
    if not len(keys):
        return cells, np.ones(len(cells), np.int64)
    at, there = find(keys, keys_of(job, cells))
    again = there & np.isin(status[at], sorted(retry))
    attempts = np.where(again, attempt[at] + 1, 1)
    wanted = ~there | again
    return cells[wanted], attempts[wanted]


def _plan(job, cells, pending, n):
    """Run cells here and there for a few seconds."""
    some = np.unique(np.linspace(0, max(len(pending) - 1, 0), min(len(pending), 12)).astype(int))
    tried, seconds, sizes, counts, begun = 0, [], [], {}, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        aside = Job(job.cell, job.grid, job.version, folder, job.run, job.timeout)
        Store(folder).make()
        for i in np.random.default_rng(0).permutation(some):
            chosen = _batch_from(job, pending, int(i))
            report = run_task(aside, chosen, np.ones(len(chosen), np.int64))
            tried += len(chosen)
            seconds.append(report.seconds / len(chosen))
            sizes.append(report.size / len(chosen))
            for status, count in report.counts.items():
                counts[status] = counts.get(status, 0) + count
            if time.monotonic() - begun > _TRYING:
                break
    of_all = len(pending) / max(1, len(seconds))
    return Plan(len(cells), len(cells) - len(pending), sum(seconds) * of_all / n,
                sum(sizes) * of_all, n, tried, counts)


def _batch_from(job, pending, begin):
    """Up to fifty cells of one point."""
    seeds = len(job.grid.seeds)
    end = int(np.searchsorted(pending, (pending[begin] // seeds + 1) * seeds))
    return pending[begin:min(end, begin + min(50, job.cell.batch))]


def _run(job, cells, pending, attempts, parallel, store, progress, shard):
    begun, started = time.monotonic(), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    entry = here() | {"started": started, "shard": "/".join(map(str, shard)),
                      "workers": workers(parallel), "pending": len(pending)}
    name = f"{time.time_ns()}-{job.run}"
    unsaved, trouble, ended = pending, "", "interrupted"
    with contextlib.suppress(OSError):
        store.log(name, entry | {"ended": "not yet"})
    try:
        with _bar(progress, len(cells), len(cells) - len(pending)) as told:
            unsaved, trouble = hand_out(job, pending, attempts, parallel, told)
        ended = "done" if not len(unsaved) else trouble
    finally:
        with contextlib.suppress(OSError):
            store.log(name, entry | {"ended": ended,
                                     "seconds": round(time.monotonic() - begun, 3)})
    keys, status, _ = store.done()
    mine = np.isin(keys, keys_of(job, cells)) if len(keys) else np.array([], bool)
    found, many = np.unique(status[mine], return_counts=True)
    counts = dict(zip(found.tolist(), many.tolist(), strict=True))
    return Swept(job.folder, len(cells), int(mine.sum()), counts, time.monotonic() - begun,
                 len(pending) - len(unsaved), trouble)


@contextlib.contextmanager
def _bar(progress, cells, done):
    """A function that hears of reports."""
    if not progress:
        yield lambda report, count: None
        return
    try:
        from tqdm.auto import tqdm
    except ImportError:
        raise ImportError("progress=True needs tqdm: pip install 'saddlelib[progress]'") from None
    counts = {}
    with tqdm(total=cells, initial=done, unit=" cells", smoothing=0.05) as bar:
        def told(report, count):
            left = 0 if report.left is None else len(report.left)
            bar.update(count - left)
            for status, n in report.counts.items():
                if status != "ok":
                    counts[status] = counts.get(status, 0) + n
            if counts:
                bar.set_postfix(counts, refresh=False)
        yield told
