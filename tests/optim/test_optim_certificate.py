"""A certificate from mini-batches: how often it errs, and what it refuses to say."""

import collections
import itertools
import math

import pytest
import torch
from thorough import instances
from torch import nn

from saddlelib.curvature.certificate import Verdict
from saddlelib.optim import Escape, certify
from saddlelib.optim._certificate import groups_for

H = torch.tensor([-0.5, 0.3, 1.0, 2.0], dtype=torch.float64)


def quadratic(x, z=0.0):
    """Mean over samples z of xᵀ(diag(H) + diag(z))x/2."""
    return ((H[:len(x)] + z) * x * x).sum(-1).mean() / 2


def batches(rng, number, size=4, dim=4, spread=1.0):
    return [spread * torch.randn(size, dim, dtype=torch.float64, generator=rng)
            for _ in range(number)]


def point(dim=4):
    return nn.Parameter(0.1 * torch.ones(dim, dtype=torch.float64))


@pytest.mark.parametrize("failure_prob", [0.5, 0.2])
def test_gamma_is_too_small_as_often_as_two_to_the_minus_k(failure_prob):
    """In one dimension λ_min is the mean, each of K groups is above it or below alike, and γ is too
    small where all are above: once in the 2^K ways."""
    K, x = groups_for(failure_prob), point(1)
    assert 2.0**-K <= failure_prob / 2
    for seed, sides in enumerate(itertools.product((1, -1), repeat=K)):
        groups = batches(torch.Generator().manual_seed(seed), K, dim=1)
        groups = [side * z * z.mean().sign() for side, z in zip(sides, groups, strict=True)]
        seen = certify([x], lambda z: quadratic(x, z), groups, failure_prob=failure_prob,
                       curvature_tol=1e-3, seed=seed)
        assert seen.groups == K and (seen.gamma < 0.5 - 1e-9) == (min(sides) > 0), sides


def test_both_verdicts_err_seldom_over_many_draws():
    rng, wrong, decided = torch.Generator().manual_seed(2), 0, 0
    x, draws = point(), instances(15, 48)
    for seed in range(draws):
        shift = 0.5 * (seed % 3)  # λ_min is -0.5, 0 or 0.5
        seen = certify([x], lambda z: quadratic(x, z + shift), batches(rng, 8), seed=seed)  # noqa: B023
        low = shift - 0.5
        wrong += seen.verdict is Verdict.NEGATIVE_CURVATURE and low >= 0
        wrong += seen.gamma < -low - 1e-9
        decided += seen.verdict is not Verdict.CANNOT_TELL
        assert seen.groups == 8 and seen.nsamples == 32
    assert wrong <= 1 and decided >= draws - 2  # δ = 0.01


def test_a_saddle_is_named_by_its_curvature_and_a_minimum_by_its_bound():
    rng = torch.Generator().manual_seed(3)
    x, data = point(), batches(rng, 64, size=32)
    seen = certify([x], lambda z: quadratic(x, z), data)
    assert seen.verdict is Verdict.NEGATIVE_CURVATURE and -0.6 < seen.min_eig < -0.1
    text = f"curvature {seen.min_eig:.3g} along a direction, checked on 2048 samples"
    assert text in seen.message
    seen = certify([x], lambda z: quadratic(x, z + 1.0), data)
    assert seen.verdict is Verdict.SOSP and seen.gamma == 0.0
    assert "no negative curvature down to -0, checked on 2048 samples in 8 groups" in seen.message
    assert abs(seen.grad_norm - (0.1 * (H + 1)).norm().item()) < 0.02


@pytest.mark.parametrize("tol, verdict", [(0.4, Verdict.NEGATIVE_CURVATURE), (0.6, Verdict.SOSP)])
def test_a_whole_loss_is_decided_on_the_right_side_of_the_tolerance(tol, verdict):
    x = point()
    seen = certify([x], lambda: quadratic(x), curvature_tol=tol)
    assert seen.verdict is verdict and seen.nsamples is None
    assert "for the loss given" in seen.message
    assert seen.gamma >= 0.5 - 1e-9 or verdict is Verdict.NEGATIVE_CURVATURE


def test_too_few_products_decide_nothing():
    x = nn.Parameter(torch.zeros(400, dtype=torch.float64))
    h = torch.linspace(-1e-3, 1, 400, dtype=torch.float64)
    seen = certify([x], lambda: (h * x * x).sum() / 2, curvature_tol=1e-4, lanczos_steps=3)
    assert seen.verdict is Verdict.CANNOT_TELL and "lanczos_steps" in seen.message


