"""Hostile clients, damaged files, signals and replaced bundles: JSON always, and no request is lost."""

from __future__ import annotations

import http.client
import random
import shutil
import socket
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

import convnet
from convnet.export.bundle import ONNX
from tests.conftest import traceable
from tests.serving.server import PREDICT, Answer, Server, serving
from tests.serving.test_api import FORM, as_json, form

CLIENTS = 8
ALLOWED = {200, 400, 404, 405, 413, 415, 422, 429, 503}


def check(answer: Answer) -> None:
    """A prediction, or an error in JSON."""
    assert answer.status in ALLOWED, answer.body
    if answer.status != 200:
        assert answer.error


class Load:
    """Clients that send requests one after another, until they are stopped."""

    def __init__(self, server: Server, body: bytes, kind: str = "image/png") -> None:
        self.server, self.body, self.kind = server, body, kind
        self.statuses: Counter[int] = Counter()
        self.versions: Counter[str] = Counter()
        self.lost: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self) -> None:
        with closing(self.server.connect()) as connection:
            while not self._stop.is_set() and self._connected(connection):
                self._send(connection)

    def _connected(self, connection: http.client.HTTPConnection) -> bool:
        """Whether there is a connection; after the port is closed nothing more is accepted."""
        try:
            if connection.sock is None:
                connection.connect()
            return True
        except ConnectionRefusedError:
            return False

    def _send(self, connection: http.client.HTTPConnection) -> None:
        try:
            answer = self.server.post(self.body, self.kind, connection=connection)
        except (OSError, http.client.HTTPException) as error:
            self.lost.append(repr(error))
            self._stop.set()
            return
        self.statuses[answer.status] += 1
        if answer.status == 200:
            self.versions[answer.json["model"]["version"]] += 1
        if answer.headers.get("connection") == "close":
            connection.close()


