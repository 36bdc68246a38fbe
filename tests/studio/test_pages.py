"""The studio in a browser, as a person uses it: every view, by mouse and by keyboard."""

from __future__ import annotations

import csv
import json
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, WebSocketRoute, expect

import convnet
from convnet.explain.capture import capture
from convnet.runs import read_changes
from convnet.studio.inspector import RandomNetwork
from convnet.workflows.explained_network import inner_network
from tests.browser import browsed, needs_browser
from tests.conftest import PHOTOS
from tests.studio.studio import ENDED, StudioProcess, open_studio

pytestmark = needs_browser
REFUSED = ("status of 422",)
"""What the browser logs where a request is refused with a message."""
PATIENCE = 30_000
"""Milliseconds that training and audits may take on a busy machine."""


@contextmanager
def opened(
    studio: StudioProcess, view: str, width: int = 1400, allowed: tuple[str, ...] = (), dark: bool = False
) -> Iterator[Page]:
    """A view of the studio."""
    with browsed(width, allowed, dark) as page:
        page.set_default_timeout(PATIENCE)
        page.goto(studio.address)
        page.goto(f"http://127.0.0.1:{studio.port}/#/{view}")
        expect(page.locator("h1")).to_be_visible(timeout=PATIENCE)
        yield page


def seen(locator: Locator, text: str | re.Pattern[str]) -> None:
    expect(locator).to_contain_text(text, timeout=PATIENCE)


def step_of(page: Page) -> int:
    found = page.locator(".panel").first.get_attribute("data-step")
    return int(found or 0)


def steps_on(page: Page, after: int) -> None:
    """Wait until training is beyond a step."""
    for _ in range(1200):
        if step_of(page) > after:
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"training stays at step {step_of(page)}")


def settled(page: Page) -> int:
    """The step of a paused training, once the step in progress has ended."""
    for _ in range(40):
        before = step_of(page)
        page.wait_for_timeout(700)
        if step_of(page) == before:
            return before
    raise AssertionError("training goes on")


def test_digits_from_the_form_to_a_report(studio: StudioProcess) -> None:
    with opened(studio, "train?data=digits", allowed=REFUSED) as page:
        epochs = page.locator("[name=epochs]")
        epochs.fill("-2")
        epochs.press("Enter")
        seen(page.locator(".start .error"), "epochs: must be greater than or equal to 0, got -2")
        seen(page.locator(".field", has=epochs), "must be greater than or equal to 0")
        epochs.fill("40")  # without Enter: the click takes what is in the field
        page.get_by_role("button", name="Train", exact=True).click()
        seen(page.locator(".panel .command code"), "convnet train digits --set epochs=40")
        seen(page.locator(".status"), "Training")
        steps_on(page, 20)
        rate = page.locator('[name="optimizer.lr"]')
        rate.fill("0.001")
        rate.press("Enter")
        seen(page.locator(".changes"), "optimizer.lr = 0.001")
        size = page.locator('[name="batch_size"]')
        size.fill("0")
        size.press("Enter")
        seen(page.locator(".field", has=size), "must be greater than or equal to 1")
        page.get_by_role("button", name="Pause").click()
        seen(page.locator(".status"), "Paused")
        paused = settled(page)
        page.get_by_role("button", name="One step").click()
        steps_on(page, paused)
        assert settled(page) == paused + 1
        page.get_by_role("button", name="Resume").click()
        expect(page.locator(".answers .tile")).to_have_count(24)
        page.locator(".layer").nth(1).scroll_into_view_if_needed()
        seen(page.locator(".layer").nth(1), re.compile(r"activations: -?[\d.]+ to "))
        steps_on(page, paused + 30)
        page.get_by_role("button", name="Finish now").click()
        seen(page.locator(".result"), re.compile(r"Test accuracy: [\d.]+% \(n = 179\)"))
        page.locator(".panel").get_by_role("link", name="Report").click()
        report = page.frame_locator("iframe.report")
        seen(report.locator("h1"), "small-convnet on digits")
    run = max((studio.folder / "runs").glob("digits-[0-9]*"), key=lambda path: path.stat().st_mtime)
    changes = read_changes(run / "events.csv")
    assert [(change.field, change.value) for change in changes] == [("optimizer.lr", 0.001)]


