"""The JSON schema of recipes, with the options of every component and the descriptions of all fields."""

from __future__ import annotations

import inspect
import re
from typing import Any

from pydantic import BaseModel

from convnet.recipes.recipe import Recipe
from convnet.registry import options_document

_ATTRIBUTE = re.compile(r"^    (\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)


def recipe_schema() -> dict[str, Any]:
    """The schema of a recipe.

    Returns:
        JSON schema; `components` has for every component of a recipe ("optimizer", …) the schema of the
        options of each registered name.
    """
    schema = Recipe.model_json_schema()
    documents = {document.__name__: document for document in _sections(Recipe)}
    for name, part in [(Recipe.__name__, schema), *schema["$defs"].items()]:
        if name in documents:
            _describe(part, documents[name].__doc__)
    schema["components"] = {
        section: {name: _options(registry[name]) for name in registry}
        for section, registry in Recipe.registries.items()
    }
    return schema


def _sections(document: type[BaseModel]) -> list[type[BaseModel]]:
    """A document and those that its fields hold."""
    found = [document]
    for info in document.model_fields.values():
        for kind in (info.annotation, *getattr(info.annotation, "__args__", ())):
            if inspect.isclass(kind) and issubclass(kind, BaseModel):
                found += _sections(kind)
    return found


def _options(builder: Any) -> dict[str, Any]:
    schema = options_document(builder).model_json_schema()
    _describe(schema, builder.__doc__)
    schema["summary"] = (inspect.getdoc(builder) or "").partition("\n")[0]
    return schema


def _describe(schema: dict[str, Any], docstring: str | None) -> None:
    """Give the properties of a schema the descriptions in the docstring of its class or function."""
    text = inspect.cleandoc(docstring or "")
    found = {name: " ".join(words.split()) for name, words in _ATTRIBUTE.findall(text)}
    for name, part in schema.get("properties", {}).items():
        if name in found:
            part["description"] = found[name]
    schema.pop("description", None)
