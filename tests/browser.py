"""A page in Debian's Chromium: errors of the console and requests to other machines fail the test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, sync_playwright

CHROMIUM = shutil.which("chromium")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
ARGUMENTS = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
LOCAL = ("http://127.0.0.1:", "data:", "blob:")


@contextmanager
def browsed(width: int, allowed: tuple[str, ...] = (), dark: bool = False) -> Iterator[Page]:
    """A page of that width, with a camera; console errors that contain one of `allowed` are expected."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        scheme = "dark" if dark else "light"
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page = context.new_page()
        troubles: list[str] = []
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda line: troubles.append(line.text) if line.type == "error" else None)
        page.on("request", lambda sent: None if sent.url.startswith(LOCAL) else troubles.append(sent.url))
        yield page
        browser.close()
    assert not [text for text in troubles if not any(word in text for word in allowed)]
