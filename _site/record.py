"""Execute notebooks in place and store what they print and draw, for readers without a kernel.

Usage: python _site/record.py chapters/*.ipynb

nbval compares what is printed. Cells tagged nbval-ignore-output are not compared, as pictures
differ between machines; a picture is stored anew only if one sees that it is another. Widgets stay
out: a live figure leaves its still picture behind, a control its first. Before that, numbers of
theorems and words of citations are brought up to date on all pages of the book.
"""

import base64
import io
import json
import sys
from pathlib import Path

import nbformat
import numpy as np
from book_site import labels
from book_site.sources import Sources
from nbclient import NotebookClient
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
TEXT = {"text/plain", "text/html", "text/markdown", "text/latex", "application/json"}
WIDGET = "application/vnd.jupyter.widget-view+json"
# JupyterLab shows no SVG of a notebook that it does not trust, so pictures are drawn as PNG here.
PREPARE = """
from matplotlib_inline import backend_inline
backend_inline.set_matplotlib_formats("retina")
backend_inline.set_matplotlib_formats = lambda *formats, **options: None
"""
# Grey levels, of 255, by which two pictures may differ in the mean and still look the same.
ALIKE = 1.5


def merged(outputs):
    """Join what a kernel sent of one stream in several pieces, which depend on timing."""
    joined = []
    for output in outputs:
        last = joined[-1] if joined else {}
        if output.output_type == "stream" and output.get("name") == last.get("name"):
            last.text += output.text
        else:
            joined.append(output)
    return joined


def small(png):
    """A picture with a palette, as base64: lines and areas need no more.

    The octree keeps the colour of a single marker; Pillow's default blends it with others.
    """
    image = Image.open(io.BytesIO(png)).convert("RGBA")
    paper = Image.new("RGBA", image.size, "white")
    paper.alpha_composite(image)
    buffer = io.BytesIO()
    palette = paper.convert("RGB").quantize(64, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    palette.save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def looks_like(one, other):
    """Whether two pictures in base64 differ by less than one sees."""
    one, other = (Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
                  for png in (one, other))
    return one.size == other.size and np.abs(
        np.asarray(one, float) - np.asarray(other, float)).mean() < ALIKE


def stills():
    """The drawers of the still pictures by the names of their files."""
    sys.path.insert(0, str(ROOT / "figures"))
    import make
    return make.PICTURES, make.STYLE


def still(name):
    """The still picture of a live figure as PNG, and how wide and high it is shown."""
    import matplotlib
    pictures, style = stills()
    buffer = io.BytesIO()
    with matplotlib.rc_context(style):
        figure = pictures[name]()
        figure.savefig(buffer, format="png", dpi=160)
    width, height = Image.open(buffer).size
    return buffer.getvalue(), {"width": width // 2, "height": height // 2}


def first_picture(client, model):
    """What the Image in a widget shows, if there is one."""
    state = client.widget_state.get(model, {})
    if state.get("_model_name") == "ImageModel":
        return base64.b64decode(client.widget_buffers[model]["value",]["data"])
    parts = (first_picture(client, child.removeprefix("IPY_MODEL_"))
             for child in state.get("children", []))
    return next(filter(None, parts), None)


def drawn(output, cell, client):
    """The picture of one output as PNG with its size on the page, or None."""
    data = output.get("data", {})
    if WIDGET in data and "still" in cell.metadata:
        return still(Path(cell.metadata.still.picture).name)
    if WIDGET in data:
        png = first_picture(client, data[WIDGET]["model_id"])
        return png and (png, {})
    if "image/png" in data:
        return base64.b64decode(data["image/png"]), dict(output.metadata.get("image/png", {}))
    return None


def described(cell):
    """The words for a cell's picture."""
    where = cell.metadata.get("still") or cell.metadata.get("mystnb", {}).get("image", {})
    return {"alt": where["alt"]} if where.get("alt") else {}


def store(cell, client, before):
    """Keep of a cell's outputs the text, and each picture; ``before`` has those of last time."""
    kept = []
    for output in merged(cell.outputs):
        picture = drawn(output, cell, client)
        if picture:
            png, size = picture
            new = small(png)
            old = before.pop(0) if before else None
            data = {"image/png": old if old and looks_like(old, new) else new}
            kept.append(nbformat.v4.new_output("display_data", data, metadata={
                "image/png": size | described(cell)}))
        elif "data" not in output:
            kept.append(output)
        elif WIDGET not in output.data:
            output.data = {k: v for k, v in output.data.items() if k in TEXT}
            output.metadata = {}
            kept += [output] if output.data else []
    cell.outputs = kept


def pictures(cell):
    """The pictures that a cell has stored."""
    return [output.data["image/png"] for output in cell.get("outputs", [])
            if "image/png" in output.get("data", {})]


def execute(notebook, folder):
    """Run a notebook's cells, and put into each what a reader without a kernel is shown."""
    before = [pictures(cell) for cell in notebook.cells]
    notebook.cells.insert(0, nbformat.v4.new_code_cell(PREPARE))
    client = NotebookClient(notebook, timeout=300, store_widget_state=True,
                            resources={"metadata": {"path": str(folder)}})
    client.execute()
    del notebook.cells[0]
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell, old in zip(notebook.cells, before, strict=True):
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.execution_count -= 1
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count -= 1
            store(cell, client, old)
            hide(cell)


def hide(cell):
    """Let JupyterLab close what the site closes, which knows the tags."""
    tags = set(cell.metadata.get("tags", []))
    closed = {"source_hidden": True} if tags & {"hide-cell", "hide-input", "remove-input"} else {}
    closed |= {"outputs_hidden": True} if "hide-cell" in tags else {}
    if closed:
        cell.metadata["jupyter"] = closed
    else:
        cell.metadata.pop("jupyter", None)


def renumber(root=ROOT):
    """Write the numbers and names of today into all pages."""
    paths = labels.pages(root)
    names, sources = labels.count(paths), Sources(root / "references.bib")
    for path in paths:
        text = path.read_text("utf8")
        if path.suffix == ".md":
            new = labels.refresh(text, names, sources)
        else:
            notebook = json.loads(text)
            for cell in notebook["cells"]:
                if cell["cell_type"] == "markdown":
                    source = labels.refresh("".join(cell["source"]), names, sources)
                    cell["source"] = source.splitlines(keepends=True)
            new = json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        if new != text:
            path.write_text(new, "utf8")


def main(paths):
    """Execute and rewrite each notebook; an error in a cell leaves its file as it was."""
    renumber()
    for path in map(Path, paths):
        notebook = nbformat.read(path, as_version=4)
        execute(notebook, path.parent)
        nbformat.write(notebook, path)
        found = [len(png) for cell in notebook.cells for png in pictures(cell)]
        print(f"{path}: {path.stat().st_size} bytes, {len(found)} pictures of {sum(found)}")


if __name__ == "__main__":
    main(sys.argv[1:])
