"""The quick rule: who leaves and what it costs, what is undone, and that a minimum stays one."""

import functools
import math

import numpy as np
import pytest
import torch
from thorough import instances
from torch import nn

from saddlelib import tasks
from saddlelib.optim import PSD, PSGD, Status
from saddlelib.optim import _saddle as saddle
from saddlelib.optim._look import sizes_of

BOTH = pytest.mark.parametrize("kind", [PSD, PSGD])
# At zero: the task, the learning rate of 0.1, 0.5 and 2.5 that leaves first, and the samples that
# the authors' package takes, of batches of 64, until the loss is 10 % below the saddle's.
EXACT = {
    "linear-2": (tasks.linear_network, 2.5, 704),
    "linear-3, degenerate": (functools.partial(tasks.linear_network, 3), 2.5, 10624),
    "tanh, degenerate": (tasks.tanh_network, 2.5, 14592),
    "completion": (tasks.completion, 0.5, 768),
    "autoencoder": (tasks.autoencoder, 2.5, 704),
}


def given(kind, **settings):
    """For `tasks.race`: the loss is given once."""
    return lambda groups, loss: kind(groups, loss=loss, **settings)


@pytest.mark.parametrize("name", EXACT)
def test_it_leaves_an_exact_saddle_with_no_more_samples_than_the_peer(name, record_property):
    make, lr, peer = EXACT[name]
    result = tasks.race(make(), {"x": tasks.Entry(given(PSGD), [lr], closure="given")},
                        samples=peer, batch_size=64, points=peer // 64 + 1, scale=0.0,
                        seeds=range(100, instances(103, 105)))
    samples = float(np.median(result.leaves("x")))
    record_property(f"samples to leave {name}, PSGD and its authors' package",
                    f"{samples:.0f} and {peer}")
    assert samples <= peer


class Run:
    """A loss of one flat parameter, at a point, with the noise of its mini-batches."""

    def __init__(self, kind, loss, x0, lr=0.1, sigma=0.0, **settings):
        self.x = nn.Parameter(torch.as_tensor(x0, dtype=torch.float64).clone())
        self.f, self.sigma, self.rng = loss, sigma, torch.Generator().manual_seed(7)
        self.noise = torch.zeros_like(self.x)
        self.optimizer = kind([self.x], lr=lr, loss=self.loss, **settings)
        self.s = self.optimizer._scalars

    def loss(self):
        return self.f(self.x) + (self.noise * self.x).sum()

    def steps(self, n):
        for _ in range(n):
            self.noise = self.sigma * torch.randn(self.x.shape, dtype=torch.float64,
                                                  generator=self.rng)
            self.optimizer.zero_grad()
            self.loss().backward()
            self.optimizer.step()
        return self.optimizer.counts


def well(x):
    return 0.5 * (x * x).sum() + 1


def ridge(x):
    """A strict saddle at 0 with many directions that rise; least −¼ + 1 at x₀ = ±1."""
    return 0.5 * (x[1:] ** 2).sum() - 0.5 * x[0] ** 2 + x[0] ** 4 / 4 + 1


def flat(x):
    """A degenerate saddle: no curvature at all, and a way down at a distance; at x[0] = 3 it is
    3·27/4 lower."""
    return x[0] ** 4 / 4 - x[0] ** 3 + 0.5 * (x[1:] ** 2).sum() + 1


# What a kick is ------------------------------------------------------------------------


def test_the_first_kick_is_a_tenth_of_an_initialization_and_each_next_twice_as_long():
    shapes = [(30, 20), (40, 10, 3), (7,)]
    params = [nn.Parameter(torch.zeros(s, dtype=torch.float64)) for s in shapes]
    optimizer = PSD(params, lr=1e-9, loss=lambda: 1 + 1e-6 * sum((p * p).sum() for p in params),
                    check_every=1, episode_length=1, curvature_check=False)
    seen = []
    for _ in range(4):
        while optimizer.counts["left"] == 0:
            optimizer.zero_grad()
            optimizer.loss().backward()
            optimizer.step()
        deviations = [float(p.detach().std()) for p in params[:2]]
        seen.append([10 * d * math.sqrt(n) for d, n in zip(deviations, (20, 30), strict=True)])
        optimizer.step()  # the episode, whose end is judged with the next step
    np.testing.assert_allclose(seen, np.outer([1, 2, 4, 8], [1, 1]), rtol=0.1)
    assert sizes_of(params) == [20**-0.5, 30**-0.5, 7**-0.5]


