"""Fixtures of exported models."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import traceable


@pytest.fixture(autouse=True)
def networks_are_traced() -> Iterator[None]:
    """Every test here may export a network."""
    with traceable():
        yield
