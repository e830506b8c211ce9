"""What the benchmarks of ravines claim, in counts, and that the unseen rows are what they say."""

import importlib
import math
import sys

import numpy as np
import pytest
from browser import ROOT
from thorough import instances

from saddlelib import Oracle
from saddlelib.problems import MatrixFactorization, QuadraticSensing, RavineRosenbrock

sys.path.insert(0, str(ROOT / "benchmarks"))
bench = importlib.import_module("gdpolyak_peer")
unseen = importlib.import_module("unseen_ravines")
sys.path.pop(0)

PROBLEMS = bench.problems()
# Step sizes in between, and short ones where a run takes seconds, are left to the thorough run.
SLOW = {"sensing", "convex, κ=100"}
SHARES = [(name, share) for name in PROBLEMS for share in bench.SHARES]
USUAL = [(name, share) for name, share in SHARES
         if share in ({1.0} if name in SLOW else {min(bench.SHARES), 1.0})]


def unit(rng, size):
    x = rng.standard_normal(size)
    return x / np.linalg.norm(x)


@pytest.mark.parametrize("problem, x0, eta, K, share", [
    (RavineRosenbrock(10.0), np.array([1.09705415, 0.53275344]), 0.0125, 100, 10),
    (MatrixFactorization.from_eigenvalues([0.7, 0.3], 20, rng=0, columns=4),
     unit(np.random.default_rng(0), 80), 0.25, 300, 3),
    (QuadraticSensing.random(10, 1, columns=2, measurements=80, rng=0),
     unit(np.random.default_rng(1), 20), 0.04, 300, 3)], ids=lambda p: getattr(p, "name", ""))
def test_the_safe_method_needs_a_tenth_or_a_third_of_the_calls(problem, x0, eta, K, share):
    runs = bench.methods(eta, K, 25)
    theirs, _ = bench.count(runs["the authors' loop, their K"], problem, x0, 10_000)
    ours, _ = bench.count(runs["**safe GDPolyak**"], problem, x0, 3000)
    assert ours[0] <= theirs[0] / share < np.inf


@pytest.mark.parametrize("name, share", instances(USUAL, SHARES))
def test_the_safe_method_arrives_with_step_sizes_that_are_too_short(name, share):
    """f ≤ 1e-12 with η, 0.4η and 0.15η, f* known, and η never halved."""
    problem, x0, eta, _, _ = PROBLEMS[name]
    calls, state = bench.shorter(problem, x0, eta, share)
    assert calls < math.inf and state.raised == 0 and state.f_star == 0.0


def test_the_authors_loop_calls_twice_for_every_step_that_it_records():
    f = bench.Counter(RavineRosenbrock(10.0), 10**6)
    recorded = bench.official(f, np.array([1.09705415, 0.53275344]), 0.0125, 20, 15)
    assert recorded == 15 * 21 and f.calls == 2 * recorded


def test_a_call_is_f_and_its_gradient_at_one_point():
    f, x = bench.Counter(RavineRosenbrock(), 5), np.ones(2)
    f.fun(x), f.grad(x)
    assert f.calls == 1
    f.grad(x), f.fun(x + 1), f.grad(x), f.fun(x), f.again(x)
    assert f.calls == 5
    with pytest.raises(bench._Spent):
        f.grad(x + 2)


def test_an_exact_product_is_two_calls_and_one_by_differences_one():
    f, x, v = bench.Counter(RavineRosenbrock(), 100), np.ones(2), np.array([1.0, 2.0])
    f.fun(x), f.grad(x)
    exact = f.hvp(x, v)
    assert f.calls == 3
    g = f.grad(x)  # once more, and kept
    assert f.calls == 4
    assert np.allclose((f.grad(x + 1e-7 * v) - g) / 1e-7, exact, atol=1e-4)
    assert f.calls == 5
    f.hess(x)
    assert f.calls == 5 + 2 * 2
    oracle = Oracle(f)
    oracle.hvp(x, v)
    assert f.calls == 11
    with pytest.raises(bench._Spent):
        bench.Counter(RavineRosenbrock(), 1).hvp(x, v)


def test_a_counter_that_goes_to_the_last_mark_ends_there():
    f = bench.Counter(RavineRosenbrock(), 100, to_last=True)
    f.fun(np.ones(2)), f.fun(np.zeros(2))
    with pytest.raises(bench._Spent):
        f.fun(np.ones(2))
    assert f.hits == [2, 2, 2] and f.least == 0


@pytest.mark.parametrize("name", bench.FACTORS)
def test_precgd_goes_to_the_last_mark_where_lbfgs_does_not(name):
    problem, x0, *_ = PROBLEMS[name]
    hits, _ = bench.count(bench.preconditioned(*bench.FACTORS[name])["PrecGD"], problem, x0, 900)
    assert hits[-1] < math.inf
    peer, _ = bench.count(lambda f, x: bench.lbfgs(f, x, 0), problem, x0, 900)
    assert hits[0] < min(peer[0], 900) and peer[-1] == math.inf


