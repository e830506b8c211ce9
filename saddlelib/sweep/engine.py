"""Handing out the work: joblib's engines, in rounds, until every cell has its row.

A round ends when all its tasks are back or when a worker dies. Cells that a dead worker was at are
then run alone, in ever smaller pieces, until one is found that dies by itself.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import threading
import time
from pathlib import Path

import numpy as np

from .store import Rows, Store
from .work import Report, run_task

__all__ = ["hand_out", "workers"]

TARGET = 5.0  # seconds of a task
MOST = 20_000  # cells of a task: its rows are in memory until they are written
_PATIENCE = 3  # breaks without any trace of a cell; tasks in a row that could not be saved
_PIECES = 8  # parts of a piece that died alone
GRACE = 5.0  # seconds beyond twice its time after which a cell that hangs costs its worker
_DEATHS = 2  # of a cell alone, until it counts as killed


def workers(parallel) -> int:
    """Processes or threads that work at once."""
    joblib = _joblib()
    backend, n_jobs = joblib.parallel.get_active_backend()
    if type(backend).__name__ == "RayBackend":
        import ray
        if not ray.is_initialized():
            ray.init()  # on the cluster of RAY_ADDRESS, or here
    return joblib.effective_n_jobs(parallel or n_jobs or -1)


def _joblib():
    try:
        import joblib
    except ImportError:
        raise ImportError("a sweep needs joblib: pip install 'saddlelib[sweep]'") from None
    return joblib


def hand_out(job, cells, attempts, parallel, told):
    """Run cells, given by their numbers in order; ``told(report, count)`` hears of each task.

    Returns the numbers of the cells whose rows could not be written, and why.
    """
    tries = _Tries(cells, attempts)
    claims = Path(job.folder, "running", job.run)
    with contextlib.suppress(OSError):  # a full disk: then a death is put down to nobody
        claims.mkdir(parents=True, exist_ok=True)
    unsaved, why, breaks = [], "", 0
    try:
        with _watchdog(job, claims) as overdue:
            while len(cells):
                rest, lost, trouble, full, error = _round(job, cells, tries, parallel, told)
                unsaved, why = unsaved + lost, trouble or why
                if error is not None:
                    suspects = _suspects(claims, cells)
                    rest = _missing(job, rest, tries)
                    breaks = 0 if suspects or len(rest) < len(cells) else breaks + 1
                    if breaks >= _PATIENCE:
                        raise error
                    for piece in suspects:
                        piece = np.intersect1d(piece, rest)
                        unsaved += _alone(job, piece, tries, parallel, told, overdue)
                    rest = np.setdiff1d(_missing(job, rest, tries),
                                        np.concatenate([rest[:0], *unsaved]))
                if full:
                    unsaved.append(rest)
                    break
                cells = rest
    finally:
        shutil.rmtree(claims, ignore_errors=True)
        with contextlib.suppress(OSError):
            claims.parent.rmdir()
    return np.concatenate([*unsaved, np.array([], np.int64)]), why


class _Tries:
    """The number of the attempt of each cell; 1 for most."""

    def __init__(self, cells, attempts):
        again = attempts > 1
        self.more = dict(zip(cells[again].tolist(), attempts[again].tolist(), strict=True))

    def __call__(self, cells):
        if not self.more:
            return np.ones(len(cells), np.int64)
        return np.array([self.more.get(cell, 1) for cell in cells.tolist()], np.int64)


class _Work:
    """The tasks of a round: slices of the cells, as long as the speed seen so far advises."""

    def __init__(self, job, cells, share):
        self.job, self.cells, self.share = job, cells, share
        self.begin, self.rate = 0, None

    def learn(self, count, seconds):
        """So many cells took so many seconds."""
        rate = count / max(seconds, 1e-6)
        self.rate = rate if self.rate is None else 0.7 * self.rate + 0.3 * rate

    def stop(self):
        """Hand out no more; returns what is left."""
        left, self.begin = self.cells[self.begin:], len(self.cells)
        return left

    def __iter__(self):
        while self.begin < len(self.cells):
            begin, self.begin = self.begin, self._end()
            yield self.cells[begin:self.begin]

    def _end(self):
        rest = len(self.cells) - self.begin
        many = 1 if self.rate is None else int(self.rate * TARGET)
        many = max(1, min(many, MOST, -(-rest // self.share)))  # smaller ones towards the end
        batch = self.job.cell.batch
        if batch == 1:
            return self.begin + many
        near = self.cells[self.begin:self.begin + many + batch]
        number = self.job.batch(near)  # to the end of the batch
        return self.begin + int(np.searchsorted(number, number[many - 1], side="right"))


def _round(job, cells, tries, parallel, told):
    """Cells that are left, those lost with a full disk, its words, whether it stays full, and what
    broke the round."""
    n = workers(parallel)
    work, back, lost, trouble, row = _Work(job, cells, 2 * n), [], [], "", 0
    try:
        for count, report in _reports(job, work, tries, parallel, n):
            told(report, count)
            work.learn(max(count - (0 if report.left is None else len(report.left)), 1),
                       report.seconds)
            if report.left is not None:
                back.append(report.left)
            row = 0 if report.unsaved is None else row + 1
            if report.unsaved is not None:
                lost, trouble = [*lost, report.unsaved], report.trouble
                if row == _PATIENCE:
                    back.append(work.stop())
    except Exception as error:
        return cells, lost, trouble, row >= _PATIENCE, error
    left = np.sort(np.concatenate([*back, cells[:0]]))
    return left, lost, trouble, row >= _PATIENCE, None


def _counted(job, cells, attempts):
    return len(cells), run_task(job, cells, attempts)


def _reports(job, tasks, tries, parallel, n):
    """(cells, report) of each task, as they come."""
    joblib = _joblib()
    calls = (joblib.delayed(_counted)(job, cells, tries(cells)) for cells in tasks)
    backend, _ = joblib.parallel.get_active_backend()
    engine = type(backend).__name__
    if engine == "DaskDistributedBackend":
        yield from _by_dask(backend.client, job, iter(tasks), tries, n)
        return
    if engine == "RayBackend":
        yield from _by_ray(backend.ray_remote_args or {}, job, iter(tasks), tries, n)
        return
    own = contextlib.nullcontext()
    if engine == "LokyBackend" and n > 1:
        own = joblib.parallel_config("loky", inner_max_num_threads=1)
    with own:
        if n == 1 or backend.supports_return_generator:
            yield from joblib.Parallel(n_jobs=n, batch_size=1, pre_dispatch=2 * n,
                                       return_as="generator_unordered")(calls)
            return
        while wave := list(itertools.islice(calls, 4 * n)):
            yield from joblib.Parallel(n_jobs=n, batch_size=1)(wave)


def _by_dask(client, job, tasks, tries, n):
    """The same on Dask's own futures: joblib waits for ever for a worker that was killed."""
    from distributed import as_completed

    def sent(cells):
        return client.submit(_counted, job, cells, tries(cells), pure=False)
    queue = as_completed([sent(cells) for cells in itertools.islice(tasks, 2 * n)])
    try:
        for future in queue:
            yield future.result()
            for cells in itertools.islice(tasks, 1):
                queue.add(sent(cells))
    finally:
        client.cancel(list(queue.futures))


