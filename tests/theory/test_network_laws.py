"""How deep networks leave saddles: each law beside the flow, or beside what it is derived from."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import linprog
from scipy.special import erf, expit, ndtr

from saddlelib.flow import gradient_flow, loss_falls, mode_reaches
from saddlelib.theory import muon, pesme2023, rawal2026, saxe2013
from saddlelib.theory.rawal2026 import critical_depth_law, critical_depth_time


def orthogonal(rng, n):
    return np.linalg.qr(rng.standard_normal((n, n)))[0]


# Two layers and more: saxe2013 ---------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_each_mode_of_a_product_of_matrices_grows_by_the_law(depth):
    """The flow of all weights of ½‖W_L⋯W₁ − M‖², from an aligned, balanced start."""
    rng, s, u0 = np.random.default_rng(0), np.array([2.0, 1.0]), 0.02
    bases = [orthogonal(rng, 2) for _ in range(depth + 1)]
    target = bases[-1] * s @ bases[0].T
    start = np.array([u0 ** (1 / depth) * b @ a.T
                      for a, b in zip(bases[:-1], bases[1:], strict=True)])

    def chain(W):
        return np.linalg.multi_dot([*W[::-1], np.eye(2)]) if len(W) else np.eye(2)

    def grad(x):
        W = x.reshape(depth, 2, 2)
        off = chain(W) - target
        return np.array([chain(W[i + 1:]).T @ off @ chain(W[:i]).T
                         for i in range(depth)]).ravel()

    def mode(i):
        return lambda x: bases[-1][:, i] @ chain(x.reshape(depth, 2, 2)) @ bases[0][:, i]

    wanted = [(i, share * s[i]) for i in (0, 1) for share in (0.1, 0.5, 0.95)]
    run = gradient_flow(grad, start.ravel(), 10.0,
                        [mode_reaches(mode(i), u) for i, u in wanted])
    for (i, u), found in zip(wanted, run.t_events, strict=True):
        assert found == pytest.approx([saxe2013.escape_time(s[i], u0, u, depth)], rel=1e-6)
    if depth == 2:
        for i in (0, 1):
            np.testing.assert_allclose([mode(i)(x) for x in run.y.T],
                                       saxe2013.strength(run.t, s[i], u0), rtol=1e-6)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 9])
def test_the_time_is_the_integral_of_the_rate(depth):
    found = saxe2013.escape_time(3.0, 1e-4, 2.9, depth)
    slow = quad(lambda x: math.exp(x) / saxe2013.rate(math.exp(x), 3.0, depth), math.log(1e-4),
                math.log(2.9), epsrel=1e-11)[0]
    assert found == pytest.approx(slow, rel=1e-9)
    parts = saxe2013.escape_time(3.0, 1e-4, 0.2, depth) + saxe2013.escape_time(3.0, 0.2, 2.9, depth)
    assert parts == pytest.approx(found, rel=1e-10)
    assert saxe2013.escape_time(3.0, 0.5, 0.5, depth) == 0


def test_a_mode_of_two_layers_is_where_the_time_says():
    for s, u0, uf in [(1.0, 1e-6, 0.3), (4.0, 1e-300, 3.999), (0.01, 0.005, 0.009)]:
        time = saxe2013.escape_time(s, u0, uf)
        assert saxe2013.strength(time, s, u0) == pytest.approx(uf, rel=1e-10)
    assert saxe2013.strength([0.0, 1e9], 2.0, 5.0) == pytest.approx([5.0, 2.0])    # from above


# Small layers: rawal2026 ---------------------------------------------------------------------


def density(z):
    return np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


ACTIVATIONS = {  # s, s', and how z s'(z) − s(z) begins, by the series of s
    "linear": (lambda z: 0.3 * z, lambda z: np.full_like(z, 0.3), "A", None, 0.0),
    "ReLU": (lambda z: np.maximum(z, 0), lambda z: (z > 0) * 1.0, "A", None, 0.0),
    "|z|": (np.abs, np.sign, "A", None, 0.0),
    "leaky": (lambda z: np.where(z > 0, z, z / 99), lambda z: np.where(z > 0, 1, 1 / 99), "A", None,
              0.0),
    "clipped": (lambda z: np.clip(z, -1, 1), lambda z: (abs(z) < 1) * 1.0, "A", None, 0.0),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z)**2, "B", 3, -2 / 3),
    "sin": (np.sin, np.cos, "B", 3, -1 / 3),
    "erf": (erf, lambda z: 2 / math.sqrt(math.pi) * np.exp(-z * z), "B", 3,
            -4 / (3 * math.sqrt(math.pi))),
    "ninth": (lambda z: z + z**9, lambda z: 1 + 9 * z**8, "B", 9, 8.0),
    "centred": (lambda z: expit(z) - 0.5, lambda z: expit(z) * expit(-z), "B", 3, -1 / 24),
    "GELU": (lambda z: z * ndtr(z), lambda z: ndtr(z) + z * density(z), "C", 2,
             1 / math.sqrt(2 * math.pi)),
    "Swish": (lambda z: z * expit(z), lambda z: expit(z) * (1 + z * expit(-z)), "C", 2, 1 / 4),
    "cos − 1": (lambda z: np.cos(z) - 1, lambda z: -np.sin(z), "C", 2, -1 / 2),
    "hidden": (lambda z: z + 1e-3 * z**2 + 10 * z**3, lambda z: 1 + 2e-3 * z + 30 * z**2, "C", 2,
               1e-3),
    "sigmoid": (expit, lambda z: expit(z) * expit(-z), "D", 0, -1 / 2),
    "softplus": (lambda z: np.logaddexp(0, z), expit, "D", 0, -math.log(2)),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_class_of_an_activation_is_measured(name):
    s, derivative, letter, order, coefficient = ACTIVATIONS[name]
    for given in (derivative, None):
        found = rawal2026.activation_class(s, given)
        assert (found.letter, found.order) == (letter, order)
        assert found.coefficient == pytest.approx(coefficient, rel=1e-5)
    for a, b in [(-3.0, 0.01), (1e-4, 50.0)]:    # as(bz) has the same order, and acb^q for c
        scaled = rawal2026.activation_class(lambda z, a=a, b=b: a * s(b * z))
        assert (scaled.letter, scaled.order) == (letter, order)
        assert scaled.coefficient == pytest.approx(a * b ** (order or 0) * coefficient, rel=1e-5)


@pytest.mark.parametrize("s, words", [
    (lambda z: z * np.abs(z), "even part .* order inf and the odd part with 2"),
    (lambda z: np.where(z > 0, z, np.expm1(z)), "order 2 and the odd part with 2"),
    (lambda z: np.abs(z)**1.5, "order 1.5"), (np.sign, "odd part with 0"),
    (lambda z: z * np.log(np.abs(z) + (z == 0)), "odd part with 1"),
    (lambda z: np.where(z == 0, 0.0, 1.0), "continuous at 0"),
    (np.sqrt, "finite near 0"), (lambda z: 1 / z, "finite near 0"),
    (lambda z: np.sum(z), "activation must keep the shape"),
])
def test_an_activation_of_no_class_is_refused(s, words):
    with pytest.raises(ValueError, match=words):
        rawal2026.activation_class(s)
    with pytest.raises(TypeError, match="activation must be a callable"):
        rawal2026.activation_class("tanh")


@pytest.mark.parametrize("name", ["linear", "ReLU", "tanh", "sin", "erf", "GELU", "Swish",
                                  "sigmoid"])
def test_the_imbalance_changes_at_the_rate_of_the_identity(name):
    """Against the derivatives of the norms along the flow, in a network of four layers."""
    s, derivative = ACTIVATIONS[name][:2]
    rng, widths, n = np.random.default_rng(1), [3, 5, 4, 6, 2], 16
    W = [rng.standard_normal((b, a)) / math.sqrt(a)
         for a, b in zip(widths[:-1], widths[1:], strict=True)]
    inputs, y = [rng.standard_normal((n, 3))], rng.standard_normal((n, 2))
    z = []
    for weight in W:
        z.append(inputs[-1] @ weight.T)
        inputs.append(s(z[-1]))
    delta = [np.tanh(z[-1] - y)]    # of the loss Σ log cosh(z − y) of a sample
    for weight, at in zip(W[:0:-1], z[-2::-1], strict=True):
        delta.insert(0, derivative(at) * (delta[0] @ weight))
    grads = [d.T @ before / n for d, before in zip(delta, inputs, strict=False)]
    speed = [-2 * np.sum(weight * g) for weight, g in zip(W, grads, strict=True)]
    for layer in range(3):
        for given, digits in ((derivative, 1e-13), (None, 1e-10)):
            rate = rawal2026.imbalance_rate(W[layer + 1], delta[layer + 1], z[layer], s, given)
            size = abs(speed[layer + 1]) + abs(speed[layer])
            assert rate == pytest.approx(speed[layer + 1] - speed[layer], abs=digits * size)
            assert (abs(rate) < 1e-10 * size) == (name in ("linear", "ReLU"))
    with pytest.raises(ValueError, match="weight, backprop and preactivation must have shapes"):
        rawal2026.imbalance_rate(W[1].T, delta[1], z[0], s)


def scalar_loss(w):
    return (1 - np.prod(w))**2 / 2


def scalar_grad(w):
    p = np.prod(w)
    return -(1 - p) * p / w


def small(eps, r, depth, rest=1.0):
    return np.array([eps] * r + [rest] * (depth - r))


@pytest.mark.parametrize("r, depth", [(1, 1), (1, 6), (2, 2), (2, 5), (3, 3), (3, 4), (3, 6),
                                      (4, 4), (4, 7), (5, 5), (5, 8), (6, 6)])
def test_the_time_of_escape_is_that_of_the_flow_and_goes_over_to_the_law(r, depth):
    times = []
    for eps, fraction, rest in [(0.1, 0.5, 1.0), (0.02, 0.5, 1.0), (0.05, 0.01, 0.7)]:
        start = small(eps, r, depth, rest)
        run = gradient_flow(scalar_grad, start, 1e12, loss_falls(scalar_loss, start, fraction))
        assert run.t_events[0] == pytest.approx(
            [critical_depth_time(eps, r, depth, fraction, rest)], rel=1e-6)
        times.append(run.t_events[0][0])
    # The law, far beyond what a flow can be followed to.
    for eps in (1e-6, 1e-12):
        exact, law = (time(eps, r, depth, rest=0.7)
                      for time in (critical_depth_time, critical_depth_law))
        if r == 2:
            bound = 3 * 0.7 ** (2 - depth) + 3
            assert abs(exact - law) < bound    # O(1), whatever eps
        else:
            assert exact == pytest.approx(law, rel=1e-4)
    exponent = math.log(times[1] / times[0]) / math.log(5)
    assert exponent == pytest.approx(r - 2, abs=0.15) or r <= 2


def test_the_last_pair_of_starts_shows_the_exponent():
    """Exponents and prefactors for ε → 0: r − 2, and 1/(r − 2) whatever the depth."""
    for r in (3, 4, 5, 6):
        for depth in (r, r + 3):
            one, two = (critical_depth_time(eps, r, depth) for eps in (2e-5, 1e-5))
            assert math.log2(two / one) == pytest.approx(r - 2, abs=1e-3)
            assert two * 1e-5 ** (r - 2) == pytest.approx(1 / (r - 2), rel=1e-3)
    decades = [critical_depth_time(10.0**-k, 2, 5) for k in (6, 7, 8)]
    assert np.diff(decades) == pytest.approx([math.log(10)] * 2, rel=1e-9)
    assert critical_depth_time(1e-8, 1, 4) == pytest.approx(critical_depth_law(0.1, 1, 4), rel=1e-6)


@pytest.mark.parametrize("r", [3, 4, 5])
def test_the_product_of_small_layers_grows_with_the_exponent_two_minus_two_over_r(r):
    """So the wait is a power of ε; an exponent below 1, as in the write-up, would bound it."""
    def speed(p):
        w = np.full(r, p ** (1 / r))
        return np.sum(np.prod(w) / w * -scalar_grad(w))
    slope = math.log(speed(2e-9) / speed(1e-9)) / math.log(2)
    assert slope == pytest.approx(2 - 2 / r, abs=1e-6)
    assert speed(1e-9) == pytest.approx(saxe2013.rate(1e-9, 1.0, r))


def test_layers_that_are_all_small_obey_the_law_of_deep_linear_networks():
    for r in (1, 2, 3, 6):
        p0 = 1e-2**r
        end = 1 - math.sqrt(0.3) * (1 - p0)
        assert critical_depth_time(1e-2, r, r, 0.3) == pytest.approx(
            saxe2013.escape_time(1.0, p0, end, r), rel=1e-9)


# Diagonal networks: pesme2023 ----------------------------------------------------------------


def test_saddles_are_minimizers_on_their_coordinates_and_end_at_an_interpolator_of_least_norm():
    rng, retreats = np.random.default_rng(0), 0
    for _ in range(40):
        n, d = rng.integers(1, 8, 2)
        X, y = rng.standard_normal((n, d)), rng.standard_normal(n)
        path = pesme2023.jumps(X, y)
        assert (np.diff(path.times) > 0).all() and (np.diff(path.losses) < 0).all()
        assert path.times[0] == pytest.approx(n / np.abs(X.T @ y).max())
        for beta, loss in zip(path.saddles, path.losses, strict=True):
            residual = X @ beta - y
            assert loss == pytest.approx(residual @ residual / (2 * n), abs=1e-15)
            held = beta != 0
            assert np.abs(X[:, held].T @ residual).max(initial=0) < 1e-10
        fitted = X @ np.linalg.lstsq(X, y)[0]
        least = linprog(np.ones(2 * d), A_eq=np.hstack([X, -X]), b_eq=fitted).fun
        assert np.abs(path.saddles[-1]).sum() == pytest.approx(least, rel=1e-6)
        retreats += (np.diff([np.count_nonzero(beta) for beta in path.saddles]) < 1).any()
    assert retreats > 3    # coordinates go back to 0 on the way


def test_orthogonal_columns_jump_one_by_one_and_symmetries_are_kept():
    rng = np.random.default_rng(2)
    Q, c = orthogonal(rng, 4), np.array([3.0, -1.0, 0.5, -0.25])
    path = pesme2023.jumps(Q, Q @ c)
    np.testing.assert_allclose(path.times, 4 / np.abs(c))
    np.testing.assert_allclose(path.saddles, np.tril(np.ones((5, 4)), -1) * c, atol=1e-12)
    X, y = rng.standard_normal((4, 6)), rng.standard_normal(4)
    path, signs, order = pesme2023.jumps(X, y), rng.choice([-1, 1], 6), rng.permutation(6)
    other = pesme2023.jumps((X * signs)[:, order] * 2, 10 * y)
    np.testing.assert_allclose(other.times, path.times / 20)
    np.testing.assert_allclose(other.saddles, 5 * (path.saddles * signs)[:, order], atol=1e-9)


def test_the_flow_of_a_diagonal_network_jumps_at_the_times_as_alpha_vanishes():
    """The error in t is O(1), so that in units of ln(1/α) it falls like 1/ln(1/α)."""
    rng, d, n = np.random.default_rng(3), 7, 5
    X = rng.standard_normal((n, d))
    y = X @ [2.0, -1.2, 0.6, 0, 0, 0, 0]
    path = pesme2023.jumps(X, y)
    assert len(path.times) == 3

    def loss(x):
        residual = X @ (x[:d] * x[d:]) - y
        return residual @ residual / (2 * n)

    def grad(x):
        g = X.T @ (X @ (x[:d] * x[d:]) - y) / n
        return np.concatenate([g * x[d:], g * x[:d]])

    halves = (path.losses[:-1] + path.losses[1:]) / 2 / path.losses[0]
    for alpha in (1e-4, 1e-8, 1e-32):
        start, log = np.repeat([math.sqrt(2) * alpha, 0.0], d), math.log(1 / alpha)
        events = [loss_falls(loss, start, half, terminal=False) for half in halves]
        run = gradient_flow(grad, start, 1.2 * path.times[-1] * log, events)
        assert np.abs(np.ravel(run.t_events) - path.times * log).max() < 0.6
        rests = [path.saddles[k] for k in (0, 3)]
        for at, beta in zip((0.5 * path.times[0] * log, run.t[-1]), rests, strict=True):
            x = run.y[:, np.searchsorted(run.t, at)]
            assert np.abs(x[:d] * x[d:] - beta).max() < alpha**0.15
        # u² − v² is conserved, and so β = α² sinh(2z) with z = −∫∇L.
        np.testing.assert_allclose((run.x[:d] - run.x[d:]) * (run.x[:d] + run.x[d:]),
                                   2 * alpha**2, atol=1e-6)


def test_data_without_general_position_or_shape_are_refused():
    for X, y, words in [([[1.0, 1.0]], [1.0], "general position, but \\[0, 1\\]"),
                        (np.eye(3), [1.0, 2.0], "X and y must have shapes"),
                        ([1.0], [1.0], "X must have 2 axes"),
                        ([[np.inf]], [1.0], "X must be finite"),
                        ([[1.0], [1.0, 2.0]], [1.0, 1.0], "X must be one array")]:
        with pytest.raises(ValueError, match=words):
            pesme2023.jumps(X, y)
    with pytest.raises(ValueError, match="more than max_jumps = 2"):
        pesme2023.jumps(np.eye(3), [1.0, 2.0, 3.0], max_jumps=2)
    assert pesme2023.jumps(np.eye(2), [0.0, 0.0]).times.size == 0


# Muon ----------------------------------------------------------------------------------------

MODES = np.array([4.0, 2.25, 1.0, 0.25])


def polar(A):
    U, _, Vt = np.linalg.svd(A)
    return U @ Vt


def muon_path(P, Q, M, step, count):
    """Steps of Muon without momentum, with the exact polar factor."""
    for _ in range(count):
        residual = M - P @ Q
        P, Q = P + step * polar(residual @ Q.T), Q + step * polar(P.T @ residual)
        yield P, Q


def test_every_mode_arrives_at_the_root_of_its_size_however_small_the_start():
    rng = np.random.default_rng(0)
    U, V = orthogonal(rng, 4), orthogonal(rng, 4)
    for eps in (1e-4, 1e-6):
        start, arrived = eps * rng.standard_normal((2, 4, 4)), np.full(4, np.nan)
        for k, (P, Q) in enumerate(muon_path(*start, U * MODES @ V.T, 4e-3, 500), 1):
            modes = np.einsum("ij,ik,kj->j", U, P @ Q, V)
            arrived[np.isnan(arrived) & (modes >= 0.9 * MODES)] = 4e-3 * k
        law = [muon.escape_time(m) for m in MODES]
        np.testing.assert_allclose(arrived, law, atol=0.02)
        assert (np.diff(arrived) < 0).all()    # the smallest first


def test_muon_conserves_the_difference_of_roots_once_weights_are_aligned_and_not_before():
    rng = np.random.default_rng(1)
    U, V, R = (orthogonal(rng, 4) for _ in range(3))
    M, p, q = U * MODES @ V.T, np.array([0.3, 0.2, 0.1, 0.05]), np.array([0.1, 0.3, 0.05, 0.1])
    start = muon.imbalance(U * p @ R.T, R * q @ V.T)
    np.testing.assert_allclose(start, R * (p - q) @ R.T, atol=1e-14)
    for P, Q in muon_path(U * p @ R.T, R * q @ V.T, M, 1e-2, 30):
        np.testing.assert_allclose(muon.imbalance(P, Q), start, atol=1e-13)
    P, Q = 0.3 * rng.standard_normal((2, 4, 4))
    *_, (end_P, end_Q) = muon_path(P, Q, M, 1e-3, 100)
    assert np.abs(muon.imbalance(end_P, end_Q) - muon.imbalance(P, Q)).max() > 5e-3


def test_gradient_flow_conserves_the_difference_of_grams_instead_and_waits_for_the_logarithm():
    rng = np.random.default_rng(2)
    M = np.diag(MODES)

    def grad(x):
        P, Q = x.reshape(2, 4, 4)
        off = P @ Q - M
        return np.concatenate([(off @ Q.T).ravel(), (P.T @ off).ravel()])

    P, Q = 0.3 * rng.standard_normal((2, 4, 4))
    end_P, end_Q = gradient_flow(grad, np.ravel([P, Q]), 1.0).x.reshape(2, 4, 4)
    np.testing.assert_allclose(end_P.T @ end_P - end_Q @ end_Q.T, P.T @ P - Q @ Q.T, atol=1e-7)
    assert np.abs(muon.imbalance(end_P, end_Q) - muon.imbalance(P, Q)).max() > 1e-2
    for eps in (1e-2, 1e-5):
        start = np.ravel([eps * np.eye(4)] * 2)
        events = [mode_reaches(lambda x, i=i: (x[:16].reshape(4, 4) @ x[16:].reshape(4, 4))[i, i],
                               0.9 * m) for i, m in enumerate(MODES)]
        found = np.ravel(gradient_flow(grad, start, 70.0, events).t_events)
        law = [muon.gradient_escape_time(m, eps) for m in MODES]
        np.testing.assert_allclose(found, law, rtol=1e-6)
        np.testing.assert_allclose(found * MODES, math.log(1 / eps), atol=2)


def test_the_iteration_keeps_singular_vectors_and_maps_singular_values():
    rng = np.random.default_rng(3)
    U, V, sigma = orthogonal(rng, 4), orthogonal(rng, 4), np.array([0.9, 0.3, 0.01, 1e-4])
    X, (a, b, c) = U * sigma @ V.T, muon.COEFFICIENTS
    for _ in range(5):
        A = X @ X.T
        X = a * X + (b * A + c * A @ A) @ X
    np.testing.assert_allclose(X, U * muon.newton_schulz(sigma) @ V.T, atol=1e-12)
    assert muon.newton_schulz(1e-9) == pytest.approx(a**5 * 1e-9)
    assert muon.newton_schulz(0.3, steps=0) == 0.3


@pytest.mark.parametrize("coefficients", [muon.COEFFICIENTS, (1.5, -0.5, 0.0), (2.0, -1.5, 0.5),
                                          (1.0, 0.0, 0.0)])
@pytest.mark.parametrize("least", [1e-3, 1e-2, 0.5, 1.0])
def test_the_band_is_what_a_dense_grid_finds(coefficients, least):
    grid = np.geomspace(least, 1, 200_001)
    for steps in (0, 1, 2, 5):
        values = muon.newton_schulz(grid, steps, coefficients)
        low, high = muon.newton_schulz_band(steps, coefficients, least)
        assert low <= values.min() + 1e-12 and values.max() <= high + 1e-12
        assert low == pytest.approx(values.min(), rel=1e-6)
        assert high == pytest.approx(values.max(), rel=1e-6)


def test_bad_arguments_are_named():
    for call, words in [
            (lambda: saxe2013.escape_time(1.0, 0.5, 1.0), "u0 <= uf < s"),
            (lambda: saxe2013.strength([-1.0], 1.0, 0.1), "t must be at least 0"),
            (lambda: critical_depth_time(0.1, 4, 3), "r must be at most depth"),
            (lambda: critical_depth_time(1.0, 2, 3), "product of the weights"),
            (lambda: critical_depth_time(0.5, 2, 3, rest=0.1), "eps must be at most rest"),
            (lambda: critical_depth_time(0.1, 2, 3, fraction=1e-20), "fraction"),
            (lambda: critical_depth_law(1.0, 2, 2), "eps must be less than 1"),
            (lambda: muon.escape_time(1.0, start=2.0), "start must be at most"),
            (lambda: muon.gradient_escape_time(1.0, start=1e-200), "start"),
            (lambda: muon.imbalance(np.eye(2), np.eye(3)), "P and Q must have a product"),
            (lambda: muon.newton_schulz(0.5, steps=100), "steps must be less than 100"),
            (lambda: muon.newton_schulz_band(least=2.0), "least must be at most 1"),
            (lambda: muon.newton_schulz(0.5, coefficients=(1, 2)), "three numbers")]:
        with pytest.raises(ValueError, match=words):
            call()


def test_a_rate_beyond_float64_is_refused():
    for u in (1e300, 1e160):
        with pytest.raises(ValueError, match="makes the rate leave the range of float64"):
            saxe2013.rate(u, s=1.0, depth=2 if u > 1e200 else 5)
