"""Deep networks: their saddles, the sharp constants of the linear one, and what flow conserves."""

import numpy as np
import pytest

import saddlelib
from saddlelib.problems import DeepLinear, DeepNetwork
from saddlelib.problems._layers import ACTIVATIONS

SMOOTH = sorted(set(ACTIVATIONS) - {"relu"})
every_smooth_activation = pytest.mark.parametrize("name", SMOOTH)
every_activation = pytest.mark.parametrize("name", sorted(ACTIVATIONS))


def network(name, widths=(3, 4, 5, 2), **options):
    return DeepNetwork.random(name, widths, samples=6, rng=0, **options)


def layers_of_rank_one(problem, size, sign=1.0):
    """Layers size·a_l a_{l−1}ᵀ with a₀ = v₁, a_L = ±u₁ and the first unit vector between."""
    U, _, Vt = np.linalg.svd(problem.teacher)
    ends = [Vt[0], *[np.eye(problem.width)[0]] * (problem.depth - 1), sign * U[:, 0]]
    layers = [size * np.outer(a, b) for a, b in zip(ends[1:], ends, strict=False)]
    return problem.pack(layers)


# Layers and points


def test_a_point_has_the_layers_one_after_the_other_each_row_by_row():
    problem = DeepLinear(np.ones((2, 3)), depth=3, width=4)
    x = np.arange(problem.dim, dtype=float)
    W1, W2, W3 = problem.unpack(x)
    assert (W1.shape, W2.shape, W3.shape) == ((4, 3), (4, 4), (2, 4))
    np.testing.assert_array_equal(np.concatenate([W.ravel() for W in (W1, W2, W3)]), x)
    np.testing.assert_array_equal(problem.pack([W1, W2, W3]), x)
    batch = np.stack([x, 2 * x, -x])
    assert problem.unpack(batch)[2].shape == (3, 2, 4)
    np.testing.assert_array_equal(problem.pack(problem.unpack(batch)), batch)


@pytest.mark.parametrize("matrices, error", [
    ([], ValueError), ([np.ones((2, 2))], ValueError),
    ([np.ones((2, 1)), np.ones((2, 1))], ValueError),
    ([np.ones((2, 2, 1)), np.ones((3, 1, 2))], ValueError),
    ([np.ones((1, 1, 2, 1)), np.ones((1, 1, 1, 2))], ValueError),
    ([np.ones((2, 1)), np.ones((1, 2)) * 1j], TypeError), (7, TypeError)])
def test_matrices_of_other_shapes_are_refused(matrices, error):
    with pytest.raises(error, match="matrices must"):
        DeepLinear([[1.0]], depth=2, width=2).pack(matrices)


def test_the_region_bounds_the_largest_singular_value_of_each_layer():
    region = DeepLinear([[1.0]], depth=3, width=2, radius=2.0).region
    inside = np.array([1.2, 1.6, 2.0, 0.0, 0.0, 2.0, -1.2, 1.6])
    assert region.contains(inside)
    assert not region.contains(inside + np.eye(8)[[0, 2, 5, 7]] * 1e-6).any()
    assert region.contains(inside - np.eye(8)[[0, 2, 7]] * 1e-6).all()
    sizes = [np.linalg.norm(W, ord=2, axis=(1, 2)) for W in
             DeepLinear([[1.0]], depth=3, width=2, radius=2.0).unpack(region.sample(0, 300))]
    assert all(1.9 < size.max() <= 2.0 for size in sizes) and np.min(sizes) < 0.5
    assert str(region) == "the layers ||W_l|| <= 2 between the widths 1-2-2-1, in ℝ^8"


# The linear network


def test_the_linear_network_is_half_the_squared_distance_of_the_product():
    M = np.array([[1.0, -2.0, 0.5], [0.3, 1.0, 0.0]])
    problem = DeepLinear(M, depth=4, width=3)
    x = np.random.default_rng(0).standard_normal(problem.dim)
    product = np.linalg.multi_dot(problem.unpack(x)[::-1])
    np.testing.assert_allclose(problem.end_to_end(x), product, rtol=1e-13)
    assert problem.fun(x) == pytest.approx(0.5 * np.linalg.norm(product - M) ** 2, rel=1e-13)
    U, s, Vt = np.linalg.svd(M)
    np.testing.assert_allclose(problem.strengths(x), np.diag(U.T @ product @ Vt.T), rtol=1e-12)
    np.testing.assert_allclose(problem.modes, s)
    np.testing.assert_allclose(problem.strengths(np.stack([x, x])), [problem.strengths(x)] * 2)
    assert problem.end_to_end(np.stack([x, x, x])).shape == (3, 2, 3)


