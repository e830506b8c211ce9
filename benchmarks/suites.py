"""The suites behind `make bench`: what is run, on what, and what of it is kept.

A suite is a cell for `saddlelib.sweep.sweep` with its axes, and a function that makes of the rows
of all seeds one row for each problem and method. Problems and runners are those of the other
scripts of this folder. The rules by which problems were chosen stand here and were written down
before the first run. What trains networks is in leaving.py.
"""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from importlib import metadata

import front_door
import honesty
import numpy as np
import psd_peer
import scipy.optimize
import unseen
import unseen_ravines
from cases import CASES, informed
from gdpolyak_peer import MARKS, count
from standings import median

import saddlelib

PEERS = ("psd-optimizer", "pytorch-optimizer", "optax")
NOT_MEANT = {"applies": False}  # what a cell gives where a method has no meaning on a problem


def installed():
    """The version of each of the `PEERS` that is there, by name."""
    found = {}
    for name in PEERS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


@dataclass(frozen=True)
class Method:
    """A competitor: whether it is ours, what it is told beside f and ∇f, and its package."""

    name: str
    ours: bool = False
    told: str = ""
    package: str = ""


@dataclass(frozen=True)
class Suite:
    """What one call of `sweep` runs.

    Attributes
    ----------
    name, unit, limits : str
        ``unit`` says in words what work is counted in, ``limits`` where a run or a method ends.
    cell : callable
        As `sweep` wants it, with an axis "method" and, where it has one, a column "applies".
    axes : dict
        The values of all axes but "method".
    methods : tuple of Method
    kept : callable
        Maps the table of all cells to rows, dictionaries with the same keys.
    meant : callable
        Of a problem and a method: whether this one runs on that one.
    seeds : int
    share : tuple of str
        The axes from which the generator of a cell comes.
    """

    name: str
    unit: str
    cell: Callable
    axes: dict
    methods: tuple
    kept: Callable
    meant: Callable
    seeds: int = 1
    share: tuple = ()
    limits: str = ""

    def able(self) -> list:
        """The names of the methods whose package is here, if they need one."""
        there = installed()
        return [m.name for m in self.methods if not m.package or m.package in there]

    def smaller(self, **axes):
        """The same with one seed on fewer values of some axes."""
        return replace(self, axes=self.axes | axes, seeds=1)


def points(table, *axes):
    """Pairs of (values of these axes, rows with them) of a table, where a method applies."""
    found = {}
    for row in table:
        if "applies" not in table.dtype.names or row["applies"]:
            found.setdefault(tuple(row[axis].item() for axis in axes), []).append(row)
    return found.items()


@contextlib.contextmanager
def silent():
    """To diverge is an answer, and no warning."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


# Work to a certified second-order point ----------------------------------------------------------

NORMAL = 0.3  # what a normal start adds to each coordinate of the saddle, as a standard deviation
# The authors' package takes dense Hessians and many gradients: how far it may go.
LARGEST_DENSE, MOST_GRADIENTS = 150, 200_000


def bare(task, products, seed, method):
    """A solver of SciPy's alone, which stops, and calls it a success, at a small gradient."""
    f = front_door.Counted(task.problem)
    r = scipy.optimize.minimize(f.fun, task.x0, jac=f.grad, method=method,
                                **front_door._options(method, task.dim, f))
    return front_door.end(r.x, np.linalg.norm(r.jac) <= front_door.EPSILON, f)


def inside(task, products, seed, method):
    """The same solver inside `saddlelib.certified`."""
    f = front_door.Counted(task.problem, products)
    r = saddlelib.minimize(f.fun, task.x0, method, jac=f.grad, hessp=f.hessp,
                           epsilon=front_door.EPSILON, curvature_tol=task.curvature_tol,
                           failure_prob=front_door.FAILURE_PROB, rng=seed)
    return front_door.end(r.x, r.success, f)


def authors(task, products, seed):
    """The package of PSD's authors; a dense Hessian costs its d products."""
    p = task.problem
    x, gradients, hessians = psd_peer.run_peer(psd_peer.peer(), p, task.x0, p.lipschitz_grad,
                                               p.lipschitz_hess, seed, most=MOST_GRADIENTS)
    ended = x is not None and gradients < MOST_GRADIENTS
    return front_door.End(x if ended else task.x0, ended,
                          front_door.equivalents(gradients, task.dim * hessians))


