"""A server for all tests of a process."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.serving.server import Server, serving


@pytest.fixture(scope="session")
def server(digits_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with default limits, but for small bodies and images."""
    folder = tmp_path_factory.mktemp("server")
    with serving(folder, digits_bundle, "--max-body", 2, "--max-pixels", 1, "--max-images", 8) as running:
        yield running


@pytest.fixture(scope="session")
def png() -> bytes:
    """The content of an image file."""
    pixels = np.random.default_rng(0).integers(0, 256, (20, 16), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