@pytest.mark.slow
def test_a_second_tab_a_reload_and_a_lost_connection(studio: StudioProcess) -> None:
    number = studio.post("/api/jobs", word="digits", changes={"epochs": 400})["jobs"][0]
    studio.wait(number, "running")
    sockets: list[WebSocketRoute] = []

    def pass_on(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        socket.connect_to_server()

    with opened(studio, "runs") as page:
        page.route_web_socket(re.compile("live"), pass_on)
        page.goto(f"http://127.0.0.1:{studio.port}/#/job?n={number}")
        steps_on(page, 5)
        sockets[-1].close(code=1001)
        before = step_of(page)
        steps_on(page, before + 100)
        assert len(sockets) == 2
        page.reload()
        steps_on(page, before + 100)
        other = page.context.new_page()
        other.goto(page.url)
        other.get_by_role("button", name="Stop").click()
        for tab in (page, other):
            seen(tab.locator(".status"), "Stopped: stopped after step")
        run = Path(studio.job(number)["run"])
        rows = (run / "steps.csv").read_text().splitlines()
        shown = {int(str(tab.locator(".panel").get_attribute("data-step"))) for tab in (page, other)}
        assert shown == {len(rows) - 1}


def pattern(channels: int, height: int, width: int) -> torch.Tensor:
    """The test image of the page."""
    y, x = np.mgrid[0:height, 0:width]
    radius = np.hypot((x - width / 2) / width, (y - height / 2) / height)
    rings = [127 + 127 * np.sin(30 * radius + 2 * c) for c in range(channels)]
    return torch.from_numpy(np.floor(np.stack(rings).astype(np.float32) + 0.5)).clamp(0, 255)[None]


@pytest.mark.parametrize(
    ("name", "layer", "place"),
    [
        ("lenet5", "features.3", (7, 4, 5)),
        ("resnet20", "layer2.0.conv1", (9, 6, 3)),
        ("resnet20", "fc", (4,)),
    ],
)
def test_the_numbers_of_a_unit_are_those_of_the_network(
    studio: StudioProcess, name: str, layer: str, place: tuple[int, ...]
) -> None:
    predictor = RandomNetwork(name).predictor
    pixels = pattern(*predictor.inputs.shape)
    found = capture(inner_network(predictor.model), predictor.model.normalize(pixels))
    stored = float(found[layer].output[(0, *place)])
    unit = ",".join(map(str, place))
    with opened(studio, f"inspect?network={name}&layer={layer}&unit={unit}") as page:
        panel = page.locator(".arithmetic")
        seen(panel, f"Unit {', '.join(map(str, place))} of {layer}")
        assert float(str(panel.get_attribute("data-value"))) == pytest.approx(stored, rel=1e-4, abs=1e-5)
        shown = panel.locator("[data-figure=computed]").inner_text()
        assert float(shown) == pytest.approx(stored, rel=1e-4, abs=1e-5)
        if len(place) < 3:
            return
        weight = inner_network(predictor.model).get_submodule(layer).weight
        assert isinstance(weight, torch.Tensor)
        panel.focus()
        page.keyboard.press("ArrowRight")  # the next channel
        seen(panel, "channel 2 of")
        kernel = panel.locator("table.numbers").nth(1).locator("td")
        values = [float(str(cell.get_attribute("title"))) for cell in kernel.all()]
        assert values == pytest.approx(weight[place[0], 1].flatten().tolist(), abs=1e-6)
        page.keyboard.press("Shift+ArrowDown")  # the unit below
        seen(panel, f"Unit {place[0]}, {place[1] + 1}, {place[2]} of {layer}")
        assert f"unit={place[0]}%2C{place[1] + 1}%2C{place[2]}" in page.url


@pytest.mark.slow
def test_units_are_chosen_with_the_mouse_and_the_keyboard(studio: StudioProcess) -> None:
    with opened(studio, "inspect?network=digits-run&split=test&index=4") as page:
        canvas = page.locator(".column[data-layer='features.0.conv'] canvas.maps")
        canvas.wait_for()
        canvas.click(position={"x": 20, "y": 20})
        panel = page.locator(".arithmetic")
        seen(panel, "of features.0.conv")
        first = panel.get_attribute("data-unit")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        for _ in range(100):
            if panel.get_attribute("data-unit") != first:
                break
            page.wait_for_timeout(50)
        channel, row, column = map(int, str(first).split(","))
        assert panel.get_attribute("data-unit") == f"{channel},{row + 1},{column + 1}"
        value, computed = (float(str(panel.get_attribute(name))) for name in ("data-value", "data-computed"))
        assert computed == pytest.approx(value, abs=1e-5)
        before = page.locator(".prediction").inner_text()
        # A weight is changed by hand, then the image.
        cell = panel.locator("table.numbers").nth(1).locator("input").first
        cell.fill("9")
        cell.press("Enter")
        expect(page.get_by_role("button", name="Reset the weights")).to_be_visible()
        for _ in range(100):
            if float(str(panel.get_attribute("data-value"))) != value:
                break
            page.wait_for_timeout(50)
        assert float(str(panel.get_attribute("data-value"))) != value
        page.get_by_role("button", name="Reset the weights").click()
        expect(page.locator(".prediction")).to_have_text(before, use_inner_text=True)
        editor = page.locator("canvas.editor")
        editor.scroll_into_view_if_needed()
        box = editor.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 40, box["y"] + 40)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] - 40, box["y"] + box["height"] - 40, steps=8)
        page.mouse.up()
        expect(page.locator(".prediction")).not_to_have_text(before, use_inner_text=True)
        page.get_by_role("button", name="Compute heat maps").click()
        seen(page.locator(".heatmaps"), "saliency")
        page.locator("summary", has_text="Or use the webcam").click()
        page.get_by_role("button", name="Start the webcam").click()
        page.get_by_role("button", name="Take a picture").click()
        expect(page.locator(".inspect > section").first).to_contain_text("image")


