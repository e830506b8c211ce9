"""The certificate of second-order stationarity: Lanczos, the errors of products, the verdict."""

from .certificate import Certificate, Verdict, certify
from .lanczos import lanczos_error, start_component, start_overlap

__all__ = ["Certificate", "Verdict", "certify", "lanczos_error", "start_component",
           "start_overlap"]
