"""`convnet dream`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def dream(
    image: Annotated[str, typer.Argument(help="An image.")],
    model: Annotated[
        str,
        typer.Option(
            "--network",
            metavar="RUN_OR_NETWORK",
            help="The folder of a finished run, or the name of a network with ImageNet weights.",
        ),
    ] = "efficientnet-lite0",
    layer: Annotated[
        str | None,
        typer.Option(help="The layer that is amplified. Default: one in the middle."),
    ] = None,
    channel: Annotated[
        int | None, typer.Option(min=0, help="One channel of the layer. Default: all.")
    ] = None,
    strength: Annotated[float, typer.Option(min=0.01, max=100.0, help="The factor of the steps.")] = 1.0,
    size: Annotated[int, typer.Option(min=32, max=2048, help="The longer side in pixels.")] = 384,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Picture to write; default: IMAGE-dream.png here.")
    ] = None,
) -> None:
    """Amplify in an image what a layer of a network responds to (DeepDream)."""
    from convnet.atomic import require_picture
    from convnet.runs import as_file_name
    from convnet.workflows.dream import dream_image

    picture = out or Path(f"{as_file_name(Path(image).stem)}-dream.png")
    require_picture(picture)
    used = dream_image(model, image, picture, layer=layer, channel=channel, strength=strength, size=size)
    print(f"layer {used}\npicture {picture}")
