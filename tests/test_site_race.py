"""The race of the methods on the static page: it counts, ranks, and can be read by all."""

import re
from pathlib import Path
from types import SimpleNamespace

import axe_playwright_python
import pytest
from browser import Visit, stands_still

pytestmark = pytest.mark.browser

CHAPTER = "chapters/gdpolyak.html"
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
SLIDERS = ["short steps per epoch K", "condition number κ", "oracle calls in all"]
METHODS = {"gradient descent", "Nesterov, restarted", "Barzilai–Borwein", "GDPolyak, K = 100",
           "GDPolyak, K grows", "L-BFGS", "order-aware"}
BAD = "NaN|undefined|Infinity|null"


@pytest.fixture
def figure(browser, site):
    """Open the figures of the chapter; hand back the visit and the root of this one."""
    visits = []

    def open_figure(**options):
        visit = Visit(browser, **options)
        visits.append(visit)
        visit.open_figures(site, CHAPTER)
        root = visit.page.get_by_role("group", name="Which method gets down first?")
        root.get_by_test_id("race").evaluate(
            "e => e.scrollIntoView({block: 'start', behavior: 'instant'})")
        visit.page.wait_for_function("performance.getEntriesByName('race:visible')[0]")
        live = SimpleNamespace(page=visit.page, root=root, table=root.get_by_test_id("table"),
                               calls=root.get_by_label("oracle calls", exact=True),
                               summary=root.get_by_test_id("summary"))
        live.page.wait_for_function("e => e.textContent", arg=live.summary.element_handle())
        return live

    yield open_figure
    for visit in visits:
        assert visit.errors == [] and visit.foreign(site) == []
        visit.context.close()


def finished(live):
    """Wait until all calls are made; the rows of the table: method, calls to finishes, least."""
    live.page.wait_for_function("e => e.value === e.max", arg=live.calls.element_handle())
    live.page.wait_for_timeout(300)
    return {cells[0]: cells[1:] for cells in (
        row.locator("th, td").all_text_contents() for row in live.table.locator("tbody tr").all())}


def press(live, name):
    """Press a button and wait for the end of its race."""
    live.root.get_by_role("button", name=name, exact=True).press("Enter")
    live.page.wait_for_timeout(60)
    return finished(live)


def test_the_table_ranks_by_calls_and_the_summary_reads_it(figure):
    live = figure(reduced_motion="reduce")
    rows = finished(live)
    assert set(rows) == METHODS
    passed = [sum(c != "–" for c in cells[:3]) for cells in rows.values()]
    assert passed == sorted(passed, reverse=True)
    last = [int(cells[2]) for cells in rows.values() if cells[2] != "–"]
    assert last == sorted(last) and len(last) >= 3
    said = live.summary.text_content()
    assert f"K = 100 needs {rows['GDPolyak, K = 100'][2]} calls to 10⁻²⁸" in said
    told = re.search(r"needs (\d+) calls to 10⁻²⁸ \(predicted (\d+)\)", said)
    assert told[1] == rows["GDPolyak, K grows"][2]
    assert int(told[2]) == pytest.approx(int(told[1]), rel=0.1)


def test_presets_tell_their_story(figure):
    live = figure(reduced_motion="reduce")
    rows = press(live, "K too small")
    assert rows["GDPolyak, K = 20"][:3] == ["–", "–", "–"]
    assert rows["GDPolyak, K grows"][2] != "–"
    for preset, first in (("ill-conditioned", "order-aware"), ("steep walls", "Barzilai–Borwein")):
        rows = press(live, preset)
        last = {name: int(cells[2]) for name, cells in rows.items() if cells[2] != "–"}
        assert min(last, key=last.get) == first
        said = live.summary.text_content()
        assert re.search(rf"10⁻²⁸: {first} after [^.]*\b{last[first]} calls\.", said), said
    rows = press(live, "a rounding floor")
    assert all(cells[2] == "–" for name, cells in rows.items() if name.startswith("GDPolyak"))
    assert "rounding is predicted" in live.summary.text_content()
    before = press(live, "start over")
    assert press(live, "another start") != before


