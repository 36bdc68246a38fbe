"""The torch module of a bundle, built from its description and its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetensors import SafetensorError
from safetensors.torch import load

from convnet.errors import ConvnetError, ModelError, in_one_line
from convnet.export.bundle import WEIGHTS
from convnet.layers import Network, Normalize
from convnet.models import MODELS, assemble, build_model
from convnet.types import ImageShape

ENCODER = "encoder"
"""The feature that opens another run."""

if TYPE_CHECKING:
    from convnet.export.bundle import Bundle


def bundled_network(bundle: Bundle) -> Network:
    """The network with its weights, in evaluation mode: samples as they are read → outputs.

    Raises:
        ModelError: The weights do not fit the description, or there is no description.
    """
    described = bundle.manifest.network
    if described is None:
        raise ModelError(
            f"{bundle.path}: its network was built by code outside convnet, so the bundle holds it as an "
            "ONNX model only; it predicts, but cannot be explained"
        )
    if described.name not in MODELS or ENCODER in str(described.options.get("stages", "")):
        raise ModelError(
            f"{bundle.path}: its network is {described.name}, which is not one of convnet's; do not use this "
            "bundle"
        )
    shape = ImageShape(*bundle.manifest.inputs.shape)
    content = bundle.read(WEIGHTS)
    try:
        weights = load(content)
        network = build_model(described.name, shape, bundle.manifest.outputs.count, **described.options)
        model = assemble(Normalize(weights["0.mean"], weights["0.std"]), network)
        model.load_state_dict(weights)
    except (SafetensorError, ConvnetError, LookupError, RuntimeError, ValueError, TypeError) as error:
        raise ModelError(
            f"{bundle.path / WEIGHTS}: cannot be loaded as the network {described.name}: {in_one_line(error)}"
        ) from error
    return model.eval()
