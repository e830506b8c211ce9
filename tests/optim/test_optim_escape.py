"""What the wrapper promises: it leaves saddles, costs nothing elsewhere, and is the optimizer."""

import copy
import io
import itertools
import logging
import math
import pickle
import warnings

import pytest
import torch
from thorough import instances
from torch import nn

from saddlelib.optim import PSD, PSGD, Escape
from saddlelib.optim._evaluator import Evaluator
from saddlelib.optim._look import agrees, look, sizes_of

# Every optimizer of torch, with a learning rate for the tasks below.
INNERS = {
    "Adadelta": (torch.optim.Adadelta, {"lr": 1.0}), "Adafactor": (torch.optim.Adafactor, {}),
    "Adagrad": (torch.optim.Adagrad, {"lr": 0.05}), "Adam": (torch.optim.Adam, {"lr": 0.02}),
    "AdamW": (torch.optim.AdamW, {"lr": 0.02, "weight_decay": 0.0}),
    "Adamax": (torch.optim.Adamax, {"lr": 0.02}), "ASGD": (torch.optim.ASGD, {"lr": 0.05}),
    "LBFGS": (torch.optim.LBFGS, {"max_iter": 4}), "Muon": (torch.optim.Muon, {"lr": 0.02}),
    "NAdam": (torch.optim.NAdam, {"lr": 0.02}), "RAdam": (torch.optim.RAdam, {"lr": 0.02}),
    "RMSprop": (torch.optim.RMSprop, {"lr": 0.01}), "Rprop": (torch.optim.Rprop, {"lr": 0.01}),
    "SGD": (torch.optim.SGD, {"lr": 0.05}),
    "momentum": (torch.optim.SGD, {"lr": 0.02, "momentum": 0.9}),
    "PSD": (PSD, {"lr": 0.05}), "PSGD": (PSGD, {"lr": 0.05}),
}
ALL = pytest.mark.parametrize("name", INNERS)
SOME = pytest.mark.parametrize("name", ["SGD", "momentum", "AdamW", "Adagrad", "Muon", "LBFGS"])


def test_every_optimizer_of_torch_is_in_the_table():
    kinds = {name for name in torch.optim.__all__
             if isinstance(getattr(torch.optim, name), type)} - {"Optimizer", "SparseAdam"}
    assert kinds <= INNERS.keys()


class Task:
    """y ≈ W₃W₂W₁x or y ≈ W₂W₁x from mini-batches; at 0 a saddle, degenerate for three layers."""

    def __init__(self, layers=2, start=0.0, seed=0, noise=0.1):
        rng = torch.Generator().manual_seed(99)
        self.x = torch.randn(128, 6, dtype=torch.float64, generator=rng)
        target = torch.randn(4, 6, dtype=torch.float64, generator=rng)
        self.y = self.x @ target.T / 3 + noise * torch.randn(128, 4, dtype=torch.float64,
                                                             generator=rng)
        rng = torch.Generator().manual_seed(seed)
        shapes = [(5, 6)] + [(5, 5)] * (layers - 2) + [(4, 5)]
        self.params = [nn.Parameter(start * torch.randn(s, dtype=torch.float64, generator=rng))
                       for s in shapes]
        self.batch, self.factor, self.offset = torch.arange(128), 1.0, 0.0

    def loss(self):
        h = self.x[self.batch]
        for p in self.params:
            h = h @ p.T
        return self.offset + self.factor * (h - self.y[self.batch]).square().sum(1).mean()

    def whole(self):
        kept, self.batch = self.batch, torch.arange(128)
        with torch.no_grad():
            value = self.loss().item()
        self.batch = kept
        return value

    def closure(self, optimizer):
        def closure():
            optimizer.zero_grad()
            loss = self.loss()
            loss.backward()
            return loss
        return closure

    def run(self, optimizer, steps, size=32, closure=False, first=0):
        for k in range(first, first + steps):
            rng = torch.Generator().manual_seed(1000 + k)
            self.batch = torch.randint(128, (size,), generator=rng)
            if closure or isinstance(getattr(optimizer, "inner", optimizer), torch.optim.LBFGS):
                optimizer.step(self.closure(optimizer))
            else:
                self.closure(optimizer)()
                optimizer.step()
        return optimizer

    def flat(self):
        return torch.cat([p.detach().reshape(-1) for p in self.params])


