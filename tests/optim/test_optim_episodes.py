"""When the optimizers perturb and when they do not, what a look costs, and what it leaves alone."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from saddlelib.optim import PSD, PSGD, Status
from saddlelib.optim._vector import norm
from saddlelib.theory.noise import trigger_prob

BOTH = pytest.mark.parametrize("kind", [PSD, PSGD])
SETTINGS = {"epsilon": 1e-2, "curvature_tol": 0.3, "perturbation_radius": 0.01,
            "episode_length": 40, "check_every": 1, "rest": 5}
RULE = {PSD: "published", PSGD: "pairs"}
# Gradients without anybody to ask are the point of some tests here.
pytestmark = pytest.mark.filterwarnings("ignore:nobody can look")


def well(x):
    return 0.5 * (x * x).sum()


def saddle(x, curvature=1.0):
    return 0.5 * (x[1:] ** 2).sum() - 0.5 * curvature * x[0] ** 2 + x[0] ** 4 / 4


class Loop:
    """An optimizer, its one parameter and a closure that counts."""

    def __init__(self, kind, loss, x0, retain=False, **settings):
        self.x = nn.Parameter(torch.tensor(x0, dtype=torch.float64))
        self.loss, self.retain, self.calls = loss, retain, 0
        self.optimizer = kind([self.x], lr=0.1, **{**SETTINGS, "rule": RULE[kind], **settings})

    def closure(self):
        self.calls += 1
        self.optimizer.zero_grad()
        value = self.loss(self.x)
        value.backward(retain_graph=self.retain)
        return value

    def run(self, steps, closure=True, **given):
        for _ in range(steps):
            if closure:
                self.optimizer.step(self.closure, **given)
            else:
                self.closure()
                self.optimizer.step(**given)
        return self.optimizer.counts


@BOTH
def test_a_minimum_is_never_perturbed_and_looks_become_rare(kind):
    loop = Loop(kind, well, [0.0] * 4, retain=True, window=1) if kind is PSGD else Loop(
        kind, well, [0.0] * 4, retain=True)
    counts = loop.run(300)
    assert counts["episodes"] == 0 and torch.equal(loop.x, torch.zeros(4, dtype=torch.float64))
    assert counts["status"] is Status.NO_NEGATIVE_CURVATURE
    assert 5 <= counts["checks"] <= 2 + math.log2(300 / 5)
    assert counts["min_eig_lower"] <= 1.0 + 1e-9 and counts["min_eig_lower"] > -0.3
    assert counts["min_eig"] == pytest.approx(1.0)


@pytest.mark.parametrize("closure", [True, False])
def test_blind_episodes_at_a_minimum_become_rare(closure):
    """With the check off n steps have at most log2(1 + n/rest) + 1 episodes."""
    loop = Loop(PSD, well, [0.0] * 4, episode_length=3, curvature_check=False)
    counts = loop.run(300, closure=closure)
    assert 4 <= counts["episodes"] <= math.log2(1 + 300 / 5) + 1
    assert counts["hvp"] == counts["checks"] == 0 and counts["hvp_by"] == "none"


@BOTH
@pytest.mark.parametrize("curvature, episodes", [(0.25, 0), (0.35, 1)])
def test_curvature_decides_at_the_threshold(kind, curvature, episodes):
    options = {"window": 1} if kind is PSGD else {}
    loop = Loop(kind, lambda x: saddle(x, curvature), [0.0] * 3, retain=True, **options)
    counts = loop.run(4)
    assert counts["episodes"] == episodes and counts["checks"] >= 1
    assert counts["min_eig"] == pytest.approx(-curvature)
    assert counts["hvp_by"] == "autograd"


def test_three_ways_to_a_product_agree_and_their_cost_is_counted():
    x0 = [0.0, 0.1, -0.2]

    def loss(x):
        return saddle(x) * (1 + 0.1 * x[1])
    free = Loop(PSD, loss, x0, epsilon=1.0)
    kept = Loop(PSD, loss, x0, retain=True, epsilon=1.0)
    given = Loop(PSD, loss, x0, epsilon=1.0)
    results = [free.run(1), kept.run(1),
               given.run(1, closure=False, curvature_closure=lambda: loss(given.x))]
    assert [c["hvp_by"] for c in results] == ["differences", "autograd", "autograd"]
    hessian = torch.autograd.functional.hessian(loss, torch.tensor(x0, dtype=torch.float64))
    exact = float(torch.linalg.eigvalsh(hessian)[0])
    for counts in results:
        # Not λ_min: Lanczos stops where negative curvature is proven.
        assert exact - 1e-5 <= counts["min_eig"] < -0.3 and counts["episodes"] == 1
        assert counts["min_eig"] == pytest.approx(results[1]["min_eig"], abs=1e-5)
        assert counts["min_eig_lower"] <= exact + 1e-5
    products = [c["hvp"] for c in results]
    # The step, the step from the perturbed point, two for each product, two for its scale.
    # and one to see that the closure clears the gradients.
    assert results[0]["closure_calls"] == free.calls == 2 + 2 * products[0] + 2 + 1
    assert results[1]["closure_calls"] == kept.calls == 2 + 1
    assert results[2]["closure_calls"] == 1 and given.calls == 1


@BOTH
def test_an_episode_is_over_where_its_point_has_arrived(kind):
    """At the minimizer long before the episode has had its steps, which are many."""
    settings = dict(episode_length=10**5, check_every=5)
    loop = Loop(kind, saddle, [0.0] * 3, retain=True, **settings,
                **({"window": 2} if kind is PSGD else {}))
    counts = loop.run(1)
    while counts["episodes"] == 0 or counts["left"]:
        counts = loop.run(1)
        assert counts["steps"] < 2000
    counts = loop.run(20)
    assert counts["episodes"] == 1 and counts["left"] == 0
    assert counts["status"] is Status.NO_NEGATIVE_CURVATURE
    assert counts["grad_norm"] <= 1e-2 and abs(abs(loop.x[0].item()) - 1) < 1e-2


def test_a_published_episode_has_all_of_its_steps():
    loop = Loop(PSGD, saddle, [0.0] * 3, retain=True, rule="published", noise_std=0.0,
                batch_size=1, episode_length=10**5)
    assert loop.run(400)["left"] == 10**5 - 400


class Once(torch.autograd.Function):
    """x² without a second derivative."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        return 2 * ctx.saved_tensors[0] * grad


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("more", [0.0, 1.0])
def test_without_double_backward_gradients_are_differenced(own, more):
    """Autograd itself says nothing: it takes the gradient of such a function for constant."""
    def loss(x):
        y = Once.apply(x)
        return y[1:].sum() - 0.5 * y[0] + more * ((y * y).sum() + 10 * (x[1:] ** 2).sum())
    loop = Loop(PSD, loss, [0.0] * 3, retain=True)
    counts = loop.run(1, **({"curvature_closure": lambda: loss(loop.x)} if own else {}))
    assert counts["hvp_by"] == "differences" and counts["episodes"] == 1
    assert -1.0 - 1e-6 <= counts["min_eig"] < -0.3


