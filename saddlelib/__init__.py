"""Methods that escape saddle points, with their theory and a certificate that they did.

>>> import saddlelib
>>> from saddlelib.problems import SeparableQuartic
>>> saddlelib.minimize(SeparableQuartic(dim=10), [0.0] * 10, method="pgd", rng=0).success
True
"""

from .curvature import Certificate, Verdict, certify
from .derivatives import DerivativeCheck, check_derivatives
from .doors import certified, gd, minimize, pgd, psd, psgd
from .loop import Status
from .methods import show_options
from .oracle import Oracle
from .sampling import SampleCertificate, certify_samples

__version__ = "0.2.0"

__all__ = ["Certificate", "DerivativeCheck", "Oracle", "SampleCertificate", "Status", "Verdict",
           "certified", "certify", "certify_samples", "check_derivatives", "gd", "minimize", "pgd",
           "psd", "psgd", "show_options"]
