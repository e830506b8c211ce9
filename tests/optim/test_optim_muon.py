"""Muon beside torch.optim.Muon, step for step."""

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.optim import _muon  # noqa: E402

from saddlelib import Oracle, minimize  # noqa: E402
from saddlelib.methods import Muon, polar_factor  # noqa: E402

SHAPES = ((6, 3), (3, 4), (4, 4))  # tall, wide and square
SIZES = [m * n for m, n in SHAPES]
SETTINGS = [dict(zip(("nesterov", "weight_decay", "adjust", "momentum"), values, strict=True))
            for values in itertools.product([True, False], [0.0, 0.3],
                                            [None, "match_rms_adamw"], [0.95, 0.3])]
OTHERS = [dict(adjust="original"), dict(ns_steps=0), dict(ns_steps=3), dict(norm_floor=0.5),
          dict(coefficients=(3.4, -4.7, 2.0)), dict(momentum=0.0)]
EACH = pytest.mark.parametrize("setting", SETTINGS + OTHERS, ids=str)
NAMES = {"adjust": "adjust_lr_fn", "norm_floor": "eps", "coefficients": "ns_coefficients"}
TARGET = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def loss(params):
    P, Q, R = params
    return ((P @ Q @ R - TARGET) ** 2).sum() / 2


def parameters():
    made = torch.Generator().manual_seed(1)
    return [torch.nn.Parameter(torch.randn(shape, generator=made, dtype=torch.float64) / 2)
            for shape in SHAPES]


def flat(tensors):
    return torch.cat([t.detach().reshape(-1) for t in tensors]).numpy()


def split(x):
    return [torch.tensor(part).reshape(shape).requires_grad_() for part, shape in
            zip(np.split(x, np.cumsum(SIZES)[:-1]), SHAPES, strict=True)]


def grad(x):
    params = split(x)
    return flat(torch.autograd.grad(loss(params), params))


ORACLE = Oracle(lambda x: loss(split(x)).item(), jac=grad)


def torchs(params, lr, setting):
    return torch.optim.Muon(params, lr=lr, **{"weight_decay": 0.0} | {
        NAMES.get(name, name): value for name, value in setting.items()})


def newton_schulz(G, coefficients, steps, eps, dtype):
    """The formula of torch in another dtype than bfloat16."""
    a, b, c = coefficients
    X = G.to(dtype)
    if G.size(0) > G.size(1):
        X = X.T
    X = X / X.norm().clamp(min=eps)
    for _ in range(steps):
        gram = X @ X.T
        X = torch.addmm(X, torch.addmm(gram, gram, gram, beta=b, alpha=c), X, beta=a)
    return X.T if G.size(0) > G.size(1) else X


@pytest.mark.parametrize("shape", SHAPES)
def test_in_bfloat16_the_formula_of_these_tests_is_that_of_torch_to_the_last_bit(shape):
    G = torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    numbers = ((_muon.DEFAULT_A, _muon.DEFAULT_B, _muon.DEFAULT_C), _muon.DEFAULT_NS_STEPS,
               _muon.EPS)
    assert torch.equal(newton_schulz(G, *numbers, torch.bfloat16),
                       _muon._zeropower_via_newtonschulz(G, *numbers))
    wanted = newton_schulz(G, *numbers, torch.float64).numpy()
    assert np.abs(polar_factor(G.numpy()) - wanted).max() < 1e-13


def step_of_torch(params, buffers, given, dtype):
    """A step of torch's on the loss, with its Newton–Schulz iteration in the given dtype."""
    slopes = torch.autograd.grad(loss(params), params)
    with torch.no_grad():
        for p, g, buffer in zip(params, slopes, buffers, strict=True):
            buffer.lerp_(g, 1 - given["momentum"])
            update = g.lerp(buffer, given["momentum"]) if given["nesterov"] else buffer
            update = newton_schulz(update, given["ns_coefficients"], given["ns_steps"],
                                   given["eps"], dtype)
            p.mul_(1 - given["lr"] * given["weight_decay"])
            p.add_(update, alpha=-_muon._adjust_lr(given["lr"], given["adjust_lr_fn"], p.shape))


