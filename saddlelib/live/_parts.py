"""What the live figures are made of: script and style, a widget, and checked traits."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import anywidget
import numpy as np
import traitlets

HERE = Path(__file__).parent


def script(name: str) -> str:
    """The one module of a figure: a widget's front end is one text without files beside it."""
    return (HERE / "built" / f"{name}.js").read_text(encoding="utf-8")


def style() -> str:
    """The one style sheet of all figures, without its comments."""
    return re.sub(r"/\*.*?\*/\n*", "", (HERE / "kit" / "kit.css").read_text(encoding="utf-8"),
                  flags=re.DOTALL)


# A page that shows one figure and asks for nothing but the files beside it.
PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="figure.css">
<div data-figure="figure.js" data-state="state.json"></div>
<script type="module" src="host.js"></script>
</html>
"""


class LiveFigure(anywidget.AnyWidget):
    """A widget that refuses what is no trait of it; its repr names the inputs that changed."""

    _inputs: tuple[str, ...] = ()
    _always_shown: tuple[str, ...] = ()

    def __init__(self, **traits):
        for name in traits:
            if not self.has_trait(name):
                raise TypeError(f"{type(self).__name__} has no trait {name!r}; it has "
                                f"{', '.join(self._inputs)}")
        super().__init__(**traits)

    def save(self, folder) -> Path:
        """Write the figure as it is now to a folder, as a page that needs no Python.

        The folder holds the module ``figure.js``, its ``figure.css``, the traits as
        ``state.json``, and ``index.html`` with a small ``host.js`` that puts them together; any
        web server shows it, and another page takes the three files into an element
        ``<div data-figure="figure.js" data-state="state.json">`` with the same host. Returns the
        path of the page.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        files = {"figure.js": self._esm, "figure.css": self._css,
                 "state.json": json.dumps(self.state(), ensure_ascii=False, indent=1),
                 "host.js": (HERE / "kit" / "host.js").read_text(encoding="utf-8"),
                 "index.html": PAGE.format(title=type(self).__name__)}
        for name, text in files.items():
            (folder / name).write_text(str(text), encoding="utf-8")
        return folder / "index.html"

    def state(self) -> dict:
        """The traits that a page needs: what was set, and what the figure itself computes."""
        others = anywidget.AnyWidget.class_traits()
        return {name: getattr(self, name) for name in self.traits(sync=True)
                if name not in others and not name.startswith("_")}

    def __repr__(self) -> str:
        # Without an address, so that a notebook prints the same line every time.
        default = self.trait_defaults()
        shown = [f"{name}={getattr(self, name)!r}" for name in self._inputs
                 if name in self._always_shown or getattr(self, name) != default[name]]
        return f"{type(self).__name__}({', '.join(shown)})"


class Number(traitlets.Float):
    """A finite float in a range, or an error that says which."""

    def __init__(self, default, low, high, *, open_low=False, **kwargs):
        self.low, self.high, self.open_low = low, high, open_low
        super().__init__(default, **kwargs)

    def validate(self, obj, value):
        number = real(self.name, value)
        above = number > self.low if self.open_low else number >= self.low
        if not (above and number <= self.high):
            left = "(" if self.open_low else "["
            raise traitlets.TraitError(
                f"{self.name} must lie in {left}{self.low:g}, {self.high:g}], got {value!r}; "
                f"the figure begins with {self.default_value:g}"
            )
        return number


class Count(traitlets.Int):
    """An int in a range, or an error that says which."""

    def __init__(self, default, low, high, **kwargs):
        self.low, self.high = low, high
        super().__init__(default, **kwargs)

    def validate(self, obj, value):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise traitlets.TraitError(f"{self.name} must be an int, got {value!r}; "
                                       f"the figure begins with {self.default_value}")
        if not self.low <= value <= self.high:
            raise traitlets.TraitError(f"{self.name} must lie in [{self.low}, {self.high}], "
                                       f"got {value!r}; the figure begins with "
                                       f"{self.default_value}")
        return int(value)


class Point(traitlets.List):
    """Two finite numbers, neither larger than ``reach``, kept as a list."""

    def __init__(self, default, reach, **kwargs):
        self.first, self.reach = default, reach
        super().__init__(default_value=default, **kwargs)

    def validate(self, obj, value):
        try:
            point = [real(self.name, v) for v in value]
        except TypeError:
            point = []
        if len(point) != 2 or not all(abs(v) <= self.reach for v in point):
            raise traitlets.TraitError(
                f"{self.name} must be two finite numbers in [-{self.reach:g}, {self.reach:g}], "
                f"got {value!r}; the figure begins with {self.first}"
            )
        return point


def real(name, value) -> float:
    if isinstance(value, (bool, str, bytes)) or np.ndim(value) != 0:
        raise traitlets.TraitError(f"{name} must be a real number, got {value!r}; pass a float")
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise traitlets.TraitError(f"{name} must be a finite real number, got {value!r}; "
                                   f"pass a float")
    return number
