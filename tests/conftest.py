"""Fixtures of all tests: the browser and the built site. Also prints what the tests measured."""

import gc
import os

import pytest
import setuptools  # noqa: F401 - as it asks: before anything imports distutils, as PyTorch's tools do
from browser import ARGS, HOW_TO, SITE, chromium, serve

# Ten thousand tests are collected, and none of what that makes is garbage: looking for some takes
# nearly half of the time, and later a good part of every test's.
gc.disable()


def pytest_collection_finish():
    """From here on only what tests leave behind is looked through for garbage."""
    gc.freeze()
    gc.enable()


def pytest_report_header():
    """Say once, before anything runs, that the browser tests cannot."""
    return None if chromium() else HOW_TO


# The files that take longest, in this order: of two workers none is left with them at the end.
LONGEST = [
    "test_lab.py", "test_site_editions.py", "test_site.py", "test_site_figures.py",
    "test_site_page.py", "test_optim_ranks.py", "test_calls.py", "test_optim_escape_ranks.py",
    "test_site_formulas.py", "deep_networks.ipynb", "psgd.ipynb", "psd_theory.ipynb",
    "gdpolyak.ipynb", "fourth_order_growth.ipynb", "saddles.ipynb", "test_gdpolyak_official.py",
    "test_makefile.py",
]


def pytest_collection_modifyitems(items):
    """Begin with the longest files; the order within a file stays."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


def pytest_terminal_summary(terminalreporter):
    """List the measurements that tests handed over with record_property."""
    found = [
        (name, value)
        for report in terminalreporter.stats.get("passed", [])
        for name, value in report.user_properties
    ]
    if found:
        terminalreporter.section("measured")
        for name, value in found:
            terminalreporter.write_line(f"{name}: {value}")


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium; without one the test skips, or fails where CI=true."""
    path = chromium()
    if path is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(HOW_TO)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=path, args=ARGS)
        yield instance
        instance.close()


@pytest.fixture(scope="session")
def site():
    """Address of the built book."""
    if not (SITE / "index.html").exists():
        pytest.fail("_build/html is missing: run make book")
    with serve(SITE) as address:
        yield address
