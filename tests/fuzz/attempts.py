"""What counts as a failure: an error that is no message, or a use that takes too long."""

from __future__ import annotations

import contextlib
import io
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from convnet.cli import app
from convnet.errors import ConvnetError

SECONDS = 60
"""The longest time of a use."""
STATUSES = {0, 1, 2}


def failure_of(action: Callable[[], object]) -> str | None:
    """Why `action` failed; None if it returned, or raised an error with a message, in time."""
    began = time.monotonic()
    try:
        action()
    except ConvnetError as error:
        if not str(error).strip():
            return "an empty message"
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if "/convnet/" in frame.filename] or list(frames)
        place = f"{Path(own[-1].filename).name}:{own[-1].lineno}"
        return f"{type(error).__name__}: {str(error)[:120]} ({place})"
    took = time.monotonic() - began
    return f"took {took:.0f} s" if took > SECONDS else None


class Call(NamedTuple):
    """A call of the command line: its exit status, its output, and why it failed; None if it did not."""

    status: int
    text: str
    failure: str | None


def call(words: Sequence[str]) -> Call:
    """Call the command line; a traceback, an unknown status, no message, or a long time is a failure."""
    printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    status = 0

    def run() -> None:
        nonlocal status
        with (
            mock.patch.object(sys, "argv", ["convnet", *words]),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            try:
                app.main()
            except SystemExit as stop:
                status = stop.code if isinstance(stop.code, int) else 1

    failure = failure_of(run)
    printed.seek(0)
    text = printed.read()
    if failure is None and status not in STATUSES:
        failure = f"status {status}: {text[-200:]}"
    if failure is None and ((status and not text.strip()) or "Traceback" in text):
        failure = f"status {status} without a message: {text[-200:]}"
    return Call(status, text, failure)
