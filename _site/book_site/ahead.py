"""Notebooks are executed ahead of the reading, on all cores: Sphinx would take one after the other.

What has run is put into the cache in which MyST-NB looks for it. A notebook that fails is left to
MyST-NB, which runs it again and says where it failed.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution
from nbclient.exceptions import DeadKernelError
from sphinx.util import logging

logger = logging.getLogger(__name__)


def known(cache, notebook):
    """Whether the cache has the outputs of these cells."""
    try:
        cache.match_cache_notebook(notebook)
    except KeyError:
        return False
    return True


def run(path, timeout):
    """Execute a notebook in a kernel of its own, in its folder; None if the kernel dies."""
    notebook = nbformat.read(path, as_version=4)
    try:
        return path, single_nb_execution(notebook, cwd=str(path.parent), timeout=timeout,
                                         allow_errors=False)
    except DeadKernelError:
        logger.info("the kernel of %s died", path.name)
        return path, None


def execute(app, env, names):
    """Fill the cache with all notebooks that will be read and that it does not know."""
    config = env.mystnb_config
    if config.execution_mode != "cache":
        return
    cache = get_cache(config.execution_cache_path or ".jupyter_cache")
    paths = [path for path in (Path(env.doc2path(name)) for name in sorted(names))
             if path.suffix == ".ipynb" and not known(cache, nbformat.read(path, as_version=4))]
    paths.sort(key=lambda path: path.stat().st_size, reverse=True)  # long ones first, at a guess
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 4)) as pool:
        for path, done in pool.map(lambda path: run(path, config.execution_timeout), paths):
            if done and done.err is None:
                logger.info("executed %s in %.0f seconds", path.name, done.time)
                cache.cache_notebook_bundle(
                    CacheBundleIn(done.nb, str(path), data={"execution_seconds": done.time}),
                    check_validity=False, overwrite=True)


def setup(app):
    """Register with Sphinx."""
    app.connect("env-before-read-docs", execute)
