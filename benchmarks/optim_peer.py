"""Who leaves a saddle when: optimizers of torch bare and wrapped in Escape, ours, and the peer's.

    python benchmarks/optim_peer.py                          all tables, a quarter of an hour
    python benchmarks/optim_peer.py --parts leave --tasks linear-2 tanh --starts 0
    python benchmarks/optim_peer.py --parts step look train  what the wrapper costs, two minutes

The peer is installed with ``pip install --no-deps --target peer psd-optimizer==0.1.2`` and found
with ``PYTHONPATH=peer``; without it its rows stay away. README.md says what each column means.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import time
import warnings
from functools import partial

import numpy as np
import torch
from _measure import in_turns, median, short, table, versions
from sklearn.datasets import load_digits

from saddlelib import tasks
from saddlelib.optim import PSD, PSGD, Escape

TASKS = {
    "linear-2": tasks.linear_network,
    "linear-3": partial(tasks.linear_network, 3),
    "tanh": tasks.tanh_network,
    "completion": tasks.completion,
    "autoencoder": tasks.autoencoder,
    "dead head": tasks.dead_head,
    "sleeping units": tasks.sleeping_units,
}
STARTS = (0.0, 1e-6, 1e-3)
SEEDS = 5
RATES = {"gradient": [0.1, 0.5, 2.5], "momentum": [0.01, 0.05, 0.25],
         "adaptive": [0.004, 0.02, 0.1], "lbfgs": [0.1, 0.3, 1.0]}
TAME = {"dead head": 0.2}  # where the largest rates would all diverge
HOW_TO = ("psd-optimizer is not installed, so the rows of the peer stay away. To have them:\n"
          "    pip install --no-deps --target peer psd-optimizer==0.1.2\n"
          "    PYTHONPATH=peer python benchmarks/optim_peer.py\n")
LEAVE = ["task", "start", "method", "lr", "left", "samples to leave", "ms to leave",
         "loss at the end", "worst"]
NEAR = ["task", "start", "inner", "lr", "bare", "wrapped", "wrapped / bare", "worst seed"]
STEP = ["inner", "bare: µs", "wrapped: µs", "wrapped / bare", "evaluations in 1000 steps"]
LOOK = ["where", "parameters", "found", "evaluations", "seconds", "in gradients"]
TRAIN = ["inner", "loss, bare", "loss, wrapped", "accuracy, bare", "accuracy, wrapped", "looks",
         "moves", "refused", "evaluations / gradients"]


def muon(groups, loss=None, wrap=None, **setting):
    """Muon for the matrices, and AdamW beside it for all else; ``wrap`` wraps Muon."""
    flat = [{**g, "params": [p for p in g["params"] if p.ndim == 2]} for g in groups]
    rest = [{**g, "params": [p for p in g["params"] if p.ndim != 2]} for g in groups]
    first = torch.optim.Muon(flat, weight_decay=0.0, **setting)
    first = first if wrap is None else wrap(first, loss)
    others = [g for g in rest if g["params"]]
    return (first, torch.optim.AdamW(others)) if others else first


INNERS = {
    "SGD": ("gradient", torch.optim.SGD),
    "momentum": ("momentum", partial(torch.optim.SGD, momentum=0.9)),
    "Adam": ("adaptive", torch.optim.Adam),
    "AdamW": ("adaptive", torch.optim.AdamW),
    "Muon": ("adaptive", muon),
    "L-BFGS": ("lbfgs", partial(torch.optim.LBFGS, max_iter=4, history_size=10,
                                line_search_fn="strong_wolfe")),
}


def peer():
    """The classes PSDOptimizer and PerturbedAdam of the authors' package, or None."""
    try:
        found = importlib.import_module("psd_optimizer")
    except ImportError:
        return None
    logging.getLogger("psd_optimizer").setLevel(logging.ERROR)  # it warns at each halved rate
    return found.PSDOptimizer, found.PerturbedAdam