def wrapped(task, name="SGD", **more):
    kind, settings = INNERS[name]
    own = {"loss": task.loss} if kind in (PSD, PSGD) else {}
    return Escape(kind(task.params, **settings, **own), loss=task.loss, **more)


# It leaves.


@ALL
@pytest.mark.parametrize("layers", [2, 3])
@pytest.mark.parametrize("closure", [False, True])
@pytest.mark.filterwarnings("ignore:nobody can look")  # PSD and PSGD within
def test_every_optimizer_stays_at_a_saddle_and_wrapped_leaves_it(name, layers, closure):
    if name not in ("PSD", "PSGD"):  # which leave some saddles by themselves
        alone = Task(layers)
        kind, settings = INNERS[name]
        alone.run(kind(alone.params, **settings), 5, closure=closure)
        assert not alone.flat().any()
    task = Task(layers)
    optimizer = wrapped(task, name)
    if closure:
        optimizer.loss = None
    before = task.whole()
    for k in range(25):
        task.run(optimizer, 1, closure=closure, first=k)
        if task.whole() < 0.9 * before:
            break
    assert task.whole() < 0.9 * before
    assert optimizer.counts["moves"] >= 1 or name in ("PSD", "PSGD")


@pytest.mark.parametrize("seed", range(instances(15, 40)))
def test_a_saddle_is_left_within_twenty_batches_whatever_the_seed(seed):
    for layers in (2, 3):
        task = Task(layers)
        optimizer = wrapped(task, "Adam", seed=seed)
        before = task.whole()
        while task.whole() > 0.9 * before:
            task.run(optimizer, 1, first=optimizer.counts["steps"])
            assert optimizer.counts["evaluations"] + optimizer.counts["steps"] <= 45
    assert optimizer.counts["moves"] == 1


@pytest.mark.parametrize("power", [-40, -20, 20, 40])
@pytest.mark.parametrize("layers", [2, 3])
def test_nothing_has_a_unit(power, layers):
    plain, scaled = Task(layers, start=1e-4), Task(layers, start=1e-4)
    scaled.factor = 2.0**power
    one = Escape(torch.optim.SGD(plain.params, lr=0.25), loss=plain.loss)
    two = Escape(torch.optim.SGD(scaled.params, lr=0.25 / scaled.factor), loss=scaled.loss)
    plain.run(one, 60)
    scaled.run(two, 60)
    assert torch.equal(plain.flat(), scaled.flat())
    assert layers == 2 or one.counts["moves"] == 1
    assert one.counts["evaluations"] == two.counts["evaluations"]


def test_an_offset_of_the_loss_does_not_hide_the_way():
    task = Task(3)
    task.offset = 1e4
    before = task.whole()
    task.run(wrapped(task, "Adam"), 40)
    assert task.whole() < before - 0.05


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_leaves_in_low_precision_too(dtype):
    task = Task(3)
    task.x, task.y = task.x.to(dtype), task.y.to(dtype)
    task.params = [nn.Parameter(p.detach().to(dtype)) for p in task.params]
    before = task.whole()
    task.run(wrapped(task, "Adam"), 40)
    assert task.whole() < 0.9 * before


def test_dead_units_wake_in_a_network_that_trains():
    """One hidden unit has learned all it can; the others are exactly zero."""
    task = Task(2)
    with torch.no_grad():
        rng = torch.Generator().manual_seed(0)
        task.params[0][0] = torch.randn(6, generator=rng)
        task.params[1][:, 0] = torch.randn(4, generator=rng)
    alone = copy.deepcopy(task)
    alone.run(torch.optim.Adam(alone.params, lr=0.05), 300)
    assert not alone.params[0][1:].any()
    task.run(Escape(torch.optim.Adam(task.params, lr=0.05), loss=task.loss), 300)
    assert task.whole() < 0.2 * alone.whole() and task.params[0][1:].all(1).any()


# It costs nothing where nothing is wrong.


