"""Escape on many processes: replicas and shards watch, look, move and refuse as one.

Built as test_optim_ranks.py: one program forks four processes and another two, which run everything
and leave their results in files.
"""

import contextlib
import copy
import functools
import math
import pathlib
import shutil
import sys
import time
import warnings

import pytest
import torch
import torch.distributed as dist
from test_optim_ranks import LIMIT, LOST, STALL, call, fork_all, results, seconds, train
from torch import nn

from saddlelib.optim import Escape

HERE = pathlib.Path(__file__).resolve()
WRONG = (1,)  # steps whose mini-batch asks for the opposite: what the last one found is refused


class Net(nn.Module):
    """x ↦ W₂ tanh(W₁x) + u tanh(v·x), float64; on two ranks W₁ is cut unevenly, and v not at all.

    At 0 the gradient vanishes. "trap": one hidden unit is a little awake, and has all the gradient.
    """

    def __init__(self, start):
        super().__init__()
        torch.manual_seed(0)
        self.enc, self.dec = (nn.Linear(8, 5, bias=False).double(),
                              nn.Linear(5, 8, bias=False).double())
        self.down, self.up = (nn.Linear(8, 1, bias=False).double(),
                              nn.Linear(1, 8, bias=False).double())
        for p in self.parameters():
            nn.init.zeros_(p)
        if start == "trap":
            nn.init.normal_(self.enc.weight[0], std=1e-3)
            nn.init.normal_(self.dec.weight[:, 0], std=1e-3)

    def forward(self, x, both=True):
        y = self.dec(torch.tanh(self.enc(x)))
        return y + self.up(torch.tanh(self.down(x))) if both else y


class Normed(nn.Module):
    """Buffers that every forward changes, and random numbers; a saddle at once."""

    def __init__(self):
        super().__init__()
        self.norm, self.net = nn.BatchNorm1d(8, affine=False).double(), Net("zero")
        self.last = nn.Parameter(torch.zeros(8, dtype=torch.float64))

    def forward(self, x):
        return self.net(self.norm(x)) + nn.functional.dropout(self.last.expand(x.shape), 0.2)


def samples():
    rng = torch.Generator().manual_seed(1)
    return torch.randn(32, 8, dtype=torch.float64, generator=rng) / torch.arange(1, 9)


INNERS = {
    "SGD": lambda params: torch.optim.SGD(params, lr=0.1, momentum=0.9),
    "AdamW": lambda params: torch.optim.AdamW(params, lr=0.01),
    "Muon": lambda params: torch.optim.Muon(params, lr=0.02),
    "LBFGS": lambda params: torch.optim.LBFGS(params, lr=0.5, max_iter=4),
    "slow SGD": lambda params: torch.optim.SGD(params, lr=1e-9),
    "plain SGD": lambda params: torch.optim.SGD(params, lr=0.1),
}
# Name: (inner, start, closure or loss). L-BFGS decides by losses, so its closure returns the mean.
RUNS = {"SGD": ("SGD", "zero", "loss"), "AdamW": ("AdamW", "zero", "closure"),
        "Muon": ("Muon", "zero", "loss"), "trap": ("slow SGD", "trap", "loss"),
        "trap, closure": ("slow SGD", "trap", "closure"),
        "LBFGS": ("LBFGS", "zero", "closure")}
STEPS = range(12)
# torch's Muon cannot add its update to a shard, and L-BFGS would flatten one.
REPLICAS, SHARDS = list(RUNS), ["SGD", "AdamW", "trap"]
# Where a run of "SGD" stops: a move waits for its judgement; it was made, and the momentum is to be
# forgotten; one gradient of a pair is there; nothing is under way.
CUTS = {"move": 3, "moved": 5, "pair": 6, "quiet": 7}


def mean_of(loss, size):
    """A loss with the value of the mean over ranks."""
    mean = loss.detach() / size
    if size > 1:
        dist.all_reduce(mean)
    return loss + (mean - loss.detach())


