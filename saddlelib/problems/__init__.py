"""Objectives that know their own facts.

Each is a `Problem`: value, gradient, Hessian-vector product and Hessian, for one
point or a batch, with its saddles, its minimizers, f*, and the Lipschitz
constants ℓ and ρ together with the region where they hold.
"""

from .base import Problem
from .deep import DeepLinear, DeepNetwork
from .diagonal import DiagonalNetwork
from .factorization import MatrixFactorization
from .monkey import MonkeySaddle
from .octopus import Octopus
from .overparameterized import QuadraticSensing, TwoNeurons
from .profile import DraggedSaddle, EscapeProfile
from .quadratic import QuadraticSaddle
from .quartic import CoupledQuartic, QuarticSaddle, SeparableQuartic
from .ravines import ConvexQuartic, HomogeneousRavine, RavineRosenbrock
from .region import Region
from .rosenbrock import Rosenbrock

__all__ = [
    "ConvexQuartic",
    "CoupledQuartic",
    "DeepLinear",
    "DeepNetwork",
    "DiagonalNetwork",
    "DraggedSaddle",
    "EscapeProfile",
    "HomogeneousRavine",
    "MatrixFactorization",
    "MonkeySaddle",
    "Octopus",
    "Problem",
    "QuadraticSaddle",
    "QuarticSaddle",
    "QuadraticSensing",
    "RavineRosenbrock",
    "Region",
    "Rosenbrock",
    "SeparableQuartic",
    "TwoNeurons",
    "catalogue",
    "networks",
    "ravines",
]


def catalogue() -> list[Problem]:
    """Return one small instance of each problem that has a saddle or is nondegenerate.

    Returns
    -------
    list of Problem

    Examples
    --------
    >>> [problem.name for problem in catalogue()][:2]
    ['quadratic saddle', 'separable quartic']
    """
    return [
        QuadraticSaddle([-1.0, -0.2, 0.5, 2.0]),
        SeparableQuartic(3),
        CoupledQuartic(4, coupling=0.3),
        QuarticSaddle.spread(4, gamma=0.1),
        MonkeySaddle(),
        Octopus(3),
        MatrixFactorization.from_eigenvalues([1.0, 0.7, 0.4], 5, rng=0),
        Rosenbrock(4),
        EscapeProfile(0.2, [1.0, 0.5, 0.1]),
        DraggedSaddle(0.2, pull=0.25),
    ]


def ravines() -> list[Problem]:
    """Return one small instance of each problem with a degenerate minimizer.

    Returns
    -------
    list of Problem

    Examples
    --------
    >>> sorted({problem.growth_order for problem in ravines()})
    [3.0, 4.0]
    """
    return [
        ConvexQuartic([1.0, 0.2], [1.0, 0.5]),
        RavineRosenbrock(),
        HomogeneousRavine(4.0, dim=3, kernel=2),
        MatrixFactorization.from_eigenvalues([1.0, 0.6], 5, rng=0, columns=4),
        QuadraticSensing.random(5, 1, columns=2, measurements=30, rng=0),
        TwoNeurons([0.8, -0.6, 0.3]),
    ]


def networks() -> list[Problem]:
    """Return one small instance of each network that learns by leaving one saddle after another.

    Returns
    -------
    list of Problem

    Examples
    --------
    >>> [problem.name for problem in networks()]
    ['deep linear network', 'deep network', 'diagonal network']
    """
    return [
        DeepLinear.from_modes([1.0, 0.5], depth=2, width=3, radius=1.1),
        DeepNetwork.random("tanh", (2, 3, 2), samples=5, rng=0, radius=1.0),
        DiagonalNetwork([[1.0, 0.5, 0.0], [0.0, 1.0, -0.5]], [2.0, -1.0], radius=1.6),
    ]