def test_the_race_runs_once_and_can_be_paused_and_run_by_hand(figure):
    live = figure()
    live.page.wait_for_function("e => 2 < +e.value && +e.value < e.max - 2",
                                arg=live.calls.element_handle())
    live.root.get_by_role("button", name="pause").press("Enter")
    play = live.root.get_by_role("button", name="race", exact=True)
    play.wait_for()
    assert stands_still(live.page, "race")
    live.calls.press("Home")
    live.page.wait_for_function("e => e.getAttribute('aria-valuetext') === '1'",
                                arg=live.calls.element_handle())
    assert "–" in live.table.text_content()
    live.calls.press("End")
    finished(live)
    play.press("Enter")  # from the beginning again
    live.root.get_by_role("button", name="pause").wait_for()
    assert int(live.calls.input_value()) < int(live.calls.get_attribute("max")) - 2


def test_reduced_motion_means_no_race(figure):
    live = figure(reduced_motion="reduce")
    finished(live)
    assert live.root.get_by_role("button", name="race", exact=True).count() == 0
    assert stands_still(live.page, "race")


def test_every_control_moves_by_keyboard_and_no_extreme_breaks_it(figure):
    live = figure(reduced_motion="reduce")
    radios = live.root.get_by_role("radio").all()
    radios[0].focus()
    for after in (1, 2, 0):
        live.page.keyboard.press("ArrowRight")
        live.page.wait_for_timeout(50)
        assert [r.is_checked() for r in radios] == [i == after for i in range(3)]
    for radio in radios:
        radio.check()
        for label in SLIDERS:
            slider = live.root.get_by_label(label, exact=True)
            middle = slider.input_value()
            for key in ("Home", "End"):
                slider.press(key)
                live.page.wait_for_timeout(60)
                assert not re.search(BAD, live.root.text_content()), (label, key)
            assert slider.input_value() == slider.get_attribute("max")
            slider.fill(middle)
    live.root.get_by_label("log axis for calls").press("Space")
    live.page.wait_for_timeout(60)
    assert not live.root.get_by_label("log axis for calls").is_checked()


@pytest.mark.parametrize("width", [1280, 360])
def test_the_figure_fits_the_page(figure, width):
    live = figure(width=width, reduced_motion="reduce")
    for control in [live.root, *live.root.locator("button, input, canvas, table").all()]:
        box = control.bounding_box()
        if box:  # what is hidden has none
            assert box["x"] >= 0 and box["x"] + box["width"] <= width
    assert live.page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = [live.root.get_by_test_id(name).bounding_box() for name in ("race", "table")]
    assert (boxes[0]["x"] < boxes[1]["x"]) == (width == 1280)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_figure_is_accessible(figure, scheme):
    live = figure(scheme=scheme, reduced_motion="reduce")
    finished(live)
    live.root.locator("summary").click()
    live.page.evaluate(AXE)
    violations = live.page.evaluate(
        "() => axe.run('.method-race', { preload: false }).then((r) => r.violations)")
    assert [v["id"] for v in violations] == []
    ratio = live.root.evaluate("""(root) => {
      const css = getComputedStyle(root);
      const light = (name) => {
        const hex = css.getPropertyValue(`--mr-${name}`).trim();
        const [r, g, b] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255)
          .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
      };
      const against = (name) => {
        const [a, b] = [light(name), light("bg")];
        return Math.max(a, b) / Math.min(a, b);
      };
      return Object.fromEntries(["soft", "gd", "nesterov", "bb", "gdpolyak", "growing", "lbfgs",
                                 "order"]
        .map((name) => [name, against(name)]));
    }""")
    # What is drawn on a canvas axe cannot see: text 4.5, marks 3.
    assert ratio.pop("soft") >= 4.5
    assert min(ratio.values()) >= 3, ratio


def test_a_picture_stands_in_where_scripts_do_not_run(browser, site, figure):
    with Visit(browser, java_script_enabled=False) as visit:
        visit.page.goto(f"{site}/{CHAPTER}")
        picture = visit.page.locator("img[src*='race']")
        assert picture.is_visible() and len(picture.get_attribute("alt")) > 1
    assert not figure().page.locator("img[src*='race']").is_visible()
