"""Render templates to self-contained HTML pages."""

from __future__ import annotations

import base64
from typing import Any

import jinja2

from convnet.analysis.render import human
from convnet.analysis.table import UNKNOWN

WORDS = {
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1 (threshold 0.5)",
    "map": "mean average precision",
    "tuned_f1": "F1 (tuned thresholds)",
    "macro_f1": "mean F1 of the labels",
    "label_f1": "F1",
    "mean_iou": "mean IoU",
    "mean_dice": "mean Dice",
    "iou": "IoU",
    "dice": "Dice",
    "psnr": "PSNR",
    "ssim": "SSIM",
    "input_psnr": "input PSNR",
    "input_ssim": "input SSIM",
}


def figure(value: float | int | None, key: str) -> str:
    """A value as text: percent for fractions, dB for PSNR, whole numbers for counts."""
    if value is None:
        return "–"
    if key.endswith("psnr"):
        return f"{value:.2f} dB"
    if key.endswith(("accuracy", "iou", "dice", "f1", "map")):
        return f"{value:.2%}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def suffix_of(picture: bytes) -> str:
    """The suffix of a PNG or SVG file, by its content."""
    return "png" if picture.startswith(b"\x89PNG") else "svg"


def _data_uri(picture: bytes) -> str:
    """A PNG or SVG file as an address."""
    kind = {"png": "png", "svg": "svg+xml"}[suffix_of(picture)]
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def render(template: str, **values: Any) -> str:
    """Fill a template of `reports/templates`; all values are escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("convnet.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda x: "–" if x is None else f"{x:.2%}"
    environment.filters["decimal"] = lambda x: "–" if x is None else f"{x:.3f}"
    environment.filters["number"] = lambda x: (
        "–" if x is None else f"{x:,.4g}" if isinstance(x, float) else f"{x:,}"
    )
    environment.filters["quantity"] = lambda x, unit="": UNKNOWN if x is None else human(x, unit)
    environment.filters["words"] = lambda key: WORDS.get(key, key.replace("_", " "))
    environment.filters["figure"] = figure
    environment.filters["data_uri"] = _data_uri
    return environment.get_template(template).render(**values)
