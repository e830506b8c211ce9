"""The package as `pip install` leaves it: built from this tree, beside NumPy and SciPy alone."""

import importlib.util
import re
import shutil
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy
import pytest
import scipy
from browser import ROOT

import saddlelib

SOURCES = ["saddlelib", "pyproject.toml", "README.md", "LICENSE"]
# Rooms that need a library which saddlelib does not install, and what they say then.
EXTRAS = {"saddlelib.optim": "saddlelib[torch]", "saddlelib.tasks": "saddlelib[torch]",
          "saddlelib.figures": "saddlelib[figures]", "saddlelib.live": "saddlelib[live]",
          "saddlelib.doors.torch": "saddlelib[torch]"}

IMPORT_ALL = """
import importlib, pkgutil, saddlelib
for module in pkgutil.walk_packages(saddlelib.__path__, "saddlelib.", onerror=lambda name: None):
    try:
        importlib.import_module(module.name)
    except Exception as error:
        print(module.name, type(error).__name__, error, sep=" | ")
print(saddlelib.__version__, saddlelib.__file__, sep=" | ")
"""


def pip(*arguments):
    command = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, from a copy: a build leaves folders behind in what it builds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of setuptools, where something has imported distutils
        missing = [name for name in ("pip", "setuptools") if not importlib.util.find_spec(name)]
    if missing:
        pytest.skip(f"no wheel can be built offline: {', '.join(missing)} not installed here")
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tree)
    pip("wheel", "--no-build-isolation", "--no-deps", "--no-index", "-w", out, tree)
    path, = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """An environment with the wheel, NumPy and SciPy, and nothing else; a function that runs it."""
    root = tmp_path_factory.mktemp("empty")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / "env"], check=True)
    executable = root / "env" / "bin" / "python"
    (root / "given").mkdir()
    for package in (numpy, scipy):
        home = Path(package.__file__).parent
        for path in (home, home.with_name(f"{home.name}.libs")):
            if path.exists():
                (root / "given" / path.name).symlink_to(path)
    site, = (root / "env").glob("lib/python*/site-packages")
    (site / "given.pth").write_text(f"{root / 'given'}\n")
    pip("--python", executable, "install", "--no-deps", "--no-index", wheel)

    def run(code):
        done = subprocess.run([executable, "-I", "-c", code], capture_output=True, text=True,
                              cwd=root)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()
    return run


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(wheel):
    """Scripts and styles of the live figures among them."""
    assert wheel.name == f"saddlelib-{saddlelib.__version__}-py3-none-any.whl"
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    tree = {path.relative_to(ROOT).as_posix() for path in (ROOT / "saddlelib").rglob("*")
            if path.suffix in (".py", ".js", ".css") and "node_modules" not in path.parts}
    assert names == tree and any(name.endswith(".js") for name in names)


def test_all_that_needs_numpy_and_scipy_alone_imports_and_the_rest_says_what_to_install(python):
    *failed, end = [line.split(" | ") for line in python(IMPORT_ALL)]
    assert end[0] == saddlelib.__version__ and "site-packages" in end[1]
    assert {name for name, *_ in failed} == set(EXTRAS)
    for name, kind, message in failed:
        assert kind == "ImportError" and f"pip install {EXTRAS[name]}" in message


def test_the_first_example_of_the_readme_runs(python):
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    assert python(code)
