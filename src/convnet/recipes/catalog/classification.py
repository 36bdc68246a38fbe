"""Recipes for classification from the lectures and demos, and for small networks."""

from __future__ import annotations

from convnet.data import Augment, Data, Preprocess
from convnet.recipes.catalog.registry import named
from convnet.recipes.components import Component
from convnet.recipes.recipe import Recipe
from convnet.training import Regularizers


@named("digits", expected="0.993 ± 0.002 (n=5 seeds)")
def digits() -> Recipe:
    """The 1,797 bundled digits of 8×8 pixels; trains offline in seconds."""
    return Recipe(
        name="digits",
        data=Data(source="digits"),
        preprocess=Preprocess(),
        augment=Augment(shift=1),
        model=Component(name="small-convnet"),
        optimizer=Component(name="adam", lr=0.003),
        schedule=Component(name="one-cycle"),
        epochs=30,
        batch_size=64,
    )


@named("lecture-mnist", expected="0.991 ± 0.002 (n=3 seeds)")
def lecture_mnist() -> Recipe:
    """The lectures' programming task on MNIST: two convolutions, dropout, Adam."""
    return Recipe(
        name="lecture-mnist",
        data=Data(source="mnist"),
        preprocess=Preprocess(normalize="range"),
        model=Component(name="lecture-mnist"),
        optimizer=Component(name="adam"),
        epochs=10,
        batch_size=128,
    )


@named("lenet5-mnist", expected="0.992 ± 0.001 (n=3 seeds)")
def lenet5_mnist() -> Recipe:
    """LeNet-5 on MNIST: shifts of up to 2 pixels, one-cycle Adam."""
    return Recipe(
        name="lenet5-mnist",
        data=Data(source="mnist"),
        augment=Augment(shift=2),
        model=Component(name="lenet5"),
        optimizer=Component(name="adam", lr=0.003),
        schedule=Component(name="one-cycle"),
        epochs=15,
        batch_size=128,
    )


@named("convnetjs-mnist", expected="0.986 ± 0.001 (n=3 seeds)")
def convnetjs_mnist() -> Recipe:
    """ConvNetJS's MNIST demo: Adadelta, batches of 20, L2 0.001, shifts of up to 2 pixels."""
    return Recipe(
        name="convnetjs-mnist",
        data=Data(source="mnist"),
        preprocess=Preprocess(normalize="range"),
        augment=Augment(shift=2),
        model=Component(name="convnetjs-mnist"),
        regularizers=Regularizers(l2=0.001),
        optimizer=Component(name="adadelta", rho=0.95),
        epochs=5,
        batch_size=20,
    )


@named("convnetjs-cifar10", expected="0.45 (n=1 seed)")
def convnetjs_cifar10() -> Recipe:
    """ConvNetJS's CIFAR-10 demo: Adadelta, batches of 4, L2 0.0001, flips and 2-pixel shifts."""
    return Recipe(
        name="convnetjs-cifar10",
        data=Data(source="cifar10"),
        augment=Augment(flip=True, shift=2),
        model=Component(name="convnetjs-cifar10"),
        regularizers=Regularizers(l2=0.0001),
        optimizer=Component(name="adadelta", rho=0.95),
        epochs=5,
        batch_size=4,
    )


@named("resnet9-cifar10", expected="0.921 ± 0.002 (n=3 seeds)")
def resnet9_cifar10() -> Recipe:
    """ResNet-9 on CIFAR-10: Nesterov, one cycle, label smoothing, flips and 4-pixel crops."""
    return Recipe(
        name="resnet9-cifar10",
        data=Data(source="cifar10"),
        augment=Augment(flip=True, pad_crop=4, cutout=8),
        model=Component(name="resnet9"),
        loss=Component(name="cross-entropy", label_smoothing=0.1),
        optimizer=Component(name="nesterov", lr=0.1, weight_decay=5e-4),
        schedule=Component(name="one-cycle"),
        epochs=24,
        batch_size=256,
    )


@named("pattern-mnist", expected="0.995 (n=1 seed)")
def pattern_mnist() -> Recipe:
    """[(CONV-RELU)*2-POOL]*3-(FC-RELU)*1-SOFTMAX on MNIST: shifts of up to 2 pixels, one-cycle Adam."""
    return _small("pattern", "mnist", Augment(shift=2), epochs=5)


@named("neocognitron-mnist", expected="0.990 (n=1 seed)")
def neocognitron_mnist() -> Recipe:
    """The neocognitron on MNIST: shifts of up to 2 pixels, one-cycle Adam."""
    return _small("neocognitron", "mnist", Augment(shift=2), epochs=5)


@named("lecture-picture-cifar10", expected="0.604 (n=1 seed)")
def lecture_picture_cifar10() -> Recipe:
    """The network of the lectures' pictures on CIFAR-10: flips and 2-pixel shifts, one-cycle Adam."""
    return _small("lecture-picture", "cifar10", Augment(flip=True, shift=2), epochs=10)


def _small(model: str, source: str, augment: Augment, *, epochs: int) -> Recipe:
    return Recipe(
        name=f"{model}-{source}",
        data=Data(source=source),
        augment=augment,
        model=Component(name=model),
        optimizer=Component(name="adam", lr=0.003),
        schedule=Component(name="one-cycle"),
        epochs=epochs,
        batch_size=128,
    )
