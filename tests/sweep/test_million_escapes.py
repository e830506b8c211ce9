"""The million escapes of the page on clusters: their file, and the law beside them."""

import importlib.util
import json

import numpy as np
import pytest
from browser import ROOT

from saddlelib.sweep import collect, sweep
from saddlelib.theory import laws


@pytest.fixture(scope="module")
def spec():
    found = importlib.util.spec_from_file_location("million_escapes",
                                                   ROOT / "examples" / "million_escapes.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_the_stored_quantiles_of_a_million_runs_are_those_of_the_law(spec):
    found = json.loads(spec.QUANTILES.read_text("utf8"))
    rows = found["rows"]
    assert found["runs"] == sum(row["runs"] for row in rows) == 1_000_000 and not found["not ok"]
    assert [(row["d"], row["gamma"]) for row in rows] == [
        (d, gamma) for d in spec.grid["d"] for gamma in spec.grid["gamma"]]
    for row in rows:
        law = [laws.escape_deadline(1 - share, row["d"], spec.RADIUS, spec.EXIT, spec.STEP,
                                    row["gamma"]) for share in spec.SHARES]
        assert law == row["predicted"]
        # 50,000 runs know the 95 % quantile to 3 standard errors within a step or two of a few
        # hundred; and the law is at most a step late.
        assert np.abs(np.subtract(row["measured"], law)).max() <= 2
        assert row["worst"] > law[-1]


def test_a_few_of_the_runs_again_are_the_same_law(spec, tmp_path):
    """The share that has left by the time of the law, at two points of the grid."""
    grid = {"d": [2, 100], "gamma": [0.2, 0.4]}
    assert sweep(spec.cell, grid, tmp_path, seeds=2000, parallel=1).counts == {"ok": 8000}
    table = collect(tmp_path, kind="numpy")
    for d in grid["d"]:
        for gamma in grid["gamma"]:
            some = table[(table["d"] == d) & (table["gamma"] == gamma)]["reached"]
            for share in spec.SHARES:
                law = laws.escape_deadline(1 - share, d, spec.RADIUS, spec.EXIT, spec.STEP, gamma)
                exact = laws.escape_probability(law, d, spec.RADIUS, spec.EXIT, spec.STEP, gamma)
                error = 4.5 * np.sqrt(exact * (1 - exact) / len(some))
                assert (some <= law).mean() >= share - error
                assert (some <= law).mean() >= exact - error
                before = laws.escape_probability(law - 2, d, spec.RADIUS, spec.EXIT, spec.STEP,
                                                 gamma)
                assert (some <= law - 2).mean() <= before + error + 0.03
