"""The optimizers, their plain twins and the NumPy methods take the same steps in float64."""

import numpy as np
import pytest
import torch

from saddlelib import Oracle, methods
from saddlelib.optim import (
    PSD,
    PSGD,
    GDPolyak,
    GDPolyakReference,
    PSDReference,
    PSGDReference,
    QuickPSDReference,
    Status,
)
from saddlelib.optim._vector import uniform_ball
from saddlelib.problems import ConvexQuartic, CoupledQuartic, MatrixFactorization, RavineRosenbrock

ETA, EPSILON, GAMMA, RADIUS = 0.05, 1e-2, 0.3, 1e-2
NOISE = 0.02


def quartic():
    problem = CoupledQuartic(dim=4)
    return problem, np.zeros(4), lambda x: (x**4 - x**2).sum() + problem.coupling * (
        x.sum() ** 2 - (x * x).sum()) / 2


def factorization():
    matrix = np.diag([2.0, 1.0, 0.0])
    problem, m = MatrixFactorization(matrix), torch.tensor(matrix)
    return problem, np.array(problem.saddles[1]), lambda x: 0.5 * (
        (x.view(3, 2) @ x.view(3, 2).T - m) ** 2).sum()


PROBLEMS = pytest.mark.parametrize("make", [quartic, factorization])


def lambda_min(problem):
    return lambda x: float(np.linalg.eigvalsh(problem.hess(x))[0])


class Run:
    """An optimizer on one flat parameter, its gradient plus noises that are given."""

    def __init__(self, kind, value, x0, noises=None, **settings):
        self.x = torch.tensor(x0, requires_grad=True)
        self.value, self.noises, self.at = value, noises, 0
        self.optimizer = kind([self.x], lr=ETA, epsilon=EPSILON, curvature_tol=GAMMA,
                              perturbation_radius=RADIUS, **settings)
        self.s = self.optimizer._scalars

    def closure(self):
        self.optimizer.zero_grad()
        loss = self.value(self.x)
        if self.noises is not None:
            loss = loss + torch.from_numpy(self.noises[self.at]) @ self.x
            self.at += 1
        loss.backward()
        return loss

    def curvature(self):
        return self.value(self.x)

    def draw(self):
        """The ξ of the step just taken."""
        return uniform_ball([self.x], RADIUS, 0, self.s["draws"])[0].numpy()

    def step(self):
        looks = self.optimizer.counts["checks"]
        self.optimizer.step(self.closure, self.curvature)
        return self.optimizer.counts["checks"] > looks


def agree(twin, run):
    np.testing.assert_allclose(run.x.detach().numpy(), twin.x, rtol=0, atol=1e-12)
    s = run.s
    assert (s["steps"], s["left"], s["episodes"], s["next_look"]) == (
        twin.steps, twin.left, twin.episodes, twin.next_look)


@PROBLEMS
def test_twin_of_psd_takes_the_steps_of_the_numpy_method(make):
    problem, x0, _ = make()
    method = methods.PSD(ETA, EPSILON, GAMMA, RADIUS, episode_length=100, max_episodes=5)
    oracle = Oracle(problem)
    state = method.init(oracle, x0, rng=3)
    twin = PSDReference(x0, ETA, EPSILON, GAMMA, T=100, M=5)
    while not state.finished:
        state = method.step(oracle, state)
        twin.step(problem.grad, lambda_min(problem), lambda xi=state.last_perturbation: xi)
        np.testing.assert_allclose(twin.x, state.x, rtol=0, atol=1e-12)
        assert (twin.steps, twin.left, twin.episodes) == (state.nit, state.left, state.episodes)
        np.testing.assert_equal(twin.min_eig, state.min_eig)
    assert twin.finished and twin.episodes >= 1 and problem.fun(state.x) < problem.fun(x0) - 0.4


@PROBLEMS
def test_psd_takes_the_steps_of_its_twin(make):
    problem, x0, value = make()
    run = Run(PSD, value, x0, rule="published", episode_length=100, rest=40, check_every=3)
    twin = PSDReference(x0, ETA, EPSILON, GAMMA, T=100, rest=40, every=3, arrives=True)
    ended = 0
    for _ in range(250):
        left = twin.left
        run.step()
        twin.step(problem.grad, lambda_min(problem), run.draw)
        agree(twin, run)
        assert run.s["pause"] == (twin.pause or 40)
        ended += left > 1 and twin.left == 0
        assert not twin.min_eig + 1e-9 < run.s["min_eig_lower"]
    assert run.optimizer.counts["hvp_by"] == "autograd" and run.s["checks"] >= 4
    assert run.s["episodes"] >= 1 and problem.fun(twin.x) < problem.fun(x0) - 0.4
    assert ended >= 1  # of its episodes was over before it had 100 steps


