"""Steps that know the order of a floor: each law, and the order of convergence in many digits."""

import functools
import math

import mpmath
import numpy as np
import pytest
from mpmath import mp, mpf
from scipy.optimize import brentq, minimize_scalar

from saddlelib.theory import jumps, ravine


class Jet:
    """A value with its gradient and Hessian, in the numbers of mpmath."""

    def __init__(self, value, grad, hess):
        self.value, self.grad, self.hess = value, grad, hess

    def __add__(self, other):
        if isinstance(other, Jet):
            return Jet(self.value + other.value, self.grad + other.grad, self.hess + other.hess)
        return Jet(self.value + other, self.grad, self.hess)

    def __mul__(self, other):
        if not isinstance(other, Jet):
            return Jet(self.value * other, self.grad * other, self.hess * other)
        cross = np.outer(self.grad, other.grad)
        return Jet(self.value * other.value, self.value * other.grad + other.value * self.grad,
                   self.value * other.hess + other.value * self.hess + cross + cross.T)

    def __pow__(self, p):
        first, second = p * self.value ** (p - 1), p * (p - 1) * self.value ** (p - 2)
        return Jet(self.value**p, first * self.grad,
                   first * self.hess + second * np.outer(self.grad, self.grad))

    def __sub__(self, other):
        return self + other * -1

    __radd__, __rmul__ = __add__, __mul__


def coordinates(x):
    d = len(x)
    units = np.array([[mpf(i == j) for j in range(d)] for i in range(d)])
    return [Jet(mpf(x[i]), units[i], units * 0) for i in range(d)]


def solve(H, b):
    return np.array(list(mp.lu_solve(mp.matrix(H.tolist()), mp.matrix(b.tolist()))))


def norm(v):
    return mp.sqrt(sum(c * c for c in v))


def digits(count):
    """The test in so many digits."""
    def decorate(test):
        @functools.wraps(test)
        def wrapped(*args, **kwargs):
            with mpmath.workdps(count):
                test(*args, **kwargs)
        return wrapped
    return decorate


def indefinite(rng, p, dim):
    """Σ ± |⟨a_i, v⟩|^p + Σ ± ⟨v, M_i v⟩^{p/2}: homogeneous of degree p, of any curvature."""
    rows, signs = rng.standard_normal((dim + 2, dim)), rng.choice([-1, 1], dim + 4)
    forms = [(B @ B.T + np.eye(dim)) for B in rng.standard_normal((2, dim, dim))]

    def h(v):
        total = 0
        for a, sign in zip(rows, signs, strict=False):
            s = sum(mpf(c) * x for c, x in zip(a, v, strict=True))
            total = ((s * s) ** (mpf(p) / 2)) * int(sign) + total
        for M, sign in zip(forms, signs[-2:], strict=True):
            s = sum(mpf(M[i, j]) * v[i] * v[j] for i in range(dim) for j in range(dim))
            total = (s ** (mpf(p) / 2)) * int(sign) * 0.3 + total
        return total
    return h


@digits(50)
@pytest.mark.parametrize("order", [3, 4, 6, 2.5])
def test_on_every_homogeneous_floor_the_decrement_tells_the_order_and_a_jump_lands(order):
    rng, seen = np.random.default_rng(0), []
    for dim in (1, 2, 3, 4):
        for _ in range(3):
            h, v = indefinite(rng, order, dim), [mpf(c) for c in rng.standard_normal(dim)]
            y = h(coordinates(v))
            s = solve(y.hess, -y.grad)
            assert norm(s + np.array(v) / (mpf(order) - 1)) < mpf(10) ** -40
            ratio = y.value / -(y.grad @ s)
            assert abs(ratio - (mpf(order) - 1) / order) < mpf(10) ** -40
            assert jumps.order_of(float(ratio)) == pytest.approx(order)
            length = jumps.jump_length(order)
            assert norm(np.array(v) + length * s) < 1e-14
            seen += list(mp.eigsy(mp.matrix(y.hess.tolist()), eigvals_only=True))
    assert min(seen) < 0 < max(seen)  # so the floors were no convex ones