@SOME
def test_where_nobody_looks_a_step_is_that_of_the_inner_bit_for_bit(name):
    bare, task = Task(2, start=0.4), Task(2, start=0.4)
    kind, settings = INNERS[name]
    bare.run(kind(bare.params, **settings), 12)
    optimizer = wrapped(task, name)
    task.run(optimizer, 12)
    assert torch.equal(bare.flat(), task.flat()) and optimizer.counts["moves"] == 0
    # L-BFGS ends a step where the gradient of the mini-batch is small, so looks are due.
    assert optimizer.counts["looks"] == 0 or name == "LBFGS"


@pytest.mark.parametrize("lr", [0.1, 0.3])
def test_near_a_strict_saddle_that_the_inner_leaves_nobody_looks(lr):
    for seed in range(20):
        task = Task(2, start=1e-3, seed=seed)
        optimizer = Escape(torch.optim.SGD(task.params, lr=lr), loss=task.loss)
        before = task.whole()
        while task.whole() > 0.9 * before:
            task.run(optimizer, 1, first=optimizer.counts["steps"])
        assert optimizer.counts["looks"] == 0 and optimizer.counts["evaluations"] <= 2


def test_looks_in_vain_keep_their_budget():
    for overhead, steps in ((0.02, 1000), (0.2, 400)):
        task = Task(2, start=0.3, noise=1.0)  # SGD is soon lost in noise, and looks in vain
        optimizer = wrapped(task, overhead=overhead)
        worst = 0
        for k in range(steps):
            before = optimizer.counts["evaluations"]
            task.run(optimizer, 1, first=k)
            c = optimizer.counts
            worst = max(worst, c["evaluations"] - before)
            assert c["in_vain"] <= 8 + overhead * c["steps"] + 20  # the last look, with its verdict
        assert worst <= 20 and c["moves"] == 0
        assert c["looks"] >= 2


def test_where_nothing_moves_at_all_looks_have_their_credit_and_then_wait():
    x = nn.Parameter(torch.zeros(3, dtype=torch.float64))
    optimizer = Escape(torch.optim.SGD([x], lr=0.1), loss=lambda: (x * x).sum())
    for _ in range(300):
        optimizer.zero_grad()
        optimizer.loss().backward()
        optimizer.step()
    assert 32 <= optimizer.counts["in_vain"] <= 64 + 0.02 * 300 + 20 and not x.any()


@pytest.mark.parametrize("noise, least", [(0.0, 2), (0.05, 6)])
def test_where_slopes_show_noise_six_mini_batches_have_to_agree(noise, least):
    """f = Σ (x⁴ − x²) and on every mini-batch ±noise·Σx; y keeps a gradient that goes nowhere."""
    x, y = (nn.Parameter(torch.zeros(n, dtype=torch.float64)) for n in (2, 1))
    sign = 1.0

    def loss():
        return (x**4 - x**2).sum() + sign * (noise * x.sum() + 0.1 * y.sum())

    optimizer = Escape(torch.optim.SGD([x, y], lr=1e-9), loss=loss)
    agreed = 0
    for k in range(60):
        sign = 1.0 if k % 2 else -1.0
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
        agreed = max(agreed, optimizer._s["agreed"])
        if optimizer.counts["moves"]:
            break
    assert optimizer.counts["moves"] == 1 and agreed == least
    assert optimizer.counts["in_vain"] <= 4  # what led to a move was not in vain


@pytest.mark.parametrize("slope, moves", [(5.0, 0), (1e-3, 1)])
def test_where_the_gradient_leads_as_far_down_nothing_moves(slope, moves):
    """f = x⁴ − x² + slope·y with a learning rate that goes nowhere: the way along x is 1/4 deep."""
    x, y = (nn.Parameter(torch.zeros(1, dtype=torch.float64)) for _ in range(2))
    optimizer = Escape(torch.optim.SGD([x, y], lr=1e-12),
                       loss=lambda: (1 + x**4 - x**2 + slope * y).sum())
    for _ in range(60):
        optimizer.zero_grad()
        optimizer.loss().backward()
        optimizer.step()
    assert optimizer.counts["looks"] >= 1 and optimizer.counts["moves"] == moves


