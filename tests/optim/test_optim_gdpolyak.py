"""GDPolyak for PyTorch: what an epoch costs, what is taken back, and what it says of bad input."""

import copy
import io
import math

import pytest
import torch
from thorough import instances
from torch import nn

from saddlelib.optim import EpochStatus as S
from saddlelib.optim import GDPolyak
from saddlelib.theory import ravine

X0, LR = (1.0, 0.5), 0.0125


def rosenbrock(x, a=10.0):
    """x⁴ + a(y − x²)²: a curved ravine, least at 0."""
    x, y = x.unbind()
    square = x * x
    return square * square + a * (y - square) ** 2


class Run:
    """An optimizer on one parameter, and the losses that its closure returned."""

    def __init__(self, x0=X0, loss=rosenbrock, lr=LR, dtype=torch.float64, **settings):
        self.x = nn.Parameter(torch.tensor(x0, dtype=dtype))
        self.loss, self.losses, self.points = loss, [], []
        self.optimizer = GDPolyak([self.x], lr=lr, **settings)

    def closure(self):
        self.optimizer.zero_grad()
        loss = self.loss(self.x)
        loss.backward()
        self.losses.append(loss.item())
        self.points.append(self.x.detach().clone())
        return loss

    def steps(self, n):
        """n steps; the counts after each."""
        found = []
        for _ in range(n):
            self.optimizer.step(self.closure)
            found.append(self.optimizer.counts)
        return found

    @property
    def counts(self):
        return self.optimizer.counts


# An epoch -----------------------------------------------------------------------


@pytest.mark.parametrize("K", [0, 1, 4])
def test_an_epoch_is_exactly_k_plus_1_evaluations(K):
    run = Run(f_star=0.0, epoch_length=K, safe=False)
    for epoch in range(1, 6):
        run.steps(K + 1)
        assert run.counts["epochs"] == epoch and run.counts["left"] == K
    assert len(run.losses) == run.counts["closure_calls"] == run.counts["steps"] == 5 * (K + 1)


def test_a_safe_epoch_is_exactly_k_plus_1_evaluations_also_where_a_step_is_taken_back():
    run, left, seen = Run(f_star=0.0, factor=7.0, epoch_length=5), 5, set()
    for _ in range(40):
        counts = run.steps(left + 1)[-1]
        assert counts["left"] == counts["epoch_length"]
        left = counts["left"]
        seen.add(counts["status"])
    assert len(run.losses) == counts["closure_calls"] == counts["steps"]
    assert counts["looks"] == 40
    assert {S.LONG, S.BACK} <= seen and counts["accepted"] > 0


def test_a_loss_that_is_given_is_as_good_as_a_closure():
    a, b = (Run(f_star=0.0) for _ in range(2))
    for _ in range(90):
        loss = a.optimizer.step(a.closure)
        given = b.closure()
        given = given if loss > 0.1 else given.item()
        assert b.optimizer.step(loss=given) is given and torch.equal(a.x, b.x)
    assert a.counts["closure_calls"] == 90 and b.counts["closure_calls"] == 0
    assert a.counts["epochs"] == b.counts["epochs"] > 2


def test_one_of_closure_and_loss():
    run = Run(f_star=0.0)
    with pytest.raises(TypeError, match="takes the loss once"):
        run.optimizer.step(run.closure, loss=1.0)
    run.x.grad = torch.ones_like(run.x)
    with pytest.raises(TypeError, match=r"step\(loss=loss\)"):
        run.optimizer.step(torch.tensor(1.0))
    with pytest.raises(TypeError, match="one number, got shape"):
        run.optimizer.step(loss=torch.ones(2))
    with pytest.raises(RuntimeError, match="loss is nan; the parameters are unchanged"):
        run.optimizer.step(loss=math.nan)
    assert run.x.tolist() == list(X0) and run.counts["steps"] == 0


# Rates ---------------------------------------------------------------------------


