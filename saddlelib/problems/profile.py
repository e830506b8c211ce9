"""Saddles that leave a descent the least to gain for given ℓ and ρ."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from .._arguments import positive
from ._arguments import real_vector
from .base import Problem
from .quadratic import _diagonal
from .region import WholeSpace


class _Profile:
    """φ with φ(0) = φ′(0) = 0 and φ″(s) = min(cap, −dip + rise·|s|), on arrays of s."""

    def __init__(self, dip, rise, cap):
        self.dip, self.rise, self.cap = dip, rise, cap
        self.kink = (cap + dip) / rise  # where φ″ reaches the cap

    def value(self, s):
        # Past the kink: the cubic up to it, then the parabola that goes on from there.
        inner = np.minimum(np.abs(s), self.kink)
        beyond = np.abs(s) - inner
        return (
            inner**2 * (self.rise * inner / 6 - self.dip / 2)
            + beyond * (inner * (self.rise * inner / 2 - self.dip))
            + self.cap * beyond**2 / 2
        )

    def slope(self, s):
        inner = np.minimum(np.abs(s), self.kink)
        beyond = np.abs(s) - inner
        return np.sign(s) * (inner * (self.rise * inner / 2 - self.dip) + self.cap * beyond)

    def curvature(self, s):
        return np.minimum(self.cap, self.rise * np.abs(s) - self.dip)

    def rest(self, slope):
        """Return the s ≥ 0 with φ″(s) ≥ 0 where φ′(s) = slope ≥ 0."""
        s = (self.dip + np.sqrt(self.dip**2 + 2 * self.rise * slope)) / self.rise
        if s <= self.kink:
            return s
        return self.kink + (slope - self.slope(self.kink)) / self.cap


class EscapeProfile(Problem):
    """f(x) = φ(x₁) + ½ Σ λᵢ xᵢ₊₁² + ⟨g, x⟩ with φ″(s) = min(ℓ, −γ + ρ|s|).

    Of all functions of one variable with φ(0) = φ′(0) = 0, φ″(0) = −γ and these ℓ and ρ, φ is the
    highest: the one that leaves a descent the least to gain.

    Parameters
    ----------
    gamma : float
        γ in (0, ℓ]: the curvature at the origin is −γ along x₁.
    eigenvalues : vector (d − 1,)
        λ, finite, in [−ℓ, ℓ]; may be empty.
    gradient : vector (d,), optional
        g = ∇f(0); zero by default.
    lipschitz_grad, lipschitz_hess : float
        ℓ > 0 and ρ > 0.

    Raises
    ------
    TypeError, ValueError
        For arguments outside these ranges.

    Notes
    -----
    ℓ and ρ hold on the whole space, and are sharp. On x₁, with g₁ = 0, φ is least at ±2γ/ρ, where
    it is −⅔γ³/ρ² and has the curvature γ. If g₁ ≠ 0, f has one global minimizer along x₁, on the
    side where g₁ points away from; if |g₁| ≤ γ²/(2ρ), a saddle and a local minimizer lie on the
    other side. f is unbounded below if some λᵢ < 0, or λᵢ = 0 ≠ gᵢ₊₁. `saddles` has the strict
    saddles (for an empty list of them f has none), with xᵢ₊₁ = 0 where λᵢ = 0; at
    |g₁| = γ²/(2ρ) exactly, a degenerate one.

    Examples
    --------
    >>> f = EscapeProfile(0.5, [1.0], lipschitz_hess=0.5)
    >>> f.minimizers.tolist(), round(f.f_star, 6), f.saddle_min_eigs.tolist()
    ([[2.0, 0.0], [-2.0, 0.0]], -0.333333, [-0.5])
    """

    name = "escape profile"

    def __init__(
        self,
        gamma: float = 0.1,
        eigenvalues=(1.0,),
        *,
        gradient=None,
        lipschitz_grad: float = 1.0,
        lipschitz_hess: float = 1.0,
    ):
        self.gamma = positive("gamma", gamma)
        ell = positive("lipschitz_grad", lipschitz_grad)
        rho = positive("lipschitz_hess", lipschitz_hess)
        if self.gamma > ell:
            raise ValueError(f"gamma must be at most lipschitz_grad = {ell}, got {gamma!r}")
        rest = np.size(eigenvalues) > 0
        self.eigenvalues = real_vector("eigenvalues", eigenvalues) if rest else np.zeros(0)
        if np.abs(self.eigenvalues).max(initial=0.0) > ell:
            raise ValueError(
                f"eigenvalues must lie in [-{ell}, {ell}], got {eigenvalues!r}; "
                "raise lipschitz_grad"
            )
        dim = 1 + self.eigenvalues.size
        self.gradient = real_vector("gradient", np.zeros(dim) if gradient is None else gradient)
        if self.gradient.size != dim:
            raise ValueError(
                f"gradient must have the dimension {dim}, one more than eigenvalues, got "
                f"{self.gradient.size} entries"
            )
        self._phi = _Profile(self.gamma, rho, ell)
        # x₁ has its own terms; 0 keeps it out of the quadratic part.
        self._quadratic = np.concatenate([[0.0], self.eigenvalues])
        g, lam = self.gradient[1:], self.eigenvalues
        self._stationary = bool(((lam != 0) | (g == 0)).all())
        self._bounded = self._stationary and bool((lam >= 0).all())
        # Where ½λx² + gx is stationary; anywhere if λ = g = 0, and 0 will do.
        self._centre = np.where(lam == 0, 0.0, 0.0 - g / np.where(lam == 0, 1.0, lam))
        self._well = self._phi.rest(abs(self.gradient[0]))
        super().__init__(
            dim=dim,
            lipschitz_grad=ell,
            lipschitz_hess=rho,
            region=WholeSpace(dim),
            f_star=-np.inf,
        )
        if self._bounded:
            self.f_star = float(self._fun(self._at([self._well_side() * self._well]))[0])

    def _well_side(self):
        return -1.0 if self.gradient[0] > 0 else 1.0

    def _at(self, first):
        """Return the points with these x₁, stationary in the other coordinates."""
        first = np.asarray(first)[:, np.newaxis]
        return np.hstack([first, np.tile(self._centre, (len(first), 1))])

    def _fun(self, X):
        smooth = (self.gradient * X + 0.5 * self._quadratic * X**2).sum(axis=1)
        return self._phi.value(X[:, 0]) + smooth

    def _grad(self, X):
        G = self.gradient + self._quadratic * X
        G[:, 0] += self._phi.slope(X[:, 0])
        return G

    def _hvp(self, X, V):
        H = self._quadratic * V + 0.0 * X  # nan at x is nan here too
        H[:, 0] += self._phi.curvature(X[:, 0]) * V[:, 0]
        return H

    def _hess(self, X):
        D = self._quadratic + 0.0 * X
        D[:, 0] += self._phi.curvature(X[:, 0])
        return _diagonal(D)

    def _distance(self, X):
        if not self._bounded:
            return super()._distance(X)
        A = X.copy()
        if self.gradient[0] == 0:
            A[:, 0] = np.abs(A[:, 0])
        A -= self._at([self._well if self.gradient[0] == 0 else self._well_side() * self._well])
        A[:, 1:] = np.where(self.eigenvalues > 0, A[:, 1:], 0.0 * A[:, 1:])
        return np.linalg.norm(A, axis=1)

    def _curvature_at(self, first):
        others = self.eigenvalues.min(initial=np.inf)
        return np.minimum(self._phi.curvature(np.asarray(first)), others)

    def _saddles(self):
        g, rho = self.gradient[0], self.lipschitz_hess
        room = self.gamma**2 - 2 * rho * abs(g)
        # The minimizers along x₁ are saddles if another coordinate curves down.
        wells = [self._well_side() * self._well]
        ridge = []
        if room >= 0:
            # Both on the side to which g₁ points; the first in a form that does not cancel.
            ridge = [np.sign(g) * 2 * abs(g) / (self.gamma + np.sqrt(room))]
            wells.append(-self._well_side() * (self.gamma + np.sqrt(room)) / rho)
        wells = [s for s in wells if self._curvature_at([s])[0] < 0]
        if not self._stationary:
            return super()._saddles()
        return self._at(ridge + wells), self._curvature_at(ridge + wells)

    def _minimizers(self):
        if not self._bounded:
            return super()._minimizers()
        first = [self._well_side() * self._well]
        if self.gradient[0] == 0:
            first.append(-first[0])
        return self._at(first), self._curvature_at(first)

    def _parameters(self):
        shown = {"gamma": self.gamma, "eigenvalues": self.eigenvalues}
        if self.gradient.any():
            shown["gradient"] = self.gradient
        return shown | {
            "lipschitz_grad": self.lipschitz_grad,
            "lipschitz_hess": self.lipschitz_hess,
        }


class DraggedSaddle(Problem):
    """A saddle on a slope that ends in a shallow trap, and a deep well for those who are faster.

    f(x) = P(s x₂ + c x₁) + P(s x₂ − c x₁) − 2P(s x₂) + ½λx₂² − g x₂ in the plane, with
    c² = 2/3, s² = 1/3 and P″(t) = min(¾ℓ, −¾γ + (8/9)ρ|t|). At the origin the gradient is
    (0, −g) and the curvature along x₁ is −γ. While the slope carries an iterate along x₂ the
    curvature along x₁ rises, and at the end of the slope, (0, D), it is +γ/10: a local minimizer,
    only ½gD below the origin. An iterate that has left the line x₁ = 0 by then goes to the well.

    Parameters
    ----------
    gamma : float
        γ in (0, ℓ/3].
    pull : float
        g in units of γ²/ρ, in (0, 1]; so ‖∇f(0)‖ ≤ ε where γ = √(ρε).
    lipschitz_grad, lipschitz_hess : float
        ℓ > 0 and ρ > 0.

    Raises
    ------
    TypeError, ValueError
        For arguments outside these ranges.

    Notes
    -----
    ℓ and ρ hold on the whole space; ℓ is sharp and ρ nearly so: the third derivative is at most
    (8/9)ρ times the maximum over θ of |cos(θ−α)|³ + |cos(θ+α)|³ + 2s³|sin θ|³, cos α = c, and
    that maximum is below 9/8. With σ = 2c²s·(8/9)ρ, D = 1.1γ/σ and λ = g/D. `minimizers` has
    both: (±X, Y), with Y the root of one equation, found to rounding. `trap` is (0, D), and
    `trap_drop` = f(0) − f(trap). `saddles` has the two between the trap and the wells, (±x, D/1.1).

    Examples
    --------
    >>> f = DraggedSaddle(0.1, pull=0.25)
    >>> f.grad([0.0, 0.0]).round(6).tolist(), f.hess([0.0, 0.0])[0, 0].round(6)
    ([0.0, -0.0025], np.float64(-0.1))
    """

    name = "dragged saddle"

    def __init__(
        self,
        gamma: float = 0.1,
        pull: float = 0.25,
        *,
        lipschitz_grad: float = 1.0,
        lipschitz_hess: float = 1.0,
    ):
        self.gamma, self.pull = positive("gamma", gamma), positive("pull", pull)
        ell = positive("lipschitz_grad", lipschitz_grad)
        rho = positive("lipschitz_hess", lipschitz_hess)
        if self.gamma > ell / 3:
            raise ValueError(
                f"gamma must be at most lipschitz_grad/3 = {ell / 3:.6g}, got {gamma!r}"
            )
        if self.pull > 1:
            raise ValueError(f"pull must be at most 1, got {pull!r}: it is in units of γ²/ρ")
        self._c, self._s = np.sqrt(2 / 3), np.sqrt(1 / 3)
        self._phi = P = _Profile(0.75 * self.gamma, rho / 1.125, 0.75 * ell)
        self._slope = self.pull * self.gamma**2 / rho
        end = 1.1 * self.gamma / (2 * self._c**2 * self._s * P.rise)
        self._stiffness = self._slope / end
        super().__init__(
            dim=2,
            lipschitz_grad=ell,
            lipschitz_hess=rho,
            region=WholeSpace(2),
            f_star=-np.inf,
        )
        self.trap = np.array([0.0, end])
        self.trap.flags.writeable = False
        self.trap_drop = self._slope * end / 2
        # Where c x₁ > s x₂ > 0 f is a cubic; ∂₁f = 0 gives x₁, and ∂₂f = 0 one equation for x₂.
        reach = P.dip / (P.rise * self._s)
        y = brentq(lambda y: self._grad(np.array([[self._across(y), y]]))[0, 1], 0, reach,
                   xtol=1e-17 * reach, rtol=4 * np.finfo(float).eps)
        self._well = np.array([self._across(y), y])
        self.f_star = float(self._fun(self._well[np.newaxis])[0])

    def _across(self, y):
        P = self._phi
        root = np.sqrt(max(P.dip**2 - (P.rise * self._s * y) ** 2, 0.0))
        return (P.dip + root) / (P.rise * self._c)

    def _ridges(self, X):
        along, across = self._s * X[:, 1], self._c * X[:, 0]
        return along + across, along - across, along

    def _fun(self, X):
        a, b, m = (self._phi.value(t) for t in self._ridges(X))
        return a + b - 2 * m + X[:, 1] * (self._stiffness * X[:, 1] / 2 - self._slope)

    def _grad(self, X):
        a, b, m = (self._phi.slope(t) for t in self._ridges(X))
        along = self._s * (a + b - 2 * m) + self._stiffness * X[:, 1] - self._slope
        return np.stack([self._c * (a - b), along], axis=1)

    def _hess(self, X):
        a, b, m = (self._phi.curvature(t) for t in self._ridges(X))
        c, s = self._c, self._s
        mixed = c * s * (a - b)
        along = s**2 * (a + b - 2 * m) + self._stiffness
        return np.stack([c**2 * (a + b), mixed, mixed, along], axis=1).reshape(-1, 2, 2)

    def _hvp(self, X, V):
        return np.einsum("nij,nj->ni", self._hess(X), V)

    def _distance(self, X):
        return np.hypot(np.abs(X[:, 0]) - self._well[0], X[:, 1] - self._well[1])

    def _saddles(self):
        # Where s x₂ > c|x₁|, f = c²(−dip + rise·s x₂)x₁² + ½λx₂² − g x₂: the first bracket is 0.
        mixed = self._c**2 * self._s * self._phi.rise
        y = self._phi.dip / (self._s * self._phi.rise)
        x = np.sqrt((self._slope - self._stiffness * y) / mixed)
        points = np.array([[x, y], [-x, y]])
        return points, np.linalg.eigvalsh(self._hess(points))[:, 0]

    def _minimizers(self):
        points = np.array([self._well, self._well * [-1.0, 1.0]])
        return points, np.linalg.eigvalsh(self._hess(points))[:, 0]

    def _parameters(self):
        return {
            "gamma": self.gamma,
            "pull": self.pull,
            "lipschitz_grad": self.lipschitz_grad,
            "lipschitz_hess": self.lipschitz_hess,
        }
