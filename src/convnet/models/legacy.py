"""Rename the tensors of runs written when layers had numbers instead of names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import Tensor

State = dict[str, Tensor]

# The order in which parts were registered, where it is not alphabetical.
ORDER = (
    "lower",
    "middle",
    "upper",
    "head",
    "auxiliary",
    "encoder",
    "decoder",
    "down",
    "below",
    "up",
    "merge",
)
TENSORS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def with_current_names(state: State, names: Sequence[str]) -> State:
    """Rename tensors to the names of the current network.

    The order of the layers has not changed, so tensors are matched in order.

    Args:
        state: Tensors by name.
        names: The names in the `state_dict` of the current network, in order.

    Returns:
        The renamed tensors, or `state` unchanged if the number of tensors differs.
    """
    new = [name for name in names if name not in state]
    words = list(dict.fromkeys(word for name in names for word in name.split(".")))
    old = sorted((name for name in state if name not in set(names)), key=lambda name: _place(name, words))
    if len(old) != len(new):
        return state
    renamed = dict(zip(old, new, strict=True))
    return {renamed.get(name, name): tensor for name, tensor in state.items()}


def _place(name: str, words: Sequence[str]) -> list[tuple[int, int, str]]:
    """The sort key of a tensor by its position in the old network; `words` are those of the new, in order."""
    return [_rank(word, words) for word in name.split(".")]


def _rank(word: str, words: Sequence[str]) -> tuple[int, int, str]:
    if re.fullmatch(r"\d+", word):
        return 0, int(word), ""
    if word in TENSORS:
        return 1, TENSORS.index(word), word
    known = [*ORDER, *words]
    return 1, known.index(word) if word in known else len(known), word
