"""Answers to the exercises on deep networks; `test_checks.py` asks what feedback each one gets."""

import math

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.linalg import polar

import saddlelib
from saddlelib.checks import check
from saddlelib.checks._deep import _networks
from saddlelib.methods.muon import polar_factor
from saddlelib.problems import DeepLinear
from saddlelib.theory import muon as muon_laws
from saddlelib.theory import rawal2026, saxe2013


def wait(m, eps, depth):
    return quad(lambda w: 1 / (w ** (depth - 1) * (m - w**depth)), eps, (m / 2) ** (1 / depth),
                limit=200)[0]


def by_steps(m, eps, depth):
    """The flow of one layer, with an event at half of the mode."""
    def half(t, w):
        return w[0] ** depth - m / 2
    half.terminal = True
    run = solve_ivp(lambda t, w: w ** (depth - 1) * (m - w**depth), (0, 1e9), [eps], events=half,
                    rtol=1e-8, atol=1e-12)
    return run.t_events[0]


def with_strengths(power, factor=lambda L: L, start=lambda eps, L: eps**L, end=lambda m, p0: m / 2,
                   target=lambda m: m):
    """The time between two strengths where p′ = factor·p^power·(target − p)."""
    def answer(m, eps, L):
        def inverse(y):
            p = math.exp(y)
            return p ** (1 - power(L)) / (factor(L) * (target(m) - p))
        p0 = start(eps, L)
        return quad(inverse, math.log(p0), math.log(end(m, p0)), limit=200)[0]
    return answer


def flow(L):
    return 2 - 2 / L


def leading(m, eps, L):
    return math.log(m / eps**2) / (2 * m) if L == 2 else eps ** (2 - L) / ((L - 2) * m)


def factor_of(G):
    if not np.any(G):
        return np.zeros_like(G)
    U, _, Vt = np.linalg.svd(G, full_matrices=False)
    return U @ Vt


def muon(grad, layers, eta, beta, steps):
    momenta = [0 * W for W in layers]
    for _ in range(steps):
        grads = grad(layers)
        momenta = [beta * B + (1 - beta) * G for B, G in zip(momenta, grads, strict=True)]
        layers = [W - eta * factor_of(B) for W, B in zip(layers, momenta, strict=True)]
    return layers


def with_root(grad, layers, eta, beta, steps):
    """By G(GᵀG)^(−½), with the momentum that PyTorch's documentation has."""
    momenta = [0.0] * len(layers)
    for _ in range(steps):
        momenta = [beta * B + G for B, G in zip(momenta, grad(layers), strict=True)]
        roots = [B @ np.linalg.pinv(polar(B)[1], rcond=1e-10) for B in momenta]
        layers = tuple(W - eta * root for W, root in zip(layers, roots, strict=True))
    return layers


def in_float32(*given):
    return [W.astype(np.float32) for W in muon(*given)]


def as_lists(*given):
    return tuple(W.tolist() for W in muon(*given))


def with_polar(other):
    """Muon with something else in place of the polar factor."""
    def answer(grad, layers, eta, beta, steps):
        momenta = [np.zeros_like(W) for W in layers]
        for _ in range(steps):
            momenta = [beta * B + (1 - beta) * G
                       for B, G in zip(momenta, grad(layers), strict=True)]
            layers = [W - eta * other(B) for W, B in zip(layers, momenta, strict=True)]
        return layers
    return answer


def with_another(**options):
    """`muon` with another argument."""
    def answer(grad, layers, eta, beta, steps):
        told = dict(eta=eta, beta=beta, steps=steps)
        told |= {name: change(told[name]) for name, change in options.items()}
        return muon(grad, layers, **told)
    return answer


def through_svd(G):
    U, _, Vt = np.linalg.svd(G, full_matrices=False)
    return U @ Vt


def transposed_again(G):
    U, _, Vt = np.linalg.svd(G, full_matrices=False)
    return U @ Vt.T


def first_counts_whole(grad, layers, eta, beta, steps):
    momenta = None
    for _ in range(steps):
        grads = grad(layers)
        momenta = grads if momenta is None else [
            beta * B + (1 - beta) * G for B, G in zip(momenta, grads, strict=True)]
        layers = [W - eta * factor_of(B) for W, B in zip(layers, momenta, strict=True)]
    return layers


