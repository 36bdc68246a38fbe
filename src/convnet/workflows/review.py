"""Review the labels of a run's data: which are probably wrong."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convnet.atomic import write_atomically
from convnet.data import Dataset, Loader, Split, location, read_split
from convnet.data.audit.confident_learning import Issue, label_issues
from convnet.errors import RunError
from convnet.explain import embed
from convnet.recipes.load import require_embedding
from convnet.tasks import ClassificationResult
from convnet.training import Listener
from convnet.training.logistic import fit_logistic
from convnet.types import SplitName, evaluation_batch
from convnet.workflows.cross_validation import cross_validate
from convnet.workflows.evaluate import evaluate_run
from convnet.workflows.run import Run
from convnet.workflows.run_data import open_own_data, require_unchanged

FOLDS = 5
MOST_FITTED = 10_000
"""The largest number of samples that the classifier of a fold is fitted to."""
COLUMNS = ("path", "label", "suggested", "doubt", "split")
NAMES: tuple[SplitName, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class SuspectLabel:
    """A label that is probably wrong.

    Attributes:
        index: The index of the sample.
        path: Its path.
        label: Its label.
        suggested: The more probable class.
        doubt: 0.5…1; 1 if the suggested class is certain.
        split: Its split.
    """

    index: int
    path: str
    label: str
    suggested: str
    doubt: float
    split: str


@dataclass(frozen=True)
class Review:
    """The labels of a data set that are probably wrong, most doubtful first.

    Attributes:
        run: The run.
        dataset: Its data.
        suspects: The labels.
        reviewed: The number of labels that were checked.
    """

    run: Run
    dataset: Dataset = field(repr=False)
    suspects: Sequence[SuspectLabel]
    reviewed: int

    def as_dict(self) -> dict[str, Any]:
        """The suspects as plain values, for JSON."""
        return {
            "run": str(self.run.path),
            "reviewed": self.reviewed,
            "suspects": [{name: getattr(suspect, name) for name in COLUMNS} for suspect in self.suspects],
        }

    def to_csv(self) -> str:
        """CSV text: path, label, suggested, doubt, split."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        writer.writerows([s.path, s.label, s.suggested, f"{s.doubt:.4f}", s.split] for s in self.suspects)
        return text.getvalue()

    def write(self, folder: Path) -> Path:
        """Write suspects.csv and review.html.

        Args:
            folder: The folder; created if it does not exist.

        Returns:
            The path of the page.

        Raises:
            RunError: The folder is not writable.
        """
        from convnet.reports.review_page import write_review_page  # it imports matplotlib

        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "suspects.csv", self.to_csv())
        rows = [(s.index, s.path, s.label, s.suggested, s.doubt, s.split) for s in self.suspects]
        return write_review_page(folder, str(self.run.path), self.dataset, rows, self.reviewed)


def review_labels(run: Run, *, folds: int | None = None, listeners: Sequence[Listener] = ()) -> Review:
    """Find labels that are probably wrong, by confident learning on out-of-fold probabilities.

    For training samples a logistic regression on the network's embeddings is cross-validated; for validation
    and test samples the network's own calibrated probabilities are used. With `folds` the whole network is
    trained again for each fold.

    Args:
        run: A finished classification run.
        folds: Train the recipe again this many times, each time holding out a different part.
        listeners: Callables that receive the events of that training.

    Returns:
        The suspicious labels.

    Raises:
        RunError: The run is no classifier.
        DataError: The data is not available, or has changed.
    """
    if not run.task.target.exclusive:
        raise RunError(f"{run.path}: labels are reviewed for classifiers; this is a {run.task.name} run")
    _ = run.result
    dataset = open_own_data(run)
    require_unchanged(run, dataset)
    split = read_split(run.folder.read("split.csv"), dataset, run.folder.file("split.csv"))
    judged = _from_embeddings(run, dataset, split) if folds is None else _from_folds(run, folds, listeners)
    indices, probabilities = judged
    names = {int(i): name for name in NAMES for i in split[name]}
    labels = dataset.targets.cpu().numpy()[indices]
    known = np.unique(labels)
    issues = label_issues(probabilities, labels) if len(known) > 1 else []
    suspects = [_suspect(dataset, indices, issue, names) for issue in issues]
    return Review(run, dataset, suspects, len(indices))


def _suspect(
    dataset: Dataset, indices: NDArray[np.int64], issue: Issue, names: dict[int, SplitName]
) -> SuspectLabel:
    index, classes = int(indices[issue.index]), dataset.info.classes
    label = classes[int(dataset.targets[index])]
    split = names.get(index, "unused")
    return SuspectLabel(index, location(dataset, index), label, classes[issue.other], issue.doubt, split)


def _from_embeddings(
    run: Run, dataset: Dataset, split: Split
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Samples and out-of-fold probabilities N×K, without training the network again."""
    parts: list[tuple[Tensor, Tensor]] = []
    for name in ("val", "test"):
        if len(split[name]):
            held_out = evaluate_run(run, split=name).evaluation
            assert isinstance(held_out, ClassificationResult), "the run is a classifier"
            parts.append((held_out.indices, held_out.probabilities.double()))
    require_embedding(run.folder, run.recipe, run.model)
    kept: list[Tensor] = []

    def images() -> Iterator[Tensor]:
        for batch in Loader(dataset, split.train, evaluation_batch(dataset.info.shape)).epoch():
            kept.append(batch.indices.cpu())
            yield batch.images

    codes = embed(run.model, images())
    indices = torch.cat(kept)
    parts.append((indices, _out_of_fold(codes, dataset.targets.cpu()[indices], len(run.classes))))
    return torch.cat([i for i, _ in parts]).numpy(), torch.cat([p for _, p in parts]).numpy()


def _out_of_fold(codes: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Probabilities N×K of each sample by a classifier of the other folds."""
    scaled = (codes - codes.mean(0)) / codes.std(0).clamp_min(1e-6)
    order = torch.randperm(len(codes), generator=torch.Generator().manual_seed(0))
    found = torch.zeros(len(codes), classes, dtype=torch.float64)
    for fold in range(FOLDS):
        held_out = order[fold::FOLDS]
        others = torch.cat([order[other::FOLDS] for other in range(FOLDS) if other != fold])[:MOST_FITTED]
        fitted = fit_logistic(scaled[others], labels[others], classes)
        found[held_out] = (scaled[held_out] @ fitted.weight.T + fitted.bias).double().softmax(1)
    return found


def _from_folds(
    run: Run, folds: int, listeners: Sequence[Listener]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Samples and the probabilities of networks that were not trained on them."""
    folder = run.path.with_name(f"{run.path.name}-review")
    done = cross_validate(run.recipe, folds, out=folder, listeners=listeners)
    parts = []
    for fold in done.runs:
        held_out = evaluate_run(fold, split="test").evaluation
        assert isinstance(held_out, ClassificationResult), "the run is a classifier"
        parts.append((held_out.indices.numpy(), held_out.probabilities.double().numpy()))
    return np.concatenate([i for i, _ in parts]), np.concatenate([p for _, p in parts])
