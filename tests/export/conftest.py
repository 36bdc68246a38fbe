"""Fixtures of exported models."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from jaxtyping import config


@pytest.fixture(autouse=True)
def untyped() -> Iterator[None]:
    """Shapes are not checked while a network is traced: the sides are symbols then."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)
