"""Write what Binder installs: ``python binder/pins.py``, after a change of requirements.txt.

A reader on Binder opens a notebook and runs it. The list is requirements.txt without what only
builds the book or tests it, and without PyTorch, whose wheels on the Python Package Index bring
2.7 GB for graphics cards: postBuild takes the build for processors.
"""

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

HERE = Path(__file__).resolve().parent
PINS = HERE.parent / "requirements.txt"
LIST = HERE / "requirements.txt"
# What the notebooks import and what shows them; the rest follows.
ROOTS = ["anywidget", "ipykernel", "ipywidgets", "jupyterlab", "matplotlib",
         "numpy", "scikit-learn", "scipy", "setuptools", "tqdm", "wheel"]
HEAD = "# What Binder installs: of ../requirements.txt what a reader needs. Made by pins.py.\n"


def name_of(line):
    """A package's name as pip compares it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[=<>!~ ;\\[]", line, maxsplit=1)[0]).lower()


def needed(roots, pinned):
    """Names of the packages that the roots need, themselves included, as far as they are pinned."""
    seen, waiting = set(), [(name_of(root), "") for root in roots]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen or name not in pinned:
            continue
        seen.add((name, extra))
        try:
            lines = distribution(name).requires or []
        except PackageNotFoundError:  # needed on another system only
            continue
        for one in map(Requirement, lines):
            if one.marker is None or one.marker.evaluate({"extra": extra}):
                waiting += [(name_of(one.name), extra) for extra in ("", *one.extras)]
    return {name for name, _ in seen}


def pins(path=PINS):
    """The lines of a list of exact versions, by name."""
    lines = path.read_text("utf8").splitlines()
    return {name_of(line): line for line in lines if line and not line.startswith(("#", "-"))}


def text():
    """The list for Binder."""
    pinned = pins()
    keep = needed(ROOTS, pinned)
    return HEAD + "".join(f"{line}\n" for name, line in pinned.items() if name in keep)


if __name__ == "__main__":
    LIST.write_text(text(), "utf8")
