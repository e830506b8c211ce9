"""Many calls in processes of their own, and the table of what came of them."""

from __future__ import annotations

import collections
import contextlib
import multiprocessing
import multiprocessing.connection
import time

from . import calls, front, judge

# A call that hears no alarm, for example inside compiled code, is ended from outside soon after.
DEAF = 1.0


def _work(pipe):
    """Judge the seeds that come through the pipe."""
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        pipe.send("ready")
        while True:
            seed = pipe.recv()
            try:
                seen = judge.look_at(seed, lambda: pipe.send("ran"))
            except BaseException as error:  # the fuzzer itself is wrong; that must be seen
                seen = judge.Outcome(seed, calls.draw(seed).family, "error of the fuzzer", [
                    ("foreign exception", f"the fuzzer: {type(error).__name__}: {error}")])
            pipe.send(seen)


class _Worker:
    """A process that takes one seed at a time, and can be ended when it is deaf."""

    def __init__(self):
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_work, args=(other,), daemon=True)
        self.process.start()
        self.pipe.recv()  # to start and to import is no part of a call, however long it takes
        self.seed = None

    def begin(self, seed):
        self.seed, self.ends = seed, time.monotonic() + judge.LIMIT + DEAF
        self.pipe.send(seed)

    def result(self):
        """The outcome if there is one, else None."""
        with contextlib.suppress(EOFError, ConnectionResetError):
            if self.pipe.poll():
                told = self.pipe.recv()
                if told != "ran":
                    return told
                self.ends = time.monotonic() + judge.JUDGING + DEAF
        if not self.process.is_alive():
            return judge.Outcome(self.seed, calls.draw(self.seed).family, "killed",
                                 [("hang", "the process died")])
        if time.monotonic() > self.ends:
            return self._deaf()
        return None

    def _deaf(self):
        self.process.kill()
        self.process.join()
        return judge.Outcome(self.seed, calls.draw(self.seed).family, "hang",
                             [("hang", "deaf: had to be killed")])


def outcomes(seeds, processes):
    """Judge all seeds in so many processes, in the order in which they end."""
    seeds, workers = iter(seeds), [_Worker() for _ in range(processes)]
    busy = []
    for worker in workers:
        if (seed := next(seeds, None)) is not None:
            worker.begin(seed)
            busy.append(worker)
    while busy:
        multiprocessing.connection.wait([worker.pipe for worker in busy], timeout=1.0)
        for worker in list(busy):
            seen = worker.result()
            if seen is None:
                continue
            yield seen
            if not worker.process.is_alive():
                busy.remove(worker)
                worker = _Worker()
                busy.append(worker)
            if (seed := next(seeds, None)) is None:
                busy.remove(worker)
                worker.process.terminate()
            else:
                worker.begin(seed)


def summary(seen):
    """Counts by family and problem, statuses, and the seeds behind each kind of problem."""
    table = {family: dict.fromkeys(("calls", "success", *judge.PROBLEMS, judge.NOT_VISIBLE), 0)
             for family in {**calls.FAMILIES, **front.FAMILIES}}
    ends, kinds = collections.Counter(), collections.defaultdict(list)
    for one in seen:
        row = table[one.family]
        row["calls"] += 1
        row["success"] += one.end in ("CERTIFIED", "SOSP")
        ends[one.end] += 1
        for problem in {problem for problem, _ in one.problems}:
            row[problem] += 1
        for problem, what in one.problems:
            kinds[f"{one.family} | {problem} | {what}"].append(one.seed)
    return dict(table=table, ends=dict(ends.most_common()), kinds=kinds)
