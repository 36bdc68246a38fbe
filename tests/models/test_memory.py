"""Models that learn in one pass, and the perceptron's own rule (M01, M03)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier

from convnet.errors import ModelError
from convnet.models import build_model
from convnet.models.knn import NearestNeighbors
from convnet.training import LOSSES, OPTIMIZERS, parameter_groups
from convnet.types import ImageShape


def draw(n: int, seed: int, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 2, 3, 3, generator=generator), torch.randint(0, classes, (n,), generator=generator)


@settings(max_examples=25)
@given(st.integers(1, 12), st.sampled_from(["l1", "l2", "cosine"]), st.integers(0, 99))
def test_votes_are_scikit_learns(k: int, metric: str, seed: int) -> None:
    (x, y), (asked, _) = draw(60, seed), draw(9, seed + 1)
    model = NearestNeighbors(4, k, metric)  # type: ignore[arg-type]
    model.fit(lambda: [(x[:40], y[:40]), (x[40:], y[40:])], None)
    theirs = KNeighborsClassifier(
        k, metric={"l1": "manhattan", "l2": "euclidean", "cosine": "cosine"}[metric], algorithm="brute"
    ).fit(x.flatten(1).numpy(), y.numpy())
    shares = theirs.predict_proba(asked.flatten(1).numpy())
    known = np.zeros((9, 4))
    known[:, theirs.classes_] = shares
    np.testing.assert_allclose(model(asked).floor(), known * k, atol=1e-4)


def test_ties_go_to_the_nearer_neighbors() -> None:
    x = torch.tensor([0.0, 1, 2, 3])[:, None, None, None]
    model = NearestNeighbors(2, 2, "l2")
    model.fit(lambda: [(x, torch.tensor([1, 0, 0, 1]))], None)
    assert model(torch.tensor([[[[0.4]]], [[[0.6]]]])).argmax(1).tolist() == [1, 0]


def test_k_is_chosen_on_the_validation_samples() -> None:
    """Labels of which a fifth are wrong: one neighbor is too few."""
    x, _ = draw(600, 0)
    truth = (x[:, 0, 0, 0] > 0.5).long()
    noisy = torch.where(torch.rand(600, generator=torch.Generator().manual_seed(1)) < 0.2, 1 - truth, truth)
    features = x[:, :1, :1, :1]
    model = NearestNeighbors(2, None, "l2")
    model.fit(lambda: [(features[:400], noisy[:400])], lambda: [(features[400:], truth[400:])])
    assert int(model.chosen) >= 5
    with pytest.raises(ModelError, match="validation split, which is empty"):
        model.require_samples(600, 0)


def test_memory_is_as_small_as_the_pixels_were() -> None:
    pixels = torch.randint(0, 256, (30, 1, 5, 5), dtype=torch.uint8)
    model = NearestNeighbors(2, 1, "l2", most=10)
    model.fit(lambda: [(pixels / 255, torch.zeros(30, dtype=torch.int64))], None)
    assert model.memory.dtype == torch.uint8
    assert model.kept.tolist() == list(range(0, 30, 3))
    assert torch.equal(model.memory, pixels[model.kept].flatten(1))
    distances, _ = model.neighbors(pixels[3:4] / 255, 2)
    assert distances[0, 0] == 0
    other = NearestNeighbors(2, 1, "l2")
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(pixels / 255), model(pixels / 255))


def test_more_neighbors_than_samples() -> None:
    model = build_model("knn", ImageShape(1, 4, 4), 2, k=31)
    with pytest.raises(ModelError, match="k=31 exceeds the 30 training samples"):
        model.require_samples(30, 5)
    with pytest.raises(ModelError, match="is not fitted; call fit first"):
        model(torch.rand(1, 1, 4, 4))


def test_the_majority_class() -> None:
    model = build_model("majority", ImageShape(1, 2, 2), 3)
    model.fit(lambda: [(torch.rand(5, 1, 2, 2), torch.tensor([2, 1, 2, 2, 1]))], None)
    logits = model(torch.rand(4, 1, 2, 2))
    assert logits.argmax(1).tolist() == [2, 2, 2, 2]
    torch.testing.assert_close(logits.softmax(1)[0], torch.tensor([1.0, 3, 4]) / 8)


def test_the_perceptrons_rule() -> None:
    """M03: w ← w + α(d − y)x on 20×20 pixels, one unit a class, one sample at a time."""
    generator = np.random.default_rng(0)
    x, d = generator.random((40, 400)), generator.integers(0, 3, 40)
    w, b, alpha = np.zeros((3, 400)), np.zeros(3), 0.1
    model = build_model("perceptron", ImageShape(1, 20, 20), 3).double()
    loss = LOSSES.build("perceptron")
    optimizer = OPTIMIZERS.build("sgd", parameter_groups(model, decay_all=True), lr=alpha)
    for sample, target in zip(x, d, strict=True):
        y = (w @ sample + b > 0).astype(float)
        error = np.eye(3)[target] - y
        w, b = w + alpha * np.outer(error, sample), b + alpha * error
        optimizer.zero_grad()
        loss(model(torch.from_numpy(sample).view(1, 1, 20, 20)), torch.tensor([target])).backward()
        optimizer.step()
    state = model.state_dict()
    np.testing.assert_allclose(state["classifier.weight"], w, atol=1e-12)
    np.testing.assert_allclose(state["classifier.bias"], b, atol=1e-12)
    assert np.abs(w).max() > 0


@pytest.mark.parametrize("batches", [1, 2])
def test_memory_keeps_numbers_that_are_no_pixels(batches: int) -> None:
    """Negative ones, tiny ones, and columns of a table that happen to be whole 255ths."""
    pixels = torch.randint(0, 256, (8, 1, 4, 4)).float() / 255
    numbers = torch.cat([pixels, torch.full((8, 1, 4, 4), -0.2)])
    model = NearestNeighbors(2, 1, "l2")
    parts = numbers.chunk(batches)
    model.fit(lambda: [(part, torch.zeros(len(part), dtype=torch.int64)) for part in parts], None)
    torch.testing.assert_close(model.memory.view_as(numbers), numbers)
    table = torch.tensor([[1e-6], [3e-6], [0.2]])[:, :, None, None]
    model.fit(lambda: [(table, torch.zeros(3, dtype=torch.int64))], None)
    assert torch.equal(model.memory, table.flatten(1))
