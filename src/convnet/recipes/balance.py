"""Class imbalance: weighted loss, weighted sampling or focal loss."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from convnet.data import Dataset, labels_of
from convnet.errors import DataError, RecipeError
from convnet.registry import options_document
from convnet.targets import MULTI_HOT, Target
from convnet.training import LOSSES

Balance = Literal["none", "weights", "sampler", "focal"]


def choose_loss(
    balance: Balance, name: str, options: dict[str, object], dataset: Dataset, train: Tensor
) -> tuple[str, dict[str, object]]:
    """The name and options of the training loss.

    Args:
        balance: "weights" gives each class the weight N/(K·Nₖ), and each label the ratio of its negatives to
            its positives; "focal" replaces cross-entropy by the focal loss; others change nothing.
        name: The recipe's loss.
        options: Its options.
        dataset: The data.
        train: Indices of the training samples.
    """
    if balance == "focal":
        return "focal", {}
    if balance != "weights":
        return name, options
    if dataset.info.target is MULTI_HOT:
        there = dataset.targets[train].double().mean(0).clamp(1e-6, 1 - 1e-6)
        return name, {**options, "label_weights": tuple(((1 - there) / there).tolist())}
    return name, {**options, "class_weights": tuple(class_weights(dataset, train).tolist())}


def sampling_weights(balance: Balance, dataset: Dataset, train: Tensor) -> Tensor | None:
    """The relative frequency at which each training sample is drawn; None for once per epoch."""
    if balance != "sampler":
        return None
    return class_weights(dataset, train)[labels_of(dataset)[train]]


def class_weights(dataset: Dataset, train: Tensor) -> Tensor:
    """N/(K·Nₖ) for each of the K classes, float64.

    Raises:
        DataError: A class has no training sample.
    """
    counts = torch.bincount(labels_of(dataset)[train], minlength=len(dataset.info.classes)).double()
    if (counts == 0).any():
        lacking = dataset.info.classes[int((counts == 0).nonzero()[0])]
        raise DataError(
            f"{dataset.info.name}: class '{lacking}' has no training sample; balance does not apply"
        )
    return len(train) / (len(counts) * counts)


def require_applicable(balance: Balance, target: Target, loss: str, options: dict[str, object]) -> None:
    """Check that `balance` applies to the target and the loss.

    Raises:
        RecipeError: It would have no effect or conflicts with the loss; the message says what to change.
    """
    if balance == "none":
        return
    allowed = {"class": ("weights", "sampler", "focal"), "labels": ("weights",)}.get(target.name, ())
    if balance not in allowed:
        masks = "; use loss.class_weights" if target.name == "mask" else ""
        way_out = f"; use {' or '.join(allowed)}" if allowed else masks
        raise RecipeError(f"balance={balance} does not apply to this kind of target ({target.name}){way_out}")
    option = {"class": "class_weights", "labels": "label_weights"}[target.name]
    weighable = [
        name
        for name in LOSSES
        if target.name in LOSSES.facts(name) and option in options_document(LOSSES[name]).model_fields
    ]
    if balance == "weights" and loss not in weighable:
        raise RecipeError(f"balance=weights does not apply to loss '{loss}'; use {' or '.join(weighable)}")
    if balance == "focal" and loss != "cross-entropy":
        raise RecipeError(f"balance=focal replaces cross-entropy, not '{loss}'")
    if options.get("class_weights") is not None or options.get("label_weights") is not None:
        raise RecipeError(f"balance={balance} conflicts with the weights of the loss; use one of them")
    if balance == "focal" and options.get("label_smoothing"):
        raise RecipeError("loss.label_smoothing does not apply: balance=focal replaces cross-entropy")
