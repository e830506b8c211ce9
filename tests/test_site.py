"""The built site: every page stands alone and is accessible."""

import functools
import re
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urljoin, urlsplit

import axe_playwright_python
import pytest
import yaml
from browser import ROOT, SITE, Visit, soup

TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
NAMES = [TOC["root"], *(page["file"] for part in TOC["parts"] for page in part["chapters"])]
PAGES = [*NAMES, "search", "index"]
CHAPTER = "chapters/saddles.html"
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
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

# All but the sign beside the book's name.
IMAGES = """() => [...document.querySelectorAll("img:not(.brand img)")]
  .map((i) => [i.src, i.alt])"""

# Formulas, lines of code and rows of tables are most of a page for axe, and alike everywhere: in
# CHAPTER it looks at them, on the others at all the rest.
WITHOUT_THE_SAME_EVERYWHERE = """() => document.querySelectorAll(
  ":not(a) > .math, .highlight pre, tr:nth-child(n + 9), .page-toc li:nth-child(n + 4)")
  .forEach((e) => e.remove())"""
# One style sheet gives every page its colours, and to check them takes axe most of the time.
COLOURED = [TOC["root"], CHAPTER.removesuffix(".html"), "claims/saddles", "search"]

every_page = pytest.mark.parametrize("name", PAGES)
# Colours on a desk by day and by night, and the width of a phone, where the colours are the same.
every_view = pytest.mark.parametrize("view", ["light", "dark", "phone"])
# index is a copy of the first page, which a test holds. Pages that are made alike have the longest
# one or two looked at: of the API reference, of the claims, of the appendices.
ALIKE = {"api": ["saddlelib", "theory"], "claims": ["saddles"], "checking": ["psd_theory"]}
SEEN = [name for name in PAGES if name != "index"
        and name.split("/")[-1] in ALIKE.get(name.split("/")[0], [name.split("/")[-1]])]
seen_pages = pytest.mark.parametrize("name", SEEN)


def violations(page, **options):
    """What axe finds wrong enough to shut someone out."""
    return [
        f"{v['id']}: {node['html'][:200]} {node['failureSummary']}"
        for v in page.evaluate(
            "(options) => axe.run({ preload: false, resultTypes: ['violations'], ...options })"
            ".then((result) => result.violations)", options)
        if v["impact"] in ("serious", "critical")
        for node in v["nodes"]
    ]


@pytest.fixture(scope="module")
def look(browser, site):
    """Open a page once per width and keep what there was to see, in both colour schemes."""

    @functools.cache
    def load(name, width, scheme):
        found = {}
        with Visit(browser, width=width, scheme=scheme) as visit:
            page = visit.open(f"{site}/{name}.html")

            def keep(view, **options):
                # Requests before axe, which asks for style sheets at addresses of its own.
                found[view] = SimpleNamespace(
                    foreign=visit.foreign(site),
                    errors=list(visit.errors),
                    overflow=page.evaluate(OVERFLOW),
                    images=page.evaluate(IMAGES),
                    mathematics=page.evaluate(MATHEMATICS),
                )
                page.evaluate("(axe) => { window.axe || (0, eval)(axe); }", AXE)
                if f"{name}.html" != CHAPTER:
                    page.evaluate(WITHOUT_THE_SAME_EVERYWHERE)
                found[view].violations = violations(page, **options)

            if width == 360:
                keep("phone", rules={"color-contrast": {"enabled": False}})
            else:
                keep("light", rules={"color-contrast": {"enabled": name in COLOURED}})
                page.emulate_media(color_scheme="dark")
                page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
                page.wait_for_timeout(300)  # some colours of the theme change gradually
                keep("dark", runOnly=["color-contrast"] if name in COLOURED else ["document-title"])
        return found

    def look(name, view):
        width, scheme = (360, "dark") if view == "phone" else (1280, "light")
        return load(name, width, scheme)[view]

    return look


# Every page


def test_the_site_has_the_pages_of_the_toc():
    built = {path.relative_to(SITE).with_suffix("").as_posix() for path in SITE.rglob("*.html")}
    built = {name for name in built if not name.startswith(("_static", "_sources"))}
    assert built == {*PAGES, "404"}


