"""The fields of recipes that follow from pretrained weights, and those that do not apply to them (M47)."""

from __future__ import annotations

from functools import reduce
from pathlib import Path

import pytest

import convnet
from convnet.recipes import Recipe, open_recipe_data, override, split_data
from convnet.recipes.applicable import head_only
from convnet.recipes.defaults import default_recipe
from convnet.recipes.resolve import choose_recipe
from convnet.recipes.settle import settle
from tests.conftest import PHOTOS


def settled(recipe: Recipe) -> tuple[object, int]:
    found = settle(recipe, *split_data(recipe, open_recipe_data(recipe)))
    assert found.weights is not None
    return found.weights.finetune, found.epochs


def test_what_is_trained_follows_from_the_options() -> None:
    def finetune(**changes: object) -> tuple[object, int]:
        recipe = choose_recipe(str(PHOTOS), {key.replace("__", "."): v for key, v in changes.items()})
        return settled(recipe)

    assert finetune() == ("head", 0)
    assert finetune(epochs=5) == ("full", 5)
    assert finetune(minutes=5) == ("full", 10)
    assert finetune(minutes=5, split__per_class=2) == ("head", 0)
    assert finetune(optimizer__lr=0.01) == ("full", 10)
    assert finetune(loss="focal") == ("full", 10)
    assert finetune(weights__last_parts=1) == ("full", 10)
    assert finetune(balance="weights") == ("head", 0)
    assert finetune(finetune="head", minutes=1, balance="sampler") == ("head", 0)
    assert finetune(epochs=0) == ("head", 0)


def test_another_model_brings_its_own_weights_or_none() -> None:
    recipe = default_recipe(str(PHOTOS))
    small = choose_recipe(recipe, {"model": "small-convnet"})
    assert small.weights is None and small.preprocess.normalize == "channel"
    other = choose_recipe(override(recipe, {"weights.sha256": "0" * 64}), {"model": "mobilenet-v2"})
    assert other.weights is not None and other.weights.sha256 is None
    assert other.preprocess.normalize == "imagenet" and other.preprocess.interpolation == "bilinear"


def test_fine_tuning_sees_larger_images_than_its_training_crops() -> None:
    def sizes(**changes: object) -> tuple[object, ...]:
        recipe = choose_recipe(str(PHOTOS), {"epochs": 1, **changes})
        found = settle(recipe, *split_data(recipe, open_recipe_data(recipe)), reopens=True)
        return found.preprocess.image_size, found.augment.resized_to, found.augment.random_resized_crop

    weights = {"weights.source": "imagenet"}
    assert sizes() == (288, 224, 0.35)
    assert sizes(augment="strong") == (288, 224, 0.25)
    assert sizes(model="mobilenet-v2", **weights) == (288, 224, 0.35)
    assert sizes(model="efficientnet-lite2", **weights) == (320, 260, 0.35)
    assert sizes(model="vgg-a", **weights) == (224, 0, 0.5)  # its dense layers take one size
    assert sizes(image_size=160) == (160, 0, 0.5)
    assert sizes(**{"augment.resized_to": 224}) == (224, 224, 0.5)
    assert sizes(augment="none") == (224, 0, None)
    with pytest.raises(convnet.ConvnetError, match=r"resized_to=32 does not apply to model 'lenet5'"):
        convnet.train(PHOTOS, model="lenet5", **{"preprocess.image_size": 64, "augment.resized_to": 32})
    with pytest.raises(convnet.ConvnetError, match=r"resized_to does not apply without augment.random_res"):
        choose_recipe(str(PHOTOS), {"augment.random_resized_crop": None, "augment.resized_to": 32})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 3}, r"finetune=head fits only the head .* epochs is 3"),
        ({"batch_size": 8}, r"batch_size does not apply: weights.finetune=head fits only the head"),
        ({"loss": "focal"}, r"loss does not apply: weights.finetune=head fits only the head"),
        ({"weights.last_parts": 7}, r"weights.last_parts does not apply: weights.finetune=head"),
        ({"balance": "focal"}, r"balance=focal does not apply to weights.finetune=head"),
    ],
)
def test_options_of_steps_do_not_apply_to_heads(changes: dict[str, object], message: str) -> None:
    with pytest.raises(convnet.ConvnetError, match=message):
        choose_recipe(str(PHOTOS), {"finetune": "head", **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "segmentation", "model.encoder": [1]}, r"model unet: encoder: must be a valid string"),
        ({"weights.source": 5}, r"weights.source: must be a valid string, got 5"),
        ({"weights.finetune": "none"}, r"weights.finetune: must be 'auto', 'head' or 'full'"),
        ({"weights.last_parts": "all"}, r"weights.last_parts: .*got .all."),
        ({"minutes": "five"}, r"minutes: .*got .five."),
        ({"minutes": -1}, r"minutes: .*got -1"),
    ],
)
def test_values_of_a_wrong_type_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(convnet.ConvnetError, match=message):
        choose_recipe(str(PHOTOS), changes)


