"""No call of a public function ends in a wrong success, a hang or a foreign exception."""

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from browser import ROOT
from thorough import instances

from . import calls, front, judge, promises, truths
from .lies import visible

CALLS = instances(600, 5000)
ALL = {**calls.FAMILIES, **front.FAMILIES}


@pytest.mark.parametrize("make", truths.BASES, ids=lambda make: make.__name__)
def test_the_truth_is_true(make):
    """Central differences of the value and of the gradient, where both are smooth enough."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        d = int(rng.integers(1, 6))
        t = truths.Truth("", make(rng, d), d, a=2.0, s=0.5, c=3.0, b=1.0)
        x, v, h = t.c + rng.standard_normal(d), rng.standard_normal(d), 1e-4
        if t.base.fuzz > 1e-14:
            continue
        slope = (t.fun(x + h * v) - t.fun(x - h * v)) / (2 * h)
        bend = (t.grad(x + h * v) - t.grad(x - h * v)) / (2 * h)
        size = 1 + np.abs(t.hess(x)).max()
        assert slope == pytest.approx(t.grad(x) @ v, abs=1e-5 * size)
        np.testing.assert_allclose(bend, t.hess(x) @ v, atol=1e-5 * size)
        np.testing.assert_allclose(t.hess(x), t.hess(x).T, rtol=0, atol=1e-14 * size)


def test_a_seed_makes_one_call():
    for seed in range(50):
        one, other = calls.draw(seed), calls.draw(seed)
        assert (one.family, one.fault, one.door, one.truth.a) == (
            other.family, other.fault, other.door, other.truth.a)


class Lying:
    """What a library would return that certifies everything."""

    def __init__(self, x):
        self.x, self.certificate, self.fun = x, self, 0.0
        self.status, self.success, self.passed = 0, True, True
        self.verdict = judge.saddlelib.Verdict.SOSP
        self.curvature_tol = self.epsilon = self.failure_prob = 1e-12
        self.min_eig = self.min_eig_lower = 1.0


def test_the_judge_sees_a_wrong_success(monkeypatch):
    """Every seed gets the answer that its start is certified: the truth refuses most of them."""
    monkeypatch.setattr(calls.Call, "run", lambda call: Lying(call.x0))
    monkeypatch.setattr(judge, "_again", lambda *_: [])
    found = []
    for seed in range(100):
        if calls.draw(seed).family == "nothing wrong" and calls.draw(seed).door == "minimize":
            found += [problem for problem, _ in judge.look_at(seed).problems]
    assert found.count("wrong success") > 5 and found.count("false interval") > 5


@pytest.fixture(scope="module")
def found():
    """The summary of the first calls, each family with its problems, and the seeds behind them."""
    command = [sys.executable, "-m", "tests.fuzz", "--calls", str(CALLS), "--json"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True,
                         env={**os.environ, "PYTHONWARNINGS": "default"})
    return json.loads(run.stdout)


@pytest.mark.parametrize("problem", judge.PROBLEMS)
@pytest.mark.parametrize("family", ALL)
def test_no_call_ends_badly(found, family, problem):
    seeds = {kind: seeds for kind, seeds in found["kinds"].items()
             if kind.startswith(f"{family} | {problem} | ")}
    assert found["table"][family][problem] == 0, seeds


def test_hardly_any_lie_is_invisible(found):
    """A criterion that called everything invisible would find no wrong success either."""
    table = found["table"]
    unseen = sum(row[judge.NOT_VISIBLE] for row in table.values())
    lies = sum(table[family]["calls"] for family in judge.LIARS)
    assert unseen <= 0.02 * lies and found["ends"]["WRONG_DERIVATIVES"] > 5 * unseen


@pytest.mark.parametrize("kind, seen", [("sign", True), ("offset", True), ("nothing", False)])
def test_a_lie_is_visible_or_not(kind, seen):
    """At a minimizer of log Σ exp yᵢ − mean y: −∇f and ∇f + c are visible, ∇f itself is not."""
    wanted = ("wrong gradient", "log_sum_exp", 1.0, 0.0, 0.0)
    call = next(call for call in map(calls.draw, range(10**5)) if call.truth.dim > 1 and wanted == (
        call.family, call.truth.name, call.truth.a, call.truth.c, call.truth.b))
    call.fault, call.derivatives = kind, 0
    if kind == "nothing":
        call.family = "nothing wrong"
    assert visible(call, np.arange(call.truth.dim) / 10.0, None) == seen


def test_a_third_of_the_calls_goes_through_the_front_door():
    drawn = [calls.draw(seed) for seed in range(900)]
    there = [call for call in drawn if call.door == "front"]
    assert 250 < len(there) < 350 and all(call.front for call in there)
    assert {call.front.jac for call in there} == {"told", True, None, "2-point", "3-point", "cs"}
    assert {call.method for call in there} >= {None, "certified", *front.INNER}
    assert {call.front.check for call in there} == {"", "budget", "pieces"}


def test_the_promises_of_the_front_door_are_looked_at():
    """An answer in another shape, with a wrong f and a tolerance of nothing, breaks them."""
    call = next(call for call in map(calls.draw, range(10**4)) if call.door == "front"
                and call.family == "nothing wrong" and call.front.check == ""
                and call.truth.dim == 2 and call.truth.a == 1 == call.truth.s
                and call.arguments.keys() <= {"epsilon", "rng"}
                and call.truth.name == "quartic")
    answer = front.run(call, maxiter=10**4)
    assert answer.success and not list(promises.broken(call, answer))
    for name, value in (("x", answer.x[np.newaxis]), ("fun", answer.fun + 1)):
        assert list(promises.broken(call, type(answer)({**answer, name: value})))
    vague = dataclasses.replace(answer.certificate, curvature_tol=1e3)
    assert list(promises.broken(call, type(answer)({**answer, "certificate": vague})))


def test_the_calls_are_of_every_kind(found):
    ends = found["ends"]
    for end in ("CERTIFIED", "SOSP", "SADDLE", "NEGATIVE_CURVATURE", "NOT_STATIONARY", "NONFINITE",
                "UNBOUNDED", "MAXITER", "MAXFEV", "CALLBACK", "PRECISION", "named error",
                "its own exception"):
        assert ends.get(end, 0) >= 3, ends
    assert sum(row["calls"] for row in found["table"].values()) == CALLS