def test_long_steps_contract_by_3_4_and_grow_by_16_9():
    """K = 2 and lr = 1/(2a), where short steps reach the ravine at once."""
    run = Run((0.1, 0.01), lr=0.05, f_star=0.0, epoch_length=2, safe=False)
    seen = []
    for _ in range(30):
        counts = run.steps(3)[-1]
        seen.append([run.x[0].item(), counts["long_step"]])
    x, step = torch.tensor(seen[15:], dtype=torch.float64).T
    torch.testing.assert_close(x[1:] / x[:-1], torch.full_like(x[1:], ravine.contraction()),
                               atol=2e-3, rtol=0)
    torch.testing.assert_close(step[1:] / step[:-1],
                               torch.full_like(step[1:], ravine.step_growth()), atol=1e-2, rtol=0)


@pytest.mark.parametrize("f_star", [0.0, None, -1e-3, -1e-6, 1e-6, 1e-3])
def test_safe_arrives_whatever_f_star_it_is_told(f_star):
    run = Run(f_star=f_star)
    while min(run.losses, default=1.0) >= 1e-12 and len(run.losses) < 480:
        run.steps(20)
    assert min(run.losses) < 1e-12
    assert math.isnan(run.counts["f_star"]) == (f_star is None or abs(f_star) > 1e-9)


def walls(condition):
    """½Σ hᵢuᵢ² + ¼Σ vᵢ⁴ with h from 1 to 1/condition."""
    h = torch.tensor([condition ** (-i / 3) for i in range(4)], dtype=torch.float64)

    def loss(x):
        u, v = (part * part for part in x.split([4, 2]))
        return h @ u / 2 + v @ v / 4
    return loss


@pytest.mark.parametrize("f_star", [0.0, None])
@pytest.mark.parametrize("condition, lr", instances(
    [(30.0, 0.5), (6.0, 0.075)], [(30.0, 0.5), (6.0, 0.075), (100.0, 0.5), (10.0, 0.075)]))
def test_safe_arrives_where_walls_are_slow_and_keeps_a_right_f_star(f_star, condition, lr):
    """In one short step κ changes by a part lr·μ at most; that is no sign of a ravine."""
    run = Run([0.4, -0.3, 0.5, 0.2, 0.6, -0.5], loss=walls(condition), lr=lr, f_star=f_star)
    while min(run.losses, default=1.0) > 1e-10 and len(run.losses) < 5 * condition / lr + 3000:
        run.steps(20)
    assert min(run.losses) < 1e-10 and run.optimizer._scalars["without"] == (f_star is None)


def test_a_step_with_the_curvature_does_not_silence_f_star():
    run = Run(f_star=0.0)
    run.optimizer._scalars["doubted"] = True
    assert math.isnan(run.counts["f_star"])
    run.steps(150)
    assert run.counts["epochs"] > 2 and run.counts["f_star"] == 0.0


def test_at_f_star_there_are_short_steps_only():
    """1 + f is 1 to the last digit long before the gradient is 0."""
    run = Run(loss=lambda x: 1.0 + rosenbrock(x), f_star=1.0)
    run.steps(700)
    assert run.losses[-1] == 1.0 and run.counts["status"] is S.AT_F_STAR
    epochs = run.counts["epochs"]
    run.steps(100)
    assert run.counts["epochs"] == epochs and run.counts["f_star"] == 1.0


def test_a_plane_is_no_rounding_floor():
    run = Run((0.0, 0.0), loss=lambda x: x.sum(), lr=0.125)
    assert S.PRECISION not in {counts["status"] for counts in run.steps(200)}
    assert run.losses[-1] == -199 * 0.25


def test_training_that_ends_within_a_trial_can_settle_at_the_last_look():
    kept = went = 0
    training = Run(f_star=0.0, factor=7.0, epoch_length=4)
    training.steps(19)
    for _ in range(20, 120):
        training.steps(1)
        run = copy.deepcopy(training)
        before, trial = run.x.detach().clone(), run.optimizer._scalars["trial"]
        loss = rosenbrock(run.x.detach()).item()
        if run.optimizer.settle(loss):
            went += 1
            assert trial and rosenbrock(run.x).item() == run.counts["loss"] <= loss
        else:
            kept += trial
            assert torch.equal(run.x, before)
            assert not trial or loss < run.counts["loss"]
    assert went > 5 and kept > 5


def test_short_steps_alone_do_not_arrive():
    run = Run(f_star=0.0, guard=1e99)
    run.steps(480)
    assert run.losses[-1] > 1e-6 and run.counts["epochs"] == 0
    assert run.counts["status"] is S.WAITING


