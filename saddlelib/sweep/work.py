"""What a worker does: run the cells of a task, one after the other, and write their rows.

Whatever a cell does is a row with a status. A worker writes every half minute, hands back what it
has no time for, and says in a file which cells it is at, so that a death can be put down to them.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import signal
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .cells import Grid, Identity, Pair, readable
from .store import Rows, Store

__all__ = ["Job", "Report", "TimeOut", "limit", "run_task"]

FLUSH = 20.0  # seconds of work that a kill may cost
_AGAIN = 0.5  # seconds after which a limit is said once more
_ENDLESS = 1e8  # seconds that nobody waits for
LONGEST = 60.0  # seconds after which a worker hands back the rest of a task


class TimeOut(BaseException):
    """A cell's time is over. No Exception, so that a cell does not catch it by accident."""


@dataclass(frozen=True)
class Job:
    """What all tasks of a sweep have in common."""

    cell: object
    grid: Grid
    version: str
    folder: str
    run: str
    timeout: float | None = None

    def identity(self, labels):
        """Keys and generators at a point."""
        return Identity(self.cell.name, self.version, labels, self.grid.share)

    def batch(self, cells) -> np.ndarray:
        """The number of the batch of each cell; a batch is cells of one point, run together.

        It depends on the grid alone: sums over a batch come out the same in any order of the work.
        """
        seeds, size = len(self.grid.seeds), self.cell.batch
        return cells // seeds * -(-seeds // size) + cells % seeds // size


@dataclass
class Report:
    """How a task went."""

    counts: dict = field(default_factory=dict)
    seconds: float = 0.0
    size: int = 0
    left: np.ndarray = None
    unsaved: np.ndarray = None
    trouble: str = ""


@contextlib.contextmanager
def limit(seconds):
    """Raise `TimeOut` in what stands within, once so many seconds are over.

    In the main thread a signal also wakes calls that wait; in others, and where there are no such
    signals, the exception comes between two operations of Python. Code that is compiled is not
    interrupted before it returns.
    """
    if seconds is None or seconds == math.inf:
        yield
    elif seconds > _ENDLESS:
        yield
    elif hasattr(signal, "setitimer") and \
            threading.current_thread() is threading.main_thread():
        with _alarm(seconds):
            yield
    else:
        with _thrown(seconds):
            yield


@contextlib.contextmanager
def _alarm(seconds):
    armed = []

    def over(*_):
        if armed:
            raise TimeOut
    before, begun = signal.signal(signal.SIGALRM, over), time.monotonic()
    # Again and again, for a cell that catches all, and for a signal that comes before it is armed.
    rest, again = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        try:
            armed.append(True)
            yield
        finally:
            armed.clear()
    finally:
        armed.clear()  # where the signal came just before the line above
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if rest:  # a limit around this one
            left = max(rest - (time.monotonic() - begun), 1e-3)
            signal.setitimer(signal.ITIMER_REAL, left, again)


@contextlib.contextmanager
def _thrown(seconds):
    thread, lock, done = ctypes.c_ulong(threading.get_ident()), threading.Lock(), threading.Event()
    throw = ctypes.pythonapi.PyThreadState_SetAsyncExc

    def watch():
        wait = seconds
        while not done.wait(wait):
            wait = _AGAIN
            with lock:
                if not done.is_set():
                    throw(thread, ctypes.py_object(TimeOut))
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        with lock:
            done.set()
            throw(thread, None)


class Claim:
    """A file that says which cells a process is at; its time is when it began the last one."""

    def __init__(self, job, cells):
        self.path = Path(job.folder, "running", job.run, f"{cells[0]}-{cells[-1]}-{len(cells)}")
        self.there = False

    def __enter__(self):
        with contextlib.suppress(OSError):  # a full disk: then a death cannot be put down to it
            self.path.write_text(f"{socket.gethostname()} {os.getpid()}")
            self.there = True
        return self

    def at(self):
        """The next cell begins."""
        if self.there:
            with contextlib.suppress(OSError):
                os.utime(self.path)

    def __exit__(self, *_):
        if self.there:
            with contextlib.suppress(OSError):
                self.path.unlink()


def run_task(job, cells, attempts) -> Report:
    """Run cells, given by their numbers in order, and write their rows.

    ``attempts`` has for each the number of its attempt.
    """
    with _one_thread(), Claim(job, cells) as claim:
        return _run(job, cells, attempts, claim)


