"""Recipes for segmentation, image-to-image tasks, autoencoders, series and transfer learning."""

from __future__ import annotations

from typing import Any

from convnet.data import Augment, Preprocess, SplitOptions
from convnet.recipes.catalog.registry import named
from convnet.recipes.components import Component
from convnet.recipes.defaults import default_recipe, dense_recipe, series_recipe
from convnet.recipes.overrides import override
from convnet.recipes.recipe import Recipe

WHOLE = SplitOptions(val=0.0)
"""No validation split, because nothing is chosen on it."""


@named("unet-digit-scenes", expected="0.992 ± 0.000 (n=3 seeds)")
def unet_digit_scenes() -> Recipe:
    """Segmentation of scenes of digits by a small U-Net; trains offline."""
    return dense_recipe(
        "digit-scenes", "segmentation", optimizer=Component(name="adam", lr=0.003), name="unet-digit-scenes"
    )


@named("fcn-digit-scenes", expected="0.949 ± 0.000 (n=3 seeds)")
def fcn_digit_scenes() -> Recipe:
    """Segmentation of scenes of digits by ResNet-20 made fully convolutional."""
    model = {"name": "fcn", "encoder": "resnet20"}
    return dense_recipe(
        "digit-scenes",
        "segmentation",
        model,
        optimizer=Component(name="adam", lr=0.003),
        name="fcn-digit-scenes",
    )


@named("unet-membrane", expected="0.923 (n=1 seed)")
def unet_membrane() -> Recipe:
    """U-Net with 31 million parameters on crops of 25 slices of a neuron stack."""
    return _membrane("unet-membrane", width=64, epochs=32)


@named("unet-small-membrane", expected="0.924 (n=1 seed)")
def unet_small_membrane() -> Recipe:
    """U-Net at a quarter of the width (1.9 million parameters) on the same slices."""
    return _membrane("unet-small-membrane", width=16, epochs=200)


def _membrane(name: str, *, width: int, epochs: int) -> Recipe:
    # Small crops: many steps on few pixels give better results than few steps on many.
    augment = Augment(crop=128, crops=4, flip=True, flip_vertical=True, quarter_turns=True)
    return dense_recipe(
        "membrane",
        "segmentation",
        {"name": "unet", "width": width},
        split=WHOLE,
        augment=augment,
        loss="cross-entropy",
        optimizer=Component(name="adam", lr=0.002),
        ema=0.99,
        epochs=epochs,
        batch_size=4,
        name=name,
    )


@named("denoise-photos", expected="32.3 dB, 11.2 more than the noisy photo (n=1 seed)")
def denoise_photos() -> Recipe:
    """Remove Gaussian noise of 25 from photos by a residual U-Net trained on one photo."""
    return _restored("denoise-photos", "denoise")


@named("deblur-photos", expected="32.9 dB, 3.9 more than the blurred photo (n=1 seed)")
def deblur_photos() -> Recipe:
    """Sharpen photos blurred by 2 pixels."""
    return _restored("deblur-photos", "deblur")


@named("super-resolution-photos", expected="35.0 dB, 1.0 more than by interpolation (n=1 seed)")
def super_resolution_photos() -> Recipe:
    """Enlarge photos to twice the size."""
    # With L1 the network remains at the identity; see docs/experiments.md.
    return _restored("super-resolution-photos", "super-resolution", loss="l2")


@named("denoise-cifar10", expected="27.7 ± 0.1 dB, 7.2 more than the noisy photos (n=3 seeds)")
def denoise_cifar10() -> Recipe:
    """Remove Gaussian noise of 25 from 32×32 photos."""
    return dense_recipe("cifar10", "denoise", epochs=3, name="denoise-cifar10")


@named("inpaint-cifar10", expected="30.4 ± 0.5 dB, 14.5 more than with holes (n=3 seeds)")
def inpaint_cifar10() -> Recipe:
    """Fill in white rectangles in 32×32 photos."""
    return dense_recipe("cifar10", "inpaint", epochs=3, name="inpaint-cifar10")


@named("colorize-cifar10", expected="25.3 ± 0.0 dB, 0.3 more than the gray photos (n=3 seeds)")
def colorize_cifar10() -> Recipe:
    """Color gray 32×32 photos."""
    return dense_recipe("cifar10", "colorize", epochs=3, name="colorize-cifar10")