def test_groups_with_an_lr_each_are_the_method_in_other_coordinates():
    """x = √w z: short and long steps in z with one lr are those in x with lr·w."""
    w = torch.tensor([0.25, 1.0], dtype=torch.float64)
    for settings in ({"f_star": 0.0}, {"f_star": 0.0, "safe": False, "epoch_length": 12}):
        z = Run([1.0 / 0.5, 0.5], loss=lambda z: rosenbrock(w.sqrt() * z), **settings)
        x = [nn.Parameter(torch.tensor([v], dtype=torch.float64)) for v in X0]
        optimizer = GDPolyak([{"params": x[:1], "lr": LR / 4}, {"params": x[1:]}], lr=LR,
                             **settings)
        for _ in range(120):
            z.steps(1)
            optimizer.zero_grad()
            loss = rosenbrock(torch.cat(x))
            loss.backward()
            optimizer.step(loss=loss)
            assert torch.allclose(torch.cat(x), w.sqrt() * z.x, rtol=1e-6, atol=1e-9)
        assert optimizer.counts["epochs"] == z.counts["epochs"] >= 3


def test_a_cap_bounds_the_long_step():
    run = Run(f_star=0.0, epoch_length=20, safe=False, cap=0.7)
    lengths = [counts["long_step"] for counts in run.steps(400)]
    assert max(lengths[30:]) == min(lengths[-30:]) == 0.7


# Back ----------------------------------------------------------------------------


def taken_back(run, most=400):
    """Steps until a long step is taken back; the index of the evaluation it began at."""
    for _ in range(most):
        before = run.counts["epochs"]
        counts = run.steps(1)[0]
        if counts["epochs"] > before:
            start = len(run.points) - 1
        if counts["rejected"]:
            return start
    raise AssertionError("no long step was taken back")


def test_a_step_that_did_not_help_is_taken_back_bit_for_bit_and_epochs_grow():
    run = Run(f_star=0.0, factor=7.0, epoch_length=4)
    start = taken_back(run)
    assert torch.equal(run.x, run.points[start]) and not torch.equal(run.points[-1], run.x)
    assert run.losses[-1] > run.losses[start] * (1 - run.optimizer.defaults["gain"])
    counts = run.counts
    assert counts["status"] is S.BACK and counts["left"] == counts["epoch_length"] > 4
    run.steps(1)
    assert run.losses[-1] == run.losses[start]


def test_a_state_from_before_a_step_back_holds_the_way_back():
    run = Run(f_star=0.0, factor=7.0, epoch_length=4)
    start = taken_back(copy.deepcopy(run))
    run.steps(start + 2)
    file = io.BytesIO()
    torch.save((run.optimizer.state_dict(), run.x), file)
    file.seek(0)
    state, x = torch.load(file, weights_only=True)
    other = Run(f_star=3.0)
    other.x.data.copy_(x.detach())
    other.optimizer.load_state_dict(state)
    for _ in range(60):
        assert repr(run.steps(1)) == repr(other.steps(1)) and torch.equal(run.x, other.x)
    assert run.counts["rejected"] >= 1


def test_a_long_step_beyond_all_numbers_is_taken_back_at_once():
    def cliff(x):
        return rosenbrock(x) * (1.0 if x.detach().norm() < 2.0 else math.nan)

    safe = Run(loss=cliff, f_star=0.0, factor=1000.0, epoch_length=30)
    start = taken_back(safe)
    assert math.isnan(safe.losses[-1]) and len(safe.losses) == start + 2
    assert torch.equal(safe.x, safe.points[start])
    safe.steps(5)
    assert math.isfinite(safe.losses[-1]) and safe.losses[-1] < safe.losses[start]
    published = Run(loss=cliff, f_star=0.0, factor=1000.0, epoch_length=30, safe=False)
    with pytest.raises(RuntimeError, match="set safe=True"):
        published.steps(40)


def test_the_rounding_floor_is_named():
    """½‖xyᵀ − m‖² with two columns too many, in float32: f cannot fall below about 1e-12."""
    m = torch.tensor([1.0, 0.5])

    def factor(x):
        return (x.view(2, 2) @ x.view(2, 2).T - m.outer(m)).square().sum()

    run = Run([1.1, 0.3, 0.4, -0.3], loss=factor, lr=0.05, dtype=torch.float32, f_star=0.0)
    seen = [counts["status"] for counts in run.steps(800)]
    assert S.PRECISION in seen and "rounding" in S.PRECISION.message
    assert min(run.losses) < 1e-9 and run.losses[-1] < 1e-8


