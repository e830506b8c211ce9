"""Promises of the package as a whole."""

import ast
import functools
import graphlib
import io
import pathlib
import re
import subprocess
import sys
import tokenize

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


ROOT = pathlib.Path(saddlelib.__file__).parent


@functools.cache
def trees():
    """File → its syntax."""
    return {path: ast.parse(path.read_text(encoding="utf8")) for path in sorted(ROOT.rglob("*.py"))}


def test_rooms_import_only_rooms_below_them():
    """The order of the rooms in CONTRIBUTING.md is the order of the imports."""
    rooms = ["_norm", "_arguments", "problems", "differences", "oracle", "perturbation",
             "derivatives", "curvature", "theory", "sampling", "methods", "certified", "given",
             "loop", "watch", "report", "ensemble", "sweep", "flow", "ravine", "optim", "doors",
             "tasks", "figures", "live", "checks"]
    for path, tree in trees().items():
        room = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        level = len(path.relative_to(ROOT).parts)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level == level and node.module:
                other = node.module.split(".")[0]
                assert rooms.index(other) < rooms.index(room), f"{path.name} imports {other}"


def test_no_two_files_import_each_other():
    """Not even by way of others; a package's face, which hands names on, is no file here."""
    graph, files = {}, {path.relative_to(ROOT).with_suffix("").parts for path in trees()}
    for path, tree in trees().items():
        here = path.relative_to(ROOT).with_suffix("").parts
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level and here[-1] != "__init__":
                base = here[:len(here) - node.level] + tuple((node.module or "").split("."))
                for name in [base, *(base + (alias.name,) for alias in node.names)]:
                    other = tuple(filter(None, name))
                    if other in files:
                        graph.setdefault(here, set()).add(other)
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert len(order) > 60


# Functions that may be longer, if any ever has to be.
EXEMPT = set()
MOST_LINES, MOST_PARAMETERS = 60, 12


@functools.cache
def lines_of_code(path):
    """Numbers of the lines that are neither blank nor a comment alone."""
    text = path.read_text(encoding="utf8")
    return {line for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if token.type not in BLANK for line in range(token.start[0], token.end[0] + 1)}


@functools.cache
def functions():
    """(file, name of its door or "", function, words of its docstrings, lines) of each.

    Blank lines and comments count only where there are few enough lines with them.
    """
    found = []
    for path, tree in trees().items():
        public = {name.value for node in tree.body if isinstance(node, ast.Assign)
                  and getattr(node.targets[0], "id", "") == "__all__"
                  for name in node.value.elts}
        for outer in tree.body:
            of_class = ast.get_docstring(outer) or "" if isinstance(outer, ast.ClassDef) else ""
            for node in ast.walk(outer):
                if isinstance(node, ast.FunctionDef):
                    said = (ast.get_docstring(node) or "") + of_class
                    start = node.body[0].end_lineno if ast.get_docstring(node) else node.lineno
                    lines = {*range(node.lineno, node.body[0].lineno),
                             *range(start + 1, node.end_lineno + 1)}
                    if len(lines) > MOST_LINES:
                        lines &= lines_of_code(path)
                    door = getattr(outer, "name", "") in public and node in (
                        outer, *getattr(outer, "body", ()))
                    words = set(re.findall(r"\w+", said))
                    found.append((path.name, door, node, words, len(lines)))
    return found


BLANK = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
         tokenize.ENDMARKER}


def test_every_function_can_be_read_on_one_screen():
    long = {f"{file}: {node.name}": lines for file, _, node, _, lines in functions()
            if lines > MOST_LINES}
    assert set(long) <= EXEMPT, long


def test_only_doors_that_name_all_of_them_have_many_parameters():
    """A door is exported, or a method of a class that is; its docstring, or the class's, says."""
    many = {}
    for file, door, node, words, _ in functions():
        given = node.args
        names = [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)
                 if a.arg not in ("self", "cls")]
        unsaid = [name for name in names if not (door and name in words)]
        if len(names) > MOST_PARAMETERS and unsaid:
            many[f"{file}: {node.name}"] = unsaid
    assert set(many) <= EXEMPT, many
