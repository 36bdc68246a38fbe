"""Measure the details of a run's evaluation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from convnet.data import Dataset, location
from convnet.errors import ConvnetError, RunError
from convnet.evaluation import (
    EvaluationDetails,
    PairedComparison,
    UnknownData,
    compare_paired,
    embedding_map,
    measure_robustness,
    measure_slices,
    measure_unknown,
)
from convnet.recipes.load import require_embedding
from convnet.tasks import ClassificationResult
from convnet.workflows.evaluate import Measurement
from convnet.workflows.run import Run


def measure_details(run: Run, dataset: Dataset, evaluation: ClassificationResult) -> EvaluationDetails:
    """Measure robustness, slices and the embedding map.

    Args:
        run: The run, a classifier.
        dataset: The evaluated data.
        evaluation: Its evaluation.
    """
    images = dataset.info.modality == "images"
    try:
        require_embedding(run.folder, run.recipe, run.model)
        embedded = embedding_map(run.model, dataset, evaluation.indices)
    except ConvnetError:
        embedded = None
    return EvaluationDetails(
        robustness=measure_robustness(run.model, dataset, evaluation.indices) if images else [],
        slices=measure_slices(evaluation, dataset),
        embeddings=embedded,
    )


def details_of(
    measured: Measurement, *, full: bool, against: Measurement | None = None, unknown: str | None = None
) -> EvaluationDetails:
    """The details of an evaluation that were asked for.

    Args:
        measured: The evaluation of a run.
        full: Whether to measure what `measure_details` measures.
        against: The evaluation of another run on the same data.
        unknown: Images of other classes.

    Raises:
        RunError: The run is no classifier, or the other run cannot be compared.
        DataError: The images cannot be read.
    """
    run, evaluation = measured.run, measured.evaluation
    if not isinstance(evaluation, ClassificationResult):
        if against is not None or unknown is not None:
            option = "--against" if against is not None else "--unknown"
            raise RunError(f"{run.path}: {option} applies to classifiers; this is a {run.task.name} run")
        return EvaluationDetails()
    compared = None if against is None else _compared(measured, evaluation, against)
    other = None if unknown is None else _unknown(run, evaluation, unknown)
    found = measure_details(run, measured.dataset, evaluation) if full else EvaluationDetails()
    return replace(found, unknown=other, against=compared)


def _compared(
    measured: Measurement, evaluation: ClassificationResult, against: Measurement
) -> PairedComparison:
    run, other = measured.run, against.run
    if not isinstance(against.evaluation, ClassificationResult):
        raise RunError(f"{other.path}: is a {other.task.name} run; --against takes a classifier")
    if set(run.classes) != set(other.classes):
        raise RunError(
            f"{other.path}: its classes differ from those of {run.path}, so they cannot be compared"
        )
    paths = [location(measured.dataset, i) for i in evaluation.indices.tolist()]
    if paths != [location(against.dataset, i) for i in against.evaluation.indices.tolist()]:
        raise RunError(
            f"{other.path}: was evaluated on other samples than {run.path}; name the data: "
            f"convnet evaluate {run.path} DATA --against {other.path}"
        )
    both = torch.isin(evaluation.indices, measured.untrained)
    both &= torch.isin(against.evaluation.indices, against.untrained)
    kept = both.nonzero()[:, 0]
    if not len(kept):
        raise RunError(
            f"{other.path}: all {len(both):,} samples were used to train it or {run.path}, so the comparison "
            "would mean nothing; name other data"
        )
    order = torch.tensor([run.classes.index(name) for name in other.classes])
    theirs = order[against.evaluation.predicted[kept]]
    compared = replace(
        evaluation,
        logits=evaluation.logits[kept],
        targets=evaluation.targets[kept],
        indices=evaluation.indices[kept],
    )
    found = compare_paired(str(other.path), compared, theirs, run.classes, [paths[i] for i in kept.tolist()])
    return replace(found, trained=len(both) - len(kept))


@torch.no_grad()
def _unknown(run: Run, known: ClassificationResult, inputs: str) -> UnknownData:
    if not Path(inputs).exists():
        raise RunError(f"--unknown {inputs}: no such file or folder; name images, or a folder of them")
    failures: list[str] = []
    predictor = run.predictor
    found = [
        torch.from_numpy(outputs)
        for _, outputs in predictor.iter_outputs(
            predictor.files(inputs), failed=lambda _, error: failures.append(str(error))
        )
    ]
    if not found:
        raise RunError(f"{inputs}: none of its {len(failures):,} files can be read: {failures[0]}")
    return measure_unknown(inputs, known, torch.cat(found), len(failures))
