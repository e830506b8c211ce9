"""Which scripts a page loads, and when."""

import re

from myst_nb.sphinx_ import NbMetadataCollector


def add_host(app, pagename, templatename, context, doctree):
    """Load host.js, right after the widgets' state, where a notebook stored one."""
    if "ipywidgets_state" in NbMetadataCollector.get_js_files(app.env, pagename):
        app.add_js_file("host.js", priority=600)


def speed_up(name, html):
    """Let scripts wait for the parser, and drop the theme's 1.5 MB icon script.

    That script redraws icons that the theme's style sheet draws already. Two scripts may not wait:
    host.js, and the options that scripts inside the page read.
    """
    html = re.sub(r'<script [^>]*/fontawesome\.js[^>]*></script>', "", html)
    html = re.sub(r'<link [^>]*/fontawesome\.js[^>]*>', "", html)
    return re.sub(r'<script (?=[^>]*\bsrc=)(?![^>]*\b(?:defer|async)\b)'
                  r'(?![^>]*/(?:host|documentation_options)\.js)', "<script defer ", html)


def step(app):
    """Of the pass over the finished pages."""
    return speed_up


def setup(app):
    """Register with Sphinx."""
    app.connect("html-page-context", add_host)
    app.add_js_file("book.js", loading_method="defer")
