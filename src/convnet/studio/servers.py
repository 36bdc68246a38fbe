"""Bundles that are served by processes of their own, as `convnet serve` does."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from convnet.errors import ServerError

LISTENING = re.compile(r"listening at (http://[^\s\"]+)")
START_SECONDS = 60.0
STOP_SECONDS = 10.0


class Servers:
    """The servers that the studio has started."""

    def __init__(self) -> None:
        self._processes: dict[Path, tuple[subprocess.Popen[bytes], str]] = {}
        self._lock = threading.Lock()

    def start(self, bundle: Path) -> str:
        """Serve a bundle at a free port.

        Args:
            bundle: The folder of the bundle.

        Returns:
            The address.

        Raises:
            ServerError: The server does not start; the message is its own.
        """
        with self._lock:
            return self.address(bundle) or self._start(bundle)

    def _start(self, bundle: Path) -> str:
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "convnet.studio.serving_process", str(bundle)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
            deadline = time.monotonic() + START_SECONDS
            while time.monotonic() < deadline:
                log.seek(0)
                text = log.read().decode(errors="replace")
                if found := LISTENING.search(text):
                    self._processes[bundle] = process, found[1]
                    return found[1]
                if process.poll() is not None:
                    last = text.strip().splitlines()[-1:] or ["no reason is known"]
                    raise ServerError(last[0].removeprefix("convnet: error: "))
                time.sleep(0.05)
        process.kill()
        raise ServerError(f"{bundle}: the server did not start within {START_SECONDS:.0f} s")

    def address(self, bundle: Path) -> str | None:
        """The address at which a bundle is served; None if it is not."""
        process, address = self._processes.get(bundle, (None, ""))
        return address if process is not None and process.poll() is None else None

    def stop(self, bundle: Path) -> None:
        """Stop serving a bundle."""
        process, _ = self._processes.pop(bundle, (None, ""))
        if process is not None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            process.kill()

    def close(self) -> None:
        """Stop all servers."""
        for bundle in list(self._processes):
            self.stop(bundle)
