"""The book as it travels: as a link, under a strict policy, on paper, as one PDF, and on Binder."""

import functools
import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
import unicodedata
from urllib.parse import unquote, urljoin, urlsplit

import pytest
import yaml
from browser import HOW_TO, PAGES, ROOT, SITE, Visit, _Quiet, _Server, chromium, soup
from PIL import Image

sys.path.insert(0, str(ROOT / "_site"))
from book_site import policy, sharing  # noqa: E402

CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
# The API reference is for a screen alone.
PRINTED = [name for name in PAGES if not name.startswith("api/")]
BASE = CONFIG["html"]["baseurl"]
PATH = urlsplit(BASE).path


def load(path):
    """A script of the project as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def values(page, /, **attributes):
    """Contents of the meta elements, or addresses of the links, in the head of a page."""
    found = soup(page).head.find_all(["meta", "link"], attrs=attributes)
    return [tag.get("content") or tag.get("href") for tag in found]


def in_site(address):
    """The file that a public address shows."""
    assert address.startswith(BASE), address
    return SITE / unquote(urlsplit(address).path.removeprefix(PATH))


# Sharing


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_once_what_and_where_it_is(name):
    told = sharing.descriptions()[name]
    assert 70 <= len(told) <= 160
    assert values(name, name="description") == [told] == values(name, property="og:description")
    assert values(name, name="viewport") == ["width=device-width, initial-scale=1.0"]
    address = BASE if name == PAGES[0] else f"{BASE}{name}.html"
    assert values(name, rel="canonical") == [address] == values(name, property="og:url")
    assert soup(name).title.string.count(CONFIG["title"]) == 1
    assert len(values(name, name="twitter:card")) == 1
    [card] = values(name, property="og:image")
    [width], [height] = values(name, property="og:image:width"), values(
        name, property="og:image:height")
    with Image.open(in_site(card)) as picture:
        assert picture.size == (int(width), int(height)) == (1200, 630)
    assert len(values(name, property="og:image:alt")[0]) > 40


def test_no_two_pages_are_described_alike():
    told = sharing.descriptions()
    assert set(told) == set(PAGES)
    assert len(set(told.values())) == len(PAGES)
    assert soup(PAGES[0]).title.string == CONFIG["title"]


def test_the_list_of_pages_is_complete_and_found():
    listed = re.findall("<loc>(.*)</loc>", (SITE / "sitemap.xml").read_text())
    assert listed == [BASE, *(f"{BASE}{name}.html" for name in PAGES[1:])]
    assert f"Sitemap: {BASE}sitemap.xml" in (SITE / "robots.txt").read_text()
    for name in ("search", "404"):
        assert values(name, name="robots") == ["noindex"]
        assert values(name, rel="canonical") == []


def test_there_is_an_icon_for_every_shelf():
    for name in (*PAGES, "search"):
        for kind in ("icon", "apple-touch-icon", "manifest"):
            found = values(name, rel=kind)
            assert found
            for link in found:
                assert in_site(urljoin(f"{BASE}{name}.html", link)).is_file()
    manifest = SITE / "_static" / "site.webmanifest"
    for icon in json.loads(manifest.read_text())["icons"]:
        path = manifest.parent / icon["src"]
        if path.suffix == ".png":
            with Image.open(path) as picture:
                assert icon["sizes"] == "{}x{}".format(*picture.size)
        else:
            assert path.is_file()


def test_the_page_of_no_address_works_at_any_depth():
    """Its host shows it wherever nothing is, so no address in it may be relative."""
    page = soup("404")
    for tag in page.find_all(True):
        for key in ("href", "src", "action"):
            target = tag.get(key, "#")
            if not target.startswith("#") and not urlsplit(target).scheme:
                assert target.startswith(PATH), tag
                assert in_site(urljoin(BASE, target)).is_file(), tag
    links = {tag["href"] for tag in page.article.find_all("a")}
    assert links >= {f"{PATH}{name}.html" for name in PAGES}
    assert page.article.form["action"] == f"{PATH}search.html"
    assert page.html["data-content_root"] == PATH


# A strict policy


def test_programs_inside_a_page_become_files(tmp_path):
    html = """<head><meta charset="utf-8"><script>first()</script><script src="a.js"></script>
