"""The layer table as HTML whose blocks fold and unfold, for notebooks and pages."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from convnet.analysis.table import Layer, LayerTable
from convnet.analysis.text import COLUMNS, by, cells, fitting_depth, footer, short_name

STYLE = """
.convnet-summary { font: 13px/1.5 system-ui, "DejaVu Sans", sans-serif; min-width: 900px; }
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
"""


def fragment(table: LayerTable) -> str:
    """A table with its own style, which can stand in any page; all text is escaped."""
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
