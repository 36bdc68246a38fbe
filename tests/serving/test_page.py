"""The page of the server, in a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser import browsed, needs_browser
from tests.serving.server import Server

pytestmark = [pytest.mark.slow, needs_browser]


@pytest.mark.parametrize("width", [400, 1400])
def test_an_image_gets_its_classes(server: Server, png: bytes, tmp_path: Path, width: int) -> None:
    (tmp_path / "x.png").write_bytes(png)
    (tmp_path / "broken.png").write_bytes(b"no image")
    with browsed(width, allowed=("422",)) as page:
        page.goto(f"http://127.0.0.1:{server.port}/")
        page.set_input_files("#file", tmp_path / "x.png")
        page.wait_for_selector("#answer tbody tr")
        assert page.locator("#answer tbody tr").count() == 5
        assert "digits" in page.inner_text("#message")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.set_input_files("#file", tmp_path / "broken.png")
        page.wait_for_selector("#message.error")
        assert "not a readable image" in page.inner_text("#message")


def test_the_page_is_accessible(server: Server, png: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(png)
    with browsed(1400) as page:
        page.goto(f"http://127.0.0.1:{server.port}/")
        page.set_input_files("#file", tmp_path / "x.png")
        page.wait_for_selector("#answer tbody tr")
        found = Axe().run(page).response["violations"]
        assert not [violation["id"] for violation in found]


def test_the_interface_is_described(server: Server) -> None:
    with browsed(1400) as page:
        page.goto(f"http://127.0.0.1:{server.port}/docs")
        page.wait_for_selector("text=Predict images")
