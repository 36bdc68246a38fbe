"""`convnet resume`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convnet.cli.options import DataDir, Device, Json
from convnet.cli.train import print_result


def resume(
    run: Annotated[Path, typer.Argument(help="The folder of an interrupted or finished run.")],
    epochs: Annotated[int | None, typer.Option(help="New total number of epochs, to train longer.")] = None,
    data_dir: DataDir = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Resume a run exactly where it stopped."""
    from convnet.workflows import resume as resume_run
    from convnet.workflows.progress import TrainingProgress

    with TrainingProgress() as progress:
        done = resume_run(run, epochs=epochs, listeners=[progress])
    print_result(done, as_json)
