"""Many processes: replicas and shards decide as one, and a rank that fails ends the others.

One program imports torch and forks four processes and another two; these run all scenarios and
leave their results in files. The tests compare them with each other and with a run on one process.
"""

import contextlib
import copy
import datetime
import functools
import importlib
import io
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import traceback

import pytest
import torch
import torch.distributed as dist
from thorough import instances
from torch import nn

from saddlelib.optim import PSD, PSGD, GDPolyak, OrderAwareNewton
from saddlelib.optim import _vector as vector

HERE = pathlib.Path(__file__).resolve()
ROOT = HERE.parents[2]
LIMIT = 240  # seconds for a process; on two idle cores it needs ten
STALL = 4  # seconds that a rank waits for another one before it gives up

sys.path.insert(0, str(ROOT / "examples"))
train = importlib.import_module("train")
sys.path.pop(0)


def seconds(n):
    return datetime.timedelta(seconds=n)


# What every process does, alone or among others.


def autoencoder(name=None):
    """x ↦ W₂ tanh(W₁x) in float64, near its saddle at 0; 5 rows cannot be shared evenly."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 5, bias=False), nn.Tanh(), nn.Linear(5, 8, bias=False))
    for p in model.parameters():
        nn.init.normal_(p, std=0.3 if name in LONG_STEPS else 1e-6)
    return model.double()


def samples():
    rng = torch.Generator().manual_seed(1)
    return torch.randn(32, 8, dtype=torch.float64, generator=rng) / torch.arange(1, 9)


SETTINGS = dict(lr=0.4, epsilon=0.08, curvature_tol=0.6, check_every=2, rest=3, seed=5,
                episode_length=8, lanczos_steps=8, perturbation_radius=0.02)
RUNS = {
    "PSD": lambda params: PSD(params, rule="published", **SETTINGS),
    "PSD, direction": lambda params: PSD(params, rule="published", escape="direction", **SETTINGS),
    "PSD, no closure": lambda params: PSD(params, rule="published", **SETTINGS),
    "PSD, quick": lambda params: PSD(params, **{**SETTINGS, "episode_length": 5}),
    "PSGD": lambda params: PSGD(params, rule="pairs", window=2, **SETTINGS),
    "PSGD, quick": lambda params: PSGD(params, window=2, **{**SETTINGS, "episode_length": 5}),
}
# Long steps that help and that do not: f_star is not reached, and λ is too large.
LONG_STEPS = {
    "GDPolyak": lambda params: GDPolyak(params, lr=0.4, f_star=0.05, epoch_length=2, factor=3.0,
                                        guard=1.0),
    "GDPolyak, published": lambda params: GDPolyak(params, lr=0.4, f_star=0.05, epoch_length=4,
                                                   safe=False),
}
RUNS.update(LONG_STEPS)
# As many as see all that can happen.
STEPS = {"PSD": 17, "PSD, direction": 15, "PSD, no closure": 18, "PSD, quick": 11, "PSGD": 23,
         "PSGD, quick": 10, "GDPolyak": 26, "GDPolyak, published": 15}
NEWTON = "OrderAwareNewton"  # not for shards
# One run of each kind on shards; the others ask for nothing else of them.
SHARDS = instances(["PSD, direction", "PSD, no closure", "PSD, quick", "PSGD", "GDPolyak"],
                   list(RUNS))
# Where runs are stopped and go on from files: within an episode, and before a step is taken back.
CUTS = {"PSD, direction": (range(4), range(4, 8)), "PSGD": (range(6), range(6, 10)),
        "GDPolyak": (range(18), range(18, 22))}


def run(name, model, optimizer, steps, rank=0, size=1):
    """The parameters and the counts after every step."""
    trace = []
    for step in steps:
        order = torch.arange(32)
        if name.startswith("PSGD"):
            order = torch.randperm(32, generator=torch.Generator().manual_seed(step))[:16]
        batch = samples()[order[rank::size]]

        def value(batch=batch):
            return (model(batch) - batch).square().sum(1).mean()

        def closure(value=value):
            optimizer.zero_grad()
            loss = value()
            loss.backward()
            return loss

        if name == "PSD, no closure":
            closure()
            optimizer.step(curvature_closure=value)
        else:
            optimizer.step(closure)
        whole = [getattr(p, "full_tensor", lambda p=p: p)() for p in model.parameters()]
        trace.append((torch.cat([p.detach().reshape(-1) for p in whole]), dict(optimizer.counts)))
    return trace


def options(path, *more):
    return ["--double", "--hidden", "5", "--check-every", "2", "--epochs", "2", "--lr", "0.3",
            "--checkpoint", str(path), *more]


def steps_of_training(folder, name, *more):
    """examples/train.py, in one go and with a stop within an episode; the parameters at the end."""
    found = []
    for file, *parts in [(f"{name}.whole.pt", ["--steps", "12"]),
                         (f"{name}.pt", ["--steps", "5"], ["--steps", "12", "--resume"])]:
        for part in parts:
            model, optimizer, _ = train.main(options(folder / file, *part, *more))
            if part == ["--steps", "5"]:  # within an epoch, too
                assert optimizer.counts["left"] > 0
        found.append([getattr(p, "full_tensor", lambda p=p: p)().detach()
                      for p in model.parameters()])
    return [torch.cat([p.reshape(-1) for p in each]) for each in found]


def four(rank, size, folder):
    """Replicas with different data: all runs, then a rank that waits, then one that raises."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/four", rank=rank,
                            world_size=size, timeout=seconds(LIMIT))
    hasty = dist.new_group(timeout=seconds(STALL))
    found = {}
    for name, make in RUNS.items():
        model = nn.parallel.DistributedDataParallel(autoencoder(name))
        found[name] = run(name, model, make(model.parameters()), range(STEPS[name]), rank, size)
    model = nn.parallel.DistributedDataParallel(autoencoder("GDPolyak"))
    found[NEWTON] = run(NEWTON, model, OrderAwareNewton(model.parameters(), max_eval=8), range(8),
                        rank, size)
    found["mean"] = vector.mean_over_ranks(torch.tensor([0.1, rank, 10.0**rank]))
    found["mean in two"] = vector.mean_over_ranks(
        torch.tensor(float(rank)), [dist.new_group([0, 1]), dist.new_group([2, 3])][rank // 2])

    model = nn.parallel.DistributedDataParallel(autoencoder(), process_group=hasty)
    optimizer = RUNS["PSD"](model.parameters())
    run("PSD", model, optimizer, range(2), rank, size)
    start = time.monotonic()
    if rank == 3:
        time.sleep(STALL + 2)  # it never comes to its third step
    else:
        with pytest.raises(RuntimeError) as caught:
            run("PSD", model, optimizer, [2, 3], rank, size)
        found["stalled"] = time.monotonic() - start, str(caught.value)
    torch.save(found, f"{folder}/four.{rank}.pt")

    model = nn.parallel.DistributedDataParallel(autoencoder())
    optimizer = RUNS["PSD"](model.parameters())
    run("PSD", model, optimizer, range(2), rank, size)
    if rank == 3:
        raise ArithmeticError("this rank fails")
    run("PSD", model, optimizer, [2], rank, size)


def two(rank, size, folder):
    """Shards, and examples/train.py."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/two", rank=rank,
                            world_size=size, timeout=seconds(LIMIT))
    found = {"train": steps_of_training(folder, "ddp")}
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import Partial, Replicate, Shard, distribute_tensor

    def sharded(name=None):
        model = autoencoder(name)
        fully_shard(model[0])
        return fully_shard(model)

    for name in SHARDS:
        model = sharded(name)
        found[name] = run(name, model, RUNS[name](model.parameters()), range(STEPS[name]), rank,
                          size)

    # A state that is saved within an episode and loaded into fresh objects.
    name, half = "PSGD", found["PSGD"]
    left = [counts["left"] for _, counts in half]
    stop = left.index(max(left)) + 4
    model = sharded()
    optimizer = RUNS[name](model.parameters())
    run(name, model, optimizer, range(stop), rank, size)
    saved = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    model = sharded()
    optimizer = RUNS[name](model.parameters())
    model.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    found["resumed"] = stop, run(name, model, optimizer, range(stop, stop + 8), rank, size)

    # The same by torch.distributed.checkpoint, through files.
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

    for name, parts in CUTS.items():
        for steps in parts:
            model = sharded(name)
            optimizer = RUNS[name](model.parameters())
            if steps.start:
                states = dict(zip("mo", get_state_dict(model, optimizer), strict=True))
                dcp.load(states, checkpoint_id=folder / name)
                set_state_dict(model, optimizer, model_state_dict=states["m"],
                               optim_state_dict=states["o"])
            found[f"{name}, {steps}"] = run(name, model, optimizer, steps, rank, size)
            if not steps.start:
                states = dict(zip("mo", get_state_dict(model, optimizer), strict=True))
                dcp.save(states, checkpoint_id=folder / name)

    # Sums and draws, with shards of unequal length, an empty one, and whole tensors among them.
    mesh = init_device_mesh("cpu", (size,))
    rng = torch.Generator().manual_seed(3)
    plain = [torch.randn(shape, dtype=torch.float64, generator=rng)
             for shape in [(5, 3), (1, 7), (4,), (6, 5), (9, 1)]]
    placements = [[Shard(0)], [Shard(0)], None, [Shard(1)], [Replicate()]]
    cut = [t if p is None else distribute_tensor(t, mesh, p)
           for t, p in zip(plain, placements, strict=True)]
    found["sums"] = [(vector.norm(a), float(vector.dot(a, vector.scale_(vector.clone(a), 3.0))),
                      vector.numel(a)) for a in (plain, cut)]
    huge = [vector.scale_(vector.clone(a), 1e300) for a in (plain, cut)]
    found["huge"] = [vector.norm(a) for a in huge]
    balls = [vector.uniform_ball(a, 0.5, 7, 9) for a in (plain, cut)]
    assert [getattr(b, "placements", None) for b in balls[1]] == [
        getattr(c, "placements", None) for c in cut]
    found["balls"] = [[getattr(b, "full_tensor", lambda b=b: b)() for b in ball] for ball in balls]
    from torch.distributed.tensor import DTensor
    with pytest.raises(TypeError, match="whole tensors, got a DTensor"):
        OrderAwareNewton(sharded().parameters())
    with pytest.raises(ValueError, match="redistribute"):
        vector.norm([DTensor.from_local(plain[0], mesh, [Partial()])])
    with pytest.raises(ValueError, match="same way"):
        vector.dot(plain, cut)

    found["train, sharded"] = steps_of_training(folder, "fsdp", "--fsdp")

    # What torchrun does: it sets some variables, and the example makes the group.
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = [server.getsockname()[1]]  # free a moment later
    dist.broadcast_object_list(port)
    dist.destroy_process_group()
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(size),
                      MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port[0]))
    with contextlib.redirect_stdout(io.StringIO()) as said:
        train.main(options(folder / "launched.pt", "--steps", "8"))
    assert not dist.is_initialized()
    found["launched"] = said.getvalue()
    torch.save(found, f"{folder}/two.{rank}.pt")


def fork_all(folder, four, two):
    """Run four() in four processes and two() in two, at once, because four() waits for a while.

    How each process ended goes into a file.
    """
    # What takes seconds to import is imported once: DDP needs the first.
    import torch._dynamo
    import torch.distributed.fsdp  # noqa: F401

    torch.set_num_threads(1)
    children = {four: [], two: []}
    for scenario, size in ((four, 4), (two, 2)):
        for rank in range(size):
            child = os.fork()
            if child == 0:
                signal.alarm(LIMIT)  # whatever happens, nothing is left behind
                said = os.open(folder / f"{scenario.__name__}.{rank}.txt", os.O_CREAT | os.O_WRONLY)
                os.dup2(said, 1)
                os.dup2(said, 2)
                status = 1
                try:
                    scenario(rank, size, folder)
                    status = 0
                except BaseException:
                    traceback.print_exc()
                finally:
                    sys.stdout.flush()
                    sys.stderr.flush()
                    os._exit(status)
            children[scenario].append(child)
    for scenario, ranks in children.items():
        ended = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in ranks]
        (folder / f"{scenario.__name__}.ended").write_text(" ".join(map(str, ended)))


if __name__ == "__main__":
    fork_all(pathlib.Path(sys.argv[1]), four, two)
    sys.exit()


# The tests.


def call(command):
    """Run a Python program that finds this library."""
    env = {**os.environ, "OMP_NUM_THREADS": "1",
           "PYTHONPATH": os.pathsep.join(filter(None, [
               str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH")]))}
    done = subprocess.run([sys.executable, *command], env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=3 * LIMIT)
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def forked(tmp_path_factory):
    """Folder with what all processes left: results, words, and how they ended."""
    folder = tmp_path_factory.mktemp("ranks")
    call([str(HERE), str(folder)])
    return folder


def results(folder, name, size):
    files = [folder / f"{name}.{rank}.pt" for rank in range(size)]
    for file in files:
        assert file.exists(), file.with_suffix(".txt").read_text()
    return [torch.load(file, weights_only=False) for file in files]


@pytest.fixture(scope="module")
def replicas(forked):
    return results(forked, "four", 4)


@pytest.fixture(scope="module")
def shards(forked):
    found = results(forked, "two", 2)
    assert (forked / "two.ended").read_text() == "0 0"
    return found


@functools.cache
def alone(name):
    """One process with the whole of the data."""
    model = autoencoder(name)
    return run(name, model, RUNS[name](model.parameters()), range(STEPS[name]))


DECISIONS = ["steps", "looks", "checks", "episodes", "epochs", "accepted", "rejected", "left",
             "status"]


def assert_same_run(found, expected):
    for (x, counts), (y, others) in zip(found, expected, strict=True):
        assert [counts.get(key) for key in DECISIONS] == [others.get(key) for key in DECISIONS]
        torch.testing.assert_close(x, y, rtol=1e-6, atol=1e-9)


def assert_same_bits(found, expected):
    for (x, counts), (y, others) in zip(found, expected, strict=True):
        assert torch.equal(x, y)
        assert repr(counts) == repr(others)  # nan is nan


@pytest.mark.parametrize("name", RUNS)
def test_the_runs_go_through_all_that_can_happen(name):
    """Otherwise the comparisons below would say little."""
    trace = alone(name)
    if name in LONG_STEPS:
        last = trace[-1][1]
        assert last["epochs"] >= 3 and (name != "GDPolyak" or last["accepted"] * last["rejected"])
        return
    other = "KEPT" if "quick" in name else "NONE_FOUND"
    assert {counts["status"].name for _, counts in trace} >= {"EPISODE", other}
    assert trace[0][0].norm() < 0.04 and trace[-1][0].norm() > 0.3


@pytest.mark.parametrize("name", RUNS)
def test_replicas_agree_bit_for_bit(replicas, name):
    for other in replicas[1:]:
        assert_same_bits(other[name], replicas[0][name])


@pytest.mark.parametrize("name", RUNS)
def test_replicas_do_what_one_process_does_with_all_the_data(replicas, name):
    assert_same_run(replicas[0][name], alone(name))


def test_replicas_take_the_same_newton_steps_with_the_mean_of_their_losses(replicas):
    for other in replicas[1:]:
        assert_same_bits(other[NEWTON], replicas[0][NEWTON])
    model = autoencoder("GDPolyak")
    trace = run(NEWTON, model, OrderAwareNewton(model.parameters(), max_eval=8), range(8))
    for (_, counts), (_, others) in zip(replicas[0][NEWTON], trace, strict=True):
        assert counts["closure_calls"] == others["closure_calls"]
        assert counts["loss"] == pytest.approx(others["loss"], rel=1e-4)
    assert counts["loss"] < 0.7 * replicas[0][NEWTON][0][1]["loss"]


@pytest.mark.parametrize("name", SHARDS)
def test_shards_agree_and_do_what_one_process_does(shards, name):
    assert_same_bits(shards[1][name], shards[0][name])
    assert_same_run(shards[0][name], alone(name))


def test_a_state_of_shards_goes_on_bit_for_bit_within_an_episode(shards):
    stop, rest = shards[0]["resumed"]
    assert 0 < rest[0][1]["left"]
    assert_same_bits(rest, shards[0]["PSGD"][stop:stop + 8])


@pytest.mark.parametrize("name", list(CUTS))
def test_a_distributed_checkpoint_goes_on_bit_for_bit_within_an_episode(shards, name):
    cut = CUTS[name][1]
    for found in shards:
        rest = found[f"{name}, {cut}"]
        assert rest[0][1]["left"] > 0 or name == "GDPolyak"
        assert_same_bits(rest, found[name][cut.start:cut.stop])
    if name == "GDPolyak":  # a step from before the cut was taken back after it
        before, after = found[name][cut.start - 1][1], rest[2][1]
        assert before["status"].name == "LONG" and after["status"].name == "BACK"


def test_sums_and_draws_of_shards_are_those_of_the_whole(shards):
    for found in shards:
        plain, cut = found["sums"]
        assert cut == pytest.approx(plain, rel=1e-14)
        assert found["huge"][1] == pytest.approx(found["huge"][0], rel=1e-14)
        for a, b in zip(*found["balls"], strict=True):
            assert torch.equal(a, b)
        assert found["sums"] == shards[0]["sums"]


def test_a_mean_over_ranks_is_the_same_bits_on_each(replicas):
    for rank, found in enumerate(replicas):
        torch.testing.assert_close(found["mean"], torch.tensor([0.1, 1.5, 277.75]))
        assert torch.equal(found["mean"], replicas[0]["mean"])
        assert float(found["mean in two"]) == (0.5 if rank < 2 else 2.5)


# What gloo says on one machine depends on whether bytes were on their way.
LOST = re.compile("timed out|connection (closed|reset) by peer", re.IGNORECASE)


def test_ranks_do_not_wait_for_ever_for_one_that_stalls(replicas):
    for found in replicas[:3]:
        waited, message = found["stalled"]
        assert waited < STALL + 20
        assert LOST.search(message), message


def test_a_rank_that_fails_ends_the_others_with_an_error(forked):
    assert "0" not in (forked / "four.ended").read_text().split()
    said = [(forked / f"four.{rank}.txt").read_text() for rank in range(4)]
    assert "ArithmeticError: this rank fails" in said[3]
    for text in said[:3]:
        assert "RuntimeError" in text and LOST.search(text), text


def test_the_example_goes_on_where_it_stopped(shards, tmp_path, capsys):
    """On one process and on two, whose runs are the same to rounding, shared either way."""
    at_once, resumed = steps_of_training(tmp_path, "one")
    assert torch.equal(at_once, resumed)
    said = capsys.readouterr().out.splitlines()
    assert "episodes 1" in said[-1] and "|gradient|" in said[-1]
    for found in shards:
        for name in ("train", "train, sharded"):
            assert torch.equal(*found[name])
            torch.testing.assert_close(found[name][0], at_once, rtol=1e-6, atol=1e-9)


def test_the_example_goes_on_with_another_number_of_processes(forked, shards):
    for name in ("ddp", "fsdp"):
        found = [list(train.main(options(forked / path, "--steps", "14", "--resume"))[0]
                      .parameters()) for path in (f"{name}.pt", f"{name}.whole.pt")]
        for a, b in zip(*found, strict=True):
            assert torch.equal(a, b)


def test_the_example_joins_the_processes_that_torchrun_starts(forked, shards, tmp_path):
    train.main(options(tmp_path / "one.pt", "--steps", "8"))
    # One rank speaks for all.
    assert [found["launched"].count("step     0 ") for found in shards] == [1, 0]
    one, two = (torch.load(path, weights_only=True)
                for path in (tmp_path / "one.pt", forked / "launched.pt"))
    assert one["optimizer"]["state"][0]["left"] == two["optimizer"]["state"][0]["left"] > 0
    for key, value in one["model"].items():
        torch.testing.assert_close(two["model"][key], value, rtol=1e-6, atol=1e-9)


def test_the_example_refuses_what_cannot_be_shared(tmp_path):
    with pytest.raises(SystemExit, match="not between 1 and 1797"):
        train.main(options(tmp_path / "x", "--batch-size", "2000"))
