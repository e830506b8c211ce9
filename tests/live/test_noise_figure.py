"""The figure of a noisy trigger computes what saddlelib computes, and counts what is predicted."""

import math
import re

import numpy as np
import pytest
from browser import ROOT, in_node
from scipy import stats
from traitlets import TraitError

from saddlelib.live import NoisyTrigger
from saddlelib.methods.base import gd_step
from saddlelib.problems import QuarticSaddle
from saddlelib.theory import noise

STATE = ["rule", "batch_size", "dim", "noise", "grad_norm", "start", "seed"]
DIMS = [1, 2, 3, 7, 50, 1000]
LAMBDAS = [0.0, 1e-6, 0.3, 4.0, 60.0, 900.0, 2e4, 1e6, 1e8]
DRAWS = [(1, 0.0, 0.4), (1, 1.5, 0.4), (2, 0.0, 1.0), (3, 2.0, 0.5), (4, 2.0, 1.5), (50, 2.0, 0.4),
         (1000, 0.0, 0.4), (1000, 8.0, 0.4)]
WALKED = [1, 2, 3, 4, 30]
STEPS = [0, 1, 20, 60]
S = 1.2  # the noise of a mini-batch there, σ/√B in units of ε
SHOWN = {
    "default": {},
    "ten": {"dim": 10},
    "one": {"dim": 1},
    "knows": {"dim": 50, "rule": "calibrated", "batch_size": 797},
    "quarter": {"dim": 50, "rule": "calibrated", "batch_size": 199},
    "naive": {"dim": 2, "rule": "naive", "seed": 9},
    "hard": {"dim": 3, "grad_norm": 1.2, "noise": 4.0, "batch_size": 40},
    "largest": {"dim": 1000, "batch_size": 10**6, "noise": 1.0, "grad_norm": 10.0},
    "loudest": {"dim": 1000, "batch_size": 1, "noise": 100.0, "grad_norm": 1.0},
    "loudest, calibrated": {"dim": 1000, "batch_size": 1, "noise": 100.0, "grad_norm": 1.0,
                            "rule": "calibrated"},
    "far": {"start": [1.4, -1.4], "dim": 5},
}


def state(**traits):
    figure = NoisyTrigger(**traits)
    return {name: getattr(figure, name) for name in STATE}


def grid():
    """(x, d, λ) through the whole law, and at the thresholds of the rules."""
    found = []
    for d in DIMS:
        for lam in LAMBDAS:
            middle = math.sqrt(d + lam)
            found += [(max(middle + z, 1e-3 * (z + 11)), d, lam)
                      for z in (-10.5, -9, -4, -2, -1, -0.3, 0, 0.3, 1, 2, 4, 8, 9.5)]
            found += [(f * middle, d, lam) for f in (1e-3, 0.1, 0.9, 1.1)]
    return found


def quantiles():
    return [(p, d, lam) for p in (0.1, 0.5, 0.9) for d in DIMS for lam in LAMBDAS[:-1]]


def rules():
    return [{"rule": rule, "dim": d, "noise": sigma, "grad_norm": g, "batch_size": b}
            for rule in ("published", "calibrated", "naive") for d in (1, 2, 10, 1000)
            for sigma, g, b in [(10.0, 2.0, 600), (1.0, 1.5, 1), (30.0, 1.2, 10**5),
                                (5.0, 10.0, 7)]]


@pytest.fixture(scope="module")
def js():
    """What the model and the figure compute, in one call of Node."""
    found = in_node("noise", {
        "below": grid(), "quantiles": quantiles(), "rules": rules(), "draws": DRAWS,
        "walks": [{"dim": d, "start": [0.1, 0.4], "s": S, "steps": STEPS, "seeds": 200}
                  for d in WALKED],
        "shown": [state(**traits) for traits in SHOWN.values()],
    })
    found["shown"] = dict(zip(SHOWN, found["shown"], strict=True))
    return found


# The law and the rules


def test_the_law_of_the_norm_is_that_of_theory(js):
    expected = [noise.trigger_prob(x, math.sqrt(lam), 1.0, d, 1) for x, d, lam in grid()]
    assert 0.2 < np.mean([0.01 < p < 0.99 for p in expected]), "the grid is in the tails alone"
    np.testing.assert_allclose(js["below"], expected, rtol=0, atol=1e-9)