def minimum():
    """A small tanh network at a minimum of its regularized loss, and its mini-batches."""
    rng = torch.Generator().manual_seed(3)
    x = torch.randn(200, 4, dtype=torch.float64, generator=rng)
    y = torch.sin(2 * x[:, :1]) + 0.3 * torch.randn(200, 1, dtype=torch.float64, generator=rng)
    params = [nn.Parameter(torch.randn(s, dtype=torch.float64, generator=rng) / 2)
              for s in [(6, 4), (6,), (1, 6)]]

    def loss(batch=slice(None)):
        h = torch.tanh(x[batch] @ params[0].T + params[1]) @ params[2].T
        return (h - y[batch]).square().mean() + 1e-2 * sum(p.square().sum() for p in params)

    solver = torch.optim.LBFGS(params, max_iter=3000, line_search_fn="strong_wolfe",
                               tolerance_grad=1e-7, tolerance_change=0)

    def closure():
        solver.zero_grad()
        value = loss()
        value.backward()
        return value
    solver.step(closure)
    return params, loss


def test_at_a_minimum_nothing_moves_however_often_one_looks():
    params, loss = minimum()
    rng, agreed, looks = torch.Generator().manual_seed(0), [0] * 7, instances(40, 100)
    for seed in range(looks):
        batch = torch.randint(200, (16,), generator=rng)
        with Evaluator(params, lambda: loss(batch)) as ask:  # noqa: B023
            found = look(ask, sizes_of(params), seed, 1)
        points, move, quiet = 0, found.move, found.slope <= 1e-3 * found.fall
        while move is not None and points < 6:  # as the wrapper counts where gradients are noisy
            batch = torch.randint(200, (16,), generator=rng)
            with Evaluator(params, lambda: loss(batch)) as ask:  # noqa: B023
                part, fall, slope = agrees(ask, move, (1.0, 0.5, 0.25))
            if part == 0.0:
                break
            move, found.fall = [part * t for t in move], part * found.fall
            quiet = quiet and slope / fall <= 1e-3
            points += 3 if quiet and 0.25 < fall / found.fall < 4 else 1
        agreed[min(points, 6)] += 1
    # Mini-batches see ways that are none; a second one believes few of them, and six none.
    assert agreed[6] == 0 and sum(agreed[1:]) <= 0.15 * looks, agreed


def test_on_convex_mini_batches_nothing_moves():
    """f(x) − f(x + m) ≤ |⟨∇f(x), m⟩| for convex f, and twice that is asked for."""
    rng = torch.Generator().manual_seed(0)
    for seed in range(instances(20, 60)):
        A = torch.randn(5, 8, dtype=torch.float64, generator=rng)
        b = torch.randn(5, dtype=torch.float64, generator=rng)
        x = nn.Parameter(torch.randn(8, dtype=torch.float64, generator=rng))

        def loss(A=A, b=b, x=x):
            return torch.logaddexp(A @ x - b, b - A @ x).sum()

        with Evaluator([x], loss) as ask:
            assert look(ask, sizes_of([x]), seed, 1).move is None
            move = torch.randn(8, dtype=torch.float64, generator=rng)
            assert agrees(ask, [move], (1.0, 0.5, 0.25))[0] == 0.0


def test_a_refused_move_changes_nothing_not_by_a_bit(caplog):
    class Liar(Task):
        """Sees a way down on the mini-batches of even steps only."""

        def loss(self):
            side = -1.0 if self.even else 1.0
            return sum(side * p.square().sum() + p.pow(4).sum() for p in self.params)

    task, steps = Liar(2), iter(range(10**6))
    caplog.set_level(logging.INFO, logger="saddlelib.optim")
    task.even = True
    optimizer = wrapped(task, "AdamW")
    for _ in range(200):
        task.even = next(steps) % 2 == 0
        task.closure(optimizer)()
        optimizer.step()
        assert not task.flat().any()
    assert optimizer.counts["refused"] >= 1 and optimizer.counts["moves"] == 0
    assert any("did not agree: nothing was moved" in line for line in caplog.messages)


