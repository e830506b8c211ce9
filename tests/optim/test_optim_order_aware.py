"""OrderAwareNewton for PyTorch: the method's own run, on a closure."""

import copy
import functools
import io
import math

import numpy as np
import pytest
import torch
from thorough import instances
from torch import nn

from saddlelib import Oracle
from saddlelib.methods import OrderAwareNewton as Method
from saddlelib.optim import NewtonStatus as S
from saddlelib.optim import OrderAwareNewton
from saddlelib.problems import ConvexQuartic, MatrixFactorization, RavineRosenbrock, TwoNeurons

ROSENBROCK = (0.6, 0.9)


def rosenbrock(x, a=10.0):
    """x⁴ + a(y − x²)²: a curved ravine, least at 0."""
    x, y = x.unbind()
    square = x * x
    return square * square + a * (y - square) ** 2


class Run:
    """An optimizer on one parameter, and what its closure was asked for."""

    def __init__(self, x0=ROSENBROCK, loss=rosenbrock, dtype=torch.float64, **settings):
        self.x = nn.Parameter(torch.tensor(x0, dtype=dtype))
        self.loss, self.losses, self.points = loss, [], []
        self.optimizer = OrderAwareNewton([self.x], **settings)

    def closure(self):
        self.optimizer.zero_grad()
        loss = self.loss(self.x)
        loss.backward()
        self.losses.append(loss.item())
        self.points.append(self.x.detach().clone())
        return loss

    def step(self, n=1):
        """The loss after n steps."""
        loss = self.loss(self.x.detach())
        for _ in range(n):
            loss = self.optimizer.step(self.closure)
        return loss.item()

    @property
    def counts(self):
        return self.optimizer.counts


# The method's own run ------------------------------------------------------------


def problems():
    rng = np.random.default_rng(5)
    G = rng.standard_normal((6, 2)) / 4
    return {
        "Rosenbrock": (RavineRosenbrock(10.0), np.array(ROSENBROCK)),
        "convex": (ConvexQuartic.spread(12, 30.0), rng.standard_normal(12) / 2),
        "factorization": (MatrixFactorization(G @ G.T, 2, columns=4), rng.standard_normal(24) / 5),
        "two neurons": (TwoNeurons(rng.standard_normal(5)), rng.standard_normal(10) / 3),
    }


CALLS = instances(60, 120)


@functools.cache
def run_of_numpy(name, known):
    """The points at which the method asks for f and ∇f, and the least f after so many of them."""
    problem, x0 = problems()[name]
    points, best = [], {}

    def both(x):
        points.append(x)
        return problem.fun(x), problem.grad(x)
    method, oracle = Method(f_star=problem.f_star if known else -math.inf), Oracle(both, jac=True)
    state = method.init(oracle, x0)
    while state.finished is None and len(points) < CALLS:
        state = method.step(oracle, state)
        best[len(points)] = state.best[2]
    return points, best


