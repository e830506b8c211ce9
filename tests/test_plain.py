"""Plain Markdown becomes the MyST of the site, and says what the site says."""

import json
import sys

import pytest
from browser import ROOT

sys.path.insert(0, str(ROOT / "_site"))

from book_site import labels  # noqa: E402
from book_site.plain import Lie, notebook_to_myst, to_myst  # noqa: E402
from book_site.sources import Sources  # noqa: E402

PAPER = "https://arxiv.org/abs/2001.00001"
BIB = """
@misc{one2020, author = {Ångström, Eva}, title = {T}, year = {2020}, eprint = {2001.00001}}
@misc{two2021, author = {van der Berg, J. and O'Neil, K.}, title = {T}, year = {2021},
  doi = {10.48550/arXiv.2101.00002}}
@article{many1999, author = {M{\\"u}ller, A. and B, B. and C, C.}, title = {T}, year = {1999},
  doi = {10.1/a(b)c}}
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Three entries: of one author, of two, and of more."""
    path = tmp_path_factory.mktemp("bib") / "references.bib"
    path.write_text(BIB, "utf8")
    return Sources(path)


@pytest.fixture
def myst(sources):
    """The conversion, with these sources."""
    return lambda text: to_myst(text, sources)


def test_a_quotation_with_a_number_and_a_label_is_a_theorem(myst):
    assert myst('Before.\n\n> **Theorem 3 (On $f(x)$ (new)).** <a id="thm-x"></a>\n> Let $x$.\n>\n'
                '> 1. One\n>    more.\n\nAfter.') == (
        "Before.\n\n:::{prf:theorem} On $f(x)$ (new)\n:label: thm-x\n\nLet $x$.\n\n"
        "1. One\n   more.\n:::\n\nAfter.")


@pytest.mark.parametrize("begin, kind", [("lem", "Lemma"), ("prop", "Proposition"),
                                         ("def", "Definition"), ("alg", "Algorithm"),
                                         ("cor", "Corollary")])
def test_every_kind_has_its_directive(myst, begin, kind):
    text = myst(f'> **{kind} 1.** <a id="{begin}-a"></a>\n>\n> Words.')
    assert text == f":::{{prf:{kind.lower()}}}\n:label: {begin}-a\n\nWords.\n:::"


def test_an_exercise_and_its_solution(myst):
    assert myst('> **Exercise 12 (★ How long?).** <a id="ex-a-1"></a>\n> How?').startswith(
        ":::{exercise} ★ How long?\n:label: ex-a-1\n")
    assert myst('<details><summary>Solution to <a href="#ex-a-1">Exercise 12</a></summary>\n\nSo.\n'
                "\n</details>") == ":::{solution} ex-a-1\n:class: dropdown\n\nSo.\n:::"


def test_folds_and_boxes(myst):
    assert myst("<details><summary>Proof</summary>\n\nOne.\n\nTwo.\n\n</details>\nAfter.") == (
        ":::{admonition} Proof\n:class: dropdown\n\nOne.\n\nTwo.\n:::\nAfter.")
    assert myst("> **In one minute.** Quick.\n> Slow.") == (
        ":::{admonition} In one minute\n:class: important\n\nQuick.\nSlow.\n:::")
    assert ":class: note\n" in myst("> **Any other.** Words.")


def test_what_is_inside_another_has_the_shorter_fence(myst):
    text = myst('<details><summary>Proof</summary>\n\n> **Lemma 1.** <a id="lem-a"></a>\n> A.\n\n'
                "</details>")
    assert text.startswith("::::{admonition}") and text.endswith(":::\n::::")


def test_a_fold_that_does_not_end_is_an_error(myst):
    with pytest.raises(Lie, match="Proof"):
        myst("<details><summary>Proof</summary>\n\nOne.")


def test_references(myst):
    assert myst("By [Theorem 3](#thm-x)") == "By {prf:ref}`thm-x`"
    assert myst("[Lemma 12](other.ipynb#lem-a),") == "{prf:ref}`lem-a`,"
    assert myst("[what we saw](../a/other.ipynb#thm-x)") == "{prf:ref}`what we saw <thm-x>`"
    assert myst("[Exercise 4](#ex-a-1)") == "{numref}`ex-a-1`"
    assert myst("[the last one](#ex-a-1)") == "{ref}`the last one <ex-a-1>`"
    assert myst("broken [Theorem\n3](#thm-x)") == "broken {prf:ref}`thm-x`"


@pytest.mark.parametrize("same", [
    "[a heading](#a-heading)", "[other](other.ipynb#part)", "[page](https://x.org/a#thm-x)",
    "![Theorem 3](#thm-x)", "`[Theorem 3](#thm-x)`", "``a ` [Theorem 3](#thm-x)``",
    "```\n[Theorem 3](#thm-x)\n> **In one minute.** no\n```", "$[Theorem 3](#thm-x)$",
    "> *A saying.*\n> Said.", f"[the paper]({PAPER})", f"[doi:10/2]({PAPER})",
    "Text > **not a box.** More", "It costs \\$5.\n\n- a\n- b", "| a | b |\n|---|---|",
])
def test_everything_else_stays(myst, same):
    assert myst(same) == same


