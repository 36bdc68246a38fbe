"""`convnet summary`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from convnet.cli.options import Json, Set, print_json

if TYPE_CHECKING:
    from torch import nn

    from convnet.analysis import LayerTable
    from convnet.types import ImageShape

LARGEST_SIZE = 65_536
MOST_CLASSES, MOST_IMAGES = 1_000_000, 1_000_000


def summary(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL…",
            help="Network, a pattern of layers, package.module:factory, or a run. "
            "Several: their totals side by side.",
        ),
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
        int | None,
        typer.Option(
            min=1, help="Levels of nested blocks. Default: as many as fit in 60 rows or the picture."
        ),
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="Show one block in the picture: --layer inception3a.")
    ] = None,
    set_: Set = None,
    as_json: Json = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write an HTML page with collapsible blocks.")] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw the network: .svg, .pdf or .png. Several networks: as columns.")
    ] = None,
    style: Annotated[
        Literal["volumes", "graph"] | None,
        typer.Option(
            "--picture-style",
            help="volumes: boxes to scale; graph: branches, skip connections and nested blocks. "
            "Default: volumes for chains of layers, graph for others.",
        ),
    ] = None,
) -> None:
    """Print the layer table: sizes, parameters, memory, multiply-accumulates, receptive fields.

    Nothing is trained or allocated. Strides that leave pixels unused are listed below the table. A picture
    includes auxiliary heads, which only training uses.
    """
    from convnet.errors import ModelError

    if as_json and as_markdown:
        raise ModelError("choose one of --json and --markdown")
    if picture is not None and picture == html:
        raise ModelError(f"--html {html}: the picture has the same name; choose another")
    if picture is None and (style or layer):
        raise ModelError(f"{'--picture-style' if style else '--layer'} applies to --picture only")
    tables = [_table(model, input_, classes, batch, set_) for model in models]
    if len(models) > 1:
        if layer or style or html or as_markdown or depth:
            raise ModelError("of several networks only the totals, --json and --picture are available")
        _print_totals(tables, picture, as_json)
        return
    ((table, network),) = tables
    if picture:
        _draw(table, network, picture, style, layer, depth)
    if html:
        from convnet.reports.architecture import write_summary_page

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


def _table(
    model: str, input_: str | None, classes: int | None, batch: int, set_: list[str] | None
) -> tuple[LayerTable, nn.Module]:
    """The layer table of a network, and the network without memory."""
    import torch

    from convnet.analysis import summary as summarize
    from convnet.errors import ModelError
    from convnet.layers import Fitted
    from convnet.models import MODELS, build_model, named_model

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
        return summarize(network, shape, name=model, batch_size=batch), network
    except ModelError as error:
        if input_ or facts:
            raise
        raise ModelError(f"{error} (without --input, for images of 3x224x224)") from None


def _draw(
    table: LayerTable, network: nn.Module, path: Path, style: str | None, layer: str | None, depth: int | None
) -> None:
    """Draw volumes, or the graph in training mode if only that uses all layers."""
    from convnet.analysis import summary as summarize
    from convnet.analysis.graph import network_graph
    from convnet.reports.architecture import draw_architecture, write_picture
    from convnet.reports.network_graph import network_figure

    whole = summarize(network, table.input, name=table.model, training=True) if table.unused else table
    graph = network_graph(whole, depth=depth, block=layer)
    if style == "volumes" or (style is None and layer is None and graph.is_chain and len(table.input) == 3):
        draw_architecture(table, path)
    else:
        write_picture(network_figure(graph), path)


def _print_totals(tables: list[tuple[LayerTable, nn.Module]], picture: Path | None, as_json: bool) -> None:
    """The totals of several networks side by side."""
    from convnet.analysis.render import by, human
    from convnet.concepts.concept import table as aligned

    if picture:
        from convnet.reports.architecture import write_picture
        from convnet.reports.network_columns import columns_figure

        write_picture(columns_figure([table for table, _ in tables]), picture)
    if as_json:
        print_json([table.to_dict() for table, _ in tables])
        return
    rows = [("network", "input", "parameters", "MACs", "forward memory", "layers with weights")]
    for table, _ in tables:
        layers = sum(1 for layer in table.layers if layer.parameters and "Norm" not in layer.type)
        figures = (f"{table.parameters:,}", human(table.macs), human(table.forward_bytes, "B"), str(layers))
        rows.append((table.model, by(table.input), *figures))
    print(aligned(rows))
    if picture:
        print(picture)


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
