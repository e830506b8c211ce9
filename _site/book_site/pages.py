"""The skeleton of a page, and folds: code, proofs and solutions as real `<details>`."""

import re
from pathlib import Path

TEMPLATES = Path(__file__).parent.parent / "templates"

# Style sheets and scripts of the theme and its extensions that the book's own take the place of.
UNUSED = re.compile(
    r"togglebutton\.|sphinx-book-theme\.|mystnb\.|proof\.css|exercise\.css|basic\.css"
    r"|copybutton|clipboard|design-tabs\.js|sphinx-design\.min\.css|pydata-sphinx-theme\.|bootstrap\.js|fontawesome")
# What only the page of the search needs.
OF_THE_SEARCH = re.compile(r"documentation_options\.js|doctools\.js|sphinx_highlight\.js")

CELL = re.compile(r'<div class="cell [^"]*">')
SHORT = 3  # so many lines of code stand open: a fold would take as much room


def end_of(html, start, tag="div"):
    """Where the element that begins at a place ends."""
    depth = 0
    for found in re.compile(rf"<(/?){tag}\b[^>]*>").finditer(html, start):
        depth += -1 if found[1] else 1
        if depth == 0:
            return found.end()
    raise ValueError(f"<{tag}> is not closed: {html[start:start + 80]}")


def element(html, opening, tag="div"):
    """The first element whose opening tag a pattern finds, or an empty string."""
    found = re.search(opening, html)
    return html[found.start():end_of(html, found.start(), tag)] if found else ""


def replace_elements(html, opening, make, tag="div"):
    """Put what `make` says in place of every element whose opening tag a pattern finds."""
    done, at = [], 0
    while found := opening.search(html, at):
        end = end_of(html, found.start(), tag)
        done += [html[at:found.start()], make(html[found.start():end])]
        at = end
    return "".join([*done, html[at:]])


def fold(kind, show, hide, hidden, inside):
    """A fold whose name says what it does now; the hidden words make it one of a kind."""
    return (f'<details class="fold {kind}"><summary><span class="when-closed">{show}</span>'
            f'<span class="when-open">{hide}</span><span class="unseen">, {hidden}</span>'
            f"</summary>\n{inside}\n</details>\n")


def fold_cells(body):
    """Fold the code of every cell that is longer than a few lines, below a live figure's picture.

    A cell tagged `show-code` stays open; one tagged `hide-cell` is folded with what it prints.
    """
    count = 0

    def one(cell):
        nonlocal count
        count += 1
        opening = CELL.match(cell)[0]
        code = element(cell, r'<div class="cell_input ')
        output = element(cell, r'<div class="cell_output ')
        lines = code.count("\n", code.find("<pre>")) - code.count("\n", code.find("</pre>"))
        name = f"cell {count}"
        if "tag_hide-cell" in opening:
            words = (("Show the table", "Hide the table") if "<table" in output
                     else ("Show the answer as code", "Hide the answer"))
            inside = fold("code", *words, name, code + output)
        elif "tag_show-code" in opening or (lines <= SHORT and "tag_hide-input" not in opening):
            inside = code + output
        else:
            folded = fold("code", "Show the code", "Hide the code",
                          f"{name}, {lines} lines", code) if code else ""
            inside = output + folded if 'class="live-figure' in output else folded + output
        return f"{opening}\n{inside}</div>"

    return replace_elements(body, CELL, one)


FOLDED = re.compile(r'<div class="(?=[^"]*\bdropdown\b)(?=[^"]*\badmonition\b)[^"]*"[^>]*>')
TITLE = re.compile(r'<p class="admonition-title">(.*?)</p>', re.DOTALL)


def fold_boxes(body):
    """Make a real fold of each box that asks for one: proofs, solutions, what you will learn.

    Its title is what opens it, so it holds no link.
    """
    def name(title):
        words = re.sub(r"</?a\b[^>]*>", "", title[1])
        return f'<summary class="admonition-title">{words}</summary>'

    def one(box):
        opening = FOLDED.match(box)[0]
        attributes = opening[len("<div "):-1].replace("dropdown", "fold", 1)
        inside = fold_boxes(box[len(opening):-len("</div>")])  # boxes in boxes
        inside = TITLE.sub(name, inside, count=1)
        return f"<details {attributes}>{inside}</details>"

    return replace_elements(body, FOLDED, one)


