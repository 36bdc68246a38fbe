"""Tables from names to builders; a miss names the nearest known names.

One convention holds for every registered builder: positional parameters come from the system (an
image shape, a list of parameters), keyword-only parameters are the user's options, and their
annotations are their validation.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from convnet.errors import RecipeError, UnknownNameError
from convnet.schema import nearest, options_document, validate

B = TypeVar("B", bound=Callable[..., Any])


class Registry(Generic[B]):
    """Named builders of one kind ("model", "optimizer", …)."""

    def __init__(self, kind: str, *, importable: bool = False, given: tuple[str, ...] = ()) -> None:
        """`given` names what the system hands to an importable builder, keyword-only or not."""
        self.kind = kind
        self._importable = importable
        self._given = given
        self._builders: dict[str, B] = {}

    def register(self, name: str) -> Callable[[B], B]:
        """Decorator that files a builder under `name`."""

        def add(builder: B) -> B:
            if name in self._builders:
                raise ValueError(f"{self.kind} '{name}' is registered twice")
            self._builders[name] = builder
            return builder

        return add

    def __getitem__(self, name: str) -> B:
        """The builder called `name`, or the object that `package.module:factory` names where allowed.

        Raises:
            UnknownNameError: naming the nearest known names.
        """
        if name in self._builders:
            return self._builders[name]
        if self._importable and ":" in name:
            return self._import(name)
        way_out = ", or any package.module:factory" if self._importable else ""
        raise UnknownNameError(f"unknown {self.kind} '{name}'{nearest(name, self._builders)}{way_out}")

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._builders))

    def __contains__(self, name: object) -> bool:
        return name in self._builders

    def options(self, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """All options of the builder `name`: `values` checked, the rest at their defaults.

        Raises:
            RecipeError: on an option that does not exist or whose value is out of range.
        """
        builder = self[name]
        if name not in self._builders and _takes_anything(builder):
            return dict(values)
        document = validate(options_document(builder, self._given), values, where=f"{self.kind} {name}")
        return {field: getattr(document, field) for field in type(document).model_fields}

    def build(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Call the builder `name` with validated options."""
        return self[name](*arguments, **self.options(name, options))

    def _import(self, name: str) -> B:
        module_name, _, attribute = name.partition(":")
        try:
            found: B = getattr(importlib.import_module(module_name), attribute)
        except Exception as error:  # importing runs a user's code, which may raise anything
            raise UnknownNameError(
                f"{self.kind} '{name}' cannot be imported: {type(error).__name__}: {error}; "
                "is its folder on PYTHONPATH?"
            ) from error
        if not callable(found):
            raise RecipeError(f"{self.kind} '{name}' is not callable: {type(found).__name__}")
        return found


def _takes_anything(builder: Callable[..., Any]) -> bool:
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(builder).parameters.values())
