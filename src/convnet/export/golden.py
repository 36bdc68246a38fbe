"""golden.npz: samples and the outputs of the network for them, by which a bundle is checked where it runs."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convnet.errors import ModelError
from convnet.export.verify import answers, compare

if TYPE_CHECKING:
    from convnet.export.bundle import Bundle

GOLDEN = "golden.npz"


def golden_bytes(samples: NDArray[Any], outputs: NDArray[np.float32]) -> bytes:
    """Some samples and the outputs of the network for them, as the content of an .npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, samples=samples, outputs=outputs)
    return buffer.getvalue()


def read_golden(bundle: Bundle) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """The samples and outputs of a bundle.

    Raises:
        ModelError: The file is missing or damaged.
    """
    content = bundle.read(GOLDEN)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return arrays["samples"], arrays["outputs"]
    except Exception as error:  # NumPy, zipfile and zlib raise types of their own
        raise ModelError(f"{bundle.path / GOLDEN}: damaged: {error}; copy the bundle again") from error


def replay(bundle: Bundle) -> None:
    """Compute the golden samples with the backend of a bundle and compare; int8 is computed only.

    Raises:
        ModelError: The answers differ from those at the time of the export, or the backend fails.
    """
    samples, outputs = read_golden(bundle)
    kind, calibration = bundle.manifest.kind, bundle.manifest.outputs.calibration
    temperature = 1.0 if calibration is None else calibration.temperature
    backend = bundle.predictor.backend
    if bundle.precision == "int8":
        backend.outputs(samples)
        return
    compare(
        f"{bundle.path} ({backend.name})",
        lambda _: answers(outputs, kind, temperature),
        lambda given: answers(backend.outputs(given), kind, temperature),
        [samples],
        kind,
    )
