r"""Is x a second-order stationary point? A certificate by randomized Lanczos.

The bound everything here rests on
----------------------------------
Let H be symmetric with smallest and largest eigenvalues λ₁ and λ_d, spread s = λ_d − λ₁, and let
b be a unit vector whose projection on the eigenspace of λ₁ has squared norm t. After k steps of
Lanczos from b, the smallest Ritz value θ_k satisfies

.. math:: 0 \le \theta_k - \lambda_1 \le s\,\tanh^2\!\left(\frac{\operatorname{arcosh}(1/\sqrt t)}
          {2k-1}\right).                                                                  \tag{1}

*Proof.* Write μᵢ = (λᵢ − λ₁)/s ∈ [0, 1] and let ε be the right-hand side divided by s. θ_k is the
least Rayleigh quotient of p(H)b over polynomials p of degree k − 1. With z² = (μ − ε)/(1 − ε) take
p(μ) = T_{2k−1}(z)/(z√(1−ε)), a polynomial of degree k − 1 in μ because T_{2k−1} is odd. Where
μᵢ > ε, (μᵢ − ε)p(μᵢ)² = T_{2k−1}(z)² ≤ 1, so these terms add at most 1 − t to
Σ bᵢ²(μᵢ − ε)p(μᵢ)². The terms of λ₁ add −ε t p(0)² = −t sinh²((2k−1) artanh √ε), since
T_{2k−1}(ia) = ± i sinh((2k−1) arsinh a). All others are ≤ 0. By the choice of ε the sum is ≤ 0,
which says that the Rayleigh quotient is at most λ₁ + ε s. ∎

If b is uniform on the sphere, t follows the Beta(1/2, (d−1)/2) law when λ₁ is simple and is larger
otherwise, so t is at least its δ-quantile with probability at least 1 − δ. One event covers every
k, which is what allows the iteration to stop as soon as it knows. The exponent is that of
Kuczyński & Woźniakowski (1992, SIAM J. Matrix Anal. Appl. 13, 1094-1122), Theorem 4.2, whose
probability bound for one fixed k reads 1.648 √d exp(−√ε (2k−1)).
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dsterf, dstev
from scipy.special import betaincinv

from ._arguments import as_point, curvature_scale, integer, positive, probability
from .oracle import Oracle
from .perturbation import uniform_sphere

__all__ = ["Certificate", "Verdict", "certify", "lanczos_error", "start_overlap"]

_UNIT = np.finfo(float).eps / 2


class Verdict(enum.Enum):
    """What a certificate says, with a sentence each."""

    SOSP = "second-order stationary: small gradient, no strong negative curvature"
    NOT_STATIONARY = "not stationary: the gradient is larger than epsilon"
    NEGATIVE_CURVATURE = "a saddle: a direction of strong negative curvature is attached"
    CANNOT_TELL = "cannot tell: rounding, noise or the budget decides, not the function"


@dataclass(frozen=True)
class Certificate:
    """The answer of `certify`.

    Attributes
    ----------
    verdict : Verdict
    message : str
        The verdict with its numbers.
    grad_norm, epsilon : float
        ‖∇f(x)‖₂ and the ε it was held against.
    min_eig : float
        Smallest Ritz value: an upper bound of λ_min up to ``hvp_error``.
    min_eig_lower : float
        λ_min is at least this, with probability at least 1 − ``failure_prob``.
    curvature_tol : float
        The threshold √(ρε): negative curvature down to −curvature_tol is allowed.
    direction : ndarray, shape (d,)
        Unit vector with Rayleigh quotient ``min_eig``.
    failure_prob : float
    iterations : int
        Lanczos steps.
    hvp_error : float
        Allowance for errors of the Hessian-vector products, an absolute error in an eigenvalue.
    nfev, njev, nhvp, nhev : int
        What this certificate cost.
    """

    verdict: Verdict
    message: str
    grad_norm: float
    epsilon: float
    min_eig: float
    min_eig_lower: float
    curvature_tol: float
    direction: np.ndarray
    failure_prob: float
    iterations: int
    hvp_error: float
    nfev: int
    njev: int
    nhvp: int
    nhev: int

    @property
    def passed(self) -> bool:
        """Whether x is certified as an (ε, √(ρε))-second-order stationary point."""
        return self.verdict is Verdict.SOSP

    def __repr__(self) -> str:
        return f"Certificate({self.verdict.name}: {self.message})"


def start_overlap(dim, failure_prob) -> float:
    """Squared overlap t that a uniform unit vector has with a fixed line, except with prob. δ.

    The δ-quantile of Beta(1/2, (d−1)/2), about δ²π/(2d) for small δ.

    Examples
    --------
    >>> round(start_overlap(2, 0.5), 12)     # cos² of an angle uniform on the circle
    0.5
    """
    return 1.0 if dim == 1 else float(betaincinv(0.5, 0.5 * (dim - 1), failure_prob))


def lanczos_error(k, overlap) -> float:
    """Largest possible (θ_k − λ_min)/(λ_max − λ_min) after k ≥ 1 Lanczos steps; equation (1).

    ``overlap`` is the squared projection of the unit start on the eigenspace of λ_min. Equality is
    attained for k = 1 by a spectrum of two points.

    Examples
    --------
    >>> round(lanczos_error(1, 0.25), 12)
    0.75
    >>> lanczos_error(50, 1e-8) < 0.01
    True
    """
    if overlap >= 1.0:
        return 0.0
    return math.tanh(math.acosh(overlap**-0.5) / (2 * k - 1)) ** 2


def certify(problem, x, *, epsilon, failure_prob=1e-4, curvature_tol=None, lipschitz_hess=None,
            grad=None, hvp=None, hess=None, args=(), rng=None, maxiter=None, resolution=0.05,
            hvp_error=None, jac=None) -> Certificate:
    r"""Decide whether x is an (ε, √(ρε))-second-order stationary point.

    That is ‖∇f(x)‖₂ ≤ ε and λ_min(∇²f(x)) ≥ −√(ρε) (Nesterov & Polyak 2006; Jin et al. 2017).
    Only Hessian-vector products are used; memory is (iterations + 2)·d numbers.

    The promise: if λ_min < −curvature_tol, the verdict is `Verdict.SOSP` with probability at most
    ``failure_prob``, whatever the function, over the draw of the start of the Lanczos iteration.
    λ_min is bounded below by θ − min{ε_k s̄, β_k/√t}, where t = ``start_overlap(d, δ/2)``,
    ε_k = ``lanczos_error(k, t)``, s̄ = (θ_max − θ_min)/(1 − 2ε_k) bounds the spread by applying (1)
    of this module to both ends (δ/2 each), and β_k/√t is what is left when the Krylov space is all
    but invariant. The verdict `Verdict.NEGATIVE_CURVATURE` is not a matter of chance: the direction
    is there and its Rayleigh quotient has been computed once more.

    Parameters
    ----------
    problem : Problem or callable or Oracle
        With a plain ``fun``, give ``grad``, and ``hvp`` or ``hess`` if there is one. Without them,
        Hv is (∇f(x+hv) − ∇f(x−hv))/(2h), whose error is at most ρh/2 + e/h for a ρ-Lipschitz
        Hessian and gradients with error e; h = √(2e/ρ). This needs ``lipschitz_hess``.
    x : array_like, shape (d,)
    epsilon : float
        ε > 0, in the units of the gradient.
    failure_prob : float
        δ in (0, 1). The cost grows with ln(1/δ) only.
    curvature_tol : float, optional
        √(ρε) > 0 by default, with ρ = ``lipschitz_hess`` or what the problem states.
    lipschitz_hess : float, optional
        ρ ≥ 0.
    rng : numpy.random.Generator or int, optional
        For the start; fresh entropy by default.
    maxiter : int, optional
        Most Lanczos steps; min(d, 1000) by default.
    resolution : float
        Stop with `Verdict.CANNOT_TELL` when the bound on λ_min is known to within
        resolution·curvature_tol and still straddles the threshold.
    hvp_error : float, optional
        ‖error‖₂ of one product with a unit vector. Default: 16 units of rounding of the largest
        Ritz value for given products, the stated error for differences.
    jac : ndarray, shape (d,), optional
        ∇f(x), when the caller has it already.

    Raises
    ------
    TypeError, ValueError
        Naming the argument and the remedy.

    Examples
    --------
    >>> import numpy as np, saddlelib
    >>> f = lambda x: x[0]**4 / 4 - x[0]**2 / 2 + x[1]**2
    >>> df = lambda x: np.array([x[0]**3 - x[0], 2 * x[1]])
    >>> saddlelib.certify(f, [0., 0.], grad=df, epsilon=1e-3, lipschitz_hess=6., rng=0).verdict.name
    'NEGATIVE_CURVATURE'
    >>> saddlelib.certify(f, [1., 0.], grad=df, epsilon=1e-3, lipschitz_hess=6., rng=0).verdict.name
    'SOSP'
    """
    oracle = problem if isinstance(problem, Oracle) else Oracle(
        problem, grad=grad, hvp=hvp, hess=hess, args=args)
    x = as_point("x", x, oracle.problem)
    epsilon = positive("epsilon", epsilon)
    failure_prob = probability("failure_prob", failure_prob)
    lipschitz_hess, curvature_tol = curvature_scale(
        oracle.problem, epsilon, lipschitz_hess, curvature_tol)
    if maxiter is None:
        maxiter = min(x.size, 1000)
    maxiter = min(x.size, integer("maxiter", maxiter))
    resolution = positive("resolution", resolution)
    rng = np.random.default_rng(rng)
    before = oracle.nfev, oracle.njev, oracle.nhvp, oracle.nhev

    g = oracle.grad(x) if jac is None else np.asarray(jac, dtype=float)
    grad_norm = float(np.linalg.norm(g))
    if not np.isfinite(grad_norm):
        return _certificate(oracle, before, Verdict.CANNOT_TELL, "the gradient is not finite",
                            grad_norm, epsilon, math.nan, -math.inf, curvature_tol,
                            np.full(x.size, np.nan), failure_prob, 0, math.nan)
    product = _Product(oracle, x, g, lipschitz_hess, hvp_error)
    with np.errstate(over="ignore", invalid="ignore"):  # a product that is not finite is a verdict
        min_eig, lower, direction, steps, error, within_budget = _lanczos(
            product, x.size, curvature_tol, failure_prob, rng, maxiter, resolution)

    # A gradient is a sum of products; its rounding is a few units of what was summed.
    grad_error = 4 * _UNIT * (grad_norm + product.norm * float(np.linalg.norm(x)))
    eig = f"λ_min in [{lower:.4g}, {min_eig:.4g}] against −{curvature_tol:.4g}"
    norm = f"‖∇f‖ = {grad_norm:.3g} against ε = {epsilon:.3g}"
    if not np.isfinite(min_eig):
        verdict, message = Verdict.CANNOT_TELL, "a Hessian-vector product is not finite"
    elif grad_norm > epsilon + grad_error:
        verdict, message = Verdict.NOT_STATIONARY, norm
    elif min_eig < -curvature_tol - error:
        verdict = Verdict.NEGATIVE_CURVATURE
        message = f"λ_min ≤ {min_eig:.4g} < −{curvature_tol:.4g}"
    elif grad_norm > epsilon - grad_error:
        verdict, message = Verdict.CANNOT_TELL, f"{norm}: within the rounding {grad_error:.1g}"
    elif lower >= -curvature_tol:
        verdict, message = Verdict.SOSP, f"{norm}; {eig}"
    elif min_eig - error <= -curvature_tol <= min_eig + error or error > 0.5 * curvature_tol:
        verdict = Verdict.CANNOT_TELL
        message = f"{eig}: the Hessian-vector products have an error of {error:.2g}"
    else:
        verdict = Verdict.CANNOT_TELL
        remedy = "lower resolution" if within_budget else "raise maxiter"
        message = f"{eig} after {steps} Lanczos steps; {remedy} to know more"
    return _certificate(oracle, before, verdict, message, grad_norm, epsilon, min_eig, lower,
                        curvature_tol, direction, failure_prob, steps, error)


def _certificate(oracle, before, *fields):
    after = oracle.nfev, oracle.njev, oracle.nhvp, oracle.nhev
    return Certificate(*fields, *(b - a for a, b in zip(before, after, strict=True)))


class _Product:
    """v ↦ ∇²f(x) v in the way the oracle can, with a bound on its error."""

    def __init__(self, oracle, x, g, lipschitz_hess, hvp_error):
        self.oracle, self.x, self.g, self.rho = oracle, x, g, lipschitz_hess
        self.norm = 0.0  # the largest ‖Hv‖ seen, a lower bound of ‖H‖
        self.given_error = hvp_error if hvp_error is None else float(hvp_error)
        if self.given_error is not None and not self.given_error >= 0:
            raise ValueError(f"hvp_error must be >= 0, got {hvp_error}")
        self.matrix = None
        if oracle.has_hvp:
            self.by = "hvp"
        elif oracle.has_hess:
            self.by, self.matrix = "hess", oracle.hess(x)
        elif lipschitz_hess is None:
            raise ValueError(
                "differences of gradients need lipschitz_hess to state their error; "
                "give lipschitz_hess, or hvp (hessp in scipy.optimize.minimize)")
        else:
            self.by = "differences"
        self.difference_error = 0.0

    def __call__(self, v):
        if self.by == "hvp":
            hv = self.oracle.hvp(self.x, v)
        elif self.by == "hess":
            hv = self.matrix @ v
        else:
            hv = self._difference(v)
        self.norm = max(self.norm, float(np.linalg.norm(hv)))
        return hv

    def _difference(self, v):
        size = max(float(np.linalg.norm(self.x)), 1e-8)
        if self.norm == 0.0:  # one forward difference, for the scale of the Hessian
            h = 1e-6 * size
            self.norm = float(np.linalg.norm(self.oracle.grad(self.x + h * v) - self.g)) / h
        grad_error = 4 * _UNIT * (float(np.linalg.norm(self.g)) + self.norm * size)
        h = min(math.sqrt(2 * grad_error / self.rho), size) if self.rho > 0 else size
        h = max(h, 64 * _UNIT * size)
        plus, minus = self.x + h * v, self.x - h * v
        self.difference_error = max(self.difference_error, self.rho * h / 2 + grad_error / h)
        return (self.oracle.grad(plus) - self.oracle.grad(minus)) / (2 * h)

    def error(self, steps):
        """First-order bound on the error that inexact products cause in an eigenvalue.

        Lanczos with full reorthogonalization on products with errors of norm e is exact for a
        matrix that differs from H by at most 3√k·e (symmetrized backward error).
        """
        one = self.given_error
        if one is None:
            one = self.difference_error + 16 * _UNIT * self.norm
        return 3 * math.sqrt(steps) * one


def _lanczos(product, dim, tol, failure_prob, rng, maxiter, resolution, deep=None):
    """Smallest Ritz value, lower bound, direction, steps, error; stops as soon as it knows.

    It knows where λ_min ≥ −tol, or where a Ritz value is below −deep ≤ −tol; deep = tol by default.
    """
    deep = tol if deep is None else deep
    overlap = start_overlap(dim, failure_prob / 2)
    basis = np.empty((min(maxiter, 32), dim))
    basis[0] = uniform_sphere(rng, dim)
    alpha, beta = np.empty(maxiter), np.empty(maxiter)
    lower, next_look = -math.inf, 1
    for k in range(1, maxiter + 1):
        q = basis[k - 1]
        w = product(q)
        alpha[k - 1] = w @ q
        known = basis[:k]
        for _ in range(2):  # twice is enough (Kahan; Parlett 1980)
            w = w - known.T @ (known @ w)
        beta[k - 1] = np.linalg.norm(w)
        if not np.isfinite(beta[k - 1] + alpha[k - 1]):
            return math.nan, -math.inf, np.full(dim, np.nan), k, math.nan, False
        error = product.error(k)
        # The Krylov space is invariant up to what one product is worth.
        invariant = k == dim or beta[k - 1] <= max(product.error(1) / 3, 1e-14 * product.norm)
        if k >= next_look or k == maxiter or invariant:
            next_look = max(k + 1, int(1.1 * k))
            ritz = dsterf(alpha[:k], beta[: k - 1])[0] if k > 1 else alpha[:1]
            low, high = ritz[0], ritz[-1]
            relative = lanczos_error(k, overlap)
            gap = 0.0 if k == dim else beta[k - 1] / math.sqrt(overlap)
            if relative < 0.5:
                gap = min(gap, relative * (high - low) / (1 - 2 * relative))
            lower = max(lower, low - gap - error)
            undecided = lower < -tol and low + error >= -deep
            if invariant or k == maxiter or not undecided or gap <= resolution * tol:
                break
        if k == len(basis):
            basis = np.concatenate([basis, np.empty((min(k, maxiter - k), dim))])
        basis[k] = w / beta[k - 1]
    vectors = dstev(alpha[:k], beta[: k - 1])[1] if k > 1 else np.ones((1, 1))
    direction = vectors[:, 0] @ basis[:k]
    direction /= np.linalg.norm(direction)
    if low < -deep - error:
        # Negative curvature is a fact about one vector: look at it once more, by itself.
        low = float(direction @ product(direction))
    return float(low), float(min(lower, low)), direction, k, error, k < maxiter
