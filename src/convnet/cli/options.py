"""Options that several commands share, and what they turn into."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer


def configured(name: str) -> Callable[[Any], Any]:
    """A callback that puts an option into the settings, which hold until the command ends."""

    def callback(value: Any) -> Any:
        from convnet.settings import configure

        if value is not None:
            configure(**{name: value})
        return value

    return callback


MOST_THREADS = 1_000_000

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        callback=configured("data_dir"),
        help="The folder that is searched first for named data sets, with one subfolder per set.",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a field of the recipe; repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Device = Annotated[
    str | None,
    typer.Option(callback=configured("device"), help="cpu, cuda or mps. Default: the fastest available."),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MOST_THREADS,
        callback=configured("threads"),
        help="Threads for tensor arithmetic. Default: OMP_NUM_THREADS, or one per core.",
    ),
]
Epochs = Annotated[int | None, typer.Option(help="Passes over the training images.")]
Label = Annotated[str | None, typer.Option(help="The column of a table that holds the labels.")]
Labels = Annotated[
    Literal["classification", "multi-label", "segmentation", "image-to-image"] | None,
    typer.Option(
        "--task", help="What belongs to an image: a class, labels, a mask, an image. Default: found."
    ),
]
Backend = Annotated[
    Literal["onnxruntime", "openvino", "torch"] | None,
    typer.Option(help="What computes a bundle. Default: the fastest that is installed."),
]
Precision = Annotated[
    Literal["fp32", "int8"],
    typer.Option(help="int8 for bundles that were exported with --quantize int8."),
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder to write; default: below runs/.")]


def data_options(assignments: list[str] | None, **fields: Any) -> dict[str, Any]:
    """The fields of a recipe's `data` section, for commands that read data and train nothing.

    Raises:
        RecipeError: `--set` names a field of another section.
    """
    return {**section_options(assignments, "data")["data"], **fields}


def section_options(assignments: list[str] | None, *sections: str) -> dict[str, dict[str, Any]]:
    """The fields of some sections of a recipe that `--set` names, by section.

    Raises:
        RecipeError: `--set` names a field of another section.
    """
    from convnet.errors import RecipeError

    found: dict[str, dict[str, Any]] = {section: {} for section in sections}
    for name, value in overrides(assignments).items():
        section, dot, field = name.partition(".")
        if not dot or section not in found:
            known = " and ".join(sections)
            raise RecipeError(f"--set {name}: only fields of {known} apply here, such as data.colors")
        found[section][field] = value
    return found


def overrides(assignments: list[str] | None, **fields: Any) -> dict[str, Any]:
    """`--set` assignments and the options that stand for a field; options not given do not count.

    Raises:
        RecipeError: A field is set to two values.
    """
    from convnet.recipes.overrides import parse_assignments, set_once

    given = {key: value for key, value in fields.items() if value is not None}
    for field, value in parse_assignments(assignments or []).items():
        set_once(given, field, value)
    return given


def print_json(content: Any) -> None:
    """Machine-readable output, on standard output."""
    json.dump(content, sys.stdout, indent=2, ensure_ascii=False)
    print()
