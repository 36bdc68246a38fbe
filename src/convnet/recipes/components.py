"""A component of a recipe: which of a registry, and how it is set."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from convnet.models import named_model, parse_pipeline


class Component(BaseModel):
    """One entry of a registry and its options: `{name: adam, lr: 0.001}`.

    Which options there are, and which values they take, is what the registered builder's signature says.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str

    @property
    def label(self) -> str:
        """What to call it: its name; a pipeline by its stages, "hog+color-linear"."""
        return parse_pipeline(self.options["stages"]).label if self.name == "pipeline" else self.name

    @property
    def options(self) -> dict[str, Any]:
        """The options without the name."""
        return dict(self.model_extra or {})


def as_component(field: str, word: str) -> dict[str, Any]:
    """What a word in place of a component means."""
    return named_model(word) if field == "model" else {"name": word}
