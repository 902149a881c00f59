"""A program's types made of plain data, and plain data made of them, with no document between."""

import dataclasses
import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any, get_origin
from uuid import UUID

import attrs

from sdml_kafka.errors import ConfigurationError, DocumentInvalid
from sdml_kafka.parsing.models import check_made_by_msgspec, msgspec_fields, pydantic_fields
from sdml_kafka.parsing.type_checks import name_of

_KEPT = (bytes, datetime.datetime, datetime.date, datetime.time, datetime.timedelta, Decimal, UUID)
"""The types that formats with types of their own take as they are."""


def builder_of(type_: Any) -> Callable[[object], Any]:
    """Return what makes a type of plain data, such as a dict.

    Args:
        type_: Plain data itself (`dict`, `str`, `Any`), a pydantic model, or with msgspec a struct,
            a dataclass, an attrs class or a `TypedDict`.

    Returns:
        A function, which raises `DocumentInvalid`.

    Raises:
        ConfigurationError: Nothing that is installed can make the type.
    """
    if type_ is Any or _is_builtin(type_) or _is_builtin(get_origin(type_)):
        return _same
    if hasattr(type_, "model_validate"):
        return _by_pydantic(type_)
    try:
        import msgspec
    except ImportError:
        return _by_pydantic(type_)
    check_made_by_msgspec(type_)

    def build(data: object) -> Any:
        try:
            return msgspec.convert(data, type_)
        except msgspec.ValidationError as error:
            raise DocumentInvalid(msgspec_fields(str(error))) from None

    return build


def plain_of(value: Any) -> Any:
    """Return the plain data that a value of a program's type stands for."""
    if isinstance(value, dict | list | str | bytes | int | float | None):
        return value  # pyright: ignore[reportUnknownVariableType]
    if hasattr(value, "model_dump"):
        return value.model_dump()
    try:
        import msgspec
    except ImportError:
        kind: Any = value.__class__
        if attrs.has(kind):
            return attrs.asdict(value)
        return dataclasses.asdict(value) if dataclasses.is_dataclass(kind) else value
    return msgspec.to_builtins(value, builtin_types=_KEPT)


def _is_builtin(type_: object) -> bool:
    return isinstance(type_, type) and type_.__module__ == "builtins"


def _same(data: object) -> object:
    return data


def _by_pydantic(type_: Any) -> Callable[[object], Any]:
    try:
        import pydantic
    except ImportError:
        raise ConfigurationError(
            f"Making {name_of(type_)} of a record takes msgspec or pydantic: "
            "pip install 'sdml-kafka-client[msgspec]'"
        ) from None
    invalid = pydantic.ValidationError
    try:
        validate = pydantic.TypeAdapter(type_).validate_python
    except pydantic.PydanticUserError as error:
        raise ConfigurationError(f"pydantic cannot make {type_!r}: {error}") from error

    def build(data: object) -> Any:
        try:
            return validate(data)
        except invalid as error:
            raise DocumentInvalid(pydantic_fields(error)) from None

    return build