def test_where_the_hessian_of_a_floor_is_singular_the_least_step_takes_away_what_it_sees():
    """h = ⟨a, v⟩⁴ ± ⟨b, v⟩⁴ in four variables: θ = ¾ all the same, and v⁺ = (I − P)v."""
    rng = np.random.default_rng(1)
    for sign in (1, -1):
        a, b, v = rng.standard_normal((3, 4))
        value = (a @ v) ** 4 + sign * (b @ v) ** 4
        g = 4 * (a @ v) ** 3 * a + sign * 4 * (b @ v) ** 3 * b
        H = 12 * (a @ v) ** 2 * np.outer(a, a) + sign * 12 * (b @ v) ** 2 * np.outer(b, b)
        s = -np.linalg.pinv(H, rcond=1e-10) @ g
        plane = np.linalg.qr(np.array([a, b]).T)[0]
        np.testing.assert_allclose(s, -plane @ (plane.T @ v) / 3, rtol=1e-8)
        assert value / -(g @ s) == pytest.approx(jumps.decrement_ratio(4.0), rel=1e-8)
        landed = v + jumps.jump_length(4.0) * s
        np.testing.assert_allclose(landed, v - plane @ (plane.T @ v), atol=1e-7)


def test_a_positive_floor_whose_hessian_is_singular_nowhere_is_convex():
    """Positive quartics in the plane: det ∇²h changes sign, or ∇²h is positive definite."""
    rng, kinds = np.random.default_rng(2), set()
    angle = np.linspace(0, np.pi, 721)
    e = np.array([np.cos(angle), np.sin(angle)])
    for trial in range(300):
        c = rng.standard_normal(5) * [1, 1, 3, 1, 1] + (np.array([3, 0, 3, 0, 3]) * (trial % 3))
        powers = np.array([e[0] ** (4 - i) * e[1] ** i for i in range(5)])
        if (c @ powers).min() <= 0:
            continue
        xx = sum(c[i] * (4 - i) * (3 - i) * e[0] ** max(2 - i, 0) * e[1] ** i for i in range(3))
        yy = sum(c[i] * i * (i - 1) * e[0] ** (4 - i) * e[1] ** (i - 2) for i in range(2, 5))
        xy = sum(c[i] * i * (4 - i) * e[0] ** (3 - i) * e[1] ** (i - 1) for i in range(1, 4))
        determinant = xx * yy - xy**2
        convex = (determinant > 0).all() and (xx > 0).all()
        assert convex or determinant.min() <= 0
        lowest = (c @ powers).argmin()  # where M ≥ p·h across e and M e = p(p − 1)h e
        assert np.linalg.eigvalsh([[xx[lowest], xy[lowest]], [xy[lowest], yy[lowest]]])[0] > 0
        kinds.add(convex)
    assert kinds == {True, False}


@digits(50)
@pytest.mark.parametrize("order", [3, 4, 6])
def test_in_a_straight_ravine_a_jump_does_what_its_law_says(order):
    rng, tried = np.random.default_rng(3), 0
    for share in (0.0, 1e-3, 0.1, 1.0, 30.0) * 3:
        h, H = indefinite(rng, order, 2), mpf(7)
        v = [mpf(c) for c in rng.standard_normal(2)]
        if h(coordinates(v)).value < 0:
            continue  # a floor above f* is meant
        tried += 1
        u = mp.sqrt(2 * mpf(share) * h(coordinates(v)).value / H)
        x = np.array([u, *v])
        first, *rest = coordinates(x)
        y = first * first * (H / 2) + h(rest)
        s = solve(y.hess, -y.grad)
        ratio = y.value / -(y.grad @ s)
        new = x + ratio / (1 - ratio) * s
        wall, floor = jumps.jump(order, share)
        assert float(ratio) == pytest.approx(jumps.decrement_ratio(order, share), rel=1e-12)
        length = jumps.jump_length(order, share)
        assert float(ratio / (1 - ratio)) == pytest.approx(length, rel=1e-12)
        np.testing.assert_allclose(np.array(new[1:], float), floor * np.array(v, float),
                                   atol=1e-13)
        assert float(new[0]) == pytest.approx(wall * float(u), rel=1e-12, abs=1e-30)
    assert tried > 4


