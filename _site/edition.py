"""The whole book as one PDF: ``python _site/edition.py``, which ``make pdf`` calls.

The pages of the built site become one long page, so that a link from one chapter to another is a
link inside the book. A Chromium prints it with the rules of print.css and those here; live figures
are there as their still pictures, proofs and solutions are open.
"""

import contextlib
import functools
import gc
import http.server
import io
import os
import shutil
import subprocess
import sys
import threading
from html import escape
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import matplotlib
import yaml
from book_site import labels
from bs4 import BeautifulSoup
from playwright.sync_api import sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.generic import NameObject

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_build" / "html"
PDF = ROOT / "_build" / "escaping-saddles.pdf"
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))
BASE = CONFIG["html"]["baseurl"]
NO_CHROMIUM = ("make pdf needs a Chromium: run apt-get install chromium, or set "
               "CHROMIUM=/path/to/it")
NO_JAPANESE = ("no font here has Japanese, so one page of the book will be empty boxes: "
               "run apt-get install fonts-noto-cjk")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable",
         "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
# Attributes that hold ids of the same page.
POINTERS = ("for", "aria-labelledby", "aria-describedby", "aria-controls", "aria-owns", "headers")
# What a printed page has no use for, or shows in another way.
DROPPED = ".headerlink, .copybtn, .on-dark, script, noscript, nav"
FACES = {"STIXGeneral.ttf": "", "STIXGeneralBol.ttf": "font-weight: bold",
         "STIXGeneralItalic.ttf": "font-style: italic",
         "STIXGeneralBolIta.ttf": "font-weight: bold; font-style: italic"}
STYLE = """
@page {{ size: A4 }}
@page cover {{ @bottom-center {{ content: none }} }}
{pages}
{faces}
html {{ font-size: 13px }}
body, .bd-article, h1, h2, h3, h4 {{ font-family: "Book", "Hiragino Mincho ProN", "Yu Mincho",
  "Noto Serif CJK JP", "Noto Serif JP", serif !important }}
.bd-article {{ font-size: 11.5pt !important; text-rendering: optimizeLegibility; hyphens: auto }}
.bd-article.chapter:not(.runs-on) {{ break-before: page }}
.runs-on h1 {{ margin-top: 12mm !important }}
.runs-on > section > p {{ break-after: avoid }}
#cover {{ page: cover; text-align: center; padding-top: 38mm; break-after: page }}
#cover h1 {{ font-size: 40pt !important; margin: 12mm 0 4mm !important }}
#cover p {{ font-size: 14pt; margin: 3mm }}
#cover img {{ width: 150mm; max-width: 150mm }}
#cover .small {{ font-size: 10pt; color: #4e5862; margin-top: 22mm }}
#contents {{ page: cover }}
#contents ul {{ list-style: none; padding: 0 }}
#contents ul ul {{ padding-left: 6mm; font-size: 10.5pt; columns: 2; column-gap: 8mm }}
#contents li {{ margin: 0.4mm 0; break-inside: avoid-column }}
#contents > ul > li {{ margin-top: 3mm; font-weight: 600; break-inside: avoid }}
#contents > ul > li ul {{ font-weight: 400 }}
#contents a {{ display: flex; color: #000 }}
#contents a::after {{ content: attr(data-page); margin-left: auto; padding-left: 3mm }}
"""


def chromium():
    """Path of the browser, or None."""
    if os.environ.get("CHROMIUM"):
        return shutil.which(os.environ["CHROMIUM"])
    return next(filter(None, map(shutil.which, NAMES)), None)


def knows_japanese():
    """Whether this machine can draw Japanese; where it cannot say, as on macOS, it can."""
    ask = shutil.which("fc-list")
    return not ask or bool(
        subprocess.run([ask, ":lang=ja"], capture_output=True, check=False).stdout)


def printed_names():
    """Names of the pages, first to last; the API reference is for a screen alone."""
    return [name for name in labels.reading_order(ROOT) if not name.startswith("api/")]


def mark(name, anchor=""):
    """The id in the book of an anchor of a page, or of the page itself.

    A chapter, its appendix and its claims have one name, in three folders.
    """
    place = name.replace("/", "-")
    return f"{place}--{anchor}" if anchor else place


def target(name, href, names):
    """Where a link of a page leads from inside the book."""
    url = urlsplit(href)
    if url.scheme:
        return href
    path = urlsplit(urljoin(f"/{name}.html", href)).path.lstrip("/")
    page = path.removesuffix(".html")
    if page in names:
        return "#" + mark(page, url.fragment)
    return urljoin(BASE, path) + (f"#{url.fragment}" if url.fragment else "")


