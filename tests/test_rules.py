"""What methods declare of themselves, and methods of one's own."""

import inspect
import pathlib
import re

import numpy as np
import pytest
import scipy.optimize

import saddlelib
from saddlelib import Status, certified, methods, minimize, show_options
from saddlelib.ensemble import run
from saddlelib.methods import Method, State, find, rule
from saddlelib.methods.rules import _TABLE, CONSTANTS, names
from saddlelib.problems import QuarticSaddle

QUARTIC = QuarticSaddle(0.5, [1.0])
ALL = [(method, name) for method in names() for name in _TABLE[method]]
# Where the default method is not the same as in SciPy, and what is not decided by a number.
GIVEN = dict(epoch_length=5, batch_size=4, large_step=0.5, interval=3, iota=30.0)


@pytest.mark.parametrize("method, name", ALL)
def test_a_rule_is_documented_and_its_options_are_parameters_of_what_it_builds(method, name):
    found = find(method, name)
    assert inspect.getdoc(found.build)
    parameters = inspect.signature(found.build).parameters
    assert set(found.options) | set(found.constants) <= set(parameters)
    assert not set(found.options) & set(CONSTANTS)
    kinds = {parameter.kind for parameter in parameters.values()}
    assert inspect.Parameter.VAR_KEYWORD not in kinds  # each has a name to be told by


@pytest.mark.parametrize("method, name", ALL)
def test_a_rule_that_makes_its_own_step_names_the_formula(method, name):
    found = find(method, name)
    sets_step = "step_size" not in found.constants.values()
    assert sets_step == bool(found.step) or method == "certified"


@pytest.mark.parametrize("method, name", ALL)
def test_an_unknown_option_is_refused_with_those_there_are(method, name):
    told = {"step_size": 0.1} if "step_size" in find(method, name).constants.values() else {}
    with pytest.raises(TypeError) as error:
        minimize(QUARTIC, np.ones(2), method, rule=name, nonsense=1, grad_noise=0.0, **told)
    assert "nonsense" in str(error.value)
    for option in find(method, name).options:
        assert option in str(error.value)


def test_what_is_missing_is_named():
    for change, words in (
            (dict(method="gdpolyak", rule="published", step_size=0.1), "needs epoch_length"),
            (dict(method="sgd", step_size=0.1), "needs batch_size"),
            (dict(method="cnc-sgd", step_size=0.1, batch_size=1), "large_step and interval")):
        with pytest.raises(TypeError, match=words):
            minimize(QUARTIC, np.ones(2), **change)


def test_options_can_be_shown(capsys):
    show_options()
    everything = capsys.readouterr().out
    for method in names():
        show_options(method)
        assert capsys.readouterr().out in everything
    show_options("pgd", "jin2017")
    assert "delta_f" in capsys.readouterr().out
    with pytest.raises(ValueError, match="'gd' or"):
        show_options("adam")


@pytest.mark.parametrize("words", [dict(grad=QUARTIC.grad), dict(hvp=QUARTIC.hvp)])
def test_the_words_of_earlier_versions_are_refused_with_the_new_ones(words):
    new = {"grad": "jac", "hvp": "hessp"}[next(iter(words))]
    with pytest.raises(TypeError, match=f"is called {new} here"):
        minimize(QUARTIC.fun, np.ones(2), "gd", step_size=0.1, **words)


# A method of one's own ---------------------------------------------------------------------