def nesterov(grad, layers, eta, beta, steps):
    momenta = [0 * W for W in layers]
    for _ in range(steps):
        grads = grad(layers)
        momenta = [beta * B + (1 - beta) * G for B, G in zip(momenta, grads, strict=True)]
        layers = [W - eta * factor_of(beta * B + (1 - beta) * G)
                  for W, B, G in zip(layers, momenta, grads, strict=True)]
    return layers


def mean_of_factors(grad, layers, eta, beta, steps):
    momenta = [0 * W for W in layers]
    for _ in range(steps):
        momenta = [beta * B + (1 - beta) * factor_of(G)
                   for B, G in zip(momenta, grad(layers), strict=True)]
        layers = [W - eta * B for W, B in zip(layers, momenta, strict=True)]
    return layers


def one_after_the_other(grad, layers, eta, beta, steps):
    layers, momenta = list(layers), [0 * W for W in layers]
    for _ in range(steps):
        for i in range(len(layers)):
            momenta[i] = beta * momenta[i] + (1 - beta) * grad(layers)[i]
            layers[i] = layers[i] - eta * factor_of(momenta[i])
    return layers


def wasteful(grad, layers, *rest):
    layers = muon(grad, layers, *rest)
    grad(layers)
    return layers


def in_place(grad, layers, *rest):
    for W, new in zip(layers, muon(grad, [W.copy() for W in layers], *rest), strict=True):
        W[:] = new
    return layers


def into_the_list(grad, layers, *rest):
    layers[:] = muon(grad, layers, *rest)
    return layers


FASTER = [rawal2026.critical_depth_time(0.1, 5, 12) / rawal2026.critical_depth_time(eps, r, 12)
          for eps, r in ((0.2, 5), (0.1, 4))]
HALF = [saxe2013.escape_time(m, 1e-6, m / 2) for m in (1.0, 0.25)]
RIGHT = {
    "deep-1": [(8, 20 / 3, 1 / 12), ["8", "20/3", "1/12"], np.array([8.0, 6.67, 0.0833])],
    "deep-2": [(-2, -6, -18), ["-2", "-6.0", -18], np.array([-2.0, -6.0, -18.0])],
    "deep-3": [(6.91, 24.86, 0.353), [*HALF, math.sqrt(1 / 8)], (*HALF, math.sqrt(1 / 8) - 1e-3)],
    "deep-4": [(2, 1 / 8, 9), ["2", "1/8", 9.0]],
    "deep-5": [wait, by_steps, lambda m, eps, L: np.float32(wait(m, eps, L)),
               lambda m, eps, L: saxe2013.escape_time(m, eps**L, m / 2, L)],
    "deep-6": [muon, with_root, in_float32, as_lists],
}

