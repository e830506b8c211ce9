"""No call of a public function ends in a wrong success, a hang or a foreign exception."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from browser import ROOT

from . import calls, judge, truths

CALLS = 2000


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


# What is known and not mended yet: the run shows the numbers and the seeds.
OPEN = {
    # A certificate by differences whose probes drown in rounding; a norm that underflows.
    "wrong success": {"nothing wrong", "extreme arguments", "wrong types", "not finite",
                      "float32 gradient", "rough gradient", *judge.LIARS},
    "wrong verdict": {"rough gradient", *judge.LIARS},
    "false interval": {"nothing wrong", "extreme arguments", "wrong types", "not finite", "raises",
                       "float32 gradient", "rough gradient"},
    # Noise so small that the noncentral χ² does not end.
    "hang": set(calls.FAMILIES),
    "foreign exception": set(calls.FAMILIES) - {"raises", "wrong returns"},
    "warning": set(calls.FAMILIES),
}


@pytest.mark.parametrize("problem", judge.PROBLEMS)
@pytest.mark.parametrize("family", calls.FAMILIES)
def test_no_call_ends_badly(found, family, problem):
    count = found["table"][family][problem]
    seeds = {kind: seeds for kind, seeds in found["kinds"].items()
             if kind.startswith(f"{family} | {problem} | ")}
    if count and family in OPEN[problem]:
        pytest.xfail(f"{count} of {found['table'][family]['calls']}: {seeds}")
    assert count == 0, seeds


def test_the_calls_are_of_every_kind(found):
    ends = found["ends"]
    for end in ("CERTIFIED", "SOSP", "SADDLE", "NEGATIVE_CURVATURE", "NOT_STATIONARY", "NONFINITE",
                "MAXITER", "MAXFEV", "CALLBACK", "PRECISION", "named error", "its own exception"):
        assert ends.get(end, 0) >= 3, ends
    assert sum(row["calls"] for row in found["table"].values()) == CALLS
