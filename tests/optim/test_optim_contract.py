"""What torch promises of an optimizer, held by each of ours: one table, one set of tests."""

import copy
import functools
import io
import math
import subprocess
import sys

import pytest
import torch
from thorough import instances
from torch import nn

from saddlelib.optim import PSD, PSGD, GDPolyak
from saddlelib.optim._base import descend_

# A new optimizer joins with the settings that make it do in 80 steps from 0 what it is for: perturb
# at a saddle and not elsewhere, or take long steps.
EPISODES = {"epsilon": 1e-2, "curvature_tol": 0.3, "perturbation_radius": 0.01,
            "episode_length": 12, "rest": 6, "check_every": 3}
SADDLES = {
    "PSD": (PSD, EPISODES),
    "PSGD": (PSGD, {**EPISODES, "check_every": 4, "window": 2}),
    "PSD as published": (PSD, {**EPISODES, "rule": "published"}),
    "PSGD by pairs": (PSGD, {**EPISODES, "check_every": 4, "window": 2, "rule": "pairs"}),
    "PSGD as published": (PSGD, {**EPISODES, "rule": "published", "batch_size": 4,
                                 "noise_std": 0.01}),
}
TABLE = {
    **SADDLES,
    "GDPolyak": (GDPolyak, {"f_star": 0.0, "epoch_length": 5, "guard": 1.0}),
    "GDPolyak as published": (GDPolyak, {"f_star": 0.0, "epoch_length": 9, "safe": False}),
}
ALL = pytest.mark.parametrize("kind, settings", TABLE.values(), ids=TABLE.keys())
AT_SADDLES = pytest.mark.parametrize("kind, settings", SADDLES.values(), ids=SADDLES.keys())
# Gradients without anybody to ask are the point of some tests here.
pytestmark = [pytest.mark.filterwarnings("ignore:nobody can look"),
              pytest.mark.filterwarnings("ignore:a look needs the loss")]


def double_wells(params):
    """Σ (x⁴ − x²) with a coupling between tensors; a saddle at 0."""
    total = sum(p.sum() for p in params)
    return sum((p**4 - p**2).sum() for p in params) + 0.05 * total * total


def valley(params):
    """Σ (x − ½)⁴ with a coupling between tensors: a ravine in all directions but one."""
    total = sum((p - 0.5).sum() for p in params)
    return sum(((p - 0.5) ** 4).sum() for p in params) + 0.2 * total * total


def events(optimizer):
    """What an optimizer does that no other does, counted."""
    return optimizer.counts["epochs" if isinstance(optimizer, GDPolyak) else "episodes"]


def quiet(kind, settings):
    """Settings with which it only looks."""
    return {**settings, **({"epoch_length": 7, "guard": 1e99, "safe": True} if kind is GDPolyak
                           else {"epsilon": 1e-9})}


def tensors(at=0.0, dtype=torch.float64):
    return [nn.Parameter(torch.full(shape, at, dtype=dtype)) for shape in [(3, 2), (4,), ()]]


def loss_for(optimizer):
    return valley if isinstance(optimizer, GDPolyak) else double_wells


def closure_of(optimizer, params, loss=None):
    loss = loss or loss_for(optimizer)

    def closure():
        optimizer.zero_grad()
        value = loss(params)
        value.backward()
        return value
    return closure


def step_after(optimizer, loss, **more):
    """A step from gradients that are there."""
    return optimizer.step(loss=loss) if isinstance(optimizer, GDPolyak) else optimizer.step(**more)


def run(optimizer, params, steps, loss=None, closure=True):
    loss = loss or loss_for(optimizer)
    evaluate = closure_of(optimizer, params, loss)
    for _ in range(steps):
        if closure:
            optimizer.step(evaluate)
        else:
            step_after(optimizer, evaluate(), curvature_closure=lambda: loss(params))


def flat(params):
    return torch.cat([p.detach().reshape(-1) for p in params])


def numbers(optimizer):
    """The scalar state, comparable although it may hold nan."""
    return {key: repr(value) for key, value in optimizer._scalars.items()
            if not isinstance(value, torch.Tensor)}


CUTS, END = (2, 5, 8), 40


