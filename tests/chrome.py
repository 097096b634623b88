"""Debian's Chromium over pages that a test serves itself: what every browser test needs."""

import re
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dashboards.app import create_app
from dashboards.server import WebServer
from dashboards.settings import DashboardSettings
from storage.open import open_store
from storage.seam import Store

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WANTED = "missing: playwright (pip install playwright)"
"""Why a test is skipped where there is none."""
PATIENCE_MS = 120_000
"""A quiet machine draws a page in two seconds, one with ten times its work in forty."""
SETTLING_MS = 30_000
_FITS = """async (patience) => {
  const end = performance.now() + patience;
  const fits = () => document.documentElement.scrollWidth <= window.innerWidth;
  while (!fits() && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 50));
  return fits();
}"""
DESKTOP = {"width": 1440, "height": 1000}
PHONE = {"width": 390, "height": 844}


def clock_from(now_ns: int) -> Callable[[], int]:
    """Return a clock that goes on from a time: under one that stands still nothing is read a second time."""
    began_ns = time.monotonic_ns()
    return lambda: now_ns + time.monotonic_ns() - began_ns


@contextmanager
def filled(folder: Path, *samples: Any) -> Iterator[Store]:
    """Yield a store in a folder with everything that these sample modules fill in."""
    store = open_store(str(folder))
    for sample in samples:
        sample.fill(store)
    yield store
    store.close()


@contextmanager
def served(store: Store, clock: Callable[[], int], **settings: Any) -> Iterator[str]:
    """Serve the pages over a store and yield their address."""
    chosen = DashboardSettings(port=0, zone="Europe/Berlin", **settings)
    server = WebServer(create_app(store, chosen, clock), chosen)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server.url
    finally:
        server.close()
        thread.join(timeout=15)


@contextmanager
def chromium(playwright: Any, program: str) -> Iterator[Any]:
    """Yield a running browser."""
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield launched
        launched.close()


class Visit:
    """A page of its own, with everything that went wrong on it."""

    def __init__(self, browser: Any, size: dict[str, int] = DESKTOP, scheme: str = "dark") -> None:
        self.context = browser.new_context(viewport=size, color_scheme=scheme, accept_downloads=True)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.hosts: set[str] = set()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))
        self.page.on("response", self._response)
        self.page.on("requestfailed", self._failed)

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"{message.type}: {message.text}")

    def _response(self, response: Any) -> None:
        if response.status >= 400:
            self.faults.append(f"{response.status} {response.request.method} {response.url}")

    def _failed(self, request: Any) -> None:
        if request.failure != "net::ERR_ABORTED":  # the page was left meanwhile
            self.faults.append(f"{request.failure} {request.method} {request.url}")

    def open(self, url: str) -> Any:
        """Go to an address and return the page."""
        self.page.goto(url)
        return self.page

    def go(self, path: str) -> None:
        """Go to an address without loading everything anew, and wait until its page is in place of the last."""
        self.page.evaluate(
            "path => { const last = document.querySelector('#page > *'); if (last) last.dataset.last = 'yes';"
            " window.dash_clientside.set_props('url', {pathname: path, search: ''}); }",
            path,
        )
        self.page.wait_for_selector("#page > *:not([data-last])")

    def settle(self) -> None:
        """Wait until nothing is loading any more."""
        self.page.wait_for_function(
            "() => ![...document.querySelectorAll('.state-loading')].some((each) => each.checkVisibility())"
        )

    def sideways_px(self) -> int:
        """Return by how much the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))

    def fits(self) -> bool:
        """Tell whether the page comes to fit the window: charts follow a change of its width a moment later."""
        return bool(self.page.evaluate(_FITS, SETTLING_MS))

    def close(self) -> None:
        """Leave: first the page, so that it asks for nothing while its server ends."""
        self.context.close()


def page_count(pdf: bytes) -> int:
    """Return how many pages a PDF says it has, looking into its compressed object streams too."""
    text = pdf
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        try:
            text += zlib.decompress(stream)
        except zlib.error:
            continue
    return len(re.findall(rb"/Type\s*/Page\b", text))
