"""The live figure on the static page: small, quick, and moved by mouse, finger and keyboard."""

import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from browser import SITE, Visit, stands_still
from bs4 import BeautifulSoup
from PIL import Image

CHAPTER = "chapters/saddles.html"
ARROWS = {"ArrowLeft": (-1, 0), "ArrowRight": (1, 0), "ArrowUp": (0, -1), "ArrowDown": (0, 1)}


@pytest.fixture
def figure(browser, site):
    """Open the chapter and hand back the visit and the root of its live figure."""
    visits = []

    def open_figure(**options):
        visit = Visit(browser, **options)
        visits.append(visit)
        visit.open_figures(site, CHAPTER)
        root = visit.page.locator(".saddle-map").first
        root.get_by_test_id("start").evaluate(
            "e => e.scrollIntoView({block: 'center', behavior: 'instant'})"
        )
        return SimpleNamespace(
            page=visit.page,
            root=root,
            start=root.get_by_test_id("start"),
            summary=root.get_by_test_id("summary"),
        )

    yield open_figure
    for visit in visits:
        assert visit.errors == []
        visit.context.close()


def changed(locator, before):
    """Wait until an element's text is no longer what it was."""
    handle = locator.element_handle()
    locator.page.wait_for_function("([e, t]) => e.textContent !== t", arg=[handle, before])
    return locator.text_content()


def centre(locator):
    box = locator.bounding_box()
    return np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])


def test_the_script_of_a_figure_is_small(record_property):
    soup = BeautifulSoup((SITE / CHAPTER).read_text(), "html.parser")
    kind = "application/vnd.jupyter.widget-state+json"
    states = json.loads(soup.find("script", type=kind).string)["state"].values()
    sizes = [len(s["state"]["_esm"].encode()) for s in states if "_esm" in s["state"]]
    record_property("script of the live figure, bytes", max(sizes))
    assert max(sizes) <= 40_000
    assert not any(s["model_name"] == "OutputModel" for s in states), "may stall the build"


@pytest.mark.browser
def test_a_picture_stands_in_where_scripts_do_not_run(browser, site, figure):
    with Visit(browser, java_script_enabled=False) as visit:
        visit.page.goto(f"{site}/{CHAPTER}")
        assert visit.page.locator("img.no-script, .no-script img").first.is_visible()
    with Visit(browser) as visit:
        visit.page.route("**/host.js*", lambda route: route.abort())
        visit.page.goto(f"{site}/{CHAPTER}")
        assert visit.page.locator(".no-script").first.is_visible()
    running = figure()
    assert running.root.is_visible()
    assert not running.page.locator(".no-script").first.is_visible()


@pytest.mark.browser
def test_the_keyboard_moves_the_start(figure):
    live = figure()
    live.start.focus()
    for key, direction in ARROWS.items():
        text, place = live.summary.text_content(), centre(live.start)
        for _ in range(3):
            live.page.keyboard.press(key)
        changed(live.summary, text)
        live.page.wait_for_timeout(300)  # the summary is said a few times a second
        assert (centre(live.start) - place) @ direction > 1, key


@pytest.mark.browser
def test_the_mouse_moves_the_start(figure):
    live = figure()
    text, place = live.summary.text_content(), centre(live.start)
    live.page.mouse.move(*place)
    live.page.mouse.down()
    for i in range(1, 6):
        live.page.mouse.move(*(place + 6 * i * np.array([-1, 1])))
    live.page.mouse.up()
    changed(live.summary, text)
    assert np.abs(centre(live.start) - place - [-30, 30]).max() < 6


@pytest.mark.browser
def test_a_finger_moves_the_start_on_a_phone(figure):
    live = figure(width=360, height=740, has_touch=True, is_mobile=True)
    text, place = live.summary.text_content(), centre(live.start)
    scroll = live.page.evaluate("() => scrollY")
    touch = live.page.context.new_cdp_session(live.page)

    def send(kind, *points):
        points = [{"x": float(x), "y": float(y)} for x, y in points]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    send("touchStart", place)
    for i in range(1, 6):
        send("touchMove", place + 6 * i * np.array([-1, 1]))
    send("touchEnd")
    changed(live.summary, text)
    assert np.abs(centre(live.start) - place - [-30, 30]).max() < 6
    assert live.page.evaluate("() => scrollY") == scroll, "the drag scrolled the page"


@pytest.mark.browser
def test_sliders_and_presets_change_the_run(figure):
    live = figure()
    seen = []
    for name in ["too large", "theory's η", "exactly on the stable manifold"]:
        before = live.summary.text_content()
        live.root.get_by_role("button", name=name).click()
        seen.append(changed(live.summary, before))
    assert len(set(seen)) == 3
    slider = live.root.get_by_label("step size η")
    before = slider.input_value()
    slider.focus()
    live.page.keyboard.press("ArrowRight")
    assert slider.input_value() != before


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 360])
def test_the_figure_fits_the_page(figure, width):
    live = figure(width=width)
    for control in [live.root, *live.root.locator("button, input, svg, canvas").all()]:
        box = control.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


def brightness(live):
    """Mean brightness of the figure, 0 to 255."""
    live.page.mouse.move(0, 0)
    return np.asarray(Image.open(io.BytesIO(live.root.screenshot())).convert("L")).mean()


@pytest.mark.browser
def test_the_figure_follows_the_colour_scheme(figure):
    light, dark = figure(scheme="light"), figure(scheme="dark")
    assert brightness(dark) < brightness(light) - 60
    # The reader's own choice with the button of the page counts as well.
    before = brightness(light)
    for _ in range(3):
        light.page.locator("button.theme-switch-button:visible").first.click()
        if light.page.evaluate("() => document.documentElement.dataset.theme") == "dark":
            break
    light.page.wait_for_timeout(300)
    assert brightness(light) < before - 60


@pytest.mark.browser
def test_reduced_motion_means_no_animation(figure):
    live = figure(reduced_motion="reduce")
    live.root.get_by_role("button", name="exactly on the stable manifold").click()
    running = live.root.evaluate(
        "e => e.getAnimations({subtree: true}).filter(a => a.playState === 'running').length"
    )
    assert running == 0
    assert stands_still(live.page, "saddle-map")
