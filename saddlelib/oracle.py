"""Every value, gradient, Hessian-vector product and Hessian passes through here and is counted."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from . import differences
from ._arguments import generator, integer, nonnegative
from ._norm import norm

__all__ = ["FiniteSum", "Oracle", "Sample", "noted"]

# Rows of per-sample gradients that are in memory at once, and draws of a heavy tail.
_ROWS = 1024
_UNIT = 2.0**-53
_DRAWS = 1_000_000
# A mini-batch of a heavy tail is drawn sample by sample: a second for so many, and hours beyond.
_MOST_DRAWS = 20_000_000
_LARGEST_BATCH = 10**300  # of Gaussian noise, whose mean is drawn at once
# Units of rounding of numbers with fewer digits than float64 has.
_DOUBLE = np.dtype(float)
_COARSE = {"float32": 2.0**-24, "float16": 2.0**-11}


class _Names(NamedTuple):
    """What the user calls each function, for messages."""

    fun: str
    grad: str
    hvp: str
    hess: str


class FiniteSum:
    r"""f = (1/n) Σ fᵢ, given by the gradients of its n terms; a problem for `Oracle`.

    Parameters
    ----------
    fun : callable
        ``fun(x) -> float``, the value of f.
    grads : callable
        ``grads(x, indices) -> (B, d)``, row by row the ∇fᵢ(x) for the B ``indices``, integers from
        0 to n − 1.
    size, dim : int
        n ≥ 1 and d ≥ 1.
    hvp, hess : callable, optional
        ``hvp(x, v) -> (d,)`` and ``hess(x) -> (d, d)`` of f.
    hvps : callable, optional
        ``hvps(x, v, indices) -> (B, d)``, row by row the ∇²fᵢ(x)v for the B ``indices``. Without
        ``hvp``, f's own products come from it too.
    replacement : bool
        How the indices of a mini-batch are drawn. True: each on its own, uniformly. False: along a
        random order of all n, and then along the next, so that every epoch has every sample once;
        a batch at the end of an epoch takes its rest from the next one.
    lipschitz_grad, lipschitz_hess, f_star : float, optional
        ℓ and ρ of f, and its infimum, where they are known.

    Raises
    ------
    TypeError, ValueError
        If a function is not callable, or ``size`` or ``dim`` is no integer ≥ 1.

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib.oracle import FiniteSum, Oracle
    >>> data = np.arange(6.0).reshape(3, 2)
    >>> mean = FiniteSum(lambda x: 0.5 * ((x - data)**2).sum(1).mean(), lambda x, i: x - data[i],
    ...                  size=3, dim=2)
    >>> oracle = Oracle(mean, rng=0)
    >>> oracle.grad(np.zeros(2)), oracle.nsamples
    (array([-2., -3.]), 3)
    >>> seen = sum(oracle.batch_grad(np.zeros(2), 1) for _ in range(3))
    >>> seen / 3, oracle.nsamples
    (array([-2., -3.]), 6)
    """

    name = "finite sum"

    def __init__(self, fun, grads, size, dim, *, hvp=None, hess=None, hvps=None,
                 replacement=False, lipschitz_grad=None, lipschitz_hess=None, f_star=-math.inf):
        for name, given in (("fun", fun), ("grads", grads)):
            if not callable(given):
                raise TypeError(f"{name} must be a function, got {given!r}")
        for name, given in (("hvp", hvp), ("hess", hess), ("hvps", hvps)):
            if given is not None and not callable(given):
                raise TypeError(f"{name} must be a function or None, got {given!r}")
        self.size, self.dim = integer("size", size), integer("dim", dim)
        self._grads, self._hvps = noted("grads", grads), noted("hvps", hvps)
        fun, hvp, hess = noted("fun", fun), noted("hvp", hvp), noted("hess", hess)
        # Copies, as in Oracle.
        self.fun = lambda x: fun(x.copy())
        if hvp is not None:
            self.hvp = lambda x, v: hvp(x.copy(), v.copy())
        else:
            self.hvp = hvps and (lambda x, v: self.mean_hvp(x, v, np.arange(self.size)))
        self.hess = hess and (lambda x: hess(x.copy()))
        self.replacement = bool(replacement)
        self.rounding = 0.0  # how far the last mean of gradients may be off by rounding, ‖·‖₂
        self.lipschitz_grad, self.lipschitz_hess = lipschitz_grad, lipschitz_hess
        self.f_star = float(f_star)

    def grads(self, x, indices) -> np.ndarray:
        """∇fᵢ(x) for every index, shape (B, d)."""
        return self._rows("grads", self._grads(x.copy(), indices.copy()), indices)

    def _rows(self, name, rows, indices):
        rows = _real(name, rows)
        if rows.shape != (indices.size, self.dim):
            raise ValueError(f"{name} must return one row of {self.dim} numbers for each of the "
                             f"{indices.size} indices, got shape {rows.shape}")
        return rows

    @property
    def has_hvps(self) -> bool:
        """Whether Hessian-vector products of single terms are given."""
        return self._hvps is not None

    def grad(self, x) -> np.ndarray:
        """∇f(x), shape (d,), from all n terms."""
        return self.mean_grad(x, np.arange(self.size))

    def mean_grad(self, x, indices) -> np.ndarray:
        """The mean of ∇fᵢ(x) over the indices, shape (d,)."""
        size = 0.0

        def rows(some):
            nonlocal size
            found = self.grads(x, some)
            size += norm(found) * math.sqrt(some.size)  # at least the sum of the norms
            return found
        mean, n = self._mean(indices, rows), indices.size
        # A sum of rows, and then of such sums, each addition off by a unit; and the terms by four.
        self.rounding = _UNIT * (min(n, _ROWS) + -(-n // _ROWS) + 4) * (size / n)
        return mean

    def mean_hvp(self, x, v, indices) -> np.ndarray:
        """The mean of ∇²fᵢ(x)v over the indices, shape (d,). Raises TypeError without ``hvps``."""
        if self._hvps is None:
            raise TypeError("no hvps were given")
        return self._mean(indices, lambda some: self._rows(
            "hvps", self._hvps(x.copy(), v.copy(), some.copy()), some))

    def _mean(self, indices, rows):
        total = np.zeros(self.dim)
        for start in range(0, indices.size, _ROWS):
            total += rows(indices[start:start + _ROWS]).sum(axis=0)
        return total / indices.size

    def draw(self, batch_size, rng, unseen=None):
        """Indices of a mini-batch, (batch_size,), and those that the epoch has left, or None."""
        if self.replacement:
            return rng.integers(self.size, size=batch_size), None
        if unseen is None:
            unseen = np.empty(0, dtype=int)
        indices, unseen = unseen[:batch_size], unseen[batch_size:]
        if indices.size < batch_size:
            order, missing = rng.permutation(self.size), batch_size - indices.size
            indices, unseen = np.concatenate([indices, order[:missing]]), order[missing:]
        return indices, unseen


class Oracle:
    r"""Counts what is asked of an objective, and checks what comes back.

    Parameters
    ----------
    fun : Problem, FiniteSum or callable
        A `saddlelib.problems.Problem`, a `FiniteSum`, or ``fun(x, *args) -> float``.
    jac : callable, True, "2-point", "3-point" or "cs"
        For a plain function, its gradient ``jac(x, *args) -> (d,)``. True: ``fun`` returns
        (f, ∇f); it is called once for both where both are asked for at one of the last two points.
        A string: by `saddlelib.differences` of values; ``fun`` has to take complex x for "cs".
    hessp, hess : callable, optional
        For a plain function, ``hessp(x, v, *args) -> (d,)`` and ``hess(x, *args) -> (d, d)``, an
        array, a sparse one, or a `scipy.sparse.linalg.LinearOperator`.
    args : tuple, optional
        Extra arguments of all four functions.
    grad_noise : float, optional
        σ ≥ 0. Every gradient gets an independent draw of N(0, (σ²/d) I) added, so that
        E‖noise‖² = σ² in every dimension. The last draw is kept as ``last_noise``.
    rng : numpy.random.Generator or int, optional
        Where the noise comes from, and the mini-batches of a `FiniteSum`. Required when
        ``grad_noise`` > 0.
    noise_df : float, optional
        ν > 2: the noise is Student's t with ν degrees of freedom instead of Gaussian, with the same
        mean 0 and covariance (σ²/d) I. It is the multivariate t, which has no preferred direction:
        ‖noise‖² is σ²(ν − 2)/ν times an F(d, ν) variable, and has no moments of order ν/2 and
        above.

    Attributes
    ----------
    nfev, njev, nhvp, nhev : int
        Values, gradients, Hessian-vector products and Hessians asked for so far. A mini-batch is
        one gradient here. With ``jac=True`` they count what was asked for, and not the calls of
        ``fun``, which are fewer. A gradient by differences is one gradient, and every value that it
        takes is one value.
    nsamples : int
        What all of it cost, in samples. A value, a gradient or a Hessian-vector product of one
        sample is 1, a Hessian d: B for a mini-batch of size B, n (a Hessian nd) for a `FiniteSum`
        of n terms as a whole, and 1 (d) for any other problem.
    unseen : ndarray or None
        The indices that are left of the present epoch of a `FiniteSum`. Who keeps ``rng`` and
        ``unseen`` and puts them back later goes on with the same draws.
    last_batch : ndarray or None
        The indices of the last mini-batch of a `FiniteSum`.
    witness : saddlelib.derivatives.Witness or None
        Where one is put, it gets to see every value and every gradient of f, unless the gradients
        are made of the values.
    differences : {"2-point", "3-point", "cs"} or None
        The kind of differences of values that the gradients are.
    unit : float
        The unit of rounding of what was returned so far, 2⁻⁵³ for float64; that of the coarsest
        dtype where there are several.
    notes : tuple of str
        What a user should know of the numbers: differences, and dtypes coarser than float64.

    Raises
    ------
    TypeError
        If a function is missing or not callable, or returns something that is not real numbers.
    ValueError
        If a function returns the wrong shape, ``grad_noise`` is negative or not finite, or
        ``noise_df`` is not above 2; if a `FiniteSum` is given noise on top of its own.

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib import Oracle
    >>> oracle = Oracle(lambda x: x @ x, jac=lambda x: 2 * x)
    >>> oracle.fun(np.ones(3)), oracle.grad(np.ones(3)), (oracle.nfev, oracle.njev)
    (3.0, array([2., 2., 2.]), (1, 1))
    """

    def __init__(self, fun, *, jac=None, hessp=None, hess=None, args=(), grad_noise=0.0,
                 rng=None, noise_df=None):
        self.differences, self.unit, self._coarse = None, _UNIT, {}
        self._at, self._value_there = None, math.nan  # the last value, for differences
        if callable(fun):
            self._take(fun, jac, hessp, hess, args if isinstance(args, tuple) else (args,))
        elif all(hasattr(fun, name) for name in ("fun", "grad", "hvp", "hess", "dim")):
            if jac is not None or hessp is not None or hess is not None:
                raise TypeError("a Problem brings its own derivatives; leave jac, hessp, hess out")
            self.names = _Names("fun", "grad", "hvp", "hess")
            functions = [getattr(fun, name) for name in self.names]
            if not isinstance(fun, FiniteSum):  # which says itself where an error is from
                functions = map(noted, self.names, functions)
            self._fun, self._grad, self._hvp, self._hess = functions
            self.problem = fun
        else:
            raise TypeError(f"fun must be a function fun(x) or a saddlelib Problem, got {fun!r}")
        grad_noise = nonnegative("grad_noise", grad_noise)
        if grad_noise > 0 and rng is None:
            raise ValueError("grad_noise > 0 needs rng, a seed or a numpy Generator")
        if noise_df is not None:
            noise_df = nonnegative("noise_df", noise_df)
            if not noise_df > 2:
                raise ValueError(f"noise_df must be a finite number > 2, got {noise_df}: with 2 "
                                 f"degrees of freedom or less the noise has no variance; leave it "
                                 f"out for Gaussian noise")
            if grad_noise == 0:
                raise ValueError("noise_df is the shape of the noise; give its size grad_noise > 0 "
                                 "as well")
        self._sum = fun if isinstance(fun, FiniteSum) else None
        if self._sum is not None and grad_noise > 0:
            raise ValueError("the noise of a FiniteSum comes from its mini-batches; leave "
                             "grad_noise out")
        self.grad_noise, self.noise_df = grad_noise, noise_df
        self.rng = None if rng is None else generator("rng", rng)
        self.last_noise = self.last_batch = self.unseen = self.witness = None
        self.nfev = self.njev = self.nhvp = self.nhev = self.nsamples = 0

    def _take(self, fun, jac, hessp, hess, args):
        """The functions of a user, each with its name on what it raises."""
        known = callable(jac) or jac is True or isinstance(jac, str) and jac in differences.KINDS
        if not known:
            raise TypeError(f'jac must be a function that returns the gradient, True where fun '
                            f'returns (f, gradient), or "2-point", "3-point" or "cs" for '
                            f'differences of fun, got {jac!r}; the methods here are first-order '
                            f'methods')
        for name, given in (("hessp", hessp), ("hess", hess)):
            if given is not None and not callable(given):
                raise TypeError(f"{name} must be a function or None, got {given!r}")
        self.names, self.problem = _Names("fun", "jac", "hessp", "hess"), None
        fun, hessp, hess = noted("fun", fun), noted("hessp", hessp), noted("hess", hess)
        # Copies: a function of the user's may write into what it is handed.
        self._fun = lambda x: fun(x.copy(), *args)
        self._hvp = hessp and (lambda x, v: hessp(x.copy(), v.copy(), *args))
        self._hess = hess and (lambda x: hess(x.copy(), *args))
        if callable(jac):
            jac = noted("jac", jac)
            self._grad = lambda x: jac(x.copy(), *args)
        elif jac is True:
            both = _Both(self._fun)
            self._fun, self._grad = both.value, both.gradient
            self.names = self.names._replace(grad="the gradient that fun returns")
        else:
            self.differences, self._grad = str(jac), self._by_differences

    @property
    def has_hvp(self) -> bool:
        """Whether Hessian-vector products are given."""
        return self._hvp is not None

    @property
    def has_hess(self) -> bool:
        """Whether Hessians are given."""
        return self._hess is not None

    @property
    def samples_of_f(self) -> int:
        """The samples that f itself, and not a mini-batch of it, is made of."""
        return 1 if self._sum is None else self._sum.size

    @property
    def calls(self) -> int:
        """All oracle calls so far, of every kind."""
        return self.nfev + self.njev + self.nhvp + self.nhev

    @property
    def by_values(self) -> bool:
        """Whether nothing but values of f is known: gradients are real differences of them."""
        return self.differences in ("2-point", "3-point") and not (self.has_hvp or self.has_hess)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of the numbers that came so far, in words."""
        notes = []
        if self.differences:
            notes.append(f"the gradient comes from {self.differences} differences of fun")
        for kind in sorted(set(self._coarse.values())):
            *most, last = [name for name, seen in sorted(self._coarse.items()) if seen == kind]
            names = f"{', '.join(most)} and {last} answer" if most else f"{last} answers"
            notes.append(f"{names} in {kind}, whose rounding limits what can be certified; float64 "
                         f"has more digits")
        return tuple(notes)

    def fun(self, x) -> float:
        """Value at one point x of shape (d,)."""
        value = self._value(x)
        if self.differences:
            self._at, self._value_there = x.copy(), value
        elif self.witness is not None:
            self.witness.saw(x, f=value)
        return value

    def _value(self, x):
        """A counted value: a float, or a complex number at a complex x."""
        self.nfev += 1
        self.nsamples += self.samples_of_f
        if x.dtype.kind == "c":
            return _complex(self._fun, x)
        value = self._fun(x)
        if type(value) not in (float, np.float64):
            if isinstance(value, tuple) and len(value) == 2:
                raise TypeError("fun must return one number, got a pair; if it is (f, gradient), "
                                "say jac=True")
            value = _real("fun", self._noticed("fun", value))
            if value.size != 1:
                raise ValueError(f"fun must return one number, got an array of shape {value.shape}")
        return float(value.reshape(()) if isinstance(value, np.ndarray) else value)

    def _noticed(self, name, value):
        """The same; a dtype with fewer digits than float64 has is remembered."""
        dtype = getattr(value, "dtype", _DOUBLE)
        if dtype is _DOUBLE:
            return value
        kind = getattr(dtype, "name", None)
        if kind in _COARSE:
            self.unit = max(self.unit, _COARSE[kind])
            self._coarse[name] = kind
        return value

    def _by_differences(self, x):
        """∇f(x) from counted values."""
        value = None
        if self.differences == "2-point":
            known = self._at is not None and np.array_equal(self._at, x)
            value = self._value_there if known else self._value(x)
        return differences.gradient(self._value, x, self.differences, value, self.unit)

    def grad_error(self, x, g) -> float | None:
        """‖error‖₂ of a gradient g = ∇f(x) by differences, measured; None for any other.

        Costs a gradient's values, and ten more.
        """
        if not self.differences:
            return None
        return differences.error(self._value, x, g, self.differences,
                                 self._value(x), self.unit)

    def grad(self, x) -> np.ndarray:
        """Gradient at one point x of shape (d,), with noise when the oracle is noisy.

        That of a `FiniteSum` is the exact one, of all its terms.
        """
        self.njev += 1
        self.nsamples += self.samples_of_f
        g = _vector(self.names.grad, self._noticed("jac", self._grad(x)), x.shape)
        if self.witness is not None and not self.differences:
            self.witness.saw(x, g=g)  # without the noise
        return g + self._noise(x.size, 1) if self.grad_noise else g

    def batch_grad(self, x, batch_size) -> np.ndarray:
        """Mean of ``batch_size`` gradients of single samples at one point x of shape (d,).

        Of a `FiniteSum` it is the mean over a mini-batch of its terms. Else every sample is the
        gradient with its own draw of the noise; the mean of the draws is drawn at once, from its
        own distribution, and ∇f is computed once, whatever ``batch_size`` is. Counts one gradient
        and ``batch_size`` samples. Raises ValueError for a mini-batch larger than the data set.

        Examples
        --------
        >>> import numpy as np
        >>> from saddlelib import Oracle
        >>> from saddlelib.problems import QuarticSaddle
        >>> oracle = Oracle(QuarticSaddle(), grad_noise=1.0, rng=0)
        >>> oracle.batch_grad(np.zeros(2), 10_000).round(2), oracle.njev, oracle.nsamples
        (array([ 0., -0.]), 1, 10000)
        """
        batch_size = integer("batch_size", batch_size)
        self._check_batch(batch_size)
        if self._sum is not None:
            self.last_batch, self.unseen = self._sum.draw(batch_size, self.rng, self.unseen)
        self.njev += 1
        self.nsamples += batch_size
        if self._sum is not None:
            return _vector("grads", self._sum.mean_grad(x, self.last_batch), x.shape)
        g = _vector(self.names.grad, self._grad(x), x.shape)
        return g + self._noise(x.size, batch_size) if self.grad_noise else g

    def sample(self, indices=None) -> Sample:
        """The mean of a fixed sample of terms as an objective of its own; see `Sample`."""
        return Sample(self, indices)

    def _check_batch(self, batch_size):
        if self._sum is None:
            most = _LARGEST_BATCH if self.noise_df is None else _MOST_DRAWS
            if batch_size > most:
                raise ValueError(
                    f"batch_size must be at most {most:.0e}"
                    f"{'' if self.noise_df is None else ' where noise_df is given'}, got a larger "
                    f"one; ask for less accuracy or a smaller grad_noise")
            return
        if batch_size > self._sum.size:
            raise ValueError(f"batch_size must be at most the {self._sum.size} samples there are, "
                             f"got {batch_size}; grad gives the gradient over all of them")
        if self.rng is None:
            raise ValueError("a mini-batch needs rng, a seed or a numpy Generator")

    def _noise(self, dim, batch_size):
        """The mean of ``batch_size`` draws of the noise, from its own distribution."""
        noise = self.rng.standard_normal(dim)
        if self.noise_df is None:
            self.last_noise = noise * (self.grad_noise / (dim * batch_size)**0.5)
        else:
            # A draw of t is a Gaussian divided by √(χ²/ν). Given the χ² of all samples, their
            # mean is Gaussian again.
            if 2 / self.noise_df < 2.0**-106 * batch_size:  # the sum is its mean to rounding
                scale = batch_size**-0.5
            else:
                total = sum((1 / self.rng.chisquare(
                    self.noise_df, size=min(_DRAWS, batch_size - start))).sum()
                    for start in range(0, batch_size, _DRAWS))
                scale = math.sqrt((self.noise_df - 2) * total) / batch_size
            self.last_noise = noise * (scale * self.grad_noise / dim**0.5)
        return self.last_noise

    def hvp(self, x, v) -> np.ndarray:
        """Hessian at x times v, both of shape (d,)."""
        if self._hvp is None:
            raise TypeError(f"no {self.names.hvp} was given")
        self.nhvp += 1
        self.nsamples += self.samples_of_f
        return _vector(self.names.hvp, self._noticed(self.names.hvp, self._hvp(x, v)), x.shape)

    def hess(self, x) -> np.ndarray:
        """Hessian at x, shape (d, d)."""
        h = self.hess_operator(x)
        if not isinstance(h, np.ndarray):
            h = h.toarray() if hasattr(h, "toarray") else h @ np.eye(x.size)
        return _real("hess", h)

    def hess_operator(self, x):
        """Hessian at x, what ``H @ v`` works for: an array, a sparse one, or a LinearOperator."""
        if self._hess is None:
            raise TypeError("no hess was given")
        self.nhev += 1
        self.nsamples += self.samples_of_f * x.size
        h = self._noticed("hess", self._hess(x))
        if not (hasattr(h, "toarray") or hasattr(h, "matvec")):
            h = _real("hess", h)
        if h.shape != (x.size, x.size):
            raise ValueError(f"hess must return shape {(x.size, x.size)}, got {h.shape}")
        return h


