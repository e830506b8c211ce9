"""The figure of a ravine runs the methods that it names, and its dashed lines predict them."""

import math
import re

import numpy as np
import pytest
from browser import ROOT, in_node
from traitlets import TraitError

from saddlelib import Oracle
from saddlelib.live import RavineBall
from saddlelib.methods import GDPolyak, GradientDescent, PolyakDescent
from saddlelib.theory.ravine import contraction, step_growth

STATE = list(RavineBall._inputs)
STRAIGHT = {"problem": "straight", "start": [0.9, 0.9], "step_size": 0.1, "epoch_length": 40}
PARABOLA = {"problem": "parabola", "start": [0.6, 0.3], "step_size": 0.5, "epoch_length": 30}
SHOWN = {
    "default": {},
    "left": {"start": [-0.7, 1.0], "log_steps": True, "follow": True, "distance": "ravine"},
    "small": {"epoch_length": 8},
    "large": {"epoch_length": 120},
    "grows": {"epoch_length": 6, "growth": 0.9},
    "twice": {"polyak_factor": 2.0, "epoch_length": 50},
    "thrice": {"polyak_factor": 3.0, "epoch_length": 60},
    "low": {"f_star_error": -1e-10},
    "high": {"f_star_error": 1e-10},
    "straight": STRAIGHT,
    "parabola": PARABOLA,
    "steep": {"steepness": 100.0, "step_size": 0.002, "epoch_length": 80, "maxiter": 4000},
    "walls": {"epoch_length": 1, "step_size": 0.001},
    "exact": {"problem": "parabola", "start": [0.3, 0.3], "step_size": 1.0, "epoch_length": 2},
    "ridge": {"start": [0.0, 1.0]},
    "minimizer": {"start": [0.0, 0.0]},
    "diverges": {"step_size": 2.0},
    "one": {"shown": [], "maxiter": 10},
}
# Floors of fixed K: straight walls fade once, bent ones come back after every long step.
FLOORS = ([STRAIGHT | {"epoch_length": k, "maxiter": 5000} for k in (30, 40, 50, 60)]
          + [{"epoch_length": k, "maxiter": 5000} for k in (15, 20, 25, 30)])
LEVELS = [{"problem": name, "steepness": 7.0, "size": size, "angles": [0.0, 0.4, 2.0, 3.5, 6.0]}
          for name in ("straight", "rosenbrock", "parabola") for size in (0.15, 1.2)]
QUOTIENTS = [(2.0, [3.0, 4.0]), (1e-200, [3e-150, 4e-150]), (1e200, [1e180, -1e179])]


def state(**traits):
    figure = RavineBall(**traits)
    return {name: getattr(figure, name) for name in STATE}


@pytest.fixture(scope="module")
def js():
    """What the module computes, in one call of Node."""
    found = in_node("ravine", {
        "levels": LEVELS, "quotients": QUOTIENTS,
        "shown": [state(**traits) for traits in [*SHOWN.values(), *FLOORS]]})
    found["floors"] = found["shown"][len(SHOWN):]
    found["shown"] = dict(zip(SHOWN, found["shown"], strict=False))
    return found


# The runs


