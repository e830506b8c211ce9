"""Live figures: one ES module and one widget class each, on what all of them share."""

from .budget import BudgetCalculator
from .episode import EscapeEpisode
from .noise import NoisyTrigger
from .race import MethodRace
from .ravine import RavineBall
from .saddle_map import SaddleMap

__all__ = ["BudgetCalculator", "EscapeEpisode", "MethodRace", "NoisyTrigger", "RavineBall",
           "SaddleMap"]
