"""The authors' experiments with GDPolyak run again, with their seed and settings.

They are those of github.com/damek/GDPolyak, seed 3407, float64. Published numbers are those that
its notebook prints.
"""

import math

import numpy as np
import pytest

from saddlelib import Oracle
from saddlelib.methods import GDPolyak, PolyakDescent, polyak_quotient
from saddlelib.problems import QuadraticSensing, RavineRosenbrock, TwoNeurons
from saddlelib.theory import ravine

torch = pytest.importorskip("torch")
SEED = 3407


def draw(*shapes):
    """The authors' standard normal numbers, in the order in which they draw them."""
    generator = torch.random.get_rng_state()
    try:
        torch.manual_seed(SEED)
        return [torch.randn(*shape, dtype=torch.double).numpy() for shape in shapes]
    finally:
        torch.random.set_rng_state(generator)


def run(problem, x0, step_size, K, epochs, look=()):
    """f at the evaluations that ``look`` counts from 1, the long steps, the last f, the oracle."""
    oracle, method = Oracle(problem), GDPolyak(step_size, K, epochs=epochs)
    state, seen, long = method.init(oracle, x0), {}, []
    while state.finished != "budget":
        if state.nit + 1 in look:
            seen[state.nit + 1] = problem.fun(state.x)
        before = state.epochs
        state = method.step(oracle, state)
        if state.epochs > before:
            long.append(state.last_step)
    return seen, np.array(long), state, oracle


@pytest.fixture(scope="module")
def rosenbrock():
    x0, = draw((2,))
    settled = [101 * epoch for epoch in range(1, 151)]
    return run(RavineRosenbrock(10.0), x0, 0.0125, 100, 150, look=settled)


@pytest.fixture(scope="module")
def sensing():
    G, x0, a, b = draw((100, 2), (400,), (1000, 100), (1000, 100))
    problem = QuadraticSensing(a, b, G / np.linalg.norm(G), columns=4)
    return problem, x0 / np.linalg.norm(x0)


def official_neuron(w, v):
    """The authors' loss, from cosines, with the gradient that autograd makes of it."""
    w = [torch.tensor(part, requires_grad=True) for part in np.split(w, 2)]
    v = torch.tensor(v)
    sizes = [torch.norm(part) for part in (*w, v)]
    terms = []
    for i, j, parts in ((0, 1, w), (0, 2, (w[0], v)), (1, 2, (w[1], v))):
        cos = torch.dot(*parts) / (sizes[i] * sizes[j])
        terms.append((torch.sqrt(1 - cos**2) - torch.acos(cos) * cos) * sizes[i] * sizes[j])
    loss = 0.25 * torch.norm(w[0] + w[1] - v) ** 2 + (terms[0] - terms[1] - terms[2]) / (2 * np.pi)
    loss.backward()
    return loss.item(), np.concatenate([part.grad.numpy() for part in w])


@pytest.fixture(scope="module")
def neurons():
    """The authors' run of two neurons, 21 epochs of 25: iterates at their ends, and losses."""
    w1, w2, v = draw((100,), (100,), (100,))
    x, rows = np.concatenate([w1, w2]), []
    for _ in range(21):
        for _ in range(100):
            x = x - 1.5 * official_neuron(x, v)[1]
        loss, grad = official_neuron(x, v)
        rows.append((x, loss))
        x = x - polyak_quotient(loss, grad) * grad
    return TwoNeurons(v), rows


# Rosenbrock -----------------------------------------------------------------------


def test_rosenbrock_ends_at_the_published_value_digit_for_digit(rosenbrock):
    assert rosenbrock[0][5050] == pytest.approx(1.0245573e-27, rel=1e-7)


def test_polyak_alone_is_chaotic_so_that_its_published_values_cannot_come_out():
    """Starts that differ in the last digit; published is 1.1e-8 at iteration 1000."""
    problem, values = RavineRosenbrock(10.0), []
    x0, = draw((2,))
    for ulps in range(-4, 5):
        oracle, method = Oracle(problem), PolyakDescent()
        state = method.init(oracle, x0 + [ulps * np.spacing(x0[0]), 0.0])
        for _ in range(999):
            state = method.step(oracle, state)
        values.append(problem.fun(state.x))
    assert max(values) > 2 * min(values)
    assert 1e-12 < min(values) and max(values) < 1e-5


def test_rosenbrock_steps_grow_from_064_to_2e12_by_16_9_an_epoch(rosenbrock):
    steps = rosenbrock[1][:50]
    assert steps[0] == pytest.approx(0.64, rel=0.01)
    assert steps[-1] == pytest.approx(1.95e12, rel=0.01)
    np.testing.assert_allclose(steps[30:50] / steps[29:49], ravine.step_growth(), rtol=1e-6)


def test_the_published_rosenbrock_run_ends_three_epochs_before_it_stalls(rosenbrock):
    f = np.array([rosenbrock[0][101 * epoch] for epoch in range(1, 151)])
    rate = f[1:] / f[:-1]
    assert (rate[20:50] < 0.33).all() and rate[50:53].min() > 0.2  # epochs 21 to 51, 51 to 54
    assert (rate[55:100] > 0.7).all() and f[-1] > 1e-31


# Sensing ----------------------------------------------------------------------------