def test_every_method_of_the_table_runs_to_its_mark_or_its_budget():
    problem, x0 = RavineRosenbrock(0.5, bend=-1.0), np.full(2, 0.3)
    for name, run in bench.methods(1.0, 20, 30).items():
        cells = bench.row(name, run, problem, x0, 300)
        assert len(cells) == len(bench.HEADER)
        if "safe" in name or "L-BFGS" in name or "Barzilai" in name:
            assert "–" not in cells


def test_the_time_of_a_step_is_taken():
    found = bench.time_per_call(RavineRosenbrock(), np.full(2, 0.3), 0.0125, steps=20, rounds=1)
    assert set(found) == {"gradient", "step", "minimize"}
    method = bench.SafeGDPolyak(0.0125)
    ratio = bench.time_beside_calls(method, RavineRosenbrock(), np.full(2, 0.3), 20, 1)
    assert ratio > 1


def test_the_optimizers_of_pytorch_are_counted_by_calls_of_the_closure():
    lines = bench.in_torch(["half", "two neurons"], budget=300).splitlines()
    for line in lines[2:4]:
        _, plain, scaled, known, unknown, ratio, without = [
            cell.strip() for cell in line.strip("|").split("|")]
        assert plain == "–"  # pairs below 1e-10 are dropped, whatever the scale
        assert float(ratio) == pytest.approx(int(known) / int(scaled), abs=0.01)
        assert float(without) == pytest.approx(int(unknown) / int(scaled), abs=0.01)
        assert max(float(ratio), float(without)) < 1.5
    assert "geometric mean" in lines[4]


ROWS = unseen.rows()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.kind} {row.name}")
def test_the_derivatives_of_an_unseen_row_are_right_and_its_least_value_is_zero(row):
    instance, rng = row.instance(0), np.random.default_rng(0)
    problem, x = instance.problem, instance.x0
    assert problem.f_star == 0.0
    assert problem.fun(instance.minimizer) <= 1e-31
    assert np.linalg.norm(problem.grad(instance.minimizer)) <= 1e-14
    v = rng.standard_normal(x.size)
    v /= np.linalg.norm(v)
    for at in (x, instance.minimizer + 0.1 * (x - instance.minimizer)):
        h = 1e-5
        slope = (problem.fun(at + h * v) - problem.fun(at - h * v)) / (2 * h)
        size = np.linalg.norm(problem.grad(at))
        assert abs(problem.grad(at) @ v - slope) <= 1e-6 * size + 1e-9
        bend = (problem.grad(at + h * v) - problem.grad(at - h * v)) / (2 * h)
        assert np.linalg.norm(problem.hvp(at, v) - bend) <= 1e-5 * np.linalg.norm(bend) + 1e-8
    again = row.instance(0)
    assert (again.x0 == x).all() and again.problem.fun(x) == problem.fun(x)
    assert not np.array_equal(row.instance(1).x0, x)


@pytest.mark.parametrize("kind, order", [("elliptic", 3), ("elliptic", 6), ("separable", 3),
                                         ("separable", 4), ("mixed", 4)])
def test_a_floor_is_homogeneous_of_its_order_and_as_anisotropic_as_it_says(kind, order):
    weights = np.geomspace(1, 1e-3, 4)
    h, slope = unseen.floor(kind, order, weights)
    w = np.random.default_rng(0).standard_normal(4)
    assert h(3 * w) == pytest.approx(3**order * h(w))
    assert slope(w) @ w == pytest.approx(order * h(w))  # Euler
    axes = [h(e) for e in np.eye(4)]
    assert axes[0] / axes[-1] == pytest.approx(1e3)


def test_a_miss_counts_with_the_budget_and_what_nobody_reached_does_not_count():
    inf = math.inf
    found = {(0, 0): {unseen.PEER: [10, 20, inf], "a": [5, 40, 50]},
             (1, 0): {unseen.PEER: [10, inf, inf], "a": [20, 50, inf]}}
    lines = {(name, kind): cells for name, kind, _, *cells in unseen.summary(
        found, ["x", "y"], 100)}
    assert lines["a", "all"] == [
        "1.00 (1.00), worst 2.00, 0 missed, 1 won", "1.00 (2.00), worst 2.00, 0 missed, 1 won",
        "0.50 (–), worst 0.50, 1 missed, 1 won"]
    assert lines["a", "y"] == ["2.00 (2.00), worst 2.00, 0 missed, 0 won",
                               "0.50 (–), worst 0.50, 0 missed, 1 won", "–, 1 missed"]
    missed = {(0, 0): {unseen.PEER: [50, 1, 1], "a": [inf, 1, 1]}}
    assert unseen.summary(missed, ["x"], 100)[1][3].startswith("2.00 (–), worst 2.00, 1 missed")


def test_the_driver_runs_on_a_few_rows(capsys):
    found = unseen.main(kinds=["Rosenbrock"], limit=2, instances=1, budget=400,
                        methods=["Barzilai"])
    printed = capsys.readouterr().out
    assert len(found) == 2 and all(each[unseen.PEER][0] < 400 for each in found.values())
    assert "### Rosenbrock" in printed and "| Barzilai-Borwein | all | 2 |" in printed
    kinds = [ROWS[i].kind for i in unseen.chosen(limit=8)]
    assert len(set(kinds)) >= 4 and unseen.chosen(kinds=["sensing"]) == [
        i for i, row in enumerate(ROWS) if row.kind == "sensing"]
