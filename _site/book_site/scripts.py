"""Which scripts a page loads, and when."""

import re
from pathlib import Path


def speed_up(app, exception):
    """Let scripts wait for the parser; early.js may not, and host.js comes as soon as it can."""
    if exception is None and app.builder.format == "html":
        for page in Path(app.outdir).rglob("*.html"):
            html = page.read_text("utf8")
            page.write_text(re.sub(r'<script src="(?!\S*/(?:early|documentation_options)\.js)',
                                   '<script defer src="', html), "utf8")


def setup(app):
    """Register with Sphinx."""
    app.connect("build-finished", speed_up)
    app.add_js_file("book.js", loading_method="defer")