SOLVERS = {name: front_door.LARGEST_BFGS if name == "BFGS" else math.inf
           for name in ("L-BFGS-B", "BFGS", "trust-ncg", "trust-krylov")}
ARPACK, AUTHORS = "L-BFGS-B and ARPACK", "psd-optimizer"
# Name -> (run, whether it may ask for products, the largest d).
CERTIFIERS = {
    "minimize": (front_door.run_default, True, math.inf),
    "minimize, gradients only": (front_door.run_default, False, math.inf),
    "psd": (front_door.run_psd, True, math.inf),
    **{f"certified({s})": (partial(inside, method=s), True, d) for s, d in SOLVERS.items()},
    **{s: (partial(bare, method=s), True, d) for s, d in SOLVERS.items()},
    ARPACK: (partial(front_door.run_scipy, method="L-BFGS-B", look=front_door.by_arpack), True,
             math.inf),
    AUTHORS: (authors, True, LARGEST_DENSE),
}


@lru_cache(1)
def tasks():
    """The rows of front_door.py by name."""
    return {front_door.place(task): task for task in front_door.tasks()}


def certified_meant(problem, method):
    """By d; and the authors' package can ask for no other curvature than √(ρε)."""
    task = tasks()[problem]
    own = math.sqrt(task.problem.lipschitz_hess * front_door.EPSILON)
    return task.dim <= CERTIFIERS[method][2] and (
        method != AUTHORS or math.isclose(task.curvature_tol, own))


def certified_cell(problem, start, method, seed, rng):
    """One run from a start until a point is certified, held against the exact Hessian."""
    task, (run, products, _) = tasks()[problem], CERTIFIERS[method]
    if not certified_meant(problem, method):
        return NOT_MEANT
    if start == "normal":
        task = replace(task, x0=task.x0 + NORMAL * rng.standard_normal(task.dim))
    began = time.process_time()
    with silent():
        ended = run(task, products, seed)
        took = time.process_time() - began
        right = front_door.is_right(task, ended.x)
    return {"applies": True, "cost": ended.cost, "says": ended.certified, "right": right,
            "took": took}


def certified_kept(table):
    """Medians over the seeds; a run that ends without a success, or a wrong one, is infinite."""
    fresh = {f"{p.name}, d = {p.dim}" for p in unseen.problems()}
    for (problem, start, method), rows in points(table, "problem", "start", "method"):
        arrived = [bool(r["says"] and r["right"]) for r in rows]
        yield {"problem": problem, "unseen": problem in fresh, "start": start, "method": method,
               "work": median(r["cost"] if ok else math.inf
                              for r, ok in zip(rows, arrived, strict=True)),
               "right": sum(arrived), "runs": len(rows),
               "wrong": sum(bool(r["says"] and not r["right"]) for r in rows),
               "ms": round(1e3 * median(r["took"] for r in rows), 2)}


def certified():
    """Everybody on the 26 problems of front_door.py, from the saddle and from beside it."""
    def method(name):
        ours = name.split("(")[0].split(",")[0] in ("minimize", "psd", "certified")
        told = {"psd": "ℓ, ρ", AUTHORS: "ℓ, ρ", ARPACK: "ρ"}.get(name, "")
        return Method(name, ours, told, AUTHORS if name == AUTHORS else "")

    return Suite("certified", "gradients + 2 · products + values / 2", certified_cell,
                 {"problem": list(tasks()), "start": ["saddle", "normal"]},
                 tuple(map(method, CERTIFIERS)), certified_kept, certified_meant, seeds=5,
                 share=("problem", "start", "seed"),
                 limits=f"BFGS runs up to d = {front_door.LARGEST_BFGS}, {AUTHORS} up to d = "
                        f"{LARGEST_DENSE}")


# Work down a ravine ------------------------------------------------------------------------------

