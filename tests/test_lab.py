"""The chapters in JupyterLab: run all, move the controls, see page and kernel answer each other.

The first chapter is whole. Of the others the text and what their figures need stand in one
notebook, so that one page and one kernel serve them all.
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
LATER = "later.ipynb"
# The live figures of the later chapters.
FIGURES = {"psd_theory": [".lf.episode", ".lf.budget"], "psgd": [".lf.noise"],
           "fourth_order_growth": [".lf.ravine"], "gdpolyak": [".lf.race"],
           "deep_networks": [".lf.staircase"]}


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


def keep_what_answers(notebook):
    """The cells without formulas, and without the code on which no figure and no control depends.

    nbval runs every cell, and the first chapter shows its formulas; here the rest is looked at.
    """
    kept = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"\$\$.*?\$\$|\$[^$]+\$", "(formula)", cell.source, flags=re.S)
    wanted = set()
    for cell in reversed(notebook.cells):
        if cell.cell_type == "code":
            defined, used = defined_and_used(cell.source)
            if not (defined & wanted or re.search(r"saddlelib\.live|ipywidgets", cell.source)):
                continue
            wanted |= used
        kept.append(cell)
    return kept[::-1]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Start a JupyterLab of our own on a copy of the chapters; gives the address of its pages."""
    home = tmp_path_factory.mktemp("lab")
    (home / "chapters").mkdir()
    later = nbformat.v4.new_notebook()
    for path in CHAPTERS:
        notebook = nbformat.read(path, as_version=4)
        later.metadata = notebook.metadata
        for cell in notebook.cells:
            if cell.cell_type == "code":  # so that what stands there later was computed here
                cell.execution_count = None
                if "still" not in cell.metadata:
                    cell.outputs = []
        if path.stem == "saddles":
            nbformat.write(notebook, home / "chapters" / path.name)
        else:
            later.cells += keep_what_answers(notebook)
    for number, cell in enumerate(later.cells):
        cell.id = f"cell-{number}"  # which is unique in a notebook alone
    nbformat.write(later, home / "chapters" / LATER)
    shutil.copytree(ROOT / "figures", home / "figures")
    (home / "benchmarks").mkdir()
    shutil.copy(ROOT / "benchmarks" / "honesty.json", home / "benchmarks")  # which chapter 1 reads
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


def cells_of(name):
    """The cells of a chapter as they are stored."""
    return nbformat.read(ROOT / "chapters" / name, as_version=4).cells


def run_all(page, lab, name, stills):
    """Open a notebook in JupyterLab, with so many still pictures, and run all of it."""
    page.goto(f"{lab}/lab/tree/chapters/{name}?token=letmein&reset")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=MINUTE)
    for _ in range(240):  # JupyterLab shows "idle" even before the page has a kernel
        kernels = [session["kernel"] for session in ask(lab, "sessions")
                   if session["path"].endswith(name)]
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
def visit(browser):
    with Visit(browser, width=1280, height=1000) as visit:
        yield visit


@pytest.fixture(scope="module")
def chapter(visit, lab):
    """The first chapter, all of it run."""
    stills = [c for c in cells_of("saddles.ipynb") if "still" in c.metadata]
    return run_all(visit.page, lab, "saddles.ipynb", len(stills))


@pytest.fixture(scope="module")
def later(visit, lab):
    """What is left of the later chapters, run in a second window."""
    return run_all(visit.context.new_page(), lab, LATER, sum(map(len, FIGURES.values())))


def text_changes(locator, before):
    """Wait until the text of an element is another, and give it."""
    locator.page.wait_for_function(
        "([e, t]) => e.textContent !== t", arg=[locator.element_handle(), before], timeout=10_000
    )
    return locator.text_content()


