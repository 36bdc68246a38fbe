from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from convnet.data.files.download import fetch, fetch_address
from convnet.data.files.remote_file import RemoteFile
from convnet.errors import DataError

CONTENT = bytes(range(256)) * 400
SUM = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT under /good/ and /flaky/ (which breaks off once), rubbish under /bad/."""

    breaks = 1
    ranges: list[str]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        kind = self.path.split("/")[1]
        if kind not in ("good", "flaky", "bad"):
            self.send_error(404)
            return
        body = b"rubbish" if kind == "bad" else CONTENT
        begin = 0
        if asked := self.headers.get("Range"):
            self.server.ranges.append(asked)
            begin = int(asked.removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(body) - begin))
        self.end_headers()
        if kind == "flaky" and self.server.breaks:
            self.server.breaks -= 1
            self.wfile.write(body[:50_000])
            return
        self.wfile.write(body[begin:])

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server(("127.0.0.1", 0), Handler)
    running.ranges = []
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def remote(server: Server, *kinds: str) -> RemoteFile:
    mirrors = tuple(f"http://127.0.0.1:{server.server_port}/{kind}/" for kind in kinds)
    return RemoteFile("set.bin", SUM, mirrors)


def test_the_second_mirror_serves_where_the_first_has_nothing(server: Server, tmp_path: Path) -> None:
    fetch([remote(server, "missing", "bad", "good")], tmp_path)
    assert (tmp_path / "set.bin").read_bytes() == CONTENT
    assert [p.name for p in tmp_path.iterdir()] == ["set.bin"]


def test_a_broken_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    fetch([remote(server, "flaky")], tmp_path)
    assert (tmp_path / "set.bin").read_bytes() == CONTENT
    assert server.ranges == ["bytes=32768-"]


def test_a_download_broken_by_a_kill_goes_on_next_time(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".set.bin.part").write_bytes(CONTENT[:1000])
    fetch([remote(server, "good")], tmp_path)
    assert (tmp_path / "set.bin").read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-"]


def test_what_cannot_be_had_is_named_with_addresses_and_folder(server: Server, tmp_path: Path) -> None:
    file = remote(server, "missing", "bad")
    with pytest.raises(DataError) as caught:
        fetch([file], tmp_path)
    for part in ("set.bin", *file.addresses, str(tmp_path), "wrong checksum"):
        assert part in str(caught.value)
    assert not (tmp_path / "set.bin").exists()


def test_files_of_one_name_from_two_addresses_stay_apart(server: Server, tmp_path: Path) -> None:
    """Weights are often called model.safetensors; a part of one must not go on with another's bytes."""
    base = f"http://127.0.0.1:{server.server_port}"
    bad = fetch_address(f"{base}/bad/model.bin", tmp_path)
    server.breaks = 1
    good = fetch_address(f"{base}/flaky/model.bin", tmp_path, SUM[:8])
    assert bad.read_bytes() == b"rubbish" and good.read_bytes() == CONTENT
    assert fetch_address(f"{base}/good/model.bin", tmp_path).name.endswith("-model.bin")
    assert len(list(tmp_path.iterdir())) == 3


def test_an_address_that_gives_nothing_or_something_else(server: Server, tmp_path: Path) -> None:
    base = f"http://127.0.0.1:{server.server_port}"
    with pytest.raises(DataError, match=r"cannot be downloaded \(HTTP 404\); get the file elsewhere"):
        fetch_address(f"{base}/missing/w.pth", tmp_path)
    with pytest.raises(DataError, match="does not have the checksum 0000"):
        fetch_address(f"{base}/good/w.pth", tmp_path, "0000")
    assert list(tmp_path.iterdir()) == []
    assert fetch_address(f"{base}/good/w.pth", tmp_path, SUM).read_bytes() == CONTENT
