"""The training tasks, their saddles, and the fairness of a race: equal budgets, honest counting."""

import functools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from saddlelib import tasks  # noqa: E402
from saddlelib.optim import PSGD  # noqa: E402
from saddlelib.tasks import Entry, race  # noqa: E402

KINDS = {"tanh network": tasks.tanh_network, "completion": tasks.completion,
         "autoencoder": tasks.autoencoder, "two linear layers": tasks.linear_network,
         "three linear layers": functools.partial(tasks.linear_network, 3),
         "sleeping units": tasks.sleeping_units, "dead head": tasks.dead_head}
SMALL = {"tanh network": functools.partial(tasks.tanh_network, width=3),
         "completion": functools.partial(tasks.completion, images=8, rank=2),
         "autoencoder": functools.partial(tasks.autoencoder, images=40, width=1),
         "two linear layers": functools.partial(tasks.linear_network, width=1, images=40),
         "three linear layers": functools.partial(tasks.linear_network, 3, width=2, images=40),
         "sleeping units": functools.partial(tasks.sleeping_units, width=2, images=40),
         "dead head": functools.partial(tasks.dead_head, images=60)}
NOISY = "sleeping units", "dead head"  # whose saddle is not at zero
SGD = Entry(torch.optim.SGD, [0.1], elementwise=True)

each_task = pytest.mark.parametrize("name", KINDS)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def hessian(task, x):
    twice = torch.func.jacrev(torch.func.jacrev(lambda x: task.loss(task.unflatten(x))))
    return twice(torch.from_numpy(x)).numpy()


@each_task
def test_the_saddle_is_where_the_gradient_vanishes_with_the_loss_it_states(name):
    task = KINDS[name]()
    x = task.flatten(task.saddle)
    assert x.size == task.dim
    assert task.fun(x) == pytest.approx(task.saddle_loss, rel=1e-14)
    assert np.abs(task.grad(x)).max() < 1e-14


