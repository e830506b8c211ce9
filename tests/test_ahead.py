"""Notebooks run ahead of the build: what has run is kept, and what fails is left to MyST-NB."""

import sys
from types import SimpleNamespace

import nbformat
import pytest
from browser import ROOT
from jupyter_cache import get_cache
from nbformat.v4 import new_code_cell, new_notebook

sys.path.insert(0, str(ROOT / "_site"))
from book_site import ahead


@pytest.mark.parametrize("name, code, kept", [
    ("good", "print(1)", True), ("fails", "1/0", False), ("dies", "import os; os._exit(1)", False)])
def test_only_what_has_run_to_its_end_is_kept(tmp_path, name, code, kept):
    """Also where a kernel dies, which is no error of a cell."""
    notebook = new_notebook(cells=[new_code_cell(code)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    config = SimpleNamespace(execution_mode="cache", execution_timeout=60,
                             execution_cache_path=str(tmp_path / "cache"))
    env = SimpleNamespace(mystnb_config=config, doc2path=lambda name: tmp_path / f"{name}.ipynb")
    ahead.execute(None, env, [name])
    assert len(get_cache(str(tmp_path / "cache")).list_cache_records()) == kept
