"""Evaluate a run on its own or on other data, and tell which samples it was trained on."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from convnet.data import Dataset, location, read_split, to_device
from convnet.device import INFERENCE, default_device, make_compute
from convnet.errors import DataError
from convnet.evaluation import NO_DETAILS, EvaluationDetails
from convnet.settings import settings
from convnet.tasks import Evaluation
from convnet.tasks.own_metrics import with_metrics
from convnet.training import LOSSES
from convnet.types import SplitName
from convnet.workflows.run_data import held_out, open_other_data, open_own_data, require_unchanged, trained_on

if TYPE_CHECKING:
    from convnet.workflows.run import Run


@dataclass(frozen=True)
class Measurement:
    """The evaluation of a run on some data.

    Attributes:
        run: The run.
        dataset: The data.
        evaluation: The evaluation of all samples.
        trained: The number of samples that the run was trained on.
        others: The evaluation of the other samples; None if there are none, or none was trained on.
    """

    run: Run
    dataset: Dataset
    evaluation: Evaluation
    trained: int = 0
    others: Evaluation | None = None

    @property
    def untrained(self) -> torch.Tensor:
        """The indices of the samples that the run was not trained on."""
        if self.others is not None:
            return self.others.indices
        return self.evaluation.indices[: 0 if self.trained else None]

    @property
    def left_out(self) -> tuple[str, ...]:
        """The files that could not be read, with reasons."""
        return self.dataset.info.unreadable

    def figures(self) -> dict[str, Any]:
        """All metrics as plain values, for JSON."""
        found: dict[str, Any] = {
            "run": str(self.run.path),
            "data": self.dataset.info.name,
            "samples": len(self.evaluation),
            "loss": self.evaluation.loss,
            **self.evaluation.scores(),
            **{f"{name}_interval": ends for name, ends in self.evaluation.intervals().items()},
            **self.evaluation.details(self.run.classes),
            "left_out": list(self.left_out),
            "trained_on": self.trained,
        }
        if self.others is not None:
            others = {"samples": len(self.others), "loss": self.others.loss, **self.others.scores()}
            found["not_trained_on"] = others
        return found

    def predictions(self) -> str:
        """CSV text with one row per sample, as predictions.csv of a run."""
        rows = [
            {"index": index, "sample": location(self.dataset, index), **row}
            for index, row in zip(
                self.evaluation.indices.tolist(), self.evaluation.rows(self.dataset), strict=True
            )
        ]
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, rows[0], lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()

    def write(self, folder: Path, details: EvaluationDetails = NO_DETAILS) -> Path:
        """Write figures, predictions and a page.

        Args:
            folder: The folder to write; it may exist.
            details: What was measured beside the metrics.

        Returns:
            The path of the page.

        Raises:
            RunError: The folder is not writable.
        """
        from convnet.reports.evaluation_page import EvaluationPage  # it imports matplotlib

        page = EvaluationPage(
            {**self.figures(), **details.as_dict()},
            self.predictions(),
            self.evaluation,
            self.dataset,
            self.run.classes,
            self.run.task,
            self.run.model,
            details,
        )
        return page.write(folder)


def evaluate_run(
    run: Run, data: Any = None, *, split: SplitName | None = None, label: str | None = None
) -> Measurement:
    """Evaluate a run; see `Run.evaluate` for the arguments."""
    if data is None:
        dataset = open_own_data(run)
        own = read_split(run.folder.read("split.csv"), dataset, run.folder.file("split.csv"))
        require_unchanged(run, dataset)
        chosen = split or ("test" if len(own.test) else "val")
        indices = own[chosen]
        seen = torch.zeros(0, dtype=torch.int64)
    else:
        dataset = open_other_data(run, data, label)
        indices = held_out(dataset, split)
        seen = trained_on(run, dataset, indices)
    if not len(indices):
        raise DataError(f"{dataset.info.name}: no samples in its {split or 'held-out'} split")
    others = indices[~torch.isin(indices, seen)]
    apart = 0 < len(others) < len(indices)
    return Measurement(
        run,
        dataset,
        evaluation_of(run, dataset, indices),
        len(seen),
        evaluation_of(run, dataset, others) if apart else None,
    )


def evaluation_of(
    run: Run, dataset: Dataset, indices: torch.Tensor, model: nn.Module | None = None
) -> Evaluation:
    """Evaluate a run on some samples.

    Args:
        run: The run.
        dataset: The data, in the classes of the run.
        indices: The samples.
        model: Computes the outputs. Default: the network of the run.
    """
    compute = make_compute(settings().device or default_device(), INFERENCE)
    model = (model or run.model).to(compute.device)
    loss = run.task.fit_loss(LOSSES.build(run.recipe.loss.name, **run.recipe.loss.options))
    try:
        found = run.task.evaluate(model, to_device(dataset, compute.device), indices, loss, compute)
        tuned = found.with_thresholds(run.result.get("thresholds", {})).with_calibration(run.calibration)
        return with_metrics(tuned, run.recipe.metrics)
    finally:
        model.cpu()