def reference(method, s):
    """The points, values and steps of a method, and why it ended: a plain loop."""
    a, b, swap = {"straight": (1.0, 0.0, True), "rosenbrock": (s["steepness"], 1.0, False),
                  "parabola": (0.5, -1.0, False)}[s["problem"]]
    x = np.array(s["start"])[::-1 if swap else 1]  # along the ravine, across it
    points, steps, left, epoch = [], [], 0 if method == "polyak" else s["epoch_length"], 0
    while True:
        q = x[0] * x[0]
        n = x[1] - b * q
        fun, wall = q * q + a * (n * n), 2 * a * n
        g = np.array([4 * (q * x[0]) - 2 * b * x[0] * wall, wall])
        points.append([x[0], n, fun])
        ended = "diverged" if not abs(x).sum() < 1e6 else None if g.any() else "stationary"
        if ended or len(points) > s["maxiter"]:
            return np.array(points), steps, ended
        if method == "gd" or left >= 1:
            step, left = s["step_size"], left - 1
        else:
            gap = fun - s["f_star_error"]
            if gap <= 0:
                return np.array(points), steps, "f_star" if gap < 0 else "stationary"
            m, epoch = abs(g).max(), epoch + 1
            square = (g[0] / m) * (g[0] / m) + (g[1] / m) * (g[1] / m)
            step = s["polyak_factor"] * (gap / m / square / m)
            left = 0 if method == "polyak" else s["epoch_length"] + int(epoch * s["growth"])
        steps.append(step)
        x = x - step * g


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("method", ["gd", "polyak", "gdpolyak"])
def test_a_run_is_that_of_a_plain_loop(js, method, name):
    found = js["shown"][name]["runs"][method]
    with np.errstate(over="ignore"):
        points, steps, ended = reference(method, state(**SHOWN[name]))
    assert found["ended"] == ended and found["nit"] == len(points) - 1 == len(steps)
    keep = np.isfinite(points).all(axis=1) & (abs(points) < 1e100).all(axis=1)
    measured = np.array([found[k] for k in "tnf"], dtype=float).T
    np.testing.assert_allclose(measured[keep], points[keep], rtol=1e-12, atol=0)
    np.testing.assert_allclose(np.array(found["step"][:-1], dtype=float), steps, rtol=1e-12)


@pytest.mark.parametrize("name", ["default", "straight", "parabola", "grows", "twice", "high"])
def test_a_run_is_that_of_saddlelib(js, name):
    """The library rounds differently: only Polyak's method, which is chaotic, soon shows it."""
    figure, found = RavineBall(**SHOWN[name]), js["shown"][name]["runs"]
    along = 1 if figure.problem == "straight" else 0
    told = {"f_star": figure.f_star_error, "factor": figure.polyak_factor}
    for key, method, steps in [
        ("gd", GradientDescent(figure.step_size), 300),
        ("polyak", PolyakDescent(**told), 15),
        ("gdpolyak", GDPolyak(figure.step_size, figure.epoch_length, growth=figure.growth, **told),
         700),
    ]:
        oracle = Oracle(figure.function)
        run = method.init(oracle, np.array(figure.start), None)
        for k, t in enumerate(found[key]["t"][:steps]):
            assert t == pytest.approx(run.x[along], rel=1e-10), (key, k)
            run = method.step(oracle, run)
        assert len(found[key]["t"]) > steps or run.finished == found[key]["ended"] == "f_star"


def test_quotients_neither_overflow_nor_underflow(js):
    np.testing.assert_allclose(js["quotients"], [0.08, 4e98,
                                                 1 / 1.01e160], rtol=1e-12)


def test_level_lines_are_level_and_the_zoom_shows_the_same_function(js):
    for given, line in zip(LEVELS, js["levels"], strict=True):
        figure = RavineBall(problem=given["problem"], steepness=7.0)
        values = [figure.function.fun(point) for point in line]
        np.testing.assert_allclose(values, given["size"] ** 4, rtol=1e-12)
        s = np.array([0.01, 0.1] if figure.problem == "straight" else [0.1, 0.01])
        np.testing.assert_allclose([figure.function.fun(s * point) for point in line],
                                   1e-4 * np.array(values), rtol=1e-12)
    assert 1e-5 < js["shown"]["left"]["scale"] < 1e-3 and js["shown"]["ridge"]["scale"] <= 1


# The predictions


@pytest.mark.parametrize("name", ["default", "left", "large", "grows", "straight", "parabola",
                                  "steep"])
def test_the_place_on_the_ravine_is_predicted_at_every_long_step(js, name):
    run, told = js["shown"][name]["runs"]["gdpolyak"], js["shown"][name]["prediction"]
    assert run["jumps"][told["first"]:][:len(told["at"])] == told["at"] and len(told["at"]) > 7
    t, step = (abs(np.array(run[key], dtype=float)[told["at"]]) for key in ("t", "step"))
    settled = 0.25 if name in ("steep", "grows") else 0.12  # there the walls still matter at first
    np.testing.assert_allclose(told["t"], t, rtol=settled)
    keep = np.isfinite(step) & (np.arange(step.size) > 0)  # the last point has no step
    np.testing.assert_allclose(np.array(told["step"])[keep], step[keep], rtol=2 * settled)
    assert told["floor"] is None or run["f"][told["at"][-1]] > told["floor"]