@pytest.mark.parametrize("maximize", [False, True])
def test_the_direction_leads_downhill_and_is_faster(maximize):
    sign, steps, ends = (-1 if maximize else 1), {}, {}
    for escape in ("ball", "direction"):
        for tilt in (1e-3, -1e-3):
            loop = Loop(PSD, lambda x, tilt=tilt: sign * (saddle(x) + tilt * x[0]), [0.0] * 30,
                        escape=escape, maximize=maximize, episode_length=100)
            loop.run(1)
            if escape == "direction":
                assert (loop.x[0] < 0) == (tilt > 0) and abs(loop.x[0]) > 0.0099
            count = 1
            while abs(loop.x[0]) < 0.5:
                loop.run(1)
                count += 1
            steps[escape, tilt], ends[escape, tilt] = count, loop.x[0].item()
    assert all(steps["direction", t] <= steps["ball", t] for t in (1e-3, -1e-3))


@BOTH
def test_a_look_leaves_parameters_gradients_and_random_numbers_alone(kind):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Dropout(0.5), nn.Linear(6, 1)).double()
    data = torch.randn(16, 3, dtype=torch.float64)
    optimizer = kind(model.parameters(), lr=0.0, rule=RULE[kind], **{
        **SETTINGS, "epsilon": 1e3, "curvature_tol": 1e3})
    optimizer._scalars["next_look"] = 2

    def closure():
        optimizer.zero_grad(set_to_none=False)
        loss = (model(data) ** 2).mean()
        loss.backward()
        return loss
    start = [p.detach().clone() for p in model.parameters()]
    draws = []
    for _ in range(14 if kind is PSGD else 4):
        torch.manual_seed(1)
        optimizer.step(closure)
        draws.append((torch.rand(()).item(), [p.grad.clone() for p in model.parameters()]))
    counts = optimizer.counts
    assert counts["checks"] == 1 and counts["hvp_by"] == "differences" and counts["episodes"] == 0
    # One function in spite of dropout: differences of it have a small error, and so a lower bound.
    assert math.isfinite(counts["min_eig_lower"])
    for p, q in zip(model.parameters(), start, strict=True):
        assert torch.equal(p, q)
    for draw, grads in draws:
        assert draw == draws[0][0]
        assert all(torch.equal(a, b) for a, b in zip(grads, draws[0][1], strict=True))


