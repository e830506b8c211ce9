"""The box for an answer: it says what `saddlelib.checks` says, by keyboard and on a phone."""

import itertools
import json
import subprocess

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import ROOT, Visit, node, serve
from test_checks import BOXES, RIGHT, WRONG

from saddlelib.checks import _table, box, check
from saddlelib.checks._numbers import WORDS, parse
from saddlelib.checks._table import shown

LIVE = ROOT / "saddlelib" / "live"
ODD = ["", "  ", "0", "-0", "−1", "1e999", "inf", "-NaN", "Infinity", "0,03", "25,000", "1,2,3",
       "three", "½", "0x1", "1_000", "_1", "1__0", "1.", ".", "1e", "5/2/2", "5//2", "1/0", "0/0",
       "2^0.5", "2^-3^2", "-2^2", "(-8)^(1/3)", "0^-1", "10^-4", "10^400", "9^999", "1/9^999",
       "10⁻⁴", "⁻4", "10^", "√2", "√-2", "sqrt(2)", "sqrt", "2·10^3", "2×3", "2*", "(1", "1)",
       "((1))", "--1", "+-1", "1 2", "1 / 3", "\t7\n", "٣", "minimizer", "STRICT  Saddle", "9" * 70,
       "None", "“”", "{}", "$&", "1e-400", "-", "1e5000", "0.1 %"]
# A browser's own power is off by a bit here and there: 10 ** -4 is not 1e-4.
WRITTEN = [f"10^{n}" for n in range(-30, 31)] + ["3·10⁻⁵", "1/3", "√3", "2^10", "0.1*3", "1_0.0_1"]


def leaves(tree):
    """The numbers that stand in a term, and their neighbours at the edges of what is allowed."""
    if isinstance(tree, list):
        for x in tree:
            yield from leaves(x)
        if tree[:1] == ["near"] and isinstance(tree[2], (int, float)):
            for share in (0.999, 1.001):
                yield from (tree[2] * (1 + tree[3] * share), tree[2] * (1 - tree[3] * share))
    elif isinstance(tree, (int, float)):
        yield tree


def as_texts(answer):
    """What a reader would write into the fields for an answer, or None."""
    if isinstance(answer, str):
        return [answer]
    try:
        return [x if isinstance(x, str) else repr(float(x)) for x in np.atleast_1d(answer)]
    except (TypeError, ValueError):
        return None


