"""Feedback for the exercises on GDPolyak: right answers pass, each mistake gets its own hint."""

import math

import numpy as np
import pytest

from saddlelib.checks import check, exercises
from saddlelib.methods import polyak_quotient
from saddlelib.theory import ravine


def quotient(gap, grad):
    m = np.abs(grad).max()
    return gap / m / np.sum((grad / m) ** 2) / m


LOG, Q, RHO = math.log(1e5), math.log(1 / 0.9), math.log(4 / 3)
RIGHT = {
    "gdpolyak-1": [(4, 1 / 16), np.array([4.0, 0.0625])],
    "gdpolyak-2": [(499, 22), (-499.0, 22.0)],
    "gdpolyak-3": [(4373, 1815), (LOG**2 / (Q * RHO), LOG**2 / (Q * math.log(2)))],
    "gdpolyak-4": [(1e-6 / 7, 1e-6 / 3), (1.43e-7, 3.33e-7)],
    "gdpolyak-5": [(3, 8 / 27), (3.0, 0.296)],
    "gdpolyak-6": [quotient, polyak_quotient],
    "gdpolyak-7": [(1, 0.86, 2), (4, 0.7, 2.0), (0, 1.7, 3),
                   (1, ravine.growth(0.04, 20.0, factor=2.0), 2)],
    "gdpolyak-8": [(6, 5, 0.8), (6.0, 5.0, 4 / 5)],
}

# A typical mistake, and words that only its own hint contains.
WRONG = {
    "gdpolyak-1": [((16 / 9, 0.1), "belongs to λ = 1. With"), ((2, 0.1), "that is 1/ρ"),
                   ((0.25, 0.1), "upside down"), ((7, 0.1), "proportional to"),
                   ((4, 0.5), "fourth power"), ((4, 16), "below one"), ((4, 81 / 256), "81/256"),
                   ((4, 0.9), "f = cv⁴"), (4, "2 numbers")],
    "gdpolyak-2": [((249, 22), "not its coefficient"), ((500, 22), "the one belongs"),
                   ((25, 22), "length of the step"), ((3999, 22), "(4v³)²"),
                   ((7, 22), "α = 1/(16v²) = 25"), ((499, 21.595), "Round up"),
                   ((499, 1996), "logarithm counts"), ((499, 24.85), "small ημ alone"),
                   ((499, 10), "Solve"), (499, "2 numbers")],
    "gdpolyak-3": [((LOG / (Q * RHO), 1), "squared"), ((LOG**2 / (0.1 * RHO), 1), "per cent"),
                   ((25 / (Q * RHO), 1), "mixes logarithms"), ((16 * 4373, 1), "fourth power"),
                   ((2186, 1), "not a half"), ((8746, 1), "halved"), ((5, 1), "put ε"),
                   ((4373, 2186), "half the price"), ((4373, 4373), "through ρ"),
                   ((4373, 5), "only ρ changes"), (4373, "2 numbers")],
    "gdpolyak-4": [((1e-6, 1), "even better"), ((7e-6, 1), "upside down"),
                   ((1e-6 / 3, 1), "exactly to the minimizer"), ((1e-6 / 8, 1), "the one counts"),
                   ((5, 1), "passes one"), ((1e-6 / 7, 2e-6 / 7), "not simply twice"),
                   ((1e-6 / 7, 0.5e-6 / 7), "leave earlier"), ((1e-6 / 7, 5), "λ = 2: solve"),
                   (1e-7, "2 numbers")],
    "gdpolyak-5": [((1.5, 0.3), "not 1/p"), ((4, 0.3), "¾"), ((2, 0.3), "a bowl"),
                   ((7, 0.3), "The order: solve (p − 1)/p = 2/3."), ((3, 2 / 3), "to the distance"),
                   ((3, 0.159), "rounding"), ((3, 16 / 81), "third power"),
                   ((3, 81 / 256), "order 4"), ((3, 9), "ρ = 1 − 1/p"), (3, "2 numbers")],
    "gdpolyak-6": [(lambda gap, g: gap / np.linalg.norm(g), "The norm is squared"),
                   (lambda gap, g: gap * (g @ g), "do not multiply"),
                   (lambda gap, g: quotient(gap, g) * abs(g).max(), "is missing"),
                   (lambda gap, g: quotient(gap, g) / abs(g).max(), "too many"),
                   (lambda gap, g: quotient(gap, g) * abs(g).max() ** 2, "in two goes"),
                   (lambda gap, g: -quotient(gap, g), "The sign"),
                   (lambda gap, g: 3.0, "yours says 3;"),
                   (lambda gap, g: gap / (g @ g), "underflows to 0"),
                   (lambda gap, g: quotient(gap, g) if abs(g).max() < 1e100 else gap / (g @ g),
                    "overflows on"), (3, "function"), (lambda gap: gap, "takes 1")],
    "gdpolyak-7": [((1, 0.36, 1), "what makes the epochs few"), ((2, 0.2, 2), "too slowly"),
                   ((5, 6, 2), "too fast"), ((40, 0.86, 2), "start with a few"),
                   ((1, 0.86, 9), "leads away"), ((1.5, 1, 1), "whole number"),
                   ((3, -1, 2), "at least 0, and"), (3, "3 numbers")],
    "gdpolyak-8": [((5 / 6, 5, 0.8), "that is θ."), ((1.2, 5, 0.8), "p/(p − 1)"),
                   ((5, 5, 0.8), "is the jump"), ((11 / 6, 5, 0.8), "not 1 + θ"),
                   ((2, 1, 0), "a bowl"), ((4, 3, 2 / 3), "¾"), ((7, 6, 0.8), "θ = 2/2.4"),
                   ((6, 6, 0.8), "one less"), ((6, 0.2, 0.8), "upside down"),
                   ((6, 1, 0.8), "if f were quadratic"), ((6, 3, 0.8), "or p − 1"),
                   ((6, 5, 0.2), "takes away"), ((6, 5, 5 / 6), "step of Polyak"),
                   ((6, 5, 0.8**6), "left of f"), ((6, 5, 0), "that is a jump"),
                   ((6, 5, 0.5), "1/(p − 1) of it"), (6, "3 numbers")],
}