@pytest.mark.parametrize("name", [name for name in KINDS if name not in NOISY])
def test_every_sample_has_no_gradient_in_the_weights_at_the_saddle(name):
    """So the noise of mini-batches is zero there, and plain SGD, or Adam, never leaves."""
    task = KINDS[name]()
    params = [p.requires_grad_() for p in task.start(0, scale=0)]
    for index in range(0, task.n, task.n // 10):
        grads = torch.autograd.grad(task.loss(params, torch.tensor([index])), params)
        assert all(not g.any() for p, g in zip(params, grads, strict=True) if p.ndim == 2)


@pytest.mark.parametrize("name", NOISY)
def test_where_a_part_is_awake_no_sample_has_a_gradient_in_what_sleeps(name):
    """The rest has, and they are what mini-batches of a trained network look like."""
    task = KINDS[name]()
    params = [p.requires_grad_() for p in task.start(0, scale=0)]
    grads = torch.autograd.grad(task.loss(params, torch.tensor([3])), params)
    if name == "dead head":
        asleep, awake = grads[:4], grads[4:]
    else:
        asleep = grads[0][1:], grads[1][:, 1:]
        awake = grads[0][:1], grads[1][:, :1]
        # Awake, and not yet in its place.
        assert task.fun(task.flatten(params)) > 1.1 * task.saddle_loss
    assert not any(g.any() for g in asleep) and all(g.any() for g in awake)


def test_training_takes_the_unit_awake_to_the_saddle_and_no_further():
    task = tasks.sleeping_units()
    result = race(task, {"x": Entry(functools.partial(torch.optim.SGD, momentum=0.95), [0.5],
                                    full_batch=True)}, samples=150_000, batch_size=300,
                  points=2, scale=0, seeds=[1])
    assert result.loss["x"][0, -1] == pytest.approx(task.saddle_loss, rel=1e-6)
    assert not any(p.any() for p in (result.params["x"][0][0][1:], result.params["x"][0][1][:, 1:]))


@each_task
def test_the_smallest_eigenvalue_at_the_saddle_is_the_closed_form(name):
    task = SMALL[name]()
    saddle = task.flatten(task.saddle)
    hess = hessian(task, saddle)
    assert np.allclose(task.hvp(saddle, hess[0]), hess @ hess[0], atol=1e-13)
    assert np.linalg.eigvalsh(hess)[0] == pytest.approx(task.saddle_min_eig, rel=1e-10, abs=1e-14)


@pytest.mark.parametrize("name, strict", [
    ("tanh network", False), ("three linear layers", False), ("completion", True),
    ("autoencoder", True), ("two linear layers", True), ("dead head", True)])
def test_negative_curvature_grows_with_the_start_only_where_the_saddle_is_not_strict(name, strict):
    task = SMALL[name]()

    def least(scale):
        x = task.flatten(task.start(0, scale))
        return np.linalg.eigvalsh(hessian(task, x))[0]

    near, twice = least(1e-4), least(2e-4)
    assert near < 0
    assert twice / near == pytest.approx(1.0 if strict else 2.0, rel=0.02)


@each_task
def test_derivatives_are_those_of_the_loss(name):
    task = SMALL[name]()
    rng = np.random.default_rng(0)
    x, v = task.flatten(task.start(1, scale=0.3)), rng.normal(size=task.dim)
    h = 1e-5
    slope = (task.fun(x + h * v) - task.fun(x - h * v)) / (2 * h)
    assert task.grad(x) @ v == pytest.approx(slope, rel=1e-7)
    bend = (task.grad(x + h * v) - task.grad(x - h * v)) / (2 * h)
    assert np.allclose(task.hvp(x, v), bend, rtol=1e-5, atol=1e-7)


@each_task
def test_the_loss_is_the_mean_over_the_samples_and_takes_runs_side_by_side(name):
    task = SMALL[name]()
    one, two = task.start(0, scale=0.5), task.start(1, scale=0.5)
    singles = torch.stack([task.loss(one, torch.tensor([i])) for i in range(task.n)])
    assert float(singles.mean()) == pytest.approx(float(task.loss(one)), rel=1e-12)
    both = [torch.stack(p) for p in zip(one, two, strict=True)]
    batch = torch.tensor([[0, 3, 5], [1, 1, 2]])
    side = task.loss(both, batch)
    assert side.tolist() == pytest.approx([float(task.loss(one, batch[0])),
                                           float(task.loss(two, batch[1]))], rel=1e-12)


def test_a_start_depends_on_its_seed_and_leaves_biases_alone():
    task = tasks.tanh_network()
    a, b, c = task.start(0), task.start(0), task.start(1)
    assert all(torch.equal(p, q) for p, q in zip(a, b, strict=True))
    assert not torch.equal(a[0], c[0])
    assert torch.equal(a[-1], task.saddle[-1]) and a[-1] != 0
    assert a[0].std() == pytest.approx(task.scale, rel=0.2)


def test_the_frequencies_of_the_classes_are_as_accurate_as_the_larger_class():
    task = tasks.tanh_network()
    assert 0.5 < task.accuracy(task.saddle) < 0.8
    with pytest.raises(TypeError, match="classifies nothing"):
        tasks.completion().accuracy([])


@pytest.mark.parametrize("build", [torch.optim.SGD, torch.optim.Adam,
                                   functools.partial(torch.optim.SGD, momentum=0.9)],
                         ids=["sgd", "adam", "momentum"])
def test_runs_taken_together_are_the_runs_one_by_one(build):
    task, setting = SMALL["completion"](), dict(samples=160, batch_size=8, points=5)
    together = race(task, {"x": Entry(build, [0.03, 0.1], elementwise=True)}, **setting)
    alone = race(task, {"x": Entry(build, [0.03, 0.1])}, **setting)
    assert np.allclose(together.loss["x"], alone.loss["x"], rtol=1e-10)
    assert together.lr == alone.lr
    for a, b in zip(together.params["x"], alone.params["x"], strict=True):
        assert all(torch.allclose(p, q, rtol=1e-9) for p, q in zip(a, b, strict=True))


class Thirsty(torch.optim.SGD):
    """Calls its closure three times a step and stays where it is."""

    def step(self, closure):
        for _ in range(3):
            with torch.enable_grad():
                closure()


class Curious(torch.optim.SGD):
    """Asks for two Hessian-vector products a step, stays, and keeps them."""

    def step(self, curvature_closure):
        params = self.param_groups[0]["params"]
        with torch.enable_grad():
            loss = curvature_closure()
            grads = torch.autograd.grad(loss, params, create_graph=True)
        ones = [torch.ones_like(p) for p in params]
        for _ in range(2):
            self.last = torch.autograd.grad(grads, params, ones, retain_graph=True)


def test_every_call_of_the_closure_costs_its_batch():
    result = race(SMALL["completion"](), {"x": Entry(Thirsty, [1.0], closure="loss")},
                  samples=240, batch_size=8, points=3, seeds=[1])
    assert result.steps["x"].tolist() == [10] and result.spent["x"].tolist() == [240]


def test_a_product_costs_two_gradients_of_its_batch():
    """A step: a mini-batch of 8 for its gradient, one of 20 for the graph, 2·20 a product."""
    result = race(SMALL["autoencoder"](), {"x": Entry(Curious, [1.0], closure="curvature")},
                  samples=536, batch_size=8, curvature_batch=20, points=3, seeds=[1])
    assert result.steps["x"].tolist() == [5]
    assert result.spent["x"].tolist() == [5 * (8 + 20 * (1 + 2 * 2))]


def test_the_products_of_psgd_are_on_the_bill():
    counted = []

    class Counting(PSGD):
        def __init__(self, groups):
            super().__init__(groups, rule="pairs", epsilon=1.0, curvature_tol=0.05, window=1,
                             lanczos_steps=4, check_every=2, escape="direction",
                             perturbation_radius=0.1)
            counted.append(self)

    result = race(SMALL["autoencoder"](), {"x": Entry(Counting, [0.1], closure="curvature")},
                  samples=400, batch_size=8, curvature_batch=16, points=3, scale=0, seeds=[1])
    found = counted[-1].counts
    assert found["hvp"] > 0 and found["hvp_by"] == "autograd" and found["episodes"] > 0
    bill = 8 * found["steps"] + 16 * (found["closure_calls"] + 2 * found["hvp"])
    assert result.spent["x"].tolist() == [bill]


def test_the_whole_data_set_costs_all_of_its_samples():
    task = SMALL["autoencoder"]()
    result = race(task, {"x": Entry(torch.optim.SGD, [0.1], full_batch=True)}, samples=200,
                  batch_size=8, points=6, seeds=[1])
    assert result.steps["x"].tolist() == [200 // task.n]
    params, grid = task.start(1), [float(task.loss(task.start(1)))]
    params = [p.requires_grad_() for p in params]
    for _ in range(200 // task.n):
        grads = torch.autograd.grad(task.loss(params), params)
        params = [(p - 0.1 * g).detach().requires_grad_() for p, g in zip(params, grads,
                                                                          strict=True)]
        grid.append(float(task.loss(params).detach()))
    assert result.counts.tolist() == [0, 40, 80, 120, 160, 200]
    assert result.loss["x"][0] == pytest.approx(grid, rel=1e-12)


def test_a_count_inside_a_step_sees_the_parameters_before_it():
    """A step of 40 samples on a grid of 8: nothing of it may show before it is paid for."""
    task = SMALL["autoencoder"]()
    result = race(task, {"x": Entry(torch.optim.SGD, [1.0], full_batch=True)}, samples=80,
                  batch_size=8, points=11, seeds=[1], scale=0.1)
    first, second = result.loss["x"][0][:5], result.loss["x"][0][5:10]
    assert np.ptp(first) == np.ptp(second) == 0 and second[0] < first[0]


def test_the_tuning_has_the_same_budget_for_everybody_and_other_seeds():
    task = SMALL["completion"]()
    with pytest.raises(ValueError, match="same number of learning rates"):
        race(task, {"a": SGD, "b": Entry(torch.optim.Adam, [0.1, 0.2], elementwise=True)},
             samples=8)
    with pytest.raises(ValueError, match="tuning has seen"):
        race(task, {"a": SGD}, samples=8, tuning_seeds=range(3), seeds=range(2, 4))
    with pytest.raises(ValueError, match="elementwise"):
        Entry(torch.optim.SGD, [0.1], elementwise=True, full_batch=True)
    with pytest.raises(ValueError, match="closure must be"):
        Entry(torch.optim.SGD, [0.1], closure="yes")


def test_the_tuning_takes_the_rate_with_the_least_loss_and_none_that_diverges():
    task = SMALL["completion"]()
    result = race(task, {"x": Entry(torch.optim.SGD, [1e-3, 0.1, 1e3], elementwise=True)},
                  samples=800, batch_size=8, points=3, seeds=[1], scale=0.1)
    assert result.lr["x"] == 0.1 and result.tuning["x"][2] == math.inf
    assert result.tuning["x"][1] < result.tuning["x"][0]


def test_a_run_has_left_at_the_first_count_below_the_line():
    task = SMALL["completion"]()
    counts, loss = np.array([0, 10, 20, 30]), np.array([[1.0, 0.95, 0.9, 0.5],
                                                       [1.0, 0.99, 0.98, 0.97],
                                                       [1.0, 0.7, 0.95, 0.8]])
    found = tasks.Race(task, counts, {}, {}, {"x": loss}, {}, {}, {}, {})
    assert found.leaves("x").tolist() == [20, math.inf, 10]
    assert found.leaves("x", share=0.4).tolist() == [30, math.inf, math.inf]
    found.seconds["x"] = np.array([[0.0, 1.0, 2.0, 4.0]] * 3)
    assert found.leaves_in("x").tolist() == [2.0, math.inf, 1.0]
    assert found.band("x").tolist() == [[1.0, 0.7, 0.9, 0.5], [1.0, 0.95, 0.95, 0.8],
                                        [1.0, 0.99, 0.98, 0.97]]


def test_the_tuning_may_take_the_rate_that_leaves_first_and_among_equals_the_least_loss():
    task, setting = SMALL["completion"](), dict(samples=1600, batch_size=8, seeds=[1], points=201)
    rates = [1e-3, 0.03, 0.6]
    result = race(task, {"x": Entry(torch.optim.SGD, rates, elementwise=True)}, scale=0.1,
                  tune="leaving", **setting)
    alone = [float(np.median(race(task, {"x": Entry(torch.optim.SGD, [rate])}, scale=0.1,
                                  samples=1600, batch_size=8, seeds=[0], points=201,
                                  tuning_seeds=[5]).leaves("x"))) for rate in rates]
    assert result.tuning["x"].tolist() == alone and result.lr["x"] == rates[np.argmin(alone)]
    never = race(task, {"x": Entry(torch.optim.SGD, rates, elementwise=True)}, scale=1e-6,
                 tune="leaving", samples=80, batch_size=8, seeds=[1])
    assert never.tuning["x"].tolist() == [math.inf] * 3 and never.lr["x"] == 0.6
    # A rate that leaves at once and diverges has not left.
    wild = race(task, {"x": Entry(torch.optim.SGD, [0.1, 0.15], elementwise=True)}, scale=0.1,
                tune="leaving", **setting)
    assert wild.lr["x"] == 0.1 and wild.tuning["x"][1] == math.inf
    with pytest.raises(ValueError, match="tune must be"):
        race(task, {"x": SGD}, tune="luck", **setting)


class Asking(torch.optim.SGD):
    """Asks twice for the loss given at its making, which has to be the one just differentiated."""

    def __init__(self, groups, loss):
        super().__init__(groups)
        self.loss, self.seen = loss, []

    def step(self):
        params = self.param_groups[0]["params"]
        with torch.no_grad():
            self.loss()
        again = torch.autograd.grad(self.loss(), params)
        assert all(torch.equal(g, p.grad) for g, p in zip(again, params, strict=True))
        super().step()


def test_a_loss_given_at_the_making_is_that_of_the_present_batch_and_costs_it_each_time():
    result = race(SMALL["completion"](), {"x": Entry(Asking, [0.1], closure="given")},
                  samples=240, batch_size=8, points=31, scale=0.1, seeds=[1])
    plain = race(SMALL["completion"](), {"x": Entry(torch.optim.SGD, [0.1])},
                 samples=80, batch_size=8, points=11, scale=0.1, seeds=[1])
    assert result.steps["x"].tolist() == [10] and result.spent["x"].tolist() == [240]
    assert result.loss["x"][0, ::3].tolist() == plain.loss["x"][0].tolist()
    clock = result.seconds["x"][0]
    assert len(clock) == len(result.counts) and clock[0] == 0 and (np.diff(clock) >= 0).all()


@pytest.mark.parametrize("name", ["tanh network", "completion", "autoencoder"])
def test_at_the_saddle_only_a_perturbation_gets_away(name):
    """SGD with momentum, Adam and Muon have nothing to go by; PSGD draws its way out."""
    task = KINDS[name]()
    matrices = functools.partial(torch.optim.Muon, weight_decay=0.0)

    def muon(groups):
        only = [{**g, "params": [p for p in g["params"] if p.ndim == 2]} for g in groups]
        return matrices(only)

    momentum = functools.partial(torch.optim.SGD, momentum=0.9)
    psgd = functools.partial(PSGD, check_every=2, window=1, curvature_check=False, epsilon=1.0,
                             perturbation_radius=0.5, episode_length=20)
    result = race(task, {"momentum": Entry(momentum, [0.1]), "Adam": Entry(torch.optim.Adam, [0.1]),
                         "Muon": Entry(muon, [0.1]), "PSGD": Entry(psgd, [0.1])},
                  samples=320, batch_size=32, points=2, scale=0, seeds=[1])
    for method in ("momentum", "Adam", "Muon"):
        assert not any(p.any() for p in result.params[method][0] if p.ndim == 2)
    assert all(p.any() for p in result.params["PSGD"][0])
