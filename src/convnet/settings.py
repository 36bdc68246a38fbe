"""Settings that depend on the machine: the data folder, the device, the number of threads."""

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
    """Settings that depend on the machine and not on the recipe.

    Attributes:
        data_dir: The folder that is searched first for named data sets, with one subfolder per set.
            Default: the environment variable CONVNET_DATA.
        device: "cpu", "cuda" or "mps". Default: the fastest available.
        keep_checkpoints: Whether a finished run keeps what is needed to train it longer.
        threads: Threads for tensor arithmetic. Default: OMP_NUM_THREADS, else one per core.
    """

    data_dir: Path | None = None
    device: str | None = None
    threads: int | None = None
    keep_checkpoints: bool = False

    def data_folders(self) -> list[Path]:
        """The folders that are searched for named data sets, in order."""
        named = os.environ.get("CONVNET_DATA")
        folders = [self.data_dir, Path(named) if named else None]
        return list(dict.fromkeys(folder for folder in folders if folder is not None))


_current: ContextVar[Settings | None] = ContextVar("settings", default=None)


def settings() -> Settings:
    """The settings in effect."""
    chosen = _current.get() or Settings()
    if chosen.data_dir is None and os.environ.get("CONVNET_DATA"):
        return replace(chosen, data_dir=Path(os.environ["CONVNET_DATA"]))
    return chosen


def configure(**changes: Any) -> None:
    """Change some settings until the enclosing `use_settings` block, or the process, ends."""
    _current.set(replace(_current.get() or Settings(), **changes))


@contextmanager
def use_settings(**changes: Any) -> Iterator[Settings]:
    """Change some settings within a `with` block.

    >>> from convnet import use_settings
    >>> with use_settings(device="cpu", threads=2):
    ...     pass  # convnet.train("digits")

    Args:
        **changes: Fields of `Settings`; None leaves a field unchanged.

    Yields:
        The settings in effect.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    if "data_dir" in given:
        given["data_dir"] = Path(given["data_dir"])
    token = _current.set(replace(_current.get() or Settings(), **given))
    try:
        yield settings()
    finally:
        _current.reset(token)
