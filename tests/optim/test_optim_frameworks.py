"""Escape where other people's loops hold the optimizer.

Each test runs through stand-ins, which call the optimizer as Lightning, Fabric, Accelerate and the
Trainer of transformers do, and through those themselves where they are installed:
`make frameworks` installs and runs them all.
"""

import importlib.util

import pytest
import torch
from stacks import FRAMEWORKS, STAND_INS, Job, error
from torch import nn

from saddlelib.optim import Escape

# Lightning 2.6 asks PyTorch 2.13 for a name that it is about to lose.
pytestmark = pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning")
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
@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("clip", [None, 0.1])
def test_a_run_leaves_the_saddle_where_the_bare_one_stays(loop, accumulate, clip):
    data = batches(60)
    still = at_saddle()
    loop(Job(still, bare(), data, epochs=2, accumulate=accumulate, clip=clip))
    assert not flat(still).any()
    model = at_saddle()
    run = loop(Job(model, wrapped(), data, epochs=2, accumulate=accumulate, clip=clip))
    assert error(model, torch.cat(data)) < 0.6 * error(still, torch.cat(data))
    assert run.optimizer.counts["moves"] >= 1


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
    run = loop(Job(whole, wrapped(), data, epochs=cut + 40, accumulate=accumulate))
    model = at_saddle()
    path = tmp_path / "saved"
    loop(Job(model, wrapped(), data, epochs=cut, accumulate=accumulate, save=path))
    again = at_saddle()
    other = loop(Job(again, wrapped(), data, epochs=cut + 40, first=cut,
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
