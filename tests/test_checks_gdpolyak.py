"""Answers to the exercises on GDPolyak; `test_checks.py` asks what feedback each one gets."""

import math

import numpy as np
import pytest

from saddlelib.checks import check
from saddlelib.checks._gdpolyak import TEN_DIGITS
from saddlelib.checks._laws import race
from saddlelib.methods import GDPolyak, polyak_quotient
from saddlelib.oracle import Oracle
from saddlelib.problems import RavineRosenbrock
from saddlelib.theory import ravine


def descend(call, x, eta, K, more, epochs):
    for i in range(epochs):
        for _ in range(int(K + i * more)):
            x = x - eta * call(x)[1]
        f, g = call(x)
        x = x - f / (g @ g) * g
    return x


def as_one_loop(call, x, eta, K, more, epochs):
    left, epoch = K, 0
    while epoch < epochs:
        f, g = call(x)
        if left >= 1:
            x, left = x - eta * g, left - 1
        else:
            x, epoch = x - polyak_quotient(f, g) * g, epoch + 1
            left = np.floor(K + epoch * more)
    return list(x)


def with_another(**options):
    """`descend` with another argument, or another way to change it."""
    def answer(call, x, eta, K, more, epochs):
        told = dict(eta=eta, K=K, more=more, epochs=epochs)
        told |= {name: change(told[name]) for name, change in options.items()}
        return descend(call, x, **told)
    return answer


def with_lengths(length):
    """`descend` with ``length(i, K, more)`` short steps in epoch i."""
    def answer(call, x, eta, K, more, epochs):
        for i in range(epochs):
            x = descend(call, x, eta, length(i, K, more), 0, 1)
        return x
    return answer


def with_long(long, first=False):
    """`descend` with another long step, ``long(f, g)`` times the gradient, perhaps first."""
    def answer(call, x, eta, K, more, epochs):
        for i in range(epochs):
            kinds = [False] * int(K + i * more)
            for is_long in ([True, *kinds] if first else [*kinds, True]):
                f, g = call(x)
                x = x - (long(f, g) if is_long else eta) * g
        return x
    return answer


def with_stale(call, x, eta, K, more, epochs):
    for i in range(epochs):
        for _ in range(int(K + i * more)):
            f, g = call(x)
            x = x - eta * g
        x = x - f / (g @ g) * g
    return x


def uphill(call, x, eta, K, more, epochs):
    for i in range(epochs):
        for _ in range(int(K + i * more)):
            x = x + eta * call(x)[1]
        f, g = call(x)
        x = x + f / (g @ g) * g
    return x


def wasteful(call, x, eta, K, more, epochs):
    x = descend(call, x, eta, K, more, epochs)
    call(x)
    return x


def in_place(call, x, eta, K, more, epochs):
    y = descend(call, x.copy(), eta, K, more, epochs)
    x[:] = y
    return x


def polyak(f, g):
    return f / (g @ g)


def told_nothing(x, g_old, g, eta, p, theta=None):
    bend = g_old @ (g_old - g) / (eta * (g_old @ g_old))
    return x - ((p - 1) / p if theta is None else theta) / bend * g


def by_secants(x, g_old, g, eta, p):
    change = g_old - g
    return x - (1 - 1 / p) * eta * (g_old @ change) / (change @ change) * g


def into_x(x, *rest):
    x -= x - told_nothing(x, *rest)
    return x


RIGHT = {
    "gdpolyak-1": [(4, 1 / 16), np.array([4.0, 0.0625]), (4, 0.062), (4, 0.063)],
    "gdpolyak-2": [(499, 22), (-499.0, 22.0)],
    "gdpolyak-3": [TEN_DIGITS, (3351 * (10 / 7) ** 2, 3351 * (10 / 7) ** 2 * 2.15), (6887, 14282)],
    "gdpolyak-4": [told_nothing, by_secants,
                   lambda x, g_old, g, eta, p: list(told_nothing(x, g_old, g, eta, p))],
    "gdpolyak-7": [(1, 0.86, 2), (4, 0.7, 2.0), (0, 1.7, 3),
                   (1, ravine.growth(0.04, 20.0, factor=2.0), 2)],
    "gdpolyak-8": [(6, 5, 0.8), (6.0, 5.0, 4 / 5)],
    "gdpolyak-9": [descend, as_one_loop],
}

