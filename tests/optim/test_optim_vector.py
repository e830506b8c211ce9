"""A list of tensors as one vector: its algebra, and draws that no cutting into tensors changes."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from saddlelib.optim import _vector as v

DOUBLE = torch.float64


def whole(tensors):
    return torch.cat([t.reshape(-1) for t in tensors])


@pytest.fixture(scope="module")
def balls():
    like = [torch.zeros(2, dtype=DOUBLE), torch.zeros(1, dtype=DOUBLE)]
    return np.array([whole(v.uniform_ball(like, 0.5, 7, k)) for k in range(1000)])


def test_the_draws_are_uniform_on_the_ball(balls):
    """‖x/r‖^d is uniform on [0, 1], and so is each coordinate of the direction for d = 3."""
    norms = np.linalg.norm(balls, axis=1)
    assert kstest((norms / 0.5) ** 3, "uniform").pvalue > 0.01
    for directions in (balls / norms[:, np.newaxis]).T:
        assert kstest((directions + 1) / 2, "uniform").pvalue > 0.01
    assert np.abs(np.corrcoef(balls.T) - np.eye(3)).max() < 0.1
    assert abs(np.corrcoef(norms[1:], norms[:-1])[0, 1]) < 0.1  # counters are independent


def test_a_large_vector_has_the_norm_of_its_law():
    like = [torch.zeros(301, 7), torch.zeros(5000), torch.zeros(())]
    assert v.norm(v.uniform_sphere(like, 1, 2, radius=3.0)) == pytest.approx(3.0, rel=1e-5)
    assert 0.99 * 3 < v.norm(v.uniform_ball(like, 3.0, 1, 2)) <= 3 * (1 + 1e-6)
    assert v.norm(v.gaussian(like, 1, 2, radius=3.0)) == pytest.approx(3.0, rel=0.05)
    z = whole(v.gaussian([torch.zeros(20_000, dtype=DOUBLE)], 0, 0, radius=math.sqrt(20_000)))
    assert kstest(z.numpy(), "norm").pvalue > 0.01


@pytest.mark.parametrize("draw", [lambda x: v.uniform_ball(x, 0.1, 3, 4),
                                  lambda x: v.uniform_sphere(x, 3, 4),
                                  lambda x: v.gaussian(x, 3, 4)])
def test_a_draw_does_not_depend_on_the_cutting(draw):
    """One tensor, many, transposed ones, empty ones: the same numbers, over the blocks too."""
    n = 3 * v._DRAW + 17
    one = draw([torch.zeros(n, dtype=DOUBLE)])[0]
    cuts = [0, 1, 6, 6, v._DRAW - 1, 2 * v._DRAW + 5, n]
    many = draw([torch.zeros(b - a, dtype=DOUBLE)
                 for a, b in zip(cuts[:-1], cuts[1:], strict=True)])
    torch.testing.assert_close(whole(many), one, rtol=1e-14, atol=0)  # its norm is summed in pieces
    turned = torch.zeros(17, n // 17, dtype=DOUBLE).T
    (z,) = draw([turned])
    assert z.shape == turned.shape
    torch.testing.assert_close(z.reshape(-1)[:100] / z.reshape(-1)[0], one[:100] / one[0],
                               rtol=1e-13, atol=0)


def test_a_draw_is_fixed_by_seed_and_counter_alone():
    like = [torch.zeros(9)]
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    first = v.uniform_ball(like, 1.0, 0, 1)[0]
    assert torch.equal(torch.random.get_rng_state(), before)  # the global generator is untouched
    assert torch.equal(v.uniform_ball(like, 1.0, 0, 1)[0], first)
    for seed, counter in [(1, 0), (0, 2), (1, 1), (0, 0), (2**40, 1)]:
        assert not torch.isclose(v.uniform_ball(like, 1.0, seed, counter)[0], first).any()


@pytest.mark.parametrize("dtype, eps", [(torch.float32, 1e-7), (torch.bfloat16, 8e-3),
                                        (torch.float16, 1e-3)])
def test_a_draw_in_another_precision_is_the_rounded_one(dtype, eps):
    """In float16 the numbers are rounded at their final length, not before and after."""
    exact = v.uniform_ball([torch.zeros(1000, dtype=DOUBLE)], 30.0, 0, 0)[0]
    drawn = v.uniform_ball([torch.zeros(1000, dtype=dtype)], 30.0, 0, 0)[0]
    assert drawn.dtype == dtype
    torch.testing.assert_close(drawn.double(), exact, rtol=eps, atol=1e-6)


@pytest.mark.parametrize("like, seed, message", [
    ([], 0, "nothing to perturb"), ([torch.zeros(0)], 0, "nothing to perturb"),
    ([torch.zeros(2, dtype=torch.complex64)], 0, "complex64"), ([torch.zeros(2)], -1, "negative")])
def test_what_cannot_be_drawn_is_refused(like, seed, message):
    with pytest.raises(ValueError, match=message):
        v.uniform_ball(like, 1.0, seed, 0)


def test_sums_are_those_of_one_long_vector():
    rng = torch.Generator().manual_seed(0)
    shapes = [(3, 40), (), (0,), (50_000,), (8, 9, 7)]
    a = [torch.randn(s, dtype=DOUBLE, generator=rng) for s in shapes]
    b = [torch.randn(s, dtype=DOUBLE, generator=rng) for s in shapes]
    a[4], b[0] = a[4].transpose(0, 2), b[0].T.contiguous().T  # the same entries, other strides
    b[4] = b[4].transpose(0, 2)
    x, y = whole(a).numpy(), whole(b).numpy()
    assert v.norm(a) == pytest.approx(np.linalg.norm(x), rel=1e-13)
    inner = v.dot(a, b)
    assert inner.shape == () and inner.dtype == DOUBLE
    assert float(inner) == pytest.approx(x @ y, abs=1e-12 * np.linalg.norm(x) * np.linalg.norm(y))
    assert v.numel(a) == x.size
    c = v.clone(a)
    v.add_(c, b, alpha=-2.5)
    v.scale_(c, 3.0)
    np.testing.assert_allclose(whole(c).numpy(), 3 * (x - 2.5 * y), rtol=1e-12, atol=1e-12)
    v.copy_(c, b)
    assert torch.equal(whole(c), whole(b)) and not whole(v.zeros_like(a)).any()
    assert np.array_equal(whole(a).numpy(), x)  # clones share nothing


@pytest.mark.parametrize("size", [1e-30, 1e-22, 1.0, 1e30])
@pytest.mark.parametrize("n", [5, 40_000])
def test_norms_in_float32_neither_overflow_nor_vanish(size, n):
    a = [torch.full((n,), size), torch.full((n,), size)]
    assert v.norm(a) == pytest.approx(size * math.sqrt(2 * n), rel=1e-4)
    assert float(v.dot(a, a)) == pytest.approx(2 * n * float(a[0][0]) ** 2, rel=1e-12)


def test_the_norm_of_many_float32_numbers_is_right():
    """One sum in float32 is off by 8 in 1000 here."""
    x = torch.full((10**7,), 0.1)
    assert v.norm([x]) == pytest.approx(math.sqrt(1e5), rel=1e-4)


def test_the_norm_takes_halves_singles_and_doubles_together():
    kinds = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    assert v.norm([torch.full((4,), 3.0, dtype=kind) for kind in kinds]) == 12.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_norm_of_half_precision_may_be_larger_than_its_numbers(dtype):
    x = torch.full((100, 100), 60_000.0, dtype=dtype)
    assert v.norm([x]) == pytest.approx(100 * float(x[0, 0]), rel=1e-5)


def test_norms_in_float64_reach_the_ends_of_the_range():
    for size in (1e-300, 1e300):
        assert v.norm([torch.full((3,), size, dtype=DOUBLE), torch.ones(0)]) == pytest.approx(
            size * math.sqrt(3), rel=1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_bad_entry_shows_in_the_norm(bad):
    for x in (torch.ones(3), torch.full((3,), 1e-30)):
        x[1] = bad
        assert v.norm([torch.ones(2), x]) == pytest.approx(bad, nan_ok=True)


def test_nothing_and_zero_have_the_norm_zero():
    assert v.norm([]) == v.norm([torch.zeros(3)]) == v.norm([torch.zeros(0)]) == 0.0
    assert float(v.dot([], [])) == 0.0


def test_lists_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="same shapes"):
        v.dot([torch.ones(2)], [torch.ones(1)])
    with pytest.raises(ValueError, match="same shapes"):
        v.dot([torch.ones(2)], [])


def test_parameters_that_need_gradients_take_part():
    p = torch.nn.Parameter(torch.ones(4))
    v.add_([p], v.uniform_sphere([p], 0, 0), alpha=0.5)
    assert p.is_leaf and p.grad_fn is None and p.requires_grad
    assert not v.dot([p], [p]).requires_grad and not v.clone([p])[0].requires_grad
    assert not v.zeros_like([p])[0].requires_grad


def test_on_one_process_nothing_is_copied():
    x = torch.ones(3)
    assert v.mean_over_ranks(x) is x and v.local([x])[0] is x