def test_citations(myst):
    assert myst(f"[Ångström (2020)]({PAPER}) shows") == "{cite:t}`one2020` shows"
    assert myst(f"so [(Ångström, 2020)]({PAPER})") == "so {cite:p}`one2020`"
    two = "https://arxiv.org/abs/2101.00002", "https://doi.org/10.48550/arXiv.2101.00002"
    for address in two:
        assert myst(f"[van der Berg and O'Neil (2021)]({address})") == "{cite:t}`two2021`"
    assert myst("[Müller\net al. (1999)](https://doi.org/10.1/a%28b%29c)") == "{cite:t}`many1999`"


@pytest.mark.parametrize("lie, truth", [
    (f"[Ångström (2019)]({PAPER})", "2020"), (f"[Strom (2020)]({PAPER})", "Ångström"),
    (f"[Müller et al. (1999)]({PAPER})", "Ångström"),
    ("[Ångström (2020)](https://x.org)", "x.org"), ("[(Müller, 1999)](https://x.org)", "x.org"),
    ('> **Theorem 1 (Title).**\n> Without a label.', "label"),
    ('> **Theorem (Title).** <a id="thm-x"></a>\n> No number.', "number"),
    ('> **Theorem 1.** <a id="lem-x"></a>\n> Another kind.', "lem-x"),
])
def test_what_is_not_so_is_an_error(myst, lie, truth):
    with pytest.raises(Lie, match=truth):
        myst(lie)


def test_an_anchor_before_a_heading_is_for_others(myst):
    assert myst('<a id="a-b"></a>\n\n## A b\n\nText.') == "## A b\n\nText."
    assert myst('<a id="k-is-10"></a>\n\n## K *is* 10!') == "## K *is* 10!"
    assert myst('<a id="old-name"></a>\n\n### A b') == "(old-name)=\n### A b"


def test_a_notebook_keeps_its_code_and_gets_its_stills(sources):
    cells = [{"cell_type": "markdown", "metadata": {}, "source": ["[Theorem 1]", "(#thm-a)"]},
             {"cell_type": "code", "metadata": {"still": {"picture": "../a.svg", "alt": "A: b"}},
              "source": ["[Theorem 1](#thm-a)"], "outputs": []}]
    found = json.loads(notebook_to_myst(json.dumps({"cells": cells, "nbformat": 4}), sources))
    text, still, code = found["cells"]
    assert text["source"] == "{prf:ref}`thm-a`"
    assert still["cell_type"] == "markdown"
    assert still["source"].startswith(":::{figure} ../a.svg\n:class: no-script\n")
    assert ":alt: A: b\n" in still["source"]
    assert code == cells[1] and found["nbformat"] == 4


OLD = (f'> **Theorem 7 (T).** <a id="thm-x"></a>\n> See [Lemma 1](o.ipynb#lem-y), [it](#lem-y), '
       f"[Strom (1)]({PAPER}), [Strom (1920)]({PAPER}) and [(S, 1920)]({PAPER}).\n\n"
       '<details><summary>Solution to <a href="#ex-1">Exercise 9</a></summary>')


def test_numbers_and_names_are_brought_up_to_date(sources):
    names = {"thm-x": "Theorem 2", "lem-y": "Lemma 5", "ex-1": "Exercise 3"}
    new = labels.refresh(OLD, names, sources)
    assert new == (OLD.replace("Theorem 7", "Theorem 2").replace("Lemma 1", "Lemma 5")
                   .replace("Exercise 9", "Exercise 3").replace("Strom (1920)", "Ångström (2020)")
                   .replace("(S, 1920)", "(Ångström, 2020)"))
    assert labels.refresh(new, names, sources) == new
    assert list(labels.said(new)) == [("thm-x", "Theorem 2"), ("lem-y", "Lemma 5"),
                                      ("ex-1", "Exercise 3")]


def test_labels_are_counted_by_kind_and_chapter_and_an_appendix_is_one_of_its_own(tmp_path):
    kinds = [("Theorem", "thm"), ("Lemma", "lem"), ("Theorem", "thm")]
    paths = [tmp_path / name for name in ("first.md", "chapters/a.ipynb", "chapters/b.ipynb",
                                          "checking/b.ipynb", "last.md")]
    for page, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        text = "\n\n".join(f'> **{kind} 0.** <a id="{label}-{page}-{k}"></a>'
                           for k, (kind, label) in enumerate(kinds))
        cell = {"cell_type": "markdown", "source": text}
        path.write_text(text if path.suffix == ".md" else json.dumps({"cells": [cell]}), "utf8")
    names = labels.count(paths)
    assert len(names) == 15
    assert [names[f"thm-{page}-2"] for page in range(5)] == [
        "Theorem 2", "Theorem 1.2", "Theorem 2.2", "Theorem A2.2", "Theorem 2"]
    assert [names[f"lem-{page}-1"] for page in range(5)] == [
        "Lemma 1", "Lemma 1.1", "Lemma 2.1", "Lemma A2.1", "Lemma 1"]
