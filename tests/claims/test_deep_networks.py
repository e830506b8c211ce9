"""Chapter 6, deep networks: what its tables and propositions say, on small instances."""

import numpy as np
import pytest

from saddlelib import certify, minimize
from saddlelib.flow import gradient_flow, loss_falls, mode_reaches
from saddlelib.methods.muon import polar_factor
from saddlelib.problems import DeepLinear, DeepNetwork
from saddlelib.theory import saxe2013

torch = pytest.importorskip("torch")
MODES = [3.0, 1.5, 0.75]


def network(name, smalls, samples=32, method="RK45"):
    """A random network of four layers, and how long it waits by the scale of its small layers.

    Of scale ε are entries with the variance ε²/d; `start` multiplies entries with 2/d.
    """
    problem = DeepNetwork.random(name, (8, 8, 8, 8, 1), samples=samples, rng=0)

    def wait(eps):
        x = problem.start(eps / 2**0.5, 1, small_layers=smalls)
        run = gradient_flow(problem, x, 1e6, loss_falls(lambda x: problem.fun(x), x, 0.5),
                            rtol=1e-4, method=method)
        return float(run.t_events[0][0])

    return wait


# Symmetry


def test_equal_units_stay_equal_and_zero_stays_zero():
    problem = DeepNetwork.random("tanh", (3, 2, 1), samples=10, rng=0)
    x = problem.pack([np.array([[0.5, -0.2, 0.3]] * 2), np.array([[0.7, 0.7]])])
    for _ in range(300):
        x = x - 0.1 * problem.grad(x)
    first, second = problem.unpack(x)
    assert (first[0] == first[1]).all() and second[0, 0] == second[0, 1]
    assert abs(first[0] - [0.5, -0.2, 0.3]).max() > 0.05
    assert not problem.grad(np.zeros(problem.dim)).any()


def test_escape_wakes_two_equal_units_of_xor():
    from saddlelib.optim import Escape

    inputs = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)
    wanted = -inputs[:, 0] * inputs[:, 1]

    def loss(x):
        hidden = torch.tanh(inputs @ x[:4].reshape(2, 2).T + x[4:6])
        return ((hidden @ x[6:8] + x[8] - wanted) ** 2).mean() / 2

    ends = {}
    for wrapped, steps in ((False, 100), (True, 500)):
        x = torch.tensor([0.5] * 4 + [0.3, 0.3, 0.4, 0.4, 0.0], dtype=torch.float64,
                         requires_grad=True)
        optimizer = torch.optim.SGD([x], lr=0.5)
        if wrapped:
            optimizer = Escape(optimizer, loss=lambda: loss(x))  # noqa: B023
        for _ in range(steps):
            optimizer.zero_grad()
            loss(x).backward()
            optimizer.step()
        ends[wrapped] = loss(x).item()
    assert ends[False] > 0.33 and ends[True] < 0.01


# The staircase


