"""A real browser that looks at pages as a person does, with nothing but loopback to talk to."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tests.needs import not_run

if TYPE_CHECKING:
    from playwright.sync_api import Page

# Nothing is fetched, updated or reported; `--no-sandbox` because tests in containers run as root.
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDTH, HEIGHT = 1280, 900


def chromium() -> str:
    """Path of Chromium; root on Debian gets it from its packages, others are told."""
    found = shutil.which("chromium")
    if not found and os.geteuid() == 0 and Path("/etc/debian_version").exists():
        subprocess.run(["apt-get", "install", "-y", "-q", "chromium"], capture_output=True)
        found = shutil.which("chromium")
    return found or not_run("Chromium (apt-get install chromium)")


@contextlib.contextmanager
def page(url: str, *, height: int = HEIGHT) -> Iterator[Page]:
    """Open `url` in a browser of its own; what a page says takes up to a minute to come."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            shown = browser.new_page(viewport={"width": WIDTH, "height": height})
            shown.set_default_timeout(60_000)
            shown.goto(url)
            yield shown
        finally:
            browser.close()