def test_a_wall_hides_the_order_from_the_safe_share_on():
    for order in (3, 4, 5, 6, 8):
        for side in (0.99, 1.01):
            share = side * jumps.safe_share(order)
            shown = jumps.order_of(jumps.decrement_ratio(order, share))
            assert (round(shown) == order) == (side < 1)


def test_in_a_straight_ravine_a_jump_lowers_f_up_to_order_seven():
    """The worst of f⁺/f over all wall shares: 0.096, 0.27, 0.68 for p = 3, 4, 6; 1 at p = 7.4."""
    def worst(order):
        def left(log_share):
            a = math.exp(log_share)
            wall, floor = jumps.jump(order, a)
            return -(a * wall**2 + floor**order) / (1 + a)
        return -minimize_scalar(left, bounds=(-8, 3), method="bounded").fun

    assert [round(worst(p), 3) for p in (3, 4, 6)] == [0.096, 0.267, 0.683]
    assert brentq(lambda p: worst(p) - 1, 6, 9) == pytest.approx(7.40, abs=0.01)


@pytest.mark.parametrize("order", [3.0, 4.0, 6.0])
def test_a_wrong_f_star_makes_a_jump_too_short_or_too_long_by_its_share(order):
    rng = np.random.default_rng(4)
    v = rng.standard_normal(3)
    gap = float(np.sum(v**2)) ** (order / 2)  # h = ‖v‖^p, s = −v/(p − 1), D = ph/(p − 1)
    for x in (0.3, 0.01, -0.01, -0.1):
        ratio = (gap - x * gap) / (order * gap / (order - 1))
        new = v - ratio / (1 - ratio) * v / (order - 1)
        np.testing.assert_allclose(new, jumps.misjudged_jump(order, x) * v, rtol=1e-10,
                                   atol=1e-14)
    edge = -1 / (2 * order - 1)
    assert abs(jumps.misjudged_jump(order, 0.99 * edge)) < 1
    assert abs(jumps.misjudged_jump(order, 1.01 * edge)) > 1
    with pytest.raises(ValueError, match="error_share"):
        jumps.misjudged_jump(order, -1 / (order - 1))


class Ravine:
    """½Σλ_i(1 + …)(u_i − φ_i(v))² + h(v): walls of 1 and L that depend on u and v, h anisotropic.

    h is homogeneous of degree p up to a term of degree p + σ, which is odd for σ = 1.
    """

    def __init__(self, order, smoothness=1, bent=True, cones=None, steepest=30):
        self.p, self.nu, self.bent, self.cones = order, smoothness, bent, cones
        self.steepest = steepest

    def floor(self, a, b):
        size = mpf(self.bent)
        return (a * a + a * b) * size, (b * b - a * a * mpf(0.5)) * size

    def height(self, a, b):
        A, B, p = a * a, b * b, mpf(self.p)
        if self.cones:  # not convex for more than 6
            h = A * A + A * B * self.cones + B * B
        else:
            h = (A * A + A * B + B * B * 2) ** (p / 4) + (A + B * 3) ** (p / 2) * mpf(0.5)
        if self.nu == 1:
            return h + (a - b * 2) * (A + B) ** (p / 2) * mpf(0.3)
        return h + (A + B * 2) ** ((p + mpf(self.nu)) / 2) * mpf(0.5)

    def at(self, x):
        u, w, a, b = coordinates(x)
        first, second = self.floor(a, b)
        first, second = u - first, w - second
        tilt = (a * -0.3, b * 0.3) if self.nu == 1 else (a * a * 0.2, b * b * 0.3)
        return ((u * 0.4 + tilt[0] + 1) * first * first * mpf(0.5)
                + (w * 0.2 + tilt[1] + 1) * second * second * (mpf(self.steepest) / 2)
                + self.height(a, b))

    def along(self, x):
        return mp.hypot(x[2], x[3])


def settle(y, cut=0.3):
    """The Newton step on the walls alone, and the height W that it sees."""
    eigenvalues, Q = mp.eigsy(mp.matrix(y.hess.tolist()))
    Q, s, W = np.array(Q.tolist()), y.grad * 0, mpf(0)
    for i, eigenvalue in enumerate(eigenvalues):
        if eigenvalue > cut:
            c = Q[:, i] @ y.grad
            s, W = s - c / eigenvalue * Q[:, i], W + c * c / eigenvalue / 2
    return s, W


