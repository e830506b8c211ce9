"""Hover cards, the anchors they lead to, and the claims on a phone.

One page on a desk and one on a phone are shared by all tests that look at them.
"""

import functools
import json
import re
import sys
from collections import Counter
from types import SimpleNamespace

import pytest
from browser import FRAMES, PAGES, ROOT, SITE, Visit, soup
from bs4 import BeautifulSoup

sys.path.insert(0, str(ROOT / "_site"))
from book_site import cards as made  # noqa: E402

CHAPTERS = [name for name in PAGES if name.startswith("chapters/")]
CHAPTER = "chapters/fourth_order_growth.html"
CITATION = 'a.has-card[href$="#cite-davis2024"]'
THEOREM = 'a.has-card[href="#prop-growth-crawl"]'
ANCHORS = ROOT / "tests" / "site_anchors.txt"
KINDS = re.compile(r"(?:cite|claim|sym|term|thm|lem|prop|cor|def|alg|ex)-")
TAG = re.compile(r'<[a-z][\w-]*\b[^>]*? id="([^"]*)"')
every_page = pytest.mark.parametrize("name", PAGES)


@functools.cache
def html_of(name):
    return (SITE / f"{name}.html").read_text("utf8")


def ids_of(name):
    return TAG.findall(html_of(name))


def links_of(name):
    """Links of a page that have a card: opening tag, page and id that they lead to."""
    for tag in re.findall(r"<a [^>]*has-card[^>]*>", html_of(name)):
        path, target = re.search(r'href="([^"#]*)#([^"]*)"', tag).groups()
        folder = (SITE / f"{name}.html").parent
        page = (folder / path).resolve().relative_to(SITE) if path else f"{name}.html"
        yield tag, str(page).removesuffix(".html"), target


@pytest.fixture(scope="module")
def cards():
    return json.loads((SITE / "_static" / "cards.json").read_text("utf8"))


# Anchors


@every_page
def test_ids_are_unique_on_every_page(name):
    assert [id for id, count in Counter(ids_of(name)).items() if count > 1] == []


def test_every_claim_has_an_anchor_of_its_own_and_a_link_to_it():
    claims = [name for name in PAGES if name.startswith("claims/")]
    rows = [line for name in claims for line in (ROOT / f"{name}.md").read_text("utf8").splitlines()
            if line.startswith("| ") and not line.startswith("| Claim ")]
    names = [re.match(r'\| <a id="(claim-[a-z0-9-]+)"></a>\S', row) for row in rows]
    assert [row[:60] for row, name in zip(rows, names, strict=True) if not name] == []
    names = [name[1] for name in names]
    shown = [row for name in claims for row in soup(name).select("tbody tr")]
    assert [row["id"] for row in shown] == names
    assert len(set(names)) == len(names) > 150
    links = [row.select_one(".headerlink")["href"] for row in shown]
    assert links == [f"#{name}" for name in names]


def test_sources_are_named_by_their_keys():
    keys = re.findall(r"^@\w+\{(\w+),", (ROOT / "references.bib").read_text("utf8"), re.MULTILINE)
    found = [id for id in ids_of("claims") if id.startswith("cite-")]
    assert sorted(found) == sorted(f"cite-{key}" for key in keys)


def test_no_anchor_disappears():
    """Others link to these: a new one is added to the list, an old one stays or is redirected."""
    now = {f"{name}#{id}" for name in PAGES for id in ids_of(name) if KINDS.match(id)}
    listed = set(ANCHORS.read_text().split())
    assert sorted(listed - now) == [], "gone from the site"
    assert sorted(now - listed) == [], f"add these to {ANCHORS.name}"


# Cards


@every_page
def test_every_link_with_a_card_leads_somewhere_and_has_no_title(name, cards):
    for tag, page, target in links_of(name):
        assert target in cards, f"{tag} has no card"
        assert target in ids_of(page), f"{tag} leads nowhere"
        assert " title=" not in tag, tag


def test_there_are_cards_of_every_kind_and_none_in_vain(cards):
    linked = {target for name in PAGES for _, _, target in links_of(name)}
    assert linked == set(cards)
    kinds = Counter(target.split("-")[0] for target in cards)
    assert not {"cite", "thm", "prop", "ex", "claim", "sym", "term"} - set(kinds)
    assert not [target for target, card in cards.items() if " id=" in card["html"]]


@pytest.mark.parametrize("name", CHAPTERS)
def test_words_and_symbols_are_linked_with_measure(name):
    page = soup(name)
    links = [link["href"] for link in page.select("a.word, a.symbol")]
    assert 3 <= len(links) == len(set(links)) <= 60
    assert not page.select(":is(h1, h2, h3, code, pre, a, summary) :is(a.word, a.symbol)")


