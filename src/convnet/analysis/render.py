"""Render a layer table for terminals, Markdown and HTML."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from convnet.analysis.table import UNKNOWN, Layer, LayerTable, one

MOST_ROWS = 60
"""Longer tables are folded unless a depth is given."""

COLUMNS = ("window", "output", "parameters", "memory", "MACs", "field", "offset", "own field")
NARROW = 6
"""The number of columns shown in less than 104 characters."""
WIDE = 104
NAME = 16
"""The smallest width of layer names in characters."""


def terminal(table: LayerTable, width: int = 80, depth: int | None = None) -> RenderableType:
    """The table for rich, with blocks below `depth` levels folded. Default: as deep as 60 rows allow."""
    chosen = fitting_depth(table) if depth is None else depth
    shown = list(visible(table.root, chosen))
    widths = _widths([layer for _, _, layer, _ in shown], width)
    rows = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    names = max(NAME, width - sum(widths) - len(widths) - 1)
    rows.add_column(Text("layer"), overflow="ellipsis", no_wrap=True, ratio=1, max_width=names)
    for column, room in zip(COLUMNS, widths, strict=False):
        side = "left" if column == "window" else "right"
        rows.add_column(column, justify=side, no_wrap=True, min_width=room)  # type: ignore[arg-type]
    rows.add_row(Text("input"), "", " and ".join(map(by, table.inputs.values())))
    folded = False
    for level, parent, layer, is_folded in shown:
        folded |= is_folded
        is_block = bool(layer.inside) and not is_folded
        label = Text("  " * level + f"{short_name(layer, parent)} ".lstrip())
        label.append(layer.type + (" …" if is_folded else ""), style="bold" if layer.inside else "cyan")
        rows.add_row(label, *(() if is_block else cells(layer)[: len(widths)]))
    lines = footer(table, folded)
    if len(widths) < NARROW:
        lines.append(f"hidden for lack of space: {', '.join(COLUMNS[len(widths) :])}")
    return Group(rows, Text(), *map(Text, lines))


def _widths(layers: Sequence[Layer], width: int) -> list[int]:
    """The widths of the columns that fit next to the names without truncation."""
    rows = [cells(layer) for layer in layers]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    count = len(COLUMNS) if width >= WIDE else NARROW
    while count > 2 and width - sum(widths[:count]) - count - 1 < NAME:
        count -= 1
    return widths[:count]


def plain_text(table: LayerTable) -> str:
    """The table in 80 columns without color."""
    out = io.StringIO()
    Console(file=out, width=80, color_system=None, force_jupyter=False).print(terminal(table))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def markdown(table: LayerTable) -> str:
    """The innermost layers as a Markdown table, with the totals."""
    lines = [
        "| layer | type | " + " | ".join(COLUMNS) + " |",
        "|---|---|---|" + "---:|" * (len(COLUMNS) - 1),
        *(_markdown_row((layer.name, layer.type, *cells(layer))) for layer in table.layers),
        "",
        *(f"- {line}" for line in footer(table, folded=False)),
    ]
    return "\n".join([f"**{table.model}**, input {by(table.input)}", "", *lines])


def _markdown_row(values: Iterable[str]) -> str:
    r"""A row with bars escaped (`+1|2` → `+1\|2`) and line breaks removed."""
    return "| " + " | ".join(" ".join(value.split()).replace("|", r"\|") for value in values) + " |"


def visible(block: Layer, depth: int, level: int = 0) -> Iterator[tuple[int, str, Layer, bool]]:
    """The rows of a table of `depth` levels: level, name of the block around, layer, whether it is folded."""
    layers = block.inside or (block,)
    for layer in layers:
        is_folded = bool(layer.inside) and level + 1 >= depth
        yield level, block.name if block.inside else "", layer, is_folded
        if layer.inside and not is_folded:
            yield from visible(layer, depth, level + 1)


def fitting_depth(table: LayerTable) -> int:
    """The largest depth whose table has at most 60 rows; at least 1."""
    depth, rows = 1, -1
    while True:
        found = sum(1 for _ in visible(table.root, depth))
        if found == rows or (found > MOST_ROWS and depth > 1):
            return max(1, depth - 1)
        depth, rows = depth + 1, found


def short_name(layer: Layer, parent: str) -> str:
    """The name within the enclosing block."""
    return layer.name.removeprefix(f"{parent}.") if parent else layer.name


def cells(layer: Layer) -> tuple[str, ...]:
    """The columns after the name."""
    output = "–" if layer.output is None else by(layer.output)
    memory = human(layer.activation_bytes, "B") if layer.activation_bytes else "–"
    macs = human(layer.macs) if layer.macs else UNKNOWN if layer.uncounted else "–"
    return (
        window(layer),
        output,
        f"{layer.parameters:,}" if layer.parameters else "–",
        memory,
        macs,
        field(layer),
        UNKNOWN if layer.offset is None else _numbers(layer.offset) if layer.offset else "",
        UNKNOWN if layer.own_field is None else _numbers(layer.own_field) if layer.own_field else "",
    )


def window(layer: Layer) -> str:
    """Kernel, dilation, stride and padding: 11×11 *2 /4 +2, with ↑ for the stride of an up-convolution."""
    if layer.window is None:
        return ""
    sides = layer.window.sides
    parts = [by([side.kernel_size for side in sides])]
    if any(side.dilation > 1 for side in sides):
        parts.append(f"*{_numbers([side.dilation for side in sides])}")
    if any(side.stride > 1 for side in sides):
        sign = "↑" if layer.window.transposed else "/"
        parts.append(f"{sign}{_numbers([side.stride for side in sides])}")
    ends = [str(a) if a == b else f"{a}|{b}" for a, b in (side.padding for side in sides)]
    if any(end != "0" for end in ends):
        parts.append(f"+{ends[0] if len(set(ends)) == 1 else '×'.join(ends)}")
    return " ".join(parts)


def field(layer: Layer) -> str:
    """Receptive field and jump in input pixels: 195 /32; no jump if all positions share the field."""
    if layer.receptive_field is None or layer.jump is None:
        return UNKNOWN
    if not layer.receptive_field:
        return ""
    jump = f" /{_numbers(layer.jump)}" if any(layer.jump) else ""
    return f"{_numbers(layer.receptive_field)}{jump}"


def footer(table: LayerTable, folded: bool) -> list[str]:
    """Totals, memory, unused modules and notes on strides."""
    frozen = "" if table.trainable == table.parameters else f", {table.trainable:,} trainable"
    macs = f"at least {human(table.macs)}" if table.uncounted else human(table.macs)
    training = UNKNOWN if table.training_bytes is None else human(table.training_bytes, "B")
    inputs = "1 input" if table.batch_size == 1 else f"{table.batch_size} inputs"
    lines = [
        f"{table.parameters:,} parameters{frozen}; {macs} multiply-accumulates for 1 input",
        f"memory: weights {human(table.weight_bytes, 'B')}; with {inputs}: forward "
        f"{human(table.forward_bytes, 'B')}, Adam step {training}",
    ]
    if table.uncounted:
        lines.append(f"not counted, but may multiply: {', '.join(table.uncounted)}")
    lines += [f"not run in evaluation: {name}, {count:,} parameters" for name, count in table.unused.items()]
    lines += table.notes
    if folded:
        lines.append("… is folded (--depth N shows N levels)")
    return lines


def by(sizes: Sequence[int]) -> str:
    """3×224×224."""
    return "×".join(map(str, sizes))


def human(number: int, unit: str = "") -> str:
    """A number with three digits and a prefix: 3.21 M, 12.8 MB."""
    value, prefixes = float(number), ["", "k", "M", "G", "T"]
    while value >= 999.5 and len(prefixes) > 1:
        value /= 1000
        prefixes.pop(0)
    whole = prefixes[0] == "" or value >= 99.95
    digits = f"{value:.0f}" if whole else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
    return f"{digits} {prefixes[0]}{unit}".rstrip()


def _numbers(values: Sequence[float]) -> str:
    shown = one(values)
    return "×".join(f"{v:g}" for v in shown) if isinstance(shown, list) else f"{shown:g}"


STYLE = """
.convnet-summary { font: 13px/1.5 system-ui, "DejaVu Sans", sans-serif; }
.convnet-summary .row { display: grid; gap: 0 12px; padding: 1px 0; border-bottom: 1px solid #8882;
  grid-template-columns: minmax(170px, 1fr) 92px 98px 96px 66px 60px 74px 56px 62px; }
