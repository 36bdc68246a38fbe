"""The memory that the tensors of a traced network would take."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from convnet.analysis.inputs import Inputs
from convnet.meta import MetaMode, on_shapes, tensors


@dataclass
class _Storage:
    bytes: int
    born: int
    tensors: int = 0


class LiveMemory:
    """Tracks which storages are alive; several tensors may share one."""

    def __init__(self) -> None:
        self.clock = 0
        self.peak = 0
        self._now = 0
        self._storages: dict[int, _Storage] = {}
        self._tensors: dict[int, weakref.ref[Tensor]] = {}

    def see(self, made: Iterable[Tensor], inputs: Iterable[Tensor] = ()) -> int:
        """Register the tensors made by an operation and return the bytes of new storages."""
        self.clock += 1
        old = {_key(tensor) for tensor in inputs}
        new = 0
        for tensor in made:
            key = _key(tensor)
            if key not in self._storages and key not in old:
                self._storages[key] = _Storage(tensor.untyped_storage().nbytes(), self.clock)
                new += self._storages[key].bytes
            if key in self._storages and id(tensor) not in self._tensors:
                self._storages[key].tensors += 1
                self._tensors[id(tensor)] = weakref.ref(tensor, self._forget(id(tensor), key))
        self._now += new
        self.peak = max(self.peak, self._now)
        return new

    def made_since(self, clock: int, tensors: Iterable[Tensor]) -> int:
        """The bytes of the storages of `tensors` that are newer than a reading of the clock."""
        found = {_key(tensor) for tensor in tensors}
        storages = (self._storages[key] for key in found if key in self._storages)
        return sum(storage.bytes for storage in storages if storage.born > clock)

    def _forget(self, tensor: int, key: int) -> Callable[[weakref.ref[Tensor]], None]:
        def gone(_: weakref.ref[Tensor]) -> None:
            del self._tensors[tensor]
            storage = self._storages[key]
            storage.tensors -= 1
            if not storage.tensors:
                self._now -= storage.bytes
                del self._storages[key]

        return gone


def saved_bytes(module: nn.Module, inputs: Inputs, batch_size: int) -> int | None:
    """The bytes that a training step with `batch_size` inputs keeps for its backward pass.

    `module` is on the meta device and is left in training mode. None if it cannot be run in training mode.
    """
    storages: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storages[_key(tensor)] = tensor.untyped_storage()
        return tensor

    module.train()
    arguments, keywords = inputs.arguments(batch_size)
    try:
        with on_shapes(), MetaMode(), saved_tensors_hooks(keep, lambda tensor: tensor):
            held = module(*arguments, **keywords)  # keeps the graph and its storages until they are counted
    except Exception:  # a user's forward may raise anything in training mode
        return None
    given = tensors((arguments, keywords))
    permanent = {_key(tensor) for tensor in (*given, *module.parameters(), *module.buffers())}
    saved = sum(storage.nbytes() for key, storage in storages.items() if key not in permanent)
    del held
    return saved


def _key(tensor: Tensor) -> int:
    key: int = tensor.untyped_storage()._cdata
    return key
