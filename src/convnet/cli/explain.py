"""`convnet explain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from convnet.cli.options import DataDir, Json, print_json

if TYPE_CHECKING:
    from convnet.workflows.explanation import Explanation


def explain(
    model: Annotated[
        str,
        typer.Argument(
            metavar="RUN_OR_NETWORK",
            help="The folder of a finished run, or the name of a network with ImageNet weights.",
        ),
    ],
    image: Annotated[str, typer.Argument(help="An image; a .csv file for models trained on tables.")],
    layer: Annotated[
        str | None, typer.Option(help="The layer to show. Default: the last one with maps.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--class", help="The class to explain. Default: the predicted one.")
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option(metavar="C,Y,X", help="The unit whose arithmetic is shown. Default: the largest."),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="Attribution: grad-cam, layer-cam, saliency, smooth-grad, integrated-gradients, "
            "guided-backprop, occlusion or all; repeatable. Default: the first three.",
        ),
    ] = None,
    neighbors: Annotated[int, typer.Option(min=0, help="Show this many of the nearest training images.")] = 0,
    visualize: Annotated[
        bool, typer.Option("--visualize", help="Make an image that excites the class by gradient ascent.")
    ] = False,
    channel: Annotated[
        int | None,
        typer.Option(min=0, help="Make an image that excites this channel of --layer by gradient ascent."),
    ] = None,
    scale: Annotated[
        Literal["map", "layer", "shared"],
        typer.Option(help="The color scale of activations: one per map, per layer, or one for all layers."),
    ] = "map",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to write; default: IMAGE-explain here.")
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Explain what a network does with an image: attribution, maps, filters, the arithmetic of a unit.

    Writes a page. With --json, the page is written only if --out is given, and attribution is computed only
    if --out or --method is given.
    """
    from convnet.runs import as_file_name
    from convnet.workflows.explain import explain_image

    found = explain_image(
        model,
        image,
        layer=layer,
        target=target,
        unit=None if unit is None else parse_position(unit),
        methods=() if as_json and out is None and not method else method,
        neighbors=neighbors,
        visualization=visualize if channel is None else channel,
    )
    if as_json:
        if out is not None:
            found.write(out, scale=scale)
        print_json(found.as_dict())
        return
    page = found.write(out or Path(f"{as_file_name(Path(image).stem)}-explain"), scale=scale)
    _print(found)
    print(f"page  {page}")


def parse_position(text: str) -> list[int]:
    """Channel, row and column of a unit.

    Raises:
        RecipeError: The text has other parts than whole numbers.
    """
    from convnet.errors import RecipeError

    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise RecipeError(f"--unit {text}: expected whole numbers, channel,row,column: 3,0,5") from None


def _print(found: Explanation) -> None:
    if found.predictor.task.target.exclusive:
        print(found.prediction.as_text(3))
    print(found.unit)
    if found.receptive_field is not None:
        (top, bottom), (left, right) = found.receptive_field["rows"], found.receptive_field["columns"]
        print(f"  receptive field: rows {top} to {bottom}, columns {left} to {right} of the image")
    if found.attributions:
        print(f"\n{'attribution for ' + str(found.target_class):<40}deletion  insertion  random weights")
    for made, trust in found.attributions:
        name = made.method + (f" at {made.layer}" if made.layer else "")
        figures = f"{trust.deletion:>8.3f}  {trust.insertion:>9.3f}  {trust.random_similarity:>6.2f}"
        print(f"  {name:<38}{figures}")
    for near in found.neighbors:
        print(f"{near.distance:>10.4g}  {near.label:<14} {near.path}")
