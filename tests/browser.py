"""Helpers of the tests that drive a browser: find one, serve a folder, record what a page does."""

import contextlib
import functools
import gc
import http.server
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path

import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_build" / "html"
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text("utf8"))
# The pages of the book, first to last.
PAGES = [TOC["root"], *(page["file"] for part in TOC["parts"] for page in part["chapters"])]
NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
HOW_TO = (
    "the browser tests need a Chromium: run apt-get install chromium, or set CHROMIUM=/path/to/it"
)
# Every context has a window of its own, and for each a Chromium makes two pages that it would show
# below its bar of addresses: a second of work, most of what a window costs. Of two such lists the
# last counts, so what Playwright switches off is here, too.
SWITCHED_OFF = [
    "WebUIOmniboxPopup", "WebUIOmniboxAimPopup",
    "AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable", "LensOverlay", "MediaRouter", "PaintHolding",
    "ThirdPartyStoragePartitioning", "AvoidCorsURLLoaderRestartOnRedirect", "OptimizationHints",
    "NetworkTimeServiceQuerying", "AimEnabled", "PreconnectToSearch",
]
ARGS = [
    f"--disable-features={','.join(SWITCHED_OFF)}",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-software-rasterizer",  # no page of ours has WebGL; painting is a fifth cheaper
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium():
    """Path of the browser to test with, or None."""
    if os.environ.get("CHROMIUM"):
        return shutil.which(os.environ["CHROMIUM"])
    return next(filter(None, map(shutil.which, [*NAMES, MAC])), None)


def node():
    """Path of a Node that runs ES modules: the system's, else the one inside Playwright."""
    from playwright._impl._driver import compute_driver_executable

    return shutil.which("node") or str(compute_driver_executable()[0])


def in_node(name, fixtures):
    """What the models of a live figure compute from fixtures: see tests/live/models.mjs."""
    command = [node(), ROOT / "tests" / "live" / "models.mjs", name]
    done = subprocess.run(command, input=json.dumps(fixtures), capture_output=True, text=True,
                          encoding="utf-8", timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# In a page: wait for so many frames, each half a second at most, as a browser need not draw any.
FRAMES = """async (count) => {
  for (; count; count -= 1) await new Promise((done) => {
    requestAnimationFrame(done);
    setTimeout(done, 500);
  });
}"""

# How far everything on a page has moved by itself until now, as a browser counts it. An observer
# says nothing where nothing has moved.
SHIFTS = """() => new Promise((done) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const e of list.getEntries()) if (!e.hadRecentInput) sum += e.value;
  }).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(sum), 100);
})"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def copyfile(self, source, outputfile):
        with contextlib.suppress(ConnectionError):  # the page was closed before it had everything
            super().copyfile(source, outputfile)


class _Server(http.server.ThreadingHTTPServer):
    # A browser opens six connections at once, and five may wait by default: what finds no room is
    # tried again a second later, or lost.
    request_queue_size = 128


@contextlib.contextmanager
def serve(folder):
    """Serve a folder on a free port of this machine; yields the address without a last slash."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with _Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def parsed(path):
    """The tree of an HTML file, made without a break: nothing in it becomes garbage.

    Python would look for some after every few thousand of its hundred thousand objects, and needs
    longer for that than for the tree.
    """
    gc.disable()
    try:
        return BeautifulSoup(path.read_text("utf8"), "html.parser")
    finally:
        gc.enable()


@functools.cache
def soup(name):
    """A built page, read once for all tests of a process: nobody changes it."""
    page = parsed(SITE / f"{name}.html")
    gc.freeze()  # it stays to the end
    return page


@functools.cache
def only_figures(name):
    """A built page without what is neither a live figure nor its still picture, but as scrollable.

    The tests of a figure load its page many times, and most of a chapter is text. That the figures
    work among all of it is what test_site and test_site_timing look at.
    """
    page = parsed(SITE / name)
    article = page.select_one("article.bd-article")
    kept = article.select(".no-script") + [
        view.find_parent(class_="cell")
        for view in article.select('script[type="application/vnd.jupyter.widget-view+json"]')
    ]
    on_the_way = {id(parent) for node in kept for parent in node.parents}

    def prune(node):
        for child in list(node.find_all(True, recursive=False)):
            if any(child is node for node in kept):
                continue
            if id(child) in on_the_way:
                prune(child)
            else:
                child.decompose()

    prune(article)
    for place in (0, len(article.contents)):
        article.insert(place, page.new_tag("div", style="height: 2000px"))
    return str(page)


class Visit:
    """One page in a context of its own, with everything it asked for and complained about."""

    def __init__(self, browser, width=1280, height=900, scheme="light", **options):
        # What a test evaluates is no script of the page; the test of the policy keeps to it.
        options.setdefault("bypass_csp", True)
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, **options
        )
        # A page takes three seconds here, and ten times that where the machine has other work.
        self.context.set_default_navigation_timeout(120_000)
        self.page = self.context.new_page()
        self.requests, self.errors = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("requestfailed", lambda request: self.errors.append(f"failed {request.url}"))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._console)

    def _console(self, message):
        if message.type in ("error", "warning"):
            self.errors.append(f"{message.type}: {message.text}")

    def open(self, url):
        """Load a page until its scripts have run, its fonts are there and its figure is drawn."""
        self.page.goto(url, wait_until="load")
        self.page.evaluate("async () => { await document.fonts.ready; await window.liveFigures; }")
        return self.page

    def forget(self):
        """Leave the page, and with it what it asked for and complained about."""
        self.page.goto("about:blank")
        self.requests.clear()
        self.errors.clear()

    def open_figures(self, site, name):
        """Load the live figures of a chapter, in its page but without its text and mathematics."""
        self.page.route(f"{site}/{name}", lambda route: route.fulfill(
            body=only_figures(name), content_type="text/html"))
        self.page.goto(f"{site}/{name}")

    def foreign(self, origin):
        """Requests that left the given origin; data and blob addresses stay in the page."""
        inside = (origin + "/", "data:", f"blob:{origin}")
        return [url for url in self.requests if not url.startswith(inside)]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.context.close()
