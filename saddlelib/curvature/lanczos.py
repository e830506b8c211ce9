r"""How much a Lanczos iteration has proved about the smallest eigenvalue, and when it may stop.

Let H be symmetric. From a unit vector q₀, Lanczos builds orthonormal vectors qⱼ with

.. math:: Hq_j = \beta_j q_{j-1} + \alpha_j q_j + \beta_{j+1} q_{j+1} + f_j,            \tag{1}

where fⱼ = 0 for exact products. Let T_k be the tridiagonal matrix of the first k coefficients, θ
its smallest eigenvalue (the smallest *Ritz value*), and p₀ = 1, p₁, p₂, … the *orthonormal Lanczos
polynomials*: β_{j+1} p_{j+1}(z) = (z − αⱼ) pⱼ(z) − βⱼ p_{j−1}(z).

**Theorem.** Let the component ⟨q₀, v⟩ of the start along some unit eigenvector v of λ_min(H) be at
least c > 0 in absolute value, and let ‖(vᵀf₀, …, vᵀf_{k−1})‖ ≤ E. Then no z < θ with

.. math:: \Big(\sum_{j=0}^{k} p_j(z)^2\Big)^{-1/2} + E\,\|(T_k - z)^{-1}e_1\| < c       \tag{2}

is λ_min, and neither is any number below z. So λ_min is larger than z.

*Proof.* Let λ = λ_min < θ and cⱼ = ⟨qⱼ, v⟩. The product of (1) with v says that
β_{j+1}c_{j+1} = (λ − αⱼ)cⱼ − βⱼc_{j−1} − φⱼ with φⱼ = vᵀfⱼ. For m ≤ k its first m lines are
(T_m − λ)(c₀, …, c_{m−1})ᵀ = −β_m c_m e_m − φ. Solve for c₀: since
e₁ᵀ(T_m − λ)⁻¹e_m = (−1)^{m−1}/(β_m |p_m(λ)|), this is

.. math:: |c_0| \le |c_m|/|p_m(\lambda)| + E\,\|(T_m - \lambda)^{-1}e_1\| .

T_m − λ is positive definite, and (T_m − λ)⁻¹ is in absolute value the inverse of a matrix with
off-diagonal entries −βⱼ ≤ 0. Such inverses have entries that only grow when the matrix is
continued, so for every m ≤ k the last norm is at most that of T_k, and
|c_m| ≥ |p_m(λ)| (|c₀| − E‖(T_k − λ)⁻¹e₁‖). The cⱼ are components of a unit vector, so the sum of
the squares of these lines over m = 0, …, k is at most 1: (2) fails at λ. And if (2) holds at z it
holds everywhere to the left of z, because below θ every |pⱼ| and every entry of (T_k − z)⁻¹ is
monotone. ∎

If q₀ is uniform on the sphere, |⟨q₀, v⟩| is below its δ-quantile c with probability δ: this one
event covers every k, so the iteration may stop as soon as (2) holds where it is asked. For exact
products (E = 0), that the weights 1/Σpⱼ² bound what a measure can hide is classical (they are
Christoffel numbers); van Dorsselaer, Hochstenbach & van der Vorst (2000, SIAM J. Matrix Anal.
Appl. 22, 837-852) use the polynomials for a bound with a probability as we do.

**Errors of products.** If product j has an error of norm at most e, and Lanczos reorthogonalizes
against all vectors, then Σ‖fⱼ‖² ≤ 2ke², so E = √(2k) e. *Proof.* Let gⱼ be the error of product j.
For i < j the entry qᵢᵀ(Hqⱼ + gⱼ) is dropped or replaced by what step i gave, and H is symmetric, so
fⱼ = −(I − Q)gⱼ − Σ_{i<j} (qⱼᵀgᵢ) qᵢ, with Q the projection on the earlier vectors. The two parts
are orthogonal, and the sum over j > i of (qⱼᵀgᵢ)² is at most ‖gᵢ‖². ∎ The same E bounds what such
errors do to a Ritz value, and at k = d, where nothing is left out, λ_min ≥ θ − E without any
probability. Where the errors ‖gⱼ‖ ≤ eⱼ differ, E = √(2Σeⱼ²).

Not all errors count alike. Let w = (T_k − z)⁻¹e₁. The theorem holds as well with

.. math:: \sum_{j<k} |w_j|\, e_j + \Big(\sum_{i<k} e_i^2 \sum_{j>i} w_j^2\Big)^{1/2}   \tag{4}

in place of E‖w‖ in (2). *Proof.* What the proof bounds by E‖w‖ is \|Σ wⱼ vᵀfⱼ\|. The first parts
of the fⱼ give at most Σ\|wⱼ\|eⱼ. The second parts give Σᵢ (vᵀqᵢ) gᵢᵀ Σ_{j>i} wⱼqⱼ, which is at most
Σᵢ \|vᵀqᵢ\| eᵢ (Σ_{j>i} wⱼ²)^{½}; by Cauchy and Schwarz, as Σ(vᵀqᵢ)² ≤ 1, this is the second term.
And both terms are monotone in k and in z, since the entries of \|w\| are. ∎ These entries are small
where the polynomials are large: the Wronskian of p and w is constant,
β_{j+1}(\|p_{j+1}\|\|wⱼ\| − \|pⱼ\|\|w_{j+1}\|) = 1 for z below all Ritz values, so

.. math:: |w_j| = |p_j| \sum_{m=j}^{k-1} \frac{1}{\beta_{m+1}|p_m p_{m+1}|} .          \tag{5}

So late products may be much less exact than early ones; `curvature.sparing` makes use of it.

**In advance.** Before anything is computed, all that is known is the spread s = λ_max − λ_min. Then

.. math:: 0 \le \theta_k - \lambda_{\min} \le s\,\tanh^2\!\left(\frac{\operatorname{arcosh}(1/c)}
          {2k-1}\right).                                                               \tag{3}

*Proof.* Write μᵢ = (λᵢ − λ_min)/s ∈ [0, 1], t = c², and let ε be the right-hand side divided by s.
θ_k is the least Rayleigh quotient of p(H)q₀ over polynomials p of degree k − 1. With
z² = (μ − ε)/(1 − ε) take p(μ) = T_{2k−1}(z)/(z√(1−ε)), a polynomial of degree k − 1 in μ because
T_{2k−1} is odd. Where μᵢ > ε, (μᵢ − ε)p(μᵢ)² = T_{2k−1}(z)² ≤ 1, so these terms add at most 1 − t
to Σ bᵢ²(μᵢ − ε)p(μᵢ)². The terms of λ_min add −ε t p(0)² = −t sinh²((2k−1) artanh √ε), since
T_{2k−1}(ia) = ± i sinh((2k−1) arsinh a). All others are ≤ 0. By the choice of ε the sum is ≤ 0,
which says that the Rayleigh quotient is at most λ_min + ε s. ∎ The exponent is that of
Kuczyński & Woźniakowski (1992, SIAM J. Matrix Anal. Appl. 13, 1094-1122), Theorem 4.2, whose
probability bound for one fixed k reads 1.648 √d exp(−√ε (2k−1)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dptsv, dsterf, dstev
from scipy.special import betaincinv, gammaln

from .._norm import norm
from ..perturbation import uniform_sphere

__all__ = ["Coefficients", "Look", "Shift", "lanczos", "lanczos_error", "start_component",
           "start_overlap"]

# Below this probability the density of a component at 0 says it all, and squares would underflow.
_TINY = 1e-9
# A basis that is longer than this grows by doubling.
_FIRST = 32
# Whether the largest curvature exceeds the tolerance is asked to this part of the tolerance.
_NEAR = 1e-3
# So small a space may be used up entirely where errors keep the probability from being known.
_SMALL = 100
# A tolerance that depends on ‖H‖ is followed in steps of this part of it.
_RETUNE = 0.01
# Errors that take more than this part of what they may take stand in the way.
_BLOCKED = 0.97
# What one product may take of it, and a space so small that it is used up.
_SHARE, _TINY_SPACE = 1 / 16, 12
# In so few dimensions all of them are looked at before x passes, which leaves nothing to chance.
_NO_CHANCE = 3


def start_component(dim, failure_prob) -> float:
    """The size c that a uniform unit vector has along a fixed line, except with probability δ.

    |⟨b, v⟩| < c has probability δ for b uniform on the sphere of R^d: c² is the δ-quantile of
    Beta(1/2, (d−1)/2). About δ √(π/(2d)) for small δ and large d, and 1 for d = 1.

    Parameters
    ----------
    dim : int
        d ≥ 1.
    failure_prob : float
        δ in (0, 1).

    Returns
    -------
    float
        c in (0, 1].

    Examples
    --------
    >>> import math
    >>> round(start_component(2, 0.5), 12) == round(0.5**0.5, 12)     # an angle on the circle
    True
    >>> round(start_component(2, 1e-300) / 1e-300, 12) == round(math.pi / 2, 12)
    True
    """
    if dim == 1:
        return 1.0
    if failure_prob > _TINY:
        return math.sqrt(betaincinv(0.5, 0.5 * (dim - 1), failure_prob))
    # P(|b₁| < c) = 2c Γ(d/2)/(√π Γ((d−1)/2)) to a relative c²d.
    return 0.5 * failure_prob * math.sqrt(math.pi) * math.exp(
        gammaln(0.5 * (dim - 1)) - gammaln(0.5 * dim))


def start_overlap(dim, failure_prob) -> float:
    """Squared overlap t = c² that a uniform unit vector has with a fixed line, except with prob. δ.

    The δ-quantile of Beta(1/2, (d−1)/2), about δ²π/(2d) for small δ; c is `start_component`.

    Parameters
    ----------
    dim : int
        d ≥ 1.
    failure_prob : float
        δ in (0, 1).

    Returns
    -------
    float
        t in (0, 1].

    Examples
    --------
    >>> round(start_overlap(2, 0.5), 12)     # cos² of an angle uniform on the circle
    0.5
    """
    return start_component(dim, failure_prob) ** 2


def lanczos_error(k, overlap) -> float:
    """Largest possible (θ_k − λ_min)/(λ_max − λ_min) after k ≥ 1 exact Lanczos steps; equation (3).

    Equality is attained for k = 1 by a spectrum of two points. It is known before the first
    product; `lanczos` itself stops by (2), which knows the coefficients and never comes later.

    Parameters
    ----------
    k : int
        Steps, ≥ 1.
    overlap : float
        The squared projection of the unit start on the eigenspace of λ_min, in (0, 1].

    Returns
    -------
    float
        In [0, 1).

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


