"""Every page stands alone and is accessible; how a chapter opens, how it reads, how it behaves.

A chapter is loaded once at each width, the other pages once, and one look keeps all that the tests
ask about.
"""

import functools
import re
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import axe_playwright_python
import pytest
from browser import FRAMES, PAGES, ROOT, SHIFTS, SITE, Visit, soup

sys.path.insert(0, str(ROOT / "_site"))
from book_site import pictures  # noqa: E402

CHAPTERS = ["saddles", "psd_theory", "psgd", "fourth_order_growth", "gdpolyak",
            "deep_networks"]
# Pages that are made alike have the longest one or two looked at: of the API reference, of the
# claims, of the appendices.
ALIKE = {"api": ["saddlelib", "theory"], "claims": ["saddles"], "checking": ["psd_theory"]}
SEEN = [name for name in [*PAGES, "search"]
        if name.split("/")[-1] in ALIKE.get(name.split("/")[0], [name.split("/")[-1]])]
# One style sheet gives every page its colours, and to check them takes axe most of the time. What a
# phone shows otherwise than a desk, axe sees on the same pages.
COLOURED = [PAGES[0], "chapters/saddles", "claims/saddles", "search"]
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
every_chapter = pytest.mark.parametrize("name", CHAPTERS)
seen_pages = pytest.mark.parametrize("name", SEEN)
both_widths = pytest.mark.parametrize("width", [1280, 360])

# What sticks out of the page: the page itself if it scrolls, or content that is cut off at the edge
# of the screen without a box of its own to scroll in.
OVERFLOW = """() => {
  const boxed = (e) => e && !e.matches(".bd-article")
    && (getComputedStyle(e).overflowX !== "visible" || boxed(e.parentElement));
  const root = document.documentElement;
  return [...document.querySelectorAll(".bd-article *")]
    .filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !boxed(e.parentElement))
    .map((e) => e.outerHTML.slice(0, 100))
    .concat(root.scrollWidth > innerWidth ? ["the page scrolls"] : []);
}"""
# Size and right edge of every formula, or of the box that it scrolls in.
MATHEMATICS = """() => [...document.querySelectorAll("math")]
  .filter((m) => m.getBoundingClientRect().width)
  .map((m) => ({size: parseFloat(getComputedStyle(m).fontSize),
                right: (m.closest(".table-box") ?? m.closest("div.math, span.long") ?? m)
                  .getBoundingClientRect().right}))"""

# Formulas, lines of code, rows of tables and entries of the API reference are most of a page for
# axe, and alike everywhere: in one chapter it looks at all code and twenty formulas, on the other
# pages at all the rest and at twenty entries.
WITHOUT_THE_SAME_EVERYWHERE = """() => [...document.querySelectorAll(
  ":not(a) > .math, .highlight pre, tr:nth-child(n + 9), .page-toc li:nth-child(n + 4)"),
  ...[...document.querySelectorAll("dl.py")].slice(20)].forEach((e) => e.remove())"""
WITH_TWENTY_FORMULAS = """() => [...document.querySelectorAll(":not(a) > .math")].slice(20)
  .forEach((e) => e.remove())"""

# Before axe looks at colours: note how each piece of text looks in those of the moment, that is its
# colour, size and weight and what it lies on; then leave three that look alike in all of them.
NOTE_LOOKS = """() => {
  const ground = new Map([[null, ""]]);
  const under = (e) => {
    if (!ground.has(e)) {
      const { backgroundColor, backgroundImage, opacity } = getComputedStyle(e);
      const own = [backgroundColor, backgroundImage, opacity].join();
      ground.set(e, under(e.parentElement) + (own === "rgba(0, 0, 0, 0),none,1" ? "" : own));
    }
    return ground.get(e);
  };
  for (const e of document.body.querySelectorAll("*")) {
    if (![...e.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
    if (!e.checkVisibility({ visibilityProperty: true })) continue;
    const { color, fontSize, fontWeight } = getComputedStyle(e);
    e.looks = [e.looks, color, fontSize, fontWeight, under(e)].join();
  }
}"""
LEAVE_THREE_ALIKE = """() => {
  const text = [...document.body.querySelectorAll("*")].filter((e) => e.looks), seen = {};
  const left = text.filter(({ looks }) => (seen[looks] = (seen[looks] ?? 0) + 1) <= 3);
  for (const e of text) if (!left.some((k) => e.contains(k) || k.contains(e))) e.remove();
  return left.length;
}"""

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
# How many entries of the contents are marked, at sixty places or more from the top to the end, as a
# reader goes down the page and what comes near starts.
MARKS = f"""async () => {{
  const [counts, frames] = [[], {FRAMES}];
  const end = () => document.documentElement.scrollHeight - innerHeight;
  const step = Math.min(0.8 * innerHeight, end() / 60);
  for (let y = 0; y <= end() + step; y += step) {{
    scrollTo({{ top: y, behavior: "instant" }});
    await frames(2);
    counts.push(document.querySelectorAll(".page-toc a[aria-current]").length);
  }}
  scrollTo({{ top: 0, behavior: "instant" }});
  return counts;
}}"""
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

