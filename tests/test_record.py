"""What `make record` keeps of a notebook that it has executed."""

import base64
import io
import json
import sys

import nbformat
import numpy as np
import pytest
from browser import ROOT
from PIL import Image

sys.path.insert(0, str(ROOT / "_site"))

import record  # noqa: E402


def png(*colours):
    """A picture of stripes, 100 pixels wide."""
    rows = np.repeat(np.array(colours, np.uint8)[:, None], 100, axis=1)
    buffer = io.BytesIO()
    Image.fromarray(rows).save(buffer, "PNG")
    return buffer.getvalue()


def in_base64(data):
    return base64.b64encode(data).decode()


RED, BLUE = (200, 0, 0), (0, 0, 200)
STRIPES = png(RED, BLUE)


class Client:
    """What nbclient knows of a box with a slider and a picture."""

    widget_state = {
        "box": {"_model_name": "VBoxModel", "children": ["IPY_MODEL_slider", "IPY_MODEL_image"]},
        "slider": {"_model_name": "FloatSliderModel"}, "image": {"_model_name": "ImageModel"}}
    widget_buffers = {"image": {("value",): {"data": in_base64(STRIPES)}}}


def output(**data):
    return nbformat.v4.new_output("display_data", data, metadata={"image/png": {"width": 50}})


def stored(*outputs, before=(), **metadata):
    """What a cell with these outputs keeps."""
    cell = nbformat.v4.new_code_cell("x", outputs=list(outputs), metadata=metadata)
    record.store(cell, Client, list(before))
    return cell.outputs


def same_picture(one, other):
    one, other = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), int)
                  for data in (one, other))
    return one.shape == other.shape and np.abs(one - other).max() < 8


def test_a_picture_keeps_its_size_on_the_page_and_its_words():
    alt = {"image": {"alt": "Stripes."}}
    [kept] = stored(output(**{"image/png": in_base64(STRIPES), "text/plain": "<Figure>"}),
                    mystnb=alt)
    assert set(kept.data) == {"image/png"}
    assert same_picture(base64.b64decode(kept.data["image/png"]), STRIPES)
    assert kept.metadata == {"image/png": {"width": 50, "alt": "Stripes."}}


def test_a_picture_that_looks_as_before_stays_byte_for_byte():
    old = in_base64(png((201, 0, 0), BLUE))
    new = output(**{"image/png": in_base64(STRIPES)})
    assert stored(new, before=[old])[0].data["image/png"] == old
    other = in_base64(png(BLUE, RED))
    assert stored(new, before=[other])[0].data["image/png"] != other


def test_of_a_control_its_first_picture_stays_and_of_a_control_without_one_nothing():
    view = {record.WIDGET: {"model_id": "box"}, "text/plain": "VBox(...)"}
    [kept] = stored(output(**view))
    assert same_picture(base64.b64decode(kept.data["image/png"]), STRIPES)
    assert stored(output(**{record.WIDGET: {"model_id": "slider"}, "text/plain": "S"})) == []


def test_of_a_live_figure_the_still_picture_stays():
    still = {"picture": "../figures/ravine.svg", "alt": "A ravine."}
    [kept] = stored(output(**{record.WIDGET: {"model_id": "slider"}, "text/plain": "R"}),
                    still=still)
    image = Image.open(io.BytesIO(base64.b64decode(kept.data["image/png"])))
    told = kept.metadata["image/png"]
    assert told["alt"] == "A ravine."
    assert (told["width"], told["height"]) == (image.width // 2, image.height // 2)
    assert image.width > 1000


def test_text_is_merged_and_stays():
    one, two = (nbformat.v4.new_output("stream", name="stdout", text=text) for text in ("a", "b"))
    table = output(**{"text/html": "<table>", "text/plain": "t", "application/x-other": "o"})
    kept = stored(one, two, table)
    assert kept[0].text == "ab" and kept[1].data == {"text/html": "<table>", "text/plain": "t"}
    assert kept[1].metadata == {}


@pytest.mark.parametrize("tag, closed", [
    ("hide-cell", {"source_hidden": True, "outputs_hidden": True}),
    ("hide-input", {"source_hidden": True}), ("remove-input", {"source_hidden": True}),
    ("nbval-ignore-output", None)])
def test_jupyterlab_closes_what_is_tagged(tag, closed):
    cell = nbformat.v4.new_code_cell("x", metadata={"tags": [tag], "jupyter": {"old": True}})
    record.hide(cell)
    assert cell.metadata.get("jupyter") == closed


def test_all_pages_are_renumbered(tmp_path):
    (tmp_path / "_toc.yml").write_text("root: a\nparts:\n  - chapters:\n      - file: b\n")
    (tmp_path / "references.bib").write_text(
        "@misc{k, author = {Name, N.}, title = {T}, year = {2020}, eprint = {1}}")
    (tmp_path / "a.md").write_text("[Theorem 9](b.ipynb#thm-x)\n")
    cell = {"cell_type": "markdown", "metadata": {}, "id": "i",
            "source": '> **Theorem 5.** <a id="thm-x"></a>\n> [N (1)](https://arxiv.org/abs/1)'}
    (tmp_path / "b.ipynb").write_text(json.dumps({"cells": [cell]}))
    record.renumber(tmp_path)
    assert (tmp_path / "a.md").read_text() == "[Theorem 1](b.ipynb#thm-x)\n"
    [cell] = json.loads((tmp_path / "b.ipynb").read_text())["cells"]
    assert "".join(cell["source"]).startswith("> **Theorem 1.** ")


def test_a_small_marker_keeps_its_colour():
    shades = np.linspace(0, 255, 300).astype(np.uint8)  # of grey, and of blue on white
    picture = np.repeat(shades[:, None, None], 300, 1) * np.ones(3, np.uint8)
    picture[1::2] = np.stack([shades, np.maximum(shades, 114), np.maximum(shades, 178)], axis=1)
    picture[100:104, 100:104] = 0, 133, 99
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    kept = Image.open(io.BytesIO(base64.b64decode(record.small(buffer.getvalue())))).convert("RGB")
    assert np.abs(np.asarray(kept)[102, 102] - np.array([0, 133, 99])).max() <= 16