class Shift:
    """The Lanczos polynomials at one number z, brought up to date with every step.

    Attributes
    ----------
    z : float
    below : bool
        Whether z lies below all Ritz values.
    polynomial, before : float
        |p_k(z)| and |p_{k−1}(z)|, as far as it does.
    root : float
        (Σ pⱼ(z)²)^½ over all polynomials so far, as far as z lies below all Ritz values; infinite
        where a βⱼ is zero or float64 overflows.

    Examples
    --------
    >>> shift = Shift(-1.0)
    >>> shift.add(0.0, 0.5)             # p₁(z) = (z − 0)/0.5
    >>> shift.below, round(shift.root**2, 12)
    (True, 5.0)
    """

    def __init__(self, z):
        self.z, self.below, self.root = z, True, 1.0
        self.polynomial = self.before = 1.0
        self._pivot, self._beta = math.inf, 0.0

    def add(self, alpha, beta):
        """One more step: αₖ and β_{k+1} ≥ 0."""
        self.follow((alpha,), (beta,))

    def follow(self, alphas, betas):
        """More steps, one after the other."""
        z, pivot, last, polynomial = self.z, self._pivot, self._beta, self.polynomial
        if not self.below:
            return
        for alpha, beta in zip(alphas, betas, strict=True):
            # The pivots of the Cholesky factorization of T − z are −β_{j+1} p_{j+1}(z)/pⱼ(z).
            pivot, last = alpha - z - last * (last / pivot), beta
            if not pivot > 0:
                self.below = False
                break
            self.before = polynomial
            polynomial *= pivot / beta if beta > 0 else math.inf
            self.root = math.hypot(self.root, polynomial)
        self._pivot, self._beta, self.polynomial = pivot, last, polynomial

    def reaches(self, component) -> bool:
        """Whether (2) holds at z, for a start with this ``component``, but for errors of products.

        Where it does not, it does not to the right of z either.
        """
        return self.below and self.root * component > 1