def test_sensing_goes_through_the_published_values(sensing):
    """Ten digits at evaluations 5000 and 10000; at 15000 rounding has taken all but three."""
    problem, x0 = sensing
    assert problem.fun(x0) == pytest.approx(2.93, rel=2e-3)
    assert problem.distance(x0) == pytest.approx(1.288, rel=1e-3)
    seen, steps, state, _ = run(problem, x0, 0.05, 300, 50, look=(5000, 10000, 15000))
    assert seen[5000] == pytest.approx(6.2816518424516314e-12, rel=1e-9)
    assert seen[10000] == pytest.approx(2.0806698592660778e-16, rel=1e-8)
    assert seen[15000] == pytest.approx(3.304e-20, rel=5e-3)
    assert (steps[0], steps[-1]) == pytest.approx((8.2, 3.6e8), rel=0.03)
    assert problem.distance(state.x) == pytest.approx(1.64e-5, rel=0.02)


def test_the_plotted_distance_of_sensing_compares_singular_values_alone(sensing):
    """It turns the rows as well: a wrong column space with the right values is at distance 0."""
    problem, _ = sensing
    G = problem.truth
    tilt = np.linalg.qr(np.random.default_rng(0).standard_normal((100, 100)))[0]
    wrong = tilt @ G

    def plotted(X):
        U1, _, V1 = np.linalg.svd(X, full_matrices=False)
        U2, _, V2 = np.linalg.svd(G, full_matrices=False)
        return np.linalg.norm(X - U1 @ (U2.T @ G @ V2.T) @ V1)

    def of_singular_values(X):
        return np.linalg.norm(np.linalg.svd(X)[1] - np.linalg.svd(G)[1])
    X = np.random.default_rng(1).standard_normal((100, 4))
    assert plotted(X) == pytest.approx(of_singular_values(X), rel=1e-12)
    assert plotted(wrong) < 1e-14
    assert problem.distance(wrong.ravel()) > 1.2 and problem.fun(wrong.ravel()) > 3


def test_the_code_measures_1_over_m_with_step_005_where_the_text_says_1_over_4m(sensing):
    """With 1/(4m), η = 0.05 would be a quarter as long: ημ = 0.024 instead of 0.097."""
    problem, _ = sensing
    mu, top = problem.normal_curvature
    assert (mu, top) == pytest.approx((1.949, 23.84), rel=1e-3)
    assert 0.05 * mu == pytest.approx(0.0975, rel=1e-3) and 0.05 < 2 / top


# Two neurons ------------------------------------------------------------------------


def test_two_neurons_go_through_the_published_value(neurons):
    """Evaluation 2000 is in the twentieth epoch, 20 short steps from its end; f hardly moves there.
    """
    assert neurons[1][19][1] == pytest.approx(2.954744547457998e-17, rel=0.01)


def test_the_loss_from_cosines_is_11_8_of_the_true_one_below_an_angle_of_1e_4(neurons):
    """fl(c²) loses (1 − c)², which makes sin θ too large by θ³/8."""
    problem, rows = neurons
    ratios = np.array([loss / problem.fun(x) for x, loss in rows])
    np.testing.assert_allclose(ratios[14:20], 11 / 8, rtol=1e-3)
    assert abs(ratios[2] - 1) < 1e-2


def test_that_inflates_the_plotted_rate_of_two_neurons(neurons):
    """(1 − (11/8)/3)³ = 0.159 an epoch where the true loss gives (2/3)³ = 8/27."""
    problem, rows = neurons
    losses = np.array([loss for _, loss in rows])
    np.testing.assert_allclose(losses[15:] / losses[14:-1], (1 - 11 / 24) ** 3, rtol=5e-3)
    x = rows[8][0]
    rates = []
    for _ in range(5):
        before, g = problem.fun(x), problem.grad(x)
        x = x - polyak_quotient(before, g) * g
        for _ in range(25):
            x = x - 1.5 * problem.grad(x)
        rates.append(problem.fun(x) / before)
    np.testing.assert_allclose(rates[1:], ravine.contraction(3.0) ** 3, rtol=2e-2)


def test_two_neurons_grow_like_the_cube_of_the_distance(neurons):
    problem, rows = neurons
    x = rows[8][0]
    w1, w2 = np.split(x, 2)
    v = problem.target
    off = [w - (w @ v) / (v @ v) * v for w in (w1, w2)]
    t = np.linalg.norm(off[0])
    along = [w @ v / (v @ v) for w in (w1, w2)]
    law = t**3 / (3 * np.pi * along[0] * along[1] * np.linalg.norm(v))
    assert problem.fun(x) == pytest.approx(law, rel=2e-2)
    assert problem.distance(x) == pytest.approx(math.sqrt(2) * t, rel=1e-2)


# Rounding ---------------------------------------------------------------------------


def test_rounding_floors_of_factorization_follow_eps_to_the_four_thirds():
    """float32, float64 and, where it is longer, long double."""
    rng = np.random.default_rng(0)
    truth, start = rng.standard_normal((6, 1)), rng.standard_normal((6, 2))
    floors, eps = [], []
    for kind in (np.float32, np.float64, np.longdouble):
        if floors and np.finfo(kind).eps >= eps[-1]:
            continue
        G, X = (truth / np.linalg.norm(truth)).astype(kind), (start / 4).astype(kind)
        M, best = G @ G.T, math.inf
        for step in range(8000):
            E = X @ X.T - M
            g = 2 * E @ X
            if step % 80 == 79:
                f = (E * E).sum() / 2
                best, X = min(best, float(f)), X - f / (g * g).sum() * g
            else:
                X = X - kind(0.2) * g
        floors.append(best)
        eps.append(float(np.finfo(kind).eps))
    slopes = np.diff(np.log(floors)) / np.diff(np.log(eps))
    law = math.log(ravine.rounding_floor(1.0, eps=1e-8)) / math.log(1e-8)
    np.testing.assert_allclose(slopes, law, rtol=0.2)