def mend(body):
    """Take off ids that stand many times, roles without sense, empty headers; box the tables.

    ARIA forbids the children that docutils gives a bibliography's list.
    """
    body = re.sub(r' id="(?:proof|exercise|solution)-content"', "", body)
    body = re.sub(r'<th class="head">(?:<p></p>)?</th>', "<td></td>", body)
    body = body.replace("pst-scrollable-table-container", "table-box")
    body = re.sub(r'(<table class="results">.*?</table>)', r'<div class="table-box">\1</div>', body,
                  flags=re.DOTALL)
    body = body.replace('<div role="list" class="citation-list">', "<div>")
    body = re.sub(r'<a class="headerlink" href="#id\d+" title="Link to this image">#</a>', "", body)
    return body.replace(' role="doc-biblioentry"', "")


CELL_CODE = re.compile(r"<t[dh]\b.*?</t[dh]>", re.DOTALL)
NAME = re.compile(r'(?<=<span class="pre">)[^<]*')


PIECE = re.compile(r'<span class="pre">.*?</span>')
POWER = re.compile(r"\d[\d.]*e-\d+")
UNIT = re.compile(r"<(pre|code|annotation)\b.*?</\1>|<[^>]*>|(?<=\d) %", re.DOTALL)


def breakable(body):
    """Let long names in tables break after a dot or an underscore, and nowhere in a number.

    Nowhere either may a line end inside 1e-3, or between a number and its per cent.
    """
    body = UNIT.sub(lambda found: "\u00a0%" if found[0] == " %" else found[0], body)
    body = CELL_CODE.sub(lambda cell: NAME.sub(
        lambda name: re.sub(r"(?:_|(?<!\d)\.)(?=\w)", r"\g<0><wbr>", name[0]), cell[0]), body)
    return PIECE.sub(lambda code: POWER.sub(r'<span class="glue">\g<0></span>', code[0]), body)


FORMULA = r'<span class="math notranslate nohighlight{}">(?:(?!</span>).)*'
MARK = r"</span>([,.;:!?)’”…]+|-\w+)"
SHORT_FORMULA = re.compile(FORMULA.format("") + MARK, re.DOTALL)
LONG_FORMULA = re.compile(f"({FORMULA.format(' long')}){MARK}", re.DOTALL)


def glue(body):
    """Keep a formula and the mark after it on one line; a browser breaks between them.

    A long one scrolls where it has no room, and takes its mark along.
    """
    body = SHORT_FORMULA.sub(r'<span class="glue">\g<0></span>', body)
    return LONG_FORMULA.sub(r"\1\2</span>", body)


def links(context):
    """The address on Binder, and the other links that the theme makes for a page."""
    buttons = [button for group in context.get("header_buttons", [])
               for button in group.get("buttons", [group]) if button.get("url")]
    binder = next((b["url"] for b in buttons if "mybinder" in b["url"]), None)
    return binder, [{"url": b["url"], "text": "Notebook (.ipynb)" if b["text"] == ".ipynb"
                     else b["text"]} for b in buttons if b["url"] != binder]


def dress(app, pagename, templatename, context, doctree):
    """Give a page its folds, its links and only the files that it needs."""
    if context.get("body"):
        context["body"] = glue(breakable(mend(fold_boxes(fold_cells(context["body"])))))
    context["has_code"] = 'class="fold code"' in context.get("body", "")
    context["binder_url"], context["page_links"] = links(context)
    context["default_mode"] = "light"  # what a page is without scripts; early.js knows better

    def needed(file):
        name = getattr(file, "filename", "") or ""
        if UNUSED.search(str(name)) and not (
                "sphinx-design" in str(name) and "sd-" in context.get("body", "")):
            return False
        body = getattr(file, "attributes", {}).get("body", "")
        if body and re.match(r"let toggle|var toggle|DOCUMENTATION_OPTIONS", body):
            return False
        return pagename == "search" or not OF_THE_SEARCH.search(str(name))

    for kind in ("css_files", "script_files"):
        context[kind] = [file for file in context.get(kind, []) if needed(file)]


def use_templates(app, config):
    """Let the book's templates go before the theme's."""
    config.templates_path.insert(0, str(TEMPLATES))


def setup(app):
    """Register with Sphinx; the theme adds its buttons at 501."""
    app.connect("config-inited", use_templates)
    app.connect("html-page-context", dress, priority=950)
