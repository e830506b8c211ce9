"""Who reports success where, and who is right: the solvers of SciPy and ours on `cases.py`.

    python benchmarks/honesty.py               writes honesty.md, and honesty.json for chapter 1
    python benchmarks/honesty.py --only zero   prints the cases whose name contains "zero"

After the benchmark `gmres_fails_safely` of lineax: it is no shame to find no answer, but to say
that one was found. Every method gets the same start, its own defaults with the tolerance 10⁻³, and
dense differences where it asks for more than a gradient. README.md says what the words mean.
"""

from __future__ import annotations

import argparse
import functools
import json
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import scipy.optimize
from _measure import table, versions
from cases import CASES, EPSILON, OUTCOMES, dense_hessian, informed, judge

import saddlelib

RECORD = Path(__file__).with_name("honesty.json")
PAGE = RECORD.with_suffix(".md")
MARKS = {"right": "✓", "wrong": "**✗**", "flat": "~", "honest": "–", "missed": "m", "": ""}
# Most steps of a run of ours: what takes longer did not find it.
_MAXITER = 20_000


def scipy_methods():
    """By name: run(case) -> (x, whether it says success)."""
    tolerance = {name: dict(gtol=EPSILON) for name in (
        "CG", "BFGS", "L-BFGS-B", "TNC", "trust-ncg", "trust-krylov", "trust-exact",
        "trust-constr", "dogleg")}
    return {name: functools.partial(_by_scipy, name, tolerance.get(name, {})) for name in (
        "CG", "BFGS", "L-BFGS-B", "TNC", "SLSQP", "Newton-CG", "trust-ncg", "trust-krylov",
        "trust-exact", "dogleg", "trust-constr")}


def _by_scipy(name, options, case):
    more = {}
    if name in ("Newton-CG", "trust-ncg", "trust-krylov", "trust-exact", "dogleg"):
        more["hess"] = functools.partial(dense_hessian, case.grad)
    try:
        run = scipy.optimize.minimize(case.fun, case.x0, jac=case.grad, method=name,
                                      options=options, **more)
    except Exception:
        return case.x0, False  # an error is no success
    return run.x, bool(run.success)


def our_methods():
    """The same for ours; the default, which asks for nothing, where there is one."""
    found = {name: functools.partial(_by_ours, name) for name in ("gd", "pgd", "psd")}
    if hasattr(saddlelib, "certified"):
        found["saddlelib"] = _by_default
    return found


def _by_ours(name, case):
    """With the constants of someone who knows the problem; None where nobody does."""
    known = informed(case)
    if known is None:
        return None
    lipschitz_grad, lipschitz_hess = known
    run = saddlelib.minimize(case.fun, case.x0, name, jac=case.grad, epsilon=EPSILON,
                             lipschitz_grad=lipschitz_grad, lipschitz_hess=lipschitz_hess,
                             maxiter=_MAXITER, rng=0)
    return run.x, bool(run.success)


def _by_default(case):
    run = saddlelib.minimize(case.fun, case.x0, jac=case.grad, maxiter=_MAXITER, rng=0)
    return run.x, bool(run.success)


def outcomes(cases, methods):
    """{case: {method: one of `OUTCOMES`}}; "" where a method was not run."""
    found = {}
    for case in cases:
        found[case.name] = {}
        for name, run in methods.items():
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                ended = run(case)
            found[case.name][name] = "" if ended is None else judge(case, *ended)
    return found


def by_method(found):
    """Rows (method, runs, and how many of each of `OUTCOMES`), in the order of the record."""
    methods = next(iter(found.values()))
    rows = []
    for name in methods:
        counted = Counter(of_case[name] for of_case in found.values())
        runs = sum(counted[kind] for kind in OUTCOMES)
        rows.append((name, runs, *(counted[kind] for kind in OUTCOMES)))
    return rows


def tables(found):
    """Both tables in Markdown: by method and by case."""
    methods = list(next(iter(found.values())))
    one = table(["method", "cases", *OUTCOMES], [list(map(str, row)) for row in by_method(found)])
    rows = [[name, CASES[name].right, *(MARKS[of_case[method]] for method in methods)]
            for name, of_case in found.items()]
    return one, table(["case", "right answer", *methods], rows)


def page(record):
    """The record as a page in Markdown."""
    one, other = tables({name: row["outcomes"] for name, row in record["cases"].items()})
    words = [f"- {MARKS[kind]} *{kind}*: {meaning}." for kind, meaning in record["words"].items()]
    cases = [f"- *{name}*: {row['report']}" for name, row in record["cases"].items()]
    parts = ["# Who reports success where",
             "Written by `python benchmarks/honesty.py`; README.md says how to read it. "
             f"Measured with {record['measured_with']}.",
             "\n".join(words), one, other, "\n".join(cases)]
    return "\n\n".join(parts) + "\n"


def main():
    """Print the tables and keep the record."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", default="", help="cases whose name contains this")
    only = parser.parse_args().only
    chosen = [case for case in CASES.values() if only in case.name]
    found = outcomes(chosen, {**scipy_methods(), **our_methods()})
    print(*tables(found), sep="\n\n")
    if not only:
        record = dict(measured_with=versions(), words=OUTCOMES, cases={
            name: dict(report=CASES[name].report, right=CASES[name].right, outcomes=of_case)
            for name, of_case in found.items()})
        RECORD.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n")
        PAGE.write_text(page(record))


if __name__ == "__main__":
    main()
