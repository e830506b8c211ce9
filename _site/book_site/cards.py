"""Cards: what a link leads to, shown beside it by cards.js.

A card exists for each theorem, exercise, equation, source, claim, symbol and word of the glossary
that some page links to. All cards of the book are one file that a page asks for when a reader asks
for the first card. The same pass gives claims and symbols their anchors, and links the first use of
a symbol or a word on a page to where it is explained.

What stood elsewhere in an earlier edition is found by its name: book.js asks another file where an
anchor is that its page does not have.
"""

import json
import re
from html import escape
from pathlib import Path
from urllib.parse import urldefrag

import yaml
from sphinx.errors import ExtensionError

from .pages import element, end_of
from .sharing import ordered

FILE = "_static/cards.json"
MOVED = "_static/moved.json"
RENAMED = Path(__file__).parent.parent / "renamed.yml"
CLAIMS, NOTATION, GLOSSARY = "claims/", "notation", "glossary"  # the first one is a folder
MOVED_TO = (CLAIMS, "checking/")  # where the second edition has put things
# Pages whose tables have too many columns for a phone: there each row is a card.
WIDE = ("which_method", "teachers", NOTATION)
LONG = 1200  # so many characters of a statement are shown; the rest is a link away

ID = re.compile(r' id="([^"]*)"')
BOX = re.compile(r'<div class="(?:proof|exercise) [^"]*" id="([^"]+)"')
SOURCE = re.compile(r'<div class="citation" id="([^"]+)"')
EQUATION = re.compile(r'<div class="math[^"]*" id="([^"]+)"')
ROW = re.compile(r"<tr\b[^>]*>.*?</tr>", re.DOTALL)
TABLE = re.compile(r'<table class="table">.*?</table>', re.DOTALL)
WORDS = 100  # so many letters in the longest cells of all columns have no room side by side
CELL = re.compile(r"<(t[dh])\b[^>]*>(.*?)</\1>", re.DOTALL)
CLAIM = re.compile(r'<a id="(claim-[\w-]+)"></a>')
LINK = re.compile(r'<a (?=[^>]*class="([^"]*)")(?=[^>]*href="([^"]*)")[^>]*>')
SYMBOL = re.compile(r'<span class="math notranslate nohighlight">(?:(?!</span>).)*?'
                    r'<annotation encoding="application/x-tex">([^<]*)</annotation>'
                    r"(?:(?!</span>).)*</span>", re.DOTALL)
SCOPE = re.compile(r"^[\s(]*in (chapters? \d(?:(?:, | and | to )\d)*|[a-z]+)")
DEFINED = re.compile(r'((?:<dt id="term-[^>]*>.*?</dt>\s*)+)<dd>(.*?)</dd>', re.DOTALL)
TERM = re.compile(r'<dt id="(term-[^"]*)">(.*?)</dt>', re.DOTALL)
HEADERLINK = re.compile(r'<a class="headerlink".*?</a>', re.DOTALL)
# Words of the glossary that are plain English as well: only a reader can tell which is meant.
PLAIN = {"bare", "bend", "call", "default", "escape", "floor", "form", "gap", "jump", "kernel",
         "look", "range", "settle", "wall", "wrapped"}

VOID = {"br", "img", "input", "hr", "wbr", "meta", "link", "source", "col"}
# What has no words to link: other links, code, headings and bold questions, formulas, tables,
# folds and what is drawn.
CLOSED = {"a", "code", "pre", "h1", "h2", "h3", "h4", "h5", "h6", "math", "svg", "table", "figure",
          "button", "summary", "label", "style", "script", "textarea", "select", "dt", "strong",
          "details"}
CLOSED_CLASSES = re.compile(
    r'class="[^"]*\b(?:cell|admonition-title|math|needs-kernel|no-script|hero)\b')
TOKEN = re.compile(r"<(/?)([a-zA-Z][\w-]*)((?:[^<>\"]|\"[^\"]*\")*)>|([^<]+)|<")


def text(html):
    """The words of some HTML."""
    html = re.sub(r"<annotation.*?</annotation>", "", html, flags=re.DOTALL)
    return " ".join(re.sub("<[^>]*>", "", html).split())


def slug(words):
    """Part of an id: letters, digits and hyphens."""
    return re.sub(r"[^A-Za-z0-9]+", "-", words).strip("-")


def article(html):
    """Where the text of a page begins and ends."""
    start = html.find('<article class="bd-article">')
    return (start, html.find("</article>", start)) if start >= 0 else (0, 0)


