"""Plain Markdown, which JupyterLab and git hosts show as well, becomes the MyST of the site.

The notebooks know no directive and no role. What they have instead, everybody renders:

- ``> **Theorem 2.3 (Its title).** <a id="thm-its-label"></a>`` begins a quotation with a theorem,
  and so for the other kinds and for exercises; ``> **In one minute.** Some words`` is a box;
- ``<details><summary>Proof</summary>`` folds what follows up to ``</details>``;
- ``[Theorem 2.3](#thm-its-label)`` refers to it, with ``other.ipynb`` before the # from elsewhere;
- ``[Jin et al. (2017)](https://arxiv.org/abs/1703.00887)`` cites what references.bib has at that
  address, and ``[(Jin et al., 2017)](...)`` does so beside a sentence;
- the cell of a live figure names the picture that stands in its place where no script runs; on a
  page of Markdown that is the picture before it.

Numbers and names are written out for everybody else; the site makes its own, and `labels` sees to
it that they are the same.
"""

import json
import re
from pathlib import Path

from docutils import nodes

from .sources import Sources

# How a label begins, what it names, and the directive for it.
KINDS = {"thm": "Theorem", "lem": "Lemma", "prop": "Proposition", "cor": "Corollary",
         "def": "Definition", "alg": "Algorithm", "ex": "Exercise"}
# Boxes with a colour of their own; any other is a note.
BOXES = {"In one minute": "important", "Two numbers called σ": "warning",
         "What to do on your own problem": "tip", "What you will learn": "tip"}
CAPTION = "The still picture of the live figure below, for readers without scripts."

NUMBER = r"(?:A?\d+\.)?\d+"  # the third of chapter 2 is 2.3, of its appendix A2.3
LABEL = rf"(?:{'|'.join(KINDS)})-[\w-]+"
STATEMENT = re.compile(rf'\*\*(?P<kind>{"|".join(KINDS.values())}) (?P<number>{NUMBER})'
                       rf'(?: \((?P<title>.*)\))?\.\*\* <a id="(?P<label>{LABEL})"></a>')
BOX = re.compile(r"\*\*(?P<title>[^*]+)\.\*\*(?: |$)")
FOLD = re.compile(r"<details><summary>(?P<title>.*)</summary>")
SOLUTION = re.compile(rf"Solution to \[Exercise {NUMBER}\]\(#(?P<label>{LABEL})\)")
LINK = re.compile(r"(?<!!)\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\((?P<address>[^()\s]+)\)")
REFERENCE = re.compile(rf"[^:#]*#(?P<label>{LABEL})")
CITES = re.compile(r"\(?[^()]+(?: \(|, )\d{4}\)")
ANCHOR = re.compile(r'<a id="([\w-]+)">')
HEADING = re.compile(r'^<a id="(?P<name>[\w-]+)"></a>\n+(?=#+ (?P<words>.*)$)', re.MULTILINE)
STILL = re.compile(r"^!\[(?P<alt>[^\]]*)\]\((?P<picture>\S+)\)\n\n(?=```\{code-cell\})",
                   re.MULTILINE)
# What a link cannot begin in: code and formulas.
VERBATIM = re.compile(r"^(?P<fence>```+|~~~+).*?^(?P=fence)[ \t]*$"
                      r"|(?P<tick>`+)(?!`).+?(?<!`)(?P=tick)(?!`)"
                      r"|\$\$.+?\$\$|(?<!\\)\$[^$]+\$", re.DOTALL | re.MULTILINE)


class Lie(ValueError):
    """Plain Markdown that says what is not so."""


def to_myst(text, sources):
    """The MyST for a text in plain Markdown."""
    return _inline(_blocks(text.split("\n")), sources)


def notebook_to_myst(text, sources):
    """The same for each Markdown cell of a notebook's file; still pictures get a cell each.

    Where readers are to write code, a page shows what they begin with, and not what an empty answer
    is told.
    """
    notebook = json.loads(text)
    cells = []
    for cell in notebook["cells"]:
        still = cell["metadata"].get("still")
        if cell["cell_type"] == "markdown":
            cell["source"] = to_myst("".join(cell["source"]), sources)
        elif still:
            cells.append({"cell_type": "markdown", "id": f"still-{len(cells)}", "metadata": {},
                          "source": _figure(still)})
        elif "checks.check(" in "".join(cell["source"]):
            cell["metadata"].setdefault("tags", []).extend(["show-code", "remove-output"])
        cells.append(cell)
    notebook["cells"] = cells
    return json.dumps(notebook, ensure_ascii=False)


def page_to_myst(text, sources):
    """The same for a page of Markdown."""
    return to_myst(STILL.sub(lambda still: f"{_figure(still)}\n\n", text), sources)


def _figure(still):
    return _directive("figure", still["picture"], {"class": "no-script", "figclass": "no-script",
                                                   "alt": still["alt"]}, CAPTION)


def _directive(name, title, options, body):
    inside = max((len(colons) for colons in re.findall(r"^:{3,}", body, re.MULTILINE)), default=2)
    fence = ":" * (inside + 1)
    head = [f"{fence}{{{name}}} {title}".rstrip(), *(f":{key}: {o}" for key, o in options.items())]
    return "\n".join([*head, "", body.strip("\n"), fence])


