r"""Whether f grows like the fourth power of the distance at a degenerate minimizer, and the proof.

Let x be a minimizer with Hessian H, U its range and V its kernel. For v in V the equation
P_U∇f(x + u + v) = 0 has one small solution u = φ(v); the ravine is {x + φ(v) + v}. With
T(v) = P_U D³f[v, v, ·] and the pseudoinverse H† (proof in chapter 4, for f four times continuously
differentiable),

.. math:: f(x + \varphi(v) + v) = f(x) + q(v) + o(\|v\|^4), \qquad
          q(v) = \tfrac1{24} D^4f[v^4] - \tfrac18 \langle T(v), H^\dagger T(v)\rangle,

and f grows like the fourth power of the distance exactly if q > 0 on V without 0. Where D³f does
not vanish on V, or q < 0 somewhere, x is no minimizer.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field, replace

import numpy as np

from .._arguments import as_gradient, as_point, generator, integer, positive
from . import form, polish
from .derivatives import Autograd, Differences, settled

__all__ = ["Growth", "Ravine", "analyze"]

# How many times its error a number has to be to count as different from zero.
_CLEAR = 10.0
# Forms at two spacings differ by less than this part where f is four times differentiable; |v|ᵖ
# makes it about |p − 4|, at any spacing.
_ALIKE = 1e-3
_UNIT = np.finfo(float).eps


class Growth(enum.Enum):
    """Whether f − f(x) ≥ c·distance⁴ near a minimizer, for some c > 0.

    Examples
    --------
    >>> [growth.value for growth in Growth]
    ['fourth-order growth', 'no fourth-order growth', 'cannot tell']
    """

    YES = "fourth-order growth"
    NO = "no fourth-order growth"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, repr=False)
class Ravine:
    """What `analyze` found.

    Attributes
    ----------
    x : ndarray, shape (d,)
        The minimizer, polished.
    moved : float
        How far that is from the point that was given.
    range, kernel : ndarray, shape (d, r) and (d, m)
        Orthonormal bases of U and V, in V without the given tangents.
    curvatures : ndarray, shape (r,)
        The positive eigenvalues of H: μ is the first, L the last.
    verdict : Growth
    constant : float
        The least q on the unit sphere of V that was found; nan where V is 0.
    lower : float
        What q is proved to be at least there, before ``error`` is taken off: ``constant`` itself,
        to rounding, with at most two directions in V, and with more the bound of a sum of squares.
    error : float
        How far q may be off anywhere on the sphere: the estimates at two spacings, what is unknown
        about x, and rounding.
    resolution : float
        What the floor does within this distance of x is not seen: errors and rounding would hide a
        curvature of 12·lower·resolution².
    direction : ndarray or None
        Where ``constant`` was found, shape (d,).
    message : str

    Examples
    --------
    >>> from saddlelib.problems import RavineRosenbrock
    >>> found = analyze(RavineRosenbrock(10.0))
    >>> found.verdict.name, abs(found.kernel.ravel()).round(6).tolist(), found.curvatures.round(6)
    ('YES', [1.0, 0.0], array([20.]))
    """

    x: np.ndarray
    range: np.ndarray
    kernel: np.ndarray
    curvatures: np.ndarray
    verdict: Growth
    constant: float
    error: float
    direction: np.ndarray | None
    message: str
    moved: float = 0.0
    lower: float = math.nan
    resolution: float = math.nan
    _given: object = field(default=None, compare=False)
    _form: np.ndarray | None = field(default=None, compare=False)
    _bend: object = field(default=None, compare=False)

    def __repr__(self):
        return f"Ravine({self.verdict.value}: {self.message})"

    def q(self, v) -> float:
        """q(v) for v in V, shape (d,)."""
        v = self._of_kernel(v)
        if self._form is None:
            return 0.0
        return float(form.features(self.kernel.T @ v, 4) @ self._form)

    def point(self, v, tol=1e-12, maxiter=50) -> np.ndarray:
        """x + φ(v) + v for v in V, by Newton's method; raises ValueError where that fails."""
        v = self._of_kernel(v)
        given, U = self._given, self.range
        base, size = given.grad(self.x), float(np.linalg.norm(v))
        u = np.zeros(U.shape[1])
        if U.size and self._bend is not None and np.isfinite(self._bend(v)).all():
            u = -0.5 * self._bend(v) / self.curvatures  # φ to second order
        for _ in range(maxiter):
            y = self.x + U @ u + v
            step = np.linalg.solve(U.T @ given.hess_times(y, U), U.T @ (given.grad(y) - base))
            u = u - step
            if not np.isfinite(u).all() or np.linalg.norm(u) > 10 * size + 1e-300:
                break
            if np.linalg.norm(step) <= tol * (np.linalg.norm(u) + size**2):
                return self.x + U @ u + v
        raise ValueError(f"Newton's method finds no ravine at a distance of {size:.3g}; give a "
                         f"smaller v")

    def _of_kernel(self, v):
        v = as_point("v", v)
        if v.size != self.x.size:
            raise ValueError(f"v must have {self.x.size} coordinates, got {v.size}")
        off = v - self.kernel @ (self.kernel.T @ v)
        if not np.linalg.norm(off) <= 1e-8 * np.linalg.norm(v):
            raise ValueError("v must lie in the kernel of the Hessian; project it with "
                             "kernel @ (kernel.T @ v)")
        return v