def _restored(name: str, task: str, **fields: Any) -> Recipe:
    """Crops of one photo, with random tones so that the network generalizes to other colors."""
    augment = Augment(crop=64, crops=512, flip=True, flip_vertical=True, tone=0.9)
    return dense_recipe(
        "sample-photos",
        task,
        {"name": "unet", "width": 32, "depth": 3, "residual": True},
        augment=augment,
        optimizer=Component(name="adam", lr=0.005),
        ema=0.995,
        epochs=40,
        batch_size=16,
        name=name,
        **fields,
    )


@named("autoencoder-digits", expected="16.5 ± 0.1 dB, squared error 0.0241 (n=3 seeds)")
def autoencoder_digits() -> Recipe:
    """Reconstruct the bundled digits through a bottleneck of 8 numbers."""
    model = {"name": "dense-autoencoder", "code": 8, "hidden": (64,)}
    return dense_recipe("digits", "reconstruct", model, epochs=60, batch_size=32, name="autoencoder-digits")


@named("conv-autoencoder-digits", expected="16.0 ± 0.1 dB, 1.1 more than the noisy digits (n=3 seeds)")
def conv_autoencoder_digits() -> Recipe:
    """Reconstruct the bundled digits from noise of 60 through a convolutional bottleneck of 8 numbers."""
    model = {"name": "conv-autoencoder", "code": 8, "width": 16}
    recipe = dense_recipe("digits", "reconstruct", model, epochs=60, batch_size=32)
    return override(recipe, {"name": "conv-autoencoder-digits", "task.sigma": 60})


@named("autoencoder-mnist", expected="19.4 dB, squared error 0.0134 (n=1 seed)")
def autoencoder_mnist() -> Recipe:
    """Reconstruct MNIST through a fully connected bottleneck of 32 numbers."""
    return dense_recipe(
        "mnist", "reconstruct", {"name": "dense-autoencoder", "code": 32}, epochs=20, name="autoencoder-mnist"
    )


@named("temporal-digits", expected="0.994 ± 0.000 (n=3 seeds)")
def temporal_digits() -> Recipe:
    """The bundled digits read by column, as series of 8 steps."""
    return series_recipe("digits", preprocess=Preprocess(), epochs=30, batch_size=64, name="temporal-digits")


@named("temporal-ecg200", expected="0.904 ± 0.011 (n=5 seeds)")
def temporal_ecg200() -> Recipe:
    """Classify heart beats (normal or infarction) by dilated convolutions in time."""
    return series_recipe("ecg200", split=WHOLE, name="temporal-ecg200")


LOW, HIGH = ("0", "1", "2", "3", "4"), ("5", "6", "7", "8", "9")
FIRST = ("airplane", "automobile", "bird", "cat", "deer")
REST = ("dog", "frog", "horse", "ship", "truck")


@named("digits-low", expected="0.970 ± 0.023 (n=3 seeds)")
def digits_low() -> Recipe:
    """The bundled digits 0 to 4; provides the weights for `digits-high`."""
    return _some("digits-low", "digits", "small-convnet", LOW, epochs=10)


@named("digits-high", expected="0.974 ± 0.013 (n=3 seeds)")
def digits_high() -> Recipe:
    """The digits 5 to 9 from 20 labels each, fine-tuned from runs/digits-low-1."""
    return _few("digits-high", "digits", "small-convnet", HIGH, "runs/digits-low-1", per_class=20)


@named("cifar10-first", expected="0.877 (n=1 seed)")
def cifar10_first() -> Recipe:
    """ResNet-20 on five classes of CIFAR-10; provides the weights for `cifar10-rest`."""
    return _some("cifar10-first", "cifar10", "resnet20", FIRST, epochs=8)


@named("cifar10-rest", expected="0.817 ± 0.002 (n=3 seeds)")
def cifar10_rest() -> Recipe:
    """The other five classes from 50 labels each, fine-tuned from runs/cifar10-first-1."""
    return _few("cifar10-rest", "cifar10", "resnet20", REST, "runs/cifar10-first-1", per_class=50)


def _some(name: str, source: str, model: str, classes: tuple[str, ...], **fields: Any) -> Recipe:
    """The default recipe for some of the classes."""
    recipe = default_recipe(source, model)
    changes = {"name": name, "data.classes": classes, "optimizer.lr": 0.01 if model == "resnet20" else 0.003}
    return override(recipe, {**changes, **fields})


def _few(
    name: str, source: str, model: str, classes: tuple[str, ...], weights: str, *, per_class: int
) -> Recipe:
    """A few labels of other classes, with pretrained weights from a run on the first ones."""
    changes = {"weights.source": weights, "split.per_class": per_class, "batch_size": 32}
    return _some(name, source, model, classes, epochs=40, **changes)
