"""What the benchmarks share: the unit of cost, runs that take turns, tables in Markdown."""

from __future__ import annotations

import os
import platform
import statistics
import time
from importlib import metadata
from pathlib import Path

import numpy as np
import scipy


def equivalents(gradients, products):
    """Gradient-equivalents: a gradient is 1, a Hessian-vector product 2. Values stand apart."""
    return gradients + 2 * products


def in_turns(runs, repeats):
    """Call every ``run(seed)`` of a dictionary for each seed, one after the other.

    Whatever else the machine does meanwhile then meets all of them. Returns for every name the list
    of its (result, seconds of processor time). The first round is not counted.
    """
    found = {name: [] for name in runs}
    for seed in range(-1, repeats):
        for name, run in runs.items():
            start = time.process_time()
            result = run(abs(seed))
            seconds = time.process_time() - start
            if seed >= 0:
                found[name].append((result, seconds))
    return found


def median(values):
    """The median, as an int where it is one."""
    middle = statistics.median(values)
    return int(middle) if middle == int(middle) else middle


def short(number):
    """Three significant digits, whole numbers in full, with thousands set apart."""
    if number >= 100 or number == int(number):
        return f"{number:,.0f}"
    return f"{number:.3g}"


def table(header, rows):
    """A Markdown table, every cell a string."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def packages() -> dict:
    """The versions of Python and of what decides the counts."""
    return {"Python": platform.python_version(),
            **{name: metadata.version(name) for name in ("saddlelib", "numpy", "scipy", "torch")}}


def machine() -> str:
    """System, processor and cores."""
    name = platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text("utf8").splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{platform.system()}, {name}, {os.cpu_count()} cores"


def versions():
    """One line about what a table was measured with."""
    threads = os.environ.get("OPENBLAS_NUM_THREADS", "default")
    return (f"Python {platform.python_version()}, NumPy {np.__version__}, SciPy "
            f"{scipy.__version__}, {os.cpu_count()} cores, OPENBLAS_NUM_THREADS={threads}")
