"""A server as a process of its own, and requests to it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STARTED = re.compile(r"listening at http://[^:]+:(\d+)")
PREDICT = "/v1/models/digits/predict"


@dataclass
class Answer:
    """What a server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The message of an error, which is JSON and no traceback."""
        assert self.headers["content-type"] == "application/json", self.body
        message = self.json["error"]
        assert isinstance(message, str) and message and "Traceback" not in message
        return message


@dataclass
class Server:
    """A running server."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    headers: dict[str, str] = field(default_factory=dict)

    def connect(self, timeout: float = 60) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        kind: str | None = None,
        connection: http.client.HTTPConnection | None = None,
        **headers: str,
    ) -> Answer:
        given = {**self.headers, **headers, **({"content-type": kind} if kind else {})}
        used = connection or self.connect()
        try:
            used.request(method, path, body, given)
            found = used.getresponse()
            answer = {key.lower(): value for key, value in found.getheaders()}
            return Answer(found.status, answer, found.read())
        finally:
            if connection is None:
                used.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, **headers)

    def post(self, body: bytes, kind: str = "image/png", path: str = PREDICT, **more: Any) -> Answer:
        return self.request("POST", path, body, kind, **more)

    @property
    def memory(self) -> int:
        """Resident bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def lines(self) -> list[dict[str, Any]]:
        """The lines of the log."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def stop(self) -> int:
        """Send SIGTERM and wait for the end."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def serving(
    folder: Path, *arguments: object, program: Path | None = None, **environment: str
) -> Iterator[Server]:
    """A server, at a free port unless one is given. Its log is in `folder`; `program` is run instead."""
    log = folder / "server.log"
    port = [] if "--port" in arguments else ["--port", "0"]
    command = ["-m", "convnet"] if program is None else [str(program)]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, *command, "serve", *map(str, arguments), *port],
            stderr=file,
            env={**os.environ, **environment},
        )
    try:
        yield Server(process, _port(process, log), log)
    finally:
        process.kill()
        process.wait()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    for _ in range(600):
        if match := STARTED.search(log.read_text()):
            return int(match[1])
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    raise AssertionError(f"the server did not start: {log.read_text()}")
