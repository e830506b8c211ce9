"""The budget calculator computes what saddlelib.theory computes, and says it in the same words."""

import json
import math
import re
from fractions import Fraction

import numpy as np
import pytest
from browser import in_node
from scipy.special import poch
from traitlets import TraitError

from saddlelib.live import BudgetCalculator
from saddlelib.live.budget import METHODS
from saddlelib.theory import alpay2025, certified, episode, jin2017, jin2021
from saddlelib.theory.budget import _count, budget, duration
from saddlelib.theory.precision import decrease_warning

SETTING = ["lipschitz_grad", "lipschitz_hess", "epsilon", "failure_prob", "delta_f", "dim"]
STATE = [*SETTING, "gradient_seconds", "price_per_hour", "runs"]
AUTHORS = dict(lipschitz_grad=10.0, lipschitz_hess=0.1, epsilon=1e-3, failure_prob=0.1, delta_f=1.0,
               dim=10)


def settings():
    """The authors' figure, what sliders reach, the ends of the ranges, and each branch."""
    rng = np.random.default_rng(0)
    found = [AUTHORS, AUTHORS | {"epsilon": 1000.0}, AUTHORS | {"delta_f": 1e-6, "epsilon": 100.0}]
    found.append(AUTHORS | {"dim": 1, "epsilon": 1000.0, "delta_f": 1e-6, "failure_prob": 0.9})
    found += [AUTHORS | {"dim": d} for d in (1, 2, 117, 118, 119, 10**9)]
    found += [AUTHORS | {"epsilon": 1e-8}, AUTHORS | {"delta_f": 1e6, "epsilon": 1e-7}]
    while len(found) < 80:
        ell, rho, delta_f = 10 ** rng.uniform(-3, 4, 3)
        setting = dict(lipschitz_grad=ell, lipschitz_hess=rho, epsilon=10 ** rng.uniform(-8, 2),
                       failure_prob=10 ** rng.uniform(-6, -0.1), delta_f=delta_f,
                       dim=int(10 ** rng.uniform(0, 9)))
        if setting["epsilon"] <= ell / rho * ell:
            found.append(setting)
    return found


NUMBERS = [0.0, 0.004, 1.0, 9.96, 10.0, 99.6, 99_499.0, 99_999.0, 1e5, 1.26e7, 3e99, 1e-5, 9.99e-4]
SECONDS = [0.0, 5e-5, 0.0042, 59.0, 90.0, 2e5, 4e12, 8.2e55]
HALVES = [1, 2, 3, 14, 118, 119, 120, 121, 122, 1001, 4000]  # d + 1
RUNS = [{"name": "one", **AUTHORS, "taken": {"PSD": 2e5, "PGD 2017": 400.0}},
        {"name": "two", **AUTHORS, "epsilon": 0.01, "taken": {"PSD": 30.0},
         "gradient_seconds": 1e-6}]
SHOWN = {
    "first": {}, "runs": {"runs": RUNS}, "one run": {"runs": RUNS, "epsilon": 0.01},
    "no run here": {"runs": RUNS, "dim": 11}, "beyond": {"epsilon": 1000.0 * (1 + 1e-15)},
    "at the end": {"epsilon": 1000.0}, "free": {"price_per_hour": 0},
    "too fine": {"epsilon": 1e-8}, "endless": {"epsilon": 1e-9, "lipschitz_grad": 1e6,
                                               "delta_f": 1e6, "gradient_seconds": 1e6},
}

BOUNDS = {"PGD 2021": 4, "PSD": 1, "repaired PSD": 3, "PGD 2017": 2}
VALUES = [1.0, 0.0625, 7.999999999999999, 8.0, 1e-9, 123456.789, 1e9, 0.1]


def state(**traits):
    figure = BudgetCalculator(**{k: v for k, v in traits.items() if k != "runs"})
    return {name: getattr(figure, name) for name in STATE} | {"runs": traits.get("runs", [])}


