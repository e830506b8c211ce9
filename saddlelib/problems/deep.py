"""Deep networks, linear and nonlinear, whose training leaves one saddle after the other."""

from __future__ import annotations

import numpy as np

from .._arguments import generator, integer, positive
from ._arguments import each, frozen, real_array, real_vector
from ._layers import ACTIVATIONS, LayerBall, Layered
from .base import Problem
from .region import WholeSpace


class DeepLinear(Layered, Problem):
    r"""f(W₁, …, W_L) = ½‖W_L ⋯ W₁ − M‖²_F: a deep linear network learns a matrix.

    x has W₁, …, W_L one after the other, each row by row: W₁ is (w, n), W_L is (m, w), and all
    between are (w, w).

    Parameters
    ----------
    teacher : array (m, n)
        M ≠ 0.
    depth : int
        L ≥ 2.
    width : int, optional
        w ≥ 1; the larger of m and n by default.
    radius : float, optional
        R ≥ s₁^(1/L), the bound of `region`, {‖W_l‖₂ ≤ R for all l}; 1.5·s₁^(1/L) by default.

    Attributes
    ----------
    modes : array (q,)
        s₁ ≥ … ≥ s_q > 0, the singular values of M; those below max(m, n)·10⁻¹⁵·s₁ count as zero.

    Raises
    ------
    TypeError, ValueError
        For arguments outside these ranges.

    Notes
    -----
    Write M = Σ sᵢuᵢvᵢᵀ and r = min(q, w) for the number of modes that the network can have.
    f* = ½ Σ_{i>r} sᵢ², by Eckart and Young. The truncated sum Σ_{i≤k} sᵢuᵢvᵢᵀ has *balanced*
    factors, which share it equally: W₁ = PS^(1/L)Vᵀ, W_L = US^(1/L)Pᵀ, and PS^(1/L)Pᵀ between,
    with S = diag(s₁, …, s_k), the matrices U and V of the first k singular vectors, and the first k
    columns P of the identity.

    `minimizers` has those of k = r. The minimizers are no isolated points, as f is invariant to
    W_l → GW_l, W_{l+1} → W_{l+1}G⁻¹: λ_min = 0. `saddles` has those of k = 0, …, r − 1, where
    f = ½ Σ_{i>k} sᵢ². With E = W_L ⋯ W₁ − M, the second derivative along directions Z_l is
    ‖dA‖² + ⟨E, d²A⟩, where dA and d²A are the derivatives of the product; and only the terms of
    d²A with Z_L and Z₁ meet a left-out mode i. Let a = PᵀZ_Lᵀuᵢ and b = PᵀZ₁vᵢ. If L = 2, then
    λ_min = −s_{k+1}, along a new hidden direction. If L ≥ 3, then ‖dA‖² is at least
    Σ_{i>k} (‖S^((L−1)/L)a‖² + ‖S^((L−1)/L)b‖²) and ⟨E, d²A⟩ = −2 Σ_{i>k} sᵢaᵀS^((L−2)/L)b, hence
    their sum is at least Σ_{i>k} Σ_{j≤k} sⱼ^((L−2)/L)(sⱼ − sᵢ)(aⱼ² + bⱼ²) ≥ 0: all these saddles
    are degenerate, λ_min = 0, and at the origin all derivatives below the L-th in order vanish.

    In the region, along Z with Σ‖Z_l‖²_F = 1, the derivatives of the product of orders 1, 2 and 3
    are at most √L·R^(L−1), (L − 1)R^(L−2) and (L − 1)(L − 2)/√L·R^(L−3), by Maclaurin's inequality
    for ‖Z₁‖, …, ‖Z_L‖; the last two also in nuclear norm. As ‖E‖₂ ≤ R^L + s₁,

    .. math::
        \ell &= L R^{2L-2} + (L-1) R^{L-2} (R^L + s_1), \\
        \rho &= 3\sqrt L\,(L-1) R^{2L-3} + \tfrac{(L-1)(L-2)}{\sqrt L} R^{L-3} (R^L + s_1).

    Both are sharp: all is attained where the product is −R^L u₁v₁ᵀ with factors of rank 1, along
    these factors.

    Where all W_l begin as the same multiple of partial identities in the bases of M
    (``start(scale, aligned=True)``), they stay so under gradient flow and descent, and each mode is
    alone: its strength a = wᴸ has w′ = −wᴸ⁻¹(wᴸ − sᵢ), so a′ = L·a^(2−2/L)(sᵢ − a). The equation
    is that of Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning
    in deep linear neural networks", 2013, arXiv:1312.6120, cited from memory.

    Examples
    --------
    >>> f = DeepLinear.from_modes([2.0, 1.0], depth=3)
    >>> f
    DeepLinear(modes=[2, 1], depth=3, width=2, radius=1.88988)
    >>> f.fun(f.saddles).round(12).tolist(), f.saddle_min_eigs.tolist()
    ([2.5, 0.5], [0.0, 0.0])
    >>> DeepLinear.from_modes([2.0, 1.0], depth=2).saddle_min_eigs.tolist()
    [-2.0, -1.0]
    """

    name = "deep linear network"

    def __init__(self, teacher, depth: int, width: int | None = None, *,
                 radius: float | None = None):
        M = _matrix("teacher", teacher)
        if not M.any():
            raise ValueError("teacher must not be zero; the origin would be no saddle")
        m, n = M.shape
        L = integer("depth", depth, least=2)
        w = max(m, n) if width is None else integer("width", width)
        self._U, s, Vt = np.linalg.svd(M)
        self._V = Vt.T
        self.modes = frozen(s[s > max(m, n) * 1e-15 * s[0]])
        self.teacher, self.width = frozen(M), w
        least = self.modes[0] ** (1 / L)
        self.radius = R = positive("radius", 1.5 * least if radius is None else radius)
        if R < least * (1 - 1e-12):  # equality, up to the rounding of the modes
            raise ValueError(f"radius must be at least {least:.6g}, the norm of the layers at the "
                             f"minimizer, got {radius!r}")
        widths = (n, *[w] * (L - 1), m)
        self._set_layers(widths, "linear", np.eye(n), self.teacher, 1.0)
        dim = w * (n + m + w * (L - 2))
        with np.errstate(over="ignore"):
            r, total = np.float64(R), 0.5 * (self.modes**2).sum()
            far = r**L + self.modes[0]
            ell = L * r ** (2 * L - 2) + (L - 1) * r ** (L - 2) * far
            rho = (3 * np.sqrt(L) * (L - 1) * r ** (2 * L - 3)
                   + (L - 1) * (L - 2) / np.sqrt(L) * r ** (L - 3) * far)
        if not np.isfinite([ell, rho, total]).all():
            raise ValueError(f"teacher with the singular value {self.modes[0]:.3g} and radius = "
                             f"{R:.3g} make f or its constants leave the range of float64; use "
                             f"other units")
        super().__init__(dim=dim, lipschitz_grad=ell, lipschitz_hess=rho,
                         region=LayerBall(dim, widths, R),
                         f_star=0.5 * (self.modes[w:] ** 2).sum())

    @classmethod
    def from_modes(cls, modes, depth: int, width: int | None = None, *,
                   radius: float | None = None):
        """Return the network whose teacher is diagonal, with the given strengths.

        `modes` (k,) are positive. Raises TypeError or ValueError otherwise, or as the class does.

        >>> DeepLinear.from_modes([1.0, 0.5], depth=4, width=3).widths
        (2, 3, 3, 3, 2)
        """
        modes = real_vector("modes", modes)
        if modes.min() <= 0:
            raise ValueError(f"modes must be positive, got {modes!r}; leave out the zeros")
        return cls(np.diag(modes), depth, width, radius=radius)

    def end_to_end(self, x) -> np.ndarray:
        """Return the product W_L ⋯ W₁, (m, n), or (batch, m, n); raises as `fun` does.

        >>> f = DeepLinear([[0.0, 3.0]], depth=2)
        >>> f.end_to_end(f.minimizers[0]).round(12).tolist()
        [[0.0, 3.0]]
        """
        return self._forward(self.unpack(x))[0][-1]

    def strengths(self, x) -> np.ndarray:
        """Return uᵢᵀ(W_L ⋯ W₁)vᵢ for each of `modes`, (q,) or (batch, q); raises as `fun` does.

        It is what the network has of each mode, and equals `modes` where all are learned.

        >>> f = DeepLinear.from_modes([2.0, 1.0], depth=3)
        >>> f.strengths(f.saddles).round(12).tolist()
        [[0.0, 0.0], [2.0, 0.0]]
        """
        q = self.modes.size
        return np.einsum("mi,...mn,ni->...i", self._U[:, :q], self.end_to_end(x), self._V[:, :q])

    def start(self, scale: float, rng=None, aligned: bool = False) -> np.ndarray:
        """Return a start near the origin.

        Parameters
        ----------
        scale : float
            ε > 0. The entries of W_l are normal with variance ε²/d_{l−1}, of d_{l−1} columns.
        rng : int, Generator or None
            The seed or the generator of these.
        aligned : bool
            Take nothing at random: W₁ = εIVᵀ, W_L = εUI, and εI between, with singular vectors U
            and V of the teacher and (rectangular) identities I. Each mode then has the strength εᴸ.

        Returns
        -------
        array (d,)

        Raises
        ------
        TypeError, ValueError
            For arguments outside these ranges.

        Examples
        --------
        >>> f = DeepLinear.from_modes([2.0, 1.0], depth=3)
        >>> f.strengths(f.start(0.1, aligned=True)).round(12).tolist()
        [0.001, 0.001]
        """
        scale = positive("scale", scale)
        if not aligned:
            return _normal_layers(self.widths, generator("rng", rng), [scale] * self.depth, 1.0)
        layers = [scale * np.eye(*shape) for shape in zip(self.widths[1:], self.widths,
                                                          strict=False)]
        layers[0], layers[-1] = layers[0] @ self._V.T, self._U @ layers[-1]
        return self.pack(layers)

    def _balanced(self, k):
        root = self.modes[:k] ** (1 / self.depth)
        layers = [np.zeros((self.width, self.width)) for _ in range(self.depth)]
        for W in layers:
            W[:k, :k] = np.diag(root)
        layers[0], layers[-1] = (np.zeros((self.width, self.widths[0])),
                                 np.zeros((self.widths[-1], self.width)))
        layers[0][:k] = root[:, np.newaxis] * self._V[:, :k].T
        layers[-1][:, :k] = self._U[:, :k] * root
        return self.pack(layers)

    def _saddles(self):
        r = min(self.modes.size, self.width)
        eigenvalues = -self.modes[:r] if self.depth == 2 else np.zeros(r)
        return np.array([self._balanced(k) for k in range(r)]), eigenvalues

    def _minimizers(self):
        return self._balanced(min(self.modes.size, self.width))[np.newaxis], [0.0]

    def _parameters(self):
        return {"modes": self.modes, "depth": self.depth, "width": self.width,
                "radius": self.radius}