def test_batches_are_unpacked_like_those_of_a_loader_and_weighed():
    model = nn.Linear(3, 1).double()
    rng = torch.Generator().manual_seed(0)
    x, y = (torch.randn(57, n, dtype=torch.float64, generator=rng) for n in (3, 1))

    def loss(x, y):
        return (model(x) - y).square().mean()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=5)
    named = [{"x": a, "y": b} for a, b in loader]
    first, second = (certify(model.parameters(), loss, data) for data in (loader, named))
    assert first == second and first.verdict is Verdict.SOSP and first.nsamples == 57


def test_nothing_is_different_afterwards():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = Escape(torch.optim.SGD(model.parameters(), lr=0.1))
    before = [t.clone() for t in model.state_dict().values()]
    state = torch.get_rng_state()
    optimizer.certify(lambda z: model(z).square().mean(), torch.randn(
        16, 8, 3, generator=torch.Generator().manual_seed(1)))
    assert all(map(torch.equal, before, model.state_dict().values()))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("given, error, match", [
    ({"loss": 3}, TypeError, "loss must be callable"),
    ({"batches": [torch.zeros(2)] * 3}, ValueError, "at least 8 mini-batches.*got 3"),
    ({"failure_prob": 0.0}, ValueError, "failure_prob"),
    ({"curvature_tol": -1.0}, ValueError, "curvature_tol"),
    ({"lanczos_steps": 0}, ValueError, "lanczos_steps"), ({"seed": -1}, ValueError, "seed"),
])
def test_settings_out_of_range_are_named(given, error, match):
    x = point()
    with pytest.raises(error, match=match):
        certify([x], **{"loss": lambda *z: quadratic(x), **given})


def test_differences_need_a_bound_of_their_error():
    from torch.utils.checkpoint import checkpoint

    x = point()

    def loss():
        return checkpoint(quadratic, x * 1.0, use_reentrant=True)
    with pytest.raises(ValueError, match="lipschitz_hess must be given"):
        certify([x], loss)
    assert certify([x], loss, lipschitz_hess=1e-6).verdict is Verdict.NEGATIVE_CURVATURE


@pytest.mark.parametrize("failure_prob", [1 - 2**-53, 0.999999, 0.5, 0.01, 1e-12, 1e-300, 5e-324])
def test_groups_are_as_many_as_any_failure_probability_needs(failure_prob):
    K = groups_for(failure_prob)
    assert -K <= math.log2(failure_prob) - 1 < 1 - K


def test_heavy_tails_keep_the_premise_and_rare_samples_break_it_as_is_said():
    """The mean curvature is -0.5, and one group of eight that is not above it keeps γ right.

    Student's t of infinite variance lies there half of the time, so all eight are above once in
    2⁸ times. A sample that is 0 or, once in ten times, -5, gives 0.9⁸ = 0.43 in place of that.
    """
    rng, x = torch.Generator().manual_seed(5), point(1)

    def errs(curvatures):
        groups = list(curvatures.reshape(8, 1, 1))
        return certify([x], lambda z: (z * x * x).mean() / 2, groups,
                       curvature_tol=1e-3).gamma < 0.5 - 1e-9

    for lowest in instances((0, 7), range(8)):
        z, *rest = torch.randn(3, 8, dtype=torch.float64, generator=rng)
        above = (z / torch.stack(rest).square().mean(0).sqrt()).abs()
        rare = torch.zeros(8, dtype=torch.float64)
        assert errs(above - 0.5) and errs(rare)
        above[lowest] *= -1
        rare[lowest] = -5.0
        assert not errs(above - 0.5) and not errs(rare)


def test_every_group_draws_its_own_dropout():
    """Of two numbers each group drops some; all dropped, the curvature is positive."""
    x, wrong = point(2), 0
    for seed in range(24):
        before = torch.get_rng_state()
        seen = certify([x], lambda z: (4 * x * x - 8 * nn.functional.dropout(x * x) + z).sum(),
                       [torch.zeros(2)] * 8, seed=seed)
        assert torch.equal(before, torch.get_rng_state())
        wrong += seen.gamma < 8.0 - 1e-9
    assert wrong == 0  # with one mask for all, 6 of 24


