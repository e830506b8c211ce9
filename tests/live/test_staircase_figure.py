"""The figure of a network's birth integrates the flow of saddlelib and predicts as theory does."""

import itertools
import math

import numpy as np
import pytest
from browser import ROOT, in_node
from traitlets import TraitError

from saddlelib.flow import gradient_flow, mode_reaches
from saddlelib.live import ModeStaircase
from saddlelib.problems import DeepLinear, DeepNetwork
from saddlelib.theory import muon, rawal2026, saxe2013

STATE = ["small_layers", "eps", "depth", "mode_ratio", "activation", "flow", "log_time"]
SIZES = [(r, L) for L in (2, 3, 4, 6) for r in range(1, L + 1)]
FRAMES = [0, 1, 57, 120, 226, 240]
SHOWN = {
    "default": {},
    "two": {"depth": 2, "small_layers": 2},
    "ten times smaller": {"eps": 1e-4},
    "deep": {"depth": 6, "small_layers": 3},
    "longest": {"depth": 6, "small_layers": 6, "eps": 1e-4},
    "one": {"depth": 6, "small_layers": 1},
    "more small than there are": {"depth": 2, "small_layers": 6},
    "large start": {"eps": 0.5, "small_layers": 1, "mode_ratio": 0.3},
    "near": {"mode_ratio": 0.95, "log_time": True},
    "tanh": {"activation": "tanh", "eps": 0.1},
    "swish": {"activation": "swish"},
    "sigmoid": {"activation": "sigmoid"},
    "Muon": {"flow": "muon"},
    "Muon, two": {"flow": "muon", "depth": 2, "small_layers": 2},
    "Muon, through zero": {"flow": "muon", "activation": "sigmoid", "small_layers": 2},
    "Muon, large start": {"flow": "muon", "eps": 0.5, "small_layers": 1},
}


def state(**traits):
    figure = ModeStaircase(**traits)
    return {name: getattr(figure, name) for name in STATE}


def network(activation, depth, s):
    """One mode of the figure, a network of one neuron a layer: ½(s − w_L σ(⋯σ(w₁)))²."""
    return DeepNetwork(activation, [1] * (depth + 1), [[1.0]], [[s]])


def chains():
    rng = np.random.default_rng(0)
    return [(rng.uniform(1e-3, 1.2, L).tolist(), activation)
            for activation in ModeStaircase.activation.values for L in (2, 3, 6)]


def predictions():
    """Of both flows, over all that the figure lets one choose."""
    return [({"flow": flow, "eps": eps}, r, L, s) for flow in ("gradient", "muon")
            for eps in (1e-4, 1e-3, 0.03, 0.5) for r, L in SIZES for s in (1.0, 0.5, 0.09)]


RUNS = [(activation, r, L, eps, s) for activation in ModeStaircase.activation.values
        for r, L, eps, s in [(2, 2, 1e-2, 1.0), (3, 3, 0.03, 0.5), (2, 4, 1e-3, 0.8),
                             (4, 4, 0.1, 0.25)]]


@pytest.fixture(scope="module")
def flows():
    """The same runs by SciPy's integrator: when each is half way, its strength at some times."""
    found = []
    for activation, r, L, eps, s in RUNS:
        problem, w0 = network(activation, L, s), np.array([eps] * r + [1.0] * (L - r))

        def strength(x, problem=problem):
            return problem.output(x)[0, 0]

        begins = strength(w0) >= s / 2
        event = mode_reaches(strength, s / 2, terminal=True)
        run = gradient_flow(problem, w0, 20.0 if begins else 1e9, None if begins else event,
                            rtol=1e-10, dense_output=True)
        times = np.linspace(0, run.t[-1] if begins else run.t_events[0][0], 9)
        found.append((None if begins else times[-1], times.tolist(),
                      [strength(x) for x in run.sol(times).T]))
    return found


@pytest.fixture(scope="module")
def js(flows):
    """What the model and the figure compute, in one call of Node."""
    runs = [({"flow": "gradient", "activation": activation}, s, [eps] * r + [1.0] * (L - r), times)
            for (activation, r, L, eps, s), (_, times, _) in zip(RUNS, flows, strict=True)]
    found = in_node("staircase", {
        "chains": chains(), "predictions": predictions(), "runs": runs,
        "shown": [{**state(**traits), "frames": FRAMES} for traits in SHOWN.values()]})
    found["shown"] = dict(zip(SHOWN, found["shown"], strict=True))
    return found


# The flow


def test_a_mode_is_a_network_of_one_neuron_a_layer(js):
    for (w, activation), (p, g) in zip(chains(), js["chains"], strict=True):
        problem = network(activation, len(w), 0.0)  # its loss is p²/2
        assert p == pytest.approx(problem.output(np.array(w))[0, 0], rel=1e-13)
        np.testing.assert_allclose(p * np.array(g), problem.grad(np.array(w)), rtol=1e-12)