class Coefficients:
    """The tridiagonal matrix T_k of a Lanczos iteration with β_{k+1}, and what it proves.

    Examples
    --------
    Two steps on diag(−1, 1) from the diagonal find both eigenvalues:

    >>> T = Coefficients()
    >>> T.add(0.0, 1.0)
    >>> T.add(0.0, 0.0)
    >>> T.smallest().item()
    -1.0
    >>> T.excludes(-1.01, component=1e-9)
    True
    """

    def __init__(self):
        self.alpha, self.beta = [], []

    def __len__(self):
        return len(self.alpha)

    def add(self, alpha, beta):
        """One more step: αₖ and β_{k+1} ≥ 0."""
        self.alpha.append(float(alpha))
        self.beta.append(float(beta))

    def negative(self) -> Coefficients:
        """Those of −H from the same start."""
        other = Coefficients()
        other.alpha, other.beta = [-alpha for alpha in self.alpha], list(self.beta)
        return other

    def ritz_values(self):
        """All Ritz values in ascending order, shape (k,)."""
        if len(self) == 1:
            return np.array(self.alpha)
        return dsterf(np.array(self.alpha), np.array(self.beta[:-1]))[0]

    def smallest(self):
        """The smallest Ritz value θ."""
        return self.ritz_values()[0]

    def ritz_vector(self):
        """The eigenvector of T_k for θ, shape (k,): the coordinates of the Ritz vector."""
        if len(self) == 1:
            return np.ones(1)
        return dstev(np.array(self.alpha), np.array(self.beta[:-1]))[1][:, 0]

    def excludes(self, z, component, error=0.0) -> bool:
        """Whether λ_min > z by (2), for a start with this ``component``.

        ``error`` is E, or the eⱼ of all products, shape (k,), for (4) in its place.
        """
        return self.decides(self.at(z), component, error)

    def at(self, z) -> Shift:
        """The polynomials at z."""
        shift = Shift(z)
        shift.follow(self.alpha, self.beta)
        return shift

    def decides(self, shift, component, error=0.0) -> bool:
        """The same for a `Shift` that is up to date."""
        if not shift.reaches(component):
            return False
        left = 1 - 1 / (shift.root * component)
        return not np.count_nonzero(error) or self._harm(shift.z, error) / component < left

    def is_blocked(self, shift, component, error) -> bool:
        """Whether (2) would hold at z but for errors of products, which more steps only add to."""
        return shift.reaches(component) and self._harm(shift.z, error) / component > _BLOCKED

    def _harm(self, z, error):
        """What errors of products do to |c₀| at z: (4) for the eⱼ, or E‖(T_k − z)⁻¹e₁‖ for E."""
        weights = self._weights(z)
        if weights is None:
            return math.inf
        if np.ndim(error) == 0:
            return error * norm(weights)
        weights = np.abs(weights)
        after = np.zeros(weights.size)  # Σ_{j>i} wⱼ²
        after[:-1] = (weights[:0:-1]**2).cumsum()[::-1]
        return float(weights.dot(error)) + math.sqrt(float((error * error).dot(after)))

    def _weights(self, z):
        """(T_k − z)⁻¹e₁ for z below all Ritz values; None where rounding hides that it is."""
        first = np.zeros(len(self))
        first[0] = 1.0
        if len(self) == 1:
            return np.array([1 / (self.alpha[0] - z)])
        *_, solution, info = dptsv(np.array(self.alpha) - z, np.array(self.beta[:-1]), first)
        return solution if info == 0 else None

    def lower_bound(self, component, error=0.0, known=-math.inf, enough=0.0) -> float:
        """The largest z that (2) excludes, to a relative 10⁻³ of its distance to θ, or ``enough``.

        ``known`` is a z that is excluded already.
        """
        theta = float(self.smallest())
        width = max(max(map(abs, self.alpha)), max(self.beta), abs(theta)) or 1.0
        low = known
        for _ in range(64):  # a distance of 4⁶⁴ spreads is beyond any use
            if low > -math.inf or not math.isfinite(width):
                break
            low = theta - width if self.excludes(theta - width, component, error) else low
            width *= 4
        if low == -math.inf:
            return low
        high = theta
        for _ in range(80):
            middle = low + 0.5 * (high - low)
            if not (low < middle < high) or high - low <= max(1e-3 * (theta - low), enough):
                break
            if self.excludes(middle, component, error):
                low = middle
            else:
                high = middle
        return low


