"""A thousand malformed requests and messages: each is answered, and nothing is left behind."""

from __future__ import annotations

import json
import os
import random
import shutil
import string
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.studio.studio import StudioProcess, open_studio

pytestmark = pytest.mark.slow
PATHS = [
    "/", "/api/start", "/api/data", "/api/folders?path={}", "/api/recipes", "/api/recipe",
    "/api/uploads?name={}", "/api/jobs", "/api/jobs/{}/pause", "/api/jobs/{}/change",
    "/api/jobs/{}/images", "/api/resume", "/api/runs", "/api/runs/report?run={}", "/api/runs/compare",
    "/api/runs/comparison?name={}", "/api/runs/export", "/api/runs/serve", "/api/runs/delete",
    "/api/runs/restore", "/api/runs/trash", "/api/inspect/networks", "/api/inspect/network?name={}",
    "/api/inspect/sample?name={}&split=test&index={}", "/api/inspect/decode?name={}",
    "/api/inspect?name={}&edits={}", "/api/inspect/{}/tensors",
    "/api/inspect/{}/unit?layer={}&position={}", "/api/inspect/{}/heatmaps", "/api/data/audit",
    "/api/data/audit/{}", "/api/data/audit/{}/picture?path={}", "/api/data/audit/{}/correct",
    "/api/data/augment", "/static/{}", "/{}",
]  # fmt: skip
FIELDS = [
    "word", "changes", "rival", "paused", "field", "value", "run", "runs", "bundle", "trash", "data",
    "augment", "index", "seed", "path", "label", "wanted", "methods", "target", "points", "hidden",
    "type", "image",
]  # fmt: skip
WORDS = [
    "", "..", "../../etc/passwd", "%00", "%2e%2e%2f", "nothing", "digits-run", "-1", "0", "1",
    "99999999999999999999", "1e999", "NaN", "null", "[]", "[[", '"', "<script>", "%F0%9F%98%80", "a" *
    3000, "run.json", "C:\\x", "~",
]  # fmt: skip


def value(draws: random.Random, depth: int = 0) -> Any:
    """A random value of JSON."""
    kind = draws.randrange(9 if depth < 4 else 6)
    if kind == 6:
        return [value(draws, depth + 1) for _ in range(draws.randrange(5))]
    if kind >= 7:
        return {draws.choice(FIELDS): value(draws, depth + 1) for _ in range(draws.randrange(5))}
    return [
        None, draws.random() < 0.5, draws.randint(-(2**70), 2**70), draws.uniform(-1e300, 1e300),
        draws.choice(WORDS), "".join(draws.choices(string.printable, k=draws.randrange(40))),
    ][kind]  # fmt: skip


def body(draws: random.Random) -> bytes:
    kind = draws.randrange(4)
    if kind == 0:
        return draws.randbytes(draws.randrange(300))
    text = json.dumps({draws.choice(FIELDS): value(draws) for _ in range(draws.randrange(6))})
    return text[: draws.randrange(len(text) + 1)].encode() if kind == 1 else text.encode()


@pytest.fixture(scope="module")
def studio(digits_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioProcess]:
    """A studio of its own, whose runs may be deleted."""
    folder = tmp_path_factory.mktemp("fuzzed")
    shutil.copytree(digits_run, folder / "runs" / "digits-run")
    with open_studio(folder, XDG_CACHE_HOME=str(folder / "cache")) as running:
        yield running


def resources(studio: StudioProcess) -> tuple[int, int]:
    """Resident bytes and open files."""
    process = Path(f"/proc/{studio.process.pid}")
    pages = int((process / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(list((process / "fd").iterdir()))


def test_malformed_requests_are_answered(studio: StudioProcess) -> None:
    draws = random.Random(0)
    before = (0, 0)
    for number in range(700):
        path = draws.choice(PATHS)
        while "{}" in path:
            word = draws.choice(WORDS).replace(" ", "%20").replace("\\", "%5C").replace('"', "%22")
            path = path.replace("{}", word.replace("<", "%3C").replace(">", "%3E"), 1)
        headers = {**studio.headers, "Content-Type": draws.choice(["application/json", "text/plain", "x"])}
        answer = studio.request(draws.choice(["GET", "POST", "PUT", "DELETE"]), path, body(draws), headers)
        assert answer.status < 500, (path, answer.body)
        if answer.status >= 400:
            assert "Traceback" not in answer.body.decode(errors="replace")
        if number == 200:
            before = resources(studio)
    memory, files = resources(studio)
    assert files <= before[1] + 5
    assert memory < before[0] + 60e6


@pytest.mark.parametrize("path", ["/api/plane", "/api/jobs/{}/live"])
def test_malformed_messages_end_at_most_their_socket(studio: StudioProcess, path: str) -> None:
    number = studio.post("/api/jobs", word="digits", changes={"epochs": 1})["jobs"][0]
    studio.wait(number, "finished")
    path = path.format(number)
    draws, before = random.Random(1), (0, 0)
    for round_ in range(50):
        with suppress(ConnectionClosed), studio.socket(path) as socket:
            for _ in range(3):
                message = body(draws)
                socket.send(message.decode("latin-1") if draws.random() < 0.8 else message)
            with suppress(TimeoutError):
                socket.recv(timeout=0.05)
        if round_ == 20:
            before = resources(studio)
    memory, files = resources(studio)
    assert files <= before[1] + 5 and memory < before[0] + 60e6
    with studio.socket(path) as socket:  # a well-formed one is served as before
        if "plane" in path:
            socket.send('{"points": [[0, 0, 0], [1, 1, 1]], "hidden": [2]}')
            assert isinstance(socket.recv(timeout=30), bytes)
        else:
            assert json.loads(socket.recv(timeout=30))["type"] == "snapshot"
    with pytest.raises(ConnectionClosed), studio.socket("/api/jobs/98765/live") as socket:
        socket.recv(timeout=30)
