"""Saddles that nobody looked at while making Escape, and minima where it must not move.

    python benchmarks/unseen_saddles.py                            all, some ten minutes
    python benchmarks/unseen_saddles.py --problems lora phase      two of them

They were chosen once, before the wrapper was first run on them: the kinds from a list of what
people train, sizes and data as they came to mind. None was taken out or changed because of what an
optimizer did on it. A wrapped optimizer has left where its loss has come a tenth of the way from
what the bare one ends at, with the best of its rates, to the least value that is known.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from _measure import table, versions
from sklearn.datasets import load_digits

from saddlelib.optim import Escape

F = torch.nn.functional
INNERS = {
    "SGD": (torch.optim.SGD, [0.03, 0.15, 0.75]),
    "AdamW": (torch.optim.AdamW, [0.001, 0.005, 0.025]),
}
BATCH, SAMPLES, SEEDS = 64, 12_800, 3
HEADER = ["problem", "inner", "lr", "bare: loss", "line", "left", "samples to leave",
          "loss at the end", "looks", "moves", "refused", "evaluations / gradients"]
MINIMA = ["minimum", "inner", "runs", "looks", "moves", "refused", "worst end − bare",
          "evaluations / gradients"]


@dataclass(frozen=True, eq=False)
class Problem:
    """Parameters to start from, and a loss.

    Attributes
    ----------
    name : str
    n : int
        Samples.
    start : callable
        Maps a seed to a list of float64 tensors.
    loss : callable
        Mean loss of (parameters, indices of samples).
    best : float
        The least value known, roughly.
    rate : float
        The rates of SGD times this.
    dtype : torch.dtype
        Of the parameters.
    minimum : bool
        There is nothing to leave.
    """

    name: str
    n: int
    start: Callable
    loss: Callable
    best: float = 0.0
    rate: float = 1.0
    dtype: torch.dtype = torch.float64
    minimum: bool = False

    def full(self, params) -> float:
        """The loss of all samples."""
        with torch.no_grad():
            return float(self.loss(params, torch.arange(self.n)))


def normal(*shape, seed):
    """Normal numbers, float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def zeros(*shapes):
    """A start at zero, whatever the seed."""
    return lambda seed: [torch.zeros(shape, dtype=torch.float64) for shape in shapes]


def digits():
    """Images as rows, centred, and right answers; both with a mean squared norm of 1."""
    data = load_digits()
    found = [torch.from_numpy(data.data[:300]), F.one_hot(torch.from_numpy(data.target[:300]))]
    found = [t.double() - t.double().mean(0) for t in found]
    return [t / t.square().sum(1).mean().sqrt() for t in found]


def mean_square(t):
    """The mean over samples of the squared norm."""
    return t.reshape(len(t), -1).square().sum(1).mean()


def sensing(symmetric):
    """Linear measurements of a matrix of rank 2, from zero."""
    d, n = 20, 400
    a, left = normal(n, d, d, seed=2), normal(d, 2, seed=1) / math.sqrt(d)
    right = left if symmetric else normal(d, 2, seed=5) / math.sqrt(d)
    y = (a * (left @ right.mT)).sum((1, 2))
    scale = y.square().mean()

    def loss(params, b):
        found = params[0] @ params[-1].mT
        return ((a[b] * found).sum((1, 2)) - y[b]).square().mean() / scale

    shapes = [(d, 3)] * (1 if symmetric else 2)
    return Problem(f"sensing of {'XXᵀ' if symmetric else 'UVᵀ'}", n, zeros(*shapes), loss)


def relu(awake, bias, name):
    """Sixteen ReLU units, all but some asleep: zero in and out, or dead by their bias."""
    x, y = digits()

    def loss(params, b):
        hidden = F.relu(8 * x[b] @ params[0].mT + params[1])
        return mean_square(hidden @ params[2].mT + params[3] - y[b])

    def start(seed):
        first, second = normal(16, 64, seed=seed) / 8, normal(10, 16, seed=seed + 50) / 4
        shift = torch.zeros(16, dtype=torch.float64)
        if bias:
            shift[awake:] = bias
        else:
            first[awake:], second[:, awake:] = 0, 0
        return [first, shift, second, torch.zeros(10, dtype=torch.float64)]

    return Problem(name, 300, start, loss)


