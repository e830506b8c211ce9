"""Feedback: right answers pass, and each typical mistake gets its own hint."""

import numpy as np
import pytest

from saddlelib.checks import check, exercises

RIGHT = {
    "saddles-1": ["degenerate saddle", "Degenerate saddle"],
    "saddles-2": [0.03, np.float64(0.03)],
    "saddles-3": [145, 144.95, np.ceil(np.log(1e6) / np.log(1.1))],
    "saddles-4": [0.5],
    "saddles-5": [lambda x, v: (12 * x**2 - 2) * v + 0.1 * (v.sum() - v)],
    "saddles-6": [(0.01, 150), [0.05, 100]],
}

# A typical mistake, and a word that only its own hint contains.
WRONG = {
    "saddles-1": [("minimizer", "both\nsides"), ("strict saddle", "second derivative"),
                  ("not stationary", "partial"), ("ridge", "Choose")],
    "saddles-2": [(9e-4, "That is ρε"), (1e-4, "That is ε"), (0.01, "√ε"), (-0.03, "positive"),
                  (7, "Put")],
    "saddles-3": [(138.2, "flow"), (75.8, "1 + γ"), (62.9, "logarithms"), (-145, "negative"),
                  (10, "Solve")],
    "saddles-4": [(0.25, "1/ℓ"), (4.0, "2/γ"), (2 / 4.5, "add"), (3, "eigenvalue λ")],
    "saddles-5": [(lambda x, v: (12 * x**2 - 2) * v, "coupling"),
                  (lambda x, v: (12 * x**2 - 2) * v + 0.1 * v.sum(), "diagonal"),
                  (lambda x, v: (4 * x**2 - 2) * v + 0.1 * (v.sum() - v), "12x²"),
                  (lambda x, v: np.diag(12 * x**2 - 2) + 0.1 * (1 - np.eye(6)), "shape"),
                  (lambda x, v: 4 * v**3 - 2 * v + 0.1 * (v.sum() - v), "gradient at v"),
                  (lambda x, v: v, "Differentiate"), (lambda x: x, "TypeError"), (3, "function")],
    "saddles-6": [((0.01, 20), "your window is 20"), ((1e-9, 100), "need about 2"),
                  ((0.01, 400), "within 200"), ((0.5, 150), "within 0.1"), (0.01, "pair"),
                  ((-1.0, 100), "perturbation_radius")],
}


def test_every_exercise_is_covered():
    assert set(RIGHT) == set(WRONG) == set(exercises())


@pytest.mark.parametrize("exercise, answer", [(e, a) for e in RIGHT for a in RIGHT[e]])
def test_right_answers_pass(exercise, answer):
    feedback = check(exercise, answer)
    assert feedback and "Correct" in repr(feedback)


@pytest.mark.parametrize("exercise", WRONG)
def test_each_typical_mistake_gets_its_own_hint(exercise):
    hints = []
    for answer, words in WRONG[exercise]:
        feedback = check(exercise, answer)
        assert not feedback and feedback.message.startswith("Not yet.")
        assert " ".join(words.split()) in " ".join(feedback.message.split()), feedback
        hints.append(feedback.message)
    assert len(set(hints)) == len(hints) >= 4


@pytest.mark.parametrize("exercise", RIGHT)
def test_no_answer_is_no_mistake_and_nonsense_is_answered_kindly(exercise):
    assert "Not answered yet" in check(exercise, None).message
    for nonsense in ("", object(), [1, 2, 3], float("nan"), True, {}):
        assert not check(exercise, nonsense)


def test_an_unknown_exercise_is_an_error_that_lists_the_known():
    with pytest.raises(ValueError, match="saddles-1"):
        check("saddles-99", 1)
