"""The benchmark against the peer's optimizers on tiny sizes, in counts: that it runs, and how."""

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
sys.path.pop(0)


class Patient(torch.optim.SGD):
    """A stand-in for PSDOptimizer: wants a closure."""

    def __init__(self, params, epsilon=1e-3, r=1e-3, T=10):
        super().__init__(params)
        self.radius = r

    def step(self, closure):
        with torch.enable_grad():
            closure()
        super().step()


class Quiet(torch.optim.Adam):
    """A stand-in for PerturbedAdam."""

    def __init__(self, params, r=1e-3):
        super().__init__(params)
        self.radius = r


@pytest.fixture(scope="module")
def task():
    torch.set_num_threads(1)
    return tasks.completion(images=4, rank=1)


def test_everybody_has_the_same_number_of_rates(task):
    entries = optim_peer.ours() | optim_peer.theirs((Patient, Quiet), task.dim)
    assert len(entries) == 8
    assert len({len(entry.lrs) for entry in entries.values()}) == 1


def test_the_peer_gets_a_perturbation_as_large_as_ours():
    """Gaussian numbers of r/√d have a norm of r, about; so has the uniform law on the ball."""
    dim = 400
    built = optim_peer.theirs((Patient, Quiet), dim)
    groups = [{"params": [torch.zeros(dim, requires_grad=True)], "lr": 0.1}]
    for name in ("PSDOptimizer", "PerturbedAdam"):
        number = built[name].build(groups).radius
        noise = number * np.random.default_rng(0).normal(size=(100, dim))
        assert np.linalg.norm(noise, axis=1) == pytest.approx(optim_peer.RADIUS, rel=0.2)
        assert built[name + ", defaults"].build(groups).radius == 1e-3


def test_a_table_has_a_row_for_each_method_and_says_who_never_left(task, monkeypatch):
    monkeypatch.setattr(optim_peer, "SEEDS", range(100, 102))
    entries = {"SGD": tasks.Entry(torch.optim.SGD, [0.1]),
               "PSGD, no look": optim_peer.ours()["PSGD, no look"]}
    at = list(optim_peer.rows(task, entries, "at", 0.0, 1280))
    assert [len(row) for row in at] == [len(optim_peer.HEADER)] * 2
    stuck, away = at
    assert stuck[4:8] == ["0/2", "–", "–", "1.000"]
    assert away[4] == "2/2" and 0 < int(away[5].replace(",", "")) <= 1280
    assert float(away[7]) < 0.9


def test_on_completion_a_look_leaves_with_fewer_samples_than_sgd_and_at_zero_only_it_leaves():
    real = tasks.completion()
    entries = {name: tasks.Entry(entry.build, [0.1], closure=entry.closure)
               for name, entry in optim_peer.ours().items() if name in ("SGD", "PSGD")}
    setting = dict(samples=3840, batch_size=64, curvature_batch=64, points=61, seeds=[100, 101])
    near = tasks.race(real, entries, **setting)
    assert (near.leaves("PSGD") < near.leaves("SGD")).all()
    at = tasks.race(real, entries, scale=0, **setting)
    assert np.isfinite(at.leaves("PSGD")).all() and np.isinf(at.leaves("SGD")).all()
