"""Fetches the document of a program, and checks that it has the shape that it should have."""

import json
import time
from http.client import HTTPException, HTTPResponse
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints, is_typeddict
from urllib.error import HTTPError
from urllib.request import urlopen

from sdml_kafka.observability.document_shape import StatusDocument

TIMEOUT_S = 5.0
"""Seconds that the program may be silent."""
MAX_FETCH_S = 30.0
"""Seconds that the body of an answer may take."""
MAX_BYTES = 32 << 20
MAX_PART = 1 << 16


class NoAnswer(Exception):
    """The program does not answer, or not with what `sdml-kafka top` reads."""


def fetch(url: str) -> StatusDocument:
    """Return the document at this address.

    Raises:
        NoAnswer: There is none; the text says why.
    """
    try:
        with urlopen(url, timeout=TIMEOUT_S) as answer:
            body = _body(url, answer)
    except HTTPError as error:
        raise NoAnswer(f"{url} answers {error.code}: is observability.app served there?") from None
    except (OSError, HTTPException, ValueError) as error:  # URLError is an OSError
        reason = getattr(error, "reason", None) or error
        raise NoAnswer(f"{url} does not answer: {reason}") from None
    return read(url, body)


def _body(url: str, answer: HTTPResponse) -> bytes:
    body, deadline = bytearray(), time.monotonic() + MAX_FETCH_S
    while part := answer.read1(MAX_PART):
        body += part
        if len(body) > MAX_BYTES:
            raise NoAnswer(f"{url} answers with more than {MAX_BYTES >> 20} MiB")
        if time.monotonic() > deadline:
            raise NoAnswer(f"{url} does not answer: its answer takes more than {MAX_FETCH_S:g} s")
    return bytes(body)


def read(url: str, body: bytes) -> StatusDocument:
    """Return the document that these bytes are; raise NoAnswer if they are something else."""
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise NoAnswer(f"{url} answers with something that is no JSON") from None
    if isinstance(document, dict) and cast(dict[str, Any], document).get("version") != 1:
        raise NoAnswer(f"{url} answers in another version: use the sdml-kafka of that program")
    if not _conforms(document, StatusDocument):
        raise NoAnswer(f"{url} answers with JSON that is not the status of a program")
    return cast(StatusDocument, document)


MAX_DEPTH = 50
MAX_NUMBER = 250_000_000_000
"""The highest number of seconds, and the latest time: in the year 9892, and Python ends in 9999."""


def _conforms(value: Any, shape: Any, depth: int = 0) -> bool:
    """Return whether a value out of JSON has the shape of a type; more keys do not matter."""
    if depth > MAX_DEPTH:  # a tree of actors is not so deep
        return False
    if is_typeddict(shape):
        return isinstance(value, dict) and all(
            name in value and _conforms(value[name], each, depth + 1)
            for name, each in get_type_hints(shape).items()
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
    return type(value) is (NoneType if shape is None else shape)
