"""A studio that the tests of a process share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PHOTOS
from tests.studio.studio import StudioProcess, open_studio


@pytest.fixture(scope="session")
def studio(digits_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioProcess]:
    """A studio with a finished run on digits and a folder of photos."""
    folder = tmp_path_factory.mktemp("studio")
    shutil.copytree(digits_run, folder / "runs" / "digits-run")
    shutil.copytree(PHOTOS, folder / "photos")
    with open_studio(folder, XDG_CACHE_HOME=str(folder / "cache")) as running:
        yield running
