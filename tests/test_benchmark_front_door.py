"""The table of the front door: its problems start at saddles, its answers are held against f."""

import importlib
import math
import sys

import numpy as np
import pytest
from browser import ROOT

import saddlelib
from saddlelib.problems import Octopus, QuarticSaddle

# The scripts run from their own folder, so that is how they find what they share.
sys.path.insert(0, str(ROOT / "benchmarks"))
front_door, outside, unseen = map(importlib.import_module, ("front_door", "outside", "unseen"))
sys.path.pop(0)

UNSEEN = unseen.problems()
SMALLEST = [front_door.known(QuarticSaddle.spread(2)), front_door.known(Octopus(4))]


@pytest.mark.parametrize("problem", UNSEEN, ids=lambda p: p.name)
def test_derivatives_of_unseen_problems_are_those_of_their_values(problem):
    """In general position, where nothing vanishes; the products are also symmetric."""
    x = problem.x0 + 0.3 * np.random.default_rng(0).standard_normal(problem.dim)
    check = saddlelib.check_derivatives(problem.fun, problem.grad, x, hessp=problem.hvp, rng=1)
    assert check.ok, check.message


@pytest.mark.parametrize("problem", UNSEEN, ids=lambda p: p.name)
def test_unseen_problems_start_exactly_where_gradient_steps_stay(problem):
    assert np.linalg.norm(problem.grad(problem.x0)) <= 1e-12
    least = front_door.certificates.min_eig(problem, problem.x0, front_door.DENSE)
    assert least < -problem.curvature_tol < 0
    assert problem.curvature_tol == 0.05 if problem.name.startswith("Wood") else (
        problem.curvature_tol == pytest.approx(math.sqrt(problem.lipschitz_hess * 1e-3)))


def test_curvature_at_the_starts_is_what_their_docstrings_say():
    least = {p.name: np.linalg.eigvalsh(p.hess(p.x0)) for p in UNSEEN if p.dim <= 40}
    assert least["Wood, from its saddle"][0] == pytest.approx(-0.12, abs=1e-3)
    tensor = next(p for p in UNSEEN if p.name.startswith("tensor"))
    np.testing.assert_allclose(least[tensor.name][:5], -(tensor.x0 @ tensor.x0), rtol=1e-10)
    assert least[tensor.name][5] > 0
    network = next(p for p in UNSEEN if p.name.startswith("linear"))
    v, w = network.x0[:180].reshape(18, 10), network.x0[180:].reshape(10, 27)
    assert np.linalg.matrix_rank(v @ w, tol=1e-8) == 3


def test_unseen_problems_are_twelve_of_many_sizes_and_none_is_an_outside_one():
    sizes = [p.dim for p in UNSEEN]
    assert len(UNSEEN) == 12 and sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (4, 2000) and sum(d >= 100 for d in sizes) >= 6
    assert not {p.name for p in UNSEEN} & {p.name for p in outside.problems()}


def test_there_are_26_rows_and_each_starts_where_the_gradient_vanishes():
    tasks = front_door.tasks()
    assert [t.name for t in front_door.tasks(2)] == ["quartic saddle"]
    assert [front_door.place(t) for t in tasks] == list(front_door.BEFORE) and len(tasks) == 26
    assert all(np.linalg.norm(t.problem.grad(t.x0)) <= 1e-12 for t in tasks)
    assert not any(front_door.is_right(t, t.x0) for t in tasks if t.dim <= 100)


def test_every_call_is_counted_and_products_are_withheld_from_who_goes_without():
    f = front_door.Counted(QuarticSaddle.spread(2))
    x = np.array([0.1, 0.2])
    f.fun(x), f.fun(x), f.grad(x), f.hessp(x, x)
    np.testing.assert_array_equal(f.last, f.problem.grad(x))
    assert front_door.end(x, True, f).cost == 1 + 2 * 1 + 2 / 2
    assert front_door.Counted(f.problem, products=False).hessp is None


@pytest.mark.parametrize("task", SMALLEST, ids=lambda t: t.name)
def test_every_method_arrives_on_the_smallest_rows(task):
    cells = front_door.row(task, 2)
    assert set(cells) == {m.name for m in front_door.METHODS}
    assert all(cell.complete and not cell.wrong for cell in cells.values())
    assert all(0 < cell.cost < 100 for cell in cells.values())