# A typical mistake, and words that only its own hint contains.
WRONG = {
    "gdpolyak-1": [((16 / 9, 0.1), "belongs to λ = 1. With"), ((2, 0.1), "that is 1/(1 − λ/p)"),
                   ((0.25, 0.1), "upside down"), ((7, 0.1), "proportional to"),
                   ((4, 0.5), "fourth power"), ((4, 16), "below one"), ((4, 81 / 256), "81/256"),
                   ((4, 0.9), "f = cv⁴"), (4, "2 numbers")],
    "gdpolyak-2": [((249, 22), "not its coefficient"), ((500, 22), "the one belongs"),
                   ((25, 22), "length of the step"), ((3999, 22), "(4v³)²"),
                   ((7, 22), "α = 1/(16v²) = 25"), ((499, 21.595), "Round up"),
                   ((499, 21), "Round up"), ((499, 1996), "logarithm counts"),
                   ((499, 24.85), "small ημ alone"), ((499, 10), "Solve"), (499, "2 numbers")],
    "gdpolyak-3": [((4787, 1), "a linear rate"), ((13957, 1), "of the distance already"),
                   ((3354, 1), "three digits more"), ((3203, 1), "not a half"),
                   ((10**5, 1), "7 digits took"), ((6840, 6840), "takes back less"),
                   ((6840, 13680), "more than twice"), ((6840, 27000), "one of the two"),
                   ((6840, 3420), "does not save"), ((6840, 31747), "not squared"),
                   ((6840, 5), "in place of 0.25"), (6840, "2 numbers")],
    "gdpolyak-4": [(lambda x, *rest: x - told_nothing(x, *rest), "the step alone"),
                   (lambda x, *rest: x, "x again"),
                   (lambda x, *rest: 2 * x - told_nothing(x, *rest), "that goes up"),
                   (lambda *given: told_nothing(*given, theta=1), "Newton's step along"),
                   (lambda *given: told_nothing(*given, theta=1 / given[-1]), "not 1/p"),
                   (lambda *given: told_nothing(*given, theta=given[-1] / (given[-1] - 1)),
                    "upside down"),
                   (lambda *given: told_nothing(*given, theta=0.75), "belongs to order 4"),
                   (lambda x, g_old, g, eta, p: told_nothing(x, g_old, g, 1.0, p), "lacks eta"),
                   (lambda x, g_old, g, eta, p:
                    x - (1 - 1 / p) * eta / (g_old @ (g_old - g)) * g, "as in θ_g"),
                   (lambda *given: told_nothing(*given, theta=0.4), "where Polyak's goes"),
                   (lambda x, *rest: x - np.sign(rest[1]), "Off the line"),
                   (lambda x, *rest: x[:1], "shape"), (into_x, "caller's array"),
                   (lambda *given: None, "returns nothing"),
                   (lambda x: x, "takes 1 positional"), (4, "function")],
    "gdpolyak-7": [((1, 0.36, 1), "what makes the epochs few"), ((2, 0.2, 2), "too slowly"),
                   ((5, 6, 2), "too fast"), ((40, 0.86, 2), "start with a few"),
                   ((1, 0.86, 9), "leads away"), ((3, 0.86, 1.5), "Take λ = 2 or 3"),
                   ((1.5, 1, 1), "whole number"),
                   ((3, -1, 2), "at least 0, and"), (3, "3 numbers")],
    "gdpolyak-8": [((5 / 6, 5, 0.8), "that is θ."), ((1.2, 5, 0.8), "p/(p − 1)"),
                   ((5, 5, 0.8), "is the jump"), ((11 / 6, 5, 0.8), "not 1 + θ"),
                   ((2, 1, 0), "a bowl"), ((4, 3, 2 / 3), "¾"), ((7, 6, 0.8), "θ = 2/2.4"),
                   ((6, 6, 0.8), "one less"), ((6, 0.2, 0.8), "upside down"),
                   ((6, 1, 0.8), "if f were quadratic"), ((6, 3, 0.8), "or p − 1"),
                   ((6, 5, 0.2), "takes away"), ((6, 5, 5 / 6), "step of Polyak"),
                   ((6, 5, 0.8**6), "left of f"), ((6, 5, 0), "that is a jump"),
                   ((6, 5, 0.5), "1/(p − 1) of it"), (6, "3 numbers")],
    "gdpolyak-9": [(uphill, "go downhill"),
                   (with_long(lambda f, g: -polyak(f, g)), "Your long steps go uphill"),
                   (with_long(lambda f, g: 0.0), "long steps are missing"),
                   (with_lengths(lambda i, K, more: 0), "short steps are missing"),
                   (with_long(polyak, first=True), "begin with the long step"),
                   (with_long(lambda f, g: f / np.linalg.norm(g)), "is squared"),
                   (with_long(lambda f, g: f), "does not divide"),
                   (with_long(lambda f, g: polyak(f, g) / 2), "half as long"),
                   (with_stale, "Call again where it begins"),
                   (with_another(more=lambda more: 0), "do not grow"),
                   (with_lengths(lambda i, K, more: K + (i + 1) * more), "counted from 0"),
                   (with_another(more=int), "at the end, not before"),
                   (with_lengths(lambda i, K, more: math.ceil(K + i * more)), "not up"),
                   (with_lengths(lambda i, K, more: round(K + i * more)), "not to the nearest"),
                   (with_another(epochs=lambda n: n - 1), "One epoch is missing"),
                   (with_another(epochs=lambda n: n + 1), "One epoch too many"),
                   (with_another(K=lambda K: K - 1), "one short step too few"),
                   (with_another(eta=lambda eta: 0.9 * eta), "An epoch is"),
                   (wasteful, "calls where"), (in_place, "changes the start"),
                   (lambda call, x, *rest: call(x)[0], "Return the last point"),
                   (lambda call, x, *rest: x * np.nan, "go downhill"),
                   (lambda *given: (descend(*given), 1), "a tuple of 2"),
                   (lambda call, x, *rest: None, "returns nothing"),
                   (lambda x: x, "TypeError"), (3, "function")],
}


