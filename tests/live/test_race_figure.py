"""The race runs the methods that it names, counts their calls, and ranks them by these."""

import math
import re

import numpy as np
import pytest
from browser import ROOT, in_node
from traitlets import TraitError

from saddlelib import Oracle
from saddlelib.live import MethodRace
from saddlelib.methods import GDPolyak, GradientDescent, OrderAwareNewton
from saddlelib.theory import ravine

STATE = list(MethodRace._inputs)
PLAIN = ["gd", "nesterov", "bb", "gdpolyak", "growing", "lbfgs"]
METHODS = [*PLAIN, "order"]
FINISHES = [1e-12, 1e-20, 1e-28]
SHOWN = {
    "default": {},
    "small": {"epoch_length": 20},
    "steep": {"condition": 1000.0, "maxiter": 6000},
    "convex": {"problem": "convex", "condition": 16.0, "epoch_length": 50, "maxiter": 3000},
    "well": {"problem": "convex", "condition": 1.0, "epoch_length": 30, "maxiter": 3000},
    "factorization": {"problem": "factorization", "condition": 2.0, "maxiter": 8000},
    "factorization, short": {"problem": "factorization", "condition": 4.0, "epoch_length": 7,
                             "maxiter": 1000, "seed": 5},
    "two winners": {"condition": 20.0, "maxiter": 500},
    "tiny": {"maxiter": 100, "epoch_length": 2000},
}
KEPT = 400  # values that are compared one by one
MARKS = [1e-4, 1e-8, 1e-12]
# Runs of the order-aware method, and whether it knows f*.
ORDERED = [(dict(problem=problem, condition=float(condition), seed=seed, maxiter=600), known)
           for known in (True, False) for problem in ("rosenbrock", "convex", "factorization")
           for condition in (1, 3, 10, 30, 100, 1000) for seed in (2, 17, 18)]
COURSES = [("rosenbrock", 7.0), ("convex", 16.0), ("factorization", 3.0)]


def state(**traits):
    figure = MethodRace(**traits)
    return {name: getattr(figure, name) for name in STATE}


def points(problem):
    dim = MethodRace(problem=problem).function.dim
    return np.random.default_rng(0).uniform(-0.9, 0.9, (5, dim))


def tridiagonal():
    """Symmetric matrices as (diagonal, what is beside it): whole, graded, falling apart."""
    rng = np.random.default_rng(1)
    found = [([2.0], []), ([1.0, 1.0, 3.0], [0.0, 0.0]), ([0.0, 0.0, 0.0], [1.0, 1.0])]
    for n in (2, 5, 20, 60):
        found.append((rng.standard_normal(n), rng.standard_normal(n - 1)))
        a, b = 10.0 ** -rng.uniform(0, 6, n), rng.uniform(0, 1, n - 1)  # as CG makes them
        found.append((a + np.append(0, b**2 * a[:-1]), b * a[:-1]))
    return found


# Ends of lines with the words beside them, in a frame of 300 by 200 pixels; the last have no room.
FRAME = {"left": 40, "right": 340, "top": 20, "bottom": 220}
ENDS = [
    [{"x": 100, "y": 120, "wide": 60}],
    [{"x": 335, "y": 60, "wide": 60}, {"x": 338, "y": 64, "wide": 80}],
    [{"x": 60 + 12 * i, "y": 215, "wide": 70} for i in range(7)],
    [{"x": 50, "y": 100, "wide": 400}],
]
LINES = [[[50, 112], [90, 112], [90, 120], [180, 120]], [[60, 30], [60, 210]]]


@pytest.fixture(scope="module")
def js():
    """What the module computes, in one call of Node."""
    found = in_node("race", {
        "values": [{"problem": name, "condition": c, "points": points(name).tolist()}
                   for name, c in COURSES],
        "shown": [state(**traits) for traits in SHOWN.values()],
        "ordered": [{"known": known, **state(**traits)} for traits, known in ORDERED],
        "eigen": [[list(d), list(e)] for d, e in tridiagonal()],
        "words": [[ends, LINES, FRAME] for ends in ENDS]})
    found["shown"] = dict(zip(SHOWN, found["shown"], strict=True))
    return found


# The problems