def test_runs_are_those_of_the_gradient_flow(js, flows):
    compared = 0
    for given, found, (half, _, strengths) in zip(RUNS, js["runs"], flows, strict=True):
        if half is None:
            assert found["half"] is None and given[0] == "sigmoid", given
        else:
            assert found["half"] == pytest.approx(half, rel=2e-7), given
            compared += 1
        # Between two steps there is a cubic.
        np.testing.assert_allclose(found["at"], strengths, atol=5e-5, err_msg=str(given))
        assert found["steps"] < 300
    assert compared >= 18


def test_three_modes_at_once_are_a_deep_linear_network(js):
    found, figure = js["shown"]["default"], ModeStaircase()
    problem = DeepLinear.from_modes(figure.modes, 3)
    run = gradient_flow(problem, problem.pack([w * np.eye(3) for w in figure.start]),
                        found["end"], rtol=1e-9, t_eval=found["times"])
    np.testing.assert_allclose(found["strengths"], problem.strengths(run.y.T), atol=2e-4)
    np.testing.assert_allclose(found["losses"], problem.fun(run.y.T), rtol=1e-3, atol=1e-6)
    start = problem.pack([w * np.eye(3) for w in figure.start])
    assert found["gradient"] == pytest.approx(np.linalg.norm(problem.grad(start)))
    np.testing.assert_allclose(found["plateaus"], problem.fun(problem.saddles))


# The predictions


def test_predictions_are_those_of_theory_on_both_sides(js):
    for (given, r, L, s), (predicted, _) in zip(predictions(), js["predictions"], strict=True):
        exact = ModeStaircase(small_layers=r, depth=L, **given)._predicted(s)
        if predicted is None or exact is None:
            assert predicted is exact and given["eps"] ** r >= s / 2
        else:
            assert predicted == pytest.approx(exact, rel=1e-6), (given, r, L, s)


def test_they_are_the_laws_of_the_papers_where_these_say_something(js):
    seen = {"critical depth": 0, "Saxe": 0, "Muon": 0}
    for (given, r, L, s), (predicted, _) in zip(predictions(), js["predictions"], strict=True):
        eps, flow = given["eps"], given["flow"]
        if predicted is None:
            continue
        if flow == "gradient" and s == 1.0:
            fraction = (0.5 / (1 - eps**r)) ** 2
            exact = rawal2026.critical_depth_time(eps, r, L, fraction)
            seen["critical depth"] += 1
        elif flow == "gradient" and r == L:
            exact = saxe2013.escape_time(s, eps**L, s / 2, L)
            seen["Saxe"] += 1
        elif flow == "muon" and r == L == 2:
            exact = muon.escape_time(s, eps, 0.5)
            seen["Muon"] += 1
        else:
            continue
        assert predicted == pytest.approx(exact, rel=1e-6), (given, r, L, s)
    assert min(seen.values()) >= 7, seen


def test_the_leading_law_is_that_of_theory(js):
    for (given, r, L, s), (_, law) in zip(predictions(), js["predictions"], strict=True):
        figure = ModeStaircase(small_layers=r, depth=L, **given)
        if given["flow"] == "muon" or r == 1:
            assert law is None and figure.leading_times == [None] * 3
            continue
        assert law == pytest.approx(figure.leading_times[0] / s)
        assert law * s == pytest.approx(rawal2026.critical_depth_law(given["eps"], r, L))


# What is shown


@pytest.mark.parametrize("name", SHOWN)
def test_ratios_are_of_the_run_over_the_prediction(js, name):
    found, figure = js["shown"][name], ModeStaircase(**SHOWN[name])
    assert found["r"] == min(figure.small_layers, figure.depth)
    assert found["modes"] == pytest.approx(figure.modes)
    for measured, expected, ratio, theory in zip(
            found["measured"], found["expected"], found["ratios"], figure.predicted_times,
            strict=True):
        assert expected == (theory and pytest.approx(theory, rel=1e-6))
        assert ratio == (measured and theory and pytest.approx(measured / expected))
        if figure.activation == "linear" and theory:
            assert ratio == pytest.approx(1, abs=1e-6)


def test_an_activation_changes_what_theory_says_it_changes(js):
    tanh, swish, sigmoid = (js["shown"][name]["ratios"] for name in ("tanh", "swish", "sigmoid"))
    assert all(1.0 < ratio < 1.1 for ratio in tanh)  # like the linear map, but a little slower
    assert all(3.9 < ratio < 4.0 for ratio in swish)  # half the signal at each of two layers
    assert all(ratio < 0.01 for ratio in sigmoid)  # there is no saddle at 0


