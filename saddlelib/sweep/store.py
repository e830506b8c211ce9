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
from importlib import metadata
from pathlib import Path

import numpy as np

__all__ = ["Rows", "Store", "collect"]

_OWN = ("key", "seed", "status", "message", "seconds", "attempt")
_STALE = 86400.0  # seconds after which a file aside belongs to nobody


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
            out[f"v:{name}"], kinds = joined(given, lengths)
            if kinds is not None:
                out[f"t:{name}"] = kinds
        return out


_KINDS = {type(None): 0, bool: 1, int: 2, float: 3, str: 4}


def joined(given, lengths):
    """One column of several, and the kind of each value where they are not all alike.

    ``given`` has arrays, object arrays, or None where the column lacks.
    """
    if all(a is not None and a.dtype.kind in "bifU" for a in given) and \
            len({a.dtype.kind for a in given}) == 1:
        return np.concatenate(given), None
    lists = [[None] * n if a is None else a.tolist() for a, n in zip(given, lengths, strict=True)]
    values = [value for part in lists for value in part]
    kinds = np.array([_KINDS[type(value)] for value in values], np.int8)
    if kinds.max(initial=0) == 4:
        return np.array([_text(value) for value in values], dtype=str), kinds
    if kinds.max(initial=0) == 3:
        return np.array([np.nan if value is None else value for value in values], float), kinds
    whole = np.array([value or 0 for value in values], np.int64)
    return (whole.astype(bool) if kinds.max(initial=0) == 1 else whole), kinds


def _text(value):
    return "" if value is None else str(value)


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
                if abs(time.time() - left.stat().st_mtime) > _STALE:
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

        A part that is damaged is put aside with a warning: its cells count as not done. What keeps
        a sound part from being read, such as too many open files, is raised.
        """
        for path in sorted(self.parts.glob("*.npz")):
            try:
                with open(path, "rb") as file, np.load(file, allow_pickle=False) as part:
                    found = {name: part[name] for name in (names or part.files)}
                if not names and not {*_OWN, "version"} <= found.keys():
                    raise ValueError("columns are missing")
            except (OSError, MemoryError):
                raise
            except Exception as error:  # a flipped bit shows in many ways
                with contextlib.suppress(OSError):
                    path.rename(path.with_suffix(".damaged"))
                warnings.warn(f"{path} was damaged ({error}); it is put aside as .damaged, and its "
                              f"cells count as not done", stacklevel=2)
            else:
                yield found

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
        runs = []
        for path in sorted((self.folder / "runs").glob("*.json")):
            with contextlib.suppress(OSError, ValueError):
                runs.append(json.loads(path.read_text("utf8")))
        return self.peek() | {"runs": runs}


def replace(path, text):
    """Write a file aside and rename it."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(aside, "x", encoding="utf8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def best(keys, status, attempt):
    """Of each key the row that counts: a well one if there is one, then the last attempt."""
    if not len(keys):
        return np.array([], np.int64)
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
    folders = [folder] if isinstance(folder, (str, os.PathLike)) else folder
    if not isinstance(folders, (list, tuple)) or not folders:
        raise TypeError(f"folder must be a path or a list of paths, got {folder!r}")
    stores = [Store(one) for one in folders]
    for store in stores:
        if not (store.folder / "sweep.json").exists():
            raise ValueError(f"folder {str(store.folder)!r} holds no sweep")
    manifests = [store.manifest() for store in stores]
    for one in manifests[1:]:
        for name in ("cell", "version", "share"):
            if one[name] != manifests[0][name]:
                raise ValueError(f"folder {str(folders)!r} holds sweeps of different {name}: "
                                 f"{one[name]!r} and {manifests[0][name]!r}")
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
    whole = {name: _concatenated([part[name] for part in parts], name) for name in _OWN}
    keep = best(whole["key"], whole["status"], whole["attempt"])
    columns, order = {}, []
    for name, labels in axes.items():
        told = _concatenated([part[f"x:{name}"] for part in parts])
        found, at = np.unique(told, return_inverse=True)
        place = {json.dumps(label): i for i, label in enumerate(labels)}
        for text in found.tolist():  # of a run that has grown the grid at the same time
            place.setdefault(text, len(place))
        order.append(np.array([place[text] for text in found.tolist()], int)[at][keep])
        given = [np.array([json.loads(text) for text in found.tolist()], object)]
        columns[name] = _filled(*joined(given, [len(found)]))[at]
    order = keep[np.lexsort([whole["seed"][keep], *reversed(order)])]  # the last key is the first
    columns = {name: column[order] for name, column in columns.items()}
    columns["seed"] = whole["seed"][order]
    columns |= _values(parts, lengths, order)
    columns |= {name: whole[name][order] for name in ("status", "message", "attempt")}
    if seconds:
        columns["seconds"] = whole["seconds"][order]
    table = np.empty(len(keep), [(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        table[name] = column
    return table


_TYPES = {"key": np.uint64, "seed": np.int64, "seconds": float, "attempt": np.int64}


def _concatenated(arrays, name=""):
    return np.concatenate(arrays) if arrays else np.array([], dtype=_TYPES.get(name, "U1"))


def _values(parts, lengths, order):
    """The columns that cells have given, in the order in which the rows of the table bring them."""
    columns, places = {}, {}
    for name in {n[2:] for part in parts for n in part if n.startswith("v:")}:
        values, kinds = [], []
        for part, n in zip(parts, lengths, strict=True):
            value = part.get(f"v:{name}", np.zeros(n, bool))
            kind = {"b": 1, "i": 2, "u": 2, "f": 3, "U": 4}[value.dtype.kind] \
                if f"v:{name}" in part else 0
            values.append(value)
            kinds.append(part.get(f"t:{name}", np.full(n, kind, np.int8)))
        kinds = np.concatenate(kinds)[order]
        if kinds.max(initial=0) == 4:
            values = [_as_text(v, k) for v, k in zip(values, _split(kinds, lengths, order),
                                                     strict=True)]
        columns[name] = _filled(np.concatenate(values)[order], kinds)
        first = int(np.argmax(kinds > 0))  # a part begins with the cell of the smallest number
        begins = np.cumsum([0, *lengths])
        part = parts[int(np.searchsorted(begins, order[first], side="right")) - 1]
        places[name] = first, [n for n in part if n.startswith("v:")].index(f"v:{name}")
    return {name: columns[name] for name in sorted(columns, key=places.get)}


def _split(kinds, lengths, order):
    """The kinds of the rows of each part again; 0 for those that do not count."""
    flat = np.zeros(sum(lengths), np.int8)
    flat[order] = kinds
    return np.split(flat, np.cumsum(lengths)[:-1])


def _as_text(values, kinds):
    """Numbers among words as they were given."""
    if values.dtype.kind == "U":
        return values
    make = {0: lambda value: "", 1: lambda value: str(bool(value)),
            2: lambda value: str(int(value)), 3: lambda value: str(float(value))}
    return np.array([make[kind](value) for kind, value in zip(kinds.tolist(), values.tolist(),
                                                              strict=True)], dtype=str)


def _filled(values, kinds):
    """Numbers with NaN where the column lacks; bools and whole numbers where nothing does."""
    if values.dtype.kind == "U" or kinds is None or kinds.min(initial=4) > 0:
        most = 4 if kinds is None else kinds.max(initial=0)
        return values.astype(np.int64) if most == 2 and values.dtype.kind != "u" else values
    values = values.astype(float)
    values[kinds == 0] = np.nan
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
