"""Live figures travel as files: their modules, styles and first states leave the page.

A page names each figure by the address of its module, so that a strict policy can allow it, two
pages share one copy, and a browser reads a page without the code of its figures in it.
"""

import base64
import hashlib
import html
import json
import re
import struct
from pathlib import Path

from myst_nb.sphinx_ import NbMetadataCollector

from .pages import CELL, links, replace_elements

FOLDER = "figures"
STATE = "application/vnd.jupyter.widget-state+json"
VIEW_TYPE = "application/vnd.jupyter.widget-view+json"
VIEW = re.compile(rf'<script type="{re.escape(VIEW_TYPE)}">(.*?)</script>', re.DOTALL)
STILL = re.compile(r'<figure class="[^"]*\bno-script\b[^"]*"[^>]*>')
# What belongs to the protocol between page and kernel.
PROTOCOL = re.compile(r"_(?:esm|css|model_|view_|dom_|anywidget).*|layout|tabbable|tooltip")
NOTE = ('<p class="needs-kernel">This control needs a running kernel: open the page '
        '{where}or in JupyterLab.</p>')


def save(app, content, suffix):
    """Write a file named by its content, once; returns its name in the static folder."""
    content = content if isinstance(content, bytes) else content.encode()
    name = f"{FOLDER}/{hashlib.sha256(content).hexdigest()[:12]}{suffix}"
    path = Path(app.outdir) / "_static" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return name


def figure(app, model, still):
    """The place of a live figure: its still picture until it runs, and all that it needs."""
    state = model["state"]
    name = state["_anywidget_id"].rpartition(".")[2]
    which = state.get("exercise", {}).get("name")  # boxes of answers differ in height
    which = f' data-exercise="{which}"' if which else ""
    told = json.dumps({
        "module": save(app, state["_esm"], ".js"), "style": save(app, state["_css"], ".css"),
        "state": {key: value for key, value in state.items() if not PROTOCOL.fullmatch(key)}})
    return (f'<div class="live-figure" data-figure="{name}"{which}>\n{still}'
            f'<script type="{VIEW_TYPE}">{told.replace("</", "<" + chr(92) + "/")}</script></div>')


def pictures(app, model, states, where, words=None):
    """The pictures that a control shows first, as files of the site, in the words of its label.

    A tooltip would be the place for words, but JupyterLab shows no widget that has one.
    """
    parts = [states[child.removeprefix("IPY_MODEL_")]
             for child in model["state"].get("children") or []]
    words = next((part["state"]["value"] for part in parts
                  if part["model_name"] == "LabelModel"), words)
    for part in parts:
        yield from pictures(app, part, states, where, words)
    if model["model_name"] == "ImageModel":
        data = base64.b64decode(model["buffers"][0]["data"])
        name = save(app, data, ".png")
        alt = words or "The first picture of a control that needs a kernel"
        # figures.png draws two pixels for one of the page.
        width, height = struct.unpack(">II", data[16:24])
        yield (f'<img src="{where}_static/{name}" alt="{html.escape(alt)}" '
               f'width="{width // 2}" height="{height // 2}" loading="lazy">')


def place(app, body, states, where, binder):
    """Put figures and notes in the place of a notebook's stored views."""
    stills = {}

    def keep(still):
        stills[len(stills)] = still.replace(STILL.match(still)[0], '<figure class="no-script">')
        return f"<!--still {len(stills) - 1}-->"

    body = replace_elements(body, STILL, keep, tag="figure")

    def one(cell):
        view = VIEW.search(cell)
        if not view:
            return cell
        model = states[json.loads(view[1])["model_id"]]
        if "_esm" in model["state"]:
            shown = figure(app, model, stills.pop(min(stills)) if stills else "")
        else:
            on = f'<a href="{html.escape(binder)}">on Binder</a> ' if binder else "on Binder "
            shown = (NOTE.format(where=on)
                     + "".join(pictures(app, model, states, where)))
        shown = f'<div class="widget-view">{shown}</div>'
        return cell[:view.start()] + shown + cell[view.end():]

    body = replace_elements(body, CELL, one)
    return re.sub(r"<!--still (\d+)-->\s*", lambda found: stills.get(int(found[1]), ""), body)


def move_out(app, pagename, templatename, context, doctree):
    """Move the widgets of a page into files, and load host.js where there is a live figure."""
    kept = NbMetadataCollector.get_js_files(app.env, pagename).get("ipywidgets_state")
    if not kept:
        return
    states = json.loads(kept[1]["body"])["state"]
    context["script_files"] = [
        file for file in context["script_files"]
        if getattr(file, "attributes", {}).get("type") != STATE]
    body = place(app, context["body"], states, context["content_root"], links(context)[0])
    modules = re.findall(r'"module": "([^"]+)", "style": "([^"]+)"', body)
    context["figure_styles"] = list(dict.fromkeys(style for _, style in modules))
    context["first_module"] = modules[0][0] if modules else None
    context["body"] = body


def setup(app):
    """Register with Sphinx; before pages.py folds cells."""
    app.connect("html-page-context", move_out, priority=900)