START = [mpf("0.001"), mpf("-0.0005"), mpf("0.02"), mpf("0.015")]


def descend(problem, jumps_made, ready, ratio, newton=False, residual=None, start=START):
    """Distances along the floor, gaps and settles at the jumps of "settle, then jump".

    ``ready(count, W, gap)`` ends the settling, ``ratio(gap, D)`` is the θ of the jump, and the
    Newton equation is solved up to ``residual(y)``.
    """
    x, rows = np.array(start), []
    for _ in range(jumps_made + 1):
        for count in range(30):
            y = problem.at(x)
            s, W = settle(y)
            if ready(count, W, y.value):
                break
            x = x + s
        if newton:
            x = x + solve(y.hess, -y.grad)
            y = problem.at(x)
        s = solve(y.hess, -y.grad + (residual(y) if residual else 0))
        rows.append((problem.along(x), y.value, count))
        theta = ratio(y.value, -(y.grad @ s))
        x = x + theta / (1 - theta) * s
    return rows


def fixed(count):
    return lambda done, W, gap: done >= count


def rule(order, smoothness=1, K=1):
    beta = mpf(jumps.settle_exponent(order, smoothness))
    return lambda done, W, gap: K * gap**beta >= W


def measured(gap, D):
    return gap / D


def known(order):
    return lambda gap, D: (mpf(order) - 1) / order


def differences(order, first=0.97):
    """θ = (f_a − f_b)/(D_a − D_b), after a first jump with a θ that is 3 % off."""
    seen = []

    def ratio(gap, D):
        seen.append((gap, D))
        if len(seen) == 1:
            return (mpf(order) - 1) / order * mpf(first)
        (f, E), (g, F) = seen[-2:]
        return (f - g) / (E - F)
    return ratio


def convergence(values):
    """ln(e₃/e₂)/ln(e₂/e₁) for all three consecutive values: the order, free of its constant."""
    logs = [float(mp.log(value)) for value in values]
    return [(c - b) / (b - a) for a, b, c in zip(logs, logs[1:], logs[2:], strict=False)]


@digits(400)
@pytest.mark.parametrize("order, smoothness, bent", [
    (3, 1, True), (4, 1, True), (6, 1, True), (4, 0.5, True), (4, 1.5, True), (4, 1, False),
    (6, 1, False), (8, 1, True)])
def test_settle_then_jump_converges_with_the_order_of_the_theorem(order, smoothness, bent):
    problem, law = Ravine(order, smoothness, bent), jumps.convergence_order(smoothness)
    for ratio in (measured, known(order)):
        rows = descend(problem, 4, rule(order, smoothness), ratio)
        distances, gaps, counts = zip(*rows, strict=True)
        # A count on the edge of the rule moves one order up and the next one down.
        assert convergence(distances)[1:] == pytest.approx(
            [law] * 2, abs=0.3 if order == 3 else 0.15)
        assert np.prod(convergence(gaps)) ** (1 / 3) == pytest.approx(law, rel=0.12)
        most = jumps.settles(order, 2 if bent else math.inf, smoothness)
        assert max(counts) <= most + 1


@digits(500)
@pytest.mark.parametrize("order, smoothness, law", [(3, 1, 1.618), (4, 1, 1.618), (6, 1, 1.618),
                                                    (4, 2, 2.0)])
def test_without_f_star_two_settled_points_give_the_order_of_a_secant(order, smoothness, law):
    rows = descend(Ravine(order, smoothness), 6 if smoothness == 1 else 5, fixed(3),
                   differences(order))
    orders = convergence([r for r, _, _ in rows])[-3:]
    known_order = jumps.convergence_order(smoothness, f_star_known=False)
    assert known_order == pytest.approx(law, abs=1e-3)
    assert np.prod(orders) ** (1 / 3) == pytest.approx(law, abs=0.06)


@digits(500)
def test_on_an_even_floor_jumps_converge_cubically():
    """σ = 2, the end of the range of the theorem: seen, not proved."""
    for ratio in (measured, known(4)):
        rows = descend(Ravine(4, 2), 4, fixed(3), ratio)
        assert convergence([r for r, _, _ in rows])[1:] == pytest.approx([3, 3], abs=0.06)


