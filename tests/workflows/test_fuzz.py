"""Damaged files of runs end in messages; the whole fuzzer is tests/fuzz.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import fuzz


@pytest.mark.parametrize("count", [40, pytest.param(300, marks=pytest.mark.slow)])
def test_damaged_runs_end_in_messages(tmp_path: Path, count: int) -> None:
    tried, failures = fuzz(tmp_path, count, seed=count)
    assert tried == count and not failures, "\n".join(failures)
