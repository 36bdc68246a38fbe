"""`convnet baselines`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from convnet.cli.options import DataDir, Json, Out, Set, Threads, overrides, print_json

if TYPE_CHECKING:
    from convnet.runs import BaselineRow, Baselines


def baselines(
    data: Annotated[str, typer.Argument(help="A data set, a folder of images or a table (.csv).")],
    minutes: Annotated[float, typer.Option(min=0.05, max=1440, help="Approximate time limit.")] = 2.0,
    set_: Set = None,
    out: Out = None,
    data_dir: DataDir = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Fit the baselines to beat: majority, k-NN, linear, HoG, visual words and an MLP on the same split.

    Color photos have a further one: a linear classifier on a frozen network with ImageNet weights.

    The table is stored in runs/NAME-baselines with one run per row. 'convnet train' on the same split shows
    it next to its network.
    """
    from convnet.workflows import baselines as fit_baselines

    def tell(row: BaselineRow) -> None:
        which = "validation" if row.val_accuracy is not None else "test"
        accuracy = row.val_accuracy if row.val_accuracy is not None else row.test_accuracy
        print(f"{row.name:<34} {which} {_share(accuracy)}, {row.fit_seconds:.1f} s", file=sys.stderr)

    table, folder = fit_baselines(
        data,
        minutes=minutes,
        overrides=overrides(set_),
        out=out,
        on_row=tell,
    )
    if as_json:
        print_json(table.public())
        return
    print_baselines(table)
    print(f"\nstored in {folder}")


def print_baselines(table: Baselines, network: tuple[str, float | None, float | None] | None = None) -> None:
    """Print the table, best first; `network` is (name, validation, test accuracy) of an additional row."""
    if network is None:
        lines = [_cells(row) for row in sorted(table.rows, key=lambda row: -row.accuracy)]
    else:
        name, val, test = network
        own = [f"> {name}", _share(val), _share(test), "", "", "", "", ""]
        ranked = table.ranked(test if test is not None else val or 0.0)
        lines = [own if row is None else _cells(row) for row in ranked]
    head = ["", "validation", "test", "95% interval", "epochs", "fit", "per image", "size"]
    rows = [head, *lines]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        print("  ".join(cells).rstrip())
    if any(row.limited for row in table.rows):
        print("* made smaller or trained shorter to keep --minutes")


def _cells(row: BaselineRow) -> list[str]:
    low_high = row.test_interval
    interval = f"{100 * low_high[0]:.1f}–{100 * low_high[1]:.1f}%" if low_high else "–"
    return [
        f"{row.name}{' *' if row.limited else ''}",
        _share(row.val_accuracy),
        _share(row.test_accuracy),
        interval,
        str(row.epochs or "–"),
        f"{row.fit_seconds:.1f} s",
        f"{row.ms_per_image:.3f} ms",
        _size(row.bytes),
    ]


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