@pytest.fixture(scope="module")
def js():
    """What the model and the figure compute, in one call of Node."""
    found = in_node("budget", {
        "settings": [s | {"gradient_seconds": 3e-5, "price_per_hour": 4.0} for s in settings()],
        "numbers": NUMBERS, "seconds": SECONDS, "ratios": [n / 2 for n in HALVES],
        "bounds": [[{"method": method, "gradients": n} for method, n in BOUNDS.items()]],
        "values": VALUES, "shown": [state(**traits) for traits in SHOWN.values()]})
    found["shown"] = dict(zip(SHOWN, found["shown"], strict=True))
    return found


def close(found, expected):
    np.testing.assert_allclose(np.array(found, dtype=float), expected, rtol=1e-12)


# The formulas


def test_every_row_is_the_row_of_saddlelib(js):
    warned = set()
    for setting, found in zip(settings(), js["rows"], strict=True):
        table = budget(**setting, gradient_seconds=3e-5, price_per_hour=4.0)
        assert [row["method"] for row in found] == [row.method for row in table]
        for row, expected in zip(found, table, strict=True):
            for key in ("gradients", "values", "eigenvalues", "seconds", "money"):
                close(row[key], getattr(expected, key))
            assert row["warning"] == expected.warning
            warned.add((row["method"], bool(row["warning"])))
    assert len(warned) == 2 * len(js["methods"]), "some method is never, or always, warned of"


def test_the_constants_behind_the_rows_are_those_of_saddlelib(js):
    for setting, (a, b, c, e, f) in zip(settings(), js["constants"], strict=True):
        given = [setting[name] for name in SETTING]
        ell, rho, eps, delta, delta_f, dim = given
        k = jin2017.pgd_constants(**setting)
        close([a["chi"], a["decrease"]], [k.chi, k.decrease_threshold])
        assert a["episodeLength"] == k.episode_length
        iota = jin2021.smallest_iota(**setting)
        k = jin2021.pgd_constants(ell, rho, eps, iota)
        close([b["iota"], b["decrease"]], [iota, k.decrease / 2])
        assert b["episodeLength"] == k.episode_length
        k = alpay2025.psd_constants(**setting)
        close(c["decrease"], k.decrease)
        assert c["episodeLength"] == k.episode_length
        assert float(c["maxEpisodes"]) == float(k.max_episodes)
        steps = episode.smallest_episode_length(**setting)
        k = episode.episode_constants(ell, rho, eps, dim, steps)
        assert e["episodeLength"] == steps
        close([e["decrease"], e["radius"]], [k.decrease, k.perturbation_radius])
        close(e["gradients"], episode.iteration_bound(**setting))
        # The exponential of a difference of large logarithms keeps fewer digits.
        assert e["stuck"] == pytest.approx(k.failure_prob, rel=1e-9)
        k = certified.certified_bound(**setting)
        assert f["lookProducts"] == k.products_per_look
        close([f["decrease"], f["products"], f["values"]], [k.decrease, k.products, k.values])


def test_the_settings_meet_every_branch(js):
    constants = list(zip(*js["constants"], strict=True))
    assert {k["chi"] == 12 for k in constants[0]} == {True, False}
    shortest = [k["episodeLength"] * math.sqrt(s["lipschitz_hess"] * s["epsilon"])
                / s["lipschitz_grad"] for s, k in zip(settings(), constants[3], strict=True)]
    assert min(shortest) < 12 and max(shortest) > 40
    whole = [k["lookProducts"] == s["dim"] + 1
             for s, k in zip(settings(), constants[4], strict=True)]
    assert 5 < sum(whole) < len(whole) - 5
    assert js["gradients"] == [[row["gradients"] for row in rows] for rows in js["rows"]]


def test_the_ratio_of_gamma_functions_is_exact(js):
    # Γ(x + 1/2)/Γ(x) is 4ⁿ/(√π C(2n, n)) at x = n + 1/2 and n √π C(2n, n)/4ⁿ at x = n.
    for twice, found in zip(HALVES, js["ratios"], strict=True):
        n = twice // 2
        share = float(Fraction(math.comb(2 * n, n), 4**n)) * math.sqrt(math.pi)
        assert found == pytest.approx(1 / share if twice % 2 else n * share, rel=1e-14)
        assert found == pytest.approx(poch(twice / 2, 0.5), rel=1e-11)


