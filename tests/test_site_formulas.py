"""Formulas: typeset when the book is built, in a font that has them, and copied as TeX."""

import io
import re
import sys

import nbformat
import pytest
from browser import ROOT, SHIFTS, SITE, Visit, soup
from bs4 import BeautifulSoup, NavigableString
from fontTools.ttLib import TTFont
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from sphinx.application import Sphinx

sys.path.insert(0, str(ROOT / "_site"))
from book_site import formulas  # noqa: E402

PAGES = sorted(path.relative_to(SITE).with_suffix("").as_posix() for path in SITE.rglob("*.html")
               if not {"_static", "_sources"} & {*path.relative_to(SITE).parts})
every_page = pytest.mark.parametrize("name", PAGES)
FONT = ROOT / "_site" / "web" / "font" / "saddles-math.woff2"
GREEK = "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡϴΣΤΥΦΧΨΩ∇αβγδεζηθικλμνξοπρςστυφχψω∂ϵϑϰϕϱϖ"
RAW_TEX = re.compile(r"\\[()\[\]]|\$[^$\s]|\\(frac|le|ge|nabla|text|operatorname|begin|sqrt)\b")


def drawn(math):
    """Characters that a browser draws for a formula: it slants the names of one letter itself."""
    for leaf in math.find_all(["mi", "mn", "mo", "mtext", "ms"]):
        text = leaf.get_text()
        if leaf.name == "mi" and len(text) == 1 and leaf.get("mathvariant") != "normal":
            if text == "h":
                text = "ℎ"
            elif text.isascii() and text.isalpha():
                text = chr(0x1D434 + ord(text) - 65 - 6 * text.islower())
            elif text in GREEK:
                text = chr(0x1D6E2 + GREEK.index(text))
        yield from text
    if math.find(["msqrt", "mroot"]):
        yield "√"


@every_page
def test_no_page_shows_raw_tex(name):
    text, left = [], [soup(name).body]
    while left:
        node = left.pop()
        if isinstance(node, NavigableString):
            text.append(node)
        elif node.name not in ("annotation", "pre", "code", "script", "style"):
            left.extend(reversed(node.contents))
    text = "".join(text)
    assert RAW_TEX.findall(text) == [], RAW_TEX.search(text)


def test_the_name_of_a_function_keeps_its_distance():
    """TeX has a thin space before it, whatever stands there but a sign or an open bracket."""
    for tex in (r"f\ln d", r"\Delta_f\max\{a, b\}", r"\tfrac12\ln d", r"\varepsilon^2\log^4 d",
                r"(a)\ln d", r"2\max_x f"):
        assert re.search(r'<mspace width="0.1667em"></mspace>(<\w+>)*<mi>(max|ln|log)<',
                         formulas.typeset(tex)), tex
    for tex in (r"-\ln d", r"= \ln d", r"(\ln d)", r"\lambda_{\max}", r"\sum_i \ln d"):
        assert "mspace" not in formulas.typeset(tex).split("<mi>max<")[0].split("<mi>ln<")[0], tex


def test_every_formula_is_mathml_with_its_tex():
    formulas = [span for name in PAGES for span in soup(name).select("span.math, div.math")]
    assert len(formulas) > 1000
    for formula in formulas:
        assert [tag.name for tag in formula.find_all(recursive=False) if tag.name != "span"] == [
            "math"], formula
        assert formula.find("annotation", encoding="application/x-tex").get_text().strip()


def test_every_formula_of_the_sources_is_there():
    told = {"".join(math.get_text().split()) for name in PAGES
            for math in soup(name).select("annotation")}
    parser = MarkdownIt().use(dollarmath_plugin)
    for path in [path for folder in ("chapters", "checking", "practice")
                 for path in ROOT.glob(f"{folder}/*.ipynb")]:
        for cell in nbformat.read(path, 4).cells:
            if cell.cell_type == "markdown":
                text = re.sub(r"(?m)^:::.*$", "", cell.source)
                for token in parser.parse(text):
                    for leaf in [token, *(token.children or [])]:
                        if leaf.type.startswith("math_"):
                            assert "".join(leaf.content.split()) in told, leaf.content


def test_the_font_has_every_character():
    has = TTFont(io.BytesIO(FONT.read_bytes())).getBestCmap()
    used = {sign for name in PAGES for math in soup(name).select("math") for sign in drawn(math)}
    assert len(used) > 100
    assert {sign for sign in used if ord(sign) not in has} == set(), "add them to _site/font.py"


def test_the_font_comes_early_where_there_are_formulas_and_nowhere_else():
    for name in PAGES:
        page = soup(name)
        loads = page.select('link[rel="preload"][as="font"][href*="saddles-math"]')
        assert len(loads) == bool(page.select("math")), name