@BOTH
def test_a_radius_that_is_told_is_that_of_the_ball_and_doubles(kind):
    run, norms = Run(kind, well, [0.0] * 400, lr=1e-9, perturbation_radius=0.01, check_every=1,
                     episode_length=1, curvature_check=False), []
    while len(norms) < 4:
        episodes = run.optimizer.counts["episodes"]
        if run.steps(1)["episodes"] > episodes:
            norms.append(float(run.x.detach().norm()))
    np.testing.assert_allclose(norms, [0.01, 0.02, 0.04, 0.08], rtol=0.02)


@pytest.mark.parametrize("slope", [1e-4, -1e-4])
def test_of_two_signs_the_one_with_the_smaller_loss_is_taken(slope):
    for seed in range(5):
        run = Run(PSD, lambda x: 1 + slope * x.sum(), [0.0] * 3, seed=seed)
        run.steps(1)
        assert run.optimizer.counts["left"] == 10 and slope * run.x.sum() < 0
        # However high the other side is.
        run = Run(PSD, lambda x: 1 + 1e4 * slope * x.detach().sum() + 0 * x.sum(), [0.0] * 3,
                  seed=seed, perturbation_radius=10.0)
        run.steps(1)
        assert run.optimizer.counts["left"] == 10 and slope * run.x.sum() < 0


def test_a_kick_that_costs_more_than_a_quarter_of_the_loss_is_not_made():
    for share, made in ((0.2, 1), (0.3, 0)):
        def step(x, share=share):  # up from the saddle, everywhere
            return 1 + share * (x.detach().abs().sum() > 0) + 0 * x.sum()
        run = Run(PSD, step, [0.0] * 3)
        assert run.steps(1)["episodes"] == made
        if not made:
            assert run.s["rung"] == 4 and not run.x.any()


def test_an_episode_takes_the_place_of_a_step_and_is_judged_ten_steps_later():
    run = Run(PSD, ridge, [0.0] * 3)
    counts = run.steps(1)
    assert counts["status"] is Status.EPISODE and counts["left"] == 10
    assert counts["closure_calls"] == 3  # here, there and on the other side
    assert run.steps(10)["left"] == 0 == counts["kept"]
    counts = run.steps(1)
    assert counts["kept"] == 1 and counts["closure_calls"] == 3 + 3  # the first is checked
    assert counts["checks"] == counts["hvp"] == 0 and counts["status"] is Status.KEPT


# Judgement -----------------------------------------------------------------------------


@BOTH
def test_what_has_not_helped_is_undone_to_the_last_bit(kind):
    rng = np.random.default_rng(0)
    for _ in range(instances(4, 10)):
        x0 = 1e-4 * rng.standard_normal(6)
        run = Run(kind, well, x0, check_every=1, window=1) if kind is PSGD else Run(
            kind, well, x0, check_every=1)
        before, undone = run.x.detach().clone(), 0
        for _ in range(40):
            at_start = run.optimizer.counts["episodes"]
            last = run.x.detach().clone()
            counts = run.steps(1)
            if counts["episodes"] > at_start:
                before = last
            if counts["undone"] > undone:
                assert torch.equal(run.x, before)
                undone = counts["undone"]
        assert undone >= 1 and counts["kept"] == 0