def test_the_unit_in_the_last_place_is_that_of_numpy(js):
    assert js["ulps"] == [math.ulp(v) for v in VALUES]


# The words


def test_numbers_and_times_are_said_as_in_python(js):
    assert js["counts"] == [_count(n) for n in NUMBERS]
    assert js["durations"] == [duration(s) for s in SECONDS]
    assert js["endless"] == [_count(math.inf), duration(math.inf), _count(None)]
    assert js["times"] == ["2 ns", "10 µs", "4.2 ms", "1 day", "3.2·10⁵ years"]


def test_warnings_are_said_as_in_python(js):
    assert js["warnings"] == [decrease_warning(3.9 * math.ulp(v), v, tested)
                              for v in VALUES for tested in (True, False)]
    assert all(js["warnings"]) and not any(js["fine"])


def test_the_account_answers_the_question(js):
    said = {name: shown["summary"] for name, shown in js["shown"].items()}
    rows = sorted(BudgetCalculator().table, key=lambda row: row.gradients)
    assert re.match(rf"Of the bounds that are proved {rows[0].method} asks for the least: "
                    r"\d(\.\d)?·10⁷ gradients, \d(\.\d)? h at a cost of \$\d(\.\d)?\. ",
                    said["first"])
    digits, power = _count(rows[-1].gradients / rows[0].gradients).split("e+")
    assert power == "10"
    assert f"{rows[-1].method} asks for {digits}·10¹⁰ times as many." in said["first"]
    assert "run" not in said["first"] and "cost" not in said["free"]
    assert re.search(r"A run of PGD 2017 took 400 gradients, \S+ times fewer\. "
                     r"A run of PSD took 2·10⁵ gradients, \S+ times fewer\.$", said["runs"])
    assert re.search(r"A run of PSD took 30 gradients, \d(\.\d)?·10¹⁰ times fewer\.$",
                     said["one run"])
    assert "No run was made at this setting" in said["no run here"]
    assert said["beyond"].startswith("ε = 1000 is above ℓ²/ρ = 1000: ")
    assert "least" in said["at the end"]
    assert "⚠ PGD 2017: the test for a decrease of " in said["too fine"]
    assert "float64 resolves f = 1 to 2.2·10⁻¹⁶" in said["too fine"] and "⚠" not in said["first"]
    for word in ("NaN", "undefined", "null", "Infinity", "e+"):
        assert word not in str(said)


def test_no_bound_is_called_the_least_that_is_not_proved(js):
    assert js["open"] == {"PSD": "not proved", "PGD 2017": "if c = 1"}
    # Of these the first two, which are smaller, are not proved as they stand.
    assert js["proved"] == [["repaired PSD", "PGD 2021"]]
    for name, shown in js["shown"].items():
        assert len(shown["said"].split()) <= 20, shown["said"]
        if name == "beyond":
            assert shown["said"].endswith("no theory promises anything there.")
            continue
        least = min(BudgetCalculator(**SHOWN[name]).table, key=lambda row: row.gradients)
        assert shown["said"].startswith(f"Of the proved bounds, {least.method} asks for least: ")
    assert js["shown"]["runs"]["said"].endswith(" Runs took at most 2·10⁵.")


def test_runs_are_marked_at_their_own_setting_alone(js):
    shown = {name: dict(zip(js["methods"], s["taken"], strict=False))
             for name, s in js["shown"].items()}
    assert {m: n for m, n in shown["runs"].items() if n} == {"PSD": 2e5, "PGD 2017": 400}
    assert {m: n for m, n in shown["one run"].items() if n} == {"PSD": 30}
    assert not any(shown["no run here"].values()) and not shown["beyond"]


