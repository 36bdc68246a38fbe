"""Import matplotlib with its own settings, whatever the environment and a matplotlibrc say.

A nonsensical MPLBACKEND or a damaged matplotlibrc makes the import fail. Figures are only written to files,
so neither has a meaning here.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


@contextmanager
def _own_settings() -> Iterator[None]:
    """An environment in which matplotlib finds no settings of the user."""
    changed = {"MPLBACKEND": "agg", "MATPLOTLIBRC": os.devnull}
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        with ExitStack() as stack:
            if Path("matplotlibrc").exists():  # it would be read first
                # An empty folder: an interactive Python imports modules from the current one.
                stack.enter_context(contextlib.chdir(stack.enter_context(tempfile.TemporaryDirectory())))
            yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def import_matplotlib() -> None:
    """Import matplotlib, unless the user's program has already done so."""
    if "matplotlib" not in sys.modules:
        with _own_settings():
            import matplotlib  # noqa: F401
