"""Data by name and by path."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import convnet
from convnet.data import identify_source, list_data
from convnet.recipes.resolve import resolve
from tests.conftest import Cli, result_of

PHOTOS = Path(__file__).parents[1] / "photos"


@pytest.fixture
def digits_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of photos that is called like a data set and like a recipe."""
    shutil.copytree(PHOTOS, tmp_path / "digits")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "digits"


def test_a_folder_takes_precedence_over_a_data_set_of_its_name(
    digits_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listed = list_data(str(digits_folder))
    assert convnet.open_data("digits").info.classes == listed.classes
    assert list_data("digits").counts() == listed.counts()
    assert convnet.audit("digits", check_labels=False).manifest.counts() == listed.counts()
    assert resolve("digits").recipe.data.source == str(digits_folder)
    assert "both a folder and a built-in name" in caplog.text


def test_a_stored_recipe_keeps_its_data_set(digits_folder: Path) -> None:
    assert identify_source("digits").named


def test_evaluate_and_baselines_use_the_folder(digits_folder: Path, call: Cli) -> None:
    command = ("baselines", "digits", "--minutes", 0.05, "--set", "preprocess.image_size=16", "--json")
    assert result_of(call(*command))["data"] == "digits"
    names = {path.name for path in Path("runs/digits-baselines").iterdir()}
    run = next(Path("runs/digits-baselines") / name for name in names if name.startswith("digits-linear"))
    assert convnet.load_run(run).recipe.data.source == str(digits_folder)
    evaluated = result_of(call("evaluate", run, "digits", "--json"))
    assert evaluated["samples"] == sum(list_data(str(digits_folder)).counts().values())
