"""What a step of PSD and PSGD costs outside episodes, against torch.optim.SGD: time and memory.

    OMP_NUM_THREADS=1 python benchmarks/optim_step.py                 all rows, a few minutes
    OMP_NUM_THREADS=1 python benchmarks/optim_step.py --sizes 100000  a few seconds

Gradients are given and large, so nothing but the step is timed and nothing is ever perturbed. The
second table counts calls of the closure on a run through a saddle. README.md says more.
"""

from __future__ import annotations

import argparse
import contextlib
import os

import torch
from _measure import in_turns, median, short, table, versions

from saddlelib.optim import PSD, PSGD

SIZES, TENSORS = (10**5, 10**6, 10**7), (1, 50, 500)
HEADER = ["parameters", "tensors", "SGD: µs", "PSD: µs", "PSD / SGD", "PSGD / SGD",
          "PSD: copies", "PSGD: copies"]
COUNTS = ["optimizer", "products by", "steps", "episodes", "checks", "products", "closure calls",
          "needed"]
EPSILON = 1e-3


def make(kind, size, tensors):
    """An optimizer with parameters and gradients of its own, ‖g‖ ≫ ε."""
    params = [torch.zeros(size // tensors, requires_grad=True) for _ in range(tensors)]
    for p in params:
        p.grad = torch.full_like(p, 1.0)
    if kind is torch.optim.SGD:
        return kind(params, lr=1e-6, foreach=True)
    return kind(params, lr=1e-6, loss=lambda: torch.zeros(()), epsilon=EPSILON)


def times(size, tensors, repeats):
    """Microseconds of processor time for one step; for each optimizer a list, in turns."""
    optimizers = {kind.__name__: make(kind, size, tensors) for kind in (torch.optim.SGD, PSD, PSGD)}
    # Whole rounds from one look at the gradient to the next: of PSGD's pairs, which are the longer.
    settings = optimizers["PSGD"].defaults
    every = settings["window"] * (settings["check_every"] + 2)
    steps = every * max(1, round(40_000 / (size + 2000 * tensors)))

    def run(optimizer, steps=steps):
        for _ in range(steps):
            optimizer.step()

    run(optimizers["PSGD"], 4 * every)  # at the start it looks more often
    found = in_turns({name: lambda seed, o=o: run(o) for name, o in optimizers.items()}, repeats)
    for name in ("PSD", "PSGD"):
        counts = optimizers[name].counts
        assert counts["episodes"] == counts["checks"] == 0 < counts["looks"]
    return {name: [1e6 * seconds / steps for _, seconds in runs] for name, runs in found.items()}


@contextlib.contextmanager
def quiet():
    """No lines from the profiler, which writes them past Python."""
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def peak_copies(kind, size, tensors):
    """Most memory that torch holds for the optimizer, in copies of the parameters.

    From its making on, over two rounds from one look at the gradient to the next.
    """
    optimizer = make(torch.optim.SGD, size, tensors)
    params = optimizer.param_groups[0]["params"]
    with quiet(), torch.autograd.profiler.profile(profile_memory=True) as profile:
        optimizer = kind(params, lr=1e-6, loss=lambda: torch.zeros(()), epsilon=EPSILON)
        for _ in range(2 * optimizer.defaults["check_every"] + 2):
            optimizer.step()
    held = peak = 0
    events = [e for e in profile.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak / sum(p.numel() * p.element_size() for p in params)


def row(size, tensors, repeats):
    """One line of the first table."""
    found = times(size, tensors, repeats)
    ratios = [median([ours / sgd for ours, sgd in zip(found[name], found["SGD"], strict=True)])
              for name in ("PSD", "PSGD")]
    return [short(size), str(tensors), short(median(found["SGD"])), short(median(found["PSD"])),
            *(f"{ratio:.2f}" for ratio in ratios),
            *(f"{peak_copies(kind, size, tensors):.3f}" for kind in (PSD, PSGD))]


def count(kind, autograd, steps=200):
    """A run from the saddle of x⁴/4 − x²/2 + y²; what it took, and what the algorithm needs."""
    z = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = kind([z], lr=0.2, epsilon=EPSILON, curvature_tol=0.1, check_every=5, rest=20,
                     **({"window": 2, "rule": "pairs"} if kind is PSGD else {"rule": "published"}))
    calls = 0

    def closure():
        nonlocal calls
        calls += 1
        optimizer.zero_grad()
        loss = z[0] ** 4 / 4 - z[0] ** 2 / 2 + z[1] ** 2
        loss.backward(retain_graph=autograd)
        return loss

    for _ in range(steps):
        optimizer.step(closure)
    c = optimizer.counts
    # A step takes one gradient, the first of an episode another at the perturbed point. A product
    # by differences takes two, and two more of each check tell how large the products are; one
    # tells whether the closure clears the gradients.
    needed = steps + c["episodes"] + c["checks"] + (
        0 if autograd else 2 * (c["hvp"] + c["checks"]))
    return {"by": c["hvp_by"], "steps": steps, "episodes": c["episodes"], "checks": c["checks"],
            "products": c["hvp"], "calls": calls, "needed": needed, "x": float(z[0].detach())}


def main():
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(1)
    every = make(PSD, 1, 1).defaults["check_every"]
    print(f"{versions()}, PyTorch {torch.__version__}, 1 thread, float32; median of "
          f"{args.repeats}; a look at the gradient every {every} steps\n")
    print(table(HEADER, [row(size, tensors, args.repeats)
                         for size in args.sizes for tensors in TENSORS]))
    print()
    found = [(kind.__name__, count(kind, autograd)) for kind in (PSD, PSGD)
             for autograd in (True, False)]
    print(table(COUNTS, [[name, c["by"], *(str(c[key]) for key in
                                           ("steps", "episodes", "checks", "products", "calls",
                                            "needed"))] for name, c in found]))


if __name__ == "__main__":
    main()
