"""The octopus: its pieces fit, it is the paper's function, and its constants are proved."""

import numpy as np
import pytest

from saddlelib.problems import Octopus

VARIANTS = [
    Octopus(1, L=1.5, gamma=0.7, tau=1.3),
    Octopus(2),
    Octopus(4, L=1.5, gamma=0.7, tau=1.3),
    Octopus(5, L=0.3, gamma=2.0, tau=0.5),
]
every_variant = pytest.mark.parametrize("octopus", VARIANTS, ids=repr)


def paper(x, L, G, tau):
    """f in the notation of Du et al., one point, one case after the other."""

    def g1(u):
        return (
            -G * u**2
            + (-14 * L + 10 * G) / (3 * tau) * (u - tau) ** 3
            + (5 * L - 3 * G) / (2 * tau**2) * (u - tau) ** 4
        )

    def g2(u):
        return (
            -G
            - 10 * (L + G) / tau**3 * (u - 2 * tau) ** 3
            - 15 * (L + G) / tau**4 * (u - 2 * tau) ** 4
            - 6 * (L + G) / tau**5 * (u - 2 * tau) ** 5
        )

    nu = -g1(2 * tau) + 4 * L * tau**2
    x, d = np.abs(x), len(x)
    for i in range(d):
        u, past = x[i], L * ((x[:i] - 4 * tau) ** 2).sum() - i * nu
        if u < tau:
            return past - G * u**2 + L * (x[i + 1 :] ** 2).sum()
        if u < 2 * tau:
            coupled = g2(u) * x[i + 1] ** 2 if i + 1 < d else 0.0
            return past + g1(u) + coupled + L * (x[i + 2 :] ** 2).sum()
    return L * ((x - 4 * tau) ** 2).sum() - d * nu


@every_variant
def test_it_is_the_function_of_the_paper(octopus):
    inside = octopus.region.sample(0, 400)
    outside = 5 * octopus.tau * np.random.default_rng(1).standard_normal((400, octopus.dim))
    X = np.concatenate([inside, outside, octopus.saddles, octopus.minimizers])
    expected = [paper(x, octopus.L, octopus.gamma, octopus.tau) for x in X]
    np.testing.assert_allclose(octopus.fun(X), expected, rtol=1e-12, atol=1e-11)


@every_variant
@pytest.mark.parametrize("join", [1, 2])
def test_value_gradient_and_hessian_are_continuous_across_the_joins(octopus, join):
    """Where |xᵢ| is τ or 2τ and the others are anywhere in the tube."""
    rng, d, tau, eps = np.random.default_rng(2), octopus.dim, octopus.tau, 1e-9
    i, order = rng.integers(d, size=(500, 1)), np.arange(d)
    low = np.where(order < i, 2.001 * tau, -0.999 * tau)
    high = np.where(order < i, 6 * tau, 0.999 * tau)
    X = rng.uniform(low, high) * rng.choice([-1, 1], size=(500, d))
    sides = []
    for u in (join * tau - eps, join * tau + eps):
        side = np.where(order == i, np.copysign(u, X), X)
        assert octopus.region.contains(side).all()
        sides.append(side)
    below, above = sides
    room = 4 * eps * max(1.0, tau)
    size = np.abs(octopus.grad(below)).max() + octopus.lipschitz_grad + octopus.lipschitz_hess
    for method in (octopus.fun, octopus.grad, octopus.hess):
        assert np.abs(method(below) - method(above)).max() < room * size


@every_variant
def test_it_is_even_in_every_coordinate(octopus):
    rng = np.random.default_rng(3)
    X = octopus.region.sample(rng, 300)
    S = rng.choice([-1.0, 1.0], size=X.shape)
    np.testing.assert_array_equal(octopus.fun(S * X), octopus.fun(X))
    np.testing.assert_array_equal(octopus.grad(S * X), S * octopus.grad(X))
    flipped = S[:, :, np.newaxis] * octopus.hess(X) * S[:, np.newaxis, :]
    np.testing.assert_array_equal(octopus.hess(S * X), flipped)
    assert (octopus.region.contains(S * X) == octopus.region.contains(X)).all()


@every_variant
def test_along_a_walk_through_the_whole_tube_f_changes_by_the_integral_of_its_gradient(octopus):
    d, tau = octopus.dim, octopus.tau
    corners = 0.7 * tau * np.eye(d)[-1:] + 4 * tau * np.tri(d + 1, d, k=-1)
    corners[-1, -1] = 4 * tau
    t = np.linspace(0, 1, 4001)[:-1, np.newaxis]
    walk = np.concatenate([a + t * (b - a) for a, b in zip(corners[:-1], corners[1:], strict=True)])
    assert octopus.region.contains(walk).all()
    steps, slopes = np.diff(walk, axis=0), octopus.grad(walk)
    work = ((slopes[1:] + slopes[:-1]) / 2 * steps).sum(axis=1)
    length = np.linalg.norm(steps, axis=1)
    # The trapezoidal rule errs by at most ρ|step|³/12.
    error = np.abs(np.diff(octopus.fun(walk)) - work)
    assert (error <= octopus.lipschitz_hess * length**3 / 12 + 1e-12 * abs(octopus.f_star)).all()


