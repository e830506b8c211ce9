"""What users hand over besides a plain float network: a look copes, or says that it cannot."""

import gc
import math
import warnings

import pytest
import torch
from torch import nn

from saddlelib.optim import Escape
from saddlelib.optim._evaluator import Evaluator
from saddlelib.optim._look import look, sizes_of


def well(x):
    """A saddle at 0, and wells at ±√½ of depth ¼ for each number."""
    return (x**4 - x**2).sum()


def zeros(*shape, dtype=torch.float64):
    return nn.Parameter(torch.zeros(shape, dtype=dtype))


def train(optimizer, loss, steps=30):
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    return optimizer


def wrapped(params, loss, kind=torch.optim.SGD, lr=0.05):
    return Escape(kind(params, lr=lr), loss=loss)


# Parameters and gradients.


@pytest.mark.parametrize("other", ["complex", "empty", "0-dim", "frozen later"])
def test_what_cannot_move_does_not_hinder_what_can(other):
    x = zeros(3)
    second = {"complex": nn.Parameter(torch.ones(2, dtype=torch.complex128)), "empty": zeros(0),
              "0-dim": zeros(), "frozen later": zeros(2)}[other]

    def loss():
        return well(x) + second.abs().square().sum()

    optimizer = train(wrapped([second, x], loss, torch.optim.Adam), loss, 1)
    if other == "frozen later":
        second.requires_grad_(False)
    train(optimizer, loss, 60)
    assert optimizer.counts["moves"] == 1 and well(x) < -0.7


@pytest.mark.parametrize("kind", ["complex", "empty", "sparse"])
def test_where_nothing_can_move_the_inner_runs_as_if_alone(kind):
    def fresh():
        rng = torch.Generator().manual_seed(0)
        if kind == "sparse":
            return nn.Parameter(torch.zeros(20000, 2))
        size = 0 if kind == "empty" else 3
        dtype = torch.complex128 if kind == "complex" else torch.float64
        return nn.Parameter(torch.randn(size, dtype=dtype, generator=rng))

    def loss(p):
        if kind == "sparse":
            return well(nn.functional.embedding(torch.arange(4), p, sparse=True))
        return p.abs().square().sum()

    alone, p = fresh(), fresh()
    train(torch.optim.SGD([alone], lr=0.05), lambda: loss(alone), 400)
    optimizer = train(wrapped([p], lambda: loss(p)), lambda: loss(p), 400)
    assert torch.equal(alone, p) and optimizer.counts["looks"] == 0


@pytest.mark.parametrize("how", ["frozen", "replaced"])
def test_a_move_whose_parameters_left_meanwhile_is_dropped(how):
    x, y = [zeros(3)], zeros(3)

    def loss():
        return well(x[0]) + well(y)

    optimizer = train(wrapped([x[0], y], loss), loss, 1)
    left = x[0]
    assert optimizer._held["move"] is not None
    if how == "frozen":
        left.requires_grad_(False)
    else:
        x[0] = zeros(3)
        optimizer.param_groups[0]["params"] = [x[0], y]
    train(optimizer, loss, 40)
    assert not left.any() and y.all() and optimizer.counts["moves"] == 1
    assert how == "frozen" or x[0].all()


@pytest.mark.parametrize("lr", [None, torch.tensor(0.05), "none at all"])
def test_a_learning_rate_may_be_a_tensor_or_the_business_of_the_inner(lr):
    class Own(torch.optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {} if lr == "none at all" else {"lr": lr})

        @torch.no_grad()
        def step(self, closure=None):
            for p in self.param_groups[0]["params"]:
                p.add_(p.grad, alpha=-0.05)

    x = zeros(3)
    optimizer = train(Escape(Own([x]), loss=lambda: well(x)), lambda: well(x), 60)
    assert optimizer.counts["moves"] == 1 and well(x) < -0.7


# Losses.


