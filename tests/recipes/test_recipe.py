from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convnet.data import DATASETS, Augment, Preprocess, SplitOptions
from convnet.errors import RecipeError, UnknownNameError
from convnet.models import MODELS
from convnet.recipes import (
    RECIPES,
    Component,
    Data,
    EarlyStopping,
    Recipe,
    default_recipe,
    named_recipe,
    override,
)
from convnet.tasks import TASKS
from convnet.training import LOSSES, OPTIMIZERS, SCHEDULES, Regularizers

# Parsed once, outside of all strategies: beartype draws random numbers where it looks into containers.
for name in MODELS:
    MODELS.options(name, {})

positive = st.floats(1e-6, 10)
share = st.floats(0, 0.9)

moves = {"flip": st.booleans(), "shift": st.integers(0, 4), "rotate": st.floats(0, 90)}
mixing = {"cutout": st.integers(0, 9), "mixup": st.floats(0, 2), "cutmix": st.floats(0, 2)}
TARGETS = {
    "class": ["classification"],
    "mask": ["segmentation"],
    "labels": ["multi-label"],
    "image": sorted({*TASKS} - {"classification", "segmentation", "multi-label"}),
}


def choices(names: Iterable[str], **options: Any) -> st.SearchStrategy[Component]:
    return st.builds(Component, name=st.sampled_from(sorted(names)), **options)


def of_target(target: str) -> st.SearchStrategy[dict[str, Any]]:
    """What has to fit together: a task, a model, a loss and an augmentation for one kind of target."""
    mlp = st.builds(
        Component, name=st.just("mlp"), hidden=st.lists(st.integers(1, 99), max_size=4), dropout=share
    )
    head = "class" if target == "labels" else target
    models = choices(name for name in MODELS if head in MODELS.facts(name).targets)
    return st.fixed_dictionaries(
        {
            "task": choices(TARGETS[target]),
            "model": models | mlp if head == "class" else models,
            "loss": choices(name for name in LOSSES if target in LOSSES.facts(name)),
            "augment": st.builds(Augment, **moves, **(mixing if head == "class" else {})),
        }
    )


fields = {
    "name": st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12),
    "data": st.builds(Data, source=st.sampled_from(["digits", "a/b c", "ordner/ä"])),
    "split": st.builds(SplitOptions, val=st.none() | share, seed=st.integers(0, 9)),
    "preprocess": st.builds(
        Preprocess,
        image_size=st.none() | st.integers(1, 512),
        channels=st.sampled_from([None, 1, 3]),
        resize=st.sampled_from(["stretch", "letterbox", "crop"]),
        normalize=st.sampled_from(["channel", "pixel", "range"]),
    ),
    "regularizers": st.builds(
        Regularizers, l1=st.floats(0, 1), l2=st.floats(0, 1), max_norm=st.none() | positive
    ),
    "optimizer": st.builds(Component, name=st.sampled_from(sorted(OPTIMIZERS)), lr=positive),
    "schedule": st.builds(Component, name=st.sampled_from(sorted(SCHEDULES)), warmup_epochs=st.floats(0, 5)),
    "epochs": st.integers(1, 500),
    "batch_size": st.integers(1, 4096),
    "clip_norm": st.none() | positive,
    "ema": st.none() | st.floats(0.1, 0.9999),
    "early_stopping": st.none() | st.builds(EarlyStopping, patience=st.integers(1, 20)),
    "precision": st.sampled_from(["auto", "fp32", "bf16"]),
    "seed": st.integers(0, 2**40),
}
# Recipes are built in the test: type checks of their parts use `random`, which strategies must not do.
recipes = st.one_of(
    of_target(target).flatmap(
        lambda fitting: st.fixed_dictionaries(fields).map(lambda rest: {**rest, **fitting})
    )
    for target in TARGETS
)


@settings(max_examples=60)
@given(recipes)
def test_a_recipe_survives_yaml(content: dict[str, Any]) -> None:
    recipe = Recipe(**content)
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe
    assert override(recipe, {}) == recipe


@given(st.text(max_size=80))
def test_arbitrary_text_is_a_recipe_or_a_clean_error(text: str) -> None:
    with pytest.raises((RecipeError, UnknownNameError)):
        Recipe.from_yaml(text)


@pytest.mark.parametrize("name", list(RECIPES))
def test_every_named_recipe_is_complete(name: str) -> None:
    recipe = named_recipe(name)
    assert recipe.name == name
    assert recipe.data.source in {*DATASETS, "imagenet"}  # the one folder that a person must bring
    assert RECIPES[name].summary
    assert RECIPES[name].expected
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe


@pytest.mark.parametrize("name", list(DATASETS))
def test_every_set_has_sensible_choices(name: str) -> None:
    recipe = default_recipe(name)
    assert recipe.augment.flip == DATASETS[name].photos


def test_overrides() -> None:
    base = named_recipe("digits")
    changed = override(base, {"optimizer.lr": "1e-2", "epochs": 3, "early_stopping.patience": 2})
    assert changed.optimizer.options["lr"] == 0.01
    assert changed.epochs == 3
    assert changed.early_stopping == EarlyStopping(patience=2)
    replaced = override(base, {"optimizer": "sgd", "optimizer.lr": 0.5})
    assert replaced.optimizer == Component(name="sgd", lr=0.5, weight_decay=0.0)
    for order in (["optimizer.lr", "optimizer.name"], ["optimizer.name", "optimizer.lr"]):
        values = {"optimizer.lr": 0.1, "optimizer.name": "sgd"}
        assert override(base, {key: values[key] for key in order}).optimizer.options["lr"] == 0.1
    assert override(base, {"optimizer.name": "sgd"}).optimizer.options["lr"] == 0.01


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimzer": "adam"}, "did you mean 'optimizer'"),
        ({"optimizer": "adm"}, "did you mean 'adam'"),
        ({"optimizer.lrr": 1}, "did you mean 'lr'"),
        ({"optimizer.lr": -1}, "greater than 0, got -1"),
        ({"optimizer.lr": "fast"}, "lr: .*valid number"),
        ({"optimizer.lr": float("nan")}, "finite"),
        ({"augment.flop": True}, "did you mean 'flip'"),
        ({"model.activation": "rilu"}, "'relu'"),
        ({"epochs": -1}, "epochs: .*got -1"),
        ({"epochs": 0}, "augment does not apply: epochs is 0"),
        ({"split.val": 1.0}, "less than 1"),
        ({"loss": "hinge", "loss.label_smoothing": 0.1}, "'label_smoothing' is not an option of loss hinge"),
        ({"schedule": "constant", "schedule.final": 0.1}, "'final' is not an option"),
        ({"decay_biases": True}, "does not apply"),
        ({"regularizers.biases": True}, "does not apply"),
        ({"augment.shift": 1, "augment.pad_crop": 1}, "use one"),
        ({"epochs.x": 1}, "is a value and has no fields"),
        ({"nothing.x": 1}, "'nothing' is not a field"),
    ],
)
def test_what_does_not_apply_is_an_error(values: dict[str, object], message: str) -> None:
    with pytest.raises((RecipeError, UnknownNameError), match=message):
        override(named_recipe("digits"), values)


def test_a_recipe_file_with_a_misspelt_field_names_file_and_field(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(named_recipe("digits").to_yaml().replace("batch_size", "batchsize"))
    with pytest.raises(RecipeError, match=r"r\.yaml: 'batchsize' .*did you mean 'batch_size'"):
        Recipe.from_file(path)
    path.write_text("a: [")
    with pytest.raises(RecipeError, match=r"r\.yaml: not YAML"):
        Recipe.from_file(path)
