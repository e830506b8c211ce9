"""`saddlelib.minimize`: from the words of a user to a run, and back."""

from __future__ import annotations

import copy
import functools
import inspect
import types

import numpy as np

from .._arguments import generator, integer
from ..certified import SOLVERS
from ..derivatives import Witness
from ..given import Given, Goal, build
from ..loop import Budget, check, run
from ..methods import State
from ..methods.rules import either, names
from ..oracle import FiniteSum
from ..report import is_exact, report
from ..watch import Watch
from .objective import objective, only_says_form

__all__ = ["certified", "gd", "minimize", "pgd", "psd", "psgd"]

# The accuracy, in SciPy's words and in the field's.
_ACCURACY = ("epsilon", "gtol", "tol")
# What a user may state or leave to the problem, among the options.
_TOLD = ("step_size", "lipschitz_grad", "lipschitz_hess", "delta_f", "sample_noise", "shapes")
_MOVED = {"grad": "jac", "hvp": "hessp", "problem": "fun"}


def minimize(fun, x0=None, method=None, *, args=(), jac=None, hess=None, hessp=None, bounds=None,
             constraints=(), tol=None, gtol=None, epsilon=None, curvature_tol=None,
             failure_prob=1e-4, certificate=True, rng=None, maxiter=100_000, maxfev=None,
             maxsamples=None, callback=None, trace=(), disp=False, progress=False, state=None,
             grad_noise=0.0, noise_df=None, options=None, **more):
    r"""Minimize a smooth function, leave the saddles, and say with a certificate where it ended.

    Without a ``method`` nothing has to be known about the function: the driver of
    `saddlelib.certified` descends, looks at the curvature where the gradient is small, leaves a
    saddle along the direction that it found, and ends where it has a certificate.

    The function
    ------------
    fun : callable, Problem or FiniteSum
        ``fun(x, *args) -> float``, with x in the shape of ``x0``; or a `saddlelib.problems.Problem`
        or `saddlelib.oracle.FiniteSum`, which bring their derivatives; or a loss of torch.
    x0 : array_like of any shape, list of arrays, tensor, torch.nn.Module or parameters
        The start; the result comes in its shape. Left out where ``state`` is given.
    args : tuple, optional
        Further arguments of ``fun, jac, hess, hessp``.
    jac : callable, True, {"2-point", "3-point", "cs", "torch", "jax"}, optional
        The gradient. True: ``fun`` returns (f, ∇f). By differences of values ("2-point", the
        default for a plain function), their error is known to the certificate. "torch" and "jax":
        by automatic differentiation, with exact Hessian-vector products.
    hess, hessp : callable, optional
        ``hess(x, *args)`` and ``hessp(x, v, *args)``; without them the curvature comes from
        differences of gradients.
    bounds, constraints : optional
        Are refused: these methods are for unconstrained problems.

    The method
    ----------
    method : str, object, callable, optional
        None for the driver with its own descent; the name of a method of SciPy's that takes a
        gradient, such as "L-BFGS-B" or "trust-krylov", for the driver with that one inside, or a
        function ``method(fun, x0, jac=..., ...)`` like those; "gd", "pgd", "psd", "psgd", "sgd",
        "cnc-sgd", "gdpolyak", "ravine", "muon" for the methods of the book; or an object with
        ``init`` and ``step`` as those of `saddlelib.methods`, also one of your own. Where the
        minimizer may be degenerate, ``inner="ravine"`` gives the driver the order-aware method in
        place of its own descent.
    **more
        ``rule`` and the options of the method, which `saddlelib.show_options` prints; and the
        constants that a method of the book takes, where a problem does not state them:
        ``step_size`` (η, 1/ℓ by default), ``lipschitz_grad`` (ℓ), ``lipschitz_hess`` (ρ),
        ``delta_f`` (an upper bound of f(x0) − f*), ``sample_noise`` (√E‖noise of the gradient of
        one sample‖²), ``shapes`` (the matrices that x consists of, those of ``x0`` by default).
        With a method of SciPy's, its own options.
    options : dict, optional
        The same and all other keywords, as in SciPy.

    The goal
    --------
    epsilon, gtol, tol : float, optional
        ε > 0, one absolute accuracy under three names: the wanted ‖∇f‖₂; 1e-3 by default, or that
        of the method object where it has one. An object stops where its own accuracy says.
    curvature_tol : float, optional
        γ > 0: the smallest eigenvalue may be −γ. By default √(ρε) where ρ is known; else it is
        estimated, between 1e-4 and 0.1 times the largest curvature that was seen. Where that is
        below 1e-6 ε/max(‖x‖, 1), which ε cannot see, the run ends as flat (`Status.VACUOUS`).
    failure_prob : float
        δ in (0, 1): most probability that a point passes that is not second-order stationary; for
        a rule from a paper also the δ of its formulas.
    certificate : bool
        False pays for none once the method has stopped; such a run reports success only where the
        method had to certify the point to decide what to do.

    Randomness and noise
    --------------------
    rng : int or numpy.random.Generator, optional
        The same ``rng`` gives the same run.
    grad_noise : float
        σ: adds N(0, (σ²/d) I) to every gradient of the run. The certificate sees none of it, except
        that of "psgd", which works from noisy gradients.
    noise_df : float, optional
        Student's t with so many degrees of freedom instead of the Gaussian, as in `Oracle`.

    Budget, and what you see
    ------------------------
    maxiter, maxfev, maxsamples : int, optional
        Most steps of this call; most oracle calls of all kinds, and most samples, before the
        certificate. Budgets are compared before every step; the last step may go beyond.
    callback : callable, optional
        ``callback(intermediate_result)`` or ``callback(xk)`` after every step, as in SciPy;
        raising ``StopIteration`` ends the run. The first form costs one value a step.
    trace : iterable of {"x", "fun", "grad_norm"}, optional
        What to record at the start and after every step; "fun" costs one value a step.
    disp, progress : bool
        A printed line now and then, at one value each; a bar of tqdm.
    state : optional
        ``result.state`` of an earlier run on the same function with the same method: go on from
        there. Only tensors, modules and lists of arrays of several shapes are handed in as ``x0``
        once more, for their form. A run
        that stops where the state already was costs one gradient more, to see that it is the same
        function.

    Returns
    -------
    scipy.optimize.OptimizeResult
        ``x, fun, jac, nit, nfev, njev, nhvp, nhev, nsamples, status, success, message, certificate,
        estimates, trace, state, perturbed_at``. Counts include the certificate; ``certificate`` is
        None when the curvature was not looked at, ``estimates`` where nothing was estimated.
        ``jac`` is the last gradient the method saw: with noise where the run has noise, and of a
        mini-batch with "psgd", "sgd" and "cnc-sgd". Where f is not finite at the end, ``x`` is the
        point before it, or the start, if f is finite there.

    Raises
    ------
    TypeError, ValueError
        Naming the argument and the remedy. What ``fun``, its derivatives or ``callback`` raise
        passes through as it is, with notes that say from where and after which step.

    Examples
    --------
    >>> import saddlelib
    >>> f = lambda x: x[0]**4 / 4 - x[0]**2 / 2 + x[1]**2        # a saddle at (0, 0)
    >>> result = saddlelib.minimize(f, [0.0, 1.0], rng=0)
    >>> result.success, abs(result.x).round(3).tolist()
    (True, [1.0, 0.0])
    >>> from saddlelib.problems import QuarticSaddle
    >>> problem = QuarticSaddle(gamma=0.5, eigenvalues=[1.0])
    >>> saddlelib.minimize(problem, [0.0, 1.0], method="gd", rng=0).message  # doctest: +ELLIPSIS
    'Stopped at a saddle: the gradient is small, the curvature is negative. (...λ_min ≤ -0.5...)'
    """
    words = _words({**locals()})
    _refuse(words)
    rng = generator("rng", words.rng)
    told = objective(words.fun, _point(words), args=words.args, jac=words.jac,
                     hess=words.hess, hessp=words.hessp, grad_noise=words.grad_noise,
                     noise_df=words.noise_df, rng=rng)
    budget = Budget(integer("maxiter", words.maxiter, least=0),
                    None if words.maxfev is None else integer("maxfev", words.maxfev),
                    None if words.maxsamples is None else integer("maxsamples", words.maxsamples))
    solver, goal, delta_f = _solver(words, told)
    with Watch(words.trace, words.callback, words.disp, words.progress, told.restore) as watch:
        state = _state(words, told, solver, rng)
        state.delta_f = state.delta_f if delta_f is None else delta_f
        told.oracle.witness = Witness() if is_exact(told.oracle, solver) else None
        end = run(told.oracle, solver, state, budget, watch)
        result = report(told.oracle, solver, goal, end, certificate=words.certificate,
                        resumed=words.state is not None)
        result.trace = watch.trace(told.shape)
    return _hand_over(result, told, words.disp)


