"""Requests per second and latencies of `convnet serve`, against one process and against LitServe.

    python benchmarks/serving.py BUNDLE PHOTO [--seconds 10] [--rounds 3] [--litserve]

The load comes from hey (Debian: apt-get install hey), 32 connections, each request one JPEG file. In-process
prediction computes the same file in batches of 32. Contenders take turns; figures are medians of the rounds.
LitServe (pip install litserve) computes the same ONNX file after the same decoding; it takes JSON.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CONNECTIONS = 32
STEADY = 4
"""Connections at a given rate. They send at the same moments, so more would be bursts, not a steady load."""


@dataclass
class Load:
    """What a load generator measured."""

    rate: float
    p50: float
    p99: float
    failed: int


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextmanager
def server(command: list[object], address: str) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """A server process, and the seconds until it answered."""
    begun = time.perf_counter()
    words = [str(word) for word in command]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(words, start_new_session=True, **quiet)
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5):
                break
        except OSError:
            if process.poll() is not None or time.perf_counter() - begun > 60:
                raise SystemExit(f"{' '.join(words)}: did not start") from None
            time.sleep(0.01)
    try:
        yield process, time.perf_counter() - begun
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with suppress(ProcessLookupError):  # LitServe leaves its workers behind
            os.killpg(process.pid, signal.SIGKILL)


def load(address: str, body: Path, seconds: float, rate: float | None = None) -> Load:
    """Send requests for some time, as fast as they are answered or at a rate."""
    kind = "application/json" if body.suffix == ".json" else "image/jpeg"
    connections = CONNECTIONS if rate is None else STEADY
    words = ["hey", "-z", f"{seconds}s", "-c", str(connections), "-m", "POST", "-T", kind, "-D", str(body)]
    if rate is not None:
        words += ["-q", f"{rate / connections:.3f}"]
    text = subprocess.run([*words, address], capture_output=True, text=True, check=True).stdout
    found = {share: float(value) for share, value in re.findall(r"(\d+)%+ in ([\d.]+) secs", text)}
    answered = {int(status): int(count) for status, count in re.findall(r"\[(\d+)\]\s+(\d+) responses", text)}
    requests = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])  # type: ignore[index]
    failed = sum(count for status, count in answered.items() if status != 200)
    return Load(requests, found.get("50", 0.0), found.get("99", 0.0), failed)


def as_json(photo: Path) -> Path:
    """The request of LitServe, which takes JSON: the photo as base64."""
    body = Path(tempfile.gettempdir()) / "litserve-request.json"
    body.write_text(json.dumps({"image": base64.b64encode(photo.read_bytes()).decode()}))
    return body


def in_process(bundle: Path, photo: Path, seconds: float) -> float:
    """Images per second of `load_bundle(...).predict`, in batches of 32, in a process without torch."""
    program = (
        "import sys, time, convnet\n"
        "predict = convnet.load_bundle(sys.argv[1]).predict\n"
        "files, seconds, done = [sys.argv[2]] * 32, float(sys.argv[3]), 0\n"
        "predict(files); begun = time.perf_counter()\n"
        "while (spent := time.perf_counter() - begun) < seconds: predict(files); done += 32\n"
        "print(done / spent)\n"
    )
    command = [sys.executable, "-c", program, bundle, photo, str(seconds)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def memory(process: subprocess.Popen[bytes]) -> float:
    """Resident megabytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--litserve", action="store_true")
    arguments = parser.parse_args()
    if shutil.which("hey") is None:
        raise SystemExit("hey is not installed: apt-get install hey")
    sys.path.insert(0, str(HERE))
    import convnet

    name = convnet.load_bundle(arguments.bundle).manifest.name
    rates: dict[str, list[float]] = {"in process": [], "convnet serve": [], "LitServe": []}
    starts, sizes, peak = [], [], 0.0
    for _ in range(arguments.rounds):
        rates["in process"].append(in_process(arguments.bundle, arguments.photo, arguments.seconds))
        port = free_port()
        command = [sys.executable, "-m", "convnet", "serve", arguments.bundle, "--port", port]
        with server(command, f"http://127.0.0.1:{port}/readyz") as (process, seconds):
            starts.append(seconds)
            address = f"http://127.0.0.1:{port}/v1/models/{name}/predict"
            found = load(address, arguments.photo, arguments.seconds)
            rates["convnet serve"].append(found.rate)
            print(f"  convnet serve: {found.failed} requests failed", flush=True)
            sizes.append(memory(process))
            peak = statistics.median(rates["convnet serve"])
        if arguments.litserve:
            port = free_port()
            command = [sys.executable, HERE / "serving_litserve.py", arguments.bundle, port]
            with server(command, f"http://127.0.0.1:{port}/health") as _:
                found = load(f"http://127.0.0.1:{port}/predict", as_json(arguments.photo), arguments.seconds)
                rates["LitServe"].append(found.rate)
                print(f"  LitServe: {found.failed} requests failed", flush=True)
    first = rates["convnet serve"]
    for contender, measured in rates.items():
        if measured:
            ratio = statistics.median(a / b for a, b in zip(first, measured, strict=True))
            print(f"  {contender:<14} {statistics.median(measured):8.1f} images/s   serve is {ratio:.2f}×")
    print(f"  start to ready {statistics.median(starts):.2f} s, memory {statistics.median(sizes):.0f} MB")
    port = free_port()
    command = [sys.executable, "-m", "convnet", "serve", arguments.bundle, "--port", port]
    with server(command, f"http://127.0.0.1:{port}/readyz") as _:
        for share in (0.5, 0.8, None):
            rate = None if share is None else share * peak
            address = f"http://127.0.0.1:{port}/v1/models/{name}/predict"
            found = load(address, arguments.photo, arguments.seconds, rate)
            shown = "100%" if share is None else f"{share:.0%}"
            print(
                f"  load {shown:<5} {found.rate:7.1f}/s   p50 {1e3 * found.p50:7.1f} ms   "
                f"p99 {1e3 * found.p99:7.1f} ms   {found.failed} failed"
            )


if __name__ == "__main__":
    main()
