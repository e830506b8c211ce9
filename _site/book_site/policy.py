"""A strict Content-Security-Policy: no script runs that is not a file of this site.

The theme writes scripts and handlers of clicks into its pages. Here they become files, and every
page says itself what it allows, for a host of static files sends no headers of ours.
"""

import hashlib
import json
import re
import shutil
from html import escape, unescape
from pathlib import Path

# host.js still makes modules of figures from strings. Once they are files, this is False.
BLOB_MODULES = False

POLICY = "; ".join([
    "default-src 'self'",
    "script-src 'self'" + " blob:" * BLOB_MODULES,
    # Styles inside a page are the theme's, the figures' and the formulas'.
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:" + " blob:" * BLOB_MODULES,
    "object-src 'none'",
    "base-uri 'self'",
    "form-action 'self'",
])

SCRIPT = re.compile(r"<script\b([^>]*)>(.*?)</script>", re.S | re.I)
TAG = re.compile(r"<[a-z](?:[^<>\"']|\"[^\"]*\"|'[^']*')*>", re.I)
HANDLER = re.compile(r"""\son([a-z]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.I)
# A script in the page that no other may run before: it chooses light or dark before the first
# picture. All others wait for the parser, as the scripts around them do.
FIRST = "data-cfasync"


def runs(attributes):
    """Whether a script element has its program inside it; data blocks have a type of their own."""
    return not re.search(r"\b(src|type)=", attributes)


def listener(event, code):
    """A program that does what an event attribute did, and the mark by which it finds its tags."""
    mark = digest(event + code)
    return mark, (f"for (const e of document.querySelectorAll('[data-on~=\"{mark}\"]'))\n"
                  f"  e.addEventListener({json.dumps(event)}, function (event) {{ {code} }});\n")


def digest(text):
    """A short name for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class Files:
    """The programs taken out of pages, each written once under a name made of its content."""

    def __init__(self, outdir):
        self.folder = Path(outdir) / "_static" / "inline"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def element(self, root, code, attributes):
        """A script element that loads the code from a file."""
        path = self.folder / f"{digest(code)}.js"
        path.write_text(code + "\n", "utf8")
        return f'<script{attributes} src="{root}_static/inline/{path.name}"></script>'


def without_handlers(html, programs):
    """The text between scripts with marks in place of event attributes; programs are appended."""
    def tag(found):
        marks = []

        def attribute(handler):
            mark, program = listener(handler[1].lower(), unescape(handler[2] or handler[3] or ""))
            marks.append(mark)
            if program not in programs:
                programs.append(program)
            return ""

        text = HANDLER.sub(attribute, found[0])
        if not marks:
            return found[0]
        return re.sub(r"^<[a-z0-9-]+", rf'\g<0> data-on="{" ".join(marks)}"', text, flags=re.I)

    return TAG.sub(tag, html)


def strict(html, root, files):
    """A page without programs inside it; ``root`` leads from the page to the top of the site.

    What waits for the parser is one file, where the first of it stood: it only sets what later
    scripts read.
    """
    waiting, handlers, parts, end = [], [], [], 0
    place = None
    for found in SCRIPT.finditer(html):
        parts.append(without_handlers(html[end:found.start()], handlers))
        end = found.end()
        attributes, code = found[1], found[2].strip()
        if not runs(attributes):
            parts.append(found[0])
        elif FIRST in attributes:
            parts.append(files.element(root, code, ""))
        elif code and code not in waiting:
            waiting.append(code)
            if place is None:
                place = len(parts)
                parts.append("")
    parts.append(without_handlers(html[end:], handlers))
    if place is not None:
        parts[place] = files.element(root, "\n".join(waiting), " defer")
    html = "".join(parts)
    if handlers:
        html = html.replace("</body>", files.element(root, "".join(handlers), " defer") + "</body>")
    meta = f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY, quote=False)}" />'
    return re.sub(r'<meta charset="[^"]*"\s*/?>', lambda m: f"{m[0]}\n    {meta}", html, count=1)


def step(app):
    """Of the pass over the finished pages."""
    files = Files(app.outdir)
    return lambda name, html: strict(html, "../" * name.count("/"), files)