@pytest.mark.parametrize("number, name", list(enumerate(CHAPTERS, 1)))
def test_symbols_and_words_mean_what_they_mean_in_their_chapter(number, name):
    links = [link["href"].split("#")[1] for link in soup(name).select("a.symbol, a.word")]
    scopes = [re.search(r"-in-chapters?-(.*)", link) for link in links]
    for scope in filter(None, scopes):
        ends = [int(digit) for digit in re.findall(r"\d", scope[1])]
        assert number in (range(ends[0], ends[-1] + 1) if "-to-" in scope[1] else ends), scope[0]
    assert any(scopes) and any(link.startswith("sym-") for link in links)


def test_what_a_word_means_in_one_chapter_goes_before_what_it_means_elsewhere():
    page = """<dl><dt id="term-look-in-chapter-3">look (in chapter 3)</dt><dd><p>A search.</p></dd>
<dt id="term-SOSP">SOSP</dt><dt id="term-look">look<a class="headerlink" href="#">#</a></dt>
<dd><p>A certificate.</p></dd></dl>"""
    found, words = made.glossary(page, (1, 2, 3))
    assert words == {("look", 1): "term-look", ("look", 2): "term-look",
                     ("look", 3): "term-look-in-chapter-3",
                     **{("sosp", chapter): "term-SOSP" for chapter in (1, 2, 3)}}
    assert found["term-look"] == '<p class="card-title">look</p><p>A certificate.</p>'
    assert found["term-SOSP"].endswith("<p>A certificate.</p>")


def test_a_word_means_what_it_means_in_its_chapter():
    def linked(chapter):
        return {link["href"] for link in soup(f"chapters/{chapter}").select("a.word")}

    epoch = "../glossary.html#term-epoch-in-chapter-5"
    assert epoch in linked("gdpolyak") and epoch not in linked("psgd")
    assert "../glossary.html#term-strict-saddle" in linked("saddles")


def test_capitals_count_where_the_glossary_writes_a_word_in_capitals():
    terms = {"pgd": "glossary.html#term-PGD", "mode": "glossary.html#term-mode-in-chapter-6"}
    linked = made.Linker({}, terms).link("<p>A pgd has modes.</p><p>PGD does not.</p>")
    assert re.findall(r'class="word" href="[^"]*">(\w+)<', linked) == ["modes", "PGD"]


def test_a_card_of_a_word_is_the_entry_of_the_glossary(cards):
    page = soup("glossary")
    terms = page.select("dl.glossary > dt")
    assert 45 <= len(page.select("dl.glossary > dd")) <= len(terms)
    for term in terms:
        entry = term.find_next_sibling("dd")
        assert len(entry.get_text().split()) >= 5 and len(entry.select("p")) == 1, term["id"]
        if term["id"] in cards:
            card = BeautifulSoup(cards[term["id"]]["html"], "html.parser")
            assert card.select_one(".card-title").get_text() == term.get_text().rstrip("#")
            assert squeezed(entry) in squeezed(card)
    assert sum(term["id"] in cards for term in terms) > 20


def squeezed(html):
    """The words of some HTML, without the TeX of its formulas."""
    return "".join("".join(piece for piece in html.find_all(string=True)
                           if not piece.find_parent("annotation")).split())


def test_a_card_says_what_the_place_says(cards):
    def said(name):
        return BeautifulSoup(cards[name]["html"], "html.parser").get_text()

    assert "Davis" in said("cite-davis2024") and "2025" in said("cite-davis2024")
    assert "Decomposition" in said("thm-growth-decomposition")
    assert "<math" in cards["thm-growth-decomposition"]["html"]
    assert "Verdict" in said("claim-lanczos-bound") and "test_lanczos.py" in said(
        "claim-lanczos-bound")
    assert "spectral norm" in said("sym-rho") and "lipschitz_hess" in said("sym-rho")


# How they behave


@pytest.fixture(scope="module")
def desk(browser, site):
    with Visit(browser, reduced_motion="reduce") as visit:
        visit.open(f"{site}/{CHAPTER}")
        yield SimpleNamespace(page=visit.page, visit=visit, card=visit.page.locator(".card"))


@pytest.fixture(scope="module")
def phone(browser, site):
    with Visit(browser, width=360, height=740, has_touch=True, is_mobile=True,
               reduced_motion="reduce") as visit:
        visit.open(f"{site}/{CHAPTER}")
        yield SimpleNamespace(page=visit.page, visit=visit, card=visit.page.locator(".card"))


def hover(desk, selector):
    link = desk.page.locator(selector).first
    link.scroll_into_view_if_needed()
    link.hover()
    desk.card.wait_for()
    return link


@pytest.mark.browser
def test_a_pointer_opens_a_card_that_can_be_entered_and_leaves_it(desk):
    assert not [url for url in desk.visit.requests if url.endswith("cards.json")]
    hover(desk, CITATION)
    assert "Davis" in desk.card.inner_text()
    box = desk.card.bounding_box()
    desk.page.mouse.move(box["x"] + 30, box["y"] + 20, steps=8)
    desk.page.wait_for_timeout(600)
    assert desk.card.is_visible(), "gone before it can be read"
    desk.page.mouse.move(5, 5)
    desk.card.wait_for(state="detached")
    assert len([url for url in desk.visit.requests if url.endswith("cards.json")]) == 1


