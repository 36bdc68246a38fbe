"""The forms in which networks return outputs: a tensor, or several with auxiliary ones among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from convnet.errors import ModelError
from convnet.types import AuxiliaryLogits

MAIN = ("out", "logits", "output", "outputs", "prediction", "predictions")
"""The names of the main output in dictionaries and named tuples, as torchvision and others have them."""
AUXILIARY = "aux"
"""What the names of auxiliary outputs begin with."""
AUXILIARY_WEIGHT = 0.4
"""The weight of the loss of an auxiliary output (torchvision's for Inception)."""


def plain_outputs(made: Any, count: int, *, training: bool) -> Tensor | AuxiliaryLogits:
    """The outputs of a network in the form that losses and tasks take.

    Args:
        made: A tensor; a dictionary or named tuple with an output called out or logits; or a tuple whose
            first element is the output. Further tensors of its shape are auxiliary outputs.
        count: The number of images. A single image may have lost the axis of the batch.
        training: Whether auxiliary outputs are kept.

    Raises:
        ModelError: The outputs have another form.
    """
    if isinstance(made, AuxiliaryLogits):
        return made if training else made.logits
    main, others = _parts(made)
    main = _with_batch(main, count)
    auxiliary = tuple(_with_batch(other, count) for other in others)
    auxiliary = tuple(other for other in auxiliary if other.shape == main.shape)
    return AuxiliaryLogits(main, auxiliary, AUXILIARY_WEIGHT) if training and auxiliary else main


def _parts(made: Any) -> tuple[Tensor, list[Tensor]]:
    """The main output, and the other tensors."""
    if isinstance(made, Tensor):
        return made, []
    named = made._asdict() if hasattr(made, "_asdict") else made
    if not isinstance(named, Mapping | Sequence) and hasattr(named, "__dict__"):
        named = vars(named)
    if isinstance(named, Mapping):
        name = next((name for name in MAIN if isinstance(named.get(name), Tensor)), None)
        if name is not None:
            return named[name], [
                value
                for key, value in named.items()
                if str(key).startswith(AUXILIARY) and isinstance(value, Tensor)
            ]
        raise ModelError(
            f"the network returns {type(made).__name__} with {', '.join(map(str, named)) or 'nothing'}; call "
            f"its output {MAIN[0]} or {MAIN[1]}, or return a tensor"
        )
    if isinstance(named, Sequence) and named and isinstance(named[0], Tensor):
        return named[0], [value for value in named[1:] if isinstance(value, Tensor)]
    raise ModelError(f"the network returns {type(made).__name__}; return a tensor of outputs N×…")


def _with_batch(output: Tensor, count: int) -> Tensor:
    """An output N×K or N×K×H×W; squeeze() also drops the axis of a batch of one."""
    return output[None] if output.dim() in (1, 3) and count == 1 else output
