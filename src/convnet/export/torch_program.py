"""Programs of torch.export (model.pt2), which are compared with the network when they are written.

Bundles are never computed by them: PyTorch evaluates expressions and may unpickle objects when it opens a
program, so one from another person could execute code.
"""

from __future__ import annotations

import io
import warnings
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
        """Open the content of a .pt2 file that this process has written.

        Raises:
            ModelError: It cannot be read.
        """
        try:
            with warnings.catch_warnings():  # PyTorch before 2.12 warns of its own reader
                warnings.filterwarnings("ignore", "The given buffer is not writable")
                module = torch.export.load(io.BytesIO(content)).module()
        except Exception as error:  # the reader raises nearly anything
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