@pytest.fixture
def build(tmp_path):
    """Build a page with Sphinx and hand back its HTML."""

    def build(text):
        (tmp_path / "conf.py").write_text(
            f"import sys; sys.path.insert(0, {str(ROOT / '_site')!r})\n"
            "from book_site import formulas\n"
            "extensions = ['myst_parser']\nmyst_enable_extensions = ['dollarmath', 'amsmath']\n"
            "html_math_renderer, myst_update_mathjax = 'buildtime', False\n"
            "setup = formulas.setup\n")
        (tmp_path / "index.md").write_text(text)
        out = tmp_path / "out"
        app = Sphinx(tmp_path, tmp_path, out, out / "trees", "html", status=None)
        app.build()
        return BeautifulSoup((out / "index.html").read_text("utf8"), "html.parser")

    return build


@pytest.mark.filterwarnings("ignore")
def test_an_unknown_macro_stops_the_build_and_says_where(build):
    with pytest.raises(Exception, match=r"(?s)index\.md, line 5: .*\\fraq.*\n\\fraq12 x"):
        build("# Title\n\ntext\n\nand $\\fraq12 x$\n")


@pytest.mark.filterwarnings("ignore")
def test_equations_are_numbered_once_and_linked(build):
    page = build("# Title\n\n$$a = \\text{one word}$$ (one)\n\nSee {eq}`one`.\n\n"
                 "\\begin{align}a &= b\\\\ c &= d\\end{align}\n\n$$a = 1 \\\\ b = 2$$\n")
    assert [tag.get_text()[:3] for tag in page.select(".eqno")] == ["(1)", "(2)"]
    assert page.select_one('a.reference[href="#equation-one"]').get_text() == "(1)"
    assert page.select_one("#equation-one mtext").get_text() == "one\u00a0word"
    assert page.select(".tml-eqn") == []
    assert len(page.select("mtable")[-1].select("mtr")) == 2


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("name, target", [
    ("checking/psd_theory", "thm-episode"), ("chapters/gdpolyak", "the-honest-table")])
def test_a_link_into_a_chapter_lands_and_nothing_moves(browser, site, name, target, width):
    with Visit(browser, width=width) as visit:
        page = visit.open(f"{site}/{name}.html#{target}")
        # The theme glides there.
        page.wait_for_function("""(id) => Math.abs(
            document.getElementById(id).getBoundingClientRect().top
            - parseFloat(getComputedStyle(document.documentElement).scrollPaddingTop)) < 5""",
            arg=target)
        assert page.evaluate(SHIFTS) < 0.05
        assert page.evaluate("document.fonts.check('16px \"Saddles Math\"')")
        if width == 360 and name.endswith("psd_theory"):
            boxes = page.locator("div.math, span.math.long").evaluate_all(
                "all => all.filter((e) => e.checkVisibility({ contentVisibilityAuto: true }))"
                ".map((e) => [e.scrollWidth > e.clientWidth, e.tabIndex === 0])")
            assert any(wide for wide, _ in boxes)
            assert [wide for wide, _ in boxes] == [reached for _, reached in boxes]
            # What is cut says so: it fades over as much as is hidden.
            fades = page.locator("div.math[tabindex], span.math.long[tabindex]").evaluate_all(
                """all => all.map((e) => [e.scrollWidth - e.clientWidth - e.scrollLeft,
                  parseFloat(getComputedStyle(e).getPropertyValue("--more-right")),
                  getComputedStyle(e).maskImage.startsWith("linear-gradient")])""")
            for hidden, fade, masked in fades:
                assert masked and fade == pytest.approx(min(hidden, 35.2), abs=1)
        elif width == 1280 and name.endswith("psd_theory"):
            # In forced colours a ground behind every glyph would hide the letter under an accent.
            page.emulate_media(forced_colors="active")
            assert page.locator("math:has(mover)").first.evaluate(
                "e => getComputedStyle(e).forcedColorAdjust") == "preserve-parent-color"
            page.emulate_media(forced_colors="none")
            copying(page)


def copying(page):
    """Copied text holds each formula as TeX, whole where the selection begins or ends in it."""
    copied = page.evaluate("""() => {
      const text = [...document.querySelectorAll("p")].find((p) => p.querySelector("math mi")
        && p.firstChild.nodeType === 3 && p.checkVisibility());
      const range = document.createRange();
      range.setStart(text.firstChild, 0);
      range.setEnd(text.querySelector("math mi").firstChild, 0);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      const event = new ClipboardEvent("copy",
        { clipboardData: new DataTransfer(), bubbles: true, cancelable: true });
      document.dispatchEvent(event);
      return [event.clipboardData.getData("text/plain"), text.firstChild.textContent,
        text.querySelector("annotation").textContent, event.clipboardData.getData("text/html")];
    }""")
    text, before, tex, html = copied
    assert " ".join(text.split()) == " ".join(f"{before}${tex}$".split())
    assert "<math" in html
