"""What the front door promises beyond the truth of its answer.

- x and jac come back in the shape of x0, and f(x) is the true f at x.
- An estimated tolerance lies between 10⁻⁴ and 0.1 of the largest curvature that was seen; against
  dense eigenvalues at x that is loose, as a look sees a part of them and the way saw others.
- More budget never gives a higher f or a worse verdict.
- A run that is cut anywhere and goes on from its pickled state ends where the whole run ends, bit
  for bit; with a solver of SciPy's, which keeps its own state for itself, it ends no worse.
"""

from __future__ import annotations

import contextlib
import math
import pickle

import numpy as np

from saddlelib import Status

from . import front

# The smallest part of ‖H‖ that a look may have seen; and how far above the truth.
_SEEN, _ABOVE = 0.05, 1.1
_ROUNDED = 1e-12


def broken(call, result):
    """What of it this result breaks, in words."""
    right = np.size(call.x0) == call.truth.dim and call.family != "wrong types"
    if not right:
        return
    if np.shape(result.x) != call.front.shape or np.shape(result.jac) != call.front.shape:
        yield f"shape {np.shape(result.x)} of x"
    true = call.truth.fun(np.ravel(result.x))
    if call.family in front.EXACT and not (true == result.fun or math.isnan(true)):
        yield "fun is not f(x)"
    yield from _tolerance(call, result)
    if call.family not in front.EXACT or call.arguments.get("callback") is not None:
        return
    if call.front.check == "budget":
        with contextlib.suppress(ValueError):  # of a solver that needs Hessians
            yield from _budget(call)
    elif call.front.check == "pieces" and call.method in (None, "certified") and (
            call.front.by == "minimize"):
        yield from _pieces(call, result)


def _tolerance(call, result):
    given, seen = call.arguments, result.certificate
    stated = given.get("curvature_tol") is not None or given.get("lipschitz_hess")
    if stated or seen is None or not result.success or call.family not in front.EXACT:
        return
    H = call.truth.hess(np.ravel(result.x))
    size = float(np.abs(np.linalg.eigvalsh(H / np.abs(H).max())).max() * np.abs(H).max())
    largest = max(size, result.estimates["hess_norm"])
    if not 1e-4 * _SEEN * size <= seen.curvature_tol <= 0.1 * _ABOVE * largest:
        yield "estimated tolerance is no part of ‖H‖"
    if not seen.curvature_tol < _ABOVE * size:
        yield "estimated tolerance is vacuous"


def _budget(call):
    """Runs with more and more oracle calls."""
    best, done = math.inf, False
    for maxfev in (1, 4, 11, 40, 150):
        result = front.run(call, maxfev=maxfev, maxiter=10**4)
        if not math.isfinite(result.fun):
            return
        if result.fun > best + _ROUNDED * abs(best):
            yield "f rises with the budget"
        if done and not result.success:
            yield "success is lost with more budget"
        best, done = min(best, result.fun), result.success


def _pieces(call, whole):
    """The same run, cut after some steps, its state pickled."""
    limit = call.arguments.get("maxiter", 10**4)
    if limit == 0 or call.arguments.get("maxfev") is not None or whole.nit > 2000:
        return
    part, left = None, limit
    cut = np.random.default_rng(call.seed)
    while left > 0:
        steps = min(left, int(cut.integers(1, 1 + max(1, whole.nit // 2))))
        state = None if part is None else pickle.loads(pickle.dumps(part.state))
        part = front.run(call, maxiter=steps, state=state)
        left -= steps
        if part.status != Status.MAXITER:
            break
    same = np.array_equal(part.x, whole.x, equal_nan=True) and part.status == whole.status
    if not same:
        ends = " and ".join(Status(one.status).name for one in (whole, part))
        yield f"in pieces it ends elsewhere, {ends}"
