"""One table, whoever does the work, in whatever order and however often it is killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import sweep_cells
from sweep_cells import ESCAPE, ESCAPES, GRID, misbehaving, plain, slow

import saddlelib
from saddlelib import ensemble, minimize
from saddlelib.sweep import Pair, collect, engine, store, sweep, work

HERE, SEEDS = Path(__file__).parent, 12


def table(folder, **options):
    return collect(folder, kind="numpy", **options)


def same(one, other):
    return one.dtype == other.dtype and one.tobytes() == other.tobytes()


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """The tables of both kinds of cells, by one process without a break."""
    found = {}
    for name, cell, grid in [("plain", plain, GRID), ("pair", ESCAPE, ESCAPES)]:
        folder = tmp_path_factory.mktemp(name)
        swept = sweep(cell, grid, folder, seeds=seeds_of(name), parallel=1)
        assert swept.counts == {"ok": swept.cells} and swept.done == swept.new == swept.cells
        found[name] = table(folder)
    return found


def seeds_of(name):
    return SEEDS if name == "plain" else 100


# What a table says -------------------------------------------------------------------------------


def test_the_table_has_every_cell_once_in_the_order_of_the_grid(truth):
    rows = truth["plain"]
    assert len(rows) == 3 * 2 * 2 * SEEDS
    assert rows.dtype.names == ("size", "word", "flag", "seed", "sum", "twice", "not", "whole",
                                "status", "message", "attempt")
    assert [rows[name].dtype.kind for name in rows.dtype.names] == list("fUbifUbiUUi")
    assert rows["size"][::4 * SEEDS].tolist() == [1, 2.5, 4]
    assert rows["flag"][:2 * SEEDS:SEEDS].tolist() == [True, False]
    assert rows["seed"][:SEEDS].tolist() == list(range(SEEDS))
    assert (rows["not"] != rows["flag"]).all() and (rows["whole"] == 1).all()
    luck = rows["sum"] - rows["size"]
    assert len(set(luck)) == len(rows) and 0 <= luck.min() and luck.max() < 1


@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize("cell, grid, name", [(plain, GRID, "plain"), (ESCAPE, ESCAPES, "pair")])
def test_any_number_of_workers_writes_the_same_table(cell, grid, name, workers, truth, tmp_path):
    sweep(cell, grid, tmp_path, seeds=seeds_of(name), parallel=workers)
    assert same(table(tmp_path), truth[name])


@pytest.mark.parametrize("name", ["plain", "pair"])
def test_any_order_of_tasks_writes_the_same_table(name, truth, tmp_path, monkeypatch):
    rng, before = np.random.default_rng(3), engine._Work.__iter__

    def shuffled(self):
        tasks = list(before(self))
        return iter([tasks[i] for i in rng.permutation(len(tasks))])
    monkeypatch.setattr(engine._Work, "__iter__", shuffled)
    cell, grid = (plain, GRID) if name == "plain" else (ESCAPE, ESCAPES)
    sweep(cell, grid, tmp_path, seeds=seeds_of(name), parallel=1)
    assert same(table(tmp_path), truth[name])


@pytest.mark.parametrize("name", ["plain", "pair"])
def test_shards_merge_to_the_whole_in_one_folder_or_in_two(name, truth, tmp_path):
    cell, grid = (plain, GRID) if name == "plain" else (ESCAPE, ESCAPES)
    for i in (1, 2, 3):
        told = dict(seeds=seeds_of(name), parallel=1)
        half = sweep(cell, grid, tmp_path / str(i), shard=f"{i}/3", **told)
        again = sweep(cell, grid, tmp_path / "all", shard=(i, 3), **told)
        assert half.done == half.cells == again.done == again.cells < len(truth[name]) / 2
    assert same(table(tmp_path / "all"), truth[name])
    assert same(table([tmp_path / "3", tmp_path / "1", tmp_path / "2"]), truth[name])


def test_a_grid_grows_without_a_change_of_the_rows_that_are_there(tmp_path, truth):
    calls = []

    def cell(size, word, rng):
        calls.append(size)
        return rng.random()
    sweep(cell, {"word": ["b"], "size": [3, 1]}, tmp_path, seeds=2, parallel=1)
    before = table(tmp_path)
    sweep(cell, {"word": ["a", "b"], "size": [1, 2, 3.0]}, tmp_path, seeds=5, parallel=1)
    assert len(calls) == 2 * 3 * 5
    rows = table(tmp_path)
    for row in before:
        twin = rows[(rows["word"] == row["word"]) & (rows["size"] == row["size"])
                    & (rows["seed"] == row["seed"])]
        assert twin["value"].tolist() == [row["value"]]


def test_generators_come_from_the_shared_axes_alone(tmp_path):
    def cell(size, word, rng):
        return rng.random()
    grid = {"size": [1, 2], "word": ["a", "b"]}
    for share, different in [(("seed",), 3), (("word", "seed"), 6), (("size",), 2), ((), 1),
                             (None, 12)]:
        folder = tmp_path / repr(share)
        sweep(cell, grid, folder, seeds=3, share=share, parallel=1)
        rows = table(folder)
        assert len(set(rows["value"])) == different
        if share == ("word", "seed"):
            first, second = (rows[rows["size"] == size]["value"] for size in (1, 2))
            assert (first == second).all()


def test_seeds_of_a_pair_are_the_single_runs(truth):
    rows = truth["pair"]
    for d, radius in [(2, 1e-6), (10, 1e-3)]:
        some = rows[(rows["d"] == d) & (rows["radius"] == radius)]
        assert (some["end"] == "callback").all() and np.isfinite(some["reached"]).all()
        assert (some["reached"] == some["nit"]).all()
        problem, seed = sweep_cells.saddle(d), 7
        labels = {"d": d, "radius": radius}
        rng = work.Job(ESCAPE, engine_grid(ESCAPES, 100), "1", "", "").identity(labels).rng(seed)
        alone = minimize(problem, problem.saddles[0], method=sweep_cells.pgd(d, radius), rng=rng,
                         maxiter=int(some["nit"][seed]), certificate=False)
        assert alone.nit == some["nit"][seed] and alone.njev == some["njev"][seed]
        assert some["grad_norm"][seed] == pytest.approx(np.linalg.norm(alone.jac), rel=1e-12)


def engine_grid(grid, seeds):
    from saddlelib.sweep.cells import Grid
    return Grid(grid, seeds)


def test_a_pair_asks_for_axes_by_name_and_starts_where_it_is_told(tmp_path):
    pair = Pair(sweep_cells.saddle, lambda problem, radius: sweep_cells.pgd(problem.dim, radius),
                maxiter=3000, until=lambda x, d: abs(x[:, 0]) > 0.1 + 0.01 * d,
                start=lambda rng, d: np.append(0.05 + 0.01 * rng.random(), np.zeros(d - 1)))
    grid = {"d": [2, 10], "radius": [1e-6, 1e-5]}
    assert sweep(pair, grid, tmp_path, seeds=20, share=["seed"], parallel=1).counts == {"ok": 80}
    rows = table(tmp_path)
    # A start on the way out, shared by the methods: the noise of the step hardly matters.
    one, other = (rows[rows["radius"] == radius]["reached"] for radius in grid["radius"])
    assert abs(one - other).max() <= 1 and len(set(one)) > 3
    fixed = Pair(sweep_cells.saddle(3), sweep_cells.pgd(3, 1e-3), maxiter=0, start=np.ones(3))
    sweep(fixed, {}, tmp_path / "fixed", seeds=2, parallel=1)
    rows = table(tmp_path / "fixed")
    assert rows["end"].tolist() == ["maxiter"] * 2 and np.isinf([0.0]).sum() == 0
    assert rows["fun"] == pytest.approx(sweep_cells.saddle(3).fun(np.ones(3)))


# What cells do -----------------------------------------------------------------------------------


ENDS = {"well": "ok", "inf": "ok", "raises": "error", "exits": "error", "list": "error",
        "own": "error", "nan": "nonfinite", "sleeps": "timeout", "loops": "timeout"}


def check_ends(rows, seeds):
    for what, status in {**ENDS, "dies": "killed"}.items():
        some = rows[rows["what"] == what]
        assert (some["status"] == status).all(), (what, some)
        assert len(some) in (0, seeds)
        assert (some["message"] != "").all() == (status not in ("ok", "nonfinite"))
        assert (some["more"] == 1).all() == (status in ("ok", "nonfinite"))
    assert rows[rows["what"] == "raises"]["message"][0] == "KeyError: 'lost'"
    assert "list for 'value'" in rows[rows["what"] == "list"]["message"][0]


def test_whatever_a_cell_does_is_a_row_and_all_others_are_there(tmp_path):
    found = sweep(misbehaving, {"what": [*ENDS, "dies"]}, tmp_path, seeds=2, parallel=2,
                  timeout=0.2)
    assert found.cells == found.done == 20
    assert found.counts == {"ok": 4, "error": 8, "killed": 2, "nonfinite": 2, "timeout": 4}
    check_ends(table(tmp_path), 2)
    assert not (tmp_path / "running").exists()
    assert not list((tmp_path / "parts").glob(".*"))


def test_a_time_limit_holds_in_a_thread_too(tmp_path):
    found = []
    thread = threading.Thread(target=lambda: found.append(sweep(
        misbehaving, {"what": ["loops", "well"]}, tmp_path, parallel=1, timeout=0.1)))
    thread.start()
    thread.join(20)
    assert found[0].counts == {"ok": 1, "timeout": 1}


def test_compiled_code_that_hangs_is_ended_with_its_worker(tmp_path, monkeypatch):
    """A signal handler of Python's runs between two of its operations; here there is none."""
    def cell(long, rng):
        if long:  # no signal reaches it, as in a loop of compiled code
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
            time.sleep(60)
        return 1.0
    monkeypatch.setattr(engine, "GRACE", 0.3)
    found = sweep(cell, {"long": [False, True]}, tmp_path, parallel=2, timeout=0.3)
    assert found.counts == {"ok": 1, "timeout": 1}
    assert "would not be interrupted" in table(tmp_path)["message"][1]


