"""The benchmarks on tiny sizes, in counts: that they run, and that what they claim is so."""

import importlib
import sys

import numpy as np
import pytest
from browser import ROOT

from saddlelib import certify
from saddlelib.problems import (
    CoupledQuartic,
    MatrixFactorization,
    Octopus,
    QuarticSaddle,
    SeparableQuartic,
)

# The scripts run from their own folder, so that is how they find what they share.
sys.path.insert(0, str(ROOT / "benchmarks"))
measure, psd_peer, psd_scipy = map(importlib.import_module, ("_measure", "psd_peer", "psd_scipy"))
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


def test_every_problem_of_the_table_starts_at_a_saddle():
    for problem in psd_scipy.problems():
        if problem.dim <= 100:
            x0 = np.zeros(problem.dim)
            assert not problem.grad(x0).any()
            assert certify(problem, x0, epsilon=psd_scipy.EPSILON, rng=0).min_eig < 0
    assert len(psd_scipy.row(Octopus(2), 1)) == len(psd_scipy.HEADER)