def test_frozen_epochs_are_fewer_than_those_that_fit_into_the_time() -> None:
    recipe = choose_recipe(str(PHOTOS), {"minutes": 5, "weights.freeze_epochs": 5})
    shortened = override(recipe, {"epochs": 3})
    assert shortened.weights is not None and shortened.weights.frozen_epochs(3) == 2
    with pytest.raises(convnet.ConvnetError, match="freeze_epochs=5 leaves nothing to fine-tune in 3 epochs"):
        choose_recipe(str(PHOTOS), {"epochs": 3, "weights.freeze_epochs": 5})


FOLLOWS: list[tuple[dict[str, object], dict[str, object]]] = [
    ({"model": "mobilenet-v2", "weights.last_parts": 2}, {"preprocess.normalize": "imagenet", "epochs": 10}),
    ({"model": "mobilenet-v2", "weights.source": "imagenet"}, {"preprocess.interpolation": "bilinear"}),
    ({"model": "mobilenet-v2", "weights": {"source": "imagenet"}}, {"preprocess.normalize": "imagenet"}),
    ({"model": "small-convnet", "epochs": 1}, {"weights": None, "epochs": 1}),
    ({"model": "efficientnet-lite1", "image_size": 160}, {"preprocess.image_size": 160}),
    ({"balance": "focal"}, {"weights.finetune": "full"}),
    ({"lr": 0.0005, "batch_size": 32}, {"weights.finetune": "full"}),  # the defaults
    ({"model.dropout": 0.5}, {"weights.finetune": "full"}),
    ({"finetune": None, "epochs": 5}, {"weights.finetune": None, "epochs": 5}),
    ({"finetune": "head"}, {"epochs": 0, "weights.freeze_norms": False}),
    ({"finetune": "auto", "epochs": 0}, {"epochs": 0, "weights.finetune": "head"}),
]


@pytest.mark.parametrize(("changes", "expected"), FOLLOWS)
def test_what_follows_from_weights(changes: dict[str, object], expected: dict[str, object]) -> None:
    """The same whether a folder or its recipe is changed."""
    for start in (str(PHOTOS), default_recipe(str(PHOTOS))):
        if start == str(PHOTOS) and "model" in changes and "source" not in str(changes):
            continue  # a model alone is trained from random weights
        recipe = choose_recipe(start, changes)
        for field, value in expected.items():
            assert reduce(getattr, field.split("."), recipe) == value, field


def test_a_head_is_fine_tuned_with_the_usual_fields() -> None:
    head = choose_recipe(str(PHOTOS), {"finetune": "head", "weights.sha256": "0" * 64})
    usual = default_recipe(str(PHOTOS))
    for changes in ({"epochs": 3}, {"finetune": "full"}):
        found = choose_recipe(head, changes)
        assert found.weights is not None and (found.weights.finetune, found.weights.last_parts) == ("full", 3)
        assert found.weights.sha256 == "0" * 64 and found.epochs == changes.get("epochs", 10)
        assert (found.optimizer, found.augment, found.ema) == (usual.optimizer, usual.augment, usual.ema)
    faster = choose_recipe(
        head, {"lr": 0.01, "augment.flip": False, "schedule.warmup_epochs": 2, "epochs": 10}
    )
    assert faster.optimizer.options["lr"] == 0.01 and faster.augment.flip is False and faster.epochs == 10
    with pytest.raises(convnet.ConvnetError, match=r"use --set weights.finetune=full --epochs 10"):
        choose_recipe(head, {"lr": 0.01})


def test_other_weights_have_another_checksum() -> None:
    stored = override(default_recipe(str(PHOTOS)), {"weights.sha256": "0" * 64})
    for changes in ({"weights.source": "other.pth"}, {"weights": {"source": "other.pth"}}):
        found = choose_recipe(stored, changes).weights
        assert found is not None and (found.source, found.sha256) == ("other.pth", None)


