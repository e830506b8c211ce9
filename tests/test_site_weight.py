"""What a page costs a phone before its first screen is there: bytes, requests, layout, jumps."""

import gzip
import re

import pytest
from browser import SHIFTS, SITE, Visit, soup

PAGES = ["intro", "which_method", "practice/who_wins", "checking/psgd", "claims/psgd",
         *(f"chapters/{path.stem}" for path in sorted((SITE / "chapters").glob("*.html")))]
every_page = pytest.mark.parametrize("name", PAGES)
DRAWING_WAITS = 70_000  # bytes as a host sends them: the page, its style, what runs before both


def blocking(name):
    """The files that a browser waits for before it draws a page, after the page itself."""
    head = soup(name).head
    links = [link["href"] for link in head.select("link[rel=stylesheet]")
             if link.get("media") != "print"]
    scripts = [script["src"] for script in head.select("script[src]")
               if not (script.has_attr("defer") or script.has_attr("async")
                       or script.get("type") == "module")]
    page = SITE / f"{name}.html"
    return links, scripts, [page, *((page.parent / re.sub(r"\?.*", "", file)).resolve()
                                    for file in links + scripts)]


@every_page
def test_a_page_waits_for_one_style_sheet_and_one_small_script(name, record_property):
    links, scripts, files = blocking(name)
    assert len(links) == 1 and [script.split("/")[-1] for script in scripts] == ["early.js"]
    sent = sum(len(gzip.compress(file.read_bytes())) for file in files)
    record_property(f"{name}: bytes before the first screen", sent)
    assert sent < DRAWING_WAITS


@every_page
def test_pictures_wait_until_somebody_comes_near(name):
    assert all(picture["loading"] == "lazy" for picture in soup(name).select("img.picture"))


# Of the sections far from the screen: how many there are, how many were laid out, and their heights
# as estimated and as they are.
FAR = """() => {
  const all = [...document.querySelectorAll(".bd-article > section > section")];
  const far = all.filter((e) => e.getBoundingClientRect().top > 4 * innerHeight);
  const drawn = (e) => e.firstElementChild.checkVisibility({ contentVisibilityAuto: true });
  const seen = far.filter(drawn);
  const high = () => far.reduce((sum, e) => sum + e.getBoundingClientRect().height, 0);
  const estimated = high();
  for (const e of far) e.style.contentVisibility = "visible";
  return [far.length, seen.length, estimated, high()];
}"""


@pytest.mark.browser
@every_page
def test_a_phone_lays_out_and_runs_only_what_is_near(browser, site, name):
    with Visit(browser, width=360, height=740) as visit:
        page = visit.open(f"{site}/{name}.html")
        assert page.evaluate(SHIFTS) <= 0.05
        modules = {url for url in visit.requests if "/figures/" in url and url.endswith(".js")}
        assert len(modules) == len(soup(name).select("link[rel=modulepreload]"))
        assert not any(".dark.svg" in url for url in visit.requests)
        far, seen, estimated, high = page.evaluate(FAR)
        assert seen == 0
        assert far == 0 or 0.75 < estimated / high < 1.35