def in_article(html, change):
    """A page with its text changed."""
    start, end = article(html)
    return html[:start] + change(html[start:end]) + html[end:]


# Anchors


def name_cells(table, change=lambda row: row):
    """Give each cell of a table the name of its column: on a phone a row becomes a card.

    The first cell is the title of the card, and says what it is where it is but a number.
    """
    names = [text(cell[2]) for cell in CELL.finditer(element(table, "<thead>", "thead"))]

    def row(found):
        cells = iter(names)
        html = re.sub(r"<td>", lambda _: f'<td data-label="{next(cells)}">', found[0])
        first = CELL.search(html)
        if first and re.fullmatch(r"\d+", text(first[2])):
            html = html.replace("<td ", '<td class="bare" ', 1)
        return change(html)

    head, body = table.split("<tbody>")
    return head + "<tbody>" + ROW.sub(row, body)


def name_fields(body, change=lambda row: row):
    """Make cards of all tables of a page."""
    body = TABLE.sub(lambda found: name_cells(found[0], change), body)
    return body.replace('<article class="bd-article">', '<article class="bd-article fields">')


def name_wide(body):
    """Make cards of those tables of a page that hold too many words for columns on a phone."""
    def one(found):
        rows = [[len(text(cell)) for _, cell in CELL.findall(row)] for row in ROW.findall(found[2])]
        named = re.search(r"<th\b[^>]*><p>\S", found[2])
        if not named or len(rows[0]) < 3 or sum(map(max, zip(*rows, strict=False))) < WORDS:
            return found[0]
        return found[1].replace("table-box", "table-box fields", 1) + name_cells(found[2])

    return re.sub(rf'(<div class="table-box[^>]*>\s*)({TABLE.pattern})', one, body, flags=re.DOTALL)


def mark_claims(body):
    """Give each row of the claims its id and a link."""
    def row(html):
        claim = CLAIM.search(html)
        if not claim:
            return html
        html = html.replace(claim[0], "", 1).replace("<tr", f'<tr id="{claim[1]}"', 1)
        link = (f'<a class="headerlink" href="#{claim[1]}" aria-label="Link to this claim">'
                "#</a>")
        return re.sub("</p></td>", link + "</p></td>", html, count=1)

    return name_fields(body, row).replace(" fields\"", " fields claims\"", 1)


def symbols(cell):
    """Each formula in the first cell of a row of the notation, with the scope that follows it."""
    for group in re.split(r";(?![^<]*>)", re.sub(r"&(#?\w+);", "&\\1\0", cell)):
        group = group.replace("\0", ";")
        found, scope = [], ""
        for place in SYMBOL.finditer(group):
            after = SCOPE.match(re.sub("<[^>]*>", "", group[place.end():]))
            found.append(place)
            if after or re.match(r"[\s(]*in\b", group[place.end():]):
                scope = after[1] if after else "a formula"
                break
        for place in found:
            yield place, scope


def tex_of(found):
    """The TeX of a formula, in one spelling."""
    tex = re.sub(r"&#x27;", "'", found[1]).replace("&amp;", "&").replace("&lt;", "<")
    return " ".join(tex.split())


def numbers(scope, chapters):
    """The chapters of a scope: of none all, of another kind than chapters no one."""
    if not scope:
        return chapters
    found = [int(number) for number in re.findall(r"\d+", scope)]
    return tuple(range(found[0], found[-1] + 1)) if " to " in scope else tuple(found)


def mark_symbols(body, chapters):
    """Give each symbol of the notation an id; returns the text, cards, and symbols by chapter."""
    cards, meant, specific = {}, {}, set()

    def row(found):
        cells = [cell[2] for cell in CELL.finditer(found[0])]
        if len(cells) < 4 or "<td" not in found[0]:
            return found[0]
        html = found[0]
        for place, scope in symbols(cells[0]):
            tex = tex_of(place)
            name = f"sym-{slug(tex)}" + (f"-in-{slug(scope)}" if scope else "")
            if name in cards:
                raise ExtensionError(f"notation.md has two symbols {name}: say in which chapters")
            html = html.replace(place[0], place[0].replace("<span", f'<span id="{name}"', 1), 1)
            python = f'<p class="card-foot">In <code>saddlelib</code>: {inner(cells[1])}</p>'
            unit = f'<p class="card-foot">Unit: {inner(cells[3])}</p>' if text(cells[3]) else ""
            cards[name] = (f'<p class="card-title">{inner(cells[0])}</p><p>{inner(cells[2])}</p>'
                           + (python if text(cells[1]) else "") + unit)
            for chapter in numbers(scope, chapters):
                if scope or (tex, chapter) not in specific:
                    meant[tex, chapter] = name
                if scope:
                    specific.add((tex, chapter))
        return html

    return ROW.sub(row, body), cards, meant