def analyze(fun, x=None, *, jac=None, hessp=None, tangents=None, rank_tol=1e-6, spacing=None,
            starts=200, rng=0) -> Ravine:
    """Find the ravine at a minimizer and decide on fourth-order growth.

    The point may be known only roughly, as a solver returns it: it is polished first, and the
    kernel of the Hessian is what vanishes at the polished point. "Yes" says that q is positive
    everywhere on the sphere by more than its error: by its least value in one or two variables, by
    a sum of squares in more. "No" says that a way down was found and f falls along it. What is
    decided is the function at the scale of its differences; what is finer is not seen. A kernel of
    more than 14 dimensions is "cannot tell".

    Parameters
    ----------
    fun : Problem, callable or None
        A plain function needs ``jac``, and takes ``hessp`` if there is one; its values are not
        looked at, so that None will do. Or what `torch_derivatives` returns.
    x : array_like, shape (d,), optional
        The minimizer, or a point near it; the first that the problem lists by default.
    jac, hessp : callable, optional
        ``jac(x) -> (d,)``, ``hessp(x, v) -> (d,)``. Third and fourth derivatives are differences of
        Hessian-vector products, or of gradients, at two scales each; where these disagree the
        verdict is "cannot tell". With m flat directions it takes about 2000 gradients to find
        spacings, and 8 for each of d + 2m²/3 + m³/16 directions at each of two to four points.
    tangents : array_like, shape (d, s), optional
        Directions along which the minimizers form a manifold, for example those of rotations.
        They have to lie in the kernel, and f must not change along them to the fourth order. The
        verdict is that on f restricted to x + tangents^⊥, where the theorem holds as it stands. It
        is one on f − f* against the distance to the manifold wherever isometries that leave f as
        it is move x along all tangents, as rotations do.
    rank_tol : float
        Eigenvalues below rank_tol times the largest curvature, at x or where the differences look,
        are candidates for the kernel. They stay in it if they vanish at the polished point.
    spacing : float, optional
        The largest distance of the differences from x that is preferred, in units of x. It is
        used where no other sees the derivatives clearly better; by default a twentieth of ‖x‖.
    starts : int
        Of the search for a way down, where V has more than two dimensions.
    rng : int or Generator

    Returns
    -------
    Ravine

    Raises
    ------
    TypeError, ValueError
        Naming the argument; also where x is not near a stationary point, the gradient is not
        finite there, or the Hessian has a negative eigenvalue.

    Examples
    --------
    >>> from saddlelib.problems import RavineRosenbrock
    >>> found = analyze(RavineRosenbrock(10.0), [1e-4, 1e-8])
    >>> found.verdict is Growth.YES, round(found.constant, 6)
    (True, 1.0)
    >>> found.point([0.1, 0.0]).round(9).tolist()
    [0.1, 0.01]
    """
    positive("rank_tol", rank_tol), integer("starts", starts)
    if spacing is not None:
        positive("spacing", spacing)
    if x is None:
        if not len(getattr(fun, "minimizers", ())):
            raise ValueError("give x, the minimizer to look at")
        x = fun.minimizers[0]
    x = as_point("x", x)
    rng = generator("rng", rng)
    given = _derivatives(fun, jac, hessp)
    if isinstance(given, Differences):
        _check_shapes(given, x)
    try:
        with np.errstate(all="ignore"):
            return _decide(_Case(given, x, tangents, spacing, starts, rng, rank_tol))
    except (np.linalg.LinAlgError, OverflowError) as error:
        raise ValueError("numbers on the way leave the range of float64; multiply fun by a "
                         "constant that brings its Hessian near 1, and x by one that brings it "
                         "and spacing near 1") from error


