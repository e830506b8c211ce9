"""Live figures: one ES module and one widget class each, on one shared pure module."""

from .saddle_map import SaddleMap

__all__ = ["SaddleMap"]
