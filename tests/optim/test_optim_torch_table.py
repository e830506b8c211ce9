"""PyTorch's own table of inputs and errors, and the checks of its test suite that need no GPU.

`OptimizerInfo` comes from the installed PyTorch, so that what it asks of an optimizer is asked of
ours with the next release, too.
"""

import copy
import functools
import importlib
import importlib.util
import io
import sys
import types
import unittest
import warnings

import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from saddlelib.optim import PSD, PSGD, Escape, GDPolyak


@functools.cache
def of_torch():
    """PyTorch's module with the table; importing it takes longer than many tests."""
    if "expecttest" not in sys.modules and importlib.util.find_spec("expecttest") is None:
        # PyTorch's test tools import it for tests of printed text, of which there are none here.
        sys.modules["expecttest"] = types.ModuleType("expecttest")
        sys.modules["expecttest"].TestCase = unittest.TestCase
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what these tools import is not ours to mend
        return importlib.import_module("torch.testing._internal.common_optimizers")


def info(name):
    """What the table says of an optimizer of PyTorch."""
    [found] = [info for info in of_torch().optim_db if info.optim_cls.__name__ == name]
    return found


def wrapped(inner):
    def make(params, **settings):
        return Escape(inner(params, **settings))
    return make


# Name, how it is made, and the optimizer of PyTorch whose table it is held to.
CLASSES = {
    "PSD": (PSD, "SGD"),
    "PSGD": (PSGD, "SGD"),
    "GDPolyak": (GDPolyak, "SGD"),
    "Escape(SGD)": (wrapped(torch.optim.SGD), "SGD"),
    "Escape(Adam)": (wrapped(torch.optim.Adam), "Adam"),
}
OURS = ("PSD", "PSGD", "GDPolyak")

# What is not as in PyTorch, on purpose: (classes, what, why).
EXCEPTIONS = [
    (OURS, "momentum", "steps are those of plain SGD, of which the theory of episodes and epochs "
                       "is; Escape(SGD(momentum=...)) is the way to have both"),
    (OURS, "dampening", "belongs to momentum"),
    (OURS, "nesterov", "belongs to momentum"),
    (OURS, "complex", "refused, with the advice to optimize torch.view_as_real: norms and inner "
                      "products are those of real vectors"),
    (OURS, "differentiable", "a step decides by numbers, which have no derivative"),
    (OURS, "capturable", "a step decides by numbers, for which a GPU has to wait"),
    (("PSD", "PSGD"), "zero gradients", "where the gradient is zero they perturb: that is what "
                                        "they are for. With nobody to ask nothing moves"),
    (("GDPolyak",), "zero gradients", "as SGD without a loss, and where it is zero nothing moves"),
]


def excepted(name, what):
    return any(name in classes and what == key for classes, key, _ in EXCEPTIONS)


def inputs(name):
    """The table of PyTorch for a class, without what is an exception."""
    _, like = CLASSES[name]
    return [given for given in info(like).optim_inputs_func(device="cpu")
            if not any(excepted(name, key) for key in given.kwargs)]


def make(name, params, **settings):
    kind, _ = CLASSES[name]
    return kind(params, **copy.deepcopy(settings))


EACH = pytest.mark.parametrize("name", CLASSES)
pytestmark = [pytest.mark.filterwarnings("ignore:nobody can look"),
              pytest.mark.filterwarnings("ignore:a look needs the loss"),
              pytest.mark.filterwarnings("ignore:the run stands still")]


class Line:
    """Σ (Wx + b)² of PyTorch's tests: parameters that a step should lower it by, or raise."""

    def __init__(self, contiguous=True, dtype=torch.float64):
        torch.manual_seed(0)
        weight = torch.randn(10, 5, dtype=dtype)
        if not contiguous:
            weight = torch.randn(10, 5, 2, dtype=dtype)[..., 0]
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.randn(10, dtype=dtype))
        self.x = torch.randn(5, dtype=dtype)
        self.params = [self.weight, self.bias]

    def loss(self):
        return (self.weight.mv(self.x) + self.bias).pow(2).sum()

    def closure(self, optimizer):
        def closure():
            optimizer.zero_grad()
            loss = self.loss()
            loss.backward()
            return loss
        return closure

    def run(self, optimizer, steps, schedulers=()):
        for _ in range(steps):
            loss = optimizer.step(self.closure(optimizer))
            for scheduler in schedulers:
                if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
                    scheduler.step(loss.detach())
                else:
                    scheduler.step()

    def went_right(self, start, settings):
        now = self.loss().item()
        return now > start if settings.get("maximize") else now < start

    def flat(self):
        return torch.cat([p.detach().reshape(-1).double() for p in self.params])