def test_the_problems_are_those_of_saddlelib(js):
    for (name, condition), found in zip(COURSES, js["values"], strict=True):
        function = MethodRace(problem=name, condition=condition).function
        for x, (value, slope) in zip(points(name), found, strict=True):
            assert value == pytest.approx(function.fun(x), rel=1e-12)
            np.testing.assert_allclose(slope, function.grad(x), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("name", SHOWN)
def test_step_size_growth_and_floor_are_those_of_the_python_side(js, name):
    found, figure = js["shown"][name], MethodRace(**SHOWN[name])
    mu, top = figure.function.normal_curvature
    assert (found["eta"], found["mu"], found["top"]) == pytest.approx((figure.step_size, mu, top))
    assert found["growth"] == pytest.approx(figure.growth, rel=1e-12)
    assert figure.function.f_star == 0
    norm = np.linalg.norm(figure.function.minimizers[0])
    assert found["norm"] == pytest.approx(norm)
    if norm == 0:
        assert found["floor"] is None
    else:
        assert found["floor"] == pytest.approx(ravine.rounding_floor(top * norm))
    x0 = np.array(found["x0"])
    hess = figure.function.hess(x0)
    assert figure.step_size * np.linalg.eigvalsh(hess)[-1] < 2, "the short step is too long here"


# The methods


class Enough(Exception):
    pass


def function(s):
    """f and the gradient as lists of floats."""
    kappa = s["condition"]

    def rosenbrock(x):
        q = x[0] * x[0]
        n = x[1] - q
        return q * q + kappa * (n * n), [4 * (q * x[0]) - 2 * x[0] * (2 * kappa * n),
                                         2 * kappa * n]

    def convex(x):
        g = [kappa ** (-i / 4) * x[i] for i in range(5)] + [v * v * v for v in x[5:]]
        return (sum(a * b for a, b in zip(g[:5], x[:5], strict=True)) / 2
                + sum(a * b for a, b in zip(g[5:], x[5:], strict=True)) / 4), g

    def factorization(x):
        target = [1, 1 / kappa, 0, 0, 0]
        rows = [x[3 * i:3 * i + 3] for i in range(5)]
        r, total = np.zeros((5, 5)), 0.0
        for i in range(5):
            for j in range(i + 1):
                v = -target[i] if i == j else 0.0
                for a, b in zip(rows[i], rows[j], strict=True):
                    v += a * b
                r[i, j] = r[j, i] = v
                total += v * v if i == j else 2 * (v * v)
        g = []
        for i in range(5):
            for c in range(3):
                v = 0.0
                for j in range(5):
                    v += float(r[i, j]) * rows[j][c]
                g.append(2 * v)
        return total / 2, g

    return {"rosenbrock": rosenbrock, "convex": convex, "factorization": factorization}[
        s["problem"]]


def evaluator(s):
    """f and the gradient as lists of floats, by a call that records f and ends the run."""
    fun, values = function(s), []

    def call(x):
        value, g = fun(x)
        values.append(value)
        if len(values) == min(s["maxiter"], KEPT) or not 1e-32 < value < 1e12:
            raise Enough
        return value, g

    return call, values


def dot(a, b):
    total = 0.0
    for u, v in zip(a, b, strict=True):
        total += u * v
    return total


def plus(x, a, d):
    return [u + a * v for u, v in zip(x, d, strict=True)]


def minus(a, b):
    return [u - v for u, v in zip(a, b, strict=True)]


def gd(x, call, eta):
    while True:
        x = plus(x, -eta, call(x)[1])


def nesterov(x, call, eta):
    y, t = x, 1.0
    while True:
        _, g = call(y)
        new = [v - eta * u for v, u in zip(y, g, strict=True)]
        moved, x = minus(new, x), new
        uphill = dot(g, moved) > 0
        later = 1.0 if uphill else (1 + math.sqrt(1 + 4 * t * t)) / 2
        y, t = plus(x, 0.0 if uphill else (t - 1) / later, moved), later


def bb(x, call, eta):
    step, g = eta, call(x)[1]
    while True:
        new = plus(x, -step, g)
        s, last, x = minus(new, x), g, new
        g = call(x)[1]
        turn = dot(s, minus(g, last))
        if turn == 0:
            return
        step = dot(s, s) / abs(turn)


def gdpolyak(x, call, eta, length, growth=0.0):
    epoch = 0
    while True:
        for _ in range(int(length + epoch * growth)):
            x = plus(x, -eta, call(x)[1])
        value, g = call(x)
        m = max(map(abs, g))
        square = dot([v / m for v in g], [v / m for v in g])
        x, epoch = plus(x, -(value / m / square / m), g), epoch + 1


def lbfgs(x, call, eta):
    value, g = call(x)
    pairs = []  # the newest first
    while True:
        d, alphas = [-v for v in g], []
        for s, z, rho in pairs:
            alphas.append(rho * dot(s, d))
            d = plus(d, -alphas[-1], z)
        d = [(1 / (pairs[0][2] * dot(pairs[0][1], pairs[0][1])) if pairs else eta) * v for v in d]
        for (s, z, rho), alpha in zip(reversed(pairs), reversed(alphas), strict=True):
            d = plus(d, alpha - rho * dot(z, d), s)
        slope = dot(d, g)
        if not slope < 0:
            return
        for tries in range(41):
            new = plus(x, 0.5**tries, d)
            value_new, g_new = call(new)
            if value_new <= value + 1e-4 * 0.5**tries * slope:
                break
        else:
            return
        s, z = minus(new, x), minus(g_new, g)
        if dot(s, z) > 1e-10 * math.sqrt(dot(s, s) * dot(z, z)):
            pairs = [(s, z, 1 / dot(s, z)), *pairs][:10]
        x, value, g = new, value_new, g_new


def reference(name, s, x0, eta, growth):
    call, values = evaluator(s)
    try:
        if name == "growing":
            gdpolyak(x0, call, eta, 3 + math.ceil(2 * growth), growth)
        elif name == "gdpolyak":
            gdpolyak(x0, call, eta, s["epoch_length"])
        else:
            {"gd": gd, "nesterov": nesterov, "bb": bb, "lbfgs": lbfgs}[name](x0, call, eta)
    except Enough:
        pass
    return values


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("method", PLAIN)
def test_a_run_is_that_of_a_plain_loop(js, method, name):
    found, s = js["shown"][name], state(**SHOWN[name])
    expected = reference(method, s, found["x0"], found["eta"], found["growth"])
    run = found["runs"][method]
    assert min(run["n"], KEPT) == len(expected) and run["done"]
    np.testing.assert_allclose(np.array(run["f"][:KEPT], dtype=float), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["default", "convex", "factorization"])
def test_what_saddlelib_has_runs_as_there(js, name):
    figure, found = MethodRace(**SHOWN[name]), js["shown"][name]
    eta, growth = figure.step_size, figure.growth
    first = 3 + math.ceil(2 * growth)
    for key, method in {"gd": GradientDescent(eta), "gdpolyak": GDPolyak(eta, figure.epoch_length),
                        "growing": GDPolyak(eta, first, growth=growth)}.items():
        oracle, values = Oracle(figure.function), found["runs"][key]["f"]
        run = method.init(oracle, np.array(found["x0"]), None)
        for k in range(200):
            assert values[k] == pytest.approx(figure.function.fun(run.x), rel=1e-8), (key, k)
            run = method.step(oracle, run)


# The order-aware method


def calls(values, marks):
    values = np.array(values, dtype=float)
    return [int(np.argmax(values <= v)) + 1 if (values <= v).any() else None for v in marks]


def order_aware(s, x0, known, rng=None):
    """The values that saddlelib's method meets, one at each gradient, from f and ∇f of the plain
    loops; with ``rng`` the last bits of ∇f are drawn."""
    fun, values, at = function(s), [], {}

    def both(x):
        if at.get("x") != x.tobytes():
            at.update(x=x.tobytes(), found=fun(x.tolist()))
        return at["found"]

    def grad(x):
        value, g = both(x)
        values.append(value)
        return np.array(g) * (1 if rng is None else 1 + 2.0**-53 * rng.standard_normal(len(g)))

    oracle = Oracle(lambda x: both(x)[0], jac=grad)
    method = OrderAwareNewton(f_star=0.0 if known else -math.inf)
    run = method.init(oracle, np.array(x0))
    with np.errstate(all="ignore"):
        while run.finished is None and len(values) < s["maxiter"] and values[-1] > 1e-32:
            run = method.step(oracle, run)
    return values


def more_and_more(s, x0, known):
    """The calls of runs whose gradients have other last bits: of one, of two, … of twenty."""
    drawn = []
    for k in range(20):
        drawn.append(calls(order_aware(s, x0, known, np.random.default_rng(k)), MARKS))
        yield drawn


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("problem", ["rosenbrock", "convex", "factorization"])
def test_the_order_aware_method_is_that_of_saddlelib(js, problem, known):
    off = []
    for (traits, knows), found in zip(ORDERED, js["ordered"], strict=True):
        if knows != known or traits["problem"] != problem:
            continue
        s, x0 = state(**traits), found["x0"]
        expected = order_aware(s, x0, known)
        np.testing.assert_allclose(np.array(found["f"][:11], dtype=float), expected[:11], rtol=1e-6)
        there, here = calls(expected, MARKS), calls(found["f"], MARKS)
        assert None not in there and None not in here, (traits, there, here)
        off += np.subtract(here, there).tolist()
        if here != there:  # only where the last bits of a gradient decide there, too
            assert any((np.min(drawn, 0) <= here).all() and (here <= np.max(drawn, 0)).all()
                       for drawn in more_and_more(s, x0, known)), traits
    assert np.mean(np.array(off) == 0) >= (1 if problem == "rosenbrock" else 0.9), off


def test_the_order_aware_method_jumps_and_does_not_diverge(js):
    beyond, jumped = 0, []
    for found in js["ordered"]:
        f = np.array(found["f"], dtype=float)
        assert not found["failed"]
        assert all(0 < k < f.size for k in found["jumps"])
        beyond += f.max() > 1e12
        jumped.append(len(found["jumps"]))
    assert beyond, "no jump landed so high that a run which does not go back would have ended"
    assert np.median(jumped) >= 4


def test_eigenvalues_and_vectors_of_a_tridiagonal_matrix(js):
    for (d, e), found in zip(tridiagonal(), js["eigen"], strict=True):
        matrix = np.diag(d) + np.diag(e, 1) + np.diag(e, -1)
        values = np.array([value for value, _ in found])
        vectors = np.array([vector for _, vector in found]).T
        scale = max(abs(np.linalg.eigvalsh(matrix)).max(), 1.0)
        np.testing.assert_allclose(values, np.linalg.eigvalsh(matrix), atol=1e-14 * scale)
        np.testing.assert_allclose(matrix @ vectors, vectors * values, atol=1e-13 * scale)
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(len(d)), atol=1e-13)