def _derivatives(fun, jac, hessp):
    if isinstance(fun, (Autograd, Differences)):
        return fun
    if fun is not None and not callable(fun):
        jac, hessp = fun.grad, fun.hvp
    if not callable(jac):
        raise TypeError(f"jac must be a function that returns the gradient, got {jac!r}")
    return Differences(jac, hessp)


def _check_shapes(given, x):
    with np.errstate(all="ignore"):
        as_gradient("what jac returns", given.gradient(x), x)
        if given.product is not None:
            as_gradient("what hessp returns", given.product(x, np.eye(x.size)[0]), x)


class _Case:
    """A question to `analyze`, with what is known about the point that was given."""

    def __init__(self, given, x, tangents, spacing, starts, rng, rank_tol):
        self.start, self.preferred, self.starts, self.rng = x, spacing, starts, rng
        self.tangents = None if tangents is None else _orthonormal(tangents, x.size)
        slope = np.linalg.norm(given.grad(x))
        if not math.isfinite(slope):
            raise ValueError("the gradient at x is not finite; give a point where f is smooth")
        W = rng.standard_normal((2, x.size))
        W /= np.linalg.norm(W, axis=1, keepdims=True)
        given = settled(given, x, W, np.eye(x.size), 2, spacing)
        if isinstance(given, Differences):
            given = replace(given, near=given.spacing)
        H, off = polish.hessian(given, x)
        if not np.isfinite(H).all():
            raise ValueError("the Hessian at x is not finite; give a point where f is smooth")
        values = np.linalg.eigvalsh(H)
        stiff = float(np.abs(values).max())
        if isinstance(given, Differences):
            given = replace(given, stiff=stiff)
        self.given = given
        # The curvature of what is flat at x counts as well, as far as the differences reach.
        wide = settled(given, x, W, np.eye(x.size), 4, spacing)
        fourth = float(np.linalg.norm(wide.jets(x, W).fourth, axis=1).max())
        change = fourth * wide.spacing**2 / 2
        self.top = max(stiff, change if math.isfinite(change) else 0.0)
        if values[0] < -max(1e-2 * self.top, _CLEAR * np.linalg.norm(off, 2)):
            raise ValueError(f"x is no minimizer with a ravine, nor a point near one: the Hessian "
                             f"has eigenvalues from {values[0]:.3g} to {values[-1]:.3g}")
        # A length: that of x, or that on which the walls become a floor of order four.
        size = max(float(np.linalg.norm(x)), 0.05 if spacing is None else spacing)
        if fourth > 0:
            size = max(size, min(math.sqrt(stiff / fourth), 100 * size))
        if not slope <= 1e-2 * self.top * size:
            raise ValueError(f"x is not stationary: ‖∇f(x)‖ = {slope:.3g}; give the minimizer, or "
                             f"a point nearer to it")
        self.noise = polish.rounding(given, x, stiff, 1e-6 * given.spacing, rng)
        self.x = polish.descend(given, x, self.noise, 0.1 * size)
        self.rank_tol = rank_tol

    def made(self, verdict, message, here, **facts):
        """The answer, at the point of the derivatives ``here``."""
        facts = dict(constant=math.nan, error=math.nan, direction=None, kernel=here.V) | facts
        bend = (lambda v: here.bend.T @ form.features(here.V.T @ v, 2)) if here.m else None
        moved = float(np.linalg.norm(here.x - self.start))
        return Ravine(here.x, here.U, facts.pop("kernel"), here.curvatures, verdict,
                      facts.pop("constant"), facts.pop("error"), facts.pop("direction"), message,
                      moved, _given=self.given, _bend=bend, **facts)

    def settle(self, m):
        """Spacings chosen for derivatives in the m least curved directions."""
        H, _ = polish.hessian(self.given, self.x)
        V = np.linalg.eigh(H)[1][:, :m]
        W = V.T if m <= 2 else (V @ self.rng.standard_normal((m, 2))).T
        W = W / np.linalg.norm(W, axis=1, keepdims=True)
        return settled(self.given, self.x, W, V, 4, self.preferred)


