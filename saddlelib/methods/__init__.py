"""The algorithms: each is *init* and *step* on an explicit state, and nothing else."""

from .base import Method, State, Wait
from .gd import GradientDescent, gd_step
from .pgd import PGD
from .pgdli import PGDli
from .probe import LanczosProbe, PSDProbe
from .psd import PSD, CertifiedPSD
from .psgd import CNCSGD, PSGD, SGD, CertifiedPSGD, NoisySGD
from .repaired import RepairedPSD

__all__ = ["CNCSGD", "PGD", "PSD", "PSGD", "SGD", "CertifiedPSD", "CertifiedPSGD",
           "GradientDescent", "LanczosProbe", "Method", "NoisySGD", "PGDli", "PSDProbe",
           "RepairedPSD", "State", "Wait", "gd_step"]
