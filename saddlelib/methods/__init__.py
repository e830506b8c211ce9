"""The algorithms: each is *init* and *step* on an explicit state, and nothing else."""

from .base import Method, State, Wait
from .gd import GradientDescent, gd_step
from .gdpolyak import CurvatureSwitch, GDPolyak, PlateauSwitch, RestartedGDPolyak
from .muon import Muon, polar_factor
from .order_aware import OrderAwareNewton
from .pgd import PGD
from .pgdli import PGDli
from .polyak import BacktrackingDescent, PolyakDescent, polyak_quotient
from .preconditioned import PrecGD, ScaledGD
from .probe import LanczosProbe, PSDProbe
from .psd import PSD, CertifiedPSD
from .psgd import CNCSGD, PSGD, SGD, CertifiedPSGD, NoisySGD
from .repaired import RepairedPSD
from .rules import Rule, find, rule, show_options
from .safe import SafeGDPolyak

__all__ = ["CNCSGD", "PGD", "PSD", "PSGD", "SGD", "BacktrackingDescent", "CertifiedPSD",
           "CertifiedPSGD", "CurvatureSwitch", "GDPolyak", "GradientDescent", "LanczosProbe",
           "Method", "Muon", "NoisySGD", "OrderAwareNewton", "PGDli", "PSDProbe", "PlateauSwitch",
           "PolyakDescent", "PrecGD", "RepairedPSD", "RestartedGDPolyak", "Rule", "SafeGDPolyak",
           "ScaledGD", "State", "Wait", "find", "gd_step", "polar_factor", "polyak_quotient",
           "rule", "show_options"]