def _words(told):
    """All words of a call in one namespace, those of ``options`` among them."""
    more, options = told.pop("more"), told.pop("options")
    if not isinstance(options, (dict, type(None))):
        raise TypeError(f"options must be a dictionary, got {options!r}")
    strange = [name for name in options or {} if not isinstance(name, str)]
    if strange:
        raise TypeError(f"options must have names as keys, got {strange[0]!r}")
    for name, value in (options or {}).items():
        if name not in told:
            more.setdefault(name, value)
        elif told[name] is not _DEFAULTS[name]:
            raise TypeError(f"{name} is given twice, by itself and in options")
        else:
            told[name] = value
    for old, new in _MOVED.items():
        if old in more:
            raise TypeError(f"{old} is called {new} here, as in SciPy: write {new}=...")
    more.pop("return_all", None)
    words = types.SimpleNamespace(**told, more=more)
    accuracies = {name: told[name] for name in _ACCURACY if told[name] is not None}
    if len(set(map(repr, accuracies.values()))) > 1:
        raise ValueError(f"epsilon, gtol and tol are one accuracy, got {accuracies}; give one")
    words.epsilon = next(iter(accuracies.values()), None)
    return words


def _refuse(words):
    """What no run can do."""
    for name in ("bounds", "constraints"):
        given = getattr(words, name)
        size = given.size if isinstance(given, np.ndarray) else (
            len(given) if isinstance(given, (list, tuple, dict)) else 1)
        if given is not None and size > 0:
            raise ValueError(f"{name} are not supported: these methods are for unconstrained "
                             f"problems; substitute variables, or use SciPy's own methods")
    if isinstance(words.method, tuple):
        raise TypeError(f"method must be a name or an object, got {words.method!r}; further "
                        f"arguments of fun go into args=")
    if not isinstance(words.certificate, (bool, np.bool_)):
        raise TypeError(f"certificate must be True or False, got {words.certificate!r}")
    if words.state is not None and not isinstance(words.state, State):
        raise TypeError(f"state must be result.state of an earlier run, got {words.state!r}")
    if (words.x0 is None) == (words.state is None) and not (
            words.x0 is not None and only_says_form(words.x0)):
        raise ValueError("give x0 to start a run, or state to go on with one, not both")


