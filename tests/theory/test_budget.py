"""Budgets: sums that add up, units that are right, and no overflow."""

import math

import numpy as np
import pytest
from thorough import instances

from saddlelib import Oracle, minimize
from saddlelib.methods import PGD, PSD, RepairedPSD
from saddlelib.problems import QuarticSaddle
from saddlelib.theory import alpay2025, certified, episode, jin2017, jin2021
from saddlelib.theory._numbers import whole
from saddlelib.theory.budget import budget, duration
from saddlelib.theory.precision import (
    decrease_warning,
    float64_can_resolve,
    perturbation_survives,
    perturbation_warning,
)

SETTING = dict(lipschitz_grad=10.0, lipschitz_hess=0.1, epsilon=1e-3, dim=10, delta_f=1.0,
               failure_prob=0.1)


def test_each_row_is_its_theory():
    table = budget(**SETTING, gradient_seconds=1.0)
    assert [row.method for row in table] == ["PGD 2017", "PGD 2021", "PSD", "repaired PSD",
                                              "certified PSD"]
    assert len(table) == 5
    k = jin2017.pgd_constants(**SETTING)
    episodes = 1 + SETTING["delta_f"] / k.decrease_threshold
    assert table["PGD 2017"].gradients == pytest.approx(
        jin2017.iteration_bound(**SETTING) + episodes, rel=1e-12)
    assert table["PGD 2017"].values == pytest.approx(2 * episodes)
    iota = jin2021.smallest_iota(**SETTING)
    steps = jin2021.iteration_bound(10.0, 0.1, 1e-3, 1.0, iota)
    window = jin2021.pgd_constants(10.0, 0.1, 1e-3, iota).episode_length
    assert table["PGD 2021"].gradients == pytest.approx(steps * (1 + 1 / window), rel=1e-12)
    k = alpay2025.psd_constants(**SETTING)
    assert table["PSD"].gradients == pytest.approx(
        4 * 10.0 / 1e-6 + k.max_episodes * (k.episode_length + 1), rel=1e-12)
    assert table["PSD"].eigenvalues == k.max_episodes + 1
    row = table["repaired PSD"]
    assert row.gradients == episode.iteration_bound(**SETTING) and row.values == 0
    assert table["PGD 2017"].eigenvalues == row.eigenvalues == table["PGD 2021"].eigenvalues == 0
    row, k = table["certified PSD"], certified.certified_bound(**SETTING)
    assert row.gradients == k.gradients + 2 * k.products and row.values == k.values
    assert row.eigenvalues == 0 and row.source == "chapter 2"
    with pytest.raises(KeyError, match="PGD 2017"):
        table["Adam"]


def test_time_is_evaluations_times_their_cost_and_money_is_time():
    table = budget(**SETTING, gradient_seconds=2e-6, value_seconds=3e-5, eigenvalue_seconds=0.5,
                   price_per_hour=4.0)
    for row in table:
        seconds = 2e-6 * row.gradients + 3e-5 * row.values + 0.5 * row.eigenvalues
        assert row.seconds == pytest.approx(seconds)
        assert row.money == pytest.approx(seconds * 4.0 / 3600)
    plain = budget(**SETTING, gradient_seconds=2e-6)
    for row in plain:
        assert row.money is None and row.seconds == pytest.approx(
            2e-6 * (row.gradients + row.values))


def test_time_is_nothing_but_evaluations():
    """However short a gradient: no constant is added, and money is linear in time."""
    for row in budget(**SETTING, gradient_seconds=1e-40, price_per_hour=1.0):
        assert row.seconds == pytest.approx(1e-40 * (row.gradients + row.values), rel=1e-12, abs=0)
        assert row.money == pytest.approx(row.seconds / 3600, rel=1e-12, abs=0)


def test_where_nothing_is_left_to_lose_one_episode_remains():
    """Δ_f → 0: PGD 2017 perturbs once, two values of f, one gradient beside its steps."""
    setting = {**SETTING, "delta_f": 1e-25}
    row = budget(**setting, gradient_seconds=1.0)["PGD 2017"]
    assert row.values == pytest.approx(2)
    assert row.gradients == pytest.approx(jin2017.iteration_bound(**setting) + 1, rel=1e-12)