def test_the_address_of_the_site_opens_the_first_page():
    first = SITE / f"{TOC['root']}.html"
    assert (SITE / "index.html").read_bytes() == first.read_bytes()
    assert first.parent == SITE, "its links would lead elsewhere from another folder"


@pytest.mark.browser
@seen_pages
@every_view
def test_no_request_leaves_the_site(look, name, view):
    assert look(name, view).foreign == []


@pytest.mark.browser
@seen_pages
@every_view
def test_no_script_complains(look, name, view):
    assert look(name, view).errors == []


@pytest.mark.browser
@seen_pages
@every_view
def test_the_page_does_not_scroll_sideways(look, name, view):
    assert look(name, view).overflow == []


@pytest.mark.browser
@pytest.mark.parametrize("name, view", [
    (name, view) for name in SEEN for view in ("light", "dark", "phone")
    if view != "dark" or name in COLOURED])
def test_axe_finds_nothing_serious(look, name, view):
    assert look(name, view).violations == []


@pytest.mark.browser
@seen_pages
def test_every_image_is_described(look, name):
    for source, alt in look(name, "light").images:
        assert alt.strip(), source
        assert not re.search(r"\.(png|svg|jpe?g|webp)$", alt), f"alt text is a file name: {alt}"


@functools.cache
def anchors(name):
    return {tag.get("id") or tag.get("name") for tag in soup(name).find_all(True)}


@every_page
def test_internal_links_lead_somewhere(name):
    for tag in soup(name).find_all(["a", "link", "script", "img"]):
        target = tag.get("href") or tag.get("src")
        if not target or urlsplit(target).scheme:
            continue
        url = urlsplit(urljoin(f"/{name}.html", target))
        path = SITE / unquote(url.path).lstrip("/")
        assert path.is_file(), f"{name}: {target}"
        if url.fragment and path.suffix == ".html":
            there = path.relative_to(SITE).with_suffix("").as_posix()
            assert unquote(url.fragment) in anchors(there), f"{name}: {target}"


@pytest.mark.browser
def test_search_finds_a_page(browser, site):
    with Visit(browser) as visit:
        page = visit.open(f"{site}/search.html?q=notation")
        page.locator("ul.search li a", has_text="Notation").first.wait_for(timeout=5000)
        assert visit.foreign(site) == []
        assert visit.errors == []


@pytest.mark.browser
def test_the_chapter_offers_binder_and_copy_buttons(browser, site):
    with Visit(browser) as visit:
        page = visit.open(f"{site}/{CHAPTER}")
        binder = page.locator("a[href*='mybinder.org']").first.get_attribute("href")
        assert "chapters/saddles.ipynb" in unquote(binder)
        assert page.locator("button.copybtn").count() >= page.locator(".cell_input").count()


@pytest.mark.browser
@seen_pages
def test_mathematics_is_readable_on_a_phone(look, name):
    boxes = look(name, "phone").mathematics
    assert boxes or not name.startswith("chapters/")
    for box in boxes:
        assert box["size"] >= 14 and box["right"] <= 360, box


@pytest.mark.browser
def test_controls_that_need_a_kernel_say_so(browser, site):
    with Visit(browser) as visit:
        page = visit.open(f"{site}/{CHAPTER}")
        assert page.locator(".needs-kernel", has_text="needs a running kernel").count() >= 1
        picture = page.locator(".widget-view img:not(.picture)").first
        picture.scroll_into_view_if_needed()
        page.wait_for_function("(i) => i.naturalWidth > 0", arg=picture.element_handle())


@pytest.mark.browser
def test_weight_of_the_chapter(browser, site, record_property):
    with Visit(browser) as visit:
        sizes = []
        visit.page.on(
            "response", lambda r: r.url.startswith(site) and sizes.append(len(r.body()))
        )
        visit.open(f"{site}/{CHAPTER}")
    record_property("weight of the chapter with everything it loads, kB", round(sum(sizes) / 1e3))
    assert sum(sizes) < 6e6
