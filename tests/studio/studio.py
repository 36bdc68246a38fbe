"""The studio as a process of its own, and requests to it."""

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.serving.server import Answer

STARTED = re.compile(r"studio  http://127\.0\.0\.1:(\d+)/\?token=(\S+)")
ENDED = ("finished", "stopped", "failed")


@dataclass
class StudioProcess:
    """A running studio."""

    process: subprocess.Popen[bytes]
    port: int
    token: str
    folder: Path

    @property
    def address(self) -> str:
        """The address that it printed."""
        return f"http://127.0.0.1:{self.port}/?token={self.token}"

    @property
    def headers(self) -> dict[str, str]:
        return {
            "Cookie": f"convnet-studio-{self.port}={self.token}",
            "Origin": f"http://127.0.0.1:{self.port}",
        }

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body, self.headers if headers is None else headers)
            found = connection.getresponse()
            answer = {key.lower(): value for key, value in found.getheaders()}
            return Answer(found.status, answer, found.read())
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        answer = self.request("GET", path)
        assert answer.status == 200, answer.body
        return answer.json

    def post(self, address: str, status: int = 200, /, **content: Any) -> Any:
        headers = {**self.headers, "Content-Type": "application/json"}
        answer = self.request("POST", address, json.dumps(content).encode(), headers)
        assert answer.status == status, answer.body
        return answer.json

    def error(self, address: str, /, **content: Any) -> str:
        """The message of a request that is refused."""
        message = self.post(address, 422, **content)["error"]
        assert isinstance(message, str) and message and "Traceback" not in message
        return message

    def socket(self, path: str, **headers: str) -> ClientConnection:
        given = {**self.headers, **headers}
        origin = given.pop("Origin")
        return connect(
            f"ws://127.0.0.1:{self.port}{path}", origin=origin, additional_headers=given, max_size=None
        )

    def job(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = next(job for job in self.get("/api/jobs") if job["number"] == number)
        return found

    def wait(self, number: int, *states: str, seconds: float = 120) -> dict[str, Any]:
        """The job once it is in one of the states."""
        for _ in range(int(seconds / 0.05)):
            found = self.job(number)
            if found["state"] in states:
                return found
            assert found["state"] not in ENDED, found
            time.sleep(0.05)
        raise AssertionError(f"job {number} is {found}")

    def stop(self) -> int:
        """Send what Ctrl-C sends, and wait for the end."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(90)


@contextmanager
def open_studio(folder: Path, *arguments: object, **environment: str) -> Iterator[StudioProcess]:
    """A studio in a folder; with CONVNET_INSTALLED, of the package that is installed there."""
    log = folder / "studio.log"
    installed = os.environ.get("CONVNET_INSTALLED")
    variables = {**os.environ, **({"PYTHONPATH": installed} if installed else {}), **environment}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "convnet", "studio", *map(str, arguments), "--no-browser", "--port", "0"],
            cwd=folder,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=variables,
        )
    try:
        port, token = _started(process, log)
        yield StudioProcess(process, port, token, folder)
    finally:
        process.kill()
        process.wait()
    text = log.read_text()
    assert "Traceback" not in text, text


def _started(process: subprocess.Popen[bytes], log: Path) -> tuple[int, str]:
    for _ in range(1200):
        if match := STARTED.search(log.read_text()):
            return int(match[1]), match[2]
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    raise AssertionError(f"the studio did not start: {log.read_text()}")
