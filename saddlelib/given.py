"""The numbers of a run: told by the user, stated by the problem, or made of others."""

from __future__ import annotations

import math

import numpy as np

from ._arguments import curvature_scale, nonnegative, positive, probability
from .methods import find
from .methods.rules import CONSTANTS
from .oracle import FiniteSum
from .theory.noise import tail_scale

__all__ = ["Given", "Goal", "build"]

# What can be told only to a rule that asks for one of these.
_ONLY_FOR = {"delta_f": {"delta_f"}, "sample_noise": {"sample_noise", "noise_std", "noise_scale"},
             "shapes": {"shapes"}}


class Goal:
    """What a run has to find: a point that is second-order stationary to what accuracy.

    Parameters
    ----------
    oracle : Oracle
        Whose problem may state ρ.
    epsilon, curvature_tol, failure_prob, lipschitz_hess
        What the user said; the last three as below, and None where he did not.

    Attributes
    ----------
    epsilon : float
        ε, the largest gradient norm that is allowed.
    curvature_tol : float or None
        γ: eigenvalues down to −γ are allowed. None where nobody said, and where the problem states
        no ρ for γ = √(ρε): then it is estimated where the curvature is looked at.
    failure_prob : float
        δ, most probability of a wrong success.
    lipschitz_hess : float or None
        ρ, where it is known.

    Raises
    ------
    TypeError, ValueError
        Naming the argument outside its range.

    Examples
    --------
    >>> from saddlelib import Oracle
    >>> from saddlelib.problems import QuadraticSaddle
    >>> goal = Goal(Oracle(QuadraticSaddle([1.0])), 1e-4, None, 0.01, lipschitz_hess=4.0)
    >>> round(goal.curvature_tol, 9)
    0.02
    """

    def __init__(self, oracle, epsilon, curvature_tol, failure_prob, lipschitz_hess):
        self.epsilon = positive("epsilon", epsilon)
        self.failure_prob = probability("failure_prob", failure_prob)
        self.lipschitz_hess = _stated(oracle, "lipschitz_hess", lipschitz_hess)
        if self.lipschitz_hess is not None:
            nonnegative("lipschitz_hess", self.lipschitz_hess)
        self.curvature_tol = curvature_tol
        if curvature_tol is not None or self.lipschitz_hess:
            self.lipschitz_hess, self.curvature_tol = curvature_scale(
                None, self.epsilon, self.lipschitz_hess, curvature_tol)


class Given:
    """The `methods.rules.CONSTANTS` of a run, each found when a rule asks for it.

    Parameters
    ----------
    oracle : Oracle
    x0 : ndarray, shape (d,)
        Where the run begins, or goes on.
    goal : Goal
    told : dict
        What the user said, by name; None where he did not.
    delta_f : float, optional
        Δ_f of the run that goes on here.
    shapes : tuple of pairs of int, optional
        The matrices that x consists of, where the form of the user's x0 says it.

    Attributes
    ----------
    known_delta_f : float or None
        Δ_f, where a rule has asked for it.

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib import Oracle
    >>> from saddlelib.problems import QuarticSaddle
    >>> oracle = Oracle(QuarticSaddle(gamma=0.5, eigenvalues=[1.0]))
    >>> goal = Goal(oracle, 1e-3, None, 1e-4, None)
    >>> given = Given(oracle, np.zeros(2), goal, {"step_size": None})
    >>> given["step_size"], given["dim"], given["delta_f"]
    (1.0, 2, 0.0625)
    """

    def __init__(self, oracle, x0, goal, told, delta_f=None, shapes=None):
        self.oracle, self.x0, self.goal, self.told = oracle, x0, goal, told
        self.known_delta_f, self.seen_shapes = delta_f, shapes

    def numbers(self, rule, options) -> dict:
        """What ``rule`` has to be told, by the names of its parameters, or an error that says it.

        Raises
        ------
        ValueError
            Where a constant is missing, with what to give; or where the rule sets the step itself.
        """
        if "step_size" not in rule.constants.values() and self.told.get("step_size") is not None:
            formula = f" = {rule.step}" if rule.step else ""
            raise ValueError(f"rule={rule.name!r} sets step_size{formula} itself; leave step_size "
                             f"out")
        missing = [constant for parameter, constant in rule.constants.items()
                   if constant.startswith("lipschitz") and rule.requires(parameter)
                   and _stated(self.oracle, constant, self.told.get(constant)) is None]
        if missing:
            needed = " and ".join(f"{name} ({CONSTANTS[name]})" for name in missing)
            raise ValueError(f"rule={rule.name!r} needs {needed}; the default method, method=None, "
                             f"needs no constants")
        found = {}
        for parameter, constant in rule.constants.items():
            if (constant == "step_size" and self.told.get("step_size") is None
                    and not rule.requires(parameter)):
                continue  # a step of its own, which is none of 1/ℓ
            # Δ_f is only there to find ι.
            needless = constant == "delta_f" and options.get("iota") is not None
            found[parameter] = self.told.get("delta_f") if needless else self[constant]
        return found

    def __getitem__(self, name):
        """The value of a constant; None where it is not known and has no derivation."""
        return getattr(self, f"_{name}", lambda: self.told.get(name))()

    def _step_size(self):
        step_size, ell = self.told.get("step_size"), self._lipschitz_grad()
        if step_size is not None:
            return positive("step_size", step_size)
        if ell is None:
            raise ValueError("give step_size, or lipschitz_grad (ℓ) for a step of 1/ℓ; the default "
                             "method, method=None, needs neither")
        return 1 / positive("lipschitz_grad", ell)

    def _lipschitz_grad(self):
        return _stated(self.oracle, "lipschitz_grad", self.told.get("lipschitz_grad"))

    def _lipschitz_hess(self):
        return self.goal.lipschitz_hess

    def _epsilon(self):
        return self.goal.epsilon

    def _dim(self):
        return self.x0.size

    def _curvature_tol(self):
        return self.goal.curvature_tol

    def _failure_prob(self):
        return self.goal.failure_prob

    def _delta_f(self):
        """An upper bound of f(x0) − f*: that of the start, also where a run goes on."""
        told = self.told.get("delta_f")
        self.known_delta_f = self.known_delta_f if told is None else told
        if self.known_delta_f is not None:
            return self.known_delta_f
        f_star = _stated(self.oracle, "f_star", None)
        delta_f = self.oracle.fun(self.x0) - (-math.inf if f_star is None else f_star)
        if not math.isfinite(delta_f):
            raise ValueError("this rule needs delta_f, an upper bound of f(x0) − f*; the problem "
                             "states no finite f*")
        self.known_delta_f = max(delta_f, np.finfo(float).tiny)
        return self.known_delta_f

    def _sample_noise(self):
        """√E‖noise of the gradient of one sample‖²."""
        told, terms = self.told.get("sample_noise"), self._terms()
        if told is None and terms is not None:
            raise ValueError("give sample_noise, the root mean square √E‖∇fᵢ − ∇f‖² of the noise "
                             "of one term, for the batch sizes and the trigger")
        if told is None:
            return self.oracle.grad_noise
        if nonnegative("sample_noise", told) < self.oracle.grad_noise and terms is None:
            raise ValueError(f"sample_noise must be at least grad_noise = "
                             f"{self.oracle.grad_noise}, the noise of this run, got {told}")
        return told

    def _noise_std(self):
        return nonnegative("sample_noise", self._sample_noise()) / math.sqrt(self.x0.size)

    def _noise_scale(self):
        return tail_scale(self._noise_std(), self.x0.size)

    def _population(self):
        return None if self._terms() is None else self._terms().size

    def _replacement(self):
        return self._terms() is not None and self._terms().replacement

    def _shapes(self):
        """The matrices that x consists of."""
        found = _stated(self.oracle, "shapes", self.told.get("shapes"))
        found = self.seen_shapes if found is None else found
        if found is None:
            raise ValueError("give shapes, the (rows, columns) of the matrices that x consists of, "
                             "as in shapes=((20, 10), (5, 20)); or x0 as a matrix or a list of "
                             "matrices")
        return found

    def _terms(self):
        problem = self.oracle.problem
        return problem if isinstance(problem, FiniteSum) else None


