"""The live figure computes what saddlelib computes, and is what a static page can carry."""

import math
import re

import numpy as np
import pytest
from browser import ROOT, in_node
from scipy import stats
from traitlets import TraitError

from saddlelib import Oracle
from saddlelib.live import SaddleMap
from saddlelib.methods import PGD, GradientDescent
from saddlelib.perturbation import uniform_ball
from saddlelib.problems import QuarticSaddle
from saddlelib.theory.laws import escape_time

STATE = ["start", "gamma", "lam", "step_size", "perturbation_radius", "noise", "seed", "maxiter"]


def pgd(step_size=0.1, radius=0.05, grad=0.05, decrease=0.5**2 / 16, window=154):
    return PGD(step_size, radius, grad, decrease, window)


# name: (gamma, lam, x0, method, sigma, seed, maxiter)
RUNS = {
    "gd, near the stable manifold": (0.5, 1, [1e-6, 0.9], GradientDescent(0.1), 0, 0, 400),
    "gd, on the stable manifold": (0.5, 1, [0, 0.9], GradientDescent(0.1), 0, 0, 400),
    "gd, step 1/l": (0.5, 1, [-1e-3, 0.7], GradientDescent(1.0), 0, 0, 100),
    "gd, flat and steep": (0.1, 4, [0.01, -1], GradientDescent(0.2), 0, 0, 500),
    "gd, gamma above lam": (2, 0.3, [1e-9, 1.2], GradientDescent(0.05), 0, 0, 500),
    "gd, from outside": (0.5, 1, [1.7, -2], GradientDescent(0.1), 0, 0, 100),
    "gd, overshoots": (0.5, 1, [1e-6, 0.9], GradientDescent(2.2), 0, 0, 25),
    "gd, noise": (0.5, 1, [0, 0.9], GradientDescent(0.1), 0.05, 3, 300),
    "gd, much noise": (1, 2, [0.3, -0.4], GradientDescent(0.05), 0.8, 4, 300),
    "pgd, as the figure begins": (0.5, 1, [1e-6, 0.9], pgd(), 0, 5, 1000),
    "pgd, at the saddle": (0.5, 1, [0, 0], pgd(), 0, 6, 1000),
    "pgd, step 1/l": (0.5, 1, [0, 0.9], pgd(1.0, window=19), 0, 7, 300),
    "pgd, gamma above lam": (2, 0.3, [1e-9, -1.2], pgd(0.05, 0.3, 0.5, 0.25, 60), 0, 8, 500),
    "pgd, noise": (0.5, 1, [0, 0.9], pgd(), 0.03, 9, 600),
    "pgd, noise too strong to perturb": (0.5, 1, [0, 0.9], pgd(grad=1e-3), 0.5, 10, 200),
    "pgd, window too short": (0.5, 1, [0, 0.9], pgd(radius=1e-5, window=20), 0, 11, 400),
    "pgd, many perturbations": (0.5, 1, [0, 0.9], pgd(grad=9, decrease=1e-9, window=7), 0, 12, 400),
    "pgd, window of one step": (0.5, 1, [0, 0.9], pgd(decrease=1e-12, window=1), 0, 13, 100),
    "pgd, perturbs far out": (0.5, 1, [0.4, 0.9], pgd(grad=0.9), 0, 14, 400),
    "pgd, gradient exactly at the threshold": (0.5, 1, [0, 0.5], pgd(grad=0.5), 0, 16, 400),
    "pgd, budget ends first": (0.5, 1, [1e-6, 0.9], pgd(), 0, 15, 50),
}