@pytest.mark.parametrize("name, factor", [("default", 1.0), ("twice", 2.0), ("thrice", 3.0),
                                          ("straight", 1.0), ("parabola", 1.0), ("exact", 1.0)])
def test_a_long_step_leads_nearer_and_the_next_is_longer_by_the_predicted_factors(js, name, factor):
    found = js["shown"][name]["measured"]
    assert found["contraction"] == pytest.approx(contraction(4.0, factor), rel=1e-3)
    assert found["growth"] == pytest.approx(step_growth(4.0, factor), rel=0.01)


@pytest.mark.parametrize("name", ["default", "straight", "parabola", "steep"])
def test_constant_steps_crawl_as_predicted(js, name):
    """And as 1/√(8ηk), on a straight ravine and in the end on a bent one."""
    found, s = js["shown"][name], state(**SHOWN[name])
    t = abs(np.array(found["runs"]["gd"]["t"]))
    for k, value in found["slow"]:
        assert value == pytest.approx(t[k], rel=0.03), k
    end = found["slow"][-1][1]
    assert 0.9 < end * math.sqrt(8 * s["step_size"] * s["maxiter"]) < 1.25


def test_fixed_k_stalls_where_predicted(js):
    """Linear in K on a log scale: |1 − ημ|⁴ᴷ between straight walls, |1 − ημ|²ᴷ between bent."""
    floors = []
    for found, s in zip(js["floors"], FLOORS, strict=True):
        floor = found["prediction"]["floor"]
        assert found["prediction"]["why"] == "walls"
        f = np.array(found["runs"]["gdpolyak"]["f"])
        assert f.min() < 3 * floor, s
        # Until then it falls by a fixed factor an epoch; in three times that time it gains little.
        spent = found["prediction"]["at"][-1]
        assert f[:3 * spent].min() > floor / 2000, s
        floors.append(math.log(floor))
    lengths = [s["epoch_length"] for s in FLOORS]
    straight, bent = (np.polyfit(lengths[i:i + 4], floors[i:i + 4], 1)[0] for i in (0, 4))
    assert straight == pytest.approx(4 * math.log(0.8), rel=0.12)
    assert bent == pytest.approx(2 * math.log(0.5), rel=0.12)