def _stated(oracle, name, told):
    """What the user said, else what the problem states, else None."""
    return getattr(oracle.problem, name, None) if told is None else told


def build(method, given, options):
    """The method that ``method`` and the option ``rule`` name, made of the numbers of the run.

    Parameters
    ----------
    method : str
    given : Given
    options : dict
        ``rule``, and what else the user said; left as it is.

    Returns
    -------
    Method

    Raises
    ------
    TypeError, ValueError
        Where something is missing, unknown or out of range, by name.

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib import Oracle
    >>> from saddlelib.problems import QuarticSaddle
    >>> oracle = Oracle(QuarticSaddle(gamma=0.5, eigenvalues=[1.0]))
    >>> given = Given(oracle, np.zeros(2), Goal(oracle, 1e-3, None, 1e-4, None), {})
    >>> build("gd", given, {})
    GradientDescent(step_size=1.0, grad_threshold=0.001)
    """
    options = dict(options)
    rule = find(method, options.pop("rule", None))
    uses = set(rule.constants.values())
    more = [name for name, users in _ONLY_FOR.items() if users & uses]
    told = {name for name in _ONLY_FOR if given.told.get(name) is not None}
    unknown = sorted(set(options) - set(rule.options) | told - set(more))
    if unknown:
        raise TypeError(f"{rule} has no option {', '.join(unknown)}; it takes "
                        f"{', '.join([*rule.options, *more]) or 'none'}; saddlelib.show_options("
                        f"{rule.method!r}, {rule.name!r}) says what they are")
    absent = [name for name in rule.options if rule.requires(name) and name not in options]
    if absent:
        raise TypeError(f"{rule} needs {' and '.join(absent)}; saddlelib.show_options("
                        f"{rule.method!r}, {rule.name!r}) says what they are")
    numbers = given.numbers(rule, options)
    try:
        return rule.build(**numbers, **options)
    except (OverflowError, ZeroDivisionError) as error:
        why = str(error)
    except ValueError as error:
        name, why = str(error).split(" must be ")[0], str(error)
        out_of_range = name.isidentifier() and name not in {**numbers, **options}
        if not out_of_range and why != "math domain error":
            raise
    told = ", ".join(f"{name} = {value:.3g}" for name, value in numbers.items()
                     if isinstance(value, (int, float)) and not isinstance(value, bool))
    raise ValueError(f"what the method makes of {told} leaves the range of float64 ({why}); "
                     f"rescale x and f, or choose values nearer to 1")
