"""The benchmarks on tiny sizes, in counts: that they run, and that what they claim is so."""

import importlib
import sys

import numpy as np
import pytest
from browser import ROOT
from thorough import instances

from saddlelib import certify
from saddlelib.perturbation import uniform_sphere
from saddlelib.problems import (
    CoupledQuartic,
    MatrixFactorization,
    Octopus,
    QuarticSaddle,
    SeparableQuartic,
)

# The scripts run from their own folder, so that is how they find what they share.
sys.path.insert(0, str(ROOT / "benchmarks"))
measure, psd_peer, psd_scipy, outside, certificates = map(
    importlib.import_module, ("_measure", "psd_peer", "psd_scipy", "outside", "certificates"))
sys.path.pop(0)


def test_a_product_counts_as_two_gradients():
    assert measure.equivalents(3, 5) == 13


def test_runs_take_turns_and_the_first_round_does_not_count():
    calls = []
    found = measure.in_turns({name: lambda seed, name=name: calls.append((name, seed)) or seed
                              for name in "ab"}, 2)
    assert calls == [("a", 1), ("b", 1), ("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert [result for result, _ in found["a"]] == [0, 1]
    assert all(seconds >= 0 for _, seconds in found["b"])


@pytest.mark.parametrize("number, text", [(14641, "14,641"), (0.08093, "0.0809"), (7, "7"),
                                          (99.96, "100"), (123.4, "123")])
def test_numbers_are_written_with_three_digits(number, text):
    assert measure.short(number) == text


def test_a_table_is_markdown():
    assert measure.table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


@pytest.mark.parametrize("dim", [10, 100])
@pytest.mark.parametrize("kind", [SeparableQuartic, CoupledQuartic])
def test_psd_arrives_with_fewer_gradients_than_the_published_perturbation_first_could(kind, dim):
    """Its certificates cost at most as much again, and both much less than 1/250 of the peer."""
    p = kind(dim)
    k = p.lipschitz_grad, p.lipschitz_hess
    for seed in range(3):
        hit = psd_peer.first_hit(p, np.zeros(dim), *k, 1e-3, seed)
        ours = psd_peer.run_ours(p, np.zeros(dim), *k, seed)
        assert 50 < hit < 1000 and ours.success and ours.nhvp == ours.state.certificate_cost[2]
        assert psd_peer.is_sosp(p, ours.x, ours.jac, 1e-3, k[1])
        assert ours.njev <= 1.2 * hit and 2 * ours.nhvp <= 1.2 * hit


def test_the_first_hit_is_the_first():
    """In the well of ½x² + … around a minimizer every point near enough is one already."""
    p = SeparableQuartic(2)
    assert psd_peer.first_hit(p, p.minimizers[0], 10.0, 24.0, 0.1, seed=0) == 0
    hit = psd_peer.first_hit(p, np.zeros(2), 10.0, 24.0, 1e-3, seed=0)
    assert psd_peer.first_hit(p, np.zeros(2), 10.0, 24.0, 1e-3, seed=0, most=hit) == hit
    assert psd_peer.first_hit(p, np.zeros(2), 10.0, 24.0, 1e-3, seed=0, most=hit + 1) == hit
    assert psd_peer.first_hit(p, np.zeros(2), 0.01, 24.0, 1e-3, seed=0, most=9) == 9  # diverges


def test_a_row_without_the_peer_says_what_is_ours():
    cells = psd_peer.row(SeparableQuartic(4), None, 10.0, 24.0, repeats=2)
    assert len(cells) == len(psd_peer.HEADER) and cells[-5:] == ["–"] * 5


@pytest.mark.parametrize("fails", [False, True])
def test_a_row_with_a_peer_has_its_counts_and_says_where_it_fails(fails):
    def stand_in(x0, grad, hess, *_, random_state, **__):
        if fails:
            raise np.linalg.LinAlgError
        hess(grad(x0))
        return x0, 50_000

    cells = psd_peer.row(SeparableQuartic(4), stand_in, 10.0, 24.0, repeats=2)
    assert len(cells) == len(psd_peer.HEADER)
    assert cells[10:12] == (["diverges", "–"] if fails else ["50,000", "1"])


@pytest.mark.parametrize("problem", [
    QuarticSaddle.spread(2), QuarticSaddle.spread(100), Octopus(4), Octopus(4, L=1.5),
    MatrixFactorization.from_eigenvalues([1.0, 0.5], n=20, rng=0)], ids=repr)
def test_psd_costs_no_more_than_scipy_with_a_certificate(problem):
    x0 = np.zeros(problem.dim)
    for seed in range(3):
        ours = psd_scipy.run_ours(problem, x0, seed)
        theirs = [psd_scipy.run_scipy(method, problem, x0, seed) for method in psd_scipy.METHODS]
        assert ours.certified and all(cost.certified for cost in theirs)
        assert 0 < ours.certificate <= ours.nhvp
        assert ours.equivalents == ours.njev + 2 * ours.nhvp
        assert ours.equivalents <= min(cost.equivalents for cost in theirs)
        assert ours.equivalents + ours.nfev <= min(c.equivalents + c.nfev for c in theirs)


def test_a_cell_is_about_the_runs_that_end_certified_and_says_how_many():
    good, bad = psd_scipy.Cost(3, 4, 2, 5, True), psd_scipy.Cost(90, 90, 90, 90, False)
    assert psd_scipy.cell([(good, 1e-3)] * 2) == "3 + 2·4 (2) = 11; 5; 1 ms"
    assert psd_scipy.cell([(good, 1e-3), (bad, 1.0)]).endswith(" = 11; 5; 1 ms; 1 of 2 certified")
    assert psd_scipy.cell([(bad, 1.0)]) == "not certified"


def test_every_problem_of_the_table_starts_at_a_saddle():
    for problem in psd_scipy.problems():
        if problem.dim <= 100:
            x0 = np.zeros(problem.dim)
            assert not problem.grad(x0).any()
            assert certify(problem, x0, epsilon=psd_scipy.EPSILON, rng=0).min_eig < 0
    assert len(psd_scipy.row(Octopus(2), 1)) == len(psd_scipy.HEADER)


OUTSIDE = outside.problems()


@pytest.mark.parametrize("problem", OUTSIDE, ids=lambda p: f"{p.name} {p.dim}")
def test_gradients_and_products_of_outside_problems_are_those_of_their_values(problem):
    rng = np.random.default_rng(0)
    x = problem.x0 + 0.1 * rng.standard_normal(problem.dim)
    v, u = rng.standard_normal((2, problem.dim)) / problem.dim**0.5
    h = 1e-5
    slope = (problem.fun(x + h * v) - problem.fun(x - h * v)) / (2 * h)
    assert problem.grad(x) @ v == pytest.approx(slope, rel=1e-5, abs=1e-8)
    change = (problem.grad(x + h * v) - problem.grad(x - h * v)) / (2 * h)
    product = problem.hvp(x, v)
    assert np.linalg.norm(product - change) <= 1e-6 * np.linalg.norm(product)
    assert u @ product == pytest.approx(v @ problem.hvp(x, u), rel=1e-10, abs=1e-12)


def test_outside_problems_are_many_and_nearly_all_start_where_gradient_steps_stay():
    assert len(OUTSIDE) >= 28 and len({(p.name, p.dim) for p in OUTSIDE}) == len(OUTSIDE)
    still = [np.linalg.norm(p.grad(p.x0)) <= 1e-3 for p in OUTSIDE]
    assert np.mean(still) > 0.8
    assert all(np.linalg.eigvalsh(p.hess(p.x0))[0] < -certificates.tolerance(p, 1e-3)
               for p, at_rest in zip(OUTSIDE, still, strict=True)
               if at_rest and p.dim <= instances(100, 200))


def test_informed_constants_are_those_of_the_path():
    """x⁴/4 − x²/2 + y² has ∇²f = diag(3x² − 1, 2) and ‖∇³f‖ = 6|x|; the path ends at x = ±1."""
    p = outside.Outside("quartic", lambda x: x[0]**4 / 4 - x[0]**2 / 2 + x[1]**2,
                        lambda x: np.array([x[0]**3 - x[0], 2 * x[1]]), np.zeros(2))
    assert p.lipschitz_grad >= 2 - 1e-3
    reached = max(abs(x[0]) for x in p.path)
    assert reached >= 0.99 and p.lipschitz_hess == pytest.approx(6 * reached, rel=1e-3)
    np.testing.assert_allclose(p.hess(np.array([2.0, 0.0])), np.diag([11.0, 2.0]))


def test_lanczos_of_the_benchmark_ends_with_the_spectrum():
    eigenvalues = np.linspace(-1, 2, 12)
    steps = list(certificates.lanczos(lambda v: eigenvalues * v, 12, np.random.default_rng(0)))
    alpha, beta, _ = np.array(steps).T
    ritz = np.linalg.eigvalsh(np.diag(alpha) + np.diag(beta[:-1], 1) + np.diag(beta[:-1], -1))
    np.testing.assert_allclose(ritz, eigenvalues, atol=1e-12)


def test_the_bound_on_the_spread_passes_what_is_flat_and_nothing_else():
    tol, zero = 0.1, np.zeros(60)
    for least, passes in ((0.0, True), (-0.05, True), (-0.12, False), (-0.5, False)):
        h = np.append(least, np.linspace(0, 1, 59))
        for seed in range(5):
            steps = certificates.lanczos(lambda v, h=h: h * v, 60, np.random.default_rng(seed))
            k, passed = certificates.before(steps, 60, tol)
            assert passed is passes and k <= 60
            now = certify(lambda x, h=h: h @ x**2 / 2, zero, jac=lambda x, h=h: h * x,
                          hessp=lambda x, v, h=h: h * v, epsilon=1e-3, curvature_tol=tol, rng=seed)
            assert now.passed is passes
            if passes:
                assert now.iterations <= k


def test_an_answer_is_held_against_the_exact_hessian(monkeypatch):
    problem = outside.equal_columns()
    found = certificates.minimized(problem, 0, 1e-3)
    assert found.success and certificates.is_sosp(problem, found.x, 1e-3)
    assert not certificates.is_sosp(problem, problem.x0, 1e-3)         # a saddle
    assert not certificates.is_sosp(problem, found.x + 0.01, 1e-3)     # a slope
    exact = certificates.min_eig(problem, problem.x0)
    monkeypatch.setattr(certificates, "DENSE", 1)
    assert certificates.min_eig(problem, problem.x0) == pytest.approx(exact, rel=1e-4)


@pytest.mark.parametrize("kind", certificates.KINDS[1:])
def test_errors_keep_to_their_size_and_do_not_make_certificates_pass_too_often(kind):
    h, size = np.append(-0.102, np.linspace(0, 1, certificates.DIM - 1)), 1e-3
    product = certificates.adversary(h, kind, size, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    for v in uniform_sphere(rng, certificates.DIM, size=30):
        error = np.linalg.norm(product(None, v) - h * v)
        assert 0 < error <= size * (1 + 1e-9)
    false, _ = certificates.passes(-1.02 * certificates.TOL, kind, size, 50)
    right, _ = certificates.passes(0.0, kind, 1e-5, 10)
    # Five are allowed on average; 16 of 50 have a probability below 3e-5.
    assert false < 16 and right == 10


def test_the_tables_of_certificates_have_a_cell_for_every_column(capsys, monkeypatch):
    monkeypatch.setattr(outside, "problems", lambda: OUTSIDE)  # which know their constants by now
    certificates.main(quick=True)
    lines = capsys.readouterr().out.splitlines()
    headers = [certificates.NEEDED, certificates.RUNS, certificates.RUNS, certificates.ERRORS]
    tables = [i for i, line in enumerate(lines) if line.startswith("| ---")]
    assert [lines[i - 1].split(" | ")[1:-1] for i in tables] == [h[1:-1] for h in headers]
    for start, header in zip(tables, headers, strict=True):
        rows = lines[start + 1:lines.index("", start)]
        assert len(rows) >= 10 and all(row.count(" | ") == len(header) - 1 for row in rows)
    assert sum(line.endswith(" 0 wrong.") for line in lines) == 4
