"""Still pictures in the colours of the page: each SVG once for light and once for dark paper."""

import colorsys
import functools
import re
from pathlib import Path

PAPER = {"light": "#ffffff", "dark": "#15181c"}
COLOUR = re.compile(r"#[0-9a-fA-F]{6}\b")
# The white sheets that matplotlib lays below a figure and below its axes.
SHEET = re.compile(r'(<g id="patch_\d+">\s*<path d="[^"]*"\s*style="fill: )#ffffff("/>)')
IMAGE = re.compile(r'<img ([^>]*?)src="([^"]*_images/)([^"/]+)\.svg"([^>]*?)/?>')
SIZE = re.compile(r'<svg [^>]*?viewBox="0 0 ([\d.]+) ([\d.]+)"')
# Least contrast with the paper of lines and areas, and of letters. But greys that whisper, as those
# of a grid do, have less than QUIET, and shades an opacity below FAINT: they stay as they are.
CONTRAST, LETTER = 3.2, 4.6
QUIET, FAINT = 1.5, 0.4
# What one colour is asked for: letters; lines and their marks; or any element by itself.
PIECE = re.compile(r'(?P<letters><g id="text_\d+">.*?</g>|<text\b[^>]*>)'
                   r'|(?P<line><g id="line2d_\d+">.*?</g>)|style="[^"]*"|#[0-9a-fA-F]{6}\b',
                   re.DOTALL)
STYLE = re.compile(r'style="[^"]*"|#[0-9a-fA-F]{6}\b')
OPACITY = re.compile(r"(?<![\w-])(?:(?:fill|stroke)-)?opacity: ([\d.]+)")
LEAST = 8.5  # pixels of the smallest letter on a page: a plot of five inches fits a phone whole
# Widths that the style sheet has a class for; a phone has room for the first.
STEPS = (326, 400, 460, 520, 580, 640, 700)


def luminance(colour):
    """Relative luminance of #rrggbb, as the accessibility guidelines define it."""
    parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    parts = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one, other):
    """Contrast between two colours, from 1 to 21."""
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def over(colour, opacity, paper):
    """What is seen of a colour on paper."""
    pairs = ((int(c[i:i + 2], 16) for c in (colour, paper)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(opacity * c + (1 - opacity) * p):02x}" for c, p in pairs)


@functools.cache
def on_paper(colour, paper, least, opacity=1.0, line=False):
    """The colour that says the same on a paper.

    On dark paper greys change ends. Grey lines, which are told apart by how grey they are, move
    away from the paper together. Then whatever is to be seen does so until it has the contrast
    asked for, but for hues of lines on light paper, which are those of the book.
    """
    hue, light, saturation = colorsys.rgb_to_hls(*(int(colour[i:i + 2], 16) / 255
                                                   for i in (1, 3, 5)))
    grey = (1 - abs(2 * light - 1)) * saturation < 0.15
    quiet = grey and contrast(colour, PAPER["light"]) < QUIET or opacity < FAINT
    if grey and line and not quiet:
        light = 0.67 * light if paper == "light" else 0.91 - 0.59 * light
    elif grey and paper == "dark":
        light = 0.09 + 0.82 * (1 - light)

    def hexed(light):
        parts = colorsys.hls_to_rgb(hue, light, saturation)
        return "#" + "".join(f"{round(255 * part):02x}" for part in parts)

    if quiet or paper == "light" and not grey and least < LETTER:
        return hexed(light)
    while (0 < light < 1
           and contrast(over(hexed(light), opacity, PAPER[paper]), PAPER[paper]) < least):
        light = min(max(light + (0.02 if paper == "dark" else -0.02), 0), 1)
    return hexed(light)


def themed(svg):
    """The texts of a picture for light and for dark paper, without a sheet of its own."""
    # What names no colour is black, which is a colour for dark paper, too.
    clear = SHEET.sub(r"\1none\2", svg).replace("<svg ", '<svg fill="#000000" ', 1)

    def recolour(text, paper, least, line=False):
        def one(style):
            seen = min(map(float, OPACITY.findall(style[0])), default=1.0)
            return COLOUR.sub(lambda c: on_paper(c[0].lower(), paper, least, seen, line), style[0])

        return STYLE.sub(one, text)

    def piece(found, paper):
        if found["letters"]:
            return recolour(found[0], paper, LETTER)
        # Level lines and areas stay as light on light paper as they were drawn.
        line = bool(found["line"])
        return recolour(found[0], paper, CONTRAST if line or paper == "dark" else 0, line)

    return {paper: PIECE.sub(functools.partial(piece, paper=paper), clear) for paper in PAPER}


def size_of(svg):
    """Width and height on a page, and a class that says below which width letters get too small.

    matplotlib counts in points of 1/72 inch, a page in pixels of 1/96. A letter drawn as a path is
    100 units high before it is scaled.
    """
    width, height = (round(float(size) * 4 / 3) for size in SIZE.search(svg).groups())
    letters = [100 * float(scale) for scale in re.findall(r"scale\((0\.\d+) -0\.\d+\)", svg)]
    letters += [float(size) for size in re.findall(r"font: (?:\w+ )*([\d.]+)px", svg)]
    least = width * LEAST / (4 / 3 * min(letters, default=LEAST))
    step = next((step for step in STEPS if step >= least), STEPS[-1])
    return width, height, f" least-{step}" if step > STEPS[0] else ""


def show_both(html, sizes):
    """Name both pictures where a page shows one; the style sheet hides the other."""
    def one(found):
        before, folder, name, after = found.groups()
        width, height, least = sizes[name]
        rest = re.sub(r'\b(?:class|width|height|style)="[^"]*"', "", before + after)
        return "".join(
            f'<img {" ".join(rest.split())} class="picture on-{paper}{least}" '
            f'src="{folder}{name}.{paper}.svg" width="{width}" height="{height}" '
            'loading="lazy">'
            for paper in PAPER)

    return IMAGE.sub(one, html)


def step(app):
    """Of the pass over the pages: write the two pictures beside each one, and show them."""
    sizes = {}
    for path in (Path(app.outdir) / "_images").glob("*.svg"):
        if path.stem.endswith((".light", ".dark")):
            continue
        svg = path.read_text("utf8")
        sizes[path.stem] = size_of(svg)
        for paper, text in themed(svg).items():
            path.with_name(f"{path.stem}.{paper}.svg").write_text(text, "utf8")
    return lambda name, html: show_both(html, sizes)