def test_a_look_leaves_generators_and_buffers_alone():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    for p in model.parameters():
        nn.init.zeros_(p)
    x = torch.randn(16, 4)

    def loss():
        return (model(x) - 1).square().mean() * model[1].running_mean.numel()

    optimizer = Escape(torch.optim.SGD(model.parameters(), lr=0.0), loss=loss)
    optimizer.param_groups[0]["lr"] = 1e-30
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    before = [b.clone() for b in model.buffers()], torch.get_rng_state()
    optimizer.step()
    assert optimizer.counts["looks"] == 1
    assert all(map(torch.equal, before[0], model.buffers()))
    assert torch.equal(before[1], torch.get_rng_state())


# It is an optimizer.


def saved(task, optimizer):
    file = io.BytesIO()
    torch.save({"params": [p.detach() for p in task.params],
                "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@SOME
@pytest.mark.parametrize("layers", [2, 3])
def test_a_run_goes_on_from_a_checkpoint_at_any_step_bit_for_bit(name, layers):
    def fresh():
        task = Task(layers)
        return task, wrapped(task, name)

    task, optimizer = fresh()
    states, ends = [], {}
    for k in range(30):
        states.append((saved(task, optimizer), optimizer._held["move"] is not None,
                       optimizer._held["first"] is not None))
        task.run(optimizer, 1, first=k)
        ends[k + 1] = task.flat(), str(optimizer.counts)
    assert any(move for _, move, _ in states) and any(first for _, _, first in states)
    # With everything that may wait, and for one optimizer at every step.
    waits = [next(k for k, state in enumerate(states) if state[held]) for held in (1, 2)]
    for k in range(30) if name == "AdamW" else (0, *waits, 25):
        other, again = fresh()
        with torch.no_grad():
            for p, q in zip(other.params, states[k][0]["params"], strict=True):
                p.copy_(q)
        again.load_state_dict(states[k][0]["optimizer"])
        for end in (min(k + 10, 30), *([30] if k == 0 else [])):
            other.run(again, end - again.counts["steps"], first=again.counts["steps"])
            assert torch.equal(other.flat(), ends[end][0]) and str(again.counts) == ends[end][1]


@SOME
def test_bare_and_wrapped_checkpoints_load_each_other(name):
    kind, settings = INNERS[name]
    bare, task, back = (Task(2, start=0.4) for _ in range(3))
    one = bare.run(kind(bare.params, **settings), 5)
    two = wrapped(task, name)
    two.load_state_dict(saved(bare, one)["optimizer"])
    three = kind(back.params, **settings)
    three.load_state_dict(saved(task, two)["optimizer"])
    for some in (task, back):
        with torch.no_grad():
            for p, q in zip(some.params, bare.params, strict=True):
                p.copy_(q)
    for some, optimizer in ((bare, one), (task, two), (back, three)):
        some.run(optimizer, 4, first=5)
    assert torch.equal(bare.flat(), task.flat()) and torch.equal(bare.flat(), back.flat())


def test_a_checkpoint_is_a_snapshot_and_an_older_one_is_completed():
    task = Task(3)
    optimizer = wrapped(task)
    state = optimizer.state_dict()
    task.run(optimizer, 3)
    assert state["param_groups"][0]["escape"]["steps"] == 0
    del state["param_groups"][0]["escape"]["agreed"]
    state["param_groups"][0]["escape"]["of another version"] = 1  # and as many as before
    state["param_groups"][0]["escape"]["steps"] = 7
    optimizer.load_state_dict(state)
    assert optimizer.counts["steps"] == 7
    task.run(optimizer, 3)


def test_groups_state_and_defaults_are_the_inner_ones():
    task = Task(2, start=0.3)
    optimizer = wrapped(task, "AdamW")
    inner = optimizer.inner
    assert isinstance(optimizer, torch.optim.Optimizer) and "AdamW" in repr(optimizer)
    assert optimizer.param_groups is inner.param_groups and optimizer.state is inner.state
    assert optimizer.defaults is inner.defaults
    optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(2))], "lr": 0.5})
    assert inner.param_groups[1]["lr"] == 0.5
    task.run(optimizer, 2)
    for sched in (torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5),
                  torch.optim.lr_scheduler.StepLR(inner, 1, 0.5)):
        before = inner.param_groups[0]["lr"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the one that sees no step
            task.run(optimizer, 1)
            sched.step()
        assert optimizer.param_groups[0]["lr"] == inner.param_groups[0]["lr"] == before / 2


def test_hooks_of_the_wrapper_and_of_the_inner_run():
    task = Task(2, start=0.3)
    optimizer, seen = wrapped(task), []
    optimizer.register_step_pre_hook(lambda o, *_: seen.append(("pre", o)))
    optimizer.register_step_post_hook(lambda o, *_: seen.append(("post", o)))
    optimizer.inner.register_step_post_hook(lambda o, *_: seen.append(("inner", o)))
    optimizer.register_state_dict_pre_hook(lambda o: seen.append(("save", o)))
    optimizer.register_state_dict_post_hook(lambda o, d: {**d, "more": 1})
    optimizer.register_load_state_dict_pre_hook(lambda o, d: {
        key: value for key, value in d.items() if key != "more"})
    optimizer.register_load_state_dict_post_hook(lambda o: seen.append(("load", o)))
    task.run(optimizer, 1)
    state = optimizer.state_dict()
    assert state["more"] == 1
    optimizer.load_state_dict(state)
    assert [what for what, _ in seen] == ["pre", "inner", "post", "save", "load"]
    assert all(o is (optimizer.inner if what == "inner" else optimizer) for what, o in seen)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
@pytest.mark.parametrize("schedule", [False, True])
def test_a_copy_is_independent_and_asks_for_its_loss_again(copied, schedule):
    task = Task(2)
    optimizer = wrapped(task, "AdamW")
    if schedule:
        torch.optim.lr_scheduler.StepLR(optimizer, 1)
    task.run(optimizer, 3)
    other = copied(optimizer)
    assert other.loss is None and str(other.counts) == str(optimizer.counts)
    before = task.flat(), optimizer.counts["steps"]
    for p in other.param_groups[0]["params"]:
        p.grad = torch.ones_like(p)
    other.step()
    assert torch.equal(before[0], task.flat()) and optimizer.counts["steps"] == before[1]
    assert other.counts["steps"] == before[1] + 1


def test_state_that_was_made_at_construction_is_not_forgotten():
    task = Task(2)
    optimizer = wrapped(task, "Adagrad")
    task.run(optimizer, 10)
    assert optimizer.counts["moves"] == 1 and "sum" in optimizer.state[task.params[0]]


def test_a_grad_scaler_and_a_step_that_it_skips():
    task = Task(2)
    optimizer, scaler = wrapped(task, "SGD"), torch.amp.GradScaler("cpu", init_scale=8.0)
    before = task.whole()
    for k in range(20):
        optimizer.zero_grad()
        scaler.scale(task.loss()).backward()
        if k == 5:
            task.params[0].grad[0, 0] = math.inf
        scaler.step(optimizer)
        scaler.update()
    assert task.whole() < 0.9 * before and optimizer.counts["steps"] == 19


def test_a_compiled_step_is_that_of_the_inner_compiled():
    def compiled(task, optimizer):
        step = torch.compile(optimizer.step, backend="eager")
        for k in range(6):
            task.batch = torch.arange(16 * k, 16 * k + 16)
            task.closure(optimizer)()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch.compile makes some of its own
                step()
        return task.flat()

    bare, task = Task(2, start=0.3), Task(2, start=0.3)
    optimizer = wrapped(task, "AdamW")
    alone = torch.optim.AdamW(bare.params, **INNERS["AdamW"][1])
    assert torch.equal(compiled(task, optimizer), compiled(bare, alone))
    assert optimizer.counts["steps"] == 6


def test_maximizing_is_minimizing_the_negative():
    up, down = Task(3), Task(3)
    up.factor = -1.0
    one = Escape(torch.optim.SGD(up.params, lr=0.2, maximize=True), loss=up.loss)
    two = Escape(torch.optim.SGD(down.params, lr=0.2), loss=down.loss)
    up.run(one, 20)
    down.run(two, 20)
    assert torch.equal(up.flat(), down.flat()) and one.counts["moves"] == 1


# What it says, and what it refuses.


def test_where_nobody_can_look_it_says_so_once_and_trains_on():
    task = Task(2)
    optimizer = wrapped(task)
    optimizer.loss = None
    with pytest.warns(RuntimeWarning, match="nobody can look.*loss=lambda") as caught:
        task.run(optimizer, 150)
    assert len(caught) == 1 and optimizer.counts["looks"] >= 1 and not task.flat().any()
    optimizer.loss = task.loss
    before = task.whole()
    task.run(optimizer, 80)
    assert task.whole() < before


@pytest.mark.parametrize("kind, match", [("none", "returned None"), ("vector", "one number"),
                                         ("random", "asked again at the same parameters")])
def test_a_loss_that_cannot_be_asked_is_named_once_and_training_goes_on(kind, match):
    task, count = Task(2), itertools.count(1)
    bad = {"none": lambda: None, "vector": lambda: task.params[0],
           "random": lambda: next(count) * task.loss()}[kind]
    optimizer = Escape(torch.optim.SGD(task.params, lr=0.1), loss=bad)
    with pytest.warns(RuntimeWarning, match=match) as caught:
        task.run(optimizer, 120)
    assert len(caught) == 1 and match in optimizer.message
    assert optimizer.counts["steps"] == 120 and not task.flat().any()


def test_an_exception_of_the_loss_reaches_the_user_and_leaves_the_parameters():
    task = Task(2)

    def loss():
        if task.params[0].any():
            raise ArithmeticError("mine")
        return task.loss()

    optimizer = Escape(torch.optim.SGD(task.params, lr=0.1), loss=loss)
    with pytest.raises(ArithmeticError, match="mine"):
        task.run(optimizer, 3)
    assert not task.flat().any()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_not_finite_move_nothing(bad):
    task = Task(2)
    optimizer = Escape(torch.optim.SGD(task.params, lr=0.1), loss=lambda: task.loss() * bad)
    task.run(optimizer, 60)
    assert optimizer.counts["moves"] == 0 and "not finite" in optimizer.message
    assert not task.flat().any()


def test_every_look_is_a_line_in_the_log_and_the_message_has_its_numbers(caplog):
    task = Task(2)
    optimizer = wrapped(task)
    assert "has not stood still" in optimizer.message
    with caplog.at_level(logging.INFO, logger="saddlelib.optim"):
        task.run(optimizer, 3)
    assert len(caplog.records) == 2
    assert "found a way down" in caplog.messages[0] and caplog.messages[1] == optimizer.message
    assert f"moved by {optimizer.counts['length']:.3g}" in optimizer.message


def test_no_gradient_and_frozen_parameters():
    task = Task(2)
    frozen = nn.Parameter(torch.ones(3, dtype=torch.float64), requires_grad=False)
    unused = nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = Escape(torch.optim.Adam([frozen, *task.params, unused]), loss=task.loss)
    optimizer.step()  # no gradient at all: nothing happens
    task.run(optimizer, 20)
    assert optimizer.counts["moves"] == 1
    assert torch.equal(frozen, torch.ones(3).double()) and torch.equal(unused, frozen)


def test_a_learning_rate_of_zero_is_nobody_standing_still():
    task = Task(2)
    optimizer = Escape(torch.optim.SGD(task.params, lr=0.0), loss=task.loss)
    task.run(optimizer, 20)
    assert optimizer.counts["steps"] == 0 and not task.flat().any()


@pytest.mark.parametrize("given, error, match", [
    ({"loss": 3}, TypeError, "loss must be a callable.*got int"),
    ({"overhead": 0.0}, ValueError, "overhead must be in .0, 1., got 0.0"),
    ({"overhead": True}, ValueError, "overhead"), ({"overhead": math.nan}, ValueError, "overhead"),
    ({"seed": -1}, ValueError, "seed"), ({"seed": 0.5}, TypeError, "seed"),
    ({"inner": [1]}, TypeError, "inner must be an optimizer.*got list"),
])
def test_settings_out_of_range_are_named(given, error, match):
    inner = torch.optim.SGD(Task(2).params, lr=0.1)
    with pytest.raises(error, match=match):
        Escape(**{"inner": inner, **given})


def test_a_wrapper_is_not_wrapped_again():
    with pytest.raises(TypeError, match="already"):
        Escape(wrapped(Task(2)))
