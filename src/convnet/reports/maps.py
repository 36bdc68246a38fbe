"""Pictures of held-out samples and what a network made of each place of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import nn

from convnet.data import MemorySource
from convnet.reports.figures import strips
from convnet.reports.style import to_png
from convnet.tasks import Task, outputs_of

SHOWN = 5


@torch.no_grad()
def map_pictures(
    task: Task, model: nn.Sequential, source: MemorySource, predictions: Sequence[Mapping[str, str]]
) -> Iterator[tuple[str, bytes]]:
    """Strips of held-out samples, from the worst to the best by the task's score."""
    if task.target == "class" or not predictions:
        return
    ranked = sorted(predictions, key=lambda row: float(row[task.score.key]))
    count = min(SHOWN, len(ranked))
    chosen = [ranked[i * (len(ranked) - 1) // max(1, count - 1)] for i in range(count)]
    rows = []
    for row in chosen:
        batch = task.pair(source.one(int(row["index"])), None)
        panels = task.panels(source, batch, outputs_of(model.eval(), batch.images))
        rows.append((f"{row['sample']}  {task.score.show(float(row[task.score.key]))}", panels))
    if all(panels for _, panels in rows):
        which = "all" if count == len(ranked) else f"{count} of {len(ranked):,}"
        yield "maps", to_png(strips(rows, f"Held-out samples, {which}, from the worst to the best"))