def test_default_sizes():
    problem = DeepLinear(np.outer([3.0, 0.0], [0.0, 0.0, 9.0]), depth=3)
    assert problem.widths == (3, 3, 3, 2) and problem.modes.tolist() == [27.0]
    assert problem.radius == pytest.approx(4.5, rel=1e-14)
    assert DeepLinear.from_modes([1.0, 3.0, 2.0], 2).modes.tolist() == [3.0, 2.0, 1.0]


@pytest.mark.parametrize("depth, width", [(2, 3), (2, 2), (3, 3), (4, 5), (5, 2)])
def test_saddles_of_rank_k_have_the_first_k_modes_and_only_two_layers_are_strict(depth, width):
    problem = DeepLinear.from_modes([3.0, 2.0, 0.5], depth, width)
    r = min(3, width)
    assert len(problem.saddles) == r
    np.testing.assert_allclose(problem.strengths(problem.saddles), np.tri(r, 3, -1) * problem.modes,
                               atol=1e-14)
    left = [0.5 * (problem.modes[k:] ** 2).sum() for k in range(4)]
    np.testing.assert_allclose(problem.fun(problem.saddles), left[:r], rtol=1e-13)
    assert problem.f_star == pytest.approx(left[r], abs=1e-15)
    assert np.abs(problem.imbalance(problem.saddles)).max() < 1e-13
    assert np.abs(problem.grad(problem.saddles)).max() < 1e-13
    lowest = np.linalg.eigvalsh(problem.hess(problem.saddles))[:, 0]
    np.testing.assert_allclose(lowest, problem.saddle_min_eigs, atol=1e-12)
    stated = [-3.0, -2.0, -0.5][:r] if depth == 2 else [0.0] * r
    np.testing.assert_allclose(problem.saddle_min_eigs, stated, rtol=1e-14)
    assert problem.degenerate.all() == (depth > 2)


@pytest.mark.parametrize("depth", [2, 3, 5])
@pytest.mark.parametrize("k", [0, 1, 2])
def test_along_a_new_hidden_direction_the_next_mode_grows_like_its_length_to_the_depth(depth, k):
    problem = DeepLinear.from_modes([3.0, 2.0, 0.5], depth, 4)
    e, u = np.eye(4)[k], np.eye(3)[k]
    way = problem.pack([np.outer(e, u), *[np.outer(e, e)] * (depth - 2), np.outer(u, e)])
    for t in (0.01, 0.3):
        s = problem.modes[k]
        fall = problem.fun(problem.saddles[k]) - problem.fun(problem.saddles[k] + t * way)
        assert fall == pytest.approx(s * t**depth - t ** (2 * depth) / 2, rel=1e-5)


def test_a_saddle_with_a_better_mode_left_out_is_strict_in_three_layers_too():
    """Σ_{i>k} sⱼ^((L−2)/L)(sⱼ − sᵢ) of the docstring, negative where j has the smaller mode."""
    problem = DeepLinear.from_modes([3.0, 2.0], 3)
    root = 2 ** (1 / 3) * np.diag([0.0, 1.0])
    x = problem.pack([root, root, root])
    assert np.abs(problem.grad(x)).max() < 1e-14
    assert np.linalg.eigvalsh(problem.hess(x))[0] == pytest.approx(2 ** (1 / 3) * (2 - 3))


@pytest.mark.parametrize("depth, width, radius", [
    (2, 1, 1.4), (2, 3, 2.0), (3, 1, 1.3), (3, 2, 1.5), (4, 2, 1.2), (5, 1, 1.1)])
