"""`convnet export`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from convnet.cli.options import DataDir, Json, print_json

if TYPE_CHECKING:
    from convnet.export import Bundle
    from convnet.workflows.export import Export


def export(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run; with --tune also of a bundle.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The folder to write. Default: bundles/NAME.")
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="A further format: onnx, or pt2 (torch.export); repeatable."),
    ] = None,
    quantize: Annotated[
        Literal["int8"] | None, typer.Option(help="Add an int8 model, calibrated on training samples.")
    ] = None,
    max_drop: Annotated[
        float, typer.Option(min=0, max=1, help="The largest loss of the main metric by int8.")
    ] = 0.01,
    with_resize: Annotated[
        bool, typer.Option("--with-resize", help="Add an ONNX model that resizes whole images itself.")
    ] = False,
    tune: Annotated[
        bool, typer.Option("--tune", help="Measure the backends on this machine and use the fastest here.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="The name of the model. Default: that of the run.")] = None,
    model_version: Annotated[
        str | None, typer.Option(help="The version of the model. Default: a checksum of its weights.")
    ] = None,
    license_name: Annotated[
        str | None, typer.Option("--license", help="The license of the weights, for the model card.")
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Export a trained network as a bundle: a folder that predicts the same everywhere.

    Every exported model is compared with the network on held-out samples. If it predicts differently, or if
    int8 costs more than --max-drop, nothing is written.
    """
    from convnet.errors import RecipeError
    from convnet.export import is_bundle
    from convnet.workflows.bundle_run import load_any_run
    from convnet.workflows.export import export_run

    if is_bundle(run) and tune and out is None:
        others = (formats, quantize, with_resize or None, name, model_version, license_name)
        if any(other is not None for other in others):
            raise RecipeError("--tune of a bundle takes no other options; pass --out to export it again")
        rows = _tuned(run)
        if as_json:
            print_json({"bundle": str(run), "tuning": rows})
        else:
            _print_tuning(rows)
        return
    done = export_run(
        load_any_run(run),
        out,
        formats=formats or (),
        quantize=quantize is not None,
        max_drop=max_drop,
        with_resize=with_resize,
        facts={"name": name, "version": model_version, "license": license_name},
    )
    rows = _tuned(done.bundle.path) if tune else []
    if as_json:
        print_json({**done.as_dict(), **({"tuning": rows} if tune else {})})
        return
    _print_export(done)
    if tune:
        _print_tuning(rows)


def _print_export(done: Export) -> None:
    bundle, score = done.bundle, done.measured.run.task.score
    evaluation = done.measured.evaluation
    print(f"bundle  {bundle.path}")
    print(f"  {score.label} {score.show(evaluation.score)} (n = {len(evaluation):,})")
    for name in sorted(bundle.checksums):
        if not name.startswith("record/"):
            print(f"  {name:<20} {(bundle.path / name).stat().st_size:>13,} bytes{_checked(bundle, name)}")


def _checked(bundle: Bundle, name: str) -> str:
    """What was measured about a file."""
    entry = bundle.manifest.formats.get(name)
    if entry is None:
        return ""
    if entry.quantized is not None:
        cost = entry.quantized
        return (
            f"   {cost.score} {cost.fp32:.4f} → {cost.int8:.4f} (n = {cost.samples:,}), "
            f"{cost.smaller} times as small, {cost.faster} times as fast"
        )
    if entry.parity is None:
        return ""
    parity = entry.parity
    same = "" if parity.top1_equal is None else f"{parity.top1_equal:,} have the same classes, "
    return f"   {same}largest difference {parity.max_difference:.1e} (n = {parity.images:,})"


def _tuned(path: Path) -> list[dict[str, object]]:
    """Measure the backends for every precision of a bundle."""
    from convnet.export import load_bundle
    from convnet.export.bundle import INT8
    from convnet.export.tuning import tune

    precisions = ("fp32", "int8") if load_bundle(path).has(INT8) else ("fp32",)
    return [
        {"precision": precision, **asdict(choice)}
        for precision in precisions
        for choice in tune(load_bundle(path, precision=precision))
    ]


def _print_tuning(rows: list[dict[str, Any]]) -> None:
    print("\nbackends on this machine; the first of each precision is used from now on")
    print(f"  {'precision':<10} {'backend':<12} threads  graph     {'one sample':>11}   a batch")
    for row in rows:
        print(
            f"  {row['precision']:<10} {row['backend']:<12} {row['threads']:>7}  {row['graph']:<9} "
            f"{1000 * row['seconds']:>8.2f} ms   {1000 * row['batch_seconds']:.1f} ms for {row['batch']}"
        )
