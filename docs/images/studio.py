"""Make the pictures of the studio's page: python docs/images/studio.py DATA_DIR PHOTOS RUN

DATA_DIR has cifar10/, PHOTOS is a folder of photos, RUN a finished run on images of digits.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parent
TRAINED_SECONDS = 100


def shot(page: Page, name: str, height: int) -> None:
    page.set_viewport_size({"width": 1280, "height": height})
    page.wait_for_timeout(1500)
    page.screenshot(path=HERE / f"studio-{name}.png")


def main(data_dir: str, photos: str, run: str) -> None:
    folder = Path(tempfile.mkdtemp())
    shutil.copytree(run, folder / "runs" / "digits")
    log = folder / "log"
    command = [sys.executable, "-m", "convnet", "studio", photos, "--no-browser", "--port", "0"]
    with log.open("wb") as file:
        process = subprocess.Popen([*command, "--data-dir", data_dir], cwd=folder, stdout=file)
    while not (found := re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", log.read_text())):
        time.sleep(0.1)
    address = found[0]
    base = address.partition("?")[0]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1500})
        page.goto(address)
        page.get_by_role("button", name="Start the demo").click()
        page.locator(".status.running").wait_for(timeout=60_000)
        page.wait_for_timeout(1000 * TRAINED_SECONDS)
        rate = page.locator('[name="optimizer.lr"]')
        rate.fill("0.5")
        rate.press("Enter")
        page.wait_for_timeout(20_000)
        shot(page, "train", 1300)
        page.locator(".layers-section").scroll_into_view_if_needed()
        page.mouse.wheel(0, 620)
        shot(page, "layers", 1000)
        page.get_by_role("button", name="Stop").click()
        page.goto(f"{base}#/inspect?network=digits&split=test&index=3&layer=features.3&unit=4,4,5")
        page.locator(".arithmetic table.numbers").first.wait_for(timeout=60_000)
        shot(page, "inspect", 1620)
        page.goto(f"{base}#/plane?data=spiral&hidden=[8,2]")
        page.wait_for_timeout(12_000)
        shot(page, "plane", 720)
        page.goto(f"{base}#/data?data={photos}")
        page.locator("li.finding img").first.wait_for(timeout=120_000)
        shot(page, "data", 780)
        browser.close()
    process.terminate()
    process.wait(90)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
