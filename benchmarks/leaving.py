"""The suite of `make bench` that trains: samples until an optimizer has left a saddle.

The saddles are every second one of unseen_saddles.py, in the order of that file, which nobody had
looked at while making Escape; and the seven tasks of optim_peer.py, which were there from the
beginning. Everybody has three learning rates, of which the one counts that leaves first.
"""

from __future__ import annotations

import importlib
import math
import time
from functools import lru_cache, partial

import numpy as np
import optim_peer
import torch
import unseen_saddles
from standings import median
from suites import NOT_MEANT, Method, Suite, points, silent
from unseen_saddles import bare, wrapped

from saddlelib.optim import PSGD, Escape

SAMPLES, SEEDS = unseen_saddles.SAMPLES, 3
# As in unseen_saddles.py: rates of methods that follow the gradient have its unit.
GRADIENT, ADAPTIVE = (unseen_saddles.INNERS[name][1] for name in ("SGD", "AdamW"))
MOMENTUM = [rate / 10 for rate in GRADIENT]
LEAVES = 0.1  # the share of the way from where the bare optimizers end to the least known value


class Both:
    """Several optimizers that step one after the other."""

    def __init__(self, *optimizers):
        self.optimizers = optimizers

    def zero_grad(self):
        """Clear the gradients of all."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def step(self):
        """A step of each."""
        for optimizer in self.optimizers:
            optimizer.step()


def muon(wrap):
    """Muon on matrices and AdamW beside it, as in optim_peer.py."""
    def make(params, lr, loss):
        found = optim_peer.muon([{"params": params, "lr": lr}], loss, wrap)
        return Both(*found) if isinstance(found, tuple) else found
    return make


def psgd(params, lr, loss):
    """The perturbed SGD of the library."""
    return PSGD(params, lr=lr, loss=loss)


def authors(number):
    """PSDOptimizer (0) or PerturbedAdam (1) of the authors' package."""
    return lambda params, lr, loss: optim_peer.peer()[number](params, lr=lr)


def published(name, **settings):
    """An optimizer of the package pytorch_optimizer."""
    def make(params, lr, loss):
        kind = getattr(importlib.import_module("pytorch_optimizer"), name)
        return kind(params, lr=lr, **settings)
    return make


class NoisySGD(torch.optim.Optimizer):
    """`optax.noisy_sgd` at its defaults: noise on every gradient, less from step to step."""

    def __init__(self, params, lr, seed):
        super().__init__(params, dict(lr=lr))
        self.seed, self.noise = seed, None

    @torch.no_grad()
    def step(self):
        """One update, in jax."""
        params = [p for group in self.param_groups for p in group["params"]]
        grads = np.concatenate([
            (torch.zeros_like(p) if p.grad is None else p.grad).float().numpy().ravel()
            for p in params])
        if self.noise is None:
            self.noise = _rule(self.seed).init(grads)
        change, self.noise = _update()(grads, self.noise)
        change = torch.from_numpy(np.array(change)) * self.param_groups[0]["lr"]
        for p, part in zip(params, change.split([p.numel() for p in params]), strict=True):
            p += part.view_as(p).to(p.dtype)


def _rule(seed):
    """The rate comes later, so that one compiled update is for all."""
    return importlib.import_module("optax").noisy_sgd(1.0, key=seed)


@lru_cache(1)
def _update():
    return importlib.import_module("jax").jit(_rule(0).update)


def noisy(params, lr, loss):
    """optax's noisy_sgd; the noise is that of torch's present seed."""
    return NoisySGD(params, lr, torch.initial_seed())


SGD, ADAMW = torch.optim.SGD, torch.optim.AdamW
HEAVY = partial(SGD, momentum=0.9)
# Name -> (make, rates, closure, ours, package).
TRAINERS = {
    "SGD": (bare(SGD), GRADIENT, False, False, ""),
    "momentum": (bare(HEAVY), MOMENTUM, False, False, ""),
    "AdamW": (bare(ADAMW), ADAPTIVE, False, False, ""),
    "Muon": (muon(None), ADAPTIVE, False, False, ""),
    "Escape(SGD)": (wrapped(SGD), GRADIENT, False, True, ""),
    "Escape(momentum)": (wrapped(HEAVY), MOMENTUM, False, True, ""),
    "Escape(AdamW)": (wrapped(ADAMW), ADAPTIVE, False, True, ""),
    "Escape(Muon)": (muon(Escape), ADAPTIVE, False, True, ""),
    "PSGD": (psgd, GRADIENT, False, True, ""),
    "PSDOptimizer": (authors(0), GRADIENT, True, False, "psd-optimizer"),
    "PerturbedAdam": (authors(1), ADAPTIVE, False, False, "psd-optimizer"),
    "noisy_sgd": (noisy, GRADIENT, False, False, "optax"),
    "Adai": (published("Adai"), GRADIENT, False, False, "pytorch-optimizer"),
    "PNM": (published("PNM"), GRADIENT, False, False, "pytorch-optimizer"),
    "SAM(SGD)": (published("SAM", base_optimizer=SGD), GRADIENT, "again", False,
                 "pytorch-optimizer"),
}
PLAIN = ("SGD", "AdamW")  # whose ends say where the line is


