"""Solvers of SciPy's inside the driver: a round of one of them, seen from outside."""

from __future__ import annotations

import math
import warnings

import numpy as np
import scipy.optimize

from .._arguments import as_gradient
from .._norm import norm
from ..derivatives import unit_of
from ..methods.arrival import NOWHERE, falls_for_ever, progress, stands_still
from .along import solver
from .descent import first_length, noticed

__all__ = ["OWN", "RAVINE", "SOLVERS", "checked", "solve"]

# The own descent, L-BFGS on slopes; and the method for ravines.
OWN, RAVINE = "l-bfgs", "ravine"
# Every unconstrained method of SciPy's that takes a gradient.
SOLVERS = {name.lower(): name for name in (
    "CG", "BFGS", "Newton-CG", "L-BFGS-B", "TNC", "SLSQP", "dogleg", "trust-ncg", "trust-exact",
    "trust-krylov", "trust-constr")}
_PRODUCTS = {"Newton-CG", "trust-ncg", "trust-krylov"}
_HESSIANS = {"dogleg", "trust-exact"}
# No end of its own: the driver stops it at ε.
_NO_END = {
    "CG": dict(gtol=0.0, maxiter=20_000), "BFGS": dict(gtol=0.0, maxiter=20_000),
    "Newton-CG": dict(xtol=1e-14, maxiter=20_000),
    "L-BFGS-B": dict(gtol=0.0, ftol=0.0, maxiter=20_000, maxfun=10**6),
    "TNC": dict(gtol=0.0, ftol=0.0, xtol=0.0, maxfun=10**6),
    "SLSQP": dict(ftol=1e-16, maxiter=20_000),
    "trust-constr": dict(gtol=0.0, xtol=1e-14, maxiter=1_000),
    **{name: dict(gtol=0.0, maxiter=20_000, max_trust_radius=1e100)
       for name in ("dogleg", "trust-ncg", "trust-exact", "trust-krylov")}}

# A round that asks for f more often than so many times an iteration gets nowhere; TNC counts
# iterations that take up to 50 gradients for products.
_USUAL, _MOST = 15, 60
# And one that asks for more products in an iteration than this and some for every dimension.
_PRODUCTS_AT_MOST = 200


class _Stop(BaseException):
    """Ends a solver from its callback; no ``except Exception`` of a user's solver holds it up."""


def checked(inner, options):
    """The name of a solver as SciPy spells it, or a function; else an error that names both."""
    if not isinstance(options, (dict, type(None))):
        raise TypeError(f"inner_options must be a dictionary, got {options!r}")
    if isinstance(inner, str):
        if inner.lower() == RAVINE:
            solver(options)
            return RAVINE
        if inner.lower() == OWN:
            if options:
                raise TypeError(f"inner_options {', '.join(options)} are for a solver of SciPy's; "
                                f"name one as inner")
            return OWN
        if inner.lower() in SOLVERS:
            return SOLVERS[inner.lower()]
    elif callable(inner):
        return inner
    raise ValueError(f"inner must be {OWN!r}, {RAVINE!r}, a function like those of SciPy's or one "
                     f"of {', '.join(SOLVERS.values())}, got {inner!r}")


def solve(method, oracle, state) -> None:
    """Run a solver of SciPy's from x, in place, until ‖∇f‖ ≤ ε, it stalls, or the loop says stop.

    Variables are scaled so that its first step along −∇f, which most take of length 1, is one over
    the curvature. Its iterations count in ``nit``.
    """
    game = _Round(method, oracle, state)
    name, hessian = method.inner, {}
    if name in _PRODUCTS:
        hessian["hessp"] = game.product
    elif name in _HESSIANS:
        if not oracle.has_hess:
            raise ValueError(f"{name} needs hess, the Hessian as a function; give it, or use "
                             f"'trust-krylov', which does without")
        hessian["hess"] = game.hess
    options = {**_NO_END.get(name, {}), **(method.inner_options or {})}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", "Unknown solver options")
        try:
            scipy.optimize.minimize(game, np.zeros_like(state.x), jac=True, method=name,
                                    callback=game.iterate, options=options, **hessian)
        except _Stop:
            pass
        except Exception as error:
            if callable(name) and not game.theirs:
                error.add_note("raised by method, a function of the user's")
            if callable(name) or game.theirs:
                raise
            if not (_of_numbers(error) or method.inner_options):
                raise
            if not _of_numbers(error):
                raise TypeError(f"SciPy's {name} does not take the options "
                                f"{method.inner_options or {}}: {error}") from error
    game.finish()


