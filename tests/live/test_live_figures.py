"""What all live figures promise without a browser: bundles, sizes, words, and the kit's numbers."""

import colorsys
import json
import re
import subprocess

import numpy as np
import pytest
from browser import ROOT, in_node

from saddlelib import live
from saddlelib.figures import COLORS
from saddlelib.live import _build

LIVE = ROOT / "saddlelib" / "live"
FIGURES = {"budget": (live.BudgetCalculator, [{"epsilon": 1e-8}, {"epsilon": 2000.0}]),
           "episode": (live.EscapeEpisode, [{"draw": 7}, {"on_manifold": True},
                                            {"dim": 2, "perturbation_radius": 1.0}]),
           "noise": (live.NoisyTrigger, [{"dim": 1}, {"rule": "calibrated", "batch_size": 199}]),
           "race": (live.MethodRace, [{"problem": "convex"}, {"log_calls": False}]),
           "ravine": (live.RavineBall, [{"epoch_length": 8}, {"shown": ["gd"]}]),
           "saddle_map": (live.SaddleMap, [{"start": [0, 0.9]}, {"noise": 0.05}]),
           "staircase": (live.ModeStaircase, [{"small_layers": 2, "eps": 0.5},
                                              {"activation": "sigmoid", "small_layers": 1},
                                              {"flow": "muon"}])}
every_figure = pytest.mark.parametrize("name", FIGURES)
MODELS = [path.name for path in LIVE.glob("*model.js")] + ["order_aware.js"]
LARGEST = {"race": 56_000}  # bytes; the others 45 000


def test_every_figure_is_among_those_that_are_built():
    assert sorted(FIGURES) == sorted(_build.FIGURES)
    assert {path.stem for path in (LIVE / "built").glob("*")} == set(_build.FIGURES)


@every_figure
def test_a_bundle_is_what_the_sources_give(name):
    first, text = (LIVE / "built" / f"{name}.js").read_text("utf-8").split("\n", 1)
    package = json.loads((LIVE / "package.json").read_text("utf-8"))
    version = package["devDependencies"]["esbuild"]
    made = _build.stamp(name, text, version).rstrip()
    assert first == made, "a source has changed: python -m saddlelib.live._build"
    if _build.TOOL.exists():  # where somebody works on the figures
        run = subprocess.run([_build.TOOL, *_build.options(name)], capture_output=True, text=True,
                             encoding="utf-8", check=True)
        assert run.stdout == text


@every_figure
def test_a_bundle_says_what_its_source_says(name):
    widget, changes = FIGURES[name]
    states = [widget(**traits).state() for traits in [{}, *changes]]
    source, bundle = in_node("words", {"name": name, "states": states})
    assert source == bundle and source["renders"] == "function"
    for summary, account in source["told"] or []:
        assert 0 < len(summary.split()) <= 20, summary
        assert not re.search(r"NaN|undefined|null|Infinity", summary + account)


@pytest.mark.parametrize(("name", "traits", "words"), [
    ("staircase", {"small_layers": 2, "eps": 0.4}, "predicted; m₃ begins beyond."),
    ("ravine", {"step_size": 1.6, "epoch_length": 250}, "GDPolyak diverges; η is too long."),
    ("ravine", {"epoch_length": 8}, "; the walls win.")])
def test_a_sentence_names_what_is_to_blame(name, traits, words):
    states = [FIGURES[name][0](**traits).state()]
    summary, _ = in_node("words", {"name": name, "states": states})[0]["told"][0]
    assert summary.endswith(words) and "–" not in summary


@every_figure
def test_a_figure_is_small(name, record_property):
    bundle = (LIVE / "built" / f"{name}.js").stat().st_size
    record_property(f"script of the figure {name}, bytes", bundle)
    assert bundle <= LARGEST.get(name, 45_000)
    assert len((LIVE / f"{name}.js").read_text("utf-8").splitlines()) <= 250
    assert not (LIVE / f"{name}.css").exists(), "the one style sheet is that of the kit"
    assert len(FIGURES[name][0]._css.encode()) <= 12_000


