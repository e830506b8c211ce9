"""The ravine at a degenerate minimizer, the verdict on fourth-order growth, and p from a run."""

from .derivatives import torch_derivatives
from .order import Order, growth_order
from .verdict import Growth, Ravine, analyze

__all__ = ["Growth", "Order", "Ravine", "analyze", "growth_order", "torch_derivatives"]
