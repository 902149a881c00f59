"""Make of a record's parts what librdkafka takes."""

from collections.abc import Sequence


def as_bytes(value: object) -> bytes:
    """Return bytes-like data as bytes. Raises TypeError for anything else, such as a text."""
    if not isinstance(value, bytearray | memoryview):
        raise TypeError(f"bytes are needed, not {type(value).__name__}")
    return bytes(value)  # pyright: ignore[reportUnknownArgumentType]


def checked(headers: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes | None]]:
    """Return headers as librdkafka takes them. Raises TypeError or ValueError for any others."""
    pairs: list[tuple[str, bytes | None]] = []
    for name, value in headers:
        if name.__class__ is not str:
            raise TypeError("a header's name is a text")
        if value is not None and value.__class__ is not bytes:  # pyright: ignore[reportUnnecessaryComparison]
            value = as_bytes(value)
        pairs.append((name, value))
    return pairs
