"""The benchmark of who leaves a saddle when, on tiny sizes, in counts: that it runs, and how."""

import importlib
import sys

import numpy as np
import pytest
from browser import ROOT

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from saddlelib import tasks  # noqa: E402

sys.path.insert(0, str(ROOT / "benchmarks"))
optim_peer = importlib.import_module("optim_peer")
unseen = importlib.import_module("unseen_saddles")
sys.path.pop(0)


@pytest.fixture(scope="module")
def task():
    torch.set_num_threads(1)
    return tasks.completion(images=4, rank=1)


def test_everybody_has_the_same_number_of_rates_and_bare_and_wrapped_the_same_ones():
    entries = optim_peer.entries((torch.optim.SGD, torch.optim.Adam), tame=0.5)
    assert len(entries) == 2 * len(optim_peer.INNERS) + 4
    assert {len(entry.lrs) for entry in entries.values()} == {3}
    for name in optim_peer.INNERS:
        assert entries[name].lrs == entries[f"Escape({name})"].lrs
    assert entries["SGD"].lrs == [0.05, 0.25, 1.25]
    assert entries["Adam"].lrs == optim_peer.RATES["adaptive"]


@pytest.mark.parametrize("name", optim_peer.TASKS)
def test_every_bare_inner_stays_where_every_part_sleeps_and_nobody_has_left(name):
    """Exactly: no rate, momentum or line search makes a gradient of zero into a step."""
    task = optim_peer.TASKS[name]()
    entries = optim_peer.entries(tame=optim_peer.TAME.get(name, 1.0))
    for inner in optim_peer.INNERS:
        result = optim_peer.compete(task, entries[inner], 0.0, 640, seeds=1, lrs=[0.01])
        row = optim_peer.leaving(task, name, 0.0, inner, result)
        assert len(row) == len(optim_peer.LEAVE) and row[4:7] == ["0/1", "–", "–"]
        first = result.params[""][0][0]
        assert not first[1:].any() if name == "sleeping units" else name == "dead head" or (
            not first.any())


def test_a_wrapped_inner_leaves_where_the_bare_one_stays_and_its_looks_are_on_the_bill(task):
    entries = optim_peer.entries()
    for inner in ("SGD", "Adam", "Muon", "L-BFGS"):
        rates = entries[inner].lrs[1:2]
        bare = optim_peer.compete(task, entries[inner], 0.0, 2560, seeds=1, lrs=rates)
        result = optim_peer.compete(task, entries[f"Escape({inner})"], 0.0, 2560, seeds=1,
                                    lrs=rates)
        assert np.isinf(bare.leaves("")).all() and np.isfinite(result.leaves("")).all()
        if inner != "L-BFGS":
            assert result.steps[""] < bare.steps[""] == 40
    row = optim_peer.leaving(task, "x", 0.0, inner, result)
    assert row[4] == "1/1" and row[5] != "–"
    stays = ["y", "0", inner, "1", "0/1", "–", "–", "1.000", "1.000"]
    assert optim_peer.summary([row, stays, ["y", "1", *stays[2:]]], 0.0).splitlines() == [
        "| start 0 | x | y |", "| --- | --- | --- |",
        f"| {inner} | {row[5]} / {row[6]} / {row[7]} | – / – / 1.000 |"]


def test_near_a_saddle_wrapped_and_bare_have_one_rate_and_the_same_streams(task):
    entries = optim_peer.entries()
    result = optim_peer.compete(task, entries["Adam"], 0.1, 1280, seeds=2)
    same = optim_peer.near(task, entries["Adam"], "x", 0.1, "Adam", result, 1280)
    assert same[6:] == ["1.00", "1.00"] and same[3] == f"{result.lr['']:g}"
    assert len(same) == len(optim_peer.NEAR)
    stuck = optim_peer.compete(task, entries["SGD"], 0.0, 640, seeds=1)
    assert optim_peer.near(task, entries["SGD"], "x", 0.0, "SGD", stuck, 640) is None


def test_outside_looks_a_wrapped_step_asks_for_no_loss():
    for build in (torch.optim.SGD, optim_peer.muon, optim_peer.all_inners()["L-BFGS"]):
        found, asked = optim_peer.step_times(build, matrices=2, width=4, rounds=1)
        assert asked == 0 and found["bare"][0] > 0 and found["wrapped"][0] > 0


