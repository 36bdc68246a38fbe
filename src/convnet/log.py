"""Log messages on standard error, above a progress bar."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from rich.console import Console


@cache
def console() -> Console:
    """Standard error, shared by log lines and progress bars."""
    return Console(stderr=True, highlight=False)


class LogHandler(logging.Handler):
    """Prints log messages on standard error, above a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record; warnings and debug messages are marked."""
        prefix = {logging.WARNING: "warning: ", logging.DEBUG: "  debug: "}.get(record.levelno, "")
        console().print(prefix + record.getMessage(), soft_wrap=True, markup=False)


def set_up_logging(*, verbose: bool, quiet: bool) -> None:
    """Print the package's log at the level DEBUG, INFO or WARNING."""
    console.cache_clear()  # standard error may have been replaced
    top = logging.getLogger("convnet")
    top.handlers = [LogHandler()]
    top.propagate = False
    top.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)


@contextmanager
def printed_log() -> Iterator[None]:
    """A block in which log messages are printed, unless the program handles them itself."""
    top = logging.getLogger("convnet")
    if top.hasHandlers():
        yield
        return
    before = top.level, top.propagate
    set_up_logging(verbose=False, quiet=False)
    try:
        yield
    finally:
        top.handlers = []
        top.level, top.propagate = before
