"""The figure of an escape episode computes what saddlelib computes and predicts what happens."""

import math
import re

import numpy as np
import pytest
from browser import ROOT, in_node
from scipy import stats
from traitlets import TraitError

from saddlelib import Oracle
from saddlelib.live import EscapeEpisode
from saddlelib.methods import GradientDescent
from saddlelib.perturbation import uniform_ball
from saddlelib.problems import QuarticSaddle
from saddlelib.theory import laws

STATE = ["dim", "gamma", "step_factor", "perturbation_radius", "failure_prob", "runs", "seed",
         "draw", "on_manifold"]
RESULTS = ["escape", "measured_median", "measured_late"]
DIMS = [1, 2, 3, 7, 78, 79, 80, 1000, 10**6]
STEPS = [0, 1, 7, 50, 150, 400]
SHOWN = {
    "default": {},
    "large": {"dim": 10**6, "seed": 5},
    "plane": {"dim": 2, "step_factor": 1.0, "gamma": 0.5, "perturbation_radius": 1e-4},
    "steep": {"gamma": 2.0, "step_factor": 0.25, "failure_prob": 0.3, "dim": 30},
    "flat": {"gamma": 0.02, "runs": 1000, "perturbation_radius": 1e-6, "failure_prob": 1e-3},
    "ten times smaller": {"perturbation_radius": math.sqrt(0.1) / 480},
    "manifold": {"on_manifold": True},
    "beyond": {"dim": 2, "perturbation_radius": 1.0, "draw": 1},
    "mostly beyond": {"dim": 2, "perturbation_radius": 1.0, "failure_prob": 0.5},
    "late": {"draw": 7},
}
STARTS = [0.0, 1e-9, -1e-3, 0.05, 0.2, 1.0]
ESCAPES = [(0.1, 0.5), (0.5, 1.0), (2.0, 0.01), (0.02, 0.3)]


def state(**traits):
    figure = EscapeEpisode(**traits)
    return {name: getattr(figure, name) for name in STATE}


def grid():
    below = [(s, d) for d in DIMS for s in (0.0, 1e-9, 0.3, 0.69, 0.71, 0.999, 1.0, 1.5)]
    below += [(z / math.sqrt(d), d) for d in DIMS for z in (1e-6, 0.06, 0.67, 0.99, 2.0, 5.0, 9.0)]
    quantiles = [(p, d) for d in DIMS for p in (1e-6, 0.002, 0.05, 0.5, 0.95, 0.999)]
    return below, quantiles


@pytest.fixture(scope="module")
def js():
    """What the module computes, in one call of Node."""
    below, quantiles = grid()
    found = in_node("episode", {
        "below": below,
        "quantiles": quantiles,
        "draws": [{"seed": 2**31 - 1, "dim": d, "runs": 4000} for d in (2, 3, 100, 10**6)],
        "escapes": [
            {"x1": STARTS, "gamma": g, "stepSize": eta, "exit": math.sqrt(g) / 2}
            for g, eta in ESCAPES
        ],
        "shown": [state(**traits) | {"steps": STEPS} for traits in SHOWN.values()],
    })
    found["shown"] = dict(zip(SHOWN, found["shown"], strict=True))
    return found


def close(found, expected):
    np.testing.assert_allclose(np.array(found, dtype=float), expected, rtol=1e-12, atol=1e-14)


def test_the_law_of_the_coordinate_is_that_of_laws(js):
    below, quantiles = grid()
    close(js["below"], [1 - laws.ball_coordinate_tail(d, 1.0, s) for s, d in below])
    # The small probabilities are what the deadline rests on: they agree to relative precision.
    small = [(v, s, d) for v, (s, d) in zip(js["below"], below, strict=True) if 0 < v < 0.5]
    np.testing.assert_allclose(
        [v for v, _, _ in small],
        [stats.beta.cdf(s * s, 0.5, (d + 1) / 2) for _, s, d in small], rtol=1e-12)
    expected = [laws.ball_coordinate_quantile(d, 1.0, p) for p, d in quantiles]
    np.testing.assert_allclose(js["quantiles"], expected, rtol=1e-12)