def test_outside_the_tube_it_jumps_and_is_unbounded_below():
    octopus = Octopus(2, tau=1.0)
    left, right = octopus.fun([[2.0 - 1e-9, 1.5], [2.0, 1.5]])
    assert not octopus.region.contains([[2.0 - 1e-9, 1.5]]).any()
    assert abs(left - right) > 0.1
    assert octopus.fun([1.9, 100.0]) < 100 * octopus.f_star


@pytest.mark.parametrize("dim, L, gamma, tau", [(4, 1.0, 1.0, np.e), (3, 1.5, 1.0, 2.0)])
def test_gradient_descent_stays_in_the_tube(dim, L, gamma, tau):
    octopus = Octopus(dim, L, gamma, tau)
    X = np.random.default_rng(4).uniform(-tau, tau, size=(200, dim))
    for _ in range(600):
        assert octopus.region.contains(X).all()
        X = X - octopus.grad(X) / (4 * L)
    assert (octopus.distance(X) < 1e-6).mean() > 0.5


@every_variant
def test_the_tube_has_no_other_stationary_points(octopus):
    """Away from the listed points and their images the gradient is not small."""
    X = octopus.region.sample(5, 20000)
    listed = np.concatenate([octopus.saddles, octopus.minimizers])
    near = np.linalg.norm(np.abs(X)[:, np.newaxis] - listed, axis=2).min(axis=1)
    slope = np.linalg.norm(octopus.grad(X), axis=1)
    smallest = min(octopus.L, octopus.gamma)
    assert (slope[near < octopus.tau] >= smallest * near[near < octopus.tau]).all()
    assert slope[near >= octopus.tau].min() > 0.1 * smallest * octopus.tau


@pytest.mark.parametrize("L, gamma", [(1.0, 0.0), (0.6, 1.0), (0.0, 1.0)])
def test_rho_on_the_three_rays_that_prove_it(L, gamma):
    """The largest |T[z, z, z]| over s, t and unit z; convexity does the rest."""
    s = np.linspace(0, 1, 201)[:, np.newaxis, np.newaxis]
    t = np.linspace(0, 1, 41)[:, np.newaxis]
    angle = np.linspace(0, np.pi, 181)
    y, z = np.cos(angle), np.sin(angle)
    both = L + gamma
    g1_3 = (20 * gamma - 28 * L) + (60 * L - 36 * gamma) * s
    g2_3 = -both * 60 * (1 - 6 * s + 6 * s**2)
    g2_2 = -both * 60 * s * (1 - s) * (1 - 2 * s)
    g2_1 = -both * 30 * (s * (1 - s)) ** 2
    T = (g1_3 + g2_3 * t**2) * y**3 + 6 * g2_2 * t * y**2 * z + 6 * g2_1 * y * z**2
    largest = max(88 * L + 40 * gamma, 28 * L + 76 * gamma)
    assert np.abs(T).max() == pytest.approx(largest, rel=1e-14)


@pytest.mark.parametrize("ratio", [1e-3, 0.1, 0.6, 1.0, 3.0, 1e3])
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_ell_is_at_most_a_fifth_of_a_percent_above_the_sharp_constant(dim, ratio):
    octopus = Octopus(dim, L=ratio, gamma=1.0, tau=1.7)
    u, w = np.meshgrid(np.linspace(0, 2, 801)[:-1], np.linspace(0, 1, 11))
    X = np.zeros((u.size, dim))
    X[:, 0] = 1.7 * u.ravel()
    if dim > 1:
        X[:, 1] = 1.7 * w.ravel()
    largest = np.abs(np.linalg.eigvalsh(octopus.hess(X))).max()
    assert largest <= octopus.lipschitz_grad <= 1.002 * largest


def test_the_numbers_of_the_docstring():
    octopus = Octopus(3)
    assert octopus.lipschitz_grad == pytest.approx(15.56, abs=5e-3)
    assert octopus.lipschitz_hess == pytest.approx(128 / np.e)
    path = np.zeros((3001, 3))
    path[:, 0] = np.linspace(0, 4 * np.e, 3001)
    eigenvalues = np.linalg.eigvalsh(octopus.hess(path))
    assert eigenvalues.min() == pytest.approx(-10 / 3, abs=1e-4)
    assert eigenvalues.max() == pytest.approx(2, abs=1e-12)


def test_fifty_dimensions():
    octopus = Octopus(50)
    X = octopus.region.sample(6, 50)
    assert octopus.saddles.shape == (50, 50)
    step = 1e-5 * np.random.default_rng(6).standard_normal(X.shape)
    slope = (octopus.grad(X) * step).sum(axis=1)
    np.testing.assert_allclose(octopus.fun(X + step) - octopus.fun(X - step), 2 * slope, atol=1e-9)