def test_of_a_batch_that_fails_every_run_has_its_own_end(tmp_path):
    def start(rng):
        bad = rng.random() < 0.3
        if bad and rng.random() < 0.5:
            raise RuntimeError("no start")
        return np.full(2, np.inf if bad else 0.0)
    pair = Pair(sweep_cells.saddle(2), sweep_cells.pgd(2, 1e-3), maxiter=2000, start=start,
                until=sweep_cells.left)
    found = sweep(pair, {}, tmp_path, seeds=40, parallel=1)
    rows = table(tmp_path)
    bad = rows["status"] == "error"
    assert 4 <= bad.sum() <= 20 and found.counts == {"ok": 40 - bad.sum(), "error": bad.sum()}
    assert {m.split(":")[0] for m in rows["message"][bad]} == {"RuntimeError", "ValueError"}
    assert np.isfinite(rows["reached"][~bad]).all() and np.isnan(rows["reached"][bad]).all()


def test_failed_rows_are_tried_again_only_where_asked(tmp_path):
    well = []

    def cell(size, rng):
        if not well and size == 2:
            raise RuntimeError("not yet")
        return size
    grid = {"size": [1, 2, 3]}
    assert sweep(cell, grid, tmp_path, parallel=1).counts == {"ok": 2, "error": 1}
    well.append(True)
    assert sweep(cell, grid, tmp_path, parallel=1).new == 0
    assert sweep(cell, grid, tmp_path, parallel=1, retry=["timeout", "killed"]).new == 0
    assert sweep(cell, grid, tmp_path, parallel=1, retry="failed").counts == {"ok": 3}
    assert table(tmp_path)["attempt"].tolist() == [1, 2, 1]
    assert table(tmp_path)["value"].dtype.kind == "i"
    assert sweep(cell, grid, tmp_path, parallel=1, retry="failed").new == 0


