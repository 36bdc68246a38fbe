"""`convnet report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convnet.cli.options import DataDir


def report(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.")], data_dir: DataDir = None
) -> None:
    """Write a run's report.html and its pictures again and print the path."""
    from convnet.workflows import load_run

    print(load_run(run).report())
