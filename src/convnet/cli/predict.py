"""`convnet predict`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convnet.cli.options import Backend, Json, Precision, print_json

if TYPE_CHECKING:
    from convnet.errors import DataError
    from convnet.outputs import Prediction
    from convnet.prediction import InputFile, NetworkPredictor, Predictor
    from convnet.workflows.batch_prediction import Shard


PADDED = " (zero padding affects single windows at their borders)"


def predict(
    model: Annotated[
        str,
        typer.Argument(
            metavar="RUN|BUNDLE",
            help="The folder of a finished run or a bundle, or the name of a network with ImageNet weights.",
        ),
    ],
    images: Annotated[
        list[str],
        typer.Argument(
            help="Images, folders, patterns, zip archives, shards (.tar) or tables of paths; .csv files for "
            "models trained on tables."
        ),
    ],
    top: Annotated[int, typer.Option(min=1, help="How many classes to print per image.")] = 3,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Where to write: a table of classes (.csv, .parquet), or a file or folder of pictures.",
        ),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option("--page", help="Write a page (.html) with the images, least confident first."),
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
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="With --out: predict the I-th of N parts of the files.")
    ] = None,
    backend: Backend = None,
    precision: Precision = "fp32",
    as_json: Json = False,
) -> None:
    """Predict images: print the most probable classes, or write the predicted masks or images.

    Files that cannot be read are named, and the others are predicted; the exit status is then 1.
    """
    from convnet.workflows.batch_prediction import Shard
    from convnet.workflows.predictors import load_network_predictor, load_predictor

    if dense:
        _require_unused({"--tile": tile, "--page": page}, "does not apply with --dense")
        _print_dense(load_network_predictor(model), [Path(image) for image in images], out, scale, as_json)
        return
    _require_unused({"--scale": scale}, "applies only with --dense")
    loaded = load_predictor(model, backend=backend, precision=precision)
    kind = loaded.kind
    if out is None:
        _require_unused({"--shard": shard}, "applies only with --out and a table")
    part = Shard() if shard is None else Shard.parse(shard)
    job = Job(loaded, loaded.files(images), tile, part, images)
    if loaded.inputs.modality == "series" and kind.columns:
        _require_unused({"--tile": tile, "--page": page, "--shard": shard}, "does not apply to series")
        _write_rows(job, out, as_json)
    elif kind.writes:
        _require_unused({"--page": page, "--shard": shard}, f"does not apply to {kind.name} runs")
        _write_files(job, out, as_json)
    else:
        _require_unused({"--tile": tile}, f"does not apply to {kind.name} runs")
        _print_classes(job, top, out, page, as_json)
    job.finish()


@dataclass
class Job:
    """Files to predict; those that cannot be predicted are named and counted."""

    predictor: Predictor
    files: list[InputFile]
    tile: int | None
    shard: Shard
    sources: list[str]
    failures: list[tuple[InputFile, str]] = field(default_factory=list)
    predicted: int = 0
    failed_earlier: int = 0

    def predictions(self) -> Iterator[Prediction]:
        """The predictions of the files that can be read."""
        found = self.predictor.iter_predictions(self.files, tile=self.tile, failed=self.failed)
        for prediction in found:
            self.predicted += 1
            yield prediction

    def errors(self) -> list[dict[str, str]]:
        """The failures, for JSON."""
        return [{"image": file.location, "error": message} for file, message in self.failures]

    def finish(self) -> None:
        """End with exit status 1 if a file could not be predicted, 2 if none could."""
        if self.failures or self.failed_earlier:
            raise typer.Exit(1 if self.predicted else 2)

    def failed(self, file: InputFile, error: DataError) -> None:
        """Name a file that cannot be predicted."""
        self.failures.append((file, str(error)))
        print(f"convnet: error: {error}", file=sys.stderr)


def _print_classes(job: Job, top: int, out: Path | None, page: Path | None, as_json: bool) -> None:
    """Print classes, or write them to a table, in bounded memory, or to a page."""
    kept: list[Prediction] | None = [] if page is not None or as_json else None
    if out is not None:
        _write_table(job, out, kept)
    else:
        for prediction in job.predictions():
            if kept is None:
                print(prediction.as_text(top))
            else:
                kept.append(prediction)
    if page is not None and kept:
        from convnet.reports.prediction_page import write_prediction_page

        write_prediction_page(page, job.predictor.name, kept, job.files)
    if as_json:
        print_json([*(prediction.as_dict() for prediction in kept or ()), *job.errors()])
    elif kept:
        written = ", ".join(str(path) for path in (out, page) if path is not None)
        print(f"{len(kept):,} predictions  → {written}")


def _write_table(job: Job, out: Path, kept: list[Prediction] | None) -> None:
    from convnet.workflows.batch_prediction import predict_into

    done = predict_into(out, job.predictor, job.files, job.shard, job.failed, kept, job.sources)
    job.predicted, job.failed_earlier = done.predicted, done.failed - len(job.failures)
    if kept is None:
        earlier = f", {done.continued:,} files of an earlier call" if done.continued else ""
        table = f"  → {done.table}" if done.predicted else "; no table is written"
        print(f"{done.predicted:,} predictions{table}{earlier}")


def _print_dense(
    predictor: NetworkPredictor, images: list[Path], out: Path | None, scale: float | None, as_json: bool
) -> None:
    from convnet.reports.dense_figures import write_dense_figure

    rows = []
    for image, target in zip(images, _targets(images, out, "dense"), strict=True):
        found = predictor.dense(image, scale=1.0 if scale is None else scale)
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


def _write_rows(job: Job, out: Path | None, as_json: bool) -> None:
    """Write the rows of all predictions to one CSV file."""
    import csv
    import io

    from convnet.atomic import write_atomically

    predictions = list(job.predictions())
    if as_json:
        print_json([*(prediction.as_dict() for prediction in predictions), *job.errors()])
        return
    if not predictions:
        return
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(job.predictor.kind.columns)
    rows = [row for prediction in predictions for row in prediction.rows()]
    writer.writerows(rows)
    target = out or Path(f"{job.files[0].path.stem}-steps.csv")
    write_atomically(target, text.getvalue())
    print(f"{len(predictions):,} series, {len(rows):,} steps  → {target}")


def _write_files(job: Job, out: Path | None, as_json: bool) -> None:
    """Write the files of each prediction next to each other."""
    from convnet.atomic import write_atomically

    images = [file.path for file in job.files]
    first, *others = job.predictor.kind.writes.items()
    places: dict[str, dict[str, Path]] = {}
    for file, target in zip(job.files, _targets(images, out, first[1]), strict=True):
        stem = target.stem.removesuffix(f"-{first[1]}")
        beside = {key: target.with_name(f"{stem}-{word}.png") for key, word in others}
        places[file.location] = {first[0]: target, **beside}
    _require_apart(images, [path for place in places.values() for path in place.values()])
    rows = []
    for prediction in job.predictions():
        place = places[prediction.location]
        for key, content in prediction.files().items():
            write_atomically(place[key], content)
        rows.append({**prediction.as_dict(), **{key: str(path) for key, path in place.items()}})
        if not as_json:
            print(f"{prediction.as_text(1)}  → {', '.join(map(str, place.values()))}")
    if as_json:
        print_json([*rows, *job.errors()])


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
            "two images would be written to one file, or an input would be overwritten; choose another "
            "folder with --out, and predict images of the same name one folder at a time"
        )


def _require_unused(options: dict[str, object], why: str) -> None:
    from convnet.errors import RecipeError

    for name, value in options.items():
        if value is not None:
            raise RecipeError(f"{name} {why}")
