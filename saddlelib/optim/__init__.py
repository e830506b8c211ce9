"""Optimizers for PyTorch that escape saddle points.

`PSD` for full-batch gradients and `PSGD` for mini-batches are `torch.optim.Optimizer` classes. Each
has a plain twin, `PSDReference` and `PSGDReference`, to read and to test against.
"""

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError(
        "saddlelib.optim needs PyTorch, which saddlelib does not install by itself: "
        "pip install saddlelib[torch]") from error

from ._base import Status
from ._reference import PSDReference, PSGDReference
from .psd import PSD
from .psgd import PSGD

__all__ = ["PSD", "PSGD", "PSDReference", "PSGDReference", "Status"]