def test_draws_have_that_law_and_are_made_without_it(js):
    for draws, dim in zip(js["draws"], (2, 3, 100, 10**6), strict=True):
        b = (dim + 1) / 2
        assert stats.kstest(np.square(draws), stats.beta(0.5, b).cdf).pvalue > 1e-3
        assert abs(np.mean(np.sign(draws))) < 4 / math.sqrt(len(draws))
    balls = uniform_ball(np.random.default_rng(0), 3, 1.0, 4000)[:, 0]
    assert stats.ks_2samp(balls, js["draws"][1]).pvalue > 1e-3
    source = (ROOT / "saddlelib/live/episode_model.js").read_text("utf-8")
    body = source[source.index("function drawCoordinates"):source.index("function escapeTime")]
    assert "coordinateQuantile(" not in body and "coordinateBelow(" not in body


def test_an_escape_takes_as_long_as_that_of_saddlelib(js):
    for (gamma, eta), found in zip(ESCAPES, js["escapes"], strict=True):
        problem, exit = QuarticSaddle.spread(5, gamma), math.sqrt(gamma) / 2
        for x1, time in zip(STARTS, found, strict=True):
            if x1 == 0:
                assert time == "Infinity"
                continue
            # The other coordinates start anywhere: they do not matter.
            x0 = np.array([x1, 0.3, -0.2, 0.1, 0.5])
            if abs(x1) >= exit:
                assert time == 0
                continue
            method, oracle = GradientDescent(eta), Oracle(problem)
            run = method.init(oracle, x0, None)
            while run.nit < 5000 and abs(run.x[0]) < exit:
                run = method.step(oracle, run)
            assert run.nit == time


@pytest.mark.parametrize("name", SHOWN)
def test_predictions_are_those_of_the_python_side(js, name):
    found, figure = js["shown"][name], EscapeEpisode(**SHOWN[name])
    close(found["ell"], figure.lipschitz_grad)
    close(found["step_size"], figure.step_size)
    close(found["exit"], figure.exit_radius)
    close(found["radius"], figure.psd.perturbation_radius)
    assert found["deadline"] == figure.deadline
    assert found["median"] == figure.predicted_median
    assert found["length"] == figure.psd.episode_length
    with_theory = EscapeEpisode(**(SHOWN[name] | {
        "perturbation_radius": figure.psd.perturbation_radius}))
    assert found["theory_deadline"] == with_theory.deadline
    close(found["band"], [figure.envelope(t) for t in STEPS])
    close(found["inside"], [1 - figure.escape_probability(t) for t in STEPS])


def test_the_python_side_is_the_problem_and_the_method_it_names():
    figure = EscapeEpisode(dim=7, gamma=0.8)
    problem, psd = figure.problem, figure.psd
    assert problem.dim == 7 and problem.lipschitz_grad == figure.lipschitz_grad == 1.6
    assert problem.lipschitz_hess * psd.perturbation_radius * 8 == pytest.approx(0.8)
    assert psd.curvature_tol == pytest.approx(0.8) == -np.linalg.eigvalsh(
        problem.hess(problem.saddles[0]))[0]
    assert figure.step_size == psd.step_size
    # Delta_f: from the saddle to the minimum; M - 1 decreases add up to it.
    assert (psd.max_episodes - 1) * psd.decrease == pytest.approx(-problem.f_star, rel=1e-3)
    assert EscapeEpisode().perturbation_radius == pytest.approx(
        EscapeEpisode().psd.perturbation_radius)