@pytest.mark.browser
def test_escape_closes_a_card_and_the_pointer_may_stay(desk):
    hover(desk, THEOREM)
    assert desk.card.locator("math").count()
    desk.page.keyboard.press("Escape")
    assert desk.card.count() == 0
    desk.page.wait_for_timeout(400)
    assert desk.card.count() == 0
    desk.page.mouse.move(5, 5)


@pytest.mark.browser
def test_the_keyboard_opens_a_card_enters_it_and_comes_back(desk):
    link = desk.page.locator(CITATION).first
    desk.page.keyboard.press("Tab")  # from here on the focus is the keyboard's
    link.focus()
    desk.card.wait_for()
    desk.page.keyboard.press("Tab")
    assert desk.page.evaluate("document.activeElement.closest('.card') !== null")
    desk.page.keyboard.press("Escape")
    assert desk.card.count() == 0
    assert link.evaluate("e => e === document.activeElement")
    desk.page.keyboard.press("Tab")
    desk.page.wait_for_timeout(100)
    assert "davis2024" not in (desk.page.evaluate("document.activeElement.href") or "")


def test_no_card_is_printed():
    style = (SITE / "_static" / "cards.css").read_text("utf8")
    assert re.search(r"@media print \{\s*\.card \{\s*display: none !important", style)


@pytest.mark.browser
def test_a_card_moves_nothing_and_announces_nothing(desk):
    size = "[document.documentElement.scrollHeight, document.documentElement.scrollWidth]"
    desk.page.locator("a.symbol").first.scroll_into_view_if_needed()
    # A figure may begin where the page has scrolled to, and has the height reserved for it then.
    desk.page.evaluate(f"({FRAMES})(20)")
    before = desk.page.evaluate(size)
    link = hover(desk, "a.symbol")
    assert desk.page.evaluate(size) == before
    assert not link.get_attribute("aria-describedby") and not link.get_attribute("title")
    assert not desk.card.get_attribute("aria-live") and not desk.card.get_attribute("role")
    assert desk.page.evaluate("document.querySelector('.card').getAnimations().length") == 0
    desk.page.emulate_media(forced_colors="active")
    assert desk.card.evaluate("e => getComputedStyle(e).borderTopWidth") == "1px"
    desk.page.emulate_media(forced_colors="none")
    desk.page.keyboard.press("Escape")
    assert desk.visit.errors == []


@pytest.mark.browser
@pytest.mark.parametrize("selector", [CITATION, THEOREM, "a.symbol"])
def test_a_tap_shows_a_card_that_fits_a_phone(phone, selector):
    url = phone.page.url
    link = phone.page.locator(selector).first
    wide = "document.documentElement.scrollWidth"
    before = phone.page.evaluate(wide)
    link.scroll_into_view_if_needed()
    link.tap()
    phone.card.wait_for()
    assert phone.page.url == url, "the first tap went away"
    box = phone.card.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 360
    assert box["y"] >= 0 and box["y"] + box["height"] <= 740
    assert phone.page.evaluate(wide) == before
    assert phone.card.locator(".card-go").get_attribute("href") == link.evaluate("e => e.href")
    phone.page.touchscreen.tap(180, box["y"] + box["height"] + 40
                               if box["y"] + box["height"] < 660 else box["y"] - 60)
    phone.card.wait_for(state="detached")


@pytest.mark.browser
def test_the_second_tap_follows_the_link(phone):
    link = phone.page.locator(THEOREM).first
    link.scroll_into_view_if_needed()
    link.tap()
    phone.card.wait_for()
    link.tap()
    phone.page.wait_for_url("**#prop-growth-crawl")


@pytest.mark.browser
def test_without_scripts_a_link_is_a_link(browser, site):
    with Visit(browser, java_script_enabled=False) as visit:
        visit.page.goto(f"{site}/{CHAPTER}")
        visit.page.locator(CITATION).first.click()
        visit.page.wait_for_url("**/claims.html#cite-davis2024")


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 1280])
def test_claims_show_all_their_fields(browser, site, width):
    with Visit(browser, width=width) as visit:
        visit.page.goto(f"{site}/claims/saddles.html")
        assert visit.page.evaluate("""() => [...document.querySelectorAll(".table-box")]
          .filter((box) => box.scrollWidth > box.clientWidth).length""") == 0
        assert visit.page.evaluate("document.documentElement.scrollWidth") == width
        row = visit.page.locator("#claim-lanczos-bound")
        fields = row.locator("td").evaluate_all("""cells => cells.map((cell) => {
          const { left, right, width } = cell.getBoundingClientRect();
          const name = getComputedStyle(cell, "::before").content;
          return [left, right, width, cell.dataset.label, name];
        })""")
        assert [name for *_, name, _ in fields] == ["Claim", "Support", "Verdict", "Test"]
        for left, right, wide, _, _ in fields:
            assert 0 <= left and right <= width and wide > 100
        if width == 360:
            assert [shown.strip('"') for *_, shown in fields[1:]] == ["Support", "Verdict", "Test"]
