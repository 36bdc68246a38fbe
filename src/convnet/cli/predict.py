"""`convnet predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convnet.cli.options import Json, print_json

if TYPE_CHECKING:
    from convnet.workflows import Run


PADDED = ": the network pads its input with zeros, which single windows see at their borders"


def predict(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.")],
    images: Annotated[list[Path], typer.Argument(help="Image files; tables (.csv) for a run of a table.")],
    top: Annotated[int, typer.Option(min=1, help="How many classes to print per image.")] = 3,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Where to write masks and images: a file, or a folder for several."),
    ] = None,
    tile: Annotated[
        int | None, typer.Option(min=1, help="Compute large images in tiles of so many pixels a side.")
    ] = None,
    dense: Annotated[
        bool,
        typer.Option(
            "--dense", help="Run a classifier over whole photos: a map of classes, drawn over them."
        ),
    ] = False,
    scale: Annotated[
        float | None, typer.Option(help="With --dense: resize the photo by this factor first.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the most probable classes of images, or write the masks or images that the run makes of them."""
    from convnet.types import OF_SAMPLES
    from convnet.workflows import load_run

    loaded = load_run(run)
    if dense:
        _require_unused({"--tile": tile}, loaded, "does not go with --dense")
        _print_dense(loaded, images, out, scale, as_json)
        return
    _require_unused({"--scale": scale}, loaded, "goes with --dense")
    if loaded.task.target in OF_SAMPLES:
        _require_unused({"--out": out, "--tile": tile}, loaded, f"is not for a run of {loaded.task.name}")
        _print_classes(loaded, images, top, as_json)
        return
    if loaded.modality == "series":
        _require_unused({"--tile": tile}, loaded, "is not for series")
        _write_steps(loaded, images, out, as_json)
        return
    rows = (
        _write_masks(loaded, images, out, tile)
        if loaded.task.target == "mask"
        else _write_images(loaded, images, out, tile)
    )
    if as_json:
        print_json(rows)
        return
    for row in rows:
        shares = "".join(f"  {name} {share:.1%}" for name, share in row.get("classes", {}).items())
        written = ", ".join(row[key] for key in ("mask", "overlay", "made") if key in row)
        print(f"{row['image']}{shares}  → {written}")


def _print_dense(run: Run, images: list[Path], out: Path | None, scale: float | None, as_json: bool) -> None:
    rows = []
    for image, target in zip(images, _targets(images, out, "dense"), strict=True):
        found = run.predict_dense(image, scale=1.0 if scale is None else scale)
        found.draw(target)
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
            f"in {found.seconds:.2f} s; one by one {found.patch_seconds:.1f} s, "
            f"{found.patch_seconds / found.seconds:.0f} times as long"
        )
        print(
            f"  largest difference to single windows {found.difference:.1e}{PADDED if found.padded else ''}"
        )
        print(f"  picture {target}")
    if as_json:
        print_json(rows)


def _print_classes(run: Run, images: list[Path], top: int, as_json: bool) -> None:
    predictions = run.predict(images)
    if as_json:
        print_json(
            [
                {
                    "image": p.path,
                    **({"class": p.classes[0]} if run.task.target == "class" else {"labels": p.said}),
                    "probabilities": dict(zip(p.classes, p.probabilities, strict=True)),
                }
                for p in predictions
            ]
        )
        return
    for prediction in predictions:
        best = list(zip(prediction.classes, prediction.probabilities, strict=True))[:top]
        said = "" if run.task.target == "class" else f"[{', '.join(prediction.said)}]  "
        print(f"{prediction.path}  {said}" + "  ".join(f"{name} {share:.1%}" for name, share in best))


def _write_steps(run: Run, files: list[Path], out: Path | None, as_json: bool) -> None:
    """A row per step, in a CSV file."""
    import csv
    import io

    from convnet.atomic import write_atomically

    found = list(run.predict_steps(files))
    if as_json:
        print_json([{"series": series.place, "steps": series.classes} for series in found])
        return
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(["series", "step", "class"])
    writer.writerows((s.place, i, name) for s in found for i, name in enumerate(s.classes))
    target = out or Path(f"{files[0].stem}-steps.csv")
    write_atomically(target, text.getvalue())
    print(f"{len(found):,} series, {sum(len(s.classes) for s in found):,} steps  → {target}")


def _write_masks(run: Run, images: list[Path], out: Path | None, tile: int | None) -> list[dict[str, Any]]:
    from convnet.atomic import write_atomically

    rows = []
    targets = _targets(images, out, "mask")
    _require_apart(images, [*targets, *map(_overlay, targets)])
    for mask, target in zip(run.predict_masks(images, tile=tile), targets, strict=True):
        overlay = _overlay(target)
        write_atomically(target, mask.png())
        write_atomically(overlay, mask.overlay_png())
        rows.append(
            {"image": mask.path, "mask": str(target), "overlay": str(overlay), "classes": mask.shares}
        )
    return rows


def _overlay(target: Path) -> Path:
    return target.with_name(f"{target.stem.removesuffix('-mask')}-overlay.png")


def _write_images(run: Run, images: list[Path], out: Path | None, tile: int | None) -> list[dict[str, Any]]:
    from convnet.atomic import write_atomically

    rows = []
    targets = _targets(images, out, run.task.name)
    for made, target in zip(run.predict_images(images, tile=tile), targets, strict=True):
        write_atomically(target, made.png())
        rows.append({"image": made.path, "made": str(target)})
    return rows


def _targets(images: list[Path], out: Path | None, word: str) -> list[Path]:
    """The PNG file for each image: `out` itself, or NAME-WORD.png in the folder `out` or the current one.

    Raises:
        RecipeError: a file would be written over an image, or two images to one file.
    """
    from convnet.errors import RecipeError

    single = out is not None and out.suffix.lower() == ".png" and not out.is_dir()
    if single and len(images) > 1:
        raise RecipeError(f"--out {out}: a file for {len(images)} images; name a folder")
    if out is not None and out.suffix and not single and not out.is_dir():
        raise RecipeError(f"--out {out}: pictures are written as .png; name such a file, or a folder")
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
            "two images would be written to one file, or over an image; choose a folder with --out"
        )


def _require_unused(options: dict[str, object], run: Run, why: str) -> None:
    from convnet.errors import RecipeError

    for name, value in options.items():
        if value is not None:
            raise RecipeError(f"{name} {why} ({run.path})")
