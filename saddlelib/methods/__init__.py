"""The algorithms: each is *init* and *step* on an explicit state, and nothing else."""

from .base import Method, State, Wait
from .gd import GradientDescent, gd_step
from .pgd import PGD
from .pgdli import PGDli
from .probe import LanczosProbe, PSDProbe
from .psd import PSD, CertifiedPSD
from .repaired import RepairedPSD

__all__ = ["PGD", "PSD", "CertifiedPSD", "GradientDescent", "LanczosProbe", "Method", "PGDli",
           "PSDProbe", "RepairedPSD", "State", "Wait", "gd_step"]
