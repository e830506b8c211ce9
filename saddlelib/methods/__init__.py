"""The algorithms: each is *init* and *step* on an explicit state, and nothing else."""

from .base import State
from .gd import GradientDescent, gd_step
from .pgd import PGD
from .pgdli import PGDli
from .psd import PSD, CertifiedPSD
from .repaired import RepairedPSD

__all__ = ["PGD", "PSD", "CertifiedPSD", "GradientDescent", "PGDli", "RepairedPSD", "State",
           "gd_step"]
