"""Rows, series and recordings in memory are read as those of files."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from convnet.data import Preprocess
from convnet.data.files.recordings import FASTEST, decode_recording
from convnet.errors import DataError
from convnet.prediction.files import input_files
from convnet.prediction.inputs import InputSpec, read_inputs
from convnet.types import ImageShape

TABLE = InputSpec("table", ImageShape(3, 1, 1), Preprocess(), columns=("a", "b", "c"))
SERIES = InputSpec("series", ImageShape(1, 1, 8), Preprocess(), steps=8, any_length=False)
TWO_CHANNELS = InputSpec("series", ImageShape(2, 1, 8), Preprocess(), steps=8, any_length=False)
SOUND = InputSpec("series", ImageShape(1, 1, 8), Preprocess(), audio="waveform", sample_rate=8000)


def samples(spec: InputSpec, given: Any) -> np.ndarray:
    files = input_files(given, spec.kind, spec.shape.channels)
    return np.concatenate([part.images for file in files for part in read_inputs(spec, file, dense=False)])


@pytest.mark.parametrize(
    ("spec", "given", "shape"),
    [
        (TABLE, np.arange(3), (1, 3, 1, 1)),
        (TABLE, torch.arange(6).reshape(2, 3), (2, 3, 1, 1)),
        (TABLE, [np.arange(3), np.arange(3)], (2, 3, 1, 1)),
        (SERIES, np.arange(8), (1, 1, 1, 8)),
        (SERIES, np.zeros((5, 8)), (5, 1, 1, 8)),
        (SERIES, np.zeros((5, 1, 8)), (5, 1, 1, 8)),
        (TWO_CHANNELS, np.zeros((2, 8)), (1, 2, 1, 8)),
        (TWO_CHANNELS, np.zeros((5, 2, 8)), (5, 2, 1, 8)),
        (SOUND, np.zeros(100), (1, 1, 1, 100)),
    ],
)
def test_arrays(spec: InputSpec, given: Any, shape: tuple[int, ...]) -> None:
    found = samples(spec, given)
    assert found.shape == shape and found.dtype == np.float32
    values = given[0] if isinstance(given, list) else np.asarray(given, np.float32)
    np.testing.assert_array_equal(found[0].ravel(), np.ravel(values)[: found[0].size])


@pytest.mark.parametrize(
    ("spec", "given", "message"),
    [
        (TABLE, np.zeros((2, 4)), "takes rows of 3 numbers: a, b, c"),
        (TABLE, np.zeros((1, 1, 1, 3)), "1 to 3 dimensions"),
        (TABLE, ["x"], "cannot be read as a table"),
        (TABLE, [object()], "got object"),
        (SERIES, np.zeros(8, complex), "array of numbers"),
        (SERIES, np.array(["a"] * 8), "array of numbers"),
        (SERIES, np.zeros((5, 9)), "series of 8 steps, got 9"),
        (TWO_CHANNELS, np.zeros((5, 3, 8)), "has 3 channels, the run takes 2"),
        (SERIES, b"1,2,3", "not from bytes"),
        (SOUND, b"no recording", "not a readable WAV file"),
    ],
)
def test_what_does_not_fit_is_refused(spec: InputSpec, given: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        samples(spec, given)


def recording(rate: int) -> bytes:
    buffer = io.BytesIO()
    wavfile.write(buffer, rate, np.arange(1600, dtype=np.int16))
    return buffer.getvalue()


def test_bytes() -> None:
    np.testing.assert_array_equal(
        samples(TABLE, b"a,b,c\n1,2,3\n4,5,6\n")[:, :, 0, 0], [[1, 2, 3], [4, 5, 6]]
    )
    assert samples(SOUND, recording(16000)).shape == (1, 1, 1, 800)


@pytest.mark.parametrize("rate", [1, 50, FASTEST + 1, 50_000_017])
def test_sampling_rates_that_would_take_all_memory_are_refused(rate: int) -> None:
    with pytest.raises(DataError, match="samples per second"):
        decode_recording(recording(rate), "x.wav")
