"""The octopus of Du et al. 2017, where gradient descent takes exponentially long."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._arguments import integer, positive
from .base import Problem
from .quadratic import _diagonal
from .region import Region


@dataclass(frozen=True)
class Tube(Region):
    """The tube that leads from the octopus's first saddle to its minimizers.

    It is the union of d + 1 boxes and their mirror images: box i has
    2τ ≤ |xⱼ| ≤ 6τ for j < i, |xᵢ| ≤ 2τ and |xⱼ| ≤ τ for j > i.
    """

    tau: float

    def _describe(self):
        return (
            f"the tube in ℝ^{self.dim} with tau = {self.tau:g}: some i has "
            "2 tau <= |x_j| <= 6 tau for j < i, |x_i| <= 2 tau, |x_j| <= tau for j > i"
        )

    def _contains(self, X):
        A, long = np.abs(X), _long(X, self.tau)
        first_short = np.arange(self.dim) == long.sum(axis=-1, keepdims=True)
        inside = np.where(long, A <= 6 * self.tau, (A <= self.tau) | first_short)
        return inside.all(axis=-1)

    def _sample(self, rng, n):
        return self._sample_boxes(rng, n, 1)[0]

    def _sample_pairs(self, rng, n):
        return self._sample_boxes(rng, n, 2)

    def _sample_boxes(self, rng, n, copies):
        """Draw n boxes, and in each as many points as there shall be copies."""
        i, order = rng.integers(self.dim + 1, size=(n, 1)), np.arange(self.dim)
        low = np.select([order < i, order == i], [2, -2], -1)
        high = np.select([order < i, order == i], [6, 2], 1)
        signs = rng.choice([-self.tau, self.tau], size=(n, self.dim))
        return tuple(signs * rng.uniform(low, high) for _ in range(copies))


class Octopus(Problem):
    r"""A chain of d strict saddles, each of which throws GD closer to the next.

    Parameters
    ----------
    dim : int
        d ≥ 1.
    L : float
        L > 0: f grows like L·xⱼ² in the coordinates that wait their turn. It
        has the paper's name and is not the Lipschitz constant ℓ of ∇f.
    gamma : float
        γ > 0: the curvature at every saddle is −2γ.
    tau : float
        τ > 0, the length scale. The paper's experiments take τ = e.

    Raises
    ------
    TypeError, ValueError
        For arguments outside these ranges.

    Notes
    -----
    f is even in every coordinate. With u = |xᵢ| for the first i with
    |xᵢ| < 2τ, and with a term absent where its index exceeds d,

    .. math:: f = \sum_{j<i} L(|x_j| - 4\tau)^2 - (i-1)\nu + \begin{cases}
        -\gamma u^2 + \sum_{j>i} L x_j^2 & 0 \le u \le \tau,\\
        g_1(u) + g_2(u)\,x_{i+1}^2 + \sum_{j\ge i+2} L x_j^2 & \tau \le u \le 2\tau,
        \end{cases}

    and f = Σ L(|xⱼ| − 4τ)² − dν if there is no such i. With s = u/τ − 1,

    .. math::
        g_1(u) &= -\gamma u^2 + \tau^2(\alpha s^3 + \beta s^4),\qquad
        \alpha = \tfrac{10\gamma - 14L}3,\quad \beta = \tfrac{5L - 3\gamma}2, \\
        g_2(u) &= L - (L + \gamma)(10s^3 - 15s^4 + 6s^5), \\
        \nu &= 4L\tau^2 - g_1(2\tau) = \tfrac{37L + 13\gamma}6\,\tau^2.

    Source: Du, Jin, Lee, Jordan, Póczos and Singh, "Gradient descent can take
    exponential time to escape saddle points", 2017, arXiv:1705.10412.

    All facts hold in the tube (`region`), where f is twice continuously
    differentiable. Outside the tube the formula is used as it stands: f may
    jump there, and is unbounded below. Gradient descent with a small step
    size, started in [−τ, τ]ᵈ, stays inside.

    In the tube ρ = max(88L + 40γ, 28L + 76γ)/τ, sharp; ℓ is an upper bound
    about 0.1 % above the sharp constant (`_constants` has both proofs). For
    L = γ = 1, ℓ = 15.56 and ρ = 128/τ. Both are reached only where
    xᵢ₊₁ is as large as τ; near the path xᵢ₊₁ = 0 that gradient descent follows,
    the curvatures lie between −10γ/3 and 2L for L = γ.

    `saddles` has (4τ, …, 4τ, 0, …, 0) with k = 0, …, d − 1 leading entries,
    all strict with λ_min = −2γ; with their mirror images these are all saddles
    in the tube. `minimizers` has (4τ, …, 4τ), whose mirror images are the 2ᵈ
    minimizers, with f* = −dν and λ_min = 2L.

    Examples
    --------
    >>> f = Octopus(3, tau=1.0)
    >>> f.saddles.tolist()
    [[0.0, 0.0, 0.0], [4.0, 0.0, 0.0], [4.0, 4.0, 0.0]]
    >>> f.f_star, f.lipschitz_hess
    (-25.0, 128.0)
    """

    name = "octopus"

    def __init__(self, dim: int, L: float = 1.0, gamma: float = 1.0, tau: float = float(np.e)):
        dim = integer("dim", dim)
        self.L = positive("L", L)
        self.gamma = positive("gamma", gamma)
        self.tau = positive("tau", tau)
        self._alpha = (10 * self.gamma - 14 * self.L) / 3
        self._beta = (5 * self.L - 3 * self.gamma) / 2
        self._drop = (37 * self.L + 13 * self.gamma) * self.tau**2 / 6  # ν
        ell, third = _constants(dim, self.L, self.gamma)
        super().__init__(
            dim=dim,
            lipschitz_grad=ell,
            lipschitz_hess=third / self.tau,
            region=Tube(dim, self.tau),
            f_star=-dim * self._drop,
        )

    def _pieces(self, X):
        """Return what f and its derivatives have in common.

        `at` indexes xᵢ and `after` xᵢ₊₁ in arrays (n, d + 2): two zeros follow
        every point, so that the last i, and points without one, need no case of
        their own. x and w are the two coordinates, `rest` (n, d + 2) is xⱼ minus
        the centre of its parabola, and 0 in place of xᵢ.
        """
        long = _long(X, self.tau)
        i, rows = long.sum(axis=1), np.arange(len(X))
        at, after = (rows, i), (rows, i + 1)
        rest = _padded(X)
        x, w = rest[at], rest[after]
        rest[:, :-2] -= np.where(long, np.copysign(4 * self.tau, X), 0.0)
        rest[at] = 0.0
        s = np.maximum(np.abs(x) / self.tau - 1, 0.0)
        return i, rest, at, after, x, w, s

    def _fun(self, X):
        i, rest, _, _, x, w, s = self._pieces(X)
        F = self.L * (rest**2).sum(axis=1) - i * self._drop
        bend = self.tau**2 * s**3 * (self._alpha + self._beta * s)
        return F + (bend - self.gamma * x**2 + self._fall(s) * w**2)

    def _grad(self, X):
        _, rest, at, after, x, w, s = self._pieces(X)
        bend = self.tau * s**2 * (3 * self._alpha + 4 * self._beta * s)
        G = 2 * self.L * rest
        G[at] = (bend + self._fall_slope(s) * w**2) * np.sign(x) - 2 * self.gamma * x
        G[after] += 2 * self._fall(s) * w
        return G[:, :-2]

    def _block(self, X):
        """Return where the Hessian differs from 2L·I, and its entries there."""
        _, _, at, after, x, w, s = self._pieces(X)
        bend = s * (6 * self._alpha + 12 * self._beta * s)
        own = bend - 2 * self.gamma + self._fall_bend(s) * w**2
        mixed = 2 * self._fall_slope(s) * w * np.sign(x)
        return at, after, own, mixed, 2 * self._fall(s)

    def _hvp(self, X, V):
        at, after, own, mixed, other = self._block(X)
        V = _padded(V)
        H = 2 * self.L * V
        H[at] = own * V[at] + mixed * V[after]
        H[after] += mixed * V[at] + other * V[after]
        return H[:, :-2] + 0.0 * X  # nan at x is nan here too

    def _hess(self, X):
        at, after, own, mixed, other = self._block(X)
        H = _diagonal(2 * self.L + 0.0 * _padded(X))
        (rows, i), (_, j) = at, after
        H[rows, i, i] = own
        H[rows, j, j] += other
        H[rows, i, j] = H[rows, j, i] = mixed
        return H[:, :-2, :-2]

    # g₂ − L as a function of u, and its first two derivatives.

    def _fall(self, s):
        return -(self.L + self.gamma) * s**3 * (10 - 15 * s + 6 * s**2)

    def _fall_slope(self, s):
        return -(self.L + self.gamma) / self.tau * 30 * (s * (1 - s)) ** 2

    def _fall_bend(self, s):
        return -(self.L + self.gamma) / self.tau**2 * 60 * s * (1 - s) * (1 - 2 * s)

    def _distance(self, X):
        return np.linalg.norm(np.abs(X) - 4 * self.tau, axis=1)

    def _saddles(self):
        return 4 * self.tau * np.tri(self.dim, k=-1), np.full(self.dim, -2 * self.gamma)

    def _minimizers(self):
        return np.full((1, self.dim), 4 * self.tau), [2 * self.L]

    def _parameters(self):
        return {"dim": self.dim, "L": self.L, "gamma": self.gamma, "tau": self.tau}


def _long(X, tau):
    """Return which of the coordinates (…, d) come before the first with |xᵢ| < 2τ."""
    return np.logical_and.accumulate(~(np.abs(X) < 2 * tau), axis=-1)


def _padded(X):
    """Return X (n, d) with two columns of zeros after it."""
    P = np.zeros((len(X), X.shape[1] + 2))
    P[:, :-2] = X
    return P


def _constants(dim, L, gamma):
    """Return ℓ and ρτ in the tube.

    Where they are not constant, the second derivatives are those of
    g₁(u) + g₂(u)w² with |w| ≤ τ: a 2×2 block [[a + bt², ct], [ct, e]] in
    t = |w|/τ ∈ [0, 1], with a, b, c, e functions of s ∈ [0, 1].

    ρ: by Banach's theorem the norm N of the symmetric third derivative is
    max |T[z, z, z]| over unit z. N is convex and homogeneous in (L, γ). At
    s = 0, t = 1 it is (88L + 40γ)/τ, at s = t = 1 it is (28L + 76γ)/τ. As these
    are linear in (L, γ), it is enough that N does not exceed the larger of the
    two, for any s and t, at (L, γ) = (1, 0), (0.6, 1) and (0, 1). There it is
    checked numerically, in the tests.

    ℓ: where b ≥ 0 the largest eigenvalue grows with t, and the smallest is at
    least that of [[a, ct], [ct, e]], which falls with t; where b ≤ 0, the same
    with the signs changed. So the norms of the block at t = 1 with b and
    without it bound all others. Both change by at most ρτ per unit of s, so
    that half of ρτ times the spacing makes up for taking s on a grid.
    """
    s, spacing = np.linspace(0.0, 1.0, 4001, retstep=True)
    a = -2 * gamma + (20 * gamma - 28 * L) * s + (30 * L - 18 * gamma) * s**2
    if dim == 1:  # no x₂: a is all there is
        third = max(abs(20 * gamma - 28 * L), abs(32 * L - 16 * gamma))
        return max(2 * L, np.abs(a).max() + third * spacing / 2), third
    both = L + gamma
    b = -both * 60 * s * (1 - s) * (1 - 2 * s)
    c = -both * 60 * (s * (1 - s)) ** 2
    e = 2 * L - 2 * both * s**3 * (10 - 15 * s + 6 * s**2)
    norms = [np.abs(p + e) / 2 + np.hypot((p - e) / 2, c) for p in (a, a + b)]
    third = max(88 * L + 40 * gamma, 28 * L + 76 * gamma)
    return np.max(norms) + third * spacing / 2, third
