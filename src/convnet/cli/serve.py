"""`convnet serve`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from convnet.cli.options import Backend, Precision


def serve(
    bundles: Annotated[
        list[Path], typer.Argument(metavar="BUNDLE...", help="Folders written by 'convnet export'.")
    ],
    host: Annotated[str, typer.Option(help="The address to listen at; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for a free one.")] = 8080,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="CONVNET_TOKEN",
            help="Refuse requests without 'Authorization: Bearer TOKEN', except those for health.",
        ),
    ] = None,
    backend: Backend = None,
    precision: Precision = "fp32",
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Threads per model. Default: one per core.")
    ] = None,
    max_body: Annotated[float, typer.Option(min=0.01, max=4000, help="Megabytes of a request.")] = 32.0,
    max_pixels: Annotated[float, typer.Option(min=0.01, max=4000, help="Megapixels of an image.")] = 50.0,
    max_images: Annotated[int, typer.Option(min=1, help="Images of a request.")] = 64,
    max_waiting: Annotated[
        int, typer.Option(min=1, help="Images that may wait; more are refused with status 429.")
    ] = 256,
    max_batch: Annotated[int, typer.Option(min=1, help="Images that are computed at once.")] = 32,
    max_delay: Annotated[
        float,
        typer.Option(min=0, max=60_000, help="Milliseconds that an image waits for others."),
    ] = 5.0,
    timeout: Annotated[float, typer.Option(min=0.1, max=86_400, help="Seconds of a request.")] = 30.0,
) -> None:
    """Serve bundles over HTTP: images in, classes out.

    The page at / takes an image, /docs describes the interface, /metrics is for Prometheus. A bundle that is
    replaced while the server runs is loaded without a failed request; SIGTERM lets requests finish.
    """
    from convnet.errors import ServerError

    try:
        from convnet.serving.limits import Limits
        from convnet.serving.logs import log_as_json
        from convnet.serving.server import serve as run_server
    except ModuleNotFoundError as error:
        raise ServerError(
            f"serving needs {error.name}, which is not installed: pip install 'convnet[serve]'"
        ) from error
    given = os.environ.get("CONVNET_TOKEN") if token is None else token  # typer reads an empty one as none
    if given is not None and not given.strip():
        raise ServerError("the token is empty; leave out --token and CONVNET_TOKEN to serve without one")
    os.environ.pop("CONVNET_TOKEN", None)
    log_as_json()
    run_server(
        bundles,
        host=host,
        port=port,
        token=None if given is None else given.strip(),
        limits=Limits(
            body=int(max_body * 1e6),
            pixels=int(max_pixels * 1e6),
            images=max_images,
            seconds=timeout,
            waiting=max_waiting,
            batch=max_batch,
            delay=max_delay / 1000,
        ),
        backend=backend,
        precision=precision,
        threads=threads,
    )
