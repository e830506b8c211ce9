"""Escape where other people's loops hold the optimizer.

Each test runs through stand-ins, which call the optimizer as Lightning, Fabric, Accelerate and the
Trainer of transformers do, and through those themselves where they are installed:
`make frameworks` installs and runs them all.
"""

import importlib.util

import pytest
import torch
from stacks import FRAMEWORKS, STAND_INS, Job, error
from thorough import instances
from torch import nn

from saddlelib.optim import PSD, PSGD, Escape, GDPolyak

# Lightning 2.6 asks PyTorch 2.13 for a name that it is about to lose, peft transformers.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning"),
]
PACKAGES = {"lightning": "lightning", "lightning by hand": "lightning", "fabric": "lightning",
            "accelerate": "accelerate", "trainer": "transformers"}
HERE = {name: run for name, run in FRAMEWORKS.items() if importlib.util.find_spec(PACKAGES[name])}


def loops(choose=lambda name: True):
    """A test for each loop that is here, or for those whose names are chosen."""
    chosen = {name: run for name, run in (STAND_INS | HERE).items() if choose(name)}
    return pytest.mark.parametrize("loop", chosen.values(), ids=chosen.keys())


LOOPS = loops()
INNERS = {"SGD": (torch.optim.SGD, {"lr": 0.2, "momentum": 0.5}),
          "AdamW": (torch.optim.AdamW, {"lr": 0.01})}


def bare(inner="AdamW"):
    kind, settings = INNERS[inner]
    return lambda params, loss: kind(params, **settings)


def wrapped(inner="AdamW"):
    kind, settings = INNERS[inner]
    return lambda params, loss: Escape(kind(params, **settings), loss=loss)


def at_saddle():
    """x ↦ W₂ tanh(W₁x) at W = 0."""
    model = nn.Sequential(nn.Linear(6, 3, bias=False), nn.Tanh(), nn.Linear(3, 6, bias=False))
    for p in model.parameters():
        nn.init.zeros_(p)
    return model.double()


def batches(n, samples=16):
    """Rows around 0 with covariance diag(.5, .25, .12, …); mean squared norm about 1."""
    generator = torch.Generator().manual_seed(1)
    scale = 0.5 ** (torch.arange(1.0, 7.0, dtype=torch.float64) / 2)
    return [torch.randn(samples, 6, generator=generator, dtype=torch.float64) * scale
            for _ in range(n)]


def flat(model):
    return torch.cat([t.detach().double().reshape(-1) for t in model.state_dict().values()])


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework_is_here(name):
    """Else its tests are missing below, and this says so."""
    if name not in HERE:
        pytest.skip(f"needs {PACKAGES[name]}: make frameworks")


@LOOPS
@pytest.mark.parametrize("accumulate, clip", instances(
    [(1, None), (3, 0.1)], [(1, None), (1, 0.1), (3, None), (3, 0.1)]))
def test_a_run_leaves_the_saddle_where_the_bare_one_stays(loop, accumulate, clip):
    data = batches(60)
    still = at_saddle()
    loop(Job(still, bare(), data, epochs=2, accumulate=accumulate, clip=clip))
    assert not flat(still).any()
    model = at_saddle()
    run = loop(Job(model, wrapped(), data, epochs=2, accumulate=accumulate, clip=clip))
    assert error(model, torch.cat(data)) < 0.6 * error(still, torch.cat(data))
    assert run.optimizer.counts["moves"] >= 1


@LOOPS
@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("kind", [PSD, PSGD])
def test_ours_leave_it_by_themselves_with_the_loss_given_once(loop, kind, accumulate):
    data, model = batches(60), at_saddle()
    run = loop(Job(model, lambda params, loss: kind(params, lr=0.5, loss=loss), data, epochs=3,
                   accumulate=accumulate))
    assert error(model, torch.cat(data)) < 0.6 * torch.cat(data).square().sum(1).mean()
    assert run.optimizer.counts["kept"] >= 1