def wrapped(build):
    """The builder of an optimizer wrapped in Escape, which gets the loss once."""
    if build is muon:
        return partial(muon, wrap=Escape)
    return lambda groups, loss=None: Escape(build(groups), loss)


def entries(classes=None, tame=1.0) -> dict:
    """Everybody, at the defaults but for the rate; where it has the unit of the loss, ``tame``d."""
    rates = {kind: [rate * (tame if kind in ("gradient", "momentum") else 1) for rate in row]
             for kind, row in RATES.items()}
    found = {}
    for name, (kind, build) in INNERS.items():
        closure = "loss" if kind == "lbfgs" else ""
        found[name] = tasks.Entry(build, rates[kind], closure=closure)
        found[f"Escape({name})"] = tasks.Entry(wrapped(build), rates[kind],
                                               closure=closure or "given")
    for name, kind, full in (("PSGD", PSGD, False), ("PSD, all samples", PSD, True)):
        found[name] = tasks.Entry(lambda groups, loss=None, kind=kind: kind(groups, loss=loss),
                                  rates["gradient"], closure="given", full_batch=full)
    if classes:
        found["peer's PSD"] = tasks.Entry(classes[0], rates["gradient"], closure="loss")
        found["peer's Adam"] = tasks.Entry(classes[1], rates["adaptive"])
    return found


def compete(task, entry, scale, samples, seeds=SEEDS, lrs=None):
    """A race of one entry; of its rates that wins which leaves first."""
    entry = tasks.Entry(entry.build, lrs or entry.lrs, closure=entry.closure,
                        full_batch=entry.full_batch)
    return tasks.race(task, {"": entry}, samples=samples, batch_size=64, curvature_batch=64,
                      points=samples // 64 + 1, scale=scale, seeds=range(100, 100 + seeds),
                      tuning_seeds=range(2), tune="leaving")


def leaving(task, name, scale, method, result):
    """A row of the first table."""
    gone, end, took = result.leaves(""), result.loss[""][:, -1], result.leaves_in("")
    count = float(np.median(gone))
    never = not np.isfinite(count)
    return [name, f"{scale:g}", method, f"{result.lr['']:g}",
            f"{int(np.isfinite(gone).sum())}/{len(gone)}", "–" if never else short(count),
            "–" if never else short(1e3 * float(np.median(took))), f"{np.median(end):.3f}",
            f"{end.max():.3f}"]


def near(task, entry, name, scale, inner, result, samples):
    """A row of the table of starts near the saddle: the same rate, seeds and mini-batches."""
    bare = result.leaves("")
    if not np.isfinite(bare).all():
        return None
    budget = min(samples, int(3 * bare.max()) + 64 * 64)
    again = compete(task, entry, scale, budget, len(bare), [result.lr[""]])
    ratio = again.leaves("") / bare
    return [name, f"{scale:g}", inner, f"{result.lr['']:g}", short(float(np.median(bare))),
            short(float(np.median(again.leaves("")))), f"{np.median(ratio):.2f}",
            f"{ratio.max():.2f}"]


def summary(rows, start):
    """Of the rows from one start: methods down, tasks across; samples / ms / loss at the end."""
    rows = [row for row in rows if row[1] == f"{start:g}"]
    names, methods = (list(dict.fromkeys(row[i] for row in rows)) for i in (0, 2))
    cells = {(row[2], row[0]): row for row in rows}

    def cell(method, name):
        _, _, _, _, left, samples, ms, end, _ = cells[method, name]
        some = "" if left[0] in ("0", left[-1]) else f" ({left})"
        return f"– / – / {end}" if samples == "–" else f"{samples}{some} / {ms} / {end}"

    return table([f"start {start:g}", *names], [[method, *(cell(method, name) for name in names)]
                                                for method in methods])