def go(name, model, optimizer, steps, rank=0, size=1, wrong=WRONG, loss=None, both=None):
    """The parameters, the counts and the message after every step; ``loss`` wraps the loss."""
    trace, way = [], RUNS.get(name, (None, None, "loss"))[2]
    for k in steps:
        order = torch.randperm(32, generator=torch.Generator().manual_seed(k))[:16]
        batch, sign = samples()[order[rank::size]], -1 if k in wrong else 1

        def value(batch=batch, sign=sign, k=k):
            out = model(batch) if both is None else model(batch, both(k))
            found = (out - sign * batch).square().sum(1).mean()
            return mean_of(found, size) if name == "LBFGS" else found

        def closure(value=value):
            optimizer.zero_grad()
            found = value()
            found.backward()
            return found

        if way == "loss":
            if isinstance(optimizer, Escape):
                optimizer.loss = value if loss is None else functools.partial(loss, value, k)
            closure()
            optimizer.step()
        else:
            optimizer.step(closure)
        seen = (dict(optimizer.counts), optimizer.message) if isinstance(optimizer, Escape) else 0
        trace.append((flat(model.parameters()), seen))
    return trace


def flat(tensors):
    whole = [getattr(p, "full_tensor", lambda p=p: p)() for p in tensors]
    return torch.cat([p.detach().reshape(-1) for p in whole])


def wrapped(name, model):
    return Escape(INNERS[RUNS[name][0]](model.parameters()))


# What the processes do.