@LOOPS
def test_long_steps_of_polyak_with_the_loss_given_once(loop):
    """On one batch, again and again: losses of different ones cannot be compared."""
    model, (x,) = awake(), batches(1)
    before = error(model, x).item()
    run = loop(Job(model, lambda params, loss: GDPolyak(params, lr=0.1, loss=loss), [x] * 60))
    assert run.optimizer.counts["looks"] >= 3 and error(model, x).item() < before


class Noisy(nn.Module):
    """A linear model behind statistics that move and dropout; no gradient at rows of zeros."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.BatchNorm1d(6, affine=False), nn.Dropout(0.3),
                                    nn.Linear(6, 6, bias=False)).double()
        nn.init.zeros_(self.layers[2].weight)

    def forward(self, x):
        return self.layers(x)


@LOOPS
@pytest.mark.parametrize("inner", INNERS)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_look_that_finds_nothing_leaves_no_trace(loop, inner, accumulate):
    """Parameters, buffers, random numbers, losses, rates and counts are those of the bare run."""
    data = [torch.zeros(16, 6, dtype=torch.float64)] * accumulate + batches(20)
    models = [Noisy(), Noisy()]
    one, other = (loop(Job(model, make(inner), data, accumulate=accumulate, clip=1.0,
                           schedule=cosine))
                  for model, make in zip(models, [bare, wrapped], strict=True))
    assert other.optimizer.counts["looks"] >= 1 and other.optimizer.counts["moves"] == 0
    assert torch.equal(flat(models[0]), flat(models[1]))
    assert (one.losses, one.rates, one.counts) == (other.losses, other.rates, other.counts)
    moments, others = ([s[key] for s in run.optimizer.state.values() for key in sorted(s)]
                       for run in (one, other))
    assert len(moments) == len(others) and all(map(torch.equal, moments, others))


def cosine(optimizer):
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 40)


@LOOPS
@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("cut", [1, 3])
def test_a_run_goes_on_from_a_checkpoint_as_if_never_stopped(loop, accumulate, cut, tmp_path):
    """Also where the checkpoint lies between a move and its judgement: after the first step."""
    data = batches(accumulate if cut == 1 else 6)
    whole = at_saddle()
    run = loop(Job(whole, wrapped(), data, epochs=cut + 10, accumulate=accumulate))
    model = at_saddle()
    path = tmp_path / "saved"
    loop(Job(model, wrapped(), data, epochs=cut, accumulate=accumulate, save=path))
    again = at_saddle()
    other = loop(Job(again, wrapped(), data, epochs=cut + 10, first=cut,
                     accumulate=accumulate, resume=path))
    assert torch.equal(flat(whole), flat(again))
    assert run.optimizer.counts == other.optimizer.counts


def awake():
    """The same model at a point where the gradient is large."""
    model = at_saddle()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=p.dtype) / 2)
    return model


@LOOPS
@pytest.mark.parametrize("inner", INNERS)
def test_bare_and_wrapped_checkpoints_load_each_other(loop, inner, tmp_path):
    data, ends = batches(4), {}
    for i, first in enumerate([bare, wrapped]):
        path = tmp_path / str(i)
        loop(Job(awake(), first(inner), data, epochs=2, save=path))
        for second in (bare, wrapped):
            model = awake()
            loop(Job(model, second(inner), data, epochs=4, first=2, resume=path))
            ends[first, second] = flat(model)
    whole = awake()
    loop(Job(whole, bare(inner), data, epochs=4))
    for end in ends.values():
        assert torch.equal(end, flat(whole))


@LOOPS
@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_a_bare_optimizer_goes_on_wherever_a_wrapped_one_was(loop, cut, tmp_path):
    """Before a move, between it and its judgement, and just after, when the moments are new."""
    data = batches(1)
    loop(Job(at_saddle(), wrapped(), data, epochs=cut, save=tmp_path / "saved"))
    model = at_saddle()
    loop(Job(model, bare(), data, epochs=cut + 4, first=cut, resume=tmp_path / "saved"))
    assert flat(model).isfinite().all()


@LOOPS
@pytest.mark.parametrize("start", [at_saddle, awake])
def test_a_scheduler_holds_the_wrapper_or_what_is_inside(loop, start):
    """The rates are those of a bare run, moves or none. Lightning asks for the wrapper itself."""
    data = batches(30)
    rates = loop(Job(start(), bare(), data, schedule=cosine)).rates
    assert loop(Job(start(), wrapped(), data, schedule=cosine)).rates == rates
    inside = Job(start(), wrapped(), data, schedule=lambda o: cosine(o.inner))
    if loop in (FRAMEWORKS["lightning"], FRAMEWORKS["lightning by hand"]):
        with pytest.raises(Exception, match="attached with an optimizer that wasn't returned"):
            loop(inside)
    else:
        assert loop(inside).rates == rates


@loops(lambda name: name in ("lightning", "like lightning"))
@pytest.mark.parametrize("accumulate", [1, 3])
def test_without_a_loss_the_closure_of_lightning_is_asked(loop, accumulate):
    """It returns a fraction of the loss and keeps the gradients of the batches before."""
    data, model = batches(60), at_saddle()
    run = loop(Job(model, lambda params, loss: Escape(torch.optim.AdamW(params, lr=0.01)), data,
                   epochs=2, accumulate=accumulate))
    assert run.optimizer.counts["moves"] >= 1
    assert error(model, torch.cat(data)) < 0.6 * error(at_saddle(), torch.cat(data))


@loops(lambda name: name not in ("lightning", "like lightning"))
def test_where_nobody_can_look_it_says_so_once_and_trains_as_ever(loop):
    """No loss, and no closure or one that returns nothing: the run is the bare one."""
    data, models = batches(20), [at_saddle(), at_saddle()]
    loop(Job(models[0], bare(), data))
    with pytest.warns(RuntimeWarning, match="nobody can look") as said:
        loop(Job(models[1], lambda params, loss: Escape(torch.optim.AdamW(params, lr=0.01)), data))
    assert len([w for w in said if "nobody can look" in str(w.message)]) == 1
    assert torch.equal(flat(models[0]), flat(models[1]))


@loops(lambda name: name in FRAMEWORKS)
@pytest.mark.parametrize("inner", INNERS)
def test_mixed_precision(loop, inner):
    data, model = [batch.float() for batch in batches(60)], at_saddle().float()
    loop(Job(model, wrapped(inner), data, epochs=2, half=True))
    assert error(model, torch.cat(data)) < 0.6 * error(at_saddle().float(), torch.cat(data))


def trap():
    """One hidden unit awake at its best, the others dead: a saddle with noisy gradients."""
    model = at_saddle()
    with torch.no_grad():
        for p in (model[0].weight[0, :1], model[2].weight[:1, 0]):
            p.fill_(0.9)
    return model


@loops(lambda name: name not in ("lightning", "like lightning"))
def test_a_move_is_not_followed_by_a_step_along_older_gradients(loop):
    """Gradients computed before it belong to the point before; with a closure they are new."""
    made = []

    def make(params, loss):
        params, steps = list(params), []
        optimizer = Escape(torch.optim.SGD(params, lr=0.02), loss=loss)

        def before(*_):
            steps.append((torch.nn.utils.parameters_to_vector(params).detach().clone(),
                          optimizer.counts["moves"]))

        def after(*_):
            x, moves = steps[-1]
            if optimizer.counts["moves"] > moves:
                y = torch.nn.utils.parameters_to_vector(params).detach()
                made.append((float((y - x).norm()), optimizer.counts["length"]))
        optimizer.register_step_pre_hook(before)
        optimizer.register_step_post_hook(after)
        return optimizer

    loop(Job(trap(), make, batches(80)))
    assert made
    for stepped, length in made:
        assert stepped == pytest.approx(length, rel=1e-12)


def proxies():
    """What frameworks put around an optimizer; each a function of it."""
    from stacks import _LikeAccelerate, _LikeLightning

    found = {"like lightning": _LikeLightning, "like accelerate": _LikeAccelerate}
    if "lightning" in HERE:
        from lightning.fabric import Fabric
        from lightning.pytorch.core.optimizer import LightningOptimizer

        found["lightning"] = LightningOptimizer
        found["fabric"] = lambda o: Fabric(accelerator="cpu", devices=1).setup_optimizers(o)
    if "accelerate" in HERE:
        from accelerate import Accelerator

        found["accelerate"] = lambda o: Accelerator(cpu=True).prepare(o)
    return found


@pytest.mark.parametrize("name", proxies())
def test_what_is_done_to_a_proxy_is_done_to_escape(name):
    """Some are subclasses made at run time, which read through but write into themselves."""
    model, x = at_saddle(), batches(1)[0]
    optimizer = Escape(torch.optim.AdamW(model.parameters(), lr=0.01))
    proxy = proxies()[name](optimizer)
    assert isinstance(proxy, torch.optim.Optimizer)
    assert proxy.param_groups is optimizer.param_groups and proxy.state is optimizer.state
    assert proxy.defaults == optimizer.defaults
    if "accelerate" not in name:  # its proxies are no Escape; there it is proxy.optimizer
        assert isinstance(proxy, Escape)
        proxy.loss = lambda: error(model, x)
        assert optimizer.loss is proxy.loss
        assert proxy.counts == optimizer.counts and proxy.message == optimizer.message
    optimizer.loss = lambda: error(model, x)

    def step():
        proxy.zero_grad()
        error(model, x).backward()
        optimizer.step()

    step()  # finds a move
    saved = proxy.state_dict()
    assert saved["param_groups"][0]["params"] == [0, 1]
    for _ in range(10):
        step()
    assert optimizer.counts["moves"] == 1
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    proxy.load_state_dict(saved)
    assert optimizer.counts["moves"] == 0 and optimizer.counts["steps"] == 1
    for _ in range(10):
        step()
    assert optimizer.counts["moves"] == 1 and optimizer.counts["looks"] == 1


def halves(model, kind):
    """An optimizer for each layer, as in adversarial training; one loss for both."""
    batch = [None]
    return batch, [kind(layer.parameters(), lambda: error(model, batch[0]))
                   for layer in (model[0], model[2])]


def test_looks_of_one_optimizer_leave_the_gradients_of_another():
    data, ends = [torch.zeros(16, 6, dtype=torch.float64), *batches(8)], []
    for kind in (bare(), wrapped()):
        model = awake()
        batch, optimizers = halves(model, kind)
        for batch[0] in data:
            for optimizer in optimizers:
                optimizer.zero_grad()
            error(model, batch[0]).backward()
            for optimizer in optimizers:  # the second uses what the look of the first has left
                optimizer.step()
        ends.append(flat(model))
    assert all(o.counts["looks"] >= 1 and o.counts["moves"] == 0 for o in optimizers)
    assert torch.equal(*ends)


def needs(name):
    return pytest.mark.skipif(importlib.util.find_spec(name) is None,
                              reason=f"needs {name}: make frameworks")


@needs("lightning")
def test_lightning_toggles_two_optimizers_by_hand():
    """Gradients of the one that waits are off meanwhile; closures run backward, return nothing."""
    import lightning
    from torch.utils.data import DataLoader

    data, ends = [torch.zeros(16, 6, dtype=torch.float64), *batches(8)], []

    class Module(lightning.LightningModule):
        def __init__(self, kind):
            super().__init__()
            self.model, self.kind, self.automatic_optimization = awake(), kind, False
            self.batch, self.made = halves(self.model, kind)

        def training_step(self, batch, batch_idx):
            self.batch[0] = batch
            for optimizer in self.optimizers():
                def closure(optimizer=optimizer):
                    optimizer.zero_grad()
                    self.manual_backward(error(self.model, batch))
                with optimizer.toggle_model():
                    optimizer.step(closure=closure)

        def configure_optimizers(self):
            return self.made

    for kind in (bare(), wrapped()):
        module = Module(kind)
        lightning.Trainer(max_epochs=1, accelerator="cpu", logger=False,
                          enable_checkpointing=False, enable_progress_bar=False,
                          enable_model_summary=False).fit(module, DataLoader(data, batch_size=None))
        ends.append(flat(module.model))
    assert all(o.counts["looks"] >= 1 and o.counts["moves"] == 0 for o in module.made)
    assert torch.equal(*ends)


@needs("lightning")
def test_lightning_logs_the_rate_and_the_betas_of_what_is_inside(tmp_path):
    import csv

    from lightning.pytorch.callbacks import LearningRateMonitor
    from stacks import lightning

    logs = []
    for name, make in [("bare", bare()), ("wrapped", wrapped())]:
        monitor = LearningRateMonitor(logging_interval="step", log_momentum=True)
        lightning(Job(awake(), make, batches(4), schedule=cosine), callbacks=[monitor],
                  folder=tmp_path / name)
        [path] = (tmp_path / name).rglob("metrics.csv")
        logs.append(list(csv.reader(path.read_text().replace("Escape", "AdamW").splitlines())))
    assert len(logs[0]) >= 5 and any("momentum" in name for name in logs[0][0])
    assert logs[0] == logs[1]


@needs("accelerate")
@pytest.mark.parametrize("scaled", [True, False])
def test_accelerate_exchanges_parameters_and_the_step(scaled):
    """It writes other parameters into the groups, and with a GradScaler another step at each."""
    from accelerate import Accelerator
    from accelerate.optimizer import AcceleratedOptimizer

    Accelerator(cpu=True)
    old, model, data = at_saddle().float(), at_saddle().float(), batches(1)[0].float()
    optimizer = Escape(torch.optim.AdamW(old.parameters(), lr=0.01),
                       loss=lambda: error(model, data))
    scaler = torch.amp.GradScaler("cpu") if scaled else None
    proxy = AcceleratedOptimizer(optimizer, scaler=scaler)
    proxy._switch_parameters(dict(zip(old.parameters(), model.parameters(), strict=True)))
    for _ in range(60):
        proxy.zero_grad()
        loss = error(model, data)
        (scaler.scale(loss) if scaled else loss).backward()
        proxy.step()
        assert not proxy.step_was_skipped
    assert optimizer.counts["moves"] >= 1 and optimizer.counts["steps"] == 60
    assert error(model, data) < 0.6 * error(old, data) and not flat(old).any()


@needs("peft")
@needs("transformers")
def test_adapters_of_a_language_model_leave_their_saddle(tmp_path):
    """W + BA with A = B = 0: no gradient at all, and negative curvature wherever W can be bettered.

    A model of transformers, which returns its own loss, frozen but for the adapters of peft.
    """
    from escape_trainer import Remembering
    from peft import LoraConfig, get_peft_model
    from transformers import GPT2Config, GPT2LMHeadModel, TrainingArguments

    tokens = torch.randint(0, 13, (8, 12), generator=torch.Generator().manual_seed(0))

    def train(kind):
        torch.manual_seed(0)
        config = GPT2Config(vocab_size=13, n_positions=12, n_embd=16, n_layer=1, n_head=2,
                            bos_token_id=0, eos_token_id=0)
        lora = LoraConfig(r=4, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True)
        model = get_peft_model(GPT2LMHeadModel(config), lora)
        trained = [p for p in model.parameters() if p.requires_grad]
        for p in trained:
            nn.init.zeros_(p)
        args = TrainingArguments(str(tmp_path), max_steps=60, per_device_train_batch_size=8,
                                 use_cpu=True, report_to=[], disable_tqdm=True, save_strategy="no",
                                 logging_strategy="no", lr_scheduler_type="constant")
        optimizer = kind(model.parameters(), lambda: trainer.loss())
        trainer = Remembering(model, args, optimizers=(optimizer, None),
                              train_dataset=[{"input_ids": t, "labels": t} for t in tokens])
        trainer.train()
        model.eval()
        with torch.no_grad():
            loss = float(model(input_ids=tokens, labels=tokens).loss)
        return loss, any(p.any() for p in trained)

    (stuck, moved), (better, left) = train(bare()), train(wrapped())
    assert not moved and left and better < stuck - 0.05


@LOOPS
def test_the_curvature_seen_is_the_loss_s_whatever_is_accumulated_or_clipped(loop):
    """−2λ of the mini-batch's second moments at W = 0; a closure of Lightning returns loss/N."""
    [x] = batches(1)
    least = -2 * torch.linalg.eigvalsh(x.T @ x / len(x))[-1].item()
    seen = {loop(Job(at_saddle(), wrapped(), [x] * n, accumulate=n, clip=clip))
            .optimizer.counts["min_eig"] for n in (1, 2, 4) for clip in (None, 1e-3)}
    assert len(seen) == 1 and 1.01 * least <= seen.pop() <= 0.7 * least


