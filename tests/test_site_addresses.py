"""Addresses that were given away still lead somewhere, and pages fit a phone and a git host."""

import json
import re
import sys

import pytest
import yaml
from browser import PAGES, ROOT, SITE, Visit, soup

sys.path.insert(0, str(ROOT / "_site"))
import boxes  # noqa: E402
import edition  # noqa: E402
from book_site import cards as made  # noqa: E402
from book_site import pages  # noqa: E402

MOVED = json.loads((SITE / made.MOVED).read_text("utf8")) if (SITE / made.MOVED).exists() else {}


def test_every_old_address_leads_to_an_anchor():
    assert len(MOVED) > 250
    for old, address in MOVED.items():
        page, _, target = address.partition("#")
        assert soup(page.removesuffix(".html")).find(id=target), (old, address)


def test_what_moved_to_a_page_of_claims_or_to_an_appendix_is_found_by_its_name():
    claims = {row["id"] for name in PAGES if name.startswith("claims/")
              for row in soup(name).select("tr[id]")}
    checked = {box["id"] for name in PAGES if name.startswith("checking/")
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
    for card, name in zip(cards, ("saddle", "noise", "ravine", "staircase"), strict=True):
        title = card.select_one("svg.story > title").string
        assert f"![{title}](figures/story-{name}.svg)" in source
        assert card.select_one("p > strong") and card.find("a", href=True)


@pytest.mark.parametrize("name", made.WIDE)
def test_a_cell_of_a_wide_table_knows_its_column(name):
    for table in soup(name).select("article.fields table"):
        columns = [" ".join(cell.get_text().split()) for cell in table.select("thead th")]
        for row in table.select("tbody tr"):
            assert [cell["data-label"] for cell in row.select("td")] == columns


def test_a_mark_after_a_formula_stays_with_it():
    short = '<span class="math notranslate nohighlight"><math>x</math></span>'
    long = short.replace('light"', 'light long"')
    assert pages.glue(f"{short}, {short} a") == f'<span class="glue">{short},</span> {short} a'
    assert pages.glue(f"{short}-th") == f'<span class="glue">{short}-th</span>'
    assert pages.glue(f"{long}. So") == f'{long.removesuffix("</span>")}.</span> So'


def test_a_name_in_a_table_may_break_and_a_number_may_not():
    cell = '<td><code><span class="pre">{}</span></code></td>'
    assert pages.breakable(cell.format("a.b_c")) == cell.format("a.<wbr>b_<wbr>c")
    assert pages.breakable(cell.format("0.25, 1.5")) == cell.format("0.25, 1.5")
    whole = '<span class="glue">1e-3</span>'
    assert pages.breakable(cell.format("f(tol=1e-3)")) == cell.format(f"f(tol={whole})")
    assert pages.breakable("<p>5 % of <code>5 % 3</code></p>") == (
        "<p>5\u00a0% of <code>5 % 3</code></p>")


def test_a_table_of_many_words_is_cards_on_a_phone():
    [table] = soup("chapters/psd_theory").select(".fields")
    assert {len(row.select("td[data-label]")) for row in table.select("tbody tr")} == {5}
    assert soup("digest_ja").select(".fields") and not soup("chapters/psgd").select(".fields")
    titles = soup("teachers").select("td.bare")
    assert {cell["data-label"] for cell in titles} == {"Minutes", "Hour"}


def test_boxes_reserve_their_height_at_each_width_and_those_that_are_alike_share_a_rule():
    wide = {"a": 1, "b": 3, "c": 1}
    sheet = boxes.sheet({360: {"a": 1, "b": 2, "c": 1}, 768: wide, 1280: wide, 1920: wide})
    rules, *widths = sheet.split("@media ")
    assert re.findall(r"((?:html.js \w,?\s)+)\{\s([^}]*)\}", rules) == [
        ("html.js a,\nhtml.js c ", "".join(f"  --at-{w}: 1px;\n" for w in boxes.WIDTHS)),
        ("html.js b ", "".join(f"  --at-{w}: {h}px;\n"
                               for w, h in zip(boxes.WIDTHS, (2, 3, 3, 3), strict=True)))]
    assert [re.findall(r"width: (\d+)px.*?var\(--at-(\d+)\)", part, re.DOTALL)
            for part in widths] == [[(str(above), str(width))]
                                    for width, above in boxes.WIDTHS.items()]


def test_on_paper_a_chapter_its_appendix_and_its_claims_are_three_places():
    places = [edition.mark(name, "x") for name in edition.printed_names()]
    assert len(set(places)) == len(places)
    names = edition.printed_names()
    assert edition.target("chapters/saddles", "../checking/saddles.html#thm-lanczos", names) == (
        "#checking-saddles--thm-lanczos")


def test_in_the_pdf_the_rules_for_paper_come_last():
    """Of two rules that weigh the same the later one counts."""
    assert ["print.css" in sheet for sheet in edition.sheets(SITE)][-2:] == [False, True]


def test_on_paper_solutions_stand_at_the_end_of_their_chapter():
    text = edition.article(SITE, "chapters/saddles", edition.printed_names())
    last = text.find(id="chapters-saddles--solutions")
    assert last.h2.string == "Solutions"
    assert len(last.select(".solution")) == len(text.select(".solution")) == 9
    assert last.find_all_next("h2") == [last.h2]
