"""A look, piece by piece: which falls count, which way it goes, and what it finds."""

import pytest
import torch
from torch import nn

from saddlelib.optim._evaluator import Evaluator
from saddlelib.optim._look import _Place, agrees, look, sizes_of


def point(*numbers, dtype=torch.float64):
    return nn.Parameter(torch.tensor(numbers, dtype=dtype))


def place(ask):
    value, grad = ask.gradient()
    return _Place(ask, value, grad, sizes_of(ask.params))


@pytest.mark.parametrize("bend, counts", [(0.0, False), (0.9, False), (1.1, True)])
def test_only_a_fall_beyond_twice_the_slope_counts(bend, counts):
    """f = −x − bend·x²: at 1 it has fallen by 1 + bend, and the slope explains 1."""
    x = point(0.0)
    with Evaluator([x], lambda: (-x - bend * x * x).sum()) as ask:
        one = [torch.ones(1, dtype=torch.float64)]
        fall, real = place(ask).fall(one, 1.0)
        assert fall == pytest.approx(1 + bend) and real is counts
        assert (agrees(ask, one)[0] == 1.0) is counts


@pytest.mark.parametrize("fall, counts", [(2e-6, False), (2e-5, True)])
def test_what_rounding_may_do_is_no_fall(fall, counts):
    """In float32 the numbers next to 10 are 1e-6 away."""
    x = point(0.0, dtype=torch.float32)
    with Evaluator([x], lambda: 10 - fall * (x * x).sum().round()) as ask:
        one = [torch.ones(1)]
        assert place(ask).fall(one, 1.0)[1] is counts
        assert (agrees(ask, one)[0] == 1.0) is counts


def test_values_that_jump_are_heard_as_noise():
    """The value differs from its own slope by what a product hears; such a fall is none."""
    x = point(0.0, 0.0)

    def jumping():
        steps = 1e-3 * (1e9 * x[0]).sin().detach()  # its gradient does not know of it
        return 1 + (x * x).sum() + steps
    with Evaluator([x], jumping) as ask:
        here = place(ask)
        before = here.noise
        here.product([torch.tensor([1.0, 0.0], dtype=torch.float64)])
        assert before < 1e-12 < 1e-5 < here.noise


@pytest.mark.parametrize("slope", [0.05, -0.05])
def test_of_two_ways_along_a_direction_it_takes_that_downhill(slope):
    x = point(0.0)
    for seed in range(6):
        with Evaluator([x], lambda: (x**4 / 4 - x**2 / 2 + slope * x).sum()) as ask:
            found = look(ask, sizes_of([x]), seed, 1)
        assert found.curved and found.move[0].item() * slope < 0


@pytest.mark.parametrize("seed", range(4))
def test_one_weak_direction_among_many_walls_is_found(seed):
    h = torch.linspace(1, 10, 40, dtype=torch.float64)
    h[7] = -0.5
    x = nn.Parameter(torch.zeros(40, dtype=torch.float64))
    with Evaluator([x], lambda: (h * x * x).sum() / 2 + x[7] ** 4 / 4) as ask:
        found = look(ask, sizes_of([x]), seed, 1)
    # λ_min is −0.5, and the best point along its direction is at √0.5, 1/16 below.
    assert found.curved and found.min_eig < -0.3 and 0.03 < found.fall <= 0.0625 + 1e-12
    assert abs(found.move[0][7]) > 0.9 * found.move[0].norm()


def test_a_direction_among_silent_parameters_is_not_drowned():
    """Forty walls of those that train, a hundred thousand times as steep as the way down."""
    walls, asleep = (nn.Parameter(torch.full((n,), a, dtype=torch.float64))
                     for n, a in ((40, 0.1), (2, 0.0)))
    h = 1e5 * torch.linspace(1, 10, 40, dtype=torch.float64)

    def loss():
        return (h * walls * walls).sum() / 2 - asleep[0] * asleep[1] + asleep.pow(4).sum()
    for seed in range(4):
        with Evaluator([walls, asleep], loss) as ask:
            found = look(ask, sizes_of([walls, asleep]), seed, 1)
        assert not found.move[0].any() and found.move[1].prod() > 0 and found.slope == 0.0


def test_a_draw_goes_across_no_wall():
    """A degenerate saddle of third order, beside a wall that a draw would climb."""
    a = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64)
    x = nn.Parameter(torch.zeros(4, dtype=torch.float64))

    def loss():
        return 1e4 * (a @ x) ** 2 + x[1] * x[2] * x[3] + 0.1 * (x * x).sum() ** 2
    moves = []
    for seed in range(8):
        with Evaluator([x], loss) as ask:
            found = look(ask, sizes_of([x]), seed, 1)
        assert not found.curved
        if found.move is not None:  # half of all draws begin where x₁x₂x₃ > 0
            moves.append(found.move[0])
    assert len(moves) >= 3 and all(abs(m[0]) < 1e-3 * m.norm() for m in moves)
