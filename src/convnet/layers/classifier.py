"""`Classifier`: the interface of all classifiers, with features and a head."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, ClassVar

from torch import Tensor, nn

from convnet.layers.network import Network


class Classifier(nn.Sequential):
    """Named layers in sequence, the last of which is the head: logits = classifier(forward_features(x)).

    Layers have the names used in published weights.

    Attributes:
        head_name: The name of the head, "classifier" unless published weights have another.
    """

    head_name: ClassVar[str] = "classifier"

    def __init__(self, **layers: nn.Module) -> None:
        super().__init__(OrderedDict(layers))

    def sequence(self) -> list[nn.Module]:
        """The layers from images to logits, in order."""
        return list(self.children())

    @property
    def classifier(self) -> nn.Module:
        """The head, which depends on the number of classes."""
        if self.head_name not in self._modules:
            raise AttributeError(f"no head '{self.head_name}' yet")
        head: Any = self._modules[self.head_name]
        return head  # type: ignore[no-any-return]

    def forward_features(self, x: Tensor) -> Tensor:
        """The input of the head: maps N×C×H×W or vectors N×D."""
        for layer in self.sequence()[:-1]:
            x = layer(x)
        return x

    def embed(self, x: Tensor) -> Tensor:
        """The input of the last dense layer, N×D."""
        x = self.forward_features(x)
        if isinstance(self.classifier, nn.Sequential):
            x = self.classifier[:-1](x)
        return x.flatten(1)


def layers_of(network: nn.Module) -> Iterator[nn.Module]:
    """The layers of nested sequences in order; any other module counts as one layer."""
    if isinstance(network, Classifier):
        parts = network.sequence()
    elif isinstance(network, Network) or type(network).forward is nn.Sequential.forward:
        parts = list(network.children())
    else:
        yield network
        return
    for layer in parts:
        yield from layers_of(layer)


def classifier_of(features: nn.Module, *head: nn.Module) -> Classifier:
    """A classifier from features and the layers of the head."""
    return Classifier(features=features, classifier=head[0] if len(head) == 1 else nn.Sequential(*head))