@pytest.mark.parametrize("first", [0, 2, 8])
@pytest.mark.parametrize("growth", [0.0, 0.36, 1.0])
def test_the_last_exercise_cannot_be_done_with_the_published_factor(first, growth):
    assert not check("gdpolyak-7", (first, growth, 1))


@pytest.mark.parametrize("first, growth, factor", [(1, 0.86, 2.0), (0, 1.7, 3.0), (4, 0.7, 2.5)])
def test_the_short_run_of_the_page_is_the_method_itself(first, growth, factor):
    oracle, method = Oracle(RavineRosenbrock(10.0)), GDPolyak(0.04, first, growth=growth,
                                                              factor=factor)
    state = method.init(oracle, np.array([0.6, 0.9]))
    while oracle.problem.fun(state.x) > 1e-24:
        state = method.step(oracle, state)
    assert race(first, growth, factor, "arrived") == oracle.njev <= 300
    assert 0 <= race(first, growth, factor, "best") <= 1e-24


@pytest.mark.parametrize("step_size, gradients", [*zip((0.0125, 0.00625), TEN_DIGITS, strict=True)])
def test_ten_digits_take_what_the_exercise_says(step_size, gradients):
    """From the start of the authors, with epochs that begin with five short steps."""
    oracle, more = Oracle(RavineRosenbrock(10.0)), ravine.growth(step_size, 20.0)
    method = GDPolyak(step_size, 5, growth=more)
    state = method.init(oracle, np.array([1.0970541, 0.5327534]))
    while oracle.problem.fun(state.x) > 1e-40:
        state = method.step(oracle, state)
    assert oracle.njev == gradients