def inner(cell):
    """The content of a cell without its paragraph."""
    return re.sub(r"^\s*<p>|</p>\s*$", "", cell.strip())


def glossary(body, chapters):
    """The cards of the words of the glossary, and the word's id for each word and chapter."""
    found = [(name, text(HEADERLINK.sub("", html)), meaning)
             for terms, meaning in DEFINED.findall(body) for name, html in TERM.findall(terms)]
    cards, words = {}, {}
    # What a word means in some chapters goes before what it means everywhere.
    for name, term, meaning in sorted(found, key=lambda entry: " (in " in entry[1]):
        word, _, scope = term.partition(" (in ")
        cards[name] = f'<p class="card-title">{term}</p>{meaning}'
        for chapter in numbers(scope, chapters):
            words[word.lower(), chapter] = name
    return cards, words


# Cards


def clean(html, page):
    """HTML for a card: without ids, TeX and links to itself; addresses lead from the site's top."""
    html = HEADERLINK.sub("", html)
    html = re.sub(r"<annotation.*?</annotation>", "", html, flags=re.DOTALL)
    html = re.sub(r' (?:id|title|tabindex|role|aria-label)="[^"]*"', "", html)
    return re.sub(r'(?<=\shref=")[^"]*', lambda found: from_top(found[0], page), html)


def from_top(address, page):
    """An address on a page as it is from the top of the site."""
    if re.match(r"[a-z][a-z0-9+.-]*:|//", address):
        return address
    path, fragment = urldefrag(address)
    parts = page.split("/")[:-1]
    for part in (path.split("/") if path else [f"{page.rsplit('/', 1)[-1]}.html"]):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts) + (f"#{fragment}" if fragment else "")


CHILD = re.compile(r"\s*<(\w+)\b[^>]*>")


def shortened(html):
    """The first blocks of a statement, as many as a card has room for."""
    kept, at, length = [], 0, 0
    while found := CHILD.match(html, at):
        end = end_of(html, found.end() - len(found[0].lstrip()), found[1])
        block = html[found.start():end]
        length += len(text(block))
        if kept and length > LONG:
            return "".join([*kept, "<p>…</p>"])
        kept.append(block)
        at = end
    return html if not kept else "".join(kept)


def box_card(box):
    """The card of a statement: its name, and its words up to the first code."""
    title = element(box, r'<p class="admonition-title">', "p")
    body = element(box, r'<section class="[^"]*content"|<section\b', "section")
    body = re.sub(r"^<section[^>]*>|</section>$", "", body)
    name = re.sub(r"^<p[^>]*>|</p>$|<span class=\"claim-links\">.*</span>", "", title)
    return f'<p class="card-title">{name}</p>{shortened(body)}'


def claim_card(row):
    """The card of a claim: what it says, and its other columns with their names."""
    cells = re.findall(r'<td data-label="([^"]*)">(.*?)</td>', row, re.DOTALL)
    rest = "".join(f"<dt>{name}</dt><dd>{inner(html)}</dd>" for name, html in cells[1:])
    return f"<p>{inner(cells[0][1])}</p><dl>{rest}</dl>"


def page_cards(name, body):
    """Cards of what stands on a page, by id."""
    def all_of(opening, make, tag="div"):
        for found in opening.finditer(body):
            yield found[1], make(body[found.start():end_of(body, found.start(), tag)])

    yield from all_of(BOX, box_card)
    yield from all_of(EQUATION, lambda html: html)
    yield from all_of(SOURCE, lambda html: element(html, "<p>", "p"))
    if name.startswith(CLAIMS):
        for row in ROW.findall(body):
            found = re.match(r'<tr id="(claim-[\w-]+)"', row)
            if found:
                yield found[1], claim_card(row)


def label(name):
    """What the link of a card says: where it leads to."""
    kinds = {"cite": "the source", "claim": "the claim", "sym": "the notation",
             "term": "the glossary", "ex": "the exercise"}
    return kinds.get(name.split("-")[0], "the statement")


# Links