def saddles() -> dict:
    """Name -> (maker of the problem, whether it is unseen)."""
    names = list(unseen_saddles.PROBLEMS)
    fresh = [name for name in names if name not in (
        "squares", "indefinite", "indefinite-noise", "phase-noise", "quartic", "constant")]
    return ({name: (unseen_saddles.PROBLEMS[name], True) for name in fresh[::2]}
            | {f"task: {name}": (partial(of_task, name), False) for name in optim_peer.TASKS})


def of_task(name):
    """A task of optim_peer.py as a problem, which starts at its saddle."""
    task = optim_peer.TASKS[name]()
    return unseen_saddles.Problem(task.name, task.n, lambda seed: task.start(seed, 0.0), task.loss,
                                  rate=optim_peer.TAME.get(name, 1.0))


@lru_cache(2)
def _problem(name):
    return saddles()[name][0]()


def saddles_meant(problem, method):
    """Muon needs a matrix."""
    return "Muon" not in method or any(p.ndim == 2 for p in _problem(problem).start(0))


def saddles_cell(problem, method, rate, seed, rng):
    """One run with the rate of a number; the losses after its steps are told as words."""
    torch.set_num_threads(1)
    found, (make, rates, closure, *_) = _problem(problem), TRAINERS[method]
    if not saddles_meant(problem, method):
        return NOT_MEANT
    unit = found.rate if rates is not ADAPTIVE else 1.0
    began = time.process_time()
    with silent():
        trace, *_ = unseen_saddles.run(found, make, unit * rates[rate], seed, SAMPLES, closure)
    return {"applies": True, "took": time.process_time() - began, "lr": unit * rates[rate],
            "trace": " ".join(f"{int(n)}:{loss:.9g}" for n, loss in trace)}


def read(trace):
    """(samples, loss) after each step, of the words of a cell."""
    return np.array([[float(part) for part in pair.split(":")] for pair in trace.split()])


def saddles_kept(table):
    """Medians over the seeds with the rate that leaves first; the lines come from `PLAIN`."""
    runs, lines = {}, {}
    for (problem, method), rows in points(table, "problem", "method"):
        for row in rows:
            runs.setdefault((problem, method), {}).setdefault(row["rate"].item(), []).append(
                (read(row["trace"].item()), float(row["took"]), row["lr"].item()))
    for problem in dict.fromkeys(problem for problem, _ in runs):
        least = min(_end(of) for name in PLAIN for of in runs[problem, name].values())
        lines[problem] = least - LEAVES * (least - _problem(problem).best)
    for (problem, method), by_rate in runs.items():
        gone = {rate: [unseen_saddles.leaves(trace, lines[problem]) for trace, *_ in of]
                for rate, of in by_rate.items()}
        rate = min(by_rate, key=lambda rate: (median(gone[rate]), _end(by_rate[rate]), rate))
        yield {"problem": problem, "name": _problem(problem).name, "unseen": saddles()[problem][1],
               "method": method, "lr": by_rate[rate][0][2], "samples": median(gone[rate]),
               "right": sum(n < math.inf for n in gone[rate]), "runs": len(gone[rate]),
               "loss": _end(by_rate[rate]), "line": lines[problem],
               "ms": round(1e3 * median(took for _, took, _ in by_rate[rate]), 2)}


def _end(runs):
    """The median of the last loss."""
    return median(trace[-1, 1] for trace, *_ in runs)


def leaving():
    """Optimizers of torch bare and inside Escape, ours, and what other packages have."""
    return Suite("saddles", "samples, each a loss with its gradient or without", saddles_cell,
                 {"problem": list(saddles()), "rate": [0, 1, 2]},
                 tuple(Method(name, ours, "", package)
                       for name, (*_, ours, package) in TRAINERS.items()),
                 saddles_kept, saddles_meant, seeds=SEEDS, share=("problem", "seed"),
                 limits=f"{SAMPLES:,} samples a run, {len(GRADIENT)} rates each")