@functools.cache
def run_with_cuts(name, closure):
    """A run to the end, and the files that it saved on its way."""
    kind, settings = TABLE[name]
    params, files = tensors(), {}
    optimizer = kind(params, lr=0.05, **settings)
    for step in range(END):
        if step in CUTS:
            files[step] = io.BytesIO()
            torch.save({"params": params, "optimizer": optimizer.state_dict()}, files[step])
        if step == CUTS[-1]:
            assert 0 < optimizer.counts["left"] < 12  # in the middle of an episode or epoch
        run(optimizer, params, 1, closure=closure)
    return params, optimizer, files


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("closure", [True, False])
@pytest.mark.parametrize("cut", CUTS)
def test_a_saved_run_goes_on_bit_for_bit(name, closure, cut):
    kind, settings = TABLE[name]
    params, optimizer, files = run_with_cuts(name, closure)
    files[cut].seek(0)
    saved = torch.load(files[cut], weights_only=True)
    others = [nn.Parameter(p.detach().clone()) for p in saved["params"]]
    changed = ({"epoch_length": 99, "gain": 0.9} if kind is GDPolyak
               else {"seed": 5, "episode_length": 99})
    other = kind(others, lr=7.0, **{**settings, **changed})
    other.load_state_dict(saved["optimizer"])
    run(other, others, END - cut, closure=closure)
    assert torch.equal(flat(params), flat(others))
    assert numbers(optimizer) == numbers(other) and events(optimizer) >= 1
    other.add_param_group({"params": [nn.Parameter(torch.zeros(2))]})  # with what was loaded
    for key in changed:
        assert other.param_groups[1][key] == optimizer.param_groups[0][key]
    copied = copy.deepcopy(optimizer)
    assert numbers(copied) == numbers(optimizer)


@ALL
def test_groups_are_one_vector_with_their_own_lr(kind, settings):
    params, grouped = tensors(), tensors()
    one = kind(params, lr=0.05, **settings)
    many = kind([{"params": grouped[:1]}, {"params": grouped[1:2]}], lr=0.05, **settings)
    many.add_param_group({"params": grouped[2:], "foreach": False})
    run(one, params, 40)
    run(many, grouped, 40)
    assert torch.equal(flat(params), flat(grouped)) and events(one) == events(many) >= 1
    still = grouped[1].detach().clone()
    many.param_groups[1]["lr"] = 0.0
    many._scalars.update(left=10**9 + 1, next_look=10**9)
    run(many, grouped, 3, loss=lambda p: loss_for(many)(p) + sum(q.sum() for q in p))
    assert torch.equal(grouped[1], still) and not torch.equal(grouped[0], params[0])


@ALL
def test_a_group_with_a_setting_of_its_own_is_refused(kind, settings):
    params = tensors()
    optimizer = kind(params[:2], lr=0.05, **settings)
    key = next(iter(settings))
    with pytest.raises(ValueError, match=f"{key} is a setting of the whole vector"):
        optimizer.add_param_group({"params": params[2:], key: 3.0})
    assert len(optimizer.param_groups) == 1
    with pytest.raises(TypeError, match="view_as_real"):
        optimizer.add_param_group({"params": [torch.zeros(2, dtype=torch.complex64)]})


def schedules():
    s = torch.optim.lr_scheduler
    return {"StepLR": lambda o: s.StepLR(o, 5, 0.5),
            "OneCycleLR": lambda o: s.OneCycleLR(o, 0.04, total_steps=40, cycle_momentum=False),
            "none": lambda o: s.LambdaLR(o, lambda k: 1.0)}


FORMS = [(True, torch.float32), (False, torch.bfloat16), (None, torch.float64)]


