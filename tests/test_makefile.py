"""The environment that make builds: it repairs itself, and does nothing when nothing changed.

Tried on a project with the real Makefile that needs one tiny package and no network.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import warnings
import zipfile

import pytest
from browser import ROOT

BACKEND = '''
import shutil
def build_editable(folder, settings=None, metadata=None):
    return shutil.copy("wheels/mine-1.0-py3-none-any.whl", folder).rpartition("/")[2]
'''

# A Python that makes environments as ever, but links the pip that is here into them. Unpacking one
# takes most of the time, and the environment of these tests was made by make with one of its own.
QUICK = """#!/bin/sh
case "$*" in
"-m venv --clear "*) "{python}" -m venv --clear --without-pip "$4" &&
    for packages in "$4"/lib/python*/site-packages; do ln -s "{pip}" "$packages"; done ;;
*) exec "{python}" "$@" ;;
esac
"""


def write_wheel(folder, name, version):
    """A wheel with one module that knows its version."""
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", f"version = {version!r}\n")
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


class Project:
    """A folder to call make in."""

    def __init__(self, root, python):
        self.root, self.python = root, python
        for folder in ("saddlelib", "chapters", "checking", "practice", "claims", "figures",
                       "_site", "wheels"):
            (root / folder).mkdir(parents=True)
        shutil.copy(ROOT / "Makefile", root)
        for name, version in [("tiny", "1.0"), ("tiny", "2.0"), ("mine", "1.0"), ("more", "1.0"),
                              ("more", "2.0")]:
            write_wheel(root / "wheels", name, version)
        (root / "backend.py").write_text(BACKEND)
        (root / "pyproject.toml").write_text(
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        )
        self.require("1.0")

    def require(self, version):
        (self.root / "requirements.txt").write_text(f"tiny=={version}\n")
        stamp = self.root / ".venv/.ready"
        if stamp.exists():  # surely older than the pins, whatever the file system's clock
            os.utime(stamp, (1, 1))

    def make(self, *words):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "MAKE", "MFLAGS"))}
        env |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.root / "wheels")}
        target = [] if any("=" not in word for word in words) else [".venv/.ready"]
        return subprocess.run(
            ["make", *target, f"PYTHON={self.python}", *words],
            cwd=self.root, env=env, capture_output=True, text=True,
        )

    def trusts(self):
        """Whether make leaves the stamp: it looks at it first of all, even where it then only
        says what it would do. Without a stamp an environment is made anew."""
        self.make("-n", ".venv/.ready")
        return (self.root / ".venv/.ready").exists()

    def version(self):
        code = "import mine, tiny; print(tiny.version)"
        done = subprocess.run(
            [self.root / ".venv/bin/python", "-c", code], capture_output=True, text=True
        )
        return done.stdout.strip()

    def made_anew(self):
        """Whether the folder was emptied since the last time this was asked."""
        mark = self.root / ".venv/mark"
        anew = not mark.exists()
        mark.touch()
        return anew


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project whose environment has been made once."""
    folder = tmp_path_factory.mktemp("make")
    quick = folder / "quick-python"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of setuptools, where something has imported distutils
        [pip] = importlib.util.find_spec("pip").submodule_search_locations
    quick.write_text(QUICK.format(python=sys.executable, pip=pip))
    quick.chmod(0o755)
    project = Project(folder / "project", quick)
    done = project.make()
    assert done.returncode == 0, done.stderr
    assert project.made_anew()
    assert project.version() == "1.0"
    os.utime(project.root / "requirements.txt", (0, 0))
    return project


def test_a_second_call_does_nothing(project):
    ready = project.root / ".venv/.ready"
    before = ready.stat().st_mtime_ns
    assert "up to date" in project.make().stdout
    assert ready.stat().st_mtime_ns == before
    assert not project.made_anew()


def test_an_environment_whose_python_is_gone_is_not_trusted(project):
    folder, ready = project.root / ".venv/bin", project.root / ".venv/.ready"
    stamp = ready.read_text()
    assert project.trusts()
    folder.rename(folder.with_name("away"))
    assert not project.trusts()
    folder.with_name("away").rename(folder)
    ready.write_text(stamp)
    assert project.trusts()


def test_an_environment_that_was_moved_is_not_trusted(project):
    moved = project.root.with_name("moved")
    project.root.rename(moved)
    project.root = moved
    assert not project.trusts()


def test_an_environment_without_a_stamp_is_made_anew(project):
    """As one that was interrupted, or that is not trusted."""
    (project.root / ".venv/.ready").unlink(missing_ok=True)
    (project.root / ".venv/bin/pip").unlink(missing_ok=True)
    assert project.make().returncode == 0
    assert project.made_anew()
    assert project.version() == "1.0"


def test_new_pins_are_installed_into_what_is_there(project):
    project.require("2.0")
    assert project.make().returncode == 0
    assert not project.made_anew()
    assert project.version() == "2.0"
    os.utime(project.root / "requirements.txt", (0, 0))


def test_a_failed_installation_is_not_taken_for_finished(project):
    project.require("3.0")
    assert project.make().returncode != 0
    assert not (project.root / ".venv/.ready").exists()
    project.require("1.0")


def test_the_frameworks_stand_on_the_same_environment(project):
    """Their packages come on top of those of .venv, which is made first if it is not finished, and
    follow their own pins."""
    folder, code = project.root / "examples", "import mine, tiny, more; print(more.version)"
    folder.mkdir()
    for version, times in [("1.0", (1, 1)), ("2.0", None)]:
        (folder / "frameworks.txt").write_text(f"more=={version}\n")
        if times:
            os.utime(folder / "frameworks.txt", times)
        done = project.make(".venv-frameworks/.ready")
        assert done.returncode == 0, done.stderr
        done = subprocess.run([project.root / ".venv-frameworks/bin/python", "-c", code],
                              capture_output=True, text=True)
        assert done.stdout.strip() == version, done.stderr
        assert project.version() == "1.0"
    os.utime(folder / "frameworks.txt", (1, 1))
    assert "up to date" in project.make(".venv-frameworks/.ready").stdout


def test_without_a_python_one_line_says_what_to_do(project, tmp_path):
    (project.root / ".venv/.ready").unlink(missing_ok=True)
    done = project.make("PYTHON=no-such-python")
    assert done.returncode != 0
    assert "Python 3.11, 3.12 or 3.13 is missing: run apt-get install" in done.stderr
    bare = tmp_path / "bare-python"
    bare.write_text('#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; esac\n')
    bare.chmod(0o755)
    done = project.make(f"PYTHON={bare}")
    assert done.returncode != 0
    assert f"{bare} has no venv module: run apt-get install python3-venv" in done.stderr