def _point(words):
    """Where the run begins, as the user's functions know it; tensors only say in which form."""
    x0, state = words.x0, words.state
    if x0 is not None:
        return x0
    return state.x if state.shape is None else state.x.reshape(state.shape)  # () of one number


def _solver(words, told):
    """The method object, the goal of the run, and Δ_f where the method was made with it."""
    method, more = words.method, dict(words.more)
    if isinstance(method, type) and hasattr(method, "step"):
        raise TypeError(f"method must be an object, got the class {method.__name__}; make one, as "
                        f"in {method.__name__}(...)")
    ready = hasattr(method, "init") and hasattr(method, "step")
    constants = {name: more.pop(name, None) for name in _TOLD}
    epsilon, curvature_tol = words.epsilon, words.curvature_tol
    if ready:  # its own accuracy is that of the run
        idle = [*more, *(name for name in ("step_size", "delta_f", "sample_noise", "shapes")
                         if constants[name] is not None)]
        if idle:
            raise TypeError(f"a method object has its numbers; leave {', '.join(idle)} out")
        if epsilon is None:
            epsilon = getattr(method, "epsilon", None) or getattr(method, "grad_threshold", None)
            epsilon = epsilon or None  # one that stops at no gradient has no accuracy of its own
        if curvature_tol is None:
            curvature_tol = getattr(method, "curvature_tol", None)
    goal = Goal(told.oracle, 1e-3 if epsilon is None else epsilon, curvature_tol,
                words.failure_prob, constants["lipschitz_hess"])
    if ready:
        return method, goal, None
    given = Given(told.oracle, told.x0, goal, constants,
                  None if words.state is None else words.state.delta_f, told.shapes)
    name, more = _named(method, more)
    return build(name, given, more), goal, given.known_delta_f


