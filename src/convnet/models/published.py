"""The public ImageNet weights (M47): where they are, and what their tensors are called.

Their names are those of the torchvision library, which many published files follow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

Rename = Callable[[str, nn.Module], str | None]
"""A tensor's name in our network, and the network → its public name; None where it has none."""


@dataclass(frozen=True)
class PublishedFile:
    """A public file: its address, the beginning of its sha256, and the options of the network it fits.

    `normalize` is how its pixels were normalised.
    """

    address: str
    sha256: str
    options: Mapping[str, Any] = field(default_factory=dict)
    normalize: str = "imagenet"


_ROOT = "https://download.pytorch.org/models/"


def _file(name: str, normalize: str = "imagenet", **options: Any) -> PublishedFile:
    """The name of a public file ends in the beginning of its sha256."""
    return PublishedFile(_ROOT + name, name.removesuffix(".pth").rpartition("-")[2], options, normalize)


IMAGENET: dict[str, PublishedFile] = {
    "alexnet": _file("alexnet-owt-7be5be79.pth", layout="one-tower"),
    "googlenet": _file("googlenet-1378be20.pth", "symmetric", batch_norm=True, layout="published"),
    "resnet18": _file("resnet18-f37072fd.pth"),
    "resnet34": _file("resnet34-b627a593.pth"),
    "resnet50": _file("resnet50-0676ba61.pth"),
    "resnet101": _file("resnet101-63fe2227.pth"),
    "resnet152": _file("resnet152-394f9c45.pth"),
    "vgg-a": _file("vgg11-8a719046.pth"),
    "vgg-b": _file("vgg13-19584684.pth"),
    "vgg-d": _file("vgg16-397923af.pth"),
    "vgg-e": _file("vgg19-dcbb9e9d.pth"),
}


def public_names(model: str, network: nn.Module, keys: Iterable[str]) -> dict[str, str] | None:
    """Our names → public names; None for a network that no public file is known for."""
    family = next((rename for pattern, rename in _FAMILIES.items() if re.fullmatch(pattern, model)), None)
    if family is None:
        return None
    return {key: public for key in keys if (public := family(key, network)) is not None}


def _resnet(key: str, _network: nn.Module) -> str | None:
    if match := re.fullmatch(r"0\.([01])\.(.+)", key):
        return f"{('conv1', 'bn1')[int(match[1])]}.{match[2]}"
    if match := re.fullmatch(r"(\d)\.(\d+)\.body\.(\d)\.([01])\.(.+)", key):
        stage, block, place, norm, rest = match.groups()
        kind = ("conv", "bn")[int(norm)]
        return f"layer{int(stage) - 1}.{block}.{kind}{int(place) + 1}.{rest}"
    if match := re.fullmatch(r"(\d)\.(\d+)\.shortcut\.([01])\.(.+)", key):
        return f"layer{int(match[1]) - 1}.{match[2]}.downsample.{match[3]}.{match[4]}"
    return re.sub(r"^\d+\.", "fc.", key)


def _vgg(key: str, network: nn.Module) -> str | None:
    """Convolutions keep their places; the dense layers are counted anew."""
    place, _, rest = key.partition(".")
    first = next(i for i, layer in enumerate(network.children()) if isinstance(layer, nn.Linear))
    return f"features.{key}" if int(place) < first else f"classifier.{int(place) - first}.{rest}"


def _alexnet(key: str, network: nn.Module) -> str | None:
    """As VGG, but the public dense part begins with its dropout."""
    name = _vgg(key, network)
    if name is None or name.startswith("features"):
        return name
    _, place, rest = name.split(".")
    return f"classifier.{ {'0': 1, '3': 4, '6': 6}[place] }.{rest}"


_INCEPTIONS = {
    "lower": {"5": "3a", "6": "3b", "8": "4a"},
    "middle": {"0": "4b", "1": "4c", "2": "4d"},
    "upper": {"0": "4e", "2": "5a", "3": "5b"},
}
_STEM = {"0": "conv1", "2": "conv2", "3": "conv3"}
_AUXILIARY = {"2": "fc1", "5": "fc2"}


def _googlenet(key: str, _network: nn.Module) -> str | None:
    kinds = ("conv", "bn")
    if match := re.fullmatch(r"lower\.([023])\.([01])\.(.+)", key):
        return f"{_STEM[match[1]]}.{kinds[int(match[2])]}.{match[3]}"
    if match := re.fullmatch(r"(lower|middle|upper)\.(\d)\.branches\.(\d)\.(?:(\d)\.)?([01])\.(.+)", key):
        part, place, branch, inner, norm, rest = match.groups()
        step = "" if inner is None else f".{inner}"
        return f"inception{_INCEPTIONS[part][place]}.branch{int(branch) + 1}{step}.{kinds[int(norm)]}.{rest}"
    if match := re.fullmatch(r"auxiliary\.([01])\.1\.([01])\.(.+)", key):
        return f"aux{int(match[1]) + 1}.conv.{kinds[int(match[2])]}.{match[3]}"
    if match := re.fullmatch(r"auxiliary\.([01])\.([25])\.(.+)", key):
        return f"aux{int(match[1]) + 1}.{_AUXILIARY[match[2]]}.{match[3]}"
    return re.sub(r"^head\.3\.", "fc.", key)


_FAMILIES: dict[str, Rename] = {
    r"resnet(18|34|50|101|152)": _resnet,
    r"vgg-.*": _vgg,
    r"alexnet": _alexnet,
    r"googlenet": _googlenet,
}
