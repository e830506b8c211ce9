"""Symmetric low-rank matrix factorization."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._arguments import integer, positive
from ._arguments import frozen, real_array, real_vector
from .base import Problem
from .region import Region


@dataclass(frozen=True)
class SpectralBall(Region):
    """The matrices U (rows × dim/rows, flattened row by row) with ‖U‖₂² ≤ Gamma."""

    rows: int
    Gamma: float

    def _describe(self):
        shape = f"{self.rows}x{self.dim // self.rows}"
        return f"the spectral ball ||U||^2 <= {self.Gamma:g} of {shape} matrices"

    def _contains(self, X):
        # The singular value decomposition refuses NaN and infinities.
        finite = np.isfinite(X).all(axis=-1)
        X = np.where(finite[..., np.newaxis], X, 0.0)
        return finite & (self._norm(X) <= np.sqrt(self.Gamma))

    def _sample(self, rng, n):
        X = rng.standard_normal((n, self.dim))
        # The last factor keeps rounding from pushing a point over the boundary.
        size = np.sqrt(self.Gamma) * rng.uniform(size=n) ** (1 / self.dim) * (1 - 1e-14)
        return X * (size / self._norm(X))[:, np.newaxis]

    def _norm(self, X):
        U = X.reshape(*X.shape[:-1], self.rows, -1)
        return np.linalg.norm(U, ord=2, axis=(-2, -1))


class MatrixFactorization(Problem):
    """f(U) = ½‖UUᵀ − M‖²_F for U ∈ ℝⁿˣᵏ, flattened row by row to x ∈ ℝⁿᵏ.

    Parameters
    ----------
    matrix : array (n, n)
        M, symmetric and positive semidefinite of rank r ≥ 1.
    rank : int, optional
        r. It must be the rank of M, which is also what is taken if omitted;
        eigenvalues below n·10⁻¹⁵·σ₁ count as zero.
    columns : int, optional
        k ≥ r, the columns of U; r by default.
    Gamma : float, optional
        Γ ≥ σ₁, the bound of `region`, {‖U‖₂² ≤ Γ}. The default is 9σ₁.

    Raises
    ------
    TypeError, ValueError
        For arguments outside these ranges.

    Notes
    -----
    Let σ₁ ≥ … ≥ σ_r > 0 be the nonzero eigenvalues of M and V (n, r) its
    eigenvectors. ∇f = 2(UUᵀ − M)U and
    ∇²f[Z] = 2((UZᵀ + ZUᵀ)U + (UUᵀ − M)Z).

    The minimizers are [V√Λ, 0]·R with R orthogonal: f* = 0; λ_min = 0 if k ≥ 2,
    along the rotations, else 2σ₁ (4σ₁ if n = 1). Every other stationary point
    is [V_S√Λ_S, 0]·R with less than r of the eigenvectors, a strict saddle with
    λ_min = −2 max_{i∉S} σᵢ. `saddles` has those with the first k < r
    eigenvectors, where λ_min = −2σ_{k+1}; `minimizers` has V√Λ. `distance` is
    the Procrustes distance.

    With k > r columns and n > r the growth order is 4. Write U = [U₁, W] with W
    in the extra columns; the ravine at the minimizer is U₁ = V√Λ, VᵀW = 0, and
    there f = ½‖WWᵀ‖²_F while the distance is ‖W‖_F. It is least at a given
    distance where the s = min(k, n) − r singular values of W that can be
    positive are equal: the growth constant is 1/(2s). With k = r or n = r
    the growth order is 2. The positive eigenvalues of the Hessian at a minimizer
    lie between μ = 2σ_r (4σ_r if n = r) and L = 4σ₁, and both are among them.

    ℓ = 8Γ and ρ = 12√Γ: Jin, Ge, Netrapalli, Kakade and Jordan, "How to escape
    saddle points efficiently", 2017, arXiv:1703.00887, Lemma 6. ρ is sharp. ℓ
    has slack: as ⟨Z, ∇²f[Z]⟩ = ‖UZᵀ + ZUᵀ‖² + 2⟨Z, (UUᵀ − M)Z⟩, the sharp
    constant is 6Γ − 2λ_min(M), which is 6Γ if r < n.

    Examples
    --------
    >>> f = MatrixFactorization([[4.0, 0.0], [0.0, 1.0]])
    >>> f
    MatrixFactorization(n=2, rank=2, Gamma=36)
    >>> f.saddle_min_eigs.tolist(), f.fun(f.saddles).tolist()
    ([-8.0, -2.0], [8.5, 0.5])
    """

    name = "matrix factorization"

    def __init__(self, matrix, rank: int | None = None, *, columns: int | None = None,
                 Gamma: float | None = None):
        M = _symmetric(matrix)
        sigma, V, r = _spectrum(M, rank)
        n = len(M)
        k = r if columns is None else integer("columns", columns)
        if k < r:
            raise ValueError(
                f"columns must be at least the rank of matrix, {r}, got {columns!r}; with fewer, "
                "U Uᵀ = M has no solution"
            )
        self.Gamma = positive("Gamma", 9 * sigma[0] if Gamma is None else Gamma)
        if self.Gamma < sigma[0] * (1 - 1e-12):  # equality, up to the rounding of sigma
            raise ValueError(
                f"Gamma must be at least the largest eigenvalue {sigma[0]:.6g}, got "
                f"{Gamma!r}; the region must contain the minimizers"
            )
        self.matrix, self.eigenvalues = frozen(M), frozen(sigma[:r])
        self.n, self.rank, self.columns, self.shapes = n, r, k, ((n, k),)
        self._root = np.zeros((n, k))
        self._root[:, :r] = V[:, :r] * np.sqrt(sigma[:r])
        self._spare = np.zeros((n, k))  # of norm 1, where f grows least along the ravine
        spare = min(k, n) - r
        self.growth_order, self.growth_constant = 2.0, None
        if spare:
            self._spare[:, r : r + spare] = V[:, r : r + spare] / np.sqrt(spare)
            self.growth_order, self.growth_constant = 4.0, 1 / (2 * spare)
        self.normal_curvature = (float((2 if n > r else 4) * sigma[r - 1]), float(4 * sigma[0]))
        super().__init__(
            dim=n * k,
            lipschitz_grad=8 * self.Gamma,
            lipschitz_hess=12 * np.sqrt(self.Gamma),
            region=SpectralBall(n * k, n, self.Gamma),
            f_star=0.0,
        )

    @classmethod
    def from_eigenvalues(cls, eigenvalues, n: int, *, rng=None, columns: int | None = None,
                         Gamma: float | None = None):
        """Return the problem whose M has the given nonzero eigenvalues.

        `eigenvalues` (r,) are positive and r ≤ `n`. M is diagonal, with them
        first; with `rng` (a Generator or a seed) it is turned by a uniformly
        random rotation. Raises TypeError or ValueError otherwise.

        >>> MatrixFactorization.from_eigenvalues([1.0, 0.7], 5, rng=0)
        MatrixFactorization(n=5, rank=2, Gamma=9)
        """
        sigma = real_vector("eigenvalues", eigenvalues)
        n = integer("n", n)
        if sigma.min() <= 0 or sigma.size > n:
            raise ValueError(
                f"eigenvalues must be positive and at most n = {n} of them, got "
                f"{eigenvalues!r}; leave out the zeros"
            )
        basis = np.eye(n)
        if rng is not None:
            basis, upper = np.linalg.qr(np.random.default_rng(rng).normal(size=(n, n)))
            basis *= np.sign(np.diag(upper))  # makes Q uniform, see Mezzadri 2007
        V = basis[:, : sigma.size]
        M = (V * sigma) @ V.T
        return cls(
            (M + M.T) / 2,
            sigma.size,
            columns=columns,
            Gamma=9 * float(sigma.max()) if Gamma is None else Gamma,
        )

    def factor(self, x) -> np.ndarray:
        """Return the matrices U, (n, k) or (batch, n, k), of flat points x."""
        X = self._points(x)
        return X.reshape(*X.shape[:-1], self.n, self.columns)

    def _residual(self, X):
        U = X.reshape(-1, self.n, self.columns)
        return U, U @ U.transpose(0, 2, 1) - self.matrix

    def _fun(self, X):
        _, E = self._residual(X)
        return 0.5 * (E.reshape(len(X), self.n**2) ** 2).sum(axis=1)

    def _grad(self, X):
        U, E = self._residual(X)
        return 2 * (E @ U).reshape(X.shape)

    def _hvp(self, X, V):
        U, E = self._residual(X)
        Z = V.reshape(U.shape)
        UZ = U @ Z.transpose(0, 2, 1)
        return 2 * ((UZ + UZ.transpose(0, 2, 1)) @ U + E @ Z).reshape(X.shape)

    def _distance(self, X):
        U = X.reshape(-1, self.n, self.columns)
        overlap = self._root.T @ U
        # The singular value decomposition refuses NaN; the final norm has it again.
        finite = np.isfinite(overlap).all(axis=(1, 2), keepdims=True)
        P, _, Q = np.linalg.svd(np.where(finite, overlap, 0.0))
        return np.linalg.norm(U - self._root @ (P @ Q), axis=(1, 2))

    def _saddles(self):
        some = np.tri(self.rank, self.columns, k=-1)[:, np.newaxis, :]
        U = np.where(some, self._root, 0.0)
        return U.reshape(self.rank, self.dim), -2 * self.eigenvalues

    def _minimizers(self):
        smallest = 0.0
        if self.columns == 1:
            smallest = (4 if self.n == 1 else 2) * self.eigenvalues[0]
        return self._root.reshape(1, self.dim), [smallest]

    def _ravine(self, t):
        if self.growth_order == 2:
            return super()._ravine(t)
        return self._root.ravel() + t * self._spare.ravel()

    def _parameters(self):
        more = {"columns": self.columns} if self.columns > self.rank else {}
        return {"n": self.n, "rank": self.rank, **more, "Gamma": self.Gamma}


def _symmetric(matrix):
    """M as a symmetric array, if it is one."""
    M = real_array("matrix", matrix)
    if M.ndim != 2 or M.shape[0] != M.shape[1] or M.size == 0:
        raise ValueError(
            f"matrix must be square, (n, n), got shape {M.shape}; "
            "pass the symmetric matrix M that U Uᵀ should match"
        )
    if not np.isfinite(M).all():
        raise ValueError("matrix must be finite, got NaN or inf; remove them")
    if np.abs(M - M.T).max() > 1e-12 * np.abs(M).max():
        raise ValueError(
            "matrix must be symmetric, got a difference of "
            f"{np.abs(M - M.T).max():.3g} to its transpose; pass (M + M.T)/2"
        )
    return (M + M.T) / 2


def _spectrum(M, rank):
    """Eigenvalues of M, the largest first, eigenvectors, and the rank, which has to be as given."""
    sigma, V = np.linalg.eigh(M)
    sigma, V = sigma[::-1], V[:, ::-1]
    floor = len(M) * 1e-15 * np.abs(sigma).max()
    if sigma[-1] < -floor:
        raise ValueError(
            "matrix must be positive semidefinite, got the eigenvalue "
            f"{sigma[-1]:.3g}; U Uᵀ has none below 0"
        )
    found = int((sigma > floor).sum())
    if found == 0:
        raise ValueError("matrix must not be zero; pass one of rank 1 or more")
    if rank is not None and integer("rank", rank) != found:
        raise ValueError(
            f"rank must be the rank of matrix, {found}, got {rank!r}; "
            "the stated saddles and minimizers need equality"
        )
    return sigma, V, found