def own_method():
    """The class that CONTRIBUTING.md shows, as it stands there."""
    text = (pathlib.Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
    code = re.search(r"```python\n(.*?class HeavyBall.*?)```", text, re.DOTALL).group(1)
    assert code.count("\n") <= 30
    space = {}
    exec(code, space)
    _TABLE.pop("heavy-ball")
    return space["HeavyBall"]


def test_the_method_of_contributing_works_wherever_methods_work():
    make = own_method()
    method, x0 = make(step_size=0.2, momentum=0.5), [0.3, 1.0]
    one = minimize(QUARTIC, x0, method, rng=0)
    assert one.success and one.njev <= 60
    through = scipy.optimize.minimize(QUARTIC.fun, x0, jac=QUARTIC.grad, method=certified(method),
                                      options=dict(curvature_tol=0.05, rng=0))
    assert through.success and (through.x == one.x).all()
    many = run(QUARTIC, np.array([x0, [0.0, 1.0]]), method, seeds=[0, 1], maxiter=200)
    assert (many.x[0] == one.x).all() and many.nit[0] == one.nit
    assert (many.status == Status.NOT_LOOKED_AT).all()
    part = minimize(QUARTIC, x0, method, rng=0, maxiter=3)
    assert (minimize(QUARTIC, method=method, state=part.state).x == one.x).all()


def test_it_stops_at_a_saddle_and_the_run_says_so():
    method = own_method()(step_size=0.2, momentum=0.5)
    assert minimize(QUARTIC, [0.0, 1.0], method, rng=0).status == Status.SADDLE


def test_a_class_that_declares_a_rule_has_a_name():
    try:
        class Declared(Method):
            @rule("by-name", "given", default=True)
            @classmethod
            def given(cls, *, step_size, epsilon, factor=1.0):
                """Gradient descent with steps of factor·η."""
                return methods.GradientDescent(factor * step_size, epsilon)
        result = minimize(QUARTIC, [0.3, 1.0], "by-name", factor=0.5, rng=0)
        plain = minimize(QUARTIC, [0.3, 1.0], "gd", step_size=0.5 / QUARTIC.lipschitz_grad, rng=0)
        assert (result.x == plain.x).all() and result.success
    finally:
        _TABLE.pop("by-name", None)


@pytest.mark.parametrize("method, words", [
    (own_method, "method must be None"), (methods.GradientDescent, "the class GradientDescent"),
    (3, "method must be None"), ((1.0, 2.0), "go into args="), ("adam", "method must be None"),
])
def test_what_is_no_method_is_refused(method, words):
    if method is own_method:
        method = object()
    with pytest.raises((TypeError, ValueError), match=re.escape(words)):
        minimize(QUARTIC, np.ones(2), method)


class Lazy:
    """A method that never counts its steps."""

    step_size = 0.1

    def init(self, oracle, x0, rng=None):
        """The start."""
        return State(x0, oracle.grad(x0), rng=rng)

    def step(self, oracle, state):
        """The same again."""
        return state.copy()


def test_a_method_that_counts_no_steps_ends_all_the_same():
    result = minimize(QUARTIC, np.ones(2), Lazy(), maxiter=50)
    assert result.status == Status.MAXITER


class Liar(Lazy):
    """A method that says that its gradient is zero."""

    def step(self, oracle, state):
        """Nowhere, and done."""
        new = state.copy()
        new.jac, new.nit, new.finished = np.zeros(2), state.nit + 1, "stationary"
        return new


def test_what_a_method_says_of_its_gradient_is_not_believed():
    result = minimize(QUARTIC, [0.3, 1.0], Liar(), rng=0)
    assert result.status == Status.NOT_STATIONARY and result.certificate.grad_norm > 0.5


def test_a_start_that_is_no_state_is_refused():
    class Bad(Lazy):
        def init(self, oracle, x0, rng=None):
            return x0
    with pytest.raises(TypeError, match="must return a saddlelib.methods.State"):
        minimize(QUARTIC, np.ones(2), Bad())


def test_the_numbers_of_an_object_are_its_own():
    method = methods.GradientDescent(0.2, 1e-5)
    result = minimize(QUARTIC, [0.3, 1.0], method, rng=0)
    assert result.success and result.certificate.epsilon == 1e-5
    coarse = minimize(QUARTIC, [0.3, 1.0], method, epsilon=1e-2, rng=0)
    assert coarse.certificate.epsilon == 1e-2
    with pytest.raises(TypeError, match="leave radius out"):
        minimize(QUARTIC, [0.3, 1.0], method, radius=1)


def test_public_names_cover_the_rooms():
    assert {"certified", "show_options"} <= set(saddlelib.__all__)


def test_a_certificate_of_the_method_counts_only_if_it_answers_the_question_of_the_run():
    """Another ε, γ or a larger δ is another question; then one more look decides."""
    numbers = dict(step_size=0.5, dim=2, epsilon=1e-2, curvature_tol=0.2, failure_prob=1e-2)
    psd = methods.CertifiedPSD.practical(**numbers)
    own = minimize(QUARTIC, [0.3, 1.0], psd, failure_prob=1e-2, rng=0)
    assert own.success and own.certificate is own.state.certificate
    for asked in (dict(epsilon=1e-1), dict(curvature_tol=0.1), dict(failure_prob=1e-6)):
        other = minimize(QUARTIC, [0.3, 1.0], psd, rng=0, **{"failure_prob": 1e-2, **asked})
        name, value = next(iter(asked.items()))
        assert getattr(other.certificate, name) == value
        assert other.nhvp > own.nhvp or other.njev > own.njev
