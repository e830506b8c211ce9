"""Answers to the exercise that writes a look and a move; `test_checks.py` asks for all feedback."""

import numpy as np
import pytest
from scipy.sparse.linalg import LinearOperator, eigsh

from saddlelib.checks import check


def power(hvp, d, ell, count=150, sign=1.0):
    """The unit vector that ℓI − sign·H turns a random one into, and its curvature."""
    v = np.random.default_rng(7).standard_normal(d)
    for _ in range(count):
        v = ell * v - sign * hvp(v) if sign else hvp(v)
        v /= np.linalg.norm(v)
    return v, -(v @ hvp(v))


def written(x, g, hvp, ell, rho, epsilon, *, uphill=False, count=150, always=False, sign=1.0,
            alone=False, length=lambda c, rho: 2 * c / rho):
    """The method, and what may go wrong with it."""
    v, c = power(hvp, x.size, ell, count, sign)
    if not always and c <= 0.75 * np.sqrt(rho * epsilon):
        return x
    if (g @ v > 0) != uphill:
        v = -v
    return length(c, rho) * v if alone else x + length(c, rho) * v


def lanczos(x, g, hvp, ell, rho, epsilon):
    """The same by the Lanczos iteration of SciPy."""
    values, vectors = eigsh(LinearOperator((x.size, x.size), hvp, dtype=float), k=1, which="SA",
                            tol=1e-3, v0=np.ones(x.size))
    c, v = -values[0], vectors[:, 0]
    if c <= np.sqrt(rho * epsilon):
        return x
    return x - np.sign(g @ v) * 2 * c / rho * v


def dense(x, g, hvp, ell, rho, epsilon):
    values, vectors = np.linalg.eigh(np.array([hvp(e) for e in np.eye(x.size)]))
    v = -np.sign(g @ vectors[:, 0]) * vectors[:, 0]
    return x - 2 * values[0] / rho * v if values[0] < -np.sqrt(rho * epsilon) else x


def changed(**how):
    return lambda *args: written(*args, **how)


RIGHT = {"psd-9": [written, lanczos, lambda *args: written(*args).tolist()]}

# A typical mistake, and words that only its own hint contains.
WRONG = {
    "psd-9": [(lambda x, *rest: x, "stays at a saddle"), (changed(uphill=True), "begins uphill"),
              (changed(sign=0.0, always=True), "largest eigenvalue"),
              (changed(count=3, always=True), "Go on multiplying"),
              (changed(length=lambda c, rho: 1.0), "unit vector"),
              (changed(length=lambda c, rho: c / rho), "That is c/ρ"),
              (changed(length=lambda c, rho: 2 * c), "The length is 2c"),
              (changed(length=lambda c, rho: 0.1), "in place of c"),
              (changed(length=lambda c, rho: 3 * c / rho), "yours is"),
              (changed(always=True), "That point passes"), (changed(alone=True), "alone"),
              (dense, "columns"), (changed(count=320), "more than the 300"),
              (lambda x, *rest: x[:6], "of the shape"), (lambda x: x, "takes 1 positional"),
              (lambda *args: None, "returns nothing"), (3, "function")],
}


@pytest.mark.parametrize("answer", RIGHT["psd-9"])
def test_a_look_and_a_move_may_be_written_in_any_way(answer):
    assert check("psd-9", answer), check("psd-9", answer)


@pytest.mark.parametrize("answer, words", WRONG["psd-9"])
def test_what_is_wrong_with_a_look_and_a_move_is_said(answer, words):
    feedback = check("psd-9", answer)
    assert not feedback and words in feedback.message, feedback


@pytest.mark.parametrize("odd", ["", "x", [], {}, float("nan"), np.zeros(3), True])
def test_what_is_no_function_is_answered_kindly(odd):
    assert not check("psd-9", odd) and "wants a function" in check("psd-9", odd).message


def test_what_a_function_does_to_its_arguments_does_not_matter():
    """x and g are copies, and a function that fails is told so."""
    def spoils(x, g, hvp, ell, rho, epsilon):
        found = written(x.copy(), g.copy(), hvp, ell, rho, epsilon)
        x[:], g[:] = np.nan, np.nan
        return found

    assert check("psd-9", spoils)
    assert "ZeroDivisionError" in check("psd-9", lambda *args: 1 / 0).message
    assert not check("psd-9", lambda x, *rest: x * np.nan)
