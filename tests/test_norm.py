"""The norm, where squares leave float64 and where they do not."""

import math

import numpy as np
import pytest

from saddlelib._norm import norm


@pytest.mark.parametrize("exponent", [-300, -200, -160, -150, -140, 0, 140, 160, 200, 300])
def test_it_is_right_at_every_scale(exponent):
    v = np.random.default_rng(exponent + 1000).standard_normal(30)
    scaled = v * 10.0**exponent
    assert norm(scaled) == pytest.approx(math.hypot(*scaled), rel=1e-14)


@pytest.mark.parametrize("dim", [1, 2, 33, 1000])
def test_it_is_numpys_bit_for_bit_where_nothing_overflows(dim):
    v = np.random.default_rng(dim).standard_normal(dim)
    assert norm(v) == np.linalg.norm(v) and norm(v.astype(np.float32)) == np.linalg.norm(
        v.astype(np.float32).astype(float))


def test_entries_of_both_kinds_lose_nothing():
    assert norm([1e-170, 1.0]) == 1.0 and norm([1e-170, 1e-150]) == 1e-150
    assert norm([1e160, 1e150]) == 1e160 and norm([3e-162] * 100) == pytest.approx(3e-161)


def test_zero_infinity_and_nan():
    assert norm([0.0, 0.0]) == norm([]) == 0.0 and norm([5e-324]) == 5e-324
    assert norm([1.0, -np.inf]) == norm([1.7e308, 1.7e308]) == math.inf
    assert math.isnan(norm([np.nan, 1e200])) and math.isnan(norm([np.inf, np.nan, 0.0]))
