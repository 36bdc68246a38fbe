"""How data is read: the `data` section of a recipe."""

from __future__ import annotations

from convnet.registry import CountOrZero, Section


class Data(Section):
    """What is trained on: a named set or a folder of images.

    Images that cannot be read are listed in the run and left out. Of a table (CSV) `label` is the column of
    the classes (default: the one called label, class, target, species or diagnosis, else the last), and
    `ignore` are columns that are no features; with `series` its rows are series, or the steps of some.
    `classes`, if given, are the only ones that are kept. Of masks `colors` names the classes and says how
    each looks ({sky: "#0000ff"}) or which index it has, and `ignore_index` is a value that means no class.
    """

    source: str
    label: str | None = None
    ignore: tuple[str, ...] = ()
    series: bool = False
    classes: tuple[str, ...] | None = None
    colors: dict[str, str | int] | None = None
    ignore_index: CountOrZero | None = None