def races(names, starts, methods, samples, seeds):
    """Print the rows of the first table as they come; return them and the rows of the fourth."""
    first, fourth, classes = [], [], peer()
    print(table(LEAVE, []))
    for name in names:
        task, everybody = TASKS[name](), entries(classes, TAME.get(name, 1.0))
        for scale in starts:
            for method, entry in everybody.items():
                if methods and method not in methods:
                    continue
                result = compete(task, entry, scale, samples, seeds)
                first.append(leaving(task, name, scale, method, result))
                print("| " + " | ".join(first[-1]) + " |", flush=True)
                if scale and method in INNERS:
                    row = near(task, everybody[f"Escape({method})"], name, scale, method, result,
                               samples)
                    fourth += [row] if row else []
    return first, fourth


def step_times(build, matrices=4, width=500, rounds=15):
    """Microseconds of a step bare and wrapped, in turns, and evaluations; the loss always falls."""
    optimizers, falling = {}, iter(np.geomspace(1.0, 1e-300, 10**5))
    for name in ("bare", "wrapped"):
        params = [torch.zeros(width, width, requires_grad=True) for _ in range(matrices)]
        for i, p in enumerate(params):
            p.grad = torch.randn(width, width, generator=torch.Generator().manual_seed(i))
        groups = [{"params": params, "lr": 1e-6}]
        optimizers[name] = build(groups) if name == "bare" else wrapped(build)(
            groups, lambda p=params[0]: next(falling) + 0 * p.double().sum())
    # Rounds hold the watch's pairs of gradients in the share that a run has.
    first, steps = next(iter(optimizers.values())), 50
    closure = (lambda: torch.tensor(1.0)) if isinstance(first, torch.optim.LBFGS) else None

    def run(optimizer):
        for _ in range(steps):
            optimizer.step(closure)

    for _ in range(6):  # past the beginning, where pairs and tests of progress are closer
        run(optimizers["wrapped"])
    before = dict(optimizers["wrapped"].counts)
    found = in_turns({name: lambda seed, o=o: run(o) for name, o in optimizers.items()}, rounds)
    after = optimizers["wrapped"].counts
    assert after["looks"] == before["looks"]
    asked = (after["evaluations"] - before["evaluations"]) / (after["steps"] - before["steps"])
    return {name: [1e6 * s / steps for _, s in runs] for name, runs in found.items()}, 1000 * asked


