"""The values of headers: read from a stranger's bytes, and written within the bounds."""

from collections.abc import Iterable
from functools import lru_cache

from sdml_kafka.rpc.dialects.messages import (
    MAX_ERROR_BYTES,
    MAX_STATUS_CHARS,
    UNKNOWN,
    FlatHeaders,
    is_status,
)
from sdml_kafka.transport.record_checks import is_topic_name

MAX_DIGITS = 12
MAX_PARTITION = (1 << 31) - 1


def pairs(headers: FlatHeaders) -> Iterable[tuple[str, bytes | None]]:
    """Return the name and the value of each header."""
    flat = iter(headers)
    return zip(flat, flat, strict=True)


def read_error_status(value: bytes) -> str:
    """Return the status of an error; one that is malformed is `unknown`."""
    status = value[: MAX_STATUS_CHARS + 1].decode("utf-8", "replace")
    return status if is_status(status) else UNKNOWN


def cut(error: str) -> bytes:
    """Encode as UTF-8, in at most `MAX_ERROR_BYTES`, without cutting a character in two."""
    encoded = error[:MAX_ERROR_BYTES].encode("utf-8", "replace")
    if len(encoded) <= MAX_ERROR_BYTES:
        return encoded
    return encoded[:MAX_ERROR_BYTES].decode("utf-8", "ignore").encode()


def read_text(error: bytes) -> str:
    """Return the text of an error, cut to the bound; what is not UTF-8 in it becomes U+FFFD."""
    return error[:MAX_ERROR_BYTES].decode("utf-8", "replace")


def read_number(value: bytes) -> int | None:
    """Return a number of up to `MAX_DIGITS` decimal digits, None for anything else."""
    return int(value) if value.isdigit() and len(value) <= MAX_DIGITS else None


def read_partition(value: bytes) -> int | None:
    """Return the number of a partition in decimal digits, None for anything else."""
    found = read_number(value)
    return found if found is not None and found <= MAX_PARTITION else None


@lru_cache(maxsize=1024)
def one_topic(name: bytes) -> tuple[tuple[str, ...], int]:
    """Return the only topic to reply to, and how many others were asked for: 1 if it is none."""
    return ((name.decode(),), 0) if is_topic(name) else ((), 1)


def is_topic(name: bytes) -> bool:
    """Return whether these bytes are the name of a topic."""
    return name.isascii() and is_topic_name(name.decode())
