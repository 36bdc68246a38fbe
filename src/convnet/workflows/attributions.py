"""Attribution maps of a network for one image, and which methods apply to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from convnet.errors import RecipeError
from convnet.explain.attribution import CAMS, NAMES, Attribution, applicable, attribute
from convnet.explain.capture import Capture, capture
from convnet.explain.faithfulness import Faithfulness, measure_faithfulness, with_random_weights
from convnet.layers import fused
from convnet.prediction import NetworkPredictor
from convnet.registry import nearest
from convnet.workflows.explained_network import MeanScores, inner_network

QUICK = ("grad-cam", "layer-cam", "saliency")
"""The methods that are computed by default; all of them take a minute for a photo."""


def attributions(
    scores: MeanScores, found: Capture, methods: Sequence[str], target: int, layer: str | None
) -> Iterator[tuple[Attribution, Faithfulness]]:
    """Attribution maps with their trust scores."""
    fast = fused(scores, found.input)
    assert isinstance(fast, MeanScores)
    untrained = with_random_weights(scores.network)
    random = MeanScores(untrained).eval()
    blind = capture(untrained, found.input, target) if set(methods) & set(CAMS) else None
    chosen = layer if layer is not None and found[layer].gradient is not None else None
    shown = chosen if chosen is not None and found[chosen].is_map else None
    for method in methods:
        where = shown if method in CAMS else None
        made = attribute(scores, found.input, target, method, where, found)
        other = attribute(random, found.input, target, method, made.layer, blind)
        yield made, measure_faithfulness(fast.probabilities, found.input, target, made, other)


def chosen_methods(
    predictor: NetworkPredictor, asked: Sequence[str] | None, found: Capture, has_classes: bool
) -> Sequence[str]:
    """The attribution methods to compute."""
    if not has_classes or predictor.inputs.modality != "images":
        if asked:
            what = f"a {predictor.task.name} run on {predictor.inputs.modality}"
            raise RecipeError(f"--method applies to images and classes; {predictor.name} is {what}")
        return ()
    differentiable = any(op.gradient is not None for op in found.operations)
    possible = applicable(inner_network(predictor.model)) if differentiable else ["occlusion"]
    spatial = any(max(op.output.shape[2:]) > 1 and op.gradient is not None for op in found.maps)
    possible = [name for name in possible if spatial or name not in CAMS]
    if asked is None:
        return [name for name in QUICK if name in possible] or possible[:1]
    every = possible if "all" in asked else list(asked)
    for name in every:
        if name not in NAMES:
            raise RecipeError(f"--method {name}: no such method{nearest(name, [*NAMES, 'all'])}")
        if name not in possible:
            raise RecipeError(f"--method {name}: does not apply to {predictor.name}: it needs other layers")
    return every