def test_a_random_start_goes_down_the_staircase_the_strongest_mode_first():
    problem = DeepLinear.from_modes(MODES, 3)
    x, losses, halves = problem.start(0.1, 0), [], {}
    for k in range(4000):
        losses.append(problem.fun(x))
        for i, strength in enumerate(problem.strengths(x)):
            if strength > MODES[i] / 2:
                halves.setdefault(i, k)
        x = x - 0.02 * problem.grad(x)
    assert list(halves) == [0, 1, 2] and 3 * halves[0] < halves[2]
    for i in range(3):  # before a mode rises the loss is that of the saddle
        level = sum(m**2 for m in MODES[i:]) / 2
        assert losses[4 * halves[i] // 5] == pytest.approx(level, rel=0.1)
    assert losses[-1] < 1e-6


@pytest.mark.parametrize("depth", [2, 3])
def test_how_late_a_random_start_is_does_not_depend_on_its_scale(depth):
    problem = DeepLinear.from_modes(MODES, depth)
    late = []
    for eps in (1e-2, 1e-3):
        law = np.array([saxe2013.escape_time(m, eps**depth, m / 2, depth) for m in MODES])
        found = []
        for seed in range(3):
            events = [mode_reaches(lambda x, i=i: problem.strengths(x)[i], m / 2, i == 2)
                      for i, m in enumerate(MODES)]
            run = gradient_flow(problem, problem.start(eps, seed), 1e6, events, method="LSODA",
                                rtol=1e-5)
            times = np.array([t[0] for t in run.t_events])
            found.append(times - law if depth == 2 else times / law)
        late.append(np.array(found))
    assert np.ptp(late[0], axis=0).max() > 0.5  # while the seed matters
    np.testing.assert_allclose(late[0], late[1], rtol=0.02, atol=0.03)


# The critical depth


@pytest.mark.parametrize("name", ["linear", "tanh", "gelu"])
def test_networks_with_random_weights_have_the_exponents_of_the_law(name):
    two, three, four = (network(name, smalls) for smalls in (2, 3, 4))
    added = np.diff([two(eps) for eps in (0.04, 0.02, 0.01)])
    assert added[1] == pytest.approx(added[0], rel=0.02) and added[0] > 0.1
    assert np.log2(three(0.01) / three(0.02)) == pytest.approx(1, abs=0.03)
    assert np.log2(four(0.01) / four(0.02)) == pytest.approx(2, abs=0.03)


def test_sigmoid_layers_level_off_where_the_law_has_a_power():
    wait = network("sigmoid", 3)
    waits = [wait(eps) for eps in (0.04, 0.02, 0.01, 0.005, 0.0025)]
    added = np.diff(waits)
    assert (added < 0.35 * np.array(waits[:-1])).all()  # the law doubles the wait
    assert (np.diff(added) < 0).all() and added[-1] < 0.1 * waits[-2]


def test_four_sigmoid_layers_wait_longer_with_an_exponent_of_one_and_not_two():
    wait, tanh = network("sigmoid", 4, method="BDF"), network("tanh", 4)  # stiff
    waits = [wait(eps) for eps in (0.04, 0.02, 0.01)]
    exponents = np.log2(np.divide(waits[1:], waits[:-1]))
    assert (exponents < 1.15).all() and exponents[1] < exponents[0]
    assert waits[2] == pytest.approx(7 * tanh(0.01), rel=0.1)


# The order of the saddle


@pytest.mark.parametrize("zeros", [1, 2, 3, 4])
def test_where_r_layers_are_zero_the_loss_changes_with_their_rth_power(zeros):
    problem = DeepNetwork.random("gelu", (3, 4, 4, 4, 2), samples=20, rng=0)
    rng = np.random.default_rng(1)
    layers = problem.unpack(rng.standard_normal(problem.dim))
    where = rng.permutation(4)[:zeros]
    x = problem.pack([0 * W if i in where else W for i, W in enumerate(layers)])
    along = rng.standard_normal(problem.dim)
    change = [problem.fun(x + t * along) - problem.fun(x) for t in (1e-2, 5e-3)]
    assert np.log2(abs(change[0] / change[1])) == pytest.approx(zeros, abs=0.15)
    assert problem.grad(x).any() == (zeros == 1)
    assert problem.hess(x).any() == (zeros <= 2)


def test_a_look_at_zero_sees_nothing_from_three_layers_on():
    said = []
    for depth in (2, 3, 4):
        problem = DeepLinear.from_modes([2.0, 1.0, 0.5], depth)
        said.append(certify(problem, np.zeros(problem.dim), epsilon=1e-3).verdict.name)
    assert said == ["NEGATIVE_CURVATURE", "VACUOUS", "VACUOUS"]


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_beside_zero_there_is_curvature_of_the_scale_to_the_power_of_the_depth_less_two(depth):
    problem = DeepLinear.from_modes(MODES, depth)
    least = [np.linalg.eigvalsh(problem.hess(problem.start(eps, 0)))[0] for eps in (0.1, 0.01)]
    assert least[0] < 0 and least[0] / least[1] == pytest.approx(10 ** (depth - 2), rel=0.02)
    if depth == 3:
        assert least[0] == pytest.approx(-0.58, abs=0.005)


# What helps


TANH = DeepNetwork.random("tanh", (8, 8, 8, 8, 1), samples=64, rng=0)


def descent(x):
    return x - 0.1 * TANH.grad(x)


def orthogonal(x):
    factors = [polar_factor(G) for G in TANH.unpack(TANH.grad(x))]
    return x - 0.02 * TANH.pack(factors)


def steps_to_half(step, eps, push=0.0):
    x = TANH.start(eps / 2**0.5, 1)
    z = np.random.default_rng(2).standard_normal(TANH.dim)
    x = x + push * np.linalg.norm(x) / np.linalg.norm(z) * z
    goal = TANH.fun(x) / 2
    for k in range(2000):
        if TANH.fun(x) < goal:
            return k
        x = step(x)
    raise AssertionError("the loss has not come to half")


def test_a_short_push_changes_nothing_and_one_of_ten_times_the_start_ends_the_wait():
    plain = steps_to_half(descent, 0.1)
    assert steps_to_half(descent, 0.1, push=0.1) > 0.9 * plain
    assert steps_to_half(descent, 0.1, push=10.0) < 0.05 * plain
    assert steps_to_half(descent, 0.1 * 2**0.5) == pytest.approx(plain / 2, rel=0.1)  # the law


def test_orthogonalized_steps_feel_the_scale_of_the_start_much_less():
    slow = [steps_to_half(descent, eps) for eps in (0.2, 0.1)]
    fast = [steps_to_half(orthogonal, eps) for eps in (0.2, 0.1)]
    assert slow[1] / slow[0] > 3.5  # four, says the law
    assert fast[1] / fast[0] < 1.4 and fast[1] < slow[1] / 4


def test_shortcuts_leave_two_small_layers_and_a_logarithm():
    """Around the inner layers of a linear network: W₄(I + W₃)(I + W₂)W₁."""
    n, target = 4, np.diag([1.0, 0.0, 0.0, 0.0])

    def product(parts):
        return np.linalg.multi_dot(parts[::-1])

    def wait(eps):
        x = eps * np.random.default_rng(0).standard_normal(4 * n * n)
        shift = np.array([0 * np.eye(n), np.eye(n), np.eye(n), 0 * np.eye(n)])

        def grad(x):
            W = x.reshape(4, n, n) + shift
            off = product(W) - target
            up = [product([*W[i + 1:], np.eye(n), np.eye(n)]) for i in range(4)]
            down = [product([np.eye(n), np.eye(n), *W[:i]]) for i in range(4)]
            return np.array([a.T @ off @ b.T for a, b in zip(up, down, strict=True)]).ravel()

        half = loss_falls(lambda x: np.sum((product(x.reshape(4, n, n) + shift) - target)**2), x,
                          0.5)
        return float(gradient_flow(grad, x, 1e3, half, rtol=1e-6).t_events[0][0])

    waits = [wait(eps) for eps in (1e-2, 1e-3, 1e-4)]
    assert np.diff(waits) == pytest.approx(np.log(10), rel=0.05)


# Muon


def factorization(M):
    def loss(x):
        P, Q = x
        E = P @ Q - M
        return np.sum(E**2) / 2, np.array([E @ Q.T, P.T @ E])
    return loss


def test_muon_does_not_rest_and_its_loss_follows_the_square_of_the_step():
    x0 = 1e-6 * np.random.default_rng(0).standard_normal((2, 4, 4))
    ends = [minimize(factorization(np.diag([4.0, 2.25, 1.0, 0.25])), x0, "muon", jac=True,
                     step_size=eta, epsilon=1e-9, maxiter=2000, certificate=False, trace="fun")
            for eta in (0.02, 0.002)]
    for eta, end in zip((0.02, 0.002), ends, strict=True):
        assert 3.5 < np.median(end.trace["fun"][-100:]) / eta**2 < 8  # ten, to a power of ten
    assert not any(end.success for end in ends)
    assert 30 < ends[0].fun / ends[1].fun < 300 and ends[1].fun > 1e-7


def test_at_equal_operator_norm_the_signs_need_more_steps_in_more_dimensions():
    def count(n, direction):
        rng, M = np.random.default_rng(0), np.diag([1.0] * 3 + [0.0] * (n - 3))
        layers, buffers = 1e-3 * rng.standard_normal((2, n, n)) / n**0.5, np.zeros((2, n, n))
        for k in range(1, 200):
            gradients = factorization(M)(layers)[1]
            buffers = 0.95 * buffers + 0.05 * gradients
            steps = np.array([direction(B) for B in buffers])
            layers = layers - [0.02 * S / np.linalg.norm(S, 2) for S in steps]
            if np.sum((layers[0] @ layers[1] - M) ** 2) < 1.5:
                return k
        raise AssertionError("the loss has not come to half")

    small, large = (
        {name: count(n, direction) for name, direction in
         {"gradient": lambda B: B, "signs": np.sign, "polar": polar_factor}.items()}
        for n in (8, 40))
    assert large["signs"] > 1.5 * small["signs"]
    assert large["polar"] <= small["polar"] + 3 and large["gradient"] <= small["gradient"] + 3


# The digits


@pytest.fixture(scope="module")
def digits():
    """The pictures with the mean taken off, their digits, and which pixels speak for which."""
    load_digits = pytest.importorskip("sklearn.datasets").load_digits
    pixels, labels = load_digits(return_X_y=True)
    pixels = (pixels - pixels.mean(0)) / 16
    C = (np.eye(10)[labels] - 0.1).T @ pixels / len(pixels)
    return torch.tensor(pixels), torch.tensor(labels), torch.tensor(C)


def steps_until(share, make, layers, loss, everything, most=2000):
    """Steps until this share of ln 10 is gone, with mini-batches of 64."""
    layers = [torch.tensor(W, requires_grad=True) for W in layers]
    draw, optimizer = torch.Generator().manual_seed(1), make(layers)
    for k in range(most):
        with torch.no_grad():
            if loss(layers, slice(None)).item() < (1 - share) * np.log(10):
                return k
        optimizer.zero_grad()
        loss(layers, torch.randint(everything, (64,), generator=draw)).backward()
        optimizer.step()
    raise AssertionError("the plateau has not ended")


OPTIMIZERS = {"SGD": lambda W: torch.optim.SGD(W, lr=0.5),
              "Adam": lambda W: torch.optim.Adam(W, lr=0.002),
              "Muon": lambda W: torch.optim.Muon(W, lr=0.01, weight_decay=0)}


def plateaus(digits, name, eps):
    """The plateau of the form alone, and that of the network, which is trained when asked for."""
    X, y, C = digits
    shape = DeepLinear(C.numpy(), depth=3, width=32)
    layers = shape.unpack(shape.start(eps, 0))

    def network_loss(W, some):
        h = torch.tanh(torch.tanh(X[some] @ W[0].T) @ W[1].T)
        return torch.nn.functional.cross_entropy(h @ W[2].T, y[some])

    def form_loss(W, some):
        return np.log(10) - (C * (W[2] @ W[1] @ W[0])).sum()

    for loss in (form_loss, network_loss):
        yield steps_until(0.1, OPTIMIZERS[name], layers, loss, len(X))


def test_the_plateau_on_the_digits_is_that_of_one_multilinear_form(digits):
    predicted, measured = plateaus(digits, "SGD", 0.1)
    assert measured == pytest.approx(predicted, rel=0.15)
    shape = DeepLinear(digits[2].numpy(), depth=3, width=32)

    def slopes(x):
        A, B, D = shape.unpack(x)
        C = shape.teacher
        return shape.pack([-(D @ B).T @ C, -D.T @ C @ A.T, -C @ (B @ A).T])

    def by_the_flow(eps):
        tenth = mode_reaches(lambda x: np.sum(shape.teacher * shape.end_to_end(x)),
                             np.log(10) / 10, True)
        run = gradient_flow(slopes, shape.start(eps, 0), 1e5, tenth, rtol=1e-5)
        return run.t_events[0][0] / 0.5

    assert by_the_flow(0.1) == pytest.approx(predicted, rel=0.05)
    assert by_the_flow(0.01) / by_the_flow(0.1) == pytest.approx(10, rel=0.15)


@pytest.mark.parametrize("name", ["Adam", "Muon"])
def test_adam_and_muon_leave_when_the_form_says_and_do_not_feel_the_start(digits, name):
    predicted, measured = plateaus(digits, name, 0.01)
    assert measured == pytest.approx(predicted, rel=0.15)
    assert 0 <= predicted - next(plateaus(digits, name, 0.1)) < 10


def test_the_nuclear_norm_is_all_that_muon_needs_of_the_form(digits):
    C, eta = digits[2].numpy(), 0.01
    shape = DeepLinear(C, depth=3, width=32)
    goal, nuclear = np.log(10) / 10, np.linalg.norm(C, "nuc")
    for eps in (0.1, 0.01):
        W, k = shape.unpack(shape.start(eps, 0)), 0
        while np.sum(C * (W[2] @ W[1] @ W[0])) < goal:
            G = (W[2] @ W[1]).T @ C, W[2].T @ C @ W[0].T, C @ (W[1] @ W[0]).T
            W = [w + eta * polar_factor(g, "exact") for w, g in zip(W, G, strict=True)]
            k += 1
        assert k == pytest.approx(((goal / nuclear) ** (1 / 3) - eps) / eta, rel=0.1)


def test_a_layer_of_attention_waits_as_its_form_does(digits):
    X, y, _ = digits
    tokens = torch.cat([X.reshape(-1, 8, 8), torch.eye(8).double().expand(len(X), 8, 8)], 2)
    C = (torch.eye(10)[y].double() - 0.1).T @ tokens.mean(1) / len(X)
    rng, width = np.random.default_rng(0), 12
    layers = [0.4 * rng.standard_normal((n, m)) / m**0.5
              for n, m in ((width, 16), *[(width, width)] * 3, (10, width))]

    def network_loss(W, some):
        h = tokens[some] @ W[0].T
        who = torch.softmax((h @ W[1].T) @ (h @ W[2].T).transpose(1, 2) / width**0.5, -1)
        return torch.nn.functional.cross_entropy(
            (who @ h @ W[3].T).mean(1) @ W[4].T, y[some])

    def form_loss(W, some):
        return np.log(10) - (C * (W[4] @ W[3] @ W[0])).sum()

    measured, predicted = (steps_until(0.05, OPTIMIZERS["SGD"], layers, loss, len(X))
                           for loss in (network_loss, form_loss))
    assert measured == pytest.approx(predicted, rel=0.1)