def test_a_closure_that_fails_at_the_perturbed_point_leaves_the_old_one():
    loop = Loop(PSD, saddle, [0.0] * 3, retain=True)
    bad = Loop(PSD, lambda x: saddle(x) / (x[0] == 0), [0.0] * 3, retain=True)
    with pytest.raises(RuntimeError, match="parameters are unchanged"):
        bad.run(1)
    assert torch.equal(bad.x, torch.zeros_like(bad.x)) and bad.optimizer.counts["left"] == 0
    assert loop.run(1)["left"] == 39


@pytest.mark.parametrize("check", [True, False])
def test_perturbations_are_new_each_time_and_stay_in_the_ball(check):
    drawn = []
    for seed in (0, 1):
        loop = Loop(PSD, saddle, [0.0] * 3, seed=seed, episode_length=1, rest=0,
                    curvature_check=check)
        for _ in range(3):
            loop.x.data.zero_()
            loop.run(1, closure=False, curvature_closure=lambda loop=loop: loop.loss(loop.x))
            drawn.append(loop.x.detach().clone())
            loop.run(1, closure=False)  # the episode
    assert all(0 < norm([xi]) <= 0.01 for xi in drawn)
    assert len({tuple(xi.tolist()) for xi in drawn}) == 6


def test_what_is_not_known_is_not_a_reason_to_perturb():
    loop = Loop(PSD, well, [0.0] * 40, lanczos_steps=1)
    # One product sees an average of the eigenvalues, and proves nothing about the smallest.
    loop.loss = lambda x: 0.5 * (x[1:] ** 2).sum() - 0.2 * x[0] ** 2
    counts = loop.run(3)
    assert counts["status"] is Status.NONE_FOUND and counts["episodes"] == 0
    assert counts["min_eig_lower"] < -0.4 and counts["min_eig"] > 0


def test_after_a_saddle_rests_are_short_again():
    loop = Loop(PSD, well, [0.0] * 3, retain=True, episode_length=1)
    loop.run(40)
    rested = loop.optimizer._scalars["pause"]
    loop.loss = saddle
    for _ in range(100):
        if loop.run(1)["episodes"]:
            break
    assert loop.optimizer.counts["episodes"] == 1 and rested >= 40
    assert loop.optimizer._scalars["pause"] == 5


