"""A sweep from the command line: ``python -m saddlelib.sweep SPEC``, for array jobs and by hand.

SPEC is a Python file that names ``cell``, ``grid``, ``folder`` and, where wanted, other arguments
of `saddlelib.sweep.sweep`.
"""

from __future__ import annotations

import argparse
import inspect
import os
import runpy
import sys

from . import collect, sweep

_GIVEN = [name for name in inspect.signature(sweep).parameters if name != "dry_run"]


def _arguments():
    parser = argparse.ArgumentParser(
        prog="python -m saddlelib.sweep",
        description="Run a sweep, or go on with it. SPEC is a Python file that names cell, grid, "
                    "folder and, where wanted, seeds, share, version, parallel, timeout.")
    parser.add_argument("spec", metavar="SPEC", help="a Python file")
    parser.add_argument("--folder", help="in place of the folder that SPEC names")
    parser.add_argument("--shard", metavar="i/n", help="only the i-th of n parts, 1/n to n/n")
    parser.add_argument("--parallel", type=int, metavar="N", help="workers (default: every core)")
    parser.add_argument("--timeout", type=float, metavar="S", help="most seconds of a cell")
    parser.add_argument("--retry", action="append", metavar="STATUS",
                        help="try again: failed, error, timeout, killed or nonfinite")
    parser.add_argument("--dry-run", action="store_true",
                        help="say how many cells, how long and how large; keep nothing")
    parser.add_argument("--collect", metavar="FILE",
                        help="run nothing; write what is there as FILE, .npz or .parquet")
    parser.add_argument("--quiet", action="store_true", help="no bar")
    return parser.parse_args()


def main():
    """Run, say how it ended, and return 1 where cells are missing."""
    args = _arguments()
    if not os.path.exists(args.spec):
        sys.exit(f"{args.spec} is not there")
    sys.path.insert(0, os.path.dirname(os.path.abspath(args.spec)))  # for its neighbours
    spec = runpy.run_path(args.spec, run_name="saddlelib_sweep_spec")
    told = {name: spec[name] for name in _GIVEN if name in spec}
    told |= {name: value for name in ("folder", "shard", "parallel", "timeout", "retry")
             if (value := getattr(args, name)) is not None}
    if missing := [name for name in ("cell", "grid", "folder") if name not in told]:
        sys.exit(f"{args.spec} names no {' and no '.join(missing)}")
    try:
        if args.collect:
            table = collect(told["folder"], args.collect, kind="numpy")
            print(f"{len(table)} rows in {args.collect}")
            return 0
        found = sweep(**{"progress": not args.quiet} | told, dry_run=args.dry_run)
    except (ImportError, OSError, TypeError, ValueError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on")
    print(found)
    return 0 if args.dry_run or found.done == found.cells else 1


if __name__ == "__main__":
    sys.exit(main())