@pytest.mark.parametrize("bad", [lambda x: well(x).item(), torch.no_grad()(well)])
def test_a_loss_without_a_graph_is_not_taken_for_a_flat_one(bad):
    x = zeros(3)
    optimizer = wrapped([x], lambda: bad(x))
    with pytest.warns(RuntimeWarning, match="depends on no parameter"):
        train(optimizer, lambda: well(x))
    assert "found no way down" not in optimizer.message


@pytest.mark.parametrize("factor", [5e-324, 1e-322, 1e-300, 1e-150, 1e150, 1e300])
def test_losses_at_the_ends_of_the_range_of_floats_raise_nothing(factor):
    x = zeros(3)

    def loss():
        return well(4 * x) * factor

    optimizer = train(wrapped([x], loss, torch.optim.Rprop), loss, 100)
    assert torch.isfinite(x).all()
    if factor > 5e-324:  # of which a loss is a whole multiple
        assert optimizer.counts["moves"] >= 1 and well(4 * x) < -0.3


@pytest.mark.parametrize("first, then", [(1e150, 1e-150), (1.2e154, 1.2e154), (1e-170, 1e-170)])
def test_gradients_whose_squares_nearly_leave_the_range_raise_nothing(first, then):
    x, factor = zeros(1), [first]
    optimizer = wrapped([x], lambda: factor[0] * x.sum(), lr=1e-200)
    train(optimizer, optimizer.loss, 12)
    factor[0] = then
    train(optimizer, optimizer.loss, 150)
    assert optimizer.counts["steps"] == 162 and optimizer.counts["moves"] == 0


def test_a_loss_that_is_another_each_time_is_found_out_where_it_shows():
    """At zero every mini-batch has the same cross-entropy, so a first look sees nothing wrong."""
    rng = torch.Generator().manual_seed(0)
    data, labels = torch.randn(300, 4, generator=rng), torch.randint(3, (300,), generator=rng)
    params = [zeros(6, 4, dtype=torch.float32), zeros(3, 6, dtype=torch.float32)]

    def loss():  # draws a mini-batch of its own
        i = torch.randint(300, (16,), generator=rng)
        return nn.functional.cross_entropy(torch.tanh(data[i] @ params[0].T) @ params[1].T,
                                           labels[i])

    optimizer = wrapped(params, loss, lr=1e-12)
    train(optimizer, loss, 1)
    assert optimizer.counts["looks"] == 1 and "nobody" not in optimizer.message
    with torch.no_grad():
        for p in params:
            p.normal_(generator=torch.Generator().manual_seed(0))
    with pytest.warns(RuntimeWarning, match="asked again at the same parameters"):
        optimizer._look(optimizer._s, None)
    assert optimizer.counts["moves"] == 0