def test_the_table_of_looks_has_a_way_down_at_a_saddle_and_none_at_a_minimum():
    strict, _, minimum = optim_peer.looks(width=2)
    assert strict[2] == "a way down" and minimum[2] == "none"
    assert 0 < int(strict[3]) <= 60 and 0 < int(minimum[3]) <= 60


def test_an_ordinary_run_has_the_same_start_and_batches_bare_and_wrapped():
    """Where nothing is moved the two are the same run, bit for bit, also past a look in vain."""
    for inner, lr in optim_peer.ORDINARY.items():
        bare, wrapped = (optim_peer.train(optim_peer.INNERS[inner][1], 3, wrap, epochs=1, lr=lr)
                         for wrap in (False, True))
        assert wrapped["moves"] == 0 < wrapped["gradients"]
        assert {key: wrapped[key] for key in bare} == bare


def test_on_completion_psgd_leaves_no_later_than_sgd_and_at_zero_only_it_leaves():
    real, entries = tasks.completion(), optim_peer.entries()
    found = {(name, scale): optim_peer.compete(real, entries[name], scale, 3840, 2,
                                               [0.1]).leaves("")
             for name in ("SGD", "PSGD") for scale in (1e-3, 0.0)}
    assert (found["PSGD", 1e-3] <= found["SGD", 1e-3]).all()
    assert np.isfinite(found["PSGD", 0.0]).all() and np.isinf(found["SGD", 0.0]).all()


SLEEPS = {"half": lambda p: [p[0][:, 1:], p[1][:, 1:]], "relu-awake": lambda p: [p[0][1:]],
          "attention": lambda p: p[:2], "attention-query": lambda p: p[:2],
          "identical": lambda p: [p[0] - p[0][:1]],
          "identical-noise": lambda p: [p[0] - p[0][:1]], "relu-zero": lambda p: p[::2],
          "mixture": lambda p: [p[0] - p[0][:1]],
          "loud": lambda p: p[:2]}


@pytest.mark.parametrize("name", [name for name in unseen.PROBLEMS if name not in (
    "relu-dead", "phase-noise", "small-32", "float32", "offset-32", "bfloat16")])
def test_what_nobody_looked_at_starts_where_gradients_are_zero_in_all_that_sleeps(name):
    """Sample by sample, but at noisy minima, where the mean over the samples is zero."""
    problem = unseen.PROBLEMS[name]()
    params = [p.to(problem.dtype).requires_grad_() for p in problem.start(0)]
    noisy = problem.minimum and name not in ("quartic", "constant", "indefinite")
    batch = torch.arange(problem.n if noisy else min(8, problem.n))
    grads = torch.autograd.grad(problem.loss(params, batch), params, allow_unused=True)
    grads = [torch.zeros_like(p) if g is None else g for p, g in zip(params, grads, strict=True)]
    asleep = SLEEPS.get(name, lambda g: g)(grads)
    assert all(float(g.detach().abs().max()) <= 1e-12 for g in asleep)
    assert np.isfinite(problem.full(params)) and (problem.minimum or problem.best < (
        problem.full(params)))


def test_a_row_of_the_unseen_says_where_the_line_is_and_what_the_wrapper_did():
    torch.set_num_threads(1)
    row = unseen.row(unseen.PROBLEMS["phase"](), "SGD", samples=1280, seeds=1)
    assert len(row) == len(unseen.HEADER) and row[5] == "1/1" and row[3:5] == ["1", "0.9"]
    assert int(row[9]) >= 1 and float(row[11]) > 0
    at = unseen.row(unseen.PROBLEMS["constant"](), "AdamW", samples=640, seeds=1)
    assert len(at) == len(unseen.MINIMA) and at[4] == "0" and float(at[6]) == 0.0
    high, low = [64.0, 2.0], [128.0, 0.5]
    assert unseen.leaves(np.array([high, low]), 1.0) == 128.0
    assert unseen.leaves(np.array([high, low, [192.0, np.inf]]), 1.0) == np.inf
