"""The first page has a style of its own on top of the book's, and its story as cards.

In its file the story is pictures with a paragraph each. Here each pair becomes a card, with the
picture inside the page, where the style sheet gives it its colours.
"""

from pathlib import Path

from docutils import nodes

PICTURES = "figures/story-"


def cards(section, folder):
    """The row of cards for the pictures of a section, in their place."""
    pictures = [image for image in section.findall(nodes.image) if PICTURES in image["uri"]]
    row = nodes.container(classes=["story-row"])
    for image in pictures:
        alone = image.parent
        words = alone.next_node(nodes.paragraph, descend=False, siblings=True)
        if image is pictures[0]:
            section.insert(section.index(alone), row)
        section.remove(alone)
        section.remove(words)
        drawn = (folder / image["uri"]).read_text("utf8")
        row += nodes.container("", nodes.raw("", drawn, format="html"), words,
                               classes=["story-card"])


def tell_the_story(app, doctree):
    """Make the cards of the first page."""
    if app.env.docname == app.config.root_doc:
        for section in list(doctree.findall(nodes.section)):
            if not section.next_node(nodes.section):
                cards(section, Path(app.srcdir))


def add_style(app, pagename, templatename, context, doctree):
    """Load its style sheet."""
    if pagename == app.config.root_doc:
        app.add_css_file("landing.css", priority=910)


def setup(app):
    """Register with Sphinx; the pictures are still where their page says."""
    app.connect("doctree-read", tell_the_story, priority=100)
    app.connect("html-page-context", add_style)
