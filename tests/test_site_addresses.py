"""Addresses that were given away: those of an earlier edition still lead somewhere."""

import json
import re
import sys

import pytest
import yaml
from browser import ROOT, SITE, Visit, soup

sys.path.insert(0, str(ROOT / "_site"))
from book_site import cards as made  # noqa: E402

MOVED = json.loads((SITE / made.MOVED).read_text("utf8")) if (SITE / made.MOVED).exists() else {}
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
NAMES = [chapter["file"] for chapter in TOC["chapters"]]


def test_every_old_address_leads_to_an_anchor():
    assert len(MOVED) > 250
    for old, address in MOVED.items():
        page, _, target = address.partition("#")
        assert soup(page.removesuffix(".html")).find(id=target), (old, address)


def test_what_moved_to_a_page_of_claims_or_to_an_appendix_is_found_by_its_name():
    claims = {row["id"] for name in NAMES if name.startswith("claims/")
              for row in soup(name).select("tr[id]")}
    checked = {box["id"] for name in NAMES if name.startswith("checking/")
               for box in soup(name).select(".proof[id]")}
    assert len(claims) > 150 and len(checked) > 30
    assert claims | checked <= set(MOVED)


def test_a_name_of_the_notation_that_changed_leads_to_its_successor():
    renamed = yaml.safe_load((ROOT / "_site" / "renamed.yml").read_text("utf8"))
    ids = {tag["id"] for name in ("notation", "glossary") for tag in soup(name).select("[id]")}
    assert not ids & set(renamed), "these are on their page"
    assert {old: place.replace("#", ".html#") for old, place in renamed.items()}.items() <= (
        MOVED.items())


@pytest.mark.browser
@pytest.mark.parametrize("old, now", [
    ("claims.html#claim-octopus", "claims/saddles.html#claim-octopus"),
    ("chapters/saddles.html#thm-lanczos", "checking/saddles.html#thm-lanczos"),
    ("notation.html#sym-U-in-chapters-4-and-5", "notation.html#sym-mathcal-R"),
    ("notation.html#word-ravine", "glossary.html#term-ravine"),
])
def test_a_deep_link_of_the_first_edition_lands(browser, site, old, now):
    with Visit(browser, bypass_csp=False) as visit:
        visit.page.goto(f"{site}/{old}")
        visit.page.wait_for_url(f"{site}/{now}")
        target = visit.page.locator(f"[id='{now.partition('#')[2]}']")
        target.wait_for()
        visit.page.wait_for_function(
            "id => Math.abs(document.getElementById(id).getBoundingClientRect().top) < innerHeight",
            arg=now.partition("#")[2])


@pytest.mark.browser
def test_an_address_that_never_was_leaves_the_reader_at_the_top(browser, site):
    with Visit(browser) as visit:
        page = visit.open(f"{site}/claims.html#claim-that-nobody-made")
        assert page.url.endswith("claims.html#claim-that-nobody-made")
        assert visit.errors == []


def test_the_first_page_is_plain_in_its_file_and_has_cards_on_the_site():
    source = (ROOT / "intro.md").read_text("utf8")
    assert not re.search(r"\{[a-z-]+\}`|eval-rst|^:::", source, re.MULTILINE)
    cards = soup("intro").select(".story-row > .story-card")
    for card, name in zip(cards, ("saddle", "noise", "ravine"), strict=True):
        title = card.select_one("svg.story > title").string
        assert f"![{title}](figures/story-{name}.svg)" in source
        assert card.select_one("p > strong") and card.find("a", href=True)
