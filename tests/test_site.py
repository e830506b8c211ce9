"""The built site: its pages, its links, its search and its weight."""

import functools
import re
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from browser import PAGES, SITE, Visit, soup

ALL = [*PAGES, "search", "index"]
CHAPTER = "chapters/saddles.html"
every_page = pytest.mark.parametrize("name", ALL)


# Every page


def test_the_site_has_the_pages_of_the_toc():
    built = {path.relative_to(SITE).with_suffix("").as_posix() for path in SITE.rglob("*.html")}
    built = {name for name in built if not name.startswith(("_static", "_sources"))}
    assert built == {*ALL, "404"}


def test_the_address_of_the_site_opens_the_first_page():
    first = SITE / f"{PAGES[0]}.html"
    assert (SITE / "index.html").read_bytes() == first.read_bytes()
    assert first.parent == SITE, "its links would lead elsewhere from another folder"


@every_page
def test_every_image_is_described(name):
    for image in soup(name).select("img:not(.brand img)"):  # but the sign beside the book's name
        alt = image.get("alt", "")
        assert alt.strip(), image
        assert not re.search(r"\.(png|svg|jpe?g|webp)$", alt), f"alt text is a file name: {alt}"


@every_page
def test_no_markup_is_left_in_words_and_quotation_marks_embrace_them(name):
    for text in soup(name).article.find_all(string=re.compile(r"[_^]\{|[“”]")):
        if not text.find_parent(["code", "pre", "math", "script"]):
            first = not text.find_previous_sibling(lambda tag: tag.get_text())
            assert not re.search(r"[_^]\{|\s”\w|\w“|“\s" + (r"|^”" if first else ""), text), text


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
def test_the_chapter_offers_what_it_needs_and_weighs_little(browser, site, record_property):
    with Visit(browser) as visit:
        sizes = []
        visit.page.on(
            "response", lambda r: r.url.startswith(site) and sizes.append(len(r.body()))
        )
        page = visit.open(f"{site}/{CHAPTER}")
        page.wait_for_load_state("networkidle")
        weight = sum(sizes)
        record_property("weight of the chapter with everything it loads, kB", round(weight / 1e3))
        assert 1e5 < weight < 6e6
        binder = page.locator("a[href*='mybinder.org']").first.get_attribute("href")
        assert "chapters/saddles.ipynb" in unquote(binder)
        assert page.locator("button.copybtn").count() >= page.locator(".cell_input").count()
        page = visit.open(f"{site}/chapters/deep_networks.html")
        assert page.locator(".needs-kernel", has_text="needs a running kernel").count() >= 1
        picture = page.locator(".widget-view img:not(.picture)").first
        picture.scroll_into_view_if_needed()
        page.wait_for_function("(i) => i.naturalWidth > 0", arg=picture.element_handle())


def test_the_picture_of_a_control_has_the_words_of_its_label():
    view = soup("chapters/deep_networks").select_one(".widget-view:has(.needs-kernel)")
    assert view.img["alt"].startswith("Strengths from a random start")