def test_in_one_coordinate_it_is_a_difference_of_two_normal_probabilities(js):
    """scipy's noncentral chi-square has no part in this."""
    for found, (x, d, lam) in zip(js["below"], grid(), strict=True):
        if d == 1:
            a = math.sqrt(lam)
            exact = stats.norm.cdf(x - a) - stats.norm.cdf(-x - a)
            assert found == pytest.approx(exact, abs=1e-9), (x, lam)


def test_quantiles_are_those_of_the_law(js):
    expected = [math.sqrt(stats.ncx2.ppf(p, d, lam) if lam else stats.chi2.ppf(p, d))
                for p, d, lam in quantiles()]
    np.testing.assert_allclose(js["quantiles"], expected, rtol=1e-8)


def test_thresholds_and_batches_are_those_of_the_python_side(js):
    for given, (threshold, batch) in zip(rules(), js["rules"], strict=True):
        figure = NoisyTrigger(**given)
        assert threshold == pytest.approx(figure.threshold, rel=1e-8), given
        assert batch == figure.own_batch, given


def test_the_calibrated_rule_is_that_of_theory_at_its_own_batch():
    for d, g in [(1, 2.0), (50, 2.0), (1000, 5.0)]:
        rule = noise.calibrated_rule(10.0, d, g)
        figure = NoisyTrigger(rule="calibrated", dim=d, grad_norm=g)
        figure.batch_size = figure.own_batch
        assert figure.batch_size == rule.batch_size
        assert figure.threshold == pytest.approx(rule.threshold, rel=1e-9)
        assert max(figure.predicted_missed, figure.predicted_false) <= 0.1
        figure.batch_size -= 1
        assert max(figure.predicted_missed, figure.predicted_false) > 0.1


# The draws


def test_draws_have_that_law_and_are_made_without_it(js):
    for values, (d, g, s) in zip(js["draws"], DRAWS, strict=True):
        lam = (g / s) ** 2
        law = (lambda v, d=d, lam=lam, s=s: stats.ncx2.cdf(v * v / s**2, d, lam)) if g else (
            lambda v, d=d, s=s: stats.chi2.cdf(v * v / s**2, d))
        assert stats.kstest(values, law).pvalue > 1e-3, (d, g)
    source = (ROOT / "saddlelib" / "live" / "noise_model.js").read_text("utf-8")
    body = source[source.index("function normalAnd"):source.index("/* -- what is drawn")]
    assert "normalPair" in body and not re.search("chiBelow|chiQuantile|weight|gammaBelow", body)


def all_coordinates(dim, rng, runs, steps):
    """The norms of ∇f and ĝ, and x₁, of runs of SGD with every coordinate, in units of ε."""
    unit = 0.2
    x = np.zeros((runs, dim))
    x[:, 0], x[:, 1:2] = 0.1, 0.4
    found = {}
    for k in range(max(steps) + 1):
        g = np.column_stack([x[:, :1] ** 3 - x[:, :1], x[:, 1:]])
        seen = g + S * unit * rng.standard_normal(x.shape)
        if k in steps:
            found[k] = [np.linalg.norm(g, axis=1) / unit, np.linalg.norm(seen, axis=1) / unit,
                        x[:, 0].copy()]
        x = x - 0.05 * seen
    return found


def test_runs_are_as_those_that_have_all_their_coordinates(js):
    rng = np.random.default_rng(0)
    for dim, walks in zip(WALKED, js["walks"], strict=True):
        walks = np.array(walks)  # runs, steps, what
        brute = all_coordinates(dim, rng, 1500, STEPS)
        for i, k in enumerate(STEPS):
            for what in range(3):
                # At the start the gradient and x₁ are fixed.
                if k == 0 and what != 1:
                    np.testing.assert_allclose(walks[:, i, what], brute[k][what][0], rtol=1e-12)
                else:
                    found = stats.ks_2samp(walks[:, i, what], brute[k][what])
                    assert found.pvalue > 1e-3, (dim, k, what)