def _decide(case):
    """Narrow the kernel down until it vanishes at the point polished for it, and judge."""
    H, off = polish.hessian(case.given, case.x)
    if not np.isfinite(H).all():
        raise ValueError("the Hessian near x is not finite; give a point where f is smooth")
    values, vectors = np.linalg.eigh(H)
    doubt = _CLEAR * np.linalg.norm(off @ vectors, axis=0)
    flat = values <= np.maximum(case.rank_tol * case.top, doubt)
    flat |= ~_firm(case, values, vectors, doubt)
    m = int(np.count_nonzero(flat))
    if m:  # V are the least curved directions, so no wall may be below
        m = int(np.flatnonzero(flat)[-1]) + 1
    for _ in range(6):
        if m == 0:
            return _nondegenerate(case)
        if m > polish.MOST:
            return case.made(Growth.CANNOT_TELL, f"the kernel has {m} dimensions, and forms are "
                             f"decided in up to {polish.MOST}",
                             polish.blind(case.given, case.x, m))
        given = case.settle(m)
        here, doubt_x, changed = polish.settle_quartic(given, case.x, m, case.noise)
        if here is None:
            return _no_order_four(case, given, m)
        if not here.finite or not math.isfinite(doubt_x):
            return case.made(Growth.CANNOT_TELL, "a derivative is not finite: f may not be four "
                             "times differentiable here", here)
        seen = np.linalg.eigvalsh(here.hessian())
        tol = here.flatness(case.noise, doubt_x)
        if seen[0] < -tol:
            return _no_order_four(case, given, m)
        if seen[-1] <= tol:
            return _judge(case, given, here, doubt_x, changed)
        m = int(np.count_nonzero(seen <= tol))
        if not _firm(case, values, vectors, doubt)[m:].all():
            return case.made(Growth.CANNOT_TELL, f"the eigenvalue {values[m]:.3g} of the Hessian "
                             f"cannot be told from 0", here)
    return case.made(Growth.CANNOT_TELL, "no kernel of the Hessian is clear", here)


def _firm(case, values, vectors, doubt):
    """Which eigenvalues stay what they are wherever the minimizer may be along their eigenvectors.

    An eigenvalue of size c·r² at a distance r of the minimizer does not: a step of Newton's method
    is a third of the way there, or what rounding leaves of it, and the curvature changes as much.
    """
    g = np.abs(vectors.T @ case.given.grad(case.x)) + _CLEAR * case.noise
    firm = values > doubt
    for i in np.flatnonzero(firm):
        v = vectors[:, i]
        for way in (2 * g[i] / values[i], -2 * g[i] / values[i]):
            there = float(v @ case.given.times(case.x + way * v, v))
            if not abs(there - values[i]) <= 0.2 * values[i]:
                firm[i] = False
    return firm