def gather_solutions(soup, text, name):
    """Solutions leave their exercises for the end of the chapter: a book answers later."""
    solutions = text.select("details.solution")
    if solutions:
        section = soup.new_tag("section", id=mark(name, "solutions"))
        heading = soup.new_tag("h2")
        heading.string = "Solutions"
        section.extend([heading, *(solution.extract() for solution in solutions)])
        (text.find("section") or text).append(section)


def article(site, name, names):
    """The text of one page as part of the book."""
    soup = BeautifulSoup((site / f"{name}.html").read_text("utf8"), "html.parser")
    text = soup.select_one("article.bd-article")
    for node in text.select(DROPPED):
        node.decompose()
    for node in text.find_all(True):
        if node.get("id"):
            node["id"] = mark(name, node["id"])
        for key in POINTERS:
            if key in node.attrs:
                node[key] = " ".join(mark(name, word) for word in str(node[key]).split())
        if node.name == "a" and "href" in node.attrs:
            node["href"] = target(name, node["href"], names)
        elif node.name in ("img", "source") and node.get("src"):
            node.attrs.pop("loading", None)
            node["src"] = urlsplit(urljoin(f"/{name}.html", node["src"])).path.lstrip("/")
        elif node.name == "details" and "code" not in node.get("class", []):
            node["open"] = ""
    for still in text.select("figure.no-script figcaption"):
        still.clear()
        link = soup.new_tag("a", href=urljoin(BASE, f"{name}.html"))
        link.string = "on the site"
        still.extend(["The first state of a live figure; it moves ", link, "."])
    gather_solutions(soup, text, name)
    text["id"], text["class"] = mark(name), ["bd-article", "chapter"]
    if name.startswith("claims/"):  # the lists of claims go on where the one before ends
        text["class"].append("runs-on")
    return text


def headings(text):
    """Level, id and words of the headings of an article."""
    for node in text.find_all(["h1", "h2", "h3"]):
        place = text["id"] if node.name == "h1" else node.find_parent("section")["id"]
        words = "".join(piece for piece in node.find_all(string=True)
                        if not piece.find_parent("annotation"))
        yield int(node.name[1]), place, " ".join(words.split())


def contents(found, pages):
    """The list of contents, with the numbers of the pages where they are known."""
    def entry(place, words):
        return (f'<a href="#{escape(place)}" data-page="{pages.get(place, "")}">'
                f"<span>{escape(words)}</span></a>")

    rows = []
    for chapter in found:
        (_, place, words), *rest = chapter
        inner = "".join(f"<li>{entry(p, w)}</li>" for level, p, w in rest if level == 2)
        rows.append(f"<li>{entry(place, words)}{f'<ul>{inner}</ul>' if inner else ''}</li>")
    return f'<nav id="contents" class="bd-article"><h2>Contents</h2><ul>{"".join(rows)}</ul></nav>'


def cover():
    """The title page."""
    return f"""<section id="cover" class="bd-article">
<img src="_static/icons/cover.svg" alt="" />
<h1>{escape(CONFIG["title"])}</h1>
<p>An executable book and a library</p>
<p>{escape(CONFIG["author"])}</p>
<p class="small">The living edition, with figures that answer and notebooks that run:<br />
<a href="{BASE}">{BASE}</a><br />{escape(CONFIG["html"]["extra_footer"].strip())}</p></section>"""


def sheets(site):
    """Addresses of the style sheets that any page of the book has, in order, from the top."""
    found = {}
    for name in printed_names():
        head = (site / f"{name}.html").read_text("utf8").split("</head>")[0]
        for link in BeautifulSoup(head, "html.parser").select('link[rel="stylesheet"]'):
            path = urlsplit(urljoin(f"/{name}.html", link["href"])).path.lstrip("/")
            found[path] = link.get("media") == "print"
    return sorted(found, key=found.get)  # those for paper last, as on each page


def page_of(site, articles, found, pages):
    """The book as one HTML page; ``pages`` has the numbers for the list of contents."""
    links = "".join(f'<link rel="stylesheet" href="{sheet}" />' for sheet in sheets(site))
    faces = "".join(f'@font-face {{ font-family: "Book"; src: url(_fonts/{name}); {style} }}'
                    for name, style in FACES.items())
    running, page = "", ""
    for text, chapter in zip(articles, found, strict=True):
        if "runs-on" not in text["class"]:
            page = text["id"]
            running += (f'@page {page} {{ @top-right {{ content: "{chapter[0][2]}"; '
                        'font: italic 9.5pt "Book", serif; color: #4e5862 } }')
        running += f'#{text["id"]} {{ page: {page} }}'
    style = STYLE.format(pages=running, faces=faces)
    body = "".join(map(str, articles))
    return (f'<!DOCTYPE html><html lang="en" data-theme="light"><head><meta charset="utf-8" />'
            f'<title>{escape(CONFIG["title"])}</title>{links}<style>{style}</style>'
            # Laid out once, when it is printed: laying it out takes most of the time.
            f'<style media="screen">body {{ display: none }}</style></head>'
            f'<body><main>{cover()}{contents(found, pages)}{body}</main></body></html>')