# Counts and laws


@pytest.mark.parametrize("name", SHOWN)
def test_rows_count_calls_and_are_ranked_by_them(js, name):
    found = js["shown"][name]
    assert sorted(row["name"] for row in found["rows"]) == sorted(METHODS)
    keys = []
    for row in found["rows"]:
        f = np.array(found["runs"][row["name"]]["f"], dtype=float)
        assert row["least"] == f.min()
        calls = [int(np.argmax(f <= v)) + 1 if (f <= v).any() else None for v in FINISHES]
        assert row["calls"] == calls
        passed = [c for c in calls if c is not None]
        keys.append((-len(passed), passed[-1] if passed else row["least"]))
    assert keys == sorted(keys)
    for row in found["early"]:
        f = np.array(found["runs"][row["name"]]["f"], dtype=float)[:17]
        assert row["least"] == f.min() and all(c is None or c <= 17 for c in row["calls"])


@pytest.mark.parametrize("name", ["default", "well"])
def test_the_near_linear_law_predicts_the_calls_of_growing_epochs(js, name):
    found, figure = js["shown"][name], MethodRace(**SHOWN[name])
    law = np.array(found["law"])
    told = law[np.argmax(law[:, 1] <= 1e-28), 0]
    [calls] = [row["calls"][2] for row in found["rows"] if row["name"] == "growing"]
    assert told == pytest.approx(calls, rel=0.1)
    leading = ravine.calls((1e-28 / law[0, 1]) ** 0.25, figure.step_size,
                           figure.function.normal_curvature[0])
    assert leading < told < 1.35 * leading


