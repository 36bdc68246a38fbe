"""One step of training and its measurements."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from convnet.device import Compute
from convnet.training import Event, StepEnd, StepResult, Training, train_step
from convnet.training.meter import Meter
from convnet.types import AuxiliaryLogits, Batch

IMAGES = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
TARGETS, OTHERS = torch.arange(6) % 3, (torch.arange(6) + 1) % 3


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.main, self.auxiliary = nn.Linear(5, 3), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> AuxiliaryLogits:
        return AuxiliaryLogits(self.main(x), (self.auxiliary(x),), 0.3)


def step(model: nn.Module, batch: Batch) -> StepResult:
    return train_step(Training(model, cross_entropy, torch.optim.SGD(model.parameters(), lr=0.5)), batch)


def test_auxiliary_heads_are_trained_but_not_part_of_the_loss_shown() -> None:
    model, reference = TwoHeads(), TwoHeads()
    result = step(model, Batch(IMAGES, TARGETS, torch.arange(6)))
    logits, (auxiliary,), weight = reference(IMAGES)
    loss = cross_entropy(logits, TARGETS)
    (loss + weight * cross_entropy(auxiliary, TARGETS)).backward()
    torch.testing.assert_close(result.loss, loss.detach())
    for trained, old in zip(model.parameters(), reference.parameters(), strict=True):
        assert old.grad is not None
        torch.testing.assert_close(trained, old - 0.5 * old.grad)


def test_the_loss_of_a_mixed_batch_is_the_weighted_mean() -> None:
    torch.manual_seed(0)
    model = nn.Linear(5, 3)
    logits = model(IMAGES)
    expected = 0.8 * cross_entropy(logits, TARGETS) + 0.2 * cross_entropy(logits, OTHERS)
    result = step(model, Batch(IMAGES, TARGETS, torch.arange(6), mixed_targets=OTHERS, mix=0.8))
    torch.testing.assert_close(result.loss, expected.detach())


@pytest.mark.parametrize("images", [IMAGES, IMAGES.byte()])
def test_bf16_rounds_floating_point_images(images: Tensor) -> None:
    model = nn.Linear(5, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    training = Training(model, cross_entropy, optimizer, compute=Compute(precision="bf16"))
    seen: list[Tensor] = []
    model.register_forward_pre_hook(lambda _model, inputs: (seen.append(inputs[0]), (inputs[0].float(),))[1])
    training.forward(images)
    assert torch.equal(seen[0], images.bfloat16() if images.is_floating_point() else images)
    assert seen[0].dtype is (torch.bfloat16 if images.is_floating_point() else torch.uint8)


@pytest.mark.parametrize("fetch_every", [1, 16])
def test_every_step_is_reported_once_and_in_order(fetch_every: int) -> None:
    model = nn.Linear(5, 3)
    training = Training(model, cross_entropy, torch.optim.SGD(model.parameters(), lr=0.1))
    events: list[Event] = []
    meter = Meter(training, SimpleNamespace(steps=20), [events.append])
    meter.fetch_every = fetch_every
    reported = []
    for i in range(20):
        meter.add(
            StepResult(
                torch.tensor(float(i)),
                torch.tensor(3.0),
                torch.tensor(6.0),
                6,
                torch.tensor([float(i)]),
                torch.tensor([6]),
            )
        )
        reported.append(len(events))
    assert reported == [(i + 1) // fetch_every * fetch_every for i in range(19)] + [20]
    steps = [event for event in events if isinstance(event, StepEnd)]
    assert [(event.step, event.loss, event.score) for event in steps] == [(i + 1, i, 0.5) for i in range(20)]
    assert training.progress.loss([1.0]) == pytest.approx(9.5)