def test_both_constants_of_the_linear_network_are_attained(depth, width, radius):
    problem = DeepLinear([[1.0, 0.2], [0.1, 0.4], [0.0, 0.3]], depth, width, radius=radius)
    x = layers_of_rank_one(problem, radius, sign=-1.0)
    z = x / np.linalg.norm(x)
    assert z @ problem.hvp(x, z) == pytest.approx(problem.lipschitz_grad, rel=1e-12)
    assert np.linalg.eigvalsh(problem.hess(x))[-1] == pytest.approx(problem.lipschitz_grad)
    h = 1e-4
    third = z @ (problem.hvp(x + h * z, z) - problem.hvp(x - h * z, z)) / (2 * h)
    assert third == pytest.approx(problem.lipschitz_hess, rel=1e-6)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_from_an_aligned_start_every_mode_is_alone(depth):
    """w ← w − ηw^(L−1)(w^L − s), the same in every layer."""
    rng = np.random.default_rng(1)
    problem = DeepLinear(rng.standard_normal((3, 4)), depth, width=5)
    x, w, eta = problem.start(0.5, aligned=True), np.full(3, 0.5), 0.05
    for _ in range(60):
        x = x - eta * problem.grad(x)
        w = w - eta * w ** (depth - 1) * (w**depth - problem.modes)
        np.testing.assert_allclose(problem.strengths(x), w**depth, rtol=1e-11)
    assert (np.abs(w**depth / problem.modes - 1) < 0.5).any()
    U, _, Vt = np.linalg.svd(problem.teacher)
    both = U.T @ problem.end_to_end(x) @ Vt.T
    np.testing.assert_allclose(both, np.diag([*np.diag(both), 0.0])[:3], atol=1e-13)


def test_gradient_descent_learns_the_modes_in_their_order_and_a_narrow_network_leaves_the_last():
    problem = DeepLinear.from_modes([3.0, 1.5, 0.6], depth=3, width=2)
    x, when = problem.start(0.1, rng=0), [None, None, None]
    for step in range(2500):
        found = problem.strengths(x) > problem.modes / 2
        when = [step if n is None and there else n for n, there in zip(when, found, strict=True)]
        x = x - 0.02 * problem.grad(x)
    assert when[0] < when[1] and when[2] is None
    assert problem.fun(x) == pytest.approx(problem.f_star, rel=1e-9) == pytest.approx(0.18)


# The nonlinear network


@every_activation
def test_the_derivatives_of_the_activations_and_their_bounds(name):
    s, z, h = ACTIVATIONS[name], np.linspace(-6.0, 6.0, 4800), 1e-5
    difference = [(f(z + h) - f(z - h)) / (2 * h) for f in (s.value, s.slope, s.bend)]
    np.testing.assert_allclose(s.slope(z), difference[0], atol=1e-9)
    np.testing.assert_allclose(s.bend(z), difference[1], atol=1e-9)
    found = [np.abs(f).max() for f in (s.value(z), s.slope(z), s.bend(z), difference[2])]
    for largest, bound in zip(found, s.bounds, strict=True):
        if np.isfinite(bound):
            assert bound * (1 - 1e-2) - 1e-9 <= largest <= bound + 1e-8


@pytest.mark.parametrize("name, values", [
    ("erf", [0.0, 0.8427007929]), ("gelu", [0.0, 0.8413447461]), ("linear", [0.0, 1.0]),
    ("relu", [0.0, 1.0]), ("sigmoid", [0.5, 0.7310585786]), ("sin", [0.0, 0.8414709848]),
    ("swish", [0.0, 0.7310585786]), ("tanh", [0.0, 0.7615941560])])
def test_the_network_is_the_composition_of_its_layers(name, values):
    s = ACTIVATIONS[name].value
    np.testing.assert_allclose(s(np.array([0.0, 1.0])), values, atol=1e-10)
    problem = network(name)
    x = np.random.default_rng(1).standard_normal(problem.dim)
    W1, W2, W3 = problem.unpack(x)
    outputs = np.array([W3 @ s(W2 @ s(W1 @ z)) for z in problem.inputs])
    np.testing.assert_allclose(problem.output(x), outputs, atol=1e-13)
    loss = np.mean(np.sum((outputs - problem.targets) ** 2, axis=1)) / 2
    assert problem.fun(x) == pytest.approx(loss, rel=1e-13)
    assert problem.output(np.stack([x, x])).shape == (2, 6, 2)


@every_activation
def test_first_and_second_derivatives_of_the_network(name):
    problem, rng = network(name), np.random.default_rng(2)
    x, z = rng.standard_normal((2, problem.dim))
    h = 1e-6
    slope = (problem.fun(x + h * z) - problem.fun(x - h * z)) / (2 * h)
    assert problem.grad(x) @ z == pytest.approx(slope, rel=1e-6)
    bend = (problem.grad(x + h * z) - problem.grad(x - h * z)) / (2 * h)
    np.testing.assert_allclose(problem.hvp(x, z), bend, atol=1e-6 * np.linalg.norm(bend))


