"""Forms by their coefficients, and the least value of a quartic one between two proved bounds."""

import numpy as np
import pytest
from thorough import instances

from saddlelib.ravine.form import (
    exponents,
    features,
    fit,
    from_gram,
    gradient_rows,
    least,
    on_subspace,
    rows_of,
    tensor,
)


def coefficients(terms, m):
    """The vector b of Σ c·v^α, from a table of exponents."""
    alpha, counts = exponents(m, 4)
    b = np.zeros(len(counts))
    for exponent, c in terms.items():
        i = int(np.flatnonzero((alpha == exponent).all(axis=1))[0])
        b[i] += c / np.sqrt(counts[i])
    return b


def sphere(n, m, seed=0):
    W = np.random.default_rng(seed).standard_normal((n, m))
    return W / np.linalg.norm(W, axis=1, keepdims=True)


@pytest.mark.parametrize("m", [1, 2, 3, 5])
def test_a_form_its_tensor_its_gradient_and_its_gram_matrices_agree(m):
    rng, W = np.random.default_rng(m), sphere(30, m)
    n = m * (m + 1) // 2
    G = rng.standard_normal((n, n))
    G = G + G.T
    b, z = from_gram(G, m), features(W, 2)
    values = features(W, 4) @ b
    np.testing.assert_allclose(np.einsum("ni,ij,nj->n", z, G, z), values, atol=1e-13)
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1)
    T = tensor(b, m, 4)
    assert np.linalg.norm(T) == pytest.approx(np.linalg.norm(b))
    rows = gradient_rows(W, 4) @ b
    np.testing.assert_allclose(np.einsum("ijkl,ni,nj,nk->nl", T, W, W, W), rows, atol=1e-13)
    assert (np.abs(values) <= np.linalg.norm(b)).all()
    again, error = fit(rows_of(gradient_rows(W, 4).reshape(-1, len(b))), rows.ravel(), 1e-9)
    np.testing.assert_allclose(again, b, atol=1e-11)
    assert 1e-11 < error < 1e-7
    basis = np.linalg.qr(rng.standard_normal((m, m)))[0][:, :max(1, m - 1)]
    inside = sphere(5, basis.shape[1], 1)
    np.testing.assert_allclose(features(inside, 4) @ on_subspace(b, basis),
                               features(inside @ basis.T, 4) @ b, atol=1e-13)


def test_what_no_form_explains_counts_as_its_error():
    W = sphere(12, 2)
    angle = np.arctan2(W[:, 1], W[:, 0])
    rows = gradient_rows(W, 4).reshape(-1, 5)
    wrong = np.stack([np.cos(9 * angle), np.sin(9 * angle)], axis=1).ravel()
    assert fit(rows_of(rows), wrong, 0.0)[1] > 0.5


@pytest.mark.parametrize("seed", range(40))
def test_in_two_variables_the_least_value_is_found_on_every_form(seed):
    """Also where two basins are nearly equal, at both ends of the range of angles, and flat."""
    rng = np.random.default_rng(seed)
    b = rng.standard_normal(5)
    if seed % 4 == 1:  # nearly symmetric: two minima that differ by little
        b = coefficients({(4, 0): 1.0, (0, 4): 1.0 + 1e-6 * rng.standard_normal(), (2, 2): 3.0}, 2)
    if seed % 4 == 2:  # least at angle 0
        b = coefficients({(4, 0): -1.0, (0, 4): 1.0}, 2)
    if seed % 4 == 3:
        b = 10.0 ** rng.uniform(-9, 9) * coefficients({(4, 0): 1.0, (2, 2): 2.0, (0, 4): 1.0}, 2)
    angle = np.linspace(0, np.pi, 20_001)
    grid = (features(np.stack([np.cos(angle), np.sin(angle)], axis=1), 4) @ b).min()
    found, size = least(b, 2, rng), np.linalg.norm(b)
    assert found.lower <= found.upper <= grid + 1e-14 * size
    assert found.upper == pytest.approx(features(found.direction, 4) @ b, abs=1e-14 * size)
    assert found.upper - found.lower <= 1e-13 * size and found.upper >= grid - 1e-7 * size


@pytest.mark.parametrize("m", instances([3, 4, 6], [3, 4, 6, 10]))
def test_sums_of_squares_prove_a_bound_below_every_value(m):
    rng, n = np.random.default_rng(m), m * (m + 1) // 2
    factor = rng.standard_normal((n, n)) / np.sqrt(n)
    forms = {"sum of squares": from_gram(factor @ factor.T + 0.1 * np.eye(n), m),
             "any": from_gram(factor + factor.T, m)}
    values = features(sphere(20_000, m), 4)
    for name, b in forms.items():
        found = least(b, m, rng, 60)
        assert found.lower <= found.upper <= (values @ b).min() + 1e-9
        assert abs(np.linalg.norm(found.direction) - 1) < 1e-12
        if name == "sum of squares":
            assert found.lower == pytest.approx(found.upper, rel=1e-5) and found.lower > 0.1


@pytest.mark.parametrize("seed", range(5))
def test_the_bound_holds_before_it_is_the_best_one(seed):
    b = np.random.default_rng(seed).standard_normal(15)
    values = features(sphere(20_000, 3), 4) @ b
    bounds = [least(b, 3, np.random.default_rng(0), 60, budget=k).lower for k in (0, 10, 30, 1000)]
    assert (np.diff(bounds) >= 0).all() and bounds[0] < bounds[-1] <= values.min()
    assert bounds[-1] == pytest.approx(values.min(), abs=1e-2)


@pytest.mark.parametrize("m", [3, 5, 12])
def test_the_least_value_of_a_separable_form_is_proved(m):
    """Σ cᵢvᵢ⁴ is least where vᵢ² is proportional to 1/cᵢ, with the value 1/Σ(1/cᵢ)."""
    c = np.geomspace(0.1, 10, m)
    b = coefficients({tuple(4 * row): ci for row, ci in zip(np.eye(m, dtype=int), c, strict=True)},
                     m)
    found, law = least(b, m, np.random.default_rng(0)), 1 / (1 / c).sum()
    assert found.upper == pytest.approx(law, rel=1e-9)
    assert law * (1 - 1e-4) < found.lower <= law


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_positive_form_that_is_no_sum_of_squares_is_not_proved_positive(scale):
    """That of Choi and Lam, w⁴ + x²y² + y²z² + z²x² − 4wxyz ≥ 0, with a little more."""
    b = coefficients({(4, 0, 0, 0): 1, (0, 2, 2, 0): 1, (0, 0, 2, 2): 1, (0, 2, 0, 2): 1,
                      (1, 1, 1, 1): -4}, 4)
    for share, proved in ((1e-3, False), (0.5, True)):
        more = b + share * from_gram(np.eye(10), 4)
        found = least(scale * more, 4, np.random.default_rng(0))
        assert found.upper == pytest.approx(scale * share, rel=1e-6)
        assert (found.lower > 0) == proved and found.lower < found.upper


def test_what_is_not_finite_is_not_bounded():
    found = least(np.array([1.0, np.nan, 1.0, 0.0, 0.0]), 2, np.random.default_rng(0))
    assert found.lower == -np.inf and np.isnan(found.upper)
    assert least(np.zeros(15), 3, np.random.default_rng(0)).lower == 0
