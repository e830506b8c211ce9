"""Does a training run still go anywhere? By ratios of inner products of gradients, without a unit.

The noise of two mini-batches is independent, so that the inner product of two successive gradients
has nearly the mean ‖∇f‖², where ‖g‖² has the variance of the noise on top. The step between them
takes off η ∇f·∇²f·∇f and η tr(∇²f Σ)/B, so that at a minimum the mean is slightly negative.
"""

from __future__ import annotations

import math

import torch

from . import _vector as vector
from ._curvature import quick_dot

__all__ = ["EVERY", "beginning", "restart", "stands"]

EVERY = 50  # steps from pair to pair
_EARLY = (0, 3, 7, 15, 31, 63)  # steps after a beginning at which the first pairs begin
_PAIRS = 5  # that are judged
_SAMPLE = 1 << 14  # numbers of a gradient that a pair compares, or all
_GROWING = 1.05  # a squared gradient that grows by so much a step leaves by itself


def beginning(steps) -> dict:
    """What the watch remembers at a beginning, after so many steps.

    Lists are of a fixed length: torch.distributed.checkpoint takes them apart, and fits what it
    reads to a template.
    """
    return {"since": steps, "first": steps + 1, "pairs": [None] * _PAIRS, "times": [None] * _PAIRS,
            "best": 0.0, "slope": 0.0, "looked": False, "tested": 0}


def restart(s, held) -> None:
    """Watch as at the beginning."""
    s.update(beginning(s["steps"]), testing=False)
    held["first"] = None


def stands(s, held, params, process_group) -> str | None:
    """Why the run may stand still at this step, or None.

    "zero": the gradient is exactly that. "noise": nothing of it is seen in the noise, or a
    hundredth of what it was. "perhaps": it does not grow, and nobody has looked yet.

    ``s`` is the memory, with what `beginning` says; ``held["first"]`` the first gradient of a pair.
    """
    k = s["steps"]
    if held["first"] is None:
        if k < s["first"]:
            return None
        return _begin_pair(s, held, [(p, p.grad) for p in params if p.grad is not None])
    first, held["first"] = held["first"], None
    early = [e for e in _EARLY if s["since"] + e + 1 >= k]
    s["first"] = s["since"] + early[0] + 1 if early else k - 1 + EVERY
    if any(p.grad is None for p, _ in first):
        return None
    now = [_sample(p.grad, len(first), copy=False) for p, _ in first]
    if any(g.shape != f.shape for g, (_, f) in zip(now, first, strict=True)):
        return None
    inner = torch.tensor(quick_dot([f for _, f in first], now), dtype=torch.float64,
                         device=first[0][1].device)
    inner = float(vector.mean_over_ranks(inner, process_group))  # none looks alone
    if not math.isfinite(inner):
        return None
    s["times"] = [*s["times"][1:], k]
    s["pairs"] = [*s["pairs"][1:], inner]
    return _judge(s, [q for q in s["pairs"] if q is not None])


def _begin_pair(s, held, pairs):
    """Keep a gradient, or say that it is the first and exactly zero."""
    if pairs and s["pairs"][-1] is None and vector.norm([g for _, g in pairs]) == 0.0:
        restart(s, held)
        return "zero"
    held["first"] = [(p, _sample(g, len(pairs))) for p, g in pairs] or None
    return None


def _judge(s, q):
    """What the pairs say: that they grow, are lost in noise, or a hundredth of what they were."""
    n = len(q)
    mean = math.fsum(x / n for x in q)
    s["best"] = max(s["best"], mean)
    noise = math.hypot(*(x - mean for x in q)) / math.sqrt((n - 1) * n) if n > 1 else math.inf
    s["slope"] = math.sqrt(max(0.0, mean - 2 * noise))
    if n < 3 or q[-1] > 0 and q[-2] > 0 and math.log(q[-1]) - math.log(q[-2]) > (
            math.log(_GROWING) * (s["times"][-1] - s["times"][-2])):
        return None
    if n == _PAIRS and (mean <= 2 * noise or mean <= 0.01 * s["best"]):
        return "noise"
    if s["looked"] or s["times"][-1] - s["since"] < 4 * s["tested"]:
        return None
    s["tested"] = s["times"][-1] - s["since"]  # a test costs two evaluations: each time later
    return "perhaps"


def _sample(g, tensors, copy=True):
    """All of a small gradient, some evenly spaced numbers of a large one; shards are kept whole."""
    most = max(64, _SAMPLE // tensors)
    if g.numel() > most and vector.local([g])[0] is g and g.is_contiguous():
        # An odd stride meets all columns of a matrix.
        part = g.detach().view(-1)[::-(-g.numel() // most) | 1]
        return part * math.sqrt(g.numel() / part.numel())
    return g.detach().clone() if copy else g.detach()
