"""What is far from the screen waits: about how high a section will be, before it is laid out.

A chapter has thousands of formulas, and a browser that lays out all of them before it draws the
first screen takes seconds on a phone. The style sheet lets sections wait until the reader comes
near; with the sizes estimated here the page has about its length from the start.
"""

import re

SECTION = re.compile(r"<(/?)section\b")
FOLD = re.compile(r"<details\b(?![^>]*\sopen)(?:(?!<details\b).)*?</details>", re.DOTALL)
UNSEEN = re.compile(r"<(annotation|script|figcaption)\b.*?</\1>", re.DOTALL)
CODE = re.compile(r"<pre\b.*?</pre>", re.DOTALL)
PICTURE = re.compile(r'<img [^>]*class="picture on-light[^>]*height="(\d+)"')
# Pixels that an element takes beside its letters.
ROOM = {"<p": 18, "<li": 8, "<h2": 90, "<h3": 75, '<div class="math': 60, "<tr": 24, "<fold": 30,
        '<div class="live-figure" data-figure="AnswerBox"': 220,
        '<div class="live-figure" data-figure="(?!AnswerBox)': 800}
LINE = 21  # of code
DEPTH = 2  # of the sections that wait: the first is the page


def size(body):
    """Letters of the running text of a section, and pixels of all else in it."""
    while FOLD.search(body):
        body = FOLD.sub("<fold>", body)
    pixels = sum(room * len(re.findall(element, body)) for element, room in ROOM.items())
    pixels += sum(map(int, PICTURE.findall(body)))
    pixels += LINE * sum(code.count("\n") for code in CODE.findall(body))
    text = re.sub(r"<[^>]*>", "", CODE.sub("", UNSEEN.sub("", body)))
    return len(" ".join(text.split())), pixels


def sections(html):
    """Where the sections that wait begin and end in a page."""
    depth, begin = 0, None
    for found in SECTION.finditer(html):
        if found[1]:
            if depth == DEPTH:
                yield begin, found.start()
            depth -= 1
        else:
            depth += 1
            if depth == DEPTH:
                begin = found.end()


def estimate(name, html):
    """Write into each section what the style sheet makes its size of."""
    parts, end = [], 0
    for begin, close in sections(html):
        letters, pixels = size(html[begin:close])
        parts += [html[end:begin], f' style="--letters: {letters}; --pixels: {pixels}px"']
        end = begin
    return "".join(parts) + html[end:]


def step(app):
    """Of the pass over the finished pages."""
    return estimate
