"""Commands of `convnet draw` that take a network."""

from __future__ import annotations

from typing import Annotated

import typer

from convnet.cli.draw.emit import Picture, emit
from convnet.cli.numbers import parse_whole
from convnet.cli.options import DataDir, Json

Network = Annotated[
    str,
    typer.Argument(metavar="RUN_OR_NETWORK", help="A run, or a network or pattern with random weights."),
]
Image = Annotated[str, typer.Argument(help="An image file.")]


def receptive_field(
    model: Network,
    image: Image,
    layer: Annotated[
        list[str] | None, typer.Option(help="A layer; repeatable. Default: up to twelve, evenly spaced.")
    ] = None,
    out: Picture = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Draw how the receptive field of the central unit grows, layer by layer.

    The frame is the theoretical field. The color is the gradient of the unit with respect to each pixel.
    """
    from convnet import concepts
    from convnet.workflows.network_image import network_and_image

    found = concepts.receptive_fields(*network_and_image(model, image), layers=layer)
    emit(found, out, as_json=as_json, default="receptive-field.png")


def equivariance(
    model: Network,
    image: Image,
    shifts: Annotated[
        str, typer.Option(metavar="N,…", help="Shifts to the right in pixels.")
    ] = "0,1,2,3,4,8",
    out: Picture = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Measure how far f(translate(x)) is from translate(f(x)) in every layer."""
    from convnet.analysis import equivariance
    from convnet.workflows.network_image import network_and_image

    network, normal = network_and_image(model, image)
    found = equivariance(network, normal[None], parse_whole(shifts, "--shifts"))
    emit(found, out, as_json=as_json, default="equivariance.svg")


def unit(
    model: Annotated[
        str, typer.Argument(metavar="RUN_OR_NETWORK", help="A run, or a network with ImageNet weights.")
    ],
    image: Image,
    layer: Annotated[str | None, typer.Option(help="The layer. Default: the last one with maps.")] = None,
    at: Annotated[
        str | None, typer.Option(metavar="C,Y,X", help="Channel, row and column. Default: the largest.")
    ] = None,
    out: Picture = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Draw the patch, the kernel and the products of one unit of a network."""
    from convnet.cli.explain import parse_position
    from convnet.workflows.explain import explain_image

    place = None if at is None else parse_position(at)
    found = explain_image(model, image, layer=layer, unit=place, methods=())
    emit(found.unit, out, as_json=as_json, default="unit.svg")


def weights(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN…", help="Finished runs, or networks with ImageNet weights.")
    ],
    out: Picture = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Draw the templates or filters of first layers side by side."""
    from convnet.workflows.first_weights import first_weights

    emit(first_weights(runs), out, as_json=as_json, default="weights.png")
