"""The one pass over the finished pages: each is read once, changed by every part, written once.

A part that changes what the theme's templates write has a function ``step(app)``, called when all
pages are there. It returns a function of a page's name and its HTML that returns the new HTML.
"""

from pathlib import Path

from . import cards, code, far, pictures, policy, scripts, sharing, status, styles

# In this order: cards are made of the text as it was written, and bring a style sheet; sections are
# as long as what the others leave in them; the policy makes files of the programs in a page, and
# the addresses of all files are known to sharing.
STEPS = (cards.step, status.step, pictures.step, scripts.step, code.step, far.step, styles.step,
         policy.step, sharing.step)


def pages(outdir):
    """Names and paths of the pages; HTML in _static is none, and index becomes a copy of one."""
    for path in sorted(Path(outdir).rglob("*.html")):
        name = path.relative_to(outdir).with_suffix("").as_posix()
        if not name.startswith("_") and name != "index":
            yield name, path


def finish_pages(app, exception):
    """Let every step change every page."""
    if exception is None and app.builder.format == "html":
        steps = [step(app) for step in STEPS]
        for name, path in pages(app.outdir):
            html = path.read_text("utf8")
            for change in steps:
                html = change(name, html)
            path.write_text(html, "utf8")


def setup(app):
    """Register with Sphinx; the theme writes its style sheet of code late."""
    app.connect("build-finished", finish_pages, priority=900)
