"""The budget calculator on the static page: right, quick, and moved by keyboard and finger."""

import io
import re
from types import SimpleNamespace

import numpy as np
import pytest
from browser import Visit
from PIL import Image

from saddlelib.live import BudgetCalculator
from saddlelib.live.budget import METHODS
from saddlelib.theory.budget import _count

CHAPTER = "chapters/psd_theory.html"
SLIDERS = ["ℓ of the gradient", "ρ of the Hessian", "accuracy ε", "failure chance δ", "height Δf",
           "dimension d", "one gradient", "one hour costs"]


@pytest.fixture
def figure(browser, site):
    """Open the chapter and hand back the visit and the calculator in its first setting."""
    visits = []

    def open_figure(**options):
        visit = Visit(browser, **options)
        visits.append(visit)
        visit.open_figures(site, CHAPTER)
        root = visit.page.locator(".budget-calculator").first
        root.evaluate("e => e.scrollIntoView({block: 'center', behavior: 'instant'})")
        live = SimpleNamespace(page=visit.page, root=root, summary=root.get_by_test_id("summary"),
                               rows=root.get_by_test_id("rows"),
                               settings=root.get_by_role("group", name="settings"))
        live.settings.get_by_role("button", name="the authors’ figure").click()
        settle(live)
        return live

    yield open_figure
    for visit in visits:
        assert visit.errors == []
        assert visit.foreign(site) == []
        visit.context.close()


def settle(live):
    """Wait until the last input has been drawn and said."""
    live.page.wait_for_timeout(300)


def press(live, label, *keys, then=settle):
    live.root.get_by_label(label, exact=True).focus()
    for key in keys:
        live.page.keyboard.press(key)
    then(live)


def drawn(live):
    """Wait until the last input has been drawn: the first frame draws, the second is after it."""
    live.page.evaluate("""() => new Promise((go) =>
        requestAnimationFrame(() => requestAnimationFrame(go)))""")


def gradients(live):
    """The numbers of gradients on the page, by method."""
    cells = live.rows.locator(".bc-line b + span > span:first-child").all_text_contents()
    return dict(zip(live.rows.locator("b").all_text_contents(), cells, strict=True))


@pytest.mark.browser
def test_the_page_shows_the_numbers_of_python(figure):
    live = figure()
    ascii_digits = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")

    def expected(**traits):
        table = BudgetCalculator(**traits).table
        assert tuple(row.method for row in table) == METHODS
        return {row.method: _count(row.gradients) for row in table}

    def shown():
        def power(found):  # with two digits at least, as Python writes it
            return f"{found[1] or '1'}e+{found[2].translate(ascii_digits):0>2}"
        return {m: re.sub(r"^(?:([0-9.]+)·)?10([⁰-⁹¹²³]+)$", power, n)
                for m, n in gradients(live).items()}

    assert shown() == expected()
    press(live, "accuracy ε", *["ArrowRight"] * 20)
    assert shown() == expected(epsilon=0.01)
    press(live, "dimension d", "Home")
    assert shown() == expected(epsilon=0.01, dim=1)


@pytest.mark.browser
def test_every_slider_is_moved_by_the_keyboard(figure):
    live = figure()
    for label in SLIDERS:
        slider = live.root.get_by_label(label, exact=True)
        press(live, label, "Home", then=drawn)
        for key in ("ArrowRight", "ArrowRight", "PageUp"):  # none of the stops holds it fast
            before, text = slider.input_value(), slider.get_attribute("aria-valuetext")
            press(live, label, key, then=drawn)
            assert float(slider.input_value()) > float(before), (label, key)
            assert slider.get_attribute("aria-valuetext") != text, (label, key)


@pytest.mark.browser
def test_sliders_change_what_they_are_about(figure):
    live = figure()
    first, said = gradients(live), live.summary.text_content()
    press(live, "one gradient", "PageUp")
    assert gradients(live) == first and live.summary.text_content() != said
    press(live, "height Δf", "PageUp")
    assert all(gradients(live)[method] != first[method] for method in METHODS)
    press(live, "one hour costs", "Home")
    assert "cost" not in live.summary.text_content()


@pytest.mark.browser
def test_beyond_the_natural_scale_the_figure_says_so_and_comes_back(figure):
    live = figure()
    first = gradients(live)
    bar = live.rows.locator(".bc-bar").first
    assert bar.is_visible()
    press(live, "accuracy ε", "End")
    press(live, "ℓ of the gradient", "Home")
    assert "is above ℓ²/ρ = 0.001" in live.summary.text_content()
    assert set(gradients(live).values()) == {"–"} and not bar.is_visible()
    live.settings.get_by_role("button", name="the authors’ figure").click()
    settle(live)
    assert gradients(live) == first and bar.is_visible()


