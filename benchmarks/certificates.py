"""What a certificate costs, what it says without products, and whether errors can fool it.

    python benchmarks/certificates.py                 all tables
    python benchmarks/certificates.py --epsilon 1e-5  the same question, asked more closely
    python benchmarks/certificates.py --quick         small problems, one seed, few seconds

The problems are those of psd_scipy.py and those of outside.py. README.md says what the
columns mean.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

import numpy as np
import outside
import psd_scipy
import scipy.optimize
import scipy.sparse.linalg
from _measure import median, short, table, versions
from scipy.linalg import eigvalsh_tridiagonal

from saddlelib import Status, Verdict, certify, minimize
from saddlelib.curvature import lanczos_error, start_overlap
from saddlelib.perturbation import uniform_sphere
from saddlelib.problems import MatrixFactorization, Octopus

FAILURE_PROB, RESOLUTION = 1e-4, 0.05
UNIT = np.finfo(float).eps / 2
DENSE = 600  # largest d whose Hessian is assembled


# Products that a certificate needs

def lanczos(product, dim, rng):
    """Lanczos with full reorthogonalization: α_k, β_k and the largest ‖Hq‖ so far, step by step."""
    basis, largest = np.empty((min(dim, 32), dim)), 0.0
    basis[0] = uniform_sphere(rng, dim)
    for k in range(1, dim + 1):
        w = product(basis[k - 1])
        largest = max(largest, float(np.linalg.norm(w)))
        alpha = float(w @ basis[k - 1])
        for _ in range(2):
            w = w - basis[:k].T @ (basis[:k] @ w)
        beta = float(np.linalg.norm(w))
        yield alpha, beta, largest
        if k == len(basis):
            basis = np.concatenate([basis, np.empty((min(k, dim - k), dim))])
        if k < dim:
            basis[k] = w / beta


def before(coefficients, dim, tol, failure_prob=FAILURE_PROB, maxiter=1000):
    """Steps and whether it passes, by the bound on the spread that the library began with.

    λ_min ≥ θ − min{ε_k (θ_max − θ)/(1 − 2ε_k), β_k/√t} − 3√k e, with ε_k = ``lanczos_error(k, t)``
    and e = 16 units of rounding of the largest product. Either end of the spectrum gets half of δ:
    t = ``start_overlap(d, δ/2)``. It looks every tenth of the steps, and stops where it knows.
    """
    overlap, maxiter = start_overlap(dim, failure_prob / 2), min(dim, maxiter)
    alphas, betas, lower, next_look = [], [], -math.inf, 1
    for k, (alpha, beta, largest) in enumerate(coefficients, 1):
        alphas.append(alpha)
        betas.append(beta)
        one = 16 * UNIT * largest
        error = 3 * math.sqrt(k) * one
        last = k == maxiter or beta <= max(one, 1e-14 * largest)
        if not (last or k >= next_look):
            continue
        next_look = max(k + 1, int(1.1 * k))
        ritz = eigvalsh_tridiagonal(alphas, betas[:-1])
        relative = lanczos_error(k, overlap)
        gap = 0.0 if k == dim else beta / math.sqrt(overlap)
        if relative < 0.5:
            gap = min(gap, relative * (ritz[-1] - ritz[0]) / (1 - 2 * relative))
        lower = max(lower, ritz[0] - gap - error)
        if lower >= -tol or ritz[0] + error < -tol or last or gap <= RESOLUTION * tol:
            break
    return k, bool(lower >= -tol and ritz[0] + error >= -tol)


def tolerance(problem, epsilon):
    """√(ρε)."""
    return math.sqrt(problem.lipschitz_hess * epsilon)


def minimizer(problem, epsilon):
    """Where a run ends that has products, polished by SciPy until ‖∇f‖₂ ≤ 10⁻⁶."""
    rough = minimized(problem, 0, epsilon).x
    return scipy.optimize.minimize(problem.fun, rough, jac=problem.grad, hessp=problem.hvp,
                                   method="trust-krylov", options=dict(gtol=1e-6, maxiter=500)).x


@dataclass(frozen=True)
class Needed:
    """Products of one certificate by either rule, and whether it passes."""

    before: int
    passed_before: bool
    now: int
    passed_now: bool


def needed(problem, x, seed, epsilon):
    """Both certificates at x from the same start of Lanczos."""
    tol = tolerance(problem, epsilon)
    k, passed = before(lanczos(lambda v: problem.hvp(x, v), x.size, np.random.default_rng(seed)),
                       x.size, tol)
    now = certify(problem.fun, x, jac=problem.grad, hessp=problem.hvp, epsilon=epsilon,
                  curvature_tol=tol, failure_prob=FAILURE_PROB, resolution=RESOLUTION, rng=seed)
    return Needed(k, passed, now.iterations, now.passed)


NEEDED = ["problem", "d", "before", "now", "before / now", "not passed: before", "now"]


def needed_row(problem, seeds, epsilon):
    """A row of strings, and the ratio."""
    x = minimizer(problem, epsilon)
    found = [needed(problem, x, seed, epsilon) for seed in range(seeds)]
    ratio = median(f.before / f.now for f in found)
    return [label(problem), str(problem.dim), short(median(f.before for f in found)),
            short(median(f.now for f in found)), short(ratio),
            str(sum(not f.passed_before for f in found)),
            str(sum(not f.passed_now for f in found))], ratio


def label(problem):
    """The name, with what tells problems of one kind apart."""
    if isinstance(problem, MatrixFactorization):
        return f"{problem.name} {problem.n}×{problem.rank}"
    return f"{problem.name}, L = {problem.L:g}" if isinstance(problem, Octopus) else problem.name


def report_needed(problems, seeds, epsilon):
    """The table of products, the geometric mean of the ratios and the least of them."""
    rows, ratios = zip(*(needed_row(p, seeds, epsilon) for p in problems), strict=True)
    least = min(range(len(ratios)), key=ratios.__getitem__)
    return (f"{table(NEEDED, rows)}\n\nbefore / now: geometric mean "
            f"{short(math.exp(np.log(ratios).mean()))} over {len(ratios)} problems, least "
            f"{short(ratios[least])} ({rows[least][0]}, d = {rows[least][1]}). Not passed: "
            f"{sum(int(r[5]) for r in rows)} before, {sum(int(r[6]) for r in rows)} now, of "
            f"{seeds * len(rows)}.")


# Runs that have gradients only

@dataclass(frozen=True)
class Run:
    """How a run from the start of a problem ended, and what it cost."""

    verdict: str  # "certified", "wrong", or the name of the status
    njev: int
    nhvp: int


def minimized(problem, seed, epsilon, products=True):
    """The practical PSD with informed ℓ and ρ, with exact products or with gradients only."""
    return minimize(problem.fun, start(problem), "psd", jac=problem.grad, epsilon=epsilon,
                    hessp=problem.hvp if products else None, failure_prob=FAILURE_PROB, rng=seed,
                    lipschitz_grad=problem.lipschitz_grad, lipschitz_hess=problem.lipschitz_hess,
                    maxiter=20_000)


def start(problem):
    """The start it states, or the saddle at 0."""
    return getattr(problem, "x0", np.zeros(problem.dim))


def run(problem, seed, epsilon, products):
    """The run with its verdict held against the exact Hessian."""
    r = minimized(problem, seed, epsilon, products)
    if not r.success:
        return Run(Status(r.status).name, r.njev, r.nhvp)
    return Run("certified" if is_sosp(problem, r.x, epsilon) else "wrong", r.njev, r.nhvp)


def is_sosp(problem, x, epsilon):
    """Whether x is one, by the exact Hessian and up to rounding."""
    small = np.linalg.norm(problem.grad(x)) <= epsilon * (1 + 1e-9)
    least = -tolerance(problem, epsilon) - 1e-9 * problem.lipschitz_grad
    return bool(small and min_eig(problem, x) >= least)


def min_eig(problem, x, dense=None):
    """λ_min of the exact Hessian, from all of it, or by ARPACK where d > ``dense``, 600 if None."""
    if x.size <= (DENSE if dense is None else dense):
        return float(np.linalg.eigvalsh(problem.hess(x))[0])
    h = scipy.sparse.linalg.LinearOperator((x.size, x.size), dtype=float,
                                           matvec=lambda v: problem.hvp(x, v.ravel()))
    return float(scipy.sparse.linalg.eigsh(h, k=1, which="SA", tol=1e-6, ncv=60,
                                           return_eigenvectors=False,
                                           v0=np.random.default_rng(0).standard_normal(x.size))[0])


RUNS = ["problem", "d", "ℓ, ρ", "with products: certified", "cost", "gradients only: certified",
        "undecided", "wrong", "cost"]


def runs_row(problem, seeds, epsilon):
    """A row of strings, and the verdicts of all runs with products and without."""
    exact, plain = ([run(problem, seed, epsilon, products) for seed in range(seeds)]
                    for products in (True, False))
    verdicts = [[r.verdict for r in runs] for runs in (exact, plain)]
    ended = sorted({v for v in verdicts[1] if v not in ("certified", "wrong")})
    undecided = f"{sum(map(verdicts[1].count, ended))} ({', '.join(ended)})" if ended else "0"
    return [label(problem), str(problem.dim),
            f"{problem.lipschitz_grad:.2g}, {problem.lipschitz_hess:.2g}",
            f"{verdicts[0].count('certified')}/{seeds}",
            f"{short(median(r.njev for r in exact))} + 2·{short(median(r.nhvp for r in exact))}",
            f"{verdicts[1].count('certified')}/{seeds}", undecided,
            str(verdicts[1].count("wrong")), short(median(r.njev for r in plain))], verdicts


def report_runs(problems, seeds, epsilon):
    """The table of runs, and the totals with products and without."""
    rows, verdicts = zip(*(runs_row(p, seeds, epsilon) for p in problems), strict=True)
    lines = [table(RUNS, rows), ""]
    for name, side in (("With products", 0), ("Gradients only", 1)):
        ended = [v for pair in verdicts for v in pair[side]]
        sure, wrong = ended.count("certified"), ended.count("wrong")
        lines.append(f"{name}: {sure} of {len(ended)} certified, {len(ended) - sure - wrong} "
                     f"undecided, {wrong} wrong.")
    return "\n".join(lines)


# Errors that an adversary chooses

TOL, DIM, RISK = 0.1, 40, 0.1
KINDS = ("none", "constant", "alternating", "hiding", "disguising", "growing")
SIZES = (1e-4, 1e-3, 1e-2)


def adversary(eigenvalues, kind, size, rng):
    """v ↦ Hv + error for a diagonal H, with ‖error‖ ≤ ``size`` for unit v.

    A constant error; one that changes its sign every time; one that pushes the first eigenvalue up
    with all its size; one that makes it look like 0.5 as far as ``size`` goes, which is all the way
    for a v that hardly sees it; or random ones that grow from product to product up to ``size``.
    """
    calls, fixed = 0, size * uniform_sphere(rng, eigenvalues.size)

    def product(_, v):
        nonlocal calls
        calls += 1
        error = np.zeros_like(v)
        if kind in ("constant", "alternating"):
            error = fixed if kind == "constant" or calls % 2 else -fixed
        elif kind == "hiding":
            error[0] = math.copysign(size, v[0])
        elif kind == "disguising":
            error[0] = np.clip((0.5 - eigenvalues[0]) * v[0], -size, size)
        elif kind == "growing":
            error = uniform_sphere(rng, v.size, size * min(1.0, calls / 20))
        return eigenvalues * v + error

    return product


def passes(least, kind, size, repeats):
    """How many of ``repeats`` certificates pass where λ_min = ``least``, and how many reject."""
    eigenvalues, zero = np.append(least, np.linspace(0, 1, DIM - 1)), np.zeros(DIM)
    verdicts = []
    for seed in range(repeats):
        product = adversary(eigenvalues, kind, size, np.random.default_rng([seed, 1]))
        verdicts.append(certify(lambda x: 0.5 * x @ (eigenvalues * x), zero,
                                jac=lambda x: eigenvalues * x, hessp=product, epsilon=TOL,
                                curvature_tol=TOL, failure_prob=RISK, hvp_error=size,
                                resolution=1e-6, rng=seed).verdict)
    return verdicts.count(Verdict.SOSP), verdicts.count(Verdict.NEGATIVE_CURVATURE)


ERRORS = ["error", "size / γ", "passes at −1.02 γ", "rejects", "passes at −0.5 γ", "passes at 0"]


def report_errors(repeats):
    """The table of false passes, with those that would be right as a control."""
    rows = []
    for kind in KINDS:
        for relative in SIZES if kind != "none" else (0.0,):
            false, rejected = passes(-1.02 * TOL, kind, relative * TOL, repeats)
            right = [passes(-part * TOL, kind, relative * TOL, repeats)[0] for part in (0.5, 0.0)]
            rows.append([kind, f"{relative:g}", str(false), str(rejected), *map(str, right)])
    spread = (RISK * (1 - RISK) * repeats) ** 0.5
    return (f"{table(ERRORS, rows)}\n\nOf {repeats} each, δ = {RISK:g}: at most "
            f"{short(RISK * repeats)} false passes expected, give or take {spread:.0f}.")


def main(quick=False, epsilon=1e-3, seeds=5, repeats=500):
    """Print all tables."""
    ours, theirs = list(psd_scipy.problems()), outside.problems()
    if quick:
        seeds, repeats = 1, 6
        ours, theirs = ([p for p in ps if p.dim <= 40] for ps in (ours, theirs))
    # With few coordinates a certificate takes d products by any rule.
    tried = ours + [p for p in theirs if p.dim >= 20]
    print(f"{versions()}; ε = {epsilon:g}, {seeds} seeds\n\n"
          f"{report_needed(tried, seeds, epsilon)}\n\n"
          f"{report_runs([p for p in ours if p.dim <= 1500], seeds, epsilon)}\n\n"
          f"{report_runs(theirs, seeds, epsilon)}\n\n{report_errors(repeats)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--epsilon", type=float, default=1e-3)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=500)
    main(**vars(parser.parse_args()))