def _nondegenerate(case):
    """Quadratic growth, if H is positive wherever the minimizer may be."""
    H, off = polish.hessian(case.given, case.x)
    values, vectors = np.linalg.eigh(H)
    doubt = _CLEAR * np.linalg.norm(off @ vectors, axis=0)
    x = case.x
    empty = np.zeros((x.size, 0))
    here = polish.Local(x, vectors, empty, values, case.given.grad(x), *(np.zeros(0),) * 3,
                        np.zeros((0, x.size)), (0.0,) * 3, case.given.spacing)
    if _firm(case, values, vectors, doubt).all():
        return case.made(Growth.YES, "quadratic growth: the kernel is 0", here, error=0.0)
    return case.made(Growth.CANNOT_TELL, f"the least eigenvalue of the Hessian, {values[0]:.3g}, "
                     f"cannot be told from 0", here)


def _no_order_four(case, given, m):
    """D²h is not 0 where D³h is: a degenerate point of order three, a simple one, or no minimum."""
    here, doubt = polish.settle_cubic(given, case.x, m, case.noise)
    if here is not None and _cubic(case, here, doubt):
        v = _largest_cubic(here, case.rng)
        if _falls(case, given, here, -v, 3):
            return case.made(Growth.NO, f"the third derivative along the kernel is "
                             f"{np.linalg.norm(here.third):.3g}: no minimizer", here,
                             direction=here.V @ -v)
    simple = _nondegenerate(case)
    if simple.verdict is Growth.YES:
        return simple
    here = polish.look(given, case.x, m)
    if here.finite:
        seen, W = np.linalg.eigh(here.hessian())
        # At a distance r of a minimizer on a floor that is not convex the curvature may be −12qr²,
        # but then the gradient is about 4qr³.
        size = float(np.linalg.norm(here.form))
        slope = 0.01 * 4 * size * (abs(seen[0]) / (12 * size)) ** 1.5 if size > 0 else math.inf
        if seen[0] < -here.flatness(case.noise) and np.linalg.norm(here.slope) < slope and (
                _falls(case, given, here, W[:, 0], 2) or _falls(case, given, here, -W[:, 0], 2)):
            return case.made(Growth.NO, f"the Hessian has the eigenvalue {seen[0]:.3g}: no "
                             f"minimizer", here, direction=here.V @ W[:, 0])
    return case.made(Growth.CANNOT_TELL, "the derivatives fit neither a minimizer with a ravine "
                     "nor one without: x may be too far from it", here)


def _cubic(case, here, doubt):
    """Whether D³h rules out a minimizer of order four near x, which D²h and ∇h do not show.

    One with the form q would be at a distance r ≥ ‖D³h‖/(24‖q‖), as D³h vanishes there; and with
    growth constant c it would make ‖D²h‖ ≥ 12cr² and ‖∇h‖ ≥ 4cr³ at x. Excluded are those with
    c ≥ 10⁻⁴‖q‖.
    """
    size, cubic = float(np.linalg.norm(here.form)), float(np.linalg.norm(here.third))
    if not cubic > _CLEAR * (here.errors[1] + 24 * size * doubt):
        return False
    r, c = cubic / (24 * max(size, here.errors[2])), 1e-4 * size
    tol = here.flatness(case.noise) + 2 * cubic * doubt
    return np.linalg.norm(here.second) <= max(tol, 12 * c * r**2) and (
        np.linalg.norm(here.slope) <= 4 * c * r**3 or _still(case, here, doubt))


def _still(case, here, doubt):
    """Whether what is left of the gradient is rounding, or what the doubt about x explains."""
    left = float(np.linalg.norm(here.slope))
    hidden = (here.errors[0] + np.linalg.norm(here.second)) * doubt + (
        np.linalg.norm(here.third) + here.errors[1]) * doubt**2 + (
        24 * np.linalg.norm(here.form) * doubt**3)
    return left <= _CLEAR * (case.noise + hidden)


def _largest_cubic(here, rng):
    """A unit vector of ℝᵐ where D³h[v³] is large and positive."""
    T = form.tensor(here.third, here.m, 3)
    W = rng.standard_normal((20, here.m))
    W = np.concatenate([W, np.eye(here.m)])
    for _ in range(50):  # the power method for symmetric tensors
        W = np.einsum("ijk,nj,nk->ni", T, W, W)
        W /= np.maximum(np.linalg.norm(W, axis=1, keepdims=True), 1e-300)
    values = np.einsum("ijk,ni,nj,nk->n", T, W, W, W)
    i = int(np.argmax(np.abs(values)))
    return W[i] * np.sign(values[i])


