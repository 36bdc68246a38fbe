"""The log of a server: one JSON object per line on standard error, without the content of images."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime


class JsonFormatter(logging.Formatter):
    """A record as a line of JSON; the facts of a request are fields of their own."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, message and facts."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        facts = getattr(record, "facts", {})
        line = {"time": moment, "level": record.levelname.lower(), "message": record.getMessage(), **facts}
        return json.dumps(line, ensure_ascii=False, default=str)


def log_as_json() -> None:
    """Write the log of the package and of the HTTP server as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name, level in (("convnet", logging.INFO), ("uvicorn", logging.ERROR)):
        top = logging.getLogger(name)
        top.handlers, top.propagate = [handler], False
        top.setLevel(level)
