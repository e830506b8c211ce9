"""Losses of torch: exact derivatives in the user's dtype; models hold the answer at the end."""

import subprocess
import sys

import numpy as np
import pytest

import saddlelib
from saddlelib import Verdict, certify
from saddlelib.doors.objective import objective

torch = pytest.importorskip("torch")
DOUBLE = torch.float64


def loss(x, c=1.0):
    return c * (x**4 / 4 - x**2 / 2).sum()


def model(dtype=DOUBLE):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(),
                               torch.nn.Linear(3, 1)).to(dtype)


DATA = torch.linspace(-1, 1, 12, dtype=DOUBLE).reshape(6, 2)
TARGET = DATA[:, :1] * DATA[:, 1:]


def fit(net):
    x, y = DATA.to(next(net.parameters())), TARGET.to(next(net.parameters()))
    return ((net(x) - y)**2).mean() + 0.01 * sum((p**2).sum() for p in net.parameters())


def flat(tensors):
    return torch.cat([t.detach().reshape(-1) for t in tensors]).numpy()


# --- Tensors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("jac", ["torch", None])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (1, 2, 2)])
@pytest.mark.parametrize("dtype", [DOUBLE, torch.float32])
def test_derivatives_are_exact_in_the_dtype_of_the_tensor(shape, dtype, jac):
    x0 = torch.linspace(-1.5, 2, int(np.prod(shape)), dtype=dtype).reshape(shape)
    found = objective(loss, x0, args=(2.0,), jac=jac)
    x, close = found.x0, 1e-14 if dtype == DOUBLE else 1e-5
    v = np.cos(np.arange(x.size))
    assert x.dtype == float and np.array_equal(x, x0.numpy().ravel()) and found.shape == shape
    assert abs(found.oracle.fun(x) - 2 * (x**4 / 4 - x**2 / 2).sum()) <= close
    assert np.abs(found.oracle.grad(x) - 2 * (x**3 - x)).max() <= 8 * close
    assert np.abs(found.oracle.hvp(x, v) - 2 * (3 * x**2 - 1) * v).max() <= 32 * close
    back = found.restore(x)
    assert torch.equal(back, x0) and (back.dtype, back.device) == (x0.dtype, x0.device)
    assert not back.requires_grad and back.data_ptr() != x0.data_ptr()
    oracle = found.oracle
    assert (oracle.nfev, oracle.njev, oracle.nhvp) == (1, 1, 1)
    single = dtype == torch.float32
    assert bool(found.notes()) == single and oracle.unit == (2.0**-24 if single else 2.0**-53)
    assert all("float32" in note for note in found.notes())


def test_arrays_and_lists_become_float64_tensors_and_come_back_as_arrays():
    for x0 in (np.ones((2, 2)), [[1, 1], [1, 1]], np.ones((2, 2), np.float32)):
        seen = []
        found = objective(lambda x, seen=seen: seen.append((x.dtype, x.shape)) or loss(x), x0,
                          jac="torch")
        found.oracle.grad(found.x0)
        assert set(seen) == {(DOUBLE, (2, 2))}
        assert isinstance(found.restore(found.x0), np.ndarray) and found.notes() == ()
    whole = objective(loss, torch.tensor([1, 2]))
    assert whole.restore(whole.x0).dtype == DOUBLE


def test_each_point_is_evaluated_once():
    calls = []
    found = objective(lambda x: calls.append(1) or loss(x), torch.ones(2, dtype=DOUBLE))
    oracle, x = found.oracle, found.x0
    assert len(calls) == 1 and oracle.calls == 0  # one graph, to see whether there is a second
    oracle.fun(x), oracle.grad(x), oracle.hvp(x, x), oracle.hvp(x, x), oracle.grad(x)
    assert len(calls) == 1 and (oracle.nfev, oracle.njev, oracle.nhvp) == (1, 2, 2)
    oracle.hvp(x + 1, x), oracle.fun(x + 1)
    assert len(calls) == 2


def test_functions_of_the_users_own_get_tensors():
    x0 = torch.tensor([[0.5, 2.0]], dtype=DOUBLE)
    found = objective(loss, x0, jac=lambda x: x**3 - x, hessp=lambda x, v: (3 * x**2 - 1) * v)
    x = found.x0
    assert np.allclose(found.oracle.grad(x), x**3 - x)
    assert np.allclose(found.oracle.hvp(x, np.ones(2)), 3 * x**2 - 1)
    both = objective(lambda x: (loss(x), x**3 - x), x0, jac=True).oracle
    assert np.allclose(both.grad(x), x**3 - x) and both.fun(x) == float(loss(x0))
    assert np.allclose(objective(loss, x0, jac="2-point").oracle.grad(x), x**3 - x, atol=1e-6)
    dense = objective(loss, x0, hess=lambda x: torch.diag(3 * x.ravel()**2 - 1)).oracle
    assert np.allclose(dense.hess(x), np.diag(3 * x**2 - 1)) and not dense.has_hvp
    assert np.allclose(dense.grad(x), x**3 - x)