@PROBLEMS
@pytest.mark.parametrize("radius, walls", [(0.02, 0.0), (0.3, 0.0), (0.02, 40.0)])
def test_quick_psd_takes_the_steps_of_its_twin(make, radius, walls):
    """Kept, undone, refused, and along a direction where walls are too steep for a kick."""
    problem, x0, value = make()
    here = torch.from_numpy(np.linspace(0.2, 1, x0.size))
    here /= here.norm()

    def loss(x):
        step = x - torch.from_numpy(x0)
        return value(x) + walls / 2 * (step - (step @ here) * here).square().sum() + 0.1

    def fun(x):
        return float(loss(torch.from_numpy(x)))

    def grad(x):
        x = torch.from_numpy(x).requires_grad_()
        return torch.autograd.grad(loss(x), x)[0].numpy()
    x = torch.tensor(x0, requires_grad=True)
    eta = 0.05 / (1 + walls / 10)
    optimizer = PSD([x], lr=eta, epsilon=EPSILON, curvature_tol=GAMMA, perturbation_radius=radius,
                    loss=lambda: loss(x), check_every=3, rest=20)
    s = optimizer._scalars
    twin = QuickPSDReference(x0, eta, EPSILON, rest=20, every=3)
    for _ in range(500):
        episodes = s["episodes"]
        optimizer.zero_grad()
        loss(x).backward()
        optimizer.step()
        after = x.detach().numpy()
        twin.step(fun, grad,
                  lambda k: uniform_ball([x], radius * 2**k, 0, s["draws"])[0].numpy(),
                  lambda x, after=after, new=s["episodes"] > episodes: after - x if new else None)
        np.testing.assert_allclose(after, twin.x, rtol=0, atol=1e-11)
        assert (s["steps"], s["left"], s["rung"], s["kept"], s["undone"], s["next_look"]) == (
            twin.steps, twin.left, twin.rung, twin.kept, twin.undone, twin.next_look)
        assert s["pause"] == (twin.pause or 20)
    assert s["checks"] >= 1 and twin.undone + s["checks"] >= 2
    assert walls or (s["kept"] >= 1 and fun(twin.x) < fun(x0) - 0.05)


def recorded(oracle):
    """The noises of the mini-batch gradients of an oracle, as they come."""
    noises, batch_grad = [], oracle.batch_grad

    def record(x, batch_size):
        g = batch_grad(x, batch_size)
        noises.append(oracle.last_noise)
        return g
    oracle.batch_grad = record
    return noises


@PROBLEMS
def test_psgd_its_twin_and_the_numpy_method_take_the_same_steps(make, monkeypatch):
    """As published: blind, without rests, and with the trigger of the authors."""
    problem, x0, value = make()
    batch = 4
    oracle = Oracle(problem, grad_noise=NOISE * x0.size**0.5, rng=0)
    noises = recorded(oracle)
    run = Run(PSGD, value, x0, noises, rule="published", noise_std=NOISE, batch_size=batch,
              episode_length=30, curvature_check=False, rest=0, check_every=1, max_episodes=4)
    trigger = run.optimizer.param_groups[0]["trigger"]
    method = methods.PSGD(ETA, batch, trigger, RADIUS, episode_length=30, max_episodes=4)
    state = method.init(oracle, x0)
    twin = PSGDReference(x0, ETA, EPSILON, GAMMA, T=30, M=4, rest=0, trigger=trigger)
    at = iter(range(10**6))

    def grad(x):
        return problem.grad(x) + noises[next(at)]

    monkeypatch.setattr("saddlelib.methods.base.uniform_ball", lambda rng, dim, radius:
                        uniform_ball([run.x], RADIUS, 0, run.s["draws"] + 1)[0].numpy()[None])
    while True:
        state = method.step(oracle, state)
        if state.finished:
            break
        run.step()
        twin.step(grad, None, run.draw)
        agree(twin, run)
        np.testing.assert_allclose(twin.x, state.x, rtol=0, atol=1e-12)
        assert (twin.left, twin.episodes) == (state.left, state.episodes)
    run.step()
    assert run.s["status"] == Status.EXHAUSTED and state.episodes == 4 and run.s["hvp"] == 0


