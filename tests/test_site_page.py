"""The page around the figures: how a chapter opens, how it reads, and how it behaves.

A chapter is loaded once at each width, and one look keeps all that the tests ask about.
"""

import functools
import re
from collections import Counter
from types import SimpleNamespace

import pytest
from browser import SHIFTS, SITE, Visit, soup

CHAPTERS = ["saddles", "psd_theory", "psgd", "fourth_order_growth", "gdpolyak"]
every_chapter = pytest.mark.parametrize("name", CHAPTERS)

# Characters on each full line of running text: lines of paragraphs that are followed by another.
LINES = """() => [...document.querySelectorAll(".bd-article > section > section > p")]
  .filter((p) => !p.querySelector("math, .math, mjx-container"))
  .flatMap((p) => {
    const range = document.createRange(), rows = [];
    const { top } = p.getBoundingClientRect(), high = parseFloat(getComputedStyle(p).lineHeight);
    const walk = document.createTreeWalker(p, NodeFilter.SHOW_TEXT);
    for (let node; (node = walk.nextNode());)
      for (let i = 0; i < node.length; i++) {
        range.setStart(node, i);
        range.setEnd(node, i + 1);
        const box = range.getClientRects()[0];
        const row = box && Math.floor(((box.top + box.bottom) / 2 - top) / high);
        if (box) rows[row] = (rows[row] ?? 0) + 1;
      }
    return rows.slice(0, -1).filter((count) => count > 30);
  })"""
# How many entries of the contents are marked, at 60 places from the top to the end.
MARKS = """async () => {
  const counts = [];
  for (let i = 0; i < 60; i++) {
    scrollTo(0, (document.documentElement.scrollHeight - innerHeight) * i / 59);
    await new Promise((done) => {
      requestAnimationFrame(() => requestAnimationFrame(done));
      setTimeout(done, 500);  // a browser may have no frame to draw
    });
    counts.push(document.querySelectorAll(".page-toc a[aria-current]").length);
  }
  return counts;
}"""
CUT = """() => [...document.querySelectorAll(".table-box, .cell_output .output:has(table)")]
  .filter((box) => box.scrollWidth > box.clientWidth)
  .map((box) => box.innerText.slice(0, 80))"""
# The smallest letters of the still pictures as they are shown, in pixels of the screen.
LETTERS = """async () => Promise.all([...document.querySelectorAll("img.picture.on-light")]
  .filter((img) => !img.closest(".live-figure"))
  .map(async (img) => {
    const svg = await (await fetch(img.src)).text();
    const drawn = [...svg.matchAll(/scale\\((0\\.\\d+) -0\\.\\d+\\)/g)].map((m) => 100 * m[1]);
    const width = +svg.match(/viewBox="0 0 ([\\d.]+)/)[1];
    return [img.alt, Math.min(...drawn) * img.getBoundingClientRect().width / width];
  }))"""

# As a reader goes down a page: what comes near starts.
SCROLL = """async () => {
  for (let y = 0; y < document.body.scrollHeight; y += 0.5 * innerHeight) {
    scrollTo({ top: y, behavior: "instant" });
    await new Promise((done) => setTimeout(done, 40));
  }
  scrollTo({ top: 0, behavior: "instant" });
}"""

# Name, height and reserved height of the figures that run.
BOXES = """() => [...document.querySelectorAll(".live-figure.runs")].map((box) => [
  box.dataset.figure, box.lastElementChild.getBoundingClientRect().height,
  parseFloat(getComputedStyle(box).minHeight)])"""


def page_of(name):
    return soup(f"chapters/{name}")


@pytest.fixture(scope="module")
def look(browser, site):
    """What there is to see of a chapter on a desk and on a phone."""

    @functools.cache
    def look(name, width):
        height = 900 if width == 1280 else 740
        with Visit(browser, width=width, height=height, reduced_motion="reduce") as visit:
            page = visit.open(f"{site}/chapters/{name}.html")
            shifts = page.evaluate(SHIFTS)  # before anything scrolls
            page.evaluate(SCROLL)
            return SimpleNamespace(
                boxes=page.evaluate(BOXES),
                opening=page.locator(".live-figure").first.bounding_box()["y"],
                lines=page.evaluate(LINES), cut=page.evaluate(CUT),
                letters=page.evaluate(LETTERS), marks=page.evaluate(MARKS),
                size=page.locator("article p").first.evaluate(
                    "p => parseFloat(getComputedStyle(p.closest('article')).fontSize)"),
                shifts=shifts, scrolled=page.evaluate(SHIFTS) - shifts,
            )

    return look


@every_chapter
def test_a_chapter_opens_with_title_question_and_figure(name):
    section = page_of(name).select_one("article > section")
    title, question = section.find_all(True, recursive=False)[:2]
    assert title.name == "h1" and question.name == "p"
    assert question.strong.get_text().strip().endswith("?")
    first = section.select_one(".live-figure, section, .admonition")
    assert "live-figure" in first["class"], "something else stands before the figure"
    learn = section.find("summary", string=re.compile("What you will learn"))
    assert learn.parent.name == "details" and not learn.parent.has_attr("open")


@pytest.mark.browser
@every_chapter
@pytest.mark.parametrize("width, limit", [(1280, 500), (360, 600)])
def test_the_live_figure_begins_on_the_first_screen(look, name, width, limit):
    assert look(name, width).opening < limit


@pytest.mark.browser
@every_chapter
def test_lines_are_as_long_as_a_reader_likes(look, name):
    seen = look(name, 1280)
    assert 18 <= seen.size <= 19
    assert len(seen.lines) > 12 and max(seen.lines) <= 78
    assert sum(seen.lines) / len(seen.lines) <= 75


