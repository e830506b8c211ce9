"""Answers to the exercises on noisy gradients; `test_checks.py` asks what feedback each gets."""

import math

import numpy as np

from saddlelib.checks import check
from saddlelib.checks._psgd import _walk
from saddlelib.theory import noise


def psgd_back(grad, loss, push, x, eta, t, T, steps):
    left = 0
    for _ in range(steps):
        if left == 0 and np.linalg.norm(grad(x)) <= t:
            before, x, left = x, x + push(), T
        x = x - eta * grad(x)
        if left > 0:
            left -= 1
            if left == 0 and loss(x) >= loss(before):
                x = before
    return x


def in_episodes(grad, loss, push, x, eta, t, T, steps):
    """The same as a loop in a loop, in place."""
    while steps > 0:
        if np.linalg.norm(grad(x)) > t:
            x -= eta * grad(x)
            steps -= 1
            continue
        before = x.copy()
        x += push()
        for _ in range(min(T, steps)):
            x -= eta * grad(x)
        if steps >= T and not loss(x) < loss(before):
            x = before
        steps -= T
    return x


def with_a_mistake(**mistake):
    return lambda *given: _walk(*given, **mistake)


def in_the_largest_norm(grad, loss, push, x, eta, t, *others):
    """Measures the first gradient by its largest entry."""
    if abs(grad(x)).max() <= t:
        x = x + push()
    return psgd_back(grad, loss, push, x, eta, t, *others)


def longer(episode=0, run=0):
    return lambda grad, loss, push, x, eta, t, T, steps: psgd_back(
        grad, loss, push, x, eta, t, T + episode, steps + run)


RIGHT = {
    "psgd-1": [(34, 17778), np.array([34.0, 17778.0])],
    "psgd-3": [13.2, 13, 13.3],
    "psgd-4": [14.2067, math.log(2) / math.log(1.05), 14, 15],
    "psgd-6": [(-0.8, -0.8, -0.8), (1, 1, -1), np.array([-0.6, 0.6, 0.6])],
    "psgd-7": [(848, 2.62668), (900, 2.56)],
    "psgd-8": [4900, 4899.5, 4901],
    "psgd-9": [(4.454, 0), (4.45, 0.0), [4.5, 1e-17]],
    "psgd-10": [psgd_back, in_episodes],
}

# A typical mistake, and words that only its own hint contains.
WRONG = {
    "psgd-1": [((9.0625, 17778), "All 400"), ((21.5, 17778), "adds σ"),
               ((25, 17778), "noise alone"), ((5.831, 17778), "its root"),
               ((64, 17778), "Squares add up"), ((7, 17778), "put the numbers"),
               ((34, 17777), "nearly"), ((34, 1777778), "one per cent of the square"),
               ((34, 45), "The batch: the dimension"), ((34, 100), "solve σ²d/B"),
               (34, "2 numbers")],
    "psgd-3": [(0.132, "in per cent"), (1.132, "over the old"), (113.2, "over the old"),
               (28.1, "the root"), (0.34, "itself"), (12.45, "Nearly"), (-13, "positive"),
               (50, "Solve")],
    "psgd-4": [(13.863, "flow"), (28.41, "four times the noise"), (7.273, "step size is missing"),
               (6.170, "logarithms"), (-14.2, "positive"), (3, "Solve")],
    "psgd-6": [((0.8, 0.8, 0.8), "turn it round"), ((0.9, 0.7, -0.6), "differ in size"),
               ((-0.8, -0.8, -0.795), "differ in size"), ((0.8, 0.8, -0.801), "differ in size"),
               ((0.8, 0.7, 0.6), "multiple of (u, v, w)"),
               ((0, 1, 1), "between ½ and 1"), ((-2, -2, -2), "between ½ and 1"),
               (-0.8, "3 numbers")],
    "psgd-7": [((177778, 0.75), "budget is 900"), ((400, 3.53), "no threshold helps"),
               ((848, 2.3), "usual norm"), ((848, 2.55), "misses 0.15"),
               ((848, 2.65), "lower the threshold"), ((848.5, 2.5), "whole number"),
               ((848, -1), "positive"), (848, "2 numbers")],
    "psgd-8": [(5000, "one part of all"), (100, "half of all"), (2352, "two gradients"),
               (2548, "two gradients"), (4704, "larger batch is missing"), (313600, "samples"),
               (-1, "positive"), (9, "Count")],
    "psgd-9": [((0, 0), "only the gradient in V"), ((4.454**2, 0), "square of the norm"),
               ((4.454 / 2, 0), "without a factor ½"), ((-9, 0), "not negative"),
               ((3, 0), "flatten"), ((4.454, 4.454), "other factor"), (4.454, "2 numbers")],
    "psgd-10": [(with_a_mistake(sign=-1), "go up"), (with_a_mistake(pushes=False), "Nothing is"),
                (with_a_mistake(within=True), "within an episode"),
                (with_a_mistake(back="never"), "never goes back"),
                (with_a_mistake(back="always"), "in any case"),
                (with_a_mistake(stale=True), "before the push. Ask"),
                (longer(episode=1), "one more"), (longer(episode=-1), "one fewer"),
                (longer(run=1), "one step more"), (longer(run=-1), "one step fewer"),
                (lambda *given: given[3] + 1.0, "Follow the run"),
                (in_the_largest_norm, "no coordinate has alone"),
                (lambda *given: 0.0, "of shape (4,)"),
                (lambda *given: (given[3], 1), "a tuple of 2"),
                (lambda grad, loss, push, *rest: sum(push() for _ in range(999)), "Follow"),
                (lambda x: x, "takes"), (lambda *given: None, "returns nothing"), (3, "function")],
}


def test_a_smallest_batch_passes_and_one_sample_less_cannot():
    """No threshold rescues the batch below the smallest; the exercise says which way to go."""
    rule = noise.calibrated_rule(5.0, 200, 1.5, failure_prob=0.05)
    assert check("psgd-7", (rule.batch_size, rule.threshold))
    for threshold in np.linspace(0.98, 1.02, 41) * rule.threshold:
        assert not check("psgd-7", (rule.batch_size - 1, threshold))