def test_the_curves_are_the_bounds_and_end_where_they_mean_nothing(js):
    found = js["shown"]["first"]
    table, finer = BudgetCalculator().table, BudgetCalculator(epsilon=1e-4).table
    close(found["finer"], [b.gradients / a.gradients for a, b in zip(table, finer, strict=True)])
    for power, logs in found["curve"]:
        rows = BudgetCalculator(epsilon=10**power).table
        np.testing.assert_allclose(logs, [math.log10(r.gradients) for r in rows], rtol=1e-12)
    assert [power for power, _ in found["curve"]] == [-i / 2 for i in range(17)]
    # PSD grows by half a power of ε more than the others do, apart from logarithms.
    growth = dict(zip(js["methods"], found["finer"], strict=True))
    # The products of certified PSD grow by half a power less than its descent.
    assert 10**1.5 < growth.pop("certified PSD") < 100
    assert growth["PSD"] > 10**2.5 and all(100 < growth[m] < 10**2.5 for m in growth if m != "PSD")


def test_both_sides_know_the_same_methods_and_first_setting(js):
    assert tuple(js["methods"]) == METHODS
    assert js["authors"] == AUTHORS
    figure = BudgetCalculator()
    assert {name: getattr(figure, name) for name in SETTING} == AUTHORS
    k = alpay2025.psd_constants(**AUTHORS)
    assert (k.max_episodes, k.episode_length) == (1_280_000_001, 226_784)


# The Python side


def test_the_table_is_that_of_the_setting_with_its_runs():
    figure = BudgetCalculator(runs=RUNS, epsilon=0.01, price_per_hour=0, gradient_seconds=1.0)
    table = figure.table
    assert table["PSD"].taken == 30 and table["PGD 2017"].taken is None
    assert table["PSD"].money is None and table["PSD"].seconds == table["PSD"].gradients
    figure.epsilon = 1e-3
    assert figure.table["PSD"].taken == 2e5 and figure.table["PGD 2017"].taken == 400
    figure.epsilon = 2000.0
    with pytest.raises(ValueError, match="ℓ²/ρ"):
        figure.table  # noqa: B018


def test_repr_is_stable_and_traits_are_synchronized():
    assert repr(BudgetCalculator()) == "BudgetCalculator()"
    figure = BudgetCalculator(epsilon=0.01, dim=np.int64(7), runs=RUNS)
    assert eval(repr(figure)).get_state(STATE) == figure.get_state(STATE)
    assert figure._repr_mimebundle_()[0]["text/plain"] == repr(figure)
    figure.set_state({"epsilon": 0.5, "dim": 3})
    assert (figure.epsilon, figure.dim) == (0.5, 3)
    assert json.loads(json.dumps(figure.get_state(["runs"])["runs"])) == RUNS


def run(**changes):
    changed = {**RUNS[0], **changes}
    return [{key: value for key, value in changed.items() if value is not None}]


@pytest.mark.parametrize("name, value, words", [
    ("lipschitz_grad", 0, r"\[1e-06, 1e\+06\]"), ("lipschitz_hess", math.nan, "finite"),
    ("epsilon", -1.0, r"\[1e-09, 1e\+06\]"), ("failure_prob", 1.0, r"\[1e-09, 0.9\]"),
    ("delta_f", "1", "real number"), ("dim", 2.0, "must be an int"), ("dim", 0, r"\[1, 10000"),
    ("gradient_seconds", 0, "gradient_seconds"), ("price_per_hour", -1, "price_per_hour"),
    ("runs", 3, "list of dicts"), ("runs", [3], "list of dicts"),
    ("runs", run(dim=None), r"lacks \['dim'\]"), ("runs", run(noise=1), r"has \['noise'\]"),
    ("runs", run(name=""), "a run has a name"), ("runs", run(epsilon=0), "epsilon must lie in"),
    ("runs", run(gradient_seconds=-1), "gradient_seconds must lie in"),
    ("runs", run(taken={}), "must name some of PGD 2017"),
    ("runs", run(taken={"Adam": 3}), r"got \['Adam'\]"),
    ("runs", run(taken={"PSD": 0}), "gradients > 0"),
    ("runs", run(taken={"PSD": "many"}), "real number"), ("runs", run(taken=3), "list of dicts"),
])
def test_a_bad_trait_is_named_with_its_range(name, value, words):
    with pytest.raises(TraitError, match=words):
        BudgetCalculator(**{name: value})


def test_an_unknown_trait_is_named():
    with pytest.raises(TypeError, match="no trait 'rho'; it has lipschitz_grad"):
        BudgetCalculator(rho=1.0)
