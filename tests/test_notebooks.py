"""The notebooks as they are stored: plain Markdown that everybody renders, executed, with what they
print and draw, and nothing of one machine."""

import base64
import json
import re
import sys

import nbformat
import pytest
from browser import ROOT, SITE, soup

sys.path.insert(0, str(ROOT / "_site"))

from book_site import labels, plain  # noqa: E402
from book_site.sources import Sources  # noqa: E402

CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))
APPENDICES = sorted((ROOT / "checking").glob("*.ipynb"))
PRACTICE = sorted((ROOT / "practice").glob("*.ipynb"))
NOTEBOOKS = [*CHAPTERS, *APPENDICES, *PRACTICE]
TEXT = {"text/plain", "text/html", "text/markdown", "text/latex", "application/json"}
LIVE = re.compile(r"from saddlelib\.live import (?!check\b)")

every_notebook = pytest.mark.parametrize(
    "path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}-{path.stem}")


def cells(path, kind="code"):
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == kind]


def tags(cell):
    return set(cell.metadata.get("tags", []))


def anchors(path):
    """Where a link into a notebook may lead, wherever it is shown."""
    return set(re.findall(r'<a id="([\w-]+)"></a>', "\n".join(labels.texts(path))))


def test_there_are_notebooks():
    assert NOTEBOOKS


@every_notebook
def test_every_code_cell_was_executed(path):
    # nbval compares nothing for a cell without an execution count.
    counts = [cell.execution_count for cell in cells(path)]
    assert counts == list(range(1, len(counts) + 1)), "run make record"


def printed(cell):
    """The texts of a cell's output, and streams in one piece each, as nbval compares them."""
    found = {}
    for output in cell.outputs:
        if output.output_type == "stream":
            found[output.name] = found.get(output.name, "") + output.text
        for kind, text in output.get("data", {}).items():
            if kind in TEXT:
                found[kind] = found.get(kind, "") + text
    return found


@pytest.mark.parametrize("path", [*APPENDICES, *PRACTICE], ids=lambda path: path.stem)
def test_the_build_has_printed_what_an_appendix_stores(path):
    """nbval asks that of the chapters; the build has just run the long cells of the appendices, and
    the pages that read a record."""
    if not (SITE / "index.html").exists():
        pytest.skip("build the book first: make book")
    built = cells(SITE.parent / "jupyter_execute" / path.parent.name / path.name)
    for stored, now in zip(cells(path), built, strict=True):
        assert stored.source == now.source
        if "nbval-ignore-output" not in tags(stored):
            assert printed(stored) == printed(now), stored.source


@every_notebook
def test_what_is_stored_is_text_and_pictures(path):
    for cell in cells(path):
        compared = "nbval-ignore-output" not in tags(cell)
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", f"a warning is stored below: {cell.source}"
            allowed = TEXT if compared else TEXT | {"image/png"}
            assert set(output.get("data", {})) <= allowed, cell.source
            assert not re.search(r" at 0x[0-9a-f]{6}|\bVBox\(|<Figure", str(output)), cell.source
    metadata = json.loads(path.read_text("utf8"))["metadata"]
    assert set(metadata) <= {"kernelspec", "language_info"}
    assert set(metadata["language_info"]) == {"name"}


@every_notebook
def test_a_cell_that_draws_has_its_picture_with_words_for_it(path):
    for cell in cells(path):
        found = [output for output in cell.outputs if "image/png" in output.get("data", {})]
        words = cell.metadata.get("still") or cell.metadata.get("mystnb", {}).get("image")
        if words:
            assert found, f"run make record: {cell.source}"
        for output in found:
            assert base64.b64decode(output.data["image/png"]).startswith(b"\x89PNG")
            assert words is None or output.metadata["image/png"]["alt"] == words["alt"]


@every_notebook
def test_a_live_figure_names_the_picture_that_stands_in_its_place(path):
    figures = [cell for cell in cells(path) if LIVE.search(cell.source)]
    assert figures or path not in CHAPTERS
    for cell in figures:
        assert (path.parent / cell.metadata.still.picture).is_file(), cell.source
        assert len(cell.metadata.still.alt) > 80
        assert len(cell.outputs) == 1 and "image/png" in cell.outputs[0].data