@ALL
@pytest.mark.parametrize("schedule", schedules())
@pytest.mark.parametrize("lr", [0.03, torch.tensor(0.03, dtype=torch.float64)], ids=["float", "t"])
def test_outside_episodes_a_step_is_that_of_sgd_bit_for_bit(kind, settings, schedule, lr):
    """Each form with either kind of rate; every form with every schedule too where thorough."""
    first = (list(schedules()).index(schedule) + isinstance(lr, float)) % 3
    for foreach, dtype in instances(FORMS[first:first + 1], FORMS):
        params, others = tensors(1.3, dtype), tensors(1.3, dtype)
        params[1].data, others[1].data = params[1].data.float(), others[1].data.float()
        ours = kind(params, lr=copy.deepcopy(lr), **quiet(kind, settings), foreach=foreach)
        sgd = torch.optim.SGD(others, lr=copy.deepcopy(lr), foreach=True)
        for optimizer, p in ((ours, params), (sgd, others)):
            scheduler = schedules()[schedule](optimizer)
            for _ in range(17):
                loss = closure_of(optimizer, p, valley)()
                step_after(optimizer, loss)
                scheduler.step()
        for p, q in zip(params, others, strict=True):
            assert torch.equal(p, q) and not torch.equal(p, torch.full_like(p, 1.3))
        assert events(ours) == 0 < ours.counts["looks"] < 17


@ALL
def test_maximizing_is_minimizing_the_negative(kind, settings):
    for more in ({"f_star": 1e-9},) if kind is GDPolyak else ({"escape": "ball"},
                                                             {"escape": "direction"}):
        down, up = tensors(), tensors()
        loss = valley if kind is GDPolyak else double_wells
        a = kind(down, lr=0.05, **{**settings, **more})
        negative = {"f_star": -1e-9} if kind is GDPolyak else {}
        b = kind(up, lr=0.05, maximize=True, **{**settings, **more, **negative})
        run(a, down, 40)
        run(b, up, 40, loss=lambda p, loss=loss: -loss(p))
        assert torch.equal(flat(down), flat(up)) and events(a) == events(b) >= 1


@ALL
def test_frozen_parameters_stay_and_layout_does_not_matter(kind, settings):
    params, others = tensors(), tensors()
    frozen = nn.Parameter(torch.ones(5, dtype=torch.float64), requires_grad=False)
    unused = nn.Parameter(torch.ones(5, dtype=torch.float64))
    strided = nn.Parameter(torch.zeros(2, 3, dtype=torch.float64).T)
    assert not strided.is_contiguous()
    others[0] = strided
    a = kind(params, lr=0.05, **settings)
    b = kind([frozen, *others[:1], unused, *others[1:]], lr=0.05, **settings)
    run(a, params, 40)
    run(b, others, 40)
    torch.testing.assert_close(flat(params), flat(others), rtol=1e-9, atol=0)
    assert events(a) == events(b) >= 1
    assert torch.equal(frozen, torch.ones_like(frozen)) and torch.equal(unused, frozen)


@pytest.mark.parametrize("name", ["PSD as published", "PSGD by pairs", "PSGD as published"])
def test_without_a_closure_a_perturbation_takes_a_call_of_its_own(name):
    kind, settings = SADDLES[name]
    params, others = tensors(), tensors()
    a, b = (kind(p, lr=0.05, **settings) for p in (params, others))
    run(a, params, 10)
    run(b, others, 11, closure=False)
    assert a.counts["episodes"] == b.counts["episodes"] == 1
    assert a.counts["left"] == b.counts["left"] < 12
    torch.testing.assert_close(flat(params), flat(others), rtol=1e-3, atol=0)


@ALL
def test_a_closure_runs_with_gradients_and_its_loss_comes_back(kind, settings):
    params = tensors()
    optimizer = kind(params, lr=0.05, **settings)
    seen = []

    def closure():
        seen.append(torch.is_grad_enabled())
        return closure_of(optimizer, params)()
    with torch.no_grad():
        losses = [optimizer.step(closure) for _ in range(30)]
    assert all(seen) and optimizer.counts["closure_calls"] == len(seen)
    assert losses[0].item() == loss_for(optimizer)(tensors()).item() and events(optimizer) >= 1


