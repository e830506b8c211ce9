"""Who wins where: runs every suite and writes results.json, of which practice/who_wins.ipynb tells.

    make bench                                            everything, some minutes on two cores
    python benchmarks/bench.py --suites ravines honesty   some suites; the others stay as they are

An interrupted run goes on where it ended; what is done lies in .bench/, and counts as long as
neither the code nor a version has changed. Peers take part where they are installed:

    pip install --no-deps --target peer psd-optimizer==0.1.2 pytorch-optimizer==4.1.0 \\
        optax==0.2.8 jax==0.10.2 jaxlib==0.10.2 chex absl-py ml_dtypes opt_einsum

`make bench` looks into the folder peer. Rows of a peer that is not there stay as they were.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import shutil
import time
from pathlib import Path

import leaving
import suites
from _measure import machine, packages
from standings import RECORD

from saddlelib.sweep import collect, sweep

HERE = Path(__file__).resolve().parent
DONE = HERE / ".bench"
LONGEST = 120.0  # seconds for a cell; the longest take a few
MAKERS = {"certified": suites.certified, "ravines": suites.ravines, "saddles": leaving.leaving,
          "honesty": suites.honest}


def version() -> str:
    """A short name of all that decides what a cell gives: sources and versions."""
    library = HERE.parent / "saddlelib"
    away = [library / name for name in ("live", "checks", "sweep", "figures.py")]
    sources = [path for path in [*sorted(library.rglob("*.py")), *sorted(HERE.glob("*.py"))]
               if not any(path.is_relative_to(one) for one in away)
               and path.name not in ("bench.py", "standings.py")]
    digest = hashlib.blake2b(json.dumps(packages() | suites.installed()).encode(), digest_size=6)
    for path in sources:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def run(suite, folder, parallel=2, progress=True):
    """Run what is not there of a suite; its table of cells, and how many seconds all took."""
    folder, now = Path(folder) / suite.name, version()
    if (folder / "sweep.json").exists() and json.loads(
            (folder / "sweep.json").read_text("utf8"))["version"] != now:
        shutil.rmtree(folder)
    done = sweep(suite.cell, suite.axes | {"method": suite.able()}, folder, seeds=suite.seeds,
                 share=suite.share, version=now, parallel=parallel, timeout=LONGEST,
                 retry="failed", progress=progress)
    table = collect(folder, kind="numpy")
    bad = table[table["status"] != "ok"]
    if done.done < done.cells or len(bad):
        words = [f"{row['problem']}, {row['method']}: {row['status']} {row['message']}"
                 for row in bad[:5]]
        raise SystemExit(f"{suite.name}: {done}; the same command tries again. " + "; ".join(words))
    runs = [json.loads(path.read_text("utf8")) for path in (folder / "runs").glob("*.json")]
    return table, sum(run["seconds"] for run in runs)


def told(suite, table, seconds, before=None) -> dict:
    """What results.json has of a suite; rows of absent peers stay as they were ``before``."""
    able, rows = suite.able(), list(suite.kept(table))
    columns = list(rows[0])
    old = [] if before is None or before["columns"] != columns else [
        row for row in before["rows"] if row[columns.index("method")] not in able]
    return {"unit": suite.unit, "limits": suite.limits, "seeds": suite.seeds,
            "date": time.strftime("%Y-%m-%d"), "versions": packages(), "machine": machine(),
            "seconds": round(seconds), "peers": peers(suite, (before or {}).get("peers", {})),
            "methods": [{"name": m.name, "ours": m.ours, "told": m.told, "package": m.package}
                        for m in suite.methods],
            "columns": columns,
            "rows": [[_plain(row[name]) for name in columns] for row in rows] + old}


def _plain(value):
    """As JSON has it, with six digits; null for what is infinite."""
    if isinstance(value, (bool, str)):
        return value
    value = float(value)
    if math.isinf(value):
        return None
    return int(value) if value == int(value) else float(f"{value:.6g}")


def peers(suite, before) -> dict:
    """Of each peer in a suite its version, when it was measured, and whether that was now."""
    there, today = suites.installed(), time.strftime("%Y-%m-%d")
    return {name: {"version": there[name], "date": today, "installed": True} if name in there else
            before.get(name, {"version": None, "date": None}) | {"installed": False}
            for name in suites.PEERS if any(m.package == name for m in suite.methods)}


def write(record, path=RECORD):
    """The record as JSON, a line for each row."""
    def text(value, deep=0):
        if isinstance(value, dict) and deep < 3:
            inside = ",\n".join(f"{' ' * (deep + 1)}{json.dumps(key)}: {text(one, deep + 1)}"
                                for key, one in value.items())
            return "{\n" + inside + "\n" + " " * deep + "}"
        if isinstance(value, list) and value and isinstance(value[0], (list, dict)):
            rows = ",\n".join(" " * (deep + 1) + json.dumps(one, ensure_ascii=False)
                              for one in value)
            return "[\n" + rows + "\n" + " " * deep + "]"
        return json.dumps(value, ensure_ascii=False)

    aside = Path(path).with_suffix(".tmp")
    aside.write_text(text(record) + "\n", "utf8")
    os.replace(aside, path)


def main(names, parallel=2, fresh=False, out=RECORD):
    """Run the suites and write the record."""
    before = json.loads(out.read_text("utf8")) if out.exists() else {"suites": {}}
    if fresh:
        shutil.rmtree(DONE, ignore_errors=True)
    record = {"suites": dict(before["suites"])}
    for name in names:
        suite = MAKERS[name]()
        print(f"{name}: {len(suite.able())} methods", flush=True)
        record["suites"][name] = told(suite, *run(suite, DONE, parallel),
                                      before["suites"].get(name))
    record["suites"] = {name: record["suites"][name] for name in MAKERS
                        if name in record["suites"]}
    write(record, out)
    print(f"{out.name}: {sum(len(s['rows']) for s in record['suites'].values())} rows")
    for name in sorted(set(suites.PEERS) - set(suites.installed())):
        print(f"{name} is not installed; benchmarks/bench.py says how to install it")


if __name__ == "__main__":
    import bench  # cells are found by the name of their module in the other processes

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suites", dest="names", nargs="+", default=list(MAKERS), choices=MAKERS)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--fresh", action="store_true", help="forget what is done")
    parser.add_argument("--out", type=Path, default=RECORD)
    bench.main(**vars(parser.parse_args()))