def test_the_law_is_off_by_half_at_first_and_by_a_sixth_in_the_end_of_the_presets(js):
    """It counts from the first long step, where the run may not be on the floor yet: from some
    epoch on both fall by 81/256, and the law's calls come closer with every finish."""
    off = {value: [] for value in FINISHES}
    for name, found in js["told"].items():
        law, late = np.array(found["law"]), np.array(found["long"])
        late = late[(late < 1e-10) & (late > 1e-18)]
        np.testing.assert_allclose(late[1:] / late[:-1], 81 / 256, rtol=0.03, err_msg=name)
        for value, calls in zip(FINISHES, found["rows"]["growing"], strict=True):
            if calls is not None and (law[:, 1] <= value).any():
                off[value].append(law[np.argmax(law[:, 1] <= value), 0] / calls)
    first, last = np.array(off[FINISHES[0]]), np.array(off[FINISHES[-1]])
    assert first.size == 6 and 0.75 < first.min() < 0.85 and 1.45 < first.max() < 1.55
    assert last.size == 5 and 0.85 < last.min() < 1 and 1.1 < last.max() < 7 / 6


def test_winners_of_the_presets_are_those_that_the_chapter_names(js):
    calls = {name: found["rows"] for name, found in js["told"].items()}
    first = {name: min((n[2], method) for method, n in rows.items() if n[2])[1]
             for name, rows in calls.items()}
    assert first.pop("steep walls") == "bb" and set(first.values()) == {"order"}
    assert calls["ill-conditioned"]["lbfgs"][2] is None
    assert calls["ill-conditioned"]["growing"][2] is not None
    start = calls["the published setting"]
    assert start["lbfgs"][0] < 1.5 * start["order"][0] and start["lbfgs"][2] > 2 * start["order"][2]
    assert max(len(found["said"].split()) for found in js["told"].values()) <= 20


