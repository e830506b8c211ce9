"""What the problems refuse, and in which words; and how they print."""

import numpy as np
import pytest

from saddlelib.problems import (
    ConvexQuartic,
    CoupledQuartic,
    DeepLinear,
    DeepNetwork,
    DiagonalNetwork,
    DraggedSaddle,
    EscapeProfile,
    HomogeneousRavine,
    MatrixFactorization,
    MonkeySaddle,
    Octopus,
    Problem,
    QuadraticSaddle,
    QuadraticSensing,
    QuarticSaddle,
    RavineRosenbrock,
    Region,
    Rosenbrock,
    SeparableQuartic,
    TwoNeurons,
)

METHODS = ["fun", "grad", "hess", "distance"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "x, error, words",
    [
        (0.5, ValueError, r"x has shape \(\).* \(3,\) or a batch \(n, 3\)"),
        ([1.0, 2.0], ValueError, r"x has shape \(2,\).*SeparableQuartic\(dim=3"),
        (np.zeros((3, 2)), ValueError, r"x has shape \(3, 2\)"),
        (np.zeros((1, 1, 3)), ValueError, r"x has shape \(1, 1, 3\)"),
        ([], ValueError, r"x has shape \(0,\)"),
        ([[1.0, 2.0, 3.0], [1.0]], ValueError, "x is not a rectangular array"),
        (np.zeros(3, dtype=complex), TypeError, "x must hold real numbers, got dtype complex128"),
        (np.zeros(3, dtype=bool), TypeError, "x must hold real numbers, got dtype bool"),
        (["a", "b", "c"], TypeError, "x must hold real numbers"),
        (None, TypeError, "x must hold real numbers, got dtype object"),
        ([None, 1.0, 2.0], TypeError, "x must hold real numbers, got dtype object"),
    ],
)
def test_bad_points(method, x, error, words):
    with pytest.raises(error, match=words):
        getattr(SeparableQuartic(3), method)(x)