@pytest.mark.slow
def test_labels_are_corrected_with_the_keyboard(studio: StudioProcess) -> None:
    folder = studio.folder / "mixed"
    if not folder.exists():
        for i, path in enumerate(sorted(PHOTOS.rglob("*.jpg"))):
            target = folder / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
            if i < 2:  # a copy is a finding
                target.with_name(f"copy-{path.name}").write_bytes(path.read_bytes())
    with opened(studio, f"data?data={folder}") as page:
        page.locator(".filters button", has_text="exact duplicate (2)").click()
        tiles = page.locator("li.finding")
        expect(tiles).to_have_count(2)
        paths = [str(tile.get_attribute("data-path")) for tile in tiles.all()]
        own = str(tiles.first.get_attribute("data-label"))
        classes = sorted(path.name for path in folder.iterdir())
        other = next(i for i, name in enumerate(classes) if name != own)
        tiles.first.focus()
        page.keyboard.press(str(other + 1))
        seen(tiles.first, f"{own} → {classes[other]}")
        page.keyboard.press("x")
        seen(tiles.nth(1), "excluded")
        file = Path(page.get_by_text("Corrections: 2").inner_text().partition(", in ")[2])
        with file.open(newline="") as lines:
            rows = {row["path"]: row["corrected"] for row in csv.DictReader(lines)}
        assert rows == {paths[0]: classes[other], paths[1]: "remove"}
        page.get_by_role("button", name="Undo").click()
        expect(tiles.nth(1)).not_to_contain_text("excluded")
        page.locator("summary", has_text="Augmentation").click()
        expect(page.locator(".augmented canvas")).to_have_count(13)
        page.get_by_role("button", name="Train with the corrections").click()
        seen(page.locator(".start .command code"), "labels.csv")


def test_points_in_the_plane(studio: StudioProcess) -> None:
    with opened(studio, "plane?data=circles") as page:
        seen(page.locator(".figures"), re.compile(r"100\.0% of 80 points right"))
        page.locator("canvas.plane").first.click(position={"x": 5, "y": 5})
        seen(page.locator(".figures"), "of 81 points")
        page.locator("canvas.plane").first.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        seen(page.locator(".figures"), "of 82 points")
        page.keyboard.press("Delete")
        seen(page.locator(".figures"), "of 81 points")
        page.get_by_label("Units of hidden layer 1").fill("3")
        seen(page.locator(".command code"), "model.hidden=[3,2]")
        assert "hidden=%5B3%2C2%5D" in page.url


@pytest.mark.slow
def test_the_table_of_runs(studio: StudioProcess) -> None:
    number = studio.post("/api/jobs", word="digits", changes={"epochs": 1, "name": "short"})["jobs"][0]
    name = Path(studio.wait(number, "finished")["run"]).name
    with opened(studio, "runs") as page:
        page.get_by_label("Filter").fill("short")
        expect(page.locator("table.runs tbody tr")).to_have_count(1)
        page.get_by_label(f"Select {name}").check()
        page.get_by_role("button", name=re.compile("Delete")).click()
        seen(page.locator("main"), "No run matches the filter")
        page.get_by_role("button", name="Undo").click()
        expect(page.locator("table.runs tbody tr")).to_have_count(1)
        page.get_by_label("Filter").fill("")
        page.get_by_role("button", name="Score").click()
        page.get_by_label(f"Select {name}").check()
        page.get_by_label("Select digits-run").check()
        page.get_by_role("button", name="Compare").click()
        seen(page.frame_locator("iframe.report").locator("h1"), "Runs compared")
        page.go_back()
        page.get_by_label(f"Select {name}").check()
        page.get_by_role("button", name="Export").click()
        seen(page.get_by_role("status").last, "Exported to")
        page.get_by_role("button", name="Serve").click()
        link = page.locator("a.served")
        link.wait_for()
        page.get_by_role("button", name="Stop serving").click()
        expect(link).to_have_count(0)


