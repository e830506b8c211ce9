"""The notebooks as they are stored: executed, printed results only, and nothing of one machine."""

import json
import re

import nbformat
import pytest
from browser import ROOT

NOTEBOOKS = sorted((ROOT / "chapters").glob("*.ipynb"))
PLAIN = {"text/plain", "text/html", "text/markdown", "text/latex", "application/json"}

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path):
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def test_there_are_notebooks():
    assert NOTEBOOKS


@every_notebook
def test_every_code_cell_was_executed(path):
    # nbval compares nothing for a cell without an execution count.
    counts = [cell.execution_count for cell in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1)), "run make record"


@every_notebook
def test_only_printed_results_are_stored(path):
    for cell in code_cells(path):
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert set(output.get("data", {})) <= PLAIN, cell.source
            assert output.get("name") != "stderr", f"a warning is stored below: {cell.source}"
    metadata = json.loads(path.read_text("utf8"))["metadata"]
    assert set(metadata) <= {"kernelspec", "language_info"}
    assert set(metadata["language_info"]) == {"name"}


@every_notebook
def test_cells_without_a_comparison_draw_something_or_say_why(path):
    draws = r"figures\.|plt\.|widgets?\.|saddlelib\.live|\bax\b|^# Rounding decides the last digits"
    for cell in code_cells(path):
        if "nbval-ignore-output" in cell.metadata.get("tags", []):
            assert re.search(draws, cell.source), f"compare this cell: {cell.source}"


@every_notebook
def test_no_cell_uses_a_widget_that_can_stall_the_build(path):
    for cell in code_cells(path):
        assert not re.search(r"\binteract(ive|_manual)?\(|\bOutput\(", cell.source), cell.source


@every_notebook
def test_a_notebook_is_small_and_names_no_machine(path):
    text = path.read_text("utf8")
    assert len(text.encode()) < 300_000
    assert not re.search(r"/(home|root|Users|tmp|work)/|[A-Z]:\\\\", text)