.convnet-summary .row span { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.convnet-summary .row span:first-child { text-align: left; overflow: hidden; text-overflow: ellipsis; }
.convnet-summary .row span:nth-child(2) { text-align: left; }
.convnet-summary .head { font-weight: 600; }
.convnet-summary i { font-style: normal; opacity: .6; }
.convnet-summary details > summary, .convnet-summary details[open] > summary { margin: 0; }
.convnet-summary summary { cursor: pointer; list-style: none; font-weight: 600; }
.convnet-summary summary span:first-child::before { content: "▸ "; }
.convnet-summary details[open] > summary span:first-child::before { content: "▾ "; }
.convnet-summary details[open] > summary span:not(:first-child) { opacity: .45; font-weight: 400; }
.convnet-summary p { margin: 6px 0 0; }
.convnet-summary { container-type: inline-size; }
@container (max-width: 899px) {
  .convnet-summary .row { grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 0 8px; font-size: 12px; }
  .convnet-summary .row span:first-child { grid-column: 1 / -1; }
  .convnet-summary .row span { overflow-wrap: anywhere; white-space: normal; }
}
"""


def fragment(table: LayerTable) -> str:
    """The table as HTML with its own style, for any page; all text is escaped."""
    depth = fitting_depth(table)
    layers = table.root.inside or (table.root,)
    around = table.root.name if table.root.inside else ""
    rows = "".join(part for layer in layers for part in _rows(layer, around, 0, depth))
    header = _row("head", "layer", COLUMNS)
    first = _row("", f"input <i>{escape(table.model)}</i>", ("", by(table.input)))
    notes = "".join(f"<p>{escape(line)}</p>" for line in footer(table, folded=False))
    return f'<div class="convnet-summary"><style>{STYLE}</style>{header}{first}{rows}{notes}</div>'


def _rows(layer: Layer, around: str, level: int, depth: int) -> Iterator[str]:
    indent = f' style="padding-left: {18 * level}px"'
    name = f"{escape(short_name(layer, around))} <i>{escape(layer.type)}</i>"
    row = _row("", name, cells(layer), indent)
    if not layer.inside:
        yield row
        return
    yield f"<details{' open' if level + 1 < depth else ''}><summary>{row}</summary>"
    for inner in layer.inside:
        yield from _rows(inner, layer.name, level + 1, depth)
    yield "</details>"


def _row(kind: str, name: str, columns: tuple[str, ...], indent: str = "") -> str:
    rest = "".join(f"<span>{escape(text)}</span>" for text in columns)
    return f'<div class="row {kind}"><span{indent}>{name}</span>{rest}</div>'
