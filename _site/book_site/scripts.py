"""Which scripts a page loads, and when."""

import re


def speed_up(name, html):
    """Let scripts wait for the parser; early.js may not, and host.js comes as soon as it can."""
    return re.sub(r'<script (?=[^>]*\bsrc=)(?![^>]*\b(?:defer|async|type)\b)'
                  r'(?![^>]*/(?:early|documentation_options)\.js)', "<script defer ", html)


def step(app):
    """Of the pass over the finished pages."""
    return speed_up


def setup(app):
    """Register with Sphinx."""
    app.add_js_file("book.js", loading_method="defer")