def all_inners() -> dict:
    """The optimizers of torch.optim that take matrices, by name."""
    adaptive = {name: getattr(torch.optim, name) for name in (
        "Adadelta", "Adafactor", "Adagrad", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop")}
    lbfgs = partial(torch.optim.LBFGS, max_iter=1)
    return {name: build for name, (_, build) in INNERS.items()} | {"L-BFGS": lbfgs} | adaptive


def steps(rounds=15):
    """Rows of the second table."""
    for name, build in all_inners().items():
        found, asked = step_times(build, rounds=rounds)
        ratios = [a / b for a, b in zip(found["wrapped"], found["bare"], strict=True)]
        yield [name, short(median(found["bare"])), short(median(found["wrapped"])),
               f"{median(ratios):.3f}", short(asked)]


def bowl(task):
    """The task with a loss that has its minimum at zero."""
    return tasks.Task("a minimum", task.n, task.shapes, 0.0, task.saddle, 0.0, 1.0,
                      lambda params, batch: 1 + sum(p.square().sum() for p in params)
                      + 0 * task.loss(params, batch))


def looks(width=7813):
    """Rows about one look at a million parameters."""
    strict, flat = tasks.autoencoder(width), tasks.linear_network(3, 968)
    for where, task in (("strict saddle", strict), ("degenerate saddle", flat),
                        ("minimum", bowl(strict))):
        params = [p.float().requires_grad_() for p in task.saddle]
        batch = torch.arange(64)
        loss = partial(_single, task, params, batch)
        optimizer = Escape(torch.optim.SGD(params, lr=1e-3), loss)
        gradient = []
        for _ in range(5):
            optimizer.zero_grad()
            began = time.process_time()
            loss().backward()
            gradient.append(time.process_time() - began)
        began = time.process_time()
        optimizer.step()
        seconds = time.process_time() - began
        assert optimizer.counts["looks"] == 1
        said = "a way down" if "found a way" in optimizer.message else "none"
        yield [where, short(task.dim), said, str(optimizer.counts["evaluations"]),
               short(seconds), short(seconds / median(gradient))]


def _single(task, params, batch):
    return task.loss([p.double() for p in params], batch).float()


def train(build, seed, wrap, epochs=40, lr=0.1):
    """An ordinary run: loss and accuracy on data held out, and what the wrapper did."""
    torch.manual_seed(seed)
    digits = load_digits()
    held = np.arange(len(digits.data)) % 4 == 3
    x, y = torch.from_numpy(digits.data / 16).float(), torch.from_numpy(digits.target)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 32),
                                torch.nn.ReLU(), torch.nn.Linear(32, 10))
    criterion = torch.nn.functional.cross_entropy
    groups, batch = [{"params": list(model.parameters()), "lr": lr}], None
    inside = np.flatnonzero(~held)

    def loss():
        return criterion(model(x[batch]), y[batch])

    built = wrapped(build)(groups, loss) if wrap else build(groups)
    optimizers = built if isinstance(built, tuple) else (built,)
    rng, gradients = np.random.default_rng(seed), 0
    for _ in range(epochs):
        for chosen in np.array_split(rng.permutation(inside), len(inside) // 64):
            batch = chosen
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss().backward()
            gradients += 1
            for optimizer in optimizers:
                optimizer.step()
    with torch.no_grad():
        out = model(x[held])
        found = {"loss": float(criterion(out, y[held])),
                 "accuracy": float((out.argmax(1) == y[held]).double().mean())}
    return found | (optimizers[0].counts | {"gradients": gradients} if wrap else {})


ORDINARY = {"SGD": 0.3, "momentum": 0.05, "AdamW": 0.003, "Muon": 0.02}


def training(seeds=SEEDS, epochs=40):
    """Rows of the third table."""
    for name, lr in ORDINARY.items():
        build = INNERS[name][1]
        runs = {wrap: [train(build, seed, wrap, epochs, lr) for seed in range(seeds)]
                for wrap in (False, True)}

        def band(key, wrap, digits, runs=runs):
            row = [run[key] for run in runs[wrap]]
            return (f"{np.median(row):.{digits}f} ({min(row):.{digits}f} to "
                    f"{max(row):.{digits}f})")

        told = [sum(run[key] for run in runs[True])
                for key in ("looks", "moves", "refused", "evaluations", "gradients")]
        yield [name, *(band("loss", wrap, 4) for wrap in (False, True)),
               *(band("accuracy", wrap, 3) for wrap in (False, True)),
               *map(str, told[:3]), f"{told[3] / told[4]:.3f}"]


def main(parts, names, starts, methods, samples, seeds):
    """Print the tables."""
    torch.set_num_threads(1)
    print(f"{versions()}, PyTorch {torch.__version__}; {seeds} seeds, {samples:,} samples\n")
    if "leave" in parts:
        if peer() is None:
            print(HOW_TO)
        first, fourth = races(names, starts, methods, samples, seeds)
        for start in starts:
            print(f"\n{summary(first, start)}")
        print(f"\n{table(NEAR, fourth)}\n")
    if "step" in parts:
        print(f"{table(STEP, list(steps()))}\n")
    if "look" in parts:
        print(f"{table(LOOK, list(looks()))}\n")
    if "train" in parts:
        print(table(TRAIN, list(training(seeds))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", default=["leave", "step", "look", "train"],
                        choices=["leave", "step", "look", "train"])
    parser.add_argument("--tasks", dest="names", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--starts", type=float, nargs="+", default=STARTS)
    parser.add_argument("--methods", nargs="+", help="all by default")
    parser.add_argument("--samples", type=int, default=25_600)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    warnings.simplefilter("error", RuntimeWarning)  # a wrapper that cannot look would say so
    main(**vars(parser.parse_args()))