# Name, height and reserved height of the figures that run.
BOXES = """() => [...document.querySelectorAll(".live-figure.runs")].map((box) => [
  box.dataset.figure, box.lastElementChild.getBoundingClientRect().height,
  parseFloat(getComputedStyle(box).minHeight)])"""


def page_of(name):
    return soup(f"chapters/{name}")


def violations(page, **options):
    """What axe finds wrong enough to shut someone out; it does not look for what is less."""
    return [
        f"{v['id']}: {node['html'][:200]} {node['failureSummary']}"
        for v in page.evaluate("""async ({ rules, ...options }) => {
          const less = axe._audit.rules.filter((r) => !["serious", "critical"].includes(r.impact));
          const off = Object.fromEntries(less.map(({ id }) => [id, { enabled: false }]));
          const found = await axe.run({ preload: false, resultTypes: ["violations"],
                                        rules: { ...off, ...rules }, ...options });
          return found.violations; }""", options)
        for node in v["nodes"]
    ]


def of_any_page(visit, site):
    """What the tests of every page ask at one width."""
    return SimpleNamespace(foreign=visit.foreign(site), errors=list(visit.errors),
                           overflow=visit.page.evaluate(OVERFLOW),
                           mathematics=visit.page.evaluate(MATHEMATICS))


def audit(visit, name, width):
    """What axe finds at this width; on a desk in both colour schemes, if colours are looked at.

    It comes last: it asks for style sheets at addresses of its own, and takes away from the page
    what is the same everywhere.
    """
    page, coloured = visit.page, name in COLOURED
    if width == 360 and not coloured:
        return []
    page.evaluate("(axe) => { window.axe || (0, eval)(axe); }", AXE)
    page.evaluate(WITH_TWENTY_FORMULAS if name == "chapters/saddles"
                  else WITHOUT_THE_SAME_EVERYWHERE)
    found = violations(page, rules={"color-contrast": {"enabled": False}})
    if width == 1280 and coloured:
        in_scheme(page, "dark", NOTE_LOOKS)
        in_scheme(page, "light", NOTE_LOOKS)
        assert page.evaluate(LEAVE_THREE_ALIKE) > 10
        found += violations(page, runOnly=["color-contrast"])
        in_scheme(page, "dark")
        found += violations(page, runOnly=["color-contrast"])
        in_scheme(page, "light")
    return found


def in_scheme(page, scheme, then="() => {}"):
    """Show the page in other colours, and do something there."""
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function("""(scheme) => (document.documentElement.dataset.theme === "dark")
      === (scheme === "dark") && document.getAnimations().every((a) => a.playState !== "running")
      """, arg=scheme)
    page.evaluate(then)


@pytest.fixture(scope="module")
def look(browser, site):
    """What there is to see of a page on a desk and on a phone."""
    with Visit(browser, reduced_motion="reduce") as others:

        @functools.cache
        def chapter(name, width):
            """Loaded with nothing in store, as by a reader who comes from elsewhere."""
            height = 900 if width == 1280 else 740
            with Visit(browser, width=width, height=height, reduced_motion="reduce") as visit:
                page = visit.open(f"{site}/{name}.html")
                shifts = page.evaluate(SHIFTS)  # before anything scrolls
                marks = page.evaluate(MARKS)
                seen = of_any_page(visit, site)
                seen.marks, seen.shifts = marks, shifts
                seen.boxes = page.evaluate(BOXES)
                seen.opening = page.locator(".live-figure").first.bounding_box()["y"]
                if width == 1280:
                    seen.lines, seen.cut = page.evaluate(LINES), page.evaluate(CUT)
                    seen.size = page.locator("article p").first.evaluate(
                        "p => parseFloat(getComputedStyle(p.closest('article')).fontSize)")
                else:
                    seen.letters = page.evaluate(LETTERS)
                seen.scrolled = page.evaluate(SHIFTS) - shifts
                seen.violations = audit(visit, name, width)
            return seen

        @functools.cache
        def other(name):
            """Loaded on a desk, which then becomes as narrow as a phone."""
            others.forget()
            page, seen = others.open(f"{site}/{name}.html"), {}
            for width in (1280, 360):
                page.set_viewport_size({"width": width, "height": 900})
                page.evaluate(f"({FRAMES})(3)")
                seen[width] = of_any_page(others, site)
            for width in (360, 1280):
                page.set_viewport_size({"width": width, "height": 900})
                seen[width].violations = audit(others, name, width)
            return seen

        yield lambda name, width: (
            chapter(name, width) if name.startswith("chapters/") else other(name)[width])


