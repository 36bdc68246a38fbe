"""A bundle as a run: evaluation of what was exported, on the data of its training or on other data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from convnet.errors import ModelError
from convnet.export import Bundle, is_bundle, load_bundle
from convnet.layers import Network
from convnet.prediction import Backend, NetworkPredictor
from convnet.runs import RunFolder
from convnet.workflows.run import Run, load_run

RECORD = "record"
RECORDED = ("run.json", "recipe.yaml", "data.json", "environment.json", "result.json", "split.csv")
"""The files of a run that a bundle keeps."""


class BackendModule(nn.Module):
    """A backend as a torch module."""

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self.backend = backend

    def forward(self, samples: Tensor) -> Tensor:
        """Samples as they are read, N×C×H×W → outputs N×…."""
        return torch.from_numpy(self.backend.outputs(samples.cpu().numpy())).to(samples.device)


@dataclass(frozen=True, repr=False)
class BundleRun(Run):
    """The record of a run in a bundle, with the bundle's network.

    Attributes:
        bundle: The bundle.
    """

    bundle: Bundle

    @property
    def path(self) -> Path:
        """The folder of the bundle."""
        return self.bundle.path

    @cached_property
    def model(self) -> Network | nn.Module:  # type: ignore[override]
        """The network; the chosen backend where one was asked for, or where the network is a program."""
        bundle = self.bundle
        if bundle.backend is None and bundle.precision == "fp32" and bundle.manifest.network is not None:
            return bundle.network_predictor.model
        return BackendModule(bundle.predictor.backend).eval()

    @cached_property
    def predictor(self) -> NetworkPredictor:
        """The network with its preprocessing, classes and thresholds."""
        return self.bundle.network_predictor


def bundle_run(bundle: Bundle) -> BundleRun:
    """The record of the run from which a bundle was exported.

    Raises:
        ModelError: The bundle has no record, or it was changed.
    """
    for name in RECORDED:
        if not bundle.has(f"{RECORD}/{name}"):
            raise ModelError(
                f"{bundle.path}: has no record of a run, so it cannot be evaluated; it can only predict"
            )
        bundle.read(f"{RECORD}/{name}")
    return BundleRun(RunFolder.open(bundle.path / RECORD), bundle)


def load_any_run(path: str | Path, *, backend: str | None = None, precision: str = "fp32") -> Run:
    """Open a run, or the record of a run in a bundle.

    Args:
        path: The folder of a run or a bundle.
        backend: The backend of a bundle; see `load_bundle`.
        precision: "fp32" or "int8", for a bundle.

    Raises:
        RunError: The folder holds neither, or a run of another version.
        ModelError: The bundle is damaged.
    """
    if is_bundle(path):
        return bundle_run(load_bundle(path, backend=backend, precision=precision))
    if backend is not None or precision != "fp32":
        raise ModelError(f"{path}: is not a bundle; --backend and --precision apply to bundles")
    return load_run(path)