def test_a_new_task_brings_its_own_loss() -> None:
    recipe = choose_recipe(default_recipe(str(PHOTOS)), {"task": "multi-label", "finetune": "head"})
    assert recipe.loss.name == "binary-cross-entropy"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"finetune": "head", "last_parts": 7}, r"last_parts does not apply: weights.finetune=head"),
        ({"finetune": "head", "freeze_norms": True}, r"freeze_norms does not apply: weights.finetune=head"),
        ({"model": "resnet18", "finetune": "head"}, r"weights.source is not set, .* --weights"),
        ({"model": "small-convnet", "weights.source": "imagenet"}, r"none are known for 'small-convnet'"),
        ({"lr": 0.1, "optimizer.lr": 0.2}, r"'optimizer.lr' is set to 0.1 and to 0.2; set it once"),
        (
            {"weights": {"source": "a"}, "weights.source": "b"},
            r"weights.source' is set to a and to b",
        ),
        ({"schedule": "step", "loss": "focal", "gamma": 3}, r"'gamma' may be loss.gamma or schedule.gamma"),
    ],
)
def test_what_does_not_fit_together_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(convnet.ConvnetError, match=message):
        choose_recipe(str(PHOTOS), changes)


def test_fine_tuning_stops_early_only_by_the_validation_split() -> None:
    """The training loss is lowest while only the fitted head is trained."""

    def stopping(**changes: object) -> object:
        recipe = choose_recipe(str(PHOTOS), {"epochs": 3, **changes})
        return settle(recipe, *split_data(recipe, open_recipe_data(recipe))).early_stopping

    usual = default_recipe(str(PHOTOS)).early_stopping
    assert usual is not None
    assert stopping(**{"split.val": 0.2}) == usual
    assert stopping(**{"split.val": 0, "split.test": 0.2}) is None
    asked = stopping(**{"split.val": 0, "early_stopping": {"patience": 2, "monitor": "loss"}})
    assert asked == usual.model_copy(update={"patience": 2, "monitor": "loss"})


def test_images_that_are_small_for_their_weights_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "convnet")
    changes = {"model": "efficientnet-lite0", "weights.source": "imagenet", "channels": 3}
    for size in (None, 224):
        caplog.clear()
        settled(choose_recipe("digits", {**changes, "image_size": size}))
        assert ("images of 8×8 pixels, but the weights" in caplog.text) == (size is None)


def test_a_settled_head_keeps_no_field_of_steps() -> None:
    recipe = choose_recipe(str(PHOTOS), {"finetune": "head", "freeze_norms": "auto"})
    assert settled(recipe) == ("head", 0)
    for changes in ({"loss": "focal"}, {"balance": "focal"}):
        full = choose_recipe(str(PHOTOS), changes)
        assert override(full, head_only(full)).loss.name == "cross-entropy"  # as a time limit does


def test_weights_of_a_run_bring_its_model_and_preparation(tmp_path: Path) -> None:
    run = convnet.train(PHOTOS, out=tmp_path / "run", finetune="head", image_size=96)
    found = choose_recipe(str(PHOTOS), {"weights.source": str(run.path), "epochs": 2})
    assert found.model == run.recipe.model and found.preprocess == run.recipe.preprocess
    small = choose_recipe(str(PHOTOS), {"weights.source": str(run.path), "model": "lenet5"})
    assert small.model.name == "lenet5" and small.preprocess.image_size == 96
    own = choose_recipe(str(PHOTOS), {"weights.source": str(run.path), "preprocess": {"image_size": 64}})
    assert own.preprocess.image_size == 64 and own.preprocess.interpolation == "bicubic"
    masks = choose_recipe("digit-scenes", {"weights.source": str(run.path), "epochs": 2})
    assert masks.model.name == "unet"
    encoded = choose_recipe(
        "digit-scenes", {"weights.source": str(run.path), "encoder": "efficientnet-lite0"}
    )
    assert encoded.weights is not None and encoded.weights.freeze_norms == "auto"
    assert encoded.preprocess.channels == 3 and encoded.preprocess.normalize == "efficientnet-lite"
    digits = convnet.train("digits", model="lenet5", image_size=32, epochs=1, out=tmp_path / "digits")
    assert choose_recipe("digits", {"weights.source": str(digits.path)}).model.name == "lenet5"
