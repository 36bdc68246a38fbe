"""Recordings in a folder or archive with one subfolder per class, as series."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from convnet.data.datasets.tensor_dataset import TensorDataset
from convnet.data.datasets.time_series import series_dataset
from convnet.data.files.recordings import Audio, Recordings, is_recording, read_recordings, recordings_in
from convnet.data.files.storage import Contents, open_storage
from convnet.errors import DataError


def open_recordings(
    root: Path, contents: Contents, audio: Audio = "log-mel", sample_rate: int | None = None
) -> TensorDataset:
    """Open recordings; those that cannot be read are left out and listed in `info.unreadable`.

    Args:
        root: A folder or zip archive with one subfolder of .wav files per class, perhaps within train/ and
            test/.
        contents: Its listing.
        audio: The form of recordings: "log-mel" or "waveform".
        sample_rate: The rate to which recordings are resampled. Default: the most frequent one.

    Returns:
        The dataset, N×C×1×L; shorter recordings end in NaN.

    Raises:
        DataError: No recording of some class can be read, or they do not fit into memory.
    """
    recordings = recordings_in(contents)
    found = read_recordings(open_storage(root), recordings, audio, sample_rate)
    kept = {recording.label for recording in found.files}
    for recording, reason in found.unreadable.items():
        if recording.label not in kept:
            raise DataError(
                f"{root}: no recording of class '{recording.label}' can be read: {recording.name}: {reason}"
            )
    given = any(recording.split for recording in found.files)
    splits = [recording.split or "train" for recording in found.files] if given else None
    dataset = series_dataset(root, found.series, splits)
    elsewhere = [e.name for e in contents.entries if is_recording(e.name)]
    info = replace(
        dataset.info,
        sample_rate=found.rate,
        unreadable=tuple(f"{recording.name}: {reason}" for recording, reason in found.unreadable.items()),
        warnings=tuple(_remarks(found, sorted({*elsewhere} - {recording.name for recording in recordings}))),
    )
    return replace(dataset, info=info)


def _remarks(found: Recordings, elsewhere: list[str]) -> list[str]:
    remarks = []
    if found.resampled:
        listed = ", ".join(f"{count:,} from {rate:,} Hz" for rate, count in found.resampled.items())
        remarks.append(f"recordings resampled to {found.rate:,} Hz: {listed}")
    if found.unreadable:
        first, reason = next(iter(found.unreadable.items()))
        remarks.append(f"skipped: {len(found.unreadable):,} unreadable, such as {first.name}: {reason}")
    if elsewhere:
        count = f"{len(elsewhere):,} recording{'s' if len(elsewhere) > 1 else ''}"
        remarks.append(f"ignored {count} outside of the classes' folders, such as {elsewhere[0]}")
    return remarks