def test_the_table_is_there_and_the_exceptions_are_real():
    """Every exception names a class and something that PyTorch's table or suite asks."""
    asked = {key for one in of_torch().optim_db for given in one.optim_inputs_func(device="cpu")
             for key in given.kwargs}
    asked |= {"complex", "zero gradients", *info("SGD").not_og_supported_flags}
    for classes, key, why in EXCEPTIONS:
        assert set(classes) <= CLASSES.keys() and key in asked and len(why) > 15
    for name in CLASSES:
        assert len(inputs(name)) >= 5  # default, lr, tensor lr, decay, maximize
    for name in OURS:
        for key in ("momentum", "dampening", "nesterov", "capturable", "differentiable"):
            with pytest.raises(TypeError, match=key):
                make(name, Line().params, **{key: 0.9})


@EACH
@pytest.mark.parametrize("contiguous", [True, False])
@pytest.mark.parametrize("foreach", [True, False])
def test_it_goes_in_the_right_direction(name, contiguous, foreach):
    for given in inputs(name):
        if foreach and given.kwargs.get("capturable"):
            continue
        line = Line(contiguous)
        optimizer = make(name, line.params, **{**given.kwargs, "foreach": foreach})
        start = line.loss().item()
        line.run(optimizer, 20)
        assert line.went_right(start, given.kwargs), given


@EACH
def test_it_goes_in_the_right_direction_with_a_schedule(name):
    _, like = CLASSES[name]
    for given in inputs(name)[:3]:
        for constructors in info(like).scheduler_inputs:
            line = Line()
            optimizer = make(name, line.params, **given.kwargs)
            start = line.loss().item()
            line.run(optimizer, 20, [one(optimizer) for one in constructors])
            assert line.went_right(start, given.kwargs), given


@EACH
def test_groups_have_their_own_lr_and_weight_decay(name):
    for given in inputs(name):
        line, settings = Line(), dict(given.kwargs)
        decay = settings.pop("weight_decay", 0.0)
        optimizer = make(name, [{"params": [line.weight], "weight_decay": decay},
                                {"params": [line.bias], "lr": 1e-3}], **settings)
        start = line.loss().item()
        line.run(optimizer, 20)
        assert line.went_right(start, settings), given
        assert optimizer.param_groups[1]["lr"] == 1e-3
        assert optimizer.param_groups[0]["weight_decay"] == decay
        still = Line()
        optimizer = make(name, [{"params": [still.weight]}, {"params": [still.bias], "lr": 0.0}],
                         **{k: v for k, v in given.kwargs.items() if k != "lr"}, lr=1e-3)
        before = still.bias.detach().clone()
        still.run(optimizer, 5)
        assert torch.equal(still.bias, before) and still.weight.grad is not None


