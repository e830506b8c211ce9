"""What training stacks do to an optimizer: none of it may mislead a look or stop a run."""

import copy
import io
import math
import pickle
import warnings

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from saddlelib.optim import PSD, PSGD, EpochStatus, GDPolyak, OrderAwareNewton, Status

EPISODES = {"epsilon": 1e-2, "curvature_tol": 0.3, "check_every": 1, "rest": 5}
TABLE = {
    "PSD": (PSD, EPISODES),
    "PSGD": (PSGD, {**EPISODES, "window": 1}),
    "PSD as published": (PSD, {**EPISODES, "rule": "published", "episode_length": 30}),
    "PSGD by pairs": (PSGD, {**EPISODES, "window": 1, "rule": "pairs", "episode_length": 30}),
    "GDPolyak": (GDPolyak, {"f_star": -2.75, "epoch_length": 2}),
}
ALL = pytest.mark.parametrize("kind, settings", TABLE.values(), ids=TABLE.keys())
QUICK = pytest.mark.parametrize("kind", [PSD, PSGD])


def wells(params):
    """Σ (x⁴ − x²); a saddle at 0 with curvature −2 in every direction, least −¼ for each number."""
    return sum((p**4 - p**2).sum() for p in params)


def tensors(at=0.0):
    return [nn.Parameter(torch.full(shape, at, dtype=torch.float64)) for shape in [(3, 2), (5,)]]


def train(optimizer, params, steps, loss=wells):
    """As any script does: no closure."""
    for _ in range(steps):
        optimizer.zero_grad()
        loss(params).backward()
        optimizer.step()


# The loss is given once ----------------------------------------------------------------


@ALL
def test_a_loss_given_once_is_as_good_as_a_closure(kind, settings):
    params, others = tensors(0.3 if kind is GDPolyak else 0.0), None
    others = [nn.Parameter(p.detach().clone()) for p in params]
    settings = {**settings, **({} if kind is GDPolyak else {"rule": "quick"})}
    a = kind(params, lr=0.05, loss=lambda: wells(params), **settings)
    b = kind(others, lr=0.05, **settings)

    def closure():
        b.zero_grad()
        loss = wells(others)
        loss.backward()
        return loss
    train(a, params, 60)
    for _ in range(60):
        b.step(closure)
    assert all(torch.equal(p, q) for p, q in zip(params, others, strict=True))
    assert wells(params).item() < -2.2
    skipped = ("closure_calls", "best_loss", "hvp_by", "min_eig", "min_eig_lower")
    for key in a.counts.keys() - set(skipped):
        assert repr(a.counts[key]) == repr(b.counts[key]), key


@ALL
def test_a_loss_is_in_no_checkpoint_pickle_or_copy(kind, settings):
    params = tensors()
    optimizer = kind(params, lr=0.05, loss=lambda: wells(params), **settings)
    train(optimizer, params, 3)
    for other in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        assert other.loss is None and optimizer.loss is not None
        assert other.counts.keys() == optimizer.counts.keys()
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    fresh = kind(tensors(), lr=1.0, loss=math.sqrt, **settings)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    assert fresh.loss is math.sqrt and fresh.param_groups[0]["lr"] == 0.05
    with pytest.raises(TypeError, match="loss must be a function"):
        kind(params, lr=0.05, loss=1.0, **settings)


@ALL
def test_where_nobody_can_look_it_says_so_once_and_takes_plain_steps(kind, settings):
    params, others = tensors(0.01), tensors(0.01)
    optimizer, sgd = kind(params, lr=0.05, **settings), torch.optim.SGD(others, lr=0.05)
    with pytest.warns(UserWarning, match=r"give the optimizer loss=lambda: criterion") as caught:
        train(optimizer, params, 20)
        train(sgd, others, 20)
    assert len(caught) == 1
    assert all(torch.equal(p, q) for p, q in zip(params, others, strict=True))
    status = optimizer.counts["status"]
    assert status in (Status.UNSEEN, Status.DESCENDING, EpochStatus.UNSEEN)
    if kind is not GDPolyak:
        assert optimizer.counts["episodes"] == 0
        blind = kind(tensors(), lr=0.05, curvature_check=False, **settings)
        with warnings.catch_warnings(action="error"):
            train(blind, blind.param_groups[0]["params"], 20)
        assert blind.counts["episodes"] > 0