# A typical mistake, and words that only its own hint contains.
WRONG = {
    "deep-1": [((1 / 8, 10, 1 / 8), "Twice ε: the wait gets shorter"),
               ((16, 10, 1 / 8), "and r = 5"), ((32, 10, 1 / 8), "and r = 5"),
               ((4, 10, 1 / 8), "only less so"), ((2, 10, 1 / 8), "not one"),
               ((1024, 10, 1 / 8), "twelve layers"), ((5, 10, 1 / 8), "twice ε make"),
               ((FASTER[0], 10, 1 / 8), "Twice ε: that is the time itself"),
               ((8, 10, 1 / 8), "power of ε alone"), ((8, 15, 1 / 8), "exchanges them"),
               ((8, 3 / 20, 1 / 8), "One fewer: the wait gets shorter"),
               ((8, 1 / 10, 1 / 8), "One fewer: the wait gets shorter"),
               ((8, 100, 1 / 8), "one power of ε fewer"),
               ((8, 200 / 3, 1 / 8), "one power of ε fewer"),
               ((8, FASTER[1], 1 / 8), "One fewer: that is the time itself"),
               ((8, 5, 1 / 8), "divide"), ((8, 20 / 3, 1 / 8), "stand 1/3 and 1/2"),
               ((8, 20 / 3, 3 / 16), "that has 3/(2ε)"), ((8, 20 / 3, 12), "that is 1/ε"),
               ((8, 20 / 3, 0.1), "whatever ε is"), (10, "3 numbers")],
    "deep-2": [((2, -6, -18), "there is a way down"), ((0, -6, -18), "would hide"),
               ((-6, -6, -18), "meets the ½"), ((-1, -6, -18), "factor of two"),
               ((-4, -6, -18), "factor of two"), ((-1.5, -6, -18), "the other entry"),
               ((-7, -6, -18), "value of DM?"), ((-2, 6, -18), "The first is right. W₁ = W₃"),
               ((-2, -2, -18), "to the entry 3"), ((-2, -3, -18), "D alone"),
               ((-2, -12, -18), "any direction"), ((-2, -7, -18), "turn what they like"),
               ((-2, -6, 18), "The first two are right. W₁ = W₄"),
               ((-2, -6, -6), "two layers stand between"), ((-2, -6, -12), "not added"),
               ((-2, -6, -2), "meet in order: the largest"), ((-2, -6, 0), "only two zeros"),
               ((-2, -6, -9), "that of W₃W₂"), (-2, "3 numbers")],
    "deep-3": [((13.8, 24.86, 0.35), "halves the time"),
               ((saxe2013.escape_time(1, 1e-3, 0.5), 1, 1), "begins at ε²"), ((3, 1, 1), "natural"),
               ((0.706, 1, 1), "that is the time of Muon"), ((1, 1, 1), "put m = 1"),
               ((6.91, 1.727, 1), "m stands below"), ((6.91, 6.91, 1), "comes later"),
               ((6.91, 27.63, 1), "nearer to the start"), ((6.91, 49.7, 1), "over 2m"),
               ((6.91, 1, 1), "put m = ¼"), ((6.91, 24.86, 0.125), "take the root"),
               ((6.91, 24.86, 0.5), "whole mode"), ((6.91, 24.86, 0.7071), "other mode"),
               ((6.91, 24.86, 24.86), "flow again"), ((6.91, 24.86, 0.474), "0.9 of the mode"),
               ((6.91, 24.86, 3), "their product"), (7, "3 numbers")],
    "deep-4": [((1, 0.125, 9), "drops out"), ((0, 0.125, 9), "taken off"),
               ((3, 0.125, 9), "unlike tanh"), ((5, 0.125, 9), "each term"),
               ((2, 0.25, 9), "Take off that of"), ((2, -0.125, 9), "the sign"),
               ((2, 0.5, 9), "slope of softplus"), ((2, 7, 9), "s = z/2"),
               ((2, 0.125, 24), "not the ratio"), ((2, 0.125, 3), "with its sign"),
               ((2, 0.125, 4), "both layers grow"), ((2, 0.125, -1), "not the sum"),
               ((2, 0.125, 81), "squared already"), ((2, 0.125, 7), "4 − 1"), (2, "3 numbers")],
    "deep-5": [(with_strengths(flow, start=lambda eps, L: eps), "with the strength ε."),
               (with_strengths(flow, factor=lambda L: 1), "L is missing"),
               (with_strengths(lambda L: 1 - 1 / L), "stay bounded"),
               (with_strengths(lambda L: 2 - 1 / L), "comes in twice"),
               (with_strengths(flow, end=lambda m, p0: m - (m - p0) / math.sqrt(2)),
                "where the loss"),
               (with_strengths(flow, end=lambda m, p0: 0.9 * m), "at 0.9"),
               (lambda m, eps, L: with_strengths(flow, end=lambda m, p0: 0.5)(m, eps, L) if m > 0.5
                else wait(m, eps, L), "at the strength ½"),
               (lambda m, eps, L: with_strengths(flow, target=lambda m: 1.0)(m, eps, L) if m < 2
                else wait(m, eps, L), "m = 1 alone"),
               (lambda m, eps, L: saxe2013.escape_time(m, eps**L, m / 2), "for every depth"),
               (leading, "leading term"), (lambda *given: 2 * wait(*given), "Twice as long"),
               (lambda *given: wait(*given) / 2, "Half as long"),
               (lambda *given: 1.3 * wait(*given), "finer than"), (lambda *given: -3, "positive"),
               (lambda *given: math.inf, "for ever"), (lambda *given: None, "returns nothing"),
               (lambda *given: "soon", "wants a number"), (lambda m: m, "TypeError"),
               (3, "function")],
    "deep-6": [(lambda grad, layers, *rest: layers, "as they were"),
               (with_another(eta=lambda eta: -eta), "Uphill"),
               (with_polar(lambda B: B), "factor is missing"),
               (with_polar(lambda B: B / max(np.linalg.norm(B), 1e-300)), "as unequal"),
               (with_polar(np.sign), "sign of each entry"),
               (with_polar(polar_factor), "take the SVD"),
               (with_polar(transposed_again), "U @ Vt"), (with_polar(through_svd), "stay where"),
               (with_another(beta=lambda beta: 0), "The momentum is missing"),
               (with_another(beta=lambda beta: 1 - beta), "exchanged"),
               (first_counts_whole, "begins with B = G"), (nesterov, "Nesterov's"),
               (mean_of_factors, "of the mean"), (one_after_the_other, "Take all gradients"),
               (with_another(steps=lambda n: n - 1), "One step is"),
               (with_another(steps=lambda n: n + 1), "One step too many"),
               (with_another(eta=lambda eta: 0.9 * eta), "is off by"), (wasteful, "asked 5 times"),
               (in_place, "changes the list"), (into_the_list, "changes the list"),
               (with_polar(lambda B: factor_of(np.nan_to_num(B)) / B.any()), "finite"),
               (lambda *given: muon(*given)[:1], "Return 2 layers"),
               (lambda *given: 1.0, "the list of layers"),
               (lambda *given: None, "returns nothing"), (lambda grad: grad, "TypeError"),
               (3, "function")],
}


