"""Many runs at once against a loop over single runs: times of both, in one process, interleaved.

    python benchmarks/ensemble.py [--rows 10000] [--dim 100] [--loop 10] [--repeat 3]

The loop is timed over fewer runs; both columns are processor time per run, medians of the
repetitions. Every repetition also compares the results.
"""

import argparse
import statistics
import time

import numpy as np

from saddlelib import minimize
from saddlelib.ensemble import run
from saddlelib.methods import PGD, PSD
from saddlelib.problems import QuarticSaddle


def cases(problem, epsilon=1e-3):
    """Name, the method, what `minimize` calls it, most steps, and the end of a run if any."""
    ell, rho, dim = problem.lipschitz_grad, problem.lipschitz_hess, problem.dim
    numbers = dict(lipschitz_grad=ell, lipschitz_hess=rho, epsilon=epsilon, dim=dim)
    edge = problem.gamma**0.5 / 2
    practical = PGD.practical(step_size=1 / ell, epsilon=epsilon, dim=dim, lipschitz_hess=rho)
    published = PSD.published(failure_prob=1e-4, delta_f=1.0, **numbers)
    paper = PGD.jin2017(failure_prob=1e-4, delta_f=1.0, c=1.0, **numbers)
    yield "PGD, practical, until |x1| is large", practical, dict(method="pgd"), 5000, edge
    yield "PGD, practical, until it stops", practical, dict(method="pgd"), 5000, None
    yield ("PGD, constants of 2017, 2000 steps", paper,
           dict(method="pgd", rule="jin2017", delta_f=1.0, c=1.0), 2000, None)
    yield ("PSD, as published, 2000 steps", published,
           dict(method="psd", rule="published", delta_f=1.0), 2000, None)


def loop(problem, options, maxiter, edge, seeds, epsilon=1e-3):
    """Single runs, one after the other."""
    def leave(xk):
        if abs(xk[0]) >= edge:
            raise StopIteration

    return [minimize(problem, np.zeros(problem.dim), epsilon=epsilon, rng=seed, maxiter=maxiter,
                     certificate=False, callback=None if edge is None else leave, **options)
            for seed in seeds]


def measure(problem, method, options, maxiter, edge, rows, singles, repeat):
    """Median seconds per run of the loop and of the ensemble, after comparing their results."""
    until = None if edge is None else lambda x: np.abs(x[:, 0]) >= edge
    alone, together = [], []
    for _ in range(repeat):
        began = time.process_time()
        each = loop(problem, options, maxiter, edge, range(singles))
        middle = time.process_time()
        runs = run(problem, np.zeros(problem.dim), method, seeds=range(rows), maxiter=maxiter,
                   until=until)
        alone.append((middle - began) / singles)
        together.append((time.process_time() - middle) / rows)
        for i, one in enumerate(each):
            assert np.abs(one.x - runs.x[i]).max() <= 1e-12
            assert (one.nit, one.njev, one.nfev) == (runs.nit[i], runs.njev[i], runs.nfev[i])
    return statistics.median(alone), statistics.median(together), runs.nit.mean()


def main():
    """Print one line for each case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("rows", 10_000), ("dim", 100), ("loop", 10), ("repeat", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    sizes = parser.parse_args()
    problem = QuarticSaddle.spread(sizes.dim)
    print(f"{sizes.rows} runs from the saddle of {problem.name}, d = {sizes.dim}")
    for name, method, options, maxiter, edge in cases(problem):
        alone, together, steps = measure(problem, method, options, maxiter, edge, sizes.rows,
                                         min(sizes.loop, sizes.rows), sizes.repeat)
        print(f"{name:38s} {steps:6.0f} steps   loop {1e3 * alone:8.3f} ms a run   "
              f"together {1e3 * together:7.3f} ms   ratio {alone / together:5.1f}")


if __name__ == "__main__":
    main()