@pytest.mark.parametrize("name", ["default", "large", "plane", "steep", "flat"])
def test_the_histogram_has_the_predicted_distribution(js, name):
    """Every escape time is an integer step, so the distributions are compared at the steps."""
    found, figure = js["shown"][name], EscapeEpisode(**SHOWN[name])
    times = np.array(found["times"])
    assert len(times) == figure.runs and found["sizes"][-1] == figure.runs
    assert (np.diff(found["sizes"]) > 0).all() and len(found["sizes"]) > 5, "not in pieces"
    k = np.arange(0, times.max() + 1)
    measured = np.searchsorted(np.sort(times), k, side="right") / len(times)
    predicted = np.array([figure.escape_probability(t) for t in k])
    earliest = np.array([figure.escape_probability(t + 0.4) for t in k])  # the bound's own slack
    noise = 1.95 / math.sqrt(len(times))  # Kolmogorov's 99.9 %
    assert (measured >= predicted - noise).all() and (measured <= earliest + noise).all()
    assert found["measured_median"] == np.median(times)
    assert found["medians"] == [np.median(times[:n]) for n in range(1, 21)]
    assert found["measured_median"] / figure.predicted_median == pytest.approx(1, abs=0.03)
    assert found["measured_late"] == np.mean(times > figure.deadline)
    error = math.sqrt(figure.failure_prob / figure.runs)
    assert found["measured_late"] <= figure.failure_prob + 4 * error
    assert found["measured_late"] >= figure.failure_prob * 0.8 - 4 * error


@pytest.mark.parametrize("name", ["default", "large", "plane", "flat"])
def test_bars_are_the_shares_of_the_runs_and_the_curve_over_them_those_predicted(js, name):
    found, figure = js["shown"][name], EscapeEpisode(**SHOWN[name])
    times, edges = np.array(found["times"]), np.array(found["edges"])
    assert (np.diff(edges) == found["bin"]).all() and edges[0] == 0 and edges[-1] >= found["kmax"]
    for key, chosen in (("all", times >= 0), ("late", times > figure.deadline)):
        counts = [np.sum(chosen & (a <= times) & (times < b))
                  for a, b in zip(edges, edges[1:], strict=False)]
        close(found[key], np.array(counts) / figure.runs)
    assert found["beyond"] == np.sum(times >= edges[-1]) < 0.01 * figure.runs
    out = np.array([0] + [figure.escape_probability(k - 1) for k in edges[1:]])
    np.testing.assert_allclose(found["law"], np.diff(out), atol=1e-12)


def test_the_run_drawn_is_that_of_the_escape_and_a_change_keeps_what_it_can(js):
    for name, found in js["shown"].items():
        assert found["again"], name
        if found["escape"] in ("Infinity", 0):
            continue
        figure, x = EscapeEpisode(**SHOWN[name]), found["x1"]
        for k in range(found["kmax"] + 1):
            if k == found["escape"]:
                assert found["out"] == pytest.approx(x, rel=1e-12) and x >= figure.exit_radius
            if k == found["last"][0]:
                assert found["last"][1] == pytest.approx(x, rel=1e-12)
            x -= figure.step_size * x * (x * x - figure.gamma)


def test_the_band_holds_nine_runs_of_ten():
    figure = EscapeEpisode(dim=20)
    xi = uniform_ball(np.random.default_rng(3), 20, figure.perturbation_radius, 4000)[:, 0]
    x = abs(xi)
    for t in range(121):
        if t in (0, 40, 80, 120):
            low, _, high = figure.envelope(t)
            # A step multiplies by a little less than the law near the exit, never by less than
            # the law of the lower edge.
            assert np.mean(x < low) <= 0.05 + 4 * math.sqrt(0.05 / 4000)
            assert np.mean((low <= x) & (x <= high)) == pytest.approx(0.9, abs=0.03)
        x = x - figure.step_size * x * (x * x - figure.gamma)


def test_the_run_shown_is_one_of_the_histogram(js):
    for name, found in js["shown"].items():
        draw = SHOWN[name].get("draw", 0)
        if name == "manifold":
            assert found["x1"] == 0 and found["escape"] == "Infinity"
        else:
            assert found["escape"] == found["times"][draw]
    assert js["shown"]["default"]["times"] == js["shown"]["manifold"]["times"]


