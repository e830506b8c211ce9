"""The chapters in JupyterLab: run all, move the controls, see page and kernel answer each other.

The text of all chapters and what their figures, controls and one exercise need stand in one
notebook, so that one page and one kernel serve them all. The first chapter has its formulas, too.
"""

import ast
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest
from browser import ROOT, Visit

pytestmark = pytest.mark.browser
MINUTE = 60_000
CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))
FIRST, ALL = "saddles", "all.ipynb"
# What is looked at here; a cell stays where this, or something that this needs, comes from it.
ANSWERS = re.compile(r"saddlelib\.live|ipywidgets|saddles-2")
# The live figures of the later chapters.
FIGURES = {"psd_theory": [".lf.episode", ".lf.budget"], "psgd": [".lf.noise"],
           "fourth_order_growth": [".lf.ravine"], "gdpolyak": [".lf.race"],
           "deep_networks": [".lf.staircase"]}


# What a reader may write below the first figure: what Python knows of it, and what moves it.
TIE = """\
import ipywidgets as widgets

readout, onto_axis = widgets.HTML(), widgets.Button(description="start on the axis")
readout.add_class("python-start")
onto_axis.on_click(lambda _: hero.set_trait("start", [0.0, 0.8]))


def tell(change=None):
    readout.value = "In Python, hero.start is ({:.3g}, {:.3g}).".format(*hero.start)


hero.observe(tell, "start")
tell()
widgets.VBox([onto_axis, readout])
"""


def ask(address, what):
    """An answer of the server's programming interface."""
    with urllib.request.urlopen(f"{address}/api/{what}?token=letmein") as answer:
        return json.load(answer)