def _by_ray(options, job, tasks, tries, n):
    """The same on Ray's own tasks: joblib would start its workers anew for every few of them."""
    import ray
    run, kept = ray.remote(_counted).options(**{"max_retries": 0} | options), ray.put(job)

    def sent(many):
        return [run.remote(kept, cells, tries(cells)) for cells in itertools.islice(tasks, many)]
    waiting = sent(2 * n)
    try:
        while waiting:
            [done], waiting = ray.wait(waiting)
            yield ray.get(done)
            waiting += sent(1)
    finally:
        for task in waiting:
            ray.cancel(task)


def _missing(job, cells, tries):
    """Those of the cells that have no row of their attempt."""
    keys, _, attempt = Store(job.folder).done()
    if not len(keys) or not len(cells):
        return cells
    at, there = find(keys, keys_of(job, cells))
    return cells[~there | (attempt[at] < tries(cells))]


def find(keys, wanted):
    """Where wanted keys stand among sorted ones, and whether they do."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return at, keys[at] == wanted


def keys_of(job, cells):
    """The keys of cells given by their numbers in order."""
    seeds, out = len(job.grid.seeds), np.empty(len(cells), np.uint64)
    if not len(cells):
        return out
    point = cells // seeds
    begins = np.flatnonzero(np.append(True, point[1:] != point[:-1]))
    for begin, end in zip(begins.tolist(), [*begins[1:].tolist(), len(cells)], strict=True):
        labels, _ = job.grid.point(int(point[begin]))
        out[begin:end] = job.identity(labels).keys(job.grid.seeds[cells[begin:end] % seeds])
    return out


# When a worker dies ------------------------------------------------------------------------------


def _suspects(claims, cells):
    """The cells that dead workers were at: what each task of theirs held."""
    found = []
    with contextlib.suppress(OSError):
        claims.mkdir(parents=True, exist_ok=True)  # where somebody has cleared up
    for path in sorted(claims.glob("*")):
        first, last = map(int, path.name.split("-")[:2])
        found.append(cells[(cells >= first) & (cells <= last)])
        with contextlib.suppress(OSError):
            path.unlink()
    return found


def _alone(job, cells, tries, parallel, told, overdue, deaths=0):
    """Run cells with nothing beside them, in smaller pieces where they die again.

    Returns what could not be saved.
    """
    while len(cells):
        try:
            [(count, report)] = _reports(job, [cells], tries, parallel, max(workers(parallel), 2))
        except Exception:
            deaths += 1
            _suspects(Path(job.folder, "running", job.run), cells)
            cells = _missing(job, cells, tries)
            if len(cells) > 1:
                return [lost for piece in np.array_split(cells, min(len(cells), _PIECES))
                        for lost in _alone(job, piece, tries, parallel, told, overdue)]
            if len(cells) and deaths >= _DEATHS:
                return _killed(job, cells, tries, told, overdue)
        else:
            told(report, count)
            if report.unsaved is not None:
                return [report.unsaved]
            cells = np.array([], np.int64) if report.left is None else report.left
    return []


def _killed(job, cells, tries, told, overdue):
    """The row of a cell that ends its worker."""
    late = int(cells[0]) in overdue
    status, message = ("timeout", f"more than {job.timeout:g} s, and would not be interrupted") \
        if late else ("killed", f"its worker died, {_DEATHS} times with nothing beside it")
    labels, _ = job.grid.point(int(cells[0]) // len(job.grid.seeds))
    seeds, rows = job.grid.seeds[cells % len(job.grid.seeds)], Rows()
    rows.add(labels, {"key": job.identity(labels).keys(seeds), "seed": seeds,
                      "attempt": tries(cells), "status": np.array([status]),
                      "message": np.array([message]), "seconds": np.array([np.nan])})
    try:
        Store(job.folder).write(rows, job.version)
    except OSError:
        return [cells]
    told(Report(counts={status: 1}), 1)
    return []


@contextlib.contextmanager
def _watchdog(job, claims):
    """Kill workers of this machine whose cell is far beyond its time: compiled code that hangs.

    Yields the numbers of cells at which that happened to a task of one.
    """
    overdue, over = set(), threading.Event()

    def watch():
        most = 2 * job.timeout * min(job.cell.batch, len(job.grid.seeds)) + GRACE
        seen = {}  # when a claim's time was first seen as it is: clocks of machines differ
        while not over.wait(min(1.0, GRACE)):
            for path in claims.glob("*"):
                with contextlib.suppress(OSError, ValueError):
                    now, stamp = time.monotonic(), path.stat().st_mtime_ns
                    if seen.setdefault(path, (stamp, now))[0] != stamp:
                        seen[path] = stamp, now
                    if now - seen[path][1] < most:
                        continue
                    host, pid = path.read_text().split()
                    if host == socket.gethostname() and int(pid) != os.getpid():
                        first, _, count = map(int, path.name.split("-"))
                        if count == 1:
                            overdue.add(first)
                        os.kill(int(pid), signal.SIGKILL)
    thread = threading.Thread(target=watch, daemon=True)
    if job.timeout is not None and hasattr(signal, "SIGKILL"):
        thread.start()
    try:
        yield overdue
    finally:
        over.set()
        if thread.ident is not None:
            thread.join()