def test_with_orthogonal_inputs_a_network_without_activation_is_the_deep_linear_one():
    M = np.random.default_rng(3).standard_normal((2, 3))
    linear = DeepLinear(M, 3, width=4)
    same = DeepNetwork("linear", (3, 4, 4, 2), np.sqrt(3) * np.eye(3), np.sqrt(3) * M.T)
    x, z = np.random.default_rng(4).standard_normal((2, linear.dim))
    assert same.fun(x) == pytest.approx(linear.fun(x), rel=1e-13)
    np.testing.assert_allclose(same.grad(x), linear.grad(x), atol=1e-12)
    np.testing.assert_allclose(same.hvp(x, z), linear.hvp(x, z), atol=1e-12)


@every_activation
def test_imbalance_moves_at_the_stated_rate_and_not_at_all_without_bend(name):
    """dΔ_l/dt = −2⟨W_{l+1}, ∂f/∂W_{l+1}⟩ + 2⟨W_l, ∂f/∂W_l⟩ is what gradient flow does."""
    problem = network(name)
    X = np.random.default_rng(5).standard_normal((3, problem.dim))
    G = problem.grad(X)
    shrinking = [2 * (W * S).sum(axis=(1, 2))
                 for W, S in zip(problem.unpack(X), problem.unpack(G), strict=True)]
    flow = -np.diff(np.stack(shrinking, axis=1), axis=1)
    noise = 1e-14 * np.max(shrinking)
    np.testing.assert_allclose(problem.imbalance_rate(X), flow, atol=noise)
    np.testing.assert_allclose(problem.imbalance_rate(X[0]), flow[0], atol=noise)
    assert (np.abs(flow).max() > 1e-2) == (name not in ("linear", "relu"))
    # Δ is a quadratic form, of which a central difference is the derivative.
    change = (problem.imbalance(X - 1e-3 * G) - problem.imbalance(X + 1e-3 * G)) / 2e-3
    np.testing.assert_allclose(change, flow, atol=1e3 * noise)
    sizes = [np.linalg.norm(W) ** 2 for W in problem.unpack(X[0])]
    np.testing.assert_allclose(problem.imbalance(X[0]), np.diff(sizes), rtol=1e-13)


@every_smooth_activation
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_origin_is_a_saddle_of_the_order_of_the_depth_where_the_activation_begins_at_zero(
        name, depth):
    problem = network(name, (3, *[2] * (depth - 1), 2))
    if name == "sigmoid":
        assert len(problem.saddles) == 0 and problem.grad(np.zeros(problem.dim)).any()
        return
    assert problem.saddles.tolist() == [[0.0] * problem.dim]
    assert not problem.grad(problem.saddles).any()
    C = problem.targets.T @ problem.inputs / 6
    (u, *_), (size, *_), (v, *_) = (A.T if i == 0 else A for i, A in enumerate(np.linalg.svd(C)))
    slope = {"erf": 2 / np.sqrt(np.pi), "gelu": 0.5, "swish": 0.5}.get(name, 1.0)
    stated = -slope * size if depth == 2 else 0.0
    assert problem.saddle_min_eigs[0] == pytest.approx(stated, rel=1e-13)
    assert np.linalg.eigvalsh(problem.hess(problem.saddles[0]))[0] == pytest.approx(stated)
    e, t = np.eye(2)[0], 1e-2
    way = problem.pack([np.outer(e, v), *[np.outer(e, e)] * (depth - 2), np.outer(u, e)])
    fall = problem.fun(problem.saddles[0]) - problem.fun(t * way)
    assert fall == pytest.approx(slope ** (depth - 1) * size * t**depth, rel=0.05)