def test_another_version_runs_anew_and_a_changed_text_warns(tmp_path):
    def cell(size, rng):
        return size
    grid = {"size": [1, 2]}
    sweep(cell, grid, tmp_path, parallel=1)

    def cell(size, rng):
        return -size
    with pytest.warns(UserWarning, match="text of the cell has changed"):
        assert sweep(cell, grid, tmp_path, parallel=1).new == 0
    assert sweep(cell, grid, tmp_path, parallel=1, version="2").new == 2
    assert table(tmp_path)["value"].tolist() == [-1, -2]


# What goes wrong ---------------------------------------------------------------------------------

RUN = """
import sys
sys.path.insert(0, {here!r})
from sweep_cells import GRID, {cell}
from saddlelib.sweep import sweep
if __name__ == "__main__":
    {more}
    print(sweep({cell}, GRID, sys.argv[1], seeds={seeds}, parallel=2))
"""


def script(tmp_path, cell="slow", seeds=SEEDS, more="pass"):
    path = tmp_path / "run.py"
    path.write_text(RUN.format(here=str(HERE), cell=cell, seeds=seeds, more=more))
    root = str(Path(saddlelib.__file__).parents[1])
    return [sys.executable, str(path), str(tmp_path / "folder")], os.environ | {"PYTHONPATH": root}