def test_no_grad_around_the_call_and_half_precision_inside_are_no_obstacle():
    with torch.no_grad():
        oracle = objective(loss, torch.ones(2, dtype=DOUBLE)).oracle
        assert np.allclose(oracle.hvp(np.ones(2), np.ones(2)), 2)
    for dtype, unit in ((torch.float16, 2.0**-11), (torch.bfloat16, 2.0**-8)):
        found = objective(loss, torch.full((2,), 0.5, dtype=dtype))
        assert np.allclose(found.oracle.grad(found.x0), -0.375) and found.oracle.unit == unit


def test_a_matrix_is_factorized_from_the_saddle_at_zero():
    torch.manual_seed(0)
    half = torch.randn(6, 2, dtype=DOUBLE)
    target = half @ half.T
    for dtype in (DOUBLE, torch.float32):
        result = saddlelib.minimize(
            lambda x, m: ((x @ x.T - m)**2).sum() / 4, torch.zeros(6, 2, dtype=dtype),
            args=(target.to(dtype),), jac="torch", rng=0)
        assert result.success and result.x.shape == result.jac.shape == (6, 2)
        assert result.x.dtype == dtype and result.fun < 1e-5
        assert ("float32" in result.message) == (dtype == torch.float32)


# --- Models ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("give", [
    lambda net: (lambda: fit(net), net), lambda net: (fit, net),
    lambda net: (lambda: fit(net), net.parameters()),
    lambda net: (lambda: fit(net), list(net.parameters()))],
    ids=["closure", "of the module", "iterator", "list"])
def test_the_parameters_of_a_model_are_one_point(give):
    net = model()
    start, params = flat(net.parameters()), list(net.parameters())
    found = objective(*give(net), jac="torch")
    oracle, x = found.oracle, start + 0.1
    assert np.array_equal(found.x0, start) and found.shape == start.shape
    assert np.array_equal(flat(params), start)
    value, g, hv = oracle.fun(x), oracle.grad(x), oracle.hvp(x, np.ones(x.size))
    found.restore(x)
    exact = torch.autograd.grad(fit(net), params, create_graph=True)
    assert value == float(fit(net).detach()) and np.allclose(g, flat(exact), atol=1e-15)
    product = torch.autograd.grad(sum(part.sum() for part in exact), params)
    assert np.allclose(hv, flat(product), atol=1e-13)
    assert all(p.grad is None for p in params)


def test_the_model_holds_the_answer_and_nothing_else_is_touched():
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.Tanh(),
                              torch.nn.Linear(3, 1)).double().eval()
    frozen, buffers = net[3].bias.requires_grad_(False), [b.clone() for b in net.buffers()]
    before, kept = frozen.clone(), torch.ones_like(net[0].weight)
    net[0].weight.grad = kept
    result = saddlelib.minimize(fit, net, rng=0)
    assert result.success and result.x is net
    assert abs(float(fit(net).detach()) - result.fun) < 1e-14
    assert torch.equal(frozen, before) and net[0].weight.grad is kept
    assert all(torch.equal(a, b) for a, b in zip(buffers, net.buffers(), strict=True))
    assert [part.shape for part in result.jac] == [
        p.shape for p in net.parameters() if p.requires_grad]


def test_a_closure_that_calls_backward_is_taken_with_products_by_differences():
    net = model()

    def closure():
        net.zero_grad()
        value = fit(net)
        value.backward()
        return value
    found = objective(closure, net)
    assert not found.oracle.has_hvp and "differences" in found.notes()[0]
    exact = torch.autograd.grad(fit(net), list(net.parameters()))
    assert np.allclose(found.oracle.grad(found.x0), flat(exact), atol=1e-15)
    assert all(p.grad is None for p in net.parameters())


def test_parameters_that_somebody_else_wrote_to_do_not_leave_an_old_graph():
    net = model()
    found = objective(fit, net)
    x = found.x0
    g, hv = found.oracle.grad(x), found.oracle.hvp(x, np.ones(x.size))
    with torch.no_grad():
        for p in net.parameters():
            p.add_(1.0)
    assert np.array_equal(found.oracle.grad(x), g)
    assert np.array_equal(found.oracle.hvp(x, np.ones(x.size)), hv)


def test_parameters_without_a_part_in_the_loss_have_no_slope():
    a, b = (torch.nn.Parameter(torch.ones(2, dtype=DOUBLE)) for _ in range(2))
    oracle = objective(lambda: (a**4).sum(), [a, b, a]).oracle
    x = np.arange(4.0)
    assert np.array_equal(oracle.grad(x), [0, 4, 0, 0])
    assert np.array_equal(oracle.hvp(x, np.ones(4)), [0, 12, 0, 0])