@ALL
def test_autocast_and_a_scaler(kind, settings):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    twin = copy.deepcopy(model)
    x, y = torch.randn(32, 4), torch.randn(32, 1)
    plain, scaled = (kind(m.parameters(), lr=0.1, **settings) for m in (model, twin))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)

    def given(loss):
        return {"loss": loss} if kind is GDPolyak else {}
    for _ in range(30):
        for m, optimizer in ((model, plain), (twin, scaled)):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = nn.functional.mse_loss(m(x).float(), y)
            if optimizer is scaled:
                scaler.scale(loss).backward()
                scaler.step(optimizer, **given(loss))
                scaler.update()
            else:
                loss.backward()
                optimizer.step(**given(loss))
    torch.testing.assert_close(flat(model.parameters()), flat(twin.parameters()), rtol=0.02,
                               atol=1e-3)
    before = flat(twin.parameters())
    for p in twin.parameters():
        p.grad = torch.full_like(p, math.inf)
    scaler.step(scaled, **given(loss))  # gradients that overflowed: the scaler skips
    scaler.update()
    assert torch.equal(flat(twin.parameters()), before)
    with pytest.raises(RuntimeError, match="without a closure"):
        scaler.scale(loss.detach())
        scaler.step(scaled, lambda: loss)
    scaler.update()
    for p in twin.parameters():
        p.grad = torch.full_like(p, scaler.get_scale())
    scaler.unscale_(scaled)
    scaled._scalars.update(left=10**9 + 1, next_look=10**9)
    scaler.step(scaled, **given(loss))  # unscaled by the user, for example to clip
    torch.testing.assert_close(flat(twin.parameters()), before - 0.1)


@AT_SADDLES
def test_clipping_between_backward_and_step_leaves_the_trigger_alone(kind, settings):
    params = tensors()
    optimizer = kind(params, lr=0.05, **settings)
    evaluate = closure_of(optimizer, params)
    for _ in range(120):
        evaluate()
        nn.utils.clip_grad_norm_(params, 0.5)
        optimizer.step(curvature_closure=lambda: double_wells(params))
    assert optimizer.counts["episodes"] >= 1 and double_wells(params).item() < -2


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["PSGD", "GDPolyak"])
def test_compiled_steps_are_the_same_steps(name):
    kind, settings = TABLE[name]
    torch._dynamo.reset()
    params, others = tensors(), tensors()
    blind = {"curvature_check": False} if kind is PSGD else {}
    a, b = (kind(p, lr=0.05, **settings, **blind) for p in (params, others))
    b.compile(backend="eager", fullgraph=True)
    step = torch.compile(b.step, backend="eager")
    for optimizer, p, one in ((a, params, a.step), (b, others, step)):
        evaluate = closure_of(optimizer, p)
        for _ in range(16):
            loss = evaluate()
            one(**({"loss": loss} if kind is GDPolyak else {}))
    assert torch.equal(flat(params), flat(others)) and events(a) >= 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("lr", [0.1, torch.tensor(0.1)], ids=["float", "tensor"])
def test_the_update_compiles_as_one_graph(lr):
    torch._dynamo.reset()
    update = torch.compile(descend_, backend="aot_eager", fullgraph=True)
    for maximize in (False, True):
        p, q = ([torch.ones(3), torch.ones(2, 2)] for _ in range(2))
        grads = [torch.arange(3.0), torch.ones(2, 2)]
        update(p, grads, lr, maximize)
        descend_(q, grads, lr, maximize)
        torch.testing.assert_close(p, q, rtol=1e-6, atol=0)
        assert q[0][2].item() == pytest.approx(1.2 if maximize else 0.8)


@ALL
def test_a_gradient_that_is_not_finite_moves_nothing(kind, settings):
    often = {"epoch_length": 0, "safe": False} if kind is GDPolyak else {"check_every": 1}
    settings = {**settings, **often}
    params = tensors(0.9)
    optimizer = kind(params, lr=0.05, **settings)
    run(optimizer, params, 3, closure=False)
    before = flat(params)
    for bad in (math.nan, math.inf):
        for _ in range(2):
            loss = closure_of(optimizer, params)()
            params[1].grad[2] = bad
            step_after(optimizer, loss)
            assert optimizer.counts["status"].name == "NONFINITE"
            assert "not finite" in optimizer.counts["status"].message
            assert torch.equal(flat(params), before)
    run(optimizer, params, 1, closure=False)
    assert optimizer.counts["status"].name in ("DESCENDING", "LONG")
    assert not torch.equal(flat(params), before)
    if kind is GDPolyak:  # nobody looks within an epoch
        return
    optimizer._scalars["left"] = 3  # the same in an episode
    closure_of(optimizer, params)()
    before, params[0].grad[0] = flat(params), math.nan
    optimizer.step()
    assert torch.equal(flat(params), before) and optimizer.counts["left"] == 0


