"""`analyze` on functions whose growth is known by construction: never a wrong yes or no."""

import functools
import importlib
import sys
from collections import Counter

import numpy as np
import pytest
from browser import ROOT
from thorough import instances

sys.path.insert(0, str(ROOT / "benchmarks"))
planted = importlib.import_module("planted_ravines")
sys.path.pop(0)

# The kinds in one and in two variables, two in four; the benchmark has 300, in up to twelve.
SEEDS = instances([*range(6), *range(7, 14), 21, 23], range(300))


@functools.cache
def asked(seed):
    """What `analyze` says of an instance: asked once for all tests."""
    f = planted.Planted(seed)
    return f, *f.ask()


def test_the_instances_are_what_they_say():
    """Derivatives agree, the floor is u = b(v), and its height is c + q + r."""
    for seed in range(14):
        f = planted.Planted(seed)
        rng = np.random.default_rng(seed)
        x, w = f.size * (f.centre + 0.2 * rng.standard_normal((2, f.r + f.m)))
        h = 1e-5 * f.size
        slope = (f.fun(x + h / f.size * w) - f.fun(x - h / f.size * w)) / (2 * h / f.size)
        assert slope == pytest.approx(f.jac(x) @ w, rel=1e-4, abs=1e-9 * f.scale)
        change = (f.jac(x + h / f.size * w) - f.jac(x - h / f.size * w)) / (2 * h / f.size)
        np.testing.assert_allclose(change, f.hessp(x, w), rtol=1e-4,
                                   atol=1e-6 * np.abs(change).max())
        centre = f.size * f.centre
        assert abs(f.fun(centre)) <= 1e-25 * f.scale and np.all(
            np.abs(f.jac(centre)) <= 1e-12 * f.scale / f.size)
        v = 1e-2 * rng.standard_normal(f.m)
        u = np.einsum("rij,i,j->r", f.bend[0], v, v) + f.bend[1] @ v**3
        q = f.weights @ np.einsum("kij,i,j->k", f.A, v, v) ** 2 + f.round * (v @ v) ** 2
        rest = (f.rest[0] @ v) * (v @ v) ** 2 + f.rest[1] * (v @ v) ** 3
        height = q + rest + ((f.cubic.T @ v) ** 3).sum()
        assert f._parts(np.concatenate([u, v]))[0] == pytest.approx(height, rel=1e-9)


def test_no_planted_function_is_judged_wrongly(record_property):
    said, wrong = Counter(), []
    for seed in SEEDS:
        f, verdict, found = asked(seed)
        said[f.kind.startswith("order 6"), verdict] += 1
        if planted.wrong(f, verdict):
            wrong.append((seed, f.kind, verdict, str(found)))
    assert not wrong
    clear = [count for (six, verdict), count in said.items() if not six]
    untold = sum(said[False, verdict] for verdict in ("cannot tell", "error"))
    record_property("planted ravines of order 3 and 4 not told", f"{untold} of {sum(clear)}")
    assert untold <= 0.05 * sum(clear)


@pytest.mark.parametrize("seed", [0, 7, 8, 9, 21, 23])
def test_the_stated_error_holds_for_the_form(seed):
    f, verdict, found = asked(seed)
    assert f.grows and verdict == "yes"
    for w in np.random.default_rng(seed).standard_normal((10, found.kernel.shape[1])):
        v = found.kernel @ (w / np.linalg.norm(w))
        y = (f.turn.T @ v / f.size)[f.r:]
        forms = np.einsum("kij,i,j->k", f.A, y, y)
        q = f.scale * (f.weights @ forms**2 + f.round * (y @ y) ** 2)
        assert abs(found.q(v) - q) <= found.error
        assert found.q(v) >= found.lower - 1e-12 * abs(found.constant)
    assert np.linalg.norm(found.x - f.size * f.centre) <= found.resolution
    assert 0 < found.lower <= found.constant
