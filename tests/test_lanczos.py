"""What Lanczos proves: the theorem, its sharpness, errors of products, and the bound in advance."""

import math

import numpy as np
import pytest
from thorough import instances

from saddlelib import Verdict, certify
from saddlelib.curvature import lanczos_error, start_component, start_overlap
from saddlelib.curvature.lanczos import Coefficients, Shift, lanczos
from saddlelib.curvature.products import Given


def quadratic(eigenvalues, hvp=None):
    """½ Σ λᵢ xᵢ² at its stationary point, with products of one's own."""
    eigenvalues = np.asarray(eigenvalues, dtype=float)
    return dict(fun=lambda x: 0.5 * x @ (eigenvalues * x), jac=lambda x: eigenvalues * x,
                x=np.zeros(eigenvalues.size), hessp=hvp or (lambda x, v: eigenvalues * v))


def sphere(rng, dim):
    z = rng.standard_normal(dim)
    return z / np.linalg.norm(z)


def plain_lanczos(product, start, steps):
    """Coefficients and vectors (as rows, one more than steps) by full reorthogonalization."""
    T, basis = Coefficients(), start[np.newaxis]
    for k in range(steps):
        w = product(basis[-1])
        alpha = w @ basis[-1]
        for _ in range(2):
            w = w - basis.T @ (basis @ w)
        T.add(alpha, np.linalg.norm(w) if k + 1 < start.size else 0.0)
        if T.beta[-1] > 0:
            basis = np.vstack([basis, w / T.beta[-1]])
    return T, basis


# The theorem --------------------------------------------------------------------------------------