def _run(job, cells, attempts, claim):
    report, rows = Report(), Rows()
    begun = flushed = time.monotonic()
    held = []
    try:
        for block in _blocks(job, cells):
            if block.start and time.monotonic() - begun > LONGEST:  # one is always done
                report.left = cells[block.start:]
                break
            held.append(cells[block])
            _add(job, cells[block], attempts[block], rows, claim)
            if time.monotonic() - flushed > FLUSH:
                _write(job, rows, report, held)
                rows, flushed, held = Rows(), time.monotonic(), []
    finally:  # also where a person interrupts
        if rows.count:
            _write(job, rows, report, held)
        report.seconds = time.monotonic() - begun
    return report


def _write(job, rows, report, held):
    try:
        report.size += Store(job.folder).write(rows, job.version)
    except (OSError, MemoryError) as error:
        lost = np.concatenate(held)
        report.unsaved = lost if report.unsaved is None else np.append(report.unsaved, lost)
        report.trouble = f"{type(error).__name__}: {error}"
        return
    for _, columns in rows.blocks:
        for status in columns["status"].tolist():
            report.counts[status] = report.counts.get(status, 0) + 1


def _blocks(job, cells):
    """Slices of cells of one point that are run together."""
    ends = np.append(np.flatnonzero(np.diff(job.batch(cells))) + 1, len(cells)).tolist()
    return [slice(begin, end) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


def _add(job, cells, attempts, rows, claim):
    """The rows of a block, whatever happens in it."""
    seeds = len(job.grid.seeds)
    labels, values = job.grid.point(int(cells[0]) // seeds)
    told = job.grid.seeds[cells % seeds]
    identity = job.identity(labels)
    keys, begin = identity.keys(told), 0
    claim.at()
    run = _together if isinstance(job.cell, Pair) else _single
    for found in run(job, values, told, identity, claim):
        some = slice(begin, begin + len(found["status"]))
        rows.add(labels, {"key": keys[some], "seed": told[some], "attempt": attempts[some]}
                 | found)
        begin = some.stop


def _single(job, values, seeds, identity, claim):
    def run():
        row = job.cell.row(values, int(seeds[0]), identity.rng(seeds[0]))
        return {name: np.array([value]) for name, value in row.items()}
    return [_alone(run, job.timeout)]


def _together(job, values, seeds, identity, claim):
    """All at once; where that fails or takes too long, one by one, so that each has its own end."""
    def run(some):
        return job.cell.rows(values, [identity.rng(seed) for seed in some.tolist()])

    most = None if job.timeout is None else job.timeout * len(seeds)
    found = _alone(lambda: run(seeds), most, len(seeds))
    if len(seeds) == 1 or found["status"][0] in ("ok", "nonfinite"):
        return [found]
    single = []
    for i in range(len(seeds)):
        claim.at()
        single.append(_alone(lambda i=i: run(seeds[i:i + 1]), job.timeout))
    return single


def _alone(run, timeout, count=1):
    """Columns of what is run, with the status of each row."""
    begun, message, columns = time.perf_counter(), "", {}
    try:
        with limit(timeout):
            columns = run()
        status = _status(columns, count)
    except TimeOut:
        status, message = np.full(count, "timeout"), f"more than {timeout:g} s"
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit, too: a cell does not end a sweep
        status, message = np.full(count, "error"), _words(error)
    seconds = (time.perf_counter() - begun) / count
    return columns | {"status": status, "message": np.full(count, message),
                      "seconds": np.full(count, seconds)}


def _words(error):
    """An exception in at most 200 characters."""
    try:
        text = str(error)
    except Exception:
        text = "(an error without words)"
    return readable(f"{type(error).__name__}: {text}")[:200]


def _status(columns, count):
    """"nonfinite" where a run ended so, or where a value is NaN; inf is a value like others."""
    bad = np.zeros(count, bool)
    for name, column in columns.items():
        if column.dtype.kind == "f":
            bad |= np.isnan(column)
        elif name == "end":
            bad |= column == "nonfinite"
    return np.where(bad, "nonfinite", "ok")


def _one_thread():
    """One thread for linear algebra: workers share the cores, and sums come out the same."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return contextlib.nullcontext()
    return threadpool_limits(1)