def test_an_episode_of_2017_takes_one_step_more_than_its_window():
    """The next perturbation needs t − t_noise > t_thres. For c < ½ the episodes decide."""
    k, bound = (f(**SETTING, c=0.1) for f in (jin2017.pgd_constants, jin2017.iteration_bound))
    episodes = SETTING["delta_f"] / k.decrease_threshold
    assert bound - k.episode_length == pytest.approx(episodes * (k.episode_length + 1), rel=1e-12)
    method, p = PGD(0.1, 1e-3, 10.0, 1e-6, 5), QuarticSaddle(0.5, [1.0])  # always below g_thres
    oracle = Oracle(p)
    state = method.init(oracle, np.array([0.3, 0.5]), 0)
    while state.finished is None and state.nit < 30:
        state = method.step(oracle, state)
    assert np.diff(state.perturbed_at).tolist()[:4] == [6] * 4


def test_c_belongs_to_2017_alone():
    whole, quarter = (budget(**SETTING, gradient_seconds=1.0, c=c) for c in (1.0, 0.25))
    assert quarter["PGD 2017"].gradients > 10 * whole["PGD 2017"].gradients
    assert quarter["PSD"] == whole["PSD"] and quarter["PGD 2021"] == whole["PGD 2021"]


def test_a_run_stays_below_its_budget():
    p, epsilon = QuarticSaddle.spread(10, gamma=0.5), 0.03
    run = minimize(p, np.zeros(10), "pgd", rule="jin2017", epsilon=epsilon, failure_prob=0.1,
                   delta_f=-p.f_star, rng=0)
    table = budget(p.lipschitz_grad, p.lipschitz_hess, epsilon, 10, -p.f_star,
                   gradient_seconds=1e-5, taken={"PGD 2017": run.njev})
    row = table["PGD 2017"]
    assert run.success and row.taken == run.njev and row.times == row.gradients / run.njev > 1000
    assert table["PSD"].taken is table["PSD"].times is None


def test_what_float64_cannot_carry_is_said_beside_the_method():
    fine = budget(**SETTING, gradient_seconds=1.0)
    assert not any(row.warning for row in (fine["PGD 2017"], fine["PSD"]))
    k = jin2021.pgd_constants(10.0, 0.1, 1e-3, jin2021.smallest_iota(**SETTING))
    assert not fine["PGD 2021"].warning and float64_can_resolve(k.decrease / 2, 1.0)
    offset = budget(**SETTING, gradient_seconds=1.0, fun_scale=1e9)
    assert "test for a decrease" in offset["PGD 2017"].warning
    assert "promised decrease" in offset["PGD 2021"].warning
    assert offset["PSD"].warning == ("the promised decrease of 7.8e-10 cannot be seen: float64 "
                                     "resolves f = 1e+09 to 1.2e-07")
    assert "PSD: the promised" in str(offset)
    half = 0.5 * k.decrease / (4 * np.finfo(float).eps)  # ℱ/2 is what Lemma 20 promises
    assert budget(**SETTING, gradient_seconds=1.0, fun_scale=2 * half)["PGD 2021"].warning
    assert not budget(**SETTING, gradient_seconds=1.0, fun_scale=half)["PGD 2021"].warning


@pytest.mark.parametrize("value", [1.0, 3.7, 1e-9, 1e6, -2.5])
def test_four_units_in_the_last_place_is_where_a_decrease_is_seen(value):
    unit = np.spacing(abs(value))
    assert float64_can_resolve(4 * unit, value) and not decrease_warning(4 * unit, value)
    assert not float64_can_resolve(3.99 * unit, value) and decrease_warning(3.99 * unit, value)
    assert float64_can_resolve(0.0, math.inf) and float64_can_resolve(0.0, math.nan)


@pytest.mark.parametrize("kept", [0, 1, 3, 1000])
def test_a_perturbation_may_not_lose_a_coordinate(kept):
    """However many others float64 keeps: a quarter of a unit beside 1 is lost, beside 0 it is not.

    The radius is that of the ball such a ξ comes from.
    """
    xi, x = np.full(1 + kept, np.spacing(1.0) / 4), np.zeros(1 + kept)
    radius = np.linalg.norm(xi)
    assert not perturbation_warning(radius, x, xi)
    x[-1] = 1.0
    assert f"{radius:.2g} is lost" in perturbation_warning(radius, x, xi)


def test_a_coordinate_that_is_small_by_chance_is_no_loss():
    """Where float64 resolves x to a sixteenth of r/√d or finer; where it does not, it is one."""
    unit, xi = np.spacing(1.0), np.array([1e-20, 1.0])
    for ratio, told in ((15.9, True), (16.1, False)):
        radius = ratio * unit * math.sqrt(2)
        assert bool(perturbation_warning(radius, np.ones(2), radius * xi)) == told
    batch = perturbation_survives(np.ones((2, 2)), np.array([xi, xi]),
                                  np.array([[15.0 * unit], [50.0 * unit]]))
    assert batch.tolist() == [False, True]


