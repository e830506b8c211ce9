"""A look leaves no trace, and sees the gradient that training sees."""

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from saddlelib.optim._evaluator import Evaluator, Unusable, leaves, modules_of

X = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))


def network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 1))


class Trainer:
    """A loss that finds its model only through other objects."""

    def __init__(self, model):
        self.engine = {"models": [model]}

    def loss(self):
        return self.engine["models"][0](X).square().mean()


REGISTRY = {}


def hidden_loss():
    """Its model is in a table that no search through closures can follow."""
    return globals()["REGI" + "STRY"]["model"](X).square().mean()


def generators():
    return (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(),  # noqa: NPY002
            random.getstate())


def everything(model):
    return [t.clone() for t in model.state_dict().values()]


@pytest.mark.parametrize("way", ["lambda", "method", "hidden", "compiled", "closure"])
def test_nothing_that_a_look_touches_is_different_afterwards(way):
    model, other = network(), nn.Parameter(torch.ones(1))
    REGISTRY["model"] = model
    other.grad = torch.full((1,), 7.0)
    for p in model.parameters():
        p.grad = torch.full_like(p, 3.0)
    kept = [p.grad for p in model.parameters()]
    runs = torch.compile(model, backend="eager")

    def draw():  # a loss that draws from every generator there is
        return 1 + 0 * (torch.rand(()) + random.random() + np.random.rand())  # noqa: NPY002

    def closure():
        for p in model.parameters():
            p.grad = None
        loss = draw() * other.sum() * model(X).square().mean()
        loss.backward()
        return loss

    loss = {"lambda": lambda: draw() * other.sum() * model(X).square().mean(),
            "method": Trainer(model).loss, "hidden": hidden_loss,
            "compiled": lambda: runs(X).square().mean(), "closure": None}[way]
    known = other.sum() * model(X).sum() if way == "closure" else None
    before, params = everything(model), list(model.parameters())
    states = generators()
    with Evaluator(params, loss, closure if way == "closure" else None, known=known) as ask:
        value, slope = ask.gradient()
        ask.check(value)
        ask.at(slope, -0.1)
        assert ask.value() < value
    assert all(map(torch.equal, before, everything(model)))
    assert all(p.grad is g for p, g in zip(params, kept, strict=True)) and other.grad == 7.0
    assert generators() == states and ask.noise == 0.0


def test_everything_is_put_back_after_an_exception_too():
    model = network()
    before = everything(model)
    with pytest.raises(ZeroDivisionError), Evaluator(
            list(model.parameters()), lambda: model(X).sum()) as ask:
        ask.at([torch.ones_like(p) for p in model.parameters()])
        ask.value()
        raise ZeroDivisionError
    assert all(map(torch.equal, before, everything(model)))


@pytest.mark.parametrize("reentrant", [True, False])
def test_the_gradient_is_that_of_backward_under_checkpointing(reentrant):
    first, last, unused = nn.Linear(3, 3), nn.Linear(3, 1), nn.Linear(2, 2)
    params = [*first.parameters(), *unused.parameters(), *last.parameters()]
    x = X.clone().requires_grad_()

    def loss():
        return last(checkpoint(first, x, use_reentrant=reentrant)).square().mean()

    loss().backward()
    expected = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in params]
    x.grad = None
    with Evaluator(params, loss) as ask:
        for _ in range(2):
            assert all(map(torch.equal, ask.gradient()[1], expected))
        assert ask.by_autograd is not reentrant and ask.calls == 2
    assert x.grad is None


def test_a_loss_that_differentiates_something_itself_has_a_value():
    u = nn.Parameter(torch.tensor([0.3, 0.4]))

    def loss():
        t = torch.linspace(0, 1, 5, requires_grad=True)
        slope, = torch.autograd.grad((u[0] * t + u[1] * t**2).sum(), t, create_graph=True)
        return (slope - 1).square().mean()

    with Evaluator([u], loss) as ask:
        assert ask.value() == ask.gradient()[0]


def test_the_sign_turns_value_and_gradient():
    x = nn.Parameter(torch.tensor([2.0]))
    with Evaluator([x], lambda: x.square().sum(), sign=-1.0) as ask:
        value, slope = ask.gradient()
    assert value == ask.sign * 4.0 == -4.0 and slope[0].item() == -4.0


def test_a_loss_that_cannot_be_asked_again_is_named():
    x = nn.Parameter(torch.tensor([2.0]))
    count = iter(range(1, 100))
    for loss, match in [(lambda: next(count) * x.sum(), "asked again at the same"),
                        (lambda: None, "returned None"),
                        (lambda: x * torch.ones(3), "one number")]:
        with Evaluator([x], loss) as ask, pytest.raises(Unusable, match=match):
            ask.check(ask.gradient()[0])


def test_gradients_that_a_closure_does_not_clear_are_seen_once_each():
    x = nn.Parameter(torch.tensor([2.0]))

    def closure():  # as where gradients accumulate
        loss = x.square().sum()
        loss.backward()
        return loss

    with Evaluator([x], closure=closure) as ask:
        assert [ask.gradient()[1][0].item() for _ in range(3)] == [4.0] * 3


def test_leaves_and_modules_are_all_that_a_loss_reaches():
    a, b, c = (nn.Parameter(torch.ones(2)) for _ in range(3))
    assert {id(t) for t in leaves((a * b + c.detach()).sum())} == {id(a), id(b)}
    assert leaves(torch.ones(1)) == []
    model = network()
    assert modules_of(Trainer(model).loss) == [model] and modules_of(hidden_loss) == []


def test_exactly_one_of_loss_and_closure():
    for given in ({}, {"loss": print, "closure": print}):
        with pytest.raises(ValueError, match="exactly one"):
            Evaluator([], **given)


def test_every_evaluation_begins_with_the_same_buffers():
    """Else a loss with spectral normalization would be another one each time."""
    torch.manual_seed(0)
    model = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3))
    with Evaluator(list(model.parameters()), loss=lambda: model(X).square().mean()) as ask:
        assert len({ask.value(), ask.gradient()[0], ask.value()}) == 1