def _named(method, options):
    """The name among ours and its options; a solver of SciPy's runs inside "certified"."""
    if method is None:
        return "certified", options
    if isinstance(method, str) and method in names():
        return method, options
    if callable(method) or isinstance(method, str) and method.lower() in SOLVERS:
        inner = method if callable(method) else SOLVERS[method.lower()]
        return "certified", dict(inner=inner, inner_options=options)
    raise ValueError(f"method must be None, {either(names())}, a method of SciPy's "
                     f"({', '.join(SOLVERS.values())}) or an object with init and step, got "
                     f"{method!r}")


def _state(words, told, solver, rng):
    """The state to begin with: the first, or a copy of that of an earlier run."""
    oracle = told.oracle
    if words.state is None:
        state = solver.init(oracle, told.x0, rng)
        check(f"init of {type(solver).__name__}", state, state)
        state.shape = told.shape
    else:
        state = copy.deepcopy(words.state)
        if told.x0.shape != state.x.shape:
            raise ValueError(f"x0 must have the {state.x.size} coordinates of state, got "
                             f"{told.x0.size}")
        if oracle.grad_noise or isinstance(oracle.problem, FiniteSum):
            oracle.rng = state.rng
    return state


def _hand_over(result, told, disp):
    """The result as the user knows his variables, with what there is to say of his functions."""
    notes = told.notes()
    if notes:
        result.message += f" ({'; '.join(notes)})"
    result.x, result.jac = told.restore(result.x), told.restore_like(result.jac)
    if disp:
        print(result.message)
    return result


def certified(fun=None, x0=None, **words):
    """`minimize` for ``scipy.optimize.minimize(fun, x0, method=saddlelib.certified)``.

    Called with the name of a method instead, or with a method object, it returns the same for that
    method: ``method=saddlelib.certified("trust-krylov")`` runs SciPy's solver, certifies where it
    ends, and goes on from saddles. (SciPy keeps ``jac="3-point"`` and ``"cs"`` for methods of its
    own and hands on None, which is "2-point" here; `minimize` itself takes them.)

    Parameters
    ----------
    fun, x0
        As in `minimize`; or the name of a method, or a method object, and nothing.
    **words
        The keywords of `minimize`, which SciPy takes as ``options``; none are needed.

    Returns
    -------
    OptimizeResult or callable
        What `minimize` returns; or, where there is no ``x0``, the function for SciPy.

    Raises
    ------
    TypeError, ValueError
        As `minimize`.

    Examples
    --------
    >>> import numpy as np, saddlelib
    >>> from scipy.optimize import minimize
    >>> f = lambda x: x[0]**4 / 4 - x[0]**2 / 2 + x[1]**2
    >>> df = lambda x: np.array([x[0]**3 - x[0], 2 * x[1]])
    >>> for method in saddlelib.certified, saddlelib.certified("BFGS"):
    ...     result = minimize(f, [0.0, 1.0], jac=df, method=method, options=dict(rng=0))
    ...     print(result.success, abs(result.x).round(3).tolist())
    True [1.0, 0.0]
    True [1.0, 0.0]
    """
    if x0 is None:
        return functools.partial(minimize, method=fun, **words)
    return minimize(fun, x0, **words)


def gd(fun, x0, **words):
    """Gradient descent for ``scipy.optimize.minimize(..., method=saddlelib.gd)``.

    Parameters
    ----------
    fun, x0
        As in `minimize`.
    **words
        The keywords of `minimize`, which SciPy takes as ``options``: at least ``step_size`` or
        ``lipschitz_grad``.

    Returns
    -------
    OptimizeResult
        That of `minimize`.

    Raises
    ------
    TypeError, ValueError
        As `minimize`.

    Examples
    --------
    >>> import numpy as np, saddlelib
    >>> from scipy.optimize import minimize
    >>> f = lambda x: x[0]**4 / 4 - x[0]**2 / 2 + x[1]**2
    >>> df = lambda x: np.array([x[0]**3 - x[0], 2 * x[1]])
    >>> result = minimize(f, [0.0, 1.0], jac=df, method=saddlelib.gd,
    ...                   options=dict(step_size=0.2, lipschitz_hess=6.0, rng=0))
    >>> saddlelib.Status(result.status).name
    'SADDLE'
    """
    return minimize(fun, x0, "gd", **words)