@pytest.fixture(scope="module")
def long_truth(tmp_path_factory):
    folder = tmp_path_factory.mktemp("long")
    sweep(plain, GRID, folder, seeds=100, parallel=1)
    return table(folder)


def test_after_ten_kills_of_the_parent_the_table_is_the_same(tmp_path, long_truth):
    rng, (words, env) = np.random.default_rng(8), script(tmp_path, seeds=100)
    parts, killed = tmp_path / "folder/parts", 0
    for _ in range(10):
        before, most = len(list(parts.glob("*.npz"))), int(rng.integers(1, 4))
        run = subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
        while run.poll() is None and len(list(parts.glob("*.npz"))) < before + most:
            time.sleep(0.002)
        time.sleep(0.02 * rng.random())
        run.kill()
        killed += run.wait() == -signal.SIGKILL
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)
    assert killed >= 5
    assert done.stdout == "Swept(1200 of 1200 cells: 1200 ok)\n"
    assert same(table(tmp_path / "folder"), long_truth)


def test_after_ten_kills_of_workers_the_table_is_the_same(tmp_path):
    def dying(size, rng, folder=str(tmp_path)):
        return sweep_cells.dying(folder, size, rng)
    (tmp_path / "sweep").mkdir()
    found = sweep(dying, {"size": range(1, 71)}, tmp_path / "sweep", parallel=2)
    assert len(list(tmp_path.glob("[0-9]*"))) == 10  # as many have died
    assert found.counts == {"ok": 70}
    rows = table(tmp_path / "sweep")
    # Every cell that died had one more try and the same numbers in it.
    alone = sweep(dying, {"size": range(1, 71)}, tmp_path / "alone", parallel=1)
    assert alone.counts == {"ok": 70} and same(rows, table(tmp_path / "alone"))


def test_an_interrupt_from_the_keyboard_keeps_what_was_done(tmp_path):
    calls = []

    def cell(size, rng):
        calls.append(size)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return size
    with pytest.raises(KeyboardInterrupt):
        sweep(cell, {"size": range(50)}, tmp_path, parallel=1)
    assert table(tmp_path)["value"].tolist() == list(range(19))
    assert sweep(cell, {"size": range(50)}, tmp_path, parallel=1).done == 50
    assert len(calls) == 51  # only the interrupted one twice
    assert [run["ended"] for run in store.Store(tmp_path).manifest()["runs"]] == ["interrupted",
                                                                                 "done"]


def test_a_full_disk_ends_in_words_and_the_same_call_goes_on(tmp_path, truth, monkeypatch):
    before = store.np.savez_compressed

    def full(file, **arrays):
        before(file, **arrays)
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(store.np, "savez_compressed", full)
    found = sweep(plain, GRID, tmp_path, seeds=SEEDS, parallel=1)
    assert found.done == found.new == 0 and "No space left" in found.trouble
    assert "could not be written" in repr(found) and not list((tmp_path / "parts").iterdir())
    monkeypatch.setattr(store.np, "savez_compressed", before)
    assert sweep(plain, GRID, tmp_path, seeds=SEEDS, parallel=1).new == len(truth["plain"])
    assert same(table(tmp_path), truth["plain"])


def test_a_limit_on_the_size_of_files_is_a_full_disk(tmp_path):
    more = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))"
    words, env = script(tmp_path, cell="plain", more=more)
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    assert done.returncode == 0 and "rows could not be written: OSError" in done.stdout, done


def test_damaged_parts_are_put_aside_and_done_again(tmp_path, truth):
    sweep(plain, GRID, tmp_path, seeds=SEEDS, parallel=1)
    parts = sorted((tmp_path / "parts").glob("*.npz"))
    parts[0].write_bytes(parts[0].read_bytes()[:100])
    parts[-1].write_bytes(b"")
    with pytest.warns(UserWarning, match="was damaged") as warned:
        again = sweep(plain, GRID, tmp_path, seeds=SEEDS, parallel=1)
    assert len(warned) == 2 and len(list((tmp_path / "parts").glob("*.damaged"))) == 2
    assert again.new > 0 and same(table(tmp_path), truth["plain"])


