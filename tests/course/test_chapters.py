"""Every chapter of the course runs and makes its pictures."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from convnet.workflows.plane import STEPS
from tests.conftest import Cli
from tests.test_docs import blocks, run_console, run_shell

COURSE = Path(__file__).parents[2] / "docs" / "course"
CHAPTERS = sorted(COURSE.glob("[0-9]*.md"))
PAGES = [COURSE / "index.md", *CHAPTERS, COURSE / "errata.md"]
SLOW = (
    "02-linear-classifiers", "04-optimization", "05-features", "06-neural-networks", "07-regularization",
    "13-architectures", "14-training", "15-seeing-inside", "19-applications",
)  # fmt: skip
PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def build() -> Any:
    """The script that builds the pictures."""
    spec = importlib.util.spec_from_file_location("build", COURSE / "build.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def marked(page: Path) -> Any:
    """The page as a parameter; chapters that train several networks are slow."""
    return pytest.param(page, marks=pytest.mark.slow if page.stem in SLOW else [], id=page.stem)


@pytest.mark.parametrize("page", [marked(page) for page in PAGES])
def test_a_chapter_runs(
    page: Path, build: Any, tmp_path: Path, call: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setitem(STEPS, "epochs", 5)  # points in the plane; the pictures are not compared
    build.prepare(tmp_path)
    for language, block in blocks(page, "python", "sh", "console"):
        if language == "python":
            exec(compile(block, page.name, "exec"), {"__name__": page.stem})
        elif language == "sh":
            run_shell(block, call)
        else:
            run_console(block, call)
    needing_data = "\n".join(block for _, block in blocks(page, "shell"))
    for picture in build.pictures(page):
        assert (tmp_path / picture).exists() or picture in needing_data, picture
        assert (COURSE / "images" / picture).exists(), f"{picture}: run docs/course/build.py"


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_a_chapter_has_pictures_with_texts_and_three_exercises(page: Path) -> None:
    text = page.read_text()
    for description, target in PICTURE.findall(text):
        assert len(description) > 15, target
    exercises = text.partition("## Exercises")[2]
    assert re.findall(r"^\*\*(\d)\.\*\*", exercises, re.MULTILINE) == ["1", "2", "3"]
    answers = exercises.split('<details markdown="1"><summary>Answer</summary>')[1:]
    assert len(answers) == 3
    assert all(re.search(r"^```(console|python|sh)$", answer, re.MULTILINE) for answer in answers)


def test_pictures_have_names_of_their_own(build: Any) -> None:
    named = Counter(picture for page in PAGES for picture in build.pictures(page))
    assert [name for name, times in named.items() if times > 1] == []
    stored = {str(path.relative_to(COURSE / "images")) for path in (COURSE / "images").rglob("*.*")}
    assert stored == set(named)
