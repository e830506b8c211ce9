"""Pages beside the chapters say what is so: calls run, answers are right, links have targets."""

import re

import numpy as np
import pytest
from browser import ROOT
from test_first_page import blocks

from saddlelib import checks

torch = pytest.importorskip("torch")
PAGES = ["which_method", "glossary", "teachers", "digest_ja"]
# A call in a table, or a name that one may call.
CALL = re.compile(
    r"`((?:saddlelib\.|minimize\(|Escape\(|growth_order\(|analyze\(|optimizer\.c)[^`]*)`")


def text(name):
    return (ROOT / f"{name}.md").read_text("utf8")


def rows(page):
    """Cells of all rows of the tables of a page, without heads."""
    for line in re.findall(r"^\| (.*) \|$", text(page), re.MULTILINE):
        cells = line.split(" | ")
        if not set(line) <= set("-| "):
            yield cells


@pytest.fixture(scope="module")
def session():
    """What the tables of the page on methods speak of, as its program leaves it."""
    found = {}
    for block in blocks("which_method.md"):
        exec(block, found)
    return found | {"x": np.array([1.0, 0.0])}


@pytest.mark.parametrize("call", sorted(set(CALL.findall(text("which_method")))))
def test_every_call_of_the_tables_runs(call, session):
    if '"ravine"' in call or "gdpolyak" in call:  # on a function that has one
        session = session | {"f": session["ravine"], "g": session["slope"], "x0": session["start"]}
    result = eval(call, dict(session))
    if call.startswith(("saddlelib.minimize(", "minimize(")):
        assert result.success and result.certificate.passed, result.message


def test_the_japanese_table_has_the_same_calls():
    calls = set(CALL.findall(text("which_method")))
    assert set(CALL.findall(text("digest_ja"))) - calls <= {
        "Escape(torch.optim.Adam(...), loss=...)"}


# The measurements


@pytest.mark.parametrize("page", ["which_method", "digest_ja"])
def test_every_row_of_a_method_leads_to_its_measurement(page):
    for cells in rows(page):
        wide = len(cells) == (4 if page == "which_method" else 3)
        if wide and ("`" in cells[-2] or "nothing" in cells[-2]):
            assert re.search(r"claims/\w+\.md#claim-", cells[-1]), cells


@pytest.mark.parametrize("page", PAGES)
def test_links_to_claims_lead_to_claims(page):
    claims = {(path.stem, name) for path in (ROOT / "claims").glob("*.md")
              for name in re.findall(r'<a id="(claim-[\w-]+)">', path.read_text("utf8"))}
    assert set(re.findall(r"claims/(\w+)\.md#(claim-[\w-]+)", text(page))) <= claims


def test_numbers_on_methods_are_those_of_the_benchmarks():
    page, benchmarks = text("which_method"), (ROOT / "benchmarks/README.md").read_text("utf8")
    for pattern in (r"0.76 of\s+SciPy's best with our\s+certificates",
                    r"takes 1.2 times as\s+long"):
        assert re.search(pattern, benchmarks)
    assert "1.2 times the time" in page
    ledger = [path.read_text("utf8") for path in (ROOT / "claims").glob("*.md")]
    claims = " ".join(" ".join(ledger).split())
    assert "takes 0.76" in claims and "about 1.2 times as long" in claims
    assert "12 to 20 of 38" in page and "Of 38 cases" in claims and "in 12 to 20" in claims
    assert "84 ravines" in page and "On 84 ravines" in claims
    assert "12,000" in page and "12 000 right instances" in claims


# Answers for teachers


ANSWERS = [(re.search(r"#ex-([\w-]+)", cells[0])[1], cells[1], cells[2])
           for cells in rows("teachers") if len(cells) == 4 and "#ex-" in cells[0]]


def given(cell):
    """An answer as a student writes it: a word, a number or several."""
    parts = tuple(part.strip() for part in cell.strip("`").split(","))
    return parts if len(parts) > 1 else parts[0]


def test_there_are_answers_from_every_chapter():
    assert {name.rsplit("-", 1)[0] for name, _, _ in ANSWERS} == {
        "saddles", "psd", "psgd", "growth", "gdpolyak", "deep"}


@pytest.mark.parametrize("name, right, wrong", ANSWERS)
def test_answers_for_teachers_are_right_and_mistakes_are_recognized(name, right, wrong):
    assert checks.check(name, given(right)), checks.check(name, given(right))
    table = checks._table(name)
    assert not checks.check(name, given(wrong))
    assert table.place(given(wrong)) < len(table.rows), "only the last hint is left for it"


# Sizes


def test_the_article_is_short():
    body = text("paper").split("---", 2)[2].split("# References")[0]
    assert len(body.split()) < 1000
    keys = re.findall(r"^@\w+\{(\w+),", (ROOT / "references.bib").read_text("utf8"), re.MULTILINE)
    assert set(re.findall(r"@(\w+)", body)) <= set(keys)


def test_the_digest_is_one_and_its_paragraphs_are_lines():
    """A line break between Japanese letters would be shown as a blank."""
    page = text("digest_ja")
    letters = r"[぀-ヿ一-鿿々ー。、「」（）]"
    assert 2500 <= len(re.findall(letters, page)) <= 4500
    assert not re.search(rf"{letters}\n *{letters}", page)
    assert len([cells for cells in rows("digest_ja") if cells[1].isascii()
                and len(cells) == 3 and "`" not in cells[1]]) == 25