def test_the_answers_are_those_of_the_laws():
    """What the tables of the exercises state in numbers, by the library."""
    for depth in (5, 12):
        eps = np.array([1e-4, 2e-4])
        five = [rawal2026.critical_depth_time(e, 5, depth) for e in eps]
        four = rawal2026.critical_depth_time(eps[0], 4, depth)
        assert five[0] / five[1] == pytest.approx(8, rel=1e-3)
        assert five[0] / four == pytest.approx(2 / (3 * eps[0]), rel=1e-3)
    assert FASTER[0] > FASTER[1] > 1  # at 0.1 doubling wins, not only by the leading term
    assert check("deep-3", (*HALF, muon_laws.escape_time(0.25, 1e-3, 0.5)))
    kind = rawal2026.activation_class(lambda z: np.log1p(np.exp(z)) - math.log(2))
    assert (kind.letter, kind.order) == ("C", 2) and check("deep-4", (2, kind.coefficient, 9))


def test_the_least_eigenvalues_of_two_zeros_are_those_of_the_exercise():
    D, zero = np.diag([1.0, 3.0]), np.zeros((2, 2))
    for layers, least in (((zero, zero, D), -2), ((zero, D, zero), -6),
                          ((zero, D, D, zero), -18)):
        network = DeepLinear.from_modes([2.0, 0.5], depth=len(layers))
        x = network.pack(list(layers))
        assert not network.grad(x).any()
        assert np.linalg.eigvalsh(network.hess(x))[0] == pytest.approx(least)
        seen = saddlelib.certify(network, x, epsilon=1e-3)
        assert seen.verdict.name == "NEGATIVE_CURVATURE"


def test_the_method_of_the_last_exercise_is_the_one_of_the_library():
    for network, eta, beta, steps in _networks():
        problem = network.problem
        run = saddlelib.minimize(
            problem, problem.pack(network.start), "muon", step_size=eta, momentum=beta,
            nesterov=False, polar="exact", adjust="off", maxiter=steps, epsilon=1e-12,
            shapes=[W.shape for W in network.start], certificate=False)
        by_hand = problem.pack(muon(network.grad, network.start, eta, beta, steps))
        assert np.allclose(run.x, by_hand, atol=1e-9)