@EACH
def test_weight_decay_pulls_where_the_loss_does_not(name):
    p = nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = make(name, [p], lr=0.01, weight_decay=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        (0.0 * p.sum()).backward()
        optimizer.step()
    assert (p < 1).all()


@EACH
def test_an_lr_that_is_a_tensor_is_that_number(name):
    for given in inputs(name):
        if given.kwargs.get("capturable"):
            continue
        a, b = Line(), Line()
        settings = {**given.kwargs, "lr": 2e-3}
        for line, lr in ((a, 2e-3), (b, torch.tensor(2e-3, dtype=torch.float64))):
            line.run(make(name, line.params, **{**settings, "lr": lr, "foreach": False}), 10)
        torch.testing.assert_close(a.flat(), b.flat(), rtol=1e-12, atol=0)


@EACH
def test_a_state_is_saved_and_loaded_and_goes_on(name):
    for given in inputs(name):
        a, b = Line(), Line()
        one = make(name, a.params, **given.kwargs)
        a.run(one, 13)
        file = io.BytesIO()
        torch.save(one.state_dict(), file)
        file.seek(0)
        saved = torch.load(file, weights_only=True)
        with torch.no_grad():
            for p, q in zip(b.params, a.params, strict=True):
                p.copy_(q)
        two = make(name, b.params, **{**given.kwargs, "lr": 7.0})
        kept = copy.deepcopy(saved)
        two.load_state_dict(saved)
        assert str(saved) == str(kept)  # loading changes nothing in what was loaded
        a.run(one, 13)
        b.run(two, 13)
        assert torch.equal(a.flat(), b.flat()), given
        c = copy.deepcopy((two, b))  # a copy with its parameters
        c[1].run(c[0], 7)
        b.run(two, 7)
        assert torch.equal(c[1].flat(), b.flat()), given


@EACH
def test_an_older_state_can_be_loaded(name):
    _, like = CLASSES[name]
    for given in inputs(name):
        line = Line()
        optimizer = make(name, line.params, **given.kwargs)
        line.run(optimizer, 2)
        for flag in info(like).not_og_supported_flags:
            saved = copy.deepcopy(optimizer.state_dict())
            for group in saved["param_groups"]:
                group.pop(flag, None)
            optimizer.load_state_dict(saved)
            line.run(optimizer, 1)


@EACH
def test_hooks_are_called_once_each(name):
    seen = []
    line = Line()
    optimizer = make(name, line.params)

    def hook(text, result=None):
        def called(*args, **kwargs):
            seen.append(text)
            return result
        return called
    handles = [optimizer.register_step_pre_hook(hook("before step")),
               optimizer.register_step_post_hook(hook("after step")),
               register_optimizer_step_post_hook(
                   lambda o, *rest: seen.append("everywhere") if o is optimizer else None),
               optimizer.register_state_dict_pre_hook(hook("before save")),
               optimizer.register_state_dict_post_hook(hook("after save")),
               optimizer.register_load_state_dict_pre_hook(hook("before load")),
               optimizer.register_load_state_dict_post_hook(hook("after load"))]
    line.run(optimizer, 1)
    optimizer.load_state_dict(optimizer.state_dict())
    assert sorted(seen) == sorted(["before step", "after step", "everywhere", "before save",
                                   "after save", "before load", "after load"])
    for handle in handles:
        handle.remove()
    line.run(optimizer, 1)
    assert len(seen) == 7


@EACH
def test_a_hook_may_change_what_is_saved_and_loaded(name):
    line = Line()
    optimizer = make(name, line.params)

    def note(optimizer, state_dict):
        state_dict["note"] = 1
        return state_dict

    def lower(optimizer, state_dict):
        state_dict = copy.deepcopy(state_dict)
        state_dict["param_groups"][0]["lr"] = 1e-7
        return state_dict
    optimizer.register_state_dict_post_hook(note)
    optimizer.register_load_state_dict_pre_hook(lower)
    saved = optimizer.state_dict()
    assert saved["note"] == 1
    optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["lr"] == 1e-7


@EACH
def test_the_errors_of_the_table(name):
    _, like = CLASSES[name]
    asked = 0
    for case in info(like).optim_error_inputs_func(device="cpu", dtype=torch.float32):
        given = case.optimizer_error_input
        if case.error_on is not of_torch().OptimizerErrorEnum.CONSTRUCTION_ERROR or any(
                excepted(name, key) for key in given.kwargs):
            continue
        if set(given.kwargs) - {"lr", "weight_decay"} and name in OURS:
            continue
        asked += 1
        params = Line().params if given.params is None else given.params
        if issubclass(case.error_type, Warning):
            with pytest.warns(case.error_type, match=case.error_regex):
                make(name, params, **given.kwargs)
        else:
            with pytest.raises(case.error_type, match=case.error_regex):
                make(name, params, **given.kwargs)
    assert asked >= 5


@EACH
def test_without_gradients_a_step_is_none(name):
    for given in inputs(name):
        line = Line()
        optimizer = make(name, line.params, **given.kwargs)
        before = line.flat()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        optimizer.step(lambda: torch.tensor(1.0))
        assert torch.equal(line.flat(), before)


@EACH
def test_gradients_of_zero_move_nothing_where_nobody_looks(name):
    for given in inputs(name):
        if given.kwargs.get("weight_decay"):
            continue
        line = Line()
        optimizer = make(name, line.params, **given.kwargs)
        for p in line.params:
            p.grad = torch.zeros_like(p)
        before = line.flat()
        optimizer.step()
        assert torch.equal(line.flat(), before), given


@EACH
def test_gradients_are_not_written_into(name):
    for given in inputs(name):
        line = Line()
        optimizer = make(name, line.params, **given.kwargs)
        for _ in range(6):
            optimizer.zero_grad()
            line.loss().backward()
            before = [(p.grad, p.grad._version) for p in line.params]
            optimizer.step()
            assert all(p.grad is g and g._version == v
                       for p, (g, v) in zip(line.params, before, strict=True)), given


@EACH
def test_one_tensor_after_the_other_is_the_same(name):
    shapes = [(3, 4), (5,), (), (0,), (2, 0, 3)]  # also 0-dim and empty ones
    for given in inputs(name):
        if given.kwargs.get("capturable"):
            continue
        ends = []
        for foreach in (True, False):
            torch.manual_seed(1)
            params = [nn.Parameter(torch.randn(s, dtype=torch.float64)) for s in shapes]
            optimizer = make(name, params, **{**given.kwargs, "foreach": foreach})
            for _ in range(9):
                optimizer.zero_grad()
                sum((p**2).sum() + p.sum() for p in params).backward()
                optimizer.step()
            ends.append(params)
        for p, q in zip(*ends, strict=True):
            torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-14)