def test_what_is_beside_the_ravine_is_predicted(js):
    """Within a factor of two, while it falls by nine orders of magnitude."""
    for name in ("default", "parabola"):
        run, told = js["shown"][name]["runs"]["gdpolyak"], js["shown"][name]["prediction"]
        n = abs(np.array(run["n"], dtype=float)[told["at"]])
        ratio = np.array(told["n"]) / n
        assert n.max() / n.min() > 1e9, name
        known = ratio[1:3 * len(ratio) // 4]  # in the end it grows faster than a rule can tell
        assert 0.5 < known.min() < known.max() < 2, name


def test_an_error_in_f_star_decides_where_predicted(js):
    low, high = js["shown"]["low"], js["shown"]["high"]
    assert low["prediction"]["why"] == "low" and high["prediction"]["why"] == "high"
    assert low["prediction"]["floor"] == pytest.approx(1e-10 / 7)
    f = np.array(low["runs"]["gdpolyak"]["f"], dtype=float)
    first = next(k for k in low["runs"]["gdpolyak"]["jumps"] if f[k] < 1e-10 / 7)
    t = low["runs"]["gdpolyak"]["t"]
    assert abs(t[first + 1]) > abs(t[first]), "the first long step below it does not overshoot"
    assert high["runs"]["gdpolyak"]["ended"] == "f_star"
    assert 0.9e-10 < high["runs"]["gdpolyak"]["f"][-1] < 1e-10


def test_where_the_rules_do_not_hold_nothing_is_predicted(js):
    for name in ("ridge", "minimizer", "diverges", "one"):
        assert js["shown"][name]["prediction"]["at"] == [], name


# What is shown


def test_the_summary_says_what_happened(js):
    said = {name: found["summary"] for name, found in js["shown"].items()}
    assert "Constant steps: f = 3e−5 after 1000 steps, predicted 3e−5." in said["default"]
    assert ("by 0.75 (predicted 0.75), and the next step size is 1.78 times as large (1.78)"
            in said["default"])
    assert "walls" not in said["default"] and "than 8 short ones bring back" in said["small"]
    assert "only 8 long steps fit into 1000" in said["large"] and "so large" not in said["small"]
    assert "before it diverges" in said["low"] and "too low" in said["low"]
    assert "too high: it ends there, at 1e−10" in said["high"]
    assert "K = 1 is too small for this η" in said["walls"]
    assert "Constant steps diverge" in said["diverges"] and said["one"] == ""
    short = [found["said"] for found in js["shown"].values()]
    assert max(len(sentence.split()) for sentence in short) <= 20
    assert not re.search(r"NaN|undefined|null|Infinity", str(said) + str(short))


def test_presets_are_states_of_the_figure_and_tell_their_story(js):
    for name, traits in js["presets"].items():
        figure = RavineBall(**traits)
        assert figure.problem == "rosenbrock", name
    best = {name: min(found["runs"]["gdpolyak"]["f"])
            for name, found in js["shown"].items() if name in ("default", "small", "large")}
    assert best["default"] < 1e-8 * best["small"] and best["default"] < 1e-8 * best["large"]
    alone = js["shown"]["default"]["runs"]["polyak"]["f"]
    ups = np.mean(np.diff(alone) > 0)
    assert min(alone) > 1e6 * best["default"] and ups > 0.25, "Polyak's steps alone do not bounce"


def test_panels_hold_a_line_for_each_run_and_a_dashed_one_for_what_is_predicted(js):
    assert js["shown"]["default"]["panels"] == [[3, 2, None], [3, 2, None], [3, 1, None]]
    assert js["shown"]["left"]["panels"][1] == [3, 1, None]
    floor = js["shown"]["small"]["prediction"]["floor"]
    assert js["shown"]["small"]["panels"] == [[3, 2, floor], [3, 2, pytest.approx(floor**0.25)],
                                              [3, 1, None]]
    assert js["shown"]["one"]["panels"] == [[0, 0, None]] * 3


def test_the_first_state_is_the_still_picture(js, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "figures")
    import ravine as still

    for name, run in still.runs(RavineBall()).items():
        found = js["shown"]["default"]["runs"][name]
        few = 30 if name == "polyak" else None
        np.testing.assert_allclose(run["fun"][:few], found["f"][:few], rtol=1e-6)
    told = js["shown"]["default"]["prediction"]
    np.testing.assert_allclose(still.predicted(RavineBall(), 0.3)[:, 1][:1], 0.3)
    found = still.predicted(RavineBall(), told["t"][0])
    np.testing.assert_allclose(found[:, 1], told["t"][:len(found)], rtol=1e-6)


# The Python side


def test_repr_is_stable_and_has_no_address():
    figure = RavineBall(problem="parabola", step_size=0.5)
    assert repr(figure) == "RavineBall(problem='parabola', step_size=0.5, epoch_length=30)"
    assert eval(repr(figure)).step_size == 0.5


@pytest.mark.parametrize("name, value, told", [
    ("epoch_length", 501, r"epoch_length must lie in \[0, 500\]"),
    ("epoch_length", 2.5, "epoch_length must be an int"),
    ("step_size", 0, r"step_size must lie in \[0.0001, 2\]"),
    ("polyak_factor", math.nan, "polyak_factor must be a finite real number"),
    ("f_star_error", 2, r"f_star_error must lie in \[-1, 1\]"),
    ("steepness", 0.5, r"steepness must lie in \[1, 100\]"),
    ("start", [0.0, 1.6], r"in \[-1.5, 1.5\]"),
    ("problem", "saddle", "problem"),
    ("shown", ["sgd"], "shown"),
])
def test_a_wrong_input_is_refused_by_name(name, value, told):
    with pytest.raises(TraitError, match=told):
        RavineBall(**{name: value})
    with pytest.raises(TypeError, match="no trait 'eta'"):
        RavineBall(eta=3)


def test_what_the_page_sets_is_set_in_python():
    figure = RavineBall()
    figure.set_state({"epoch_length": 8, "shown": ["gd"], "best": 3e-9, "predicted_floor": 8e-7})
    assert (figure.epoch_length, figure.shown, figure.best) == (8, ["gd"], 3e-9)
    assert {*STATE, "best", "measured_contraction", "predicted_floor"} <= set(figure.get_state())
