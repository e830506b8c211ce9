"""Training tasks on real data that start near a saddle, and races of optimizers on them.

Needs torch and scikit-learn, whose data sets come with the package. Everything is float64 and
small: a race of several optimizers takes seconds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

try:
    import torch
    from sklearn.datasets import load_breast_cancer, load_digits
except ModuleNotFoundError as error:
    raise ImportError(
        "saddlelib.tasks needs PyTorch and scikit-learn, which saddlelib does not install by "
        "itself: pip install saddlelib[torch] scikit-learn") from error

from ._arguments import integer, positive

__all__ = ["Entry", "Race", "Task", "autoencoder", "completion", "dead_head", "linear_network",
           "race", "sleeping_units", "tanh_network"]


@dataclass(frozen=True, repr=False)
class Task:
    """A training problem: parameters, a loss that is a mean over samples, and a saddle of it.

    The parameters are a list of tensors. All of them may have the same leading dimensions, one
    entry for each of several runs; then ``loss`` has these dimensions too.

    Attributes
    ----------
    name : str
    n : int
        Samples.
    shapes : tuple of tuple of int
        Shapes of the parameters of one run.
    scale : float
        Standard deviation of the weights of the default start.
    saddle : list of Tensor
        The parameters at the saddle.
    saddle_loss : float
        The loss there.
    saddle_min_eig : float
        λ_min of the Hessian of the full loss there, in closed form.

    Examples
    --------
    >>> task = tanh_network()
    >>> task.n, task.dim, round(task.saddle_loss, 4), task.saddle_min_eig
    (427, 313, 0.6649, 0.0)
    >>> near = task.start(seed=0)
    >>> abs(task.loss(near).item() - task.saddle_loss) < 1e-3
    True
    """

    name: str
    n: int
    shapes: tuple[tuple[int, ...], ...]
    scale: float
    saddle: list
    saddle_loss: float
    saddle_min_eig: float
    _loss: Callable = field(repr=False)
    _accuracy: Callable | None = field(default=None, repr=False)
    _wake: Callable | None = field(default=None, repr=False)

    def __repr__(self):
        return f"Task({self.name}: {self.dim} parameters, {self.n} samples)"

    @property
    def dim(self) -> int:
        """Numbers in the parameters of one run."""
        return sum(math.prod(shape) for shape in self.shapes)

    def loss(self, params, batch=None) -> torch.Tensor:
        """Mean loss of the samples whose indices are in ``batch`` (..., B); of all by default."""
        return self._loss(params, batch)

    def accuracy(self, params) -> float:
        """Share of right answers on the data held out; for one run of a classifier only."""
        if self._accuracy is None:
            raise TypeError(f"{self.name} classifies nothing, so there is no accuracy; ask for the "
                            f"loss")
        with torch.no_grad():
            return float(self._accuracy(params))

    def start(self, seed, scale=None) -> list:
        """The saddle, and on every matrix normal numbers of standard deviation ``scale``.

        ``scale=0`` is the saddle itself. Vectors (biases) stay where they are. Where a part of the
        model is awake, as in `sleeping_units`, this part has a usual initialization instead,
        whatever the scale: it has to find its place at the saddle first.
        """
        rng = np.random.default_rng(seed)
        scale = self.scale if scale is None else scale
        start = [p + scale * torch.from_numpy(rng.normal(size=p.shape)) if p.ndim == 2 else
                 p.clone() for p in self.saddle]
        if self._wake is not None:
            self._wake(start, rng)
        return start

    def fun(self, x) -> float:
        """The full loss at a flat NumPy vector x of shape (dim,)."""
        with torch.no_grad():
            return float(self.loss(self.unflatten(x)))

    def grad(self, x) -> np.ndarray:
        """Its gradient."""
        flat = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        return torch.autograd.grad(self.loss(self.unflatten(flat)), flat)[0].numpy()

    def hvp(self, x, v) -> np.ndarray:
        """Its Hessian at x times v, by differentiating twice."""
        flat = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        slope, = torch.autograd.grad(self.loss(self.unflatten(flat)), flat, create_graph=True)
        return torch.autograd.grad(slope @ torch.as_tensor(v, dtype=torch.float64), flat)[0].numpy()

    def unflatten(self, x) -> list:
        """The parameters of a flat vector; views of it where it is a tensor."""
        parts = torch.as_tensor(x).split([math.prod(shape) for shape in self.shapes])
        return [part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    @staticmethod
    def flatten(params) -> np.ndarray:
        """The parameters of one run as a flat NumPy vector."""
        return torch.cat([p.detach().reshape(-1) for p in params]).numpy()


def tanh_network(width=8, scale=0.03) -> Task:
    """Three layers, two of them tanh, on scikit-learn's breast-cancer data: 30 measurements each.

    Of the 569 samples every fourth is held out, for `Task.accuracy`. The loss is the logistic loss
    of "malignant or benign". At the saddle all weights are zero and the bias of the output is the
    logarithm of the odds, so that every sample gets the frequencies of the two classes: its loss is
    their entropy. The loss depends on the *product* of three matrices, so its Hessian there is zero
    but for the bias: **the saddle is not strict**, λ_min = 0.

    Parameters
    ----------
    width : int
        Units in each hidden layer, ≥ 1.
    scale : float
        `Task.scale`.

    Returns
    -------
    Task

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> tanh_network(width=4)
    Task(tanh network: 141 parameters, 427 samples)
    """
    width = integer("width", width)
    data = load_breast_cancer()
    held = np.arange(len(data.data)) % 4 == 3
    mean, deviation = data.data[~held].mean(0), data.data[~held].std(0)
    inputs = torch.from_numpy((data.data - mean) / deviation)
    labels = torch.from_numpy(data.target.astype(float))
    x, y, x_held, y_held = inputs[~held], labels[~held], inputs[held], labels[held]
    share = float(y.mean())

    def logits(params, inputs):
        first, second, third, bias = params
        hidden = torch.tanh(torch.tanh(inputs @ first.mT) @ second.mT)
        return (hidden @ third.mT).squeeze(-1) + bias

    def loss(params, batch=None):
        inputs, labels = (x, y) if batch is None else (x[batch], y[batch])
        found = logits(params, inputs)
        return (torch.nn.functional.softplus(found) - labels * found).mean(-1)

    def accuracy(params):
        return ((logits(params, x_held) > 0) == (y_held > 0.5)).double().mean()

    shapes = ((width, x.shape[1]), (width, width), (1, width), (1,))
    saddle = [torch.zeros(shape, dtype=torch.float64) for shape in shapes]
    saddle[-1] += math.log(share / (1 - share))
    entropy = -share * math.log(share) - (1 - share) * math.log(1 - share)
    return Task("tanh network", len(x), shapes, float(scale), saddle, entropy, 0.0, loss,
                accuracy)


def completion(rank=4, images=25, observed=0.5, scale=1e-3) -> Task:
    """A matrix of digits, one image a row, completed from some of its entries as U Vᵀ.

    The observed entries of scikit-learn's digits are divided by their norm, so the loss
    Σ (U Vᵀ − M)² over them is the share of M that is not explained. The samples are the entries. At
    U = V = 0 the loss is 1 and the Hessian has −2M off its diagonal: **a strict saddle**,
    λ_min = −2σ₁(M).

    Parameters
    ----------
    rank : int
        Columns of U and V, ≥ 1.
    images : int
        Rows of M, ≥ 1.
    observed : float
        The share of the entries that is observed, in (0, 1].
    scale : float
        `Task.scale`.

    Returns
    -------
    Task

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> task = completion()
    >>> task, task.saddle_min_eig < -0.1
    (Task(completion: 356 parameters, 779 samples), True)
    """
    rank, images = integer("rank", rank), integer("images", images)
    data = load_digits().data[:images]
    mask = np.random.default_rng(0).random(data.shape) < observed
    matrix = np.where(mask, data, 0.0)
    matrix /= np.linalg.norm(matrix)
    rows, columns = (torch.from_numpy(index) for index in np.nonzero(mask))
    known, inside = torch.from_numpy(matrix), torch.from_numpy(mask)
    values = known[rows, columns]

    def loss(params, batch=None):
        left, right = params
        if batch is None:
            return ((left @ right.mT - known) * inside).square().sum((-1, -2))

        def pick(factor, index):
            return factor.gather(-2, index[..., None].expand(*factor.shape[:-2], -1, rank))

        product = (pick(left, rows[batch]) * pick(right, columns[batch])).sum(-1)
        return len(values) * (product - values[batch]).square().mean(-1)

    shapes = ((images, rank), (data.shape[1], rank))
    saddle = [torch.zeros(shape, dtype=torch.float64) for shape in shapes]
    least = -2 * float(np.linalg.norm(matrix, 2))
    return Task("completion", len(values), shapes, float(scale), saddle, 1.0, least, loss)


def linear_network(layers=2, width=8, images=300, scale=1e-3) -> Task:
    """x ↦ W_L ⋯ W₁ x, from the upper half of an image of a digit to its lower half.

    The images are scikit-learn's, centred, and both halves are scaled to a mean squared norm of 1:
    the loss, the mean of ‖y − W_L ⋯ W₁ x‖², is the share of the variance of the lower half that is
    not explained. It depends on the *product* of L matrices. At zero it is 1. With two layers the
    Hessian has −2C off its diagonal there, with the covariance C of y and x: **a strict saddle**,
    λ_min = −2σ₁(C). With L > 2 layers the Hessian is zero: **not strict**; the loss falls like the
    L-th power of the distance.

    Parameters
    ----------
    layers : int
        L ≥ 2.
    width : int
        Units in each hidden layer, ≥ 1.
    images : int
        Samples, ≥ 1.
    scale : float
        `Task.scale`.

    Returns
    -------
    Task

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> linear_network(), linear_network(3).saddle_min_eig
    (Task(linear network of 2 layers: 512 parameters, 300 samples), 0.0)
    """
    layers, width = integer("layers", layers, least=2), integer("width", width)
    data = load_digits().data[:integer("images", images)]
    data = data - data.mean(0)
    x, y = (torch.from_numpy(half / math.sqrt((half**2).sum(1).mean()))
            for half in np.hsplit(data, 2))

    def loss(params, batch=None):
        found, wanted = (x, y) if batch is None else (x[batch], y[batch])
        for matrix in params:
            found = found @ matrix.mT
        return (found - wanted).square().sum(-1).mean(-1)

    pixels = x.shape[1]
    shapes = ((width, pixels), *[(width, width)] * (layers - 2), (pixels, width))
    saddle = [torch.zeros(shape, dtype=torch.float64) for shape in shapes]
    least = -2 * float(torch.linalg.matrix_norm(y.mT @ x, 2)) / len(x) if layers == 2 else 0.0
    return Task(f"linear network of {layers} layers", len(x), shapes, float(scale), saddle, 1.0,
                least, loss)


def autoencoder(width=8, images=300, scale=1e-3) -> Task:
    """x ↦ W₂ tanh(W₁ x) on images of scikit-learn's digits.

    The images are centred and scaled to a mean squared norm of 1, so the loss, the mean of
    ‖x − W₂ tanh(W₁ x)‖², is the share of their variance that is lost. At zero it is 1 and the
    Hessian has −2C off its diagonal with the covariance C: **a strict saddle**, λ_min = −2λ₁(C).

    Parameters
    ----------
    width : int
        Hidden units, ≥ 1.
    images : int
        Samples, ≥ 1.
    scale : float
        `Task.scale`.

    Returns
    -------
    Task

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> autoencoder()
    Task(autoencoder: 1024 parameters, 300 samples)
    """
    width, data = integer("width", width), _images(integer("images", images))
    x = torch.from_numpy(data)

    def loss(params, batch=None):
        encoder, decoder = params
        inputs = x if batch is None else x[batch]
        return (torch.tanh(inputs @ encoder.mT) @ decoder.mT - inputs).square().sum(-1).mean(-1)

    pixels = data.shape[1]
    shapes = ((width, pixels), (pixels, width))
    saddle = [torch.zeros(shape, dtype=torch.float64) for shape in shapes]
    least = -2 * float(np.linalg.norm(data, 2) ** 2 / len(data))
    return Task("autoencoder", len(x), shapes, float(scale), saddle, 1.0, least, loss)


def _images(count):
    """Digits as rows, centred, with a mean squared norm of 1."""
    data = load_digits().data[:count]
    data = data - data.mean(0)
    return data / math.sqrt((data**2).sum(1).mean())


def sleeping_units(width=8, images=300, scale=1e-3) -> Task:
    """x ↦ W₂ W₁ x on the images of `autoencoder`, with one hidden unit awake: a trap on the way.

    A start has usual weights, normal of variance 1/fan-in, at the first hidden unit, and training
    takes this unit to the first principal component of the images. The others stay where they are
    if the weights to them and from them are exactly zero: the loss depends on the products of
    these alone, so no sample has a gradient there. The principal component is the saddle. In
    contrast to those at zero its mini-batches have noise, that of the unit awake. Its loss is
    1 − λ₁(C), with the covariance C. The Hessian has a block for this unit, which is at a minimum
    of its own, and for the others −2C without the first component off the diagonal: **a strict
    saddle**, λ_min = −2λ₂(C).

    Parameters
    ----------
    width : int
        Hidden units, ≥ 1.
    images : int
        Samples, ≥ 1.
    scale : float
        `Task.scale`.

    Returns
    -------
    Task

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> task = sleeping_units()
    >>> task.dim, round(task.saddle_loss, 3), round(task.saddle_min_eig, 3)
    (1024, 0.83, -0.294)
    """
    width, data = integer("width", width), _images(integer("images", images))
    x, pixels = torch.from_numpy(data), data.shape[1]

    def loss(params, batch=None):
        encoder, decoder = params
        inputs = x if batch is None else x[batch]
        return (inputs @ encoder.mT @ decoder.mT - inputs).square().sum(-1).mean(-1)

    def wake(start, rng):
        start[0][0] = torch.from_numpy(rng.normal(size=pixels) / math.sqrt(pixels))
        start[1][:, 0] = torch.from_numpy(rng.normal(size=pixels) / math.sqrt(width))

    _, size, axes = np.linalg.svd(data)
    first, second = size[:2] ** 2 / len(data)
    shapes = ((width, pixels), (pixels, width))
    saddle = [torch.zeros(shape, dtype=torch.float64) for shape in shapes]
    saddle[0][0] = saddle[1][:, 0] = torch.from_numpy(axes[0])
    return Task("sleeping units", len(x), shapes, float(scale), saddle, float(1 - first),
                float(-2 * second), loss, _wake=wake)


def dead_head(images=300, scale=1e-3) -> Task:
    """A transformer block whose attention head is dead, and a readout, on scikit-learn's digits.

    An image is a sequence of its eight rows, tokens s of eight numbers with a fixed vector for
    their place added. As in a language model the last token is read out: the block adds
    O V Σ_u a_u s_u to it, with the attention a_u ∝ exp(⟨Q s₈, K s_u⟩/√8), and W and a bias make ten
    numbers of it. They are to be 1 for the right digit and else 0; the loss is the share of the
    variance of that which is not explained. **Dead** is a head with O = V = 0: no sample has a
    gradient in O, V, Q or K. At the saddle W and the bias are the least squares that do without it;
    their gradients are the noise of mini-batches there. The Hessian has a block for them, which is
    positive, and off the diagonal of O and V the derivative G of the loss by their product: **a
    strict saddle**, λ_min = −σ₁(G).

    Parameters
    ----------
    images : int
        Samples, ≥ 1.
    scale : float
        `Task.scale`.

    Returns
    -------
    Task

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> task = dead_head()
    >>> task.dim, round(task.saddle_loss, 3), task.saddle_min_eig < -0.1
    (346, 0.731, True)
    """
    digits, rng, d = load_digits(), np.random.default_rng(0), 8
    images = integer("images", images)
    rows, wanted = digits.data[:images].reshape(-1, d, d), np.eye(10)[digits.target[:images]]
    wanted /= math.sqrt(wanted.var(0).sum())
    tokens = ((rows - rows.mean()) / rows.std() + rng.normal(size=(d, d))) / math.sqrt(d)
    s, y = torch.from_numpy(tokens), torch.from_numpy(wanted)

    def attended(query, key, s):
        score = s[..., -1, :] @ query.mT @ key / math.sqrt(d)
        weights = (s @ score.unsqueeze(-1)).softmax(-2)
        return (weights * s).sum(-2)

    def loss(params, batch=None):
        query, key, value, out, readout, bias = params
        tokens, wanted = (s, y) if batch is None else (s[batch], y[batch])
        last = tokens[..., -1, :] + attended(query, key, tokens) @ value.mT @ out.mT
        return (last @ readout.mT + bias.unsqueeze(-2) - wanted).square().sum(-1).mean(-1)

    shapes = (*[(d, d)] * 4, (10, d), (10,))
    saddle = [torch.zeros(shape, dtype=torch.float64) for shape in shapes]
    for p in saddle[:2]:
        p += torch.from_numpy(rng.normal(size=p.shape))
    last = np.column_stack([tokens[:, -1], np.ones(images)])
    best = torch.from_numpy(np.linalg.lstsq(last, wanted)[0])
    saddle[4], saddle[5] = best[:d].mT.contiguous(), best[d].clone()
    left = s[:, -1] @ saddle[4].mT + saddle[5] - y
    slope = 2 * saddle[4].mT @ left.mT @ attended(*saddle[:2], s) / images
    return Task("dead head", images, shapes, float(scale), saddle,
                float(left.square().sum(-1).mean()), -float(torch.linalg.matrix_norm(slope, 2)),
                loss)


@dataclass(frozen=True)
class Entry:
    """An optimizer in a race.

    Attributes
    ----------
    build : callable
        Maps a list of parameter groups, each ``{"params": [...], "lr": ...}``, to an optimizer, or
        to a tuple of several that share the parameters. With ``closure="given"`` it takes a second
        argument, the loss of the present mini-batch as a callable.
    lrs : sequence of float
        The learning rates to try.
    elementwise : bool
        The update of a number depends on the history of this number alone, as for SGD and Adam.
        Then all runs of a race are one tensor with one loss, and the result is the same, to
        rounding. Methods that look at norms or at whole matrices run one by one.
    closure : {"", "loss", "curvature", "given"}
        What ``step`` gets: nothing; the usual closure, which clears the gradients and calls
        ``backward``; or, by the name ``curvature_closure``, one that only returns a loss, of
        another mini-batch. "given": nothing, but ``build`` gets a callable that only returns the
        loss of the mini-batch whose gradients are there. Any of them may be called any number of
        times.
    full_batch : bool
        Every batch is the whole data set, and costs that much.

    Raises
    ------
    ValueError
        For another ``closure``, or where ``elementwise`` does not go with it.

    Examples
    --------
    >>> import torch
    >>> sgd = Entry(torch.optim.SGD, lrs=[0.1, 1.0], elementwise=True)
    >>> sgd.lrs, sgd.closure
    ([0.1, 1.0], '')
    """

    build: Callable
    lrs: Sequence[float]
    elementwise: bool = False
    closure: str = ""
    full_batch: bool = False

    def __post_init__(self):
        if self.closure not in ("", "loss", "curvature", "given"):
            raise ValueError(f"closure must be '', 'loss', 'curvature' or 'given', got "
                             f"{self.closure!r}")
        if self.elementwise and (self.closure or self.full_batch):
            raise ValueError("elementwise is for mini-batches without a closure only")


@dataclass(frozen=True, repr=False)
class Race:
    """What `race` measured; the arrays of each entry are in dictionaries under its name.

    Attributes
    ----------
    task : Task
    counts : ndarray of int, shape (g,)
        The grid: samples seen.
    lr : dict of float
        The learning rate that won the tuning.
    tuning : dict of ndarray, shape (lrs,)
        Median of the last loss over the tuning seeds, for each learning rate; inf if it diverged.
        With ``tune="leaving"`` that of the samples to leave; inf if it never left.
    loss : dict of ndarray, shape (seeds, g)
        Full loss at each count with that learning rate, over seeds the tuning has not seen.
    spent : dict of ndarray of int, shape (seeds,)
        Samples counted until the run ended: the last count of the grid or more.
    steps : dict of ndarray of int, shape (seeds,)
        Calls of ``step``.
    seconds : dict of ndarray, shape (seeds, g)
        Processor time of the run at each count, without its spectator; nan for runs that are one
        tensor.
    params : dict of list
        For each seed the parameters at the last count.
    """

    task: Task
    counts: np.ndarray
    lr: dict
    tuning: dict
    loss: dict
    spent: dict
    steps: dict
    seconds: dict
    params: dict

    def __repr__(self):
        return f"Race({self.task.name}: {', '.join(self.lr)})"

    def leaves(self, name, share=0.1) -> np.ndarray:
        """Samples until the loss is ``share`` below the saddle's, for every seed; inf if never.

        A number of the grid: the first count at which the loss is that low.
        """
        return _leaves(self.task, self.counts, self.loss[name], share)

    def leaves_in(self, name, share=0.1) -> np.ndarray:
        """Seconds until then, for every seed; inf if never."""
        passed = np.searchsorted(self.counts, self.leaves(name, share))
        return np.array([row[i] if i < len(row) else np.inf
                         for row, i in zip(self.seconds[name], passed, strict=True)])

    def band(self, name) -> np.ndarray:
        """Least, median and greatest loss over the seeds, shape (3, g)."""
        return np.quantile(self.loss[name], [0, 0.5, 1], axis=0, method="nearest")


def race(task, entries: Mapping[str, Entry], *, samples, batch_size=32, curvature_batch=128,
         points=26, scale=None, tuning_seeds=range(1), seeds=range(100, 105),
         tune="loss") -> Race:
    """Let optimizers run on a task with the same budget each, for tuning and for the race.

    Every entry runs with each of its learning rates and each tuning seed; the rate with the least
    median of the last loss, or of the samples to leave, runs again, with the other seeds. A seed
    fixes the start and the stream of mini-batches, drawn with replacement, one for each ``step``.
    Entries may not differ in the number of their learning rates; with a single one there is no
    tuning.

    What counts as a sample: a loss costs its batch, whether or not it ends in a step, and with it
    one gradient; a Hessian-vector product by differentiating twice costs two batches more. This is
    counted where the derivatives pass, not by what an optimizer says of itself. The full losses of
    the grid are free: they belong to the spectator.

    Parameters
    ----------
    task : Task
    entries : mapping of str to Entry
    samples : int
        The budget of one run. A run ends with the first step that reaches it.
    batch_size : int
    curvature_batch : int
        Size of the batches of a ``curvature_closure``, drawn for each call of it.
    points : int
        Size of the grid 0, …, samples, rounded to whole mini-batches.
    scale : float, optional
        Of `Task.start`; 0 starts exactly at the saddle.
    tune : {"loss", "leaving"}
        What the best learning rate has the least of. Who leaves and is above the line again at
        the end has not left. Of those that leave equally soon, or never, the best has the least
        last loss.
    tuning_seeds, seeds : iterable of int
        Those of the tuning and those of the race, without a common one.

    Returns
    -------
    Race

    Raises
    ------
    ValueError
        If the budgets are not equal, a seed both tunes and runs, or ``tune`` is something else.

    Examples
    --------
    >>> import torch
    >>> result = race(completion(), {"SGD": Entry(torch.optim.SGD, [0.01, 0.1], elementwise=True)},
    ...               samples=3200, points=11, seeds=range(100, 102))
    >>> result.lr["SGD"], result.loss["SGD"].shape, result.steps["SGD"].tolist()
    (0.1, (2, 11), [100, 100])
    """
    curvature_batch = integer("curvature_batch", curvature_batch)
    samples, batch_size = integer("samples", samples), integer("batch_size", batch_size)
    tries = {name: len(entry.lrs) for name, entry in entries.items()}
    if len(set(tries.values())) != 1:
        raise ValueError(f"every entry needs the same number of learning rates, got {tries}")
    if set(tuning_seeds) & set(seeds):
        raise ValueError("seeds must not contain one of tuning_seeds: the tuning has seen it")
    if tune not in ("loss", "leaving"):
        raise ValueError(f"tune must be 'loss' or 'leaving', got {tune!r}")
    grid = np.linspace(0, -(-samples // batch_size), integer("points", points, least=2))
    counts = batch_size * np.unique(grid.astype(int))
    result = Race(task, counts, {}, {}, {}, {}, {}, {}, {})
    for name, entry in entries.items():
        lrs = [positive("lr", lr) for lr in entry.lrs]
        setting = task, entry, counts, (batch_size, curvature_batch), scale
        best = 0
        if len(lrs) > 1:
            seen = counts if tune == "leaving" else counts[-1:]
            loss = _runs(*setting[:2], seen, *setting[3:], lrs, tuning_seeds)[0]
            last = np.where(np.isfinite(loss[..., -1]), loss[..., -1], np.inf)
            keys = [np.median(last, axis=1)]
            if tune == "leaving":
                gone = np.array([_leaves(task, seen, row, 0.1) for row in loss])
                stays = loss[..., -1] <= 0.9 * task.saddle_loss
                keys.append(np.median(np.where(stays, gone, np.inf), axis=1))
            result.tuning[name], best = keys[-1], int(np.lexsort(keys)[0])
        result.lr[name] = lrs[best]
        (result.loss[name],), (result.spent[name],), (result.steps[name],), (
            result.seconds[name],), (result.params[name],) = _runs(*setting, [lrs[best]], seeds)
    return result


def _leaves(task, counts, loss, share):
    """Samples until each row of losses is below the line, inf if never."""
    low = loss <= (1 - share) * task.saddle_loss
    return np.where(low.any(1), counts[low.argmax(1)], np.inf)


def _runs(task, entry, counts, sizes, scale, lrs, seeds):
    """Losses (lrs, seeds, g), samples, steps (lrs, seeds), seconds, last parameters of all runs."""
    seeds = list(seeds)
    if entry.elementwise:
        return _together(task, entry, counts, sizes[0], scale, lrs, seeds)
    runs = [[_alone(task, entry, counts, sizes, scale, lr, seed) for seed in seeds] for lr in lrs]
    return *(np.array([[run[i] for run in row] for row in runs]) for i in range(4)), [
        [run[4] for run in row] for row in runs]


def _optimizers(entry, groups, *loss):
    built = entry.build(groups, *loss)
    return built if isinstance(built, tuple) else (built,)


def _together(task, entry, counts, batch_size, scale, lrs, seeds):
    """All runs of an elementwise method at once: one tensor for each rate and each parameter."""
    starts = [torch.stack(p) for p in zip(*(task.start(seed, scale) for seed in seeds),
                                          strict=True)]
    leaves = [[p.clone().requires_grad_() for p in starts] for _ in lrs]
    optimizers = _optimizers(entry, [{"params": p, "lr": lr}
                                     for p, lr in zip(leaves, lrs, strict=True)])
    rngs = [_stream(seed) for seed in seeds]
    losses = np.empty((len(counts), len(lrs), len(seeds)))
    spent, steps = 0, 0
    for i, count in enumerate(counts):
        while spent < count:
            batch = torch.from_numpy(np.stack([rng.integers(task.n, size=batch_size)
                                               for rng in rngs]))
            params = [torch.stack(p) for p in zip(*leaves, strict=True)]
            for optimizer in optimizers:
                optimizer.zero_grad()
            task.loss(params, batch).sum().backward()
            for optimizer in optimizers:
                optimizer.step()
            spent, steps = spent + batch_size, steps + 1
        with torch.no_grad():
            losses[i] = task.loss([torch.stack(p) for p in zip(*leaves, strict=True)])
    shape = len(lrs), len(seeds)
    last = [[[p[i].detach() for p in group] for i in range(len(seeds))] for group in leaves]
    return (np.moveaxis(losses, 0, 2), np.full(shape, spent), np.full(shape, steps),
            np.full((*shape, len(counts)), np.nan), last)


def _alone(task, entry, counts, sizes, scale, lr, seed):
    """Losses (g,), samples, steps, seconds (g,) and last parameters of one run."""
    params = [p.requires_grad_() for p in task.start(seed, scale)]
    torch.manual_seed(seed)  # for what an optimizer draws by itself
    meter, streams = _Meter(), (_stream(seed), np.random.default_rng([seed, 2]))

    def draw(which):
        if entry.full_batch:
            return None
        return torch.from_numpy(streams[which].integers(task.n, size=sizes[which]))

    def loss_of(batch):
        size = task.n if batch is None else len(batch)
        return task.loss([meter(params[0], size), *params[1:]], batch)

    def closure():
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss = loss_of(batch)
        loss.backward()
        return loss

    given = [lambda: loss_of(batch)] if entry.closure == "given" else []
    optimizers = _optimizers(entry, [{"params": params, "lr": lr}], *given)
    if entry.closure in ("loss", "curvature") and len(optimizers) > 1:
        raise ValueError("several optimizers cannot share one closure; build one")
    losses, seconds, steps, spent = [], [], 0, 0.0
    while meter.samples < counts[-1]:
        before, began, batch = [p.detach().clone() for p in params], time.process_time(), draw(0)
        if entry.closure == "loss":
            optimizers[0].step(closure)
        else:
            closure()
            for optimizer in optimizers:
                if entry.closure == "curvature":
                    optimizer.step(curvature_closure=lambda: loss_of(draw(1)))
                else:
                    optimizer.step()
        steps, ended = steps + 1, time.process_time()
        # Counts that this step passed see the parameters, and the clock, from before it.
        passed = int((counts < meter.samples).sum()) - len(losses)
        if passed:
            losses += [float(task.loss(before))] * passed
            seconds += [spent] * passed
        spent += ended - began
    if len(losses) < len(counts):
        before = [p.detach() for p in params]
        losses.append(float(task.loss(before)))
        seconds.append(spent)
    return np.array(losses), meter.samples, steps, np.array(seconds), before


def _stream(seed):
    """The source of a run's mini-batches, not that of its start."""
    return np.random.default_rng([seed, 1])


class _Meter:
    """Counts samples where derivatives pass; calling it gives back the same numbers.

    The gradient of a loss passes its gate once, and is free. A Hessian-vector product passes
    twice: through the gradient, and through what the gradient was made of.
    """

    def __init__(self):
        self.samples = 0

    def __call__(self, parameter, size):
        self.samples += size
        return _Gate.apply(parameter, _Passes(self, size))


class _Passes:
    """What passes one gate: the first derivative comes with the loss."""

    def __init__(self, meter, size):
        self.meter, self.size, self.free = meter, size, True

    def __call__(self):
        self.meter.samples += 0 if self.free else self.size
        self.free = False


class _Gate(torch.autograd.Function):
    """The identity; counts when a derivative passes, of any order."""

    @staticmethod
    def forward(ctx, parameter, gate):
        ctx.gate = gate
        return parameter.view_as(parameter)

    @staticmethod
    def backward(ctx, grad):
        ctx.gate()
        return _Gate.apply(grad, ctx.gate), None