# Bad input -------------------------------------------------------------------------


def test_f_star_above_a_value_seen_never_climbs_and_is_named():
    run = Run(f_star=1e-2, epoch_length=6, safe=False)
    statuses = [counts["status"] for counts in run.steps(200)]
    first = statuses.index(S.BELOW_F_STAR)
    assert min(run.losses[:first + 1]) < 1e-2
    falls = torch.tensor(run.losses[first:])
    assert (falls.diff() <= 0).all() and set(statuses[first:]) == {S.BELOW_F_STAR}
    assert "f_star, which is too high" in S.BELOW_F_STAR.message
    run.optimizer.param_groups[0]["f_star"] = 0.0  # and once it is right, it goes on
    run.steps(200)
    assert run.counts["status"] is S.LONG and run.losses[-1] < 0.01 * falls[-1]


def test_a_value_below_f_star_counts_also_where_it_was_seen_before():
    """A gap that is positive now does not make f_star right."""
    bumpy = [0.5, 5.0, 5.0, 5.0]

    def loss(x):
        return rosenbrock(x) * 0 + bumpy[len(run.losses)] + x.sum()

    run = Run((0.0, 0.0), loss=loss, f_star=1.0, epoch_length=3, safe=False)
    assert run.steps(4)[-1]["status"] is S.BELOW_F_STAR
    assert run.counts["best_loss"] == 0.5 and run.counts["epochs"] == 0


def test_a_zero_gradient_away_from_the_minimum_is_named():
    for settings in ({}, {"safe": False, "epoch_length": 3}):
        run = Run((0.0, 0.0), loss=lambda x: (x**2 - 1).square().sum(), f_star=0.0, **settings)
        run.steps(30)
        assert run.counts["status"] is S.STATIONARY and run.x.tolist() == [0.0, 0.0]
    run = Run((0.0, 0.0), f_star=0.0, safe=False, epoch_length=3)
    assert run.steps(4)[-1]["status"] is S.AT_F_STAR


def test_a_closure_with_two_losses_at_one_point_is_found_where_a_step_was_taken_back():
    rng = torch.Generator().manual_seed(1)
    run = Run(loss=lambda x: rosenbrock(x) + 5 * torch.rand((), generator=rng), f_star=0.0)
    start = taken_back(run)
    with pytest.raises(RuntimeError, match="the loss is deterministic") as error:
        run.steps(1)
    assert "at_look" in str(error.value) and torch.equal(run.x, run.points[start])
    assert torch.equal(run.points[-1], run.points[start])


def test_rounding_between_two_evaluations_is_no_error():
    """As on a GPU, where sums come in another order each time."""
    signs = iter([1.0, -1.0] * 1000)
    run = Run(loss=lambda x: (rosenbrock(x) + 1.0) * (1.0 + 4e-15 * next(signs)), f_star=1.0,
              factor=7.0, epoch_length=4)
    run.steps(600)
    assert run.counts["rejected"] >= 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_a_long_step_longer_than_any_number_of_the_dtype(dtype):
    x = nn.Parameter(torch.tensor([0.002], dtype=dtype))
    optimizer = GDPolyak([x], lr=0.0, f_star=0.0, safe=False, epoch_length=0)
    x.grad = torch.full_like(x, 1e-6)
    loss, before = 0.5, x.item()
    optimizer.step(loss=loss)  # lr = 0 everywhere: nothing moves, short or long
    assert x.item() == before and optimizer.counts["epochs"] == 0
    optimizer.param_groups[0]["lr"] = 1.0
    loss = 1e5 * x.grad.item() ** 2
    optimizer.step(loss=loss)
    assert optimizer.counts["long_step"] == pytest.approx(1e5)
    assert x.item() == pytest.approx(before - 1e5 * x.grad.item(), rel=0.01)


