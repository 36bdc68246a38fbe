"""The examples of the documentation run as they are and print what the pages show."""

from __future__ import annotations

import doctest
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nbformat
import pytest
import typer.main
from nbclient import NotebookClient

from convnet.cli.app import app
from convnet.workflows.plane import STEPS
from tests.conftest import PHOTOS, Cli, traceable
from tests.serving.server import serving
from tests.studio.studio import open_studio

ROOT = Path(__file__).parent.parent
COURSE = ROOT / "docs" / "course"
GUIDES = [page for page in sorted((ROOT / "docs").rglob("*.md")) if page.parent != COURSE]
"""The pages but those of the course, which run in tests/course."""
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *GUIDES, *sorted(COURSE.glob("*.md"))]

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
"""`python`, `sh` and `console` blocks run, and the output of `console` is compared."""


def blocks(page: Path, *languages: str) -> list[tuple[str, str]]:
    return [found for found in BLOCK.findall(page.read_text()) if found[0] in languages]


def expect(line: str, printed: str, expected: str) -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.OutputChecker().check_output(expected, printed, flags), f"$ {line}\n{printed}"


def run_console(block: str, call: Cli) -> None:
    """Compare what the lines after each `$ command` show with what it prints; `...` stands for anything."""
    for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        line, _, expected = example.partition("\n")
        done = call(*shlex.split(line)[1:])
        assert (done.returncode == 2) == expected.startswith("convnet: error:"), done.stderr
        expect(line, done.stderr + done.stdout, expected)


def run_shell(block: str, call: Cli, start: Callable[..., object] | None = None) -> None:
    """Run commands; `start` starts a server that goes on until the end of the page, and `curl` asks it."""
    for line in block.replace("\\\n", " ").splitlines():
        command, *arguments = shlex.split(line, comments=True)
        if command == "convnet" and arguments[0] in ("serve", "studio"):
            assert start is not None, line
            start(*arguments)
            continue
        if command == "curl":
            asked = subprocess.run([*shlex.split(line), "-sS", "--fail-with-body"], capture_output=True)
            assert asked.returncode == 0, f"{line}: {asked}"
            continue
        assert command == "convnet", line
        done = call(*arguments)
        assert done.returncode == 0, f"{line}: {done.stderr}"


SLOW_GUIDES = ("baselines", "fine-tuning", "image-to-image", "improve", "python")


def marked(page: Path) -> Any:
    """The page as a parameter; some train much, so they are slow."""
    slow = page.parent.name == "tutorials" or page.stem in SLOW_GUIDES
    return pytest.param(page, marks=pytest.mark.slow if slow else [], id=page.stem)


@pytest.mark.parametrize(
    "page", [marked(p) for p in GUIDES if p.parent != COURSE and blocks(p, "python", "sh", "console")]
)
def test_examples(page: Path, tmp_path: Path, call: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page build on each other, in a folder with a few photos of one's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # as in an interactive Python
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setitem(STEPS, "epochs", 5)  # points in the plane; the pictures are not compared
    shutil.copytree(PHOTOS, "my-photos", ignore=shutil.ignore_patterns("*.txt"))
    shutil.copy(PHOTOS / "flower" / "00.jpg", "photo.jpg")
    names: dict[str, object] = {"__name__": page.stem}

    def start(command: str, *given: str) -> None:
        server = open_studio if command == "studio" else serving
        servers.enter_context(server(tmp_path, *given))

    with ExitStack() as servers, traceable():
        for language, block in blocks(page, "python", "sh", "console"):
            if language == "python":
                exec(compile(block, page.name, "exec"), names)
            elif language == "sh":
                run_shell(block, call, start)
            else:
                run_console(block, call)


@pytest.mark.parametrize("page", [marked(page) for page in sorted((ROOT / "docs").rglob("*.ipynb"))])
def test_notebooks(page: Path, tmp_path: Path) -> None:
    """Every cell runs, the layer table is shown once, and figures of one's own are shown."""
    notebook = nbformat.read(page, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    (table,) = (cell for cell in notebook.cells if "convnet.summary" in cell.source)
    assert [output.output_type for output in table.outputs] == ["execute_result"]
    (drawn,) = (cell for cell in notebook.cells if "plt.show" in cell.source)
    assert "image/png" in drawn.outputs[0].data
    assert (tmp_path / "runs" / "rates" / "compare.html").exists()


def without_effect(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every subcommand do nothing once its arguments are parsed."""
    for child in getattr(command, "commands", {}).values():
        without_effect(child, monkeypatch)
        if not hasattr(child, "commands"):
            monkeypatch.setattr(child, "callback", lambda **_: None)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "convnet " in page.read_text()], ids=lambda page: page.stem
)
def test_commands_that_are_not_run_have_valid_options(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples that need other data, a download or an hour are parsed."""
    command = typer.main.get_command(app)
    without_effect(command, monkeypatch)
    written = "".join(block for _, block in blocks(page, "", "sh", "shell"))
    for line in re.findall(r"^(?:\w+=\w+ )?convnet (.*)$", written, re.MULTILINE):
        command.main(shlex.split(line, comments=True), standalone_mode=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_the_readme_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _, block in blocks(ROOT / "README.md", "python"):
        exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