# Every page


@pytest.mark.browser
@seen_pages
@both_widths
def test_no_request_leaves_the_site(look, name, width):
    assert look(name, width).foreign == []


@pytest.mark.browser
@seen_pages
@both_widths
def test_no_script_complains(look, name, width):
    assert look(name, width).errors == []


@pytest.mark.browser
@seen_pages
@both_widths
def test_the_page_does_not_scroll_sideways(look, name, width):
    assert look(name, width).overflow == []


@pytest.mark.browser
@pytest.mark.parametrize("name, width", [(name, width) for name in SEEN for width in (1280, 360)
                                         if width == 1280 or name in COLOURED])
def test_axe_finds_nothing_serious(look, name, width):
    assert look(name, width).violations == []


@pytest.mark.browser
@seen_pages
def test_mathematics_is_readable_on_a_phone(look, name):
    boxes = look(name, 360).mathematics
    assert boxes or not name.startswith("chapters/")
    for box in boxes:
        assert box["size"] >= 14 and box["right"] <= 360, box


# How a chapter opens and reads


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
    assert look(f"chapters/{name}", width).opening < limit


@pytest.mark.browser
@every_chapter
def test_lines_are_as_long_as_a_reader_likes(look, name):
    seen = look(f"chapters/{name}", 1280)
    assert 18 <= seen.size <= 19
    assert len(seen.lines) > 12 and max(seen.lines) <= 78
    assert sum(seen.lines) / len(seen.lines) <= 75


@pytest.mark.browser
@every_chapter
@pytest.mark.parametrize("width", [1280, 360])
def test_exactly_one_entry_of_the_contents_is_marked(look, name, width):
    marks = look(f"chapters/{name}", width).marks
    assert len(marks) >= 50 and set(marks) == {1}


@pytest.mark.browser
@every_chapter
def test_no_table_is_cut_on_a_desk(look, name):
    assert look(f"chapters/{name}", 1280).cut == []


@pytest.mark.browser
@every_chapter
def test_letters_of_still_pictures_are_readable_on_a_phone(look, name):
    letters = look(f"chapters/{name}", 360).letters
    assert letters
    assert [alt for alt, size in letters if size < 8.5] == []


@pytest.mark.browser
@every_chapter
@pytest.mark.parametrize("width", [1280, 360])
def test_nothing_jumps_while_a_page_loads_and_is_read(look, name, width):
    seen = look(f"chapters/{name}", width)
    assert seen.shifts <= 0.05
    assert seen.scrolled <= 0.05


@pytest.mark.browser
@every_chapter
@pytest.mark.parametrize("width", [1280, 360])
def test_the_room_of_a_figure_is_reserved(look, name, width):
    seen = look(f"chapters/{name}", width).boxes
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


def shown(element, ground, inherited=()):
    """Role, colour and opacity of what a picture shows, for what is not an area."""
    told = dict(inherited, **element.attrib)
    told |= dict(re.findall(r"([\w-]+): ([^;]+)", told.pop("style", "")))
    kind = re.match(r"(text|line2d|QuadContourSet)_", told.pop("id", ""))
    told["kind"] = (kind[1] if kind else "text" if element.tag.endswith("}text")
                    else told.get("kind"))
    told["seen"] = float(told.get("seen", 1)) * float(told.pop("opacity", 1))
    if element.tag.endswith(("}path", "}use", "}text")) and told["kind"]:
        for key in ("fill", "stroke"):
            colour = told.get(key, "none")
            if colour.startswith("#"):
                yield told["kind"], pictures.over(colour, told["seen"], ground)
    if not element.tag.endswith(("}defs", "}clipPath")):
        for child in element:
            yield from shown(child, ground, told.items())


def test_in_the_dark_letters_and_lines_of_pictures_are_seen():
    """But for what whispers on light paper: grids, and the white edges of what lies on lines."""
    ground = pictures.PAPER["dark"]
    paths = list((SITE / "_images").glob("*.dark.svg"))
    assert len(paths) > 50
    for path in paths:
        found = {kind: set() for kind in ("text", "line2d", "QuadContourSet")}
        for kind, colour in shown(ElementTree.parse(path).getroot(), ground):
            found[kind].add(pictures.contrast(colour, ground))
        assert min(found["text"], default=9) >= 4.5, path
        drawn = found["line2d"] | found["QuadContourSet"]
        assert [c for c in drawn if pictures.QUIET <= c < 3] == [], path


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
