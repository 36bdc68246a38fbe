"""Registries of named builders, and the validation of their options.

Every builder follows one convention: positional parameters come from the system (an image shape, a list of
parameters); keyword-only parameters are the user's options, validated against their annotations.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import json
import operator
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Generic, TypeVar

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, create_model
from pydantic.errors import PydanticSchemaGenerationError
from pydantic_core import PydanticCustomError

from convnet.errors import RecipeError, UnknownNameError

B = TypeVar("B", bound=Callable[..., Any])
F = TypeVar("F")


class Registry(Generic[B, F]):
    """Named builders of one kind ("model", "optimizer", …), each with optional facts."""

    def __init__(
        self,
        kind: str,
        *,
        importable: bool = False,
        given: tuple[str, ...] = (),
        adapt: Callable[[Any], B] | None = None,
    ) -> None:
        """Create an empty registry.

        Args:
            kind: What the builders make, for messages.
            importable: Whether `package.module:factory` is accepted in place of a name.
            given: Parameters of an importable builder that the system passes, keyword-only or not.
            adapt: Makes a builder of an object that was imported or adopted. Default: it is one.
        """
        self.kind = kind
        self._importable = importable
        self._given = given
        self._adapt = adapt
        self._adopted: dict[str, tuple[object, B]] = {}
        self._builders: dict[str, B] = {}
        self._facts: dict[str, F] = {}
        self._aliases: dict[str, str] = {}

    def register(
        self, name: str, facts: F | None = None, *, aliases: tuple[str, ...] = ()
    ) -> Callable[[B], B]:
        """Decorator that registers a builder.

        Args:
            name: Its name.
            facts: What is known of it without building it.
            aliases: Other names that users type.
        """

        def add(builder: B) -> B:
            for word in (name, *aliases):
                if word in self._builders or word in self._aliases:
                    raise ValueError(f"{self.kind} '{word}' is registered twice")
            self._builders[name] = builder
            self._aliases |= dict.fromkeys(aliases, name)
            if facts is not None:
                self._facts[name] = facts
            return builder

        return add

    def adopt(self, found: Any) -> str:
        """A name for a user's object, by which recipes refer to it.

        Args:
            found: The object.

        Returns:
            `package.module:name` if it can be imported by that name, which works in every process. Otherwise
            a name that holds in this process only.

        Raises:
            RecipeError: It cannot be called.
        """
        place = name = _place_of(found)
        builder, number = self._builder_of(found, place), 1
        while not _is_at(place, found) and name in self._adopted and self._adopted[name][0] is not found:
            number += 1
            name = f"{place}#{number}"
        self._adopted[name] = found, builder
        return name

    def canonical(self, name: str) -> str:
        """The registered name of an alias; any other word unchanged."""
        return self._aliases.get(name, name)

    def facts(self, name: str) -> F:
        """The facts of an entry.

        Raises:
            UnknownNameError: No entry of that name has facts; imported builders have none.
        """
        name = self.canonical(name)
        if name not in self._facts:
            raise UnknownNameError(f"unknown {self.kind} '{name}'{nearest(name, self._facts)}")
        return self._facts[name]

    def __getitem__(self, name: str) -> B:
        """The builder called `name`, or the object that `package.module:factory` names where allowed.

        Raises:
            UnknownNameError: There is no such builder; the message suggests the nearest names.
        """
        name = self.canonical(name)
        if name in self._builders:
            return self._builders[name]
        if name in self._adopted:
            return self._adopted[name][1]
        if self._importable and ":" in name:
            return self._import(name)
        way_out = ", or any package.module:factory" if self._importable else ""
        raise UnknownNameError(f"unknown {self.kind} '{name}'{nearest(name, self._builders)}{way_out}")

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._builders))

    def __contains__(self, name: object) -> bool:
        return name in self._builders or name in self._aliases

    def options(self, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """All options of the builder `name`: validated `values`, and defaults for the rest.

        Raises:
            RecipeError: An option does not exist or its value is out of range.
        """
        builder = self[name]
        if name not in self and _takes_anything(builder):
            return dict(values)
        document = validate(options_document(builder, self._given), values, where=f"{self.kind} {name}")
        return {field: getattr(document, field) for field in type(document).model_fields}

    def build(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Call the builder `name` with validated options."""
        return self[name](*arguments, **self.options(name, options))

    def _import(self, name: str) -> B:
        module_name, _, attribute = name.partition(":")
        if module_name == "__main__" or "<" in attribute or "#" in attribute:
            raise UnknownNameError(
                f"{self.kind} '{name}' was an object of a script or notebook and cannot be imported; put it "
                "into a module, or train in the process that defines it"
            )
        try:
            found = operator.attrgetter(attribute)(importlib.import_module(module_name))
        except Exception as error:  # importing runs a user's code, which may raise anything
            raise UnknownNameError(
                f"{self.kind} '{name}' cannot be imported: {type(error).__name__}: {error}; "
                "is its folder on PYTHONPATH?"
            ) from error
        return self._builder_of(found, name)

    def _builder_of(self, found: Any, name: str) -> B:
        if not callable(found):
            raise RecipeError(f"{self.kind} '{name}' is not callable: {type(found).__name__}")
        builder: B = found if self._adapt is None else self._adapt(found)
        return builder