def _of_numbers(error):
    """Whether a solver of SciPy's has met numbers it cannot go on with."""
    return isinstance(error, (ArithmeticError, np.linalg.LinAlgError)) or (
        isinstance(error, ValueError) and "NaN" in str(error))


class _Round:
    """f and ∇f in scaled variables, x = origin + scale·z, each asked for once."""

    def __init__(self, method, oracle, state):
        self.epsilon, self.oracle, self.state = method.epsilon, oracle, state
        slope = norm(state.jac)
        self.scale = slope * first_length(oracle, state)
        if not 0 < self.scale < math.inf:
            self.scale = 1.0
        self.origin = state.x
        value = state.value if not math.isnan(state.value) else oracle.fun(state.x)
        state.value = value
        state.anchor = state.anchor or (state.x, value, state.jac)
        self.known, self.over, self.theirs, self.name = {}, False, False, method.inner
        self.record, self.asked, self.seen, self.products = NOWHERE, 0, 0, 0
        self._keep(np.zeros_like(state.x), state.x, value, state.jac)
        self.best = (state.x, value, state.jac)

    def _keep(self, z, x, f, g):
        if len(self.known) > 8:
            self.known.pop(next(iter(self.known)))
        self.known[z.tobytes()] = (x, f, g)

    def _at(self, z):
        if self.over:
            raise _Stop
        z = as_gradient("what method hands to fun, jac and callback", z, self.origin)
        key = z.tobytes()
        if key not in self.known:
            x = self.origin + self.scale * z
            self._keep(z, x, self._of_user(self.oracle.fun, x), self._of_user(self.oracle.grad, x))
        return self.known[key]

    def _of_user(self, function, *arguments):
        """What a function of the user's returns; what it raises is no fault of the solver."""
        self.theirs = True
        answer = function(*arguments)
        self.theirs = False
        return answer

    def __call__(self, z):
        self.asked += 1
        if self.asked > (_MOST if self.name == "TNC" else _USUAL) * (self.seen + 20):
            raise _Stop
        _, f, g = self._at(z)
        return f, self.scale * g

    def hess(self, z):
        return self.scale**2 * self._of_user(self.oracle.hess, self._at(z)[0])

    def product(self, z, v):
        """By what is given, or by a forward difference of gradients."""
        x, _, g = self._at(z)
        size = norm(v)
        self.products += 1
        if self.products > _PRODUCTS_AT_MOST + 20 * x.size:  # as where numbers have overflowed
            raise _Stop
        if size == 0:
            return np.zeros_like(x)
        if self.oracle.has_hvp:
            v = np.asarray(v, dtype=float)
            return self.scale**2 * self._of_user(self.oracle.hvp, x, v)
        h = math.sqrt(4 * unit_of(g)) * max(norm(x), self.scale)
        ahead = self._of_user(self.oracle.grad, x + (h / size) * v)
        return self.scale**2 * size / h * (ahead - g)

    def iterate(self, z, *_):
        """SciPy's callback: look at the iterate, show it to the loop, and stop where it arrived."""
        x, f, g = self._at(z)
        state = self.state
        noticed(state, *self.best, x, f, g)
        if math.isfinite(f) and f <= self.best[1] and np.isfinite(g).all():
            state.moved = norm(x - self.best[0]) or state.moved
            self.best = (x, f, g)
        state.nit += 1
        self.products = 0
        report = getattr(self.oracle, "report", None)
        if report is not None:
            shown = state.copy()
            shown.x, shown.value, shown.jac = self.best
            self.over = report(shown)
        self.record, self.seen = progress(self.record, *self.best, state.moved), self.seen + 1
        self.over = (self.over or norm(self.best[2]) <= self.epsilon or stands_still(self.record)
                     or falls_for_ever(state, self.best[1], self.epsilon))
        if self.over:
            raise _Stop

    def finish(self):
        """The best iterate into the state."""
        state = self.state
        state.x, state.value, state.jac = self.best
        state.anchor, state.blind = self.best, 0
