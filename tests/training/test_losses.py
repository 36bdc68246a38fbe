from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity as skimage_ssim

from convnet.errors import RecipeError
from convnet.layers import structural_similarity
from convnet.training import LOSSES, check_gradients
from convnet.types import IGNORED

CAT, CAR, FROG = [3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]


KINDS = [(name, target) for name in LOSSES for target in LOSSES.facts(name)]


def sample(target: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs and targets of five samples."""
    torch.manual_seed(0)
    if target == "class":
        return torch.randn(5, 4), torch.tensor([0, 3, 1, 1, 2])
    if target == "labels":
        return torch.randn(5, 4), (torch.rand(5, 4) < 0.5).float()
    if target == "mask":
        return torch.randn(5, 3, 4, 6), torch.randint(0, 3, (5, 4, 6))
    return torch.rand(5, 2, 12, 14), torch.rand(5, 2, 12, 14)


@pytest.mark.parametrize(("name", "target"), KINDS)
def test_every_loss_has_right_gradients_and_averages_over_the_batch(name: str, target: str) -> None:
    loss = LOSSES.build(name)
    outputs, targets = sample(target)
    floating = targets.is_floating_point()
    check = check_gradients(lambda x: loss(x, targets.to(x.dtype) if floating else targets), outputs)
    assert check.passed, str(check)
    one_by_one = torch.stack([loss(outputs[i : i + 1], targets[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(loss(outputs, targets), one_by_one.mean())


@pytest.mark.parametrize("name", [name for name, target in KINDS if target == "mask"])
def test_places_without_a_class_do_not_count(name: str) -> None:
    outputs, targets = sample("mask")
    targets[:, :, 3:] = IGNORED
    changed = outputs.clone()
    changed[:, :, :, 3:] += torch.randn_like(changed[:, :, :, 3:])
    loss = LOSSES.build(name)
    torch.testing.assert_close(loss(changed, targets), loss(outputs, targets))
    assert loss(outputs, torch.full_like(targets, IGNORED)).isfinite()


@pytest.mark.parametrize("name", ["cross-entropy", "focal", "dice", "cross-entropy-dice"])
def test_class_weights_move_the_loss_towards_their_class(name: str) -> None:
    outputs, targets = sample("mask")
    outputs[:, 2] -= 3  # class 2 is never found
    plain, heavy = LOSSES.build(name), LOSSES.build(name, class_weights=[1, 1, 20])
    assert heavy(outputs, targets) > plain(outputs, targets)
    with pytest.raises(RecipeError, match="2 numbers for 3 classes"):
        LOSSES.build(name, class_weights=[1, 2])(outputs, targets)


def test_the_dice_loss_by_hand() -> None:
    """Certain predictions: 1 − (2·overlap + 1) / (predicted + true + 1), averaged over both classes."""
    targets = torch.tensor([[[0, 0, 1, 1]]])
    predicted = torch.tensor([0, 1, 1, 1])
    logits = (50 * torch.nn.functional.one_hot(predicted, 2).T.float()).view(1, 2, 1, 4)
    expected = 1 - ((2 * 1 + 1) / (1 + 2 + 1) + (2 * 2 + 1) / (3 + 2 + 1)) / 2
    assert LOSSES.build("dice")(logits, targets).item() == pytest.approx(expected)


@given(st.floats(0, 4), st.integers(0, 99))
def test_focal_against_its_definition(gamma: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, 3, (4,), generator=generator)
    p = logits.softmax(1)[torch.arange(4), targets]
    expected = (-((1 - p) ** gamma) * p.log()).mean()
    torch.testing.assert_close(LOSSES.build("focal", gamma=gamma)(logits, targets), expected)


@pytest.mark.parametrize("shape", [(16, 20), (33, 11)])
def test_ssim_is_that_of_scikit_image(shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    a = generator.random(shape)
    b = np.clip(a + generator.normal(0, 0.2, shape), 0, 1)
    expected = skimage_ssim(
        a, b, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, win_size=11
    )
    found = structural_similarity(*(torch.tensor(x)[None, None] for x in (a, b))).item()
    assert found == pytest.approx(expected, abs=1e-6)
    assert structural_similarity(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 4, 4)).item() == pytest.approx(1)


def test_the_svm_loss_by_hand() -> None:
    """M02: Σ_{j≠y} max(0, s_j − s_y + 1) is 2.9, 0 and 12.9 for these scores; their mean is 5.27."""
    hinge = LOSSES.build("hinge")
    scores = torch.tensor([CAT, CAR, FROG])
    each = [hinge(scores[i : i + 1], torch.tensor([i])).item() for i in range(3)]
    assert each == pytest.approx([2.9, 0.0, 12.9], abs=1e-5)
    assert hinge(scores, torch.tensor([0, 1, 2])).item() == pytest.approx(15.8 / 3, abs=1e-5)


def test_the_softmax_loss_by_hand() -> None:
    """M02: −log softmax of the cat's score is −log 0.13."""
    exponentials = [math.exp(s) for s in CAT]
    expected = -math.log(exponentials[0] / sum(exponentials))
    found = LOSSES.build("cross-entropy")(torch.tensor([CAT]), torch.tensor([0])).item()
    assert found == pytest.approx(expected)
    assert expected == pytest.approx(-math.log(0.13), abs=0.01)


@settings(max_examples=30)
@given(st.integers(2, 6), st.integers(1, 5), st.floats(0, 0.5), st.integers(0, 99))
def test_losses_against_their_definitions(k: int, n: int, smoothing: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    s = torch.randn(n, k, generator=generator, dtype=torch.float64) * 3
    y = torch.randint(0, k, (n,), generator=generator)
    right = y.tolist()
    hinge = squared = smooth = rosenblatt = 0.0
    for i in range(n):
        p = (s[i] - s[i].logsumexp(0)).tolist()
        for j in range(k):
            hinge += max(0.0, float(s[i, j] - s[i, y[i]]) + 1) if j != right[i] else 0.0
            squared += (float(s[i, j]) - (j == right[i])) ** 2
            rosenblatt += (float(s[i, j] > 0) - (j == right[i])) * float(s[i, j])
            smooth -= p[j] * ((j == right[i]) * (1 - smoothing) + smoothing / k)
    assert LOSSES.build("hinge")(s, y).item() == pytest.approx(hinge / n, abs=1e-9)
    assert LOSSES.build("perceptron")(s, y).item() == pytest.approx(rosenblatt / n, abs=1e-9)
    assert LOSSES.build("squared-error")(s, y).item() == pytest.approx(squared / n)
    assert LOSSES.build("cross-entropy", label_smoothing=smoothing)(s, y).item() == pytest.approx(smooth / n)