def attention(summary):
    """Q and K zero, V awake: the token with the largest first number has to be found."""
    n, d = 512, 8
    s = normal(n, d, d, seed=1)
    y = s[torch.arange(n), s[:, :, 0].argmax(1)]
    y = y / mean_square(y).sqrt()

    def loss(params, b):
        query, key, value = params[:3]
        asking = params[3] if summary else s[b]
        weights = ((asking @ query.mT) @ (s[b] @ key.mT).mT / math.sqrt(d)).softmax(-1)
        return mean_square((weights @ s[b]).mean(1) @ value.mT - y[b])

    def start(seed):
        found = [*zeros((d, d), (d, d))(seed), normal(d, d, seed=seed) / 3]
        return [*found, normal(1, d, seed=seed + 9) / 3] if summary else found

    return Problem("attention, Q = K = 0" + ", one query" * summary, n, start, loss)


def lora(noise):
    """A frozen matrix and a correction of rank 4, both of whose factors are zero."""
    frozen, x = normal(16, 16, seed=1) / 4, normal(400, 16, seed=4)
    change = normal(16, 2, seed=2) @ normal(2, 16, seed=3) / 16
    scale = mean_square(x @ change.mT)
    y = x @ (frozen + change).mT + noise * math.sqrt(scale / 16) * normal(400, 16, seed=9)

    def loss(params, b):
        return mean_square(x[b] @ (frozen + params[1] @ params[0]).mT - y[b]) / scale / (
            1 + noise**2)

    return Problem(f"LoRA, noise {noise}", 400, zeros((4, 16), (16, 4)), loss,
                   best=noise**2 / (1 + noise**2))


def tensor(order, d, symmetric=False):
    """The entries of a tensor of rank 2, as a sum of three products, from zero."""
    factors = [normal(d, 2, seed=1 if symmetric else i) for i in range(order)]
    index = torch.cartesian_prod(*[torch.arange(d)] * order)

    def entries(params, rows):
        columns = list(params) * (order if symmetric else 1)
        return math.prod(p[row] for p, row in zip(columns, rows.T, strict=True)).sum(1)

    wanted = entries(factors[:1] if symmetric else factors, index)
    wanted = wanted / wanted.norm()

    def loss(params, b):
        return len(index) * (entries(params, index[b]) - wanted[b]).square().mean()

    shapes = [(d, 3)] * (1 if symmetric else order)
    return Problem(f"tensor of order {order}" + ", symmetric" * symmetric, len(index),
                   zeros(*shapes), loss)


def deep():
    """Five layers of tanh at zero: a saddle of order 5."""
    x, y = digits()

    def loss(params, b):
        hidden = 8 * x[b]
        for p in params[:-1]:
            hidden = torch.tanh(hidden @ p.mT)
        return mean_square(hidden @ params[-1].mT - y[b])

    return Problem("tanh, 5 layers", 300,
                   zeros((16, 64), (16, 16), (16, 16), (16, 16), (10, 16)), loss)


def identical(noise):
    """Eight neurons that begin alike, and stay so; their mini-batches have noise."""
    x, teacher = normal(512, 10, seed=1), normal(10, 4, seed=2) * 2 / math.sqrt(10)
    y = torch.tanh(x @ teacher) @ torch.tensor([1.0, -1, 1, -1], dtype=torch.float64)
    y = y / y.std() + noise * normal(512, seed=7)

    def loss(params, b):
        return (torch.tanh(x[b] @ params[0].mT) @ params[1] - y[b]).square().mean()

    def start(seed):
        return [normal(1, 10, seed=seed).repeat(8, 1) / 3,
                torch.full((8,), 0.1, dtype=torch.float64)]

    return Problem(f"8 identical neurons, noise {noise}", 512, start, loss, best=noise**2)


def phase(minimum=False):
    """|⟨a, x⟩|² measured: from zero, or with noise from the truth."""
    d, n = 20, 400
    a, x = normal(n, d, seed=1), normal(d, seed=2)
    x = x / x.norm()
    y = (a @ x).square() + minimum * normal(n, seed=5)
    scale = y.square().mean()

    def loss(params, b):
        return ((a[b] @ params[0]).square() - y[b]).square().mean() / scale

    if minimum:
        return Problem("phase retrieval with noise", n, lambda seed: [x.clone()], loss, rate=0.05,
                       minimum=True)
    return Problem("phase retrieval", n, zeros(d), loss, rate=0.05)