@LOOPS
def test_a_move_is_judged_by_a_mini_batch_that_did_not_find_it(loop):
    """Lightning calls `training_step` within the step, too late to keep a batch for its loss."""
    data, seen = batches(4), []

    def make(params, loss):
        params = list(params)

        def recording():
            value = loss()
            if not any(p.any() for p in params):  # still at the saddle
                seen.append(value.item())
            return value
        return Escape(torch.optim.AdamW(params, lr=0.01), loss=recording)

    run = loop(Job(at_saddle(), make, data))
    first, second, third, *_ = (error(at_saddle(), x).item() for x in data)
    assert run.optimizer.counts["moves"] == 1
    assert seen[0] == pytest.approx(first) and seen[-1] == pytest.approx(third)
    assert pytest.approx(second) in seen


@loops(lambda name: name in ("lightning", "like lightning"))
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.filterwarnings("ignore:.training_step. returned .None.:UserWarning")  # Lightning's
def test_batches_without_a_gradient_are_no_standing_still(loop, given):
    """`training_step` returns None for them, and every .grad is None."""
    def make(params, loss):
        return Escape(torch.optim.AdamW(params, lr=0.01), loss=loss if given else None)

    still, model = awake(), awake()
    loop(Job(still, bare(), batches(21), skip=3))
    loop(Job(model, make, batches(21), skip=3))
    assert torch.equal(flat(still), flat(model))
    model = at_saddle()
    run = loop(Job(model, make, batches(120), skip=3))
    assert run.optimizer.counts["moves"] >= 1


