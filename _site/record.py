"""Execute notebooks in place and store what nbval compares: printed results, nothing else.

Usage: python _site/record.py chapters/*.ipynb
Pictures, widget views and widget states are left out because they differ between machines;
cells tagged nbval-ignore-output keep no output at all.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

TEXT = {"text/plain", "text/html", "text/markdown", "text/latex", "application/json"}


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


def clean(notebook):
    """Drop from an executed notebook, in place, everything that differs between two machines."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        if "nbval-ignore-output" in cell.metadata.get("tags", []):
            cell.outputs = []
        cell.outputs = merged(cell.outputs)
        for output in cell.outputs:
            if "data" in output:
                output.data = {k: v for k, v in output.data.items() if k in TEXT}
                output.metadata = {}
        cell.outputs = [output for output in cell.outputs if output.get("data", True)]
    return notebook


def main(paths):
    """Execute and rewrite each notebook; an error in a cell leaves its file as it was."""
    for path in map(Path, paths):
        notebook = nbformat.read(path, as_version=4)
        client = NotebookClient(
            notebook,
            timeout=120,
            store_widget_state=False,
            resources={"metadata": {"path": str(path.parent)}},
        )
        client.execute()
        nbformat.write(clean(notebook), path)
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