def test_a_lost_coordinate_ends_the_run_before_it_can_return_the_saddle():
    """cos(x₁ − X) + x₂²/2 + x₃²/2 at X = 2³⁶, with a radius of a third of a unit of X."""
    far = 2.0**36
    x0, radius = np.array([far, 0.0, 0.0]), np.spacing(far) / 3
    f = dict(fun=lambda x: math.cos(x[0] - far) + (x[1:] @ x[1:]) / 2,
             jac=lambda x: np.r_[-math.sin(x[0] - far), x[1:]])
    for seed in range(20):
        methods = [PGD(1.0, radius, 1e-3, 1e-12, 100), PSD(1.0, 1e-3, 0.5, radius, 100, 5),
                   RepairedPSD(1.0, 1e-3, radius, 1e-12, 1.0, 100)]
        for method in methods:
            known = Oracle(**f, hess=lambda x: np.diag([-1.0, 1.0, 1.0]))
            state = method.step(known, method.init(known, x0, seed))
            assert state.finished == "precision" and "1.5e-05" in state.note


def test_a_perturbation_that_is_rounded_up_is_kept():
    """0.7 units in the last place become one: 3/7 are wrong, which is less than half."""
    unit = np.spacing(1.0)
    assert not perturbation_warning(unit, np.ones(1), np.array([0.7 * unit]))
    assert perturbation_warning(unit, np.ones(1), np.array([0.6 * unit]))  # 2/3


def test_no_setting_overflows():
    """Every setting is answered with numbers or with a ValueError that names an argument."""
    rng, answered, infinite, times = np.random.default_rng(0), 0, 0, instances(120, 400)
    for _ in range(times):
        ell, rho, delta_f, seconds = 10 ** rng.uniform(-100, 100, 4)
        setting = dict(lipschitz_grad=ell, lipschitz_hess=rho, dim=int(10 ** rng.uniform(0, 12)),
                       epsilon=10 ** rng.uniform(-150, 100), delta_f=delta_f,
                       failure_prob=10 ** rng.uniform(-200, -0.1))
        try:
            table = budget(**setting, gradient_seconds=seconds, price_per_hour=seconds)
        except ValueError as error:
            assert any(name in str(error) for name in ("epsilon", "episode", "max_episodes"))
            continue
        answered += 1
        numbers = [n for row in table for n in (row.gradients, row.values, row.eigenvalues,
                                                row.seconds, row.money)]
        assert not any(math.isnan(n) or n < 0 for n in numbers)
        infinite += math.inf in numbers
        assert str(table)
    assert answered > times / 4 and infinite > times / 40


def test_durations_are_said_in_the_unit_people_use():
    said = [duration(s) for s in (0.0, 5e-5, 0.02, 2.0, 59.0, 60.0, 3600.0, 86400.0, 3.15576e7)]
    assert said == ["0 ms", "0.05 ms", "20 ms", "2 s", "59 s", "1 min", "1 h", "1 days", "1 years"]
    assert duration(9.5) == "9.5 s" and duration(10.4) == "10 s" and duration(30 * 60) == "30 min"
    with pytest.raises(ValueError, match="seconds"):
        duration(-1.0)


@pytest.mark.parametrize("n", [1, 3, 1000, 1_280_000_000])
def test_a_number_of_steps_is_rounded_up_but_not_for_rounding_alone(n):
    assert whole("n", float(n)) == whole("n", n * (1 + 2**-52)) == whole("n", n * (1 - 2**-52)) == n
    assert whole("n", n * (1 + 2**-48)) == n + 1
    for too_large in (math.inf, math.nan):
        with pytest.raises(ValueError, match="n is larger than float64"):
            whole("n", too_large)


@pytest.mark.parametrize("change, words", [
    (dict(gradient_seconds=0.0), "gradient_seconds"), (dict(price_per_hour=-1.0), "price_per_hour"),
    (dict(value_seconds=0.0), "value_seconds"), (dict(eigenvalue_seconds=-1.0), "eigenvalue_sec"),
    (dict(fun_scale=0.0), "fun_scale"), (dict(c=2.0), "c must"), (dict(epsilon=1e5), "ℓ²/ρ"),
    (dict(delta_f=0.0), "delta_f"),
    (dict(taken={"Adam": 3}), "repaired PSD, certified PSD, got 'Adam'"),
    (dict(taken={"PSD": 0}), "taken\\['PSD'\\]"),
])
def test_bad_input_is_named(change, words):
    with pytest.raises(ValueError, match=words):
        budget(**{**SETTING, "gradient_seconds": 1.0, **change})