@every_figure
def test_a_figure_stands_alone(name):
    widget = FIGURES[name][0]
    text = (widget._esm + widget._css).replace("http://www.w3.org/2000/svg", "")
    for word in (r"^\s*import\b", r"\bimport\(", r"\bfetch\(", "XMLHttpRequest", "WebSocket",
                 "https?:", "@import", r"url\(", r"Math\.random", r"\bDate\b", r"\beval\(",
                 r"new Function", "innerHTML"):
        assert not re.search(word, text, re.MULTILINE), word
    own = (LIVE / f"{name}.js").read_text("utf-8") + (LIVE / "kit/figure.js").read_text("utf-8")
    assert set(re.findall(r"\bwidget\.(\w+)", own)) <= {"get", "set", "on", "off", "save_changes"}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_knows_no_page(name):
    text = (LIVE / name).read_text("utf-8")
    assert not re.search(r"\b(document|window|performance)\.|Math\.random|\bDate\b", text)


def test_every_colour_has_a_value_in_light_dark_and_forced_colours():
    sheet = (LIVE / "kit" / "kit.css").read_text("utf-8")
    light, dark, forced = re.findall(r"\{([^{}]*--lf-bg:[^{}]*)\}", sheet)
    names = [re.findall(r"--lf-([\w]+):", part) for part in (light, dark, forced)]
    assert names[0] == names[1] == names[2] and len(set(names[0])) == len(names[0])
    theme = (LIVE / "kit" / "theme.js").read_text("utf-8")
    methods = re.findall(r"^  (\w+): \{", theme, re.MULTILINE)
    others = re.search(r'OTHERS = "([^"]*)"', theme)[1].split()
    assert sorted(names[0]) == sorted(methods + others)
    css = re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL)
    used = set(re.findall(r"var\(--lf-(\w+)\)", css)) - {"own", "dash", "top"}
    assert used <= set(names[0])


def test_a_colour_means_the_same_in_live_figures_and_in_other_pictures():
    def hue(colour):
        return 360 * colorsys.rgb_to_hls(*(int(colour[i:i + 2], 16) for i in (1, 3, 5)))[0]

    sheet = (LIVE / "kit" / "kit.css").read_text("utf-8")
    light, dark = (dict(re.findall(r"--lf-([\w]+): (#\w{6});", part))
                   for part in re.findall(r"\{([^{}]*--lf-bg:[^{}]*)\}", sheet)[:2])
    for name, colour in COLORS.items():
        own = {"theory": "law"}.get(name, name)
        assert light[own] == colour, name
        if name not in ("theory", "lbfgs", "bb"):  # greys
            assert abs(hue(dark[own]) - hue(colour)) < 20, name
    theme = (LIVE / "kit" / "theme.js").read_text("utf-8")
    for name in re.findall(r"^  (\w+): \{", theme, re.MULTILINE):
        assert light[name] in COLORS.values(), name


def test_a_module_that_is_not_of_the_folder_is_no_source_of_a_figure(tmp_path, monkeypatch):
    monkeypatch.setattr(_build, "HERE", tmp_path)
    (tmp_path / "kit").mkdir()
    (tmp_path / "one.js").write_text('import { a } from "./kit/two.js";\n'
                                     'import {\n  b,\n} from "./kit/three.js";\nb(a);\n')
    (tmp_path / "kit" / "two.js").write_text('export { a } from "./three.js";\n')
    (tmp_path / "kit" / "three.js").write_text("export const a = 1;\nexport const b = 2;\n")
    assert [path.name for path in _build.sources("one")] == ["one.js", "two.js", "three.js"]
    before = _build.stamp("one", "text", "1")
    (tmp_path / "kit" / "three.js").write_text("export const a = 1;\nexport const b = 3;\n")
    assert _build.stamp("one", "text", "1") != before != _build.stamp("one", "texts", "1")
    (tmp_path / "one.js").write_text('import { ticks } from "d3-array";\n')
    with pytest.raises(ValueError, match="d3-array"):
        _build.sources("one")


