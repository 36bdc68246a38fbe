"""Image-to-image: restore degraded images, or learn from pairs of images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from convnet.data import Dataset
from convnet.data.images import degrade
from convnet.device import Compute
from convnet.errors import DataError
from convnet.layers import structural_similarity
from convnet.mean_loss import RunningLoss, as_mean
from convnet.outputs import ImageOutputs, Picture
from convnet.registry import Count, NonNegative, Positive, Probability
from convnet.targets import IMAGE, Loss
from convnet.tasks.dense import center_crop, dense_outputs, samples
from convnet.tasks.intervals import Interval, as_intervals, bootstrap_sums
from convnet.tasks.task import (
    TASKS,
    Evaluation,
    Score,
    Task,
    as_picture,
    evaluating,
)
from convnet.types import Batch

FLOOR = 1e-10
"""The smallest mean squared error: equal images have a PSNR of 100 dB instead of infinity."""

FIGURES = ("input_psnr", "psnr", "input_ssim", "ssim", "squared_error")


def psnr(outputs: Tensor, targets: Tensor) -> Float[Tensor, " N"]:
    """The peak signal-to-noise ratio of each image in dB, −10 log₁₀ MSE, for values 0…1."""
    return -10 * (outputs - targets).square().flatten(1).mean(1).clamp_min(FLOOR).log10()


@dataclass(frozen=True, repr=False)
class ImageResult(Evaluation):
    """The evaluation of an image-to-image network on N samples.

    Attributes:
        loss: The mean loss.
        figures: The metrics `FIGURES` of each sample, N×5.
        indices: The indices of the samples, N.
        plain: Whether the input equals the target, so that metrics of the input have no meaning.
    """

    loss: float | None
    figures: Float[Tensor, "N 5"]
    indices: Int[Tensor, " N"]
    plain: bool = False

    @property
    def score(self) -> float:
        """The mean PSNR."""
        return float(self.scores()["psnr"])

    def scores(self) -> dict[str, Any]:
        """Mean metrics of the outputs and, unless the input equals the target, of the inputs."""
        means = dict(zip(FIGURES, self.figures.double().mean(0).tolist(), strict=True))
        if self.plain:
            del means["input_psnr"], means["input_ssim"]
        return means

    def intervals(self) -> dict[str, Interval]:
        """Bootstrap intervals over samples of the mean metrics of the outputs."""
        names = ("psnr", "ssim")
        columns = self.figures[:, [FIGURES.index(name) for name in names]].double().numpy()
        return as_intervals(names, bootstrap_sums(columns, lambda sums: sums / max(1, len(columns))))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The metrics N×5."""
        return {"figures": self.figures.numpy()}

    def rows(self, dataset: Dataset) -> Iterator[Mapping[str, object]]:
        """The metrics of each sample."""
        for values in self.figures.tolist():
            yield {name: f"{value:.6f}" for name, value in zip(FIGURES, values, strict=True)}


