"""Answers to the exercises on perturbed gradient descent and momentum, and what each is told."""

import numpy as np
import pytest

from saddlelib.checks import check
from saddlelib.perturbation import uniform_ball, uniform_sphere
from saddlelib.problems import QuarticSaddle


def method(*, sign=-1, push=uniform_ball, wait=True, keep=True, twice=False, end=0, cubed=False,
           stop=True, first=True, begin=True, drop=None):
    """PGD with one of its parts wrong."""
    def pgd(f, grad, x, eta, r, g_thres, f_thres, t_thres, rng):
        pushed, before, value = -t_thres - 1, x, np.inf
        g = grad(x if first else x + 1)
        for k in range(10**6):
            if np.linalg.norm(g) <= g_thres and (k - pushed > t_thres or not wait):
                if not begin:
                    return x
                pushed, before, value = k, x, f(x)
                x = x + push(rng, x.size, r)
                g = grad(x)
            least = f_thres if drop is None else drop
            if stop and k - pushed == t_thres + end and f(x) - value > -least or (
                    cubed and k - pushed == t_thres):
                return before if keep else x
            x = x + sign * eta * (grad(x) if twice else g)
            g = grad(x)
    return pgd


def in_place(f, grad, x, eta, r, g_thres, f_thres, t_thres, rng):
    pushed, before = -t_thres - 1, x
    for k in range(10**6):
        g = grad(x)
        if np.linalg.norm(g) <= g_thres and k - pushed > t_thres:
            pushed, before = k, x
            value = f(x)
            x += uniform_ball(rng, x.size, r)
            g = grad(x)
        if k - pushed == t_thres and f(x) - value > -f_thres:
            return before
        x -= eta * g


def asks_late(f, grad, x, eta, r, g_thres, f_thres, t_thres, rng):
    """The test comes before the gradient."""
    since, before = t_thres + 1, None
    while True:
        if since == t_thres and f(x) - f(before) > -f_thres:
            return before
        g = grad(x)
        if since > t_thres and np.linalg.norm(g) <= g_thres:
            since, before = 0, x.copy()
            z = rng.standard_normal(x.size)
            x = x + r * rng.random() ** (1 / x.size) * z / np.sqrt(z @ z)
            g = grad(x)
        x, since = x - eta * g, since + 1


def moves_no_more(f, grad, x, eta, r, g_thres, f_thres, t_thres, rng):
    """A push, and then a loop that forgets the step."""
    grad(x)
    x = x + uniform_ball(rng, x.size, r)
    while True:
        grad(x)


def along_one_axis(rng, dim, radius):
    return radius * rng.uniform(-1, 1) * np.eye(dim)[0]


RIGHT = {"saddles-8": [method(), asks_late, lambda *given: list(method()(*given))],
         "saddles-9": [1.2, "6/5", max(np.roots([1, -1.95, 0.9]))]}

# A typical mistake, and words that only its own hint contains.
WRONG = {
    "saddles-8": [(method(twice=True), "One a point is enough"), (method(sign=1), "uphill"),
                  (method(push=lambda rng, d, r: np.zeros(d)), "Nothing pushes it"),
                  (method(push=lambda rng, d, r: uniform_ball(rng, d, 3 * r)), "leaves the ball"),
                  (method(push=uniform_sphere), "on the sphere"),
                  (method(wait=False), "pushes again"), (method(keep=False), "x -= …"),
                  (in_place, "x -= …"), (method(end=-9), "The test is made after"),
                  (method(push=lambda *ball: abs(uniform_ball(*ball))), "the same side"),
                  (method(push=lambda rng, d, r: np.full(d, r / d)), "the same side"),
                  (method(push=along_one_axis), "in vain"),
                  (method(begin=False), "begins to doubt"), (moves_no_more, "has not ended"),
                  (method(stop=False), "Yours goes on"), (method(drop=0), "Yours goes on"),
                  (method(cubed=True), "the push has worked"),
                  (method(first=False), "first ask for the gradient at the start"),
                  (lambda f, grad, x, *others: grad(x) * 0 + 1, "begins to doubt"),
                  (lambda f, grad, x, *others: x, "first ask for the gradient at the start"),
                  (lambda *given: (method()(*given), 420), "return the point alone"),
                  (lambda x: x, "TypeError"), (lambda *_: None, "returns nothing"),
                  (3, "function")],
    "saddles-9": [(1.05, "without momentum"), (0.75, "other root"), (1.95, "alone"),
                  (1.5, "ten times as long"), (5 / 6, "turned the factor"), (3, "First show")],
}


@pytest.mark.parametrize("answer", RIGHT["saddles-8"])
def test_a_right_pgd_passes(answer):
    feedback = check("saddles-8", answer)
    assert feedback, feedback


@pytest.mark.parametrize("answer, words", WRONG["saddles-8"])
def test_a_wrong_pgd_is_told_what_is_wrong(answer, words):
    feedback = check("saddles-8", answer)
    assert not feedback and words in feedback.message, feedback


def test_the_verdict_on_a_right_pgd_is_no_matter_of_luck():
    """Not even where a run comes so near to a minimizer that its steps change no bit."""
    for seed in (27, 46, 103, 146, 177):
        own = np.random.default_rng(seed)
        answer = method(push=lambda _, dim, r: uniform_ball(own, dim, r))  # noqa: B023
        assert check("saddles-8", answer), seed


def test_what_is_given_is_left_as_it_was():
    """A step in place of the reader's changes nothing for the next answer."""
    check("saddles-8", in_place)
    assert check("saddles-8", method())


def test_no_answer_is_no_mistake():
    stub = check("saddles-8", lambda *_: None)
    assert not stub and stub.message == "Not answered yet: the function returns nothing."
    for nonsense in ("", object(), [1, 2], float("nan"), {}, b"\xff", lambda *_: "x"):
        assert not check("saddles-8", nonsense)


def test_a_run_with_momentum_grows_by_the_factor_of_the_exercise():
    """Heavy ball near the saddle of the live figure, from an arbitrary first step."""
    problem, eta, beta = QuarticSaddle(gamma=0.5, eigenvalues=[1.0]), 0.1, 0.9
    before, x = np.array([1e-12, 0.3]), np.array([2e-12, 0.2])
    for _ in range(60):
        before, x = x, x - eta * problem.grad(x) + beta * (x - before)
    after = x - eta * problem.grad(x) + beta * (x - before)
    assert check("saddles-9", after[0] / x[0])
    assert abs(after[0] / x[0] - 1.2) < 1e-9


def test_momentum_stays_on_the_stable_manifold():
    problem = QuarticSaddle(gamma=0.5, eigenvalues=[1.0])
    before = x = np.array([0.0, 0.8])
    for _ in range(2000):
        before, x = x, x - 0.1 * problem.grad(x) + 0.9 * (x - before)
    assert x[0] == 0 and abs(x[1]) < 1e-9
