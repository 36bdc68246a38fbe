"""A server of a bundle as a process of the studio, which ends with it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from convnet.serving.logs import log_as_json
from convnet.serving.server import serve


def _end_with_the_studio() -> None:
    sys.stdin.buffer.read()  # returns when the studio has ended
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_studio, daemon=True).start()
    log_as_json()
    serve([Path(sys.argv[1])], port=0)
