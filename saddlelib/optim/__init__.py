"""Optimizers for PyTorch that escape saddle points and run down ravines.

`Escape` wraps any optimizer and lets it leave the saddles it would stand still at, and `certify`
says of a training loss whether there is negative curvature. `PSD` for full-batch gradients, `PSGD`
for mini-batches, and `GDPolyak` and `OrderAwareNewton` for ravines are optimizers of their own.
`OrderAwareNewton` lets the method of that name in `saddlelib.methods` step on a closure; each of
the others has plain twins, `QuickPSDReference`, `PSDReference`, `PSGDReference` and
`GDPolyakReference`, to read and to test against.
"""

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError(
        "saddlelib.optim needs PyTorch, which saddlelib does not install by itself: "
        "pip install saddlelib[torch]") from error

from ._certificate import TrainingCertificate, certify
from ._reference import GDPolyakReference, PSDReference, PSGDReference, QuickPSDReference
from ._saddle import Status
from .escape import Escape
from .gdpolyak import EpochStatus, GDPolyak
from .order_aware import NewtonStatus, OrderAwareNewton
from .psd import PSD
from .psgd import PSGD

__all__ = ["PSD", "PSGD", "EpochStatus", "Escape", "GDPolyak", "GDPolyakReference", "NewtonStatus",
           "OrderAwareNewton", "PSDReference", "PSGDReference", "QuickPSDReference", "Status",
           "TrainingCertificate", "certify"]
