"""A sweep's folder: parts with rows, and what is known of how they came about.

Every part is one NPZ file, written aside and renamed, so it is there entirely or not at all. There
is no database and no lock: parts never change, and several processes may write into one folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import secrets
import shutil
import subprocess
import time
import warnings
import zipfile
from importlib import metadata
from pathlib import Path

import numpy as np

__all__ = ["Rows", "Store", "collect"]

_OWN = ("key", "seed", "status", "message", "seconds", "attempt")
_STALE = 3600.0  # seconds after which a file aside belongs to nobody


class Rows:
    """Rows in the making: columns of arrays, a block of cells at a time."""

    def __init__(self):
        self.blocks, self.count = [], 0

    def add(self, labels, columns):
        """Cells of one point: its labels, and columns of one length."""
        self.count += len(columns["key"])
        self.blocks.append((labels, columns))

    def arrays(self) -> dict:
        """What a part holds. ``x:name`` are axes, ``v:name`` values, ``m:name`` where they lack."""
        out = {name: np.concatenate([b[name] for _, b in self.blocks]) for name in _OWN}
        lengths = [len(b["key"]) for _, b in self.blocks]
        for name in self.blocks[0][0]:
            labels = [json.dumps(labels[name]) for labels, _ in self.blocks]
            out[f"x:{name}"] = np.repeat(np.array(labels), lengths)
        names = dict.fromkeys(n for _, b in self.blocks for n in b if n not in _OWN)
        for name in names:
            given = [b.get(name) for _, b in self.blocks]
            out[f"v:{name}"], lacks = joined(given, lengths)
            if lacks.any():
                out[f"m:{name}"] = lacks
        return out


def joined(given, lengths):
    """One column of several, and where it lacks; ``given`` has arrays, object arrays or None."""
    if all(a is not None and a.dtype.kind in "bifU" for a in given) and \
            len({a.dtype.kind for a in given}) == 1:
        return np.concatenate(given), np.zeros(sum(lengths), bool)
    lists = [[None] * n if a is None else a.tolist() for a, n in zip(given, lengths, strict=True)]
    values = [value for part in lists for value in part]
    lacks = np.array([value is None for value in values])
    kinds = {type(value) for value in values} - {type(None)}
    if kinds <= {bool}:
        return np.array([bool(value) for value in values]), lacks
    if kinds <= {int, bool}:
        return np.array([value or 0 for value in values], dtype=np.int64), lacks
    if kinds <= {int, float, bool}:
        return np.array([np.nan if value is None else value for value in values], float), lacks
    return np.array(["" if value is None else str(value) for value in values], dtype=str), lacks


class Store:
    """The folder of a sweep."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.parts = self.folder / "parts"

    def make(self):
        """Make the folder, and remove what was left aside long ago."""
        try:
            self.parts.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"folder {str(self.folder)!r} cannot be made: {error}") from error
        for left in [*self.parts.glob(".*.tmp"), *self.folder.glob("running/*")]:
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime > _STALE:
                    shutil.rmtree(left) if left.is_dir() else left.unlink()

    def write(self, rows, version) -> int:
        """One part more; its size in bytes. Raises OSError, and then no part is there."""
        arrays = rows.arrays() | {"version": np.array(version)}
        name = hashlib.blake2b(arrays["key"].tobytes() + arrays["attempt"].tobytes(),
                               digest_size=12).hexdigest()
        aside = self.parts / f".{name}.{secrets.token_hex(4)}.tmp"
        try:
            with open(aside, "xb") as file:
                np.savez_compressed(file, **arrays)
                file.flush()
                os.fsync(file.fileno())
            size = aside.stat().st_size
            os.replace(aside, self.parts / f"{name}.npz")
        except BaseException:
            with contextlib.suppress(OSError):
                aside.unlink()
            raise
        return size

    def read(self, *names):
        """Yield of every part a dictionary of its arrays, or of those that are named.

        A part that is damaged is put aside with a warning: its cells count as not done.
        """
        for path in sorted(self.parts.glob("*.npz")):
            try:
                with open(path, "rb") as file, np.load(file, allow_pickle=False) as part:
                    yield {name: part[name] for name in (names or part.files)}
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
                warnings.warn(f"{path} is damaged ({error}); it is put aside as .damaged, and its "
                              f"cells count as not done", stacklevel=2)
                with contextlib.suppress(OSError):
                    path.rename(path.with_suffix(".damaged"))

    def done(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Keys of the cells that are there, sorted; the status of each; its last attempt."""
        found = list(self.read("key", "status", "attempt"))
        if not found:
            return np.array([], np.uint64), np.array([], "U2"), np.array([], np.int64)
        keys, status, attempt = (np.concatenate([part[name] for part in found])
                                 for name in ("key", "status", "attempt"))
        keep = best(keys, status, attempt)
        return keys[keep], status[keep], attempt[keep]

    # What is known of the sweep -----------------------------------------------------------------

    def peek(self) -> dict | None:
        """What is known of the sweep."""
        try:
            return json.loads((self.folder / "sweep.json").read_text("utf8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise ValueError(f"folder holds a sweep.json that cannot be read: {error}") from error

    def know(self, told):
        """Put down what the sweep is; axes grow."""
        known = self.peek()
        merged = told if known is None else told | {"axes": _union(known["axes"], told["axes"])}
        if merged != known:
            replace(self.folder / "sweep.json", json.dumps(merged, indent=1) + "\n")

    def log(self, name, entry):
        """Put down when, where and with what a part of the work was done."""
        runs = self.folder / "runs"
        runs.mkdir(exist_ok=True)
        replace(runs / f"{name}.json", json.dumps(entry, indent=1) + "\n")

    def manifest(self) -> dict:
        """The sweep with all that was done on it."""
        told = self.peek()
        runs = sorted((self.folder / "runs").glob("*.json"))
        return told | {"runs": [json.loads(path.read_text("utf8")) for path in runs]}


def replace(path, text):
    """Write a file aside and rename it."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    aside.write_text(text, "utf8")
    os.replace(aside, path)


def best(keys, status, attempt):
    """Of each key the row that counts: a well one if there is one, then the last attempt."""
    order = np.lexsort((attempt, status == "ok", keys))
    last = np.append(keys[order][1:] != keys[order][:-1], True)
    return order[last]


def _union(known, told):
    axes = {name: list(labels) for name, labels in known.items()}
    for name, labels in told.items():
        mine = axes.setdefault(name, [])
        seen = {json.dumps(label) for label in mine}
        mine += [label for label in labels if json.dumps(label) not in seen]
    return axes


def here() -> dict:
    """Versions, commit and machine."""
    versions = {"python": platform.python_version()}
    for name in ("saddlelib", "numpy", "scipy", "joblib"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {"versions": versions, "commit": _commit(), "cores": os.cpu_count(),
            "machine": f"{platform.system()} {platform.machine()}"}


def _commit():
    """The commit of the folder that Python works in; "+" where files differ from it."""
    def git(*words):
        return subprocess.run(["git", *words], capture_output=True, text=True, check=True,
                              timeout=10).stdout.strip()
    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


# The table ---------------------------------------------------------------------------------------


def collect(folder, out=None, *, kind=None, seconds=False):
    """The table of what is there so far, in the order of the grid.

    Parameters
    ----------
    folder : str or Path, or list of them
        Of one sweep, also while it runs; or of its shards.
    out : str or Path, optional
        Where to write the table, too: a name that ends in ``.npz`` or ``.parquet`` (which needs
        pyarrow). Beside it stands its manifest, the same name with ``.json``: axes, versions,
        commit, machine and times.
    kind : {"pandas", "numpy"}, optional
        By default pandas where it is installed.
    seconds : bool
        Whether to add the times that cells took, which differ from run to run.

    Returns
    -------
    pandas.DataFrame or structured ndarray
        The axes, ``seed``, the values, then ``status`` ("ok", "nonfinite", "error", "timeout" or
        "killed"), ``message`` and ``attempt``. Where a cell gave no value, NaN or "" stands.

    Raises
    ------
    ValueError, ImportError
        Where there is no sweep in the folder; naming what has to be installed.

    Examples
    --------
    >>> import tempfile
    >>> from saddlelib.sweep import sweep
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     swept = sweep(lambda c, rng: 2 * c, {"c": [1, 2]}, folder, parallel=1)
    ...     table = collect(folder, kind="numpy")
    >>> table["value"].tolist(), table["status"].tolist()
    ([2, 4], ['ok', 'ok'])
    """
    if kind not in (None, "pandas", "numpy"):
        raise ValueError(f"kind must be 'pandas' or 'numpy', got {kind!r}")
    suffix = None if out is None else Path(out).suffix
    if suffix not in (None, ".npz", ".parquet"):
        raise ValueError(f"out must end in .npz or .parquet, got {str(out)!r}")
    folders = [folder] if isinstance(folder, (str, os.PathLike)) else list(folder)
    stores = [Store(one) for one in folders]
    for store in stores:
        if not (store.folder / "sweep.json").exists():
            raise ValueError(f"folder {str(store.folder)!r} holds no sweep")
    manifests = [store.manifest() for store in stores]
    table = _table(stores, manifests, seconds)
    if out is not None:
        _write(table, Path(out), suffix)
        merged = manifests[0] | {"axes": _axes(manifests), "rows": len(table),
                                 "runs": [run for one in manifests for run in one["runs"]]}
        replace(Path(out).with_suffix(".json"), json.dumps(merged, indent=1) + "\n")
    if kind == "numpy":
        return table
    try:
        import pandas
    except ImportError:
        if kind == "pandas":
            raise ImportError("kind='pandas' needs pandas: pip install pandas") from None
        return table
    return pandas.DataFrame({name: table[name] for name in table.dtype.names})


def _axes(manifests):
    axes = {}
    for one in manifests:
        axes = _union(axes, one["axes"])
    return axes


def _table(stores, manifests, seconds):
    parts = [part for store, told in zip(stores, manifests, strict=True)
             for part in store.read() if part["version"] == told["version"]]
    axes = _axes(manifests)
    lengths = [len(part["key"]) for part in parts]
    whole = {name: _concatenated([part[name] for part in parts]) for name in _OWN}
    keep = best(whole["key"], whole["status"], whole["attempt"])
    columns, order = {}, []
    for name, labels in axes.items():
        told = _concatenated([part[f"x:{name}"] for part in parts])
        found, at = np.unique(told, return_inverse=True)
        place = {json.dumps(label): i for i, label in enumerate(labels)}
        order.append(np.array([place[text] for text in found.tolist()], int)[at][keep])
        values, lacks = joined([np.array([json.loads(text) for text in found.tolist()], object)],
                               [len(found)])
        columns[name] = _filled(values, lacks)[at][keep]
    columns["seed"] = whole["seed"][keep]
    for name in dict.fromkeys(n[2:] for part in parts for n in part if n.startswith("v:")):
        columns[name] = _column(name, parts, lengths, keep)
    columns |= {name: whole[name][keep] for name in ("status", "message", "attempt")}
    if seconds:
        columns["seconds"] = whole["seconds"][keep]
    order = np.lexsort([whole["seed"][keep], *reversed(order)])  # the last key is the first
    table = np.empty(len(keep), [(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        table[name] = column[order]
    return table


def _concatenated(arrays):
    return np.concatenate(arrays) if arrays else np.array([], dtype="U1")


def _column(name, parts, lengths, keep):
    """A value's column over all parts: whole numbers only where none lacks."""
    arrays, lacks = [], []
    for part, n in zip(parts, lengths, strict=True):
        arrays.append(part.get(f"v:{name}"))
        lacks.append(part.get(f"m:{name}", np.full(n, arrays[-1] is None)))
    kinds = {a.dtype.kind for a in arrays if a is not None}
    if "U" in kinds:
        arrays = [np.full(n, "") if a is None else np.where(lack, "", a.astype(str))
                  for a, n, lack in zip(arrays, lengths, lacks, strict=True)]
        return np.concatenate(arrays)[keep]
    empty = [np.zeros(n, bool) if a is None else a for a, n in zip(arrays, lengths, strict=True)]
    return _filled(np.concatenate(empty)[keep], np.concatenate(lacks)[keep])


def _filled(values, lacks):
    if values.dtype.kind == "U" or not lacks.any():
        return values
    values = values.astype(float)
    values[lacks] = np.nan
    return values


def _write(table, path, suffix):
    columns = {name: table[name] for name in table.dtype.names}
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    if suffix == ".npz":
        with open(aside, "wb") as file:
            np.savez_compressed(file, **columns)
    else:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise ImportError("a .parquet table needs pyarrow: pip install 'saddlelib[sweep]'; "
                              "or write .npz") from None
        arrays = {name: pyarrow.array(column.tolist() if column.dtype.kind == "U" else column)
                  for name, column in columns.items()}
        pyarrow.parquet.write_table(pyarrow.table(arrays), aside)
    os.replace(aside, path)
