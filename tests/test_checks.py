"""Feedback: right answers pass, and each typical mistake gets its own hint."""

import json
import math
import re
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import test_checks_deep
import test_checks_gdpolyak
import test_checks_growth
import test_checks_psd
import test_checks_psgd
import test_checks_saddles
from browser import ROOT

from saddlelib.checks import _patience, _table, box, check, exercises
from saddlelib.checks._laws import leave
from saddlelib.checks._numbers import NoAnswerError
from saddlelib.doors import minimize
from saddlelib.ensemble import first_time
from saddlelib.perturbation import uniform_ball
from saddlelib.problems import QuarticSaddle


def bend(x, v):
    return (12 * x**2 - 2) * v + 0.1 * (v.sum() - v)


def grad(x):
    return 4 * x**3 - 2 * x + 0.1 * (x.sum() - x)


def dense(x):
    return np.diag(12 * x**2 - 2.1) + 0.1


def certified(norms, eta, ell):
    return eta * (1 - eta * ell / 2) * (norms[:-1] ** 2).sum()


RIGHT = {
    "saddles-1": ["degenerate saddle", "Degenerate saddle"],
    "saddles-2": [0.03, np.float64(0.03)],
    "saddles-3": [145, 144.95, np.ceil(np.log(1e6) / np.log(1.1))],
    "saddles-4": [2, "2.0", 1 + 2 / 2],
    "saddles-5": [bend],
    "saddles-6": [(0.01, 102), (0.01, 122), [0.05, 100]],
    "saddles-7": [lambda x: x[0]**4 - x[0]**2 + x[1]**2,
                  lambda x: x[0]**4 - x[0]**2 + (x[1] - 1)**2, lambda x: np.cos(x).sum()],
    "psd-1": [(50_000, 12_000), np.array([1e5 * 0.5, 12 * 0.5 * math.sqrt(4 / 0.01**3)])],
    "psd-2": [(810, 208), [809.93, 208.0]],
    "psd-3": [(1e8, 1e6, 10), [10**8, 10**6, 10.0]],
    "psd-5": [lambda eta, t, drop: math.sqrt(2 * eta * t * drop),
              lambda eta, t, drop: np.sqrt(np.float32(2 * eta * t * drop)),
              lambda eta, t, drop: np.float64(eta * t) * np.sqrt(2 * drop / max(eta * t, 1e-300))],
    "psd-6": [certified, lambda g, eta, ell: sum((eta - eta**2 * ell / 2) * x * x for x in g[:-1])],
    "psd-7": [(1.0, 0.007, 1100), [0.95, 0.005, 1200]],
}

