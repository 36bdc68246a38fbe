"""The page of a label review: images whose label is probably wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from convnet.atomic import write_atomically
from convnet.data import Dataset
from convnet.reports import grids
from convnet.reports.html import render
from convnet.reports.thumbnails import Tile, picture_uri

SHOWN = 120
"""The number of suspects that are shown with a picture."""
LISTED = 1000
"""The number of suspects that are listed."""

Row = tuple[int, str, str, str, float, str]
"""Index, path, label, suggested class, doubt and split."""


def write_review_page(folder: Path, run: str, dataset: Dataset, rows: Sequence[Row], reviewed: int) -> Path:
    """Write review.html.

    Args:
        folder: The folder of the page.
        run: The run.
        dataset: The data.
        rows: The suspicious labels, most doubtful first.
        reviewed: The number of labels that were checked.

    Raises:
        RunError: The page cannot be written.
    """
    tiles: list[Tile] = []
    if dataset.info.modality == "images" and rows:
        pictures = grids.pictures(dataset, [row[0] for row in rows[:SHOWN]])
        tiles = [
            Tile(picture_uri(picture), f"{label} → {suggested}", f"{doubt:.2f} {split}", path)
            for picture, (_, path, label, suggested, doubt, split) in zip(pictures, rows, strict=False)
        ]
    page = folder / "review.html"
    pairs = Counter((label, suggested) for _, _, label, suggested, _, _ in rows).most_common(12)
    write_atomically(
        page,
        render(
            "review.html",
            name=dataset.info.name,
            run=run,
            reviewed=reviewed,
            rows=rows[:LISTED],
            total=len(rows),
            tiles=tiles,
            pairs=pairs,
        ),
    )
    return page