class Linker:
    """Goes once over a text and links the first use of each symbol and of each word in it."""

    def __init__(self, symbols_here, terms):
        self.symbols, self.terms = dict(symbols_here), dict(terms)
        # PGD is no word of a sentence: its capitals count.
        self.short = {word for word, address in terms.items()
                      if address.endswith(f"#term-{word.upper()}")}
        words = "|".join(re.escape(word).replace(r"\ ", r"\s+")
                         for word in sorted(terms, key=len, reverse=True))
        self.pattern = re.compile(rf"(?<![\w-])(?:{words})s?(?![\w-])", re.IGNORECASE)
        self.open, self.closed_at = [], None

    def running(self):
        """Whether the place is in running text."""
        return self.closed_at is None and ("p" in self.open or "li" in self.open)

    def words(self, said):
        """Some text with its first uses linked."""
        return self.pattern.sub(self._word, said) if self.terms and self.running() else said

    def _word(self, found):
        said = " ".join(found[0].lower().split())
        key = said if said in self.terms else said.removesuffix("s")
        if key not in self.terms or (key in self.short and not found[0].rstrip("s").isupper()):
            return found[0]
        return f'<a class="word" href="{self.terms.pop(key)}">{found[0]}</a>'

    def formula(self, body, at):
        """A formula that is one symbol, not met before, with its link; or None."""
        found = SYMBOL.match(body, at) if self.running() else None
        tex = tex_of(found) if found else None
        address = self.symbols.pop(tex, None)
        if not address:
            return None
        # A link of MathML alone has no name for whoever does not see it.
        spoken = escape(" ".join(re.findall(r"[^\W_]+|[^\w\s\\{}]", tex)))
        link = f'<a class="symbol" href="{address}" aria-label="{spoken}, a symbol">'
        return found.end(), f"{link}{found[0]}</a>"

    def step(self, closing, tag, attributes):
        """Remember which elements are open, and since which of them there is nothing to link."""
        if closing:
            self.open = self.open[:-1]
            if self.closed_at is not None and len(self.open) <= self.closed_at:
                self.closed_at = None
        elif tag not in VOID and not attributes.endswith("/"):
            if self.closed_at is None and (tag in CLOSED or CLOSED_CLASSES.search(attributes)):
                self.closed_at = len(self.open)
            self.open.append(tag)

    def link(self, body):
        """The text with its links."""
        done, at = [], 0
        while at < len(body):
            found = TOKEN.match(body, at)
            at = found.end()
            closing, tag, attributes, said = found.groups()
            formula = self.formula(body, found.start()) if tag == "span" and not closing else None
            if formula:
                at, html = formula
                done.append(html)
            elif said:
                done.append(self.words(said))
            else:
                done.append(found[0])
                if tag:
                    self.step(closing, tag, attributes)
        return "".join(done)


def add_links(body, meant, words, chapter, up):
    """Link the first use of each symbol and of each word of the glossary on a page.

    Single letters are said too often, in too many senses.
    """
    terms = {word: f"{up}{GLOSSARY}.html#{name}" for (word, where), name in words.items()
             if where == chapter and word not in PLAIN}
    here = {tex: f"{up}{NOTATION}.html#{name}" for (tex, where), name in meant.items()
            if where == chapter and not re.fullmatch("[A-Za-z]", tex)}
    return Linker(here, terms).link(body)


def add_claims(body, page, claims, up):
    """Let each statement lead to the claims that name it."""
    done, at = [], 0
    for found in BOX.finditer(body):
        there = claims.get(f"{page}.html#{found[1]}", [])
        links = " ".join(
            f'<a class="claim-link" href="{up}{address}">claim'
            f'{f" {number}" if len(there) > 1 else ""}</a>'
            for number, address in enumerate(there, 1))
        if links:
            end = body.index("</p>", found.end())
            done += [body[at:end], f'<span class="claim-links"> {links}</span>']
            at = end
    return "".join([*done, body[at:]])


def claims_of(page, body):
    """Pairs of a statement's address and that of a claim which names it."""
    for row in ROW.findall(body):
        name = re.match(r'<tr id="(claim-[\w-]+)"', row)
        for address in re.findall(r'href="([^"]+#(?:thm|lem|prop|cor|def|alg)-[\w-]+)"', row):
            if name:
                yield from_top(address, page), f"{page}.html#{name[1]}"


