"""PSD against SciPy's Newton methods, exactly from a saddle to a certified minimizer.

    python benchmarks/psd_scipy.py                    all rows, half a minute
    python benchmarks/psd_scipy.py --repeats 11

SciPy stops where the gradient is small; what it lacks, a certificate and a way out of a saddle, it
gets from saddlelib. README.md says what each column means.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import scipy.optimize
from _measure import equivalents, in_turns, median, short, table, versions

from saddlelib import Oracle, certify, minimize
from saddlelib.methods.psd import curvature_step
from saddlelib.problems import MatrixFactorization, Octopus, QuarticSaddle

EPSILON, FAILURE_PROB = 1e-3, 1e-4
METHODS = ("trust-ncg", "trust-krylov")
MOST_RESTARTS = 100
HEADER = ["problem", "d", "ours", *METHODS, "fewer equivalents", "fewer, values too", "less time"]


@dataclass(frozen=True)
class Cost:
    """What a run took, all counted by the oracle; ``certificate`` products are among ``nhvp``."""

    njev: int
    nhvp: int
    certificate: int
    nfev: int
    certified: bool

    @property
    def equivalents(self):
        """Gradient-equivalents, without values."""
        return equivalents(self.njev, self.nhvp)


def run_ours(problem, x0, seed):
    """One run of the practical PSD."""
    r = minimize(problem, x0, "psd", epsilon=EPSILON, failure_prob=FAILURE_PROB, rng=seed)
    return Cost(r.njev, r.nhvp, r.state.certificate_cost[2], r.nfev, r.success)


def run_scipy(method, problem, x0, seed):
    """SciPy, the certificate, an escape along the direction it found; again, until it passes.

    Certificates, their probabilities and the escape are those of `saddlelib.methods.CertifiedPSD`.
    """
    oracle, rng, x, spent = Oracle(problem), np.random.default_rng(seed), x0, 0
    certified = False
    for count in range(1, MOST_RESTARTS + 1):
        # The initial trust radius and all else are SciPy's defaults; its norm is ‖·‖₂ as well.
        r = scipy.optimize.minimize(oracle.fun, x, jac=oracle.grad, hessp=oracle.hvp, method=method,
                                    options=dict(gtol=EPSILON, maxiter=1000))
        before = oracle.nhvp
        seen = certify(oracle, r.x, epsilon=EPSILON, grad_at_x=r.jac, rng=rng,
                       failure_prob=FAILURE_PROB / (count * (count + 1)), resolution=0.5)
        spent += oracle.nhvp - before
        certified = seen.passed
        if certified or not seen.min_eig < -0.5 * seen.curvature_tol - seen.hvp_error:
            break
        step, _ = curvature_step(oracle, r.x, r.fun, r.jac, seen, problem.lipschitz_hess)
        if step is None:
            break
        x = r.x + step
    return Cost(oracle.njev, oracle.nhvp, spent, oracle.nfev, certified)


def problems():
    """Every problem of the table, each started at a saddle: x0 = 0."""
    yield from (QuarticSaddle.spread(dim) for dim in (2, 10, 100, 1000, 10_000, 100_000))
    for n, rank in ((20, 2), (100, 3), (300, 5)):
        yield MatrixFactorization.from_eigenvalues(np.linspace(1.0, 0.5, rank), n=n, rng=0)
    yield from (Octopus(dim, L=L) for L in (1.0, 1.5) for dim in (2, 4, 10, 20))


def row(problem, repeats):
    """One row of the table, as strings."""
    x0 = np.zeros(problem.dim)
    runs = {"ours": lambda seed: run_ours(problem, x0, seed)}
    for method in METHODS:
        runs[method] = lambda seed, method=method: run_scipy(method, problem, x0, seed)
    found = in_turns(runs, repeats)

    def fewer(cost):
        """Median over the seeds of the better of SciPy's two, if it is certified, over ours."""
        ratios = []
        for i, own in enumerate(found["ours"]):
            ends = [cost(*found[m][i]) for m in METHODS if found[m][i][0].certified]
            if ends and own[0].certified:
                ratios.append(min(ends) / cost(*own))
        return short(median(ratios)) if ratios else "–"

    name, size = problem.name, str(problem.dim)
    if isinstance(problem, MatrixFactorization):
        name = f"{name} {problem.n}×{problem.rank}"
    if isinstance(problem, Octopus):
        name = f"{name}, L = {problem.L:g}"
    return [name, size, *(cell(found[m]) for m in ("ours", *METHODS)),
            fewer(lambda cost, _: cost.equivalents),
            fewer(lambda cost, _: cost.equivalents + cost.nfev),
            fewer(lambda _, seconds: seconds)]


def cell(found):
    """Gradients + 2·products (of certificates) = equivalents; values; milliseconds.

    Medians over the runs that end certified.
    """
    passed = [(cost, seconds) for cost, seconds in found if cost.certified]
    if not passed:
        return "not certified"
    g, h, c, v, total = (short(median(getattr(cost, name) for cost, _ in passed)) for name in
                         ("njev", "nhvp", "certificate", "nfev", "equivalents"))
    some = "" if len(passed) == len(found) else f"; {len(passed)} of {len(found)} certified"
    return f"{g} + 2·{h} ({c}) = {total}; {v}; {short(1e3 * median(t for _, t in passed))} ms{some}"


def main(repeats=7):
    """Print the table."""
    rows = [row(problem, repeats) for problem in problems()]
    print(f"{versions()}; median of {repeats}\n\n{table(HEADER, rows)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    main(**vars(parser.parse_args()))
