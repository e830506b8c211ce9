"""Run many seeded calls and print one table of what came of them."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import sys
import time

from . import calls, judge
from .many import outcomes, summary


def show(found):
    """Print the table."""
    columns = ("calls", "success", *judge.PROBLEMS, judge.NOT_VISIBLE)
    print(f"{'':18}" + "".join(f"{name:>18}" for name in columns))
    rows = dict(found["table"])
    rows["all"] = {name: sum(row[name] for row in rows.values()) for name in columns}
    for family, row in rows.items():
        print(f"{family:18}" + "".join(f"{row[name]:18}" for name in columns))
    print("\nends:", ", ".join(f"{end} {count}" for end, count in found["ends"].items()))


def main():
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--kinds", action="store_true", help="also the seeds behind each problem")
    parser.add_argument("--front", action="store_true", help="only calls of the front door")
    parser.add_argument("--seed", type=int, help="run this one call here, and say all about it")
    given = parser.parse_args()
    if given.seed is not None:
        call = calls.draw(given.seed)
        print(call, "\n", judge.look_at(given.seed))
        print(call.run())
        return
    began, seen = time.monotonic(), []
    with contextlib.suppress(KeyboardInterrupt):  # then the table of what there is
        seeds = range(given.first, given.first + given.calls)
        if given.front:
            seeds = (seed for seed in itertools.count(given.first) if calls.is_front(seed))
            seeds = itertools.islice(seeds, given.calls)
        for one in outcomes(seeds, given.processes):
            seen.append(one)
    found = summary(seen)
    found["seconds"] = time.monotonic() - began
    if given.json:
        json.dump(found, sys.stdout)
        return
    show(found)
    if given.kinds:
        for kind, seeds in sorted(found["kinds"].items()):
            print(f"{len(seeds):6} {kind}  seeds {seeds[:4]}")
    print(f"\n{len(seen)} calls from seed {given.first}, {found['seconds']:.0f} s")


if __name__ == "__main__":
    main()
