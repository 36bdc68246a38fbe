"""ONNX models of whole images: cropping and resizing are part of the model, decoding is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convnet.data.images.preprocess import Preprocess
from convnet.errors import ModelError, in_one_line
from convnet.export.onnx_model import INPUT, OPSET
from convnet.types import ImageShape

if TYPE_CHECKING:
    import onnx

IMAGE, PREFIX = "image", "resizing_"
"""The name of the input: uint8 1×C×H×W, of any height and width."""
LARGEST_DIFFERENCE = 0.02
"""The largest difference of a probability: ONNX's filter has weights of other precision, so pixels differ."""
MODES = {"bilinear": 'mode = "linear"', "bicubic": 'mode = "cubic", cubic_coeff_a = -0.5'}
FITTED = {
    "stretch": """
        given = Identity(pixels)
        target = Identity(size)""",
    "crop": """
        largest = ReduceMax <keepdims = 1> (ratios)
        scale = Div(largest, whole)
        exact = Div(ratio_to, scale)
        near = Round(exact)
        wanted = Cast <to = 7> (near)
        least = Max(wanted, one)
        inner = Min(least, own)
        spare = Sub(own, inner)
        start = Div(spare, two)
        end = Add(start, inner)
        given = Slice(pixels, start, end, sides)
        target = Identity(size)""",
    "letterbox": """
        scale = ReduceMin <keepdims = 1> (ratios)
        exact = Mul(ratio_own, scale)
        near = Round(exact)
        wanted = Cast <to = 7> (near)
        least = Max(wanted, one)
        target = Min(least, size)
        given = Identity(pixels)""",
}
"""The part of the image that is resized, and the size that it gets, by policy."""
BOXED = """
        spare = Sub(size, target)
        before = Div(spare, two)
        after = Sub(spare, before)
        pads = Concat <axis = 0> (none, before, none, after)
        boxed = Pad(clipped, pads)
        resized = Cast <to = 2> (boxed)"""


def full_image_bytes(model: bytes, shape: ImageShape, preprocess: Preprocess) -> bytes:
    """An ONNX model with the resizing of whole images before it.

    Args:
        model: The model of resized samples, the content of an .onnx file.
        shape: The shape of the samples.
        preprocess: How images are resized.

    Raises:
        ModelError: The models cannot be joined.
    """
    import onnx
    import onnx.compose
    import onnx.parser

    try:
        given = onnx.load_from_string(model)
        first = onnx.parser.parse_model(_resizing(shape, preprocess))
        _remove_unused(first)
        first = onnx.compose.add_prefix(first, PREFIX, rename_inputs=False)
        first.ir_version = given.ir_version
        joined = onnx.compose.merge_models(first, given, io_map=[(f"{PREFIX}resized", INPUT)])
        onnx.checker.check_model(joined, full_check=True)
    except Exception as error:  # the parser and the checker raise types of their own
        raise ModelError(f"the resizing cannot be joined to the ONNX model: {in_one_line(error)}") from error
    return bytes(joined.SerializeToString())


def _resizing(shape: ImageShape, preprocess: Preprocess) -> str:
    """The model from whole to resized images: rows are filtered first, then columns, rounded in between."""
    channels, height, width = shape
    mode = MODES[preprocess.interpolation]
    resize = f'Resize <antialias = 1, {mode}, coordinate_transformation_mode = "half_pixel">'
    end = BOXED if preprocess.resize == "letterbox" else "\n        resized = Cast <to = 2> (clipped)"
    return f"""
    <ir_version: 10, opset_import: ["" : {OPSET}]>
    resizing (uint8[1, {channels}, height, width] {IMAGE}) =>
        (uint8[1, {channels}, {height}, {width}] resized)
    <int64[2] size = {{{height}, {width}}}, int64[2] sides = {{2, 3}}, int64[2] none = {{0, 0}},
     int64[1] one = {{1}}, int64[1] two = {{2}}, int64[2] outer = {{1, {channels}}},
     double[1] whole = {{{preprocess.crop_pct!r}}}, float low = {{0}}, float high = {{255}}>
    {{
        all = Shape({IMAGE})
        own = Gather(all, sides)
        pixels = Cast <to = 1> ({IMAGE})
        ratio_to = Cast <to = 11> (size)
        ratio_own = Cast <to = 11> (own)
        ratios = Div(ratio_to, ratio_own)
        {FITTED[preprocess.resize]}
        found = Shape(given)
        rows = Gather(found, two)
        columns = Gather(target, one)
        wide_sizes = Concat <axis = 0> (outer, rows, columns)
        wide = {resize} (given, , , wide_sizes)
        wide_rounded = Round(wide)
        wide_clipped = Clip(wide_rounded, low, high)
        sizes = Concat <axis = 0> (outer, target)
        fitted = {resize} (wide_clipped, , , sizes)
        rounded = Round(fitted)
        clipped = Clip(rounded, low, high)
        {end}
    }}
    """


def _remove_unused(model: onnx.ModelProto) -> None:
    """Remove the constants of other policies."""
    used = {name for node in model.graph.node for name in node.input}
    kept = [constant for constant in model.graph.initializer if constant.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
