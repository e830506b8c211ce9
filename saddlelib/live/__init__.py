"""Live figures: one ES module and one widget class each, on what all of them share."""

try:
    import anywidget as _anywidget  # noqa: F401
    import traitlets as _traitlets  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError(
        "saddlelib.live needs anywidget and ipywidgets, which saddlelib does not install by "
        "itself: pip install saddlelib[live]") from error

from .budget import BudgetCalculator
from .episode import EscapeEpisode
from .noise import NoisyTrigger
from .race import MethodRace
from .ravine import RavineBall
from .saddle_map import SaddleMap
from .staircase import ModeStaircase

__all__ = ["BudgetCalculator", "EscapeEpisode", "MethodRace", "ModeStaircase", "NoisyTrigger",
           "RavineBall", "SaddleMap"]
