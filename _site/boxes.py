"""Measure how high the live figures and the answer boxes are, and reserve that room for each.

Usage: python _site/boxes.py, after `make book`; it writes _site/web/boxes.css. A test says when a
figure has outgrown its box.
"""

import sys
from collections import defaultdict
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from browser import ARGS, SITE, Visit, chromium, serve  # noqa: E402

JOIN = ",\n"
# Widths of a window to measure at, and up from which each counts.
WIDTHS = {360: 0, 768: 600, 1280: 1000, 1920: 1440}
HEAD = "/* Made by _site/boxes.py: how high each figure and each box for an answer will be. */\n"
# Of a box its selector and its height.
MEASURE = """() => [...document.querySelectorAll(".live-figure")].map((box) => {
  const of = box.dataset.exercise ? "exercise" : "figure";
  // Of the box alone: the form in it bears the same name, and would never be measured smaller.
  return [`.live-figure[data-${of}="${box.dataset[of]}"]`,
          Math.round(box.lastElementChild.getBoundingClientRect().height)];
})"""


def heights(browser, site, width):
    """Heights of what runs in the chapters in a window of some width, by its selector."""
    found = {}
    with Visit(browser, width=width, reduced_motion="reduce") as visit:
        page = visit.page
        for path in sorted((SITE / "chapters").glob("*.html")):
            if 'class="live-figure"' not in path.read_text("utf8"):
                continue
            page.goto(f"{site}/{path.relative_to(SITE).as_posix()}")
            for box in page.locator(".live-figure").all():
                box.scroll_into_view_if_needed()
            page.wait_for_function("!document.querySelector('.live-figure:not(.runs)')")
            page.wait_for_timeout(500)
            found |= dict(page.evaluate(MEASURE))
    return found


def sheet(measured):
    """The style sheet for heights by selector at each width: boxes that are alike share a rule."""
    alike = defaultdict(list)
    for selector in sorted(set().union(*measured.values())):
        tall = tuple(measured[width].get(selector) for width in WIDTHS)
        alike[tall].append(f"html.js {selector}")
    rules = [HEAD]
    for tall, selectors in alike.items():
        inside = "".join(f"  --at-{width}: {height}px;\n"
                         for width, height in zip(WIDTHS, tall, strict=True) if height is not None)
        rules.append(f"{JOIN.join(selectors)} {{\n{inside}}}\n")
    rules += [f"@media screen and (min-width: {above}px) {{\n  html.js .live-figure {{\n"
              f"    min-height: var(--at-{width});\n  }}\n}}\n" for width, above in WIDTHS.items()]
    return "".join(rules)


def main(to=ROOT / "_site" / "web" / "boxes.css"):
    """Measure, and write the style sheet."""
    with serve(SITE) as site, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=ARGS)
        measured = {width: heights(browser, site, width) for width in WIDTHS}
        browser.close()
    Path(to).write_text(sheet(measured), "utf8")


if __name__ == "__main__":
    main()