@pytest.mark.browser
@every_chapter
@pytest.mark.parametrize("width", [1280, 360])
def test_exactly_one_entry_of_the_contents_is_marked(look, name, width):
    assert look(name, width).marks == [1] * 60


@pytest.mark.browser
@every_chapter
def test_no_table_is_cut_on_a_desk(look, name):
    assert look(name, 1280).cut == []


@pytest.mark.browser
@every_chapter
def test_letters_of_still_pictures_are_readable_on_a_phone(look, name):
    letters = look(name, 360).letters
    assert letters
    assert [alt for alt, size in letters if size < 9] == []


@pytest.mark.browser
@every_chapter
@pytest.mark.parametrize("width", [1280, 360])
def test_nothing_jumps_while_a_page_loads_and_is_read(look, name, width):
    seen = look(name, width)
    assert seen.shifts <= 0.05
    assert seen.scrolled <= 0.05


@pytest.mark.browser
@every_chapter
@pytest.mark.parametrize("width", [1280, 360])
def test_the_room_of_a_figure_is_reserved(look, name, width):
    seen = look(name, width).boxes
    assert seen
    for figure, high, reserved in seen:
        assert abs(high - reserved) <= 40, f"{figure}: run python _site/boxes.py"


# What a page is made of


@every_chapter
def test_ids_are_unique(name):
    ids = Counter(tag["id"] for tag in page_of(name).find_all(id=True))
    assert [id for id, count in ids.items() if count > 1] == []


@every_chapter
def test_every_fold_is_a_details_element_with_a_name_of_its_own(name):
    page = page_of(name)
    assert not page.select("div.dropdown, div.toggle, .toggle-button")
    names = [fold.summary.get_text() for fold in page.select("article details.code")]
    assert len(names) > 10 and len(set(names)) == len(names)
    assert not any(word in text for text in names for word in ("Toggle", "hidden content"))
    for cell in page.select("article .cell"):
        code = cell.select_one(".cell_input pre")
        if code is not None and len(code.get_text().splitlines()) > 3:
            open_by_wish = "tag_show-code" in cell["class"]
            assert open_by_wish or code.find_parent("details"), code.get_text()[:80]


@every_chapter
def test_no_header_of_a_table_is_empty(name):
    assert [th for th in page_of(name).find_all("th") if not th.get_text().strip()] == []


@every_chapter
def test_a_page_carries_no_code_of_its_figures(name):
    page = page_of(name)
    for script in page.find_all("script"):
        kind = script.get("type", "")
        assert not script.string or kind.endswith("json") or "MathJax" in script.string, script
        assert "_esm" not in (script.string or "")
    assert not page.find_all("style") and not re.search(r' on\w+="', str(page))
    assert page.select_one("link[rel=modulepreload]")


@every_chapter
def test_pictures_exist_for_light_and_for_dark_paper(name):
    pictures = page_of(name).select("article img.picture")
    assert len(pictures) >= 4
    for picture in pictures:
        path = (SITE / "chapters" / picture["src"]).resolve()
        sheet = re.search(r'<g id="patch_1">\s*<path[^>]*fill: (\S+?)"', path.read_text("utf8"))
        assert sheet[1] == "none", "a picture brings a sheet of its own"
        assert picture["alt"].strip() and picture["width"] and picture["height"]
    kinds = [picture["class"][1] for picture in pictures]
    assert kinds.count("on-light") == kinds.count("on-dark") == len(kinds) / 2


# How it behaves


@pytest.mark.browser
def test_one_switch_shows_all_code_and_is_remembered(browser, site):
    opened = "() => [...document.querySelectorAll('details.code')].map((d) => d.open)"
    with Visit(browser) as visit:
        page = visit.open(f"{site}/chapters/psd_theory.html")
        assert not any(page.evaluate(opened))
        switch = page.get_by_role("button", name="Show all code")
        switch.press("Enter")
        assert all(page.evaluate(opened)) and switch.get_attribute("aria-pressed") == "true"
        visit.open(f"{site}/chapters/gdpolyak.html")
        assert all(page.evaluate(opened))
        page.get_by_role("button", name="Show all code").click()
        visit.open(f"{site}/chapters/psgd.html")
        assert not any(page.evaluate(opened))
        assert visit.errors == []


@pytest.mark.browser
def test_contents_open_over_a_phone_and_close_by_keyboard(browser, site):
    with Visit(browser, width=360, height=740) as visit:
        page = visit.open(f"{site}/chapters/saddles.html")
        button, sidebar = page.get_by_role("button", name="Contents"), page.locator("#sidebar")
        assert not sidebar.is_visible()
        button.press("Enter")
        assert sidebar.is_visible() and button.get_attribute("aria-expanded") == "true"
        assert page.locator(".page-toc a[aria-current]").count() == 1
        page.keyboard.press("Escape")
        assert not sidebar.is_visible()
        assert page.evaluate("document.activeElement.className") == "contents-button js-only"
        button.click()
        page.locator(".page-toc a", has_text="Summary").click()
        assert not sidebar.is_visible() and page.url.endswith("#summary")


@pytest.mark.browser
def test_large_text_keeps_room_on_a_desk(browser, site):
    with Visit(browser) as visit:
        page = visit.open(f"{site}/chapters/saddles.html")
        page.evaluate("document.documentElement.style.fontSize = '200%'")
        box = page.locator("section > p").nth(3).bounding_box()
        assert box["width"] > 600
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
