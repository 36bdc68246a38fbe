"""Import matplotlib, whatever the environment and a matplotlibrc say.

A nonsensical MPLBACKEND or a damaged matplotlibrc makes the import fail. Figures are only written to files,
so neither has a meaning here. Sound settings stay those of the program, which may draw figures of its own.
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
    """Import matplotlib with the user's settings, or with its own if these cannot be read."""
    if "matplotlib" in sys.modules:
        return
    try:
        import matplotlib
    except Exception:  # a wrong value or encoding, or a module that does not exist
        for name in [name for name in sys.modules if name.startswith("matplotlib")]:
            del sys.modules[name]  # half imported
        with _own_settings():
            import matplotlib  # noqa: F401