<script type="application/json">{"a": "<b onclick='x()'>"}</script></head>
<body><script>second("<i onclick='no()'>")</script>
<a title="1 > 0" onclick="say(&quot;hi&quot;)" onfocus='look()'>x</a> onclick="text"</body>"""
    new = policy.strict(html, "../", policy.Files(tmp_path))
    made = {path.name: path.read_text() for path in (tmp_path / "_static/inline").iterdir()}
    assert len(made) == 2
    assert '{"a": "<b onclick=\'x()\'>"}' in new
    assert '<a data-on="' in new and ' title="1 > 0">x</a> onclick="text"' in new
    assert new.count("<script") == 4 and new.index("../_static/inline") < new.index("a.js")
    assert any('first()\nsecond("<i onclick=\'no()\'>")' in text for text in made.values())
    assert any('function (event) { say("hi") }' in text and '"focus"' in text
               for text in made.values())
    assert f'<meta http-equiv="Content-Security-Policy" content="{policy.POLICY}" />' in new


def test_the_policy_lets_no_program_run_inside_a_page():
    rules = dict(rule.split(" ", 1) for rule in policy.POLICY.split("; "))
    assert set(rules["script-src"].split()) <= {"'self'", "blob:"}
    assert rules["default-src"] == rules["base-uri"] == "'self'" and rules["object-src"] == "'none'"
    assert not re.search(r"https?:|\*|unsafe-eval", policy.POLICY)


@pytest.mark.parametrize("name", [*PAGES, "search", "404"])
def test_no_page_has_a_program_inside(name):
    page = soup(name)
    for script in page.find_all("script"):
        assert script.get("src") or "json" in script.get("type", ""), script
    for tag in page.find_all(True):
        assert not [key for key in tag.attrs if key.lower().startswith("on")], tag
        assert not str(tag.get("href", "")).lower().startswith("javascript:"), tag
    assert values(name, **{"http-equiv": "Content-Security-Policy"}) == [policy.POLICY]


class Host(_Quiet):
    """The site as its host has it: in a folder, with a page of its own for what is not there."""

    def translate_path(self, path):
        return super().translate_path("/" + path.removeprefix(PATH))

    def end_headers(self):
        self.send_header("Content-Security-Policy", policy.POLICY)
        super().end_headers()

    def send_error(self, code, *args):
        body = (SITE / "404.html").read_bytes()
        self.send_response(code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def host():
    with _Server(("127.0.0.1", 0), functools.partial(Host, directory=str(SITE))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}{PATH}"
        server.shutdown()


@pytest.mark.browser
def test_under_the_policy_everything_works(browser, host):
    """A lost reader finds the search, a result, a figure, the other colours and the printer."""
    with Visit(browser, bypass_csp=False) as visit:
        page = visit.page
        page.goto(f"{host}no/such/page.html")
        assert page.locator("article h1").inner_text() == "There is no such page"
        assert page.evaluate("getComputedStyle(document.body).margin") == "0px", "no style"
        visit.errors.clear()  # that the page was not there
        page.locator("#missing-search").fill("strict")
        page.keyboard.press("Enter")
        page.locator("#search-results a[href*='saddles.html']").first.wait_for()
        page.goto(f"{host}chapters/saddles.html")
        page.wait_for_function("document.querySelector('.live-figure.runs')")
        before = page.locator(".theme-switch").get_attribute("aria-label")
        page.locator(".theme-switch").click()
        assert page.locator(".theme-switch").get_attribute("aria-label") != before
        page.evaluate("() => { window.print = () => { window.printed = true; }; }")
        page.locator(".print-button").evaluate("button => button.click()")
        assert page.evaluate("window.printed")
        # The search asks for every page that it lists, and is left before it has them all.
        assert [error for error in visit.errors if not error.startswith("failed ")] == []


# Paper

# Of a page that is laid out for paper: what sticks out of it, what a finger would be needed for,
# what is not in light colours, what stays folded; whether text is as wide as the paper, and what a
# figure calls its lines.
ON_PAPER = """() => {
  const seen = (e) => e.offsetParent && getComputedStyle(e).visibility !== "hidden";
  const all = [...document.querySelectorAll(".bd-article *")].filter(seen);
  const name = (e) => e.outerHTML.slice(0, 120);
  const dark = (e) => (getComputedStyle(e).backgroundColor.match(/[\\d.]+/g) ?? [])
    .reduce((sum, v, k) => (k < 3 ? sum + v / 765 : v > 0.5 ? sum : 1), 0) < 0.5;
  return {
    cut: all.filter((e) => e.getBoundingClientRect().right > innerWidth + 1
      || (e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX !== "visible"))
      .map(name),
    controls: [...document.querySelectorAll(
      "button, input, select, .code > summary, .sidebar, header")]
      .filter(seen).map(name),
    dark: [document.body, ...all].filter((e) => dark(e) && !e.closest("svg, .live-figure"))
      .map(name),
    folded: [...document.querySelectorAll(".bd-article details:not(.code, .solution, .lf *)")]
      .filter((e) => !e.open).map(name),
    wide: Math.max(...all.filter((e) => e.matches("section > p"))
      .map((e) => e.getBoundingClientRect().width)) > 0.97 * innerWidth,
    legend: all.filter((e) => e.matches(".lf-legend > *")).map((e) => e.innerText.trim()),
  };
}"""
CLOSED = "() => document.querySelectorAll('.bd-article details:not([open])').length"


@pytest.mark.browser
def test_paper_has_all_of_a_page_in_light_colours_and_nothing_to_press(browser, site):
    """The claims have the widest table, chapter 5 the longest lines and a race with a table.

    Chapter 4 has a legend that takes lines out, and proofs that are folded.
    """
    paper = round(210 / 25.4 * 96 - 2 * 17 / 25.4 * 96)
    with Visit(browser, width=paper, scheme="dark") as visit:
        for name, legend in (
                ("claims/psgd", []), ("notation", []),
                ("chapters/gdpolyak", ["GDPolyak with growing K, predicted"]),
                ("chapters/fourth_order_growth",
                 ["constant steps", "Polyak steps alone", "GDPolyak", "predicted"])):
            page = visit.open(f"{site}/{name}.html")
            assert page.evaluate("document.documentElement.dataset.theme") == "dark"
            closed = page.evaluate(CLOSED)
            page.evaluate("dispatchEvent(new Event('beforeprint'))")
            page.emulate_media(media="print")
            assert page.evaluate(ON_PAPER) == {"cut": [], "controls": [], "dark": [], "folded": [],
                                               "wide": True, "legend": legend}
            page.evaluate("dispatchEvent(new Event('afterprint'))")
            assert page.evaluate("document.documentElement.dataset.theme") == "dark"
            assert page.evaluate(CLOSED) == closed
            page.emulate_media(media="screen")


# One PDF


@pytest.fixture(scope="module")
def book():
    """The book as `make pdf` writes it; where it is as new as the site it is not made again."""
    if chromium() is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(HOW_TO)
    from pypdf import PdfReader

    pdf = ROOT / "_build" / "escaping-saddles.pdf"
    if not pdf.exists() or pdf.stat().st_mtime < (ROOT / "_build" / ".book").stat().st_mtime:
        # In a process of its own: one has room for one Playwright.
        subprocess.run([sys.executable, ROOT / "_site" / "edition.py"], check=True, timeout=600)
    return PdfReader(pdf)


def squeezed(text):
    text = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in text if letter.isascii() and letter.isalnum()).lower()


def entries(items):
    """All entries of an outline, in reading order."""
    for item in items:
        if isinstance(item, list):
            yield from entries(item)
        else:
            yield item


@pytest.mark.browser
def test_the_pdf_is_the_whole_book(book):
    """Every heading is in the outline, or on a page between the entries around it.

    To read the words of a page takes a fifth of a second, so of the headings in the outline every
    eighth is also looked for on its page.
    """
    @functools.cache
    def text(number):
        return squeezed(book.pages[number].extract_text())

    top = [item.title for item in book.outline if not isinstance(item, list)]
    assert top == [" ".join(soup(name).article.h1.get_text().split()).rstrip("#")
                   for name in PRINTED]
    outline = [(squeezed(item.title), book.get_destination_page_number(item))
               for item in entries(book.outline)]
    assert len(outline) > 6 * len(PRINTED)
    listed = "".join(text(number) for number in range(outline[0][1]))
    for item in book.outline:
        if not isinstance(item, list):
            entry = f"{item.title}{book.get_destination_page_number(item) + 1}"
            assert squeezed(entry) in listed, "not in the list of contents with its page"
    assert 60 < len(book.pages) < 400
    assert min(len(re.findall(rb"\bT[jJ]\b", page.get_contents().get_data()))
               for page in book.pages) > 20, "an empty page"
    found, page = 0, 0
    for name in PRINTED:
        for heading in soup(name).article.find_all(["h1", "h2", "h3"]):
            words = squeezed("".join(piece for piece in heading.find_all(string=True)
                                     if not piece.find_parent(["math", "a"], class_="headerlink")
                                     and not piece.find_parent(class_="math")))
            at = next((at for at in range(found, min(found + 6, len(outline)))
                       if outline[at][0] == words), None)
            if at is not None:
                page, found = outline[at][1], at + 1
                assert found % 8 or words in text(page), heading
            else:
                until = outline[found][1] if found < len(outline) else len(book.pages) - 1
                assert any(words in text(number) for number in range(page, until + 1)), heading
    assert found > 0.9 * len(outline)


@pytest.mark.browser
def test_the_pdf_says_what_it_is(book):
    data = book.metadata
    assert (data.title, data.author) == (CONFIG["title"], CONFIG["author"])
    assert data.subject and data["/Keywords"]


@pytest.mark.browser
def test_links_of_the_pdf_stay_in_the_book_or_lead_to_the_public(book):
    inside, outside = [], []
    for page in book.pages:
        for link in page.get("/Annots") or []:
            link = link.get_object()
            action = link.get("/A", {})
            if "/URI" in action:
                outside.append(action["/URI"])
            else:
                inside.append(link.get("/Dest") or action["/D"])
    named = book.named_destinations
    assert len(inside) > 300
    assert [place for place in inside if isinstance(place, str) and place not in named] == []
    assert [url for url in outside if not url.startswith(("https://", "mailto:"))] == []
    chapters = tuple(f"{BASE}{name}.html#" for name in PRINTED)
    assert [url for url in outside if url.startswith(chapters)] == []


@pytest.mark.browser
def test_without_a_chromium_one_line_says_what_to_do(monkeypatch):
    edition = load(ROOT / "_site" / "edition.py")
    monkeypatch.setenv("CHROMIUM", "no-such-browser")
    with pytest.raises(SystemExit, match="^make pdf needs a Chromium: run apt-get install"):
        edition.main()


# Binder


def test_binder_installs_what_a_reader_needs():
    pins = load(ROOT / "binder" / "pins.py")
    assert (ROOT / "binder" / "requirements.txt").read_text() == pins.text(), (
        "run python binder/pins.py")
    listed = pins.pins(pins.LIST)
    assert listed.items() <= pins.pins().items()
    assert {"jupyterlab", "anywidget", "scikit-learn", "matplotlib", "scipy"} <= set(listed)
    assert not {"torch", "playwright", "pytest", "ruff", "hypothesis", "sphinx"} & set(listed)


def test_binder_takes_the_small_pytorch():
    script = (ROOT / "binder" / "postBuild").read_text()
    assert "--torch-backend cpu" in script and "grep '^torch==' requirements.txt" in script
    assert not re.search(r"https?://", script)
