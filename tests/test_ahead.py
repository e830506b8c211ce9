"""Notebooks run ahead of the build: what has run is kept, and what fails is left to MyST-NB."""

import sys
from types import SimpleNamespace

import nbformat
from browser import ROOT
from jupyter_cache import get_cache
from nbclient.exceptions import DeadKernelError
from nbformat.v4 import new_code_cell, new_notebook

sys.path.insert(0, str(ROOT / "_site"))
from book_site import ahead


def test_only_what_has_run_to_its_end_is_kept(tmp_path, monkeypatch):
    """Where a kernel dies, which is no error of a cell, the other notebooks are still kept."""
    def executed(notebook, **_):
        code = notebook.cells[0].source
        if code == "os._exit(1)":
            raise DeadKernelError("Kernel died")
        return SimpleNamespace(nb=notebook, time=1.0, err=None if code == "1" else ValueError())

    codes = {"dies": "os._exit(1)", "fails": "1/0", "good": "1"}
    for name, code in codes.items():
        nbformat.write(new_notebook(cells=[new_code_cell(code)]), tmp_path / f"{name}.ipynb")
    config = SimpleNamespace(execution_mode="cache", execution_timeout=60,
                             execution_cache_path=str(tmp_path / "cache"))
    monkeypatch.setattr(ahead, "single_nb_execution", executed)
    ahead.execute(None, SimpleNamespace(
        mystnb_config=config, doc2path=lambda name: tmp_path / f"{name}.ipynb"), codes)
    records = get_cache(str(tmp_path / "cache")).list_cache_records()
    assert [record.uri.rpartition("/")[2] for record in records] == ["good.ipynb"]