@dataclass(frozen=True)
class Look:
    """What one Lanczos iteration saw.

    Attributes
    ----------
    min_eig : float
        Smallest Ritz value, or the Rayleigh quotient of ``direction`` by a product of its own;
        NaN where a product was not finite.
    lower : float
        λ_min is at least this, except with the failure probability.
    direction : ndarray, shape (d,)
    steps : int
    error : float
        E of the theorem: what errors of products may do to an eigenvalue.
    end : str
        Why it ended: "passed", "negative", "resolved", "errors", "budget" or "nonfinite".
    start, first : ndarray, shape (d,)
        The start b, and the product Hb.
    ritz_values : ndarray, shape (k,)
        In ascending order; empty where a product was not finite.
    tol : float
        The tolerance that was asked about.
    """

    min_eig: float
    lower: float
    direction: np.ndarray
    steps: int
    error: float
    end: str
    start: np.ndarray
    first: np.ndarray
    ritz_values: np.ndarray
    tol: float = math.nan


def lanczos(product, dim, tol, failure_prob, rng, maxiter, resolution, deep=None,
            confirm=True) -> Look:
    r"""Lanczos with full reorthogonalization from a uniform start, until it knows.

    It knows where λ_min > −tol (*passed*), or where a Ritz value lies below −deep (*negative*;
    deep = tol by default). Where it would pass and has seen no curvature above tol
    either, it goes on until it knows that there is none, by (2) for −H. It also ends when λ_min is
    known to within resolution·tol and neither holds (*resolved*), when only the errors of the
    products stand against an answer (*errors*), and after ``maxiter`` steps (*budget*).

    ``tol`` and ``deep`` may be functions: tol of the largest ‖Hv‖ seen so far, which only grows,
    and deep of tol. The Look says which tol was meant at the end. With ``confirm`` a direction of
    negative curvature is looked at once more by a product of its own.

    ``product`` is one of `curvature.products`. One that can be refined is refined where its errors
    stand against passing, and the iteration is done again from the same start, so that the event
    of the theorem stays one.
    """
    component = start_component(dim, failure_prob)
    start = uniform_sphere(rng, dim)
    tol, deep = _constant(tol), (lambda t: t) if deep is None else _constant(deep)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
        while True:
            run = _Run(product, start, tol, deep, component, resolution)
            end = run.go(min(maxiter, dim))
            maxiter -= len(run.T)
            if end != "errors" or maxiter < 1 or not product.refine():
                return run.look(end, confirm)


