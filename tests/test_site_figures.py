"""Every live figure in a browser: it answers mouse, finger and keyboard, and can be read by all.

The figures stand on pages of their own, as ``save`` writes them: what they promise there they
promise in the book, and no book has to be built. One page of a figure serves many assertions.
"""

import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import axe_playwright_python
import numpy as np
import pytest
from browser import FRAMES, Visit, serve
from PIL import Image
from thorough import instances

from saddlelib.live import (
    BudgetCalculator,
    EscapeEpisode,
    MethodRace,
    ModeStaircase,
    NoisyTrigger,
    RavineBall,
    SaddleMap,
)
from saddlelib.theory.budget import _count

pytestmark = pytest.mark.browser

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
PHONE = {"width": 360, "height": 740, "has_touch": True, "is_mobile": True}
ARROWS = {"ArrowLeft": (-1, 0), "ArrowRight": (1, 0), "ArrowUp": (0, -1), "ArrowDown": (0, 1)}
# What the tests ask a page about. A figure says its sentence a few times a second; here it says it
# at once, so that nobody has to wait for it.
LOOK = f"""(() => {{
  const later = setTimeout;
  window.setTimeout = (act, ms, ...given) => later(act, ms <= 200 ? 0 : ms, ...given);
  history.scrollRestoration = "manual";
  const frames = {FRAMES};
  const seen = (root, what) => [...root.querySelectorAll(what)].filter((e) => e.offsetParent);
  const copy = document.createElement("canvas").getContext("2d", {{ willReadFrequently: true }});

  // A number for the pixels of every canvas.
  const pictures = (root) => [...root.querySelectorAll("canvas")].map((canvas) => {{
    const {{ width, height }} = Object.assign(copy.canvas,
      {{ width: canvas.width, height: canvas.height }});
    if (!width || !height) return 0;
    copy.drawImage(canvas, 0, 0);
    let sum = width;
    for (const pixel of new Uint32Array(copy.getImageData(0, 0, width, height).data.buffer))
      sum = (Math.imul(sum, 31) + pixel) | 0;
    return sum;
  }});

  // Wait until what was asked for is drawn and said; what is a slip in the words of the figure.
  async function drawn(root) {{
    await frames(2);
    await new Promise((done) => later(done, 0));
    const names = [...root.querySelectorAll("*")].flatMap((e) => [...e.attributes])
      .filter((a) => a.name.startsWith("aria-")).map((a) => a.value);
    const words = [root.textContent, ...names].join(" ");
    const slip = words.match(/.{{0,40}}(NaN|undefined|Infinity|null|\\[object).{{0,40}}/s);
    const sentence = root.querySelector(".lf-summary").textContent;
    return [...(slip ? [slip[0]] : []), ...(sentence.split(/\\s+/).length > 20 ? [sentence] : [])];
  }}

  // An animation would draw in every frame. One late redraw, after a change of size, is none.
  async function rests(name) {{
    const drawn = () => performance.getEntriesByName(`${{name}}:drawn`).length;
    await frames(3);
    const before = drawn();
    await frames(15);
    return drawn() - before <= 1;
  }}

  // Move every slider to both its ends, then all of them at once, and press every box. What is
  // wrong: an end that is not reached or has no words, a slider that changes no picture or keeps
  // the keys to itself, a slip in the words.
  async function ends(root) {{
    const sliders = seen(root, "input[type=range]"), wrong = [];
    const named = ({{ ariaLabel }}, fault) => wrong.push(`${{ariaLabel}}: ${{fault}}`);
    const put = (slider, value) => {{
      slider.value = value;
      slider.dispatchEvent(new Event("input", {{ bubbles: true }}));
    }};
    for (const slider of sliders) {{
      const [middle, at] = [slider.value, new Set()];
      for (const end of ["min", "max"]) {{
        if (!slider.dispatchEvent(new KeyboardEvent("keydown",
          {{ key: "Home", bubbles: true, cancelable: true }}))) named(slider, "takes a key");
        put(slider, slider[end]);
        wrong.push(...await drawn(root));
        if (slider.value !== slider[end]) named(slider, `not at its ${{end}}`);
        if (!slider.getAttribute("aria-valuetext")) named(slider, `no words at its ${{end}}`);
        at.add(String(pictures(root)));
      }}
      if (at.size === 1) named(slider, "changes nothing");
      put(slider, middle);  // which is drawn with what comes next
    }}
    for (const box of root.querySelectorAll("[type=checkbox], [type=radio]")) {{
      box.click();
      wrong.push(...await drawn(root));
    }}
    for (const end of ["min", "max"]) {{
      for (const slider of sliders) if (slider.offsetParent) put(slider, slider[end]);
      wrong.push(...await drawn(root));
    }}
    return wrong;
  }}
  window.look = {{ seen, frames, pictures, drawn, rests, ends }};
}})();"""
# What a person or a program that reads the page aloud is told, counted from the call on.
LISTEN = """() => { window.said = []; new MutationObserver((changes) => {
  for (const { target } of changes) {
    const node = target.nodeType === 1 ? target : target.parentElement;
    const live = node?.closest("[aria-live], [role=status], [role=alert]");
    if (live && live.getAttribute("aria-live") !== "off") window.said.push(live.textContent);
  } }).observe(document.body, { subtree: true, childList: true, characterData: true }); }"""


@dataclass
class Figure:
    """What is particular to a figure: its class, marks and views, and the promises of its own."""

    widget: type
    mark: str
    views: list[str]
    drags: bool = False
    methods: list[str] = field(default_factory=list)  # names of colours, drawn on canvases
    traits: dict = field(default_factory=dict)