def _blocks(lines):
    """Quotations and folds as directives; what is inside them, too."""
    done, i = [], 0
    fence = None
    while i < len(lines):
        line = lines[i]
        opened = re.match(r"```+|~~~+", line)
        if opened and fence in (None, opened[0]):
            fence = None if fence else opened[0]
        end = None if fence else _end_of_block(lines, i)
        if end is None:
            done.append(line)
            i += 1
        else:
            done.append(_block(lines[i:end]))
            i = end
    return "\n".join(done)


def _end_of_block(lines, start):
    """Where a quotation or a fold that begins in a line is over; None if none begins there."""
    if lines[start].startswith("> **"):
        return next((i for i in range(start, len(lines)) if not lines[i].startswith(">")),
                    len(lines))
    if not FOLD.match(lines[start]):
        return None
    depth = 0
    for i in range(start, len(lines)):
        depth += bool(FOLD.match(lines[i])) - (lines[i] == "</details>")
        if depth == 0:
            return i + 1
    raise Lie(f"no line </details> ends {lines[start]!r}")


def _block(lines):
    fold = FOLD.match(lines[0])
    if fold:
        title = re.sub(r'<a href="([^"]*)">(.*?)</a>', r"[\2](\1)", fold["title"])
        body = _blocks(lines[1:-1])
        solution = SOLUTION.fullmatch(title)
        if solution:
            return _directive("solution", solution["label"], {"class": "dropdown"}, body)
        kind = f"{BOXES[title]} dropdown" if title in BOXES else "dropdown"
        return _directive("admonition", title, {"class": kind}, body)
    lines = [re.sub("^> ?", "", line) for line in lines]
    statement, box = STATEMENT.match(lines[0]), BOX.match(lines[0])
    if statement:
        body = _blocks([lines[0][statement.end():].lstrip(), *lines[1:]])
        name = statement["kind"].lower()
        if KINDS[statement["label"].split("-")[0]] != statement["kind"]:
            raise Lie(f"{statement['label']!r} is the label of another kind than {name}")
        return _directive(name if name == "exercise" else f"prf:{name}", statement["title"] or "",
                          {"label": statement["label"]}, body)
    if re.match(rf"\*\*(?:{'|'.join(KINDS.values())})\b", lines[0]):
        raise Lie(f"a number, a title in parentheses, a full stop, and a label: {lines[0]!r}")
    if box:
        body = _blocks([lines[0][box.end():], *lines[1:]])
        return _directive("admonition", box["title"],
                          {"class": BOXES.get(box["title"], "note")}, body)
    return "\n".join(f"> {line}".rstrip() for line in lines)


def _inline(text, sources):
    """Links that refer or cite as roles, outside of code and formulas."""
    kept = []

    def keep(match):
        kept.append(match[0])
        return f"\0{len(kept) - 1}\0"

    text = VERBATIM.sub(keep, HEADING.sub(_target, text))
    text = LINK.sub(lambda link: _role(link, sources), text)
    # Quotation marks are set by what stands before them, which here is no letter.
    text = re.sub(f'({ANCHOR.pattern}</a>)"', r"\1“", text)
    while "\0" in text:
        text = re.sub("\0(\\d+)\0", lambda match: kept[int(match[1])], text)
    return text


def _target(anchor):
    """What stands before a heading: nothing if others call it as the site does by itself."""
    own = re.sub(r"[^\w\- ]", "", anchor["words"].lower()).replace(" ", "-")
    return "" if own == anchor["name"] else f"({anchor['name']})=\n"


def _role(link, sources):
    text, address = " ".join(link["text"].split()), link["address"]
    reference, source = REFERENCE.fullmatch(address), sources.by_address.get(address)
    if reference:
        label = reference["label"]
        kind = KINDS[label.split("-")[0]]
        role = "ref" if kind == "Exercise" else "prf:ref"
        if re.fullmatch(rf"{kind} {NUMBER}", text):
            return f"{{{'numref' if role == 'ref' else role}}}`{label}`"
        return f"{{{role}}}`{text} <{label}>`"
    if not CITES.fullmatch(text):
        return link[0]
    if source is None:
        raise Lie(f"{text!r} cites what references.bib does not have at {address}")
    if text not in source.role:
        raise Lie(f"{address} is {source.in_text!r}, not {text!r}")
    return source.role[text]


def read_plain(app, docname, source):
    """Give Sphinx the MyST for a page, whether its file is a notebook or Markdown."""
    path = Path(app.env.doc2path(docname))
    sources = Sources(Path(app.srcdir) / "references.bib")
    try:
        convert = notebook_to_myst if path.suffix == ".ipynb" else page_to_myst
        source[0] = convert(source[0], sources)
    except Lie as error:
        raise Lie(f"{path.name}: {error}") from error


def know_anchors(app, doctree):
    """Let a link from another page lead to an anchor, not only to a heading as MyST has it."""
    slugs = app.env.metadata[app.env.docname].setdefault("myst_slugs", {})
    found = {name: name for node in doctree.findall(nodes.raw)
             for name in ANCHOR.findall(node.astext())}
    found |= {name: doctree.nameids[name] for name, explicit in doctree.nametypes.items()
              if explicit and doctree.nameids.get(name)}
    for name, place in found.items():
        slugs.setdefault(name, (0, place, ""))


def setup(app):
    """Register with Sphinx, before anybody else who reads a page's source."""
    app.connect("source-read", read_plain, priority=100)
    app.connect("doctree-read", know_anchors)
