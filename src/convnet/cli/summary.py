"""`convnet summary`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convnet.cli.options import Json, Set, print_json

if TYPE_CHECKING:
    from convnet.types import ImageShape

LARGEST_SIZE = 65_536
MOST_CLASSES, MOST_IMAGES = 1_000_000, 1_000_000


def summary(
    model: Annotated[
        str, typer.Argument(help="Network, a pattern of layers, package.module:factory, or a run.")
    ],
    input_: Annotated[
        str | None,
        typer.Option("--input", metavar="CxHxW", help="Shape of an image; default: the network's own."),
    ] = None,
    classes: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_CLASSES, help="Number of classes; default: the network's own."),
    ] = None,
    batch: Annotated[
        int, typer.Option(min=1, max=MOST_IMAGES, help="Batch size for the memory columns.")
    ] = 1,
    depth: Annotated[
        int | None, typer.Option(min=1, help="Levels of nested blocks. Default: as many as fit in 60 rows.")
    ] = None,
    set_: Set = None,
    as_json: Json = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write an HTML page with collapsible blocks.")] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw the volumes as boxes: .svg, .pdf or .png.")
    ] = None,
) -> None:
    """Print the layer table: sizes, parameters, memory, multiply-accumulates, receptive fields.

    Nothing is trained or allocated. Strides that leave pixels unused are listed below the table.
    """
    import torch

    from convnet.analysis import summary as summarize
    from convnet.errors import ModelError
    from convnet.layers import Fitted
    from convnet.models import MODELS, build_model, named_model

    if as_json and as_markdown:
        raise ModelError("choose one of --json and --markdown")
    if os.path.exists(f"{model}/run.json"):  # noqa: PTH110 (a pattern may be too long for a path)
        model, set_, shape, classes = _of_run(Path(model), set_, input_, classes)
    else:
        shape = None
    facts = MODELS.facts(name) if (name := named_model(model)["name"]) in MODELS else None
    if shape is None:
        shape = _shape(input_) if input_ else facts.native if facts else _shape("3x224x224")
    with torch.device("meta"):
        network = build_model(model, shape, classes or (facts.num_classes if facts else 10), **_options(set_))
    if any(isinstance(module, Fitted) for module in network.modules()):
        raise ModelError(f"{model}: a model fitted to data has no layer table; see 'convnet models show'")
    try:
        table = summarize(network, shape, name=model, batch_size=batch)
    except ModelError as error:
        if input_ or facts:
            raise
        raise ModelError(f"{error} (without --input, for images of 3x224x224)") from None
    if html or picture:
        from convnet.reports.architecture import draw_architecture, write_summary_page

        if picture:
            draw_architecture(table, picture)
        if html:
            write_summary_page(table, html)
    if as_json:
        print_json(table.to_dict())
    elif as_markdown:
        from convnet.analysis.render import markdown

        print(markdown(table))
    else:
        from rich.console import Console

        from convnet.analysis.render import terminal

        console = Console(highlight=False, soft_wrap=False)
        console.print(terminal(table, console.width, depth))
        for path in (picture, html):
            if path:
                print(path)


def _of_run(
    path: Path, set_: list[str] | None, input_: str | None, classes: int | None
) -> tuple[str, list[str], ImageShape, int]:
    """The network, its options, its images and its outputs, as a run has them."""
    import json

    from convnet.errors import RecipeError
    from convnet.types import ImageShape
    from convnet.workflows import load_run

    if set_ or classes:
        raise RecipeError("--set and --classes do not apply to a run")
    run = load_run(path)
    options = [f"model.{key}={json.dumps(value)}" for key, value in run.recipe.model.options.items()]
    shape = _shape(input_) if input_ else ImageShape(*run.data["shape"])
    return run.recipe.model.name, options, shape, run.data.get("outputs") or len(run.classes)


def _shape(text: str) -> ImageShape:
    """3x224x224 → (3, 224, 224)."""
    from convnet.errors import ModelError
    from convnet.types import ImageShape

    if not (found := re.fullmatch(r"(\d{1,6})[x×,](\d{1,6})[x×,](\d{1,6})", text.strip())):
        raise ModelError(f"--input '{text}': expected channels x height x width, e.g. 3x224x224")
    shape = ImageShape(*map(int, found.groups()))
    if not all(1 <= size <= LARGEST_SIZE for size in shape):
        raise ModelError(f"--input '{text}': every size must lie between 1 and {LARGEST_SIZE:,}")
    return shape


def _options(assignments: list[str] | None) -> dict[str, Any]:
    """`--set model.width=32` → {"width": 32}."""
    from convnet.errors import RecipeError
    from convnet.recipes.overrides import parse_assignments

    options = parse_assignments(assignments or [])
    for key in options:
        if not key.startswith("model."):
            raise RecipeError(f"--set {key}: only options of the network apply here, e.g. model.init=he")
    return {key.removeprefix("model."): value for key, value in options.items()}