def grid(name):
    """Answers to an exercise: known ones, what its table names, their neighbours, and odd ones."""
    table = _table(name)
    count, kind = len(table.asks), table.kind
    known = [*RIGHT[name], *(answer for answer, _ in WRONG[name])]
    known = [texts for texts in map(as_texts, known) if texts and len(texts) == count]
    if kind == "choice":
        return known + [[text] for text in ODD]
    named = sorted({x for row, _ in table.rows for x in leaves(row.node)}, key=abs)
    most = (400, 40, 12)[count - 1]
    few = [repr(float(x)) for x in named[:: 1 + len(named) // most]]
    found = [list(texts) for texts in itertools.product(few, repeat=count)] if count < 3 else []
    for texts in known[:: 1 + (count == 3)]:  # one part at a time beside known answers
        for i in range(count):
            found += [[*texts[:i], x, *texts[i + 1:]] for x in (*few, texts[i] + "1", "-1")]
    for text in ODD:
        found += [[*known[0][:i], text, *known[0][i + 1:]] for i in range(count)] + [[text] * count]
    return known + found


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """All answers, what Python says to them, and what the page says, in one call of Node."""
    folder = tmp_path_factory.mktemp("answers")
    answers = {name: grid(name) for name in BOXES}
    rng = np.random.default_rng(0)
    numbers = [(float(x), spec) for x in (*rng.normal(size=60) * 10.0 ** rng.integers(-9, 9, 60), 0,
                                          0.125, 2.5, -0.4, 1e21, 1e300, 9.9999996, 999.9999)
               for spec in (".6g", ".3g", ".2g", ".0f", ".3f", ".1e", ".0e")]
    (folder / "fixtures.json").write_text(json.dumps({
        "numbers": numbers, "texts": WRITTEN, "words": WORDS, "exercises": [
            {"table": _table(name).to_json(name), "answers": answers[name]} for name in BOXES]}))
    command = [node(), ROOT / "tests" / "live" / "answers.mjs", LIVE / "answers.js",
               folder / "fixtures.json"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr
    return answers, numbers, json.loads(done.stdout)


@pytest.mark.parametrize("name", BOXES)
def test_page_and_python_say_the_same(compared, name):
    answers, _, js = compared
    judged = js["judged"][BOXES.index(name)]
    assert len(answers[name]) > 60 and any(correct for correct, _ in judged)
    for texts, (correct, message) in zip(answers[name], judged, strict=True):
        feedback = check(name, texts if len(texts) > 1 else texts[0])
        assert [feedback.correct, feedback.message] == [correct, message], texts


def test_a_written_number_is_the_same_float(compared):
    *_, js = compared
    assert js["read"] == [parse(text) for text in WRITTEN]
    assert js["read"][:61] == [float(f"1e{n}") for n in range(-30, 31)]


def test_numbers_in_messages_look_alike(compared):
    _, numbers, js = compared
    assert [shown(x, spec) for x, spec in numbers] == js["shown"]


PAGE = """<!doctype html>
<html lang="en" data-theme="{theme}"><head><meta charset="utf-8"><title>Exercises</title>
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="script-src 'self'">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="answers.css"><link rel="stylesheet" href="page.css">
<script type="module" src="page.js"></script></head><body><main><h1>Exercises</h1>
<a href="https://mybinder.org/v2/gh/here">Launch</a>
<div id="boxes"></div><details class="solution"><summary>Solution</summary>0.03</details>
</main></body></html>"""
SCRIPT = """import box from "./answers.js";
const lab = location.search ? { widget_manager: {} } : {};
if (location.search) document.addEventListener("keydown", (event) => event.preventDefault());
for (const table of await (await fetch("tables.json")).json()) {
  const el = document.getElementById("boxes").appendChild(document.createElement("div"));
  box.render({ model: { ...lab, get: () => table }, el });
}
document.body.dataset.ready = "yes";"""
STYLE = """body { margin: 0; padding: 16px; font: 18px/1.5 sans-serif; color: #222; }
[data-theme=dark] body { color: #ddd; background: #121212; } [data-theme=dark] a { color: #8cf; }"""
SHOWN = ["saddles-1", "saddles-2", "psd-1", "saddles-5"]


@pytest.fixture(scope="module")
def page_of_boxes(tmp_path_factory):
    """The address of a page of our own with four boxes, under a strict policy."""
    folder = tmp_path_factory.mktemp("boxes")
    for name in ("answers.js", "answers.css"):
        (folder / name).write_text((LIVE / name).read_text("utf8"), "utf8")
    for theme in ("light", "dark"):
        (folder / f"{theme}.html").write_text(PAGE.format(theme=theme), "utf8")
    (folder / "page.js").write_text(SCRIPT)
    (folder / "page.css").write_text(STYLE)
    (folder / "tables.json").write_text(json.dumps([box(name).exercise for name in SHOWN]), "utf8")
    with serve(folder) as address:
        yield address


def opened(visit, address):
    visit.page.goto(address)
    visit.page.wait_for_selector("body[data-ready]")
    return visit.page


def says(page, name, words):
    """Wait until a box says something that contains the words; gives all that it says."""
    region = page.locator(f"form[data-exercise={name}] [role=status]")
    page.wait_for_function("([e, words]) => e.textContent.includes(words)",
                           arg=[region.element_handle(), words])
    return region.text_content()


@pytest.mark.browser
def test_a_box_answers_the_keyboard(browser, page_of_boxes):
    with Visit(browser) as visit:
        page = opened(visit, f"{page_of_boxes}/light.html")
        regions = page.locator("[role=status]")
        keys = page.keyboard
        page.get_by_role("link", name="Launch").focus()
        keys.press("Tab")
        keys.press("Space")  # the first of four words
        keys.press("ArrowDown")
        keys.press("ArrowDown")
        assert regions.all_text_contents() == ["", "", ""]  # nothing unasked
        keys.press("Enter")
        assert says(page, "saddles-1", "Correct.") == check("saddles-1",
                                                            "degenerate saddle").message
        keys.press("Tab")  # to the button, and on to the next box
        keys.press("Tab")
        solution = page.get_by_role("button", name="Open the solution")
        for text, wrong in [("9e-2", 1), ("9e-2", 1), ("0,03", 1), ("", 1), (" 1e-1 ", 2)]:
            keys.press("ControlOrMeta+a")
            keys.type(text or " ")
            keys.press("Enter")
            message = check("saddles-2", text).message
            assert says(page, "saddles-2", message[-20:]) == message
            assert solution.count() == wrong - 1, text
        solution.focus()
        keys.press("Enter")
        assert page.locator("details").evaluate("e => e.open && e === document.activeElement")
        field = page.locator("form[data-exercise=saddles-2] input")
        field.fill("3·10⁻²")
        field.press("Enter")
        says(page, "saddles-2", "Correct.")
        assert solution.count() == 0
        page.get_by_label("N", exact=True).fill("5e4")
        page.get_by_label("N", exact=True).press("Enter")
        assert says(page, "psd-1", "J is empty")
        page.get_by_label("J", exact=True).fill("24000/2")
        page.get_by_role("button", name="Check").last.click()
        assert says(page, "psd-1", "Correct.") == check("psd-1", (50000, 12000)).message
        link = page.locator(".answer-code").get_by_role("link")
        assert link.get_attribute("href") == "https://mybinder.org/v2/gh/here"

        opened(visit, f"{page_of_boxes}/light.html")  # what was answered stands there, unjudged
        assert field.input_value() == "3·10⁻²" and regions.all_text_contents() == ["", "", ""]
        assert page.get_by_role("radio", checked=True).get_attribute("value") == "degenerate saddle"

        # JupyterLab keeps keys for itself that reach it, and has a kernel.
        opened(visit, f"{page_of_boxes}/light.html?lab")
        assert field.input_value() == ""
        field.fill("9e-2")
        field.press("Enter")
        says(page, "saddles-2", "That is γ²")
        assert "in the cell below" in page.locator(".answer-code").text_content()
        assert not visit.errors


@pytest.mark.browser
def test_a_box_fits_a_phone_in_every_theme(browser, page_of_boxes):
    with Visit(browser, width=360, height=640, has_touch=True) as visit:
        # Of what axe looks at nothing but colours is another in the dark, and a forced theme
        # replaces these.
        for theme, forced, asked in (
                ("light", "none", {"resultTypes": ["violations"]}), ("light", "active", None),
                ("dark", "none", {"runOnly": ["color-contrast"]})):
            visit.page.emulate_media(color_scheme=theme, forced_colors=forced)
            page = opened(visit, f"{page_of_boxes}/{theme}.html")
            field = page.locator("form[data-exercise=saddles-2] input")
            field.fill("1e-1")
            page.get_by_role("button", name="Check").nth(1).tap()
            says(page, "saddles-2", "how far the bend lasts")
            assert page.evaluate("document.documentElement.scrollWidth") <= 360
            heights = page.locator("input[type=text], button:visible, fieldset label").evaluate_all(
                "all => all.map((e) => e.getBoundingClientRect().height)")
            assert min(heights) >= 44
            sizes = page.locator("input[type=text]").evaluate_all(
                "all => all.map((e) => parseFloat(getComputedStyle(e).fontSize))")
            assert min(sizes) >= 16
            if asked is not None:
                found = Axe().run(page, options=asked).response["violations"]
                assert [(v["id"], v["nodes"][0]["html"]) for v in found] == []
        assert not visit.errors
