"""The edges of the episode theorem: the shortest episode, one episode only."""

import pytest

from saddlelib.theory.episode import episode_constants, iteration_bound, smallest_episode_length


@pytest.mark.parametrize("ell, rho, eps, share, steps", [
    (1.0, 1.0, 1.0, 1.0, 8), (1.0, 1.0, 1.0, 0.5, 16), (0.5, 0.25, 1.0, 1.0, 8),
    (10.0, 10.0, 2.5, 1.0, 16), (0.1, 1e-4, 25.0, 1.0, 16), (0.1, 0.25, 0.01, 1.0, 16)])
def test_no_episode_is_shorter_than_eight_times_of_the_curvature(ell, rho, eps, share, steps):
    """With next to nothing to prove, T = 8/(ηγ), in any units."""
    eta = share / ell
    assert smallest_episode_length(ell, rho, eps, 1, 1e-30, 0.9, eta) == steps
    with pytest.raises(ValueError, match="episode_length must be at least 8/"):
        episode_constants(ell, rho, eps, 1, steps - 1, eta)


@pytest.mark.parametrize("delta", [1e-3, 1e-9])
def test_with_nothing_to_lose_the_only_episode_may_fail_with_the_whole_probability(delta):
    """Δ_f → 0: one episode takes place, so its probability alone is held against δ."""
    steps = smallest_episode_length(10.0, 0.1, 1e-3, 10, 1e-40, delta)
    before, at = (episode_constants(10.0, 0.1, 1e-3, 10, n).failure_prob
                  for n in (steps - 1, steps))
    assert at <= delta < before
    tiny = iteration_bound(10.0, 0.1, 1e-3, 10, 1e-40, delta)
    assert tiny == pytest.approx(steps + 1, rel=1e-12)


def test_the_iteration_bound_is_linear_in_what_is_left_to_lose():
    arguments = (10.0, 0.1, 1e-3, 10)
    steps = smallest_episode_length(*arguments, 1.0)
    k = episode_constants(*arguments, steps)
    assert iteration_bound(*arguments, 1.0) == pytest.approx(
        (steps + 1) * (1 + 1 / k.decrease), rel=1e-12)