# A typical mistake, and words that only its own hint contains.
WRONG = {
    "saddles-1": [("minimizer", "both\nsides"), ("strict saddle", "second derivative"),
                  ("not stationary", "partial"), ("ridge", "Choose")],
    "saddles-2": [(0.09, "That is γ²"), (0.1, "how far the bend"), (0.27, "ργ²"),
                  (-0.03, "positive"),
                  (math.sqrt(0.6), "allowed with ε"), (0.2, "it passed"), (7, "Solve")],
    "saddles-3": [(138.2, "flow"), (75.8, "1 + γ"), (62.9, "logarithms"), (-145, "negative"),
                  (10, "Solve"), (144, "Round\nup")],
    "saddles-4": [(1, "add the 1"), (0, "quotient does not"), (2.71, "η = ¼"), (3, "added w"),
                  (4, "nearly u")],
    "saddles-5": [(lambda x, v: (12 * x**2 - 2) * v, "coupling"),
                  (lambda x, v: (12 * x**2 - 2) * v + 0.1 * v.sum(), "diagonal"),
                  (lambda x, v: (4 * x**2 - 2) * v + 0.1 * (v.sum() - v), "12x²"),
                  (lambda x, v: np.diag(12 * x**2 - 2) + 0.1 * (1 - np.eye(6)), "shape"),
                  (lambda x, v: 4 * v**3 - 2 * v + 0.1 * (v.sum() - v), "gradient at v"),
                  (lambda x, v: v, "Differentiate"),
                  (lambda x, v: (grad(x + 1e-6 * v) - grad(x)) / 1e-6, "difference of gradients"),
                  (lambda x, v: dense(x) @ v, "as a matrix does"),
                  (lambda x, v: bend(x[:6], v[:6]), "not in 500"), (lambda x: x, "TypeError"),
                  (3, "function")],
    "saddles-6": [((0.01, 100), "needs 102 steps"), ((0.01, 0.5), "whole number"),
                  ((1e-9, 100), "needs 271 steps"),
                  ((0.01, 123), "shorten"), ((0.1, 200), "shorten"),
                  ((0.01, 400), "within 200"), ((0.5, 150), "within 0.1"), (0.01, "2 numbers"),
                  ((-1.0, 100), "positive")],
    "saddles-7": [(lambda x: x @ x, "it is right"), (lambda x: x[0]**2 - x[1]**2, "far out"),
                  (lambda x: x[0]**3 - 3 * x[0] * x[1]**2 + (x**4).sum(), "not clearly"),
                  (lambda x: x[0] + x[1]**2, "no success"), (lambda x: x, "Error"),
                  (3, "function")],
    "psd-1": [((-50_000, 12_000), "positive"), ((12_000, 50_000), "wrong order"),
              ((25_000, 12_000), "2 is missing"), ((500, 12_000), "in place of ε²"),
              ((100_000, 24_000), "N: Δ_f is 0.5"), ((7, 12_000), "put J = 0"),
              ((50_000, 1000), "12 is missing"), ((50_000, 24_000), "J: Δ_f is 0.5"),
              ((50_000, 3000), "Divide by ρ"), ((50_000, 24e6), "root of ε³/ρ"),
              ((50_000, 120), "in place of ε³"), ((50_000, 7), "put N = 0"),
              (50_000, "2 numbers (N, J)"), ((50_000, "J"), "wants a number"),
              ((50_000, ""), "J is empty")],
    "psd-2": [((805.9, 208), "flow"), ((1157, 208), "r/d"), ((463, 208), "whole push"),
              ((351.7, 208), "logarithms"), ((-810, 208), "positive"), ((208, 810), "wrong order"),
              ((6913, 208), "solve"), ((810, 104), "two gradients"), ((810, 172), "allowed a few"),
              ((810, 7), "row of 100"), (810, "2 numbers")],
    "psd-3": [((1e-8, 1e-6, 0.1), "larger than one"), ((1e4, 1e6, 10), "that is 1/ε. The"),
              ((1e6, 1e8, 10), "factor of the moves"), ((7, 1e6, 10), "2ℓΔ_f/ε²"),
              ((1e8, 1e12, 10), "1/ε³"), ((1e8, 1e8, 10), "factor of the steps"),
              ((1e8, 7, 10), "12 Δ_f"), ((1e8, 1e6, 100), "root of its own"),
              ((1e8, 1e6, 1e4), "two roots"), ((1e8, 1e6, 1e7), "all looks together"),
              ((1e8, 1e6, 7), "into √(ℓ/γ_ε)"), (2.5, "3 numbers")],
    "psd-5": [(lambda eta, t, drop: 2 * eta * t * drop, "Take the root"),
              (lambda eta, t, drop: math.sqrt(eta * t * drop), "√2 is missing"),
              (lambda eta, t, drop: math.sqrt(2 * eta * drop), "steps is missing"),
              (lambda eta, t, drop: t * math.sqrt(2 * eta * drop), "triangle"),
              (lambda eta, t, drop: eta * math.sqrt(2 * t * drop), "What is η²/η"),
              (lambda eta, t, drop: math.sqrt(2 * t * drop), "step size is missing"),
              (lambda eta, t, drop: 1.0, "yours says 1"), (lambda eta: eta, "TypeError"),
              (lambda eta, t, drop: None, "returns nothing"), (3, "function")],
    "psd-6": [(lambda g, eta, ell: certified(np.append(g, 0), eta, ell), "leave it out"),
              (lambda g, eta, ell: eta * (g[:-1] ** 2).sum(), "1 − ηℓ/2 is missing"),
              (lambda g, eta, ell: eta * (g**2).sum(), "is missing: the curvature gives back up to "
               "ηℓ/2 of what the slope promises. And leave out the last"),
              (lambda g, eta, ell: eta / 2 * (g[:-1] ** 2).sum(), "factor for η = 1/ℓ"),
              (lambda g, eta, ell: certified(g, eta, ell) / eta, "step size in front"),
              (lambda g, eta, ell: eta * (1 - eta * ell / 2) * g[:-1].sum(), "Square the norms"),
              (lambda g, eta, ell: eta * (1 - eta * ell / 2) * g[:-1].sum() ** 2, "First square"),
              (lambda g, eta, ell: certified(g[-2:], eta, ell), "the last step"),
              (lambda g, eta, ell: 1.0, "yours says 1"), (lambda g: g, "TypeError"),
              (lambda g, eta, ell: g, "wants a number"), (3, "function")],
    "psd-7": [((1.5, 0.007, 1250), "beyond 1/ℓ"), ((1.0, 0.01, 1250), "whole descent"),
              ((1.0, 0.007, 1300), "budget is 25000"),
              ((1.0, 0.007, 800), "needs about 1062 steps"), ((1.0, 0.007, 915), "19 of 20"),
              ((1.0, 0.007, 1000), "20 of 20"), ((1.0, 0.007, 1250), "a tenth too long"),
              ((1.0, 1e-5, 1250), "needs about 17"), ((0.5, 0.007, 1250), "step of 0.5"),
              ((1.0, 0.007, 1200.5), "whole number"), ((-1.0, 0.007, 1250), "positive"),
              (1250, "3 numbers")],
}


