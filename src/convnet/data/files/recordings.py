"""Recordings (.wav): resampled to one rate, and turned into log-mel spectrograms."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convnet.data.files.manifest import SPLIT_FOLDERS
from convnet.data.files.series import UNKNOWN, Series
from convnet.data.files.storage import Contents, FileStorage
from convnet.data.images.formats import has_image_name
from convnet.errors import DataError, in_one_line
from convnet.types import SplitName

Audio = Literal["log-mel", "waveform"]
MELS = 40
"""The number of bands of a spectrogram."""
UNKNOWN_SIZE = b"\xff" * 4
"""The size in the header of recordings that were written to a pipe."""
HOP_SECONDS = 0.0125
"""The time between two columns of a spectrogram; each covers twice as much."""
SLOWEST, FASTEST = 100, 400_000
"""The sampling rates that are read: from slow sensors to recordings of bats."""
LONGEST = 1 << 28
"""The most values of a recording after it is resampled; hours at 16 kHz."""
FLOOR = 1e-6
"""Added to the power before the logarithm; −60 dB of full scale."""


@dataclass(frozen=True)
class Recording:
    """A file of a folder or archive, with its class and the split given by its folder."""

    name: str
    label: str
    split: SplitName | None = None


class Recordings(NamedTuple):
    """What was read of recordings.

    Attributes:
        files: Those that can be read.
        series: Their values, at one sampling rate.
        rate: Samples per second.
        resampled: The number of recordings that had another rate, by rate.
        unreadable: The others, with reasons.
    """

    files: list[Recording]
    series: list[Series]
    rate: int
    resampled: dict[int, int]
    unreadable: dict[Recording, str]


def is_recording(name: str) -> bool:
    """Whether a file name is that of a recording."""
    return name.lower().endswith(".wav")


def recordings_in(contents: Contents) -> list[Recording]:
    """The recordings CLASS/NAME.wav and SPLIT/CLASS/NAME.wav, perhaps all within one more folder."""
    paths = [PurePosixPath(entry.name) for entry in contents.entries if is_recording(entry.name)]
    tops = {path.parts[0] for path in paths}
    wrapped = len(tops) == 1 and not tops & SPLIT_FOLDERS.keys() and all(len(p.parts) > 2 for p in paths)
    found = []
    for path in paths:
        match path.parts[1:] if wrapped else path.parts:
            case (label, _):
                found.append(Recording(str(path), label))
            case (folder, label, _) if folder.lower() in SPLIT_FOLDERS:
                found.append(Recording(str(path), label, SPLIT_FOLDERS[folder.lower()]))
    return found


def holds_recordings(contents: Contents | None) -> bool:
    """Whether a folder or archive holds recordings in folders of classes, and fewer images."""
    if contents is None:
        return False
    return len(recordings_in(contents)) > sum(has_image_name(entry.name) for entry in contents.entries)


def read_recordings(
    store: FileStorage, recordings: Sequence[Recording], audio: Audio, rate: int | None
) -> Recordings:
    """Read recordings at one sampling rate.

    Args:
        store: The folder or archive.
        recordings: Its files.
        audio: Whether series are log-mel spectrograms, bands × times, or samples.
        rate: The sampling rate. Default: the most frequent one.

    Raises:
        DataError: None can be read.
    """
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda one: _tried(store, one), recordings))
        unreadable = {r: one for r, one in zip(recordings, found, strict=True) if isinstance(one, str)}
        sound = [one for one in found if isinstance(one, Series)]
        if not sound:
            first, reason = next(iter(unreadable.items()))
            raise DataError(f"{store.root}: no recording can be read: {first.name}: {reason}")
        rates = Counter(one.rate for one in sound if one.rate)
        chosen = rate or max(rates, key=lambda value: (rates[value], -value))
        series = list(pool.map(lambda one: prepared(one, audio, chosen), sound))
    files = [recording for recording in recordings if recording not in unreadable]
    resampled = {value: count for value, count in sorted(rates.items()) if value != chosen}
    return Recordings(files, series, chosen, resampled, unreadable)


def _tried(store: FileStorage, recording: Recording) -> Series | str:
    """The series of a file, or why it cannot be read."""
    place = f"{store.root / recording.name}: "
    try:
        return decode_recording(store.read(recording.name), recording.name, recording.label)
    except DataError as error:
        return str(error).removeprefix(place).removeprefix(f"{recording.name}: ")


def prepared(one: Series, audio: Audio, rate: int) -> Series:
    """A recording resampled to `rate`, in the form `audio`.

    Raises:
        DataError: It is too long.
    """
    if one.rate and one.values.size * (rate / one.rate) > LONGEST:
        raise DataError(f"{one.location}: is too long; divide it")
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


def decode_recording(content: bytes, location: str, label: str = UNKNOWN) -> Series:
    """Decode a WAV file to values −1…1, one row per channel.

    Raises:
        DataError: It is damaged, compressed or empty, has an unusual sampling rate, or holds values that are
            not finite.
    """
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # about chunks of metadata
            if content[4:8] != UNKNOWN_SIZE:
                warnings.filterwarnings("error", "Reached EOF prematurely", wavfile.WavFileWarning)
            rate, samples = wavfile.read(io.BytesIO(content))
    except Exception as error:  # damaged files make the reader raise nearly anything
        raise DataError(f"{location}: not a readable WAV file: {in_one_line(error)}") from error
    if not SLOWEST <= rate <= FASTEST:
        raise DataError(
            f"{location}: has {rate:,} samples per second; recordings have {SLOWEST:,} to {FASTEST:,}"
        )
    values = np.atleast_2d(samples.T).astype(np.float64)
    if samples.dtype == np.uint8:
        values = (values - 128) / 128
    elif np.issubdtype(samples.dtype, np.integer):
        values = values / -float(np.iinfo(samples.dtype).min)
    if not np.isfinite(values).all():
        raise DataError(f"{location}: holds values that are not finite")
    if not values.shape[1]:
        raise DataError(f"{location}: is empty")
    return Series(values.astype(np.float32), label, location, rate)
