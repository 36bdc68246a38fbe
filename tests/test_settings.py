from __future__ import annotations

from pathlib import Path

import pytest

from convnet.settings import configure, settings, use_settings


def test_blocks_nest_and_restore() -> None:
    before = settings()
    with use_settings(device="cpu", threads=2):
        with use_settings(threads=3) as inner:
            configure(threads=4)
            assert (inner.device, inner.threads, settings().threads) == ("cpu", 3, 4)
        assert settings().threads == 2
    assert settings() == before


def test_the_environment_names_the_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVNET_DATA", "/from/environment")
    assert settings().data_folders() == [Path("/from/environment")]
    with use_settings(data_dir="/given") as chosen:
        assert chosen.data_folders() == [Path("/given"), Path("/from/environment")]
