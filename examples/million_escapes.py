"""A million escapes: how long gradient descent takes to leave a saddle, by dimension and curvature.

    python -m saddlelib.sweep examples/million_escapes.py --dry-run    cells, time and space
    python -m saddlelib.sweep examples/million_escapes.py              run, or go on with it
    python -m saddlelib.sweep examples/million_escapes.py --shard 2/8  one of eight jobs
    python examples/million_escapes.py                                 quantiles of what is there

A run starts at a point of the ball of radius 0.01 around the saddle of `QuarticSaddle`, and has
left when |x₁| reaches 0.15; the step size is 1/2.
"""

import json
from pathlib import Path

import numpy as np

from saddlelib.methods import GradientDescent
from saddlelib.perturbation import uniform_ball
from saddlelib.problems import QuarticSaddle
from saddlelib.sweep import Pair, collect
from saddlelib.theory import laws

STEP, RADIUS, EXIT, SHARES = 0.5, 0.01, 0.15, [0.05, 0.25, 0.5, 0.75, 0.95]
QUANTILES = Path(__file__).with_suffix(".json")


def problem(d, gamma):
    """A saddle with one direction of descent."""
    return QuarticSaddle.spread(d, gamma=gamma)


def start(d, rng):
    """A point of the ball."""
    return uniform_ball(rng, d, RADIUS)


def has_left(x):
    """Whether points are out."""
    return np.abs(x[:, 0]) >= EXIT


cell = Pair(problem, GradientDescent(step_size=STEP), start=start, until=has_left, maxiter=10_000,
            name="escape", batch=250)
grid = {"d": [2, 10, 100, 1000, 10_000], "gamma": [0.05, 0.1, 0.2, 0.4]}
seeds = 50_000
folder = "sweeps/million_escapes"


def quantiles():
    """By dimension and curvature: quantiles of the steps, measured and predicted."""
    table, rows = collect(folder, kind="numpy"), []
    assert np.isfinite(table["reached"]).all()
    for d in grid["d"]:
        for gamma in grid["gamma"]:
            steps = table[(table["d"] == d) & (table["gamma"] == gamma)]["reached"]
            rows.append({"d": d, "gamma": gamma, "runs": len(steps),
                         "worst": float(steps.max()),
                         "measured": np.quantile(steps, SHARES, method="inverted_cdf").tolist(),
                         "predicted": [laws.escape_deadline(1 - share, d, RADIUS, EXIT, STEP,
                                                            gamma) for share in SHARES]})
    return {"runs": len(table), "not ok": int((table["status"] != "ok").sum()), "rows": rows}


if __name__ == "__main__":
    found = quantiles()
    lines = ",\n ".join(json.dumps(row) for row in found.pop("rows"))
    QUANTILES.write_text(f"{json.dumps(found)[:-1]}, \"rows\": [\n {lines}]}}\n", "utf8")
    print(f"quantiles of {found['runs']} runs in {QUANTILES}")