for later in (test_checks_saddles, test_checks_psd, test_checks_psgd, test_checks_growth,
              test_checks_gdpolyak, test_checks_deep):
    RIGHT |= later.RIGHT
    WRONG |= later.WRONG
BOXES = [name for name in exercises() if _table(name).kind != "code"]


def test_every_exercise_is_covered():
    assert set(RIGHT) == set(WRONG) == set(exercises())


@pytest.mark.parametrize("exercise, answer", [(e, a) for e in RIGHT for a in RIGHT[e]])
def test_right_answers_pass(exercise, answer):
    feedback = check(exercise, answer)
    assert feedback and feedback.message.startswith("Correct."), feedback


@pytest.mark.parametrize("exercise", WRONG)
def test_each_typical_mistake_gets_its_own_hint(exercise):
    hints = []
    for answer, words in WRONG[exercise]:
        feedback = check(exercise, answer)
        assert not feedback and feedback.message.startswith(("Not yet.", "Not answered yet"))
        assert " ".join(words.split()) in " ".join(feedback.message.split()), feedback
        hints.append((words, feedback.message))
    distinct = dict(hints)
    assert len(set(distinct.values())) == len(distinct) >= 4


@pytest.mark.parametrize("exercise", BOXES)
def test_every_hint_of_a_table_is_reached(exercise):
    table, reached = _table(exercise), set()
    for answer in [*RIGHT[exercise], *(answer for answer, _ in WRONG[exercise])]:
        try:
            reached.add(table.place(answer))
        except NoAnswerError:
            pass
    texts = [*(text for _, text in table.rows), table.last]
    assert [text for i, text in enumerate(texts) if i not in reached] == []


@pytest.mark.parametrize("exercise", RIGHT)
def test_no_answer_is_no_mistake_and_nonsense_is_answered_kindly(exercise):
    assert "Not answered yet" in check(exercise, None).message
    for nonsense in ("", object(), [1, 2, 3, 4], float("nan"), True, np.True_, {}, [], b"\xff"):
        assert not check(exercise, nonsense)


def test_an_unknown_exercise_is_an_error_that_lists_the_known():
    for ask in (box, lambda name: check(name, 1)):
        with pytest.raises(ValueError, match="saddles-1"):
            ask("saddles-99")


def numbers_like(x):
    import sympy
    import torch

    return [x, np.float64(x), np.array(x), np.array([x]), np.float32(x), Decimal(x), Fraction(x),
            sympy.Float(x), sympy.Rational(x), torch.tensor(x), torch.tensor([x]),
            torch.tensor(x, requires_grad=True), f" {x} ", str(x).encode(), f"{x:e}", f"+{x}"]


def test_a_number_is_whatever_float_takes():
    for number in numbers_like(2.0):
        assert check("saddles-4", number), repr(number)
    for order, five in zip(numbers_like(6.0), numbers_like(5.0), strict=True):
        assert check("gdpolyak-8", [order, five, "4/5"]), repr(order)
    assert check("psd-3", (10**8, 10**6, Fraction(10)))
    assert check("gdpolyak-1", (4, Fraction(1, 16)))
    assert check("growth-6", 10**400).message == "Not yet. The answer is a finite real number."


def test_a_root_of_sympy_is_a_number():
    import sympy

    assert check("growth-4", sympy.sqrt(2)) and not check("growth-4", sympy.I)


@pytest.mark.parametrize("text", ["0.03", "3e-2", " .03 ", "3·10⁻²", "3*10^-2", "3/100", "√9/100",
                                  "(3)/(10^2)", "0_0.03", "3.E-2", "+.3e-1", "3×10**−2",
                                  "sqrt(9)·1e-2", "−−0.03"])
