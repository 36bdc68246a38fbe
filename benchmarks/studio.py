"""What watching costs a training in the studio, frames per second, how busy the browser is, first paint.

    python benchmarks/studio.py [--word convnetjs-cifar10] [--seconds 8] [--rounds 6] [--browser chromium]

A training runs in the studio. In turns nobody watches it, and a client watches 128 maps of its layers; with
--browser the client is the page itself in Chromium, which draws them. Steps are counted over each turn.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright
from websockets.sync.client import connect

STARTED = re.compile(r"http://127\.0\.0\.1:(\d+)/\?token=(\S+)")
MAPS = 128
SETTLE_SECONDS = 1.5


@dataclass
class Studio:
    """A running studio."""

    port: int
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {
            "Cookie": f"convnet-studio-{self.port}={self.token}",
            "Origin": f"http://127.0.0.1:{self.port}",
        }

    def request(self, method: str, path: str, **content: Any) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        headers = {**self.headers, "Content-Type": "application/json"}
        connection.request(method, path, json.dumps(content) if content else None, headers)
        answer = json.loads(connection.getresponse().read())
        if "error" in answer:
            raise SystemExit(answer["error"])
        return answer

    def job(self, number: int) -> dict[str, Any]:
        return next(job for job in self.request("GET", "/api/jobs") if job["number"] == number)


@contextmanager
def studio() -> Iterator[Studio]:
    """A studio in an empty folder."""
    folder = Path(tempfile.mkdtemp())
    log = folder / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "convnet", "studio", "--no-browser", "--port", "0"],
            cwd=folder,
            stdout=file,
        )
    try:
        while not (found := STARTED.search(log.read_text())):
            if process.poll() is not None:
                raise SystemExit("the studio does not start")
            time.sleep(0.05)
        yield Studio(int(found[1]), found[2])
    finally:
        process.terminate()
        process.wait(90)
        shutil.rmtree(folder)


def steps_per_second(running: Studio, job: int, seconds: float) -> float:
    """Steps of a training during a turn."""
    time.sleep(SETTLE_SECONDS)
    first, began = running.job(job)["step"], time.perf_counter()
    time.sleep(seconds)
    last, ended = running.job(job)["step"], time.perf_counter()
    return (last - first) / (ended - began)


@contextmanager
def client(running: Studio, job: int, counted: list[int]) -> Iterator[None]:
    """A client that takes frames of 128 maps as fast as they come."""
    address = f"ws://127.0.0.1:{running.port}/api/jobs/{job}/live"
    headers = running.headers
    origin = headers.pop("Origin")
    options = {"origin": origin, "additional_headers": headers, "max_size": None, "compression": None}
    with connect(address, **options) as socket:
        yield from _watch(socket, counted)


def _watch(socket: Any, counted: list[int]) -> Iterator[None]:
    """Ask for 128 maps, and take frames until the turn ends."""
    layers = json.loads(socket.recv())["facts"]["layers"]
    wanted, maps = [], 0
    for layer in layers[1:]:
        if maps < MAPS and len(layer["shape"]) == 3:
            wanted.append([layer["name"], "activation"])
            maps += min(layer["shape"][0], MAPS - maps)
    socket.send(json.dumps({"type": "watch", "wanted": wanted, "image": 0}))

    def take() -> None:
        for message in socket:
            if isinstance(message, bytes):
                counted[0] += 1
                socket.send('{"type": "drawn"}')

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    yield
    socket.close()
    thread.join()


@dataclass
class Turn:
    """A turn with a watcher: steps and frames per second, and the busy share of the browser's main thread."""

    steps: float
    frames: float
    busy: float | None = None


def watched(running: Studio, job: int, seconds: float) -> Turn:
    """A turn with a client."""
    counted = [0]
    with client(running, job, counted):
        began = time.perf_counter()
        steps = steps_per_second(running, job, seconds)
        return Turn(steps, counted[0] / (time.perf_counter() - began))


def shown(running: Studio, job: int, seconds: float, chromium: str) -> tuple[Turn, float]:
    """A turn with the page in a browser, and the milliseconds to its first paint."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which(chromium), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(f"http://127.0.0.1:{running.port}/?token={running.token}#/plane")
        page.goto("about:blank")
        page.goto(f"http://127.0.0.1:{running.port}/#/train")
        page.locator("h1").wait_for()
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        page.goto(f"http://127.0.0.1:{running.port}/#/job?n={job}")
        page.locator(".layers").scroll_into_view_if_needed()
        page.mouse.wheel(0, 600)
        page.locator(".layer canvas.maps:visible").first.wait_for()
        tasks = page.context.new_cdp_session(page)
        tasks.send("Performance.enable")

        def busy() -> float:
            found = tasks.send("Performance.getMetrics")["metrics"]
            return next(entry["value"] for entry in found if entry["name"] == "TaskDuration")

        before, began = busy(), time.perf_counter()
        steps = steps_per_second(running, job, seconds)
        share = (busy() - before) / (time.perf_counter() - began)
        text = page.locator(".layers-section .options .quiet").inner_text()
        frames = float(text.partition(" ")[0] or 0)
        browser.close()
    return Turn(steps, frames, share), paint


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--word", default="convnetjs-cifar10", help="a recipe or data")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--browser", help="Chromium; the page watches")
    parser.add_argument("--data-dir", help="the folder of data sets")
    options = parser.parse_args()
    if options.data_dir:
        os.environ["CONVNET_DATA"] = options.data_dir
    with studio() as running:
        content = {"word": options.word, "changes": {"epochs": 10_000}}
        (job,) = running.request("POST", "/api/jobs", **content)["jobs"]
        while running.job(job)["step"] < 20:
            time.sleep(0.1)
        alone, turns, ratios, paints = [], [], [], []
        for _ in range(options.rounds):
            rate = steps_per_second(running, job, options.seconds)
            if options.browser:
                turn, paint = shown(running, job, options.seconds, options.browser)
                paints.append(paint)
            else:
                turn = watched(running, job, options.seconds)
            after = steps_per_second(running, job, options.seconds)
            alone.append((rate + after) / 2)
            turns.append(turn)
            ratios.append(turn.steps / alone[-1])
        running.request("POST", f"/api/jobs/{job}/stop")
        while running.job(job)["state"] != "stopped":
            time.sleep(0.1)
    median = statistics.median
    print(f"{options.word}, {options.rounds} rounds of {options.seconds:g} s")
    print(f"steps per second     {median(alone):.1f} unwatched, {median(t.steps for t in turns):.1f} watched")
    print(f"ratio                {median(ratios):.3f} ({min(ratios):.3f}–{max(ratios):.3f})")
    print(f"frames per second    {median(t.frames for t in turns):.1f}")
    if options.browser:
        print(f"main thread busy     {median(t.busy or 0.0 for t in turns):.1%}")
        print(f"first paint          {median(paints):.0f} ms")


if __name__ == "__main__":
    main()
