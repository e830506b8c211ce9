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
CONTRAST = 3.2
LEAST = 9  # pixels of the smallest letter on a page
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


@functools.cache
def on_dark(colour):
    """The colour that says the same on dark paper: greys change ends, hues become light enough."""
    hue, light, saturation = colorsys.rgb_to_hls(*(int(colour[i:i + 2], 16) / 255
                                                   for i in (1, 3, 5)))
    spread = (1 - abs(2 * light - 1)) * saturation
    if spread < 0.15:
        light = 0.09 + 0.82 * (1 - light)

    def hexed(light):
        parts = colorsys.hls_to_rgb(hue, light, saturation)
        return "#" + "".join(f"{round(255 * part):02x}" for part in parts)

    while spread >= 0.15 and contrast(hexed(light), PAPER["dark"]) < CONTRAST:
        light += 0.02
    return hexed(light)


def themed(svg):
    """The texts of a picture for light and for dark paper, without a sheet of its own."""
    clear = SHEET.sub(r"\1none\2", svg)
    dark = COLOUR.sub(lambda c: on_dark(c[0].lower()), clear)
    return {"light": clear, "dark": dark}


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
