"""The model card of a bundle: README.md, for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from convnet.export.bundle import FULL, INT8, ONNX, PROGRAM
from convnet.export.manifest import Manifest

MOST_CLASSES = 1000
"""The largest number of classes in the table."""
ABOUT = {
    ONNX: "the network with normalization, temperature and softmax as ONNX",
    INT8: "the same in int8 arithmetic",
    PROGRAM: "the same as a torch.export program",
    FULL: "the same for whole images: resizing is part of the model",
    "model.safetensors": "the weights",
    "golden.npz": "samples and the outputs of the network for them",
}
RESIZING = {
    "crop": "cropped to the center and resized",
    "stretch": "resized without regard to the aspect ratio",
    "letterbox": "resized with the aspect ratio kept and padded with black",
}


def model_card(manifest: Manifest, files: Iterable[str], facts: Mapping[str, Any]) -> str:
    """The text of the model card.

    Args:
        manifest: The content of bundle.json.
        files: The names of the other files.
        facts: "data", "samples" by split, "split" (how it was made), "figures" (rows of metric, value and
            interval), "measured_on" and "count" (the evaluated split), "classes" (figures by class),
            "calibration" (rows of name and value). What is missing is left out.
    """
    sections = [
        f"# {manifest.name} {manifest.version}\n",
        _summary(manifest),
        _data(manifest, facts),
        _figures(facts),
        _table("Calibration", ("", ""), facts.get("calibration", ())),
        _limits(manifest, facts),
        _use(manifest, files),
        f"## License\n\nWeights: {manifest.license or 'not stated'}. Training data: not stated.\n",
        f"Written by convnet {manifest.convnet} on {manifest.created[:10]}.\n",
    ]
    return "\n".join(section for section in sections if section)


def _summary(manifest: Manifest) -> str:
    network = manifest.network.name if manifest.network else "a network of the user's own"
    given, shape = manifest.inputs, manifest.shape
    lines = [
        f"- Task: {manifest.task.name}",
        f"- Network: {network}, {manifest.parameters:,} parameters",
    ]
    if given.modality == "images":
        size = f"{shape.width}×{shape.height}"
        colors = {1: "gray", 3: "RGB"}.get(shape.channels, f"{shape.channels} channels")
        lines.append(f"- Input: images, {colors}, {RESIZING[given.preprocess.resize]} to {size} pixels")
    elif given.modality == "table":
        lines.append(f"- Input: rows of {len(given.columns)} numbers")
    else:
        length = "any number of" if given.any_length else f"{shape.width}"
        lines.append(f"- Input: series of {length} steps, {shape.channels} values per step")
    if manifest.outputs.classes:
        lines.append(f"- Classes: {len(manifest.outputs.classes)}")
    return "\n".join(lines) + "\n"


def _data(manifest: Manifest, facts: Mapping[str, Any]) -> str:
    if "data" not in facts:
        return ""
    counts = ", ".join(f"{count:,} {name}" for name, count in facts["samples"].items() if count)
    return f"## Data\n\nTrained on {facts['data']}: {counts} samples. {facts['split']}\n"


def _figures(facts: Mapping[str, Any]) -> str:
    rows = facts.get("figures", ())
    if not rows:
        return ""
    title = f"Results on the {facts['measured_on']} split (n = {facts['count']:,})"
    text = _table(title, ("metric", "value", "95% interval"), rows)
    classes = list(facts.get("classes", {}).items())[:MOST_CLASSES]
    if not classes:
        return text
    header = ("class", "precision", "recall", "F1", "support")
    table = [
        (name, *(_share(row.get(key)) for key in ("precision", "recall", "f1")), f"{row['support']:,}")
        for name, row in classes
    ]
    return text + "\n" + _rows(header, table)


def _limits(manifest: Manifest, facts: Mapping[str, Any]) -> str:
    lines = [
        "The figures hold for images like those it was trained on; those of other cameras, places or people "
        "may differ."
    ]
    if manifest.inputs.modality != "images":
        lines = ["The figures hold for samples like those it was trained on."]
    calibration = manifest.outputs.calibration
    if calibration is not None and calibration.unknown is not None:
        rule = calibration.unknown
        lines.append(
            f"A sample is called unknown if its {rule.score} is below {rule.threshold:.4g}; "
            f"{1 - rule.coverage:.1%} of the validation samples are."
        )
    elif manifest.outputs.classes:
        lines.append("Samples of other classes are not recognized; they get one of the classes above.")
    for name, format_ in manifest.formats.items():
        if format_.quantized is not None:
            cost = format_.quantized
            lines.append(
                f"{name}: {cost.score} {cost.int8:.4f}, {cost.fp32:.4f} in fp32 (n = {cost.samples:,})."
            )
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines) + "\n"


def _use(manifest: Manifest, files: Iterable[str]) -> str:
    listed = "\n".join(f"- `{name}`: {ABOUT[name]}" for name in ABOUT if name in files)
    return (
        "## Use\n\n```python\nimport convnet\n\n"
        'convnet.load_bundle("PATH OF THIS FOLDER").predict("photo.jpg")\n```\n\n'
        f"{listed}\n- `bundle.json`: how inputs are prepared and what the outputs mean\n"
        "- `record/`: recipe, split and figures of training\n"
        "- `SHA256SUMS`: checksums; `sha256sum -c SHA256SUMS` compares them\n"
    )


def _table(title: str, header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    listed = list(rows)
    return f"## {title}\n\n{_rows(header, listed)}" if listed else ""


def _rows(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