def test_the_loss_of_another_batch_decides():
    """It is the batch of the step that judges, on which the episode has not been."""
    for rise in (-1e-3, 1e-3, 0.0, -1e-15):  # the last is rounding
        run = Run(PSD, lambda x: 1 + 0 * x.sum(), [0.0] * 3)
        run.steps(11)
        shift, helps = run.x.detach().clone(), rise == -1e-3
        run.f = lambda x, rise=rise, shift=shift: 1 + rise * (
            x.detach() @ shift) / (shift @ shift) + 0 * x.sum()
        counts = run.steps(1)
        assert (counts["kept"], counts["undone"]) == ((1, 0) if helps else (0, 1))
        assert run.x.any() == helps


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_episode_that_blows_up_is_undone_at_once(bad):
    for gradient in (True, False):
        run = Run(PSD, ridge, [0.0] * 3)
        run.steps(3)
        if gradient:
            run.f = lambda x: ridge(x) * bad
            counts = run.steps(1)
        else:
            def closure(run=run):
                run.optimizer.zero_grad()
                run.x.grad = torch.full_like(run.x, bad)
                return torch.tensor(bad)
            run.optimizer.step(closure)
            counts = run.optimizer.counts
        assert counts["undone"] == 1 and counts["left"] == 0 and not run.x.any()


def test_an_episode_is_over_where_its_point_has_arrived():
    run = Run(PSD, ridge, [0.0] * 3, lr=0.3, episode_length=10**4)
    counts = run.steps(100)
    assert counts["kept"] == 1 and abs(abs(float(run.x[0].detach())) - 1) < 1e-2


@pytest.mark.parametrize("better", [True, False])
def test_settle_judges_an_episode_that_training_cuts_short(better):
    run = Run(PSD, ridge, [0.0] * 3)
    assert run.optimizer.settle() is False  # there is none
    run.steps(4)
    went_back = run.optimizer.settle(lambda: run.x.detach().abs().sum() * (-1 if better else 1))
    assert went_back != better and run.x.any() == better
    assert run.optimizer.counts["left"] == 0 and run.s["trial"] == 0
    other = PSD([run.x], lr=0.1)
    other._scalars["trial"] = 1
    with pytest.raises(ValueError, match="loss must be given"):
        other.settle()


# Where it ends -------------------------------------------------------------------------


@BOTH
def test_where_no_kick_helps_a_proven_direction_does(kind):
    """A narrow ridge among steep walls: kicks cost too much, whatever their length."""
    def narrow(x):
        return 1 + 50 * (x[1:] ** 2).sum() - 0.5 * x[0] ** 2 + x[0] ** 4 / 4
    run = Run(kind, narrow, [0.0] * 50, lr=0.005, check_every=1)
    counts = run.steps(400)
    assert counts["checks"] >= 1 and abs(abs(float(run.x[0].detach())) - 1) < 0.1
    assert run.f(run.x) < 0.8


@pytest.mark.parametrize("tilt", [1e-4, -1e-4])
def test_a_direction_goes_downhill_at_once_and_rests_where_another_batch_refuses_it(tilt):
    run = Run(PSD, lambda x: ridge(x) + tilt * x[0], [0.0] * 3)
    run.s["rung"] = 4  # kicks have failed
    counts = run.steps(1)
    assert counts["checks"] == 1 and counts["left"] == 1 and run.f(run.x) < 1 - 0.1
    assert run.x[0].item() * tilt < 0 and abs(run.x[0].item()) > 0.5
    run.steps(1)
    run.f = well
    counts = run.steps(1)
    assert counts["undone"] == 1 and not run.x.any()
    assert run.s["next_look"] == 2 + 100 and run.s["pause"] == 200 and run.s["rung"] == 0


@BOTH
def test_a_degenerate_saddle_is_left_where_the_published_rule_stays(kind):
    for rule, gone in (("quick", True), ("published" if kind is PSD else "pairs", False)):
        run = Run(kind, flat, [0.0] * 4, lr=0.05, rule=rule, seed=3)
        counts = run.steps(400)
        assert (float(flat(run.x.detach())) < -5) == gone, rule
        assert (counts["kept"] > 0) == gone


