"""Promises of the package as a whole."""

import subprocess
import sys

import saddlelib

RUN = """
import sys
before = set(sys.modules)
import numpy, scipy.optimize, scipy.linalg, scipy.special
known = {name.split(".")[0] for name in sys.modules}
import saddlelib
print(*sorted({name.split(".")[0] for name in sys.modules} - known))
"""


def test_importing_needs_numpy_and_scipy_alone():
    out = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["saddlelib"]


def test_public_names_exist_and_are_documented():
    for name in saddlelib.__all__:
        assert (getattr(saddlelib, name).__doc__ or "").strip(), name


def test_rooms_import_only_rooms_below_them():
    """The order of the rooms in CONTRIBUTING.md is the order of the imports."""
    import ast
    import pathlib
    rooms = ["_norm", "_arguments", "problems", "differences", "oracle", "perturbation",
             "derivatives", "curvature", "theory", "sampling", "methods", "certified", "given",
             "loop", "watch", "report", "ravine", "ensemble", "optim", "doors", "tasks", "figures",
             "live", "checks"]
    root = pathlib.Path(saddlelib.__file__).parent
    for path in root.rglob("*.py"):
        room = path.relative_to(root).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        level = len(path.relative_to(root).parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == level and node.module:
                other = node.module.split(".")[0]
                assert rooms.index(other) < rooms.index(room), f"{path.name} imports {other}"
