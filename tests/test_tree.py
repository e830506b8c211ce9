"""The tree as a visitor finds it: its top, its pins, its versions and its style."""

import re
import subprocess
import sys
import tomllib

import yaml
from browser import PAGES, ROOT

import saddlelib

TOP = """
_config.yml _toc.yml requirements.txt pyproject.toml Makefile README.md CHANGELOG.md CONTRIBUTING.md
CITATION.cff LICENSE LICENSE-CC-BY-4.0 paper.md references.bib
intro.md which_method.md glossary.md notation.md claims.md claims teachers.md digest_ja.md
api chapters checking practice saddlelib tests figures benchmarks examples binder _site .github .ci
.gitignore
""".split()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def files():
    """The files of the project: what git tracks or would, else (no git) all but what it ignores."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0 and listed.stdout:
        return [p for p in map(ROOT.joinpath, listed.stdout.splitlines()) if p.is_file()]
    hidden = {".venv", ".venv-frameworks", "_build", "__pycache__", ".git", "node_modules",
              ".bench", "peer"}
    ignored = re.compile(r"\.(pytest_cache|ruff_cache|ipynb_checkpoints|hypothesis)$|\.egg-info$")
    return [
        p
        for p in ROOT.rglob("*")
        if p.is_file()
        and not any(x in hidden or ignored.search(x) for x in p.relative_to(ROOT).parts)
    ]


FILES = files()


def test_the_top_of_the_tree_is_what_the_readme_says():
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(TOP)


def test_no_file_names_a_machine_or_a_package_host():
    private = re.compile(r"(?<![\w.~:/-])/(?:work|root|home|Users|tmp)/\w")
    hosts = re.compile(r"registry\.(npmjs|yarnpkg)|pythonhosted\.|pypi\.org/simple|\bdeb\.debian\.")
    for path in FILES:
        if path.name in ("test_tree.py", "test_notebooks.py") or b"\0" in path.read_bytes():
            continue
        for number, line in enumerate(path.read_text("utf8").splitlines(), 1):
            found = private.search(line) or hosts.search(line)
            assert not found, f"{path.relative_to(ROOT)}:{number}: {found[0]}"


def test_every_page_of_the_toc_exists():
    for name in PAGES:
        assert any((ROOT / f"{name}{suffix}").is_file() for suffix in (".md", ".ipynb")), name


def test_requirements_are_exact():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert len(pins) > 50
    for pin in pins:
        assert re.fullmatch(r"[\w.-]+==[\w.!+]+", pin), pin


def test_every_direct_dependency_is_pinned():
    def normal(name):
        return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", name)[0]).lower()

    pinned = {normal(line) for line in (ROOT / "requirements.txt").read_text().splitlines()
              if "==" in line}
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = sum((extras[key] for key in extras if key != "torch"), [])
    wanted += PROJECT["project"]["dependencies"] + PROJECT["build-system"]["requires"]
    assert {normal(name) for name in wanted} <= pinned


def test_the_version_is_the_same_everywhere():
    version = PROJECT["project"]["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    newest = re.search(r"^## (\d+\.\d+\.\d+) \((.*)\)$", (ROOT / "CHANGELOG.md").read_text(),
                       re.MULTILINE)
    assert saddlelib.__version__ == citation["version"] == newest[1] == version
    assert str(citation["date-released"]) == newest[2]


def test_the_style_is_clean():
    done = subprocess.run([sys.executable, "-m", "ruff", "check", ROOT], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stdout


def test_every_file_says_what_it_is_for():
    for path in FILES:
        name = path.relative_to(ROOT).as_posix()
        if "vendor" in name or path.suffix not in (".py", ".js", ".css", ".yml", ".sh", ".toml"):
            continue
        top = path.read_text("utf8").splitlines()[:3]
        assert any(line.startswith(('"""', 'r"""', "//", "/*", "#")) for line in top), name


def test_every_test_that_the_claims_name_exists():
    """An ellipsis in the claims stands for the rest of a name, or for its beginning."""
    claims = "".join(path.read_text("utf8") for path in (ROOT / "claims").glob("*.md"))
    named = re.findall(r"`((?:\.\.\.|test_)\w+(?:\.\.\.)?)`", claims)
    text = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    existing = re.findall(r"^def (test_\w+)", text, re.MULTILINE)
    assert len(named) > 15
    for name in named:
        pattern = re.escape(name).replace(re.escape("..."), r"\w*")
        assert any(re.fullmatch(pattern, test) for test in existing), name
    for path in re.findall(r"`((?:\w+/)?test_\w+\.py)`", claims):
        assert (ROOT / "tests" / path).exists(), path