@pytest.mark.parametrize(
    "v, error, words",
    [
        (np.zeros(2), ValueError, r"v has shape \(2,\)"),
        (np.zeros((4, 3)), ValueError, r"v must have the shape of x, \(3,\), got \(4, 3\)"),
        (np.zeros(3, dtype=complex), TypeError, "v must hold real numbers"),
    ],
)
def test_bad_directions(v, error, words):
    with pytest.raises(error, match=words):
        SeparableQuartic(3).hvp(np.zeros(3), v)


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda: QuadraticSaddle([]), ValueError, r"eigenvalues must be a vector .*\(0,\)"),
        (lambda: QuadraticSaddle(1.0), ValueError, r"eigenvalues must be a vector .*\(\)"),
        (lambda: QuadraticSaddle([[1.0]]), ValueError, r"eigenvalues must be a vector .*\(1, 1\)"),
        (lambda: QuadraticSaddle([1.0, np.nan]), ValueError, "eigenvalues must be finite"),
        (lambda: QuadraticSaddle([1.0, -np.inf]), ValueError, "eigenvalues must be finite"),
        (lambda: QuadraticSaddle([1j]), TypeError, "eigenvalues must hold real numbers"),
        (lambda: QuadraticSaddle("-1"), TypeError, "eigenvalues must hold real numbers"),
        (lambda: SeparableQuartic(0), ValueError, "dim must be at least 1, got 0"),
        (lambda: SeparableQuartic(2.0), TypeError, "dim must be an integer, got 2.0"),
        (lambda: SeparableQuartic(True), TypeError, "dim must be an integer, got True"),
        (lambda: SeparableQuartic(2, radius=0.0), ValueError, "radius must .* > 0, got 0.0"),
        (lambda: SeparableQuartic(2, radius=np.nan), ValueError, "radius must .* got nan"),
        (lambda: SeparableQuartic(2, radius="1"), TypeError, "radius must be a real number"),
        (lambda: CoupledQuartic(3), ValueError, "dim must be even, got 3.*closed form.*2 or 4"),
        (lambda: CoupledQuartic(0), ValueError, "dim must be at least 2, got 0"),
        (lambda: CoupledQuartic(2, coupling=-0.1), ValueError, "coupling must .*>= 0, got -0.1"),
        (lambda: CoupledQuartic(2, coupling=np.inf), ValueError, "coupling must .*got inf"),
        (lambda: CoupledQuartic(2, coupling="0"), TypeError, "coupling must be a real number"),
        (lambda: CoupledQuartic(2, radius=-1.0), ValueError, "radius must"),
        (lambda: Rosenbrock(1), ValueError, "dim must be at least 2, got 1"),
        (lambda: Rosenbrock(2, radius=0.0), ValueError, "radius must .* > 0, got 0.0"),
        (lambda: QuarticSaddle(gamma=0.0), ValueError, "gamma must .* > 0, got 0.0"),
        (lambda: QuarticSaddle(gamma=1j), TypeError, "gamma must be a real number"),
        (lambda: QuarticSaddle(0.1, []), ValueError, "eigenvalues must be a vector"),
        (lambda: QuarticSaddle(0.1, [1.0, 0.0]), ValueError, "eigenvalues must be positive.*0.0"),
        (lambda: QuarticSaddle.spread(1), ValueError, "dim must be at least 2, got 1"),
        (lambda: QuarticSaddle.spread(3, low=2.0), ValueError, "low must not exceed high.*2.0"),
        (lambda: QuarticSaddle.spread(3, low=-1.0), ValueError, "low must .* > 0"),
        (lambda: MonkeySaddle(radius=-1), ValueError, "radius must .* > 0, got -1"),
        (lambda: Octopus(0), ValueError, "dim must be at least 1"),
        (lambda: Octopus(2, L=0), ValueError, "L must .* > 0, got 0"),
        (lambda: Octopus(2, gamma=-1.0), ValueError, "gamma must .* > 0, got -1.0"),
        (lambda: Octopus(2, tau=np.inf), ValueError, "tau must be .* > 0, got inf"),
        (lambda: EscapeProfile(0.0), ValueError, "gamma must .* > 0, got 0.0"),
        (lambda: EscapeProfile(2.0), ValueError, "gamma must be at most lipschitz_grad = 1.0.*2.0"),
        (lambda: EscapeProfile(0.1, [1.5]), ValueError, r"eigenvalues must lie in \[-1.0, 1.0\]"),
        (lambda: EscapeProfile(0.1, [1j]), TypeError, "eigenvalues must hold real numbers"),
        (lambda: EscapeProfile(gradient=[1.0]), ValueError, "gradient must have the dimension 2"),
        (lambda: EscapeProfile(lipschitz_hess=0), ValueError, "lipschitz_hess must .* > 0, got 0"),
        (lambda: DraggedSaddle(0.4), ValueError, "gamma must be at most lipschitz_grad/3.*got 0.4"),
        (lambda: DraggedSaddle(pull=1.5), ValueError, "pull must be at most 1, got 1.5"),
        (lambda: DraggedSaddle(pull=0.0), ValueError, "pull must .* > 0, got 0.0"),
        (lambda: MatrixFactorization([1.0]), ValueError, r"matrix must be square.*\(1,\)"),
        (lambda: MatrixFactorization(np.ones((2, 3))), ValueError, r"matrix must be square.*2, 3"),
        (lambda: MatrixFactorization(np.ones((0, 0))), ValueError, "matrix must be square"),
        (lambda: MatrixFactorization([[np.inf]]), ValueError, "matrix must be finite"),
        (lambda: MatrixFactorization([[1.0, 0.5], [0.0, 1.0]]), ValueError, "be symmetric, .* 0.5"),
        (lambda: MatrixFactorization([[-1.0]]), ValueError, "positive semidefinite.* -1"),
        (lambda: MatrixFactorization([[0.0]]), ValueError, "matrix must not be zero"),
        (lambda: MatrixFactorization([[1j]]), TypeError, "matrix must hold real numbers"),
        (lambda: MatrixFactorization(np.eye(3), 2), ValueError, "rank must be .* 3, got 2"),
        (lambda: MatrixFactorization(np.eye(3), 2.0), TypeError, "rank must be an integer"),
        (lambda: MatrixFactorization(np.eye(3), Gamma=0.9), ValueError, "Gamma must .* 1, got 0.9"),
        (lambda: MatrixFactorization(np.eye(3), Gamma=-1), ValueError, "Gamma must .* > 0"),
        (
            lambda: MatrixFactorization.from_eigenvalues([1.0, 0.0], 3),
            ValueError,
            "eigenvalues must be positive",
        ),
        (
            lambda: MatrixFactorization.from_eigenvalues([2.0, 1.0], 1),
            ValueError,
            "at most n = 1 of them",
        ),
        (
            lambda: MatrixFactorization.from_eigenvalues([1.0], 2.5),
            TypeError,
            "n must be an integer, got 2.5",
        ),
        (lambda: MatrixFactorization(np.eye(3), columns=2), ValueError, "columns must be at least"),
        (lambda: MatrixFactorization(np.eye(3), columns=4.0), TypeError, "columns must be an int"),
        (lambda: ConvexQuartic([]), ValueError, "quadratic must be a vector"),
        (lambda: ConvexQuartic([1.0], [0.0]), ValueError, "quartic must be positive"),
        (lambda: ConvexQuartic(radius=0), ValueError, "radius must .* > 0, got 0"),
        (lambda: ConvexQuartic.spread(4, 0.5), ValueError, "condition must be at least 1, got 0.5"),
        (lambda: ConvexQuartic.spread(4, 2.0, 4), ValueError, "kernel must be less than dim = 4"),
        (lambda: RavineRosenbrock(0.0), ValueError, "a must .* > 0, got 0.0"),
        (lambda: RavineRosenbrock(bend=np.inf), ValueError, "bend must be finite"),
        (lambda: HomogeneousRavine(2.5), ValueError, "order must be at least 3, got 2.5"),
        (lambda: HomogeneousRavine(dim=2, kernel=2), ValueError, "kernel must be less than dim"),
        (lambda: HomogeneousRavine(curvature=-1), ValueError, "curvature must .* > 0, got -1"),
        (lambda: QuadraticSensing(np.ones(3), np.ones(3), [[1.0]]), ValueError, "a must be a fin"),
        (lambda: QuadraticSensing(np.eye(3), np.eye(2), [[1.0]]), ValueError, r"be \(m, n\)"),
        (lambda: QuadraticSensing(np.eye(2), np.eye(2), np.ones((2, 2))), ValueError, "full col"),
        (lambda: QuadraticSensing(np.eye(2), np.eye(2), np.eye(2), 1), ValueError, "columns must"),
        (
            lambda: QuadraticSensing(np.eye(2), np.eye(2), np.eye(2), radius=1.0),
            ValueError,
            "radius must be at least 1.41421.*got 1.0",
        ),
        (lambda: TwoNeurons([1.0]), ValueError, "target must be a vector of two"),
        (lambda: TwoNeurons([0.0, 0.0]), ValueError, "target must be .* not zero"),
        (lambda: TwoNeurons([1.0, 0.0], radius=0.5), ValueError, "radius must be less than half"),
        (lambda: DeepLinear([1.0], 2), ValueError, r"teacher must be a matrix .* \(1,\)"),
        (lambda: DeepLinear([[np.nan]], 2), ValueError, "teacher must be finite"),
        (lambda: DeepLinear([[0.0]], 2), ValueError, "teacher must not be zero"),
        (lambda: DeepLinear([[1e300]], 3), ValueError, r"teacher with the singular value 1e\+300"),
        (lambda: DeepLinear([[1j]], 2), TypeError, "teacher must hold real numbers"),
        (lambda: DeepLinear([[1.0]], 1), ValueError, "depth must be at least 2, got 1"),
        (lambda: DeepLinear([[1.0]], 2, 0), ValueError, "width must be at least 1, got 0"),
        (lambda: DeepLinear([[1.0]], 2, 1.0), TypeError, "width must be an integer"),
        (lambda: DeepLinear([[9.0]], 2, radius=2.9), ValueError, "radius must be at least 3,.*2.9"),
        (lambda: DeepLinear.from_modes([1.0, 0.0], 2), ValueError, "modes must be positive"),
        (lambda: DeepLinear.from_modes([[1.0]], 2), ValueError, "modes must be a vector"),
        (lambda: DeepNetwork("tan", (1, 1, 1), [[1.0]], [[1.0]]), ValueError, "tion must .*'tan'"),
        (lambda: DeepNetwork([], (1, 1, 1), [[1.0]], [[1.0]]), ValueError, r"tion must .*\[\]"),
        (lambda: DeepNetwork(None, (1, 1, 1), [[1.0]], [[1.0]]), ValueError, "tion must .*None"),
        (lambda: DeepNetwork("sin", (1, 1), [[1.0]], [[1.0]]), ValueError, "widths must have"),
        (lambda: DeepNetwork("sin", 3, [[1.0]], [[1.0]]), TypeError, "widths must be .*got 3"),
        (lambda: DeepNetwork("sin", (1, 2.0, 1), [[1.0]], [[1.0]]), TypeError, "of widths must be"),
        (lambda: DeepNetwork("sin", (1, 0, 1), [[1.0]], [[1.0]]), ValueError, "each of widths"),
        (lambda: DeepNetwork("sin", (1, 1, 2), [[1.0]], [[1.0]]), ValueError, r"and \(N, 2"),
        (
            lambda: DeepNetwork("sin", (1, 1, 1), [[1.0], [2.0]], [[1.0]]),
            ValueError,
            r"inputs and targets must be .* got \(2, 1\) and \(1, 1\)",
        ),
        (lambda: DeepNetwork("sin", (1, 1, 1), [[0.0]], [[1.0]]), ValueError, "inputs must not"),
        (lambda: DeepNetwork("sin", (1, 1, 1), [1.0], [[1.0]]), ValueError, "inputs must be"),
        (
            lambda: DeepNetwork("sin", (1, 1, 1), [[1.0]], [[1.0]], radius=0),
            ValueError,
            "radius must .* > 0, got 0",
        ),
        (
            lambda: DeepNetwork.random("sin", (1, 1, 1), samples=0),
            ValueError,
            "samples must be at least 1, got 0",
        ),
        (
            lambda: DeepNetwork.random("sin", (1, 1, 1), samples=2, rng="a"),
            TypeError,
            "rng must be a seed",
        ),
        (lambda: DiagonalNetwork([1.0], [1.0]), ValueError, "design must be a finite, non-empty"),
        (lambda: DiagonalNetwork([[1e300, 1.0]], [1.0]), ValueError, "design and target make f"),
        (lambda: DiagonalNetwork([[1.0]], [1.0, 2.0]), ValueError, "design must have a row for"),
        (lambda: DiagonalNetwork([[1.0]], [0.0]), ValueError, "target must not be orthogonal"),
        (lambda: DiagonalNetwork([[1.0]], [np.inf]), ValueError, "target must be finite"),
        (lambda: DiagonalNetwork([[1.0]], [4.0], 1.9), ValueError, "radius must be .* 2, .*1.9"),
        (lambda: Octopus(2).ravine(0.1), ValueError, "Octopus.* states no ravine"),
        (lambda: MatrixFactorization(np.eye(2)).ravine(0.1), ValueError, "states no ravine"),
        (lambda: RavineRosenbrock().ravine("1"), TypeError, "t must hold real numbers"),
    ],
)
def test_bad_arguments_are_named_with_their_value(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize(
    "problem, text",
    [
        (QuadraticSaddle([-1, 2]), "QuadraticSaddle(eigenvalues=[-1, 2])"),
        (
            QuadraticSaddle(np.linspace(-1, 1, 101)),
            "QuadraticSaddle(eigenvalues=[-1, -0.98, ..., 0.98, 1])",
        ),
        (SeparableQuartic(3), "SeparableQuartic(dim=3, radius=1)"),
        (CoupledQuartic(np.int64(2)), "CoupledQuartic(dim=2, coupling=0.1, radius=1)"),
        (QuarticSaddle(0.1, [1, 1 / 3]), "QuarticSaddle(gamma=0.1, eigenvalues=[1, 0.333333])"),
        (MonkeySaddle(2), "MonkeySaddle(radius=2)"),
        (Octopus(5), "Octopus(dim=5, L=1, gamma=1, tau=2.71828)"),
        (
            EscapeProfile(0.1, []),
            "EscapeProfile(gamma=0.1, eigenvalues=[], lipschitz_grad=1, lipschitz_hess=1)",
        ),
        (
            DraggedSaddle(0.1),
            "DraggedSaddle(gamma=0.1, pull=0.25, lipschitz_grad=1, lipschitz_hess=1)",
        ),
        (MatrixFactorization(np.eye(2)), "MatrixFactorization(n=2, rank=2, Gamma=9)"),
        (
            MatrixFactorization(np.eye(2), columns=3),
            "MatrixFactorization(n=2, rank=2, columns=3, Gamma=9)",
        ),
        (ConvexQuartic(), "ConvexQuartic(quadratic=[1], quartic=[1], radius=1)"),
        (RavineRosenbrock(), "RavineRosenbrock(a=10, bend=1, radius=1)"),
        (
            HomogeneousRavine(3),
            "HomogeneousRavine(order=3, dim=2, kernel=1, curvature=1, radius=1)",
        ),
        (
            DeepLinear(np.diag([1.0, 8.0]), 3, radius=2),
            "DeepLinear(modes=[8, 1], depth=3, width=2, radius=2)",
        ),
        (
            DeepNetwork("sin", (1, 3, 1), [[1.0], [2.0]], [[1.0], [0.0]]),
            "DeepNetwork(activation='sin', widths=(1, 3, 1), samples=2, radius=2)",
        ),
        (
            DiagonalNetwork([[1.0, 0.0]], [4.0]),
            "DiagonalNetwork(samples=1, features=2, radius=4)",
        ),
        (TwoNeurons([3, 4]), "TwoNeurons(target=[3, 4], radius=1.25)"),
    ],
)
def test_repr(problem, text):
    assert repr(problem) == text


def test_eigenvalues_are_copied():
    eigenvalues = np.array([-1.0, 1.0])
    problem = QuadraticSaddle(eigenvalues)
    eigenvalues[0] = 5.0
    assert problem.saddle_min_eigs.tolist() == [-1.0]


def test_spread_keeps_ell_in_every_dimension():
    problems = [QuarticSaddle.spread(d, gamma=0.1, low=0.2, high=2.0) for d in (2, 3, 10)]
    assert [p.lipschitz_grad for p in problems] == [2.0] * 3
    assert [p.dim for p in problems] == [2, 3, 10]
    np.testing.assert_allclose(problems[2].eigenvalues, np.linspace(2.0, 0.2, 9))


def test_abstract_classes_cannot_be_made():
    for abstract in (Problem, Region):
        with pytest.raises(TypeError, match="abstract"):
            abstract(dim=2)


def test_a_new_problem_needs_three_methods_only():
    """`_hess` and all facts have defaults."""

    class Plane(Problem):
        name = "plane"

        def _fun(self, X):
            return X[:, 0] * X[:, 1]

        def _grad(self, X):
            return X[:, ::-1]

        def _hvp(self, X, V):
            return V[:, ::-1]

    region = QuadraticSaddle([1.0, 1.0]).region
    plane = Plane(dim=2, lipschitz_grad=1, lipschitz_hess=0, region=region, f_star=-np.inf)
    np.testing.assert_array_equal(plane.hess([1.0, 2.0]), [[0.0, 1.0], [1.0, 0.0]])
    assert plane.saddles.shape == plane.minimizers.shape == (0, 2)
    assert np.isnan(plane.distance([1.0, 2.0])) and repr(plane) == "Plane(dim=2)"
