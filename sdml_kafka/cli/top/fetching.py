"""Fetches the document of a program, and checks that it has the shape that it should have."""

import json
from functools import cache
from http.client import HTTPException
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints, is_typeddict
from urllib.error import HTTPError

from sdml_kafka.cli.top.bounded_http import OutOfBounds, get
from sdml_kafka.observability.document_shape import StatusDocument
from sdml_kafka.printable import one_line

MAX_REASON = 200
"""The characters of an error that are shown: it may hold a line of the answer."""


class NoAnswer(Exception):
    """The program does not answer, or not with what `sdml-kafka top` reads."""


def fetch(url: str) -> StatusDocument:
    """Return the document at this address.

    Raises:
        NoAnswer: There is none; the text says why.
    """
    try:
        body = get(url)
    except HTTPError as error:
        error.close()
        raise NoAnswer(f"{url} answers {error.code}: is observability.app served there?") from None
    except (OSError, HTTPException, ValueError, OutOfBounds) as error:  # URLError is an OSError
        reason = one_line(getattr(error, "reason", None) or error)[:MAX_REASON]
        raise NoAnswer(f"{url} does not answer: {reason}") from None
    return read(url, body)


def read(url: str, body: bytes) -> StatusDocument:
    """Return the document that these bytes are; raise NoAnswer if they are something else."""
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise NoAnswer(f"{url} answers with something that is no JSON") from None
    if isinstance(document, dict) and cast(dict[str, Any], document).get("version") != 1:
        raise NoAnswer(f"{url} answers in another version: use the sdml-kafka of that program")
    if not _conforms(document, StatusDocument) or document["at"] < 0:
        raise NoAnswer(f"{url} answers with JSON that is not the status of a program")
    return cast(StatusDocument, document)


MAX_DEPTH = 50
MAX_NUMBER = 250_000_000_000
"""The highest number of seconds, and the latest time: in the year 9892, and Python ends in 9999."""
MAX_COUNT = 1 << 63
"""The highest number of anything else."""
_fields = cache(get_type_hints)


def _conforms(value: Any, shape: Any, depth: int = 0) -> bool:
    """Return whether a value out of JSON has the shape of a type; more keys do not matter."""
    if depth > MAX_DEPTH:  # a tree of actors is not so deep
        return False
    if is_typeddict(shape):
        return isinstance(value, dict) and all(
            name in value and _conforms(value[name], each, depth + 1)
            for name, each in _fields(shape).items()
        )
    origin, arguments = get_origin(shape), get_args(shape)
    if origin is Literal:
        return value in arguments
    if origin in (Union, UnionType):
        return any(_conforms(value, each, depth) for each in arguments)
    if origin is list:
        return isinstance(value, list) and all(
            _conforms(each, arguments[0], depth + 1)
            for each in value  # pyright: ignore[reportUnknownVariableType]
        )
    if origin is dict:
        return isinstance(value, dict) and all(
            _conforms(each, arguments[1], depth + 1)
            for each in cast(dict[str, Any], value).values()
        )
    if shape is float:
        return type(value) in (int, float) and -MAX_NUMBER <= value <= MAX_NUMBER  # and no NaN
    if shape is int:
        return type(value) is int and -MAX_COUNT <= value <= MAX_COUNT
    return type(value) is (NoneType if shape is None else shape)