AUTHORS = {"lipschitz_grad": 10.0, "lipschitz_hess": 0.1, "epsilon": 1e-3, "failure_prob": 0.1,
           "delta_f": 1.0, "dim": 10}
RUNS = [{"name": "a small one", **AUTHORS, "dim": 3, "taken": {"PSD": 2e5, "PGD 2017": 400.0}},
        {"name": "a coarse one", **AUTHORS, "epsilon": 0.05, "taken": {"PSD": 30.0},
         "gradient_seconds": 1e-6}]
FIGURES = {
    "budget": Figure(BudgetCalculator, "budget", ["bars", "curves"], False,
                     ["pgd", "pgd2021", "psd", "repaired", "certified"], traits={"runs": RUNS}),
    "saddle": Figure(SaddleMap, "saddle-map", ["map", "plots"], True, ["gd", "pgd", "law"]),
    "hero": Figure(SaddleMap, "saddle-map", ["map", "plots"], True, traits={"compact": True}),
    "noise": Figure(NoisyTrigger, "noise", ["map", "histogram"], True,
                    ["sgd", "minimizer", "missed", "false", "law"]),
    "ravine": Figure(RavineBall, "ravine", ["map", "plots"], True,
                     ["gd", "polyak", "gdpolyak", "law"]),
    "episode": Figure(EscapeEpisode, "episode", ["run", "histogram"], False,
                      ["gd", "law"]),
    "race": Figure(MethodRace, "race", ["race"], False,
                   ["gd", "nesterov", "bb", "gdpolyak", "growing", "lbfgs", "order", "law"]),
    "staircase": Figure(ModeStaircase, "staircase", ["strengths", "loss"], False,
                        ["mode1", "mode2", "mode3", "law"]),
}
every_figure = pytest.mark.parametrize("name", FIGURES)
# The hero is the map of saddles with less around it: what it has, it has from there.
WHOLE = instances([name for name in FIGURES if name != "hero"], list(FIGURES))
every_whole_figure = pytest.mark.parametrize("name", WHOLE)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The address of a folder in which every figure has a page of its own."""
    folder = tmp_path_factory.mktemp("figures")
    for name, figure in FIGURES.items():
        figure.widget(**figure.traits).save(folder / name)
    with serve(folder) as address:
        yield address


@pytest.fixture(scope="module")
def screens(browser):
    """A desk and a phone for all tests: a page is loaded anew much sooner than made anew."""
    with Visit(browser) as desk, Visit(browser, **PHONE) as phone:
        for visit in (desk, phone):
            visit.page.add_init_script(LOOK)
        yield SimpleNamespace(desk=desk, phone=phone)


@pytest.fixture
def shown(screens, pages):
    """Show a figure by its name; hand back its page, its root and what is asked for most."""
    visits = []

    def show(name, phone=False, width=1280, height=900, reduced_motion="reduce"):
        visit = screens.phone if phone else screens.desk
        visits.append(visit)
        page = visit.page
        page.emulate_media(color_scheme="light", forced_colors="none",
                           reduced_motion=reduced_motion)
        if not phone:
            page.set_viewport_size({"width": width, "height": height})
            page.mouse.move(0, 0)
        page.goto(f"{pages}/{name}/index.html")
        page.wait_for_function("document.querySelector('.lf-summary')?.textContent")
        root = page.locator(".lf")
        return SimpleNamespace(page=page, root=root, figure=FIGURES[name],
                               start=root.get_by_test_id("start"),
                               summary=root.get_by_test_id("summary"))

    yield show
    found = [visit.errors + visit.foreign(pages) for visit in visits]
    for visit in visits:
        visit.errors.clear()
        visit.requests.clear()
    assert not any(found), found


def drawn(live):
    """Wait until what was asked for is drawn and said; nothing that the figure says is a slip."""
    assert live.root.evaluate("e => look.drawn(e)") == []


def said(live):
    """The sentence of a figure, once it has been said; it is short."""
    drawn(live)
    return live.summary.text_content()


def stands_still(page, name):
    return page.evaluate("name => look.rests(name)", name)


def press(live, name):
    live.root.get_by_role("button", name=name, exact=True).press("Enter")
    return said(live)


def pictures(live):
    """A number for the pixels of every canvas."""
    return live.root.evaluate("e => look.pictures(e)")


def centre(locator):
    box = locator.bounding_box()
    return np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])


def open_all(live):
    live.root.evaluate("e => e.querySelectorAll('details').forEach((d) => { d.open = true })")


def fits(live, width):
    """Nothing sticks out of a page of this width."""
    left, right, wide = live.root.evaluate("""e => {
      const boxes = [e, ...look.seen(e, "button, input, canvas, p, table")]
        .map((n) => n.getBoundingClientRect());
      return [Math.min(...boxes.map((b) => b.left)), Math.max(...boxes.map((b) => b.right)),
              document.documentElement.scrollWidth]; }""")
    assert left >= 0 and right <= width and wide <= width


@every_whole_figure
def test_every_control_answers_the_keyboard_at_its_ends(shown, name):
    live = shown(name, height=1400)
    fits(live, 1280)
    assert live.root.bounding_box()["width"] >= 1000
    open_all(live)
    slider = live.root.locator("input[type=range]:visible").first
    middle = slider.input_value()
    for key, end in (("Home", "min"), ("End", "max")):  # as all others do, being of one kind
        slider.press(key)
        assert slider.input_value() == slider.get_attribute(end)
    slider.fill(middle)
    drawn(live)
    assert live.root.evaluate("e => look.ends(e)") == []
    if live.root.get_by_role("button", name="start over").count():
        press(live, "start over")


@every_figure
def test_few_controls_stand_beside_the_plot_and_presets_change_it(shown, name):
    live = shown(name)
    visible = [s for s in live.root.locator(".lf-sliders input").all() if s.is_visible()]
    buttons = [b for b in live.root.locator(".lf-presets button").all() if b.is_visible()]
    assert 1 <= len(visible) <= 2 and len(buttons) <= 4
    if live.figure.traits.get("compact"):
        assert len(visible) == 2 and not buttons
        assert live.root.locator("input, button, p").count() == 3  # two sliders and a sentence
        return
    assert len(live.root.locator(".lf-caption").text_content().split()) > 8
    before, words = pictures(live), live.summary.text_content()
    changes, pressed = 0, list(buttons)
    for button in buttons:
        if button.get_attribute("aria-disabled") == "true":
            pressed.remove(button)  # what was pressed before has done it already
        button.press("Enter")
        now = said(live)
        changes += now != words or pictures(live) != before
        before, words = pictures(live), now
    # A preset may be where the figure begins, and then changes nothing when it is pressed first.
    assert changes >= len(pressed) - 1 and len(pressed) >= len(buttons) / 2
    live.root.locator(".lf-more > summary").click()
    start_over = live.root.get_by_role("button", name="start over")
    assert live.root.evaluate("""async (e) => {
      const wrong = [];
      for (const button of e.querySelectorAll(".lf-more button")) {
        button.click();
        wrong.push(...await look.drawn(e));
      }
      return wrong; }""") == []
    start_over.press("Enter")
    drawn(live)
    # A button that would change nothing says so, and does nothing.
    for button in live.root.locator("button[aria-disabled=true]").all():
        before = pictures(live)
        button.press("Enter")
        drawn(live)
        assert pictures(live) == before


@pytest.mark.parametrize("name", [name for name in WHOLE if FIGURES[name].drags])
def test_the_start_answers_keys_mouse_and_finger(shown, name):
    live = shown(name)
    live.start.focus()
    for key, direction in ARROWS.items():
        place, picture = centre(live.start), pictures(live)
        for _ in range(2):
            live.page.keyboard.press(f"Shift+{key}")
        drawn(live)
        assert (centre(live.start) - place) @ direction > 5 and pictures(live) != picture, key
    place = centre(live.start)
    live.page.mouse.move(*place)
    live.page.mouse.down()
    for i in range(1, 6):
        live.page.mouse.move(*(place + 8 * i * np.array([-1, 1])))
    live.page.mouse.up()
    drawn(live)
    assert np.abs(centre(live.start) - place - [-40, 40]).max() < 6
    live.start.press("Home")
    drawn(live)
    assert "= 0," in live.start.get_attribute("aria-valuetext")

    phone = shown(name, phone=True)
    place, scroll = centre(phone.start), phone.page.evaluate("() => scrollY")
    touch = phone.page.context.new_cdp_session(phone.page)
    for kind, points in [("touchStart", [place]), ("touchMove", [place + [-15, 20]]),
                         ("touchMove", [place + [-30, 40]]), ("touchEnd", [])]:
        touch.send("Input.dispatchTouchEvent", {
            "type": kind, "touchPoints": [{"x": float(x), "y": float(y)} for x, y in points]})
    drawn(phone)
    assert np.abs(centre(phone.start) - place - [-30, 40]).max() < 8
    assert phone.page.evaluate("() => scrollY") == scroll, "the drag scrolled the page"


@every_figure
def test_on_a_phone_the_plot_stays_in_view_of_every_slider(shown, name):
    live = shown(name, phone=True)
    fits(live, 360)
    open_all(live)
    fits(live, 360)
    places = live.root.evaluate("""e => look.seen(e, "input[type=range]").map((slider) => {
      slider.scrollIntoView({ block: "center", behavior: "instant" });
      slider.focus();
      const [plot, own] = [e.querySelector(".lf-bench > .lf-view"), slider]
        .map((n) => n.getBoundingClientRect());
      return [slider.getAttribute("aria-label"), plot.top, plot.bottom, own.top, own.bottom]; })""")
    assert places
    for label, top, bottom, above, below in places:
        assert top >= 0 and bottom <= above + 1, label
        assert below <= 740 and below - above >= 44, label
    small = live.root.evaluate("""e => look.seen(e, "button")
      .filter((b) => b.getBoundingClientRect().height < 44).map((b) => b.textContent)""")
    assert small == []


@every_whole_figure
def test_it_fits_again_whenever_the_window_becomes_wider_or_narrower(shown, name):
    """From 630 px, one wide column, to 700, two narrow ones, where a plot must give way."""
    live = shown(name, width=630)
    for width in (700, 360, 1280, 630):
        live.page.set_viewport_size({"width": width, "height": 900})
        drawn(live)
        fits(live, width)
        loose = live.root.evaluate("""e => [...e.querySelectorAll(".lf-view > canvas")]
          .map((c) => [c.dataset.testid, c.clientWidth - c.parentElement.clientWidth])
          .filter(([, more]) => Math.abs(more) > 1)""")
        assert loose == [], width


CONTRAST = """(root, names) => {
  const css = getComputedStyle(root);
  const light = (name) => {
    const hex = css.getPropertyValue(`--lf-${name}`).trim();
    const [r, g, b] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
  };
  const against = (name) => Math.max(light(name), light("bg")) / Math.min(light(name), light("bg"));
  return names.map(against);
}"""


# What tells swatches apart besides colour, or by one that the system has chosen.
LOOKS = """(all) => all.map((e) => {
  const { stroke, strokeDasharray, strokeWidth } = getComputedStyle(e.firstChild);
  const mark = e.firstChild.getAttribute("d");
  const lines = [...e.children].map((n) => n.outerHTML.replace(/class="[^"]*"/, "")).slice(1);
  return [stroke, strokeDasharray, strokeWidth, mark, ...lines].join();
})"""


def greys(locator):
    """The pixels of an element as they are shown."""
    shot = locator.screenshot(type="jpeg", quality=90)
    return np.asarray(Image.open(io.BytesIO(shot)).convert("L"))


@every_whole_figure
def test_it_can_be_read_in_light_dark_and_forced_colours(shown, name):
    live = shown(name)
    open_all(live)
    live.root.locator(".lf-sliders input").first.press("Shift")  # nothing waits for a guess
    live.page.evaluate(AXE)
    seen = {}
    # Nothing but colours is another in the dark.
    for scheme, asked in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
        live.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        drawn(live)
        seen[scheme] = greys(live.root).mean()
        found = live.page.evaluate(
            "(asked) => axe.run('.lf', { preload: false, resultTypes: ['violations'], ...asked })"
            ".then((r) => r.violations)", asked)
        assert [v["id"] for v in found] == []
        # What is drawn on a canvas axe cannot see: text 4.5, marks 3.
        assert live.root.evaluate(CONTRAST, ["soft"])[0] >= 4.5
        assert min(live.root.evaluate(CONTRAST, live.figure.methods or ["ink"])) >= 3
    assert seen["dark"] < seen["light"] - 60
    # The reader's own choice on the page counts more than the system's.
    # And a printer takes what is drawn at once: it waits for no frame.
    at_once = live.root.evaluate("""async (e) => {
      document.documentElement.dataset.theme = 'light';
      await null;
      return look.pictures(e);
    }""")
    drawn(live)
    assert at_once == pictures(live)
    assert abs(greys(live.root).mean() - seen["light"]) < 5

    live.page.emulate_media(color_scheme="light", forced_colors="active", reduced_motion="reduce")
    drawn(live)
    looks = live.root.locator("[class*=lf-legend] .lf-swatch").evaluate_all(LOOKS)
    assert len(set(looks)) == len(looks), looks
    # What shows a value by its colour alone shows nothing here: every canvas has dark on light.
    for canvas in live.root.locator("canvas").all():
        assert 0.005 < (greys(canvas) < 100).mean() < 0.5


@every_whole_figure
def test_nothing_is_announced_unasked(shown, name):
    live = shown(name, reduced_motion="no-preference")
    live.page.evaluate(LISTEN)
    live.page.evaluate("look.frames(40)")
    live.page.mouse.move(640, 300)
    live.page.keyboard.press("Tab")
    live.page.evaluate("look.frames(10)")
    assert live.page.evaluate("window.said") == []
    slider = live.root.locator(".lf-sliders input").first
    slider.press("Home")
    play = live.root.get_by_role("button", name="pause")
    if play.count():
        play.press("Enter")  # what still plays is told of when it has come to rest
    live.page.wait_for_function("window.said.length")
    live.page.emulate_media(reduced_motion="reduce")
    drawn(live)
    assert live.root.get_by_role("button", name=re.compile("play|pause|race")).count() == 0
    assert live.root.evaluate("e => e.getAnimations({ subtree: true }).length") == 0
    assert stands_still(live.page, live.figure.mark)


def test_a_figure_far_below_waits_and_its_state_travels(browser, pages, tmp_path):
    SaddleMap(start=[0.25, 0.5], step_size=0.2).save(tmp_path)
    state = json.loads((tmp_path / "state.json").read_text("utf-8"))
    assert state["start"] == [0.25, 0.5] and not any(key.startswith("_") for key in state)
    page = (tmp_path / "index.html").read_text("utf-8")
    assert "<script>" not in page and "https:" not in page
    element = '<div data-figure="figure.js" data-state="state.json"></div>'
    (tmp_path / "two.html").write_text(
        page.replace(element, f"{element}<div style='height: 9000px'></div>{element}"), "utf-8")
    with serve(tmp_path) as address, Visit(browser) as visit:
        visit.page.goto(f"{address}/two.html")
        visit.page.wait_for_function("document.querySelectorAll('.lf').length === 2")
        visit.page.evaluate(f"({FRAMES})(20)")
        first, second = visit.page.get_by_test_id("summary").all()
        assert "leave after" in first.text_content() and second.text_content() == ""
        assert visit.page.get_by_label("step size η").first.get_attribute(
            "aria-valuetext") == "0.2"
        tall = visit.page.evaluate("document.documentElement.scrollHeight")
        second.scroll_into_view_if_needed()
        visit.page.wait_for_function("e => e.textContent", arg=second.element_handle())
        assert visit.page.evaluate("document.documentElement.scrollHeight") == tall
        assert visit.errors == []


@pytest.fixture(scope="module")
def in_the_book(browser):
    """A phone, and one that runs no scripts."""
    with Visit(browser, java_script_enabled=False) as plain, Visit(
            browser, width=360, reduced_motion="reduce") as phone:
        phone.page.add_init_script(LOOK)
        yield plain, phone


@pytest.mark.parametrize("page", ["saddles", "psd_theory", "psgd", "fourth_order_growth",
                                  "gdpolyak"])
def test_in_the_book_a_picture_stands_in_where_scripts_do_not_run(in_the_book, site, page):
    plain, phone = in_the_book
    plain.open_figures(site, f"chapters/{page}.html")
    stills = plain.page.locator(".no-script img:not(.on-dark)").all()
    for picture in stills:
        assert picture.is_visible() and len(picture.get_attribute("alt")) > 20
    phone.open_figures(site, f"chapters/{page}.html")
    wanted = ".live-figure:not([data-figure=AnswerBox])"
    for box in phone.page.locator(wanted).all():  # they start where they are near
        box.evaluate("e => e.scrollIntoView({ block: 'center', behavior: 'instant' })")
        phone.page.wait_for_function("e => e.classList.contains('runs')",
                                     arg=box.element_handle())
    figures = phone.page.locator(".lf")
    assert figures.count() == len(stills) >= 1
    assert not any(s.is_visible() for s in phone.page.locator(".no-script").all())
    for figure in figures.all():  # the plot sticks among whatever the book puts around it
        above, below, slider = figure.evaluate("""e => {
          e.querySelectorAll("details").forEach((d) => { d.open = true; });
          const slider = look.seen(e, ".lf-more input[type=range]").at(-1);
          slider.scrollIntoView({ block: "center", behavior: "instant" });
          const plot = e.querySelector(".lf-bench > .lf-view").getBoundingClientRect();
          return [plot.top, plot.bottom, slider.getBoundingClientRect().top]; }""")
        assert above > 0 and below <= slider + 1
    assert phone.errors == []


# What only one figure promises.


def number(words):
    return float(words.replace("−", "-"))


def test_the_ball_rolls_once_and_can_be_paused_and_rolled_by_hand(shown):
    live = shown("ravine", reduced_motion="no-preference")
    step = live.root.get_by_label("step", exact=True)
    play = live.root.get_by_role("button", name="play")
    assert stands_still(live.page, "ravine") and step.input_value() == "0", "it waits for a guess"
    play.press("Enter")
    live.page.wait_for_function("e => 10 < e.value && e.value < 990", arg=step.element_handle())
    live.root.get_by_role("button", name="pause").press("Enter")
    play.wait_for()
    assert stands_still(live.page, "ravine")
    for key, words in (("Home", "0"), ("ArrowRight", "1")):
        step.press(key)
        drawn(live)
        assert step.get_attribute("aria-valuetext") == words
    step.press("End")
    play.press("Enter")  # from the beginning again
    live.root.get_by_role("button", name="pause").wait_for()
    assert int(step.input_value()) < 990


def test_the_zoom_of_the_ravine_follows_the_ball_and_hides_the_start(shown):
    live = shown("ravine")
    open_all(live)
    before = pictures(live)
    live.root.get_by_label("zoom with the ball").check()
    drawn(live)
    assert not live.start.is_visible() and pictures(live)[0] != before[0]
    live.root.get_by_label("step", exact=True).press("Home")
    drawn(live)
    assert live.start.is_visible(), "nothing is zoomed before the first step"


def test_presets_of_the_ravine_tell_their_story(shown):
    live = shown("ravine")
    open_all(live)
    tell = live.root.locator(".lf-tell")
    press(live, "constant steps")
    found, told = re.search(r"f = (\S+) after 1000 steps, predicted (\S+)\.$",
                            tell.text_content()).groups()
    assert number(found) == pytest.approx(number(told), rel=0.2) and number(found) > 1e-6
    best = {}
    for name in ("K too small", "K right", "K too large", "K that grows"):
        words = press(live, name)
        best[name] = number(re.search(r"GDPolyak (\S+?)[;.](?: |$)", words)[1])
        ratio, told = re.search(r"by (\S+) \(predicted (\S+)\)", tell.text_content()).groups()
        assert number(ratio) == pytest.approx(number(told), abs=0.01) and told == "0.75"
    assert max(best["K right"], best["K that grows"]) < 1e-8 * min(
        best["K too small"], best["K too large"])
    assert "too low" in press(live, "f* a little too low")


def test_buttons_of_the_saddle_do_what_they_say(shown):
    live = shown("saddle")
    assert "never leaves" in press(live, "exactly on the stable manifold")
    nearer = live.root.get_by_role("button", name="10× nearer to it")
    assert nearer.get_attribute("aria-disabled") == "true"  # nothing is nearer
    assert "diverge" in press(live, "too large a step")


def test_presets_of_the_trigger_tell_their_story_in_counts_and_predictions(shown):
    live = shown("noise")
    open_all(live)
    readout = live.root.get_by_test_id("readout")
    assert not readout.is_visible() and not live.summary.is_visible(), "the guess comes first"
    story = {
        "one coordinate": {"dim": 1},
        "fifty coordinates": {"dim": 50},
        "a batch that knows d": {"rule": "calibrated", "batch_size": 797},
        "a quarter of the batch": {"rule": "calibrated", "batch_size": 199}}
    fifty = live.root.get_by_role("button", name="fifty coordinates")
    assert fifty.get_attribute("aria-disabled") == "true"  # the figure begins with the failure
    for name, state in {"": {}, **story}.items():
        words, python = press(live, name) if name else said(live), NoisyTrigger(**state)
        for line, p in zip(readout.locator("span").all_text_contents(),
                           [python.predicted_missed, python.predicted_false], strict=True):
            count, of, share, predicted = map(float, re.findall(r"\d+(?:\.\d+)?", line))
            assert share == pytest.approx(100 * count / of, abs=0.06)
            assert predicted == pytest.approx(100 * p, abs=0.06)
            assert abs(count / of - p) <= 4 * np.sqrt(p * (1 - p) / of) + 1e-6
        assert f"‖ĝ‖ ≤ {python.threshold:.2f} ε" in live.root.locator(".lf-tell").text_content()
        assert ("never fires" in words) == (name in ("", "fifty coordinates"))
    before = readout.text_content()
    press(live, "new draws")
    assert readout.text_content() != before
    press(live, "start over")
    own = live.root.get_by_role("button", name="its own batch")
    assert own.get_attribute("aria-disabled") == "true"
    live.root.get_by_label("batch size B").press("Home")
    press(live, "its own batch")
    assert live.root.get_by_label("batch size B").get_attribute("aria-valuetext") == "600"


def test_rules_of_the_trigger_are_one_group_of_radios_and_runs_walk_by_hand(shown):
    live = shown("noise", reduced_motion="no-preference")
    open_all(live)
    step = live.root.get_by_label("step", exact=True)
    live.root.get_by_role("button", name="play").press("Enter")
    live.page.wait_for_function("e => 3 < e.value && e.value < 117", arg=step.element_handle())
    live.root.get_by_role("button", name="pause").press("Enter")
    assert stands_still(live.page, "noise")
    step.press("Home")
    drawn(live)
    first = pictures(live)
    step.press("ArrowRight")
    drawn(live)
    assert all(a != b for a, b in zip(first, pictures(live), strict=True))
    rules = [live.root.get_by_role("radio", name=name)
             for name in ("published", "knows d", "naive, t = ε")]
    rules[0].focus()
    for after in (1, 2, 0):
        live.page.keyboard.press("ArrowRight")
        drawn(live)
        assert [rule.is_checked() for rule in rules] == [i == after for i in range(3)]
    for label in ("dimension d", "batch size B", "noise σ", "large gradient ‖∇f‖"):
        live.root.get_by_label(label, exact=True).press("Home")
    for rule in rules:  # with each rule, at one coordinate
        rule.check()
        said(live)


def readout(live):
    """(median, predicted, ratio) and (late in percent, δ, ratio, error), as measured."""
    lines = live.root.get_by_test_id("readout").locator("span").all_text_contents()
    return [[float(n) for n in re.findall(r"\d+(?:\.\d+)?", line)] for line in lines]


def test_runs_of_the_episode_grow_to_what_was_predicted_and_can_be_paused(shown):
    live, python = shown("episode", reduced_motion="no-preference"), EscapeEpisode()
    pause = live.root.get_by_role("button", name="pause")
    grow = live.root.get_by_role("button", name="grow", exact=True)
    grow.press("Enter")
    pause.press("Enter")
    grow.wait_for()
    assert stands_still(live.page, "episode")
    early = readout(live)[1][3]
    assert early > 0.08, "it was too quick to be watched"
    grow.press("Enter")
    live.page.wait_for_function("e => /4000 measured|± 0.07/.test(e.textContent)", arg=(
        live.root.get_by_test_id("readout").element_handle()))
    (median, predicted, ratio), (late, delta, share, error) = readout(live)
    assert predicted == python.predicted_median and delta == 100 * python.failure_prob
    assert ratio == pytest.approx(1, abs=0.02)
    assert ratio == pytest.approx(median / predicted, abs=0.006)
    assert share == pytest.approx(late / delta, abs=0.01)
    assert abs(share - 0.95) < 3 * error == pytest.approx(3 / np.sqrt(4000 * 0.05), abs=0.03)
    words = said(live)
    assert f"out by {python.deadline}; published T: {python.psd.episode_length}" in words
    grow.press("Enter")  # from the first run again
    pause.wait_for()


def test_presets_of_the_episode_tell_their_story(shown):
    live, told = shown("episode"), {}
    open_all(live)
    tell = live.root.locator(".lf-tell")
    for name in ("another draw", "ten times smaller", "ten times larger", "theory's r",
                 "on the stable manifold"):
        before = live.summary.text_content()
        assert press(live, name) != before
        told[name] = tell.text_content()
        assert readout(live)[1][3] == pytest.approx(1 / np.sqrt(4000 * 0.05), abs=0.02)
    steps = {name: int(re.search(r"out by step (\d+)", text)[1]) for name, text in told.items()}
    assert steps["ten times smaller"] > steps["theory's r"] > steps["ten times larger"]
    assert "it never leaves" in told["on the stable manifold"]
    assert "costs" in told["ten times smaller"] and "saves" in told["ten times larger"]


def cells(live):
    """The table of the budget: the cells of each row by its name."""
    rows = live.root.get_by_test_id("table").locator("tbody tr").all()
    return {row.locator("th").text_content(): row.locator("td").all_text_contents() for row in rows}


def test_the_budget_shows_the_numbers_of_python_and_says_what_is_not_proved(shown):
    live = shown("budget")
    digits = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")

    def power(found):  # with two digits at least, as Python writes it
        return f"{found[1] or '1'}e+{found[2].translate(digits):0>2}"

    def agrees(**traits):
        drawn(live)
        table, found = BudgetCalculator(**traits).table, cells(live)
        for row, (name, (gradients, *_)) in zip(table, found.items(), strict=True):
            assert name.startswith(row.method)
            assert re.sub(r"^(?:([0-9.]+)·)?10([⁰-⁹¹²³]+)$", power, gradients) == _count(
                row.gradients)
        return found

    assert {"PSD, not proved", "PGD 2017, if c = 1"} < set(agrees())
    assert "PSD, not proved" in live.root.locator(".lf-legend").text_content()
    epsilon = live.root.get_by_label("accuracy ε", exact=True)
    for _ in range(20):
        epsilon.press("ArrowRight")
    agrees(epsilon=0.01)
    live.root.get_by_label("dimension d", exact=True).press("Home")
    found = agrees(epsilon=0.01, dim=1)
    open_all(live)
    live.root.get_by_label("one gradient", exact=True).press("PageUp")
    drawn(live)
    later = cells(live)
    assert all(later[name][0] == found[name][0] and later[name][1] != found[name][1]
               for name in found)
    live.root.get_by_label("one hour costs", exact=True).press("Home")
    assert "cost" not in said(live) and {row[2] for row in cells(live).values()} == {"–"}


def test_runs_are_marked_at_their_setting_and_what_means_nothing_is_said(shown):
    live = shown("budget")
    opened = cells(live)
    open_all(live)
    tell = live.root.locator(".lf-tell")
    took = re.compile(r"A run of [\w ]+ took \S+ gradients, \S+ times fewer\.")
    for run in RUNS:
        words = press(live, run["name"])
        marked = [name for name, row in cells(live).items() if row[3] != "–"]
        assert len(marked) == len(run["taken"]) == len(took.findall(tell.text_content()))
        assert "Runs took at most" in words
        live.root.get_by_label("failure chance δ", exact=True).press("ArrowLeft")
        assert "Runs" not in said(live) and "No run was made" in tell.text_content()
        assert all(row[3] == "–" for row in cells(live).values())
    press(live, "the authors’ figure")
    first = cells(live)
    assert first == opened, "the button brings back what the figure began with, its seconds too"
    assert not any("⚠" in name for name in first) and "⚠" not in tell.text_content()
    live.root.get_by_label("accuracy ε", exact=True).press("Home")
    drawn(live)
    assert tell.text_content().count("⚠") == sum("⚠" in name for name in cells(live)) > 0
    live.root.get_by_label("accuracy ε", exact=True).press("End")
    live.root.get_by_label("ℓ of the gradient", exact=True).press("Home")
    assert "is above ℓ²/ρ = 0.001" in said(live)
    assert {cell for row in cells(live).values() for cell in row} == {"–"}
    press(live, "the authors’ figure")
    assert cells(live) == first


@pytest.mark.parametrize("width", [1280, 700, 360])
def test_controls_of_the_budget_stay_where_they_are_and_its_table_is_whole(shown, width):
    live = shown("budget", width=width)
    slider = live.root.get_by_label("accuracy ε", exact=True)

    def below():
        return slider.bounding_box()["y"] - live.root.bounding_box()["y"]

    place = below()
    for key in ("Home", "PageUp", "End"):  # wide numbers, warnings, bars of every length
        slider.press(key)
        drawn(live)
        assert below() == place, "the slider moves away under the finger"
        cut = live.root.locator(".lf-table, td, th").evaluate_all(
            "all => all.filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent)")
        assert cut == []
        fits(live, width)


RACERS = {"gradient descent", "Nesterov, restarted", "Barzilai–Borwein", "GDPolyak, K = 100",
          "GDPolyak, K grows", "L-BFGS", "order-aware"}


def finished(live):
    """Wait until all calls are made; the rows of the table: method, calls to finishes, least."""
    calls = live.root.get_by_label("oracle calls", exact=True)
    live.page.wait_for_function("e => e.value === e.max", arg=calls.element_handle())
    while not stands_still(live.page, "race"):
        pass
    drawn(live)
    return {cells[0]: cells[1:] for cells in live.root.get_by_test_id("table").evaluate(
        "e => [...e.tBodies[0].rows].map((r) => [...r.cells].map((c) => c.textContent))")}


def raced(live, name):
    """Press a button and wait for the end of its race."""
    live.root.get_by_role("button", name=name, exact=True).press("Enter")
    return finished(live)


def test_the_table_of_the_race_ranks_by_calls_and_presets_tell_their_story(shown):
    live = shown("race")
    open_all(live)
    rows, tell = finished(live), live.root.locator(".lf-tell")
    assert set(rows) == RACERS
    passed = [sum(c != "–" for c in cells[:3]) for cells in rows.values()]
    assert passed == sorted(passed, reverse=True)
    last = [int(cells[2]) for cells in rows.values() if cells[2] != "–"]
    assert last == sorted(last) and len(last) >= 3
    words = tell.text_content()
    assert f"K = 100 needs {rows['GDPolyak, K = 100'][2]} calls to 10⁻²⁸" in words
    told = re.search(r"needs (\d+) calls to 10⁻²⁸ \(predicted (\d+)\)", words)
    assert told[1] == rows["GDPolyak, K grows"][2]
    assert int(told[2]) == pytest.approx(int(told[1]), rel=0.1)
    assert f"(fixed K), {told[1]} (growing K)" in said(live)
    rows = raced(live, "K too small")
    assert rows["GDPolyak, K = 20"][:3] == ["–", "–", "–"]
    assert rows["GDPolyak, K grows"][2] != "–"
    for preset, first in (("ill-conditioned", "order-aware"), ("steep walls", "Barzilai–Borwein")):
        rows = raced(live, preset)
        last = {name: int(cells[2]) for name, cells in rows.items() if cells[2] != "–"}
        assert min(last, key=last.get) == first
        assert re.search(rf"10⁻²⁸: {first} after [^.]*\b{last[first]} calls\.",
                         tell.text_content()), tell.text_content()
        assert said(live).startswith(f"To 10⁻²⁸: {first} {last[first]} calls")
    rows = raced(live, "a rounding floor")
    assert all(cells[2] == "–" for name, cells in rows.items() if name.startswith("GDPolyak"))
    assert "rounding is predicted" in tell.text_content()
    before = raced(live, "start over")
    assert raced(live, "another start") != before


def test_the_race_runs_once_and_can_be_paused_and_run_by_hand(shown):
    live = shown("race", reduced_motion="no-preference")
    calls = live.root.get_by_label("oracle calls", exact=True)
    live.root.get_by_role("button", name="race", exact=True).press("Enter")
    live.page.wait_for_function("e => 2 < +e.value && +e.value < e.max - 2",
                                arg=calls.element_handle())
    live.root.get_by_role("button", name="pause").press("Enter")
    play = live.root.get_by_role("button", name="race", exact=True)
    play.wait_for()
    assert stands_still(live.page, "race")
    calls.press("Home")
    live.page.wait_for_function("e => e.getAttribute('aria-valuetext') === '1'",
                                arg=calls.element_handle())
    assert "–" in live.root.get_by_test_id("table").text_content()
    calls.press("End")
    finished(live)
    play.press("Enter")  # from the beginning again
    live.root.get_by_role("button", name="pause").wait_for()
    assert int(calls.input_value()) < int(calls.get_attribute("max")) - 2


def test_the_seven_methods_of_the_race_stay_apart_without_their_colours(shown):
    live = shown("race")
    live.page.emulate_media(forced_colors="active", reduced_motion="reduce")
    assert len(finished(live)) == 7
    looks = live.root.locator("tbody .lf-swatch > line").evaluate_all("""(all) => all.map((e) => {
      const { strokeDasharray, strokeWidth } = getComputedStyle(e);
      return [strokeDasharray, strokeWidth].join(); })""")
    assert len(set(looks)) == len(looks) == 7, looks
    assert live.root.locator(".lf-legend li").count() == 1, "the lines are named at their ends"


def test_no_call_of_the_race_is_made_before_it_is_seen_and_then_few_in_a_frame(browser, tmp_path):
    MethodRace().save(tmp_path)
    page = (tmp_path / "index.html").read_text("utf-8")
    (tmp_path / "index.html").write_text(
        page.replace("<div data", "<div style='height: 1000px'></div><div data"), "utf-8")
    with serve(tmp_path) as address, Visit(browser, reduced_motion="reduce") as visit:
        visit.page.add_init_script(LOOK)
        visit.page.goto(address)
        visit.page.wait_for_function("document.querySelector('.lf-summary')?.textContent")
        live = SimpleNamespace(page=visit.page, root=visit.page.locator(".lf"),
                               summary=visit.page.get_by_test_id("summary"))
        assert stands_still(visit.page, "race")
        assert "nobody has made a call" in said(live)
        assert "–––" in live.root.get_by_test_id("table").text_content()
        live.root.get_by_test_id("race").scroll_into_view_if_needed()
        finished(live)
        assert "To 10⁻²⁸" in said(live)
        frames = "() => performance.getEntriesByName('race:drawn').length"
        before = visit.page.evaluate(frames)
        raced(live, "ill-conditioned")
        assert visit.page.evaluate(frames) > before + 5
        assert visit.errors == []


@pytest.mark.parametrize("name", ["noise", "race"])
def test_paper_shows_the_end_of_what_waits_and_the_screen_waits_on(shown, name):
    live = shown(name, reduced_motion="no-preference")
    drawn(live)
    before, words = pictures(live), live.summary.text_content()
    live.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert pictures(live)[0] != before[0], "it is drawn at once: a printer waits for no frame"
    assert name != "race" or live.summary.text_content().startswith("To 10⁻²⁸")
    live.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert said(live) == words and pictures(live)[0] == before[0]


def halves(live):
    """Of each mode in the table: its time, the predicted one and their ratio, as written."""
    return live.root.get_by_test_id("table").evaluate(
        "e => [...e.tBodies[0].rows].map((r) => [...r.cells].slice(1, 4)"
        ".map((c) => c.textContent))")


def test_presets_of_the_staircase_tell_their_story(shown):
    live = shown("staircase")
    assert not live.root.get_by_test_id("loss").is_visible(), "the guess comes first"
    open_all(live)
    three = live.root.get_by_role("button", name="three small layers", exact=True)
    assert three.get_attribute("aria-disabled") == "true"  # the figure begins with the long wait
    live.root.get_by_label("scale ε", exact=True).press("Shift")
    found = {"": halves(live)}
    for name in ("ten times smaller start", "two layers", "Muon"):
        press(live, name)
        found[name] = halves(live)
    state = {"": {}, "ten times smaller start": {"eps": 1e-4},
             "two layers": {"depth": 2, "small_layers": 2},
             "Muon": {"depth": 2, "small_layers": 2, "flow": "muon"}}
    for name, rows in found.items():
        predicted = ModeStaircase(**state[name]).predicted_times
        for (time, told, ratio), exact in zip(rows, predicted, strict=True):
            assert float(told) == pytest.approx(exact, rel=0.006)
            assert float(time) == pytest.approx(exact, rel=0.006) and ratio == "1.00"
    waits = [[float(row[0]) for row in rows] for rows in found.values()]
    assert waits[1][0] == pytest.approx(10 * waits[0][0], rel=0.01)
    assert all(a < b < c for a, b, c in waits[:3]) and waits[3] == sorted(waits[3], reverse=True)
    press(live, "start over")
    press(live, "a sigmoid")
    assert all(float(ratio.replace("−", "-")) < 0.01 for _, _, ratio in halves(live))
    assert "the law does not hold" in live.root.locator(".lf-tell").text_content()
    press(live, "three of six layers")
    assert halves(live)[0][0] == "998"
    # Fewer layers than are small: all of them are.
    live.root.get_by_label("depth L", exact=True).press("Home")
    drawn(live)
    small = live.root.get_by_label("small layers r", exact=True)
    assert small.get_attribute("aria-valuetext") == "2" and small.input_value() == "1"


def test_time_of_the_staircase_runs_when_it_is_told_to(shown):
    live = shown("staircase", reduced_motion="no-preference")
    time = live.root.get_by_label("time", exact=True)
    assert time.input_value() == "0"
    live.root.get_by_role("button", name="play").press("Enter")
    live.page.wait_for_function("e => 3 < e.value && +e.value < e.max",
                                arg=time.element_handle())
    live.root.get_by_role("button", name="pause").press("Enter")
    assert stands_still(live.page, "staircase")
    time.press("Home")
    drawn(live)
    first = pictures(live)
    time.press("End")
    drawn(live)
    assert all(a != b for a, b in zip(first, pictures(live), strict=True))
    assert time.get_attribute("aria-valuetext") != "0"
