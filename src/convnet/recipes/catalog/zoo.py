"""Recipes for published networks, with the settings of their papers or of the lectures.

Recipes for ImageNet read a folder `imagenet` with train/ and val/; `--set data.source=FOLDER` uses any other
folder of photos.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from convnet.data import Augment, Data, Preprocess
from convnet.models import MODELS
from convnet.recipes.catalog.registry import named
from convnet.recipes.components import Component
from convnet.recipes.recipe import Recipe

PHOTOS: dict[str, dict[str, Any]] = {
    **{
        f"efficientnet-lite{variant}": {
            "optimizer": {
                "name": "rmsprop",
                "lr": 0.016,
                "alpha": 0.9,
                "momentum": 0.9,
                "weight_decay": 1e-5,
            },
            "schedule": {"name": "step", "every_epochs": 2, "gamma": 0.97, "warmup_epochs": 5},
            "batch_size": 256,
            "epochs": 350,
            "ema": 0.9999,
        }
        for variant in range(5)
    },
    "mobilenet-v2": {
        "optimizer": {"name": "rmsprop", "lr": 0.045, "alpha": 0.9, "momentum": 0.9, "weight_decay": 4e-5},
        "schedule": {"name": "step", "every_epochs": 1, "gamma": 0.98},
        "batch_size": 96,
        "epochs": 300,
    },
    "squeezenet1.1": {
        "optimizer": {"name": "momentum", "lr": 0.04, "weight_decay": 2e-4},
        "schedule": {"name": "cosine"},
        "batch_size": 512,
        "epochs": 68,
    },
    "convnext-tiny": {
        "optimizer": {"name": "adamw", "lr": 0.004, "weight_decay": 0.05},
        "schedule": {"name": "cosine", "warmup_epochs": 20},
        "loss": {"name": "cross-entropy", "label_smoothing": 0.1},
        "batch_size": 4096,
        "epochs": 300,
        "ema": 0.9999,
    },
}
"""The settings of networks whose papers do not use momentum and a plateau."""


class Settings(NamedTuple):
    """SGD with momentum 0.9; the rate is divided by 10 on a plateau of the validation loss."""

    lr: float
    batch_size: int
    weight_decay: float
    epochs: int


ALEXNET = Settings(0.01, 128, 5e-4, 90)  # ZFNet was trained the same way
VGG = Settings(0.01, 256, 5e-4, 74)
GOOGLENET = Settings(0.01, 128, 2e-4, 90)
RESNET = Settings(0.1, 256, 1e-5, 120)
CIFAR_RESNET = Settings(0.1, 128, 1e-4, 164)

IMAGENET = {
    "alexnet": ALEXNET,
    "zfnet": ALEXNET,
    **{f"vgg-{letter}": VGG for letter in ("a", "a-lrn", "b", "c", "d", "e")},
    "googlenet": GOOGLENET,
    **{f"resnet{depth}": RESNET for depth in (18, 34, 50, 101, 152)},
}
CIFAR10 = {f"resnet{depth}": CIFAR_RESNET for depth in (20, 32, 44, 56, 110)}


def _momentum(
    name: str, source: str, preprocess: Preprocess, augment: Augment, model: str, s: Settings
) -> Recipe:
    return Recipe(
        name=name,
        data=Data(source=source),
        preprocess=preprocess,
        augment=augment,
        model=Component(name=model),
        optimizer=Component(name="momentum", lr=s.lr, weight_decay=s.weight_decay),
        schedule=Component(name="plateau", gamma=0.1),
        epochs=s.epochs,
        batch_size=s.batch_size,
    )


def _file_imagenet(model: str, settings: Settings) -> None:
    """Strong augmentation: flipped crops of at least 8% of the image, at the network's own size."""
    side = MODELS.facts(model).native.height

    @named(
        f"{model}-imagenet",
        summary=f"{model} on photos of {side} pixels: momentum 0.9, rate {settings.lr:g}, "
        f"batch {settings.batch_size}, crops, flips.",
        expected="not measured (needs ImageNet)",
    )
    def recipe() -> Recipe:
        crops = Augment(flip=True, random_resized_crop=0.08)
        return _momentum(f"{model}-imagenet", "imagenet", Preprocess(image_size=side), crops, model, settings)


def _file_cifar10(model: str, settings: Settings) -> None:
    @named(
        f"{model}-cifar10",
        summary=f"{model} on CIFAR-10: momentum 0.9, rate {settings.lr:g}, "
        f"batch {settings.batch_size}, flips, 4-pixel crops.",
        expected="not measured (needs a GPU)",
    )
    def recipe() -> Recipe:
        crops = Augment(flip=True, pad_crop=4)
        return _momentum(f"{model}-cifar10", "cifar10", Preprocess(), crops, model, settings)


def _file_photos(model: str, fields: dict[str, Any]) -> None:
    side, optimizer = MODELS.facts(model).native.height, fields["optimizer"]

    @named(
        f"{model}-imagenet",
        summary=f"{model} on photos of {side} pixels: {optimizer['name']}, rate {optimizer['lr']:g}, "
        f"batch {fields['batch_size']}, crops, flips.",
        expected="not measured (needs ImageNet)",
    )
    def recipe() -> Recipe:
        return Recipe.from_dict(
            {
                "name": f"{model}-imagenet",
                "data": Data(source="imagenet"),
                "preprocess": Preprocess(image_size=side),
                "augment": Augment(flip=True, random_resized_crop=0.08),
                "model": model,
                **fields,
            }
        )


for _model, _fields in PHOTOS.items():
    _file_photos(_model, _fields)
for _model, _settings in IMAGENET.items():
    _file_imagenet(_model, _settings)
for _model, _settings in CIFAR10.items():
    _file_cifar10(_model, _settings)