def test_parameters_of_several_dtypes_share_a_point():
    a = torch.nn.Parameter(torch.ones(2, dtype=DOUBLE))
    b = torch.nn.Parameter(torch.ones(3))
    found = objective(lambda: (a**2).sum() + (b**4).sum().double(), [a, b])
    assert np.allclose(found.oracle.grad(np.full(5, 2.0)), [4, 4, 32, 32, 32])
    assert found.oracle.unit == 2.0**-24
    found.restore(np.full(5, 3.0))
    assert a.tolist() == [3, 3] and b.tolist() == [3, 3, 3] and b.dtype == torch.float32


# --- What autograd cannot do ----------------------------------------------------------------------


class Once(torch.autograd.Function):
    """x³, with a backward that has no backward."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return g * 3 * ctx.saved_tensors[0]**2


def test_without_second_derivatives_products_come_from_differences_and_it_is_said():
    x0 = torch.tensor([0.5, 1.0], dtype=DOUBLE)

    def once(x):
        return Once.apply(x).sum() + (x**4).sum() - (x**2).sum()
    found = objective(once, x0)
    assert not found.oracle.has_hvp and "no second derivatives" in found.notes()[0]
    assert np.allclose(found.oracle.grad(found.x0), [0.25, 5])
    result = saddlelib.minimize(once, x0, rng=0)
    assert result.success and result.nhvp == 0 and "no second derivatives" in result.message


def test_a_linear_part_does_not_hide_the_curvature_of_the_rest():
    a = torch.nn.Parameter(torch.zeros(1, dtype=DOUBLE))
    b = torch.nn.Parameter(torch.zeros(1, dtype=DOUBLE))
    found = objective(lambda: (a - b**2 / 2).sum() + b.sum() * 0, [a, b])
    seen = certify(found.oracle, np.zeros(2), epsilon=2.0, curvature_tol=0.1, rng=0)
    assert seen.verdict is Verdict.NEGATIVE_CURVATURE


@pytest.mark.parametrize("fun, kind, message", [
    (lambda x: x, ValueError, r"one number, got a tensor of shape \(2,\); take its sum"),
    (lambda x: loss(x).item(), TypeError, "loss as a tensor, got float; leave out .item"),
    (lambda x: loss(x).detach(), ValueError, "no graph.*detach"),
    (lambda x: loss(x.detach()), ValueError, "no graph"),
    (lambda x: torch.tensor(1.0), ValueError, "no graph"),
    (lambda x: None, TypeError, "loss as a tensor, got NoneType"),
])
def test_a_loss_that_autograd_cannot_start_from_is_named(fun, kind, message):
    with pytest.raises(kind, match=message):
        objective(fun, torch.ones(2, dtype=DOUBLE))


@pytest.mark.parametrize("x0, change, kind, message", [
    (torch.ones(2, dtype=torch.complex64), {}, TypeError, "x0 must hold real.*complex64"),
    (torch.tensor([True]), {}, TypeError, "x0 must hold real numbers, got a tensor of torch.bool"),
    (torch.tensor([float("nan")]), {}, ValueError, "x0 must be finite"),
    ([torch.ones(2), torch.ones(2)], {}, ValueError, "no tensor that requires a gradient"),
    ([torch.ones(2, requires_grad=True), 3], {}, TypeError, r"x0\[1\] must be a param.*got int"),
    ([torch.ones(2, requires_grad=True) * 2], {}, TypeError, r"x0\[0\] must be a parameter"),
    (model(), dict(jac="2-point"), ValueError, 'jac must be "torch" or left out.*2-point'),
    (model(), dict(hessp=lambda x, v: v), ValueError, "hessp must be left out"),
    (torch.nn.Tanh(), {}, ValueError, "no tensor that requires a gradient"),
])
def test_starts_that_torch_cannot_move_are_refused(x0, change, kind, message):
    with pytest.raises(kind, match=message):
        objective(loss, x0, **change)


def test_errors_of_the_loss_pass_with_its_name():
    error = StopIteration("mine")

    def broken(x):
        raise error
    with pytest.raises(StopIteration) as caught:
        objective(broken, torch.ones(2))
    assert caught.value is error and error.__notes__ == ["raised by fun"]


WITHOUT = """
import sys
import numpy as np, saddlelib
saddlelib.minimize(lambda x: (x**2).sum(), [1.0, 2.0], rng=0)
assert "torch" not in sys.modules, "torch was imported"
sys.modules["torch"] = None
try:
    saddlelib.minimize(lambda x: (x**2).sum(), [1.0, 2.0], jac="torch")
except ImportError as error:
    print(error)
"""


def test_torch_is_imported_for_those_alone_who_ask():
    run = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True,
                         check=True)
    assert "pip install saddlelib[torch]" in run.stdout