@contextlib.contextmanager
def serve(folder):
    """Serve a folder on a free port of this machine; yields the address."""
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    class Server(http.server.ThreadingHTTPServer):
        # A browser opens six connections at once; of those that find no room it loses some.
        request_queue_size = 128

    with Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def show(page, address, html):
    """Load the book into a page of the browser until its pictures and formulas are there."""
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    page.route(address + "book.html", lambda route: route.fulfill(
        body=html, content_type="text/html; charset=utf-8"))
    page.route(address + "_fonts/*", lambda route: route.fulfill(
        path=fonts / urlsplit(route.request.url).path.rpartition("/")[2]))
    page.goto(address + "book.html", wait_until="load")
    page.evaluate("() => Promise.all([...document.fonts].map((f) => f.load())).then(() => null)")


def numbers(pdf, places):
    """The page on which each place of the book begins, counted from one."""
    reader = PdfReader(pdf)
    named = reader.named_destinations
    return {place: reader.get_destination_page_number(named[f"/{place}"]) + 1
            for place in places if f"/{place}" in named}


def finish(pdf, front, out, found, pages):
    """Give the printed book its first pages with numbers, its outline and its data; write it."""
    writer = PdfWriter(clone_from=pdf)
    for old, new in zip(writer.pages, PdfReader(io.BytesIO(front)).pages, strict=False):
        for key in ("/Contents", "/Resources"):  # its links stay
            value = new[key].clone(writer)
            old[NameObject(key)] = (getattr(value, "indirect_reference", None)
                                    or writer._add_object(value))
    for chapter in found:
        parents = {}
        for level, place, words in chapter:
            if place in pages:
                above = next((parents[k] for k in range(level - 1, 0, -1) if k in parents), None)
                parents = {k: v for k, v in parents.items() if k < level}
                parents[level] = writer.add_outline_item(
                    title=words, page_number=pages[place] - 1, parent=above)
    writer.add_metadata({
        "/Title": CONFIG["title"], "/Author": CONFIG["author"],
        "/Subject": "First-order methods that get past saddle points and flat ravines",
        "/Keywords": "saddle points, gradient descent, second-order stationary points",
    })
    writer.page_mode = "/UseOutlines"
    writer.write(out)


def build(site=SITE, out=PDF):
    """Print the book of a built site and return where it is."""
    names = printed_names()
    articles = [article(site, name, names) for name in names]
    found = [list(headings(text)) for text in articles]
    places = [place for chapter in found for _, place, _ in chapter]
    out.parent.mkdir(parents=True, exist_ok=True)
    printed = out.with_suffix(".printed.pdf")
    with sync_playwright() as playwright, serve(site) as address:
        browser = playwright.chromium.launch(executable_path=chromium(), args=[
            "--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        page = browser.new_page()
        page.set_default_timeout(600_000)  # a machine with other work takes ten times as long
        show(page, address, page_of(site, articles, found, {}))
        paper = {"prefer_css_page_size": True, "print_background": True}
        page.pdf(path=printed, **paper)
        pages = numbers(printed, places)
        # The list of contents needs numbers that only the printed book knows: it is printed again,
        # now without the chapters, which take most of the time.
        page.evaluate("""(pages) => {
          for (const [place, page] of Object.entries(pages))
            document.querySelector(`#contents a[href="#${CSS.escape(place)}"]`)
              ?.setAttribute("data-page", page);
          for (const chapter of document.querySelectorAll(".chapter")) chapter.remove();
        }""", pages)
        front = page.pdf(**paper)
        browser.close()
    finish(printed, front, out, found, pages)
    printed.unlink()
    return out


def main():
    """Build the PDF of the built site, or say in one line what is missing."""
    if chromium() is None:
        sys.exit(NO_CHROMIUM)
    if not (SITE / "index.html").exists():
        sys.exit("_build/html is missing: run make book")
    if not knows_japanese():
        print(NO_JAPANESE)
    gc.disable()  # nothing of the book becomes garbage before it is written
    out = build()
    print(f"{out.relative_to(ROOT)}: {len(PdfReader(out).pages)} pages")


if __name__ == "__main__":
    main()