def test_the_wait_is_a_power_of_the_start_by_the_small_layers_alone(js):
    first = {name: found["measured"][0] for name, found in js["shown"].items()}
    assert first["ten times smaller"] / first["default"] == pytest.approx(10, rel=0.01)
    assert first["deep"] / first["default"] == pytest.approx(1, rel=0.01)
    assert first["two"] == pytest.approx(math.log(1e3), rel=1e-3)
    assert first["more small than there are"] == first["two"]
    assert first["Muon, two"] == pytest.approx(math.sqrt(0.5) - 1e-3)
    modes = js["shown"]["Muon"]["measured"]
    assert modes == sorted(modes, reverse=True), "the smallest is first"


@pytest.mark.parametrize("name", SHOWN)
def test_time_loss_and_strengths_go_one_way_within_their_axes(js, name):
    found = js["shown"][name]
    times, losses = found["times"], found["losses"]
    assert times == sorted(times) and times[-1] == pytest.approx(found["end"])
    assert 0 < found["first"] < found["end"]
    assert all(after <= before for before, after in itertools.pairwise(losses))
    assert found["plateaus"][0] >= losses[0] and losses[-1] < 1e-3 * found["plateaus"][-1]
    assert all(t is None or t < found["end"] for t in found["measured"])
    np.testing.assert_allclose(found["strengths"][-1], found["modes"], rtol=0.011)
    assert 1 <= found["end"] / 10 ** found["unit"] < 10 or (found["unit"] == 0
                                                           and found["end"] < 1e4)


def test_the_sentence_and_the_account_say_it(js):
    said = {name: found["said"] for name, found in js["shown"].items()}
    account = {name: found["summary"] for name, found in js["shown"].items()}
    assert said["default"] == ("Gradient 2e−6 at the start. Half way at 999, 2000 and 3990; "
                               "m₁ 10.1 times as late as from 10ε.")
    assert said["ten times smaller"].endswith("; m₁ 10.0 times as late as from 10ε.")
    assert said["two"].endswith("; m₁ 2.3 later than from 10ε.")  # ln 10
    assert said["Muon"].endswith("; m₁ 1.01 times as late as from 10ε.")
    assert "2.5·10¹⁵, 5·10¹⁵ and 1·10¹⁶; m₁ 10000 times" in said["longest"]
    assert said["swish"].endswith("each 3.98 times predicted.")
    assert "it leaves no saddle" in said["large start"]
    assert "10 times longer. That there are 6 layers in all hardly matters" in account["deep"]
    assert "10000 times longer" in account["longest"] and "in all" not in account["longest"]
    assert "ln(1/ε)/m" in account["two"] and "does not depend on ε" in account["one"]
    assert "up to 4 times longer" in account["swish"]
    assert "the law does not hold" in account["sigmoid"]
    assert "the smallest mode arrives first" in account["Muon"]
    for words in said.values():
        assert len(words.split()) <= 20, words


def test_the_first_state_is_the_still_picture(js, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "figures")
    import staircase as still

    found = js["shown"]["default"]
    strengths, half = still.flow(ModeStaircase(), found["end"])
    np.testing.assert_allclose(half, found["measured"], rtol=1e-5)
    np.testing.assert_allclose(strengths(np.array(found["times"])).T, found["strengths"], atol=2e-4)


# The Python side


def test_repr_is_stable_and_has_no_address():
    figure = ModeStaircase(eps=0.01, flow="muon")
    assert repr(figure) == "ModeStaircase(small_layers=3, eps=0.01, depth=3, flow='muon')"
    assert eval(repr(figure)).flow == "muon"
    assert figure._repr_mimebundle_()[0]["text/plain"] == repr(figure)


@pytest.mark.parametrize("name, value, told", [
    ("small_layers", 0, r"small_layers must lie in \[1, 6\]"),
    ("small_layers", 2.0, "small_layers must be an int"),
    ("eps", 0.6, r"eps must lie in \[0.0001, 0.5\]"),
    ("eps", math.nan, "eps must be a finite real number"),
    ("depth", 1, r"depth must lie in \[2, 6\]"),
    ("mode_ratio", 1.0, r"mode_ratio must lie in \[0.3, 0.95\]"),
    ("activation", "relu6", "activation"),
    ("flow", "adam", "flow"),
])
def test_a_wrong_input_is_refused_by_name(name, value, told):
    with pytest.raises(TraitError, match=told):
        ModeStaircase(**{name: value})
    with pytest.raises(TypeError, match="layers"):
        ModeStaircase(layers=3)


def test_what_the_page_sets_is_set_in_python():
    figure = ModeStaircase()
    figure.set_state({"small_layers": 2, "eps": 0.1, "measured_times": [1.0, None, 3.0]})
    assert (figure.small_layers, figure.eps) == (2, 0.1)
    assert figure.measured_times == [1.0, None, 3.0]
    assert {*STATE, "measured_times"} <= set(figure.get_state())