def four(rank, size, folder):
    """Replicas with different data; then a rank that waits, and one that raises."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/four", rank=rank,
                            world_size=size, timeout=seconds(LIMIT))
    hasty = dist.new_group(timeout=seconds(STALL))
    replica = nn.parallel.DistributedDataParallel
    found = {}
    for name in REPLICAS:
        model = replica(Net(RUNS[name][1]))
        found[name] = go(name, model, wrapped(name, model), STEPS, rank, size)

    # The loss of a look may be asked past the wrapper that adds gradients up.
    model = Net("zero")
    around = replica(model)

    def past(value, k):
        order = torch.randperm(32, generator=torch.Generator().manual_seed(k))[:16]
        batch = samples()[order[rank::size]]
        return (model(batch) - (-1 if k in WRONG else 1) * batch).square().sum(1).mean()

    found["past DDP"] = go("SGD", around, wrapped("SGD", around), range(8), rank, size, loss=past)

    # A branch that only some ranks use, and in some steps none of them.
    model = replica(Net("trap"), find_unused_parameters=True)
    found["unused"] = go("trap", model, wrapped("trap", model), STEPS, rank, size,
                         both=lambda k: k >= 7 and rank % 2 == 0)
    found["unused left"] = float(flat(model.module.up.parameters()).norm())

    # Two mini-batches to a step, the first without a sum over ranks.
    model = replica(Net("zero"))
    optimizer = Escape(INNERS["AdamW"](model.parameters()))
    found["accumulated"] = accumulated(model, optimizer, rank, size)

    # Every move refused: as if nobody had looked. Buckets, buffers and generators tell.
    for bare in (True, False):
        torch.manual_seed(rank)
        model = replica(Normed(), gradient_as_bucket_view=True)
        optimizer = INNERS["slow SGD"](model.parameters())
        optimizer = optimizer if bare else Escape(optimizer)
        trace = go("SGD", model, optimizer, range(15), rank, size, wrong=range(1, 99, 2))
        found["bare" if bare else "refused"] = (
            [x for x, _ in trace], [b.clone() for b in model.buffers()], torch.get_rng_state())
    found["refusals"] = dict(optimizer.counts)

    # A loss that is no number, or none at all, on one rank or on each.
    spoilt = {"nan at a look": lambda value, k: value() * (math.nan if rank == 2 else 1.0),
              "nan at a judgement": lambda value, k: value() * (math.nan if rank == k == 1 else 1),
              "none on one": lambda value, k: (value(), None)[1] if rank == 1 else value(),
              "none on all": lambda value, k: (value(), None)[1],
              "no graph on one": lambda value, k: value().detach() if rank == 1 else value()}
    for name, loss in spoilt.items():
        model = replica(Net("zero"))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found[name] = go("SGD", model, wrapped("SGD", model), range(3), rank, size, wrong=(),
                             loss=loss)
        found[name].append([str(w.message) for w in said])

    model = replica(Net("zero"))
    optimizer = Escape(INNERS["plain SGD"](model.parameters()), certify=True)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        go("SGD", model, optimizer, range(2), rank, size, loss=lambda value, k: 0 * value())
    found["certified"] = optimizer.counts["looks"], [str(w.message) for w in said]

    # A rank that is late at a look, and one that fails in it.
    def late(value, k):
        time.sleep(STALL + 2 if rank == 3 else 0)
        return value()

    def fails(value, k):
        if rank == 3:
            raise ArithmeticError("this rank fails")
        return value()

    model = replica(Net("zero"))
    optimizer = Escape(INNERS["SGD"](model.parameters()), process_group=hasty)
    start = time.monotonic()
    with pytest.raises(RuntimeError) as caught:
        go("SGD", model, optimizer, [0], rank, size, loss=late)
    found["stalled"] = time.monotonic() - start, str(caught.value)
    torch.save(found, f"{folder}/four.{rank}.pt")
    model = replica(Net("zero"))
    go("SGD", model, wrapped("SGD", model), range(2), rank, size, loss=fails)


def accumulated(model, optimizer, rank=0, size=1):
    trace = []
    for k in range(8):
        order = torch.randperm(32, generator=torch.Generator().manual_seed(k))
        parts = [samples()[part[rank::size]] for part in order.split(16)]

        def value(parts=parts):
            return sum((model(x) - x).square().sum(1).mean() / 2 for x in parts)

        optimizer.loss = value
        optimizer.zero_grad()
        for x, last in zip(parts, (False, True), strict=True):
            with model.no_sync() if size > 1 and not last else contextlib.nullcontext():
                ((model(x) - x).square().sum(1).mean() / 2).backward()
        optimizer.step()
        trace.append((flat(model.parameters()), (dict(optimizer.counts), optimizer.message)))
    return trace


def sharded(start):
    from torch.distributed.fsdp import fully_shard

    model = Net(start)
    fully_shard(model.enc)
    fully_shard(model.down)
    return fully_shard(model)


def two(rank, size, folder):
    """Shards."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/two", rank=rank,
                            world_size=size, timeout=seconds(LIMIT))
    found = {}
    for name in SHARDS:
        model = sharded(RUNS[name][1])
        found[name] = go(name, model, wrapped(name, model), STEPS, rank, size)
    found["rows"] = [len(p.to_local()) for p in model.parameters()]
    found.update(stops(rank, folder))
    from torch.distributed.fsdp import FullyShardedDataParallel

    older = FullyShardedDataParallel(Net("zero"), use_orig_params=True,
                                     device_id=torch.device("cpu"))
    with pytest.raises(TypeError, match="call fully_shard on the model"):
        wrapped("SGD", older)
    found["fresh"] = fresh(sharded("zero"))
    found["stateless"] = stateless()
    found["train"] = example(folder, "ddp"), example(folder, "fsdp", "--fsdp")
    torch.save(found, f"{folder}/two.{rank}.pt")
    dist.destroy_process_group()


def example(folder, name, *more):
    """examples/train.py with a stop between a move and its judgement; the parameters at the end."""
    options = ["--optimizer", "escape-adamw", "--double", "--hidden", "3", "--checkpoint",
               f"{folder}/{name}.pt", *more]
    optimizer = train.main([*options, "--steps", "1"])[1]
    assert optimizer.message.startswith("a look at step 1 found a way down")
    if not dist.is_initialized() or dist.get_rank() == 0:
        shutil.copy(f"{folder}/{name}.pt", f"{folder}/{name}.first.pt")
    model, optimizer, _ = train.main([*options, "--steps", "5", "--resume"])
    assert optimizer.counts["moves"] == 1
    return flat(model.parameters())


# How torch.distributed.checkpoint may be told to carry a state; "files" goes through dcp.
WAYS = {"memory": {}, "whole": dict(full_state_dict=True, cpu_offload=True),
        "flat": dict(flatten_optimizer_state_dict=True), "files": {},
        "flat files": dict(flatten_optimizer_state_dict=True)}
