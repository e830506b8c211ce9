"""The styles of a page as one file: before it is there a browser draws nothing."""

import hashlib
import re
from pathlib import Path

LINK = re.compile(r'\s*<link (?=[^>]*rel="stylesheet")(?![^>]*media="print")'
                  r'[^>]*href="[^"]*_static/([^"?]+)[^"]*"[^>]*>')
PREFIX = "page-"


def small(css):
    """A style sheet without comments and the room at the ends of its lines."""
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    return "\n".join(line for line in map(str.strip, css.splitlines()) if line)


def step(app):
    """Of the pass over the finished pages: sheets for the screen become one, in their order.

    Pages with the same sheets share it. It stands beside the book's own, whose addresses of fonts
    are relative to that place.
    """
    static = Path(app.outdir) / "_static"
    for old in static.glob(f"{PREFIX}*.css"):
        old.unlink()

    def change(name, html):
        sheets = LINK.findall(html)
        if not sheets:
            return html
        css = "\n".join(small((static / sheet).read_text("utf8")) for sheet in sheets)
        file = static / f"{PREFIX}{hashlib.sha256(css.encode()).hexdigest()[:12]}.css"
        file.write_text(css + "\n", "utf8")
        first = LINK.search(html)
        one = f'\n    <link rel="stylesheet" href="{"../" * name.count("/")}_static/{file.name}">'
        return html[:first.start()] + one + LINK.sub("", html[first.end():])

    return change
