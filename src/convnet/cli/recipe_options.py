"""The options of `train` that stand for fields of a recipe; other commands take them as well."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from convnet.cli.options import DataDir, Device, Epochs, Label, Set, Threads, overrides

FIELDS = {
    "task": "task",
    "label": "data.label",
    "model": "model",
    "weights": "weights.source",
    "minutes": "minutes",
    "optimizer": "optimizer",
    "lr": "optimizer.lr",
    "epochs": "epochs",
    "batch_size": "batch_size",
    "image_size": "preprocess.image_size",
    "augment": "augment",
    "balance": "balance",
    "allow_truncated": "preprocess.allow_truncated",
    "precision": "precision",
    "seed": "seed",
}
"""The field that each option sets."""


def _options(
    *,
    task: Annotated[
        str | None,
        typer.Option(help="Task: classification, multi-label, segmentation, denoise, reconstruct, …"),
    ] = None,
    label: Label = None,
    model: Annotated[
        str | None, typer.Option(help="Network, 'features -> model', or package.module:factory.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Initial weights: a file, a run, a URL, hf:owner/name/file, or imagenet."),
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Start from random weights, also for photos.")
    ] = False,
    minutes: Annotated[
        float | None, typer.Option(help="Time limit of the whole run; the best epoch so far is kept.")
    ] = None,
    optimizer: Annotated[str | None, typer.Option(help="Optimizer, with its default options.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    epochs: Epochs = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per update.")] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side of the square that images are resized to, in pixels.")
    ] = None,
    augment: Annotated[
        str | None, typer.Option(help="Augmentation: none, light, standard or strong.")
    ] = None,
    balance: Annotated[
        str | None, typer.Option(help="Rare classes: none, weights, sampler or focal.")
    ] = None,
    allow_truncated: Annotated[
        bool, typer.Option("--allow-truncated", help="Use truncated images as far as they can be decoded.")
    ] = False,
    precision: Annotated[str | None, typer.Option(help="auto, fp32 or bf16.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Random seed of weights, order, augmentation and dropout.")
    ] = None,
    set_: Set = None,
    data_dir: DataDir = None,
    device: Device = None,
    threads: Threads = None,
) -> None:
    """The options, for their names, types and help."""


def with_recipe_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a recipe.

    Args:
        command: A command with a parameter `changes`, which receives the fields that were set.

    Returns:
        The command with further options in place of `changes`.
    """
    own = [p for p in _parameters(command) if p.name != "changes"]
    shared = _parameters(_options)
    names = {parameter.name for parameter in shared}

    @functools.wraps(command)
    def run(**given: Any) -> None:
        options = {name: given.pop(name) for name in names}
        command(**given, changes=_changes(options))

    signature = inspect.Signature([*(p.replace(kind=p.KEYWORD_ONLY) for p in own), *shared])
    run.__signature__ = signature  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return run


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(function, eval_str=True).parameters.values())


def _changes(options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that options set; those not given do not count."""
    given = {
        FIELDS[name]: value
        for name, value in options.items()
        if name in FIELDS and value is not None and value is not False
    }
    changes = overrides(options["set_"], **given)
    if options["from_scratch"]:
        from convnet.recipes.overrides import set_once
        from convnet.recipes.weights import Weights

        set_once(changes, "weights", None)
        if others := [f for f in changes if f.startswith("weights.") or f in Weights.model_fields]:
            from convnet.errors import RecipeError

            raise RecipeError(f"--from-scratch and {others[0]} exclude each other; use one of them")
    return changes
