"""Compare an exported model with the network in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convnet.errors import ModelError
from convnet.export.manifest import Parity
from convnet.outputs import OutputKind
from convnet.outputs.calibration import sigmoid, softmax

LARGEST_DIFFERENCE = 1e-4
"""The largest difference of a probability, or of a pixel of values 0…1."""

Samples = NDArray[Any]
Outputs = NDArray[np.float32]


def answers(outputs: Outputs, kind: OutputKind, temperature: float) -> NDArray[np.floating]:
    """The probabilities, or the pixels 0…1, of the outputs of a network N×K…."""
    if kind.exclusive or kind.name == "segmentation":
        return softmax(outputs / np.float32(temperature))
    return sigmoid(outputs) if kind.name == "multi-label" else outputs.clip(0, 1)


def compare(
    name: str,
    expected: Callable[[Samples], NDArray[np.floating]],
    found: Callable[[Samples], NDArray[np.floating]],
    batches: Iterable[Samples],
    kind: OutputKind,
    limit: float = LARGEST_DIFFERENCE,
) -> Parity:
    """Compare the answers of two models.

    Args:
        name: The exported model, for messages.
        expected: Samples → answers of the network in PyTorch.
        found: Samples → answers of the exported model.
        batches: Samples N×C×H×W.
        kind: The kind of outputs.
        limit: The largest difference of an answer.

    Raises:
        ModelError: The most probable class of a sample differs, or an answer differs too much; the message
            says where.
    """
    images, equal, largest, start = 0, 0, 0.0, 0
    exclusive = kind.exclusive or kind.name == "segmentation"
    for batch in batches:
        wanted, made = expected(batch), found(batch)
        if wanted.shape != made.shape:
            raise ModelError(f"{name}: outputs have the shape {made.shape}, the network's {wanted.shape}")
        difference = np.abs(wanted - made).reshape(len(batch), -1)
        worst = int(difference.max(1).argmax())
        if not difference.max() < limit:  # also of NaN
            raise ModelError(
                f"{name}: answers differ by {difference.max():.2g} for sample {start + worst} of the check; "
                f"the limit is {limit:g}"
            )
        if exclusive:
            same = (wanted.argmax(1) == made.argmax(1)).reshape(len(batch), -1)
            wrong = (~same & _decided(wanted, limit).reshape(len(batch), -1)).any(1)
            if wrong.any():
                raise ModelError(
                    f"{name}: the most probable class differs for sample {start + int(wrong.argmax())} of "
                    "the check"
                )
            equal += int(same.all(1).sum())
        largest = max(largest, float(difference.max()))
        images += len(batch)
        start += len(batch)
    return Parity(images=images, top1_equal=equal if exclusive else None, max_difference=largest)


def _decided(probabilities: NDArray[np.floating], limit: float) -> NDArray[np.bool_]:
    """Where the most probable class has to be the same.

    Everywhere, but not in pixels between two classes, nor where the inputs are resized by other filters.
    """
    if probabilities.ndim == 2 and limit == LARGEST_DIFFERENCE:
        return np.ones(len(probabilities), np.bool_)
    first, second = np.moveaxis(np.sort(probabilities, axis=1)[:, -2:], 1, 0)[::-1]
    decided: NDArray[np.bool_] = first - second > 2 * limit
    return decided