def test_no_verdict_is_a_bound_beyond_all_curvature():
    """Groups that are as often positive as negative leave no choice but a bound of their size."""
    rng, x = torch.Generator().manual_seed(0), point(2)
    for seed in range(instances(10, 25)):
        data = [10 * torch.randn(1, 2, dtype=torch.float64, generator=rng) for _ in range(8)]
        seen = certify([x], lambda z: (z * x * x).sum() / 2, data, seed=seed)
        low = min(float(z.min()) for z in data)
        if seen.verdict is Verdict.SOSP:
            assert -low - 1e-9 <= seen.gamma <= float(data[0].abs().max()) + 1e-9
        else:
            assert seen.verdict is Verdict.CANNOT_TELL or seen.min_eig < 0
        assert seen.gamma <= 1.05 * max(-low, 0.0) + 1e-6


def test_a_parameter_that_the_loss_leaves_out_has_no_curvature():
    x, unused = point(), point(2)
    seen = certify([unused, x], lambda: quadratic(x), curvature_tol=0.1)
    assert seen.verdict is Verdict.NEGATIVE_CURVATURE
    assert certify([unused, x], lambda: quadratic(x, 1.0), curvature_tol=0.1).verdict is (
        Verdict.SOSP)


@pytest.mark.parametrize("wrap, nsamples", [
    (lambda z: z, 40), (lambda z: (z,), 40), (lambda z: {"z": z}, 40),
    (lambda z: collections.UserDict(z=z), 40), (lambda z: z.numpy(), 40),
    (lambda z: {"name": ["a"] * 5, "z": z}, 40), (lambda z: (["a"] * 5, z), 40)])
def test_samples_are_counted_in_every_form_of_a_batch(wrap, nsamples):
    x, rng = point(), torch.Generator().manual_seed(0)
    data = [wrap(z) for z in [torch.zeros(0, 4), *batches(rng, 8, size=5)]]

    def loss(*args, name=None, z=None):
        return quadratic(x, 1.0 + torch.as_tensor(args[-1] if z is None else z))
    assert certify([x], loss, data).nsamples == nsamples


@pytest.mark.parametrize("loss, params, error, match", [
    (lambda x: x.sum() * math.nan, 1, RuntimeError, "not finite"),
    (lambda x: x.sum().item(), 1, RuntimeError, "depends on no parameter"),
    (lambda x: x.sum(), 0, ValueError, "params must hold a tensor"),
])
def test_what_has_no_curvature_is_named(loss, params, error, match):
    x = point()
    with pytest.raises(error, match=match):
        certify([x] * params, lambda: loss(x))


class Regression:
    """A convex loss at its minimum: looks find nothing."""

    def __init__(self):
        rng = torch.Generator().manual_seed(0)
        self.x = torch.randn(512, 3, dtype=torch.float64, generator=rng)
        self.w = nn.Parameter(torch.zeros(3, dtype=torch.float64))
        self.batch = slice(0, 16)

    def loss(self):
        return (self.x[self.batch] @ self.w).square().mean()

    def run(self, optimizer, steps):
        for k in range(steps):
            self.batch = slice(16 * (k % 32), 16 * (k % 32) + 16)
            optimizer.zero_grad()
            self.loss().backward()
            optimizer.step()


def test_the_wrapper_certifies_where_it_looked_in_vain():
    task = Regression()
    optimizer = Escape(torch.optim.SGD([task.w], lr=0.1), loss=task.loss, certify=True)
    before = task.w.detach().clone()
    task.run(optimizer, 8)
    assert optimizer.certificate is None
    task.run(optimizer, 2)
    seen = optimizer.certificate
    assert seen.verdict is Verdict.SOSP and seen.groups == 8 and seen.products >= 8
    assert "checked on 8 mini-batches" in seen.message
    c = optimizer.counts
    assert torch.equal(task.w, before) and c["evaluations"] >= c["in_vain"] + 2 * seen.products
    alone = Regression()
    without = Escape(torch.optim.SGD([alone.w], lr=0.1), loss=alone.loss)
    alone.run(without, 10)
    assert c["in_vain"] == without.counts["in_vain"]  # so looks come when they would
    task.run(optimizer, 60)  # and no second one before its share is earned
    assert optimizer.certificate is seen
    assert Escape(torch.optim.SGD([task.w], lr=0.1), loss=task.loss).certificate is None


def test_certify_without_a_loss_says_what_to_give():
    with pytest.raises(TypeError, match="loss must be given"):
        Escape(torch.optim.SGD([point()], lr=0.1)).certify()
