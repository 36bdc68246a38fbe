"""Damaged runs and data and odd calls end in messages; the whole is `python -m tests.fuzz`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import calls, data_files, run_files

SLOW = pytest.mark.slow


@SLOW
def test_damaged_runs_end_in_messages(tmp_path: Path) -> None:
    failures = run_files.fuzz(tmp_path, 20, seed=50)
    assert not failures, "\n".join(failures)


@SLOW
def test_damaged_data_ends_in_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "")  # restored at the end
    failures = data_files.fuzz(tmp_path, 15, seed=80)
    assert not failures, "\n".join(failures)


@SLOW
def test_odd_calls_end_in_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CACHE_HOME", "HOME"):  # restored at the end
        monkeypatch.setenv(name, "")
    failures = calls.fuzz(tmp_path, 20, seed=100)
    assert not failures, "\n".join(failures)
