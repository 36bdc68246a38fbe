"""The page of a layer table."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from convnet.analysis.html import fragment
from convnet.analysis.table import LayerTable
from convnet.atomic import write_atomically
from convnet.reports.architecture import architecture, rendered
from convnet.reports.html import render


def write_summary_page(table: LayerTable, path: Path) -> None:
    """Write a self-contained HTML page: totals, the picture of the volumes, the table.

    Raises:
        RunError: the file cannot be written.
    """
    picture = rendered(architecture(table), "png") if len(table.input) == 3 else None
    # The fragment has escaped its texts itself.
    content = Markup(fragment(table))
    write_atomically(path, render("summary.html", table=table, picture=picture, content=content))
