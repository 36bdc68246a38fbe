"""`Data`: the `data` section of a recipe."""

from __future__ import annotations

from convnet.data.files.recordings import Audio
from convnet.registry import Count, CountOrZero, Section


class Data(Section):
    """The data of a recipe and how it is read.

    Attributes:
        source: The name of a data set, a path or a URL.
        label: The class column of a table. Default: the first of label, class, target, species and
            diagnosis that there is, else the last one (of numbers) or the only one (of images).
        ignore: Columns of a table that are not used.
        series: Whether the rows of a table are series, or steps of series.
        classes: The classes to keep. Default: all.
        colors: The classes of masks and their colors ({sky: "#0000ff"}) or indices.
        ignore_index: The value of mask pixels without a class.
        threshold: The gray value of masks from which a pixel has the class 1, the others 0.
        nearest: Whether mask pixels of other values take the class of the nearest value or color.
        audio: The form of recordings (.wav): "log-mel" spectrograms or the "waveform". Default: "log-mel".
        sample_rate: The rate to which recordings are resampled, in Hz. Default: the most frequent one.
    """

    source: str
    label: str | None = None
    ignore: tuple[str, ...] = ()
    series: bool = False
    classes: tuple[str, ...] | None = None
    colors: dict[str, str | int] | None = None
    ignore_index: CountOrZero | None = None
    threshold: CountOrZero | None = None
    nearest: bool = False
    audio: Audio | None = None
    sample_rate: Count | None = None