def defined_and_used(source):
    """The names that a cell gives a value, and those it reads from cells before it."""
    tree = ast.parse(source)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    defined = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            defined.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            defined |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    inside = defined | {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    return defined, {node.id for node in names if isinstance(node.ctx, ast.Load)} - inside


def keep_what_answers(notebook, formulas):
    """The cells without the code on which nothing that answers depends; nbval runs every cell."""
    kept = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and not formulas:
            cell.source = re.sub(r"\$\$.*?\$\$|\$[^$]+\$", "(formula)", cell.source, flags=re.S)
    wanted = set()
    for cell in reversed(notebook.cells):
        if cell.cell_type == "code":
            defined, used = defined_and_used(cell.source)
            if not (defined & wanted or ANSWERS.search(cell.source)):
                continue
            wanted |= used
        kept.append(cell)
    return kept[::-1]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Start a JupyterLab of our own beside what is left of the chapters; gives its address."""
    home = tmp_path_factory.mktemp("lab")
    (home / "chapters").mkdir()
    whole = nbformat.v4.new_notebook()
    for path in sorted(CHAPTERS, key=lambda path: path.stem != FIRST):
        notebook = nbformat.read(path, as_version=4)
        whole.metadata = notebook.metadata
        if path.stem == FIRST:
            below = next(i for i, cell in enumerate(notebook.cells) if "hero = " in cell.source) + 1
            notebook.cells.insert(below, nbformat.v4.new_code_cell(TIE))
        for cell in keep_what_answers(notebook, formulas=path.stem == FIRST):
            cell.id = f"cell-{len(whole.cells)}"  # which is unique in a notebook alone
            if cell.cell_type == "code":  # so that what stands there later was computed here
                cell.execution_count = None
                if "still" not in cell.metadata:
                    cell.outputs = []
            whole.cells.append(cell)
    nbformat.write(whole, home / "chapters" / ALL)
    shutil.copytree(ROOT / "figures", home / "figures")
    # Cells outside the window are otherwise not in the page, and a question covers its corner.
    for name, settings in [
        ("notebook-extension/tracker", {"windowingMode": "none"}),
        ("apputils-extension/notification", {"fetchNews": "false"}),
    ]:
        path = home / f"settings/@jupyterlab/{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(settings))
    # What a reader's JupyterLab need not have, even if this environment does.
    (home / "config" / "labconfig").mkdir(parents=True)
    (home / "config" / "labconfig" / "page_config.json").write_text(
        json.dumps({"disabledExtensions": {"jupyterlab-myst": True}}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    env = os.environ | {
        "HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
    }
    log = home / "log"
    with open(log, "w") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1",
             f"--port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={home}",
             "--IdentityProvider.token=letmein", "--LabApp.news_url=None", "--allow-root"],
            env=env, cwd=home, stdout=out, stderr=subprocess.STDOUT,
        )
    try:
        for _ in range(480):
            try:
                ask(address, "status")
                break
            except OSError:
                assert server.poll() is None, log.read_text()
                time.sleep(0.25)
        else:
            pytest.fail(log.read_text())
        yield address
    finally:
        server.terminate()
        server.wait(20)


def run_all(page, lab, stills):
    """Open the notebook in JupyterLab, with so many still pictures, and run all of it."""
    page.goto(f"{lab}/lab/tree/chapters/{ALL}?token=letmein&reset")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=MINUTE)
    for _ in range(240):  # JupyterLab shows "idle" even before the page has a kernel
        kernels = [session["kernel"] for session in ask(lab, "sessions")
                   if session["path"].endswith(ALL)]
        if kernels and kernels[0]["connections"] and kernels[0]["execution_state"] == "idle":
            break
        page.wait_for_timeout(250)
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(timeout=MINUTE)
    assert page.locator(".jp-OutputArea img").count() == stills, "a still before the run"
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_function("""() => {
        const prompts = [...document.querySelectorAll(
            ".jp-CodeCell .jp-InputPrompt:not(.jp-Placeholder-prompt)")].map((p) => p.textContent);
        return prompts.length && prompts.every((p) => /\\[\\d+\\]/.test(p));
    }""", timeout=3 * MINUTE)
    return page


@pytest.fixture(scope="module")
def page(browser, lab):
    """The notebook, all of it run."""
    assert {path.stem for path in CHAPTERS} == {FIRST, *FIGURES}
    with Visit(browser, width=1280, height=1000) as visit:
        yield run_all(visit.page, lab, 1 + sum(map(len, FIGURES.values())))


def text_changes(locator, before):
    """Wait until the text of an element is another, and give it."""
    locator.page.wait_for_function(
        "([e, t]) => e.textContent !== t", arg=[locator.element_handle(), before], timeout=10_000
    )
    return locator.text_content()


def numbers(text):
    return [float(word) for word in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", text)]


def test_the_notebook_runs_whole(page):
    """No cell has failed, and no directive that JupyterLab does not know stands there as text."""
    errors = page.locator("[data-mime-type='application/vnd.jupyter.error'], .jp-RenderedText "
                          "[data-mime-type='application/vnd.jupyter.stderr']")
    assert errors.count() == 0
    text = page.locator(".jp-Notebook").inner_text()
    assert not re.search(r"^:::|^```\{|\{[a-z:]+\}`", text, re.MULTILINE)


def test_a_live_figure_stands_in_place_of_its_picture(page):
    cell = page.locator(".jp-CodeCell").filter(has=page.get_by_test_id("start")).first
    assert cell.locator(".jp-OutputArea-child").count() == 1
    assert cell.locator("img").count() == 0


def test_references_and_citations_read_and_lead_as_on_the_site(page):
    lost = page.evaluate("""() => {
        const known = [...document.querySelectorAll(".jp-Notebook [data-jupyter-id]")]
            .map((place) => place.dataset.jupyterId);
        return [...document.querySelectorAll(".jp-MarkdownOutput a[href^='#']")]
            .map((link) => decodeURIComponent(link.getAttribute("href").slice(1)))
            .filter((id) => !known.includes(id));
    }""")
    assert lost == []
    link = page.locator(".jp-MarkdownOutput a[href='#def-sosp']").first
    assert link.text_content() == "Definition 1.2"
    link.scroll_into_view_if_needed()
    link.click()
    target = page.locator("[data-jupyter-id=def-sosp]")
    page.wait_for_function(
        "(e) => { const y = e.getBoundingClientRect().y; return y > 0 && y < innerHeight; }",
        arg=target.element_handle(), timeout=10_000)
    assert page.locator(".jp-MarkdownOutput blockquote").filter(has=target).count() == 1
    citations = page.locator("a[href='https://arxiv.org/abs/1703.00887']").all_text_contents()
    assert set(citations) == {"Jin et al. (2017)", "(Jin et al., 2017)"}


def test_answers_and_long_code_are_closed(page):
    stored = nbformat.read(ROOT / "chapters" / f"{FIRST}.ipynb", as_version=4)
    closed = [cell.source for cell in stored.cells
              if {"hide-cell", "hide-input"} & set(cell.metadata.get("tags", []))]
    seen = page.evaluate("""() => [...document.querySelectorAll(".jp-CodeCell .cm-content")]
        .filter((code) => code.checkVisibility()).map((code) => code.textContent)""")
    assert seen and not {"".join(code.split("\n")) for code in closed} & set(seen)
    folds = page.locator(".jp-MarkdownOutput details")
    assert folds.count() >= 8
    assert page.locator(".jp-MarkdownOutput details[open]").count() == 0
    folds.last.locator("summary").click(position={"x": 5, "y": 8})
    assert page.locator(".jp-MarkdownOutput details[open]").count() == 1


def test_an_exercise_is_answered_in_its_box(page):
    field = page.locator("form[data-exercise=saddles-2] input")
    field.fill("9e-2")
    field.press("Enter")
    page.get_by_text("That is γ²").first.wait_for(timeout=10_000)


def test_moving_the_figure_changes_the_value_in_python(page):
    start, told = page.get_by_test_id("start").first, page.locator(".python-start").first
    start.scroll_into_view_if_needed()
    before = told.text_content()
    start.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    text = text_changes(told, before)
    page.wait_for_timeout(500)
    assert numbers(told.text_content())[0] > numbers(before)[0], (before, text)


def test_python_moves_the_figure(page):
    start, told = page.get_by_test_id("start").first, page.locator(".python-start").first
    start.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(500)
    place, words = start.bounding_box(), told.text_content()
    button = told.locator(
        "xpath=ancestor::*[contains(@class, 'jp-OutputArea-output')][1]"
    ).locator("button, .noUi-handle").first
    button.focus()
    is_button = button.evaluate("e => e.tagName === 'BUTTON'")
    page.keyboard.press("Enter" if is_button else "ArrowLeft")
    text_changes(told, words)
    page.wait_for_function(
        "([e, x, y]) => Math.hypot(e.getBoundingClientRect().x - x, "
        "e.getBoundingClientRect().y - y) > 3",
        arg=[start.element_handle(), place["x"], place["y"]],
        timeout=10_000,
    )


def test_a_slider_changes_the_picture(page, record_property):
    picture = page.locator(".jp-OutputArea-output img.widget-image, .widget-image img").first
    picture.scroll_into_view_if_needed()
    before = picture.get_attribute("src")
    handle = picture.locator(
        "xpath=ancestor::*[contains(@class, 'jp-OutputArea-output')][1]"
    ).locator(".noUi-handle, input[type=range]").first
    handle.focus()
    begin = time.perf_counter()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "([e, src]) => e.src !== src && e.complete && e.naturalWidth > 0",
        arg=[picture.element_handle(), before],
        timeout=10_000,
    )
    record_property("JupyterLab, slider moved to picture changed, chapter 6, seconds",
                    round(time.perf_counter() - begin, 2))


@pytest.mark.parametrize("root", [root for roots in FIGURES.values() for root in roots])
def test_the_figure_of_a_later_chapter_answers(page, root):
    figure = page.locator(root).first
    figure.scroll_into_view_if_needed()
    before = figure.text_content()
    figure.locator("input[type=range]").first.focus()
    page.keyboard.press("ArrowRight")
    text_changes(figure, before)