class Cards:
    """All cards of a book, and the passes over its pages that make and mark them."""

    def __init__(self, pages, chapters):
        self.chapters = chapters
        self.page_of, self.cards = {}, {}
        self.claims, self.meant, self.words = {}, {}, {}
        self.bodies = {name: html[slice(*article(html))] for name, html in pages}
        for name in [name for name in self.bodies if name.startswith(CLAIMS)]:
            self._claims(name)
        for name in filter(self.bodies.get, WIDE):
            self.bodies[name] = name_fields(self.bodies[name])
        for name in self.bodies:
            if name not in WIDE and not name.startswith(CLAIMS):
                self.bodies[name] = name_wide(self.bodies[name])
        for name, first in ((NOTATION, self._notation), (GLOSSARY, self._glossary)):
            if name in self.bodies:
                first(self.bodies[name])
        for name, body in self.bodies.items():
            self._add_all(name, dict(page_cards(name, body)))
        self.used = set()

    def _claims(self, name):
        self.bodies[name] = mark_claims(self.bodies[name])
        for statement, claim in claims_of(name, self.bodies[name]):
            if claim not in self.claims.setdefault(statement, []):
                self.claims[statement].append(claim)

    def _notation(self, body):
        self.bodies[NOTATION], cards, self.meant = mark_symbols(
            body, tuple(self.chapters.values()))
        self._add_all(NOTATION, cards)

    def _glossary(self, body):
        cards, self.words = glossary(body, tuple(self.chapters.values()))
        self._add_all(GLOSSARY, cards)

    def _add_all(self, page, cards):
        for target, html in cards.items():
            self._add(page, target, html)

    def _add(self, page, target, html):
        if self.page_of.setdefault(target, page) != page:
            raise ExtensionError(f"{target} is an id on {page} and on {self.page_of[target]}")
        self.cards[target] = clean(html, page)

    def mark(self, name, body):
        """Mark the links of a text that have a card, and take the browser's own labels off them."""
        def link(found):
            address = from_top(found[2], name)
            path, _, target = address.partition("#")
            known = self.page_of.get(target) == path.removesuffix(".html")
            if not known or "headerlink" in found[1] or "backlink" in found[0]:
                return found[0]
            self.used.add(target)
            html = re.sub(r' title="[^"]*"', "", found[0])
            return html.replace(f'class="{found[1]}"', f'class="{found[1]} has-card"', 1)

        return LINK.sub(link, body)

    def page(self, name, html):
        """A finished page with its anchors, its links and what shows their cards."""
        up = "../" * name.count("/")
        body = self.bodies.pop(name, None)
        if not body:
            return html
        body = add_claims(body, name, self.claims, up)
        if name in self.chapters:
            body = add_links(body, self.meant, self.words, self.chapters[name], up)
        body = self.mark(name, body)
        html = in_article(html, lambda _: body)
        files = f'<link rel="stylesheet" href="{up}_static/cards.css" />\n'
        if "has-card" in body:
            files += f'<script type="module" src="{up}_static/cards.js"></script>\n'
        elif not name.startswith(CLAIMS) and name not in WIDE:
            return html
        return html.replace("</head>", files + "</head>", 1)

    def moved(self):
        """Addresses of the anchors that once stood on another page, or had another name."""
        found = {target: f"{page}.html#{target}" for target, page in self.page_of.items()
                 if page.startswith(MOVED_TO)}
        renamed = yaml.safe_load(RENAMED.read_text("utf8"))
        for old, place in renamed.items():
            page, _, target = place.partition("#")
            if self.page_of.get(target) != page:
                raise ExtensionError(f"{RENAMED.name} leads {old} to {place}, which is not there")
            found[old] = f"{page}.html#{target}"
        return found

    def write(self, folder):
        """Write the cards that some page links to, and where old addresses lead."""
        cards = {target: {"html": self.cards[target], "to": label(target)}
                 for target in sorted(self.used)}
        for name, what in ((FILE, cards), (MOVED, self.moved())):
            (folder / name).write_text(
                json.dumps(what, ensure_ascii=False, separators=(",", ":")), "utf8")


def step(app):
    """Of the pass over the finished pages; after the last of them the cards are written."""
    names = ordered(app)
    chapters = {name: number for number, name in enumerate(
        (name for name in names if name.startswith("chapters/")), 1)}
    out = Path(app.outdir)
    cards = Cards(((name, (out / f"{name}.html").read_text("utf8")) for name in names), chapters)
    left = set(names)

    def change(name, html):
        html = cards.page(name, html)
        left.discard(name)
        if not left:
            cards.write(out)
        return html

    return change