UNIT = "inspect?network=lenet5&layer=features.3&unit=1,2,3"
VIEWS = ["train", "job", UNIT, "plane", "data?data=digits", "runs", "report?run=digits-run"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("view", "width", "dark"),
    [*((view, 400, False) for view in VIEWS), ("job", 2560, True), (UNIT, 2560, True), ("plane", 1400, True)],
)
def test_every_view_is_accessible_at_every_width(
    studio: StudioProcess, view: str, width: int, dark: bool
) -> None:
    if view == "job":
        number = studio.post("/api/jobs", word="digits", changes={"epochs": 300})["jobs"][0]
        studio.wait(number, "running")
        view = f"job?n={number}"
    with opened(studio, view, width, dark=dark) as page:
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(700)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement !== document.body")
    for job in studio.get("/api/jobs"):
        if job["state"] not in ENDED:
            studio.post(f"/api/jobs/{job['number']}/stop")


@pytest.mark.slow
def test_a_drawn_three_is_a_three(mnist_dir: Path, tmp_path: Path) -> None:
    convnet.train("lenet5-mnist", epochs=1, out=tmp_path / "runs" / "mnist", progress=False)
    strokes = [
        (90, 60),
        (130, 40),
        (175, 60),
        (180, 100),
        (140, 130),
        (180, 160),
        (180, 210),
        (135, 240),
        (85, 220),
    ]
    with (
        open_studio(tmp_path, tmp_path / "runs" / "mnist") as studio,
        opened(studio, "inspect?network=mnist") as page,
    ):
        page.locator("summary", has_text="Or draw").click()
        pad = page.locator("canvas.pad").bounding_box()
        assert pad is not None
        page.mouse.move(pad["x"] + strokes[0][0], pad["y"] + strokes[0][1])
        page.mouse.down()
        for x, y in strokes[1:]:
            page.mouse.move(pad["x"] + x, pad["y"] + y, steps=4)
        page.mouse.up()
        expect(page.locator(".prediction")).to_have_attribute("data-top", "3", timeout=PATIENCE)


@pytest.mark.slow
def test_a_killed_studio_is_started_again_and_its_run_resumed(tmp_path: Path) -> None:
    with open_studio(tmp_path) as studio:
        with opened(studio, "train?data=digits", allowed=("WebSocket", "Failed to load", "ERR_")) as page:
            page.locator("[name=epochs]").fill("60")
            page.locator("[name=epochs]").press("Enter")
            seen(page.locator(".start .command code"), "epochs=60")
            page.get_by_role("button", name="Train", exact=True).click()
            steps_on(page, 60)
            studio.process.send_signal(signal.SIGKILL)
            seen(page.locator("#connection"), "Reconnecting")
        studio.process.wait(60)
        worker = studio.folder
    run = next((worker / "runs").glob("digits-*"))
    for _ in range(600):
        if (run / "checkpoints" / "last.safetensors").exists():
            break
        time.sleep(0.05)
    with open_studio(tmp_path) as studio, opened(studio, "runs") as page:
        row = page.locator("table.runs tbody tr", has_text=run.name)
        seen(row, "unfinished")
        page.get_by_label(f"Select {run.name}").check()
        page.get_by_role("button", name="Resume").click()
        seen(page.locator(".status"), "Training")
        page.get_by_role("button", name="Finish now").click()
        seen(page.locator(".result"), "Test accuracy")


@pytest.mark.slow
def test_a_race_is_shown_side_by_side(studio: StudioProcess) -> None:
    with opened(studio, f"train?{_changes(epochs=3)}&data=digits") as page:
        page.get_by_label("The other optimizer").select_option("adadelta")
        page.get_by_role("button", name="Race").click()
        expect(page.locator(".panel")).to_have_count(2)
        for i, optimizer in enumerate(("adam", "adadelta")):
            seen(page.locator(".panel").nth(i).locator("h2").first, optimizer)
            seen(page.locator(".panel").nth(i).locator(".result"), "Test accuracy")
        seen(page.locator(".charts .legend").first, re.compile(r"adam training .*adadelta training"))


def _changes(**values: Any) -> str:
    from urllib.parse import urlencode

    return urlencode({"changes": json.dumps(values)})
