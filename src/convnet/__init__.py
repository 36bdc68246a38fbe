"""From images to a convolutional network that you understand, trust and can ship.

The public names are imported when they are first used, so that `import convnet` costs nothing.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from convnet.lazy import lazy_names

if TYPE_CHECKING:
    from convnet import concepts
    from convnet.analysis import equivariance, summary
    from convnet.api import audit, baselines, compare, embed, explain, export, resume, retrieve, train
    from convnet.data import open_data
    from convnet.errors import ConvnetError
    from convnet.export import Bundle, load_bundle
    from convnet.recipes import Recipe
    from convnet.reports.drawings.draw import draw
    from convnet.runs import Baselines
    from convnet.settings import use_settings
    from convnet.training import check_gradients
    from convnet.workflows import Run, load_predictor, load_run

__all__ = [
    "Baselines",
    "Bundle",
    "ConvnetError",
    "Recipe",
    "Run",
    "audit",
    "baselines",
    "check_gradients",
    "compare",
    "concepts",
    "draw",
    "embed",
    "equivariance",
    "explain",
    "export",
    "load_bundle",
    "load_predictor",
    "load_run",
    "open_data",
    "resume",
    "retrieve",
    "summary",
    "train",
    "use_settings",
]

_HOMES = {
    "Baselines": "convnet.runs",
    "Bundle": "convnet.export",
    "export": "convnet.api",
    "load_bundle": "convnet.export",
    "audit": "convnet.api",
    "baselines": "convnet.api",
    "resume": "convnet.api",
    "retrieve": "convnet.api",
    "ConvnetError": "convnet.errors",
    "Recipe": "convnet.recipes",
    "Run": "convnet.workflows",
    "check_gradients": "convnet.training",
    "compare": "convnet.api",
    "draw": "convnet.reports.drawings.draw",
    "equivariance": "convnet.analysis",
    "embed": "convnet.api",
    "explain": "convnet.api",
    "load_predictor": "convnet.workflows",
    "load_run": "convnet.workflows",
    "open_data": "convnet.data",
    "summary": "convnet.analysis",
    "train": "convnet.api",
    "use_settings": "convnet.settings",
}


class _Package(ModuleType):
    """The package, in which public names are not replaced by the subpackages of the same name."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; the import of a subpackage sets it, too."""
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


_named = lazy_names(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    if name == "concepts":
        return importlib.import_module("convnet.concepts")
    return _named(name)


def __dir__() -> list[str]:
    return sorted(__all__)
