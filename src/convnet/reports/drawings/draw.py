"""Write the picture of a worked example."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from convnet import concepts
from convnet.analysis import Equivariance
from convnet.atomic import require_picture, write_atomically
from convnet.explain.arithmetic import Unit
from convnet.reports.drawings.activation_figure import activation_figure
from convnet.reports.drawings.descent_figure import descent_figure
from convnet.reports.drawings.expression_figure import expression_figure
from convnet.reports.drawings.field_figure import field_figure
from convnet.reports.drawings.filtering_figure import filtering_figure
from convnet.reports.drawings.first_layers_figure import first_layers_figure
from convnet.reports.drawings.histogram_figure import histogram_figure
from convnet.reports.drawings.matrix_figure import matrix_figure
from convnet.reports.drawings.normalization_figure import normalization_figure
from convnet.reports.drawings.pooling_figure import pooling_figure
from convnet.reports.drawings.regularization_figure import regularization_figure
from convnet.reports.drawings.score_figure import score_figure
from convnet.reports.drawings.signal_figure import signal_figure
from convnet.reports.drawings.window_figure import window_figure
from convnet.reports.figures import draw_equivariance
from convnet.reports.style import plain_style, to_png, to_svg
from convnet.reports.unit_figure import products_figure

FIGURES: dict[type, Callable[[Any], Figure]] = {
    concepts.ActivationCurves: activation_figure,
    concepts.Arithmetic: window_figure,
    concepts.ColorHistograms: histogram_figure,
    concepts.ComputationGraph: expression_figure,
    concepts.Descent: descent_figure,
    Equivariance: lambda found: draw_equivariance({"last maps": found}),
    concepts.Filtering: filtering_figure,
    concepts.FirstLayers: first_layers_figure,
    concepts.Normalization: normalization_figure,
    concepts.Pooling: pooling_figure,
    concepts.ReceptiveFields: field_figure,
    concepts.Regularization: regularization_figure,
    concepts.ScoreLoss: score_figure,
    concepts.Signals: signal_figure,
    concepts.ToeplitzMatrix: matrix_figure,
    Unit: products_figure,
}
"""The figure of each kind of result."""


def draw(concept: concepts.Concept, path: str | Path) -> Path:
    """Draw a worked example.

        >>> import convnet
        >>> convnet.draw(convnet.concepts.arithmetic(7, 3, stride=2), "window.svg")  # doctest: +SKIP

    Args:
        concept: The result of a function of `convnet.concepts`.
        path: The .svg, .png or .pdf file to write.

    Returns:
        The path.

    Raises:
        RunError: The file cannot be written, or has another suffix.
        ConvnetError: The example is too large to draw.
    """
    path = Path(path)
    require_picture(path, *_CONTENT)
    picture = FIGURES[type(concept)](concept)
    write_atomically(path, _CONTENT[path.suffix.lower()](picture))
    return path


def _to_pdf(picture: Figure) -> bytes:
    content = io.BytesIO()
    with plain_style():
        picture.savefig(content, format="pdf", metadata={"CreationDate": None})
    return content.getvalue()


_CONTENT: dict[str, Callable[[Figure], bytes]] = {".svg": to_svg, ".png": to_png, ".pdf": _to_pdf}