class Recorder(Oracle):
    """An oracle that remembers the noise it added."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.draws = []

    def grad(self, x):
        g = super().grad(x)
        if self.grad_noise:
            self.draws.append(self.last_noise / (self.grad_noise / math.sqrt(2)))
        return g


def run(gamma, lam, x0, method, sigma, seed, maxiter):
    """One run by saddlelib, with every random number it used."""
    problem = QuarticSaddle(gamma, [lam])
    oracle = Recorder(problem, grad_noise=sigma, rng=seed)
    state = method.init(oracle, np.array(x0, dtype=float), np.random.default_rng(seed + 100))
    points, balls, perturbed_to = [state.x], [], []
    while state.nit < maxiter and state.finished is None:
        before = state.x
        state = method.step(oracle, state)
        if getattr(state, "last_perturbation", None) is not None:
            balls.append(state.last_perturbation / method.perturbation_radius)
            perturbed_to.append(before + state.last_perturbation)
        if state.finished is None:
            points.append(state.x)
    assert state.finished in (None, "stationary"), state.note
    points = np.array(points)
    left = np.flatnonzero(np.abs(points[:, 0]) >= 0.5 * math.sqrt(gamma))
    return {
        "points": points,
        "f": problem.fun(points),
        "perturbed_at": list(getattr(state, "perturbed_at", ())),
        "perturbed_to": perturbed_to,
        "stopped": state.nit if state.finished else None,
        "returned": state.x if state.finished else None,
        "escape": int(left[0]) if left.size else None,
        "balls": [b.tolist() for b in balls],
        "noise": [z.tolist() for z in oracle.draws],
    }


def options(gamma, lam, x0, method, sigma, _, maxiter):
    """The same run in the words of model.js."""
    given = {"problem": {"gamma": gamma, "lam": lam}, "x0": x0, "stepSize": method.step_size,
             "maxiter": maxiter, "sigma": sigma, "method": "gd"}
    if isinstance(method, PGD):
        given |= {"method": "pgd", "perturbationRadius": method.perturbation_radius,
                  "gradThreshold": method.grad_threshold,
                  "decreaseThreshold": method.decrease_threshold,
                  "episodeLength": method.episode_length}
    return given


FACTS = [(0.5, 1.0), (2.0, 0.3), (0.1, 4.0)]
POINTS = [[0.0, 0.0], [0.7, -0.2], [-1.3, 2.0], [1e-9, 0.5]]
PARAMETERS = [(0.5, 1.0, 0.1, 0.05), (2.0, 0.3, 1.0, 1e-6), (0.1, 4.0, 0.01, 0.3), (0.5, 1, 9, 1)]
ESCAPES = [(1e-6, 0.1, 0.5, 0.0), (-0.02, 1.0, 0.5, 28.0), (1e-300, 0.01, 2.0, 3.0)]
SIZES = [(1e-3, 0.1, 0.5, 0.0), (0.0, 0.1, 0.5, 0.05), (-0.01, 0.3, 2.0, 0.4)]
STEPS = [0, 1, 2, 10, 60]
SHOWN = {
    "default": {},
    "manifold": {"start": [0, 0.9]},
    "theory": {"step_size": 1.0},
    "too large": {"step_size": 2.2},
    "far": {"start": [0.8, 0.5]},
    "beside": {"start": [0.2, 0.9]},
    "slow": {"step_size": 0.005},
    "no perturbation": {"perturbation_radius": 0},
    "noise": {"noise": 0.05, "start": [0, 0.9]},
    "no luck": {"seed": 78, "start": [0, 0.9]},
    "one step": {"maxiter": 1},
    "too far": {"start": [2.5, -2], "step_size": 1.0},
    "unsettled": {"start": [0.4, 0], "step_size": 2.2},
}


def state(**traits):
    figure = SaddleMap(**traits)
    return {name: getattr(figure, name) for name in STATE}


@pytest.fixture(scope="module")
def python():
    return {name: run(*arguments) for name, arguments in RUNS.items()}


@pytest.fixture(scope="module")
def js(python):
    """What the two modules compute, in one call of Node."""
    rng = np.random.default_rng(0)
    fixtures = {
        "runs": [
            options(*RUNS[name]) | {"noise": python[name]["noise"], "balls": python[name]["balls"]}
            for name in RUNS
        ],
        "facts": [{"problem": {"gamma": g, "lam": m}, "points": POINTS} for g, m in FACTS],
        "parameters": [
            {"problem": {"gamma": g, "lam": m}, "stepSize": eta, "perturbationRadius": r}
            for g, m, eta, r in PARAMETERS
        ],
        "escapes": [
            {"y1": y1, "stepSize": eta, "gamma": g, "k0": k0, "exit": 0.5 * math.sqrt(g)}
            for y1, eta, g, k0 in [*ESCAPES, (0.0, 0.1, 0.5, 0.0), (0.4, 0.1, 0.5, 7.0)]
        ] + [
            {"y1": y1, "stepSize": eta, "gamma": g, "sigma": sigma, "exit": 0.5 * math.sqrt(g)}
            for y1, eta, g, sigma in SIZES
        ],
        "sizes": [
            {"y1": y1, "stepSize": eta, "gamma": g, "sigma": sigma, "steps": STEPS}
            for y1, eta, g, sigma in SIZES
        ],
        "balls": [(rng.standard_normal(2).tolist(), rng.random()) for _ in range(20)],
        "seed": 2**31,
        "shown": [state(**traits) for traits in SHOWN.values()],
    }
    found = in_node("saddle", fixtures)
    found["runs"] = dict(zip(RUNS, found["runs"], strict=True))
    found["shown"] = dict(zip(SHOWN, found["shown"], strict=True))
    return found


def close(found, expected):
    np.testing.assert_allclose(np.array(found, dtype=float), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_the_run_of_saddlelib(js, python, name):
    found, expected = js["runs"][name], python[name]
    assert found["nit"] == len(expected["points"]) - 1
    close(found["y1"], expected["points"][:, 0])
    close(found["y2"], expected["points"][:, 1])
    close(found["f"], expected["f"])
    for key in ("perturbed_at", "stopped", "escape"):
        assert found[key] == expected[key], key
    assert found["diverged"] is None
    assert found["balls_used"] == len(expected["balls"])
    if expected["perturbed_to"]:
        close(found["perturbed_to"], expected["perturbed_to"])
    if expected["returned"] is None:
        assert found["returned"] is None
    else:
        close(found["returned"], expected["returned"])


def test_the_fixtures_meet_every_branch(python):
    pgd_runs = [r for name, r in python.items() if name.startswith("pgd")]
    assert {len(r["perturbed_at"]) for r in pgd_runs} >= {0, 1, 2}
    assert max(len(r["perturbed_at"]) for r in pgd_runs) > 10
    assert any(r["stopped"] is None for r in pgd_runs)
    at_saddle = [r for r in pgd_runs if r["stopped"] and np.linalg.norm(r["returned"]) < 0.1]
    at_minimizer = [r for r in pgd_runs if r["stopped"] and abs(r["returned"][0]) > 0.5]
    assert at_saddle and at_minimizer


def test_the_function_is_the_quartic_saddle(js):
    for (gamma, lam), found in zip(FACTS, js["facts"], strict=True):
        problem = QuarticSaddle(gamma, [lam])
        close(found["f"], problem.fun(np.array(POINTS)))
        close(found["grad"], problem.grad(np.array(POINTS)))
        hess = problem.hess(np.array(POINTS))
        close(found["eigenvalues"], hess[:, [0, 1], [0, 1]])
        assert np.all(hess[:, 0, 1] == 0)
        close(found["f_star"], problem.f_star)
        close(found["minimizer"], problem.minimizers[:, 0].max())
        close(found["lipschitz_grad"], problem.lipschitz_grad)


def test_pgd_has_the_parameters_of_the_figure(js):
    for (gamma, lam, eta, r), found in zip(PARAMETERS, js["parameters"], strict=True):
        figure = SaddleMap(gamma=gamma, lam=lam, step_size=eta, perturbation_radius=r)
        close(found["gradThreshold"], figure.method.grad_threshold)
        close(found["decreaseThreshold"], figure.method.decrease_threshold)
        assert found["episodeLength"] == figure.method.episode_length
        assert figure.method.grad_threshold == figure.problem.lipschitz_grad * r


def test_the_window_lets_99_of_100_perturbations_escape():
    """Counted on the whole method, from the saddle itself."""
    figure = SaddleMap(start=[0, 0], step_size=0.5)
    stuck = 0
    for seed in range(600):
        oracle, method = Oracle(figure.problem), figure.method
        state = method.init(oracle, np.zeros(2), seed)
        for _ in range(method.episode_length + 1):
            state = method.step(oracle, state)
        stuck += state.finished is not None
    assert stuck <= 15  # 600 draws at 1 in 100: more than 15 has probability 5e-4


def test_predicted_escape_is_the_law(js):
    found = js["escapes"][: len(ESCAPES) + 2]
    for (y1, eta, gamma, k0), value in zip(ESCAPES, found, strict=False):
        close(value, k0 + escape_time(abs(y1), 0.5 * math.sqrt(gamma), eta, gamma))
    assert found[-2:] == ["Infinity", 7.0]


def test_predicted_size_is_the_second_moment_of_the_linear_iteration(js):
    for (y1, eta, gamma, sigma), found in zip(SIZES, js["sizes"], strict=True):
        second = [y1**2]
        for _ in range(max(STEPS)):
            second.append((1 + eta * gamma) ** 2 * second[-1] + eta**2 * sigma**2 / 2)
        np.testing.assert_allclose(found, np.sqrt(second)[STEPS], rtol=1e-9, atol=1e-15)


def test_predicted_escape_with_noise_is_where_the_size_reaches_the_exit(js):
    for (y1, eta, gamma, sigma), k in zip(SIZES, js["escapes"][-len(SIZES):], strict=True):
        second, factor = y1**2, (1 + eta * gamma) ** 2
        for _ in range(math.floor(k)):
            second = factor * second + eta**2 * sigma**2 / 2
        exit = gamma / 4
        assert second <= exit <= factor * second + eta**2 * sigma**2 / 2


def test_draws_are_those_of_saddlelib_and_have_their_laws(js):
    rng = np.random.default_rng(0)
    close(js["balls"], [uniform_ball(rng, 2) for _ in range(20)])
    assert stats.kstest(js["uniforms"], "uniform").pvalue > 1e-3
    normals = np.array(js["normals"])
    for z in (*normals.T, normals.sum(axis=1) / math.sqrt(2)):
        assert stats.kstest(z, "norm").pvalue > 1e-3
    kicks = np.array(js["kicks"])
    assert stats.kstest((kicks**2).sum(axis=1), "uniform").pvalue > 1e-3  # |u|^d is uniform
    angle = np.arctan2(kicks[:, 1], kicks[:, 0]) / (2 * math.pi) + 0.5
    assert stats.kstest(angle, "uniform").pvalue > 1e-3


# What the figure says


def test_the_first_state_is_the_still_picture(js, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "figures")
    import saddle_map

    shown, found = saddle_map.runs(SaddleMap()), js["shown"]["default"]
    assert found["escape_gd"] == shown["GD"]["escape"]
    assert found["escape_pgd"] == shown["PGD"]["escape"]
    np.testing.assert_allclose(found["predicted"], shown["GD"]["predicted"], rtol=1e-12)
    np.testing.assert_allclose(found["predicted_pgd"], shown["PGD"]["predicted"], rtol=1e-9)
    assert found["escape_pgd"] < found["escape_gd"] / 2, "the picture no longer tells its story"
    assert found["kmax"] > found["escape_gd"]


def test_the_summary_says_what_happened(js):
    told = {name: shown["summary"] for name, shown in js["shown"].items()}
    said = {name: shown["said"] for name, shown in js["shown"].items()}
    first = js["shown"]["default"]
    ratio = first["escape_gd"] / first["predicted"]
    assert told["default"].startswith(
        f"GD leaves after {first['escape_gd']} steps (predicted {first['predicted']:.0f}), "
        f"ratio {ratio:.2f}. PGD leaves after {first['escape_pgd']} steps (predicted ")
    assert 1 <= ratio < 1.02
    assert "GD never leaves: it starts on the stable manifold" in said["manifold"]
    assert re.search(r"PGD, perturbed at step \d+, leaves after \d+ steps", said["manifold"])
    assert re.search(r"GD leaves after \d\d steps", said["theory"])
    assert said["too large"] == "Both methods diverge: η = 2.2 is too long a step."
    assert "η is above 2/ℓ = 2: no run can settle" in told["too large"]
    assert said["far"] == "The start is already past the dotted line."
    assert said["beside"] == "Both walks leave after 14 steps (predicted 11.7); no push was needed."
    assert "GD stays for 1000 steps (predicted 5" in said["slow"]
    assert "PGD with r = 0 is GD." in told["no perturbation"]
    assert "typically" in said["noise"]
    assert "for 1 step " in said["one step"]
    assert said["too far"].endswith("η = 1 is too long a step.")
    assert "no run can settle at a minimizer" in told["unsettled"]
    words = str(told) + str(said)
    assert "NaN" not in words and "undefined" not in words and "null" not in words
    assert max(len(sentence.split()) for sentence in said.values()) <= 20


def test_an_unlucky_perturbation_is_reported(js):
    # Seed 78 is among the one in a hundred whose displacement is too small along the escape.
    shown = js["shown"]["no luck"]
    assert "returns a point near the saddle: the perturbation did not grow" in shown["summary"]
    assert "gives up at step" in shown["said"]


# The Python side


def test_repr_is_stable_and_has_no_address():
    figure = SaddleMap(start=(0.01, 0.5), seed=3)
    assert repr(figure) == "SaddleMap(start=[0.01, 0.5], seed=3)"
    assert eval(repr(figure)).start == figure.start
    assert figure._repr_mimebundle_()[0]["text/plain"] == repr(figure)
    assert repr(SaddleMap()) == "SaddleMap(start=[1e-06, 0.9])"


def test_traits_are_synchronized():
    sent = SaddleMap().get_state()
    results = ["escape_gd", "escape_pgd", "predicted", "predicted_pgd"]
    assert set(STATE + results) <= set(sent)
    assert [sent[name] for name in results] == [None] * 4
    figure = SaddleMap()
    figure.set_state({"start": [0.25, -0.5], "escape_gd": 12, "predicted": None})
    assert figure.start == [0.25, -0.5]
    assert figure.escape_gd == 12


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("start", [1, 2, 3], r"two finite numbers in \[-3, 3\]"),
        ("start", 0.5, "two finite numbers"),
        ("start", [0, 4], "two finite numbers"),
        ("start", [0, math.nan], "must be a finite real number"),
        ("start", ["a", 0], "must be a real number"),
        ("gamma", 0, r"\(0, 2\]"),
        ("gamma", 2.1, r"\(0, 2\]"),
        ("lam", -1, r"\(0, 10\]"),
        ("step_size", 0, r"\(0, 100\]"),
        ("step_size", "0.1", "must be a real number"),
        ("step_size", True, "must be a real number"),
        ("perturbation_radius", -1e-9, r"\[0, 1\]"),
        ("noise", math.inf, "finite"),
        ("seed", 1.5, "must be an int"),
        ("seed", -1, r"\[0, 2147483647\]"),
        ("maxiter", 0, r"\[1, 20000\]"),
    ],
)
def test_wrong_values_are_refused_with_name_value_and_remedy(name, value, words):
    figure = SaddleMap()
    before = getattr(figure, name)
    for attempt in (lambda: setattr(figure, name, value), lambda: SaddleMap(**{name: value})):
        with pytest.raises(TraitError, match=words) as error:
            attempt()
        assert str(error.value).startswith(name)
        assert "got" in str(error.value)
    assert getattr(figure, name) == before


def test_arrays_and_tuples_are_points_and_two_figures_share_nothing():
    one, two = SaddleMap(), SaddleMap()
    one.start = np.array([0.5, -0.5])
    assert one.start == [0.5, -0.5] and type(one.start) is list
    assert two.start == [1e-6, 0.9]
    one.start.append(3)
    assert SaddleMap().start == [1e-6, 0.9]


def test_unknown_traits_and_no_perturbation_are_errors():
    with pytest.raises(TypeError, match="no trait 'eta'; it has start, gamma, lam, step_size"):
        SaddleMap(eta=0.1)
    with pytest.raises(ValueError, match="perturbation_radius = 0 perturbs nothing"):
        _ = SaddleMap(perturbation_radius=0).method
