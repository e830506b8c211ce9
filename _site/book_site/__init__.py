"""Sphinx extension of this book: one file for each thing that it does to the pages.

The folder of the site's own scripts and styles is not called _static because Jupyter Book puts
every script of a _static folder on every page.
"""

import shutil
from pathlib import Path

from . import ahead, api, finish, formulas, labels, landing, pages, plain, scripts, sharing, widgets

WEB = Path(__file__).parent.parent / "web"


def serve_web(app, config):
    """Copy the files of _site/web into the site, next to those of the theme."""
    config.html_static_path.append(str(WEB))


def open_at_the_first_page(app, exception):
    """Let the address of the site show its first page itself instead of a redirect to it."""
    if exception is None and app.builder.format == "html":
        shutil.copy(Path(app.outdir) / f"{app.config.root_doc}.html",
                    Path(app.outdir) / "index.html")


def setup(app):
    """Register with Sphinx."""
    app.connect("config-inited", serve_web)
    app.add_css_file("book.css", priority=900)
    app.add_css_file("print.css", priority=950, media="print")
    app.add_js_file("print.js", loading_method="defer")
    for part in (ahead, plain, api, labels, scripts, formulas, widgets, pages, sharing, landing,
                 finish):
        part.setup(app)
    # A copy of the finished first page, so it comes last.
    app.connect("build-finished", open_at_the_first_page, priority=910)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
