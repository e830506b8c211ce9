"""PSD against its authors' package, exactly from a saddle: evaluations and time in one run.

    python benchmarks/psd_peer.py                     all rows, several minutes
    python benchmarks/psd_peer.py --dims 10 100       a quarter of a minute

The peer is installed with ``pip install --no-deps --target peer psd-optimizer==0.1.2`` and found
with ``PYTHONPATH=peer``; without it its columns stay empty. README.md says what each column means.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import logging
import tempfile

import numpy as np
from _measure import equivalents, in_turns, median, short, table, versions

from saddlelib import minimize
from saddlelib.perturbation import uniform_ball
from saddlelib.problems import CoupledQuartic, SeparableQuartic

EPSILON, PEER_FAILURE_PROB, PEER_DELTA_F = 1e-3, 0.1, 1.0  # the last two are its defaults
AUTHORS = (10.0, 0.1)  # ℓ and ρ of their experiments
HOW_TO = ("psd-optimizer is not installed, so the columns of the peer stay empty. To fill them:\n"
          "    pip install --no-deps --target peer psd-optimizer==0.1.2\n"
          "    PYTHONPATH=peer python benchmarks/psd_peer.py\n")
HEADER = ["problem", "d", "ℓ, ρ", "first hit", "ours: gradients", "/ first hit", "certificates",
          "values", "ours: equivalents", "ours: ms", "peer: gradients", "dense Hessians",
          "peer: ms", "fewer equivalents", "less time"]


def peer():
    """The function psd of the authors' package, or None."""
    # Importing it makes a folder `logs` where one stands, and takes over the root logger.
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            return importlib.import_module("psd.algorithms").psd
    except ImportError:
        return None
    finally:
        for handler in set(root.handlers) - set(before):
            handler.close()
        root.handlers[:] = before
        root.setLevel(level)


def is_sosp(problem, x, grad, epsilon, lipschitz_hess):
    """Whether x is an (ε, √(ρε))-SOSP, by the eigenvalues of the dense Hessian."""
    return (np.linalg.norm(grad) <= epsilon and
            np.linalg.eigvalsh(problem.hess(x))[0] >= -np.sqrt(lipschitz_hess * epsilon))


@np.errstate(over="ignore", invalid="ignore")  # iterates that diverge are an answer
def first_hit(problem, x0, lipschitz_grad, lipschitz_hess, epsilon, seed, most=100_000):
    """Gradient steps of 1/(2ℓ) from the published perturbation of x0 to the first SOSP.

    ``most`` if there is none by then, or if the iterates diverge.
    """
    radius = np.sqrt(epsilon / lipschitz_hess) / 8
    x = x0 + uniform_ball(np.random.default_rng(seed), x0.size, radius)
    for steps in range(most):
        grad = problem.grad(x)
        if not np.isfinite(grad).all():
            break
        if is_sosp(problem, x, grad, epsilon, lipschitz_hess):
            return steps
        x = x - grad / (2 * lipschitz_grad)
    return most


def run_ours(problem, x0, ell, rho, seed):
    """One run of the practical PSD, certified by `minimize`."""
    return minimize(problem, x0, "psd", epsilon=EPSILON, lipschitz_grad=ell, lipschitz_hess=rho,
                    rng=seed)


def run_peer(psd, problem, x0, ell, rho, seed, most=10**8):
    """(x, gradients, dense Hessians) of one run of the peer; x is None where it fails.

    ``most`` bounds its gradients; one that is at the bound has not ended.
    """
    hessians = []

    def hess(x):
        hessians.append(1)
        return problem.hess(x)

    try:
        with np.errstate(all="ignore"):
            x, gradients = psd(x0, problem.grad, hess, EPSILON, ell, rho, PEER_FAILURE_PROB,
                               PEER_DELTA_F, max_iter=most,
                               random_state=np.random.default_rng(seed))
    except np.linalg.LinAlgError:  # the eigenvalues of a Hessian that is not finite
        return None, 0, len(hessians)
    return x, gradients, len(hessians)


def row(problem, psd, ell, rho, repeats):
    """One row of the table, as strings."""
    x0 = np.zeros(problem.dim)
    hits = [first_hit(problem, x0, ell, rho, EPSILON, seed, most=20_000)
            for seed in range(repeats)]
    hit = None if max(hits) == 20_000 else median(hits)
    runs = {"ours": lambda seed: run_ours(problem, x0, ell, rho, seed)}
    if psd is not None:
        runs["peer"] = lambda seed: run_peer(psd, problem, x0, ell, rho, seed)
    found = in_turns(runs, repeats)
    ours, seconds = zip(*found["ours"], strict=True)
    if not all(is_sosp(problem, r.x, r.jac, EPSILON, rho) and r.success for r in ours):
        raise AssertionError(f"{problem}: not a second-order stationary point")
    gradients = median(r.njev for r in ours)
    costs = [equivalents(r.njev, r.nhvp) for r in ours]
    cells = [problem.name, str(problem.dim), f"{ell:.4g}, {rho:.3g}",
             "none" if hit is None else short(hit), short(gradients),
             "" if hit is None else short(gradients / hit),
             f"{short(median(r.nhvp for r in ours))} products", short(median(r.nfev for r in ours)),
             short(median(costs)), short(1e3 * median(seconds))]
    if psd is None:
        return [*cells, *["–"] * 5]
    theirs, peer_seconds = zip(*found["peer"], strict=True)
    if any(x is None for x, _, _ in theirs):
        return [*cells, "diverges", "–", short(1e3 * median(peer_seconds)), "–", "–"]
    fewer = median(g / cost for (_, g, _), cost in zip(theirs, costs, strict=True))
    less = median(b / a for a, b in zip(seconds, peer_seconds, strict=True))
    return [*cells, short(median(g for _, g, _ in theirs)), short(median(h for *_, h in theirs)),
            short(1e3 * median(peer_seconds)), short(fewer), short(less)]


def main(dims=(10, 100, 1000), repeats=3):
    """Print the table."""
    psd = peer()
    if psd is None:
        print(HOW_TO)
    rows = []
    for kind in (SeparableQuartic, CoupledQuartic):
        for dim in dims:
            problem = kind(dim)
            for ell, rho in ((problem.lipschitz_grad, problem.lipschitz_hess), AUTHORS):
                rows.append(row(problem, psd, ell, rho, repeats))
    print(f"{versions()}; median of {repeats}\n\n{table(HEADER, rows)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dims", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--repeats", type=int, default=3)
    main(**vars(parser.parse_args()))