def test_a_run_steps_as_gradient_descent_with_these_draws(js):
    shown = js["shown"]["default"]
    problem, s = QuarticSaddle(1.0, [1.0, 1.0]), 10 / math.sqrt(600)
    for draws, run in zip(shown["runDraws"], shown["runs"], strict=True):
        x = np.array([0.0, 0.9, 0.0])  # the third coordinate stands for the length of the rest
        for (z1, z2, along, across), point in zip(draws, run, strict=True):
            assert [point["x1"], point["x2"]] == pytest.approx(x[:2], abs=1e-10)
            g = problem.grad(x)
            seen = g + 0.2 * s * np.array([z1, z2, along])
            rest = 0.2 * s * math.sqrt(across)
            assert point["size"] == pytest.approx(np.linalg.norm(g) / 0.2)
            assert point["seen"] == pytest.approx(math.hypot(*seen, rest) / 0.2)
            assert point["fires"] == (point["seen"] <= shown["threshold"])
            x = gd_step(x, seen, 0.05)
            x[2] = math.hypot(x[2], 0.05 * rest)


# What is shown


@pytest.mark.parametrize("name", SHOWN)
def test_errors_are_counted_and_predicted(js, name):
    found, figure = js["shown"][name], NoisyTrigger(**SHOWN[name])
    assert found["threshold"] == pytest.approx(figure.threshold, rel=1e-8)
    assert found["predictedMissed"] == pytest.approx(figure.predicted_missed, abs=1e-9)
    assert found["predictedAlarm"] == pytest.approx(figure.predicted_false, abs=1e-9)
    at_saddle, at_large = np.array(found["atSaddle"]), np.array(found["atLarge"])
    assert len(at_saddle) == len(at_large) == 2000
    assert found["missed"] == np.sum(at_saddle > found["threshold"])
    assert found["alarms"] == np.sum(at_large <= found["threshold"])
    for count, p in [(found["missed"], figure.predicted_missed),
                     (found["alarms"], figure.predicted_false)]:
        assert abs(count - 2000 * p) <= 4 * math.sqrt(2000 * p * (1 - p)) + 1e-6
    calibrated = NoisyTrigger(**SHOWN[name] | {"rule": "calibrated"})
    assert found["needed"] == calibrated.own_batch
    low, high = found["axis"]["low"], found["axis"]["high"]
    assert 0 <= low < min(found["threshold"], np.quantile(at_saddle, 0.01)) or low == 0
    assert np.mean(at_large <= high) > 0.99 and np.mean(at_saddle <= high) > 0.99
    assert found["threshold"] < high


def test_marks_and_counts_of_the_runs_agree(js):
    seen = set()
    for name, found in js["shown"].items():
        norm = NoisyTrigger(**SHOWN[name]).grad_norm
        near = noticed = 0
        for run in found["runs"]:
            close = [p for p in run if p["size"] <= 1 and abs(p["x1"]) < 0.5]
            near += bool(close)
            noticed += any(p["fires"] for p in close)
            for p in run:
                seen.add(p["kind"])
                assert (p["kind"] == "false") == (p["fires"] and p["size"] > 1
                                                  and p["size"] >= norm)
                assert (p["kind"] == "right") == (p["fires"] and p["size"] <= 1)
                assert (p["kind"] == "missed") == (not p["fires"] and p["size"] <= 1
                                                   and abs(p["x1"]) < 0.5)
        assert (found["near"], found["noticed"]) == (near, noticed)
    assert seen == {"right", "between", "false", "missed", "silent"}


@pytest.mark.parametrize("name", SHOWN)
def test_bars_have_the_threshold_as_an_edge_and_count_every_draw_on_its_side(js, name):
    found = js["shown"][name]
    edges, beyond = found["bars"]["edges"], found["bars"]["beyond"]
    assert edges[beyond] == found["threshold"]
    for values, error, panel in [
        (found["atSaddle"], found["missed"], found["bars"]["panels"][0]),
        (found["atLarge"], found["alarms"], found["bars"]["panels"][1]),
    ]:
        wrong = slice(*panel["wrong"])
        inside = sum(edges[0] <= v <= edges[-1] for v in values)
        assert sum(panel["counts"]) == pytest.approx(inside, abs=1)
        assert error - (len(values) - inside) - 1 <= sum(panel["counts"][wrong]) <= error
        assert sum(panel["law"]) == pytest.approx(len(values), rel=0.01)