def mixture():
    """The two means of a mixture of Gaussians, which begin at the same place."""
    x = normal(512, 10, seed=1)
    x[:, 0] += torch.tensor([2.5, -2.5], dtype=torch.float64).repeat(256)

    def loss(params, b):
        each = -0.5 * (x[b][:, None] - params[0]).square().sum(-1)
        return -(each.logsumexp(1) - math.log(2)).mean() / 10

    return Problem("mixture, means identical", 512,
                   lambda seed: [0.1 * normal(1, 10, seed=seed).repeat(2, 1)], loss, best=0.55)


def autoencoder(scale=1.0, offset=0.0, dtype=torch.float64, drop=0.0, penalty=0.0):
    """x ↦ W₂ tanh(W₁ x), its loss scaled and shifted, in another precision, or with dropout."""
    x = digits()[0].to(dtype)

    def loss(params, b):
        hidden = torch.tanh(x[b] @ params[0].mT)
        hidden = F.dropout(hidden, drop) if drop else hidden
        large = penalty * sum(p.square().sum() for p in params)
        return scale * (mean_square(hidden @ params[1].mT - x[b]) + large) + offset

    said = [f"loss × {scale:g}" * (scale != 1), f"loss {offset:+g}" * (offset != 0),
            str(dtype)[6:] * (dtype != torch.float64),
            f"dropout {drop:g}" * (drop > 0), f"penalty {penalty:g}" * (penalty > 0)]
    return Problem(", ".join(["autoencoder", *filter(None, said)]), 300, zeros((8, 64), (64, 8)),
                   loss, best=scale * (0.5 if drop or penalty else 0.27) + offset, rate=1 / scale,
                   dtype=dtype)


def linear(layers, width, dtype=torch.float64):
    """A linear autoencoder of several layers at zero."""
    x = digits()[0].to(dtype)

    def loss(params, b):
        found = x[b]
        for p in params:
            found = found @ p.mT
        return mean_square(found - x[b])

    shapes = [(width, 64), *[(width, width)] * (layers - 2), (64, width)]
    return Problem(f"linear, {layers} layers of {width}, {str(dtype)[6:]}", 300, zeros(*shapes),
                   loss, best=0.27, rate=8 / max(width, 8), dtype=dtype)