class DeepNetwork(Layered, Problem):
    r"""f(W₁, …, W_L) = (1/2N) Σ ‖ŷ(xᵢ) − yᵢ‖² for ŷ(x) = W_L s(W_{L−1} ⋯ s(W₁x)), no biases.

    A point has W₁, …, W_L one after the other, each row by row.

    Parameters
    ----------
    activation : str
        s: "tanh", "sin", "erf", "gelu" (z·Φ(z) exactly), "swish", "sigmoid", "relu" or "linear".
    widths : sequence of int
        d₀, …, d_L, L ≥ 2: W_l is (d_l, d_{l−1}).
    inputs : array (N, d₀)
        The xᵢ, not all zero.
    targets : array
        The yᵢ, (N, d_L).
    radius : float
        R > 0, the bound of `region`, {‖W_l‖₂ ≤ R for all l}.

    Raises
    ------
    TypeError, ValueError
        For arguments outside these ranges.

    Notes
    -----
    If s is smooth and s(0) = 0, the origin is stationary. Along tW₁, …, tW_L, f falls below f(0)
    by s′(0)^(L−1)⟨C, W_L ⋯ W₁⟩tᴸ + o(tᴸ) with C = (1/N) Σ yᵢxᵢᵀ: if C ≠ 0 it is a saddle, which
    `saddles` has, with λ_min = −s′(0)‖C‖₂ if L = 2, and 0 if L ≥ 3. With "sigmoid" it is not
    stationary. The minimum is not known: `f_star` is −inf, though f ≥ 0, and no minimizers are
    listed.

    ReLU is not smooth. Its derivative at 0 is taken as 0, `hvp` is that of the piece around the
    point, ℓ and ρ are infinite, and no saddles are listed.

    For the others ℓ and ρ hold in the region, and are bounds, far from sharp: with suprema sⱼ of
    the j-th derivative of s, X and Y the matrices of inputs and targets, and unit directions, let a
    and α₁, α₂, α₃ bound A_l = s(Z_l) and its derivatives, and ζ₀, …, ζ₃ those of Z_l = W_l A_{l−1},
    all in Frobenius norm. From a = ‖X‖ and αⱼ = 0,

    .. math::
        \zeta_0 &= R a,\quad \zeta_1 = \sqrt{a^2 + R^2\alpha_1^2},\quad
        \zeta_2 = 2\alpha_1 + R\alpha_2,\quad \zeta_3 = 3\alpha_2 + R\alpha_3, \\
        a &= |s(0)|\sqrt{N d_l} + s_1\zeta_0 \ \text{ or }\ s_0\sqrt{N d_l},\quad
        \alpha_1 = s_1\zeta_1,\quad \alpha_2 = s_2\zeta_1^2 + s_1\zeta_2,\quad
        \alpha_3 = s_3\zeta_1^3 + 3s_2\zeta_1\zeta_2 + s_1\zeta_3,

    layer by layer, and at the last ℓ = (ζ₁² + (ζ₀ + ‖Y‖)ζ₂)/N and ρ = (3ζ₁ζ₂ + (ζ₀ + ‖Y‖)ζ₃)/N.

    Under gradient flow Δ_l = ‖W_{l+1}‖² − ‖W_l‖² moves as `imbalance_rate` says. The setting and
    that identity are those of Rawal and DeWeese, "A theory of saddle escape in deep nonlinear
    networks", 2026, arXiv:2605.01288.

    Examples
    --------
    >>> f = DeepNetwork.random("tanh", (4, 5, 5, 2), samples=20, rng=0)
    >>> f
    DeepNetwork(activation='tanh', widths=(4, 5, 5, 2), samples=20, radius=2)
    >>> f.dim, f.saddle_min_eigs.tolist(), f.grad(f.saddles[0]).any().tolist()
    (55, [0.0], False)
    """

    name = "deep network"

    def __init__(self, activation: str, widths, inputs, targets, radius: float = 2.0):
        if not isinstance(activation, str) or activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(map(repr, ACTIVATIONS))}, "
                             f"got {activation!r}")
        widths = _widths(widths)
        X, Y = _matrix("inputs", inputs), _matrix("targets", targets)
        if len(X) != len(Y) or (X.shape[1], Y.shape[1]) != (widths[0], widths[-1]):
            raise ValueError(
                f"inputs and targets must be (N, {widths[0]}) and (N, {widths[-1]}), the ends of "
                f"widths, got {X.shape} and {Y.shape}")
        if not X.any():
            raise ValueError("inputs must not all be zero; no layer would have a gradient")
        self.inputs, self.targets, self.radius = frozen(X), frozen(Y), positive("radius", radius)
        self._set_layers(widths, activation, self.inputs.T, self.targets.T, 1 / len(X))
        dim = sum(rows * columns for rows, columns in zip(widths[1:], widths, strict=False))
        smooth = activation != "relu"
        ell, rho = self._constants(self.radius) if smooth else (np.inf, np.inf)
        super().__init__(
            dim=dim, lipschitz_grad=ell, lipschitz_hess=rho, f_star=-np.inf,
            region=LayerBall(dim, widths, self.radius) if smooth else WholeSpace(dim))

    @classmethod
    def random(cls, activation: str, widths, *, samples: int, rng=None, radius: float = 2.0):
        """Return the network with standard normal inputs and a linear teacher.

        The teacher T is normal and scaled to ‖T‖_F = 1, so that yᵢ = Txᵢ has E‖yᵢ‖² = 1. `samples`
        is N ≥ 1 and `rng` a seed or a generator; raises as the class does.

        >>> f = DeepNetwork.random("gelu", (3, 8, 1), samples=50, rng=0)
        >>> f.inputs.shape, f.targets.shape
        ((50, 3), (50, 1))
        """
        widths, rng = _widths(widths), generator("rng", rng)
        X = rng.standard_normal((integer("samples", samples), widths[0]))
        T = rng.standard_normal((widths[-1], widths[0]))
        return cls(activation, widths, X, X @ (T / np.linalg.norm(T)).T, radius)

    def output(self, x) -> np.ndarray:
        """Return ŷ of all inputs, (N, d_L), or (batch, N, d_L); raises as `fun` does.

        >>> f = DeepNetwork("relu", (1, 1, 1), [[1.0], [-1.0]], [[0.0], [0.0]])
        >>> f.output([2.0, 3.0]).tolist()
        [[6.0], [0.0]]
        """
        return np.swapaxes(self._forward(self.unpack(x))[0][-1], -1, -2)

    def start(self, scale: float, rng=None, small_layers: int | None = None) -> np.ndarray:
        """Return a start with small layers.

        Parameters
        ----------
        scale : float
            ε > 0, by which the small layers are multiplied.
        rng : int, Generator or None
            The seed or the generator of the layers, whose entries are normal with variance
            2/d_{l−1}, after He et al. (2015).
        small_layers : int, optional
            r, 0 ≤ r ≤ L: the first r layers are small; all by default.

        Returns
        -------
        array (d,)

        Raises
        ------
        TypeError, ValueError
            For arguments outside these ranges.

        Examples
        --------
        >>> f = DeepNetwork.random("tanh", (4, 5, 5, 2), samples=20, rng=0)
        >>> whole, small = f.unpack(f.start(1.0, 0)), f.unpack(f.start(0.1, 0, small_layers=2))
        >>> [float((b / a).mean().round(12)) for a, b in zip(whole, small)]
        [0.1, 0.1, 1.0]
        """
        scale, rng = positive("scale", scale), generator("rng", rng)
        r = self.depth if small_layers is None else integer("small_layers", small_layers, least=0)
        if r > self.depth:
            raise ValueError(f"small_layers must be at most {self.depth}, the depth, got {r}")
        return _normal_layers(self.widths, rng, [scale] * r + [1.0] * (self.depth - r), 2.0)

    def imbalance_rate(self, x) -> np.ndarray:
        """Return dΔ_l/dt of `imbalance` under gradient flow, (L − 1,) or (n, L − 1).

        It is 2⟨W_{l+1}ᵀD_{l+1}, φ(Z_l)⟩ with the derivatives D of f in Z and φ(z) = z·s′(z) − s(z),
        which is zero where s is linear or ReLU: ⟨D_l, Z_l⟩ and ⟨W_{l+1}ᵀD_{l+1}, s(Z_l)⟩ are what
        ‖W_l‖²/2 and ‖W_{l+1}‖²/2 lose. Raises as `fun` does.

        >>> f = DeepNetwork.random("relu", (4, 5, 5, 2), samples=20, rng=0)
        >>> f.imbalance_rate(f.start(1.0, 0)).tolist()
        [0.0, 0.0]
        """
        layers = self.unpack(x)
        before, after = self._forward(layers)
        inner, found = self._backward(layers, before), []
        for W, D, Z, A in zip(layers[1:], inner[1:], before, after[1:], strict=False):
            phi = Z * self._s.slope(Z) - A
            found.append(2 * ((np.swapaxes(W, -1, -2) @ D) * phi).sum(axis=(-2, -1)))
        return np.stack(found, axis=-1)

    def _constants(self, R):
        top, first, second, third = self._s.bounds
        offset, samples = abs(self._s.value(0.0)), len(self.inputs)
        a, a1, a2, a3 = np.linalg.norm(self.inputs), 0.0, 0.0, 0.0
        for width in self.widths[1:]:
            z0, z1, z2, z3 = R * a, np.hypot(a, R * a1), 2 * a1 + R * a2, 3 * a2 + R * a3
            entries = np.sqrt(samples * width)
            a = min(offset * entries + first * z0, top * entries)
            a1, a2 = first * z1, second * z1**2 + first * z2
            a3 = third * z1**3 + 3 * second * z1 * z2 + first * z3
        far = z0 + np.linalg.norm(self.targets)
        return (z1**2 + far * z2) / samples, (3 * z1 * z2 + far * z3) / samples

    def _saddles(self):
        C = self.targets.T @ self.inputs / len(self.inputs)
        if self.activation == "relu" or self._s.value(0.0) != 0 or not C.any():
            return super()._saddles()
        slope = float(self._s.slope(np.float64(0.0)))
        lowest = -slope * np.linalg.norm(C, ord=2) if self.depth == 2 else 0.0
        return np.zeros((1, self.dim)), [lowest]

    def _parameters(self):
        return {"activation": self.activation, "widths": self.widths,
                "samples": len(self.inputs), "radius": self.radius}


def _matrix(name, value):
    """A finite matrix with at least one entry."""
    M = real_array(name, value)
    if M.ndim != 2 or M.size == 0:
        raise ValueError(f"{name} must be a matrix with at least one entry, got shape {M.shape}")
    if not np.isfinite(M).all():
        raise ValueError(f"{name} must be finite, got NaN or inf; remove them")
    return M


def _widths(widths):
    """d₀, …, d_L as a tuple."""
    found = tuple(integer("each of widths", width) for width in each("widths", widths))
    if len(found) < 3:
        raise ValueError(f"widths must have three entries or more, got {widths!r}; one layer "
                         "alone has nothing hidden")
    return found


def _normal_layers(widths, rng, scales, variance):
    """Layers with normal entries of the variance scale²·variance/d_{l−1}, as one point."""
    return np.concatenate([
        scale * np.sqrt(variance / columns) * rng.standard_normal(rows * columns)
        for scale, rows, columns in zip(scales, widths[1:], widths, strict=False)])