@ALL
def test_a_closure_that_returns_none_is_a_step_of_sgd(kind, settings):
    params, others = tensors(0.3), tensors(0.3)
    optimizer, sgd = kind(params, lr=0.05, **settings), torch.optim.SGD(others, lr=0.05)
    with warnings.catch_warnings(action="ignore"):
        for one, p in ((optimizer, params), (sgd, others)):
            for _ in range(7):
                def closure(one=one, p=p):
                    one.zero_grad()
                    wells(p).backward()
                assert one.step(closure) is None
    assert all(torch.equal(p, q) for p, q in zip(params, others, strict=True))
    assert optimizer.counts["steps"] == 7


@ALL
def test_without_a_gradient_nothing_happens(kind, settings):
    params = tensors(0.3)
    optimizer = kind(params, lr=0.05, loss=lambda: wells(params), **settings)
    before = copy.deepcopy(optimizer.state_dict())
    assert optimizer.step() is None
    assert optimizer.step(lambda: 3.0) == 3.0
    assert all(torch.equal(p, q) for p, q in zip(params, tensors(0.3), strict=True))
    after = optimizer.state_dict()
    before["state"][0]["closure_calls"] += 1
    assert repr(after) == repr(before)


@ALL
def test_a_framework_may_wrap_step(kind, settings):
    """As Accelerate and Fabric do: only step() and step(closure) are left."""
    params = tensors(0.3 if kind is GDPolyak else 0.0)
    optimizer = kind(params, lr=0.05, loss=lambda: wells(params), **settings)
    inner = optimizer.step
    optimizer.step = lambda closure=None: inner(closure)
    train(optimizer, params, 80)
    assert wells(params).item() < -2.2


# What a look sees ----------------------------------------------------------------------


class Net(nn.Module):
    """x ↦ W₂ tanh(W₁x), at 0; optionally checkpointed, with batch normalization or dropout."""

    def __init__(self, mode=""):
        super().__init__()
        self.mode = mode
        self.first, self.last = nn.Linear(4, 3, bias=False), nn.Linear(3, 4, bias=False)
        self.norm, self.drop = nn.BatchNorm1d(4, affine=False), nn.Dropout(0.3)
        self.double()
        for p in self.parameters():
            nn.init.zeros_(p)

    def forward(self, x):
        if self.mode == "norm":
            x = self.norm(x)
        if self.mode == "dropout":
            x = self.drop(x)
        if self.mode == "reentrant":
            return checkpoint(self.part, x, use_reentrant=True)
        return self.part(x)

    def part(self, x):
        return self.last(torch.tanh(self.first(x)))


