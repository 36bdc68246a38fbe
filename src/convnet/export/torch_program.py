"""Networks stored as programs of torch.export (model.pt2)."""

from __future__ import annotations

import io
import warnings
import zipfile
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from convnet.errors import ModelError, in_one_line


@dataclass(frozen=True)
class ProgramBackend:
    """Computes outputs with a program of torch operators.

    Attributes:
        module: The program.
        place: The file, for messages.
    """

    name: ClassVar[str] = "torch"
    module: nn.Module
    place: str

    @classmethod
    def open(cls, content: bytes, place: str) -> ProgramBackend:
        """Open the content of a .pt2 file.

        Raises:
            ModelError: It cannot be read, or it holds pickled objects, which could execute code.
        """
        try:
            _require_plain(content, place)
            with warnings.catch_warnings():  # PyTorch before 2.12 warns of its own reader
                warnings.filterwarnings("ignore", "The given buffer is not writable")
                module = torch.export.load(io.BytesIO(content)).module()
        except ModelError:
            raise
        except Exception as error:  # damaged files make the reader raise nearly anything
            raise ModelError(f"{place}: cannot be opened: {in_one_line(error)}") from error
        return cls(module, place)

    @torch.no_grad()
    def outputs(self, images: NDArray[Any], tile: int | None = None) -> NDArray[np.float32]:
        """See `Backend.outputs`."""
        try:
            made = self.module(torch.from_numpy(np.require(images, requirements=["C", "W"])))
        except Exception as error:  # a guard of the program, or an operator
            raise ModelError(
                f"{self.place}: fails on samples {images.shape}: {in_one_line(error)}"
            ) from error
        found: NDArray[np.float32] = made[-1].numpy()
        return found


def _require_plain(content: bytes, place: str) -> None:
    """Refuse archives with pickled tensors or objects."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            if "custom_obj" in name or name.endswith((".py", ".pkl")):
                raise ModelError(f"{place}: holds {name}, which could execute code; do not use this bundle")
            if name.endswith("_config.json") and b'"use_pickle": true' in archive.read(name):
                raise ModelError(f"{place}: holds pickled tensors, which could execute code; do not use it")