class _Both:
    """Value and gradient of a function that returns both, called once for each new point."""

    def __init__(self, fun):
        self._fun, self._known = fun, []  # of the last two points: (x, f, ∇f)

    def value(self, x):
        """f(x)."""
        return self._ask(x)[1]

    def gradient(self, x):
        """∇f(x)."""
        return self._ask(x)[2]

    def _ask(self, x):
        for known in self._known:
            if np.array_equal(known[0], x):
                return known
        both = self._fun(x)
        if not (isinstance(both, (tuple, list)) and len(both) == 2):
            raise TypeError(f"with jac=True fun must return a pair (f, gradient), got "
                            f"{type(both).__name__}; give jac if fun returns f alone")
        value, g = both
        try:
            g = np.array(g)  # a copy, because functions of users reuse their buffers
        except ValueError:
            raise ValueError("the gradient that fun returns must hold real numbers, got rows of "
                             "different lengths") from None
        self._known = [(x.copy(), value, g), *self._known[:1]]
        return self._known[0]


class Sample:
    """A fixed sample of the terms of an `Oracle`: the same terms at every point and direction.

    So differences of its gradients have no noise in them, and its Hessian is one symmetric matrix.

    Parameters
    ----------
    oracle : Oracle
        Which counts what is asked for: B samples a gradient or product of a sample of B terms.
    indices : ndarray of int or None
        The B terms of its `FiniteSum`, repetitions allowed; None for all of them. Where the
        problem is not a `FiniteSum`, the noise of the oracle does not depend on x: every sample
        has the Hessian of f, None is the only choice, and a gradient here has no noise.

    Raises
    ------
    TypeError
        If there are ``indices`` and the problem is no `FiniteSum`.

    Examples
    --------
    >>> import numpy as np
    >>> from saddlelib.oracle import FiniteSum, Oracle
    >>> scales = np.array([1.0, 2.0, 6.0])
    >>> bowls = FiniteSum(lambda x: 1.5 * x @ x, lambda x, i: scales[i, np.newaxis] * x, size=3,
    ...                   dim=2, hvps=lambda x, v, i: scales[i, np.newaxis] * v)
    >>> oracle = Oracle(bowls)
    >>> sample = oracle.sample(np.array([0, 2]))
    >>> sample.hvp(np.zeros(2), np.ones(2)), oracle.nhvp, oracle.nsamples
    (array([3.5, 3.5]), 1, 2)
    """

    def __init__(self, oracle, indices=None):
        if indices is not None and oracle._sum is None:
            raise TypeError("only a FiniteSum has terms to take a sample of; leave indices out")
        self.oracle, self.indices = oracle, indices

    @property
    def has_hvp(self) -> bool:
        """Whether Hessian-vector products of this sample are given."""
        return self.oracle.has_hvp if self.indices is None else self.oracle._sum.has_hvps

    @property
    def has_hess(self) -> bool:
        """Whether the Hessian of this sample is given; that of f alone can be."""
        return self.indices is None and self.oracle.has_hess

    @property
    def unit(self) -> float:
        """The unit of rounding of what was returned so far."""
        return self.oracle.unit

    @property
    def by_values(self) -> bool:
        """Whether nothing but values of f is known."""
        return self.oracle.by_values

    def fun(self, x) -> float:
        """f(x)."""
        return self.oracle.fun(x)

    def hess(self, x) -> np.ndarray:
        """The Hessian of f, shape (d, d)."""
        return self.oracle.hess(x)

    def hess_operator(self, x):
        """The Hessian of f as the user gave it."""
        return self.oracle.hess_operator(x)

    def grad(self, x) -> np.ndarray:
        """The mean gradient over the sample, shape (d,)."""
        oracle = self.oracle
        oracle.njev += 1
        oracle.nsamples += oracle.samples_of_f if self.indices is None else self.indices.size
        if self.indices is None:
            return _vector(oracle.names.grad, oracle._grad(x), x.shape)
        return _vector("grads", oracle._sum.mean_grad(x, self.indices), x.shape)

    def hvp(self, x, v) -> np.ndarray:
        """The mean Hessian over the sample times v, shape (d,)."""
        oracle = self.oracle
        if self.indices is None:
            return oracle.hvp(x, v)
        product = oracle._sum.mean_hvp(x, v, self.indices)
        oracle.nhvp += 1
        oracle.nsamples += self.indices.size
        return _vector("hvps", product, x.shape)