def test_every_exercise_is_covered():
    assert set(RIGHT) == set(WRONG) == {e for e in exercises() if e.startswith("gdpolyak-")}


@pytest.mark.parametrize("exercise, answer", [(e, a) for e in RIGHT for a in RIGHT[e]])
def test_right_answers_pass(exercise, answer):
    feedback = check(exercise, answer)
    assert feedback and "Correct" in repr(feedback), feedback


@pytest.mark.parametrize("exercise", WRONG)
def test_each_typical_mistake_gets_its_own_hint(exercise):
    hints = {}
    for answer, words in WRONG[exercise]:
        feedback = check(exercise, answer)
        assert not feedback and feedback.message.startswith("Not yet.")
        assert words in feedback.message, feedback
        hints[words] = feedback.message
    assert len(set(hints.values())) == len(hints) >= 4
    for words in hints:  # no hint could stand for another
        assert sum(words in message for message in hints.values()) == 1, words


@pytest.mark.parametrize("exercise", RIGHT)
def test_no_answer_is_no_mistake_and_nonsense_is_answered_kindly(exercise):
    assert "Not answered yet" in check(exercise, None).message
    for nonsense in ("", object(), [1, 2, 3, 4], float("nan"), True, {}):
        assert not check(exercise, nonsense)


@pytest.mark.parametrize("first", [0, 2, 8])
@pytest.mark.parametrize("growth", [0.0, 0.36, 1.0])
def test_the_last_exercise_cannot_be_done_with_the_published_factor(first, growth):
    assert not check("gdpolyak-7", (first, growth, 1))