# Each way where something waits that it may lose.
SAVED = [(cut, way) for cut in CUTS for way in ("own", *WAYS)
         if cut in ("move", "pair") or way in ("own", "whole", "files")]


def stops(rank, folder):
    """A run that stops at each cut and saves in every way; and runs that go on from there."""
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import (
        StateDictOptions,
        get_state_dict,
        set_state_dict,
    )

    def state(model, optimizer, way):
        if way == "own":
            return {"m": model.state_dict(), "o": optimizer.state_dict()}
        options = StateDictOptions(**WAYS[way])
        return dict(zip("mo", get_state_dict(model, optimizer, options=options), strict=True))

    first, at, found = sharded("zero"), 0, {"saving": []}
    saving = wrapped("SGD", first)
    for cut, stop in CUTS.items():
        found["saving"] += go("SGD", first, saving, range(at, stop), rank, 2)
        at = stop
        held = [key for key in ("move", "first") if saving._held[key]]
        assert held == {"move": ["move"], "pair": ["first"]}.get(cut, []), (cut, held)
        for way in [way for where, way in SAVED if where == cut]:
            saved = copy.deepcopy(state(first, saving, way))
            model = sharded("zero")
            optimizer = wrapped("SGD", model)
            if "files" in way:
                dcp.save(saved, checkpoint_id=folder / f"{cut}, {way}")
                saved = state(model, optimizer, way)
                dcp.load(saved, checkpoint_id=folder / f"{cut}, {way}")
            elif way == "whole":  # which is on rank 0 alone
                if rank == 0:
                    torch.save(saved, folder / f"{cut}.pt")
                dist.barrier()
                saved = torch.load(folder / f"{cut}.pt", weights_only=True)
            if way == "own":
                model.load_state_dict(saved["m"])
                optimizer.load_state_dict(saved["o"])
            else:
                set_state_dict(model, optimizer, model_state_dict=saved["m"],
                               optim_state_dict=saved["o"], options=StateDictOptions(**WAYS[way]))
            found[cut, way] = go("SGD", model, optimizer, range(at, at + 4), rank, 2)
    return found


def fresh(model):
    """What get_optimizer_state_dict does to a wrapper that has not made a step."""
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

    asked = []
    optimizer = Escape(torch.optim.AdamW(model.parameters(), lr=0.1),
                       loss=lambda: asked.append(1))
    before = flat(model.parameters())
    get_optimizer_state_dict(model, optimizer)
    return dict(optimizer.counts), asked, torch.equal(before, flat(model.parameters()))


def stateless():
    """Save and load at every step; of an optimizer without state get_... calls step() each time."""
    from torch.distributed.checkpoint.state_dict import (
        get_optimizer_state_dict,
        set_optimizer_state_dict,
    )

    traces = []
    for saves in (False, True):
        model = Net("zero")  # the same on each rank, with all the data
        model.idle = nn.Parameter(torch.zeros(2, dtype=torch.float64))  # never has a gradient
        optimizer = Escape(INNERS["plain SGD"](model.parameters()))
        trace = []
        for k in range(11):
            trace += go("SGD", model, optimizer, [k])
            if saves:
                optimizer.zero_grad()
                set_optimizer_state_dict(model, optimizer,
                                         get_optimizer_state_dict(model, optimizer))
        traces.append(trace)
    return traces


if __name__ == "__main__":
    fork_all(pathlib.Path(sys.argv[1]), four, two)
    sys.exit()


# The tests.


@pytest.fixture(scope="module")
def forked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("escape_ranks")
    call([str(HERE), str(folder)])
    return folder


@pytest.fixture(scope="module")
def replicas(forked):
    return results(forked, "four", 4)


@pytest.fixture(scope="module")
def shards(forked):
    found = results(forked, "two", 2)
    assert (forked / "two.ended").read_text() == "0 0"
    return found


@pytest.fixture(scope="module")
def alone():
    """One process with the whole of the data."""
    found = {}
    for name in RUNS:
        model = Net(RUNS[name][1])
        found[name] = go(name, model, wrapped(name, model), STEPS)
    return found


def assert_same_bits(found, expected):
    for (x, seen), (y, other) in zip(found, expected, strict=True):
        assert torch.equal(x, y)
        assert repr(seen) == repr(other)  # nan is nan