def _vector(name, value, shape):
    value = _real(name, value)
    if value.shape != shape:
        raise ValueError(
            f"{name} must return shape {shape} like x, got {value.shape}; "
            f"flatten the parameters and the {name} in the same order"
        )
    return value


def _real(name, value):
    """A float64 copy; a copy, because functions of users reuse their buffers."""
    if type(value) is np.ndarray and value.dtype is _DOUBLE:  # as nearly always
        return value.copy()
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"{name} must return real numbers, got rows of different lengths"
                         ) from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must return real numbers, got dtype {array.dtype}")
    with np.errstate(over="ignore"):  # a long double may be too large; then it is infinite
        return np.array(array, dtype=float)


def _complex(fun, x):
    """A value at a complex point, or an error that says what "cs" needs."""
    try:
        value = fun(x)
    except Exception as error:
        error.add_note('jac="cs" calls fun with complex numbers; "3-point" does not')
        raise
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError("fun must return one number, got rows of different lengths") from None
    if array.size != 1:
        raise ValueError(f"fun must return one number, got an array of shape {array.shape}")
    if array.dtype.kind != "c":
        raise TypeError('jac="cs" needs a fun that computes with complex numbers, and this one '
                        'returned a real number at a complex point; take "3-point", or leave out '
                        'what drops imaginary parts (abs, max, float, a real array)')
    return complex(array.reshape(()))


def noted(name, function):
    """The same function; what it raises says from where, and is else passed on as it is.

    Parameters
    ----------
    name : str
        How a user knows the function.
    function : callable or None

    Returns
    -------
    callable or None

    Examples
    --------
    >>> def broken(x):
    ...     raise ValueError("no")
    >>> try:
    ...     noted("jac", broken)(0.0)
    ... except ValueError as error:
    ...     print(error.__notes__)
    ['raised by jac']
    """
    if function is None or hasattr(function, "noted"):
        return function

    @functools.wraps(function, updated=())
    def function_with_note(*arguments):
        try:
            return function(*arguments)
        except Exception as error:
            error.add_note(f"raised by {name}")
            raise
    function_with_note.noted = True
    return function_with_note