@PROBLEMS
def test_psgd_with_pairs_takes_the_steps_of_its_twin(make):
    problem, x0, value = make()
    noises = np.random.default_rng(1).standard_normal((4000, x0.size)) * NOISE
    run = Run(PSGD, value, x0, noises, rule="pairs", window=5, episode_length=100, rest=30,
              check_every=4)
    twin = PSGDReference(x0, ETA, EPSILON, GAMMA, T=100, rest=30, every=4, W=5,
                         arrives=True)
    at = iter(range(10**6))
    for _ in range(250):
        run.step()
        twin.step(lambda x: problem.grad(x) + noises[next(at)], lambda_min(problem), run.draw)
        agree(twin, run)
        assert run.s["pairs"] == twin.pairs and abs(run.s["inner"] - twin.inner) < 1e-12
        first = run.optimizer.state[run.x].get("first_grad")
        if twin.first is not None:
            np.testing.assert_allclose(first.numpy(), twin.first, rtol=0, atol=1e-12)
    assert run.s["episodes"] >= 1 and run.s["checks"] > run.s["episodes"]


RAVINES = {"curved": (RavineRosenbrock(), [1.0, 0.5], 0.0125,
                      lambda x: x[0] ** 4 + 10 * (x[1] - x[0] ** 2) ** 2),
           "straight": (ConvexQuartic(), [1.0, 1.0], 0.1, lambda x: x[0] ** 2 + x[1] ** 4)}


def long_steps(ravine, **settings):
    """GDPolyak in a ravine, as a function that takes a step."""
    _, x0, eta, value = RAVINES[ravine]
    x = torch.tensor(x0, dtype=torch.float64, requires_grad=True)
    optimizer = GDPolyak([x], lr=eta, **settings)

    def closure():
        optimizer.zero_grad()
        loss = value(x)
        loss.backward()
        return loss
    return x, optimizer, lambda: optimizer.step(closure)


@pytest.mark.parametrize("growth", [0.0, 1.5])
@pytest.mark.parametrize("ravine", RAVINES)
def test_gdpolyak_its_twin_and_the_numpy_method_take_the_same_steps(ravine, growth):
    problem, x0, eta, _ = RAVINES[ravine]
    method = methods.GDPolyak(eta, 12, growth=growth)
    oracle = Oracle(problem)
    state = method.init(oracle, np.array(x0))
    twin = GDPolyakReference(np.array(x0), eta, K=12, f_star=0.0, growth=growth)
    x, optimizer, step = long_steps(ravine, f_star=0.0, epoch_length=12, safe=False, growth=growth)
    for _ in range(250):
        state = method.step(oracle, state)
        twin.step(problem.fun, problem.grad)
        step()
        np.testing.assert_allclose(x.detach().numpy(), twin.x, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(twin.x, state.x, rtol=1e-8, atol=1e-10)
        assert optimizer.counts["epochs"] == twin.epochs == state.epochs
        assert optimizer.counts["left"] == twin.left == int(state.left)
    assert state.epochs >= 10 and problem.fun(state.x) < 1e-4


@pytest.mark.parametrize("settings", [
    {"f_star": 0.0, "gain": 0.6}, {"f_star": None}, {"f_star": None, "factor": 1.0},
    {"f_star": -1e-3}, {"f_star": 1e-3},
    {"f_star": 0.0, "factor": 7.0, "epoch_length": 3}], ids=str)
@pytest.mark.parametrize("ravine", RAVINES)
def test_safe_gdpolyak_takes_the_steps_of_its_twin(ravine, settings):
    problem, x0, eta, _ = RAVINES[ravine]
    settings = {"epoch_length": 10, "factor": 2.0, **settings}
    twin = GDPolyakReference(np.array(x0), eta, K=settings["epoch_length"], safe=True,
                             f_star=settings["f_star"], factor=settings["factor"],
                             gain=settings.get("gain", 0.2))
    x, optimizer, step = long_steps(ravine, **settings)
    for _ in range(300):
        twin.step(problem.fun, problem.grad)
        step()
        np.testing.assert_allclose(x.detach().numpy(), twin.x, rtol=1e-7, atol=1e-10)
        counts = optimizer.counts
        assert (counts["epochs"], counts["rejected"], counts["left"], counts["epoch_length"]) == (
            twin.epochs, twin.rejected, twin.left, twin.K)
        assert np.isnan(counts["f_star"]) == (twin.f_star is None or twin.doubted)
    assert twin.epochs >= 3
    assert twin.rejected >= 1 or settings["factor"] <= 2.0
