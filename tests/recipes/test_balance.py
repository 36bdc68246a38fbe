from __future__ import annotations

import pytest
import torch

import convnet
from convnet.data import Loader, TensorDataset, from_tensors
from convnet.errors import DataError, RecipeError
from convnet.recipes import Recipe
from convnet.recipes.balance import choose_loss, class_weights, sampling_weights

COUNTS = (900, 90, 10)


def unbalanced() -> TensorDataset:
    targets = torch.repeat_interleave(torch.arange(3), torch.tensor(COUNTS))
    n = len(targets)
    images = torch.zeros((n, 1, 2, 2), dtype=torch.uint8)
    return from_tensors("s", images, targets, ("a", "b", "c"), [str(i) for i in range(n)])


def test_weights_make_all_classes_weigh_the_same() -> None:
    data = unbalanced()
    all_images = torch.arange(len(data))
    weights = class_weights(data, all_images)
    assert torch.allclose(weights * torch.tensor(COUNTS), torch.full((3,), 1000 / 3, dtype=torch.float64))
    name, options = choose_loss("weights", "cross-entropy", {}, data, all_images)
    assert (name, options["class_weights"]) == ("cross-entropy", tuple(weights.tolist()))
    with pytest.raises(DataError, match="'c' has no training sample"):
        class_weights(data, all_images[:950])


def test_the_sampler_draws_all_classes_equally_often() -> None:
    data = unbalanced()
    all_images = torch.arange(len(data))
    weights = sampling_weights("sampler", data, all_images)
    drawn = torch.cat([b.targets for b in Loader(data, all_images, 100, seed=0, weights=weights).epoch()])
    assert len(drawn) == 1000
    assert all(280 < count < 390 for count in torch.bincount(drawn).tolist())
    assert sampling_weights("weights", data, all_images) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"balance": "focal", "loss": "hinge"}, "replaces cross-entropy, not 'hinge'"),
        ({"balance": "weights", "loss": "hinge"}, "use cross-entropy or focal"),
        ({"balance": "weights", "loss": {"name": "cross-entropy", "class_weights": [1, 2]}}, "use one"),
        (
            {"balance": "weights", "task": "segmentation", "model": "unet"},
            "does not apply to this kind of target",
        ),
        ({"balance": "sampler", "task": "multi-label"}, "use weights"),
        ({"balance": "all"}, "must be 'none', 'weights', 'sampler' or 'focal'"),
    ],
)
def test_a_balance_that_would_do_nothing_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Recipe.from_dict({"name": "x", "data": {"source": "digits"}, "model": "linear", **change})


@pytest.mark.parametrize("balance", ["none", "weights", "sampler", "focal"])
def test_every_balance_trains_and_is_judged_by_the_same_loss(balance: str, tmp_path: object) -> None:
    run = convnet.train("digits", epochs=2, balance=balance, out=f"{tmp_path}/run")
    assert run.result["test"]["balanced_accuracy"] > 0.5
    assert run.result["val"]["loss"] == pytest.approx(run.evaluate(split="val").loss, rel=1e-4)