@pytest.mark.parametrize("method", ["L-BFGS-B", "BFGS", "trust-ncg"])
def test_solvers_of_scipy_stop_by_the_euclidean_norm_and_not_before(method):
    """‖·‖_∞ ≤ ε/√d, which is all that L-BFGS-B can be asked for, takes longer."""
    task = front_door.known(QuarticSaddle.spread(300))
    found = front_door.run_scipy(task, True, 0, method)
    assert found.certified and front_door.is_right(task, found.x)
    counted = front_door.Counted(task.problem)
    options = front_door._options(method, task.dim, counted)
    start = np.linspace(0.1, 1.0, task.dim)
    r = front_door.scipy.optimize.minimize(counted.fun, start, jac=counted.grad, method=method,
                                           **options)
    assert np.linalg.norm(task.problem.grad(r.x)) <= front_door.EPSILON
    np.testing.assert_array_equal(r.jac, task.problem.grad(r.x))
    if method == "L-BFGS-B":
        stricter = front_door.scipy.optimize.minimize(
            task.problem.fun, start, jac=task.problem.grad, method=method,
            options=options["options"])
        assert counted.njev < stricter.njev


def test_a_solver_that_gives_up_begins_anew_and_one_that_stands_still_ends():
    task = SMALLEST[0]
    stuck = front_door.Task(task.name, task.problem, np.array([0.3, 0.2]), task.curvature_tol)
    whole = front_door.MOST_STEPS
    try:
        front_door.MOST_STEPS = 1  # SciPy gives up after every step
        found = front_door.run_scipy(stuck, True, 0, "BFGS")
        assert found.certified and front_door.is_right(task, found.x)
        front_door.MOST_STEPS = 0
        assert not front_door.run_scipy(stuck, True, 0, "BFGS").certified
    finally:
        front_door.MOST_STEPS = whole


def test_an_answer_is_right_only_without_slope_and_strong_negative_curvature():
    task = front_door.known(QuarticSaddle.spread(10))
    minimizer = task.problem.minimizers[0]
    assert front_door.is_right(task, minimizer)
    assert not front_door.is_right(task, task.x0)            # a saddle
    assert not front_door.is_right(task, minimizer + 0.01)   # a slope


def test_a_cell_counts_the_runs_that_are_certified_and_right_and_names_the_wrong_ones():
    task = SMALLEST[0]
    good = front_door.End(task.problem.minimizers[0], True, 10.5)
    liar, silent = (front_door.End(task.x0, claims, 1.0) for claims in (True, False))
    assert str(front_door.cell(task, [(good, 2e-3)] * 2)) == "10.5; 2 ms"
    mixed = front_door.cell(task, [(good, 2e-3), (liar, 1.0), (silent, 1.0)])
    assert str(mixed) == "10.5; 2 ms; 1 of 3, 1 wrong" and not mixed.complete
    assert str(front_door.cell(task, [(liar, 1.0)])) == "none certified, 1 wrong"
    assert str(front_door.cell(task, [(silent, 1.0)])) == "none certified"


def results(**cells):
    """One row, where a method is (cost, seconds, right) of two runs."""
    return [front_door.Result(SMALLEST[0], {
        name: front_door.Cell(cost, seconds, right, 0, 2)
        for name, (cost, seconds, right) in cells.items()})]


def test_ratios_are_against_the_best_that_is_certified_in_every_run():
    row = results(default=(8.0, 1.0, 2), BFGS=(16.0, 4.0, 2), other=(1.0, 1.0, 1))
    assert front_door.compare(row, "default", ["BFGS", "other"]).startswith(
        "geometric mean 0.5 over 1 rows, median 0.5, largest 0.5; above 1: none")
    assert "largest 0.25" in front_door.compare(row, "default", ["BFGS", "other"], "seconds")
    above = front_door.compare(row, "BFGS", ["default"])
    assert above.endswith("above 1: quartic saddle, d = 2: 2")
    assert front_door.against_before(row, "default", True).startswith("geometric mean 0.364")


def test_a_row_on_which_the_default_is_not_certified_counts_as_above_one():
    row = results(default=(8.0, 1.0, 1), psd=(10.0, 1.0, 2))
    good = front_door.Result(front_door.known(Octopus(4)), results(
        default=(8.0, 1.0, 2), psd=(10.0, 1.0, 2))[0].cells)
    line = front_door.compare([*row, good], "default", ["psd"])
    assert "over 1 rows" in line and line.endswith("quartic saddle, d = 2: not certified")
    assert front_door.compare(row, "default", ["trust-ncg"]) == "not measured"


def test_the_default_is_told_the_question_and_no_constant(monkeypatch):
    told = []

    def minimize(fun, x0, **options):
        told.append(options)
        return front_door.scipy.optimize.OptimizeResult(x=x0, success=True)

    monkeypatch.setattr(saddlelib, "minimize", minimize)
    for products in (True, False):
        assert front_door.run_default(SMALLEST[0], products, 0).certified
    assert all(set(options) == {"jac", "hessp", "epsilon", "curvature_tol", "failure_prob", "rng"}
               for options in told)
    assert callable(told[0]["hessp"]) and told[1]["hessp"] is None