@digits(400)
@pytest.mark.parametrize("order", [4, 6])
def test_one_settle_too_few_and_every_second_jump_is_in_vain(order):
    enough, law = jumps.settles(order), jumps.convergence_order()
    rows = descend(Ravine(order), 4, fixed(enough), measured)
    assert convergence([r for r, _, _ in rows])[1:] == pytest.approx([law] * 2, abs=0.12)
    rows = descend(Ravine(order), 6, fixed(enough - 1), measured)
    gain = [float(b / a) for (a, _, _), (b, _, _) in zip(rows, rows[1:], strict=False)]
    vain = [g for g in gain if 0.5 < g < 2]
    assert len(vain) >= 3 and all(min(pair) < 1e-2 < max(pair) for pair in
                                  zip(gain[::2], gain[1::2], strict=True))


@digits(200)
def test_on_order_six_a_good_jump_raises_f_and_on_order_four_it_does_not():
    """It lands at a height of r⁴ over a floor that bends like r²: γ^{2/3}, far more than γ."""
    rises = {}
    for order in (4, 6):
        problem, x = Ravine(order), np.array(START)
        for _ in range(jumps.settles(order)):
            x = x + settle(problem.at(x))[0]
        y = problem.at(x)
        new = x + (order - 1) * solve(y.hess, -y.grad)
        assert problem.along(new) < 0.01 * problem.along(x)
        rises[order] = problem.at(new).value / y.value
    assert rises[4] < 1 < 100 < rises[6]


@digits(400)
def test_a_constant_share_of_the_gap_is_not_enough_on_order_six():
    by_share = descend(Ravine(6), 6, lambda done, W, gap: gap / 10 >= W, measured)
    by_rule = descend(Ravine(6), 4, rule(6), measured)
    assert by_rule[-1][0] < 1e-40 < 1e-20 < by_share[-1][0]


@digits(300)
def test_a_newton_step_between_settling_and_the_jump_loses_the_order():
    """It bends away from the floor by r², so the jump that follows starts beside it."""
    problem = Ravine(4)
    rows = descend(problem, 6, fixed(2), measured, newton=True)
    assert rows[-1][0] > 1e-6
    x = np.array(START)
    for _ in range(4):
        x = x + settle(problem.at(x))[0]
    y = problem.at(x)
    new = x + solve(y.hess, -y.grad)
    away = norm(np.array(new[:2]) - np.array(problem.floor(*new[2:])))
    assert float(problem.along(new) / problem.along(x)) == pytest.approx(2 / 3, abs=0.05)
    assert 0.01 < away / problem.along(x) ** 2 < 1


@digits(100)
@pytest.mark.parametrize("order, gradient", [(3, False), (4, False), (4, True)])
def test_short_steps_and_jumps_have_a_linear_rate_in_gradients(order, gradient):
    """Digits double from jump to jump, and so does the number of short steps between.

    With ‖g‖² in the place of the height, and a factor above that of the floor, too.
    """
    problem, x, rows = Ravine(order, steepest=2), np.array(START), []
    eta, beta = mpf(2) / 5, mpf(jumps.settle_exponent(order))
    for _ in range(4):
        points = [x]
        for _ in range(400):
            y = problem.at(x)
            height = y.value - problem.height(*coordinates(x)[2:]).value
            if (y.grad @ y.grad / 100 if gradient else height) <= y.value**beta:
                break
            x = x - eta * y.grad
            points.append(x)
        s = solve(y.hess, -y.grad)
        rows.append((problem.along(x), len(points) - 1))
        theta = y.value / -(y.grad @ s)
        x = x + theta / (1 - theta) * s
    distances, counts = zip(*rows, strict=True)
    assert convergence(distances) == pytest.approx([2, 2], abs=0.25)
    law = jumps.short_steps(float(distances[-1] / distances[0]), 0.4, 1.0, order)
    assert sum(counts[1:]) == pytest.approx(law, rel=0.15)


