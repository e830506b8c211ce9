"""Train an autoencoder away from its saddle at zero: on one process, or on many with torchrun.

    python examples/train.py --optimizer psgd
    torchrun --nproc-per-node 2 examples/train.py --optimizer psgd
    torchrun --nproc-per-node 2 examples/train.py --optimizer psd --fsdp --checkpoint run.pt
    torchrun --nproc-per-node 2 examples/train.py --optimizer escape-adamw

Give it --resume as well as --checkpoint to go on where a run has stopped, on as many processes as
you like. README.md tells the story.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import itertools
import os

import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch import nn

from saddlelib.optim import PSD, PSGD, Escape


def arguments(argv=None):
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--optimizer", choices=["psgd", "psd", "sgd", "adam", "escape-adamw"],
                        default="psgd")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=256,
                        help="samples in a step, of all processes together")
    parser.add_argument("--lr", type=float, help="1, or 0.002 for Adam and AdamW")
    parser.add_argument("--rule", choices=["quick", "pairs", "published"],
                        help="PSD, PSGD: whether a kick comes first, or a look at the curvature")
    parser.add_argument("--epsilon", type=float, default=0.02,
                        help="PSD, PSGD: a gradient norm up to this is small")
    parser.add_argument("--curvature-tol", type=float, default=0.1,
                        help="PSD, PSGD: what counts as negative curvature; 0.3 at the saddle")
    parser.add_argument("--check-every", type=int, default=5,
                        help="PSD, PSGD: steps from one look at the gradient to the next")
    parser.add_argument("--hidden", type=int, default=16)
    parser.add_argument("--start", type=float,
                        help="standard deviation of the weights at the start; the saddle is 0, "
                             "where escape-adamw begins, and the others at 1e-4")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fsdp", action="store_true", help="shard with fully_shard, not DDP")
    parser.add_argument("--double", action="store_true", help="float64")
    parser.add_argument("--checkpoint", help="a file for the state at the end of the run")
    parser.add_argument("--resume", action="store_true", help="begin with what is in that file")
    parser.add_argument("--steps", type=int, help="stop after so many steps of the whole run")
    parser.add_argument("--log-every", type=int, default=10)
    return parser.parse_args(argv)


@contextlib.contextmanager
def processes():
    """(rank, number of processes, device); with a process group where torchrun has started us."""
    many = "RANK" in os.environ and not dist.is_initialized()
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if cuda else "cpu"
    if cuda:
        torch.cuda.set_device(device)
    if many:
        dist.init_process_group("nccl" if cuda else "gloo")
    try:
        here = dist.is_initialized()
        yield (dist.get_rank(), dist.get_world_size(), device) if here else (0, 1, device)
    finally:
        if many:
            dist.destroy_process_group()


def digits(device, dtype):
    """The 1797 digits around their mean; the mean squared norm is 1."""
    x = torch.as_tensor(load_digits().data, dtype=dtype, device=device)
    x = x - x.mean(0)
    return x / x.square().sum(1).mean().sqrt()


def autoencoder(features, args, device, dtype):
    """x ↦ W₂ tanh(W₁x), near W = 0: there the gradient vanishes, and λ_min is −2λ_max(cov)."""
    torch.manual_seed(args.seed)  # the same on every process
    model = nn.Sequential(nn.Linear(features, args.hidden, bias=False), nn.Tanh(),
                          nn.Linear(args.hidden, features, bias=False)).to(device, dtype)
    start = args.start
    if start is None:
        start = 0.0 if args.optimizer == "escape-adamw" else 1e-4
    for p in model.parameters():
        nn.init.normal_(p, std=start)
    return model


def spread(model, args, size):
    """The model on all processes: replicas, or with --fsdp a part on each."""
    if size == 1:
        return model
    if not args.fsdp:
        return nn.parallel.DistributedDataParallel(model)
    from torch.distributed.fsdp import fully_shard

    for layer in (model[0], model[2]):
        fully_shard(layer)
    return fully_shard(model)


def make_optimizer(params, args):
    """The optimizer that the options name."""
    lr = args.lr or (0.002 if "adam" in args.optimizer else 1.0)
    if args.optimizer == "sgd":
        return torch.optim.SGD(params, lr=lr)
    if args.optimizer == "adam":
        return torch.optim.Adam(params, lr=lr)
    if args.optimizer == "escape-adamw":
        return Escape(torch.optim.AdamW(params, lr=lr), seed=args.seed)
    settings = dict(lr=lr, epsilon=args.epsilon, curvature_tol=args.curvature_tol,
                    check_every=args.check_every, lanczos_steps=20, rest=50, seed=args.seed)
    if args.rule:
        settings["rule"] = args.rule
    if args.optimizer == "psd":
        return PSD(params, **settings)
    return PSGD(params, window=2, **settings)


def batches(n, args, first):
    """Batch after batch for ever, from step ``first`` on; an epoch is one permutation, cut."""
    each = n // args.batch_size
    for step in itertools.count(first):
        if step == first or step % each == 0:
            seed = 9973 * args.seed + step // each
            order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
        start = step % each * args.batch_size
        yield order[start:start + args.batch_size]


def whole(tree):
    """Nested dictionaries and lists with every sharded tensor put together; all processes call."""
    if isinstance(tree, dict):
        return {key: whole(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [whole(value) for value in tree]
    return tree.full_tensor() if hasattr(tree, "full_tensor") else tree


def part(value, p):
    """A whole tensor cut as the parameter is; anything else as it is."""
    if not hasattr(p, "placements") or getattr(value, "shape", None) != p.shape:
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value, p.device_mesh, p.placements)


def save(path, model, optimizer, step, rank):
    """Write model, optimizer and step; whole tensors, so that any number of processes can read."""
    model = getattr(model, "module", model)
    saved = whole({"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    if rank == 0:
        torch.save({**saved, "step": step}, path + ".new")
        os.replace(path + ".new", path)  # a run that is killed here leaves the old one


def load(path, model, optimizer):
    """Put back what `save` wrote; returns the step."""
    model = getattr(model, "module", model)
    saved = torch.load(path, map_location="cpu", weights_only=True)
    params = model.state_dict()
    model.load_state_dict({key: part(value, params[key]) for key, value in saved["model"].items()})
    params = [p for group in optimizer.param_groups for p in group["params"]]
    for i, entries in saved["optimizer"]["state"].items():
        entries.update({key: part(value, params[i]) for key, value in entries.items()})
    optimizer.load_state_dict(saved["optimizer"])
    return saved["step"]


def line(step, samples, loss, norm, optimizer):
    """One line of the log: where the run is, and what the optimizer has looked at so far."""
    text = f"step {step:5d}  samples {samples:7d}  loss {loss:.6f}  |gradient| {norm:.2e}"
    if isinstance(optimizer, Escape):
        return f"{text}  {optimizer.message}"
    if not hasattr(optimizer, "counts"):
        return text
    c = optimizer.counts
    return (f"{text}  episodes {c['episodes']} ({c['kept']} kept, {c['undone']} undone)  "
            f"checks {c['checks']} ({c['hvp']} products by {c['hvp_by']})  "
            f"closure calls {c['closure_calls']}  {c['status'].name.lower()}")


def train(args, rank, size, device):
    """The loop; every process has its share of each batch."""
    if args.batch_size % size:
        raise SystemExit(f"--batch-size {args.batch_size} cannot be shared by {size} processes")
    x = digits(device, torch.float64 if args.double else torch.float32)
    if not 0 < args.batch_size <= len(x):
        raise SystemExit(f"--batch-size {args.batch_size} is not between 1 and {len(x)}")
    model = spread(autoencoder(x.shape[1], args, device, x.dtype), args, size)
    optimizer = make_optimizer(model.parameters(), args)
    first = load(args.checkpoint, model, optimizer) if args.resume else 0
    last = args.epochs * (len(x) // args.batch_size)
    last = last if args.steps is None else min(last, args.steps)

    def closure():
        # The same batch each time that the optimizer calls it within one step.
        optimizer.zero_grad()
        loss = (model(batch) - batch).square().sum(1).mean()
        loss.backward()
        return loss

    loss = None
    for step, indices in zip(range(first, last), batches(len(x), args, first), strict=False):
        batch = x[indices[rank::size]]
        loss = optimizer.step(closure)
        if step % args.log_every == 0 or step == last - 1:
            # For the eye alone: the optimizer decides by gradients, which all processes share.
            mean = loss.detach() / size
            if size > 1:
                dist.all_reduce(mean)
            norm = nn.utils.get_total_norm([p.grad for p in model.parameters()])
            norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
            if rank == 0:
                print(line(step, (step + 1) * args.batch_size, float(mean), float(norm), optimizer),
                      flush=True)
    if args.checkpoint:
        save(args.checkpoint, model, optimizer, last, rank)
    return model, optimizer, loss


def main(argv=None):
    """Train; returns the model, the optimizer and the loss of the last step."""
    args = arguments(argv)
    with processes() as (rank, size, device):
        model, optimizer, loss = train(args, rank, size, device)
        # The wrapper goes while its group is there: freed after it, it can wait for ever.
        model = getattr(model, "module", model)
        gc.collect()
        return model, optimizer, loss


if __name__ == "__main__":
    main()