@every_smooth_activation
def test_the_constants_of_the_network_hold_in_its_region(name):
    """Along segments of the region between points with layers of rank one, which see the most."""
    problem, rng = network(name, (2, 3, 2, 1), radius=1.5), np.random.default_rng(6)
    ends = [rng.standard_normal((200, width)) for width in problem.widths]
    ends = [1.5 * a / np.linalg.norm(a, axis=1, keepdims=True) for a in ends]
    X = problem.pack([a[:, :, np.newaxis] * b[:, np.newaxis] / 1.5
                      for a, b in zip(ends[1:], ends, strict=False)]) * (1 - 1e-12)
    assert problem.region.contains(X).all()
    H, gap = problem.hess(X), 1e-3 * np.linalg.norm(X, axis=1)
    seen = np.abs(np.linalg.eigvalsh(H)).max()
    assert problem.lipschitz_grad / 100 < seen <= problem.lipschitz_grad
    bend = np.linalg.norm(H - problem.hess((1 - 1e-3) * X), ord=2, axis=(1, 2)) / gap
    assert problem.lipschitz_hess / 1000 < bend.max() <= problem.lipschitz_hess


def test_relu_is_homogeneous_and_states_no_constants():
    problem = network("relu")
    assert problem.lipschitz_grad == problem.lipschitz_hess == np.inf and not len(problem.saddles)
    assert str(problem.region) == f"the whole space ℝ^{problem.dim}"
    x = np.random.default_rng(7).standard_normal(problem.dim)
    np.testing.assert_allclose(problem.output(2 * x), 8 * problem.output(x), rtol=1e-13)
    assert not problem.grad(np.zeros(problem.dim)).any()


def test_no_saddle_is_stated_where_inputs_and_targets_are_uncorrelated():
    assert len(DeepNetwork("tanh", (1, 2, 1), [[1.0], [-1.0]], [[1.0], [1.0]]).saddles) == 0


def test_random_targets_are_those_of_a_linear_map_of_norm_one():
    problem = DeepNetwork.random("tanh", (4, 3, 2), samples=4000, rng=8)
    T, left, *_ = np.linalg.lstsq(problem.inputs, problem.targets)
    assert np.linalg.norm(T) == pytest.approx(1.0, rel=1e-12) and left.max() < 1e-20
    assert problem.fun(np.zeros(problem.dim)) == pytest.approx(0.5, rel=0.05)
    assert np.abs(problem.inputs.mean(axis=0)).max() < 0.06


# Starts


def test_starts_are_normal_with_the_stated_variances_and_small_in_the_first_layers():
    deep = DeepNetwork.random("tanh", (50, 80, 20, 30), samples=2, rng=0)
    whole, small = deep.unpack(deep.start(1.0, 3)), deep.unpack(deep.start(0.01, 3, small_layers=2))
    for W, V, factor in zip(whole, small, [0.01, 0.01, 1.0], strict=True):
        np.testing.assert_allclose(V, factor * W, rtol=1e-14)
        assert W.var() == pytest.approx(2 / W.shape[1], rel=0.15)
    np.testing.assert_allclose(deep.start(0.01, 3), 0.01 * deep.start(1.0, 3), rtol=1e-14)
    np.testing.assert_array_equal(deep.start(0.01, 3, small_layers=0), deep.start(1.0, 3))
    linear = DeepLinear(np.ones((20, 30)), 3, width=60)
    for W in linear.unpack(linear.start(0.1, np.random.default_rng(4))):
        assert W.var() == pytest.approx(0.01 / W.shape[1], rel=0.15)
    np.testing.assert_allclose(linear.strengths(linear.start(0.1, aligned=True)), [1e-3])


@pytest.mark.parametrize("call, error, words", [
    (lambda f: f.start(0.0), ValueError, "scale must .* > 0, got 0.0"),
    (lambda f: f.start(1.0, rng="1"), TypeError, "rng must be a seed"),
    (lambda f: f.start(1.0, small_layers=4), ValueError, "small_layers must be at most 3"),
    (lambda f: f.start(1.0, small_layers=-1), ValueError, "small_layers must be at least 0"),
    (lambda f: f.output([1.0]), ValueError, r"x has shape \(1,\)"),
    (lambda f: f.imbalance_rate([1.0]), ValueError, r"x has shape \(1,\)")])
def test_bad_arguments_of_methods_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call(network("tanh"))


def test_muon_knows_the_layers_of_a_network():
    problem = DeepLinear.from_modes([1.0, 0.5], depth=3)
    start = problem.start(0.1, rng=0)
    run = saddlelib.minimize(problem, start, "muon", epsilon=1e-9, maxiter=50)
    assert run.fun < problem.fun(start)
