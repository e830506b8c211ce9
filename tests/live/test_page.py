"""What the live figures share on a page: the stops of sliders, ticks, and numbers in words."""

import json
import re
import subprocess

import numpy as np
import pytest
from browser import ROOT, node

from saddlelib.live import (
    BudgetCalculator,
    EscapeEpisode,
    MethodRace,
    NoisyTrigger,
    RavineBall,
    SaddleMap,
)

LIVE = ROOT / "saddlelib" / "live"
RANGES = [(-6, -0.5), (-2, 3), (-4, -0.35)]
WHOLE = [0, 9]
NUMBERS = [0, 0.05, 354, 1e-6, -1e-6, 99_999, 123_456, 1e5, 1.2345e-4, -0.25, 1500]
ASKED = [(range_, count) for range_ in (0.03, 1, 7.3, 260, 1e4) for count in (3, 5, 20, 60)]
CALL = """
import { readFileSync } from "node:fs";
const text = readFileSync(process.argv[2]).toString("base64");
const page = await import(`data:text/javascript;base64,${text}`);
const { ranges, whole, numbers, asked, between } = JSON.parse(readFileSync(process.argv[3]));
const stops = ranges.map((range) => page.decades(...range));
process.stdout.write(JSON.stringify({
  stops, whole: page.decades(...whole, { tidy: Math.round }),
  near: stops.map((values, i) => between[i].map((x) => page.stopOf(values, x))),
  zero: page.stopOf([0, ...stops[0]], 0),
  short: numbers.map((x) => page.short(x)), steps: asked.map((a) => page.niceStep(...a)),
  powers: [-12, 0, 3].map(page.powerOfTen),
}));
"""


@pytest.fixture(scope="module")
def js(tmp_path_factory):
    """What the module computes, in one call of Node, and the numbers put between its stops."""
    folder = tmp_path_factory.mktemp("page")
    rng = np.random.default_rng(0)
    between = [(10 ** rng.uniform(low - 1, high + 1, 300)).tolist() for low, high in RANGES]
    (folder / "call.mjs").write_text(CALL, encoding="utf-8")
    (folder / "fixtures.json").write_text(json.dumps({
        "ranges": RANGES, "whole": WHOLE, "numbers": NUMBERS, "asked": ASKED, "between": between}))
    command = [node(), folder / "call.mjs", LIVE / "page.js", folder / "fixtures.json"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) | {"between": between}


def test_stops_are_twenty_a_decade_of_two_digits(js):
    for (low, high), values in zip(RANGES, js["stops"], strict=True):
        exact = 10 ** (low + np.arange(len(values)) / 20)
        np.testing.assert_allclose(values, exact, rtol=0.05)
        assert exact[-1] == pytest.approx(10**high) and (np.diff(values) > 0).all()
        assert all(float(f"{v:.1e}") == v for v in values)
    dims = js["whole"]
    assert dims[0] == 1 and dims[-1] == 10**9 and len(set(dims)) == len(dims)
    assert all(v == int(v) for v in dims)


def test_a_value_between_two_stops_is_at_the_nearer_by_ratio(js):
    assert js["zero"] == 0
    for values, xs, near in zip(js["stops"], js["between"], js["near"], strict=True):
        distances = abs(np.log(np.divide.outer(xs, values)))
        np.testing.assert_array_equal(near, distances.argmin(axis=1))


def test_numbers_have_three_digits_and_a_proper_minus(js):
    assert js["short"] == ["0", "0.05", "354", "1e−6", "−1e−6", "100000", "1.23e+5", "1e+5",
                           "1.23e−4", "−0.25", "1500"]
    assert js["powers"] == ["10⁻¹²", "1", "10³"]


def test_ticks_are_1_2_or_5_and_at_most_as_many_as_asked_for(js):
    for (range_, count), step in zip(ASKED, js["steps"], strict=True):
        assert round(float(f"{step:e}".split("e")[0]), 9) in (1, 2, 5)
        assert count / 2.5 - 1e-9 <= range_ / step <= count + 1e-9


def test_every_figure_carries_the_page_once():
    names = re.findall(r"^export (?:function|const) (\w+)", (LIVE / "page.js").read_text("utf-8"),
                       re.MULTILINE)
    assert {"h", "short", "penOn", "loop"} <= set(names)
    for figure in (BudgetCalculator, EscapeEpisode, MethodRace, NoisyTrigger, RavineBall,
                   SaddleMap):
        for name in ("isDark", "clamp", "status", "loop", "niceStep"):
            found = re.findall(rf"^\s*(?:function|const) {name}\b", figure._esm, re.MULTILINE)
            used = re.findall(rf"\b{name}\b", figure._esm)
            assert len(found) == bool(used), (figure.__name__, name)


def test_a_figure_carries_of_a_module_what_it_uses():
    assert "function runPGD" in SaddleMap._esm and "function uniformBall" in SaddleMap._esm
    for figure in (EscapeEpisode, NoisyTrigger):
        assert "runPGD" not in figure._esm and "function mulberry32" in figure._esm