def test_a_fixed_k_stalls_and_a_growing_one_does_not(js):
    rows = {row["name"]: row for row in js["shown"]["small"]["rows"]}
    assert rows["gdpolyak"]["least"] > 1e-12 and rows["growing"]["calls"][2] is not None
    rows = {row["name"]: row for row in js["shown"]["default"]["rows"]}
    assert rows["growing"]["calls"][2] < rows["gdpolyak"]["calls"][2]


def test_rounding_ends_the_descent_near_the_predicted_floor(js):
    found = js["shown"]["factorization"]
    rows = {row["name"]: row for row in found["rows"]}
    assert found["floor"] / 3000 < rows["growing"]["least"] < found["floor"]
    assert rows["growing"]["calls"][2] is None
    assert all(v > found["floor"] for _, v in found["law"])


# What is shown


def test_the_summary_says_what_happened(js):
    said = {name: found["summary"] for name, found in js["shown"].items()}
    rows = {row["name"]: row for row in js["shown"]["default"]["rows"]}
    first = rows["order"]["calls"]
    assert said["default"].startswith("First to 10⁻¹², 10⁻²⁰ and 10⁻²⁸: order-aware after "
                                      f"{first[0]}, {first[1]} and {first[2]} calls.")
    assert re.match(r"First to 10⁻¹²: [^;.]+ after \d+ calls; to 10⁻²⁰ and 10⁻²⁸: "
                    r"order-aware after \d+ and \d+ calls\.", said["two winners"])
    assert f"The order-aware method needs {first[2]} calls to 10⁻²⁸, with " in said["default"]
    assert f"GDPolyak with K = 100 needs {rows['gdpolyak']['calls'][2]} calls to 10⁻²⁸." \
        in said["default"]
    assert f"With K growing by 2 an epoch it needs {rows['growing']['calls'][2]} calls to " \
           "10⁻²⁸ (predicted " in said["default"]
    assert "near 10⁻²⁰" in said["factorization"] and "rounding" not in said["default"]
    short = [sentence for found in js["shown"].values() for sentence in found["said"]]
    assert not re.search(r"NaN|undefined|null|Infinity", str(said) + str(short))
    assert max(len(sentence.split()) for sentence in short) <= 20
    by = {name: row["calls"][2] for name, row in rows.items()}
    whole, soon, waits = js["shown"]["default"]["said"]
    assert whole == (f"To 10⁻²⁸: order-aware {by['order']} calls; L-BFGS {by['lbfgs']}; "
                     f"GDPolyak {by['gdpolyak']} (fixed K), {by['growing']} (growing K).")
    assert soon.startswith("After 17 oracle calls nobody is at 10⁻¹²; least: ")
    assert "nobody has made a call" in waits