INSTANCES, BUDGET = 2, unseen_ravines.BUDGET
DESCENTS = {  # name -> (name in unseen_ravines.py, whether it is ours, what it is told)
    "order-aware": ("**order-aware**", True, "f*"),
    "order-aware, f* not told": ("order-aware, f* unknown", True, ""),
    "safe GDPolyak": ("safe GDPolyak", True, "f*, η"),
    "GDPolyak": ("GDPolyak", False, "f*, η, K"),
    "L-BFGS": (unseen_ravines.PEER, False, ""),
    "trust-ncg": ("trust-ncg", False, ""),
    "Barzilai-Borwein": ("Barzilai-Borwein", False, "η"),
    "ScaledGD": ("ScaledGD", False, "the factor"),
    "PrecGD": ("PrecGD", False, "f*, the factor"),
}

OF_FACTORS, FACTORED = ("ScaledGD", "PrecGD"), ("factorization", "sensing")


@lru_cache(1)
def ravines_by_name():
    """The rows of unseen_ravines.py by name."""
    return {row.name: row for row in unseen_ravines.rows()}


@lru_cache(2)
def _instance(problem, seed):
    return ravines_by_name()[problem].instance(seed)


def ravines_meant(problem, method):
    """What works on a factor needs one."""
    return method not in OF_FACTORS or ravines_by_name()[problem].kind in FACTORED


def ravines_cell(problem, method, seed, rng):
    """One run down the ravine of an instance, whose number is the seed."""
    if not ravines_meant(problem, method):
        return NOT_MEANT
    instance = _instance(problem, seed)
    run = unseen_ravines.methods(instance)[DESCENTS[method][0]]
    began = time.process_time()
    with silent():
        (to12, to20, _), _ = count(run, instance.problem, instance.x0, BUDGET, to_last=MARKS[1])
    return {"applies": True, "to12": to12, "to20": to20, "took": time.process_time() - began}


def ravines_kept(table):
    """Medians over the instances; what is not reached within the budget is infinite."""
    for (problem, method), rows in points(table, "problem", "method"):
        yield {"problem": problem, "kind": ravines_by_name()[problem].kind, "method": method,
               "to12": median(r["to12"] for r in rows), "to20": median(r["to20"] for r in rows),
               "right": sum(bool(r["to20"] < math.inf) for r in rows), "runs": len(rows),
               "ms": round(1e3 * median(r["took"] for r in rows), 2)}


def ravines():
    """Everybody down all ravines of unseen_ravines.py, which nobody had looked at."""
    return Suite("ravines", "calls of f and ∇f at one point", ravines_cell,
                 {"problem": list(ravines_by_name())},
                 tuple(Method(name, ours, told) for name, (_, ours, told) in DESCENTS.items()),
                 ravines_kept, ravines_meant, seeds=INSTANCES, share=("problem", "seed"),
                 limits=f"at most {BUDGET:,} calls")


# Who reports success, and is wrong ---------------------------------------------------------------

@lru_cache(1)
def solvers():
    """The methods of honesty.py by name; the default of the library is called minimize."""
    ours = honesty.our_methods()
    ours["minimize"] = ours.pop("saddlelib")
    return honesty.scipy_methods() | ours


def honesty_meant(problem, method):
    """What has to be told constants sits out where nobody knows any."""
    return method not in ("gd", "pgd", "psd") or informed(CASES[problem]) is not None


def honesty_cell(problem, method, rng):
    """What one method says on one case, and whether that is so."""
    if not honesty_meant(problem, method):
        return NOT_MEANT | {"outcome": ""}
    with silent():
        outcome = honesty.outcomes([CASES[problem]], {method: solvers()[method]})[problem][method]
    return {"applies": True, "outcome": outcome}


def honesty_kept(table):
    """As it is: nothing is random here."""
    for (problem, method), (row,) in points(table, "problem", "method"):
        yield {"problem": problem, "method": method, "outcome": row["outcome"].item()}


def honest():
    """SciPy's solvers and ours on the cases of cases.py."""
    ours = honesty.our_methods()
    told = {name: "ℓ, ρ" for name in ours if name != "saddlelib"}
    return Suite("honesty", "a case, and what a method says of it", honesty_cell,
                 {"problem": list(CASES)},
                 tuple(Method(name, name in ours or name == "minimize", told.get(name, ""))
                       for name in solvers()), honesty_kept, honesty_meant, share=("problem",))