@EACH
def test_in_float64_its_steps_are_those_of_torchs_formulas(setting):
    """Which in bfloat16 are those of torch.optim.Muon to the last bit."""
    theirs, rounded, exact = parameters(), parameters(), parameters()
    optimizer = torchs(theirs, 0.05, setting)
    [given] = optimizer.param_groups
    rounded_buffers, buffers = ([torch.zeros_like(p) for p in exact] for _ in range(2))
    method = Muon(SHAPES, 0.05, **setting)
    state = method.init(ORACLE, flat(exact))
    for _ in range(20):
        optimizer.zero_grad()
        loss(theirs).backward()
        optimizer.step()
        step_of_torch(rounded, rounded_buffers, given, torch.bfloat16)
        np.testing.assert_array_equal(flat(rounded), flat(theirs))
        step_of_torch(exact, buffers, given, torch.float64)
        state = method.step(ORACLE, state)
        assert np.abs(state.x - flat(exact)).max() < 1e-12
    assert np.abs(state.buffer - flat(buffers)).max() < 1e-12


@EACH
def test_from_the_same_state_its_step_is_that_of_torch_up_to_the_rounding_of_bfloat16(setting):
    """Which the five quintics multiply, even of matrices without small singular values."""
    lr, params = 0.05, parameters()
    goal = np.concatenate([4 * polar_factor(p.detach().numpy(), "exact").ravel() for p in params])
    oracle = Oracle(lambda x: float(np.sum((x - goal) ** 2) / 2), jac=lambda x: x - goal)
    optimizer, method = torchs(params, lr, setting), Muon(SHAPES, lr, **setting)
    state = method.init(oracle, flat(params))
    for _ in range(8):
        new = method.step(oracle, state)
        for p, goal_of_p in zip(params, split(goal), strict=True):
            p.grad = (p - goal_of_p).detach()
        optimizer.step()
        here = flat(params)
        for one, other in zip(split(new.x - state.x), split(here - state.x), strict=True):
            assert (one - other).norm() <= 0.2 * one.norm()
        np.testing.assert_allclose(new.buffer, flat(
            [optimizer.state[p]["momentum_buffer"] for p in params]), rtol=1e-12, atol=1e-14)
        state = new.copy()  # on from where torch is
        state.x, state.jac = here, here - goal


def test_every_option_of_torch_is_here_with_its_default_but_for_the_rate_and_the_decay():
    theirs, ours = torch.optim.Muon(parameters()).param_groups[0], Muon(SHAPES)
    here = {of_torch: name for name, of_torch in NAMES.items()}
    options = set(theirs) - {"params", "lr", "weight_decay"}
    assert len(options) >= 6
    for name in options:
        assert getattr(ours, here.get(name, name)) == theirs[name]


def test_parameters_of_a_module_have_the_shapes_of_its_matrices_and_a_bias_is_refused():
    torch.manual_seed(0)
    x = torch.randn(9, 3, dtype=torch.float64)

    def model(bias):
        torch.manual_seed(1)
        return torch.nn.Sequential(torch.nn.Linear(3, 5, bias), torch.nn.Tanh(),
                                   torch.nn.Linear(5, 2, bias)).double()
    module = model(False)
    start = np.concatenate([p.detach().numpy().ravel() for p in module.parameters()])
    result = minimize(lambda net: (net(x) ** 2).mean(), module, "muon", maxiter=6)
    method, oracle = Muon([(5, 3), (2, 5)]), Oracle(lambda x: 0.0, jac=lambda x: 0 * x)
    assert result.nit == 6 and result.x is module
    by_hand, copied = method.init(oracle, start).x, model(False)
    optimizer = torch.optim.Muon(copied.parameters(), lr=0.02, weight_decay=0.0)
    for _ in range(6):
        optimizer.zero_grad()
        (copied(x) ** 2).mean().backward()
        optimizer.step()
    ended = flat(module.parameters())
    assert np.linalg.norm(ended - flat(copied.parameters())) < 0.05 * np.linalg.norm(
        ended - by_hand)
    with pytest.raises(ValueError, match=r"shapes must be pairs.*\(5,\)"):
        minimize(lambda net: (net(x) ** 2).mean(), model(True), "muon", maxiter=6)