def test_the_summary_says_what_happened(js):
    said = {name: found["summary"] for name, found in js["shown"].items()}
    first, figure = js["shown"]["default"], EscapeEpisode()
    assert f"is out after {first['escape']} steps. All but 5 % of the runs must be out by step " \
           f"{figure.deadline}; the published T is {figure.psd.episode_length} steps, " \
        in said["default"]
    assert figure.psd.episode_length > 5 * figure.deadline, "the picture no longer tells its story"
    assert said["manifold"].startswith("This run starts on the stable manifold, x₁ = 0: it never")
    assert "beyond the exit" in said["beyond"]
    assert "All but 50 % of the runs start outside." in said["mostly beyond"]
    assert "too late" in said["late"] and "too late" not in said["default"]
    smaller = EscapeEpisode(**SHOWN["ten times smaller"])
    more = smaller.deadline - figure.deadline
    assert abs(more - math.log(10) / math.log1p(smaller.step_size * smaller.gamma)) <= 1
    assert said["ten times smaller"].endswith(
        f"it would be step {figure.deadline}: this r costs {more} steps.")
    assert "theory" not in said["default"]
    short = {name: found["said"] for name, found in js["shown"].items()}
    assert not re.search(r"NaN|undefined|null|Infinity", str(said) + str(short))
    assert max(len(sentence.split()) for sentence in short.values()) <= 20
    assert f"Out after {first['escape']} steps; all but 5 % are out by {figure.deadline}; " \
           f"published T: {figure.psd.episode_length}, 9.1 times that." == short["default"]
    assert "too late" in short["late"] and "never leaves" in short["manifold"]


def test_the_first_state_is_the_still_picture(js, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "figures")
    import episode

    found = js["shown"]["default"]
    x1, times = episode.runs(EscapeEpisode())
    np.testing.assert_array_equal(found["times"], times)
    assert found["x1"] == pytest.approx(x1[0], rel=1e-12)
    assert episode.episode.__defaults__ == (found["kmax"], found["bin"])


# The Python side


def test_repr_is_stable_and_has_no_address():
    figure = EscapeEpisode(dim=7, failure_prob=0.1)
    assert repr(figure) == "EscapeEpisode(dim=7, failure_prob=0.1)"
    assert eval(repr(figure)).dim == 7
    assert figure._repr_mimebundle_()[0]["text/plain"] == repr(figure)


def test_traits_are_synchronized():
    sent = EscapeEpisode().get_state()
    assert set(STATE + RESULTS) <= set(sent)
    assert [sent[name] for name in RESULTS] == [None] * 3
    figure = EscapeEpisode()
    figure.set_state({"dim": 12, "escape": 90, "measured_late": None, "on_manifold": True})
    assert figure.dim == 12 and figure.escape == 90 and figure.on_manifold is True


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("dim", 1, r"\[2, 1000000\]"),
        ("dim", 10**6 + 1, r"\[2, 1000000\]"),
        ("dim", 2.5, "must be an int"),
        ("gamma", 0.001, r"\[0.01, 2\]"),
        ("gamma", math.nan, "finite"),
        ("step_factor", 0, r"\[0.05, 1\]"),
        ("step_factor", 1.1, r"\[0.05, 1\]"),
        ("perturbation_radius", 0, r"\[1e-09, 1\]"),
        ("perturbation_radius", "0.1", "must be a real number"),
        ("failure_prob", 0.6, r"\[1e-06, 0.5\]"),
        ("runs", 99, r"\[100, 20000\]"),
        ("seed", -1, r"\[0, 2147483647\]"),
        ("draw", True, "must be an int"),
        ("on_manifold", 3, "boolean"),
    ],
)
def test_bad_values_are_named(name, value, words):
    with pytest.raises(TraitError, match=words):
        EscapeEpisode(**{name: value})


def test_unknown_traits_are_named():
    with pytest.raises(TypeError, match="no trait 'eta'; it has dim, gamma"):
        EscapeEpisode(eta=0.1)