def numbers(text):
    return [float(word) for word in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", text)]


def is_whole(page):
    """No cell has failed, and no directive that JupyterLab does not know stands there as text."""
    errors = page.locator("[data-mime-type='application/vnd.jupyter.error'], .jp-RenderedText "
                          "[data-mime-type='application/vnd.jupyter.stderr']")
    assert errors.count() == 0
    text = page.locator(".jp-Notebook").inner_text()
    assert not re.search(r"^:::|^```\{|\{[a-z:]+\}`", text, re.MULTILINE)


def a_slider_changes_the_picture(page):
    """Move the first control; gives the seconds until its picture is another."""
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
    return round(time.perf_counter() - begin, 2)


def test_the_first_chapter_runs_whole(chapter, record_property):
    is_whole(chapter)
    record_property("JupyterLab, slider moved to picture changed, seconds",
                    a_slider_changes_the_picture(chapter))


def test_a_live_figure_stands_in_place_of_its_picture(chapter):
    cell = chapter.locator(".jp-CodeCell").filter(has=chapter.get_by_test_id("start")).first
    assert cell.locator(".jp-OutputArea-child").count() == 1
    assert cell.locator("img").count() == 0


def test_references_and_citations_read_and_lead_as_on_the_site(chapter):
    lost = chapter.evaluate("""() => {
        const known = [...document.querySelectorAll(".jp-Notebook [data-jupyter-id]")]
            .map((place) => place.dataset.jupyterId);
        return [...document.querySelectorAll(".jp-MarkdownOutput a[href^='#']")]
            .map((link) => decodeURIComponent(link.getAttribute("href").slice(1)))
            .filter((id) => !known.includes(id));
    }""")
    assert lost == []
    link = chapter.locator(".jp-MarkdownOutput a[href='#def-sosp']").first
    assert link.text_content() == "Definition 1.2"
    link.scroll_into_view_if_needed()
    link.click()
    target = chapter.locator("[data-jupyter-id=def-sosp]")
    chapter.wait_for_function(
        "(e) => { const y = e.getBoundingClientRect().y; return y > 0 && y < innerHeight; }",
        arg=target.element_handle(), timeout=10_000)
    assert chapter.locator(".jp-MarkdownOutput blockquote").filter(has=target).count() == 1
    citation = chapter.locator("a[href='https://arxiv.org/abs/1703.00887']").first
    assert citation.text_content() == "Jin et al. (2017)"


def test_answers_and_long_code_are_closed(chapter):
    closed = [cell.source for cell in cells_of("saddles.ipynb")
              if {"hide-cell", "hide-input"} & set(cell.metadata.get("tags", []))]
    seen = chapter.evaluate("""() => [...document.querySelectorAll(".jp-CodeCell .cm-content")]
        .filter((code) => code.checkVisibility()).map((code) => code.textContent)""")
    assert seen and not {"".join(code.split("\n")) for code in closed} & set(seen)
    folds = chapter.locator(".jp-MarkdownOutput details")
    assert folds.count() >= 8
    assert chapter.locator(".jp-MarkdownOutput details[open]").count() == 0
    folds.last.locator("summary").click(position={"x": 5, "y": 8})
    assert chapter.locator(".jp-MarkdownOutput details[open]").count() == 1


def test_an_exercise_is_answered_in_its_box(chapter):
    field = chapter.locator("form[data-exercise=saddles-2] input")
    field.fill("9e-4")
    field.press("Enter")
    chapter.get_by_text("That is ρε").first.wait_for(timeout=10_000)


def test_moving_the_figure_changes_the_value_in_python(chapter):
    start, told = chapter.get_by_test_id("start").first, chapter.locator(".python-start").first
    start.scroll_into_view_if_needed()
    before = told.text_content()
    start.focus()
    for _ in range(5):
        chapter.keyboard.press("ArrowRight")
    text = text_changes(told, before)
    chapter.wait_for_timeout(500)
    assert numbers(told.text_content())[0] > numbers(before)[0], (before, text)


def test_python_moves_the_figure(chapter):
    start, told = chapter.get_by_test_id("start").first, chapter.locator(".python-start").first
    start.focus()
    for _ in range(5):
        chapter.keyboard.press("ArrowRight")
    chapter.wait_for_timeout(500)
    place, words = start.bounding_box(), told.text_content()
    button = told.locator(
        "xpath=ancestor::*[contains(@class, 'jp-OutputArea-output')][1]"
    ).locator("button, .noUi-handle").first
    button.focus()
    is_button = button.evaluate("e => e.tagName === 'BUTTON'")
    chapter.keyboard.press("Enter" if is_button else "ArrowLeft")
    text_changes(told, words)
    chapter.wait_for_function(
        "([e, x, y]) => Math.hypot(e.getBoundingClientRect().x - x, "
        "e.getBoundingClientRect().y - y) > 3",
        arg=[start.element_handle(), place["x"], place["y"]],
        timeout=10_000,
    )


def test_the_later_chapters_run_whole(later, record_property):
    assert {path.stem for path in CHAPTERS} == {"saddles", *FIGURES}
    is_whole(later)
    if later.locator(".widget-image").count():  # not every chapter has a control beside its figure
        record_property("JupyterLab, slider moved to picture changed, seconds",
                        a_slider_changes_the_picture(later))


@pytest.mark.parametrize("root", [root for roots in FIGURES.values() for root in roots])
def test_the_figure_of_a_later_chapter_answers(later, root):
    figure = later.locator(root).first
    figure.scroll_into_view_if_needed()
    before = figure.text_content()
    figure.locator("input[type=range]").first.focus()
    later.keyboard.press("ArrowRight")
    text_changes(figure, before)