def _heights(case, given, here, w):
    """Distances t and f(x + φ(tw) + tw) − f(x), for w in ℝᵐ, where they stand out from rounding."""
    bend = here.U @ (here.bend.T @ form.features(w, 2) / -2 / here.curvatures)
    found = []
    for t in given.spacing * 0.5 ** np.arange(0, 14):
        y = here.x + t * (here.V @ w) + t * t * bend
        y = polish.floor(given, y, here.U, here.curvatures, case.noise, steps=2)
        height = polish.gain(given, here.x, y)
        if math.isfinite(height) and abs(height) > 30 * case.noise * t:
            found.append((t, height))
    return found


def _falls(case, given, here, w, order):
    """Whether f falls on the way along w: like tᵒʳᵈᵉʳ, that is at two distances, or at one."""
    heights = _heights(case, given, here, w)
    falls = [(t, h) for t, h in heights if h < 0]
    if not falls:
        return False
    near = heights[-2:]
    return all(h < 0 for _, h in near) if order > 2 else True


def _judge(case, given, here, doubt_x, changed):
    """The verdict where D²h vanishes: D³h, q, the tangents and the gradient decide."""
    m, q_error = here.m, here.errors[2] + changed
    cubic = float(np.linalg.norm(here.third))
    if not _still(case, here, doubt_x):
        return case.made(Growth.CANNOT_TELL, f"the gradient at the polished point is "
                         f"{np.linalg.norm(here.slope):.3g}: it is not stationary", here)
    if doubt_x > here.reach / 4:
        return _unclear(case, here, q_error)
    if doubt_x > 0:  # what the doubt about x may hide of q
        w = np.ones(m) / math.sqrt(m)
        there = polish.look(given, here.x + doubt_x * (here.V @ w), m, here.V)
        q_error += float(np.linalg.norm(there.form - here.form))
    if not math.isfinite(q_error):
        return _unclear(case, here, q_error)
    size = float(np.linalg.norm(here.form))
    if cubic > _CLEAR * here.errors[1] + 240 * size * doubt_x:
        v = _largest_cubic(here, case.rng)
        if _falls(case, given, here, -v, 3):
            return case.made(Growth.NO, f"the third derivative along the kernel is {cubic:.3g}: "
                             f"no minimizer", here, direction=here.V @ -v)
        return _unclear(case, here, q_error)
    basis, b = np.eye(m), here.form
    if case.tangents is not None:
        basis = _across(case, here, q_error)
        if basis.shape[1] == 0:
            return case.made(Growth.YES, "quadratic growth across the tangents: the rest of the "
                             "kernel is 0", here, kernel=here.V @ basis, error=0.0)
        b = form.on_subspace(here.form, basis)
    least = form.least(b, basis.shape[1], case.rng, case.starts)
    facts = dict(constant=least.upper, error=q_error, direction=here.V @ (basis @ least.direction),
                 kernel=here.V @ basis, lower=least.lower, _form=b)
    if least.lower > 0:
        facts["resolution"] = math.sqrt(here.flatness(case.noise, doubt_x) / (12 * least.lower))
    verdict, said = _sign(case, given, here, least, q_error, basis @ least.direction)
    return case.made(verdict, said, here, **facts)


def _unclear(case, here, q_error):
    return case.made(Growth.CANNOT_TELL, "the differences at two spacings disagree: f may not be "
                     "four times differentiable here", here, error=q_error)