def pgd(fun, x0, **words):
    """Perturbed gradient descent for ``scipy.optimize.minimize(..., method=saddlelib.pgd)``.

    It needs some constants; `certified` needs none.

    Parameters
    ----------
    fun, x0
        As in `minimize`.
    **words
        The keywords of `minimize`, which SciPy takes as ``options``: at least ``step_size`` (or
        ``lipschitz_grad``) and ``lipschitz_hess`` or ``curvature_tol``.

    Returns
    -------
    OptimizeResult
        That of `minimize`.

    Raises
    ------
    TypeError, ValueError
        As `minimize`.

    Examples
    --------
    >>> import numpy as np, saddlelib
    >>> from scipy.optimize import minimize
    >>> f = lambda x: x[0]**4 / 4 - x[0]**2 / 2 + x[1]**2
    >>> df = lambda x: np.array([x[0]**3 - x[0], 2 * x[1]])
    >>> result = minimize(f, [0.0, 1.0], jac=df, method=saddlelib.pgd,
    ...                   options=dict(step_size=0.2, lipschitz_hess=6.0, rng=0))
    >>> result.success, float(abs(result.x[0]).round(3))
    (True, 1.0)
    """
    return minimize(fun, x0, "pgd", **words)


def psd(fun, x0, **words):
    """Perturbed Saddle-escape Descent for ``scipy.optimize.minimize(..., method=saddlelib.psd)``.

    Parameters
    ----------
    fun, x0
        As in `minimize`.
    **words
        The keywords of `minimize`, as for `pgd`; ``rule="published"`` needs ``hess`` and
        ``delta_f`` as well.

    Returns
    -------
    OptimizeResult
        That of `minimize`.

    Raises
    ------
    TypeError, ValueError
        As `minimize`.

    Examples
    --------
    >>> import numpy as np, saddlelib
    >>> from scipy.optimize import minimize
    >>> f = lambda x: x[0]**4 / 4 - x[0]**2 / 2 + x[1]**2
    >>> df = lambda x: np.array([x[0]**3 - x[0], 2 * x[1]])
    >>> result = minimize(f, [0.0, 1.0], jac=df, method=saddlelib.psd,
    ...                   options=dict(step_size=0.2, lipschitz_hess=6.0, rng=0))
    >>> result.success, float(abs(result.x[0]).round(3))
    (True, 1.0)
    """
    return minimize(fun, x0, "psd", **words)


def psgd(fun, x0, **words):
    """Perturbed SGD for ``scipy.optimize.minimize(..., method=saddlelib.psgd)``.

    A sum over data goes to `saddlelib.minimize` itself, as a `saddlelib.oracle.FiniteSum`.

    Parameters
    ----------
    fun, x0
        As in `minimize`.
    **words
        The keywords of `minimize`, as for `pgd`; ``grad_noise`` is the noise.

    Returns
    -------
    OptimizeResult
        That of `minimize`.

    Raises
    ------
    TypeError, ValueError
        As `minimize`.

    Examples
    --------
    >>> import numpy as np, saddlelib
    >>> from scipy.optimize import minimize
    >>> f = lambda x: x[0]**4 / 4 - x[0]**2 / 2 + x[1]**2
    >>> df = lambda x: np.array([x[0]**3 - x[0], 2 * x[1]])
    >>> result = minimize(f, [0.0, 1.0], jac=df, method=saddlelib.psgd,
    ...                   options=dict(step_size=0.1, lipschitz_hess=6.0, epsilon=0.1,
    ...                                grad_noise=0.1, rng=0))
    >>> result.success, bool(abs(abs(result.x[0]) - 1) < 0.2)
    (True, True)
    """
    return minimize(fun, x0, "psgd", **words)


_DEFAULTS = {name: parameter.default for name, parameter in inspect.signature(
    minimize).parameters.items()}