@ALL
def test_bad_losses_and_gradients_say_what_to_do(kind, settings):
    params = tensors(0.9)
    optimizer = kind(params, lr=0.05, **settings)
    before = flat(params)
    loss_for(optimizer)(params).backward()
    with pytest.raises(RuntimeError, match="parameters are unchanged"):
        optimizer.step(lambda: torch.tensor(math.nan))
    table = nn.Embedding(4, 2, sparse=True)
    sparse = kind(table.parameters(), lr=0.05, **settings)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match="sparse=False"):
        step_after(sparse, 1.0)
    assert torch.equal(flat(params), before)


@ALL
@pytest.mark.parametrize("bad, match", [
    ({"lr": -1.0}, "Invalid learning rate"), ({"lr": math.nan}, "Invalid learning rate"),
    ({"lr": torch.ones(2)}, "1-element")])
def test_a_learning_rate_out_of_range_is_named(kind, settings, bad, match):
    with pytest.raises(ValueError, match=match):
        kind(tensors(), **{"lr": 0.05, **settings, **bad})


@AT_SADDLES
@pytest.mark.parametrize("bad, match", [
    ({"epsilon": 0.0}, "epsilon"),
    ({"curvature_tol": -1.0}, "curvature_tol"), ({"perturbation_radius": math.inf}, "radius"),
    ({"episode_length": 0}, "episode_length"), ({"failure_prob": 1.0}, "failure_prob"),
    ({"seed": -1}, "seed"), ({"check_every": 0}, "check_every"), ({"rest": -1}, "rest"),
    ({"lanczos_steps": 0}, "lanczos_steps"), ({"max_episodes": 0}, "max_episodes"),
    ({"escape": "up"}, "escape"),
    ({"escape": "direction", "curvature_check": False}, "curvature_check=True"),
    ({"weight_decay": -0.1}, "weight_decay"), ({"rule": "slow"}, "rule must be one of 'quick'"),
    ({"lr": 0.0, "episode_length": None, "rule": "published", "batch_size": 1, "noise_std": 1.0},
     "episode_length follows from lr")])
def test_settings_out_of_range_are_named(kind, settings, bad, match):
    with pytest.raises(ValueError, match=match):
        kind(tensors(), **{"lr": 0.05, **settings, **{
            key: value for key, value in bad.items()
            if kind is PSGD or key not in ("batch_size", "noise_std")}})


@pytest.mark.parametrize("bad, match", [
    ({"rule": "loud"}, "rule"), ({"window": 0}, "window"),
    ({"rule": "published", "batch_size": 3}, "noise_std"),
    ({"noise_std": 0.1}, "published' only")])
def test_settings_of_psgd_alone(bad, match):
    with pytest.raises(ValueError, match=match):
        PSGD(tensors(), lr=0.05, **bad)


@pytest.mark.parametrize("bad, error, match", [
    ({"f_star": math.nan}, ValueError, "f_star must be a finite number"),
    ({"f_star": -math.inf}, ValueError, "None where it is not known"),
    ({"safe": False, "epoch_length": 5}, ValueError, "needs f_star"),
    ({"safe": False, "f_star": 0.0}, ValueError, "needs epoch_length"),
    ({"epoch_length": 1}, ValueError, "epoch_length must be at least 2"),
    ({"epoch_length": -1, "f_star": 0.0, "safe": False}, ValueError, "at least 0"),
    ({"epoch_length": 2.5}, TypeError, "epoch_length"),
    ({"growth": 1.0}, ValueError, "growth is for safe=False"), ({"cap": 0.0}, ValueError, "cap"),
    ({"growth": -1.0, "f_star": 0.0, "safe": False, "epoch_length": 5}, ValueError, "growth"),
    ({"gain": 1.0}, ValueError, "gain"), ({"guard": -1.0}, ValueError, "guard"),
    ({"factor": 0.0}, ValueError, "factor")])
def test_settings_of_gdpolyak_alone(bad, error, match):
    with pytest.raises(error, match=match):
        GDPolyak(tensors(), lr=0.05, **bad)


def test_without_torch_the_error_says_what_to_install():
    code = ("import sys; sys.modules['torch'] = None\n"
            "import saddlelib\n"
            "try:\n    import saddlelib.optim\nexcept ImportError as error:\n    print(error)")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install saddlelib[torch]" in out.stdout