def _sign(case, given, here, least, error, w):
    m = least.direction.size
    clear = _CLEAR * error
    coarse = max(here.errors[0], 0) > abs(least.upper) * here.reach**2 or (
        here.errors[1] > abs(least.upper) * here.reach)
    if error > 0.1 * np.linalg.norm(here.form) and error > 1e-9 * case.top / here.reach**2:
        return Growth.CANNOT_TELL, ("the differences at two spacings disagree: f may not be four "
                                    "times differentiable here")
    if least.upper < -clear:
        if _falls(case, given, here, w, 4) or _falls(case, given, here, -w, 4):
            return Growth.NO, f"q = {least.upper:.3g} in one direction: f falls along the ravine"
        return Growth.CANNOT_TELL, (f"q = {least.upper:.3g} in one direction, but f does not fall "
                                    f"along it")
    if not least.upper > clear or coarse:
        return Growth.CANNOT_TELL, (f"q = {least.upper:.3g} ± {error:.1g} in one direction: zero "
                                    f"as far as the differences show; if it is, f grows more "
                                    f"slowly there")
    if not least.lower > clear:
        return Growth.CANNOT_TELL, (f"the least q found is {least.upper:.3g}, but a sum of squares "
                                    f"proves only {least.lower:.3g}")
    if error > _ALIKE * np.linalg.norm(here.form):
        return Growth.CANNOT_TELL, ("the differences at two spacings disagree: f may grow with a "
                                    "power near the fourth")
    heights = _heights(case, given, here, w) + _heights(case, given, here, -w)
    near = sorted(heights)[:4]
    if not near or not all(0.3 < h / (least.upper * t**4) < 3 for t, h in near):
        return Growth.CANNOT_TELL, (f"q = {least.upper:.3g} in one direction, but f does not grow "
                                    f"so along it")
    rise = polish.gain(given, case.start, here.x)
    if not rise <= 30 * case.noise * np.linalg.norm(here.x - case.start):
        return Growth.CANNOT_TELL, (f"the polished point is higher than the one given, by "
                                    f"{rise:.2g}: x is no point near its minimizer")
    how = "" if m <= 2 else ", by a sum of squares"
    below = least.lower * (1 - 5e-4)  # so that four digits do not round it up
    return Growth.YES, f"f − f* ≥ {below:.4g}·distance⁴ close enough to x{how}"


def _orthonormal(tangents, d):
    """Orthonormal directions, and how large the tangents are along them, the largest 1."""
    T = np.asarray(tangents, float)
    if T.ndim != 2 or len(T) != d:
        raise ValueError(f"tangents must be (d, s) with d = {d}, got shape {T.shape}")
    if not np.isfinite(T).all():
        raise ValueError("tangents must be finite")
    left, sizes, _ = np.linalg.svd(T, full_matrices=False)
    most = sizes.max(initial=0.0)
    return left, sizes / most if most > 0 else sizes


def _across(case, here, error):
    """An orthonormal basis, in coordinates of V, of what is left of V across the tangents."""
    moved = float(np.linalg.norm(here.x - case.start))
    off = 10 * moved / max(float(np.linalg.norm(here.x)), here.reach)
    # Turning columns that vanish at the minimizer is no motion there, and none that is small.
    tangents, sizes = case.tangents
    tangents = tangents[:, sizes > max(1e-9, off)]
    tilt = np.linalg.norm(tangents - here.V @ (here.V.T @ tangents))
    if not tilt <= 1e-6 + off:
        raise ValueError("tangents must lie in the kernel of the Hessian: f is constant along them")
    inside, sizes, _ = np.linalg.svd(here.V.T @ tangents, full_matrices=True)
    s = int(np.count_nonzero(sizes > 0.5))
    along, basis = inside[:, :s], inside[:, s:]
    if s:
        rng = np.random.default_rng(s)
        W = rng.standard_normal((4 * s, s)) @ along.T
        W /= np.linalg.norm(W, axis=1, keepdims=True)
        change = np.abs(form.gradient_rows(W, 4) @ here.form).max()
        # The tangents are those at the point that was given: from there to x they turn a little.
        turn = 10 * tilt + off
        if not change <= _CLEAR * error + (1e-9 + turn**2) * np.linalg.norm(here.form):
            raise ValueError(f"f is not constant along tangents: its fourth-order form changes by "
                             f"{change:.3g} there; leave out what is no direction of a manifold of "
                             f"minimizers")
    return basis
