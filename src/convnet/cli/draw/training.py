"""Commands of `convnet draw` about training."""

from __future__ import annotations

from typing import Annotated

import typer

from convnet.cli.draw.emit import Picture, emit
from convnet.cli.numbers import parse_assigned, parse_row
from convnet.cli.options import Epochs, Json, Set, overrides

LARGEST_SEED = 2**63 - 1


def optimizers(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="sgd, momentum, adam, …. Default: sgd, momentum, rmsprop, adam, adadelta."),
    ] = None,
    surface: Annotated[str, typer.Option(help="valley, saddle, minima or rosenbrock.")] = "valley",
    steps: Annotated[int, typer.Option(help="The number of steps.")] = 100,
    lr: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=RATE", help="The learning rate of an optimizer; repeatable."),
    ] = None,
    start: Annotated[str | None, typer.Option(metavar="X,Y", help="Where all of them start.")] = None,
    noise: Annotated[float, typer.Option(help="Noise in every gradient, as of a mini-batch.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="The seed of the noise.")] = 0,
    out: Picture = None,
    as_json: Json = False,
) -> None:
    """Draw the paths of optimizers on the surface of a loss of two weights."""
    from convnet import concepts
    from convnet.errors import DataError

    place = None if start is None else parse_row(start, "--start")
    if place is not None and len(place) != 2:
        raise DataError(f"--start {start}: expected two numbers, such as -2,1")
    found = concepts.descent(
        surface,
        names or concepts.DEFAULT_OPTIMIZERS,
        steps=steps,
        rates=parse_assigned(lr or [], "--lr"),
        start=None if place is None else (place[0], place[1]),
        noise=noise,
        seed=seed,
    )
    emit(found, out, as_json=as_json, default="optimizers.svg")


def initialization(
    designs: Annotated[
        list[str] | None,
        typer.Argument(help="xavier, he, torch or a standard deviation such as 0.01, with +norm and +skip."),
    ] = None,
    depth: Annotated[int, typer.Option(help="The number of layers.")] = 30,
    width: Annotated[int, typer.Option(help="The units of every layer.")] = 256,
    activation: Annotated[str, typer.Option(help="relu, tanh, sigmoid, ….")] = "relu",
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="The seed of weights and samples.")] = 0,
    out: Picture = None,
    as_json: Json = False,
) -> None:
    """Draw the scale of activations and gradients through a deep network before training."""
    from convnet import concepts

    found = concepts.signals(
        designs or concepts.DEFAULT_DESIGNS, depth=depth, width=width, activation=activation, seed=seed
    )
    emit(found, out, as_json=as_json, default="initialization.svg")


def regularization(
    data: Annotated[str, typer.Argument(help="A data set with one class per sample.")] = "digits",
    variant: Annotated[
        list[str] | None,
        typer.Option(
            help="none, l2=0.01, l1=0.001, max-norm=1, dropout=0.5, or several joined by +; repeatable."
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The network. Default: mlp.")] = None,
    epochs: Epochs = None,
    set_: Set = None,
    out: Picture = None,
    as_json: Json = False,
) -> None:
    """Train a network once per regularizer, and draw the weights that each leaves."""
    from convnet.workflows.regularization import DEFAULT, regularization

    fields = overrides(set_, model=model, epochs=epochs)
    found = regularization(data, variant or DEFAULT, overrides=fields)
    emit(found, out, as_json=as_json, default="regularization.svg")
