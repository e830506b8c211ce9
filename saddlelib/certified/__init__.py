"""The driver that asks for no constants: descend, look, leave along the direction, go on."""

from .driver import Certified, CertifiedState
from .inner import SOLVERS

__all__ = ["SOLVERS", "Certified", "CertifiedState"]
