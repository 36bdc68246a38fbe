"""Recordings (.wav): resampled to one rate, and turned into log-mel spectrograms."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from convnet.data.files.manifest import SPLIT_FOLDERS
from convnet.data.files.series import Series
from convnet.errors import DataError, in_one_line
from convnet.types import SplitName

Audio = Literal["log-mel", "waveform"]
MELS = 40
"""The number of bands of a spectrogram."""
HOP_SECONDS = 0.0125
"""The time between two columns of a spectrogram; each covers twice as much."""
FLOOR = 1e-6
"""Added to the power before the logarithm; −60 dB of full scale."""


@dataclass(frozen=True)
class Recording:
    """A file of a folder of recordings, with its class and the split given by its folder."""

    name: str
    label: str
    split: SplitName | None = None


def recording_of(name: str) -> Recording | None:
    """The recording that a file CLASS/NAME.wav or SPLIT/CLASS/NAME.wav is; None for other files."""
    parts = PurePosixPath(name).parts
    if not name.lower().endswith(".wav") or len(parts) not in (2, 3):
        return None
    if len(parts) == 2:
        return Recording(name, parts[0])
    split = SPLIT_FOLDERS.get(parts[0].lower())
    return None if split is None else Recording(name, parts[1], split)


def read_recordings(
    root: Path, recordings: Sequence[Recording], audio: Audio, rate: int | None
) -> tuple[list[Series], int, tuple[str, ...]]:
    """Read recordings at one sampling rate.

    Args:
        root: The folder.
        recordings: Its files.
        audio: Whether series are log-mel spectrograms, bands × times, or samples.
        rate: The sampling rate. Default: the most frequent one.

    Returns:
        The series, their rate, and a line if recordings were resampled.

    Raises:
        DataError: A file is damaged or compressed.
    """
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda one: _read_wav(root, one), recordings))
        rates = Counter(one.rate for one in found if one.rate)
        chosen = rate or max(rates, key=lambda value: (rates[value], -value))
        series = list(pool.map(lambda one: _prepared(one, audio, chosen), found))
    others = {value: count for value, count in rates.items() if value != chosen}
    listed = ", ".join(f"{count:,} from {value:,} Hz" for value, count in sorted(others.items()))
    remark = f"recordings resampled to {chosen:,} Hz: {listed}"
    return series, chosen, (remark,) if others else ()


def _prepared(one: Series, audio: Audio, rate: int) -> Series:
    if not one.values.shape[1]:
        raise DataError(f"{one.location}: is empty")
    values = one.values if one.rate in (None, rate) else _resampled(one.values, one.rate or rate, rate)
    return replace(one, values=log_mel(values, rate) if audio == "log-mel" else values, rate=rate)


def _resampled(values: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    from scipy.signal import resample_poly

    ratio = Fraction(wanted, rate)
    return np.asarray(resample_poly(values, ratio.numerator, ratio.denominator, axis=1), np.float32)


def log_mel(values: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """The log-mel spectrogram of a recording.

    Args:
        values: Samples −1…1, C×L; channels are averaged.
        rate: Samples per second.

    Returns:
        40×T: the logarithm of the power in 40 bands, every 12.5 ms over windows of 25 ms.
    """
    from scipy.signal import ShortTimeFFT
    from scipy.signal.windows import hann

    hop = max(1, round(rate * HOP_SECONDS))
    window = hann(2 * hop, sym=False)
    bins = 1 << (4 * hop - 1).bit_length()
    transform = ShortTimeFFT(window, hop, rate, mfft=bins, scale_to="magnitude")
    mono = values.mean(0)
    mono = np.pad(mono, (0, max(0, 2 * hop - len(mono))))
    power = np.abs(transform.stft(mono, p0=0, p1=max(1, len(mono) // hop))) ** 2
    return np.asarray(np.log(mel_bands(rate, bins) @ power + FLOOR), np.float32)


def mel_bands(rate: int, bins: int) -> NDArray[np.float64]:
    """Triangles of equal width on the mel scale, MELS × (bins/2 + 1) (Davis and Mermelstein 1980)."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, MELS + 2) / 2595) - 1)
    frequencies = np.arange(bins // 2 + 1) * rate / bins
    low, middle, high = (edges[i : MELS + i, None] for i in range(3))
    rising, falling = (frequencies - low) / (middle - low), (high - frequencies) / (high - middle)
    bands: NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling))
    bands /= bands.sum(1, keepdims=True).clip(1e-12)
    return bands


def _read_wav(root: Path, recording: Recording) -> Series:
    """Values −1…1, one row per channel."""
    from scipy.io import wavfile

    path = root / recording.name
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # about chunks of metadata
            rate, samples = wavfile.read(path)
    except Exception as error:  # damaged files make the reader raise nearly anything
        raise DataError(f"{path}: not a readable WAV file: {in_one_line(error)}") from error
    values = np.atleast_2d(samples.T).astype(np.float64)
    if samples.dtype == np.uint8:
        values = (values - 128) / 128
    elif np.issubdtype(samples.dtype, np.integer):
        values = values / -float(np.iinfo(samples.dtype).min)
    if not np.isfinite(values).all():
        raise DataError(f"{path}: holds values that are not finite")
    return Series(values.astype(np.float32), recording.label, recording.name, rate)