def form(order, power, rate):
    """Re (x + iy)^order + |x + iy|^power in the plane: a saddle whose value is zero."""
    def loss(params, b):
        x, y = real, imaginary = params[0]
        for _ in range(order - 1):
            real, imaginary = real * x - imaginary * y, real * y + imaginary * x
        return real + (x * x + y * y) ** (power // 2)

    r = (order / power) ** (1 / (power - order))
    return Problem(f"Re zᵏ, k = {order}", 64, zeros(2), loss, best=r**power - r**order, rate=rate)


def half():
    """A matrix completed with four columns, one of which is awake."""
    data = load_digits().data[:25]
    rows, columns = np.nonzero(np.random.default_rng(0).random(data.shape) < 0.5)
    values = torch.from_numpy(data[rows, columns])
    values, rows, columns = values / values.norm(), *map(torch.from_numpy, (rows, columns))

    def loss(params, b):
        found = (params[0][rows[b]] * params[1][columns[b]]).sum(1)
        return len(values) * (found - values[b]).square().mean()

    def start(seed):
        found = zeros((25, 4), (64, 4))(seed)
        found[0][:, 0], found[1][:, 0] = (0.2 * normal(size, seed=seed + size) for size in (25, 64))
        return found

    return Problem("completion, 1 of 4 columns awake", len(values), start, loss, best=0.05,
                   rate=0.2)


def loud():
    """An autoencoder asleep beside a regression whose gradients are much louder."""
    x, a, y = digits()[0], normal(300, 20, seed=1), 3 * normal(300, seed=2)
    least = float((y - a @ torch.linalg.lstsq(a, y[:, None]).solution[:, 0]).square().mean())

    def loss(params, b):
        asleep = mean_square(torch.tanh(x[b] @ params[0].mT) @ params[1].mT - x[b])
        return asleep + (a[b] @ params[2] - y[b]).square().mean()

    return Problem("autoencoder beside a loud regression", 300, zeros((8, 64), (64, 8), 20), loss,
                   best=least + 0.27, rate=0.1)


def domain():
    """A loss that is not a number outside a ball smaller than an initialization."""
    def loss(params, b):
        x = params[0]
        return x.pow(4).sum() - x.square().sum() - 0.01 * torch.log(0.7 - x.square().sum())

    return Problem("nan outside a ball", 64, zeros(10), loss, best=-0.6, rate=0.05)


def squares():
    """Least squares with noise, from the solution."""
    a, y = normal(400, 20, seed=1), normal(400, seed=2)
    best = torch.linalg.lstsq(a, y[:, None]).solution[:, 0]

    def loss(params, b):
        return (a[b] @ params[0] - y[b]).square().mean()

    return Problem("least squares with noise", 400, lambda seed: [best.clone()], loss, rate=0.05,
                   minimum=True)


def indefinite(noise):
    """A minimum at zero where the Hessian of every mini-batch has negative curvature."""
    h = 8 * normal(400, 10, 10, seed=1)
    h = (h + h.mT) / 2
    h = h - h.mean(0) + torch.eye(10, dtype=torch.float64)
    g = noise * normal(400, 10, seed=3)
    g = g - g.mean(0)

    def loss(params, b):
        x = params[0]
        return 1 + (0.5 * h[b] @ x @ x + g[b] @ x).mean() + x.square().sum().square()

    return Problem(f"batches indefinite, noise {noise}", 400, zeros(10), loss, rate=0.02,
                   minimum=True)


def flat(constant):
    """Σ x⁴ + 1 from its minimum, or a loss that is constant."""
    def loss(params, b):
        return 1 + (0 if constant else 1) * params[0].pow(4).sum()

    return Problem("constant" if constant else "x⁴", 64, zeros(10), loss, minimum=True)


PROBLEMS = {
    "sensing": partial(sensing, True), "sensing-uv": partial(sensing, False),
    "relu-zero": partial(relu, 0, 0.0, "ReLU, 16 units zero"),
    "relu-awake": partial(relu, 1, 0.0, "ReLU, 15 of 16 units zero"),
    "relu-dead": partial(relu, 1, -6.0, "ReLU, 15 of 16 units dead by a bias of −6"),
    "attention": partial(attention, False), "attention-query": partial(attention, True),
    "lora": partial(lora, 0), "lora-noise": partial(lora, 3),
    "tensor-3": partial(tensor, 3, 8), "tensor-4": partial(tensor, 4, 5),
    "tensor-symmetric": partial(tensor, 3, 8, True),
    "tanh-5": deep, "identical": partial(identical, 0.0),
    "identical-noise": partial(identical, 0.5), "phase": phase, "mixture": mixture,
    "offset": partial(autoencoder, offset=1e3),
    "offset-32": partial(autoencoder, offset=1e3, dtype=torch.float32),
    "below-zero": partial(autoencoder, offset=-1.0),
    "small": partial(autoencoder, scale=1e-6), "large": partial(autoencoder, scale=1e6),
    "small-32": partial(autoencoder, scale=1e-6, dtype=torch.float32),
    "float32": partial(autoencoder, dtype=torch.float32),
    "bfloat16": partial(autoencoder, dtype=torch.bfloat16),
    "dropout": partial(autoencoder, drop=0.3), "penalty": partial(autoencoder, penalty=0.02),
    "linear-3": partial(linear, 3, 8), "linear-3-32": partial(linear, 3, 8, torch.float32),
    "linear-3-16": partial(linear, 3, 8, torch.bfloat16), "linear-3-wide": partial(linear, 3, 256),
    "monkey": partial(form, 3, 4, 0.2), "order-5": partial(form, 5, 6, 0.2),
    "half": half, "loud": loud, "domain": domain,
    "squares": squares, "indefinite": partial(indefinite, 0.0),
    "indefinite-noise": partial(indefinite, 1.0), "phase-noise": partial(phase, True),
    "quartic": partial(flat, False), "constant": partial(flat, True),
}


def bare(build):
    """The maker of an optimizer of torch, which needs no loss."""
    return lambda params, lr, loss: build(params, lr=lr)


def wrapped(build):
    """The maker of the same inside Escape."""
    return lambda params, lr, loss: Escape(build(params, lr=lr), loss)


def run(problem, make, lr, seed, samples, closure=False):
    """(samples, loss) after each step, what the wrapper counted, and gradients.

    ``make(params, lr, loss)`` gives an optimizer; ``loss()`` is that of the present mini-batch, and
    every call of it costs its samples. With ``closure`` a step gets torch's usual closure, and
    with "again" it has the gradient before that as well.
    """
    params = [p.to(problem.dtype).requires_grad_() for p in problem.start(seed)]
    rng, spent, gradients, batch = np.random.default_rng([seed, 1]), 0, 0, None
    torch.manual_seed(seed)

    def loss():
        nonlocal spent
        spent += BATCH
        return problem.loss(params, batch)

    def differentiated():
        nonlocal gradients
        gradients += 1
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer = make(params, lr, loss)
    trace = []
    while spent < samples:
        batch = torch.from_numpy(rng.integers(problem.n, size=BATCH))
        if closure is not True:
            differentiated()
        optimizer.step(*[differentiated] * bool(closure))
        trace.append((spent, problem.full(params)))
    trace = np.array(trace)
    trace[:, 1] = np.where(np.isfinite(trace[:, 1]), trace[:, 1], np.inf)
    return trace, dict(getattr(optimizer, "counts", {})), gradients


def leaves(trace, line):
    """Samples until the loss is at the line; inf if never, or if it is above it at the end."""
    low = trace[:, 1] <= line
    return trace[low.argmax(), 0] if low[-1] else math.inf


def row(problem, inner, samples=SAMPLES, seeds=SEEDS):
    """A row of one of the two tables: bare and wrapped with every rate."""
    build, rates = INNERS[inner]
    rates = [rate * (problem.rate if inner == "SGD" else 1) for rate in rates]
    plain, escaping = ({lr: [run(problem, make(build), lr, seed, samples) for seed in range(seeds)]
                        for lr in rates} for make in (bare, wrapped))

    def end(runs):
        return float(np.median([trace[-1, 1] for trace, *_ in runs]))

    def told(runs):
        sums = [str(sum(counts[key] for _, counts, _ in runs))
                for key in ("looks", "moves", "refused")]
        share = sum(c["evaluations"] for _, c, _ in runs) / sum(n for *_, n in runs)
        return sums, f"{share:.3f}"

    if problem.minimum:
        every = [run for lr in rates for run in escaping[lr]]
        worst = max(w[0][-1, 1] - b[0][-1, 1] for lr in rates
                    for w, b in zip(escaping[lr], plain[lr], strict=True))
        sums, share = told(every)
        return [problem.name, inner, str(len(every)), *sums, f"{worst:.1e}", share]
    least = min(map(end, plain.values()))
    line = least - 0.1 * (least - problem.best)
    gone = {lr: [leaves(trace, line) for trace, *_ in escaping[lr]] for lr in rates}
    lr = min(rates, key=lambda lr: (np.median(gone[lr]), end(escaping[lr])))
    sums, share = told(escaping[lr])
    count = np.median(gone[lr])
    return [problem.name, inner, f"{lr:g}", f"{least:.4g}", f"{line:.4g}",
            f"{int(np.isfinite(gone[lr]).sum())}/{seeds}",
            f"{count:,.0f}" if math.isfinite(count) else "–", f"{end(escaping[lr]):.4g}", *sums,
            share]


def main(names, inners=tuple(INNERS), samples=SAMPLES, seeds=SEEDS):
    """Print both tables, row by row."""
    torch.set_num_threads(1)
    print(f"{versions()}, PyTorch {torch.__version__}; {seeds} seeds, {samples:,} samples")
    problems = [PROBLEMS[name]() for name in names]
    for header, minimum in ((HEADER, False), (MINIMA, True)):
        print(f"\n{table(header, [])}")
        for problem in problems:
            for inner in inners if problem.minimum == minimum else ():
                print("| " + " | ".join(row(problem, inner, samples, seeds)) + " |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", dest="names", nargs="+", default=list(PROBLEMS),
                        choices=PROBLEMS)
    parser.add_argument("--inners", nargs="+", default=list(INNERS), choices=INNERS)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    main(**vars(parser.parse_args()))
