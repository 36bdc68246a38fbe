"""`Deployed`: a network with everything between pixels and probabilities, as one module for export."""

from __future__ import annotations

import copy
import io
from contextlib import redirect_stderr

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from convnet.errors import ModelError, in_one_line
from convnet.layers import Network, fused, sizes_of
from convnet.outputs import Calibration
from convnet.tasks import Task


class Deployed(nn.Module):
    """Preparation, normalization, network, temperature and softmax in one module.

    Args:
        model: The network with its normalization, in evaluation mode.
        task: The task.
        calibration: The temperature of class probabilities.
        prepare: Whether the preparation is part of the module. It is not where it changes the size of images,
            because large images are divided into tiles after it.
    """

    def __init__(self, model: Network, task: Task, calibration: Calibration, prepare: bool) -> None:
        super().__init__()
        self.model, self.task, self.temperature = model, task, calibration.temperature
        self.prepare = prepare

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names of the outputs."""
        return ("probabilities", "logits") if self.task.target.has_classes else ("image",)

    def forward(self, samples: Tensor) -> tuple[Tensor, ...]:
        """Samples as they are read, N×C×H×W → probabilities and logits N×K…, or images of values 0…1."""
        given = self.task.prepare_input(samples) if self.prepare else samples
        outputs = self.model(given).float()
        if not self.task.target.has_classes:
            return (outputs.clamp(0, 1),)
        if self.task.target.exclusive or self.task.target.dense:
            return (outputs / self.temperature).softmax(1), outputs
        return outputs.sigmoid(), outputs


def deployed(model: Network, task: Task, calibration: Calibration, example: Tensor) -> Deployed:
    """A copy of a network for export, with batch norms folded into convolutions.

    Args:
        model: The network.
        task: Its task.
        calibration: Its calibration.
        example: Some samples, N×C×H×W.
    """
    prepared = task.prepare_input(example)
    copied = fused(model, prepared) if prepared.dim() == 4 else copy.deepcopy(model)
    assert isinstance(copied, Network)
    keeps_size = prepared.shape[2:] == example.shape[2:]
    return Deployed(copied.requires_grad_(False).eval(), task, calibration, keeps_size).eval()


def as_program(module: Deployed, example: Tensor, *, series: bool) -> ExportedProgram:
    """The module as a graph of torch operators; the batch may have any size.

    Height and width may vary as well if there is an output per pixel, and the length of series.

    Args:
        module: The module.
        example: Two or more samples, N×C×H×W.
        series: Whether the samples are series.

    Raises:
        ModelError: The network cannot be exported; the message says why.
    """
    batch = {0: Dim("batch", min=1)}
    sizes = sizes_of(module.model)
    free = {2: Dim.AUTO, 3: Dim.AUTO} if module.task.target.dense and not series else {3: Dim.AUTO}
    tries = [batch | free, batch] if module.task.target.dense or series else [batch]
    if sizes.fixed is not None:
        tries = [batch]
    trouble: Exception = ModelError("no axis")
    for dynamic in tries:
        try:
            # torch prints the whole graph of a network that it cannot trace
            with torch.no_grad(), redirect_stderr(io.StringIO()):
                return torch.export.export(module, (example,), dynamic_shapes=(dynamic,))
        except Exception as error:  # tracing runs the network, which may raise anything
            trouble = error
    raise ModelError(f"the network cannot be exported: {in_one_line(trouble)}")


def dynamic_axes(program: ExportedProgram) -> list[str]:
    """The names of the axes of the samples whose length may vary."""
    names = ("batch", "channels", "height", "width")
    placeholder = next(
        node for node in program.graph.nodes if node.name in program.graph_signature.user_inputs
    )
    shape = placeholder.meta["val"].shape
    return [name for name, side in zip(names, shape, strict=True) if not isinstance(side, int)]