def test_the_quotient_survives_gradients_whose_square_does_not():
    for scale in (1e-170, 1e-30, 1e150):
        x = nn.Parameter(torch.tensor([0.0, 0.0], dtype=torch.float64))
        optimizer = GDPolyak([x], lr=1.0, f_star=0.0, safe=False, epoch_length=0)
        x.grad = scale * torch.tensor([3.0, -4.0], dtype=torch.float64)
        optimizer.step(loss=25 * scale)
        assert optimizer.counts["quotient"] == pytest.approx(1 / scale)
        torch.testing.assert_close(x.detach(), torch.tensor([-3.0, 4.0], dtype=torch.float64))


# Mini-batches ------------------------------------------------------------------------


def least_squares(shift):
    """Quartic residuals of 64 samples; with shift 0 all vanish at one point."""
    rng = torch.Generator().manual_seed(2)
    a = torch.randn(64, 3, generator=rng, dtype=torch.float64)
    noise = shift * torch.randn(64, generator=rng, dtype=torch.float64)
    return lambda x, index: ((a[index] @ x - noise[index]) ** 4).mean()


def in_batches(shift, whole_at_looks=False, steps=400, **settings):
    """A run from mini-batches of 8; the loss of all samples at the end."""
    rng = torch.Generator().manual_seed(3)
    value, everything = least_squares(shift), torch.arange(64)

    def loss(x):
        whole = whole_at_looks and run.optimizer.at_look
        return value(x, everything if whole else torch.randperm(64, generator=rng)[:8])

    run = Run((1.0, -1.0, 0.5), loss=loss, lr=0.01, **settings)
    run.steps(steps)
    return value(run.x.detach(), everything).item(), run


def test_noisy_losses_with_one_minimizer_for_all_samples_still_converge():
    end, run = in_batches(0.0, f_star=0.0, safe=False, epoch_length=9)
    sgd, _ = in_batches(0.0, f_star=0.0, safe=False, epoch_length=10**6)
    assert end < 1e-10 < 1e-4 * sgd and run.counts["epochs"] == 40


def test_noisy_losses_without_a_common_minimizer_are_thrown_about_and_a_cap_helps():
    plain, _ = in_batches(1.0, f_star=0.0, safe=False, epoch_length=10**6)
    thrown, _ = in_batches(1.0, f_star=0.0, safe=False, epoch_length=9)
    capped, _ = in_batches(1.0, f_star=0.0, safe=False, epoch_length=9, cap=0.02)
    assert thrown > 1.3 * plain > 1.2 * capped


def test_at_look_tells_of_every_step_that_compares_losses_or_gradients():
    for settings in ({"factor": 7.0}, {"safe": False}):
        run, after_back = Run(f_star=0.0, epoch_length=5, **settings), False
        for _ in range(90):
            fifth = max(1, run.counts["epoch_length"] // 5)
            used = {0} if "safe" in settings else {0, 1, fifth, fifth + 1}
            assert run.optimizer.at_look == (run.counts["left"] in used or after_back)
            rejected = run.counts["rejected"]
            after_back = run.steps(1)[0]["rejected"] > rejected
        assert run.counts["rejected"] > 0 or "safe" in settings


def test_safe_steps_need_the_whole_loss_at_looks_only():
    partial, _ = in_batches(0.0, f_star=0.0)
    assert partial > 1e-6
    end, run = in_batches(0.0, whole_at_looks=True, f_star=0.0)
    assert end < 1e-12 and run.counts["accepted"] > 5


# Memory ------------------------------------------------------------------------------


@pytest.mark.parametrize("settings, copies", [({"safe": False, "epoch_length": 3}, 0), ({}, 2)])
def test_nothing_is_kept_without_the_way_back_and_two_copies_with_it(settings, copies):
    x = nn.Parameter(torch.ones(100_000, dtype=torch.float64))
    x.grad = torch.full_like(x, 1e-3)
    with torch.autograd.profiler.profile(profile_memory=True) as profile:
        optimizer = GDPolyak([x], lr=1e-4, f_star=0.0, **settings)
        for _ in range(100):
            optimizer.step(loss=1.0)  # no long step lowers this
    assert optimizer.counts["epochs"] > 2 and (not copies or optimizer.counts["rejected"] > 1)
    held = peak = 0
    events = [e for e in profile.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    assert copies <= peak / (x.numel() * x.element_size()) <= copies + 0.05
