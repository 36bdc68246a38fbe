"""A component of a recipe: a registered name and its options."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from convnet.models import named_model, parse_pipeline


class Component(BaseModel):
    """An entry of a registry and its options: `{name: adam, lr: 0.001}`.

    The signature of the registered builder defines the options and their valid values.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str

    @property
    def label(self) -> str:
        """Its name; for a pipeline its stages, "hog+color-linear"."""
        return parse_pipeline(self.options["stages"]).label if self.name == "pipeline" else self.name

    @property
    def options(self) -> dict[str, Any]:
        """The options without the name."""
        return dict(self.model_extra or {})


def as_component(field: str, word: str) -> dict[str, Any]:
    """The component for a word in its place."""
    return named_model(word) if field == "model" else {"name": word}


def with_current_options(content: Any) -> Any:
    """A recipe's content with the options of networks that had other names in earlier versions."""
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict) or model.get("name") != "fcn" or "classifier" not in model:
        return content
    renamed = {"encoder" if key == "classifier" else key: value for key, value in model.items()}
    return {**content, "model": renamed}
