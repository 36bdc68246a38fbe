"""The number of cores follows the quota of a container."""

from __future__ import annotations

from pathlib import Path

import pytest

from convnet import cores


@pytest.mark.parametrize(
    ("quota", "expected"), [("max 100000", 8), ("200000 100000", 2), ("150000 100000", 2), ("5000 100000", 1)]
)
def test_quota(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quota: str, expected: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    monkeypatch.setattr(cores, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: set(range(8)))
    assert cores.available_cores() == expected


def test_without_a_quota(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cores, "QUOTA", tmp_path / "missing")
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: {0, 1, 2})
    assert cores.available_cores() == 3