def test_the_account_says_what_happened(js):
    said = {name: found["summary"] for name, found in js["shown"].items()}
    assert said["ten"].startswith(
        "The published rule fires at ‖ĝ‖ ≤ 1.15 ε. At the saddle itself the noise of 10 "
        "coordinates makes ‖ĝ‖ about 1.29 ε: it misses the saddle in 62.9 % of the tries.")
    assert "the threshold is wrong: B = 435 with 1.92 ε would do" in said["ten"]
    assert "fires there in 99.5 %" in said["one"] and "within 10 %" in said["one"]
    assert "it never fires there" in said["default"] and "for none of them" in said["default"]
    assert "Both errors stay within 10 %" in said["knows"]
    assert "for each of them" in said["knows"] and "for each of them" in said["ten"]
    assert "B must be 797, with the threshold 2.82 ε" in said["quarter"]
    assert "False alarms: 35.4 %" in said["quarter"]
    assert "None of the 6 runs" in said["loudest"]
    assert not re.search(r"NaN|undefined|null|Infinity", str(said))


def test_the_sentence_is_short_and_says_what_would_do(js):
    said = {name: found["said"] for name, found in js["shown"].items()}
    assert said["default"] == ("The published rule never fires at the saddle; false alarms "
                               "< 0.05 %. B must be 797, t 2.82 ε.")
    assert "misses 62.9 % of saddles" in said["ten"]
    ten = NoisyTrigger(rule="calibrated", dim=10)  # the batch is enough, the threshold is not
    assert said["ten"].endswith(f". t must be {ten.threshold:.3g} ε.")
    assert max(ten.predicted_missed, ten.predicted_false) <= 0.1
    assert said["one"].endswith("both within 10 %.") and "d misses" in said["knows"]
    assert said["quarter"].endswith("false alarms 35.4 %. B must be 797.")
    for words in said.values():
        assert len(words.split()) <= 20, words


def test_the_first_state_is_the_still_picture(js, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "figures")
    import noise as still

    found, figure = js["shown"]["default"], NoisyTrigger()
    at_saddle, at_large = still.norms(figure)
    np.testing.assert_allclose(found["atSaddle"], at_saddle, rtol=1e-12)
    np.testing.assert_allclose(found["atLarge"], at_large, rtol=1e-12)
    for run, drawn in zip(found["runs"], still.runs(figure), strict=True):
        np.testing.assert_allclose([[p["x1"], p["x2"], p["size"], p["seen"]] for p in run], drawn,
                                   rtol=1e-9, atol=1e-12)


# The Python side


def test_repr_is_stable_and_has_no_address():
    figure = NoisyTrigger(noise=4.0)
    assert repr(figure) == "NoisyTrigger(rule='published', batch_size=600, dim=50, noise=4.0)"
    assert eval(repr(figure)).noise == 4.0
    assert figure._repr_mimebundle_()[0]["text/plain"] == repr(figure)


@pytest.mark.parametrize("name, value, told", [
    ("batch_size", 0, r"batch_size must lie in \[1, 1000000\]"),
    ("batch_size", 2.5, "batch_size must be an int"),
    ("dim", 1001, r"dim must lie in \[1, 1000\]"),
    ("noise", 0.5, r"noise must lie in \[1, 100\]"),
    ("grad_norm", math.nan, "grad_norm must be a finite real number"),
    ("start", [0.0], "start must be two finite numbers"),
    ("start", [0.0, 1.5], r"in \[-1.4, 1.4\]"),
    ("rule", "best", "rule"),
])
def test_a_wrong_input_is_refused_by_name(name, value, told):
    with pytest.raises(TraitError, match=told):
        NoisyTrigger(**{name: value})
    with pytest.raises(TypeError, match="batchsize"):
        NoisyTrigger(batchsize=3)


def test_what_the_page_sets_is_set_in_python():
    figure = NoisyTrigger()
    figure.set_state({"batch_size": 797, "rule": "calibrated", "measured_missed": 0.1})
    assert (figure.batch_size, figure.rule, figure.measured_missed) == (797, "calibrated", 0.1)
    assert {*STATE, "measured_missed", "measured_false"} <= set(figure.get_state())