def test_a_step_under_autocast_sees_weights_that_move():
    """Autocast keeps copies of the weights until it ends."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8, bias=False), nn.Linear(8, 2, bias=False))
    x, y = torch.randn(32, 4), torch.randn(32, 2)
    for p in model.parameters():
        nn.init.zeros_(p)

    def loss():
        return (model(x) - y).float().square().mean()

    optimizer = wrapped(model.parameters(), loss, torch.optim.Adam)
    before = loss().item()
    for _ in range(30):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            train(optimizer, loss, 1)
            inside = loss().item()
        torch.testing.assert_close(inside, loss().item(), rtol=0.02, atol=0.02)
    assert loss() < 0.98 * before and optimizer.counts["moves"] == 1


def test_a_look_keeps_no_more_copies_of_the_parameters_than_it_says():
    size, most = 5003, [0]
    h, x = torch.linspace(-0.01, 1, size, dtype=torch.float64), zeros(size)

    def loss():
        alive = {t.data_ptr() for t in gc.get_objects() if type(t) is torch.Tensor
                 and t.numel() == size}
        most[0] = max(most[0], len(alive - {h.data_ptr(), x.data_ptr()}))
        return (h * x * x).sum() / 2 + 1e-3 * x.sum()

    gc.freeze()  # what was there before need not be looked through
    try:
        with Evaluator([x], loss) as ask:
            look(ask, sizes_of([x]), 0, 1)
    finally:
        gc.unfreeze()
    assert 30 <= most[0] <= 36  # as the docstring of Escape has it


# Buffers.


class Buffers(nn.Module):
    """Buffers of every kind, some of which a forward writes to."""

    def __init__(self):
        super().__init__()
        self.w = zeros(3)
        for name, tensor in {
                "spread": torch.ones(3).expand(4, 3), "none_of_it": torch.ones(1).expand(0, 3),
                "complex": torch.ones(2, dtype=torch.complex64), "count": torch.arange(3),
                "flag": torch.zeros(2, dtype=torch.bool), "empty": torch.zeros(0), "absent": None,
                "sparse": torch.eye(3).to_sparse()}.items():
            self.register_buffer(name, tensor)
        with torch.inference_mode():
            self.register_buffer("inferred", torch.ones(3))
        self.later = nn.LazyBatchNorm1d()  # runs in no forward yet

    def forward(self):
        self.count += 1
        self.flag.logical_not_()
        self.complex *= 1j
        self.spread[:1] += 1
        return well(self.w)


def test_buffers_of_every_kind_are_put_back():
    model = Buffers()
    before = {name: b.clone() for name, b in model.named_buffers(remove_duplicate=False)
              if name.split(".")[0] != "later"}
    with Evaluator([model.w], lambda: model()) as ask:
        value, _ = ask.gradient()
        ask.check(value)
    after = dict(model.named_buffers())
    assert all(torch.equal(b.to_dense() if b.is_sparse else b, after[name].to_dense())
               for name, b in before.items())
    optimizer = train(wrapped([model.w], lambda: model()), model)
    assert optimizer.counts["moves"] == 1 and model.count[0] == 30


def test_a_search_for_modules_that_fails_leaves_the_gradients():
    class Odd(nn.Module):
        def modules(self):
            raise LookupError("mine")

    x, odd = zeros(2), Odd()
    x.grad = torch.ones_like(x)
    with pytest.raises(LookupError, match="mine"), Evaluator([x], lambda: odd(x)):
        pass
    assert x.grad is not None and x.grad.all()


# Interruptions.


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, RuntimeError])
def test_an_interruption_at_any_evaluation_leaves_a_run_that_can_go_on(error):
    for at in range(1, 40):
        model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)).double()
        nn.init.zeros_(model[0].weight)
        nn.init.zeros_(model[1].weight)
        calls, x = [0], torch.randn(8, 3, dtype=torch.float64,
                                    generator=torch.Generator().manual_seed(0))

        def ask(calls=calls, model=model, x=x, at=at):
            calls[0] += 1
            if calls[0] == at:
                raise error("stop")
            return well(model(x))

        optimizer, stopped = wrapped(model.parameters(), ask), False
        for _ in range(12):
            optimizer.zero_grad()
            well(model(x)).backward()
            kept = [p.detach().clone() for p in model.parameters()], [p.grad.clone() for p in
                                                                   model.parameters()]
            buffers, moves = [b.clone() for b in model.buffers()], optimizer.counts["moves"]
            try:
                optimizer.step()
            except error:
                stopped = True
                assert all(map(torch.equal, kept[1], [p.grad for p in model.parameters()]))
                assert all(map(torch.equal, buffers, model.buffers()))
                # Before the step of inner or after it, and nowhere between.
                alone = [w - 0.05 * g for w, g in zip(*kept, strict=True)]
                now = list(model.parameters())
                assert all(map(torch.equal, kept[0], now)) or all(
                    torch.allclose(a, b, rtol=0, atol=1e-15) for a, b in zip(alone, now,
                                                                           strict=True))
                assert optimizer.counts["moves"] == moves
        if not stopped:
            break
        assert optimizer.counts["moves"] >= 1
    assert at > 5 and math.isfinite(well(model(x)).item())


def test_warnings_that_are_errors_interrupt_no_more_than_a_step():
    x = zeros(3)
    optimizer, raised = Escape(torch.optim.SGD([x], lr=0.05)), 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(100):
            try:
                train(optimizer, lambda: well(x), 1)
            except RuntimeWarning:
                raised += 1
    assert raised == 1 and optimizer.counts["steps"] == 100
