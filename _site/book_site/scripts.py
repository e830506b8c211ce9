"""Which scripts a page loads, and when."""

import re
from pathlib import Path

from myst_nb.sphinx_ import NbMetadataCollector


def add_host(app, pagename, templatename, context, doctree):
    """Load host.js, right after the widgets' state, where a notebook stored one."""
    if "ipywidgets_state" in NbMetadataCollector.get_js_files(app.env, pagename):
        app.add_js_file("host.js", priority=600)


def speed_up(app, exception):
    """Let scripts wait for the parser, and drop the theme's 1.5 MB icon script.

    That script redraws icons that the theme's style sheet draws already. Two scripts may not wait:
    host.js, and the options that scripts inside the page read.
    """
    if exception is None and app.builder.format == "html":
        for page in Path(app.outdir).rglob("*.html"):
            html = page.read_text("utf8")
            html = re.sub(r'<script src="[^"]*/fontawesome\.js[^"]*"></script>', "", html)
            html = re.sub(r'<script src="(?!\S*/(host|documentation_options)\.js)',
                          '<script defer src="', html)
            page.write_text(html, "utf8")


def setup(app):
    """Register with Sphinx."""
    app.connect("html-page-context", add_host)
    app.connect("build-finished", speed_up)
    app.add_js_file("book.js", loading_method="defer")
