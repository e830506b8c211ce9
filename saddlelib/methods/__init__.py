"""The algorithms: each is *init* and *step* on an explicit state, and nothing else."""

from .base import State
from .gd import GradientDescent, gd_step
from .pgd import PGD

__all__ = ["PGD", "GradientDescent", "State", "gd_step"]