def test_every_flipped_byte_of_a_part_is_noticed_or_harmless(tmp_path, truth):
    sweep(plain, GRID, tmp_path, seeds=SEEDS, parallel=1)
    part = max((tmp_path / "parts").glob("*.npz"), key=lambda path: path.stat().st_size)
    whole, rng = part.read_bytes(), np.random.default_rng(0)
    for place in rng.integers(len(whole), size=60).tolist():
        part.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1:])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows = table(tmp_path)
        assert len(rows) < len(truth["plain"]) or same(rows, truth["plain"])
        part.with_suffix(".damaged").unlink(missing_ok=True)
    part.write_bytes(whole)


def test_what_keeps_a_sound_part_from_being_read_is_raised(tmp_path, monkeypatch):
    sweep(plain, GRID, tmp_path, seeds=1, parallel=1)
    parts = sorted((tmp_path / "parts").iterdir())

    def busy(*args, **options):
        raise OSError(24, "Too many open files")
    monkeypatch.setattr(store.np, "load", busy)
    with pytest.raises(OSError, match="Too many"):
        table(tmp_path)
    assert sorted((tmp_path / "parts").iterdir()) == parts


@pytest.mark.parametrize("name", ["plain", "pair"])
def test_work_handed_back_and_written_often_gives_the_same_table(name, truth, tmp_path,
                                                                monkeypatch):
    """A worker that has time for one batch only, and one that writes after each."""
    cell, grid = (plain, GRID) if name == "plain" else (ESCAPE, ESCAPES)
    for constant in ("LONGEST", "FLUSH"):
        with monkeypatch.context() as patch:
            patch.setattr(work, constant, 0.0)
            found = sweep(cell, grid, tmp_path / constant, seeds=seeds_of(name), parallel=1)
        assert found.new == found.done == found.cells
        assert same(table(tmp_path / constant), truth[name])
    assert len(list((tmp_path / "FLUSH/parts").iterdir())) >= 12


def test_a_part_is_there_entirely_or_not_at_all(tmp_path, monkeypatch):
    """While it is being written it has another name, and nothing is left where writing fails."""
    seen, before = [], store.np.savez_compressed

    def watched(file, **arrays):
        seen.append([path.name for path in (tmp_path / "parts").glob("*.npz")])
        before(file, **arrays)
        seen.append([path.name for path in (tmp_path / "parts").glob("*.npz")])
    monkeypatch.setattr(store.np, "savez_compressed", watched)
    sweep(plain, {name: values[:1] for name, values in GRID.items()}, tmp_path, parallel=1)
    assert seen == [[], []] and len(list((tmp_path / "parts").iterdir())) == 1


@pytest.mark.parametrize("statuses", [["ok", "error"], ["error", "ok"]])
def test_a_row_that_is_well_counts_more_than_one_that_is_not(statuses):
    keep = store.best(np.array([7, 7], np.uint64), np.array(statuses), np.array([1, 2]))
    assert [statuses[i] for i in keep] == ["ok"]
    keep = store.best(np.array([7, 7], np.uint64), np.array(["error"] * 2), np.array([2, 1]))
    assert keep.tolist() == [0]


def test_the_folder_may_be_relative_and_the_process_may_move(tmp_path, monkeypatch):
    def cell(size, rng):
        os.chdir("/")
        return size
    for place in ("one", "other"):
        (tmp_path / place).mkdir()
        monkeypatch.chdir(tmp_path / place)
        found = sweep(cell, {"size": [1, 2, 3]}, "rows", parallel=2)
        assert found.counts == {"ok": 3}, place
        assert len(table(tmp_path / place / "rows")) == 3


def test_columns_of_many_kinds_are_the_same_for_any_cut_of_the_work(tmp_path, monkeypatch):
    values = [True, 1, 2.5, "word", 3, False, 1.0, "", 2**60, -0.0]

    def cell(at, rng):
        row = {} if at % 4 == 3 else {f"late{at // 7}": at}
        return {"mixed": values[at % 10], "bools": at % 2 == 0, "two": [at, at + 0.5][at % 2],
                **row}
    found = []
    for most in (1, 3, 1000):
        monkeypatch.setattr(engine, "MOST", most)
        sweep(cell, {"at": range(20)}, tmp_path / str(most), parallel=1)
        found.append(table(tmp_path / str(most)))
    assert same(found[0], found[1]) and same(found[0], found[2])
    rows = found[0]
    assert rows["mixed"][:10].tolist() == ["True", "1", "2.5", "word", "3", "False", "1.0", "",
                                           str(2**60), "-0.0"]
    assert [rows[name].dtype.kind for name in ("bools", "two", "late0")] == ["b", "f", "f"]
    assert rows.dtype.names[2:8] == ("mixed", "bools", "two", "late0", "late1", "late2")


