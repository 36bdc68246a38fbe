"""`convnet studio`."""

from __future__ import annotations

from typing import Annotated

import typer

from convnet.cli.options import DataDir, Device


def studio(
    word: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATA | RUN | RUNS]",
            help="Data or a recipe to train, a run to look into, or a folder of runs. Default: runs/ here.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="The port; 0 for a free one. Default: 8642, if it is free."),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Whether to open the page in a browser.")] = True,
    data_dir: DataDir = None,
    device: Device = None,
) -> None:
    """Open the studio, a local web page: train and watch, inspect networks, review data, manage runs.

    The page is reached from this machine only, at the printed address. Ctrl-C ends the studio; runs that are
    being trained are saved and can be resumed.
    """
    from convnet.errors import ServerError

    try:
        from convnet.studio.server import serve_studio
    except ModuleNotFoundError as error:
        raise ServerError(
            f"the studio needs {error.name}, which is not installed: pip install 'convnet[serve]'"
        ) from error
    serve_studio(word, port=port, open_browser=browser)