def test_before_the_first_call_nobody_is_anywhere(js):
    for found in js["shown"].values():
        _, account, rows = found["waits"]
        assert account == "" and all(row["calls"] == [None] * 3 for row in rows)


def test_what_a_change_does_not_touch_is_not_run_again(js):
    for found in js["shown"].values():
        assert found["kept"] == [name != "gdpolyak" for name in METHODS]
        assert found["fresh"] and found["done"] and found["heads"][0] == 9


def test_a_way_down_is_drawn_as_stairs_of_its_least_values(js):
    for name, found in js["shown"].items():
        best = np.minimum.accumulate(np.array(found["runs"]["gd"]["f"], dtype=float)[:60])
        steps = found["stairs"]
        assert steps[0] == [0, best[0]] and steps[-1][1] == best[-1], name
        for (x0, v0), (x1, v1) in zip(steps, steps[1:], strict=False):
            assert (x0 == x1) != (v0 == v1), "a step goes along or down, not both"
            assert v1 <= v0 and v1 == best[min(max(int(1.5 * x1), 1), best.size) - 1] or x1 > x0
        assert {v for _, v in steps} <= set(best)


def test_words_at_ends_of_lines_stay_in_the_frame_and_off_one_another(js):
    for ends, places in zip(ENDS[:-1], js["words"][:-1], strict=True):
        boxes = [place["box"] for place in places]
        for end, place, box in zip(ends, places, boxes, strict=True):
            assert FRAME["left"] <= box["x0"] and box["x1"] <= FRAME["right"]
            assert FRAME["top"] <= box["y0"] and box["y1"] <= FRAME["bottom"]
            assert end["x"] in (place["x"] - 7, place["x"] + 7 + end["wide"])
        for i, a in enumerate(boxes):
            for b in boxes[:i]:
                assert a["x1"] <= b["x0"] or b["x1"] <= a["x0"] or a["y1"] <= b["y0"] \
                    or b["y1"] <= a["y0"]
    [first] = js["words"][0]
    assert first["y"] != 124, "the words cover the line that goes on at their height"
    assert js["words"][-1] == [None], "what has no room is not written"


def test_presets_are_states_of_the_figure(js):
    for traits in js["presets"].values():
        MethodRace(**traits)
    assert {MethodRace(**traits).problem for traits in js["presets"].values()} == {
        "rosenbrock", "convex", "factorization"}


def test_the_first_state_is_the_still_picture(js, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "figures")
    import race as still

    figure, found = MethodRace(), js["shown"]["default"]
    np.testing.assert_allclose(still.start(figure), found["x0"], rtol=1e-15)
    runs, _ = still.runs(figure)
    for name, values in runs.items():
        if name != "order":  # which reads an order off rounded differences
            np.testing.assert_allclose(values, found["runs"][name]["f"], rtol=1e-12)
    for row in found["rows"]:
        assert still.calls(runs)[row["name"]] == row["calls"]


# The Python side


def test_repr_is_stable_and_has_no_address():
    figure = MethodRace(problem="convex", condition=3.0, epoch_length=7)
    assert repr(figure) == "MethodRace(problem='convex', condition=3.0, epoch_length=7)"
    assert eval(repr(figure)).epoch_length == 7


@pytest.mark.parametrize("name, value, told", [
    ("epoch_length", 0, r"epoch_length must lie in \[1, 2000\]"),
    ("condition", 0.5, r"condition must lie in \[1, 1000\]"),
    ("maxiter", 60000, r"maxiter must lie in \[100, 50000\]"),
    ("maxiter", 150.5, "maxiter must be an int"),
    ("seed", -1, "seed must lie in"),
    ("problem", "sensing", "problem"),
])
def test_a_wrong_input_is_refused_by_name(name, value, told):
    with pytest.raises(TraitError, match=told):
        MethodRace(**{name: value})
    with pytest.raises(TypeError, match="no trait 'kappa'"):
        MethodRace(kappa=3)


def test_what_the_page_sets_is_set_in_python():
    figure = MethodRace()
    assert figure.calls is None and figure.finished is False
    figure.set_state({"epoch_length": 20, "calls": {"gd": [1, None, None]}, "finished": True})
    assert (figure.epoch_length, figure.calls, figure.finished) == (20, {"gd": [1, None, None]},
                                                                    True)
