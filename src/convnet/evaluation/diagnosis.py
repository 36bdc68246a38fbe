"""Diagnosis of a training run: what went wrong, in sentences with the number behind each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from convnet.evaluation.training_facts import TrainingFacts
from convnet.tasks.intervals import wilson

GAP = 0.12
"""The difference of training and validation accuracy from which a run overfits."""
RISEN = 1.15
"""The ratio of the last to the lowest validation loss of a run that overfits."""
NEAR_CHANCE = 0.02
"""How near the training loss is to that of guessing, as a fraction of it."""
ABOVE = 1.2
"""How far a high rate lifts the training loss of a later epoch above that of guessing, as a ratio."""
SLOW = 0.25
"""The largest fall of the loss, as a fraction of guessing, where the rate may be too low."""
IMPROVING = 0.02
"""The rise of the validation accuracy in the last quarter of training of a run that is too short."""
LEVEL = 0.25
"""The fall of the loss in the second half of training, relative to the first, below which it is level."""
STEADY = 0.7
"""The fraction of the epochs in which a steadily falling loss falls."""
DEAD = 0.5
VANISHED, EXPLODED = 1e-8, 100.0
"""Sizes of gradients relative to weights, of the loss at the end of training."""
IMBALANCED, NEGLECTED = 10.0, 0.5
"""The ratio of the largest to the smallest class, and of their recalls."""
SURE_MISTAKES, OF_ERRORS, FEW_MISTAKES = 0.01, 0.25, 3
"""The validation samples with improbable labels from which labels are noisy: of all, of errors, in number.
A class that is merely hard to tell is usually the second most probable one."""
WIDE = 0.1
"""The half width of the interval of the validation accuracy from which it is too wide."""
FEW = 10
"""The smallest number of training samples per class."""
SHIFTED, RESIZED = 0.5, 1.5
COPIED = 0.01
UNSCALED = 5.0
"""The largest mean or deviation of normalized inputs."""


@dataclass(frozen=True)
class Finding:
    """A diagnosis.

    Attributes:
        kind: Its name: "overfitting", "dead_relus", ….
        text: A sentence with the number behind it, and what to try.
        value: The number.
    """

    kind: str
    text: str
    value: float

    def as_dict(self) -> dict[str, Any]:
        """The diagnosis as plain values, for JSON."""
        return {"kind": self.kind, "text": self.text, "value": self.value}


def diagnose(facts: TrainingFacts) -> list[Finding]:
    """Everything that is wrong with a run; empty for a healthy one."""
    return [finding for check in CHECKS for finding in check(facts)]


def _inputs(facts: TrainingFacts) -> Iterator[Finding]:
    if facts.input_scale is None:
        return
    mean, deviation = facts.input_scale
    if abs(mean) > UNSCALED or deviation > UNSCALED:
        yield Finding(
            "inputs_not_normalized",
            f"The inputs are not normalized: mean {mean:.3g}, standard deviation {deviation:.3g}. Use "
            "preprocess.normalize=channel.",
            max(abs(mean), deviation),
        )


def _learning(facts: TrainingFacts) -> Iterator[Finding]:
    """The loss compared with guessing: too high a rate, too low a rate, nothing learned."""
    losses = [row["train_loss"] for row in facts.epochs if row.get("train_loss") is not None]
    if not losses or not facts.cross_entropy or not facts.chance:
        return
    last, chance = float(losses[-1] or 0.0), facts.chance
    peak = max([float(loss or 0.0) for loss in losses] + _smoothed(facts.steps))
    later = max((float(loss or 0.0) for loss in losses[1:]), default=0.0)
    rose = later > max(ABOVE * chance, float(losses[0] or 0.0))
    if (peak > 2 * chance and last > (1 - SLOW) * chance) or (rose and last > chance / 2):
        yield Finding(
            "learning_rate_too_high",
            f"The learning rate is too high: the training loss rose to {peak:.3g}, that of guessing is "
            f"{chance:.3g}. Divide the rate by 10 (--lr), or look for one with convnet lr-find.",
            peak,
        )
    elif last > (1 - NEAR_CHANCE) * chance and not (last > (1 + NEAR_CHANCE) * chance and _falling(losses)):
        yield Finding(
            "loss_at_chance",
            f"Nothing was learned: the training loss is {last:.3g}, that of guessing is {chance:.3g}. Check "
            "that the labels belong to the images, that the weights are not all equal, and the learning rate "
            "(convnet lr-find).",
            last,
        )
    elif len(losses) >= 4 and last > chance / 2 and _level(losses):
        yield Finding(
            "underfitting",
            f"Underfitting: the training loss levels off at {last:.3g}, that of guessing is {chance:.3g}. "
            "Use a larger network or less augmentation, or check the labels (convnet review).",
            last,
        )
    elif len(losses) > 1 and last > (1 - SLOW) * chance and _falling(losses):
        yield Finding(
            "learning_rate_too_low",
            f"The learning rate is probably too low: the training loss fell steadily, but only to {last:.3g} "
            f"from {chance:.3g} by guessing. Raise the rate (--lr), see convnet lr-find.",
            last,
        )


def _smoothed(steps: Sequence[float], span: int = 10) -> list[float]:
    """Medians of consecutive losses, so that a single batch does not count."""
    parts = [sorted(steps[i : i + span]) for i in range(0, len(steps) - span + 1, span)]
    return [part[len(part) // 2] for part in parts]


def _level(losses: Sequence[float | None]) -> bool:
    """Whether the loss fell much less in the second half of training than in the first."""
    values = [float(loss or 0.0) for loss in losses]
    middle = values[len(values) // 2]
    return middle - values[-1] < LEVEL * (values[0] - middle)


def _falling(losses: Sequence[float | None]) -> bool:
    """Whether the loss fell in most epochs."""
    values = [float(loss or 0.0) for loss in losses]
    falls = sum(after < before for before, after in pairwise(values))
    return values[-1] < values[0] and falls >= STEADY * (len(values) - 1)


def _fit(facts: TrainingFacts) -> Iterator[Finding]:
    """Overfitting and underfitting."""
    if facts.train is None or facts.val is None or not facts.val_samples:
        return
    interval = wilson(round(facts.val * facts.val_samples), facts.val_samples)
    losses = [float(loss) for row in facts.epochs if (loss := row.get("val_loss")) is not None]
    gap = facts.train - facts.val
    risen = len(losses) > 1 and losses[-1] > RISEN * min(losses)
    if gap > GAP and interval is not None and facts.train > interval[1] and (risen or gap > 2 * GAP):
        yield Finding(
            "overfitting",
            f"Overfitting: training accuracy {facts.train:.1%}, validation accuracy {facts.val:.1%}. Try "
            "augmentation, weight decay or dropout, a smaller network, early stopping, or more images.",
            gap,
        )
        return
    scores = [row.get("val_accuracy") for row in facts.epochs]
    known = [float(score) for score in scores if score is not None]
    before = known[: -max(1, len(known) // 4)]
    if interval is None or len(known) < 4 or gap > GAP / 2:
        return
    risen_by = known[-1] - max(before)
    if risen_by > max(IMPROVING, (interval[1] - interval[0]) / 2):
        yield Finding(
            "underfitting",
            f"Underfitting: the validation accuracy was still rising at the end, from {max(before):.1%} to "
            f"{known[-1]:.1%} in the last quarter. Train longer (--epochs), or use a larger network.",
            risen_by,
        )


def _layers(facts: TrainingFacts) -> Iterator[Finding]:
    """Dead ReLUs and gradients that vanish or explode, by layer."""
    dead = [layer for layer in facts.layers if layer.dead is not None and layer.dead > DEAD]
    if dead:
        worst = max(dead, key=lambda layer: layer.dead or 0.0)
        names = ", ".join(f"{layer.name} {layer.dead:.0%}" for layer in dead[:5])
        yield Finding(
            "dead_relus",
            f"Dead ReLUs: channels that are zero for all images of a batch: {names}. Lower the learning "
            "rate, or use batch norm, leaky ReLUs or He initialization.",
            float(worst.dead or 0.0),
        )
    sloped = [layer for layer in facts.layers if layer.gradient is not None]
    vanished = [layer for layer in sloped if (layer.gradient or 0.0) < VANISHED]
    exploded = [layer for layer in sloped if (layer.gradient or 0.0) > EXPLODED]
    learned = facts.train is not None and facts.train > 1 - NEAR_CHANCE
    if vanished and not learned:
        names = ", ".join(f"{layer.name} {layer.gradient:.1e}" for layer in vanished[:5])
        yield Finding(
            "vanishing_gradients",
            f"Vanishing gradients, relative to the weights: {names}. Use He initialization, batch norm, "
            "ReLUs or shortcuts.",
            min(float(layer.gradient or 0.0) for layer in vanished),
        )
    if exploded:
        names = ", ".join(f"{layer.name} {layer.gradient:.1e}" for layer in exploded[:5])
        largest = max(float(layer.gradient or 0.0) for layer in exploded)
        yield Finding(
            "exploding_gradients",
            f"Exploding gradients, relative to the weights: {names}. Lower the learning rate, or set "
            "clip_norm=1.",
            min(largest, 1e300),
        )


def _classes(facts: TrainingFacts) -> Iterator[Finding]:
    """Imbalance that was ignored, and too few samples."""
    there = [count for count in facts.per_class if count]
    if there and min(there) < FEW:
        yield Finding(
            "few_training_samples",
            f"Few training samples: the smallest class has {min(there)}. Collect more, or start from "
            "pretrained weights.",
            float(min(there)),
        )
    both = zip(facts.per_class, facts.recall, strict=False)
    recalls = [(count, recall) for count, recall in both if recall is not None]
    if facts.balanced or len(recalls) < 2:
        return
    largest, smallest = max(recalls), min(recalls)
    if largest[0] >= IMBALANCED * max(1, smallest[0]) and smallest[1] < NEGLECTED * largest[1]:
        yield Finding(
            "imbalance_ignored",
            f"The classes are imbalanced ({largest[0]:,} to {smallest[0]:,} training samples): the recall of "
            f"the smallest is {smallest[1]:.0%}, that of the largest {largest[1]:.0%}. Use --balance weights "
            "or --balance sampler.",
            largest[0] / max(1, smallest[0]),
        )


def _labels(facts: TrainingFacts) -> Iterator[Finding]:
    if facts.val is None:
        return
    count = round(facts.sure_mistakes * facts.val_samples)
    share = max(SURE_MISTAKES, OF_ERRORS * (1 - facts.val))
    if facts.sure_mistakes > share and count >= FEW_MISTAKES:
        yield Finding(
            "label_noise",
            f"Label noise is likely: for {facts.sure_mistakes:.1%} of the validation samples ({count:,}) the "
            "network is sure of another class, and the label is among the least probable ones. Look at them "
            "with convnet review.",
            facts.sure_mistakes,
        )


def _splits(facts: TrainingFacts) -> Iterator[Finding]:
    """Copies and shifts between training and validation data, and a validation split that is too small."""
    if facts.copies > COPIED:
        yield Finding(
            "validation_copies_training",
            f"{facts.copies:.1%} of the validation samples are copies of training samples. Copies in the "
            "training split are not used, so it is smaller; remove them, or let the split be drawn again.",
            facts.copies,
        )
    if facts.brightness is not None:
        train, val, deviation = facts.brightness
        apart = abs(train - val) / max(deviation, 1e-6)
        if apart > SHIFTED:
            yield Finding(
                "brightness_shift",
                f"Training and validation images differ in brightness: mean {train:.0f} and {val:.0f} of "
                f"255, {apart:.1f} standard deviations. Check how they were taken, or draw the split again.",
                apart,
            )
    if facts.sizes is not None and min(facts.sizes) > 0:
        ratio = max(facts.sizes) / min(facts.sizes)
        if ratio > RESIZED:
            yield Finding(
                "size_shift",
                f"Training and validation images differ in size: median side {facts.sizes[0]:.0f} and "
                f"{facts.sizes[1]:.0f} pixels.",
                ratio,
            )
    if facts.val is not None and facts.val_samples:
        interval = wilson(round(facts.val * facts.val_samples), facts.val_samples)
        if interval is not None and (interval[1] - interval[0]) / 2 > WIDE:
            yield Finding(
                "validation_set_too_small",
                f"The validation split is small: with {facts.val_samples} samples the accuracy lies between "
                f"{interval[0]:.0%} and {interval[1]:.0%} (95% interval), so smaller differences mean "
                "nothing. Use cross-validation (--folds 5).",
                float(facts.val_samples),
            )


CHECKS: tuple[Callable[[TrainingFacts], Iterator[Finding]], ...] = (
    _inputs, _learning, _fit, _layers, _classes, _labels, _splits,
)  # fmt: skip
