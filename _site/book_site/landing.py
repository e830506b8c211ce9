"""The first page has a style of its own on top of the book's."""


def add_style(app, pagename, templatename, context, doctree):
    """Load its style sheet."""
    if pagename == app.config.root_doc:
        app.add_css_file("landing.css", priority=910)


def setup(app):
    """Register with Sphinx."""
    app.connect("html-page-context", add_style)
