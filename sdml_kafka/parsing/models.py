"""Parsers and serializers for types of msgspec and pydantic."""

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NoReturn, overload

from sdml_kafka.errors import ConfigurationError, DocumentInvalid
from sdml_kafka.factories import called_as
from sdml_kafka.parsing.codec_notes import JSON, MSGPACK, is_of, reads_value
from sdml_kafka.transport.interfaces.records import Record

if TYPE_CHECKING:
    import pydantic

__all__ = ["parse_msgspec", "parse_pydantic", "to_json", "to_msgspec", "to_pydantic"]

MAX_FIELDS = 20
"""How many fields of one document are named that do not fit."""

_MSGSPEC_PLACE = re.compile(r"(?P<why>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_MSGSPEC_MISSING = re.compile(r"Object missing required field `(?P<name>.*)`", re.DOTALL)


@overload
def parse_msgspec[T](
    type_: type[T], format: Literal["json", "msgpack"] = "json", *, strict: bool = True
) -> Callable[[Record], T]: ...
@overload
def parse_msgspec(
    type_: Any, format: Literal["json", "msgpack"] = "json", *, strict: bool = True
) -> Callable[[Record], Any]: ...
def parse_msgspec(
    type_: Any, format: Literal["json", "msgpack"] = "json", *, strict: bool = True
) -> Callable[[Record], Any]:
    """Make a parser that validates while it decodes, by msgspec (extra `msgspec`).

    Args:
        type_: What the parser returns: a `msgspec.Struct`, a dataclass, an attrs class, a
            `TypedDict`, or whatever else msgspec decodes to.
        format: `"json"` or `"msgpack"` (MessagePack).
        strict: False to take `"3"` for an `int` as well, and the like.

    Returns:
        A parser for a `ParserSpec`, or for a handler of a server. It raises `DocumentInvalid`.

    Raises:
        ConfigurationError: msgspec is not installed, or cannot decode to this type.
    """
    try:
        import msgspec
    except ImportError:
        _refuse_without("msgspec", "parse_msgspec")
    decoder = _of_format(format, msgspec.json.Decoder, msgspec.msgpack.Decoder)
    check_made_by_msgspec(type_)
    decode: Callable[[bytes], Any] = decoder(type_, strict=strict).decode
    invalid: type[Exception] = msgspec.MsgspecError

    def parse(record: Record) -> Any:
        value = record.value
        if value is None:
            _refuse_tombstone()
        try:
            return decode(value)
        except invalid as error:
            raise DocumentInvalid(msgspec_fields(str(error))) from error

    return is_of(_content_type(format), reads_value(parse, decode))


@overload
def parse_pydantic[T](type_: type[T], *, strict: bool | None = None) -> Callable[[Record], T]: ...
@overload
def parse_pydantic(type_: Any, *, strict: bool | None = None) -> Callable[[Record], Any]: ...
def parse_pydantic(type_: Any, *, strict: bool | None = None) -> Callable[[Record], Any]:
    """Make a parser of JSON that validates by pydantic (extra `pydantic`).

    Args:
        type_: What the parser returns: a `BaseModel`, or whatever else a `TypeAdapter` takes.
        strict: As pydantic has it: True to convert nothing, None for what the model says.

    Returns:
        A parser for a `ParserSpec`, or for a handler of a server. It raises `DocumentInvalid`.

    Raises:
        ConfigurationError: pydantic is not installed, or cannot validate this type.
    """
    decode = _adapter(type_, "parse_pydantic").validate_json
    from pydantic import ValidationError

    def parse(record: Record) -> Any:
        value = record.value
        if value is None:
            _refuse_tombstone()
        try:
            return decode(value, strict=strict)
        except ValidationError as error:
            raise DocumentInvalid(pydantic_fields(error)) from None  # it quotes the document

    return is_of(JSON, reads_value(parse, partial(decode, strict=strict)))


def to_json(value: Any) -> bytes:
    """Serialize a value to JSON without spaces, by msgspec if it is installed.

    Args:
        value: Plain data; with msgspec its structs, dataclasses, dates and the like, too; a
            pydantic model.

    Returns:
        The JSON in UTF-8.

    Raises:
        TypeError: The value cannot be written as JSON.
    """
    dump: Callable[[], str] | None = getattr(value, "model_dump_json", None)
    if dump is not None:
        return dump().encode()
    try:
        import msgspec
    except ImportError:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    return msgspec.json.encode(value)


def to_msgspec(format: Literal["json", "msgpack"] = "json") -> Callable[[Any], bytes]:
    """Make a serializer by msgspec (extra `msgspec`).

    Args:
        format: `"json"` or `"msgpack"` (MessagePack).

    Returns:
        A serializer, which raises `TypeError` for what msgspec cannot write.

    Raises:
        ConfigurationError: msgspec is not installed.
    """
    try:
        import msgspec
    except ImportError:
        _refuse_without("msgspec", "to_msgspec")
    encoder = _of_format(format, msgspec.json.Encoder, msgspec.msgpack.Encoder)
    encode: Callable[[Any], bytes] = encoder().encode
    return is_of(_content_type(format), encode)


def to_pydantic(type_: Any) -> Callable[[Any], bytes]:
    """Make a serializer to JSON by pydantic (extra `pydantic`).

    Args:
        type_: A `BaseModel`, or whatever else a `TypeAdapter` takes.

    Returns:
        A serializer of values of this type.

    Raises:
        ConfigurationError: pydantic is not installed, or cannot write this type.
    """
    dump: Callable[[Any], bytes] = _adapter(type_, "to_pydantic").dump_json
    return is_of(JSON, dump)


is_of(JSON, to_json)
called_as("parse_msgspec(Order)", parse_msgspec)
called_as("parse_pydantic(Order)", parse_pydantic)
called_as("to_msgspec()", to_msgspec)
called_as("to_pydantic(Order)", to_pydantic)


def _adapter(type_: Any, used_by: str) -> "pydantic.TypeAdapter[Any]":
    try:
        import pydantic
    except ImportError:
        _refuse_without("pydantic", used_by)
    try:
        return pydantic.TypeAdapter(type_)
    except pydantic.PydanticUserError as error:
        raise ConfigurationError(f"pydantic cannot validate {type_!r}: {error}") from error


def _content_type(format: str) -> str:
    return JSON if format == "json" else MSGPACK


def _of_format(format: str, json_class: Any, msgpack_class: Any) -> Any:
    if format not in ("json", "msgpack"):
        raise ConfigurationError(f"format is 'json' or 'msgpack', not {format!r}")
    return json_class if format == "json" else msgpack_class


def _refuse_without(package: str, name: str) -> NoReturn:
    raise ConfigurationError(
        f"{name} takes {package}, which is not installed: "
        f"pip install 'sdml-kafka-client[{package}]'"
    ) from None


def _refuse_tombstone() -> NoReturn:
    raise ValueError("a tombstone (a record without a value) holds no document")


def check_made_by_msgspec(type_: Any) -> None:
    """Raise ConfigurationError if no document ever becomes this type by msgspec."""
    import msgspec

    try:
        msgspec.json.Decoder(type_)
        is_made = not isinstance(msgspec.inspect.type_info(type_), msgspec.inspect.CustomType)
    except (TypeError, NameError) as error:
        raise ConfigurationError(f"msgspec cannot decode to {type_!r}: {error}") from error
    if not is_made:
        raise ConfigurationError(
            f"msgspec cannot decode to {type_!r}: make it a Struct, a dataclass, an attrs class or "
            "a TypedDict"
        )


def msgspec_fields(text: str) -> Mapping[str, str]:
    """Return what is wrong with which field, by msgspec's text."""
    match = _MSGSPEC_PLACE.fullmatch(text)
    path, why = ("", text) if match is None else (match["path"] or "", match["why"])
    if (missing := _MSGSPEC_MISSING.fullmatch(why)) is not None:
        path, why = f"{path}.{missing['name']}".removeprefix("."), "is missing"
    return {path: why}


def pydantic_fields(error: "pydantic.ValidationError") -> Mapping[str, str]:
    """Return what is wrong with which field, by pydantic's error."""
    fields: dict[str, str] = {}
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    for each in errors[:MAX_FIELDS]:
        parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in each["loc"]]
        why = "is missing" if each["type"] == "missing" else each["msg"]
        fields.setdefault("".join(parts).removeprefix("."), why)
    return fields