@needs("transformers")
def test_the_optimizer_that_the_trainer_makes_can_be_wrapped(tmp_path):
    """With the groups, rates and schedule of TrainingArguments, which `optimizers=` gives up."""
    from escape_trainer import Model, Remembering
    from transformers import TrainingArguments

    class Wrapping(Remembering):
        def create_optimizer(self, model=None):
            if self.optimizer is None:
                self.optimizer = Escape(super().create_optimizer(model), loss=self.loss)
            return self.optimizer

    model, rows = Model(), torch.cat(batches(4)).float() @ torch.eye(6, 64)
    args = TrainingArguments(str(tmp_path), max_steps=60, per_device_train_batch_size=16,
                             learning_rate=0.01, weight_decay=0.1, use_cpu=True, report_to=[],
                             disable_tqdm=True, save_strategy="no", logging_strategy="no")
    trainer = Wrapping(model, args, train_dataset=[{"x": x} for x in rows])
    trainer.train()
    escape, saddle = trainer.optimizer.optimizer, rows.square().sum(1).mean()
    assert isinstance(escape, Escape) and isinstance(escape.inner, torch.optim.AdamW)
    assert [group["weight_decay"] for group in escape.param_groups] == [0.1, 0.0]
    assert escape.counts["moves"] >= 1 and error(model.model, rows) < 0.6 * saddle