@digits(300)
def test_a_residual_of_the_floors_gradient_to_a_power_keeps_the_order_and_a_share_does_not():
    rng = np.random.default_rng(5)

    def residual(share):
        def draw(y):
            e = rng.standard_normal(4)
            e = np.array([mpf(c) for c in e / np.linalg.norm(e)])
            return share(y.value) * y.value ** (mpf(3) / 4) * e
        return draw

    rows = descend(Ravine(4), 4, rule(4), measured,
                   residual=residual(lambda gap: gap ** (mpf(1) / 4)))
    assert convergence([r for r, _, _ in rows])[-1] == pytest.approx(2, abs=0.15)
    rows = descend(Ravine(4), 8, rule(4), measured, residual=residual(lambda gap: mpf("0.01")))
    gain = [float(b[0] / a[0]) for a, b in zip(rows[1:], rows[2:], strict=False)]
    assert 1e-5 < min(gain) and max(gain) < 0.1


def test_conjugate_gradients_make_the_decrement_too_small_by_what_is_left():
    """D_s = D − ⟨ρ, H⁻¹ρ⟩ for the residual ρ of every step, so θ is never too small."""
    rng = np.random.default_rng(6)
    H = np.diag(np.geomspace(1e-3, 1, 12))
    g, s = rng.standard_normal(12), np.zeros(12)
    rest, D = -g, g @ np.linalg.solve(H, g)
    way = rest
    for _ in range(6):
        step = rest @ rest / (way @ H @ way)
        s, new = s + step * way, rest - step * H @ way
        way, rest = new + new @ new / (rest @ rest) * way, new
        assert -(g @ s) == pytest.approx(D - rest @ np.linalg.solve(H, rest), rel=1e-9)
        assert -(g @ s) < D


@digits(200)
@pytest.mark.parametrize("error", [1e-20, -1e-20])
def test_a_wrong_f_star_shows_itself_once_the_gap_is_below_its_error(error):
    seen = []

    def ratio(gap, D):
        seen.append(float((gap - mpf(error)) / D))
        return (gap - mpf(error)) / D if 0.5 < seen[-1] < 1 else mpf("0.75")

    rows = descend(Ravine(4), 4, rule(4), ratio)
    gaps = [float(gap) for _, gap, _ in rows]
    for theta, gap in zip(seen[1:], gaps[1:], strict=True):  # from the second settled point on
        assert (0.7 < theta < 0.8) == (gap > 100 * abs(error))
        if gap < abs(error):
            assert not 0.5 < theta < 1
    assert gaps[-1] < abs(error)


@digits(120)
def test_where_the_form_is_not_convex_jumps_arrive_from_random_directions_all_the_same():
    """v₁⁴ + 30v₁²v₂² + v₂⁴ is indefinite in cones. Seen from these starts, not proved."""
    rng, problem = np.random.default_rng(7), Ravine(4, cones=30)
    negative = 0
    for _ in range(8):
        e = rng.standard_normal(2)
        a, b = (mpf(c) / 100 for c in e / np.linalg.norm(e))
        start = [*problem.floor(a, b), a, b]
        eigenvalues = mp.eigsy(mp.matrix(problem.at(start).hess.tolist()), eigvals_only=True)
        negative += min(eigenvalues) < 0
        rows = descend(problem, 4, fixed(3), measured, start=start)
        assert rows[-1][0] < 1e-20
    assert 0 < negative < 8


def polyak(K, factor, v, steps):
    """Steps of λ times Polyak's on v₁⁴ + K v₁²v₂² + v₂⁴: factors of ‖v‖, and the direction."""
    factors = []
    for _ in range(steps):
        a, b = v
        h = a**4 + K * a**2 * b**2 + b**4
        g = np.array([4 * a**3 + 2 * K * a * b**2, 4 * b**3 + 2 * K * a**2 * b])
        new = v - factor * h / (g @ g) * g
        factors.append(np.linalg.norm(new))
        v = new / factors[-1]
    return np.array(factors), v


@pytest.mark.parametrize("K", [7.0, 10.0, 30.0])
def test_polyaks_step_keeps_the_least_direction_below_the_critical_factor(K):
    ratio = 2 * K
    critical = jumps.critical_factor(ratio)
    for factor in (0.5 * critical, 0.95 * critical, 1.05 * critical):
        small = 1e-6
        _, v = polyak(K, factor, np.array([1.0, small]), 1)
        law = (1 - factor * ratio / 16) / (1 - factor / 4)
        assert v[1] / v[0] / small == pytest.approx(law, rel=1e-6)
        keeps = jumps.kept_direction(ratio, factor=factor)
        assert keeps == (abs(law) < 1) == (factor < critical)
        factors, v = polyak(K, factor, np.array([1.0, 0.01]), 2000)
        along = np.exp(np.log(factors[1000:]).mean())
        assert (abs(v[1]) < 1e-6) == keeps
        assert (along == pytest.approx(ravine.contraction(4.0, factor), rel=1e-6)) == keeps
    assert jumps.critical_factor(12.0) == 2.0  # sums of fourth powers, in any number of variables