class Mute(Exception):
    """An error that cannot say what it is."""

    def __str__(self):
        raise RuntimeError("no words")


def test_errors_without_words_or_with_odd_ones_are_rows(tmp_path):
    def cell(what, rng):
        if what == "mute":
            raise Mute
        if what == "odd":
            raise ValueError("\udc80" * 10_000)
        return {"word": "\udc80"} if what == "word" else {"\udc80": 1}
    sweep(cell, {"what": ["mute", "odd", "word", "name"]}, tmp_path, parallel=1)
    rows = table(tmp_path)
    assert rows["status"].tolist() == ["error", "error", "ok", "error"]
    assert rows["word"][2] == "\\udc80" and max(map(len, rows["message"])) <= 200


def test_a_limit_within_a_limit_gives_the_outer_one_its_time_back():
    with pytest.raises(work.TimeOut):
        with work.limit(0.3):
            with work.limit(5.0):
                time.sleep(0.01)
            time.sleep(20)
    for _ in range(200):  # a limit that is over as it begins, or as it ends
        try:
            with work.limit(1e-5):
                pass
        except work.TimeOut:
            pass
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_table_of_nothing_is_empty(tmp_path):
    def cell(size, rng):
        raise SystemError
    found = sweep(cell, {"size": [1, 2]}, tmp_path, shard="3/3", parallel=1)
    assert (found.cells, found.done) == (0, 0) and len(table(tmp_path)) == 0
    sweep(cell, {"size": [1, 2]}, tmp_path, shard="1/3", parallel=1)
    assert sweep(cell, {"size": [1, 2]}, tmp_path, shard="3/3", parallel=1).done == 0


# Engines -----------------------------------------------------------------------------------------


def test_dask_writes_the_same_tables(truth, tmp_path):
    distributed = pytest.importorskip("distributed")
    import joblib
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with distributed.LocalCluster(n_workers=2, threads_per_worker=1,
                                      dashboard_address=None) as cluster, \
                distributed.Client(cluster), joblib.parallel_config("dask"):
            sweep(plain, GRID, tmp_path / "plain", seeds=SEEDS)
            sweep(ESCAPE, ESCAPES, tmp_path / "pair", seeds=100)
            ends = sweep(misbehaving, {"what": ["loops", "raises", "well"]}, tmp_path / "ends",
                         timeout=0.2)
            dead = sweep(misbehaving, {"what": ["dies", "well"]}, tmp_path / "dead")
    assert ends.counts == {"ok": 1, "error": 1, "timeout": 1}
    assert dead.counts == {"ok": 1, "killed": 1}
    for name in truth:
        assert same(table(tmp_path / name), truth[name])


RAY = """
import sys
sys.path.insert(0, {here!r})
import joblib, ray
from ray.util.joblib import register_ray
from sweep_cells import ESCAPE, ESCAPES, GRID, misbehaving, plain
from saddlelib.sweep import sweep
if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, logging_level="error")
    register_ray()
    with joblib.parallel_config("ray"):
        print(sweep(plain, GRID, sys.argv[1] + "/plain", seeds={seeds}))
        print(sweep(ESCAPE, ESCAPES, sys.argv[1] + "/pair", seeds=100))
        for name, what in (("ends", ["loops", "raises", "well"]), ("dead", ["dies", "well"])):
            found = sweep(misbehaving, {{"what": what}}, f"{{sys.argv[1]}}/{{name}}", timeout=0.2)
            print(name, dict(sorted(found.counts.items())))
"""


