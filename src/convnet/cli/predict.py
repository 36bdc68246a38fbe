"""`convnet predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convnet.cli.options import Json, print_json

if TYPE_CHECKING:
    from convnet.workflows import Run


PADDED = " (zero padding affects single windows at their borders)"


def predict(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.")],
    images: Annotated[
        list[Path], typer.Argument(help="Image files, or .csv files for models trained on tables.")
    ],
    top: Annotated[int, typer.Option(min=1, help="How many classes to print per image.")] = 3,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Where to write masks and images: a file, or a folder for several."),
    ] = None,
    tile: Annotated[
        int | None, typer.Option(min=1, help="Compute large images in tiles of N×N pixels.")
    ] = None,
    dense: Annotated[
        bool,
        typer.Option(
            "--dense", help="Apply a classifier at every position of a photo and draw the map of classes."
        ),
    ] = False,
    scale: Annotated[
        float | None, typer.Option(help="With --dense: resize the photo by this factor first.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Predict images: print the most probable classes, or write the predicted masks or images."""
    from convnet.workflows import load_run

    loaded = load_run(run)
    task = loaded.task
    if dense:
        _require_unused({"--tile": tile}, "does not apply with --dense")
        _print_dense(loaded, images, out, scale, as_json)
        return
    _require_unused({"--scale": scale}, "applies only with --dense")
    if loaded.modality == "series" and task.columns:
        _require_unused({"--tile": tile}, "does not apply to series")
        _write_rows(loaded, images, out, as_json)
        return
    if not task.writes:
        _require_unused({"--out": out, "--tile": tile}, f"does not apply to {task.name} runs")
        predictions = loaded.predict(images)
        if as_json:
            print_json([prediction.as_dict() for prediction in predictions])
            return
        for prediction in predictions:
            print(prediction.as_text(top))
        return
    _write_files(loaded, images, out, tile, as_json)


def _print_dense(run: Run, images: list[Path], out: Path | None, scale: float | None, as_json: bool) -> None:
    from convnet.reports.dense_figures import write_dense_figure

    rows = []
    for image, target in zip(images, _targets(images, out, "dense"), strict=True):
        found = run.predict_dense(image, scale=1.0 if scale is None else scale)
        write_dense_figure(found, target)
        rows.append(
            {
                "image": found.path,
                "picture": str(target),
                "classes": found.shares,
                "map": list(found.probabilities.shape[1:]),
                "window": list(found.window),
                "stride": found.stride,
                "largest_difference": found.difference,
                "seconds": found.seconds,
                "patch_by_patch_seconds": found.patch_seconds,
            }
        )
        if as_json:
            continue
        height, width = found.probabilities.shape[1:]
        shares = sorted(found.shares.items(), key=lambda item: -item[1])[:5]
        print(f"{found.path}  " + "  ".join(f"{name} {share:.1%}" for name, share in shares if share))
        print(
            f"  {height}×{width} windows of {found.window[0]}×{found.window[1]}, {found.stride} apart, "
            f"in {found.seconds:.2f} s; one window at a time {found.patch_seconds:.1f} s, "
            f"{found.patch_seconds / found.seconds:.0f} times as long"
        )
        print(
            f"  largest difference from single windows {found.difference:.1e}{PADDED if found.padded else ''}"
        )
        print(f"  picture {target}")
    if as_json:
        print_json(rows)


def _write_rows(run: Run, files: list[Path], out: Path | None, as_json: bool) -> None:
    """Write the rows of all predictions to one CSV file."""
    import csv
    import io

    from convnet.atomic import write_atomically

    predictions = run.predict(files)
    if as_json:
        print_json([prediction.as_dict() for prediction in predictions])
        return
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(run.task.columns)
    rows = [row for prediction in predictions for row in prediction.rows()]
    writer.writerows(rows)
    target = out or Path(f"{files[0].stem}-steps.csv")
    write_atomically(target, text.getvalue())
    print(f"{len(predictions):,} series, {len(rows):,} steps  → {target}")


def _write_files(run: Run, images: list[Path], out: Path | None, tile: int | None, as_json: bool) -> None:
    """Write the files of each prediction next to each other."""
    from convnet.atomic import write_atomically

    first, *others = run.task.writes.items()
    places: list[dict[str, Path]] = []
    for target in _targets(images, out, first[1]):
        stem = target.stem.removesuffix(f"-{first[1]}")
        beside = {key: target.with_name(f"{stem}-{word}.png") for key, word in others}
        places.append({first[0]: target, **beside})
    _require_apart(images, [path for place in places for path in place.values()])
    rows = []
    for prediction, place in zip(run.predictor.iter_predictions(images, tile=tile), places, strict=True):
        for key, content in prediction.files().items():
            write_atomically(place[key], content)
        rows.append({**prediction.as_dict(), **{key: str(path) for key, path in place.items()}})
        if not as_json:
            print(f"{prediction.as_text(1)}  → {', '.join(map(str, place.values()))}")
    if as_json:
        print_json(rows)


def _targets(images: list[Path], out: Path | None, word: str) -> list[Path]:
    """The PNG file for each image: `out` itself, or NAME-WORD.png in the folder `out` or the current one.

    Raises:
        RecipeError: a file would be written over an image, or two images to one file.
    """
    from convnet.errors import RecipeError

    single = out is not None and out.suffix.lower() == ".png" and not out.is_dir()
    if single and len(images) > 1:
        raise RecipeError(f"--out {out}: one file cannot hold {len(images)} images; pass a folder")
    if out is not None and out.suffix and not single and not out.is_dir():
        raise RecipeError(f"--out {out}: pictures are written as PNG; pass a .png file or a folder")
    if out is not None and single:
        targets = [out]
    else:
        targets = [(out or Path()) / f"{image.stem}-{word}.png" for image in images]
    _require_apart(images, targets)
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
    return targets


def _require_apart(images: list[Path], targets: list[Path]) -> None:
    """Refuse to write two pictures to one file, or one over an image that is read."""
    from convnet.errors import RecipeError

    resolved = [target.resolve() for target in targets]
    if len(set(resolved)) < len(resolved) or {image.resolve() for image in images} & set(resolved):
        raise RecipeError(
            "two images would be written to one file, or an input would be overwritten; "
            "choose a folder with --out"
        )


def _require_unused(options: dict[str, object], why: str) -> None:
    from convnet.errors import RecipeError

    for name, value in options.items():
        if value is not None:
            raise RecipeError(f"{name} {why}")