@BOTH
def test_a_minimum_is_certified_and_rests_become_long(kind):
    run = Run(kind, well, [0.0] * 5, **({"window": 1} if kind is PSGD else {}))
    counts = run.steps(1500)
    assert counts["status"] in (Status.NO_NEGATIVE_CURVATURE, Status.UNDONE, Status.EPISODE)
    assert counts["min_eig"] == pytest.approx(1.0) and counts["kept"] == 0
    # A climb of at most 4 kicks and a look, after rests of 100, 200, 400, ...
    assert counts["checks"] <= 1 + math.log2(1500 / 100) and counts["episodes"] <= 4 * 5


def test_after_a_saddle_rests_are_short_again():
    run = Run(PSD, well, [0.0] * 3, lr=0.3, check_every=1, rest=5)
    run.steps(200)
    assert run.s["pause"] >= 40
    run.f = ridge
    while run.optimizer.counts["kept"] == 0:
        assert run.steps(1)["steps"] < 1000
    run.steps(2)
    assert run.optimizer.counts["grad_norm"] > 1e-3 and run.s["pause"] == 5


@pytest.mark.parametrize("seed", range(instances(1, 4)))
def test_at_a_noisy_minimum_the_loss_is_that_of_sgd(seed):
    rng = np.random.default_rng(seed)
    x0, h = 0.05 * rng.standard_normal(30), torch.from_numpy(rng.uniform(0.1, 2, 30))

    def bowl(x):
        return 1 + 0.5 * (h * x * x).sum()
    ends = []
    for settings in ({"seed": seed}, {"epsilon": 1e-12, "window": 10**6}):
        run = Run(PSGD, bowl, x0, lr=0.1, sigma=0.05, **settings)
        trace = []
        for _ in range(200):
            run.steps(4)
            trace.append(float(bowl(run.x.detach())) - 1)
        ends.append((np.median(trace), max(trace[20:]), run.optimizer.counts["episodes"]))
    (ours, worst, episodes), (sgd, _, none) = ends
    assert episodes > 0 == none
    assert ours < 1.25 * sgd < 0.05 and worst < 0.27  # also within an episode


def test_a_mid_training_trap_is_left():
    """One unit awake, the others exactly asleep: SGD never wakes them."""
    result = tasks.race(tasks.sleeping_units(), {
        "SGD": tasks.Entry(torch.optim.SGD, [0.5], elementwise=True),
        "PSGD": tasks.Entry(given(PSGD), [0.5], closure="given")},
        samples=64 * 600, batch_size=64, points=3, scale=0.0, seeds=[100])
    assert result.loss["SGD"][:, -1].min() > 0.8 and result.loss["PSGD"][:, -1].max() < 0.35


# PSGD's trigger ------------------------------------------------------------------------


def test_one_small_gradient_is_enough_and_pairs_come_at_once_and_then_ever_rarer():
    run = Run(PSGD, well, [1.0] * 4, lr=0.0, epsilon=0.1)
    assert run.steps(1)["episodes"] == 0 and run.s["paired"] == 1
    looks = []
    for step in range(1, 400):
        before = run.s["looks"]
        run.steps(1)
        if run.s["looks"] > before:
            looks.append(step)
    bursts = np.split(looks, np.flatnonzero(np.diff(looks) > 1) + 1)
    assert [len(b) for b in bursts[1:4]] == [10, 10, 10]
    assert [int(b[0] - a[-1] - 1) for a, b in zip(bursts, bursts[1:], strict=False)][:4] == [
        10, 20, 40, 80]
    small = Run(PSGD, well, [0.01] * 4, lr=0.0, epsilon=0.1)
    assert small.steps(1)["episodes"] == 1
    assert small.s["paired"] == 0


def test_the_constants_are_what_the_docstring_says():
    for words in ("2ᵏ/(10√fan-in)", "k = 4", "more than a quarter", "10 by default"):
        assert words in PSD.__doc__
    assert (saddle._SHARE, saddle._RUNGS, saddle._RISE, saddle._LENGTH) == (0.1, 4, 0.25, 10)
