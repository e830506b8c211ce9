"""What plain Markdown writes out for readers elsewhere: numbers and names that the site makes.

`refresh` brings a text up to date, `make record` does that for all pages, and the build stops where
a page says another number than the site.
"""

import json
import re
from pathlib import Path

import yaml
from sphinx.util import logging

from .plain import CITES, KINDS, LABEL, LINK, NUMBER, REFERENCE, STATEMENT

NUMBERED = rf"(?:{'|'.join(KINDS.values())}) {NUMBER}"
IN_HTML = re.compile(rf'<a href="[^"#]*#(?P<label>{LABEL})">(?P<text>[^<]*)</a>')
logger = logging.getLogger(__name__)


def reading_order(root):
    """The names of the pages, first to last."""
    toc = yaml.safe_load((root / "_toc.yml").read_text("utf8"))
    return [toc["root"], *(page["file"] for part in toc["parts"] for page in part["chapters"])]


def pages(root):
    """The files of the book in reading order."""
    return [next(path for path in (root / f"{name}.ipynb", root / f"{name}.md") if path.exists())
            for name in reading_order(root)]


def texts(path):
    """The Markdown of a page, cell by cell."""
    text = path.read_text("utf8")
    if path.suffix == ".md":
        return [text]
    return ["".join(cell["source"]) for cell in json.loads(text)["cells"]
            if cell["cell_type"] == "markdown"]


def count(paths):
    """The name of each label: Theorem 2.3 is the third of chapter 2, A2.3 that of its appendix."""
    chapters = [path.stem for path in paths if path.parent.name == "chapters"]
    folders = {"chapters": "", "checking": "A"}
    names = {}
    for path in paths:
        within = folders.get(path.parent.name)
        prefix = "" if within is None else f"{within}{chapters.index(path.stem) + 1}."
        last = dict.fromkeys(KINDS.values(), 0)
        for found in (found for text in texts(path) for found in STATEMENT.finditer(text)):
            last[found["kind"]] += 1
            names[found["label"]] = f"{found['kind']} {prefix}{last[found['kind']]}"
    return names


def said(text):
    """Pairs of a label and the numbered name that the text has for it, if it has one."""
    for found in STATEMENT.finditer(text):
        yield found["label"], f"{found['kind']} {found['number']}"
    for found in [*LINK.finditer(text), *IN_HTML.finditer(text)]:
        label = found["label"] if "label" in found.groupdict() else _label(found["address"])
        if label and re.fullmatch(NUMBERED, " ".join(found["text"].split())):
            yield label, " ".join(found["text"].split())


def _label(address):
    reference = REFERENCE.fullmatch(address)
    return reference and reference["label"]


def refresh(text, names, sources):
    """The text with the numbers of ``names``, and with the names and years of the sources."""
    def link(found):
        text, address = " ".join(found["text"].split()), found["address"]
        label, source = _label(address), sources.by_address.get(address)
        if label in names and re.fullmatch(NUMBERED, text):
            return f"[{names[label]}]({address})"
        if source and CITES.fullmatch(text):
            return f"[{source.aside if text.startswith('(') else source.in_text}]({address})"
        return found[0]

    def statement(found):
        old = f"**{found['kind']} {found['number']}"
        return found[0].replace(old, f"**{names.get(found['label'], old[2:])}", 1)

    def in_html(found):
        old = found["text"]
        new = names.get(found["label"], old) if re.fullmatch(NUMBERED, old) else old
        return found[0].replace(f">{old}<", f">{new}<")

    return IN_HTML.sub(in_html, STATEMENT.sub(statement, LINK.sub(link, text)))


def number_the_site(app, env):
    """Give the site these numbers in place of those that run through all pages."""
    names = count(pages(Path(app.srcdir)))
    for kinds in env.toc_fignumbers.values():
        for numbers in kinds.values():
            for label in numbers.keys() & names.keys():
                numbers[label] = tuple(names[label].split()[1].split("."))
    return []


def compare_with_the_site(app, env):
    """Complain about every number that the site has otherwise."""
    site = {label: f"{kind.capitalize()} {'.'.join(map(str, number))}"
            for kinds in env.toc_fignumbers.values() for kind, numbers in kinds.items()
            for label, number in numbers.items()}
    for name in sorted(env.found_docs):
        for label, words in (pair for text in texts(Path(env.doc2path(name)))
                             for pair in said(text)):
            if site.get(label) != words:
                logger.warning("%s is called %s: run make record", site.get(label, label), words,
                               location=name)


def setup(app):
    """Register with Sphinx; pages have numbers of its own making by then."""
    app.connect("env-get-updated", number_the_site, priority=900)
    app.connect("env-check-consistency", compare_with_the_site)