@EACH
def test_many_at_once_is_the_default(name):
    """PyTorch's take many tensors at once on a GPU only; ours, whose step is one sum, always."""
    line = Line()
    optimizer = make(name, line.params)
    assert optimizer.param_groups[0]["foreach"] is None
    if name in OURS:
        seen = []
        optimizer._update = lambda p, g, lr, maximize, foreach: seen.append(foreach)
        line.run(optimizer, 1)
        assert seen == [True]


@EACH
def test_numbers_of_several_widths_in_one_list(name):
    for given in inputs(name):
        torch.manual_seed(1)
        params = [nn.Parameter(torch.randn(4, dtype=dtype)) for dtype in
                  (torch.float64, torch.float32, torch.bfloat16, torch.float16)]
        before = [p.detach().clone() for p in params]
        optimizer = make(name, params, **{**given.kwargs, "lr": 0.05})
        for _ in range(5):
            optimizer.zero_grad()
            sum((p.double() ** 2).sum() for p in params).backward()
            optimizer.step()
        for p, q in zip(params, before, strict=True):
            assert p.dtype == q.dtype and p.isfinite().all()
            grown = p.detach().double().norm() > q.double().norm()
            assert grown == bool(given.kwargs.get("maximize")), given


@pytest.mark.parametrize("name", OURS)
def test_complex_tensors_are_refused(name):
    assert excepted(name, "complex")
    with pytest.raises(TypeError, match="view_as_real"):
        make(name, [nn.Parameter(torch.ones(2, dtype=torch.complex64))])


@EACH
def test_names_of_parameters_are_kept(name):
    line = Line()
    optimizer = make(name, [("weight", line.weight), ("bias", line.bias)])
    line.run(optimizer, 3)
    saved = optimizer.state_dict()
    assert saved["param_groups"][0]["param_names"] == ["weight", "bias"]
    unnamed = make(name, Line().params)
    unnamed.load_state_dict(saved)
    assert unnamed.param_groups[0]["param_names"] == ["weight", "bias"]
    named = make(name, [("weight", line.weight), ("bias", line.bias)])
    named.load_state_dict(make(name, Line().params).state_dict())
    assert named.param_groups[0]["param_names"] == ["weight", "bias"]


@EACH
def test_it_can_be_printed_and_has_a_state(name):
    line = Line()
    optimizer = make(name, line.params)
    line.run(optimizer, 1)
    assert name.split("(")[0] in repr(optimizer) and "lr: 0.001" in repr(optimizer)
    if name != "Escape(SGD)":
        assert len(optimizer.state) == 2


@EACH
def test_zero_grad_and_the_default_dtype(name):
    torch.set_default_dtype(torch.float64)
    try:
        line = Line()
        optimizer = make(name, line.params)
        line.run(optimizer, 2)
    finally:
        torch.set_default_dtype(torch.float32)
    optimizer.zero_grad(set_to_none=False)
    assert not any(p.grad.any() for p in line.params)
    optimizer.zero_grad()
    assert all(p.grad is None for p in line.params)