def test_what_losing_the_direction_costs_and_that_a_shorter_step_costs_more():
    """λ = 2 leaves 0.633, 0.715, 0.987 per step instead of ½, at K = 10, 30, 1000."""
    rng = np.random.default_rng(8)

    def mean(K, factor):
        runs = [polyak(K, factor, rng.standard_normal(2), 2000)[0][500:] for _ in range(5)]
        return np.exp(np.log(runs).mean())

    for K, law in ((10.0, 0.633), (30.0, 0.715), (1000.0, 0.987)):
        assert not jumps.kept_direction(2 * K, factor=2.0)
        assert mean(K, 2.0) == pytest.approx(law, abs=0.004)
        critical = ravine.contraction(4.0, jumps.critical_factor(2 * K))
        assert critical > mean(K, 2.0)


def test_the_decrement_knows_the_order_where_the_curvature_along_the_gradient_does_not():
    """v₁⁴ + 1000 v₁²v₂² + v₂⁴: ακ from 0.54 to 31.6, θ = ¾ everywhere."""
    K, products = 1000.0, []
    for angle in np.linspace(0, np.pi / 2, 4001)[1:-1]:
        a, b = np.cos(angle), np.sin(angle)
        h = a**4 + K * a**2 * b**2 + b**4
        g = np.array([4 * a**3 + 2 * K * a * b**2, 4 * b**3 + 2 * K * a**2 * b])
        H = np.array([[12 * a**2 + 2 * K * b**2, 4 * K * a * b],
                      [4 * K * a * b, 12 * b**2 + 2 * K * a**2]])
        products.append(h * (g @ H @ g) / (g @ g) ** 2)
        if abs(np.linalg.det(H)) > 1:
            assert h / (g @ np.linalg.solve(H, g)) == pytest.approx(0.75, rel=1e-9)
    assert min(products) < 0.6 and max(products) > 30


def test_on_an_almost_surplus_column_a_jump_lands_beside_the_saddle():
    """½(b² − m)² looks like order four where b² ≫ m, and the jump ends at 2mb/(3b² − m) ≪ √m."""
    m, b = 1e-6, 0.05
    slope, bend = 2 * b * (b * b - m), 6 * b * b - 2 * m
    order = jumps.order_of((b * b - m) ** 2 / 2 * bend / slope**2)
    lands = b - (round(order) - 1) * slope / bend
    assert order == pytest.approx(4, abs=0.01)
    assert lands == pytest.approx(2 * m * b / (3 * b * b - m)) and lands < 0.02 * math.sqrt(m)
    assert 6 * lands**2 - 2 * m < -1.9 * m


def test_what_lies_outside_its_range_is_refused_by_name():
    for call, name in ((lambda: jumps.order_of(1.0), "ratio"),
                       (lambda: jumps.order_of(0.0), "ratio"),
                       (lambda: jumps.decrement_ratio(1.0), "order"),
                       (lambda: jumps.decrement_ratio(4.0, -0.1), "wall_share"),
                       (lambda: jumps.safe_share(2.9), "order"),
                       (lambda: jumps.settles(4.0, bend=1.9), "bend"),
                       (lambda: jumps.settles(4.0, bend=math.nan), "bend"),
                       (lambda: jumps.settle_exponent(4.0, 2.0), "smoothness"),
                       (lambda: jumps.convergence_order(2.1), "smoothness"),
                       (lambda: jumps.critical_factor(3.9), "curvature_ratio"),
                       (lambda: jumps.kept_direction(12.0, factor=4.0), "factor")):
        with pytest.raises(ValueError, match=name):
            call()
    with pytest.raises(TypeError, match="ratio"):
        jumps.order_of("0.75")
