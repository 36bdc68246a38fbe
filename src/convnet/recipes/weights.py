"""Load pretrained weights into a network for fine-tuning, and report what was loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Literal

import torch
from annotated_types import Gt, Le
from torch import Tensor, nn

from convnet.errors import DataError, ModelError
from convnet.layers import Network, Normalize
from convnet.models import facts_of
from convnet.models.legacy import with_current_names
from convnet.recipes.pretrained import State, checksum, locate, read_state
from convnet.registry import Count, CountOrZero, Section

SHOWN = 3
STATISTICS = ("0.mean", "0.std")
"""The tensors of a run that normalize pixels."""
COUNTER = "num_batches_tracked"
"""A buffer that older files lack and nothing depends on."""


class Weights(Section):
    """Pretrained weights, without their head, and how they are fine-tuned.

    Attributes:
        source: A file (.safetensors, .pth), a run, a URL, hf:owner/name/file, or "imagenet".
        sha256: The checksum of the file; another file is an error.
        finetune: "head" fits only the head, by logistic regression on the embeddings of all images; "full"
            then trains the network from there in steps; "auto" is one of the two, by device, time and data.
            Without it, the head is random at first and everything is trained in steps.
        freeze_epochs: The number of first epochs in which only the last parts are trained. Default: 1, or 0
            if there is only one epoch; a fifth of all if the head is already fitted.
        last_parts: The number of last parts of the network (layers or stages) that are trained from the
            first epoch; 1 is the head.
        rate_decay: The learning rate of each part of the network relative to the next part.
        freeze_norms: Whether batch norms keep the statistics of the weights. "auto": if there are few
            training samples.
    """

    source: str
    sha256: str | None = None
    finetune: Literal["auto", "head", "full"] | None = None
    freeze_epochs: CountOrZero | None = None
    last_parts: Count = 1
    rate_decay: Annotated[float, Gt(0), Le(1)] = 0.7
    freeze_norms: bool | Literal["auto"] = False

    def frozen_epochs(self, epochs: int) -> int:
        """The number of first epochs in which only the last parts are trained, of `epochs`."""
        if self.freeze_epochs is not None:
            return min(self.freeze_epochs, epochs - 1)
        return epochs // 5 if self.finetune == "full" else min(1, epochs - 1)


@dataclass(frozen=True)
class WeightsReport:
    """The result of loading weights.

    Attributes:
        source: Where they come from.
        loaded: Names of the network's tensors that were loaded.
        numbers: How many numbers these tensors have.
        new: Names of the tensors that keep their random values.
        unused: Names in the file that were not used.
    """

    source: str
    loaded: tuple[str, ...]
    numbers: int
    new: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        text = f"weights of {self.source}: loaded {len(self.loaded)} tensors, {self.numbers:,} numbers"
        text += f"; new: {_listed(self.new)}" if self.new else ""
        return text + (f"; unused: {_listed(self.unused)}" if self.unused else "")


def load_pretrained(
    model: Network, name: str, weights: Weights, *, encoder: str | None = None, head: bool = False
) -> WeightsReport:
    """Load weights into a network, by default except its head.

    Args:
        model: Normalization followed by the network; changed in place.
        name: The name of the network.
        weights: Where the weights come from.
        encoder: The name of the classifier that is its encoder, which alone is loaded from weights of that
            classifier.
        head: Whether the head is loaded as well.

    Returns:
        The names of loaded, new and unused tensors.

    Raises:
        DataError: The file is missing, damaged or has another checksum.
        ModelError: The weights are of another architecture; the message names tensors that differ.
    """
    normalize, network = model.normalize, model.network
    if len(model.features) or not any(True for _ in network.parameters()):
        raise ModelError(f"--weights does not apply to '{name}', only to networks trained as a whole")
    path = locate(weights.source, encoder or name)
    if weights.sha256 is not None and checksum(path) != weights.sha256:
        raise DataError(
            f"{path}: the file has changed: its sha256 is {checksum(path)}, the recipe has {weights.sha256}"
        )
    state = read_state(path)
    own = network.state_dict()
    theirs, state = _names(own, state, encoder or name, encoder=encoder is not None)
    whole = encoder is None or any(key.startswith(("1.", "encoder.")) for key in state)
    new = () if head else new_parts(network, None if whole else encoder)
    heads = {key for key in own if any(key.startswith(f"{prefix}.") for prefix in new)}
    if not whole:  # only the layers that the encoder has
        kept = {*theirs.values(), *STATISTICS}
        state = {key: value for key, value in state.items() if key in kept}
    _require_same(str(path), encoder or name, own, heads, theirs, state)
    loaded = [key for key in own if key not in heads and theirs.get(key) in state]
    merged = {**own, **{key: state[theirs[key]].to(own[key].dtype).view_as(own[key]) for key in loaded}}
    network.load_state_dict(merged)
    _take_statistics(normalize, state)
    used = {theirs[key] for key in loaded} | {*STATISTICS}
    return WeightsReport(
        path.name if weights.source == "imagenet" else weights.source,
        tuple(loaded),
        sum(own[key].numel() for key in loaded),
        tuple(sorted(heads)),
        tuple(key for key in state if key not in used),
    )


def new_parts(network: nn.Module, encoder: str | None) -> tuple[str, ...]:
    """The names of the parts that begin with random weights: heads, or all but a pretrained encoder."""
    if encoder is None:
        return head_names(network)
    return tuple(name for name, _ in network.named_children() if name != "encoder")


def head_names(network: nn.Module) -> tuple[str, ...]:
    """The names of the layers that depend on the number of classes: the last one and auxiliary heads."""
    layers = [name for name, m in network.named_modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d)]
    main = [name for name in layers if not name.startswith("aux")]
    extra = sorted({name.partition(".")[0] for name in layers if name.startswith("aux")})
    return (main[-1], *extra)


def _names(own: State, state: State, name: str, *, encoder: bool) -> tuple[dict[str, str], State]:
    """A map from the network's names to those of the file, and the file's tensors.

    Args:
        own: The tensors of the network.
        state: Those of the file.
        name: The name of the network, or of its encoder.
        encoder: Whether the network has an encoder, which alone may be in the file.
    """
    same = {key: key for key in own}
    if STATISTICS[0] not in state or not any(key.startswith("1.") for key in state):
        return same | _spelled(own, state, name), state
    plain = {key.removeprefix("1."): value for key, value in state.items()}
    if encoder and not own.keys() & plain.keys() and (theirs := _spelled(own, plain, name)):
        return same | theirs, plain  # a run of the classifier
    state = with_current_names(state, [*STATISTICS, *_prefixed("1.", own)])
    return {key: f"1.{key}" for key in own}, state


def _spelled(own: State, state: State, name: str) -> dict[str, str]:
    """A map from names of a network, or of its encoder, to those of a file of the classifier."""
    facts = facts_of(name)
    spellings: list[Callable[[str], str]] = [str]
    if facts is not None and facts.rename is not None:
        spellings.append(facts.rename)
    for spelled, prefix in product(spellings, ("", "encoder.")):
        names = {prefix + spelled(key): key for key in state}
        if shared := own.keys() & names.keys():
            return {key: names[key] for key in shared}
    return {}


def _prefixed(prefix: str, names: Iterable[str]) -> list[str]:
    return [prefix + name for name in names]


def _require_same(
    source: str, model: str, own: State, heads: set[str], theirs: dict[str, str], state: State
) -> None:
    """Check that the weights are of this architecture."""
    differing = []
    for key, tensor in own.items():
        if key in heads or key.endswith(COUNTER):
            continue
        found = state.get(theirs.get(key, key))
        if found is None:
            differing.append(f"{theirs.get(key, key)} is missing")
        elif not _same_sides(found, tensor):
            differing.append(f"{theirs.get(key, key)} is {_shape(found)}, {model} has {_shape(tensor)}")
    known = {theirs.get(key) for key in own} | {*STATISTICS}
    extra = [key for key in state if key not in known and not key.startswith("aux")]
    differing += [f"{key} is not in {model}" for key in extra]
    if differing:
        more = f" (and {len(differing) - SHOWN} more)" if len(differing) > SHOWN else ""
        raise ModelError(
            f"{source}: weights of another network than {model}: {'; '.join(differing[:SHOWN])}{more}; "
            f"check --model and its options{_channels_hint(own, state, theirs)}"
        )


def _channels_hint(own: State, state: State, theirs: dict[str, str]) -> str:
    """The way out if only the channels of the images differ."""
    for key, tensor in own.items():
        found = state.get(theirs.get(key, key))
        if found is None or tensor.dim() != 4 or found.dim() != 4 or found.shape == tensor.shape:
            continue
        same = found.shape[0] == tensor.shape[0] and found.shape[2:] == tensor.shape[2:]
        return (
            f", or use the channels of the weights (--set preprocess.channels={found.shape[1]})"
            if same
            else ""
        )
    return ""


def _take_statistics(normalize: Normalize, state: State) -> None:
    """Copy the normalization statistics of a run's network."""
    for name, own in (("mean", normalize.mean), ("std", normalize.std)):
        found = state.get(f"0.{name}")
        if found is not None and found.shape == own.shape:
            with torch.no_grad():
                own.copy_(found)


def _same_sides(found: Tensor, own: Tensor) -> bool:
    """Whether shapes are equal but for trailing ones, which some libraries leave out.

    A dense layer may become a convolution over the maps that it reads.
    """
    if found.dim() == 2 and own.dim() == 4:
        return found.shape[0] == own.shape[0] and found.numel() == own.numel()
    sides = [list(tensor.shape) for tensor in (found, own)]
    for shape in sides:
        while shape and shape[-1] == 1:
            shape.pop()
    return sides[0] == sides[1]


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a number"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