# The kit's numbers


RANGES = [(-6, -0.5), (-2, 3), (-4, -0.35)]
NUMBERS = [0, 0.05, 354, 1e-6, -1e-6, 99_999, 123_456, 1e5, 1.2345e-4, -0.25, 1500]
ASKED = [(range_, count) for range_ in (0.03, 1, 7.3, 260, 1e4) for count in (3, 5, 20, 60)]


@pytest.fixture(scope="module")
def stops():
    return in_node("kit", {"module": "kit/numbers.js", "calls": {"decades": RANGES}})["decades"]


def test_stops_are_twenty_a_decade_of_two_digits(stops):
    for (low, high), values in zip(RANGES, stops, strict=True):
        exact = 10 ** (low + np.arange(len(values)) / 20)
        np.testing.assert_allclose(values, exact, rtol=0.05)
        assert exact[-1] == pytest.approx(10**high) and (np.diff(values) > 0).all()
        assert all(float(f"{v:.1e}") == v for v in values)


def test_a_value_between_two_stops_is_at_the_nearer(stops):
    rng = np.random.default_rng(0)
    errors = [-1, -0.01, 0, 0.01, 1]
    calls = [[errors, -0.6], [errors, -0.5], [errors, 0], [[0, 1, 5], 0], [[1, 100], 20]]
    wanted = [0, 1, 2, 0, 1]
    for (low, high), values in zip(RANGES, stops, strict=True):
        xs = (10 ** rng.uniform(low - 1, high + 1, 100)).tolist()
        calls += [[values, x] for x in xs]
        wanted += abs(np.log(np.divide.outer(xs, values))).argmin(axis=1).tolist()
    assert in_node("kit", {"module": "kit/numbers.js",
                           "calls": {"stopOf": calls}})["stopOf"] == wanted


def test_numbers_have_three_digits_and_a_proper_minus_and_ticks_are_round():
    found = in_node("kit", {"module": "kit/numbers.js", "calls": {
        "short": [[x] for x in NUMBERS], "powerOfTen": [[-12], [0], [3]], "niceStep": ASKED,
        "steps": [[1], [2]]}})
    assert found["short"] == ["0", "0.05", "354", "1e−6", "−1e−6", "100000", "1.23e+5", "1e+5",
                              "1.23e−4", "−0.25", "1500"]
    assert found["powerOfTen"] == ["10⁻¹²", "1", "10³"] and found["steps"] == ["1 step", "2 steps"]
    for (range_, count), step in zip(ASKED, found["niceStep"], strict=True):
        assert round(float(f"{step:e}".split("e")[0]), 9) in (1, 2, 5)
        assert count / 2.5 - 1e-9 <= range_ / step <= count + 1e-9


def test_scales_give_places_and_ticks():
    found = in_node("scales", [["linear", [-1.2, 1.2], 5, [-1.2, 0, 1.2]],
                               ["log", [1e-12, 2], 6, [1e-12, 1, 0]],
                               ["logCounts", [1000], 6, [0, 1000, 9]]])
    linear, log, counts = found
    assert linear["ticks"] == [[-1, "−1"], [-0.5, "−0.5"], [0, "0"], [0.5, "0.5"], [1, "1"]]
    np.testing.assert_allclose(linear["of"], [0, 0.5, 1])
    assert [words for _, words in log["ticks"]] == ["10⁻¹⁰", "10⁻⁵", "1"]
    assert log["of"][0] == 0 and 0.9 < log["of"][1] < 1 and log["of"][2] < -10
    assert [words for _, words in counts["ticks"]] == ["1", "10", "100"]
    assert counts["of"][:2] == [0, 1] and counts["at"][2] == pytest.approx(9)
