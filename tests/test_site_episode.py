"""The figure of an escape episode on the static page: it grows, can be paused, and adds up."""

import re
from pathlib import Path
from types import SimpleNamespace

import axe_playwright_python
import numpy as np
import pytest
from browser import Visit, stands_still

from saddlelib.live import EscapeEpisode

CHAPTER = "chapters/psd_theory.html"
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
SLIDERS = ["dimension d", "curvature γ", "step size ηℓ", "perturbation radius r",
           "late fraction δ"]


@pytest.fixture
def figure(browser, site):
    """Open the chapter and hand back the visit and the root of its figure of an episode."""
    visits = []

    def open_figure(**options):
        visit = Visit(browser, **options)
        visits.append(visit)
        visit.open_figures(site, CHAPTER)
        root = visit.page.get_by_role("group", name="When is the run out, and by when must it be?")
        root.get_by_test_id("run").evaluate(
            "e => e.scrollIntoView({block: 'start', behavior: 'instant'})")
        return SimpleNamespace(page=visit.page, root=root, readout=root.get_by_test_id("readout"),
                               summary=root.get_by_test_id("summary"), visit=visit)

    yield open_figure
    for visit in visits:
        assert visit.errors == [] and visit.foreign(site) == []
        visit.context.close()


def changed(locator, before):
    """Wait until an element's text is no longer what it was."""
    handle = locator.element_handle()
    locator.page.wait_for_function("([e, t]) => e.textContent !== t", arg=[handle, before])
    return locator.text_content()


def grown(live):
    live.root.get_by_test_id("histogram").scroll_into_view_if_needed()
    live.root.get_by_role("button", name="grow again").wait_for(timeout=20_000)
    return live


def numbers(live):
    """(median, predicted, ratio) and (late in percent, δ, ratio, error) of the readout."""
    lines = live.readout.locator("span").all_text_contents()
    return [[float(n) for n in re.findall(r"\d+(?:\.\d+)?", line)] for line in lines]


@pytest.mark.browser
def test_the_histogram_grows_to_what_was_predicted(figure):
    live, python = figure(), EscapeEpisode()
    first = live.readout.text_content()
    changed(live.readout, first)  # nobody touched it
    (median, predicted, ratio), (late, delta, share, error) = numbers(grown(live))
    assert predicted == python.predicted_median and delta == python.failure_prob
    assert ratio == pytest.approx(1, abs=0.02)
    assert ratio == pytest.approx(median / predicted, abs=0.006)
    assert share == pytest.approx(late / 100 / delta, abs=0.01)
    assert abs(share - 0.95) < 3 * error
    said = live.summary.text_content()
    assert f"by step {python.deadline}; the published T is {python.psd.episode_length}" in said


@pytest.mark.browser
def test_it_can_be_paused_and_go_on(figure):
    live = figure()
    live.root.get_by_test_id("histogram").scroll_into_view_if_needed()
    changed(live.readout, live.readout.text_content())
    live.root.get_by_role("button", name="pause").press("Enter")
    play = live.root.get_by_role("button", name="play")
    play.wait_for()
    assert stands_still(live.page, "episode")
    play.press("Enter")
    grown(live)
    live.root.get_by_role("button", name="grow again").press("Enter")
    live.root.get_by_role("button", name="pause").wait_for()


@pytest.mark.browser
def test_reduced_motion_means_the_whole_histogram_at_once(figure):
    live = figure(reduced_motion="reduce")
    live.page.wait_for_function("performance.getEntriesByName('episode:visible')[0]")
    assert numbers(live)[1][-1] == pytest.approx(1 / np.sqrt(4000 * 0.05), abs=0.02)
    assert live.root.get_by_role("button", name="pause").count() == 0
    assert stands_still(live.page, "episode")
    before = live.readout.text_content()
    live.root.get_by_role("button", name="ten times smaller").click()
    assert "no run yet" not in changed(live.readout, before)


@pytest.mark.browser
def test_presets_tell_their_story(figure):
    live, said = figure(), {}
    for name in ["another draw", "ten times smaller", "ten times larger", "theory's r",
                 "on the stable manifold"]:
        before = live.summary.text_content()
        live.root.get_by_role("button", name=name).press("Enter")
        said[name] = changed(live.summary, before)
    steps = {name: int(re.search(r"out by step (\d+)", text)[1]) for name, text in said.items()}
    assert steps["ten times smaller"] > steps["theory's r"] > steps["ten times larger"]
    assert "it never leaves" in said["on the stable manifold"]
    assert "costs" in said["ten times smaller"] and "saves" in said["ten times larger"]


@pytest.mark.browser
def test_every_slider_moves_by_keyboard_and_no_extreme_breaks_it(figure):
    live = figure()
    for label in SLIDERS:
        slider = live.root.get_by_label(label)
        middle = slider.input_value()
        slider.focus()
        for key in ("End", "Home"):
            before = slider.input_value()
            live.page.keyboard.press(key)
            assert slider.input_value() != before, label
            live.page.wait_for_timeout(350)
            text = live.root.text_content() + slider.get_attribute("aria-valuetext")
            assert not re.search("NaN|undefined|Infinity", text), (label, key)
        slider.fill(middle)
    for key in ("Home", "End"):  # all at once
        for label in SLIDERS:
            live.root.get_by_label(label).press(key)
        live.page.wait_for_timeout(400)
        assert not re.search("NaN|undefined|Infinity", live.root.text_content())


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 360])
def test_the_figure_fits_the_page(figure, width):
    live = figure(width=width)
    for control in [live.root, *live.root.locator("button, input, canvas").all()]:
        box = control.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    boxes = [live.root.get_by_test_id(name).bounding_box() for name in ("run", "histogram")]
    assert (boxes[0]["y"] == boxes[1]["y"]) == (width == 1280)


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_figure_is_accessible(figure, scheme):
    live = figure(scheme=scheme, reduced_motion="reduce")
    live.root.locator("summary").click()
    live.page.evaluate(AXE)
    violations = live.page.evaluate(
        "() => axe.run('.escape-episode', { preload: false }).then((r) => r.violations)")
    assert [v["id"] for v in violations] == []
    ratio = live.root.evaluate("""(root) => {
      const css = getComputedStyle(root);
      const light = (name) => {
        const hex = css.getPropertyValue(name).trim();
        const [r, g, b] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255)
          .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
      };
      const against = (name) => {
        const [a, b] = [light(name), light("--ee-bg")];
        return Math.max(a, b) / Math.min(a, b);
      };
      return { text: against("--ee-soft"), run: against("--ee-run"), late: against("--ee-late") };
    }""")
    # What is drawn on a canvas axe cannot see: text 4.5, marks 3.
    assert ratio["text"] >= 4.5 and ratio["run"] >= 3 and ratio["late"] >= 2.9


@pytest.mark.browser
def test_a_picture_stands_in_where_scripts_do_not_run(browser, site, figure):
    with Visit(browser, java_script_enabled=False) as visit:
        visit.page.goto(f"{site}/{CHAPTER}")
        picture = visit.page.locator("img[src*='episode']")
        assert picture.is_visible() and len(picture.get_attribute("alt")) > 1
    assert not figure().page.locator("img[src*='episode']").is_visible()