def _is_at(place: str, found: Any) -> bool:
    """Whether an object is what its name stands for now, after modules or cells were run again."""
    module, _, attribute = place.partition(":")
    try:
        return bool(operator.attrgetter(attribute)(sys.modules[module]) is found)
    except (AttributeError, KeyError):
        return False


def _place_of(found: Any) -> str:
    """`package.module:name` of an object; with <instance> at the end if it is not a class or function."""
    own = found if hasattr(found, "__qualname__") else type(found)
    return f"{own.__module__}:{own.__qualname__}{'' if own is found else '<instance>'}"


def _takes_anything(builder: Callable[..., Any]) -> bool:
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(builder).parameters.values())


Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Fraction = Annotated[float, Ge(0), Lt(1)]
Probability = Annotated[float, Ge(0), Le(1)]
Count = Annotated[int, Ge(1)]
CountOrZero = Annotated[int, Ge(0)]


def _require_odd(number: int) -> int:
    if number % 2 == 0:
        raise PydanticCustomError("odd", "must be odd")
    return number


Odd = Annotated[int, Ge(1), AfterValidator(_require_odd)]


class Section(BaseModel):
    """A frozen section of a recipe; unknown fields, NaN and infinities are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


S = TypeVar("S", bound=BaseModel)


def validate(document: type[S], values: Mapping[str, Any], where: str) -> S:
    """Build `document` from `values`, or raise RecipeError with one line that names the field."""
    try:
        return document.model_validate(values)
    except ValidationError as error:
        raise RecipeError(_explain(error, document, where)) from None


@cache
def options_document(builder: Callable[..., Any], given: tuple[str, ...] = ()) -> type[Section]:
    """The document of a builder's options: its keyword-only parameters except those in `given`.

    Raises:
        RecipeError: The signature cannot be read, or its annotations cannot be validated.
    """
    try:
        parameters = inspect.signature(builder, eval_str=True).parameters.values()
    except (NameError, TypeError, ValueError) as error:
        raise RecipeError(f"the options of {builder!r} cannot be read from its signature: {error}") from error
    fields: dict[str, Any] = {
        p.name: (Any if p.annotation is p.empty else p.annotation, ... if p.default is p.empty else p.default)
        for p in parameters
        if p.kind is p.KEYWORD_ONLY and p.name not in given
    }
    try:
        return create_model("Options", __base__=Section, **fields)
    except PydanticSchemaGenerationError as error:
        message = str(error).splitlines()[0]
        raise RecipeError(f"the options of {builder!r} are not plain values: {message}") from error


def nearest(name: str, known: Iterable[str]) -> str:
    """A suggestion for a misspelt name: "; did you mean 'adam'? (known: …)"."""
    choices = sorted(known)
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return f"{hint} (known: {', '.join(choices) or 'none'})"


def shown(value: object) -> str:
    """A value as written in a recipe file: null, true, "text"."""
    return json.dumps(value, default=str, ensure_ascii=False)


def _explain(error: ValidationError, document: type[BaseModel], where: str) -> str:
    """The first of pydantic's findings as one line, and how many more there are."""
    findings = error.errors(include_url=False)
    first, more = findings[0], len(findings) - 1
    path = ".".join(str(part) for part in first["loc"])
    place = f"{where}: {path}" if where and path else path or where
    if first["type"] == "extra_forbidden":
        parent = _document_at(document, first["loc"][:-1])
        owner = ".".join([where] * bool(where) + [str(part) for part in first["loc"][:-1]]) or "a recipe"
        message = f"'{first['loc'][-1]}' is not an option of {owner}" + nearest(
            str(first["loc"][-1]), parent.model_fields
        )
    elif first["type"] == "missing":
        message = f"{place} is required"
    elif first["type"] == "value_error":  # our own validators already say everything
        message = str(first["ctx"]["error"])
    elif first["type"] == "model_type":
        fields = ", ".join(_document_at(document, first["loc"]).model_fields)
        message = f"{place}: expected fields ({fields}), got {shown(first['input'])}"
    else:
        finding = first["msg"].replace("Input should be", "must be")
        message = f"{place}: {finding[0].lower()}{finding[1:]}, got {shown(first['input'])}"
    return message + (f" (and {more} more)" if more else "")


def _document_at(document: type[BaseModel], path: tuple[int | str, ...]) -> type[BaseModel]:
    """The nested document that the pydantic location `path` leads to."""
    for part in path:
        field = document.model_fields.get(str(part))
        arguments = getattr(field.annotation, "__args__", ()) if field else ()
        for candidate in (field.annotation if field else None, *arguments):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                document = candidate
    return document
