"""Objectives that know their own facts.

Each is a `Problem`: value, gradient, Hessian-vector product and Hessian, for one
point or a batch, with its saddles, its minimizers, f*, and the Lipschitz
constants ℓ and ρ together with the region where they hold.
"""

from .base import Problem
from .factorization import MatrixFactorization
from .monkey import MonkeySaddle
from .octopus import Octopus
from .profile import DraggedSaddle, EscapeProfile
from .quadratic import QuadraticSaddle
from .quartic import CoupledQuartic, QuarticSaddle, SeparableQuartic
from .region import Region
from .rosenbrock import Rosenbrock

__all__ = [
    "CoupledQuartic",
    "DraggedSaddle",
    "EscapeProfile",
    "MatrixFactorization",
    "MonkeySaddle",
    "Octopus",
    "Problem",
    "QuadraticSaddle",
    "QuarticSaddle",
    "Region",
    "Rosenbrock",
    "SeparableQuartic",
    "catalogue",
]


def catalogue() -> list[Problem]:
    """Return one small instance of each problem.

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
