"""Render templates to self-contained HTML pages."""

from __future__ import annotations

import base64
import re
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup

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


DESCRIPTIONS = {
    "confusion": "Confusion matrix: counts of true and predicted classes",
    "confusion-percent": "Confusion matrix in percent of the true class",
    "roc": "ROC curves: true positive rate by false positive rate",
    "precision-recall": "Precision by recall",
    "reliability": "Reliability diagram: accuracy by confidence",
    "confidence": "Histogram of the confidence of correct and wrong predictions",
    "coverage": "Accuracy of accepted samples by the fraction that is accepted",
    "robustness": "Accuracy by strength of six corruptions",
    "embeddings-PCA": "Embeddings of held-out samples by principal components, colored by class",
    "embeddings-t-SNE": "Embeddings of held-out samples by t-SNE, colored by class",
    "curve-loss": "Training and validation loss by epoch",
    "curve-steps": "Training loss by step",
    "curve-rates": "Learning rate by step",
    "codes": "Codes of held-out samples, colored by class",
    "maps": "Held-out samples and their predictions",
    "weights": "Learned weights",
}
"""Alternative texts of figures by name."""
HEADING = re.compile(r"<h2>(.*?)</h2>", re.S)


def described(name: str) -> str:
    """The alternative text of a figure."""
    if name.startswith("curve-") and name not in DESCRIPTIONS:
        return f"Training and validation {words(name.removeprefix('curve-'))} by epoch"
    return DESCRIPTIONS.get(name, name)


def words(key: str) -> str:
    """The words of a key."""
    return WORDS.get(key, key.replace("_", " "))


def headings(content: str) -> list[tuple[str, Markup]]:
    """The anchors and titles of the sections of a page."""
    return [(_anchor(title), Markup(title)) for title in HEADING.findall(content)]


def anchored(content: str) -> Markup:
    """A page whose section titles have anchors."""
    return Markup(HEADING.sub(lambda found: f'<h2 id="{_anchor(found[1])}">{found[1]}</h2>', content))


def _anchor(title: str) -> str:
    return re.sub(r"\W+", "-", Markup(title).striptags()).strip("-").lower() or "section"


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
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> jinja2.Environment:
    """The templates and their filters; compiling templates takes longer than filling them."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("convnet.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda x: "–" if x is None else f"{x:.2%}"
    environment.filters["number"] = lambda x: (
        "–" if x is None else f"{x:,.4g}" if isinstance(x, float) else f"{x:,}"
    )
    environment.filters["quantity"] = lambda x, unit="": UNKNOWN if x is None else human(x, unit)
    environment.filters["words"] = words
    environment.filters["described"] = described
    environment.filters["headings"] = headings
    environment.filters["anchored"] = anchored
    environment.filters["figure"] = figure
    environment.filters["data_uri"] = _data_uri
    return environment
