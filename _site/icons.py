"""Make the card and the icons of _site/web/icons: ``python _site/icons.py``.

The icons are the logo in the sizes that browsers and phones ask for; the card is what messengers
show beside a link. They are made by hand, with a Chromium, and committed: fonts differ between
machines.
"""

import io
import os
import shutil
from base64 import b64encode
from pathlib import Path

import matplotlib
import numpy as np
from contourpy import contour_generator
from PIL import Image
from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parent
WEB = HERE / "web"
OUT = WEB / "icons"
BLUE, ORANGE, INK, SOFT, LINE = "#0072b2", "#d55e00", "#1b1f24", "#4e5862", "#b9c0c7"
# The picture's part of the card, in points of the plane and in pixels.
HALF, SIZE = 1.75, 630


def value(x, y):
    """The function of chapter 1: a saddle at 0 between two minimizers."""
    return -x**2 / 2 + x**4 / 4 + y**2 / 2


def path(points):
    """SVG path through points of the plane."""
    pixels = (np.asarray(points) * [1, -1] + HALF) * SIZE / (2 * HALF)
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in pixels)


def descent(start, push=0.0, steps=160, step=0.06):
    """Gradient descent; ``push`` is added to x where it has come to the saddle."""
    points = [np.array(start, float)]
    pushed = False
    for _ in range(steps):
        x, y = points[-1]
        if push and not pushed and abs(y) < 0.07:
            x, pushed = x + push, True
            points.append(np.array([x, y]))
        points.append(np.array([x - step * (x**3 - x), y - step * y]))
    return points


def picture():
    """The level lines and two paths, as SVG elements."""
    grid = np.linspace(-HALF, HALF, 201)
    x, y = np.meshgrid(grid, grid)
    lines = contour_generator(grid, grid, value(x, y))
    levels = [-0.23, -0.18, -0.12, -0.06, 0, 0.08, 0.2, 0.36, 0.56, 0.8, 1.1, 1.5, 2]
    parts = [f'<path d="{path(line)}" stroke="{SOFT if level == 0 else LINE}" '
             f'stroke-width="{2.5 if level == 0 else 1.5}"/>'
             for level in levels for line in lines.lines(level)]
    parts.append(f'<path d="{path(descent((0, 1.6)))}" stroke="{ORANGE}" stroke-width="6"/>')
    away = descent((0.0, -1.6), push=0.05, steps=240)
    parts.append(f'<path d="{path(away)}" stroke="{BLUE}" stroke-width="6"/>')
    at = SIZE / 2, SIZE / 2
    end = (np.array(away[-1]) * [1, -1] + HALF) * SIZE / (2 * HALF)
    parts.append(f'<circle cx="{at[0]}" cy="{at[1]}" r="11" fill="{ORANGE}" stroke="#fff" '
                 'stroke-width="3"/>')
    parts.append(f'<circle cx="{end[0]:.1f}" cy="{end[1]:.1f}" r="11" fill="{BLUE}" stroke="#fff" '
                 'stroke-width="3"/>')
    return "".join(parts)


def alone():
    """The picture without words, for the title page of the PDF."""
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE}" fill="none" '
            f'stroke-linejoin="round">{picture()}</svg>')


def card():
    """The card as SVG, 1200 by 630."""
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    faces = "".join(
        f"@font-face {{font-family: Card; font-weight: {weight}; src: url(data:font/ttf;base64,"
        f"{b64encode((fonts / name).read_bytes()).decode()})}}"
        for weight, name in [("400", "STIXGeneral.ttf"), ("700", "STIXGeneralBol.ttf")])
    words = [(72, 250, 92, INK, "700", "Escaping"), (72, 345, 92, INK, "700", "Saddles"),
             (74, 420, 34, SOFT, "400", "An executable book and a library:"),
             (74, 464, 34, SOFT, "400", "past saddle points, and sure of it")]
    text = "".join(f'<text x="{x}" y="{y}" font-size="{size}" fill="{fill}" font-weight="{weight}">'
                   f"{word}</text>" for x, y, size, fill, weight, word in words)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="1200" height="630" '
            f'viewBox="0 0 1200 630" font-family="Card"><style>{faces}</style>'
            f'<rect width="1200" height="630" fill="#fff"/>'
            f'<svg x="570" width="{SIZE}" height="{SIZE}" fill="none" stroke-linejoin="round">'
            f'{picture()}</svg><rect y="618" width="1200" height="12" fill="{BLUE}"/>{text}</svg>')


def icon(size, margin=0.0, opaque=False):
    """The logo as a square page; ``margin`` is the part of the side left free all around it."""
    logo = (WEB / "logo.svg").read_text("utf8")
    inner = size * (1 - 2 * margin)
    logo = logo.replace("<svg ", f'<svg x="{size * margin}" y="{size * margin}" '
                                 f'width="{inner}" height="{inner}" ', 1)
    ground = f'<rect width="{size}" height="{size}" fill="#fff"/>' if opaque else ""
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}">'
            f"{ground}{logo}</svg>")


def main(folder=OUT):
    """Write every picture."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    (folder / "cover.svg").write_text(alone(), "utf8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])

        def shot(svg, width, height):
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_content("<style>body {margin: 0} body > svg {display: block}</style>" + svg)
            page.evaluate("document.fonts.ready")
            picture = Image.open(io.BytesIO(page.screenshot(omit_background=True)))
            page.close()
            return picture

        shot(card(), 1200, 630).convert("RGB").quantize(128).save(
            folder / "card.png", optimize=True)
        shot(icon(180, 0.06, opaque=True), 180, 180).convert("RGB").save(
            folder / "apple-touch.png", optimize=True)
        shot(icon(512, 0.14, opaque=True), 512, 512).convert("RGB").save(
            folder / "maskable.png", optimize=True)
        for size in (192, 512):
            shot(icon(size), size, size).save(folder / f"icon-{size}.png", optimize=True)
        small = [shot(icon(size), size, size) for size in (16, 32, 48)]
        small[-1].save(folder / "favicon.ico", append_images=small[:-1],
                       sizes=[picture.size for picture in small])
        browser.close()


if __name__ == "__main__":
    main()
