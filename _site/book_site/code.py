"""Code with fewer elements: spans only where the style sheet colours something."""

import re
from pathlib import Path

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


def step(app):
    """Write code with the spans that colour something: the rest is half of a chapter's elements.

    A browser styles and lays out every one of them before it draws a figure further down.
    """
    plain = plain_tokens((Path(app.outdir) / "_static" / "pygments.css").read_text("utf8"))
    return lambda name, html: thin_code(html, plain)