def test_components_along_an_eigenvector_follow_the_lanczos_polynomials():
    """cⱼ = c₀ pⱼ(λ), and so c₀² Σ pⱼ(λ)² ≤ 1: what the theorem rests on."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        d = int(rng.integers(3, 12))
        values, start = np.sort(rng.standard_normal(d)), sphere(rng, d)
        T, basis = plain_lanczos(lambda v, h=values: h * v, start, int(rng.integers(1, d)))
        shift, roots = Shift(values[0]), [1.0]
        for alpha, beta in zip(T.alpha, T.beta, strict=True):
            shift.add(alpha, beta)
            roots.append(shift.root)
        np.testing.assert_allclose(basis[1:, 0]**2, start[0]**2 * np.diff(np.square(roots)),
                                   rtol=1e-5, atol=1e-14)
        assert shift.below and shift.root * abs(start[0]) <= 1 + 1e-9


def test_what_holds_is_never_excluded():
    """Whatever the start: λ_min is not excluded at its own component, at any length."""
    rng = np.random.default_rng(1)
    for _ in range(instances(80, 200)):
        d = int(rng.integers(2, 15))
        values = np.sort(rng.standard_normal(d) * rng.choice([1e-3, 1.0, 1e3]))
        start, width = sphere(rng, d), values[-1] - values[0]
        component = abs(start[0]) * (1 - 1e-9)
        for k in range(1, d):
            T, _ = plain_lanczos(lambda v, h=values: h * v, start, k)
            assert not T.excludes(values[0] + 1e-9 * width, component)
            assert T.lower_bound(component) <= values[0] + 1e-6 * width


def test_the_lower_bound_is_attained():
    start = np.array([0.1, math.sqrt(0.99)])
    T, _ = plain_lanczos(lambda v: np.array([-1.0, 1.0]) * v, start, 1)
    assert T.lower_bound(0.1) == pytest.approx(-1.0, abs=3e-3)
    assert T.lower_bound(0.11) > -0.99 and T.lower_bound(0.09) < -1.01


@pytest.mark.parametrize("failure_prob", [0.6, 0.1])
def test_in_the_plane_the_certificate_fails_as_often_as_it_says(failure_prob):
    """After one step from b it excludes λ_min exactly where |b₁| < c, which has probability δ.

    The starts lie evenly on a quarter of the circle; on the others |b₁| takes the same values.
    """
    class Start(np.random.Generator):
        def standard_normal(self, size=None, *args, **kwargs):
            assert size in (2, (2,))
            return np.array([math.cos(self.angle), math.sin(self.angle)])

    n, rng, fails = 150, Start(np.random.PCG64(0)), 0
    for rng.angle in math.pi / 2 * (np.arange(n) + 0.5) / n:
        seen = certify(**quadratic([-1.0, 1.0]), epsilon=1.0, curvature_tol=5.0, resolution=1e-9,
                       maxiter=1, failure_prob=failure_prob, rng=rng)
        fails += seen.min_eig_lower > -1 + 1e-9
    # The bisection ends 10⁻³ below the bound, which costs a little of the probability.
    assert 0.95 * failure_prob < fails / n <= failure_prob + 0.5 / n


@pytest.mark.parametrize("d, gamma", [(50, 0.05), (500, 0.01), (500, 0.2)])
def test_it_stops_no_later_than_the_bound_in_advance_allows(d, gamma):
    """(3) knows the spread alone; (2) knows the coefficients, and has passed where (3) does."""
    seen = certify(**quadratic(np.linspace(0, 1, d)), epsilon=1.0, curvature_tol=gamma, rng=4)
    t = start_overlap(d, 1e-4)
    advance = next(k for k in range(1, d + 1)
                   if k == d or lanczos_error(k, t) * (1 + gamma) < gamma)
    assert seen.passed and seen.iterations < advance


# Errors of products -------------------------------------------------------------------------------

def test_both_terms_of_2_count():
    """α₁ = 0, β₂ = 1, z = −1: |p₁| = 1 and ‖(T − z)⁻¹e₁‖ = 1, so (2) reads 1/√2 + E < c."""
    T = Coefficients()
    T.add(0.0, 1.0)
    assert T.excludes(-1.0, 1.0, error=0.29) and not T.excludes(-1.0, 1.0, error=0.30)
    assert T.excludes(-1.0, 0.71) and not T.excludes(-1.0, 0.70)
    T.add(0.0, 1.0)  # p₂ = 0, and (T + 1)⁻¹e₁ has no meaning: −1 is the smallest Ritz value
    assert not T.excludes(-1.0, 1.0)


def with_errors(kind, eigenvalues, e, rng):
    """Products with an error of norm at most e, put where an adversary might put it."""
    calls, fixed = [0], sphere(rng, eigenvalues.size)
    hidden = np.eye(1, eigenvalues.size)[0]  # the eigenvector of the negative eigenvalue
    where = {
        "constant": lambda v: fixed,
        "alternating": lambda v: fixed * (-1) ** calls[0],
        "hides the direction": lambda v: np.clip((1 - eigenvalues[0]) * v[0] / e, -1, 1) * hidden,
        "hides it late": lambda v: (calls[0] > 3) * np.sign(v[0]) * hidden,
        "grows": lambda v: min(1.0, calls[0] / 20) * np.sign(v[0]) * hidden,
        "random": lambda v: sphere(rng, eigenvalues.size),
    }[kind]

    def hvp(x, v):
        calls[0] += 1
        return eigenvalues * v + e * where(v)
    return hvp


KINDS = ["constant", "alternating", "hides the direction", "hides it late", "grows", "random"]


@pytest.mark.parametrize("kind", KINDS)
def test_errors_up_to_the_stated_size_do_not_raise_the_rate_of_false_passes(kind, record_property):
    """λ_min 2 % beyond the tolerance; errors from harmless to large enough to hide it."""
    rng, delta, wrong, n = np.random.default_rng(5), 0.1, 0, 0
    for d, e in [(10, 1e-3), (60, 1e-3), (60, 1e-2), (60, 0.1)]:
        for _ in range(instances(25, 60)):
            values = np.concatenate([[-0.51], rng.choice([0.5, 1.0], d - 1)])
            seen = certify(**quadratic(values, with_errors(kind, values, e, rng)), epsilon=1.0,
                           curvature_tol=0.5, failure_prob=delta, hvp_error=e, rng=rng)
            wrong, n = wrong + seen.passed, n + 1
    record_property(f"false passes of {n} at δ = {delta}, error: {kind}", wrong)
    assert wrong <= delta * n + 3 * math.sqrt(delta * n)


@pytest.mark.parametrize("tol", [1.0, 0.9])
def test_an_error_that_hides_the_negative_direction_is_never_certified_away(tol):
    """H = diag(−1.5, 1, …, 1), and products that return v: within the stated error of 0.08."""
    values = np.ones(10_000)
    values[0] = -1.5
    for seed in range(20):
        seen = certify(**quadratic(values, lambda x, v: v.copy()), epsilon=1e-3, curvature_tol=tol,
                       hvp_error=0.08, rng=seed)
        assert seen.verdict is Verdict.CANNOT_TELL and "error" in seen.message


def test_the_errors_of_the_recurrence_are_what_the_lemma_says():
    """Σ‖fⱼ‖² ≤ 2ke² for products that are off by e, and a Ritz value is off by √(2k) e at most."""
    rng = np.random.default_rng(6)
    for _ in range(30):
        d, e, k = 30, 10.0 ** rng.uniform(-6, -1), 14
        values = rng.standard_normal(d)
        T, Q = plain_lanczos(lambda v, h=values, e=e: h * v + e * sphere(rng, h.size),
                             sphere(rng, d), k)
        tridiagonal = np.zeros((k, k + 1))
        for j in range(k):
            tridiagonal[j, j], tridiagonal[j, j + 1] = T.alpha[j], T.beta[j]
            tridiagonal[j, j - 1] = T.beta[j - 1] if j else tridiagonal[j, j - 1]
        F = Q[:k] * values - tridiagonal @ Q
        most = math.sqrt(2 * k) * e * (1 + 1e-9)
        assert e < np.linalg.norm(F) <= most
        exact = np.linalg.eigvalsh(Q[:k] @ (values[:, np.newaxis] * Q[:k].T))[0]
        assert abs(exact - T.smallest()) <= most


def test_errors_along_the_next_vector_reach_the_bound_of_all_errors():
    """An error that lengthens each residual by e counts twice, and so √(2k) e is attained."""
    values, e, k = np.linspace(0, 1, 40), 1e-3, 12
    seen = []

    def product(v):
        seen.append(v)
        basis, w = np.array(seen), values * v
        rest = w - basis.T @ (basis @ w)
        rest -= basis.T @ (basis @ rest)
        return w + e * rest / np.linalg.norm(rest)
    given = Given(product, "hvp", e)
    T, Q = plain_lanczos(given, sphere(np.random.default_rng(9), 40), k)
    tridiagonal = np.zeros((k, k + 1))
    for j in range(k):
        tridiagonal[j, j], tridiagonal[j, j + 1] = T.alpha[j], T.beta[j]
        if j:
            tridiagonal[j, j - 1] = T.beta[j - 1]
    total = np.linalg.norm(Q[:k] * values - tridiagonal @ Q)
    assert 0.95 * given.error(k) < total <= given.error(k) * (1 + 1e-9)


@pytest.mark.parametrize("e", [1e-9, 1e-3])
def test_isotropic_errors_are_measured_by_what_symmetry_makes_equal(e):
    """Without a word about it from the caller, to within a factor of four, from above."""
    values = np.linspace(0, 1, 60)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        noisy = Given(lambda v, rng=rng: values * v + e * sphere(rng, 60), "hvp", None)
        seen = lanczos(noisy, 60, 0.02, 1e-4, rng, 12, 0.05)
        assert seen.steps == 12 and e < noisy.one() < 4 * e


def test_exact_products_are_charged_sixteen_units_of_rounding_and_no_more():
    """What the rounding of the basis adds is no fault of the products."""
    values = np.linspace(0, 1, 1000)
    exact = Given(lambda v: values * v, "hvp", None)
    assert lanczos(exact, 1000, 1e-3, 1e-4, np.random.default_rng(0), 100, 0.05).steps == 100
    assert exact.one() == pytest.approx(16 * 2.0**-53 * exact.norm, abs=0)


@pytest.mark.parametrize("closer, off, end", [
    (-1.0, 0.5, "errors"), (-1.0, 2.0, "passed"), (-0.01, 0.001, "passed"),
    (math.nan, 0.1, "errors"), (math.nan, math.inf, "passed")])
def test_what_a_look_from_closer_contradicts_neither_passes_nor_is_a_saddle(closer, off, end):
    """It may be noise that says so: the Ritz value stays, and the difference is an error."""
    values = np.linspace(0, 1, 50)
    product = Given(lambda v: values * v, "hvp", None)
    product.closer = lambda v: (closer, off)
    seen = lanczos(product, 50, 0.1, 1e-4, np.random.default_rng(0), 50, 0.05)
    assert seen.end == end and 0 <= seen.min_eig < 0.05
    assert (seen.lower > -0.1) == (end == "passed")
    assert seen.error < 1e-12 or end == "errors" and not seen.min_eig - seen.error > closer


class Coarse(Given):
    """Products that state an error until they are refined."""

    can_refine, asked = True, 0

    def __call__(self, v):
        self.asked += 1
        self.start = v if self.asked == 1 else self.start
        return super().__call__(v)

    def refine(self):
        if not self.can_refine:
            return False
        self.can_refine, self.stated, self.restart, self.asked_before = False, 0.0, True, self.asked
        return True


def test_products_are_refined_as_soon_as_their_errors_stand_in_the_way():
    """The second run begins at the same start, and both together stay within the budget."""
    values = np.linspace(0, 1, 400)

    def look(error, maxiter=400):
        product = Coarse(lambda v: values * v, "hvp", error)
        return lanczos(product, 400, 0.02, 1e-4, np.random.default_rng(3), maxiter, 0.05), product
    exact, _ = look(1e-15)
    seen, product = look(1e-4)
    assert exact.end == seen.end == "passed" and exact.steps == seen.steps
    assert not product.can_refine and product.asked_before <= exact.steps
    assert product.asked == product.asked_before + seen.steps
    np.testing.assert_array_equal(exact.start, seen.start)
    short, product = look(1e-4, maxiter=40)
    assert short.end == "budget" and product.asked == 40


# The start, and the bound in advance --------------------------------------------------------------

@pytest.mark.parametrize("dim", [2, 3, 10, 300])
@pytest.mark.parametrize("failure_prob", [0.5, 0.05])
def test_a_uniform_start_overlaps_less_than_t_with_probability_delta(dim, failure_prob):
    n = 20_000
    z = np.random.default_rng(dim).standard_normal((n, dim))
    missed = np.mean(z[:, 0] ** 2 / (z**2).sum(1) < start_overlap(dim, failure_prob))
    sigma = math.sqrt(failure_prob * (1 - failure_prob) / n)
    assert abs(missed - failure_prob) < 4 * sigma


@pytest.mark.parametrize("dim", [2, 3, 50, 10**6])
def test_the_component_has_no_jump_where_its_formula_changes_and_is_never_zero(dim):
    above, below = start_component(dim, 1.0000001e-9), start_component(dim, 0.9999999e-9)
    assert above / below == pytest.approx(1, abs=1e-6)
    assert start_component(dim, 1e-300) / start_component(dim, 1e-200) == pytest.approx(1e-100)


def smallest_ritz(mu, weights, k):
    """θ_k of diag(mu) from the start with squared coordinates ``weights``, by plain projection."""
    start = np.sqrt(weights)
    basis, _ = np.linalg.qr(np.stack([mu**j * start for j in range(k)], axis=1))
    return np.linalg.eigvalsh(basis.T @ (mu[:, None] * basis))[0]


@pytest.mark.parametrize("k", range(1, 7))
@pytest.mark.parametrize("t", [0.3, 0.01, 1e-4])
def test_the_lanczos_bound_is_attained(k, t):
    """A spectrum on the extreme points of T_{2k−1} reaches the bound: no smaller one is true."""
    eps = lanczos_error(k, t)
    z = np.cos(np.arange(k) * np.pi / (2 * k - 1))
    mu = np.concatenate([[0.0], eps + (1 - eps) * z**2])
    angle = (2 * k - 1) * np.arccos(z)
    p = np.concatenate([[np.sinh((2 * k - 1) * math.atanh(math.sqrt(eps))) / math.sqrt(eps)],
                        np.cos(angle) / (z * math.sqrt(1 - eps))])
    p[0] *= (-1) ** (k - 1)  # T_{2k−1}(ia)/(ia) has this sign
    # Weights that make p stationary for the Rayleigh quotient: Σ w (μ − ε) p q = 0 for deg q < k.
    rows = np.array([(mu[1:] - eps) * p[1:] * mu[1:] ** j for j in range(k)])
    rhs = np.array([t * eps * p[0] * (1.0 if j == 0 else 0.0) for j in range(k)])
    weights = np.concatenate([[t], np.linalg.solve(rows, rhs)])
    assert (weights > 0).all() and weights.sum() == pytest.approx(1, rel=1e-6)
    assert smallest_ritz(mu, weights, k) == pytest.approx(eps, rel=1e-5)


def test_the_lanczos_bound_holds_for_any_spectrum_and_start():
    rng = np.random.default_rng(1)
    for _ in range(instances(100, 300)):
        d = rng.integers(2, 12)
        mu = np.sort(rng.random(d) ** rng.choice([0.2, 1, 5]))
        mu = (mu - mu[0]) / (mu[-1] - mu[0])
        weights = rng.dirichlet(np.full(d, rng.choice([0.05, 0.5, 5])))
        for k in range(1, d):
            bound = lanczos_error(k, weights[0])
            assert smallest_ritz(mu, weights, k) <= bound * (1 + 1e-6) + 1e-8


# Errors that differ from product to product -----------------------------------------------

def lanczos_with_errors(H, start, errors):
    """Coefficients of Lanczos with full reorthogonalization; product j is off by errors[j]."""
    T, basis = Coefficients(), [start]
    for error in errors:
        w = H @ basis[-1] + error
        Q = np.array(basis)
        alpha = float(Q[-1] @ w)
        for _ in range(2):
            w = w - Q.T @ (Q @ w)
        beta = float(np.linalg.norm(w))
        T.add(alpha, beta)
        basis.append(w / beta)
    return T


def test_errors_that_differ_exclude_no_eigenvalue_that_is_there():
    """(4), for errors of many sizes, at random and along the eigenvector in question."""
    rng, asked = np.random.default_rng(0), 0
    for trial in range(300):
        d, k = 30, int(rng.integers(2, 16))
        values = np.sort(rng.random(d))
        start, first = sphere(rng, d), np.eye(d)[0]
        sizes = 10.0 ** rng.uniform(-6, -1, k)
        along = [[sphere(rng, d) for _ in range(k)], rng.choice([-1, 1], (k, 1)) * first,
                 rng.choice([-1, 1], (k, 1)) * start][trial % 3]
        T = lanczos_with_errors(np.diag(values), start, sizes[:, None] * np.array(along))
        if T.at(values[0]).below:
            asked += 1
            assert not T.excludes(values[0], abs(start[0]), sizes)
    assert asked > 100


def test_late_errors_count_less_and_never_more_than_all_by_their_norm():
    values = np.linspace(0, 1, 200)
    start = sphere(np.random.default_rng(1), 200)
    T, _ = plain_lanczos(lambda v: values * v, start, 12)
    z, each = -0.05, 1e-6
    weights = [T._harm(z, each * np.eye(12)[j]) for j in range(12)]
    assert all(late < early for early, late in zip(weights, weights[1:], strict=False))
    assert weights[-1] < 0.1 * weights[0]
    assert T._harm(z, np.full(12, each)) < math.sqrt(24) * each * np.linalg.norm(T._weights(z))


def test_the_weights_of_errors_follow_from_the_polynomials():
    """(5)."""
    rng = np.random.default_rng(2)
    alpha, beta = rng.uniform(1, 2, 9), rng.uniform(0.1, 0.4, 9)
    T, sizes = Coefficients(), [1.0]
    for a, b in zip(alpha, beta, strict=True):
        T.add(a, b)
        sizes.append(T.at(-0.3).polynomial)
    w = np.abs(T._weights(-0.3))
    for j in range(9):
        said = sizes[j] * sum(1 / (beta[m] * sizes[m] * sizes[m + 1]) for m in range(j, 9))
        assert w[j] == pytest.approx(said)