@every_notebook
def test_cells_without_a_comparison_draw_something_or_say_why(path):
    draws = (r"figures\.|plt\.|widgets?\.|checks\.box\(|saddlelib\.live|\bax\b"
             r"|^# Rounding decides the last digits")
    for cell in cells(path):
        if "nbval-ignore-output" in tags(cell):
            assert re.search(draws, cell.source), f"compare this cell: {cell.source}"


@every_notebook
def test_no_cell_uses_a_widget_that_can_stall_the_build(path):
    for cell in cells(path):
        assert not re.search(r"\binteract(ive|_manual)?\(|\bOutput\(", cell.source), cell.source


@every_notebook
def test_a_notebook_is_small_and_names_no_machine(path):
    text = path.read_text("utf8")
    assert len(text.encode()) < 1_000_000
    assert not re.search(r"/(home|root|Users|tmp|work)/|[A-Z]:\\\\", text)


@every_notebook
def test_nothing_stands_in_a_notebook_that_only_the_site_understands(path):
    for cell in cells(path, "markdown"):
        raw = re.search(r"^\s*:{3,}|^\s*`{3,}\{|\{[a-z:]+\}`|^\([\w-]+\)=|\{\{", cell.source,
                        re.MULTILINE)
        assert not raw, cell.source


@every_notebook
def test_a_formula_in_a_quotation_stays_on_its_line(path):
    # JupyterLab looks for formulas before it looks for quotations: a ">" would become a part of it.
    for cell in cells(path, "markdown"):
        for line in cell.source.split("\n"):
            if line.startswith(">"):
                assert len(re.findall(r"(?<!\\)\$", line)) % 2 == 0, line


@every_notebook
def test_every_reference_leads_somewhere_wherever_the_notebook_is_shown(path):
    text = "\n".join(labels.texts(path))
    for address in re.findall(r'(?:\]\(|href=")(?!https?:)([^)"\s]+)', text):
        name, _, anchor = address.partition("#")
        there = (path.parent / name).resolve() if name else path
        assert there.is_file(), address
        if anchor and there.suffix == ".ipynb":
            assert anchor in anchors(there), address


def test_a_label_belongs_to_one_place():
    found = [label for path in labels.pages(ROOT) for text in labels.texts(path)
             for label in re.findall(r'<a id="([\w-]+)"></a>', text)]
    named = [label for label in found if re.fullmatch(plain.LABEL, label)]
    assert len(named) == len(set(named)) > 90


def test_numbers_and_citations_say_what_the_book_says():
    names, sources = labels.count(labels.pages(ROOT)), Sources(ROOT / "references.bib")
    for path in labels.pages(ROOT):
        for text in labels.texts(path):
            assert labels.refresh(text, names, sources) == text, f"run make record: {path.name}"


def test_every_source_can_be_followed_to_the_text():
    for key, source in Sources(ROOT / "references.bib").by_key.items():
        assert source.addresses, f"{key} has no doi, eprint or url"


def test_the_numbers_are_those_of_the_site():
    if not (SITE / "index.html").exists():
        pytest.skip("build the book first: make book")
    site = {}
    for path in NOTEBOOKS:
        for box in soup(f"{path.parent.name}/{path.stem}").select(".proof[id], .exercise[id]"):
            site[box["id"]] = box.select_one(".caption-number").get_text().strip()
    assert site == labels.count(labels.pages(ROOT))


@every_notebook
def test_jupyterlab_closes_what_the_site_closes(path):
    for cell in cells(path):
        closed = {"hide-cell": {"source_hidden": True, "outputs_hidden": True},
                  "hide-input": {"source_hidden": True}, "remove-input": {"source_hidden": True}}
        wanted = next((closed[tag] for tag in closed if tag in tags(cell)), {})
        assert cell.metadata.get("jupyter", {}) == wanted, cell.source
        # The first line of a closed cell is what JupyterLab shows of it.
        assert "hide-cell" not in tags(cell) or cell.source.startswith("#"), cell.source
