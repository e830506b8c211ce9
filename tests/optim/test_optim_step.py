"""The benchmark of a step: that it runs, and what it promises in counts and in memory."""

import importlib
import pathlib
import sys

import pytest
import torch

from saddlelib.optim import PSD, PSGD
from saddlelib.optim import _vector as vector
from saddlelib.optim._curvature import _SMALL, quick_dot

# The scripts run from their own folder, so that is how they find what they share.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "benchmarks"))
optim_step = importlib.import_module("optim_step")
sys.path.pop(0)


@pytest.mark.parametrize("autograd", [True, False])
@pytest.mark.parametrize("kind", [PSD, PSGD])
def test_the_closure_is_called_as_often_as_the_algorithm_needs(kind, autograd):
    found = optim_step.count(kind, autograd)
    assert found["by"] == ("autograd" if autograd else "differences")
    assert found["episodes"] == 1 and abs(found["x"]) == pytest.approx(1, abs=0.02)
    assert found["calls"] == found["needed"]


@pytest.mark.parametrize("tensors", [1, 50])
@pytest.mark.parametrize("kind, copies", [(PSD, 1.0), (PSGD, 2.0)])
def test_outside_episodes_two_copies_of_the_parameters_are_kept_at_most(kind, copies, tensors):
    """A point to go back to, and for PSGD a gradient; the rest is for small tensors together."""
    assert copies <= optim_step.peak_copies(kind, 100_000, tensors) <= copies + 0.05


def test_a_row_has_all_its_cells():
    row = optim_step.row(100_000, 50, repeats=1)
    assert len(row) == len(optim_step.HEADER) and float(row[4]) > 0


@pytest.mark.parametrize("sizes", [[3], [_SMALL], [7] * 400, [_SMALL - 1, _SMALL, 0, 5],
                                   [1, 2 * _SMALL, _SMALL // 2, _SMALL // 2, 9]])
def test_the_inner_product_of_a_pair_leaves_nothing_out(sizes):
    rng = torch.Generator().manual_seed(0)
    dtypes = [torch.float64, torch.float32]
    a, b = ([torch.randn(n, generator=rng, dtype=dtypes[i % 2]) for i, n in enumerate(sizes)]
            for _ in range(2))
    assert quick_dot(a, b) == pytest.approx(float(vector.dot(a, b)), abs=1e-4)