def whole(connection: socket.socket) -> bytes:
    """What a server sends until it closes the connection."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_odd_files_get_a_prediction_or_a_reason(server: Server, odd_images: Path) -> None:
    statuses = Counter()
    for path in sorted(odd_images.rglob("*")):
        if path.is_file():
            answer = server.post(path.read_bytes(), "application/octet-stream")
            check(answer)
            statuses[answer.status] += 1
    assert statuses[200] and statuses[422]


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_random_and_mutated_bodies_get_an_answer_in_json(server: Server, png: bytes, count: int) -> None:
    draw = random.Random(count)
    sound = [(png, "image/png"), (form(png, png), FORM), (as_json(png, top=2), "application/json")]
    kinds = [kind for _, kind in sound] + ["text/csv", "application/octet-stream", "image/\u00e9", "x", ""]
    connection = server.connect()
    for _ in range(count):
        content, kind = draw.choice(sound)
        body = bytearray(content if draw.random() < 0.8 else draw.randbytes(draw.randrange(300)))
        for _ in range(draw.randrange(1, 6)):
            place = draw.randrange(len(body) + 1)
            change = draw.randrange(3)
            body[place : place + (change > 0) * draw.randrange(9)] = draw.randbytes((change < 2) * 3)
        kind = kind if draw.random() < 0.8 else draw.choice(kinds)
        path = draw.choice(
            [PREDICT] * 8 + ["/v2/models/digits/infer", f"{PREDICT}?top=0", f"{PREDICT}?top=x"]
        )
        answer = server.post(bytes(body), kind.encode().decode("latin-1"), path, connection=connection)
        check(answer)
        if answer.headers.get("connection") == "close":
            connection.close()
    connection.close()


def test_what_is_not_http_is_answered_in_json(server: Server) -> None:
    for content in (b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02", b"GET  \r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
            connection.sendall(content)
            answer = whole(connection)
        assert answer.startswith(b"HTTP/1.1 400") and b'{"error": "' in answer


def test_a_body_that_declares_a_gigabyte_is_refused_unread(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
        head = f"POST {PREDICT} HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\n"
        connection.sendall(f"{head}content-length: {10**9}\r\n\r\n".encode())
        answer = whole(connection)
    assert answer.startswith(b"HTTP/1.1 413") and b"over 2,000,000 bytes" in answer


def test_clients_that_leave_in_the_middle_do_no_harm(server: Server, png: bytes) -> None:
    for length in range(0, 400, 13):
        with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
            head = f"POST {PREDICT} HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\n"
            head += f"content-length: {len(png)}\r\n\r\n"
            connection.sendall((head.encode() + png)[:length])
    assert server.post(png).status == 200


@pytest.mark.slow
def test_slow_clients_are_cut_off_and_others_served(digits_bundle: Path, png: bytes, tmp_path: Path) -> None:
    with serving(tmp_path, digits_bundle, "--timeout", 1) as server:
        head = f"POST {PREDICT} HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\ncontent-length: 99\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port), 60) as slow:
            slow.sendall(head.encode() + b"x")
            assert server.post(png).status == 200
            answer = whole(slow)
            assert answer.startswith(b"HTTP/1.1 503") and b"took longer than 1 s" in answer
        with socket.create_connection(("127.0.0.1", server.port), 60) as silent:
            silent.sendall(b"POST ")
            assert whole(silent).startswith(b"HTTP/1.1 408")


@pytest.mark.slow
def test_two_thousand_connections_are_held(server: Server, png: bytes) -> None:
    connections = [socket.create_connection(("127.0.0.1", server.port), 60) for _ in range(2000)]
    try:
        assert server.post(png).status == 200
        for connection in connections:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert all(connection.recv(4096).startswith(b"HTTP/1.1 200") for connection in connections)
    finally:
        for connection in connections:
            connection.close()


@pytest.mark.slow
def test_a_full_queue_refuses_with_429(digits_bundle: Path, png: bytes, tmp_path: Path) -> None:
    with serving(tmp_path, digits_bundle, "--max-waiting", 1, "--max-delay", 200) as server:
        with Load(server, form(*[png] * 20), FORM) as load:
            time.sleep(2)
        assert not load.lost and set(load.statuses) <= {200, 429}
        answers = [server.get("/healthz") for _ in range(3)]
        assert all(answer.status == 200 for answer in answers)
        assert load.statuses[429] > 0


def test_term_under_load_loses_no_accepted_request(digits_bundle: Path, png: bytes, tmp_path: Path) -> None:
    with serving(tmp_path, digits_bundle) as server:
        with Load(server, png) as load:
            time.sleep(1)
            assert server.stop() == 0
        assert not load.lost and set(load.statuses) == {200} and load.statuses[200] > 50
        assert any("stopping" in line["message"] for line in server.lines())


def test_a_replaced_bundle_is_loaded_without_a_failed_request(
    digits_run: Path, digits_bundle: Path, png: bytes, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(digits_bundle, tmp_path / "bundle"))
    facts = {"name": "digits", "version": "next"}
    with traceable():
        new = convnet.export(digits_run, out=tmp_path / "new", formats=["onnx"], **facts).path
    with serving(tmp_path, folder) as server:
        with Load(server, png) as load:
            time.sleep(0.5)
            (folder / ONNX).write_bytes(b"a copy that was cut off")
            (folder / "SHA256SUMS").touch()
            time.sleep(2)
            folder.rename(tmp_path / "old")
            new.rename(folder)
            deadline = time.monotonic() + 30
            while load.versions["next"] < 20 and time.monotonic() < deadline:
                time.sleep(0.1)
        assert not load.lost and set(load.statuses) == {200}
        assert load.versions["next"] >= 20 and len(load.versions) == 2
        messages = [line["message"] for line in server.lines()]
        assert any("stays" in message and "does not match its checksum" in message for message in messages)
        assert any("replaces" in message for message in messages)


def test_a_request_that_arrives_while_its_bundle_is_replaced_is_answered(
    digits_run: Path, digits_bundle: Path, png: bytes, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(digits_bundle, tmp_path / "bundle"))
    with traceable():
        new = convnet.export(
            digits_run, out=tmp_path / "new", formats=["onnx"], name="digits", version="next"
        ).path
    with serving(tmp_path, folder) as server:
        head = f"POST {PREDICT} HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\nconnection: close\r\n"
        head += f"content-length: {len(png)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port), 60) as slow:
            slow.sendall(head.encode() + png[:50])
            folder.rename(tmp_path / "old")
            new.rename(folder)
            for _ in range(300):
                if server.get("/v1/models").json["models"][0]["version"] == "next":
                    break
                time.sleep(0.1)
            slow.sendall(png[50:])
            answer = whole(slow)
        assert answer.startswith(b"HTTP/1.1 200") and b'"next"' not in answer
        assert server.post(png).json["model"]["version"] == "next"


def test_a_model_that_fails_answers_in_json(digits_bundle: Path, png: bytes, tmp_path: Path) -> None:
    program = tmp_path / "failing.py"
    program.write_text(
        "import sys; from convnet.export.onnx_backend import OnnxBackend as B; calls = []\n"
        "old = B.outputs\n"
        "def outputs(self, images, tile=None):\n"
        "    calls.append(1)\n"
        "    if len(calls) > 1: raise ZeroDivisionError('secret reason')\n"
        "    return old(self, images, tile)\n"
        "B.outputs = outputs\n"
        "sys.argv[0] = 'convnet'\n"
        "from convnet.cli.app import main; main()\n"
    )
    with serving(tmp_path, digits_bundle, program=program) as server:
        for _ in range(3):
            answer = server.post(png)
            assert answer.status == 500 and "the model failed" in answer.error
            assert b"secret" not in answer.body
        assert server.get("/healthz").status == 200
        assert "secret reason" in server.log.read_text() and "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("count", [pytest.param(8_000, marks=pytest.mark.slow)])
def test_memory_stays_flat(server: Server, png: bytes, count: int) -> None:
    connection = server.connect()
    for _ in range(1000):
        assert server.post(png, connection=connection).status == 200
    before = server.memory
    requests = [(png, "image/png"), (b"nonsense", "image/png"), (as_json(png), "application/json")]
    for number in range(count):
        body, kind = requests[number % 3]
        server.post(body, kind, connection=connection)
    connection.close()
    assert server.memory < 1.05 * before
