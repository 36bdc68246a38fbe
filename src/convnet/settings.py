"""Where things run: the data folder, the device and the threads, read in one place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Settings:
    """What depends on the machine and not on the recipe.

    Attributes:
        data_dir: Where named data sets are looked for first: a folder with one subfolder per set. Default:
            the environment variable CONVNET_DATA.
        device: "cpu", "cuda" or "mps". Default: the best there is.
        threads: Threads for tensor arithmetic. Default: OMP_NUM_THREADS, else one per core.
    """

    data_dir: Path | None = None
    device: str | None = None
    threads: int | None = None

    def data_folders(self) -> list[Path]:
        """Where named data sets are looked for, in order."""
        named = os.environ.get("CONVNET_DATA")
        folders = [self.data_dir, Path(named) if named else None]
        return list(dict.fromkeys(folder for folder in folders if folder is not None))


_current: ContextVar[Settings | None] = ContextVar("settings", default=None)


def settings() -> Settings:
    """The settings in force."""
    chosen = _current.get() or Settings()
    if chosen.data_dir is None and os.environ.get("CONVNET_DATA"):
        return replace(chosen, data_dir=Path(os.environ["CONVNET_DATA"]))
    return chosen


def configure(**changes: Any) -> None:
    """Change some settings until the enclosing `use_settings` block, or the process, ends."""
    _current.set(replace(_current.get() or Settings(), **changes))


@contextmanager
def use_settings(**changes: Any) -> Iterator[Settings]:
    """Change some settings within a `with` block; None leaves one as it is.

    >>> from convnet import use_settings
    >>> with use_settings(device="cpu", threads=2):
    ...     pass  # convnet.train("digits")
    """
    given = {name: value for name, value in changes.items() if value is not None}
    if "data_dir" in given:
        given["data_dir"] = Path(given["data_dir"])
    token = _current.set(replace(_current.get() or Settings(), **given))
    try:
        yield settings()
    finally:
        _current.reset(token)
