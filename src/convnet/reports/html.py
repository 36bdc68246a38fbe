"""Templates to self-contained HTML: pictures inside the file, nothing from the network."""

from __future__ import annotations

import base64
from typing import Any

import jinja2

from convnet.analysis.table import UNKNOWN
from convnet.analysis.text import human


def render(template: str, **values: Any) -> str:
    """Fill a template of `reports/templates`; all values are escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("convnet.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda x: "–" if x is None else f"{x:.2%}"
    environment.filters["number"] = lambda x: (
        "–" if x is None else f"{x:,.4g}" if isinstance(x, float) else f"{x:,}"
    )
    environment.filters["quantity"] = lambda x, unit="": UNKNOWN if x is None else human(x, unit)
    environment.filters["data_uri"] = lambda png: "data:image/png;base64," + base64.b64encode(png).decode()
    return environment.get_template(template).render(**values)