def data():
    return torch.randn(64, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def looking(mode, loss_given, scale=1.0, clear=True, **settings):
    """A model at its saddle after one published step: (optimizer, model, true λ_min)."""
    model, x = Net(mode), data().requires_grad_(mode == "reentrant")

    def loss():
        return scale * (model(x) - x.detach()).square().sum(1).mean()
    optimizer = PSD(model.parameters(), lr=0.1, rule="published", epsilon=1e-2, curvature_tol=0.3,
                    max_episodes=1, loss=loss if loss_given else None, **settings)

    def closure():
        if clear:
            optimizer.zero_grad()
        value = loss()
        value.backward()
        return value
    if loss_given:
        closure()
        optimizer.step()
    else:
        optimizer.step(closure)
    true = -2 * float(torch.linalg.eigvalsh(data().mT @ data() / 64)[-1])
    return optimizer, model, true


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("loss_given", [True, False])
def test_reentrant_checkpointing_is_no_false_certificate(loss_given):
    """`torch.autograd.grad` gives None for all parameters there, and products would be zero."""
    optimizer, _, true = looking("reentrant", loss_given)
    counts = optimizer.counts
    assert counts["hvp_by"] == "differences" and counts["episodes"] == 1
    assert true - 1e-4 <= counts["min_eig"] < -0.3
    assert counts["min_eig_lower"] <= true + 1e-4


@pytest.mark.parametrize("retain", [True, False])
def test_a_closure_that_accumulates_is_told_from_one_that_clears(retain):
    """Lightning's returns loss/N and leaves the gradients: λ_min would be off by the factor N."""
    with pytest.warns(UserWarning, match="does not clear the gradients.*loss=lambda"):
        optimizer, model, _ = looking("", False, scale=0.25, clear=False)
    assert optimizer.counts["status"] is Status.UNSEEN and optimizer.counts["episodes"] == 0
    assert not any(p.any() for p in model.parameters())
    optimizer, _, true = looking("", True)  # the loss, once, is the way out
    assert optimizer.counts["min_eig"] >= true - 1e-9 and optimizer.counts["episodes"] == 1


@pytest.mark.parametrize("loss_given", [True, False])
def test_accumulated_gradients_leave_a_saddle_by_the_quick_rule(loss_given):
    """No gradient of another point is used: the perturbation takes the place of a step."""
    model, x = Net(), data()
    parts = x.chunk(4)
    optimizer = PSD(model.parameters(), lr=0.1, loss=None)
    at = [0]

    def loss():
        return (model(parts[at[0]]) - parts[at[0]]).square().sum(1).mean() / 4
    if loss_given:
        optimizer.loss = loss
    for _ in range(150):
        optimizer.zero_grad()
        for at[0] in range(3):
            loss().backward()
        at[0] = 3

        def closure():
            value = loss()
            value.backward()
            return value
        optimizer.step(closure)
    assert (model(x) - x).square().sum(1).mean() < 0.6 * x.square().sum(1).mean()
    assert optimizer.counts["kept"] >= 1


@pytest.mark.parametrize("loss_given", [True, False])
@pytest.mark.parametrize("mode", ["norm", "dropout"])
def test_buffers_and_random_numbers_are_after_a_kick_what_they_were(mode, loss_given):
    ends = []
    for make in (lambda p, f: PSD(p, lr=0.1, loss=f), lambda p, f: torch.optim.SGD(p, lr=0.1)):
        torch.manual_seed(3)
        model = Net(mode)

        def loss(model=model):
            return (model(data()) - data()).square().sum(1).mean()
        optimizer = make(model.parameters(), loss if loss_given else None)

        def closure(optimizer=optimizer, loss=loss):
            optimizer.zero_grad()
            value = loss()
            value.backward()
            return value
        optimizer.step(closure)
        ends.append((model, optimizer, torch.get_rng_state()))
    (ours, optimizer, state), (plain, _, wanted) = ends
    assert optimizer.counts["episodes"] == 1 and torch.equal(state, wanted)
    for a, b in zip(ours.buffers(), plain.buffers(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("loss_given", [True, False])
@pytest.mark.parametrize("mode", ["norm", "dropout"])
def test_buffers_and_random_numbers_are_after_a_look_what_they_were(mode, loss_given):
    torch.manual_seed(3)
    optimizer, model, _ = looking(mode, loss_given, curvature_check=True, escape="direction")
    checks = optimizer.counts["checks"]
    state = torch.get_rng_state()
    torch.manual_seed(3)
    plain = Net(mode)
    for _ in range(1 if loss_given else 2):  # the step, and the gradient at the perturbed point
        plain(data())
    assert checks == 1 and optimizer.counts["episodes"] == 1
    assert torch.equal(torch.get_rng_state(), state)
    for a, b in zip(model.buffers(), plain.buffers(), strict=True):
        if mode == "norm":
            torch.testing.assert_close(a, b)


@ALL
def test_gradients_of_other_optimizers_are_not_touched(kind, settings):
    params, foreign = tensors(0.3 if kind is GDPolyak else 0.0), nn.Parameter(torch.ones(3))

    class Square(torch.autograd.Function):  # has no second derivative: gradients are differenced
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, grad):
            return 2 * ctx.saved_tensors[0] * grad

    def loss(_=None):
        squares = [Square.apply(p) for p in params]
        return sum((s * s - s).sum() for s in squares) + 0 * params[0].sum() * foreign.sum() + (
            foreign**2).sum() * 1e-9
    optimizer = kind(params, lr=0.05, loss=loss, **settings)
    for _ in range(30):
        optimizer.zero_grad()
        loss().backward()
        foreign.grad = torch.full((3,), 7.0)
        optimizer.step()
        assert torch.equal(foreign.grad, torch.full((3,), 7.0))
    if kind is not GDPolyak:
        assert optimizer.counts["episodes"] >= 1
        if settings.get("rule"):
            assert optimizer.counts["hvp_by"] == "differences"


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_model_is_looked_at():
    """Its graph can be walked once and not differentiated twice; a loss given once does."""
    torch._dynamo.reset()
    model, x = Net(), data()
    compiled = torch.compile(model, backend="aot_eager")

    def loss():
        return (compiled(x) - x).square().sum(1).mean()
    optimizer = PSD(model.parameters(), lr=0.1, rule="published", epsilon=1e-2, curvature_tol=0.3,
                    loss=loss)
    loss().backward()
    optimizer.step()
    assert optimizer.counts["episodes"] == 1 and optimizer.counts["hvp_by"] == "differences"
    assert optimizer.counts["min_eig"] < -0.3


@QUICK
def test_a_loss_that_draws_a_batch_at_each_call_is_refused(kind):
    params = tensors()
    noise = torch.Generator().manual_seed(0)
    optimizer = kind(params, lr=0.05, loss=lambda: wells(params) + 1 + torch.rand(
        (), generator=noise, dtype=torch.float64), **EPISODES)
    with pytest.warns(UserWarning, match="asked again at the same parameters"):
        train(optimizer, params, 30)
    assert optimizer.counts["kept"] == 0 < optimizer.counts["undone"]


# Parameters, state and settings --------------------------------------------------------


@ALL
def test_parameters_that_a_framework_replaces(kind, settings):
    """As one that moves a model to a device after the optimizer was made, or shards it."""
    old, new = tensors(0.3), tensors(0.3)
    optimizer = kind(old, lr=0.05, loss=lambda: wells(old), **settings)
    train(optimizer, old, 4)
    new = [nn.Parameter(p.detach().clone()) for p in old]
    optimizer.param_groups[0]["params"][:] = new
    optimizer.loss = lambda: wells(new)
    assert optimizer.state_dict()["state"].keys() == {0, 1}
    train(optimizer, new, 90)
    assert optimizer.counts["steps"] == 94 and wells(new).item() < -2.2
    assert optimizer.state_dict()["state"].keys() == {0, 1}
    later = [*new[:1], nn.Parameter(new[1].detach().clone())]  # not the first
    optimizer.param_groups[0]["params"][:] = later
    optimizer.loss = lambda: wells(later)
    train(optimizer, later, 20)
    assert optimizer.counts["steps"] == 114


@ALL
@pytest.mark.parametrize("at", [0, 5])
def test_a_model_may_be_converted_after_its_optimizer_is_made(kind, settings, at):
    """As by ``model.to(...)``: the same parameters, with other data."""
    params = tensors(0.3 if kind is GDPolyak else 0.0)
    optimizer = kind(params, lr=0.05, loss=lambda: wells(params), **settings)
    train(optimizer, params, at)
    for p in params:
        p.grad = None
        p.data = p.data.float()
    train(optimizer, params, 90)
    assert wells(params).item() < -2.2
    for state in optimizer.state.values():
        assert all(t.dtype == torch.float32 for t in state.values() if isinstance(t, torch.Tensor))


@ALL
def test_gradients_that_a_scaler_has_scaled(kind, settings):
    """The loss that is given once has no scale; a look compares it with itself alone."""
    ends = []
    for scaled in (True, False):
        params = [nn.Parameter(p.detach().float()) for p in tensors(0.3 * (kind is GDPolyak))]
        optimizer = kind(params, lr=0.05, loss=lambda params=params: wells(params), **settings)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, enabled=scaled)
        for _ in range(60):
            optimizer.zero_grad()
            scaler.scale(wells(params)).backward()
            scaler.step(optimizer)
            scaler.update()
        ends.append(params)
    for p, q in zip(*ends, strict=True):
        assert torch.equal(p, q) and p.any()


@ALL
def test_an_empty_first_group(kind, settings):
    params = tensors(0.3 if kind is GDPolyak else 0.0)
    optimizer = kind([{"params": []}, {"params": params}], lr=0.05, loss=lambda: wells(params),
                     **settings)
    train(optimizer, params, 80)
    assert wells(params).item() < -2.2 and optimizer.counts["steps"] == 80
    other = kind([{"params": []}, {"params": tensors()}], lr=1.0, **settings)
    other.load_state_dict(optimizer.state_dict())
    assert other.counts["steps"] == 80
    empty = kind([{"params": []}], lr=0.05, **{**settings, "episode_length": 5} if (
        kind is not GDPolyak) else settings)
    assert empty.step() is None and empty.counts["steps"] == 0


@ALL
def test_state_that_is_cleared_is_begun_anew(kind, settings):
    params = tensors(0.3 if kind is GDPolyak else 0.0)
    optimizer = kind(params, lr=0.05, loss=lambda: wells(params), **settings)
    train(optimizer, params, 5)
    optimizer.state.clear()
    assert optimizer.counts["steps"] == 0
    optimizer.state.clear()
    train(optimizer, params, 80)
    assert optimizer.counts["steps"] == 80 and wells(params).item() < -2.2


@ALL
def test_a_checkpoint_from_before_a_setting_was_there(kind, settings):
    params = tensors(0.3 if kind is GDPolyak else 0.0)
    optimizer = kind(params, lr=0.05, loss=lambda: wells(params), **settings)
    train(optimizer, params, 3)
    old = copy.deepcopy(optimizer.state_dict())
    for group in old["param_groups"]:
        for key in ("weight_decay", "rule", "maximize", "foreach"):
            group.pop(key, None)
    for key in ("kept", "undone", "rung", "trial", "first_grad", "before", "again"):
        for state in old["state"].values():
            state.pop(key, None)
    optimizer.load_state_dict(old)
    assert optimizer.param_groups[0]["weight_decay"] == 0.0
    train(optimizer, params, 90)
    assert optimizer.counts["steps"] == 93 and wells(params).item() < -2.2


@ALL
def test_all_of_the_state_is_there_from_the_start(kind, settings):
    """A distributed checkpoint asks a fresh optimizer what to load."""
    params = tensors(0.3 if kind is GDPolyak else 0.0)
    optimizer = kind(params, lr=0.05, loss=lambda: wells(params), **settings)
    fresh = {i: set(state) for i, state in optimizer.state_dict()["state"].items()}
    train(optimizer, params, 60)
    assert {i: set(state) for i, state in optimizer.state_dict()["state"].items()} == fresh


@ALL
@pytest.mark.parametrize("flat", [True, False])
def test_a_distributed_checkpoint_goes_on_bit_for_bit(kind, settings, flat):
    from torch.distributed.checkpoint import state_dict as dcp

    options = dcp.StateDictOptions(flatten_optimizer_state_dict=flat)
    model, x = Net(), data()
    other = copy.deepcopy(model)
    settings = {"f_star": 0.0} if kind is GDPolyak else settings
    runs = []
    for net, lr in ((model, 0.1), (other, 7.0)):
        def loss(_=None, net=net):
            return (net(x) - x).square().sum(1).mean()
        runs.append((kind(net.parameters(), lr=lr, loss=loss, **settings), net.parameters(), loss))
    for steps in (7, 20):  # within an episode, and over
        train(runs[0][0], None, steps, loss=runs[0][2])
        saved = dcp.get_optimizer_state_dict(model, runs[0][0], options=options)
        other.load_state_dict(model.state_dict())
        dcp.set_optimizer_state_dict(other, runs[1][0], saved, options=options)
        for optimizer, _, loss in runs:
            train(optimizer, None, 30, loss=loss)
        assert repr(runs[0][0].counts) == repr(runs[1][0].counts)
        assert all(map(torch.equal, model.parameters(), other.parameters()))


# Weight decay --------------------------------------------------------------------------


@ALL
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.filterwarnings("ignore:.*loss=lambda")
def test_weight_decay_is_that_of_sgd_for_each_group_bit_for_bit(kind, settings, maximize):
    params, others = tensors(0.7), tensors(0.7)
    both = []
    for one, p in ((kind, params), (torch.optim.SGD, others)):
        more = settings if one is kind else {}
        both.append(one([{"params": p[:1], "weight_decay": 0.3}, {"params": p[1:]}], lr=0.02,
                        weight_decay=0.1, maximize=maximize, **more))
    train(both[0], params, 9)
    train(both[1], others, 9)
    assert all(torch.equal(p, q) and not (p == 0.7).any()
               for p, q in zip(params, others, strict=True))


@ALL
@pytest.mark.parametrize("maximize", [False, True])
def test_decay_belongs_to_the_loss_that_is_looked_at(kind, settings, maximize):
    """Σ (x⁴ − x²) with decay w is what Σ (x⁴ − x²) + w‖x‖²/2 is without."""
    a, b = (tensors(0.3 if kind is GDPolyak else 0.0) for _ in range(2))
    sign, w = (-1 if maximize else 1), 0.5
    if kind is GDPolyak:
        settings = {**settings, "f_star": sign * -11 * 0.75**2 / 4}

    def with_penalty(params):
        return sign * (wells(params) + w * sum((p * p).sum() for p in params) / 2)
    one = kind(a, lr=0.05, loss=lambda: sign * wells(a), weight_decay=w, maximize=maximize,
               **settings)
    two = kind(b, lr=0.05, loss=lambda: with_penalty(b), maximize=maximize, **settings)
    for optimizer, params, loss in ((one, a, lambda p: sign * wells(p)), (two, b, with_penalty)):
        train(optimizer, params, 150, loss=loss)
    assert sign * with_penalty(b).item() < -1.2
    for p, q in zip(a, b, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-8)
    if kind is not GDPolyak and settings.get("rule"):
        assert one.counts["min_eig"] == pytest.approx(two.counts["min_eig"], abs=1e-6)


def test_what_cannot_be_decayed_says_so():
    with pytest.raises(ValueError, match="OrderAwareNewton has no weight_decay"):
        OrderAwareNewton([{"params": tensors(), "weight_decay": 0.1}])
    OrderAwareNewton([{"params": tensors(), "weight_decay": 0.0}])
    for kind in (PSD, PSGD, GDPolyak):
        with pytest.raises(ValueError, match="has no momentum"):
            kind([{"params": tensors(), "momentum": 0.9}])
