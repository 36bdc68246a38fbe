"""Commands of `convnet draw` that take numbers."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from convnet.cli.draw.emit import Picture, emit
from convnet.cli.numbers import parse_assigned, parse_numbers, parse_row, parse_sizes
from convnet.cli.options import Json


def activations(
    names: Annotated[
        list[str] | None, typer.Argument(help="sigmoid, tanh, relu, …. Default: the six of the lectures.")
    ] = None,
    at: Annotated[str, typer.Option(metavar="X,…", help="Points at which values are printed.")] = "-2,0.5,2",
    reach: Annotated[float, typer.Option(help="The curves go from -REACH to REACH.")] = 4.0,
    out: Picture = None,
    as_json: Json = False,
) -> None:
    """Draw activation functions and their derivatives."""
    from convnet import concepts

    found = concepts.activations(names, at=parse_row(at, "--at"), reach=reach)
    emit(found, out, as_json=as_json, default="activations.svg")


def loss(
    scores: Annotated[str, typer.Argument(metavar="S,S,…", help="One score per class: 3.2,5.1,-1.7.")],
    target: Annotated[int, typer.Option(help="The true class, counted from 0.")] = 0,
    classes: Annotated[str | None, typer.Option(metavar="A,B,…", help="Names of the classes.")] = None,
    out: Picture = None,
    as_json: Json = False,
) -> None:
    """Work out softmax, cross-entropy and hinge loss of the scores of one sample.

    Scores that begin with a minus follow two dashes: convnet draw loss --target 1 -- -1,2
    """
    from convnet import concepts

    names = None if classes is None else classes.split(",")
    found = concepts.loss(parse_row(scores, "scores"), target, names)
    emit(found, out, as_json=as_json, default="loss.svg")


def graph(
    expression: Annotated[str, typer.Argument(help="Such as '(x + y) * z'; also exp, log, sigmoid, max, ….")],
    at: Annotated[
        list[str] | None, typer.Option(metavar="X=1,Y=2", help="The value of every variable; repeatable.")
    ] = None,
    out: Picture = None,
    as_json: Json = False,
) -> None:
    """Draw the computation graph of an expression: values forward, gradients backward."""
    from convnet import concepts

    found = concepts.computation_graph(expression, **parse_assigned(at or [], "--at"))
    emit(found, out, as_json=as_json, default="graph.svg")


def pooling(
    values: Annotated[str, typer.Argument(help="A matrix, [[2, 2], [9, 4]], or channels, [[[…]], [[…]]].")],
    size: Annotated[int, typer.Option(help="The side of the window, or channels of a group.")] = 2,
    stride: Annotated[int | None, typer.Option(help="The step of the window. Default: its size.")] = None,
    kind: Annotated[
        Literal["max", "mean", "channels"],
        typer.Option(help="channels: the maximum over groups of channels."),
    ] = "max",
    gradient: Annotated[
        str | None, typer.Option(help="The gradient of the output, a matrix. Default: ones.")
    ] = None,
    out: Picture = None,
    as_json: Json = False,
) -> None:
    """Pool numbers, and pass a gradient back to them."""
    from convnet import concepts

    found = concepts.pooling(
        parse_numbers(values, "values"),
        size,
        stride=stride,
        kind=kind,
        gradient=None if gradient is None else parse_numbers(gradient, "--gradient"),
    )
    emit(found, out, as_json=as_json, default="pooling.svg")


def normalization(
    values: Annotated[str, typer.Argument(help="Samples × channels: [[1, 10], [3, 30]].")],
    kind: Annotated[
        Literal["batch", "response"], typer.Option(help="Batch norm, or AlexNet's local response norm.")
    ] = "batch",
    out: Picture = None,
    as_json: Json = False,
) -> None:
    """Normalize numbers as batch norm or local response norm does."""
    from convnet import concepts

    found = concepts.normalization(parse_numbers(values, "values"), kind)
    emit(found, out, as_json=as_json, default="normalization.svg")


def toeplitz(
    kernel: Annotated[str, typer.Argument(help="1,2,3 for a signal, [[1, 2], [3, 4]] for an image.")],
    input_: Annotated[str, typer.Option("--input", metavar="N[xM]", help="The size of the input.")] = "7",
    stride: Annotated[int, typer.Option(help="The stride.")] = 1,
    padding: Annotated[int, typer.Option(help="Zeros on either end.")] = 0,
    dilation: Annotated[int, typer.Option(help="The dilation.")] = 1,
    out: Picture = None,
    as_json: Json = False,
) -> None:
    """Write a convolution as the matrix of a linear layer."""
    from convnet import concepts

    found = concepts.toeplitz(
        parse_numbers(kernel, "kernel"),
        parse_sizes(input_, "--input"),
        stride=stride,
        padding=padding,
        dilation=dilation,
    )
    emit(found, out, as_json=as_json, default="toeplitz.svg")