def _constant(value):
    """A number as a function."""
    return value if callable(value) else lambda _: value


def _orthogonal(w, basis):
    """What of w is orthogonal to the rows of the basis, and its norm; twice is mostly enough."""
    if len(basis) == w.size:  # nothing is left but rounding
        return w, 0.0
    size = norm(w)
    for _ in range(4):  # again while most of w was in the basis (Daniel et al. 1976)
        w = w - basis.T.dot(basis.dot(w))
        before, size = size, norm(w)
        if not size < 0.1 * before:
            return w, size
    return w, 0.0


def _another(known):
    """A unit vector orthogonal to the rows: of the coordinate vectors' parts the longest."""
    i = int(np.argmin((known**2).sum(axis=0)))
    e = np.zeros(known.shape[1])
    e[i] = 1.0
    w, size = _orthogonal(e - known.T.dot(known[:, i]), known)
    return w / size


class _Run:
    """One iteration from one start."""

    def __init__(self, product, start, tol, deep, component, resolution):
        self.product, self.start, self.component = product, start, component
        self.resolution, self.tolerance, self.depth = resolution, tol, deep
        self.T = Coefficients()
        self._aim(tol(product.norm))
        self.basis = np.empty((1, start.size))
        self.basis[0] = start
        self.first, self.next_look = None, 1

    def _aim(self, tol):
        """Ask about this tolerance from here on."""
        self.tol, self.deep = tol, self.depth(tol)
        self.at_tol, self.at_deep = self.T.at(-tol), self.T.at(-self.deep)
        # Of −H: whether any curvature exceeds the tolerance.
        self.above = self.T.negative().at(-tol)

    def go(self, most):
        """Steps until an end, whose name comes back."""
        for k in range(1, most + 1):
            if not self.extend(k):
                return "nonfinite"
            end = self.end(k, most)
            if end:
                return end
        raise AssertionError("the last step has an end")

    def extend(self, k) -> bool:
        """The k-th step; whether all of it is finite."""
        self.product.allowed = self._allowed()
        w = self.product(self.basis[k - 1])
        if self.first is None:
            self.first = w
        known = self.basis[:k]
        entries = known.dot(w)
        w, beta = _orthogonal(w - known.T.dot(entries), known)
        if not math.isfinite(beta + entries[-1]):
            return False
        if k > 1:  # what symmetry says of these entries: β of the step before, and zeros
            entries[-2] -= self.T.beta[-1]
            self.product.compare(norm(entries[:-1]), k, w.size)
        alpha = float(entries[-1])
        for part in (self.T, self.at_tol, self.at_deep):
            part.add(alpha, beta)
        self.above.add(-alpha, beta)
        tol = self.tolerance(self.product.norm)
        if not abs(tol - self.tol) <= _RETUNE * self.tol:
            self._aim(tol)
        if k < w.size and (beta > 0 or w.size <= _SMALL):
            if k == len(self.basis):
                longer = np.empty((min(k + max(k, _FIRST), w.size), w.size))
                longer[:k] = self.basis
                self.basis = longer
            self.basis[k] = w / beta if beta > 0 else _another(known)
        return True

    def end(self, k, most):
        """Why to end here, or ""."""
        whole, product = k == self.start.size, self.product
        if product.doubtful:
            return "errors"
        reached, blocked = self.at_tol.reaches(self.component), False
        if product.assumed and self.at_tol.below and (whole or reached):
            product.settle()
        if reached:
            errors = product.errors(k)
            if self.T.decides(self.at_tol, self.component, errors):
                chance = k < most and self.start.size <= _NO_CHANCE and self.T.beta[-1] > 0
                known = k == most or not chance and self._knows_whether_vacuous(k)
                return "passed" if known else ""
            blocked = self.T.is_blocked(self.at_tol, self.component, errors)
        invariant = self.T.beta[-1] == 0
        looked = k >= self.next_look or invariant or k == most
        if looked or not self.at_deep.below:
            self.next_look = max(k + 1, int(1.1 * k))
            if not (reached or invariant or k == most) and self._is_far():
                return ""
            low = self.T.smallest()
            if low < -self.deep and low < -self.deep - product.error(k):
                return "negative"
            if invariant and whole:
                return "passed" if low - product.error(k) >= -self.tol else "errors"
            if invariant and k < most and self.start.size <= _SMALL:
                return ""  # on the part of the space that the start does not reach
            if invariant:
                return "errors"
            z = low - self.resolution * self.tol
            if reached or not z >= -self.tol:  # else (2) does not hold at z either
                near, errors = self.T.at(z), product.errors(k)
                if self.T.decides(near, self.component, errors):
                    return "resolved"
                blocked = blocked or self.T.is_blocked(near, self.component, errors)
        if blocked and (self.product.can_refine or not k < most == self.start.size <= _SMALL):
            return "errors"
        return "budget" if k == most else ""

    def _is_far(self):
        """Whether θ is known to lie so far above −tol that only (2) at −tol can end this."""
        return self.at_deep.below and self.deep <= (1 - self.resolution) * self.tol

    def _allowed(self):
        """What the next product may be off, so that all errors together do not stand in the way.

        By (5) its weight is about 1/(β_{j+1}|p_{j+1}|), for which 1/(βⱼ|p_{j−1}|), known now, is on
        the safe side; and where the space is used up soon, only the Ritz value has to be known.
        """
        if len(self.T) == 0 or not self.at_tol.below:
            return math.inf
        allowed = _SHARE * self.component * self.T.beta[-1] * self.at_tol.before
        return max(allowed, _SHARE * self.tol / self.start.size if self.start.size <= _TINY_SPACE
                   else 0.0)

    def _knows_whether_vacuous(self, k) -> bool:
        """Whether some curvature has been seen above tol, or it is known that there is none.

        Known by (2) for −H, up to a part `_NEAR` of tol where the largest Ritz value is that close.
        """
        if self.product.norm > self.tol or not self.above.below or self.T.beta[-1] == 0:
            return True
        if self.above.root * self.component > 1:
            return True
        if k < self.next_look:
            return False
        self.next_look = max(k + 1, int(1.1 * k))
        negative = self.T.negative()
        return negative.excludes(negative.smallest() - _NEAR * self.tol, self.component)

    def look(self, end, confirm=True) -> Look:
        """What is known at this end."""
        k, dim = len(self.T), self.start.size
        if end == "nonfinite":
            return Look(math.nan, -math.inf, np.full(dim, np.nan), k + 1, math.nan, end,
                        self.start, self.first, np.empty(0), self.tol)
        ritz = self.T.ritz_values()
        error, errors, low = self.product.error(k), self.product.errors(k), float(ritz[0])
        self.product.norm = float(max(self.product.norm, abs(ritz[0]), abs(ritz[-1])))
        passed = self.T.decides(self.at_tol, self.component, errors)
        lower = -math.inf  # which nobody asks who only wants a way down
        if confirm or end != "negative":
            lower = self.T.lower_bound(self.component, errors, -self.tol if passed else lower,
                                       _NEAR * self.tol)
        if k == dim:  # nothing is left out, so no start can have missed it
            lower = max(lower, low - error)
        direction = self.T.ritz_vector() @ self.basis[:k]
        direction /= norm(direction)
        if end == "negative" and confirm:
            # Negative curvature is a fact about one vector: look at it once more, by itself.
            low = float(direction @ self.product.exactly(direction))
        elif end == "passed":
            closer, off = self.product.closer(direction)
            if not closer >= min(low, -self.tol) - off and off < math.inf:
                # It may be noise that says so: this is a reason to doubt, and no proof of a saddle.
                error, lower, end = max(error, low - closer), -math.inf, "errors"
        return Look(low, min(lower, low), direction, k, error, end, self.start, self.first, ritz,
                    self.tol)