def test_a_perturbation_that_rounding_swallows_is_refused():
    x = nn.Parameter(torch.full((4,), 1.0, dtype=torch.bfloat16))
    optimizer = PSD([x], lr=0.1, rule="published", **{**SETTINGS, "perturbation_radius": 1e-4})
    (-0.5 * ((x.float() - 1) ** 2).sum()).backward()
    optimizer.step(curvature_closure=lambda: -0.5 * ((x.float() - 1) ** 2).sum())
    assert optimizer.counts["status"] is Status.PRECISION and optimizer.counts["episodes"] == 0
    assert torch.equal(x, torch.ones_like(x))


def test_pairs_estimate_the_gradient_without_the_bias_of_the_norm():
    """At lr = 0 the mean of many pairs is ‖∇f‖², where ‖ĝ‖² has σ²d/B more."""
    rng, dim, sigma = np.random.default_rng(0), 50, 0.3
    loop = Loop(PSGD, well, [0.1] * dim, window=200, epsilon=1e-9)
    loop.optimizer.param_groups[0]["lr"] = 0.0
    squares = []
    for _ in range(400):
        loop.closure()
        loop.x.grad += torch.from_numpy(sigma * rng.standard_normal(dim))
        squares.append(norm([loop.x.grad]) ** 2)
        loop.optimizer.step()
    true = dim * 0.01
    deviation = math.sqrt((sigma**4 * dim + 2 * true * sigma**2) / 200)
    assert abs(loop.optimizer.counts["grad_norm"] ** 2 - true) < 4 * deviation
    assert abs(np.mean(squares) - true - sigma**2 * dim) < 0.3 < sigma**2 * dim


@BOTH
@pytest.mark.parametrize("size, fires", [(0.009, True), (0.011, False)])
def test_the_norm_is_compared_with_epsilon(kind, size, fires):
    loop = Loop(kind, well, [size, 0.0], curvature_check=False,
                **({"window": 2} if kind is PSGD else {}))
    loop.optimizer.param_groups[0]["lr"] = 0.0
    assert (loop.run(4 if kind is PSGD else 1)["episodes"] == 1) == fires
    assert loop.optimizer.counts["grad_norm"] == pytest.approx(size)


@pytest.mark.parametrize("rule, fires", [("pairs", True), ("published", False)])
def test_noise_in_many_dimensions_deafens_the_published_trigger_and_not_pairs(rule, fires):
    dim, sigma, epsilon = 100, 0.1, 0.25
    published = {"rule": rule, "batch_size": 1, "noise_std": sigma} if rule == "published" else {}
    loop = Loop(PSGD, well, [0.0] * dim, epsilon=epsilon, window=10, curvature_check=False,
                episode_length=1, **published)
    loop.optimizer.param_groups[0]["lr"] = 0.0
    noises = torch.from_numpy(np.random.default_rng(1).standard_normal((60, dim)))
    for noise in noises:
        loop.optimizer.zero_grad()
        loop.x.grad = sigma * noise
        loop.optimizer.step()
    assert (loop.optimizer.counts["episodes"] > 0) == fires
    trigger = loop.optimizer.param_groups[0]["trigger"]
    if rule == "published":
        assert trigger_prob(trigger, 0.0, sigma, dim, 1) < 1e-6


def test_max_episodes_ends_the_perturbations_and_not_the_steps():
    loop = Loop(PSD, lambda x: -0.5 * x[0] ** 2 + 0.5 * x[1] ** 2, [0.0, 0.0], retain=True,
                max_episodes=1, episode_length=1)
    counts = loop.run(3)
    assert counts["episodes"] == 1 and counts["status"] is Status.EXHAUSTED
    before = loop.x[0].item()
    loop.run(1)
    assert abs(loop.x[0].item()) == pytest.approx(1.1 * abs(before))


def test_every_status_has_a_sentence():
    assert all(len(status.message) > 20 for status in Status)
