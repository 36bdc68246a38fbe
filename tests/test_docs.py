"""The examples in the documentation run as they stand there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Cli

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").rglob("*.md"))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    "page", [p for p in PAGES if blocks(p, "python") and p.parent.name != "tutorials"], ids=lambda p: p.stem
)
def test_python_examples(page: Path, tmp_path: Path) -> None:
    script = "\n".join(blocks(page, "python"))
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def run_shell(commands: str, call: Cli) -> None:
    for line in commands.replace("\\\n", " ").splitlines():
        command, *arguments = shlex.split(line, comments=True)
        assert command == "convnet", line
        done = call(*arguments)
        assert done.returncode == 0, f"{line}: {done.stderr}"


@pytest.mark.parametrize(
    "page",
    [p for p in PAGES if blocks(p, "sh") and p.parent.name != "tutorials"],
    ids=lambda p: p.stem,
)
def test_shell_examples(page: Path, call: Cli) -> None:
    run_shell("".join(blocks(page, "sh")), call)


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "tutorials").glob("*.md")), ids=lambda p: p.stem)
def test_tutorials(page: Path, tmp_path: Path, call: Cli) -> None:
    """Their blocks build on each other: in the order of the page, in one folder."""
    for language, block in re.findall(
        r"^```(python|sh)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL
    ):
        if language == "python":
            code = "import convnet\n" + block
            done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            continue
        run_shell(block, call)


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES], ids=lambda p: p.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_the_readme_example(tmp_path: Path) -> None:
    script = "\n".join(blocks(ROOT / "README.md", "python"))
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
