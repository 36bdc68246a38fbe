"""Attribution: how much each pixel of an image contributes to the score of a class."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from convnet.errors import ModelError
from convnet.explain.cam import choose_layer, enlarged, grad_cam, layer_cam
from convnet.explain.capture import Capture, Operation, capture
from convnet.registry import nearest

STEPS = 24
"""Steps of the integral, and noisy copies of SmoothGrad."""
NOISE = 0.1
"""The standard deviation of SmoothGrad's noise, relative to the range of the input."""
WINDOWS = 10
"""Windows of occlusion per side; each covers two strides."""
BATCH = 32


@dataclass(frozen=True)
class Attribution:
    """How much each pixel contributes to the score of a class.

    Attributes:
        method: The name of the method.
        values: H×W; positive values speak for the class. Gradient methods have absolute values.
        layer: The layer, for class activation maps.
    """

    method: str
    values: Float[Tensor, "H W"]
    layer: str | None = None


Method = Callable[[nn.Module, Tensor, int], Tensor]


def saliency(model: nn.Module, image: Tensor, target: int) -> Tensor:
    """The gradient of the score, C×H×W (Simonyan et al. 2014)."""
    source = image.requires_grad_()
    (gradient,) = torch.autograd.grad(model(source)[0, target], source)
    return gradient[0]


def smooth_grad(model: nn.Module, image: Tensor, target: int) -> Tensor:
    """The mean gradient over noisy copies of the image, C×H×W (Smilkov et al. 2017)."""
    from captum.attr import NoiseTunnel, Saliency

    sigma = NOISE * float(image.max() - image.min())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        found: Tensor = NoiseTunnel(Saliency(model)).attribute(
            image.requires_grad_(), nt_type="smoothgrad", nt_samples=STEPS, nt_samples_batch_size=BATCH,
            stdevs=sigma, target=target, abs=False,
        )  # fmt: skip
    return found[0]


def integrated_gradients(model: nn.Module, image: Tensor, target: int) -> Tensor:
    """The integral of the gradient from the mean image to the image, C×H×W (Sundararajan et al. 2017).

    The baseline is zero, which is the mean of normalized images. The sum over all pixels approximates the
    difference of the scores.
    """
    from captum.attr import IntegratedGradients

    found: Tensor = IntegratedGradients(model).attribute(
        image.requires_grad_(), target=target, n_steps=STEPS, internal_batch_size=BATCH
    )
    return found[0]


def guided_backprop(model: nn.Module, image: Tensor, target: int) -> Tensor:
    """The gradient, with only positive parts passed back through ReLUs, C×H×W (Springenberg et al. 2015)."""
    from captum.attr import GuidedBackprop

    if not any(isinstance(part, nn.ReLU) for part in model.modules()):
        raise ModelError("guided backpropagation needs ReLUs; this network has none")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # captum's remark that it sets hooks
        found: Tensor = GuidedBackprop(model).attribute(image.requires_grad_(), target=target)
    return found[0]


def occlusion(model: nn.Module, image: Tensor, target: int) -> Tensor:
    """How much the score falls where a window is replaced by the mean, C×H×W (Zeiler and Fergus 2014)."""
    from captum.attr import Occlusion

    stride = tuple(max(1, round(side / WINDOWS)) for side in image.shape[2:])
    window = tuple(min(side, 2 * step) for side, step in zip(image.shape[2:], stride, strict=True))
    channels = image.shape[1]
    with torch.no_grad():
        found: Tensor = Occlusion(model).attribute(
            image,
            target=target,
            sliding_window_shapes=(channels, *window),
            strides=(channels, *stride),
            perturbations_per_eval=BATCH,
        )
    return found[0]


METHODS: dict[str, Method] = {
    "saliency": saliency,
    "smooth-grad": smooth_grad,
    "integrated-gradients": integrated_gradients,
    "guided-backprop": guided_backprop,
    "occlusion": occlusion,
}
CAMS: dict[str, Callable[[Operation], Tensor]] = {"grad-cam": grad_cam, "layer-cam": layer_cam}
UNSIGNED = ("saliency", "smooth-grad", "guided-backprop")
"""Methods whose sign depends on whether a pixel is dark or bright, so that the absolute value is shown."""
NAMES = (*CAMS, *METHODS)


def attribute(
    model: nn.Module,
    image: Float[Tensor, "1 C H W"],
    target: int,
    method: str,
    layer: str | None = None,
    found: Capture | None = None,
) -> Attribution:
    """Compute an attribution map.

    Args:
        model: The network; unchanged, run in evaluation mode.
        image: Its input.
        target: The class.
        method: A name of `NAMES`.
        layer: The layer of class activation maps. Default: see `choose_layer`.
        found: The operations of the network with the gradients of the class score, if they are known.

    Raises:
        ModelError: The method is unknown or does not apply to the network.
    """
    if method in CAMS:
        found = found or capture(model, image, target)
        op = choose_layer(found) if layer is None else found[layer]
        cam = CAMS[method](op)
        return Attribution(method, enlarged(cam, (image.shape[2], image.shape[3])), op.name)
    if method not in METHODS:
        raise ModelError(f"no attribution method '{method}'{nearest(method, NAMES)}")
    with _out_of_place(model) as network:
        values = METHODS[method](network, image.detach().clone(), target).detach()
    return Attribution(method, values.abs().amax(0) if method in UNSIGNED else values.sum(0))


@contextmanager
def _out_of_place(model: nn.Module) -> Iterator[nn.Module]:
    """A copy of the network in evaluation mode whose activation functions leave their inputs unchanged."""
    network = copy.deepcopy(model).eval()
    for part in network.modules():
        if getattr(part, "inplace", False):
            part.inplace = False  # type: ignore[assignment]
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    yield network


def applicable(model: nn.Module) -> Sequence[str]:
    """The methods that can work on a network: guided backpropagation needs ReLUs."""
    relus = any(isinstance(part, nn.ReLU) for part in model.modules())
    return [name for name in NAMES if relus or name != "guided-backprop"]
