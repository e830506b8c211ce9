"""Sphinx extension of this book: serves _site/web and adds its scripts to the pages that need them.

The folder is not called _static because Jupyter Book puts every script of a _static folder on
every page.
"""

import re
import shutil
from pathlib import Path

from myst_nb.sphinx_ import NbMetadataCollector

WEB = Path(__file__).parent / "web"


def serve_web(app, config):
    """Copy the files of _site/web into the site, next to those of the theme."""
    config.html_static_path.append(str(WEB))


def add_host(app, pagename, templatename, context, doctree):
    """Load host.js, right after the widgets' state, where a notebook stored one."""
    if "ipywidgets_state" in NbMetadataCollector.get_js_files(app.env, pagename):
        app.add_js_file("host.js", priority=600)


def mend_roles(app, pagename, templatename, context, doctree):
    """Drop the roles that docutils gives a bibliography: ARIA forbids such children in a list."""
    if "citation-list" in context.get("body", ""):
        body = context["body"].replace('<div role="list" class="citation-list">', "<div>")
        context["body"] = body.replace(' role="doc-biblioentry"', "")


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


# Code as Pygments marks it: a flat row of spans, one for each token, with a class for its kind.
TOKEN = r'<span class="(?:{kinds})">([^<]*)</span>'
ALIKE = re.compile(r'<span class="(\w+)">[^<]*</span>(?:<span class="\1">[^<]*</span>)+')


def plain_tokens(css):
    """Kinds of tokens to which the style sheet gives the colour of the code around them."""
    found = []
    for theme in ("light", "dark"):
        code = rf'html\[data-theme="{theme}"\] \.highlight'
        colour = re.search(rf"{code} {{[^}}]*(?<!-)color: (#\w+)", css)[1]
        found.append(set(re.findall(rf"{code} \.(\w+) {{ color: {colour} }}", css)))
    return set.intersection(*found)


def thin_code(html, plain):
    """Take off the spans around plain tokens and put neighbours of one kind into one span."""
    html = re.sub(TOKEN.format(kinds="|".join(sorted(plain))), r"\1", html)
    return ALIKE.sub(
        lambda row: f'<span class="{row[1]}">{re.sub("<[^>]*>", "", row[0])}</span>', html)


def thin_pages(app, exception):
    """Write code with the spans that colour something: the rest is half of a chapter's elements.

    A browser styles and lays out every one of them before it draws a figure further down.
    """
    if exception is None and app.builder.format == "html":
        plain = plain_tokens((Path(app.outdir) / "_static" / "pygments.css").read_text("utf8"))
        for page in Path(app.outdir).rglob("*.html"):
            page.write_text(thin_code(page.read_text("utf8"), plain), "utf8")


def open_at_the_first_page(app, exception):
    """Let the address of the site show its first page itself instead of a redirect to it."""
    if exception is None and app.builder.format == "html":
        shutil.copy(Path(app.outdir) / f"{app.config.root_doc}.html",
                    Path(app.outdir) / "index.html")


def setup(app):
    """Register with Sphinx."""
    app.connect("config-inited", serve_web)
    app.connect("html-page-context", add_host)
    app.connect("html-page-context", mend_roles)
    app.connect("build-finished", speed_up)
    # The theme writes its style sheet of code late; the copy of the first page comes last.
    app.connect("build-finished", thin_pages, priority=900)
    app.connect("build-finished", open_at_the_first_page, priority=910)
    app.add_css_file("book.css", priority=900)
    app.add_js_file("book.js", loading_method="defer")
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