class ImageToImage(Task):
    """An output image of the same size for each image.

    Args:
        name: The name of the task.
        degrade: Makes the input from the target; None if the data has pairs.
        prepare: Applied to images before prediction.
        colors: Whether the task needs color images.
        plain: Whether the input equals the target.
        loss: The default loss.
    """

    target = IMAGE
    score = Score("psnr", "PSNR", decibels=True)

    def __init__(
        self,
        name: str,
        degrade: degrade.Degrade | None,
        prepare: Callable[[Tensor], Tensor] = lambda picture: picture,
        *,
        colors: bool = False,
        plain: bool = False,
        loss: str = "l1",
    ) -> None:
        self.name, self.degrade, self.prepare, self.colors = name, degrade, prepare, colors
        self.annotation = "pairs" if degrade is None else "photos"
        self.plain, self.loss = plain, loss
        self.outputs_kind = ImageOutputs(name)

    def outputs(self, dataset: Dataset) -> int:
        """The number of channels of the images.

        Raises:
            DataError: The data holds no images, or gray images where the task needs color.
        """
        if dataset.info.modality != "images":
            raise DataError(
                f"{dataset.info.name}: a {dataset.info.modality}, not images; task {self.name} needs images"
            )
        if self.colors and dataset.info.shape.channels != 3:
            raise DataError(f"{dataset.info.name}: has gray images; task {self.name} needs color images")
        return dataset.info.shape.channels

    def transform(self, batch: Batch, seed: int | None) -> Batch:
        """The degraded images as inputs and the originals as targets; pairs are unchanged."""
        if self.degrade is None:
            return batch
        targets = batch.images.float() / 255
        return Batch(degrade.degraded(batch, self.degrade, seed), targets, batch.indices, batch.sizes)

    def prepare_input(self, images: Tensor) -> Tensor:
        """Prepare images for prediction: convert to gray, enlarge, …"""
        return self.prepare(images.float())

    def outputs_for(self, model: nn.Module, images: Tensor, tile: int | None = None) -> Tensor:
        """The output images, computed in tiles if they are large."""
        return dense_outputs(model, images, tile=tile)

    def metric(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of PSNR and the number of images."""
        ratios = psnr(outputs.float(), center_crop(targets, outputs))
        return ratios.sum(), ratios.new_tensor(len(ratios))

    def fit_loss(self, loss: Loss) -> Loss:
        """The loss in single precision, on the part of the image that the outputs cover."""
        return as_mean(loss).after(lambda outputs, targets: (outputs.float(), center_crop(targets, outputs)))

    @torch.no_grad()
    def evaluate(
        self, model: nn.Module, dataset: Dataset, indices: Tensor, loss: Loss, compute: Compute
    ) -> ImageResult:
        """Evaluate every sample at its own size, large ones in tiles; outputs are clipped to 0…1."""
        running, figures = RunningLoss(loss), []
        with evaluating(model):
            for batch in samples(dataset, indices, self.transform):
                outputs = dense_outputs(model, batch.images, compute)
                running.add(outputs, batch.targets)
                given, made = batch.images.float() / 255, outputs.clamp(0, 1)
                columns = [
                    psnr(given, batch.targets),
                    psnr(made, batch.targets),
                    structural_similarity(given, batch.targets),
                    structural_similarity(made, batch.targets),
                    (made - batch.targets).square().flatten(1).mean(1),
                ]
                figures.append(torch.stack(columns, 1).cpu())
        return ImageResult(running.mean, torch.cat(figures), indices, self.plain)

    def panels(self, dataset: Dataset, batch: Batch, output: Tensor) -> list[tuple[str, Picture]]:
        """The input, the output and the target."""
        given, made = batch.images.float() / 255, output.clamp(0, 1)
        before = psnr(given, batch.targets).item()
        after = psnr(made, batch.targets).item()
        pictures = [
            (f"after: {after:.2f} dB", as_picture(255 * made[0])),
            ("truth", as_picture(255 * batch.targets[0])),
        ]
        if self.plain:
            return pictures
        return [(f"before: {before:.2f} dB", as_picture(255 * given[0])), *pictures]


@TASKS.register("denoise")
def denoise(
    *, noise: degrade.Noise = "gaussian", sigma: NonNegative = 25.0, share: Probability = 0.1
) -> Task:
    """Remove Gaussian noise of standard deviation `sigma` (of 255), or salt-and-pepper noise.

    Args:
        noise: "gaussian" or "salt-and-pepper".
        sigma: The standard deviation of Gaussian noise.
        share: The fraction of pixels that are replaced by black or white.
    """
    return ImageToImage("denoise", degrade.noisy(noise, sigma, share))


@TASKS.register("deblur")
def deblur(*, sigma: Positive = 2.0) -> Task:
    """Sharpen images blurred by a Gaussian of `sigma` pixels."""
    return ImageToImage("deblur", degrade.blurred(sigma))


@TASKS.register("inpaint")
def inpaint(*, holes: Count = 4, side: Annotated[float, Gt(0), Le(1)] = 0.2) -> Task:
    """Fill in white rectangles.

    Args:
        holes: The number of rectangles.
        side: Their largest side as a fraction of the image's.
    """
    return ImageToImage("inpaint", degrade.holed(holes, side))


@TASKS.register("colorize")
def colorize() -> Task:
    """Color gray photos."""
    return ImageToImage("colorize", degrade.gray, degrade.gray, colors=True)


@TASKS.register("super-resolution")
def super_resolution(*, factor: Annotated[int, Ge(2), Le(8)] = 2) -> Task:
    """Enlarge images by `factor` and restore the details that interpolation loses."""

    def enlarge(picture: Tensor) -> Tensor:
        height, width = picture.shape[-2:]
        return degrade.enlarged(picture, (height * factor, width * factor))

    return ImageToImage("super-resolution", degrade.small(factor), enlarge)


@TASKS.register("reconstruct")
def reconstruct(*, sigma: NonNegative = 0.0) -> Task:
    """Reconstruct images through a bottleneck, from noise of standard deviation `sigma` if it is not 0."""
    return ImageToImage("reconstruct", degrade.noisy("gaussian", sigma, 0.0), plain=sigma == 0, loss="l2")


@TASKS.register("image-to-image")
def image_to_image() -> Task:
    """Learn from pairs of images in the folders inputs/ and targets/, matched by name."""
    return ImageToImage("image-to-image", None)