def test_ray_writes_the_same_tables(truth, tmp_path):
    pytest.importorskip("ray")
    _, env = script(tmp_path)
    done = subprocess.run([sys.executable, "-c", RAY.format(here=str(HERE), seeds=SEEDS),
                           str(tmp_path)], env=env | {"PYTHONPATH": f"{env['PYTHONPATH']}:{HERE}"},
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "ends {'error': 1, 'ok': 1, 'timeout': 1}" in done.stdout
    assert "dead {'killed': 1, 'ok': 1}" in done.stdout
    for name in truth:
        assert same(table(tmp_path / name), truth[name])


# Doors -------------------------------------------------------------------------------------------


def test_tables_are_written_with_their_manifest(tmp_path, truth):
    sweep(plain, GRID, tmp_path, seeds=SEEDS, parallel=1)
    collect(tmp_path, tmp_path / "all.npz", kind="numpy")
    with np.load(tmp_path / "all.npz") as found:
        assert all((found[name] == truth["plain"][name]).all() for name in found.files)
        assert tuple(found.files) == truth["plain"].dtype.names
    told = json.loads((tmp_path / "all.json").read_text("utf8"))
    assert told["rows"] == len(truth["plain"]) and told["axes"]["size"] == [1, 2.5, 4]
    [run] = told["runs"]
    assert run["versions"]["numpy"] == np.__version__ and run["cores"] and run["started"]
    assert run["seconds"] > 0 and {"commit", "machine", "workers"} <= run.keys()
    assert "seconds" in table(tmp_path, seconds=True).dtype.names


def test_pandas_and_parquet_hold_the_same_table(tmp_path, truth):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    sweep(plain, GRID, tmp_path, seeds=SEEDS, parallel=1)
    frame = collect(tmp_path, tmp_path / "all.parquet")
    back = pandas.read_parquet(tmp_path / "all.parquet")
    for name in truth["plain"].dtype.names:
        assert frame[name].tolist() == back[name].tolist() == truth["plain"][name].tolist()


def command(*words, cwd):
    env = os.environ | {"PYTHONPATH": str(Path(saddlelib.__file__).parents[1])}
    return subprocess.run([sys.executable, "-m", "saddlelib.sweep", *map(str, words)], cwd=cwd,
                          env=env, capture_output=True, text=True)


def test_the_command_plans_runs_shards_and_collects(tmp_path):
    (tmp_path / "spec.py").write_text(
        "def cell(size, rng):\n    assert size < 3, 'no'\n    return rng.random()\n"
        "grid = {'size': [1, 2, 3]}\nfolder = 'rows'\nseeds = 4\nparallel = 1\n")
    plan = command("spec.py", "--dry-run", cwd=tmp_path)
    assert plan.returncode == 0 and plan.stdout.startswith("12 cells, 0 done"), plan.stderr
    assert plan.stdout.endswith("(from 12 cells: 8 ok, 4 error)\n")
    assert not (tmp_path / "rows").exists()
    half = command("spec.py", "--shard", "1/2", cwd=tmp_path)
    assert half.returncode == 0 and half.stdout == "Swept(6 of 6 cells: 4 ok, 2 error)\n"
    assert "6/6" in half.stderr  # the bar
    assert command("spec.py", "--shard=2/2", "--quiet", cwd=tmp_path).stderr == ""
    done = command("spec.py", "--collect", "all.npz", cwd=tmp_path)
    assert done.stdout == "12 rows in all.npz\n"
    assert command("spec.py", "--retry", "failed", cwd=tmp_path).stdout == \
        "Swept(12 of 12 cells: 8 ok, 4 error)\n"
    wrong = command("spec.py", "--shard", "3/2", cwd=tmp_path)
    assert wrong.returncode == 1 and "one of 1/2 to 2/2" in wrong.stderr
    (tmp_path / "empty.py").write_text("cell = print")
    assert "names no grid and no folder" in command("empty.py", cwd=tmp_path).stderr


def test_a_dry_run_says_cells_time_and_size_and_keeps_nothing(tmp_path):
    def cell(size, rng):
        time.sleep(0.02)
        return size
    plan = sweep(cell, {"size": range(100)}, tmp_path / "rows", seeds=10, parallel=1, dry_run=True)
    assert (plan.cells, plan.done, plan.tried) == (1000, 0, 12)
    assert 20 <= plan.seconds < 200 and plan.size > 1000
    assert "1000 cells, 0 done" in str(plan) and not (tmp_path / "rows").exists()
    sweep(cell, {"size": range(10)}, tmp_path / "rows", parallel=1)
    plan = sweep(cell, {"size": range(10)}, tmp_path / "rows", parallel=1, dry_run=True)
    assert (plan.cells, plan.done, plan.tried, plan.seconds) == (10, 10, 0, 0)


BAD = [
    (dict(cell=lambda rng: 1), TypeError, "no argument 'size'"),
    (dict(cell=lambda size: 1), TypeError, "no argument 'rng'"),
    (dict(cell=ESCAPE, grid={"nit": [1]}), ValueError, "nit"),
    (dict(grid={"size": {1, 2}}), TypeError, "list"),
    (dict(grid={"size": [2**63]}), ValueError, "64 bits"),
    (dict(grid={"size": ["\udc80"]}), ValueError, "no text"),
    (dict(seeds=10**12), ValueError, "at most"), (dict(share=3), TypeError, "share"),
    (dict(folder=None), TypeError, "folder"), (dict(folder=""), TypeError, "folder"),
    (dict(retry=3), TypeError, "retry"), (dict(shard=(1.5, 2)), ValueError, "2/5"),
    (dict(cell=3), TypeError, "cell must be"), (dict(cell=(1, 2)), TypeError, "Pair"),
    (dict(grid=[1]), TypeError, "dictionary"), (dict(grid={"size": []}), ValueError, "empty"),
    (dict(grid={"size": "ab"}), TypeError, "list"), (dict(grid={"size": 3}), TypeError, "list"),
    (dict(grid={"size": [1, 1.0]}), ValueError, "twice"),
    (dict(grid={"size": [float("nan")]}), ValueError, "NaN"),
    (dict(grid={"size": [object]}), TypeError, "name"),
    (dict(grid={"seed": [1]}), ValueError, "seeds=..."),
    (dict(grid={"rng": [1]}), ValueError, "rng"), (dict(grid={"a b": [1]}), ValueError, "named"),
    (dict(seeds=0), ValueError, "seeds"), (dict(seeds=[]), ValueError, "seeds"),
    (dict(seeds=[1, 1]), ValueError, "seeds"), (dict(seeds=[-1]), ValueError, "seeds"),
    (dict(seeds=1.5), TypeError, "seeds"), (dict(seeds="12"), TypeError, "seeds"),
    (dict(share="seed"), TypeError, "share"), (dict(share=["way"]), ValueError, "way"),
    (dict(version=2), TypeError, "version"), (dict(parallel=0), ValueError, "parallel"),
    (dict(parallel=1.5), TypeError, "parallel"), (dict(timeout=0), ValueError, "timeout"),
    (dict(timeout=float("nan")), ValueError, "timeout"),
    (dict(retry="wrong"), ValueError, "retry"), (dict(shard="0/2"), ValueError, "1/2"),
    (dict(shard="half"), ValueError, "2/5"), (dict(shard=(3, 2)), ValueError, "3/2"),
]


@pytest.mark.parametrize("wrong, error, words", BAD, ids=range(len(BAD)))
def test_bad_arguments_are_named(wrong, error, words, tmp_path):
    told = dict(cell=lambda size, rng: 1.0, grid={"size": [1]}, folder=tmp_path / "rows",
                parallel=1)
    with pytest.raises(error, match=words):
        sweep(**(told | wrong))


def test_a_folder_of_another_sweep_is_refused(tmp_path):
    def cell(rng, **axes):
        return 1.0

    def other(rng, **axes):
        return 2.0
    sweep(cell, {"size": [1]}, tmp_path, parallel=1)
    for change in [dict(cell=other), dict(grid={"word": [1]}), dict(share=["seed"])]:
        with pytest.raises(ValueError, match="take another folder"):
            sweep(**(dict(cell=cell, grid={"size": [1]}, folder=tmp_path, parallel=1) | change))
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be made"):
        sweep(cell, {"size": [1]}, tmp_path / "file", parallel=1)
    with pytest.raises(ValueError, match="holds no sweep"):
        collect(tmp_path / "file")
    with pytest.raises(ValueError, match="npz or .parquet"):
        collect(tmp_path, "table.csv")


def test_a_named_object_goes_to_the_cell_and_its_name_to_the_table(tmp_path):
    sweep(lambda f, rng: f(1.0), {"f": {"sine": np.sin, "cosine": np.cos}}, tmp_path, parallel=1)
    rows = table(tmp_path)
    assert rows["f"].tolist() == ["sine", "cosine"]
    assert rows["value"].tolist() == [np.sin(1.0), np.cos(1.0)]


def test_a_sweep_costs_hardly_more_calls_than_the_ensemble(monkeypatch, tmp_path):
    """One call of `ensemble.run` for a batch, and one generator for a run."""
    calls, before = [], ensemble.run
    monkeypatch.setattr(ensemble, "run", lambda *a, **k: calls.append(len(a[1])) or before(*a, **k))
    sweep(ESCAPE, ESCAPES, tmp_path, seeds=100, parallel=1)
    assert calls == [40, 40, 20] * 4


def test_slow_and_plain_cells_give_the_same():
    rngs = [np.random.default_rng(3) for _ in range(2)]
    assert slow(1, "a", True, rngs[0]) == plain(1, "a", True, rngs[1])