@pytest.mark.parametrize("max_eval", [3, 10, 1000])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("name", problems())
def test_it_asks_where_the_numpy_method_asks(name, known, max_eval):
    """But for the first call of each step, which is at the parameters as they are."""
    problem, x0 = problems()[name]
    f_star = problem.f_star if known else None
    expected, best = run_of_numpy(name, known)
    cut = [problem.dim // 3, problem.dim - problem.dim // 3]
    params = [nn.Parameter(p) for p in torch.from_numpy(x0.copy()).split(cut)]
    optimizer = OrderAwareNewton(params, f_star=f_star, max_eval=max_eval)

    def now():
        return torch.cat([p.detach() for p in params]).numpy()

    def closure():
        calls.append(now())
        for p, g in zip(params, torch.from_numpy(problem.grad(now())).split(cut), strict=True):
            p.grad = g
        return problem.fun(now())

    asked, total, compared = [], 0, 0
    while len(asked) < len(expected) and optimizer.counts["status"] in (S.START, S.RUNNING):
        calls, before = [], now()
        loss = optimizer.step(closure)
        assert np.array_equal(calls[0], before)
        assert loss == pytest.approx(problem.fun(now()), rel=1e-9, abs=1e-25)
        assert len(calls) == max_eval or optimizer.counts["status"] is not S.RUNNING
        total += len(calls)
        for x in calls[1:]:  # the oracle of a step knows none of the last points of another
            if not any(np.array_equal(x, y) for y in asked[-2:]):
                asked.append(x)
        if len(asked) in best:
            compared += 1
            assert loss == pytest.approx(best[len(asked)], rel=1e-6, abs=1e-20)
    assert len(asked) >= len(expected) and optimizer.counts["closure_calls"] == total
    # Sums may be rounded by where their terms lie in memory, so not to the last bit.
    assert all(np.allclose(a, b, rtol=1e-6, atol=1e-6)
               for a, b in zip(asked, expected, strict=False))
    assert compared >= {3: CALLS // 6, 10: CALLS // 30}.get(max_eval, 0)


@pytest.mark.parametrize("f_star", [0.0, None, -1e-3, 1e-3])
def test_down_a_ravine_whatever_f_star_it_is_told(f_star):
    run = Run(f_star=f_star)
    while run.counts["loss"] > 1e-20 and run.counts["steps"] < 8:
        run.step()
    counts = run.counts
    assert counts["loss"] < 1e-20 and counts["order"] == pytest.approx(4.0, abs=0.5)
    assert counts["jumps_kept"] >= 1
    if f_star == 0.0:
        assert counts["f_star"] == 0.0 and math.isnan(counts["f_star_error"])
    else:  # unknown, or given up
        assert abs(counts["f_star"]) < 1e-6 and counts["f_star_error"] < 1e-4
    assert ("f_star = 0.001 is too high" in counts["note"]) == (f_star == 1e-3)
    assert ("f_star = -0.001 disagrees" in counts["note"]) == (f_star == -1e-3)


def test_a_step_is_max_eval_calls_and_leaves_the_best_point_in_the_parameters():
    run, last = Run(max_eval=7), math.inf
    for step in range(1, 9):
        loss = run.step()
        assert len(run.losses) == run.counts["closure_calls"] == 7 * step
        assert loss in run.losses and loss <= last and run.counts["status"] is S.RUNNING
        assert loss == run.counts["loss"] == rosenbrock(run.x).item()
        run.optimizer.zero_grad()
        rosenbrock(run.x).backward()
        assert run.counts["grad_norm"] == pytest.approx(run.x.grad.norm().item())
        last = loss


def test_far_fewer_calls_than_lbfgs():
    x = nn.Parameter(torch.tensor(ROSENBROCK, dtype=torch.float64))
    peer = torch.optim.LBFGS([x], max_iter=400, max_eval=400, tolerance_grad=0,
                             tolerance_change=0, line_search_fn="strong_wolfe")
    losses = []

    def closure():
        peer.zero_grad()
        loss = rosenbrock(x)
        loss.backward()
        losses.append(loss.item())
        return loss
    peer.step(closure)
    run = Run(f_star=0.0, max_eval=100)
    run.step()
    ours, theirs = (next(i for i, loss in enumerate(found, 1) if loss < 1e-12)
                    for found in (run.losses, losses))
    assert ours < 0.7 * theirs


def test_maximizing_is_minimizing_the_negative():
    for f_star in (None, 1e-9):
        down = Run(f_star=f_star)
        up = Run(loss=lambda x: -rosenbrock(x), f_star=f_star and -f_star, maximize=True)
        for _ in range(5):
            assert up.step() == -down.step() and torch.equal(up.x, down.x)
        a, b = down.counts, up.counts
        for key in ("loss", "f_star"):
            assert repr(a.pop(key)) == repr(-b.pop(key))
        a.pop("note"), b.pop("note")
        assert repr(a) == repr(b)


# What torch promises ---------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_saved_run_goes_on_bit_for_bit(dtype):
    """Within a solve, a settle, a trial of a jump: wherever a step happens to end."""
    for cut in range(10) if dtype is torch.float64 else instances((4, 7), range(10)):
        run = Run(f_star=0.0, max_eval=4, dtype=dtype)
        run.step(cut)
        file = io.BytesIO()
        torch.save((run.optimizer.state_dict(), run.x), file)
        file.seek(0)
        state, x = torch.load(file, weights_only=True)
        other = Run(f_star=3.0, max_eval=9, epsilon=1.0, dtype=dtype)
        other.step(2)
        other.x.data.copy_(x.detach())
        other.optimizer.load_state_dict(state)
        other.losses.clear()
        copied = copy.deepcopy(run.optimizer)
        assert repr(copied.counts) == repr(other.counts) == repr(run.counts)
        run.losses.clear()
        run.step(7)
        other.step(7)
        assert run.losses == other.losses and torch.equal(run.x, other.x)
        assert repr(run.counts) == repr(other.counts)


def test_a_state_without_a_run_begins_one():
    run = Run()
    run.step()
    run.optimizer.load_state_dict(torch.optim.SGD([run.x]).state_dict() | {
        "param_groups": run.optimizer.state_dict()["param_groups"]})
    assert run.optimizer._scalars["run"] is None


def test_changed_parameters_begin_a_new_run():
    run = Run(f_star=0.0)
    run.step(2)
    run.x.data.copy_(torch.tensor(ROSENBROCK))
    run.losses.clear()
    run.step()
    fresh = Run(tuple(run.points[50].tolist()), f_star=0.0)
    fresh.step()
    assert run.losses == fresh.losses and len(run.losses) == 25


def test_frozen_and_unused_parameters_stay_and_tensors_are_one_vector():
    one = Run(f_star=0.0, max_eval=10)
    x = [nn.Parameter(torch.tensor([[v]], dtype=torch.float64)) for v in ROSENBROCK]
    frozen = nn.Parameter(torch.ones(3), requires_grad=False)
    unused = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    optimizer = OrderAwareNewton([frozen, x[0], unused, x[1]], f_star=0.0, max_eval=10)

    def closure():
        optimizer.zero_grad()
        loss = rosenbrock(torch.cat(x).ravel())
        loss.backward()
        return loss
    with torch.no_grad():
        assert optimizer.step(closure).item() == pytest.approx(one.step(), rel=1e-9)
        for _ in range(6):
            optimizer.step(closure)
    assert optimizer.counts["loss"] < 1e-12
    assert torch.equal(frozen, torch.ones(3)) and torch.equal(unused, torch.zeros(2).double())


def test_an_exception_of_the_closure_leaves_the_best_point_and_the_run():
    expected = Run(f_star=0.0, max_eval=10)
    expected.step(6)
    for at in (1, 2, 5, 23):
        run, calls = Run(f_star=0.0, max_eval=10), 0

        def closure(run=run, at=at):
            nonlocal calls
            calls += 1
            if calls == at:
                raise ArithmeticError
            return run.closure()
        with pytest.raises(ArithmeticError) as error:
            for _ in range(6):
                run.optimizer.step(closure)
        assert not hasattr(error.value, "__notes__")
        if at > 2:
            assert rosenbrock(run.x).item() == run.counts["loss"] <= run.losses[0]
        else:
            assert run.x.tolist() == list(ROSENBROCK) and run.counts["status"] is S.START
        run.step(7)
        assert run.counts["loss"] <= expected.counts["loss"]


# Precision -------------------------------------------------------------------------


def test_float32_comes_to_its_own_rounding_floor_and_says_so():
    """Also where the rounding of its gradients hides the curvature of the floor long before."""
    m = torch.tensor([1.0, 0.5])

    def factor(x):
        return (x.view(2, 2) @ x.view(2, 2).T - m.outer(m)).square().sum()

    for loss, x0, least in ((factor, [1.1, 0.3, 0.4, -0.3], 1e-9), (rosenbrock, ROSENBROCK, 1e-9),
                            (lambda x: 1 + rosenbrock(x), ROSENBROCK, 1 + 2e-7)):
        for f_star in (None, 0.0):
            run = Run(x0, loss=loss, dtype=torch.float32, f_star=f_star)
            end = run.step(20)
            assert end < least and end == run.counts["loss"] == loss(run.x.detach()).item()
            status = run.counts["status"]
            assert status is S.PRECISION or status is S.AT_F_STAR and end == f_star
            assert run.counts["closure_calls"] < 300
    assert "rounding" in S.PRECISION.message


@pytest.mark.parametrize("f_star", [0.0, None])
@pytest.mark.parametrize("seed", range(3))
def test_differences_in_float32_are_as_long_as_its_rounding_asks_for(f_star, seed):
    """½Σ hᵢ(uᵢ − 1)² + ¼Σ (vᵢ − 1)⁴, whose x is rounded; as short as in float64 they show noise."""
    h = torch.logspace(0, -1.5, 8)
    x0 = 1 + torch.randn(16, generator=torch.Generator().manual_seed(seed)) / 2
    run = Run(x0.tolist(), loss=lambda x: (h * (x[:8] - 1) ** 2).sum() / 2 + (
        (x[8:] - 1) ** 4).sum() / 4, dtype=torch.float32, f_star=f_star)
    run.step(6)
    assert run.counts["loss"] < 1e-12


def test_the_run_ends_for_a_reason_and_then_takes_one_call_a_step():
    cases = [
        (dict(loss=lambda x: x.square().sum()), S.STATIONARY),
        (dict(epsilon=1e-3), S.STATIONARY),
        (dict(loss=lambda x: 1 + rosenbrock(x), f_star=1.0), S.AT_F_STAR),
        (dict(loss=lambda x: 1 + rosenbrock(x)), S.PRECISION),
        (dict(loss=lambda x: -torch.exp(100 * x.sum() - 150)), S.UNBOUNDED),
    ]
    for settings, status in cases:
        run = Run(**settings, max_eval=1000)
        run.step()
        assert run.counts["status"] is status and len(run.losses) < 900, status
        calls, x = len(run.losses), run.x.detach().clone()
        run.step(3)
        assert len(run.losses) == calls + 3 and torch.equal(run.x, x)
        assert len(status.message) > 20 and S.START.message


# Bad input -------------------------------------------------------------------------


def test_a_loss_that_differs_at_one_point_is_refused_and_the_next_step_begins_anew():
    rng = torch.Generator().manual_seed(1)
    noise = [0.1]
    run = Run(loss=lambda x: rosenbrock(x) + noise[0] * torch.rand((), generator=rng))
    with pytest.raises(RuntimeError, match="deterministic. Use the same data") as error:
        run.step()
    assert run.x.tolist() == list(ROSENBROCK) and "dropout" in str(error.value)
    noise[0] = 0.0
    assert run.step(3) < 1e-12
    noise[0], x = 1e-6, run.x.detach().clone()
    with pytest.raises(RuntimeError, match="deterministic"):
        run.step()
    assert torch.equal(run.x, x)
    run.loss = lambda x: 1 + rosenbrock(x - 1)  # other data on purpose
    run.step(6)
    assert run.counts["loss"] == pytest.approx(1.0, abs=1e-12)


def test_mini_batches_of_each_step_are_noticed_at_the_second():
    rng = torch.Generator().manual_seed(2)
    a = torch.randn(64, 3, generator=rng, dtype=torch.float64)
    run = Run((1.0, -1.0, 0.5), loss=lambda x: ((a[batch] @ x - 1) ** 4).mean())
    batch = range(8)
    run.step()
    batch = range(8, 16)
    with pytest.raises(RuntimeError, match="same data at each call"):
        run.step()


def test_rounding_between_two_calls_is_no_error():
    """As on a GPU, where sums come in another order each time."""
    signs = iter([1.0, -1.0, -1.0] * 1000)
    run = Run(loss=lambda x: (rosenbrock(x) + 1.0) * (1.0 + 4e-15 * next(signs)))
    assert run.step(20) < 1 + 1e-10


def test_values_that_are_not_finite():
    run = Run(loss=lambda x: rosenbrock(x) * math.nan)
    with pytest.raises(RuntimeError, match="loss is nan; the parameters are unchanged"):
        run.step()
    assert run.x.tolist() == list(ROSENBROCK)

    def cliff(x):
        return rosenbrock(x) * (1.0 if x.detach().norm() < 1.1 else math.nan)
    run = Run(loss=cliff)
    assert run.step(6) < 1e-12
    run, bad = Run(), [math.nan]

    def closure():
        loss = run.closure()
        run.x.grad[0] *= bad[0]
        return loss
    run.optimizer.step(closure)
    assert run.counts["status"] is S.NONFINITE and run.x.tolist() == list(ROSENBROCK)
    bad[0] = 1.0
    for _ in range(4):
        run.optimizer.step(closure)
    assert run.counts["loss"] < 1e-12


@pytest.mark.parametrize("settings, error, match", [
    ({"f_star": math.nan}, ValueError, "f_star must be a finite number"),
    ({"f_star": -math.inf}, ValueError, "None where it is not known"),
    ({"f_star": "0"}, TypeError, "f_star must be a real number"),
    ({"epsilon": -1.0}, ValueError, "epsilon"), ({"epsilon": math.nan}, ValueError, "epsilon"),
    ({"max_eval": 2}, ValueError, "max_eval must be at least 3"),
    ({"max_eval": 9.5}, TypeError, "max_eval")])
def test_settings_out_of_range_are_named(settings, error, match):
    with pytest.raises(error, match=match):
        Run(**settings)


def test_parameters_that_cannot_be_are_named():
    for dtype, match in ((torch.bfloat16, r"convert them with .double\(\)"),
                         (torch.complex64, "view_as_real")):
        with pytest.raises(TypeError, match=match):
            OrderAwareNewton([torch.zeros(2, dtype=dtype)])
    x = nn.Parameter(torch.ones(2))
    with pytest.raises(ValueError, match="one group of parameters"):
        OrderAwareNewton([{"params": [x]}, {"params": [nn.Parameter(torch.ones(3))]}])
    optimizer = OrderAwareNewton([x])
    with pytest.raises(ValueError, match="one group of parameters"):
        optimizer.add_param_group({"params": [nn.Parameter(torch.ones(3))]})
    x.requires_grad_(False)
    with pytest.raises(RuntimeError, match="requires_grad_"):
        optimizer.step(lambda: x.sum())


def test_bad_closures_say_what_to_do():
    run = Run()
    for bad in (None, 1.0):
        with pytest.raises(TypeError, match="needs a closure"):
            run.optimizer.step(bad)
    with pytest.raises(RuntimeError, match="return loss"):
        run.optimizer.step(lambda: None)
    with pytest.raises(RuntimeError, match="call loss.backward"):
        run.optimizer.step(lambda: 1.0)
    with pytest.raises(TypeError, match="one number, got shape"):
        run.optimizer.step(lambda: torch.ones(2))
    table = nn.Embedding(4, 2, sparse=True)
    sparse = OrderAwareNewton(table.parameters())

    def closure():
        loss = table(torch.tensor([1])).sum()
        loss.backward()
        return loss
    with pytest.raises(RuntimeError, match="sparse=False"):
        sparse.step(closure)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale(run.closure()).detach()
    with pytest.raises(RuntimeError, match="without a closure"):
        scaler.step(run.optimizer, run.closure)
    assert run.x.tolist() == list(ROSENBROCK)


@pytest.mark.parametrize("f_star", [0.0, -1.0, None])
def test_a_loss_that_underflows_ends_the_run(f_star):
    """u² + v¹⁰ becomes 0 where its gradient is 1e-296, and the same point is tried again."""
    run = Run(loss=lambda x: x[0] ** 2 + x[1] ** 10, f_star=f_star)
    ends = (S.PRECISION, S.AT_F_STAR)
    while run.counts["status"] not in ends and run.counts["steps"] < 30:
        run.step()
    assert run.counts["status"] in ends


def test_a_step_ends_even_where_the_method_asks_for_no_point(monkeypatch):
    run = Run()
    run.optimizer.step(run.closure)
    asked = []

    def idle(self, oracle, state):
        asked.append(state)
        assert len(asked) < 10_000
        return state.copy()

    monkeypatch.setattr(Method, "step", idle)
    run.optimizer.step(run.closure)
    assert asked


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e-150, 1e200])
def test_gradients_whose_square_leaves_float64_are_no_hindrance(scale):
    run = Run(loss=lambda x: scale * rosenbrock(x))
    run.step(5)
    assert min(run.losses) < 1e-15 * scale