COUNTS = ["steps", "looks", "moves", "refused", "at"]


def assert_same_run(found, expected):
    for (x, (counts, _)), (y, (others, _)) in zip(found, expected, strict=True):
        assert [counts[key] for key in COUNTS] == [others[key] for key in COUNTS]
        torch.testing.assert_close(x, y, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", RUNS)
def test_the_runs_go_through_all_that_can_happen(alone, name):
    """Otherwise the comparisons below would say little."""
    counts = alone[name][-1][1][0]
    assert counts["moves"] == 1 and (name.startswith("trap") or counts["refused"] == 2), counts


@pytest.mark.parametrize("name", REPLICAS)
def test_replicas_agree_bit_for_bit_and_do_what_one_process_does(replicas, alone, name):
    for other in replicas[1:]:
        assert_same_bits(other[name], replicas[0][name])
    assert_same_run(replicas[0][name], alone[name])


@pytest.mark.parametrize("name", SHARDS)
def test_shards_do_what_one_process_does(shards, alone, name):
    assert_same_bits(shards[1][name], shards[0][name])
    assert_same_run(shards[0][name], alone[name])


def test_uneven_and_empty_shards_are_among_them(shards):
    assert [found["rows"] for found in shards] == [[3, 4, 1, 4], [2, 4, 0, 4]]


def test_the_loss_of_a_look_may_go_past_the_wrapper_that_adds_gradients_up(replicas, alone):
    for found in replicas:
        assert_same_bits(found["past DDP"], replicas[0]["past DDP"])
    assert_same_run(replicas[0]["past DDP"], alone["SGD"][:8])


def test_a_branch_that_some_ranks_do_not_use_is_looked_at_by_all(replicas):
    for found in replicas:
        assert_same_bits(found["unused"], replicas[0]["unused"])
        assert found["unused left"] > 0.02


def test_accumulated_gradients_without_a_sum_are_those_of_one_process(replicas):
    model = Net("zero")
    trace = accumulated(model, Escape(INNERS["AdamW"](model.parameters())))
    for found in replicas:
        assert_same_bits(found["accumulated"], replicas[0]["accumulated"])
    assert_same_run(replicas[0]["accumulated"], trace)
    assert trace[-1][1][0]["moves"] == 1


def test_refused_moves_leave_every_replica_as_the_bare_optimizer_does(replicas):
    """Also buckets that gradients are views of, buffers of batch normalization, and generators."""
    for found in replicas:
        assert found["refusals"]["refused"] >= 1 and found["refusals"]["moves"] == 0
        for a, b in zip(found["bare"], found["refused"], strict=True):
            for x, y in zip(a, b, strict=True):
                assert torch.equal(x, y)


def test_a_loss_that_is_not_finite_on_one_rank_is_so_for_all(replicas):
    for found in replicas:
        for name in ("nan at a look", "nan at a judgement"):
            assert_same_bits(found[name][:-1], replicas[0][name][:-1])
        assert "not finite" in found["nan at a look"][0][1][1]
        assert found["nan at a judgement"][1][1][0]["refused"] == 1


def test_a_loss_that_returns_nothing_on_one_rank_is_said_by_all_and_training_goes_on(replicas):
    for rank, found in enumerate(replicas):
        for name in ("none on one", "none on all", "no graph on one"):
            *trace, said = found[name]
            assert len(said) == 1 and "nobody can look" in said[0]
            assert trace[-1][1][0]["steps"] == 3 and trace[-1][1][0]["moves"] == 0
        assert ("returned None" if rank == 1 else "on 1 of 4 ranks") in found["none on one"][-1][0]
        assert "returned None" in found["none on all"][-1][0]
        assert ("no parameter" if rank == 1 else "on 1 of 4") in found["no graph on one"][-1][0]


def test_certificates_along_the_way_are_for_one_process_which_is_said(replicas):
    for found in replicas:
        looks, said = found["certified"]
        assert looks == 1 and len(said) == 1 and "lipschitz_hess" in said[0]


def test_ranks_do_not_wait_for_ever_for_one_that_is_late_at_a_look(replicas):
    for found in replicas[:3]:
        waited, message = found["stalled"]
        assert waited < STALL + 20
        assert LOST.search(message), message


def test_a_rank_that_fails_in_a_look_ends_the_others_with_an_error(forked):
    assert "0" not in (forked / "four.ended").read_text().split()
    said = [(forked / f"four.{rank}.txt").read_text() for rank in range(4)]
    assert "ArithmeticError: this rank fails" in said[3]
    for text in said[:3]:
        assert "RuntimeError" in text and LOST.search(text), text


# Ways that lose what only some states have: a move that waits, and the first gradient of a pair.
LOSSY = {"flat", "files", "flat files"}


@pytest.mark.parametrize("cut, way", SAVED)
def test_a_run_goes_on_where_it_stopped(shards, cut, way):
    """Bit for bit; where a move was lost, it is found again and made a step later."""
    for found in shards:
        assert_same_bits(found["saving"], found["SGD"][:CUTS["quiet"]])
        assert_same_bits(found[cut, way], shards[0][cut, way])
        rest, whole = found[cut, way], found["SGD"][CUTS[cut]:CUTS[cut] + 4]
        if cut == "move" and way in LOSSY:
            (_, (counts, _)), (_, (others, _)) = rest[-1], whole[-1]
            assert counts["moves"] == others["moves"] == 1 and counts["at"] == others["at"] + 1
            assert counts["looks"] == others["looks"] + 1
        elif cut == "pair" and way in LOSSY:
            for (x, (counts, _)), (y, (others, _)) in zip(rest, whole, strict=True):
                assert torch.equal(x, y) and counts["looks"] == others["looks"]
        else:
            assert_same_bits(rest, whole)


@pytest.mark.parametrize("cut", CUTS)
def test_shards_go_on_as_one_process(forked, shards, alone, cut):
    """From the whole state, also with what waits."""
    saved = torch.load(forked / f"{cut}.pt", weights_only=False)
    model = Net("zero")
    optimizer = wrapped("SGD", model)
    from torch.distributed.checkpoint.state_dict import set_state_dict

    set_state_dict(model, optimizer, model_state_dict=saved["m"], optim_state_dict=saved["o"])
    at = CUTS[cut]
    assert_same_run(go("SGD", model, optimizer, range(at, at + 4)), alone["SGD"][at:at + 4])


def test_a_copy_looks_again_for_a_move_that_waits():
    model = Net("zero")
    optimizer = wrapped("SGD", model)
    go("SGD", model, optimizer, range(3))
    assert optimizer.message.startswith("a look at step 3 found a way down")
    model, optimizer = copy.deepcopy((model, optimizer))
    counts = go("SGD", model, optimizer, range(3, 6))[-1][1][0]
    assert counts["moves"] == 1 and counts["at"] == 4


def test_a_fresh_wrapper_neither_looks_nor_counts_when_a_state_is_made_for_it(shards):
    for found in shards:
        counts, asked, same = found["fresh"]
        assert counts["steps"] == counts["looks"] == 0 and not asked and same


def test_a_move_survives_a_checkpoint_of_an_optimizer_without_state(shards):
    for found in shards:
        without, with_saves = found["stateless"]
        assert_same_bits(with_saves, without)
        assert without[-1][1][0]["moves"] == 1 and without[-1][1][0]["refused"] == 2


def test_the_example_goes_on_alike_on_any_number_of_processes(forked, shards, tmp_path):
    alone = example(tmp_path, "one")
    for name in ("ddp", "fsdp"):
        (tmp_path / "one.pt").write_bytes((forked / f"{name}.first.pt").read_bytes())
        model = train.main(["--optimizer", "escape-adamw", "--double", "--hidden", "3", "--steps",
                            "5", "--resume", "--checkpoint", str(tmp_path / "one.pt")])[0]
        torch.testing.assert_close(flat(model.parameters()), alone, rtol=1e-5, atol=1e-8)
    for found in shards:
        for x, y in zip(found["train"], shards[0]["train"], strict=True):
            assert torch.equal(x, y)
            torch.testing.assert_close(x, alone, rtol=1e-5, atol=1e-8)