def test_a_text_is_read_as_it_is_written_by_hand(text):
    assert check("saddles-2", text), check("saddles-2", text)


@pytest.mark.parametrize("text, words", [
    ("0,03", "without a comma"), ("25,000", "without a comma"), ("inf", "finite"),
    ("NaN", "finite"), ("-Infinity", "finite"), ("1/0", "finite"), ("1e999", "finite"),
    ("√-1", "finite"), ("three", "not “three”"), ("0.03 m", "such as 0.03"), ("1+1", "such as"),
    ("(3", "such as"), ("3)", "such as"), ("0x3", "such as"), ("3__0", "such as"), ("^2", "such"),
    ("9" * 90, "such as"), ("  ", "Not answered yet")])
def test_what_is_no_number_is_told_why(text, words):
    feedback = check("saddles-2", text)
    assert not feedback and words in feedback.message, feedback


def test_a_function_without_an_end_is_stopped_and_told(monkeypatch):
    """Also one that goes on after every Exception, and the next answer is judged as ever."""
    def endless(*_):
        while True:
            try:
                math.sqrt(2)
            except Exception:
                pass

    monkeypatch.setattr(_patience, "LIMIT", 0.1)
    for exercise in ("psd-5", "saddles-8"):
        assert "not come to an end" in check(exercise, endless).message
    monkeypatch.undo()
    assert check("psd-5", RIGHT["psd-5"][0])


def test_a_function_that_leaves_python_does_not():
    assert "SystemExit" in check("psd-5", lambda *_: sys.exit(1)).message


def test_a_word_may_have_blanks_and_capitals():
    assert check("saddles-1", " Degenerate  saddle\n")


def test_whole_runs_agree_with_the_short_ones_of_two_tables():
    """What the page works out in one dimension is what the library's runs in 1000 do."""
    saddle = QuarticSaddle.spread(1000, gamma=0.1)
    for radius, window in [(0.01, 101), (0.1, 77)]:
        runs = [minimize(saddle, np.zeros(1000), "pgd", epsilon=1e-3, curvature_tol=0.05,
                         perturbation_radius=radius, episode_length=window, rng=seed,
                         maxiter=1000, certificate=False) for seed in range(20)]
        left = sum(run.fun < saddle.f_star / 2 for run in runs)
        feedback = check("saddles-6", (radius, window))
        assert feedback if left == 20 else f"{left} of 20" in feedback.message, feedback
    slow = QuarticSaddle.spread(1000, gamma=0.01)
    starts = uniform_ball(np.random.default_rng(0), 1000, 1.0, 20)
    for eta, radius, window in [(1.0, 0.007, 900), (1.0, 1e-3, 1000), (0.5, 0.007, 1250)]:
        times = first_time(slow, radius * starts, lambda x: slow.fun(x) <= slow.f_star / 2,
                           step_size=eta, maxiter=window)
        assert leave(tuple(abs(starts[:, 0])), radius, eta, 0.01, -slow.f_star / 2, window) == \
            np.isfinite(times).sum()


def test_the_table_needs_no_widgets():
    """Only `box` does."""
    code = "import sys, saddlelib.checks as c; c.check('saddles-2', 1); print('anywidget' in " \
           "sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def cells(kind):
    """The cells of all chapters of one kind, with their text."""
    for path in (ROOT / "chapters").glob("*.ipynb"):
        for cell in json.loads(path.read_text("utf8"))["cells"]:
            if cell["cell_type"] == kind:
                yield cell, "".join(cell["source"])


def test_each_exercise_of_the_book_has_a_title_of_its_own_and_a_box():
    titles = [found for _, source in cells("markdown") for found in
              re.findall(r'\*\*Exercise \d\.\d+ \((★+ .+)\)\.\*\* <a id="ex-(\S+)"', source)]
    boxed = [name for _, source in cells("code")
             for name in re.findall(r'checks\.box\("(\S+)"\)', source)]
    names = [name for _, name in titles]
    assert sorted(names) == sorted(boxed) == sorted(exercises())
    assert len({title.strip("★ ") for title, _ in titles}) == len(titles)


def test_no_notebook_shows_an_answer_unasked():
    """The right ones stand in folded solutions, and in the tables of these tests."""
    for cell, source in cells("code"):
        found = re.findall(r'checks\.check\(\s*"(\S+)"', source)
        if found:
            said = "".join(cell["outputs"][0]["data"]["text/plain"])
            assert said == f"{found[0]}: Not answered yet: the function returns nothing."