@pytest.mark.browser
def test_what_a_run_took_is_marked_at_its_own_setting_alone(figure):
    live = figure()
    names = live.settings.get_by_role("button").all_text_contents()[1:]
    assert names, "the chapter hands no run to the calculator"
    marks, words = live.rows.locator(".bc-mark:visible"), live.rows.get_by_text("a run took")
    for name in names:
        live.settings.get_by_role("button", name=name, exact=True).click()
        settle(live)
        assert marks.count() == words.count() > 0, name
        for text in words.all_text_contents():
            assert re.fullmatch(r"a run took \S+, \S+ times fewer", text), text
        assert "took" in live.summary.text_content()
        press(live, "failure chance δ", "ArrowLeft")
        press(live, "failure chance δ", "ArrowLeft")
        assert marks.count() == 0 and words.count() == 0
        assert "No run was made at this setting" in live.summary.text_content()


@pytest.mark.browser
def test_what_float64_cannot_carry_is_said_beside_the_row_and_in_full(figure):
    live = figure()
    warnings = live.root.get_by_test_id("warnings")
    short = live.rows.get_by_text("⚠ float64")
    assert warnings.text_content() == "" and short.count() == 0
    press(live, "accuracy ε", "Home")
    assert short.count() == warnings.locator("li").count() > 0
    assert "PGD 2017: the test for a decrease of " in warnings.text_content()
    assert "float64 resolves f = 1 to 2.2·10⁻¹⁶" in warnings.text_content()


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 360])
def test_the_calculator_fits_the_page_and_stays_where_it_is(figure, width):
    live = figure(width=width)
    slider = live.root.get_by_label("accuracy ε", exact=True)

    def below():
        return slider.bounding_box()["y"] - live.root.bounding_box()["y"]

    place = below()
    for key in ("Home", "PageUp", "End"):  # wide numbers, warnings, bars of every length
        press(live, "accuracy ε", key)
        assert below() == place, "the slider moves away under the finger"
        for part in [live.root, *live.root.locator("button, input, svg, .bc-line, .bc-more").all()]:
            box = part.bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= width
        cut = live.root.locator(".bc-line > *, .bc-more, .bc-slider, .bc-legend li").evaluate_all(
            "all => all.filter((e) => e.scrollWidth > e.clientWidth + 1 && e.clientWidth)"
            ".map((e) => e.textContent)")
        assert cut == []


def brightness(live):
    """Mean brightness of the figure, 0 to 255."""
    live.page.mouse.move(0, 0)
    return np.asarray(Image.open(io.BytesIO(live.root.screenshot())).convert("L")).mean()


@pytest.mark.browser
def test_the_calculator_follows_the_colour_scheme(figure):
    light, dark = figure(scheme="light"), figure(scheme="dark")
    assert brightness(dark) < brightness(light) - 60
    # The reader's own choice with the button of the page counts as well.
    before = brightness(light)
    for _ in range(3):
        light.page.locator("button.theme-switch-button:visible").first.click()
        if light.page.evaluate("() => document.documentElement.dataset.theme") == "dark":
            break
    settle(light)
    assert brightness(light) < before - 60


@pytest.mark.browser
def test_reduced_motion_means_no_animation_of_the_calculator(figure):
    live = figure(reduced_motion="reduce")
    frames = "performance.getEntriesByName('budget:drawn').length"
    before = live.page.evaluate(frames)
    press(live, "accuracy ε", "PageUp")
    running = live.root.evaluate(
        "e => e.getAnimations({subtree: true}).filter(a => a.playState === 'running').length"
    )
    assert running == 0
    live.page.wait_for_timeout(300)
    # One frame for the input, and one if a new text has moved the edge of the figure.
    assert 1 <= live.page.evaluate(frames) - before <= 2


@pytest.mark.browser
def test_a_picture_of_the_bars_stands_in_where_scripts_do_not_run(browser, site, figure):
    still = ".no-script img[src*='budget']"
    with Visit(browser, java_script_enabled=False) as visit:
        visit.page.goto(f"{site}/{CHAPTER}")
        assert visit.page.locator(still).is_visible()
    assert not figure().page.locator(still).is_visible()
